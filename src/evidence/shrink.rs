//! Planes made smaller: each new sample is the mean of the area that it stands for, so that thin lines stay visible.

use std::ops::Range;

/// Shares are counted in so many parts: sums of shares of 8-bit samples then fit 16 bits.
const WHOLE: usize = 256;

/// The old samples under one new sample: the first of them, and what each counts for.
struct Area<'a> {
    first: usize,
    shares: &'a [u16],
}

/// How one axis is divided: `per_area` shares for each new sample, the last ones 0 where it lies on fewer old ones.
struct Axis {
    firsts: Vec<usize>,
    shares: Vec<u16>,
    per_area: usize,
}

impl Axis {
    fn new(samples: usize, areas: usize) -> Self {
        // Places are counted in `areas`-ths of a sample, so that all of them are whole numbers.
        let span = |i: usize| i * samples..(i + 1) * samples;
        let touched = |area: &Range<usize>| area.start / areas..area.end.div_ceil(areas);
        let per_area = (0..areas).map(|i| touched(&span(i)).len()).max().unwrap_or(1);
        let (mut firsts, mut shares) = (Vec::with_capacity(areas), Vec::with_capacity(areas * per_area));
        for area in (0..areas).map(span) {
            // Differences of rounded sums: they add up to the whole, whatever the rounding.
            let before =
                |sample: usize| ((sample * areas).clamp(area.start, area.end) - area.start) * WHOLE / samples;
            let touched = touched(&area);
            let first = touched.start.min(samples - per_area);
            firsts.push(first);
            shares.extend((first..first + per_area).map(|n| (before(n + 1) - before(n)) as u16));
        }
        Self { firsts, shares, per_area }
    }

    fn areas(&self) -> impl Iterator<Item = Area<'_>> {
        self.firsts
            .iter()
            .zip(self.shares.chunks_exact(self.per_area))
            .map(|(&first, shares)| Area { first, shares })
    }
}

/// A packed plane of `width` x `height` samples made `to_width` x `to_height`, neither of them 0 or more than before.
pub(super) fn shrink(
    plane: &[u8],
    (width, height): (usize, usize),
    (to_width, to_height): (usize, usize),
) -> Vec<u8> {
    let (across, down) = (Axis::new(width, to_width), Axis::new(height, to_height));
    let mut small = Vec::with_capacity(to_width * to_height);
    let mut sums = vec![0; width];
    for area in down.areas() {
        let line = |i: usize| &plane[(area.first + i) * width..][..width];
        if let [a, b] = *area.shares {
            for ((sum, &x), &y) in sums.iter_mut().zip(line(0)).zip(line(1)) {
                *sum = u16::from(x) * a + u16::from(y) * b;
            }
        } else {
            sums.fill(0);
            for (i, share) in area.shares.iter().enumerate() {
                sums.iter_mut().zip(line(i)).for_each(|(sum, &x)| *sum += u16::from(x) * share);
            }
        }
        match across.per_area {
            2 => fold::<2>(&sums, &across, &mut small),
            3 => fold::<3>(&sums, &across, &mut small),
            _ => small.extend(
                across.areas().map(|area| mean(&sums[area.first..][..area.shares.len()], area.shares)),
            ),
        }
    }
    small
}

/// The usual cases, with a number of shares that the compiler knows.
fn fold<const N: usize>(sums: &[u16], across: &Axis, small: &mut Vec<u8>) {
    let (shares, _) = across.shares.as_chunks::<N>();
    small.extend(across.firsts.iter().zip(shares).map(|(&first, shares)| mean(&sums[first..][..N], shares)));
}

#[inline]
fn mean(sums: &[u16], shares: &[u16]) -> u8 {
    let products = sums.iter().zip(shares).map(|(&sum, &share)| u32::from(sum) * u32::from(share));
    ((products.sum::<u32>() + (1 << 15)) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the definition in floating point, for any sizes.
        #[test]
        fn each_sample_is_the_mean_of_its_area(
            (size, to) in (1usize..60, 1usize..60)
                .prop_flat_map(|(w, h)| (Just((w, h)), (1..=w, 1..=h))),
            seed: u64,
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let plane: Vec<u8> = (0..size.0 * size.1).map(|_| random.u8(..)).collect();
            let small = shrink(&plane, size, to);
            prop_assert_eq!(small.len(), to.0 * to.1);
            // Shares are whole 256ths; the more samples, the more of their rounding.
            let tolerance = 3.0 + 0.1 * (size.0 / to.0 + size.1 / to.1) as f64;
            let overlap = |n: usize, i: usize, samples: usize, areas: usize| {
                let step = samples as f64 / areas as f64;
                let (from, until) = (i as f64 * step, (i + 1) as f64 * step);
                ((n + 1) as f64).min(until) - (n as f64).max(from)
            };
            for (i, &got) in small.iter().enumerate() {
                let (mut sum, mut weights) = (0.0, 0.0);
                for (n, &sample) in plane.iter().enumerate() {
                    let across = overlap(n % size.0, i % to.0, size.0, to.0).max(0.0);
                    let weight = across * overlap(n / size.0, i / to.0, size.1, to.1).max(0.0);
                    sum += weight * f64::from(sample);
                    weights += weight;
                }
                let off = sum / weights - f64::from(got);
                prop_assert!(off.abs() < tolerance, "{} instead of {}", got, sum / weights);
            }
        }
    }

    #[test]
    fn a_flat_plane_stays_as_it_is() {
        for level in [0, 1, 16, 128, 235, 255] {
            for to in [(1, 1), (7, 3), (13, 9), (19, 9), (20, 10)] {
                assert!(shrink(&[level; 200], (20, 10), to).iter().all(|&sample| sample == level));
            }
        }
    }
}
