//! The verbs of the one binary; each file is one verb (and `capacity`, `console`, `login`, `scratch`, `trace`, which serve them).

#[macro_use]
mod console;

mod adapt;
mod capacity;
pub mod check;
mod demo;
mod eval;
mod evidence;
mod login;
pub mod models;
mod online;
mod poll;
mod replay;
mod run;
pub mod schema;
mod scratch;
pub mod simulate;
mod status;
mod trace;
pub mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use console::{CLOSED, Closed};

/// gridwatch watches city cameras for street vending, thrown objects and blocked fire lanes.
///
/// 雪亮工程视频智能分析：占道经营、高空抛物、消防通道占用。
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// How much is logged to stderr: error, warn, info, debug, or a filter such as `gridwatch::camera=debug` [default:
    /// the variable GRIDWATCH_LOG, else info for `run`, warn for the others].
    #[arg(long, global = true)]
    log: Option<String>,
    /// How the log is written [default: the variable GRIDWATCH_LOG_FORMAT, else text].
    #[arg(long, global = true, value_enum)]
    log_format: Option<LogFormat>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object per line: time, level, target, and each field by its name.
    Json,
}

impl LogFormat {
    fn from_environment() -> Self {
        let named = std::env::var("GRIDWATCH_LOG_FORMAT").ok();
        named.and_then(|name| <Self as clap::ValueEnum>::from_str(&name, true).ok()).unwrap_or(Self::Text)
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Watch the cameras of a config until stopped; this is what the service runs. 按配置运行。
    Run(run::RunArgs),
    /// Say everything that is wrong with a config, with its place and a hint. 检查配置。
    Check(check::CheckArgs),
    /// Show the whole chain on simulated cameras, from RTSP to incidents at a real broker. 演示。
    Demo(demo::DemoArgs),
    /// Run the pipeline on a video file, or the rules on a recorded trace. 回放录像或检测记录。
    Replay(replay::ReplayArgs),
    /// Run the pipeline over a labelled set and score what it says. 在标注集上评测。
    Eval(eval::EvalArgs),
    /// Fit the shipped detector to one camera, on this machine, from pictures of its empty place. 针对单个摄像机微调模型。
    Adapt(adapt::AdaptArgs),
    /// Show incidents and statuses as they arrive at the broker, or in the local store. 实时查看事件。
    Watch(watch::WatchArgs),
    /// Show how a running gridwatch is: cameras, staleness, load. 运行状态。
    Status(status::StatusArgs),
    /// Ask a running node for one picture of each camera of a group. 一键轮询。
    Poll(poll::PollArgs),
    /// Copy evidence, with an entry in the register of who looked at it; print the register. 调阅证据与登记簿。
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// List, inspect and fetch detectors. 模型。
    #[command(subcommand)]
    Models(models::ModelsCommand),
    /// Print the JSON Schemas of config and messages, and the AsyncAPI document. 输出数据格式说明。
    Schema(schema::SchemaArgs),
    /// Play clips as RTSP cameras, with faults to order. 模拟摄像机。
    Simulate(simulate::SimulateArgs),
}

/// Parses the arguments, runs the verb, prints an error as `error:` / `Caused by:` / `hint:`, gives the exit code.
pub fn main() -> ExitCode {
    let Arguments { verb, log, log_format } = Arguments::parse();
    let usual = if matches!(verb, Verb::Run(_)) { "info" } else { "warn" };
    let filter = log.or_else(|| std::env::var("GRIDWATCH_LOG").ok()).unwrap_or_else(|| usual.to_owned());
    let filter = tracing_subscriber::EnvFilter::try_new(&filter)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    // A log that nobody reads any more (`run 2>&1 | tee log` without its `tee`) stops nothing: by default, it would panic.
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match log_format.unwrap_or_else(LogFormat::from_environment) {
        LogFormat::Text => subscriber.with_target(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    let done = |()| ExitCode::SUCCESS;
    let outcome = match verb {
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Demo(args) => demo::run(args),
        Verb::Replay(args) => replay::run(&args),
        Verb::Eval(args) => eval::run(&args),
        Verb::Adapt(args) => adapt::run(&args),
        Verb::Watch(args) => watch::run(args).map(done),
        Verb::Status(args) => status::run(&args),
        Verb::Poll(args) => poll::run(args),
        Verb::Evidence(command) => evidence::run(command),
        Verb::Models(command) => models::run(command).map(done),
        Verb::Schema(args) => schema::run(args).map(done),
        Verb::Simulate(args) => simulate::run(args),
    };
    outcome.unwrap_or_else(|error| {
        if error.is::<Closed>() {
            return ExitCode::from(CLOSED);
        }
        note!("error: {error}");
        for cause in error.chain().skip(1) {
            note!("Caused by: {cause}");
        }
        ExitCode::FAILURE
    })
}
