//! What each picture and each access unit costs in the pure parts: tracks, zone tests, the ring.
#![allow(missing_docs)] // criterion's macro writes a public function

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gridwatch::camera::Ring;
use gridwatch::detection::Detection;
use gridwatch::frame::{AccessUnit, Captured, Clock, Codec};
use gridwatch::geometry::{BBox, Polygon};
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

criterion_group!(name = benches; config = support::criterion(); targets = tracking, zones, ring);
criterion_main!(benches);
