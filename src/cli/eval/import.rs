//! `gridwatch eval import-roadtrack`: another project's labelled material in our format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::json;

use super::super::trace::TraceWriter;
use crate::eval::roadtrack::{self, Region};
use crate::eval::set::FORMAT;

/// Makes a labelled set of other projects' material.
#[derive(Debug, clap::Subcommand)]
pub enum Import {
    /// RoadTrack's recorded detections and stops (folders `P` and `N`) as cases with traces. 导入 RoadTrack 数据。
    ImportRoadtrack {
        /// The folder with `P`, `N` and `filter.json`.
        src: PathBuf,
        /// Where the set goes; it is made.
        dest: PathBuf,
        /// Scenes (the `K…` of a sequence's name) that get the stratum `half: held_out`; the others get `half: tuning`.
        #[arg(long, value_name = "SCENE")]
        held_out: Vec<String>,
    },
}

pub fn run(import: &Import) -> anyhow::Result<()> {
    let Import::ImportRoadtrack { src, dest, held_out } = import;
    let regions = regions(&src.join("filter.json"))?;
    let mut count = 0;
    for part in ["P", "N"] {
        let dir = src.join(part);
        let entries = std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        std::fs::create_dir_all(dest.join(part))?;
        for entry in entries {
            let from = entry?.path();
            if from.join("det.txt").is_file() {
                import_sequence(&from, &dest.join(part), part, &regions, held_out)
                    .with_context(|| format!("cannot import {}", from.display()))?;
                count += 1;
            }
        }
    }
    say!("{count} sequences in {}", dest.display())?;
    Ok(())
}

fn regions(path: &Path) -> anyhow::Result<BTreeMap<String, Vec<Region>>> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn import_sequence(
    from: &Path,
    to: &Path,
    part: &str,
    regions: &BTreeMap<String, Vec<Region>>,
    held_out: &[String],
) -> anyhow::Result<()> {
    let name = from.file_name().context("no name")?.to_string_lossy().into_owned();
    let scene = roadtrack::scene(&name).context("no scene (`K…`) in its name")?;
    let ignored = regions.get(scene).map_or(&[][..], Vec::as_slice);
    let read = |file: &str| std::fs::read_to_string(from.join(file));
    let wrong = |file: &str| {
        let file = file.to_owned();
        move |line: usize| anyhow!("{file}:{line}: not a line of RoadTrack")
    };
    let findings = roadtrack::findings(&read("det.txt")?, ignored).map_err(wrong("det.txt"))?;
    let trace = format!("{name}.trace.jsonl");
    let mut writer = TraceWriter::create(&to.join(&trace), &from.join("det.txt"), None)?;
    for picture in &findings {
        writer.write(picture)?;
    }
    writer.finish()?;
    // The authors score `N` against nothing, although some of its sequences have a `gt.txt`.
    let boxes =
        if part == "P" { roadtrack::boxes(&read("gt.txt")?).map_err(wrong("gt.txt"))? } else { Vec::new() };
    let lines: Result<Vec<String>, _> = boxes.iter().map(serde_json::to_string).collect();
    let boxes_file = format!("{name}.boxes.jsonl");
    std::fs::write(to.join(&boxes_file), lines?.join("\n"))?;
    let half = if held_out.iter().any(|k| k == scene) { "held_out" } else { "tuning" };
    let case = json!({
        "format": FORMAT,
        "trace": trace,
        "boxes": boxes_file,
        "seconds": findings.len() as f64 / roadtrack::RATE,
        "strata": { "scene": scene, "half": half, "part": part },
        "zones": [{
            "id": "road",
            "scenario": "illegal_parking",
            "polygon": [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]],
            // One setting for all scenes: what stands on a motorway is an emergency after seconds.
            "suspect_s": 2.0,
            "dwell_s": 4.0,
            "clear_s": 10.0,
            "shift_max": 0.5,
        }],
        "incidents": roadtrack::situations(&boxes).iter().map(|(from_s, to_s)| {
            json!({ "zone": "road", "kind": "illegal_parking", "from_s": from_s, "to_s": to_s })
        }).collect::<Vec<_>>(),
    });
    std::fs::write(to.join(format!("{name}.json")), serde_json::to_string_pretty(&case)? + "\n")?;
    Ok(())
}
