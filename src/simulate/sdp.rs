//! What a camera says about its stream (SDP, RFC 8866; as RTSP cameras write it, RFC 2326 appendix C).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Source;
use super::track::Kind;
use crate::frame::Codec;

/// The description of a camera that plays `source`; `sprop`: with the parameter sets in it.
pub(super) fn describe(source: &Source, sprop: bool, kinds: &[Kind]) -> String {
    let mut sdp = String::from(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=gridwatch simulated camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
         a=range:npt=now-\r\na=control:*\r\n",
    );
    for &kind in kinds {
        let payload_type = kind.payload_type();
        sdp += &match kind {
            Kind::Video => format!("m=video 0 RTP/AVP {payload_type}\r\n{}", video(source, sprop)),
            Kind::Audio => {
                format!("m=audio 0 RTP/AVP {payload_type}\r\na=rtpmap:{payload_type} PCMA/8000\r\n")
            }
            Kind::Metadata => format!(
                "m=application 0 RTP/AVP {payload_type}\r\na=rtpmap:{payload_type} vnd.onvif.metadata/90000\r\n"
            ),
        };
        sdp += &format!("a=recvonly\r\na=control:{}\r\n", kind.control());
    }
    sdp
}

/// The video track's codec lines (RFC 6184 section 8.2.1, RFC 7798 section 7.2.1).
fn video(source: &Source, sprop: bool) -> String {
    let payload_type = Kind::Video.payload_type();
    let of_kind = |kind: u8| {
        let encoded: Vec<String> = source
            .parameter_sets()
            .filter(|set| match source.codec() {
                Codec::H265 => set[0] >> 1 & 0x3f == kind,
                _ => set[0] & 0x1f == kind,
            })
            .map(|set| STANDARD.encode(set))
            .collect();
        encoded.join(",")
    };
    if source.codec() == Codec::H265 {
        let mut lines = format!("a=rtpmap:{payload_type} H265/90000\r\n");
        if sprop && source.parameter_sets().next().is_some() {
            lines += &format!(
                "a=fmtp:{payload_type} sprop-vps={}; sprop-sps={}; sprop-pps={}\r\n",
                of_kind(32),
                of_kind(33),
                of_kind(34)
            );
        }
        return lines;
    }
    let mut lines =
        format!("a=rtpmap:{payload_type} H264/90000\r\na=fmtp:{payload_type} packetization-mode=1");
    if sprop
        && let Some([_, profile, constraints, level, ..]) =
            source.parameter_sets().find(|set| set[0] & 0x1f == 7)
    {
        lines += &format!(
            "; profile-level-id={profile:02X}{constraints:02X}{level:02X}; sprop-parameter-sets={},{}",
            of_kind(7),
            of_kind(8)
        );
    }
    lines + "\r\n"
}
