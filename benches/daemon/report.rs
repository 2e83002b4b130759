//! The table of ratios, and the same as JSON.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

use super::floors::Floors;

/// What a measured value has to be.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// At most this.
    Most(f64),
    /// At least this.
    Least(f64),
    /// Nothing is asked for.
    None,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub case: String,
    pub what: String,
    pub measured: f64,
    pub unit: &'static str,
    /// What it is held against, in the same unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// `measured / floor`, or `measured` where there is no floor.
    pub ratio: f64,
    /// What the ratio has to be.
    pub bar: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
    pub note: String,
}

/// Where and when it was measured.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub load_before: String,
    pub date: String,
    pub commit: String,
    pub ffmpeg: String,
}

/// All of it.
#[derive(Serialize)]
pub struct Report {
    pub machine: Machine,
    pub floors: Vec<(String, f64, f64)>,
    pub rows: Vec<Row>,
    /// Cases that could not be measured, and why.
    pub failed: Vec<(String, String)>,
}

impl Report {
    /// Nothing measured yet.
    pub fn new() -> Self {
        Self { machine: Machine::here(), floors: Vec::new(), rows: Vec::new(), failed: Vec::new() }
    }

    /// Adds a line and says it at once, since the whole takes long.
    pub fn row(
        &mut self,
        case: &str,
        what: &str,
        (measured, unit): (f64, &'static str),
        floor: Option<f64>,
        bar: Bar,
        note: &str,
    ) {
        let ratio = floor.map_or(measured, |floor| measured / floor);
        let (bar, met) = match bar {
            Bar::Most(most) => (format!("<= {}", short(most)), Some(ratio <= most)),
            Bar::Least(least) => (format!(">= {}", short(least)), Some(ratio >= least)),
            Bar::None => (String::new(), None),
        };
        let row = Row {
            case: case.into(),
            what: what.into(),
            measured,
            unit,
            floor,
            ratio,
            bar,
            // What could not be measured is not met.
            met: met.map(|met| met && ratio.is_finite()),
            note: note.into(),
        };
        eprintln!("{}", line(&row));
        self.rows.push(row);
    }

    /// Prints the table and writes the JSON.
    pub fn finish(mut self, floors: &Floors, file: &Path) -> anyhow::Result<()> {
        self.floors =
            floors.known().map(|(name, floor)| (name.to_owned(), floor.value, floor.spread)).collect();
        let m = &self.machine;
        println!(
            "\nmachine: {}, {} cores; load before: {}; {}; {}; commit {}",
            m.cpu, m.cores, m.load_before, m.date, m.ffmpeg, m.commit
        );
        println!(
            "CPU is user and system time of whole processes: ratios hold while others use the machine too. Delays and\n\
             latencies are wall time: on a busy machine they say more about the neighbours.\n"
        );
        for (name, value, spread) in &self.floors {
            println!("floor  {name:<44} {:>10}   spread of 3: {:.0} %", short(*value), spread * 100.0);
        }
        println!("\n{HEAD}");
        self.rows.iter().for_each(|row| println!("{}", line(row)));
        for (case, why) in &self.failed {
            println!("{case:<10} not measured: {why}");
        }
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(file, serde_json::to_string_pretty(&self)?)?;
        println!("\n{}", file.display());
        Ok(())
    }
}

const HEAD: &str = "case       what                                                  measured unit           floor      ratio        bar     note";

fn line(row: &Row) -> String {
    let floor = row.floor.map(short).unwrap_or_default();
    let ratio = if row.floor.is_some() { short(row.ratio) } else { String::new() };
    let met = match row.met {
        Some(true) => "met   ",
        Some(false) => "MISSED",
        None => "      ",
    };
    format!(
        "{:<10} {:<52} {:>9} {:<9} {floor:>10} {ratio:>10} {:>10} {met} {}",
        row.case,
        row.what,
        short(row.measured),
        row.unit,
        row.bar,
        row.note
    )
}

/// A number with as many digits as say something.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    }
}

impl Machine {
    fn here() -> Self {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let cpu = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let first_line = |program: &str, args: &[&str]| {
            let said = Command::new(program).args(args).output().map(|out| out.stdout).unwrap_or_default();
            String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned()
        };
        Self {
            cpu: cpu.map_or_else(|| "unknown CPU".into(), |(_, name)| name.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load_before: read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
            date: jiff::Zoned::now().strftime("%Y-%m-%d %H:%M").to_string(),
            commit: first_line("git", &["describe", "--always", "--dirty"]),
            ffmpeg: first_line("ffmpeg", &["-version"]).split(' ').take(3).collect::<Vec<_>>().join(" "),
        }
    }
}
