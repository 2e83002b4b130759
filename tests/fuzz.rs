//! Mutations of what comes in from outside, for as long as asked:
//!
//! ```text
//! FUZZ_SECONDS=600 FUZZ_SEED=7 cargo test --release --test fuzz -- --ignored --nocapture --test-threads 1 [TARGET]
//! ```
//!
//! An input that leads to words not heard before is mutated further; built by `./dev fuzz [TARGET]`, so that the compiler counts
//! which branches are taken how often, also one that goes where none went before. Whatever panics, or takes longer than
//! [`EXECUTION_MAX`], is kept in a file that is named.

mod coverage;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gridwatch::camera::{self, Clip, Counters, Message};
use gridwatch::config::{self, Camera};
use gridwatch::decode::{Decoder, KeyDecoder};
use gridwatch::detect::family::{Family, Grid, Output};
use gridwatch::frame::{AccessUnit, CameraState, Captured, Clock, Codec};
use gridwatch::simulate::{self, Mount, Server, Source};
use tokio::sync::{mpsc, watch};

use coverage::Coverage;

/// Longest time that one input may take on a busy machine.
const EXECUTION_MAX: Duration = Duration::from_secs(20);
/// Inputs that are mutated: the newest take the place of the oldest that were found.
const CORPUS_MAX: usize = 2_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// One to six slips of a pen, a line or a program.
fn mutate(random: &mut fastrand::Rng, corpus: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..random.usize(1..=6) {
        let at = random.usize(..=bytes.len());
        let end = (at + random.usize(..=40)).min(bytes.len());
        match random.u8(..9) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.truncate(at.max(1)),
            2 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 1 << random.u8(..8)),
            3 => bytes[at..end].iter_mut().for_each(|byte| *byte = random.u8(..)),
            4 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            5 => {
                let other = &corpus[random.usize(..corpus.len())];
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..=400)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
            6 => {
                let number = [0, 1, 0xffff, 0x7fff_ffff, u64::from(u32::MAX), u64::MAX, 1 << random.u8(..64)];
                let text = number[random.usize(..number.len())].to_string();
                drop(bytes.splice(at..at, text.into_bytes()));
            }
            _ if words.is_empty() => bytes.extend_from_within(at..end),
            _ => drop(bytes.splice(at..at, words[random.usize(..words.len())].iter().copied())),
        }
    }
    bytes
}

/// Runs a target on mutations of the seeds; it gives what is said about each.
fn fuzz(target: &str, mut corpus: Vec<Vec<u8>>, words: &[&[u8]], mut run: impl FnMut(&[u8]) -> String) {
    let patience = Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(60));
    let seed = number("FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let (mut random, seeds) = (fastrand::Rng::with_seed(seed), corpus.len());
    let (mut said, mut executions, mut longest) = (HashSet::new(), 0u64, Duration::ZERO);
    let mut coverage = Coverage::new();
    let began = Instant::now();
    while began.elapsed() < patience {
        // The seeds themselves come first.
        let first = corpus.get(executions as usize).filter(|_| executions < seeds as u64).cloned();
        let input = first.unwrap_or_else(|| mutate(&mut random, &corpus, words));
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&input)));
        let took = start.elapsed();
        longest = longest.max(took);
        executions += 1;
        if outcome.is_err() || took > EXECUTION_MAX {
            let file = std::env::temp_dir().join(format!("gridwatch-{target}-{seed}-{executions}"));
            std::fs::write(&file, &input).unwrap();
            panic!(
                "{target}: the input in {} took {took:?} (seed {seed}, execution {executions})",
                file.display()
            );
        }
        let words: String =
            outcome.unwrap_or_default().chars().filter(|c| !c.is_ascii_digit()).take(160).collect();
        let new_words = said.insert(words);
        if coverage.grew() || new_words {
            let place =
                if corpus.len() < CORPUS_MAX { corpus.len() } else { random.usize(seeds..CORPUS_MAX) };
            corpus.truncate(CORPUS_MAX);
            if place == corpus.len() { corpus.push(input) } else { corpus[place] = input }
        }
    }
    println!(
        "{target}: {executions} executions in {:.0} s, {} different answers, {}, the longest {:.2} s, seed {seed}, no finding",
        began.elapsed().as_secs_f64(),
        said.len(),
        coverage,
        longest.as_secs_f64()
    );
}

fn units(name: &str) -> Vec<AccessUnit> {
    Clip::open(repository("tests/decode").join(name)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// All that a simulated camera sends in the first two seconds: answers, session description, packets.
fn recorded(name: &str) -> Vec<u8> {
    let mounts = vec![Mount::new("cam", Source::new(units(name)).unwrap())];
    let server = Server::start(simulate::Config { mounts, ..simulate::Config::default() }).unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtsp://{}/cam", proxy.local_addr().unwrap());
    let (out, _messages) = mpsc::channel(64);
    let (stop, stopped) = watch::channel(false);
    let camera = Camera::plain("cam", url.parse().unwrap());
    tokio::spawn(camera::run(Arc::new(camera), out, Arc::new(Counters::default()), stopped));
    let (mut here, _) = proxy.accept().unwrap();
    let mut there = TcpStream::connect(server.address()).unwrap();
    let (mut requests, mut answers) = (here.try_clone().unwrap(), there.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut requests, &mut answers));
    there.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let (began, mut bytes) = (Instant::now(), Vec::new());
    while began.elapsed() < Duration::from_secs(2) {
        let mut some = [0; 4096];
        if let Ok(count) = there.read(&mut some) {
            bytes.extend_from_slice(&some[..count]);
            here.write_all(&some[..count]).unwrap();
        }
    }
    stop.send(true).unwrap();
    assert!(bytes.len() > 2_000, "{} bytes of {name}", bytes.len());
    bytes
}

/// A camera's side of a connection: RTSP, SDP, RTP, RTCP, one after the other, then the end.
#[test]
#[ignore = "runs for FUZZ_SECONDS"]
fn conversation() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let seeds = ["b_frames.h264", "b_frames.h265", "main10.h265"].map(recorded).to_vec();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url: url::Url = format!("rtsp://{}/cam", listener.local_addr().unwrap()).parse().unwrap();
    let says: Arc<Mutex<Vec<u8>>> = Arc::default();
    let bytes = Arc::clone(&says);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let bytes = bytes.lock().unwrap().clone();
            // What is still asked is read, so that the end comes after all that was said.
            let _ = stream.write_all(&bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
            let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
            std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
        }
    });
    let words: [&[u8]; 24] = [
        b"\r\n",
        b"$\0\0\x10",
        b"$\x01\xff\xff",
        b"RTSP/1.0 200 OK\r\n",
        b"RTSP/1.0 401 X\r\n",
        b"CSeq: 2\r\n",
        b"Content-Length: ",
        b"Content-Base: rtsp://[::1]:99999/\r\n",
        b"Session: x;timeout=0\r\n",
        b"Transport: RTP/AVP/TCP;interleaved=",
        b"RTP-Info: url=*;seq=65536;rtptime=-1\r\n",
        b"WWW-Authenticate: Digest realm=\"",
        b"m=video 0 RTP/AVP 26\r\n",
        b"m=video 0 RTP/AVP 96\r\n",
        b"a=rtpmap:96 H265/90000\r\n",
        b"a=rtpmap:96 H264/0\r\n",
        b"a=fmtp:96 sprop-parameter-sets=,\r\n",
        b"a=control:rtsp://x\r\n",
        b"\x7c\x85",
        b"\x7c\x45",
        b"\x78\0\x01",
        b"\x62\x01",
        b"\x80\x60",
        b"\x80\xc8\0\x06",
    ];
    fuzz("conversation", seeds, &words, |input| {
        *says.lock().unwrap() = input.to_vec();
        runtime.block_on(async {
            let camera = Camera { stall_s: 3.0, ..Camera::plain("cam", url.clone()) };
            let (out, mut messages) = mpsc::channel(256);
            let (stop, stopped) = watch::channel(false);
            let task =
                tokio::spawn(camera::run(Arc::new(camera), out, Arc::new(Counters::default()), stopped));
            let (mut units, mut said) = (0, String::new());
            while let Ok(Some(message)) = tokio::time::timeout(EXECUTION_MAX, messages.recv()).await {
                match message {
                    Message::Unit(_) => units += 1,
                    Message::State { state, detail: Some(detail) } if state != CameraState::Online => {
                        said = detail;
                        break;
                    }
                    Message::State { .. } => {}
                }
            }
            let _ = stop.send(true);
            // Told by the supervisor in place of a panic: the camera goes on, but it is worth knowing.
            if said.contains("RTSP library failed") {
                println!("a panic in the RTSP library, of {} bytes", input.len());
            }
            task.await.unwrap();
            format!("{} pictures: {said}", units.min(3))
        })
    });
}

/// Compressed pictures: the first byte says which codec.
#[test]
#[ignore = "runs for FUZZ_SECONDS"]
fn pictures() {
    let mut seeds = Vec::new();
    for (codec, name) in
        ["b_frames.h264", "high422_10bit.h264", "b_frames.h265", "main10.h265", "odd.avi"].iter().enumerate()
    {
        for unit in units(name).iter().take(3) {
            seeds.push([&[codec as u8], &unit.data[..]].concat());
        }
    }
    let words: [&[u8]; 8] = [
        &[0, 0, 1],
        &[0, 0, 0, 1, 0x67],
        &[0, 0, 0, 1, 0x68],
        &[0, 0, 1, 0x65],
        &[0, 0, 1, 0x42, 1],
        &[0xff, 0xc0],
        &[0xff, 0xda],
        &[0, 0, 3],
    ];
    let mut keys = KeyDecoder::new();
    fuzz("pictures", seeds, &words, |input| {
        let (kind, data) = input.split_first().unwrap_or((&0, &[]));
        let codec = [Codec::H264, Codec::H264, Codec::H265, Codec::H265, Codec::Mjpeg][*kind as usize % 5];
        let captured =
            Captured { wall: jiff::Timestamp::UNIX_EPOCH, media: Duration::ZERO, clock: Clock::File };
        let unit =
            AccessUnit { captured, codec, key: true, after_loss: false, data: data.into(), pts_90k: 0 };
        let mut decoder = Decoder::new(codec).unwrap();
        let pictures = [decoder.decode(&unit), decoder.decode(&unit), decoder.finish()];
        let key = keys.decode(&unit);
        for picture in pictures.iter().flatten().flatten().chain(&key) {
            assert_eq!(picture.y.len(), picture.width * picture.height);
        }
        format!(
            "{:?} {:?}",
            key.map(|picture| picture.full_range),
            pictures.map(|one| one.map(|all| all.len()))
        )
    });
}

/// Outputs of a model: family, classes and shapes in the first bytes, then values.
#[test]
#[ignore = "runs for FUZZ_SECONDS"]
fn model_outputs() {
    const SIZES: [usize; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 21, 32, 36, 63, 64, 84];
    let seed = |family: u8, shapes: &[&[u8]]| {
        let mut bytes = vec![family, 1, shapes.len() as u8];
        shapes.iter().for_each(|shape| bytes.extend([&[shape.len() as u8], *shape].concat()));
        bytes.extend((0..600u32).flat_map(|i| ((i % 90) as f32 / 90.0).to_le_bytes()));
        bytes
    };
    let mut seeds = Vec::new();
    for family in 0..Family::ALL.len() as u8 {
        seeds.push(seed(family, &[&[1, 6, 10]]));
        seeds.push(seed(family, &[&[1, 10, 7]]));
        seeds.push(seed(family, &[&[1, 4, 6], &[1, 4, 4]]));
        seeds.push(seed(family, &[&[1, 9, 2], &[1, 9, 2], &[1, 4, 2], &[9, 11], &[4, 11], &[1, 11]]));
    }
    let words: [&[u8]; 5] = [
        &[0, 0, 0xc0, 0x7f],
        &[0, 0, 0x80, 0x7f],
        &[0xff, 0xff, 0x7f, 0x7f],
        &[0, 0, 0x80, 0xff],
        &[1, 0, 0, 0],
    ];
    fuzz("model_outputs", seeds, &words, |input| {
        let mut bytes = input.iter().copied().chain(std::iter::repeat(0));
        let mut next = || usize::from(bytes.next().unwrap_or(0));
        let family = Family::ALL[next() % Family::ALL.len()];
        let (classes, count) = (1 + next() % 4, next() % 9);
        let shapes: Vec<Vec<usize>> =
            (0..count).map(|_| (0..next() % 5).map(|_| SIZES[next() % SIZES.len()]).collect()).collect();
        let values: Vec<f32> =
            input.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        let outputs: Vec<Output> = shapes
            .into_iter()
            .map(|shape| {
                let wanted = shape.iter().product::<usize>().min(1 << 16);
                let values: Vec<f32> =
                    values.iter().copied().cycle().take(if values.is_empty() { 0 } else { wanted }).collect();
                Output { name: "boxes", shape, values: values.into() }
            })
            .collect();
        let found = family.decode(&outputs, Grid { width: 32, height: 32, classes }, 0.05);
        for candidate in found.iter().flatten() {
            assert!(candidate.corners.iter().all(|v| v.is_finite()) && candidate.class < classes);
        }
        match found {
            Ok(found) => format!("{family} {}", if found.is_empty() { "nothing" } else { "something" }),
            Err(error) => error.to_string(),
        }
    });
}

/// What is loaded of a directory with this file in it.
fn loaded(dir: &Path) -> String {
    match config::load(&dir.join("gridwatch.toml")) {
        Ok(loaded) => {
            let said: Vec<&str> =
                loaded.problems.iter().map(|problem| problem.message.as_str()).take(3).collect();
            format!("runs {}", said.concat())
        }
        Err(error) => error.problems().first().map(|problem| problem.message.clone()).unwrap_or_default(),
    }
}

/// A directory in memory, where there is such, with the files of the example.
fn example() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    for name in ["gridwatch.toml", "cameras.example.csv"] {
        std::fs::copy(repository("config").join(name), dir.path().join(name)).unwrap();
    }
    std::fs::write(dir.path().join("school-road.password"), "s3cret").unwrap();
    dir
}

/// The config file.
#[test]
#[ignore = "runs for FUZZ_SECONDS"]
fn config_file() {
    let dir = example();
    let whole = std::fs::read(dir.path().join("gridwatch.toml")).unwrap();
    // As it is, and with all that is commented out.
    let text = String::from_utf8(whole.clone()).unwrap().replace("\n# ", "\n");
    let small = b"[node]\nsite = \"a\"\nid = \"b\"\n[[camera]]\nid = \"c\"\nurl = \"rtsp://u:p@1.2.3.4/x\"\n[[zone]]\ncamera = \"c\"\nscenario = \"fire_lane\"\npolygon = [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9]]\nhours = [\"fri 22:00-06:00\"]\n";
    let words: [&[u8]; 16] = [
        b"\"",
        b"[[",
        b"]]",
        b" = ",
        b"\n[[zone]]\n",
        b"\n[groups.g.patrol]\n",
        b"1e400",
        b"nan",
        b"-1",
        b"\xef\xbb\xbf",
        "，".as_bytes(),
        b"1979-05-27",
        b"\"\"\"",
        b"{",
        b"\\u0000",
        "周五 7：00～9:00".as_bytes(),
    ];
    fuzz("config_file", vec![whole, text.into_bytes(), small.to_vec(), small.to_vec()], &words, |input| {
        std::fs::write(dir.path().join("gridwatch.toml"), input).unwrap();
        loaded(dir.path())
    });
}

/// The list of cameras.
#[test]
#[ignore = "runs for FUZZ_SECONDS"]
fn camera_list() {
    let dir = example();
    let text = "[node]\nsite = \"a\"\nid = \"b\"\n[[camera_list]]\nfile = \"cameras.example.csv\"\n";
    std::fs::write(dir.path().join("gridwatch.toml"), text).unwrap();
    let example = std::fs::read(dir.path().join("cameras.example.csv")).unwrap();
    let small = b"id,url,username,password,lon,lat,gb_code\nc,rtsp://1.2.3.4/,u,p,117.1,31.2,\n".to_vec();
    let gbk = encoding_rs::GB18030.encode("编号;地址;名称\nc;rtsp://1.2.3.4/;东门\n").0.into_owned();
    let words: [&[u8]; 9] =
        [b"\"", b"\"\"", b",", b";", b"\t", b"\r\n", b"sep=", b"\xef\xbb\xbf", b"\xff\xfe"];
    fuzz("camera_list", vec![example, small, gbk], &words, |input| {
        std::fs::write(dir.path().join("cameras.example.csv"), input).unwrap();
        loaded(dir.path())
    });
}
