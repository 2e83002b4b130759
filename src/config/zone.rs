//! `[[zone]]`: a polygon in a camera's picture and what may not happen in it.

use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::hours::{Hours, read_hours};
use super::item::{Item, overlay};
use super::names::check_id;
use super::problem::did_you_mean;
use super::scenario::{RuleKeys, Scenarios};
use super::{Rule, RuleKind, Scenario};
use crate::geometry::{Point, Polygon, PolygonError};
use crate::observation::ZoneId;

/// A zone for thrown objects that reaches lower than this has the ground in it, unless its facade is calibrated.
const LOW_MIN: f32 = 0.97;

/// A facade's place in the picture, so that falls can be measured in metres.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Facade {
    /// Picture points of the facade's rectangle: bottom left, bottom right, top right, top left.
    pub corners: [Point; 4],
    /// Height above ground of the bottom edge, in metres.
    #[serde(default)]
    #[schemars(range(min = -50, max = 1000))]
    pub bottom_m: f32,
    /// Height above ground of the top edge, in metres.
    #[schemars(range(min = 1, max = 1000))]
    pub top_m: f32,
    /// Width of the rectangle in metres.
    #[schemars(range(min = 1, max = 1000))]
    pub width_m: f32,
    /// Height of one floor in metres, if floors should be named.
    #[schemars(range(min = 2, max = 10))]
    pub floor_m: Option<f32>,
}

/// A polygon in a camera's picture and what may not happen in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Its id, unique on its camera.
    pub id: ZoneId,
    /// Its name for people.
    pub name: String,
    /// Short hash of everything that shapes its verdicts; events carry it.
    pub revision: String,
    /// Where it is, in ratios of the picture.
    pub polygon: Polygon,
    /// What is watched for.
    pub scenario: Arc<Scenario>,
    /// The scenario's rule with this zone's own settings put over it.
    pub rule: Rule,
    /// When it is watched.
    pub hours: Hours,
    /// The facade, for thrown objects.
    pub facade: Option<Facade>,
}

/// `[[zone]]` as the operator writes it.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct ZoneTable {
    /// The id of the camera in whose picture it lies.
    #[expect(dead_code, reason = "read through `cameras_of`, also from tables that are wrong elsewhere")]
    pub camera: Option<String>,
    /// Instead of `camera`: several cameras with the same picture.
    #[expect(dead_code, reason = "read through `cameras_of`")]
    pub cameras: Option<Vec<String>>,
    /// Its id, unique on its camera. Default: the scenario's id.
    pub id: Option<String>,
    /// Its name for people. Default: its id.
    pub name: Option<String>,
    /// What is watched for: a scenario's id, such as `fire_lane`.
    pub scenario: String,
    /// Corners in order around the zone, each `[x, y]` in ratios of the picture: `[0, 0]` is top left, `[1, 1]` bottom right.
    pub polygon: Vec<Point>,
    /// When it is watched, such as `["mon-fri 07:00-09:30", "22:00-06:00"]`. Default: always.
    pub hours: Option<Vec<String>>,
    /// When it is not watched (permits), written as `hours`.
    pub not_hours: Option<Vec<String>>,
    /// For thrown objects: where the facade is in the picture and how large it is, so that falls are measured in metres.
    pub facade: Option<Facade>,
    /// Must be `true` for scenarios that are not ready for the street.
    #[serde(default)]
    pub experimental: bool,
    /// Any key of the scenario's rule, for this zone only.
    #[serde(flatten)]
    #[schemars(with = "RuleKeys")]
    pub rule: Map<String, Value>,
}

impl ZoneTable {
    /// The ids of the cameras, as far as a table that may be wrong names any.
    pub fn cameras_of(json: &Map<String, Value>) -> Vec<&str> {
        let one = json.get("camera").and_then(Value::as_str);
        let several = json.get("cameras").and_then(Value::as_array);
        one.into_iter().chain(several.into_iter().flatten().filter_map(Value::as_str)).collect()
    }

    /// The zone, or the problems noted in the item.
    pub fn resolve(self, item: &mut Item, scenarios: &Scenarios) -> Option<Zone> {
        let Some(scenario) = scenarios.get(&self.scenario) else {
            let known: Vec<&str> = scenarios.keys().map(String::as_str).collect();
            let hint = did_you_mean(&self.scenario, &known);
            item.error("/scenario", format!("unknown scenario `{}`", self.scenario), hint);
            return None;
        };
        if scenario.id == Scenario::CAMERA {
            let hint = "leave the zone out: every camera's health is checked without one".to_owned();
            item.error("/scenario", format!("`{}` is for cameras, not for zones", scenario.id), hint);
        }
        let id = self.id.unwrap_or_else(|| scenario.id.clone());
        check_id(item, "/id", &id);
        if scenario.experimental && !self.experimental {
            let hint = "write `experimental = true` into the zone if it should be tried here".to_owned();
            item.error("/scenario", format!("scenario `{}` is experimental", scenario.id), hint);
        }
        let polygon = polygon_at(item, "/polygon", self.polygon);
        let rule = overridden(&scenario.rule, &self.rule)?;
        rule.check(item, "");
        let hours = read_hours(item, self.hours.as_deref(), self.not_hours.as_deref());
        if let Some(facade) = &self.facade {
            facade.check(item);
            if rule.kind != RuleKind::ThrownObject {
                item.warn("/facade", format!("`facade` has no effect on scenario `{}`", scenario.id), None);
            }
        }
        let low = polygon.as_ref().is_some_and(|p| p.bounds().y1 > LOW_MIN);
        if rule.kind == RuleKind::ThrownObject && self.facade.is_none() && low {
            let hint = "draw the facade only and calibrate it with `facade`; where cars or people pass below, or drive \
                        towards the camera, falls cannot be told from them";
            let message = "the zone reaches the bottom of the picture, where the ground usually is";
            item.warn("/polygon", message.to_owned(), hint.to_owned());
        }
        if item.failed() {
            return None;
        }
        let (polygon, hours) = (polygon?, hours?);
        let name = self.name.unwrap_or_else(|| id.clone());
        let shaping = (&scenario.id, &polygon, &rule, &hours, &self.facade);
        let hash = Sha256::digest(serde_json::to_vec(&shaping).unwrap_or_default());
        Some(Zone {
            id: id.as_str().into(),
            name,
            revision: hex::encode(&hash[..6]),
            polygon,
            scenario: Arc::clone(scenario),
            rule,
            hours,
            facade: self.facade,
        })
    }
}

/// The rule with single keys put over it; `None` only if a key had the wrong type, which the reader has noted.
fn overridden(rule: &Rule, keys: &Map<String, Value>) -> Option<Rule> {
    let Ok(Value::Object(mut json)) = serde_json::to_value(rule) else { return None };
    overlay(&mut json, keys);
    serde_json::from_value(Value::Object(json)).ok()
}

/// The polygon, or the problem noted at the point that is wrong.
pub(super) fn polygon_at(item: &mut Item, pointer: &str, points: Vec<Point>) -> Option<Polygon> {
    // Far beyond the picture are pixels, a little beyond is a slip of the mouse.
    let in_pixels = points.iter().any(|p| p.x > 2.0 || p.y > 2.0);
    match Polygon::new(points) {
        Ok(polygon) => Some(polygon),
        Err(error) => {
            let at = match error {
                PolygonError::Outside { index, .. } => format!("{pointer}/{}", index - 1),
                _ => pointer.to_owned(),
            };
            let pixels = "these look like pixels: divide x by the picture's width and y by its height";
            item.error(&at, error.to_string(), in_pixels.then(|| pixels.to_owned()));
            None
        }
    }
}

impl Facade {
    fn check(&self, item: &mut Item) {
        if polygon_at(item, "/facade/corners", self.corners.to_vec()).is_some() {
            let [bottom_left, bottom_right, top_right, top_left] = self.corners;
            let upright = bottom_left.y > top_left.y && bottom_right.y > top_right.y;
            if !upright || bottom_left.x >= bottom_right.x || top_left.x >= top_right.x {
                let hint = "bottom left, bottom right, top right, top left, as seen in the picture (y grows downwards)";
                item.error("/facade/corners", "the corners of the facade are not in order", hint.to_owned());
            }
        }
        if self.top_m <= self.bottom_m {
            let message =
                format!("`top_m` ({}) must be more than `bottom_m` ({}) metres", self.top_m, self.bottom_m);
            item.error("/facade/top_m", message, None);
        }
    }
}
