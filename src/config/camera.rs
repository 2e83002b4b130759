//! `[[camera]]`, `[groups.NAME]` and `[defaults]`: the cameras, and rows of a CSV list.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::item::Item;
use super::names::half_width;
use super::problem::did_you_mean;
use super::secret::PasswordKeys;
use super::zone::polygon_at;
use super::{Model, Secret, Zone, model};
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

/// Where a camera stands, in the city's words; opaque to gridwatch, copied into every event.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// GB/T 28181 device code, 20 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gb_code: Option<String>,
    /// Grid cell code, ASCII digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid_code: Option<String>,
    /// Address in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Department on duty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duty: Option<String>,
    /// Coordinate reference system of `lon` and `lat`: `cgcs2000`, `wgs84`, `gcj02`, `bd09`, `local`. Never converted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crs: Option<String>,
    /// Longitude (or x for `local`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
    /// Latitude (or y for `local`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
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
    /// Where it stands.
    pub place: Place,
    /// The model that looks at its pictures (key into `Config::models`).
    pub model: String,
    /// Most bytes of compressed video kept in memory for it.
    pub ring_bytes_max: usize,
    /// Seconds without a decodable picture after which the connection is given up and made anew.
    pub stall_s: f64,
    /// Privacy masks: painted over before anything else sees the picture.
    pub masks: Vec<Polygon>,
    /// What is watched in its picture.
    pub zones: Vec<Zone>,
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
    /// Where it stands, in the city's words; copied into every event.
    pub place: Option<Place>,
    /// Most bytes of compressed video kept in memory for it. Default: 8,000,000, which is 10 s at 6 Mbit/s.
    #[schemars(range(min = 500_000, max = 500_000_000))]
    pub ring_bytes_max: Option<usize>,
    /// Seconds without a decodable picture after which the connection is given up and made anew. Default: 15.
    #[schemars(range(min = 3, max = 600))]
    pub stall_s: Option<f64>,
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
const CRS: [&str; 5] = ["cgcs2000", "wgs84", "gcj02", "bd09", "local"];

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
        let url = take_url(layers[0], &half_width(&self.url), &mut login);
        let credentials = login.resolve(layers, dir);
        let model = keys.model.unwrap_or_else(|| model::SHIPPED_MODEL.to_owned());
        if !models.contains_key(&model) {
            let known: Vec<&str> = models.keys().map(String::as_str).collect();
            let hint = did_you_mean(&model, &known);
            layer_with(layers, "/model").error("/model", format!("there is no model `{model}`"), hint);
        }
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
            name: self.name.unwrap_or(self.id),
            url: url?,
            credentials,
            transport: keys.transport.unwrap_or(Transport::Tcp),
            group: self.group,
            place: keys.place.unwrap_or_default(),
            model,
            ring_bytes_max: keys.ring_bytes_max.unwrap_or(RING_BYTES_MAX),
            stall_s: keys.stall_s.unwrap_or(STALL_S),
            masks,
            zones: Vec::new(),
        })
    }
}

/// The topmost layer that holds the pointer, or the camera itself.
fn layer_with<'a>(layers: &'a mut [&mut Item], pointer: &str) -> &'a mut Item {
    let index = layers.iter().position(|item| item.has(pointer)).unwrap_or(0);
    layers[index]
}

/// The stream's address without user and password, which move to `login`. Messages never repeat the address.
fn take_url(item: &mut Item, text: &str, login: &mut PasswordKeys) -> Option<url::Url> {
    let like = || "as in `url = \"rtsp://10.1.2.3/Streaming/Channels/102\"`".to_owned();
    let mut url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            item.error("/url", "`url` does not begin with `rtsp://`", like());
            return None;
        }
        Err(error) => {
            let hint = if text.contains('@') {
                "special characters of a password confuse the address: move it to `username` and `password_file`"
                    .to_owned()
            } else {
                like()
            };
            item.error("/url", format!("`url` is not an address: {error}"), hint);
            return None;
        }
    };
    if url.scheme() != "rtsp" {
        let scheme = url.scheme().to_owned();
        // An unknown scheme may be the beginning of anything, a user name included.
        let known =
            ["rtsps", "rtmp", "http", "https", "file", "udp", "rtp", "srt", "ws"].contains(&scheme.as_str());
        let message = if known {
            format!("`{scheme}://` is not supported")
        } else {
            "`url` does not begin with `rtsp://`".to_owned()
        };
        item.error("/url", message, like());
        return None;
    }
    if url.host_str().is_none_or(str::is_empty) {
        item.error("/url", "`url` names no host", like());
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        let hint =
            "move them to `username` and `password_file`; until then they are taken out of the address"
                .to_owned();
        item.warn("/url", "`url` contains a user name and password", hint);
        if !url.username().is_empty() {
            login.username = Some(percent_decoded(url.username()));
        }
        if let Some(password) = url.password() {
            *login = PasswordKeys::inline(login.username.take(), percent_decoded(password));
        }
        // Both succeed for an address with a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    } else if url.as_str().contains('@') {
        let hint = "move a password with `/`, `?` or `#` to `username` and `password_file`; an `@` of the path itself is written `%40`";
        item.error("/url", "`url` has an `@` after the host", hint.to_owned());
        return None;
    }
    if redacted(&url) != url.as_str() {
        let hint =
            "gridwatch hides it in its own messages; the camera's maker decides whether it can be moved"
                .to_owned();
        item.warn("/url", "`url` contains a password in its path", hint);
    }
    Some(url)
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let byte = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        out.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The address with passwords in path or query replaced: some makers know no other place (`/user=admin_password=…`).
fn redacted(url: &url::Url) -> String {
    let mut text = url.as_str().to_owned();
    for key in ["password=", "passwd=", "pwd=", "pass="] {
        let mut from = 0;
        while let Some(found) = text.get(from..).and_then(|rest| rest.to_ascii_lowercase().find(key)) {
            let start = from + found + key.len();
            let length = text[start..].find(['&', '/', '?', '#']).unwrap_or(text.len() - start);
            text.replace_range(start..start + length, "***");
            from = start;
        }
    }
    text
}

impl Camera {
    /// The address for people and logs: no password, wherever the camera's maker put it.
    pub fn url_shown(&self) -> String {
        redacted(&self.url)
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
            .field("place", &self.place)
            .field("model", &self.model)
            .field("ring_bytes_max", &self.ring_bytes_max)
            .field("stall_s", &self.stall_s)
            .field("masks", &self.masks)
            .field("zones", &self.zones)
            .finish()
    }
}

/// Checks and tidies the codes and coordinates of one layer's `place`.
pub(super) fn check_place(item: &mut Item, grid_code_length: Option<usize>) {
    let Some(place) = item.json.get("place").and_then(|place| place.as_object()).cloned() else { return };
    let text = |key: &str| place.get(key).and_then(|value| value.as_str()).map(half_width);
    let mut tidy = place.clone();
    for key in ["gb_code", "grid_code", "crs"] {
        if let Some(text) = text(key) {
            let text = if key == "crs" { text.to_lowercase() } else { text };
            tidy.insert(key.to_owned(), text.into());
        }
    }
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if let Some(code) = text("gb_code") {
        if code.len() != 20 || !digits(&code) {
            let message = format!("`gb_code` must be 20 digits (GB/T 28181), not {}", counted(&code));
            let hint = code.contains(['E', 'e', '+']).then(|| {
                "a spreadsheet has rounded it: format the column as text and enter the code again".to_owned()
            });
            item.error("/place/gb_code", message, hint);
        } else if !matches!(&code[10..13], "131" | "132") {
            let hint =
                "digits 11 to 13 say what a device is: 131 and 132 are cameras (GB/T 28181)".to_owned();
            item.warn("/place/gb_code", "`gb_code` is not that of a camera", hint);
        }
    }
    if let Some(code) = text("grid_code") {
        if code.is_empty() || !digits(&code) {
            item.error(
                "/place/grid_code",
                format!("`grid_code` must be digits, not {}", counted(&code)),
                None,
            );
        } else if let Some(length) = grid_code_length.filter(|length| *length != code.len()) {
            let message =
                format!("`grid_code` must be {length} digits (`grid_code_length`), not {}", counted(&code));
            item.error("/place/grid_code", message, None);
        }
    }
    let crs = text("crs").map(|crs| crs.to_lowercase());
    if let Some(crs) = &crs
        && !CRS.contains(&crs.as_str())
    {
        let message = format!("`crs` must be one of {}", CRS.join(", "));
        item.error("/place/crs", message, did_you_mean(crs, &CRS));
    }
    let number = |key: &str| place.get(key).and_then(serde_json::Value::as_f64);
    match (number("lon"), number("lat")) {
        (None, None) => {}
        (Some(lon), Some(lat)) => {
            if crs.is_none() {
                let hint = format!("one of {}: maps disagree by hundreds of metres", CRS.join(", "));
                item.error("/place/lon", "`lon` and `lat` without `crs`", hint);
            }
            if crs.as_deref() != Some("local") {
                let swapped = lat.abs() > 90.0 && lon.abs() <= 90.0;
                let hint = swapped.then(|| "are `lon` and `lat` swapped?".to_owned());
                if lat.abs() > 90.0 {
                    item.error(
                        "/place/lat",
                        format!("`lat` is {lat}; it must be from -90 to 90 degrees"),
                        hint,
                    );
                }
                if lon.abs() > 180.0 {
                    item.error(
                        "/place/lon",
                        format!("`lon` is {lon}; it must be from -180 to 180 degrees"),
                        None,
                    );
                }
            }
        }
        // One that is there but wrong has been remarked on.
        (None, Some(_)) if item.has("/place/lon") => {}
        (Some(_), None) if item.has("/place/lat") => {}
        (Some(_), None) => item.error("/place/lon", "`lon` without `lat`", None),
        (None, Some(_)) => item.error("/place/lat", "`lat` without `lon`", None),
    }
    item.json.insert("place".to_owned(), tidy.into());
}

fn counted(code: &str) -> String {
    match code.chars().filter(|c| !c.is_ascii_digit()).count() {
        0 => format!("{} digits", code.len()),
        odd => format!("{} characters with {odd} that are no digits", code.chars().count()),
    }
}
