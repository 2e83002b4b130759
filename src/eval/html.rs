//! The figures as one HTML file that needs nothing else: plots as SVG, pictures as `data:` addresses.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;

use super::figures::{CaseResult, Figures, Rate, Row, Spread};
use super::score::{Outcome, Worth};
use super::{stops, table};

/// Pictures in one report: more make a file that no browser likes.
const PICTURES_MAX: usize = 200;
/// Misses and false incidents listed in all.
const LISTED_MAX: usize = 2_000;

/// Pictures by case: what the index counts, and a JPEG.
#[derive(Debug, Default)]
pub struct Pictures {
    /// Of situations, by case and index: the picture in the middle of it.
    pub truths: BTreeMap<(String, usize), Vec<u8>>,
    /// Of incidents, by case and index: the snapshot that opened it.
    pub said: BTreeMap<(String, usize), Vec<u8>>,
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}\
h1{font-size:1.5rem}h2{margin-top:2.5rem;border-bottom:1px solid #ccc}table{border-collapse:collapse;font-size:13px}\
td,th{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #eee}td:first-child,th:first-child{text-align:left}\
tr.kind td{font-weight:600;background:#f4f6f8}.plots{display:flex;flex-wrap:wrap;gap:2rem}figure{margin:1rem 0}\
figcaption{font-size:13px;color:#555}.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(20rem,1fr));gap:1rem}\
.grid img{width:100%}.grid figure{margin:0}.bad{color:#b00020}pre{background:#f4f6f8;padding:1rem;overflow:auto;font-size:12px}\
svg text{font:11px system-ui,sans-serif}@media(prefers-color-scheme:dark){body{background:#16181c;color:#ddd}\
tr.kind td,pre{background:#22252b}td,th{border-color:#333}svg{background:#ddd}figcaption{color:#aaa}}";

/// The report; `before` is another result to compare with.
pub fn html(figures: &Figures, pictures: &Pictures, before: Option<&Figures>) -> String {
    let mut out = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
    let _ = write!(
        out,
        "<title>gridwatch eval: {0}</title><style>{STYLE}</style><h1>gridwatch eval: {0}</h1>",
        escape(&figures.set)
    );
    let models: Vec<String> = figures.models.iter().map(|m| escape(m)).collect();
    let _ = write!(
        out,
        "<p>{} cases, gridwatch {}, {}. Models: {}.</p>",
        figures.cases.len(),
        escape(&figures.version),
        escape(&figures.at),
        if models.is_empty() { "none".to_owned() } else { models.join(", ") }
    );
    if !figures.rows.is_empty() {
        out += &incident_table(&figures.rows);
        out += "<div class=plots>";
        out += &rates("Recall with its Wilson 95 % interval", &figures.rows, |row| row.recall);
        out += &rates("Precision with its Wilson 95 % interval", &figures.rows, |row| row.precision);
        out += "</div><div class=plots>";
        let delays = |value: fn(&Row) -> Option<&Spread>| {
            let kinds = figures.rows.iter().filter(|row| row.stratum.is_none());
            kinds.filter_map(|row| Some((row.kind.as_str(), value(row)?))).collect::<Vec<_>>()
        };
        out += &cumulative("Opening beyond the dwell, seconds", &delays(|row| row.opening_delay_s.as_ref()));
        out += &cumulative(
            "Closing beyond the clear time, seconds",
            &delays(|row| row.closing_delay_s.as_ref()),
        );
        out += &cumulative("Error of the covered share", &delays(|row| row.coverage_error.as_ref()));
        out +=
            &cumulative("Error of the release height, metres", &delays(|row| row.release_error_m.as_ref()));
        out += "</div>";
    }
    if !figures.stops.is_empty() {
        out += &stops_section(&figures.stops);
    }
    if let Some(before) = before {
        let _ = write!(out, "<h2>Compared</h2><pre>{}</pre>", escape(&table::comparison(figures, before)));
    }
    out += &faults(figures, pictures);
    out += "</html>\n";
    out
}

fn incident_table(rows: &[Row]) -> String {
    let mut out = String::from(
        "<h2>Incidents</h2><table><tr><th><th>hours<th>false<th>false per hour<th>precision<th>recall\
         <th>opening s<th>closing s<th>coverage<th>height m<th>within 3 m<th>floor right</tr>",
    );
    for row in rows {
        let (class, name) = match &row.stratum {
            None => ("kind", escape(&row.kind)),
            Some((name, value)) => ("", format!("&emsp;{}={}", escape(name), escape(value))),
        };
        let cells = [
            format!("{:.2}", row.hours),
            row.false_incidents.to_string(),
            row.false_per_hour.map_or_else(|| "-".into(), |f| format!("{f:.2}")),
            table::rate(row.precision),
            table::rate(row.recall),
            table::spread(row.opening_delay_s.as_ref(), 1),
            table::spread(row.closing_delay_s.as_ref(), 1),
            table::spread(row.coverage_error.as_ref(), 2),
            table::spread(row.release_error_m.as_ref(), 1),
            table::rate(row.release_within_3_m),
            table::rate(row.floor_right),
        ];
        let _ = write!(out, "<tr class=\"{class}\"><td>{name}<td>{}</tr>", cells.join("<td>"));
    }
    out + "</table><p>Delays and errors: median / p90.</p>"
}

fn stops_section(rows: &[stops::Row]) -> String {
    let mut out = String::from(
        "<h2>Vehicles that stand</h2><table><tr><th><th>cases<th>hours<th>precision<th>recall<th>F1\
         <th>latency, pictures<th>false in quiet cases</tr>",
    );
    for row in rows {
        let name = row
            .stratum
            .as_ref()
            .map_or_else(|| "all".into(), |(n, v)| format!("{}={}", escape(n), escape(v)));
        let cells = [
            row.cases.to_string(),
            format!("{:.2}", row.hours),
            table::rate(row.precision),
            table::rate(row.recall),
            row.f1.map_or_else(|| "-".into(), |f1| format!("{f1:.3}")),
            table::spread(row.latency.as_ref(), 0),
            format!("{} in {}", row.quiet_false, row.quiet_cases),
        ];
        let _ = write!(out, "<tr><td>{name}<td>{}</tr>", cells.join("<td>"));
    }
    out += "</table>";
    let latencies: Vec<(&str, &Spread)> = rows
        .first()
        .and_then(|row| row.latency.as_ref())
        .map(|latency| ("all", latency))
        .into_iter()
        .collect();
    out + &cumulative("Latency, pictures", &latencies)
}

/// One line per row: the share as a dot, its interval as a bar.
fn rates(title: &str, rows: &[Row], value: impl Fn(&Row) -> Option<Rate>) -> String {
    let some: Vec<(&Row, Rate)> = rows.iter().filter_map(|row| Some((row, value(row)?))).take(80).collect();
    if some.is_empty() {
        return String::new();
    }
    let (left, wide, line) = (210.0, 260.0, 16.0);
    let height = line * some.len() as f64 + 24.0;
    let mut out = format!(
        "<figure><figcaption>{title}</figcaption><svg width=\"{}\" height=\"{height}\" role=\"img\">",
        left + wide + 30.0
    );
    let x = |share: f64| left + wide * share;
    for tenth in 0..=5 {
        let at = x(f64::from(tenth) * 0.2);
        let _ = write!(
            out,
            "<path d=\"M{at:.1} 0V{:.1}\" stroke=\"#bbb\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.1}</text>",
            height - 16.0,
            height - 3.0,
            f64::from(tenth) * 0.2
        );
    }
    for (index, (row, rate)) in some.iter().enumerate() {
        let y = line * (index as f64 + 0.6);
        let name = match &row.stratum {
            None => row.kind.clone(),
            Some((name, value)) => format!("{name}={value}"),
        };
        let weight = if row.stratum.is_none() { "600" } else { "400" };
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-weight=\"{weight}\">{}</text>\
             <path d=\"M{:.1} {y:.1}H{:.1}\" stroke=\"#3b7dd8\" stroke-width=\"3\"/>\
             <circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#123a6b\"><title>{}</title></circle>",
            left - 8.0,
            y + 4.0,
            escape(&name),
            x(rate.interval.0),
            x(rate.interval.1),
            x(rate.share),
            table::rate(Some(*rate))
        );
    }
    out + "</svg></figure>"
}

/// How many of the values are not above x, as a stair per series.
fn cumulative(title: &str, series: &[(&str, &Spread)]) -> String {
    const COLOURS: [&str; 5] = ["#123a6b", "#c8501e", "#2b8a3e", "#8a2b7a", "#7a6a00"];
    if series.is_empty() {
        return String::new();
    }
    let (wide, high) = (300.0, 150.0);
    let least = series.iter().filter_map(|(_, s)| s.values.first()).copied().fold(0.0, f64::min);
    let most = series.iter().map(|(_, s)| s.max()).fold(least + 1e-6, f64::max);
    let x = |value: f64| 30.0 + wide * (value - least) / (most - least);
    let mut out = format!(
        "<figure><figcaption>{title}: share of cases not above</figcaption><svg width=\"{}\" height=\"{}\" role=\"img\">",
        wide + 60.0,
        high + 40.0 + 14.0 * series.len() as f64
    );
    for quarter in 0..=4 {
        let (share, value) = (f64::from(quarter) / 4.0, least + (most - least) * f64::from(quarter) / 4.0);
        let y = 8.0 + high * (1.0 - share);
        let _ = write!(
            out,
            "<path d=\"M30 {y:.1}H{:.1}\" stroke=\"#bbb\"/><text x=\"26\" y=\"{:.1}\" text-anchor=\"end\">{share:.2}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.1}</text>",
            30.0 + wide,
            y + 4.0,
            x(value),
            high + 22.0
        );
    }
    for (index, (name, spread)) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let mut path = format!("M{:.1} {:.1}", x(least), 8.0 + high);
        for (rank, value) in spread.values.iter().enumerate() {
            let y = 8.0 + high * (1.0 - (rank + 1) as f64 / spread.values.len() as f64);
            let _ = write!(path, "H{:.1}V{y:.1}", x(*value));
        }
        let _ = write!(
            out,
            "<path d=\"{path}H{:.1}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"30\" y=\"{:.1}\" fill=\"{colour}\">{} ({})</text>",
            x(most),
            high + 38.0 + 14.0 * index as f64,
            escape(name),
            spread.values.len()
        );
    }
    out + "</svg></figure>"
}

/// Every miss and every false incident, with its picture if there is one.
fn faults(figures: &Figures, pictures: &Pictures) -> String {
    let (mut missed, mut wrong) = (Vec::new(), Vec::new());
    let mut shown = 0;
    let mut image = |picture: Option<&Vec<u8>>| {
        let Some(jpeg) = picture.filter(|_| shown < PICTURES_MAX) else { return String::new() };
        shown += 1;
        let text = base64::engine::general_purpose::STANDARD.encode(jpeg);
        format!("<img loading=lazy alt=\"\" src=\"data:image/jpeg;base64,{text}\">")
    };
    for case in &figures.cases {
        for (index, judged) in case.verdict.truths.iter().enumerate() {
            if judged.outcome == Outcome::Missed {
                let truth = &judged.truth;
                let img = image(pictures.truths.get(&(case.name.clone(), index)));
                let what =
                    format!("{} in {}, {:.1} to {:.1} s", truth.kind, truth.zone, truth.from_s, truth.to_s);
                missed.push(entry(case, &what, &img));
            }
        }
        for (index, (said, worth)) in case.verdict.said.iter().enumerate() {
            if worth.is_false() {
                let img = image(pictures.said.get(&(case.name.clone(), index)));
                let again = if *worth == Worth::Duplicate { " (said twice)" } else { "" };
                let classes = said.classes.join(", ");
                let what = format!(
                    "{} in {}, opened at {:.1} s{again}: {classes}",
                    said.kind, said.zone, said.opened_s
                );
                wrong.push(entry(case, &what, &img));
            }
        }
        for stop in case.stops.iter().flat_map(|s| &s.stops).filter(|stop| !stop.found()) {
            let what =
                format!("vehicle {} stands from {:.1} s, {} pictures", stop.id, stop.from_s, stop.pictures);
            missed.push(entry(case, &what, &box_of(&stop.bbox)));
        }
        for event in case.stops.iter().flat_map(|s| &s.events).filter(|event| event.is_false()) {
            let (from_s, to_s, matched, of) = (event.from_s, event.to_s, event.matched, event.pictures);
            let what = format!(
                "event {} from {from_s:.1} to {to_s:.1} s, right in {matched} of {of} pictures",
                event.id
            );
            wrong.push(entry(case, &what, &box_of(&event.bbox)));
        }
    }
    let section = |title: &str, entries: &[String]| {
        let listed = entries.len().min(LISTED_MAX);
        format!("<h2>{title}: {}</h2><div class=grid>{}</div>", entries.len(), entries[..listed].concat())
    };
    section("Missed", &missed) + &section("False", &wrong)
}

/// Where a box lies in an empty picture: traces have no pixels.
fn box_of(b: &[f32; 4]) -> String {
    format!(
        "<svg width=\"160\" height=\"120\" viewBox=\"0 0 1 1\" preserveAspectRatio=\"none\"><rect width=\"1\" height=\"1\" \
         fill=\"#dde3ea\"/><rect x=\"{:.4}\" y=\"{:.4}\" width=\"{:.4}\" height=\"{:.4}\" fill=\"#c8501e\"/></svg>",
        b[0],
        b[1],
        b[2] - b[0],
        b[3] - b[1]
    )
}

fn entry(case: &CaseResult, what: &str, image: &str) -> String {
    let strata: Vec<String> = case.strata.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(
        "<figure>{image}<figcaption><b>{}</b> {}<br>{}</figcaption></figure>",
        escape(&case.name),
        escape(&strata.join(", ")),
        escape(what)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
