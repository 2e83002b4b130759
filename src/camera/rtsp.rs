//! One RTSP connection to a camera: the only home of retina.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use retina::client::{
    Demuxed, Described, PlayOptions, Session, SessionGroup, SessionOptions, SetupOptions,
    TcpTransportOptions, TeardownPolicy, UdpTransportOptions,
};
use retina::codec::{CodecItem, FrameFormat, VideoFrame};
use tokio::sync::Notify;
use tokio::time::{timeout, timeout_at};

use super::annexb::{Nal, has_nal};
use super::beat::{Beats, Haste};
use super::flood::{Flooded, Patience, Watch, unless_flooded, withhold_reads};
use super::timekeeper::Timekeeper;
use crate::config;
use crate::frame::{AccessUnit, Codec};

/// The port of an address that names none (RFC 2326 section 3.2).
const RTSP_PORT: u16 = 554;

/// Longest time from the first packet of the TCP connection to the answer of PLAY; slow cameras take 2 to 5 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// When an answer, and a picture, is looked at for being endless: an honest answer takes some twenty steps.
const ANSWER_PATIENCE: Patience = Patience { time: Duration::from_millis(250), steps: 128 };
const PICTURE_PATIENCE: Patience = Patience { time: Duration::from_secs(1), steps: 32 };

/// Sessions of a camera that are taken leave of at the same time. The RTSP library tries until the session expires, which a
/// camera may put off for a century.
const FAREWELLS_MAX: usize = 4;

/// Why a connection could not be made or broke.
#[derive(Debug, thiserror::Error)]
pub enum RtspError {
    /// The camera does not answer in time.
    #[error("{address}: no answer to {step} within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout {
        /// `host:port`.
        address: String,
        /// What was asked.
        step: &'static str,
    },
    /// The camera refuses the user name or password.
    #[error("{address}: refuses the user name or password ({status} to {step})")]
    Unauthorized {
        /// `host:port`.
        address: String,
        /// What was asked.
        step: &'static str,
        /// The status code, 401 or 403.
        status: u16,
    },
    /// The camera offers no video that is understood.
    #[error("{address}: no H.264, H.265 or JPEG video among the streams offered: {offered}")]
    NoVideo {
        /// `host:port`.
        address: String,
        /// What it offers.
        offered: String,
    },
    /// Anything else: refused, not found, broken off, garbage.
    #[error("{address}: {step} failed: {reason}")]
    Failed {
        /// `host:port`.
        address: String,
        /// What was being done.
        step: &'static str,
        /// The reason in one line.
        reason: String,
    },
    /// An answer or a picture has no end.
    #[error("{address}: pours data without an end")]
    Flooded {
        /// `host:port`.
        address: String,
    },
    /// The camera ended the stream.
    #[error("{address}: the camera ended the stream")]
    Ended {
        /// `host:port`.
        address: String,
    },
    /// No packet for too long, though the connection stands.
    #[error("{address}: nothing came for {} s", seconds.round())]
    Silent {
        /// `host:port`.
        address: String,
        /// How long.
        seconds: f64,
    },
}

/// The sessions of one camera that are over here, but perhaps not there; kept over all its connections.
#[derive(Default)]
pub struct Farewells(Arc<SessionGroup>);

impl Farewells {
    /// Whether and how the next session is taken leave of: each that is holds the group until it is done.
    fn policy(&self) -> TeardownPolicy {
        let busy = Arc::strong_count(&self.0) > FAREWELLS_MAX;
        if busy { TeardownPolicy::Never } else { TeardownPolicy::Auto }
    }
}

/// Notes that something has come. It is fetched with the next beat, which wakes nobody; or at once, if it comes over UDP: what
/// waits too long in a socket is lost.
struct Bell {
    rung: AtomicBool,
    at_once: Option<Notify>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Relaxed);
        if let Some(waiting) = &self.at_once {
            waiting.notify_one();
        }
    }
}

/// A camera that plays.
pub struct Connection {
    address: String,
    demuxed: Demuxed,
    bell: Arc<Bell>,
    waker: Waker,
    beats: Beats,
    /// The wait for the next picture.
    watch: Watch,
    codec: Codec,
    /// Whether no unit has come yet.
    first: bool,
}

/// An access unit, with how many packets were lost on the way since the one before.
pub struct Received {
    /// The picture.
    pub unit: AccessUnit,
    /// RTP packets lost before it.
    pub lost: u64,
}

impl Connection {
    /// Connects, sets up the first video stream and starts it.
    pub async fn open(camera: &config::Camera, farewells: &Farewells) -> Result<Self, RtspError> {
        let host = camera.url.host_str().unwrap_or_default();
        let address = format!("{host}:{}", camera.url.port().unwrap_or(RTSP_PORT));
        let mut step = "DESCRIBE";
        let play = Self::play(camera, farewells, &address, &mut step);
        match timeout(CONNECT_TIMEOUT, unless_flooded(play, ANSWER_PATIENCE)).await {
            Ok(Ok(result)) => result,
            Ok(Err(Flooded)) => Err(RtspError::Flooded { address }),
            Err(_) => Err(RtspError::Timeout { address, step }),
        }
    }

    async fn describe(
        camera: &config::Camera,
        farewells: &Farewells,
        teardown: TeardownPolicy,
    ) -> Result<Session<Described>, retina::Error> {
        let credentials = camera.credentials.as_ref().map(|credentials| retina::client::Credentials {
            username: credentials.username.clone(),
            password: credentials.password.reveal().to_owned(),
        });
        let options = SessionOptions::default()
            .creds(credentials)
            .user_agent(concat!("gridwatch/", env!("CARGO_PKG_VERSION")).to_owned())
            .session_group(Arc::clone(&farewells.0))
            .teardown(teardown)
            // Some cameras answer the second SETUP or the PLAY with another session id; only one stream is set up here.
            .session_id(retina::client::SessionIdPolicy::UseFirst);
        Session::describe(camera.url.clone(), options).await
    }

    async fn play(
        camera: &config::Camera,
        farewells: &Farewells,
        address: &str,
        step: &mut &'static str,
    ) -> Result<Self, RtspError> {
        let failed = |step, error| failure(address, step, &error);
        let mut session = Self::describe(camera, farewells, farewells.policy())
            .await
            .map_err(|error| failed("DESCRIBE", error))?;
        if may_say_farewell_elsewhere(camera, &session) {
            session = Self::describe(camera, farewells, TeardownPolicy::Never)
                .await
                .map_err(|error| failed("DESCRIBE", error))?;
        }
        let video = session.streams().iter().position(|stream| codec_of(stream).is_some());
        let Some(video) = video else {
            let offered = session
                .streams()
                .iter()
                .map(|stream| format!("{}/{}", stream.media(), stream.encoding_name()));
            let offered = offered.collect::<Vec<_>>().join(", ");
            return Err(RtspError::NoVideo { address: address.to_owned(), offered });
        };
        let codec = codec_of(&session.streams()[video]).unwrap_or(Codec::H264);
        *step = "SETUP";
        let transport = match camera.transport {
            config::Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
            config::Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
        };
        let options = SetupOptions::default().transport(transport).frame_format(FrameFormat::SIMPLE);
        session.setup(video, options).await.map_err(|error| failed("SETUP", error))?;
        *step = "PLAY";
        let session = session.play(PlayOptions::default()).await.map_err(|error| failed("PLAY", error))?;
        let demuxed = session.demuxed().map_err(|error| failed("PLAY", error))?;
        let at_once = (camera.transport == config::Transport::Udp).then(Notify::new);
        let bell = Arc::new(Bell { rung: AtomicBool::new(false), at_once });
        Ok(Self {
            address: address.to_owned(),
            demuxed,
            waker: Arc::clone(&bell).into(),
            bell,
            beats: Beats::here(),
            watch: Watch::new(PICTURE_PATIENCE),
            codec,
            first: true,
        })
    }

    /// The next access unit, fetched with the beat of this haste; `None`: there is none until `deadline`.
    pub async fn next(
        &mut self,
        time: &mut Timekeeper,
        haste: Haste,
        deadline: Instant,
    ) -> Result<Option<Received>, RtspError> {
        loop {
            let item = self.watch.step(|| {
                let mut context = Context::from_waker(&self.waker);
                self.demuxed.poll_next_unpin(&mut context)
            });
            let address = || self.address.clone();
            match item {
                Err(Flooded) => return Err(RtspError::Flooded { address: address() }),
                Ok(Poll::Pending) => {
                    if !self.has_come(haste, deadline).await {
                        return Ok(None);
                    }
                }
                Ok(Poll::Ready(None)) => return Err(RtspError::Ended { address: address() }),
                Ok(Poll::Ready(Some(Err(error)))) => return Err(failure(&self.address, "receiving", &error)),
                Ok(Poll::Ready(Some(Ok(CodecItem::VideoFrame(frame))))) if !frame.data().is_empty() => {
                    self.watch = Watch::new(PICTURE_PATIENCE);
                    return Ok(Some(self.received(frame, time)));
                }
                Ok(Poll::Ready(Some(Ok(CodecItem::Rtcp(packets))))) => sender_report(&packets, time),
                Ok(Poll::Ready(Some(Ok(_)))) => {}
            }
        }
    }

    /// Waits for the first beat at which something has come, or for that; false if nothing has until `deadline`.
    async fn has_come(&self, haste: Haste, deadline: Instant) -> bool {
        while Instant::now() < deadline {
            match &self.bell.at_once {
                // An error is the deadline's.
                Some(waiting) => _ = timeout_at(deadline.into(), waiting.notified()).await,
                None => self.beats.next(haste).await,
            }
            if self.bell.rung.swap(false, Relaxed) {
                poll_fn(|context| {
                    withhold_reads(context);
                    Poll::Ready(())
                })
                .await;
                return true;
            }
        }
        false
    }

    /// That nothing came for so long.
    pub fn silent(&self, silence: Duration) -> RtspError {
        RtspError::Silent { address: self.address.clone(), seconds: silence.as_secs_f64() }
    }

    fn received(&mut self, frame: VideoFrame, time: &mut Timekeeper) -> Received {
        let arrived = frame.start_ctx();
        let (captured, pts_90k) = time.captured(
            ticks(frame.timestamp()),
            arrived.received(),
            Timestamp::try_from(std::time::SystemTime::from(arrived.received_wall()))
                .unwrap_or_else(|_| Timestamp::now()),
        );
        let codec = self.codec;
        // retina calls a unit without any picture data a random access point, too.
        let key = codec == Codec::Mjpeg
            || frame.is_random_access_point() && has_nal(codec, frame.data(), Nal::RandomAccess);
        let lost = u64::from(frame.loss());
        let after_loss = lost > 0 || std::mem::take(&mut self.first);
        let unit = AccessUnit { captured, codec, key, after_loss, data: frame.into_data().into(), pts_90k };
        Received { unit, lost }
    }
}

/// Whether the end of the session might be told to another server, with the password: the RTSP library makes a new connection
/// for that, to the address by which the camera calls itself, where the old one is not enough. Behind address translation that
/// is anybody's address.
fn may_say_farewell_elsewhere(camera: &config::Camera, session: &Session<Described>) -> bool {
    let here = |url: &url::Url| {
        url.host() == camera.url.host()
            && url.port().unwrap_or(RTSP_PORT) == camera.url.port().unwrap_or(RTSP_PORT)
    };
    let anew = camera.transport == config::Transport::Udp
        || session.tool().is_some_and(retina::client::Tool::has_live555_tcp_bug);
    anew && session.streams().iter().any(|stream| stream.control().is_some_and(|url| !here(url)))
}

/// What a stream that we can use carries.
fn codec_of(stream: &retina::client::Stream) -> Option<Codec> {
    match (stream.media(), stream.encoding_name()) {
        ("video", "h264") => Some(Codec::H264),
        ("video", "h265") => Some(Codec::H265),
        ("video" | "image", "jpeg") => Some(Codec::Mjpeg),
        _ => None,
    }
}

/// A stream's timestamp in 90 kHz, which is the clock rate of all video anyway (RFC 3551 section 5).
fn ticks(timestamp: retina::Timestamp) -> i64 {
    let rate = i128::from(timestamp.clock_rate().get());
    (i128::from(timestamp.timestamp()) * 90_000 / rate) as i64
}

fn sender_report(packets: &retina::rtcp::ReceivedCompoundPacket, time: &mut Timekeeper) {
    let Some(timestamp) = packets.rtp_timestamp() else { return };
    let Some(Ok(Some(report))) = packets.pkts().next().map(retina::rtcp::PacketRef::as_sender_report) else {
        return;
    };
    // NTP time (RFC 5905 section 6): seconds since 1900 and a binary fraction of a second.
    let since_1970 = report.ntp_timestamp().0.wrapping_sub(retina::UNIX_EPOCH.0);
    let nanoseconds = ((since_1970 & 0xffff_ffff) * 1_000_000_000) >> 32;
    let arrived = std::time::SystemTime::from(packets.ctx().received_wall());
    if let (Ok(wall), Ok(arrived)) =
        (Timestamp::new((since_1970 >> 32) as i64, nanoseconds as i32), Timestamp::try_from(arrived))
    {
        time.sender_report(ticks(timestamp), wall, arrived);
    }
}

/// retina's errors: what happened in their first line, addresses and positions in the others.
fn failure(address: &str, step: &'static str, error: &retina::Error) -> RtspError {
    let address = address.to_owned();
    if let Some(status @ (401 | 403)) = error.status_code() {
        return RtspError::Unauthorized { address, step, status };
    }
    let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
    RtspError::Failed { address, step, reason }
}
