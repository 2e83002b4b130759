//! FastestDet: one map; objectness, box and softmaxed classes per cell.

use super::{Candidate, Grid, Output, around, sigmoid};

const LAYOUT: &str = "one output [1, 5 + classes, rows, columns]";

pub(super) fn decode(
    outputs: &[Output<'_>],
    grid: Grid,
    score_min: f32,
) -> Result<Vec<Candidate>, &'static str> {
    let [output] = outputs else { return Err(LAYOUT) };
    let (channels, rows, columns) = output.map().ok_or(LAYOUT)?;
    if channels != 5 + grid.classes {
        return Err(LAYOUT);
    }
    let cells = rows * columns;
    let at = |channel: usize, cell: usize| output.values[channel * cells + cell];
    let (width, height) = (grid.width as f32, grid.height as f32);
    let mut found = Vec::new();
    for cell in 0..cells {
        let (mut class, mut top) = (0, f32::NEG_INFINITY);
        for c in 0..grid.classes {
            let score = at(5 + c, cell);
            if score > top {
                (class, top) = (c, score);
            }
        }
        // The authors weigh the geometric mean towards objectness.
        let score = at(0, cell).powf(0.6) * top.powf(0.4);
        if score >= score_min {
            let x = ((cell % columns) as f32 + at(1, cell).tanh()) / columns as f32;
            let y = ((cell / columns) as f32 + at(2, cell).tanh()) / rows as f32;
            let (w, h) = (sigmoid(at(3, cell)), sigmoid(at(4, cell)));
            let corners = around(x * width, y * height, w * width, h * height);
            found.push(Candidate { class, score, corners });
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
        let (columns, rows) = (4, 2);
        let mut values = vec![0.0; 7 * 8];
        let cell = 6; // column 2, row 1
        // 0.5 of a cell to the right and down; a quarter of the width, half of the height.
        for (channel, value) in
            [0.9, 0.5f32.atanh(), 0.5f32.atanh(), (1f32 / 3.0).ln(), 0.0, 0.2, 0.8].iter().enumerate()
        {
            values[channel * 8 + cell] = *value;
        }
        let outputs = [output("758", &[1, 7, rows, columns], values)];
        let found = Family::Fastestdet.decode(&outputs, grid, 0.3).unwrap();
        let score = 0.9f32.powf(0.6) * 0.8f32.powf(0.4);
        assert_candidates(found, &[(1, score, [32.0, 16.0, 48.0, 32.0])]);
    }
}
