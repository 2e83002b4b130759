//! A small RTSP client of our own, written apart from the server: it sees every byte.

use std::collections::HashMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

/// Longest wait for anything; far above what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What comes over the connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// Status, headers in lower case, body.
    Reply(u16, HashMap<String, String>, String),
    /// An RTP packet in the first channel.
    Rtp(Packet),
    /// Anything in another channel.
    Other(u8, Vec<u8>),
    /// A byte that is neither.
    Noise(u8),
    /// The server has closed the connection.
    Closed,
}

/// An RTP packet.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub payload: Vec<u8>,
}

impl Packet {
    pub fn parse(bytes: &[u8]) -> Self {
        assert_eq!((bytes[0], bytes[1] & 0x7f), (0x80, 96), "a plain RTP packet of the video track");
        Self {
            marker: bytes[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([bytes[2], bytes[3]]),
            timestamp: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            payload: bytes[12..].to_vec(),
        }
    }

    /// H.264: the types of the NAL units in it, fragments by what they are part of.
    pub fn nal_types(&self) -> Vec<u8> {
        match self.payload[0] & 31 {
            24 => {
                let (mut types, mut rest) = (vec![], &self.payload[1..]);
                while let [high, low, head, ..] = rest {
                    types.push(head & 31);
                    rest = &rest[2 + usize::from(u16::from_be_bytes([*high, *low]))..];
                }
                types
            }
            28 => vec![self.payload[1] & 31],
            kind => vec![kind],
        }
    }
}

pub struct Viewer {
    pub url: Url,
    stream: TcpStream,
    buffer: Vec<u8>,
    sequence: u32,
    pub session: String,
}

impl Viewer {
    pub async fn connect(url: &Url) -> std::io::Result<Self> {
        let address = (url.host_str().unwrap(), url.port().unwrap());
        let stream = TcpStream::connect(address).await?;
        Ok(Self { url: url.clone(), stream, buffer: vec![], sequence: 0, session: String::new() })
    }

    /// Connects and plays the video track, interleaved; also returns the headers of PLAY's reply.
    pub async fn play(url: &Url) -> (Self, HashMap<String, String>) {
        let mut viewer = Self::connect(url).await.unwrap();
        viewer.set_up("RTP/AVP/TCP;unicast;interleaved=0-1", 0).await;
        let (status, headers, _) = viewer.ask("PLAY", "", "").await;
        assert_eq!(status, 200);
        (viewer, headers)
    }

    /// Sets a track up.
    pub async fn set_up(&mut self, transport: &str, track: u8) -> HashMap<String, String> {
        let transport = format!("Transport: {transport}\r\n");
        let (status, headers, _) = self.ask("SETUP", &format!("/trackID={track}"), &transport).await;
        assert_eq!(status, 200);
        headers["session"].split(';').next().unwrap().clone_into(&mut self.session);
        headers
    }

    /// The connection itself.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends a request about the camera's URL and what follows it.
    pub async fn request(&mut self, method: &str, path: &str, headers: &str) {
        self.sequence += 1;
        let session = match &*self.session {
            "" => String::new(),
            session => format!("Session: {session}\r\n"),
        };
        let (url, sequence) = (&self.url, self.sequence);
        let text = format!("{method} {url}{path} RTSP/1.0\r\nCSeq: {sequence}\r\n{headers}{session}\r\n");
        self.send(text.as_bytes()).await;
    }

    /// Sends a request and waits for its reply, past all media; status 0: closed.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
    ) -> (u16, HashMap<String, String>, String) {
        self.request(method, path, headers).await;
        loop {
            match self.next().await {
                Item::Reply(status, headers, body) => {
                    assert_eq!(headers["cseq"], self.sequence.to_string());
                    return (status, headers, body);
                }
                Item::Closed => return (0, HashMap::new(), String::new()),
                _ => {}
            }
        }
    }

    /// The next thing that comes.
    pub async fn next(&mut self) -> Item {
        timeout(PATIENCE, self.wait()).await.expect("something comes in time")
    }

    /// The next thing that comes within a time.
    pub async fn next_within(&mut self, patience: Duration) -> Option<Item> {
        timeout(patience, self.wait()).await.ok()
    }

    /// The next packet of the video track, past everything else.
    pub async fn packet(&mut self) -> Packet {
        loop {
            match self.next().await {
                Item::Rtp(packet) => return packet,
                Item::Closed => panic!("closed instead of a packet"),
                _ => {}
            }
        }
    }

    /// The packets of the next whole pictures.
    pub async fn pictures(&mut self, count: usize) -> Vec<Vec<Packet>> {
        let mut pictures = vec![];
        while pictures.len() < count {
            let mut packets = vec![self.packet().await];
            while !packets.last().unwrap().marker {
                packets.push(self.packet().await);
            }
            pictures.push(packets);
        }
        pictures
    }

    /// Waits until the server closes the connection.
    pub async fn closed(&mut self) {
        while self.next().await != Item::Closed {}
    }

    async fn wait(&mut self) -> Item {
        loop {
            if let Some((item, used)) = parse(&self.buffer) {
                self.buffer.drain(..used);
                return item;
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(1..) => {}
                _ => return Item::Closed,
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(Item, usize)> {
    match bytes {
        [b'$', channel, high, low, rest @ ..] => {
            let size = usize::from(u16::from_be_bytes([*high, *low]));
            let data = rest.get(..size)?;
            let item = if *channel == 0 {
                Item::Rtp(Packet::parse(data))
            } else {
                Item::Other(*channel, data.to_vec())
            };
            Some((item, 4 + size))
        }
        [b'$', ..] | [] => None,
        _ if b"RTSP/1.0 ".starts_with(&bytes[..bytes.len().min(9)]) => {
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
            let head = std::str::from_utf8(&bytes[..end]).unwrap();
            let mut lines = head.trim_end().split("\r\n");
            let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            let headers: HashMap<_, _> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let size: usize = headers.get("content-length").map_or(0, |size| size.parse().unwrap());
            let body = std::str::from_utf8(bytes.get(end..end + size)?).unwrap().to_owned();
            Some((Item::Reply(status, headers, body), end + size))
        }
        [byte, ..] => Some((Item::Noise(*byte), 1)),
    }
}
