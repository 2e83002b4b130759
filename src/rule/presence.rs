//! Objects of some classes stay in the zone: a stall with its vendor, a table, a parked van.

use crate::config::Rule;
use crate::detection::Detection;
use crate::geometry::{BBox, Polygon};
use crate::track::Track;

use super::stay::Stays;
use super::{Look, SCORE_KEPT, View, hidden_by, high_enough, named};

/// How far a neighbour may stand off and still be beside an object, in its own heights.
const BESIDE_HEIGHTS: f32 = 0.5;

/// Judges whether objects of the rule's classes are in a zone.
#[derive(Debug, Clone)]
pub struct Presence {
    rule: Rule,
    zone: Polygon,
    /// Where the place matters.
    stays: Option<Stays>,
}

impl Presence {
    /// A judge for one zone.
    pub fn new(rule: &Rule, zone: &Polygon) -> Self {
        let stays = (rule.shift_max > 0.0).then(|| Stays::new(rule));
        Self { rule: rule.clone(), zone: zone.clone(), stays }
    }

    /// Judges one picture; `None` if no detector looked at it.
    pub fn look(&mut self, view: &View) -> Option<Look> {
        let found = view.findings.objects.as_ref()?;
        let at = &view.findings.captured;
        let boxes_of = |classes: &[String]| -> Vec<BBox> {
            let counts =
                |d: &&Detection| named(classes, &d.class) && d.score >= SCORE_KEPT * self.rule.score_min;
            found.iter().filter(counts).map(|d| d.bbox).collect()
        };
        let (exempt, beside) = (boxes_of(&self.rule.exempt), boxes_of(&self.rule.beside));
        let mut counting: Vec<&Track> = view
            .tracker
            .current()
            .filter(|t| self.counts(t) && !hidden_by(&t.bbox, &exempt))
            .filter(|t| self.rule.beside.is_empty() || attended(&t.bbox, &beside, view.aspect()))
            .collect();
        if let Some(stays) = &mut self.stays {
            stays.look(at, &counting, view.tracker);
            counting.retain(|track| stays.seen(track));
        }
        let since = self.stays.as_ref().and_then(Stays::since);
        let objects = counting.iter().map(|t| t.detection()).collect();
        Some(Look::new(!counting.is_empty(), since, 0.0, objects))
    }

    /// What was seen at the last look where something has stayed for the dwell time, each with the number of its stay.
    pub fn standing(&self) -> Vec<(u32, BBox)> {
        self.stays.as_ref().map_or_else(Vec::new, Stays::confirmed)
    }

    fn counts(&self, track: &Track) -> bool {
        named(&self.rule.classes, track.class())
            && track.score_best >= self.rule.score_min
            && track.score >= SCORE_KEPT * self.rule.score_min
            && high_enough(&self.rule, &self.zone, &track.bbox)
            && self.zone.share_of_box(&track.bbox) >= self.rule.inside_min
    }
}

/// Whether one of the neighbours stands within half of its own height of the box.
fn attended(bbox: &BBox, neighbours: &[BBox], aspect: f32) -> bool {
    neighbours.iter().any(|n| {
        let reach = BESIDE_HEIGHTS * n.height();
        let wide =
            BBox { x0: n.x0 - reach / aspect, y0: n.y0 - reach, x1: n.x1 + reach / aspect, y1: n.y1 + reach };
        wide.intersection(bbox) > 0.0
    })
}
