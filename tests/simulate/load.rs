//! What simulated cameras cost: `cargo test --test simulate load -- --ignored --nocapture`.

use std::time::Duration;

use gridwatch::frame::Codec;
use gridwatch::simulate::{Config, Counts, Mount, Server, Source};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};

use crate::clip::units;
use crate::viewer::Viewer;

const CAMERAS: usize = 100;
const RUN: Duration = Duration::from_secs(20);

/// CPU time of this thread so far.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// 3 Mbit/s: 25 pictures a second, key pictures of 90 kB every 2 s, others of 13.5 kB.
fn clip() -> Source {
    let sizes: Vec<usize> = (0..100).map(|n| if n % 50 == 0 { 90_000 } else { 13_500 }).collect();
    Source::new(units(Codec::H264, &sizes, 50, 31)).unwrap()
}

/// Serves on a thread of its own; returns its CPU time over the run and what it did in it.
fn serve(ready: std::sync::mpsc::Sender<Vec<url::Url>>) -> (Duration, Counts, Counts) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clip = clip();
        let mounts: Vec<_> = (0..CAMERAS).map(|n| Mount::new(format!("cam{n}"), clip.clone())).collect();
        let server = Server::start(Config { mounts, ..Config::default() }).unwrap();
        ready.send((0..CAMERAS).map(|n| server.url(&format!("cam{n}")).unwrap()).collect()).unwrap();
        while server.counts().sessions < CAMERAS as u64 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before = (cpu(), server.counts());
        tokio::time::sleep(RUN).await;
        let after = (cpu(), server.counts());
        server.stop().await;
        (after.0.saturating_sub(before.0), before.1, after.1)
    })
}

fn measure(name: &str, view: impl AsyncFn(url::Url) + Copy) {
    let (send, urls) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || serve(send));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let urls = urls.recv().unwrap();
    runtime.block_on(futures::future::join_all(urls.into_iter().map(async |url| view(url).await)));
    let (cpu, before, after) = server.join().unwrap();
    let seconds = RUN.as_secs_f64();
    println!(
        "{name}: {CAMERAS} cameras, {:.1} Mbit/s and {:.1} pictures/s each, {} skips, {} datagrams unsent: \
         {:.2} % of a core together, {:.0} µs of CPU per camera and second",
        (after.bytes - before.bytes) as f64 * 8e-6 / seconds / CAMERAS as f64,
        (after.pictures - before.pictures) as f64 / seconds / CAMERAS as f64,
        after.pictures_skipped,
        after.packets_unsent,
        cpu.as_secs_f64() / seconds * 100.0,
        cpu.as_secs_f64() / seconds / CAMERAS as f64 * 1e6,
    );
    // On an idle machine it is 25; a machine with other work to do may make cameras skip.
    let sent = (after.pictures - before.pictures) as f64 / seconds / CAMERAS as f64;
    assert!((1.0..26.0).contains(&sent), "{sent} pictures a second");
}

#[test]
#[ignore = "a measurement of 20 s"]
fn a_hundred_cameras_over_tcp() {
    measure("TCP", async |url| {
        let (viewer, _) = Viewer::play(&url).await;
        drain(viewer.into_stream()).await;
    });
}

#[test]
#[ignore = "a measurement of 20 s"]
fn a_hundred_cameras_over_udp() {
    measure("UDP", async |url| {
        let mut viewer = Viewer::connect(&url).await.unwrap();
        let rtp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let rtcp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let [a, b] = [&rtp, &rtcp].map(|socket| socket.local_addr().unwrap().port());
        viewer.set_up(&format!("RTP/AVP;unicast;client_port={a}-{b}"), 0).await;
        assert_eq!(viewer.ask("PLAY", "", "").await.0, 200);
        let receive = async {
            let mut buffer = vec![0; 2000];
            while rtp.recv(&mut buffer).await.is_ok() {}
        };
        tokio::select! {
            () = receive => {}
            () = drain(viewer.into_stream()) => {}
        }
    });
}

/// Reads and forgets until the server closes.
async fn drain(mut stream: TcpStream) {
    let mut buffer = vec![0; 1 << 16];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
}
