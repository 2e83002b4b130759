//! Real detectors of every family on real pictures, against figures that another implementation reached with them.
//!
//! Wants the material of `GRIDWATCH_DATA` or `../shared/data` and ONNX Runtime; says so and passes where they are absent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gridwatch::config::{Model, Provider};
use gridwatch::detect::{COCO, Detector, Family};
use gridwatch::frame::{Captured, Clock, Picture};
use gridwatch::geometry::BBox;

/// Model, family without a card, AP50 over all classes and of persons.
#[rustfmt::skip]
const REFERENCE: [(&str, Family, f64, f64); 12] = [
    ("fastestdet_352", Family::Fastestdet, 0.321, 0.448),
    ("yolox_nano_416", Family::Yolox, 0.492, 0.622),
    ("nanodet_m_320", Family::Nanodet, 0.452, 0.582),
    ("nanodet_m_416", Family::Nanodet, 0.501, 0.641),
    ("nanodet_zoo_2022nov", Family::Nanodet, 0.483, 0.644),
    ("nanodet_zoo_2022nov_int8", Family::Nanodet, 0.441, 0.598),
    ("picodet_s_320", Family::Picodet, 0.537, 0.640),
    ("light_person", Family::Yolox, 0.006, 0.413),
    ("yolov5n_jinyutong", Family::Yolov5, 0.535, 0.727),
    ("yolov8n_int8_a", Family::Yolov8, 0.570, 0.756),
    ("yolov8n_int8_d", Family::Yolov8, 0.477, 0.588),
    ("yolo11n_int8_a", Family::Yolov8, 0.427, 0.565),
];

/// How far below the reference a figure may lie.
const SLACK: f64 = 0.02;

/// The same for 8-bit models on processors without VNNI: there ONNX Runtime adds products of 8-bit numbers in 16 bits,
/// which overflow into saturation, and the models are really worse (the references come from a processor with VNNI).
const SLACK_INT8_WITHOUT_VNNI: f64 = 0.03;

fn slack(name: &str) -> f64 {
    #[cfg(target_arch = "x86_64")]
    let vnni = is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni");
    #[cfg(not(target_arch = "x86_64"))]
    let vnni = true;
    if name.contains("int8") && !vnni { SLACK_INT8_WITHOUT_VNNI } else { SLACK }
}

#[test]
fn real_detectors_reach_their_reference() {
    let Some(data) = data() else { return };
    let pictures = load_pictures(&data.join("images/coco128_train2017"));
    assert_eq!(pictures.len(), 128);
    // `GRIDWATCH_MODEL=yolox` measures only the models of that name.
    let only = std::env::var("GRIDWATCH_MODEL").unwrap_or_default();
    let mut short = Vec::new();
    for (name, family, all, person) in REFERENCE.into_iter().filter(|r| r.0.contains(&only)) {
        let detector = Detector::load(&model(&data, name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(detector.family(), family, "{name}");
        let start = std::time::Instant::now();
        let found: Vec<_> = pictures.iter().map(|p| detector.detect(&p.picture).unwrap()).collect();
        let ms = start.elapsed().as_secs_f64() * 1000.0 / pictures.len() as f64;
        let single = detector.classes().len() == 1;
        let class_of = |class: &str| {
            // The one class of a one-class model is what its test looks for: persons.
            if single { 0 } else { COCO.iter().position(|c| *c == class).unwrap() }
        };
        let boxes: Vec<Vec<(usize, f32, BBox)>> = found
            .iter()
            .map(|d| d.iter().map(|d| (class_of(d.class.as_str()), d.score, d.bbox)).collect())
            .collect();
        let ap = average_precision(&pictures, &boxes);
        let mean = ap.values().sum::<f64>() / ap.len() as f64;
        println!("{name:26} AP50 {mean:.3} ({all:.3}), person {:.3} ({person:.3}), {ms:.0} ms", ap[&0]);
        let slack = slack(name);
        if mean < all - slack || ap[&0] < person - slack {
            short.push(name);
        }
    }
    assert!(short.is_empty(), "below their reference: {short:?}");
}

#[test]
fn the_ssd_layout_is_recognised() {
    let Some(data) = data() else { return };
    let detector = Detector::load(&model(&data, "face_rfb320_ssd")).unwrap();
    assert_eq!((detector.family(), detector.input_size()), (Family::Ssd, (320, 240)));
    assert_eq!(detector.classes().len(), 1);
}

fn data() -> Option<PathBuf> {
    let data = std::env::var_os("GRIDWATCH_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    if !data.join("models").is_dir() {
        println!("skipped: no test material in `{}`", data.display());
        return None;
    }
    if let Err(e) = gridwatch::detect::runtime() {
        println!("skipped: {e}");
        return None;
    }
    Some(data)
}

fn model(data: &Path, name: &str) -> Model {
    Model {
        name: name.to_owned(),
        file: data.join(format!("models/{name}.onnx")),
        provider: Provider::Cpu,
        threads: 1,
        score_min: 0.05,
        batch_max: 1,
        nms_iou: 0.5,
    }
}

/// A picture and what is in it: class and box.
struct Labelled {
    picture: Picture,
    truth: Vec<(usize, BBox)>,
}

fn load_pictures(dir: &Path) -> Vec<Labelled> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir.join("images")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let load = |file: PathBuf| {
        let label = dir.join("labels").join(file.with_extension("txt").file_name().unwrap());
        let text = std::fs::read_to_string(label).unwrap_or_default();
        let truth = text
            .lines()
            .map(|line| {
                let n: Vec<f32> = line.split_whitespace().map(|n| n.parse().unwrap()).collect();
                let (w, h) = (n[3] / 2.0, n[4] / 2.0);
                (n[0] as usize, BBox::clamped(n[1] - w, n[2] - h, n[1] + w, n[2] + h))
            })
            .collect();
        Labelled { picture: i420(&image::open(file).unwrap().to_rgb8()), truth }
    };
    files.into_iter().map(load).collect()
}

/// JPEG's own Y'CbCr: BT.601, full range, chroma averaged over 2 x 2.
fn i420(rgb: &image::RgbImage) -> Picture {
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    let at = |x: usize, y: usize| {
        let pixel = rgb.get_pixel(x.min(width - 1) as u32, y.min(height - 1) as u32);
        pixel.0.map(f32::from)
    };
    let luma = |[r, g, b]: [f32; 3]| 0.299 * r + 0.587 * g + 0.114 * b;
    let y = (0..width * height).map(|i| luma(at(i % width, i / width)).round() as u8).collect();
    let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
    let chroma = |channel: usize, gain: f32| {
        let sample = |i: usize| {
            let (x, y) = (i % chroma_width * 2, i / chroma_width * 2);
            let four = [at(x, y), at(x + 1, y), at(x, y + 1), at(x + 1, y + 1)];
            let mean = four.iter().map(|&p| (p[channel] - luma(p)) * gain).sum::<f32>() / 4.0;
            (mean + 128.0).round().clamp(0.0, 255.0) as u8
        };
        (0..chroma_width * chroma_height).map(sample).collect()
    };
    let captured = Captured { wall: jiff::Timestamp::UNIX_EPOCH, media: Duration::ZERO, clock: Clock::File };
    let (u, v) = (chroma(2, 0.5 / 0.886), chroma(0, 0.5 / 0.701));
    Picture { captured, width, height, y, u, v, full_range: true }
}

/// AP at IoU 0.5 per class that is present: precision at 101 recalls, as COCO counts it.
fn average_precision(pictures: &[Labelled], found: &[Vec<(usize, f32, BBox)>]) -> BTreeMap<usize, f64> {
    let mut present: Vec<usize> = pictures.iter().flat_map(|p| p.truth.iter().map(|t| t.0)).collect();
    present.sort_unstable();
    present.dedup();
    let ap = |class: usize| {
        let mut hits: Vec<(f32, bool)> = Vec::new();
        let mut total = 0;
        for (picture, boxes) in pictures.iter().zip(found) {
            let truth: Vec<BBox> = picture.truth.iter().filter(|t| t.0 == class).map(|t| t.1).collect();
            total += truth.len();
            let mut free = vec![true; truth.len()];
            // Detections come surest first.
            for (_, score, bbox) in boxes.iter().filter(|b| b.0 == class) {
                let overlaps = (0..truth.len()).filter(|&i| free[i]).map(|i| (i, bbox.iou(&truth[i])));
                let best = overlaps.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|o| o.1 >= 0.5);
                if let Some((i, _)) = best {
                    free[i] = false;
                }
                hits.push((*score, best.is_some()));
            }
        }
        hits.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut right, mut curve) = (0, Vec::new());
        for (n, (_, hit)) in hits.iter().enumerate() {
            right += usize::from(*hit);
            curve.push((right as f64 / total as f64, right as f64 / (n + 1) as f64));
        }
        let precision_at =
            |recall: f64| curve.iter().filter(|c| c.0 >= recall).map(|c| c.1).fold(0.0, f64::max);
        (0..=100).map(|i| precision_at(f64::from(i) / 100.0)).sum::<f64>() / 101.0
    };
    present.into_iter().map(|class| (class, ap(class))).collect()
}
