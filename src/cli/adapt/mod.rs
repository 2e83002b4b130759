//! `gridwatch adapt`: fits the shipped detector to one camera, here, when somebody asks for it.
//!
//! The first half, in Rust, looks at the camera for a while and writes down the empty place: median pictures without
//! what moves, the boxes (no pixels) of what was seen, the noise. The second half, `models/training/adapt.py`, pastes
//! rendered objects into it and tunes the model on them.

mod place;
mod source;
mod tune;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use image::RgbImage;
use serde_json::json;

use self::place::{LIGHTS, Looks, Place};
use self::source::Eye;
use self::tune::Tuner;
use super::replay::{load, the_camera};
use super::scratch::Scratch;
use crate::config::{Camera, Config, RuleKind, SHIPPED_MODEL};
use crate::detect::Detector;
use crate::detection::Detection;
use crate::evidence::{References, reference, still};
use crate::frame::{Captured, Clock};
use crate::geometry::BBox;

/// What `site.json` is called by; the scripts check it.
const FORMAT: &str = "gridwatch-site/1";
/// Persons from this score on are made unrecognisable in what is kept.
const PERSON_MIN: f32 = 0.25;
/// What the model finds in the empty place from this score on is hidden from training: it may really stand there.
const STANDING_MIN: f32 = 0.4;
/// More of the place than this hidden leaves too little to learn from.
const HIDDEN_MAX: f32 = 0.5;
/// Boxes from this score on tell sizes.
const SEEN_MIN: f32 = 0.4;
/// Noise of a picture from a reference, which is one picture and cannot tell; in grey levels.
const NOISE_USUAL: f64 = 2.0;

/// Arguments of `gridwatch adapt`.
#[derive(Debug, clap::Args)]
pub struct AdaptArgs {
    /// Which camera of the config; with --from alone: a name for it. 摄像机编号。
    #[arg(long)]
    camera: String,
    /// The config; its zones, masks and model are used. 配置文件。
    #[arg(long, short, required_unless_present = "from")]
    config: Option<PathBuf>,
    /// Recordings of this camera, best of several hours, instead of looking at it now. 该摄像机的录像。
    #[arg(long, num_args = 1..)]
    from: Vec<PathBuf>,
    /// Minutes to look at the camera; a day with all its light is better than half an hour.
    #[arg(long, default_value_t = 30.0, conflicts_with = "from")]
    minutes: f64,
    /// The place was empty: what the model finds in its picture is a mistake that it shall unlearn. Look at the
    /// background pictures first. 确认背景无目标时使用。
    #[arg(long)]
    empty: bool,
    /// Where the place, the model and its card go, in a folder of the camera's name.
    #[arg(long, default_value = "adapted")]
    out: PathBuf,
    /// Only collect; the scripts then run elsewhere.
    #[arg(long, conflicts_with = "collected")]
    collect_only: bool,
    /// Go on with the place that was collected before, after an interruption for example.
    #[arg(long, conflicts_with = "from")]
    collected: bool,
    /// The model to begin with [default: the shipped one].
    #[arg(long)]
    base: Option<PathBuf>,
    /// Python with PyTorch and the packages of models/training/requirements.txt [default: what `./dev training` made, else python3].
    #[arg(long)]
    python: Option<PathBuf>,
    /// The folder of adapt.py [default: models/training of the checkout].
    #[arg(long)]
    training: Option<PathBuf>,
    /// For adapt.py, such as `-- --minutes 8 --pictures 1000`.
    #[arg(last = true)]
    extra: Vec<String>,
}

/// Collects, tunes, prints before and after; exit code 1 if the new model is no better.
pub fn run(args: &AdaptArgs) -> anyhow::Result<ExitCode> {
    // First what can be wrong at once, then what takes half an hour.
    let tuner = if args.collect_only {
        None
    } else {
        Some(Tuner::find(args.python.as_deref(), args.training.as_deref())?)
    };
    let scratch = Scratch::new()?;
    let config = load(&config_file(args, scratch.path())?)?;
    let camera = the_camera(&config, Some(&args.camera))?;
    let site = args.out.join(camera.id.as_str());
    if !args.collected {
        look_and_collect(args, &config, &camera, &site)?;
    } else if !site.join("site.json").is_file() {
        bail!("nothing was collected in {}", site.display());
    }
    let Some(tuner) = tuner else {
        say!("{} is ready for adapt.py --site", site.display())?;
        return Ok(ExitCode::SUCCESS);
    };
    let base = args.base.clone().or_else(|| Some(config.models.get(SHIPPED_MODEL)?.file.clone()));
    let base = base.context("there is no shipped model to begin with\nhint: name one with --base")?;
    let outcome = tuner.tune(&site, &base, &args.extra)?;
    say!("{}", outcome.table())?;
    if !outcome.is_better() {
        say!("\nno better on the whole: keep the model you have (无明显改善，请保留原模型)")?;
        return Ok(ExitCode::FAILURE);
    }
    say!("\n# in the config 配置:\n{}", config_lines(&camera, &outcome.model))?;
    Ok(ExitCode::SUCCESS)
}

fn look_and_collect(
    args: &AdaptArgs,
    config: &Config,
    camera: &Arc<Camera>,
    site: &Path,
) -> anyhow::Result<()> {
    let model = config.models.get(&camera.model).context("the camera's model is not in the config")?;
    let detector = Detector::load(model)?;
    let eye = Eye { camera: camera.clone(), detector: &detector };
    let looks = if args.from.is_empty() {
        eye.live(Duration::from_secs_f64(args.minutes.clamp(0.1, 100_000.0) * 60.0))?
    } else {
        eye.files(&args.from)?
    };
    std::fs::create_dir_all(site).with_context(|| format!("cannot create {}", site.display()))?;
    // An earlier run's pictures belong to nothing any more.
    for entry in std::fs::read_dir(site)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("background-") {
            std::fs::remove_file(entry.path())?;
        }
    }
    collect(args, config, camera, &detector, &looks, site)
}

/// The config, or one that is written for a camera that only exists as recordings.
fn config_file(args: &AdaptArgs, dir: &Path) -> anyhow::Result<PathBuf> {
    if let Some(path) = &args.config {
        return Ok(path.clone());
    }
    let mut text = toml::toml! {
        [node]
        site = "adapt"
        id = "adapt"

        [[camera]]
        name = "adapt"
        url = "rtsp://127.0.0.1/adapt"
    };
    if let Some(camera) =
        text.get_mut("camera").and_then(|c| c.get_mut(0)).and_then(toml::Value::as_table_mut)
    {
        camera.insert("id".into(), args.camera.as_str().into());
    }
    let path = dir.join("adapt.toml");
    std::fs::write(&path, toml::to_string(&text)?)?;
    Ok(path)
}

/// Writes the backgrounds and `site.json`.
fn collect(
    args: &AdaptArgs,
    config: &Config,
    camera: &Camera,
    detector: &Detector,
    looks: &Looks,
    site: &Path,
) -> anyhow::Result<()> {
    let mut places = looks.places();
    if places.is_empty() {
        bail!(
            "{} pictures are too few for a background\nhint: look longer, or name more recordings",
            looks.len()
        );
    }
    if args.config.is_some() {
        places.extend(references(config, camera, &places));
    }
    let mut backgrounds = Vec::new();
    for (number, place) in places.iter().enumerate() {
        let file = format!("background-{number}-{}.png", place.light);
        let (image, standing) =
            if args.empty { (place.image.clone(), Vec::new()) } else { hidden(detector, &place.image)? };
        let path = site.join(&file);
        image.save(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let names: Vec<String> = standing.iter().map(|d| format!("{} {:.2}", d.class, d.score)).collect();
        if !names.is_empty() {
            note!("{}: hidden from training: {}", path.display(), names.join(", "));
        }
        let area: f32 = standing.iter().map(|d| d.bbox.area()).fold(0.0, f32::max);
        if area > HIDDEN_MAX {
            bail!(
                "the model takes {:.0} % of the empty place for objects\nhint: look at {}; if nothing is there that it \
                 should find, run again with --empty",
                area * 100.0,
                path.display()
            );
        }
        if place.never_free > 0.02 {
            note!("{}: {:.0} % was hardly ever free; look longer", path.display(), place.never_free * 100.0);
        }
        backgrounds.push(json!({
            "file": file, "light": place.light, "pictures": place.pictures, "noise": place.noise,
            "never_free": place.never_free, "hidden": standing.iter().map(|d| d.bbox).collect::<Vec<_>>(),
        }));
    }
    let sure = places.iter().flat_map(|p| &p.seen).filter(|d| d.score >= SEEN_MIN);
    let seen: Vec<_> = sure.map(|d| json!({"class": d.class, "score": d.score, "box": d.bbox})).collect();
    let zones: Vec<_> = camera
        .zones
        .iter()
        .map(|zone| {
            let on_ground = zone.rule.kind != RuleKind::ThrownObject;
            json!({"id": zone.id, "scenario": zone.scenario.id, "polygon": zone.polygon.points(), "on_ground": on_ground})
        })
        .collect();
    let source = if args.from.is_empty() {
        "the camera".to_owned()
    } else {
        format!("{} recordings", args.from.len())
    };
    let facts = json!({
        "format": FORMAT, "camera": camera.id, "source": source, "model": detector.stamp(), "empty": args.empty,
        "backgrounds": backgrounds, "seen": seen, "moving": mean_movement(&places), "zones": zones,
    });
    let path = site.join("site.json");
    std::fs::write(&path, serde_json::to_string(&facts)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    note!("{}: {} backgrounds, {} boxes that tell sizes", path.display(), backgrounds.len(), seen.len());
    Ok(())
}

/// The picture with what the model finds in it made unrecognisable, and what that was: persons are nobody's business,
/// and a parked car must not be learnt as nothing.
fn hidden(detector: &Detector, image: &RgbImage) -> anyhow::Result<(RgbImage, Vec<Detection>)> {
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95).encode_image(image)?;
    let captured = Captured { wall: jiff::Timestamp::UNIX_EPOCH, media: Duration::ZERO, clock: Clock::File };
    let picture = reference::picture_of(&jpeg, captured).context("a background that cannot be read back")?;
    let mut standing = detector.detect(&picture)?;
    let least = |d: &Detection| if d.class.as_str() == "person" { PERSON_MIN } else { STANDING_MIN };
    standing.retain(|d| d.score >= least(d));
    let boxes: Vec<BBox> = standing.iter().map(|d| d.bbox).collect();
    Ok((still::redact(image.clone(), &boxes)?, standing))
}

/// What the daemon keeps of the empty place, in lights that were not seen this time.
fn references(config: &Config, camera: &Camera, places: &[Place]) -> Vec<Place> {
    let (width, height) = places[0].image.dimensions();
    let Ok(kept) = References::open(&config.node.data_dir) else { return Vec::new() };
    let missing = LIGHTS.into_iter().filter(|light| places.iter().all(|place| place.light != *light));
    missing
        .filter_map(|light| {
            let newest = kept.of(&camera.id, &[light], std::time::SystemTime::now()).into_iter().next();
            let full = newest.and_then(|(_, jpeg)| image::load_from_memory(&jpeg).ok())?;
            let image = full.resize_exact(width, height, image::imageops::FilterType::Triangle).into_rgb8();
            Some(Place {
                image,
                light,
                pictures: 1,
                noise: NOISE_USUAL,
                seen: Vec::new(),
                moving: Vec::new(),
                never_free: 0.0,
            })
        })
        .collect()
}

/// Of the pictures of all places together.
fn mean_movement(places: &[Place]) -> Vec<Vec<f64>> {
    let count = places.iter().map(|place| place.pictures).sum::<usize>().max(1) as f64;
    let mut mean = vec![vec![0.0; place::CELLS.0]; place::CELLS.1];
    for place in places {
        for (sum, cell) in mean.iter_mut().flatten().zip(place.moving.iter().flatten()) {
            *sum += cell * place.pictures as f64 / count;
        }
    }
    mean
}

fn config_lines(camera: &Camera, model: &Path) -> String {
    let name = format!("street-{}", camera.id);
    let key = if name.contains('.') { format!("\"{name}\"") } else { name.clone() };
    format!(
        "[models.{key}]\nfile = {}\n\n# and in [[camera]] {}:\nmodel = \"{name}\"",
        toml::Value::from(model.to_string_lossy().as_ref()),
        camera.id
    )
}
