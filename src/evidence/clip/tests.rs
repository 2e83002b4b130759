//! Clips play everywhere and keep every picture, whatever the ring holds.

use std::process::Command;
use std::time::Duration;

use super::*;
use crate::evidence::snapshot::tests::captured;

/// Runs a tool; `None`, with a printed reason, where it is not installed.
fn run(tool: &str, args: &[&str]) -> Option<(String, String)> {
    match Command::new(tool).args(args).output() {
        Ok(out) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(out.status.success(), "{tool} {args:?}: {}", text(&out.stderr));
            Some((text(&out.stdout), text(&out.stderr)))
        }
        Err(error) => {
            println!("skipped: cannot run {tool}: {error}");
            None
        }
    }
}

/// Access units of a moving test picture, 2 s at 25 pictures/s, a key picture every 0.4 s.
fn encoded(codec: Codec, size: &str, options: &[&str]) -> Option<Vec<AccessUnit>> {
    let folder = tempfile::tempdir().expect("a folder");
    // MPEG-TS carries Annex B with parameter sets before each key picture, in 1/90000 s, as a camera does.
    let file = folder.path().join("a.ts");
    let source = format!("testsrc2=size={size}:rate=25:duration=2");
    let encoder = match codec {
        Codec::H264 => ["-c:v", "libx264", "-x264-params", "scenecut=0"],
        Codec::H265 => ["-c:v", "libx265", "-x265-params", "log-level=none:scenecut=0"],
        _ => unreachable!("only what MPEG-TS carries"),
    };
    let input = ["-v", "error", "-f", "lavfi", "-i", &source, "-g", "10", "-pix_fmt", "yuv420p"];
    let out = ["-preset", "ultrafast", file.to_str().expect("UTF-8")];
    run("ffmpeg", &[&input[..], &encoder, options, &out].concat())?;
    init();
    let mut input = format::input(&file).expect("the test stream");
    let unit = |(i, (_, packet)): (usize, (_, Packet))| AccessUnit {
        captured: captured(i as f64 * 0.04),
        codec,
        key: packet.is_key(),
        after_loss: false,
        data: packet.data().expect("data").into(),
        pts_90k: packet.pts().expect("a time"),
    };
    Some(input.packets().enumerate().map(unit).collect())
}

/// What ffprobe says: codec tag, width, height, pictures; after everything decoded without a complaint.
fn probed(path: &Path) -> Option<String> {
    let path = path.to_str().expect("UTF-8");
    let show = "stream=codec_tag_string,width,height,nb_read_frames";
    let (about, complaints) =
        run("ffprobe", &["-v", "error", "-count_frames", "-show_entries", show, "-of", "csv=p=0", path])?;
    assert_eq!(complaints, "");
    let (_, complaints) = run("ffmpeg", &["-v", "error", "-i", path, "-f", "null", "-"])?;
    assert_eq!(complaints, "");
    Some(about.trim().to_owned())
}

#[test]
fn clips_play_and_keep_every_picture() {
    let cases: [(Codec, &str, &[&str], &str); 4] = [
        (Codec::H264, "320x180", &["-bf", "0"], "avc1,320,180,50"),
        (Codec::H264, "322x182", &["-bf", "3"], "avc1,322,182,50"),
        (Codec::H265, "320x180", &["-bf", "0"], "hvc1,320,180,50"),
        (Codec::H265, "320x180", &["-bf", "3"], "hvc1,320,180,50"),
    ];
    for (codec, size, options, wanted) in cases {
        let Some(units) = encoded(codec, size, options) else { return };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("with: colon.mp4");
        let made = remux(&units, &path).expect("a clip");
        assert_eq!((made.units, made.left_out), (50, 0), "{codec:?} {options:?}");
        assert!((made.duration_s - 1.96).abs() < 0.01, "{made:?}");
        let Some(about) = probed(&path) else { return };
        assert_eq!(about, wanted, "{codec:?} {options:?}");
        let bytes = std::fs::read(&path).expect("the clip");
        let at = |name: &[u8]| bytes.windows(4).position(|w| w == name);
        assert!(at(b"moov") < at(b"mdat"), "index first");
    }
}

#[test]
fn clips_begin_at_a_key_picture_and_skip_from_a_loss_to_the_next() {
    let Some(mut units) = encoded(Codec::H264, "320x180", &["-bf", "0"]) else { return };
    units.drain(..3);
    units[20].after_loss = true; // the 24th picture: the next key picture is the 31st
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mp4");
    let made = remux(&units, &path).expect("a clip");
    assert_eq!((made.units, made.left_out), (13 + 20, 7 + 7));
    assert_eq!(made.begins, units[7].captured);
    // The gap stays a gap.
    assert!((made.duration_s - 39.0 * 0.04).abs() < 0.01, "{made:?}");
    assert_eq!(probed(&path).unwrap_or("avc1,320,180,33".into()), "avc1,320,180,33");
}

#[test]
fn the_longest_stretch_between_changes_of_parameters_is_kept() {
    let Some(mut units) = encoded(Codec::H264, "320x180", &["-bf", "0"]) else { return };
    let Some(other) = encoded(Codec::H264, "256x144", &["-bf", "0"]) else { return };
    let last = units[19].clone();
    units.truncate(20);
    units.extend(other.into_iter().map(|mut unit| {
        unit.captured.media += last.captured.media + Duration::from_millis(40);
        unit.pts_90k += last.pts_90k + 3_600;
        unit
    }));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mp4");
    let made = remux(&units, &path).expect("a clip");
    assert_eq!((made.units, made.left_out), (50, 20));
    assert_eq!(probed(&path).unwrap_or("avc1,256,144,50".into()), "avc1,256,144,50");
}

#[test]
fn a_sender_that_begins_anew_leaves_no_hole_and_no_knot() {
    let Some(mut units) = encoded(Codec::H264, "320x180", &["-bf", "0"]) else { return };
    for unit in &mut units[30..] {
        unit.pts_90k -= 1_000_000_000;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let made = remux(&units, &folder.path().join("a.mp4")).expect("a clip");
    assert_eq!(made.units, 50);
    assert!((made.duration_s - 1.96).abs() < 0.05, "{made:?}");
}

#[test]
fn jpeg_pictures_make_a_clip_too() {
    let mut data = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut data)
        .encode(&[90; 64 * 48 * 3], 64, 48, image::ExtendedColorType::Rgb8)
        .expect("a JPEG");
    let unit = |i: i64| AccessUnit {
        captured: captured(i as f64),
        codec: Codec::Mjpeg,
        key: true,
        after_loss: false,
        data: data.clone().into(),
        pts_90k: i * 90_000,
    };
    let units: Vec<AccessUnit> = (0..5).map(unit).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mp4");
    assert_eq!(remux(&units, &path).expect("a clip").units, 5);
    assert_eq!(probed(&path).unwrap_or("mp4v,64,48,5".into()), "mp4v,64,48,5");
}

#[test]
fn nothing_to_begin_with_is_an_error_and_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mp4");
    assert!(matches!(remux(&[], &path), Err(EvidenceError::NoKeyPicture { units: 0 })));
    if let Some(mut units) = encoded(Codec::H264, "320x180", &["-bf", "0"]) {
        units.retain(|u| !u.key);
        assert!(matches!(remux(&units, &path), Err(EvidenceError::NoKeyPicture { .. })));
    }
    assert!(!path.exists());
}

#[test]
fn decoding_times_rise_and_never_follow_the_presentation() {
    let cases: [(&[i64], &[i64]); 5] = [
        (&[0, 10, 20], &[0, 10, 20]),
        (&[0, 30, 10, 20, 60, 40, 50], &[-10, 0, 10, 20, 30, 40, 50]),
        (&[0, 0, 0], &[-2, -1, 0]),
        (&[5], &[5]),
        (&[], &[]),
    ];
    for (pts, wanted) in cases {
        let dts = decoding_times(pts);
        assert!(dts.windows(2).all(|w| w[0] < w[1]));
        assert!(dts.iter().zip(pts).all(|(d, p)| d <= p));
        assert_eq!(dts, wanted, "{pts:?}");
    }
}

/// Whatever bytes, flags and times come: an error or a file, never a panic.
#[test]
fn mutated_units_never_panic() {
    let streams =
        [(Codec::H264, "3"), (Codec::H265, "2")].map(|(codec, b)| encoded(codec, "128x96", &["-bf", b]));
    let mut random = fastrand::Rng::with_seed(7);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mp4");
    let mut made = 0;
    for round in 0..120 {
        let Some(mut units) = streams[round % 2].clone() else { return };
        units.truncate(25);
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..units.len());
            let mut data = units[at].data.to_vec();
            match random.u8(..9) {
                0 => units[at].key = !units[at].key,
                1 => units[at].after_loss = true,
                2 => units[at].pts_90k = random.i64(..),
                3 => {
                    units[at].codec =
                        [Codec::H264, Codec::H265, Codec::Mjpeg, Codec::Mpeg4][random.usize(..4)];
                }
                4 => data.truncate(random.usize(..=data.len())),
                5 => units.swap(at, 0),
                6 => data.clear(),
                _ if data.is_empty() => {}
                _ => (0..random.usize(1..30)).for_each(|_| {
                    let i = random.usize(..data.len());
                    data[i] = random.u8(..);
                }),
            }
            units[at].data = data.into();
        }
        made += usize::from(remux(&units, &path).is_ok());
    }
    assert!(made > 10, "most mutations leave something to keep, {made} of 120 did");
}
