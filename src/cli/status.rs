//! `gridwatch status`: one screen on how a running gridwatch is.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use jiff::Timestamp;

use super::console::print;
use crate::daemon::{CameraLoad, DisabledCamera, Status, status_file};
use crate::frame::CameraState;
use crate::store::Precision;

/// A status older than this is of a gridwatch that no longer runs, in seconds.
const OLD_S: f64 = 30.0;

/// Arguments of `gridwatch status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// The config file of the running gridwatch. 配置文件。
    #[arg(long, short, default_value = "/etc/gridwatch/gridwatch.toml")]
    config: PathBuf,
    /// All cameras, not only those that deserve a look. 列出全部摄像机
    #[arg(long)]
    all: bool,
    /// As JSON, for programs. 输出 JSON
    #[arg(long)]
    json: bool,
}

/// Prints the status; fails if there is none, or only an old one.
pub fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let loaded = crate::config::load(&args.config)?;
    let file = status_file(&loaded.config.node.data_dir);
    let hint = "hint: is gridwatch running with this config? `systemctl status gridwatch` tells";
    let bytes = std::fs::read(&file).with_context(|| format!("no status in `{}`\n{hint}", file.display()))?;
    if args.json {
        say!("{}", String::from_utf8_lossy(&bytes))?;
        return Ok(ExitCode::SUCCESS);
    }
    let status: Status = serde_json::from_slice(&bytes)
        .with_context(|| format!("`{}` is of another version of gridwatch", file.display()))?;
    let age_s = Timestamp::now().duration_since(status.written).as_secs_f64();
    print(format_args!("{}", screen(&status, args.all)))?;
    if age_s > OLD_S {
        say!("\n! this is {age_s:.0} s old: gridwatch does not run any more 状态已过期，程序可能已停止")?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The whole screen.
fn screen(status: &Status, all: bool) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    let Status { figures, outbox, .. } = status;
    let running_s = status.written.duration_since(figures.started).as_secs();
    let online = figures.cameras.iter().filter(|c| c.state == CameraState::Online).count();
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let _ = writeln!(
        out,
        "gridwatch {}, running 运行 {} h {} min, config 配置 {}",
        status.version,
        running_s / 3600,
        running_s / 60 % 60,
        status.config_revision
    );
    let _ = writeln!(out, "cameras 摄像机     {online} of {} online", figures.cameras.len());
    let _ = writeln!(out, "within need 达标   {:.1} %", 100.0 * figures.within_need);
    let _ = writeln!(
        out,
        "cores 处理器       {:.2} used 已用, {:.1} to be had 可用",
        figures.cores_used, figures.cores
    );
    let _ = writeln!(
        out,
        "memory 内存        {:.0} MB, of it 其中 {:.0} MB compressed video 压缩视频",
        megabytes(figures.resident_bytes),
        megabytes(figures.ring_bytes)
    );
    let broker = match &status.broker {
        None => "no broker 未配置平台",
        Some(broker) if broker.connected => "connected 已连接",
        Some(_) => "NOT CONNECTED 未连接",
    };
    let _ = writeln!(
        out,
        "platform 平台      {broker}, {} messages waiting 待发 ({:.1} MB, oldest 最早 {:.0} s)",
        outbox.rows,
        megabytes(outbox.bytes),
        outbox.oldest_s
    );
    if outbox.statements_gave_way > 0 {
        let _ = writeln!(out, "LOST 丢失          {} statements: outbox full", outbox.statements_gave_way);
    }
    if figures.stretch_idle > 1.0 || figures.stretch_urgent > 1.0 {
        let _ = writeln!(
            out,
            "OVERLOAD 过载      quiet cameras looked at {:.1} times as rarely as wanted, others {:.1} times{}",
            figures.stretch_idle,
            figures.stretch_urgent,
            if figures.overloaded { "; pictures are lost" } else { "" }
        );
    }
    let deserves = |c: &&CameraLoad| all || !c.within_need || c.urgent || c.state != CameraState::Online;
    let shown: Vec<&CameraLoad> = figures.cameras.iter().filter(deserves).collect();
    if !shown.is_empty() {
        let _ = writeln!(
            out,
            "\n{:24} {:12} {:>8} {:>8} {:>7} {:>9} {:>9} {:>9}",
            "camera", "state", "stale s", "wanted s", "cores", "received", "decoded", "looked at"
        );
    }
    let seconds = |s: Option<f64>| s.map_or_else(|| "-".to_owned(), |s| format!("{s:.1}"));
    for c in shown {
        let mark = if c.urgent { '*' } else { ' ' };
        let _ = writeln!(
            out,
            "{:24}{mark}{:12} {:>8} {:>8} {:>7.3} {:>9} {:>9} {:>9}",
            c.camera.as_str(),
            format!("{:?}", c.state).to_lowercase(),
            seconds(c.stale_s),
            seconds(c.every_s),
            c.cores,
            c.counts.units,
            c.counts.decoded,
            c.counts.looked
        );
    }
    for camera in &figures.cameras {
        for fault in &camera.faults {
            let title = fault.title();
            let _ = writeln!(out, "\n! {} {} {}", camera.camera, title.zh, title.en);
        }
    }
    for DisabledCamera { camera, reason } in &status.disabled {
        let _ = writeln!(out, "\n! {camera} is disabled 已停用: {reason}");
    }
    let judged: Vec<_> = status.precision.iter().filter(|zone| zone.wrong > 0).collect();
    if !judged.is_empty() {
        let _ = writeln!(out, "\nfalse alarms by the platform's verdicts 误报（近 30 天）");
    }
    for zone in judged {
        let Precision { camera, zone, kind, right, wrong } = zone;
        let (camera, zone) = (camera.as_str(), &zone.0);
        let _ = writeln!(out, "{camera:24} {zone:12} {kind:16} {wrong} of {}", right + wrong);
    }
    if !status.latest.is_empty() {
        let _ = writeln!(out, "\nincidents 事件      {} open 未结束", status.incidents_open);
    }
    for incident in &status.latest {
        let _ = writeln!(
            out,
            "{:24} {:12} {:16} {:8} since {}, {:.0} s",
            incident.camera.as_str(),
            incident.zone.0,
            incident.kind,
            format!("{:?}", incident.phase).to_lowercase(),
            incident.first_seen.strftime("%F %T UTC"),
            incident.dwell_s
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Level;
    use crate::daemon::{Counts, Figures, LatestIncident, Outbox};
    use crate::dispatch::DispatchStats;
    use crate::event::Phase;
    use crate::health::Check;
    use crate::sampler::activity::Standing;

    #[test]
    fn the_screen_shows_who_deserves_a_look() {
        let camera = |id: &str, within_need, state| CameraLoad {
            camera: id.into(),
            state,
            stale_s: Some(3.2),
            every_s: Some(2.0),
            urgent: false,
            within_need,
            cores: 0.012,
            ring_bytes: 1_000_000,
            packet_gate: Standing::New,
            counts: Counts { units: 250, decoded: 5, looked: 5, ..Counts::default() },
            faults: if id == "gate-2" { vec![Check::Moved] } else { Vec::new() },
            disconnects: 0,
            packets_lost: 0,
        };
        let written: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let figures = Figures {
            started: "2026-11-22T10:30:00Z".parse().unwrap(),
            cores: 2.0,
            cores_used: 0.4,
            resident_bytes: 40_000_000,
            ring_bytes: 3_000_000,
            stretch_idle: 2.0,
            stretch_urgent: 1.0,
            overloaded: false,
            within_need: 2.0 / 3.0,
            cameras: vec![
                camera("gate-1", true, CameraState::Online),
                camera("gate-2", false, CameraState::Online),
                camera("gate-3", true, CameraState::Stalled),
            ],
        };
        let status = Status {
            version: "0.1.0".into(),
            written,
            config_revision: "a1b2c3".into(),
            figures,
            queue: 0,
            disabled: vec![DisabledCamera { camera: "gate-4".into(), reason: "no `url`".into() }],
            outbox: Outbox { rows: 12, bytes: 2_400_000, oldest_s: 61.0, ..Outbox::default() },
            broker: Some(DispatchStats::default()),
            precision: vec![Precision {
                camera: "gate-1".into(),
                zone: "lane".into(),
                kind: "fire_lane".into(),
                right: 7,
                wrong: 1,
            }],
            incidents_open: 1,
            latest: vec![LatestIncident {
                camera: "gate-1".into(),
                zone: "lane".into(),
                kind: "fire_lane".into(),
                level: Level::Orange,
                phase: Phase::Opened,
                first_seen: "2026-11-22T11:50:00Z".parse().unwrap(),
                dwell_s: 600.0,
            }],
        };
        insta::assert_snapshot!(screen(&status, false), @r"
        gridwatch 0.1.0, running 运行 1 h 30 min, config 配置 a1b2c3
        cameras 摄像机     2 of 3 online
        within need 达标   66.7 %
        cores 处理器       0.40 used 已用, 2.0 to be had 可用
        memory 内存        40 MB, of it 其中 3 MB compressed video 压缩视频
        platform 平台      NOT CONNECTED 未连接, 12 messages waiting 待发 (2.4 MB, oldest 最早 61 s)
        OVERLOAD 过载      quiet cameras looked at 2.0 times as rarely as wanted, others 1.0 times

        camera                   state         stale s wanted s   cores  received   decoded looked at
        gate-2                   online            3.2      2.0   0.012       250         5         5
        gate-3                   stalled           3.2      2.0   0.012       250         5         5

        ! gate-2 画面移位 camera moved

        ! gate-4 is disabled 已停用: no `url`

        false alarms by the platform's verdicts 误报（近 30 天）
        gate-1                   lane         fire_lane        1 of 8

        incidents 事件      1 open 未结束
        gate-1                   lane         fire_lane        opened   since 2026-11-22 11:50:00 UTC, 600 s
        ");
    }
}
