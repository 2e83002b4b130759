//! [`KeyDecoder`]: key pictures of many cameras.

use ffmpeg_next as ff;

use super::open::open;
use super::plane::Planes;
use super::{DecodeError, check_nal_units};
use crate::frame::{AccessUnit, Picture};

/// Decodes single key pictures, of any camera and codec in any order.
///
/// A key picture needs no history, so one of these per worker serves every camera. FFmpeg's decoder is opened anew for
/// each picture (about 0.1 ms beside 4 to 40 ms of decoding): a flushed one would keep the last camera's parameter sets
/// and reference pictures, and could put them into this camera's picture when something is missing here.
#[derive(Default)]
pub struct KeyDecoder {
    planes: Planes,
}

impl KeyDecoder {
    /// A decoder for any codec.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes one key picture. H.264 and H.265 need their parameter sets in band.
    pub fn decode(&mut self, unit: &AccessUnit) -> Result<Picture, DecodeError> {
        let (codec, bytes) = (unit.codec.name(), unit.data.len());
        if !unit.key || unit.data.is_empty() {
            return Err(DecodeError::NotKey { codec, bytes });
        }
        check_nal_units(unit)?;
        let mut decoder = open(unit.codec)?;
        let mut packet = ff::Packet::copy(&unit.data);
        packet.set_pts(Some(0));
        packet.set_flags(ff::packet::Flags::KEY);
        decoder.send_packet(&packet).map_err(|source| DecodeError::Data { codec, bytes, source })?;
        // Without this the decoder would wait for pictures that might have to be shown before this one.
        let _ = decoder.send_eof();
        let mut frame = ff::frame::Video::empty();
        decoder.receive_frame(&mut frame).map_err(|_| DecodeError::Empty { codec, bytes })?;
        if frame.is_corrupt() || frame.has_decode_errors() {
            return Err(DecodeError::Damaged { codec });
        }
        self.planes.picture(&frame, unit.captured)
    }
}
