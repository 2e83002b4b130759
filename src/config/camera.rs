//! `[[camera]]`, `[groups.NAME]` and `[defaults]`: the cameras, and rows of a CSV list.

use super::{Secret, Zone};
use crate::frame::CameraId;
use crate::geometry::Polygon;

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
#[derive(Debug, Clone, PartialEq)]
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
