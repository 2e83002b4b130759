//! Scenarios as data: pictures (time, boxes) in, stages (time) out.

use std::sync::Arc;
use std::time::Duration;

use gridwatch::config::{Facade, Hours, Scenario, Zone};
use gridwatch::detection::{Appearance, Detection, Findings, Mover, Pattern, ZoneForeground};
use gridwatch::frame::{Captured, Clock};
use gridwatch::geometry::{BBox, Point, Polygon};
use gridwatch::observation::{Observation, Stage};
use gridwatch::scene::{Checkpoint, Scene};
use jiff::civil::DateTime;
use proptest::prelude::*;

fn at(seconds: f64) -> Captured {
    let wall = jiff::Timestamp::from_millisecond(1_795_000_000_000 + (seconds * 1000.0) as i64).unwrap();
    Captured { wall, media: Duration::from_secs_f64(seconds), clock: Clock::Rtcp }
}

fn noon() -> DateTime {
    DateTime::constant(2026, 11, 22, 12, 0, 0, 0)
}

/// A zone over the lower right quarter of the picture, with a rule written as TOML.
fn zone(rule: &str) -> Zone {
    let texts =
        "id = 'test'\nlevel = 'blue'\ntitle = { zh = '', en = '' }\ndescription = { zh = '', en = '' }";
    let scenario: Scenario = toml::from_str(&format!("{texts}\n[rule]\n{rule}")).expect("a scenario");
    let rule = scenario.rule.clone();
    let corners = [[0.5, 0.5], [1.0, 0.5], [1.0, 1.0], [0.5, 1.0]];
    Zone {
        id: "zone".into(),
        name: "zone".into(),
        revision: "1".into(),
        polygon: Polygon::new(corners.map(Point::from).to_vec()).expect("a square"),
        scenario: Arc::new(scenario),
        rule,
        hours: Hours::default(),
        facade: None,
    }
}

/// What is in a stretch of pictures.
#[derive(Clone)]
enum Shows {
    /// Objects: class, score, left, top, right, bottom; moving by the last two per second.
    Objects(Vec<(&'static str, f32, [f32; 4], [f32; 2])>),
    /// Static foreground: covered share, its box; `None`: not settled. With no objects seen.
    Foreground(Option<(f32, [f32; 4])>),
    /// Pictures were not analysed.
    Nobody,
}

fn objects(list: &[(&'static str, [f32; 4])]) -> Shows {
    Shows::Objects(list.iter().map(|&(class, b)| (class, 0.8, b, [0.0, 0.0])).collect())
}

fn nothing() -> Shows {
    Shows::Objects(Vec::new())
}

/// One stretch: until this second, one picture every so many seconds, showing this.
type Stretch = (f64, f64, Shows);

fn pictures(stretches: &[Stretch]) -> Vec<Findings> {
    let mut made = Vec::new();
    let mut time: f64 = 0.0;
    for (until, every, shows) in stretches {
        let start = time;
        while time < *until - 1e-6 {
            let mut findings = Findings {
                captured: at(time),
                size_px: (1280, 720),
                objects: None,
                foreground: Vec::new(),
                movers: None,
            };
            match shows {
                Shows::Objects(list) => {
                    let moved = |&(class, score, b, v): &(&str, f32, [f32; 4], [f32; 2])| {
                        let (dx, dy) = ((time - start) as f32 * v[0], (time - start) as f32 * v[1]);
                        let bbox = BBox { x0: b[0] + dx, y0: b[1] + dy, x1: b[2] + dx, y1: b[3] + dy };
                        Detection::new(class.into(), score, bbox)
                    };
                    findings.objects = Some(list.iter().map(moved).collect());
                }
                Shows::Foreground(seen) => {
                    findings.objects = Some(Vec::new());
                    let (covered, boxes) = seen.map_or((0.0, vec![]), |(c, b)| (c, vec![BBox::from(b)]));
                    let settled = seen.is_some();
                    findings.foreground.push(ZoneForeground { zone: "zone".into(), covered, boxes, settled });
                }
                Shows::Nobody => {}
            }
            made.push(findings);
            time += every;
        }
        time = *until;
    }
    made
}

/// Runs the stretches through one zone and compares the changes of stage, each with its time in seconds (± 1.5 pictures).
fn check(name: &str, rule: &str, stretches: &[Stretch], expected: &[(Stage, f64)]) -> Vec<Observation> {
    let mut scene = Scene::new(&[zone(rule)]);
    let mut said = Vec::new();
    for findings in pictures(stretches) {
        let new = scene.observe(&findings, noon());
        for o in &new {
            assert!(
                o.dwell_s <= o.at.media.as_secs_f64() + 1e-6,
                "{name}: dwell {} of {:?}",
                o.dwell_s,
                o.at.media
            );
        }
        said.extend(new);
    }
    let mut changes: Vec<(Stage, f64)> = said.iter().map(|o| (o.stage, o.at.media.as_secs_f64())).collect();
    changes.dedup_by_key(|c| c.0);
    let tolerance = stretches.iter().map(|s| s.1).fold(0.0, f64::max) * 1.5 + 0.01;
    let agree = changes.len() == expected.len()
        && changes.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() <= tolerance);
    assert!(agree, "{name}: expected {expected:?}, got {changes:?}");
    said
}

const LANE: &str = "kind = 'obstruction'\nclasses = ['car', 'truck']\nany_object = true\ncoverage_min = 0.1\n\
                    suspect_s = 20\ndwell_s = 120\nclear_s = 15";
const STALL: &str = "kind = 'presence'\nclasses = ['cart']\nsuspect_s = 30\ndwell_s = 90\nclear_s = 20";
const CAR: [f32; 4] = [0.6, 0.6, 0.9, 0.9];
const CART: [f32; 4] = [0.7, 0.7, 0.8, 0.85];
use Stage::{Cleared, Confirmed, Suspected};

#[test]
fn a_lane_is_blocked_and_freed() {
    let car = || objects(&[("car", CAR)]);
    let story = [(Suspected, 20.0), (Confirmed, 120.0), (Cleared, 215.0)];
    check("two pictures a second", LANE, &[(200.0, 0.5, car()), (240.0, 0.5, nothing())], &story);
    let slow = [(Suspected, 20.0), (Confirmed, 120.0), (Cleared, 220.0)];
    check("a picture in ten seconds", LANE, &[(200.0, 10.0, car()), (260.0, 10.0, nothing())], &slow);
    check("25 pictures a second", LANE, &[(30.0, 0.04, car())], &[(Suspected, 20.0)]);
    let shuffled = || objects(&[("car", [0.55, 0.6, 0.85, 0.9])]);
    let shuffles: Vec<Stretch> =
        (1..=10).map(|i| (f64::from(i) * 20.0, 1.0, if i % 2 == 0 { car() } else { shuffled() })).collect();
    check("it shuffles", LANE, &shuffles, &[(Suspected, 20.0), (Confirmed, 120.0)]);
    let truck = || objects(&[("truck", CAR)]);
    let wavers: Vec<Stretch> =
        (1..=40).map(|i| (f64::from(i) * 5.0, 1.0, if i % 2 == 0 { car() } else { truck() })).collect();
    check("car, truck, car", LANE, &wavers, &[(Suspected, 20.0), (Confirmed, 120.0)]);
    check(
        "hidden for ten seconds, twice",
        LANE,
        &[
            (50.0, 1.0, car()),
            (60.0, 1.0, nothing()),
            (100.0, 1.0, car()),
            (110.0, 1.0, nothing()),
            (200.0, 1.0, car()),
        ],
        &[(Suspected, 20.0), (Confirmed, 120.0)],
    );
    check(
        "nobody looked for five minutes: neither dwell nor clearance",
        LANE,
        &[(50.0, 1.0, car()), (350.0, 1.0, Shows::Nobody), (450.0, 1.0, car())],
        &[(Suspected, 20.0), (Confirmed, 350.0)],
    );
    check(
        "nobody looked for five minutes, and such gaps never count: neither dwell nor clearance",
        &format!("{LANE}\nunseen_max_s = 0"),
        &[(50.0, 1.0, car()), (350.0, 1.0, Shows::Nobody), (450.0, 1.0, car())],
        &[(Suspected, 20.0), (Confirmed, 420.0)],
    );
}

/// What a visit shows: objects with the grey that they are, and static foreground.
#[derive(Clone, Copy)]
struct Visit<'a> {
    objects: &'a [(&'a str, [f32; 4], u8)],
    foreground: Option<[f32; 4]>,
    /// At the first look nothing of it is seen.
    late: bool,
}

const EMPTY: Visit = Visit { objects: &[], foreground: None, late: false };

/// Visits with so many looks, one in two seconds: what is said, with its second, its dwell and the unseen part of that.
fn visits(rule: &str, every_s: f64, looks: u32, shows: &[Visit]) -> Vec<(Stage, i64, i64, i64)> {
    let mut scene = Scene::new(&[zone(rule)]);
    let mut said = Vec::new();
    for (n, visit) in shows.iter().enumerate() {
        for look in 0..looks {
            let seen = !(visit.late && look == 0);
            let object = |&(class, bbox, grey): &(&str, [f32; 4], u8)| Detection {
                looks: Some(Appearance { fields: [[grey, 128, 128]; 9], pattern: None }),
                ..Detection::new(class.into(), 0.8, bbox.into())
            };
            let boxes: Vec<BBox> = visit.foreground.filter(|_| seen).map(BBox::from).into_iter().collect();
            let covered = 0.3 * boxes.len() as f32;
            let findings = Findings {
                captured: at(n as f64 * every_s + 2.0 * f64::from(look)),
                size_px: (1280, 720),
                objects: Some(visit.objects.iter().filter(|_| seen).map(object).collect()),
                foreground: vec![ZoneForeground { zone: "zone".into(), covered, boxes, settled: true }],
                movers: None,
            };
            said.extend(scene.observe(&findings, noon()));
        }
    }
    let s = |seconds: f64| seconds.round() as i64;
    let figures = |o: Observation| (o.stage, s(o.at.media.as_secs_f64()), s(o.dwell_s), s(o.unseen_s));
    let mut figures: Vec<_> = said.into_iter().map(figures).collect();
    figures.dedup_by_key(|said| said.0);
    figures
}

#[test]
fn what_stands_at_two_visits_has_stood_in_between() {
    let shows = |objects| Visit { objects, foreground: None, late: false };
    let car = shows(&[("car", CAR, 120)]);
    let clouds = shows(&[("truck", CAR, 140)]);
    let beside = shows(&[("car", [0.6, 0.6, 0.9, 0.9], 120), ("person", [0.55, 0.5, 0.6, 0.75], 60)]);
    let late = Visit { late: true, ..car };
    let parking = &PARKING.replace("dwell_s = 30", "dwell_s = 100");
    // Twenty minutes apart.
    let second = [(Confirmed, 1200, 1200, 1192)];
    for rule in [LANE, parking] {
        assert_eq!(visits(rule, 1200.0, 5, &[car, car]), second, "{rule}");
        assert_eq!(visits(rule, 1200.0, 5, &[car, clouds]), second, "in other light: {rule}");
        assert_eq!(visits(rule, 1200.0, 5, &[car, beside]), second, "somebody stands beside it: {rule}");
        assert_eq!(
            visits(rule, 1200.0, 1, &[car, car]),
            [(Confirmed, 1200, 1200, 1200)],
            "one look each: {rule}"
        );
        assert_eq!(visits(rule, 1200.0, 5, &[car, late]), [(Confirmed, 1202, 1202, 1192)], "{rule}");
        // Gaps too long to know add nothing, and take nothing away.
        let short = format!("{rule}\nunseen_max_s = 600");
        assert_eq!(visits(&short, 1200.0, 5, &[car; 3]).iter().filter(|said| said.0 == Confirmed).count(), 0);
        // Gone at one visit, it begins anew at the next.
        let again = [(Confirmed, 3600, 1200, 1192)];
        let came_back = visits(rule, 1200.0, 5, &[car, EMPTY, car, car]);
        assert_eq!(
            came_back.into_iter().filter(|said| said.0 == Confirmed).collect::<Vec<_>>(),
            again,
            "{rule}"
        );
        // It stays for five visits, and is gone at two.
        let story = [[car; 5].as_slice(), &[EMPTY; 2]].concat();
        let said = visits(rule, 300.0, 5, &story);
        assert_eq!(
            said.iter().map(|said| said.0).collect::<Vec<_>>(),
            [Confirmed, Cleared],
            "{rule}: {said:?}"
        );
        assert!(said[1].1 <= 1800, "both looks at an empty place count: {said:?}");
    }
    let heap = Visit { foreground: Some([0.6, 0.7, 0.8, 0.9]), ..EMPTY };
    assert_eq!(visits(LANE, 1200.0, 5, &[heap, heap]), second, "cartons");
    let cart = shows(&[("cart", CART, 90)]);
    assert_eq!(visits(STALL, 1200.0, 5, &[cart, cart]), second, "any place in the zone will do");
    let rule = "kind = 'presence'\nclasses = ['stall']\nbeside = ['person']\nany_object = true\nsuspect_s = 10\n\
                dwell_s = 60\nclear_s = 10\nshift_max = 0.5";
    let vendor = ("person", [0.62, 0.55, 0.66, 0.77], 70);
    let mat = Visit { objects: &[vendor], foreground: Some([0.6, 0.75, 0.75, 0.85]), late: false };
    let said = visits(rule, 1200.0, 5, &[mat, mat, mat]);
    assert!(said.iter().any(|said| said.0 == Confirmed && said.3 > 1000), "a mat and its vendor: {said:?}");
}

#[test]
fn another_at_the_next_visit_has_its_own_time() {
    let shows = |objects| Visit { objects, foreground: None, late: false };
    let first = shows(&[("car", CAR, 60)]);
    let second = shows(&[("car", CAR, 120)]);
    let third = shows(&[("truck", CAR, 200)]);
    let next_to_it = shows(&[("car", [0.5, 0.6, 0.8, 0.9], 60)]);
    let confirmed = |rule: &str, shows: &[Visit]| -> Vec<_> {
        let said = [5, 1].into_iter().flat_map(|looks| visits(rule, 1200.0, looks, shows));
        said.filter(|said| said.0 == Confirmed).collect()
    };
    let parking = &PARKING.replace("dwell_s = 30", "dwell_s = 100");
    for rule in [LANE, parking] {
        assert_eq!(confirmed(rule, &[first, second, third, first, second]), [], "{rule}");
        assert_eq!(confirmed(rule, &[first, next_to_it, first, next_to_it]), [], "{rule}");
        // The second one stays.
        let stays = [(Confirmed, 2400, 1200, 1192), (Confirmed, 2400, 1200, 1200)];
        assert_eq!(confirmed(rule, &[first, second, second]), stays, "{rule}");
    }
    let heap = |foreground| Visit { foreground: Some(foreground), ..EMPTY };
    let heaps = [heap([0.6, 0.7, 0.8, 0.9]), heap([0.75, 0.6, 0.95, 0.8])];
    assert_eq!(confirmed(LANE, &heaps.repeat(3)), [], "cartons at another place");
    let cart = |bbox| [("cart", bbox, 90)];
    let (here, there) = (cart(CART), cart([0.55, 0.55, 0.65, 0.7]));
    assert_eq!(confirmed(STALL, &[shows(&here), shows(&there), shows(&here)]), []);
}

#[test]
fn a_lane_is_not_blocked() {
    let passing = |class| Shows::Objects(vec![(class, 0.8, [0.4, 0.6, 0.6, 0.8], [0.08, 0.0])]);
    check("a car passes", LANE, &[(5.0, 0.2, passing("car")), (200.0, 1.0, nothing())], &[]);
    let people = objects(&[("person", CAR), ("person", CART)]);
    check("people stand and talk", LANE, &[(300.0, 1.0, people)], &[]);
    let queue: Vec<Stretch> = (1..=60).map(|i| (f64::from(i) * 5.0, 0.2, passing("car"))).collect();
    check("a queue rolls through", LANE, &queue, &[]);
    let brief = objects(&[("car", CAR)]);
    check(
        "loading for a minute",
        LANE,
        &[(60.0, 1.0, brief), (200.0, 1.0, nothing())],
        &[(Suspected, 20.0), (Cleared, 75.0)],
    );
    check("a corner only", LANE, &[(200.0, 1.0, objects(&[("car", [0.3, 0.3, 0.55, 0.55])]))], &[]);
}

const PARKING: &str = "kind = 'presence'\nclasses = ['car', 'truck']\nsuspect_s = 10\ndwell_s = 30\nclear_s = 10\n\
                       shift_max = 0.4";

/// Objects of 0.2 by 0.2 with their left edge, moving by so much per second.
fn cars(list: &[(f32, f32)]) -> Shows {
    let car = |&(x, v): &(f32, f32)| ("car", 0.8, [x, 0.7, x + 0.2, 0.9], [v, 0.0]);
    Shows::Objects(list.iter().map(car).collect())
}

#[test]
fn a_vehicle_parks() {
    let parked = [(Suspected, 10.0), (Confirmed, 30.0)];
    check("ten pictures a second", PARKING, &[(45.0, 0.1, cars(&[(0.6, 0.0)]))], &parked);
    check("a picture in two seconds", PARKING, &[(60.0, 2.0, cars(&[(0.6, 0.0)]))], &parked);
    check(
        "a picture in ten",
        PARKING,
        &[(90.0, 10.0, cars(&[(0.6, 0.0)]))],
        &[(Suspected, 10.0), (Confirmed, 30.0)],
    );
    check(
        "traffic passes in front of it",
        PARKING,
        &[
            (12.0, 0.2, cars(&[(0.6, 0.0)])),
            (14.0, 0.2, cars(&[(0.5, 0.2)])),
            (20.0, 0.2, cars(&[(0.6, 0.0)])),
            (22.0, 0.2, cars(&[(0.5, 0.2)])),
            (45.0, 0.2, cars(&[(0.6, 0.0)])),
        ],
        &parked,
    );
    check(
        "found in two pictures of three",
        PARKING,
        &(0..80)
            .map(|i| {
                let shown = if i % 3 == 2 { nothing() } else { cars(&[(0.6, 0.0)]) };
                (f64::from(i + 1) * 0.5, 0.5, shown)
            })
            .collect::<Vec<Stretch>>(),
        &parked,
    );
    let gone = [(Suspected, 10.0), (Confirmed, 30.0), (Cleared, 49.3)];
    check(
        "it drives off",
        PARKING,
        &[(38.0, 0.2, cars(&[(0.6, 0.0)])), (40.0, 0.2, cars(&[(0.6, 0.1)])), (60.0, 0.2, nothing())],
        &gone,
    );
}

#[test]
fn traffic_does_not_park() {
    check("it crawls", PARKING, &[(60.0, 0.1, cars(&[(0.5, 0.008)]))], &[]);
    let passing: Vec<Stretch> = (1..=40)
        .flat_map(|i| {
            let start = f64::from(i) * 3.0;
            [(start - 1.0, 0.1, cars(&[(0.4, 0.25)])), (start, 0.1, nothing())]
        })
        .collect();
    check("one after another through the same place", PARKING, &passing, &[]);
    // Every 15 s the queue moves up by a car's length; each stands where the one before it stood.
    let queue: Vec<Stretch> = (1..=8)
        .flat_map(|i| {
            let start = f64::from(i) * 15.0;
            [
                (start - 2.5, 0.1, cars(&[(0.35, 0.0), (0.6, 0.0)])),
                (start, 0.1, cars(&[(0.35, 0.1), (0.6, 0.1)])),
            ]
        })
        .collect();
    let mut scene = Scene::new(&[zone(PARKING)]);
    for findings in pictures(&queue) {
        for said in scene.observe(&findings, noon()) {
            assert_ne!(said.stage, Confirmed, "a queue that moves up at {:?}", said.at.media);
        }
    }
    check(
        "nobody saw it most of the time",
        PARKING,
        &[(3.0, 0.1, cars(&[(0.6, 0.0)])), (8.0, 0.1, nothing()), (9.0, 0.1, cars(&[(0.6, 0.0)]))],
        &[],
    );
}

#[test]
fn each_vehicle_has_its_own_clock() {
    let mut scene = Scene::new(&[zone(PARKING)]);
    // The second one comes to stand after 20 s; a box within the first one's is the first one.
    let nested = ("car", 0.6, [0.52, 0.76, 0.66, 0.9], [0.0, 0.0]);
    let mut both = cars(&[(0.5, 0.0), (0.75, 0.0)]);
    if let Shows::Objects(list) = &mut both {
        list.push(nested);
    }
    let mut counts = Vec::new();
    for findings in pictures(&[(20.0, 0.5, cars(&[(0.5, 0.0)])), (60.0, 0.5, both)]) {
        scene.observe(&findings, noon());
        let standing = scene.states()[0].standing.clone();
        let at_s = findings.captured.media.as_secs_f64();
        if counts.last().is_none_or(|(_, ids): &(f64, Vec<u32>)| ids.len() != standing.len()) {
            counts.push((at_s, standing.iter().map(|(id, _)| *id).collect()));
        }
    }
    let times: Vec<f64> = counts.iter().map(|(at_s, _)| *at_s).collect();
    assert_eq!(counts.iter().map(|(_, ids)| ids.clone()).collect::<Vec<_>>(), [vec![], vec![1], vec![1, 2]]);
    assert!((times[1] - 30.0).abs() <= 1.0 && (times[2] - 50.0).abs() <= 1.0, "{times:?}");
}

#[test]
fn a_queue_that_halts_is_no_blockage_but_who_shuffles_is_one() {
    let lane = &LANE.replace("coverage_min = 0.1", "coverage_min = 0.05");
    // Every 22.5 s the queue moves up by a car's length; each halts where the one before it halted.
    let queue: Vec<Stretch> = (1..=16)
        .flat_map(|i| {
            let start = f64::from(i) * 22.5;
            [
                (start - 2.5, 0.2, cars(&[(0.35, 0.0), (0.6, 0.0)])),
                (start, 0.2, cars(&[(0.35, 0.1), (0.6, 0.1)])),
            ]
        })
        .collect();
    let mut scene = Scene::new(&[zone(lane)]);
    for findings in pictures(&queue) {
        for said in scene.observe(&findings, noon()) {
            assert_ne!(said.stage, Confirmed, "a queue that halts, at {:?}", said.at.media);
        }
    }
    // Seen once in two seconds, all alike: whoever is seen between the places has left one and comes to no other.
    let step = |x: f32| objects(&[("car", [x, 0.6, x + 0.17, 0.8]), ("car", [x + 0.23, 0.6, x + 0.4, 0.8])]);
    let rarely: Vec<Stretch> = (1..=12)
        .flat_map(|i| [(f64::from(i) * 30.0 - 2.0, 2.0, step(0.55)), (f64::from(i) * 30.0, 2.0, step(0.65))])
        .collect();
    let said = stages(lane, pictures(&rarely));
    assert!(said.iter().all(|(stage, _)| *stage != Confirmed), "a queue of one kind of cars: {said:?}");
    let shuffles: Vec<Stretch> = (0..12)
        .flat_map(|i| {
            let start = f64::from(i) * 24.0;
            [
                (start + 10.0, 0.2, cars(&[(0.52, 0.0)])),
                (start + 12.0, 0.2, cars(&[(0.52, 0.1)])),
                (start + 22.0, 0.2, cars(&[(0.72, 0.0)])),
                (start + 24.0, 0.2, cars(&[(0.72, -0.1)])),
            ]
        })
        .collect();
    check("it shuffles to and fro", lane, &shuffles, &[(Suspected, 20.2), (Confirmed, 120.0)]);
}

/// The stages that these pictures lead to, each with its second.
fn stages(rule: &str, pictures: Vec<Findings>) -> Vec<(Stage, u64)> {
    let mut scene = Scene::new(&[zone(rule)]);
    let said = pictures.iter().flat_map(|findings| scene.observe(findings, noon()));
    let mut stages: Vec<_> = said.map(|o| (o.stage, o.at.media.as_secs())).collect();
    stages.dedup_by_key(|(stage, _)| *stage);
    stages
}

#[test]
fn another_car_in_the_same_place_has_its_own_time() {
    // A picture in two seconds; every half minute another one halts just where the one before it halted.
    let queue = |greys: &[u8]| {
        let mut pictures = pictures(&[(240.0, 2.0, objects(&[("car", CAR)]))]);
        for findings in &mut pictures {
            let grey = greys[findings.captured.media.as_secs() as usize / 30 % greys.len()];
            for object in findings.objects.iter_mut().flatten() {
                object.looks = Some(Appearance { fields: [[grey, 128, 128]; 9], pattern: None });
            }
        }
        pictures
    };
    let same = stages(LANE, queue(&[90, 100]));
    assert_eq!(same, [(Suspected, 20), (Confirmed, 120)], "clouds");
    let others = stages(LANE, queue(&[60, 160, 110]));
    assert!(others.iter().all(|(stage, _)| *stage != Confirmed), "a queue: {others:?}");
    // All of one grey: then the light and dark parts tell, and a passer-by who hides them for a moment is none of them.
    let patterned = |who: &dyn Fn(u64) -> u64| {
        let mut pictures = queue(&[90]);
        for findings in &mut pictures {
            let mut chance = fastrand::Rng::with_seed(who(findings.captured.media.as_secs()));
            let pattern = Pattern(std::array::from_fn(|_| chance.u8(40..200)));
            for object in findings.objects.iter_mut().flatten() {
                object.looks = Some(Appearance { pattern: Some(pattern), ..object.looks.expect("grey") });
            }
        }
        stages(LANE, pictures)
    };
    let same = patterned(&|second| if second % 30 == 20 { second } else { 1 });
    assert_eq!(same, [(Suspected, 22), (Confirmed, 120)], "people pass");
    let others = patterned(&|second| second / 30);
    assert!(others.iter().all(|(stage, _)| *stage != Confirmed), "a grey queue: {others:?}");
    let mut relit = queue(&[90, 90, 200, 200, 200, 200, 200, 200]);
    for findings in relit.iter_mut().filter(|f| (60..66).contains(&f.captured.media.as_secs())) {
        let light = ZoneForeground { zone: "zone".into(), covered: 0.0, boxes: vec![], settled: false };
        findings.foreground.push(light);
    }
    assert_eq!(stages(LANE, relit), [(Suspected, 20), (Confirmed, 120)], "the infrared lamp switches on");

    // Two cars that are not far from each other in colour: enough when one was seen to drive off, or came with its lamps on.
    let alternating = |change: &dyn Fn(u64, &mut Findings)| {
        let mut pictures = pictures(&[(240.0, 2.0, objects(&[("car", CAR)]))]);
        for findings in &mut pictures {
            let second = findings.captured.media.as_secs();
            let red = if second / 30 % 2 == 0 { 134 } else { 160 };
            for object in findings.objects.iter_mut().flatten() {
                object.looks = Some(Appearance { fields: [[90, 128, red]; 9], pattern: None });
            }
            change(second % 30, findings);
        }
        stages(LANE, pictures)
    };
    let unmoved = alternating(&|_, _| ());
    assert_eq!(unmoved, [(Suspected, 20), (Confirmed, 120)], "who passes before it colours it, too");
    let moves_up = alternating(&|second, findings| {
        for object in findings.objects.iter_mut().flatten().filter(|_| second >= 26) {
            let shift = 0.03 * (second - 24) as f32;
            (object.bbox.x0, object.bbox.x1) = (object.bbox.x0 + shift, object.bbox.x1 + shift);
        }
    });
    assert!(moves_up.iter().all(|(stage, _)| *stage != Confirmed), "a queue moves up: {moves_up:?}");
    let dazzles = alternating(&|second, findings| {
        let settled = (4..28).contains(&second);
        findings.foreground.push(ZoneForeground {
            zone: "zone".into(),
            covered: 0.0,
            boxes: vec![],
            settled,
        });
    });
    assert!(dazzles.iter().all(|(stage, _)| *stage != Confirmed), "a queue with lamps: {dazzles:?}");
}

#[test]
fn a_bicycle_in_the_corner_makes_the_van_no_older() {
    let bicycle = ("bicycle", [0.95, 0.9, 0.99, 0.99]);
    let rule = LANE.replace("['car', 'truck']", "['car', 'truck', 'bicycle']");
    let story = [(100.0, 1.0, objects(&[bicycle])), (300.0, 1.0, objects(&[bicycle, ("car", CAR)]))];
    let said = stages(&rule, pictures(&story));
    assert_eq!(said, [(Suspected, 120), (Confirmed, 220)]);
}

#[test]
fn goods_on_the_ground_need_somebody_who_stays_beside_them() {
    const MAT: [f32; 4] = [0.6, 0.75, 0.75, 0.85];
    const VENDOR: [f32; 4] = [0.62, 0.55, 0.66, 0.77];
    let rule = "kind = 'presence'\nclasses = ['stall']\nbeside = ['person']\nany_object = true\nsuspect_s = 10\n\
                dwell_s = 60\nclear_s = 10\nshift_max = 0.5";
    // A mat from 20 to 150 s, and somebody where `person` says.
    let scored = |mat: [f32; 4], score: f32, person: &dyn Fn(f64) -> Option<[f32; 4]>| {
        let mut pictures = pictures(&[(200.0, 2.0, nothing())]);
        for findings in &mut pictures {
            let at_s = findings.captured.media.as_secs_f64();
            let boxes = if (24.0..150.0).contains(&at_s) { vec![BBox::from(mat)] } else { vec![] };
            let covered = 0.05 * boxes.len() as f32;
            findings.foreground = vec![ZoneForeground { zone: "zone".into(), covered, boxes, settled: true }];
            let seen = person(at_s).map(|b| Detection::new("person".into(), score, BBox::from(b)));
            findings.objects = Some(seen.into_iter().collect());
        }
        stages(rule, pictures)
    };
    let street = |mat: [f32; 4], person: &dyn Fn(f64) -> Option<[f32; 4]>| scored(mat, 0.5, person);
    let vendor = |at_s: f64| (20.0..152.0).contains(&at_s).then_some(VENDOR);
    assert_eq!(street(MAT, &vendor), [(Suspected, 32), (Confirmed, 82), (Cleared, 160)], "plain");
    // Customers hide the vendor, the detector misses him, he goes for lunch once he has sold for a while.
    let often = |at_s: f64| vendor(at_s).filter(|_| !(at_s as u64 / 2).is_multiple_of(3) && at_s < 120.0);
    assert_eq!(
        street(MAT, &often),
        [(Suspected, 32), (Confirmed, 82), (Cleared, 160)],
        "seen in two of three"
    );
    let walks = |at_s: f64| {
        let x = 0.5 + 0.1 * (at_s as f32 / 2.0 % 5.0);
        Some([x, 0.55, x + 0.04, 0.77])
    };
    assert_eq!(street(MAT, &walks), [], "people walk by");
    assert_eq!(street(MAT, &|_| None), [], "nobody");
    let buys = |at_s: f64| (60.0..75.0).contains(&at_s).then_some(VENDOR);
    let brief = street(MAT, &buys);
    assert!(brief.iter().all(|(stage, _)| *stage != Confirmed), "somebody looks at what was left: {brief:?}");
    assert_eq!(scored(MAT, 0.4, &vendor), [], "a post that looks a little like somebody");
    assert_eq!(street([0.62, 0.72, 0.64, 0.8], &vendor), [], "luggage");
    assert_eq!(street([0.625, 0.57, 0.658, 0.76], &vendor), [], "the vendor's own outline");
}

#[test]
fn a_stall_that_came_was_brought_and_one_that_was_there_must_be_attended() {
    // Taller than the zone is deep: it stands in the zone with its base only.
    const TALL: [f32; 4] = [0.6, 0.2, 0.75, 0.65];
    const VENDOR: [f32; 4] = [0.76, 0.35, 0.8, 0.62];
    let rule = "kind = 'presence'\nclasses = ['stall', 'tricycle']\nalone = ['stall']\nbeside = ['person']\n\
                any_object = true\nsuspect_s = 10\ndwell_s = 60\nclear_s = 10\nshift_max = 0.5\nscore_min = 0.5";
    // Something from `from_s` to `to_s`; whether the background shows that it came; somebody's score where he stands.
    type Person<'a> = &'a dyn Fn(f64) -> Option<f32>;
    let street = |class: &str, bbox: [f32; 4], (from_s, to_s): (f64, f64), came: bool, person: Person| {
        let mut pictures = pictures(&[(260.0, 2.0, nothing())]);
        for findings in &mut pictures {
            let at_s = findings.captured.media.as_secs_f64();
            let there = (from_s..to_s).contains(&at_s);
            let shows = came && at_s >= from_s + 4.0 && there;
            let boxes: Vec<BBox> = shows.then_some(BBox { y0: 0.5, ..bbox.into() }).into_iter().collect();
            let covered = 0.05 * boxes.len() as f32;
            findings.foreground = vec![ZoneForeground { zone: "zone".into(), covered, boxes, settled: true }];
            let thing = there.then(|| Detection::new(class.into(), 0.7, bbox.into()));
            let somebody = person(at_s).map(|score| Detection::new("person".into(), score, VENDOR.into()));
            findings.objects = Some(thing.into_iter().chain(somebody).collect());
        }
        let said = stages(rule, pictures);
        said.iter().find(|(stage, _)| *stage == Confirmed).map(|(_, second)| *second)
    };
    let (came, all_along) = ((20.0, 220.0), (0.0, 260.0));
    let once = |at_s: f64| (30.0..44.0).contains(&at_s).then_some(0.6);
    let often = |at_s: f64| (at_s % 40.0 < 24.0).then_some(0.6);
    let nobody = |_: f64| None;
    let stall = |when, came, person: Person| street("stall", TALL, when, came, person);
    assert_eq!(stall(came, true, &|_| Some(0.6)), Some(80), "attended");
    assert_eq!(stall(came, true, &|_| Some(0.35)), Some(80), "its own roof hides most of the vendor");
    assert_eq!(stall(came, true, &once), Some(80), "the vendor was seen when he came");
    assert_eq!(stall(came, true, &nobody), Some(140), "nobody was ever seen");
    assert_eq!(stall((20.0, 70.0), true, &often), None, "it halts");
    assert_eq!(stall(all_along, false, &nobody), None, "abandoned");
    assert_eq!(stall(all_along, false, &often), None, "abandoned, and people stop there");
    assert_eq!(
        stall(all_along, false, &|_| Some(0.35)),
        None,
        "abandoned, and one of its posts looks like somebody"
    );
    assert!(stall(all_along, false, &|_| Some(0.6)).is_some(), "gridwatch was started when it was there");
    let tricycle = |person: Person| street("tricycle", TALL, came, true, person);
    assert_eq!(tricycle(&nobody), None, "a parked tricycle");
    assert_eq!(tricycle(&once), None, "its rider got off");
    assert_eq!(tricycle(&|_| Some(0.6)), Some(80), "sold from");
    // Its roof hides the zone, but it stands in front of it.
    assert_eq!(street("stall", [0.3, 0.45, 0.65, 0.9], came, true, &|_| Some(0.6)), None, "beside the zone");
}

#[test]
fn what_no_detector_knows_blocks_too() {
    let heap = || Shows::Foreground(Some((0.3, [0.6, 0.7, 0.8, 0.9])));
    let clear = || Shows::Foreground(Some((0.0, [0.6, 0.7, 0.8, 0.9])));
    let story = [(Suspected, 20.0), (Confirmed, 120.0), (Cleared, 215.5)];
    let said = check("cartons", LANE, &[(200.0, 1.0, heap()), (240.0, 1.0, clear())], &story);
    assert_eq!(said[1].objects[0].class.as_str(), "unknown");
    assert!((said[1].coverage - 0.3).abs() < 1e-6);
    check(
        "the infrared lamp switches on: nobody knows, nothing is cleared",
        LANE,
        &[(150.0, 1.0, heap()), (200.0, 1.0, Shows::Foreground(None)), (240.0, 1.0, heap())],
        &[(Suspected, 20.0), (Confirmed, 120.0)],
    );
    let only_classes = LANE.replace("any_object = true", "any_object = false");
    check("foreground does not count here", &only_classes, &[(300.0, 1.0, heap())], &[]);
}

#[test]
fn a_stall_stays() {
    let cart = || objects(&[("cart", CART)]);
    let story = [(Suspected, 30.0), (Confirmed, 90.0), (Cleared, 141.0)];
    check("plain", STALL, &[(120.0, 1.0, cart()), (160.0, 1.0, nothing())], &story);
    let moved = || objects(&[("cart", [0.55, 0.55, 0.65, 0.7])]);
    let hops: Vec<Stretch> =
        (1..=6).map(|i| (f64::from(i) * 20.0, 1.0, if i % 2 == 0 { cart() } else { moved() })).collect();
    check("anywhere in the zone", STALL, &hops, &[(Suspected, 30.0), (Confirmed, 90.0)]);
    let same_place = format!("{STALL}\nshift_max = 0.5");
    let hops_once: Vec<Stretch> = vec![
        (25.0, 1.0, cart()),
        (50.0, 1.0, moved()),
        (75.0, 1.0, objects(&[("cart", [0.85, 0.8, 0.95, 0.95])])),
    ];
    check("the same place is asked for", &same_place, &hops_once, &[]);
    let attended = format!("{STALL}\nbeside = ['person']");
    check("nobody beside it", &attended, &[(120.0, 1.0, cart())], &[]);
    let seller = objects(&[("cart", CART), ("person", [0.81, 0.6, 0.86, 0.85])]);
    check("a seller beside it", &attended, &[(120.0, 1.0, seller)], &[(Suspected, 30.0), (Confirmed, 90.0)]);
    let far = objects(&[("cart", CART), ("person", [0.1, 0.6, 0.15, 0.85])]);
    check("a passer-by far away", &attended, &[(120.0, 1.0, far)], &[]);
    let exempt = format!("{STALL}\nexempt = ['fire_engine']");
    let engine = objects(&[("cart", CART), ("fire_engine", CAR)]);
    check("under something exempt", &exempt, &[(120.0, 1.0, engine)], &[]);
    let flicker: Vec<Stretch> =
        (1..=100).map(|i| (f64::from(i) * 5.0, 1.0, if i % 5 == 0 { cart() } else { nothing() })).collect();
    check("seen a fifth of the time", STALL, &flicker, &[]);
    let weak = Shows::Objects(vec![("cart", 0.4, CART, [0.0, 0.0])]);
    check("a weak score", STALL, &[(200.0, 1.0, weak)], &[]);
}

#[test]
fn statements_are_few_while_nothing_changes() {
    let said = check(
        "ten minutes",
        LANE,
        &[(600.0, 0.2, objects(&[("car", CAR)]))],
        &[(Suspected, 20.0), (Confirmed, 120.0)],
    );
    assert!(said.len() <= 2 + 8, "{} statements", said.len());
    let grows = [
        (200.0, 1.0, Shows::Foreground(Some((0.3, CAR)))),
        (230.0, 1.0, Shows::Foreground(Some((0.6, CAR)))),
    ];
    let said = check("it grows", LANE, &grows, &[(Suspected, 20.0), (Confirmed, 120.0)]);
    assert!(said.iter().any(|o| o.coverage > 0.5 && o.at.media.as_secs() == 200), "{said:?}");
}

#[test]
fn hours_end_what_they_began() {
    let mut zone = zone(STALL);
    zone.hours = Hours { spans: vec![(0x7f, 8 * 60, 18 * 60)] };
    let mut scene = Scene::new(&[zone]);
    let mut stages = Vec::new();
    let (day, evening) = (noon(), DateTime::constant(2026, 11, 22, 18, 0, 0, 0));
    for findings in pictures(&[(200.0, 1.0, objects(&[("cart", CART)]))]) {
        let local = if findings.captured.media.as_secs() < 100 { day } else { evening };
        stages.extend(scene.observe(&findings, local).into_iter().map(|o| (o.stage, o.at.media.as_secs())));
    }
    assert_eq!(stages, [(Suspected, 30), (Confirmed, 90), (Cleared, 100)]);
    assert_eq!(scene.needs(evening), gridwatch::scene::Needs::default());
    assert!(scene.needs(day).objects_every_s.is_some());
}

/// Something stays for a minute, gridwatch is away for `down_s`, and something is there again (`after`) for 200 s.
fn check_restart(name: &str, rule: &str, after: &Shows, down_s: f64, expected: &[(Stage, i64)]) {
    let mut before = Scene::new(&[zone(rule)]);
    for findings in pictures(&[(60.0, 1.0, objects(&[("cart", CART)]))]) {
        before.observe(&findings, noon());
    }
    let saved = serde_json::to_string(&before.checkpoint()).unwrap();
    let saved: Option<Checkpoint> = serde_json::from_str(&saved).unwrap();
    let saved = saved.expect("something stays");
    let Some(media_now) = saved.media_at(at(59.0 + down_s).wall) else {
        return assert!(expected.is_empty(), "{name}");
    };
    let mut scene = Scene::resume(&[zone(rule)], saved);
    assert_eq!(scene.states()[0].dwell_s.round() as i64, 59, "{name}");
    let mut stages = Vec::new();
    for mut findings in pictures(&[(200.0, 1.0, after.clone())]) {
        findings.captured = at((findings.captured.media + media_now).as_secs_f64());
        let said = scene.observe(&findings, noon());
        stages.extend(said.into_iter().map(|o| (o.stage, o.dwell_s.round() as i64)));
    }
    stages.truncate(expected.len().max(1));
    assert_eq!(stages, expected, "{name}");
}

#[test]
fn a_restart_neither_resets_nor_fakes() {
    let cart = objects(&[("cart", CART)]);
    let elsewhere = objects(&[("cart", [0.85, 0.7, 0.95, 0.85])]);
    let moored = &format!("{STALL}\nshift_max = 0.5");
    // (59 s of dwell before, confirmed at 90.)
    check_restart("a moment", STALL, &cart, 3.0, &[(Confirmed, 90)]);
    check_restart("a moment, and it may not move", moored, &cart, 3.0, &[(Confirmed, 90)]);
    check_restart("another one stands there", moored, &elsewhere, 3.0, &[(Confirmed, 90)]);
    check_restart("five minutes", moored, &cart, 300.0, &[(Confirmed, 359)]);
    check_restart("it is gone", moored, &objects(&[]), 3.0, &[(Cleared, 59)]);
    check_restart("an hour", STALL, &cart, 3600.0, &[]);
}

#[test]
fn needs_follow_the_matter() {
    let mut scene = Scene::new(&[zone(LANE)]);
    let idle = scene.needs(noon());
    assert!(idle.foreground && !idle.full_rate && !idle.suspected);
    for findings in pictures(&[(30.0, 1.0, objects(&[("car", CAR)]))]) {
        scene.observe(&findings, noon());
    }
    let suspected = scene.needs(noon());
    assert!(
        suspected.suspected && suspected.objects_every_s < idle.objects_every_s,
        "{suspected:?} {idle:?}"
    );
}

const FALL: &str = "kind = 'thrown_object'\nfall_min = 3.0\npoints_min = 6";

/// Pictures at 25 a second with movers at `paths(t)`, in ratios of the picture.
fn check_falls(name: &str, seconds: f64, paths: impl Fn(f64) -> Vec<(f64, f64)>, expected: usize) {
    check_falls_on(None, name, seconds, paths, expected);
}

/// The same before a wall that fills the picture, 64 m wide and 36 m high, with `paths(t)` in metres to the right and up.
fn check_falls_in_metres(name: &str, seconds: f64, paths: impl Fn(f64) -> Vec<(f64, f64)>, expected: usize) {
    let corners = [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]].map(Point::from);
    let wall = Facade { corners, bottom_m: 0.0, top_m: 36.0, width_m: 64.0, floor_m: Some(3.0) };
    let place = |(x, up): (f64, f64)| (x / 64.0, 1.0 - up / 36.0);
    check_falls_on(Some(wall), name, seconds, |t| paths(t).into_iter().map(place).collect(), expected);
}

fn check_falls_on(
    facade: Option<Facade>,
    name: &str,
    seconds: f64,
    paths: impl Fn(f64) -> Vec<(f64, f64)>,
    expected: usize,
) {
    let mut zone = zone(FALL);
    zone.polygon = Polygon::whole_picture();
    zone.facade = facade;
    let mut scene = Scene::new(&[zone]);
    assert!(scene.needs(noon()).full_rate);
    let mut said = Vec::new();
    for i in 0..(seconds * 25.0) as u32 {
        let time = f64::from(i) * 0.04;
        let mover = |(x, y): (f64, f64)| Mover {
            at: Point { x: x as f32, y: y as f32 },
            area_px: 90.0,
            contrast: 40.0,
        };
        let seen = paths(time).into_iter().filter(|(x, y)| (0.0..1.0).contains(x) && (0.0..1.0).contains(y));
        let findings = Findings {
            captured: at(time),
            size_px: (1280, 720),
            objects: None,
            foreground: Vec::new(),
            movers: Some(seen.map(mover).collect()),
        };
        said.extend(scene.observe(&findings, noon()));
    }
    let stages: Vec<Stage> = said.iter().map(|o| o.stage).collect();
    assert_eq!(stages, [Confirmed, Cleared].repeat(expected), "{name}");
    assert!(said.iter().all(|o| o.trajectory.as_ref().is_some_and(|t| t.points.len() >= 6)), "{name}");
}

#[test]
fn falls_and_what_only_looks_like_them() {
    let fall = |t: f64, from: f64, x: f64, y: f64| {
        let s = t - from;
        (s >= 0.0).then_some((x + 0.02 * s, y + 0.35 * s * s)).into_iter().collect::<Vec<_>>()
    };
    check_falls("a fall", 4.0, |t| fall(t, 1.0, 0.5, 0.1), 1);
    check_falls("two falls apart", 8.0, |t| [fall(t, 1.0, 0.5, 0.1), fall(t, 4.0, 0.3, 0.1)].concat(), 2);
    check_falls(
        "every third picture missed",
        4.0,
        |t| if ((t * 25.0).round() as u32).is_multiple_of(3) { vec![] } else { fall(t, 1.0, 0.5, 0.1) },
        1,
    );
    check_falls(
        "thrown up first",
        5.0,
        |t| {
            let s = t - 1.0;
            if s < 0.0 { vec![] } else { vec![(0.4 + 0.05 * s, 0.3 - 0.2 * s + 0.35 * s * s)] }
        },
        1,
    );
    check_falls("a bird that glides down", 5.0, |t| vec![(0.1 + 0.15 * t, 0.1 + 0.15 * t)], 0);
    check_falls("something that rises", 4.0, |t| vec![(0.5, 0.95 - 0.35 * (t - 1.0).max(0.0).powi(2))], 0);
    check_falls(
        "a leaf that sways down",
        9.0,
        |t| vec![(0.5 + 0.05 * (4.0 * t).sin(), 0.1 + 0.09 * t + 0.02 * (8.0 * t).cos())],
        0,
    );
    check_falls(
        "too short a fall",
        4.0,
        |t| fall(t, 1.0, 0.5, 0.1).into_iter().filter(|p| p.1 < 0.3).collect(),
        0,
    );
    let ball = |t: f64| -> Vec<(f64, f64)> {
        let s = t - 1.0;
        // Falls from 0.1 to 0.9 in 1 s, bounces to 0.5, falls again.
        match s {
            s if s < 0.0 => vec![],
            s if s < 1.0 => vec![(0.5, 0.1 + 0.8 * s * s)],
            s if s < 2.414 => vec![(0.5 + 0.03 * (s - 1.0), 0.5 + 0.8 * (s - 1.707).powi(2))],
            _ => vec![],
        }
    };
    check_falls("a bounce is no second fall", 6.0, ball, 1);
    let soon = |t: f64| [fall(t, 1.0, 0.5, 0.1), fall(t, 4.3, 0.56, 0.6)].concat();
    check_falls("a second fall, lower and soon, is no bounce", 8.0, soon, 2);
    let snow = |t: f64| -> Vec<(f64, f64)> {
        let flake = |k: u32| {
            let (k, depth) = (f64::from(k), 0.3 + 0.7 * f64::from(k * 7 % 11) / 11.0);
            let wander = 0.02 * (1.7 * t + k).sin();
            (
                (0.137 * k + wander + 0.05 * depth * t).rem_euclid(1.0),
                (0.211 * k + 0.5 * depth * t).rem_euclid(1.0),
            )
        };
        (0..50).map(flake).collect()
    };
    check_falls("snow", 12.0, snow, 0);
    check_falls("a fall through snow", 5.0, |t| [snow(t), fall(t, 1.0, 0.5, 0.1)].concat(), 1);
}

#[test]
fn metres_tell_falls_from_what_only_looks_like_them() {
    let g = 9.81;
    let dragged = |s: f64, terminal: f64| terminal * terminal / g * (g * s / terminal).cosh().ln();
    let after = |t: f64| (t - 1.0).max(0.0);
    let stone = |t: f64| vec![(30.0 + 1.5 * after(t), 30.0 - dragged(after(t), 50.0))];
    check_falls_in_metres("a stone", 5.0, stone, 1);
    let foam = |t: f64| vec![(30.0 + after(t), 33.0 - dragged(after(t), 9.0))];
    check_falls_in_metres("a piece of foam, soon carried by the air", 7.0, foam, 1);
    let gondola = |t: f64| {
        let s = after(t);
        vec![(30.0, 33.0 - if s < 2.0 { 1.5 * s * s } else { 6.0 + 6.0 * (s - 2.0) })]
    };
    check_falls_in_metres("a platform that is let down", 7.0, gondola, 0);
    let bird = |t: f64| vec![(5.0 + 12.0 * after(t), 33.0 - 0.5 * g * after(t).powi(2))];
    check_falls_in_metres("a bird that dives aslant", 5.0, bird, 0);
    let snow = |t: f64| -> Vec<(f64, f64)> {
        let flake = |k: u32| {
            let (k, depth) = (f64::from(k), 0.3 + 0.7 * f64::from(k * 7 % 11) / 11.0);
            let x = (9.7 * k + 1.3 * (1.7 * t + k).sin() + 3.0 * depth * t).rem_euclid(64.0);
            (x, 36.0 - (7.3 * k + 18.0 * depth * t).rem_euclid(36.0))
        };
        (0..50).map(flake).collect()
    };
    check_falls_in_metres("snow", 12.0, snow, 0);
    check_falls_in_metres("a stone through snow", 5.0, |t| [snow(t), stone(t)].concat(), 1);
}

#[test]
fn the_linker_is_bounded() {
    let mut chance = fastrand::Rng::with_seed(7);
    let mut zone = zone(FALL);
    zone.polygon = Polygon::whole_picture();
    let mut scene = Scene::new(&[zone]);
    let began = std::time::Instant::now();
    for i in 0..250 {
        let rain = (0..400).map(|_| Mover {
            at: Point { x: chance.f32(), y: chance.f32() },
            area_px: chance.f32() * 50.0,
            contrast: chance.f32() * 90.0,
        });
        let findings = Findings {
            captured: at(f64::from(i) * 0.04),
            size_px: (1280, 720),
            objects: None,
            foreground: Vec::new(),
            movers: Some(rain.collect()),
        };
        let said = scene.observe(&findings, noon());
        assert!(said.is_empty(), "rain is no fall");
    }
    // Milliseconds per picture when optimised; this is the unoptimised build on a busy machine.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

fn any_findings() -> impl Strategy<Value = (f64, Findings)> {
    let detection =
        (prop::sample::select(vec!["car", "person", "cart", "x"]), any::<f32>(), any::<[f32; 4]>());
    let sane = (
        prop::sample::select(vec!["car", "cart"]),
        0.0f32..1.0,
        [0.0f32..1.0, 0.0f32..1.0, 0.0f32..1.0, 0.0f32..1.0],
    );
    let object = prop_oneof![detection, sane]
        .prop_map(|(class, score, b)| Detection::new(class.into(), score, b.into()));
    let foreground = (any::<f32>(), prop::collection::vec(any::<[f32; 4]>(), 0..4), any::<bool>());
    (
        prop_oneof![0.0f64..90.0, 0.0f64..5000.0],
        prop::option::of(prop::collection::vec(object, 0..8)),
        prop::option::of(foreground),
        any::<(u32, u32)>(),
    )
        .prop_map(|(step, objects, foreground, size_px)| {
            let foreground = foreground.into_iter().map(|(covered, boxes, settled)| ZoneForeground {
                zone: "zone".into(),
                covered,
                boxes: boxes.into_iter().map(BBox::from).collect(),
                settled,
            });
            let foreground = foreground.collect();
            (step, Findings { captured: at(0.0), size_px, objects, foreground, movers: None })
        })
}

proptest! {
    #[test]
    fn any_findings_are_borne(sequence in prop::collection::vec(any_findings(), 0..60)) {
        let mut scene = Scene::new(&[zone(LANE), zone(STALL), zone(&format!("{STALL}\nshift_max = 0.5\nbeside = ['person']"))]);
        let mut time = 0.0;
        for (step, mut findings) in sequence {
            time += step;
            findings.captured = at(time);
            for o in scene.observe(&findings, noon()) {
                prop_assert!(o.dwell_s <= time + 1e-6);
                prop_assert!((0.0..=o.dwell_s + 1e-6).contains(&o.unseen_s));
                prop_assert!((0.0..=1.0).contains(&o.coverage));
            }
        }
    }
}

/// A car towards the camera every so many seconds: whether the zone is called busy after six minutes.
fn check_busy(every_s: f64, expected: bool) {
    let mut zone = zone(FALL);
    zone.polygon = Polygon::whole_picture();
    let mut scene = Scene::new(&[zone]);
    for i in 0..6 * 60 * 12 {
        let time = f64::from(i) / 12.0;
        let since = time % every_s;
        let at_now = Point { x: 0.5 + 0.1 * since as f32, y: 0.3 + 0.3 * since as f32 };
        let car = (since < 1.2).then_some(Mover { at: at_now, area_px: 200.0, contrast: 40.0 });
        let findings = Findings {
            captured: at(time),
            size_px: (1280, 720),
            objects: None,
            foreground: Vec::new(),
            movers: Some(car.into_iter().collect()),
        };
        scene.observe(&findings, noon());
    }
    assert_eq!(scene.busy().count() == 1, expected, "every {every_s} s");
}

#[test]
fn roads_are_recognised() {
    check_busy(1.4, true);
    check_busy(6.0, false);
}
