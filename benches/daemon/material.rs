//! What the cameras show: the demo's rendered clips as a real camera would send them, made once with ffmpeg.
//!
//! 1080p at 25 pictures/s with a sensor's noise, H.264 (and H.265) of about 3 Mbit/s, a key picture every 2 s; a
//! sub-stream and a small stream of 640x360. Each ends as it begins, but for the burnt-in clock and the odd passer-by.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use gridwatch::camera::{Clip, Ring};
use serde::Deserialize;

/// Time between key pictures.
pub const KEY_EVERY_S: f64 = 2.0;
/// The same in pictures.
pub const KEY_EVERY: u64 = 50;

/// All scenes.
pub const NAMES: [&str; 8] =
    ["lane", "stall", "busy", "quiet", "facade", "lane-h265", "lane-sub", "lane-small"];

/// A corner, in ratios of the picture.
type Corner = [f32; 2];

/// A zone of a scene, and what happens there in one round of the clip.
#[derive(Debug, Clone)]
pub struct SceneZone {
    pub id: &'static str,
    pub scenario: String,
    pub polygon: Vec<Corner>,
    /// Further keys of the zone's table.
    pub keys: String,
    /// From when to when, in seconds from the clip's first picture.
    pub incidents: Vec<(f64, f64)>,
}

/// A clip, what is watched in it, and what there is to be found.
#[derive(Debug, Clone)]
pub struct Scene {
    pub name: String,
    pub file: PathBuf,
    pub period_s: f64,
    pub bytes: u64,
    pub zones: Vec<SceneZone>,
}

impl Scene {
    /// Megabits per second.
    pub fn mbit_s(&self) -> f64 {
        self.bytes as f64 * 8e-6 / self.period_s
    }

    /// Bytes in a camera's ring of this limit, on average, once it is full: rings let whole groups go.
    pub fn ring_bytes(&self, ring_bytes_max: usize) -> anyhow::Result<f64> {
        let units = Clip::open(&self.file)?.collect::<Result<Vec<_>, _>>()?;
        let mut ring = Ring::new(ring_bytes_max);
        let round = |ring: &mut Ring| {
            let sizes = units.iter().cloned().map(|unit| {
                ring.push(unit);
                ring.bytes() as f64
            });
            sizes.sum::<f64>() / units.len() as f64
        };
        round(&mut ring);
        Ok(round(&mut ring))
    }
}

#[derive(Deserialize)]
struct Truth {
    clips: Vec<TrueClip>,
}

#[derive(Deserialize)]
struct TrueClip {
    clip: String,
    zones: Vec<TrueZone>,
    facade: Option<Facade>,
}

#[derive(Deserialize)]
struct TrueZone {
    scenario: String,
    polygon: Vec<Corner>,
    expected: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    from_s: f64,
    to_s: f64,
}

#[derive(Deserialize)]
struct Facade {
    corners: [Corner; 4],
    top_m: f64,
    bottom_m: f64,
    width_m: f64,
    floor_height_m: f64,
}

/// How a clip is made.
struct Recipe {
    name: &'static str,
    /// Which of the demo's clips.
    from: &'static str,
    /// From the demo's pictures to the camera's, before the noise.
    filter: String,
    size: (u32, u32),
    noise: u32,
    codec: &'static [&'static str],
    /// Zones beyond those of the demo: id, scenario, corners.
    more: Vec<(&'static str, &'static str, Vec<Corner>)>,
}

const H264: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "superfast",
    "-crf",
    "26.5",
    "-g",
    "50",
    "-keyint_min",
    "50",
    "-sc_threshold",
    "0",
    "-bf",
    "0",
];
const H265: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-crf",
    "23.5",
    "-x265-params",
    "keyint=50:min-keyint=50:scenecut=0:bframes=0:open-gop=0:log-level=error",
];
const SUB: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "superfast",
    "-b:v",
    "600k",
    "-maxrate",
    "900k",
    "-bufsize",
    "1200k",
    "-g",
    "50",
    "-keyint_min",
    "50",
    "-sc_threshold",
    "0",
    "-bf",
    "0",
];
const SMALL: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "superfast",
    "-b:v",
    "256k",
    "-maxrate",
    "320k",
    "-bufsize",
    "512k",
    "-g",
    "50",
    "-keyint_min",
    "50",
    "-sc_threshold",
    "0",
    "-bf",
    "0",
];

/// The pavement beside the fire lane: people walk there, nobody sells.
fn pavement() -> (&'static str, &'static str, Vec<Corner>) {
    let corners = vec![[0.02, 0.58], [0.26, 0.45], [0.72, 0.32], [0.78, 0.36], [0.28, 0.51], [0.04, 0.62]];
    ("pavement", "street_vending", corners)
}

/// The road before the stall: nothing stops there.
fn road() -> (&'static str, &'static str, Vec<Corner>) {
    ("lane", "fire_lane", vec![[0.0, 0.78], [0.75, 0.94], [0.75, 0.99], [0.0, 0.99]])
}

/// A stretch in which somebody passes, made to end where it began; then nothing but the clock moves.
fn quiet() -> String {
    // The clock is taken from a stretch in which it runs on, so that even the still picture has one that ticks.
    "split=3[a][b][c];[a]trim=42:58,setpts=PTS-STARTPTS[passer];\
     [b]trim=57.5:57.54,setpts=PTS-STARTPTS,loop=loop=-1:size=1,setpts=N/25/TB,trim=duration=44[still];\
     [c]trim=0:44,setpts=PTS-STARTPTS,crop=168:20:8:8[clock];\
     [still][clock]overlay=8:8:shortest=1[ticks];[passer][ticks]concat=n=2"
        .into()
}

fn recipes() -> Vec<Recipe> {
    let big = |name, from, filter: &str, codec, more| Recipe {
        name,
        from,
        filter: filter.into(),
        size: (1920, 1080),
        noise: 7,
        codec,
        more,
    };
    let little = |name, codec| Recipe {
        name,
        from: "fire-lane-day",
        filter: "null".into(),
        size: (640, 360),
        noise: 5,
        codec,
        more: vec![pavement()],
    };
    vec![
        big("lane", "fire-lane-day", "null", H264, vec![pavement()]),
        big("stall", "vending-day", "null", H264, vec![road()]),
        big("busy", "quiet-street", "null", H264, vec![]),
        big("quiet-minute", "fire-lane-day", &quiet(), H264, vec![pavement()]),
        big("facade", "facade-day", "null", H264, vec![]),
        big("lane-h265", "fire-lane-day", "null", H265, vec![pavement()]),
        little("lane-sub", SUB),
        little("lane-small", SMALL),
    ]
}

/// How often the quiet clip's still part is repeated: somebody passes every 192 s.
const STILL_ROUNDS: usize = 4;
/// Where the quiet minute's still part begins; a multiple of the time between key pictures.
const STILL_FROM_S: f64 = 16.0;

/// The scenes, each made when it is first asked for.
pub struct Material {
    dir: PathBuf,
    truth: Truth,
}

impl Material {
    /// Keeps its clips in `dir`.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let truth = serde_json::from_str(&std::fs::read_to_string("config/demo/truth.json")?)?;
        Ok(Self { dir: dir.to_owned(), truth })
    }

    /// The scene of this name; made now if it is missing or was made by another recipe.
    pub fn scene(&self, name: &str) -> anyhow::Result<Scene> {
        let made_of = if name == "quiet" { "quiet-minute" } else { name };
        let recipe = recipes().into_iter().find(|recipe| recipe.name == made_of);
        let recipe = recipe.with_context(|| format!("there is no scene `{name}`"))?;
        let mut file = make(&recipe, &self.dir)?;
        if name == "quiet" {
            file = quiet_rounds(&file, &self.dir)?;
        }
        let path = format!("clips/{}.mp4", recipe.from);
        let known = self.truth.clips.iter().find(|clip| clip.clip == path);
        let known = known.with_context(|| format!("config/demo/truth.json has no {path}"))?;
        scene(name, file, zones(known, recipe.more, name == "quiet"))
    }
}

fn zones(
    known: &TrueClip,
    more: Vec<(&'static str, &'static str, Vec<Corner>)>,
    without_incidents: bool,
) -> Vec<SceneZone> {
    let id = |scenario: &str| match scenario {
        "fire_lane" => "lane",
        "street_vending" => "pavement",
        _ => "facade",
    };
    let keys = |scenario: &str| {
        match scenario {
        "fire_lane" => "suspect_s = 3\ndwell_s = 10\nclear_s = 4\n".to_owned(),
        // As in the demo: the small shipped detector is shy.
        "street_vending" => "score_min = 0.4\nsuspect_s = 3\ndwell_s = 10\nclear_s = 5\n".to_owned(),
        _ => known.facade.as_ref().map_or(String::new(), |f| {
            // The truth goes round from the top left, the config from the bottom left on.
            let [top_left, top_right, bottom_right, bottom_left] = f.corners;
            let corners = [bottom_left, bottom_right, top_right, top_left];
            format!(
                "facade = {{ corners = {corners:?}, bottom_m = {:?}, top_m = {:?}, width_m = {:?}, floor_m = {:?} }}\n",
                f.bottom_m, f.top_m, f.width_m, f.floor_height_m
            )
        }),
    }
    };
    let own = known.zones.iter().map(|zone| SceneZone {
        id: id(&zone.scenario),
        scenario: zone.scenario.clone(),
        polygon: zone.polygon.clone(),
        keys: keys(&zone.scenario),
        incidents: if without_incidents {
            Vec::new()
        } else {
            zone.expected.iter().map(|e| (e.from_s, e.to_s)).collect()
        },
    });
    let more = more.into_iter().map(|(id, scenario, polygon)| SceneZone {
        id,
        scenario: scenario.into(),
        polygon,
        keys: keys(scenario),
        incidents: Vec::new(),
    });
    own.chain(more).collect()
}

fn scene(name: &str, file: PathBuf, zones: Vec<SceneZone>) -> anyhow::Result<Scene> {
    let (mut bytes, mut pictures) = (0, 0u32);
    for unit in Clip::open(&file)? {
        bytes += unit?.data.len() as u64;
        pictures += 1;
    }
    Ok(Scene { name: name.to_owned(), file, period_s: f64::from(pictures) / 25.0, bytes, zones })
}

/// Runs ffmpeg unless `file` was made by the same command before.
fn ffmpeg(file: &Path, args: &[String]) -> anyhow::Result<()> {
    let recipe = args.join(" ");
    let note = file.with_extension("recipe");
    if file.is_file() && std::fs::read_to_string(&note).is_ok_and(|made| made == recipe) {
        return Ok(());
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    eprint!("material: {name} … ");
    let began = Instant::now();
    let part = file.with_extension("part.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(args).arg(&part);
    let said = command.output().context("cannot start ffmpeg\nhint: apt-get install ffmpeg")?;
    if !said.status.success() {
        bail!("ffmpeg cannot make {name}: {}", String::from_utf8_lossy(&said.stderr).trim());
    }
    std::fs::rename(&part, file)?;
    std::fs::write(&note, recipe)?;
    let size = std::fs::metadata(file)?.len() as f64 / 1e6;
    eprintln!("{size:.1} MB in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn make(recipe: &Recipe, dir: &Path) -> anyhow::Result<PathBuf> {
    let file = dir.join(format!("{}.mp4", recipe.name));
    let (width, height) = recipe.size;
    let filter = format!(
        "[0:v]fps=25,{},scale={width}:{height}:flags=bilinear,noise=alls={}:allf=t:all_seed=7,format=yuv420p[out]",
        recipe.filter, recipe.noise
    );
    let source = format!("config/demo/clips/{}.mp4", recipe.from);
    let mut args: Vec<String> =
        ["-i", &source, "-filter_complex", &filter, "-map", "[out]", "-an"].map(Into::into).into();
    args.extend(recipe.codec.iter().map(|&arg| arg.to_owned()));
    ffmpeg(&file, &args)?;
    Ok(file)
}

/// The quiet minute with its still part repeated, without encoding anything again.
fn quiet_rounds(minute: &Path, dir: &Path) -> anyhow::Result<PathBuf> {
    let list = dir.join("quiet.txt");
    let entry = format!("file '{}'\n", minute.file_name().unwrap_or_default().to_string_lossy());
    let still = format!("{entry}inpoint {STILL_FROM_S}\n").repeat(STILL_ROUNDS - 1);
    std::fs::write(&list, format!("{entry}{still}"))?;
    let file = dir.join("quiet.mp4");
    let made = |path: &Path| std::fs::metadata(path).and_then(|data| data.modified());
    if let (Ok(whole), Ok(part)) = (made(&file), made(minute))
        && whole < part
    {
        std::fs::remove_file(&file)?;
    }
    let list = list.to_string_lossy().into_owned();
    let args = ["-f", "concat", "-safe", "0", "-i", &list, "-c", "copy"].map(Into::into);
    ffmpeg(&file, &args)?;
    Ok(file)
}
