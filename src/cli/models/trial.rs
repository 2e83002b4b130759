//! `gridwatch models inspect --bench`: which settings suit this machine, measured instead of assumed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::{Model, Provider};
use crate::detect::Detector;
use crate::processor::process_time;

/// Most pictures in one run that are tried.
const BATCH_MAX: usize = 16;
/// How long each setting is measured.
const MEASURED: Duration = Duration::from_millis(1500);
/// A setting must be better by this share to be worth a line in the config.
const WORTH: f64 = 0.05;

/// One setting and what it came to.
struct Trial {
    file: PathBuf,
    threads: usize,
    batch: usize,
    /// Milliseconds until the answer, when nobody else asks.
    ms: f64,
    /// Milliseconds of processor time per picture, all threads together.
    cpu_ms: f64,
    /// Pictures a second that this session carries.
    per_s: f64,
}

/// Measures the model and its int8 twin with several thread counts and batches; prints the table and what to write into the config.
pub fn run(file: &Path, provider: Provider) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    say!(
        "{:32} {:>7} {:>5} {:>10} {:>12} {:>12}",
        "model 模型",
        "threads",
        "batch",
        "ms/picture",
        "CPU ms/pict.",
        "pictures/s"
    )?;
    let mut trials = Vec::new();
    for file in [Some(file.to_owned()), twin(file)].into_iter().flatten() {
        for threads in [1, 2, 4, 8].into_iter().filter(|&n| n == 1 || n <= cores) {
            // On a GPU the threads of the processor have next to nothing to do.
            if provider == Provider::Cpu || threads == 1 {
                measure(&file, provider, threads, &mut trials)?;
            }
        }
    }
    advise(&trials, provider, cores)
}

/// The int8 twin beside a model, if there is one.
fn twin(file: &Path) -> Option<PathBuf> {
    let stem = file.file_stem()?.to_str()?;
    let twin = file.with_file_name(format!("{stem}-int8.onnx"));
    twin.is_file().then_some(twin)
}

fn measure(file: &Path, provider: Provider, threads: usize, trials: &mut Vec<Trial>) -> anyhow::Result<()> {
    let model = Model {
        name: "measured".into(),
        file: file.to_owned(),
        provider,
        threads,
        batch_max: BATCH_MAX,
        score_min: 0.25,
        nms_iou: 0.5,
    };
    let detector = Detector::load(&model)?;
    if let (Some(why), 1) = (detector.fallback(), threads) {
        say!("({provider:?} cannot be used: {why}; measured on the CPU)")?;
    }
    let mut batch = 1;
    while batch <= detector.batch_max() {
        detector.measure(2, batch)?; // Warm: kernels, caches.
        let once = detector.measure(3, batch)?;
        let runs =
            (MEASURED.as_secs_f64() / (once.as_secs_f64() * batch as f64).max(1e-6)).ceil().clamp(3.0, 500.0);
        let (began, cpu) = (Instant::now(), process_time());
        let took = detector.measure(runs as usize, batch)?;
        let pictures = runs * batch as f64;
        let trial = Trial {
            file: file.to_owned(),
            threads,
            batch,
            ms: took.as_secs_f64() * 1e3,
            cpu_ms: process_time().saturating_sub(cpu).as_secs_f64() * 1e3 / pictures,
            per_s: pictures / began.elapsed().as_secs_f64(),
        };
        let name = trial.file.file_name().unwrap_or_default().to_string_lossy();
        say!(
            "{name:32} {threads:>7} {batch:>5} {:>10.1} {:>12.1} {:>12.1}",
            trial.ms,
            trial.cpu_ms,
            trial.per_s
        )?;
        trials.push(trial);
        batch *= 2;
    }
    Ok(())
}

/// With more cameras than compute it is processor time per picture that counts on a CPU, and throughput on a GPU.
fn advise(trials: &[Trial], provider: Provider, cores: usize) -> anyhow::Result<()> {
    let cost = |trial: &&Trial| if provider == Provider::Cpu { trial.cpu_ms } else { 1e3 / trial.per_s };
    let Some(best) = trials.iter().min_by(|a, b| cost(a).total_cmp(&cost(b))) else { return Ok(()) };
    let plain = &trials[0];
    let best = if cost(&best) < (1.0 - WORTH) * cost(&plain) { best } else { plain };
    say!("\nMost economical 最省算力:")?;
    say!("  file = \"{}\"", best.file.display())?;
    say!("  threads = {}", best.threads)?;
    say!("  batch_max = {}", best.batch)?;
    if best.file != plain.file {
        say!("(an int8 twin finds a little less: its card says how much 量化模型略有损失，见其模型卡)")?;
    }
    if provider == Provider::Cpu {
        let all = cores as f64 * 1e3 / best.cpu_ms;
        say!("{all:.0} pictures/s on all {cores} cores if nothing else ran; decoding comes on top 不含解码")?;
    }
    Ok(())
}
