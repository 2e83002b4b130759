//! `[[camera]]`, `[groups.NAME]` and `[defaults]`: the cameras, and rows of a CSV list.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use base64::Engine as _;

use super::address::{passwords, redacted, take_address, without};
use super::item::Item;
use super::names::half_width;
use super::place::check_coordinates;
use super::problem::did_you_mean;
use super::secret::PasswordKeys;
use super::zone::polygon_at;
use super::{Model, PatrolPlan, Place, Secret, Zone, model};
use crate::frame::CameraId;
use crate::geometry::{Point, Polygon};

/// How RTP travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Interleaved in the RTSP connection (RFC 2326 section 10.12): passes firewalls, never loses packets.
    Tcp,
    /// Datagrams of their own: for servers that refuse TCP.
    Udp,
}

/// A user name with its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// One camera, ready to run.
#[derive(Clone, PartialEq)]
pub struct Camera {
    /// Its id in topics and file names.
    pub id: CameraId,
    /// Its name for people.
    pub name: String,
    /// `rtsp://host:port/path` without user and password.
    pub url: url::Url,
    /// User name and password, if it wants them.
    pub credentials: Option<Credentials>,
    /// How RTP travels.
    pub transport: Transport,
    /// Group, if it is in one.
    pub group: Option<String>,
    /// Whether it is visited in turn with others of its group (`Config::patrols`).
    pub patrolled: bool,
    /// How much more often than others it is visited, 1 being normal.
    pub priority: f64,
    /// Where it stands.
    pub place: Place,
    /// The model that looks at its pictures (key into `Config::models`).
    pub model: String,
    /// The model that looks for falling things (key into `Config::models`); `None`: what differs from the place's usual look.
    pub candidates: Option<String>,
    /// Most bytes of compressed video kept in memory for it.
    pub ring_bytes_max: usize,
    /// Seconds without a decodable picture after which the connection is given up and made anew.
    pub stall_s: f64,
    /// Whether it is turned on purpose, so that another view is no fault.
    pub moves: bool,
    /// Privacy masks: painted over before anything else sees the picture.
    pub masks: Vec<Polygon>,
    /// What is watched in its picture.
    pub zones: Vec<Zone>,
}

impl Camera {
    /// A camera without zones and password; all else as it is when the config does not say.
    pub fn plain(id: &str, url: url::Url) -> Self {
        Self {
            id: id.into(),
            name: id.to_owned(),
            url,
            credentials: None,
            transport: Transport::Tcp,
            group: None,
            patrolled: false,
            priority: 1.0,
            place: Place::default(),
            model: model::SHIPPED_MODEL.to_owned(),
            candidates: None,
            ring_bytes_max: RING_BYTES_MAX,
            stall_s: STALL_S,
            moves: false,
            masks: Vec::new(),
            zones: Vec::new(),
        }
    }

    /// The models that look at its pictures (keys into `Config::models`).
    pub fn model_names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.model).chain(&self.candidates)
    }
}

/// A camera that cannot run because its config is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct DisabledCamera {
    /// Its id, as far as it could be read.
    pub id: CameraId,
    /// Its name for people.
    pub name: String,
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
}

/// Keys of a camera that `[defaults]`, its group and the camera itself may give; the last word is the camera's.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct CameraKeys {
    /// How RTP travels: `tcp` passes firewalls and never loses packets, `udp` is for servers that refuse TCP. Default: `tcp`.
    pub transport: Option<Transport>,
    /// The model that looks at its pictures, a name of `[models.NAME]`. Default: `street`, which is shipped.
    pub model: Option<String>,
    /// How falling things are found where objects may be thrown: `difference` from the place's usual look, or by a model, a name of `[models.NAME]` whose file is the shipped `falls-v1.onnx`. Default: `difference`.
    pub candidates: Option<String>,
    /// Where it stands, in the city's words; copied into every event.
    pub place: Option<Place>,
    /// How much more often than others it is visited in a patrol; 1 is normal. Default: 1.
    #[schemars(range(min = 0.1, max = 10))]
    pub priority: Option<f64>,
    /// Most bytes of compressed video kept in memory for it. Default: 8,000,000, which is 10 s at 6 Mbit/s.
    #[schemars(range(min = 500_000, max = 500_000_000))]
    pub ring_bytes_max: Option<usize>,
    /// Seconds without a decodable picture after which the connection is given up and made anew. Default: 15.
    #[schemars(range(min = 3, max = 600))]
    pub stall_s: Option<f64>,
    /// Whether it is turned on purpose (tours, joysticks): then another view is no fault, and its zones are watched whatever it shows. Default: false.
    pub moves: Option<bool>,
    /// User name and password, if it wants them.
    #[serde(flatten)]
    pub login: PasswordKeys,
}

/// `[groups.NAME]` as the operator writes it.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct GroupTable {
    /// Privacy masks of all its cameras.
    #[serde(default)]
    #[expect(dead_code, reason = "read from the merged camera")]
    pub masks: Vec<Vec<Point>>,
    /// For more cameras than this box can watch at once: they are visited in turn.
    #[expect(dead_code, reason = "read by itself")]
    pub patrol: Option<PatrolPlan>,
    /// Keys of its cameras.
    #[serde(flatten)]
    #[expect(dead_code, reason = "read from the merged camera")]
    pub keys: CameraKeys,
}

/// `[[camera]]` as the operator writes it, or a row of a list.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct CameraTable {
    /// Its id in topics and file names: ASCII letters, digits, `-`, `_`, `.`.
    #[schemars(length(min = 1))]
    pub id: String,
    /// Its name for people. Default: its id.
    pub name: Option<String>,
    /// Its stream, such as `rtsp://10.1.2.3/Streaming/Channels/102`.
    #[schemars(length(min = 1))]
    pub url: String,
    /// The group whose keys it takes over.
    pub group: Option<String>,
    /// Privacy masks, polygons as in zones: painted over before anything else sees the picture.
    #[serde(default)]
    pub masks: Vec<Vec<Point>>,
    /// Keys that groups may give too.
    #[serde(flatten)]
    pub keys: CameraKeys,
}

const RING_BYTES_MAX: usize = 8_000_000;
const STALL_S: f64 = 15.0;
/// The way to find falling things that needs no model.
const DIFFERENCE: &str = "difference";

impl CameraTable {
    /// The camera without zones, or the problems noted in the layer (camera, group, defaults) that is wrong.
    pub fn resolve(
        self,
        layers: &mut [&mut Item],
        dir: &Path,
        models: &BTreeMap<String, Model>,
    ) -> Option<Camera> {
        let keys = self.keys;
        let mut login = keys.login;
        let url = take_address(layers[0], &half_width(&self.url), &mut login);
        let credentials = login.resolve(layers, dir);
        let model = keys.model.unwrap_or_else(|| model::SHIPPED_MODEL.to_owned());
        if !models.contains_key(&model) {
            let known: Vec<&str> = models.keys().map(String::as_str).collect();
            let hint = did_you_mean(&model, &known);
            layer_with(layers, "/model").error("/model", format!("there is no model `{model}`"), hint);
        }
        let candidates = keys.candidates.filter(|name| name != DIFFERENCE);
        if let Some(name) = candidates.as_ref().filter(|name| !models.contains_key(*name)) {
            let known: Vec<&str> = models.keys().map(String::as_str).chain([DIFFERENCE]).collect();
            let hint = did_you_mean(name, &known);
            layer_with(layers, "/candidates").error(
                "/candidates",
                format!("there is no model `{name}`"),
                hint,
            );
        }
        let place = keys.place.unwrap_or_default();
        check_coordinates(&place, layers);
        let item = layer_with(layers, "/masks");
        let masks: Vec<Polygon> = self
            .masks
            .into_iter()
            .enumerate()
            .filter_map(|(index, points)| polygon_at(item, &format!("/masks/{index}"), points))
            .collect();
        if layers.iter().any(|layer| layer.failed()) {
            return None;
        }
        Some(Camera {
            id: self.id.as_str().into(),
            name: self.name.filter(|name| !name.trim().is_empty()).unwrap_or(self.id),
            url: url?,
            credentials,
            transport: keys.transport.unwrap_or(Transport::Tcp),
            group: self.group,
            patrolled: false,
            priority: keys.priority.unwrap_or(1.0),
            place,
            model,
            candidates,
            ring_bytes_max: keys.ring_bytes_max.unwrap_or(RING_BYTES_MAX),
            stall_s: keys.stall_s.unwrap_or(STALL_S),
            moves: keys.moves.unwrap_or(false),
            masks,
            zones: Vec::new(),
        })
    }
}

/// The topmost layer that holds the pointer, or the camera itself.
pub(super) fn layer_with<'a>(layers: &'a mut [&mut Item], pointer: &str) -> &'a mut Item {
    let index = layers.iter().position(|item| item.has(pointer)).unwrap_or(0);
    layers[index]
}

impl Camera {
    /// The address for people and logs: no password, wherever the camera's maker put it.
    pub fn url_shown(&self) -> String {
        redacted(&self.url)
    }

    /// What the camera or a library said, without this camera's passwords: devices repeat what they were sent, the header
    /// with the password included. For errors of its connection; ordinary text is better not given a secret at all.
    pub fn without_secrets(&self, said: &str) -> String {
        let mut secrets = passwords(&self.url);
        if let Some(Credentials { username, password }) = &self.credentials {
            let login = format!("{username}:{}", password.reveal());
            let sent = base64::engine::general_purpose::STANDARD.encode(login);
            secrets.extend([sent.trim_end_matches('=').to_owned(), password.reveal().to_owned()]);
        }
        without(said, &secrets)
    }
}

impl fmt::Debug for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Camera")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("url", &self.url_shown())
            .field("credentials", &self.credentials)
            .field("transport", &self.transport)
            .field("group", &self.group)
            .field("patrolled", &self.patrolled)
            .field("priority", &self.priority)
            .field("place", &self.place)
            .field("model", &self.model)
            .field("candidates", &self.candidates)
            .field("ring_bytes_max", &self.ring_bytes_max)
            .field("stall_s", &self.stall_s)
            .field("moves", &self.moves)
            .field("masks", &self.masks)
            .field("zones", &self.zones)
            .finish()
    }
}
