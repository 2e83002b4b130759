//! From FFmpeg's frames to our own I420 planes.

use std::sync::Arc;

use ffmpeg_next as ff;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling;

use super::{DecodeError, SIDE_MAX};
use crate::frame::{Captured, Picture};

/// Copies frames into pictures; keeps the converter for formats that are not I420 already.
#[derive(Default)]
pub struct Planes {
    converter: Option<scaling::Context>,
}

// SAFETY: swscale's context has no thread affinity, it is plain memory; only the wrapper's raw pointer hides that. It is
// used through `&mut self` alone, so by one thread at a time.
unsafe impl Send for Planes {}

impl Planes {
    /// The frame as a picture.
    pub fn picture(&mut self, frame: &ff::frame::Video, captured: Captured) -> Result<Picture, DecodeError> {
        let (width, height) = (frame.width(), frame.height());
        if width > SIDE_MAX || height > SIDE_MAX {
            return Err(DecodeError::TooLarge { width, height });
        }
        let format = frame.format();
        let full_range =
            is_jpeg(format) || (frame.color_range() == ff::color::Range::JPEG && !is_rgb(format));
        let mut converted = ff::frame::Video::empty();
        let frame = match format {
            Pixel::YUV420P | Pixel::YUVJ420P => frame,
            _ => {
                self.convert(frame, &mut converted)
                    .map_err(|source| DecodeError::Format { format: format!("{format:?}"), source })?;
                &converted
            }
        };
        let (width, height) = (width as usize, height as usize);
        let chroma = (width.div_ceil(2), height.div_ceil(2));
        Ok(Picture {
            captured,
            width,
            height,
            y: plane(frame, 0, width, height),
            u: plane(frame, 1, chroma.0, chroma.1),
            v: plane(frame, 2, chroma.0, chroma.1),
            full_range,
        })
    }

    /// Any other format to 8-bit 4:2:0 of the same size, luma range untouched.
    fn convert(&mut self, frame: &ff::frame::Video, out: &mut ff::frame::Video) -> Result<(), ff::Error> {
        let (format, width, height) = (frame.format(), frame.width(), frame.height());
        // swscale takes the `J` formats and grey for full range, and would squeeze them if the target were not.
        let target = if is_jpeg(format) || is_gray(format) { Pixel::YUVJ420P } else { Pixel::YUV420P };
        let input = scaling::context::Definition { format, width, height };
        if self.converter.as_ref().is_none_or(|converter| *converter.input() != input) {
            self.converter = None;
            let flags = scaling::Flags::BILINEAR;
            self.converter =
                Some(scaling::Context::get(format, width, height, target, width, height, flags)?);
        }
        self.converter.as_mut().ok_or(ff::Error::Bug)?.run(frame, out)
    }
}

fn is_jpeg(format: Pixel) -> bool {
    matches!(format, Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P | Pixel::YUVJ411P)
}

fn is_gray(format: Pixel) -> bool {
    format!("{format:?}").starts_with("GRAY")
}

fn is_rgb(format: Pixel) -> bool {
    let name = format!("{format:?}");
    ["RGB", "BGR", "GBR", "ARGB", "ABGR", "ZRGB"].iter().any(|rgb| name.starts_with(rgb))
}

/// One plane without the padding at its lines' ends.
fn plane(frame: &ff::frame::Video, index: usize, width: usize, height: usize) -> Arc<[u8]> {
    let (stride, bytes) = (frame.stride(index), frame.data(index));
    // No padding: one copy instead of two.
    if let Some(bytes) = bytes.get(..width * height).filter(|_| stride == width) {
        return bytes.into();
    }
    let mut out = Vec::with_capacity(width * height);
    for line in bytes.chunks(stride.max(1)).take(height) {
        out.extend_from_slice(&line[..width.min(line.len())]);
    }
    // A frame shorter than it says cannot happen with a sane FFmpeg; the picture's shape holds regardless.
    out.resize(width * height, 0);
    out.into()
}
