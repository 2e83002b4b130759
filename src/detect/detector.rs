//! A detector: a handle to the one thread that owns a model's session.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::appearance::appearance;
use super::batch::{Job, Queue};
use super::card::{Card, CardError, InputSpec};
use super::family::{Candidate, Family, Grid, LayoutError, Output};
use super::letterbox::{Letterbox, Placement, PlaneError};
use super::nms::{Nms, Scored, VEHICLE_IOU};
use super::recognise::{Hints, RecogniseError, Recognised, parse_names, recognise};
use super::session::{Input, Session, SessionError};
use crate::config::{Model, Provider};
use crate::detection::{Class, Detection, ModelStamp};
use crate::frame::{Captured, Clock, Picture};
use crate::processor::thread_time;

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

/// When an answer is wanted by somebody who does not say.
const PATIENCE: Duration = Duration::from_millis(100);

/// A loaded detector; cheap to clone, all clones feed the same session thread.
#[derive(Clone)]
pub struct Detector {
    about: Arc<About>,
    handle: Arc<Handle>,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.about.fmt(f)
    }
}

/// The last one that goes stops the thread.
struct Handle(Arc<Queue>, Arc<Cost>);

/// Processor time of one picture, in nanoseconds, as lately measured.
#[derive(Default)]
struct Cost(AtomicU64);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
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
    batch_max: usize,
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
        let batch_max = batch_max(&mut session, model, size);
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
            batch_max,
            classes,
        });
        let queue = Arc::new(Queue::default());
        let worker = Worker::new(session, &about, model);
        let cost = Arc::new(Cost::default());
        let (jobs, spent) = (Arc::clone(&queue), Arc::clone(&cost));
        std::thread::Builder::new()
            .name(format!("detect-{}", model.name))
            .spawn(move || worker.serve(jobs, &spent))
            .map_err(|e| DetectError::Stopped(format!("{}: {e}", model.name)))?;
        Ok(Self { about, handle: Arc::new(Handle(queue, cost)) })
    }

    /// Finds objects: surest first, boxes in ratios of the picture, scores of at least the model's `score_min`, after
    /// NMS. Blocks until the session thread has got round to it.
    pub fn detect(&self, picture: &Picture) -> Result<Vec<Detection>, DetectError> {
        self.detect_by(picture, Instant::now() + PATIENCE)
    }

    /// The same for an answer that is wanted by `deadline`: of all pictures that wait the most urgent go first, and those
    /// that can wait go in batches.
    pub fn detect_by(&self, picture: &Picture, deadline: Instant) -> Result<Vec<Detection>, DetectError> {
        let stopped = || DetectError::Stopped(self.about.stamp.name.clone());
        let (reply, answer) = bounded(1);
        let job = Job { picture: picture.clone(), deadline, reply };
        self.handle.0.add(job).map_err(|_| stopped())?;
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

    /// Most pictures that go into one run.
    pub fn batch_max(&self) -> usize {
        self.about.batch_max
    }

    /// How long a picture takes from letterbox to boxes when `together` are asked for at once: the median of `runs`, on
    /// grey pictures of 1080p.
    pub fn measure(&self, runs: usize, together: usize) -> Result<Duration, DetectError> {
        let (width, height) = (1920, 1080);
        let captured = Captured { wall: Timestamp::UNIX_EPOCH, media: Duration::ZERO, clock: Clock::File };
        let chroma: Arc<[u8]> = vec![128; width * height / 4].into();
        let y = vec![128; width * height].into();
        let picture = Picture { captured, width, height, y, u: chroma.clone(), v: chroma, full_range: false };
        let stopped = || DetectError::Stopped(self.about.stamp.name.clone());
        let together = together.max(1);
        let mut times = Vec::new();
        for _ in 0..runs.max(1) {
            let start = Instant::now();
            let (reply, answer) = bounded(together);
            for _ in 0..together {
                let job = Job { picture: picture.clone(), deadline: start + PATIENCE, reply: reply.clone() };
                self.handle.0.add(job).map_err(|_| stopped())?;
            }
            for _ in 0..together {
                answer.recv().map_err(|_| stopped())??;
            }
            times.push(start.elapsed() / together as u32);
        }
        times.sort();
        Ok(times[times.len() / 2])
    }

    /// Processor time that one picture takes, as lately measured: letterbox, inference, boxes.
    pub fn cost(&self) -> Duration {
        Duration::from_nanos(self.handle.1.0.load(Ordering::Relaxed))
    }

    /// How many pictures wait for the session now.
    pub fn waiting(&self) -> usize {
        self.handle.0.len()
    }
}

/// Tells everybody who waits when the thread ends, whatever the reason.
struct LastWords(Arc<Queue>);

impl Drop for LastWords {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The session thread's state.
struct Worker {
    session: Session,
    about: Arc<About>,
    letterbox: Letterbox,
    nms: Nms,
    score_min: f32,
    threads: usize,
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
            threads: if about.provider == Provider::Cpu { model.threads.max(1) } else { 1 },
            file: model.file.clone(),
            about: about.clone(),
        }
    }

    /// Answers until every handle is gone.
    fn serve(mut self, queue: Arc<Queue>, cost: &Cost) {
        let queue = LastWords(queue);
        let mut run = Duration::ZERO;
        while let Some(jobs) = queue.0.next(self.about.batch_max, run) {
            let (start, spent, count) = (Instant::now(), thread_time(), jobs.len());
            self.answer(jobs);
            // Slowly towards the last one: one slow run must not make every batch wait.
            let took = start.elapsed();
            run = if run.is_zero() { took } else { (run * 7 + took) / 8 };
            // The threads of one inference share its work evenly.
            let spent = thread_time().saturating_sub(spent) * self.threads as u32 / count as u32;
            let before = Duration::from_nanos(cost.0.load(Ordering::Relaxed));
            let mean = if before.is_zero() { spent } else { (before * 7 + spent) / 8 };
            cost.0.store(mean.as_nanos() as u64, Ordering::Relaxed);
        }
    }

    /// Analyses one picture where it is, several after copying them together.
    fn answer(&mut self, jobs: Vec<Job>) {
        let Self { session, letterbox, about, score_min, file, .. } = self;
        let (mut batch, mut placed) = (Vec::new(), Vec::new());
        let single = jobs.len() == 1;
        for job in jobs {
            match letterbox.fill(&job.picture) {
                Ok((tensor, placement)) if single => {
                    let found = candidates(session, about, *score_min, file, tensor, 1);
                    return self.reply(vec![(job, placement)], found);
                }
                Ok((tensor, placement)) => {
                    batch.extend_from_slice(tensor);
                    placed.push((job, placement));
                }
                // Whoever asked may have gone away since.
                Err(error) => drop(job.reply.send(Err(error.into()))),
            }
        }
        if !placed.is_empty() {
            let found = candidates(session, about, *score_min, file, &batch, placed.len());
            self.reply(placed, found);
        }
    }

    fn reply(&self, jobs: Vec<(Job, Placement)>, found: Result<Vec<Found>, DetectError>) {
        match found {
            Ok(found) => {
                for ((job, placement), found) in jobs.into_iter().zip(found) {
                    let _ = job.reply.send(found.map(|found| self.objects(&job.picture, placement, found)));
                }
            }
            Err(error) => jobs.into_iter().for_each(|(job, _)| drop(job.reply.send(Err(error.clone())))),
        }
    }

    /// Candidates as objects in the picture.
    fn objects(&self, picture: &Picture, placement: Placement, found: Vec<Candidate>) -> Vec<Detection> {
        let boxes = found
            .into_iter()
            .map(|c| Scored {
                class: c.class,
                score: c.score.min(1.0),
                bbox: placement.picture_from_model(c.corners),
            })
            // Boxes that lie in the bars or are turned inside out.
            .filter(|b| b.bbox.area() > 0.0)
            .collect();
        let detection = |b: Scored| {
            let class = self.about.classes.get(b.class)?.clone();
            Some(Detection { class, score: b.score, bbox: b.bbox, looks: appearance(picture, &b.bbox) })
        };
        self.nms.keep(boxes).into_iter().filter_map(detection).collect()
    }
}

/// What was read of one picture's outputs.
type Found = Result<Vec<Candidate>, DetectError>;

/// Runs the model on the tensors of `count` pictures; candidates of each.
fn candidates(
    session: &mut Session,
    about: &About,
    score_min: f32,
    file: &Path,
    tensors: &[f32],
    count: usize,
) -> Result<Vec<Found>, DetectError> {
    let grid = Grid { width: about.input.width, height: about.input.height, classes: about.classes.len() };
    let decode = |outputs: &[Output<'_>]| {
        let found = about.family.decode(outputs, grid, score_min);
        found.map_err(|source| DetectError::Layout { file: file.to_owned(), source })
    };
    let read = |outputs: &[Output<'_>]| match count {
        1 => vec![decode(outputs)],
        _ => (0..count).map(|nth| decode(&share(outputs, nth, count))).collect(),
    };
    Ok(run(session, tensors, count, grid.width, grid.height, read)?)
}

/// One picture's share of a batch's outputs, in the shape of a single run.
fn share<'a>(outputs: &'a [Output<'_>], nth: usize, count: usize) -> Vec<Output<'a>> {
    let share = |output: &'a Output<'_>| {
        let length = output.values.len() / count;
        let mut shape = output.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = 1;
        }
        Output { name: output.name, shape, values: output.values[nth * length..][..length].into() }
    };
    outputs.iter().map(share).collect()
}

/// How many pictures go into one run: what the config allows if the model takes two at once and answers for each.
fn batch_max(session: &mut Session, model: &Model, (width, height): (usize, usize)) -> usize {
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

/// Runs the model on the tensors of `count` pictures; a second input gets the size that boxes shall refer to.
fn run<R>(
    session: &mut Session,
    tensors: &[f32],
    count: usize,
    width: usize,
    height: usize,
    read: impl FnOnce(&[super::family::Output<'_>]) -> R,
) -> Result<R, SessionError> {
    let pictures = Input::F32(vec![count, 3, height, width], tensors);
    if session.inputs().len() == 2 {
        // RT-DETR and its kin: `orig_target_sizes`, width first.
        let sizes = [width as i64, height as i64].repeat(count);
        session.run(&[pictures, Input::I64(vec![count, 2], &sizes)], read)
    } else {
        session.run(&[pictures], read)
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
