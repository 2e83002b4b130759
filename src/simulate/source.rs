//! What a simulated camera plays: a clip's access units, held once however many cameras play them.

use std::ops::Range;
use std::sync::Arc;

use crate::frame::{AccessUnit, Codec};

/// A clip ready to be played in a loop for ever; cheap to clone, all clones share one copy.
#[derive(Clone)]
pub struct Source(Arc<Clip>);

struct Clip {
    codec: Codec,
    units: Arc<[AccessUnit]>,
    pictures: Vec<Picture>,
    /// Byte ranges of NAL units, all access units one after another; found once, not per camera.
    nals: Vec<Range<u32>>,
    period_90k: i64,
    parameter_sets: Vec<Range<u32>>,
}

struct Picture {
    unit: usize,
    key: bool,
    nals: Range<u32>,
    pts_90k: i64,
    due_90k: i64,
}

/// Why a clip cannot be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Only H.264 and H.265 are packetised.
    #[error("a simulated camera sends H.264 or H.265, the clip is {0:?}")]
    Codec(Codec),
    /// Nothing a decoder could start with.
    #[error("the clip has no key picture to start with")]
    NoKeyPicture,
    /// More than 4 GiB in one access unit.
    #[error("access unit {0} of the clip is too large")]
    TooLarge(usize),
}

/// Time from one picture to the next when a clip has a single one, in 1/90000 s.
const INTERVAL_OF_A_STILL_90K: i64 = 3600;

impl Source {
    /// Prepares a clip: units in decoding order, Annex B with parameter sets in band, from its first key picture on.
    pub fn new(units: impl Into<Arc<[AccessUnit]>>) -> Result<Self, SourceError> {
        let units = units.into();
        let first = units.iter().position(|unit| unit.key).ok_or(SourceError::NoKeyPicture)?;
        let codec = units[first].codec;
        if !matches!(codec, Codec::H264 | Codec::H265) {
            return Err(SourceError::Codec(codec));
        }
        let played = || units.iter().enumerate().skip(first).filter(|(_, unit)| unit.codec == codec);

        // Pictures leave in decoding order at an even pace: the n-th leaves when the n-th in presentation order is due.
        let mut sorted: Vec<i64> = played().map(|(_, unit)| unit.pts_90k).collect();
        sorted.sort_unstable();
        let start = sorted[0];
        let mut gaps: Vec<i64> = sorted.windows(2).map(|w| w[1] - w[0]).filter(|&gap| gap > 0).collect();
        gaps.sort_unstable();
        let gap = gaps.get(gaps.len() / 2).copied().unwrap_or(INTERVAL_OF_A_STILL_90K);
        // B-pictures: a picture cannot be sent before it was captured, so everything waits for the reordering.
        let reorder = played().zip(&sorted).map(|((_, unit), due)| unit.pts_90k - due).max().unwrap_or(0);

        let (mut nals, mut pictures) = (Vec::new(), Vec::new());
        for (n, (at, unit)) in played().enumerate() {
            u32::try_from(unit.data.len()).map_err(|_| SourceError::TooLarge(at))?;
            let from = nals.len() as u32;
            split_annex_b(&unit.data, &mut nals);
            pictures.push(Picture {
                unit: at,
                key: unit.key,
                nals: from..nals.len() as u32,
                pts_90k: unit.pts_90k - start,
                due_90k: sorted[n] - start + reorder,
            });
        }
        let data = &units[first].data;
        let mut parameter_sets = Vec::new();
        for nal in &nals[range(&pictures[0].nals)] {
            if is_parameter_set(codec, &data[range(nal)]) {
                parameter_sets.push(nal.clone());
            }
        }
        let period_90k = sorted[sorted.len() - 1] - start + gap;
        Ok(Self(Arc::new(Clip { codec, units, pictures, nals, period_90k, parameter_sets })))
    }

    /// How it is compressed: H.264 or H.265.
    pub fn codec(&self) -> Codec {
        self.0.codec
    }

    /// Pictures in one round; at least 1.
    pub fn picture_count(&self) -> usize {
        self.0.pictures.len()
    }

    /// How long one round takes, in 1/90000 s; above 0.
    pub fn period_90k(&self) -> i64 {
        self.0.period_90k
    }

    /// The parameter sets before the first key picture, without start codes.
    pub fn parameter_sets(&self) -> impl Iterator<Item = &[u8]> {
        let data = &self.0.units[self.0.pictures[0].unit].data;
        self.0.parameter_sets.iter().map(|nal| &data[range(nal)])
    }

    /// The NAL units of a picture, without start codes.
    pub(super) fn nals(&self, picture: usize) -> impl Iterator<Item = &[u8]> {
        let picture = &self.0.pictures[picture];
        let data = &self.0.units[picture.unit].data;
        self.0.nals[range(&picture.nals)].iter().map(|nal| &data[range(nal)])
    }

    /// Whether decoding can start at a picture.
    pub(super) fn key(&self, picture: usize) -> bool {
        self.0.pictures[picture].key
    }

    /// When a picture is shown, from the start of the round, in 1/90000 s.
    pub(super) fn pts_90k(&self, picture: usize) -> i64 {
        self.0.pictures[picture].pts_90k
    }

    /// When a picture leaves the camera, from the start of the round, in 1/90000 s; never goes back.
    pub(super) fn due_90k(&self, picture: usize) -> i64 {
        self.0.pictures[picture].due_90k
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({:?}, {} pictures)", self.0.codec, self.0.pictures.len())
    }
}

/// Whether a NAL unit is a VPS, SPS or PPS.
pub(super) fn is_parameter_set(codec: Codec, nal: &[u8]) -> bool {
    match (codec, nal) {
        (Codec::H264, [head, ..]) => matches!(head & 0x1f, 7 | 8),
        (Codec::H265, [head, ..]) => matches!(head >> 1 & 0x3f, 32..=34),
        _ => false,
    }
}

fn range(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// Appends the ranges of the NAL units in a byte stream (ITU-T H.264 annex B).
fn split_annex_b(data: &[u8], nals: &mut Vec<Range<u32>>) {
    let mut push = |from: usize, mut to: usize| {
        // Zeros before the next start code belong to it; a NAL unit never ends in one (7.4.1).
        while to > from && data[to - 1] == 0 {
            to -= 1;
        }
        if to > from {
            nals.push(from as u32..to as u32);
        }
    };
    let (mut from, mut at) = (None, 0);
    while at + 3 <= data.len() {
        match data[at + 2] {
            0 => at += 1,
            1 if data[at] == 0 && data[at + 1] == 0 => {
                if let Some(from) = from {
                    push(from, at);
                }
                at += 3;
                from = Some(at);
            }
            _ => at += 3,
        }
    }
    if let Some(from) = from {
        push(from, data.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::testing::unit;

    #[test]
    fn annex_b_with_every_start_code_is_split() {
        let check = |data: &[u8], expected: &[(u32, u32)]| {
            let mut nals = Vec::new();
            split_annex_b(data, &mut nals);
            let nals: Vec<_> = nals.into_iter().map(|nal| (nal.start, nal.end)).collect();
            assert_eq!(nals, expected, "{data:?}");
        };
        check(&[], &[]);
        check(&[1, 2, 3], &[]);
        check(&[0, 0, 1], &[]);
        check(&[0, 0, 1, 9], &[(3, 4)]);
        check(&[0, 0, 0, 1, 9, 9, 0, 0, 1, 8], &[(4, 6), (9, 10)]);
        check(&[0, 0, 1, 9, 0, 0, 0, 0, 1, 8, 0, 0], &[(3, 4), (9, 10)]);
        check(&[0, 0, 1, 0, 0, 1, 7, 0, 1, 1], &[(6, 10)]);
    }

    #[test]
    fn pictures_leave_evenly_and_never_before_they_are_captured() {
        // I P B B in decoding order, shown I B B P.
        let units: Vec<_> = [0, 3, 1, 2].map(|n| unit(Codec::H264, n == 0, n * 3600 + 77, 100)).into();
        let source = Source::new(units).unwrap();
        let due: Vec<_> = (0..4).map(|n| source.due_90k(n)).collect();
        assert_eq!(due, [7200, 10800, 14400, 18000]);
        assert_eq!(source.pts_90k(1), 10800);
        assert_eq!(source.period_90k(), 4 * 3600);
    }

    #[test]
    fn the_clip_starts_at_its_first_key_picture() {
        let units: Vec<_> = (0..4).map(|n| unit(Codec::H265, n == 2, n * 3600, 50)).collect();
        let source = Source::new(units).unwrap();
        assert_eq!((source.picture_count(), source.pts_90k(0)), (2, 0));
        assert_eq!(source.parameter_sets().count(), 3);
    }

    #[test]
    fn what_cannot_be_played_is_refused() {
        let check = |units: Vec<AccessUnit>, expected| assert_eq!(Source::new(units).unwrap_err(), expected);
        check(vec![], SourceError::NoKeyPicture);
        check(vec![unit(Codec::H264, false, 0, 9)], SourceError::NoKeyPicture);
        check(vec![unit(Codec::Mjpeg, true, 0, 9)], SourceError::Codec(Codec::Mjpeg));
    }
}
