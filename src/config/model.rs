//! `[models.NAME]`: which ONNX file runs, where and how.

use std::path::{Path, PathBuf};

use super::item::Item;

/// Where a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Any processor.
    Cpu,
    /// An NVIDIA GPU through CUDA.
    Cuda,
    /// An NVIDIA GPU through TensorRT (builds an engine at first start, which takes minutes).
    Tensorrt,
    /// Intel processors, GPUs and NPUs through OpenVINO.
    Openvino,
    /// Huawei Ascend through CANN.
    Cann,
}

/// Which ONNX file runs, where and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The name that cameras use.
    pub name: String,
    /// The `.onnx` file; its card is the `.toml` of the same name beside it, if there is one.
    pub file: PathBuf,
    /// Where it should run; the CPU takes over, with a message, when the loaded runtime cannot.
    pub provider: Provider,
    /// Threads within one inference.
    pub threads: usize,
    /// Most pictures that go into one run, if the model takes more than one.
    pub batch_max: usize,
    /// Detections below this score are dropped, 0..1; rules may ask for more.
    pub score_min: f32,
    /// Overlap above which two boxes of a class are one object, 0..1.
    pub nms_iou: f32,
}

/// The model that gridwatch ships, and that cameras use unless they name another.
pub const SHIPPED_MODEL: &str = "street";

/// Pictures in one run on a GPU, unless the config says otherwise: what fills a small one.
const GPU_BATCH: usize = 16;

/// Its file.
const SHIPPED_FILE: &str = "street-v2.onnx";

/// `[models.NAME]` as the operator writes it.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct ModelTable {
    /// The `.onnx` file: relative to this file, to `models/` beside it, or to the installed models. Default, for `street` only: the shipped `street-v2.onnx`.
    pub file: Option<PathBuf>,
    /// Where it runs: `cpu`, `cuda`, `tensorrt`, `openvino` or `cann`; the CPU takes over, with a message, when the runtime cannot.
    #[serde(default = "cpu")]
    pub provider: Provider,
    /// Threads within one inference; one is the most economical with many cameras.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 256))]
    pub threads: usize,
    /// Most pictures of several cameras that go into one run, if the model takes more than one. Default: 16 on a GPU, 1 on a processor, which gains nothing by it.
    #[schemars(range(min = 1, max = 256))]
    pub batch_max: Option<usize>,
    /// Detections below this score are dropped, 0..1; scenarios ask for more with their own `score_min`.
    #[serde(default = "default_score_min")]
    #[schemars(range(min = 0, max = 1))]
    pub score_min: f32,
    /// Overlap (intersection over union) above which two boxes of a class are one object, 0..1.
    #[serde(default = "default_nms_iou")]
    #[schemars(range(min = 0, max = 1))]
    pub nms_iou: f32,
}

fn cpu() -> Provider {
    Provider::Cpu
}

fn one() -> usize {
    1
}

fn default_score_min() -> f32 {
    0.3
}

fn default_nms_iou() -> f32 {
    0.6
}

impl ModelTable {
    /// The model with its file found, or the problem noted in the item.
    pub fn resolve(self, name: &str, item: &mut Item, dir: &Path) -> Option<Model> {
        let Some(wanted) = self.file.or_else(|| (name == SHIPPED_MODEL).then(|| SHIPPED_FILE.into())) else {
            item.error("", format!("[models.{name}] has no `file`"), "`file = \"….onnx\"`".to_owned());
            return None;
        };
        let candidates = candidates(&wanted, dir);
        let found = candidates.iter().find(|file| file.is_file()).cloned();
        let Some(file) = found.or_else(|| in_checkout(&wanted)) else {
            let looked: Vec<String> = candidates.iter().map(|file| file.display().to_string()).collect();
            let message = format!("the file of model `{name}` is not there: `{}`", wanted.display());
            item.error("/file", message, format!("looked for {}", looked.join(", ")));
            return None;
        };
        let Self { provider, threads, score_min, nms_iou, .. } = self;
        let usual = if provider == Provider::Cpu { 1 } else { GPU_BATCH };
        let batch_max = self.batch_max.unwrap_or(usual);
        Some(Model { name: name.to_owned(), file, provider, threads, batch_max, score_min, nms_iou })
    }
}

/// Where a model's file may lie, in the order of looking.
fn candidates(file: &Path, dir: &Path) -> Vec<PathBuf> {
    if file.is_absolute() {
        return vec![file.to_owned()];
    }
    let share = std::env::var_os("GRIDWATCH_SHARE").map(PathBuf::from);
    // `../models`: the config lies in `config/` of a checkout.
    let beside = [dir.join(file), dir.join("models").join(file), dir.join("../models").join(file)];
    let installed = share.into_iter().chain([PathBuf::from("/usr/share/gridwatch")]);
    beside.into_iter().chain(installed.map(|share| share.join("models").join(file))).collect()
}

/// A binary that was built in a checkout finds the checkout's models, wherever the config lies.
fn in_checkout(file: &Path) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let mut candidates = program.ancestors().skip(1).take(4).map(|dir| dir.join("models").join(file));
    candidates.find(|file| file.is_file())
}
