//! [`Health`]: what is wrong with a camera (视频质量诊断), and how far its pictures may be believed.
//!
//! Pure: pictures and facts about the connection come in with their times, changes come out. One picture every second to
//! every ten is enough; a look costs about half a millisecond. What is known of a camera takes at most 40 KB.
//!
//! | checks | how |
//! |---|---|
//! | offline, login failed, low frame rate, clock drift | what the connection says ([`Link`]); low means against the camera's own history |
//! | black, too dark, too bright, low contrast, signal lost | luma and colours of 96 x 54 cells |
//! | colour cast | the tint that even the least coloured quarter of the picture has |
//! | snow | grain in full resolution that is strong and white |
//! | stripes | lines that differ from those beside them right across the picture, against what is usual |
//! | blurred | how steep the steepest edges are for their contrast: against what is usual, and at all |
//! | frozen | key pictures that are the same, but for a clock in a corner |
//! | covered | blocks that had edges and have none |
//! | moved | edges that are elsewhere: by direction and place, whatever the light |
//!
//! A check that cannot be made (a black picture shows no view) stays as it stands. The usual values and the views are
//! learned while nothing is wrong, the views for day, night and infrared apart: that the infrared filter swings is nothing.

mod check;
mod edges;
mod frozen;
mod hold;
mod link;
mod measure;
mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::check::{Check, Patience, Status};
use self::edges::Edges;
use self::frozen::Repeats;
pub use self::hold::Hold;
pub use self::link::Link;
pub use self::measure::{Look, Measures};
use self::view::{Answer, Light, View};
use crate::frame::Picture;

/// Share of the cells of one colour, and its distance from grey, that make a recorder's blue picture.
const UNIFORM: f32 = 0.8;
const SATURATED: f32 = 30.0;
/// Luma under which 95 % of a black picture lie: its text may be white.
const BLACK: f32 = 14.0;
/// Grain of snow, in grey levels, and how white it must be; a night picture has less than 10, foliage is not white.
const NOISE: f32 = 14.0;
const WHITENESS: f32 = 0.7;
/// Mean luma of a picture that is too dark, and luma that 95 % of it lie under: a lit window in a dark street is night.
const DARK_MEAN: f32 = 40.0;
const DARK_HIGH: f32 = 70.0;
/// Mean luma of a picture that is too bright, or share of it that is white.
const BRIGHT: f32 = 225.0;
const WHITE: f32 = 0.5;
/// Grey levels from dark to bright of a picture without contrast: at all, and if that is also far less than usual. A grey sky
/// has 20.
const CONTRAST_MIN: f32 = 16.0;
const CONTRAST: f32 = 40.0;
const CONTRAST_OF_USUAL: f32 = 0.4;
/// Tint of a picture with a colour cast, and its distance from the usual one: sodium lamps are orange every night.
const TINT: f32 = 20.0;
const TINT_OFF: f32 = 14.0;
/// Sharpness of a blurred picture: at all, and of the usual one.
const SHARPNESS_MIN: f32 = 0.16;
const SHARPNESS_OF_USUAL: f32 = 0.45;
/// Grey levels of stripes beyond the usual ones: façades and kerbs are striped, too.
const STRIPES: f32 = 9.0;
/// Contrast between the quarters of a blurred picture, as a share of the usual one; that of a covered one is less.
const MIDDLE_OF_USUAL: f32 = 0.5;
/// Share of the picture that must be covered to say so, and from which nothing is left to analyse.
const COVERED: f32 = 0.25;
const COVERED_WHOLLY: f32 = 0.8;
/// Looks until a usual value is known.
const LOOKS_USUAL: u32 = 4;

/// A check that has changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Which.
    pub check: Check,
    /// How it stood.
    pub from: Status,
    /// How it stands.
    pub to: Status,
    /// What was measured.
    pub value: Option<f32>,
    /// When, by the camera's clock for pictures and by ours for the connection.
    pub wall: Timestamp,
}

/// How far what a camera shows may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Wholly.
    Whole,
    /// The picture tells nothing that the one before did not: no dwell grows, nothing is seen to leave.
    Stale(Check),
    /// The picture does not show what the zones were drawn on: they are suspended.
    Nothing(Check),
}

/// What is usual in a light.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Usual {
    looks: u32,
    sharpness: f32,
    textured: f32,
    contrast: f32,
    middle: f32,
    tint: [f32; 2],
    stripes: [f32; 2],
}

/// What outlives a restart: `serde_json` makes up to 45 KB of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checkpoint {
    checks: BTreeMap<Check, Hold>,
    view: View,
    usual: BTreeMap<u8, Usual>,
    repeats: Repeats,
    link: link::Usual,
}

/// One camera's health.
#[derive(Debug, Clone, Default)]
pub struct Health {
    known: Checkpoint,
    light: Option<Light>,
    /// Why the last picture showed nothing to analyse, if a look was enough to say so.
    unseen: Option<Check>,
}

impl Health {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on where it stopped.
    pub fn restore(checkpoint: Checkpoint) -> Self {
        Self { known: checkpoint, ..Self::default() }
    }

    /// What outlives a restart.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.known
    }

    /// How the checks stand, all of them.
    pub fn report(&self) -> impl Iterator<Item = (Check, Hold)> {
        Check::ALL
            .into_iter()
            .map(|check| (check, self.known.checks.get(&check).cloned().unwrap_or_default()))
    }

    /// How one check stands.
    pub fn status(&self, check: Check) -> Status {
        self.known.checks.get(&check).map_or(Status::Untested, |hold| hold.status)
    }

    /// How far the last picture may be believed. A suspicion is enough to stop; what is confirmed stops until it is over.
    pub fn trust(&self) -> Trust {
        let doubted = |check: &Check| {
            self.known.checks.get(check).is_some_and(|h| h.status == Status::Abnormal || h.is_suspected())
        };
        let nothing = [Check::SignalLost, Check::Black, Check::Snow, Check::Moved];
        if let Some(check) = nothing.into_iter().find(doubted) {
            Trust::Nothing(check)
        } else if let Some(check) = self.unseen {
            Trust::Nothing(check)
        } else if self.status(Check::Covered) == Status::Abnormal {
            Trust::Nothing(Check::Covered)
        } else if doubted(&Check::Frozen) {
            Trust::Stale(Check::Frozen)
        } else {
            Trust::Whole
        }
    }

    /// An operator says that what the camera shows now is right (确认新画面): the next looks make the view.
    pub fn accept_view(&mut self, wall: Timestamp) -> Option<Change> {
        self.known.view.forget();
        let hold = self.known.checks.get_mut(&Check::Moved)?;
        let from = hold.turn(Status::Untested, wall);
        hold.value = None;
        Some(Change { check: Check::Moved, from, to: Status::Untested, value: None, wall })
    }

    /// Takes in what the connection says.
    pub fn link(&mut self, link: &Link) -> Vec<Change> {
        let found = self.known.link.look(link);
        self.feed(&found, link.at, link.wall)
    }

    /// Takes in a picture; `key` if it was decoded from a key picture, only such tell whether the camera is frozen.
    pub fn look(&mut self, picture: &Picture, key: bool) -> Vec<Change> {
        let Some(look) = Look::of(picture) else { return Vec::new() };
        let at = picture.captured.media;
        let found = self.judge(look, key, at);
        self.feed(&found, at, picture.captured.wall)
    }

    fn feed(&mut self, found: &[(Check, bool, f32)], at: Duration, wall: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        for &(check, wrong, value) in found {
            let hold = self.known.checks.entry(check).or_default();
            if let Some(from) = hold.feed(wrong, value, at, wall, check.patience()) {
                changes.push(Change { check, from, to: hold.status, value: hold.value, wall });
            }
        }
        changes
    }

    /// What each check finds in a picture. One that cannot be made is left out: from a picture without a scene nothing else
    /// can be told, and each trouble is called by one name.
    fn judge(&mut self, look: Look, key: bool, at: Duration) -> Vec<(Check, bool, f32)> {
        let m = look.measures;
        let mut found = Vec::with_capacity(12);
        let lost = m.uniform >= UNIFORM && m.uniform_chroma >= SATURATED;
        let black = m.high < BLACK;
        let snow = m.noise > NOISE && m.whiteness > WHITENESS;
        found.push((Check::SignalLost, lost, 100.0 * m.uniform));
        found.push((Check::Black, black, m.mean));
        found.push((Check::Snow, snow, m.noise));
        self.unseen = None;
        if lost || black || snow {
            return found;
        }
        let dark = m.mean < DARK_MEAN && m.high < DARK_HIGH;
        let bright = m.mean > BRIGHT || m.white > WHITE;
        let lit = !dark && !bright;
        found.push((Check::TooDark, dark, m.mean));
        found.push((Check::TooBright, bright, 100.0 * m.white));
        // What is clipped is the same whatever happens.
        if key && lit {
            let (same, lasts_s) = self.known.repeats.look(look.sums, at);
            found.push((Check::Frozen, same, lasts_s as f32));
            if same {
                return found;
            }
        }
        let light = Light::of(&m, self.light);
        self.light = Some(light);
        let usual = self.known.usual.get(&(light as u8)).copied().unwrap_or_default();
        let known = usual.looks >= LOOKS_USUAL;
        let contrast = m.high - m.low;
        let flat = contrast < CONTRAST_MIN
            || (known && contrast < CONTRAST && contrast < CONTRAST_OF_USUAL * usual.contrast);
        let (answer, blank) = self.known.view.look(&Edges::of(&look.cells, contrast), light, at);
        let matched = match answer {
            Answer::Nothing => None,
            Answer::Same(found) | Answer::Doubtful(found) | Answer::Other(found) => Some(found),
        };
        let other = matches!(answer, Answer::Other(_));
        // Half a match is no reason to say that it has moved, nor that it is back.
        let vague = matches!(answer, Answer::Doubtful(_)) && self.status(Check::Moved) == Status::Abnormal;
        let soft = m.sharpness.is_some_and(|s| s < SHARPNESS_MIN);
        let softer = known && m.sharpness.is_some_and(|s| s < SHARPNESS_OF_USUAL * usual.sharpness);
        let gone = m.sharpness.is_none() && known && usual.textured > 0.35;
        // Out of focus, edges go, too, but what is dark and what is bright stays.
        let dissolved = (soft || gone) && m.middle >= MIDDLE_OF_USUAL * usual.middle;
        let covered = lit && blank >= COVERED && !dissolved;
        if lit {
            // Where edges are dissolved, nobody knows where they are.
            if let Some(matched) = matched.filter(|_| !vague && !(other && (soft || gone))) {
                found.push((Check::Moved, other, 100.0 * matched.here));
            }
            found.push((Check::Covered, covered, 100.0 * blank));
            if covered && blank >= COVERED_WHOLLY {
                self.unseen = Some(Check::Covered);
            } else if other {
                self.unseen = Some(Check::Moved);
            }
        }
        if lit && !covered {
            found.push((Check::LowContrast, flat, contrast));
            let tint = m.tint[0].hypot(m.tint[1]);
            let off = (m.tint[0] - usual.tint[0]).hypot(m.tint[1] - usual.tint[1]);
            found.push((Check::ColourCast, tint > TINT && (!known || off > TINT_OFF), tint));
        }
        if lit && !covered && !flat && (!other || soft || gone) {
            if m.sharpness.is_some() || gone {
                found.push((Check::Blurred, soft || softer || gone, 100.0 * m.sharpness.unwrap_or(0.0)));
            }
            if known {
                // What does not belong together adds up in squares.
                let beyond = |i: usize| (m.stripes[i].powi(2) - usual.stripes[i].powi(2)).max(0.0).sqrt();
                let striped = beyond(0).max(beyond(1)) > STRIPES;
                found.push((Check::Stripes, striped, m.stripes[0].max(m.stripes[1])));
            }
        }
        if found.iter().all(|(_, wrong, _)| !wrong) {
            self.known.usual.entry(light as u8).or_default().learn(&m);
        }
        found
    }
}

impl Usual {
    fn learn(&mut self, m: &Measures) {
        self.looks = self.looks.saturating_add(1);
        let share = 1.0 / self.looks.min(64) as f32;
        let towards = |usual: &mut f32, value: f32| *usual += share * (value - *usual);
        if let Some(sharpness) = m.sharpness {
            towards(&mut self.sharpness, sharpness);
        }
        towards(&mut self.textured, m.textured);
        towards(&mut self.contrast, m.high - m.low);
        towards(&mut self.middle, m.middle);
        for i in 0..2 {
            towards(&mut self.tint[i], m.tint[i]);
            towards(&mut self.stripes[i], m.stripes[i]);
        }
    }
}
