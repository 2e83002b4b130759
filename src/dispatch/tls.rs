//! TLS to the broker, of our own: rumqttc's would pull two crates that are no longer kept (`rustls-webpki` 0.102,
//! `rustls-pemfile`), and tells errors at third hand.
//!
//! rumqttc is led through a private socket to the TLS stream that was made here. The socket has a random name in the
//! abstract namespace (nothing on disk), takes one connection, and that only from this very process.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::mqtt::MqttError;
use crate::config::Tls;

/// Bytes that wait on their way, per direction: four TLS records.
const BUFFER_BYTES: usize = 64 << 10;
/// Time for the last bytes of a connection, and for the reason of its end.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// A TLS connection and the private socket that leads to it.
pub(super) struct Tunnel {
    /// For rumqttc.
    pub path: String,
    carrier: JoinHandle<io::Result<()>>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

impl Tunnel {
    /// Connects and shakes hands. The files are read anew each time, so that renewed certificates are taken up.
    pub async fn open(tls: &Tls, host: &str, port: u16) -> Result<Self, MqttError> {
        let config = client_config(tls).map_err(MqttError::Tls)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| MqttError::Tls(format!("`{host}` is no name that a certificate can bear")))?;
        let unconnected = |error: io::Error| MqttError::Connect(error.to_string());
        let tcp = TcpStream::connect((host, port)).await.map_err(unconnected)?;
        tcp.set_nodelay(true).map_err(unconnected)?;
        let connector = TlsConnector::from(Arc::new(config));
        let mut outer = connector.connect(name, tcp).await.map_err(|e| MqttError::Tls(explain(&e)))?;
        let path = format!("\0gridwatch-{:032x}", fastrand::u128(..));
        let door = UnixListener::bind(Path::new(&path)).map_err(unconnected)?;
        let carrier = tokio::spawn(async move {
            let mut inner = own(&door).await?;
            drop(door);
            tokio::io::copy_bidirectional_with_sizes(&mut inner, &mut outer, BUFFER_BYTES, BUFFER_BYTES)
                .await?;
            Ok(())
        });
        Ok(Self { path, carrier })
    }

    /// Waits until everything is through, after rumqttc has let go of its end; why it broke, if it did.
    pub async fn end(&mut self) -> Option<MqttError> {
        match timeout(END_PATIENCE, &mut self.carrier).await {
            Ok(Ok(Err(error))) => Some(MqttError::Tls(explain(&error))),
            _ => None,
        }
    }
}

/// The first connection of this process; others are turned away.
async fn own(door: &UnixListener) -> io::Result<UnixStream> {
    loop {
        let (stream, _) = door.accept().await?;
        if stream.peer_cred()?.pid() == i32::try_from(std::process::id()).ok() {
            return Ok(stream);
        }
    }
}

fn client_config(tls: &Tls) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match &tls.ca_file {
        Some(file) => {
            for authority in certificates(file)? {
                let unfit =
                    |error| format!("`{}` holds no certificate of an authority: {error}", file.display());
                roots.add(authority).map_err(unfit)?;
            }
        }
        None => _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    }
    if roots.is_empty() {
        return Err("the system trusts no authority; hint: give the broker's as `ca_file`".into());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let Some(client) = &tls.client else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_file(&client.key_file)
        .map_err(|error| format!("`{}` holds no private key: {error}", client.key_file.display()))?;
    let unfit = |error| format!("`{}` with its key: {error}", client.cert_file.display());
    builder.with_client_auth_cert(certificates(&client.cert_file)?, key).map_err(unfit)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err(format!("`{}` holds no certificate", file.display())),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("`{}`: {error}", file.display())),
    }
}

/// What went wrong, and what to do about it.
fn explain(error: &io::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Unfit, Error};
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    let hint = match tls {
        Some(Error::InvalidCertificate(Unfit::Expired | Unfit::ExpiredContext { .. })) => {
            "the broker needs a new certificate, unless the clock of this box is wrong"
        }
        Some(Error::InvalidCertificate(Unfit::NotValidYet | Unfit::NotValidYetContext { .. })) => {
            "is the clock of this box right?"
        }
        Some(Error::InvalidCertificate(Unfit::UnknownIssuer | Unfit::BadSignature)) => {
            "`ca_file` must hold the certificate of the authority that signed the broker's"
        }
        Some(Error::InvalidCertificate(Unfit::NotValidForName | Unfit::NotValidForNameContext { .. })) => {
            "`host` must be a name or address that the broker's certificate bears"
        }
        Some(Error::InvalidCertificate(_)) => {
            "the broker's certificate must be one for a server, signed by the authority in `ca_file`"
        }
        Some(Error::AlertReceived(Alert::ProtocolVersion | Alert::InsufficientSecurity)) => {
            "the broker must speak TLS 1.2 or 1.3"
        }
        Some(Error::AlertReceived(_)) => {
            "the broker may want a certificate of this box, from its own authority: `client_cert_file`, `client_key_file`"
        }
        Some(Error::InvalidMessage(_)) | None => {
            "is this the port for TLS, usually 8883? If the broker has none, take `tls` away"
        }
        Some(_) => return error.to_string(),
    };
    format!("{error}; hint: {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::UnixTime;
    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

    #[test]
    fn errors_say_what_to_do() {
        let day = |day: u64| UnixTime::since_unix_epoch(Duration::from_secs(day * 86_400));
        let (time, not_after, not_before) = (day(20_000), day(19_000), day(21_000));
        for (error, what, hint) in [
            (
                Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }),
                "expired",
                "a new certificate",
            ),
            (
                Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }),
                "not valid yet",
                "the clock of this box",
            ),
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "UnknownIssuer", "`ca_file`"),
            (
                Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                    expected: ServerName::try_from("broker.city").expect("a name"),
                    presented: vec!["DnsName(\"other.city\")".into()],
                }),
                "other.city",
                "`host`",
            ),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "corrupt", "8883"),
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                "CertificateRequired",
                "`client_cert_file`",
            ),
            (Error::AlertReceived(AlertDescription::ProtocolVersion), "ProtocolVersion", "TLS 1.2"),
        ] {
            let said = explain(&io::Error::new(io::ErrorKind::InvalidData, error));
            let (before, after) = said.split_once("; hint: ").expect("a hint");
            assert!(before.contains(what) && after.contains(hint), "{said}");
        }
    }
}
