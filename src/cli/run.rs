//! `gridwatch run`: watch the cameras of a config until stopped.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::daemon::ConfigFile;

/// Arguments of `gridwatch run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The config file. 配置文件。
    #[arg(long, short, default_value = "/etc/gridwatch/gridwatch.toml")]
    config: PathBuf,
}

/// Runs the daemon until SIGINT or SIGTERM; a second signal stops at once.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let loaded = crate::config::load(&args.config)?;
    for problem in &loaded.problems {
        note!("{problem}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1) // Whatever has work to do has threads of its own.
        .enable_all()
        .build()
        .context("cannot start the main thread")?;
    let summary = runtime.block_on(async {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (ask, asked) = tokio::sync::mpsc::channel(1);
        tokio::spawn(signals(stop));
        tokio::spawn(hangups(ask));
        let file = ConfigFile::new(args.config.clone(), &loaded.files, asked);
        crate::daemon::run(loaded.config, Some(file), stopped).await
    })?;
    tracing::info!("stopped: {summary}");
    Ok(ExitCode::SUCCESS)
}

/// SIGHUP: read the config anew. Two at once are one.
async fn hangups(ask: tokio::sync::mpsc::Sender<()>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        let _ = ask.try_send(());
    }
}

/// First signal: stop in order. Second signal: stop now.
async fn signals(stop: tokio::sync::watch::Sender<bool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::error!("cannot listen to signals; stop this process with SIGKILL");
        return;
    };
    for nth in 0.. {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if nth > 0 {
            tracing::warn!("second signal: stopping at once");
            std::process::exit(130);
        }
        tracing::info!("stopping: delivering what is left (a second signal stops at once)");
        let _ = stop.send(true);
    }
}
