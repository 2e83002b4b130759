//! Traces: what was found in each picture, as JSON lines. `replay` and `eval` write them and run the rules on them.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Lines, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::detection::{Findings, ModelStamp};

/// The trace format's version; raised when `Findings` changes its meaning.
const VERSION: u32 = 1;

/// First line of a trace.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    gridwatch_trace: u32,
    source: String,
    model: Option<ModelStamp>,
}

/// Whether a file is a trace: it begins with its header line; anything else is for FFmpeg to recognise.
pub fn is_trace(path: &Path) -> anyhow::Result<bool> {
    let mut start = [0; 18];
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let length = file.read(&mut start)?;
    Ok(start[..length].starts_with(br#"{"gridwatch_trace""#))
}

/// Reads a trace, picture by picture.
pub struct TraceReader {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    number: usize,
    /// The model that had looked.
    pub model: Option<ModelStamp>,
}

impl TraceReader {
    /// Opens a trace and reads its header.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut lines = BufReader::new(file).lines();
        let input = path.display();
        let first = lines.next().with_context(|| format!("{input}: the trace is empty"))?;
        let header: Header = serde_json::from_str(&first.with_context(|| input.to_string())?)
            .with_context(|| format!("{input}:1: not the header of a trace"))?;
        if header.gridwatch_trace != VERSION {
            let version = header.gridwatch_trace;
            bail!("{input}: trace version {version} is not {VERSION}\nhint: record it again");
        }
        Ok(Self { path: path.to_owned(), lines, number: 1, model: header.model })
    }
}

impl Iterator for TraceReader {
    type Item = anyhow::Result<Findings>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        self.number += 1;
        let findings = line.map_err(anyhow::Error::from).and_then(|line| Ok(serde_json::from_str(&line)?));
        Some(
            findings
                .with_context(|| format!("{}:{}: not a line of a trace", self.path.display(), self.number)),
        )
    }
}

/// Writes a trace.
pub struct TraceWriter(BufWriter<File>);

impl TraceWriter {
    /// Begins a trace of this source, looked at by this model.
    pub fn create(path: &Path, source: &Path, model: Option<ModelStamp>) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut writer = BufWriter::new(file);
        let source = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let header = Header { gridwatch_trace: VERSION, source, model };
        writeln!(writer, "{}", serde_json::to_string(&header)?)?;
        Ok(Self(writer))
    }

    /// Adds one picture's findings.
    pub fn write(&mut self, findings: &Findings) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.0, findings)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// Ends the trace; what is not on disk by then is an error.
    pub fn finish(mut self) -> anyhow::Result<()> {
        Ok(self.0.flush()?)
    }
}
