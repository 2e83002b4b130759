//! TLS and mTLS to a real mosquitto, with certificates of our own making.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use gridwatch::config::{ClientCertificate, Mqtt, MqttVersion, Tls};
use gridwatch::dispatch::Subscription;

use super::broker::{self, Broker, Listener, free_port};
use super::site::{BASE, Site};
use super::{dispatch, drained, statements};

/// Certificates, made once: the authority `ca`, its `broker` (at 127.0.0.1) and `elsewhere` (at other.city), its `box`;
/// the foreign authority `ca2` and its `stranger`.
pub struct Certificates(tempfile::TempDir);

impl Certificates {
    /// `None`, with the reason printed, where there is no openssl.
    pub fn make() -> Option<Self> {
        let made = Self(tempfile::tempdir().expect("a directory"));
        if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
            println!("skipped: no openssl here; hint: apt-get install openssl");
            return None;
        }
        for authority in ["ca", "ca2"] {
            made.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={authority} \
                 -keyout {authority}.key -out {authority}.pem"
            ));
        }
        for (name, authority, bears) in [
            ("broker", "ca", "subjectAltName=IP:127.0.0.1"),
            ("elsewhere", "ca", "subjectAltName=DNS:other.city"),
            ("box", "ca", "extendedKeyUsage=clientAuth"),
            ("stranger", "ca2", "extendedKeyUsage=clientAuth"),
        ] {
            std::fs::write(made.path(&format!("{name}.ext")), bears).expect("written");
            made.openssl(&format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
            ));
            made.openssl(&format!(
                "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2 \
                 -extfile {name}.ext -out {name}.pem"
            ));
        }
        Some(made)
    }

    fn openssl(&self, args: &str) {
        let mut command = Command::new("openssl");
        command.args(args.split_whitespace()).current_dir(self.0.path());
        let output = command.output().expect("openssl runs");
        assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A broker with a plain port and a TLS port, that one with this certificate; the TLS port.
    pub fn broker(&self, certificate: &str, more: &str) -> (Broker, u16) {
        let tls = free_port();
        let dir = self.0.path().display();
        let lines = format!(
            "allow_anonymous true\nlistener {tls} 127.0.0.1\ncafile {dir}/ca.pem\ncertfile {dir}/{certificate}.pem\n\
             keyfile {dir}/{certificate}.key\n{more}"
        );
        let broker = Broker::start_with(free_port(), &lines, &[]);
        super::wait("the TLS port listens", || std::net::TcpStream::connect(("127.0.0.1", tls)).is_ok());
        (broker, tls)
    }

    /// `[mqtt]` for this port, with this certificate of the box.
    fn mqtt(&self, port: u16, version: &str, own: Option<&str>) -> String {
        let path = |name: &str| self.path(name).display().to_string();
        let mut mqtt = format!(
            "[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\nroot = \"city/grid\"\nversion = \"{version}\"\n\
             tls = true\nca_file = \"{}\"\n",
            path("ca.pem")
        );
        if let Some(own) = own {
            let (cert, key) = (path(&format!("{own}.pem")), path(&format!("{own}.key")));
            let keys = [format!("client_cert_file = \"{cert}\"\n"), format!("client_key_file = \"{key}\"\n")];
            mqtt.extend(keys);
        }
        mqtt
    }
}

#[test]
fn all_arrives_through_tls() {
    let Some(certificates) = broker::installed().then(Certificates::make).flatten() else { return };
    for (more, own) in [("", None), ("require_certificate true\n", Some("box"))] {
        for version in ["3.1.1", "5"] {
            let (broker, tls) = certificates.broker("broker", more);
            let site = Site::with(&certificates.mqtt(tls, version, own));
            let listener = Listener::start(broker.port, "#");
            let store = site.store();
            let mut incidents = site.incidents(&store);
            let mut said = Vec::new();
            for round in 0..5 {
                said.extend(site.play(&mut incidents, "gate", f64::from(round) * 1_000.0, 6));
            }
            // Larger than every buffer on the way.
            let (camera, zone) = site.camera("market");
            let seen = site.observation(gridwatch::observation::Stage::Confirmed, 0.0, 300.0);
            let picture = vec![site.snapshot("large", 3 << 20)];
            said.extend(
                incidents.observe(camera, zone, &seen, None, picture, seen.at.wall).expect("observed"),
            );
            let dispatch = dispatch(&site, &store);
            drained(&store);
            assert_eq!((dispatch.stats().connections, dispatch.stats().undeliverable), (1, 0));
            let verdict = format!("{BASE}/verdict/{}", said[0].incident);
            broker.publish(&verdict, br#"{"verdict":"accepted"}"#, false);
            super::wait("a verdict comes back", || dispatch.stats().verdicts == 1);
            dispatch.stop(Duration::from_secs(5));
            let offline =
                |m: &broker::Heard| m.topic == format!("{BASE}/status") && m.json()["state"] == "offline";
            let heard = listener.until(offline);
            assert_eq!(statements(&heard).len(), said.len(), "MQTT {version}");
            assert!(heard.iter().any(|m| m.payload.len() == 3 << 20));
            // The DISCONNECT came through: no will.
            assert!(!listener.rest(Duration::from_millis(500)).iter().any(offline), "MQTT {version}");
        }
    }
}

#[test]
fn who_is_not_proven_is_not_spoken_to() {
    let Some(certificates) = broker::installed().then(Certificates::make).flatten() else { return };
    let (plain, good) = certificates.broker("broker", "");
    let (_elsewhere, elsewhere) = certificates.broker("elsewhere", "");
    let (_strict, strict) = certificates.broker("broker", "require_certificate true\n");
    let tls = |ca: &str, own: Option<&str>| {
        let client = own.map(|own| ClientCertificate {
            cert_file: certificates.path(&format!("{own}.pem")),
            key_file: certificates.path(&format!("{own}.key")),
        });
        Some(Tls { ca_file: Some(certificates.path(ca)), client })
    };
    let of_the_system = Some(Tls { ca_file: None, client: None });
    let mixed_up = Some(Tls {
        ca_file: Some(certificates.path("ca.pem")),
        client: Some(ClientCertificate {
            cert_file: certificates.path("box.pem"),
            key_file: certificates.path("stranger.key"),
        }),
    });
    let empty = certificates.path("box.ext");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for version in [MqttVersion::V311, MqttVersion::V5] {
        for (name, port, tls, says) in [
            ("sound", good, tls("ca.pem", None), None),
            ("sound, mutual", strict, tls("ca.pem", Some("box")), None),
            ("another authority", good, tls("ca2.pem", None), Some("`ca_file` must hold")),
            ("authorities of the system", good, of_the_system.clone(), Some("`ca_file`")),
            ("another name", elsewhere, tls("ca.pem", None), Some("`host` must be")),
            ("no certificate of the box", strict, tls("ca.pem", None), Some("`client_cert_file`")),
            ("a stranger's certificate", strict, tls("ca.pem", Some("stranger")), Some("`client_cert_file`")),
            ("somebody else's key", strict, mixed_up.clone(), Some("box.pem")),
            ("TLS to a plain port", plain.port, tls("ca.pem", None), Some("usually 8883")),
            ("plain to a TLS port", good, None, Some("write `tls = true`")),
            (
                "no PEM",
                good,
                Some(Tls { ca_file: Some(empty.clone()), client: None }),
                Some("no certificate"),
            ),
        ] {
            let mqtt = Mqtt { version, tls, ..Mqtt::plain("127.0.0.1", port, "city/grid") };
            let opened = runtime.block_on(Subscription::open(&mqtt, &[]));
            match (opened.map(drop), says) {
                (Ok(()), None) => {}
                (Err(error), Some(says)) => {
                    assert!(error.to_string().contains(says), "{name}, {version:?}: {error}");
                    println!("{name}: {error}");
                }
                (other, _) => panic!("{name}, {version:?}: {other:?}"),
            }
        }
    }
}

/// A key that everyone may read is remarked on; files that are no PEM, or lack their other half, are refused.
#[test]
fn the_config_looks_at_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    write("box.pem", "-----BEGIN CERTIFICATE-----\n", 0o644);
    write("box.key", "-----BEGIN EC PRIVATE KEY-----\n", 0o600);
    write("open.key", "-----BEGIN PRIVATE KEY-----\n", 0o644);
    for (keys, port, says) in [
        ("", Some(1883), None),
        ("tls = true\n", Some(8883), None),
        ("tls = true\nport = 1884\nca_file = \"box.pem\"\n", Some(1884), None),
        ("tls = true\nclient_cert_file = \"box.pem\"\nclient_key_file = \"box.key\"\n", Some(8883), None),
        (
            "tls = true\nclient_cert_file = \"box.pem\"\nclient_key_file = \"open.key\"\n",
            Some(8883),
            Some("everyone on this box may read the private key"),
        ),
        ("ca_file = \"box.pem\"\n", None, Some("`ca_file` without TLS")),
        ("tls = true\nca_file = \"none.pem\"\n", None, Some("there is no such file")),
        ("tls = true\nca_file = \"box.key\"\n", None, Some("it must be PEM")),
        ("tls = true\nclient_cert_file = \"box.pem\"\n", None, Some("without its key")),
        ("tls = true\nclient_key_file = \"box.key\"\n", None, Some("without its certificate")),
        ("version = \"4\"\n", None, Some("`version`")),
    ] {
        let path: &Path = &dir.path().join("gridwatch.toml");
        let node = "[node]\nsite = \"s\"\nid = \"n\"\ndata_dir = \"data\"\n";
        std::fs::write(path, format!("{node}[mqtt]\nhost = \"10.0.0.5\"\n{keys}")).expect("written");
        let (mqtt, said) = match gridwatch::config::load(path) {
            Ok(loaded) => {
                let said = loaded.problems.iter().map(|problem| format!("{problem:?}\n")).collect::<String>();
                (loaded.config.mqtt.map(|mqtt| mqtt.port), said)
            }
            Err(error) => (None, format!("{error:?}")),
        };
        assert_eq!(mqtt, port, "{keys}: {said}");
        assert!(says.is_none_or(|says| said.contains(says)), "{keys}: {said}");
        if says.is_none() {
            assert!(!said.contains("tls") && !said.contains("_file"), "{keys}: {said}");
        }
    }
}
