//! A directory for the duration of a command.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// A directory that goes with its owner.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one in the system's place for temporary files.
    pub fn new() -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("gridwatch-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
