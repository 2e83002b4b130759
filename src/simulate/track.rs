//! The tracks of a camera: what each is called and carries.

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// H.264 or H.265.
    Video,
    /// G.711 A-law at 8 kHz: silence.
    Audio,
    /// ONVIF events as XML (ONVIF Streaming Specification section 5.2.1.1).
    Metadata,
}

impl Kind {
    /// All kinds, in the order of the description.
    pub const ALL: [Kind; 3] = [Kind::Video, Kind::Audio, Kind::Metadata];

    /// The last part of its URL.
    pub fn control(self) -> &'static str {
        ["trackID=0", "trackID=1", "trackID=2"][self as usize]
    }

    /// RTP payload type: dynamic ones, and 8 for A-law (RFC 3551 table 4).
    pub fn payload_type(self) -> u8 {
        [96, 8, 107][self as usize]
    }

    /// RTP ticks per second.
    pub fn clock_rate(self) -> u64 {
        [90_000, 8_000, 90_000][self as usize]
    }
}

/// Samples, and bytes, of an audio packet: 20 ms.
pub(super) const AUDIO_PACKET_SAMPLES: u64 = 160;

/// A-law for zero, with the even bits inverted as ITU-T G.711 sends them.
pub(super) const SILENCE: [u8; AUDIO_PACKET_SAMPLES as usize] = [0xd5; AUDIO_PACKET_SAMPLES as usize];

/// An ONVIF document without events.
pub(super) const METADATA: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
<tt:MetadataStream xmlns:tt=\"http://www.onvif.org/ver10/schema\"/>";
