//! Output layouts of detector families: one file each, every one from a model's outputs to candidate boxes.
//!
//! Adding a family: a file here with `decode`, an arm in [`Family`], one in [`Family::decode`], its usual input in
//! [`InputSpec::usual`](super::InputSpec::usual), and a rule in `recognise.rs` if shapes alone tell it.

mod end_to_end;
mod fastestdet;
mod gfl;
mod nanodet;
mod picodet;
mod rtdetr;
mod ssd;
mod yolov5;
mod yolov8;
mod yolox;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How a detector's outputs are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `[1, N, 5 + classes]`: centre, size, objectness, classes, in pixels (YOLOv5, v6, v7, decoded YOLOX).
    Yolov5,
    /// `[1, 4 + classes, N]`: centre, size, classes, in pixels (YOLOv8 to YOLO12, masks of `-seg` ignored).
    Yolov8,
    /// `[1, N, 5 + classes]` on the grids of strides 8, 16, 32, not decoded.
    Yolox,
    /// Pairs of `[1, N, classes]` and `[1, N, 4 * bins]` on strides 8, 16, 32 (or one joined output: NanoDet-Plus).
    Nanodet,
    /// Pairs as NanoDet's, on strides 8, 16, 32, 64.
    Picodet,
    /// `[1, 5 + classes, height, width]` on one grid.
    Fastestdet,
    /// `[1, N, classes + 1]` scores, background first, and `[1, N, 4]` corners in ratios.
    Ssd,
    /// `[1, N, 6]`: corners in pixels, score, class, already suppressed (YOLOv10, YOLO26).
    EndToEnd,
    /// Queries: `labels`, `boxes`, `scores`, or `logits` and `pred_boxes` (RT-DETR, D-FINE, DEIM).
    Rtdetr,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 9] = [
        Self::Yolov5,
        Self::Yolov8,
        Self::Yolox,
        Self::Nanodet,
        Self::Picodet,
        Self::Fastestdet,
        Self::Ssd,
        Self::EndToEnd,
        Self::Rtdetr,
    ];

    /// Reads one picture's outputs: candidates of at least `score_min`, before NMS, none with a NaN or an infinity.
    pub fn decode(
        self,
        outputs: &[Output<'_>],
        grid: Grid,
        score_min: f32,
    ) -> Result<Vec<Candidate>, LayoutError> {
        let mut found = match self {
            Self::Yolov5 => yolov5::decode(outputs, grid, score_min),
            Self::Yolov8 => yolov8::decode(outputs, grid, score_min),
            Self::Yolox => yolox::decode(outputs, grid, score_min),
            Self::Nanodet => nanodet::decode(outputs, grid, score_min),
            Self::Picodet => picodet::decode(outputs, grid, score_min),
            Self::Fastestdet => fastestdet::decode(outputs, grid, score_min),
            Self::Ssd => ssd::decode(outputs, grid, score_min),
            Self::EndToEnd => end_to_end::decode(outputs, grid, score_min),
            Self::Rtdetr => rtdetr::decode(outputs, grid, score_min),
        }
        .map_err(|expected| LayoutError { family: self, expected, found: shapes(outputs) })?;
        found.retain(|c| {
            c.score >= score_min && c.score.is_finite() && c.corners.iter().all(|v| v.is_finite())
        });
        Ok(found)
    }

    /// Whether one object can have several boxes left, so that NMS is needed.
    pub fn needs_nms(self) -> bool {
        !matches!(self, Self::EndToEnd | Self::Rtdetr)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yolov5 => "yolov5",
            Self::Yolov8 => "yolov8",
            Self::Yolox => "yolox",
            Self::Nanodet => "nanodet",
            Self::Picodet => "picodet",
            Self::Fastestdet => "fastestdet",
            Self::Ssd => "ssd",
            Self::EndToEnd => "end_to_end",
            Self::Rtdetr => "rtdetr",
        })
    }
}

/// What decoding needs to know besides the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Width of the model's input in pixels.
    pub width: usize,
    /// Height of the model's input in pixels.
    pub height: usize,
    /// How many classes the model tells apart (without SSD's background).
    pub classes: usize,
}

impl Grid {
    /// Columns and rows of the feature map at `stride`.
    pub fn cells(&self, stride: usize) -> (usize, usize) {
        (self.width.div_ceil(stride), self.height.div_ceil(stride))
    }

    /// Cells of the feature maps at all `strides` together.
    pub fn cells_in(&self, strides: &[usize]) -> usize {
        strides.iter().map(|&s| self.cells(s).0 * self.cells(s).1).sum()
    }
}

/// The strides of a three-level pyramid.
pub const STRIDES: [usize; 3] = [8, 16, 32];
/// The strides of a four-level pyramid.
pub const STRIDES_P6: [usize; 4] = [8, 16, 32, 64];

/// One output tensor of a run, as `f32` in row-major order, with the shape that the run returned.
#[derive(Debug, Clone)]
pub struct Output<'a> {
    /// Its name in the graph.
    pub name: &'a str,
    /// Its size in every dimension.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Cow<'a, [f32]>,
}

impl Output<'_> {
    /// Rows and columns, if all dimensions but the last two are 1 and the values fill them.
    pub fn matrix(&self) -> Option<(usize, usize)> {
        let (outer, inner) = self.shape.split_at_checked(self.shape.len().checked_sub(2)?)?;
        let size = (inner[0], inner[1]);
        (outer.iter().all(|&n| n == 1) && size.0.checked_mul(size.1)? == self.values.len()).then_some(size)
    }

    /// Channels, rows and columns, if all dimensions but the last three are 1 and the values fill them.
    pub fn map(&self) -> Option<(usize, usize, usize)> {
        let (outer, inner) = self.shape.split_at_checked(self.shape.len().checked_sub(3)?)?;
        let size = (inner[0], inner[1], inner[2]);
        let count = size.0.checked_mul(size.1)?.checked_mul(size.2)?;
        (outer.iter().all(|&n| n == 1) && count == self.values.len()).then_some(size)
    }

    /// The row of a matrix of `columns`.
    fn row(&self, index: usize, columns: usize) -> &[f32] {
        &self.values[index * columns..(index + 1) * columns]
    }
}

/// A box that a model proposes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Index of its class.
    pub class: usize,
    /// How sure the model is, 0..1.
    pub score: f32,
    /// Left, top, right, bottom in pixels of the model's input.
    pub corners: [f32; 4],
}

/// A model's outputs do not have the layout of the family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the outputs {found} do not fit the family `{family}`, which has {expected}")]
pub struct LayoutError {
    /// The family they were read as.
    pub family: Family,
    /// The layout it wants.
    pub expected: &'static str,
    /// Names and shapes that the run returned.
    pub found: String,
}

/// Names and shapes of outputs for messages, at most eight.
pub fn shapes(outputs: &[Output<'_>]) -> String {
    let mut text: Vec<String> =
        outputs.iter().take(8).map(|o| format!("`{}` {:?}", o.name, o.shape)).collect();
    if outputs.len() > 8 {
        text.push(format!("and {} more", outputs.len() - 8));
    }
    if text.is_empty() { "(none)".into() } else { text.join(", ") }
}

/// The largest value and where it is; NaN never wins.
fn best(scores: &[f32]) -> Option<(usize, f32)> {
    let mut winner = None;
    let mut top = f32::NEG_INFINITY;
    for (i, &score) in scores.iter().enumerate() {
        if score > top {
            top = score;
            winner = Some((i, score));
        }
    }
    winner
}

/// Corners of the box with this centre and size.
fn around(x: f32, y: f32, width: f32, height: f32) -> [f32; 4] {
    [x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0]
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// What the tests of the families share: outputs that encode known boxes.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// An output with these values.
    pub fn output<'a>(name: &'a str, shape: &[usize], values: Vec<f32>) -> Output<'a> {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        Output { name, shape: shape.to_vec(), values: values.into() }
    }

    /// Asserts that the candidates are these, in any order, within half a pixel.
    pub fn assert_candidates(mut found: Vec<Candidate>, expected: &[(usize, f32, [f32; 4])]) {
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut expected = expected.to_vec();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1));
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (got, (class, score, corners)) in found.iter().zip(expected) {
            let near = got.corners.iter().zip(corners).all(|(a, b)| (a - b).abs() < 0.5);
            assert!(
                got.class == class && (got.score - score).abs() < 0.01 && near,
                "{got:?} is not {corners:?}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => -2.0f32..2.0,
            1 => any::<f32>(),
            1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e20]),
        ]
    }

    fn any_output() -> impl Strategy<Value = (Vec<usize>, Vec<f32>)> {
        let sizes = prop::sample::select(vec![0usize, 1, 2, 4, 5, 6, 7, 8, 21, 36, 63]);
        prop::collection::vec(sizes, 0..4).prop_flat_map(|shape| {
            let count: usize = shape.iter().product();
            // Now and then the values do not fill the shape.
            let lengths = prop_oneof![8 => Just(count), 1 => 0..count + 2];
            (Just(shape), lengths.prop_flat_map(|n| prop::collection::vec(any_value(), n)))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn any_outputs_give_finite_candidates_or_an_error(
            outputs in prop::collection::vec(any_output(), 0..9),
            classes in 1usize..4,
        ) {
            let outputs: Vec<Output> = outputs
                .into_iter()
                .map(|(shape, values)| Output { name: "boxes", shape, values: values.into() })
                .collect();
            let grid = Grid { width: 32, height: 32, classes };
            for family in Family::ALL {
                for candidate in family.decode(&outputs, grid, 0.05).unwrap_or_default() {
                    prop_assert!(candidate.score >= 0.05 && candidate.score.is_finite());
                    prop_assert!(candidate.corners.iter().all(|v| v.is_finite()));
                    prop_assert!(candidate.class < classes);
                }
            }
        }
    }

    #[test]
    fn names_match_the_cards() {
        for family in Family::ALL {
            let json = serde_json::to_value(family).unwrap();
            assert_eq!(json, serde_json::Value::String(family.to_string()));
        }
    }
}
