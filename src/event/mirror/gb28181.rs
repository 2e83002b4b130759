//! Alarms as GB/T 28181 notifies of them (9.4 and A.2.5): `Notify` with the command `Alarm`, in XML.
//!
//! An alarm of that standard begins and is not spoken of again, but for one type: an intrusion (6) may say that what came
//! has left (event type 2). So updates are not mirrored, and closing only for kinds with that code, when it was seen that
//! the place is clear: that a camera is lost or a zone out of its hours is no such thing.

use std::fmt::Write;

use super::{Statement, code, device_id, earth, happened};
use crate::config::{Level, Mirror, Scenario, XmlEncoding};
use crate::event::{ClosedReason, Incident, Phase};

/// By video (视频报警), the alarm method to which the types belong.
const METHOD: u32 = 5;

/// 快速移动, 视频异常.
const OWN: &[(&str, u32)] = &[("thrown_object", 12), (Scenario::CAMERA, 11)];

/// 入侵: something is in a region where it should not be; the only type whose end can be told.
const INTRUSION: u32 = 6;

/// Longest description, in characters; the standard names no limit, receivers keep it in columns.
const DESCRIPTION_CHARS_MAX: usize = 512;

pub(super) fn payload(mirror: &Mirror, statement: Statement<'_>) -> Option<Vec<u8>> {
    let incident = statement.incident;
    let alarm_type = code(mirror, &incident.kind, OWN, INTRUSION);
    let cleared = incident.closed_reason == Some(ClosedReason::Cleared);
    let event_type = match (incident.phase, alarm_type) {
        (Phase::Opened, INTRUSION) => Some(1),
        (Phase::Closed, INTRUSION) if cleared => Some(2),
        (Phase::Opened, _) => None,
        (Phase::Updated | Phase::Closed, _) => return None,
    };
    let device = device_id(mirror, incident)?;
    let time = statement.timezone.to_datetime(happened(incident));
    let mut xml = Xml::begin(match mirror.encoding {
        XmlEncoding::Gb18030 => "GB18030",
        XmlEncoding::Utf8 => "UTF-8",
    });
    xml.open("Notify");
    xml.leaf("CmdType", "Alarm");
    xml.leaf("SN", &serial_number(incident).to_string());
    xml.leaf("DeviceID", device);
    xml.leaf("AlarmPriority", priority(incident.level));
    xml.leaf("AlarmMethod", &METHOD.to_string());
    xml.leaf("AlarmTime", &time.strftime("%Y-%m-%dT%H:%M:%S").to_string());
    xml.leaf("AlarmDescription", &description(incident));
    if let Some((longitude, latitude)) = earth(&incident.camera.place) {
        xml.leaf("Longitude", &longitude.to_string());
        xml.leaf("Latitude", &latitude.to_string());
    }
    xml.open("Info");
    xml.leaf("AlarmType", &alarm_type.to_string());
    if let Some(event_type) = event_type {
        xml.open("AlarmTypeParam");
        xml.leaf("EventType", &event_type.to_string());
        xml.close();
    }
    let text = xml.end();
    Some(match mirror.encoding {
        // What GB 18030 lacks becomes a character reference, which XML reads as the character.
        XmlEncoding::Gb18030 => encoding_rs::GB18030.encode(&text).0.into_owned(),
        XmlEncoding::Utf8 => text.into_bytes(),
    })
}

/// From 1 to 4, 1 the gravest.
fn priority(level: Level) -> &'static str {
    match level {
        Level::Red => "1",
        Level::Orange => "2",
        Level::Yellow => "3",
        Level::Blue => "4",
    }
}

/// The command's number: the same when the statement is sent again, another for the incident's next one; at least 1.
fn serial_number(incident: &Incident) -> u32 {
    let [.., a, b, c, d] = *incident.incident.as_bytes();
    1 + u32::from_be_bytes([a, b, c, d]).wrapping_add(incident.seq) % (i32::MAX as u32)
}

/// What is the matter, and the id under which the platform's verdict finds it. A receiver that does not read event types
/// must not send somebody to what has gone.
fn description(incident: &Incident) -> String {
    let gone = if incident.phase == Phase::Closed { "已清除：" } else { "" };
    let (text, id) = (format!("{gone}{}", incident.description.zh), format!(" [{}]", incident.incident));
    let left = DESCRIPTION_CHARS_MAX - id.chars().count();
    if text.chars().count() <= left {
        return text + &id;
    }
    text.chars().take(left - 1).chain("…".chars()).chain(id.chars()).collect()
}

/// XML as it is written: elements without attributes.
struct Xml {
    text: String,
    open: Vec<&'static str>,
}

impl Xml {
    fn begin(encoding: &str) -> Self {
        Self { text: format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>\n"), open: Vec::new() }
    }

    // Writing into a `String` cannot fail.
    fn open(&mut self, name: &'static str) {
        let _ = writeln!(self.text, "{:1$}<{name}>", "", 2 * self.open.len());
        self.open.push(name);
    }

    fn leaf(&mut self, name: &str, text: &str) {
        let _ = writeln!(self.text, "{:1$}<{name}>{2}</{name}>", "", 2 * self.open.len(), escaped(text));
    }

    fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            let _ = writeln!(self.text, "{:1$}</{name}>", "", 2 * self.open.len());
        }
    }

    fn end(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }
}

/// Any text as the content of an element; characters that XML 1.0 (section 2.2) does not know become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' | '\u{20}'..='\u{fffd}' | '\u{10000}'.. => out.push(c),
            _ => out.push('\u{fffd}'),
        }
    }
    out
}
