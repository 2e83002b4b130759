//! Cases of one camera to a few dozen: what each kind of work costs against its floor.

use super::DELAY_S_MAX;
use crate::Bench;
use crate::live::{Live, Plan, Window};
use crate::material::{Scene, SceneZone};
use crate::report::{Bar, short};

pub fn receive(bench: &mut Bench) -> anyhow::Result<()> {
    const FEW: usize = 4;
    const MANY: usize = 28;
    const RING: usize = 3_000_000;
    let scene = bench.material.scene("lane")?;
    let keys = format!("ring_bytes_max = {RING}");
    let scenes = [&scene];
    let mut windows: Vec<Window> = Vec::new();
    let mut copy = None;
    for count in [FEW, MANY] {
        let plan = Plan { zones: false, keys: &keys, ..Plan::new("receive", &scenes, count) };
        let mut live = Live::start(bench, &plan)?;
        live.warm(12.0)?;
        windows.push(live.window(bench.seconds(20.0))?);
        if count == MANY {
            let dir = bench.dir.clone();
            copy = Some(bench.floors.copy_cores(&scene, &live.cameras, &dir)?);
        }
        live.finish()?;
    }
    let [few, many] = windows[..] else { unreachable!("two runs") };
    let cores = many.cores / MANY as f64;
    let note = format!(
        "{MANY} cameras of {:.1} Mbit/s; halves differ by {:.0} %; simulator {} core",
        scene.mbit_s(),
        many.spread * 100.0,
        short(many.simulator_cores)
    );
    bench.report.row(
        "receive",
        "CPU per camera, against ffmpeg -c copy",
        (cores, "core"),
        copy.map(|c| c.value),
        Bar::Most(0.125),
        &note,
    );
    let to_3_mbit = cores * 3.0 / scene.mbit_s();
    bench.report.row(
        "receive",
        "CPU per camera at 3 Mbit/s",
        (to_3_mbit, "core"),
        None,
        Bar::Most(0.001),
        "",
    );
    let more = (MANY - FEW) as f64;
    let memory = (many.held.rss_bytes as f64 - few.held.rss_bytes as f64) / more - scene.ring_bytes(RING)?;
    let note = format!("{} threads, {} files", many.held.threads, many.held.files);
    bench.report.row(
        "receive",
        "memory per camera beyond the ring",
        (memory / 1e6, "MB"),
        None,
        Bar::Most(1.0),
        &note,
    );
    Ok(())
}

pub fn normal(bench: &mut Bench) -> anyhow::Result<()> {
    const CAMERAS: usize = 6;
    let (lane, stall) = (bench.material.scene("lane")?, bench.material.scene("stall")?);
    let scenes = [&lane, &stall];
    let mut live = Live::start(bench, &Plan::new("normal", &scenes, CAMERAS))?;
    live.warm(15.0)?;
    // Whole rounds of the clips, so that every part of them counts alike.
    let window = live.window(bench.seconds(2.0 * lane.period_s))?;
    let outcome = live.finish()?;
    let cores = window.cores / CAMERAS as f64;
    bench.normal_cores = Some(cores);
    bench.against_script("normal", cores, window.spread, 1.0 / 12.0);
    bench.work("normal", "CPU, against decoding + inference alone", &outcome, &scenes, Bar::Most(1.15))?;
    bench.truth("normal", &outcome, DELAY_S_MAX);
    Ok(())
}

/// What a street office would configure: the scenarios' own times, minutes instead of the bench's ten seconds.
pub(super) fn with_usual_times(scene: &Scene) -> Scene {
    let zones = scene.zones.iter().map(|zone| SceneZone { keys: String::new(), ..zone.clone() });
    Scene { zones: zones.collect(), ..scene.clone() }
}

pub fn quiet(bench: &mut Bench) -> anyhow::Result<()> {
    const CAMERAS: usize = 8;
    /// A lively street until the packet gate has proved itself; it takes seven changes.
    const LIVELY_S: f64 = 240.0;
    let (quiet, lane) = (bench.material.scene("quiet")?, with_usual_times(&bench.material.scene("lane")?));
    let scenes = [&lane, &quiet];
    // Every second camera shows the lively street, with the quiet clip of the same street up its sleeve.
    let plan = Plan { every: 2, ..Plan::new("quiet", &scenes, 2 * CAMERAS) };
    let mut live = Live::start(bench, &plan)?;
    live.warm(LIVELY_S)?;
    live.cameras.order("all switch 1")?;
    live.warm(60.0)?;
    let counts = |live: &Live, name: &str| -> f64 {
        let status = live.status().unwrap_or_default();
        let of = |c: &serde_json::Value| c["counts"][name].as_f64().unwrap_or_default();
        status["cameras"].as_array().map_or(0.0, |cameras| cameras.iter().map(of).sum())
    };
    let (spared, decoded) = (counts(&live, "quiet"), counts(&live, "decoded"));
    let window = live.window(bench.seconds(quiet.period_s))?;
    let (spared, decoded) = (counts(&live, "quiet") - spared, counts(&live, "decoded") - decoded);
    let calm = live.listener.incidents()?.len();
    // The lively street again: a car drives into the lane in its 11th second.
    live.cameras.order("all switch 0")?;
    let switched = std::time::Instant::now();
    let (mut noticed, mut late_s) = (0, f64::NAN);
    while noticed < CAMERAS && switched.elapsed().as_secs_f64() < 45.0 {
        live.warm(0.5)?;
        let status = live.status().unwrap_or_default();
        let urgent = |c: &&serde_json::Value| c["urgent"].as_bool() == Some(true);
        noticed = status["cameras"].as_array().map_or(0, |cameras| cameras.iter().filter(urgent).count());
        late_s = switched.elapsed().as_secs_f64() - 11.0;
    }
    let outcome = live.finish()?;
    bench.against_script("quiet", window.cores / CAMERAS as f64, window.spread, 1.0 / 60.0);
    bench.work("quiet", "CPU, against decoding + inference alone", &outcome, &[&lane], Bar::None)?;
    let note = format!("{spared:.0} left compressed, {decoded:.0} decoded");
    let share = spared / (spared + decoded).max(1.0);
    bench.report.row("quiet", "due key pictures that were spared", (share, ""), None, Bar::None, &note);
    let what = "statements while nothing happened";
    bench.report.row("quiet", what, (calm as f64, ""), None, Bar::Most(0.0), "");
    let note = format!("{noticed} of {CAMERAS}");
    let share = noticed as f64 / CAMERAS as f64;
    bench.report.row("quiet", "cars noticed after a long quiet", (share, ""), None, Bar::Least(1.0), &note);
    let note = "the last camera, seen in a status that is written every 5 s";
    bench.report.row("quiet", "noticed after", (late_s, "s"), None, Bar::None, note);
    Ok(())
}

pub fn shadow(bench: &mut Bench) -> anyhow::Result<()> {
    let (quiet, lane) = (bench.material.scene("quiet")?, bench.material.scene("lane")?);
    let scenes = [&quiet, &quiet, &lane];
    let plan = Plan { node: "gates = \"shadow\"\n", ..Plan::new("shadow", &scenes, 6) };
    let mut live = Live::start(bench, &plan)?;
    live.warm(bench.seconds(quiet.period_s + 20.0))?;
    let status = live.status();
    let outcome = live.finish()?;
    let count = |name: &str| -> u64 {
        let cameras = status.iter().filter_map(|status| status["cameras"].as_array()).flatten();
        cameras.filter_map(|camera| camera["counts"][name].as_u64()).sum()
    };
    for (gate, what) in [
        ("quiet", "changes among pictures that sizes called quiet"),
        ("unchanged", "finds among pictures whose zones had not changed"),
    ] {
        let missed = count(&format!("{gate}_missed"));
        let note = format!("{} pictures would have been spared", count(gate));
        bench.report.row("shadow", what, (missed as f64, ""), None, Bar::Most(0.0), &note);
    }
    bench.truth("shadow", &outcome, DELAY_S_MAX);
    Ok(())
}

pub fn streams(bench: &mut Bench) -> anyhow::Result<()> {
    for (name, what) in
        [("lane-h265", "H.265 1080p25, against floors"), ("lane-sub", "640x360, against floors")]
    {
        let scene = bench.material.scene(name)?;
        let scenes = [&scene];
        let mut live = Live::start(bench, &Plan::new("streams", &scenes, 4))?;
        live.warm(bench.seconds(scene.period_s + 15.0))?;
        let outcome = live.finish()?;
        bench.work("streams", what, &outcome, &scenes, Bar::Most(1.15))?;
        bench.truth("streams", &outcome, DELAY_S_MAX);
    }
    Ok(())
}

pub fn thrown(bench: &mut Bench) -> anyhow::Result<()> {
    let scene = bench.material.scene("facade")?;
    let scenes = [&scene];
    let mut live = Live::start(bench, &Plan::new("thrown", &scenes, 1))?;
    live.warm(bench.seconds(scene.period_s + 20.0))?;
    let outcome = live.finish()?;
    let said = outcome.said;
    let floor = bench.floors.picture_s(&scene)?.value * said.decoded as f64;
    // Things are found by difference unless a camera names a network: there is no model whose floor could be added.
    let note = format!("{} of {:.0} pictures decoded; no model", said.decoded, 25.0 * said.ran_s);
    let what = "CPU, against full decoding";
    bench.report.row("thrown", what, (said.cpu_s, "s CPU"), Some(floor), Bar::Most(1.25), &note);
    bench.truth("thrown", &outcome, 5.0);
    Ok(())
}
