//! NAL units into RTP payloads: H.264 (RFC 6184, packetization mode 1) and H.265 (RFC 7798), without copying.

use crate::frame::Codec;

/// Most NAL units in one aggregation packet: parameter sets and a few SEI messages.
const AGGREGATED_MAX: usize = 8;

/// Gives each RTP payload of one picture to `send` as slices to be sent one after another, and whether it is the last.
///
/// Small NAL units that are no slices (parameter sets, SEI) travel together (STAP-A, AP), those above
/// `payload_bytes_max` in fragments (FU-A, FU), others alone.
pub(super) fn packetise<'a>(
    codec: Codec,
    nals: impl Iterator<Item = &'a [u8]>,
    payload_bytes_max: usize,
    mut send: impl FnMut(&[&[u8]], bool),
) {
    let mut nals = nals.filter(|nal| !nal.is_empty()).peekable();
    let mut together: [&[u8]; AGGREGATED_MAX] = [&[]; AGGREGATED_MAX];
    while let Some(nal) = nals.next() {
        let mut count = 0;
        if aggregates(codec, nal) {
            together[0] = nal;
            count = 1;
            let mut size = head_bytes(codec) + 2 + nal.len();
            while count < AGGREGATED_MAX
                && let Some(next) =
                    nals.next_if(|next| aggregates(codec, next) && size + 2 + next.len() <= payload_bytes_max)
            {
                size += 2 + next.len();
                together[count] = next;
                count += 1;
            }
        }
        let last = nals.peek().is_none();
        if count >= 2 {
            aggregate(codec, &together[..count], |payload| send(payload, last));
        } else if nal.len() <= payload_bytes_max || nal.len() <= head_bytes(codec) {
            send(&[nal], last);
        } else {
            fragment(codec, nal, payload_bytes_max, |payload, end| send(payload, last && end));
        }
    }
}

/// Bytes of a NAL unit's header.
fn head_bytes(codec: Codec) -> usize {
    if codec == Codec::H265 { 2 } else { 1 }
}

/// Whether a NAL unit may share a packet: everything but slices, and nothing cut short.
fn aggregates(codec: Codec, nal: &[u8]) -> bool {
    match codec {
        Codec::H265 => nal.len() >= 2 && nal[0] >> 1 & 0x3f >= 32,
        _ => !matches!(nal[0] & 0x1f, 0..=5),
    }
}

/// One packet of several NAL units, each behind its size (RFC 6184 section 5.7.1, RFC 7798 section 4.4.2).
fn aggregate(codec: Codec, nals: &[&[u8]], send: impl FnOnce(&[&[u8]])) {
    const STAP_A: u8 = 24;
    const AP: u16 = 48;
    let head = match codec {
        Codec::H265 => {
            // Layer and temporal id are the lowest of those inside.
            let head = |nal: &&[u8]| u16::from_be_bytes([nal[0], nal[1]]);
            let layer = nals.iter().map(|nal| head(nal) >> 3 & 0x3f).min().unwrap_or(0);
            let temporal = nals.iter().map(|nal| head(nal) & 7).min().unwrap_or(1);
            (AP << 9 | layer << 3 | temporal).to_be_bytes()
        }
        _ => [nals.iter().map(|nal| nal[0] & 0x60).max().unwrap_or(0) | STAP_A, 0],
    };
    let mut sizes = [[0; 2]; AGGREGATED_MAX];
    for (size, nal) in sizes.iter_mut().zip(nals) {
        *size = (nal.len() as u16).to_be_bytes();
    }
    let mut payload: [&[u8]; 1 + 2 * AGGREGATED_MAX] = [&[]; 1 + 2 * AGGREGATED_MAX];
    payload[0] = &head[..head_bytes(codec)];
    for (n, nal) in nals.iter().enumerate() {
        payload[1 + 2 * n] = &sizes[n];
        payload[2 + 2 * n] = nal;
    }
    send(&payload[..=2 * nals.len()]);
}

/// One NAL unit in several packets (RFC 6184 section 5.8, RFC 7798 section 4.4.3).
fn fragment(codec: Codec, nal: &[u8], payload_bytes_max: usize, mut send: impl FnMut(&[&[u8]], bool)) {
    const FU_A: u8 = 28;
    const FU: u8 = 49;
    const START: u8 = 0x80;
    const END: u8 = 0x40;
    let (body, mut head, head_len, kind) = match codec {
        Codec::H265 => (&nal[2..], [nal[0] & 0x81 | FU << 1, nal[1], 0], 3, nal[0] >> 1 & 0x3f),
        _ => (&nal[1..], [nal[0] & 0xe0 | FU_A, 0, 0], 2, nal[0] & 0x1f),
    };
    let step = payload_bytes_max - head_len;
    let count = body.len().div_ceil(step);
    for (n, part) in body.chunks(step).enumerate() {
        let start = if n == 0 { START } else { 0 };
        let end = if n + 1 == count { END } else { 0 };
        head[head_len - 1] = start | end | kind;
        send(&[&head[..head_len], part], end != 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A receiver as RFC 6184 and RFC 7798 describe it, written apart from the sender.
    fn receive(codec: Codec, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let (mut nals, mut open): (Vec<Vec<u8>>, Option<Vec<u8>>) = (Vec::new(), None);
        for packet in packets {
            let h265 = codec == Codec::H265;
            let kind = if h265 { packet[0] >> 1 & 63 } else { packet[0] & 31 };
            let head = if h265 { 2 } else { 1 };
            let (aggregate, fragment) = if h265 { (48, 49) } else { (24, 28) };
            if kind == aggregate {
                assert!(open.is_none());
                let mut rest = &packet[head..];
                let before = nals.len();
                while !rest.is_empty() {
                    let size = usize::from(rest[0]) * 256 + usize::from(rest[1]);
                    nals.push(rest[2..2 + size].to_vec());
                    rest = &rest[2 + size..];
                }
                assert!(nals.len() >= before + 2, "an aggregation packet holds at least two");
            } else if kind == fragment {
                let fu = packet[head];
                assert_ne!(fu & 0xc0, 0xc0, "start and end in one packet are forbidden");
                if fu & 0x80 != 0 {
                    assert!(open.is_none());
                    let inner = fu & 0x3f;
                    open = Some(if h265 {
                        vec![packet[0] & 0x81 | inner << 1, packet[1]]
                    } else {
                        vec![packet[0] & 0xe0 | inner]
                    });
                }
                let nal = open.as_mut().expect("fragments begin with a start");
                nal.extend(&packet[head + 1..]);
                if fu & 0x40 != 0 {
                    nals.extend(open.take());
                }
            } else {
                assert!(open.is_none());
                nals.push(packet.clone());
            }
        }
        assert!(open.is_none(), "fragments end with an end");
        nals
    }

    fn nal(codec: Codec) -> impl Strategy<Value = Vec<u8>> {
        // Mostly small ones, as parameter sets and SEI are; some far above any packet.
        let size = prop_oneof![0..40_usize, 0..400_usize, 1000..5000_usize];
        let kind = if codec == Codec::H265 { 0..41_u8 } else { 1..13_u8 };
        (kind, size, any::<u8>(), any::<u8>()).prop_map(move |(kind, size, fill, extra)| {
            let mut nal = if codec == Codec::H265 {
                vec![kind << 1 | extra & 1, (extra & 0xf8) | (1 + (extra & 3))]
            } else {
                vec![extra & 0x60 | kind]
            };
            nal.extend((0..size).map(|n| fill.wrapping_add(n as u8)));
            nal
        })
    }

    fn check(codec: Codec, nals: &[Vec<u8>], payload_bytes_max: usize) {
        let (mut packets, mut markers) = (Vec::new(), Vec::new());
        packetise(codec, nals.iter().map(Vec::as_slice), payload_bytes_max, |parts, last| {
            packets.push(parts.concat());
            markers.push(last);
        });
        assert!(packets.iter().all(|packet| packet.len() <= payload_bytes_max));
        assert_eq!(markers.iter().position(|&last| last), markers.len().checked_sub(1), "{markers:?}");
        assert_eq!(receive(codec, &packets), nals);
    }

    proptest! {
        #[test]
        fn h264_arrives_as_it_was_sent(nals in vec(nal(Codec::H264), 0..20), max in 64..3000_usize) {
            check(Codec::H264, &nals, max);
        }

        #[test]
        fn h265_arrives_as_it_was_sent(nals in vec(nal(Codec::H265), 0..20), max in 64..3000_usize) {
            check(Codec::H265, &nals, max);
        }

        #[test]
        fn damaged_units_do_no_harm(nals in vec(vec(any::<u8>(), 0..200), 0..10), max in 64..100_usize) {
            for codec in [Codec::H264, Codec::H265] {
                packetise(codec, nals.iter().map(Vec::as_slice), max, |parts, _| {
                    assert!(parts.concat().len() <= max);
                });
            }
        }
    }

    #[test]
    fn sizes_at_the_edge_of_a_packet_arrive() {
        for codec in [Codec::H264, Codec::H265] {
            for size in 60..140 {
                for head in [[2, 1], [66, 1]] {
                    let head = if codec == Codec::H264 { [head[0] / 64 * 6 + 1, 9] } else { head };
                    let nal: Vec<u8> = head.into_iter().chain(0..size).collect();
                    check(codec, &[nal.clone(), nal], 64);
                }
            }
        }
    }
}
