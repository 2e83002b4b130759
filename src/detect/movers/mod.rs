//! Small moving things without a network: what differs from two earlier pictures, after the camera's shake is taken out.
//!
//! The place where a thing *is* differs from both earlier pictures; the place it left differs from one only. So the smaller
//! of both differences shows things at the newest capture time, with no delay (three-picture difference). A map of how
//! restless each place usually is raises the threshold over trees, screens and edges that tremble with the mast.

mod blobs;
mod shift;

use std::collections::VecDeque;
use std::time::Duration;

use crate::detection::Mover;
use crate::frame::Picture;
use crate::geometry::{BBox, Point, Polygon};

/// Pictures are analysed at most this wide; wider ones are reduced by a whole number. At 25 pictures/s this costs about a
/// tenth of a core.
const WIDTH_MAX: usize = 1280;
/// Most movers per picture, most contrasted first.
const MOVERS_MAX: usize = 25;
/// Age of the two earlier pictures, in seconds: so far back that a slow thing has left its place.
const AGES_S: (f64, f64) = (0.06, 0.12);
/// Earlier pictures older than this say nothing about motion any more, in seconds.
const AGE_S_MAX: f64 = 0.7;
/// Earlier pictures kept, at most: 0.12 s at 50 pictures/s and one to spare.
const PAST_MAX: usize = 8;
/// A thing is not larger than this share of the picture's height, either way.
const SIZE_MAX: f32 = 0.12;
/// Least area in analysed pixels.
const AREA_MIN: u32 = 2;
/// When more than this share of the picture changes at once, the light or the lens changed, not the scene.
const CHANGED_MAX: f32 = 0.06;
/// When the mean grey level jumps by this much between two pictures, it is the exposure or the infrared filter.
const EXPOSURE_STEP_MAX: f32 = 12.0;
/// Side of the squares of the restlessness map, in analysed pixels.
const SQUARE: usize = 8;
/// Time constant of the restlessness map in seconds.
const RESTLESS_S: f64 = 0.6;
/// Grey levels that every threshold has at least.
const THRESHOLD_MIN: f32 = 3.0;
/// Thresholds rise by this much per grey level of the picture's noise ...
const PER_NOISE: f32 = 3.0;
/// ... and by this much per grey level by which a place is usually more restless than the picture.
const PER_RESTLESSNESS: f32 = 3.0;
/// Time constant in seconds in which a lasting turn of the camera becomes its new rest position.
const REST_S: f64 = 5.0;

/// An earlier picture, cut to the zones and reduced.
struct Past {
    media: Duration,
    luma: Vec<u8>,
    /// How far the camera had moved since the first picture, in analysed pixels.
    moved: (f32, f32),
    mean: f32,
}

/// The part of the picture that is analysed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Cut {
    /// Size of the camera's picture.
    of: (usize, usize),
    /// Camera pixels per analysed pixel, each way.
    scale: usize,
    /// Left and top edge, in analysed pixels.
    at: (usize, usize),
    /// Width and height, in analysed pixels.
    size: (usize, usize),
}

/// Finds small moving things in every picture of one camera.
pub struct Movers {
    zones: Vec<Polygon>,
    cut: Option<Cut>,
    past: VecDeque<Past>,
    restless: Vec<f32>,
    /// Where the camera rests, as `Past::moved`; what shake is measured against.
    rest: (f32, f32),
}

impl Movers {
    /// Watches the zones' surroundings; no zones: the whole picture.
    pub fn new(zones: &[Polygon]) -> Self {
        Self {
            zones: zones.to_vec(),
            cut: None,
            past: VecDeque::new(),
            restless: Vec::new(),
            rest: (0.0, 0.0),
        }
    }

    /// Takes the next picture; gives what moves in it, at most 25, most contrasted first. Empty on the first pictures, after
    /// a gap, and after a global change (exposure, infrared switch, another picture size).
    pub fn observe(&mut self, picture: &Picture) -> Vec<Mover> {
        let Some(cut) = Cut::new(&self.zones, picture) else { return Vec::new() };
        if self.cut != Some(cut) {
            *self = Self { cut: Some(cut), ..Self::new(&self.zones) };
        }
        let media = picture.captured.media;
        let luma = cut.reduced(picture);
        let mean = mean_of(&luma);
        let age_s = |p: &Past| media.saturating_sub(p.media).as_secs_f64();
        self.past.retain(|p| age_s(p) <= AGE_S_MAX);
        let (width, _) = cut.size;
        let since_last_s = self.past.back().map_or(0.0, age_s);
        let moved = self.past.back().map_or(self.rest, |last| {
            let (dx, dy) = shift::between(&last.luma, &luma, width);
            (last.moved.0 + dx, last.moved.1 + dy)
        });
        let followed = (1.0 - (-since_last_s / REST_S).exp()) as f32;
        self.rest.0 += followed * (moved.0 - self.rest.0);
        self.rest.1 += followed * (moved.1 - self.rest.1);

        let older = |least_s: f64| self.past.iter().rev().find(|p| age_s(p) >= least_s);
        let pair = older(AGES_S.0).and_then(|near| {
            let far = older(AGES_S.1.max(age_s(near) + 1e-3))?;
            Some((near, far))
        });
        let found = pair.map_or_else(Vec::new, |(near, far)| {
            let difference = Difference::new(&cut, &luma, mean, moved, near, far);
            let alpha = (1.0 - (-since_last_s / RESTLESS_S).exp()) as f32;
            let thresholds = difference.thresholds(&mut self.restless, alpha);
            let steady =
                (mean - near.mean).abs() <= EXPOSURE_STEP_MAX && (mean - far.mean).abs() <= EXPOSURE_STEP_MAX;
            if steady { difference.blobs(&thresholds) } else { Vec::new() }
        });
        self.past.push_back(Past { media, luma, moved, mean });
        if self.past.len() > PAST_MAX {
            self.past.pop_front();
        }
        self.movers(&cut, moved, found)
    }

    fn movers(&self, cut: &Cut, moved: (f32, f32), mut found: Vec<blobs::Blob>) -> Vec<Mover> {
        let side_max = SIZE_MAX * cut.of.1 as f32 / cut.scale as f32;
        found.retain(|b| b.area >= AREA_MIN && b.width as f32 <= side_max && b.height as f32 <= side_max);
        // Contrast first, size second: a large faint shadow is less of a thing than a small clear one.
        let weight = |b: &blobs::Blob| b.contrast * (b.area as f32).powf(0.25);
        found.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        found.truncate(MOVERS_MAX);
        let shake = (moved.0 - self.rest.0, moved.1 - self.rest.1);
        let ratio =
            |v: f32, at: usize, of: usize| ((v + at as f32) * cut.scale as f32 / of as f32).clamp(0.0, 1.0);
        let mover = |b: &blobs::Blob| Mover {
            at: Point {
                x: ratio(b.x - shake.0, cut.at.0, cut.of.0),
                y: ratio(b.y - shake.1, cut.at.1, cut.of.1),
            },
            area_px: b.area as f32 * (cut.scale * cut.scale) as f32,
            contrast: b.contrast,
        };
        found.iter().map(mover).collect()
    }
}

impl Cut {
    fn new(zones: &[Polygon], picture: &Picture) -> Option<Self> {
        let (w, h) = (picture.width, picture.height);
        let scale = w.div_ceil(WIDTH_MAX).max(1);
        let (sw, sh) = (w / scale, h / scale);
        if picture.y.len() < w * h || sw < 4 * SQUARE || sh < 4 * SQUARE {
            return None;
        }
        let all = BBox { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 };
        let around = zones.iter().map(Polygon::bounds).reduce(|a, b| a.union(&b)).unwrap_or(all);
        // A little more than the zones, so that what enters has been seen before.
        let from = |v: f32, n: usize| (((v - 0.03).max(0.0) * n as f32) as usize).min(n - 4 * SQUARE);
        let to = |v: f32, n: usize| (((v + 0.03).min(1.0) * n as f32).ceil() as usize).min(n);
        let at = (from(around.x0, sw), from(around.y0, sh));
        let end = (to(around.x1, sw).max(at.0 + 4 * SQUARE), to(around.y1, sh).max(at.1 + 4 * SQUARE));
        Some(Self { of: (w, h), scale, at, size: (end.0 - at.0, end.1 - at.1) })
    }

    /// The luma of the cut, each pixel the mean of `scale` x `scale` camera pixels.
    fn reduced(&self, picture: &Picture) -> Vec<u8> {
        let ((x0, y0), (width, height), s) = (self.at, self.size, self.scale);
        let mut out = Vec::with_capacity(width * height);
        for row in y0..y0 + height {
            if s == 1 {
                let start = row * picture.width + x0;
                out.extend_from_slice(&picture.y[start..start + width]);
                continue;
            }
            let lines: Vec<&[u8]> =
                (0..s).map(|k| &picture.y[(row * s + k) * picture.width..][..picture.width]).collect();
            out.extend((x0..x0 + width).map(|column| {
                let sum: u32 = lines
                    .iter()
                    .map(|l| l[column * s..(column + 1) * s].iter().map(|&v| v as u32).sum::<u32>())
                    .sum();
                (sum / (s * s) as u32) as u8
            }));
        }
        out
    }
}

fn mean_of(luma: &[u8]) -> f32 {
    let sampled = luma.iter().step_by(7);
    let count = sampled.len().max(1);
    sampled.map(|&v| v as u64).sum::<u64>() as f32 / count as f32
}

/// What differs from both earlier pictures.
struct Difference {
    width: usize,
    height: usize,
    /// Smoothed lesser difference, grey levels.
    lesser: Vec<u8>,
    /// Mean difference from the nearer picture per square of the restlessness map.
    squares: Vec<f32>,
    columns: usize,
}

impl Difference {
    fn new(cut: &Cut, luma: &[u8], mean: f32, moved: (f32, f32), near: &Past, far: &Past) -> Self {
        let (width, height) = cut.size;
        let (columns, rows) = (width.div_ceil(SQUARE), height.div_ceil(SQUARE));
        let mut raw = vec![0u8; width * height];
        let mut squares = vec![0f32; columns * rows];
        let offset = |p: &Past| {
            let dx = (p.moved.0 - moved.0).round() as isize;
            let dy = (p.moved.1 - moved.1).round() as isize;
            (dx, dy, (p.mean - mean).round() as i16)
        };
        let ((ax, ay, a_step), (bx, by, b_step)) = (offset(near), offset(far));
        let margin_x = ax.unsigned_abs().max(bx.unsigned_abs()).min(width / 4);
        let margin_y = ay.unsigned_abs().max(by.unsigned_abs()).min(height / 4);
        for y in margin_y..height - margin_y {
            let line = |p: &'_ [u8], dx: isize, dy: isize| {
                let start = (y as isize + dy).clamp(0, height as isize - 1) as usize * width;
                let from = (start + margin_x).saturating_add_signed(dx).min(p.len() - (width - 2 * margin_x));
                from..from + width - 2 * margin_x
            };
            let now = &luma[y * width + margin_x..(y + 1) * width - margin_x];
            let a = &near.luma[line(&near.luma, ax, ay)];
            let b = &far.luma[line(&far.luma, bx, by)];
            let out = &mut raw[y * width + margin_x..(y + 1) * width - margin_x];
            let of_row = &mut squares[y / SQUARE * columns..][..columns];
            for (i, (((&now, &a), &b), out)) in now.iter().zip(a).zip(b).zip(out).enumerate() {
                let da = (now as i16 + a_step - a as i16).unsigned_abs();
                let db = (now as i16 + b_step - b as i16).unsigned_abs();
                *out = da.min(db).min(255) as u8;
                of_row[(i + margin_x) / SQUARE] += da as f32;
            }
        }
        for square in &mut squares {
            *square /= (SQUARE * SQUARE) as f32;
        }
        Self { width, height, lesser: smoothed(&raw, width, height), squares, columns }
    }

    /// The threshold of each square, from the noise of the picture and the restlessness of the place, which is then updated.
    fn thresholds(&self, restless: &mut Vec<f32>, alpha: f32) -> Vec<f32> {
        if restless.len() != self.squares.len() {
            restless.clone_from(&self.squares);
        }
        // The median is the noise as long as less than half of the picture moves.
        let mut sorted = self.squares.clone();
        let middle = sorted.len() / 2;
        let (_, noise, _) = sorted.select_nth_unstable_by(middle, f32::total_cmp);
        let noise = noise.max(0.8);
        let rows = self.squares.len() / self.columns;
        let thresholds = (0..self.squares.len()).map(|i| {
            let (row, column) = (i / self.columns, i % self.columns);
            let mut worst = 0.0f32;
            for r in row.saturating_sub(1)..(row + 2).min(rows) {
                for c in column.saturating_sub(1)..(column + 2).min(self.columns) {
                    worst = worst.max(restless[r * self.columns + c]);
                }
            }
            THRESHOLD_MIN + PER_NOISE * noise + PER_RESTLESSNESS * (worst - noise).max(0.0)
        });
        let thresholds = thresholds.collect();
        for (old, new) in restless.iter_mut().zip(&self.squares) {
            *old += alpha * (new - *old);
        }
        thresholds
    }

    /// Connected parts above the thresholds; empty if too much changed at once.
    fn blobs(&self, thresholds: &[f32]) -> Vec<blobs::Blob> {
        let over = |x: usize, y: usize| {
            let threshold = thresholds[y / SQUARE * self.columns + x / SQUARE];
            self.lesser[y * self.width + x] as f32 > threshold
        };
        let changed_max = (CHANGED_MAX * (self.width * self.height) as f32) as usize;
        blobs::connected(&self.lesser, self.width, self.height, over, changed_max).unwrap_or_default()
    }
}

/// Mean of 3 x 3 pixels; edges stay 0, there is nothing to compare them with.
fn smoothed(raw: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut across = vec![0u16; width * height];
    for (row, out) in raw.chunks_exact(width).zip(across.chunks_exact_mut(width)) {
        for (out, three) in out[1..].iter_mut().zip(row.windows(3)) {
            *out = three[0] as u16 + three[1] as u16 + three[2] as u16;
        }
    }
    let mut smooth = vec![0u8; width * height];
    for y in 1..height.saturating_sub(1) {
        let (above, here, below) = (
            &across[(y - 1) * width..y * width],
            &across[y * width..(y + 1) * width],
            &across[(y + 1) * width..(y + 2) * width],
        );
        let out = &mut smooth[y * width..(y + 1) * width];
        for (((out, a), h), b) in out.iter_mut().zip(above).zip(here).zip(below) {
            *out = ((a + h + b) / 9) as u8;
        }
    }
    smooth
}
