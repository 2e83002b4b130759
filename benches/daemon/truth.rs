//! What should have been said, and what was.

use gridwatch::event::{IncidentEvent, Phase};
use gridwatch::simulate::Server;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

use super::material::{KEY_EVERY_S, Scene};

/// When and for how long a camera was watched.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// How a run compares with what happened.
#[derive(Debug, Clone, Default)]
pub struct Score {
    pub due: usize,
    pub found: usize,
    pub unexpected: usize,
    /// Seconds from the complete dwell to the confirmation, of those found; sorted.
    pub delays_s: Vec<f64>,
    /// What was missed and what was unexpected, for people.
    pub notes: Vec<String>,
}

/// Dwell that the bench's zones are configured with, in seconds; falls have none.
const DWELL_S: f64 = 10.0;
/// How much before its time something may be confirmed: truth is written in half seconds.
const EARLY_S: f64 = 2.0;
/// How long after its end something may still be confirmed or suspected.
const AFTER_S: f64 = 10.0;

impl Score {
    /// Compares what was heard with the incidents of cameras that play `scenes` in turn, all cameras at other places.
    pub fn of(
        heard: &[(Timestamp, IncidentEvent)],
        cameras: &[(usize, &Scene)],
        started: Timestamp,
        span: Span,
    ) -> Self {
        let mut score = Self::default();
        // The last statement about each incident holds all that is known of it.
        let mut last: BTreeMap<uuid::Uuid, &IncidentEvent> = BTreeMap::new();
        for (_, event) in heard {
            last.insert(event.data.incident, event);
        }
        for &(n, scene) in cameras {
            let camera = format!("cam{}", n + 1);
            let began = started - seconds(Server::ahead(n) * scene.period_s);
            for zone in &scene.zones {
                let dwell_s = if zone.scenario == "thrown_object" { 0.0 } else { DWELL_S };
                let confirmed: Vec<Timestamp> = last
                    .values()
                    .filter(|e| e.data.camera.id.as_str() == camera && *e.data.zone.id.0 == *zone.id)
                    .filter_map(|e| e.data.confirmed_at)
                    .collect();
                let mut used = vec![false; confirmed.len()];
                let mut round =
                    (span.from.duration_since(began).as_secs_f64() / scene.period_s).floor() - 1.0;
                while began + seconds(round * scene.period_s) < span.to {
                    for &(from_s, to_s) in &zone.incidents {
                        let from = began + seconds(round * scene.period_s + from_s);
                        let (to, due_at) = (from + seconds(to_s - from_s), from + seconds(dwell_s));
                        let found = confirmed.iter().zip(&mut used).find(|(at, used)| {
                            !**used && **at >= due_at - seconds(EARLY_S) && **at <= to + seconds(AFTER_S)
                        });
                        let whole = from >= span.from + seconds(KEY_EVERY_S)
                            && due_at + seconds(KEY_EVERY_S + 4.0) <= span.to;
                        score.due += usize::from(whole);
                        match found {
                            Some((at, used)) => {
                                *used = true;
                                if whole {
                                    score.found += 1;
                                    score.delays_s.push(at.duration_since(due_at).as_secs_f64());
                                }
                            }
                            None if whole => {
                                score.notes.push(format!("missed {camera}/{} at {from:.0}", zone.id));
                            }
                            None => {}
                        }
                    }
                    round += 1.0;
                }
                for (at, _) in confirmed.iter().zip(used).filter(|(_, used)| !used) {
                    score.unexpected += 1;
                    score.notes.push(format!("unexpected {camera}/{} at {at:.0}", zone.id));
                }
            }
        }
        score.delays_s.sort_by(f64::total_cmp);
        score
    }
}

/// Seconds from the capture of the picture that satisfied a rule to the message at the broker, of every opening and
/// confirmation; and which part of it had passed when the statement was made.
pub fn latencies(heard: &[(Timestamp, IncidentEvent)], span: Span) -> Vec<(f64, f64)> {
    let mut confirmed = std::collections::BTreeSet::new();
    let mut found = Vec::new();
    for (at, event) in heard {
        let incident = &event.data;
        if incident.kind == "thrown_object" || *at < span.from || *at > span.to {
            continue;
        }
        let captured = match incident.confirmed_at {
            Some(confirmed_at) if confirmed.insert(incident.incident) => confirmed_at,
            None if incident.phase == Phase::Opened => incident.last_seen,
            _ => continue,
        };
        let since = |t: Timestamp| t.duration_since(captured).as_secs_f64();
        found.push((since(*at), since(event.time)));
    }
    found
}

/// The value that this share of sorted values does not exceed; NaN if there are none.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

fn seconds(s: f64) -> SignedDuration {
    SignedDuration::from_secs_f64(s)
}
