//! Making a plane smaller: by a box filter of whole samples, then bilinearly by the factor of 1 to 2 that remains.

/// Largest block: 16 x 16 samples of 255 are what a `u16` holds.
const BLOCK_MAX: usize = 16;

/// How one axis of a plane is resampled: `block` samples become one, then pairs of blocks are blended.
#[derive(Debug)]
pub(super) struct Axis {
    block: usize,
    blocks: usize,
    /// Per output sample: its left block, and the weight of the block after it.
    taps: Vec<(u32, f32)>,
    /// Whether the blocks are the output already.
    exact: bool,
}

impl Axis {
    /// `samples` samples that span `pixels` pixels become `out` samples.
    pub fn new(samples: usize, pixels: usize, out: usize) -> Self {
        Self::with_step(samples, pixels as f64 / out as f64, out)
    }

    /// The same for a chroma plane and half as many samples, each in the middle of two output pixels.
    pub fn half(samples: usize, pixels: usize, out: usize) -> Self {
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
pub(super) struct Shrink {
    pub across: Axis,
    pub down: Axis,
}

/// Rows of blocks that were reduced last, so that a row shared by two output rows is reduced once.
pub(super) struct Rows {
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
    pub fn scratch(&self) -> Rows {
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
    pub fn row<'a>(&self, plane: &[u8], width: usize, row: usize, rows: &'a mut Rows) -> &'a [f32] {
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
