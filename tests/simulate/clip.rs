//! Clips to play: encoded by `ffmpeg` where it is installed.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use gridwatch::frame::{AccessUnit, Captured, Clock, Codec};
use gridwatch::simulate::Source;

/// Whether a program is installed; says so if not.
pub fn installed(program: &str) -> bool {
    let found =
        Command::new(program).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: `{program}` is not installed");
    }
    found
}

/// A moving test picture: two seconds, 25 pictures a second, a key picture each second; `None` without `ffmpeg`.
pub fn test_picture(codec: Codec, size: &'static str) -> Option<Vec<AccessUnit>> {
    type Made = HashMap<(Codec, &'static str), Option<Vec<AccessUnit>>>;
    static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);
    MADE.lock().unwrap().entry((codec, size)).or_insert_with(|| encode(codec, size)).clone()
}

fn encode(codec: Codec, size: &str) -> Option<Vec<AccessUnit>> {
    if !installed("ffmpeg") {
        return None;
    }
    let encoder: &[&str] = match codec {
        Codec::H265 => &[
            "-c:v",
            "libx265",
            "-x265-params",
            "keyint=25:min-keyint=25:bframes=0:log-level=none:repeat-headers=1",
            "-f",
            "hevc",
        ],
        _ => &["-c:v", "libx264", "-g", "25", "-bf", "0", "-sc_threshold", "0", "-f", "h264"],
    };
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size={size}:rate=25"))
        .args(["-t", "2", "-pix_fmt", "yuv420p", "-preset", "ultrafast"])
        .args(encoder)
        .arg("-")
        .output()
        .expect("ffmpeg runs");
    if output.stdout.is_empty() {
        println!("skipped: this ffmpeg cannot encode: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(access_units(codec, &output.stdout))
}

/// Cuts a byte stream into access units: each first slice of a picture, with all that precedes it, begins one.
pub fn access_units(codec: Codec, stream: &[u8]) -> Vec<AccessUnit> {
    let starts: Vec<usize> =
        (0..stream.len().saturating_sub(3)).filter(|&at| stream[at..at + 3] == [0, 0, 1]).collect();
    let (mut cuts, mut has_slice, mut keys) = (vec![], true, vec![]);
    for &start in &starts {
        let nal = &stream[start + 3..];
        let (slice, first, key) = match codec {
            Codec::H265 => (nal[0] >> 1 < 32, nal[2] & 0x80 != 0, (16..=21).contains(&(nal[0] >> 1))),
            _ => (matches!(nal[0] & 31, 1..=5), nal[1] & 0x80 != 0, nal[0] & 31 == 5),
        };
        if has_slice && (!slice || first) {
            cuts.push(start);
            keys.push(false);
            has_slice = false;
        }
        has_slice |= slice;
        *keys.last_mut().unwrap() |= slice && key;
    }
    cuts.push(stream.len());
    let unit = |(n, (cut, key)): (usize, (&[usize], &bool))| AccessUnit {
        captured: Captured { wall: jiff::Timestamp::UNIX_EPOCH, media: Duration::ZERO, clock: Clock::File },
        codec,
        key: *key,
        after_loss: false,
        data: Arc::from(&stream[cut[0]..cut[1]]),
        pts_90k: n as i64 * 3600,
    };
    cuts.windows(2).zip(&keys).enumerate().map(unit).collect()
}

/// A clip that no decoder understands, but every packetiser: `pictures` of about `bytes`, 25 a second, the first of
/// each ten a key picture whose parameter sets say `kind`.
pub fn synthetic(codec: Codec, pictures: usize, bytes: usize, kind: u8) -> Source {
    let sizes: Vec<usize> = vec![bytes; pictures];
    Source::new(units(codec, &sizes, 10, kind)).expect("the clip can be played")
}

/// Pictures of these sizes, each `group`-th a key picture.
pub fn units(codec: Codec, sizes: &[usize], group: usize, kind: u8) -> Vec<AccessUnit> {
    let heads: [&[u8]; 2] = match codec {
        Codec::H265 => [
            &[0, 0, 1, 64, 1, kind, 0, 0, 1, 66, 1, kind, 0, 0, 1, 68, 1, kind, 0, 0, 1, 38, 1, 128],
            &[0, 0, 1, 2, 1, 128],
        ],
        _ => [&[0, 0, 1, 0x67, 100, 0, kind, 0, 0, 1, 0x68, kind, 0, 0, 1, 0x65, 128], &[0, 0, 1, 0x41, 128]],
    };
    let mut stream = Vec::new();
    for (n, &bytes) in sizes.iter().enumerate() {
        stream.extend(heads[usize::from(n % group != 0)]);
        stream.extend((0..bytes).map(|at| (at % 253 + n) as u8 | 1));
    }
    access_units(codec, &stream)
}
