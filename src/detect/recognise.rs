//! What a model without a card is: its family, input and classes, from what a run returned and from its metadata.

use super::card::InputSpec;
use super::classes::COCO;
use super::family::{Family, Grid, Output, STRIDES, STRIDES_P6, shapes};

/// What the model's own metadata says; Ultralytics writes these keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hints {
    /// Class names and how they were spelt.
    pub names: Option<Names>,
    /// What the model is for: `detect`, `segment`, `pose`, `obb`, `classify`.
    pub task: Option<String>,
}

/// Class names from metadata.
#[derive(Debug, Clone, PartialEq)]
pub struct Names {
    /// In the order of the outputs.
    pub names: Vec<String>,
    /// Whether they were a list (YOLOv5) rather than a dictionary (v8 on).
    pub list: bool,
}

/// What a model is.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// Layout of its outputs.
    pub family: Family,
    /// What it wants as input.
    pub input: InputSpec,
    /// Names of its classes.
    pub classes: Vec<String>,
    /// Whether the names are its own or COCO's, and not made up.
    pub named: bool,
}

/// Why a model without a card cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecogniseError {
    /// No family has such outputs.
    #[error(
        "the outputs {found} for an input of {width}x{height} fit no family of detectors; \
         hint: a model card beside the file can say what they are"
    )]
    NoFamily {
        /// Names and shapes.
        found: String,
        /// Width of the input in pixels.
        width: usize,
        /// Height of the input in pixels.
        height: usize,
    },
    /// It does something else.
    #[error("the model's metadata says its task is `{0}`; gridwatch needs a detector with upright boxes")]
    Task(String),
}

/// Recognises a model from what a run on an input of `width` x `height` returned.
pub fn recognise(
    outputs: &[Output<'_>],
    width: usize,
    height: usize,
    hints: &Hints,
) -> Result<Recognised, RecogniseError> {
    if let Some(task) = hints.task.as_deref().filter(|t| matches!(*t, "classify" | "obb" | "semantic")) {
        return Err(RecogniseError::Task(task.to_owned()));
    }
    let grid = Grid { width, height, classes: 0 };
    let (family, count) = family(outputs, grid, hints).ok_or_else(|| RecogniseError::NoFamily {
        found: shapes(outputs),
        width,
        height,
    })?;
    let coco = || COCO.map(str::to_owned).to_vec();
    let (classes, named) = match (count, hints.names.as_ref()) {
        (count, Some(names)) if count.is_none_or(|n| n == names.names.len()) => (names.names.clone(), true),
        (None | Some(80), _) => (coco(), true),
        (Some(n), _) => ((0..n).map(|i| format!("class_{i}")).collect(), false),
    };
    Ok(Recognised { family, input: InputSpec::usual(family, width, height), classes, named })
}

/// The family, and the number of classes if the outputs tell it.
fn family(outputs: &[Output<'_>], grid: Grid, hints: &Hints) -> Option<(Family, Option<usize>)> {
    let named = hints.names.as_ref().map(|n| n.names.len());
    match outputs {
        [one] => one_output(one, grid, hints),
        // YOLOv8-seg and its like: boxes with mask weights, then the masks.
        [boxes, masks] if masks.shape.len() == 4 && masks.map().is_some() => {
            let weights = masks.map()?.0;
            let (rows, columns) = boxes.matrix()?;
            let channels = rows.min(columns);
            let classes = named.or_else(|| channels.checked_sub(4 + weights));
            (channels > 4).then_some((Family::Yolov8, classes.filter(|&n| n > 0)?.into()))
        }
        [a, b] => two_lists(a, b),
        [_, _, _] => {
            let queries = outputs.iter().find_map(|o| o.matrix().filter(|m| m.1 == 4)).map(|m| m.0)?;
            let lists = outputs.iter().filter(|o| o.values.len() == queries && queries > 0).count();
            if lists == 2 {
                return Some((Family::Rtdetr, None));
            }
            // Two-level GFL pyramids do not exist; YOLOv5 with raw maps has four outputs.
            None
        }
        _ => {
            if let Some((rows, columns)) = outputs[..].first().and_then(Output::matrix) {
                let raw_maps = outputs.len() == 4 && outputs[1..].iter().all(|o| o.shape.len() == 5);
                if raw_maps && rows == 3 * grid.cells_in(&STRIDES) && columns > 5 {
                    return Some((Family::Yolov5, Some(columns - 5)));
                }
            }
            pairs(outputs, grid)
        }
    }
}

fn one_output(output: &Output<'_>, grid: Grid, hints: &Hints) -> Option<(Family, Option<usize>)> {
    let named = hints.names.as_ref().map(|n| n.names.len());
    if output.shape.len() == 4 {
        let (channels, rows, columns) = output.map()?;
        return (channels > 5 && rows > 1 && columns > 1).then_some((Family::Fastestdet, Some(channels - 5)));
    }
    let (rows, columns) = output.matrix()?;
    let (p5, p6) = (grid.cells_in(&STRIDES), grid.cells_in(&STRIDES_P6));
    let minus = |n: usize, fixed: usize| n.checked_sub(fixed).filter(|&n| n > 0).map(Some);
    // A row per cell.
    if rows == 3 * p5 || rows == 3 * p6 {
        return Some((Family::Yolov5, named.filter(|n| columns >= 5 + n).map(Some).or(minus(columns, 5))?));
    }
    if rows == p6 && columns > 32 {
        return Some((Family::Nanodet, minus(columns, 32)?));
    }
    if rows == p5 {
        if let Some(n) = named.filter(|n| columns == 4 + n) {
            return Some((Family::Yolov8, Some(n)));
        }
        let family =
            if already_decoded(output, rows, columns, grid) { Family::Yolov5 } else { Family::Yolox };
        return Some((family, minus(columns, 5)?));
    }
    // A channel per row.
    if columns == p5 || columns == p6 {
        return Some((Family::Yolov8, named.filter(|n| rows >= 4 + n).map(Some).or(minus(rows, 4))?));
    }
    // A short list of final boxes.
    if columns == 6 && rows <= END_TO_END_BOXES_MAX {
        return Some((Family::EndToEnd, None));
    }
    match &hints.names {
        Some(names) if names.list && columns == 5 + names.names.len() => {
            Some((Family::Yolov5, Some(names.names.len())))
        }
        Some(names) if !names.list && rows == 4 + names.names.len() => {
            Some((Family::Yolov8, Some(names.names.len())))
        }
        _ => None,
    }
}

/// YOLOv10 and YOLO26 give 300 boxes; some exports ask for more, none for thousands.
const END_TO_END_BOXES_MAX: usize = 1000;

/// Whether boxes on a YOLOX grid are pixels already: then the last cell's centre lies in the last quarter.
fn already_decoded(output: &Output<'_>, rows: usize, columns: usize, grid: Grid) -> bool {
    let last = &output.values[(rows - 1) * columns..];
    matches!(last, &[x, y, ..] if x > 0.5 * grid.width as f32 && y > 0.5 * grid.height as f32)
}

/// Two lists of equal length: scores and boxes.
fn two_lists(a: &Output<'_>, b: &Output<'_>) -> Option<(Family, Option<usize>)> {
    let ((rows_a, columns_a), (rows_b, columns_b)) = (a.matrix()?, b.matrix()?);
    if rows_a != rows_b || (columns_a != 4 && columns_b != 4) {
        return None;
    }
    let boxes_first = columns_b != 4 || (columns_a == 4 && a.name.contains("box"));
    let (scores, columns) = if boxes_first { (b, columns_b) } else { (a, columns_a) };
    // Probabilities are never negative; logits of empty scenes are.
    let logits = scores.name.contains("logit") || scores.values.iter().any(|&v| v < 0.0);
    if logits {
        return (columns > 0).then_some((Family::Rtdetr, Some(columns)));
    }
    (columns > 1).then_some((Family::Ssd, Some(columns - 1)))
}

/// GFL heads: a pair of outputs for each of three or four strides.
fn pairs(outputs: &[Output<'_>], grid: Grid) -> Option<(Family, Option<usize>)> {
    let (family, strides): (_, &[usize]) = match outputs.len() {
        6 => (Family::Nanodet, &STRIDES),
        8 => (Family::Picodet, &STRIDES_P6),
        _ => return None,
    };
    let cells = grid.cells_in(&strides[..1]);
    let mut level = outputs.iter().filter_map(Output::matrix).filter(|m| m.0 == cells).map(|m| m.1);
    let (first, second) = (level.next()?, level.next()?);
    // Eight bins in every published model: 32 distances. As many classes: scores come first.
    let classes = if second == 32 || first != 32 { first } else { second };
    (classes > 0).then_some((family, Some(classes)))
}

/// Reads class names as Python prints them: `['person', 'car']` or `{0: 'person', 1: 'car'}`, or as JSON.
pub fn parse_names(text: &str) -> Option<Names> {
    let text = text.trim();
    let list = match (text.chars().next()?, text.chars().last()?) {
        ('[', ']') => true,
        ('{', '}') => false,
        _ => return None,
    };
    let mut names = Vec::new();
    let mut rest = text[1..text.len() - 1].trim_start();
    while !rest.is_empty() {
        if !list {
            let (key, after) = rest.split_once(':')?;
            let key: usize = key.trim().trim_matches(['"', '\'']).parse().ok()?;
            // Keys in any other order would need a map; nobody writes them so.
            if key != names.len() {
                return None;
            }
            rest = after.trim_start();
        }
        let (name, after) = quoted(rest)?;
        names.push(name);
        rest = after.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    (!names.is_empty()).then_some(Names { names, list })
}

/// A quoted string at the start of `text`, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            c if c == quote => return Some((name, &text[i + 1..])),
            c => name.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_as_they_are_written() {
        let check = |text: &str, names: Option<(&[&str], bool)>| {
            let expected = names
                .map(|(names, list)| Names { names: names.iter().map(|&n| n.to_owned()).collect(), list });
            assert_eq!(parse_names(text), expected, "{text}");
        };
        check("['person', 'car']", Some((&["person", "car"], true)));
        check("{0: 'person', 1: 'car',}", Some((&["person", "car"], false)));
        check(r#"{"0": "person", "1": "traffic light"}"#, Some((&["person", "traffic light"], false)));
        check(
            r#"["driver's cab", 'say \'hi\'', "摊位"]"#,
            Some((&["driver's cab", "say 'hi'", "摊位"], true)),
        );
        for wrong in ["", "[", "[]", "{}", "person", "['a' 'b']", "['a", "{1: 'a'}", "{x: 'a'}", "[1, 2]"] {
            check(wrong, None);
        }
    }

    #[test]
    fn what_shapes_cannot_tell_hints_do() {
        let output = |shape: &[usize]| Output {
            name: "output",
            shape: shape.to_vec(),
            values: vec![0.0; shape.iter().product()].into(),
        };
        let names = |list| Some(Names { names: vec!["a".into(), "b".into()], list });
        let check = |shape: &[usize], names: Option<Names>, expected: Option<Family>| {
            let hints = Hints { names, task: None };
            let found = recognise(&[output(shape)], 64, 64, &hints).ok().map(|r| r.family);
            assert_eq!(found, expected, "{shape:?}");
        };
        // 64 x 64 has 84 cells, 252 anchors; 85 cells with stride 64.
        check(&[1, 252, 7], None, Some(Family::Yolov5));
        check(&[1, 6, 84], None, Some(Family::Yolov8));
        check(&[1, 84, 6], None, Some(Family::Yolox));
        check(&[1, 84, 6], names(false), Some(Family::Yolov8));
        check(&[1, 85, 34], None, Some(Family::Nanodet));
        check(&[1, 300, 6], None, Some(Family::EndToEnd));
        // A count of boxes that no grid has.
        check(&[1, 500, 7], names(true), Some(Family::Yolov5));
        check(&[1, 6, 500], names(false), Some(Family::Yolov8));
        check(&[1, 500, 7], None, None);
        check(&[1, 84, 0], None, None);
        check(&[1, 1000], None, None);
        let obb = Hints { names: None, task: Some("obb".into()) };
        let refused = recognise(&[output(&[1, 7, 84])], 64, 64, &obb);
        assert_eq!(refused, Err(RecogniseError::Task("obb".into())));
    }

    proptest! {
        #[test]
        fn any_metadata_is_survived(text in "[\\[{][0-9'\",: a-z\\\\摊]{0,20}[\\]}]") {
            let _ = parse_names(&text);
        }

        #[test]
        fn what_is_recognised_can_be_decoded(
            shapes in prop::collection::vec(
                prop::collection::vec(prop::sample::select(vec![0usize, 1, 2, 4, 5, 6, 7, 16, 21, 32, 36, 63, 64]), 0..5),
                0..9,
            )
        ) {
            let few = |shape: &[usize]| shape.iter().product::<usize>() < 100_000;
            prop_assume!(shapes.iter().all(|s| few(s)));
            let outputs: Vec<Output> = shapes
                .iter()
                .map(|s| Output { name: "o", shape: s.clone(), values: vec![0.5; s.iter().product()].into() })
                .collect();
            if let Ok(known) = recognise(&outputs, 32, 32, &Hints::default()) {
                let grid = Grid { width: 32, height: 32, classes: known.classes.len() };
                // Recognising is a guess; decoding may still refuse it, never panic.
                let _ = known.family.decode(&outputs, grid, 0.3);
            }
        }
    }
}
