//! Servers that are no cameras: whatever they answer, the camera's task goes on trying, and memory stays where it was.
//!
//! | class | bound | what happens |
//! |---|---|---|
//! | endless headers, endless body, a body that claims 4 GB | the time of one step, the bytes that come in it | given up, tried again with growing pauses |
//! | one byte a second (slow loris) | the time of one step | the same |
//! | nothing at all | the same | the same |
//! | redirects to itself | none is followed | the same; the password goes nowhere else |
//! | 200 to everything, with nothing in it | – | the same |
//! | 401 for ever, with a new nonce each time | a minute between attempts, then longer | `auth_failed` |
//! | interleaved data before anything was asked for | the time of one step | given up |
//! | random bytes | – | given up |

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gridwatch::camera::{self, Counters, Message};
use gridwatch::config::{Camera, Credentials, Secret};
use gridwatch::frame::CameraState;
use gridwatch::processor::resident_bytes;
use tokio::sync::{mpsc, watch};

/// What memory may grow by while three servers pour: what comes in until they are given up (ten seconds at some 15 MB/s each),
/// and what the allocator keeps of it.
const GROWTH_BYTES_MAX: u64 = 1 << 30;

/// Answers on a connection until the other side hangs up.
type Answer = fn(&mut TcpStream, &AtomicU64) -> std::io::Result<()>;

fn pour(stream: &mut TcpStream, start: &str, more: &[u8]) -> std::io::Result<()> {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request)?;
    stream.write_all(start.as_bytes())?;
    loop {
        stream.write_all(more)?;
        std::thread::sleep(Duration::from_millis(4)); // Some 15 MB/s: a camera's link.
    }
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

const SERVERS: [(&str, Answer); 10] = [
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
        for byte in b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n".iter().cycle() {
            stream.write_all(&[*byte])?;
            std::thread::sleep(Duration::from_secs(1));
        }
        Ok(())
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

async fn check(name: &str, answer: Answer) {
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
        stall_s: 2.0,
        ..Camera::plain("cam", format!("rtsp://{address}/cam").parse().unwrap())
    };
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
            Message::Unit(_) => panic!("{name}: a picture"),
        }
    };
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("{name}: {detail} after {:.1} s", began.elapsed().as_secs_f64());
    assert!(!detail.contains("Tr0ub4dor"), "{name}: {detail}");
    assert!(connections.load(Relaxed) < 12, "{name}: {} connections", connections.load(Relaxed));
    stop.send(true).unwrap();
    task.await.unwrap();
}

#[test]
fn no_server_stops_the_camera_or_fills_the_memory() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let before = resident_bytes();
    runtime.block_on(futures::future::join_all(SERVERS.map(|(name, answer)| check(name, answer))));
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more");
}
