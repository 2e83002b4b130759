//! YOLOv5, YOLOv6, YOLOv7 and YOLOX exported with its decoder: decoded boxes with objectness.

use super::{Candidate, Grid, Output, around, best};

const LAYOUT: &str = "one output [1, boxes, 5 + classes]: x, y, width, height, objectness, classes";

pub(super) fn decode(
    outputs: &[Output<'_>],
    grid: Grid,
    score_min: f32,
) -> Result<Vec<Candidate>, &'static str> {
    // Exports with the three raw maps beside the joined output keep the joined one first.
    let output = outputs.first().ok_or(LAYOUT)?;
    let (rows, columns) = output.matrix().ok_or(LAYOUT)?;
    // `-seg` appends 32 mask weights to every row.
    if columns < 5 + grid.classes {
        return Err(LAYOUT);
    }
    let mut found = Vec::new();
    for row in (0..rows).map(|i| output.row(i, columns)) {
        let objectness = row[4];
        if objectness < score_min {
            continue;
        }
        if let Some((class, score)) = best(&row[5..5 + grid.classes]) {
            let corners = around(row[0], row[1], row[2], row[3]);
            found.push(Candidate { class, score: score * objectness, corners });
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
        let mut values = vec![0.0; 4 * 8];
        values[8..16].copy_from_slice(&[100.0, 60.0, 40.0, 20.0, 0.9, 0.1, 0.8, 0.2]);
        values[24..32].copy_from_slice(&[10.0, 20.0, 10.0, 10.0, 0.4, 0.4, 0.1, 0.1]);
        let grid = Grid { width: 128, height: 128, classes: 3 };
        let outputs = [output("output", &[1, 4, 8], values)];
        let found = Family::Yolov5.decode(&outputs, grid, 0.3).unwrap();
        assert_candidates(found, &[(1, 0.72, [80.0, 50.0, 120.0, 70.0])]);
        let error = Family::Yolov5.decode(&outputs, Grid { classes: 4, ..grid }, 0.3).unwrap_err();
        assert!(error.to_string().contains("[1, 4, 8]"), "{error}");
    }
}
