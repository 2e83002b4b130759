//! Servers that are no cameras: whatever they answer, the camera's task goes on trying, and memory stays where it was.
//!
//! What each class of them costs and where its bound is, is in the table of `tests/README.md`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use gridwatch::camera::{self, Counters, Message};
use gridwatch::config::{Camera, Credentials, Secret, Transport};
use gridwatch::frame::CameraState;
use gridwatch::processor::resident_bytes;
use tokio::sync::{mpsc, watch};

/// What memory may grow by while all of them pour at some 15 MB/s each: `camera/flood.rs` gives them up as soon as the process
/// has grown by 64 MiB, and then they are tried again; and what the allocator keeps of it.
const GROWTH_BYTES_MAX: u64 = 384 << 20;

/// Longest time for which all of them together may keep everybody else from being served. Generous: the machine may be busy.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Answers on a connection until the other side hangs up.
type Answer = fn(&mut TcpStream, &AtomicU64) -> std::io::Result<()>;

fn pour(stream: &mut TcpStream, start: &str, more: &[u8]) -> std::io::Result<()> {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request)?;
    stream.write_all(start.as_bytes())?;
    pour_more(stream, more)
}

fn pour_more(stream: &mut TcpStream, more: &[u8]) -> std::io::Result<()> {
    loop {
        stream.write_all(more)?;
        std::thread::sleep(Duration::from_millis(4)); // Some 15 MB/s: a camera's link.
    }
}

fn drip(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes.iter().cycle() {
        stream.write_all(&[*byte])?;
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

fn cseq(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with("cseq:"));
    line.and_then(|line| line.split(':').nth(1)).unwrap_or("0").trim().to_owned()
}

/// Answers every request with the same lines.
fn always(stream: &mut TcpStream, status: &str, headers: &str) -> std::io::Result<()> {
    let mut request = [0; 4096];
    loop {
        let count = stream.read(&mut request)?;
        if count == 0 {
            return Ok(());
        }
        let cseq = cseq(&request[..count]);
        write!(stream, "RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{headers}\r\n")?;
    }
}

/// Where those who are sent elsewhere would come: nobody may.
fn elsewhere() -> (u16, &'static AtomicU64) {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    static PORT: OnceLock<u16> = OnceLock::new();
    let port = PORT.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            listener.incoming().flatten().for_each(|_| _ = CALLS.fetch_add(1, Relaxed));
        });
        port
    });
    (*port, &CALLS)
}

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n\
    a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:t\r\n";

/// Answers like a camera until PLAY is answered; `headers` are sent with every answer.
fn play(stream: &mut TcpStream, headers: &str, sdp: &str) -> std::io::Result<()> {
    let mut request = [0; 4096];
    loop {
        let count = stream.read(&mut request)?;
        let text = String::from_utf8_lossy(&request[..count]).into_owned();
        let cseq = cseq(text.as_bytes());
        let method = text.split(' ').next().unwrap_or_default();
        let (more, body) = match method {
            "" => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            "DESCRIBE" => ("Content-Type: application/sdp\r\n", sdp),
            "SETUP" if text.contains("interleaved") => {
                ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n", "")
            }
            "SETUP" => {
                ("Transport: RTP/AVP/UDP;unicast;client_port=50000-50001;server_port=50002-50003\r\n", "")
            }
            _ => ("", ""),
        };
        write!(
            stream,
            "RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nSession: 1;timeout=4294967295\r\n{headers}{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        if method == "PLAY" {
            return Ok(());
        }
    }
}

/// An interleaved RTP packet (RFC 2326 section 10.12, RFC 3550 section 5.1).
fn packet(sequence: u16, timestamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
    let mut rtp = vec![0x80, 0x60 | u8::from(marker) << 7];
    rtp.extend(sequence.to_be_bytes());
    rtp.extend(timestamp.to_be_bytes());
    rtp.extend([0, 0, 0, 1]);
    rtp.extend(payload);
    let length = (rtp.len() as u16).to_be_bytes();
    [&[b'$', 0], &length[..], &rtp].concat()
}

/// Sends packets for ever, with this pause between them.
fn send(
    stream: &mut TcpStream,
    pause: Duration,
    payload: impl Fn(u32) -> (u32, bool, Vec<u8>),
) -> std::io::Result<()> {
    play(stream, "", SDP)?;
    for n in 0.. {
        let (timestamp, marker, payload) = payload(n);
        stream.write_all(&packet(n as u16, timestamp, marker, &payload))?;
        std::thread::sleep(pause);
    }
    Ok(())
}

const SERVERS: [(&str, Answer); 20] = [
    ("an endless picture", |stream, _| {
        // Fragments of one NAL unit (FU-A, RFC 6184 section 5.8), without the last.
        send(stream, Duration::from_millis(2), |n| {
            (0, false, [&[0x7c, if n == 0 { 0x85 } else { 0x05 }][..], &[7; 30_000]].concat())
        })
    }),
    ("fragments in the wrong order", |stream, _| {
        // End, middle, start, start, middle, end, middle; and so on.
        const ORDER: [u8; 7] = [0x45, 0x05, 0x85, 0x85, 0x05, 0x45, 0x05];
        send(stream, Duration::from_millis(20), |n| {
            (n / 7 * 3600, n % 7 == 6, vec![0x7c, ORDER[n as usize % 7], 7, 7, 7, 7])
        })
    }),
    ("a byte a second after PLAY", |stream, _| {
        play(stream, "", SDP)?;
        drip(stream, b"$\0\x40\0")
    }),
    ("a body, a byte a second", |stream, _| {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request)?;
        stream.write_all(
            b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: 4000\r\n\r\n",
        )?;
        drip(stream, SDP.as_bytes())
    }),
    ("an SDP of 50,000 streams", |stream, _| {
        play(
            stream,
            "",
            &format!(
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{}",
                "m=audio 0 RTP/AVP 0\r\n".repeat(50_000)
            ),
        )
    }),
    ("an SDP of 8 MB in a line", |stream, _| {
        play(
            stream,
            "",
            &format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns={}\r\nt=0 0\r\n", "x".repeat(8 << 20)),
        )
    }),
    ("answers to other questions", |stream, _| {
        let mut request = [0; 4096];
        while stream.read(&mut request)? > 0 {
            stream.write_all(b"RTSP/1.0 200 OK\r\nCSeq: 4711\r\n\r\n")?;
        }
        Ok(())
    }),
    ("a digest that nobody knows", |stream, _| {
        always(
            stream,
            "401 Unauthorized",
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=KECCAK-9\r\n",
        )
    }),
    ("a login of another kind", |stream, _| {
        always(stream, "401 Unauthorized", "WWW-Authenticate: \u{1}Negotiate oYH1MIHy, =,,\"\r\n")
    }),
    ("redirects to another server", |stream, _| {
        always(stream, "301 Moved", &format!("Location: rtsp://127.0.0.1:{}/cam\r\n", elsewhere().0))
    }),
    ("endless headers", |stream, _| pour(stream, "RTSP/1.0 200 OK\r\nX: ", &[b'a'; 65_536])),
    ("endless header lines", |stream, _| pour(stream, "RTSP/1.0 200 OK\r\n", &b"X: y\r\n".repeat(10_000))),
    ("a body of 4 GB", |stream, _| {
        pour(stream, "RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 4000000000\r\n\r\n", &[b'v'; 65_536])
    }),
    ("interleaved data", |stream, _| pour(stream, "", &[&b"$\x00\x40\x00"[..], &[0; 16_384]].concat())),
    ("random bytes", |stream, _| {
        let noise: Vec<u8> = (0..65_536).map(|_| fastrand::u8(..)).collect();
        pour(stream, "", &noise)
    }),
    ("a byte a second", |stream, _| {
        drip(stream, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n")
    }),
    ("nothing", |stream, _| {
        let mut request = [0; 1024];
        while stream.read(&mut request)? > 0 {}
        Ok(())
    }),
    ("redirects to itself", |stream, _| {
        let to = stream.local_addr()?;
        always(stream, "302 Moved", &format!("Location: rtsp://{to}/cam\r\n"))
    }),
    ("yes to everything", |stream, _| always(stream, "200 OK", "")),
    ("401 for ever", |stream, asked| {
        let nonce = asked.fetch_add(1, Relaxed);
        let digest = format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"{nonce}\"\r\n");
        always(stream, "401 Unauthorized", &digest)
    }),
];

/// A server that answers like this, how often it was called, and a camera there.
fn serve(answer: Answer) -> (Camera, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&connections);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || {
                let asked = AtomicU64::new(count.fetch_add(1, Relaxed));
                let _ = answer(&mut stream, &asked); // The other side has hung up.
            });
        }
    });
    let camera = Camera {
        credentials: Some(Credentials { username: "viewer".into(), password: Secret::new("Tr0ub4dor") }),
        ring_bytes_max: 1 << 20,
        stall_s: 8.0,
        ..Camera::plain("cam", format!("rtsp://{address}/cam").parse().unwrap())
    };
    (camera, connections)
}

async fn check(name: &str, answer: Answer) {
    let (camera, connections) = serve(answer);
    let (out, mut messages) = mpsc::channel(256);
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(camera::run(Arc::new(camera), out, Arc::new(Counters::default()), stopped));
    // The first word is that it is being connected to; the next tells what is wrong.
    let began = Instant::now();
    let detail = loop {
        let left = Duration::from_secs(90).saturating_sub(began.elapsed());
        let message = tokio::time::timeout(left, messages.recv()).await;
        match message.unwrap_or_else(|_| panic!("{name}: nothing is said")).expect("the task goes on") {
            Message::State { detail: Some(detail), state } if state != CameraState::Online => break detail,
            Message::State { .. } => {}
            Message::Unit(unit) => assert!(!unit.key, "{name}: a picture"),
        }
    };
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("{name}: {detail} after {:.1} s", began.elapsed().as_secs_f64());
    assert!(!detail.contains("Tr0ub4dor") && detail.chars().count() <= 301, "{name}: {detail}");
    assert!(connections.load(Relaxed) < 12, "{name}: {} connections", connections.load(Relaxed));
    stop.send(true).unwrap();
    task.await.unwrap();
}

/// The longest time in which something else that has to be done every few milliseconds was not.
async fn longest_pause(over: Arc<AtomicBool>) -> Duration {
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    while !over.load(Relaxed) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    longest
}

#[test]
fn no_server_stops_the_camera_or_fills_the_memory() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let before = resident_bytes();
    let over = Arc::new(AtomicBool::new(false));
    let pause = runtime.spawn(longest_pause(Arc::clone(&over)));
    runtime.block_on(async {
        // Each on a task of its own, as in the daemon.
        let checks = SERVERS.map(|(name, answer)| tokio::spawn(check(name, answer)));
        for outcome in futures::future::join_all(checks).await {
            outcome.unwrap();
        }
        over.store(true, Relaxed);
    });
    let pause = runtime.block_on(pause).unwrap();
    println!("the longest pause of everybody else: {:.2} s", pause.as_secs_f64());
    assert!(pause < PAUSE_MAX, "{pause:?}");
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more");
}

/// A camera that calls itself by another address, behind address translation: when the session is over, nobody goes there,
/// and least of all with the password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_leave_of_another_server() {
    let (camera, connections) = serve(|stream, asked| {
        let (port, _) = elsewhere();
        if asked.load(Relaxed) == 0 {
            // So that there is something to send along.
            let mut request = [0; 4096];
            let count = stream.read(&mut request)?;
            let cseq = cseq(&request[..count]);
            write!(
                stream,
                "RTSP/1.0 401 Who\r\nCSeq: {cseq}\r\nWWW-Authenticate: Basic realm=\"r\"\r\n\r\n"
            )?;
        }
        play(stream, &format!("Content-Base: rtsp://127.0.0.1:{port}/cam/\r\n"), SDP)
    });
    for transport in [Transport::Udp, Transport::Tcp] {
        let camera = Camera { transport, ..camera.clone() };
        let (out, mut messages) = mpsc::channel(256);
        let (stop, stopped) = watch::channel(false);
        let before = connections.load(Relaxed);
        let task = tokio::spawn(camera::run(Arc::new(camera), out, Arc::new(Counters::default()), stopped));
        let began = Instant::now();
        while connections.load(Relaxed) < before + 4 {
            assert!(began.elapsed() < Duration::from_secs(60), "it is not tried again");
            let _ = tokio::time::timeout(Duration::from_millis(100), messages.recv()).await;
        }
        stop.send(true).unwrap();
        task.await.unwrap();
    }
    // The library would try after five seconds at the latest.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(elsewhere().1.load(Relaxed), 0, "calls at the other server");
}

/// A session that is to last for a century, of a server that does not let it be ended: few are taken leave of at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_cannot_be_ended_do_not_pile_up() {
    static OPEN: AtomicU64 = AtomicU64::new(0);
    let (camera, connections) = serve(|stream, _| {
        OPEN.fetch_add(1, Relaxed);
        let played = play(stream, "", SDP);
        // Neither another request nor the end is answered; the connection stays until the other side closes it.
        if played.is_ok() {
            stream.write_all(b"no RTSP at all\r\n\r\n")?;
            let mut request = [0; 4096];
            while stream.read(&mut request).is_ok_and(|count| count > 0) {}
        }
        OPEN.fetch_sub(1, Relaxed);
        played
    });
    let camera = Camera { transport: Transport::Udp, ..camera };
    let (out, mut messages) = mpsc::channel(256);
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(camera::run(Arc::new(camera), out, Arc::new(Counters::default()), stopped));
    let (began, mut most) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(40) {
        most = most.max(OPEN.load(Relaxed));
        let _ = tokio::time::timeout(Duration::from_millis(50), messages.recv()).await;
    }
    println!("{} connections, at most {most} at a time", connections.load(Relaxed));
    // Four that are taken leave of, each on its old or a new connection, and the one that is tried.
    assert!(most <= 9, "{most} connections at a time");
    stop.send(true).unwrap();
    task.await.unwrap();
}
