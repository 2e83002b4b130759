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
/// So many lines are added at once.
const LINES_AT_ONCE: usize = 4;
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
        let strip = (width / STRIP_SHARE).clamp(1, STRIP_PX_MAX);
        let starts: [usize; STRIPS] = array::from_fn(|i| (2 * i + 1) * (width - strip) / (2 * STRIPS));
        let (mut columns, mut rows) = (vec![0u32; width], vec![0u32; height]);
        let mut sums = vec![0u16; width];
        // Both at once, from the top down: what is read in order is there when it is needed.
        for (block, lines) in luma[..width * height].chunks(width * LINE_STEP * LINES_AT_ONCE).enumerate() {
            add_edges(&mut sums, lines);
            if block % (LINES_MAX / LINES_AT_ONCE) == LINES_MAX / LINES_AT_ONCE - 1 {
                move_sums(&mut columns, &mut sums);
            }
            let first = block * LINE_STEP * LINES_AT_ONCE;
            for y in first..(first + LINE_STEP * LINES_AT_ONCE).min(height - 1) {
                let (line, next) = (&luma[y * width..][..width], &luma[(y + 1) * width..][..width]);
                rows[y] = starts.iter().map(|&x| apart(&line[x..][..strip], &next[x..][..strip])).sum();
            }
        }
        move_sums(&mut columns, &mut sums);
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
            let (ahead, behind) = (shift.max(0) as usize, (-shift).max(0) as usize);
            let mine = mine.iter_mut().skip(behind);
            for (value, new) in mine.zip(theirs.iter().skip(ahead)) {
                *value += share * (new - *value);
            }
        }
    }
}

/// `abs_diff` as processors do it on sixteen bytes at a time; the library's own goes through 32 bits.
fn distance(a: u8, b: u8) -> u8 {
    a.max(b) - a.min(b)
}

/// Adds the distances of pixels from those beside them, in one of [`LINE_STEP`] lines of at most [`LINES_AT_ONCE`] times
/// as many.
fn add_edges(sums: &mut [u16], lines: &[u8]) {
    let width = sums.len();
    let edge = |line: &[u8], x: usize| u16::from(distance(line[x], line[x + 1]));
    if lines.len() < width * LINE_STEP * LINES_AT_ONCE {
        for line in lines.chunks_exact(width).step_by(LINE_STEP) {
            (0..width - 1).for_each(|x| sums[x] += edge(line, x));
        }
        return;
    }
    // The sums are fetched and put back once for all of them.
    let line = |i: usize| &lines[i * LINE_STEP * width..][..width];
    let (a, b, c, d) = (line(0), line(1), line(2), line(3));
    for (x, sum) in sums[..width - 1].iter_mut().enumerate() {
        *sum += (edge(a, x) + edge(b, x)) + (edge(c, x) + edge(d, x));
    }
}

/// From 16 bits to 32.
fn move_sums(columns: &mut [u32], sums: &mut [u16]) {
    for (column, sum) in columns.iter_mut().zip(sums) {
        *column += u32::from(std::mem::take(sum));
    }
}

/// Sum of distances along two parts of lines; in such steps processors have an instruction for it.
fn apart(a: &[u8], b: &[u8]) -> u32 {
    let sum = |a: &[u8], b: &[u8]| -> u32 {
        a.iter().zip(b).map(|(&a, &b)| (i32::from(a) - i32::from(b)).unsigned_abs()).sum()
    };
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    a.iter().zip(b).map(|(a, b)| sum(a, b)).sum::<u32>() + sum(a_rest, b_rest)
}

/// The shift at which `new[i + shift]` is most like `old[i]`.
fn moved(old: &[f32], new: &[f32], reach: isize) -> isize {
    let margin = reach as usize;
    if old.len() != new.len() || old.len() <= 4 * margin {
        return 0;
    }
    // Eight sums side by side, for a processor adds no faster than one by one to a single sum. The odd few at the end, of
    // hundreds, are left out.
    let count = (old.len() - 2 * margin) / LANES * LANES;
    let (old, new) = (above_mean(&old[margin..][..count]), above_mean(new));
    let old_power = dot(&old, &old);
    let (sums, squares) = (running(&new, |value| value), running(&new, |value| value * value));
    let likeness = |shift: isize| {
        let from = margin.saturating_add_signed(shift);
        let (sum, power) = (sums[from + count] - sums[from], squares[from + count] - squares[from]);
        let scale = (f64::from(old_power) * (power - sum * sum / count as f64).max(0.0)).sqrt() as f32;
        if scale > 0.0 { dot(&old, &new[from..]) / scale } else { 0.0 }
    };
    let still = likeness(0);
    if still >= STILL_MIN {
        return 0;
    }
    let all = (-reach..=reach).map(|shift| (likeness(shift), shift));
    // Of equals the smallest: a blank wall does not move.
    let best = all.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.abs().cmp(&a.1.abs())));
    best.filter(|(likeness, _)| *likeness >= ALIKE_MIN.max(still + GAIN_MIN)).map_or(0, |(_, shift)| shift)
}

fn above_mean(values: &[f32]) -> Vec<f32> {
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
    values.iter().map(|value| value - mean as f32).collect()
}

/// Sums of the first none, one, two, ... of some values.
fn running(values: &[f32], of: fn(f64) -> f64) -> Vec<f64> {
    let mut sum = 0.0;
    let mut sums = Vec::with_capacity(values.len() + 1);
    sums.push(sum);
    sums.extend(values.iter().map(|&value| {
        sum += of(value.into());
        sum
    }));
    sums
}

/// Sum of products, as far as there are values of the first.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        sums = array::from_fn(|i| sums[i] + a[i] * b[i]);
    }
    sums.iter().sum()
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
