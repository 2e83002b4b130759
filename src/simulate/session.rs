//! One viewer of one camera: its tracks, its clock, and what is sent when.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::counters::count;
use super::fault::Condition;
use super::packetise::packetise;
use super::playhead::Playhead;
use super::rtp::{HEADER_BYTES, Header, SenderReport};
use super::server::{Camera, Site};
use super::source::is_parameter_set;
use super::track::{AUDIO_PACKET_SAMPLES, Kind, METADATA, SILENCE};
use super::transport::Route;

/// Time between sender reports (RFC 3550 section 6.2: 5 s at least).
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Time between metadata documents.
const METADATA_EVERY: Duration = Duration::from_secs(1);
/// Interleaved bytes that may wait for a slow viewer: a few key pictures. Above it a camera skips pictures.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// How far a camera may fall behind its clock on a busy machine before it skips pictures.
const LATE_MAX_90K: i64 = 2 * 90_000;

/// One viewer of one camera.
pub(super) struct Session {
    /// As the `Session` header has it.
    pub id: String,
    /// Whose pictures these are.
    pub camera: Arc<Camera>,
    site: Arc<Site>,
    tracks: [Option<Track>; 3],
    play: Option<Play>,
    rng: fastrand::Rng,
    datagram: Vec<u8>,
}

struct Track {
    route: Route,
    ssrc: u32,
    sequence: u16,
    /// RTP time at which playing began.
    timestamp_base: u32,
    packets: u32,
    octets: u32,
    /// A datagram that waits to change places with the next.
    held: Option<Vec<u8>>,
}

struct Play {
    head: Playhead,
    source: usize,
    started: Instant,
    started_wall: Timestamp,
    paused: bool,
    /// Nothing was sent for a while: go on with a key picture.
    resumes: bool,
    /// Jitter of the next picture.
    late: Duration,
    report_at: Instant,
    metadata_at: Instant,
    audio_samples: u64,
}

impl Play {
    fn elapsed_90k(&self, now: Instant) -> i64 {
        (now.saturating_duration_since(self.started).as_micros() * 9 / 100) as i64
    }

    fn due(&self) -> Instant {
        self.started
            + Duration::from_micros((self.head.due_90k().max(0) as u64 * 100).div_ceil(9))
            + self.late
    }
}

impl Session {
    /// A session without tracks; everything random in it comes from `seed`.
    pub fn new(site: Arc<Site>, camera: Arc<Camera>, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let id = format!("{:016x}", rng.u64(..));
        Self { id, camera, site, tracks: [None, None, None], play: None, rng, datagram: Vec::new() }
    }

    /// Sets a track up, or anew, and returns its SSRC.
    pub fn set_up(&mut self, kind: Kind, route: Route) -> u32 {
        let ssrc = self.rng.u32(1..);
        // Viewers in step see the same timestamps.
        let timestamp_base = if self.site.shared_clock { self.camera.seed as u32 } else { self.rng.u32(..) };
        let sequence = self.rng.u16(..);
        self.tracks[kind as usize] =
            Some(Track { route, ssrc, sequence, timestamp_base, packets: 0, octets: 0, held: None });
        ssrc
    }

    /// Whether any track is set up.
    pub fn ready(&self) -> bool {
        self.tracks.iter().any(Option::is_some)
    }

    /// Whether media is being sent.
    pub fn playing(&self) -> bool {
        self.play.as_ref().is_some_and(|play| !play.paused)
    }

    /// Starts, or goes on after a pause; returns the `RTP-Info` header (RFC 2326 section 12.33).
    pub fn play(&mut self, now: Instant, condition: &Condition, base_url: &str) -> String {
        if let Some(play) = &mut self.play {
            play.resumes |= play.paused;
            play.paused = false;
        } else {
            self.play = Some(self.start(now, condition));
            count(&self.site.counters.sessions, 1);
        }
        let pts_90k = self.play.as_ref().map_or(0, |play| play.head.pts_90k());
        let tracks = Kind::ALL.iter().zip(&self.tracks).filter_map(|(kind, track)| {
            let track = track.as_ref()?;
            let media = pts_90k as u64 * kind.clock_rate() / 90_000;
            let timestamp = track.timestamp(media as i64, jump_ticks(condition, *kind));
            Some(format!("url={base_url}/{};seq={};rtptime={timestamp}", kind.control(), track.sequence))
        });
        tracks.collect::<Vec<_>>().join(",")
    }

    fn start(&mut self, now: Instant, condition: &Condition) -> Play {
        let source = self.camera.source(condition.source).clone();
        let source_s = source.period_90k() as f64 / 90_000.0;
        let mut head = Playhead::new(source, 0);
        let (mut started, mut started_wall) = (now, Timestamp::now());
        if self.site.shared_clock {
            // As if it had been switched on that much earlier.
            let ahead = Duration::from_micros((source_s * self.camera.ahead * 1e6) as u64);
            started = self.site.started.checked_sub(ahead).unwrap_or(self.site.started);
            started_wall = self.site.started_wall - (self.site.started - started);
            head.skip((now.saturating_duration_since(started).as_micros() * 9 / 100) as i64, false);
        }
        if condition.mid_gop {
            // Half of it at most, so that a clip of key pictures alone plays too.
            for _ in 0..head.source().picture_count() / 2 {
                if !head.source().key(head.picture()) {
                    break;
                }
                head.advance();
            }
        }
        Play {
            head,
            source: condition.source,
            started,
            started_wall,
            paused: false,
            resumes: false,
            late: Duration::ZERO,
            report_at: now,
            metadata_at: now,
            audio_samples: now.saturating_duration_since(started).as_millis() as u64 * 8,
        }
    }

    /// Stops sending until the next `play`.
    pub fn pause(&mut self) {
        if let Some(play) = &mut self.play {
            play.paused = true;
        }
    }

    /// When `advance` has something to do next; `None` while nothing is sent.
    pub fn due(&self, condition: &Condition) -> Option<Instant> {
        let play = self.play.as_ref().filter(|play| !play.paused && !condition.stalled)?;
        Some(play.due())
    }

    /// Whether the viewer has sent a datagram since the last call.
    pub fn heard(&self) -> bool {
        // Every track, so that no socket's buffer fills up.
        self.tracks.iter().flatten().filter(|track| track.route.heard()).count() > 0
    }

    /// Sends all that is due: datagrams at once, interleaved packets into `out`. `false`: the camera cannot go on
    /// in this session, because it sends another codec now.
    pub fn advance(&mut self, now: Instant, condition: &Condition, out: &mut Vec<u8>) -> bool {
        let Some(play) = self.play.as_mut().filter(|play| !play.paused) else { return true };
        if condition.stalled {
            play.resumes = true;
            return true;
        }
        if condition.source != play.source {
            let source = self.camera.source(condition.source);
            if source.codec() != play.head.source().codec() {
                return false;
            }
            play.source = condition.source;
            play.head = Playhead::new(source.clone(), play.head.due_90k().max(play.head.pts_90k()));
        }
        let now_90k = play.elapsed_90k(now);
        let chokes = out.len() > WAITING_BYTES_MAX;
        if chokes || play.resumes || now_90k - play.head.due_90k() > LATE_MAX_90K + jitter_90k(condition) {
            play.head.skip(now_90k + 1, true);
            play.resumes = false;
            count(&self.site.counters.pictures_skipped, 1);
        }
        let mut wire =
            Wire { site: &self.site, condition, rng: &mut self.rng, datagram: &mut self.datagram, out };
        let [video, audio, metadata] = &mut self.tracks;
        while play.due() <= now {
            if let Some(video) = video {
                wire.send_picture(video, &play.head);
            }
            play.head.advance();
            let jitters = !condition.jitter.is_zero();
            play.late = if jitters { condition.jitter.mul_f64(wire.rng.f64()) } else { Duration::ZERO };
        }
        if let Some(audio) = audio {
            let samples = now.saturating_duration_since(play.started).as_millis() as u64 * 8;
            // After a stall silence goes on from now, like a microphone.
            play.audio_samples = play.audio_samples.max(samples.saturating_sub(8_000));
            while play.audio_samples + AUDIO_PACKET_SAMPLES <= samples {
                wire.send(audio, Kind::Audio, play.audio_samples as i64, false, &[&SILENCE]);
                play.audio_samples += AUDIO_PACKET_SAMPLES;
            }
        }
        if let Some(metadata) = metadata.as_mut().filter(|_| play.metadata_at <= now) {
            wire.send(metadata, Kind::Metadata, now_90k, true, &[METADATA]);
            play.metadata_at = now + METADATA_EVERY;
        }
        if play.report_at <= now {
            play.report_at = now + REPORT_EVERY;
            for (kind, track) in Kind::ALL.into_iter().zip(&mut self.tracks) {
                if let Some(track) = track.as_mut().filter(|_| !condition.no_rtcp) {
                    wire.send_report(
                        track,
                        kind,
                        now.saturating_duration_since(play.started),
                        play.started_wall,
                    );
                }
            }
        }
        true
    }
}

impl Track {
    fn timestamp(&self, media: i64, jump: i64) -> u32 {
        self.timestamp_base.wrapping_add(media as u32).wrapping_add(jump as u32)
    }
}

fn jump_ticks(condition: &Condition, kind: Kind) -> i64 {
    if kind == Kind::Video { (condition.jump_s * 90_000.0) as i64 } else { 0 }
}

fn jitter_90k(condition: &Condition) -> i64 {
    (condition.jitter.as_micros() * 9 / 100) as i64
}

/// Where packets go, and what happens to them on the way.
struct Wire<'a> {
    site: &'a Site,
    condition: &'a Condition,
    rng: &'a mut fastrand::Rng,
    datagram: &'a mut Vec<u8>,
    out: &'a mut Vec<u8>,
}

impl Wire<'_> {
    fn send_picture(&mut self, track: &mut Track, head: &Playhead) {
        let codec = head.source().codec();
        let (truncate, no_parameters) = (self.condition.truncate, self.condition.no_parameters);
        let mut cuts = self.rng.fork();
        let nals = head
            .source()
            .nals(head.picture())
            .filter(|nal| !(no_parameters && is_parameter_set(codec, nal)))
            .map(|nal| {
                if truncate > 0.0 && cuts.f64() < truncate { &nal[..cuts.usize(1..=nal.len())] } else { nal }
            });
        let pts_90k = head.pts_90k();
        packetise(codec, nals, self.site.payload_bytes_max, |payload, last| {
            self.send(track, Kind::Video, pts_90k, last, payload);
        });
        count(&self.site.counters.pictures, 1);
    }

    /// Sends one RTP packet at `media`, in ticks since playing began.
    fn send(&mut self, track: &mut Track, kind: Kind, media: i64, marker: bool, payload: &[&[u8]]) {
        let header = Header {
            marker,
            payload_type: kind.payload_type(),
            sequence: track.sequence,
            timestamp: track.timestamp(media, jump_ticks(self.condition, kind)),
            ssrc: track.ssrc,
        };
        let octets: usize = payload.iter().map(|part| part.len()).sum();
        track.sequence = track.sequence.wrapping_add(1);
        track.packets = track.packets.wrapping_add(1);
        track.octets = track.octets.wrapping_add(octets as u32);
        if self.happens(self.condition.loss) {
            count(&self.site.counters.packets_lost, 1);
            return;
        }
        let garbage = self.happens(self.condition.garbage);
        count(&self.site.counters.packets, 1);
        count(&self.site.counters.bytes, (HEADER_BYTES + octets) as u64);
        match &track.route {
            Route::Interleaved { rtp, .. } => {
                frame(self.out, *rtp, HEADER_BYTES + octets);
                write(self.out, &header, payload);
                if garbage {
                    let at = self.out.len() - octets;
                    spoil(self.rng, &mut self.out[at..]);
                }
                if self.happens(self.condition.noise) {
                    for _ in 0..self.rng.usize(1..64) {
                        self.out.push(self.rng.u8(..));
                    }
                }
            }
            Route::Udp { rtp, .. } => {
                self.datagram.clear();
                write(self.datagram, &header, payload);
                if garbage {
                    spoil(self.rng, &mut self.datagram[HEADER_BYTES..]);
                }
                if track.held.is_none() && self.happens(self.condition.reorder) {
                    track.held = Some(self.datagram.clone());
                    return;
                }
                let unsent = &self.site.counters.packets_unsent;
                for datagram in [Some(&*self.datagram), track.held.take().as_ref()].into_iter().flatten() {
                    count(unsent, u64::from(rtp.send(datagram).is_err()));
                }
            }
        }
    }

    fn send_report(&mut self, track: &Track, kind: Kind, elapsed: Duration, started_wall: Timestamp) {
        let wrong = SignedDuration::from_secs_f64(self.condition.clock_s.clamp(-1e9, 1e9));
        let elapsed_signed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
        let report = SenderReport {
            ssrc: track.ssrc,
            wall: started_wall
                .saturating_add(elapsed_signed)
                .and_then(|wall| wall.saturating_add(wrong))
                .unwrap_or(started_wall),
            timestamp: track.timestamp(
                (elapsed.as_micros() * u128::from(kind.clock_rate()) / 1_000_000) as i64,
                jump_ticks(self.condition, kind),
            ),
            packets: track.packets,
            octets: track.octets,
        };
        let bytes = report.bytes();
        match &track.route {
            Route::Interleaved { rtcp, .. } => {
                frame(self.out, *rtcp, bytes.len());
                self.out.extend(bytes);
            }
            Route::Udp { rtcp, .. } => {
                count(&self.site.counters.packets_unsent, u64::from(rtcp.send(&bytes).is_err()));
            }
        }
    }

    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.f64() < share
    }
}

/// The head of an interleaved packet (RFC 2326 section 10.12); payloads are limited so that sizes fit.
fn frame(out: &mut Vec<u8>, channel: u8, size: usize) {
    let [high, low] = (size as u16).to_be_bytes();
    out.extend([b'$', channel, high, low]);
}

fn write(out: &mut Vec<u8>, header: &Header, payload: &[&[u8]]) {
    out.extend_from_slice(&header.bytes());
    for part in payload {
        out.extend_from_slice(part);
    }
}

/// Random bytes from a random place on.
fn spoil(rng: &mut fastrand::Rng, payload: &mut [u8]) {
    let from = rng.usize(0..payload.len().max(1));
    for byte in payload.iter_mut().skip(from) {
        *byte = rng.u8(..);
    }
}
