//! Ids over time: which object of this picture is which of the last one, at 25 pictures a second or one in ten seconds.
//!
//! Motion is only as good as the gap is short, so a box is sought where it was *and* where it was going; overlap decides
//! first, distance measured in the object's own size second (SORT, Bewley 2016; low scores keep a track alive but never
//! start one, ByteTrack, Zhang 2022). Ids are a convenience: no dwell clock hangs on them.

mod matching;

use serde::{Deserialize, Serialize};

use crate::detection::{Appearance, Class, Detection};
use crate::frame::Captured;
use crate::geometry::{BBox, Point};

/// Detections below this score neither start nor continue a track.
const SCORE_SEEN_MIN: f32 = 0.1;
/// Detections below this score continue a track but do not start one.
const SCORE_NEW_MIN: f32 = 0.25;
/// A track that was not seen for this long is given up, in seconds, unless pictures come even more rarely.
const UNSEEN_S_MAX: f64 = 3.0;
/// ... then it lives for this many intervals between pictures.
const UNSEEN_INTERVALS: f64 = 2.5;
/// No interval is believed to be longer than this, in seconds; beyond it the camera was away, or visited elsewhere.
const INTERVAL_S_MAX: f64 = 30.0;
/// Most tracks kept; a crowd of 300 is more than any rule counts, and matching costs tracks times detections.
const TRACKS_MAX: usize = 300;
/// A box that moved by less than this share of its size has not moved: detectors' boxes tremble.
const STAND_SHIFT_MAX: f32 = 0.25;
/// What has shifted faster than this since it came to its place creeps, in sizes of the box per second.
const CREEP_SPEED_MAX: f32 = 0.03;
/// Boxes are smoothed over this many seconds before they are compared: trembling averages out, motion does not.
const TREMBLE_S: f32 = 0.4;
/// Speed is averaged over this many seconds: long enough for the trembling of small boxes, short enough for brakes.
const SPEED_S: f32 = 0.5;
/// For this long after the last sighting a speed says where to look, in seconds; beyond, motion is guesswork.
const SPEED_TRUSTED_S: f64 = 1.5;
/// What is faster than this drives, in sizes of the box per second: it is not sought where it was.
const DRIVES_SPEED_MIN: f32 = 0.3;
/// Looks that are further apart than this are another object's, in grey levels ([`Appearance::distance`]): well beyond what
/// clouds and automatic exposure do between two pictures.
const LOOKS_FAR: u16 = 36;
/// ... and than this, another's that came to the place of one that was seen to move: the same object in the same light.
const LOOKS_APART: u16 = 10;
/// After a pause the light may be another by this many grey levels, ...
const RELIT_MAX: u16 = 24;
/// ... and looks that are further apart than this but for the light are another object's. Of any two vehicles, one pair in
/// 35 is nearer than both, and would have to stand in the same place, too.
const RELIT_APART: u16 = 14;
/// While the light changes (headlights, a lamp), looks may be this far apart but for it.
const RELIT_FAR: u16 = 20;
/// What stood before a pause and stands there after it overlaps where it was by at least this much (intersection over union).
const PAUSE_IOU_MIN: f32 = 0.6;
/// Something has moved when two opposite edges of its box went the same way by at least this share of its size: who is
/// hidden in part, or joined by a passer-by, moves one edge.
const MOVED_SHARE: f32 = 0.08;
/// Who has been in one place for this long stands there, in seconds: traffic that rolls by fills every place.
pub const STAND_S_MIN: f64 = 4.0;
/// Who stood and left is awaited back for this long, in seconds: where a queue moves up, the next one is there by then.
const RETURN_S_MAX: f64 = 8.0;
/// Who stands is not this many times larger than when he came to stand: half hidden, he may have been smaller.
const GROWN_RATIO: f32 = 2.5;
/// Most classes that one track collects votes for.
const VOTES_MAX: usize = 8;

/// One object over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Unique in its tracker.
    pub id: u64,
    /// Box in the picture where it was last seen.
    pub bbox: BBox,
    /// Score of its last detection.
    pub score: f32,
    /// Highest score of all its detections.
    pub score_best: f32,
    /// When it was first seen.
    pub first_seen: Captured,
    /// When it was last seen.
    pub last_seen: Captured,
    /// Summed scores per class: a detector that wavers between car and truck still means one vehicle.
    votes: Vec<(Class, f32)>,
    /// Its box without the trembling.
    steady: BBox,
    /// Speed of its middle, in pictures per second; `None` before the second sighting.
    velocity: Option<Point>,
    /// Where it stands, and since when.
    anchor: BBox,
    anchored: Captured,
    /// Pictures since then, and how many of them showed it.
    looks: u32,
    sightings: u32,
    /// What it looks like; and what looked quite different in its place, since when.
    appearance: Option<Appearance>,
    other: Option<(Captured, Appearance)>,
    /// Where it stood before it moved.
    stood: Option<Stood>,
    /// Seconds since its last sighting in which nobody looked.
    paused_s: f64,
}

/// A place that a track has left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stood {
    place: BBox,
    until: Captured,
    appearance: Option<Appearance>,
}

impl Track {
    fn new(id: u64, at: &Captured, detection: &Detection) -> Self {
        Self {
            id,
            bbox: detection.bbox,
            score: detection.score,
            score_best: detection.score,
            first_seen: *at,
            last_seen: *at,
            votes: vec![(detection.class.clone(), detection.score)],
            steady: detection.bbox,
            velocity: None,
            anchor: detection.bbox,
            anchored: *at,
            looks: 1,
            sightings: 1,
            appearance: detection.looks,
            other: None,
            stood: None,
            paused_s: 0.0,
        }
    }

    /// The class with the most votes.
    pub fn class(&self) -> &Class {
        let first = &self.votes[0];
        &self.votes.iter().fold(first, |best, v| if v.1 > best.1 { v } else { best }).0
    }

    /// Seconds for which it has stood in one place, up to its last sighting. 0 if most pictures since then did not show it
    /// (nobody knows what stood there), and if it creeps: a queue that crawls far away moves little in the picture.
    pub fn stands_s(&self) -> f64 {
        let seen_mostly = self.sightings * 2 >= self.looks;
        let stood_s = self.last_seen.seconds_since(&self.anchored);
        let still = same_place(&self.anchor, &self.steady, CREEP_SPEED_MAX * stood_s as f32);
        if seen_mostly && still { stood_s } else { 0.0 }
    }

    /// Since when it has stood where it stands.
    pub fn stands_since(&self) -> &Captured {
        &self.anchored
    }

    /// Whether it was seen elsewhere before it came to where it is.
    pub fn came(&self) -> bool {
        self.anchored.media > self.first_seen.media
    }

    /// As a detection: the box last seen, the class voted for, the last score.
    pub fn detection(&self) -> Detection {
        Detection::new(self.class().clone(), self.score, self.bbox)
    }

    /// Its box without the trembling of the last sightings; rules compare places with it.
    pub fn steady(&self) -> &BBox {
        &self.steady
    }

    /// What it looks like, if somebody noted it.
    pub fn appearance(&self) -> Option<&Appearance> {
        self.appearance.as_ref()
    }

    /// Whether it looked quite different at the last look: somebody before it, or another one in its place.
    pub fn is_in_doubt(&self) -> bool {
        self.other.is_some()
    }

    /// Whether it has moved, seconds ago, from where it stood.
    pub fn departed(&self) -> bool {
        self.stood.is_some()
    }

    /// Whether this has come to the place that the track was just seen to leave, or where it was not seen at the last look,
    /// at this time, and looks different.
    fn is_successor(&self, detection: &Detection, last_look: &Captured) -> bool {
        if self.paused_s > 0.0 {
            return false; // That was asked when it was found again.
        }
        let missed = self.last_seen.media < last_look.media;
        let stood = self.stood.as_ref();
        let back =
            stood.filter(|stood| !moved(&stood.place, &detection.bbox) && moved(&stood.place, &self.bbox));
        let looked = back.map_or(self.appearance.filter(|_| missed), |stood| stood.appearance);
        looked.zip(detection.looks).is_some_and(|(was, is)| Differ::Apart.says(&was, &is))
    }

    /// Whether this, found after a pause, may be what was seen before it: somebody else may have come to its place meanwhile.
    fn outlasts(&self, detection: &Detection) -> bool {
        let looks = self.appearance.as_ref().zip(detection.looks.as_ref());
        stays_over_pause(&self.bbox, &detection.bbox)
            && looks.is_none_or(|(was, is)| !Differ::AfterPause.says(was, is))
    }

    /// Whether it may be there still when nobody has looked for a while: it was seen since the last such time, did not drive,
    /// and is known well enough to be told from another.
    fn may_outlast(&self) -> bool {
        self.paused_s == 0.0 && !self.drives() && (self.sightings >= 2 || self.appearance.is_some())
    }

    /// Seconds for which looks have missed it.
    fn unseen_s(&self, at: &Captured) -> f64 {
        at.seconds_since(&self.last_seen) - self.paused_s
    }

    /// Notes the place that it leaves with this sighting.
    fn depart(&mut self, at: &Captured, detection: &Detection) {
        self.stood = self.stood.take().filter(|stood| at.seconds_since(&stood.until) <= RETURN_S_MAX);
        if self.stands_s() >= STAND_S_MIN && moved(&self.anchor, &detection.bbox) {
            let (place, until, appearance) = (self.anchor, self.last_seen, self.appearance);
            self.stood.get_or_insert(Stood { place, until, appearance });
        }
    }

    /// Notes what stands here now; twice the same, and quite another than before, is another object.
    fn recognise(&mut self, at: &Captured, looks: Appearance, differ: Differ) -> bool {
        let Some(known) = self.appearance else {
            self.appearance = Some(looks);
            return false;
        };
        // Once it has looked quite different, coming back takes more than not being far.
        let differ = if self.other.is_some() && differ == Differ::Far { Differ::Another } else { differ };
        if !differ.says(&known, &looks) {
            (self.appearance, self.other) = (Some(looks), None);
            return false;
        }
        match self.other.filter(|(_, other)| !Differ::Far.says(other, &looks)) {
            None => {
                self.other = Some((*at, looks));
                false
            }
            Some((since, _)) => {
                (self.appearance, self.other) = (Some(looks), None);
                (self.anchor, self.anchored, self.first_seen) = (self.steady, since, since);
                (self.looks, self.sightings) = (2, 2);
                true
            }
        }
    }

    /// Whether it is under way, as far as sightings close to each other tell.
    fn drives(&self) -> bool {
        let Some(v) = self.velocity else { return false };
        v.x.abs() > DRIVES_SPEED_MIN * self.bbox.width() || v.y.abs() > DRIVES_SPEED_MIN * self.bbox.height()
    }

    /// Where its box may be `seconds` after the last sighting: where its motion leads and, unless it was under way, where
    /// it was.
    fn expected(&self, seconds: f64) -> [Option<BBox>; 2] {
        let Some(v) = self.velocity.filter(|_| seconds <= SPEED_TRUSTED_S) else {
            return [Some(self.bbox), None];
        };
        let (dx, dy, b) = (v.x * seconds as f32, v.y * seconds as f32, self.bbox);
        let led = BBox { x0: b.x0 + dx, y0: b.y0 + dy, x1: b.x1 + dx, y1: b.y1 + dy };
        [Some(led), (!self.drives()).then_some(b)]
    }

    /// Takes a sighting; whether it turned out that another object is in its place now.
    fn see(&mut self, at: &Captured, detection: &Detection, differ: Differ) -> bool {
        self.depart(at, detection);
        let seconds = at.seconds_since(&self.last_seen) as f32;
        let newer = |over_s: f32| 1.0 - (-seconds / over_s).exp();
        if f64::from(seconds) > SPEED_TRUSTED_S {
            self.velocity = None;
        } else if seconds > 0.0 {
            let (from, to) = (self.bbox.centre(), detection.bbox.centre());
            let seen = Point { x: (to.x - from.x) / seconds, y: (to.y - from.y) / seconds };
            let share = newer(SPEED_S);
            self.velocity = Some(self.velocity.map_or(seen, |v| Point {
                x: v.x + share * (seen.x - v.x),
                y: v.y + share * (seen.y - v.y),
            }));
        }
        self.steady = self.steady.towards(&detection.bbox, newer(TREMBLE_S));
        self.bbox = detection.bbox;
        self.score = detection.score;
        self.score_best = self.score_best.max(detection.score);
        self.last_seen = *at;
        self.sightings += 1;
        if std::mem::take(&mut self.paused_s) > 0.0 {
            // It was compared in its own way; what it looks like in this light is learnt anew.
            (self.appearance, self.other) = (detection.looks, None);
        }
        let votes = &mut self.votes;
        if let Some((_, score)) = votes.iter_mut().find(|(class, _)| *class == detection.class) {
            *score += detection.score;
        } else if votes.len() < VOTES_MAX {
            votes.push((detection.class.clone(), detection.score));
        }
        if !same_place(&self.anchor, &self.steady, STAND_SHIFT_MAX) || grown(&self.anchor, &self.steady) {
            self.anchor = self.steady;
            self.anchored = *at;
            (self.looks, self.sightings) = (1, 1);
        }
        detection.looks.is_some_and(|looks| self.recognise(at, looks, differ))
    }
}

/// Whether none of these has any colour; `None` if there are none.
fn all_grey<'a>(mut looks: impl Iterator<Item = &'a Appearance>) -> Option<bool> {
    let first = looks.next()?;
    Some(first.is_grey() && looks.all(Appearance::is_grey))
}

/// How two looks are told to be those of two objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differ {
    /// In one place, from look to look: clouds, exposure and who passes change what it looks like.
    Far,
    /// In the same light: they can hardly be those of one object.
    Apart,
    /// They can hardly be those of one object, be the light another.
    Another,
    /// After a time without looks, whatever the light was.
    AfterPause,
    /// While the light changes.
    Relit,
}

impl Differ {
    /// Whether they are those of two.
    pub fn says(self, a: &Appearance, b: &Appearance) -> bool {
        match self {
            Self::Far => a.distance(b) > LOOKS_FAR,
            Self::Apart => a.distance(b) > LOOKS_APART,
            Self::Another => Self::Apart.says(a, b) && Self::AfterPause.says(a, b),
            Self::AfterPause => {
                let (light, relit) = a.distance_relit(b);
                light.unsigned_abs() > RELIT_MAX || relit > RELIT_APART
            }
            Self::Relit => a.distance_relit(b).1 > RELIT_FAR,
        }
    }
}

/// Whether what is found here after a time without looks may be what was there before.
pub fn stays_over_pause(was: &BBox, is: &BBox) -> bool {
    was.iou(is) >= PAUSE_IOU_MIN
}

/// Whether a box has become much larger: nothing that stands does, but another that comes to its place may be.
fn grown(was: &BBox, is: &BBox) -> bool {
    is.area() > GROWN_RATIO * was.area()
}

/// Whether a box has moved, not only lost or won a part.
fn moved(was: &BBox, is: &BBox) -> bool {
    let (w, h) = (was.width().max(is.width()), was.height().max(is.height()));
    let both = |a: f32, b: f32, size: f32| a * b > 0.0 && a.abs().min(b.abs()) >= MOVED_SHARE * size;
    both(is.x0 - was.x0, is.x1 - was.x1, w) || both(is.y0 - was.y0, is.y1 - was.y1, h)
}

/// Whether a box stands where another stood: its middle or its foot moved by at most `shift_max` of its width and height.
pub fn same_place(was: &BBox, is: &BBox, shift_max: f32) -> bool {
    let (w, h) = (was.width().max(is.width()), was.height().max(is.height()));
    let near = |a: Point, b: Point| (a.x - b.x).abs() <= shift_max * w && (a.y - b.y).abs() <= shift_max * h;
    // The foot holds when somebody walks in front of the upper part, the middle when the box loses both ends.
    near(was.centre(), is.centre()) || near(was.foot(), is.foot())
}

/// Follows the objects of one camera.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tracker {
    tracks: Vec<Track>,
    next_id: u64,
    last: Option<Captured>,
    interval_s: f64,
    /// Whether the light changed at the last look, ...
    #[serde(default)]
    light_changes: bool,
    /// ... and with it everything lost or won its colour.
    #[serde(default)]
    recoloured: bool,
}

impl Tracker {
    /// A tracker that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the objects of one picture; afterwards [`Tracker::tracks`] says which is which.
    pub fn observe(&mut self, at: &Captured, detections: &[Detection]) {
        self.observe_in(at, detections, false);
    }

    /// The same, with what is known of the light: while it changes, everything may lose or win its colour, as when a camera
    /// switches its infrared lamp.
    pub fn observe_in(&mut self, at: &Captured, detections: &[Detection], light_changes: bool) {
        let last_look = self.last.replace(*at).unwrap_or(*at);
        let passed_s = at.seconds_since(&last_look);
        let before_s = self.interval_s;
        let interval_s = passed_s.min(INTERVAL_S_MAX);
        self.interval_s = if before_s == 0.0 { interval_s } else { 0.7 * before_s + 0.3 * interval_s };
        let unseen_s_max = UNSEEN_S_MAX.max(UNSEEN_INTERVALS * self.interval_s);
        if passed_s > unseen_s_max {
            // Nobody looked: what stood may stand there still.
            self.interval_s = before_s;
            self.tracks.retain(Track::may_outlast);
            self.tracks.iter_mut().for_each(|track| track.paused_s += passed_s);
        }
        self.tracks.retain(|t| {
            let unseen_s = t.unseen_s(at);
            // What was under way is not where it was; whoever is there now is somebody else.
            unseen_s <= unseen_s_max && !(t.drives() && unseen_s > SPEED_TRUSTED_S)
        });

        let usable =
            |d: &&Detection| d.score >= SCORE_SEEN_MIN && d.bbox.area() > 0.0 && d.bbox.area().is_finite();
        let mut seen: Vec<&Detection> = detections.iter().filter(usable).collect();
        seen.sort_by(|a, b| b.score.total_cmp(&a.score));
        seen.truncate(TRACKS_MAX);

        self.tracks.iter_mut().for_each(|track| track.looks += 1);
        self.light_changes = light_changes;
        let looks_now = seen.iter().filter_map(|detection| detection.looks.as_ref());
        self.recoloured = light_changes
            && {
                let looks_before = self.tracks.iter().filter_map(|track| track.appearance.as_ref());
                matches!((all_grey(looks_before), all_grey(looks_now)), (Some(before), Some(now)) if before != now)
            };
        if self.recoloured {
            self.tracks.iter_mut().for_each(|track| (track.appearance, track.other) = (None, None));
        }
        let differ = self.differ(Differ::Far);
        let matched = matching::assign(&self.tracks, at, &seen, self.differ(Differ::Another));
        for (detection, track) in seen.iter().zip(matched) {
            match track {
                Some(index) if self.tracks[index].is_successor(detection, &last_look) => {
                    // It was seen to come: it is younger than its box.
                    let first_seen = self.tracks[index].last_seen;
                    self.tracks[index] = Track { first_seen, ..Track::new(self.next_id, at, detection) };
                    self.next_id += 1;
                }
                Some(index) => {
                    let is_another = self.tracks[index].see(at, detection, differ);
                    if is_another {
                        self.tracks[index].id = self.next_id;
                        self.next_id += 1;
                    }
                }
                None if detection.score >= SCORE_NEW_MIN && self.tracks.len() < TRACKS_MAX => {
                    self.tracks.push(Track::new(self.next_id, at, detection));
                    self.next_id += 1;
                }
                None => {}
            }
        }
    }

    /// How to tell two objects apart at this look: while the light changes, by what is not its doing.
    pub fn differ(&self, usually: Differ) -> Differ {
        if self.light_changes { Differ::Relit } else { usually }
    }

    /// Whether everything has just lost or won its colour: what it looked like before then tells nothing.
    pub fn recoloured(&self) -> bool {
        self.recoloured
    }

    /// All tracks, also those that were not seen in the last picture.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The tracks that were seen in the last picture that a detector looked at.
    pub fn current(&self) -> impl Iterator<Item = &Track> {
        let last = self.last.map(|last| last.media);
        self.tracks.iter().filter(move |t| Some(t.last_seen.media) == last)
    }
}

#[cfg(test)]
mod tests;
