//! Faults as people write them: `loss=5%@30s+10s` in arguments, `loss 5% +10s` on a line.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use super::{Fault, Faults};

/// A fault, when it begins and how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// What goes wrong.
    pub fault: Fault,
    /// Whether it begins; `false`: it ends.
    pub begins: bool,
    /// Time until then.
    pub delay: Duration,
    /// How long it lasts; `None`: until it is ended.
    pub lasting: Option<Duration>,
}

/// What is wrong with an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Nothing was written.
    #[error("no fault is named")]
    Empty,
    /// There is no such fault.
    #[error("there is no fault `{0}`")]
    Unknown(String),
    /// The fault needs a value.
    #[error("`{name}` needs {wanted}, such as `{name}={example}`")]
    Value {
        /// The fault.
        name: &'static str,
        /// What it needs.
        wanted: &'static str,
        /// One that works.
        example: &'static str,
    },
    /// Not a duration.
    #[error("`{0}` is no duration; write `10`, `10s`, `200ms`, `5m` or `1h`")]
    Duration(String),
}

/// Names, values and meanings of all faults, for help texts.
const NAMES: [(&str, &str, &str); 22] = [
    ("jitter", "200ms", "each picture up to this much late"),
    ("loss", "5%", "RTP packets never sent"),
    ("reorder", "1%", "RTP packets change places (UDP)"),
    ("stall", "", "answers, but sends no media"),
    ("hang", "", "neither answers nor sends nor closes"),
    ("disconnect", "30s", "closes connections: now, or each after this long"),
    ("refuse", "", "closes connections and takes no new ones"),
    ("unauthorized", "", "every password is wrong"),
    ("garbage", "1%", "RTP payloads end in random bytes"),
    ("noise", "1%", "random bytes between interleaved packets (TCP)"),
    ("truncate", "1%", "NAL units cut short"),
    ("switch", "1", "plays the mount's source of this index (0: the first)"),
    ("no-sprop", "", "no parameter sets in the SDP"),
    ("no-parameters", "", "no parameter sets in band"),
    ("mid-gop", "", "does not start with a key picture"),
    ("audio", "", "an audio track too"),
    ("metadata", "", "an ONVIF metadata track too"),
    ("no-rtcp", "", "no sender reports"),
    ("jump", "10s", "RTP timestamps jump, once (negative: back)"),
    ("clock", "-1h", "the camera's wall clock is wrong"),
    ("slow", "50ms", "replies come byte by byte with this pause"),
    ("mend", "", "ends every fault"),
];

/// All faults, one line each.
pub fn help() -> String {
    NAMES.iter().filter(|(name, ..)| *name != "mend").fold(
        String::new(),
        |mut text, (name, example, meaning)| {
            let value = if example.is_empty() { String::new() } else { format!("={example}") };
            let _ = writeln!(text, "  {:<20} {meaning}", format!("{name}{value}"));
            text
        },
    )
}

impl Order {
    /// Carries the order out; needs a tokio runtime if it takes time.
    pub fn give(&self, faults: &Faults) {
        if self.begins {
            faults.schedule(self.fault, self.delay, self.lasting);
        } else {
            faults.end(self.fault);
        }
    }
}

impl FromStr for Order {
    type Err = OrderError;

    /// `NAME[=VALUE][@DELAY][+LASTING]`; spaces do as well as `=`; `NAME off` ends the fault. A fault without
    /// a value takes a bare number as how long it lasts: `stall 10`.
    fn from_str(text: &str) -> Result<Self, OrderError> {
        let spaced = text.replace('=', " ").replace('@', " @").replace('+', " +");
        let mut words = spaced.split_whitespace();
        let name = words.next().ok_or(OrderError::Empty)?;
        let &(name, example, _) = NAMES
            .iter()
            .find(|(known, ..)| *known == name && name != "mend")
            .ok_or_else(|| OrderError::Unknown(name.to_owned()))?;
        let (mut value, mut delay, mut lasting, mut begins) = (None, Duration::ZERO, None, true);
        for word in words {
            if let Some(at) = word.strip_prefix('@') {
                delay = duration(at)?;
            } else if let Some(long) = word.strip_prefix('+') {
                lasting = Some(duration(long)?);
            } else if matches!(word, "on" | "off") {
                begins = word == "on";
            } else if example.is_empty() {
                lasting = Some(duration(word)?);
            } else {
                value = Some(word);
            }
        }
        Ok(Self { fault: fault(name, example, value, begins)?, begins, delay, lasting })
    }
}

fn fault(
    name: &'static str,
    example: &'static str,
    value: Option<&str>,
    begins: bool,
) -> Result<Fault, OrderError> {
    // To end a fault its value does not matter: the example stands in.
    let value = value.or((!begins).then_some(example));
    let wrong = |wanted| OrderError::Value { name, wanted, example };
    let share = || {
        let text = value.ok_or(wrong("a share"))?;
        let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 0.01));
        let share: f64 = number.parse().map_err(|_| wrong("a share"))?;
        (0.0..=1.0).contains(&(share * scale)).then_some(share * scale).ok_or(wrong("a share of 0 to 100%"))
    };
    let time = || duration(value.ok_or(wrong("a duration"))?);
    let shift = || {
        let text = value.ok_or(wrong("a duration"))?;
        match text.strip_prefix('-') {
            Some(back) => Ok(-duration(back)?.as_secs_f64()),
            None => Ok(duration(text)?.as_secs_f64()),
        }
    };
    Ok(match name {
        "jitter" => Fault::Jitter(time()?),
        "loss" => Fault::Loss(share()?),
        "reorder" => Fault::Reorder(share()?),
        "stall" => Fault::Stall,
        "hang" => Fault::Hang,
        "disconnect" if value.is_some() => Fault::DisconnectEvery(time()?),
        "disconnect" => Fault::Disconnect,
        "refuse" => Fault::Refuse,
        "unauthorized" => Fault::Unauthorized,
        "garbage" => Fault::Garbage(share()?),
        "noise" => Fault::Noise(share()?),
        "truncate" => Fault::Truncate(share()?),
        "switch" => Fault::Switch(value.and_then(|text| text.parse().ok()).ok_or(wrong("an index"))?),
        "no-sprop" => Fault::NoSprop,
        "no-parameters" => Fault::NoParameters,
        "mid-gop" => Fault::MidGop,
        "audio" => Fault::Audio,
        "metadata" => Fault::Metadata,
        "no-rtcp" => Fault::NoRtcp,
        "jump" => Fault::Jump(shift()?),
        "clock" => Fault::Clock(shift()?),
        "slow" => Fault::Slow(time()?),
        _ => return Err(OrderError::Unknown(name.to_owned())),
    })
}

/// `10`, `10s`, `200ms`, `5m` or `1h`; at most a year, so that no clock overflows.
fn duration(text: &str) -> Result<Duration, OrderError> {
    const YEAR_S: f64 = 366.0 * 86_400.0;
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(OrderError::Duration(text.to_owned())),
    };
    match number.parse::<f64>().map(|number| number * scale) {
        Ok(seconds) if (0.0..=YEAR_S).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(OrderError::Duration(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_read_as_written() {
        let check = |text: &str, fault, begins, delay_ms, lasting_ms: Option<u64>| {
            let lasting = lasting_ms.map(Duration::from_millis);
            let expected = Order { fault, begins, delay: Duration::from_millis(delay_ms), lasting };
            assert_eq!(text.parse::<Order>().as_ref(), Ok(&expected), "{text}");
        };
        check("stall@30s+10s", Fault::Stall, true, 30_000, Some(10_000));
        check("stall 10", Fault::Stall, true, 0, Some(10_000));
        check("stall off", Fault::Stall, false, 0, None);
        check("loss 5%", Fault::Loss(0.05), true, 0, None);
        check("loss=0.5@1m+500ms", Fault::Loss(0.5), true, 60_000, Some(500));
        check("loss off", Fault::Loss(0.05), false, 0, None);
        check("disconnect", Fault::Disconnect, true, 0, None);
        check("disconnect=30", Fault::DisconnectEvery(Duration::from_secs(30)), true, 0, None);
        check("disconnect off", Fault::DisconnectEvery(Duration::from_secs(30)), false, 0, None);
        check("jump=-10s@5", Fault::Jump(-10.0), true, 5_000, None);
        check("clock -1h", Fault::Clock(-3600.0), true, 0, None);
        check("switch 1 +5s", Fault::Switch(1), true, 0, Some(5_000));
        check("jitter=0.2", Fault::Jitter(Duration::from_millis(200)), true, 0, None);
    }

    #[test]
    fn wrong_orders_say_what_is_wrong() {
        let check = |text: &str, message: &str| {
            assert_eq!(text.parse::<Order>().unwrap_err().to_string(), message, "{text}");
        };
        check("", "no fault is named");
        check("mend", "there is no fault `mend`");
        check("lost 5%", "there is no fault `lost`");
        check("loss", "`loss` needs a share, such as `loss=5%`");
        check("loss 150%", "`loss` needs a share of 0 to 100%, such as `loss=5%`");
        check("switch x", "`switch` needs an index, such as `switch=1`");
        check("stall soon", "`soon` is no duration; write `10`, `10s`, `200ms`, `5m` or `1h`");
        check("jitter 1y", "`1y` is no duration; write `10`, `10s`, `200ms`, `5m` or `1h`");
    }

    #[test]
    fn every_fault_s_example_is_an_order() {
        for (name, example, _) in NAMES.iter().filter(|(name, ..)| *name != "mend") {
            assert!(format!("{name} {example}").parse::<Order>().is_ok(), "{name} {example}");
            assert!(format!("{name} off").parse::<Order>().is_ok(), "{name} off");
        }
    }
}
