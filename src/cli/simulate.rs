//! `gridwatch simulate`: RTSP cameras made from clips, with faults to order.

use std::io::BufRead;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::mpsc;

use super::login::login;
use crate::camera::Clip;
use crate::simulate::{Config, Fault, Faults, Mount, Offer, Order, Scheme, Server, Source, help};

/// Bytes of one clip, compressed: it is held in memory.
const CLIP_BYTES_MAX: usize = 1 << 30;

/// Serves clips as RTSP cameras, each looped for ever, and spoils them as told. 用录像模拟摄像机，可注入故障。
///
/// While it runs, commands are read from stdin: `cam3 stall 10`, `cam1 disconnect`, `all loss 5%`, `help`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Faults 故障, NAME[=VALUE][@DELAY][+LASTING]:\n{}", help()))]
pub struct SimulateArgs {
    /// Clips, H.264 or H.265; cameras take them in turn. 录像文件
    #[arg(required = true)]
    pub clips: Vec<PathBuf>,
    /// How many cameras, cam1 to camN [default: one per clip]. 摄像机数量
    #[arg(long)]
    pub cameras: Option<usize>,
    /// Port, 0: a free one. 端口
    #[arg(long, default_value_t = 8554)]
    pub port: u16,
    /// Loopback address to listen at. 监听地址
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub listen: IpAddr,
    /// Which transports are offered. 传输方式
    #[arg(long, value_enum, default_value_t = Transport::Any)]
    pub transport: Transport,
    /// User name that viewers need. 用户名
    #[arg(long, requires = "password_env")]
    pub user: Option<String>,
    /// Environment variable with the password. 存放密码的环境变量
    #[arg(long, requires = "user", value_name = "VAR")]
    pub password_env: Option<String>,
    /// Ask for the password in the Basic way instead of Digest. 使用 Basic 认证
    #[arg(long)]
    pub basic: bool,
    /// A fault, on one camera or all: `stall@30s+10s`, `cam2:loss=5%`; may be given several times. 故障
    #[arg(long = "fault", value_name = "[CAMERA:]FAULT")]
    pub faults: Vec<String>,
    /// All viewers see the same picture at the same time, instead of each from the clip's beginning. 所有观看者同步
    #[arg(long)]
    pub shared_clock: bool,
    /// One clock, but every camera at another place of its clip. 同一时钟，各摄像机错开
    #[arg(long)]
    pub staggered: bool,
    /// Most bytes of an RTP payload. RTP 包最大字节数
    #[arg(long, default_value_t = 1400, value_name = "BYTES")]
    pub payload_bytes_max: usize,
    /// Seconds of silence after which a viewer is dropped. 会话超时秒数
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub session_timeout_s: u64,
    /// Where all randomness comes from. 随机种子
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Which transports are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// What the viewer asks for.
    Any,
    /// Interleaved in the RTSP connection only.
    Tcp,
    /// Datagrams only.
    Udp,
}

/// Serves until `quit` or Ctrl-C.
pub fn run(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    // One thread: hundreds of cameras need less than one core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(args))
}

/// Reads a clip so that it can be played.
pub fn load(clip: &Path) -> anyhow::Result<Source> {
    let (mut units, mut bytes) = (Vec::new(), 0);
    for unit in Clip::open(clip)? {
        let unit = unit?;
        bytes += unit.data.len();
        if bytes > CLIP_BYTES_MAX {
            bail!("`{}` has more than {CLIP_BYTES_MAX} bytes of video\nhint: cut it shorter", clip.display());
        }
        units.push(unit);
    }
    let hint = "hint: `ffmpeg -i CLIP -an -c:v libx264 -g 50 OUT.mp4` makes one that plays";
    Source::new(units).with_context(|| format!("cannot play `{}`\n{hint}", clip.display()))
}

async fn serve(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    let sources = args.clips.iter().map(|clip| load(clip)).collect::<Result<Vec<_>, _>>()?;
    let clips = sources.len();
    let count = args.cameras.unwrap_or(sources.len());
    let mounts = (0..count).map(|n| {
        // Its own clip first; the fault `switch` reaches the others.
        let mut sources = sources.clone();
        sources.rotate_left(n % clips);
        Mount { path: format!("cam{}", n + 1), sources, faults: Vec::new() }
    });
    let credentials = login(args.user.as_deref(), args.password_env.as_deref())?;
    let server = Server::start(Config {
        listen: (args.listen, args.port).into(),
        mounts: mounts.collect(),
        credentials,
        scheme: if args.basic { Scheme::Basic } else { Scheme::Digest },
        offer: match args.transport {
            Transport::Any => Offer::Any,
            Transport::Tcp => Offer::Tcp,
            Transport::Udp => Offer::Udp,
        },
        payload_bytes_max: args.payload_bytes_max,
        session_timeout: Duration::from_secs(args.session_timeout_s),
        shared_clock: args.shared_clock || args.staggered,
        staggered: args.staggered,
        seed: args.seed,
    })?;
    for fault in &args.faults {
        let (camera, fault) = fault.split_once(':').unwrap_or(("all", fault));
        obey(&server, clips, &format!("{camera} {fault}"))
            .await
            .with_context(|| format!("--fault {fault}"))?;
    }
    for n in 1..=count {
        say!("rtsp://{}/cam{n}", server.address())?;
    }

    let mut lines = read_lines();
    loop {
        tokio::select! {
            line = lines.recv() => match line.as_deref().map(str::trim) {
                Some("quit" | "exit") => break,
                Some("") => {}
                Some("help") => say!("{HELP}{}", help())?,
                Some("counts") => say!("{:?}", server.counts())?,
                Some(line) => match obey(&server, clips, line).await {
                    Ok(()) => say!("ok")?,
                    Err(error) => say!("error: {error}")?,
                },
                // Stdin is closed: a service. Serve until told to stop.
                None => {
                    tokio::signal::ctrl_c().await?;
                    break;
                }
            },
            stopped = tokio::signal::ctrl_c() => {
                stopped?;
                break;
            }
        }
    }
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

const HELP: &str = "\
CAMERA FAULT [VALUE] [@DELAY] [+LASTING]   begins a fault; CAMERA is a name or `all`
CAMERA FAULT off                           ends it
CAMERA mend                                ends all faults
restart SECONDS                            closes everything, comes back after this long
counts | quit
faults:
";

/// Carries out one line.
async fn obey(server: &Server, clips: usize, line: &str) -> anyhow::Result<()> {
    let (target, order) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let order = order.trim();
    if target == "restart" {
        let stall: Order = format!("stall {order}").parse()?;
        server.restart(stall.lasting.context("`restart` needs a duration, such as `restart 10`")?).await;
        return Ok(());
    }
    let faults = match target {
        "all" => server.mounts().filter_map(|mount| server.faults(mount)).collect(),
        name => vec![server.faults(name).with_context(|| {
            format!("there is no camera `{name}`; cameras are called cam1, cam2, …, or `all`; `help` lists commands")
        })?],
    };
    if order == "mend" {
        faults.iter().for_each(Faults::mend);
        return Ok(());
    }
    let order: Order = order.parse()?;
    if let Fault::Switch(index) = order.fault
        && order.begins
        && index >= clips
    {
        bail!("there is no clip {index}; there are 0 (its own) to {}", clips - 1);
    }
    for faults in &faults {
        order.give(faults);
    }
    Ok(())
}

/// Lines of stdin, read on a thread of their own since they block; a few wait when they come faster than they are obeyed.
fn read_lines() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::frame::{AccessUnit, Captured, Clock, Codec};

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        simulate: SimulateArgs,
    }

    #[test]
    fn arguments_have_defaults_and_a_password_needs_its_user() {
        let parse =
            |text: &str| Arguments::try_parse_from(text.split(' ')).map(|arguments| arguments.simulate);
        let args = parse("simulate a.mp4 b.mp4").unwrap();
        assert_eq!((args.clips.len(), args.cameras, args.port), (2, None, 8554));
        assert_eq!((args.transport, args.listen.is_loopback()), (Transport::Any, true));
        let args =
            parse("simulate a.mp4 --fault stall@30s+10s --fault cam2:loss=5% --transport udp").unwrap();
        assert_eq!((args.faults.len(), args.transport), (2, Transport::Udp));
        assert!(parse("simulate").is_err());
        assert!(parse("simulate a.mp4 --user admin").is_err());
    }

    #[tokio::test]
    async fn lines_are_obeyed_or_say_why_not() {
        let unit = AccessUnit {
            captured: Captured {
                wall: jiff::Timestamp::UNIX_EPOCH,
                media: Duration::ZERO,
                clock: Clock::File,
            },
            codec: Codec::H264,
            key: true,
            after_loss: false,
            data: [0, 0, 1, 0x65, 1].into(),
            pts_90k: 0,
        };
        let source = Source::new(vec![unit]).unwrap();
        let mounts = ["cam1", "cam2"].map(|name| Mount::new(name, source.clone())).to_vec();
        let server = Server::start(Config { mounts, ..Config::default() }).unwrap();
        let check = async |line: &str, expected: &str| {
            let said = obey(&server, 1, line).await.map_or_else(|error| error.to_string(), |()| "ok".into());
            assert_eq!(said, expected, "{line}");
        };
        check("cam2 stall 10", "ok").await;
        check("cam1 disconnect", "ok").await;
        check("all loss 5%", "ok").await;
        check("all loss=5%@30s+10s", "ok").await;
        check("cam1 loss off", "ok").await;
        check("all mend", "ok").await;
        check("restart 0.1", "ok").await;
        check(
            "cam3 stall",
            "there is no camera `cam3`; cameras are called cam1, cam2, …, or `all`; `help` lists commands",
        )
        .await;
        check("cam1", "no fault is named").await;
        check("cam1 sleep", "there is no fault `sleep`").await;
        check("cam1 switch 1", "there is no clip 1; there are 0 (its own) to 0").await;
        check("restart", "`restart` needs a duration, such as `restart 10`").await;
        server.stop().await;
    }
}
