//! `[mqtt]`: the broker of the dispatch platform.

use std::path::{Path, PathBuf};

use super::item::Item;
use super::mirror::{self, Mirror, MirrorTable};
use super::secret::PasswordKeys;
use super::{Credentials, source};

/// The broker of the dispatch platform.
#[derive(Debug, Clone, PartialEq)]
pub struct Mqtt {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Version of the protocol.
    pub version: MqttVersion,
    /// TLS, if wanted; the broker's certificate is always verified.
    pub tls: Option<Tls>,
    /// User name and password, if the broker wants them.
    pub credentials: Option<Credentials>,
    /// First part of every topic.
    pub root: String,
    /// Keep-alive interval in seconds.
    pub keep_alive_s: u64,
    /// Whether pictures are published as messages of their own before the incident that cites them.
    pub publish_evidence: bool,
    /// Most publishes in flight that the broker has not acknowledged.
    pub batch: usize,
    /// Incidents once more, in other platforms' shapes.
    pub mirrors: Vec<Mirror>,
}

impl Mqtt {
    /// A broker without TLS and password; all else as it is when the config does not say.
    pub fn plain(host: &str, port: u16, root: &str) -> Self {
        Self {
            host: host.to_owned(),
            port,
            version: MqttVersion::default(),
            tls: None,
            credentials: None,
            root: root.to_owned(),
            keep_alive_s: default_keep_alive_s(),
            publish_evidence: yes(),
            batch: default_batch(),
            mirrors: Vec::new(),
        }
    }
}

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
pub enum MqttVersion {
    /// MQTT 3.1.1, which every broker speaks.
    #[default]
    #[serde(rename = "3.1.1")]
    V311,
    /// MQTT 5: the broker says why it refuses, and keeps a session for a day.
    #[serde(rename = "5")]
    V5,
}

/// How the broker shows who it is, and this box to the broker. Files are PEM, and read on every connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of the authorities that may have signed the broker's; without it those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key of this box, if the broker wants them (mTLS).
    pub client: Option<ClientCertificate>,
}

/// Certificate and private key of this box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Certificate, followed by those between it and the authority.
    pub cert_file: PathBuf,
    /// Private key.
    pub key_file: PathBuf,
}

/// `[mqtt]` as the operator writes it.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct MqttTable {
    /// Host name or address of the broker, without `mqtt://` and port.
    #[schemars(length(min = 1))]
    pub host: String,
    /// TCP port of the broker. Default: 1883, with TLS 8883.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Version of the protocol.
    #[serde(default)]
    pub version: MqttVersion,
    /// Whether the connection is encrypted and the broker's certificate verified.
    #[serde(default)]
    pub tls: bool,
    /// PEM file with the certificates of the authorities that may have signed the broker's, relative to this file. Default: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// PEM file with the certificate of this box, for a broker that wants one (mTLS), relative to this file.
    pub client_cert_file: Option<PathBuf>,
    /// PEM file with the private key of this box, relative to this file.
    pub client_key_file: Option<PathBuf>,
    /// First part of every topic; may contain `/`.
    #[serde(default = "default_root")]
    #[schemars(length(min = 1))]
    pub root: String,
    /// Keep-alive interval in seconds: how soon a dead connection is noticed.
    #[serde(default = "default_keep_alive_s")]
    #[schemars(range(min = 5, max = 3600))]
    pub keep_alive_s: u64,
    /// Whether pictures are published as messages of their own before the incident that cites them.
    #[serde(default = "yes")]
    pub publish_evidence: bool,
    /// Most publishes in flight that the broker has not acknowledged.
    #[serde(default = "default_batch")]
    #[schemars(range(min = 1, max = 1000))]
    pub batch: usize,
    /// Incidents once more, each table in the shape of another platform.
    #[serde(default)]
    pub mirror: Vec<MirrorTable>,
    /// User name and password, if the broker wants them.
    #[serde(flatten)]
    pub login: PasswordKeys,
}

fn default_root() -> String {
    "gridwatch".to_owned()
}

fn default_keep_alive_s() -> u64 {
    30
}

fn default_batch() -> usize {
    32
}

fn yes() -> bool {
    true
}

impl MqttTable {
    /// The broker, or the problems noted in the item.
    pub fn resolve(self, item: &mut Item, dir: &Path) -> Option<Mqtt> {
        if self.host.contains(['/', '@', ' ']) || self.host.matches(':').count() == 1 {
            let hint = "only the name or address, `host = \"10.0.0.5\"`; the port goes to `port`".to_owned();
            item.error("/host", "`host` is not a host name or address", hint);
        }
        let wildcard = self.root.contains(['+', '#', '$', ' ', '\0']);
        if wildcard || self.root.split('/').any(str::is_empty) {
            let hint = "a word such as `gridwatch`, or several as `city/gridwatch`".to_owned();
            item.error("/root", "`root` cannot be the first part of a topic", hint);
        }
        let tls = self.tls(item, dir);
        let credentials = self.login.resolve(&mut [item], dir);
        let Self { host, version, root, keep_alive_s, publish_evidence, batch, .. } = self;
        let mirrors = mirror::resolve(self.mirror, item, &root, publish_evidence);
        if item.failed() {
            return None;
        }
        let port = self.port.unwrap_or(if tls.is_some() { 8883 } else { 1883 });
        Some(Mqtt {
            host,
            port,
            version,
            tls,
            credentials,
            root,
            keep_alive_s,
            publish_evidence,
            batch,
            mirrors,
        })
    }

    fn tls(&self, item: &mut Item, dir: &Path) -> Option<Tls> {
        let files = [
            ("ca_file", &self.ca_file, "CERTIFICATE-----"),
            ("client_cert_file", &self.client_cert_file, "CERTIFICATE-----"),
            ("client_key_file", &self.client_key_file, "PRIVATE KEY-----"),
        ];
        for (key, file, holds) in files {
            let Some(file) = file else { continue };
            if !self.tls {
                item.error(&format!("/{key}"), format!("`{key}` without TLS"), "add `tls = true`".to_owned());
            } else if let Err(why) = check_pem(&dir.join(file), holds) {
                item.error(&format!("/{key}"), why, None);
            }
        }
        let at = |file: &PathBuf| dir.join(file);
        let client = match (&self.client_cert_file, &self.client_key_file) {
            (Some(cert), Some(key)) => Some(ClientCertificate { cert_file: at(cert), key_file: at(key) }),
            (Some(_), None) => {
                item.error(
                    "/client_cert_file",
                    "a certificate without its key",
                    "add `client_key_file`".to_owned(),
                );
                None
            }
            (None, Some(_)) => {
                item.error(
                    "/client_key_file",
                    "a key without its certificate",
                    "add `client_cert_file`".to_owned(),
                );
                None
            }
            (None, None) => None,
        };
        if let Some(client) = client.as_ref().filter(|client| is_open_to_all(&client.key_file)) {
            let hint = format!("`chmod o-rwx {}`", client.key_file.display());
            item.warn("/client_key_file", "everyone on this box may read the private key", hint);
        }
        self.tls.then(|| Tls { ca_file: self.ca_file.as_ref().map(at), client })
    }
}

/// Whether a file can be read and seems to hold what it should; what exactly is looked at when it is used.
fn check_pem(file: &Path, holds: &str) -> Result<(), String> {
    let shown = file.display();
    let bytes =
        source::read_bytes(file).map_err(|e| format!("cannot read `{shown}`: {}", source::why(&e)))?;
    if bytes.windows(holds.len()).any(|some| some == holds.as_bytes()) {
        return Ok(());
    }
    Err(format!("`{shown}` holds no `-----BEGIN … {holds}`: it must be PEM"))
}

fn is_open_to_all(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|of| of.permissions().mode() & 0o007 != 0)
}
