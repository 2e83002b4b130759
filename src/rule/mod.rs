//! What decides: one file per rule kind, the dwell clock that zones share, and the places (`stay.rs`) that have one each.
//!
//! A rule judges one picture of one zone; the zone's clock (or, for thrown objects, the path) makes a stage of it.
//! To add a kind: a file here, a variant of `config::RuleKind`, and an arm wherever the compiler then asks.

pub mod dwell;
pub mod obstruction;
pub mod presence;
pub mod stay;
pub mod thrown_object;

use crate::detection::{Class, Detection, Findings};
use crate::frame::Captured;
use crate::geometry::BBox;
use crate::track::Tracker;

/// Most objects named in one observation.
const OBJECTS_MAX: usize = 16;
/// An object that was once seen with the full score goes on counting down to this share of it: scores tremble.
const SCORE_KEPT: f32 = 0.6;

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
    /// Covered share of the zone, 0..1; 0 where the rule does not measure it.
    pub coverage: f32,
    /// The objects that matter, largest first, at most 16.
    pub objects: Vec<Detection>,
}

impl Look {
    fn new(present: bool, since: Option<Captured>, coverage: f32, mut objects: Vec<Detection>) -> Self {
        objects.sort_by(|a, b| b.bbox.area().total_cmp(&a.bbox.area()));
        objects.truncate(OBJECTS_MAX);
        Self { present, since, coverage, objects }
    }
}

/// Whether a class is one of these names.
fn named(classes: &[String], class: &Class) -> bool {
    classes.iter().any(|name| name == class.as_str())
}

/// Whether most of a box lies under one of the others.
fn hidden_by(bbox: &BBox, others: &[BBox]) -> bool {
    let area = bbox.area();
    area > 0.0 && others.iter().any(|o| bbox.intersection(o) >= 0.5 * area)
}
