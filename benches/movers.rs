//! What a picture costs beyond decoding where things may fall: shake, usual look, candidates; and the rule behind them.
#![allow(missing_docs)] // criterion's macro writes a public function

mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gridwatch::detect::movers::Movers;
use gridwatch::frame::{Captured, Clock, Picture};
use support::CpuTime;

/// A facade with windows, noise of a few grey levels, shaken by half a pixel, and something that falls.
fn picture(number: usize, width: usize, height: usize, shakes: bool) -> Picture {
    let mut random = fastrand::Rng::with_seed(number as u64 + 1);
    let swing = if shakes { 0.5 * (number as f32 * 0.7).sin() } else { 0.0 };
    let (fall_x, fall_y) = (width / 2, height / 10 + number * height / 60);
    let mut y = Vec::with_capacity(width * height);
    for row in 0..height {
        for column in 0..width {
            let (px, py) = (column as f32 - swing, row as f32 + swing);
            let window = (px * 0.13).sin().max(0.0) * (py * 0.17).sin().max(0.0) * 70.0;
            let thing = column.abs_diff(fall_x) < 6 && row.abs_diff(fall_y) < 6;
            let wall = if thing { 30.0 } else { 120.0 + window };
            y.push((wall + random.f32() * 8.0) as u8);
        }
    }
    let media = Duration::from_millis(number as u64 * 40);
    let captured = Captured { wall: jiff::Timestamp::UNIX_EPOCH, media, clock: Clock::File };
    let grey = || vec![128u8; width.div_ceil(2) * height.div_ceil(2)].into();
    Picture { captured, width, height, y: y.into(), u: grey(), v: grey(), full_range: false }
}

fn observe(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("movers");
    group.sample_size(10);
    for (name, shakes) in [("still", false), ("shaken", true)] {
        for (width, height) in [(1920, 1080), (1280, 720), (640, 360)] {
            let pictures: Vec<Picture> = (0..40).map(|n| picture(n, width, height, shakes)).collect();
            group.bench_function(BenchmarkId::new(name, format!("{width}x{height}, 40 pictures")), |b| {
                b.iter(|| {
                    let mut movers = Movers::new(&[]);
                    pictures.iter().map(|p| movers.observe(black_box(p)).len()).sum::<usize>()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(name = benches; config = support::criterion(); targets = observe);
criterion_main!(benches);
