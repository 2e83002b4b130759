//! One RTSP connection: requests in, replies and interleaved packets out (RFC 2326).

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rtsp_types::headers::{
    AUTHORIZATION, CONTENT_BASE, CONTENT_TYPE, CSEQ, PUBLIC, RANGE, RTP_INFO, SERVER, SESSION, TRANSPORT,
    Transports, WWW_AUTHENTICATE,
};
use rtsp_types::{Message, Method, ParseError, Request, Response, ResponseBuilder, StatusCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::auth;
use super::counters::count;
use super::fault::Condition;
use super::sdp;
use super::server::{Camera, Site};
use super::session::Session;
use super::track::Kind;
use super::transport::Route;

/// Bytes of a request; real ones stay below 2 KiB.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// How long a viewer may be silent above the promised timeout, since keep-alives are sent close to it.
const TIMEOUT_GRACE: Duration = Duration::from_secs(5);
/// How often a connection looks at its timeout and at datagrams from its viewer.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// One RTSP connection.
pub(super) struct Connection {
    site: Arc<Site>,
    local: IpAddr,
    peer: IpAddr,
    began: Instant,
    /// When the viewer was last heard of.
    heard: Instant,
    nonce: String,
    inbox: Vec<u8>,
    out: Vec<u8>,
    /// Bytes of `out` already sent.
    sent: usize,
    /// Replies that drip out byte by byte; media waits behind them.
    dripping: Vec<u8>,
    drip_at: Instant,
    watched: Option<Watched>,
    session: Option<Session>,
}

/// The camera that a connection is about.
struct Watched {
    camera: Arc<Camera>,
    condition: watch::Receiver<Condition>,
    /// How often the camera had closed its connections when this one found it.
    disconnects: u64,
}

type Flow = ControlFlow<()>;

impl Connection {
    /// A connection that was just taken.
    pub fn new(site: Arc<Site>, stream: &TcpStream) -> std::io::Result<Self> {
        // Small packets must not wait for acknowledgements.
        stream.set_nodelay(true)?;
        let now = Instant::now();
        Ok(Self {
            local: stream.local_addr()?.ip(),
            peer: stream.peer_addr()?.ip(),
            nonce: site.nonce(),
            site,
            began: now,
            heard: now,
            inbox: Vec::new(),
            out: Vec::new(),
            sent: 0,
            dripping: Vec::new(),
            drip_at: now,
            watched: None,
            session: None,
        })
    }

    /// Serves until one side closes, the viewer falls silent, a fault says so, or `stop` changes.
    pub async fn serve(mut self, mut stream: TcpStream, mut stop: watch::Receiver<bool>) {
        let (mut reader, mut writer) = stream.split();
        let timer = sleep_until(self.began);
        tokio::pin!(timer);
        loop {
            // The answer may be about another camera than before, so its condition is asked for afterwards.
            if self.answer_all().is_break() {
                return;
            }
            let condition = self.condition();
            if self.advance(Instant::now(), &condition).is_break() {
                return;
            }
            timer.as_mut().reset(self.wake(&condition));
            self.inbox.reserve(4096);
            let changed = async {
                match &mut self.watched {
                    // The sender lives as long as the camera, which `Watched` holds.
                    Some(watched) => watched.condition.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stop.changed() => return,
                read = reader.read_buf(&mut self.inbox), if !condition.hangs => match read {
                    Ok(1..) => {
                        self.heard = Instant::now();
                    }
                    _ => return,
                },
                written = writer.write(&self.out[self.sent..]), if self.sent < self.out.len() && !condition.hangs => {
                    match written {
                        Ok(bytes @ 1..) => self.sent += bytes,
                        _ => return,
                    }
                    if self.sent == self.out.len() {
                        self.out.clear();
                        self.sent = 0;
                    }
                }
                () = &mut timer => {}
                _ = changed => {}
            }
        }
    }

    /// What is wrong with the camera now.
    fn condition(&mut self) -> Condition {
        self.watched
            .as_mut()
            .map_or_else(Condition::default, |watched| watched.condition.borrow_and_update().clone())
    }

    /// When there is something to do without being asked.
    fn wake(&self, condition: &Condition) -> Instant {
        let mut wake = Instant::now() + HOUSEKEEPING;
        if let Some(every) = condition.disconnect_every {
            wake = wake.min(self.began + every);
        }
        if condition.hangs {
            return wake;
        }
        if !self.dripping.is_empty() {
            return wake.min(self.drip_at);
        }
        self.session.as_ref().and_then(|session| session.due(condition)).map_or(wake, |due| wake.min(due))
    }

    fn advance(&mut self, now: Instant, condition: &Condition) -> Flow {
        let closed =
            self.watched.as_ref().is_some_and(|watched| watched.disconnects != condition.disconnects);
        if closed || condition.disconnect_every.is_some_and(|every| self.began + every <= now) {
            return Flow::Break(());
        }
        if condition.hangs {
            return Flow::Continue(());
        }
        if self.sent > self.out.len() / 2 {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        if !self.dripping.is_empty() {
            if self.drip_at <= now {
                let bytes = if condition.slow.is_some() { 1 } else { self.dripping.len() };
                self.out.extend(self.dripping.drain(..bytes));
                self.drip_at = now + condition.slow.unwrap_or_default();
            }
            return Flow::Continue(());
        }
        let Some(session) = &mut self.session else { return Flow::Continue(()) };
        if now.saturating_duration_since(self.heard) > HOUSEKEEPING && session.heard() {
            self.heard = now;
        }
        if now.saturating_duration_since(self.heard) > self.site.session_timeout + TIMEOUT_GRACE {
            return Flow::Break(());
        }
        if session.advance(now, condition, &mut self.out) { Flow::Continue(()) } else { Flow::Break(()) }
    }

    /// Answers every whole request in the inbox.
    fn answer_all(&mut self) -> Flow {
        while !self.inbox.is_empty() {
            let (message, used) = match Message::<Vec<u8>>::parse(&self.inbox) {
                Ok(parsed) => parsed,
                Err(ParseError::Incomplete(_)) if self.inbox.len() < REQUEST_BYTES_MAX => {
                    return Flow::Continue(());
                }
                Err(_) => return Flow::Break(()),
            };
            // Interleaved data from the viewer is a receiver report: it says that the viewer lives, no more.
            let Message::Request(request) = message else {
                self.inbox.drain(..used);
                continue;
            };
            self.watch(&request);
            if self.condition().hangs {
                return Flow::Continue(());
            }
            self.inbox.drain(..used);
            let Some(response) = self.answer(&request) else { return Flow::Break(()) };
            let mut bytes = Vec::new();
            // Writing to memory fails only for bodies that do not match their length, which `build` prevents.
            if response.write(&mut bytes).is_err() {
                return Flow::Break(());
            }
            if self.condition().slow.is_some() || !self.dripping.is_empty() {
                self.dripping.extend(bytes);
            } else {
                self.out.extend(bytes);
            }
        }
        Flow::Continue(())
    }

    /// Follows the condition of the camera that a request is about.
    fn watch(&mut self, request: &Request<Vec<u8>>) {
        let found = request.request_uri().and_then(|url| self.site.find(url.path()));
        if let Some((camera, _)) = found
            && self.watched.as_ref().is_none_or(|watched| !Arc::ptr_eq(&watched.camera, &camera))
        {
            let condition = camera.faults.watch();
            let disconnects = condition.borrow().disconnects;
            self.watched = Some(Watched { camera, condition, disconnects });
        }
    }

    /// The reply to a request; `None`: the connection is closed instead.
    fn answer(&mut self, request: &Request<Vec<u8>>) -> Option<Response<Vec<u8>>> {
        let reply = |status| {
            let reply = Response::builder(Version::V1_0, status).header(SERVER, "gridwatch simulate");
            match request.header(&CSEQ) {
                Some(sequence) => reply.header(CSEQ, sequence.as_str()),
                None => reply,
            }
        };
        let status = |status| Some(reply(status).build(Vec::new()));
        if request.header(&CSEQ).is_none() {
            return status(StatusCode::BadRequest);
        }
        let found = request.request_uri().and_then(|url| self.site.find(url.path()));
        let condition = self.condition();
        if condition.refuses {
            return None;
        }
        if *request.method() == Method::Options {
            const METHODS: &str =
                "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER";
            return Some(reply(StatusCode::Ok).header(PUBLIC, METHODS).build(Vec::new()));
        }
        let Some((camera, track)) = found else { return status(StatusCode::NotFound) };
        // The camera's own URL stands for its first track (RFC 2326 appendix C.1.1).
        let kind = if track.is_empty() { Some(Kind::Video) } else { kind(track, &condition) };
        let Some(kind) = kind else { return status(StatusCode::NotFound) };
        if !self.admitted(request, &condition) {
            count(&self.site.counters.unauthorized, 1);
            let challenge = auth::challenge(self.site.scheme, &self.nonce);
            return Some(
                reply(StatusCode::Unauthorized).header(WWW_AUTHENTICATE, challenge).build(Vec::new()),
            );
        }
        let session_id = request.header(&SESSION).map(|id| id.as_str().split(';').next().unwrap_or_default());
        if session_id.is_some() && session_id != self.session.as_ref().map(|session| &*session.id) {
            return status(StatusCode::SessionNotFound);
        }
        let base_url = self.site.url(&camera);
        match request.method() {
            Method::Describe => {
                let source = camera.source(condition.source);
                let sdp = sdp::describe(source, !condition.no_sprop, &kinds(&condition));
                let reply = reply(StatusCode::Ok)
                    .header(CONTENT_TYPE, "application/sdp")
                    .header(CONTENT_BASE, format!("{base_url}/"));
                Some(reply.build(sdp.into_bytes()))
            }
            Method::Setup => Some(self.set_up(request, camera, kind, reply)),
            Method::Play => {
                let Some(session) = self.session.as_mut().filter(|session| session.ready()) else {
                    return status(StatusCode::SessionNotFound);
                };
                let info = session.play(Instant::now(), &condition, &base_url);
                let reply = reply(StatusCode::Ok)
                    .header(SESSION, session.id.as_str())
                    .header(RANGE, "npt=now-")
                    .header(RTP_INFO, info);
                Some(reply.build(Vec::new()))
            }
            Method::Pause | Method::Teardown if self.session.is_none() => status(StatusCode::SessionNotFound),
            Method::Pause => {
                self.session.as_mut()?.pause();
                status(StatusCode::Ok)
            }
            Method::Teardown => {
                self.session = None;
                status(StatusCode::Ok)
            }
            // Keep-alives.
            Method::GetParameter | Method::SetParameter => status(StatusCode::Ok),
            _ => status(StatusCode::NotImplemented),
        }
    }

    fn admitted(&self, request: &Request<Vec<u8>>, condition: &Condition) -> bool {
        let Some(credentials) = &self.site.credentials else { return !condition.unauthorized };
        if condition.unauthorized {
            return false;
        }
        let uri = request.request_uri().map_or("*", |url| url.as_str());
        request.header(&AUTHORIZATION).is_some_and(|header| {
            let method: &str = request.method().into();
            auth::admits(self.site.scheme, credentials, &self.nonce, method, uri, header.as_str())
        })
    }

    fn set_up(
        &mut self,
        request: &Request<Vec<u8>>,
        camera: Arc<Camera>,
        kind: Kind,
        reply: impl Fn(StatusCode) -> ResponseBuilder,
    ) -> Response<Vec<u8>> {
        let status = |status| reply(status).build(Vec::new());
        let Ok(Some(wanted)) = request.typed_header::<Transports>() else {
            return status(StatusCode::BadRequest);
        };
        if self
            .session
            .as_ref()
            .is_some_and(|session| session.playing() || !Arc::ptr_eq(&session.camera, &camera))
        {
            return status(StatusCode::MethodNotValidInThisState);
        }
        let channel = 2 * kind as u8;
        let (route, transport) = match Route::choose(self.site.offer, &wanted, channel, self.local, self.peer)
        {
            Ok(Some(chosen)) => chosen,
            Ok(None) => return status(StatusCode::UnsupportedTransport),
            Err(_) => return status(StatusCode::NotEnoughBandwidth),
        };
        let session = self.session.get_or_insert_with(|| {
            let seed = camera.next_seed();
            Session::new(self.site.clone(), camera, seed)
        });
        let ssrc = session.set_up(kind, route);
        reply(StatusCode::Ok)
            .header(TRANSPORT, format!("{transport};ssrc={ssrc:08X};mode=\"PLAY\""))
            .header(SESSION, format!("{};timeout={}", session.id, self.site.session_timeout.as_secs()))
            .build(Vec::new())
    }
}

/// The tracks that a camera has now.
fn kinds(condition: &Condition) -> Vec<Kind> {
    let has = |kind: &Kind| match kind {
        Kind::Video => true,
        Kind::Audio => condition.audio,
        Kind::Metadata => condition.metadata,
    };
    Kind::ALL.into_iter().filter(has).collect()
}

fn kind(control: &str, condition: &Condition) -> Option<Kind> {
    kinds(condition).into_iter().find(|kind| kind.control() == control)
}
