//! What the server answers and sends when nothing is wrong.

use std::net::UdpSocket;
use std::time::Duration;

use gridwatch::frame::Codec;
use gridwatch::simulate::{Config, Mount, Offer, Server, SimulateError};

use crate::clip::synthetic;
use crate::viewer::{Item, Packet, Viewer};

const TCP: &str = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
const UDP: &str = "Transport: RTP/AVP;unicast;client_port=50000-50001\r\n";

fn server(config: impl FnOnce(&mut Config)) -> Server {
    let mount = Mount::new("cam1", synthetic(Codec::H264, 20, 3000, 31));
    let mut settings = Config { mounts: vec![mount], ..Config::default() };
    config(&mut settings);
    Server::start(settings).unwrap()
}

#[tokio::test]
async fn requests_are_answered_as_cameras_do() {
    let server = server(|config| config.offer = Offer::Tcp);
    let url = server.url("cam1").unwrap();
    let check = async |requests: &[(&str, &str, &str)], expected: &[u16]| {
        let mut viewer = Viewer::connect(&url).await.unwrap();
        let mut answers = vec![];
        for (method, path, headers) in requests {
            let (status, headers, _) = viewer.ask(method, path, headers).await;
            if let Some(session) = headers.get("session") {
                viewer.session = session.split(';').next().unwrap().to_owned();
            }
            answers.push(status);
        }
        assert_eq!(answers, expected, "{requests:?}");
    };
    let set_up = ("SETUP", "/trackID=0", TCP);
    let play = ("PLAY", "", "");
    check(&[("OPTIONS", "", ""), ("DESCRIBE", "", "Accept: application/sdp\r\n")], &[200, 200]).await;
    check(&[set_up, play, ("GET_PARAMETER", "", ""), ("TEARDOWN", "", "")], &[200, 200, 200, 200]).await;
    check(
        &[set_up, play, ("PAUSE", "", ""), play, ("TEARDOWN", "/", ""), play],
        &[200, 200, 200, 200, 200, 454],
    )
    .await;
    check(&[("SETUP", "", TCP), play], &[200, 200]).await;
    check(&[("DESCRIBE", "2", ""), ("DESCRIBE", "/cam9/", "")], &[404, 404]).await;
    check(&[("SETUP", "/trackID=1", TCP), ("SETUP", "/trackID=7", TCP)], &[404, 404]).await;
    check(&[play, ("PAUSE", "", ""), ("TEARDOWN", "", "")], &[454, 454, 454]).await;
    check(&[("PLAY", "", "Session: 123\r\n"), ("GET_PARAMETER", "", "Session: 123\r\n")], &[454, 454]).await;
    check(&[("SETUP", "/trackID=0", UDP), ("SETUP", "/trackID=0", "")], &[461, 400]).await;
    check(&[("SETUP", "/trackID=0", "Transport: RTP/AVP;multicast\r\n")], &[461]).await;
    check(&[set_up, play, set_up], &[200, 200, 455]).await;
    check(&[("RECORD", "", ""), ("BREW", "", "")], &[501, 501]).await;
    server.stop().await;
}

#[tokio::test]
async fn foreign_bytes_close_their_connection_alone() {
    let server = server(|_| {});
    let url = server.url("cam1").unwrap();
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 5000],
        &vec![b'A'; 100_000],
        b"DESCRIBE rtsp://\xff RTSP/1.0\r\n\r\n",
    ] {
        let mut viewer = Viewer::connect(&url).await.unwrap();
        viewer.send(bytes).await;
        viewer.closed().await;
    }
    let (mut viewer, _) = Viewer::play(&url).await;
    viewer.pictures(3).await;
    server.stop().await;
    viewer.closed().await;
}

#[tokio::test]
async fn time_and_sequence_go_on_over_the_seam() {
    let server = server(|_| {});
    let (mut viewer, headers) = Viewer::play(&server.url("cam1").unwrap()).await;
    let pictures = viewer.pictures(45).await;
    let first = &pictures[0][0];
    let announced = format!("seq={};rtptime={}", first.sequence, first.timestamp);
    assert!(headers["rtp-info"].ends_with(&announced), "{} {announced}", headers["rtp-info"]);
    let mut sequence = first.sequence;
    for (n, packets) in pictures.iter().enumerate() {
        for packet in packets {
            assert_eq!(packet.sequence, sequence);
            assert_eq!(packet.timestamp, first.timestamp.wrapping_add(n as u32 * 3600));
            assert!(packet.payload.len() <= 1400);
            sequence = sequence.wrapping_add(1);
        }
        let payloads =
            |packets: &[Packet]| packets.iter().map(|packet| packet.payload.clone()).collect::<Vec<_>>();
        assert_eq!(payloads(packets), payloads(&pictures[n % 20]), "the round repeats");
    }
    assert_eq!(first.nal_types(), [7, 8]);
    let counts = server.counts();
    assert!(counts.packets >= 45 * 3 && counts.bytes >= 45 * 3000 && counts.sessions == 1, "{counts:?}");
    server.stop().await;
}

#[tokio::test]
async fn datagrams_come_from_the_announced_ports() {
    let server = server(|_| {});
    let mut viewer = Viewer::connect(&server.url("cam1").unwrap()).await.unwrap();
    let [rtp, rtcp] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    let transport = format!("RTP/AVP/UDP;unicast;client_port={}-{}", port(&rtp), port(&rtcp));
    let headers = viewer.set_up(&transport, 0).await;
    let announced =
        headers["transport"].split(';').find_map(|part| part.strip_prefix("server_port=")).unwrap();
    assert_eq!(viewer.ask("PLAY", "", "").await.0, 200);
    let received = tokio::task::spawn_blocking(move || {
        [rtp, rtcp].map(|socket| {
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut buffer = [0; 2000];
            let (size, from) = socket.recv_from(&mut buffer).unwrap();
            (from.port(), buffer[..size].to_vec())
        })
    });
    let [(rtp_from, rtp), (rtcp_from, rtcp)] = received.await.unwrap();
    assert_eq!(format!("{rtp_from}-{rtcp_from}"), announced);
    assert_eq!(Packet::parse(&rtp).nal_types(), [7, 8]);
    assert_eq!(rtcp[..4], [0x80, 200, 0, 6]);
    assert_eq!(rtcp[4..8], rtp[8..12], "one SSRC");
    server.stop().await;
}

#[tokio::test]
async fn a_silent_viewer_is_dropped_and_a_living_one_kept() {
    let server = server(|config| config.session_timeout = Duration::from_secs(1));
    let url = server.url("cam1").unwrap();
    let (mut silent, headers) = Viewer::play(&url).await;
    assert_eq!(headers["session"], silent.session);
    let (mut living, _) = Viewer::play(&url).await;
    let ends = tokio::spawn(async move { silent.closed().await });
    for _ in 0..16 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        // An empty receiver report, interleaved (RFC 3550 section 6.4.2).
        living.send(&[b'$', 1, 0, 8, 0x80, 201, 0, 1, 0, 0, 0, 9]).await;
        living.pictures(1).await;
    }
    ends.await.unwrap();
    assert_eq!(server.counts().connections_open, 1);
    server.stop().await;
}

#[tokio::test]
async fn with_one_clock_viewers_are_in_step() {
    let server = server(|config| config.shared_clock = true);
    let url = server.url("cam1").unwrap();
    let (mut first, _) = Viewer::play(&url).await;
    first.pictures(7).await;
    let (mut second, _) = Viewer::play(&url).await;
    let seen = second.pictures(1).await.remove(0);
    loop {
        let same = first.pictures(1).await.remove(0);
        assert!(same[0].timestamp <= seen[0].timestamp || seen[0].timestamp < 1 << 20);
        if same[0].timestamp == seen[0].timestamp {
            assert_eq!(same[0].payload, seen[0].payload);
            break;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn staggered_cameras_begin_at_other_places() {
    let source = synthetic(Codec::H264, 50, 5, 1);
    let mounts = ["cam1", "cam2"].map(|name| Mount::new(name, source.clone())).to_vec();
    let config = Config { mounts, shared_clock: true, staggered: true, ..Config::default() };
    let server = Server::start(config).unwrap();
    let mut first = Vec::new();
    for name in ["cam1", "cam2"] {
        let (mut viewer, _) = Viewer::play(&server.url(name).unwrap()).await;
        first.push(viewer.pictures(1).await.remove(0)[0].payload.clone());
    }
    assert!((Server::ahead(1) - 0.618).abs() < 1e-3 && Server::ahead(0) == 0.0);
    assert_ne!(first[0], first[1]);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_served_is_refused() {
    let source = synthetic(Codec::H264, 1, 10, 1);
    let start = |listen: &str, mounts: &[Mount]| {
        Server::start(Config {
            listen: listen.parse().unwrap(),
            mounts: mounts.to_vec(),
            ..Config::default()
        })
        .err()
    };
    let mount = Mount::new("cam1", source);
    let empty = Mount { sources: vec![], ..mount.clone() };
    assert!(matches!(start("0.0.0.0:0", &[]), Some(SimulateError::NotLoopback(_))));
    assert!(matches!(
        start("127.0.0.1:0", &[mount.clone(), mount.clone()]),
        Some(SimulateError::SameMount(_))
    ));
    assert!(matches!(start("127.0.0.1:0", &[empty]), Some(SimulateError::NoSource(_))));
    let server = server(|_| {});
    let taken = start(&server.address().to_string(), &[mount]);
    assert!(matches!(taken, Some(SimulateError::Listen { .. })), "{taken:?}");
    assert!(server.url("cam2").is_none() && server.faults("cam2").is_none());
    drop(server);
}

#[tokio::test]
async fn a_viewer_that_does_not_read_does_not_fill_memory() {
    let mount = Mount::new("cam1", synthetic(Codec::H264, 50, 1_000_000, 31));
    let server = server(|config| config.mounts = vec![mount]);
    let (mut viewer, _) = Viewer::play(&server.url("cam1").unwrap()).await;
    // 25 MB a second against a few MB of buffers: pictures are skipped soon.
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if server.counts().pictures_skipped > 2 {
            break;
        }
    }
    assert!(server.counts().pictures_skipped > 2, "{:?}", server.counts());
    // Whole pictures are missing, so that no sequence number is.
    let mut last = viewer.packet().await;
    for _ in 0..5000 {
        let Some(Item::Rtp(packet)) = viewer.next_within(Duration::from_secs(20)).await else { continue };
        assert_eq!(packet.sequence, last.sequence.wrapping_add(1));
        if packet.timestamp.wrapping_sub(last.timestamp) > 3600 {
            assert_eq!(packet.nal_types(), [7, 8], "goes on with a key picture");
        }
        last = packet;
    }
    server.stop().await;
}
