//! The camera stage against RTSP servers that other people wrote: GStreamer's and VLC.
//!
//! Each test skips, with the reason printed, where its peer is not installed (Debian: `gir1.2-gst-rtsp-server-1.0`,
//! `python3-gi`, `gstreamer1.0-plugins-ugly`, `gstreamer1.0-plugins-bad`; `vlc-bin`, `vlc-plugin-base`).

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use gridwatch::camera::{self, Counters, Message};
use gridwatch::config::Transport::{self, Tcp, Udp};
use gridwatch::config::{Camera, Credentials, Secret};
use gridwatch::decode::{Decoder, KeyDecoder};
use gridwatch::frame::Codec::{self, H264, H265, Mjpeg};
use gridwatch::frame::{AccessUnit, CameraState, Clock};
use tokio::sync::{mpsc, watch};

/// Long enough for a busy machine; nothing here is a measurement.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of somebody else's, ended with this value.
struct Peer {
    child: Child,
    port: u16,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts GStreamer's server; `None`, with the reason printed, if it is not here.
fn gstreamer(arguments: &[&str]) -> Option<Peer> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/gst_rtsp.py");
    // Debian's own Python: the bindings are installed for no other.
    let started = Command::new("/usr/bin/python3")
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: no /usr/bin/python3 ({error})");
            return None;
        }
    };
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut peer = Peer { child, port: 0 };
    match line.trim().split_once(' ') {
        Some(("ready", port)) => peer.port = port.parse().unwrap(),
        Some(("skip", reason)) => {
            println!("skipped: {reason}");
            return None;
        }
        _ => panic!("the server says {line:?}"),
    }
    Some(peer)
}

fn camera(port: u16, path: &str, transport: Transport, credentials: Option<(&str, &str)>) -> Camera {
    let credentials = credentials.map(|(username, password)| Credentials {
        username: username.into(),
        password: Secret::new(password),
    });
    let url = format!("rtsp://127.0.0.1:{port}/{path}").parse().unwrap();
    Camera { credentials, transport, ring_bytes_max: 1 << 20, stall_s: 10.0, ..Camera::plain("peer", url) }
}

/// A camera that is being received.
struct Receiving {
    messages: mpsc::Receiver<Message>,
    counters: Arc<Counters>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiving {
    fn start(camera: Camera, queue: usize) -> Self {
        let (out, messages) = mpsc::channel(queue);
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::new(Counters::default());
        let task = tokio::spawn(camera::run(Arc::new(camera), out, counters.clone(), stopped));
        Self { messages, counters, stop, task }
    }

    async fn next(&mut self) -> Message {
        let message = tokio::time::timeout(PATIENCE, self.messages.recv()).await;
        message.expect("nothing more within a minute").expect("the camera's task ended")
    }

    /// The next units, with the states on the way.
    async fn units(&mut self, count: usize) -> (Vec<AccessUnit>, Vec<CameraState>) {
        let (mut units, mut states) = (Vec::new(), Vec::new());
        while units.len() < count {
            match self.next().await {
                Message::Unit(unit) => units.push(unit),
                Message::State { state, .. } => states.push(state),
            }
        }
        (units, states)
    }

    /// Waits for a state and gives its detail.
    async fn state(&mut self, wanted: CameraState) -> Option<String> {
        loop {
            if let Message::State { state, detail } = self.next().await
                && state == wanted
            {
                return detail;
            }
        }
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops when asked").unwrap();
    }
}

/// Every unit decodes: key pictures alone, and the stream as a whole.
fn assert_decodable(units: &[AccessUnit], codec: Codec, what: &str) {
    assert!(units[0].key, "{what}: nothing comes before the first key picture");
    let (mut decoder, mut keys) = (Decoder::new(codec).unwrap(), KeyDecoder::new());
    let mut pictures = Vec::new();
    for unit in units {
        assert_eq!(unit.codec, codec, "{what}");
        if unit.key {
            let picture = keys.decode(unit).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!((picture.width, picture.height), (320, 240), "{what}");
        }
        pictures.extend(decoder.decode(unit).unwrap_or_else(|error| panic!("{what}: {error}")));
    }
    pictures.extend(decoder.finish().unwrap());
    let times: Vec<_> = pictures.iter().map(|picture| picture.captured.media).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{what}: {times:?}");
    // A loss on the way costs pictures up to the next key picture, no more.
    let lossless = units.iter().skip(1).all(|unit| !unit.after_loss);
    assert!(!lossless || pictures.len() == units.len(), "{what}: {} of {}", pictures.len(), units.len());
    let span = times[times.len() - 1].as_secs_f64() - times[0].as_secs_f64();
    let expected = (times.len() - 1) as f64 / 15.0;
    assert!(
        !lossless || (span - expected).abs() < 0.3 * expected + 0.2,
        "{what}: {span} s, not {expected} s"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_plays_in_every_way() {
    const PASSWORD: &str = "geheim-123";
    let login = Some(("viewer", PASSWORD));
    let basic = ["--auth", "basic", "--username", "viewer", "--password", PASSWORD];
    let digest = ["--auth", "digest", "--username", "viewer", "--password", PASSWORD];
    let check = async |arguments: &[&str], codec, transport, credentials| {
        let what = format!("{arguments:?} over {transport:?}");
        let Some(peer) = gstreamer(arguments) else { return };
        let mut receiving = Receiving::start(camera(peer.port, "cam", transport, credentials), 256);
        let (units, states) = receiving.units(40).await;
        assert_eq!(states, [CameraState::Connecting, CameraState::Online], "{what}");
        assert_decodable(&units, codec, &what);
        assert!(receiving.counters.units.load(Relaxed) >= 40);
        let by_report = units.iter().filter(|unit| unit.captured.clock == Clock::Rtcp).count();
        println!("{what}: 40 units, {by_report} with the sender's clock");
        receiving.stop().await;
    };
    check(&[], H264, Tcp, None).await;
    check(&[], H264, Udp, None).await;
    check(&["--codec", "h265"], H265, Tcp, None).await;
    check(&["--codec", "h265"], H265, Udp, None).await;
    check(&["--codec", "jpeg"], Mjpeg, Tcp, None).await;
    check(&basic, H264, Tcp, login).await;
    check(&digest, H264, Tcp, login).await;
    check(&digest, H264, Udp, login).await;
    check(&["--audio"], H264, Tcp, None).await;
    check(&["--audio"], H264, Udp, None).await;
    check(&["--b-frames", "3"], H264, Tcp, None).await;
}

#[tokio::test]
async fn a_refused_password_is_said_once_and_not_tried_again_soon() {
    const WRONG: &str = "not-the-password";
    for scheme in ["basic", "digest"] {
        let arguments = ["--auth", scheme, "--username", "viewer", "--password", "right"];
        let Some(peer) = gstreamer(&arguments) else { return };
        for credentials in [Some(("viewer", WRONG)), None] {
            let mut receiving = Receiving::start(camera(peer.port, "cam", Tcp, credentials), 8);
            let detail = receiving.state(CameraState::AuthFailed).await.unwrap();
            assert!(!detail.contains(WRONG), "{detail}");
            assert!(detail.contains("401"), "{detail}");
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert_eq!(receiving.counters.failed_attempts.load(Relaxed), 1);
            receiving.stop().await;
        }
    }
}

#[tokio::test]
async fn a_camera_is_back_soon_after_its_server() {
    let Some(peer) = gstreamer(&[]) else { return };
    let port = peer.port.to_string();
    let mut receiving = Receiving::start(camera(peer.port, "cam", Tcp, None), 256);
    let (before, _) = receiving.units(20).await;
    drop(peer);
    receiving.state(CameraState::Connecting).await;
    // Long enough for the delays to reach their longest.
    tokio::time::sleep(Duration::from_secs(9)).await;
    let Some(_peer) = gstreamer(&["--port", &port]) else { return };
    let returned = Instant::now();
    receiving.state(CameraState::Online).await;
    let took = returned.elapsed();
    let (after, _) = receiving.units(20).await;
    println!("back {took:?} after the server's return");
    // Promised are 5 s (delays of at most 4 s); the rest is for a busy machine.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(after[0].key && after[0].after_loss);
    let pause = after[0].captured.seconds_since(&before[19].captured);
    assert!((8.0..40.0).contains(&pause), "media time goes on by the clock: {pause} s");
    assert!(receiving.counters.disconnects.load(Relaxed) >= 1);
    receiving.stop().await;
}

#[tokio::test]
async fn a_server_that_falls_silent_is_noticed() {
    let Some(peer) = gstreamer(&["--silent-after", "20"]) else { return };
    let stalling = Camera { stall_s: 2.0, ..camera(peer.port, "cam", Tcp, None) };
    let mut receiving = Receiving::start(stalling, 256);
    receiving.units(10).await;
    let detail = receiving.state(CameraState::Stalled).await.unwrap();
    assert!(detail.contains("nothing came for 2 s"), "{detail}");
    // The next connection plays again.
    receiving.state(CameraState::Online).await;
    receiving.units(10).await;
    receiving.stop().await;
}

#[tokio::test]
async fn a_full_queue_drops_up_to_a_key_picture() {
    let Some(peer) = gstreamer(&[]) else { return };
    let mut receiving = Receiving::start(camera(peer.port, "cam", Tcp, None), 4);
    let (first, _) = receiving.units(1).await;
    let deadline = Instant::now() + PATIENCE;
    while receiving.counters.dropped_queue_full.load(Relaxed) < 20 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (rest, _) = receiving.units(30).await;
    let jump = rest.iter().position(|unit| unit.after_loss).expect("the gap is marked");
    assert!(rest[jump].key, "after a gap a key picture comes first");
    assert_decodable(&[&first[..], &rest[..jump]].concat(), H264, "before the gap");
    assert_decodable(&rest[jump..], H264, "after the gap");
    receiving.stop().await;
}

/// Starts VLC as a camera that plays a clip over and over; it refuses to run as root and to send over TCP.
fn vlc(clip: &std::path::Path) -> Option<Peer> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // SAFETY: this call has no conditions.
    let root = unsafe { libc::geteuid() } == 0;
    let mut command = Command::new(if root { "setpriv" } else { "cvlc" });
    if root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "cvlc"]);
    }
    if Command::new("cvlc").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("skipped: no cvlc (Debian: vlc-bin vlc-plugin-base)");
        return None;
    }
    let child = command
        .args(["--intf", "dummy", "--loop", "--no-audio"])
        .arg(clip)
        .arg(format!("--sout=#rtp{{sdp=rtsp://127.0.0.1:{port}/cam}}"))
        .args(["--sout-keep"])
        .env("HOME", std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match child {
        Ok(child) => Some(Peer { child, port }),
        Err(error) => {
            println!("skipped: VLC cannot be started ({error})");
            None
        }
    }
}

#[tokio::test]
async fn vlc_plays_over_udp_and_refuses_tcp() {
    let clip = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15:duration=8"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "15", "-pix_fmt", "yuv420p"])
        .arg(clip.path())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return println!("skipped: no ffmpeg with libx264 to make a clip");
    }
    std::fs::set_permissions(clip.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let Some(peer) = vlc(clip.path()) else { return };
    let mut receiving = Receiving::start(camera(peer.port, "cam", Udp, None), 256);
    let (units, _) = receiving.units(30).await;
    assert_decodable(&units, H264, "VLC");
    receiving.stop().await;
    let mut receiving = Receiving::start(camera(peer.port, "cam", Tcp, None), 256);
    while receiving.counters.failed_attempts.load(Relaxed) < 1 {
        let Message::State { state, detail } = receiving.next().await else { panic!("a unit over TCP") };
        if let Some(detail) = detail {
            assert_eq!(state, CameraState::Connecting);
            assert!(detail.contains("461"), "{detail}");
        }
    }
    receiving.stop().await;
}
