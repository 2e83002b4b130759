//! Camera health, measured: sound clips with troubles made to order, and sound clips without.
//!
//! The clips of `config/demo/clips` do for the essential part. `GRIDWATCH_DATA` (or `../shared/data` beside the repository)
//! adds real clips. `GRIDWATCH_HEALTH_CLIPS` names a folder of further clips for `the_figures`, which prints the table of the
//! documentation; `GRIDWATCH_HEALTH_HALF` takes only every second clip (0 or 1).

mod trouble;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gridwatch::camera::Clip;
use gridwatch::decode::Decoder;
use gridwatch::frame::{CameraState, Captured, Clock, Picture};
use gridwatch::health::{Check, Health, Link, Look, Status, Trust};
use jiff::Timestamp;
use proptest::prelude::*;

use trouble::Trouble;

/// Looks at a clip, whatever its length, and seconds between them.
const LOOKS: usize = 40;
const EVERY_S: f64 = 2.0;
/// The looks at which a trouble begins and ends.
const TROUBLED: std::ops::Range<usize> = 14..28;

fn seconds(seconds: f64) -> Captured {
    let wall = Timestamp::from_millisecond(1_795_000_000_000 + (seconds * 1000.0) as i64).unwrap();
    Captured { wall, media: Duration::from_secs_f64(seconds), clock: Clock::Rtcp }
}

/// The picture as if it were the n-th look.
fn as_look(picture: &Picture, look: usize) -> Picture {
    Picture { captured: seconds(look as f64 * EVERY_S), ..picture.clone() }
}

/// So many pictures of a clip, evenly spread.
fn pictures(path: &Path) -> Vec<Picture> {
    let clip = Clip::open(path).expect("a clip");
    let units: Vec<_> = clip.filter_map(Result::ok).collect();
    let every = units.len().div_ceil(LOOKS).max(1);
    let Some(first) = units.first() else { return Vec::new() };
    let mut decoder = Decoder::new(first.codec).expect("a decoder");
    let mut all = Vec::new();
    let mut count = 0;
    let mut keep = |decoded: Vec<Picture>| {
        for picture in decoded {
            if count % every == 0 {
                all.push(picture);
            }
            count += 1;
        }
    };
    for unit in &units {
        keep(decoder.decode(unit).unwrap_or_default());
    }
    keep(decoder.finish().unwrap_or_default());
    all
}

fn clips(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let video = |path: &PathBuf| path.extension().is_some_and(|e| e == "mp4" || e == "avi");
    let mut clips: Vec<_> = files.filter(video).collect();
    clips.sort();
    clips
}

fn demo() -> Vec<PathBuf> {
    clips(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/clips"))
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What happens to a camera in the middle of a clip.
#[derive(Clone, Copy)]
enum Event {
    Nothing,
    Trouble(Trouble),
    Frozen,
    /// It shows the clip before that has colours or has none as well.
    OtherView,
}

/// Events with the check that must find them.
fn events() -> Vec<(&'static str, Event, Option<Check>)> {
    use Event::{Frozen, Nothing, OtherView};
    let trouble = |name, trouble, check| (name, Event::Trouble(trouble), Some(check));
    vec![
        ("nothing", Nothing, None),
        trouble("black with a clock", Trouble::Black, Check::Black),
        trouble("luma x 0.15", Trouble::Dark(0.15), Check::TooDark),
        trouble("luma x 4", Trouble::Bright(4.0), Check::TooBright),
        trouble("contrast x 0.15", Trouble::Flat(0.15), Check::LowContrast),
        trouble("tint +30", Trouble::Tint(30.0), Check::ColourCast),
        trouble("tint -30", Trouble::Tint(-30.0), Check::ColourCast),
        trouble("blur 0.5 %", Trouble::Blur(0.005), Check::Blurred),
        trouble("blur 1 %", Trouble::Blur(0.01), Check::Blurred),
        trouble("blur 2.5 %", Trouble::Blur(0.025), Check::Blurred),
        trouble("noise 40", Trouble::Snow(40.0), Check::Snow),
        trouble("blue picture", Trouble::SignalLost, Check::SignalLost),
        trouble("covered by half", Trouble::Cover(0.5), Check::Covered),
        trouble("covered wholly", Trouble::Cover(1.2), Check::Covered),
        trouble("stripes +-20", Trouble::Stripes(20.0, 12.0), Check::Stripes),
        ("frozen", Frozen, Some(Check::Frozen)),
        trouble("4 % right", Trouble::Move(0.04, 0.0, 0.0, 1.0), Check::Moved),
        trouble("6 % down", Trouble::Move(0.0, 0.06, 0.0, 1.0), Check::Moved),
        trouble("25 % right", Trouble::Move(0.25, 0.1, 0.0, 1.0), Check::Moved),
        trouble("turned by 5 degrees", Trouble::Move(0.0, 0.0, 5.0, 1.0), Check::Moved),
        trouble("zoomed by 1.2", Trouble::Move(0.0, 0.0, 0.0, 1.2), Check::Moved),
        ("another view", OtherView, Some(Check::Moved)),
    ]
}

/// What one run through a clip gave.
#[derive(Default)]
struct Outcome {
    /// Checks that became abnormal, and at which look after the beginning of the event (before it: `None`).
    alarms: Vec<(Check, Option<usize>)>,
    /// Looks of the event after which the zones were still trusted.
    trusted: usize,
    /// Checks that were abnormal at the end.
    lasting: Vec<Check>,
}

fn run(clip: &[Picture], other: &[Picture], event: Event) -> Outcome {
    let mut health = Health::new();
    let mut outcome = Outcome::default();
    for (look, picture) in clip.iter().enumerate() {
        let picture = match event {
            _ if !TROUBLED.contains(&look) => picture.clone(),
            Event::Nothing => picture.clone(),
            Event::Trouble(trouble) => trouble.on(picture, look as u64),
            Event::Frozen => clip[TROUBLED.start - 1].clone(),
            Event::OtherView => other[look % other.len()].clone(),
        };
        for change in health.look(&as_look(&picture, look), true) {
            if change.to == Status::Abnormal {
                outcome.alarms.push((change.check, look.checked_sub(TROUBLED.start).map(|n| n + 1)));
            }
        }
        if TROUBLED.contains(&look) && health.trust() == Trust::Whole {
            outcome.trusted += 1;
        }
    }
    outcome.lasting = Check::ALL.into_iter().filter(|c| health.status(*c) == Status::Abnormal).collect();
    outcome
}

/// Counts of one check over all runs.
#[derive(Default)]
struct Row {
    trials: usize,
    found: usize,
    alarms: usize,
    looks: Vec<usize>,
    missed: Vec<String>,
    wrong: Vec<String>,
}

/// Runs every event over every clip, prints a row per event and returns one per check.
fn figures(paths: &[PathBuf]) -> BTreeMap<Check, Row> {
    let mut rows: BTreeMap<Check, Row> = BTreeMap::new();
    let mut lines: Vec<(usize, usize, usize)> = vec![(0, 0, 0); events().len()];
    let mut others: BTreeMap<bool, Vec<Picture>> = BTreeMap::new();
    for path in paths {
        let clip = pictures(path);
        if clip.len() <= TROUBLED.end {
            println!("{}: only {} pictures", name(path), clip.len());
            continue;
        }
        let coloured = Look::of(&clip[0]).is_some_and(|look| look.measures.colour > 1.0);
        let before = others.insert(coloured, clip.clone());
        for (i, (title, event, expected)) in events().into_iter().enumerate() {
            let beside = match (event, &before) {
                (Event::OtherView, None) => continue,
                (Event::OtherView, Some(before)) => before.as_slice(),
                _ => &[],
            };
            let outcome = run(&clip, beside, event);
            lines[i].0 += 1;
            lines[i].2 += usize::from(outcome.trusted > 0);
            let place = || format!("{} ({title})", name(path));
            let hit = expected.and_then(|e| outcome.alarms.iter().find(|(c, at)| *c == e && at.is_some()));
            if let Some(check) = expected {
                let row = rows.entry(check).or_default();
                row.trials += 1;
                match hit {
                    Some(&(_, at)) => {
                        lines[i].1 += 1;
                        row.found += 1;
                        row.looks.extend(at);
                    }
                    None => row.missed.push(place()),
                }
                if outcome.lasting.contains(&check) && clip.len() >= TROUBLED.end + 8 {
                    row.wrong.push(format!("{} for ever", place()));
                }
            } else {
                lines[i].1 += usize::from(outcome.alarms.is_empty());
            }
            for (check, at) in outcome.alarms {
                let row = rows.entry(check).or_default();
                row.alarms += 1;
                if Some(check) != expected || at.is_none() {
                    row.wrong.push(place());
                }
            }
        }
    }
    println!("{:22} {:>6} {:>6} {:>22}", "event", "clips", "right", "trusted after a look");
    for ((title, ..), (trials, right, trusted)) in events().into_iter().zip(&lines) {
        println!("{title:22} {trials:>6} {right:>6} {trusted:>22}");
    }
    println!(
        "\n{:14} {:>7} {:>7} {:>9}  looks to notice (median, most)",
        "check", "trials", "recall", "precision"
    );
    for (check, row) in &mut rows {
        row.looks.sort_unstable();
        let share = |part: usize, of: usize| if of == 0 { 1.0 } else { part as f64 / of as f64 };
        let (middle, most) = (row.looks.get(row.looks.len() / 2), row.looks.last());
        let recall = share(row.found, row.trials);
        let precision = share(row.found, row.alarms.max(row.found));
        println!(
            "{:14} {:>7} {recall:>7.3} {precision:>9.3}  {middle:?} {most:?}",
            format!("{check:?}"),
            row.trials
        );
        row.missed.iter().for_each(|place| println!("    missed: {place}"));
        row.wrong.iter().for_each(|place| println!("    wrong: {place}"));
    }
    rows
}

#[test]
fn every_trouble_of_the_demo_clips_is_called_by_its_name() {
    let rows = figures(&demo());
    for (check, row) in rows {
        assert!(row.missed.is_empty(), "{check:?} misses {:?}", row.missed);
        assert!(row.wrong.is_empty(), "{check:?} is wrong about {:?}", row.wrong);
    }
}

#[test]
fn the_figures() {
    let Some(folder) = std::env::var_os("GRIDWATCH_HEALTH_CLIPS") else {
        return println!("skipped: no GRIDWATCH_HEALTH_CLIPS");
    };
    let half: Option<usize> = std::env::var("GRIDWATCH_HEALTH_HALF").ok().and_then(|half| half.parse().ok());
    let paths = clips(Path::new(&folder)).into_iter().enumerate();
    let paths: Vec<_> =
        paths.filter(|(i, _)| half.is_none_or(|half| i % 2 == half)).map(|(_, p)| p).collect();
    for (check, row) in figures(&paths) {
        assert!(row.trials == 0 || row.found as f64 >= 0.95 * row.trials as f64, "{check:?}");
    }
}

/// Clips in which something really is the matter: fades from and to black, a phone that wanders.
const SICK: [(&str, &[Check]); 2] =
    [("neg_birds_sky.mp4", &[Check::Black]), ("park_driving_lesson.mp4", &[Check::Moved])];

#[test]
fn nothing_is_wrong_with_real_cameras() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let data = std::env::var_os("GRIDWATCH_DATA").map_or_else(beside, PathBuf::from);
    let real = clips(&data.join("clips"));
    if real.is_empty() {
        return println!("skipped: no clips in {}", data.display());
    }
    let mut looks = 0;
    for path in real {
        let sick = SICK.iter().find(|(clip, _)| *clip == name(&path)).map_or(&[][..], |(_, checks)| checks);
        let clip = pictures(&path);
        looks += clip.len();
        let outcome = run(&clip, &[], Event::Nothing);
        let false_alarms: Vec<_> = outcome.alarms.iter().filter(|(c, _)| !sick.contains(c)).collect();
        assert!(false_alarms.is_empty(), "{}: {false_alarms:?}", name(&path));
    }
    println!("{looks} looks at real clips, no false alarm");
}

/// A scene of the demo, as seen by infrared light: no colours, leaves and red things bright, the sky dark.
fn infrared(picture: &Picture) -> Picture {
    let (w, (cw, _)) = (picture.width, picture.chroma_size());
    let y = picture.y.iter().enumerate().map(|(i, &luma)| {
        let chroma = i / w / 2 * cw + i % w / 2;
        let warmth = f32::from(picture.v[chroma]) - f32::from(picture.u[chroma]);
        (60.0 + 0.55 * f32::from(luma) + 2.5 * warmth).clamp(16.0, 235.0) as u8
    });
    let grey: Arc<[u8]> = vec![128; picture.u.len()].into();
    Picture { y: y.collect(), u: grey.clone(), v: grey, ..picture.clone() }
}

#[test]
fn an_infrared_switch_is_nothing_the_first_time_and_every_time() {
    for path in demo() {
        let clip = pictures(&path);
        let mut health = Health::new();
        for round in 0..4 {
            for (i, picture) in clip.iter().enumerate() {
                let picture = if round % 2 == 0 { picture.clone() } else { infrared(picture) };
                let look = as_look(&picture, round * clip.len() + i);
                let changes = health.look(&look, true);
                assert!(changes.iter().all(|c| c.to != Status::Abnormal), "{}: {changes:?}", name(&path));
                assert_eq!(health.trust(), Trust::Whole, "{}: round {round}, look {i}", name(&path));
            }
        }
    }
}

/// A camera that is knocked aside, restarted, set right, knocked aside again, and accepted as it is.
#[test]
fn a_moved_camera_suspends_at_once_and_comes_back() {
    let clip = pictures(&demo()[1]);
    let aside = |picture: &Picture| Trouble::Move(0.3, 0.05, 2.0, 1.0).on(picture, 1);
    let mut health = Health::new();
    let mut look = 0;
    let mut show = |health: &mut Health, picture: &Picture| {
        look += 1;
        health.look(&as_look(picture, look), true);
    };
    for picture in &clip[..12] {
        show(&mut health, picture);
    }
    assert_eq!((health.status(Check::Moved), health.trust()), (Status::Normal, Trust::Whole));

    for (i, picture) in clip[12..18].iter().enumerate() {
        show(&mut health, &aside(picture));
        assert_eq!(health.trust(), Trust::Nothing(Check::Moved), "look {i}");
    }
    assert_eq!(health.status(Check::Moved), Status::Abnormal);

    let text = serde_json::to_string(health.checkpoint()).unwrap();
    assert!(text.len() < 45_000, "{} bytes", text.len());
    let mut health = Health::restore(serde_json::from_str(&text).unwrap());
    assert_eq!(health.trust(), Trust::Nothing(Check::Moved), "a restart forgets nothing");
    for picture in &clip[18..22] {
        show(&mut health, &aside(picture));
        assert_eq!(health.trust(), Trust::Nothing(Check::Moved));
    }
    for picture in &clip[22..26] {
        show(&mut health, picture);
    }
    assert_eq!((health.status(Check::Moved), health.trust()), (Status::Normal, Trust::Whole), "it is back");

    for picture in &clip[26..32] {
        show(&mut health, &aside(picture));
    }
    let change = health.accept_view(seconds(100.0).wall).expect("a change");
    assert_eq!((change.from, change.to), (Status::Abnormal, Status::Untested));
    for picture in &clip[24..40] {
        show(&mut health, &aside(picture));
    }
    assert_eq!(
        (health.status(Check::Moved), health.trust()),
        (Status::Normal, Trust::Whole),
        "it is the view now"
    );
    show(&mut health, &clip[38]);
    assert_eq!(health.trust(), Trust::Nothing(Check::Moved), "the old view is another one now");
}

#[test]
fn a_frozen_picture_counts_for_nothing_from_the_first_repeat() {
    let clip = pictures(&demo()[1]);
    let mut health = Health::new();
    for (look, picture) in clip[..10].iter().enumerate() {
        health.look(&as_look(picture, look), true);
        assert_eq!(health.trust(), Trust::Whole);
    }
    // Pictures between key pictures repeat whenever nothing stirs.
    health.look(&as_look(&clip[9], 10), false);
    assert_eq!(health.trust(), Trust::Whole);
    for look in 11..20 {
        health.look(&as_look(&clip[9], look), true);
        assert_eq!(health.trust(), Trust::Stale(Check::Frozen));
    }
    assert_eq!(health.status(Check::Frozen), Status::Abnormal);
    health.look(&as_look(&clip[10], 20), true);
    assert_eq!((health.status(Check::Frozen), health.trust()), (Status::Normal, Trust::Whole));
    // This camera repeats itself now and then: as much again is no news.
    for look in 21..28 {
        health.look(&as_look(&clip[10], look), true);
        assert_eq!(health.trust(), Trust::Whole);
    }
}

#[test]
fn the_connection_speaks_for_itself() {
    use CameraState::{AuthFailed, Connecting, Disabled, Online};
    let normal = |n: usize| (n, Online, 250, Some(0.2));
    // Stretches of ten seconds: how many, state, pictures in each, seconds the camera's clock is ahead; then the checks
    // that must be abnormal.
    let cases: &[(&[(usize, CameraState, u32, Option<f64>)], &[Check])] = &[
        (&[normal(10)], &[]),
        (&[normal(10), (3, Connecting, 0, None)], &[]),
        (&[normal(10), (5, Connecting, 0, None)], &[Check::Offline]),
        (&[(5, Connecting, 0, None), normal(1)], &[]),
        (&[normal(10), (1, AuthFailed, 0, None)], &[Check::LoginFailed]),
        (&[normal(10), (1, AuthFailed, 0, None), normal(1)], &[]),
        (&[normal(10), (1, AuthFailed, 0, None), (9, Disabled, 0, None)], &[Check::LoginFailed]),
        (&[normal(10), (4, Online, 60, None)], &[Check::LowFrameRate]),
        (&[normal(10), (4, Online, 125, None)], &[]),
        (&[(10, Online, 50, None)], &[]),
        (&[(10, Online, 20, None)], &[Check::LowFrameRate]),
        (&[normal(3), (4, Online, 250, Some(-11.0))], &[Check::ClockDrift]),
        (&[normal(3), (4, Online, 250, Some(-11.0)), (4, Online, 250, Some(-6.0))], &[Check::ClockDrift]),
        (&[normal(3), (4, Online, 250, Some(-11.0)), (4, Online, 250, Some(4.0))], &[]),
        (&[normal(3), (4, Online, 250, Some(f64::NAN))], &[]),
    ];
    for (stretches, expected) in cases {
        let mut health = Health::new();
        let mut now = 0.0;
        for &(count, state, pictures, ahead_s) in *stretches {
            for _ in 0..count {
                now += 10.0;
                let Captured { wall, media: at, .. } = seconds(now);
                health.link(&Link {
                    at,
                    wall,
                    state,
                    seconds: 10.0,
                    pictures,
                    declared_fps: Some(25.0),
                    ahead_s,
                });
            }
        }
        let abnormal: Vec<_> =
            Check::ALL.into_iter().filter(|c| health.status(*c) == Status::Abnormal).collect();
        assert_eq!(&abnormal, expected, "{stretches:?}");
        assert_eq!(health.trust(), Trust::Whole, "the connection says nothing about the picture");
    }
}

proptest! {
    /// Any size, planes of any length, any bytes, and times that stand still.
    #[test]
    fn no_picture_is_too_odd(
        sizes in prop::collection::vec((0usize..400, 0usize..300, 0usize..3, any::<bool>()), 1..5),
        seed in any::<u64>(),
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut health = Health::new();
        for (look, (width, height, missing, full_range)) in sizes.into_iter().enumerate() {
            let flat = random.bool().then(|| random.u8(..));
            let mut plane = |len: usize| -> Arc<[u8]> {
                let len = len.saturating_sub(missing / 2 * random.usize(0..=len));
                (0..len).map(|_| flat.unwrap_or_else(|| random.u8(..))).collect()
            };
            let chroma = width.div_ceil(2) * height.div_ceil(2);
            let captured = seconds((look / 2) as f64);
            let (y, u, v) = (plane(width * height), plane(chroma), plane(chroma));
            health.look(&Picture { captured, width, height, y, u, v, full_range }, true);
            for (check, hold) in health.report() {
                prop_assert!(hold.value.is_none_or(f32::is_finite), "{check:?}");
            }
        }
    }
}
