//! `gridwatch demo`: broker, simulated cameras and the daemon on a complete config, watched at the broker.

mod broker;
mod screen;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::watch;
use crate::config::Mqtt;
use crate::dispatch::{Received, Subscription};
use crate::event::topic::watch_filters;
use crate::event::{CameraStatus, Incident, IncidentEvent, Phase};
use crate::simulate::{self, Mount, Server};
use broker::Broker;
use screen::Screen;

/// Arguments of `gridwatch demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// End after this long, such as `120s` or `3m`, instead of at Ctrl-C; success only if all three kinds were seen.
    #[arg(long = "for", value_parser = duration)]
    length: Option<Duration>,
    /// Incidents as JSON lines on stdout, everything else on stderr.
    #[arg(long)]
    json: bool,
    /// A camera of your own beside the simulated ones: `rtsp://user:password@address/path`.
    #[arg(long)]
    camera: Option<url::Url>,
    /// Another detector than the shipped one.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Where pictures, clips, store and logs go [default: a new directory under the temporary one].
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// The kinds that must be seen opened and closed.
const KINDS: [&str; 3] = ["fire_lane", "street_vending", "thrown_object"];

/// Runs the demo; fails if `--for` was given and not all three kinds were opened and closed.
pub fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(play(args))
}

async fn play(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let demo = demo_dir()?;
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => std::env::temp_dir().join(format!("gridwatch-demo-{}", std::process::id())),
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let dir = dir.canonicalize()?;

    let mut screen = Screen::new(args.json);
    let broker = Broker::start(&dir)?;
    screen.line(&format!("消息服务器 broker     mqtt://127.0.0.1:{}", broker.port));
    let (server, clips) = simulate_cameras(&demo)?;
    screen.line(&format!("模拟摄像机 cameras    {} on rtsp://{}", clips, server.address()));
    let config = write_config(&demo, &dir, &args, broker.port, server.address().port())?;
    screen.line(&format!("配置 config           {}", config.display()));
    let mqtt = Mqtt::plain("127.0.0.1", broker.port, "gridwatch");
    let mut subscription = Subscription::open(&mqtt, &watch_filters(&mqtt.root)).await?;

    let (data, log) = (dir.join("data"), dir.join("gridwatch.log"));
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("run").arg("--config").arg(&config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
    of_its_own(&mut command);
    let mut daemon = command.spawn()?;
    screen.line(&format!("守护进程 daemon       gridwatch run --config … (log: {})", log.display()));
    screen.line("");

    let started = Instant::now();
    let mut seen = Seen::default();
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    let mut terminate = signal(SignalKind::terminate())?;
    let outcome = loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break Ok(()),
            _ = terminate.recv() => break Ok(()),
            message = subscription.next(&mqtt) => {
                let message = match message {
                    Ok(message) => message,
                    Err(error) => break Err(error.into()),
                };
                if args.json && message.topic.contains("/incidents/") {
                    let said = say!("{}", String::from_utf8_lossy(&message.payload));
                    if said.is_err() {
                        break said;
                    }
                }
                show(&message, &mut seen, &mut screen, &data)?;
            }
            _ = tick.tick() => {
                screen.clock(seen.clock(started.elapsed()));
                if let Some(status) = daemon.try_wait()? {
                    break Err(anyhow::anyhow!("the daemon ended by itself ({status})\nhint: see {}", log.display()));
                }
                if args.length.is_some_and(|length| started.elapsed() >= length) {
                    break Ok(());
                }
            }
        }
    };
    screen.close();
    let ran = started.elapsed();
    stop(&mut daemon)?;
    server.stop().await;
    outcome?;
    note!("\n{}", seen.summary(ran));
    note!("图片与录像 pictures and clips: {}", data.join("evidence").display());
    if args.length.is_some() && !seen.missing().is_empty() {
        bail!("not seen opened and closed: {}\nhint: see {}", seen.missing().join(", "), log.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// A Ctrl-C is for the demo, which then ends its children in order; a child does not outlive a demo that was killed.
fn of_its_own(command: &mut Command) {
    command.process_group(0);
    // SAFETY: prctl(2) is async-signal-safe and only sets what happens to the child when the demo is killed.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
}

/// Asks the daemon to end in order; kills it if it does not.
fn stop(daemon: &mut std::process::Child) -> anyhow::Result<()> {
    // SAFETY: kill(2) only takes numbers; the process is our child and not yet waited for, so its id is its own.
    unsafe { libc::kill(daemon.id() as libc::pid_t, libc::SIGTERM) };
    let patience = Instant::now() + Duration::from_secs(20);
    while daemon.try_wait()?.is_none() {
        if Instant::now() > patience {
            daemon.kill()?;
            daemon.wait()?;
            bail!("the daemon did not end within 20 s of SIGTERM");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// `config/demo` of the repository or of the installed package.
fn demo_dir() -> anyhow::Result<PathBuf> {
    let mut candidates = vec![PathBuf::from("config/demo")];
    if let Ok(program) = std::env::current_exe() {
        candidates.extend(program.ancestors().map(|dir| dir.join("config/demo")));
    }
    candidates.push(PathBuf::from("/usr/share/gridwatch/demo"));
    let found = candidates.into_iter().find(|dir| dir.join("gridwatch.toml").is_file());
    let found = found.context("no config/demo found\nhint: run the demo from the repository: ./dev demo")?;
    Ok(found.canonicalize()?)
}

/// One mount per clip, named like its file.
fn simulate_cameras(demo: &Path) -> anyhow::Result<(Server, usize)> {
    let clips = demo.join("clips");
    let mut mounts = Vec::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&clips)
        .with_context(|| format!("cannot read {}", clips.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "mp4"))
        .collect();
    files.sort();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        mounts.push(Mount::new(name, super::simulate::load(&file)?));
    }
    let count = mounts.len();
    Ok((Server::start(simulate::Config { mounts, ..simulate::Config::default() })?, count))
}

/// The demo's config with this run's ports, directory, extra camera and model.
fn write_config(demo: &Path, dir: &Path, args: &DemoArgs, mqtt: u16, rtsp: u16) -> anyhow::Result<PathBuf> {
    let text = std::fs::read_to_string(demo.join("gridwatch.toml"))?;
    let mut config: toml::Table = toml::from_str(&text)?;
    let set = |table: &mut toml::Table, key: &str, value: toml::Value| table.insert(key.to_owned(), value);
    if let Some(node) = config.get_mut("node").and_then(toml::Value::as_table_mut) {
        set(node, "data_dir", dir.join("data").to_string_lossy().into_owned().into());
    }
    if let Some(table) = config.get_mut("mqtt").and_then(toml::Value::as_table_mut) {
        set(table, "port", i64::from(mqtt).into());
    }
    if let Some(cameras) = config.get_mut("camera").and_then(toml::Value::as_array_mut) {
        for camera in cameras.iter_mut().filter_map(toml::Value::as_table_mut) {
            let url = camera.get("url").and_then(toml::Value::as_str).unwrap_or_default();
            let url = url.replacen(":8554", &format!(":{rtsp}"), 1);
            set(camera, "url", url.into());
        }
        if let Some(url) = &args.camera {
            let mut camera = toml::Table::new();
            set(&mut camera, "id", "your-camera".into());
            set(&mut camera, "name", "您的摄像机 your camera".into());
            set(&mut camera, "url", url.as_str().into());
            cameras.push(toml::Value::Table(camera));
        }
    }
    if let (Some(_), Some(zones)) = (&args.camera, config.get_mut("zone").and_then(toml::Value::as_array_mut))
    {
        // Nobody has drawn a zone for a visitor's camera yet: the lower two thirds, where the ground usually is.
        zones.push(toml::Value::Table(toml::toml! {
            camera = "your-camera"
            id = "lane"
            name = "画面下部 lower part"
            scenario = "illegal_parking"
            polygon = [[0.02, 0.35], [0.98, 0.35], [0.98, 0.98], [0.02, 0.98]]
            suspect_s = 5
            dwell_s = 20
            clear_s = 5
        }));
    }
    if let Some(model) = &args.model {
        let file = std::path::absolute(model)?.to_string_lossy().into_owned();
        let mut models = toml::Table::new();
        let mut street = toml::Table::new();
        set(&mut street, "file", file.into());
        set(&mut models, "street", street.into());
        set(&mut config, "models", models.into());
    }
    let path = dir.join("gridwatch.toml");
    // A visitor's camera may have its password in the URL.
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(toml::to_string(&config)?.as_bytes())?;
    Ok(path)
}

/// Puts one message of the broker on the terminal: an incident as a line that stays, a camera's state in the table.
fn show(message: &Received, seen: &mut Seen, screen: &mut Screen, data: &Path) -> anyhow::Result<()> {
    let Received { topic, payload, .. } = message;
    if topic.contains("/incidents/") {
        let event: IncidentEvent = serde_json::from_slice(payload).with_context(|| topic.clone())?;
        seen.note(&event.data);
        screen.line(&watch::incident_line(&event.data, &TimeZone::system(), Some(data)));
    } else if topic.contains("/cameras/") && !payload.is_empty() {
        let status: CameraStatus = serde_json::from_slice(payload).with_context(|| topic.clone())?;
        screen.camera(status);
    }
    Ok(())
}

/// What has been seen at the broker.
#[derive(Debug, Default)]
struct Seen {
    /// Per kind: incidents opened, closed.
    opened: BTreeMap<String, BTreeSet<uuid::Uuid>>,
    closed: BTreeMap<String, BTreeSet<uuid::Uuid>>,
}

impl Seen {
    fn note(&mut self, incident: &Incident) {
        let by_phase = match incident.phase {
            Phase::Opened => &mut self.opened,
            Phase::Closed => &mut self.closed,
            Phase::Updated => return,
        };
        by_phase.entry(incident.kind.clone()).or_default().insert(incident.incident);
    }

    /// Kinds of which no incident was both opened and closed.
    fn missing(&self) -> Vec<&'static str> {
        let done = |kind: &str| match (self.opened.get(kind), self.closed.get(kind)) {
            (Some(opened), Some(closed)) => opened.intersection(closed).next().is_some(),
            _ => false,
        };
        KINDS.into_iter().filter(|kind| !done(kind)).collect()
    }

    fn count(phases: &BTreeMap<String, BTreeSet<uuid::Uuid>>, kind: &str) -> usize {
        phases.get(kind).map_or(0, BTreeSet::len)
    }

    fn clock(&self, ran: Duration) -> String {
        let open: usize = self.opened.values().map(BTreeSet::len).sum();
        let closed: usize = self.closed.values().map(BTreeSet::len).sum();
        format!("{:>4} s   事件 opened {open}, closed {closed}   (Ctrl-C 结束 ends)", ran.as_secs())
    }

    fn summary(&self, ran: Duration) -> String {
        let mut text = format!("{} s", ran.as_secs());
        for (kind, zh) in KINDS.into_iter().zip(["消防通道占用", "占道经营", "高空抛物"]) {
            let (opened, closed) = (Self::count(&self.opened, kind), Self::count(&self.closed, kind));
            let _ = write!(text, "\n  {zh} {kind}: {opened} opened, {closed} closed"); // Into a String: cannot fail.
        }
        text
    }
}

/// `90`, `90s`, `2m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(format!("`{unit}` is no unit of time; use s, m or h")),
    };
    let number: u64 = number.parse().map_err(|_| "a length is a number with s, m or h: 120s".to_owned())?;
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert_eq!(duration("120s"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("2 weeks").is_err());
        assert!(duration("").is_err());
    }
}
