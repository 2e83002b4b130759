//! Files far larger and deeper than any operator writes: they are read in time, or refused in words.

use std::time::{Duration, Instant};

use crate::{NODE, Site};

/// Two seconds are usual; a busy machine takes several times as long.
const PATIENCE: Duration = Duration::from_secs(30);

fn check(name: &str, files: &[(&str, &[u8])], expected: &str) {
    let site = Site::new(files);
    let began = Instant::now();
    let report = site.report();
    let took = began.elapsed();
    println!("{name}: {:.1} s", took.as_secs_f64());
    let last = report.lines().last().unwrap();
    assert!(last.contains(expected), "{name}: {last}");
    assert!(took < PATIENCE, "{name}: {took:?}");
}

#[test]
fn a_config_of_a_hundred_thousand_lines_is_read() {
    let camera = |n: usize| {
        format!(
            "[[camera]]\nid = \"c{n}\"\nurl = \"rtsp://10.1.2.3/{n}\"\n[[zone]]\ncamera = \"c{n}\"\n\
             scenario = \"fire_lane\"\npolygon = [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9]]\n"
        )
    };
    let text: String = std::iter::once(NODE.to_owned()).chain((0..14_286).map(camera)).collect();
    assert!(text.lines().count() > 100_000);
    check("cameras", &[("gridwatch.toml", text.as_bytes())], "14286 run, 0 disabled");
    let text = format!("{NODE}{}", (0..100_000).map(|n| format!("k{n} = {n}\n")).collect::<String>());
    check("unknown keys", &[("gridwatch.toml", text.as_bytes())], "does not start");
    let text = format!("{NODE}{}", "x\n".repeat(100_000));
    check("no TOML at all", &[("gridwatch.toml", text.as_bytes())], "does not start");
}

#[test]
fn a_list_of_a_hundred_thousand_rows_is_read() {
    let text = format!("{NODE}[[camera_list]]\nfile = \"cameras.csv\"\n");
    let rows: String = (0..100_000).map(|n| format!("c{n},rtsp://10.1.2.3/{n}\n")).collect();
    let files = |rows: &str| {
        [
            ("gridwatch.toml", text.clone().into_bytes()),
            ("cameras.csv", format!("id,url\n{rows}").into_bytes()),
        ]
    };
    for (name, rows, expected) in [
        ("rows", rows, "100000 run, 0 disabled"),
        ("rows without an address", "c,\n".repeat(100_000), "0 run, 100000 disabled"),
        ("quotes that are never closed", "\"c,rtsp://10.1.2.3/\n".repeat(100_000), "0 run"),
        ("a row of a million fields", ",".repeat(1_000_000), "0 run"),
    ] {
        let files = files(&rows);
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
        check(name, &files, expected);
    }
}

#[test]
fn what_is_nested_without_end_or_not_text_is_refused() {
    let deep = 100_000;
    for (name, value) in [
        ("arrays", format!("x = {}{}\n", "[".repeat(deep), "]".repeat(deep))),
        ("arrays without an end", format!("x = {}", "[".repeat(deep))),
        ("tables", format!("x = {}1{}\n", "{a = ".repeat(deep), "}".repeat(deep))),
        ("dotted keys", format!("x{} = 1\n", ".a".repeat(deep))),
        ("a dotted header", format!("[x{}]\n", ".a".repeat(deep))),
        ("NUL bytes", "x = \"\0\"\n\0\0\n".to_owned()),
    ] {
        check(name, &[("gridwatch.toml", format!("{NODE}{value}").as_bytes())], "does not start");
    }
}
