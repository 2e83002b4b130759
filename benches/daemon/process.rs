//! A process under measurement: its CPU time, memory, threads and files, read from the system.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A child that is asked to end, then made to, when it goes out of scope; it does not outlive a bench that was killed.
pub struct Process {
    pub child: Child,
    pub log: PathBuf,
}

/// What a process holds at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Held {
    pub rss_bytes: u64,
    pub threads: u64,
    pub files: u64,
}

impl Process {
    /// Starts it with what it says on stderr going to `log`.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        command.stderr(File::create(log).with_context(|| format!("cannot write {}", log.display()))?);
        // A group of its own: Ctrl-C is for the bench, which then ends its children in order.
        command.process_group(0);
        // SAFETY: prctl(2) is async-signal-safe and only sets what happens to the child when the bench is killed.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let child = command.spawn().with_context(|| format!("cannot start `{program}`"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// User and system time of all its threads so far, those that have ended among them.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // SAFETY: both pointers are to variables of this frame; the process is our child and not waited for.
        let failed = unsafe {
            libc::clock_getcpuclockid(self.child.id() as libc::pid_t, &raw mut clock) != 0
                || libc::clock_gettime(clock, &raw mut time) != 0
        };
        if failed {
            bail!("process {} has no clock: it has ended; see {}", self.child.id(), self.log.display());
        }
        Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }

    /// Memory, threads and files now.
    pub fn held(&self) -> anyhow::Result<Held> {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = std::fs::read_to_string(proc.join("status"))?;
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Ok(Held {
            rss_bytes: field("VmRSS:") * 1024,
            threads: field("Threads:"),
            files: std::fs::read_dir(proc.join("fd"))?.count() as u64,
        })
    }

    /// Fails, with the end of its log, if it has ended by itself.
    pub fn check_alive(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(5).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            bail!("a process ended by itself ({status}); {}:\n{}", self.log.display(), tail.join("\n"));
        }
        Ok(())
    }

    /// Asks it to end and waits; ends it by force after `patience`. Says whether it went by itself.
    pub fn stop(&mut self, patience: Duration) -> anyhow::Result<bool> {
        if self.child.try_wait()?.is_some() {
            return Ok(true);
        }
        // SAFETY: kill(2) only takes numbers; the process is our child and not yet waited for, so its id is its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        let until = Instant::now() + patience;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                self.child.kill()?;
                self.child.wait()?;
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(true)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.stop(Duration::from_secs(3));
    }
}

/// Runs a command to its end and says what it cost: user and system time of it and its children.
pub fn cost_of(command: &mut Command) -> anyhow::Result<Duration> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{program}`"))?;
    let mut complaint = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = std::io::Read::read_to_string(&mut stderr, &mut complaint);
    }
    let mut status = 0;
    // SAFETY: a rusage of zeros is a valid one; wait4(2) fills it. Nobody else waits for this child of ours.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage) < 0 {
            bail!("cannot wait for `{program}`: {}", std::io::Error::last_os_error());
        }
        usage
    };
    if status != 0 {
        bail!("`{program}` failed: {}", complaint.trim());
    }
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    Ok(time(usage.ru_utime) + time(usage.ru_stime))
}

/// A port that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
