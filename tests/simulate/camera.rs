//! gridwatch's own client with a simulated camera: it survives each fault, says so, and shows no damaged picture.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use gridwatch::camera::{self, Clip, Counters, Message};
use gridwatch::config::{self, Credentials, Secret, Transport};
use gridwatch::decode::Decoder;
use gridwatch::frame::{AccessUnit, CameraState, Clock, Codec, Picture};
use gridwatch::simulate::{Config, Fault, Faults, Mount, Server, Source};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::clip::{installed, test_picture};

const SECOND: Duration = Duration::from_secs(1);
/// Longest wait for anything; far above what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(45);
/// A camera is connected to again within 5 s of its return; the rest is for a busy machine.
const RETURN_MAX: Duration = Duration::from_secs(8);

/// A simulated camera, and gridwatch's client with a decoder behind it.
struct Watch {
    server: Server,
    faults: Faults,
    counters: Arc<Counters>,
    messages: mpsc::Receiver<Message>,
    _stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    decoder: Decoder,
    /// Every picture of the clips, by its hash.
    good: HashSet<u64>,
    last: Option<AccessUnit>,
}

/// What was seen in some time.
#[derive(Debug, Default)]
struct Seen {
    units: usize,
    keys: usize,
    after_loss: usize,
    states: Vec<CameraState>,
    /// Pictures out of the decoder: width and height.
    good: Vec<(usize, usize)>,
    damaged: usize,
    decode_errors: usize,
}

fn hash(picture: &Picture) -> u64 {
    let mut hasher = DefaultHasher::new();
    (picture.width, picture.height, &picture.y, &picture.u, &picture.v).hash(&mut hasher);
    hasher.finish()
}

fn decode_all(units: &[AccessUnit]) -> Vec<Picture> {
    let mut decoder = Decoder::new(units[0].codec).unwrap();
    let mut pictures: Vec<_> = units.iter().flat_map(|unit| decoder.decode(unit).unwrap()).collect();
    pictures.extend(decoder.finish().unwrap());
    pictures
}

impl Watch {
    /// Starts with faults; `None` if clips cannot be made here.
    fn start(
        codecs: &[(Codec, &'static str)],
        transport: Transport,
        faults: &[Fault],
        password: Option<&str>,
    ) -> Option<Self> {
        let clips: Vec<_> =
            codecs.iter().map(|(codec, size)| test_picture(*codec, size)).collect::<Option<_>>()?;
        Some(Self::play(&clips, transport, faults, password))
    }

    fn play(
        clips: &[Vec<AccessUnit>],
        transport: Transport,
        faults: &[Fault],
        password: Option<&str>,
    ) -> Self {
        let credentials =
            |password: &str| Credentials { username: "admin".into(), password: Secret::new(password) };
        let sources = clips.iter().map(|units| Source::new(units.clone()).unwrap()).collect();
        let server = Server::start(Config {
            mounts: vec![Mount { path: "cam1".into(), sources, faults: faults.to_vec() }],
            credentials: Some(credentials("right")),
            ..Config::default()
        })
        .unwrap();
        let camera = config::Camera {
            credentials: Some(credentials(password.unwrap_or("right"))),
            transport,
            ring_bytes_max: 1 << 20,
            stall_s: 3.0,
            ..config::Camera::plain("cam1", server.url("cam1").unwrap())
        };
        let (send, messages) = mpsc::channel(256);
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::new(Counters::default());
        let task = tokio::spawn(camera::run(Arc::new(camera), send, counters.clone(), stopped));
        Self {
            faults: server.faults("cam1").unwrap(),
            server,
            counters,
            messages,
            _stop: stop,
            task,
            decoder: Decoder::new(clips[0][0].codec).unwrap(),
            good: clips.iter().flat_map(|units| decode_all(units)).map(|picture| hash(&picture)).collect(),
            last: None,
        }
    }

    /// Looks until `enough`.
    async fn until(&mut self, what: &str, mut enough: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = Seen::default();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !enough(&seen) {
            let message = tokio::time::timeout_at(deadline, self.messages.recv()).await;
            let message = message.unwrap_or_else(|_| panic!("{what}: only {seen:?} {:?}", self.counters));
            match message.expect("the client goes on") {
                Message::State { state, .. } => seen.states.push(state),
                Message::Unit(unit) => self.look(unit, &mut seen),
            }
        }
        seen
    }

    /// Looks for some time.
    async fn during(&mut self, time: Duration) -> Seen {
        let ends = Instant::now() + time;
        // States and pictures keep coming, at the latest when the client gives up on this camera.
        self.until("something", |_| Instant::now() >= ends).await
    }

    fn look(&mut self, unit: AccessUnit, seen: &mut Seen) {
        seen.units += 1;
        seen.keys += usize::from(unit.key);
        seen.after_loss += usize::from(unit.after_loss);
        if let Some(last) = &self.last {
            assert!(unit.captured.media + 2 * SECOND >= last.captured.media, "media time goes back");
        }
        if let Ok(decoder) = Decoder::new(unit.codec)
            && self.last.as_ref().is_some_and(|last| last.codec != unit.codec)
        {
            self.decoder = decoder;
        }
        match self.decoder.decode(&unit) {
            Ok(pictures) => {
                for picture in pictures {
                    if self.good.contains(&hash(&picture)) {
                        seen.good.push((picture.width, picture.height));
                    } else {
                        seen.damaged += 1;
                    }
                }
            }
            Err(_) => seen.decode_errors += 1,
        }
        self.last = Some(unit);
    }

    async fn online(&mut self) -> Seen {
        self.until("pictures", |seen| seen.good.len() >= 10).await
    }

    async fn stop(self) {
        assert!(!self.task.is_finished(), "the client has not given up");
        self.task.abort();
        self.server.stop().await;
    }
}

const H264: &[(Codec, &str)] = &[(Codec::H264, "320x240")];
const H265: &[(Codec, &str)] = &[(Codec::H265, "320x240")];
const ALL: [(&[(Codec, &str)], Transport); 4] =
    [(H264, Transport::Tcp), (H264, Transport::Udp), (H265, Transport::Tcp), (H265, Transport::Udp)];

#[tokio::test]
async fn a_healthy_camera_is_seen_whole() {
    for (codecs, transport) in ALL {
        let Some(mut camera) = Watch::start(codecs, transport, &[], None) else { return };
        let seen = camera.until("two seams", |seen| seen.good.len() >= 110).await;
        assert_eq!((seen.damaged, seen.decode_errors), (0, 0), "{codecs:?} {transport:?}");
        assert_eq!(seen.states.last(), Some(&CameraState::Online));
        // The decoder may hold a few pictures back; a busy machine may lose datagrams.
        assert!((110..120).contains(&seen.units) || transport == Transport::Udp, "{seen:?}");
        let last = camera.last.as_ref().unwrap();
        assert_eq!(last.captured.clock, Clock::Rtcp);
        let late = jiff::Timestamp::now().duration_since(last.captured.wall).as_secs_f64();
        assert!((-1.0..5.0).contains(&late), "{late}");
        camera.stop().await;
    }
}

#[tokio::test]
async fn harmless_oddities_change_nothing() {
    let check = async |codecs, oddity: &[Fault]| {
        let Some(mut camera) = Watch::start(codecs, Transport::Tcp, oddity, None) else { return };
        let seen = camera.until(&format!("{oddity:?}"), |seen| seen.good.len() >= 40).await;
        assert_eq!((seen.damaged, seen.decode_errors), (0, 0), "{oddity:?} {seen:?}");
        assert!(seen.states.contains(&CameraState::Online), "{oddity:?}");
        let captured = camera.last.as_ref().unwrap().captured;
        let wrong_clock = matches!(oddity[0], Fault::NoRtcp | Fault::Clock(_));
        assert_eq!(captured.clock == Clock::Arrival, wrong_clock, "{oddity:?}");
        let late = jiff::Timestamp::now().duration_since(captured.wall).as_secs_f64();
        assert!((-1.0..5.0).contains(&late), "{oddity:?} {late}");
        camera.stop().await;
    };
    let (late, slow) = ([Fault::Jitter(SECOND / 5)], [Fault::Slow(Duration::from_millis(2))]);
    for codecs in [H264, H265] {
        tokio::join!(
            check(codecs, &[Fault::NoSprop]),
            check(codecs, &[Fault::NoParameters]),
            check(codecs, &[Fault::Audio, Fault::Metadata]),
            check(codecs, &[Fault::NoRtcp]),
            check(codecs, &[Fault::Clock(-7200.0)]),
            check(codecs, &[Fault::MidGop]),
            check(codecs, &late),
            check(codecs, &slow),
        );
    }
}

#[tokio::test]
async fn without_any_parameter_sets_no_picture_comes_until_they_are_sent() {
    for codecs in [H264, H265] {
        let faults = [Fault::NoParameters, Fault::NoSprop];
        let Some(mut camera) = Watch::start(codecs, Transport::Tcp, &faults, None) else { return };
        let seen = camera.during(5 * SECOND).await;
        println!("{codecs:?}: {seen:?}");
        assert!(seen.good.is_empty() && seen.damaged == 0, "{seen:?}");
        camera.faults.mend();
        let seen = camera.online().await;
        assert_eq!(seen.damaged, 0, "{seen:?}");
        camera.stop().await;
    }
}

#[tokio::test]
async fn a_silent_camera_is_stalled_and_comes_back() {
    for fault in [Fault::Stall, Fault::Hang] {
        let Some(mut camera) = Watch::start(H264, Transport::Tcp, &[], None) else { return };
        camera.online().await;
        camera.faults.begin(fault);
        let seen = camera.until("stalled", |seen| seen.states.contains(&CameraState::Stalled)).await;
        assert_eq!(seen.damaged, 0);
        camera.faults.end(fault);
        let returned = Instant::now();
        camera.until("online", |seen| seen.states.last() == Some(&CameraState::Online)).await;
        // A connection that began while the camera hung is still waiting for its answer.
        assert!(returned.elapsed() < RETURN_MAX + 10 * SECOND, "{fault:?}: {:?}", returned.elapsed());
        assert_eq!(camera.online().await.damaged, 0);
        camera.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_told() {
    let Some(mut camera) = Watch::start(H264, Transport::Tcp, &[], Some("wrong")) else { return };
    camera.until("refused", |seen| seen.states.contains(&CameraState::AuthFailed)).await;
    assert!(camera.server.counts().unauthorized >= 2);
    camera.stop().await;
    let Some(mut camera) = Watch::start(H264, Transport::Tcp, &[Fault::Unauthorized], None) else { return };
    camera.until("refused", |seen| seen.states.contains(&CameraState::AuthFailed)).await;
    camera.stop().await;
}

#[tokio::test]
async fn a_camera_is_back_soon_after_its_server_is() {
    for transport in [Transport::Tcp, Transport::Udp] {
        let Some(mut camera) = Watch::start(H264, transport, &[], None) else { return };
        camera.online().await;
        let down = 6 * SECOND;
        camera.server.restart(down).await;
        let began = Instant::now();
        let seen = camera.until("lost", |seen| seen.states.contains(&CameraState::Connecting)).await;
        assert_eq!(seen.damaged, 0);
        let seen = camera.until("online", |seen| seen.states.last() == Some(&CameraState::Online)).await;
        assert_eq!(seen.damaged, 0);
        let after = began.elapsed().saturating_sub(down);
        println!("{transport:?}: online {after:?} after the server's return");
        assert!(after < RETURN_MAX, "{transport:?}: {after:?}");
        assert_eq!(camera.online().await.damaged, 0);
        camera.stop().await;
    }
}

#[tokio::test]
async fn connections_that_break_are_made_anew() {
    let Some(mut camera) = Watch::start(H264, Transport::Tcp, &[Fault::DisconnectEvery(2 * SECOND)], None)
    else {
        return;
    };
    let mut keys = 0;
    for _ in 0..3 {
        let seen = camera
            .until("online again", |seen| {
                seen.states.ends_with(&[CameraState::Connecting, CameraState::Online]) && seen.good.len() > 5
            })
            .await;
        keys += seen.keys;
        assert_eq!(seen.damaged, 0);
    }
    assert!(keys >= 3 && camera.counters.disconnects.load(Relaxed) >= 2);
    camera.stop().await;
}

#[tokio::test]
async fn after_losses_no_damaged_picture_is_shown() {
    let check = async |codecs, transport, fault| {
        let Some(mut camera) = Watch::start(codecs, transport, &[], None) else { return };
        camera.online().await;
        camera.faults.begin(fault);
        let seen = camera.until("losses", |seen| seen.after_loss >= 3 && seen.units >= 100).await;
        assert_eq!(seen.damaged, 0, "{codecs:?} {transport:?} {fault:?}: {seen:?}");
        assert!(camera.counters.packets_lost.load(Relaxed) >= 3);
        camera.faults.mend();
        assert_eq!(camera.online().await.damaged, 0);
        camera.stop().await;
    };
    let loss = Fault::Loss(0.03);
    let reorder = Fault::Reorder(0.03);
    tokio::join!(
        check(H264, Transport::Tcp, loss),
        check(H265, Transport::Tcp, loss),
        check(H264, Transport::Udp, loss),
        check(H265, Transport::Udp, loss),
        check(H264, Transport::Udp, reorder),
        check(H265, Transport::Udp, reorder),
    );
}

#[tokio::test]
async fn damaged_bytes_do_not_kill_the_client() {
    let check = async |codecs, fault| {
        let Some(mut camera) = Watch::start(codecs, Transport::Tcp, &[], None) else { return };
        camera.online().await;
        camera.faults.begin(fault);
        let seen = camera.during(6 * SECOND).await;
        println!(
            "{codecs:?} {fault:?}: {} units, {} good and {} damaged pictures, {} errors, {:?}",
            seen.units,
            seen.good.len(),
            seen.damaged,
            seen.decode_errors,
            seen.states
        );
        if matches!(fault, Fault::Noise(_)) {
            // The framing finds noise; no byte of it reaches a picture. (Spoiled payloads come in whole packets:
            // some of them only a decoder could notice, and FFmpeg's for H.265 does not.)
            assert_eq!(seen.damaged, 0, "{seen:?}");
        }
        camera.faults.mend();
        camera.online().await;
        let seen = camera.until("two seconds", |seen| seen.units >= 50).await;
        assert!(seen.good.len() > seen.damaged, "whole again with the next key picture: {seen:?}");
        camera.stop().await;
    };
    tokio::join!(
        check(H264, Fault::Garbage(0.02)),
        check(H265, Fault::Garbage(0.02)),
        check(H264, Fault::Truncate(0.05)),
        check(H265, Fault::Truncate(0.05)),
        check(H264, Fault::Noise(0.02)),
        check(H265, Fault::Noise(0.02)),
    );
}

#[tokio::test]
async fn another_picture_size_and_another_codec_are_noticed() {
    let clips = [(Codec::H264, "320x240"), (Codec::H264, "640x480"), (Codec::H265, "320x240")];
    for transport in [Transport::Tcp, Transport::Udp] {
        let Some(mut camera) = Watch::start(&clips, transport, &[], None) else { return };
        camera.online().await;
        camera.faults.begin(Fault::Switch(1));
        let seen = camera.until("the larger size", |seen| seen.good.contains(&(640, 480))).await;
        assert_eq!(seen.damaged, 0, "{seen:?}");
        assert!(!seen.states.contains(&CameraState::Connecting), "in mid-stream: {seen:?}");
        camera.faults.begin(Fault::Switch(2));
        camera.until("a new connection", |seen| seen.states.contains(&CameraState::Connecting)).await;
        assert_eq!(camera.online().await.damaged, 0);
        assert_eq!(camera.last.as_ref().unwrap().codec, Codec::H265);
        camera.stop().await;
    }
}

#[tokio::test]
async fn jumping_timestamps_do_not_move_media_time() {
    let Some(mut camera) = Watch::start(H264, Transport::Tcp, &[], None) else { return };
    camera.online().await;
    let began = Instant::now();
    let media = camera.last.as_ref().unwrap().captured.media;
    for seconds in [3600.0, -7200.0, 30.0] {
        camera.faults.begin(Fault::Jump(seconds));
        camera.online().await;
        let moved = camera.last.as_ref().unwrap().captured.media.abs_diff(media).as_secs_f64();
        assert!(
            (moved - began.elapsed().as_secs_f64()).abs() < 8.0,
            "{seconds}: {moved} in {:?}",
            began.elapsed()
        );
    }
    camera.stop().await;
}

#[tokio::test]
async fn b_pictures_come_whole_and_in_time() {
    if !installed("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b.mp4");
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-t", "2"])
        .args([
            "-pix_fmt",
            "yuv420p",
            "-c:v",
            "libx264",
            "-g",
            "25",
            "-bf",
            "3",
            "-x264-params",
            "b-pyramid=normal",
        ])
        .arg(&file)
        .output()
        .unwrap();
    if !made.status.success() {
        println!("skipped: this ffmpeg cannot encode: {}", String::from_utf8_lossy(&made.stderr));
        return;
    }
    let units: Vec<_> = Clip::open(&file).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(units.windows(2).any(|pair| pair[1].pts_90k < pair[0].pts_90k), "there are B pictures");
    let mut camera = Watch::play(&[units], Transport::Tcp, &[], None);
    let seen = camera.until("two seams", |seen| seen.good.len() >= 110).await;
    assert_eq!((seen.damaged, seen.decode_errors), (0, 0), "{seen:?}");
    camera.stop().await;
}
