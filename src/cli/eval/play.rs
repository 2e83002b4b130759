//! One case through the same pipeline as `replay`: its config, what was said, and pictures of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use serde_json::Value;
use uuid::Uuid;

use super::super::scratch::Scratch;
use super::super::trace::{TraceReader, TraceWriter};
use super::EvalArgs;
use crate::config::{Camera, Config, Zone};
use crate::daemon::Replay;
use crate::detection::{Detection, ModelStamp};
use crate::eval::figures::CaseResult;
use crate::eval::set::{Boxes, Labelled, Truth};
use crate::eval::{Outcome, Said, score, stops};
use crate::event::{ClosedReason, EvidenceKind, Incident, IncidentEvent, Phase};
use crate::evidence;
use crate::frame::{Captured, Picture};
use crate::geometry::BBox;
use crate::observation::{Observation, Stage};
use crate::scene::Scene;

/// Pictures by index of the situation or incident they show, as JPEG.
#[derive(Default)]
pub struct Shots {
    pub truths: BTreeMap<usize, Vec<u8>>,
    pub said: BTreeMap<usize, Vec<u8>>,
}

/// A case that was played.
pub struct Played {
    pub result: CaseResult,
    pub shots: Shots,
    pub model: Option<ModelStamp>,
}

/// Plays cases of one set.
pub struct Player<'a> {
    /// The set's own settings, paths made absolute.
    settings: toml::Table,
    /// Settings of every zone, or of a scenario's zones where the value is a table.
    zone_settings: toml::Table,
    args: &'a EvalArgs,
}

/// What a run gathers.
#[derive(Default)]
struct Gathered {
    pictures: u64,
    length_s: f64,
    /// Wall time of the media time 0.
    start: Option<jiff::Timestamp>,
    /// What stands confirmed in each picture.
    standing: Vec<Boxes>,
    /// A picture of each situation.
    scenes: BTreeMap<usize, Picture>,
}

impl<'a> Player<'a> {
    /// Reads the set's settings.
    pub fn new(dir: &Path, args: &'a EvalArgs) -> anyhow::Result<Self> {
        let file = args.config.clone().unwrap_or_else(|| dir.join("eval.toml"));
        let mut settings = match std::fs::read_to_string(&file) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("{}", file.display()))?,
            Err(_) if args.config.is_none() => toml::Table::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        for table in ["camera", "zone", "mqtt", "camera_list"] {
            if settings.contains_key(table) {
                bail!("{}: `{table}` belongs to the cases, not to the settings of all", file.display());
            }
        }
        let file = std::path::absolute(file)?;
        absolute_paths(&mut settings, file.parent().unwrap_or(dir));
        let mut zone_settings = toml::Table::new();
        for setting in &args.settings {
            let parsed: toml::Table = toml::from_str(&setting.replacen('=', " = ", 1))
                .with_context(|| format!("--set `{setting}` is not KEY=VALUE"))?;
            zone_settings.extend(parsed);
        }
        Ok(Self { settings, zone_settings, args })
    }

    /// Plays one case; what goes wrong stays with it.
    pub fn play(&self, labelled: &Labelled) -> Played {
        self.try_play(labelled).unwrap_or_else(|error| {
            let result = CaseResult {
                name: labelled.name.clone(),
                strata: labelled.case.strata.clone(),
                kinds: Vec::new(),
                seconds: 0.0,
                pictures: 0,
                verdict: crate::eval::Verdict::default(),
                stops: None,
                error: Some(format!("{error:#}")),
            };
            Played { result, shots: Shots::default(), model: None }
        })
    }

    fn try_play(&self, labelled: &Labelled) -> anyhow::Result<Played> {
        let scratch = Scratch::new()?;
        let config = self.config(labelled, scratch.path())?;
        let camera = Arc::new(config.cameras.first().context("the case has no camera")?.clone());
        let heard = Arc::new(Mutex::new(Vec::<IncidentEvent>::new()));
        let hearing = Arc::clone(&heard);
        let listener = Box::new(move |event: &IncidentEvent| {
            hearing.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
        });
        let case = &labelled.case;
        let beside = |file: &PathBuf| labelled.dir.join(file);
        let recorded = case.clip.as_ref().map(|clip| beside(clip).with_extension("trace.jsonl"));
        let trace = match (&case.clip, &case.trace) {
            (Some(_), _) if !self.args.rules_only => None,
            (_, Some(trace)) => Some(beside(trace)),
            (_, None) => Some(recorded.clone().context("it has neither clip nor trace")?),
        };
        let mut session = Replay::new(config.clone(), Arc::clone(&camera), trace.is_none(), listener)?;
        let mut gathered = Gathered::default();
        match (&trace, &case.clip) {
            (Some(trace), _) => play_trace(&mut session, trace, &mut gathered).with_context(|| {
                if case.trace.is_none() { "record a trace first, with --record" } else { "trace" }
            })?,
            (None, Some(clip)) => {
                let record = recorded.filter(|_| self.args.record);
                let shoot = self.args.report.is_some();
                play_clip(
                    &mut session,
                    &beside(clip),
                    record,
                    shoot.then_some(&case.incidents),
                    &mut gathered,
                )?;
            }
            (None, None) => bail!("it has neither clip nor trace"),
        }
        session.finish();
        let model = session.stamp();
        drop(session);
        let events = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        let seconds = case.seconds.unwrap_or(gathered.length_s);
        let (said, snapshots) = said(&events, gathered.start.unwrap_or_default());
        let verdict = score(&case.incidents, said, &camera.zones, seconds);
        let mut shots = Shots::default();
        if self.args.report.is_some() {
            for (index, path) in snapshots.into_iter().enumerate() {
                if verdict.said[index].1.is_false()
                    && let Some(path) = path
                {
                    shots.said.extend(
                        std::fs::read(config.node.data_dir.join(path)).ok().map(|jpeg| (index, jpeg)),
                    );
                }
            }
            for (index, picture) in &gathered.scenes {
                if verdict.truths[*index].outcome == Outcome::Missed {
                    let jpeg = shot_of_miss(picture, &camera, &config, &case.incidents[*index]);
                    shots.truths.extend(jpeg.map(|jpeg| (*index, jpeg)));
                }
            }
        }
        let result = CaseResult {
            name: labelled.name.clone(),
            strata: case.strata.clone(),
            kinds: camera.zones.iter().map(|zone| zone.scenario.id.clone()).collect(),
            seconds,
            pictures: gathered.pictures,
            verdict,
            stops: labelled.boxes.as_ref().map(|boxes| stops::score(boxes, &gathered.standing)),
            error: None,
        };
        Ok(Played { result, shots, model })
    }

    /// The case as a config file, so that it passes the same checks as an operator's.
    fn config(&self, labelled: &Labelled, scratch: &Path) -> anyhow::Result<Config> {
        let mut text = self.settings.clone();
        let node = text.entry("node").or_insert_with(|| toml::Table::new().into());
        if let Some(node) = node.as_table_mut() {
            node.entry("site").or_insert_with(|| "eval".into());
            node.entry("id").or_insert_with(|| "eval".into());
        }
        let mut camera = toml::Table::try_from(&labelled.case.camera).context("`camera`")?;
        camera.insert("id".into(), "case".into());
        camera.insert("url".into(), "rtsp://127.0.0.1/case".into());
        text.insert("camera".into(), toml::Value::Array(vec![camera.into()]));
        let mut zones = Vec::new();
        for zone in &labelled.case.zones {
            let mut table = toml::Table::try_from(zone).context("`zones`")?;
            table.insert("camera".into(), "case".into());
            table.insert("experimental".into(), true.into());
            let scenario = zone.get("scenario").and_then(Value::as_str).unwrap_or_default();
            for (key, value) in &self.zone_settings {
                match value.as_table() {
                    None => drop(table.insert(key.clone(), value.clone())),
                    Some(own) if key == scenario => table.extend(own.clone()),
                    Some(_) => {}
                }
            }
            zones.push(table.into());
        }
        text.insert("zone".into(), toml::Value::Array(zones));
        let path = scratch.join("case.toml");
        std::fs::write(&path, toml::to_string(&text)?)?;
        let loaded = crate::config::load(&path)?;
        let mut config = loaded.config;
        let complete = config.cameras.first().is_some_and(|c| c.zones.len() == labelled.case.zones.len());
        if !complete {
            let errors: Vec<String> =
                loaded.problems.iter().map(|problem| problem.to_string().trim().to_owned()).collect();
            bail!("its config is wrong:\n{}", errors.join("\n"));
        }
        config.node.data_dir = scratch.join("data");
        // Clips of incidents would cost time and show nothing that the set does not have.
        (config.evidence.pre_roll_s, config.evidence.post_roll_s) = (0.0, 0.0);
        if let Some(model) = &self.args.model {
            config.models.values_mut().for_each(|settings| settings.file.clone_from(model));
        }
        Ok(config)
    }
}

/// Files that the settings name lie beside them; the case's config lies elsewhere.
fn absolute_paths(settings: &mut toml::Table, dir: &Path) {
    let absolute = |value: &mut toml::Value| {
        if let Some(beside) = value.as_str().map(|path| dir.join(path)).filter(|path| path.exists()) {
            *value = beside.to_string_lossy().as_ref().into();
        }
    };
    if let Some(models) = settings.get_mut("models").and_then(toml::Value::as_table_mut) {
        models.iter_mut().filter_map(|(_, model)| model.get_mut("file")).for_each(absolute);
    }
    if let Some(scenarios) = settings.get_mut("node").and_then(|node| node.get_mut("scenarios_dir")) {
        absolute(scenarios);
    }
}

impl Gathered {
    fn take(&mut self, at: &Captured, scene: &Scene) {
        let media_s = at.media.as_secs_f64();
        self.pictures += 1;
        self.length_s = self.length_s.max(media_s);
        let start = || at.wall.checked_sub(at.media).unwrap_or(at.wall);
        self.start.get_or_insert_with(start);
        let boxes = scene.states().into_iter().flat_map(|state| state.standing).collect();
        self.standing.push(Boxes { at_s: media_s, boxes });
    }
}

fn play_trace(session: &mut Replay, path: &Path, gathered: &mut Gathered) -> anyhow::Result<()> {
    let mut trace = TraceReader::open(path)?;
    session.model_stamp(trace.model.take());
    for findings in trace {
        let findings = findings?;
        session.findings(&findings);
        gathered.take(&findings.captured, session.scene());
    }
    Ok(())
}

fn play_clip(
    session: &mut Replay,
    path: &Path,
    record: Option<PathBuf>,
    shoot: Option<&Vec<Truth>>,
    gathered: &mut Gathered,
) -> anyhow::Result<()> {
    let clip = crate::camera::Clip::open(path)?;
    let mut trace = record.map(|to| TraceWriter::create(&to, path, session.stamp())).transpose()?;
    let mut trouble = None;
    let mut length_s: f64 = 0.0;
    let truths = shoot.map_or(&[][..], Vec::as_slice);
    let mut looked = |looked: crate::daemon::Looked<'_>| {
        gathered.take(&looked.findings.captured, looked.scene);
        let at_s = looked.findings.captured.media.as_secs_f64();
        for (index, truth) in truths.iter().enumerate() {
            if at_s >= (truth.from_s + truth.to_s) / 2.0 {
                gathered.scenes.entry(index).or_insert_with(|| looked.picture.clone());
            }
        }
        if let Some(error) = trace.as_mut().and_then(|trace| trace.write(looked.findings).err()) {
            trouble.get_or_insert(error);
        }
    };
    // A damaged place is the camera's trouble, not the set's.
    for unit in clip.flatten() {
        length_s = length_s.max(unit.captured.media.as_secs_f64());
        session.unit(unit, &mut looked);
    }
    session.drain(&mut looked);
    gathered.length_s = gathered.length_s.max(length_s);
    trouble.map_or(Ok(()), Err)?;
    trace.map_or(Ok(()), TraceWriter::finish)
}

/// The incidents of all statements, in the order of their opening, each with the path of its first snapshot.
fn said(events: &[IncidentEvent], start: jiff::Timestamp) -> (Vec<Said>, Vec<Option<String>>) {
    let mut order: Vec<Uuid> = Vec::new();
    let mut of_incident: BTreeMap<Uuid, (Said, Option<String>)> = BTreeMap::new();
    let seconds = |at: jiff::Timestamp| at.duration_since(start).as_secs_f64();
    for event in events {
        let incident = &event.data;
        let (said, snapshot) = of_incident.entry(incident.incident).or_insert_with(|| {
            order.push(incident.incident);
            (opened(incident, seconds(event.time)), None)
        });
        said.first_seen_s = seconds(incident.first_seen);
        said.last_seen_s = seconds(incident.last_seen);
        if incident.phase == Phase::Closed {
            let known = matches!(incident.closed_reason, Some(ClosedReason::Cleared | ClosedReason::Instant));
            said.closed_s = incident.closed_at.filter(|_| known).map(seconds);
        } else {
            said.coverage = incident.coverage;
        }
        let first = incident.evidence.iter().find(|piece| piece.kind == EvidenceKind::Snapshot);
        *snapshot = snapshot.take().or_else(|| first.map(|piece| piece.path.clone()));
    }
    order.iter().filter_map(|id| of_incident.remove(id)).unzip()
}

fn opened(incident: &Incident, opened_s: f64) -> Said {
    let trajectory = incident.trajectory.as_ref();
    Said {
        zone: incident.zone.id.to_string(),
        kind: incident.kind.clone(),
        opened_s,
        coverage: incident.coverage,
        release_height_m: trajectory.and_then(|t| t.release_height_m),
        floor: trajectory.and_then(|t| t.floor),
        classes: incident.objects.iter().map(|object| object.class.to_string()).collect(),
        boxes: incident.objects.iter().map(|object| object.bbox.into()).collect(),
        ..Said::default()
    }
}

/// The picture in the middle of a situation that was missed, drawn like an incident's.
fn shot_of_miss(picture: &Picture, camera: &Camera, config: &Config, truth: &Truth) -> Option<Vec<u8>> {
    let zone: &Zone = camera.zones.iter().find(|zone| *zone.id.0 == *truth.zone)?;
    let object = |bbox: BBox| Detection::new("truth".into(), 1.0, bbox);
    let at = picture.captured;
    let observation = Observation {
        zone: zone.id.clone(),
        stage: Stage::Suspected,
        first_seen: at,
        confirmed_at: None,
        last_seen: at,
        at,
        dwell_s: 0.0,
        unseen_s: 0.0,
        coverage: truth.coverage.unwrap_or(0.0),
        objects: truth.bbox.map(object).into_iter().collect(),
        trajectory: None,
    };
    let caption = evidence::caption(&camera.id, &at, &config.node.timezone, &zone.scenario.id);
    evidence::snapshot(picture, zone, &observation, &[], &camera.masks, &config.evidence, &caption).ok()
}
