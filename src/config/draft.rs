//! Cameras on their way: rows and tables become cameras that run and cameras that are disabled.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::camera::CameraTable;
use super::camera_list::CameraListTable;
use super::item::{Item, overlay};
use super::load::{Reading, schema_of};
use super::model::{self, Model};
use super::names::{check_id, id_error};
use super::patrol::{Plans, stays_out};
use super::place::check_codes;
use super::problem::{Problem, Scope, Severity, nearest};
use super::scenario::Scenarios;
use super::secret::PASSWORD_KEYS;
use super::zone::ZoneTable;
use super::{Camera, DisabledCamera, Zone};
use crate::frame::CameraId;

/// A camera on its way: what its own table or row says, and what speaks against it.
pub(super) struct Draft {
    id: CameraId,
    item: Item,
    reasons: Vec<String>,
    zones: Vec<Zone>,
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

impl Reading<'_> {
    /// Every camera that is written somewhere, each with an id of its own.
    pub(super) fn drafts(&mut self, grid_code_length: Option<usize>) -> Vec<Draft> {
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
        let ids = unique_ids(&items);
        let mut first_at: HashMap<String, String> = HashMap::new();
        let mut drafts = Vec::with_capacity(items.len());
        for (mut item, id) in items.into_iter().zip(ids) {
            if let Some(written) = item.json.get("id").and_then(Value::as_str).map(str::to_owned) {
                check_id(&mut item, "/id", &written);
                let (line, _) = item.source.line_and_column(item.place("/id").start);
                let place = format!("{}:{line}", item.source.path.display());
                if let Some(first) = first_at.get(&written) {
                    let hint = format!("the first one stands at {first}");
                    item.error("/id", format!("a second camera has the id `{written}`"), hint);
                } else {
                    first_at.insert(written, place);
                }
            }
            check_codes(&mut item, grid_code_length);
            drafts.push(Draft { id: id.as_str().into(), item, reasons: Vec::new(), zones: Vec::new() });
        }
        drafts
    }

    /// Reads the zones and hangs each on its cameras.
    pub(super) fn zones(&mut self, drafts: &mut [Draft], scenarios: &Scenarios) {
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
    pub(super) fn cameras(
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
            if let Some(camera) = &mut camera {
                camera.zones = std::mem::take(&mut draft.zones);
                let planned = camera.group.as_ref().is_some_and(|name| layers.plans.contains_key(name));
                camera.patrolled = planned && !stays_out(camera, &mut draft.item);
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
                Some(camera) if draft.reasons.is_empty() => cameras.push(camera),
                _ => {
                    let name = draft.text("name").unwrap_or(draft.id.as_str()).to_owned();
                    disabled.push(DisabledCamera { id: draft.id, name, problems: draft.reasons });
                }
            }
        }
        (cameras, disabled)
    }

    /// The patrols, checked against their cameras.
    pub(super) fn patrols(&mut self, layers: Layers, cameras: &[Camera]) -> Plans {
        let mut groups = layers.groups;
        for (name, plan) in &layers.plans {
            let Some((item, _)) = groups.get_mut(name) else { continue };
            let of_group = |c: &&Camera| c.patrolled && c.group.as_ref() == Some(name);
            plan.check(item, &cameras.iter().filter(of_group).collect::<Vec<_>>());
            self.report.take(item, &Scope::Setting);
        }
        layers.plans
    }
}

/// `[defaults]` and `[groups.NAME]`.
pub(super) struct Layers {
    defaults: Item,
    groups: BTreeMap<String, (Item, Option<String>)>,
    plans: Plans,
    /// For items of cameras without a group.
    none: Item,
}

impl Layers {
    pub fn read(reading: &mut Reading, grid_code_length: Option<usize>) -> Self {
        let none = Item::new(reading.source, "[defaults]", 0..0);
        let mut defaults = reading.table("defaults", &Scope::Setting).unwrap_or_else(|| none.clone());
        check_codes(&mut defaults, grid_code_length);
        reading.report.take(&mut defaults, &Scope::Setting);
        let (mut groups, mut plans) = (BTreeMap::new(), Plans::new());
        for (name, mut item) in reading.named("groups") {
            check_codes(&mut item, grid_code_length);
            let broken = item.problems.iter().find(|p| p.severity == Severity::Error);
            let broken =
                broken.map(|p| format!("its group `{name}` is wrong: {} (line {})", p.message, p.line));
            reading.report.take(&mut item, &Scope::Setting);
            let plan = item.json.remove("patrol").filter(|_| broken.is_none());
            if let Some(plan) = plan.and_then(|plan| serde_json::from_value(plan).ok()) {
                plans.insert(name.clone(), plan);
            }
            groups.insert(name, (item, broken));
        }
        Self { defaults, groups, plans, none }
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

fn did_you_mean_camera(name: &str, by_id: &HashMap<String, usize>) -> Option<String> {
    let mut known: Vec<&str> = by_id.keys().map(String::as_str).collect();
    known.sort_unstable();
    nearest(name, known).map(|near| format!("did you mean `{near}`?"))
}

/// One id for each camera: its own if it is the first that has it, else one that no other camera has, because what is
/// disabled is published too.
fn unique_ids(items: &[Item]) -> Vec<String> {
    let written = |item: &Item| {
        let id = item.json.get("id").and_then(Value::as_str)?;
        id_error(id).is_none().then(|| id.to_owned())
    };
    let own: HashSet<String> = items.iter().filter_map(written).collect();
    let mut given: HashSet<String> = HashSet::new();
    // Where counting goes on for each id: a list may give one id to all its rows.
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut next = |item: &Item| {
        let id = written(item);
        if let Some(id) = &id
            && given.insert(id.clone())
        {
            return id.clone();
        }
        let (line, _) = item.source.line_and_column(item.place("/id").start);
        let base = id.unwrap_or_else(|| format!("line-{line}"));
        let number = numbers.entry(base.clone()).or_insert(2);
        let mut candidate = base.clone();
        while own.contains(&candidate) || given.contains(&candidate) {
            candidate = format!("{base}.{number}");
            *number += 1;
        }
        given.insert(candidate.clone());
        candidate
    };
    items.iter().map(&mut next).collect()
}
