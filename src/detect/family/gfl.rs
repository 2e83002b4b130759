//! Generalised focal loss heads (Li et al. 2020), shared by NanoDet and PicoDet: each side of a box is a distribution
//! over a few bins.

use super::{Candidate, Grid, best};

/// One level of the pyramid: per cell, scores of the classes and four distributions over `bins` distances.
pub(super) struct Level<'a> {
    /// `cells * scores_step` values; the first `classes` of each step are the scores, already through a sigmoid.
    pub scores: &'a [f32],
    /// Values per cell in `scores`.
    pub scores_step: usize,
    /// `cells * distances_step` values; the first `4 * bins` of each step are left, top, right, bottom.
    pub distances: &'a [f32],
    /// Values per cell in `distances`.
    pub distances_step: usize,
    /// Bins per side.
    pub bins: usize,
    /// Pixels of the input per cell.
    pub stride: usize,
    /// Where in its cell a box is anchored: 0.5 for the middle, 0 for the corner.
    pub anchor: f32,
}

impl Level<'_> {
    /// Adds the boxes of at least `score_min`.
    pub fn decode(&self, grid: Grid, score_min: f32, found: &mut Vec<Candidate>) {
        let (across, _) = grid.cells(self.stride);
        let s = self.stride as f32;
        let cells = self.scores.chunks(self.scores_step).zip(self.distances.chunks(self.distances_step));
        for (cell, (scores, distances)) in cells.enumerate() {
            let Some((class, score)) = best(&scores[..grid.classes]) else { continue };
            if score < score_min {
                continue;
            }
            let x = ((cell % across) as f32 + self.anchor) * s;
            let y = ((cell / across) as f32 + self.anchor) * s;
            let side = |i: usize| expectation(&distances[i * self.bins..(i + 1) * self.bins]) * s;
            let corners = [x - side(0), y - side(1), x + side(2), y + side(3)];
            found.push(Candidate { class, score, corners });
        }
    }
}

/// The mean bin of the softmax of `logits`.
fn expectation(logits: &[f32]) -> f32 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut sum, mut weighted) = (0.0, 0.0);
    for (bin, logit) in logits.iter().enumerate() {
        let weight = (logit - top).exp();
        sum += weight;
        weighted += weight * bin as f32;
    }
    weighted / sum
}

/// Logits whose expectation is `distance`, for the tests of the families.
#[cfg(test)]
pub(super) fn encode(distance: f32, bins: usize) -> Vec<f32> {
    let mut logits = vec![-30.0; bins];
    let low = distance.floor() as usize;
    let share = distance - low as f32;
    logits[low] = (1.0 - share).max(1e-9).ln();
    if share > 0.0 {
        logits[low + 1] = share.ln();
    }
    logits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_come_back() {
        for distance in [0.0, 0.5, 3.25, 6.9] {
            assert!((expectation(&encode(distance, 8)) - distance).abs() < 1e-3, "{distance}");
        }
    }
}
