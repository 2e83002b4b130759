//! The config as the stages see it: read, checked and resolved, so that nothing in it can be wrong any more.

mod address;
mod camera;
mod camera_list;
mod csv;
mod draft;
mod evidence;
mod hours;
mod item;
mod load;
mod mirror;
mod model;
mod mqtt;
mod names;
mod node;
mod patrol;
mod place;
mod problem;
mod report;
mod scenario;
mod schema;
mod secret;
mod source;
mod syntax;
mod zone;

pub use camera::{Camera, Credentials, DisabledCamera, Transport};
pub use evidence::Evidence;
pub use hours::Hours;
pub use load::{Loaded, load};
pub use mirror::{Mirror, MirrorShape, TOPIC_PLACEHOLDERS, XmlEncoding};
pub use model::{Model, Provider, SHIPPED_MODEL};
pub use mqtt::{ClientCertificate, Mqtt, MqttVersion, Tls};
pub use node::{Gates, Metrics, Node};
pub use patrol::{Connected, PatrolPlan};
pub use place::Place;
pub use problem::{ConfigError, Problem, Scope, Severity};
pub use scenario::{Level, Rule, RuleKind, Scenario, Text};
pub use schema::schema;
pub use secret::Secret;
pub use zone::{Facade, Zone};

use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything the operator decided.
#[derive(Debug, Clone)]
pub struct Config {
    /// Short hash of all files the config was read from; events carry it.
    pub revision: String,
    /// Who this box is.
    pub node: Node,
    /// Where incidents go; without it they stay in the local store.
    pub mqtt: Option<Mqtt>,
    /// What evidence is kept and how.
    pub evidence: Evidence,
    /// Models by the name that cameras use.
    pub models: BTreeMap<String, Model>,
    /// Scenarios by id: the built-in ones and the operator's.
    pub scenarios: BTreeMap<String, Arc<Scenario>>,
    /// How groups are visited in turn, by the group's name; their cameras are those with `patrolled`.
    pub patrols: BTreeMap<String, PatrolPlan>,
    /// Cameras that can run.
    pub cameras: Vec<Camera>,
    /// Cameras whose config is wrong: published as disabled, with the reasons.
    pub disabled: Vec<DisabledCamera>,
}
