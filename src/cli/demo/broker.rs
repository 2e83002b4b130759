//! A mosquitto of the demo's own, on a free loopback port.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A running mosquitto; it ends with its owner.
pub struct Broker {
    child: Child,
    /// The loopback port it listens on.
    pub port: u16,
}

impl Broker {
    /// Starts it and waits until it accepts connections.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        let program = find("mosquitto").context(
            "no mosquitto on this machine\nhint: `./dev demo` installs it; by hand: apt-get install mosquitto",
        )?;
        let port = free_port()?;
        let config = dir.join("mosquitto.conf");
        // Pictures are messages too, hence the size; nothing is kept over restarts because the demo has none.
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nlog_dest stderr\nmessage_size_limit 16777216\n"
        );
        std::fs::write(&config, text)?;
        let log = std::fs::File::create(dir.join("mosquitto.log"))?;
        let mut command = Command::new(&program);
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        super::of_its_own(&mut command);
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let mut broker = Self { child, port };
        let patience = Instant::now() + Duration::from_secs(15);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = broker.child.try_wait()? {
                bail!(
                    "mosquitto ended at once ({status})\nhint: see {}",
                    dir.join("mosquitto.log").display()
                );
            }
            if Instant::now() > patience {
                bail!("mosquitto does not accept connections on port {port}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(broker)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Debian puts servers where an ordinary user's PATH does not look.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = [PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")];
    std::env::split_paths(&path).chain(usual).map(|dir| dir.join(program)).find(|file| file.is_file())
}
