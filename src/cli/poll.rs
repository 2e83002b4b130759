//! `gridwatch poll`: asks a running node, through the broker, for one picture of each camera of a group.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, timeout_at};

use crate::config;
use crate::dispatch::Subscription;
use crate::event::command::CommandName;
use crate::event::topic::Topics;
use crate::event::{PollCommand, PollReply};

/// Ask a running node for one picture of each camera of a group, or of those named.
/// 一键轮询：向运行中的节点要一组摄像机的实时画面。
#[derive(Debug, clap::Args)]
pub struct PollArgs {
    /// The node's config: names it and its broker. 配置文件
    #[arg(long, value_name = "FILE", default_value = "/etc/gridwatch/gridwatch.toml")]
    config: PathBuf,
    /// All cameras of this group. 分组
    #[arg(long, conflicts_with = "cameras", required_unless_present = "cameras")]
    group: Option<String>,
    /// These cameras. 摄像机编号
    cameras: Vec<String>,
}

/// A poll ends within half a minute after its turn has come; four others may be before it.
const PATIENCE: Duration = Duration::from_secs(150);

/// Prints each reply as one line of JSON; exit code 0 if every camera gave a picture.
pub fn run(args: PollArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(&args.config)?.config;
    let Some(mqtt) = &config.mqtt else { bail!("the config has no [mqtt]: polls go through the broker") };
    let topics = Topics::new(&mqtt.root, &config.node.site, &config.node.id)?;
    let id = format!("{:016x}", fastrand::u64(..));
    let cameras = args.cameras.iter().map(|id| id.as_str().into()).collect();
    let cameras = args.group.is_none().then_some(cameras);
    let command = serde_json::to_vec(&PollCommand { id: id.clone(), group: args.group, cameras })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut replies = Subscription::open(mqtt, &[topics.reply(CommandName::Poll)]).await?;
        replies.publish(mqtt, topics.command(CommandName::Poll), command).await?;
        let until = Instant::now() + PATIENCE;
        loop {
            let message = timeout_at(until, replies.next(mqtt)).await;
            let message =
                message.context("no answer: is the node running and connected to this broker?")??;
            let Ok(reply) = serde_json::from_slice::<PollReply>(&message.payload) else { continue };
            let of = match &reply {
                PollReply::Picture(picture) => &picture.id,
                PollReply::Missing(missing) => &missing.id,
                PollReply::Done(done) => &done.id,
                PollReply::Refused(refused) => refused.id.as_ref().unwrap_or(&id),
            };
            if *of != id {
                continue;
            }
            say!("{}", serde_json::to_string(&reply)?)?;
            match reply {
                PollReply::Done(done) if done.missing == 0 => return Ok(ExitCode::SUCCESS),
                PollReply::Done(_) | PollReply::Refused(_) => return Ok(ExitCode::FAILURE),
                PollReply::Picture(_) | PollReply::Missing(_) => {}
            }
        }
    })
}
