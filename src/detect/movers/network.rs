//! Small moving things by a network: the last five pictures in, a map out that says where in the newest one something falls.
//!
//! The network is trained by `models/training/train_falls.py`. It sees, at its own size, each of five pictures less their
//! median, and the median; it answers for every cell of four by four pixels with a heat, and with where in the cell. What
//! it marks goes the same way as what [`Movers`](super::Movers) finds.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::super::card::{CardError, text_beside};
use super::super::session::{Input, Session};
use super::super::{Card, DetectError, hash};
use crate::config::Model;
use crate::detection::Mover;
use crate::frame::Picture;
use crate::geometry::{BBox, Point, Polygon};

/// Pictures that it looks at together.
const SPAN: usize = 5;
/// Pixels per cell of its answer, each way.
const STRIDE: usize = 4;
/// Maps of its answer: heat (a logit), right and down within the cell, speed right and down.
const MAPS: usize = 5;
/// Heat as a logit from which a cell counts: a probability of 0.3.
const HEAT_MIN: f32 = -0.847_298;
/// Movers per picture, hottest first.
const MOVERS_MAX: usize = 25;
/// After a gap of this many seconds the pictures are gathered anew.
const GAP_S_MAX: f64 = 0.5;
/// Grey levels and means that the training divides by.
const SCALES: (f32, f32, f32) = (24.0, 128.0, 64.0);
/// A thing is sought within so many pixels of its middle to tell its size.
const REACH: usize = 8;

/// The card of such a network: the `.toml` beside the `.onnx` file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkCard {
    /// The model's name.
    pub name: String,
    /// The `.onnx` file that the card describes, beside the card.
    pub file: String,
    /// SHA-256 of that file, lower-case hex.
    pub sha256: String,
    /// What it does: `falls`, which tells this card from a detector's.
    pub task: Task,
    /// Licence of the weights.
    pub licence: String,
    /// Where it comes from and how good it is; free text and figures.
    #[serde(default)]
    pub about: toml::Table,
}

/// What a network of this kind can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// It marks what falls.
    Falls,
}

impl NetworkCard {
    /// Reads the card beside `model`; `None` if there is none.
    pub fn beside(model: &Path) -> Result<Option<Self>, CardError> {
        let read = |(card, text): (PathBuf, String)| {
            toml::from_str(&text)
                .map_err(|e| CardError::Wrong { card, reason: e.to_string().trim_end().to_owned() })
        };
        text_beside(model)?.map(read).transpose()
    }
}

/// Marks small falling things in the pictures of one camera.
pub struct Network {
    session: Session,
    model: Model,
    /// Width and height that it looks at.
    size: (usize, usize),
    around: BBox,
    recent: VecDeque<Vec<u8>>,
    last: Duration,
    input: Vec<f32>,
}

impl Network {
    /// Loads the model and runs it once; `zones`: where things may fall.
    pub fn load(model: &Model, zones: &[Polygon]) -> Result<Self, DetectError> {
        let sha256 = hash(&model.file)
            .map_err(|e| DetectError::Unreadable { file: model.file.clone(), reason: e.to_string() })?;
        if let Some(card) = NetworkCard::beside(&model.file)?
            && !card.sha256.eq_ignore_ascii_case(&sha256)
        {
            let (file, expected) = (model.file.clone(), card.sha256);
            let card = Card::path_for(&file);
            return Err(CardError::OtherFile { file, card, found: sha256, expected }.into());
        }
        let session = Session::open(&model.file, model.provider, model.threads)?;
        let size = match session.inputs() {
            [port] => match port.shape[..] {
                [Some(1), Some(channels), Some(height), Some(width)]
                    if channels == SPAN + 1 && width % (2 * STRIDE) == 0 && height % (2 * STRIDE) == 0 =>
                {
                    (width, height)
                }
                _ => return Err(other(model, format!("its input is {:?}", port.shape))),
            },
            ports => return Err(other(model, format!("it has {} inputs", ports.len()))),
        };
        let all = BBox { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 };
        let around = zones.iter().map(Polygon::bounds).reduce(|a, b| a.union(&b)).unwrap_or(all);
        let input = vec![0.0; (SPAN + 1) * size.0 * size.1];
        let model = model.clone();
        let mut network =
            Self { session, model, size, around, recent: VecDeque::new(), last: Duration::ZERO, input };
        let empty = vec![0; size.0 * size.1];
        network.marked(&empty, &empty, 1.0)?;
        Ok(network)
    }

    /// Width and height in pixels that it looks at.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Takes the next picture; gives what falls in it, hottest first; nothing before the fifth picture.
    pub fn observe(&mut self, picture: &Picture) -> Result<Vec<Mover>, DetectError> {
        if picture.y.len() < picture.width * picture.height || picture.width == 0 || picture.height == 0 {
            return Ok(Vec::new());
        }
        if picture.captured.media.saturating_sub(self.last).as_secs_f64() > GAP_S_MAX {
            self.recent.clear();
        }
        self.last = picture.captured.media;
        if self.recent.len() == SPAN {
            self.recent.pop_front();
        }
        self.recent.push_back(reduced(picture, self.size));
        if self.recent.len() < SPAN {
            return Ok(Vec::new());
        }
        let median = self.prepare();
        let newest = std::mem::take(&mut self.recent[SPAN - 1]);
        let px = (picture.width * picture.height) as f32 / newest.len() as f32;
        let movers = self.marked(&newest, &median, px);
        self.recent[SPAN - 1] = newest;
        movers
    }

    /// Fills the input; gives the median of the pictures.
    fn prepare(&mut self) -> Vec<u8> {
        let (by, middle, spread) = SCALES;
        let (a, b, c, d, e) =
            (&self.recent[0], &self.recent[1], &self.recent[2], &self.recent[3], &self.recent[4]);
        let median: Vec<u8> = a
            .iter()
            .zip(b)
            .zip(c)
            .zip(d)
            .zip(e)
            .map(|((((a, b), c), d), e)| median(*a, *b, *c, *d, *e))
            .collect();
        let planes = self.input.chunks_exact_mut(median.len());
        for (plane, picture) in planes.zip(&self.recent) {
            for ((out, &value), &usual) in plane.iter_mut().zip(picture).zip(&median) {
                *out = (f32::from(value) - f32::from(usual)) / by;
            }
        }
        if let Some(plane) = self.input.chunks_exact_mut(median.len()).last() {
            plane
                .iter_mut()
                .zip(&median)
                .for_each(|(out, &usual)| *out = (f32::from(usual) - middle) / spread);
        }
        median
    }

    /// Runs the network on its input and reads its answer; `px`: the camera's pixels per pixel of it.
    fn marked(&mut self, newest: &[u8], median: &[u8], px: f32) -> Result<Vec<Mover>, DetectError> {
        let (width, height) = self.size;
        let (columns, rows) = (width / STRIDE, height / STRIDE);
        let pictures = Input::F32(vec![1, SPAN + 1, height, width], &self.input);
        let around = self.around;
        let found = self.session.run(&[pictures], |outputs| match outputs {
            [answer] if answer.shape == [1, MAPS, rows, columns] => Ok(peaks(&answer.values, columns, rows)),
            _ => Err(outputs.iter().map(|o| format!("{:?}", o.shape)).collect::<Vec<_>>().join(", ")),
        })?;
        let found = found.map_err(|shapes| other(&self.model, format!("its answer is {shapes}")))?;
        let near = |p: &Point| {
            (around.x0 - 0.03..=around.x1 + 0.03).contains(&p.x)
                && (around.y0 - 0.03..=around.y1 + 0.03).contains(&p.y)
        };
        let movers = found.into_iter().map(|(heat, x, y)| {
            let at = Point {
                x: (x * STRIDE as f32 / width as f32).clamp(0.0, 1.0),
                y: (y * STRIDE as f32 / height as f32).clamp(0.0, 1.0),
            };
            let area_px = px * area(newest, median, self.size, (x * STRIDE as f32, y * STRIDE as f32));
            // The linker takes the surest first; a probability in per cent stands for the contrast.
            Mover { at, area_px, contrast: 100.0 / (1.0 + (-heat).exp()) }
        });
        Ok(movers.filter(|m| near(&m.at)).take(MOVERS_MAX).collect())
    }
}

fn other(model: &Model, reason: String) -> DetectError {
    DetectError::Falls { file: model.file.clone(), reason }
}

/// The middle of five.
fn median(a: u8, b: u8, c: u8, d: u8, e: u8) -> u8 {
    // The smallest and the largest of two pairs cannot be the middle.
    let low = a.min(b).max(d.min(e));
    let high = a.max(b).min(d.max(e));
    low.min(high).max(low.max(high).min(c))
}

/// The luma in another size; each pixel the mean of those that it covers.
fn reduced(picture: &Picture, (width, height): (usize, usize)) -> Vec<u8> {
    let edges = |n: usize, of: usize| -> Vec<(usize, usize)> {
        (0..n).map(|i| (i * of / n, ((i + 1) * of / n).max(i * of / n + 1))).collect()
    };
    let (columns, rows) = (edges(width, picture.width), edges(height, picture.height));
    let mut out = Vec::with_capacity(width * height);
    let mut sums = vec![0u32; picture.width];
    for (top, bottom) in rows {
        sums.fill(0);
        for line in picture.y[top * picture.width..bottom * picture.width].chunks_exact(picture.width) {
            sums.iter_mut().zip(line).for_each(|(sum, &v)| *sum += u32::from(v));
        }
        out.extend(columns.iter().map(|&(left, right)| {
            let count = ((right - left) * (bottom - top)) as u32;
            ((sums[left..right].iter().sum::<u32>() + count / 2) / count) as u8
        }));
    }
    out
}

/// Heat and place, in cells, of the cells that are hot and hottest among their neighbours; hottest first.
fn peaks(answer: &[f32], columns: usize, rows: usize) -> Vec<(f32, f32, f32)> {
    let cells = columns * rows;
    let (heat, right, down) = (&answer[..cells], &answer[cells..2 * cells], &answer[2 * cells..3 * cells]);
    let mut found = Vec::new();
    for (i, &hot) in heat.iter().enumerate() {
        if hot < HEAT_MIN || !hot.is_finite() {
            continue;
        }
        let (row, column) = (i / columns, i % columns);
        let (left, width) = (column.saturating_sub(1), (column + 2).min(columns));
        let hottest = (row.saturating_sub(1)..(row + 2).min(rows))
            .all(|r| heat[r * columns + left..r * columns + width].iter().all(|&other| other <= hot));
        let (dx, dy) = (right[i], down[i]);
        if hottest && dx.is_finite() && dy.is_finite() {
            let held = |v: f32| v.clamp(-1.0, 1.0) + 0.5;
            found.push((hot, column as f32 + held(dx), row as f32 + held(dy)));
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found
}

/// How many pixels about a place differ at least half as much as the one that differs most.
fn area(newest: &[u8], usual: &[u8], (width, height): (usize, usize), (x, y): (f32, f32)) -> f32 {
    let range = |v: f32, n: usize| (v as usize).saturating_sub(REACH)..(v as usize + REACH + 1).min(n);
    let differences = || {
        range(y, height)
            .flat_map(|row| range(x, width).map(move |column| row * width + column))
            .map(|i| newest[i].abs_diff(usual[i]))
    };
    let top = differences().max().unwrap_or(0);
    differences().filter(|&d| d > (top / 2).max(4)).count() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_median_is_the_third(mut five in prop::array::uniform5(any::<u8>())) {
            let [a, b, c, d, e] = five;
            five.sort_unstable();
            prop_assert_eq!(median(a, b, c, d, e), five[2]);
        }

        #[test]
        fn any_answer_is_read(values in prop::collection::vec(prop::num::f32::ANY, MAPS * 6 * 4)) {
            let found = peaks(&values, 6, 4);
            prop_assert!(found.iter().all(|p| p.0.is_finite() && (-0.5..=6.5).contains(&p.1) && (-0.5..=4.5).contains(&p.2)));
        }
    }

    #[test]
    fn a_peak_is_found_where_it_is() {
        let mut answer = vec![-9.0; MAPS * 6 * 4];
        answer[6 * 4..].fill(0.0);
        (answer[2 * 6 + 3], answer[2 * 6 + 4]) = (2.0, 1.0);
        (answer[24 + 2 * 6 + 3], answer[48 + 2 * 6 + 3]) = (0.25, -0.25);
        assert_eq!(peaks(&answer, 6, 4), [(2.0, 3.75, 2.25)]);
    }
}
