//! Things that came into a zone and stay there, whatever they are: a mat with goods, a stall that no detector knows.
//!
//! | happens | policy |
//! |---|---|
//! | customers stand before it, it grows or shrinks | one place, as long as the smaller of two boxes lies in the larger |
//! | it is hidden for less than `clear_s` | the same thing, as old as before |
//! | nobody looked for longer than `gap_s` | the same thing if the two boxes are about the same, else it has just come |
//! | the detector calls it a person, a vehicle, a parked cycle now and then | that is what it is: not goods |
//! | somebody who waits is no person to the detector for a while | as above; what is slimmer than a person is tall is no stall anyway |

use serde::{Deserialize, Serialize};

use crate::config::Rule;
use crate::detection::ZoneForeground;
use crate::frame::Captured;
use crate::geometry::BBox;

use super::FOREGROUND_AGE;
use super::gap::{Looks, later};
use crate::track::stays_over_pause;

/// Most places remembered in one zone.
const PLACES_MAX: usize = 16;
/// How much of the smaller of two boxes lies in the other if both are one thing.
const SAME_SHARE: f32 = 0.5;
/// How much of a thing lies under the box of what it is then; a vendor behind a mat hides half of it.
const HIDDEN_SHARE: f32 = 0.75;
/// What the detector has a name for in more than this share of the looks is what it says.
const NAMED_SHARE_MAX: f32 = 0.25;

/// Something that came and stays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thing {
    /// Where it is.
    pub bbox: BBox,
    /// Since when.
    pub since: Captured,
    /// When it was last seen; what was not looked at does not count.
    last: Captured,
    /// Whether nobody has looked for a while since.
    unseen: bool,
    /// How often it was seen, and how often the detector had another name for it.
    looks: u16,
    named: u16,
}

/// All things of one zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Goods {
    clear_s: f64,
    height_min: f32,
    looks: Looks,
    things: Vec<Thing>,
}

impl Goods {
    /// Nothing has come yet.
    pub fn new(rule: &Rule) -> Self {
        let looks = Looks::new(rule);
        Self { clear_s: rule.clear_s, height_min: rule.height_min, looks, things: Vec::new() }
    }

    /// Takes the zone's settled static foreground at one look, and the boxes of what is no goods: persons, vehicles.
    pub fn look(&mut self, at: &Captured, foreground: &ZoneForeground, others: &[BBox]) {
        if let Some(gap) = self.looks.after_gap(at) {
            for thing in &mut self.things {
                (thing.last, thing.unseen) = (later(&thing.last, gap), true);
            }
        }
        let mut looked = [false; PLACES_MAX];
        for bbox in foreground.boxes.iter().filter(|b| b.area().sqrt() >= self.height_min) {
            let hidden = others.iter().any(|o| bbox.intersection(o) >= HIDDEN_SHARE * bbox.area());
            let named = u16::from(hidden);
            let same = |thing: &Thing| {
                thing.bbox.intersection(bbox) >= SAME_SHARE * thing.bbox.area().min(bbox.area())
            };
            match self.things.iter().position(same) {
                // A second part of it.
                Some(index) if looked[index] => {}
                Some(index) => {
                    let thing = &mut self.things[index];
                    looked[index] = true;
                    if std::mem::take(&mut thing.unseen) && !stays_over_pause(&thing.bbox, bbox) {
                        (thing.since, thing.looks, thing.named) = (*at, 0, 0);
                    }
                    (thing.bbox, thing.last) = (*bbox, *at);
                    (thing.looks, thing.named) =
                        (thing.looks.saturating_add(1), thing.named.saturating_add(named));
                }
                None if self.things.len() < PLACES_MAX => {
                    let since = Captured { media: at.media.saturating_sub(FOREGROUND_AGE), ..*at };
                    looked[self.things.len()] = true;
                    self.things.push(Thing { bbox: *bbox, since, last: *at, unseen: false, looks: 1, named });
                }
                None => {}
            }
        }
        self.things.retain(|thing| at.seconds_since(&thing.last) < self.clear_s);
    }

    /// What was seen at this look and has no other name.
    pub fn seen(&self, at: &Captured) -> impl Iterator<Item = &Thing> {
        let unnamed = |t: &Thing| f32::from(t.named) <= NAMED_SHARE_MAX * f32::from(t.looks);
        self.things.iter().filter(move |thing| thing.last.media == at.media && unnamed(thing))
    }
}
