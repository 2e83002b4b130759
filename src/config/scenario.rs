//! `config/scenarios/*.toml`: a scenario is a rule kind with its classes, times, texts and codes; no code.

use serde::{Deserialize, Serialize};

/// How urgent: blue, yellow, orange, red; maps to GB/T 28181 AlarmPriority 4..1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// 蓝, general.
    Blue,
    /// 黄, larger.
    Yellow,
    /// 橙, serious.
    Orange,
    /// 红, grave.
    Red,
}

/// A text in both of the operators' languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// Which rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// Objects of some classes stay in the zone.
    Presence,
    /// Anything covers the zone and stays: objects, and static foreground of any kind.
    Obstruction,
    /// Something small falls through the zone.
    ThrownObject,
}

/// A rule with its settings; one flat table, because operators override single keys per zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which rule decides.
    pub kind: RuleKind,
    /// Classes that count; for `obstruction` also everything static that no class names.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Classes of which one must stand near an object of `classes` too (a vendor beside goods); empty: nobody needs to.
    #[serde(default)]
    pub beside: Vec<String>,
    /// Classes that never count and whose place is not counted either (fire engines' own class, say).
    #[serde(default)]
    pub exempt: Vec<String>,
    /// Least score of a detection, 0..1.
    #[serde(default = "default_score_min")]
    pub score_min: f32,
    /// Seconds until the matter is suspected and looked at more often.
    #[serde(default)]
    pub suspect_s: f64,
    /// Seconds until it is confirmed and an incident opens.
    #[serde(default)]
    pub dwell_s: f64,
    /// Seconds without it until the incident closes.
    #[serde(default)]
    pub clear_s: f64,
    /// Least share of the zone that must be covered, 0..1 (`obstruction`).
    #[serde(default)]
    pub coverage_min: f32,
    /// Least share of an object's box that must lie in the zone, 0..1 (`presence`).
    #[serde(default = "default_inside_min")]
    pub inside_min: f32,
    /// How far an object may shift and still count as staying, in widths of its box; 0: any movement within the zone counts as staying.
    #[serde(default)]
    pub shift_max: f32,
    /// Least height of an object's box, as a ratio of the picture.
    #[serde(default)]
    pub height_min: f32,
    /// Whether static foreground of unknown kind counts (`obstruction`).
    #[serde(default)]
    pub any_object: bool,
    /// Least fall in metres (calibrated facade) or tenths of the picture's height (not calibrated) (`thrown_object`).
    #[serde(default)]
    pub fall_min: f32,
    /// Least number of sightings on the path (`thrown_object`).
    #[serde(default)]
    pub points_min: usize,
}

fn default_score_min() -> f32 {
    0.5
}

fn default_inside_min() -> f32 {
    0.5
}

/// One kind of incident: what it is called, how urgent it is, and the rule that finds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its id in zones and topics, such as `fire_lane`.
    pub id: String,
    /// Its name for people.
    pub title: Text,
    /// One sentence with `{camera}`, `{zone}`, `{duration}`, `{coverage}`, `{classes}`, `{floor}` filled in.
    pub description: Text,
    /// How urgent.
    pub level: Level,
    /// The city's event code; opaque, renumbered per city.
    #[serde(default)]
    pub city_code: Option<String>,
    /// Whether zones may use it without saying `experimental = true`.
    #[serde(default)]
    pub experimental: bool,
    /// The rule.
    pub rule: Rule,
}
