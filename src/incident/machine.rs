//! The state machine: observations in, statements out. Pure but for the random part of new ids.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::open::{Open, Remembered, Seen, seconds_between};
use crate::config::{Camera, Level, RuleKind, Zone};
use crate::event::{ClosedReason, EvidenceRef, Incident, Phase, VerdictKind, VerdictRef};
use crate::frame::{CameraId, Captured};
use crate::observation::{Stage, ZoneId};

/// Seconds without gridwatch after which nobody can say that an incident went on: somebody may have driven away and
/// somebody else may have come.
const DOWN_MAX_S: f64 = 900.0;
/// Seconds of watching, beyond the rule's own dwell and clear times, without a word about a remembered incident.
const REMEMBERED_MARGIN_S: f64 = 10.0;

pub(super) type Key = (CameraId, ZoneId);

/// All open incidents, one per zone at most.
#[derive(Debug, Default)]
pub(super) struct Machine {
    open: BTreeMap<Key, Open>,
}

impl Machine {
    /// Takes up the incidents that were open when gridwatch stopped. They wait to be seen again.
    pub fn remember(&mut self, incidents: Vec<Incident>) {
        for incident in incidents {
            let key = (incident.camera.id.clone(), incident.zone.id.clone());
            let open = Open::new(incident, Some(Remembered::NotLooked));
            self.open.insert(key, open);
        }
    }

    /// The open incident of a zone.
    pub fn of_zone(&self, camera: &CameraId, zone: &ZoneId) -> Option<&Incident> {
        self.open.get(&(camera.clone(), zone.clone())).map(|open| &open.incident)
    }

    /// The open incidents.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.open.values().map(|open| &open.incident)
    }

    /// What an observation makes worth saying: nothing, one statement, or (a second thrown object) a closing and an
    /// opening one.
    pub fn observe(&mut self, seen: Seen<'_>) -> Vec<Incident> {
        let key = (seen.camera.id.clone(), seen.zone.id.clone());
        let stage = seen.observation.stage;
        let mut said = Vec::new();
        let another = self.open.get(&key).is_some_and(|open| open.is_another(&seen));
        if another && seen.barred {
            return said;
        }
        if another {
            said.extend(self.close(&key, ClosedReason::Instant, seen.now));
        }
        match (self.open.get_mut(&key), stage) {
            (None, Stage::Cleared) => {}
            (None, Stage::Suspected) if !seen.zone.scenario.announce_suspected => {}
            (None, _) if !seen.in_hours || seen.barred => {}
            (None, _) => {
                let open = Open::begin(seen);
                said.push(open.incident.clone());
                self.open.insert(key, open);
            }
            // An instant incident waits for its clip; `expire` closes it.
            (Some(_), Stage::Cleared) if seen.zone.rule.kind == RuleKind::ThrownObject => {}
            (Some(open), Stage::Cleared) => {
                open.incident.last_seen = open.incident.last_seen.max(seen.observation.last_seen.wall);
                open.attach(seen.evidence.clone());
                open.refresh_dwell(&seen);
                open.describe(&seen);
                let reason = if seen.in_hours { ClosedReason::Cleared } else { ClosedReason::OutOfHours };
                said.extend(self.close(&key, reason, seen.now));
            }
            (Some(open), Stage::Suspected | Stage::Confirmed) => said.extend(open.go_on(seen)),
        }
        said
    }

    /// Notes that the camera's picture was looked at: an incident remembered from before a restart, of which nothing
    /// was seen for the rule's dwell and clear times, is over.
    pub fn looked(&mut self, camera: &Camera, at: &Captured, now: Timestamp) -> Vec<Incident> {
        let mut gone = Vec::new();
        for zone in &camera.zones {
            let key = (camera.id.clone(), zone.id.clone());
            let Some(open) = self.open.get_mut(&key) else { continue };
            match open.remembered {
                None => {}
                Some(Remembered::NotLooked) => open.remembered = Some(Remembered::LookingSince(at.media)),
                Some(Remembered::LookingSince(since)) => {
                    let patience = zone.rule.dwell_s + zone.rule.clear_s + REMEMBERED_MARGIN_S;
                    if at.media.saturating_sub(since).as_secs_f64() > patience {
                        gone.push(key);
                    }
                }
            }
        }
        gone.iter().filter_map(|key| self.close(key, ClosedReason::Cleared, now)).collect()
    }

    /// Notes that rules have lost sight of incidents, as over a restart: they wait to be seen again.
    pub fn doubt(&mut self, lost: impl Fn(&Incident) -> bool) {
        for open in self.open.values_mut().filter(|open| lost(&open.incident)) {
            open.remembered.get_or_insert(Remembered::NotLooked);
        }
    }

    /// Adds a piece of evidence that came later; `None` if the incident is closed or has enough of it.
    pub fn attach(&mut self, incident: Uuid, evidence: EvidenceRef, now: Timestamp) -> Option<Incident> {
        let open = self.open.values_mut().find(|open| open.incident.incident == incident)?;
        if !open.attach(vec![evidence]) {
            return None;
        }
        Some(open.say_update(open.said_at.max(now)))
    }

    /// Notes what the platform decided: a false alarm closes the incident. `None` if it is not open, or carries this already.
    pub fn decide(&mut self, incident: Uuid, verdict: VerdictRef, now: Timestamp) -> Option<Incident> {
        let (key, open) = self.open.iter_mut().find(|(_, open)| open.incident.incident == incident)?;
        if open.incident.verdict.as_ref() == Some(&verdict) {
            return None;
        }
        let false_alarm = verdict.verdict == VerdictKind::FalseAlarm;
        open.incident.verdict = Some(verdict);
        if false_alarm {
            let key = key.clone();
            return self.close(&key, ClosedReason::FalseAlarm, now);
        }
        Some(open.say_update(open.said_at.max(now)))
    }

    /// Raises the level of what is still there; `rule` gives an incident's first level and the seconds after which it rises.
    pub fn escalate(
        &mut self,
        rule: impl Fn(&Incident) -> Option<(Level, f64)>,
        now: Timestamp,
    ) -> Vec<Incident> {
        let mut said = Vec::new();
        for open in self.open.values_mut() {
            let Some((first, escalate_s)) = rule(&open.incident) else { continue };
            let level = due_level(&open.incident, first, escalate_s, now);
            if level > open.incident.level {
                open.incident.level = level;
                said.push(open.say_update(open.said_at.max(now)));
            }
        }
        said
    }

    /// Puts back evidence that has got its topics, if the incident is still open.
    pub fn set_evidence(&mut self, incident: Uuid, evidence: &[EvidenceRef]) {
        if let Some(open) = self.open.values_mut().find(|open| open.incident.incident == incident) {
            evidence.clone_into(&mut open.incident.evidence);
        }
    }

    /// Closes instant incidents whose clip has come or will not come any more.
    pub fn expire(
        &mut self,
        instant: impl Fn(&Incident) -> bool,
        hold_s: f64,
        now: Timestamp,
    ) -> Vec<Incident> {
        self.close_where(
            |incident| {
                let over = seconds_between(incident.first_seen, now) >= hold_s;
                (over && instant(incident)).then_some(ClosedReason::Instant)
            },
            now,
        )
    }

    /// Closes every open incident for which `reason` gives a reason.
    pub fn close_where(
        &mut self,
        reason: impl Fn(&Incident) -> Option<ClosedReason>,
        now: Timestamp,
    ) -> Vec<Incident> {
        let closing: Vec<_> =
            self.open.iter().filter_map(|(key, open)| Some((key.clone(), reason(&open.incident)?))).collect();
        closing.into_iter().filter_map(|(key, reason)| self.close(&key, reason, now)).collect()
    }

    fn close(&mut self, key: &Key, reason: ClosedReason, now: Timestamp) -> Option<Incident> {
        let mut incident = self.open.remove(key)?.incident;
        incident.seq += 1;
        incident.phase = Phase::Closed;
        incident.closed_at = Some(now);
        incident.closed_reason = Some(reason);
        Some(incident)
    }
}

/// Why an incident of the store cannot go on at all; `zone` is its zone in the config in force, if it is there.
///
/// A zone that was redrawn or tuned keeps its incident: what stands there did not move because somebody drew a line.
/// Another scenario in its place is another matter.
pub(super) fn ended_by_config(incident: &Incident, zone: Option<&Zone>) -> Option<ClosedReason> {
    match zone {
        Some(zone) if zone.scenario.id == incident.kind => None,
        _ => Some(ClosedReason::RuleRemoved),
    }
}

/// Why an incident that was last seen then cannot go on after a restart now.
pub(super) fn ended_by_downtime(incident: &Incident, now: Timestamp) -> Option<ClosedReason> {
    (seconds_between(incident.last_seen, now) > DOWN_MAX_S).then_some(ClosedReason::Restarted)
}

/// The level that an incident has come to by now. Time counts from its confirmation, but never more than it was seen to
/// stay: a clock that jumps forward raises nothing.
fn due_level(incident: &Incident, first: Level, escalate_s: f64, now: Timestamp) -> Level {
    let ignored = incident.verdict.as_ref().is_some_and(|verdict| verdict.verdict == VerdictKind::Ignored);
    match incident.confirmed_at {
        Some(confirmed) if escalate_s > 0.0 && !ignored => {
            let stayed_s = seconds_between(confirmed, now).min(incident.dwell_s).max(0.0);
            first.raised((stayed_s / escalate_s) as u64)
        }
        _ => incident.level,
    }
}
