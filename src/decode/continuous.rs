//! [`Decoder`]: every picture of one camera.

use std::collections::VecDeque;

use ffmpeg_next as ff;

use super::open::open;
use super::plane::Planes;
use super::{DecodeError, check_nal_units};
use crate::frame::{AccessUnit, Captured, Codec, Picture};

/// Access units whose picture has not come out yet: twice the deepest reordering that H.264 and H.265 allow (16).
const PENDING_MAX: usize = 32;

/// FFmpeg's picture, which shares the decoder's memory, with its capture time.
type Frame = (ff::frame::Video, Captured);

/// Decodes every picture of one stream, in presentation order.
///
/// It starts at a key picture, and after a loss or an error it waits for the next one: libavcodec would go on emitting
/// garbage without any flag.
pub struct Decoder {
    codec: Codec,
    inner: ff::decoder::Video,
    planes: Planes,
    /// Capture times by the number that went in as the packet's timestamp, because it comes out again with its picture.
    pending: VecDeque<(i64, Captured)>,
    sent: i64,
    /// Whether only a key picture may go in next.
    wants_key: bool,
    /// Presentation time of the key picture at which decoding started: pictures before it lack their references.
    started: Option<Captured>,
}

impl Decoder {
    /// A decoder for one stream of this codec.
    pub fn new(codec: Codec) -> Result<Self, DecodeError> {
        Ok(Self {
            codec,
            inner: open(codec)?,
            planes: Planes::default(),
            pending: VecDeque::new(),
            sent: 0,
            wants_key: true,
            started: None,
        })
    }

    /// Whether everything is refused until the next key picture.
    pub fn wants_key(&self) -> bool {
        self.wants_key
    }

    /// Decodes one access unit; gives the pictures that are ready, none to several, oldest first.
    ///
    /// On an error the pictures that were still inside are lost, and units are skipped (an empty `Ok`) up to the next key picture.
    pub fn decode(&mut self, unit: &AccessUnit) -> Result<Vec<Picture>, DecodeError> {
        let mut frames = Vec::new();
        self.feed(unit, &mut |frame| frames.push(frame))?;
        self.pictures(&frames)
    }

    /// Decodes the units and gives the newest picture that is ready; those before it are not even copied.
    ///
    /// Errors as for [`Self::decode`].
    pub fn newest(&mut self, units: &[AccessUnit]) -> Result<Option<Picture>, DecodeError> {
        let mut newest = None;
        for unit in units {
            self.feed(unit, &mut |frame| newest = Some(frame))?;
        }
        let newest: Vec<Frame> = newest.into_iter().collect();
        Ok(self.pictures(&newest)?.pop())
    }

    /// The pictures that are still inside, at the end of a stream; afterwards a new one may begin.
    pub fn finish(&mut self) -> Result<Vec<Picture>, DecodeError> {
        let mut frames = Vec::new();
        self.flush(&mut |frame| frames.push(frame))?;
        self.pictures(&frames)
    }

    fn feed(&mut self, unit: &AccessUnit, ready: &mut dyn FnMut(Frame)) -> Result<(), DecodeError> {
        if unit.codec != self.codec {
            return Err(DecodeError::Codec { expected: self.codec.name(), got: unit.codec.name() });
        }
        if unit.after_loss {
            // What came before the loss is whole; what comes after it is not, up to a key picture.
            let _ = self.flush(ready);
        }
        if self.wants_key && !unit.key || unit.data.is_empty() {
            return Ok(());
        }
        check_nal_units(unit).inspect_err(|_| self.restart())?;
        if self.wants_key {
            self.started = Some(unit.captured);
        }
        self.wants_key = false;
        let mut packet = ff::Packet::copy(&unit.data);
        packet.set_pts(Some(self.sent));
        if unit.key {
            packet.set_flags(ff::packet::Flags::KEY);
        }
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back((self.sent, unit.captured));
        self.sent += 1;
        let result = match self.inner.send_packet(&packet) {
            Ok(()) => self.drain(ready),
            Err(source) => {
                Err(DecodeError::Data { codec: self.codec.name(), bytes: unit.data.len(), source })
            }
        };
        result.inspect_err(|_| self.restart())
    }

    fn flush(&mut self, ready: &mut dyn FnMut(Frame)) -> Result<(), DecodeError> {
        let result = match self.inner.send_eof() {
            Ok(()) => self.drain(ready),
            Err(_) => Ok(()),
        };
        self.restart();
        result
    }

    fn drain(&mut self, ready: &mut dyn FnMut(Frame)) -> Result<(), DecodeError> {
        let mut frame = ff::frame::Video::empty();
        while self.inner.receive_frame(&mut frame).is_ok() {
            if frame.is_corrupt() || frame.has_decode_errors() {
                return Err(DecodeError::Damaged { codec: self.codec.name() });
            }
            let number = frame.pts().unwrap_or(i64::MIN);
            let Some(at) = self.pending.iter().position(|(pending, _)| *pending == number) else { continue };
            let Some((_, captured)) = self.pending.remove(at) else { continue };
            if self.started.is_some_and(|started| captured.media < started.media) {
                continue;
            }
            ready((std::mem::replace(&mut frame, ff::frame::Video::empty()), captured));
        }
        Ok(())
    }

    fn pictures(&mut self, frames: &[Frame]) -> Result<Vec<Picture>, DecodeError> {
        frames.iter().map(|(frame, captured)| self.planes.picture(frame, *captured)).collect()
    }

    /// Forgets everything up to the next key picture.
    fn restart(&mut self) {
        self.inner.flush();
        self.pending.clear();
        self.started = None;
        self.wants_key = true;
    }
}
