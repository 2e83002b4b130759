//! Presentation order for streams whose container gives decoding times only (raw H.264 and H.265, AVI).
//!
//! The n-th shown picture gets the n-th decoding time. H.264 and H.265 pictures are shown in the order of their picture
//! order counts (H.264 section 8.2.1, H.265 section 8.3.1), which FFmpeg's parsers read; in MPEG-4 part 2 a B picture
//! is shown before the I or P picture that was decoded before it.

use std::collections::VecDeque;
use std::ptr;

use ffmpeg_next as ff;
use ffmpeg_next::packet::Ref as _;

use crate::camera::annexb::nal_units;
use crate::frame::Codec;

/// How many pictures may pass before one is shown out of order: twice the 16 that both standards allow.
pub const WINDOW: usize = 32;

/// Where a picture stands in presentation order: the counts begin anew with each sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    sequence: u64,
    count: i32,
}

/// Reads from packets in decoding order where their pictures are shown.
pub struct Orders {
    codec: Codec,
    counts: Option<Counts>,
    sequence: u64,
}

impl Orders {
    /// For H.264, H.265 and MPEG-4 part 2; `None` for codecs that show pictures as they are decoded.
    pub fn new(codec: Codec) -> Option<Self> {
        let counts = match codec {
            Codec::H264 => Some(Counts::new(ff::codec::Id::H264)?),
            Codec::H265 => Some(Counts::new(ff::codec::Id::HEVC)?),
            Codec::Mpeg4 => None,
            Codec::Mjpeg | Codec::Other(_) => return None,
        };
        Some(Self { codec, counts, sequence: 0 })
    }

    /// Where the picture in a packet is shown.
    pub fn next(&mut self, packet: &ff::Packet) -> Order {
        let data = packet.data().unwrap_or_default();
        let count = match &mut self.counts {
            Some(counts) => {
                let count = counts.next(packet);
                self.sequence += u64::from(restarts_counting(self.codec, data));
                count
            }
            None if vop_coding_type(data) == Some(2) => 0,
            None => {
                self.sequence += 1;
                i32::MAX
            }
        };
        Order { sequence: self.sequence, count }
    }
}

/// Whether picture order counts begin anew here: IDR, in H.265 also BLA.
fn restarts_counting(codec: Codec, unit: &[u8]) -> bool {
    nal_units(unit).any(|nal| match codec {
        Codec::H264 => nal[0] & 31 == 5,
        _ => matches!(nal[0] >> 1 & 63, 16..=20),
    })
}

/// `vop_coding_type` of an MPEG-4 picture (ISO/IEC 14496-2 section 6.2.5): 0 I, 1 P, 2 B, 3 S; `None` without a picture.
pub fn vop_coding_type(data: &[u8]) -> Option<u8> {
    let at = data.windows(4).position(|bytes| bytes == [0, 0, 1, 0xb6])?;
    Some(data.get(at + 4)? >> 6)
}

/// FFmpeg's parser of H.264 or H.265.
struct Counts {
    parser: *mut ff::ffi::AVCodecParserContext,
    context: ff::codec::Context,
}

// SAFETY: the parser context is owned by this value alone and FFmpeg ties it to no thread.
unsafe impl Send for Counts {}

impl Counts {
    fn new(id: ff::codec::Id) -> Option<Self> {
        let context = ff::codec::Context::new_with_codec(ff::decoder::find(id)?);
        let raw_id: ff::ffi::AVCodecID = id.into();
        // SAFETY: the call has no conditions; null means that this FFmpeg has no such parser.
        let parser = unsafe { ff::ffi::av_parser_init(raw_id as i32) };
        if parser.is_null() {
            return None;
        }
        // SAFETY: just checked, and ours. Packets come as whole access units.
        unsafe { (*parser).flags |= ff::ffi::PARSER_FLAG_COMPLETE_FRAMES };
        Some(Self { parser, context })
    }

    /// The picture order count of the picture in a packet.
    fn next(&mut self, packet: &ff::Packet) -> i32 {
        let (mut out, mut out_size) = (ptr::null_mut(), 0);
        let none = ff::ffi::AV_NOPTS_VALUE;
        // SAFETY: both contexts are ours; FFmpeg pads the data of every packet, as the parser demands. `out` points into
        // the packet and is not used.
        unsafe {
            let raw = &*packet.as_ptr();
            let (context, out, size) = (self.context.as_mut_ptr(), &raw mut out, &raw mut out_size);
            ff::ffi::av_parser_parse2(self.parser, context, out, size, raw.data, raw.size, none, none, 0);
            (*self.parser).output_picture_number
        }
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        // SAFETY: `self.parser` is the parser that this value owns.
        unsafe { ff::ffi::av_parser_close(self.parser) }
    }
}

/// Holds back a few items until the presentation rank of the oldest is known.
#[derive(Debug)]
pub struct Ranking<T> {
    waiting: VecDeque<(Order, T)>,
    /// Orders of the last items that went out.
    gone: VecDeque<Order>,
    /// Decoding times, in step with `gone` and then `waiting`.
    times_s: VecDeque<f64>,
}

impl<T> Ranking<T> {
    /// Nothing waits yet.
    pub fn new() -> Self {
        Self { waiting: VecDeque::new(), gone: VecDeque::new(), times_s: VecDeque::new() }
    }

    /// Adds the next item in decoding order, with its decoding time in seconds.
    pub fn push(&mut self, order: Order, decoded_s: f64, item: T) {
        self.waiting.push_back((order, item));
        self.times_s.push_back(decoded_s);
    }

    /// The oldest item, still in decoding order, with its presentation time; `None` until enough came after it, or with `last` at the end.
    pub fn pop(&mut self, last: bool) -> Option<(f64, T)> {
        if self.waiting.len() <= WINDOW && !last {
            return None;
        }
        let (order, item) = self.waiting.pop_front()?;
        // How many of the pictures around it are shown before it; equal counts (broken streams) keep decoding order.
        let before = self.gone.iter().filter(|gone| **gone <= order).count()
            + self.waiting.iter().filter(|(later, _)| *later < order).count();
        let at_s = self.times_s.get(before).copied().unwrap_or_default();
        self.gone.push_back(order);
        if self.gone.len() > WINDOW {
            self.gone.pop_front();
            self.times_s.pop_front();
        }
        Some((at_s, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows pictures given as (sequence, count) in decoding order, one second each.
    fn shown(stream: &[(u64, i32)]) -> Vec<f64> {
        let mut ranking = Ranking::new();
        let mut out = Vec::new();
        for (i, &(sequence, count)) in stream.iter().enumerate() {
            ranking.push(Order { sequence, count }, i as f64, ());
            out.extend(ranking.pop(false));
        }
        out.extend(std::iter::from_fn(|| ranking.pop(true)));
        out.into_iter().map(|(at_s, ())| at_s).collect()
    }

    #[test]
    fn pictures_get_the_time_at_which_they_are_shown() {
        let check = |stream: &[(u64, i32)], expected: &[f64]| assert_eq!(shown(stream), expected);
        check(&[], &[]);
        check(&[(0, 0), (0, 2), (0, 4)], &[0.0, 1.0, 2.0]);
        // I P B B P B B, then a new sequence.
        check(
            &[(0, 0), (0, 6), (0, 2), (0, 4), (0, 12), (0, 8), (0, 10), (1, 0), (1, 4), (1, 2)],
            &[0.0, 3.0, 1.0, 2.0, 6.0, 4.0, 5.0, 7.0, 9.0, 8.0],
        );
        check(&[(0, 7), (0, 7), (0, 7)], &[0.0, 1.0, 2.0]);
    }

    #[test]
    fn long_streams_keep_their_pace() {
        // Groups of P B B for ten windows: each is shown once, at a time of its own.
        let stream: Vec<_> =
            (0..WINDOW as i32 * 10).flat_map(|i| [i * 6 + 6, i * 6 + 2, i * 6 + 4]).collect();
        let mut times = shown(&stream.iter().map(|&count| (0, count)).collect::<Vec<_>>());
        times.sort_by(f64::total_cmp);
        assert_eq!(times, (0..stream.len()).map(|i| i as f64).collect::<Vec<_>>());
    }
}
