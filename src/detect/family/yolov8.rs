//! YOLOv8, YOLOv9, YOLO11, YOLO12: decoded boxes without objectness, channels first; masks of `-seg` are ignored.

use super::{Candidate, Grid, Output, STRIDES, STRIDES_P6, around};

const LAYOUT: &str = "an output [1, 4 + classes, boxes] (or its transpose): x, y, width, height, classes";

pub(super) fn decode(
    outputs: &[Output<'_>],
    grid: Grid,
    score_min: f32,
) -> Result<Vec<Candidate>, &'static str> {
    let output = outputs.first().ok_or(LAYOUT)?;
    let (rows, columns) = output.matrix().ok_or(LAYOUT)?;
    let channels_first = channels_first(rows, columns, grid);
    let (channels, boxes) = if channels_first { (rows, columns) } else { (columns, rows) };
    // More channels than classes: mask weights or key points.
    if channels < 4 + grid.classes {
        return Err(LAYOUT);
    }
    let (channel_step, box_step) = if channels_first { (boxes, 1) } else { (1, channels) };
    let at = |channel: usize, i: usize| output.values[channel * channel_step + i * box_step];

    let mut best = vec![(0usize, f32::NEG_INFINITY); boxes];
    for class in 0..grid.classes {
        for (i, best) in best.iter_mut().enumerate() {
            let score = at(4 + class, i);
            if score > best.1 {
                *best = (class, score);
            }
        }
    }
    let wanted = best.into_iter().enumerate().filter(|(_, (_, score))| *score >= score_min);
    Ok(wanted
        .map(|(i, (class, score))| {
            let corners = around(at(0, i), at(1, i), at(2, i), at(3, i));
            Candidate { class, score, corners }
        })
        .collect())
}

/// Whether the matrix holds a channel per row (the usual export) rather than a box per row.
fn channels_first(rows: usize, columns: usize, grid: Grid) -> bool {
    let cells = [grid.cells_in(&STRIDES), grid.cells_in(&STRIDES_P6)];
    if cells.contains(&columns) {
        true
    } else if cells.contains(&rows) {
        false
    } else {
        rows <= columns
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Family, testing::*};
    use super::*;

    const BOX: [f32; 6] = [30.0, 40.0, 20.0, 10.0, 0.2, 0.7];
    const GRID: Grid = Grid { width: 64, height: 64, classes: 2 };

    /// `channels` x 84 (the cells of 64 x 64) values, with `BOX` at cell 17.
    fn channels_first(channels: usize) -> Vec<f32> {
        let mut values = vec![0.0; channels * 84];
        for (channel, value) in BOX.into_iter().enumerate() {
            values[channel * 84 + 17] = value;
        }
        values
    }

    #[test]
    fn known_boxes_come_back() {
        let expected = [(1, 0.7, [20.0, 35.0, 40.0, 45.0])];
        let plain = [output("output0", &[1, 6, 84], channels_first(6))];
        assert_candidates(Family::Yolov8.decode(&plain, GRID, 0.25).unwrap(), &expected);

        let mut rows = vec![0.0; 84 * 6];
        rows[17 * 6..18 * 6].copy_from_slice(&BOX);
        let transposed = [output("output0", &[1, 84, 6], rows)];
        assert_candidates(Family::Yolov8.decode(&transposed, GRID, 0.25).unwrap(), &expected);
    }

    #[test]
    fn masks_are_ignored() {
        let mut values = channels_first(38);
        values[20 * 84 + 5] = 99.0; // a mask weight, no class
        let masks = output("output1", &[1, 32, 16, 16], vec![1.0; 32 * 256]);
        let outputs = [output("output0", &[1, 38, 84], values), masks];
        let found = Family::Yolov8.decode(&outputs, GRID, 0.25).unwrap();
        assert_candidates(found, &[(1, 0.7, [20.0, 35.0, 40.0, 45.0])]);
    }
}
