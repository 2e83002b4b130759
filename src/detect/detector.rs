//! A detector: a handle to the one thread that owns a model's session.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::appearance::appearance;
use super::card::{Card, CardError, InputSpec};
use super::family::{Family, Grid, LayoutError};
use super::letterbox::{Letterbox, PlaneError};
use super::nms::{Nms, Scored, VEHICLE_IOU};
use super::recognise::{Hints, RecogniseError, Recognised, parse_names, recognise};
use super::session::{Input, Session, SessionError};
use crate::config::{Model, Provider};
use crate::detection::{Class, Detection, ModelStamp};
use crate::frame::{Captured, Clock, Picture};

/// Why a detector does not load or a picture is not analysed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DetectError {
    /// The model file cannot be read.
    #[error("cannot read the model `{file}`: {reason}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The card is wrong or belongs to another file.
    #[error(transparent)]
    Card(#[from] CardError),
    /// ONNX Runtime cannot load or run the model.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The model's input is none that a picture fits into.
    #[error("`{file}` is no detector: {reason}")]
    Input {
        /// The model.
        file: PathBuf,
        /// What its inputs are.
        reason: String,
    },
    /// It is no network that marks falling things.
    #[error("`{file}` does not mark falling things: {reason}")]
    Falls {
        /// The model.
        file: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Without a card, its outputs say nothing.
    #[error("`{file}`: {source}")]
    Unrecognised {
        /// The model.
        file: PathBuf,
        /// What was found.
        source: RecogniseError,
    },
    /// Its outputs are not what its card says.
    #[error("`{file}`: {source}")]
    Layout {
        /// The model.
        file: PathBuf,
        /// What was found.
        source: LayoutError,
    },
    /// The picture's planes and size disagree.
    #[error(transparent)]
    Picture(#[from] PlaneError),
    /// The detector's thread has ended.
    #[error("the thread of model `{0}` has stopped")]
    Stopped(String),
}

/// Pictures that may wait for one session: two per core of a big edge box; beyond that, whoever asks waits.
const QUEUE_MAX: usize = 16;

/// A loaded detector; cheap to clone, all clones feed the same session thread.
#[derive(Debug, Clone)]
pub struct Detector {
    about: Arc<About>,
    jobs: Sender<Job>,
}

/// What is known about a loaded detector.
#[derive(Debug)]
struct About {
    stamp: ModelStamp,
    family: Family,
    input: InputSpec,
    classes: Vec<Class>,
    named: bool,
    provider: Provider,
    fallback: Option<String>,
    trial: Duration,
}

/// One picture to analyse, and where the answer goes.
struct Job {
    picture: Picture,
    reply: Sender<Result<Vec<Detection>, DetectError>>,
}

impl Detector {
    /// Loads a model, runs it once on an empty picture to see that it works, and starts its thread.
    pub fn load(model: &Model) -> Result<Self, DetectError> {
        let sha256 = hash(&model.file)
            .map_err(|e| DetectError::Unreadable { file: model.file.clone(), reason: e.to_string() })?;
        let card = Card::beside(&model.file)?;
        if let Some(card) = &card {
            card.check_hash(&model.file, &sha256)?;
        }
        let mut session = Session::open(&model.file, model.provider, model.threads)?;
        if let Some(why) = session.fallback() {
            let (wanted, model) = (model.provider, &model.name);
            tracing::warn!(model, "runs on the CPU: {wanted:?} cannot be used: {why}");
        }
        let size = input_size(&session, card.as_ref(), &model.file)?;
        let (known, trial) = identify(&mut session, card.as_ref(), size, &model.file)?;
        let classes: Vec<Class> = known.classes.iter().map(|c| Class::from(c.as_str())).collect();
        let name = card.map_or_else(|| model_name(&model.file), |card| card.name);
        let about = Arc::new(About {
            stamp: ModelStamp { name, sha256 },
            family: known.family,
            input: known.input,
            named: known.named,
            provider: session.provider(),
            fallback: session.fallback().map(str::to_owned),
            trial,
            classes,
        });
        let (jobs, queue) = bounded(QUEUE_MAX);
        let worker = Worker::new(session, &about, model);
        std::thread::Builder::new()
            .name(format!("detect-{}", model.name))
            .spawn(move || worker.serve(&queue))
            .map_err(|e| DetectError::Stopped(format!("{}: {e}", model.name)))?;
        Ok(Self { about, jobs })
    }

    /// Finds objects: surest first, boxes in ratios of the picture, scores of at least the model's `score_min`, after
    /// NMS. Blocks until the session thread has got round to it.
    pub fn detect(&self, picture: &Picture) -> Result<Vec<Detection>, DetectError> {
        let stopped = || DetectError::Stopped(self.about.stamp.name.clone());
        let (reply, answer) = bounded(1);
        self.jobs.send(Job { picture: picture.clone(), reply }).map_err(|_| stopped())?;
        answer.recv().map_err(|_| stopped())?
    }

    /// Which model this is, for events.
    pub fn stamp(&self) -> &ModelStamp {
        &self.about.stamp
    }

    /// What it can find.
    pub fn classes(&self) -> &[Class] {
        &self.about.classes
    }

    /// Whether the class names are the model's own or COCO's, rather than `class_0` and so on.
    pub fn classes_are_named(&self) -> bool {
        self.about.named
    }

    /// Width and height of its input in pixels.
    pub fn input_size(&self) -> (usize, usize) {
        (self.about.input.width, self.about.input.height)
    }

    /// How pictures are fed to it.
    pub fn input(&self) -> &InputSpec {
        &self.about.input
    }

    /// Layout of its outputs.
    pub fn family(&self) -> Family {
        self.about.family
    }

    /// Where it runs.
    pub fn provider(&self) -> Provider {
        self.about.provider
    }

    /// Why it runs on the CPU although something else was asked for.
    pub fn fallback(&self) -> Option<&str> {
        self.about.fallback.as_deref()
    }

    /// How long the first inference took, cold: what a start costs.
    pub fn trial(&self) -> Duration {
        self.about.trial
    }

    /// How long a picture takes from letterbox to boxes: the median of `runs` on a grey picture of 1080p.
    pub fn measure(&self, runs: usize) -> Result<Duration, DetectError> {
        let (width, height) = (1920, 1080);
        let captured = Captured { wall: Timestamp::UNIX_EPOCH, media: Duration::ZERO, clock: Clock::File };
        let chroma: Arc<[u8]> = vec![128; width * height / 4].into();
        let y = vec![128; width * height].into();
        let picture = Picture { captured, width, height, y, u: chroma.clone(), v: chroma, full_range: false };
        let mut times = Vec::new();
        for _ in 0..runs.max(1) {
            let start = Instant::now();
            self.detect(&picture)?;
            times.push(start.elapsed());
        }
        times.sort();
        Ok(times[times.len() / 2])
    }

    /// How many pictures wait for the session now.
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }
}

/// The session thread's state.
struct Worker {
    session: Session,
    about: Arc<About>,
    letterbox: Letterbox,
    nms: Nms,
    score_min: f32,
    file: PathBuf,
}

impl Worker {
    fn new(session: Session, about: &Arc<About>, model: &Model) -> Self {
        // Queries and end-to-end heads suppress their own doubles, but van and truck stay two answers.
        let iou = about.family.needs_nms().then_some(model.nms_iou);
        Self {
            session,
            letterbox: Letterbox::new(&about.input),
            nms: Nms::new(&about.classes, iou, Some(VEHICLE_IOU)),
            score_min: model.score_min,
            file: model.file.clone(),
            about: about.clone(),
        }
    }

    /// Answers until every handle is gone. (Batching across cameras belongs here: what waits in `queue` is the batch.)
    fn serve(mut self, queue: &Receiver<Job>) {
        for job in queue {
            let answer = self.detect(&job.picture);
            // Whoever asked may have gone away since.
            let _ = job.reply.send(answer);
        }
    }

    fn detect(&mut self, picture: &Picture) -> Result<Vec<Detection>, DetectError> {
        let about = &self.about;
        let (tensor, placement) = self.letterbox.fill(picture)?;
        let grid =
            Grid { width: about.input.width, height: about.input.height, classes: about.classes.len() };
        let candidates = run(&mut self.session, tensor, grid.width, grid.height, |outputs| {
            about.family.decode(outputs, grid, self.score_min)
        })?
        .map_err(|source| DetectError::Layout { file: self.file.clone(), source })?;
        let boxes = candidates
            .into_iter()
            .map(|c| Scored {
                class: c.class,
                score: c.score.min(1.0),
                bbox: placement.picture_from_model(c.corners),
            })
            // Boxes that lie in the bars or are turned inside out.
            .filter(|b| b.bbox.area() > 0.0)
            .collect();
        let kept = self.nms.keep(boxes).into_iter();
        Ok(kept
            .filter_map(|b| {
                let class = about.classes.get(b.class)?.clone();
                Some(Detection { class, score: b.score, bbox: b.bbox, looks: appearance(picture, &b.bbox) })
            })
            .collect())
    }
}

/// Runs the model on one picture's tensor; a second input gets the size that boxes shall refer to.
fn run<R>(
    session: &mut Session,
    tensor: &[f32],
    width: usize,
    height: usize,
    read: impl FnOnce(&[super::family::Output<'_>]) -> R,
) -> Result<R, SessionError> {
    let picture = Input::F32(vec![1, 3, height, width], tensor);
    // RT-DETR and its kin: `orig_target_sizes`, width first.
    let size = [width as i64, height as i64];
    if session.inputs().len() == 2 {
        session.run(&[picture, Input::I64(vec![1, 2], &size)], read)
    } else {
        session.run(&[picture], read)
    }
}

/// Width and height of the model's input: fixed by the model, else by the card, the metadata, or the usual 640.
fn input_size(session: &Session, card: Option<&Card>, file: &Path) -> Result<(usize, usize), DetectError> {
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
    if [size.0, size.1].iter().any(|n| !(8..=super::card::INPUT_SIDE_MAX).contains(n)) {
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
fn identify(
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
    let known = run(session, &empty, width, height, |outputs| match card {
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
    run(session, &empty, width, height, |outputs| known.family.decode(outputs, grid, 1.0))?
        .map_err(|source| DetectError::Layout { file: file.to_owned(), source })?;
    Ok((known, trial))
}

/// Declared sizes for messages: `[1, 3, ?, ?]`.
pub(super) fn dims(shape: &[Option<usize>]) -> String {
    let sizes: Vec<String> =
        shape.iter().map(|n| n.map_or_else(|| "?".to_owned(), |n| n.to_string())).collect();
    format!("[{}]", sizes.join(", "))
}

/// The file's name without directory and ending.
fn model_name(file: &Path) -> String {
    file.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned())
}

/// SHA-256 of a file, lower-case hex.
pub fn hash(file: &Path) -> std::io::Result<String> {
    let mut digest = Sha256::new();
    std::io::copy(&mut std::fs::File::open(file)?, &mut digest)?;
    Ok(hex::encode(digest.finalize()))
}
