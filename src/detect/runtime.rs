//! Where ONNX Runtime's library lies on this machine.

use std::path::{Path, PathBuf};

/// Why there is no ONNX Runtime to work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// It is nowhere.
    #[error(
        "ONNX Runtime (`libonnxruntime.so`) was not found in {}; \
         hint: run `./dev build`, install the gridwatch package, or set ORT_DYLIB_PATH to the library",
        list(.looked_in)
    )]
    Missing {
        /// The directories that were searched.
        looked_in: Vec<PathBuf>,
    },
    /// It is there but cannot be used.
    #[error(
        "ONNX Runtime at `{path}` cannot be used: {reason}; \
         hint: gridwatch needs version 1.{minor_min} or later, built for this machine"
    )]
    Broken {
        /// The library.
        path: PathBuf,
        /// What the loader or the runtime says.
        reason: String,
        /// Oldest minor version that works.
        minor_min: u32,
    },
}

fn list(dirs: &[PathBuf]) -> String {
    dirs.iter().map(|d| format!("`{}`", d.display())).collect::<Vec<_>>().join(", ")
}

/// Finds the library: `ORT_DYLIB_PATH`, beside the executable, in `../lib/gridwatch`, in `/usr/lib/gridwatch`, or in
/// `.dev/onnxruntime` of the working directory or of a directory above the executable.
pub fn find() -> Result<PathBuf, RuntimeError> {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()) {
        return Ok(path.into());
    }
    let looked_in = places(std::env::current_exe().ok().as_deref(), std::env::current_dir().ok().as_deref());
    looked_in.iter().find_map(|dir| library_in(dir)).ok_or(RuntimeError::Missing { looked_in })
}

/// Directories to search, in order.
fn places(executable: Option<&Path>, working: Option<&Path>) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if let Some(beside) = executable.and_then(Path::parent) {
        dirs.push(beside.to_owned());
        if let Some(prefix) = beside.parent() {
            dirs.push(prefix.join("lib/gridwatch"));
        }
    }
    dirs.push("/usr/lib/gridwatch".into());
    let above = executable.into_iter().flat_map(|e| e.ancestors().skip(1));
    for dir in working.into_iter().chain(above) {
        let dev = dir.join(".dev/onnxruntime");
        if !dirs.contains(&dev) {
            dirs.push(dev);
        }
    }
    dirs
}

/// `libonnxruntime.so` in `dir`, or the last of its versioned names.
fn library_in(dir: &Path) -> Option<PathBuf> {
    let plain = dir.join("libonnxruntime.so");
    if plain.is_file() {
        return Some(plain);
    }
    let entries = std::fs::read_dir(dir).ok()?.flatten().map(|e| e.path());
    let versioned = |p: &PathBuf| {
        p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("libonnxruntime.so."))
            && p.is_file()
    };
    entries.filter(versioned).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_found_where_it_is_installed() {
        let prefix = tempfile::tempdir().unwrap();
        let executable = prefix.path().join("bin/gridwatch");
        let working = prefix.path().join("work");
        for home in ["bin", "lib/gridwatch", "work/.dev/onnxruntime", ".dev/onnxruntime"] {
            let dir = prefix.path().join(home);
            std::fs::create_dir_all(&dir).unwrap();
            let file = dir.join("libonnxruntime.so.1.31.1");
            std::fs::write(&file, "").unwrap();
            let dirs = places(Some(&executable), Some(&working));
            assert_eq!(dirs.iter().find_map(|d| library_in(d)), Some(file.clone()), "{dirs:?}");
            std::fs::remove_file(&file).unwrap();
        }
    }

    #[test]
    fn the_message_says_where_it_looked_and_what_to_do() {
        let error = RuntimeError::Missing { looked_in: vec!["/a".into(), "/b".into()] };
        let text = error.to_string();
        assert!(text.contains("`/a`, `/b`") && text.contains("hint:"), "{text}");
    }
}
