//! MQTT 3.1.1 and MQTT 5 as rumqttc speaks them, told apart here and nowhere else. The only home of rumqttc.
//!
//! Its two halves have the same shape and different types. What matters of either becomes a [`Told`]; the books are kept
//! in `mqtt.rs`, once for both.

use std::time::Duration;

use rumqttc::v5::mqttbytes::v5 as packet5;
use rumqttc::{self as v4, v5};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::mqtt::{CONNECT_PATIENCE, Dial, MqttError, Outbound, PACKET_BYTES_MAX, PATIENCE};
use crate::config::{Credentials, Mqtt, MqttVersion};

/// How long a broker of MQTT 5 keeps the session of a client that is away; 3.1.1 leaves it to the broker.
const SESSION_S: u32 = 24 * 3_600;

/// What happened on the wire.
pub(super) enum Told {
    /// The broker has accepted the connection.
    Accepted,
    /// The next of the messages handed over was written, under this packet id.
    Sent(u16),
    /// The message of this packet id was acknowledged, or (MQTT 5) refused for a reason.
    Answered(u16, Option<String>),
    /// A message came in.
    Arrived(Arrival),
    /// DISCONNECT was written.
    HungUp,
}

/// A message as it arrived, not accepted yet.
pub(super) enum Arrival {
    V4(v4::Publish),
    V5(packet5::Publish),
}

impl Arrival {
    pub fn topic(&self) -> &str {
        match self {
            Self::V4(publish) => &publish.topic,
            // rumqttc does not check that it is text.
            Self::V5(publish) => std::str::from_utf8(&publish.topic).unwrap_or_default(),
        }
    }

    pub fn payload(&self) -> &[u8] {
        match self {
            Self::V4(publish) => &publish.payload,
            Self::V5(publish) => &publish.payload,
        }
    }

    /// Whether the broker had kept it from before the subscription.
    pub fn retained(&self) -> bool {
        match self {
            Self::V4(publish) => publish.retain,
            Self::V5(publish) => publish.retain,
        }
    }
}

/// The sending side.
#[derive(Clone)]
pub(super) enum Client {
    V4(v4::AsyncClient),
    V5(v5::AsyncClient),
}

impl Client {
    /// Waits until there is room.
    pub async fn publish(&self, message: Outbound) -> Result<(), MqttError> {
        let Outbound { topic, payload, retained } = message;
        match self {
            Self::V4(client) => {
                client.publish(topic, v4::QoS::AtLeastOnce, retained, payload).await.map_err(lost)
            }
            Self::V5(client) => {
                client.publish(topic, v5::mqttbytes::QoS::AtLeastOnce, retained, payload).await.map_err(lost)
            }
        }
    }

    pub fn subscribe(&self, filter: &str) -> Result<(), MqttError> {
        match self {
            Self::V4(client) => client.try_subscribe(filter, v4::QoS::AtLeastOnce).map_err(lost),
            Self::V5(client) => client.try_subscribe(filter, v5::mqttbytes::QoS::AtLeastOnce).map_err(lost),
        }
    }

    /// Acknowledges; `false` when the way out is full.
    pub fn acknowledge(&self, arrival: &Arrival) -> bool {
        match (self, arrival) {
            (Self::V4(client), Arrival::V4(publish)) => client.try_ack(publish).is_ok(),
            (Self::V5(client), Arrival::V5(publish)) => client.try_ack(publish).is_ok(),
            _ => unreachable!("a message comes from the connection that it is acknowledged on"),
        }
    }

    /// Asks for DISCONNECT; whether it will be written.
    pub fn disconnect(&self) -> bool {
        match self {
            Self::V4(client) => client.try_disconnect().is_ok(),
            Self::V5(client) => client.try_disconnect().is_ok(),
        }
    }
}

/// Client, what happens to it, and the task that polls it until its first error. (A task of its own also because
/// foreign bytes are parsed there: a panic ends the connection and nothing else.)
pub(super) type Wire = (Client, mpsc::Receiver<Result<Told, MqttError>>, JoinHandle<()>);

/// Starts to connect: straight, or through a private socket of [`super::tls`].
pub(super) fn start(dial: Dial<'_>, through: Option<&str>) -> Wire {
    let capacity = dial.mqtt.batch + 16;
    let (sender, events) = mpsc::channel(capacity);
    let (client, poller) = match dial.mqtt.version {
        MqttVersion::V311 => {
            let (client, eventloop) = client_v4(dial, through, capacity);
            (Client::V4(client), Poller::V4(Box::new(eventloop)))
        }
        MqttVersion::V5 => {
            let (client, eventloop) = client_v5(dial, through, capacity);
            (Client::V5(client), Poller::V5(Box::new(eventloop)))
        }
    };
    (client, events, tokio::spawn(poller.run(sender)))
}

/// The polled side.
enum Poller {
    V4(Box<v4::EventLoop>),
    V5(Box<v5::EventLoop>),
}

impl Poller {
    /// The next thing that happened, if it matters.
    async fn next(&mut self) -> Result<Option<Told>, MqttError> {
        match self {
            Self::V4(eventloop) => eventloop.poll().await.map(told_v4).map_err(failure_v4),
            Self::V5(eventloop) => eventloop.poll().await.map(told_v5).map_err(failure_v5),
        }
    }

    /// Tells until the first error, that one included.
    async fn run(mut self, events: mpsc::Sender<Result<Told, MqttError>>) {
        loop {
            let Some(told) = self.next().await.transpose() else { continue };
            let over = told.is_err();
            if events.send(told).await.is_err() || over {
                return;
            }
        }
    }
}

/// Twice the batch: no packet id comes round again while its first bearer is in flight.
fn in_flight_max(mqtt: &Mqtt) -> u16 {
    u16::try_from(mqtt.batch * 2 + 16).unwrap_or(u16::MAX - 1)
}

/// Where rumqttc shall connect to. An IPv6 address needs brackets in its `host:port`.
fn address(host: &str, through: Option<&str>) -> String {
    match through {
        Some(path) => path.to_owned(),
        None if host.contains(':') && !host.starts_with('[') => format!("[{host}]"),
        None => host.to_owned(),
    }
}

fn client_v4(dial: Dial<'_>, through: Option<&str>, capacity: usize) -> (v4::AsyncClient, v4::EventLoop) {
    let mqtt = dial.mqtt;
    let mut options = v4::MqttOptions::new(dial.client_id, address(&mqtt.host, through), mqtt.port);
    options
        .set_keep_alive(Duration::from_secs(mqtt.keep_alive_s.clamp(5, 3_600)))
        .set_clean_session(!dial.keep_session)
        .set_max_packet_size(PACKET_BYTES_MAX + 1024, PACKET_BYTES_MAX + 1024)
        .set_inflight(in_flight_max(mqtt))
        .set_manual_acks(true);
    if through.is_some() {
        options.set_transport(v4::Transport::unix());
    }
    if let Some(Credentials { username, password }) = &mqtt.credentials {
        options.set_credentials(username, password.reveal());
    }
    if let Some(will) = dial.will {
        let will = v4::LastWill::new(will.topic, will.payload, v4::QoS::AtLeastOnce, will.retained);
        options.set_last_will(will);
    }
    let (client, mut eventloop) = v4::AsyncClient::new(options, capacity);
    eventloop.set_network_options(network());
    (client, eventloop)
}

fn client_v5(dial: Dial<'_>, through: Option<&str>, capacity: usize) -> (v5::AsyncClient, v5::EventLoop) {
    let mqtt = dial.mqtt;
    let mut options = v5::MqttOptions::new(dial.client_id, address(&mqtt.host, through), mqtt.port);
    options
        .set_keep_alive(Duration::from_secs(mqtt.keep_alive_s.clamp(5, 3_600)))
        .set_clean_start(!dial.keep_session)
        .set_session_expiry_interval(dial.keep_session.then_some(SESSION_S))
        .set_max_packet_size(Some(PACKET_BYTES_MAX as u32 + 1024))
        // The broker's `receive maximum` may lower it.
        .set_outgoing_inflight_upper_limit(in_flight_max(mqtt))
        .set_connection_timeout(PATIENCE.as_secs())
        .set_network_options(network())
        .set_manual_acks(true);
    if through.is_some() {
        options.set_transport(v4::Transport::unix());
    }
    if let Some(Credentials { username, password }) = &mqtt.credentials {
        options.set_credentials(username, password.reveal());
    }
    if let Some(will) = dial.will {
        let qos = v5::mqttbytes::QoS::AtLeastOnce;
        options.set_last_will(packet5::LastWill::new(will.topic, will.payload, qos, will.retained, None));
    }
    v5::AsyncClient::new(options, capacity)
}

fn network() -> v4::NetworkOptions {
    let mut network = v4::NetworkOptions::new();
    network.set_connection_timeout(PATIENCE.as_secs()); // Also the limit for writing one message of 3.1.1.
    network.set_tcp_nodelay(true);
    network
}

fn told_v4(event: v4::Event) -> Option<Told> {
    use v4::{Event, Outgoing, Packet};
    match event {
        Event::Incoming(Packet::ConnAck(_)) => Some(Told::Accepted),
        Event::Outgoing(Outgoing::Publish(packet_id)) => Some(Told::Sent(packet_id)),
        Event::Outgoing(Outgoing::Disconnect) => Some(Told::HungUp),
        Event::Incoming(Packet::PubAck(ack)) => Some(Told::Answered(ack.pkid, None)),
        Event::Incoming(Packet::Publish(publish)) => Some(Told::Arrived(Arrival::V4(publish))),
        Event::Incoming(Packet::SubAck(ack)) => {
            if ack.return_codes.contains(&v4::SubscribeReasonCode::Failure) {
                tracing::warn!(
                    "the broker refuses a subscription; hint: check the access rights of this client"
                );
            }
            None
        }
        _ => None,
    }
}

fn told_v5(event: v5::Event) -> Option<Told> {
    use packet5::{Packet, PubAckReason, SubscribeReasonCode};
    match event {
        v5::Event::Incoming(Packet::ConnAck(_)) => Some(Told::Accepted),
        v5::Event::Outgoing(v4::Outgoing::Publish(packet_id)) => Some(Told::Sent(packet_id)),
        v5::Event::Outgoing(v4::Outgoing::Disconnect) => Some(Told::HungUp),
        v5::Event::Incoming(Packet::PubAck(ack)) => {
            let taken = matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
            Some(Told::Answered(ack.pkid, (!taken).then(|| format!("{:?}", ack.reason))))
        }
        v5::Event::Incoming(Packet::Publish(publish)) => Some(Told::Arrived(Arrival::V5(publish))),
        v5::Event::Incoming(Packet::SubAck(ack)) => {
            for reason in ack.return_codes.iter().filter(|r| !matches!(r, SubscribeReasonCode::Success(_))) {
                tracing::warn!(
                    ?reason,
                    "the broker refuses a subscription; hint: check the access rights of this client"
                );
            }
            None
        }
        _ => None,
    }
}

/// Before the broker has accepted, [`MqttError::Lost`] says what happened on a socket that stood.
fn failure_v4(error: v4::ConnectionError) -> MqttError {
    use v4::{ConnectReturnCode, ConnectionError};
    match error {
        ConnectionError::ConnectionRefused(code) => MqttError::Refused(match code {
            ConnectReturnCode::BadUserNamePassword => "bad user name or password".into(),
            ConnectReturnCode::NotAuthorized => "not authorised".into(),
            ConnectReturnCode::BadClientId => "client id rejected".into(),
            ConnectReturnCode::RefusedProtocolVersion => "it does not speak MQTT 3.1.1".into(),
            ConnectReturnCode::ServiceUnavailable => "service unavailable".into(),
            ConnectReturnCode::Success => "nothing".into(),
        }),
        ConnectionError::NetworkTimeout => no_answer(),
        ConnectionError::Io(error) => MqttError::Connect(error.to_string()),
        // Never the packet itself: a CONNECT echoed by garbage would carry the password into the log.
        ConnectionError::NotConnAck(_) => no_broker(),
        error => lost(error),
    }
}

fn failure_v5(error: v5::ConnectionError) -> MqttError {
    use v5::{ConnectionError, StateError};
    match error {
        ConnectionError::ConnectionRefused(code) => MqttError::Refused(format!("{code:?}")),
        ConnectionError::Timeout(_) => no_answer(),
        ConnectionError::Io(error) => MqttError::Connect(error.to_string()),
        ConnectionError::NotConnAck(_) => no_broker(),
        // Not its `reason_string`, which may be anything.
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            MqttError::Lost(format!("the broker hangs up: {reason_code:?}"))
        }
        error => lost(error),
    }
}

pub(super) fn no_answer() -> MqttError {
    MqttError::Connect(format!("no answer for {} s", CONNECT_PATIENCE.as_secs()))
}

pub(super) fn no_broker() -> MqttError {
    MqttError::Connect("it answers, but not as an MQTT broker".into())
}

fn lost(error: impl std::fmt::Display) -> MqttError {
    MqttError::Lost(error.to_string())
}
