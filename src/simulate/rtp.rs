//! RTP headers and RTCP reports (RFC 3550).

use jiff::Timestamp;

/// Bytes of an RTP header without extensions.
pub(super) const HEADER_BYTES: usize = 12;

/// The fields of an RTP header (RFC 3550 section 5.1).
pub(super) struct Header {
    /// Last packet of a picture.
    pub marker: bool,
    /// Payload type, 0..127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Media time in ticks of the payload's clock.
    pub timestamp: u32,
    /// Who sends.
    pub ssrc: u32,
}

impl Header {
    /// The header as it travels.
    pub fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = 0x80;
        bytes[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes
    }
}

/// What a sender says about itself (RFC 3550 section 6.4.1).
pub(super) struct SenderReport {
    /// Who sends.
    pub ssrc: u32,
    /// Wall time of the report.
    pub wall: Timestamp,
    /// The same moment in RTP ticks.
    pub timestamp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Payload bytes sent so far.
    pub octets: u32,
}

impl SenderReport {
    /// A compound packet: the report and the source description that section 6.1 asks for.
    pub fn bytes(&self) -> Vec<u8> {
        const SENDER_REPORT: [u8; 4] = [0x80, 200, 0, 6];
        const CNAME: &[u8; 8] = b"simulate";
        // Chunk: SSRC, item type 1, length, text, end; 4 + 2 + 8 + 2 bytes are four words.
        const SOURCE_DESCRIPTION: [u8; 4] = [0x81, 202, 0, 4];
        let mut bytes = Vec::with_capacity(48);
        bytes.extend(SENDER_REPORT);
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend(ntp(self.wall).to_be_bytes());
        for word in [self.timestamp, self.packets, self.octets] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(SOURCE_DESCRIPTION);
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend([1, CNAME.len() as u8]);
        bytes.extend(CNAME);
        bytes.extend([0, 0]);
        bytes
    }
}

/// Seconds since 1900 in 32.32 fixed point (RFC 5905 section 6), wrapping as eras do.
fn ntp(wall: Timestamp) -> u64 {
    const UNIX_EPOCH_S: i64 = 2_208_988_800;
    let nanoseconds = wall.as_nanosecond();
    let seconds = nanoseconds.div_euclid(1_000_000_000) as i64 + UNIX_EPOCH_S;
    let fraction = (nanoseconds.rem_euclid(1_000_000_000) as u64) << 32;
    ((seconds as u64) << 32) | (fraction / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_is_the_rfc_s_own_example() {
        // RFC 5905 figure 4: 1 January 1970 is second 2,208,988,800; 1 January 2000 is 3,155,673,600.
        let check = |wall: &str, seconds: u64, half: bool| {
            let fixed = ntp(wall.parse().unwrap());
            assert_eq!((fixed >> 32, fixed as u32 == 1 << 31), (seconds, half), "{wall}");
        };
        check("1970-01-01T00:00:00Z", 2_208_988_800, false);
        check("2000-01-01T00:00:00.5Z", 3_155_673_600, true);
    }

    #[test]
    fn a_sender_report_counts_its_own_words() {
        let report =
            SenderReport { ssrc: 7, wall: Timestamp::UNIX_EPOCH, timestamp: 1, packets: 2, octets: 3 };
        let bytes = report.bytes();
        let words = |at: usize| usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]])) + 1;
        assert_eq!(words(0) * 4 + words(words(0) * 4) * 4, bytes.len());
        assert_eq!(bytes[8..16], [0x83, 0xaa, 0x7e, 0x80, 0, 0, 0, 0]);
    }
}
