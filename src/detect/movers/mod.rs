//! Small moving things without a network: what differs from the place's usual look, after the camera's shake is taken out.
//!
//! The usual look is a running median of each pixel, so that a thing shows whole, also while it is still slow, and leaves no
//! trace. A map of how restless each place usually is raises the threshold over trees, screens and edges that tremble.

mod blobs;
mod network;
mod shift;

pub use network::{Network, NetworkCard};

use std::time::Duration;

use crate::detection::Mover;
use crate::frame::Picture;
use crate::geometry::{BBox, Point, Polygon};

/// Pictures are analysed at most this wide; wider ones are reduced by a whole number.
const WIDTH_MAX: usize = 1280;
/// Most movers per picture, most contrasted first.
const MOVERS_MAX: usize = 64;
/// After a gap of this many seconds the usual look is learnt anew.
const GAP_S_MAX: f64 = 5.0;
/// A thing is not larger than this share of the picture's height, either way.
const SIZE_MAX: f32 = 0.12;
/// Least area in analysed pixels.
const AREA_MIN: u32 = 2;
/// When more than this share of the picture changes at once, the light or the lens changed, not the scene.
const CHANGED_MAX: f32 = 0.06;
/// The same when its noise is suddenly this many times what it was, and two grey levels.
const NOISE_JUMP: f32 = 2.5;
/// If that lasts for so many seconds, the look is learnt anew.
const CHANGED_S_MAX: f64 = 0.2;
/// A change of exposure up to this factor, either way, is evened out; beyond it the look is learnt anew.
const EXPOSURE_MAX: f32 = 1.5;
/// Side of the squares of the restlessness map, in analysed pixels.
const SQUARE: usize = 8;
/// Time constant of the restlessness map in seconds: one thing that falls leaves nearly nothing in it.
const RESTLESS_S: f64 = 3.0;
/// A square counts as no more restless than this many grey levels beyond the noise at a time, for the same reason.
const RESTLESS_MAX: f32 = 10.0;
/// Grey levels that every threshold has at least.
const THRESHOLD_MIN: f32 = 2.5;
/// Thresholds rise by this much per grey level of the picture's noise ...
const PER_NOISE: f32 = 4.5;
/// ... and by this much per grey level by which a place is usually more restless than the picture.
const PER_RESTLESSNESS: f32 = 4.0;
/// The usual look follows by one grey level in this many seconds: a running median.
const FOLLOWS_S: f64 = 0.04;
/// Time constant in seconds in which a lasting turn of the camera is told from shake ...
const REST_S: f64 = 5.0;
/// ... and so many analysed pixels of it make the look be learnt anew.
const TURNED_MAX: f32 = 2.0;
/// A smaller shift than this, in pixels, is noise.
const SHIFT_MIN: f32 = 0.06;

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

/// How the place usually looks.
struct Look {
    luma: Vec<u8>,
    mean: f32,
    last: Duration,
    /// Seconds that the running median has yet to follow.
    owed_s: f64,
    /// Seconds since when nearly everything differs.
    changed_s: f64,
    /// Usual strength per square beyond the noise, and the usual noise, in grey levels.
    restless: Vec<f32>,
    noise: f32,
    /// Pictures that these were learnt from.
    pictures: u32,
    /// By how much the last picture was shifted, and the slow mean of that, in analysed pixels.
    shift: (f32, f32),
    turned: (f32, f32),
}

/// Finds small moving things in every picture of one camera.
pub struct Movers {
    zones: Vec<Polygon>,
    cut: Option<Cut>,
    look: Option<Look>,
    strength: Vec<u8>,
}

impl Movers {
    /// Watches the zones' surroundings; no zones: the whole picture.
    pub fn new(zones: &[Polygon]) -> Self {
        Self { zones: zones.to_vec(), cut: None, look: None, strength: Vec::new() }
    }

    /// Takes the next picture; gives what moves in it, at most 64, most contrasted first. Empty on the first picture, after
    /// a gap, and after a global change (exposure, infrared switch, another picture size).
    pub fn observe(&mut self, picture: &Picture) -> Vec<Mover> {
        let Some(cut) = Cut::new(&self.zones, picture) else { return Vec::new() };
        if self.cut != Some(cut) {
            *self = Self { cut: Some(cut), ..Self::new(&self.zones) };
        }
        let media = picture.captured.media;
        let mut luma = cut.reduced(picture);
        let found = self.look.as_mut().and_then(|look| {
            let since_s = media.saturating_sub(look.last).as_secs_f64();
            if since_s > GAP_S_MAX || !look.evened(&mut luma, black(picture)) {
                return None;
            }
            look.stabilised(&mut luma, cut.size, since_s)?;
            let found = look.differing(&luma, cut.size, since_s, &mut self.strength);
            look.changed_s = if found.is_some() { 0.0 } else { look.changed_s + since_s };
            look.follow(&luma, since_s);
            look.last = media;
            (look.changed_s <= CHANGED_S_MAX).then(|| found.unwrap_or_default())
        });
        if found.is_none() {
            self.look = Some(Look::new(luma, media, self.look.take()));
        }
        movers(&cut, found.unwrap_or_default())
    }
}

fn movers(cut: &Cut, mut found: Vec<blobs::Blob>) -> Vec<Mover> {
    let side_max = SIZE_MAX * cut.of.1 as f32 / cut.scale as f32;
    found.retain(|b| b.area >= AREA_MIN && b.width as f32 <= side_max && b.height as f32 <= side_max);
    // Contrast first, size second: a large faint shadow is less of a thing than a small clear one.
    let weight = |b: &blobs::Blob| b.contrast * (b.area as f32).powf(0.25);
    found.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    found.truncate(MOVERS_MAX);
    let ratio =
        |v: f32, at: usize, of: usize| ((v + at as f32) * cut.scale as f32 / of as f32).clamp(0.0, 1.0);
    let mover = |b: &blobs::Blob| Mover {
        at: Point { x: ratio(b.x, cut.at.0, cut.of.0), y: ratio(b.y, cut.at.1, cut.of.1) },
        area_px: b.area as f32 * (cut.scale * cut.scale) as f32,
        contrast: b.contrast,
    };
    found.iter().map(mover).collect()
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
        let lines = |row: usize| {
            picture.y[row * s * picture.width..(row + 1) * s * picture.width].chunks_exact(picture.width)
        };
        for row in y0..y0 + height {
            let mut cut = lines(row).map(|line| &line[x0 * s..(x0 + width) * s]);
            match s {
                1 => out.extend(cut.flatten()),
                // Most cameras: pairs as 16-bit numbers are what the processor adds eight or more of at a time.
                2 => {
                    let (Some(upper), Some(lower)) = (cut.next(), cut.next()) else { break };
                    let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2));
                    out.extend(pairs.map(|(a, b)| {
                        let (a, b) = (u16::from_le_bytes([a[0], a[1]]), u16::from_le_bytes([b[0], b[1]]));
                        (((a & 255) + (a >> 8) + (b & 255) + (b >> 8)) >> 2) as u8
                    }));
                }
                _ => {
                    let cut: Vec<&[u8]> = cut.collect();
                    out.extend((0..width).map(|column| {
                        let of = |l: &&[u8]| l[column * s..][..s].iter().map(|&v| u32::from(v)).sum::<u32>();
                        (cut.iter().map(of).sum::<u32>() / (s * s) as u32) as u8
                    }));
                }
            }
        }
        out
    }
}

/// The luma of black: exposure multiplies what is above it.
fn black(picture: &Picture) -> f32 {
    if picture.full_range { 0.0 } else { 16.0 }
}

fn mean_of(luma: &[u8]) -> f32 {
    let sampled = luma.iter().step_by(7);
    let count = sampled.len().max(1);
    sampled.map(|&v| v as u64).sum::<u64>() as f32 / count as f32
}

impl Look {
    /// What this picture shows; restless places stay restless.
    fn new(luma: Vec<u8>, last: Duration, before: Option<Self>) -> Self {
        let mean = mean_of(&luma);
        let (restless, noise, pictures) =
            before.map_or((Vec::new(), 0.0, 0), |b| (b.restless, b.noise, b.pictures.min(10)));
        let zero = (0.0, 0.0);
        Self {
            luma,
            mean,
            last,
            owed_s: 0.0,
            changed_s: 0.0,
            restless,
            noise,
            pictures,
            shift: zero,
            turned: zero,
        }
    }

    /// Brings a picture with this black to the exposure of the usual look; false if they are too far apart for that.
    fn evened(&self, luma: &mut [u8], black: f32) -> bool {
        let factor = (self.mean - black).max(1.0) / (mean_of(luma) - black).max(1.0);
        if !(1.0 / EXPOSURE_MAX..=EXPOSURE_MAX).contains(&factor) {
            return false;
        }
        if (factor - 1.0).abs() > 0.005 {
            let table: [u8; 256] =
                std::array::from_fn(|v| ((v as f32 - black) * factor + black + 0.5).clamp(0.0, 255.0) as u8);
            luma.iter_mut().for_each(|v| *v = table[*v as usize]);
        }
        true
    }

    /// Takes the camera's shake out of a picture; `None` if the camera has turned for good.
    fn stabilised(
        &mut self,
        luma: &mut Vec<u8>,
        (width, height): (usize, usize),
        since_s: f64,
    ) -> Option<()> {
        self.shift = shift::from(&self.luma, luma, width, self.shift);
        let followed = (1.0 - (-since_s / REST_S).exp()) as f32;
        self.turned.0 += followed * (self.shift.0 - self.turned.0);
        self.turned.1 += followed * (self.shift.1 - self.turned.1);
        if self.turned.0.hypot(self.turned.1) > TURNED_MAX {
            return None;
        }
        if self.shift.0.hypot(self.shift.1) >= SHIFT_MIN {
            *luma = shift::moved_back(luma, (width, height), self.shift);
        }
        Some(())
    }

    /// What stands out of the usual look; `None` after a global change.
    fn differing(
        &mut self,
        luma: &[u8],
        (width, height): (usize, usize),
        since_s: f64,
        strength: &mut Vec<u8>,
    ) -> Option<Vec<blobs::Blob>> {
        smoothed_difference(luma, &self.luma, width, height, strength);
        let (columns, rows) = (width.div_ceil(SQUARE), height.div_ceil(SQUARE));
        let mut squares = vec![0u32; columns * rows];
        for (y, row) in strength.chunks_exact(width).enumerate() {
            let of_row = &mut squares[y / SQUARE * columns..][..columns];
            for (sum, run) in of_row.iter_mut().zip(row.chunks(SQUARE)) {
                *sum += run.iter().map(|&v| u32::from(v)).sum::<u32>();
            }
        }
        let squares: Vec<f32> = squares.iter().map(|&s| s as f32 / (SQUARE * SQUARE) as f32).collect();
        // The median is the noise as long as less than half of the picture moves.
        let mut sorted = squares.clone();
        let middle = sorted.len() / 2;
        let (_, noise, _) = sorted.select_nth_unstable_by(middle, f32::total_cmp);
        let noise = noise.max(0.3);
        let steady = self.pictures == 0 || noise <= NOISE_JUMP * self.noise + 2.0;
        let thresholds = self.thresholds(noise, columns, squares.len());
        self.pictures = self.pictures.saturating_add(1);
        // The mean of the first pictures, later of the last seconds.
        let alpha = (1.0 / self.pictures as f32).max((1.0 - (-since_s / RESTLESS_S).exp()) as f32);
        self.noise += alpha * (noise - self.noise);
        for (usual, now) in self.restless.iter_mut().zip(&squares) {
            *usual += alpha * ((now - noise).clamp(0.0, RESTLESS_MAX) - *usual);
        }
        if !steady {
            return None;
        }
        let over = |x: usize, y: usize| {
            f32::from(strength[y * width + x]) > thresholds[y / SQUARE * columns + x / SQUARE]
        };
        let changed_max = (CHANGED_MAX * (width * height) as f32) as usize;
        blobs::connected(strength, width, height, over, changed_max)
    }

    /// The threshold of each of so many squares, from the noise of the picture and the restlessness of the place.
    fn thresholds(&mut self, noise: f32, columns: usize, count: usize) -> Vec<f32> {
        self.restless.resize(count, 0.0);
        let rows = count / columns;
        let threshold = |i: usize| {
            let (row, column) = (i / columns, i % columns);
            let mut worst = 0.0f32;
            for r in row.saturating_sub(1)..(row + 2).min(rows) {
                for c in column.saturating_sub(1)..(column + 2).min(columns) {
                    worst = worst.max(self.restless[r * columns + c]);
                }
            }
            THRESHOLD_MIN + PER_NOISE * noise + PER_RESTLESSNESS * worst
        };
        (0..count).map(threshold).collect()
    }

    /// The running median follows the picture.
    fn follow(&mut self, luma: &[u8], since_s: f64) {
        self.owed_s += since_s;
        let step = (self.owed_s / FOLLOWS_S).round().min(8.0) as u8;
        if step == 0 {
            return;
        }
        self.owed_s = 0.0;
        for (usual, now) in self.luma.iter_mut().zip(luma) {
            let up = now.saturating_sub(*usual).min(step);
            let down = usual.saturating_sub(*now).min(step);
            *usual = *usual + up - down;
        }
    }
}

/// Difference of two pictures, its mean over 3 x 3 pixels, without sign: noise cancels, a thing does not. Edges are 0.
fn smoothed_difference(a: &[u8], b: &[u8], width: usize, height: usize, strength: &mut Vec<u8>) {
    strength.clear();
    strength.resize(width * height, 0);
    let mut across = [vec![0i16; width], vec![0i16; width], vec![0i16; width]];
    let mut difference = vec![0i16; width];
    for y in 0..height {
        let line = y * width..(y + 1) * width;
        for ((d, &a), &b) in difference.iter_mut().zip(&a[line.clone()]).zip(&b[line]) {
            *d = i16::from(a) - i16::from(b);
        }
        for (sum, three) in across[y % 3][1..].iter_mut().zip(difference.windows(3)) {
            *sum = three[0] + three[1] + three[2];
        }
        if y < 2 {
            continue;
        }
        let out = &mut strength[(y - 1) * width + 1..y * width - 1];
        let rows = across[0][1..].iter().zip(&across[1][1..]).zip(&across[2][1..]);
        for (out, ((p, q), r)) in out.iter_mut().zip(rows) {
            // 57 / 512 is a ninth.
            *out = ((i32::from(p + q + r).unsigned_abs() * 57) >> 9) as u8;
        }
    }
}
