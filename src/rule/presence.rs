//! Objects of some classes stay in the zone: a stall with its vendor, a table, a parked van.
//!
//! Where somebody must be beside them (`beside`), what came is told from what was there all along, by the background:
//!
//! | thing | counts when |
//! |---|---|
//! | it came | somebody stands beside it but for some seconds |
//! | it came, and means the matter by itself (`alone`) | somebody stood beside it once, or after twice the dwell time |
//! | it came and has no name | somebody who surely is a person stands beside it, and it is wide enough to sell from |
//! | it was there all along: an abandoned stall that passers stop at | such a person is missed in single looks only |
//! | nobody knows whether it came | such a person is missed for some seconds only |

use serde::{Deserialize, Serialize};

use crate::config::Rule;
use crate::detection::{Detection, UNKNOWN, ZoneForeground};
use crate::frame::Captured;
use crate::geometry::{BBox, Polygon};
use crate::observation::ZoneId;
use crate::track::Track;

use super::attendance::Attendance;
use super::gap::Looks;
use super::goods::Goods;
use super::neighbour::{Neighbour, Neighbours};
use super::stay::Stays;
use super::{Look, SCORE_KEPT, View, hidden_by, high_enough, named, unnamed};

/// Nobody is missed for this long beside an object, in seconds, nor for half of the dwell time, nor in two looks: vendors are hidden by customers and by their own stall.
const UNATTENDED_S: f64 = 15.0;
/// ... and beside what was there all along for this long, nor in a single look.
const SINGLE_LOOK_S: f64 = 3.0;
/// Goods without a name are as wide as this share of the height of who stands beside them, or they are luggage.
const GOODS_WIDTH_MIN: f32 = 0.45;
/// What came shows in this share of its base, at least, as far as that lies in the zone.
const CAME_SHARE_MIN: f32 = 0.4;
/// What means the matter by itself does so after so many dwell times with nobody beside it.
const ALONE_DWELLS: f64 = 2.0;

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
    neighbours: Neighbours,
    /// Of what was there all along, ...
    residents: Attendance,
    /// ... and of all else.
    newcomers: Attendance,
    /// Whether the zone's background has been known.
    background: bool,
    looks: Looks,
}

/// How something came to be in the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The background shows that it came.
    Came,
    /// It is part of the background.
    Resident,
    /// No background is known.
    Unknown,
}

/// Something in the zone that may matter.
struct Thing {
    object: Detection,
    /// The number of its stay and since when it has lasted, where the place matters.
    stay: Option<u32>,
    since: Option<Captured>,
    origin: Origin,
    /// Since when somebody has been beside it, as far as this look tells.
    attended: Option<Captured>,
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
            neighbours: Neighbours::default(),
            residents: Attendance::default(),
            newcomers: Attendance::default(),
            background: false,
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
        let foreground = view.findings.foreground.iter().find(|f| *f.zone == *self.id.0 && f.settled);
        if let Some(stays) = &mut self.stays {
            stays.look(at, &counting, view.tracker);
            counting.retain(|track| stays.seen(track));
            if let Some(foreground) = foreground {
                stays.note_newcomers(|bbox| shows(foreground, &self.zone, bbox));
            }
        }
        self.background |= foreground.is_some();
        let mut things: Vec<Thing> = counting.iter().map(|track| self.thing(track)).collect();
        // Where nobody asks for the place, an id that switches makes nothing younger.
        let first_seen = counting.iter().map(|track| track.first_seen).min_by_key(|first| first.media);
        if let (Some(goods), Some(foreground)) = (&mut self.goods, foreground) {
            let others = [boxes_of(&self.rule.beside, kept), exempt].concat();
            goods.look(at, foreground, &others);
            things.extend(goods.seen(at).map(|thing| Thing {
                object: unnamed(thing.bbox),
                stay: None,
                since: Some(thing.since),
                origin: Origin::Came,
                attended: None,
            }));
        }
        if self.rule.beside.is_empty() {
            let since = things.iter().filter_map(|thing| thing.since).min_by_key(|since| since.media);
            let objects: Vec<Detection> = things.into_iter().map(|thing| thing.object).collect();
            let look = Look::new(!objects.is_empty(), since, 0.0, objects);
            return Some(Look { known: since.or(first_seen), ..look });
        }
        let may_be = |d: &&Detection| named(&self.rule.beside, &d.class) && d.score >= kept;
        let persons = found.iter().filter(may_be).map(|d| Neighbour { bbox: d.bbox, score: d.score });
        let standing = self.neighbours.look(at, persons.collect());
        let sure_now = boxes_of(&self.rule.beside, self.rule.score_min);
        let is_attended = |thing: &Thing| {
            let (bbox, nameless) = (&thing.object.bbox, thing.object.class.as_str() == UNKNOWN);
            let sure = nameless || thing.origin != Origin::Came;
            let score_min = if sure { self.rule.score_min } else { kept };
            standing.iter().filter(|n| n.score >= score_min).any(|n| {
                let wide = bbox.width() * view.aspect() >= GOODS_WIDTH_MIN * n.bbox.height();
                // What looks a little like a person must not be its own vendor.
                let itself = hidden_by(bbox, &[n.bbox]) && !sure_now.contains(&n.bbox);
                (!nameless || wide && !itself) && n.is_beside(bbox, view.aspect())
            })
        };
        let attended: Vec<bool> = things.iter().map(is_attended).collect();
        for (thing, now) in things.iter_mut().zip(attended) {
            let stay = thing.stay.zip(self.stays.as_mut());
            let ever = stay.map_or(now, |(id, stays)| stays.attend(id, now));
            thing.attended = self.attended_since(at, thing, now, ever, first_seen);
        }
        Some(self.judge(at, things))
    }

    fn thing(&self, track: &Track) -> Thing {
        let stays = self.stays.as_ref();
        let origin = match (&self.goods, stays) {
            (Some(_), Some(stays)) if stays.came(track) => Origin::Came,
            (Some(_), Some(_)) if self.background => Origin::Resident,
            _ => Origin::Unknown,
        };
        let (stay, since) = stays.and_then(|stays| stays.of(track)).unzip();
        Thing { object: track.detection(), stay, since, origin, attended: None }
    }

    /// For how long nobody is missed beside what came so, in seconds.
    fn unattended_s(&self, origin: Origin) -> f64 {
        let looks_s = self.neighbours.interval_s().min(self.rule.gap_s);
        match origin {
            Origin::Resident => SINGLE_LOOK_S.max(1.2 * looks_s),
            Origin::Came | Origin::Unknown => UNATTENDED_S.min(0.5 * self.rule.dwell_s).max(2.0 * looks_s),
        }
    }

    /// Since when somebody has been beside a thing, as far as this look tells: whether he is now, and ever was.
    fn attended_since(
        &self,
        at: &Captured,
        thing: &Thing,
        now: bool,
        ever: bool,
        first_seen: Option<Captured>,
    ) -> Option<Captured> {
        let since = thing.since.or(first_seen)?;
        let stood_s = at.seconds_since(&since);
        let alone = thing.origin == Origin::Came && named(&self.rule.alone, &thing.object.class);
        if !(now || alone && (ever || stood_s >= ALONE_DWELLS * self.rule.dwell_s)) {
            return None;
        }
        // Whoever is seen beside it a little late has come with it.
        let came_with_it = alone || stood_s <= self.unattended_s(thing.origin);
        Some(if came_with_it { since } else { *at })
    }

    fn judge(&mut self, at: &Captured, things: Vec<Thing>) -> Look {
        let gap = self.looks.after_gap(at);
        let limits = [Origin::Resident, Origin::Came].map(|origin| self.unattended_s(origin));
        let (residents, newcomers): (Vec<_>, Vec<_>) =
            things.into_iter().partition(|thing| thing.origin == Origin::Resident);
        let groups = [(&mut self.residents, residents), (&mut self.newcomers, newcomers)];
        let (mut since, mut objects): (Option<Captured>, Vec<Detection>) = (None, Vec::new());
        for ((attendance, mut things), unattended_s) in groups.into_iter().zip(limits) {
            let attended = things.iter().filter_map(|thing| thing.attended).min_by_key(|at| at.media);
            attendance.look(at, gap, !things.is_empty(), attended, unattended_s, &self.rule);
            let Some(from) = attendance.from() else { continue };
            things.retain(|thing| attended.is_none() || thing.attended.is_some());
            let came = things.iter().filter_map(|thing| thing.since).min_by_key(|at| at.media);
            let from = came.filter(|came| came.media > from.media).unwrap_or(from);
            if objects.is_empty() || !things.is_empty() && since.is_none_or(|since| from.media < since.media)
            {
                since = Some(from);
            }
            objects.extend(things.into_iter().map(|thing| thing.object));
        }
        Look::new(!objects.is_empty(), since, 0.0, objects)
    }

    /// What was seen at the last look where something has stayed for the dwell time, each with the number of its stay.
    pub fn standing(&self) -> Vec<(u32, BBox)> {
        self.stays.as_ref().map_or_else(Vec::new, Stays::confirmed)
    }

    fn counts(&self, track: &Track) -> bool {
        named(&self.rule.classes, track.class())
            && track.score_best >= self.rule.score_min
            && track.score >= SCORE_KEPT * self.rule.score_min
            && high_enough(&self.rule, &self.zone, &track.bbox)
            && self.zone.share_of_box(&track.bbox.base()) >= self.rule.inside_min
    }
}

/// Whether the background has changed where a thing of this box stands.
fn shows(foreground: &ZoneForeground, zone: &Polygon, bbox: &BBox) -> bool {
    let base = bbox.base();
    let (inside, changed) =
        (zone.overlap(&base), foreground.boxes.iter().map(|b| b.intersection(&base)).sum::<f32>());
    inside > 0.0 && changed >= CAME_SHARE_MIN * inside
}
