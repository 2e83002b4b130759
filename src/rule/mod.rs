//! What decides: one file per rule kind, the dwell clock that zones share, and the places (`stay.rs`) that have one each.
//!
//! A rule judges one picture of one zone; the zone's clock (or, for thrown objects, the path) makes a stage of it.
//! To add a kind: a file here, a variant of `config::RuleKind`, and an arm wherever the compiler then asks.

mod attendance;
pub mod dwell;
mod gap;
mod goods;
mod neighbour;
pub mod obstruction;
mod portrait;
pub mod presence;
pub mod stay;
pub mod thrown_object;

use std::time::Duration;

use crate::config::Rule;
use crate::detection::{Class, Detection, Findings, UNKNOWN};
use crate::frame::Captured;
use crate::geometry::{BBox, Polygon};
use crate::track::Tracker;

/// Most objects named in one observation.
const OBJECTS_MAX: usize = 16;
/// An object that was once seen with the full score goes on counting down to this share of it: scores tremble.
const SCORE_KEPT: f32 = 0.6;

/// Static foreground has stood for about this long when it counts first, in seconds.
const FOREGROUND_AGE: Duration = Duration::from_secs(3);

/// One picture as the rules see it.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// What was found.
    pub findings: &'a Findings,
    /// The same objects with their history; already fed with this picture.
    pub tracker: &'a Tracker,
}

impl View<'_> {
    /// Width of the picture divided by its height.
    pub fn aspect(&self) -> f32 {
        let (w, h) = self.findings.size_px;
        if w == 0 || h == 0 { 1.0 } else { w as f32 / h as f32 }
    }
}

/// What one picture says about a zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Whether the matter is there.
    pub present: bool,
    /// If given, what is there now has not been there for longer.
    pub since: Option<Captured>,
    /// Since when the oldest of it has been known, whether or not that limits its time; `None`: as `since`.
    pub known: Option<Captured>,
    /// Covered share of the zone, 0..1; 0 where the rule does not measure it.
    pub coverage: f32,
    /// The objects that matter, largest first, at most 16.
    pub objects: Vec<Detection>,
}

impl Look {
    fn new(present: bool, since: Option<Captured>, coverage: f32, mut objects: Vec<Detection>) -> Self {
        objects.sort_by(|a, b| b.bbox.area().total_cmp(&a.bbox.area()));
        objects.truncate(OBJECTS_MAX);
        Self { present, since, known: None, coverage, objects }
    }
}

/// Static foreground as an object; its score is no probability, nobody classified it.
fn unnamed(bbox: BBox) -> Detection {
    Detection::new(Class::from(UNKNOWN), 0.0, bbox)
}

/// Whether a class is one of these names.
fn named(classes: &[String], class: &Class) -> bool {
    classes.iter().any(|name| name == class.as_str())
}

/// Whether a box is as high as the rule asks for at the place where it stands: less towards the zone's upper, farther edge.
fn high_enough(rule: &Rule, zone: &Polygon, bbox: &BBox) -> bool {
    let near = rule.height_min;
    let far = rule.height_min_far.unwrap_or(near);
    let edges = zone.bounds();
    let share = ((bbox.y1 - edges.y0) / edges.height().max(f32::EPSILON)).clamp(0.0, 1.0);
    bbox.height() >= far + share * (near - far)
}

/// Whether most of a box lies under one of the others.
fn hidden_by(bbox: &BBox, others: &[BBox]) -> bool {
    let area = bbox.area();
    area > 0.0 && others.iter().any(|o| bbox.intersection(o) >= 0.5 * area)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scenario;

    #[test]
    fn the_least_height_follows_the_perspective() {
        let zone = Polygon::new([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]].map(Into::into).to_vec());
        let zone = zone.expect("a rectangle");
        let check = |far: Option<f32>, foot: f32, height: f32, wanted: bool| {
            let scenario = &Scenario::built_in()["fire_lane"];
            let rule = Rule { height_min: 0.2, height_min_far: far, ..scenario.rule.clone() };
            let bbox = BBox { x0: 0.4, x1: 0.5, y0: foot - height, y1: foot };
            assert_eq!(high_enough(&rule, &zone, &bbox), wanted, "{far:?}, foot {foot}, height {height}");
        };
        check(None, 0.3, 0.19, false);
        check(None, 0.3, 0.21, true);
        check(Some(0.05), 0.2, 0.06, true);
        check(Some(0.05), 0.2, 0.04, false);
        check(Some(0.05), 0.5, 0.13, true);
        check(Some(0.05), 0.5, 0.12, false);
        check(Some(0.05), 0.8, 0.19, false);
        // Beyond the edges it is as at the edges.
        check(Some(0.05), 0.1, 0.06, true);
        check(Some(0.05), 0.95, 0.21, true);
    }
}
