//! One loaded model in ONNX Runtime; the only file that knows `ort`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use half::f16;
use ort::ep::{self, ExecutionProvider};
use ort::logging::LogLevel;
use ort::session::builder::SessionBuilder;
use ort::session::{SessionInputValue, SessionOutputs};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType, TensorRef, ValueType};

use super::family::Output;
use super::runtime::{self, RuntimeError};
use crate::config::Provider;

/// Why a model does not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// There is no runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// ONNX Runtime does not take the file.
    #[error("ONNX Runtime refuses `{file}`: {reason}")]
    Refused {
        /// The model.
        file: PathBuf,
        /// What it says, on one line.
        reason: String,
    },
    /// The model ran into an error.
    #[error("`{file}` does not run: {reason}")]
    Run {
        /// The model.
        file: PathBuf,
        /// What ONNX Runtime says, on one line.
        reason: String,
    },
    /// An output holds something else than numbers.
    #[error("output `{name}` of `{file}` is {kind}; detectors give numbers")]
    OutputKind {
        /// The model.
        file: PathBuf,
        /// The output.
        name: String,
        /// What it is.
        kind: String,
    },
}

/// What a model declares about an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the graph.
    pub name: String,
    /// Its declared sizes, `None` where a dimension is left open.
    pub shape: Vec<Option<usize>>,
    /// Its element type as ONNX Runtime calls it, such as `Float32`.
    pub kind: String,
}

/// A model loaded into ONNX Runtime.
pub struct Session {
    inner: ort::session::Session,
    file: PathBuf,
    inputs: Vec<Port>,
    half_input: bool,
    provider: Provider,
    fallback: Option<String>,
}

/// Values for one input, row-major.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// Pictures; converted to 16-bit floats if the model wants those.
    F32(Vec<usize>, &'a [f32]),
    /// Sizes.
    I64(Vec<usize>, &'a [i64]),
}

impl Session {
    /// Loads a model on `provider`, or on the CPU if the runtime or the machine cannot; [`Self::fallback`] then says why.
    pub fn open(file: &Path, provider: Provider, threads: usize) -> Result<Self, SessionError> {
        let runtime = runtime()?;
        let refused = |e: &dyn std::fmt::Display| SessionError::Refused {
            file: file.to_owned(),
            reason: one_line(&e.to_string()),
        };
        let (inner, provider, fallback) = match commit(runtime, file, provider, threads) {
            Ok(inner) => (inner, provider, None),
            Err(Refusal::Provider(why)) => {
                let inner = commit(runtime, file, Provider::Cpu, threads).map_err(|e| refused(&e))?;
                (inner, Provider::Cpu, Some(why))
            }
            Err(Refusal::Model(why)) => return Err(refused(&why)),
        };
        let inputs = inner.inputs().iter().map(port).collect();
        let half_input =
            inner.inputs().first().and_then(|i| i.dtype().tensor_type()) == Some(TensorElementType::Float16);
        Ok(Self { inner, file: file.to_owned(), inputs, half_input, provider, fallback })
    }

    /// Declared inputs, in order.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Where the model runs.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Why it runs on the CPU although something else was asked for.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// A value of the model's own metadata, such as `names`.
    pub fn metadata(&self, key: &str) -> Option<String> {
        self.inner.metadata().ok()?.custom(key)
    }

    /// Runs the model on `inputs`, one per declared input, and hands the outputs to `read` without copying floats.
    pub fn run<R>(
        &mut self,
        inputs: &[Input<'_>],
        read: impl FnOnce(&[Output<'_>]) -> R,
    ) -> Result<R, SessionError> {
        let file = &self.file;
        let failed = |e: ort::Error| run_error(file, &e);
        let halves: Vec<Option<Vec<f16>>> = inputs
            .iter()
            .map(|input| match input {
                Input::F32(_, values) if self.half_input => {
                    Some(values.iter().map(|&v| f16::from_f32(v)).collect())
                }
                _ => None,
            })
            .collect();
        let mut values: Vec<SessionInputValue<'_>> = Vec::with_capacity(inputs.len());
        for (input, half) in inputs.iter().zip(&halves) {
            values.push(match (input, half) {
                (Input::F32(shape, _), Some(half)) => {
                    TensorRef::from_array_view((shape.clone(), half.as_slice())).map_err(failed)?.into()
                }
                (Input::F32(shape, values), None) => {
                    TensorRef::from_array_view((shape.clone(), *values)).map_err(failed)?.into()
                }
                (Input::I64(shape, values), _) => {
                    Tensor::from_array((shape.clone(), values.to_vec())).map_err(failed)?.into()
                }
            });
        }
        let returned = self.inner.run(&values[..]).map_err(failed)?;
        let outputs = read_outputs(file, &returned)?;
        Ok(read(&outputs))
    }
}

fn run_error(file: &Path, e: &ort::Error) -> SessionError {
    SessionError::Run { file: file.to_owned(), reason: one_line(&e.to_string()) }
}

fn read_outputs<'a>(file: &Path, returned: &'a SessionOutputs<'_>) -> Result<Vec<Output<'a>>, SessionError> {
    returned.keys().enumerate().map(|(i, name)| read_output(file, name, &returned[i])).collect()
}

fn read_output<'a>(file: &Path, name: &'a str, value: &'a DynValue) -> Result<Output<'a>, SessionError> {
    fn wide<'a, T: ort::value::PrimitiveTensorElementType + Copy + 'a>(
        value: &'a DynValue,
        widen: impl Fn(T) -> f32,
    ) -> ort::Result<(Vec<usize>, Cow<'a, [f32]>)> {
        let (shape, values) = value.try_extract_tensor::<T>()?;
        Ok((sizes(shape), values.iter().map(|&v| widen(v)).collect::<Vec<_>>().into()))
    }
    let kind = value.dtype().tensor_type();
    let read = match kind {
        Some(TensorElementType::Float32) => {
            value.try_extract_tensor::<f32>().map(|(shape, values)| (sizes(shape), values.into()))
        }
        Some(TensorElementType::Float16) => wide(value, f16::to_f32),
        Some(TensorElementType::Float64) => wide(value, |v: f64| v as f32),
        // Class ids and counts: far below the 2^24 that f32 holds exactly.
        Some(TensorElementType::Int64) => wide(value, |v: i64| v as f32),
        Some(TensorElementType::Int32) => wide(value, |v: i32| v as f32),
        _ => {
            let kind = kind.map_or_else(|| value.dtype().to_string(), |k| format!("a tensor of {k:?}"));
            return Err(SessionError::OutputKind { file: file.to_owned(), name: name.to_owned(), kind });
        }
    };
    let (shape, values) = read.map_err(|e| run_error(file, &e))?;
    Ok(Output { name, shape, values })
}

fn sizes(shape: &[i64]) -> Vec<usize> {
    shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect()
}

fn port(outlet: &Outlet) -> Port {
    let (shape, kind) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let open = |&n: &i64| usize::try_from(n).ok();
            (shape.iter().map(open).collect(), format!("{ty:?}"))
        }
        other => (Vec::new(), other.to_string()),
    };
    Port { name: outlet.name().to_owned(), shape, kind }
}

/// ONNX Runtime as loaded into this process: once, until the process ends.
pub struct Runtime {
    environment: ort::environment::Environment,
    library: PathBuf,
}

impl Runtime {
    /// The library that was loaded.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Version, commit and build flags as the library tells them.
    pub fn build(&self) -> &'static str {
        ort::info()
    }

    /// What the library was built for; whether the machine plays along shows when a model loads.
    pub fn providers(&self) -> Vec<Provider> {
        use Provider::{Cann, Cpu, Cuda, Openvino, Tensorrt};
        [Cpu, Cuda, Tensorrt, Openvino, Cann].into_iter().filter(|&p| built_with(p)).collect()
    }
}

fn built_with(provider: Provider) -> bool {
    match provider {
        Provider::Cpu => Ok(true),
        Provider::Cuda => ep::CUDA::is_available(),
        Provider::Tensorrt => ep::TensorRT::is_available(),
        Provider::Openvino => ep::OpenVINO::is_available(),
        Provider::Cann => ep::CANN::is_available(),
    }
    .unwrap_or(false)
}

/// Loads ONNX Runtime, once per process; tries again after a failure.
pub fn runtime() -> Result<&'static Runtime, RuntimeError> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static LOADING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let library = runtime::find()?;
    let broken = |reason: String| RuntimeError::Broken {
        path: library.clone(),
        reason: one_line(&reason),
        minor_min: ort::MINOR_VERSION,
    };
    let environment = ort::init_from(&library)
        .map_err(|e| broken(e.to_string()))?
        .with_name("gridwatch")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|e| broken(e.to_string()))?;
    environment.set_log_level(LogLevel::Warning);
    let library = library.clone();
    Ok(RUNTIME.get_or_init(|| Runtime { environment, library }))
}

/// ONNX Runtime's own messages. Its errors come back as results and are told there; its warnings are about graphs that
/// nobody here can mend.
fn log(level: LogLevel, _category: &str, _id: &str, place: &str, message: &str) {
    if level == LogLevel::Fatal {
        tracing::error!(place, "ONNX Runtime: {message}");
    } else {
        tracing::debug!(place, "ONNX Runtime: {message}");
    }
}

/// Why a session was not made.
enum Refusal {
    /// The provider cannot be had here; the CPU may do.
    Provider(String),
    /// The file is at fault.
    Model(ort::Error),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Provider(why) => f.write_str(why),
            Self::Model(e) => e.fmt(f),
        }
    }
}

fn commit(
    runtime: &Runtime,
    file: &Path,
    provider: Provider,
    threads: usize,
) -> Result<ort::session::Session, Refusal> {
    let mut builder = options(runtime, threads).map_err(Refusal::Model)?;
    if provider == Provider::Cpu {
        return builder.commit_from_file(file).map_err(Refusal::Model);
    }
    if !built_with(provider) {
        let library = runtime.library.display();
        return Err(Refusal::Provider(format!("`{library}` is built without it")));
    }
    let provider = match provider {
        Provider::Cuda => ep::CUDA::default().build(),
        Provider::Tensorrt => ep::TensorRT::default().build(),
        Provider::Openvino => ep::OpenVINO::default().with_num_threads(threads.max(1)).build(),
        Provider::Cann => ep::CANN::default().build(),
        Provider::Cpu => unreachable!("returned above"),
    };
    let unavailable = |e: String| Refusal::Provider(one_line(&e));
    builder = builder
        .with_execution_providers([provider.error_on_failure()])
        .map_err(|e| unavailable(e.to_string()))?;
    builder.commit_from_file(file).map_err(|e| unavailable(e.to_string()))
}

fn options(runtime: &Runtime, threads: usize) -> ort::Result<SessionBuilder> {
    // Spinning threads burn a tenth of a core while they wait for the next picture.
    let builder = ort::session::Session::builder(&runtime.environment)?
        .with_intra_threads(threads.max(1))?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?;
    Ok(builder)
}

/// Foreign messages on one line, of bounded length.
fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 400;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
