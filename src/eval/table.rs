//! The figures as text, for a terminal.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use super::figures::{Figures, Rate, Row, Spread, changes, side_by_side};
use super::stops;

/// A share with its interval and what it rests on: `0.967 [0.91, 0.99] 59/61`.
pub fn rate(rate: Option<Rate>) -> String {
    rate.map_or_else(
        || "-".into(),
        |r| format!("{:.3} [{:.2}, {:.2}] {}/{}", r.share, r.interval.0, r.interval.1, r.count, r.of),
    )
}

/// Median and ninth decile: `2.0 / 4.5`.
pub fn spread(spread: Option<&Spread>, digits: usize) -> String {
    spread.map_or_else(|| "-".into(), |s| format!("{:.digits$} / {:.digits$}", s.median, s.p90))
}

/// A row's name: the stratum under its kind.
fn name(row: &Row) -> String {
    row.stratum.as_ref().map_or_else(|| row.kind.clone(), |(name, value)| format!("  {name}={value}"))
}

/// All of it.
pub fn table(figures: &Figures) -> String {
    let mut text = String::new();
    if !figures.rows.is_empty() {
        let head = [
            "",
            "hours",
            "false",
            "false/h",
            "precision (95 %)",
            "recall (95 %)",
            "opening s",
            "closing s",
            "coverage",
            "height m",
        ];
        let mut lines = vec![head.map(str::to_owned).to_vec()];
        lines.extend(figures.rows.iter().map(|row| {
            vec![
                name(row),
                format!("{:.2}", row.hours),
                row.false_incidents.to_string(),
                row.false_per_hour.map_or_else(|| "-".into(), |f| format!("{f:.2}")),
                rate(row.precision),
                rate(row.recall),
                spread(row.opening_delay_s.as_ref(), 1),
                spread(row.closing_delay_s.as_ref(), 1),
                spread(row.coverage_error.as_ref(), 2),
                spread(row.release_error_m.as_ref(), 1),
            ]
        }));
        text += &aligned(&lines);
        text += "Delays and errors: median / p90. Opening: seconds beyond the dwell (a fall: after its release); \
                 closing: beyond the clear time.\n";
    }
    if !figures.stops.is_empty() {
        let head = [
            "standing vehicles",
            "cases",
            "hours",
            "precision (95 %)",
            "recall (95 %)",
            "F1",
            "latency pictures",
            "false in quiet cases",
        ];
        let mut lines = vec![head.map(str::to_owned).to_vec()];
        lines.extend(figures.stops.iter().map(stops_line));
        if !text.is_empty() {
            text.push('\n');
        }
        text += &aligned(&lines);
    }
    for case in &figures.cases {
        if let Some(error) = &case.error {
            let _ = writeln!(text, "not played: {}: {error}", case.name);
        }
    }
    text
}

fn stops_line(row: &stops::Row) -> Vec<String> {
    let name = row.stratum.as_ref().map_or_else(|| "all".into(), |(name, value)| format!("  {name}={value}"));
    vec![
        name,
        row.cases.to_string(),
        format!("{:.2}", row.hours),
        rate(row.precision),
        rate(row.recall),
        row.f1.map_or_else(|| "-".into(), |f1| format!("{f1:.3}")),
        spread(row.latency.as_ref(), 0),
        format!("{} in {}", row.quiet_false, row.quiet_cases),
    ]
}

/// What changed from another result to this one.
pub fn comparison(now: &Figures, before: &Figures) -> String {
    let head = ["", "precision", "was", "recall", "was", "false/h", "was", "opening s", "was"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    let share = |rate: Option<Rate>| rate.map_or_else(|| "-".to_owned(), |r| format!("{:.3}", r.share));
    let median =
        |s: &Option<Spread>| s.as_ref().map_or_else(|| "-".to_owned(), |s| format!("{:.1}", s.median));
    let hourly = |f: Option<f64>| f.map_or_else(|| "-".to_owned(), |f| format!("{f:.2}"));
    for (row, was) in side_by_side(now, before) {
        lines.push(vec![
            name(row),
            share(row.precision),
            share(was.and_then(|w| w.precision)),
            share(row.recall),
            share(was.and_then(|w| w.recall)),
            hourly(row.false_per_hour),
            hourly(was.and_then(|w| w.false_per_hour)),
            median(&row.opening_delay_s),
            was.map_or_else(|| "-".to_owned(), |w| median(&w.opening_delay_s)),
        ]);
    }
    let mut text = format!("compared with {} of {}\n", before.set, before.at);
    if lines.len() > 1 {
        text += &aligned(&lines);
    }
    if let (Some(a), Some(b)) = (now.stops.first(), before.stops.first()) {
        let figure = |r: &stops::Row| {
            let f1 = r.f1.map_or_else(|| "-".to_owned(), |f1| format!("{f1:.3}"));
            format!("P {} R {} F1 {f1} latency {}", share(r.precision), share(r.recall), median(&r.latency))
        };
        let _ = writeln!(text, "standing vehicles: {}, was {}", figure(a), figure(b));
    }
    for change in changes(now, before) {
        let _ = writeln!(text, "  {change}");
    }
    text
}

/// Columns of equal width, the first one to the left.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |c: usize| lines.iter().filter_map(|line| line.get(c)).map(|cell| cell.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (c, cell) in line.iter().enumerate() {
            let pad = " ".repeat(widths[c].saturating_sub(cell.width()));
            if c == 0 { text.extend([cell.as_str(), &pad]) } else { text.extend(["  ", &pad, cell.as_str()]) }
        }
        let end = text.trim_end().len();
        text.truncate(end);
        text.push('\n');
    }
    text
}
