//! Decoding with FFmpeg: [`Decoder`] for every picture of one stream, [`KeyDecoder`] for key pictures of any.

mod continuous;
mod key;
mod open;
mod plane;

use crate::frame::{AccessUnit, Codec};

pub use continuous::Decoder;
pub use key::KeyDecoder;

/// Longest width and height of a picture that is decoded: beyond any camera, and a bound on memory (100 MB).
pub const SIDE_MAX: u32 = 8192;

/// Most NAL units of a picture: encoders make a few dozen slices at most, and FFmpeg takes a kilobyte and more for each, so
/// that some megabytes of nothing but headers would take gigabytes.
const NAL_UNITS_MAX: usize = 4096;

/// Refuses a picture of more NAL units than any encoder makes.
fn check_nal_units(unit: &AccessUnit) -> Result<(), DecodeError> {
    if !matches!(unit.codec, Codec::H264 | Codec::H265) {
        return Ok(());
    }
    let (mut at, mut count) = (2, 0);
    // The third byte of a start code is 1; what it is otherwise tells how far the next one is at least.
    while let Some(&byte) = unit.data.get(at) {
        let found = byte == 1 && unit.data[at - 2..at] == [0, 0];
        count += usize::from(found);
        if count > NAL_UNITS_MAX {
            return Err(DecodeError::Crowded { codec: unit.codec.name(), bytes: unit.data.len() });
        }
        at += if byte > 1 || found { 3 } else { 1 };
    }
    Ok(())
}

/// Why no picture came out.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// This build of FFmpeg has no such decoder, or it refuses to start.
    #[error("no working {codec} decoder: {source}")]
    Open {
        /// The codec.
        codec: &'static str,
        /// FFmpeg's reason.
        source: ffmpeg_next::Error,
    },
    /// The bytes are damaged or not of this codec; decoding goes on at the next key picture.
    #[error("{codec} data cannot be decoded ({bytes} bytes): {source}")]
    Data {
        /// The codec.
        codec: &'static str,
        /// Size of the access unit.
        bytes: usize,
        /// FFmpeg's reason.
        source: ffmpeg_next::Error,
    },
    /// A picture came out with parts missing or made up; decoding goes on at the next key picture.
    #[error("a {codec} picture is damaged")]
    Damaged {
        /// The codec.
        codec: &'static str,
    },
    /// More NAL units than any encoder makes; decoding goes on at the next key picture.
    #[error("a {codec} picture of {bytes} bytes has more than {NAL_UNITS_MAX} NAL units")]
    Crowded {
        /// The codec.
        codec: &'static str,
        /// Size of the access unit.
        bytes: usize,
    },
    /// A key picture was wanted.
    #[error("a {codec} access unit of {bytes} bytes is no key picture")]
    NotKey {
        /// The codec.
        codec: &'static str,
        /// Size of the access unit.
        bytes: usize,
    },
    /// The key picture gave nothing.
    #[error("a {codec} key picture of {bytes} bytes held no picture")]
    Empty {
        /// The codec.
        codec: &'static str,
        /// Size of the access unit.
        bytes: usize,
    },
    /// Another codec than the decoder was made for.
    #[error("the decoder is for {expected}, the access unit is {got}")]
    Codec {
        /// What it was made for.
        expected: &'static str,
        /// What came.
        got: &'static str,
    },
    /// Larger than any camera.
    #[error("a picture of {width}x{height} pixels is larger than {SIDE_MAX}x{SIDE_MAX}")]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The pixel format cannot be converted to I420.
    #[error("pictures in pixel format {format} cannot be converted: {source}")]
    Format {
        /// FFmpeg's name of it.
        format: String,
        /// FFmpeg's reason.
        source: ffmpeg_next::Error,
    },
}
