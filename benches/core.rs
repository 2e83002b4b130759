//! What each picture and each access unit costs in the pure parts: tracks, zone tests, the ring.
#![allow(missing_docs)] // criterion's macro writes a public function

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gridwatch::camera::Ring;
use gridwatch::config::{Evidence, Hours, Scenario, Zone};
use gridwatch::detection::Detection;
use gridwatch::evidence;
use gridwatch::frame::{AccessUnit, Captured, Clock, Codec, Picture};
use gridwatch::geometry::{BBox, Point, Polygon};
use gridwatch::observation::{Observation, Stage};
use gridwatch::track::Tracker;
use support::CpuTime;

fn at(seconds: f64) -> Captured {
    let media = Duration::from_secs_f64(seconds);
    Captured { wall: jiff::Timestamp::UNIX_EPOCH, media, clock: Clock::File }
}

/// Objects of three classes, half of which stand and half of which walk to and fro.
fn objects(count: usize, step: usize, random: &mut fastrand::Rng) -> Vec<Detection> {
    let place = |i: usize, random: &mut fastrand::Rng| {
        let walked = if i.is_multiple_of(2) { 0.0 } else { 0.004 * (step % 50) as f32 };
        let x = (i * 37 % 97) as f32 / 110.0 + walked + 0.003 * random.f32();
        let y = (i * 53 % 89) as f32 / 110.0 + 0.003 * random.f32();
        BBox { x0: x, y0: y, x1: x + 0.05, y1: y + 0.08 }
    };
    let class = |i: usize| ["car", "person", "stall"][i % 3].into();
    (0..count).map(|i| Detection::new(class(i), 0.5 + 0.5 * random.f32(), place(i, random))).collect()
}

fn tracking(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("track");
    for count in [5, 30, 100] {
        let mut random = fastrand::Rng::with_seed(7);
        let pictures: Vec<_> = (0..50).map(|step| objects(count, step, &mut random)).collect();
        let (mut tracker, mut step) = (Tracker::new(), 0);
        group.bench_function(BenchmarkId::new("a picture of objects", count), |b| {
            b.iter(|| {
                step += 1;
                tracker.observe(&at(step as f64 * 2.0), black_box(&pictures[step % pictures.len()]));
                tracker.tracks().len()
            });
        });
    }
    group.finish();
}

/// A zone with this many corners round the picture's middle.
fn zone(corners: usize) -> Polygon {
    let corner = |i: usize| {
        let angle = std::f32::consts::TAU * i as f32 / corners as f32;
        // Every second corner a little inwards: operators' zones are seldom convex.
        let radius = if i.is_multiple_of(2) { 0.4 } else { 0.3 };
        [0.5 + radius * angle.cos(), 0.5 + radius * angle.sin()].into()
    };
    Polygon::new((0..corners).map(corner).collect()).expect("a polygon")
}

fn zones(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("zone");
    let mut random = fastrand::Rng::with_seed(7);
    let boxes: Vec<BBox> = objects(30, 0, &mut random).iter().map(|object| object.bbox).collect();
    for corners in [4, 16] {
        let zone = zone(corners);
        group.bench_function(BenchmarkId::new("feet of 30 objects, corners", corners), |b| {
            b.iter(|| black_box(&boxes).iter().filter(|bbox| zone.contains(bbox.foot())).count());
        });
        group.bench_function(BenchmarkId::new("shares of 30 objects, corners", corners), |b| {
            b.iter(|| black_box(&boxes).iter().map(|bbox| zone.share_of_box(bbox)).sum::<f32>());
        });
        group.bench_function(BenchmarkId::new("covered by 30 objects, corners", corners), |b| {
            b.iter(|| zone.covered_by(black_box(&boxes)));
        });
    }
    group.finish();
}

fn ring(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("ring");
    // 3 Mbit/s at 25 pictures/s, a key picture every 2 s.
    let (key, inter): (Arc<[u8]>, Arc<[u8]>) = (vec![1; 200_000].into(), vec![1; 11_000].into());
    let unit = |n: usize| AccessUnit {
        captured: at(n as f64 / 25.0),
        codec: Codec::H264,
        key: n.is_multiple_of(50),
        after_loss: false,
        data: Arc::clone(if n.is_multiple_of(50) { &key } else { &inter }),
        pts_90k: n as i64 * 3600,
    };
    let (mut full, mut n) = (Ring::new(8_000_000), 0);
    let mut push = |full: &mut Ring| {
        full.push(unit(n));
        n += 1;
        full.bytes()
    };
    while full.bytes() < 7_000_000 {
        push(&mut full);
    }
    group.bench_function("an access unit into a full ring of 8 MB", |b| b.iter(|| push(&mut full)));
    group.bench_function("ten seconds out of it", |b| {
        let newest = full.newest_key().map_or(Duration::ZERO, |unit| unit.captured.media);
        let from = newest.saturating_sub(Duration::from_secs(10));
        b.iter(|| full.since(black_box(from)).len());
    });
    group.finish();
}

/// A picture with as much detail as a street has: surfaces, edges, a sensor's noise.
fn street(width: usize, height: usize) -> Picture {
    let mut random = fastrand::Rng::with_seed(7);
    let mut plane = |width: usize, height: usize, contrast: usize| -> Arc<[u8]> {
        let shade = |x: usize, y: usize| 128 - contrast / 2 + (x / 24 * 37 + y / 40 * 61) % contrast;
        let noisy = |(x, y)| (shade(x, y) + random.usize(..7)) as u8;
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(noisy).collect()
    };
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    Picture {
        captured: at(0.0),
        width,
        height,
        y: plane(width, height, 120),
        u: plane(half_width, half_height, 20),
        v: plane(half_width, half_height, 20),
        full_range: false,
    }
}

/// What an incident's picture costs: shrunk, a person hidden, the zone and what stands in it drawn, written as JPEG.
fn pictures(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("snapshot");
    let (street, settings) = (street(1920, 1080), Evidence::default());
    let scenario: Scenario = toml::from_str(
        "id = 'fire_lane'\nlevel = 'orange'\ntitle = { zh = '', en = '' }\ndescription = { zh = '', en = '' }\n\
         rule = { kind = 'obstruction', dwell_s = 60.0 }",
    )
    .expect("a scenario");
    let lane = [[0.3, 0.35], [0.6, 0.3], [0.95, 0.9], [0.1, 0.95]].map(Point::from);
    let zone = Zone {
        id: "lane".into(),
        name: String::new(),
        revision: "0".into(),
        polygon: Polygon::new(lane.to_vec()).expect("a polygon"),
        rule: scenario.rule.clone(),
        scenario: Arc::new(scenario),
        hours: Hours::default(),
        facade: None,
    };
    let car = BBox { x0: 0.4, y0: 0.5, x1: 0.6, y1: 0.75 };
    let seen = Observation {
        zone: zone.id.clone(),
        stage: Stage::Confirmed,
        first_seen: at(0.0),
        confirmed_at: Some(at(60.0)),
        last_seen: at(60.0),
        at: at(60.0),
        dwell_s: 60.0,
        unseen_s: 0.0,
        coverage: 0.4,
        objects: vec![Detection::new("car".into(), 0.9, car)],
        trajectory: None,
    };
    let persons = [BBox { x0: 0.3, y0: 0.4, x1: 0.33, y1: 0.55 }];
    group.bench_function("1080p", |b| {
        b.iter(|| {
            let picture = black_box(&street);
            evidence::snapshot(picture, &zone, &seen, &persons, &[], &settings, "gate  now")
                .map_or(0, |j| j.len())
        });
    });
    group.finish();
}

criterion_group!(name = benches; config = support::criterion(); targets = tracking, zones, ring, pictures);
criterion_main!(benches);
