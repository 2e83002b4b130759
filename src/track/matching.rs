//! Which detection continues which track: greedy, best pair first.

use super::{Differ, Track};
use crate::detection::{Class, Detection};
use crate::frame::Captured;
use crate::geometry::BBox;

/// Pairs that overlap less than this must be near each other instead.
const IOU_MIN: f32 = 0.15;
/// How far the middles may be apart without overlap, in sizes (the square root of the area).
const DISTANCE_MAX: f32 = 0.8;
/// Pairs that overlap less than this must look alike: between rare pictures others come to where it may have gone.
const IOU_SURE: f32 = 0.5;
/// An object does not become this many times larger or smaller between two pictures.
const SIZE_RATIO_MAX: f32 = 2.5;

/// Classes that detectors mix up: one group is one thing.
const GROUPS: [&[&str]; 2] = [
    &["car", "truck", "bus", "van", "pickup", "lorry", "minivan"],
    &["bicycle", "motorcycle", "motorbike", "e_bike", "ebike", "e-bike", "scooter", "tricycle"],
];

/// Whether two classes can be the same object.
pub fn same_kind(a: &Class, b: &Class) -> bool {
    a == b || GROUPS.iter().any(|g| g.contains(&a.as_str()) && g.contains(&b.as_str()))
}

/// For each detection the index of the track that it continues; no track is given twice. `differ` tells apart who overlaps
/// but little.
pub fn assign(
    tracks: &[Track],
    at: &Captured,
    detections: &[&Detection],
    differ: Differ,
) -> Vec<Option<usize>> {
    let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
    for (t, track) in tracks.iter().enumerate() {
        let places = track.expected(at.seconds_since(&track.last_seen));
        for (d, detection) in detections.iter().enumerate() {
            if same_kind(track.class(), &detection.class) {
                let best = places
                    .iter()
                    .flatten()
                    .filter_map(|p| affinity(p, &detection.bbox))
                    .max_by(f32::total_cmp)
                    .filter(|_| !unlike(track, detection, differ))
                    .filter(|_| track.paused_s == 0.0 || track.outlasts(detection));
                pairs.extend(best.map(|affinity| (affinity, t, d)));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut of_detection = vec![None; detections.len()];
    let mut taken = vec![false; tracks.len()];
    for (_, t, d) in pairs {
        if !taken[t] && of_detection[d].is_none() {
            taken[t] = true;
            of_detection[d] = Some(t);
        }
    }
    of_detection
}

/// Whether a detection that overlaps a track but little looks like something else.
fn unlike(track: &Track, detection: &Detection, differ: Differ) -> bool {
    let other = || track.appearance().zip(detection.looks.as_ref()).is_some_and(|(a, b)| differ.says(a, b));
    track.bbox.iou(&detection.bbox) < IOU_SURE && other()
}

/// How well two boxes agree, above 0; `None` if they cannot be one object.
fn affinity(a: &BBox, b: &BBox) -> Option<f32> {
    let (size_a, size_b) = (a.area().sqrt(), b.area().sqrt());
    let ratio = size_a.max(size_b) / size_a.min(size_b);
    if !ratio.is_finite() || ratio > SIZE_RATIO_MAX {
        return None;
    }
    let (ca, cb) = (a.centre(), b.centre());
    let distance = (ca.x - cb.x).hypot(ca.y - cb.y) / (0.5 * (size_a + size_b));
    let iou = a.iou(b);
    (iou >= IOU_MIN || distance <= DISTANCE_MAX).then(|| 1.0 + iou - 0.5 * distance.min(2.0))
}
