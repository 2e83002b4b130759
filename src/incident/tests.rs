//! Sequences of observations against what must be said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

use super::Incidents;
use super::machine::{Machine, ended_by_config, ended_by_downtime};
use super::open::Seen;
use super::quiet::Quiets;
use crate::config::{Camera, Config, Hours, Level, Scenario, Zone};
use crate::detection::Detection;
use crate::event::{
    Certainty, ClosedReason, EvidenceKind, EvidenceRef, Incident, Phase, Recurrence, Verdict, VerdictKind,
    VerdictRef,
};
use crate::frame::{Captured, Clock};
use crate::geometry::{BBox, Point, Polygon};
use crate::observation::{Observation, Stage, Trajectory};
use crate::store::Store;

const EPOCH: i64 = 1_790_000_000;

fn at(seconds: f64) -> Captured {
    Captured { wall: wall(seconds), media: Duration::from_secs_f64(seconds), clock: Clock::Arrival }
}

fn wall(seconds: f64) -> Timestamp {
    Timestamp::from_second(EPOCH).expect("a time") + SignedDuration::from_secs_f64(seconds)
}

fn zone(id: &str, scenario: &str) -> Zone {
    let scenario = Arc::clone(&Scenario::built_in()[scenario]);
    let corners = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]].map(Point::from);
    Zone {
        id: id.into(),
        name: "东侧通道".into(),
        revision: "r1".into(),
        polygon: Polygon::new(corners.to_vec()).expect("a polygon"),
        rule: scenario.rule.clone(),
        scenario,
        hours: Hours::default(),
        facade: None,
    }
}

fn camera(zones: Vec<Zone>) -> Camera {
    let url = "rtsp://127.0.0.1/".parse().expect("a URL");
    Camera { name: "东门".into(), zones, ..Camera::plain("gate", url) }
}

fn observation(zone: &Zone, stage: Stage, from: f64, to: f64) -> Observation {
    Observation {
        zone: zone.id.clone(),
        stage,
        first_seen: at(from),
        confirmed_at: (stage == Stage::Confirmed).then(|| at(to)),
        last_seen: at(to),
        at: at(to),
        dwell_s: to - from,
        unseen_s: 0.0,
        coverage: 0.43,
        objects: ["car", "unknown"]
            .map(|class| Detection::new(class.into(), 0.8, BBox { x0: 0.2, y0: 0.2, x1: 0.4, y1: 0.4 }))
            .to_vec(),
        trajectory: None,
    }
}

fn observe(machine: &mut Machine, camera: &Camera, zone: &Zone, observation: &Observation) -> Vec<Incident> {
    observe_with(machine, camera, zone, observation, Vec::new(), true)
}

fn observe_with(
    machine: &mut Machine,
    camera: &Camera,
    zone: &Zone,
    observation: &Observation,
    evidence: Vec<EvidenceRef>,
    in_hours: bool,
) -> Vec<Incident> {
    machine.observe(Seen { evidence, in_hours, ..seen(camera, zone, observation) })
}

fn seen<'a>(camera: &'a Camera, zone: &'a Zone, observation: &'a Observation) -> Seen<'a> {
    Seen {
        camera,
        zone,
        observation,
        model: None,
        evidence: Vec::new(),
        config_revision: "c1",
        in_hours: true,
        barred: false,
        earlier: &|| 0,
        now: observation.at.wall,
    }
}

fn evidence(name: &str) -> EvidenceRef {
    EvidenceRef {
        kind: EvidenceKind::Snapshot,
        sha256: name.into(),
        size_bytes: 1,
        media_type: "image/jpeg".into(),
        size_px: None,
        path: name.into(),
        topic: None,
    }
}

#[test]
fn a_matter_is_opened_updated_and_closed() {
    let (machine, zone) = (&mut Machine::default(), &zone("lane", "fire_lane"));
    let camera = &camera(vec![zone.clone()]);
    let mut say = |stage, to| observe(machine, camera, zone, &observation(zone, stage, 0.0, to));
    assert!(say(Stage::Suspected, 20.0).is_empty(), "not announced unless the scenario asks for it");
    let opened = say(Stage::Confirmed, 240.0).pop().expect("opened");
    assert_eq!((opened.seq, opened.phase, opened.certainty), (1, Phase::Opened, Certainty::Confirmed));
    assert_eq!((opened.first_seen, opened.confirmed_at), (wall(0.0), Some(wall(240.0))));
    assert!(say(Stage::Confirmed, 300.0).is_empty(), "nothing new");
    let updated = say(Stage::Confirmed, 541.0).pop().expect("still there");
    assert_eq!((updated.seq, updated.phase, updated.dwell_s), (2, Phase::Updated, 541.0));
    let closed = say(Stage::Cleared, 600.0).pop().expect("closed");
    assert_eq!((closed.seq, closed.phase), (3, Phase::Closed));
    assert_eq!(closed.closed_reason, Some(ClosedReason::Cleared));
    assert_eq!(closed.incident, opened.incident);
    assert!(closed.description.zh.contains("10 分"), "{}", closed.description.zh);
    assert!(say(Stage::Cleared, 700.0).is_empty(), "closed once");
}

#[test]
fn coverage_classes_and_evidence_are_news() {
    let (machine, zone) = (&mut Machine::default(), &zone("lane", "fire_lane"));
    let camera = &camera(vec![zone.clone()]);
    let mut seen = observation(zone, Stage::Confirmed, 0.0, 240.0);
    assert_eq!(observe(machine, camera, zone, &seen).len(), 1);
    seen.coverage = 0.6;
    seen.at = at(250.0);
    assert!(observe(machine, camera, zone, &seen).is_empty(), "too soon");
    seen.at = at(275.0);
    assert_eq!(observe(machine, camera, zone, &seen)[0].coverage, 0.6);
    seen.objects.truncate(1);
    seen.at = at(310.0);
    assert_eq!(observe(machine, camera, zone, &seen)[0].objects.len(), 1);
    seen.at = at(311.0);
    let said = observe_with(machine, camera, zone, &seen, vec![evidence("a")], true);
    assert_eq!(said[0].evidence.len(), 1);
    let again = observe_with(machine, camera, zone, &seen, vec![evidence("a")], true);
    assert!(again.is_empty(), "the same picture twice is no news");
    let later = machine.attach(said[0].incident, evidence("clip"), wall(320.0)).expect("attached");
    assert_eq!((later.seq, later.evidence.len()), (5, 2));
    assert_eq!(machine.attach(Uuid::nil(), evidence("x"), wall(320.0)), None);
}

#[test]
fn foreign_figures_become_valid_json() {
    let (machine, zone) = (&mut Machine::default(), &zone("lane", "fire_lane"));
    let camera = &camera(vec![zone.clone()]);
    let mut seen = observation(zone, Stage::Confirmed, 0.0, 240.0);
    seen.coverage = f32::NAN;
    seen.dwell_s = f64::INFINITY;
    seen.objects[0].bbox.x0 = f32::NAN;
    seen.objects[1].score = 7.0;
    seen.objects.extend(vec![seen.objects[1].clone(); 100]);
    seen.trajectory = Some(Trajectory {
        points: vec![(f64::NAN, Point { x: 0.0, y: 0.0 })],
        release: Point { x: f32::NAN, y: 0.0 },
        release_height_m: Some((f32::NAN, 1.0)),
        floor: None,
    });
    let opened = observe(machine, camera, zone, &seen).pop().expect("opened");
    let json = serde_json::to_value(&opened).expect("JSON");
    assert_eq!(json["coverage"], 0.0);
    assert_eq!(json["dwell_s"], 0.0);
    assert_eq!(json["objects"][0]["confidence"], 1.0);
    assert_eq!(json["objects"].as_array().expect("a list").len(), 32);
    let back: Incident = serde_json::from_value(json).expect("what was written can be read");
    assert_eq!((&back, &back.trajectory), (&opened, &None));
}

#[test]
fn after_a_restart_incidents_go_on_under_their_id_or_close() {
    let zone = zone("lane", "fire_lane");
    let camera = &camera(vec![zone.clone()]);
    let open = || {
        let machine = &mut Machine::default();
        let mut opened = observe(machine, camera, &zone, &observation(&zone, Stage::Confirmed, 0.0, 240.0));
        opened.pop().expect("opened")
    };
    // Seen again, while the rule has only come to suspect it anew.
    let opened = open();
    let machine = &mut Machine::default();
    machine.remember(vec![opened.clone()]);
    assert!(machine.looked(camera, &at(0.0), wall(300.0)).is_empty());
    let mut again = observation(&zone, Stage::Suspected, 0.0, 20.0);
    again.first_seen.wall = wall(305.0);
    again.last_seen.wall = wall(325.0);
    again.at.wall = wall(325.0);
    assert!(observe(machine, camera, &zone, &again).is_empty(), "nothing new");
    assert!(machine.looked(camera, &at(10_000.0), wall(600.0)).is_empty(), "it was seen");
    again.stage = Stage::Cleared;
    again.at.wall = wall(700.0);
    let closed = observe(machine, camera, &zone, &again).pop().expect("closed");
    assert_eq!((closed.incident, closed.seq), (opened.incident, 2));
    assert_eq!((closed.certainty, closed.first_seen), (Certainty::Confirmed, wall(0.0)));
    assert_eq!(closed.dwell_s, 325.0);

    // Watched for long enough, and nothing there.
    let machine = &mut Machine::default();
    machine.remember(vec![open()]);
    let patience = zone.rule.dwell_s + zone.rule.clear_s;
    assert!(machine.looked(camera, &at(5.0), wall(300.0)).is_empty());
    assert!(machine.looked(camera, &at(5.0 + patience), wall(600.0)).is_empty());
    let closed = machine.looked(camera, &at(20.0 + patience), wall(620.0)).pop().expect("closed");
    assert_eq!(closed.closed_reason, Some(ClosedReason::Cleared));

    // What the config or the time away decides.
    let opened = open();
    let mut redrawn = zone.clone();
    redrawn.revision = "r2".into();
    assert_eq!(ended_by_config(&opened, Some(&redrawn)), None);
    assert_eq!(ended_by_config(&opened, None), Some(ClosedReason::RuleRemoved));
    let other = self::zone("lane", "street_vending");
    assert_eq!(ended_by_config(&opened, Some(&other)), Some(ClosedReason::RuleRemoved));
    assert_eq!(ended_by_downtime(&opened, wall(240.0 + 890.0)), None);
    assert_eq!(ended_by_downtime(&opened, wall(240.0 + 910.0)), Some(ClosedReason::Restarted));
}

#[test]
fn thrown_objects_wait_for_their_clip_and_are_told_apart() {
    let (machine, zone) = (&mut Machine::default(), &zone("facade", "thrown_object"));
    let camera = &camera(vec![zone.clone()]);
    let fall = |from: f64| observation(zone, Stage::Confirmed, from, from + 0.5);
    let first = observe(machine, camera, zone, &fall(0.0)).pop().expect("opened");
    let over = Observation { stage: Stage::Cleared, ..fall(0.0) };
    assert!(observe(machine, camera, zone, &over).is_empty(), "the clip is still to come");
    assert_eq!(machine.attach(first.incident, evidence("clip"), wall(8.0)).expect("attached").seq, 2);
    let second = observe(machine, camera, zone, &fall(10.0));
    assert_eq!(second.len(), 2);
    assert_eq!((second[0].incident, second[0].seq), (first.incident, 3));
    assert_eq!(second[0].closed_reason, Some(ClosedReason::Instant));
    assert_eq!(second[1].phase, Phase::Opened);
    assert!(machine.expire(|_| true, 25.0, wall(30.0)).is_empty());
    let closed = machine.expire(|_| true, 25.0, wall(36.0)).pop().expect("closed");
    assert_eq!((closed.incident, closed.closed_reason), (second[1].incident, Some(ClosedReason::Instant)));
}

/// A node whose config has these tables, with its data in `dir`.
fn config(dir: &std::path::Path, tables: &str) -> Arc<Config> {
    let file = dir.join("gridwatch.toml");
    std::fs::create_dir_all(dir.join("models")).expect("made");
    std::fs::write(dir.join("models/street-v2.onnx"), b"").expect("written");
    let node = "[node]\nsite = \"yuhua\"\nid = \"box\"\ndata_dir = \"data\"\n[mqtt]\nhost = \"127.0.0.1\"\n";
    std::fs::write(&file, format!("{node}{tables}")).expect("written");
    Arc::new(crate::config::load(&file).expect("a config").config)
}

const GATE: &str = "[[camera]]\nid = \"gate\"\nurl = \"rtsp://127.0.0.1/\"\n";
const LANE: &str = "[[zone]]\nid = \"lane\"\ncamera = \"gate\"\nscenario = \"fire_lane\"\n\
    polygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]\n";

#[test]
fn what_a_full_disk_refuses_is_written_when_there_is_room() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path(), &format!("{GATE}{LANE}"));
    let store = Store::open(&config.node.data_dir).expect("a store");
    let mut incidents = Incidents::open(store.clone(), Arc::clone(&config)).expect("incidents");
    let (camera, zone) = (&config.cameras[0], &config.cameras[0].zones[0]);
    store.limit_pages(1);
    let mut seen = observation(zone, Stage::Confirmed, 0.0, 240.0);
    for n in 0..40 {
        // News enough to outgrow the pages that are there.
        seen.at = at(240.0 + 400.0 * f64::from(n));
        let _ = incidents.observe(camera, zone, &seen, None, Vec::new(), seen.at.wall);
    }
    let refused = incidents.tick(seen.at.wall).expect_err("still full").to_string();
    assert!(refused.contains("no room left"), "{refused}");
    store.limit_pages(1_000_000);
    incidents.tick(seen.at.wall).expect("room again");
    assert_eq!(store.outbox_size().expect("read").rows, 40);
    let open = store.open_incidents().expect("read");
    assert_eq!(open.iter().map(|i| i.seq).collect::<Vec<_>>(), [40]);
    assert_eq!(incidents.lost(), 0);
}

#[test]
fn a_restart_goes_on_from_the_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let both = config(dir.path(), &format!("{GATE}{LANE}"));
    let (camera, zone) = (&both.cameras[0], &both.cameras[0].zones[0]);
    let store = Store::open(&both.node.data_dir).expect("a store");
    let now = Timestamp::now();
    let mut seen = observation(zone, Stage::Confirmed, 0.0, 240.0);
    for time in [&mut seen.first_seen, &mut seen.last_seen, &mut seen.at] {
        time.wall = now;
    }
    let mut incidents = Incidents::open(store.clone(), Arc::clone(&both)).expect("incidents");
    let opened = incidents.observe(camera, zone, &seen, None, Vec::new(), now).expect("written");
    drop(incidents);

    let mut incidents = Incidents::open(store.clone(), Arc::clone(&both)).expect("incidents");
    assert_eq!(incidents.open_incidents().cloned().collect::<Vec<_>>(), opened);
    seen.stage = Stage::Cleared;
    let closed = incidents.observe(camera, zone, &seen, None, Vec::new(), now).expect("written");
    assert_eq!((closed[0].incident, closed[0].seq), (opened[0].incident, 2));
    seen.stage = Stage::Confirmed;
    incidents.observe(camera, zone, &seen, None, Vec::new(), now).expect("written");
    drop(incidents);

    // The zone is gone from the config.
    let less = config(dir.path(), GATE);
    let incidents = Incidents::open(store.clone(), less).expect("incidents");
    assert_eq!(incidents.open_incidents().count(), 0);
    let reasons = store.latest_incidents(10).expect("read").into_iter().map(|i| i.closed_reason);
    assert_eq!(reasons.collect::<Vec<_>>(), [Some(ClosedReason::RuleRemoved), Some(ClosedReason::Cleared)]);
    assert_eq!(store.outbox_size().expect("read").rows, 4);
}

#[test]
fn out_of_hours_nothing_opens_and_what_ends_ends_for_that() {
    let (machine, zone) = (&mut Machine::default(), &zone("lane", "street_vending"));
    let camera = &camera(vec![zone.clone()]);
    let seen = observation(zone, Stage::Confirmed, 0.0, 240.0);
    assert!(observe_with(machine, camera, zone, &seen, Vec::new(), false).is_empty());
    assert_eq!(observe(machine, camera, zone, &seen).len(), 1);
    let over = observation(zone, Stage::Cleared, 0.0, 300.0);
    let closed = observe_with(machine, camera, zone, &over, Vec::new(), false);
    assert_eq!(closed[0].closed_reason, Some(ClosedReason::OutOfHours));
}

#[test]
fn suspicion_is_announced_where_asked_for() {
    let (machine, mut zone) = (&mut Machine::default(), zone("lane", "fire_lane"));
    let mut scenario = Scenario::clone(&zone.scenario);
    scenario.announce_suspected = true;
    zone.scenario = Arc::new(scenario);
    let (camera, zone) = (&camera(vec![zone.clone()]), &zone);
    let opened = observe(machine, camera, zone, &observation(zone, Stage::Suspected, 0.0, 20.0));
    assert_eq!((opened[0].certainty, opened[0].confirmed_at), (Certainty::Suspected, None));
    let updated = observe(machine, camera, zone, &observation(zone, Stage::Confirmed, 0.0, 21.0));
    assert_eq!((updated[0].certainty, updated[0].confirmed_at), (Certainty::Confirmed, Some(wall(21.0))));
}

fn verdict(kind: VerdictKind) -> Verdict {
    Verdict { verdict: kind, case_id: Some("2026-1".into()), note: None }
}

/// Cases as data: what was called a false alarm, and what is seen then.
#[test]
fn a_false_alarm_keeps_its_place_and_cause_quiet() {
    let here = BBox { x0: 0.2, y0: 0.2, x1: 0.4, y1: 0.4 };
    let shifted = BBox { x0: 0.25, y0: 0.2, x1: 0.45, y1: 0.4 };
    let elsewhere = BBox { x0: 0.35, y0: 0.2, x1: 0.55, y1: 0.4 };
    let day_s = 86_400.0;
    for (known, seen, after_s, quiet) in [
        (vec![("car", here)], vec![("car", here)], 60.0, true),
        (vec![("car", here)], vec![("car", shifted)], 60.0, true),
        (vec![("car", here)], vec![("car", elsewhere)], 60.0, false),
        (vec![("car", here)], vec![("stall", here)], 60.0, false),
        // No model names it now; where it stood, one did.
        (vec![("car", here)], vec![("unknown", shifted)], 60.0, true),
        (vec![("unknown", here)], vec![("unknown", here)], 60.0, true),
        // A shadow yesterday, a car today.
        (vec![("unknown", here)], vec![("car", here)], 60.0, false),
        (vec![("car", here)], vec![("car", here), ("car", elsewhere)], 60.0, false),
        (vec![("car", here), ("bench", elsewhere)], vec![("bench", elsewhere)], 60.0, true),
        (vec![("car", here)], vec![], 60.0, false),
        (vec![], vec![], 60.0, false),
        (vec![("car", here)], vec![("car", here)], day_s - 60.0, true),
        (vec![("car", here)], vec![("car", here)], day_s + 60.0, false),
        // The clock was put back.
        (vec![("car", here)], vec![("car", here)], -2.0 * day_s, false),
    ] {
        let zone = zone("lane", "fire_lane");
        let camera = camera(vec![zone.clone()]);
        let with = |objects: &[(&str, BBox)]| {
            let objects = objects.iter().map(|(class, bbox)| Detection::new((*class).into(), 0.8, *bbox));
            Observation { objects: objects.collect(), ..observation(&zone, Stage::Confirmed, 0.0, 240.0) }
        };
        let wrong = observe(&mut Machine::default(), &camera, &zone, &with(&known)).pop().expect("opened");
        let mut quiets = Quiets::default();
        quiets.decide(&wrong, VerdictKind::FalseAlarm, wall(0.0));
        let covers = |quiets: &Quiets| quiets.cover(&camera.id, &zone, &with(&seen), wall(after_s));
        assert_eq!(covers(&quiets), quiet, "{known:?} then {seen:?} after {after_s} s");
        // Never quiet, another kind in the same zone, and an operator who thinks again.
        let never = Zone { rule: crate::config::Rule { quiet_s: 0.0, ..zone.rule.clone() }, ..zone.clone() };
        assert!(!quiets.cover(&camera.id, &never, &with(&seen), wall(after_s)));
        let other = Zone { scenario: Arc::clone(&Scenario::built_in()["illegal_parking"]), ..zone.clone() };
        assert!(!quiets.cover(&camera.id, &other, &with(&seen), wall(after_s)));
        quiets.decide(&wrong, VerdictKind::Accepted, wall(1.0));
        assert!(!covers(&quiets));
    }
}

#[test]
fn falls_are_quiet_near_a_known_release() {
    let zone = zone("facade", "thrown_object");
    let camera = camera(vec![zone.clone()]);
    let from = |release: Option<Point>| Observation {
        objects: Vec::new(),
        trajectory: release.map(|release| Trajectory {
            points: Vec::new(),
            release,
            release_height_m: None,
            floor: None,
        }),
        ..observation(&zone, Stage::Confirmed, 0.0, 0.4)
    };
    let laundry = Point { x: 0.5, y: 0.3 };
    let wrong = observe(&mut Machine::default(), &camera, &zone, &from(Some(laundry))).pop().expect("opened");
    let mut quiets = Quiets::default();
    quiets.decide(&wrong, VerdictKind::FalseAlarm, wall(0.0));
    for (release, quiet) in [
        (Some(Point { x: 0.55, y: 0.35 }), true),
        (Some(Point { x: 0.5, y: 0.45 }), false),
        (Some(Point { x: f32::NAN, y: 0.3 }), false),
        (None, false),
    ] {
        assert_eq!(quiets.cover(&camera.id, &zone, &from(release), wall(60.0)), quiet, "{release:?}");
    }
    // Barred while the incident of another fall is open: neither closed nor opened.
    let machine = &mut Machine::default();
    observe(machine, &camera, &zone, &from(Some(Point { x: 0.1, y: 0.1 })));
    let second = Observation { first_seen: at(5.0), ..from(Some(laundry)) };
    assert!(machine.observe(Seen { barred: true, ..self::seen(&camera, &zone, &second) }).is_empty());
    assert_eq!(observe(machine, &camera, &zone, &second).len(), 2);
}

/// Cases as data: seconds since the confirmation, seconds of dwell, last verdict, level.
#[test]
fn levels_rise_with_the_time_that_it_stays() {
    for (now_s, dwell_s, decided, want) in [
        (1_000.0, 1_000.0, None, Level::Blue),
        (1_800.0, 2_040.0, None, Level::Yellow),
        (3_599.0, 3_839.0, Some(VerdictKind::Accepted), Level::Yellow),
        (3_600.0, 3_840.0, Some(VerdictKind::Accepted), Level::Orange),
        (90_000.0, 90_240.0, Some(VerdictKind::Resolved), Level::Red),
        (90_000.0, 90_240.0, Some(VerdictKind::Ignored), Level::Blue),
        // The clock jumped, forward and back: nothing was seen for that long.
        (90_000.0, 300.0, None, Level::Blue),
        (-90_000.0, 3_840.0, None, Level::Blue),
    ] {
        let zone = zone("lane", "fire_lane");
        let camera = camera(vec![zone.clone()]);
        let mut seen = observation(&zone, Stage::Confirmed, 0.0, 240.0);
        seen.dwell_s = dwell_s;
        let mut opened = observe(&mut Machine::default(), &camera, &zone, &seen).pop().expect("opened");
        opened.level = Level::Blue;
        opened.verdict = decided.map(|verdict| VerdictRef { verdict, case_id: None, at: wall(0.0) });
        let machine = &mut Machine::default();
        machine.remember(vec![opened]);
        let mut tick = |s: f64| machine.escalate(|_| Some((Level::Blue, 1_800.0)), wall(240.0 + s));
        let said = tick(now_s);
        let level = said.first().map_or(Level::Blue, |incident| incident.level);
        assert_eq!(level, want, "{now_s} s, {dwell_s} s, {decided:?}");
        assert!(said.iter().all(|incident| incident.phase == Phase::Updated));
        assert!(tick(now_s).is_empty() && tick(now_s - 1e6).is_empty(), "said once, never lowered");
        assert!(machine.incidents().all(|incident| incident.level == want));
    }
}

#[test]
fn verdicts_act_also_after_a_restart_and_twice_is_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path(), &format!("{GATE}{LANE}"));
    let (camera, zone) = (&config.cameras[0], &config.cameras[0].zones[0]);
    let store = Store::open(&config.node.data_dir).expect("a store");
    let mut incidents = Incidents::open(store.clone(), Arc::clone(&config)).expect("incidents");
    let now = Timestamp::now();
    let see = |incidents: &mut Incidents, stage: Stage, after_s: f64| {
        let mut seen = observation(zone, stage, 0.0, 240.0);
        for time in [&mut seen.first_seen, &mut seen.last_seen, &mut seen.at] {
            time.wall = now + SignedDuration::from_secs_f64(after_s);
        }
        let at = seen.at.wall;
        incidents.observe(camera, zone, &seen, None, Vec::new(), at).expect("written")
    };
    let first = see(&mut incidents, Stage::Confirmed, 0.0).pop().expect("opened");
    assert_eq!(first.recurrence, None);
    let decide = |incident: Uuid, kind| {
        store.add_verdict(incident, verdict(kind), false).expect("stored");
    };
    decide(first.incident, VerdictKind::Accepted);
    let said = incidents.tick(now).expect("written");
    assert_eq!((said.len(), said[0].phase, said[0].seq), (1, Phase::Updated, 2));
    let carried = said[0].verdict.clone().expect("carried");
    assert_eq!((carried.verdict, carried.case_id.as_deref()), (VerdictKind::Accepted, Some("2026-1")));
    assert!(incidents.tick(now).expect("written").is_empty(), "said once");

    // Stored, then killed before it was acted upon.
    decide(first.incident, VerdictKind::FalseAlarm);
    drop(incidents);
    let mut incidents = Incidents::open(store.clone(), Arc::clone(&config)).expect("incidents");
    assert_eq!(incidents.open_incidents().count(), 0);
    let closed = store.incident(first.incident).expect("read").expect("there");
    assert_eq!((closed.seq, closed.closed_reason), (3, Some(ClosedReason::FalseAlarm)));
    assert!(see(&mut incidents, Stage::Confirmed, 10.0).is_empty(), "quiet");
    assert!(see(&mut incidents, Stage::Confirmed, 10.0).is_empty());
    assert_eq!(incidents.quieted(), 1, "one matter, however often it is seen");
    // Quiet over another restart, and until somebody thinks again, of an incident that is closed.
    drop(incidents);
    let mut incidents = Incidents::open(store.clone(), Arc::clone(&config)).expect("incidents");
    assert!(see(&mut incidents, Stage::Confirmed, 20.0).is_empty());
    decide(first.incident, VerdictKind::Accepted);
    assert!(incidents.tick(now).expect("written").is_empty(), "closed is not spoken of again");
    // It counts again as the first; those that follow are the second and third.
    for count in 2..4 {
        let again = see(&mut incidents, Stage::Confirmed, 20.0 + f64::from(count)).pop().expect("opened");
        assert_eq!(again.recurrence, Some(Recurrence { count, days: 7 }));
        assert!(
            again
                .description
                .en
                .ends_with(&format!("{} time in 7 days.", if count == 2 { "2nd" } else { "3rd" }))
        );
        see(&mut incidents, Stage::Cleared, 30.0);
    }
    let after_a_week = see(&mut incidents, Stage::Confirmed, 8.0 * 86_400.0).pop().expect("opened");
    assert_eq!(after_a_week.recurrence, None);
}

/// What operators read, for every scenario that comes with gridwatch.
#[test]
fn descriptions() {
    let mut text = String::new();
    for scenario in Scenario::built_in().keys() {
        let zone = zone("lane", scenario);
        let camera = camera(vec![zone.clone()]);
        let mut seen = observation(&zone, Stage::Confirmed, 0.0, 320.0);
        seen.trajectory = Some(Trajectory {
            points: Vec::new(),
            release: Point { x: 0.5, y: 0.1 },
            release_height_m: Some((33.0, 1.5)),
            floor: Some((12, 1)),
        });
        let opened = observe(&mut Machine::default(), &camera, &zone, &seen).pop().expect("opened");
        text.extend([
            scenario.as_str(),
            "\n  ",
            &opened.description.zh,
            "\n  ",
            &opened.description.en,
            "\n",
        ]);
        seen.objects.clear();
        seen.trajectory = None;
        let opened = observe(&mut Machine::default(), &camera, &zone, &seen).pop().expect("opened");
        text.extend(["  ", &opened.description.zh, "\n  ", &opened.description.en, "\n"]);
    }
    let zone = zone("lane", "fire_lane");
    let patrolled = Observation { unseen_s: 1230.0, ..observation(&zone, Stage::Confirmed, 0.0, 1240.0) };
    let camera = camera(vec![zone.clone()]);
    let opened = observe(&mut Machine::default(), &camera, &zone, &patrolled).pop().expect("opened");
    assert_eq!((opened.dwell_s, opened.unseen_s), (1240.0, 1230.0));
    text.extend(["visited twice\n  ", &opened.description.zh, "\n  ", &opened.description.en, "\n"]);
    let again = Machine::default().observe(Seen { earlier: &|| 3, ..seen(&camera, &zone, &patrolled) }).pop();
    let again = again.expect("opened");
    assert_eq!(again.recurrence, Some(Recurrence { count: 4, days: 7 }));
    text.extend(["again\n  ", &again.description.zh, "\n  ", &again.description.en, "\n"]);
    insta::assert_snapshot!(text);
}

/// One thing that can happen.
#[derive(Debug, Clone)]
enum Step {
    See { zone: usize, stage: Stage, in_hours: bool, coverage: f32 },
    Pass(f64),
    Look,
    Expire,
    Lose,
    Restart,
    Attach(usize),
    Decide(usize, VerdictKind),
    Escalate,
}

fn step() -> impl Strategy<Value = Step> {
    let stage = prop_oneof![Just(Stage::Suspected), Just(Stage::Confirmed), Just(Stage::Cleared)];
    prop_oneof![
        6 => (0..3usize, stage, prop::bool::weighted(0.9), 0.0..1.0f32)
            .prop_map(|(zone, stage, in_hours, coverage)| Step::See { zone, stage, in_hours, coverage }),
        3 => (0.0..400.0f64).prop_map(Step::Pass),
        1 => Just(Step::Look),
        1 => Just(Step::Expire),
        1 => Just(Step::Lose),
        1 => Just(Step::Restart),
        1 => (0..3usize).prop_map(Step::Attach),
        1 => (0..3usize, prop_oneof![Just(VerdictKind::Accepted), Just(VerdictKind::Ignored), Just(VerdictKind::FalseAlarm)])
            .prop_map(|(n, verdict)| Step::Decide(n, verdict)),
        1 => Just(Step::Escalate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn every_incident_is_opened_once_counted_and_closed_once(steps in prop::collection::vec(step(), 1..80)) {
        let zones = vec![zone("a", "fire_lane"), zone("b", "street_vending"), zone("c", "thrown_object")];
        let camera = camera(zones.clone());
        let mut machine = Machine::default();
        let mut now = 0.0;
        let mut since = [0.0; 3];
        let mut said = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            now += 0.1;
            match step {
                Step::See { zone, stage, in_hours, coverage } => {
                    let mut seen = observation(&zones[zone], stage, since[zone], now);
                    seen.coverage = coverage;
                    if stage == Stage::Cleared || zone == 2 {
                        since[zone] = now;
                    }
                    let pictures = if number % 3 == 0 { vec![evidence(&number.to_string())] } else { Vec::new() };
                    said.extend(observe_with(&mut machine, &camera, &zones[zone], &seen, pictures, in_hours));
                }
                Step::Pass(seconds) => now += seconds,
                Step::Look => said.extend(machine.looked(&camera, &at(now), wall(now))),
                Step::Expire => {
                    said.extend(machine.expire(|i| i.zone.id.to_string() == "c", 25.0, wall(now)));
                }
                Step::Lose => said.extend(machine.close_where(|_| Some(ClosedReason::CameraLost), wall(now))),
                Step::Restart => {
                    let open: Vec<_> = machine.incidents().cloned().collect();
                    machine = Machine::default();
                    machine.remember(open);
                    said.extend(machine.close_where(|i| ended_by_downtime(i, wall(now)), wall(now)));
                }
                Step::Decide(n, verdict) => {
                    let id = machine.incidents().nth(n).map(|i| i.incident);
                    let verdict = VerdictRef { verdict, case_id: None, at: wall(now) };
                    said.extend(id.and_then(|id| machine.decide(id, verdict, wall(now))));
                }
                Step::Escalate => said.extend(machine.escalate(|_| Some((Level::Blue, 300.0)), wall(now))),
                Step::Attach(n) => {
                    let id = machine.incidents().nth(n).map(|i| i.incident);
                    let piece = evidence(&format!("late {number}"));
                    said.extend(id.and_then(|id| machine.attach(id, piece, wall(now))));
                }
            }
            let places: BTreeSet<_> = machine.incidents().map(|i| i.zone.id.clone()).collect();
            prop_assert_eq!(places.len(), machine.incidents().count(), "one per zone");
        }
        let still_open: BTreeSet<_> = machine.incidents().map(|i| i.incident).collect();
        let mut last: BTreeMap<Uuid, Incident> = BTreeMap::new();
        for incident in said {
            match last.get(&incident.incident) {
                None => prop_assert_eq!((incident.seq, incident.phase), (1, Phase::Opened)),
                Some(before) => {
                    prop_assert_eq!(incident.seq, before.seq + 1);
                    prop_assert_ne!(incident.phase, Phase::Opened);
                    prop_assert_ne!(before.phase, Phase::Closed);
                    prop_assert!(incident.last_seen >= before.last_seen);
                    prop_assert!(incident.level >= before.level);
                    prop_assert!(incident.certainty == Certainty::Confirmed || before.certainty != Certainty::Confirmed);
                }
            }
            prop_assert_eq!(incident.phase == Phase::Closed, incident.closed_reason.is_some());
            prop_assert_eq!(incident.phase == Phase::Closed, incident.closed_at.is_some());
            prop_assert!(incident.evidence.len() <= super::open::EVIDENCE_MAX);
            last.insert(incident.incident, incident);
        }
        for (id, incident) in last {
            prop_assert_eq!(incident.phase != Phase::Closed, still_open.contains(&id));
        }
    }
}
