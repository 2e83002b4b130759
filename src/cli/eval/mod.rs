//! `gridwatch eval`: the pipeline over a labelled set, and what its incidents were worth.

mod import;
mod play;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};

use super::console::print;
use crate::eval::figures::{self, CaseResult, Figures, Row};
use crate::eval::html::{Pictures, html};
use crate::eval::set::{self, Labelled};
use crate::eval::{stops, table};
use play::{Player, Shots};

/// Arguments of `gridwatch eval`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct EvalArgs {
    #[command(subcommand)]
    import: Option<import::Import>,
    /// The labelled set: a folder with a JSON file per case. 标注集目录。
    #[arg(required = true)]
    dir: Option<PathBuf>,
    /// Models, defaults and the like for all cases: a config without cameras [default: `eval.toml` in the set, if there].
    #[arg(long, short)]
    config: Option<PathBuf>,
    /// Use this detector instead.
    #[arg(long)]
    model: Option<PathBuf>,
    /// A setting for every zone, such as `dwell_s=8`, or for those of a scenario, `fire_lane.dwell_s=8`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Only cases whose name contains this, or with this stratum (`light=night`); several: any of them.
    #[arg(long)]
    only: Vec<String>,
    /// Only the rules, on recorded traces: no pixels, no model. 只在检测记录上运行规则。
    #[arg(long)]
    rules_only: bool,
    /// Write a trace beside each clip, so that --rules-only can run on it.
    #[arg(long, conflicts_with = "rules_only")]
    record: bool,
    /// Cases played at the same time.
    #[arg(long, short, default_value_t = 1)]
    jobs: usize,
    /// Write all figures and every case's outcome to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write a report with plots and pictures to this file.
    #[arg(long, value_name = "HTML")]
    report: Option<PathBuf>,
    /// Say what changed since this result, a file written with --json.
    #[arg(long, value_name = "JSON")]
    compare: Option<PathBuf>,
    /// Fail if a kind's figures are lower: `precision=0.97,recall=0.95`.
    #[arg(long, value_name = "LIMITS", value_parser = limits)]
    fail_under: Option<Limits>,
}

/// Least figures that pass.
#[derive(Debug, Clone, Copy, Default)]
struct Limits {
    precision: f64,
    recall: f64,
}

fn limits(text: &str) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or(format!("`{part}` is not NAME=VALUE"))?;
        let value: f64 = value.trim().parse().map_err(|e| format!("`{part}`: {e}"))?;
        match name.trim() {
            "precision" => limits.precision = value,
            "recall" => limits.recall = value,
            other => return Err(format!("`{other}` is neither `precision` nor `recall`")),
        }
    }
    Ok(limits)
}

/// Plays the set and shows the figures.
pub fn run(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    if let Some(import) = &args.import {
        return import::run(import).map(|()| ExitCode::SUCCESS);
    }
    let dir = args.dir.as_ref().context("no set")?;
    let cases: Vec<Labelled> = set::read(dir)?.into_iter().filter(|case| wanted(case, &args.only)).collect();
    if cases.is_empty() {
        bail!("no case of {} is {}", dir.display(), args.only.join(" or "));
    }
    for key in cases.iter().flat_map(|c| c.case.unknown_keys()).collect::<std::collections::BTreeSet<_>>() {
        note!("warning: nobody knows the key `{key}`; a case may keep anything under `notes`");
    }
    let before = args.compare.as_deref().map(read_result).transpose()?;
    let player = Player::new(dir, args)?;
    let started = Instant::now();
    let (results, pictures, models) = play_all(&cases, &player, args.jobs.max(1));
    let took_s = started.elapsed().as_secs_f64();
    let figures = Figures {
        format: figures::FORMAT.into(),
        set: dir.display().to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        at: jiff::Timestamp::now().to_string(),
        models,
        rows: figures::figures(&results),
        stops: stops::rows(&results),
        cases: results,
    };
    if let Some(path) = &args.json {
        write(path, &serde_json::to_vec(&figures)?)?;
    }
    if let Some(path) = &args.report {
        write(path, html(&figures, &pictures, before.as_ref()).as_bytes())?;
    }
    print(format_args!("{}", table::table(&figures)))?;
    if let Some(before) = &before {
        print(format_args!("\n{}", table::comparison(&figures, before)))?;
    }
    let length_s: f64 = figures.cases.iter().map(|case| case.seconds).sum();
    note!(
        "{} cases, {:.2} h of material in {took_s:.1} s ({:.0} times real time)",
        figures.cases.len(),
        length_s / 3600.0,
        length_s / took_s.max(1e-9)
    );
    let broken = figures.cases.iter().filter(|case| case.error.is_some()).count();
    if broken > 0 {
        bail!("{broken} cases could not be played");
    }
    Ok(passes(&figures.rows, args.fail_under))
}

/// Whether every kind is good enough.
fn passes(rows: &[Row], limits: Option<Limits>) -> ExitCode {
    let Some(limits) = limits else { return ExitCode::SUCCESS };
    let mut code = ExitCode::SUCCESS;
    for row in rows.iter().filter(|row| row.stratum.is_none()) {
        for (name, rate, least) in
            [("precision", row.precision, limits.precision), ("recall", row.recall, limits.recall)]
        {
            if let Some(rate) = rate.filter(|rate| rate.share < least) {
                note!("{}: {name} {:.3} is under {least}", row.kind, rate.share);
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn wanted(case: &Labelled, only: &[String]) -> bool {
    let fits = |text: &String| {
        let stratum = text.split_once('=');
        case.name.contains(text.as_str())
            || stratum.is_some_and(|(name, value)| case.case.strata.get(name).is_some_and(|v| v == value))
    };
    only.is_empty() || only.iter().any(fits)
}

fn read_result(path: &Path) -> anyhow::Result<Figures> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let figures: Figures = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no result of `gridwatch eval --json`", path.display()))?;
    if figures.format != figures::FORMAT {
        bail!("{}: format `{}` is not `{}`", path.display(), figures.format, figures::FORMAT);
    }
    Ok(figures)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Plays every case, several at a time, and gives them in their order.
fn play_all(
    cases: &[Labelled],
    player: &Player<'_>,
    jobs: usize,
) -> (Vec<CaseResult>, Pictures, std::collections::BTreeSet<String>) {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(cases.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(cases.len()) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let played = player.play(case);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(played);
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by(|a, b| a.result.name.cmp(&b.result.name));
    let (mut results, mut pictures) = (Vec::new(), Pictures::default());
    let mut models = std::collections::BTreeSet::new();
    for played in done {
        let name = played.result.name.clone();
        let Shots { truths, said } = played.shots;
        pictures.truths.extend(truths.into_iter().map(|(index, jpeg)| ((name.clone(), index), jpeg)));
        pictures.said.extend(said.into_iter().map(|(index, jpeg)| ((name.clone(), index), jpeg)));
        models.extend(played.model.map(|model| format!("{} {}", model.name, model.sha256)));
        results.push(played.result);
    }
    (results, pictures, models)
}
