//! What an MP4 wants apart that a camera sends together: parameter sets and the picture's own bytes.

use crate::frame::Codec;

/// An access unit taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// VPS, SPS and PPS without start codes; for MPEG-4 part 2 the headers before the picture.
    pub parameters: Vec<&'a [u8]>,
    /// The rest, ready to be muxed: Annex B with four-byte start codes, or the codec's own bytes. Empty: no picture in it.
    pub sample: Vec<u8>,
}

pub(super) const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Takes one access unit apart; foreign bytes may be anything.
pub(super) fn parts(codec: Codec, data: &[u8]) -> Parts<'_> {
    match codec {
        Codec::H264 => nal_parts(data, |header| match header & 0x1f {
            1..=5 => Nal::Picture,
            7 | 8 | 13 => Nal::Parameters,
            9 | 12 => Nal::Drop,
            _ => Nal::Other,
        }),
        Codec::H265 => nal_parts(data, |header| match header >> 1 & 0x3f {
            0..=31 => Nal::Picture,
            32..=34 => Nal::Parameters,
            35 | 38 => Nal::Drop,
            _ => Nal::Other,
        }),
        Codec::Mjpeg => Parts { parameters: Vec::new(), sample: data.to_vec() },
        Codec::Mpeg4 => {
            // A group's header counts time and so differs every time; what stands before it is set-up (ISO 14496-2 6.2).
            let at = |code| data.windows(4).position(|w| w == [0, 0, 1, code]);
            match at(0xb6) {
                Some(picture) => {
                    let headers = at(0xb3).map_or(picture, |group| group.min(picture));
                    let parameters = if headers > 0 { vec![&data[..headers]] } else { Vec::new() };
                    Parts { parameters, sample: data.to_vec() }
                }
                None => Parts::default(),
            }
        }
        // What only old files use is not worth a clip: no camera sends it.
        Codec::Other(_) => Parts::default(),
    }
}

/// Whether these parameters are enough to decode with.
pub(super) fn complete(codec: Codec, parameters: &[Vec<u8>]) -> bool {
    let has = |kind: fn(u8) -> bool| parameters.iter().any(|p| p.first().is_some_and(|&b| kind(b)));
    match codec {
        Codec::H264 => has(|b| b & 0x1f == 7) && has(|b| b & 0x1f == 8),
        Codec::H265 => {
            has(|b| b >> 1 & 0x3f == 32) && has(|b| b >> 1 & 0x3f == 33) && has(|b| b >> 1 & 0x3f == 34)
        }
        Codec::Mjpeg => true,
        Codec::Mpeg4 => !parameters.is_empty(),
        Codec::Other(_) => false,
    }
}

/// The parameters as FFmpeg's `extradata`.
pub(super) fn extradata(codec: Codec, parameters: &[Vec<u8>]) -> Vec<u8> {
    let framed = matches!(codec, Codec::H264 | Codec::H265);
    parameters.iter().flat_map(|p| if framed { [&START_CODE[..], p].concat() } else { p.clone() }).collect()
}

enum Nal {
    Picture,
    Parameters,
    /// Access unit delimiters and filler mean nothing in an MP4.
    Drop,
    Other,
}

fn nal_parts(data: &[u8], kind_of: impl Fn(u8) -> Nal) -> Parts<'_> {
    let mut parts = Parts::default();
    let mut has_picture = false;
    for nal in nal_units(data) {
        match kind_of(nal[0]) {
            Nal::Parameters => parts.parameters.push(nal),
            Nal::Drop => {}
            kind @ (Nal::Picture | Nal::Other) => {
                has_picture |= matches!(kind, Nal::Picture);
                parts.sample.extend_from_slice(&START_CODE);
                parts.sample.extend_from_slice(nal);
            }
        }
    }
    if !has_picture {
        parts.sample.clear();
    }
    parts
}

/// The NAL units of an Annex B byte stream (H.264 and H.265 annex B.2), never empty, without trailing zeros.
fn nal_units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = Vec::new();
    let mut i = 0;
    while i + 3 <= data.len() {
        if data[i..].starts_with(&[0, 0, 1]) {
            starts.push(i + 3);
            i += 3;
        } else {
            i += 1;
        }
    }
    let ends: Vec<usize> = starts.iter().skip(1).map(|s| s - 3).chain([data.len()]).collect();
    starts.into_iter().zip(ends).filter_map(|(start, end)| {
        let nal = &data[start..end];
        let zeros = nal.iter().rev().take_while(|&&b| b == 0).count();
        Some(&nal[..nal.len() - zeros]).filter(|nal| !nal.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_apart() {
        type Case<'a> = (Codec, &'a [u8], &'a [&'a [u8]], &'a [u8]);
        let cases: &[Case] = &[
            (
                Codec::H264,
                &[0, 0, 0, 1, 9, 16, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x65, 7, 7, 0, 0],
                &[&[0x67, 1, 2], &[0x68, 3]],
                &[0, 0, 0, 1, 0x65, 7, 7],
            ),
            (Codec::H264, &[0, 0, 1, 0x67, 1], &[&[0x67, 1]], &[]),
            (Codec::H264, &[1, 2, 3], &[], &[]),
            (
                Codec::H265,
                &[0, 0, 1, 0x40, 1, 0, 0, 1, 0x42, 1, 0, 0, 1, 0x44, 1, 0, 0, 1, 0x26, 1, 5],
                &[&[0x40, 1], &[0x42, 1], &[0x44, 1]],
                &[0, 0, 0, 1, 0x26, 1, 5],
            ),
            (Codec::Mjpeg, &[0xff, 0xd8], &[], &[0xff, 0xd8]),
            (
                Codec::Mpeg4,
                &[0, 0, 1, 0x20, 9, 0, 0, 1, 0xb6, 1],
                &[&[0, 0, 1, 0x20, 9]],
                &[0, 0, 1, 0x20, 9, 0, 0, 1, 0xb6, 1],
            ),
            (
                Codec::Mpeg4,
                &[0, 0, 1, 0x20, 9, 0, 0, 1, 0xb3, 5, 0, 0, 1, 0xb6, 1],
                &[&[0, 0, 1, 0x20, 9]],
                &[0, 0, 1, 0x20, 9, 0, 0, 1, 0xb3, 5, 0, 0, 1, 0xb6, 1],
            ),
            (Codec::Mpeg4, &[0, 0, 1], &[], &[]),
        ];
        for (codec, data, parameters, sample) in cases {
            let found = parts(*codec, data);
            assert_eq!(found.parameters, *parameters, "{codec:?} {data:?}");
            assert_eq!(found.sample, *sample, "{codec:?} {data:?}");
        }
    }
}
