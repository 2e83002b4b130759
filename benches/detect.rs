//! What the detect stage costs round the model itself: letterbox, decoding of each layout, suppression.
#![allow(missing_docs)] // criterion's macro writes a public function

mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gridwatch::detect::family::{Grid, Output};
use gridwatch::detect::letterbox::Letterbox;
use gridwatch::detect::nms::{Nms, Scored, VEHICLE_IOU};
use gridwatch::detect::{COCO, Family, InputSpec};
use gridwatch::detection::Class;
use gridwatch::frame::{Captured, Clock, Picture};
use gridwatch::geometry::BBox;
use support::CpuTime;

fn picture(width: usize, height: usize) -> Picture {
    let mut random = fastrand::Rng::with_seed(7);
    let mut noise = |n: usize| std::iter::repeat_with(|| random.u8(..)).take(n).collect();
    let captured = Captured { wall: jiff::Timestamp::UNIX_EPOCH, media: Duration::ZERO, clock: Clock::File };
    let (y, u, v) = (noise(width * height), noise(width * height / 4), noise(width * height / 4));
    Picture { captured, width, height, y, u, v, full_range: false }
}

fn letterbox(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("letterbox");
    for (width, height) in [(1920, 1080), (1280, 720), (704, 576), (640, 360)] {
        let picture = picture(width, height);
        for (across, down) in [(640, 640), (512, 288), (320, 320)] {
            let mut letterbox = Letterbox::new(&InputSpec::usual(Family::Yolov8, across, down));
            let name = BenchmarkId::new(format!("{width}x{height}"), format!("{across}x{down}"));
            group.bench_function(name, |b| b.iter(|| letterbox.fill(black_box(&picture)).map(|r| r.0[0])));
        }
    }
    group.finish();
}

/// Outputs of a usual model of 640 x 640 and 80 classes, of which one box in a hundred is likely.
fn outputs(family: Family) -> Vec<Output<'static>> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut values = |n: usize| -> Vec<f32> {
        let score = |r: &mut fastrand::Rng| if r.u32(..8000) == 0 { 0.8 } else { 0.01 * r.f32() };
        std::iter::repeat_with(|| score(&mut random)).take(n).collect()
    };
    let mut output = |name: &'static str, shape: &[usize]| Output {
        name,
        shape: shape.to_vec(),
        values: values(shape.iter().product()).into(),
    };
    match family {
        Family::Yolov5 => vec![output("output", &[1, 25200, 85])],
        Family::Yolov8 => vec![output("output0", &[1, 84, 8400])],
        Family::Yolox => vec![output("output", &[1, 8400, 85])],
        Family::Nanodet | Family::Picodet => {
            let sides: &[usize] = if family == Family::Nanodet { &[80, 40, 20] } else { &[80, 40, 20, 10] };
            let pairs =
                [80, 32].into_iter().flat_map(|columns| sides.iter().map(move |s| [1, s * s, columns]));
            pairs.map(|shape| output("pair", &shape)).collect()
        }
        Family::Fastestdet => vec![output("map", &[1, 85, 40, 40])],
        Family::Ssd => vec![output("scores", &[1, 8732, 81]), output("boxes", &[1, 8732, 4])],
        Family::EndToEnd => vec![output("output0", &[1, 300, 6])],
        Family::Rtdetr => vec![output("logits", &[1, 300, 80]), output("pred_boxes", &[1, 300, 4])],
    }
}

fn decode(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("decode");
    let grid = Grid { width: 640, height: 640, classes: 80 };
    for family in Family::ALL {
        let outputs = outputs(family);
        group.bench_function(family.to_string(), |b| {
            b.iter(|| family.decode(black_box(&outputs), grid, 0.25));
        });
    }
    group.finish();
}

fn nms(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("nms");
    let classes = COCO.map(Class::from);
    let nms = Nms::new(&classes, Some(0.5), Some(VEHICLE_IOU));
    for count in [50, 500, 5000] {
        let mut random = fastrand::Rng::with_seed(7);
        // Some twenty boxes round each object, as dense heads give them.
        let boxes: Vec<Scored> = (0..count)
            .map(|i| {
                let object = (i / 20 * 37 % 97) as f32 / 100.0;
                let (x, y) = (object + random.f32() * 0.01, object * 0.7 + random.f32() * 0.01);
                let bbox = BBox::clamped(x, y, x + 0.08, y + 0.1);
                Scored { class: i / 20 % 8, score: random.f32(), bbox }
            })
            .collect();
        group.bench_function(count.to_string(), |b| b.iter(|| nms.keep(black_box(boxes.clone()))));
    }
    group.finish();
}

criterion_group!(name = benches; config = support::criterion(); targets = letterbox, decode, nms);
criterion_main!(benches);
