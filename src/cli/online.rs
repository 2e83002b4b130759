//! `gridwatch check --online`: tries every camera, every model and the broker, and says in a table how it went.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use tokio::sync::{mpsc, watch};
use unicode_width::UnicodeWidthStr;

use crate::camera::{self, Message};
use crate::config::{Camera, Config, Model};
use crate::detect::movers::Network;
use crate::detect::{DetectError, Detector};
use crate::dispatch::Subscription;
use crate::event::topic::watch_filters;
use crate::frame::{AccessUnit, CameraState};

use super::capacity::{self, Demand};

/// Longest wait for a camera's first key picture: some cameras send one every ten seconds only.
const PATIENCE: Duration = Duration::from_secs(15);

/// Cameras tried at once: more would look like an attack to a small switch.
const AT_ONCE: usize = 16;

/// How long a camera is listened to after its first key picture, to see what it would take.
const LISTEN: Duration = Duration::from_secs(3);

/// One line of the table.
struct Row {
    what: String,
    well: bool,
    said: String,
}

/// Prints the table; true if everything answered.
pub fn run(config: &Config) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut rows, mut detectors, mut demands) = (Vec::new(), BTreeMap::new(), Vec::new());
    for model in config.models.values() {
        let loaded = Detector::load(model);
        rows.push(model_row(model, &loaded));
        detectors.extend(loaded.ok().map(|detector| (model.name.clone(), detector)));
    }
    runtime.block_on(async {
        rows.push(broker(config).await);
        let cameras = config.cameras.iter().cloned().map(|camera| {
            let detector = detectors.get(&camera.model).cloned();
            try_camera(Arc::new(camera), detector)
        });
        for (row, demand) in stream::iter(cameras).buffered(AT_ONCE).collect::<Vec<_>>().await {
            rows.push(row);
            demands.extend(demand);
        }
    });
    let width = rows.iter().map(|row| row.what.width()).max().unwrap_or(0);
    for Row { what, well, said } in &rows {
        let mark = if *well { "✓" } else { "✗" };
        say!("{mark} {what}{}  {said}", " ".repeat(width - what.width()))?;
    }
    if let Some(line) = capacity::say(&demands) {
        say!("{line}")?;
    }
    Ok(rows.iter().all(|row| row.well))
}

fn model_row(model: &Model, loaded: &Result<Detector, DetectError>) -> Row {
    let what = format!("模型 model {}", model.name);
    match loaded {
        Ok(detector) => {
            let (width, height) = detector.input_size();
            let fallback = detector.fallback().map(|why| format!("; {why}")).unwrap_or_default();
            let said = format!(
                "{width}x{height}, {} classes, {:.1} ms on {:?}{fallback}",
                detector.classes().len(),
                detector.trial().as_secs_f64() * 1000.0,
                detector.provider(),
            );
            Row { what, well: true, said }
        }
        // A network for falling things is no detector.
        Err(error) => match Network::load(model, &[]) {
            Ok(network) => {
                let (width, height) = network.size();
                Row { what, well: true, said: format!("{width}x{height}, marks falling things") }
            }
            Err(_) => Row { what, well: false, said: error.to_string() },
        },
    }
}

async fn broker(config: &Config) -> Row {
    let Some(mqtt) = &config.mqtt else {
        let said = "none configured: incidents stay in the local store".into();
        return Row { what: "消息服务器 broker".into(), well: true, said };
    };
    let what = format!("消息服务器 broker {}:{}", mqtt.host, mqtt.port);
    let began = Instant::now();
    match tokio::time::timeout(PATIENCE, Subscription::open(mqtt, &watch_filters(&mqtt.root))).await {
        Ok(Ok(_)) => Row { what, well: true, said: format!("answers in {} ms", began.elapsed().as_millis()) },
        Ok(Err(error)) => Row { what, well: false, said: error.to_string() },
        Err(_) => Row { what, well: false, said: format!("no answer within {} s", PATIENCE.as_secs()) },
    }
}

async fn try_camera(camera: Arc<Camera>, detector: Option<Detector>) -> (Row, Option<Demand>) {
    let what = format!("摄像机 camera {} {}", camera.id, camera.name);
    let (out, mut messages) = mpsc::channel(64);
    let (_stop, stopped) = watch::channel(false);
    let task = tokio::spawn(camera::run(Arc::clone(&camera), out, Arc::default(), stopped));
    let began = Instant::now();
    let mut last = "no answer".to_owned();
    let mut units: Vec<AccessUnit> = Vec::new();
    let mut first_ms = 0;
    let tried = tokio::time::timeout(PATIENCE, async {
        while let Some(message) = messages.recv().await {
            match message {
                Message::Unit(unit) => {
                    if units.is_empty() {
                        first_ms = began.elapsed().as_millis();
                    }
                    let listened = unit.captured.media.saturating_sub(
                        units.first().map_or(unit.captured.media, |first| first.captured.media),
                    );
                    units.push(unit);
                    if listened >= LISTEN {
                        return Ok(());
                    }
                }
                Message::State { state: CameraState::AuthFailed, detail } => {
                    return Err(detail.unwrap_or_else(|| "wrong user name or password".into()));
                }
                Message::State { detail: Some(detail), .. } => last = detail,
                Message::State { .. } => {}
            }
        }
        Err("gone".to_owned())
    })
    .await;
    task.abort();
    let no = |said| (Row { what: what.clone(), well: false, said }, None);
    let Some(first) = units.first() else {
        return match tried {
            Ok(Err(said)) => no(said),
            _ => no(format!("no picture within {} s: {last}", PATIENCE.as_secs())),
        };
    };
    let (codec, kilobytes) = (first.codec.name(), first.data.len() / 1000);
    let mut said = format!("{codec}, first key picture after {first_ms} ms ({kilobytes} kB)");
    // Decoding and inference take a moment: other cameras are received meanwhile.
    let demand = tokio::task::block_in_place(|| capacity::demand(&camera, &units, detector.as_ref()?));
    match demand {
        Some(demand) => {
            let Demand { cores, pictures_per_s } = demand;
            let _ = write!(said, ", {pictures_per_s:.0} pictures/s, takes {cores:.3} cores");
            (Row { what, well: true, said }, Some(demand))
        }
        None if detector.is_none() => (Row { what, well: true, said }, None),
        None => no(format!("{said}, which cannot be decoded")),
    }
}
