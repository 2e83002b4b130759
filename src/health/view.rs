//! [`View`]: what the camera has been turned at so far, and whether it still is.
//!
//! A reference for each light: day, night, infrared. Each follows its scene slowly (parked cars come and go, snow falls),
//! and only while the picture matches, and it is put where the picture would be without its shake, so that a camera that
//! sags by a little every day is still found out.

use std::time::Duration;

use base64::Engine;
use serde::{Deserialize, Serialize};

use super::edges::{Edges, Match};
use super::measure::Measures;

/// Looks that make a reference.
const LOOKS_FIRST: u32 = 8;
/// Looks of which a reference is the mean before it goes over to following.
const LOOKS_MEAN: u32 = 16;
/// Seconds between two looks that a reference learns from, then, ...
const LEARN_S: f64 = 20.0;
/// ... and the share of each: what stays for five minutes becomes part of the view.
const LEARN_SHARE: f32 = 1.0 / 16.0;
/// Mean distance from grey below which the picture is infrared.
const COLOURLESS: f32 = 1.0;
/// Mean luma below which it is night, and above which it is day again.
const NIGHT: (f32, f32) = (60.0, 75.0);
/// Share of blocks without any edge in a picture that is learned from: a cover must not become the view.
const BLANK_LEARNED: f32 = 0.15;
/// Blocks with edges that a comparison needs.
const BLOCKS_MIN: usize = 12;

/// Share of blocks that match below which it is another view, whatever is usual.
const OTHER: f32 = 0.12;
/// Share of the usual number of matching blocks below which it is another view.
const OTHER_OF_USUAL: f32 = 0.33;
/// Share of blocks found nearby that makes it a shifted view, ...
const SHIFTED: f32 = 0.10;
/// ... if fewer than this share of the usual number are in their place.
const SHIFTED_OF_USUAL: f32 = 0.6;
/// Share of the usual number of matching blocks from which it is the same view for certain.
const SAME_OF_USUAL: f32 = 0.5;
/// Share of blocks that still match when the infrared filter swings: 0.16 at least, with another view seldom 0.05.
const SWING: f32 = 0.06;
/// Share of blocks without any edge from which nothing can be said about the view.
const BLANK_MAX: f32 = 0.6;

/// The light in which a picture was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Light {
    /// Colours, bright.
    Day,
    /// Colours, dark.
    Night,
    /// No colours.
    Infrared,
}

impl Light {
    /// The light of a picture, given that of the one before.
    pub fn of(measures: &Measures, before: Option<Light>) -> Self {
        let night = if before == Some(Light::Night) { NIGHT.1 } else { NIGHT.0 };
        match measures {
            m if m.colour < COLOURLESS => Self::Infrared,
            m if m.mean < night => Self::Night,
            _ => Self::Day,
        }
    }
}

/// What a picture says about the view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    /// Nothing: no reference yet, or too little to see.
    Nothing,
    /// The same.
    Same(Match),
    /// Something is in the way, but as far as can be seen it is the same.
    Doubtful(Match),
    /// Another.
    Other(Match),
}

/// A reference.
#[derive(Debug, Clone, PartialEq)]
struct Reference {
    light: Light,
    edges: Edges,
    looks: u32,
    /// Share of blocks that usually match.
    usual: f32,
    learned: Option<Duration>,
}

/// The references of one camera: 10.4 KB for each light that it has been seen in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "Vec<Stored>", try_from = "Vec<Stored>")]
pub struct View {
    references: Vec<Reference>,
}

impl View {
    /// Forgets the view: the next looks make a new one.
    pub fn forget(&mut self) {
        self.references.clear();
    }

    /// Compares a picture, and learns from it if it is the same view. Beside the answer, the share of blocks that have lost
    /// their edges.
    pub fn look(&mut self, edges: &Edges, light: Light, at: Duration) -> (Answer, f32) {
        let own = self.references.iter().position(|r| r.light == light);
        let mut best: Option<(usize, Match)> = own.map(|i| (i, self.references[i].edges.compare(edges)));
        if best.is_none_or(|(i, found)| found.here < SAME_OF_USUAL * self.references[i].usual) {
            for (i, reference) in self.references.iter().enumerate().filter(|(i, _)| Some(*i) != own) {
                let found = reference.edges.compare(edges);
                if best.is_none_or(|(_, b)| found.here > b.here) {
                    best = Some((i, found));
                }
            }
        }
        let infrared = |light| light == Light::Infrared;
        let swings = self.references.iter().all(|r| infrared(r.light) != infrared(light));
        let Some((matched, found)) = best else {
            self.references.push(Reference::new(light, edges.clone(), at));
            return (Answer::Nothing, 0.0);
        };
        let only = self.references.len() == 1;
        let reference = &mut self.references[matched];
        let usual = reference.usual;
        let answer = judge(&found, usual);
        if only && reference.looks < LOOKS_FIRST {
            // The first looks agree, or the view is not known yet.
            match answer {
                Answer::Other(_) => *reference = Reference::new(light, edges.clone(), at),
                _ => reference.learn(edges, &found, at),
            }
            return (Answer::Nothing, 0.0);
        }
        match (own, answer) {
            (Some(own), Answer::Same(found)) => {
                // It may match another light's reference better: then this light's own is out of date.
                self.references[own].learn(edges, &found, at);
            }
            (None, Answer::Same(found)) => {
                let mut new = self.references[matched].clone();
                (new.light, new.looks) = (light, LOOKS_MEAN);
                new.learn(edges, &found, at);
                self.references.push(new);
            }
            // The infrared filter swings for the first time ever: many edges are others, but none have gone elsewhere.
            (None, Answer::Other(found)) if swings && found.here >= SWING && found.elsewhere < SHIFTED => {
                self.references.push(Reference::new(light, edges.clone(), at));
                return (Answer::Doubtful(found), 0.0);
            }
            _ => {}
        }
        (answer, if found.blocks < BLOCKS_MIN { 0.0 } else { found.blank })
    }
}

/// What a comparison means where so many blocks usually match.
fn judge(found: &Match, usual: f32) -> Answer {
    if found.blocks < BLOCKS_MIN || found.blank > BLANK_MAX {
        return Answer::Nothing;
    }
    // What has gone blank is covered, fogged or dark, not moved.
    let seen = 1.0 - found.blank;
    let (here, elsewhere) = (found.here / seen, found.elsewhere / seen);
    // What shows no edges of its own is no view.
    let other = found.blocks_now >= BLOCKS_MIN && (here < OTHER || here < OTHER_OF_USUAL * usual);
    let shifted = here < SHIFTED_OF_USUAL * usual && elsewhere >= SHIFTED;
    if other || shifted {
        Answer::Other(*found)
    } else if here >= SAME_OF_USUAL * usual {
        Answer::Same(*found)
    } else {
        Answer::Doubtful(*found)
    }
}

impl Reference {
    fn new(light: Light, edges: Edges, at: Duration) -> Self {
        Self { light, edges, looks: 1, usual: 0.9, learned: Some(at) }
    }

    fn learn(&mut self, edges: &Edges, found: &Match, at: Duration) {
        if found.blank > BLANK_LEARNED {
            return;
        }
        self.looks = self.looks.saturating_add(1);
        self.usual += (found.here.max(0.3) - self.usual) / self.looks.min(32) as f32;
        let share = if self.looks <= LOOKS_MEAN {
            1.0 / self.looks as f32
        } else if self.learned.is_none_or(|before| at.saturating_sub(before).as_secs_f64() >= LEARN_S) {
            LEARN_SHARE
        } else {
            return;
        };
        self.edges.learn(edges, found.shift, share);
        self.learned = Some(at);
    }
}

/// A reference as text.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    light: Light,
    looks: u32,
    usual: f32,
    edges: String,
}

impl From<View> for Vec<Stored> {
    fn from(view: View) -> Self {
        let text = |edges: &Edges| {
            let bytes: Vec<u8> = edges.0.iter().map(|&v| v.cast_unsigned()).collect();
            base64::engine::general_purpose::STANDARD.encode(bytes)
        };
        let all = view.references.iter();
        all.map(|r| Stored { light: r.light, looks: r.looks, usual: r.usual, edges: text(&r.edges) })
            .collect()
    }
}

impl TryFrom<Vec<Stored>> for View {
    type Error = String;

    fn try_from(stored: Vec<Stored>) -> Result<Self, String> {
        let mut references: Vec<Reference> = Vec::new();
        for Stored { light, looks, usual, edges } in stored {
            let bytes =
                base64::engine::general_purpose::STANDARD.decode(&edges).map_err(|e| e.to_string())?;
            let edges = Edges::from_bytes(&bytes).ok_or("a view of another size")?;
            if !usual.is_finite() || references.iter().any(|r| r.light == light) {
                return Err("a view that nobody has stored so".into());
            }
            references.push(Reference { light, edges, looks, usual: usual.clamp(0.3, 1.0), learned: None });
        }
        Ok(Self { references })
    }
}
