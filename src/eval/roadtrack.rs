//! RoadTrack's text as a labelled set: recorded detections of highway cameras, and the vehicles that stand.
//!
//! `SRC` holds `P/` (with stops) and `N/` (normal traffic), each with a folder per sequence: `det.txt`, lines of
//! `frame,-1,x,y,w,h,confidence,class,-1,-1` (2 car, 7 truck), a line of -1 where there is nothing; `gt.txt`, lines of
//! `frame,track,x,y,w,h,confidence,class`. `filter.json` holds regions in pixels per scene, whose detections are ignored.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::set::Boxes;
use crate::detection::{Detection, Findings};
use crate::frame::{Captured, Clock};
use crate::geometry::BBox;

/// Pictures per second.
pub const RATE: f64 = 10.0;
/// Size of the pictures.
pub const SIZE_PX: (u32, u32) = (640, 540);

/// A region whose detections are ignored: left, top, right, bottom in pixels.
pub type Region = [f32; 4];

/// A line of either file, as far as it is used.
struct Line {
    frame: u64,
    track: i64,
    bbox: BBox,
    score: f32,
    class: u32,
}

fn line(text: &str) -> Option<Line> {
    let fields: Vec<f64> = text.split(',').map(|field| field.trim().parse().ok()).collect::<Option<_>>()?;
    let &[frame, track, x, y, w, h, score, class, ..] = fields.as_slice() else { return None };
    let (width, height) = (f64::from(SIZE_PX.0), f64::from(SIZE_PX.1));
    let bbox = BBox {
        x0: (x / width) as f32,
        y0: (y / height) as f32,
        x1: ((x + w) / width) as f32,
        y1: ((y + h) / height) as f32,
    };
    (frame >= 1.0).then_some(Line {
        frame: frame as u64,
        track: track as i64,
        bbox,
        score: score as f32,
        class: class.max(0.0) as u32,
    })
}

/// All lines of a file; the error is the number of the one that is not of the format.
fn lines(text: &str) -> Result<Vec<Line>, usize> {
    let some = text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty());
    some.map(|(index, text)| line(text).ok_or(index + 1)).collect()
}

/// The scene in a sequence's name: its part that begins with `K`.
pub fn scene(sequence: &str) -> Option<&str> {
    sequence.split('_').find(|part| part.starts_with('K'))
}

/// When a picture was captured; the first one is number 1.
fn captured(frame: u64) -> Captured {
    let media = Duration::from_secs_f64((frame - 1) as f64 / RATE);
    let start = Timestamp::UNIX_EPOCH;
    Captured { wall: start.checked_add(media).unwrap_or(start), media, clock: Clock::File }
}

/// The pictures of a `det.txt`, every one from the first to the last, without what lies in the regions.
pub fn findings(text: &str, ignored: &[Region]) -> Result<Vec<Findings>, usize> {
    let mut of_frame: BTreeMap<u64, Vec<Detection>> = BTreeMap::new();
    for line in lines(text)? {
        let objects = of_frame.entry(line.frame).or_default();
        let class = match line.class {
            2 => "car",
            7 => "truck",
            _ => continue,
        };
        let middle = line.bbox.centre();
        let (x, y) = (middle.x * SIZE_PX.0 as f32, middle.y * SIZE_PX.1 as f32);
        if line.score > 0.0
            && !ignored.iter().any(|r| (r[0]..=r[2]).contains(&x) && (r[1]..=r[3]).contains(&y))
        {
            objects.push(Detection::new(class.into(), line.score, line.bbox));
        }
    }
    let last = of_frame.keys().next_back().copied().unwrap_or(0);
    let picture = |frame| Findings {
        captured: captured(frame),
        size_px: SIZE_PX,
        objects: Some(of_frame.remove(&frame).unwrap_or_default()),
        foreground: Vec::new(),
        movers: None,
    };
    Ok((1..=last).map(picture).collect())
}

/// The vehicles of a `gt.txt`.
pub fn boxes(text: &str) -> Result<Vec<Boxes>, usize> {
    let mut of_frame: BTreeMap<u64, Vec<(u32, BBox)>> = BTreeMap::new();
    for line in lines(text)? {
        of_frame.entry(line.frame).or_default().push((line.track.max(0) as u32, line.bbox));
    }
    let at_s = |frame: u64| (frame - 1) as f64 / RATE;
    Ok(of_frame.into_iter().map(|(frame, boxes)| Boxes { at_s: at_s(frame), boxes }).collect())
}

/// Seconds without a standing vehicle that do not end a situation.
const GAP_S: f64 = 10.0;

/// When any vehicle stands: from, to in seconds; what the zone as a whole must tell of.
pub fn situations(boxes: &[Boxes]) -> Vec<(f64, f64)> {
    let mut found: Vec<(f64, f64)> = Vec::new();
    for picture in boxes.iter().filter(|picture| !picture.boxes.is_empty()) {
        match found.last_mut() {
            Some((_, to_s)) if picture.at_s - *to_s <= GAP_S => *to_s = picture.at_s,
            _ => found.push((picture.at_s, picture.at_s)),
        }
    }
    found
}
