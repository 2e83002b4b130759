//! Anything covers the zone and stays: vehicles that stand, and static foreground that no detector has a name for.

use std::time::Duration;

use crate::config::Rule;
use crate::detection::{Class, Detection, UNKNOWN, ZoneForeground};
use crate::frame::Captured;
use crate::geometry::{BBox, Polygon};
use crate::observation::ZoneId;
use crate::track::Track;

use super::stay::Stays;
use super::{Look, SCORE_KEPT, View, hidden_by, high_enough, named};

/// How much of a box, from its bottom, stands on the ground: cameras look down at a slant, roofs lean over free ground.
const FOOT_SHARE: f32 = 0.5;
/// Static foreground has stood for about this long when it counts first, in seconds.
const FOREGROUND_AGE: Duration = Duration::from_secs(3);
/// Foreground that was gone for longer than this is another one, in seconds: the next car of a queue, say.
const FOREGROUND_GONE_S: f64 = 3.0;
/// Who never blocks a lane, however long they stand and talk.
const PERSON: &str = "person";
/// A person detection counts as one from this score, 0..1; low, because it only ever takes something away.
const PERSON_SCORE_MIN: f32 = 0.3;

/// Judges how much of a zone is covered by what stays in it.
#[derive(Debug, Clone)]
pub struct Obstruction {
    rule: Rule,
    id: ZoneId,
    zone: Polygon,
    /// Since when each vehicle or thing has been there: the next of a queue blocks no longer than it has stood.
    stays: Stays,
    /// Whether at the last look static foreground alone made the matter.
    held_by_foreground: bool,
    /// Since when static foreground has covered enough, and when it did so last.
    covered: Option<(Captured, Captured)>,
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
        }
    }

    /// Judges one picture; `None` if neither a detector nor a settled background had a say, or if the background, which
    /// alone had seen the matter, is being learnt anew: then nobody knows.
    pub fn look(&mut self, view: &View) -> Option<Look> {
        let foreground = view.findings.foreground.iter().find(|f| *f.zone == *self.id.0 && f.settled);
        let foreground = foreground.filter(|_| self.rule.any_object);
        let detected = view.findings.objects.is_some();
        let (standing, passing) = self.standing(view);
        let feet: Vec<BBox> = standing.iter().map(|d| foot_of(&d.bbox)).collect();
        let by_objects = self.zone.covered_by(&feet);
        let coverage_min = self.rule.coverage_min;
        let blocked = |coverage: f32| coverage > 0.0 && coverage >= coverage_min;
        let unknowable = !detected || (self.held_by_foreground && !blocked(by_objects));
        if foreground.is_none() && unknowable {
            return None;
        }
        let (by_foreground, unnamed) =
            foreground.map_or((0.0, Vec::new()), |f| self.unnamed(view, f, &standing, &passing));
        let at = &view.findings.captured;
        self.note_foreground(at, foreground.is_some(), blocked(by_foreground));
        let coverage = by_objects.max(by_foreground).clamp(0.0, 1.0);
        let present = blocked(coverage);
        self.held_by_foreground = present && !blocked(by_objects);
        // A thing may get its name late, or lose it: what has covered the zone all the time is older than its name.
        let of_objects = self.stays.since().filter(|_| blocked(by_objects));
        let of_foreground = self.covered.as_ref().map(|(since, _)| *since);
        let since = of_objects.into_iter().chain(of_foreground).min_by_key(|since| since.media);
        Some(Look::new(present, since, coverage, [standing, unnamed].concat()))
    }

    fn note_foreground(&mut self, at: &Captured, settled: bool, blocked: bool) {
        if blocked {
            let first = Captured { media: at.media.saturating_sub(FOREGROUND_AGE), ..*at };
            self.covered = Some((self.covered.map_or(first, |(since, _)| since), *at));
        } else if settled {
            self.covered = self.covered.filter(|(_, last)| at.seconds_since(last) <= FOREGROUND_GONE_S);
        }
    }

    /// The objects of the rule's classes that stay in the zone, and the boxes of those that do not.
    fn standing(&mut self, view: &View) -> (Vec<Detection>, Vec<BBox>) {
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
            self.stays.look(&view.findings.captured, &in_zone, view.tracker);
        }
        let (standing, passing): (Vec<&Track>, Vec<&Track>) =
            in_zone.into_iter().partition(|track| self.stays.seen(track));
        (standing.iter().map(|t| t.detection()).collect(), passing.iter().map(|t| t.bbox).collect())
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
            foreground.boxes.iter().partition(|b| hidden_by(b, &excused));
        let covered = foreground.covered - self.zone.covered_by(&not_counting);
        let known: Vec<BBox> = standing.iter().map(|d| d.bbox).collect();
        let unknown = counting.into_iter().filter(|b| !hidden_by(b, &known)).map(|bbox| Detection {
            class: Class::from(UNKNOWN),
            // Not a probability: nobody classified it.
            score: 0.0,
            bbox,
        });
        (covered.max(0.0), unknown.collect())
    }
}

/// Boxes of the classes for which `class` holds.
fn boxes_of(view: &View, class: impl Fn(&Class) -> bool, score_min: f32) -> Vec<BBox> {
    let found = view.findings.objects.iter().flatten();
    found.filter(|d| class(&d.class) && d.score >= score_min).map(|d| d.bbox).collect()
}

/// The part of an object's box that stands on the ground.
fn foot_of(bbox: &BBox) -> BBox {
    BBox { y0: bbox.y1 - FOOT_SHARE * bbox.height(), ..*bbox }
}
