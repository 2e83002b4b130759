//! The one thread that owns a model's session: pictures go in batches through letterbox, model and suppression.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::DetectError;
use super::appearance::appearance;
use super::batch::{Job, Queue};
use super::detector::{About, Cost};
use super::family::{Candidate, Grid, Output};
use super::letterbox::{Letterbox, Placement};
use super::nms::{Nms, Scored, VEHICLE_IOU};
use super::session::{Input, Session, SessionError};
use crate::config::{Model, Provider};
use crate::detection::Detection;
use crate::frame::Picture;
use crate::processor::thread_time;

/// Tells everybody who waits when the thread ends, whatever the reason.
struct LastWords(Arc<Queue>);

impl Drop for LastWords {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The session thread's state.
pub(super) struct Worker {
    session: Session,
    about: Arc<About>,
    letterbox: Letterbox,
    nms: Nms,
    score_min: f32,
    threads: usize,
    file: PathBuf,
}

impl Worker {
    pub fn new(session: Session, about: &Arc<About>, model: &Model) -> Self {
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
    pub fn serve(mut self, queue: Arc<Queue>, cost: &Cost) {
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

/// Runs the model on the tensors of `count` pictures; a second input gets the size that boxes shall refer to.
pub(super) fn run<R>(
    session: &mut Session,
    tensors: &[f32],
    count: usize,
    width: usize,
    height: usize,
    read: impl FnOnce(&[Output<'_>]) -> R,
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
