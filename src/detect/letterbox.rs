//! From an I420 picture to a model's input in one fused pass, and from the model's boxes back to the picture.
//!
//! Pictures are shrunk by a box filter of whole pixels and the remaining factor (1 to 2) bilinearly, so nothing that
//! matters aliases away; chroma is sampled once per two output pixels, which is finer than 4:2:0 carries anyway.

use crate::frame::Picture;
use crate::geometry::BBox;

use super::card::{Colour, InputSpec, Resize};

/// Why a picture cannot be fed to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a picture of {width}x{height} has planes of {y}, {u} and {v} bytes")]
pub struct PlaneError {
    width: usize,
    height: usize,
    y: usize,
    u: usize,
    v: usize,
}

/// Where a picture lies in a model's input, in pixels of the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Left edge of the picture.
    pub left: usize,
    /// Top edge.
    pub top: usize,
    /// Width.
    pub width: usize,
    /// Height.
    pub height: usize,
}

impl Placement {
    /// Where a picture of `width` x `height` pixels lies in the input of `spec`.
    pub fn of(spec: &InputSpec, width: usize, height: usize) -> Self {
        if spec.resize == Resize::Stretch {
            return Self { left: 0, top: 0, width: spec.width, height: spec.height };
        }
        let across = spec.width as f64 / width as f64;
        let down = spec.height as f64 / height as f64;
        let scale = across.min(down);
        let fit = |n: usize, room: usize| ((n as f64 * scale).round() as usize).clamp(1, room);
        let (w, h) = (fit(width, spec.width), fit(height, spec.height));
        let (left, top) = match spec.resize {
            Resize::Letterbox => ((spec.width - w) / 2, (spec.height - h) / 2),
            _ => (0, 0),
        };
        Self { left, top, width: w, height: h }
    }

    /// A box in pixels of the model's input as a box in ratios of the picture, cut to the picture.
    pub fn picture_from_model(&self, [x0, y0, x1, y1]: [f32; 4]) -> BBox {
        let x = |v: f32| (v - self.left as f32) / self.width as f32;
        let y = |v: f32| (v - self.top as f32) / self.height as f32;
        BBox::clamped(x(x0), y(y0), x(x1), y(y1))
    }
}

/// Fits pictures into one model's input; keeps the tensor and the tables for the picture size it saw last.
#[derive(Debug)]
pub struct Letterbox {
    spec: InputSpec,
    tensor: Vec<f32>,
    tables: Option<Tables>,
}

/// What depends on the picture's size only.
#[derive(Debug)]
struct Tables {
    picture: (usize, usize),
    placement: Placement,
    luma: Shrink,
    chroma: Shrink,
}

impl Letterbox {
    /// A letterbox for inputs of `spec`.
    pub fn new(spec: &InputSpec) -> Self {
        Self { spec: spec.clone(), tensor: vec![0.0; 3 * spec.width * spec.height], tables: None }
    }

    /// Writes the picture into the tensor, `3 * height * width` values of planes in the model's channel order, and says
    /// where in it the picture lies.
    pub fn fill(&mut self, picture: &Picture) -> Result<(&[f32], Placement), PlaneError> {
        check(picture)?;
        let size = (picture.width, picture.height);
        if self.tables.as_ref().is_none_or(|t| t.picture != size) {
            self.prepare(size);
        }
        let Some(tables) = &mut self.tables else { unreachable!("prepared above") };
        let at = tables.placement;
        let maths = Colours::new(&self.spec, picture);
        let plane = self.spec.width * self.spec.height;
        let (first, rest) = self.tensor.split_at_mut(plane);
        let (second, third) = rest.split_at_mut(plane);
        let (red, green, blue) = match self.spec.colour {
            Colour::Rgb => (first, second, third),
            Colour::Bgr => (third, second, first),
        };
        let (chroma_width, _) = picture.chroma_size();
        // One scratch per plane: each keeps the last rows it reduced.
        let mut rows_y = tables.luma.scratch();
        let (mut rows_u, mut rows_v) = (tables.chroma.scratch(), tables.chroma.scratch());
        let mut shades = Shades::new(at.width);
        for row in 0..at.height {
            if row % 2 == 0 {
                let u = tables.chroma.row(&picture.u, chroma_width, row / 2, &mut rows_u);
                let v = tables.chroma.row(&picture.v, chroma_width, row / 2, &mut rows_v);
                maths.shade(u, v, &mut shades);
            }
            let y = tables.luma.row(&picture.y, picture.width, row, &mut rows_y);
            let start = (at.top + row) * self.spec.width + at.left;
            let span = start..start + at.width;
            maths.write(y, &shades, &mut red[span.clone()], &mut green[span.clone()], &mut blue[span]);
        }
        Ok((&self.tensor, at))
    }

    fn prepare(&mut self, (width, height): (usize, usize)) {
        let placement = Placement::of(&self.spec, width, height);
        let (w, h) = (placement.width, placement.height);
        let chroma = (width.div_ceil(2), height.div_ceil(2));
        self.tables = Some(Tables {
            picture: (width, height),
            placement,
            luma: Shrink { across: Axis::new(width, width, w), down: Axis::new(height, height, h) },
            chroma: Shrink { across: Axis::half(chroma.0, width, w), down: Axis::half(chroma.1, height, h) },
        });
        // The bars stay as they are until the size changes.
        let plane = self.spec.width * self.spec.height;
        for (channel, values) in self.tensor.chunks_exact_mut(plane).enumerate() {
            values.fill((self.spec.pad * self.spec.scale - self.spec.mean[channel]) / self.spec.std[channel]);
        }
    }
}

fn check(picture: &Picture) -> Result<(), PlaneError> {
    let (chroma_width, chroma_height) = picture.chroma_size();
    let chroma = chroma_width.checked_mul(chroma_height);
    let fits = picture.width > 0
        && picture.height > 0
        && picture.width.checked_mul(picture.height) == Some(picture.y.len())
        && chroma == Some(picture.u.len())
        && chroma == Some(picture.v.len());
    let (width, height) = (picture.width, picture.height);
    let (y, u, v) = (picture.y.len(), picture.u.len(), picture.v.len());
    if fits { Ok(()) } else { Err(PlaneError { width, height, y, u, v }) }
}

/// Largest block: 16 x 16 samples of 255 are what a `u16` holds.
const BLOCK_MAX: usize = 16;

/// How one axis of a plane is resampled: `block` samples become one, then pairs of blocks are blended.
#[derive(Debug)]
struct Axis {
    block: usize,
    blocks: usize,
    /// Per output sample: its left block, and the weight of the block after it.
    taps: Vec<(u32, f32)>,
    /// Whether the blocks are the output already.
    exact: bool,
}

impl Axis {
    /// `samples` samples that span `pixels` pixels become `out` samples.
    fn new(samples: usize, pixels: usize, out: usize) -> Self {
        Self::with_step(samples, pixels as f64 / out as f64, out)
    }

    /// The same for a chroma plane and half as many samples, each in the middle of two output pixels.
    fn half(samples: usize, pixels: usize, out: usize) -> Self {
        Self::with_step(samples, pixels as f64 / out as f64, out.div_ceil(2))
    }

    /// `step` is how many samples lie between two output samples.
    fn with_step(samples: usize, step: f64, out: usize) -> Self {
        let block = (step as usize).clamp(1, samples.min(BLOCK_MAX));
        let blocks = samples / block;
        let taps: Vec<_> = (0..out)
            .map(|i| {
                let at = ((i as f64 + 0.5) * step / block as f64 - 0.5).clamp(0.0, (blocks - 1) as f64);
                let left = at as usize;
                (left as u32, (at - left as f64) as f32)
            })
            .collect();
        let exact = blocks == out && taps.iter().all(|tap| tap.1 == 0.0);
        Self { block, blocks, taps, exact }
    }
}

/// How a plane is resampled.
#[derive(Debug)]
struct Shrink {
    across: Axis,
    down: Axis,
}

/// Rows of blocks that were reduced last, so that a row shared by two output rows is reduced once.
struct Rows {
    sums: Vec<u16>,
    sliding: Vec<u16>,
    /// Which row of blocks each slot holds.
    holds: [Option<usize>; 2],
    /// Means of a row of blocks, the last one twice.
    slots: [Vec<f32>; 2],
    blended: Vec<f32>,
    out: Vec<f32>,
}

impl Shrink {
    fn scratch(&self) -> Rows {
        let blocks = self.across.blocks;
        Rows {
            sums: vec![0; blocks * self.across.block],
            sliding: vec![0; blocks * self.across.block],
            holds: [None; 2],
            slots: [vec![0.0; blocks + 1], vec![0.0; blocks + 1]],
            blended: vec![0.0; blocks + 1],
            out: vec![0.0; self.across.taps.len()],
        }
    }

    /// Output row `row` of `plane`, whose rows are `width` samples long.
    fn row<'a>(&self, plane: &[u8], width: usize, row: usize, rows: &'a mut Rows) -> &'a [f32] {
        let (top, weight) = self.down.taps[row];
        let top = top as usize;
        // Row n of blocks always lives in slot n % 2.
        let upper = self.reduced(plane, width, top, rows);
        let line = if weight == 0.0 {
            &rows.slots[upper]
        } else {
            let lower = self.reduced(plane, width, top + 1, rows);
            let pairs = rows.slots[upper].iter().zip(&rows.slots[lower]);
            for (blended, (a, b)) in rows.blended.iter_mut().zip(pairs) {
                *blended = a + (b - a) * weight;
            }
            &rows.blended
        };
        if self.across.exact {
            return &line[..self.across.blocks];
        }
        for (out, &(left, weight)) in rows.out.iter_mut().zip(&self.across.taps) {
            let pair = &line[left as usize..][..2];
            *out = pair[0] + (pair[1] - pair[0]) * weight;
        }
        &rows.out
    }

    /// Makes sure that a slot holds the means of row `index` of blocks; returns which.
    fn reduced(&self, plane: &[u8], width: usize, index: usize, rows: &mut Rows) -> usize {
        let slot = index % 2;
        if rows.holds[slot] == Some(index) {
            return slot;
        }
        rows.holds[slot] = Some(index);
        let block = self.across.block;
        let used = self.across.blocks * block;
        let first = index * self.down.block;
        let line = |i: usize| &plane[(first + i) * width..][..used];
        let sums = &mut rows.sums;
        match self.down.block {
            1 => add([line(0)], sums),
            2 => add([line(0), line(1)], sums),
            3 => add([line(0), line(1), line(2)], sums),
            4 => add([line(0), line(1), line(2), line(3)], sums),
            lines => {
                sums.fill(0);
                for i in 0..lines {
                    for (sum, sample) in sums.iter_mut().zip(line(i)) {
                        *sum += u16::from(*sample);
                    }
                }
            }
        }
        let share = 1.0 / (block * self.down.block) as f32;
        let means = &mut rows.slots[slot];
        match block {
            1 => fold::<1>(sums, means, share),
            2 => fold::<2>(sums, means, share),
            4 => fold::<4>(sums, means, share),
            _ => {
                // Sliding sums take more additions than block sums, but whole vectors of them.
                let windows = sums.len() - block + 1;
                let sliding = &mut rows.sliding[..windows];
                sliding.copy_from_slice(&sums[..windows]);
                for shift in 1..block {
                    for (slide, sum) in sliding.iter_mut().zip(&sums[shift..]) {
                        *slide += sum;
                    }
                }
                for (mean, slide) in means.iter_mut().zip(sliding.iter().step_by(block)) {
                    *mean = f32::from(*slide) * share;
                }
            }
        }
        // A neighbour for the last block.
        means[self.across.blocks] = means[self.across.blocks - 1];
        slot
    }
}

/// Adds up `N` rows; a constant `N` keeps the sums in registers.
fn add<const N: usize>(rows: [&[u8]; N], sums: &mut [u16]) {
    let rows = rows.map(|row| &row[..sums.len()]);
    for (i, sum) in sums.iter_mut().enumerate() {
        *sum = rows.iter().map(|row| u16::from(row[i])).sum();
    }
}

/// Means of `N` neighbours at a time.
fn fold<const N: usize>(sums: &[u16], means: &mut [f32], share: f32) {
    let (blocks, _) = sums.as_chunks::<N>();
    for (mean, block) in means.iter_mut().zip(blocks) {
        *mean = f32::from(block.iter().sum::<u16>()) * share;
    }
}

/// What chroma adds to each channel, for every pixel of a row.
struct Shades {
    red: Vec<f32>,
    green: Vec<f32>,
    blue: Vec<f32>,
}

impl Shades {
    fn new(width: usize) -> Self {
        let even = vec![0.0; width.next_multiple_of(2)];
        Self { red: even.clone(), green: even.clone(), blue: even }
    }
}

/// Conversion of one picture's Y'CbCr to a model's channels.
struct Colours {
    luma_offset: f32,
    luma_gain: f32,
    red_v: f32,
    green_u: f32,
    green_v: f32,
    blue_u: f32,
    /// Per red, green, blue: gain and offset from 0..255 to the model's units.
    units: [(f32, f32); 3],
}

/// Standard-definition video is BT.601, high-definition BT.709, as players assume when nobody says.
const HD_HEIGHT_MIN: usize = 720;

impl Colours {
    fn new(spec: &InputSpec, picture: &Picture) -> Self {
        // Full range comes from JPEG in the main, which is BT.601 at any size (JFIF 1.02).
        let hd = picture.height >= HD_HEIGHT_MIN && !picture.full_range;
        let (kr, kb) = if hd { (0.2126, 0.0722) } else { (0.299, 0.114) };
        let kg = 1.0 - kr - kb;
        let (luma_offset, luma_gain, chroma_gain) =
            if picture.full_range { (0.0, 1.0, 1.0) } else { (16.0, 255.0 / 219.0, 255.0 / 224.0) };
        let units = |channel: usize| {
            let std = spec.std[channel];
            (spec.scale / std, -spec.mean[channel] / std)
        };
        let [first, second, third] = [units(0), units(1), units(2)];
        Self {
            luma_offset,
            luma_gain,
            red_v: 2.0 * (1.0 - kr) * chroma_gain,
            green_u: -2.0 * (1.0 - kb) * kb / kg * chroma_gain,
            green_v: -2.0 * (1.0 - kr) * kr / kg * chroma_gain,
            blue_u: 2.0 * (1.0 - kb) * chroma_gain,
            units: match spec.colour {
                Colour::Rgb => [first, second, third],
                Colour::Bgr => [third, second, first],
            },
        }
    }

    fn shade(&self, u: &[f32], v: &[f32], shades: &mut Shades) {
        // Chroma is centred on 128, luma starts at its offset.
        let black = |chroma_gain: f32| -self.luma_offset * self.luma_gain - 128.0 * chroma_gain;
        let (red, green, blue) = (black(self.red_v), black(self.green_u + self.green_v), black(self.blue_u));
        double(&mut shades.red, v.iter().map(|v| red + self.red_v * v));
        double(&mut shades.blue, u.iter().map(|u| blue + self.blue_u * u));
        let green = u.iter().zip(v).map(|(u, v)| green + self.green_u * u + self.green_v * v);
        double(&mut shades.green, green);
    }

    fn write(&self, y: &[f32], shades: &Shades, red: &mut [f32], green: &mut [f32], blue: &mut [f32]) {
        let [r, g, b] = self.units;
        let level = |y: f32, shade: f32, (gain, offset): (f32, f32)| {
            (y * self.luma_gain + shade).clamp(0.0, 255.0) * gain + offset
        };
        let n = y.len();
        let (red, green, blue) = (&mut red[..n], &mut green[..n], &mut blue[..n]);
        let (sr, sg, sb) = (&shades.red[..n], &shades.green[..n], &shades.blue[..n]);
        for i in 0..n {
            red[i] = level(y[i], sr[i], r);
            green[i] = level(y[i], sg[i], g);
            blue[i] = level(y[i], sb[i], b);
        }
    }
}

/// Writes every value twice: one chroma sample spans two pixels.
fn double(out: &mut [f32], values: impl Iterator<Item = f32>) {
    let (pairs, _) = out.as_chunks_mut::<2>();
    for (pair, value) in pairs.iter_mut().zip(values) {
        *pair = [value; 2];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Captured, Clock};
    use proptest::prelude::*;
    use std::time::Duration;

    fn spec(width: usize, height: usize, resize: Resize) -> InputSpec {
        let (pad, mean, std) = (114.0, [0.0; 3], [1.0; 3]);
        InputSpec { width, height, colour: Colour::Rgb, resize, pad, scale: 1.0, mean, std }
    }

    fn picture(width: usize, height: usize, yuv: impl Fn(f32, f32) -> [u8; 3]) -> Picture {
        let plane = |w: usize, h: usize, channel: usize| -> std::sync::Arc<[u8]> {
            let at = |i: usize| yuv(((i % w) as f32 + 0.5) / w as f32, ((i / w) as f32 + 0.5) / h as f32);
            (0..w * h).map(|i| at(i)[channel]).collect()
        };
        let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
        let captured =
            Captured { wall: jiff::Timestamp::UNIX_EPOCH, media: Duration::ZERO, clock: Clock::File };
        Picture {
            captured,
            width,
            height,
            y: plane(width, height, 0),
            u: plane(cw, ch, 1),
            v: plane(cw, ch, 2),
            full_range: false,
        }
    }

    fn pixel(tensor: &[f32], spec: &InputSpec, x: usize, y: usize) -> [f32; 3] {
        [0, 1, 2].map(|c| tensor[(c * spec.height + y) * spec.width + x])
    }

    #[test]
    fn known_colours_come_out() {
        // ITU-R BT.601 and BT.709 colour bars, 8 bit.
        let cases = [
            (180, false, [81, 90, 240], [255.0, 0.0, 0.0]),
            (180, false, [145, 54, 34], [0.0, 255.0, 0.0]),
            (180, true, [76, 85, 255], [254.0, 0.0, 0.0]),
            (1080, false, [63, 102, 240], [255.0, 0.0, 0.0]),
            (1080, false, [173, 42, 26], [0.0, 255.0, 0.0]),
            (1080, true, [29, 255, 107], [0.0, 0.0, 255.0]),
            (180, false, [235, 128, 128], [255.0, 255.0, 255.0]),
            (180, false, [0, 128, 128], [0.0, 0.0, 0.0]),
        ];
        for (height, full_range, yuv, rgb) in cases {
            let picture = Picture { full_range, ..picture(320, height, |_, _| yuv) };
            for colour in [Colour::Rgb, Colour::Bgr] {
                let spec = InputSpec { colour, ..spec(64, 64, Resize::Stretch) };
                let mut letterbox = Letterbox::new(&spec);
                let mut found = pixel(letterbox.fill(&picture).unwrap().0, &spec, 10, 10);
                if colour == Colour::Bgr {
                    found.reverse();
                }
                let near = found.iter().zip(rgb).all(|(a, b)| (a - b).abs() < 3.0);
                assert!(near, "{yuv:?} at {height} full range {full_range}: {found:?}");
            }
        }
    }

    #[test]
    fn scale_mean_and_std_follow_the_channels() {
        let grey = picture(64, 64, |_, _| [126, 128, 128]); // 128 in full range
        let (mean, std) = ([0.1, 0.2, 0.3], [0.5, 0.25, 0.125]);
        let spec = InputSpec { scale: 1.0 / 255.0, mean, std, ..spec(32, 64, Resize::Letterbox) };
        let mut letterbox = Letterbox::new(&spec);
        let (tensor, at) = letterbox.fill(&grey).unwrap();
        assert_eq!(at, Placement { left: 0, top: 16, width: 32, height: 32 });
        for (y, value) in [(8, 114.0), (32, 128.1)] {
            for (channel, found) in pixel(tensor, &spec, 5, y).into_iter().enumerate() {
                let expected = (value / 255.0 - mean[channel]) / std[channel];
                assert!((found - expected).abs() < 0.01, "row {y}, channel {channel}: {found}");
            }
        }
    }

    #[test]
    fn a_ramp_stays_where_it_is_at_any_size() {
        let ramp = |x: f32, y: f32| [(16.0 + 100.0 * x + 119.0 * y) as u8, 128, 128];
        let sizes = [(1920, 1080), (1280, 720), (704, 576), (351, 287), (64, 48), (33, 1), (5, 300)];
        for (width, height) in sizes {
            for resize in [Resize::Letterbox, Resize::LetterboxTopLeft, Resize::Stretch] {
                let spec = spec(320, 192, resize);
                let mut letterbox = Letterbox::new(&spec);
                let picture = picture(width, height, ramp);
                let (tensor, at) = letterbox.fill(&picture).unwrap();
                for (i, j) in [(0.25, 0.25), (0.5, 0.5), (0.8, 0.3), (0.1, 0.9)] {
                    let x = at.left + (at.width as f32 * i) as usize;
                    let y = at.top + (at.height as f32 * j) as usize;
                    let [u, v] = [
                        ((x - at.left) as f32 + 0.5) / at.width as f32,
                        ((y - at.top) as f32 + 0.5) / at.height as f32,
                    ];
                    let expected = (100.0 * u + 119.0 * v) * 255.0 / 219.0;
                    // One sample of the source is a step of the ramp; small sources have big steps.
                    let slack = 4.0 + 60.0 / width as f32 + 70.0 / height as f32;
                    let found = pixel(tensor, &spec, x, y)[1];
                    assert!(
                        (found - expected).abs() < slack,
                        "{width}x{height} {resize:?}: {found} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_new_size_clears_the_old_picture() {
        let spec = spec(64, 64, Resize::Letterbox);
        let mut letterbox = Letterbox::new(&spec);
        letterbox.fill(&picture(64, 64, |_, _| [235, 128, 128])).unwrap();
        let wide = picture(64, 16, |_, _| [235, 128, 128]);
        let (tensor, at) = letterbox.fill(&wide).unwrap();
        assert_eq!((at.top, at.height), (24, 16));
        assert_eq!(pixel(tensor, &spec, 32, 4), [114.0; 3]);
        assert_eq!(pixel(tensor, &spec, 32, 60), [114.0; 3]);
    }

    #[test]
    fn planes_of_another_size_are_refused() {
        let mut letterbox = Letterbox::new(&spec(64, 64, Resize::Letterbox));
        let good = picture(32, 32, |_, _| [0; 3]);
        for bad in [
            Picture { width: 33, ..good.clone() },
            Picture { width: 0, height: 0, y: [].into(), u: [].into(), v: [].into(), ..good.clone() },
            Picture { v: [0; 255].into(), ..good.clone() },
            Picture { width: usize::MAX, ..good.clone() },
        ] {
            assert!(letterbox.fill(&bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn boxes_come_back_from_the_model(
            width in 1usize..4000, height in 1usize..4000,
            x in 0.0f32..0.9, y in 0.0f32..0.9, w in 0.0f32..0.1, h in 0.0f32..0.1,
            resize in prop::sample::select(vec![Resize::Letterbox, Resize::LetterboxTopLeft, Resize::Stretch]),
        ) {
            let at = Placement::of(&spec(640, 352, resize), width, height);
            prop_assert!(at.left + at.width <= 640 && at.top + at.height <= 352);
            let model = |u: f32, v: f32| (at.left as f32 + u * at.width as f32, at.top as f32 + v * at.height as f32);
            let ((x0, y0), (x1, y1)) = (model(x, y), model(x + w, y + h));
            let found = at.picture_from_model([x0, y0, x1, y1]);
            for (a, b) in [(found.x0, x), (found.y0, y), (found.x1, x + w), (found.y1, y + h)] {
                prop_assert!((a - b).abs() < 1e-2, "{found:?}");
            }
        }

        #[test]
        fn any_size_stays_inside_the_tensor(width in 1usize..200, height in 1usize..200, side in 8usize..100) {
            let mut letterbox = Letterbox::new(&spec(side, 64, Resize::LetterboxTopLeft));
            let picture = picture(width, height, |_, _| [255, 255, 0]);
            let (tensor, _) = letterbox.fill(&picture).unwrap();
            prop_assert!(tensor.iter().all(|v| (0.0..=255.0).contains(v)));
        }
    }
}
