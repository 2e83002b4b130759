//! What a camera's sizes say, and whether they are believed, on made-up encoders.

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

const ENCODER: Encoder = Encoder { fps: 25, group: 50, large_every: 1, noise: 0.05, motion: 1.3, stays: 1.2 };

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
