//! Static foreground and small movers on pictures drawn here: a textured place, noise, and what happens in it.

use std::time::Duration;

use gridwatch::detect::foreground::Foreground;
use gridwatch::detect::movers::Movers;
use gridwatch::detection::Mover;
use gridwatch::frame::{Captured, Clock, Picture};
use gridwatch::geometry::{BBox, Polygon};

const W: usize = 320;
const H: usize = 180;

/// How the camera sees at one moment.
#[derive(Clone, Copy)]
struct Look {
    gain: f32,
    offset: f32,
    infrared: bool,
    /// Right and down, in pixels.
    shake: (f32, f32),
}

const PLAIN: Look = Look { gain: 1.0, offset: 0.0, infrared: false, shake: (0.0, 0.0) };

/// A box: left, top, right, bottom in pixels; grey level; stripes make it an object and not a shadow.
#[derive(Clone, Copy)]
struct Thing {
    at: [f32; 4],
    grey: f32,
    stripes: f32,
    chroma: (f32, f32),
}

fn carton(x: f32, y: f32) -> Thing {
    Thing { at: [x, y, x + 60.0, y + 40.0], grey: 170.0, stripes: 25.0, chroma: (-18.0, 14.0) }
}

/// A picture of soft ground with joints, `things` drawn over it in order, noise of about two grey levels.
fn picture(seconds: f64, look: Look, things: &[Thing]) -> Picture {
    let mut chance = fastrand::Rng::with_seed((seconds * 1000.0) as u64);
    let infrared_gain = if look.infrared { 0.55 } else { 1.0 };
    let mut y = Vec::with_capacity(W * H);
    for row in 0..H {
        for column in 0..W {
            let (px, py) = (column as f32 - look.shake.0, row as f32 - look.shake.1);
            let joint = if (px / 24.0).fract() < 0.08 || (py / 24.0).fract() < 0.08 { -18.0 } else { 0.0 };
            let mut v = 105.0 + 14.0 * ((px * 0.05).sin() + (py * 0.07).cos()) + joint;
            if look.infrared {
                // Another lamp in another place, and grass that is bright in the infrared.
                v = 60.0 + 0.5 * v + 40.0 * (-((px - 160.0).powi(2) + (py - 90.0).powi(2)) / 9000.0).exp();
                v += 20.0 * (px * 0.11 + py * 0.02).sin();
            }
            for t in things {
                if (t.at[0]..t.at[2]).contains(&px) && (t.at[1]..t.at[3]).contains(&py) {
                    let stripe = if ((py - t.at[1]) / 10.0) as i32 % 2 == 0 { t.stripes } else { -t.stripes };
                    v = if t.grey > 0.0 { (t.grey + stripe) * infrared_gain } else { v * -t.grey };
                }
            }
            let noise = (chance.f32() + chance.f32() + chance.f32() - 1.5) * 4.0;
            y.push((v * look.gain + look.offset + noise).clamp(0.0, 255.0) as u8);
        }
    }
    let (cw, ch) = (W / 2, H / 2);
    let (mut u, mut v) = (Vec::with_capacity(cw * ch), Vec::with_capacity(cw * ch));
    for i in 0..cw * ch {
        let (px, py) = ((i % cw * 2) as f32, (i / cw * 2) as f32);
        let over = things.iter().rev().filter(|t| t.grey > 0.0);
        let mut over = over.filter(|t| (t.at[0]..t.at[2]).contains(&px) && (t.at[1]..t.at[3]).contains(&py));
        let (blue, red) = over.next().map_or((6.0, -4.0), |t| t.chroma);
        let colour = if look.infrared { 0.0 } else { 1.0 };
        u.push((128.0 + colour * blue) as u8);
        v.push((128.0 + colour * red) as u8);
    }
    let wall = jiff::Timestamp::UNIX_EPOCH;
    let captured = Captured { wall, media: Duration::from_secs_f64(seconds), clock: Clock::File };
    Picture { captured, width: W, height: H, y: y.into(), u: u.into(), v: v.into(), full_range: false }
}

fn zone() -> Polygon {
    let corners = [[0.1, 0.3], [0.9, 0.3], [0.9, 0.95], [0.1, 0.95]];
    Polygon::new(corners.map(Into::into).to_vec()).expect("a zone")
}

/// Runs `until` seconds at `every` and checks at the given times whether something covers the zone.
fn check(
    name: &str,
    (until, every): (f64, f64),
    shows: impl Fn(f64) -> (Look, Vec<Thing>),
    covered_at: &[(f64, bool)],
) {
    let mut foreground = Foreground::new(&[("lane".into(), zone())]);
    let mut asked = covered_at.iter().peekable();
    let mut time = 0.0;
    while time <= until {
        let (look, things) = shows(time);
        let seen = foreground.observe(&picture(time, look, &things), &[]).remove(0);
        while let Some((_, covered)) = asked.next_if(|(at, _)| *at <= time) {
            assert!(seen.settled, "{name}: not settled at {time}");
            // The carton is a tenth of the zone.
            let agrees = if *covered { (0.06..0.2).contains(&seen.covered) } else { seen.covered < 0.02 };
            assert!(agrees, "{name}: {} of the zone covered at {time}, boxes {:?}", seen.covered, seen.boxes);
        }
        time += every;
    }
    assert!(asked.next().is_none(), "{name}: some times were never reached");
}

#[test]
fn what_stays_covers_and_what_moves_does_not() {
    let heap = |t: f64| if (20.0..60.0).contains(&t) { vec![carton(120.0, 90.0)] } else { vec![] };
    let story = [(15.0, false), (34.0, true), (58.0, true), (72.0, false)];
    check("a heap, five pictures a second", (75.0, 0.2), |t| (PLAIN, heap(t)), &story);
    check("a heap, a picture in two seconds", (75.0, 2.0), |t| (PLAIN, heap(t)), &story);
    let slow = [(60.0, false), (140.0, true), (280.0, true), (380.0, false)];
    let later = |t: f64| if (100.0..300.0).contains(&t) { vec![carton(120.0, 90.0)] } else { vec![] };
    check("a heap, a picture in ten seconds", (400.0, 10.0), |t| (PLAIN, later(t)), &slow);
    let walker = |t: f64| Thing { stripes: 30.0, grey: 60.0, ..carton((t * 30.0 % 320.0) as f32, 90.0) };
    check(
        "people walk all the time",
        (60.0, 0.5),
        |t| (PLAIN, vec![walker(t)]),
        &[(20.0, false), (40.0, false), (60.0, false)],
    );
    let behind = |t: f64| {
        let mut things = heap(t);
        if (40.0..46.0).contains(&t) {
            things.push(Thing { grey: 50.0, ..carton(100.0 + 10.0 * (t as f32 - 40.0), 80.0) });
        }
        things
    };
    check(
        "somebody stands in front of the heap",
        (58.0, 0.5),
        |t| (PLAIN, behind(t)),
        &[(36.0, true), (50.0, true)],
    );
    let stays = |t: f64| if t > 20.0 { vec![carton(120.0, 90.0)] } else { vec![] };
    check(
        "a heap for twenty minutes is not learnt",
        (1200.0, 5.0),
        |t| (PLAIN, stays(t)),
        &[(60.0, true), (1195.0, true)],
    );
}

#[test]
fn people_who_stand_are_not_there() {
    let mut foreground = Foreground::new(&[("lane".into(), zone())]);
    let person =
        |x: f32| Thing { at: [x, 70.0, x + 30.0, 150.0], grey: 50.0, stripes: 20.0, chroma: (9.0, -9.0) };
    let box_of = |t: &Thing| BBox {
        x0: t.at[0] / W as f32,
        y0: t.at[1] / H as f32,
        x1: t.at[2] / W as f32,
        y1: t.at[3] / H as f32,
    };
    let mut covered = |t: f64, things: &[Thing], passers: &[Thing]| {
        let boxes: Vec<BBox> = passers.iter().map(box_of).collect();
        let all = [things, passers].concat();
        foreground.observe(&picture(t, PLAIN, &all), &boxes).remove(0).covered
    };
    for step in 0..40 {
        covered(f64::from(step) * 0.5, &[], &[]);
    }
    for step in 40..160 {
        let waits = covered(f64::from(step) * 0.5, &[], &[person(140.0)]);
        assert!(waits < 0.01, "{waits} at {step}");
    }
    // In front of a heap, somebody who stands there hides nothing of what is known.
    for step in 160..200 {
        covered(f64::from(step) * 0.5, &[carton(120.0, 90.0)], &[]);
    }
    for step in 200..280 {
        let seen = covered(f64::from(step) * 0.5, &[carton(120.0, 90.0)], &[person(140.0)]);
        assert!((0.06..0.2).contains(&seen), "{seen} at {step}");
    }
}

#[test]
fn light_is_no_object() {
    let brighter = |t: f64| if t > 30.0 { Look { gain: 1.3, offset: 6.0, ..PLAIN } } else { PLAIN };
    check(
        "exposure step",
        (60.0, 0.5),
        |t| (brighter(t), vec![]),
        &[(25.0, false), (31.0, false), (50.0, false)],
    );
    let heap = |t: f64| if t > 15.0 { vec![carton(120.0, 90.0)] } else { vec![] };
    check(
        "exposure step beside a heap",
        (60.0, 0.5),
        |t| (brighter(t), heap(t)),
        &[(25.0, true), (35.0, true), (55.0, true)],
    );
    // A negative grey is a factor: the ground in the shadow of a house.
    let shadow = |t: f64| {
        let at = [60.0, 80.0, 220.0, 165.0];
        if t > 20.0 { vec![Thing { at, grey: -0.7, stripes: 0.0, chroma: (0.0, 0.0) }] } else { vec![] }
    };
    check(
        "a shadow falls on the lane",
        (60.0, 0.5),
        |t| (PLAIN, shadow(t)),
        &[(15.0, false), (30.0, false), (55.0, false)],
    );
    let leaves = |t: f64| if t < 30.0 { vec![carton(120.0, 90.0)] } else { vec![] };
    check(
        "what stood there from the start drives off",
        (60.0, 0.5),
        |t| (PLAIN, leaves(t)),
        &[(20.0, false), (40.0, false), (58.0, false)],
    );
}

#[test]
fn a_lorry_that_fills_the_picture_erases_nothing() {
    let lorry =
        Thing { at: [0.0, 0.0, W as f32, H as f32], grey: 200.0, stripes: 20.0, chroma: (10.0, 12.0) };
    let street = |until_s: f64| {
        move |t: f64| {
            let mut things = if t > 15.0 { vec![carton(120.0, 90.0)] } else { vec![] };
            if (30.0..until_s).contains(&t) {
                things.push(lorry);
            }
            (PLAIN, things)
        }
    };
    check("it passes", (60.0, 2.0), street(33.0), &[(28.0, true), (36.0, true), (58.0, true)]);
    check("it halts", (80.0, 0.5), street(45.0), &[(28.0, true), (48.0, true), (78.0, true)]);
    // For all that is known the camera was turned: what is there then is the empty place.
    check(
        "it stays for minutes",
        (180.0, 1.0),
        street(999.0),
        &[(28.0, true), (90.0, false), (178.0, false)],
    );
}

#[test]
fn the_infrared_switch_hides_nothing() {
    let dusk = |t: f64| if t > 40.0 { Look { infrared: true, ..PLAIN } } else { PLAIN };
    let heap = |t: f64| if (15.0..80.0).contains(&t) { vec![carton(120.0, 90.0)] } else { vec![] };
    let story = [(35.0, true), (52.0, true), (75.0, true), (95.0, false)];
    check("a heap through dusk", (100.0, 0.5), |t| (dusk(t), heap(t)), &story);
    check(
        "nothing through dusk",
        (70.0, 0.5),
        |t| (dusk(t), vec![]),
        &[(35.0, false), (52.0, false), (68.0, false)],
    );
    let leaves = |t: f64| if (15.0..=40.0).contains(&t) { vec![carton(120.0, 90.0)] } else { vec![] };
    check(
        "it leaves in the very moment",
        (90.0, 2.0),
        |t| (dusk(t), leaves(t)),
        &[(36.0, true), (52.0, false), (88.0, false)],
    );
    let mut foreground = Foreground::new(&[("lane".into(), zone())]);
    let settled: Vec<bool> = (0..30)
        .map(f64::from)
        .map(|t| {
            foreground.observe(&picture(t, if t > 15.0 { dusk(99.0) } else { PLAIN }, &[]), &[])[0].settled
        })
        .collect();
    assert!(!settled[0] && settled[10] && settled[15] && !settled[16] && settled[24], "{settled:?}");
}

/// The empty zone's share that is covered `after_s` into a run that begins with `begins` and knows `known`.
fn covered_with(known: &[Picture], begins: impl Fn(f64) -> (Look, Vec<Thing>), after_s: f64) -> f32 {
    let mut foreground = Foreground::new(&[("lane".into(), zone())]);
    known.iter().for_each(|reference| foreground.know(reference));
    let mut covered = f32::NAN;
    for step in 0..=(after_s * 2.0) as u32 {
        let (look, things) = begins(f64::from(step) / 2.0);
        let seen = foreground.observe(&picture(f64::from(step) / 2.0 + 0.25, look, &things), &[]).remove(0);
        covered = if seen.settled { seen.covered } else { f32::NAN };
    }
    covered
}

#[test]
fn what_came_while_nobody_looked_is_seen_against_the_reference() {
    let day = picture(0.0, PLAIN, &[]);
    let night = Look { infrared: true, ..PLAIN };
    let brighter = Look { gain: 1.25, offset: 8.0, ..PLAIN };
    let heap = |look: Look| move |_: f64| (look, vec![carton(120.0, 90.0)]);
    let is_seen = |covered: f32| (0.06..0.2).contains(&covered);
    assert!(covered_with(&[], heap(PLAIN), 20.0) < 0.02, "nothing known: the heap is taken for the place");
    assert!(is_seen(covered_with(std::slice::from_ref(&day), heap(PLAIN), 6.0)), "after a restart");
    assert!(is_seen(covered_with(std::slice::from_ref(&day), heap(brighter), 6.0)), "in another exposure");
    let known = [day.clone(), picture(0.0, night, &[])];
    assert!(is_seen(covered_with(&known, heap(night), 6.0)), "in the night");
    // The heap comes while the lens is covered, and in the minute of the switch.
    let covered_lens = |t: f64| {
        let cover = Thing { at: [0.0, 0.0, 320.0, 180.0], grey: 20.0, stripes: 0.0, chroma: (0.0, 0.0) };
        let heap = carton(120.0, 90.0);
        (
            PLAIN,
            if t < 10.0 {
                vec![]
            } else if t < 30.0 {
                vec![cover]
            } else {
                vec![heap]
            },
        )
    };
    assert!(is_seen(covered_with(std::slice::from_ref(&day), covered_lens, 40.0)), "behind a covered lens");
    let at_dusk = |t: f64| if t < 10.0 { (PLAIN, vec![]) } else { (night, vec![carton(120.0, 90.0)]) };
    assert!(is_seen(covered_with(&known, at_dusk, 20.0)), "in the minute of the infrared switch");
    // A camera that was turned meanwhile has other pictures: the reference must not make an object of them.
    let turned = |_: f64| (Look { shake: (11.0, 9.0), gain: 0.8, ..PLAIN }, vec![carton(10.0, 5.0)]);
    let stripes = Thing { at: [0.0, 0.0, 320.0, 180.0], grey: 140.0, stripes: 60.0, chroma: (30.0, -25.0) };
    let other = |t: f64| (turned(t).0, vec![stripes]);
    assert!(covered_with(&[day], other, 20.0) < 0.02, "another view is learnt");
}

/// Visits of ten seconds, a picture in two seconds, twenty minutes apart: whether the zone is covered at each visit's end.
fn check_visits(name: &str, shows: impl Fn(usize) -> (Look, Vec<Thing>), covered_at: &[bool]) {
    let mut foreground = Foreground::new(&[("lane".into(), zone())]);
    for (visit, &covered) in covered_at.iter().enumerate() {
        let (look, things) = shows(visit);
        let mut seen = None;
        for picture_s in [0.0, 2.0, 4.0, 6.0, 8.0] {
            let picture = picture(visit as f64 * 1200.0 + picture_s, look, &things);
            seen = Some(foreground.observe(&picture, &[]).remove(0));
        }
        let seen = seen.expect("five pictures");
        let agrees = if covered { (0.06..0.2).contains(&seen.covered) } else { seen.covered < 0.02 };
        assert!(seen.settled && agrees, "{name}: {seen:?} at visit {visit}");
    }
}

#[test]
fn what_stands_at_two_visits_is_not_learnt_in_between() {
    let heap = |visit: usize| if (1..4).contains(&visit) { vec![carton(120.0, 90.0)] } else { vec![] };
    let story = [false, true, true, true, false];
    check_visits("a heap", |visit| (PLAIN, heap(visit)), &story);
    let gains = [1.0, 1.2, 0.85, 1.1, 0.8];
    let light = |visit: usize| Look { gain: gains[visit], offset: 4.0 * visit as f32, ..PLAIN };
    check_visits("a heap, in another light each time", |visit| (light(visit), heap(visit)), &story);
    check_visits("nothing but light", |visit| (light(visit), vec![]), &[false; 5]);
    let moves =
        |visit: usize| if visit > 0 { vec![carton(60.0 + 30.0 * visit as f32, 90.0)] } else { vec![] };
    check_visits("another heap each time", |visit| (PLAIN, moves(visit)), &[false, true, true, true, true]);
    let shakes = |visit: usize| Look { shake: (visit as f32, -(visit as f32)), ..PLAIN };
    check_visits("a mast that leans", |visit| (shakes(visit), heap(visit)), &story);
}

#[test]
fn an_empty_hour_gives_a_reference_and_a_busy_one_does_not() {
    let due_at = |things: &dyn Fn(f64) -> Vec<Thing>| -> Vec<f64> {
        let mut foreground = Foreground::new(&[("lane".into(), zone())]);
        let times = (0..1000).map(|i| f64::from(i) * 5.0);
        times
            .filter(|&t| {
                foreground.observe(&picture(t, PLAIN, &things(t)), &[]);
                foreground.reference_due().is_some()
            })
            .collect()
    };
    let empty = due_at(&|_| vec![]);
    assert_eq!(empty.len(), 2, "{empty:?}");
    assert!(empty[0] < 120.0 && (3600.0..3800.0).contains(&(empty[1] - empty[0])), "{empty:?}");
    assert!(due_at(&|t| if t > 30.0 { vec![carton(120.0, 90.0)] } else { vec![] }).is_empty());
    let passes = |t: f64| if (t as u32 / 5).is_multiple_of(6) { vec![carton(120.0, 90.0)] } else { vec![] };
    assert!(due_at(&passes).is_empty(), "somebody passes every half minute");
}

/// Movers of a clip at 25 pictures a second with one bright dot of 5 pixels at `path(t)`.
fn movers_of(
    seconds: f64,
    look: impl Fn(f64) -> Look,
    path: impl Fn(f64) -> Option<(f32, f32)>,
) -> Vec<Vec<Mover>> {
    let mut movers = Movers::new(&[Polygon::whole_picture()]);
    (0..(seconds * 25.0) as u32)
        .map(|i| {
            let t = f64::from(i) * 0.04;
            let dot = path(t).map(|(x, y)| Thing {
                at: [x - 2.5, y - 2.5, x + 2.5, y + 2.5],
                grey: 200.0,
                stripes: 0.0,
                chroma: (0.0, 0.0),
            });
            movers.observe(&picture(t, look(t), &dot.into_iter().collect::<Vec<_>>()))
        })
        .collect()
}

fn near(movers: &[Mover], (x, y): (f32, f32)) -> bool {
    movers.iter().any(|m| (m.at.x * W as f32 - x).abs() < 4.0 && (m.at.y * H as f32 - y).abs() < 4.0)
}

#[test]
fn a_falling_dot_is_followed() {
    let fall =
        |t: f64| (0.4..1.4).contains(&t).then_some((150.0, 10.0 + 150.0 * ((t - 0.4) * (t - 0.4)) as f32));
    let shaken =
        |t: f64| Look { shake: ((t * 9.0).sin() as f32 * 2.0, (t * 7.0).cos() as f32 * 2.0), ..PLAIN };
    for (name, shakes) in [("still", false), ("shaken", true)] {
        let look = |t: f64| if shakes { shaken(t) } else { PLAIN };
        let found = movers_of(1.6, look, fall);
        let expected: Vec<usize> = (14..34).collect();
        let hits =
            expected.iter().filter(|&&i| fall(i as f64 * 0.04).is_some_and(|p| near(&found[i], p))).count();
        assert!(hits >= 15, "{name}: {hits} of {}", expected.len());
        let others: usize = found.iter().map(Vec::len).sum::<usize>() - hits;
        assert!(others < if shakes { 160 } else { 12 }, "{name}: {others} others");
    }
}

#[test]
fn nothing_moves_when_only_the_light_does() {
    let count =
        |look: &dyn Fn(f64) -> Look| movers_of(1.6, look, |_| None).iter().map(Vec::len).sum::<usize>();
    assert!(count(&|_| PLAIN) <= 2);
    assert!(count(&|t| if t > 0.8 { Look { gain: 1.4, ..PLAIN } } else { PLAIN }) <= 8);
    assert!(count(&|t| if t > 0.8 { Look { infrared: true, ..PLAIN } } else { PLAIN }) <= 8);
    let mut movers = Movers::new(&[]);
    assert!(movers.observe(&picture(0.0, PLAIN, &[])).is_empty());
    assert!(movers.observe(&picture(0.04, PLAIN, &[carton(10.0, 10.0)])).is_empty());
}

#[test]
fn odd_pictures_are_borne() {
    let mut foreground = Foreground::new(&[("lane".into(), zone())]);
    let mut movers = Movers::new(&[zone()]);
    let sizes: [(usize, usize); 8] =
        [(0, 0), (1, 1), (33, 31), (640, 7), (7, 640), (321, 181), (160, 90), (321, 181)];
    for (i, (width, height)) in sizes.into_iter().enumerate() {
        let captured = picture(i as f64, PLAIN, &[]).captured;
        let plane = |n: usize| -> std::sync::Arc<[u8]> { vec![90u8; n].into() };
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        let odd = Picture {
            captured,
            width,
            height,
            y: plane(width * height),
            u: plane(chroma),
            v: plane(chroma),
            full_range: true,
        };
        assert_eq!(foreground.observe(&odd, &[]).len(), 1);
        movers.observe(&odd);
        let short = Picture { y: plane(width * height / 2), ..odd };
        assert_eq!(foreground.observe(&short, &[]).len(), 1);
        movers.observe(&short);
    }
}
