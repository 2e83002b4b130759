//! SSD-style detectors with decoded boxes: scores with the background first, and corners in ratios.

use super::{Candidate, Grid, Output, best};

const LAYOUT: &str =
    "two outputs: scores [1, boxes, 1 + classes], background first, and corners [1, boxes, 4]";

pub(super) fn decode(
    outputs: &[Output<'_>],
    grid: Grid,
    score_min: f32,
) -> Result<Vec<Candidate>, &'static str> {
    let [first, second] = outputs else { return Err(LAYOUT) };
    let (a, b) = (first.matrix().ok_or(LAYOUT)?, second.matrix().ok_or(LAYOUT)?);
    let columns = 1 + grid.classes;
    // With three classes both outputs have four columns; then names decide, and scores usually come first.
    let boxes_first = b.1 != 4 || (a.1 == 4 && first.name.contains("box"));
    let (scores, boxes, sizes) = if boxes_first { (second, first, (b, a)) } else { (first, second, (a, b)) };
    if sizes != ((a.0, columns), (a.0, 4)) {
        return Err(LAYOUT);
    }
    let (width, height) = (grid.width as f32, grid.height as f32);
    let mut found = Vec::new();
    for i in 0..a.0 {
        let Some((class, score)) = best(&scores.row(i, columns)[1..]) else { continue };
        if score >= score_min {
            let corners = boxes.row(i, 4);
            let corners = [corners[0] * width, corners[1] * height, corners[2] * width, corners[3] * height];
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
        let grid = Grid { width: 320, height: 240, classes: 2 };
        let scores = vec![0.9, 0.05, 0.05, 0.1, 0.2, 0.7];
        let boxes = vec![0.0, 0.0, 1.0, 1.0, 0.25, 0.5, 0.5, 0.75];
        let expected = [(1, 0.7, [80.0, 120.0, 160.0, 180.0])];
        let mut outputs = [output("scores", &[1, 2, 3], scores), output("boxes", &[1, 2, 4], boxes)];
        assert_candidates(Family::Ssd.decode(&outputs, grid, 0.3).unwrap(), &expected);
        outputs.reverse();
        assert_candidates(Family::Ssd.decode(&outputs, grid, 0.3).unwrap(), &expected);
    }
}
