//! The JSON Schema of the config file: for editors, for the documentation, and for the reader itself.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::camera::{CameraKeys, CameraTable, GroupTable};
use super::camera_list::CameraListTable;
use super::evidence::Evidence;
use super::model::ModelTable;
use super::mqtt::MqttTable;
use super::node::NodeTable;
use super::scenario::Scenario;
use super::zone::ZoneTable;

/// gridwatch's config file.
#[derive(JsonSchema)]
#[schemars(rename = "gridwatch.toml")]
#[expect(dead_code, reason = "only its schema is used: the tables are read one by one")]
struct File {
    /// Who this box is and where it keeps its files.
    node: NodeTable,
    /// The broker of the dispatch platform; without it incidents stay in the local store.
    mqtt: Option<MqttTable>,
    /// Pictures and clips that prove an incident.
    evidence: Option<Evidence>,
    /// Models by the name that cameras use.
    models: Option<BTreeMap<String, ModelTable>>,
    /// Keys that hold for every camera unless its group or the camera itself says otherwise.
    defaults: Option<CameraKeys>,
    /// Keys that hold for every camera of a group unless the camera itself says otherwise.
    groups: Option<BTreeMap<String, GroupTable>>,
    /// Cameras.
    camera: Option<Vec<CameraTable>>,
    /// Lists of cameras as CSV files.
    camera_list: Option<Vec<CameraListTable>>,
    /// Polygons in the cameras' pictures and what may not happen in them.
    zone: Option<Vec<ZoneTable>>,
    /// The city's event code of each scenario, by scenario id.
    city_codes: Option<BTreeMap<String, String>>,
}

/// The JSON Schema (draft 2020-12) of the config file, all in one piece without references.
pub fn schema() -> Value {
    of_file().clone()
}

/// The schema of the config file.
pub(super) fn of_file() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(generate::<File>)
}

/// The schema of a scenario file.
pub(super) fn of_scenario() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(generate::<Scenario>)
}

fn generate<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(as_toml));
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// TOML knows no null, and no table takes keys that nobody described.
fn as_toml(schema: &mut schemars::Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(options)) = object.get_mut("anyOf") {
        options.retain(|option| option["type"] != "null");
        if let [Value::Object(only)] = &options[..] {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
    if let Some(Value::Array(choices)) = object.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    object.remove("unevaluatedProperties");
    if object.contains_key("properties") {
        object.insert("additionalProperties".into(), Value::Bool(false));
    }
}
