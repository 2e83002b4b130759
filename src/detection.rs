//! What was found in one picture: objects with boxes, static foreground in zones, small moving things.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

/// What an object looks like, coarsely: enough to tell that another one of its kind has taken its place, and nothing that
/// could tell who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appearance {
    /// Means of luma, blue and red difference (0..255 each) of the nine fields of the middle of its box, row by row.
    pub fields: [[u8; 3]; 9],
    /// Its light and dark parts; `None` if only the colours were noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
}

/// Colour that noise and compression leave in a picture without any, in grey levels.
const GREY_MAX: u8 = 3;

impl Appearance {
    /// How far two looks are apart, in grey levels, luma and both colours together: the middle one of the nine fields, so
    /// that somebody who stands before a part changes nothing.
    pub fn distance(&self, other: &Self) -> u16 {
        let field = |a: [u8; 3], b: [u8; 3]| (0..3).map(|i| u16::from(a[i].abs_diff(b[i]))).sum();
        let mut fields: [u16; 9] = std::array::from_fn(|i| field(self.fields[i], other.fields[i]));
        fields.sort_unstable();
        fields[fields.len() / 2]
    }

    /// Whether it has no colour: a camera that sees by its infrared lamp, or a grey thing.
    pub fn is_grey(&self) -> bool {
        self.fields
            .iter()
            .all(|[_, blue, red]| blue.abs_diff(128) <= GREY_MAX && red.abs_diff(128) <= GREY_MAX)
    }

    /// How much brighter the other one is, in grey levels (the middle one of the nine fields), and how far the two looks are
    /// apart but for that: for looks in different light.
    pub fn distance_relit(&self, other: &Self) -> (i16, u16) {
        let brighter = |i: usize| i16::from(other.fields[i][0]) - i16::from(self.fields[i][0]);
        let mut lights: [i16; 9] = std::array::from_fn(brighter);
        lights.sort_unstable();
        let light = lights[lights.len() / 2];
        let field = |i: usize| {
            let colours =
                (1..3).map(|c| u16::from(self.fields[i][c].abs_diff(other.fields[i][c]))).sum::<u16>();
            (brighter(i) - light).unsigned_abs() + colours
        };
        let mut fields: [u16; 9] = std::array::from_fn(field);
        fields.sort_unstable();
        (light, fields[fields.len() / 2])
    }
}

/// The light and dark parts of what fills a box: mean luma (0..255) of 12 x 12 fields, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Pattern(pub [u8; Self::SIDE * Self::SIDE]);

/// A pattern that varies by less than this has nothing to be compared, in grey levels.
const VARIES_MIN: f32 = 4.0;

impl Pattern {
    /// Fields across and down.
    pub const SIDE: usize = 12;

    /// How alike two patterns are, −1..1: their correlation where the boxes fit best, within a field each way, so that neither
    /// brightness nor contrast matters. 1 if neither has any parts.
    pub fn likeness(&self, other: &Self) -> f32 {
        let shifts = (-1..=1).flat_map(|down| (-1..=1).map(move |right| (right, down)));
        shifts.map(|(right, down)| self.correlation(other, right, down)).fold(-1.0, f32::max)
    }

    /// The correlation with the other one shifted by this many fields, where both have some.
    fn correlation(&self, other: &Self, right: isize, down: isize) -> f32 {
        let side = Self::SIDE as isize;
        let (mut n, mut sums, mut squares, mut product) = (0.0, [0.0; 2], [0.0; 2], 0.0);
        for y in down.max(0)..side + down.min(0) {
            for x in right.max(0)..side + right.min(0) {
                let at = |p: &Self, x: isize, y: isize| f32::from(p.0[(y * side + x) as usize]);
                let (a, b) = (at(self, x, y), at(other, x - right, y - down));
                n += 1.0;
                sums = [sums[0] + a, sums[1] + b];
                squares = [squares[0] + a * a, squares[1] + b * b];
                product += a * b;
            }
        }
        let variance = |i: usize| (squares[i] / n - (sums[i] / n).powi(2)).max(0.0);
        let (a, b) = (variance(0), variance(1));
        if a.max(b) < VARIES_MIN * VARIES_MIN {
            return 1.0;
        }
        // What has no parts where the other has is as unlike as chance.
        let floor = VARIES_MIN * VARIES_MIN;
        (product / n - sums[0] / n * (sums[1] / n)) / (a.max(floor) * b.max(floor)).sqrt()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        STANDARD.encode(pattern.0)
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = STANDARD.decode(&text).map_err(|error| format!("pattern: {error}"))?;
        let fields =
            bytes.try_into().map_err(|bytes: Vec<u8>| format!("pattern of {} fields", bytes.len()))?;
        Ok(Self(fields))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_pattern() -> impl Strategy<Value = Pattern> {
        prop::collection::vec(any::<u8>(), Pattern::SIDE * Pattern::SIDE)
            .prop_map(|fields| Pattern(fields.try_into().expect("as many")))
    }

    proptest! {
        #[test]
        fn patterns_are_alike_whatever_the_light(
            fields in prop::collection::vec(0u8..100, Pattern::SIDE * Pattern::SIDE),
            offset in 0u8..50,
            doubled in any::<bool>(),
        ) {
            let pattern = Pattern(fields.try_into().expect("as many"));
            let lit = Pattern(pattern.0.map(|v| v * if doubled { 2 } else { 1 } + offset));
            prop_assert!(pattern.likeness(&lit) > 0.999);
        }

        #[test]
        fn any_two_patterns_compare_and_come_back_from_text(a in any_pattern(), b in any_pattern()) {
            let likeness = a.likeness(&b);
            prop_assert!((-1.001..=1.001).contains(&likeness));
            prop_assert!((likeness - b.likeness(&a)).abs() < 1e-3);
            prop_assert_eq!(Pattern::try_from(String::from(a)), Ok(a));
        }

        #[test]
        fn any_text_is_survived(text in ".{0,300}") {
            let _ = Pattern::try_from(text);
        }
    }

    #[test]
    fn what_has_no_parts_is_like_what_has_none() {
        let flat = |grey| Pattern([grey; Pattern::SIDE * Pattern::SIDE]);
        let striped =
            Pattern(std::array::from_fn(|i| if (i / Pattern::SIDE).is_multiple_of(2) { 40 } else { 200 }));
        assert_eq!(flat(30).likeness(&flat(200)), 1.0);
        assert!(flat(30).likeness(&striped) < 0.1);
    }
}
