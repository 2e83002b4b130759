//! NanoDet-m (six outputs on strides 8, 16, 32) and NanoDet-Plus (one joined output on strides 8 to 64).

use super::gfl::Level;
use super::{Candidate, Grid, Output, STRIDES, STRIDES_P6};

const LAYOUT: &str = "pairs [1, cells, classes] and [1, cells, 4 * bins] on strides 8, 16, 32, or one [1, cells, classes + 4 * bins]";

pub(super) fn decode(
    outputs: &[Output<'_>],
    grid: Grid,
    score_min: f32,
) -> Result<Vec<Candidate>, &'static str> {
    if let [joined] = outputs {
        return decode_joined(joined, grid, score_min);
    }
    decode_pairs(outputs, grid, score_min, &STRIDES, LAYOUT)
}

/// Pairs of outputs, one pair per stride, in any order and under any names.
pub(super) fn decode_pairs(
    outputs: &[Output<'_>],
    grid: Grid,
    score_min: f32,
    strides: &[usize],
    layout: &'static str,
) -> Result<Vec<Candidate>, &'static str> {
    if outputs.len() != 2 * strides.len() {
        return Err(layout);
    }
    let mut found = Vec::new();
    for &stride in strides {
        let cells = grid.cells_in(&[stride]);
        let mut level = outputs.iter().filter_map(|o| o.matrix().filter(|m| m.0 == cells).map(|m| (o, m.1)));
        let (Some(first), Some(second)) = (level.next(), level.next()) else { return Err(layout) };
        // Scores come before distances in every export, so a draw (as many classes as distances) is decided by order.
        let (scores, distances) = if first.1 == grid.classes { (first, second) } else { (second, first) };
        let bins = distances.1 / 4;
        if scores.1 != grid.classes || bins < 2 || distances.1 % 4 != 0 {
            return Err(layout);
        }
        let level = Level {
            scores: &scores.0.values,
            scores_step: scores.1,
            distances: &distances.0.values,
            distances_step: distances.1,
            bins,
            stride,
            anchor: 0.5,
        };
        level.decode(grid, score_min, &mut found);
    }
    Ok(found)
}

fn decode_joined(output: &Output<'_>, grid: Grid, score_min: f32) -> Result<Vec<Candidate>, &'static str> {
    let (rows, columns) = output.matrix().ok_or(LAYOUT)?;
    let bins = columns.saturating_sub(grid.classes) / 4;
    if bins < 2 || columns != grid.classes + 4 * bins {
        return Err(LAYOUT);
    }
    // NanoDet-Plus anchors boxes at the corners of its cells, the older three-level export in their middles.
    let (strides, anchor): (&[usize], f32) = if rows == grid.cells_in(&STRIDES_P6) {
        (&STRIDES_P6, 0.0)
    } else if rows == grid.cells_in(&STRIDES) {
        (&STRIDES, 0.5)
    } else {
        return Err(LAYOUT);
    };
    let mut found = Vec::new();
    let mut rest = &output.values[..];
    for &stride in strides {
        let (values, after) = rest.split_at(grid.cells_in(&[stride]) * columns);
        rest = after;
        // Distances follow the scores within each row, so their slice starts `classes` later and its last step is short.
        let distances = &values[grid.classes..];
        let level = Level {
            scores: values,
            scores_step: columns,
            distances,
            distances_step: columns,
            bins,
            stride,
            anchor,
        };
        level.decode(grid, score_min, &mut found);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::{Family, gfl::encode, testing::*};
    use super::*;

    const GRID: Grid = Grid { width: 64, height: 64, classes: 3 };

    fn distances() -> Vec<f32> {
        [1.0, 0.5, 1.5, 0.25].into_iter().flat_map(|d| encode(d, 8)).collect()
    }

    #[test]
    fn known_boxes_come_back() {
        let mut outputs = Vec::new();
        for kind in ["cls", "dis"] {
            for stride in STRIDES {
                let cells = GRID.cells_in(&[stride]);
                let mut values = vec![0.0; cells * if kind == "cls" { 3 } else { 32 }];
                if stride == 16 && kind == "cls" {
                    values[6 * 3 + 2] = 0.8; // column 2, row 1
                } else if stride == 16 {
                    values[6 * 32..7 * 32].copy_from_slice(&distances());
                }
                outputs.push(output(kind, &[1, cells, values.len() / cells], values));
            }
        }
        let expected = [(2, 0.8, [24.0, 16.0, 64.0, 28.0])];
        assert_candidates(Family::Nanodet.decode(&outputs, GRID, 0.3).unwrap(), &expected);
        outputs.reverse();
        assert_candidates(Family::Nanodet.decode(&outputs, GRID, 0.3).unwrap(), &expected);
    }

    #[test]
    fn the_joined_layout_comes_back() {
        let rows = GRID.cells_in(&STRIDES_P6);
        let mut values = vec![0.0; rows * 35];
        let last = (rows - 1) * 35; // stride 64, the only cell
        values[last + 1] = 0.6;
        values[last + 3..].copy_from_slice(&[0.0, 0.0, 0.5, 0.25].map(|d| encode(d, 8)).concat());
        let found = Family::Nanodet.decode(&[output("output", &[1, rows, 35], values)], GRID, 0.3).unwrap();
        assert_candidates(found, &[(1, 0.6, [0.0, 0.0, 32.0, 16.0])]);
    }
}
