//! What a model file turns out to be: its input, its layout, how many pictures it takes at once.

use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::DetectError;
use super::card::{Card, INPUT_SIDE_MAX};
use super::family::Grid;
use super::recognise::{Hints, Recognised, parse_names, recognise};
use super::session::Session;
use super::worker::run;
use crate::config::Model;

/// Width and height of the model's input: fixed by the model, else by the card, the metadata, or the usual 640.
pub(super) fn input_size(
    session: &Session,
    card: Option<&Card>,
    file: &Path,
) -> Result<(usize, usize), DetectError> {
    let wrong = |reason: String| DetectError::Input { file: file.to_owned(), reason };
    let ports = session.inputs();
    let describe =
        || ports.iter().map(|p| format!("`{}` {}", p.name, dims(&p.shape))).collect::<Vec<_>>().join(", ");
    let picture = match ports {
        [picture] => picture,
        [picture, sizes] if sizes.shape.len() == 2 && sizes.kind == "Int64" => picture,
        _ => return Err(wrong(format!("its inputs are {}, a detector takes one picture", describe()))),
    };
    if !matches!(picture.kind.as_str(), "Float32" | "Float16") {
        return Err(wrong(format!("its input `{}` holds {}, not floats", picture.name, picture.kind)));
    }
    let &[batch, channels, height, width] = &picture.shape[..] else {
        return Err(wrong(format!("its input is {}, not [1, 3, height, width]", describe())));
    };
    if batch.is_some_and(|n| n != 1) || channels.is_some_and(|n| n != 3) {
        return Err(wrong(format!("its input is {}, not [1, 3, height, width]", describe())));
    }
    let asked = card.map(|c| (c.input.width, c.input.height)).or_else(|| image_size(session));
    let (usual_width, usual_height) = asked.unwrap_or((640, 640));
    let size = (width.unwrap_or(usual_width), height.unwrap_or(usual_height));
    if let Some(card) = card.filter(|c| (c.input.width, c.input.height) != size) {
        let (w, h) = (card.input.width, card.input.height);
        return Err(wrong(format!("its card says {w}x{h}, the file wants {}x{}", size.0, size.1)));
    }
    if [size.0, size.1].iter().any(|n| !(8..=INPUT_SIDE_MAX).contains(n)) {
        return Err(wrong(format!("its input is {}x{} pixels", size.0, size.1)));
    }
    Ok(size)
}

/// `imgsz` of Ultralytics' metadata: `[height, width]`.
fn image_size(session: &Session) -> Option<(usize, usize)> {
    let text = session.metadata("imgsz")?;
    let numbers: Vec<usize> =
        text.trim_matches(['[', ']', '(', ')']).split(',').filter_map(|n| n.trim().parse().ok()).collect();
    match numbers[..] {
        [height, width] => Some((width, height)),
        [side] => Some((side, side)),
        _ => None,
    }
}

/// Runs the model on an empty picture and settles what it is; also how long that took.
pub(super) fn identify(
    session: &mut Session,
    card: Option<&Card>,
    (width, height): (usize, usize),
    file: &Path,
) -> Result<(Recognised, Duration), DetectError> {
    let hints = Hints {
        names: session.metadata("names").as_deref().and_then(parse_names),
        task: session.metadata("task"),
    };
    let empty = vec![0.0; 3 * width * height];
    let start = Instant::now();
    let known = run(session, &empty, 1, width, height, |outputs| match card {
        None => recognise(outputs, width, height, &hints)
            .map_err(|source| DetectError::Unrecognised { file: file.to_owned(), source }),
        Some(card) => Ok(Recognised {
            family: card.family,
            input: card.input.clone(),
            classes: card.classes.clone(),
            named: true,
        }),
    })?;
    let trial = start.elapsed();
    let known = known?;
    // What was recognised, or what the card says, must also be readable.
    let grid = Grid { width, height, classes: known.classes.len() };
    run(session, &empty, 1, width, height, |outputs| known.family.decode(outputs, grid, 1.0))?
        .map_err(|source| DetectError::Layout { file: file.to_owned(), source })?;
    Ok((known, trial))
}

/// Declared sizes for messages: `[1, 3, ?, ?]`.
pub(super) fn dims(shape: &[Option<usize>]) -> String {
    let sizes: Vec<String> =
        shape.iter().map(|n| n.map_or_else(|| "?".to_owned(), |n| n.to_string())).collect();
    format!("[{}]", sizes.join(", "))
}

/// How many pictures go into one run: what the config allows if the model takes two at once and answers for each.
pub(super) fn batch_max(session: &mut Session, model: &Model, (width, height): (usize, usize)) -> usize {
    let open = session.inputs().first().is_some_and(|port| port.shape.first() == Some(&None));
    if model.batch_max < 2 || !open {
        return 1;
    }
    let empty = vec![0.0; 2 * 3 * width * height];
    let answers = run(session, &empty, 2, width, height, |outputs| {
        outputs.iter().all(|output| output.shape.len() > 1 && output.shape[0] == 2)
    });
    if let Ok(true) = answers {
        return model.batch_max;
    }
    tracing::info!(model = model.name, "takes one picture at a time: its outputs do not grow with the batch");
    1
}

/// The file's name without directory and ending.
pub(super) fn model_name(file: &Path) -> String {
    file.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned())
}

/// SHA-256 of a file, lower-case hex.
pub fn hash(file: &Path) -> std::io::Result<String> {
    let mut digest = Sha256::new();
    std::io::copy(&mut std::fs::File::open(file)?, &mut digest)?;
    Ok(hex::encode(digest.finalize()))
}
