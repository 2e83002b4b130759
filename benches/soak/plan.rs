//! What goes wrong when: decided before it begins, by the seed alone.

use std::time::Duration;

use fastrand::Rng;
use gridwatch::simulate::Fault;

/// What happens to the broker, or on the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// It stops in order and comes back with its sessions.
    Stopped,
    /// It is killed and comes back with what it had last saved.
    Killed,
    /// It is killed and comes back without a memory.
    Forgot,
    /// Connections are closed and refused.
    Cut,
    /// Nothing passes and nothing is closed.
    Mute,
}

/// How the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `kill -9`.
    Killed,
    /// `kill -9` in the moment after a message.
    KilledAtMessage,
    /// SIGTERM.
    Stopped,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act {
    /// A camera begins to fail in the n-th way of [`WAYS`].
    Begin {
        camera: usize,
        way: usize,
    },
    /// And is well again.
    Mend {
        camera: usize,
        way: usize,
    },
    /// All cameras are gone for so many seconds: the power of their switch.
    AllGone {
        seconds: f64,
    },
    BrokerDown(Outage),
    BrokerUp,
    DaemonDown(End),
    DaemonUp,
    /// The config changes; a bad one first, if so.
    Reload {
        bad: bool,
    },
}

/// How a camera can fail.
pub struct Way {
    pub name: &'static str,
    pub faults: &'static [Fault],
    /// How often, against the others.
    weight: u32,
}

const fn way(name: &'static str, weight: u32, faults: &'static [Fault]) -> Way {
    Way { name, faults, weight }
}

/// All ways.
pub const WAYS: [Way; 19] = [
    way("disconnects once", 3, &[Fault::Disconnect]),
    way("disconnects every 3 s", 2, &[Fault::DisconnectEvery(Duration::from_secs(3))]),
    way("stalls", 3, &[Fault::Stall]),
    way("hangs", 3, &[Fault::Hang]),
    way("refuses", 3, &[Fault::Refuse]),
    way("unauthorized", 1, &[Fault::Unauthorized, Fault::Disconnect]),
    way("garbage 2 %", 2, &[Fault::Garbage(0.02)]),
    way("noise 1 %", 2, &[Fault::Noise(0.01)]),
    way("truncates 2 %", 2, &[Fault::Truncate(0.02)]),
    way("loses 5 %", 2, &[Fault::Loss(0.05)]),
    way("reorders 5 %", 1, &[Fault::Reorder(0.05)]),
    way("jitters 400 ms", 1, &[Fault::Jitter(Duration::from_millis(400))]),
    way("time jumps on", 1, &[Fault::Jump(20.0)]),
    way("time jumps back", 1, &[Fault::Jump(-20.0)]),
    way("clock an hour late", 1, &[Fault::Clock(-3600.0)]),
    way("answers slowly", 1, &[Fault::Slow(Duration::from_millis(20)), Fault::Disconnect]),
    way("begins in mid-group", 1, &[Fault::MidGop, Fault::Disconnect]),
    way("audio, metadata, no reports", 1, &[Fault::Audio, Fault::Metadata, Fault::NoRtcp, Fault::Disconnect]),
    way("no parameter sets in the SDP", 1, &[Fault::NoSprop, Fault::Disconnect]),
];

/// When it ends; everything is well from `settles` on, so that what is open can close.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The last kill.
    pub kills_until: f64,
    pub settles: f64,
    pub ends: f64,
}

/// How long everything is well at the end: a whole round of the clips and what a restarted daemon needs to close.
const SETTLES_S: f64 = 110.0;
/// Share of the time in which the daemon is killed; the rest shows whether it grows.
const KILLS_SHARE: f64 = 0.75;
/// How long nothing fails at first: a daemon that has seen its places empty once knows them after a restart.
const BEGINS_S: f64 = 80.0;

impl Times {
    pub fn of(minutes: f64, kills: bool) -> Self {
        let ends = minutes * 60.0;
        let settles = (ends - SETTLES_S).max(0.0);
        Self { kills_until: if kills { (ends * KILLS_SHARE).min(settles) } else { 0.0 }, settles, ends }
    }
}

/// Everything that will happen, in order of time.
pub fn plan(times: &Times, cameras: usize, seed: u64, reloads: bool) -> Vec<(f64, Act)> {
    let mut rng = Rng::with_seed(seed);
    let mut acts = Vec::new();
    of_cameras(&mut rng.fork(), times, cameras, &mut acts);
    of_broker(&mut rng.fork(), times, &mut acts);
    of_daemon(&mut rng.fork(), times, &mut acts);
    if reloads {
        let mut rng = rng.fork();
        let mut at = BEGINS_S;
        while at < times.settles {
            acts.push((at, Act::Reload { bad: rng.u8(..4) == 0 }));
            at += between(&mut rng, 15.0, 45.0);
        }
    }
    acts.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    acts
}

fn of_cameras(rng: &mut Rng, times: &Times, cameras: usize, acts: &mut Vec<(f64, Act)>) {
    let weights: u32 = WAYS.iter().map(|way| way.weight).sum();
    let mut well_at = vec![0.0; cameras];
    let mut at = BEGINS_S;
    let mut all_gone_at = 200.0;
    while at < times.settles {
        if at > all_gone_at {
            all_gone_at += 300.0;
            acts.push((at, Act::AllGone { seconds: between(rng, 1.0, 8.0) }));
        }
        let well: Vec<usize> = (0..cameras).filter(|&n| well_at[n] < at).collect();
        if let Some(&camera) = rng.choice(&well) {
            let mut lot = rng.u32(..weights);
            let way = WAYS.iter().position(|way| match lot.checked_sub(way.weight) {
                Some(left) => {
                    lot = left;
                    false
                }
                None => true,
            });
            let way = way.unwrap_or(0);
            let mended = (at + between(rng, 3.0, 30.0)).min(times.settles);
            acts.push((at, Act::Begin { camera, way }));
            acts.push((mended, Act::Mend { camera, way }));
            well_at[camera] = mended + 15.0;
        }
        at += between(rng, 4.0, 12.0);
    }
}

fn of_broker(rng: &mut Rng, times: &Times, acts: &mut Vec<(f64, Act)>) {
    const ALL: [Outage; 5] = [Outage::Forgot, Outage::Cut, Outage::Mute, Outage::Stopped, Outage::Killed];
    let mut at = BEGINS_S + between(rng, 5.0, 30.0);
    for nth in 0.. {
        if at >= times.settles {
            return;
        }
        let up = (at + between(rng, 1.0, 40.0)).min(times.settles);
        acts.push((at, Act::BrokerDown(ALL[nth % ALL.len()])));
        acts.push((up, Act::BrokerUp));
        at = up + between(rng, 35.0, 110.0);
    }
}

fn of_daemon(rng: &mut Rng, times: &Times, acts: &mut Vec<(f64, Act)>) {
    let mut at = BEGINS_S + between(rng, 5.0, 20.0);
    for nth in 0.. {
        if at >= times.kills_until {
            return;
        }
        let end = match nth % 9 {
            4 => End::Stopped,
            even if even % 2 == 0 => End::Killed,
            _ => End::KilledAtMessage,
        };
        let up = at + if rng.u8(..8) == 0 { between(rng, 8.0, 20.0) } else { between(rng, 0.2, 3.0) };
        acts.push((at, Act::DaemonDown(end)));
        acts.push((up, Act::DaemonUp));
        at = up + between(rng, 22.0, 50.0);
    }
}

fn between(rng: &mut Rng, from: f64, to: f64) -> f64 {
    from + (to - from) * rng.f64()
}
