//! Detection transformers (RT-DETR, D-FINE, DEIM): a few hundred queries, nothing left to suppress.
//!
//! Two exports are about: the authors' own (`labels`, `boxes`, `scores`; boxes scaled by the second input, which gets
//! the model's input size here) and the one of the transformers library (`logits`, `pred_boxes`).

use super::{Candidate, Grid, Output, around, best, sigmoid};

const LAYOUT: &str = "`labels` [1, queries], `boxes` [1, queries, 4], `scores` [1, queries], or `logits` [1, queries, classes] and `pred_boxes`";

pub(super) fn decode(
    outputs: &[Output<'_>],
    grid: Grid,
    score_min: f32,
) -> Result<Vec<Candidate>, &'static str> {
    match outputs {
        [_, _, _] => decode_final(outputs, grid, score_min),
        [_, _] => decode_logits(outputs, grid, score_min),
        _ => Err(LAYOUT),
    }
}

fn decode_final(outputs: &[Output<'_>], grid: Grid, score_min: f32) -> Result<Vec<Candidate>, &'static str> {
    let boxes = outputs.iter().position(|o| o.matrix().is_some_and(|m| m.1 == 4)).ok_or(LAYOUT)?;
    let queries = outputs[boxes].values.len() / 4;
    let mut lists = (0..3).filter(|&i| i != boxes && outputs[i].values.len() == queries);
    let (Some(first), Some(second)) = (lists.next(), lists.next()) else { return Err(LAYOUT) };
    // Labels come first in every export seen; names settle it where they say anything.
    let swapped = outputs[first].name.contains("score") || outputs[second].name.contains("label");
    let (labels, scores) = if swapped { (second, first) } else { (first, second) };
    let mut found = Vec::new();
    for i in 0..queries {
        let (label, score) = (outputs[labels].values[i], outputs[scores].values[i]);
        if score >= score_min && label > -0.5 && label < grid.classes as f32 - 0.5 {
            let b = outputs[boxes].row(i, 4);
            let corners = [b[0], b[1], b[2], b[3]];
            found.push(Candidate { class: label.round() as usize, score, corners });
        }
    }
    Ok(found)
}

fn decode_logits(outputs: &[Output<'_>], grid: Grid, score_min: f32) -> Result<Vec<Candidate>, &'static str> {
    let [first, second] = outputs else { return Err(LAYOUT) };
    let (a, b) = (first.matrix().ok_or(LAYOUT)?, second.matrix().ok_or(LAYOUT)?);
    let boxes_first = b.1 != 4 || (a.1 == 4 && first.name.contains("box"));
    let (logits, boxes, sizes) = if boxes_first { (second, first, (b, a)) } else { (first, second, (a, b)) };
    if sizes != ((a.0, grid.classes), (a.0, 4)) {
        return Err(LAYOUT);
    }
    let (width, height) = (grid.width as f32, grid.height as f32);
    let mut found = Vec::new();
    for i in 0..a.0 {
        let Some((class, logit)) = best(logits.row(i, grid.classes)) else { continue };
        let score = sigmoid(logit);
        if score >= score_min {
            let b = boxes.row(i, 4);
            let corners = around(b[0] * width, b[1] * height, b[2] * width, b[3] * height);
            found.push(Candidate { class, score, corners });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::{Family, testing::*};
    use super::*;

    const GRID: Grid = Grid { width: 64, height: 32, classes: 2 };

    #[test]
    fn final_boxes_come_back() {
        let outputs = [
            output("labels", &[1, 3], vec![1.0, 0.0, 5.0]),
            output("boxes", &[1, 3, 4], vec![1., 2., 30., 20., 0., 0., 9., 9., 0., 0., 9., 9.]),
            output("scores", &[1, 3], vec![0.8, 0.1, 0.9]),
        ];
        let found = Family::Rtdetr.decode(&outputs, GRID, 0.3).unwrap();
        assert_candidates(found, &[(1, 0.8, [1.0, 2.0, 30.0, 20.0])]);
        let [labels, boxes, scores] = outputs;
        let found = Family::Rtdetr.decode(&[scores, labels, boxes], GRID, 0.3).unwrap();
        assert_candidates(found, &[(1, 0.8, [1.0, 2.0, 30.0, 20.0])]);
    }

    #[test]
    fn logits_come_back() {
        let outputs = [
            output("logits", &[1, 2, 2], vec![-4.0, 3f32.ln(), -3.0, -5.0]),
            output("pred_boxes", &[1, 2, 4], vec![0.5, 0.5, 0.25, 0.5, 0.1, 0.1, 0.1, 0.1]),
        ];
        let found = Family::Rtdetr.decode(&outputs, GRID, 0.3).unwrap();
        assert_candidates(found, &[(1, 0.75, [24.0, 8.0, 40.0, 24.0])]);
    }
}
