//! Compares what was staged with what was heard.

use std::collections::BTreeSet;

use gridwatch::event::{Certainty, IncidentEvent, Phase};
use uuid::Uuid;

use super::audit::Books;
use super::rig::Clock;
use super::scenes::{Camera, KEY_EVERY_S, Staged};

/// Seconds after the end of a fault, or after the daemon says that it watches, from which a camera has to be watched: the
/// promised 3 s and the key interval, and one for a busy machine.
pub const BACK_S: f64 = 3.0 + KEY_EVERY_S + 1.0;
/// The same after a refused password: the daemon asks again after a minute, so that no camera locks it out.
pub const BACK_AFTER_REFUSAL_S: f64 = 66.0;
/// Seconds before and after something that is over at once within which nothing may be wrong: what finds it has to know
/// the usual look of the place first.
const INSTANT_S: (f64, f64) = (15.0, 2.0);
/// How long after its end a matter may still be stated; before its beginning nothing may be.
const AFTER_S: f64 = 10.0;
/// How much before its time a matter may be stated: truth is written in half seconds.
const EARLY_S: f64 = 2.0;
/// Seconds after a matter's end within which its incident has to be closed while everything is well: the zone's clear time
/// and two key intervals; something that is over at once waits for its clip.
const CLOSES_S: f64 = 20.0;

/// A stretch of time.
pub type Span = (f64, f64);

/// What a run came to.
#[derive(Default)]
pub struct Verdict {
    pub staged: usize,
    /// Staged while the camera was well and the daemon alive without a break for long enough.
    pub due: usize,
    pub lost: Vec<String>,
    /// Staged while both were so for long enough in all, with breaks.
    pub due_in_pieces: usize,
    pub lost_in_pieces: Vec<String>,
    /// Due, and told of by an incident that was open since an earlier matter in the same place: nobody saw the time between.
    pub in_one: usize,
    /// Found though it was not due.
    pub found_besides: usize,
    pub opened_twice: Vec<String>,
    pub open_for_ever: Vec<String>,
    pub unstaged: Vec<String>,
    /// Seconds from the moment a due matter had to be stated, dwell complete, to the statement.
    pub delays_s: Vec<f64>,
}

/// One incident as the platform knows it.
struct Known<'a> {
    id: Uuid,
    camera: &'a str,
    zone: &'a str,
    opened: f64,
    confirmed: Option<f64>,
    closed: Option<f64>,
}

fn known<'a>(books: &'a Books, clock: &Clock) -> Vec<Known<'a>> {
    let of = |(&id, statements): (&Uuid, &'a std::collections::BTreeMap<u32, super::audit::Statement>)| {
        let said = |event: &IncidentEvent| clock.of(event.time);
        let first = &statements.first_key_value()?.1.event;
        let confirmed = statements.values().find(|s| s.event.data.certainty == Certainty::Confirmed);
        let closed = statements.values().find(|s| s.event.data.phase == Phase::Closed);
        Some(Known {
            id,
            camera: first.data.camera.id.as_str(),
            zone: &first.data.zone.id.0,
            opened: said(first),
            confirmed: confirmed.map(|s| said(&s.event)),
            closed: closed.map(|s| said(&s.event)),
        })
    };
    books.incidents.iter().filter_map(of).collect()
}

/// What is left of a span without the bad ones.
fn clean(span: Span, bad: &[Span]) -> Vec<Span> {
    let mut left = vec![span];
    for &(from, to) in bad {
        left = left
            .into_iter()
            .flat_map(|(a, b)| [(a, b.min(from)), (a.max(to), b)])
            .filter(|(a, b)| b > a)
            .collect();
    }
    left
}

/// `bad`: for each camera, when it was not well or nobody watched; everything was well from `settles` on, listening ended
/// at `until`.
pub fn judge(
    books: &Books,
    cameras: &[Camera],
    bad: &[Vec<Span>],
    clock: &Clock,
    (settles, until): (f64, f64),
) -> Verdict {
    let known = known(books, clock);
    let mut verdict = Verdict::default();
    let mut explained: BTreeSet<Uuid> = BTreeSet::new();
    for (n, camera) in cameras.iter().enumerate() {
        let staged: Vec<Staged> = camera.staged(until);
        let of_camera: Vec<&Known> = known.iter().filter(|incident| incident.camera == camera.id).collect();
        for matter in staged {
            let of_zone = of_camera.iter().filter(|incident| incident.zone == matter.zone);
            // Opened in its time: what the matter is to be blamed for.
            let may_open =
                (matter.from + matter.dwell_s.unwrap_or(0.0).min(3.0) - EARLY_S, matter.to + AFTER_S);
            let opened: Vec<&&Known> =
                of_zone.clone().filter(|i| i.opened >= may_open.0 && i.opened <= may_open.1).collect();
            explained.extend(opened.iter().map(|incident| incident.id));
            // The platform knew of it: an incident was confirmed, and not closed, at some time while it was there.
            let due_at = matter.from + matter.dwell_s.unwrap_or(0.0) - EARLY_S;
            let told = of_zone
                .filter_map(|i| Some((i.confirmed?, i.closed.unwrap_or(f64::INFINITY))))
                .filter(|&(confirmed, closed)| confirmed <= matter.to + AFTER_S && closed >= due_at);
            let told = told.map(|(confirmed, _)| confirmed).reduce(f64::max);
            let line = || {
                let at = format!("{}/{} {:.0}-{:.0}", camera.id, matter.zone, matter.from, matter.to);
                let bad: Vec<_> = bad[n].iter().filter(|b| b.1 > matter.from && b.0 < matter.to).collect();
                format!("{at}, not well {bad:.1?}")
            };
            if opened.len() > 1 {
                let ids: Vec<_> = opened.iter().map(|i| format!("{} at {:.1}", i.id, i.opened)).collect();
                verdict.opened_twice.push(format!("{}: {}", line(), ids.join(", ")));
            }
            if matter.from < 0.0 || matter.to + AFTER_S > until {
                continue;
            }
            verdict.staged += 1;
            let (whole, pieces, due_from) = if let Some(dwell_s) = matter.dwell_s {
                let stretches = clean((matter.from, matter.to), &bad[n]);
                let whole = stretches.iter().find(|(a, b)| b - a >= dwell_s + matter.late_s);
                let all: f64 = stretches.iter().map(|(a, b)| (b - a - matter.late_s).max(0.0)).sum();
                (whole.is_some(), all >= dwell_s, whole.map(|(from, _)| from + dwell_s))
            } else {
                let around = (matter.from - INSTANT_S.0, matter.to + INSTANT_S.1);
                let whole = clean(around, &bad[n]) == [around];
                (whole, whole, whole.then_some(matter.from))
            };
            match (whole, pieces, told) {
                (true, _, Some(at)) => {
                    verdict.due += 1;
                    verdict.in_one += usize::from(at < due_at);
                    verdict.delays_s.extend(due_from.map(|from| (at - from).max(0.0)));
                }
                (true, _, None) => {
                    verdict.due += 1;
                    verdict.lost.push(line());
                }
                (false, true, Some(_)) => verdict.due_in_pieces += 1,
                (false, true, None) => {
                    verdict.due_in_pieces += 1;
                    verdict.lost_in_pieces.push(line());
                }
                (false, false, Some(_)) => verdict.found_besides += 1,
                (false, false, None) => {}
            }
        }
    }
    for incident in &known {
        let Known { id, camera, zone, opened, .. } = incident;
        let line = format!("{camera}/{zone} {id} opened at {opened:.1}");
        if !explained.contains(id) {
            verdict.unstaged.push(line.clone());
        }
        // Still open after the first end of a matter at a time when everything is well.
        let Some(n) = cameras.iter().position(|camera| camera.id == incident.camera) else { continue };
        let well = opened.max(settles);
        let ends = cameras[n].staged(until).into_iter().filter(|matter| matter.zone == *zone);
        let over = ends.map(|matter| matter.to).filter(|&to| to >= well).fold(f64::INFINITY, f64::min);
        // Where nothing ever happens, whatever was opened is over at once.
        let over = if cameras[n].stages(zone) { over } else { well };
        if over + CLOSES_S <= until && incident.closed.is_none_or(|closed| closed > over + CLOSES_S) {
            verdict.open_for_ever.push(format!("{line}, over at {over:.0}, closed {:.1?}", incident.closed));
        }
    }
    verdict
}
