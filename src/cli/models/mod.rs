//! `gridwatch models`: which models there are, what one is, and fetching a public one.

mod trial;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::config::{Model, Provider};
use crate::detect::movers::{Network, NetworkCard};
use crate::detect::{self, Card, Detector, catalogue};
use crate::detection::Class;

/// Where a packaged gridwatch keeps the models that it brings along.
const SHIPPED: &str = "/usr/share/gridwatch/models";
/// Where a packaged gridwatch keeps the models that were fetched.
const INSTALLED: &str = "/var/lib/gridwatch/models";

/// What to do with models. 管理模型。
#[derive(Debug, clap::Subcommand)]
pub enum ModelsCommand {
    /// Lists the models on this machine and those that can be fetched. 列出本机模型与可下载模型
    List {
        /// Look in this directory too. 另查此目录
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Says what a model file is, and runs it once. 查看模型文件并试运行一次
    Inspect {
        /// The `.onnx` file. 模型文件
        file: PathBuf,
        /// Where to run it: cpu, cuda, tensorrt, openvino, cann. 运行设备
        #[arg(long, default_value = "cpu", value_parser = parse_provider)]
        provider: Provider,
        /// Threads within one inference. 推理线程数
        #[arg(long, default_value_t = 1)]
        threads: usize,
        /// Measure thread counts, batches and the int8 twin, and say what suits this machine. 测速并给出建议
        #[arg(long)]
        bench: bool,
    },
    /// Fetches a public model and writes its card. 下载公开模型
    Pull {
        /// Its name in `gridwatch models list`. 模型名
        name: String,
        /// Where to put it. 存放目录
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

/// Does what was asked for.
pub fn run(command: ModelsCommand) -> anyhow::Result<()> {
    match command {
        ModelsCommand::List { dir } => list(dir.as_deref()),
        ModelsCommand::Inspect { file, provider, bench: true, .. } => trial::run(&file, provider),
        ModelsCommand::Inspect { file, provider, threads, .. } => inspect(&file, provider, threads),
        ModelsCommand::Pull { name, dir } => pull(&name, dir.as_deref()),
    }
}

fn parse_provider(text: &str) -> Result<Provider, String> {
    use serde::de::{IntoDeserializer, value::Error};
    let name: serde::de::value::StrDeserializer<'_, Error> = text.into_deserializer();
    serde::Deserialize::deserialize(name).map_err(|e| e.to_string())
}

/// Prints the models on this machine, with their cards' facts, and the catalogue.
pub fn list(dir: Option<&Path>) -> anyhow::Result<()> {
    say!("On this machine 本机:")?;
    let mut here = Vec::new();
    for dir in model_dirs(dir) {
        for file in onnx_files(&dir) {
            say!("  {}", describe(&file))?;
            here.push(file);
        }
    }
    if here.is_empty() {
        say!("  (none 无)")?;
    }
    say!("\nTo be fetched with `gridwatch models pull NAME` 可下载:")?;
    for entry in catalogue() {
        let there = here.iter().any(|f| f.file_name().is_some_and(|n| n == entry.file().as_str()));
        let mark = if there { "*" } else { " " };
        let size = format!("{}x{}", entry.input.width, entry.input.height);
        let family = entry.family.to_string();
        let megabytes = entry.bytes as f64 / 1e6;
        let (name, licence) = (&entry.name, &entry.licence);
        say!("{mark} {name:16} {family:10} {size:>8} {megabytes:6.1} MB  {licence:11} {}", entry.about)?;
    }
    say!("(* is on this machine already 已下载)")?;
    Ok(())
}

/// Prints what a model file is, what this machine could run it on, and how long one inference takes.
pub fn inspect(file: &Path, provider: Provider, threads: usize) -> anyhow::Result<()> {
    let runtime = detect::runtime()?;
    let model = Model {
        name: "inspected".into(),
        file: file.to_owned(),
        provider,
        threads,
        batch_max: 1,
        score_min: 0.25,
        nms_iou: 0.5,
    };
    let detector = match Detector::load(&model) {
        Ok(detector) => detector,
        Err(error) => return inspect_network(&model, &Network::load(&model, &[]).map_err(|_| error)?),
    };
    let card = if Card::path_for(file).exists() { "by its card" } else { "recognised from its outputs" };
    let input = detector.input();
    let names: Vec<&str> = detector.classes().iter().map(Class::as_str).collect();
    say!("file       {}", file.display())?;
    say!("sha256     {}", detector.stamp().sha256)?;
    say!("name       {}", detector.stamp().name)?;
    say!("family     {} ({card})", detector.family())?;
    say!(
        "input      {}x{}, {:?}, {:?}, pad {}",
        input.width,
        input.height,
        input.colour,
        input.resize,
        input.pad
    )?;
    say!("           scale {:.6}, mean {:?}, std {:?}", input.scale, input.mean, input.std)?;
    say!("classes    {}: {}", names.len(), names.join(", "))?;
    if !detector.classes_are_named() {
        say!("           (no names in the file; a card beside it can give them)")?;
    }
    say!("runtime    {}", runtime.library().display())?;
    say!("providers  {:?} (built into the runtime)", runtime.providers())?;
    match detector.fallback() {
        Some(why) => {
            say!("runs on    {:?}, because {provider:?} cannot be used: {why}", detector.provider())?;
        }
        None => say!("runs on    {:?}, {threads} thread(s)", detector.provider())?,
    }
    say!("inference  {:.1} ms, median of {TRIALS}", detector.measure(TRIALS, 1)?.as_secs_f64() * 1e3)?;
    Ok(())
}

/// The same for a network that marks falling things.
fn inspect_network(model: &Model, network: &Network) -> anyhow::Result<()> {
    let (width, height) = network.size();
    say!("file       {}", model.file.display())?;
    if let Some(card) = NetworkCard::beside(&model.file)? {
        say!("name       {} ({})", card.name, card.licence)?;
        say!("sha256     {}", card.sha256)?;
    }
    say!("task       marks falling things; `candidates` of a camera may name it")?;
    say!("input      {width}x{height}, five grey pictures and their median")?;
    Ok(())
}

/// Inferences that `inspect` times.
const TRIALS: usize = 5;

/// Fetches a catalogued model into `dir`, or among the installed models, or into `models`.
pub fn pull(name: &str, dir: Option<&Path>) -> anyhow::Result<()> {
    let entries = catalogue();
    let Some(entry) = entries.iter().find(|e| e.name == name) else {
        let near = entries.iter().map(|e| (strsim::jaro_winkler(&e.name, name), &e.name));
        let near = near.filter(|n| n.0 > 0.7).max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = near.map(|n| format!("; hint: did you mean `{}`?", n.1)).unwrap_or_default();
        bail!("there is no model `{name}` in the catalogue; `gridwatch models list` shows it{hint}");
    };
    let installed = Path::new(INSTALLED);
    let usual = if installed.is_dir() { installed } else { Path::new("models") };
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new(entry.bytes) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .context("progress bar")?;
    bar.set_style(style);
    bar.set_message(entry.name.clone());
    let file = detect::pull(entry, dir.unwrap_or(usual), |done| bar.set_position(done))?;
    bar.finish_and_clear();
    let file = std::path::absolute(&file).unwrap_or(file);
    say!("{} ({}, sha256 verified)", file.display(), entry.licence)?;
    say!("use it with: [models.{name}] file = \"{}\"", file.display())?;
    Ok(())
}

/// Directories that may hold models, without doubles.
fn model_dirs(extra: Option<&Path>) -> Vec<PathBuf> {
    // The same variable that the config goes by.
    let share = std::env::var_os("GRIDWATCH_SHARE").map(|share| Path::new(&share).join("models"));
    let mut dirs: Vec<PathBuf> = Vec::new();
    let all = extra.map(Path::to_owned).into_iter().chain(["models".into()]).chain(share);
    for dir in all.chain([SHIPPED.into(), INSTALLED.into()]) {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs
}

fn onnx_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
    let mut files: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "onnx")).collect();
    files.sort();
    files
}

/// One line about a model file: its path and what its card says.
fn describe(file: &Path) -> String {
    let facts = match Card::beside(file) {
        Ok(Some(card)) => {
            let (width, height) = (card.input.width, card.input.height);
            let (family, classes, licence) = (card.family, card.classes.len(), &card.licence);
            format!("{family}, {width}x{height}, {classes} classes, {licence}")
        }
        Ok(None) => "no card; `gridwatch models inspect` recognises it".into(),
        Err(e) => match NetworkCard::beside(file) {
            Ok(Some(card)) => format!("marks falling things, {}", card.licence),
            _ => e.to_string(),
        },
    };
    format!("{}: {facts}", file.display())
}
