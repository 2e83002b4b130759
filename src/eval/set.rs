//! The format of a labelled set, `gridwatch-eval/1`: one JSON file per case, beside its clip or trace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::geometry::BBox;

/// What `format` says.
pub const FORMAT: &str = "gridwatch-eval/1";

/// Names and values of what a case or a situation is like, such as `light: night`; each pair is a row of the report.
pub type Strata = BTreeMap<String, String>;

/// One case of a labelled set: some seconds of one camera, with its zones and what happened in them.
///
/// Places are ratios of the picture, times are seconds from the first picture.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Case {
    /// Always `gridwatch-eval/1`.
    pub format: String,
    /// The video, relative to this file.
    pub clip: Option<PathBuf>,
    /// What was found in each picture (`gridwatch replay --record`), relative to this file; read instead of the video with `--rules-only`, or if there is no video.
    pub trace: Option<PathBuf>,
    /// Boxes of vehicles that stand, picture by picture, relative to this file: JSON lines of [`Boxes`]. They are scored one by one.
    pub boxes: Option<PathBuf>,
    /// Length in seconds. Default: up to the last picture.
    pub seconds: Option<f64>,
    /// What the case is like.
    #[serde(default)]
    pub strata: Strata,
    /// Keys of a `[[camera]]` of the config.
    #[serde(default)]
    pub camera: Map<String, Value>,
    /// Zones: keys of a `[[zone]]` of the config.
    #[serde(default)]
    pub zones: Vec<Map<String, Value>>,
    /// What happens; without any, all of the case is incident-free.
    #[serde(default)]
    pub incidents: Vec<Truth>,
    /// Anything else that its makers want to keep, such as a seed.
    #[serde(default)]
    pub notes: Value,
    /// Keys that nobody knows; they are reported.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Map<String, Value>,
}

/// A situation that must lead to one incident.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Truth {
    /// Id of the zone.
    pub zone: String,
    /// Id of the scenario, such as `fire_lane`.
    pub kind: String,
    /// When the situation itself begins (not its dwell).
    pub from_s: f64,
    /// When it ends.
    pub to_s: f64,
    /// What the situation is like.
    #[serde(default)]
    pub strata: Strata,
    /// Neither a miss if nothing is said, nor a false incident if something is.
    #[serde(default)]
    pub optional: bool,
    /// Share of the zone that is covered, 0..1.
    pub coverage: Option<f32>,
    /// Height above ground from which something was thrown, in metres.
    pub release_height_m: Option<f32>,
    /// Floor from which it was thrown; the ground floor is 1.
    pub floor: Option<u32>,
    /// What it is about, for the picture of a miss.
    #[serde(rename = "box")]
    pub bbox: Option<BBox>,
    /// Keys that nobody knows; they are reported.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: Map<String, Value>,
}

/// The vehicles that stand in one picture: a line of a case's boxes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Boxes {
    /// Seconds from the first picture.
    pub at_s: f64,
    /// Each with a number that stays with it.
    pub boxes: Vec<(u32, BBox)>,
}

/// A case where it lies.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// Its file's path in the set without `.json`, such as `night/0001`.
    pub name: String,
    /// The folder that its paths start from.
    pub dir: PathBuf,
    /// What it says.
    pub case: Case,
    /// The boxes of standing vehicles, if it has any.
    pub boxes: Option<Vec<Boxes>>,
}

/// Why a set cannot be scored: it is broken, whatever the pipeline says.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is no case.
    #[error("{}: {why}", path.display())]
    Invalid {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing to score.
    #[error("{} holds no case: no `*.json` with `\"format\": \"{FORMAT}\"`", .0.display())]
    Empty(PathBuf),
}

/// Reads all cases of a folder and its subfolders in the order of their names; other JSON files are passed over.
pub fn read(dir: &Path) -> Result<Vec<Labelled>, SetError> {
    let mut files = Vec::new();
    json_files(dir, &mut files)?;
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        cases.extend(read_case(dir, &file)?);
    }
    if cases.is_empty() { Err(SetError::Empty(dir.to_owned())) } else { Ok(cases) }
}

fn json_files(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), SetError> {
    let unreadable = |source| SetError::Unreadable { path: dir.to_owned(), source };
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            json_files(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "json") {
            found.push(path);
        }
    }
    Ok(())
}

/// The case in a file; `None` if the file is about something else.
fn read_case(root: &Path, path: &Path) -> Result<Option<Labelled>, SetError> {
    let text = read_text(path)?;
    let invalid = |why: String| SetError::Invalid { path: path.to_owned(), why };
    let json: Value = serde_json::from_str(&text).map_err(|e| invalid(format!("not JSON: {e}")))?;
    match json["format"].as_str() {
        Some(FORMAT) => {}
        Some(other) if other.starts_with("gridwatch-eval/") => {
            return Err(invalid(format!("format `{other}` is not `{FORMAT}`")));
        }
        _ => return Ok(None),
    }
    let case: Case = serde_json::from_value(json).map_err(|e| invalid(e.to_string()))?;
    case.check().map_err(invalid)?;
    let dir = path.parent().unwrap_or(root).to_owned();
    let boxes = case.boxes.as_ref().map(|file| read_boxes(&dir.join(file))).transpose()?;
    let name = path.strip_prefix(root).unwrap_or(path).with_extension("").to_string_lossy().into_owned();
    Ok(Some(Labelled { name, dir, case, boxes }))
}

fn read_text(path: &Path) -> Result<String, SetError> {
    std::fs::read_to_string(path).map_err(|source| SetError::Unreadable { path: path.to_owned(), source })
}

fn read_boxes(path: &Path) -> Result<Vec<Boxes>, SetError> {
    let invalid = |number: usize, e: serde_json::Error| SetError::Invalid {
        path: path.to_owned(),
        why: format!("line {number}: {e}"),
    };
    let text = read_text(path)?;
    let lines = text.lines().enumerate();
    lines.map(|(i, line)| serde_json::from_str(line).map_err(|e| invalid(i + 1, e))).collect()
}

impl Case {
    fn check(&self) -> Result<(), String> {
        if self.clip.is_none() && self.trace.is_none() {
            return Err("it has neither `clip` nor `trace`".into());
        }
        if self.seconds.is_some_and(|s| !s.is_finite() || s <= 0.0) {
            return Err("`seconds` must be more than 0".into());
        }
        for (index, truth) in self.incidents.iter().enumerate() {
            let zone = self.zones.iter().find(|zone| id_of(zone) == Some(truth.zone.as_str()));
            let Some(zone) = zone else {
                return Err(format!(
                    "incident {index} is in zone `{}`, which the case does not have",
                    truth.zone
                ));
            };
            if zone.get("scenario").and_then(Value::as_str) != Some(truth.kind.as_str()) {
                let (zone, kind) = (&truth.zone, &truth.kind);
                return Err(format!(
                    "incident {index} is of kind `{kind}`, zone `{zone}` of another scenario"
                ));
            }
            if !(truth.from_s.is_finite() && truth.to_s.is_finite() && truth.from_s <= truth.to_s) {
                return Err(format!("incident {index} ends before it begins"));
            }
        }
        Ok(())
    }

    /// Keys of the case and of its incidents that nobody knows: probably slips.
    pub fn unknown_keys(&self) -> impl Iterator<Item = &str> {
        let in_incidents = self.incidents.iter().flat_map(|truth| truth.unknown.keys());
        self.unknown.keys().chain(in_incidents).map(String::as_str)
    }
}

/// A zone's id as the config resolves it.
fn id_of(zone: &Map<String, Value>) -> Option<&str> {
    zone.get("id").or_else(|| zone.get("scenario")).and_then(Value::as_str)
}
