//! Who waits when there is more to look at than the machine can carry. Pure arithmetic on measured costs.
//!
//! | there is | what happens |
//! |---|---|
//! | room for all | every camera at the cadence its rules want |
//! | too little | cameras where nothing is suspected are looked at less often, all by the same factor |
//! | still too little | so are those where something is suspected or open |
//! | not even enough for the cameras of which every picture counts | the rest is looked at as rarely as allowed; these lose pictures, counted |

/// Share of the cores that cameras may be promised: the rest is for sockets, the store and whatever else the box does.
pub const PROMISED: f64 = 0.85;

/// How urgent a camera's pictures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Nothing is suspected: its pictures can wait.
    Idle,
    /// Something is suspected, or an incident is open.
    Urgent,
    /// Every picture counts.
    EveryPicture,
}

/// What a camera would take if nobody else were there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    /// How urgent it is.
    pub rank: Rank,
    /// Cores it would keep busy at the cadence that its rules want: seconds of processor time per second.
    pub cores: f64,
}

/// By how much the time between two looks is stretched; 1: not at all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// Where nothing is suspected.
    pub idle: f64,
    /// Where something is.
    pub urgent: f64,
    /// Whether even that is not enough.
    pub overloaded: bool,
}

impl Stretch {
    /// Room for everybody.
    pub const NONE: Self = Self { idle: 1.0, urgent: 1.0, overloaded: false };

    /// The factor for a camera of this rank.
    pub fn of(&self, rank: Rank) -> f64 {
        match rank {
            Rank::Idle => self.idle,
            Rank::Urgent => self.urgent,
            Rank::EveryPicture => 1.0,
        }
    }
}

/// Cameras without suspicion are looked at at least this many times as rarely as wanted, before others suffer.
pub const IDLE_MAX: f64 = 30.0;
/// The same for cameras with a suspicion: a dwell must still be more than one look.
pub const URGENT_MAX: f64 = 5.0;

/// The stretch at which all claims fit into so many cores.
pub fn stretch(claims: impl IntoIterator<Item = Claim>, cores: f64) -> Stretch {
    let (mut idle, mut urgent, mut every) = (0.0, 0.0, 0.0);
    for claim in claims {
        match claim.rank {
            Rank::Idle => idle += claim.cores,
            Rank::Urgent => urgent += claim.cores,
            Rank::EveryPicture => every += claim.cores,
        }
    }
    let room = cores - every;
    if idle + urgent <= room {
        return Stretch { overloaded: every > cores, ..Stretch::NONE };
    }
    let factor = |wanted: f64, room: f64, max: f64| match wanted {
        0.0 => 1.0,
        _ if room > 0.0 => (wanted / room).clamp(1.0, max),
        _ => max,
    };
    let idle_by = factor(idle, room - urgent, IDLE_MAX);
    let urgent_by = factor(urgent, room - idle / idle_by, URGENT_MAX);
    Stretch {
        idle: idle_by,
        urgent: urgent_by,
        overloaded: idle / idle_by + urgent / urgent_by > room * 1.001,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(rank: Rank, cores: f64) -> Claim {
        Claim { rank, cores }
    }

    #[test]
    fn the_least_urgent_wait_first() {
        use Rank::{EveryPicture, Idle, Urgent};
        let check = |claims: &[(Rank, f64)], cores, idle: f64, urgent: f64, overloaded| {
            let got = stretch(claims.iter().map(|&(rank, cores)| claim(rank, cores)), cores);
            let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert!(near(got.idle, idle) && near(got.urgent, urgent), "{claims:?}: {got:?}");
            assert_eq!(got.overloaded, overloaded, "{claims:?}: {got:?}");
        };
        check(&[], 1.0, 1.0, 1.0, false);
        check(&[(Idle, 0.5), (Urgent, 0.3), (EveryPicture, 0.2)], 1.0, 1.0, 1.0, false);
        // Twice as many idle cameras as there is room for: half as often, the others as before.
        check(&[(Idle, 1.0), (Urgent, 0.3), (EveryPicture, 0.2)], 1.0, 2.0, 1.0, false);
        // No room for the idle ones beyond their least: then the urgent ones give way too.
        check(&[(Idle, 3.0), (Urgent, 1.4), (EveryPicture, 0.2)], 1.0, IDLE_MAX, 2.0, false);
        check(&[(Idle, 3.0), (EveryPicture, 1.2)], 1.0, IDLE_MAX, 1.0, true);
        check(&[(EveryPicture, 1.2)], 1.0, 1.0, 1.0, true);
    }

    proptest! {
        #[test]
        fn what_is_granted_fits_or_is_declared(
            claims in prop::collection::vec((0u8..3, 0.0f64..2.0), 0..30),
            cores in 0.0f64..8.0,
        ) {
            let ranks = [Rank::Idle, Rank::Urgent, Rank::EveryPicture];
            let claims: Vec<_> = claims.iter().map(|&(rank, cores)| claim(ranks[rank as usize], cores)).collect();
            let got = stretch(claims.iter().copied(), cores);
            prop_assert!((1.0..=IDLE_MAX).contains(&got.idle) && (1.0..=URGENT_MAX).contains(&got.urgent));
            let granted: f64 = claims.iter().map(|c| c.cores / got.of(c.rank)).sum();
            prop_assert!(got.overloaded || granted <= cores * 1.001 + 1e-9, "{granted} of {cores}: {got:?}");
            // Urgent cameras suffer only when idle ones have given all they can.
            let idle = claims.iter().any(|c| c.rank == Rank::Idle && c.cores > 0.0);
            prop_assert!(got.urgent <= 1.0 + 1e-9 || !idle || got.idle >= IDLE_MAX - 1e-6, "{got:?}");
        }
    }
}
