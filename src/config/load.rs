//! From the operator's files to a [`Config`]: everything wrong is found in one go, and stays with whom it concerns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::Layers;
use super::evidence::Evidence;
use super::item::Item;
use super::model::{self, Model, ModelTable};
use super::mqtt::{Mqtt, MqttTable};
use super::names::half_width;
use super::node::NodeTable;
use super::problem::{ConfigError, Problem, Scope, Severity, did_you_mean, nearest};
use super::report::Report;
use super::scenario::{Scenario, Scenarios};
use super::source::{Source, read_bytes, utf8};
use super::syntax::syntax_problems;
use super::{Config, schema};

/// A config that can run, and what is wrong in its files all the same.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What runs.
    pub config: Config,
    /// Every problem, in the order of files and lines; errors here cost a camera or a setting, not the box.
    pub problems: Vec<Problem>,
    /// All files that were read, the config file first.
    pub files: Vec<PathBuf>,
}

/// Reads the config file and every file that it names.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { path: path.to_owned(), error };
    let bytes = read_bytes(path).map_err(unreadable)?;
    let text = utf8(&bytes).map_err(|at| ConfigError::Invalid(vec![not_utf8(path, &bytes, at)]))?;
    let source = Arc::new(Source::new(path, text.to_owned()));
    let (table, syntax) = DeTable::parse_recoverable(&source.text);
    if !syntax.is_empty() {
        return Err(ConfigError::Invalid(syntax_problems(&source, &syntax)));
    }
    let dir = path.parent().map(Path::to_owned).unwrap_or_default();
    Reading {
        source: &source,
        table: table.get_ref(),
        dir,
        report: Report::default(),
        read: vec![source.clone()],
    }
    .run()
}

fn not_utf8(path: &Path, bytes: &[u8], at: usize) -> Problem {
    let before = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let end = before.len();
    let hint = "save the file as UTF-8 (in Notepad: Save as, Encoding: UTF-8)".to_owned();
    let source = Source::new(path, before);
    let problem = source.problem(&(end..end), Severity::Error, "the file is not UTF-8 text", Some(hint));
    Problem { scope: Scope::File, ..problem }
}

/// The config file while it is read.
pub(super) struct Reading<'a> {
    pub source: &'a Arc<Source>,
    table: &'a DeTable<'a>,
    pub dir: PathBuf,
    pub report: Report,
    /// Every file read, in order, for the revision.
    pub read: Vec<Arc<Source>>,
}

impl Reading<'_> {
    fn run(mut self) -> Result<Loaded, ConfigError> {
        self.check_top_level();
        let node_table = self.node_table();
        let mqtt = self.mqtt();
        let scenarios = self.scenarios(node_table.as_ref().map(|(table, _)| table));
        let evidence = self.evidence(&scenarios);
        let (models, broken_models) = self.models();
        let grid_code_length = node_table.as_ref().and_then(|(table, _)| table.grid_code_length);
        let mut drafts = self.drafts(grid_code_length);
        let layers = Layers::read(&mut self, grid_code_length);
        self.zones(&mut drafts, &scenarios);
        let node = node_table.and_then(|(table, mut item)| {
            let node = table.resolve(&mut item, &self.dir);
            self.report.take(&mut item, &Scope::File);
            node
        });
        let (cameras, disabled) = self.cameras(drafts, &layers, &models, &broken_models);
        let patrols = self.patrols(layers, &cameras);
        if let Some(mqtt) = &mqtt {
            self.check_mirrors(mqtt, &scenarios, &cameras);
        }
        let fatal = self.report.fatal();
        let revision = revision(&self.read);
        let files = self.read.iter().map(|source| source.path.clone()).collect();
        let problems = self.report.finish(&self.source.path);
        match node {
            Some(node) if !fatal => {
                let config =
                    Config { revision, node, mqtt, evidence, models, scenarios, patrols, cameras, disabled };
                Ok(Loaded { config, problems, files })
            }
            _ => Err(ConfigError::Invalid(problems)),
        }
    }

    /// Unknown tables. A misspelt `[node]` or `[mqtt]` would be missed silently, so it is fatal.
    fn check_top_level(&mut self) {
        let known: Vec<&str> = properties(schema::of_file()).collect();
        for (key, value) in self.table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let table = match value.get_ref() {
                DeValue::Table(_) => format!("unknown table `[{name}]`"),
                DeValue::Array(list) if list.iter().any(|one| one.get_ref().is_table()) => {
                    format!("unknown table `[[{name}]]`")
                }
                _ => format!("unknown key `{name}` outside of any table"),
            };
            let near = nearest(name, known.iter().copied());
            let fatal = matches!(near, Some("node" | "mqtt"));
            let scope = if fatal { Scope::File } else { Scope::Setting };
            // A key above its table's line: say which line.
            let owner = known.iter().find(|table| !schema_of(table)["properties"][name].is_null());
            let hint = match (near, owner) {
                (Some(near), _) => format!("did you mean `{}`?", header(near)),
                (None, Some(owner)) => format!("move it below the line `{}`", header(owner)),
                (None, None) => {
                    let headers: Vec<String> = known.iter().map(|table| header(table)).collect();
                    format!("known here: {}", headers.join(", "))
                }
            };
            self.report.add(self.source.problem(&key.span(), Severity::Error, table, Some(hint)), &scope);
        }
    }

    /// The item of a top-level table, if it is there; an error otherwise noted has the given scope.
    pub fn table(&mut self, name: &str, scope: &Scope) -> Option<Item> {
        let value = self.table.get(name)?;
        let schema = schema_of(name);
        if !value.get_ref().is_table() {
            let message = format!("`{name}` must be a table");
            let hint = format!("begin it with a line `[{name}]`");
            self.report.add(self.source.problem(&value.span(), Severity::Error, message, Some(hint)), scope);
            return None;
        }
        Some(Item::read(self.source, &format!("[{name}]"), value, schema))
    }

    /// The items of a table of tables, such as `[models.NAME]`, by name.
    pub fn named(&mut self, name: &str) -> Vec<(String, Item)> {
        let Some(value) = self.table.get(name) else { return Vec::new() };
        let schema = &schema_of(name)["additionalProperties"];
        let tables = value.get_ref().as_table().into_iter().flatten();
        let (sound, odd): (Vec<_>, Vec<_>) = tables.partition(|(_, value)| value.get_ref().is_table());
        if !value.get_ref().is_table() {
            self.not_tables(&value.span(), name, &format!("[{name}.NAME]"));
        }
        for (key, _) in odd {
            self.not_tables(&key.span(), &format!("{name}.{}", key.get_ref()), &format!("[{name}.NAME]"));
        }
        let read = |(key, value): (&Spanned<toml::de::DeString>, &Spanned<DeValue>)| {
            let key = key.get_ref().to_string();
            let item = Item::read(self.source, &format!("[{name}.{key}]"), value, schema);
            (key, item)
        };
        sound.into_iter().map(read).collect()
    }

    /// The items of an array of tables, such as `[[camera]]`.
    pub fn list(&mut self, name: &str) -> Vec<Item> {
        let Some(value) = self.table.get(name) else { return Vec::new() };
        let schema = &schema_of(name)["items"];
        let Some(list) = value.get_ref().as_array() else {
            self.not_tables(&value.span(), name, &format!("[[{name}]]"));
            return Vec::new();
        };
        let (sound, odd): (Vec<_>, Vec<_>) = list.iter().partition(|value| value.get_ref().is_table());
        for value in odd {
            self.not_tables(&value.span(), name, &format!("[[{name}]]"));
        }
        let header = format!("[[{name}]]");
        sound.into_iter().map(|value| Item::read(self.source, &header, value, schema)).collect()
    }

    fn not_tables(&mut self, at: &std::ops::Range<usize>, name: &str, header: &str) {
        let message = format!("`{name}` is not written as `{header}`");
        let hint = format!("begin each one with a line `{header}`");
        self.report.add(self.source.problem(at, Severity::Error, message, Some(hint)), &Scope::Setting);
    }

    fn node_table(&mut self) -> Option<(NodeTable, Item)> {
        if !self.table.contains_key("node") {
            let hint = "begin with `[node]`, `site = \"…\"` and `id = \"…\"`".to_owned();
            let problem =
                self.source.problem(&(0..0), Severity::Error, "the table `[node]` is missing", Some(hint));
            self.report.add(problem, &Scope::File);
            return None;
        }
        let mut item = self.table("node", &Scope::File)?;
        let table = item.typed();
        self.report.take(&mut item, &Scope::File);
        Some((table?, item))
    }

    fn mqtt(&mut self) -> Option<Mqtt> {
        let mut item = self.table("mqtt", &Scope::File)?;
        let table: Option<MqttTable> = item.typed();
        let mqtt = table.and_then(|table| table.resolve(&mut item, &self.dir));
        self.report.take(&mut item, &Scope::File);
        mqtt
    }

    fn evidence(&mut self, scenarios: &Scenarios) -> Evidence {
        let Some(mut item) = self.table("evidence", &Scope::Setting) else { return Evidence::default() };
        let mut evidence: Evidence = item.typed().unwrap_or_default();
        evidence.check(&mut item, scenarios);
        self.report.take(&mut item, &Scope::Setting);
        evidence
    }

    /// The built-in scenarios, the operator's, and the city's codes on them.
    fn scenarios(&mut self, node: Option<&NodeTable>) -> Scenarios {
        let mut scenarios = Scenario::built_in().clone();
        if let Some(dir) = node.and_then(|node| node.scenarios_dir.as_ref()) {
            match Scenario::read_dir(&self.dir.join(dir), &mut scenarios, &mut self.read) {
                Ok(problems) => {
                    for problem in problems {
                        self.report.add(problem, &Scope::Setting);
                    }
                }
                Err(message) => {
                    let at = self.table["node"].get_ref().get("scenarios_dir").map_or(0..0, Spanned::span);
                    self.report
                        .add(self.source.problem(&at, Severity::Error, message, None), &Scope::Setting);
                }
            }
        }
        if let Some(mut item) = self.table("city_codes", &Scope::Setting) {
            for (id, code) in item.json.clone() {
                if let Some(scenario) = scenarios.get_mut(&id) {
                    Arc::make_mut(scenario).city_code = code.as_str().map(half_width);
                } else {
                    let known: Vec<&str> = scenarios.keys().map(String::as_str).collect();
                    let hint = did_you_mean(&id, &known);
                    item.error(&format!("/{id}"), format!("unknown scenario `{id}`"), hint);
                }
            }
            self.report.take(&mut item, &Scope::Setting);
        }
        scenarios
    }

    /// The models whose file is there, and what is wrong with the others.
    fn models(&mut self) -> (BTreeMap<String, Model>, BTreeMap<String, Problem>) {
        let (mut models, mut broken) = (BTreeMap::new(), BTreeMap::new());
        let mut items = self.named("models");
        let written = items.len();
        if !items.iter().any(|(name, _)| name == model::SHIPPED_MODEL) {
            let header = format!("[models.{}]", model::SHIPPED_MODEL);
            items.push((model::SHIPPED_MODEL.to_owned(), Item::new(self.source, &header, 0..0)));
        }
        for (index, (name, mut item)) in items.into_iter().enumerate() {
            let sound = if item.failed() { None } else { item.typed::<ModelTable>() };
            if let Some(model) = sound.and_then(|table| table.resolve(&name, &mut item, &self.dir)) {
                models.insert(name, model);
            } else if let Some(problem) = item.problems.first() {
                broken.insert(name, problem.clone());
            }
            // The shipped model is missed only if a camera uses it.
            if index < written {
                self.report.take(&mut item, &Scope::Setting);
            }
        }
        (models, broken)
    }
}

/// The schema of a table of the file.
pub(super) fn schema_of(table: &str) -> &'static Value {
    &schema::of_file()["properties"][table]
}

/// The line that begins a table of this name.
fn header(name: &str) -> String {
    let schema = schema_of(name);
    if schema["type"] == "array" {
        format!("[[{name}]]")
    } else if schema["additionalProperties"]["type"] == "object" {
        format!("[{name}.NAME]")
    } else {
        format!("[{name}]")
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = &str> {
    schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str())
}

/// Twelve hex digits over the names and texts of all files.
fn revision(read: &[Arc<Source>]) -> String {
    let mut hash = Sha256::new();
    for source in read {
        let name = source.path.file_name().unwrap_or_default().to_string_lossy();
        for part in [name.as_bytes(), source.text.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hex::encode(&hash.finalize()[..6])
}
