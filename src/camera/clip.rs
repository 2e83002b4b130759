//! A video file as if it were a camera: [`Clip`] reads its first video stream, still compressed.

mod clock;
mod filter;
mod presentation;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ffmpeg_next as ff;
use jiff::Timestamp;

use self::clock::FileClock;
use self::filter::Filter;
use self::presentation::{Orders, Ranking, vop_coding_type};
use super::annexb::{Nal, ParameterSets, nal_kind, nal_units};
use crate::frame::{AccessUnit, Codec, FileCodec};

/// Containers that are read. Playlists are not among them: they would open other files and addresses.
const FORMATS: &str =
    "mov,avi,mpegts,mpeg,mpegvideo,h264,hevc,m4v,mjpeg,matroska,flv,asf,ivf,ogg,dv,wtv,mxf,rm,h263,obu,av1";

/// Damaged reads in a row after which a file counts as ended: each one may skip a little, a hostile file could do it for ever.
const ERRORS_IN_A_ROW_MAX: usize = 100;

/// Different codecs of [`Codec::Other`] that one process may meet: their headers are kept for ever.
const FILE_CODECS_MAX: usize = 256;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// The file is missing, not a video, or in a container that is not read.
    #[error("cannot open `{}` as a video: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// FFmpeg's reason.
        source: ff::Error,
    },
    /// Sound only, for example.
    #[error("`{}` has no video stream", path.display())]
    NoVideo {
        /// The file.
        path: PathBuf,
    },
    /// The stream cannot be brought into the form that the rest expects.
    #[error("`{}`: the {codec} stream cannot be unpacked: {source}", path.display())]
    Filter {
        /// The file.
        path: PathBuf,
        /// Its codec.
        codec: &'static str,
        /// FFmpeg's reason.
        source: ff::Error,
    },
    /// The file broke off or is damaged beyond repair.
    #[error("`{}`: reading failed after {units} pictures: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Pictures read until then.
        units: u64,
        /// FFmpeg's reason.
        source: ff::Error,
    },
}

/// The first video stream of a file, as access units in decoding order; ends with the file, or after its first error.
pub struct Clip {
    path: PathBuf,
    input: ff::format::context::Input,
    stream: usize,
    codec: Codec,
    filter: Option<Filter>,
    parameters: ParameterSets,
    clock: FileClock,
    /// Finds out presentation times if the container has none; decided by the first packet.
    orders: Option<Orders>,
    ranking: Ranking<AccessUnit>,
    units: u64,
    after_loss: bool,
    ended: bool,
    failed: Option<ClipError>,
}

impl Clip {
    /// Opens a file; the wall time of its first picture is now, see [`Clip::starting_at`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ClipError> {
        let path = path.as_ref().to_path_buf();
        ff::log::set_level(ff::log::Level::Quiet);
        let open = |source| ClipError::Open { path: path.clone(), source };
        let text = path.to_str().filter(|text| !text.contains('\0')).ok_or(open(ff::Error::InvalidData))?;
        let options =
            ff::Dictionary::from_iter([("protocol_whitelist", "file"), ("format_whitelist", FORMATS)]);
        // With the protocol spelled out no file name can mean another protocol.
        let input = ff::format::input_with_dictionary(&format!("file:{text}"), options).map_err(open)?;
        let stream = input
            .streams()
            .find(|stream| stream.parameters().medium() == ff::media::Type::Video)
            .ok_or(ClipError::NoVideo { path: path.clone() })?;
        let (index, parameters) = (stream.index(), stream.parameters());
        let codec = codec_of(&parameters).ok_or(open(ff::Error::DecoderNotFound))?;
        let clock = FileClock::new(&stream);
        let filter = Filter::new(codec, &parameters, stream.time_base())
            .map_err(|source| ClipError::Filter { path: path.clone(), codec: codec.name(), source })?;
        Ok(Self {
            path,
            input,
            stream: index,
            codec,
            filter,
            parameters: ParameterSets::new(codec),
            clock,
            orders: None,
            ranking: Ranking::new(),
            units: 0,
            after_loss: false,
            ended: false,
            failed: None,
        })
    }

    /// Sets the wall time of the first picture.
    #[must_use]
    pub fn starting_at(mut self, wall: Timestamp) -> Self {
        self.clock.wall = wall;
        self
    }

    /// How the file is compressed.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Pictures per second as the container says, or 25 if it says nothing sane.
    pub fn frame_rate(&self) -> f64 {
        1.0 / self.clock.frame_s
    }

    /// The next packet of the stream, unpacked; `None` at the end.
    fn packet(&mut self) -> Result<Option<ff::Packet>, ff::Error> {
        let mut errors = 0;
        loop {
            if let Some(filter) = &mut self.filter {
                match filter.receive() {
                    Ok(packet) => return Ok(Some(packet)),
                    Err(ff::Error::Eof) => return Ok(None),
                    Err(_) => {}
                }
            }
            let mut packet = ff::Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() != self.stream => continue,
                Ok(()) => {}
                Err(ff::Error::Eof) => match &mut self.filter {
                    Some(filter) => {
                        filter.send(None)?;
                        continue;
                    }
                    None => return Ok(None),
                },
                Err(error) => {
                    errors += 1;
                    if errors > ERRORS_IN_A_ROW_MAX {
                        return Err(error);
                    }
                    continue;
                }
            }
            // The container itself says that bytes are missing in it, for example a gap in a transport stream.
            if packet.is_corrupt() || packet.size() == 0 {
                self.after_loss |= packet.is_corrupt();
                continue;
            }
            match &mut self.filter {
                // A packet that cannot be unpacked is a lost one.
                Some(filter) => self.after_loss |= filter.send(Some(packet)).is_err(),
                None => return Ok(Some(packet)),
            }
        }
    }

    /// The access unit in a packet; `None` if it waits for its presentation time, or is empty.
    fn unit(&mut self, packet: &ff::Packet) -> Option<AccessUnit> {
        let bytes = packet.data().filter(|bytes| !bytes.is_empty())?;
        let stamp = self.clock.stamp(packet);
        let mut key = packet.is_key();
        let mut completed = None;
        match self.codec {
            Codec::H264 | Codec::H265 => {
                let random_access =
                    nal_units(bytes).any(|unit| nal_kind(self.codec, unit) == Nal::RandomAccess);
                // H.264 may also start at a recovery point, which the demuxer has found; H.265 only at IRAP pictures.
                key = random_access || (key && self.codec == Codec::H264);
                self.parameters.learn(bytes);
                completed = key.then(|| self.parameters.complete(bytes)).flatten();
            }
            // AVI fills up with packets that mean: show the last picture again.
            Codec::Mpeg4 if vop_coding_type(bytes).is_none() => return None,
            Codec::Mjpeg => key = true,
            Codec::Mpeg4 | Codec::Other(_) => {}
        }
        if self.units == 0 && stamp.presented_s.is_none() {
            self.orders = Orders::new(self.codec);
        }
        self.units += 1;
        let (captured, pts_90k) = self.clock.captured(stamp.presented_s.unwrap_or(stamp.decoded_s));
        let after_loss = std::mem::take(&mut self.after_loss);
        let data = completed.map_or_else(|| bytes.into(), Into::into);
        let unit = AccessUnit { captured, codec: self.codec, key, after_loss, data, pts_90k };
        match &mut self.orders {
            None => Some(unit),
            Some(orders) => {
                self.ranking.push(orders.next(packet), stamp.decoded_s, unit);
                self.ranked(false)
            }
        }
    }

    /// The oldest unit whose presentation time is known by now.
    fn ranked(&mut self, last: bool) -> Option<AccessUnit> {
        let (at_s, mut unit) = self.ranking.pop(last)?;
        (unit.captured, unit.pts_90k) = self.clock.captured(at_s);
        Some(unit)
    }
}

impl Iterator for Clip {
    type Item = Result<AccessUnit, ClipError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.packet() {
                Ok(Some(packet)) => {
                    if let Some(unit) = self.unit(&packet) {
                        return Some(Ok(unit));
                    }
                }
                Ok(None) => self.ended = true,
                Err(source) => {
                    self.ended = true;
                    self.failed =
                        Some(ClipError::Read { path: self.path.clone(), units: self.units, source });
                }
            }
        }
        self.ranked(true).map(Ok).or_else(|| self.failed.take().map(Err))
    }
}

/// The codec of a stream; `None` if too many strange ones were met.
fn codec_of(parameters: &ff::codec::Parameters) -> Option<Codec> {
    static KNOWN: Mutex<Vec<&'static FileCodec>> = Mutex::new(Vec::new());
    Some(match parameters.id() {
        ff::codec::Id::None => return None,
        ff::codec::Id::H264 => Codec::H264,
        ff::codec::Id::HEVC => Codec::H265,
        ff::codec::Id::MJPEG => Codec::Mjpeg,
        ff::codec::Id::MPEG4 => Codec::Mpeg4,
        id => {
            // SAFETY: `parameters` lives as long as this borrow; FFmpeg keeps `extradata` and its size in step.
            let (width, height, header) = unsafe {
                let raw = &*parameters.as_ptr();
                let header = if raw.extradata.is_null() {
                    &[][..]
                } else {
                    std::slice::from_raw_parts(raw.extradata, raw.extradata_size.max(0) as usize)
                };
                (raw.width.max(0) as u32, raw.height.max(0) as u32, header.to_vec())
            };
            let raw_id: ff::ffi::AVCodecID = id.into();
            let found = FileCodec { name: id.name().into(), id: raw_id as u32, width, height, header };
            let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match known.iter().find(|codec| ***codec == found) {
                Some(codec) => Codec::Other(codec),
                None if known.len() >= FILE_CODECS_MAX => return None,
                None => {
                    // Leaked on purpose: once per kind of file, and bounded, so that `Codec` stays `Copy`.
                    let codec: &'static FileCodec = Box::leak(Box::new(found));
                    known.push(codec);
                    Codec::Other(codec)
                }
            }
        }
    })
}
