//! How a track's packets travel: in the RTSP connection, or as datagrams of their own.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use rtsp_types::headers::{RtpLowerTransport, RtpTransport, Transport, Transports};

/// Which transports a server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offer {
    /// What the client asks for first.
    #[default]
    Any,
    /// Interleaved only; datagrams are refused (461).
    Tcp,
    /// Datagrams only; interleaved is refused (461).
    Udp,
}

/// A track's way to its viewer.
pub(super) enum Route {
    /// Channels in the RTSP connection (RFC 2326 section 10.12).
    Interleaved {
        /// Channel of RTP.
        rtp: u8,
        /// Channel of RTCP.
        rtcp: u8,
    },
    /// A pair of connected sockets that never block; nobody waits for them, so the runtime need not know them.
    Udp {
        /// Socket of RTP, at an even port.
        rtp: UdpSocket,
        /// Socket of RTCP, at the port above.
        rtcp: UdpSocket,
    },
}

impl Route {
    /// The first transport a client offers that this server takes, with the reply's `Transport` up to the SSRC.
    pub fn choose(
        offer: Offer,
        wanted: &Transports,
        channel: u8,
        local: IpAddr,
        peer: IpAddr,
    ) -> io::Result<Option<(Self, String)>> {
        for transport in wanted.iter() {
            let Transport::Rtp(RtpTransport { lower_transport, params, .. }) = transport else { continue };
            if params.multicast {
                continue;
            }
            match lower_transport {
                Some(RtpLowerTransport::Tcp) if offer != Offer::Udp => {
                    let (rtp, rtcp) = params.interleaved.unwrap_or((channel, None));
                    let rtcp = rtcp.unwrap_or(rtp.wrapping_add(1));
                    let reply = format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp}");
                    return Ok(Some((Self::Interleaved { rtp, rtcp }, reply)));
                }
                None | Some(RtpLowerTransport::Udp) if offer != Offer::Tcp => {
                    let Some((rtp, rtcp)) = params.client_port else { continue };
                    let rtcp = rtcp.unwrap_or(rtp.wrapping_add(1));
                    // To the peer itself, never to a `destination`: nobody else may be flooded.
                    let ((to_rtp, to_rtcp), port) = pair(local, (peer, rtp).into(), (peer, rtcp).into())?;
                    let reply = format!(
                        "RTP/AVP;unicast;client_port={rtp}-{rtcp};server_port={port}-{};source={local}",
                        port + 1
                    );
                    return Ok(Some((Self::Udp { rtp: to_rtp, rtcp: to_rtcp }, reply)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whether the viewer has sent a datagram since the last call.
    pub fn heard(&self) -> bool {
        let Self::Udp { rtp, rtcp } = self else { return false };
        let mut heard = false;
        for socket in [rtp, rtcp] {
            // Datagrams wait in the system's buffer; a refused port shows up as an error, once each.
            let mut buffer = [0; 64];
            for _ in 0..64 {
                match socket.recv(&mut buffer) {
                    Ok(_) => heard = true,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => {}
                }
            }
        }
        heard
    }
}

/// Two sockets at an even port and the one above (RFC 3550 section 11), connected to the viewer.
fn pair(local: IpAddr, rtp_to: SocketAddr, rtcp_to: SocketAddr) -> io::Result<((UdpSocket, UdpSocket), u16)> {
    // Half of the free ports are odd, and of the even ones few have a taken neighbour.
    const ATTEMPTS: usize = 64;
    let bind = |port, to: SocketAddr| {
        let socket = UdpSocket::bind((local, port))?;
        socket.set_nonblocking(true)?;
        socket.connect(to)?;
        io::Result::Ok(socket)
    };
    let mut odd = Vec::new();
    for _ in 0..ATTEMPTS {
        let rtp = bind(0, rtp_to)?;
        let port = rtp.local_addr()?.port();
        if port % 2 == 0
            && let Ok(rtcp) = bind(port + 1, rtcp_to)
        {
            return Ok(((rtp, rtcp), port));
        }
        odd.push(rtp); // Kept, so that the system does not give the same port again.
    }
    Err(io::Error::from(io::ErrorKind::AddrNotAvailable))
}
