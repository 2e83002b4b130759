//! Pictures as GA/T 1400 video and image libraries take them (`POST /VIID/Images`): `ImageListObject`.
//!
//! One object for each picture, said once, with the statement that first cites it; a statement without a new picture is
//! not mirrored. The picture itself is the message that `StoragePath` names, published just before.
//! `FileHash` (MD5) and `SecurityLevel` are left out: the one is not kept, the other not ours to say.

use serde::Serialize;

use super::{Statement, code, device_id, earth};
use crate::config::{Mirror, Scenario};
use crate::event::EvidenceRef;

/// Types of events (GA/T 1400.3, B.3.51): 运动目标检测, 入侵检测, 遗留物检测.
const OWN: &[(&str, u32)] = &[
    ("thrown_object", 5),
    ("fire_lane", 23),
    ("illegal_parking", 23),
    ("street_vending", 23),
    ("store_spill", 23),
    ("electronic_fence", 20),
    (Scenario::CAMERA, OTHER),
];

/// 其他.
const OTHER: u32 = 0;

/// Collected by a machine (自动采集).
const AUTOMATIC: u8 = 1;

/// 其他: whose camera it is, the config does not say.
const SOURCE_OTHER: &str = "99";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Images<'a> {
    image_list_object: ImageList<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImageList<'a> {
    image: Vec<Image<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Image<'a> {
    image_info: ImageInfo<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImageInfo<'a> {
    #[serde(rename = "ImageID")]
    image_id: String,
    info_kind: u8,
    image_source: &'static str,
    event_sort: u32,
    #[serde(rename = "DeviceID")]
    device_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_path: Option<&'a str>,
    file_format: &'static str,
    shot_time: &'a str,
    title: &'a str,
    title_note: String,
    keyword: &'a str,
    content_description: &'a str,
    /// As the standard spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    shot_place_full_adress: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shot_place_longitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shot_place_latitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    file_size: u64,
}

pub(super) fn payload(mirror: &Mirror, statement: Statement<'_>) -> Option<Vec<u8>> {
    let incident = statement.incident;
    let device = device_id(mirror, incident)?;
    let pictures: Vec<&EvidenceRef> =
        statement.new_pictures.iter().filter_map(|&index| incident.evidence.get(index)).collect();
    if pictures.is_empty() {
        return None;
    }
    let shot = statement.timezone.to_datetime(incident.last_seen).strftime("%Y%m%d%H%M%S").to_string();
    let place = &incident.camera.place;
    let earth = earth(place);
    let image = pictures
        .into_iter()
        .map(|picture| Image {
            image_info: ImageInfo {
                image_id: image_id(device, &shot, picture),
                info_kind: AUTOMATIC,
                image_source: SOURCE_OTHER,
                event_sort: code(mirror, &incident.kind, OWN, OTHER),
                device_id: device,
                storage_path: picture.topic.as_deref(),
                file_format: "Jpeg",
                shot_time: &shot,
                title: &incident.title.zh,
                title_note: format!("{}/{}", incident.incident, incident.seq),
                keyword: &incident.kind,
                content_description: &incident.description.zh,
                shot_place_full_adress: place.address.as_deref(),
                shot_place_longitude: earth.map(|(longitude, _)| longitude),
                shot_place_latitude: earth.map(|(_, latitude)| latitude),
                width: picture.size_px.map(|[width, _]| width),
                height: picture.size_px.map(|[_, height]| height),
                file_size: picture.size_bytes,
            },
        })
        .collect();
    serde_json::to_vec(&Images { image_list_object: ImageList { image } }).ok()
}

/// 41 digits (GA/T 2000.248): device, 02 for an image, time, and a number that tells pictures of one second apart and is the
/// same when the statement is sent again.
fn image_id(device: &str, shot: &str, picture: &EvidenceRef) -> String {
    let start = picture.sha256.get(..8).and_then(|start| u32::from_str_radix(start, 16).ok());
    format!("{device}02{shot}{:05}", start.unwrap_or_default() % 100_000)
}
