//! Incidents: opened once per zone's matter, updated when there is news, always closed with a reason.
//!
//! Observations of all cameras come in; each statement that they give rise to is written to the store together with
//! the messages that announce it, so an incident goes on under its id after a restart and nothing is announced twice.

mod describe;
mod machine;
mod open;
mod quiet;
mod recheck;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::config::{Camera, Config, RuleKind, Scenario, Zone};
use crate::detection::ModelStamp;
use crate::event::mirror::{Mirrored, Statement, mirrored};
use crate::event::topic::{TopicError, Topics};
use crate::event::{
    CONTRACT, ClosedReason, CloudEvent, EvidenceKind, EvidenceRef, Incident, IncidentEvent, Phase, VerdictRef,
};
use crate::frame::{CameraId, Captured};
use crate::observation::{Observation, Stage, ZoneId};
use crate::store::{Decided, Disarmed, Entry, Message, MessageKind, Payload, Store, StoreError};
use machine::{Key, Machine};
use open::{RECURRENCE_DAYS, Seen};
use quiet::Quiets;

/// Statements kept in memory while the store cannot write; with more, the oldest are lost (and counted).
const UNWRITTEN_MAX: usize = 1_000;

/// Seconds for which what scenes must remember waits to be written for all cameras at once: less than what a dwell bridges.
const CHECKPOINTS_WAIT_S: f64 = 5.0;

/// Seconds that a clip may take to be written after its last picture.
const CLIP_WRITTEN_S: f64 = 15.0;

/// What can go wrong with incidents.
#[derive(Debug, thiserror::Error)]
pub enum IncidentError {
    /// The store failed. What was to be said is kept and written with the next call.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The config's names make no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
}

/// All incidents of this node.
#[derive(Debug)]
pub struct Incidents {
    store: Store,
    config: Arc<Config>,
    /// Where statements go; `None` without a broker.
    topics: Option<Topics>,
    machine: Machine,
    quiets: Quiets,
    /// Zones in which nothing opens, and until when.
    disarmed: BTreeMap<Key, Option<Timestamp>>,
    /// The number of the last verdict that was taken in, and what the store's count of decisions was then.
    decided: i64,
    decisions: u64,
    unwritten: VecDeque<Entry>,
    /// What scenes must remember, written with the next statement, or when some time has passed.
    checkpoints: BTreeMap<CameraId, Option<String>>,
    checkpoints_since: Option<Timestamp>,
    lost: u64,
}

impl Incidents {
    /// Takes up the incidents that the store has open. Those that cannot go on are closed: their zone is gone or has
    /// another scenario (`rule_removed`), or gridwatch was away for over a quarter of an hour (`restarted`). The others wait to be
    /// seen again under their id; see [`Self::looked`].
    pub fn open(store: Store, config: Arc<Config>) -> Result<Self, IncidentError> {
        let mut machine = Machine::default();
        machine.remember(store.open_incidents()?);
        let topics = topics(&config)?;
        let mut incidents = Self {
            store,
            config,
            topics,
            machine,
            quiets: Quiets::default(),
            disarmed: BTreeMap::new(),
            decided: 0,
            decisions: 0,
            unwritten: VecDeque::new(),
            checkpoints: BTreeMap::new(),
            checkpoints_since: None,
            lost: 0,
        };
        let now = Timestamp::now();
        let config = Arc::clone(&incidents.config);
        let mut said = incidents.recall_verdicts(now)?;
        said.extend(incidents.machine.expire(|incident| is_instant(&config, incident), hold_s(&config), now));
        said.extend(incidents.machine.close_where(
            |incident| {
                // What is wrong with a camera stays wrong until its health says otherwise.
                let down = || {
                    machine::ended_by_downtime(incident, now).filter(|_| incident.kind != Scenario::CAMERA)
                };
                ended_by_config(&config, incident).or_else(down)
            },
            now,
        ));
        incidents.say(said, now)?;
        Ok(incidents)
    }

    /// Whether everything in an observation was called a false alarm not long ago (the rule's `quiet_s`): then it opens
    /// nothing, and wants no evidence.
    pub fn is_quiet(&self, camera: &Camera, zone: &Zone, observation: &Observation, now: Timestamp) -> bool {
        self.quiets.cover(&camera.id, zone, observation, now)
    }

    /// Whether nothing opens in a zone because the platform has disarmed it.
    pub fn is_disarmed(&self, camera: &CameraId, zone: &ZoneId, now: Timestamp) -> bool {
        let until = self.disarmed.get(&(camera.clone(), zone.clone()));
        until.is_some_and(|until| until.is_none_or(|until| now < until))
    }

    /// Matters that would have opened an incident, and did not because they are known false alarms.
    pub fn quieted(&self) -> u64 {
        self.quiets.counted()
    }

    /// Takes in one observation with the evidence made for it; gives what is to be said, already written. `now` is the
    /// time of saying it: the clock when live, capture time in a replay.
    ///
    /// `camera` and `zone` are those of the config in force. Evidence is dropped when nothing is open and nothing opens.
    pub fn observe(
        &mut self,
        camera: &Camera,
        zone: &Zone,
        observation: &Observation,
        model: Option<&ModelStamp>,
        evidence: Vec<EvidenceRef>,
        now: Timestamp,
    ) -> Result<Vec<Incident>, IncidentError> {
        let local = self.config.node.timezone.to_datetime(observation.at.wall);
        let config = Arc::clone(&self.config);
        let disarmed = self.is_disarmed(&camera.id, &zone.id, now);
        let quiet = opens(zone, observation) && self.is_quiet(camera, zone, observation, now);
        if quiet && !disarmed && self.machine.of_zone(&camera.id, &zone.id).is_none() {
            self.quiets.count(&camera.id, zone, observation);
        }
        let store = &self.store;
        let earlier = || {
            let days = SignedDuration::from_hours(24 * i64::from(RECURRENCE_DAYS));
            let since = observation.first_seen.wall.checked_sub(days).unwrap_or(Timestamp::MIN);
            store.incidents_since(&camera.id, &zone.id, &zone.scenario.id, since).unwrap_or_else(|error| {
                // The statement matters more than how many there were before it.
                tracing::error!("cannot count earlier incidents: {error}");
                0
            })
        };
        let said = self.machine.observe(Seen {
            camera,
            zone,
            observation,
            model,
            evidence,
            config_revision: &config.revision,
            in_hours: zone.hours.contains(&local),
            barred: quiet || disarmed,
            earlier: &earlier,
            now,
        });
        if said.is_empty()
            && let Some(incident) = self.machine.of_zone(&camera.id, &zone.id)
        {
            // Nothing to say, but a restart must know that it was still there.
            self.unwritten.retain(|e| !(e.messages.is_empty() && e.incident.incident == incident.incident));
            self.unwritten.push_back(Entry { incident: incident.clone(), messages: Vec::new() });
        }
        self.say(said, now)
    }

    /// Keeps what a camera's scene must remember over a restart (opaque JSON; `None`: nothing). It is written together with the
    /// next statement, so that neither is ever known without the other, or within five seconds.
    pub fn remember(&mut self, camera: &CameraId, checkpoint: Option<String>, now: Timestamp) {
        self.checkpoints.insert(camera.clone(), checkpoint);
        self.checkpoints_since.get_or_insert(now);
    }

    /// What was last remembered of a camera's scene.
    pub fn remembered(&self, camera: &CameraId) -> Result<Option<String>, IncidentError> {
        match self.checkpoints.get(camera) {
            Some(waiting) => Ok(waiting.clone()),
            None => Ok(self.store.checkpoint(camera)?),
        }
    }

    /// Notes that a picture of this camera was analysed. An incident from before a restart that is not seen again for
    /// its rule's dwell and clear times is closed (`cleared`): without this call it would stay open for ever.
    pub fn looked(
        &mut self,
        camera: &Camera,
        at: &Captured,
        now: Timestamp,
    ) -> Result<Vec<Incident>, IncidentError> {
        let said = self.machine.looked(camera, at, now);
        self.say(said, now)
    }

    /// Adds evidence that came later (a clip). `None` when the incident is closed already: what is closed is not
    /// spoken of again.
    pub fn attach_evidence(
        &mut self,
        incident: Uuid,
        evidence: EvidenceRef,
        now: Timestamp,
    ) -> Result<Option<Incident>, IncidentError> {
        let said = self.machine.attach(incident, evidence, now).into_iter().collect();
        Ok(self.say(said, now)?.pop())
    }

    /// Closes what a camera left open that has not been seen for too long: nobody knows how it went on.
    pub fn camera_lost(&mut self, camera: &CameraId, now: Timestamp) -> Result<Vec<Incident>, IncidentError> {
        let lost = |incident: &Incident| {
            let lost = incident.camera.id == *camera && incident.kind != Scenario::CAMERA;
            lost.then_some(ClosedReason::CameraLost)
        };
        let said = self.machine.close_where(lost, now);
        self.say(said, now)
    }

    /// To be called about once a second: takes in the platform's verdicts and the zones that it disarmed, closes instant incidents whose clip is not coming
    /// any more and what is out of its zone's hours, raises levels, and writes what a failing store left unwritten.
    pub fn tick(&mut self, now: Timestamp) -> Result<Vec<Incident>, IncidentError> {
        let config = Arc::clone(&self.config);
        let local = config.node.timezone.to_datetime(now);
        let mut said = Vec::new();
        let heard = self.hear_verdicts(&mut said, now);
        said.extend(self.machine.expire(|incident| is_instant(&config, incident), hold_s(&config), now));
        said.extend(self.machine.close_where(
            |incident| {
                let out = zone(&config, incident).is_some_and(|zone| !zone.hours.contains(&local));
                out.then_some(ClosedReason::OutOfHours)
            },
            now,
        ));
        said.extend(self.close_disarmed(now));
        let rising = |incident: &Incident| {
            zone(&config, incident).map(|zone| (zone.scenario.level, zone.rule.escalate_s))
        };
        said.extend(self.machine.escalate(rising, now));
        let said = self.say(said, now)?;
        heard.map(|()| said)
    }

    /// What was decided while nobody was there to hear it, and what still keeps a place quiet.
    fn recall_verdicts(&mut self, now: Timestamp) -> Result<Vec<Incident>, IncidentError> {
        let zones = self.config.cameras.iter().flat_map(|camera| &camera.zones);
        let quiet_s = zones.map(|zone| zone.rule.quiet_s).fold(0.0, f64::max);
        self.decisions = self.store.decisions();
        let since = now - SignedDuration::from_secs_f64(quiet_s);
        let (newest, standing) = self.store.standing_verdicts(since)?;
        self.decided = newest;
        self.disarmed = disarmed(&self.store)?;
        let mut said: Vec<_> = standing.into_iter().filter_map(|decided| self.decide(decided, now)).collect();
        said.extend(self.close_disarmed(now));
        Ok(said)
    }

    fn close_disarmed(&mut self, now: Timestamp) -> Vec<Incident> {
        let shut: Vec<Uuid> = self
            .machine
            .incidents()
            .filter(|incident| self.is_disarmed(&incident.camera.id, &incident.zone.id, now))
            .map(|incident| incident.incident)
            .collect();
        let reason =
            |incident: &Incident| shut.contains(&incident.incident).then_some(ClosedReason::Disarmed);
        self.machine.close_where(reason, now)
    }

    /// Takes in the verdicts that came since.
    fn hear_verdicts(&mut self, said: &mut Vec<Incident>, now: Timestamp) -> Result<(), IncidentError> {
        let decisions = self.store.decisions();
        if self.decisions != decisions {
            self.disarmed = disarmed(&self.store)?;
        }
        while self.decisions != decisions {
            let new = self.store.verdicts_after(self.decided)?;
            if new.is_empty() {
                self.decisions = decisions;
            }
            for decided in new {
                self.decided = decided.number;
                said.extend(self.decide(decided, now));
            }
        }
        Ok(())
    }

    fn decide(&mut self, decided: Decided, now: Timestamp) -> Option<Incident> {
        let Decided { incident, verdict, .. } = decided;
        let (at, kind) = (verdict.received, verdict.verdict.verdict);
        self.quiets.decide(&incident, kind, at);
        let verdict = VerdictRef { verdict: kind, case_id: verdict.verdict.case_id, at };
        self.machine.decide(incident.incident, verdict, now)
    }

    /// Puts a new config in force and closes what it took away (`rule_removed`). Where a zone has other settings now, its
    /// incident waits to be seen again, as after a restart.
    pub fn reconcile(&mut self, config: Arc<Config>) -> Result<Vec<Incident>, IncidentError> {
        self.topics = topics(&config)?;
        let now = Timestamp::now();
        let said = self.machine.close_where(|incident| ended_by_config(&config, incident), now);
        let redrawn = |zone: &Zone, incident: &Incident| zone.revision != incident.zone.revision;
        self.machine.doubt(|incident| zone(&config, incident).is_some_and(|zone| redrawn(zone, incident)));
        self.config = config;
        self.say(said, now)
    }

    /// The open incidents as they stand, also what is not worth a statement yet.
    pub fn open_incidents(&self) -> impl Iterator<Item = &Incident> {
        self.machine.incidents()
    }

    /// Statements that were lost because the store could not write for too long.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn say(&mut self, mut said: Vec<Incident>, now: Timestamp) -> Result<Vec<Incident>, IncidentError> {
        for incident in &mut said {
            let entry = self.entry(incident, now);
            self.unwritten.push_back(entry);
        }
        let waited_s = self.checkpoints_since.map_or(0.0, |since| now.duration_since(since).as_secs_f64());
        // A clock that was put back must not keep them waiting.
        if self.unwritten.is_empty() && (0.0..CHECKPOINTS_WAIT_S).contains(&waited_s) {
            return Ok(said);
        }
        let checkpoints = self.checkpoints.iter().map(|(camera, json)| (camera.clone(), json.clone()));
        match self.store.write(self.unwritten.iter().cloned().collect(), checkpoints.collect()) {
            Ok(()) => {
                self.unwritten.clear();
                self.checkpoints.clear();
                self.checkpoints_since = None;
                Ok(said)
            }
            Err(error) => {
                while self.unwritten.len() > UNWRITTEN_MAX {
                    self.unwritten.pop_front();
                    self.lost += 1;
                }
                Err(error.into())
            }
        }
    }

    /// The incident with its messages: pictures that were not sent before, then the statement that cites them, then what
    /// mirrors make of it.
    fn entry(&mut self, incident: &mut Incident, now: Timestamp) -> Entry {
        let mut messages = Vec::new();
        if let (Some(topics), Some(mqtt)) = (&self.topics, &self.config.mqtt) {
            let mut new_pictures = Vec::new();
            if mqtt.publish_evidence {
                let (id, camera) = (incident.incident, incident.camera.id.clone());
                new_pictures = unsent(&incident.evidence).collect();
                messages = pictures(&mut incident.evidence, |n| topics.evidence(&camera, id, n));
                self.machine.set_evidence(id, &incident.evidence);
            }
            let event = envelope(&self.config, incident.clone(), now);
            match serde_json::to_vec(&event) {
                Ok(payload) => messages.push(Message {
                    topic: topics.incident(&incident.camera.id, &incident.kind),
                    kind: MessageKind::Incident,
                    payload: Payload::Bytes(payload),
                }),
                // No map with odd keys is in there, so this does not happen; if it did, the store has the incident.
                Err(error) => tracing::error!(incident = %incident.incident, %error, "incident is no JSON"),
            }
            let timezone = &self.config.node.timezone;
            let said = Statement { incident, new_pictures: &new_pictures, timezone, now };
            let copies = mqtt.mirrors.iter().filter_map(|mirror| mirrored(mirror, said));
            messages.extend(copies.map(|Mirrored { topic, payload }| Message {
                topic,
                kind: MessageKind::Mirror,
                payload: Payload::Bytes(payload),
            }));
        }
        Entry { incident: incident.clone(), messages }
    }
}

/// Whether an observation of a zone without an open incident opens one, as far as its rule has a say.
pub fn opens(zone: &Zone, seen: &Observation) -> bool {
    match seen.stage {
        Stage::Suspected => zone.scenario.announce_suspected,
        Stage::Confirmed => true,
        Stage::Cleared => false,
    }
}

/// Messages for the pictures that were not sent before; `topic` gives that of the `n`-th, which is noted in it.
fn pictures(evidence: &mut [EvidenceRef], topic: impl Fn(usize) -> String) -> Vec<Message> {
    let mut messages = Vec::new();
    for index in unsent(evidence).collect::<Vec<_>>() {
        let (piece, topic) = (&mut evidence[index], topic(index + 1));
        piece.topic = Some(topic.clone());
        messages.push(Message {
            topic,
            kind: MessageKind::Evidence,
            payload: Payload::File {
                path: piece.path.clone().into(),
                sha256: piece.sha256.clone(),
                size_bytes: piece.size_bytes,
            },
        });
    }
    messages
}

/// Which pieces are pictures that were not sent before.
fn unsent(evidence: &[EvidenceRef]) -> impl Iterator<Item = usize> {
    let pieces = evidence.iter().enumerate();
    pieces
        .filter(|(_, piece)| piece.kind != EvidenceKind::Clip && piece.topic.is_none())
        .map(|(index, _)| index)
}

/// Wraps an incident for the wire.
pub fn envelope(config: &Config, incident: Incident, time: Timestamp) -> IncidentEvent {
    let phase = match incident.phase {
        Phase::Opened => "opened",
        Phase::Updated => "updated",
        Phase::Closed => "closed",
    };
    let id = format!("{}/{}", incident.incident, incident.seq);
    let subject = format!("{}/{}", incident.camera.id, incident.zone.id);
    wrapped(config, id, &format!("incident.{phase}"), subject, incident, time)
}

fn wrapped<T>(
    config: &Config,
    id: String,
    kind: &str,
    subject: String,
    data: T,
    time: Timestamp,
) -> CloudEvent<T> {
    CloudEvent {
        specversion: "1.0".into(),
        id,
        source: format!("gridwatch/{}/{}", config.node.site, config.node.id),
        event_type: format!("cn.gridwatch.{kind}.{CONTRACT}"),
        subject,
        time,
        datacontenttype: "application/json".into(),
        data,
    }
}

fn disarmed(store: &Store) -> Result<BTreeMap<Key, Option<Timestamp>>, StoreError> {
    let zones = store.disarmed()?.into_iter();
    Ok(zones.map(|Disarmed { camera, zone, until }| ((camera, zone), until)).collect())
}

/// Whether incidents of this one's zone are over when they are known.
fn is_instant(config: &Config, incident: &Incident) -> bool {
    zone(config, incident).is_some_and(|zone| zone.rule.kind == RuleKind::ThrownObject)
}

/// Seconds for which an instant incident stays open for its clip.
fn hold_s(config: &Config) -> f64 {
    config.evidence.post_roll_s + CLIP_WRITTEN_S
}

fn topics(config: &Config) -> Result<Option<Topics>, TopicError> {
    let node = &config.node;
    config.mqtt.as_ref().map(|mqtt| Topics::new(&mqtt.root, &node.site, &node.id)).transpose()
}

/// Why an incident cannot go on under this config. What is wrong with a camera itself goes with the camera.
fn ended_by_config(config: &Config, incident: &Incident) -> Option<ClosedReason> {
    if incident.kind == Scenario::CAMERA {
        let there = config.cameras.iter().any(|camera| camera.id == incident.camera.id);
        return (!there).then_some(ClosedReason::RuleRemoved);
    }
    machine::ended_by_config(incident, zone(config, incident))
}

fn zone<'a>(config: &'a Config, incident: &Incident) -> Option<&'a Zone> {
    let camera = config.cameras.iter().find(|camera| camera.id == incident.camera.id)?;
    camera.zones.iter().find(|zone| zone.id == incident.zone.id)
}
