//! What belongs to what, and the figures that follow.

use std::sync::Arc;

use gridwatch::config::{Hours, Scenario, Zone};
use gridwatch::eval::figures::{Rate, Spread};
use gridwatch::eval::score::Worth;
use gridwatch::eval::set::Boxes;
use gridwatch::eval::{Outcome, Said, Truth, roadtrack, score, stops};
use gridwatch::geometry::{BBox, Polygon};

/// A zone whose dwell is 30 s and whose clear time is 10 s (a thrown object's counts for neither).
fn zone(scenario: &str) -> Zone {
    let scenario = Arc::clone(&Scenario::built_in()[scenario]);
    let mut rule = scenario.rule.clone();
    (rule.dwell_s, rule.clear_s) = (30.0, 10.0);
    Zone {
        id: "zone".into(),
        name: "zone".into(),
        revision: "1".into(),
        polygon: Polygon::whole_picture(),
        scenario,
        rule,
        hours: Hours::default(),
        facade: None,
    }
}

/// `truths`: from, to, optional. `said`: opened, closed; first seen a dwell before. 300 s of material.
fn check(
    name: &str,
    kind: &str,
    truths: &[(f64, f64, bool)],
    said: &[(f64, Option<f64>)],
    outcomes: &[Outcome],
    worths: &[Worth],
) {
    let truths: Vec<Truth> = truths
        .iter()
        .map(|&(from_s, to_s, optional)| Truth {
            zone: "zone".into(),
            kind: kind.into(),
            from_s,
            to_s,
            optional,
            ..Truth::default()
        })
        .collect();
    let said = said
        .iter()
        .map(|&(opened_s, closed_s)| Said {
            zone: "zone".into(),
            kind: kind.into(),
            first_seen_s: if kind == "thrown_object" { opened_s - 1.0 } else { opened_s - 30.0 },
            last_seen_s: closed_s.unwrap_or(opened_s),
            opened_s,
            closed_s,
            ..Said::default()
        })
        .collect();
    let verdict = score(&truths, said, &[zone(kind)], 300.0);
    let got: Vec<Outcome> = verdict.truths.iter().map(|judged| judged.outcome).collect();
    assert_eq!(got, outcomes, "{name}");
    let got: Vec<Worth> = verdict.said.iter().map(|(_, worth)| *worth).collect();
    assert_eq!(got, worths, "{name}");
}

#[test]
fn incidents_belong_to_situations() {
    use Outcome::{Found, Missed, Optional};
    let lane = "fire_lane";
    check("found", lane, &[(20.0, 90.0, false)], &[(52.0, Some(103.0))], &[Found], &[Worth::True]);
    check("missed", lane, &[(20.0, 90.0, false)], &[], &[Missed], &[]);
    check("nothing there", lane, &[], &[(52.0, None)], &[], &[Worth::False]);
    check("long after", lane, &[(20.0, 90.0, false)], &[(150.0, None)], &[Missed], &[Worth::False]);
    check("in the slack", lane, &[(20.0, 90.0, false)], &[(99.0, None)], &[Found], &[Worth::True]);
    check(
        "said twice",
        lane,
        &[(20.0, 200.0, false)],
        &[(52.0, Some(80.0)), (110.0, Some(215.0))],
        &[Found],
        // The one that tells of more of it counts.
        &[Worth::Duplicate, Worth::True],
    );
    check("optional", lane, &[(20.0, 90.0, true)], &[(52.0, None)], &[Optional], &[Worth::Optional]);
    check("shorter than the dwell", lane, &[(20.0, 45.0, false)], &[], &[Optional], &[]);
    check("the material ends first", lane, &[(280.0, 900.0, false)], &[], &[Optional], &[]);
    check(
        "one incident over two situations",
        lane,
        &[(20.0, 90.0, false), (95.0, 200.0, false)],
        &[(52.0, Some(215.0))],
        &[Missed, Found],
        &[Worth::True],
    );
    check(
        "what is due goes before what is optional",
        lane,
        &[(20.0, 200.0, true), (60.0, 120.0, false)],
        &[(92.0, Some(215.0))],
        &[Optional, Found],
        &[Worth::True],
    );
    let fall = "thrown_object";
    check("a fall", fall, &[(20.0, 21.5, false)], &[(21.8, Some(21.4))], &[Found], &[Worth::True]);
    check("another time", fall, &[(20.0, 21.5, false)], &[(40.0, Some(39.9))], &[Missed], &[Worth::False]);
}

#[test]
fn delays_and_errors() {
    let truth = Truth {
        zone: "zone".into(),
        kind: "fire_lane".into(),
        from_s: 20.0,
        to_s: 90.0,
        coverage: Some(0.3),
        ..Truth::default()
    };
    let said = Said {
        zone: "zone".into(),
        kind: "fire_lane".into(),
        opened_s: 52.0,
        closed_s: Some(104.0),
        coverage: 0.4,
        ..Said::default()
    };
    let verdict = score(&[truth], vec![said], &[zone("fire_lane")], 300.0);
    let judged = &verdict.truths[0];
    assert_eq!((judged.opening_delay_s, judged.closing_delay_s), (Some(2.0), Some(4.0)));
    assert!((judged.coverage_error.unwrap() - 0.1).abs() < 1e-6);
}

#[test]
fn rates_and_spreads() {
    // Wilson's interval of 8 in 10, as in the literature.
    let rate = Rate::new(8, 10).unwrap();
    assert!((rate.interval.0 - 0.4902).abs() < 1e-3 && (rate.interval.1 - 0.9433).abs() < 1e-3, "{rate:?}");
    assert!((Rate::new(10, 10).unwrap().interval.1 - 1.0).abs() < 1e-9);
    assert_eq!(Rate::new(0, 0), None);
    let spread = Spread::new((1..=10).rev().map(f64::from)).unwrap();
    assert_eq!((spread.median, spread.p90, spread.max()), (5.0, 9.0, 10.0));
    assert_eq!(Spread::new(std::iter::empty()), None);
}

#[test]
fn standing_vehicles_as_roadtrack_scores_them() {
    let bbox = |x: f32| BBox { x0: x, y0: 0.5, x1: x + 0.1, y1: 0.6 };
    let picture = |at: usize, boxes: Vec<(u32, BBox)>| Boxes { at_s: at as f64 / 10.0, boxes };
    // A vehicle stands in pictures 10 to 59.
    let truth: Vec<Boxes> = (10..60).map(|at| picture(at, vec![(7, bbox(0.3))])).collect();
    // (name, pictures with an event and its x, found, false events, latency)
    let cases: [(&str, &[(std::ops::Range<usize>, f32)], bool, usize, Option<usize>); 6] = [
        ("all of it", &[(30..60, 0.31)], true, 0, Some(20)),
        ("a fifth", &[(50..60, 0.3)], true, 0, Some(40)),
        ("less than a fifth", &[(51..60, 0.3)], false, 0, Some(41)),
        ("too early for a tenth of it", &[(4..60, 0.3)], true, 1, Some(0)),
        ("beside it", &[(30..60, 0.36)], false, 1, None),
        ("two of it", &[(20..60, 0.3), (40..60, 0.29)], true, 0, Some(10)),
    ];
    for (name, events, found, wrong, latency) in cases {
        let played: Vec<Boxes> = (0..80)
            .map(|at| {
                let open = events.iter().enumerate().filter(|(_, (range, _))| range.contains(&at));
                picture(at, open.map(|(id, (_, x))| (id as u32, bbox(*x))).collect())
            })
            .collect();
        let scored = stops::score(&truth, &played);
        assert_eq!(scored.stops.len(), 1, "{name}");
        let stop = &scored.stops[0];
        assert_eq!((stop.found(), stop.latency, scored.false_events()), (found, latency, wrong), "{name}");
    }
}

#[test]
fn roadtrack_text() {
    let det = "1,-1,-1,-1,-1,-1,-1,-1,-1,-1\n\
               3,-1,320,270,64,54,0.90,2,-1,-1\n\
               3,-1,10,10,20,20,0.80,7,-1,-1\n";
    let findings = roadtrack::findings(det, &[[0.0, 0.0, 100.0, 100.0]]).unwrap();
    assert_eq!(findings.len(), 3);
    assert_eq!(findings[2].captured.media.as_millis(), 200);
    let counts: Vec<usize> = findings.iter().map(|f| f.objects.as_ref().unwrap().len()).collect();
    assert_eq!(counts, [0, 0, 1], "the picture without a line is empty, the region is ignored");
    let object = &findings[2].objects.as_ref().unwrap()[0];
    assert_eq!(object.class.as_str(), "car");
    assert_eq!(object.bbox, BBox { x0: 0.5, y0: 0.5, x1: 0.6, y1: 0.6 });
    let boxes = roadtrack::boxes("298,4,430,189,20,20,0.89,7\n").unwrap();
    assert!((boxes[0].at_s - 29.7).abs() < 1e-9);
    assert_eq!(boxes[0].boxes[0].0, 4);
    let standing = |at_s: f64| Boxes { at_s, boxes: boxes[0].boxes.clone() };
    let times = [1.0, 2.0, 11.0, 30.0, 31.0].map(standing);
    assert_eq!(roadtrack::situations(&times), [(1.0, 11.0), (30.0, 31.0)]);
    assert_eq!(roadtrack::findings("1,2,nonsense", &[]).unwrap_err(), 1);
    assert_eq!(roadtrack::scene("04-12_09_K221_1953"), Some("K221"));
}
