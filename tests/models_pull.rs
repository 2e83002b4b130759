//! `gridwatch models pull` against an HTTP server of its own that answers as servers do on bad days.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use gridwatch::detect::{Card, Entry, PullError, catalogue, pull};
use sha2::{Digest, Sha256};

/// How the server answers one request.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// All of it, or the range that was asked for.
    Whole,
    /// At most this many bytes of what was asked for, then the connection ends.
    CutAfter(usize),
    /// All of it, whatever range was asked for.
    NoRange,
    /// Another file of the same size.
    Other,
    /// More bytes than there should be.
    TooLong,
    /// Only a status.
    Status(&'static str),
    /// To another path on the same server.
    Redirect,
}

/// The ranges that were asked for, in order; empty for none.
type Asked = Arc<Mutex<Vec<String>>>;

fn body() -> Vec<u8> {
    (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Serves `answers` in order, the last one for ever; returns the address.
fn serve(answers: Vec<Answer>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let log = asked.clone();
    // The thread ends with the test process.
    std::thread::spawn(move || {
        for (i, stream) in listener.incoming().flatten().enumerate() {
            let answer = answers[i.min(answers.len() - 1)];
            // Clients may hang up while we write: that is their right.
            let _ = respond(stream, answer, &log);
        }
    });
    (format!("http://{address}/model.onnx"), asked)
}

fn respond(mut stream: TcpStream, answer: Answer, log: &Asked) -> std::io::Result<()> {
    let mut range = String::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("range: ") {
            value.clone_into(&mut range);
        }
        if line.is_empty() {
            break;
        }
    }
    log.lock().unwrap().push(range.clone());
    let all = body();
    let start: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
    let mut send = |head: String, bytes: &[u8]| {
        let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(bytes)
    };
    let part = |length: usize| {
        let last = all.len() - 1;
        if start == 0 {
            format!("200 OK\r\nContent-Length: {length}")
        } else {
            format!(
                "206 Partial Content\r\nContent-Length: {length}\r\nContent-Range: bytes {start}-{last}/{}",
                all.len()
            )
        }
    };
    let rest = &all[start..];
    match answer {
        Answer::Whole => send(part(rest.len()), rest),
        Answer::CutAfter(n) => send(part(rest.len()), &rest[..n.min(rest.len())]),
        Answer::NoRange => send(format!("200 OK\r\nContent-Length: {}", all.len()), &all),
        Answer::Other => send(format!("200 OK\r\nContent-Length: {}", all.len()), &vec![7; all.len()]),
        Answer::TooLong => send("200 OK".into(), &[&all[..], &all[..]].concat()),
        Answer::Status(status) => send(format!("{status}\r\nContent-Length: 0"), &[]),
        Answer::Redirect => send("302 Found\r\nLocation: /elsewhere.onnx\r\nContent-Length: 0".into(), &[]),
    }
}

fn entry(urls: Vec<String>) -> Entry {
    let body = body();
    let sha256 = hex::encode(Sha256::digest(&body));
    Entry { name: "tiny".into(), bytes: body.len() as u64, sha256, urls, ..catalogue().remove(0) }
}

fn fetch(dir: &Path, answers: Vec<Answer>) -> (Result<std::path::PathBuf, PullError>, Vec<String>) {
    let (url, asked) = serve(answers);
    let result = pull(&entry(vec![url]), dir, |_| {});
    let asked = asked.lock().unwrap().clone();
    (result, asked)
}

/// Fetches into an empty directory and expects the model, its card, and no remains.
#[track_caller]
fn arrives(dir: &Path, answers: Vec<Answer>) -> Vec<String> {
    let (result, asked) = fetch(dir, answers);
    let file = result.unwrap();
    assert!(std::fs::read(&file).unwrap() == body(), "other bytes");
    let card = Card::beside(&file).unwrap().unwrap();
    assert_eq!((card.name.as_str(), card.file.as_str(), card.classes.len()), ("tiny", "tiny.onnx", 80));
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 2, "something was left over");
    asked
}

#[test]
fn whole() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(arrives(dir.path(), vec![Answer::Whole]), [""]);
    // A second time: nothing is asked for.
    assert!(arrives(dir.path(), vec![Answer::Status("500 Oops")]).is_empty());
}

#[test]
fn a_redirect_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    arrives(dir.path(), vec![Answer::Redirect, Answer::Whole]);
}

#[test]
fn resumed_after_cuts_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let asked = arrives(dir.path(), vec![Answer::CutAfter(100_000), Answer::CutAfter(50_000), Answer::Whole]);
    assert_eq!(asked, ["", "bytes=100000-", "bytes=150000-"]);

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tiny.onnx.part"), &body()[..1234]).unwrap();
    assert_eq!(arrives(dir.path(), vec![Answer::Whole]), ["bytes=1234-"]);
}

#[test]
fn servers_without_ranges_start_over() {
    let dir = tempfile::tempdir().unwrap();
    let asked = arrives(dir.path(), vec![Answer::CutAfter(100_000), Answer::NoRange]);
    assert_eq!(asked, ["", "bytes=100000-"]);
    let dir = tempfile::tempdir().unwrap();
    let refusal = Answer::Status("416 Range Not Satisfiable");
    let asked = arrives(dir.path(), vec![Answer::CutAfter(100_000), refusal, Answer::Whole]);
    assert_eq!(asked, ["", "bytes=100000-", ""]);
}

#[test]
fn spoilt_remains_are_fetched_again() {
    for spoilt in [vec![1; 5000], vec![1; 300_000], vec![1; 400_000]] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tiny.onnx.part"), spoilt).unwrap();
        arrives(dir.path(), vec![Answer::Whole]);
    }
}

#[test]
fn failures_are_named_and_leave_nothing_that_looks_like_a_model() {
    let check = |answers: Vec<Answer>, wants: &[&str], part_stays: bool| {
        let dir = tempfile::tempdir().unwrap();
        let what = format!("{answers:?}");
        let (result, _) = fetch(dir.path(), answers);
        let error = result.unwrap_err().to_string();
        assert!(wants.iter().all(|w| error.contains(w)), "{what}: {error}");
        assert!(!dir.path().join("tiny.onnx").exists(), "{what}");
        let part = dir.path().join("tiny.onnx.part");
        let length = std::fs::metadata(part).map_or(0, |m| m.len());
        assert_eq!(length > 0, part_stays, "{what}");
    };
    check(vec![Answer::Status("404 Not Found")], &["404", "hint:", "moved"], false);
    check(vec![Answer::Status("403 Forbidden")], &["403", "hint:"], false);
    check(vec![Answer::Status("503 Busy")], &["503", "later"], false);
    check(vec![Answer::Other], &["sha256", "another file"], false);
    check(vec![Answer::TooLong], &["more than the 300000 bytes"], false);
    check(vec![Answer::CutAfter(10_000)], &["broke off after 50000 of 300000", "hint:"], true);
}

#[test]
fn the_next_address_is_tried() {
    let (gone, _) = serve(vec![Answer::Status("404 Not Found")]);
    let (other, _) = serve(vec![Answer::Other]);
    let (good, _) = serve(vec![Answer::Whole]);
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut most = 0;
    let urls = vec![gone, format!("http://{unused}/refused"), other, good];
    let file = pull(&entry(urls), dir.path(), |done| most = most.max(done)).unwrap();
    assert!(std::fs::read(file).unwrap() == body());
    assert_eq!(most, 300_000);
}

#[test]
fn an_operators_own_file_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tiny.onnx"), "mine").unwrap();
    let (result, asked) = fetch(dir.path(), vec![Answer::Whole]);
    assert!(matches!(result, Err(PullError::InTheWay(_))) && asked.is_empty());
}

#[test]
fn unwritable_places_are_named() {
    let (url, _) = serve(vec![Answer::Whole]);
    let dir = tempfile::tempdir().unwrap();
    let in_the_way = dir.path().join("file");
    std::fs::write(&in_the_way, "").unwrap();
    let error = pull(&entry(vec![url.clone()]), &in_the_way, |_| {}).unwrap_err();
    assert!(matches!(error, PullError::Write { .. }), "{error}");
    // A device that is always full stands in for a full disk.
    if Path::new("/dev/full").exists() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("tiny.onnx.part")).unwrap();
        let error = pull(&entry(vec![url]), dir.path(), |_| {}).unwrap_err();
        assert!(matches!(error, PullError::DiskFull { .. }), "{error}");
        assert!(error.to_string().contains("hint:"), "{error}");
    }
}
