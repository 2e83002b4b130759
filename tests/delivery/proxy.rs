//! A way to the broker that can be cut and led to another broker, so that a listener can be in place first.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Forwards connections of one loopback port to a broker, while there is one.
pub struct Proxy {
    pub port: u16,
    upstream: Arc<Mutex<Option<u16>>>,
}

impl Proxy {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let upstream = Arc::new(Mutex::new(None::<u16>));
        let way = Arc::clone(&upstream);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let to = *way.lock().expect("not poisoned");
                let Some(Ok(broker)) = to.map(|port| TcpStream::connect(("127.0.0.1", port))) else {
                    continue;
                };
                let _ = (stream.set_nodelay(true), broker.set_nodelay(true));
                for (mut from, mut to) in [(clone(&stream), clone(&broker)), (broker, stream)] {
                    std::thread::spawn(move || {
                        let mut buffer = [0; 4096];
                        while let Ok(n @ 1..) = from.read(&mut buffer) {
                            if to.write_all(&buffer[..n]).is_err() {
                                break;
                            }
                        }
                        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                    });
                }
            }
        });
        Self { port, upstream }
    }

    /// Leads new connections to this broker, or nowhere.
    pub fn lead_to(&self, broker: Option<u16>) {
        *self.upstream.lock().expect("not poisoned") = broker;
    }
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a socket")
}
