//! Pictures over time, from files or from the camera itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::{mpsc, watch};

use super::place::{Look, Looks};
use crate::camera::{self, Clip, Message};
use crate::config::Camera;
use crate::decode::{Decoder, KeyDecoder};
use crate::detect::Detector;
use crate::evidence::{mask, still};
use crate::frame::{AccessUnit, CameraState, Picture};

/// Longest side of the pictures that are kept: the model sees no more.
const SIDE_MAX: usize = 640;
/// First distance of pictures from a file; it doubles as they become many.
const FILE_EVERY: Duration = Duration::from_millis(200);
/// First distance of pictures from a camera.
const CAMERA_EVERY: Duration = Duration::from_secs(5);
/// A camera that has sent no picture for so long at the start is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the progress is said.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Masks and looks at pictures; nothing else ever sees them whole.
pub struct Eye<'a> {
    /// Whose pictures.
    pub camera: Arc<Camera>,
    /// The camera's own model.
    pub detector: &'a Detector,
}

impl Eye<'_> {
    fn look(&self, picture: Picture) -> anyhow::Result<Look> {
        let picture = mask::apply(picture, &self.camera.masks);
        let objects = self.detector.detect(&picture)?;
        Ok(Look { image: still::still(&picture, SIDE_MAX)?, objects })
    }

    /// Pictures of recordings of this camera, one after the other.
    pub fn files(&self, paths: &[PathBuf]) -> anyhow::Result<Looks> {
        let mut looks = Looks::new(FILE_EVERY);
        let mut before = Duration::ZERO;
        for path in paths {
            before = self.file(path, before, &mut looks)?;
        }
        Ok(looks)
    }

    /// The time at which the file ends if it begins at `before`.
    fn file(&self, path: &Path, before: Duration, looks: &mut Looks) -> anyhow::Result<Duration> {
        let clip = Clip::open(path)?;
        let mut decoder = Decoder::new(clip.codec())?;
        let mut last = before;
        let mut take = |pictures: Vec<Picture>| -> anyhow::Result<()> {
            for picture in pictures {
                last = last.max(before + picture.captured.media);
                if looks.wants(last) {
                    looks.keep(last, self.look(picture)?);
                }
            }
            Ok(())
        };
        for unit in clip {
            match unit.map_err(anyhow::Error::from).and_then(|unit| Ok(decoder.decode(&unit)?)) {
                Ok(pictures) => take(pictures)?,
                Err(error) => tracing::debug!("{error}"),
            }
        }
        take(decoder.finish().unwrap_or_default())?;
        Ok(last + FILE_EVERY)
    }

    /// Key pictures of the camera for so long.
    pub fn live(&self, time: Duration) -> anyhow::Result<Looks> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (out, mut messages) = mpsc::channel(64);
        let (stop, stopped) = watch::channel(false);
        runtime.block_on(async {
            let task = tokio::spawn(camera::run(self.camera.clone(), out, Arc::default(), stopped));
            let outcome = self.collect(&mut messages, time).await;
            let _ = stop.send(true);
            task.abort();
            outcome
        })
    }

    async fn collect(&self, messages: &mut mpsc::Receiver<Message>, time: Duration) -> anyhow::Result<Looks> {
        let mut looks = Looks::new(CAMERA_EVERY.min(time / 40));
        let mut decoder = KeyDecoder::new();
        let (began, mut said) = (Instant::now(), Instant::now());
        let mut last = "no answer".to_owned();
        loop {
            let patience = if looks.len() == 0 { PATIENCE.min(time) } else { time };
            let left = patience.saturating_sub(began.elapsed());
            let Ok(Some(message)) = tokio::time::timeout(left, messages.recv()).await else { break };
            match message {
                Message::Unit(unit) if unit.key && looks.wants(began.elapsed()) => {
                    match self.key_picture(&mut decoder, &unit) {
                        Ok(look) => looks.keep(began.elapsed(), look),
                        Err(error) => last = error.to_string(),
                    }
                }
                Message::State { state: CameraState::AuthFailed, detail } => {
                    bail!("{}", detail.unwrap_or_else(|| "wrong user name or password".into()))
                }
                Message::State { detail: Some(detail), .. } => last = detail,
                Message::Unit(_) | Message::State { .. } => {}
            }
            if said.elapsed() >= SAID_EVERY {
                said = Instant::now();
                let (now, all) = (began.elapsed().as_secs() / 60, time.as_secs() / 60);
                note!("{now} of {all} minutes, {} pictures held", looks.len());
            }
        }
        if looks.len() == 0 {
            bail!("no picture came from camera `{}`: {last}", self.camera.id);
        }
        Ok(looks)
    }

    fn key_picture(&self, decoder: &mut KeyDecoder, unit: &AccessUnit) -> anyhow::Result<Look> {
        self.look(decoder.decode(unit).context("a key picture")?)
    }
}
