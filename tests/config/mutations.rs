//! Whatever happens to the files, nothing panics, and what is loaded is sound.

use std::collections::HashSet;

use gridwatch::config::Config;
use gridwatch::geometry::Polygon;
use proptest::prelude::*;

use crate::{Site, example, repository};

/// One thing that may happen to a file: an editor's slip, a broken disk, a bad transfer.
#[derive(Debug, Clone)]
enum Mutation {
    Overwrite(usize, u8),
    Delete(usize, usize),
    Insert(usize, Vec<u8>),
    RepeatLine(usize),
    SwapLines(usize, usize),
    Truncate(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let pieces = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..6),
        prop::sample::select(vec![
            "\"",
            "[",
            "]",
            "[[zone]]\n",
            "[[camera]]\n",
            "=",
            " = 1\n",
            "\n",
            ",",
            "-1",
            "1e400",
            "nan",
            "''",
            "{",
            "}",
            "\u{200b}",
            "\u{feff}",
            "，",
            "“",
            "rtsp://",
            "@",
            "9223372036854775808",
            "0x7f",
            "1979-05-27",
            ".",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Overwrite(at, byte)),
        (any::<usize>(), 1usize..40).prop_map(|(at, length)| Mutation::Delete(at, length)),
        (any::<usize>(), pieces).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        any::<usize>().prop_map(Mutation::RepeatLine),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Mutation::SwapLines(a, b)),
        any::<usize>().prop_map(Mutation::Truncate),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let place = |at: usize| at % bytes.len();
    match mutation {
        Mutation::Overwrite(at, byte) => {
            let at = place(*at);
            bytes[at] = *byte;
        }
        Mutation::Delete(at, length) => {
            let at = place(*at);
            bytes.drain(at..(at + length).min(bytes.len()));
        }
        Mutation::Insert(at, piece) => {
            let at = place(*at);
            bytes.splice(at..at, piece.iter().copied());
        }
        Mutation::Truncate(at) => bytes.truncate(place(*at)),
        Mutation::RepeatLine(line) => {
            let mut lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
            let line = line % lines.len();
            lines.insert(line, lines[line]);
            *bytes = lines.join(&b'\n');
        }
        Mutation::SwapLines(a, b) => {
            let mut lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
            let (a, b) = (a % lines.len(), b % lines.len());
            lines.swap(a, b);
            *bytes = lines.join(&b'\n');
        }
    }
}

/// What the stages rely on.
fn check_sound(config: &Config) {
    let plain = |id: &str| {
        !id.is_empty()
            && id.len() <= 80
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && id.as_bytes()[0].is_ascii_alphanumeric()
    };
    assert!(plain(&config.node.site) && plain(&config.node.id));
    assert!((1..=100).contains(&config.evidence.jpeg_quality));
    let mut ids = HashSet::new();
    for camera in &config.cameras {
        assert!(plain(camera.id.as_str()) && ids.insert(camera.id.clone()), "{}", camera.id);
        assert_eq!(camera.url.scheme(), "rtsp");
        assert!(camera.url.has_host() && camera.url.username().is_empty() && camera.url.password().is_none());
        assert!(config.models.contains_key(&camera.model));
        assert!((3.0..=600.0).contains(&camera.stall_s));
        let mut zones = HashSet::new();
        for zone in &camera.zones {
            assert!(plain(&zone.id.0) && zones.insert(zone.id.clone()));
            Polygon::new(zone.polygon.points().to_vec()).unwrap();
            let rule = &zone.rule;
            assert!(rule.suspect_s <= rule.dwell_s && rule.dwell_s.is_finite());
            assert!((0.0..=1.0).contains(&rule.score_min) && (0.0..=1.0).contains(&rule.coverage_min));
            assert!(
                zone.hours
                    .spans
                    .iter()
                    .all(|&(days, from, to)| days < 128 && days > 0 && from != to && to <= 1440)
            );
            assert!(zone.facade.as_ref().is_none_or(|facade| facade.top_m > facade.bottom_m));
        }
        for mask in &camera.masks {
            Polygon::new(mask.points().to_vec()).unwrap();
        }
    }
    for camera in &config.disabled {
        assert!(plain(camera.id.as_str()) && ids.insert(camera.id.clone()), "{}", camera.id);
        assert!(!camera.problems.is_empty(), "{} is disabled without a reason", camera.id);
    }
}

/// Loads the site; every problem must have a place in its file.
fn check(site: &Site) {
    let problems = match site.load() {
        Ok(loaded) => {
            check_sound(&loaded.config);
            loaded.problems
        }
        Err(error) => {
            assert!(!error.problems().is_empty(), "{error}");
            error.problems().to_vec()
        }
    };
    for problem in problems {
        assert!(problem.line >= 1 && problem.column >= 1 && !problem.message.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn of_the_config_file(mutations in proptest::collection::vec(mutation(), 1..5)) {
        let site = example();
        let mut bytes = std::fs::read(repository("config/gridwatch.toml")).unwrap();
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        site.write("gridwatch.toml", &bytes);
        check(&site);
    }

    #[test]
    fn of_the_values(line in any::<prop::sample::Index>(), value in "(-?[0-9.e]{1,9}|\"[ -~]{0,12}\"|\\[[0-9., ]{0,9}\\]|true|nan|inf|\\{\\}|[0-9:-]{4,10})") {
        // Every key of the example in turn with any value.
        let site = example();
        let text = std::fs::read_to_string(repository("config/gridwatch.toml")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let keyed: Vec<usize> = (0..lines.len()).filter(|&n| lines[n].trim_start_matches("# ").split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))).collect();
        let at = *line.get(&keyed);
        let key = lines[at].trim_start_matches("# ").split(' ').next().unwrap();
        let changed = format!("{key} = {value}");
        let text = lines.iter().enumerate().map(|(n, line)| if n == at { &changed } else { *line }).collect::<Vec<_>>().join("\n");
        site.write("gridwatch.toml", text.as_bytes());
        check(&site);
    }

    #[test]
    fn of_the_list(mutations in proptest::collection::vec(mutation(), 1..5)) {
        let site = example();
        let mut bytes = std::fs::read(repository("config/cameras.example.csv")).unwrap();
        mutations.iter().for_each(|mutation| mutate(&mut bytes, mutation));
        site.write("cameras.example.csv", &bytes);
        check(&site);
    }
}
