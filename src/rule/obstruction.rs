//! Anything covers the zone and stays: vehicles that stand, and static foreground that no detector has a name for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Rule;
use crate::detection::{Class, Detection, ZoneForeground};
use crate::frame::Captured;
use crate::geometry::{BBox, Polygon};
use crate::observation::ZoneId;
use crate::track::{Track, stays_over_pause};

use super::gap::{Looks, later};
use super::stay::Stays;
use super::{FOREGROUND_AGE, Look, SCORE_KEPT, View, hidden_by, high_enough, named, unnamed};

/// How much of a box, from its bottom, covers ground: roofs lean over what is free.
const FOOT_SHARE: f32 = 0.5;
/// Foreground that was gone for longer than this is another one, in seconds: the next car of a queue, say.
const FOREGROUND_GONE_S: f64 = 3.0;
/// A detector that is less sure than this of what has come, 0..1, is believed if the background has changed there.
const SCORE_SURE: f32 = 0.6;
/// Who never blocks a lane, however long they stand and talk.
const PERSON: &str = "person";
/// A person detection counts as one from this score, 0..1; low, because it only ever takes something away.
const PERSON_SCORE_MIN: f32 = 0.3;

/// Judges how much of a zone is covered by what stays in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Obstruction {
    rule: Rule,
    id: ZoneId,
    zone: Polygon,
    /// Since when each vehicle or thing has been there: the next of a queue blocks no longer than it has stood.
    stays: Stays,
    /// Whether at the last look static foreground alone made the matter.
    held_by_foreground: bool,
    /// Since when static foreground has covered enough.
    covered: Option<Covered>,
    /// Since when the background has been known without a break.
    settled: Option<Captured>,
    looks: Looks,
}

/// Static foreground that covers enough of the zone.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Covered {
    since: Captured,
    /// When it did last; what was not looked at does not count.
    last: Captured,
    /// Its largest part.
    largest: BBox,
    /// Whether nobody has looked for a while since.
    unseen: bool,
    /// The stay that most of it belongs to, as far as a detector said: when another stay has it, it is another thing.
    stay: Option<u32>,
}

/// An object that stays in the zone.
struct Standing {
    object: Detection,
    stay: u32,
    since: Captured,
}

impl Obstruction {
    /// A judge for one zone.
    pub fn new(rule: &Rule, id: &ZoneId, zone: &Polygon) -> Self {
        Self {
            rule: rule.clone(),
            id: id.clone(),
            zone: zone.clone(),
            stays: Stays::following(rule),
            held_by_foreground: false,
            covered: None,
            settled: None,
            looks: Looks::new(rule),
        }
    }

    /// Judges one picture; `None` if neither a detector nor a settled background had a say, or if the background, which
    /// alone had seen the matter, is being learnt anew: then nobody knows.
    pub fn look(&mut self, view: &View) -> Option<Look> {
        let foreground = view.findings.foreground.iter().find(|f| *f.zone == *self.id.0 && f.settled);
        let foreground = foreground.filter(|_| self.rule.any_object);
        let detected = view.findings.objects.is_some();
        let (standing, passing) = self.standing(view, foreground);
        let objects: Vec<Detection> = standing.iter().map(|s| s.object.clone()).collect();
        let feet: Vec<BBox> = objects.iter().map(|d| foot_of(&d.bbox)).collect();
        let by_objects = self.zone.covered_by(&feet);
        let coverage_min = self.rule.coverage_min;
        let blocked = |coverage: f32| coverage > 0.0 && coverage >= coverage_min;
        let unknowable = !detected || (self.held_by_foreground && !blocked(by_objects));
        if foreground.is_none() && unknowable {
            return None;
        }
        let (by_foreground, unnamed) =
            foreground.map_or((0.0, Vec::new()), |f| self.unnamed(view, f, &objects, &passing));
        let at = &view.findings.captured;
        if let Some(foreground) = foreground {
            self.note_foreground(at, foreground, blocked(by_foreground), &standing);
        }
        let coverage = by_objects.max(by_foreground).clamp(0.0, 1.0);
        let present = blocked(coverage);
        self.held_by_foreground = present && !blocked(by_objects);
        // A thing may get its name late, or lose it: what has covered the zone all the time is older than its name.
        let of_objects = self.covered_since(&standing);
        let of_foreground = self.covered.as_ref().map(|covered| covered.since);
        let since = of_objects.into_iter().chain(of_foreground).min_by_key(|since| since.media);
        Some(Look::new(present, since, coverage, [objects, unnamed].concat()))
    }

    /// Since when objects that still stand have covered enough of the zone: a bicycle in its corner makes the van that has
    /// just come no older.
    fn covered_since(&self, standing: &[Standing]) -> Option<Captured> {
        let mut by_age: Vec<(Captured, BBox)> =
            standing.iter().map(|s| (s.since, foot_of(&s.object.bbox))).collect();
        by_age.sort_by_key(|(since, _)| since.media);
        let feet: Vec<BBox> = by_age.iter().map(|(_, foot)| *foot).collect();
        let enough = |count: &usize| {
            let coverage = self.zone.covered_by(&feet[..*count]);
            coverage > 0.0 && coverage >= self.rule.coverage_min
        };
        (1..=feet.len()).find(enough).map(|count| by_age[count - 1].0)
    }

    /// Notes since when the same thing has covered the zone, after a look at the settled background.
    fn note_foreground(
        &mut self,
        at: &Captured,
        foreground: &ZoneForeground,
        blocked: bool,
        standing: &[Standing],
    ) {
        if let (Some(gap), Some(covered)) = (self.looks.after_gap(at), &mut self.covered) {
            (covered.last, covered.unseen) = (later(&covered.last, gap), true);
        }
        if !blocked {
            self.covered = self.covered.filter(|c| at.seconds_since(&c.last) <= FOREGROUND_GONE_S);
            return;
        }
        let share =
            |s: &Standing| -> f32 { foreground.boxes.iter().map(|b| b.intersection(&s.object.bbox)).sum() };
        let named = standing.iter().map(|s| (share(s), s)).filter(|(share, _)| *share > 0.0);
        let named = named.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, s)| s);
        let largest = foreground.boxes.iter().max_by(|a, b| a.area().total_cmp(&b.area()));
        let largest = largest.copied().unwrap_or(BBox { x0: 0.0, y0: 0.0, x1: 0.0, y1: 0.0 });
        // Nobody knows what came and went meanwhile: what covers another place now has just come.
        let known = self.covered.filter(|c| !c.unseen || stays_over_pause(&c.largest, &largest));
        let age = if self.covered.is_some() && known.is_none() { Duration::ZERO } else { FOREGROUND_AGE };
        let first = Captured { media: at.media.saturating_sub(age), ..*at };
        let now =
            |since: Captured, stay: Option<u32>| Covered { since, last: *at, largest, unseen: false, stay };
        self.covered = Some(match (known, named) {
            (Some(covered), None) => now(covered.since, covered.stay),
            (Some(covered), Some(s)) if covered.stay.is_none_or(|stay| stay == s.stay) => {
                now(covered.since, Some(s.stay))
            }
            (_, Some(s)) => now(s.since, Some(s.stay)),
            (None, None) => now(first, None),
        });
    }

    /// The objects of the rule's classes that stay in the zone, and the boxes of those that do not.
    fn standing(&mut self, view: &View, foreground: Option<&ZoneForeground>) -> (Vec<Standing>, Vec<BBox>) {
        let at = &view.findings.captured;
        let exempt = boxes_of(view, |class| named(&self.rule.exempt, class), self.rule.score_min);
        let in_zone: Vec<&Track> = view
            .tracker
            .current()
            .filter(|t| named(&self.rule.classes, t.class()))
            .filter(|t| t.score_best >= self.rule.score_min && t.score >= SCORE_KEPT * self.rule.score_min)
            .filter(|t| high_enough(&self.rule, &self.zone, &t.bbox))
            .filter(|t| self.zone.overlap(&foot_of(&t.bbox)) > 0.0 && !hidden_by(&t.bbox, &exempt))
            .collect();
        if view.findings.objects.is_some() {
            self.stays.look(at, &in_zone, view.tracker);
            if let Some(foreground) = foreground {
                self.stays.compare(|bbox| shows(foreground, bbox));
            }
        }
        self.settled = foreground.and(self.settled.or(Some(*at)));
        let (mut standing, mut passing) = (Vec::new(), Vec::new());
        for track in in_zone {
            match self.stays.of(track) {
                None => passing.push(track.bbox),
                Some((_, since)) if self.is_phantom(track, &since, foreground) => {}
                Some((stay, since)) => standing.push(Standing { object: track.detection(), stay, since }),
            }
        }
        (standing, passing)
    }

    /// Whether the detector is not sure and the background shows nothing that has come: some shop fronts look a little
    /// like a truck. What stood there when the background was learnt is taken at the detector's word.
    fn is_phantom(&self, track: &Track, since: &Captured, foreground: Option<&ZoneForeground>) -> bool {
        let known = self.settled.is_some_and(|settled| since.seconds_since(&settled) > 0.0);
        known && track.score < SCORE_SURE && foreground.is_some_and(|f| !shows(f, &track.bbox))
    }

    /// The share of the zone that static foreground covers, without people, exempt objects and vehicles that only halt, and
    /// its unnamed parts.
    fn unnamed(
        &self,
        view: &View,
        foreground: &ZoneForeground,
        standing: &[Detection],
        passing: &[BBox],
    ) -> (f32, Vec<Detection>) {
        let mut excused = boxes_of(view, |class| named(&self.rule.exempt, class), self.rule.score_min);
        if !self.rule.classes.iter().any(|c| c == PERSON) {
            excused.extend(boxes_of(view, |class| class.as_str() == PERSON, PERSON_SCORE_MIN));
        }
        excused.extend(passing);
        let (not_counting, counting): (Vec<BBox>, Vec<BBox>) =
            foreground.boxes.iter().partition(|b| hidden_together(b, &excused));
        let covered = foreground.covered - self.zone.covered_by(&not_counting);
        let known: Vec<BBox> = standing.iter().map(|d| d.bbox).collect();
        let unknown = counting.into_iter().filter(|b| !hidden_by(b, &known)).map(unnamed);
        (covered.max(0.0), unknown.collect())
    }
}

/// Whether most of a box lies under others together, counted at 8 x 8 points: people wait in a row.
fn hidden_together(bbox: &BBox, others: &[BBox]) -> bool {
    const POINTS: usize = 8;
    let at = |from: f32, length: f32, i: usize| from + length * (i as f32 + 0.5) / POINTS as f32;
    let hidden = |i: &usize| {
        let (x, y) = (at(bbox.x0, bbox.width(), i % POINTS), at(bbox.y0, bbox.height(), i / POINTS));
        others.iter().any(|o| (o.x0..o.x1).contains(&x) && (o.y0..o.y1).contains(&y))
    };
    2 * (0..POINTS * POINTS).filter(hidden).count() >= POINTS * POINTS
}

/// Boxes of the classes for which `class` holds.
fn boxes_of(view: &View, class: impl Fn(&Class) -> bool, score_min: f32) -> Vec<BBox> {
    let found = view.findings.objects.iter().flatten();
    found.filter(|d| class(&d.class) && d.score >= score_min).map(|d| d.bbox).collect()
}

/// Whether the background has changed where an object of this box stands.
fn shows(foreground: &ZoneForeground, bbox: &BBox) -> bool {
    let foot = foot_of(bbox);
    foreground.boxes.iter().any(|b| b.intersection(&foot) > 0.0)
}

/// The part of a vehicle's box that covers the ground.
fn foot_of(bbox: &BBox) -> BBox {
    bbox.lowest(FOOT_SHARE)
}
