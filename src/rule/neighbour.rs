//! Who stands beside things: vendors and their customers, not passers-by; without ids, which small boxes do not keep.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::frame::Captured;
use crate::geometry::BBox;

/// How far a neighbour may stand off and still be beside an object, in its own heights.
const BESIDE_HEIGHTS: f32 = 0.5;
/// Who was where he is now so long ago does not walk by, in seconds: at least, ...
const STOOD_S_MIN: f64 = 3.5;
/// ... and at most.
const STOOD_S_MAX: f64 = 12.0;
/// Who stands is seen in one of so many looks at least.
const STOOD_LOOKS: u32 = 3;
/// How much two boxes of one who stands overlap at least (intersection over union): small boxes tremble.
const STOOD_IOU_MIN: f32 = 0.25;
/// Looks are noted this often, in seconds.
const NOTED_EVERY_S: f64 = 1.0;

/// Somebody who stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Where.
    pub bbox: BBox,
    /// The best score in this place in the last seconds: wheels and posts look a little like a person for hours.
    pub score: f32,
}

impl Neighbour {
    /// Whether he stands within half of his own height of an object.
    pub fn is_beside(&self, object: &BBox, aspect: f32) -> bool {
        let (bbox, reach) = (&self.bbox, BESIDE_HEIGHTS * self.bbox.height());
        let (x0, x1) = (bbox.x0 - reach / aspect, bbox.x1 + reach / aspect);
        BBox { x0, y0: bbox.y0 - reach, x1, y1: bbox.y1 + reach }.intersection(object) > 0.0
    }
}

/// Those who may be beside something, at the looks of the last seconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Neighbours {
    looks: VecDeque<(Captured, Vec<Neighbour>)>,
}

impl Neighbours {
    /// Takes all who are seen at one look; gives those of them who stand.
    pub fn look(&mut self, at: &Captured, now: Vec<Neighbour>) -> Vec<Neighbour> {
        // Where looks are rare, the last one counts whatever its age.
        let old = |(then, _): &(Captured, Vec<Neighbour>)| at.seconds_since(then) > STOOD_S_MAX;
        while self.looks.len() > 1 && self.looks.front().is_some_and(old) {
            self.looks.pop_front();
        }
        let standing = now.iter().filter_map(|person| self.standing(at, person)).collect();
        if self.looks.back().is_none_or(|(then, _)| at.seconds_since(then) >= NOTED_EVERY_S) {
            self.looks.push_back((*at, now));
        }
        standing
    }

    /// The person, if seen here some seconds ago and often enough since: others' steps cross this place, but not at every look.
    fn standing(&self, at: &Captured, person: &Neighbour) -> Option<Neighbour> {
        let (mut seen, mut stood, mut score) = (0, false, person.score);
        for ((then, persons), looks) in self.looks.iter().rev().zip(1..) {
            let here = persons.iter().filter(|then| then.bbox.iou(&person.bbox) >= STOOD_IOU_MIN);
            let Some(best) = here.map(|then| then.score).max_by(f32::total_cmp) else { continue };
            (seen, score) = (seen + 1, score.max(best));
            stood |= at.seconds_since(then) >= STOOD_S_MIN && seen * STOOD_LOOKS >= looks;
        }
        stood.then_some(Neighbour { score, ..*person })
    }

    /// Seconds between the last two looks that were noted.
    pub fn interval_s(&self) -> f64 {
        let mut looks = self.looks.iter().rev().map(|(at, _)| at);
        looks.next().zip(looks.next()).map_or(0.0, |(last, before)| last.seconds_since(before))
    }
}
