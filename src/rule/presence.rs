//! Objects of some classes stay in the zone: a stall with its vendor, a table, a parked van.

use crate::config::Rule;
use crate::detection::Detection;
use crate::frame::Captured;
use crate::geometry::{BBox, Polygon};
use crate::track::{Track, same_place};

use super::{Look, SCORE_KEPT, View, hidden_by, named};

/// Most places remembered in one zone; more objects that stay side by side say nothing new.
const PLACES_MAX: usize = 32;
/// How far a neighbour may stand off and still be beside an object, in its own heights.
const BESIDE_HEIGHTS: f32 = 0.5;
/// How long a place keeps its age while nothing is seen there, in seconds; the zone's `clear_s` if that is longer.
const PLACE_UNSEEN_S_MIN: f64 = 5.0;
/// Where the place matters an object must have stood for this long, in seconds: traffic that rolls by fills every place.
const STAND_S_MIN: f64 = 3.0;

/// Where something has stayed, whatever id it had.
#[derive(Debug, Clone)]
struct Stay {
    id: u32,
    bbox: BBox,
    first_seen: Captured,
    last_seen: Captured,
    /// Seconds since then in which somebody looked.
    unseen_s: f64,
}

/// Judges whether objects of the rule's classes are in a zone.
#[derive(Debug, Clone)]
pub struct Presence {
    rule: Rule,
    zone: Polygon,
    stays: Vec<Stay>,
    next_id: u32,
    looked: Option<Captured>,
}

impl Presence {
    /// A judge for one zone.
    pub fn new(rule: &Rule, zone: &Polygon) -> Self {
        Self { rule: rule.clone(), zone: zone.clone(), stays: Vec::new(), next_id: 0, looked: None }
    }

    /// Judges one picture; `None` if no detector looked at it.
    pub fn look(&mut self, view: &View) -> Option<Look> {
        let found = view.findings.objects.as_ref()?;
        let at = &view.findings.captured;
        let boxes_of = |classes: &[String]| -> Vec<BBox> {
            let counts =
                |d: &&Detection| named(classes, &d.class) && d.score >= SCORE_KEPT * self.rule.score_min;
            found.iter().filter(counts).map(|d| d.bbox).collect()
        };
        let (exempt, beside) = (boxes_of(&self.rule.exempt), boxes_of(&self.rule.beside));
        let counting: Vec<&Track> = view
            .tracker
            .current()
            .filter(|t| self.counts(t) && !hidden_by(&t.bbox, &exempt))
            .filter(|t| self.rule.beside.is_empty() || attended(&t.bbox, &beside, view.aspect()))
            .collect();
        let since = if self.rule.shift_max > 0.0 { self.remember(at, &counting) } else { None };
        let objects = counting.iter().map(|t| t.detection()).collect();
        Some(Look::new(!counting.is_empty(), since, 0.0, objects))
    }

    /// What was seen at the last look in a place where something has stayed for the dwell time.
    pub fn standing(&self) -> Vec<(u32, BBox)> {
        let stayed = |s: &&Stay| {
            Some(s.last_seen.media) == self.looked.map(|at| at.media)
                && s.last_seen.seconds_since(&s.first_seen) >= self.rule.dwell_s
        };
        self.stays.iter().filter(stayed).map(|s| (s.id, s.bbox)).collect()
    }

    fn counts(&self, track: &Track) -> bool {
        named(&self.rule.classes, track.class())
            && track.score_best >= self.rule.score_min
            && track.score >= SCORE_KEPT * self.rule.score_min
            && track.bbox.height() >= self.rule.height_min
            && (self.rule.shift_max == 0.0 || track.stands_s() >= STAND_S_MIN)
            && self.zone.share_of_box(&track.bbox) >= self.rule.inside_min
    }

    /// Notes who is where; gives since when the most patient of them has stayed.
    fn remember(&mut self, at: &Captured, counting: &[&Track]) -> Option<Captured> {
        let kept_s = self.rule.clear_s.max(PLACE_UNSEEN_S_MIN);
        // A gap in which nobody looked neither ages a place nor forgets it.
        let passed_s = self.looked.replace(*at).map_or(0.0, |looked| at.seconds_since(&looked));
        let looked_s = if passed_s <= self.rule.gap_s { passed_s } else { 0.0 };
        self.stays.iter_mut().for_each(|s| s.unseen_s += looked_s);
        self.stays.retain(|s| s.unseen_s <= kept_s);
        for track in counting {
            let shift_max = self.rule.shift_max;
            let stays = &mut self.stays;
            if let Some(stay) = stays.iter_mut().find(|s| same_place(&s.bbox, &track.bbox, shift_max)) {
                (stay.last_seen, stay.unseen_s) = (*at, 0.0);
            } else if stays.len() < PLACES_MAX {
                self.next_id += 1;
                stays.push(Stay {
                    id: self.next_id,
                    bbox: track.bbox,
                    first_seen: *track.stands_since(),
                    last_seen: *at,
                    unseen_s: 0.0,
                });
            }
        }
        let now = self.stays.iter().filter(|s| s.last_seen.media == at.media);
        now.map(|s| s.first_seen).min_by_key(|first_seen| first_seen.media)
    }
}

/// Whether one of the neighbours stands within half of its own height of the box.
fn attended(bbox: &BBox, neighbours: &[BBox], aspect: f32) -> bool {
    neighbours.iter().any(|n| {
        let reach = BESIDE_HEIGHTS * n.height();
        let wide =
            BBox { x0: n.x0 - reach / aspect, y0: n.y0 - reach, x1: n.x1 + reach / aspect, y1: n.y1 + reach };
        wide.intersection(bbox) > 0.0
    })
}
