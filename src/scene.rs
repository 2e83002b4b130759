//! One camera's zones over time: findings of pictures in, observations out. Pure: no clock, no IO, cannot fail.
//!
//! Every zone has a judge (its rule) that says what one picture shows, and a dwell clock that makes a stage of it. What
//! is said is said once per stage, and while confirmed at most when the coverage changes or a minute has passed.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::config::{RuleKind, Zone};
use crate::detection::{Detection, Findings};
use crate::frame::Captured;
use crate::geometry::BBox;
use crate::observation::{Observation, Stage, Trajectory, ZoneId};
use crate::rule::dwell::{Dwell, Matter, Seen};
use crate::rule::obstruction::Obstruction;
use crate::rule::presence::Presence;
use crate::rule::thrown_object::ThrownObject;
use crate::rule::{Look, View};
use crate::track::{Track, Tracker};

/// A confirmed matter is stated anew when its coverage has changed by this much, ...
const COVERAGE_CHANGE_MIN: f32 = 0.1;
/// ... or after this many seconds.
const UPDATE_S: f64 = 60.0;
/// Nothing is stated twice within this many seconds unless its stage changes: foreground breathes with the light.
const UPDATE_S_MIN: f64 = 5.0;
/// After being down for longer than this, what a checkpoint says is history, in seconds: someone may have driven away and
/// somebody else may have come.
const RESTART_S_MAX: f64 = 900.0;

/// Seconds beyond dwell and clear times for which what was taken up from a checkpoint may stay unseen.
const RESUMED_MARGIN_S: f64 = 10.0;

/// Which pictures a camera's rules want now; a sampler makes a plan of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Needs {
    /// Longest time between two pictures that a detector looks at, in seconds; `None`: no rule wants objects.
    pub objects_every_s: Option<f64>,
    /// Whether the same pictures should be compared with the background.
    pub foreground: bool,
    /// Whether every picture is wanted, for small things that fall.
    pub full_rate: bool,
    /// Whether something has been seen whose dwell is not complete: these pictures should not have to wait.
    pub suspected: bool,
    /// Whether something has been seen that has not cleared yet, its dwell complete or not.
    pub occupied: bool,
    /// Longest time for which nothing need be looked at while nothing moves, in seconds: half of the shortest dwell.
    pub blind_s_max: f64,
}

/// However long a dwell is, nobody goes unlooked at for longer than this, in seconds.
const BLIND_S_MAX: f64 = 60.0;

/// How a zone stands, for tables and for drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneState {
    /// Which zone.
    pub zone: ZoneId,
    /// Whether it is within its hours.
    pub watched: bool,
    /// How far its matter has come; `None` if there is nothing, or not for long enough.
    pub stage: Option<Stage>,
    /// Seconds on its dwell clock.
    pub dwell_s: f64,
    /// Whether it was there at the last look.
    pub present: bool,
    /// Covered share of the zone at the last look, 0..1.
    pub coverage: f32,
    /// What mattered at the last look.
    pub objects: Vec<Detection>,
    /// Those that have each stayed in one place for the dwell time, with a number that stays with the place.
    pub standing: Vec<(u32, BBox)>,
}

/// What a scene remembers over a restart or a reload: for its rules, a time in which nobody looked, like a patrol's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last picture; media time goes on from here.
    at: Captured,
    tracker: Tracker,
    zones: Vec<ZoneCheckpoint>,
}

/// What one zone remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ZoneCheckpoint {
    zone: ZoneId,
    /// Its settings when this was written; under other settings the matter is another.
    revision: String,
    judge: Judge,
    dwell: Dwell,
}

impl Checkpoint {
    /// The media time that it is now by the wall clock; `None` if so much time has passed that this is history.
    pub fn media_at(&self, now: Timestamp) -> Option<Duration> {
        let down_s = now.duration_since(self.at.wall).as_secs_f64();
        // A clock that was put back a little says nothing about how long nobody looked.
        (down_s.abs() <= RESTART_S_MAX).then(|| self.at.media + Duration::from_secs_f64(down_s.max(0.0)))
    }
}

#[derive(Clone, Serialize, Deserialize)]
enum Judge {
    Presence(Box<Presence>),
    Obstruction(Box<Obstruction>),
    /// A fall is over before anybody could restart.
    #[serde(skip)]
    ThrownObject(Box<ThrownObject>),
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Presence(_) => "Presence",
            Self::Obstruction(_) => "Obstruction",
            Self::ThrownObject(_) => "ThrownObject",
        })
    }
}

struct Watch {
    zone: Zone,
    judge: Judge,
    dwell: Dwell,
    watched: bool,
    look: Option<Look>,
    /// When this was last stated and with which coverage.
    said: Option<(Captured, f32)>,
    /// Taken up from a checkpoint and not seen again yet.
    resumed: Option<Resumed>,
}

/// What has been taken up waits to be seen again: detectors are shy and backgrounds have to be learnt.
#[derive(Debug, Clone, Copy)]
enum Resumed {
    NotLooked,
    LookingSince(Captured),
}

/// All that one camera's rules remember.
pub struct Scene {
    tracker: Tracker,
    watches: Vec<Watch>,
    /// The last picture.
    at: Option<Captured>,
}

impl Scene {
    /// A scene in which nothing has happened yet.
    pub fn new(zones: &[Zone]) -> Self {
        Self { tracker: Tracker::new(), watches: zones.iter().map(Watch::new).collect(), at: None }
    }

    /// A scene that goes on from a checkpoint, as after a time in which nobody looked: the same object in the same place has
    /// stayed (up to `unseen_max_s`, and declared), another one begins anew, and what is confirmed stays so until two looks
    /// agree that it is gone. Zones with other settings than then begin anew. Its pictures' media time must go on from
    /// [`Checkpoint::media_at`].
    pub fn resume(zones: &[Zone], checkpoint: Checkpoint) -> Self {
        let mut scene = Self::new(zones);
        scene.tracker = checkpoint.tracker;
        for saved in checkpoint.zones {
            let same = |w: &&mut Watch| w.zone.id == saved.zone && w.zone.revision == saved.revision;
            if let Some(watch) = scene.watches.iter_mut().find(same) {
                // That it was said, and to whom, is not remembered: the first look says it again.
                (watch.judge, watch.dwell) = (saved.judge, saved.dwell);
                watch.resumed = Some(Resumed::NotLooked);
            }
        }
        scene
    }

    /// Takes what was found in one picture, at this local time; gives what is to be said about it, usually nothing.
    pub fn observe(&mut self, findings: &Findings, local: DateTime) -> Vec<Observation> {
        let mut said = self.tick(&findings.captured, local);
        self.at = Some(findings.captured);
        if let Some(objects) = &findings.objects {
            let light_changes = findings.foreground.iter().any(|zone| !zone.settled);
            self.tracker.observe_in(&findings.captured, objects, light_changes);
        }
        let view = View { findings, tracker: &self.tracker };
        for watch in self.watches.iter_mut().filter(|w| w.watched) {
            watch.observe(&view, &mut said);
        }
        said
    }

    /// Lets the hours of zones begin and end; `observe` does so too, but pictures may not be coming.
    pub fn tick(&mut self, at: &Captured, local: DateTime) -> Vec<Observation> {
        let mut said = Vec::new();
        for watch in &mut self.watches {
            let watched = watch.zone.hours.contains(&local);
            if watch.watched && !watched {
                said.extend(watch.end(at));
            }
            watch.watched = watched;
        }
        said
    }

    /// Which pictures the rules want at this local time.
    pub fn needs(&self, local: DateTime) -> Needs {
        let mut needs = Needs::default();
        for watch in self.watches.iter().filter(|w| w.zone.hours.contains(&local)) {
            let rule = &watch.zone.rule;
            if rule.kind == RuleKind::ThrownObject {
                needs.full_rate = true;
                continue;
            }
            let every_s = watch.every_s();
            needs.objects_every_s = Some(needs.objects_every_s.map_or(every_s, |s| s.min(every_s)));
            needs.foreground |= rule.any_object;
            needs.occupied |= watch.dwell.matter().is_some();
            let blind_s = (0.5 * rule.dwell_s).clamp(every_s.min(BLIND_S_MAX), BLIND_S_MAX);
            needs.blind_s_max =
                if needs.blind_s_max > 0.0 { needs.blind_s_max.min(blind_s) } else { blind_s };
            needs.suspected |= watch.dwell.matter().is_some_and(|m| m.confirmed_at.is_none());
        }
        needs
    }

    /// Zones for thrown objects in which so much passes that they must show a road: the rule will not work there.
    pub fn busy(&self) -> impl Iterator<Item = &ZoneId> {
        let busy = |w: &&Watch| matches!(&w.judge, Judge::ThrownObject(judge) if judge.busy());
        self.watches.iter().filter(busy).map(|w| &w.zone.id)
    }

    /// The objects seen in the last picture that a detector looked at, with their ids.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.tracker.current()
    }

    /// How every zone stands, in the order of the camera's zones.
    pub fn states(&self) -> Vec<ZoneState> {
        self.watches.iter().map(Watch::state).collect()
    }

    /// When the last picture was captured.
    pub fn at(&self) -> Option<Captured> {
        self.at
    }

    /// What must survive a restart, if something stays in a zone; keep it whenever a stage has changed, and every few seconds.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let stays = |w: &&Watch| w.dwell.matter().is_some();
        let zones: Vec<_> = (self.watches.iter().filter(stays))
            .map(|w| ZoneCheckpoint {
                zone: w.zone.id.clone(),
                revision: w.zone.revision.clone(),
                judge: w.judge.clone(),
                dwell: w.dwell.clone(),
            })
            .collect();
        let at = self.at.filter(|_| !zones.is_empty())?;
        Some(Checkpoint { at, tracker: self.tracker.clone(), zones })
    }
}

impl Watch {
    fn new(zone: &Zone) -> Self {
        let judge = match zone.rule.kind {
            RuleKind::Presence => {
                Judge::Presence(Box::new(Presence::new(&zone.rule, &zone.id, &zone.polygon)))
            }
            RuleKind::Obstruction => {
                Judge::Obstruction(Box::new(Obstruction::new(&zone.rule, &zone.id, &zone.polygon)))
            }
            RuleKind::ThrownObject => Judge::ThrownObject(Box::new(ThrownObject::new(
                &zone.rule,
                &zone.polygon,
                zone.facade.as_ref(),
            ))),
        };
        Self {
            dwell: Dwell::new(&zone.rule),
            zone: zone.clone(),
            judge,
            watched: true,
            look: None,
            said: None,
            resumed: None,
        }
    }

    /// Whether this look must not count as one that missed what was taken up: that has the patience that its incident has.
    fn waits(&mut self, at: &Captured, present: bool) -> bool {
        let since = match self.resumed.filter(|_| !present) {
            None => {
                self.resumed = None;
                return false;
            }
            Some(Resumed::NotLooked) => *at,
            Some(Resumed::LookingSince(since)) => since,
        };
        self.resumed = Some(Resumed::LookingSince(since));
        at.seconds_since(&since) <= self.zone.rule.dwell_s + self.zone.rule.clear_s + RESUMED_MARGIN_S
    }

    fn observe(&mut self, view: &View, said: &mut Vec<Observation>) {
        let look = match &mut self.judge {
            Judge::Presence(judge) => judge.look(view),
            Judge::Obstruction(judge) => judge.look(view),
            Judge::ThrownObject(judge) => {
                let falls = judge.look(view);
                said.extend(falls.into_iter().flat_map(|fall| self.fell(&view.findings.captured, &fall)));
                return;
            }
        };
        let Some(look) = look else { return };
        let at = &view.findings.captured;
        if self.waits(at, look.present) {
            return;
        }
        let known = look.known.or(look.since);
        let seen = if look.present { Seen::Yes { since: look.since, known } } else { Seen::No };
        let (present, coverage) = (look.present, look.coverage);
        let before = self.look.replace(look);
        if let Some((stage, matter)) = self.dwell.look(at, seen) {
            // What is cleared is described by what was last there, not by the empty zone.
            let shown = if stage == Stage::Cleared { before.as_ref() } else { self.look.as_ref() };
            said.push(self.statement(at, stage, &matter, shown));
            self.said = Some((*at, coverage));
        } else if let Some(matter) = self.dwell.matter()
            && matter.stage == Some(Stage::Confirmed)
            && present
            && self.due(at, coverage)
        {
            said.push(self.statement(at, Stage::Confirmed, matter, self.look.as_ref()));
            self.said = Some((*at, coverage));
        }
    }

    /// Whether a confirmed matter is to be stated again.
    fn due(&self, at: &Captured, coverage: f32) -> bool {
        let Some((said_at, said_coverage)) = &self.said else { return true };
        let passed_s = at.seconds_since(said_at);
        passed_s >= UPDATE_S
            || (passed_s >= UPDATE_S_MIN && (coverage - said_coverage).abs() >= COVERAGE_CHANGE_MIN)
    }

    fn statement(&self, at: &Captured, stage: Stage, matter: &Matter, shown: Option<&Look>) -> Observation {
        Observation {
            zone: self.zone.id.clone(),
            stage,
            first_seen: matter.first_seen,
            confirmed_at: matter.confirmed_at,
            last_seen: matter.last_seen,
            at: *at,
            dwell_s: matter.dwell_s,
            unseen_s: matter.unseen_s,
            coverage: if stage == Stage::Cleared { 0.0 } else { shown.map_or(0.0, |l| l.coverage) },
            objects: shown.map_or_else(Vec::new, |l| l.objects.clone()),
            trajectory: None,
        }
    }

    /// A thrown object is over when it is known: confirmed and cleared in one breath.
    fn fell(&self, at: &Captured, fall: &crate::rule::thrown_object::Fall) -> [Observation; 2] {
        let confirmed = Observation {
            zone: self.zone.id.clone(),
            stage: Stage::Confirmed,
            first_seen: fall.first_seen,
            confirmed_at: Some(*at),
            last_seen: fall.last_seen,
            at: *at,
            dwell_s: fall.last_seen.seconds_since(&fall.first_seen),
            unseen_s: 0.0,
            coverage: 0.0,
            objects: Vec::new(),
            trajectory: Some(Trajectory::clone(&fall.trajectory)),
        };
        let cleared = Observation { stage: Stage::Cleared, ..confirmed.clone() };
        [confirmed, cleared]
    }

    fn end(&mut self, at: &Captured) -> Option<Observation> {
        let ended = self.dwell.end();
        let shown = self.look.take();
        self.said = None;
        // What a judge remembers of yesterday's hours is no help today.
        *self = Self { watched: false, ..Self::new(&self.zone) };
        ended.map(|(stage, matter)| self.statement(at, stage, &matter, shown.as_ref()))
    }

    /// How often this zone wants to be looked at now, in seconds: often enough for its clock to mean something.
    fn every_s(&self) -> f64 {
        let rule = &self.zone.rule;
        let thirds =
            |s: f64, least: f64, most: f64| if s > 0.0 { (s / 3.0).clamp(least, most) } else { least };
        // Who comes is seen two or three times within the dwell, and at once more often; a dwell of a few seconds has no time
        // to lose, a long one bears a look in ten seconds.
        let idle_s =
            thirds(rule.suspect_s.max(rule.dwell_s / 4.0), 1.0, 10.0).max((0.4 * rule.dwell_s).min(4.0));
        match self.dwell.matter().map(|m| m.stage) {
            None => idle_s,
            // Something has appeared: is it staying?
            Some(None | Some(Stage::Suspected | Stage::Cleared)) => idle_s.min(2.0),
            Some(Some(Stage::Confirmed)) => thirds(rule.clear_s, 1.0, 10.0),
        }
    }

    fn state(&self) -> ZoneState {
        let matter = self.dwell.matter();
        ZoneState {
            zone: self.zone.id.clone(),
            watched: self.watched,
            stage: matter.and_then(|m| m.stage),
            dwell_s: matter.map_or(0.0, |m| m.dwell_s),
            present: self.look.as_ref().is_some_and(|l| l.present),
            coverage: self.look.as_ref().map_or(0.0, |l| l.coverage),
            objects: self.look.as_ref().map_or_else(Vec::new, |l| l.objects.clone()),
            standing: match &self.judge {
                Judge::Presence(judge) => judge.standing(),
                Judge::Obstruction(_) | Judge::ThrownObject(_) => Vec::new(),
            },
        }
    }
}
