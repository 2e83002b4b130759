//! One MQTT connection, to be thrown away at its first error.
//!
//! rumqttc 0.25 forgets un-acknowledged publishes when the broker has no session, reconnects on its own, and is not
//! safe to cancel in the middle of a write. So a task of its own polls one connection until its first error (see
//! `wire.rs`), and packet ids are matched to messages by the order in which rumqttc reports them as sent.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::tls::Tunnel;
pub(super) use super::wire::Arrival;
use super::wire::{self, Client, Told};
use crate::config::{Mqtt, MqttVersion};

/// Largest message either way: a 4K JPEG of the best quality is about half of it. MQTT itself allows 256 MiB.
pub(super) const PACKET_BYTES_MAX: usize = 8 << 20;

/// Time for connecting.
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(20);
/// Time for the broker to acknowledge the next of the messages in flight: a 2 MB picture over 512 kbit/s takes half of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Messages that may wait to be read: brokers send some twenty before they want an acknowledgement.
const ARRIVED_MAX: usize = 4_096;

/// What can go wrong on a connection; each ends it.
#[derive(Debug, thiserror::Error)]
pub(super) enum MqttError {
    #[error("no connection: {0}")]
    Connect(String),
    #[error("the broker refuses: {0}; hint: check user name, password and access rights of this client")]
    Refused(String),
    #[error("TLS: {0}")]
    Tls(String),
    /// Only MQTT 5 has it, and only this one leaves the connection fit for more.
    #[error(
        "the broker does not take message {index} of a batch: {reason}; hint: check access rights and quota of this client"
    )]
    NotTaken { index: usize, reason: String },
    #[error("connection lost: {0}")]
    Lost(String),
    #[error("the broker acknowledges nothing for {} s", PATIENCE.as_secs())]
    Silent,
}

/// A message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its topic.
    pub topic: String,
    /// Its bytes, anything.
    pub payload: Vec<u8>,
    /// Whether the broker had kept it from before the subscription.
    pub retained: bool,
}

/// A message to be sent.
pub(super) struct Outbound {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
}

/// Who connects to what, and what the broker says when it vanishes.
pub(super) struct Dial<'a> {
    pub mqtt: &'a Mqtt,
    pub client_id: &'a str,
    pub will: Option<Outbound>,
    /// Whether the broker keeps the subscriptions, and what comes for them, while the client is away.
    pub keep_session: bool,
}

/// One connection.
pub(super) struct Connection {
    client: Client,
    events: mpsc::Receiver<Result<Told, MqttError>>,
    poller: JoinHandle<()>,
    tunnel: Option<Tunnel>,
    /// Sent, not acknowledged: by packet id.
    in_flight: HashMap<u16, usize>,
    /// Handed to rumqttc, not reported as sent; in order.
    handed_over: VecDeque<usize>,
    arrived: VecDeque<Arrival>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.poller.abort(); // Closes the socket without DISCONNECT, so the broker publishes the will.
    }
}

impl Connection {
    /// Connects and waits until the broker has accepted.
    pub async fn open(dial: Dial<'_>) -> Result<Self, MqttError> {
        let deadline = Instant::now() + CONNECT_PATIENCE;
        let mqtt = dial.mqtt;
        let tunnel = match &mqtt.tls {
            Some(tls) => {
                let opened = timeout_at(deadline, Tunnel::open(tls, &mqtt.host, mqtt.port)).await;
                Some(opened.map_err(|_| wire::no_answer())??)
            }
            None => None,
        };
        let (client, events, poller) = wire::start(dial, tunnel.as_ref().map(|tunnel| tunnel.path.as_str()));
        let mut connection = Self {
            client,
            events,
            poller,
            tunnel,
            in_flight: HashMap::new(),
            handed_over: VecDeque::new(),
            arrived: VecDeque::new(),
        };
        match timeout_at(deadline, connection.events.recv()).await {
            Ok(Some(Ok(Told::Accepted))) => Ok(connection),
            Ok(Some(Err(MqttError::Lost(what)))) => Err(match connection.broken().await {
                Some(error) => error,
                None => MqttError::Connect(format!("{what}; hint: {}", unaccepted(mqtt))),
            }),
            Ok(Some(Err(error))) => Err(error),
            Ok(_) => Err(wire::no_broker()),
            Err(_) => Err(wire::no_answer()),
        }
    }

    /// Why the way to the broker broke, as far as TLS knows: a broker may refuse our certificate after the handshake.
    async fn broken(&mut self) -> Option<MqttError> {
        match &mut self.tunnel {
            Some(tunnel) => tunnel.end().await,
            None => None,
        }
    }

    /// Subscribes at QoS 1.
    pub fn subscribe(&self, filter: &str) -> Result<(), MqttError> {
        self.client.subscribe(filter)
    }

    /// Sends messages (at most [`Mqtt::batch`]) and waits until the broker has answered each. `acknowledged` gets the
    /// index of each message that the broker took, up to the first that it refused: what follows that one counts as
    /// not taken, and goes again behind it. Also when an error ends it early.
    pub async fn publish(
        &mut self,
        messages: Vec<Outbound>,
        acknowledged: &mut Vec<usize>,
    ) -> Result<(), MqttError> {
        let mut refused = None;
        let mut deadline = Instant::now() + PATIENCE;
        for (index, message) in messages.into_iter().enumerate() {
            let client = self.client.clone();
            let handing = client.publish(message);
            tokio::pin!(handing);
            // Acknowledgements of what arrived may fill the way: the poller has to write them first, and to do so it must
            // get rid of what it has read.
            loop {
                let event = tokio::select! {
                    biased;
                    handed = &mut handing => break handed?,
                    event = timeout_at(deadline, self.events.recv()) => event.map_err(|_| MqttError::Silent)?,
                };
                if let Some(answer) = self.take(event)? {
                    self.settle(answer, acknowledged, &mut refused);
                    deadline = Instant::now() + PATIENCE;
                }
            }
            self.handed_over.push_back(index);
        }
        while !self.handed_over.is_empty() || !self.in_flight.is_empty() {
            let event = timeout_at(deadline, self.events.recv()).await;
            if let Some(answer) = self.take(event.map_err(|_| MqttError::Silent)?)? {
                self.settle(answer, acknowledged, &mut refused);
                deadline = Instant::now() + PATIENCE;
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Books an answer; nothing counts as acknowledged behind the first that was refused.
    fn settle(
        &mut self,
        (packet_id, refusal): (u16, Option<String>),
        acknowledged: &mut Vec<usize>,
        refused: &mut Option<MqttError>,
    ) {
        match (self.in_flight.remove(&packet_id), refusal) {
            (index, None) if refused.is_none() => acknowledged.extend(index),
            (Some(index), Some(reason)) if refused.is_none() => {
                *refused = Some(MqttError::NotTaken { index, reason });
            }
            _ => {}
        }
    }

    /// Waits for the next message of a subscription; safe to cancel. It must be [`Self::accept`]ed.
    pub async fn receive(&mut self) -> Result<Arrival, MqttError> {
        loop {
            if let Some(arrival) = self.arrived.pop_front() {
                return Ok(arrival);
            }
            let event = self.events.recv().await;
            self.take(event)?;
        }
    }

    /// A message that came while something else was waited for.
    pub fn received(&mut self) -> Option<Arrival> {
        self.arrived.pop_front()
    }

    /// Tells the broker that the message is safe here, so that it is not sent again.
    pub async fn accept(&mut self, arrival: &Arrival) -> Result<(), MqttError> {
        // Full: the poller has to write first, and to do so it must get rid of what it has read.
        while !self.client.acknowledge(arrival) {
            match self.events.try_recv() {
                Ok(event) => _ = self.take(Some(event))?,
                Err(TryRecvError::Empty) => tokio::task::yield_now().await,
                Err(TryRecvError::Disconnected) => return Err(MqttError::Lost("closed".into())),
            }
        }
        Ok(())
    }

    /// Hangs up in order: the broker forgets the will.
    pub async fn close(mut self) {
        if !self.client.disconnect() {
            return;
        }
        let deadline = Instant::now() + Duration::from_secs(2);
        while let Ok(Some(Ok(told))) = timeout_at(deadline, self.events.recv()).await {
            if matches!(told, Told::HungUp) {
                break;
            }
        }
        if let Some(mut tunnel) = self.tunnel.take() {
            // The DISCONNECT is in it; the tunnel ends when the poller has let go.
            self.poller.abort();
            tunnel.end().await;
        }
    }

    /// Keeps the books of what was sent and what arrived; the packet id, and perhaps why the message was refused, if
    /// the event was an answer.
    fn take(
        &mut self,
        event: Option<Result<Told, MqttError>>,
    ) -> Result<Option<(u16, Option<String>)>, MqttError> {
        match event.ok_or_else(|| MqttError::Lost("closed".into()))?? {
            Told::Answered(packet_id, refusal) => return Ok(Some((packet_id, refusal))),
            Told::Sent(packet_id) => {
                if let Some(index) = self.handed_over.pop_front() {
                    self.in_flight.insert(packet_id, index);
                }
            }
            Told::Arrived(_) if self.arrived.len() >= ARRIVED_MAX => {
                return Err(MqttError::Lost("the broker sends more than was acknowledged".into()));
            }
            Told::Arrived(arrival) => self.arrived.push_back(arrival),
            Told::Accepted | Told::HungUp => {}
        }
        Ok(None)
    }
}

/// What to look at when a broker hangs up, or talks nonsense, before it has accepted.
fn unaccepted(mqtt: &Mqtt) -> &'static str {
    match (&mqtt.tls, mqtt.version) {
        (None, MqttVersion::V311) => "if the broker wants TLS on this port, write `tls = true`",
        (None, MqttVersion::V5) => {
            "if the broker wants TLS on this port, write `tls = true`; if it knows no MQTT 5, `version = \"3.1.1\"`"
        }
        (Some(_), MqttVersion::V311) => "is this a port for MQTT?",
        (Some(_), MqttVersion::V5) => "does the broker know MQTT 5? Else write `version = \"3.1.1\"`",
    }
}

/// A subscription of somebody who watches, or asks: no will, no session kept; ends at the first error.
pub struct Subscription {
    connection: Connection,
}

impl Subscription {
    /// Connects under a random client id and subscribes.
    pub async fn open(mqtt: &Mqtt, filters: &[String]) -> Result<Self, super::DispatchError> {
        let client_id = format!("gridwatch-watch-{:08x}", fastrand::u32(..));
        let dial = Dial { mqtt, client_id: &client_id, will: None, keep_session: false };
        let open = async {
            let connection = Connection::open(dial).await?;
            for filter in filters {
                connection.subscribe(filter)?;
            }
            Ok(Self { connection })
        };
        open.await.map_err(|e: MqttError| problem(mqtt, &e))
    }

    /// Publishes a message (not retained) and waits until the broker has it.
    pub async fn publish(
        &mut self,
        mqtt: &Mqtt,
        topic: String,
        payload: Vec<u8>,
    ) -> Result<(), super::DispatchError> {
        let message = Outbound { topic, payload, retained: false };
        let published = self.connection.publish(vec![message], &mut Vec::new()).await;
        published.map_err(|e| problem(mqtt, &e))
    }

    /// Waits for the next message; safe to cancel.
    pub async fn next(&mut self, mqtt: &Mqtt) -> Result<Received, super::DispatchError> {
        let arrival = self.connection.receive().await.map_err(|e| problem(mqtt, &e))?;
        self.connection.accept(&arrival).await.map_err(|e| problem(mqtt, &e))?;
        Ok(Received {
            topic: arrival.topic().to_owned(),
            payload: arrival.payload().to_vec(),
            retained: arrival.retained(),
        })
    }
}

fn problem(mqtt: &Mqtt, error: &MqttError) -> super::DispatchError {
    super::DispatchError::Broker {
        broker: format!("{}:{}", mqtt.host, mqtt.port),
        problem: error.to_string(),
    }
}
