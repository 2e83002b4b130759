//! `gridwatch evidence`: pictures and clips on this box, and the register of who looked at them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::Timestamp;

use crate::config;
use crate::evidence::register::{Chain, Deal, Deed, Entry, RegisterError};
use crate::evidence::{Archive, Register};
use crate::store::Follower;

/// Evidence on this box, and who looked at it.
#[derive(Debug, clap::Subcommand)]
pub enum EvidenceCommand {
    /// Copy the evidence of an incident, or one piece, and enter who looked at it and why. 调阅证据（登记）。
    Show(ShowArgs),
    /// Print who looked at what and what was deleted, and whether every line is as it was written. 查看登记簿并校验。
    Register(RegisterArgs),
}

/// Arguments of `gridwatch evidence show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The incident's id, or the SHA-256 of one piece (its first eight digits or more). 事件编号或证据摘要
    what: String,
    /// Why you need it; entered into the register. 调阅事由
    #[arg(long)]
    why: String,
    /// The folder into which it is copied. 复制到
    #[arg(long, default_value = ".", value_name = "DIR")]
    to: PathBuf,
    /// The config file of this box. 配置文件
    #[arg(long, short, default_value = "/etc/gridwatch/gridwatch.toml")]
    config: PathBuf,
}

/// Arguments of `gridwatch evidence register`.
#[derive(Debug, clap::Args)]
pub struct RegisterArgs {
    /// A head that was noted earlier: fails if it is not in the chain any more. 核对此前抄录的摘要
    #[arg(long, value_name = "SHA256")]
    head: Option<String>,
    /// As JSON, a line per entry. 输出 JSON
    #[arg(long)]
    json: bool,
    /// The config file of this box. 配置文件
    #[arg(long, short, default_value = "/etc/gridwatch/gridwatch.toml")]
    config: PathBuf,
}

/// Runs the command.
pub fn run(command: EvidenceCommand) -> anyhow::Result<ExitCode> {
    match command {
        EvidenceCommand::Show(args) => show(&args).map(|()| ExitCode::SUCCESS),
        EvidenceCommand::Register(args) => register(&args),
    }
}

/// Nothing is shown that was not entered before.
fn show(args: &ShowArgs) -> anyhow::Result<()> {
    if args.why.trim().is_empty() {
        bail!("`--why` is empty: say why you need it, for example `--why \"case 2026-118\"`");
    }
    let data_dir = config::load(&args.config)?.config.node.data_dir;
    let paths = pieces(&data_dir, &args.what)?;
    let register = Register::open(&data_dir).context(FORBIDDEN)?;
    let (there, gone): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| data_dir.join(path).is_file());
    for path in &gone {
        note!("deleted already 已删除: {path}");
    }
    let (who, why) = (user(), args.why.trim().chars().take(500).collect::<String>());
    let deal =
        |path: &String| Deal { who: who.clone(), did: Deed::Shown, path: path.clone(), why: why.clone() };
    register.enter(&there.iter().map(deal).collect::<Vec<_>>(), Timestamp::now()).context(FORBIDDEN)?;
    for path in &there {
        let name = Path::new(path).file_name().context("a file has a name")?;
        let to = args.to.join(name);
        std::fs::copy(data_dir.join(path), &to)
            .with_context(|| format!("cannot copy `{path}` to `{}`", to.display()))?;
        say!("{}", to.display())?;
    }
    if there.is_empty() {
        bail!("nothing of `{}` is kept any more", args.what);
    }
    Ok(())
}

const FORBIDDEN: &str = "cannot enter this into the register, so nothing is shown\nhint: `sudo -u gridwatch gridwatch evidence show …`";

/// The paths of an incident's evidence, or that of one piece, under the data directory.
fn pieces(data_dir: &Path, what: &str) -> anyhow::Result<Vec<String>> {
    if let Ok(id) = what.parse() {
        let incident = Follower::open(data_dir)?.incident(id)?;
        let incident = incident.with_context(|| format!("no incident {id} in the store of this box"))?;
        return Ok(incident.evidence.into_iter().map(|piece| piece.path).collect());
    }
    if what.len() < 8 || !what.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("`{what}` is neither the id of an incident nor eight or more digits of a SHA-256");
    }
    let found = Archive::find(data_dir, &what.to_lowercase())?;
    Ok(vec![found.with_context(|| format!("no piece of evidence, or several, begin with `{what}`"))?])
}

fn register(args: &RegisterArgs) -> anyhow::Result<ExitCode> {
    let data_dir = config::load(&args.config)?.config.node.data_dir;
    let mut known = args.head.is_none();
    let mut said = Ok(());
    let each = |entry: Entry, head: &str| {
        known |= args.head.as_deref() == Some(head);
        if said.is_ok() {
            said = if args.json {
                say!("{}", serde_json::to_string(&entry).unwrap_or_default())
            } else {
                say!("{}", line(&entry))
            };
        }
    };
    let Chain { first, last, head, torn } = match Register::open(&data_dir)?.read(each) {
        Ok(chain) => chain,
        Err(error @ RegisterError::Broken { .. }) => {
            note!("! {error}\n! 登记簿被改动过 it was changed after it was written");
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(error.into()),
    };
    said?;
    if last == 0 {
        note!("no entries yet 尚无登记");
    } else {
        note!("whole 完整: entries {first} to {last}, head {head}");
    }
    for place in torn {
        note!("torn by a power cut 断电残行: {place}");
    }
    if !known {
        note!(
            "! the head that was noted is not in the chain 抄录的摘要不在链上: it was cut off or written anew"
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn line(entry: &Entry) -> String {
    let Entry { number, at, who, did, path, why, .. } = entry;
    let did = match did {
        Deed::Shown => "shown 调阅",
        Deed::Sent => "sent 上传",
        Deed::Deleted => "deleted 删除",
    };
    format!("{number:6} {} {who:16} {did:12} {path} {why}", at.strftime("%F %T UTC"))
}

/// Who runs this, as far as the system knows; with `sudo` also who called it.
fn user() -> String {
    use std::os::unix::fs::MetadataExt;
    let uid = std::fs::metadata("/proc/self").map_or(u32::MAX, |about| about.uid());
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    let name = name.unwrap_or_else(|| format!("uid {uid}"));
    match std::env::var("SUDO_USER") {
        Ok(caller) if caller != name => format!("{caller} as {name}"),
        _ => name,
    }
}
