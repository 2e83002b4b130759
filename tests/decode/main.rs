//! Decoding against what FFmpeg's own encoders made, and against bytes that nobody should send.
//!
//! The tiny streams beside this file are 2.4 s of FFmpeg's test pattern, 64x48 at 10 pictures/s, key picture every 12:
//!
//! ```text
//! S='-f lavfi -i testsrc2=size=64x48:rate=10:duration=2.4'; N='-bsf:v filter_units=remove_types=6'
//! ffmpeg $S -c:v libx264 -crf 38 -g 12 -bf 3 -pix_fmt yuv420p $N b_frames.h264
//! ffmpeg $S -vf scale=50:38 -c:v libx264 -crf 40 -g 12 -bf 0 -pix_fmt yuv422p10le $N high422_10bit.h264
//! X='info=0:keyint=12:min-keyint=12:bframes=3:open-gop=1'
//! ffmpeg $S -c:v libx265 -crf 38 -x265-params $X -pix_fmt yuv420p b_frames.h265
//! ffmpeg $S -c:v libx265 -crf 38 -x265-params info=0:keyint=12 -pix_fmt yuv420p10le main10.h265
//! ffmpeg $S -vf scale=63:47 -t 0.3 -c:v mjpeg -q:v 20 -pix_fmt yuvj422p -fflags +bitexact odd.avi
//! ```

mod bomb;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gridwatch::camera::Clip;
use gridwatch::decode::{DecodeError, Decoder, KeyDecoder};
use gridwatch::frame::{AccessUnit, Captured, Clock, Codec, Picture};
use proptest::prelude::*;

fn units(name: &str) -> Vec<AccessUnit> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/decode").join(name);
    Clip::open(path).unwrap().starting_at(jiff::Timestamp::UNIX_EPOCH).collect::<Result<_, _>>().unwrap()
}

fn decode(units: &[AccessUnit]) -> Vec<Picture> {
    let mut decoder = Decoder::new(units[0].codec).unwrap();
    let mut pictures: Vec<_> = units.iter().flat_map(|unit| decoder.decode(unit).unwrap()).collect();
    pictures.extend(decoder.finish().unwrap());
    pictures
}

fn milliseconds(pictures: &[Picture]) -> Vec<u128> {
    pictures.iter().map(|picture| picture.captured.media.as_millis()).collect()
}

fn assert_whole(picture: &Picture, size: (usize, usize), full_range: bool, what: &str) {
    assert_eq!((picture.width, picture.height), size, "{what}");
    let (width, height) = picture.chroma_size();
    assert_eq!(picture.y.len(), size.0 * size.1, "{what}");
    assert_eq!((picture.u.len(), picture.v.len()), (width * height, width * height), "{what}");
    assert_eq!(picture.full_range, full_range, "{what}");
    // The test pattern has black and white in it; a range squeezed by conversion would lose them.
    let (low, high) = (picture.y.iter().min().unwrap(), picture.y.iter().max().unwrap());
    let (black, white) = if full_range { (20, 230) } else { (30, 205) };
    assert!(*low < black && *high > white, "{what}: luma {low}..{high}");
}

#[test]
fn every_format_becomes_i420_at_the_right_time() {
    let check = |name: &str, codec: Codec, count: usize, rate: u128, size, full_range| {
        let units = units(name);
        assert_eq!(units.len(), count, "{name}");
        assert!(units.iter().all(|unit| unit.codec == codec && unit.captured.clock == Clock::File), "{name}");
        let pictures = decode(&units);
        let expected: Vec<_> = (0..count as u128).map(|i| i * 1000 / rate).collect();
        assert_eq!(milliseconds(&pictures), expected, "{name}");
        for picture in &pictures {
            assert_whole(picture, size, full_range, name);
        }
        let mut keys = KeyDecoder::new();
        for unit in units.iter().filter(|unit| unit.key) {
            let key = keys.decode(unit).unwrap();
            assert_eq!(key.captured, unit.captured, "{name}");
            let same = pictures.iter().find(|picture| picture.captured == key.captured).unwrap();
            assert!(
                key.y == same.y && key.u == same.u && key.v == same.v,
                "{name}: a key picture alone is the same"
            );
        }
    };
    check("b_frames.h264", Codec::H264, 24, 10, (64, 48), false);
    check("b_frames.h265", Codec::H265, 24, 10, (64, 48), false);
    check("high422_10bit.h264", Codec::H264, 24, 10, (50, 38), false);
    check("main10.h265", Codec::H265, 24, 10, (64, 48), false);
    check("odd.avi", Codec::Mjpeg, 3, 10, (63, 47), true);
}

#[test]
fn one_key_decoder_serves_cameras_of_every_kind_in_turn() {
    let names = ["b_frames.h264", "main10.h265", "odd.avi", "high422_10bit.h264", "b_frames.h265"];
    let streams = names.map(units);
    let mut shared = KeyDecoder::new();
    for round in 0..2 {
        for (name, units) in names.iter().zip(&streams) {
            let Some(unit) = units.iter().filter(|unit| unit.key).nth(round % 2).or(units.first()) else {
                continue;
            };
            let (one, other) = (shared.decode(unit).unwrap(), KeyDecoder::new().decode(unit).unwrap());
            assert!(one.y == other.y, "{name}: what came before leaves no trace");
        }
    }
    let inter = streams[0].iter().find(|unit| !unit.key).unwrap();
    assert!(matches!(shared.decode(inter), Err(DecodeError::NotKey { .. })));
}

#[test]
fn a_key_picture_without_parameter_sets_is_refused_not_guessed() {
    let mut decoder = KeyDecoder::new();
    for name in ["b_frames.h264", "b_frames.h265"] {
        let unit = units(name).swap_remove(0);
        decoder.decode(&unit).unwrap();
        // The slice begins at the last start code.
        let slice =
            unit.data.windows(4).rposition(|bytes| bytes == [0, 0, 0, 1] || bytes[..3] == [0, 0, 1]).unwrap();
        let bare = AccessUnit { data: unit.data[slice..].into(), ..unit };
        let result = decoder.decode(&bare);
        assert!(result.is_err(), "{name}: {result:?}");
    }
}

#[test]
fn after_a_loss_nothing_comes_out_up_to_the_next_key_picture() {
    for name in ["b_frames.h264", "b_frames.h265"] {
        let whole = decode(&units(name));
        let keys: Vec<_> =
            units(name).iter().filter(|unit| unit.key).map(|unit| unit.captured.media).collect();
        for lost in 1..23 {
            let mut units = units(name);
            units.remove(lost);
            units[lost].after_loss = true;
            let mut decoder = Decoder::new(units[0].codec).unwrap();
            let mut pictures: Vec<_> =
                units.iter().flat_map(|unit| decoder.decode(unit).unwrap_or_default()).collect();
            pictures.extend(decoder.finish().unwrap_or_default());
            assert!(
                pictures.is_sorted_by(|a, b| a.captured.media < b.captured.media),
                "{name} without {lost}"
            );
            for picture in &pictures {
                let same = whole.iter().find(|same| same.captured == picture.captured).unwrap();
                assert!(same.y == picture.y, "{name} without {lost}: {picture:?} is damaged");
            }
            if lost < 10 {
                let last = pictures.last().map(|picture| picture.captured.media);
                assert!(
                    last > keys.last().copied(),
                    "{name} without {lost}: it goes on after the key picture"
                );
            }
        }
    }
}

#[test]
fn a_stream_joined_in_the_middle_starts_at_its_key_picture() {
    for name in ["b_frames.h264", "b_frames.h265"] {
        let (units, whole) = (units(name), decode(&units(name)));
        let pictures = decode(&units[3..]);
        let key = units[3..].iter().find(|unit| unit.key).unwrap();
        assert_eq!(pictures[0].captured, key.captured, "{name}");
        for picture in &pictures {
            let same = whole.iter().find(|same| same.captured == picture.captured).unwrap();
            assert!(same.y == picture.y, "{name}: {picture:?} is damaged");
        }
    }
}

#[test]
fn a_decoder_says_when_it_gets_another_codec() {
    let mut decoder = Decoder::new(Codec::H264).unwrap();
    assert!(matches!(decoder.decode(&units("b_frames.h265")[0]), Err(DecodeError::Codec { .. })));
    let pictures = units("b_frames.h264").iter().flat_map(|unit| decoder.decode(unit).unwrap()).count();
    assert!(pictures > 10, "{pictures}");
}

/// A unit of arbitrary bytes.
fn unit(codec: Codec, data: Vec<u8>, key: bool, after_loss: bool, at: u64) -> AccessUnit {
    let captured = Captured {
        wall: jiff::Timestamp::UNIX_EPOCH,
        media: Duration::from_millis(at * 40),
        clock: Clock::File,
    };
    AccessUnit { captured, codec, key, after_loss, data: data.into(), pts_90k: at as i64 * 3600 }
}

/// Whatever comes out is whole.
fn feed(decoder: &mut Decoder, keys: &mut KeyDecoder, unit: &AccessUnit) {
    let pictures = decoder.decode(unit).unwrap_or_default().into_iter().chain(keys.decode(unit).ok());
    for picture in pictures {
        assert_eq!(picture.y.len(), picture.width * picture.height);
        assert_eq!(picture.u.len(), picture.chroma_size().0 * picture.chroma_size().1);
    }
}

#[test]
fn mutated_streams_are_survived_and_the_whole_ones_after_them_decode() {
    let mut random = fastrand::Rng::with_seed(7);
    for name in ["b_frames.h264", "b_frames.h265", "high422_10bit.h264", "main10.h265", "odd.avi"] {
        let clean = units(name);
        let expected = decode(&clean).len();
        let (mut decoder, mut keys) = (Decoder::new(clean[0].codec).unwrap(), KeyDecoder::new());
        for _ in 0..60 {
            let mut stream = clean.clone();
            for _ in 0..random.usize(1..8) {
                let at = random.usize(..stream.len());
                let mut bytes = stream[at].data.to_vec();
                match random.u8(..5) {
                    0 => bytes.truncate(random.usize(..=bytes.len())),
                    1 => bytes.extend((0..random.usize(..400)).map(|_| random.u8(..))),
                    2 => drop(stream.remove(at)),
                    3 => stream.insert(at, stream[random.usize(..stream.len())].clone()),
                    _ => (0..random.usize(1..20)).for_each(|_| {
                        if !bytes.is_empty() {
                            let i = random.usize(..bytes.len());
                            bytes[i] ^= 1 << random.u8(..8);
                        }
                    }),
                }
                if stream.is_empty() {
                    break;
                }
                let at = at.min(stream.len() - 1);
                stream[at].data = Arc::from(bytes);
                stream[at].key |= random.u8(..10) == 0;
            }
            for unit in &stream {
                feed(&mut decoder, &mut keys, unit);
            }
        }
        let _ = decoder.finish();
        let after: usize = clean.iter().map(|unit| decoder.decode(unit).unwrap().len()).sum();
        assert_eq!(after + decoder.finish().unwrap().len(), expected, "{name}: nothing of it stays behind");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_survived(
        codec in prop_oneof![Just(Codec::H264), Just(Codec::H265), Just(Codec::Mjpeg), Just(Codec::Mpeg4)],
        stream in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..600), any::<bool>(), 0u8..8, 0u8..64), 1..12),
    ) {
        let (mut decoder, mut keys) = (Decoder::new(codec).unwrap(), KeyDecoder::new());
        for (i, (bytes, key, loss, kind)) in stream.into_iter().enumerate() {
            // Something that at least begins like a NAL unit gets further in.
            let header = if codec == Codec::H265 { kind << 1 } else { 0x60 | kind & 31 };
            let data = [&[0, 0, 0, 1, header, 1], &bytes[..]].concat();
            feed(&mut decoder, &mut keys, &unit(codec, data, key, loss == 0, i as u64));
        }
        let _ = decoder.finish();
    }
}
