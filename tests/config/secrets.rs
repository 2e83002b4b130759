//! Passwords and tokens: where they are read from, and that they are nowhere else.

#[path = "../delivery/broker.rs"]
#[allow(dead_code)] // Its commands serve other tests.
mod broker;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use broker::{Broker, Listener};
use gridwatch::camera::Clip;
use gridwatch::config::{Credentials, Secret};
use gridwatch::simulate::{self, Mount, Scheme, Server, Source};

use crate::{CAMERA, NODE, Site, ZONE, repository};

/// Wherever a password is put, rightly or wrongly, nothing that is printed or logged shows it.
#[test]
fn a_password_is_never_shown() {
    const PLANTED: &str = "Pl4nted";
    let camera = |line: &str| format!("{NODE}{CAMERA}{line}\n{ZONE}");
    let url = |url: &str| format!("{NODE}{CAMERA}{ZONE}").replace("rtsp://10.1.2.3/live", url);
    let cases = [
        camera("username = \"u\"\npassword = \"Pl4nted\""),
        camera("username = \"u\"\npassword_file = \"secret\""),
        camera("password = \"Pl4nted\""),
        camera("username = \"u\"\npassword = \"Pl4nted\"\npassword_file = \"secret\""),
        camera("username = \"u\"\npaswort = \"Pl4nted\""),
        camera("username = \"u\"\npassword = [\"Pl4nted\"]"),
        camera("username = \"u\"\npassword = { is = \"Pl4nted\" }"),
        camera("username = \"u\"\npassword = Pl4nted"),
        camera("username = \"u\"\npassword = \"Pl4nted"),
        camera("username = \"u\"\npassword = “Pl4nted”"),
        camera("transport = \"Pl4nted\""),
        camera("place = { gb_code = \"Pl4nted\", grid_code = \"Pl4nted\", crs = \"Pl4nted\" }"),
        url("rtsp://u:Pl4nted@10.1.2.3/live"),
        url("rtsp://u:Pl4nted/x@10.1.2.3/live"),
        url("rtsp://u:Pl4nted#x@10.1.2.3/live"),
        url("rtsp://u:Pl4nted?x@10.1.2.3/live"),
        url("rtsp://u:Pl4nted@/live"),
        url("u:Pl4nted@10.1.2.3/live"),
        url("Pl4nted"),
        url("Pl4nted://10.1.2.3/live"),
        url("rtsp://10.1.2.3/user=u&password=Pl4nted&channel=1"),
        url("rtsp://10.1.2.3/live?USER=u&PWD=Pl4nted"),
        format!("{NODE}[mqtt]\nhost = \"u:Pl4nted@10.0.0.5\"\n"),
        format!("{NODE}[mqtt]\nhost = \"10.0.0.5\"\nusername = \"u\"\npassword = \"Pl4nted\"\n"),
        format!("{NODE}[defaults]\nusername = \"u\"\npassword = \"Pl4nted\"\n{CAMERA}{ZONE}"),
        format!("{NODE}[[camera_list]]\nfile = \"cameras.csv\"\n"),
    ];
    for text in cases {
        let site = Site::new(&[
            ("gridwatch.toml", text.as_bytes()),
            ("secret", PLANTED.as_bytes()),
            ("cameras.csv", "id,url,username,password,lon,gb_code,transport\nc-1,rtsp://u:Pl4nted@1.2.3.4/,,,,,\nc-2,rtsp://1.2.3.4/,u,Pl4nted,,,\nc-3,rtsp://1.2.3.4/,u,,Pl4nted,Pl4nted,Pl4nted\n".as_bytes()),
        ]);
        let shown = match site.load() {
            Ok(loaded) => format!(
                "{loaded:?} {:#?} {}",
                loaded.config,
                serde_json::to_string(&loaded.problems).unwrap()
            ),
            Err(error) => format!("{error} {error:?}"),
        };
        // What a panic would say that has the whole config at hand.
        let panic = catch_unwind(AssertUnwindSafe(|| panic!("{:?}", site.load()))).unwrap_err();
        let panic = panic.downcast::<String>().unwrap();
        let shown = format!("{shown} {} {panic}", site.report());
        assert!(!shown.to_lowercase().contains("pl4nted"), "{text}\n{shown}");
    }
}

/// Every secret of the site below: one for each way in which a config can have one.
const SECRETS: [&str; 9] = [
    "Pl4nt-url",
    "Pl4nt-path",
    "Pl4nt-plain",
    "Pl4nt-file",
    "Pl4nt-env",
    "Pl4nt-credential",
    "Pl4nt-row",
    "Pl4nt-mqtt",
    "Pl4nt-token",
];

/// What a secret looks like on its way: as it is, in an `Authorization` header, in hexadecimal digits; in lower case.
fn disguises(secret: &str) -> [String; 3] {
    let login = format!("viewer:{secret}");
    // What follows in a longer text changes only the last letters.
    let whole = login.len() / 3 * 4;
    [secret.to_lowercase(), STANDARD.encode(&login)[..whole].to_lowercase(), hex::encode(secret)]
}

/// Everything that came out, by where.
#[derive(Default)]
struct Shown(Vec<(String, Vec<u8>)>);

impl Shown {
    fn add(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((name.into(), bytes.into()));
    }

    fn output(&mut self, name: &str, output: &Output) {
        self.add(format!("stdout of {name}"), output.stdout.clone());
        self.add(format!("stderr of {name}"), output.stderr.clone());
    }

    /// What a file or everything below a directory holds, but the files that are to hold secrets.
    fn files(&mut self, path: &Path, but: &[&str]) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                self.files(&entry.unwrap().path(), but);
            }
        } else if !but.contains(&path.file_name().unwrap().to_string_lossy().as_ref()) {
            // It may be gone by now: SQLite's journal, a status that takes the place of another.
            self.add(path.display().to_string(), std::fs::read(path).unwrap_or_default());
        }
    }

    fn find(&self, words: &str) -> bool {
        self.0.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains(words))
    }

    /// The secrets that can be read somewhere, and where.
    fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        for (place, bytes) in &self.0 {
            let text = String::from_utf8_lossy(bytes).to_lowercase();
            for secret in SECRETS {
                for disguise in disguises(secret) {
                    if let Some(at) = text.find(&disguise) {
                        let around: String = text[..at].chars().rev().take(200).collect();
                        let around: String = around.chars().rev().collect();
                        leaks.push(format!("{secret} as {disguise} in {place}: …{around}"));
                    }
                }
            }
        }
        leaks
    }
}

#[test]
fn what_leaks_is_found() {
    for text in [
        "password=Pl4nt-path".to_owned(),
        "PL4NT-FILE".to_owned(),
        format!("Authorization: Basic {}", STANDARD.encode("viewer:Pl4nt-env")),
        hex::encode("Pl4nt-mqtt"),
    ] {
        let mut shown = Shown::default();
        shown.add("somewhere", text.clone());
        assert_eq!(shown.leaks().len(), 1, "{text}: {:?}", shown.leaks());
    }
    let mut shown = Shown::default();
    shown.add("somewhere", STANDARD.encode("viewer:another"));
    assert_eq!(shown.leaks(), Vec::<String>::new());
}

/// A camera that wants another password than the one it is given.
fn locked(scheme: Scheme) -> Server {
    let clip = repository("tests/decode/b_frames.h264");
    let units = Clip::open(clip).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let mounts = vec![Mount::new("cam", Source::new(units).unwrap())];
    let credentials = Some(Credentials { username: "viewer".into(), password: Secret::new("another") });
    Server::start(simulate::Config { mounts, credentials, scheme, ..simulate::Config::default() }).unwrap()
}

/// A camera that wants a password in clear and says what it was given, in every place that a message has.
fn parrot() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (nth, stream) in listener.incoming().flatten().enumerate() {
            std::thread::spawn(move || repeat_what_it_says(stream, nth));
        }
    });
    address
}

fn repeat_what_it_says(mut stream: TcpStream, nth: usize) -> Option<()> {
    let mut request = [0; 4096];
    loop {
        let count = stream.read(&mut request).ok().filter(|&count| count > 0)?;
        let text = String::from_utf8_lossy(&request[..count]).into_owned();
        let header = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned())).unwrap_or_default()
        };
        let (cseq, login) = (header("CSeq:"), header("Authorization:"));
        if login.is_empty() {
            write!(stream, "RTSP/1.0 401 Who\r\nCSeq: {cseq}\r\nWWW-Authenticate: Basic realm=\"r\"\r\n\r\n")
                .ok()?;
            continue;
        }
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns={login}\r\nt=0 0\r\na=control:*\r\n\
             m=video 0 RTP/AVP 96\r\na=rtpmap:96 {}/90000\r\na=control:{}\r\n",
            login.replace(' ', "-"),
            login.replace(' ', "/")
        );
        let length = sdp.len();
        let answer = match nth % 4 {
            0 => format!("RTSP/1.0 455 {login}\r\nCSeq: {cseq}\r\nX: {login}\r\n\r\n"),
            1 => format!("RTSP/1.0 200 {login}\r\nCSeq: {login}\r\n\r\n"),
            2 => format!(
                "RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nContent-Type: {login}\r\nContent-Length: {length}\r\n\r\n{sdp}"
            ),
            _ => format!(
                "RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{sdp}"
            ),
        };
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

/// A daemon that ends with the test, if it has not ended in order before.
struct Daemon(Option<Child>);

impl Daemon {
    fn signal(&self, name: &str) {
        let id = self.0.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success(), "it has ended");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(90);
    while !done() {
        assert!(Instant::now() < patience, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What is said to somebody who asks for the metrics with this token.
fn metrics(port: u16, token: &str) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
        let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut answer).map(drop));
    }
    answer
}

/// A secret in every place that can have one, cameras and a broker that give every opportunity to show it, all verbs that
/// read the config, a reload that fails on a line with a secret in it: it is nowhere.
#[test]
fn no_secret_leaves_the_process() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let (digest, basic, parrot) = (locked(Scheme::Digest), locked(Scheme::Basic), parrot());
    let (broker_port, metrics_port) = (broker::free_port(), broker::free_port());
    let mut text = format!(
        "[node]\nsite = \"yuhua\"\nid = \"box\"\ndata_dir = \"data\"\n\
         metrics = \"127.0.0.1:{metrics_port}\"\nmetrics_token_file = \"token\"\n\
         [mqtt]\nhost = \"127.0.0.1\"\nport = {broker_port}\nusername = \"viewer\"\npassword_file = \"mqtt\"\n\
         [models.street]\nfile = \"{}\"\n[[camera_list]]\nfile = \"cameras.csv\"\n",
        repository("models/street-v2.onnx").display()
    );
    let servers = [("digest", digest.address()), ("basic", basic.address()), ("parrot", parrot)];
    for (server, address) in servers {
        for (kind, url, login) in [
            ("url", format!("rtsp://viewer:Pl4nt-url@{address}/cam"), ""),
            ("path", format!("rtsp://{address}/user=viewer&password=Pl4nt-path&channel=1"), ""),
            ("plain", format!("rtsp://{address}/cam"), "password = \"Pl4nt-plain\""),
            ("file", format!("rtsp://{address}/cam"), "password_file = \"secret\""),
            ("env", format!("rtsp://{address}/cam"), "password_env = \"PLANTED\""),
            ("credential", format!("rtsp://{address}/cam"), "password_credential = \"camera\""),
        ] {
            let login =
                if login.is_empty() { String::new() } else { format!("username = \"viewer\"\n{login}\n") };
            text += &format!("[[camera]]\nid = \"{server}-{kind}\"\nurl = \"{url}\"\n{login}{ZONE}")
                .replace("\"gate\"", &format!("\"{server}-{kind}\""));
        }
    }
    // One that is wrong, so that it is disabled with its reasons published.
    text += "[[camera]]\nid = \"wrong\"\nurl = \"rtsp://viewer:Pl4nt-url/x@10.1.2.3/\"\npasswort = \"Pl4nt-plain\"\n";
    let rows = format!("id,url,username,password\nrow,rtsp://{}/cam,viewer,Pl4nt-row\n", basic.address());
    let site = Site::new(&[
        ("gridwatch.toml", text.as_bytes()),
        ("cameras.csv", rows.as_bytes()),
        ("secret", b"Pl4nt-file\n"),
        ("mqtt", b"Pl4nt-mqtt\n"),
        ("token", b"Pl4nt-token\n"),
        ("credentials/camera", b"Pl4nt-credential\n"),
    ]);
    let gridwatch = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gridwatch"));
        command.args(arguments).current_dir(site.dir.path()).env("PLANTED", "Pl4nt-env");
        command.env("CREDENTIALS_DIRECTORY", site.path("credentials")).env("RUST_BACKTRACE", "full");
        command
    };
    let mut shown = Shown::default();
    let log = std::fs::File::create(site.path("log")).unwrap();
    let run = ["--log", "trace", "--log-format", "json", "run", "--config", "gridwatch.toml"];
    let daemon = gridwatch(&run).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let mut daemon = Daemon(Some(daemon));
    let logged = |words: &str| std::fs::read_to_string(site.path("log")).is_ok_and(|log| log.contains(words));

    // Nobody listens where the broker should be; the cameras refuse the password, in three ways.
    until("refused", || logged("refuses the user name or password") && logged("parrot-file"));
    until("a status", || site.path("data/status.json").exists());
    for arguments in [
        &["check", "gridwatch.toml"][..],
        &["check", "--json", "gridwatch.toml"],
        &["check", "--online", "gridwatch.toml"],
        &["status", "--config", "gridwatch.toml"],
        &["status", "--config", "gridwatch.toml", "--all"],
        &["status", "--config", "gridwatch.toml", "--json"],
        &["schema", "config"],
        &["schema", "asyncapi"],
        &["poll", "--config", "gridwatch.toml", "--group", "none"],
    ] {
        let mut command = gridwatch(arguments);
        command.args(["--log", "trace"]);
        shown.output(&arguments.join(" "), &command.output().unwrap());
    }
    assert!(shown.find("no answer") || shown.find("refuses the user name"), "the cameras were tried");
    shown.add("metrics without a token", metrics(metrics_port, "Pl4nt"));
    shown.add("metrics", metrics(metrics_port, "Pl4nt-token"));
    assert!(shown.find("HTTP/1.1 401") && shown.find("HTTP/1.1 200"), "the metrics answer");

    // The broker comes; then a config that is none, on a line with a secret in it.
    let broken = text.replace("id = \"box\"", "id = Pl4nt-plain\npassword = \"Pl4nt-plain\"");
    if broker::installed() {
        let _broker = Broker::start_on(broker_port);
        let platform = Listener::start(broker_port, "#");
        let mut heard = platform.until(|heard| heard.topic.ends_with("box/status"));
        site.write("gridwatch.toml", broken.as_bytes());
        daemon.signal("-HUP");
        heard.extend(
            platform
                .until(|heard| String::from_utf8_lossy(&heard.payload).contains("cannot be put in force")),
        );
        heard.extend(platform.rest(Duration::from_secs(2)));
        for message in heard {
            shown.add(
                format!("published to {}", message.topic),
                [message.topic.as_bytes(), b" ", &message.payload].concat(),
            );
        }
        assert!(shown.find("auth_failed"), "the cameras' states are published");
    } else {
        site.write("gridwatch.toml", broken.as_bytes());
        daemon.signal("-HUP");
        until("a reload that fails", || logged("cannot be put in force"));
    }
    shown.files(&site.path("data"), &[]); // As a crash would leave it.
    daemon.signal("-TERM");
    daemon.0.take().unwrap().wait().unwrap();
    shown.files(site.dir.path(), &["gridwatch.toml", "cameras.csv", "secret", "mqtt", "token", "camera"]);
    assert!(shown.find("SQLite format 3"), "the store is among what is searched");
    assert_eq!(shown.leaks(), Vec::<String>::new());
}
