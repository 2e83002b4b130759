//! The change gate of one camera: a decoded picture in which no zone has changed is not inferred again.
//!
//! What was found last is still there then. Never spared: where something is suspected or open, and the first picture
//! after [`Need::blind_s_max`] without an inference. In shadow mode everything is inferred and what would have been
//! missed is counted.

use std::time::Duration;

use super::gauge::Counts;
use crate::config::{Gates, Zone};
use crate::detect::change::{Change, ChangeGate};
use crate::detection::Detection;
use crate::frame::Picture;
use crate::geometry::Polygon;
use crate::sampler::Need;

/// Two boxes are the same thing from this overlap on (intersection over union).
const SAME_IOU: f32 = 0.3;

/// One camera's change gate, with what was found last.
pub struct Gate {
    mode: Gates,
    change: ChangeGate,
    zones: Vec<Zone>,
    last: Option<(Duration, Vec<Detection>)>,
}

/// What the gate says of a picture.
pub struct Verdict {
    /// Whether a zone differs from the picture inferred last; `None`: not known.
    pub changed: Option<bool>,
    /// What need not be looked for again.
    pub known: Option<Vec<Detection>>,
    /// Whether that would have been said if this were no trial.
    shadowed: bool,
}

impl Gate {
    /// Knows nothing yet.
    pub fn new(zones: &[Zone], mode: Gates) -> Self {
        let polygons: Vec<Polygon> = zones.iter().map(|zone| zone.polygon.clone()).collect();
        Self { mode, change: ChangeGate::new(&polygons), zones: zones.to_vec(), last: None }
    }

    /// Compares a picture with the one inferred last.
    pub fn ask(&mut self, picture: &Picture, need: &Need, counts: &mut Counts) -> Verdict {
        let changed = match self.change.observe(picture) {
            Change::Unknown => None,
            Change::None => Some(false),
            Change::Some => Some(true),
        };
        let at = picture.captured.media;
        let fresh = |last: &Duration| at.saturating_sub(*last).as_secs_f64() < need.blind_s_max;
        let last = self.last.as_ref().filter(|(last, _)| fresh(last));
        let last = last.filter(|_| changed == Some(false) && !need.urgent && self.mode != Gates::Off);
        counts.unchanged += u64::from(last.is_some());
        let known = last.filter(|_| self.mode == Gates::On).map(|(_, objects)| objects.clone());
        Verdict { changed, shadowed: last.is_some() && known.is_none(), known }
    }

    /// Takes what was found in the picture that was asked about last.
    pub fn inferred(&mut self, at: Duration, verdict: &Verdict, objects: &[Detection], counts: &mut Counts) {
        if let (true, Some((_, before))) = (verdict.shadowed, &self.last) {
            counts.unchanged_missed +=
                u64::from(self.zones.iter().any(|zone| has_newcomer(zone, before, objects)));
        }
        self.change.inferred();
        self.last = Some((at, objects.to_vec()));
    }
}

/// Whether something that matters to a zone is there now and was not before.
fn has_newcomer(zone: &Zone, before: &[Detection], now: &[Detection]) -> bool {
    let rule = &zone.rule;
    let matters = |object: &&Detection| {
        object.score >= rule.score_min
            && rule.classes.iter().any(|class| class == object.class.as_str())
            && zone.polygon.share_of_box(&object.bbox.base()) >= rule.inside_min
    };
    let is_new = |object: &Detection| !before.iter().any(|old| old.bbox.iou(&object.bbox) >= SAME_IOU);
    now.iter().filter(matters).any(is_new)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Hours, Scenario};
    use crate::frame::{Captured, Clock};
    use crate::geometry::Point;

    fn picture(at_s: u64, thing: bool) -> Picture {
        let (width, height) = (640, 360);
        let media = Duration::from_secs(at_s);
        let captured = Captured { wall: jiff::Timestamp::UNIX_EPOCH, media, clock: Clock::File };
        let mut y: Vec<u8> = (0..width * height).map(|i| 100 + (i % 7) as u8).collect();
        if thing {
            (150..250).for_each(|row| y[row * width + 300..row * width + 360].fill(220));
        }
        let grey: Arc<[u8]> = vec![128; width * height / 4].into();
        Picture { captured, width, height, y: y.into(), u: grey.clone(), v: grey, full_range: false }
    }

    #[test]
    fn nothing_new_is_not_looked_for() {
        let scenario = Arc::clone(&Scenario::built_in()["fire_lane"]);
        let corners = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]].map(Point::from);
        let zone = Zone {
            id: "lane".into(),
            name: "lane".into(),
            revision: "r1".into(),
            polygon: Polygon::new(corners.to_vec()).unwrap(),
            rule: scenario.rule.clone(),
            scenario,
            hours: Hours::default(),
            facade: None,
        };
        let idle = Need { picture_every_s: Some(2.0), blind_s_max: 10.0, ..Need::default() };
        let urgent = Need { urgent: true, ..idle };
        // (at, something there, need) -> whether it is spared in mode `on`
        let script = [
            (0, false, idle, false), // the first
            (2, false, idle, true),
            (4, false, urgent, false), // suspected: always looked at
            (6, false, idle, true),
            (14, false, idle, false), // ten seconds after the last inference
            (16, true, idle, false),  // something has come
            (18, true, idle, true),   // and is known now
        ];
        for mode in [Gates::On, Gates::Shadow, Gates::Off] {
            let (mut gate, mut counts) = (Gate::new(std::slice::from_ref(&zone), mode), Counts::default());
            for (at_s, thing, need, spared) in script {
                let picture = picture(at_s, thing);
                let verdict = gate.ask(&picture, &need, &mut counts);
                assert_eq!(verdict.known.is_some(), spared && mode == Gates::On, "{mode:?} at {at_s}");
                if verdict.known.is_none() {
                    gate.inferred(picture.captured.media, &verdict, &[], &mut counts);
                }
            }
            assert_eq!(counts.unchanged > 0, mode != Gates::Off, "{mode:?}: {counts:?}");
            assert_eq!(counts.unchanged_missed, 0);
        }
    }
}
