//! A video with everything drawn that the rules saw, for `replay --annotate`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ffmpeg_next::software::scaling;
use ffmpeg_next::{Dictionary, Packet, Rational, codec, encoder, format, frame};

use super::EvidenceError;
use super::canvas::{Anchor, Canvas, WHITE};
use super::clip::{self, Refused};
use super::colour::Colour;
use super::snapshot::{OBJECT, ZONE, ZONE_CALM, ZONE_CONFIRMED, clock_text, object_text, stage_text};
use crate::config;
use crate::detection::{Detection, Findings};
use crate::frame::Picture;
use crate::geometry::{BBox, Point};
use crate::observation::Stage;

/// Static foreground, and small things that move.
const FOREGROUND: Colour = [235, 80, 235];
const MOVER: Colour = [120, 255, 120];
/// What stands for longer than this has its clock drawn, in seconds.
const STANDS_S_MIN: f64 = 2.0;
/// A trail shows the way of this many seconds, ...
const TRAIL_S: f64 = 8.0;
/// ... in at most so many steps.
const TRAIL_STEPS_MAX: usize = 64;

/// A zone as it stands at one picture.
#[derive(Debug, Clone, Copy)]
pub struct ZoneView<'a> {
    /// The zone.
    pub zone: &'a config::Zone,
    /// How far its matter has come; `None`: nothing is the matter.
    pub stage: Option<Stage>,
    /// Its dwell clock in seconds; drawn against the rule's `dwell_s`.
    pub dwell_s: f64,
    /// Covered share of the zone, 0..1.
    pub coverage: f32,
    /// Things that have each stayed in one place for the dwell time, with the numbers of their stays.
    pub standing: &'a [(u32, BBox)],
}

/// An object as the tracker knows it at one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackView {
    /// Its id.
    pub id: u64,
    /// Its box, the class it is taken for, its last score.
    pub object: Detection,
    /// Seconds for which it has stood where it is.
    pub stands_s: f64,
}

/// Everything that is drawn on one picture.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What was found: static foreground and small moving things are drawn as they are.
    pub findings: &'a Findings,
    /// Objects with their ids; drawn with the way they came.
    pub tracks: &'a [TrackView],
    /// The zones.
    pub zones: &'a [ZoneView<'a>],
    /// A line at the bottom.
    pub caption: &'a str,
}

/// Draws pictures and encodes them into an MP4, each shown when it was captured.
pub struct Annotator {
    output: format::context::Output,
    encoder: encoder::Video,
    scaler: Option<scaling::Context>,
    path: PathBuf,
    width: u32,
    height: u32,
    redact_persons: bool,
    /// Media seconds and foot of each track's last sightings, oldest first.
    trails: HashMap<u64, Vec<(f64, Point)>>,
    /// Media time of the first picture and pts of the last, in ms.
    first_ms: Option<i64>,
    last_pts: i64,
    /// How long the last picture is shown, in ms; all others are shown until the next.
    picture_ms: i64,
}

/// Milliseconds: the finest clock that MPEG-4 part 2 can count in (65535 ticks a second at most).
const CLOCK: Rational = Rational(1, 1000);

impl Annotator {
    /// Begins the video; odd sizes lose a column or a row, `fps` is only a hint to the encoder.
    ///
    /// Encodes with libx264 if this FFmpeg has it, else as MPEG-4 part 2.
    pub fn create(
        path: &Path,
        width: usize,
        height: usize,
        fps: f64,
        redact_persons: bool,
    ) -> Result<Self, EvidenceError> {
        clip::init();
        let fps = if fps.is_finite() { fps.clamp(0.1, 240.0) } else { 25.0 };
        let codec = ["libx264", "mpeg4"].into_iter().find_map(encoder::find_by_name);
        let codec = codec.ok_or(EvidenceError::NoEncoder)?;
        let size = ((width as u32 & !1).max(2), (height as u32 & !1).max(2));
        let (output, encoder) = open(path, codec, size, fps).map_err(|e| e.into_evidence(path))?;
        Ok(Self {
            output,
            encoder,
            scaler: None,
            path: path.to_owned(),
            width: size.0,
            height: size.1,
            redact_persons,
            trails: HashMap::new(),
            first_ms: None,
            last_pts: -1,
            picture_ms: (1000.0 / fps) as i64,
        })
    }

    /// Draws one picture: zones with their state and dwell clock, objects with id, way and clock, foreground, movers.
    pub fn draw(&mut self, picture: &Picture, seen: &Seen) -> Result<(), EvidenceError> {
        let mut canvas = Canvas::from_picture(picture, self.width.max(self.height) as usize)?;
        if self.redact_persons {
            let persons = seen.findings.objects.iter().flatten().filter(|o| o.class.as_str() == "person");
            persons.for_each(|person| canvas.mosaic(&person.bbox));
        }
        let media_s = picture.captured.media.as_secs_f64();
        for track in seen.tracks {
            let trail = self.trails.entry(track.id).or_default();
            trail.push((media_s, track.object.bbox.foot()));
            trail.drain(..trail.len().saturating_sub(TRAIL_STEPS_MAX));
        }
        for trail in self.trails.values_mut() {
            trail.retain(|(at, _)| media_s - at <= TRAIL_S);
        }
        self.trails.retain(|_, trail| !trail.is_empty());
        paint(&mut canvas, seen, &self.trails);
        let media_ms = picture.captured.media.as_millis() as i64;
        let pts = (media_ms - *self.first_ms.get_or_insert(media_ms)).max(self.last_pts + 1);
        self.last_pts = pts;
        self.encode(&canvas, pts).map_err(clip::error("write", &self.path))
    }

    fn encode(&mut self, canvas: &Canvas, pts: i64) -> Result<(), ffmpeg_next::Error> {
        let (width, height) = (canvas.width as u32, canvas.height as u32);
        let mut rgb = frame::Video::new(format::Pixel::RGB24, width, height);
        let stride = rgb.stride(0);
        for (to, from) in rgb.data_mut(0).chunks_mut(stride).zip(canvas.rgb.chunks_exact(canvas.width * 3)) {
            to[..from.len()].copy_from_slice(from);
        }
        let fits = |s: &scaling::Context| (s.input().width, s.input().height) == (width, height);
        if !self.scaler.as_ref().is_some_and(fits) {
            self.scaler = Some(scaling::Context::get(
                format::Pixel::RGB24,
                width,
                height,
                format::Pixel::YUV420P,
                self.width,
                self.height,
                scaling::Flags::BILINEAR,
            )?);
        }
        let mut yuv = frame::Video::empty();
        if let Some(scaler) = &mut self.scaler {
            scaler.run(&rgb, &mut yuv)?;
        }
        yuv.set_pts(Some(pts));
        self.encoder.send_frame(&yuv)?;
        self.drain()
    }

    fn drain(&mut self) -> Result<(), ffmpeg_next::Error> {
        let time_base = self.output.stream(0).map_or(CLOCK, |s| s.time_base());
        let mut packet = Packet::empty();
        // Errors here mean "no packet yet" or "that was the last".
        while self.encoder.receive_packet(&mut packet).is_ok() {
            packet.set_stream(0);
            // A picture of no length at the very end would not be shown at all.
            packet.set_duration(self.picture_ms);
            packet.rescale_ts(CLOCK, time_base);
            packet.write_interleaved(&mut self.output)?;
        }
        Ok(())
    }

    /// Ends the video; without it the file cannot be played.
    pub fn finish(mut self) -> Result<(), EvidenceError> {
        let mut end = || {
            self.encoder.send_eof()?;
            self.drain()?;
            self.output.write_trailer()
        };
        end().map_err(clip::error("finish", &self.path))
    }
}

fn open(
    path: &Path,
    codec: ffmpeg_next::Codec,
    (width, height): (u32, u32),
    fps: f64,
) -> Result<(format::context::Output, encoder::Video), Refused> {
    let mut output = format::output_as(&clip::url(path)?, "mp4")?;
    let mut video = codec::Context::new_with_codec(codec).encoder().video()?;
    video.set_width(width);
    video.set_height(height);
    video.set_format(format::Pixel::YUV420P);
    video.set_time_base(CLOCK);
    video.set_gop(50);
    video.set_frame_rate(Some(Rational((fps * 1000.0) as i32, 1000)));
    // An MP4 keeps the parameter sets in its index.
    video.set_flags(codec::Flags::GLOBAL_HEADER);
    let mut options = Dictionary::new();
    if codec.name() == "libx264" {
        options.set("preset", "veryfast");
        options.set("crf", "23");
    } else {
        options.set("flags", "+qscale+global_header");
        options.set("global_quality", "590"); // 5 x FF_QP2LAMBDA: small blocks stay legible
    }
    let encoder = video.open_with(options)?;
    {
        let mut stream = output.add_stream(codec)?;
        stream.set_time_base(CLOCK);
        stream.set_parameters(&encoder);
    }
    let mut options = Dictionary::new();
    options.set("movflags", "+faststart");
    output.write_header_with(options)?;
    Ok((output, encoder))
}

fn paint(canvas: &mut Canvas, seen: &Seen, trails: &HashMap<u64, Vec<(f64, Point)>>) {
    canvas.caption(seen.caption);
    let colour = |view: &ZoneView| match view.stage {
        None | Some(Stage::Cleared) => ZONE_CALM,
        Some(Stage::Suspected) => ZONE,
        Some(Stage::Confirmed) => ZONE_CONFIRMED,
    };
    for view in seen.zones {
        canvas.fill(&view.zone.polygon, colour(view), 0.12);
        canvas.path(view.zone.polygon.points(), true, colour(view), 1.0);
    }
    for bbox in seen.findings.foreground.iter().flat_map(|f| &f.boxes) {
        canvas.outline(bbox, FOREGROUND);
    }
    for mover in seen.findings.movers.iter().flatten() {
        canvas.dot(mover.at, 3.0, MOVER, true);
    }
    for track in seen.tracks {
        let way: Vec<Point> = trails.get(&track.id).into_iter().flatten().map(|(_, foot)| *foot).collect();
        canvas.path(&way, false, OBJECT, 0.7);
        canvas.outline(&track.object.bbox, OBJECT);
    }
    for (_, bbox) in seen.zones.iter().flat_map(|view| view.standing) {
        canvas.outline(bbox, ZONE_CONFIRMED);
    }
    for view in seen.zones {
        let rule = &view.zone.rule;
        let mut words = vec![view.zone.id.to_string(), view.stage.map_or("calm", stage_text).to_owned()];
        if view.dwell_s > 0.0 && rule.dwell_s > 0.0 {
            words.push(format!("{}/{}", clock_text(view.dwell_s), clock_text(rule.dwell_s)));
        }
        if rule.kind == config::RuleKind::Obstruction {
            words.push(format!("{:.0}%/{:.0}%", 100.0 * view.coverage, 100.0 * rule.coverage_min));
        }
        let [x, y, width, height] =
            canvas.label(&words.join(" "), Anchor::Box(view.zone.polygon.bounds()), colour(view));
        if rule.dwell_s > 0.0 {
            // The dwell clock as a bar that fills along the label's lower edge.
            let share = (view.dwell_s / rule.dwell_s).clamp(0.0, 1.0) as f32;
            canvas.fill_rect([x, y + height, width * share, 4.0], WHITE, 1.0);
        }
    }
    for track in seen.tracks {
        let mut words = format!("#{} {}", track.id, object_text(&track.object));
        if track.stands_s >= STANDS_S_MIN {
            words = format!("{words} {}", clock_text(track.stands_s));
        }
        canvas.label(&words, Anchor::Box(track.object.bbox), OBJECT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::Mover;
    use crate::evidence::snapshot::tests::{captured, observation, picture_of, zone};

    fn nothing(picture: &Picture) -> Findings {
        Findings {
            captured: picture.captured,
            size_px: (picture.width as u32, picture.height as u32),
            objects: None,
            foreground: Vec::new(),
            movers: None,
        }
    }

    fn tracked(id: u64, object: &Detection) -> TrackView {
        TrackView { id, object: object.clone(), stands_s: 35.0 }
    }

    /// Presentation times in seconds and pictures of a video, as luma planes.
    fn decoded(path: &Path) -> Vec<(f64, frame::Video)> {
        let mut input = format::input(path).expect("a video");
        let stream = input.streams().best(ffmpeg_next::media::Type::Video).expect("a stream");
        let scale = f64::from(stream.time_base());
        let context = codec::Context::from_parameters(stream.parameters()).expect("a decoder");
        let mut decoder = context.decoder().video().expect("a decoder");
        let mut pictures = Vec::new();
        let mut drain = |decoder: &mut ffmpeg_next::decoder::Video| loop {
            let mut picture = frame::Video::empty();
            if decoder.receive_frame(&mut picture).is_err() {
                break;
            }
            pictures.push((picture.pts().unwrap_or(-1) as f64 * scale, picture));
        };
        for (_, packet) in input.packets() {
            decoder.send_packet(&packet).expect("decodes");
            drain(&mut decoder);
        }
        decoder.send_eof().expect("ends");
        drain(&mut decoder);
        pictures
    }

    #[test]
    fn each_picture_is_shown_when_it_was_captured() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("annotated.mp4");
        let lane = zone(&[[0.2, 0.3], [0.8, 0.3], [0.9, 0.8], [0.1, 0.8]]);
        let seen =
            observation(&[("car", 0.91, [0.4, 0.45, 0.6, 0.7]), ("person", 0.7, [0.05, 0.5, 0.09, 0.7])]);
        let tracks: Vec<TrackView> = seen.objects.iter().zip(7..).map(|(o, id)| tracked(id, o)).collect();
        // Odd size, uneven times, one that does not advance.
        let times = [10.0, 10.04, 10.5, 10.5, 13.0];
        let mut annotator = Annotator::create(&path, 641, 361, 25.0, true).expect("an encoder");
        for (i, &time) in times.iter().enumerate() {
            let mut picture = picture_of(641, 361, |_, _| [70, 70, 70]);
            picture.captured = captured(time);
            let stage = [None, Some(Stage::Suspected), Some(Stage::Confirmed)][i.min(2)];
            let view =
                ZoneView { zone: &lane, stage, dwell_s: i as f64 * 15.0, coverage: 0.3, standing: &[] };
            let mut findings = nothing(&picture);
            findings.movers =
                Some(vec![Mover { at: Point { x: 0.1, y: 0.1 }, area_px: 9.0, contrast: 30.0 }]);
            let mut tracks = tracks.clone();
            tracks[0].object.bbox.x0 -= i as f32 * 0.05;
            let seen = Seen { findings: &findings, tracks: &tracks, zones: &[view], caption: "cam-1" };
            annotator.draw(&picture, &seen).expect("drawn");
        }
        annotator.finish().expect("finished");
        let pictures = decoded(&path);
        let wanted = [0.0, 0.04, 0.5, 0.501, 3.0];
        assert_eq!(pictures.len(), wanted.len());
        for ((time, picture), wanted) in pictures.iter().zip(wanted) {
            assert!((time - wanted).abs() < 0.002, "{time} instead of {wanted}");
            assert_eq!((picture.width(), picture.height()), (640, 360));
            let luma = |x: f32, y: f32| {
                picture.data(0)[(y * 360.0) as usize * picture.stride(0) + (x * 640.0) as usize]
            };
            assert!(luma(0.6, 0.6) > luma(0.5, 0.6) + 60, "the car's box is drawn");
            assert!(luma(0.95, 0.985) < 50, "the caption's strip is dark");
        }
    }

    #[test]
    fn other_sizes_are_fitted_and_a_bad_path_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("annotated.mp4");
        let mut annotator = Annotator::create(&path, 320, 180, f64::NAN, false).expect("an encoder");
        for (i, (width, height)) in [(320, 180), (640, 360), (64, 48), (1, 1)].into_iter().enumerate() {
            let mut picture = picture_of(width, height, |_, _| [90, 90, 90]);
            picture.captured = captured(i as f64);
            let findings = nothing(&picture);
            let seen = Seen { findings: &findings, tracks: &[], zones: &[], caption: "" };
            annotator.draw(&picture, &seen).expect("drawn");
        }
        annotator.finish().expect("finished");
        assert_eq!(decoded(&path).len(), 4);
        let nowhere = folder.path().join("missing/annotated.mp4");
        assert!(matches!(
            Annotator::create(&nowhere, 320, 180, 25.0, false),
            Err(EvidenceError::Video { .. })
        ));
    }
}
