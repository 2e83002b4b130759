//! Cases about load: latency, and from sixteen to a thousand cameras.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use super::few::with_usual_times;
use super::{DELAY_S_MAX, MODEL, TAKEN_MIN};
use crate::Bench;
use crate::live::{Live, Plan};
use crate::material::KEY_EVERY_S;
use crate::report::{Bar, short};
use crate::truth::{latencies, quantile};

pub fn latency(bench: &mut Bench) -> anyhow::Result<()> {
    let (lane, stall) = (bench.material.scene("lane")?, bench.material.scene("stall")?);
    let scenes = [&lane, &stall];
    let key_s = bench.floors.key_picture_s(&lane)?.value;
    let picture_s = 1.3 * (key_s + bench.floors.inference_s(Path::new(MODEL))?.value);
    let camera = bench.normal_cores.unwrap_or(picture_s / KEY_EVERY_S);
    let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    let cameras = ((0.5 * cores / camera).round() as usize).clamp(2, 256);
    let mut live = Live::start(bench, &Plan::new("latency", &scenes, cameras))?;
    live.warm(20.0)?;
    let window = live.window(bench.seconds(2.0 * lane.period_s))?;
    let stages = live.daemon.stages();
    let outcome = live.finish()?;
    let seen = latencies(&outcome.heard, outcome.span);
    let sorted = |which: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = seen.iter().map(which).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (all, stated) = (sorted(|pair| pair.0), sorted(|pair| pair.1));
    let load = window.cores / cores;
    let note = format!(
        "{} statements, {cameras} cameras, load {:.0} %, simulator {} core",
        all.len(),
        load * 100.0,
        short(window.simulator_cores)
    );
    bench.report.row(
        "latency",
        "picture's capture to broker, median",
        (quantile(&all, 0.5) * 1e3, "ms"),
        None,
        Bar::Most(80.0),
        &note,
    );
    let note = format!("of the median {} ms until it was stated", short(quantile(&stated, 0.5) * 1e3));
    bench.report.row(
        "latency",
        "picture's capture to broker, 95 %",
        (quantile(&all, 0.95) * 1e3, "ms"),
        None,
        Bar::Most(200.0),
        &note,
    );
    for (stage, mut times) in stages {
        times.sort_by(f64::total_cmp);
        let what = format!("of an opening: {}", stage.replace('_', " "));
        let note = format!("95 %: {} ms", short(quantile(&times, 0.95)));
        bench.report.row("latency", &what, (quantile(&times, 0.5), "ms"), None, Bar::None, &note);
    }
    bench.truth("latency", &outcome, DELAY_S_MAX);
    Ok(())
}

pub fn scale(bench: &mut Bench) -> anyhow::Result<()> {
    let (lane, stall) = (bench.material.scene("lane")?, bench.material.scene("stall")?);
    let scenes = [&lane, &stall];
    for cameras in [1, 4, 16] {
        let mut live = Live::start(bench, &Plan::new("scale", &scenes, cameras))?;
        live.warm(10.0)?;
        let window = live.window(bench.seconds(30.0))?;
        live.finish()?;
        let note = format!(
            "{:.0} MB, {} threads, {} files",
            window.held.rss_bytes as f64 / 1e6,
            window.held.threads,
            window.held.files
        );
        let what = format!("CPU per camera with {cameras}");
        bench.report.row("scale", &what, (window.cores / cameras as f64, "core"), None, Bar::None, &note);
    }
    Ok(())
}

pub fn fleet(bench: &mut Bench) -> anyhow::Result<()> {
    const CAMERAS: usize = 200;
    const RING: usize = 3_000_000;
    let [quiet, lane, stall, busy] =
        ["quiet", "lane", "stall", "busy"].map(|name| bench.material.scene(name));
    let (quiet, lane, stall, busy) = (with_usual_times(&quiet?), lane?, stall?, busy?);
    // Of twenty cameras sixteen are quiet, three normal, one busy.
    let mut scenes = vec![&quiet; 20];
    (scenes[3], scenes[10], scenes[16], scenes[7]) = (&lane, &stall, &lane, &busy);
    let keys = format!("ring_bytes_max = {RING}");
    let plan = Plan { keys: &keys, ..Plan::new("fleet", &scenes, CAMERAS) };
    let mut live = Live::start(bench, &plan)?;
    live.warm(60.0)?;
    let early = live.daemon.process.held()?;
    let window = live.window(bench.seconds(if bench.options.long { 600.0 } else { 120.0 }))?;
    let status = live.status();
    let outcome = live.finish()?;
    let ring: f64 = (quiet.ring_bytes(RING)? * 16.0
        + lane.ring_bytes(RING)? * 2.0
        + stall.ring_bytes(RING)?
        + busy.ring_bytes(RING)?)
        / 20.0;
    let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    let note = format!("of {cores} cores; simulator {} core", short(window.simulator_cores));
    bench.report.row(
        "fleet",
        "CPU of 200 cameras",
        (window.cores, "cores"),
        None,
        Bar::Most(cores - window.simulator_cores),
        &note,
    );
    let per_camera = window.held.rss_bytes as f64 / CAMERAS as f64 - ring;
    let note = format!(
        "RSS {:.0} MB, {:.0} MB of it rings; {} threads, {} files",
        window.held.rss_bytes as f64 / 1e6,
        ring * CAMERAS as f64 / 1e6,
        window.held.threads,
        window.held.files
    );
    bench.report.row(
        "fleet",
        "memory per camera beyond the ring",
        (per_camera / 1e6, "MB"),
        None,
        Bar::Most(1.5),
        &note,
    );
    let growth = window.held.rss_bytes as f64 - early.rss_bytes as f64;
    bench.report.row("fleet", "growth of memory while measured", (growth / 1e6, "MB"), None, Bar::None, "");
    let within = status.as_ref().and_then(|status| status["within_need"].as_f64()).unwrap_or(f64::NAN);
    let stale = status.as_ref().and_then(|status| status["cameras"].as_array().cloned()).unwrap_or_default();
    let stale = stale.iter().filter_map(|camera| camera["stale_s"].as_f64()).fold(f64::NAN, f64::max);
    let note = format!("the stalest: {} s", short(stale));
    bench.report.row(
        "fleet",
        "share of cameras within their need",
        (within, ""),
        None,
        Bar::Least(1.0),
        &note,
    );
    let said = outcome.said;
    let note = format!("{} taken, {} decoded, {} looked at", said.received, said.decoded, said.looked);
    let what = "share of the pictures taken";
    bench.report.row("fleet", what, (outcome.taken, ""), None, Bar::Least(TAKEN_MIN), &note);
    bench.truth("fleet", &outcome, DELAY_S_MAX);
    Ok(())
}

/// When cameras in patrol were looked at, from the daemon's status, read about every second.
#[derive(Default)]
struct Visits {
    cameras: BTreeMap<String, Visit>,
    /// Seconds between the beginnings of two visits to a camera.
    between_s: Vec<f64>,
}

struct Visit {
    looked: u64,
    changed: Instant,
    began: Option<Instant>,
}

impl Visits {
    fn note(&mut self, status: Option<serde_json::Value>, dwell_s: f64) {
        let now = Instant::now();
        for camera in status.iter().filter_map(|status| status["cameras"].as_array()).flatten() {
            let (Some(name), Some(looked)) = (camera["camera"].as_str(), camera["counts"]["looked"].as_u64())
            else {
                continue;
            };
            let visit = self.cameras.entry(name.to_owned());
            let visit = visit.or_insert(Visit { looked, changed: now, began: None });
            if looked > visit.looked {
                // Looks within a visit follow each other; a pause longer than a visit is the time between two.
                let paused = now.duration_since(visit.changed).as_secs_f64() > 1.5 * dwell_s + 2.0;
                if paused && let Some(began) = visit.began.replace(now) {
                    self.between_s.push(now.duration_since(began).as_secs_f64());
                }
                (visit.looked, visit.changed) = (looked, now);
            }
        }
    }
}

pub fn patrol(bench: &mut Bench) -> anyhow::Result<()> {
    const CAMERAS: usize = 1000;
    const SLOTS: f64 = 16.0;
    let dwell_s = if bench.options.long { 10.0 } else { 2.0 };
    let scene = bench.material.scene("lane-small")?;
    let scenes = [&scene];
    let tables = format!("[groups.all.patrol]\nslots = {SLOTS}\ndwell_s = {dwell_s}\n");
    let keys = "group = \"all\"\nring_bytes_max = 500000";
    let plan = Plan { keys, tables: &tables, ..Plan::new("patrol", &scenes, CAMERAS) };
    let mut live = Live::start(bench, &plan)?;
    live.warm(30.0)?;
    let early = live.daemon.process.held()?;
    let revisit_s = CAMERAS as f64 * dwell_s / SLOTS;
    let mut visits = Visits::default();
    let window = live.window_with(bench.seconds(2.2 * revisit_s), |live| {
        visits.note(live.status(), dwell_s);
    })?;

    let asked: Vec<String> = (1..=50).map(|n| format!("cam{}", n * 20)).collect();
    let order = serde_json::json!({ "id": "bench", "cameras": asked });
    let began = Instant::now();
    live.broker.publish("gridwatch/v1/bench/box/command/poll", &order.to_string())?;
    let mut answered = (0, f64::NAN);
    while began.elapsed().as_secs_f64() < 40.0 && !answered.1.is_finite() {
        live.warm(0.1)?;
        let replies = live.listener.messages();
        let replies: Vec<serde_json::Value> = (replies.iter())
            .filter(|message| message.topic.ends_with("/reply/poll"))
            .filter_map(|message| serde_json::from_slice(&message.payload).ok())
            .collect();
        answered.0 =
            replies.iter().filter(|reply| reply.get("evidence").is_some_and(|e| !e.is_null())).count();
        if replies.iter().any(|reply| reply["done"] == true) {
            answered.1 = began.elapsed().as_secs_f64();
        }
    }
    let outcome = live.finish()?;
    let note = format!(
        "simulator {} core; {} pictures looked at",
        short(window.simulator_cores),
        outcome.said.looked
    );
    bench.report.row("patrol", "CPU of 1,000 cameras", (window.cores, "cores"), None, Bar::None, &note);
    let mean = visits.between_s.iter().sum::<f64>() / visits.between_s.len() as f64;
    let longest = visits.between_s.iter().copied().fold(f64::NAN, f64::max);
    let note = format!("{} revisits seen; the longest after {} s", visits.between_s.len(), short(longest));
    let off = (mean / revisit_s - 1.0).abs();
    bench.report.row(
        "patrol",
        "revisit time, off cameras x dwell / slots",
        (off, ""),
        None,
        Bar::Most(0.05),
        &note,
    );
    let starved = CAMERAS - visits.cameras.values().filter(|visit| visit.looked > 0).count();
    bench.report.row("patrol", "cameras never visited", (starved as f64, ""), None, Bar::Most(0.0), "");
    let growth = window.held.rss_bytes as f64 / early.rss_bytes as f64 - 1.0;
    let note = format!(
        "{:.0} MB, {} threads, {} files",
        window.held.rss_bytes as f64 / 1e6,
        window.held.threads,
        window.held.files
    );
    bench.report.row("patrol", "growth of memory in 1.5 rounds", (growth, ""), None, Bar::Most(0.05), &note);
    bench.report.row(
        "patrol",
        "poll of 50 cameras",
        (answered.1, "s"),
        None,
        Bar::Most(30.0),
        &format!("{} pictures", answered.0),
    );
    Ok(())
}
