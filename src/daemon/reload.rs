//! The config read anew while gridwatch runs: what changed is put in force, a config that cannot run changes nothing.
//!
//! | in the new config | what happens |
//! |---|---|
//! | a camera as it was before | keeps connection, tracks, dwell clocks |
//! | a camera with other settings | connected anew; zones whose settings are the same keep their dwell clocks |
//! | a camera that is new, or no more | starts; stops, its incidents are closed |
//! | a camera with a mistake in it, that runs | goes on as it was, and says so |
//! | a file that no gridwatch could start with | changes nothing |
//! | another broker, data directory, site, node or number of workers | waits for a restart, and says so |

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc;

use super::cameras::Applied;
use crate::config::{self, Camera, Config, ConfigError, Loaded};
use crate::frame::CameraId;

/// Where the config comes from, and who wants it to be read anew.
pub struct ConfigFile {
    path: PathBuf,
    /// Rung by a signal or a command.
    asked: mpsc::Receiver<()>,
    /// The files that were read, as they looked then, ...
    read: Stamps,
    /// ... and at the last look.
    seen: Stamps,
}

/// Files with their sizes and times of change; what is not there has none.
type Stamps = Vec<(PathBuf, Option<(u64, SystemTime)>)>;

impl ConfigFile {
    /// A config that was just read from these files.
    pub fn new(path: PathBuf, files: &[PathBuf], asked: mpsc::Receiver<()>) -> Self {
        let read = stamps(files);
        Self { path, asked, seen: read.clone(), read }
    }

    /// Its place.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until somebody wants it to be read anew; safe to cancel.
    pub async fn asked(&mut self) {
        if self.asked.recv().await.is_none() {
            std::future::pending::<()>().await; // Nobody can ask any more.
        }
    }

    /// Whether a file has changed and whoever writes it has finished; to be asked about once a second.
    pub fn has_changed(&mut self) -> bool {
        let files: Vec<PathBuf> = self.read.iter().map(|(path, _)| path.clone()).collect();
        let now = stamps(&files);
        let at_rest = now == self.seen;
        self.seen = now;
        at_rest && self.seen != self.read
    }

    /// Reads it. Whatever comes of it, the same files are not read again until they change.
    pub fn read(&mut self) -> Result<Loaded, ConfigError> {
        let loaded = config::load(&self.path);
        if let Ok(loaded) = &loaded {
            self.seen = stamps(&loaded.files);
        }
        self.read = self.seen.clone();
        loaded
    }
}

fn stamps(files: &[PathBuf]) -> Stamps {
    let stamp = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.len(), file.modified().ok()?))
    };
    files.iter().map(|path| (path.clone(), stamp(path))).collect()
}

/// A new config made fit to take the place of the one in force.
pub struct Next {
    /// What to put in force.
    pub config: Config,
    /// What of the files is not in force, one sentence each.
    pub not_in_force: Vec<String>,
    /// Cameras that go on as they were because their new settings are wrong, and why.
    pub held: Vec<(CameraId, String)>,
}

impl Next {
    /// Keeps what cannot change while gridwatch runs, and the cameras whose new settings are wrong; `running` gives the
    /// settings of those that run.
    pub fn new<'a>(
        mut config: Config,
        before: &Config,
        running: impl Fn(&CameraId) -> Option<&'a Arc<Camera>>,
    ) -> Self {
        let mut not_in_force = Vec::new();
        let mut wait = |what: &str| not_in_force.push(format!("{what}: in force after a restart"));
        let (old, new) = (&before.node, &mut config.node);
        if (&old.site, &old.id) != (&new.site, &new.id) {
            wait("`site` and `id` of [node]");
            (new.site, new.id) = (old.site.clone(), old.id.clone());
        }
        if old.data_dir != new.data_dir {
            wait("`data_dir` of [node]");
            new.data_dir.clone_from(&old.data_dir);
        }
        if old.workers != new.workers {
            wait("`workers` of [node]");
            new.workers = old.workers;
        }
        if old.metrics != new.metrics {
            wait("`metrics` of [node]");
            new.metrics.clone_from(&old.metrics);
        }
        if before.mqtt != config.mqtt {
            wait("[mqtt]");
            config.mqtt.clone_from(&before.mqtt);
        }
        let mut held = Vec::new();
        config.disabled.retain(|broken| {
            let Some(camera) = running(&broken.id) else { return true };
            held.push((broken.id.clone(), broken.problems.join("; ")));
            config.cameras.push(Camera::clone(camera));
            for name in camera.model_names() {
                if let (false, Some(model)) = (config.models.contains_key(name), before.models.get(name)) {
                    config.models.insert(name.clone(), model.clone());
                }
            }
            false
        });
        Self { config, not_in_force, held }
    }

    /// What came of it, in a sentence.
    pub fn summary(&self, applied: Applied) -> String {
        let Applied { kept, changed, added, removed } = applied;
        let mut text = format!(
            "config {}: {kept} cameras as before, {changed} changed, {added} new, {removed} gone",
            self.config.revision
        );
        let held =
            |(camera, why): &(CameraId, String)| format!("{camera} goes on with its old settings: {why}");
        text.extend(
            self.held.iter().map(held).chain(self.not_in_force.iter().cloned()).map(|one| format!("; {one}")),
        );
        text
    }
}
