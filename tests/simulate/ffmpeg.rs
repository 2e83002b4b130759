//! FFmpeg's own RTSP client as the viewer.

use std::process::{Command, Output, Stdio};

use gridwatch::config::{Credentials, Secret};
use gridwatch::frame::Codec;
use gridwatch::simulate::{Config, Fault, Mount, Scheme, Server, Source};

use crate::clip::{installed, test_picture};

/// Runs a program, at most 30 s.
async fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["30", program]).args(arguments).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("runs")
}

fn server(codec: Codec, config: impl FnOnce(&mut Config)) -> Option<Server> {
    let mut settings = Config {
        mounts: vec![Mount::new("cam1", Source::new(test_picture(codec, "320x240")?).unwrap())],
        ..Config::default()
    };
    config(&mut settings);
    Some(Server::start(settings).unwrap())
}

/// What `ffmpeg` sees: seconds and errors of three rounds of the clip decoded.
async fn check_plays(codec: Codec, transport: &str, config: impl FnOnce(&mut Config)) {
    let Some(server) = server(codec, config) else { return };
    let url = server.url("cam1").unwrap().to_string();
    let frames = "110"; // Two seams.
    let output = run(
        "ffmpeg",
        &[
            "-v",
            "warning",
            "-rtsp_transport",
            transport,
            "-i",
            &url,
            "-an",
            "-dn",
            "-frames:v",
            frames,
            "-f",
            "framemd5",
            "-",
        ],
    )
    .await;
    let (seen, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Vec<&str>> = seen
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(',').map(str::trim).collect())
        .collect();
    assert_eq!(lines.len(), 110, "{codec:?} over {transport}: {said}");
    // The same pictures come again after 50, 40 ms apart: nothing is lost at the seam, and time goes on.
    for n in 0..50 {
        assert_eq!(lines[n][5], lines[n + 50][5], "{codec:?} over {transport}: picture {n}: {said}");
    }
    assert!(!said.contains("Error") && !said.contains("error"), "{codec:?} over {transport}: {said}");
    server.stop().await;
}

#[tokio::test]
async fn h264_and_h265_play_over_tcp_and_udp() {
    tokio::join!(
        check_plays(Codec::H264, "tcp", |_| {}),
        check_plays(Codec::H264, "udp", |config| config.payload_bytes_max = 500),
        check_plays(Codec::H265, "tcp", |_| {}),
        check_plays(Codec::H265, "udp", |_| {}),
    );
}

#[tokio::test]
async fn a_camera_with_every_harmless_oddity_plays() {
    let odd = |config: &mut Config| {
        config.mounts[0].faults = vec![Fault::NoSprop, Fault::Audio, Fault::Metadata, Fault::NoRtcp];
    };
    tokio::join!(check_plays(Codec::H264, "tcp", odd), check_plays(Codec::H265, "udp", odd));
}

#[tokio::test]
async fn only_the_right_password_sees_pictures() {
    if !installed("ffprobe") {
        return;
    }
    for scheme in [Scheme::Basic, Scheme::Digest] {
        let Some(server) = server(Codec::H264, |config| {
            config.credentials =
                Some(Credentials { username: "admin".into(), password: Secret::new("s3cret") });
            config.scheme = scheme;
        }) else {
            return;
        };
        let probe = async |password: &str| {
            let mut url = server.url("cam1").unwrap();
            url.set_username("admin").unwrap();
            url.set_password(Some(password)).unwrap();
            let arguments = [
                "-v",
                "error",
                "-rtsp_transport",
                "tcp",
                "-show_entries",
                "stream=codec_name,width,height",
                "-of",
                "csv",
                url.as_str(),
            ];
            let output = run("ffprobe", &arguments).await;
            (
                String::from_utf8_lossy(&output.stdout).trim().to_owned(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )
        };
        assert_eq!(probe("s3cret").await.0, "stream,h264,320,240", "{scheme:?}");
        assert!(probe("wrong").await.1.contains("401"), "{scheme:?}");
        server.faults("cam1").unwrap().begin(Fault::Unauthorized);
        assert!(probe("s3cret").await.1.contains("401"), "{scheme:?}");
        server.faults("cam1").unwrap().mend();
        assert_eq!(probe("s3cret").await.0, "stream,h264,320,240", "{scheme:?}");
        server.stop().await;
    }
}
