//! More cameras than compute (patrol, 轮巡): a group's cameras are visited in turn, some at a time.
//!
//! Pure: time is a `Duration` handed in, what happened is handed in, and what is to be done comes out. Who has waited
//! longest since the last visit, in seconds times priority, goes next.
//!
//! | happens | policy |
//! |---|---|
//! | a camera is away | its turn passes to the next; it is among the first when it is back |
//! | it goes away while visited | the visit ends, the slot goes to the next |
//! | something there is not decided yet ([`Event::Urgent`]) | its visit goes on, or it comes sooner; at most a quarter of all visits are such |
//! | nobody else waits | the visit goes on |
//! | the caller comes late | the next visit is the shorter for it, by at most a quarter: rounds stay on time |
//! | a poll (一键轮询) | visits are broken off, each camera asked gives one picture, then what was left of the visits goes on |
//! | cameras are connected for visits only | the next ones are connected ahead; who cannot be reached is tried again ever more rarely, besides the others |
//!
//! With `N` cameras of one priority, each is visited every `N × dwell / slots` seconds. No camera that is there waits for
//! longer than `2 × dwell + 8/3 × dwell / slots × (N + P / p)`, `p` being its priority and `P` the sum of all. Whoever is
//! preferred to one that has waited for `t` must have waited for `t × p / p'` since its own last visit, so in the second
//! half of a wait each other camera comes at most `1 + p' / p` times; and three quarters of the visits go by this order.

mod connections;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::config::{Connected, PatrolPlan};
use crate::frame::CameraId;

/// Urgent visits that each visit in turn makes room for: a quarter of all at most.
const URGENT_PER_VISIT: f64 = 1.0 / 3.0;
/// A visit goes on for an urgent camera at most so often; then others that are urgent may have their turn.
const PROLONGED_MAX: u32 = 5;
/// Share of a visit that may be lost to a late caller.
const LATE_SHARE_MAX: f64 = 0.25;
/// A polled camera that is there must give its picture within this time: the longest usual key interval.
const POLL_PICTURE: Duration = Duration::from_secs(10);
/// A poll is over after this time, whoever has not answered.
const POLL: Duration = Duration::from_secs(25);

/// What happened to a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It delivers pictures.
    Online(CameraId),
    /// It delivers none any more.
    Offline(CameraId),
    /// Whether something there is not decided yet, so that it should be looked at again soon.
    Urgent(CameraId, bool),
    /// The picture asked for by [`Change::Take`] has been taken.
    Taken(CameraId),
}

/// What is to be done with a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Connect to it and stay connected.
    Connect(CameraId),
    /// Close its connection.
    Disconnect(CameraId),
    /// Its visit begins: look at its pictures as its rules need.
    Begin(CameraId),
    /// Its visit ends: keep its pictures compressed.
    End(CameraId),
    /// Take one picture for the running poll, then say [`Event::Taken`].
    Take(CameraId),
    /// The running poll gets no picture of it.
    Missed(CameraId, Missed),
    /// The running poll is over.
    Polled,
}

impl Change {
    /// Whom it concerns.
    pub fn camera(&self) -> Option<&CameraId> {
        match self {
            Self::Connect(camera)
            | Self::Disconnect(camera)
            | Self::Begin(camera)
            | Self::End(camera)
            | Self::Take(camera)
            | Self::Missed(camera, _) => Some(camera),
            Self::Polled => None,
        }
    }
}

/// Why a poll gets no picture of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// It cannot be reached.
    Offline,
    /// It is there, but no picture of it was taken in time.
    NoPicture,
    /// Its turn did not come in time.
    NoTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// Not wanted.
    Off,
    /// Wanted since then; no pictures yet.
    Awaited(Duration),
    /// Delivers pictures.
    Online,
}

#[derive(Debug)]
struct Member {
    camera: CameraId,
    priority: f64,
    link: Link,
    /// When its last visit ended, or when the patrol began.
    since: Duration,
    was_visited: bool,
    visiting: bool,
    urgent: bool,
    /// How often in a row it could not be reached, and when to try again.
    failures: u32,
    retry_at: Duration,
}

impl Member {
    fn is_ready(&self) -> bool {
        self.link == Link::Online && !self.visiting
    }

    /// Seconds since the last visit, weighted.
    fn staleness(&self, now: Duration) -> f64 {
        now.saturating_sub(self.since).as_secs_f64() * self.priority
    }
}

#[derive(Debug, Clone, Copy)]
struct Visit {
    member: usize,
    ends: Duration,
    prolonged: u32,
}

#[derive(Debug)]
struct Poll {
    ends: Duration,
    waiting: VecDeque<usize>,
    /// Who is being asked, and until when.
    asked: Vec<(usize, Duration)>,
    /// Visits that were broken off, and what was left of each.
    broken_off: Vec<(usize, Duration)>,
}

impl Poll {
    /// Whether the poll has a use for this camera's connection.
    fn holds(&self, index: usize) -> bool {
        let asked = || self.asked.iter().chain(&self.broken_off).any(|(member, _)| *member == index);
        self.waiting.contains(&index) || asked()
    }
}

/// The patrol of one group.
#[derive(Debug)]
pub struct Patrol {
    slots: usize,
    dwell: Duration,
    connected: Connected,
    connect_ahead: Duration,
    members: Vec<Member>,
    index: HashMap<CameraId, usize>,
    visits: Vec<Visit>,
    /// Since when each free slot is free; a time to come: it opens then.
    free: Vec<Duration>,
    /// Urgent visits that may be made now.
    credit: f64,
    poll: Option<Poll>,
    begun: bool,
}

impl Patrol {
    /// A patrol that begins with its first step; the cameras with their priorities, 1 being normal.
    pub fn new(plan: &PatrolPlan, cameras: &[(CameraId, f64)]) -> Self {
        let member = |(camera, priority): &(CameraId, f64)| Member {
            camera: camera.clone(),
            priority: *priority,
            link: Link::Off,
            since: Duration::ZERO,
            was_visited: false,
            visiting: false,
            urgent: false,
            failures: 0,
            retry_at: Duration::ZERO,
        };
        Self {
            slots: plan.slots.max(1),
            dwell: Duration::from_secs_f64(plan.dwell_s),
            connected: plan.connected,
            connect_ahead: Duration::from_secs_f64(plan.connect_ahead_s),
            members: cameras.iter().map(member).collect(),
            index: cameras.iter().enumerate().map(|(i, (camera, _))| (camera.clone(), i)).collect(),
            visits: Vec::new(),
            free: Vec::new(),
            credit: 0.0,
            poll: None,
            begun: false,
        }
    }

    /// Takes what happened since the last step and says what is to be done now, in this order. To be called when
    /// something has happened, and some times a second.
    pub fn step(&mut self, now: Duration, events: &[Event]) -> Vec<Change> {
        let mut changes = Vec::new();
        if !self.begun {
            self.begin(now, &mut changes);
        }
        for event in events {
            self.note(now, event, &mut changes);
        }
        self.go_on(now, &mut changes);
        changes
    }

    /// Begins a poll of these cameras, in this order; those that are no members, or named twice, are left out. A poll that
    /// still runs ends: [`Change::Missed`] for whoever has not answered, then [`Change::Polled`].
    pub fn poll(&mut self, cameras: &[CameraId], now: Duration) -> Vec<Change> {
        let mut changes = Vec::new();
        if !self.begun {
            self.begin(now, &mut changes);
        }
        self.end_poll(now, &mut changes);
        let mut waiting: VecDeque<usize> = VecDeque::new();
        let mut named = vec![false; self.members.len()];
        for &member in cameras.iter().filter_map(|camera| self.index.get(camera)) {
            if !std::mem::replace(&mut named[member], true) {
                waiting.push_back(member);
            }
        }
        let mut broken_off = Vec::new();
        for visit in std::mem::take(&mut self.visits) {
            broken_off.push((visit.member, visit.ends.saturating_sub(now)));
            self.leave(visit.member, now, &mut changes);
        }
        self.poll = Some(Poll { ends: now + POLL, waiting, asked: Vec::new(), broken_off });
        self.go_on(now, &mut changes);
        changes
    }

    /// Every camera with the time since its last visit ended, zero while it is visited; `None`: it was never visited.
    pub fn staleness(&self, now: Duration) -> impl Iterator<Item = (&CameraId, Option<Duration>)> {
        self.members.iter().map(move |member| {
            let waited = if member.visiting { Duration::ZERO } else { now.saturating_sub(member.since) };
            (&member.camera, member.was_visited.then_some(waited))
        })
    }

    /// Time from visit to visit when all cameras are there, have one priority, and nothing is urgent.
    pub fn round(&self) -> Duration {
        self.dwell.mul_f64(self.members.len().max(self.slots) as f64 / self.slots as f64)
    }

    fn begin(&mut self, now: Duration, changes: &mut Vec<Change>) {
        self.begun = true;
        // One after the other, so that not all slots change cameras at once.
        self.free =
            (0..self.slots).map(|slot| now + self.dwell.mul_f64(slot as f64 / self.slots as f64)).collect();
        for member in &mut self.members {
            member.since = now;
            if self.connected == Connected::Always {
                member.link = Link::Awaited(now);
                changes.push(Change::Connect(member.camera.clone()));
            }
        }
    }

    fn note(&mut self, now: Duration, event: &Event, changes: &mut Vec<Change>) {
        let (Event::Online(camera)
        | Event::Offline(camera)
        | Event::Urgent(camera, _)
        | Event::Taken(camera)) = event;
        let Some(&index) = self.index.get(camera) else { return };
        let member = &mut self.members[index];
        match event {
            // Whose connection is closed is not there, whatever it said last.
            Event::Online(_) if member.link == Link::Off => {}
            Event::Online(_) => (member.link, member.failures) = (Link::Online, 0),
            Event::Offline(_) => {
                if member.link == Link::Online {
                    member.link = Link::Awaited(now);
                }
                if let Some(place) = self.visits.iter().position(|visit| visit.member == index) {
                    self.visits.remove(place);
                    self.free.push(now);
                    self.leave(index, now, changes);
                }
            }
            Event::Urgent(_, urgent) => member.urgent = *urgent,
            Event::Taken(_) => {
                if let Some(poll) = &mut self.poll {
                    poll.asked.retain(|(asked, _)| *asked != index);
                }
            }
        }
    }

    fn go_on(&mut self, now: Duration, changes: &mut Vec<Change>) {
        self.poll_on(now, changes);
        if self.poll.is_none() {
            self.end_visits(now, changes);
            self.begin_visits(now, changes);
        }
        if self.connected == Connected::Visits {
            self.connect_on(now, changes);
        }
    }

    fn poll_on(&mut self, now: Duration, changes: &mut Vec<Change>) {
        let Some(poll) = &mut self.poll else { return };
        let (members, always) = (&self.members, self.connected == Connected::Always);
        let mut miss = |index: usize, why| {
            changes.push(Change::Missed(members[index].camera.clone(), why));
            false
        };
        poll.asked.retain(|&(index, until)| match members[index].link {
            Link::Online if now < until => true,
            Link::Online => miss(index, Missed::NoPicture),
            Link::Off | Link::Awaited(_) => miss(index, Missed::Offline),
        });
        // Who should always be there, and is not, is not waited for.
        let there = |index: usize| members[index].link == Link::Online;
        poll.waiting.retain(|&index| !always || there(index) || miss(index, Missed::Offline));
        while poll.asked.len() < self.slots && now < poll.ends {
            let ready = poll.waiting.iter().position(|&index| there(index));
            let Some(index) = ready.and_then(|place| poll.waiting.remove(place)) else { break };
            poll.asked.push((index, now + POLL_PICTURE));
            changes.push(Change::Take(members[index].camera.clone()));
        }
        if now >= poll.ends || (poll.waiting.is_empty() && poll.asked.is_empty()) {
            self.end_poll(now, changes);
        }
    }

    /// Ends the running poll, and goes on with the visits that it broke off.
    fn end_poll(&mut self, now: Duration, changes: &mut Vec<Change>) {
        let Some(poll) = self.poll.take() else { return };
        let asked = poll.asked.iter().map(|(index, _)| (*index, Missed::NoPicture));
        let waiting = poll.waiting.iter().map(|index| (*index, Missed::NoTime));
        for (index, why) in asked.chain(waiting) {
            let member = &self.members[index];
            let why = if member.link == Link::Online { why } else { Missed::Offline };
            changes.push(Change::Missed(member.camera.clone(), why));
        }
        changes.push(Change::Polled);
        self.free = vec![now; self.slots];
        for (index, left) in poll.broken_off {
            if self.members[index].is_ready() && self.free.pop().is_some() {
                self.enter(index, now + left, changes);
            }
        }
    }

    fn enter(&mut self, index: usize, ends: Duration, changes: &mut Vec<Change>) {
        let member = &mut self.members[index];
        (member.visiting, member.was_visited) = (true, true);
        self.visits.push(Visit { member: index, ends, prolonged: 0 });
        changes.push(Change::Begin(member.camera.clone()));
    }

    fn leave(&mut self, index: usize, now: Duration, changes: &mut Vec<Change>) {
        let member = &mut self.members[index];
        (member.visiting, member.since) = (false, now);
        changes.push(Change::End(member.camera.clone()));
    }

    fn end_visits(&mut self, now: Duration, changes: &mut Vec<Change>) {
        self.visits.sort_by_key(|visit| visit.ends);
        let over = self.visits.iter().take_while(|visit| visit.ends <= now).count();
        let open = self.free.iter().filter(|free| **free <= now).count();
        let mut others = self.members.iter().filter(|member| member.is_ready()).count().saturating_sub(open);
        for mut visit in self.visits.drain(..over).collect::<Vec<_>>() {
            let urgent = self.members[visit.member].urgent && visit.prolonged < PROLONGED_MAX;
            if others == 0 {
                visit.ends = now + self.dwell;
                self.visits.push(visit);
            } else if urgent && self.credit >= 1.0 {
                self.credit -= 1.0;
                visit.prolonged += 1;
                visit.ends = (visit.ends + self.dwell).max(now);
                self.visits.push(visit);
            } else {
                others -= 1;
                self.free.push(visit.ends);
                self.leave(visit.member, now, changes);
            }
        }
    }

    fn begin_visits(&mut self, now: Duration, changes: &mut Vec<Change>) {
        self.free.sort_unstable();
        while let Some(free) = self.free.first().copied().filter(|free| *free <= now)
            && let Some((index, in_turn)) = self.next(now)
        {
            self.free.remove(0);
            let most = 1.0 + self.slots as f64 * URGENT_PER_VISIT;
            self.credit = (self.credit + if in_turn { URGENT_PER_VISIT } else { -1.0 }).min(most);
            let late = now.saturating_sub(free).min(self.dwell.mul_f64(LATE_SHARE_MAX));
            self.enter(index, now + self.dwell.saturating_sub(late), changes);
        }
        // Nobody comes too late to a slot for which there was nobody.
        self.free.iter_mut().for_each(|free| *free = (*free).max(now));
    }

    /// Who is to be visited next, and whether in turn.
    fn next(&self, now: Duration) -> Option<(usize, bool)> {
        let stalest = |urgent: bool| {
            let waiting = self.members.iter().enumerate().filter(|(_, member)| member.is_ready());
            let waiting = waiting.filter(|(_, m)| !urgent || (m.urgent && now >= m.since + self.dwell));
            let staler = |a: &(usize, &Member), b: &(usize, &Member)| {
                let (of_a, of_b) = (a.1.staleness(now), b.1.staleness(now));
                // Of two that have waited equally long the more important one, then the one that is named first.
                of_a.total_cmp(&of_b).then(a.1.priority.total_cmp(&b.1.priority)).then(b.0.cmp(&a.0))
            };
            waiting.max_by(staler).map(|(index, _)| index)
        };
        let first = stalest(false)?;
        let urgent = if self.credit >= 1.0 { stalest(true) } else { None };
        Some(urgent.filter(|index| *index != first).map_or((first, true), |index| (index, false)))
    }
}

#[cfg(test)]
mod tests;
