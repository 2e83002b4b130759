//! [`Measures`]: what one picture says by itself, without knowing what the camera usually shows.

use std::array;

use serde::{Deserialize, Serialize};

use crate::frame::Picture;

/// Cells across and down; at 1080p a cell is 20 x 20 pixels.
pub const CELLS: (usize, usize) = (96, 54);
/// Tiles across and down in which detail is looked for.
pub const TILES: (usize, usize) = (16, 9);
/// Longer side of the picture in which detail is looked for: larger ones are averaged down to about this, so that a
/// sharpness means the same for every camera, and a sensor's grain does not pass for detail.
const WORK_PX: usize = 640;
/// Lines read of each averaged line: more would cost time and tell nothing new.
const LINES_MAX: usize = 3;
/// Least contrast in a tile, in grey levels, to say something about its edges, ...
const CONTRAST_MIN: f32 = 24.0;
/// ... and least contrast as a multiple of the noise.
const CONTRAST_NOISES: f32 = 8.0;

/// One picture, measured. Luma is in 0..255 of full range whatever the camera's range is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Mean luma.
    pub mean: f32,
    /// Luma that 5 % of the cells lie under, ...
    pub low: f32,
    /// ... and 95 %.
    pub high: f32,
    /// Grey levels between the quarters of the cells that are darkest and brightest.
    pub middle: f32,
    /// Share of cells at 235 or brighter, 0..1.
    pub white: f32,
    /// Share of cells whose colour is the most frequent one, within a few levels, 0..1.
    pub uniform: f32,
    /// Distance from grey of that colour.
    pub uniform_chroma: f32,
    /// Mean distance from grey; infrared pictures have next to none.
    pub colour: f32,
    /// The tint that even the least coloured quarter of the picture has: blue and red difference.
    pub tint: [f32; 2],
    /// Share of a local contrast that is crossed within one pixel of a picture 640 wide, 0..1, in the middle one of the
    /// tiles with contrast; `None` if there are hardly any.
    pub sharpness: Option<f32>,
    /// Share of tiles that have contrast enough to judge edges by, 0..1.
    pub textured: f32,
    /// Grain in full resolution: deviation in grey levels in the calmer tiles.
    pub noise: f32,
    /// How much neighbours differ in these tiles, as a multiple of how much points four pixels apart do: 1 for white noise.
    pub whiteness: f32,
    /// Deviation of whole lines from those beside them in grey levels that goes right across the picture: rows, columns.
    pub stripes: [f32; 2],
}

/// The measures with what is needed to compare pictures with each other.
pub struct Look {
    /// The measures.
    pub measures: Measures,
    /// Mean luma of each cell, row by row, 0..255 of full range.
    pub cells: Vec<f32>,
    /// A checksum of each tile's luma in full resolution, row by row.
    pub sums: Vec<u32>,
}

impl Look {
    /// Measures a picture; `None` if it is too small to say anything (under 96 x 54), or its planes are too short.
    pub fn of(picture: &Picture) -> Option<Self> {
        let (w, h) = (picture.width, picture.height);
        let (cw, ch) = picture.chroma_size();
        let needed = w.checked_mul(h)?;
        let whole = picture.y.len() >= needed && picture.u.len() >= cw * ch && picture.v.len() >= cw * ch;
        if !whole || w < CELLS.0 || h < CELLS.1 {
            return None;
        }
        let work = Plane::averaged(&picture.y, (w, h), (w.max(h) / WORK_PX).max(1));
        let (gain, offset) = if picture.full_range { (1.0, 0.0) } else { (255.0 / 219.0, -16.0) };
        let levels = |code: f32| ((code + offset) * gain).clamp(0.0, 255.0);
        let cells: Vec<f32> = work.means(CELLS).into_iter().map(levels).collect();
        let chroma = (CELLS.0 / 2, CELLS.1 / 2);
        let blue = Plane { px: (cw, ch), luma: &picture.u[..cw * ch] }.means(chroma);
        let red = Plane { px: (cw, ch), luma: &picture.v[..cw * ch] }.means(chroma);

        let mut measures = Measures::default();
        measures.light(&cells);
        measures.tones(&cells, &blue, &red);
        measures.grain(&Plane { px: (w, h), luma: &picture.y[..w * h] }, gain);
        measures.edges(&work, gain);
        measures.lines(&work, gain);
        Some(Self { measures, cells, sums: checksums(&picture.y, (w, h)) })
    }
}

impl Measures {
    fn light(&mut self, cells: &[f32]) {
        // Each is looked for on the side of the one before where it must be.
        let mut sorted = cells.to_vec();
        let [i, j, k, l] = [0.05, 0.25, 0.75, 0.95].map(|share| ((cells.len() - 1) as f32 * share) as usize);
        let (dark, &mut quarter, bright) = sorted.select_nth_unstable_by(j, f32::total_cmp);
        let lowest = |side: &mut [f32], index: usize| *side.select_nth_unstable_by(index, f32::total_cmp).1;
        self.low = if i < j { lowest(dark, i) } else { quarter };
        let three_quarters = lowest(bright, k - j - 1);
        self.high = lowest(&mut bright[k - j - 1..], l - k);
        self.middle = three_quarters - quarter;
        let count = cells.len() as f32;
        self.mean = cells.iter().sum::<f32>() / count;
        self.white = cells.iter().filter(|&&luma| luma >= 235.0).count() as f32 / count;
    }

    /// Colours, on cells twice as large as those of luma.
    fn tones(&mut self, cells: &[f32], blue: &[f32], red: &[f32]) {
        let across = CELLS.0 / 2;
        let tones: Vec<[f32; 3]> = blue
            .iter()
            .zip(red)
            .enumerate()
            .map(|(i, (&blue, &red))| {
                let at = (i / across) * 2 * CELLS.0 + (i % across) * 2;
                let luma = cells[at] + cells[at + 1] + cells[at + CELLS.0] + cells[at + CELLS.0 + 1];
                [luma / 4.0, blue - 128.0, red - 128.0]
            })
            .collect();
        let count = tones.len() as f32;
        let distance = |tone: &[f32; 3]| tone[1].hypot(tone[2]);
        self.colour = tones.iter().map(distance).sum::<f32>() / count;

        // The most frequent colour: bins of 16 levels, then what is near their mean.
        let number = |v: f32| ((v + 256.0) / 16.0) as u32;
        let bin = |tone: &[f32; 3]| tone.iter().fold(0, |bin, &v| bin << 8 | number(v));
        let mut bins: Vec<u32> = tones.iter().map(bin).collect();
        bins.sort_unstable();
        let most = bins.chunk_by(|a, b| a == b).max_by_key(|run| run.len()).map_or(0, |run| run[0]);
        let inside: Vec<&[f32; 3]> = tones.iter().filter(|tone| bin(tone) == most).collect();
        let mode = [0, 1, 2].map(|i| inside.iter().map(|t| t[i]).sum::<f32>() / inside.len().max(1) as f32);
        let near = |tone: &&[f32; 3]| (0..3).all(|i| (tone[i] - mode[i]).abs() <= 6.0);
        self.uniform = tones.iter().filter(near).count() as f32 / count;
        self.uniform_chroma = distance(&mode);

        // Towards the mean colour, how far are even those that are least so? Black and white have no colour to show.
        let lit: Vec<&[f32; 3]> = tones.iter().filter(|t| t[0] > 30.0 && t[0] < 240.0).collect();
        if lit.len() * 4 < tones.len() {
            return;
        }
        let mean = [1, 2].map(|i| lit.iter().map(|t| t[i]).sum::<f32>() / lit.len() as f32);
        let length = mean[0].hypot(mean[1]).max(1e-3);
        let mut along: Vec<f32> = lit.iter().map(|t| (t[1] * mean[0] + t[2] * mean[1]) / length).collect();
        let quarter = along.len() / 4;
        let least = along.select_nth_unstable_by(quarter, f32::total_cmp).1.max(0.0);
        self.tint = mean.map(|v| v / length * least);
    }

    /// Grain, in full resolution, on some squares.
    fn grain(&mut self, plane: &Plane<&[u8]>, gain: f32) {
        const SIDE: usize = 24;
        const SQUARES: (usize, usize) = (10, 6);
        let (w, h) = plane.px;
        let mut found: Vec<(f32, f32)> = Vec::with_capacity(SQUARES.0 * SQUARES.1);
        for square in 0..SQUARES.0 * SQUARES.1 {
            let x = (w - SIDE) * (2 * (square % SQUARES.0) + 1) / (2 * SQUARES.0);
            let y = (h - SIDE) * (2 * (square / SQUARES.0) + 1) / (2 * SQUARES.1);
            let line = |row: usize| &plane.luma[(y + row) * w + x..][..SIDE];
            let (mut second, mut near, mut far, mut sum) = (0u32, 0u32, 0u32, 0u32);
            for row in 1..SIDE - 1 {
                let (a, b, c) = (line(row - 1), line(row), line(row + 1));
                // Down, then across: what processors do eight or sixteen at a time.
                let mut down = [0i16; SIDE];
                for (down, ((&a, &b), &c)) in down.iter_mut().zip(a.iter().zip(b).zip(c)) {
                    *down = i16::from(a) - 2 * i16::from(b) + i16::from(c);
                }
                let inner = down.iter().zip(&down[1..]).zip(&down[2..]);
                second += inner.map(|((&l, &m), &r)| u32::from((l - 2 * m + r).unsigned_abs())).sum::<u32>();
                near += b.iter().zip(&b[1..SIDE - 3]).map(|(&l, &r)| u32::from(l.abs_diff(r))).sum::<u32>();
                far += b.iter().zip(&b[4..]).map(|(&l, &r)| u32::from(l.abs_diff(r))).sum::<u32>();
                sum += b.iter().map(|&v| u32::from(v)).sum::<u32>();
            }
            let mean = sum as f32 / ((SIDE - 2) * SIDE) as f32;
            // What is clipped shows no grain.
            if (24.0..=232.0).contains(&mean) {
                // Immerkaer, Fast Noise Variance Estimation, 1996.
                let points = ((SIDE - 2) * (SIDE - 2)) as f32;
                let sigma = (std::f32::consts::PI / 2.0).sqrt() * second as f32 / (6.0 * points);
                found.push((sigma * gain, near as f32 / far.max(1) as f32));
            }
        }
        if found.len() * 4 < SQUARES.0 * SQUARES.1 {
            return;
        }
        let quarter = found.len() / 4;
        self.noise = found.select_nth_unstable_by(quarter, |a, b| a.0.total_cmp(&b.0)).1.0;
        let half = found.len() / 2;
        self.whiteness = found.select_nth_unstable_by(half, |a, b| a.1.total_cmp(&b.1)).1.1;
    }

    /// How steep the steepest edge of each tile is for its contrast.
    fn edges(&mut self, work: &Plane<Vec<u8>>, gain: f32) {
        let (w, h) = work.px;
        let mut slopes = Vec::with_capacity(TILES.0 * TILES.1);
        let (mut peaks, mut lows, mut highs) = (vec![0i16; w], vec![0i16; w], vec![0i16; w]);
        for tile_row in 0..TILES.1 {
            let (top, bottom) = (tile_row * h / TILES.1, ((tile_row + 1) * h / TILES.1).min(h - 1));
            peaks.fill(0);
            lows.fill(i16::MAX);
            highs.fill(0);
            for y in top..bottom {
                let (a, b) = (&work.luma[y * w..][..w], &work.luma[(y + 1) * w..][..w]);
                let squares = a.iter().zip(&a[1..]).zip(b.iter().zip(&b[1..]));
                let known = peaks.iter_mut().zip(&mut lows).zip(&mut highs);
                for (((&p, &q), (&r, &s)), ((peak, low), high)) in squares.zip(known) {
                    let (p, q, r, s) = (i16::from(p), i16::from(q), i16::from(r), i16::from(s));
                    let (across, down, all) = (p + r - q - s, p + q - r - s, p + q + r + s);
                    *peak = (*peak).max(across).max(-across).max(down).max(-down);
                    *low = (*low).min(all);
                    *high = (*high).max(all);
                }
            }
            for tile in 0..TILES.0 {
                let columns = tile * w / TILES.0..((tile + 1) * w / TILES.0).min(w - 1);
                let most = |values: &[i16]| f32::from(values.iter().copied().max().unwrap_or(0));
                let low = f32::from(lows[columns.clone()].iter().copied().min().unwrap_or(0)) / 4.0;
                let (peak, high) = (most(&peaks[columns.clone()]) / 2.0, most(&highs[columns]) / 4.0);
                let contrast = (high - low) * gain;
                if contrast >= CONTRAST_MIN.max(CONTRAST_NOISES * self.noise.min(8.0)) {
                    slopes.push((peak * gain - self.noise) / contrast);
                }
            }
        }
        let tiles = TILES.0 * TILES.1;
        self.textured = slopes.len() as f32 / tiles as f32;
        if slopes.len() * 12 >= tiles {
            let half = slopes.len() / 2;
            self.sharpness = Some(slopes.select_nth_unstable_by(half, f32::total_cmp).1.clamp(0.0, 1.0));
        }
    }

    /// Lines that differ from their neighbours in all four quarters of their length alike.
    fn lines(&mut self, work: &Plane<Vec<u8>>, gain: f32) {
        const PARTS: usize = 4;
        let (w, h) = work.px;
        let rows = work.means((PARTS, h.min(360)));
        let columns = work.means((w.min(640), PARTS));
        let part = |means: &[f32], part: usize, step: usize, stride: usize, count: usize| -> Vec<f32> {
            (0..count).map(|i| means[part * step + i * stride]).collect()
        };
        let by_rows = (0..PARTS).map(|p| part(&rows, p, 1, PARTS, h.min(360))).collect::<Vec<_>>();
        let count = w.min(640);
        let by_columns = (0..PARTS).map(|p| part(&columns, p, count, 1, count)).collect::<Vec<_>>();
        self.stripes = [by_rows, by_columns].map(|parts| common(&parts).sqrt() * gain);
    }
}

/// Variance that the high-passed series have in common: the middle one of their covariances with each other, 0 at least.
fn common(series: &[Vec<f32>]) -> f32 {
    const REACH: usize = 24;
    let high: Vec<Vec<f32>> = series
        .iter()
        .map(|line| {
            let mut sums = vec![0.0f32; line.len() + 1];
            for (i, v) in line.iter().enumerate() {
                sums[i + 1] = sums[i] + v;
            }
            (0..line.len())
                .map(|i| {
                    let (from, to) = (i.saturating_sub(REACH), (i + REACH + 1).min(line.len()));
                    line[i] - (sums[to] - sums[from]) / (to - from) as f32
                })
                .collect()
        })
        .collect();
    let mut shared = Vec::new();
    for (i, a) in high.iter().enumerate() {
        for b in &high[i + 1..] {
            shared.push(a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>() / a.len().max(1) as f32);
        }
    }
    if shared.is_empty() {
        return 0.0;
    }
    let low = shared.len() / 4;
    shared.select_nth_unstable_by(low, f32::total_cmp).1.max(0.0)
}

/// Some bytes as lines.
struct Plane<B> {
    px: (usize, usize),
    luma: B,
}

impl Plane<Vec<u8>> {
    /// Squares of `side` pixels averaged; what is left over at the right and below is dropped.
    fn averaged(luma: &[u8], (w, h): (usize, usize), side: usize) -> Self {
        let px = (w / side, h / side);
        if side == 1 {
            return Self { px, luma: luma[..w * h].to_vec() };
        }
        let mut out = Vec::with_capacity(px.0 * px.1);
        let step = side.div_ceil(LINES_MAX);
        let mut sums = vec![0u16; w];
        for row in 0..px.1 {
            sums.fill(0);
            let mut lines = 0;
            for y in (row * side..(row + 1) * side).step_by(step) {
                lines += 1;
                for (sum, &value) in sums.iter_mut().zip(&luma[y * w..][..w]) {
                    *sum += u16::from(value);
                }
            }
            // Times the reciprocal: a division per pixel would cost more than all the rest.
            let reciprocal = (1 << 16) / (lines * side) as u32 + 1;
            let mean = |sum: u32| ((sum * reciprocal) >> 16).min(255) as u8;
            // The usual sizes at lengths that the compiler knows: that is twice as fast.
            match side {
                2 => out.extend(squares::<2>(&sums, px.0).map(mean)),
                3 => out.extend(squares::<3>(&sums, px.0).map(mean)),
                _ => {
                    let all = sums.chunks_exact(side).take(px.0);
                    out.extend(all.map(|square| mean(square.iter().map(|&v| u32::from(v)).sum())));
                }
            }
        }
        Self { px, luma: out }
    }
}

/// Sums of so many in a row.
fn squares<const SIDE: usize>(sums: &[u16], count: usize) -> impl Iterator<Item = u32> {
    let squares = sums.as_chunks::<SIDE>().0;
    squares[..count.min(squares.len())].iter().map(|square| square.iter().map(|&v| u32::from(v)).sum())
}

impl<B: AsRef<[u8]>> Plane<B> {
    /// Means of a grid of cells, row by row; at most [`LINES_MAX`] lines are read of each.
    fn means(&self, (columns, rows): (usize, usize)) -> Vec<f32> {
        let ((w, h), luma) = (self.px, self.luma.as_ref());
        let mut means = Vec::with_capacity(columns * rows);
        let mut sums = vec![0u16; w];
        let span = |i: usize, length: usize, count: usize| {
            let from = i * length / count;
            from..((i + 1) * length / count).max(from + 1).min(length)
        };
        let columns: Vec<_> = (0..columns).map(|column| span(column, w, columns)).collect();
        for row in 0..rows {
            let row = span(row, h, rows);
            let step = row.len().div_ceil(LINES_MAX).max(1);
            let lines = row.len().div_ceil(step);
            add_lines(&mut sums, luma[row.start * w..row.end * w].chunks_exact(w).step_by(step));
            means.extend(columns.iter().map(|column| {
                let sum: u32 = sums[column.clone()].iter().map(|&v| u32::from(v)).sum();
                sum as f32 / (column.len() * lines).max(1) as f32
            }));
        }
        means
    }
}

/// Sums of at most [`LINES_MAX`] lines, pixel by pixel.
fn add_lines<'a>(sums: &mut [u16], mut lines: impl Iterator<Item = &'a [u8]>) {
    let wide = u16::from;
    match [lines.next(), lines.next(), lines.next()] {
        [Some(a), Some(b), Some(c)] => {
            let lines = a.iter().zip(b).zip(c);
            sums.iter_mut().zip(lines).for_each(|(sum, ((&a, &b), &c))| *sum = wide(a) + wide(b) + wide(c));
        }
        [Some(a), Some(b), None] => {
            sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (&a, &b))| *sum = wide(a) + wide(b));
        }
        [a, ..] => {
            let a = a.unwrap_or_default();
            sums.iter_mut().zip(a).for_each(|(sum, &a)| *sum = wide(a));
        }
    }
}

/// One checksum per tile, over every fourth line in full resolution.
fn checksums(luma: &[u8], (w, h): (usize, usize)) -> Vec<u32> {
    const FACTOR: u64 = 0x2545_f491_4f6c_dd1d;
    let mut sums = Vec::with_capacity(TILES.0 * TILES.1);
    let tiles: [_; TILES.0] = array::from_fn(|tile| tile * w / TILES.0..(tile + 1) * w / TILES.0);
    // Words that all tiles have are gone through tile by tile: no multiplication waits for the one before.
    let words = tiles.iter().map(|tile| tile.len() / 8).min().unwrap_or(0);
    for tile_row in 0..TILES.1 {
        let mut row = [0x9e37_79b9_7f4a_7c15u64; TILES.0];
        for y in (tile_row * h / TILES.1..(tile_row + 1) * h / TILES.1).step_by(4) {
            let line = &luma[y * w..][..w];
            let parts = tiles.each_ref().map(|tile| line[tile.clone()].as_chunks::<8>());
            let stir = |sum: &mut u64, word: &[u8; 8]| {
                *sum = (*sum ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR).rotate_left(23);
            };
            for word in 0..words {
                row.iter_mut().zip(&parts).for_each(|(sum, (part, _))| stir(sum, &part[word]));
            }
            for (sum, (part, rest)) in row.iter_mut().zip(&parts) {
                part[words..].iter().for_each(|word| stir(sum, word));
                rest.iter().for_each(|&byte| *sum = (*sum ^ u64::from(byte)).wrapping_mul(FACTOR));
            }
        }
        sums.extend(row.map(|sum| (sum >> 32) as u32));
    }
    sums
}
