//! Clips: access units of the ring become an MP4 as they are, nothing is decoded and encoded again.

use std::path::Path;
use std::sync::Once;

use ffmpeg_next::codec::{self, packet::Flags};
use ffmpeg_next::{Dictionary, Packet, Rational, ffi, format, media};

use super::EvidenceError;
use super::bitstream::{self, Parts};
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

/// Most bytes of a clip: eight times the default ring, so that only a mistaken ring reaches it.
const CLIP_BYTES_MAX: usize = 64 << 20;
/// Longest clip, in 1/90000 s: ten minutes, far beyond any pre- and post-roll.
const CLIP_90K_MAX: i64 = 600 * 90_000;
/// A step back in presentation times that B-frames cannot explain: the sender's clock began anew.
const STEP_BACK_90K_MAX: i64 = 90_000;
/// A step forward that must be matched by time gone by here.
const STEP_FORWARD_90K_MAX: i64 = 5 * 90_000;

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

/// Units in a row that share codec and parameter sets.
struct Stretch {
    codec: Codec,
    parameters: Vec<Vec<u8>>,
    samples: Vec<Sample>,
    begins: Captured,
    bytes: usize,
}

struct Sample {
    data: Vec<u8>,
    key: bool,
    /// In 1/90000 s, the first sample's is 0.
    pts: i64,
}

impl Stretch {
    fn duration_90k(&self) -> i64 {
        self.samples.iter().map(|s| s.pts).max().unwrap_or(0)
    }
}

fn stretches(units: &[AccessUnit]) -> Vec<Stretch> {
    let mut done: Vec<Stretch> = Vec::new();
    let mut now: Option<Stretch> = None;
    let mut timeline = Timeline::default();
    let mut awaits_key = true;
    // Presentation time of the key picture decoding last began at: what is shown before it cannot be decoded.
    let mut began_at = 0;
    for unit in units {
        let time = timeline.at(unit);
        awaits_key |= unit.after_loss;
        if awaits_key && !unit.key {
            continue;
        }
        let Parts { parameters, sample } = bitstream::parts(unit.codec, &unit.data);
        let same = now.as_ref().is_some_and(|s| {
            s.codec == unit.codec && parameters.iter().all(|p| s.parameters.iter().any(|known| known == p))
        });
        if !same {
            done.extend(now.take());
            awaits_key = true;
            let mut parameters: Vec<Vec<u8>> = parameters.iter().map(|p| p.to_vec()).collect();
            parameters.dedup();
            if !unit.key || !bitstream::complete(unit.codec, &parameters) {
                continue;
            }
            let (codec, begins) = (unit.codec, unit.captured);
            now = Some(Stretch { codec, parameters, samples: Vec::new(), begins, bytes: 0 });
            timeline.begin();
        }
        let Some(stretch) = now.as_mut().filter(|_| !sample.is_empty()) else { continue };
        let pts = if stretch.samples.is_empty() { 0 } else { time };
        if awaits_key {
            began_at = pts;
        }
        if pts < began_at || pts > CLIP_90K_MAX || stretch.bytes + sample.len() > CLIP_BYTES_MAX {
            continue;
        }
        awaits_key = false;
        stretch.bytes += sample.len();
        stretch.samples.push(Sample { data: sample, key: unit.key, pts });
    }
    done.extend(now);
    done.retain(|s| !s.samples.is_empty());
    done
}

/// Presentation times without the steps of a sender that began anew.
#[derive(Default)]
struct Timeline {
    last: Option<(i64, Captured)>,
    /// Time of the last unit since [`Timeline::begin`].
    now: i64,
}

impl Timeline {
    fn begin(&mut self) {
        self.now = 0;
    }

    fn at(&mut self, unit: &AccessUnit) -> i64 {
        if let Some((pts, captured)) = self.last {
            let told = unit.pts_90k.saturating_sub(pts);
            let lived = unit.captured.media.saturating_sub(captured.media).as_secs_f64() * 90_000.0;
            let anew = told < -STEP_BACK_90K_MAX
                || told > STEP_FORWARD_90K_MAX && (told as f64 - lived).abs() > STEP_FORWARD_90K_MAX as f64;
            self.now = self.now.saturating_add(if anew { (lived as i64).max(1) } else { told });
        }
        self.last = Some((unit.pts_90k, unit.captured));
        self.now
    }
}

/// Decoding times for samples in decoding order: the presentation times sorted, moved back until none comes after its
/// sample's presentation. Without B-frames they are the presentation times themselves.
fn decoding_times(pts: &[i64]) -> Vec<i64> {
    let mut dts = pts.to_vec();
    dts.sort_unstable();
    for i in 1..dts.len() {
        dts[i] = dts[i].max(dts[i - 1] + 1);
    }
    let delay = dts.iter().zip(pts).map(|(d, p)| d - p).max().unwrap_or(0);
    for time in &mut dts {
        *time -= delay;
    }
    dts
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

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::evidence::snapshot::tests::captured;

    /// Runs a tool; `None`, with a printed reason, where it is not installed.
    fn run(tool: &str, args: &[&str]) -> Option<(String, String)> {
        match Command::new(tool).args(args).output() {
            Ok(out) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                assert!(out.status.success(), "{tool} {args:?}: {}", text(&out.stderr));
                Some((text(&out.stdout), text(&out.stderr)))
            }
            Err(error) => {
                println!("skipped: cannot run {tool}: {error}");
                None
            }
        }
    }

    /// Access units of a moving test picture, 2 s at 25 pictures/s, a key picture every 0.4 s.
    fn encoded(codec: Codec, size: &str, options: &[&str]) -> Option<Vec<AccessUnit>> {
        let folder = tempfile::tempdir().expect("a folder");
        // MPEG-TS carries Annex B with parameter sets before each key picture, in 1/90000 s, as a camera does.
        let file = folder.path().join("a.ts");
        let source = format!("testsrc2=size={size}:rate=25:duration=2");
        let encoder = match codec {
            Codec::H264 => ["-c:v", "libx264", "-x264-params", "scenecut=0"],
            Codec::H265 => ["-c:v", "libx265", "-x265-params", "log-level=none:scenecut=0"],
            _ => unreachable!("only what MPEG-TS carries"),
        };
        let input = ["-v", "error", "-f", "lavfi", "-i", &source, "-g", "10", "-pix_fmt", "yuv420p"];
        let out = ["-preset", "ultrafast", file.to_str().expect("UTF-8")];
        run("ffmpeg", &[&input[..], &encoder, options, &out].concat())?;
        init();
        let mut input = format::input(&file).expect("the test stream");
        let unit = |(i, (_, packet)): (usize, (_, Packet))| AccessUnit {
            captured: captured(i as f64 * 0.04),
            codec,
            key: packet.is_key(),
            after_loss: false,
            data: packet.data().expect("data").into(),
            pts_90k: packet.pts().expect("a time"),
        };
        Some(input.packets().enumerate().map(unit).collect())
    }

    /// What ffprobe says: codec tag, width, height, pictures; after everything decoded without a complaint.
    fn probed(path: &Path) -> Option<String> {
        let path = path.to_str().expect("UTF-8");
        let show = "stream=codec_tag_string,width,height,nb_read_frames";
        let (about, complaints) =
            run("ffprobe", &["-v", "error", "-count_frames", "-show_entries", show, "-of", "csv=p=0", path])?;
        assert_eq!(complaints, "");
        let (_, complaints) = run("ffmpeg", &["-v", "error", "-i", path, "-f", "null", "-"])?;
        assert_eq!(complaints, "");
        Some(about.trim().to_owned())
    }

    #[test]
    fn clips_play_and_keep_every_picture() {
        let cases: [(Codec, &str, &[&str], &str); 4] = [
            (Codec::H264, "320x180", &["-bf", "0"], "avc1,320,180,50"),
            (Codec::H264, "322x182", &["-bf", "3"], "avc1,322,182,50"),
            (Codec::H265, "320x180", &["-bf", "0"], "hvc1,320,180,50"),
            (Codec::H265, "320x180", &["-bf", "3"], "hvc1,320,180,50"),
        ];
        for (codec, size, options, wanted) in cases {
            let Some(units) = encoded(codec, size, options) else { return };
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("with: colon.mp4");
            let made = remux(&units, &path).expect("a clip");
            assert_eq!((made.units, made.left_out), (50, 0), "{codec:?} {options:?}");
            assert!((made.duration_s - 1.96).abs() < 0.01, "{made:?}");
            let Some(about) = probed(&path) else { return };
            assert_eq!(about, wanted, "{codec:?} {options:?}");
            let bytes = std::fs::read(&path).expect("the clip");
            let at = |name: &[u8]| bytes.windows(4).position(|w| w == name);
            assert!(at(b"moov") < at(b"mdat"), "index first");
        }
    }

    #[test]
    fn clips_begin_at_a_key_picture_and_skip_from_a_loss_to_the_next() {
        let Some(mut units) = encoded(Codec::H264, "320x180", &["-bf", "0"]) else { return };
        units.drain(..3);
        units[20].after_loss = true; // the 24th picture: the next key picture is the 31st
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.mp4");
        let made = remux(&units, &path).expect("a clip");
        assert_eq!((made.units, made.left_out), (13 + 20, 7 + 7));
        assert_eq!(made.begins, units[7].captured);
        // The gap stays a gap.
        assert!((made.duration_s - 39.0 * 0.04).abs() < 0.01, "{made:?}");
        assert_eq!(probed(&path).unwrap_or("avc1,320,180,33".into()), "avc1,320,180,33");
    }

    #[test]
    fn the_longest_stretch_between_changes_of_parameters_is_kept() {
        let Some(mut units) = encoded(Codec::H264, "320x180", &["-bf", "0"]) else { return };
        let Some(other) = encoded(Codec::H264, "256x144", &["-bf", "0"]) else { return };
        let last = units[19].clone();
        units.truncate(20);
        units.extend(other.into_iter().map(|mut unit| {
            unit.captured.media += last.captured.media + Duration::from_millis(40);
            unit.pts_90k += last.pts_90k + 3_600;
            unit
        }));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.mp4");
        let made = remux(&units, &path).expect("a clip");
        assert_eq!((made.units, made.left_out), (50, 20));
        assert_eq!(probed(&path).unwrap_or("avc1,256,144,50".into()), "avc1,256,144,50");
    }

    #[test]
    fn a_sender_that_begins_anew_leaves_no_hole_and_no_knot() {
        let Some(mut units) = encoded(Codec::H264, "320x180", &["-bf", "0"]) else { return };
        for unit in &mut units[30..] {
            unit.pts_90k -= 1_000_000_000;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let made = remux(&units, &folder.path().join("a.mp4")).expect("a clip");
        assert_eq!(made.units, 50);
        assert!((made.duration_s - 1.96).abs() < 0.05, "{made:?}");
    }

    #[test]
    fn jpeg_pictures_make_a_clip_too() {
        let mut data = Vec::new();
        image::codecs::jpeg::JpegEncoder::new(&mut data)
            .encode(&[90; 64 * 48 * 3], 64, 48, image::ExtendedColorType::Rgb8)
            .expect("a JPEG");
        let unit = |i: i64| AccessUnit {
            captured: captured(i as f64),
            codec: Codec::Mjpeg,
            key: true,
            after_loss: false,
            data: data.clone().into(),
            pts_90k: i * 90_000,
        };
        let units: Vec<AccessUnit> = (0..5).map(unit).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.mp4");
        assert_eq!(remux(&units, &path).expect("a clip").units, 5);
        assert_eq!(probed(&path).unwrap_or("mp4v,64,48,5".into()), "mp4v,64,48,5");
    }

    #[test]
    fn nothing_to_begin_with_is_an_error_and_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.mp4");
        assert!(matches!(remux(&[], &path), Err(EvidenceError::NoKeyPicture { units: 0 })));
        if let Some(mut units) = encoded(Codec::H264, "320x180", &["-bf", "0"]) {
            units.retain(|u| !u.key);
            assert!(matches!(remux(&units, &path), Err(EvidenceError::NoKeyPicture { .. })));
        }
        assert!(!path.exists());
    }

    #[test]
    fn decoding_times_rise_and_never_follow_the_presentation() {
        let cases: [(&[i64], &[i64]); 5] = [
            (&[0, 10, 20], &[0, 10, 20]),
            (&[0, 30, 10, 20, 60, 40, 50], &[-10, 0, 10, 20, 30, 40, 50]),
            (&[0, 0, 0], &[-2, -1, 0]),
            (&[5], &[5]),
            (&[], &[]),
        ];
        for (pts, wanted) in cases {
            let dts = decoding_times(pts);
            assert!(dts.windows(2).all(|w| w[0] < w[1]));
            assert!(dts.iter().zip(pts).all(|(d, p)| d <= p));
            assert_eq!(dts, wanted, "{pts:?}");
        }
    }

    /// Whatever bytes, flags and times come: an error or a file, never a panic.
    #[test]
    fn mutated_units_never_panic() {
        let streams =
            [(Codec::H264, "3"), (Codec::H265, "2")].map(|(codec, b)| encoded(codec, "128x96", &["-bf", b]));
        let mut random = fastrand::Rng::with_seed(7);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.mp4");
        let mut made = 0;
        for round in 0..120 {
            let Some(mut units) = streams[round % 2].clone() else { return };
            units.truncate(25);
            for _ in 0..random.usize(1..8) {
                let at = random.usize(..units.len());
                let mut data = units[at].data.to_vec();
                match random.u8(..9) {
                    0 => units[at].key = !units[at].key,
                    1 => units[at].after_loss = true,
                    2 => units[at].pts_90k = random.i64(..),
                    3 => {
                        units[at].codec =
                            [Codec::H264, Codec::H265, Codec::Mjpeg, Codec::Mpeg4][random.usize(..4)];
                    }
                    4 => data.truncate(random.usize(..=data.len())),
                    5 => units.swap(at, 0),
                    6 => data.clear(),
                    _ if data.is_empty() => {}
                    _ => (0..random.usize(1..30)).for_each(|_| {
                        let i = random.usize(..data.len());
                        data[i] = random.u8(..);
                    }),
                }
                units[at].data = data.into();
            }
            made += usize::from(remux(&units, &path).is_ok());
        }
        assert!(made > 10, "most mutations leave something to keep, {made} of 120 did");
    }
}
