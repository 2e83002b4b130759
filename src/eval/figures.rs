//! Counts, rates and delays per kind and stratum, each with what it rests on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::score::{Judged, Outcome, Verdict, Worth};
use super::set::{Strata, Truth};
use super::stops::{self, Stops};

/// What `format` says in a result file.
pub const FORMAT: &str = "gridwatch-eval-result/1";

/// 97.5th percentile of the normal distribution: two-sided 95 %.
const Z: f64 = 1.959_964;

/// A share of some cases, with its Wilson 95 % interval (Wilson 1927).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// How many.
    pub count: usize,
    /// Of how many.
    pub of: usize,
    /// The share, 0..1.
    pub share: f64,
    /// Lower and upper end of the interval.
    pub interval: (f64, f64),
}

impl Rate {
    /// The share of `count` in `of`; `None` of nothing.
    pub fn new(count: usize, of: usize) -> Option<Self> {
        if of == 0 {
            return None;
        }
        let (n, p) = (of as f64, count as f64 / of as f64);
        let middle = p + Z * Z / (2.0 * n);
        let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        let interval = (((middle - reach) / scale).max(0.0), ((middle + reach) / scale).min(1.0));
        Some(Self { count, of, share: p, interval })
    }
}

/// How a figure is spread over its cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The values, ascending.
    pub values: Vec<f64>,
    /// The middle one.
    pub median: f64,
    /// Nine of ten are not above it.
    pub p90: f64,
}

impl Spread {
    /// `None` of nothing.
    pub fn new(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values.get(((values.len() as f64 * share).ceil() as usize).saturating_sub(1));
        let (median, p90) = (*at(0.5)?, *at(0.9)?);
        Some(Self { values, median, p90 })
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.values.last().copied().unwrap_or(0.0)
    }
}

/// The figures of one kind, over all cases or over those of one stratum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Id of the scenario.
    pub kind: String,
    /// Name and value of the stratum; `None`: all.
    pub stratum: Option<(String, String)>,
    /// Cases with a zone of this kind.
    pub cases: usize,
    /// Hours of material, counted once per zone of this kind.
    pub hours: f64,
    /// Situations that were due, found and not.
    pub found: usize,
    /// Situations that were missed.
    pub missed: usize,
    /// Incidents that need not have been said, but are no fault.
    pub optional: usize,
    /// Incidents about nothing, duplicates included.
    pub false_incidents: usize,
    /// Incidents about what another one had told.
    pub duplicates: usize,
    /// False incidents per hour of one camera's zone.
    pub false_per_hour: Option<f64>,
    /// Incidents that were worth it.
    pub precision: Option<Rate>,
    /// Situations that were found.
    pub recall: Option<Rate>,
    /// Seconds from the complete dwell (a fall: the release) to the opening.
    pub opening_delay_s: Option<Spread>,
    /// Seconds from the complete clear time to the closing.
    pub closing_delay_s: Option<Spread>,
    /// Error of the covered share, without its sign.
    pub coverage_error: Option<Spread>,
    /// Error of the release height in metres, without its sign.
    pub release_error_m: Option<Spread>,
    /// Release heights right within 3 m.
    pub release_within_3_m: Option<Rate>,
    /// Floors right.
    pub floor_right: Option<Rate>,
}

/// One case and how it came out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case's name.
    pub name: String,
    /// What it is like.
    pub strata: Strata,
    /// Kinds of its zones, one per zone.
    pub kinds: Vec<String>,
    /// Length in seconds.
    pub seconds: f64,
    /// Pictures that were looked at.
    pub pictures: u64,
    /// Incidents and situations.
    pub verdict: Verdict,
    /// Vehicles that stand, if the case has boxes.
    pub stops: Option<Stops>,
    /// Why it could not be played.
    pub error: Option<String>,
}

/// All that came out; also the result file that `--compare` reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// Always `gridwatch-eval-result/1`.
    pub format: String,
    /// The set's folder as it was named.
    pub set: String,
    /// Version of gridwatch.
    pub version: String,
    /// When it was run, RFC 3339, UTC.
    pub at: String,
    /// Models that looked, by name and hash.
    pub models: BTreeSet<String>,
    /// Per kind: all, then each stratum.
    pub rows: Vec<Row>,
    /// Vehicles that stand, over all cases with boxes, then by stratum.
    pub stops: Vec<stops::Row>,
    /// Each case.
    pub cases: Vec<CaseResult>,
}

/// Counts what came out, per kind and stratum.
pub fn figures(cases: &[CaseResult]) -> Vec<Row> {
    let kinds: BTreeSet<&String> = cases.iter().flat_map(|case| &case.kinds).collect();
    let mut rows = Vec::new();
    for kind in kinds {
        rows.push(row(cases, kind, None));
        for (name, value) in strata(cases, kind) {
            rows.push(row(cases, kind, Some((name, value))));
        }
    }
    rows
}

/// All strata of a kind's cases and situations, in the order of their names.
fn strata(cases: &[CaseResult], kind: &String) -> BTreeSet<(String, String)> {
    let of_kind = cases.iter().filter(|case| case.kinds.contains(kind));
    let pairs = of_kind.flat_map(|case| {
        let truths = case.verdict.truths.iter().filter(|judged| judged.truth.kind == *kind);
        case.strata.iter().chain(truths.flat_map(|judged| &judged.truth.strata))
    });
    pairs.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn has(strata: &Strata, stratum: &(String, String)) -> bool {
    strata.get(&stratum.0) == Some(&stratum.1)
}

/// The figures of one kind. A stratum of situations (not of cases) has no false incidents of its own: nobody can say what
/// an incident about nothing would have been like.
fn row(cases: &[CaseResult], kind: &str, stratum: Option<(String, String)>) -> Row {
    let of_case = |case: &CaseResult| stratum.as_ref().is_none_or(|s| has(&case.strata, s));
    let of_truth = |truth: &Truth| stratum.as_ref().is_none_or(|s| has(&truth.strata, s));
    let zones = |case: &CaseResult| case.kinds.iter().filter(|k| *k == kind).count();
    let whole: Vec<&CaseResult> = cases.iter().filter(|c| zones(c) > 0 && of_case(c)).collect();
    let judged: Vec<&Judged> = cases
        .iter()
        .flat_map(|case| case.verdict.truths.iter().map(move |judged| (case, judged)))
        .filter(|(case, judged)| judged.truth.kind == kind && (of_case(case) || of_truth(&judged.truth)))
        .map(|(_, judged)| judged)
        .collect();
    let worths: Vec<Worth> = whole
        .iter()
        .flat_map(|case| &case.verdict.said)
        .filter(|(said, _)| said.kind == kind)
        .map(|(_, worth)| *worth)
        .collect();
    let count = |outcome: Outcome| judged.iter().filter(|j| j.outcome == outcome).count();
    let worth = |worth: Worth| worths.iter().filter(|w| **w == worth).count();
    let (found, missed) = (count(Outcome::Found), count(Outcome::Missed));
    let false_incidents = worths.iter().filter(|w| w.is_false()).count();
    let hours = whole.iter().map(|case| case.seconds / 3600.0 * zones(case) as f64).sum();
    let right = worth(Worth::True);
    let spread = |value: &dyn Fn(&Judged) -> Option<f64>| {
        Spread::new(judged.iter().filter(|j| j.outcome == Outcome::Found).filter_map(|j| value(j)))
    };
    let releases: Vec<f32> = judged.iter().filter_map(|j| j.release_error_m).collect();
    let floors: Vec<i32> = judged.iter().filter_map(|j| j.floor_error).collect();
    Row {
        kind: kind.to_owned(),
        cases: whole.len(),
        hours,
        found,
        missed,
        optional: worth(Worth::Optional),
        false_incidents,
        duplicates: worth(Worth::Duplicate),
        false_per_hour: (hours > 0.0).then(|| false_incidents as f64 / hours),
        precision: Rate::new(right, right + false_incidents),
        recall: Rate::new(found, found + missed),
        opening_delay_s: spread(&|j| j.opening_delay_s),
        closing_delay_s: spread(&|j| j.closing_delay_s),
        coverage_error: spread(&|j| j.coverage_error.map(|e| f64::from(e.abs()))),
        release_error_m: spread(&|j| j.release_error_m.map(|e| f64::from(e.abs()))),
        release_within_3_m: Rate::new(releases.iter().filter(|e| e.abs() <= 3.0).count(), releases.len()),
        floor_right: Rate::new(floors.iter().filter(|e| **e == 0).count(), floors.len()),
        stratum,
    }
}

/// Rows of two results that stand for the same, by kind and stratum.
pub fn side_by_side<'a>(now: &'a Figures, before: &'a Figures) -> Vec<(&'a Row, Option<&'a Row>)> {
    let key = |row: &Row| (row.kind.clone(), row.stratum.clone());
    let old: BTreeMap<_, _> = before.rows.iter().map(|row| (key(row), row)).collect();
    now.rows.iter().map(|row| (row, old.get(&key(row)).copied())).collect()
}

/// What changed in a case from one result to another: situations found or lost, false incidents come or gone.
pub fn changes(now: &Figures, before: &Figures) -> Vec<String> {
    let old: BTreeMap<&str, &CaseResult> =
        before.cases.iter().map(|case| (case.name.as_str(), case)).collect();
    let mut changes = Vec::new();
    for case in &now.cases {
        let Some(was) = old.get(case.name.as_str()) else {
            changes.push(format!("{}: new case", case.name));
            continue;
        };
        for (a, b) in was.verdict.truths.iter().zip(&case.verdict.truths) {
            if a.outcome != b.outcome {
                let (kind, from_s) = (&b.truth.kind, b.truth.from_s);
                let word = |o: Outcome| format!("{o:?}").to_lowercase();
                changes.push(format!(
                    "{}: {kind} at {from_s:.1} s was {}, is {}",
                    case.name,
                    word(a.outcome),
                    word(b.outcome)
                ));
            }
        }
        let count = |c: &CaseResult| c.verdict.said.iter().filter(|(_, worth)| worth.is_false()).count();
        if count(was) != count(case) {
            changes.push(format!("{}: {} false incidents, were {}", case.name, count(case), count(was)));
        }
        let missed = |c: &CaseResult| c.stops.as_ref().map(|s| (s.missed(), s.false_events()));
        if missed(was) != missed(case)
            && let (Some((m0, f0)), Some((m1, f1))) = (missed(was), missed(case))
        {
            changes.push(format!("{}: {m1} stops missed and {f1} false, were {m0} and {f0}", case.name));
        }
    }
    changes
}
