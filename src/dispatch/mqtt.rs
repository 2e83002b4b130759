//! One MQTT 3.1.1 connection, to be thrown away at its first error. The only home of rumqttc.
//!
//! rumqttc 0.25 forgets un-acknowledged publishes when the broker has no session, reconnects on its own, and is not
//! safe to cancel in the middle of a write. So here a task of its own polls one connection until its first error, and
//! packet ids are matched to messages by the order in which rumqttc reports them as sent.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing,
    Packet, Publish, QoS,
};
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::{Credentials, Mqtt};

/// Largest message either way: a 4K JPEG of the best quality is about half of it. MQTT itself allows 256 MiB.
pub(super) const PACKET_BYTES_MAX: usize = 8 << 20;

/// Time for connecting.
const CONNECT_PATIENCE: Duration = Duration::from_secs(20);
/// Time for the broker to acknowledge the next of the messages in flight: a 2 MB picture over 512 kbit/s takes half of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Messages that may wait to be read: brokers send some twenty before they want an acknowledgement.
const ARRIVED_MAX: usize = 4_096;

/// What can go wrong on a connection; each ends it.
#[derive(Debug, thiserror::Error)]
pub(super) enum MqttError {
    #[error("no connection: {0}")]
    Connect(String),
    #[error("the broker refuses: {0}; hint: check user name, password and access rights of this client")]
    Refused(&'static str),
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
    client: AsyncClient,
    events: mpsc::Receiver<Result<Event, ConnectionError>>,
    poller: JoinHandle<()>,
    /// Sent, not acknowledged: by packet id.
    in_flight: HashMap<u16, usize>,
    /// Handed to rumqttc, not reported as sent; in order.
    handed_over: VecDeque<usize>,
    arrived: VecDeque<Publish>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.poller.abort(); // Closes the socket without DISCONNECT, so the broker publishes the will.
    }
}

impl Connection {
    /// Connects and waits until the broker has accepted.
    pub async fn open(dial: Dial<'_>) -> Result<Self, MqttError> {
        let mut options = MqttOptions::new(dial.client_id, bracketed(&dial.mqtt.host), dial.mqtt.port);
        options
            .set_keep_alive(Duration::from_secs(dial.mqtt.keep_alive_s.clamp(1, 3_600)))
            .set_clean_session(!dial.keep_session)
            .set_max_packet_size(PACKET_BYTES_MAX + 1024, PACKET_BYTES_MAX + 1024)
            // Twice the batch: no packet id comes round again while its first bearer is in flight.
            .set_inflight(u16::try_from(dial.mqtt.batch * 2 + 16).unwrap_or(u16::MAX - 1))
            .set_manual_acks(true);
        if let Some(Credentials { username, password }) = &dial.mqtt.credentials {
            options.set_credentials(username, password.reveal());
        }
        if let Some(will) = dial.will {
            options.set_last_will(LastWill::new(will.topic, will.payload, QoS::AtLeastOnce, will.retained));
        }
        let capacity = dial.mqtt.batch + 16;
        let (client, mut eventloop) = AsyncClient::new(options, capacity);
        let mut network = eventloop.network_options();
        network.set_connection_timeout(PATIENCE.as_secs()); // Also rumqttc's limit for writing one message.
        network.set_tcp_nodelay(true);
        eventloop.set_network_options(network);
        match timeout(CONNECT_PATIENCE, eventloop.poll()).await {
            Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => {}
            Ok(Ok(_)) => return Err(MqttError::Connect("no CONNACK".into())),
            Ok(Err(error)) => return Err(not_connected(error)),
            Err(_) => return Err(not_connected(ConnectionError::NetworkTimeout)),
        }
        let (sender, events) = mpsc::channel(capacity);
        let poller = tokio::spawn(poll(eventloop, sender));
        Ok(Self {
            client,
            events,
            poller,
            in_flight: HashMap::new(),
            handed_over: VecDeque::new(),
            arrived: VecDeque::new(),
        })
    }

    /// Subscribes at QoS 1.
    pub fn subscribe(&self, filter: &str) -> Result<(), MqttError> {
        self.client.try_subscribe(filter, QoS::AtLeastOnce).map_err(lost)
    }

    /// Sends messages (at most [`Mqtt::batch`]) and waits until the broker has acknowledged each. `acknowledged` gets
    /// the index of each message that was, also when an error ends it early.
    pub async fn publish(
        &mut self,
        messages: Vec<Outbound>,
        acknowledged: &mut Vec<usize>,
    ) -> Result<(), MqttError> {
        let mut deadline = Instant::now() + PATIENCE;
        for (index, message) in messages.into_iter().enumerate() {
            let client = self.client.clone();
            let Outbound { topic, payload, retained } = message;
            let handing = client.publish(topic, QoS::AtLeastOnce, retained, payload);
            tokio::pin!(handing);
            // Acknowledgements of what arrived may fill the way: the poller has to write them first, and to do so it must
            // get rid of what it has read.
            loop {
                let event = tokio::select! {
                    biased;
                    handed = &mut handing => break handed.map_err(lost)?,
                    event = timeout_at(deadline, self.events.recv()) => event.map_err(|_| MqttError::Silent)?,
                };
                if let Some(packet_id) = self.take(event)? {
                    acknowledged.extend(self.in_flight.remove(&packet_id));
                    deadline = Instant::now() + PATIENCE;
                }
            }
            self.handed_over.push_back(index);
        }
        while !self.handed_over.is_empty() || !self.in_flight.is_empty() {
            let event = timeout_at(deadline, self.events.recv()).await;
            if let Some(packet_id) = self.take(event.map_err(|_| MqttError::Silent)?)? {
                acknowledged.extend(self.in_flight.remove(&packet_id));
                deadline = Instant::now() + PATIENCE;
            }
        }
        Ok(())
    }

    /// Waits for the next message of a subscription; safe to cancel. It must be [`Self::accept`]ed.
    pub async fn receive(&mut self) -> Result<Arrival, MqttError> {
        loop {
            if let Some(publish) = self.arrived.pop_front() {
                return Ok(Arrival(publish));
            }
            let event = self.events.recv().await;
            self.take(event)?;
        }
    }

    /// A message that came while something else was waited for.
    pub fn received(&mut self) -> Option<Arrival> {
        self.arrived.pop_front().map(Arrival)
    }

    /// Tells the broker that the message is safe here, so that it is not sent again.
    pub async fn accept(&mut self, arrival: &Arrival) -> Result<(), MqttError> {
        // Full: the poller has to write first, and to do so it must get rid of what it has read.
        while self.client.try_ack(&arrival.0).is_err() {
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
        if self.client.try_disconnect().is_ok() {
            let deadline = Instant::now() + Duration::from_secs(2);
            while let Ok(Some(Ok(event))) = timeout_at(deadline, self.events.recv()).await {
                if matches!(event, Event::Outgoing(Outgoing::Disconnect)) {
                    break;
                }
            }
        }
    }

    /// Keeps the books of what was sent and what arrived; the packet id if the event was an acknowledgement.
    fn take(&mut self, event: Option<Result<Event, ConnectionError>>) -> Result<Option<u16>, MqttError> {
        match event {
            None => return Err(MqttError::Lost("closed".into())),
            Some(Err(error)) => return Err(lost(error)),
            Some(Ok(Event::Outgoing(Outgoing::Publish(packet_id)))) => {
                if let Some(index) = self.handed_over.pop_front() {
                    self.in_flight.insert(packet_id, index);
                }
            }
            Some(Ok(Event::Incoming(Packet::PubAck(ack)))) => return Ok(Some(ack.pkid)),
            Some(Ok(Event::Incoming(Packet::Publish(_)))) if self.arrived.len() >= ARRIVED_MAX => {
                return Err(MqttError::Lost("the broker sends more than was acknowledged".into()));
            }
            Some(Ok(Event::Incoming(Packet::Publish(publish)))) => self.arrived.push_back(publish),
            Some(Ok(_)) => {}
        }
        Ok(None)
    }
}

/// A message as it arrived, not accepted yet.
pub(super) struct Arrival(Publish);

impl Arrival {
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    pub fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    /// Whether the broker had kept it from before the subscription.
    pub fn retained(&self) -> bool {
        self.0.retain
    }
}

/// Polls one connection until its first error; ends when nobody listens any more.
async fn poll(mut eventloop: EventLoop, events: mpsc::Sender<Result<Event, ConnectionError>>) {
    loop {
        let event = eventloop.poll().await;
        let over = event.is_err();
        if events.send(event).await.is_err() || over {
            return;
        }
    }
}

/// An IPv6 address needs brackets in rumqttc's `host:port`.
fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

fn not_connected(error: ConnectionError) -> MqttError {
    match error {
        ConnectionError::ConnectionRefused(code) => MqttError::Refused(match code {
            ConnectReturnCode::BadUserNamePassword => "bad user name or password",
            ConnectReturnCode::NotAuthorized => "not authorised",
            ConnectReturnCode::BadClientId => "client id rejected",
            ConnectReturnCode::RefusedProtocolVersion => "it does not speak MQTT 3.1.1",
            ConnectReturnCode::ServiceUnavailable => "service unavailable",
            ConnectReturnCode::Success => "nothing",
        }),
        ConnectionError::NetworkTimeout => {
            MqttError::Connect(format!("no answer for {} s", CONNECT_PATIENCE.as_secs()))
        }
        // Never the packet itself: a CONNECT echoed by garbage would carry the password into the log.
        ConnectionError::NotConnAck(_) => MqttError::Connect("it answers, but not as an MQTT broker".into()),
        error => MqttError::Connect(error.to_string()),
    }
}

fn lost(error: impl std::fmt::Display) -> MqttError {
    MqttError::Lost(error.to_string())
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
        let Arrival(publish) = arrival;
        Ok(Received { topic: publish.topic, payload: publish.payload.to_vec(), retained: publish.retain })
    }
}

fn problem(mqtt: &Mqtt, error: &MqttError) -> super::DispatchError {
    super::DispatchError::Broker {
        broker: format!("{}:{}", mqtt.host, mqtt.port),
        problem: error.to_string(),
    }
}
