//! What was said against what happened: which incident belongs to which situation, and how late and how exact it was.

use serde::{Deserialize, Serialize};

use super::set::Truth;
use crate::config::{RuleKind, Zone};

/// Seconds, beyond the rule's clear time, in which an incident still belongs to a situation that is over.
const SLACK_S: f64 = 10.0;
/// The same for what happens and is over: the next one may follow soon.
const INSTANT_SLACK_S: f64 = 1.0;

/// An incident as the platform was told of it; times in seconds from the first picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Id of the zone.
    pub zone: String,
    /// Id of the scenario.
    pub kind: String,
    /// When the matter was first seen.
    pub first_seen_s: f64,
    /// When it was last seen.
    pub last_seen_s: f64,
    /// When the incident was opened.
    pub opened_s: f64,
    /// When it was closed because the place was clear; `None` if the material ended first.
    pub closed_s: Option<f64>,
    /// Covered share of the zone as last said.
    pub coverage: f32,
    /// Height of the release in metres, with the error it was given.
    pub release_height_m: Option<(f32, f32)>,
    /// Floor of the release, with the error it was given.
    pub floor: Option<(u32, u32)>,
    /// Classes of its objects when it was opened.
    pub classes: Vec<String>,
    /// Boxes of its objects when it was opened.
    pub boxes: Vec<[f32; 4]>,
}

/// What became of a situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An incident belongs to it.
    Found,
    /// Nothing was said.
    Missed,
    /// Nothing needed to be said, and nothing was; or it was, which is no fault.
    Optional,
}

/// A situation and what was said of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Judged {
    /// The situation.
    pub truth: Truth,
    /// What became of it.
    pub outcome: Outcome,
    /// Index of the incident that belongs to it.
    pub said: Option<usize>,
    /// Seconds from the moment at which it had stayed for the rule's dwell (a fall: from its release) to the opening.
    pub opening_delay_s: Option<f64>,
    /// Seconds from the moment at which it had been gone for the rule's clear time to the closing.
    pub closing_delay_s: Option<f64>,
    /// Said minus true covered share.
    pub coverage_error: Option<f32>,
    /// Said minus true height of the release, in metres.
    pub release_error_m: Option<f32>,
    /// Said minus true floor.
    pub floor_error: Option<i32>,
}

/// What an incident was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// It tells of a situation that nobody had told of.
    True,
    /// It tells of one that need not be told of.
    Optional,
    /// It tells of a situation that another incident tells of already: a false one.
    Duplicate,
    /// There is nothing.
    False,
}

impl Worth {
    /// Whether somebody was sent for nothing.
    pub fn is_false(self) -> bool {
        matches!(self, Self::Duplicate | Self::False)
    }
}

/// How one case came out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// Each situation.
    pub truths: Vec<Judged>,
    /// Each incident with its worth.
    pub said: Vec<(Said, Worth)>,
}

/// Assigns incidents to situations: those of the same zone and kind whose times overlap, the longest overlap first, one
/// incident to a situation. `seconds` is the length of the material.
///
/// A situation shorter than its zone's dwell is due to nobody and counts as optional. One that has no time to complete
/// its dwell before the material ends is too.
pub fn score(truths: &[Truth], said: Vec<Said>, zones: &[Zone], seconds: f64) -> Verdict {
    let zone_of = |id: &str| zones.iter().find(|zone| *zone.id.0 == *id);
    let due = |truth: &Truth| {
        let dwell_s = zone_of(&truth.zone).map_or(0.0, dwell_s);
        !truth.optional && truth.to_s.min(seconds) - truth.from_s >= dwell_s
    };
    let mut pairs: Vec<(bool, f64, usize, usize)> = Vec::new();
    for (t, truth) in truths.iter().enumerate() {
        let zone = zone_of(&truth.zone);
        let slack_s = zone.map_or(0.0, slack_s);
        for (s, said) in said.iter().enumerate() {
            if said.zone == truth.zone && said.kind == truth.kind {
                let (from, to) = interval(said, zone, seconds);
                // What lies within the situation itself counts before what only lies in the slack after it.
                let within = to.min(truth.to_s) - from.max(truth.from_s);
                if to >= truth.from_s && from <= truth.to_s + slack_s {
                    pairs.push((due(truth), within, t, s));
                }
            }
        }
    }
    pairs.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)));
    let mut of_truth = vec![None; truths.len()];
    let mut of_said = vec![None; said.len()];
    for &(due, _, t, s) in &pairs {
        match (of_truth[t], of_said[s]) {
            (None, None) => {
                of_truth[t] = Some(s);
                of_said[s] = Some(if due { Worth::True } else { Worth::Optional });
            }
            (Some(_), None) if !due => of_said[s] = Some(Worth::Optional),
            _ => {}
        }
    }
    let duplicates: Vec<usize> = pairs.iter().map(|&(.., s)| s).filter(|s| of_said[*s].is_none()).collect();
    for s in duplicates {
        of_said[s] = Some(Worth::Duplicate);
    }
    let judged = truths.iter().zip(of_truth).map(|(truth, found)| {
        let outcome = match (due(truth), found) {
            (false, _) => Outcome::Optional,
            (true, Some(_)) => Outcome::Found,
            (true, None) => Outcome::Missed,
        };
        judge(truth, outcome, found.map(|s| (s, &said[s])), zone_of(&truth.zone))
    });
    let truths = judged.collect();
    let said = said.into_iter().zip(of_said).map(|(said, worth)| (said, worth.unwrap_or(Worth::False)));
    Verdict { truths, said: said.collect() }
}

/// When an incident says that something was the matter: falls are over when they are known, the rest lasts.
fn interval(said: &Said, zone: Option<&Zone>, seconds: f64) -> (f64, f64) {
    if zone.is_some_and(instant) {
        (said.first_seen_s, said.last_seen_s)
    } else {
        (said.opened_s, said.closed_s.unwrap_or(seconds.max(said.opened_s)))
    }
}

fn instant(zone: &Zone) -> bool {
    zone.rule.kind == RuleKind::ThrownObject
}

fn slack_s(zone: &Zone) -> f64 {
    if instant(zone) { INSTANT_SLACK_S } else { zone.rule.clear_s + SLACK_S }
}

fn dwell_s(zone: &Zone) -> f64 {
    match (instant(zone), zone.scenario.announce_suspected) {
        (true, _) => 0.0,
        (false, true) => zone.rule.suspect_s,
        (false, false) => zone.rule.dwell_s,
    }
}

fn judge(truth: &Truth, outcome: Outcome, found: Option<(usize, &Said)>, zone: Option<&Zone>) -> Judged {
    let said = found.map(|(_, said)| said);
    let clear_s = zone.map_or(0.0, |zone| zone.rule.clear_s);
    let lasting = zone.is_some_and(|zone| !instant(zone));
    let floor = said.and_then(|s| s.floor).zip(truth.floor);
    Judged {
        truth: truth.clone(),
        outcome,
        said: found.map(|(index, _)| index),
        opening_delay_s: said.map(|s| s.opened_s - truth.from_s - zone.map_or(0.0, dwell_s)),
        closing_delay_s: said
            .filter(|_| lasting)
            .and_then(|s| s.closed_s)
            .map(|closed_s| closed_s - truth.to_s - clear_s),
        coverage_error: said.zip(truth.coverage).map(|(s, coverage)| s.coverage - coverage),
        release_error_m: said
            .and_then(|s| s.release_height_m)
            .zip(truth.release_height_m)
            .map(|((height, _), truth)| height - truth),
        floor_error: floor.map(|((said, _), truth)| said as i32 - truth as i32),
    }
}
