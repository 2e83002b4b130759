//! PicoDet (Yu et al. 2021) exported without its post-processing: eight outputs on strides 8, 16, 32, 64.

use super::nanodet::decode_pairs;
use super::{Candidate, Grid, Output, STRIDES_P6};

const LAYOUT: &str = "pairs [1, cells, classes] and [1, cells, 4 * bins] on strides 8, 16, 32, 64";

pub(super) fn decode(
    outputs: &[Output<'_>],
    grid: Grid,
    score_min: f32,
) -> Result<Vec<Candidate>, &'static str> {
    decode_pairs(outputs, grid, score_min, &STRIDES_P6, LAYOUT)
}

#[cfg(test)]
mod tests {
    use super::super::{Family, gfl::encode, testing::*};
    use super::*;

    #[test]
    fn known_boxes_come_back() {
        let grid = Grid { width: 96, height: 64, classes: 1 };
        let mut outputs = Vec::new();
        for columns in [1, 32] {
            for stride in STRIDES_P6 {
                let cells = grid.cells_in(&[stride]);
                let mut values = vec![0.0; cells * columns];
                if stride == 64 && columns == 1 {
                    values[1] = 0.5; // the second of two cells: middle (96, 32)
                } else if stride == 64 {
                    values[32..].copy_from_slice(&[1.0, 0.25, 0.0, 0.25].map(|d| encode(d, 8)).concat());
                }
                outputs.push(output("save_infer_model/scale.tmp_1", &[1, cells, columns], values));
            }
        }
        let found = Family::Picodet.decode(&outputs, grid, 0.3).unwrap();
        assert_candidates(found, &[(0, 0.5, [32.0, 16.0, 96.0, 48.0])]);
    }
}
