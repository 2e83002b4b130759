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
