//! Connections for visits only: whoever is visited soon connects ahead, so that no slot waits for it, and the others do not.

use std::time::Duration;

use super::{Change, Link, Member, Patrol};

/// A camera that cannot be reached is tried again after this time, ...
const RETRY: Duration = Duration::from_secs(30);
/// ... and then ever more rarely, up to this.
const RETRY_MAX: Duration = Duration::from_secs(600);
/// Nobody who connects is given up within this time: some cameras take long to answer.
const PATIENCE_MIN: Duration = Duration::from_secs(20);

impl Patrol {
    /// Connects whoever is visited soon, and closes connections that are not needed soon.
    pub(super) fn connect_on(&mut self, now: Duration, changes: &mut Vec<Change>) {
        self.give_up(now, changes);
        if let Some(poll) = &self.poll {
            // Whatever was known of them, somebody asks now.
            for &index in poll.waiting.iter().take(2 * self.slots) {
                self.members[index].connect(now, changes);
            }
        }
        let in_turn = self.in_turn(now);
        let ahead = self.ahead(now);
        let ahead_of = |wanted: &dyn Fn(&Member) -> bool| {
            let wanted = in_turn.iter().copied().filter(|index| wanted(&self.members[*index]));
            wanted.take(ahead).collect::<Vec<usize>>()
        };
        // Who could not be reached last time, or is urgent, connects besides the others: neither may keep those waiting
        // whose turn it is.
        let soon = ahead_of(&|member| match member.link {
            Link::Online => true,
            Link::Awaited(since) => member.failures == 0 && now < since + self.connect_ahead,
            Link::Off => member.failures == 0,
        });
        let again =
            ahead_of(&|member| member.failures > 0 && (member.link != Link::Off || now >= member.retry_at));
        let mut urgent = ahead_of(&|member| member.urgent && member.failures == 0);
        urgent.truncate(ahead.div_ceil(3));
        // Twice as many may stay: with several priorities the order changes a little while they wait.
        let reached = in_turn.into_iter().filter(|index| {
            let member = &self.members[*index];
            member.link == Link::Online || member.failures == 0
        });
        let surplus: Vec<usize> = reached.skip(2 * ahead).filter(|index| !urgent.contains(index)).collect();
        for index in soon.into_iter().chain(again).chain(urgent) {
            self.members[index].connect(now, changes);
        }
        for index in surplus {
            if self.members[index].link == Link::Online {
                self.members[index].disconnect(changes);
            }
        }
    }

    fn give_up(&mut self, now: Duration, changes: &mut Vec<Change>) {
        let patience = (2 * self.connect_ahead).max(PATIENCE_MIN);
        for member in &mut self.members {
            if matches!(member.link, Link::Awaited(since) if now >= since + patience) {
                member.retry_at = now + RETRY.saturating_mul(1 << member.failures.min(8)).min(RETRY_MAX);
                member.failures += 1;
                member.disconnect(changes);
            }
        }
    }

    /// Those that are not visited now, the stalest first; without those whose connections a poll holds.
    fn in_turn(&self, now: Duration) -> Vec<usize> {
        let held = |index: usize| self.poll.as_ref().is_some_and(|poll| poll.holds(index));
        let waits = |index: &usize| !self.members[*index].visiting && !held(*index);
        let mut in_turn: Vec<usize> = (0..self.members.len()).filter(waits).collect();
        let staleness = |index: usize| self.members[index].staleness(now);
        in_turn.sort_by(|&a, &b| staleness(b).total_cmp(&staleness(a)).then(a.cmp(&b)));
        in_turn
    }

    /// How many should be there for the visits that begin while another one connects, and for slots that are free now.
    fn ahead(&self, now: Duration) -> usize {
        let turns = self.slots as f64 * self.connect_ahead.as_secs_f64() / self.dwell.as_secs_f64();
        turns.ceil() as usize + self.free.iter().filter(|free| **free <= now).count()
    }
}

impl Member {
    fn connect(&mut self, now: Duration, changes: &mut Vec<Change>) {
        if self.link == Link::Off {
            self.link = Link::Awaited(now);
            changes.push(Change::Connect(self.camera.clone()));
        }
    }

    fn disconnect(&mut self, changes: &mut Vec<Change>) {
        self.link = Link::Off;
        changes.push(Change::Disconnect(self.camera.clone()));
    }
}
