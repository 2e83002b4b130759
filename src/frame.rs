//! What a camera sends: access units (compressed) and pictures (decoded), each with the time it was captured.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A camera's id as the config spells it: ASCII letters, digits, `-`, `_`, `.`; cheap to clone.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct CameraId(pub Arc<str>);

impl CameraId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for CameraId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which clock a capture time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The camera's own clock, through RTCP sender reports (RFC 3550 section 6.4.1).
    Rtcp,
    /// This machine's clock when the picture's first packet arrived.
    Arrival,
    /// Presentation time of a file, counted from an arbitrary start.
    File,
}

/// When a picture was captured: a wall time for people, a media time for dwell, and whose clock it was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Captured {
    /// Wall-clock time, UTC.
    pub wall: Timestamp,
    /// Time since the camera's first picture: never goes back, goes on over reconnects, and over restarts where something was
    /// remembered. Dwell is counted in it.
    pub media: Duration,
    /// Where `wall` comes from.
    pub clock: Clock,
}

impl Captured {
    /// Seconds from `earlier` to this, 0 if it is not earlier.
    pub fn seconds_since(&self, earlier: &Captured) -> f64 {
        self.media.saturating_sub(earlier.media).as_secs_f64()
    }
}

/// A video coding standard that cameras send, or that a file uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// ITU-T H.264, AVC.
    H264,
    /// ITU-T H.265, HEVC.
    H265,
    /// Motion JPEG; every picture is a key picture.
    Mjpeg,
    /// MPEG-4 part 2 (old cameras and files only); its headers are in band before each key picture, too.
    Mpeg4,
    /// Anything else that a file may hold, with what its decoder must know beforehand.
    Other(&'static FileCodec),
}

impl Codec {
    /// Its short name: `h264`, `h265`, `mjpeg`, `mpeg4`, or FFmpeg's name of another codec.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Mjpeg => "mjpeg",
            Self::Mpeg4 => "mpeg4",
            Self::Other(file) => &file.name,
        }
    }
}

/// A codec that only files use. What the container says about it goes with it, because it is not in band.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct FileCodec {
    /// FFmpeg's name of the codec, such as `msmpeg4v2`.
    pub name: String,
    /// FFmpeg's `AVCodecID`.
    pub id: u32,
    /// Width in pixels as the container says.
    pub width: u32,
    /// Height in pixels as the container says.
    pub height: u32,
    /// The decoder's set-up data (FFmpeg: extradata), often empty.
    pub header: Vec<u8>,
}

/// One compressed picture as it came over the wire.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    /// When it was captured.
    pub captured: Captured,
    /// How it is compressed.
    pub codec: Codec,
    /// Whether decoding can start here (IDR, CRA, BLA, or a JPEG).
    pub key: bool,
    /// Whether packets were lost between the previous unit and this one.
    pub after_loss: bool,
    /// H.264/H.265: Annex B byte stream, parameter sets in band before each key picture. Otherwise the codec's own bytes.
    pub data: Arc<[u8]>,
    /// Presentation time on the sender's clock, in 1/90000 s, unwrapped; only differences mean anything.
    pub pts_90k: i64,
}

/// A decoded picture: three packed planes, I420 (4:2:0, 8 bit).
#[derive(Clone)]
pub struct Picture {
    /// When it was captured.
    pub captured: Captured,
    /// Width in pixels; even sizes are not guaranteed, chroma is rounded up.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Luma, `width * height` bytes.
    pub y: Arc<[u8]>,
    /// Blue difference, `ceil(width/2) * ceil(height/2)` bytes.
    pub u: Arc<[u8]>,
    /// Red difference, the same size as `u`.
    pub v: Arc<[u8]>,
    /// Whether luma spans 0..255 (JPEG range) instead of 16..235.
    pub full_range: bool,
}

impl Picture {
    /// Width and height of the two chroma planes.
    pub fn chroma_size(&self) -> (usize, usize) {
        (self.width.div_ceil(2), self.height.div_ceil(2))
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}x{} at {:?})", self.width, self.height, self.captured.media)
    }
}

/// What a camera's connection is doing; published retained, shown in tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CameraState {
    /// Not connected yet, or waiting to try again.
    Connecting,
    /// Pictures arrive.
    Online,
    /// Connected, but nothing decodable has come for the stall limit.
    Stalled,
    /// The camera refuses the user name or password.
    AuthFailed,
    /// Something in the config is wrong; nothing is tried until it is mended.
    Disabled,
}
