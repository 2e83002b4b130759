//! The picture a dispatcher sees: the zone, the objects with their names, the path of a throw, persons redacted.

use jiff::tz::TimeZone;
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, SamplingFactor};

use super::canvas::{Anchor, Canvas};
use super::colour::Colour;
use super::{EvidenceError, mask};
use crate::config;
use crate::detection::{Detection, UNKNOWN};
use crate::frame::{CameraId, Captured, Clock, Picture};
use crate::geometry::{BBox, Point, Polygon};
use crate::observation::{Observation, Stage, Trajectory};

// Signal colours that stay apart by day and by night (grey infrared pictures), also in brightness, for colour-blind
// readers; every line has a dark edge as well.

/// A zone whose matter is suspected.
pub(super) const ZONE: Colour = [255, 140, 0];
/// A zone whose matter is confirmed.
pub(super) const ZONE_CONFIRMED: Colour = [255, 74, 38];
/// A zone where nothing is the matter.
pub(super) const ZONE_CALM: Colour = [64, 200, 255];
/// Objects.
pub(super) const OBJECT: Colour = [255, 225, 0];
const PATH: Colour = [255, 64, 200];

/// Pictures with no longer side keep all chroma.
const CHROMA_WHOLE_PX_MAX: usize = 960;

/// A line such as `north-gate-2  2026-11-22 09:15:03 +08:00  fire_lane`, for the bottom of a snapshot.
///
/// Times that are not the camera's own say so: `(file)` or `(arrival)`.
pub fn caption(camera: &CameraId, captured: &Captured, timezone: &TimeZone, scenario: &str) -> String {
    let local = captured.wall.to_zoned(timezone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string();
    let clock = match captured.clock {
        Clock::Rtcp => "",
        Clock::Arrival => " (arrival)",
        Clock::File => " (file)",
    };
    format!("{camera}   {local}{clock}   {scenario}")
}

/// Draws a JPEG that shows what `observation` says about `zone` in `picture`.
///
/// Order: privacy `masks` black, persons redacted (`persons` are those found in this very picture, whatever their score;
/// objects of class `person` are added), then the zone, boxes, path and `caption`. The longest side is at most
/// `settings.snapshot_px_max`. Labels are ASCII; anything else in them becomes `?`.
pub fn snapshot(
    picture: &Picture,
    zone: &config::Zone,
    observation: &Observation,
    persons: &[BBox],
    masks: &[Polygon],
    settings: &config::Evidence,
    caption: &str,
) -> Result<Vec<u8>, EvidenceError> {
    let masked = mask::apply(picture.clone(), masks);
    let mut canvas = Canvas::from_picture(&masked, settings.snapshot_px_max as usize)?;
    if settings.redact_persons {
        let named = observation.objects.iter().filter(|o| o.class.as_str() == "person").map(|o| &o.bbox);
        persons.iter().chain(named).for_each(|person| canvas.mosaic(person));
    }
    canvas.caption(caption);
    let colour = if observation.stage == Stage::Confirmed { ZONE_CONFIRMED } else { ZONE };
    canvas.fill(&zone.polygon, colour, 0.16);
    canvas.path(zone.polygon.points(), true, colour, 1.0);
    for object in &observation.objects {
        canvas.outline(&object.bbox, OBJECT);
    }
    if let Some(trajectory) = &observation.trajectory {
        draw_trajectory(&mut canvas, trajectory);
    }
    // Labels last, so that no line runs through them.
    canvas.label(&zone_text(zone, observation), Anchor::Box(zone.polygon.bounds()), colour);
    for object in &observation.objects {
        canvas.label(&object_text(object), Anchor::Box(object.bbox), OBJECT);
    }
    jpeg(&canvas, settings.jpeg_quality)
}

/// The picture alone as a JPEG with a caption, masked already; `persons` are made unrecognisable unless the settings say
/// otherwise.
pub fn plain(
    picture: &Picture,
    persons: &[BBox],
    settings: &config::Evidence,
    caption: &str,
) -> Result<Vec<u8>, EvidenceError> {
    let mut canvas = Canvas::from_picture(picture, settings.snapshot_px_max as usize)?;
    if settings.redact_persons {
        persons.iter().for_each(|person| canvas.mosaic(person));
    }
    canvas.caption(caption);
    jpeg(&canvas, settings.jpeg_quality)
}

pub(super) fn jpeg(canvas: &Canvas, quality: u8) -> Result<Vec<u8>, EvidenceError> {
    // A byte for eight pixels is what a street takes at the usual quality; more room comes as it is needed.
    let mut bytes = Vec::with_capacity(canvas.width * canvas.height / 8);
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, quality.clamp(1, 100));
    // Half the chroma each way: cameras send no more of it; means, so that drawn lines keep their colour. In a small
    // picture lines are as thin as two pixels and would fade.
    let small = canvas.width.max(canvas.height) <= CHROMA_WHOLE_PX_MAX;
    encoder.set_sampling_factor(if small { SamplingFactor::F_1_1 } else { SamplingFactor::F_2_2 });
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    // A side that the format cannot hold becomes 0, which is refused.
    let [width, height] = [canvas.width, canvas.height].map(|side| u16::try_from(side).unwrap_or(0));
    encoder.encode(&canvas.rgb, width, height, ColorType::Rgb).map_err(EvidenceError::Jpeg)?;
    Ok(bytes)
}

fn zone_text(zone: &config::Zone, observation: &Observation) -> String {
    let mut words = vec![zone.id.to_string(), stage_text(observation.stage).to_owned()];
    if observation.dwell_s >= 1.0 {
        words.push(clock_text(observation.dwell_s));
    }
    if observation.coverage > 0.0 {
        words.push(format!("{:.0}%", observation.coverage * 100.0));
    }
    words.join(" ")
}

pub(super) fn stage_text(stage: Stage) -> &'static str {
    match stage {
        Stage::Suspected => "suspected",
        Stage::Confirmed => "confirmed",
        Stage::Cleared => "cleared",
    }
}

pub(super) fn object_text(object: &Detection) -> String {
    // Static foreground has no score worth reading.
    if object.class.as_str() == UNKNOWN {
        object.class.to_string()
    } else {
        format!("{} {:.2}", object.class, object.score)
    }
}

/// Seconds as `m:ss` or `h:mm:ss`.
pub(super) fn clock_text(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    if s < 3600 {
        format!("{}:{:02}", s / 60, s % 60)
    } else {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    }
}

fn draw_trajectory(canvas: &mut Canvas, trajectory: &Trajectory) {
    let points: Vec<Point> = trajectory.points.iter().map(|&(_, p)| p).collect();
    canvas.path(&points, false, PATH, 1.0);
    for &point in &points {
        canvas.dot(point, 1.6, PATH, false);
    }
    canvas.dot(trajectory.release, 5.0, PATH, true);
    let floor = trajectory.floor.map(|(floor, error)| format!("floor {floor}+-{error}"));
    let height = trajectory.release_height_m.map(|(height, error)| format!("{height:.1}+-{error:.1} m"));
    let text =
        [Some("release".to_owned()), floor, height].into_iter().flatten().collect::<Vec<_>>().join(", ");
    canvas.label(&text, Anchor::Point(trajectory.release), PATH);
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::{Evidence, Hours, Scenario, Zone};

    /// A picture painted from RGB (BT.601, limited range), chroma taken from each block's first pixel.
    pub(in crate::evidence) fn picture_of(
        width: usize,
        height: usize,
        paint: impl Fn(usize, usize) -> Colour,
    ) -> Picture {
        let ycc = |[r, g, b]: Colour| {
            let (r, g, b) = (r as f32, g as f32, b as f32);
            [
                (16.0 + 0.257 * r + 0.504 * g + 0.098 * b) as u8,
                (128.0 - 0.148 * r - 0.291 * g + 0.439 * b) as u8,
                (128.0 + 0.439 * r - 0.368 * g - 0.071 * b) as u8,
            ]
        };
        let plane = |channel: usize, step: usize| -> Arc<[u8]> {
            let rows = (0..height).step_by(step);
            rows.flat_map(|y| (0..width).step_by(step).map(move |x| (x, y)))
                .map(|(x, y)| ycc(paint(x, y))[channel])
                .collect()
        };
        Picture {
            captured: captured(0.0),
            width,
            height,
            y: plane(0, 1),
            u: plane(1, 2),
            v: plane(2, 2),
            full_range: false,
        }
    }

    pub(in crate::evidence) fn captured(seconds: f64) -> Captured {
        Captured {
            wall: "2026-11-22T01:15:03Z".parse().expect("a time"),
            media: Duration::from_secs_f64(seconds),
            clock: Clock::Rtcp,
        }
    }

    pub(in crate::evidence) fn zone(corners: &[[f32; 2]]) -> Zone {
        // Read as operators write it, so that a new optional key does not concern this file.
        let scenario: Scenario = toml::from_str(
            "id = 'fire_lane'\nlevel = 'orange'\n\
             title = { zh = '消防通道占用', en = 'Blocked fire lane' }\n\
             description = { zh = '', en = '' }\n\
             rule = { kind = 'obstruction', dwell_s = 60.0 }",
        )
        .expect("a scenario");
        let rule = scenario.rule.clone();
        Zone {
            id: "lane-east".into(),
            name: "东侧通道".into(),
            revision: "0".into(),
            polygon: Polygon::new(corners.iter().copied().map(Point::from).collect()).expect("a zone"),
            scenario: Arc::new(scenario),
            rule,
            hours: Hours::default(),
            facade: None,
        }
    }

    pub(in crate::evidence) fn observation(objects: &[(&str, f32, [f32; 4])]) -> Observation {
        let objects = objects
            .iter()
            .map(|&(class, score, bbox)| Detection::new(class.into(), score, bbox.into()))
            .collect();
        Observation {
            zone: "lane-east".into(),
            stage: Stage::Confirmed,
            first_seen: captured(0.0),
            confirmed_at: Some(captured(60.0)),
            last_seen: captured(75.0),
            at: captured(75.0),
            dwell_s: 75.0,
            unseen_s: 0.0,
            coverage: 0.42,
            objects,
            trajectory: None,
        }
    }

    fn settings(redact_persons: bool) -> Evidence {
        Evidence { jpeg_quality: 92, redact_persons, ..Evidence::default() }
    }

    fn decoded(jpeg: &[u8]) -> image::RgbImage {
        image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg).expect("a JPEG").to_rgb8()
    }

    fn near(image: &image::RgbImage, x: f32, y: f32, wanted: Colour, tolerance: i32) {
        let (width, height) = image.dimensions();
        let pixel = image.get_pixel((x * width as f32) as u32, (y * height as f32) as u32).0;
        let off = pixel.iter().zip(wanted).map(|(&a, b)| (i32::from(a) - i32::from(b)).abs()).max();
        assert!(off <= Some(tolerance), "at {x},{y}: {pixel:?}, wanted {wanted:?}");
    }

    /// Sum of absolute differences between neighbours per pixel: how much detail a part of a picture has.
    fn detail(image: &image::RgbImage, b: [f32; 4]) -> f64 {
        let (width, height) = image.dimensions();
        let (x0, x1) = ((b[0] * width as f32) as u32, (b[2] * width as f32) as u32);
        let (y0, y1) = ((b[1] * height as f32) as u32, (b[3] * height as f32) as u32);
        let mut sum = 0.0;
        for y in y0..y1 {
            for x in x0..x1 - 1 {
                sum += f64::from(image.get_pixel(x, y).0[1].abs_diff(image.get_pixel(x + 1, y).0[1]));
            }
        }
        sum / f64::from((x1 - x0) * (y1 - y0))
    }

    const GREY: Colour = [120, 120, 120];
    const LANE: &[[f32; 2]] = &[[0.2, 0.3], [0.8, 0.3], [0.9, 0.8], [0.1, 0.8]];

    #[test]
    fn zone_boxes_and_caption_are_where_they_belong() {
        for (width, height, wanted) in
            [(1280, 720, (1280, 720)), (1920, 1080, (1280, 720)), (641, 363, (641, 363))]
        {
            let picture = picture_of(width, height, |_, _| GREY);
            let seen = observation(&[("car", 0.91, [0.4, 0.45, 0.6, 0.7])]);
            let bytes =
                snapshot(&picture, &zone(LANE), &seen, &[], &[], &settings(true), "cam-1  now").unwrap();
            let image = decoded(&bytes);
            assert_eq!(image.dimensions(), wanted);
            for (x, y) in [(0.4, 0.55), (0.6, 0.55), (0.5, 0.7)] {
                near(&image, x, y, OBJECT, 60);
            }
            near(&image, 0.5, 0.8, ZONE_CONFIRMED, 60);
            near(&image, 0.02, 0.5, GREY, 6);
            let tint = image.get_pixel(wanted.0 * 3 / 10, wanted.1 / 2).0;
            assert!(tint[0] > tint[2] + 15, "inside the zone: {tint:?}");
            near(&image, 0.9, 0.995, [36, 36, 36], 12);
            assert!(detail(&image, [0.0, 0.97, 0.06, 1.0]) > 10.0, "the caption has letters");
        }
    }

    #[test]
    fn persons_cannot_be_recognised() {
        // A checkerboard of 2 x 2 pixels: as much detail as there can be.
        let picture = picture_of(1280, 720, |x, y| if (x / 2 + y / 2) % 2 == 0 { [235; 3] } else { [20; 3] });
        let person = [0.50, 0.35, 0.55, 0.62];
        let seen = observation(&[]);
        let shoot = |redact| {
            let persons = [BBox::from(person)];
            decoded(&snapshot(&picture, &zone(LANE), &seen, &persons, &[], &settings(redact), "").unwrap())
        };
        let (hidden, open) = (shoot(true), shoot(false));
        assert!(detail(&open, person) > 60.0);
        assert!(detail(&hidden, person) < detail(&open, person) / 20.0, "{}", detail(&hidden, person));
        // The box is enlarged, and what lies farther away is left alone.
        assert!(detail(&hidden, [0.494, 0.33, 0.50, 0.64]) < 10.0);
        assert!(detail(&hidden, [0.60, 0.4, 0.65, 0.6]) > 60.0);
    }

    #[test]
    fn objects_of_class_person_are_redacted_too() {
        let picture = picture_of(640, 360, |x, _| if x % 2 == 0 { [235; 3] } else { [20; 3] });
        let person = [0.45, 0.4, 0.55, 0.7];
        let seen = observation(&[("person", 0.8, person)]);
        let image = decoded(&snapshot(&picture, &zone(LANE), &seen, &[], &[], &settings(true), "").unwrap());
        assert!(detail(&image, [0.47, 0.5, 0.53, 0.65]) < 5.0);
    }

    #[test]
    fn masks_are_black_whatever_is_drawn_elsewhere() {
        let picture = picture_of(1280, 720, |_, _| [200, 180, 160]);
        let mask = Polygon::new([[0.0, 0.0], [0.15, 0.0], [0.15, 0.5], [0.0, 0.5]].map(Point::from).to_vec())
            .unwrap();
        let bytes =
            snapshot(&picture, &zone(LANE), &observation(&[]), &[], &[mask], &settings(true), "").unwrap();
        near(&decoded(&bytes), 0.05, 0.2, [0; 3], 4);
        near(&decoded(&bytes), 0.5, 0.1, [200, 180, 160], 12);
    }

    #[test]
    fn the_path_of_a_throw_leads_to_its_release() {
        let picture = picture_of(1280, 720, |_, _| GREY);
        let mut seen = observation(&[]);
        let fall = |i: usize| {
            (i as f64 * 0.04, Point { x: 0.5 + i as f32 * 0.002, y: 0.2 + (i * i) as f32 * 0.002 })
        };
        seen.trajectory = Some(Trajectory {
            points: (3..16).map(fall).collect(),
            release: Point { x: 0.5, y: 0.2 },
            release_height_m: Some((17.4, 1.4)),
            floor: Some((6, 1)),
        });
        let bytes = snapshot(&picture, &zone(LANE), &seen, &[], &[], &settings(true), "").unwrap();
        let image = decoded(&bytes);
        let last = fall(15).1;
        near(&image, last.x, last.y, PATH, 60);
        // A ring: its edge is drawn, its middle is not.
        near(&image, 0.5, 0.2, GREY, 12);
        assert!(detail(&image, [0.485, 0.17, 0.515, 0.23]) > 3.0);
    }

    #[test]
    fn planes_that_do_not_fit_are_an_error() {
        let mut picture = picture_of(64, 36, |_, _| GREY);
        picture.width = 65;
        let made = snapshot(&picture, &zone(LANE), &observation(&[]), &[], &[], &settings(true), "");
        assert!(matches!(made, Err(EvidenceError::Planes { width: 65, .. })));
    }

    #[test]
    fn captions_and_clocks_read_well() {
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap_or(TimeZone::fixed(jiff::tz::offset(8)));
        let line = caption(&"north-gate-2".into(), &captured(0.0), &shanghai, "fire_lane");
        assert_eq!(line, "north-gate-2   2026-11-22 09:15:03 +08:00   fire_lane");
        for (seconds, text) in [(0.0, "0:00"), (75.9, "1:15"), (3_671.0, "1:01:11"), (-3.0, "0:00")] {
            assert_eq!(clock_text(seconds), text);
        }
    }

    proptest::proptest! {
        /// Boxes and paths may be anything a model or a tracker gets wrong: outside, inverted, not numbers.
        #[test]
        fn wild_geometry_never_panics(
            wild in proptest::collection::vec(proptest::prelude::any::<[f32; 4]>(), 0..4),
            width in 1usize..40,
            height in 1usize..40,
            px_max in 0u32..50,
            text in ".{0,40}",
        ) {
            let mut seen = observation(&[]);
            let object = |b: &[f32; 4]| Detection::new(text.as_str().into(), b[0], (*b).into());
            seen.objects = wild.iter().map(object).collect();
            seen.trajectory = Some(Trajectory {
                points: wild.iter().map(|b| (0.0, Point { x: b[0], y: b[1] })).collect(),
                release: Point { x: wild.first().map_or(0.5, |b| b[2]), y: 0.5 },
                release_height_m: None,
                floor: None,
            });
            let persons: Vec<BBox> = wild.iter().map(|b| BBox::from(*b)).collect();
            let settings = Evidence { snapshot_px_max: px_max, ..settings(true) };
            let picture = picture_of(width, height, |_, _| GREY);
            let made = snapshot(&picture, &zone(LANE), &seen, &persons, &[], &settings, &text);
            proptest::prop_assert!(made.is_ok());
        }
    }
}
