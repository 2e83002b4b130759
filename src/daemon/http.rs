//! A very small HTTP server: answers GET, one request per connection, and lets nobody keep it busy.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::config::Secret;

/// Longest request: what browsers send to anybody is half of it.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// Most header lines.
const HEADERS_MAX: usize = 64;
/// Time for a whole conversation.
const PATIENCE: Duration = Duration::from_secs(5);
/// Conversations at once; the next waits until one is over, at most for the time of one.
const CONVERSATIONS_MAX: usize = 16;

/// What is sent back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code and its words: `200 OK`.
    pub status: &'static str,
    /// Type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A line of text.
    pub fn line(status: &'static str, text: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: format!("{text}\n") }
    }
}

/// Serves for ever; `answer` gets the path, and gives `None` if there is no such page. With a token, nothing is said to
/// whoever does not send `Authorization: Bearer TOKEN`.
pub async fn serve<A>(listener: TcpListener, token: Option<Secret>, answer: A)
where
    A: Fn(&str) -> Option<Answer> + Send + Sync + 'static,
{
    let shared = Arc::new((token, answer));
    let free = Arc::new(Semaphore::new(CONVERSATIONS_MAX));
    loop {
        let Ok(turn) = Arc::clone(&free).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("a connection to the metrics was not taken: {error}");
                sleep(Duration::from_secs(1)).await; // No file descriptors, perhaps: they do not come back at once.
                continue;
            }
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let (token, answer) = &*shared;
            let _ = timeout(PATIENCE, converse(stream, token.as_ref(), answer)).await;
            drop(turn);
        });
    }
}

async fn converse(
    mut stream: TcpStream,
    token: Option<&Secret>,
    answer: &impl Fn(&str) -> Option<Answer>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let said = loop {
        let mut some = [0; 1024];
        let count = stream.read(&mut some).await?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&some[..count]);
        if let Some(said) = reply(&request, token, answer) {
            break said;
        }
        if request.len() >= REQUEST_BYTES_MAX {
            break Answer::line("431 Request Header Fields Too Large", "too long");
        }
    };
    let Answer { status, content_type, body } = said;
    let length = body.len();
    let also = match &status[..3] {
        "401" => "WWW-Authenticate: Bearer\r\n",
        "405" => "Allow: GET\r\n",
        _ => "",
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{also}\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// What to say to these bytes; `None` while the request is not complete.
fn reply(bytes: &[u8], token: Option<&Secret>, answer: &impl Fn(&str) -> Option<Answer>) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return None,
        Err(httparse::Error::TooManyHeaders) => {
            return Some(Answer::line("431 Request Header Fields Too Large", "too many headers"));
        }
        Err(_) => return Some(Answer::line("400 Bad Request", "not HTTP")),
    }
    if token.is_some_and(|token| !is_allowed(request.headers, token)) {
        return Some(Answer::line("401 Unauthorized", "`Authorization: Bearer` with the token is wanted"));
    }
    if request.method != Some("GET") {
        return Some(Answer::line("405 Method Not Allowed", "only GET"));
    }
    let path = request.path.unwrap_or_default().split('?').next().unwrap_or_default();
    Some(answer(path).unwrap_or_else(|| Answer::line("404 Not Found", "no such page")))
}

fn is_allowed(headers: &[httparse::Header<'_>], token: &Secret) -> bool {
    let mut given = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("authorization"));
    let (Some(header), None) = (given.next(), given.next()) else { return false };
    let Some((scheme, said)) = header.value.split_at_checked("Bearer ".len()) else { return false };
    // Hashes, so that the time of comparing tells nothing.
    scheme.eq_ignore_ascii_case(b"Bearer ")
        && Sha256::digest(said.trim_ascii()) == Sha256::digest(token.reveal().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn pages(path: &str) -> Option<Answer> {
        (path == "/metrics").then(|| Answer::line("200 OK", "up 1"))
    }

    #[test]
    fn requests_and_their_answers() {
        let token = Secret::new("t0ken");
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
        for (request, token, want) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", None, Some("200")),
            ("GET /metrics?name[]=x HTTP/1.0\r\n\r\n", None, Some("200")),
            ("GET /metrics HTTP/1.1\r\nHost", None, None),
            ("", None, None),
            ("GET /../etc/passwd HTTP/1.1\r\n\r\n", None, Some("404")),
            ("POST /metrics HTTP/1.1\r\n\r\n", None, Some("405")),
            ("\x16\x03\x01\x02", None, Some("400")),
            ("GET /metrics\r\n\r\n", None, Some("400")),
            (&many, None, Some("431")),
            ("GET /metrics HTTP/1.1\r\n\r\n", Some(&token), Some("401")),
            ("GET /none HTTP/1.1\r\n\r\n", Some(&token), Some("401")),
            ("GET /metrics HTTP/1.1\r\nAuthorization: Bearer t0ken\r\n\r\n", Some(&token), Some("200")),
            ("GET /metrics HTTP/1.1\r\nauthorization: bearer t0ken\r\n\r\n", Some(&token), Some("200")),
            ("GET /metrics HTTP/1.1\r\nAuthorization: Bearer t0ke\r\n\r\n", Some(&token), Some("401")),
            ("GET /metrics HTTP/1.1\r\nAuthorization: Bearer t0ken2\r\n\r\n", Some(&token), Some("401")),
            ("GET /metrics HTTP/1.1\r\nAuthorization: Basic t0ken\r\n\r\n", Some(&token), Some("401")),
            ("GET /metrics HTTP/1.1\r\nAuthorization: B\r\n\r\n", Some(&token), Some("401")),
            (
                "GET /metrics HTTP/1.1\r\nAuthorization: Bearer x\r\nAuthorization: Bearer t0ken\r\n\r\n",
                Some(&token),
                Some("401"),
            ),
        ] {
            let got = reply(request.as_bytes(), token, &pages).map(|answer| &answer.status[..3]);
            assert_eq!(got, want, "{request:?}");
        }
    }

    /// Nobody keeps others out: neither who says nothing, nor who never ends, nor who hangs up.
    #[test]
    fn slow_and_endless_clients_do_not_block() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(serve(listener, None, pages));
        let connect = || std::net::TcpStream::connect(address).expect("connected");
        let silent: Vec<_> = (0..CONVERSATIONS_MAX + 4).map(|_| connect()).collect();
        let mut endless = connect();
        std::thread::spawn(move || while endless.write_all(&[b'a'; 512]).is_ok() {});
        drop(connect());
        let mut asker = connect();
        asker.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
        asker.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
        let mut said = String::new();
        asker.read_to_string(&mut said).expect("an answer");
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\nup 1\n"), "{said}");
        assert!(said.contains("Content-Length: 5\r\n") && said.contains("Connection: close\r\n"), "{said}");
        drop(silent);
    }
}
