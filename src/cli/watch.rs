//! `gridwatch watch`: incidents and camera statuses as they come, one line each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use jiff::tz::TimeZone;

use super::login::login;
use crate::config::{self, ClientCertificate, Level, Mqtt, Text, Tls};
use crate::dispatch::{Received, Subscription};
use crate::event::topic::watch_filters;
use crate::event::{
    CameraStatus, Certainty, ClosedReason, EvidenceKind, Incident, IncidentEvent, NodeStatus, Phase,
};
use crate::frame::CameraState;
use crate::store::Follower;

/// Show incidents and statuses as they come, one line each.
/// 实时显示事件与摄像机状态，每条一行。
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    /// Take broker, root and data directory from this config. 配置文件
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Broker to listen to. MQTT 服务器
    #[arg(long, conflicts_with_all = ["config", "store"])]
    host: Option<String>,
    /// Its port [default: 1883, with TLS 8883]. 端口
    #[arg(long)]
    port: Option<u16>,
    /// First part of every topic. 主题前缀
    #[arg(long, default_value = "gridwatch")]
    root: String,
    /// Encrypt, and verify the broker's certificate. 加密并验证服务器证书
    #[arg(long, requires = "host")]
    tls: bool,
    /// Authorities that may have signed the broker's certificate, PEM [default: those that the system trusts]. 签发机构证书
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_file: Option<PathBuf>,
    /// Certificate of your own, PEM, for a broker that wants one (mTLS). 本方证书
    #[arg(long, value_name = "FILE", requires_all = ["tls", "client_key_file"])]
    client_cert_file: Option<PathBuf>,
    /// Its private key, PEM. 本方私钥
    #[arg(long, value_name = "FILE", requires = "client_cert_file")]
    client_key_file: Option<PathBuf>,
    /// User name, for a broker that wants one. 用户名
    #[arg(long, value_name = "NAME", requires_all = ["host", "password_env"])]
    user: Option<String>,
    /// Environment variable with the password. 存放密码的环境变量
    #[arg(long, value_name = "NAME", requires = "user")]
    password_env: Option<String>,
    /// Follow the local store of this data directory instead of a broker. 数据目录
    #[arg(long, value_name = "DATA_DIR", conflicts_with = "config")]
    store: Option<PathBuf>,
    /// Print the messages as JSON lines. 输出 JSON
    #[arg(long)]
    json: bool,
}

/// Seconds between two looks at a local store.
const STORE_PERIOD: Duration = Duration::from_millis(500);
/// Seconds before a lost broker is tried again.
const BROKER_PERIOD: Duration = Duration::from_secs(2);

/// Watches until interrupted.
pub fn run(args: WatchArgs) -> anyhow::Result<()> {
    let mut printer = Printer { json: args.json, zone: TimeZone::system(), statuses: HashMap::new() };
    if let Some(data_dir) = &args.store {
        return follow(data_dir, &mut printer);
    }
    if let Some(host) = &args.host {
        return listen(&broker(host, &args)?, &mut printer);
    }
    let Some(path) = &args.config else {
        bail!("say what to watch: --config FILE, --host HOST or --store DATA_DIR");
    };
    let config = config::load(path)?.config;
    printer.zone = config.node.timezone.clone();
    match &config.mqtt {
        Some(mqtt) => listen(mqtt, &mut printer),
        None => follow(&config.node.data_dir, &mut printer),
    }
}

/// The broker that the arguments name.
fn broker(host: &str, args: &WatchArgs) -> anyhow::Result<Mqtt> {
    let client = args.client_cert_file.clone().zip(args.client_key_file.clone());
    let client = client.map(|(cert_file, key_file)| ClientCertificate { cert_file, key_file });
    let tls = args.tls.then(|| Tls { ca_file: args.ca_file.clone(), client });
    let port = args.port.unwrap_or(if args.tls { 8883 } else { 1883 });
    let credentials = login(args.user.as_deref(), args.password_env.as_deref())?;
    Ok(Mqtt { tls, credentials, ..Mqtt::plain(host, port, &args.root) })
}

fn follow(data_dir: &Path, printer: &mut Printer) -> anyhow::Result<()> {
    let mut follower = Follower::open(data_dir)?;
    loop {
        for incident in follower.changes()? {
            printer.incident(&incident, None)?;
        }
        std::thread::sleep(STORE_PERIOD);
    }
}

fn listen(mqtt: &Mqtt, printer: &mut Printer) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let filters = watch_filters(&mqtt.root);
    runtime.block_on(async {
        // A wrong address or password is an error; a broker that goes away later is waited for.
        let mut subscription = Subscription::open(mqtt, &filters).await?;
        loop {
            match subscription.next(mqtt).await {
                Ok(message) => printer.message(&message)?,
                Err(error) => {
                    note!("{error}");
                    subscription = loop {
                        tokio::time::sleep(BROKER_PERIOD).await;
                        if let Ok(again) = Subscription::open(mqtt, &filters).await {
                            break again;
                        }
                    };
                }
            }
        }
    })
}

struct Printer {
    json: bool,
    zone: TimeZone,
    /// What was printed last for each status topic: brokers repeat retained ones.
    statuses: HashMap<String, String>,
}

impl Printer {
    fn message(&mut self, message: &Received) -> anyhow::Result<()> {
        let Received { topic, payload, .. } = message;
        let unreadable = |what: &str, error: serde_json::Error| {
            note!("{topic}: no {what}: {error}");
        };
        if topic.contains("/incidents/") {
            match serde_json::from_slice::<IncidentEvent>(payload) {
                Ok(event) => self.incident(&event.data, Some(payload))?,
                Err(error) => unreadable("incident", error),
            }
        } else if topic.contains("/cameras/") {
            if payload.is_empty() {
                return Ok(());
            }
            match serde_json::from_slice::<CameraStatus>(payload) {
                Ok(status) => self.status(topic, &camera_line(&status), payload)?,
                Err(error) => unreadable("camera status", error),
            }
        } else {
            match serde_json::from_slice::<NodeStatus>(payload) {
                Ok(status) => {
                    let state = format!("{:?}", status.state).to_lowercase();
                    let line = format!("节点 node {topic}: {state}, gridwatch {}", status.version);
                    self.status(topic, &line, payload)?;
                }
                Err(error) => unreadable("node status", error),
            }
        }
        Ok(())
    }

    fn incident(&self, incident: &Incident, payload: Option<&[u8]>) -> anyhow::Result<()> {
        if self.json {
            return match payload {
                Some(payload) => print_line(&String::from_utf8_lossy(payload)),
                None => print_line(&serde_json::to_string(incident)?),
            };
        }
        print_line(&incident_line(incident, &self.zone, None))
    }

    fn status(&mut self, topic: &str, line: &str, payload: &[u8]) -> anyhow::Result<()> {
        if self.statuses.get(topic).is_some_and(|last| last == line) {
            return Ok(());
        }
        self.statuses.insert(topic.to_owned(), line.to_owned());
        if self.json { print_line(&String::from_utf8_lossy(payload)) } else { print_line(line) }
    }
}

/// A line to standard output; foreign control characters cannot move the cursor.
fn print_line(line: &str) -> anyhow::Result<()> {
    let clean: String = line.chars().map(|c| if c.is_control() && c != '\x1b' { ' ' } else { c }).collect();
    say!("{clean}")
}

/// Time, level, kind, camera, zone, phase, description, picture (under `data_dir`, if that is known).
pub(super) fn incident_line(incident: &Incident, zone: &TimeZone, data_dir: Option<&Path>) -> String {
    let at = incident.closed_at.unwrap_or(incident.last_seen).to_zoned(zone.clone());
    let (colour, level) = match incident.level {
        Level::Blue => ("34", "蓝 blue"),
        Level::Yellow => ("33", "黄 yellow"),
        Level::Orange => ("38;5;208", "橙 orange"),
        Level::Red => ("31", "红 red"),
    };
    let phase = phase(incident);
    let Text { zh: title_zh, en: title_en } = &incident.title;
    let Text { zh, en } = &incident.description;
    let picture = incident.evidence.iter().rev().find(|e| e.kind == EvidenceKind::Snapshot);
    let full =
        |path: &str| data_dir.map_or_else(|| path.to_owned(), |dir| dir.join(path).display().to_string());
    let picture = picture.map(|e| format!(" [{}]", plain(&full(&e.path)))).unwrap_or_default();
    let (camera, place) = (plain(&incident.camera.name), plain(&incident.zone.name));
    format!(
        "{} \x1b[{colour}m{level}\x1b[0m {} {} · {camera} · {place} · {phase} · {} {}{picture}",
        at.strftime("%m-%d %H:%M:%S"),
        plain(title_zh),
        plain(title_en),
        plain(zh),
        plain(en),
    )
}

fn phase(incident: &Incident) -> String {
    let certainty = match incident.certainty {
        Certainty::Suspected => "疑似 suspected",
        Certainty::Confirmed => "确认 confirmed",
    };
    match (incident.phase, incident.closed_reason) {
        (Phase::Opened, _) => format!("新增 opened, {certainty}"),
        (Phase::Updated, _) => format!("更新 updated, {certainty}"),
        (Phase::Closed, None) => "结束 closed".into(),
        (Phase::Closed, Some(reason)) => format!(
            "结束 closed: {}",
            match reason {
                ClosedReason::Cleared => "已清除 cleared",
                ClosedReason::Instant => "瞬时事件 instant",
                ClosedReason::CameraLost => "摄像机失联 camera lost",
                ClosedReason::OutOfHours => "非监控时段 out of hours",
                ClosedReason::RuleRemoved => "规则已移除 rule removed",
                ClosedReason::Restarted => "系统重启 restarted",
                ClosedReason::FalseAlarm => "误报 false alarm",
                ClosedReason::Disarmed => "已撤防 disarmed",
            }
        ),
    }
}

fn camera_line(status: &CameraStatus) -> String {
    let state = match status.state {
        CameraState::Connecting => "连接中 connecting",
        CameraState::Online => "在线 online",
        CameraState::Stalled => "无画面 stalled",
        CameraState::AuthFailed => "认证失败 auth failed",
        CameraState::Disabled => "已停用 disabled",
    };
    let detail = status.detail.as_deref().map(|d| format!(" ({})", plain(d))).unwrap_or_default();
    format!("摄像机 camera {} {}: {state}{detail}", plain(status.camera.as_str()), plain(&status.name))
}

/// A foreign text without escape sequences.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
