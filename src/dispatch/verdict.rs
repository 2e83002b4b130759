//! What the platform decided, as it comes in.

use std::sync::atomic::Ordering;

use super::Shared;
use crate::event::Verdict;
use crate::store::{StoreError, VerdictOutcome};

/// Longest verdict that is read: a case number and some sentences.
const VERDICT_BYTES_MAX: usize = 16 << 10;

/// Keeps a verdict. What cannot be read or names no known incident is logged and counted, and never comes again; only
/// when the store fails (an error) should the broker keep it.
pub(super) fn take(shared: &Shared, topic: &str, payload: &[u8], retained: bool) -> Result<(), StoreError> {
    let refuse = |why: &str| {
        shared.counts.verdicts_refused.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(topic, bytes = payload.len(), "verdict refused: {why}");
    };
    if payload.is_empty() {
        return Ok(()); // A retained verdict was taken away; that is housekeeping of the platform.
    }
    let Some(incident) = shared.topics.verdict_of(topic) else {
        refuse("its topic names no incident id");
        return Ok(());
    };
    if payload.len() > VERDICT_BYTES_MAX {
        refuse("too long");
        return Ok(());
    }
    let verdict: Verdict = match serde_json::from_slice(payload) {
        Ok(verdict) => verdict,
        Err(error) => {
            refuse(&error.to_string());
            return Ok(());
        }
    };
    let kind = verdict.verdict;
    match shared.store.add_verdict(incident, verdict, retained)? {
        VerdictOutcome::Stored => {
            shared.counts.verdicts.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%incident, verdict = ?kind, "verdict");
        }
        VerdictOutcome::Repeated => {}
        VerdictOutcome::UnknownIncident => refuse("no such incident here"),
    }
    Ok(())
}
