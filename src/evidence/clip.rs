//! Clips: access units of the ring become an MP4 as they are, nothing is decoded and encoded again.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Once;

use ffmpeg_next::codec::{self, packet::Flags};
use ffmpeg_next::{Dictionary, Packet, Rational, ffi, format, media};

use super::EvidenceError;
use super::bitstream;
use super::stretch::{Stretch, decoding_times, stretches};
use crate::frame::{AccessUnit, Captured, Codec};

/// What became of the units.
#[derive(Debug, Clone, PartialEq)]
pub struct Remuxed {
    /// Units in the clip.
    pub units: usize,
    /// Units left out: before the first key picture, after a loss, beyond a change of parameters or the limits.
    pub left_out: usize,
    /// When the clip's first picture was captured.
    pub begins: Captured,
    /// How long the clip is, in seconds.
    pub duration_s: f64,
}

/// Writes an MP4 (H.264 as `avc1`, H.265 as `hvc1`, index first) at `path` from units in decoding order.
///
/// The clip starts at a key picture and skips from each loss to the next one, for pictures after a loss decode to
/// garbage. A change of codec or of parameter sets would need a second MP4, so the longest stretch between two changes
/// is kept. Presentation times are the sender's; where its clock began anew, the capture times bridge the step.
///
/// The pictures stay as the camera sent them: privacy masks are **not** in them, so a camera with masks must get no clip.
pub fn remux(units: &[AccessUnit], path: &Path) -> Result<Remuxed, EvidenceError> {
    let clip = stretches(units)
        .into_iter()
        .max_by_key(Stretch::duration_90k)
        .ok_or(EvidenceError::NoKeyPicture { units: units.len() })?;
    let (width, height) = size_px(&clip).map_err(error("find the picture's size for", path))?;
    let dts = decoding_times(&clip.samples.iter().map(|s| s.pts).collect::<Vec<_>>());
    write(&clip, &dts, (width, height), path).map_err(|e| e.into_evidence(path))?;
    Ok(Remuxed {
        units: clip.samples.len(),
        left_out: units.len() - clip.samples.len(),
        begins: clip.begins,
        duration_s: clip.duration_90k() as f64 / 90_000.0,
    })
}

/// Width and height of the clip's first picture, learnt by decoding it: parameter sets can crop, and a clip whose first
/// picture does not decode is no evidence.
fn size_px(clip: &Stretch) -> Result<(u32, u32), ffmpeg_next::Error> {
    init();
    let decoder = codec::decoder::find(codec_id(clip.codec)).ok_or(ffmpeg_next::Error::DecoderNotFound)?;
    let mut decoder = codec::Context::new_with_codec(decoder).decoder().video()?;
    let mut data = bitstream::extradata(clip.codec, &clip.parameters);
    if clip.codec == Codec::Mpeg4 {
        data.clear(); // its samples keep their headers
    }
    data.extend_from_slice(&clip.samples[0].data);
    decoder.send_packet(&Packet::copy(&data))?;
    decoder.send_eof()?;
    let mut frame = ffmpeg_next::frame::Video::empty();
    decoder.receive_frame(&mut frame)?;
    Ok((frame.width(), frame.height()))
}

fn codec_id(codec: Codec) -> codec::Id {
    match codec {
        Codec::H264 => codec::Id::H264,
        Codec::H265 => codec::Id::HEVC,
        Codec::Mjpeg => codec::Id::MJPEG,
        Codec::Mpeg4 => codec::Id::MPEG4,
        Codec::Other(_) => codec::Id::None,
    }
}

fn write(clip: &Stretch, dts: &[i64], (width, height): (u32, u32), path: &Path) -> Result<(), Refused> {
    const CLOCK: Rational = Rational(1, 90_000);
    let mut output = format::output_as(&url(path)?, "mp4")?;
    {
        let mut stream = output.add_stream(codec::encoder::find(codec::Id::None))?;
        stream.set_time_base(CLOCK);
        stream.set_parameters(parameters(clip, width, height)?);
    }
    let mut metadata = Dictionary::new();
    metadata.set("creation_time", &clip.begins.wall.to_string());
    output.set_metadata(metadata);
    let mut options = Dictionary::new();
    // The index goes first, so that a player can begin before it has all of the file.
    options.set("movflags", "+faststart");
    options.set("video_track_timescale", "90000");
    output.write_header_with(options)?;
    let time_base = output.stream(0).map_or(CLOCK, |s| s.time_base());
    let usual = dts.last().map_or(3_600, |last| (last - dts[0]) / (dts.len() as i64 - 1).max(1)).max(1);
    for (i, sample) in clip.samples.iter().enumerate() {
        let mut packet = Packet::copy(&sample.data);
        packet.set_stream(0);
        packet.set_pts(Some(sample.pts));
        packet.set_dts(Some(dts[i]));
        packet.set_duration(dts.get(i + 1).map_or(usual, |next| next - dts[i]));
        packet.set_position(-1);
        if sample.key {
            packet.set_flags(Flags::KEY);
        }
        packet.rescale_ts(CLOCK, time_base);
        packet.write_interleaved(&mut output)?;
    }
    output.write_trailer()?;
    Ok(())
}

fn parameters(clip: &Stretch, width: u32, height: u32) -> Result<codec::Parameters, ffmpeg_next::Error> {
    let extradata = bitstream::extradata(clip.codec, &clip.parameters);
    let mut parameters = codec::Parameters::new();
    parameters.set_medium(media::Type::Video);
    parameters.set_id(codec_id(clip.codec));
    // SAFETY: `parameters` owns a live AVCodecParameters; its extradata must come from av_malloc with zeroed padding
    // behind it, and is freed with it.
    unsafe {
        let raw = parameters.as_mut_ptr();
        (*raw).width = width as i32;
        (*raw).height = height as i32;
        // Players know `hvc1` (parameter sets in the index only) better than FFmpeg's default `hev1`.
        if clip.codec == Codec::H265 {
            (*raw).codec_tag = u32::from_le_bytes(*b"hvc1");
        }
        let memory = ffi::av_mallocz(extradata.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize);
        if memory.is_null() {
            return Err(ffmpeg_next::Error::Other { errno: libc::ENOMEM });
        }
        std::ptr::copy_nonoverlapping(extradata.as_ptr(), memory.cast::<u8>(), extradata.len());
        (*raw).extradata = memory.cast();
        (*raw).extradata_size = extradata.len() as i32;
    }
    Ok(parameters)
}

/// Why writing failed, before it is known what for.
pub(super) enum Refused {
    Ffmpeg(ffmpeg_next::Error),
    Path,
}

impl From<ffmpeg_next::Error> for Refused {
    fn from(error: ffmpeg_next::Error) -> Self {
        Self::Ffmpeg(error)
    }
}

impl Refused {
    pub(super) fn into_evidence(self, path: &Path) -> EvidenceError {
        match self {
            Self::Ffmpeg(e) => error("write", path)(e),
            Self::Path => EvidenceError::Video {
                doing: "write",
                path: path.to_owned(),
                reason: "FFmpeg takes only paths in UTF-8".to_owned(),
            },
        }
    }
}

/// FFmpeg's word for a file; the scheme keeps a colon in the path from being read as one.
pub(super) fn url(path: &Path) -> Result<String, Refused> {
    path.to_str().filter(|p| !p.contains('\0')).map(|p| format!("file:{p}")).ok_or(Refused::Path)
}

pub(super) fn error(doing: &'static str, path: &Path) -> impl FnOnce(ffmpeg_next::Error) -> EvidenceError {
    let path = path.to_owned();
    move |error| match error {
        ffmpeg_next::Error::Other { errno: libc::ENOSPC | libc::EDQUOT } => EvidenceError::DiskFull { path },
        error => EvidenceError::Video { doing, path, reason: error.to_string() },
    }
}

/// FFmpeg's own chatter about damaged streams would flood the log; what matters comes back as errors.
pub(super) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = ffmpeg_next::init();
        ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Fatal);
    });
}
