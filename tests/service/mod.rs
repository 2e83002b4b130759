//! gridwatch as a process of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `gridwatch run`, killed with the test.
pub struct Service(Child);

#[allow(dead_code, reason = "each test needs some of these")]
impl Service {
    pub fn start(config: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridwatch"));
        command.args(["run", "--config"]).arg(config).stderr(Stdio::null());
        Self(command.spawn().expect("gridwatch starts"))
    }

    /// The same with more arguments; also gives its log, to be read when it has ended.
    pub fn logged(config: &Path, more: &[&str]) -> (Self, std::process::ChildStderr) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridwatch"));
        command.args(["run", "--config"]).arg(config).args(more).stderr(Stdio::piped());
        let mut child = command.spawn().expect("gridwatch starts");
        let log = child.stderr.take().expect("piped");
        (Self(child), log)
    }

    pub fn reload(&self) {
        let sent = Command::new("kill").args(["-HUP", &self.0.id().to_string()]).status();
        assert!(sent.expect("kill(1)").success(), "it has ended");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
