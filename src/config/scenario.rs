//! `config/scenarios/*.toml`: a scenario is a rule kind with its classes, times, texts and codes; no code.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::de::DeTable;

use super::item::Item;
use super::names::check_id;
use super::problem::{Problem, Severity, did_you_mean};
use super::source::{Source, read_bytes, utf8, why};
use super::syntax::syntax_problems;

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

impl Level {
    /// The level `steps` above this one, red at most.
    pub fn raised(self, steps: u64) -> Self {
        match (self, steps) {
            (level, 0) => level,
            (Self::Blue, 1) => Self::Yellow,
            (Self::Blue, 2) | (Self::Yellow, 1) => Self::Orange,
            _ => Self::Red,
        }
    }
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
    /// Of `classes`, those that mean the matter by themselves once they were seen to come to their place: with somebody of `beside` near them once, or after twice the dwell time with nobody. Only where `any_object` shows what came (`presence`).
    #[serde(default)]
    pub alone: Vec<String>,
    /// Classes that never count and whose place is not counted either (fire engines' own class, say).
    #[serde(default)]
    pub exempt: Vec<String>,
    /// Least score of a detection, 0..1.
    #[serde(default = "default_score_min")]
    #[schemars(range(min = 0, max = 1))]
    pub score_min: f32,
    /// Seconds until the matter is suspected and looked at more often.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub suspect_s: f64,
    /// Seconds until it is confirmed and an incident opens.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub dwell_s: f64,
    /// Seconds without it until the incident closes.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub clear_s: f64,
    /// Longest time between two looks that still counts, in seconds; after a longer gap (camera away, patrolled elsewhere) see `unseen_max_s`. It never clears.
    #[serde(default = "default_gap_s")]
    #[schemars(range(min = 1, max = 86_400))]
    pub gap_s: f64,
    /// A gap longer than `gap_s` counts all the same, up to this many seconds, if the same object is seen in the same place after it; else what is there then begins anew. Incidents say how much of their time was unseen. 0: no such gap ever counts.
    #[serde(default = "default_unseen_max_s")]
    #[schemars(range(min = 0, max = 86_400))]
    pub unseen_max_s: f64,
    /// Seconds for which a place and cause stay quiet after the platform called an incident there a false alarm: what was there then opens none again; anything else in the zone does. 0: never quiet.
    #[serde(default = "default_quiet_s")]
    #[schemars(range(min = 0, max = 2_592_000))]
    pub quiet_s: f64,
    /// Seconds after which a confirmed incident that is still there rises by one level (blue, yellow, orange, red), again and again, unless the platform ignores it. 0: its level never rises.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2_592_000))]
    pub escalate_s: f64,
    /// Least share of the zone that must be covered, 0..1 (`obstruction`).
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub coverage_min: f32,
    /// Least share of an object's base, the lowest quarter of its box, that must lie in the zone, 0..1 (`presence`).
    #[serde(default = "default_inside_min")]
    #[schemars(range(min = 0, max = 1))]
    pub inside_min: f32,
    /// How far an object may shift and still count as staying, in widths of its box; 0: any movement within the zone counts as staying.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub shift_max: f32,
    /// Least height of an object's box, as a ratio of the picture.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub height_min: f32,
    /// The same at the zone's upper edge, which is farther away: between the edges the least height grows evenly from this to `height_min`; without it `height_min` holds everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub height_min_far: Option<f32>,
    /// Whether static foreground of unknown kind counts (`obstruction`, `presence`).
    #[serde(default)]
    pub any_object: bool,
    /// Least fall in metres (calibrated facade) or tenths of the picture's height (not calibrated) (`thrown_object`).
    #[serde(default)]
    #[schemars(range(min = 0, max = 300))]
    pub fall_min: f32,
    /// Least number of sightings on the path (`thrown_object`).
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub points_min: usize,
}

fn default_score_min() -> f32 {
    0.5
}

fn default_inside_min() -> f32 {
    0.5
}

fn default_gap_s() -> f64 {
    60.0
}

fn default_unseen_max_s() -> f64 {
    3600.0
}

fn default_quiet_s() -> f64 {
    86_400.0
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
    /// Whether an incident opens when the matter is suspected already; otherwise when it is confirmed.
    #[serde(default)]
    pub announce_suspected: bool,
    /// The rule.
    pub rule: Rule,
}

/// The scenarios that come with gridwatch, as files of `config/scenarios/`.
const BUILT_IN: [(&str, &str); 7] = [
    ("fire_lane.toml", include_str!("../../config/scenarios/fire_lane.toml")),
    ("street_vending.toml", include_str!("../../config/scenarios/street_vending.toml")),
    ("thrown_object.toml", include_str!("../../config/scenarios/thrown_object.toml")),
    ("store_spill.toml", include_str!("../../config/scenarios/store_spill.toml")),
    ("illegal_parking.toml", include_str!("../../config/scenarios/illegal_parking.toml")),
    ("electronic_fence.toml", include_str!("../../config/scenarios/electronic_fence.toml")),
    ("video_quality.toml", include_str!("../../config/scenarios/video_quality.toml")),
];

/// What descriptions may contain in braces.
const PLACEHOLDERS: [&str; 6] = ["camera", "zone", "duration", "coverage", "classes", "floor"];

/// Scenarios by id.
pub(super) type Scenarios = BTreeMap<String, Arc<Scenario>>;

impl Scenario {
    /// The id of the scenario for what is wrong with a camera itself; it is for no zone.
    pub const CAMERA: &'static str = "video_quality";

    /// Those that come with gridwatch, by id.
    pub fn built_in() -> &'static BTreeMap<String, Arc<Scenario>> {
        static SCENARIOS: OnceLock<Scenarios> = OnceLock::new();
        SCENARIOS.get_or_init(|| {
            let read = |(name, text): &(&str, &str)| {
                // Wrong built-in files are found by a test; here they would only be missing.
                Self::read(&Arc::new(Source::new(*name, (*text).to_owned()))).0
            };
            BUILT_IN.iter().filter_map(read).map(|s| (s.id.clone(), Arc::new(s))).collect()
        })
    }

    /// One scenario file, with what is wrong in it.
    pub(super) fn read(source: &Arc<Source>) -> (Option<Self>, Vec<Problem>) {
        let (table, syntax) = DeTable::parse_recoverable(&source.text);
        if !syntax.is_empty() {
            return (None, syntax_problems(source, &syntax));
        }
        let (at, table) = (table.span(), table.into_inner());
        let value = toml::Spanned::new(at, toml::de::DeValue::Table(table));
        let mut item = Item::read(source, "this scenario", &value, super::schema::of_scenario());
        let scenario: Option<Self> = if item.failed() { None } else { item.typed() };
        if let Some(scenario) = &scenario {
            check_id(&mut item, "/id", &scenario.id);
            for (pointer, text) in [("/title", &scenario.title), ("/description", &scenario.description)] {
                for (language, text) in [("zh", &text.zh), ("en", &text.en)] {
                    check_placeholders(&mut item, &format!("{pointer}/{language}"), text);
                }
            }
            scenario.rule.check(&mut item, "/rule");
        }
        let sound = scenario.filter(|_| !item.failed());
        (sound, item.problems)
    }

    /// Adds the scenario files of a directory, and replaces those of the same id.
    pub(super) fn read_dir(
        dir: &Path,
        scenarios: &mut Scenarios,
        read: &mut Vec<Arc<Source>>,
    ) -> Result<Vec<Problem>, String> {
        let cannot = |e| format!("cannot read the directory `{}`: {}", dir.display(), why(&e));
        let mut paths: Vec<_> = std::fs::read_dir(dir)
            .map_err(cannot)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
            .collect();
        paths.sort();
        let mut problems = Vec::new();
        for path in paths {
            let text = read_bytes(&path).map_err(|e| why(&e)).and_then(|bytes| {
                utf8(&bytes).map(str::to_owned).map_err(|_| "it is not UTF-8 text".to_owned())
            });
            match text {
                Ok(text) => {
                    let source = Arc::new(Source::new(&path, text));
                    let (scenario, found) = Self::read(&source);
                    problems.extend(found);
                    if let Some(scenario) = scenario {
                        scenarios.insert(scenario.id.clone(), Arc::new(scenario));
                    }
                    read.push(source);
                }
                Err(why) => {
                    let source = Source::new(&path, String::new());
                    let message = format!("cannot read this scenario: {why}");
                    problems.push(source.problem(&(0..0), Severity::Error, message, None));
                }
            }
        }
        Ok(problems)
    }
}

fn check_placeholders(item: &mut Item, pointer: &str, text: &str) {
    let inside = text.split('{').skip(1).map(|rest| rest.split_once('}').map(|(name, _)| name));
    for name in inside {
        match name {
            Some(name) if PLACEHOLDERS.contains(&name) => {}
            Some(name) => {
                let message = format!("unknown placeholder `{{{name}}}`");
                item.error(pointer, message, did_you_mean(name, &PLACEHOLDERS));
            }
            None => item.error(pointer, "`{` without `}`", None),
        }
    }
}

/// Keys of a rule that only some kinds read.
const ONLY_FOR: [(&str, &[RuleKind]); 15] = [
    ("gap_s", &[RuleKind::Presence, RuleKind::Obstruction]),
    ("unseen_max_s", &[RuleKind::Presence, RuleKind::Obstruction]),
    ("escalate_s", &[RuleKind::Presence, RuleKind::Obstruction]),
    ("classes", &[RuleKind::Presence, RuleKind::Obstruction]),
    ("beside", &[RuleKind::Presence]),
    ("alone", &[RuleKind::Presence]),
    ("exempt", &[RuleKind::Presence, RuleKind::Obstruction]),
    ("coverage_min", &[RuleKind::Obstruction]),
    ("inside_min", &[RuleKind::Presence]),
    ("shift_max", &[RuleKind::Presence, RuleKind::Obstruction]),
    ("height_min", &[RuleKind::Presence, RuleKind::Obstruction]),
    ("height_min_far", &[RuleKind::Presence, RuleKind::Obstruction]),
    ("any_object", &[RuleKind::Presence, RuleKind::Obstruction]),
    ("fall_min", &[RuleKind::ThrownObject]),
    ("points_min", &[RuleKind::ThrownObject]),
];

impl Rule {
    /// Notes what contradicts itself, and what its kind does not read; `pointer` is where its keys stand.
    pub(super) fn check(&self, item: &mut Item, pointer: &str) {
        let at = |key: &str| format!("{pointer}/{key}");
        for (key, kinds) in ONLY_FOR {
            if !kinds.contains(&self.kind) && item.has(&at(key)) {
                let message =
                    format!("`{key}` has no effect: rules of kind `{}` do not read it", self.kind.as_str());
                item.warn(&at(key), message, None);
            }
        }
        if self.suspect_s > self.dwell_s {
            let key = if item.has(&at("dwell_s")) { "dwell_s" } else { "suspect_s" };
            let message =
                format!("`suspect_s` ({}) is more than `dwell_s` ({})", self.suspect_s, self.dwell_s);
            let hint = "a matter is first suspected, then confirmed: give a `suspect_s` of at most `dwell_s`"
                .to_owned();
            item.error(&at(key), message, hint);
        }
        if let Some(far) = self.height_min_far.filter(|far| *far > self.height_min) {
            let message = format!("`height_min_far` ({far}) is more than `height_min` ({})", self.height_min);
            let hint = "things look smaller far away: `height_min` is for the zone's lower edge, `height_min_far` for its upper"
                .to_owned();
            item.error(&at("height_min_far"), message, hint);
        }
        match self.kind {
            RuleKind::Presence if self.classes.is_empty() => {
                item.error(&at("classes"), "`classes` is empty: nothing could ever be present", None);
            }
            RuleKind::Obstruction if self.classes.is_empty() && !self.any_object => {
                let hint = "name classes or set `any_object = true`".to_owned();
                item.error(&at("classes"), "nothing could ever be an obstruction", hint);
            }
            // Two sightings are a line, three the least that can bend: a fall needs them.
            RuleKind::ThrownObject if self.points_min < 3 => {
                let message =
                    format!("`points_min` is {}; a fall needs at least 3 sightings", self.points_min);
                item.error(&at("points_min"), message, None);
            }
            RuleKind::ThrownObject if self.fall_min <= 0.0 => {
                item.error(&at("fall_min"), "`fall_min` must be more than 0", None);
            }
            RuleKind::Presence | RuleKind::Obstruction if self.clear_s <= 0.0 => {
                let hint =
                    "some seconds: otherwise one passer-by in front of it closes the incident".to_owned();
                item.error(&at("clear_s"), "`clear_s` must be more than 0 seconds", hint);
            }
            _ => {}
        }
    }
}

impl RuleKind {
    /// The name in scenario files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Obstruction => "obstruction",
            Self::ThrownObject => "thrown_object",
        }
    }
}

/// Any key of a rule but `kind`, as a zone may override it; described by [`Rule`], so each key is said once.
pub(super) struct RuleKeys;

impl schemars::JsonSchema for RuleKeys {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RuleKeys".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = Rule::json_schema(generator);
        schema.remove("required");
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.remove("kind");
            for (_, property) in properties {
                // A zone's default is its scenario's value.
                property.as_object_mut().map(|p| p.remove("default"));
            }
        }
        schema
    }
}
