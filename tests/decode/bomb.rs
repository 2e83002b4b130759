//! Few bytes that want much memory or time: pictures that say they are huge, and pictures that are.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gridwatch::decode::{Decoder, KeyDecoder, SIDE_MAX};
use gridwatch::frame::{AccessUnit, Codec};
use gridwatch::processor::resident_bytes;

use crate::{unit, units};

/// What decoding may take of memory: some pictures of the largest size, which FFmpeg keeps as references (100 MB each).
const GROWTH_BYTES_MAX: u64 = 1 << 30;
/// Generous: each of these takes less than two seconds on one idle core.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bits of an H.264 NAL unit.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn number(mut self, value: u32, bits: u32) -> Self {
        self.0.extend((0..bits).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    /// Exponential Golomb code, unsigned (ITU-T H.264 section 9.1).
    fn ue(self, value: u32) -> Self {
        let bits = 32 - (value + 1).leading_zeros();
        self.number(0, bits - 1).number(value + 1, bits)
    }

    /// With start code, header and trailing bits, and the bytes that keep start codes out.
    fn nal(self, header: u8) -> Vec<u8> {
        let mut bits = self.number(1, 1).0;
        bits.resize(bits.len().next_multiple_of(8), false);
        let mut out = vec![0, 0, 0, 1, header];
        let mut zeros = 0;
        for byte in bits.chunks(8).map(|byte| byte.iter().fold(0, |all, &bit| all << 1 | u8::from(bit))) {
            if zeros == 2 && byte <= 3 {
                out.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            out.push(byte);
        }
        out
    }
}

/// Parameter sets of a picture of so many macroblocks (16x16 pixels).
fn parameters(columns: u32, rows: u32) -> Vec<u8> {
    let profile = Bits::default().number(66, 8).number(0, 8).number(62, 8);
    let sps = profile.ue(0).ue(0).ue(0).ue(0).ue(1).number(0, 1).ue(columns - 1).ue(rows - 1);
    let sps = sps.number(0b1100, 4).nal(0x67);
    let pps = Bits::default().ue(0).ue(0).number(0, 2).ue(0).ue(0).ue(0).number(0, 3).ue(0).ue(0).ue(0);
    [sps, pps.number(0, 3).nal(0x68)].concat()
}

/// A grey key picture of this many macroblocks, a byte for each.
fn key(columns: u32, rows: u32) -> Vec<u8> {
    let header = Bits::default().ue(0).ue(7).ue(0).number(0, 4).ue(0).number(0, 4).number(0, 2).ue(0);
    // Each predicted from its neighbours' mean, without a residual.
    let slice = (0..columns * rows).fold(header, |slice, _| slice.ue(3).ue(0).ue(0).number(1, 1));
    [parameters(columns, rows), slice.nal(0x65)].concat()
}

/// The same picture once more, in a dozen bytes whatever its size.
fn again(columns: u32, rows: u32, number: u32) -> Vec<u8> {
    let header = Bits::default().ue(0).ue(5).ue(0).number(number & 15, 4).number((number * 2) & 15, 4);
    header.number(0, 3).ue(0).ue(columns * rows).nal(0x41)
}

fn h264(data: Vec<u8>, key: bool, at: u64) -> AccessUnit {
    unit(Codec::H264, data, key, false, at)
}

/// One at a time: memory is the process's.
static TURN: Mutex<()> = Mutex::new(());

/// Runs something within the bounds of time and memory.
fn bounded<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (began, before) = (Instant::now(), resident_bytes());
    let result = run();
    let (took, grown) = (began.elapsed(), resident_bytes().saturating_sub(before));
    println!("{what}: {:.2} s, {} MB", took.as_secs_f64(), grown >> 20);
    assert!(took < PATIENCE && grown < GROWTH_BYTES_MAX, "{what}: {took:?}, {grown} bytes");
    result
}

#[test]
fn a_picture_larger_than_any_camera_is_refused() {
    // JPEGs that say a size and hold nothing else of substance.
    let jpeg = units("odd.avi").swap_remove(0);
    let frame = jpeg.data.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    for (width, height) in
        [(20_000u16, 20_000u16), (60_000, 60_000), (65_535, 65_535), (9_000, 9_000), (65_535, 100)]
    {
        let mut bytes = jpeg.data.to_vec();
        bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
        bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
        let unit = AccessUnit { data: bytes.into(), ..jpeg.clone() };
        let what = format!("JPEG {width}x{height}");
        assert!(bounded(&what, || KeyDecoder::new().decode(&unit)).is_err(), "{what}");
    }
    // H.264: 16k x 16k, and the largest that the syntax can say without more pixels than fit a number.
    for (columns, rows) in [(1024, 1024), (513, 512), (4096, 4096), (65_000, 2)] {
        let unit =
            h264([parameters(columns, rows), vec![0, 0, 0, 1, 0x65, 0x88, 0x84, 0x21]].concat(), true, 0);
        let what = format!("H.264 {}x{}", columns * 16, rows * 16);
        assert!(bounded(&what, || KeyDecoder::new().decode(&unit)).is_err(), "{what}");
        let decoded = bounded(&what, || Decoder::new(Codec::H264).unwrap().decode(&unit));
        assert!(decoded.is_err() || decoded.unwrap().is_empty(), "{what}");
    }
}

#[test]
fn a_new_size_with_every_picture_is_followed() {
    let mut random = fastrand::Rng::with_seed(5);
    let sizes: Vec<(u32, u32)> = (0..60).map(|_| (random.u32(1..60), random.u32(1..40))).collect();
    let (mut decoder, mut keys) = (Decoder::new(Codec::H264).unwrap(), KeyDecoder::new());
    let mut seen = Vec::new();
    bounded("60 sizes", || {
        for (at, &(columns, rows)) in sizes.iter().enumerate() {
            let unit = h264(key(columns, rows), true, at as u64);
            let picture = keys.decode(&unit).unwrap();
            assert_eq!((picture.width, picture.height), (columns as usize * 16, rows as usize * 16));
            seen.extend(decoder.decode(&unit).unwrap_or_default());
        }
        seen.extend(decoder.finish().unwrap_or_default());
    });
    assert!(seen.len() > sizes.len() / 2, "{} of {}", seen.len(), sizes.len());
    assert!(seen.iter().all(|picture| picture.y.len() == picture.width * picture.height));
}

/// Pictures of the largest size that is decoded, in a dozen bytes each: the time is their sender's (`sampler::budget` shares
/// it out), the memory is bounded.
#[test]
fn tiny_pictures_of_the_largest_size_stay_in_bounds() {
    let side = SIDE_MAX / 16;
    let units: Vec<AccessUnit> = (0..6)
        .map(|n| h264(if n == 0 { key(side, side) } else { again(side, side, n) }, n == 0, u64::from(n)))
        .collect();
    assert!(units[1].data.len() < 20, "{} bytes", units[1].data.len());
    let mut decoder = Decoder::new(Codec::H264).unwrap();
    let newest = bounded("6 pictures of 8192x8192", || {
        let newest = decoder.newest(&units).unwrap();
        newest.or_else(|| decoder.finish().unwrap().pop())
    });
    let newest = newest.expect("a picture");
    assert_eq!((newest.width, newest.height), (SIDE_MAX as usize, SIDE_MAX as usize));
}

#[test]
fn units_of_nothing_but_headers_are_survived() {
    for (what, piece) in [
        ("start codes", &[0, 0, 1][..]),
        ("empty NAL units", &[0, 0, 1, 0x41]),
        ("parameter sets", &parameters(4, 3)),
        ("zeros", &[0]),
    ] {
        let data = piece.repeat((4 << 20) / piece.len());
        for codec in [Codec::H264, Codec::H265, Codec::Mjpeg] {
            let unit = unit(codec, data.clone(), true, false, 0);
            let decoded = bounded(what, || KeyDecoder::new().decode(&unit));
            assert!(decoded.is_err(), "{what}: {decoded:?}");
            let _ = bounded(what, || Decoder::new(codec).unwrap().decode(&unit));
        }
    }
}
