//! How far the camera moved between two pictures: coarse search on a reduced picture, then fine on rows of the full one.

/// Reduction for the coarse search, each way.
const REDUCED: usize = 4;
/// Reach of the coarse search in reduced pixels: 12 pixels between two pictures; more is not shake but a turn.
const REACH: isize = 3;
/// Every so many pixels across and down enter the coarse sums ...
const COARSE_STEP: usize = 2;
/// ... and the fine sums.
const FINE_STEP: (usize, usize) = (3, 8);
/// A move must explain this share more than standing still does: noise alone moves nothing.
const GAIN_MIN: f32 = 0.05;

/// Right and down, in pixels, by which `new` is moved against `old`; both `width` wide.
pub fn between(old: &[u8], new: &[u8], width: usize) -> (f32, f32) {
    if old.len() != new.len() || width < 16 * REDUCED || old.len() / width < 16 * REDUCED {
        return (0.0, 0.0);
    }
    let (small_old, small_new) = (reduced(old, width), reduced(new, width));
    let coarse =
        Search { old: &small_old, new: &small_new, width: width / REDUCED, step: (COARSE_STEP, COARSE_STEP) };
    let (cx, cy) = coarse.best((0, 0), REACH);
    let fine = Search { old, new, width, step: FINE_STEP };
    let start = (cx * REDUCED as isize, cy * REDUCED as isize);
    let (x, y) = fine.best(start, if start == (0, 0) { 2 } else { 3 });
    if (x, y) == (0, 0) {
        return (0.0, 0.0);
    }
    let (still, moved) = (fine.cost(0, 0), fine.cost(x, y));
    if moved > still * (1.0 - GAIN_MIN) {
        return (0.0, 0.0);
    }
    let part = |before: f32, after: f32| {
        let bend = before + after - 2.0 * moved;
        if bend > 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 }
    };
    (
        x as f32 + part(fine.cost(x - 1, y), fine.cost(x + 1, y)),
        y as f32 + part(fine.cost(x, y - 1), fine.cost(x, y + 1)),
    )
}

struct Search<'a> {
    old: &'a [u8],
    new: &'a [u8],
    width: usize,
    step: (usize, usize),
}

impl Search<'_> {
    /// The move of least cost within `reach` of `start`.
    fn best(&self, start: (isize, isize), reach: isize) -> (isize, isize) {
        let mut best = (f32::INFINITY, start);
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                let at = (start.0 + dx, start.1 + dy);
                let cost = self.cost(at.0, at.1);
                // Of equals the smallest move: a blank wall does not move.
                if cost < best.0
                    || (cost == best.0 && at.0.abs() + at.1.abs() < best.1.0.abs() + best.1.1.abs())
                {
                    best = (cost, at);
                }
            }
        }
        best.1
    }

    /// Mean absolute difference of `new` and `old` moved by this much.
    fn cost(&self, dx: isize, dy: isize) -> f32 {
        let margin = 16.min(self.width / 4);
        let height = self.old.len() / self.width;
        let (mut sum, mut count) = (0u64, 0u64);
        let mut y = margin;
        while y + margin < height {
            let old_row = (y as isize - dy).clamp(0, height as isize - 1) as usize * self.width;
            let new_line = &self.new[y * self.width + margin..(y + 1) * self.width - margin];
            let from = (old_row + margin).saturating_add_signed(-dx).min(self.old.len() - new_line.len());
            let old_line = &self.old[from..from + new_line.len()];
            let pairs = new_line.iter().zip(old_line).step_by(self.step.0);
            count += pairs.len() as u64;
            sum += pairs.map(|(&a, &b)| a.abs_diff(b) as u64).sum::<u64>();
            y += self.step.1;
        }
        sum as f32 / count.max(1) as f32
    }
}

fn reduced(luma: &[u8], width: usize) -> Vec<u8> {
    let (w, h) = (width / REDUCED, luma.len() / width / REDUCED);
    let mut out = Vec::with_capacity(w * h);
    for y in 0..h {
        for x in 0..w {
            let sum: u32 = (0..REDUCED)
                .map(|k| {
                    luma[(y * REDUCED + k) * width + x * REDUCED..][..REDUCED]
                        .iter()
                        .map(|&v| v as u32)
                        .sum::<u32>()
                })
                .sum();
            out.push((sum / (REDUCED * REDUCED) as u32) as u8);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of soft random texture, moved by so many pixels.
    fn texture(width: usize, height: usize, dx: f32, dy: f32) -> Vec<u8> {
        let wave = |x: f32, y: f32| {
            let a = (x * 0.31).sin()
                + (y * 0.23).cos()
                + (x * 0.11 + y * 0.17).sin()
                + (x * 0.05 - y * 0.37).cos();
            (128.0 + 25.0 * a) as u8
        };
        (0..width * height).map(|i| wave((i % width) as f32 - dx, (i / width) as f32 - dy)).collect()
    }

    #[test]
    fn moves_are_measured() {
        let (width, height) = (320, 180);
        let still = texture(width, height, 0.0, 0.0);
        for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (-2.0, 3.0), (5.0, -7.0), (2.5, 0.0)] {
            let (x, y) = between(&still, &texture(width, height, dx, dy), width);
            assert!(
                (x - dx).abs() < 0.35 && (y - dy).abs() < 0.35,
                "moved ({dx}, {dy}), measured ({x}, {y})"
            );
        }
        assert_eq!(between(&[90; 320 * 180], &[91; 320 * 180], width), (0.0, 0.0));
    }
}
