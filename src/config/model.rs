//! `[models.NAME]`: which ONNX file runs, where and how.

use std::path::PathBuf;

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
    /// Detections below this score are dropped, 0..1; rules may ask for more.
    pub score_min: f32,
    /// Overlap above which two boxes of a class are one object, 0..1.
    pub nms_iou: f32,
}
