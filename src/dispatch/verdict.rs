//! What the platform decided, as it comes in.

use std::sync::atomic::Ordering;

use uuid::Uuid;

use super::Shared;
use crate::event::{Verdict, VerdictOutcome, VerdictReply};
use crate::store::{RecheckAsked, StoreError, Taken};

/// Longest verdict that is read: a case number and some sentences.
const VERDICT_BYTES_MAX: usize = 16 << 10;
/// Longest case number: incidents carry it on.
const CASE_ID_CHARS_MAX: usize = 128;

/// Keeps a verdict and says what became of it, once that is on disk. What cannot be read or names no known incident is
/// logged and counted, and never comes again; only when the store fails (an error) should the broker keep it.
pub(super) fn take(
    shared: &Shared,
    topic: &str,
    payload: &[u8],
    retained: bool,
) -> Result<Option<VerdictReply>, StoreError> {
    if payload.is_empty() {
        return Ok(None); // A retained verdict was taken away; that is housekeeping of the platform.
    }
    let incident = shared.topics.verdict_of(topic);
    let (outcome, detail) = match read(incident, payload) {
        Err(why) => (VerdictOutcome::Malformed, why),
        Ok((incident, verdict)) => {
            let kind = verdict.verdict;
            let taken = shared.store.add_verdict(incident, verdict, retained)?;
            let detail = in_words(taken);
            if taken.outcome == VerdictOutcome::Stored {
                tracing::info!(%incident, verdict = ?kind, "verdict: {detail}");
            }
            (taken.outcome, detail.to_owned())
        }
    };
    match outcome {
        VerdictOutcome::Stored => _ = shared.counts.verdicts.fetch_add(1, Ordering::Relaxed),
        VerdictOutcome::Repeated => {}
        VerdictOutcome::UnknownIncident | VerdictOutcome::Malformed => {
            shared.counts.verdicts_refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(topic, bytes = payload.len(), "verdict refused: {detail}");
        }
    }
    Ok(Some(VerdictReply { incident, outcome, detail }))
}

/// The verdict, or why it is none: where, but not what, for nothing that came in goes out again.
fn read(incident: Option<Uuid>, payload: &[u8]) -> Result<(Uuid, Verdict), String> {
    let incident = incident.ok_or("its topic names no incident id")?;
    if payload.len() > VERDICT_BYTES_MAX {
        return Err(format!("longer than {VERDICT_BYTES_MAX} bytes"));
    }
    let verdict: Verdict = serde_json::from_slice(payload)
        .map_err(|error| format!("not a verdict, at line {}, column {}", error.line(), error.column()))?;
    if verdict.case_id.as_ref().is_some_and(|id| id.chars().count() > CASE_ID_CHARS_MAX) {
        return Err(format!("`case_id` is longer than {CASE_ID_CHARS_MAX} characters"));
    }
    Ok((incident, verdict))
}

fn in_words(taken: Taken) -> &'static str {
    match (taken.outcome, taken.recheck) {
        (VerdictOutcome::Stored, Some(RecheckAsked::Waits)) => "stored; the place will be looked at again",
        (VerdictOutcome::Stored, Some(_)) => {
            "stored; the place is not looked at again, too many others wait for that"
        }
        (VerdictOutcome::Stored, None) => "stored",
        (VerdictOutcome::Repeated, _) => "known already",
        (VerdictOutcome::UnknownIncident, _) => "no such incident here",
        (VerdictOutcome::Malformed, _) => "not a verdict",
    }
}
