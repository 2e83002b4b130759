//! YOLOX (Ge et al. 2021) as its authors export it: offsets and logarithms on the grids of three strides.

use super::{Candidate, Grid, Output, STRIDES, around, best};

const LAYOUT: &str = "one output [1, cells of strides 8, 16 and 32, 5 + classes]";

pub(super) fn decode(
    outputs: &[Output<'_>],
    grid: Grid,
    score_min: f32,
) -> Result<Vec<Candidate>, &'static str> {
    let [output] = outputs else { return Err(LAYOUT) };
    let columns = 5 + grid.classes;
    if output.matrix() != Some((grid.cells_in(&STRIDES), columns)) {
        return Err(LAYOUT);
    }
    let mut found = Vec::new();
    let mut index = 0;
    for stride in STRIDES {
        let (across, down) = grid.cells(stride);
        for cell in 0..across * down {
            let row = output.row(index, columns);
            index += 1;
            if row[4] < score_min {
                continue;
            }
            let Some((class, score)) = best(&row[5..]) else { continue };
            let s = stride as f32;
            let (x, y) = ((cell % across) as f32, (cell / across) as f32);
            let corners = around((row[0] + x) * s, (row[1] + y) * s, row[2].exp() * s, row[3].exp() * s);
            found.push(Candidate { class, score: score * row[4], corners });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::{Family, testing::*};
    use super::*;

    #[test]
    fn known_boxes_come_back() {
        let grid = Grid { width: 64, height: 32, classes: 2 };
        let rows = grid.cells_in(&STRIDES);
        assert_eq!(rows, 32 + 8 + 2);
        let mut values = vec![0.0; rows * 7];
        // Stride 16, column 3, row 1: the eighth cell of the second map. Centre (56, 24), 32 x 16.
        let row = 32 + 4 + 3;
        values[row * 7..][..7].copy_from_slice(&[0.5, 0.5, 2f32.ln(), 0.0, 0.8, 0.1, 0.9]);
        // Stride 32, second cell. Centre (40, 8), 32 x 64.
        values[41 * 7..][..7].copy_from_slice(&[0.25, 0.25, 0.0, 2f32.ln(), 0.9, 0.6, 0.5]);
        let found = Family::Yolox.decode(&[output("output", &[1, rows, 7], values)], grid, 0.3).unwrap();
        let expected = [(1, 0.72, [40.0, 16.0, 72.0, 32.0]), (0, 0.54, [24.0, -24.0, 56.0, 40.0])];
        assert_candidates(found, &expected);
    }
}
