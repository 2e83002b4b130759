//! `gridwatch replay`: the pipeline on a video file, or the rules alone on a recorded trace.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::config::{Camera, Config};
use crate::daemon::{Looked, Replay};
use crate::detection::Findings;
use crate::event::IncidentEvent;
use crate::evidence::{Annotator, Seen, TrackView, ZoneView};

use super::scratch::Scratch;
use super::trace::{TraceReader, TraceWriter, is_trace};

/// Arguments of `gridwatch replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// A video file, or a trace written with --record. 录像文件或检测记录。
    input: PathBuf,
    /// Take the zones of a camera from this config.
    #[arg(long, short, requires = "camera")]
    config: Option<PathBuf>,
    /// Which camera of the config.
    #[arg(long, requires = "config")]
    camera: Option<String>,
    /// Without --config: a scenario to watch for, such as `fire_lane`; may be given several times.
    #[arg(long, conflicts_with = "config")]
    scenario: Vec<String>,
    /// Without --config: the zone, as `x,y x,y x,y` in ratios of the picture [default: the whole picture].
    #[arg(long, conflicts_with = "config")]
    polygon: Option<String>,
    /// Without --config: a setting of the scenario's rule, such as `dwell_s=8`; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "config")]
    settings: Vec<String>,
    /// Use this detector instead of the shipped one.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Write what was found in each picture to this file, as JSON lines.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Write a video with everything drawn in: boxes, ids and ways, foreground, zones, dwell clocks.
    #[arg(long)]
    annotate: Option<PathBuf>,
    /// As fast as it was filmed, instead of as fast as it goes.
    #[arg(long)]
    real_time: bool,
    /// Keep store and evidence here [default: a temporary directory that is deleted].
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// Runs the file through; incidents go to stdout as JSON lines, a summary to stderr.
pub fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let scratch = Scratch::new()?;
    let mut config = match &args.config {
        Some(path) => load(path)?,
        None => load(&written_config(args, scratch.path())?)?,
    };
    config.node.data_dir = args.data_dir.clone().unwrap_or_else(|| scratch.path().join("data"));
    if let (Some(model), Some(_)) = (&args.model, &args.config) {
        for settings in config.models.values_mut() {
            settings.file.clone_from(model);
        }
    }
    let camera = the_camera(&config, args.camera.as_deref())?;
    let started = Instant::now();
    let print = |event: &IncidentEvent| {
        if let Ok(line) = serde_json::to_string(event) {
            let _ = say!("{line}"); // Who has read enough of them may still want the summary.
        }
    };
    let is_trace = is_trace(&args.input)?;
    let mut session = Replay::new(config, camera, !is_trace, Box::new(print))?;
    let counted = if is_trace { play_trace(args, &mut session)? } else { play_clip(args, &mut session)? };
    session.finish();
    let took = started.elapsed().as_secs_f64();
    let length = counted.length.as_secs_f64();
    note!(
        "{}: {} pictures, {length:.1} s of capture time in {took:.2} s ({:.0} times real time), {} incidents",
        args.input.display(),
        counted.pictures,
        length / took.max(1e-9),
        session.opened(),
    );
    Ok(ExitCode::SUCCESS)
}

struct Counted {
    pictures: u64,
    length: Duration,
}

/// The config of a file; its problems go to stderr.
pub(super) fn load(path: &Path) -> anyhow::Result<Config> {
    let loaded = crate::config::load(path)?;
    for problem in &loaded.problems {
        note!("{problem}");
    }
    Ok(loaded.config)
}

/// The camera of this id, or the only one.
pub(super) fn the_camera(config: &Config, id: Option<&str>) -> anyhow::Result<Arc<Camera>> {
    let Some(id) = id else {
        let camera = config.cameras.first().context("the settings above leave no camera to replay")?;
        return Ok(Arc::new(camera.clone()));
    };
    if let Some(camera) = config.cameras.iter().find(|camera| camera.id.as_str() == id) {
        return Ok(Arc::new(camera.clone()));
    }
    let known: Vec<&str> = config.cameras.iter().map(|camera| camera.id.as_str()).collect();
    bail!("no camera `{id}` can run in this config\nhint: it has {}", known.join(", "))
}

/// Writes the command line's zone as a config file, so that it passes the same checks as an operator's.
fn written_config(args: &ReplayArgs, dir: &Path) -> anyhow::Result<PathBuf> {
    let polygon = match &args.polygon {
        None => vec![vec![0.0, 0.0], vec![1.0, 0.0], vec![1.0, 1.0], vec![0.0, 1.0]],
        Some(text) => points(text).with_context(|| format!("--polygon `{text}`"))?,
    };
    let mut zones = Vec::new();
    for scenario in &args.scenario {
        let mut zone = toml::Table::new();
        zone.insert("camera".into(), "replay".into());
        zone.insert("id".into(), scenario.as_str().into());
        zone.insert("name".into(), scenario.as_str().into());
        zone.insert("scenario".into(), scenario.as_str().into());
        zone.insert("experimental".into(), true.into());
        zone.insert("polygon".into(), toml::Value::try_from(&polygon)?);
        for setting in &args.settings {
            let parsed: toml::Table = toml::from_str(&setting.replacen('=', " = ", 1))
                .with_context(|| format!("--set `{setting}` is not KEY=VALUE"))?;
            zone.extend(parsed);
        }
        zones.push(toml::Value::Table(zone));
    }
    let mut text = toml::toml! {
        [node]
        site = "replay"
        id = "replay"

        [[camera]]
        id = "replay"
        name = "replay"
        url = "rtsp://127.0.0.1/replay"
    };
    if let Some(model) = &args.model {
        let model = std::path::absolute(model)?;
        let mut table = toml::Table::new();
        table.insert("file".into(), model.to_string_lossy().as_ref().into());
        let mut models = toml::Table::new();
        models.insert("street".into(), toml::Value::Table(table));
        text.insert("models".into(), toml::Value::Table(models));
    }
    text.insert("zone".into(), toml::Value::Array(zones));
    let path = dir.join("command-line.toml");
    std::fs::write(&path, toml::to_string(&text)?)?;
    Ok(path)
}

fn points(text: &str) -> anyhow::Result<Vec<Vec<f64>>> {
    text.split_whitespace()
        .map(|pair| {
            let (x, y) = pair.split_once(',').with_context(|| format!("`{pair}` is not `x,y`"))?;
            Ok(vec![x.trim().parse()?, y.trim().parse()?])
        })
        .collect()
}

fn play_trace(args: &ReplayArgs, session: &mut Replay) -> anyhow::Result<Counted> {
    let mut trace = TraceReader::open(&args.input)?;
    session.model_stamp(trace.model.take());
    let mut pace = Pace::new(args.real_time);
    for findings in trace {
        let findings = findings?;
        pace.wait(findings.captured.media);
        session.findings(&findings);
    }
    Ok(pace.counted())
}

fn play_clip(args: &ReplayArgs, session: &mut Replay) -> anyhow::Result<Counted> {
    let clip = crate::camera::Clip::open(&args.input)?;
    let mut trace = args
        .record
        .as_ref()
        .map(|path| TraceWriter::create(path, &args.input, session.stamp()))
        .transpose()?;
    let mut film = args.annotate.as_ref().map(|path| Film { path, fps: clip.frame_rate(), annotator: None });
    let mut pace = Pace::new(args.real_time);
    let mut trouble: Option<anyhow::Error> = None;
    let mut bad_units = 0u64;
    for unit in clip {
        let unit = match unit {
            Ok(unit) => unit,
            Err(error) => {
                bad_units += 1;
                tracing::debug!("{error}");
                continue;
            }
        };
        pace.wait(unit.captured.media);
        session.unit(unit, &mut |looked| {
            let outcome = record(&mut trace, looked.findings)
                .and_then(|()| film.as_mut().map_or(Ok(()), |film| film.draw(&looked)));
            if let Err(error) = outcome {
                trouble.get_or_insert(error);
            }
        });
        if let Some(error) = trouble {
            return Err(error);
        }
    }
    session.drain(&mut |looked| {
        let _ = record(&mut trace, looked.findings);
        if let Some(film) = film.as_mut() {
            let _ = film.draw(&looked);
        }
    });
    if let Some(trace) = trace {
        trace.finish()?;
    }
    if let Some(annotator) = film.and_then(|film| film.annotator) {
        annotator.finish()?;
    }
    if bad_units > 0 {
        note!("warning: {bad_units} damaged places in {} were passed over", args.input.display());
    }
    Ok(pace.counted())
}

fn record(trace: &mut Option<TraceWriter>, findings: &Findings) -> anyhow::Result<()> {
    trace.as_mut().map_or(Ok(()), |trace| trace.write(findings))
}

/// The annotated video; it begins with the first picture, which tells the size.
struct Film<'a> {
    path: &'a Path,
    fps: f64,
    annotator: Option<Annotator>,
}

impl Film<'_> {
    fn draw(&mut self, looked: &Looked<'_>) -> anyhow::Result<()> {
        let picture = looked.picture;
        let annotator = match &mut self.annotator {
            Some(annotator) => annotator,
            none => {
                none.insert(Annotator::create(self.path, picture.width, picture.height, self.fps, false)?)
            }
        };
        let states = looked.scene.states();
        let zones: Vec<ZoneView<'_>> = looked
            .camera
            .zones
            .iter()
            .zip(&states)
            .map(|(zone, state)| ZoneView {
                zone,
                stage: state.stage,
                dwell_s: state.dwell_s,
                coverage: state.coverage,
                standing: &state.standing,
            })
            .collect();
        let tracks: Vec<TrackView> = looked
            .scene
            .tracks()
            .map(|track| TrackView { id: track.id, object: track.detection(), stands_s: track.stands_s() })
            .collect();
        let caption = format!("{} {:.2} s", looked.camera.id, picture.captured.media.as_secs_f64());
        let seen = Seen { findings: looked.findings, tracks: &tracks, zones: &zones, caption: &caption };
        annotator.draw(picture, &seen)?;
        Ok(())
    }
}

/// Keeps to the pace of the recording, if asked; counts either way.
struct Pace {
    real_time: bool,
    started: Instant,
    counted: Counted,
}

impl Pace {
    fn new(real_time: bool) -> Self {
        Self { real_time, started: Instant::now(), counted: Counted { pictures: 0, length: Duration::ZERO } }
    }

    fn wait(&mut self, media: Duration) {
        self.counted.pictures += 1;
        self.counted.length = self.counted.length.max(media);
        if self.real_time {
            std::thread::sleep(media.saturating_sub(self.started.elapsed()));
        }
    }

    fn counted(self) -> Counted {
        self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polygons_on_the_command_line() {
        assert_eq!(points("0.1,0.2 1,0 0.5,1").unwrap(), [[0.1, 0.2], [1.0, 0.0], [0.5, 1.0]]);
        assert!(points("0.1 0.2").is_err());
        assert!(points("a,b").is_err());
    }
}
