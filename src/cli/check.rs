//! `gridwatch check`: what is wrong in the config, and what would run.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::config::{self, Config, ConfigError, Problem, Severity};

/// Reads the config and everything it names, and lists every problem with its place and a hint. 检查配置文件。
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The config file. 配置文件
    #[arg(default_value = "/etc/gridwatch/gridwatch.toml")]
    pub config: PathBuf,
    /// Print one JSON document instead of text. 输出 JSON
    #[arg(long, conflicts_with = "online")]
    pub json: bool,
    /// Also try every model, camera and the broker, and print how it went. 同时测试模型、摄像机和消息服务器
    #[arg(long)]
    pub online: bool,
}

/// Prints every problem and a summary; exit code 0 without errors, 1 if cameras or settings are wrong or do not answer, 2 if nothing would start.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let result = config::load(&args.config);
    let (config, problems) = match &result {
        Ok(loaded) => (Some(&loaded.config), &loaded.problems[..]),
        Err(ConfigError::Invalid(problems)) => (None, &problems[..]),
        Err(error @ ConfigError::Unreadable { .. }) => anyhow::bail!("{error}"),
    };
    if args.json {
        say!("{}", serde_json::to_string_pretty(&as_json(config, problems))?)?;
    } else {
        for problem in problems {
            say!("{problem}")?;
        }
        say!("{}", summary(config, problems))?;
    }
    let mut errors = problems.iter().any(|p| p.severity == Severity::Error);
    if let (true, Some(config)) = (args.online, config) {
        errors |= !super::online::run(config)?;
    }
    Ok(ExitCode::from(match (config, errors) {
        (None, _) => 2,
        (Some(_), true) => 1,
        (Some(_), false) => 0,
    }))
}

/// One line for the operator: how bad it is, and what would run.
fn summary(config: Option<&Config>, problems: &[Problem]) -> String {
    let count = |severity| problems.iter().filter(|p| p.severity == severity).count();
    let found = format!(
        "{}, {}",
        plural(count(Severity::Error), "error"),
        plural(count(Severity::Warning), "warning")
    );
    let Some(config) = config else {
        return format!("{found}: gridwatch does not start with this config");
    };
    let zones: usize = config.cameras.iter().map(|camera| camera.zones.len()).sum();
    let cameras = plural(config.cameras.len(), "camera");
    let zones = plural(zones, "zone");
    let run = if config.cameras.len() == 1 { "runs" } else { "run" };
    let mut text = format!(
        "{found}: {cameras} {run} with {zones}, {} disabled (revision {})",
        config.disabled.len(),
        config.revision
    );
    if config.mqtt.is_none() {
        text += "\nno [mqtt]: incidents stay on this box";
    }
    text
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn as_json(config: Option<&Config>, problems: &[Problem]) -> serde_json::Value {
    let running = config.map(|config| {
        let cameras: Vec<_> = config.cameras.iter().map(|camera| &camera.id).collect();
        let disabled: Vec<_> = config
            .disabled
            .iter()
            .map(|camera| json!({"id": camera.id, "name": camera.name, "problems": camera.problems}))
            .collect();
        json!({"revision": config.revision, "cameras": cameras, "disabled": disabled, "mqtt": config.mqtt.is_some()})
    });
    json!({"problems": problems, "config": running})
}
