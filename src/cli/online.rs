//! `gridwatch check --online`: tries every camera, every model and the broker, and says in a table how it went.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use tokio::sync::{mpsc, watch};
use unicode_width::UnicodeWidthStr;

use crate::camera::{self, Message};
use crate::config::{Camera, Config, Model};
use crate::detect::Detector;
use crate::detect::movers::Network;
use crate::dispatch::Subscription;
use crate::event::topic::watch_filters;
use crate::frame::CameraState;

/// Longest wait for a camera's first key picture: some cameras send one every ten seconds only.
const PATIENCE: Duration = Duration::from_secs(15);

/// Cameras tried at once: more would look like an attack to a small switch.
const AT_ONCE: usize = 16;

/// One line of the table.
struct Row {
    what: String,
    well: bool,
    said: String,
}

/// Prints the table; true if everything answered.
pub fn run(config: &Config) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rows: Vec<Row> = config.models.values().map(model).collect();
    runtime.block_on(async {
        rows.push(broker(config).await);
        let cameras = stream::iter(config.cameras.iter().cloned().map(|camera| try_camera(Arc::new(camera))));
        rows.extend(cameras.buffered(AT_ONCE).collect::<Vec<Row>>().await);
    });
    let width = rows.iter().map(|row| row.what.width()).max().unwrap_or(0);
    for Row { what, well, said } in &rows {
        let mark = if *well { "✓" } else { "✗" };
        println!("{mark} {what}{}  {said}", " ".repeat(width - what.width()));
    }
    Ok(rows.iter().all(|row| row.well))
}

fn model(model: &Model) -> Row {
    let what = format!("模型 model {}", model.name);
    match Detector::load(model) {
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

async fn try_camera(camera: Arc<Camera>) -> Row {
    let what = format!("摄像机 camera {} {}", camera.id, camera.name);
    let (out, mut messages) = mpsc::channel(64);
    let (_stop, stopped) = watch::channel(false);
    let task = tokio::spawn(camera::run(camera, out, Arc::default(), stopped));
    let began = Instant::now();
    let mut last = "no answer".to_owned();
    let tried = tokio::time::timeout(PATIENCE, async {
        while let Some(message) = messages.recv().await {
            match message {
                Message::Unit(unit) if unit.key => {
                    let ms = began.elapsed().as_millis();
                    return Ok(format!(
                        "{}, first key picture after {ms} ms ({} kB)",
                        unit.codec.name(),
                        unit.data.len() / 1000
                    ));
                }
                Message::State { state: CameraState::AuthFailed, detail } => {
                    return Err(detail.unwrap_or_else(|| "wrong user name or password".into()));
                }
                Message::State { detail: Some(detail), .. } => last = detail,
                Message::Unit(_) | Message::State { .. } => {}
            }
        }
        Err("gone".to_owned())
    })
    .await;
    task.abort();
    match tried {
        Ok(Ok(said)) => Row { what, well: true, said },
        Ok(Err(said)) => Row { what, well: false, said },
        Err(_) => {
            Row { what, well: false, said: format!("no picture within {} s: {last}", PATIENCE.as_secs()) }
        }
    }
}
