//! The cases: what is run, and what its figures are held against.

mod few;
mod many;

use std::path::Path;

use super::Bench;
use super::live::Outcome;
use super::material::{KEY_EVERY, KEY_EVERY_S, Scene};
use super::report::{Bar, short};
use super::truth::quantile;

/// A case of the bench.
pub struct Case {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&mut Bench) -> anyhow::Result<()>,
}

/// All cases, in the order in which they are run.
pub const CASES: [Case; 10] = [
    Case {
        name: "receive",
        about: "cameras without zones: connected, ring filled, nothing decoded",
        run: few::receive,
    },
    Case { name: "normal", about: "two dwell scenarios on a normal street", run: few::normal },
    Case {
        name: "quiet",
        about: "usual dwell times where nothing happens, after a lively time; then something does",
        run: few::quiet,
    },
    Case {
        name: "shadow",
        about: "quiet and normal street, gates in shadow mode: what they would have missed",
        run: few::shadow,
    },
    Case { name: "streams", about: "the normal street in H.265 and as a sub-stream", run: few::streams },
    Case { name: "thrown", about: "a facade, every picture looked at", run: few::thrown },
    Case {
        name: "latency",
        about: "from the picture that satisfies a rule to the broker, at half load",
        run: many::latency,
    },
    Case { name: "scale", about: "1, 4 and 16 cameras", run: many::scale },
    Case { name: "fleet", about: "200 cameras: 80 % quiet, 15 % normal, 5 % busy", run: many::fleet },
    Case {
        name: "patrol",
        about: "1,000 cameras of 256 kbit/s in 16 slots, and a poll of 50",
        run: many::patrol,
    },
];

/// The model that the daemon uses by itself.
const MODEL: &str = "models/street-v2.onnx";

/// Share of the pictures that a daemon with enough of the machine takes: connecting costs the first.
const TAKEN_MIN: f64 = 0.95;

/// Latest confirmation after the complete dwell: the next key picture and two seconds.
const DELAY_S_MAX: f64 = KEY_EVERY_S + 2.0;

impl Bench {
    /// How long to measure.
    pub fn seconds(&self, usual: f64) -> f64 {
        self.options.seconds.unwrap_or(usual)
    }

    /// Rows about what was found.
    fn truth(&mut self, case: &str, outcome: &Outcome, delay_s_max: f64) {
        let score = &outcome.score;
        score.notes.iter().take(20).for_each(|note| eprintln!("  {note}"));
        let note = format!("{} of {}", score.found, score.due);
        if score.due > 0 {
            let share = score.found as f64 / score.due as f64;
            self.report.row(case, "incidents found", (share, ""), None, Bar::Least(1.0), &note);
            let late = quantile(&score.delays_s, 1.0);
            let median = format!("median {} s", short(quantile(&score.delays_s, 0.5)));
            self.report.row(
                case,
                "largest delay beyond the dwell",
                (late, "s"),
                None,
                Bar::Most(delay_s_max),
                &median,
            );
        }
        let undelivered = outcome.said.undelivered as f64;
        if undelivered > 0.0 {
            self.report.row(case, "messages not delivered", (undelivered, ""), None, Bar::Most(0.0), "");
        }
        self.report.row(
            case,
            "incidents that nobody staged",
            (score.unexpected as f64, ""),
            None,
            Bar::Most(0.0),
            "",
        );
    }

    /// The row about the whole run against the floor of just what it decoded and inferred.
    fn work(
        &mut self,
        case: &str,
        what: &str,
        outcome: &Outcome,
        scenes: &[&Scene],
        bar: Bar,
    ) -> anyhow::Result<()> {
        let said = outcome.said;
        let inferred = said.looked.saturating_sub(said.unchanged);
        // Groups are decoded forward where a rule wants pictures sooner than key pictures come; those are cheaper.
        let keys = said.decoded.min(said.received / KEY_EVERY);
        let forward = said.decoded - keys;
        let mut floor = self.floors.inference_s(Path::new(MODEL))?.value * inferred as f64;
        for scene in scenes {
            floor += self.floors.key_picture_s(scene)?.value * keys as f64 / scenes.len() as f64;
            if forward > 0 {
                floor += self.floors.picture_s(scene)?.value * forward as f64 / scenes.len() as f64;
            }
        }
        let mut note = format!("{keys} key pictures and {forward} others decoded, {inferred} inferred");
        if outcome.taken < TAKEN_MIN {
            let percent = outcome.taken * 100.0;
            note = format!("the machine is too busy: {percent:.0} % of the pictures were taken; {note}");
        }
        if said.quiet + said.unchanged > 0 {
            note = format!("{note}; {} quiet, {} unchanged", said.quiet, said.unchanged);
        }
        self.report.row(case, what, (said.cpu_s, "s CPU"), Some(floor), bar, &note);
        Ok(())
    }

    /// The row about the script; without it only the cores are said.
    fn against_script(&mut self, case: &str, cores: f64, spread: f64, share: f64) {
        let what = "CPU per camera, against the Python script";
        let halves = format!("halves of the time differ by {:.0} %", spread * 100.0);
        if let Some(script) = &self.script {
            let floor = Some(script.cores);
            self.report.row(case, what, (cores, "core"), floor, Bar::Most(share), &halves);
        } else {
            let note = format!("{halves}; --peers compares with the script");
            self.report.row(case, "CPU per camera", (cores, "core"), None, Bar::None, &note);
        }
    }
}
