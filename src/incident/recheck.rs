//! Re-checks (任务核查): somebody says that it was dealt with, or asks; the camera looks again, and what it sees is published.
//!
//! What waits is in the store, and goes in one transaction with the statement about it: a process that dies in between looks
//! again.

use jiff::Timestamp;
use uuid::Uuid;

use super::{IncidentError, Incidents, is_instant, pictures, wrapped, zone};
use crate::config::Text;
use crate::event::{EvidenceRef, Recheck, RecheckEvent, RecheckOutcome};
use crate::store::{Message, MessageKind, Payload, PendingRecheck};

impl Incidents {
    /// The places that are to be looked at, oldest wish first; each to be answered with [`Self::rechecked`]. Those that no look can
    /// tell anything about (their zone is gone, or it was over when it was seen) are answered here.
    pub fn rechecks(&mut self, now: Timestamp) -> Result<Vec<PendingRecheck>, IncidentError> {
        let mut pending = self.store.pending_rechecks()?;
        let mut hopeless = Vec::new();
        pending.retain(|recheck| {
            let why = match zone(&self.config, &recheck.incident) {
                None => "its zone is not watched any more",
                Some(_) if is_instant(&self.config, &recheck.incident) => "it was over when it was seen",
                Some(_) => return true,
            };
            hopeless.push((recheck.incident.incident, why.to_owned()));
            false
        });
        for (incident, why) in hopeless {
            self.rechecked(incident, RecheckOutcome::Unknown, Some(why), Vec::new(), now)?;
        }
        Ok(pending)
    }

    /// Publishes what was seen; `why` with [`RecheckOutcome::Unknown`]. `None` if nobody waits for it (any more). After an error it
    /// still waits, and is to be looked at again.
    pub fn rechecked(
        &mut self,
        incident: Uuid,
        outcome: RecheckOutcome,
        why: Option<String>,
        evidence: Vec<EvidenceRef>,
        now: Timestamp,
    ) -> Result<Option<RecheckEvent>, IncidentError> {
        let Some(pending) = self.store.pending_recheck(incident)? else { return Ok(None) };
        let number = pending.number;
        let (event, messages) = self.recheck_messages(pending, outcome, why, evidence, now);
        let finished = self.store.finish_recheck(number, messages)?;
        if finished {
            tracing::info!(%incident, ?outcome, "re-check: {}", event.data.description.en);
        }
        Ok(finished.then_some(event))
    }

    fn recheck_messages(
        &self,
        pending: PendingRecheck,
        outcome: RecheckOutcome,
        why: Option<String>,
        mut evidence: Vec<EvidenceRef>,
        now: Timestamp,
    ) -> (RecheckEvent, Vec<Message>) {
        let PendingRecheck { number, incident: about, case_id, command, asked } = pending;
        let (id, camera) = (about.incident, about.camera.id.clone());
        let publishes = self.config.mqtt.as_ref().is_some_and(|mqtt| mqtt.publish_evidence);
        let mut messages = match &self.topics {
            Some(topics) if publishes => {
                pictures(&mut evidence, |n| topics.recheck_evidence(&camera, id, number, n))
            }
            _ => Vec::new(),
        };
        let why = why.filter(|_| outcome == RecheckOutcome::Unknown);
        let data = Recheck {
            incident: id,
            kind: about.kind,
            description: described(&about.camera.name, &about.zone.name, outcome, why.as_deref()),
            camera: about.camera,
            zone: about.zone,
            outcome,
            why,
            case_id,
            command,
            asked,
            evidence,
        };
        let subject = format!("{camera}/{}", data.zone.id);
        let event = wrapped(&self.config, format!("{id}/recheck/{number}"), "recheck", subject, data, now);
        if let Some(topics) = &self.topics {
            match serde_json::to_vec(&event) {
                Ok(payload) => messages.push(Message {
                    topic: topics.recheck(&camera, id),
                    kind: MessageKind::Incident,
                    payload: Payload::Bytes(payload),
                }),
                // No map with odd keys is in there, so this does not happen.
                Err(error) => tracing::error!(incident = %id, %error, "re-check is no JSON"),
            }
        }
        (event, messages)
    }
}

fn described(camera: &str, zone: &str, outcome: RecheckOutcome, why: Option<&str>) -> Text {
    let why = why.unwrap_or("no picture");
    let (zh, en) = match outcome {
        RecheckOutcome::Cleared => ("已清除".to_owned(), "it is clear".to_owned()),
        RecheckOutcome::StillPresent => ("仍在现场".to_owned(), "it is still there".to_owned()),
        RecheckOutcome::Unknown => (format!("无法确认（{why}）"), format!("nobody can say ({why})")),
    };
    Text {
        zh: format!("核查{camera}“{zone}”：{zh}。"),
        en: format!("Looked again at {zone} at {camera}: {en}."),
    }
}
