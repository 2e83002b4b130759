//! Objects of some classes stay in the zone: a stall with its vendor, a table, a parked van.
//!
//! Where somebody must be beside them (`beside`), it is the zone that is attended, not a single object: vendors walk
//! about. Who is beside must stand; walkers are beside everything on a pavement.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::config::Rule;
use crate::detection::{Detection, UNKNOWN};
use crate::frame::Captured;
use crate::geometry::{BBox, Polygon};
use crate::observation::ZoneId;
use crate::track::Track;

use super::gap::{Looks, later};
use super::goods::Goods;
use super::stay::Stays;
use super::{Look, SCORE_KEPT, View, hidden_by, high_enough, named, unnamed};

/// How far a neighbour may stand off and still be beside an object, in its own heights.
const BESIDE_HEIGHTS: f32 = 0.5;
/// Who was where he is now so long ago does not walk by, in seconds: at least, ...
const STOOD_S_MIN: f64 = 3.5;
/// ... and at most.
const STOOD_S_MAX: f64 = 12.0;
/// Who stands is seen in one of so many looks at least.
const STOOD_LOOKS: u32 = 3;
/// How much two boxes of one who stands overlap at least (intersection over union): small boxes tremble.
const STOOD_IOU_MIN: f32 = 0.25;
/// Those who may be beside something are noted this often, in seconds.
const NOTED_EVERY_S: f64 = 1.0;
/// Nobody is missed for this long beside an object, in seconds, nor for half of the dwell time, nor in two looks: vendors are hidden by customers and by their own stall.
const UNATTENDED_S: f64 = 15.0;
/// Goods without a name are as wide as this share of the height of who stands beside them, or they are luggage.
const GOODS_WIDTH_MIN: f32 = 0.45;

/// Judges whether objects of the rule's classes are in a zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Presence {
    rule: Rule,
    id: ZoneId,
    zone: Polygon,
    /// Where the place matters.
    stays: Option<Stays>,
    /// What no detector names, where that counts.
    goods: Option<Goods>,
    /// Who may be beside something, at the looks of the last seconds; without ids, which small boxes do not keep.
    persons: VecDeque<(Captured, Vec<Person>)>,
    attended: Option<Attended>,
    looks: Looks,
}

/// Somebody who may be beside something.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Person {
    bbox: BBox,
    score: f32,
}

/// Somebody is or was beside what is in the zone.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Attended {
    from: Captured,
    last: Captured,
    /// When something was last in the zone.
    there: Captured,
}

impl Presence {
    /// A judge for one zone.
    pub fn new(rule: &Rule, id: &ZoneId, zone: &Polygon) -> Self {
        Self {
            stays: (rule.shift_max > 0.0).then(|| Stays::new(rule)),
            goods: rule.any_object.then(|| Goods::new(rule)),
            rule: rule.clone(),
            id: id.clone(),
            zone: zone.clone(),
            persons: VecDeque::new(),
            attended: None,
            looks: Looks::new(rule),
        }
    }

    /// Judges one picture; `None` if no detector looked at it.
    pub fn look(&mut self, view: &View) -> Option<Look> {
        let found = view.findings.objects.as_ref()?;
        let at = &view.findings.captured;
        let boxes_of = |classes: &[String], score_min: f32| -> Vec<BBox> {
            let counts = |d: &&Detection| named(classes, &d.class) && d.score >= score_min;
            found.iter().filter(counts).map(|d| d.bbox).collect()
        };
        let kept = SCORE_KEPT * self.rule.score_min;
        let exempt = boxes_of(&self.rule.exempt, self.rule.score_min);
        let mut counting: Vec<&Track> =
            view.tracker.current().filter(|t| self.counts(t) && !hidden_by(&t.bbox, &exempt)).collect();
        if let Some(stays) = &mut self.stays {
            stays.look(at, &counting, view.tracker);
            counting.retain(|track| stays.seen(track));
        }
        let since_of = |track: &Track| Some(self.stays.as_ref()?.of(track)?.1);
        let mut things: Vec<(Detection, Option<Captured>)> =
            counting.iter().map(|track| (track.detection(), since_of(track))).collect();
        // Where nobody asks for the place, an id that switches makes nothing younger.
        let first_seen = counting.iter().map(|track| track.first_seen).min_by_key(|first| first.media);
        let foreground = view.findings.foreground.iter().find(|f| *f.zone == *self.id.0 && f.settled);
        if let (Some(goods), Some(foreground)) = (&mut self.goods, foreground) {
            let others = [boxes_of(&self.rule.beside, kept), exempt].concat();
            goods.look(at, foreground, &others);
            let unknown = goods.seen(at).map(|thing| (unnamed(thing.bbox), Some(thing.since)));
            things.extend(unknown);
        }
        if self.rule.beside.is_empty() {
            let since = things.iter().filter_map(|(_, since)| *since).min_by_key(|since| since.media);
            let objects: Vec<Detection> = things.into_iter().map(|(object, _)| object).collect();
            let look = Look::new(!objects.is_empty(), since, 0.0, objects);
            return Some(Look { known: since.or(first_seen), ..look });
        }
        let may_be = |d: &&Detection| named(&self.rule.beside, &d.class) && d.score >= kept;
        let persons = found.iter().filter(may_be).map(|d| Person { bbox: d.bbox, score: d.score }).collect();
        let beside = self.standing_by(at, persons);
        // A nameless thing that looks a little like a person must not be its own vendor.
        let sure = boxes_of(&self.rule.beside, self.rule.score_min);
        let vendors = |object: &Detection| -> Vec<BBox> {
            let itself = |b: &&BBox| {
                object.class.as_str() == UNKNOWN && hidden_by(&object.bbox, &[**b]) && !sure.contains(b)
            };
            beside.iter().filter(|b| !itself(b)).copied().collect()
        };
        let (attended, alone): (Vec<_>, Vec<_>) =
            things.into_iter().partition(|(object, _)| attended(object, &vendors(object), view.aspect()));
        let there = !(attended.is_empty() && alone.is_empty());
        let came =
            attended.iter().filter_map(|(_, since)| since.or(first_seen)).min_by_key(|since| since.media);
        self.attend(at, there, came);
        let Some(Attended { from, .. }) = self.attended else {
            return Some(Look::new(false, None, 0.0, Vec::new()));
        };
        let shown = if attended.is_empty() { alone } else { attended };
        let came = shown.iter().filter_map(|(_, since)| *since).min_by_key(|since| since.media);
        let since = Some(came.filter(|came| came.media > from.media).unwrap_or(from));
        let objects: Vec<Detection> = shown.into_iter().map(|(object, _)| object).collect();
        Some(Look::new(!objects.is_empty(), since, 0.0, objects))
    }

    /// Notes whether something is in the zone and, if somebody is beside it, since when it has been there. Once that has
    /// lasted for the dwell time, the thing holds the zone by itself: a stall whose vendor is away for lunch is not gone.
    fn attend(&mut self, at: &Captured, there: bool, came: Option<Captured>) {
        let looks_s = self.persons.iter().rev().nth(1).map_or(0.0, |(then, _)| at.seconds_since(then));
        if let (Some(gap), Some(attended)) = (self.looks.after_gap(at), &mut self.attended) {
            (attended.last, attended.there) = (later(&attended.last, gap), later(&attended.there, gap));
        }
        let unattended_s = UNATTENDED_S.min(0.5 * self.rule.dwell_s).max(2.0 * looks_s.min(self.rule.gap_s));
        if let Some(attended) = &mut self.attended {
            if there {
                attended.there = *at;
            }
            let held = attended.last.seconds_since(&attended.from) + unattended_s >= self.rule.dwell_s;
            let since = if held { attended.there } else { attended.last };
            let patience_s = if held { self.rule.clear_s } else { unattended_s };
            if at.seconds_since(&since) > patience_s {
                self.attended = None;
            }
        }
        let Some(came) = came else { return };
        // Whoever is seen beside it a little late has come with it.
        let from = if at.seconds_since(&came) <= unattended_s { came } else { *at };
        let from = self.attended.map_or(from, |attended| attended.from);
        self.attended = Some(Attended { from, last: *at, there: *at });
    }

    /// What was seen at the last look where something has stayed for the dwell time, each with the number of its stay.
    pub fn standing(&self) -> Vec<(u32, BBox)> {
        self.stays.as_ref().map_or_else(Vec::new, Stays::confirmed)
    }

    /// Of those who may be beside something, the boxes of those who stand and were once surely somebody: a wheel or a post
    /// looks a little like a person for hours.
    fn standing_by(&mut self, at: &Captured, now: Vec<Person>) -> Vec<BBox> {
        // Where looks are rare, the last one counts whatever its age.
        let old = |(then, _): &(Captured, Vec<Person>)| at.seconds_since(then) > STOOD_S_MAX;
        while self.persons.len() > 1 && self.persons.front().is_some_and(old) {
            self.persons.pop_front();
        }
        // Seen here some seconds ago and often enough since: others' steps cross this place, but not at every look.
        let stood = |person: &&Person| {
            let (mut seen, mut stood, mut score) = (0, false, person.score);
            for ((then, persons), looks) in self.persons.iter().rev().zip(1..) {
                let here = persons.iter().filter(|then| then.bbox.iou(&person.bbox) >= STOOD_IOU_MIN);
                let Some(best) = here.map(|then| then.score).max_by(f32::total_cmp) else { continue };
                (seen, score) = (seen + 1, score.max(best));
                stood |= at.seconds_since(then) >= STOOD_S_MIN && seen * STOOD_LOOKS >= looks;
            }
            stood && score >= self.rule.score_min
        };
        let standing = now.iter().filter(stood).map(|person| person.bbox).collect();
        if self.persons.back().is_none_or(|(then, _)| at.seconds_since(then) >= NOTED_EVERY_S) {
            self.persons.push_back((*at, now));
        }
        standing
    }

    fn counts(&self, track: &Track) -> bool {
        named(&self.rule.classes, track.class())
            && track.score_best >= self.rule.score_min
            && track.score >= SCORE_KEPT * self.rule.score_min
            && high_enough(&self.rule, &self.zone, &track.bbox)
            && self.zone.share_of_box(&track.bbox) >= self.rule.inside_min
    }
}

/// Whether one of the neighbours stands within half of its own height of the object; of one without a name, whether it
/// is wide enough to be sold from.
fn attended(object: &Detection, neighbours: &[BBox], aspect: f32) -> bool {
    let bbox = &object.bbox;
    neighbours.iter().any(|n| {
        let reach = BESIDE_HEIGHTS * n.height();
        let wide =
            BBox { x0: n.x0 - reach / aspect, y0: n.y0 - reach, x1: n.x1 + reach / aspect, y1: n.y1 + reach };
        let large = object.class.as_str() != UNKNOWN || bbox.width() * aspect >= GOODS_WIDTH_MIN * n.height();
        large && wide.intersection(bbox) > 0.0
    })
}
