//! End-to-end detectors (YOLOv10, YOLO26): a short list of final boxes, nothing left to suppress.

use super::{Candidate, Grid, Output};

const LAYOUT: &str = "one output [1, boxes, 6]: left, top, right, bottom, score, class";

pub(super) fn decode(
    outputs: &[Output<'_>],
    grid: Grid,
    score_min: f32,
) -> Result<Vec<Candidate>, &'static str> {
    let output = outputs.first().ok_or(LAYOUT)?;
    let (rows, columns) = output.matrix().ok_or(LAYOUT)?;
    // `-seg` appends mask weights.
    if columns < 6 {
        return Err(LAYOUT);
    }
    let mut found = Vec::new();
    for row in (0..rows).map(|i| output.row(i, columns)) {
        let (score, class) = (row[4], row[5]);
        // The class is a number that somebody computed: only ids that exist count.
        if score >= score_min && class > -0.5 && class < grid.classes as f32 - 0.5 {
            let corners = [row[0], row[1], row[2], row[3]];
            found.push(Candidate { class: class.round() as usize, score, corners });
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
        let rows = [
            [10.0, 20.0, 30.0, 40.0, 0.9, 1.0],
            [1.0, 2.0, 3.0, 4.0, 0.1, 0.0],
            [1.0, 2.0, 3.0, 4.0, 0.9, 7.0],
            [1.0, 2.0, 3.0, 4.0, 0.9, f32::NAN],
        ];
        let grid = Grid { width: 64, height: 64, classes: 2 };
        let outputs = [output("output0", &[1, 4, 6], rows.concat())];
        let found = Family::EndToEnd.decode(&outputs, grid, 0.3).unwrap();
        assert_candidates(found, &[(1, 0.9, [10.0, 20.0, 30.0, 40.0])]);
    }
}
