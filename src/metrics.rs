//! The text format of Prometheus, version 0.0.4: families of samples, written one after the other.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::Write;

/// What the answer's `Content-Type` must be.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What kind of number a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, from 0 at the start of the process.
    Counter,
}

/// A page of samples.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    family: &'static str,
}

impl Page {
    /// Begins a family: all its samples follow.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> &mut Self {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.family = name;
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self
    }

    /// A sample of the family, told apart by its labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.text.push_str(self.family);
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let open = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { " " } else { "} " };
        self.text.push_str(close);
        let _ = match value {
            f64::INFINITY => writeln!(self.text, "+Inf"),
            f64::NEG_INFINITY => writeln!(self.text, "-Inf"),
            value => writeln!(self.text, "{value}"),
        };
        self
    }

    /// A family of one sample without labels.
    pub fn one(&mut self, name: &'static str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The whole page.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_kept() {
        let mut page = Page::default();
        page.one("up", Kind::Gauge, "Two\nlines \\ one.", 1.0);
        page.family("seen_total", Kind::Counter, "Pictures.")
            .sample(&[("camera", "a\"b\\c\nd"), ("zone", "东侧")], 12_345_678_901.0)
            .sample(&[("camera", "")], f64::NAN)
            .sample(&[], f64::INFINITY)
            .sample(&[], -0.25);
        assert_eq!(
            page.finish(),
            "# HELP up Two\\nlines \\\\ one.\n# TYPE up gauge\nup 1\n\
             # HELP seen_total Pictures.\n# TYPE seen_total counter\n\
             seen_total{camera=\"a\\\"b\\\\c\\nd\",zone=\"东侧\"} 12345678901\n\
             seen_total{camera=\"\"} NaN\nseen_total +Inf\nseen_total -0.25\n"
        );
    }
}
