//! Non-maximum suppression: of several boxes round one object, the surest stays.

use crate::detection::Class;
use crate::geometry::BBox;

/// Candidates beyond this many, least sure first, are dropped before suppression, which is quadratic; detectors in use
/// propose a few hundred on the busiest pictures.
pub const CANDIDATES_MAX: usize = 2000;

/// Boxes kept per picture, surest first: more objects than any rule can follow.
pub const BOXES_MAX: usize = 300;

/// A box that takes part in suppression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Index of its class.
    pub class: usize,
    /// How sure the model is, 0..1.
    pub score: f32,
    /// Where it is.
    pub bbox: BBox,
}

/// What counts as the same object twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Nms {
    /// Overlap above which two boxes of one class are one object; `None` leaves them alone.
    pub iou: Option<f32>,
    /// Overlap above which two boxes of different vehicle classes are one object; `None` leaves them alone.
    pub vehicle_iou: Option<f32>,
    /// Per class: whether it is a vehicle that models confuse with other vehicles.
    vehicle: Vec<bool>,
}

/// Delivery vans are `car`, `truck` and `bus` at once to every COCO model.
const VEHICLES: [&str; 5] = ["car", "truck", "bus", "van", "vehicle"];

/// Two vehicles that stand one behind the other overlap less than this; two names for one vehicle, more.
pub const VEHICLE_IOU: f32 = 0.7;

impl Nms {
    /// Suppression for a model with these classes.
    pub fn new(classes: &[Class], iou: Option<f32>, vehicle_iou: Option<f32>) -> Self {
        let vehicle = classes.iter().map(|c| VEHICLES.contains(&c.as_str())).collect();
        Self { iou, vehicle_iou, vehicle }
    }

    /// Keeps the surest box of every object, surest first, at most [`BOXES_MAX`]; scores must be numbers.
    pub fn keep(&self, mut boxes: Vec<Scored>) -> Vec<Scored> {
        let surest_first = |a: &Scored, b: &Scored| b.score.total_cmp(&a.score);
        if boxes.len() > CANDIDATES_MAX {
            boxes.select_nth_unstable_by(CANDIDATES_MAX, surest_first);
            boxes.truncate(CANDIDATES_MAX);
        }
        boxes.sort_by(surest_first);
        let mut kept: Vec<Scored> = Vec::new();
        for candidate in boxes {
            if kept.len() == BOXES_MAX {
                break;
            }
            if !kept.iter().any(|k| self.same_object(k, &candidate)) {
                kept.push(candidate);
            }
        }
        kept
    }

    fn same_object(&self, a: &Scored, b: &Scored) -> bool {
        let limit = if a.class == b.class {
            self.iou
        } else if self.is_vehicle(a) && self.is_vehicle(b) {
            self.vehicle_iou
        } else {
            None
        };
        limit.is_some_and(|limit| a.bbox.iou(&b.bbox) > limit)
    }

    fn is_vehicle(&self, boxed: &Scored) -> bool {
        self.vehicle.get(boxed.class).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scored(class: usize, score: f32, x0: f32, x1: f32) -> Scored {
        Scored { class, score, bbox: BBox { x0, y0: 0.0, x1, y1: 1.0 } }
    }

    fn nms(vehicle_iou: Option<f32>) -> Nms {
        let classes = ["person", "car", "truck"].map(Class::from);
        Nms::new(&classes, Some(0.5), vehicle_iou)
    }

    #[test]
    fn who_suppresses_whom() {
        let check = |nms: &Nms, boxes: &[Scored], scores: &[f32]| {
            let kept: Vec<f32> = nms.keep(boxes.to_vec()).iter().map(|b| b.score).collect();
            assert_eq!(kept, scores);
        };
        let same = [scored(0, 0.6, 0.0, 0.5), scored(0, 0.9, 0.0, 0.45)];
        check(&nms(None), &same, &[0.9]);
        let beside = [scored(0, 0.6, 0.0, 0.5), scored(0, 0.9, 0.25, 0.75)];
        check(&nms(None), &beside, &[0.9, 0.6]);
        let van = [scored(1, 0.6, 0.0, 0.5), scored(2, 0.9, 0.0, 0.45)];
        check(&nms(None), &van, &[0.9, 0.6]);
        check(&nms(Some(VEHICLE_IOU)), &van, &[0.9]);
        let rider = [scored(0, 0.6, 0.0, 0.5), scored(1, 0.9, 0.0, 0.5)];
        check(&nms(Some(VEHICLE_IOU)), &rider, &[0.9, 0.6]);
        // A suppressed box suppresses nobody.
        let chain = [scored(0, 0.9, 0.0, 0.4), scored(0, 0.8, 0.1, 0.5), scored(0, 0.7, 0.2, 0.6)];
        check(&nms(None), &chain, &[0.9, 0.7]);
    }

    #[test]
    fn a_flood_is_bounded() {
        let flood = (0..100_000).map(|i| {
            let x = (i % 1000) as f32 / 1000.0;
            scored(0, i as f32 / 1e5, x, x + 0.0005)
        });
        let kept = nms(None).keep(flood.collect());
        assert_eq!(kept.len(), BOXES_MAX);
        assert!(kept[0].score > 0.9999);
    }

    proptest! {
        #[test]
        fn what_is_kept_is_apart_and_sorted(
            boxes in prop::collection::vec((0usize..3, 0.0f32..1.0, 0.0f32..1.0, 0.01f32..0.5), 0..60)
        ) {
            let boxes: Vec<Scored> = boxes.into_iter().map(|(c, s, x, w)| scored(c, s, x, x + w)).collect();
            let kept = nms(None).keep(boxes.clone());
            prop_assert!(kept.windows(2).all(|w| w[0].score >= w[1].score));
            for (i, a) in kept.iter().enumerate() {
                for b in &kept[..i] {
                    prop_assert!(a.class != b.class || a.bbox.iou(&b.bbox) <= 0.5);
                }
            }
            // Nothing is lost without a surer box of its class over it.
            for b in &boxes {
                let covered = |k: &&Scored| k.class == b.class && k.score >= b.score && k.bbox.iou(&b.bbox) > 0.5;
                prop_assert!(kept.contains(b) || kept.iter().any(|k| covered(&k)));
            }
        }
    }
}
