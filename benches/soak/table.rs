//! The figures against their bars.

use std::path::Path;

use serde::Serialize;

/// What a figure has to be.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// At most this.
    Most(f64),
    /// Below this.
    Below(f64),
    /// At least this.
    Least(f64),
    /// Nothing is asked for.
    None,
}

#[derive(Debug, Serialize)]
struct Row {
    what: String,
    measured: f64,
    bar: String,
    met: Option<bool>,
    note: String,
}

/// All of them.
#[derive(Debug, Serialize)]
pub struct Table {
    case: &'static str,
    rows: Vec<Row>,
    /// What a person needs to find the cause of a broken bar.
    findings: Vec<String>,
}

impl Table {
    pub fn new(case: &'static str) -> Self {
        Self { case, rows: Vec::new(), findings: Vec::new() }
    }

    /// Adds a figure.
    pub fn row(&mut self, what: &str, measured: f64, bar: Bar, note: impl Into<String>) {
        let (text, met) = match bar {
            Bar::Most(most) => (format!("<= {}", short(most)), Some(measured <= most)),
            Bar::Below(below) => (format!("< {}", short(below)), Some(measured < below)),
            Bar::Least(least) => (format!(">= {}", short(least)), Some(measured >= least)),
            Bar::None => (String::new(), None),
        };
        self.rows.push(Row { what: what.into(), measured, bar: text, met, note: note.into() });
    }

    /// Adds a figure that has to be 0, with what it counts.
    pub fn none_of(&mut self, what: &str, found: &[String]) {
        self.row(what, found.len() as f64, Bar::Most(0.0), "");
        self.findings.extend(found.iter().map(|finding| format!("{what}: {finding}")));
    }

    /// Adds a figure that nothing is asked of, with what it counts.
    pub fn some_of(&mut self, what: &str, found: &[String], note: &str) {
        self.row(what, found.len() as f64, Bar::None, note);
        self.findings.extend(found.iter().map(|finding| format!("{what}: {finding}")));
    }

    /// Whether no bar is broken.
    pub fn is_met(&self) -> bool {
        self.rows.iter().all(|row| row.met != Some(false))
    }

    pub fn print(&self) {
        println!();
        for finding in self.findings.iter().take(60) {
            println!("  {finding}");
        }
        println!("\n{:<64} {:>10}  {:>9}", self.case, "measured", "bar");
        for Row { what, measured, bar, met, note } in &self.rows {
            let met = match met {
                Some(true) => "met",
                Some(false) => "BROKEN",
                None => "",
            };
            println!("{what:<64} {:>10}  {bar:>9}  {met:<6}  {note}", short(*measured));
        }
    }

    /// Leaves all of it as JSON.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(dir)?;
        let file = dir.join(format!("{}.json", self.case));
        std::fs::write(&file, serde_json::to_string_pretty(self)?)?;
        println!("\n{}", file.display());
        Ok(())
    }
}

/// A number with as many digits as say something.
pub fn short(value: f64) -> String {
    match value.abs() {
        v if v.fract() == 0.0 || v >= 1000.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The value that this share of the values does not exceed; NaN if there are none.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (share * values.len() as f64).ceil() as usize;
    values.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
