//! From the operator's files to a [`Config`]: everything wrong is found in one go, and stays with whom it concerns.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::camera::{CameraTable, check_place};
use super::camera_list::CameraListTable;
use super::evidence::Evidence;
use super::item::{Item, overlay};
use super::model::{self, Model, ModelTable};
use super::mqtt::{Mqtt, MqttTable};
use super::names::{check_id, half_width, id_error};
use super::node::NodeTable;
use super::problem::{ConfigError, Problem, Scope, Severity, did_you_mean, nearest};
use super::scenario::{Scenario, Scenarios};
use super::secret::PASSWORD_KEYS;
use super::source::{Source, read_bytes, utf8};
use super::syntax::syntax_problems;
use super::zone::ZoneTable;
use super::{Camera, Config, DisabledCamera, schema};
use crate::frame::CameraId;

/// A config that can run, and what is wrong in its files all the same.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What runs.
    pub config: Config,
    /// Every problem, in the order of files and lines; errors here cost a camera or a setting, not the box.
    pub problems: Vec<Problem>,
}

/// Reads the config file and every file that it names.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
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

/// Problems so far, each said once.
#[derive(Default)]
struct Report {
    problems: Vec<Problem>,
    said: HashSet<(PathBuf, usize, usize, String)>,
}

impl Report {
    fn add(&mut self, problem: Problem, scope: &Scope) {
        let key = (problem.file.clone(), problem.line, problem.column, problem.message.clone());
        if self.said.insert(key) {
            self.problems.push(Problem { scope: scope.clone(), ..problem });
        }
    }

    fn take(&mut self, item: &mut Item, scope: &Scope) {
        for problem in item.problems.drain(..) {
            self.add(problem, scope);
        }
    }

    fn fatal(&self) -> bool {
        self.problems.iter().any(|p| p.severity == Severity::Error && p.scope == Scope::File)
    }

    /// In the order of files and lines, with warnings that say the same folded into one per file.
    fn finish(self, main: &Path) -> Vec<Problem> {
        let mut problems = self.problems;
        problems.sort_by(|a, b| {
            (a.file != main, &a.file, a.line, a.column).cmp(&(b.file != main, &b.file, b.line, b.column))
        });
        let mut folded: Vec<Problem> = Vec::with_capacity(problems.len());
        let mut first_of: HashMap<(PathBuf, String), (usize, usize)> = HashMap::new();
        for problem in problems {
            if problem.severity == Severity::Warning {
                let key = (problem.file.clone(), problem.message.clone());
                if let Some((_, more)) = first_of.get_mut(&key) {
                    *more += 1;
                    continue;
                }
                first_of.insert(key, (folded.len(), 0));
            }
            folded.push(problem);
        }
        for (index, more) in first_of.into_values().filter(|(_, more)| *more > 0) {
            folded[index].message += &format!(" (and {more} more like this in the file)");
        }
        folded
    }
}

/// A camera on its way: what its own table or row says, and what speaks against it.
struct Draft {
    id: CameraId,
    item: Item,
    reasons: Vec<String>,
    zones: Vec<super::Zone>,
}

impl Draft {
    fn object(&mut self, problem: &Problem) {
        if problem.severity == Severity::Error {
            let file = problem.file.file_name().unwrap_or_default().to_string_lossy();
            self.reasons.push(format!("{} ({file}:{})", problem.message, problem.line));
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.item.json.get(key).and_then(Value::as_str)
    }
}

struct Reading<'a> {
    source: &'a Arc<Source>,
    table: &'a DeTable<'a>,
    dir: PathBuf,
    report: Report,
    /// Every file read, in order, for the revision.
    read: Vec<Arc<Source>>,
}

impl Reading<'_> {
    fn run(mut self) -> Result<Loaded, ConfigError> {
        self.check_top_level();
        let node_table = self.node_table();
        let mqtt = self.mqtt();
        let evidence = self.evidence();
        let scenarios = self.scenarios(node_table.as_ref().map(|(table, _)| table));
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
        let fatal = self.report.fatal();
        let revision = revision(&self.read);
        let problems = self.report.finish(&self.source.path);
        match node {
            Some(node) if !fatal => {
                let config = Config { revision, node, mqtt, evidence, models, scenarios, cameras, disabled };
                Ok(Loaded { config, problems })
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
    fn table(&mut self, name: &str, scope: &Scope) -> Option<Item> {
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
    fn named(&mut self, name: &str) -> Vec<(String, Item)> {
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
    fn list(&mut self, name: &str) -> Vec<Item> {
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

    fn evidence(&mut self) -> Evidence {
        let Some(mut item) = self.table("evidence", &Scope::Setting) else { return Evidence::default() };
        let evidence = item.typed();
        self.report.take(&mut item, &Scope::Setting);
        evidence.unwrap_or_default()
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
                match (scenarios.get_mut(&id), code.as_str()) {
                    (Some(scenario), Some(code)) => {
                        Arc::make_mut(scenario).city_code = Some(half_width(code));
                    }
                    _ => {
                        let known: Vec<&str> = scenarios.keys().map(String::as_str).collect();
                        let hint = did_you_mean(&id, &known);
                        item.error(&format!("/{id}"), format!("unknown scenario `{id}`"), hint);
                    }
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

    /// Every camera that is written somewhere, each with an id of its own.
    fn drafts(&mut self, grid_code_length: Option<usize>) -> Vec<Draft> {
        let mut items = self.list("camera");
        let camera_schema = &schema_of("camera")["items"];
        for mut item in self.list("camera_list") {
            let table: Option<CameraListTable> = if item.failed() { None } else { item.typed() };
            if let Some(table) = table {
                let (rows, source) = table.read(&mut item, &self.dir, camera_schema);
                items.extend(rows);
                self.read.extend(source);
            }
            self.report.take(&mut item, &Scope::Setting);
        }
        let mut first_at: HashMap<String, String> = HashMap::new();
        let mut taken: HashSet<String> = HashSet::new();
        let mut drafts = Vec::with_capacity(items.len());
        for mut item in items {
            let written = item.json.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            let (line, _) = item.source.line_and_column(item.place("/id").start);
            let place = format!("{}:{line}", item.source.path.display());
            if item.has("/id") && !written.is_empty() {
                check_id(&mut item, "/id", &written);
            }
            let sound = !written.is_empty() && id_error(&written).is_none();
            if sound && let Some(first) = first_at.get(&written) {
                let hint = format!("the first one stands at {first}");
                item.error("/id", format!("a second camera has the id `{written}`"), hint);
            }
            // What is disabled is published under an id too, which must not be that of a running camera.
            let base = if sound { written.clone() } else { format!("line-{line}") };
            let ids = std::iter::once(base.clone()).chain((2..).map(|n| format!("{base}.{n}")));
            let id = ids.into_iter().find(|id| !taken.contains(id)).unwrap_or(base);
            taken.insert(id.clone());
            if sound {
                first_at.entry(written).or_insert(place);
            }
            check_place(&mut item, grid_code_length);
            drafts.push(Draft { id: id.as_str().into(), item, reasons: Vec::new(), zones: Vec::new() });
        }
        drafts
    }

    /// Reads the zones and hangs each on its cameras.
    fn zones(&mut self, drafts: &mut [Draft], scenarios: &Scenarios) {
        let by_id: HashMap<String, usize> = drafts
            .iter()
            .enumerate()
            .rev()
            .map(|(index, draft)| (draft.id.as_str().to_owned(), index))
            .collect();
        for mut item in self.list("zone") {
            let names: Vec<String> =
                ZoneTable::cameras_of(&item.json).into_iter().map(str::to_owned).collect();
            if !item.has("/camera") && !item.has("/cameras") {
                item.error("", "the zone names no camera", "add `camera = \"…\"`".to_owned());
            } else if item.has("/camera") && item.has("/cameras") {
                item.error(
                    "/cameras",
                    "the zone has both `camera` and `cameras`",
                    "keep one of them".to_owned(),
                );
            }
            let written = |key: &str| item.json.get(key).and_then(Value::as_str).map(str::to_owned);
            let shown = written("id").or_else(|| written("scenario")).unwrap_or_default();
            let sound: Option<ZoneTable> = if item.failed() { None } else { item.typed() };
            let zone = sound.and_then(|table| table.resolve(&mut item, scenarios));
            let mut hung: Vec<usize> = Vec::new();
            for name in &names {
                let pointer = if item.has("/camera") { "/camera" } else { "/cameras" };
                let Some(&index) = by_id.get(name) else {
                    let hint = did_you_mean_camera(name, &by_id);
                    item.error(pointer, format!("unknown camera `{name}`"), hint);
                    continue;
                };
                let twice = hung.contains(&index)
                    || zone
                        .as_ref()
                        .is_some_and(|zone| drafts[index].zones.iter().any(|other| other.id == zone.id));
                if twice {
                    let message = format!("a second zone of camera `{name}` has the id `{shown}`");
                    let hint = "give each zone of a camera an `id` of its own".to_owned();
                    let place = if item.has("/id") { "/id" } else { "" };
                    item.error(place, message, hint);
                } else if let Some(zone) = &zone {
                    drafts[index].zones.push(zone.clone());
                }
                hung.push(index);
            }
            for problem in item.problems.drain(..) {
                for &index in &hung {
                    drafts[index].object(&problem);
                }
                let camera = hung.first().map(|&index| drafts[index].id.clone());
                self.report.add(problem, &Scope::Zone { camera, zone: shown.clone() });
            }
        }
    }

    /// Turns drafts into cameras that run and cameras that are disabled.
    fn cameras(
        &mut self,
        drafts: Vec<Draft>,
        layers: &Layers,
        models: &BTreeMap<String, Model>,
        broken_models: &BTreeMap<String, Problem>,
    ) -> (Vec<Camera>, Vec<DisabledCamera>) {
        let (mut cameras, mut disabled) = (Vec::new(), Vec::new());
        for mut draft in drafts {
            let own = Scope::Camera(draft.id.clone());
            let (mut group, broken_group) = layers.group(&mut draft.item);
            draft.reasons.extend(broken_group);
            let mut defaults = layers.defaults.clone();
            let mut camera = None;
            if !draft.item.failed() {
                let mut json = defaults.json.clone();
                for layer in [&group.json, &draft.item.json] {
                    // A layer's way to a password replaces the one below, whatever way that is.
                    if PASSWORD_KEYS.iter().any(|key| layer.contains_key(*key)) {
                        json.retain(|key, _| !PASSWORD_KEYS.contains(&key.as_str()));
                    }
                    overlay(&mut json, layer);
                }
                let mut merged = draft.item.clone();
                merged.json = json;
                if let Some(table) = merged.typed::<CameraTable>() {
                    let model = table.keys.model.as_deref().unwrap_or(model::SHIPPED_MODEL);
                    if let Some(problem) = broken_models.get(model) {
                        draft.object(problem);
                        self.report.add(problem.clone(), &Scope::Setting);
                    } else {
                        let mut all = [&mut draft.item, &mut group, &mut defaults];
                        camera = table.resolve(&mut all, &self.dir, models);
                    }
                }
            }
            if camera.is_some() && draft.zones.is_empty() && draft.reasons.is_empty() {
                draft.item.warn(
                    "/id",
                    "no zone is watched on this camera",
                    "add a `[[zone]]` for it".to_owned(),
                );
            }
            let found = std::mem::take(&mut draft.item.problems);
            for problem in found {
                draft.object(&problem);
                self.report.add(problem, &own);
            }
            for problem in group.problems.drain(..).chain(defaults.problems.drain(..)) {
                draft.object(&problem);
                self.report.add(problem, &Scope::Setting);
            }
            match camera {
                Some(camera) if draft.reasons.is_empty() => {
                    cameras.push(Camera { zones: draft.zones, ..camera })
                }
                _ => {
                    let name = draft.text("name").unwrap_or(draft.id.as_str()).to_owned();
                    disabled.push(DisabledCamera { id: draft.id, name, problems: draft.reasons });
                }
            }
        }
        (cameras, disabled)
    }
}

/// `[defaults]` and `[groups.NAME]`.
struct Layers {
    defaults: Item,
    groups: BTreeMap<String, (Item, Option<String>)>,
    /// For items of cameras without a group.
    none: Item,
}

impl Layers {
    fn read(reading: &mut Reading, grid_code_length: Option<usize>) -> Self {
        let none = Item::new(reading.source, "[defaults]", 0..0);
        let mut defaults = reading.table("defaults", &Scope::Setting).unwrap_or_else(|| none.clone());
        check_place(&mut defaults, grid_code_length);
        reading.report.take(&mut defaults, &Scope::Setting);
        let mut groups = BTreeMap::new();
        for (name, mut item) in reading.named("groups") {
            check_place(&mut item, grid_code_length);
            let broken = item.problems.iter().find(|p| p.severity == Severity::Error);
            let broken =
                broken.map(|p| format!("its group `{name}` is wrong: {} (line {})", p.message, p.line));
            reading.report.take(&mut item, &Scope::Setting);
            groups.insert(name, (item, broken));
        }
        Self { defaults, groups, none }
    }

    /// The keys of the camera's group, and what is wrong with them.
    fn group(&self, camera: &mut Item) -> (Item, Option<String>) {
        let Some(name) = camera.json.get("group").and_then(Value::as_str).map(str::to_owned) else {
            return (self.none.clone(), None);
        };
        if let Some((item, broken)) = self.groups.get(&name) {
            return (item.clone(), broken.clone());
        }
        // Without any `[groups]` a group is only a label.
        if !self.groups.is_empty() {
            let near = nearest(&name, self.groups.keys().map(String::as_str));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            camera.warn("/group", format!("there is no `[groups.{name}]`: only `[defaults]` apply"), hint);
        }
        (self.none.clone(), None)
    }
}

fn schema_of(table: &str) -> &'static Value {
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

fn did_you_mean_camera(name: &str, by_id: &HashMap<String, usize>) -> Option<String> {
    let mut known: Vec<&str> = by_id.keys().map(String::as_str).collect();
    known.sort_unstable();
    nearest(name, known).map(|near| format!("did you mean `{near}`?"))
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
