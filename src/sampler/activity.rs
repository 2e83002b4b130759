//! [`Activity`]: from the sizes of a camera's access units, whether its next key picture is worth decoding.
//!
//! An encoder spends bytes on what has changed. Inter pictures of a still scene cost little and always about the same;
//! when something moves they cost more, and when something has come to stay, the key picture costs more or less than the
//! last one that was looked at. No picture needs to be decoded to know that.
//!
//! The sizes of half a second are averaged into a window. Each place of a window in the group of pictures has its own
//! usual size and spread, because an encoder's pictures have their habits there (small ones after a key picture, B-pictures,
//! temporal layers). Windows add up what they have beyond the usual (a cumulative sum, E. S. Page, Biometrika 41, 1954):
//! a short burst counts, and so does a little more for a long time.
//!
//! When are pictures not looked at? Only if this camera's sizes have proved themselves ([`Standing::Trusted`]): most changes
//! in its zones were announced by the sizes, and most quiet stretches were quiet in the sizes. That is tested on every
//! picture that is looked at, above all on those that the sampler looks at from time to time although all seems quiet.
//! Sizes that say nothing (constant bitrate, a "smart codec", rain and leaves everywhere) never earn trust or lose it, and
//! all key pictures are looked at as if there were no gate. The gate can delay a rule that counts dwell, by at most the
//! sampler's heartbeat; rules that follow motion do not ask it.

#[cfg(test)]
mod tests;
mod trust;

use std::collections::VecDeque;
use std::time::Duration;

pub use trust::{Standing, Trust};

use crate::frame::AccessUnit;
use trust::Record;

/// Length of a window, in seconds: shorter ones are noisy, longer ones hide who passes in a second.
const WINDOW_S: f64 = 0.5;
/// Places of a window in a group of pictures that are told apart: 12 s; later windows share the last place.
const PLACES: usize = 24;
/// A place is known after so many windows.
const KNOWN: u8 = 10;
/// Weight of a new window when a place is known: 30 groups of pictures are remembered.
const GAIN: f32 = 1.0 / 30.0;
/// Least spread of window sizes and of key pictures, as logarithms: 2 %.
const SPREAD_MIN: f32 = 0.02;
/// What a window may have beyond the usual without adding to the sum, in spreads.
const ALLOWED: f32 = 1.0;
/// From this sum on something moves, in spreads.
const MOVES: f32 = 4.0;
/// The sum grows no further, so that it is gone a second after the last motion.
const SUM_MAX: f32 = MOVES + 2.0;
/// Key pictures that differ by so many spreads show different things.
const KEY_DIFFERS: f32 = 4.0;
/// Nothing for so long is a gap, in seconds, ...
const GAP_S: f64 = 2.0;
/// ... or for so many times the usual distance of two units, if that is more.
const GAP_UNITS: f64 = 8.0;
/// Groups that are remembered until somebody looks: those of ten seconds between looks, if a group takes two.
const CLOSED_MAX: usize = 6;

/// What the sizes say about the time since the last picture that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing beyond the usual.
    Quiet,
    /// Something moved, or the key picture shows something else.
    Active,
    /// Nothing can be said: after a loss or a gap, or where the usual is not known yet.
    Unsure,
}

/// The usual size of one place of a window in the group of pictures, as a natural logarithm.
#[derive(Debug, Clone, Copy)]
struct Usual {
    size: f32,
    spread: f32,
    windows: u8,
}

/// The window that is being filled.
#[derive(Debug, Clone, Copy)]
struct Window {
    since: Duration,
    bytes: u64,
    units: u32,
    /// Its place in the group.
    place: usize,
}

/// The sizes of a group's windows, for learning once it is known whether anything has changed meanwhile.
#[derive(Debug, Clone, Copy)]
struct Group {
    sizes: [f32; PLACES],
    windows: usize,
    units: u32,
    /// Logarithm of the next key picture's size over this one's.
    key_step: Option<f32>,
    /// When the next key picture came, and whether all had been quiet up to then.
    ended: Duration,
    quiet: bool,
}

impl Group {
    const EMPTY: Self = Self {
        sizes: [0.0; PLACES],
        windows: 0,
        units: 0,
        key_step: None,
        ended: Duration::ZERO,
        quiet: false,
    };
}

/// The first and the last moment of something since the last look.
#[derive(Debug, Clone, Copy)]
struct Spell {
    first: Duration,
    last: Duration,
}

impl Spell {
    /// One that goes on until now.
    fn until(spell: Option<Self>, now: Duration) -> Self {
        Self { first: spell.map_or(now, |spell| spell.first), last: now }
    }

    /// What is left of it after a look at a picture of this time: what came later.
    fn after(self, at: Duration) -> Option<Self> {
        (self.last > at).then_some(Self { first: self.last, ..self })
    }
}

/// One camera's packet gate: less than two kilobytes, no picture.
#[derive(Debug)]
pub struct Activity {
    places: [Usual; PLACES],
    key_steps: Usual,
    /// Usual number of inter pictures of a group; 0 while unknown.
    group_units: f32,
    /// Usual seconds between two units.
    distance_s: f32,
    last_unit: Option<Duration>,
    /// `None` before the first key picture and from a loss to the next key picture.
    window: Option<Window>,
    group: Group,
    /// The groups before, of which nobody has said yet whether anything changed in them.
    closed: VecDeque<Group>,
    /// What the windows have had beyond the usual.
    sum: f32,
    /// The newest two key pictures: when, and logarithm of the size.
    keys: [Option<(Duration, f32)>; 2],
    /// The size of the key picture that was looked at last.
    key_looked: Option<f32>,
    /// When something moved since the last look, ...
    moved: Option<Spell>,
    /// ... and when nothing could be said.
    unsure: Option<Spell>,
    looked: Option<Duration>,
    record: Record,
}

impl Default for Activity {
    fn default() -> Self {
        let unknown = Usual { size: 0.0, spread: 0.1, windows: 0 };
        Self {
            places: [unknown; PLACES],
            key_steps: Usual { windows: 1, ..unknown },
            group_units: 0.0,
            distance_s: 0.04,
            last_unit: None,
            window: None,
            group: Group::EMPTY,
            closed: VecDeque::new(),
            sum: 0.0,
            keys: [None; 2],
            key_looked: None,
            moved: None,
            unsure: Some(Spell::until(None, Duration::ZERO)),
            looked: None,
            record: Record::default(),
        }
    }
}

impl Activity {
    /// Takes the next access unit, every one, as it arrives; before [`Activity::verdict`] is asked about it.
    pub fn note(&mut self, unit: &AccessUnit) {
        let now = unit.captured.media;
        let size = unit.data.len();
        let since = self.last_unit.replace(now).map(|last| now.saturating_sub(last).as_secs_f64());
        let gap_s = GAP_S.max(GAP_UNITS * f64::from(self.distance_s));
        if unit.after_loss || since.is_none_or(|s| s > gap_s) {
            self.doubt(now);
            (self.window, self.sum, self.group) = (None, 0.0, Group::EMPTY);
        } else if let Some(since) = since {
            self.distance_s += GAIN * (since as f32 - self.distance_s);
        }
        if unit.key {
            self.close_window(now);
            self.note_key(now, logarithm(size as f32));
            self.window = Some(Window { since: now, bytes: 0, units: 0, place: 0 });
            return;
        }
        let full = |w: &Window| now.saturating_sub(w.since).as_secs_f64() >= WINDOW_S && w.units > 0;
        if let Some(place) = self.window.filter(full).map(|w| w.place) {
            self.close_window(now);
            let place = (place + 1).min(PLACES - 1);
            self.window = Some(Window { since: now, bytes: 0, units: 0, place });
        }
        if let Some(window) = &mut self.window {
            window.bytes += size as u64;
            window.units += 1;
            self.group.units += 1;
        }
    }

    /// What the sizes say about the time since the last look, whether or not they can be trusted.
    pub fn verdict(&self) -> Verdict {
        verdict(self.moved.is_some(), self.unsure.is_some())
    }

    /// Whether a key picture that has just come may stay undecoded, as far as the sizes know.
    pub fn may_skip(&self) -> bool {
        self.verdict() == Verdict::Quiet && self.record.standing() == Standing::Trusted
    }

    /// The picture captured at this media time was looked at; `changed`: whether its zones differ from those of the picture
    /// looked at before (`None`: not known). Later access units may have come meanwhile: what they said is kept.
    pub fn looked(&mut self, at: Duration, changed: Option<bool>) {
        let before = |spell: Option<Spell>| spell.is_some_and(|spell| spell.first <= at);
        let verdict = verdict(before(self.moved), before(self.unsure));
        let key_distance = self.keys[0].zip(self.keys[1]).map(|(new, old)| new.0.saturating_sub(old.0));
        let at_once = self.looked.zip(key_distance).is_some_and(|(last, distance)| {
            at.saturating_sub(last).as_secs_f64() <= 1.5 * distance.as_secs_f64()
        });
        self.record.look(verdict, changed, at_once);
        if self.record.is_mistaken() {
            self.places.iter_mut().chain([&mut self.key_steps]).for_each(|usual| usual.windows = 1);
            self.group_units = 0.0;
        }
        // A picture like the one before: what lies between was quiet too, as far as that counts here.
        while self.closed.front().is_some_and(|group| group.ended <= at) {
            let group = self.closed.pop_front();
            if let Some(group) = group.filter(|group| changed.map_or(group.quiet, |changed| !changed)) {
                self.learn(&group);
            }
        }
        self.moved = self.moved.and_then(|spell| spell.after(at));
        self.unsure = self.unsure.and_then(|spell| spell.after(at));
        self.key_looked = self.keys.iter().flatten().find(|(key, _)| *key <= at).map(|(_, size)| *size);
        self.looked = Some(at);
    }

    /// How good the sizes have been as a witness.
    pub fn trust(&self) -> Trust {
        self.record.trust()
    }

    fn doubt(&mut self, now: Duration) {
        self.unsure = Some(Spell::until(self.unsure, now));
    }

    fn moves(&mut self, now: Duration) {
        self.moved = Some(Spell::until(self.moved, now));
    }

    fn close_window(&mut self, now: Duration) {
        let Some(window) = self.window.filter(|window| window.units > 0) else { return };
        let size = logarithm(window.bytes as f32 / window.units as f32);
        self.group.sizes[window.place] = size;
        self.group.windows = window.place + 1;
        let usual = &self.places[window.place];
        if usual.windows < KNOWN {
            return self.doubt(now);
        }
        let beyond = (size - usual.size) / usual.spread.max(SPREAD_MIN);
        self.sum = (self.sum + beyond - ALLOWED).clamp(0.0, SUM_MAX);
        if self.sum >= MOVES {
            self.moves(now);
        }
    }

    fn note_key(&mut self, now: Duration, size: f32) {
        let whole = self.window.is_some();
        let step = self.keys[0].map(|(_, before)| size - before);
        self.keys = [Some((now, size)), self.keys[0]];
        if self.key_steps.windows < KNOWN {
            self.doubt(now);
        } else if let Some(looked) = self.key_looked
            && (size - looked).abs() > KEY_DIFFERS * self.key_steps.spread.max(SPREAD_MIN)
        {
            self.moves(now);
        }
        // A key picture before its time: the encoder saw the scene change.
        if whole && self.group_units > 0.0 && (self.group.units as f32) < 0.8 * self.group_units - 1.0 {
            self.moves(now);
        }
        let quiet = self.verdict() == Verdict::Quiet;
        if quiet {
            self.record.quiet();
        }
        // Nobody looked at the group before: if that was because it was quiet, it is what quiet looks like.
        if let Some(before) = self.closed.back().copied().filter(|group| group.quiet) {
            self.closed.pop_back();
            self.learn(&before);
        }
        let group = std::mem::replace(&mut self.group, Group::EMPTY);
        if whole {
            if self.closed.len() == CLOSED_MAX {
                self.closed.pop_front();
            }
            self.closed.push_back(Group { key_step: step, ended: now, quiet, ..group });
        }
    }

    fn learn(&mut self, group: &Group) {
        for (usual, &size) in self.places.iter_mut().zip(&group.sizes[..group.windows]) {
            usual.learn(size);
        }
        if let Some(step) = group.key_step {
            self.key_steps.learn_spread(step.abs());
            self.key_steps.windows = self.key_steps.windows.saturating_add(1);
        }
        let gain = if self.group_units > 0.0 { GAIN } else { 1.0 };
        self.group_units += gain * (group.units as f32 - self.group_units);
    }
}

impl Usual {
    fn learn(&mut self, size: f32) {
        if self.windows == 0 {
            self.size = size;
        }
        let (off, spread) = (size - self.size, self.spread);
        let new = self.windows < KNOWN;
        let gain = self.gain();
        // What is more than usual may be motion that did no harm to a zone: it counts less than what is less.
        let (down, up, far) = if new { (3.0, 3.0, 3.0) } else { (1.5, 1.0, 1.5) };
        self.size += gain * off.clamp(-down * spread, up * spread);
        self.learn_spread(if off > 0.0 { off.min(far * spread) } else { -off });
        self.windows = self.windows.saturating_add(1);
    }

    fn learn_spread(&mut self, off: f32) {
        // The mean distance of a normal distribution is 0.8 of its standard deviation.
        let gain = self.gain();
        self.spread += gain * (1.25 * off.min(3.0 * self.spread) - self.spread);
        self.spread = self.spread.max(1e-3);
    }

    fn gain(&self) -> f32 {
        GAIN.max(1.0 / (f32::from(self.windows) + 1.0))
    }
}

fn verdict(moved: bool, unsure: bool) -> Verdict {
    match (moved, unsure) {
        (true, _) => Verdict::Active,
        (false, true) => Verdict::Unsure,
        (false, false) => Verdict::Quiet,
    }
}

/// Logarithm of a size in bytes; a few bytes more or less of an almost empty picture mean nothing.
fn logarithm(bytes: f32) -> f32 {
    (bytes + 32.0).ln()
}
