use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn at(seconds: f64) -> Captured {
    Captured {
        wall: jiff::Timestamp::UNIX_EPOCH,
        media: Duration::from_secs_f64(seconds),
        clock: crate::frame::Clock::File,
    }
}

fn found(class: &str, score: f32, x: f32, w: f32) -> Detection {
    Detection::new(class.into(), score, BBox::clamped(x, 0.5, x + w, 0.5 + w))
}

/// Feeds pictures of `(time, [(class, score, x, width)])` and compares the number of ids given out.
fn check(name: &str, pictures: &[(f64, &[(&str, f32, f32, f32)])], ids: usize) -> Tracker {
    let mut tracker = Tracker::new();
    let mut seen = std::collections::BTreeSet::new();
    for (time, objects) in pictures {
        let objects: Vec<_> = objects.iter().map(|&(c, s, x, w)| found(c, s, x, w)).collect();
        tracker.observe(&at(*time), &objects);
        seen.extend(tracker.current().map(|t| t.id));
    }
    assert_eq!(seen.len(), ids, "{name}");
    tracker
}

#[test]
fn ids_hold() {
    let standing = check(
        "one picture in ten seconds",
        &[
            (0.0, &[("car", 0.8, 0.5, 0.1)]),
            (10.0, &[("car", 0.7, 0.51, 0.1)]),
            (20.0, &[("car", 0.8, 0.5, 0.1)]),
        ],
        1,
    );
    assert!((standing.tracks()[0].stands_s() - 20.0).abs() < 1e-9);
    let wavering = check(
        "car or truck",
        &[
            (0.0, &[("truck", 0.5, 0.5, 0.1)]),
            (1.0, &[("car", 0.8, 0.5, 0.1)]),
            (2.0, &[("truck", 0.2, 0.5, 0.1)]),
        ],
        1,
    );
    assert_eq!(wavering.tracks()[0].class().as_str(), "car");
    check(
        "hidden for four seconds",
        &[(0.0, &[("car", 0.8, 0.5, 0.1)]), (2.0, &[]), (4.0, &[("car", 0.8, 0.5, 0.1)])],
        1,
    );
    check(
        "away for a minute",
        &[(0.0, &[("car", 0.8, 0.5, 0.1)]), (1.0, &[]), (60.0, &[]), (61.0, &[("car", 0.8, 0.5, 0.1)])],
        2,
    );
    check("a person is no car", &[(0.0, &[("car", 0.8, 0.5, 0.1)]), (1.0, &[("person", 0.8, 0.5, 0.1)])], 2);
    check(
        "weak detections start nothing",
        &[(0.0, &[("car", 0.2, 0.5, 0.1)]), (1.0, &[("car", 0.2, 0.5, 0.1)])],
        0,
    );
    check(
        "weak detections continue",
        &[(0.0, &[("car", 0.6, 0.5, 0.1)]), (1.0, &[("car", 0.15, 0.5, 0.1)])],
        1,
    );
    check(
        "two that meet keep apart",
        &[
            (0.0, &[("car", 0.8, 0.1, 0.1), ("car", 0.8, 0.5, 0.1)]),
            (0.2, &[("car", 0.8, 0.14, 0.1), ("car", 0.8, 0.46, 0.1)]),
            (0.4, &[("car", 0.8, 0.18, 0.1), ("car", 0.8, 0.42, 0.1)]),
        ],
        2,
    );
}

#[test]
fn a_passing_car_does_not_stand() {
    let pictures: Vec<(f64, f32)> = (0..40).map(|i| (f64::from(i) * 0.2, 0.02 * i as f32)).collect();
    let mut tracker = Tracker::new();
    for (time, x) in pictures {
        tracker.observe(&at(time), &[found("car", 0.8, x, 0.1)]);
        assert!(tracker.tracks().iter().all(|t| t.stands_s() < 1.0));
    }
    assert_eq!(tracker.tracks().len(), 1);
}

proptest! {
    #[test]
    fn any_detections_are_bounded(pictures in prop::collection::vec(
        (0.0f64..30.0, prop::collection::vec((any::<f32>(), any::<[f32; 4]>()), 0..20)), 0..30))
    {
        let mut tracker = Tracker::new();
        let mut time = 0.0;
        for (step, boxes) in pictures {
            time += step;
            let detections: Vec<_> = boxes
                .into_iter()
                .map(|(score, b)| Detection::new("car".into(), score, b.into()))
                .collect();
            tracker.observe(&at(time), &detections);
            prop_assert!(tracker.tracks().len() <= TRACKS_MAX);
            for t in tracker.tracks() {
                prop_assert!(t.stands_s() <= time + 1e-6);
            }
        }
    }
}

#[test]
fn the_next_of_a_queue_is_another() {
    let ids = |next: u8| {
        let car = |x: f32, luma: u8| Detection {
            looks: Some(Appearance { fields: [[luma, 128, 128]; 9], pattern: None }),
            ..found("car", 0.8, x, 0.1)
        };
        let mut tracker = Tracker::new();
        let mut seen = std::collections::BTreeSet::new();
        let looks = [(0.0, 0.5, 120), (2.0, 0.5, 121), (4.0, 0.5, 119), (6.0, 0.53, 120), (8.0, 0.5, next)];
        for (time, x, luma) in looks {
            tracker.observe(&at(time), &[car(x, luma)]);
            seen.extend(tracker.current().map(|t| t.id));
        }
        seen.len()
    };
    assert_eq!(ids(121), 1, "it shuffled");
    assert_eq!(ids(140), 2, "it moved up, and the next one has come to its place");
}
