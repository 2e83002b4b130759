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

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::frame::AccessUnit;

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
/// After so many needless looks in a row the usual is another one (rain, night, another bitrate) and is learnt anew.
const RELEARN: u32 = 60;
/// Changes that are remembered: a hundred older ones count no more than a recent one.
const MEMORY: f32 = 60.0;
/// Trust needs so much for the share of changes that the sizes announce, ...
const CAUGHT_MIN: f32 = 0.8;
/// ... as the lower end of an interval that holds nine times of ten (one-sided).
const CONFIDENCE: f32 = 1.28;
/// With more than this share of still stretches taken for motion the gate saves little, and catches much by chance.
const NEEDLESS_MAX: f32 = 0.5;

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

/// Whether the verdict may be acted upon, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The sizes announce what happens in this camera's zones.
    Trusted,
    /// Too few changes have been seen to know; every camera begins like this.
    New,
    /// Too many changes came that the sizes did not announce: constant bitrate, "smart codec", or what matters is too small.
    Blind,
    /// The sizes announce changes all the time: traffic beside the zones, rain, leaves.
    Restless,
}

/// How good a camera's sizes have been as a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust {
    /// Whether the gate may be used.
    pub standing: Standing,
    /// Changes in the zones that the sizes announced in time, ...
    pub caught: u32,
    /// ... one key picture late, ...
    pub late: u32,
    /// ... or not at all.
    pub missed: u32,
    /// Groups of pictures that the sizes called quiet.
    pub quiet: u32,
    /// Pictures that were called for although nothing had changed in the zones.
    pub needless: u32,
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
        if self.record.needless_in_a_row >= RELEARN {
            self.record.needless_in_a_row = 0;
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
        let counts = &self.record;
        Trust {
            standing: counts.standing(),
            caught: counts.caught,
            late: counts.late,
            missed: counts.missed,
            quiet: counts.quiet,
            needless: counts.needless,
        }
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

/// What was announced and what came.
#[derive(Debug, Default)]
struct Record {
    /// Recent changes, with weights that fade: announced, not announced.
    announced: f32,
    unannounced: f32,
    /// Share of recent still stretches that were taken for motion.
    restless: f32,
    stretches: u32,
    caught: u32,
    late: u32,
    missed: u32,
    quiet: u32,
    needless: u32,
    needless_in_a_row: u32,
    /// Whether the picture looked at last had changed.
    changed: Option<bool>,
    /// A change was not announced; if the next group announces it, it would have been found a key picture later.
    waiting: bool,
}

impl Record {
    /// A look; `at_once`: the look before was at the key picture before.
    fn look(&mut self, verdict: Verdict, changed: Option<bool>, at_once: bool) {
        if std::mem::take(&mut self.waiting) {
            self.change(verdict != Verdict::Quiet && at_once, true);
        }
        let began = changed == Some(true) && self.changed == Some(false);
        match (verdict, changed) {
            (Verdict::Active, Some(false)) => {
                self.needless = self.needless.saturating_add(1);
                self.needless_in_a_row += 1;
                self.stretch(true);
            }
            (_, Some(true)) => self.needless_in_a_row = 0,
            _ => {}
        }
        match verdict {
            Verdict::Active if began => self.change(true, false),
            Verdict::Quiet if began && at_once => self.waiting = true,
            Verdict::Quiet if began => self.change(false, false),
            _ => {}
        }
        self.changed = changed;
    }

    fn change(&mut self, announced: bool, late: bool) {
        let count = match (announced, late) {
            (true, false) => &mut self.caught,
            (true, true) => &mut self.late,
            (false, _) => &mut self.missed,
        };
        *count = count.saturating_add(1);
        let fading = 1.0 - 1.0 / MEMORY;
        self.announced = fading * self.announced + f32::from(u8::from(announced));
        self.unannounced = fading * self.unannounced + f32::from(u8::from(!announced));
    }

    /// A group of pictures was quiet.
    fn quiet(&mut self) {
        self.quiet = self.quiet.saturating_add(1);
        self.needless_in_a_row = 0;
        self.stretch(false);
    }

    fn stretch(&mut self, restless: bool) {
        self.stretches = self.stretches.saturating_add(1);
        let gain = (1.0 / self.stretches as f32).max(0.005);
        self.restless += gain * (f32::from(u8::from(restless)) - self.restless);
    }

    fn standing(&self) -> Standing {
        let changes = self.announced + self.unannounced;
        if lower_end(changes, changes) < CAUGHT_MIN {
            Standing::New
        } else if lower_end(self.announced, changes) < CAUGHT_MIN {
            Standing::Blind
        } else if self.restless > NEEDLESS_MAX {
            Standing::Restless
        } else {
            Standing::Trusted
        }
    }
}

fn verdict(moved: bool, unsure: bool) -> Verdict {
    match (moved, unsure) {
        (true, _) => Verdict::Active,
        (false, true) => Verdict::Unsure,
        (false, false) => Verdict::Quiet,
    }
}

/// Lower end of the interval for a share of which `hits` of `tries` are known (E. B. Wilson, JASA 22, 1927).
fn lower_end(hits: f32, tries: f32) -> f32 {
    if tries <= 0.0 {
        return 0.0;
    }
    let (share, z2) = (hits / tries, CONFIDENCE * CONFIDENCE);
    let spread = (share * (1.0 - share) / tries + z2 / (4.0 * tries * tries)).max(0.0).sqrt();
    (share + z2 / (2.0 * tries) - CONFIDENCE * spread) / (1.0 + z2 / tries)
}

/// Logarithm of a size in bytes; a few bytes more or less of an almost empty picture mean nothing.
fn logarithm(bytes: f32) -> f32 {
    (bytes + 32.0).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Captured, Clock, Codec};

    fn unit(at_s: f64, key: bool, after_loss: bool, bytes: usize) -> AccessUnit {
        let media = Duration::from_secs_f64(at_s);
        AccessUnit {
            captured: Captured { wall: jiff::Timestamp::UNIX_EPOCH, media, clock: Clock::File },
            codec: Codec::H264,
            key,
            after_loss,
            data: vec![0; bytes].into(),
            pts_90k: 0,
        }
    }

    /// How an encoder of a made-up camera spends its bytes.
    #[derive(Clone, Copy)]
    struct Encoder {
        fps: usize,
        group: usize,
        /// Every so many pictures a large one, the others are B-pictures of a third of the size.
        large_every: usize,
        /// Deviation of a picture's size from noise alone.
        noise: f32,
        /// How many times larger inter pictures are when something moves.
        motion: f32,
        /// Change of the key picture when something has come to stay.
        stays: f32,
    }

    const ENCODER: Encoder =
        Encoder { fps: 25, group: 50, large_every: 1, noise: 0.05, motion: 1.3, stays: 1.2 };

    /// What came of an hour of a camera.
    #[derive(Debug)]
    struct Outcome {
        trust: Trust,
        /// Share of the still key pictures that were not decoded in the last half hour, ...
        skipped: f32,
        /// ... and changes that were found more than one key picture late in it.
        delayed: u32,
    }

    /// Plays an hour: every two minutes something comes or goes within three seconds and changes the zones; `beside`
    /// them something moves in so large a share of the seconds. Looks as the sampler does, at the latest after 30 s.
    fn play(encoder: Encoder, beside: f64) -> Outcome {
        let mut activity = Activity::default();
        let mut random = fastrand::Rng::with_seed(7);
        let mut noise = |bytes: f32| {
            let normal: f32 = (0..12).map(|_| random.f32()).sum::<f32>() - 6.0;
            (bytes * (1.0 + encoder.noise * normal)).max(10.0) as usize
        };
        let (mut looked_s, mut stood, mut skipped, mut still, mut delayed) = (0.0, false, 0, 0, 0);
        let (mut since, mut passes, mut passers) = (None, false, fastrand::Rng::with_seed(3));
        for i in 0..3600 * encoder.fps {
            let at_s = i as f64 / encoder.fps as f64;
            let phase = at_s % 120.0;
            let stands = at_s >= 3.0 && ((at_s - 3.0) / 120.0) as usize % 2 == 1;
            if i % encoder.fps == 0 {
                passes = passers.f64() < beside;
            }
            let moves = phase < 3.0 || passes;
            let key = i % encoder.group == 0;
            let bytes = if key {
                60_000.0 * if stands { encoder.stays } else { 1.0 }
            } else {
                let large = (i % encoder.group).is_multiple_of(encoder.large_every);
                6000.0 * if large { 1.0 } else { 0.33 } * if moves { encoder.motion } else { 1.0 }
            };
            activity.note(&unit(at_s, key, false, noise(bytes)));
            if !key {
                continue;
            }
            let changed = stands != stood;
            let late = at_s >= 1800.0;
            if changed {
                since.get_or_insert(at_s);
            }
            if activity.may_skip() && at_s - looked_s < 30.0 {
                skipped += u32::from(late);
                still += u32::from(late);
                continue;
            }
            still += u32::from(late && !changed);
            if let Some(since) = since.take() {
                delayed += u32::from(late && at_s - since > 1.5 * (encoder.group / encoder.fps) as f64);
            }
            activity.looked(Duration::from_secs_f64(at_s), Some(changed));
            (looked_s, stood) = (at_s, stands);
        }
        Outcome { trust: activity.trust(), skipped: skipped as f32 / still as f32, delayed }
    }

    #[test]
    fn trusted_where_sizes_speak_and_only_there() {
        use Standing::{Blind, Restless, Trusted};
        let cases = [
            ("plain", ENCODER, 0.0, Trusted, 0.6),
            // A picture in 30 s is looked at anyway: of three groups two can be spared.
            ("long groups", Encoder { group: 250, ..ENCODER }, 0.0, Trusted, 0.3),
            ("B-pictures", Encoder { large_every: 4, ..ENCODER }, 0.0, Trusted, 0.6),
            ("three pictures a second", Encoder { fps: 3, group: 6, ..ENCODER }, 0.0, Trusted, 0.6),
            ("key pictures only", Encoder { fps: 1, group: 1, noise: 0.02, ..ENCODER }, 0.0, Trusted, 0.6),
            ("some traffic beside", ENCODER, 0.08, Trusted, 0.5),
            ("constant bitrate", Encoder { motion: 1.0, stays: 1.0, ..ENCODER }, 0.0, Blind, 0.0),
            ("noise hides all", Encoder { noise: 0.5, motion: 1.1, stays: 1.02, ..ENCODER }, 0.0, Blind, 0.0),
            ("much traffic beside", ENCODER, 0.3, Restless, 0.0),
        ];
        for (name, encoder, beside, standing, skipped_min) in cases {
            let outcome = play(encoder, beside);
            assert_eq!(outcome.trust.standing, standing, "{name}: {outcome:?}");
            assert!(outcome.skipped >= skipped_min, "{name}: {outcome:?}");
            assert!(standing == Trusted || outcome.skipped == 0.0, "{name}: {outcome:?}");
            assert_eq!(outcome.delayed, 0, "{name}: {outcome:?}");
        }
    }

    #[test]
    fn a_loss_a_gap_and_another_rhythm_are_no_quiet() {
        // A proven camera, then what happens in the stream and what the sizes say at the key picture after it.
        let check = |name: &str, units: &[(f64, bool, bool, usize)], expected: Verdict| {
            let mut activity = Activity::default();
            for i in 0..50 * 60 {
                let (at_s, key) = (i as f64 / 25.0, i % 50 == 0);
                activity.note(&unit(at_s, key, false, if key { 50_000 } else { 5000 + i % 7 * 40 }));
                if key {
                    activity.looked(Duration::from_secs_f64(at_s), Some(false));
                }
            }
            assert_eq!(activity.verdict(), Verdict::Quiet, "{name}: before");
            for &(at_s, key, lost, bytes) in units {
                activity.note(&unit(120.0 + at_s, key, lost, bytes));
            }
            assert_eq!(activity.verdict(), expected, "{name}");
            activity.looked(Duration::from_secs_f64(120.0 + units[units.len() - 1].0), None);
            assert_eq!(activity.verdict(), Verdict::Quiet, "{name}: looked");
        };
        let group = |inter: usize, key: usize| -> Vec<(f64, bool, bool, usize)> {
            (0..=50)
                .map(|i| {
                    (
                        i as f64 / 25.0,
                        i % 50 == 0,
                        false,
                        if i == 0 {
                            50_000
                        } else if i == 50 {
                            key
                        } else {
                            inter
                        },
                    )
                })
                .collect()
        };
        check("nothing", &group(5100, 50_100), Verdict::Quiet);
        check("a fifth more", &group(6200, 50_000), Verdict::Active);
        check("a parked car", &group(5100, 60_000), Verdict::Active);
        let mut burst = group(5100, 50_000);
        burst[20..32].iter_mut().for_each(|unit| unit.3 = 7000);
        check("half a second", &burst, Verdict::Active);
        let mut lost = group(5100, 50_000);
        lost[7].2 = true;
        check("a loss", &lost, Verdict::Unsure);
        check("a gap", &[(0.0, true, false, 50_000), (10.0, true, false, 50_000)], Verdict::Unsure);
        check(
            "a key picture before its time",
            &[(0.0, true, false, 50_000), (0.4, true, false, 50_000)],
            Verdict::Active,
        );
    }

    #[test]
    fn what_comes_after_the_picture_is_kept() {
        let mut activity = Activity::default();
        let mut at_s = 0.0;
        let mut group = |activity: &mut Activity, inter: usize| {
            for i in 0..50 {
                activity.note(&unit(at_s, i == 0, false, if i == 0 { 50_000 } else { inter }));
                at_s += 0.04;
            }
            at_s
        };
        for _ in 0..40 {
            let next_key_s = group(&mut activity, 5000);
            activity.looked(Duration::from_secs_f64(next_key_s - 2.0), Some(false));
        }
        // The key picture is looked at when two seconds more have come, in which something moved.
        let next_key_s = group(&mut activity, 8000);
        activity.looked(Duration::from_secs_f64(next_key_s - 2.0), Some(false));
        assert_eq!(activity.verdict(), Verdict::Active);
        activity.looked(Duration::from_secs_f64(next_key_s), Some(true));
        assert_eq!(activity.verdict(), Verdict::Quiet);
    }

    #[test]
    fn what_lies_between_two_like_pictures_is_learnt() {
        let mut activity = Activity::default();
        for i in 0..25 * 30 {
            let (at_s, key) = (f64::from(i) / 25.0, i % 50 == 0);
            activity.note(&unit(at_s, key, false, if key { 50_000 } else { 5000 + i as usize % 7 * 40 }));
            if i % 250 == 0 {
                activity.looked(Duration::from_secs_f64(at_s), Some(false));
            }
        }
        // Three looks in half a minute.
        activity.note(&unit(30.0, true, false, 50_000));
        activity.looked(Duration::from_secs(30), Some(false));
        activity.note(&unit(30.04, false, false, 5000));
        assert_eq!(activity.verdict(), Verdict::Quiet);
    }

    #[test]
    fn state_is_small() {
        let size = size_of::<Activity>() + CLOSED_MAX * size_of::<Group>();
        assert!(size < 2048, "{size}");
    }

    proptest! {
        #[test]
        fn any_stream_is_survived(
            stream in prop::collection::vec((0u64..5000, any::<bool>(), 0u8..20, 0usize..100_000, 0u8..6), 0..400),
        ) {
            let mut activity = Activity::default();
            for (at_ms, key, loss, bytes, look) in stream {
                // Times in any order: what goes back must do no harm.
                activity.note(&unit(at_ms as f64 / 1000.0, key, loss == 0, bytes));
                let changed = [None, Some(true), Some(false)].get(usize::from(look));
                if let Some(&changed) = changed {
                    activity.looked(Duration::from_millis(at_ms), changed);
                }
                let trust = activity.trust();
                prop_assert!(!activity.may_skip() || trust.standing == Standing::Trusted);
                prop_assert!(activity.sum.is_finite() && activity.places.iter().all(|p| p.size.is_finite() && p.spread > 0.0));
            }
        }
    }
}
