//! What can be wrong with a camera, to order and while it runs.

use std::time::Duration;

use tokio::sync::watch;

/// Something that real cameras, recorders and networks do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Each picture is sent up to this much late; order is kept.
    Jitter(Duration),
    /// Share of RTP packets never sent, 0..1: a bad network (UDP) or an overloaded camera (TCP).
    Loss(f64),
    /// Share of RTP packets that change places with the next one, 0..1; UDP only.
    Reorder(f64),
    /// Requests are answered, but no media is sent.
    Stall,
    /// Nothing is answered, sent or closed: a pulled cable.
    Hang,
    /// All connections are closed, once.
    Disconnect,
    /// Each connection is closed after this long.
    DisconnectEvery(Duration),
    /// Connections are closed, and new ones at their first request: a server that restarts.
    Refuse,
    /// Every user name and password is wrong (401).
    Unauthorized,
    /// Share of RTP packets whose payload ends in random bytes, 0..1.
    Garbage(f64),
    /// Share of interleaved packets after which random bytes follow in the connection, 0..1; TCP only.
    Noise(f64),
    /// Share of NAL units cut short, 0..1.
    Truncate(f64),
    /// Another of the mount's sources is played, by its index; the codec may not change without a new connection.
    Switch(usize),
    /// The session description has no parameter sets.
    NoSprop,
    /// Parameter sets are not sent in band.
    NoParameters,
    /// The first picture is not a key picture.
    MidGop,
    /// There is an audio track too.
    Audio,
    /// There is an ONVIF metadata track too.
    Metadata,
    /// No sender reports are sent.
    NoRtcp,
    /// RTP timestamps jump by this many seconds, once; negative: back.
    Jump(f64),
    /// The camera's wall clock is wrong by this many seconds; negative: late.
    Clock(f64),
    /// Replies are sent byte by byte with this pause between them.
    Slow(Duration),
}

/// Everything that is wrong with a camera at the moment; the default is nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Condition {
    pub jitter: Duration,
    pub loss: f64,
    pub reorder: f64,
    pub stalled: bool,
    pub hangs: bool,
    /// How often all connections were closed; a connection that sees it grow closes itself.
    pub disconnects: u64,
    pub disconnect_every: Option<Duration>,
    pub refuses: bool,
    pub unauthorized: bool,
    pub garbage: f64,
    pub noise: f64,
    pub truncate: f64,
    pub source: usize,
    pub no_sprop: bool,
    pub no_parameters: bool,
    pub mid_gop: bool,
    pub audio: bool,
    pub metadata: bool,
    pub no_rtcp: bool,
    /// Sum of all jumps so far, in seconds.
    pub jump_s: f64,
    pub clock_s: f64,
    pub slow: Option<Duration>,
}

impl Condition {
    /// Begins (`on`) or ends a fault. What happens once has no end.
    pub fn apply(&mut self, fault: Fault, on: bool) {
        let share = |share: f64| if on { share.clamp(0.0, 1.0) } else { 0.0 };
        match fault {
            Fault::Jitter(up_to) => self.jitter = if on { up_to } else { Duration::ZERO },
            Fault::Loss(s) => self.loss = share(s),
            Fault::Reorder(s) => self.reorder = share(s),
            Fault::Stall => self.stalled = on,
            Fault::Hang => self.hangs = on,
            Fault::Disconnect => self.disconnects += u64::from(on),
            Fault::DisconnectEvery(every) => self.disconnect_every = on.then_some(every),
            Fault::Refuse => {
                self.refuses = on;
                self.disconnects += u64::from(on);
            }
            Fault::Unauthorized => self.unauthorized = on,
            Fault::Garbage(s) => self.garbage = share(s),
            Fault::Noise(s) => self.noise = share(s),
            Fault::Truncate(s) => self.truncate = share(s),
            Fault::Switch(source) => self.source = if on { source } else { 0 },
            Fault::NoSprop => self.no_sprop = on,
            Fault::NoParameters => self.no_parameters = on,
            Fault::MidGop => self.mid_gop = on,
            Fault::Audio => self.audio = on,
            Fault::Metadata => self.metadata = on,
            Fault::NoRtcp => self.no_rtcp = on,
            Fault::Jump(seconds) => self.jump_s += if on { seconds } else { 0.0 },
            Fault::Clock(seconds) => self.clock_s = if on { seconds } else { 0.0 },
            Fault::Slow(pause) => self.slow = on.then_some(pause),
        }
    }

    /// Ends every fault; what happened once stays happened.
    fn mend(&mut self) {
        *self = Self { disconnects: self.disconnects, jump_s: self.jump_s, ..Self::default() };
    }
}

/// The faults of one mount, to be ordered while it runs; cheap to clone.
#[derive(Debug, Clone)]
pub struct Faults(watch::Sender<Condition>);

impl Faults {
    /// A camera with these faults from the start.
    pub(super) fn new(faults: &[Fault]) -> Self {
        let mut condition = Condition::default();
        for &fault in faults {
            condition.apply(fault, true);
        }
        Self(watch::Sender::new(condition))
    }

    /// Begins a fault; a second one of its kind takes the place of the first.
    pub fn begin(&self, fault: Fault) {
        self.0.send_modify(|condition| condition.apply(fault, true));
    }

    /// Ends a fault of this kind; its value does not matter.
    pub fn end(&self, fault: Fault) {
        self.0.send_modify(|condition| condition.apply(fault, false));
    }

    /// Ends every fault.
    pub fn mend(&self) {
        self.0.send_modify(Condition::mend);
    }

    /// Begins a fault after `delay` and ends it after `lasting` (`None`: never); needs a tokio runtime.
    pub fn schedule(&self, fault: Fault, delay: Duration, lasting: Option<Duration>) {
        if delay.is_zero() {
            self.begin(fault);
        }
        if delay.is_zero() && lasting.is_none() {
            return;
        }
        let faults = self.clone();
        tokio::spawn(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
                faults.begin(fault);
            }
            if let Some(lasting) = lasting {
                tokio::time::sleep(lasting).await;
                faults.end(fault);
            }
        });
    }

    /// Sees every change of the condition.
    pub(super) fn watch(&self) -> watch::Receiver<Condition> {
        self.0.subscribe()
    }
}
