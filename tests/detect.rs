//! The detect stage from file to boxes, on ONNX files made here; wants ONNX Runtime, and says so and passes without it.

mod onnx_file;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gridwatch::cli::models;
use gridwatch::config::{Model, Provider};
use gridwatch::detect::movers::{Network, NetworkCard};
use gridwatch::detect::{DetectError, Detector, Family, hash};
use gridwatch::detection::Mover;
use gridwatch::frame::{Captured, Clock, Picture};
use onnx_file::{BOOL, FLOAT16, INT64, OnnxFile, UINT8};

fn runtime_is_there() -> bool {
    match gridwatch::detect::runtime() {
        Ok(_) => true,
        Err(e) => {
            println!("skipped: {e}");
            false
        }
    }
}

fn write(dir: &Path, bytes: &[u8]) -> PathBuf {
    let file = dir.join("model.onnx");
    std::fs::write(&file, bytes).unwrap();
    file
}

fn model(file: PathBuf) -> Model {
    let provider = Provider::Cpu;
    Model { name: "test".into(), file, provider, threads: 1, batch_max: 1, score_min: 0.3, nms_iou: 0.5 }
}

fn load(bytes: &[u8]) -> Result<Detector, DetectError> {
    let dir = tempfile::tempdir().unwrap();
    Detector::load(&model(write(dir.path(), bytes)))
}

/// A grey picture of twice the width of its height.
fn picture() -> Picture {
    let captured = Captured { wall: jiff::Timestamp::UNIX_EPOCH, media: Duration::ZERO, clock: Clock::File };
    let (width, height) = (128, 64);
    let grey = |n: usize| vec![128; n].into();
    Picture { captured, width, height, y: grey(8192), u: grey(2048), v: grey(2048), full_range: true }
}

/// The input of all files here: 64 x 64, so that `picture()` lies in rows 16 to 48 of a centred letterbox.
const INPUT: [Option<u64>; 4] = [Some(1), Some(3), Some(64), Some(64)];
/// Cells of 64 x 64 on strides 8, 16, 32.
const CELLS: usize = 64 + 16 + 4;

/// A matrix of zeros with this row.
fn rows(count: usize, at: usize, row: &[f32]) -> Vec<f32> {
    let mut values = vec![0.0; count * row.len()];
    values[at * row.len()..][..row.len()].copy_from_slice(row);
    values
}

/// The same, a channel per row.
fn columns(count: usize, at: usize, column: &[f32]) -> Vec<f32> {
    (0..column.len() * count).map(|i| if i % count == at { column[i / count] } else { 0.0 }).collect()
}

/// Sides of a box for GFL heads: each puts all weight on one of eight bins.
fn bins(sides: [usize; 4]) -> Vec<f32> {
    sides.iter().flat_map(|&side| (0..8).map(move |bin| if bin == side { 40.0 } else { 0.0 })).collect()
}

/// Scores and distances on each of `strides`, with one box at the second cell of stride 16.
fn gfl(strides: &[usize]) -> OnnxFile {
    let mut file = OnnxFile::with_input(&INPUT);
    for &stride in strides {
        let cells = (64usize.div_ceil(stride)).pow(2);
        let scores = if stride == 16 { rows(cells, 5, &[0.1, 0.8, 0.0]) } else { vec![0.0; cells * 3] };
        file = file.output(&format!("cls_{stride}"), &[1, cells, 3], &scores);
    }
    for &stride in strides {
        let cells = (64usize.div_ceil(stride)).pow(2);
        let distances =
            if stride == 16 { rows(cells, 5, &bins([1, 0, 1, 1])) } else { vec![0.0; cells * 32] };
        file = file.output(&format!("dis_{stride}"), &[1, cells, 32], &distances);
    }
    file
}

/// Every family: a file, and the one box that it finds: class, score, box in ratios of the picture.
fn families() -> Vec<(Family, OnnxFile, &'static str, f32, [f32; 4])> {
    let file = || OnnxFile::with_input(&INPUT);
    let dict = "{0: 'person', 1: 'stall'}";
    // In the input: 16..48 across, 24..40 down.
    let centred = [0.25, 0.25, 0.75, 0.75];
    let yolov8 = columns(CELLS, 7, &[32.0, 32.0, 32.0, 16.0, 0.1, 0.9]);
    let segmented = columns(CELLS, 7, &[[32.0, 32.0, 32.0, 16.0, 0.1, 0.9].as_slice(), &[9.0; 32]].concat());
    let yolov5 = rows(3 * CELLS, 7, &[32.0, 32.0, 32.0, 16.0, 0.9, 0.1, 1.0]);
    // Decoded boxes on the grid of YOLOX: the last cell's centre gives it away.
    let mut decoded = rows(CELLS, 7, &[32.0, 32.0, 32.0, 16.0, 0.9, 0.1, 1.0]);
    decoded[(CELLS - 1) * 7..][..4].copy_from_slice(&[48.0, 48.0, 8.0, 8.0]);
    // Stride 16, column 1, row 1; a top-left letterbox has the picture in rows 0 to 32.
    let yolox = rows(CELLS, 64 + 5, &[0.0, 0.0, 2f32.ln(), 0.0, 0.9, 0.0, 1.0]);
    // Channels at one cell of a 4 x 4 map: middle of the input, half as wide and as high.
    let fastestdet = columns(16, 10, &[0.9, 0.0, 0.0, 0.0, 0.0, 0.1, 0.9]);
    let end_to_end = rows(300, 3, &[16.0, 24.0, 48.0, 40.0, 0.9, 1.0]);
    vec![
        (
            Family::Yolov8,
            file().output("output0", &[1, 6, CELLS], &yolov8).metadata("names", dict),
            "stall",
            0.9,
            centred,
        ),
        (Family::Yolov8, file().output("output0", &[1, 6, CELLS], &yolov8), "class_1", 0.9, centred),
        (
            Family::Yolov8,
            file()
                .output("output0", &[1, 38, CELLS], &segmented)
                .output("output1", &[1, 32, 16, 16], &vec![1.0; 32 * 256])
                .metadata("names", dict),
            "stall",
            0.9,
            centred,
        ),
        (
            Family::Yolov5,
            file().output("output", &[1, 3 * CELLS, 7], &yolov5).metadata("names", "['person', 'stall']"),
            "stall",
            0.9,
            centred,
        ),
        (Family::Yolov5, file().output("output", &[1, CELLS, 7], &decoded), "class_1", 0.9, centred),
        (
            Family::Yolox,
            file().output("output", &[1, CELLS, 7], &yolox),
            "class_1",
            0.9,
            [0.0, 0.25, 0.5, 0.75],
        ),
        // Anchored at (24, 24): 8..40 across, 24..40 down.
        (Family::Nanodet, gfl(&[8, 16, 32]), "class_1", 0.8, [0.125, 0.25, 0.625, 0.75]),
        // Stretched: the input's ratios are the picture's.
        (Family::Picodet, gfl(&[8, 16, 32, 64]), "class_1", 0.8, [0.125, 0.375, 0.625, 0.625]),
        (
            Family::Fastestdet,
            file().output("758", &[1, 7, 4, 4], &fastestdet),
            "class_1",
            0.9,
            [0.25, 0.25, 0.75, 0.75],
        ),
        (
            Family::Ssd,
            file().output("scores", &[1, 90, 3], &rows(90, 8, &[0.1, 0.0, 0.9])).output(
                "boxes",
                &[1, 90, 4],
                &rows(90, 8, &[0.25, 0.25, 0.75, 0.5]),
            ),
            "class_1",
            0.9,
            [0.25, 0.25, 0.75, 0.5],
        ),
        (
            Family::EndToEnd,
            file().output("output0", &[1, 300, 6], &end_to_end).metadata("names", dict),
            "stall",
            0.9,
            centred,
        ),
        (Family::EndToEnd, file().output("output0", &[1, 300, 6], &end_to_end), "bicycle", 0.9, centred),
        (
            Family::Rtdetr,
            file()
                .input("orig_target_sizes", INT64, &[None, Some(2)])
                .output_i64("labels", &[1, 5], &[0, 2, 0, 0, 0])
                .output("boxes", &[1, 5, 4], &rows(5, 1, &[16.0, 16.0, 48.0, 32.0]))
                .output("scores", &[1, 5], &[0.1, 0.9, 0.0, 0.0, 0.0]),
            "car",
            0.9,
            [0.25, 0.25, 0.75, 0.5],
        ),
        (
            Family::Rtdetr,
            file()
                .output("logits", &[1, 2, 80], &[vec![-5.0; 82], vec![9f32.ln()], vec![-5.0; 77]].concat())
                .output("pred_boxes", &[1, 2, 4], &[0.5, 0.5, 0.1, 0.1, 0.5, 0.5, 0.5, 0.5]),
            "car",
            0.9,
            [0.25, 0.25, 0.75, 0.75],
        ),
    ]
}

#[test]
fn every_family_is_recognised_and_read() {
    if !runtime_is_there() {
        return;
    }
    for (family, file, class, score, bbox) in families() {
        let detector = load(&file.bytes()).unwrap_or_else(|e| panic!("{family}: {e}"));
        assert_eq!(detector.family(), family);
        assert_eq!(detector.input_size(), (64, 64));
        let found = detector.detect(&picture()).unwrap();
        assert_eq!(found.len(), 1, "{family}: {found:?}");
        assert_eq!(
            (found[0].class.as_str(), (found[0].score - score).abs() < 0.02),
            (class, true),
            "{family}"
        );
        let near = <[f32; 4]>::from(found[0].bbox).iter().zip(bbox).all(|(a, b)| (a - b).abs() < 0.01);
        assert!(near, "{family}: {:?} is not {bbox:?}", found[0].bbox);
    }
}

#[test]
fn what_is_no_detector_is_named() {
    if !runtime_is_there() {
        return;
    }
    let good = OnnxFile::with_input(&INPUT).output("output0", &[1, 6, CELLS], &[0.0; 6 * CELLS]);
    let check = |what: &str, bytes: &[u8], wants: &str| {
        let error = load(bytes).map(|d| d.family()).unwrap_err().to_string();
        assert!(error.contains(wants), "{what}: {error}");
        assert!(!error.contains('\n') && error.contains("model.onnx"), "{what}: {error}");
    };
    check("nothing", b"", "refuses");
    check("text", b"<html>404</html>", "refuses");
    check("noise", &(0..4096u32).map(|i| (i.wrapping_mul(7919) >> 3) as u8).collect::<Vec<_>>(), "refuses");
    let cut = good.bytes();
    check("the first half", &cut[..cut.len() / 2], "refuses");
    check("an unknown operator", &swap(&good.bytes(), *b"Identity", *b"Idempote"), "Idempote");
    let output = |file: OnnxFile| file.output("output0", &[1, 6, CELLS], &[0.0; 6 * CELLS]).bytes();
    check(
        "grey pictures",
        &output(OnnxFile::with_input(&[Some(1), Some(1), Some(64), Some(64)])),
        "[1, 1, 64, 64]",
    );
    check("a list", &output(OnnxFile::with_input(&[Some(1), Some(512)])), "[1, 512]");
    check("huge", &output(OnnxFile::with_input(&[Some(1), Some(3), Some(9000), Some(64)])), "64x9000");
    check("bytes", &output(OnnxFile::default().input("images", UINT8, &INPUT)), "Uint8");
    let labels = OnnxFile::with_input(&INPUT).output("prob", &[1, 1000], &[0.0; 1000]);
    check("a classifier", &labels.bytes(), "`prob` [1, 1000]");
    let truth = OnnxFile::with_input(&INPUT).constant("yes", BOOL, &[1], &[1]);
    check("truth values", &truth.bytes(), "Bool");

    check("turned boxes", &good.clone().metadata("task", "obb").bytes(), "obb");
    let several = good.clone().input("mask", UINT8, &[None]).input("more", UINT8, &[None]);
    check("three inputs", &several.bytes(), "`mask`");
}

fn swap(bytes: &[u8], from: [u8; 8], to: [u8; 8]) -> Vec<u8> {
    let at = bytes.windows(8).position(|w| w == from).unwrap();
    [&bytes[..at], &to, &bytes[at + 8..]].concat()
}

const CARD: &str = r#"
name = "street-v2"
file = "model.onnx"
sha256 = "SHA256"
family = "yolov8"
classes = ["person", "stall"]
licence = "Apache-2.0"
input = { width = 64, height = 64, colour = "rgb", resize = "stretch", scale = 0.00392156863 }
"#;

#[test]
fn a_card_is_believed_and_checked() {
    if !runtime_is_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let values = columns(CELLS, 7, &[32.0, 32.0, 32.0, 16.0, 0.1, 0.9]);
    let open = [Some(1), Some(3), None, None];
    let bytes = OnnxFile::with_input(&open).output("output0", &[1, 6, CELLS], &values).bytes();
    let file = write(dir.path(), &bytes);
    let card = CARD.replace("SHA256", &hash(&file).unwrap());
    let load = |card: &str| {
        std::fs::write(dir.path().join("model.toml"), card).unwrap();
        Detector::load(&model(file.clone()))
    };
    let detector = load(&card).unwrap();
    assert_eq!((detector.stamp().name.as_str(), detector.input_size()), ("street-v2", (64, 64)));
    let found = detector.detect(&picture()).unwrap();
    // Stretched, as the card says, not letterboxed.
    assert_eq!(found[0].class.as_str(), "stall");
    assert!((found[0].bbox.y0 - 0.375).abs() < 0.01, "{found:?}");

    let check = |from: &str, to: &str, wants: &str| {
        assert!(card.contains(from));
        let error = load(&card.replace(from, to)).map(|d| d.family()).unwrap_err().to_string();
        assert!(error.contains(wants), "`{to}`: {error}");
    };
    check("sha256 = \"", "sha256 = \"0000", "64");
    check(&hash(&file).unwrap()[..8], "00000000", "is not the file");
    check("\"yolov8\"", "\"yolox\"", "do not fit the family `yolox`");
    check("\"stall\"]", "\"stall\", \"cart\"]", "do not fit");
    check("licence", "license", "license");
}

#[test]
fn shapes_of_the_run_and_odd_numbers_are_survived() {
    if !runtime_is_there() {
        return;
    }
    // NaN, infinities and boxes turned inside out among one good box.
    let mut values = columns(CELLS, 7, &[32.0, 32.0, 32.0, 16.0, 0.1, 0.9]);
    let mut put = |cell: usize, column: [f32; 6]| {
        for (channel, value) in column.into_iter().enumerate() {
            values[channel * CELLS + cell] = value;
        }
    };
    put(1, [f32::NAN, 32.0, 32.0, 16.0, 0.9, 0.1]);
    put(2, [32.0, f32::INFINITY, 32.0, 16.0, 0.9, 0.1]);
    put(3, [32.0, 32.0, -32.0, 16.0, 0.9, 0.1]);
    put(4, [32.0, 32.0, 32.0, 16.0, f32::NAN, f32::NAN]);
    put(5, [32.0, 32.0, 32.0, 16.0, f32::INFINITY, 0.1]);
    put(6, [32.0, 4.0, 32.0, 4.0, 0.9, 0.1]); // in the upper bar
    let file = OnnxFile::with_input(&INPUT).output("output0", &[1, 6, CELLS], &values);
    let detector = load(&file.bytes()).unwrap();
    let found = detector.detect(&picture()).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].class.as_str(), "class_1");
}

/// A model that sees something everywhere: the surest are kept, in time.
#[test]
fn a_million_boxes_are_bounded() {
    if !runtime_is_there() {
        return;
    }
    const COUNT: usize = 1_000_000;
    let value = |i: usize| match i / COUNT {
        0 => (i % 640) as f32 / 10.0,
        1 => 17.0 + (i / 640 % 300) as f32 / 10.0,
        2 | 3 => 0.05 + (i % 7) as f32,
        _ => 0.3 + (i % 1009) as f32 / 2000.0,
    };
    let values: Vec<f32> = (0..6 * COUNT).map(value).collect();
    let file = OnnxFile::with_input(&INPUT).output("output0", &[1, 6, COUNT], &values);
    let detector = load(&file.metadata("names", "{0: 'person', 1: 'stall'}").bytes()).unwrap();
    let began = std::time::Instant::now();
    let found = detector.detect(&picture()).unwrap();
    println!("{} of a million boxes in {:.2} s", found.len(), began.elapsed().as_secs_f64());
    assert!(!found.is_empty() && found.len() <= 300, "{}", found.len());
    assert!(found.iter().all(|detection| detection.score > 0.79), "the surest");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn half_floats_go_in_and_come_out() {
    if !runtime_is_there() {
        return;
    }
    let row: Vec<u8> = columns(CELLS, 7, &[32.0, 32.0, 32.0, 16.0, 0.1, 0.9])
        .iter()
        .flat_map(|&v| half::f16::from_f32(v).to_le_bytes())
        .collect();
    let file = OnnxFile::default().input("images", FLOAT16, &INPUT).constant(
        "output0",
        FLOAT16,
        &[1, 6, CELLS],
        &row,
    );
    let found = load(&file.bytes()).unwrap().detect(&picture()).unwrap();
    assert!(found.len() == 1 && (found[0].score - 0.9).abs() < 0.01, "{found:?}");
}

#[test]
fn an_absent_provider_falls_back_to_the_cpu() {
    if !runtime_is_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = OnnxFile::with_input(&INPUT).output("output0", &[1, 6, CELLS], &[0.0; 6 * CELLS]);
    let file = write(dir.path(), &file.bytes());
    for provider in [Provider::Cuda, Provider::Tensorrt, Provider::Openvino, Provider::Cann] {
        let detector = Detector::load(&Model { provider, ..model(file.clone()) }).unwrap();
        // On a machine that has it, it is used; everywhere else the reason is told.
        assert_eq!(detector.fallback().is_some(), detector.provider() == Provider::Cpu, "{provider:?}");
        assert!(detector.detect(&picture()).unwrap().is_empty());
    }
}

#[test]
fn shipped_models_load_with_their_cards() {
    if !runtime_is_there() {
        return;
    }
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let files = std::fs::read_dir(shipped).unwrap().map(|e| e.unwrap().path());
    let mut count = 0;
    for file in files.filter(|f| f.extension().is_some_and(|e| e == "onnx")) {
        if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("falls")) {
            check_network(&file);
            continue;
        }
        let detector = Detector::load(&model(file.clone())).unwrap_or_else(|e| panic!("{e}"));
        assert!(file.with_extension("toml").is_file(), "`{}` has no card", file.display());
        assert!(detector.classes().len() > 1 && detector.classes_are_named());
        // Grey all over: nothing is there.
        let found = detector.detect(&picture()).unwrap();
        assert!(found.iter().all(|d| d.score < 0.5), "{found:?}");
        count += 1;
    }
    assert!(count > 0, "no model is shipped");
}

/// A network for falling things loads with its card, and sees the dark square fall, and nothing before it does.
fn check_network(file: &Path) {
    assert_eq!(NetworkCard::beside(file).unwrap().map(|card| card.name), Some(stem(file)));
    let mut network = Network::load(&model(file.to_owned()), &[]).unwrap_or_else(|e| panic!("{e}"));
    models::inspect(file, Provider::Cpu, 1).unwrap();
    let mut found = Vec::new();
    for number in 0..12_usize {
        let mut y = vec![150; 640 * 360];
        // Still for six pictures, then eight pixels a picture.
        let top = 100 + 8 * number.saturating_sub(6);
        (top..top + 6).for_each(|row| y[row * 640 + 300..row * 640 + 306].fill(40));
        let captured = Captured { media: Duration::from_millis(40 * number as u64), ..picture().captured };
        let chroma: Arc<[u8]> = vec![128; 320 * 180].into();
        let (width, height) = (640, 360);
        let picture =
            Picture { captured, width, height, y: y.into(), u: chroma.clone(), v: chroma, full_range: false };
        found.push(network.observe(&picture).unwrap());
    }
    assert!(found[..7].iter().all(Vec::is_empty), "{}: {found:?}", file.display());
    let near = |m: &Mover| (m.at.x - 0.473).abs() < 0.02 && (m.at.y - 0.4).abs() < 0.02;
    assert!(found[11].iter().any(near), "{}: {:?}", file.display(), found[11]);
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[test]
fn inspect_and_list_tell_what_there_is() {
    if !runtime_is_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = OnnxFile::with_input(&INPUT).output("output0", &[1, 6, CELLS], &[0.0; 6 * CELLS]);
    let file = write(dir.path(), &file.bytes());
    models::inspect(&file, Provider::Cpu, 1).unwrap();
    models::list(Some(dir.path())).unwrap();
    let absent = models::inspect(&dir.path().join("absent.onnx"), Provider::Cpu, 1).unwrap_err();
    assert!(absent.to_string().contains("absent.onnx"), "{absent}");
    let unknown = models::pull("yolox-nani", Some(dir.path())).unwrap_err().to_string();
    assert!(unknown.contains("did you mean `yolox-nano`"), "{unknown}");
}

#[test]
fn many_cameras_share_one_detector() {
    if !runtime_is_there() {
        return;
    }
    let values = columns(CELLS, 7, &[32.0, 32.0, 32.0, 16.0, 0.1, 0.9]);
    let file = OnnxFile::with_input(&INPUT).output("output0", &[1, 6, CELLS], &values);
    let detector = load(&file.bytes()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..40 {
            let detector = detector.clone();
            scope.spawn(move || {
                for _ in 0..5 {
                    assert_eq!(detector.detect(&picture()).unwrap().len(), 1);
                }
                // A bad picture is this camera's trouble only.
                let bad = Picture { width: 7, ..picture() };
                assert!(matches!(detector.detect(&bad), Err(DetectError::Picture(_))));
            });
        }
    });
    assert_eq!(detector.detect(&picture()).unwrap().len(), 1);
}
