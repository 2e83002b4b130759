//! Each fault, byte by byte.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use gridwatch::frame::Codec;
use gridwatch::simulate::{Config, Fault, Faults, Mount, Server};

use crate::clip::synthetic;
use crate::viewer::{Item, Packet, Viewer};

const SECOND: Duration = Duration::from_secs(1);

/// A camera with a second source of another picture size, and a third of another codec.
fn server(faults: &[Fault], seed: u64) -> (Server, Faults) {
    let sources = vec![
        synthetic(Codec::H264, 20, 3000, 31),
        synthetic(Codec::H264, 20, 3000, 40),
        synthetic(Codec::H265, 20, 3000, 31),
    ];
    let mount = Mount { path: "cam1".into(), sources, faults: faults.to_vec() };
    let server = Server::start(Config { mounts: vec![mount], seed, ..Config::default() }).unwrap();
    let faults = server.faults("cam1").unwrap();
    (server, faults)
}

async fn play(server: &Server) -> Viewer {
    Viewer::play(&server.url("cam1").unwrap()).await.0
}

/// Takes what has already been sent off the wire, until nothing comes for a while.
async fn quiet(viewer: &mut Viewer) {
    while viewer.next_within(SECOND / 2).await.is_some() {}
}

#[tokio::test]
async fn a_stalled_camera_answers_and_goes_on_with_a_key_picture() {
    let (server, faults) = server(&[], 0);
    let mut viewer = play(&server).await;
    let before = viewer.pictures(2).await[1][0].clone();
    let began = Instant::now();
    faults.begin(Fault::Stall);
    quiet(&mut viewer).await;
    assert_eq!(viewer.next_within(SECOND).await, None);
    assert_eq!(viewer.ask("GET_PARAMETER", "", "").await.0, 200);
    faults.end(Fault::Stall);
    let after = viewer.packet().await;
    assert_eq!(after.nal_types(), [7, 8]);
    let media = f64::from(after.timestamp.wrapping_sub(before.timestamp)) / 90_000.0;
    // The camera's clock went on. The next key picture is 0.4 s away at most.
    assert!((1.0..began.elapsed().as_secs_f64() + 1.0).contains(&media), "{media}");
    server.stop().await;
}

#[tokio::test]
async fn a_hanging_camera_neither_answers_nor_closes() {
    let (server, faults) = server(&[], 0);
    let mut viewer = play(&server).await;
    viewer.pictures(1).await;
    faults.begin(Fault::Hang);
    quiet(&mut viewer).await;
    viewer.request("GET_PARAMETER", "", "").await;
    let mut newcomer = Viewer::connect(&server.url("cam1").unwrap()).await.unwrap();
    newcomer.request("OPTIONS", "", "").await;
    assert_eq!((viewer.next_within(SECOND).await, newcomer.next_within(SECOND).await), (None, None));
    faults.end(Fault::Hang);
    assert!(matches!(newcomer.next().await, Item::Reply(200, ..)));
    viewer.packet().await;
    server.stop().await;
}

#[tokio::test]
async fn connections_are_closed_refused_and_taken_again() {
    let (server, faults) = server(&[], 0);
    let url = server.url("cam1").unwrap();
    let mut viewer = play(&server).await;
    faults.begin(Fault::Disconnect);
    viewer.closed().await;
    let mut viewer = play(&server).await;
    viewer.pictures(1).await;

    faults.begin(Fault::Refuse);
    viewer.closed().await;
    assert_eq!(Viewer::connect(&url).await.unwrap().ask("OPTIONS", "", "").await.0, 0);
    faults.end(Fault::Refuse);
    let mut viewer = play(&server).await;

    server.restart(2 * SECOND).await;
    viewer.closed().await;
    assert!(Viewer::connect(&url).await.is_err(), "nobody listens");
    let began = Instant::now();
    while Viewer::connect(&url).await.is_err() {
        assert!(began.elapsed() < 20 * SECOND);
        tokio::time::sleep(SECOND / 10).await;
    }
    let mut viewer = play(&server).await;
    viewer.pictures(1).await;

    faults.begin(Fault::DisconnectEvery(SECOND));
    viewer.closed().await;
    server.stop().await;
}

#[tokio::test]
async fn a_fault_to_order_begins_and_ends_by_itself() {
    let (server, faults) = server(&[], 0);
    let mut viewer = play(&server).await;
    "stall@1s+3s".parse::<gridwatch::simulate::Order>().unwrap().give(&faults);
    let mut longest = Duration::ZERO;
    let began = Instant::now();
    while longest < SECOND && began.elapsed() < 20 * SECOND {
        let waits = Instant::now();
        viewer.packet().await;
        longest = longest.max(waits.elapsed());
    }
    assert!(longest >= SECOND, "{longest:?}");
    viewer.pictures(3).await;
    server.stop().await;
}

/// Sequence numbers from the first packet on, of the first pictures.
async fn sequence(fault: Fault, seed: u64) -> (Vec<u16>, u64) {
    let (server, _) = server(&[fault], seed);
    let mut viewer = play(&server).await;
    let mut numbers = vec![];
    for _ in 0..60 {
        numbers.push(viewer.packet().await.sequence);
    }
    let lost = server.counts().packets_lost;
    server.stop().await;
    (numbers, lost)
}

#[tokio::test]
async fn losses_come_from_the_seed() {
    let (first, second, other) = tokio::join!(
        sequence(Fault::Loss(0.3), 1),
        sequence(Fault::Loss(0.3), 1),
        sequence(Fault::Loss(0.3), 2)
    );
    assert_eq!(first.0, second.0);
    assert_ne!(first.0, other.0);
    let span = first.0[59].wrapping_sub(first.0[0]);
    assert!((70..120).contains(&span), "about 3 of 10 are lost: 60 of {span} came");
    assert!(first.1 >= u64::from(span - 59));
}

#[tokio::test]
async fn datagrams_change_places() {
    let (server, _) = server(&[Fault::Reorder(0.3)], 0);
    let mut viewer = Viewer::connect(&server.url("cam1").unwrap()).await.unwrap();
    let [rtp, rtcp] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
    viewer.set_up(&format!("RTP/AVP;unicast;client_port={}-{}", port(&rtp), port(&rtcp)), 0).await;
    viewer.ask("PLAY", "", "").await;
    let numbers: Vec<u16> = tokio::task::spawn_blocking(move || {
        rtp.set_read_timeout(Some(20 * SECOND)).unwrap();
        let mut buffer = [0; 2000];
        (0..60)
            .map(|_| rtp.recv(&mut buffer).map(|size| Packet::parse(&buffer[..size]).sequence).unwrap())
            .collect()
    })
    .await
    .unwrap();
    let swapped = numbers.windows(2).filter(|pair| pair[1] == pair[0].wrapping_sub(1)).count();
    assert!((5..25).contains(&swapped), "{numbers:?}");
    server.stop().await;
}

#[tokio::test]
async fn payloads_are_spoiled_cut_and_surrounded_by_noise() {
    let healthy = {
        let (server, _) = server(&[], 0);
        play(&server).await.pictures(10).await
    };
    let size = |pictures: &[Vec<Packet>]| {
        pictures.iter().flatten().map(|packet| packet.payload.len()).sum::<usize>()
    };

    let (spoiling, _) = server(&[Fault::Garbage(0.5)], 0);
    let spoiled = play(&spoiling).await.pictures(10).await;
    let pairs = || healthy.iter().flatten().zip(spoiled.iter().flatten());
    let differ = pairs().filter(|(a, b)| a.payload != b.payload).count();
    assert!((5..40).contains(&differ), "about half of {}: {differ}", pairs().count());
    assert!(pairs().all(|(a, b)| a.payload.len() == b.payload.len() && a.marker == b.marker));

    let (cutting, _) = server(&[Fault::Truncate(0.5)], 0);
    let cut = play(&cutting).await.pictures(10).await;
    assert!(size(&cut) < size(&healthy) * 9 / 10, "{} {}", size(&cut), size(&healthy));

    let (noisy, _) = server(&[Fault::Noise(0.5)], 0);
    let mut viewer = play(&noisy).await;
    let mut noise = 0;
    while noise == 0 {
        match viewer.next().await {
            Item::Noise(_) => noise += 1,
            Item::Closed => panic!("closed"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn another_picture_size_comes_in_mid_stream_and_another_codec_with_a_new_connection() {
    let (server, faults) = server(&[], 0);
    let mut viewer = play(&server).await;
    let mut last = viewer.pictures(3).await.concat().pop().unwrap();
    faults.begin(Fault::Switch(1));
    loop {
        let packet = viewer.packet().await;
        assert_eq!(packet.sequence, last.sequence.wrapping_add(1));
        let step = packet.timestamp.wrapping_sub(last.timestamp);
        assert!(step == 0 || step == 3600, "{step}");
        if packet.nal_types() == [7, 8] && packet.payload[6] == 40 {
            break;
        }
        last = packet;
    }
    faults.begin(Fault::Switch(2));
    viewer.closed().await;
    let (_, _, sdp) =
        Viewer::connect(&server.url("cam1").unwrap()).await.unwrap().ask("DESCRIBE", "", "").await;
    assert!(sdp.contains("H265/90000"), "{sdp}");
    faults.mend();
    let (_, _, sdp) =
        Viewer::connect(&server.url("cam1").unwrap()).await.unwrap().ask("DESCRIBE", "", "").await;
    assert!(sdp.contains("H264/90000"), "{sdp}");
    server.stop().await;
}

#[tokio::test]
async fn parameter_sets_and_key_pictures_are_left_out_when_told() {
    let (missing, _) = server(&[Fault::NoParameters, Fault::NoSprop], 0);
    let (_, _, sdp) =
        Viewer::connect(&missing.url("cam1").unwrap()).await.unwrap().ask("DESCRIBE", "", "").await;
    assert!(!sdp.contains("sprop"), "{sdp}");
    for packet in play(&missing).await.pictures(11).await.concat() {
        assert!(packet.nal_types().iter().all(|kind| matches!(kind, 1 | 5)));
    }
    let (late, _) = server(&[Fault::MidGop], 0);
    assert_eq!(play(&late).await.packet().await.nal_types(), [1]);
}

#[tokio::test]
async fn more_tracks_bring_silence_and_metadata() {
    let (server, _) = server(&[Fault::Audio, Fault::Metadata], 0);
    let mut viewer = Viewer::connect(&server.url("cam1").unwrap()).await.unwrap();
    for track in 0..3 {
        let channel = 2 * track;
        viewer.set_up(&format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel + 1), track).await;
    }
    viewer.ask("PLAY", "", "").await;
    let (mut audio, mut reports, mut metadata) = (vec![], vec![], vec![]);
    while audio.len() < 20 || reports.len() < 3 || metadata.is_empty() {
        match viewer.next().await {
            Item::Other(2, data) => audio.push(data),
            Item::Other(4, data) => metadata.push(data),
            Item::Other(channel, data) => reports.push((channel, data)),
            Item::Closed => panic!("closed"),
            _ => {}
        }
    }
    for (n, packet) in audio.iter().enumerate() {
        assert_eq!((packet.len(), packet[1], packet[12]), (172, 8, 0xd5));
        let timestamp = |packet: &[u8]| u32::from_be_bytes(packet[4..8].try_into().unwrap());
        assert_eq!(timestamp(packet), timestamp(&audio[0]).wrapping_add(n as u32 * 160));
    }
    assert!(metadata[0][12..].starts_with(b"<?xml"));
    let mut channels: Vec<u8> = reports.iter().map(|(channel, _)| *channel).collect();
    channels.sort_unstable();
    assert_eq!(channels[..3], [1, 3, 5]);
    server.stop().await;
}

/// NTP seconds since 1970 of the first sender report, if one comes with the first pictures.
async fn report(fault: Option<Fault>) -> Option<f64> {
    let (server, _) = server(fault.as_slice(), 0);
    let mut viewer = play(&server).await;
    let mut packets = 0;
    while packets < 30 {
        match viewer.next().await {
            Item::Other(1, data) => {
                let seconds = f64::from(u32::from_be_bytes(data[8..12].try_into().unwrap()));
                return Some(seconds - 2_208_988_800.0);
            }
            Item::Rtp(_) => packets += 1,
            _ => {}
        }
    }
    None
}

#[tokio::test]
async fn clocks_are_right_wrong_or_silent() {
    let now = jiff::Timestamp::now().as_second() as f64;
    let (right, wrong, silent) =
        tokio::join!(report(None), report(Some(Fault::Clock(-3600.0))), report(Some(Fault::NoRtcp)));
    assert!((-1.0..20.0).contains(&(right.unwrap() - now)), "{right:?} {now}");
    assert!((-1.0..20.0).contains(&(wrong.unwrap() + 3600.0 - now)), "{wrong:?} {now}");
    assert_eq!(silent, None);
}

#[tokio::test]
async fn timestamps_jump_and_pictures_come_late() {
    let (server, faults) = server(&[], 0);
    let mut viewer = play(&server).await;
    let mut last = viewer.packet().await.timestamp;
    for (seconds, ticks) in [(10.0, 900_000_i32), (-20.0, -1_800_000)] {
        faults.begin(Fault::Jump(seconds));
        let step = loop {
            let timestamp = viewer.packet().await.timestamp;
            let step = timestamp.wrapping_sub(last) as i32;
            last = timestamp;
            if step != 0 && step != 3600 {
                break step;
            }
        };
        assert!(step == ticks || step == ticks + 3600, "{step}");
    }
    faults.begin(Fault::Jitter(SECOND));
    let mut pauses = vec![];
    for _ in 0..25 {
        let waits = Instant::now();
        let picture = viewer.pictures(1).await;
        pauses.push(waits.elapsed());
        assert!(matches!(picture[0][0].timestamp.wrapping_sub(last), 0 | 3600), "order is kept");
        last = picture[0][0].timestamp;
    }
    assert!(pauses.iter().max() > Some(&(SECOND / 5)), "{pauses:?}");
    server.stop().await;
}

#[tokio::test]
async fn slow_replies_come_byte_by_byte() {
    let (server, faults) = server(&[Fault::Slow(Duration::from_millis(5))], 0);
    let mut viewer = Viewer::connect(&server.url("cam1").unwrap()).await.unwrap();
    // The first request tells the server which camera this is about.
    let began = Instant::now();
    let (status, headers, _) = viewer.ask("OPTIONS", "", "").await;
    assert_eq!(status, 200);
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    assert!(began.elapsed() >= Duration::from_millis(4) * bytes as u32, "{bytes} in {:?}", began.elapsed());
    viewer.set_up("RTP/AVP/TCP;unicast;interleaved=0-1", 0).await;
    assert_eq!(viewer.ask("PLAY", "", "").await.0, 200);
    viewer.pictures(2).await;
    faults.mend();
    assert_eq!(viewer.ask("GET_PARAMETER", "", "").await.0, 200);
    server.stop().await;
}
