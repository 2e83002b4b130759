//! What was found in one picture: objects with boxes, static foreground in zones, small moving things.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::frame::Captured;
use crate::geometry::{BBox, Point};

/// A class of objects by its name in the model card, such as `car`; cheap to clone.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Class(pub Arc<str>);

impl Class {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Class {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The class of static foreground that no detector named.
pub const UNKNOWN: &str = "unknown";

/// One object found by a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// What it is.
    pub class: Class,
    /// How sure the model is, 0..1.
    pub score: f32,
    /// Where it is.
    #[serde(rename = "box")]
    pub bbox: BBox,
    /// What it looks like; `None` if nobody looked, or if it is too small to look like anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks: Option<Appearance>,
}

impl Detection {
    /// An object whose looks nobody has noted.
    pub fn new(class: Class, score: f32, bbox: BBox) -> Self {
        Self { class, score, bbox, looks: None }
    }
}

/// What an object looks like, coarsely: means of luma, blue and red difference (0..255 each) of the nine fields of the
/// middle of its box, row by row. Enough to tell that another one of its kind has taken its place, and nothing that could
/// tell who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Appearance(pub [[u8; 3]; 9]);

/// Colour that noise and compression leave in a picture without any, in grey levels.
const GREY_MAX: u8 = 3;

impl Appearance {
    /// How far two looks are apart, in grey levels, luma and both colours together: the middle one of the nine fields, so
    /// that somebody who stands before a part changes nothing.
    pub fn distance(&self, other: &Self) -> u16 {
        let field = |a: [u8; 3], b: [u8; 3]| (0..3).map(|i| u16::from(a[i].abs_diff(b[i]))).sum();
        let mut fields: [u16; 9] = std::array::from_fn(|i| field(self.0[i], other.0[i]));
        fields.sort_unstable();
        fields[fields.len() / 2]
    }

    /// Whether it has no colour: a camera that sees by its infrared lamp, or a grey thing.
    pub fn is_grey(&self) -> bool {
        self.0.iter().all(|[_, blue, red]| blue.abs_diff(128) <= GREY_MAX && red.abs_diff(128) <= GREY_MAX)
    }

    /// How much brighter the other one is, in grey levels (the middle one of the nine fields), and how far the two looks are
    /// apart but for that: for looks in different light.
    pub fn distance_relit(&self, other: &Self) -> (i16, u16) {
        let brighter = |i: usize| i16::from(other.0[i][0]) - i16::from(self.0[i][0]);
        let mut lights: [i16; 9] = std::array::from_fn(brighter);
        lights.sort_unstable();
        let light = lights[lights.len() / 2];
        let field = |i: usize| {
            let colours = (1..3).map(|c| u16::from(self.0[i][c].abs_diff(other.0[i][c]))).sum::<u16>();
            (brighter(i) - light).unsigned_abs() + colours
        };
        let mut fields: [u16; 9] = std::array::from_fn(field);
        fields.sort_unstable();
        (light, fields[fields.len() / 2])
    }
}

/// Which model said so: its name and the hash of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ModelStamp {
    /// The model's name from its card.
    pub name: String,
    /// SHA-256 of the `.onnx` file, lower-case hex.
    pub sha256: String,
}

/// Things that stand in a zone and were not there before, whatever they are (class-agnostic static foreground).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZoneForeground {
    /// The zone's id.
    pub zone: String,
    /// How much of the zone's area static foreground covers, 0..1.
    pub covered: f32,
    /// Boxes around its connected parts, largest first, at most 16.
    pub boxes: Vec<BBox>,
    /// False while the background is being learnt or the light changes: the figures then say nothing.
    pub settled: bool,
}

/// A small thing that moved between pictures: a candidate for a thrown object.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mover {
    /// Its middle in the picture, stabilised against camera shake.
    pub at: Point,
    /// Its area in pixels of the analysed picture.
    pub area_px: f32,
    /// How far it stands out of its surroundings, in grey levels.
    pub contrast: f32,
}

/// Everything the analysis of one picture found: what the rules see, and what a trace records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// When the picture was captured.
    pub captured: Captured,
    /// The picture's size in pixels; rules need it for aspect ratio only.
    pub size_px: (u32, u32),
    /// Objects; `None` if no detector looked at this picture (which is not the same as seeing nothing).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<Detection>>,
    /// Static foreground per zone that asked for it; empty if nobody looked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreground: Vec<ZoneForeground>,
    /// Small moving things; `None` if nobody looked, empty after a global change (exposure, infrared switch).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub movers: Option<Vec<Mover>>,
}
