//! A detector: a handle to the one thread that owns a model's session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use jiff::Timestamp;

use super::DetectError;
use super::batch::{Job, Queue};
use super::card::{Card, InputSpec};
use super::family::Family;
use super::identify::{batch_max, hash, identify, input_size, model_name};
use super::session::Session;
use super::worker::Worker;
use crate::config::{Model, Provider};
use crate::detection::{Class, Detection, ModelStamp};
use crate::frame::{Captured, Clock, Picture};

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
pub(super) struct Cost(pub AtomicU64);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What is known about a loaded detector.
#[derive(Debug)]
pub(super) struct About {
    stamp: ModelStamp,
    pub family: Family,
    pub input: InputSpec,
    pub classes: Vec<Class>,
    named: bool,
    pub provider: Provider,
    fallback: Option<String>,
    trial: Duration,
    pub batch_max: usize,
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
