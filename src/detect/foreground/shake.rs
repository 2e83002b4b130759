//! How far a shaking camera stands off from where it stood when the empty place was learnt.
//!
//! Edges are summed down the columns and along the rows of the picture; the two profiles of a shaken picture are those of
//! the still one, moved. Exposure scales them, what passes changes a small part of them.

use std::array;

/// Reach, as a share of the picture's width: 8 pixels at 640. What moves further has turned, not shaken.
const REACH: usize = 80;
/// A shift must explain the profile this much better than none (correlation, -1..1): noise alone moves nothing.
const GAIN_MIN: f32 = 0.02;
/// Profiles less alike than this at their best are of a blank or another picture: nothing is known of its shake.
const ALIKE_MIN: f32 = 0.5;
/// Profiles this much alike have not moved: most pictures of most cameras, for which nothing is searched.
const STILL_MIN: f32 = 0.98;
/// So many numbers are added up side by side.
const LANES: usize = 8;
/// One line in so many enters the sums.
const LINE_STEP: usize = 3;
/// So many lines are summed in 16 bits, which processors do eight at a time, before they are added to the whole.
const LINES_MAX: usize = 128;
/// So many strips, each so large a share of the width, enter the sums along the rows.
const STRIPS: usize = 4;
const STRIP_SHARE: usize = 16;
/// Wider strips tell nothing more, and their sums would not fit 16 bits.
const STRIP_PX_MAX: usize = 1024;

/// Edges by column and by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Profiles {
    columns: Vec<f32>,
    rows: Vec<f32>,
}

impl Profiles {
    /// Columns and rows.
    pub fn sides(&self) -> [&[f32]; 2] {
        [&self.columns, &self.rows]
    }

    /// From columns and rows.
    pub fn from_sides([columns, rows]: [Vec<f32>; 2]) -> Self {
        Self { columns, rows }
    }

    /// Those of a luma plane of `width` x `height` pixels, both at least 2.
    pub fn of(luma: &[u8], (width, height): (usize, usize)) -> Self {
        let mut columns = vec![0u32; width];
        let mut sums = vec![0u16; width];
        for lines in luma[..width * height].chunks(width * LINE_STEP * LINES_MAX) {
            sums.fill(0);
            for line in lines.chunks_exact(width).step_by(LINE_STEP) {
                for ((sum, &a), &b) in sums.iter_mut().zip(line).zip(&line[1..]) {
                    *sum += u16::from(distance(a, b));
                }
            }
            columns.iter_mut().zip(&sums).for_each(|(column, &sum)| *column += u32::from(sum));
        }
        let strip = (width / STRIP_SHARE).clamp(1, STRIP_PX_MAX);
        let starts = (0..STRIPS).map(|i| (2 * i + 1) * (width - strip) / (2 * STRIPS));
        let mut rows = vec![0u32; height];
        for start in starts {
            for (y, sum) in rows.iter_mut().enumerate().take(height - 1) {
                let (a, b) = (&luma[y * width + start..][..strip], &luma[(y + 1) * width + start..][..strip]);
                *sum += apart(a, b);
            }
        }
        let floats = |sums: Vec<u32>| sums.into_iter().map(|sum| sum as f32).collect();
        Self { columns: floats(columns), rows: floats(rows) }
    }

    /// Right and down, in pixels, by which this picture is moved against the other.
    pub fn shift_from(&self, still: &Self) -> (isize, isize) {
        let reach = (self.columns.len() / REACH).max(1) as isize;
        (moved(&still.columns, &self.columns, reach), moved(&still.rows, &self.rows, reach))
    }

    /// Follows slow changes of the place: `share` of the way towards a picture moved by `shift`.
    pub fn follow(&mut self, other: &Self, (dx, dy): (isize, isize), share: f32) {
        for (mine, theirs, shift) in
            [(&mut self.columns, &other.columns, dx), (&mut self.rows, &other.rows, dy)]
        {
            for (i, value) in mine.iter_mut().enumerate() {
                if let Some(new) = i.checked_add_signed(shift).and_then(|i| theirs.get(i)) {
                    *value += share * (new - *value);
                }
            }
        }
    }
}

/// `abs_diff` as processors do it on sixteen bytes at a time; the library's own goes through 32 bits.
fn distance(a: u8, b: u8) -> u8 {
    a.max(b) - a.min(b)
}

/// Sum of distances along two parts of lines, of at most `STRIP_PX_MAX` pixels.
fn apart(a: &[u8], b: &[u8]) -> u32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0u16; LANES];
    for (a, b) in a.iter().zip(b) {
        for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += u16::from(distance(a, b));
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(&a, &b)| u32::from(distance(a, b)));
    sums.iter().map(|&sum| u32::from(sum)).sum::<u32>() + rest.sum::<u32>()
}

/// The shift at which `new[i + shift]` is most like `old[i]`.
fn moved(old: &[f32], new: &[f32], reach: isize) -> isize {
    if old.len() != new.len() || old.len() <= 4 * reach as usize {
        return 0;
    }
    let still = likeness(old, new, 0, reach);
    if still >= STILL_MIN {
        return 0;
    }
    let all = (-reach..=reach).map(|shift| (likeness(old, new, shift, reach), shift));
    // Of equals the smallest: a blank wall does not move.
    let best = all.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.abs().cmp(&a.1.abs())));
    best.filter(|(likeness, _)| *likeness >= ALIKE_MIN.max(still + GAIN_MIN)).map_or(0, |(_, shift)| shift)
}

/// Correlation over the part that both have whatever the shift within reach.
fn likeness(old: &[f32], new: &[f32], shift: isize, reach: isize) -> f32 {
    let margin = reach as usize;
    let old = &old[margin..old.len() - margin];
    let new = &new[margin.saturating_add_signed(shift)..][..old.len()];
    // Eight sums side by side, for a processor adds no faster than one by one to a single sum. The odd few at the end,
    // of hundreds, are left out.
    let ((old, _), (new, _)) = (old.as_chunks::<LANES>(), new.as_chunks::<LANES>());
    let n = (old.len() * LANES) as f32;
    let mean = |values: &[[f32; LANES]]| {
        let mut sums = [0.0; LANES];
        values.iter().for_each(|lanes| sums.iter_mut().zip(lanes).for_each(|(sum, value)| *sum += value));
        sums.iter().sum::<f32>() / n
    };
    let (mean_old, mean_new) = (mean(old), mean(new));
    let [mut both, mut each_old, mut each_new] = [[0.0f32; LANES]; 3];
    for (old, new) in old.iter().zip(new) {
        let (a, b) = (old.map(|value| value - mean_old), new.map(|value| value - mean_new));
        both = array::from_fn(|i| both[i] + a[i] * b[i]);
        each_old = array::from_fn(|i| each_old[i] + a[i] * a[i]);
        each_new = array::from_fn(|i| each_new[i] + b[i] * b[i]);
    }
    let [both, old, new] = [both, each_old, each_new].map(|lanes| lanes.iter().sum::<f32>());
    let scale = (old * new).sqrt();
    if scale > 0.0 { both / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rough blocks, moved by so many pixels, in some exposure, with somebody passing.
    fn picture(size: (usize, usize), (dx, dy): (isize, isize), gain: f32, passer: bool) -> Vec<u8> {
        let value = |x: isize, y: isize| {
            let (bx, by) = (x.div_euclid(17), y.div_euclid(13));
            let mut block = fastrand::Rng::with_seed((bx * 1009 + by * 9176) as u64);
            f32::from(block.u8(60..160))
        };
        let mut noise = fastrand::Rng::with_seed((dx * 31 + dy) as u64);
        (0..size.0 * size.1)
            .map(|i| {
                let (x, y) = ((i % size.0) as isize, (i / size.0) as isize);
                let passes = passer && (100..150).contains(&x) && (60..160).contains(&y);
                let seen = if passes { 30.0 } else { value(x - dx, y - dy) };
                (seen * gain + noise.f32() * 6.0).clamp(0.0, 255.0) as u8
            })
            .collect()
    }

    #[test]
    fn shakes_are_measured_and_stillness_is_still() {
        let size = (640, 360);
        let still = Profiles::of(&picture(size, (0, 0), 1.0, false), size);
        for shift in [(0, 0), (1, 0), (-3, 2), (6, -7), (8, 8)] {
            for (gain, passer) in [(1.0, false), (0.7, true), (1.3, true)] {
                let shaken = Profiles::of(&picture(size, shift, gain, passer), size);
                assert_eq!(shaken.shift_from(&still), shift, "gain {gain}, passer {passer}");
            }
        }
        let blank = Profiles::of(&[90; 640 * 360], size);
        assert_eq!(blank.shift_from(&still), (0, 0));
        assert_eq!(still.shift_from(&blank), (0, 0));
        let noise = |seed: u64| -> Vec<u8> {
            let mut chance = fastrand::Rng::with_seed(seed);
            (0..size.0 * size.1).map(|_| 100 + chance.u8(0..6)).collect()
        };
        let dark = Profiles::of(&noise(1), size);
        assert_eq!(Profiles::of(&noise(2), size).shift_from(&dark), (0, 0), "noise alone");
        let small = Profiles::of(&[90; 4], (2, 2));
        assert_eq!(small.shift_from(&still), (0, 0));
    }
}
