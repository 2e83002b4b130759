//! Who stays where in a zone: places, each with a dwell clock of its own, held by whichever track stands there.
//!
//! | happens | policy |
//! |---|---|
//! | an id switches, or the object is hidden and found again | the place goes on: whoever comes to *stand* there takes it over |
//! | somebody passes the place, in front of it or through it | takes nothing: who passes does not stand |
//! | something that looks quite different, or is much larger, stands there | another one: it gets a place of its own |
//! | another of the same colour comes to its place | its light and dark parts tell: see `portrait.rs` |
//! | it is seen to leave by more than `shift_max` | the place is given up, and the next of a queue starts anew; if it is back within `clear_s`, it goes on |
//! | it is not seen, and the background is as it was before | it has left |
//! | nobody looked for longer than `gap_s` | whoever is there after it and looks alike, but for the light, has stayed |
//! | several leave their places at one look, others are seen between them | a queue moves up: who stands there next is another |
//! | a queue crawls | nobody stands: see [`Track::stands_s`] |
//! | it shuffles about ([`Stays::following`]) | its place goes with it |
//! | a second box on the same object | one thing, one place |

use serde::{Deserialize, Serialize};

use crate::config::Rule;
use crate::detection::{Appearance, Pattern};
use crate::frame::Captured;
use crate::geometry::BBox;
use crate::observation::Stage;
use crate::track::{Differ, STAND_S_MIN, Track, Tracker, same_place, stays_over_pause};

use super::dwell::{Dwell, Seen};
use super::gap::Looks;
use super::portrait::{Identity, Portrait};

/// Most places remembered in one zone; more objects that stay side by side say nothing new.
const STAYS_MAX: usize = 32;
/// A thing near enough to block a lane is not this many times larger or smaller when it is found again; far away, boxes of
/// a few pixels tremble more.
const SIZE_RATIO_MAX: f32 = 1.8;
/// Who shuffles overlaps where he was at the last look by at least this much (intersection over union); who does not
/// has driven on.
const SHUFFLE_IOU_MIN: f32 = 0.25;
/// Who overlaps where he was by less than this has moved, and must look as before.
const STILL_IOU: f32 = 0.8;
/// ... and by less than this has been elsewhere: boxes that tremble overlap more.
const AWAY_IOU: f32 = 0.6;
/// As many that drive on at the same look are a queue.
const QUEUE_MIN: usize = 2;
/// How much of the smaller of two boxes lies in the other if both are one object.
const ONE_THING_SHARE: f32 = 0.7;

/// Where something stays, whatever id it has.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stay {
    /// Unique in its zone, from 1.
    id: u32,
    /// Where it came to stand, ...
    place: BBox,
    /// ... and since when.
    since: Captured,
    /// What stands there now: its box and its track.
    bbox: BBox,
    track: u64,
    looks: Option<Appearance>,
    /// Who stands there, ...
    #[serde(default)]
    portrait: Portrait,
    /// ... where it stood before it shuffled, and what it looked like there, ...
    #[serde(default)]
    earlier: Option<(BBox, Portrait)>,
    /// ... and whether the last look left it in doubt who it is.
    #[serde(default)]
    in_doubt: bool,
    /// Whether the last look saw it, ...
    seen: bool,
    /// ... and whether the one before did not.
    #[serde(default)]
    missed: bool,
    /// Whether its track was last seen elsewhere: then nobody who is seen to come takes the place over.
    left: bool,
    /// Who stood here and was found to be another.
    #[serde(default)]
    refused: Option<u64>,
    /// Whether the background has shown that something came here.
    shown: bool,
    /// Whether somebody has been beside it.
    #[serde(default)]
    attended: bool,
    /// Whether nobody has looked for a while since it was last seen.
    unseen: bool,
    dwell: Dwell,
}

impl Stay {
    /// Whether the track looks like what stayed here; `differ` says how strictly that is asked.
    fn is_like(&self, track: &Track, differ: Differ) -> bool {
        let both = self.looks.as_ref().zip(track.appearance());
        if self.unseen {
            let alike = both.is_none_or(|(was, is)| !Differ::AfterPause.says(was, is));
            return alike && stays_over_pause(&self.bbox, &track.bbox);
        }
        both.is_none_or(|(was, is)| !differ.says(was, is))
    }

    /// Forgets what it looked like.
    fn forget_looks(&mut self) {
        (self.looks, self.portrait, self.earlier) = (None, Portrait::default(), None);
    }

    /// Whether another has come here since the last look, by its light and dark parts: who was elsewhere when last seen, and
    /// then was not seen, has hardly come back.
    fn is_another(&self, track: &Track) -> bool {
        let elsewhere = self.missed && self.bbox.iou(&track.bbox) < STILL_IOU;
        let left = self.left || elsewhere || track.id != self.track && track.came();
        // While nobody looked, shadows have wandered.
        !self.unseen && self.portrait.is_unlike(pattern_of(track), left)
    }

    /// Takes a look at what stands here now; whether that is another one. While a queue moves up, doubt is enough.
    fn recognise(&mut self, at: &Captured, track: &Track, moving_up: bool) -> bool {
        if self.unseen {
            self.portrait = Portrait::new(pattern_of(track));
        }
        if self.bbox.iou(&track.bbox) < STILL_IOU {
            return self.shift(at, track);
        }
        let mut identity = self.portrait.look(at, pattern_of(track), &self.since);
        if moving_up && identity == Identity::InDoubt {
            (self.portrait, identity) = (Portrait::new(pattern_of(track)), Identity::Another(*at));
        }
        self.in_doubt = identity == Identity::InDoubt;
        if let Identity::Another(since) | Identity::Back(since) = identity {
            self.since = since;
        }
        matches!(identity, Identity::Another(_))
    }

    /// It turns, or comes nearer, and looks otherwise from here; unless it is back where it stood: then it looks as it did
    /// there, or it is the next of a queue.
    fn shift(&mut self, at: &Captured, track: &Track) -> bool {
        self.in_doubt = false;
        if self.portrait.is_settled() {
            self.earlier = Some((self.bbox, std::mem::take(&mut self.portrait)));
        }
        let back = self.earlier.as_ref().filter(|(bbox, _)| bbox.iou(&track.bbox) >= STILL_IOU);
        let another = back.is_some_and(|(bbox, portrait)| {
            let was_away = self.missed || bbox.iou(&self.bbox) < AWAY_IOU;
            was_away && portrait.is_unlike(pattern_of(track), true)
        });
        self.portrait = Portrait::new(pattern_of(track));
        if another {
            (self.since, self.earlier) = (*at, None);
        }
        another
    }

    /// Whether the track is about as large as what was last seen here.
    fn is_as_large(&self, track: &Track) -> bool {
        alike_in_size(&self.bbox, track.steady())
    }

    /// Whether its track shows something else now: another that has come meanwhile, or something of another size that stands
    /// elsewhere.
    fn has_lost(&self, track: &Track) -> bool {
        let elsewhere = self.bbox.iou(&track.bbox) < AWAY_IOU;
        self.missed && self.is_another(track) || elsewhere && !alike_in_size(&self.bbox, &track.bbox)
    }
}

/// All stays of one zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stays {
    rule: Rule,
    /// Whether a place goes with its track.
    follows: bool,
    looks: Looks,
    stays: Vec<Stay>,
    last_id: u32,
    /// When a queue moved up last: tracks are mixed up by it, and nobody has stood for longer.
    #[serde(default)]
    moved_up: Option<Captured>,
}

impl Stays {
    /// Nobody has stayed yet.
    pub fn new(rule: &Rule) -> Self {
        Self {
            rule: rule.clone(),
            follows: false,
            looks: Looks::new(rule),
            stays: Vec::new(),
            last_id: 0,
            moved_up: None,
        }
    }

    /// Nobody has stayed yet; who moves within the zone stays all the same, who leaves it does not.
    pub fn following(rule: &Rule) -> Self {
        Self { follows: true, ..Self::new(rule) }
    }

    /// Takes the tracks of one look that count in the zone, with all others for those who have left it; afterwards
    /// [`Self::seen`] says which of them stay.
    pub fn look(&mut self, at: &Captured, tracks: &[&Track], tracker: &Tracker) {
        let gap = self.looks.after_gap(at).is_some();
        if tracker.recoloured() {
            self.stays.iter_mut().for_each(Stay::forget_looks);
        }
        for stay in &mut self.stays {
            (stay.missed, stay.seen, stay.unseen) = (!stay.seen, false, stay.unseen || gap);
        }
        let moving_up = self.follows && self.let_a_queue_move_up(at, tracks);
        // Who stayed before goes first; then those who stand look for a place that was left without a track.
        let own = |track: &Track| {
            let stays = |s: &Stay| {
                let here = if self.follows {
                    s.bbox.iou(&track.bbox) >= SHUFFLE_IOU_MIN
                } else {
                    self.fits(s, track)
                };
                let moved = s.missed || s.bbox.iou(&track.bbox) < STILL_IOU;
                let differ = tracker.differ(if moved { Differ::Another } else { Differ::Far });
                let itself = !(self.follows && s.has_lost(track));
                s.track == track.id && here && itself && s.is_like(track, differ)
            };
            self.stays.iter().position(stays)
        };
        let mut places: Vec<Option<usize>> = tracks.iter().map(|track| own(track)).collect();
        // One that has the track of another is as young as that is found out.
        let came_now = |track: &Track, place: &Option<usize>| {
            let lost = |s: &Stay| s.track == track.id && s.has_lost(track);
            self.follows && place.is_none() && self.stays.iter().any(lost)
        };
        let came_now: Vec<bool> = tracks.iter().zip(&places).map(|(t, place)| came_now(t, place)).collect();
        let shift_max = self.rule.shift_max;
        for stay in &mut self.stays {
            if let Some(track) = tracks.iter().find(|track| self.follows && track.id == stay.track) {
                stay.place = *track.steady();
            }
            let elsewhere = |t: &Track| t.departed() || !same_place(&stay.place, t.steady(), shift_max);
            stay.left |= tracker.current().any(|t| t.id == stay.track && elsewhere(t));
        }
        if self.follows {
            for stay in &mut self.stays {
                let here = |t: &&&Track| same_place(&stay.place, t.steady(), shift_max) && stay.is_another(t);
                stay.refused = tracks.iter().find(here).map(|t| t.id).or(stay.refused);
            }
        }
        for (track, place) in tracks.iter().zip(&mut places) {
            if place.is_none() && track.stands_s() >= STAND_S_MIN {
                // Who was never seen to come was there all along: a passer-by had carried the id away.
                let free =
                    |stay: &Stay| !(stay.seen || stay.left && track.came() || stay.refused == Some(track.id));
                let fits = |stay: &Stay| {
                    let itself = stay.is_as_large(track) && !stay.is_another(track);
                    self.fits(stay, track)
                        && stay.is_like(track, tracker.differ(Differ::Apart))
                        && (itself || !self.follows)
                };
                *place = self.stays.iter().position(|stay| free(stay) && fits(stay));
            }
            if let Some(index) = *place {
                let stay = &mut self.stays[index];
                let another = self.follows && stay.recognise(at, track, moving_up);
                (stay.bbox, stay.track) = (track.bbox, track.id);
                stay.looks = track.appearance().copied();
                (stay.seen, stay.left, stay.unseen) = (true, false, false);
                if another {
                    self.last_id += 1;
                    stay.id = self.last_id;
                }
            }
        }
        for ((track, place), came_now) in tracks.iter().zip(&places).zip(came_now) {
            let known = |stay: &Stay| stay.seen && one_thing(&stay.bbox, &track.bbox);
            let stands = track.stands_s() >= STAND_S_MIN && !track.is_in_doubt();
            let new = place.is_none() && stands && self.stays.len() < STAYS_MAX;
            if new && !self.stays.iter().any(known) {
                self.last_id += 1;
                let stood = *track.stands_since();
                let stood = self.moved_up.filter(|up| up.media > stood.media).unwrap_or(stood);
                self.stays.push(Stay {
                    id: self.last_id,
                    place: *track.steady(),
                    since: if came_now { *at } else { stood },
                    bbox: track.bbox,
                    track: track.id,
                    looks: track.appearance().copied(),
                    portrait: Portrait::new(pattern_of(track)),
                    earlier: None,
                    in_doubt: false,
                    seen: true,
                    missed: false,
                    left: false,
                    refused: None,
                    shown: false,
                    attended: false,
                    unseen: false,
                    dwell: Dwell::new(&self.rule),
                });
            }
        }
        for stay in &mut self.stays {
            let seen = if stay.seen { Seen::since(stay.since) } else { Seen::No };
            stay.dwell.look(at, seen);
        }
        self.stays.retain(|stay| stay.dwell.matter().is_some());
    }

    /// Where several places are left at the same look, and as many others are between them, a queue moves up: whoever stands
    /// there next is another, however much alike grey cars are by infrared light. Whether one at least does so.
    fn let_a_queue_move_up(&mut self, at: &Captured, tracks: &[&Track]) -> bool {
        let here = |stay: &Stay, track: &Track| stay.bbox.iou(&track.bbox) >= AWAY_IOU;
        let hides = |stay: &Stay, track: &Track| {
            !alike_in_size(&stay.bbox, &track.bbox) && one_thing(&stay.bbox, &track.bbox)
        };
        let left = |stay: &Stay| {
            let known = !stay.missed && !stay.unseen;
            known && !tracks.iter().any(|track| here(stay, track) || hides(stay, track))
        };
        let between = |track: &&&Track| !self.stays.iter().any(|stay| here(stay, track));
        let moving = self.stays.iter().filter(|stay| left(stay)).count();
        let moving = moving.min(tracks.iter().filter(between).count());
        if moving >= QUEUE_MIN {
            self.stays.retain(|stay| !left(stay));
            self.moved_up = Some(*at);
        }
        moving > 0
    }

    /// Compares the places with the settled background of the last look: `differs` says whether it has changed in a box. A
    /// place that neither a detector nor the background sees taken any more is empty.
    pub fn compare(&mut self, differs: impl Fn(&BBox) -> bool) {
        self.stays.retain_mut(|stay| {
            let differs = differs(&stay.bbox);
            stay.shown |= stay.seen && differs;
            stay.seen || differs || !stay.shown
        });
    }

    /// Notes where the settled background of the last look shows that something has come; `shows` says so of a box.
    pub fn note_newcomers(&mut self, shows: impl Fn(&BBox) -> bool) {
        for stay in self.stays.iter_mut().filter(|stay| stay.seen && !stay.shown) {
            stay.shown = shows(&stay.bbox);
        }
    }

    /// Notes whether somebody is beside the stay of this number now; whether somebody is or has been.
    pub fn attend(&mut self, id: u32, now: bool) -> bool {
        let stay = self.stays.iter_mut().find(|stay| stay.id == id);
        stay.is_some_and(|stay| {
            stay.attended |= now;
            stay.attended
        })
    }

    /// Whether the background has shown that what this track stands for came to its place, if the last look saw it stay.
    pub fn came(&self, track: &Track) -> bool {
        self.stays.iter().any(|stay| stay.seen && stay.track == track.id && stay.shown)
    }

    fn fits(&self, stay: &Stay, track: &Track) -> bool {
        same_place(&stay.place, track.steady(), self.rule.shift_max)
    }

    /// Whether the last look saw this track stay.
    pub fn seen(&self, track: &Track) -> bool {
        self.of(track).is_some()
    }

    /// The number of this track's stay and since when it has lasted, whatever ids it had before, if the last look saw it.
    pub fn of(&self, track: &Track) -> Option<(u32, Captured)> {
        let here = |stay: &&Stay| stay.seen && !stay.in_doubt && stay.track == track.id;
        self.stays.iter().find(here).map(|stay| (stay.id, stay.since))
    }

    /// Those seen at the last look that have stayed for the dwell time, each with the number of its stay.
    pub fn confirmed(&self) -> Vec<(u32, BBox)> {
        let confirmed = |stay: &&Stay| stay.dwell.matter().is_some_and(|m| m.stage == Some(Stage::Confirmed));
        self.stays
            .iter()
            .filter(|stay| stay.seen)
            .filter(confirmed)
            .map(|stay| (stay.id, stay.bbox))
            .collect()
    }
}

/// The light and dark parts of what a track shows.
fn pattern_of(track: &Track) -> Option<&Pattern> {
    track.appearance()?.pattern.as_ref()
}

/// Whether two boxes may be one object, by their sizes.
fn alike_in_size(a: &BBox, b: &BBox) -> bool {
    let (a, b) = (a.area(), b.area());
    a.max(b) <= SIZE_RATIO_MAX * a.min(b)
}

/// Whether two boxes are most probably two detections of one object: the smaller lies almost wholly in the other.
fn one_thing(a: &BBox, b: &BBox) -> bool {
    a.intersection(b) >= ONE_THING_SHARE * a.area().min(b.area())
}
