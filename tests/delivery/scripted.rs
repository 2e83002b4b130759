//! A broker that misbehaves to order: plain sockets and the few packets of MQTT 3.1.1 and 5 that a publisher needs.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a connection does; the broker takes one after the other and stays with the last.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// Acknowledges everything at once.
    Obey,
    /// Hangs up on the n-th message of the outbox, having acknowledged those before it.
    HangUpAt(usize),
    /// Takes n messages of the outbox, acknowledges none of them, and hangs up.
    SwallowThenHangUp(usize),
    /// Acknowledges pairs the wrong way round.
    Reversed,
    /// Acknowledges every message twice.
    Twice,
    /// Acknowledges after this many milliseconds each.
    Late(u64),
    /// Refuses the connection with this code of MQTT 3.1.1.
    Refuse(u8),
    /// Answers CONNECT with something that is no MQTT.
    Garbage,
    /// Accepts, then sends bytes that are no packet.
    GarbageLater,
    /// Hangs up on every picture of this topic's ending; obeys otherwise.
    Allergic(&'static str),
    /// MQTT 5: refuses every message of this topic's ending, with this code; obeys otherwise.
    Deny(&'static str, u8),
}

/// A message as it was received; `acknowledged` once the PUBACK was written.
#[derive(Debug, Clone)]
pub struct Taken {
    pub topic: String,
    pub payload: Vec<u8>,
    pub connection: usize,
    pub acknowledged: bool,
}

/// The broker; it ends with the test process's thread of that name when dropped.
pub struct Scripted {
    pub port: u16,
    taken: Arc<Mutex<Vec<Taken>>>,
    _accept: JoinHandle<()>,
}

impl Scripted {
    pub fn start(script: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&taken);
        let accept = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let act = script[number.min(script.len() - 1)];
                let Ok(stream) = stream else { return };
                // One client: serving it here keeps what was taken in one order.
                let _ = serve(&stream, act, number, &sink);
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        Self { port, taken, _accept: accept }
    }

    /// Messages of the outbox (statuses left out), in order.
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().expect("not poisoned").clone()
    }
}

fn serve(mut stream: &TcpStream, act: Act, number: usize, sink: &Mutex<Vec<Taken>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut count = 0;
    let mut held: Option<(u16, usize)> = None;
    let mut v5 = false;
    loop {
        let (header, body) = packet(stream)?;
        match header >> 4 {
            1 => {
                v5 = body[6] == 5; // After the name of the protocol.
                let answer = |code: u8| if v5 { vec![0x20, 3, 0, code, 0] } else { vec![0x20, 2, 0, code] };
                match act {
                    Act::Refuse(code) => return stream.write_all(&answer(if v5 { 0x87 } else { code })),
                    Act::Garbage => return stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
                    Act::GarbageLater => {
                        stream.write_all(&answer(0))?;
                        return stream.write_all(&[0xf0, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3]);
                    }
                    _ => stream.write_all(&answer(0))?,
                }
            }
            3 => {
                let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = String::from_utf8_lossy(&body[2..2 + length]).into_owned();
                let id = u16::from_be_bytes([body[2 + length], body[3 + length]]);
                // In MQTT 5 the length of no properties stands between.
                let payload = body[4 + length + usize::from(v5)..].to_vec();
                let ack = [0x40, 2, (id >> 8) as u8, id as u8];
                if topic.ends_with("/status") {
                    stream.write_all(&ack)?;
                    continue;
                }
                count += 1;
                if let Act::Allergic(ending) = act
                    && topic.ends_with(ending)
                {
                    return Ok(());
                }
                if let Act::Deny(ending, code) = act
                    && topic.ends_with(ending)
                {
                    stream.write_all(&[0x40, 3, ack[2], ack[3], code])?;
                    continue;
                }
                let index = {
                    let mut taken = sink.lock().expect("not poisoned");
                    taken.push(Taken { topic, payload, connection: number, acknowledged: false });
                    taken.len() - 1
                };
                let write = |id: u16, index: usize| -> std::io::Result<()> {
                    let mut stream = stream;
                    stream.write_all(&[0x40, 2, (id >> 8) as u8, id as u8])?;
                    sink.lock().expect("not poisoned")[index].acknowledged = true;
                    Ok(())
                };
                match act {
                    Act::HangUpAt(n) if count == n => return Ok(()),
                    Act::SwallowThenHangUp(n) if count == n => return Ok(()),
                    Act::SwallowThenHangUp(_) => {}
                    Act::Reversed => match held.take() {
                        None => {
                            held = Some((id, index));
                            // The last of an odd batch must not wait for ever.
                            if !more(stream) {
                                held = None;
                                write(id, index)?;
                            }
                        }
                        Some((first, first_index)) => {
                            write(id, index)?;
                            write(first, first_index)?;
                        }
                    },
                    Act::Twice => {
                        write(id, index)?;
                        stream.write_all(&ack)?;
                    }
                    Act::Late(ms) => {
                        std::thread::sleep(Duration::from_millis(ms));
                        write(id, index)?;
                    }
                    _ => write(id, index)?,
                }
            }
            8 if v5 => stream.write_all(&[0x90, 4, body[0], body[1], 0, 1])?,
            8 => stream.write_all(&[0x90, 3, body[0], body[1], 1])?,
            12 => stream.write_all(&[0xd0, 0])?,
            14 => return Ok(()),
            _ => {}
        }
    }
}

/// Whether another packet comes soon.
fn more(stream: &TcpStream) -> bool {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
    let peeked = stream.peek(&mut [0]);
    let _ = stream.set_read_timeout(None);
    !matches!(peeked, Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

fn packet(mut stream: &TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let header = byte[0];
    let (mut length, mut shift) = (0usize, 0);
    loop {
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((header, body))
}
