//! What the same work costs on this machine, now, without gridwatch: nothing can be cheaper with these libraries.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;

use super::material::Scene;
use super::process::{Process, cost_of};
use super::rig::Cameras;

/// A floor measured more than once: the middle value and how far the others lie apart.
#[derive(Debug, Clone, Copy)]
pub struct Floor {
    pub value: f64,
    /// (largest - smallest) / middle.
    pub spread: f64,
}

/// How often each floor is measured.
const TIMES: usize = 3;

impl Floor {
    fn of(mut measure: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<Self> {
        let mut values = (0..TIMES).map(|_| measure()).collect::<anyhow::Result<Vec<_>>>()?;
        values.sort_by(f64::total_cmp);
        let value = values[TIMES / 2];
        Ok(Self { value, spread: (values[TIMES - 1] - values[0]) / value })
    }
}

/// Floors by what they are of, each measured when it is first asked for.
#[derive(Default)]
pub struct Floors {
    known: BTreeMap<String, Floor>,
    /// ONNX Runtime, once it is needed: a process can have it once.
    runtime: Option<Environment>,
}

impl Floors {
    fn get(&mut self, name: String, measure: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<Floor> {
        if let Some(&known) = self.known.get(&name) {
            return Ok(known);
        }
        let floor = Floor::of(measure).with_context(|| format!("floor `{name}`"))?;
        eprintln!("floor: {name}: {:.6} ± {:.0} %", floor.value, floor.spread * 50.0);
        self.known.insert(name, floor);
        Ok(floor)
    }

    /// All that were measured.
    pub fn known(&self) -> impl Iterator<Item = (&str, &Floor)> {
        self.known.iter().map(|(name, floor)| (name.as_str(), floor))
    }

    /// CPU seconds per key picture: ffmpeg decodes those alone.
    pub fn key_picture_s(&mut self, scene: &Scene) -> anyhow::Result<Floor> {
        let name = format!("key picture of {}, s", scene.name);
        self.get(name, || decode_s(&scene.file, &["-skip_frame", "nokey"], 90))
    }

    /// CPU seconds per picture when every picture is decoded.
    pub fn picture_s(&mut self, scene: &Scene) -> anyhow::Result<Floor> {
        let name = format!("picture of {}, s", scene.name);
        self.get(name, || decode_s(&scene.file, &[], 600))
    }

    /// CPU seconds per inference of the model at `file`: ONNX Runtime alone, one thread.
    pub fn inference_s(&mut self, file: &Path) -> anyhow::Result<Floor> {
        let name = format!("inference of {}, s", file.file_name().unwrap_or_default().to_string_lossy());
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => load_runtime()?,
        };
        let floor = self.get(name, || inference_s(&runtime, file, 40));
        self.runtime = Some(runtime);
        floor
    }

    /// Cores per camera of `ffmpeg -c copy` on streams of the running simulator.
    pub fn copy_cores(&mut self, scene: &Scene, cameras: &Cameras, dir: &Path) -> anyhow::Result<Floor> {
        let name = format!("ffmpeg -c copy of {}, cores", scene.name);
        self.get(name, || copy_cores(cameras, 4, Duration::from_secs(10), dir))
    }
}

/// The cost per picture, from the difference between a long and a short run: what starting costs is in both.
fn decode_s(clip: &Path, options: &[&str], pictures: u32) -> anyhow::Result<f64> {
    const FEW: u32 = 5;
    let run = |pictures: u32| {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-threads", "1"]).args(options);
        command.args(["-stream_loop", "-1", "-i"]).arg(clip);
        command.args([
            "-an",
            "-fps_mode",
            "passthrough",
            "-frames:v",
            &pictures.to_string(),
            "-f",
            "null",
            "-",
        ]);
        cost_of(&mut command)
    };
    let (few, many) = (run(FEW)?, run(FEW + pictures)?);
    Ok(many.saturating_sub(few).as_secs_f64() / f64::from(pictures))
}

fn copy_cores(cameras: &Cameras, viewers: usize, time: Duration, dir: &Path) -> anyhow::Result<f64> {
    let start = |n: usize| {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", &cameras.url(n)]);
        command.args(["-c", "copy", "-f", "null", "-"]).stdin(Stdio::null()).stdout(Stdio::null());
        Process::start(&mut command, &dir.join(format!("copy{n}.log")))
    };
    let mut viewers = (0..viewers).map(start).collect::<anyhow::Result<Vec<_>>>()?;
    // Probing a stream takes ffmpeg some seconds.
    std::thread::sleep(Duration::from_secs(6));
    let cpu = |viewers: &[Process]| -> anyhow::Result<Duration> { viewers.iter().map(Process::cpu).sum() };
    let (before, began) = (cpu(&viewers)?, std::time::Instant::now());
    std::thread::sleep(time);
    let cost = cpu(&viewers)?.saturating_sub(before);
    let per_camera = cost.as_secs_f64() / began.elapsed().as_secs_f64() / viewers.len() as f64;
    viewers.iter_mut().try_for_each(Process::check_alive)?;
    Ok(per_camera)
}

/// The same library that the daemon takes; `./dev` says which in `ORT_DYLIB_PATH`.
fn load_runtime() -> anyhow::Result<Environment> {
    let library = std::env::var("ORT_DYLIB_PATH").context("ORT_DYLIB_PATH says where ONNX Runtime is")?;
    let builder = ort::init_from(library).map_err(|e| failed(&e))?;
    builder.build().map_err(|e| failed(&e))
}

fn failed(error: &dyn std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

fn inference_s(runtime: &Environment, file: &Path, runs: u32) -> anyhow::Result<f64> {
    let builder = Session::builder(runtime).map_err(|e| failed(&e))?;
    let builder = builder.with_intra_threads(1).map_err(|e| failed(&e))?;
    let mut builder = builder.with_intra_op_spinning(false).map_err(|e| failed(&e))?;
    let mut session = builder.commit_from_file(file).map_err(|e| failed(&e))?;
    let shape = session.inputs().first().and_then(|input| input.dtype().tensor_shape().cloned());
    let shape = shape.context("the model has no input")?;
    let shape: Vec<usize> = shape.iter().map(|&n| usize::try_from(n).unwrap_or(1)).collect();
    let mut random = fastrand::Rng::with_seed(7);
    let values: Vec<f32> = std::iter::repeat_with(|| random.f32()).take(shape.iter().product()).collect();
    let mut run = |times: u32| -> anyhow::Result<()> {
        for _ in 0..times {
            let input =
                TensorRef::from_array_view((shape.clone(), values.as_slice())).map_err(|e| failed(&e))?;
            session.run(ort::inputs![input]).map_err(|e| failed(&e))?;
        }
        Ok(())
    };
    run(3)?;
    let began = thread_cpu();
    run(runs)?;
    Ok(thread_cpu().saturating_sub(began).as_secs_f64() / f64::from(runs))
}

fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of this frame; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
