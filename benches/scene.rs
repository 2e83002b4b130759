//! What dwell scenarios cost per 1080p picture beyond decoding and inference: static foreground, tracks, rules.

#![allow(missing_docs)] // criterion's macro writes a public function

mod support;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use gridwatch::config::{Scenario, Zone};
use gridwatch::detect::foreground::Foreground;
use gridwatch::detection::{Detection, Findings};
use gridwatch::frame::{Captured, Clock, Picture};
use gridwatch::geometry::{BBox, Polygon};
use gridwatch::scene::Scene;
use support::CpuTime;

const SIZE: (usize, usize) = (1920, 1080);

fn at(seconds: f64) -> Captured {
    let media = Duration::from_secs_f64(seconds);
    Captured { wall: jiff::Timestamp::UNIX_EPOCH, media, clock: Clock::File }
}

fn picture(seconds: f64, seed: u64) -> Picture {
    let (width, height) = SIZE;
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut noisy =
        |n: usize, middle: u8| -> Arc<[u8]> { (0..n).map(|_| middle + chance.u8(0..6)).collect() };
    let chroma = width.div_ceil(2) * height.div_ceil(2);
    Picture {
        captured: at(seconds),
        width,
        height,
        y: noisy(width * height, 100),
        u: noisy(chroma, 130),
        v: noisy(chroma, 120),
        full_range: false,
    }
}

fn zone(scenario: &str) -> Zone {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/scenarios/{scenario}.toml"));
    let text = std::fs::read_to_string(path).expect("a scenario");
    let scenario: Scenario = toml::from_str(&text).expect("a scenario");
    let corners = [[0.1, 0.3], [0.9, 0.3], [0.95, 0.95], [0.05, 0.95]];
    Zone {
        id: "zone".into(),
        name: "zone".into(),
        revision: String::new(),
        polygon: Polygon::new(corners.map(Into::into).to_vec()).expect("a polygon"),
        rule: scenario.rule.clone(),
        scenario: Arc::new(scenario),
        hours: gridwatch::config::Hours::default(),
        facade: None,
    }
}

fn dwell(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("dwell");
    let pictures: Vec<Picture> = (0..8).map(|i| picture(0.0, i)).collect();
    let lane = zone("fire_lane");
    let mut foreground = Foreground::new(&[(lane.id.clone(), lane.polygon.clone())]);
    let mut seconds = 0.0;
    group.bench_function("static foreground, 1080p", |b| {
        b.iter(|| {
            seconds += 2.0;
            let mut picture = pictures[seconds as usize / 2 % 8].clone();
            picture.captured = at(seconds);
            black_box(foreground.observe(&picture, &[]))
        });
    });
    let mut scene = Scene::new(&[lane, zone("street_vending")]);
    let mut chance = fastrand::Rng::with_seed(7);
    group.bench_function("tracks and two zones, 30 objects", |b| {
        b.iter(|| {
            seconds += 2.0;
            let objects = (0..30).map(|i| {
                let mut jitter = || chance.f32() * 0.004;
                let (x, y) = (0.03 * i as f32 + jitter(), 0.3 + 0.02 * i as f32 + jitter());
                let class = ["car", "person", "stall"][i % 3].into();
                Detection::new(class, 0.8, BBox { x0: x, y0: y, x1: x + 0.08, y1: y + 0.1 })
            });
            let findings = Findings {
                captured: at(seconds),
                size_px: (SIZE.0 as u32, SIZE.1 as u32),
                objects: Some(objects.collect()),
                foreground: Vec::new(),
                movers: None,
            };
            black_box(scene.observe(&findings, jiff::civil::date(2026, 11, 22).at(9, 0, 0, 0)))
        });
    });
    group.finish();
}

criterion_group!(name = benches; config = support::criterion(); targets = dwell);
criterion_main!(benches);
