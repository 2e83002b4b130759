//! The second half, in Python: `models/training/adapt.py` makes a model of the collected folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde::Deserialize;

/// What the scripts import that does not come with Python.
const PACKAGES: [&str; 6] = ["cv2", "moderngl", "numpy", "onnx", "onnxruntime", "torch"];
const SCRIPT: &str = "adapt.py";
/// What other places may lose by it, in mean AP50: more than this is forgetting.
const LOSS_MAX: f64 = 0.05;

/// A Python that has what it takes, and the script.
pub struct Tuner {
    python: PathBuf,
    script: PathBuf,
}

/// What the script says at its end.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// The new model's file.
    pub model: PathBuf,
    base: String,
    pictures: u32,
    composites: Pair<Figures>,
    renders: Pair<Figures>,
    false_boxes: Pair<f64>,
}

#[derive(Debug, Deserialize)]
struct Pair<T> {
    before: T,
    after: T,
}

#[derive(Debug, Deserialize)]
struct Figures {
    mean: f64,
    /// AP50 and count of each class.
    classes: BTreeMap<String, (f64, u32)>,
}

impl Tuner {
    /// Finds both, or says what is missing and what to do about it.
    pub fn find(python: Option<&Path>, training: Option<&Path>) -> anyhow::Result<Self> {
        let training = training.map(Path::to_owned).or_else(in_checkout);
        let Some(training) = training.filter(|dir| dir.join(SCRIPT).is_file()) else {
            bail!(
                "the training scripts are not here\nhint: name the folder `models/training` of gridwatch's source with \
                 --training, or use --collect-only here and run its {SCRIPT} --site DIR where they are"
            );
        };
        // `./dev training` makes it two folders above the scripts.
        let own = training.join("../../.dev/training/bin/python");
        let python = match python {
            Some(python) => python.to_owned(),
            None if own.is_file() => own,
            None => "python3".into(),
        };
        let imports = format!("import {}", PACKAGES.join(", "));
        let tried = Command::new(&python).args(["-c", &imports]).stdin(Stdio::null()).output().with_context(
            || format!("cannot run `{}`\nhint: name a Python 3.11 with --python", python.display()),
        )?;
        if !tried.status.success() {
            let said = String::from_utf8_lossy(&tried.stderr);
            let why = said.lines().last().unwrap_or("it fails").to_owned();
            bail!(
                "`{}` lacks what training needs: {why}\nhint: `./dev training` sets it up in a checkout; or \
                 --collect-only here, and {SCRIPT} --site DIR on a machine that has it",
                python.display()
            );
        }
        Ok(Self { python, script: training.join(SCRIPT) })
    }

    /// Runs the script on the folder; its progress goes to stderr.
    pub fn tune(&self, site: &Path, base: &Path, extra: &[String]) -> anyhow::Result<Outcome> {
        let output = Command::new(&self.python)
            .arg(&self.script)
            .arg("--site")
            .arg(site)
            .arg("--base")
            .arg(base)
            .args(extra)
            // One core: a box that watches cameras meanwhile has no other to spare.
            .env("OMP_NUM_THREADS", "1")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run `{}`", self.python.display()))?;
        if !output.status.success() {
            bail!(
                "{SCRIPT} failed ({})\nhint: the same command with --collected goes on where it was",
                output.status
            );
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let last = said.lines().last().unwrap_or_default();
        serde_json::from_str(last).with_context(|| format!("{SCRIPT} ended with no result but `{last}`"))
    }
}

impl Outcome {
    /// Better at this place, and no worse elsewhere than noise.
    pub fn is_better(&self) -> bool {
        self.composites.after.mean > self.composites.before.mean
            && self.renders.after.mean > self.renders.before.mean - LOSS_MAX
            && self.false_boxes.after <= self.false_boxes.before
    }

    /// Before and after, line by line.
    pub fn table(&self) -> String {
        let mut lines = vec![format!("{:<34}{:>8}{:>8}", self.base, "before", "after")];
        for (name, pair) in [
            ("this place, composites kept apart", &self.composites),
            ("other places, renders", &self.renders),
        ] {
            lines.push(format!("{name:<34}{:>8.3}{:>8.3}", pair.before.mean, pair.after.mean));
            for (class, (after, count)) in &pair.after.classes {
                let before = pair.before.classes.get(class).map_or(0.0, |(ap, _)| *ap);
                lines.push(format!("{:<34}{before:>8.3}{after:>8.3}", format!("  {class} ({count})")));
            }
        }
        let Pair { before, after } = self.false_boxes;
        lines.push(format!("{:<34}{before:>8.2}{after:>8.2}", "boxes from 0.5 in the empty place"));
        lines.push(format!(
            "AP50 on {} pictures each; composites flatter: judge it on recordings too",
            self.pictures
        ));
        lines.join("\n")
    }
}

/// A binary that was built in a checkout finds the checkout's scripts.
fn in_checkout() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let mut candidates = program.ancestors().skip(1).take(4).map(|dir| dir.join("models/training"));
    candidates.find(|dir| dir.join(SCRIPT).is_file())
}
