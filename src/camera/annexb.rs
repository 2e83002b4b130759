//! Annex B byte streams (ITU-T H.264 and H.265, annex B): NAL units, and parameter sets put in band where they are missing.

use std::collections::BTreeMap;

use crate::frame::Codec;

/// Most bytes of parameter sets remembered for one stream: hundreds of real ones; a hostile stream gets no more.
const PARAMETER_BYTES_MAX: usize = 64 * 1024;

/// The NAL units of an Annex B byte stream, without start codes and trailing zeros; bytes before the first start code are skipped.
pub fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(stream).map(|at| &stream[at + 3..]);
    std::iter::from_fn(move || {
        let unit = rest?;
        let end = start_code(unit);
        rest = end.map(|at| &unit[at + 3..]);
        Some(trim_zeros(&unit[..end.unwrap_or(unit.len())]))
    })
    .filter(|unit| !unit.is_empty())
}

/// Whether a stream has a NAL unit of this kind; what follows the first one is not read.
pub fn has_nal(codec: Codec, stream: &[u8], kind: Nal) -> bool {
    let mut rest = stream;
    while let Some(at) = start_code(rest) {
        rest = &rest[at + 3..];
        if nal_kind(codec, rest) == kind {
            return true;
        }
    }
    false
}

/// Where the next `00 00 01` begins.
fn start_code(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(&third) = bytes.get(at + 2) {
        match third {
            1 if bytes[at] == 0 && bytes[at + 1] == 0 => return Some(at),
            // Neither a zero nor the code's end: no code can begin at any of these three bytes.
            2.. => at += 3,
            _ => at += 1,
        }
    }
    None
}

fn trim_zeros(unit: &[u8]) -> &[u8] {
    &unit[..unit.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)]
}

/// What a NAL unit is for, as far as anyone outside the decoder cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nal {
    /// Access unit delimiter: comes first.
    Delimiter,
    /// Video parameter set (H.265).
    Vps,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// A slice of a picture at which decoding can start: IDR, CRA, BLA.
    RandomAccess,
    /// Anything else.
    Other,
}

/// What a NAL unit is for (H.264 table 7-1, H.265 table 7-1).
pub fn nal_kind(codec: Codec, unit: &[u8]) -> Nal {
    let first = unit.first().copied().unwrap_or(0);
    match codec {
        Codec::H264 => match first & 31 {
            5 => Nal::RandomAccess,
            7 => Nal::Sps,
            8 => Nal::Pps,
            9 => Nal::Delimiter,
            _ => Nal::Other,
        },
        Codec::H265 => match first >> 1 & 63 {
            16..=21 => Nal::RandomAccess,
            32 => Nal::Vps,
            33 => Nal::Sps,
            34 => Nal::Pps,
            35 => Nal::Delimiter,
            _ => Nal::Other,
        },
        _ => Nal::Other,
    }
}

/// The newest parameter set of each kind and id that a stream has sent.
#[derive(Debug)]
pub struct ParameterSets {
    codec: Codec,
    sets: BTreeMap<(Nal, u32), Vec<u8>>,
}

impl ParameterSets {
    /// None known yet.
    pub fn new(codec: Codec) -> Self {
        Self { codec, sets: BTreeMap::new() }
    }

    /// Remembers the parameter sets in some Annex B bytes.
    pub fn learn(&mut self, stream: &[u8]) {
        for unit in nal_units(stream) {
            let Some(key) = parameter_key(self.codec, unit) else { continue };
            let others: usize = self.sets.iter().filter(|(k, _)| **k != key).map(|(_, set)| set.len()).sum();
            if others + unit.len() <= PARAMETER_BYTES_MAX {
                self.sets.insert(key, unit.to_vec());
            }
        }
    }

    /// The access unit with every remembered parameter set that it lacks put before its first picture data; `None` if it lacks none.
    pub fn complete(&self, stream: &[u8]) -> Option<Vec<u8>> {
        let present: Vec<_> = nal_units(stream).filter_map(|unit| parameter_key(self.codec, unit)).collect();
        let missing: Vec<_> = self.sets.iter().filter(|(key, _)| !present.contains(key)).collect();
        if missing.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(stream.len() + PARAMETER_BYTES_MAX.min(1024));
        let mut put = |unit: &[u8]| {
            out.extend_from_slice(&[0, 0, 0, 1]);
            out.extend_from_slice(unit);
        };
        let mut units = nal_units(stream).peekable();
        while let Some(unit) = units.next_if(|unit| nal_kind(self.codec, unit) == Nal::Delimiter) {
            put(unit);
        }
        // In the order of the map: VPS, SPS, PPS, because each refers to the one before.
        for (_, set) in missing {
            put(set);
        }
        units.for_each(put);
        Some(out)
    }
}

/// Kind and id of a parameter set; `None` for other units and for broken ones.
fn parameter_key(codec: Codec, unit: &[u8]) -> Option<(Nal, u32)> {
    let kind = nal_kind(codec, unit);
    let mut bits = match (codec, kind) {
        (Codec::H264, Nal::Sps | Nal::Pps) => Bits::new(unit, 1),
        (Codec::H265, Nal::Vps | Nal::Sps | Nal::Pps) => Bits::new(unit, 2),
        _ => return None,
    };
    let id = match (codec, kind) {
        (Codec::H264, Nal::Sps) => {
            bits.skip(24); // profile_idc, constraint flags, level_idc
            bits.exp_golomb()?
        }
        (_, Nal::Vps) => bits.read(4)?,
        (_, Nal::Sps) => {
            bits.skip(4); // sps_video_parameter_set_id
            let sub_layers = bits.read(3)?;
            bits.skip(1 + 96); // temporal_id_nesting_flag, general profile, tier and level
            let present: Vec<_> =
                (0..sub_layers).map(|_| Some((bits.read(1)?, bits.read(1)?))).collect::<Option<_>>()?;
            if sub_layers > 0 {
                bits.skip(2 * (8 - sub_layers as usize)); // alignment
            }
            for (profile, level) in present {
                bits.skip(88 * profile as usize + 8 * level as usize);
            }
            bits.exp_golomb()?
        }
        _ => bits.exp_golomb()?,
    };
    // Ids are at most 15 (VPS, SPS), 31 (H.264 SPS), 63 (H.265 PPS) or 255 (H.264 PPS); others are garbage.
    (id < 256).then_some((kind, id))
}

/// Reads bits of a NAL unit's first bytes, emulation prevention (`00 00 03`) removed.
struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    /// Starts after `header` bytes.
    fn new(unit: &[u8], header: usize) -> Self {
        let mut bytes = Vec::with_capacity(128);
        let mut zeros = 0;
        // Ids stand within the first 100 bytes even with seven sub-layers.
        for &byte in unit.iter().skip(header).take(128) {
            if zeros >= 2 && byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            bytes.push(byte);
        }
        Self { bytes, at: 0 }
    }

    fn skip(&mut self, bits: usize) {
        self.at += bits;
    }

    fn read(&mut self, bits: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..bits {
            let byte = *self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// ue(v), section 9.1 of H.264; `None` above 16 bits, which no id needs.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
            if zeros > 16 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.read(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0];
    const PPS: &[u8] = &[0x68, 0xcb, 0x83, 0xcb, 0x20];
    const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x00, 0x33];

    fn stream(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
    }

    #[test]
    fn units_are_found_whatever_surrounds_them() {
        let check = |bytes: &[u8], expected: &[&[u8]]| {
            assert_eq!(nal_units(bytes).collect::<Vec<_>>(), expected, "{bytes:02x?}");
        };
        check(&[], &[]);
        check(&[0, 0, 1], &[]);
        check(&[7, 7, 7], &[]);
        check(&[0, 0, 1, 9], &[&[9]]);
        check(&[9, 0, 0, 0, 1, 0x65, 1, 0, 0, 0, 0, 0, 1, 0x41], &[&[0x65, 1], &[0x41]]);
        check(&[0, 0, 1, 0, 0, 1, 2, 0, 0, 2, 0, 0, 1, 3], &[&[2, 0, 0, 2], &[3]]);
        let key = stream(&[SPS, PPS, IDR]);
        assert!(has_nal(Codec::H264, &key, Nal::RandomAccess) && has_nal(Codec::H264, &key, Nal::Pps));
        assert!(!has_nal(Codec::H264, &stream(&[SPS, PPS]), Nal::RandomAccess));
        assert!(!has_nal(Codec::H264, &[0, 0, 1], Nal::RandomAccess));
    }

    #[test]
    fn missing_parameter_sets_go_before_the_picture() {
        let mut sets = ParameterSets::new(Codec::H264);
        sets.learn(&stream(&[PPS, SPS]));
        let delimiter: &[u8] = &[9, 0xf0];
        let check = |unit: &[&[u8]], expected: Option<&[&[u8]]>| {
            assert_eq!(sets.complete(&stream(unit)), expected.map(stream), "{unit:02x?}");
        };
        check(&[SPS, PPS, IDR], None);
        check(&[IDR], Some(&[SPS, PPS, IDR]));
        check(&[delimiter, IDR], Some(&[delimiter, SPS, PPS, IDR]));
        check(&[SPS, IDR], Some(&[PPS, SPS, IDR]));
    }

    #[test]
    fn a_changed_parameter_set_replaces_the_old_one() {
        let mut sets = ParameterSets::new(Codec::H264);
        sets.learn(&stream(&[SPS, PPS]));
        let changed: &[u8] = &[0x67, 0x64, 0x00, 0x28, 0xd9, 0x01];
        sets.learn(&stream(&[changed]));
        assert_eq!(sets.complete(&stream(&[IDR])), Some(stream(&[changed, PPS, IDR])));
    }

    #[test]
    fn ids_of_h265_sets_are_read() {
        // From x265: one VPS, SPS (no sub-layers, id 0) and PPS.
        let vps: &[u8] = &[0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60];
        let sps: &[u8] =
            &[0x42, 0x01, 0x01, 0x01, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x3c, 0xa0, 0x0a, 0x08];
        let pps: &[u8] = &[0x44, 0x01, 0xc1, 0x73];
        let check = |unit, expected| assert_eq!(parameter_key(Codec::H265, unit), expected);
        check(vps, Some((Nal::Vps, 0)));
        check(sps, Some((Nal::Sps, 0)));
        check(pps, Some((Nal::Pps, 0)));
        check(&sps[..6], None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(3), any::<u8>()], 0..400),
            h265 in any::<bool>(),
        ) {
            let codec = if h265 { Codec::H265 } else { Codec::H264 };
            let mut sets = ParameterSets::new(codec);
            sets.learn(&bytes);
            let key = stream(&[&[if h265 { 19 << 1 } else { 5 }, 1]]);
            if let Some(completed) = sets.complete(&key) {
                prop_assert!(sets.complete(&completed).is_none());
            }
        }
    }
}
