//! The camera stage against simulated cameras with everything wrong with them that can be ordered.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gridwatch::camera::{self, Clip, Counters, Message};
use gridwatch::config::Camera;
use gridwatch::config::Transport::{self, Tcp, Udp};
use gridwatch::decode::{Decoder, KeyDecoder};
use gridwatch::frame::CameraState::{Connecting, Stalled};
use gridwatch::frame::{self, AccessUnit, CameraState};
use gridwatch::simulate::Fault::{
    Audio, Clock, Garbage, Jitter, Loss, Metadata, MidGop, NoParameters, NoRtcp, NoSprop, Noise, Reorder,
    Slow, Truncate,
};
use gridwatch::simulate::{self, Fault, Faults, Mount, Server, Source};
use tokio::sync::{mpsc, watch};

/// Long enough for a busy machine; nothing here is a measurement.
const PATIENCE: Duration = Duration::from_secs(60);

fn source(name: &str) -> Source {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/decode").join(name);
    Source::new(Clip::open(path).unwrap().collect::<Result<Vec<_>, _>>().unwrap()).unwrap()
}

/// A simulated camera (10 pictures/s, a key picture every 1.2 s) and what is received from it.
struct Scene {
    server: Server,
    faults: Faults,
    messages: mpsc::Receiver<Message>,
    counters: Arc<Counters>,
    stop: watch::Sender<bool>,
    states: Vec<(CameraState, Option<String>)>,
}

impl Scene {
    fn start(sources: &[&str], faults: Vec<Fault>, transport: Transport) -> Self {
        let sources = sources.iter().map(|name| source(name)).collect();
        let mounts = vec![Mount { path: "cam".into(), sources, faults }];
        Self::of(
            Server::start(simulate::Config { mounts, ..simulate::Config::default() }).unwrap(),
            transport,
        )
    }

    /// A camera at the mount `cam` of this server.
    fn of(server: Server, transport: Transport) -> Self {
        let camera = Camera {
            transport,
            ring_bytes_max: 1 << 20,
            stall_s: 2.0,
            ..Camera::plain("cam", server.url("cam").unwrap())
        };
        let (out, messages) = mpsc::channel(256);
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::new(Counters::default());
        tokio::spawn(camera::run(Arc::new(camera), out, counters.clone(), stopped));
        let faults = server.faults("cam").unwrap();
        Self { server, faults, messages, counters, stop, states: Vec::new() }
    }

    async fn next(&mut self) -> Option<AccessUnit> {
        let message = tokio::time::timeout(PATIENCE, self.messages.recv()).await;
        match message.expect("nothing more within a minute").expect("the camera's task ended") {
            Message::Unit(unit) => Some(unit),
            Message::State { state, detail } => {
                self.states.push((state, detail));
                None
            }
        }
    }

    async fn units(&mut self, count: usize) -> Vec<AccessUnit> {
        let mut units = Vec::new();
        while units.len() < count {
            units.extend(self.next().await);
        }
        units
    }

    /// Waits for a state that was not said yet.
    async fn state(&mut self, wanted: CameraState) {
        let known = self.states.len();
        while !self.states[known..].iter().any(|(state, _)| *state == wanted) {
            self.next().await;
        }
    }

    async fn end(self) {
        self.stop.send(true).unwrap();
        self.server.stop().await;
    }
}

/// Decodes what can be decoded; gives the sizes of the pictures and how many units were damaged.
fn decode(units: &[AccessUnit]) -> (Vec<(usize, usize)>, usize) {
    let (mut decoder, mut keys) = (Decoder::new(units[0].codec).unwrap(), KeyDecoder::new());
    let (mut sizes, mut damaged) = (Vec::new(), 0);
    for unit in units {
        damaged += usize::from(unit.key && keys.decode(unit).is_err());
        match decoder.decode(unit) {
            Ok(pictures) => sizes.extend(pictures.iter().map(|picture| (picture.width, picture.height))),
            Err(_) => damaged += 1,
        }
    }
    sizes.extend(decoder.finish().into_iter().flatten().map(|picture| (picture.width, picture.height)));
    (sizes, damaged)
}

/// Media time neither goes back by more than reordering does, nor leaps.
fn assert_steady(units: &[AccessUnit], leap_s_max: f64, what: &str) {
    for pair in units.windows(2) {
        let step = pair[1].captured.media.as_secs_f64() - pair[0].captured.media.as_secs_f64();
        assert!((-0.5..leap_s_max).contains(&step), "{what}: a step of {step} s");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_from_the_start_is_coped_with() {
    // Clean: every unit decodes. Otherwise pictures go on coming.
    let check = async |faults: Vec<Fault>, transport, clean: bool| {
        for name in ["b_frames.h264", "b_frames.h265"] {
            let what = format!("{name} with {faults:?} over {transport:?}");
            let mut scene = Scene::start(&[name], faults.clone(), transport);
            let mut units = scene.units(40).await;
            // With bad luck the first key pictures are hit.
            while !clean && decode(&units).0.len() < 3 && units.len() < 400 {
                units.extend(scene.units(40).await);
            }
            assert!(units[0].key, "{what}");
            assert_steady(&units, 10.0, &what);
            let (sizes, damaged) = decode(&units);
            if clean {
                assert_eq!((sizes.len(), damaged), (40, 0), "{what}");
                assert_steady(&units, 1.0, &what);
            } else {
                assert!(sizes.len() >= 3, "{what}: {} pictures, {damaged} damaged", sizes.len());
            }
            assert!(sizes.iter().all(|size| *size == (64, 48)), "{what}: {sizes:?}");
            let (lost, early) = (&scene.counters.packets_lost, &scene.counters.dropped_before_key);
            println!(
                "{what}: {} pictures, {damaged} damaged, {} packets lost, {} dropped before a key picture",
                sizes.len(),
                lost.load(Relaxed),
                early.load(Relaxed)
            );
            scene.end().await;
        }
    };
    let ms = Duration::from_millis;
    tokio::join!(
        check(vec![], Tcp, true),
        check(vec![], Udp, true),
        check(vec![NoSprop], Tcp, true),
        check(vec![NoParameters], Tcp, true),
        check(vec![MidGop], Tcp, true),
        check(vec![MidGop, NoSprop], Udp, true),
        check(vec![Audio, Metadata], Tcp, true),
        check(vec![Audio, Metadata, NoRtcp], Udp, true),
        check(vec![Clock(-86_400.0), Jitter(ms(300))], Tcp, true),
        check(vec![Slow(ms(1))], Tcp, true),
        check(vec![Loss(0.1)], Udp, false),
        check(vec![Loss(0.1)], Tcp, false),
        check(vec![Reorder(0.1)], Udp, false),
        check(vec![Garbage(0.1)], Tcp, false),
        check(vec![Truncate(0.1)], Tcp, false),
        check(vec![Noise(0.02)], Tcp, false),
    );
}

#[tokio::test]
async fn what_goes_wrong_in_mid_stream_is_noticed_and_forgotten() {
    let check = async |fault, state| {
        let mut scene = Scene::start(&["b_frames.h264"], Vec::new(), Tcp);
        let before = scene.units(15).await;
        scene.faults.begin(fault);
        scene.state(state).await;
        scene.faults.mend();
        scene.state(CameraState::Online).await;
        let after = scene.units(15).await;
        assert!(after[0].key && after[0].after_loss, "{fault:?}");
        assert_steady(&[before, after].concat(), 30.0, &format!("{fault:?}"));
        scene.end().await;
    };
    tokio::join!(
        check(Fault::Stall, Stalled),
        check(Fault::Hang, Stalled),
        check(Fault::Disconnect, Connecting),
        check(Fault::Refuse, Connecting),
    );
}

#[tokio::test]
async fn a_camera_that_changes_its_picture_size_goes_on() {
    let mut scene = Scene::start(&["b_frames.h264", "high422_10bit.h264"], Vec::new(), Tcp);
    let mut units = scene.units(15).await;
    scene.faults.begin(Fault::Switch(1));
    units.extend(scene.units(40).await);
    let (sizes, damaged) = decode(&units);
    assert_eq!(damaged, 0);
    assert_eq!((sizes.first(), sizes.last()), (Some(&(64, 48)), Some(&(50, 38))));
    scene.end().await;
}

#[tokio::test]
async fn timestamps_that_jump_do_not_move_the_media_time() {
    let mut scene = Scene::start(&["b_frames.h264"], Vec::new(), Tcp);
    let mut units = scene.units(15).await;
    for seconds in [3600.0, -7200.0, 40_000.0] {
        scene.faults.begin(Fault::Jump(seconds));
        units.extend(scene.units(15).await);
    }
    assert_steady(&units, 2.0, "after jumps");
    scene.end().await;
}

#[tokio::test]
async fn the_senders_clock_counts_only_if_it_is_sane() {
    for (fault, expected) in [(Clock(0.0), frame::Clock::Rtcp), (Clock(-1e6), frame::Clock::Arrival)] {
        let mut scene = Scene::start(&["b_frames.h264"], vec![fault], Tcp);
        let mut units = scene.units(15).await;
        // Reports come every few seconds.
        while expected == frame::Clock::Rtcp
            && units.len() < 200
            && units.last().is_some_and(|unit| unit.captured.clock != expected)
        {
            units.extend(scene.units(1).await);
        }
        let last = units.last().unwrap();
        assert_eq!(last.captured.clock, expected, "{fault:?}");
        let off_s = jiff::Timestamp::now().duration_since(last.captured.wall).as_secs_f64();
        assert!((-5.0..30.0).contains(&off_s), "{fault:?}: {off_s} s");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_camera_that_refuses_everybody_is_left_alone() {
    let mut scene = Scene::start(&["b_frames.h264"], vec![Fault::Unauthorized], Tcp);
    scene.state(CameraState::AuthFailed).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(scene.counters.failed_attempts.load(Relaxed), 1);
    scene.end().await;
}

#[tokio::test]
async fn a_camera_with_an_ipv6_address_is_seen() {
    for transport in [Tcp, Udp] {
        let mounts = vec![Mount::new("cam", source("b_frames.h264"))];
        let listen = (std::net::Ipv6Addr::LOCALHOST, 0).into();
        let server = match Server::start(simulate::Config { mounts, listen, ..simulate::Config::default() }) {
            Ok(server) => server,
            Err(error) => {
                println!("skipped: no IPv6 here: {error}");
                return;
            }
        };
        assert!(server.url("cam").unwrap().as_str().starts_with("rtsp://[::1]:"));
        let mut scene = Scene::of(server, transport);
        let units = scene.units(15).await;
        assert!(units[0].key, "{transport:?}");
        scene.end().await;
    }
}
