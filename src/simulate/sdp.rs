//! What a camera says about its stream (SDP, RFC 8866; as RTSP cameras write it, RFC 2326 appendix C).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Source;
use super::track::Kind;
use crate::frame::Codec;

/// The description of a camera that plays `source`; `sprop`: with the parameter sets in it.
pub(super) fn describe(source: &Source, sprop: bool, kinds: &[Kind]) -> String {
    let session = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=gridwatch simulated camera",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=range:npt=now-",
        "a=control:*",
    ];
    let mut lines = session.map(str::to_owned).to_vec();
    for &kind in kinds {
        let payload_type = kind.payload_type();
        let (media, format) = match kind {
            Kind::Video => ("video", video(source, sprop)),
            Kind::Audio => ("audio", format!("a=rtpmap:{payload_type} PCMA/8000")),
            Kind::Metadata => ("application", format!("a=rtpmap:{payload_type} vnd.onvif.metadata/90000")),
        };
        lines.push(format!("m={media} 0 RTP/AVP {payload_type}\r\n{format}"));
        lines.push(format!("a=recvonly\r\na=control:{}", kind.control()));
    }
    lines.push(String::new());
    lines.join("\r\n")
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
        let map = format!("a=rtpmap:{payload_type} H265/90000");
        if !sprop || source.parameter_sets().next().is_none() {
            return map;
        }
        let (vps, sps, pps) = (of_kind(32), of_kind(33), of_kind(34));
        return format!("{map}\r\na=fmtp:{payload_type} sprop-vps={vps}; sprop-sps={sps}; sprop-pps={pps}");
    }
    let map = format!("a=rtpmap:{payload_type} H264/90000\r\na=fmtp:{payload_type} packetization-mode=1");
    let sps = source.parameter_sets().find(|set| set[0] & 0x1f == 7);
    let Some([_, profile, constraints, level, ..]) = sps.filter(|_| sprop) else { return map };
    let (sps, pps) = (of_kind(7), of_kind(8));
    format!(
        "{map}; profile-level-id={profile:02X}{constraints:02X}{level:02X}; sprop-parameter-sets={sps},{pps}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::testing::unit;

    fn check(codec: Codec, sprop: bool, kinds: &[Kind], expected: &str) {
        let source = Source::new(vec![unit(codec, true, 0, 100)]).unwrap();
        let sdp = describe(&source, sprop, kinds);
        assert!(sdp.ends_with("\r\n") && !sdp.replace("\r\n", "").contains(['\r', '\n']), "{sdp:?}");
        let session = "v=0 o=- 1 1 IN IP4 127.0.0.1 s=gridwatch simulated camera c=IN IP4 0.0.0.0 t=0 0 \
                       a=range:npt=now- a=control:*";
        let (described, media) = sdp.split_at(sdp.find("m=").unwrap());
        assert_eq!(described.trim_end().replace("\r\n", " "), session);
        assert_eq!(media.trim_end().replace("\r\n", "\n"), expected);
    }

    #[test]
    fn cameras_describe_what_they_send() {
        check(
            Codec::H264,
            true,
            &[Kind::Video],
            "m=video 0 RTP/AVP 96\n\
             a=rtpmap:96 H264/90000\n\
             a=fmtp:96 packetization-mode=1; profile-level-id=64001F; sprop-parameter-sets=Z2QAH6w=,aOvj\n\
             a=recvonly\n\
             a=control:trackID=0",
        );
        check(
            Codec::H265,
            true,
            &[Kind::Video],
            "m=video 0 RTP/AVP 96\n\
             a=rtpmap:96 H265/90000\n\
             a=fmtp:96 sprop-vps=QAEM; sprop-sps=QgEBYA==; sprop-pps=RAHB\n\
             a=recvonly\n\
             a=control:trackID=0",
        );
    }

    #[test]
    fn parameter_sets_are_left_out_and_tracks_added_when_told() {
        check(
            Codec::H264,
            false,
            &Kind::ALL,
            "m=video 0 RTP/AVP 96\n\
             a=rtpmap:96 H264/90000\n\
             a=fmtp:96 packetization-mode=1\n\
             a=recvonly\n\
             a=control:trackID=0\n\
             m=audio 0 RTP/AVP 8\n\
             a=rtpmap:8 PCMA/8000\n\
             a=recvonly\n\
             a=control:trackID=1\n\
             m=application 0 RTP/AVP 107\n\
             a=rtpmap:107 vnd.onvif.metadata/90000\n\
             a=recvonly\n\
             a=control:trackID=2",
        );
        check(
            Codec::H265,
            false,
            &[Kind::Video],
            "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\na=recvonly\na=control:trackID=0",
        );
    }
}
