//! `[[mqtt.mirror]]`: incidents once more, in the shapes that other makers' platforms take.

use std::collections::BTreeMap;

use super::item::Item;
use super::load::Reading;
use super::names::half_width;
use super::place::is_digits;
use super::problem::{Scope, did_you_mean};
use super::scenario::Scenarios;
use super::{Camera, Mqtt};

/// Most mirrors: each adds a message to every statement.
const MIRRORS_MAX: usize = 8;

/// What may stand for a level of a mirror's topic.
pub const TOPIC_PLACEHOLDERS: [&str; 3] = ["{camera}", "{kind}", "{grid}"];

/// Incidents once more, in the shape that another platform takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Topic, with [`TOPIC_PLACEHOLDERS`] as levels.
    pub topic: String,
    /// Shape of the messages.
    pub shape: MirrorShape,
    /// Ids of the scenarios that are mirrored; empty: all.
    pub kinds: Vec<String>,
    /// Event codes by scenario id, in place of the shape's own.
    pub codes: BTreeMap<String, u32>,
    /// GB/T 28181 code, 20 digits, that stands for cameras without one.
    pub device_id: Option<String>,
    /// Encoding of XML.
    pub encoding: XmlEncoding,
}

/// Shape of a mirror's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MirrorShape {
    /// `OnEventNotify` of Hikvision's iSecure Center (JSON).
    HikvisionIsc,
    /// `Notify` with the command `Alarm` of GB/T 28181 (XML).
    Gb28181Alarm,
    /// `ImageListObject` of GA/T 1400 (JSON).
    Gat1400Image,
}

/// Encoding of a mirror's XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum XmlEncoding {
    /// What GB/T 28181-2022 asks for; holds GB 2312 of the 2016 edition.
    #[default]
    Gb18030,
    /// For receivers that read nothing else.
    #[serde(rename = "utf-8")]
    Utf8,
}

/// A table of `[[mqtt.mirror]]` as the operator writes it.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct MirrorTable {
    /// Topic of the messages, outside of gridwatch's own tree; `{camera}`, `{kind}` and `{grid}` may stand for a level.
    #[schemars(length(min = 1))]
    pub topic: String,
    /// Shape of the messages: `hikvision_isc`, `gb28181_alarm` or `gat1400_image`.
    pub shape: MirrorShape,
    /// Scenarios that are mirrored. Default: all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Event codes of the receiving platform by scenario id; where none is given, the shape's own apply (see README).
    #[serde(default)]
    pub codes: BTreeMap<String, String>,
    /// GB/T 28181 code of 20 digits that stands for cameras without a `gb_code` of their own (`gb28181_alarm`, `gat1400_image`). Default: nothing is mirrored for these.
    pub device_id: Option<String>,
    /// Encoding of XML (`gb28181_alarm`): `gb18030` or `utf-8`. Default: `gb18030`.
    pub encoding: Option<XmlEncoding>,
}

impl MirrorShape {
    /// The name in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HikvisionIsc => "hikvision_isc",
            Self::Gb28181Alarm => "gb28181_alarm",
            Self::Gat1400Image => "gat1400_image",
        }
    }

    /// Whether a message names its device by a GB/T 28181 code.
    pub fn names_gb_code(self) -> bool {
        self != Self::HikvisionIsc
    }
}

/// The mirrors; what is wrong is noted in the item of `[mqtt]`.
pub(super) fn resolve(
    tables: Vec<MirrorTable>,
    item: &mut Item,
    root: &str,
    publish_evidence: bool,
) -> Vec<Mirror> {
    if tables.len() > MIRRORS_MAX {
        let message = format!("{} mirrors; there may be {MIRRORS_MAX}", tables.len());
        item.error(&format!("/mirror/{MIRRORS_MAX}"), message, None);
    }
    let mut mirrors: Vec<Mirror> = Vec::new();
    for (index, table) in tables.into_iter().enumerate() {
        let at = format!("/mirror/{index}");
        let mirror = table.resolve(item, &at, root);
        if mirror.shape == MirrorShape::Gat1400Image && !publish_evidence {
            let hint = "take `publish_evidence = false` out of [mqtt]".to_owned();
            item.error(&format!("{at}/shape"), "there are no image objects without published pictures", hint);
        }
        if mirrors.iter().any(|other| (&other.topic, other.shape) == (&mirror.topic, mirror.shape)) {
            item.warn(&format!("{at}/topic"), "another mirror says the same at this topic", None);
        }
        mirrors.push(mirror);
    }
    mirrors
}

impl MirrorTable {
    fn resolve(self, item: &mut Item, at: &str, root: &str) -> Mirror {
        if let Some((why, hint)) = topic_error(&self.topic, root) {
            item.error(&format!("{at}/topic"), why, hint);
        }
        let mut codes = BTreeMap::new();
        for (kind, text) in self.codes {
            if let Some(code) = read_code(&text) {
                codes.insert(kind, code);
            } else {
                let message = format!("`{text}` is not an event code");
                let hint = "digits only, at most nine, as in `\"131588\"`".to_owned();
                item.error(&format!("{at}/codes/{kind}"), message, hint);
            }
        }
        let device_id = self.device_id.map(|id| half_width(&id));
        if let Some(id) = &device_id {
            let place = format!("{at}/device_id");
            if id.len() != 20 || !is_digits(id) {
                item.error(&place, "`device_id` must be 20 digits (GB/T 28181)", None);
            } else if !self.shape.names_gb_code() {
                item.warn(&place, no_effect("device_id", self.shape), None);
            }
        }
        if self.encoding.is_some() && self.shape != MirrorShape::Gb28181Alarm {
            item.warn(&format!("{at}/encoding"), no_effect("encoding", self.shape), None);
        }
        Mirror {
            topic: self.topic,
            shape: self.shape,
            kinds: self.kinds,
            codes,
            device_id,
            encoding: self.encoding.unwrap_or_default(),
        }
    }
}

fn no_effect(key: &str, shape: MirrorShape) -> String {
    format!("`{key}` has no effect: `{}` does not read it", shape.as_str())
}

fn read_code(text: &str) -> Option<u32> {
    let digits = half_width(text);
    let sound = (1..=9).contains(&digits.len()) && is_digits(&digits);
    if sound { digits.parse().ok() } else { None }
}

/// Why a text cannot be a mirror's topic, with a hint.
fn topic_error(topic: &str, root: &str) -> Option<(String, Option<String>)> {
    if topic.len() > 512 || topic.starts_with('$') || topic.contains(['+', '#']) {
        let hint = "one topic without wildcards, as in `isc/events/{camera}`".to_owned();
        return Some(("`topic` cannot be the topic of a message".to_owned(), Some(hint)));
    }
    for level in topic.split('/') {
        if level.is_empty() || level.chars().any(char::is_control) {
            return Some(("`topic` has a level that is empty or unreadable".to_owned(), None));
        }
        if level.contains(['{', '}']) && !TOPIC_PLACEHOLDERS.contains(&level) {
            let hint = format!("one of {}, each a level of its own", TOPIC_PLACEHOLDERS.join(", "));
            return Some((format!("`topic` has the level `{level}`"), Some(hint)));
        }
    }
    // A placeholder might come to be any level.
    let mut levels = topic.split('/');
    let within = root
        .split('/')
        .chain(["v1"])
        .all(|own| levels.next().is_some_and(|level| level == own || TOPIC_PLACEHOLDERS.contains(&level)));
    within.then(|| {
        let hint = format!("anything outside of `{root}/v1/`");
        ("`topic` lies in gridwatch's own tree".to_owned(), Some(hint))
    })
}

impl Reading<'_> {
    /// What only shows beside scenarios and cameras.
    pub(super) fn check_mirrors(&mut self, mqtt: &Mqtt, scenarios: &Scenarios, cameras: &[Camera]) {
        // For the places of its keys; what is wrong with the table itself has been said.
        let Some(mut item) = self.table("mqtt", &Scope::File) else { return };
        item.problems.clear();
        let known: Vec<&str> = scenarios.keys().map(String::as_str).collect();
        for (index, mirror) in mqtt.mirrors.iter().enumerate() {
            let at = format!("/mirror/{index}");
            let kinds = mirror.kinds.iter().enumerate().map(|(n, kind)| (format!("{at}/kinds/{n}"), kind));
            let codes = mirror.codes.keys().map(|kind| (format!("{at}/codes/{kind}"), kind));
            for (place, kind) in kinds.chain(codes).filter(|(_, kind)| !scenarios.contains_key(*kind)) {
                item.error(&place, format!("unknown scenario `{kind}`"), did_you_mean(kind, &known));
            }
            let lacking = |has: fn(&Camera) -> bool| {
                let cameras: Vec<&str> =
                    cameras.iter().filter(|camera| !has(camera)).map(|camera| camera.id.as_str()).collect();
                let dots = if cameras.len() > 5 { ", …" } else { "" };
                let some = format!("{}{dots}", cameras[..cameras.len().min(5)].join(", "));
                (!cameras.is_empty()).then(|| format!("{} without: {some}", cameras.len()))
            };
            if mirror.shape.names_gb_code()
                && mirror.device_id.is_none()
                && let Some(some) = lacking(|camera| camera.place.gb_code.is_some())
            {
                let message = format!(
                    "`{}` names cameras by their `gb_code`: nothing is mirrored for those that have none ({some})",
                    mirror.shape.as_str()
                );
                let hint =
                    "give them a `gb_code`, or the mirror a `device_id` that stands for them".to_owned();
                item.warn(&format!("{at}/shape"), message, hint);
            }
            if mirror.topic.contains("{grid}")
                && let Some(some) = lacking(|camera| camera.place.grid_code.is_some())
            {
                let message = format!("`{{grid}}` is `none` for cameras that have no `grid_code` ({some})");
                item.warn(&format!("{at}/topic"), message, None);
            }
        }
        self.report.take(&mut item, &Scope::File);
    }
}
