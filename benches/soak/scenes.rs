//! What the cameras show, and what there is to be found: the demo's clips, zones and truth.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use gridwatch::camera::Clip;
use gridwatch::simulate::{Server, Source};
use serde::Deserialize;
use toml::{Table, Value};

/// Time between key pictures of the demo's clips, at most.
pub const KEY_EVERY_S: f64 = 2.0;

/// Seconds beyond the dwell within which a matter has to be stated: it is seen with the next key picture, the dwell is
/// complete with the one after it, and the machine is shared.
const LATE_S: f64 = 2.0 * KEY_EVERY_S + 3.0;
/// The same for a stall, which a daemon that comes up beside it has to know by name: the small shipped detector is shy.
const STALL_LATE_S: f64 = 15.0;

/// Who shows what, in turn: mostly what stays for a while, some of nothing, one facade.
const MIX: [&str; 10] = [
    "fire-lane-day",
    "vending-day",
    "fire-lane-day",
    "quiet-street",
    "fire-lane-night",
    "vending-day",
    "fire-lane-day",
    "vending-night",
    "facade-day",
    "fire-lane-day",
];

/// A clip that is played round and round.
pub struct Scene {
    pub source: Source,
    pub period_s: f64,
    /// Its camera's and zones' tables in the demo's config.
    camera: Table,
    zones: Vec<Table>,
    matters: Vec<Matter>,
}

/// Something that happens in every round.
#[derive(Debug, Clone)]
pub struct Matter {
    pub zone: String,
    /// Seconds from the clip's first picture.
    pub from_s: f64,
    pub to_s: f64,
    /// How long it has to stay to be confirmed; `None`: it is over at once.
    pub dwell_s: Option<f64>,
    /// Seconds beyond the dwell within which it has to be stated.
    pub late_s: f64,
}

/// A simulated camera.
pub struct Camera {
    pub id: String,
    pub scene: Arc<Scene>,
    /// How far its clip was when the common clock began, in seconds.
    ahead_s: f64,
}

/// A matter in one round of one camera's clip; times in seconds of the common clock.
#[derive(Debug, Clone)]
pub struct Staged {
    pub zone: String,
    pub from: f64,
    pub to: f64,
    pub dwell_s: Option<f64>,
    pub late_s: f64,
}

#[derive(Deserialize)]
struct Truth {
    clips: Vec<TrueClip>,
}

#[derive(Deserialize)]
struct TrueClip {
    clip: String,
    zones: Vec<TrueZone>,
}

#[derive(Deserialize)]
struct TrueZone {
    scenario: String,
    expected: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    from_s: f64,
    to_s: f64,
}

/// So many cameras, as the staggered server of [`mounts`] plays them.
pub fn cameras(count: usize) -> anyhow::Result<Vec<Camera>> {
    let demo = Path::new("config/demo");
    let truth: Truth = serde_json::from_str(&std::fs::read_to_string(demo.join("truth.json"))?)?;
    let config: Table = toml::from_str(&std::fs::read_to_string(demo.join("gridwatch.toml"))?)?;
    let mut scenes = std::collections::BTreeMap::new();
    for name in MIX {
        if !scenes.contains_key(name) {
            scenes.insert(name, Arc::new(scene(name, demo, &truth, &config)?));
        }
    }
    let camera = |n: usize| {
        let scene = Arc::clone(&scenes[MIX[n % MIX.len()]]);
        Camera { id: format!("cam{}", n + 1), ahead_s: Server::ahead(n) * scene.period_s, scene }
    };
    Ok((0..count).map(camera).collect())
}

fn scene(name: &str, demo: &Path, truth: &Truth, config: &Table) -> anyhow::Result<Scene> {
    let of = |table: &str, key: &str| -> Vec<Table> {
        let tables = config.get(table).and_then(Value::as_array).into_iter().flatten();
        let tables = tables.filter_map(Value::as_table);
        tables.filter(|table| table.get(key).and_then(Value::as_str) == Some(name)).cloned().collect()
    };
    let (cameras, zones) = (of("camera", "id"), of("zone", "camera"));
    let camera = cameras.into_iter().next().with_context(|| format!("the demo has no camera {name}"))?;
    let clip = format!("clips/{name}.mp4");
    let units = Clip::open(demo.join(&clip))?.collect::<Result<Vec<_>, _>>()?;
    let source = Source::new(units)?;
    let known = truth.clips.iter().find(|known| known.clip == clip).with_context(|| format!("no {clip}"))?;
    let mut matters = Vec::new();
    for zone in &zones {
        let text = |key: &str| zone.get(key).and_then(Value::as_str).unwrap_or_default();
        let number =
            |key: &str| zone.get(key).and_then(|v| v.as_float().or(v.as_integer().map(|n| n as f64)));
        let of_zone = known.zones.iter().filter(|known| known.scenario == text("scenario"));
        matters.extend(of_zone.flat_map(|known| &known.expected).map(|expected| Matter {
            zone: text("id").to_owned(),
            from_s: expected.from_s,
            to_s: expected.to_s,
            dwell_s: number("dwell_s"),
            late_s: if text("scenario") == "street_vending" { STALL_LATE_S } else { LATE_S },
        }));
    }
    let period_s = source.period_90k() as f64 / 90_000.0;
    Ok(Scene { source, period_s, camera, zones, matters })
}

impl Camera {
    /// Its tables in the daemon's config.
    pub fn tables(&self, url: &url::Url, name: &str) -> anyhow::Result<String> {
        let mut camera = self.scene.camera.clone();
        for (key, value) in [("id", self.id.as_str()), ("url", url.as_str()), ("name", name)] {
            camera.insert(key.into(), Value::String(value.into()));
        }
        let zones = self.scene.zones.iter().cloned().map(|mut zone| {
            zone.insert("camera".into(), Value::String(self.id.clone()));
            Value::Table(zone)
        });
        let mut tables = Table::new();
        tables.insert("zone".into(), Value::Array(zones.collect()));
        tables.insert("camera".into(), Value::Array(vec![Value::Table(camera)]));
        Ok(toml::to_string(&tables)?)
    }

    /// Whether anything ever happens in a zone.
    pub fn stages(&self, zone: &str) -> bool {
        self.scene.matters.iter().any(|matter| matter.zone == zone)
    }

    /// What happens in its rounds that begin before `until`, in seconds of the common clock.
    pub fn staged(&self, until: f64) -> Vec<Staged> {
        let period_s = self.scene.period_s;
        let rounds = ((until + self.ahead_s) / period_s).ceil().max(0.0) as u32;
        let begun = (0..rounds).map(|round| f64::from(round) * period_s - self.ahead_s);
        begun
            .flat_map(|began| {
                self.scene.matters.iter().map(move |matter| Staged {
                    zone: matter.zone.clone(),
                    from: began + matter.from_s,
                    to: began + matter.to_s,
                    dwell_s: matter.dwell_s,
                    late_s: matter.late_s,
                })
            })
            .collect()
    }
}
