//! Events as Hikvision's iSecure Center (iSC) notifies its subscribers of them: `OnEventNotify`.
//!
//! Names as its open platform writes them, `srcParentIdex` among them. What the shape has no field for is in `data`, which
//! is each event type's own.

use jiff::Timestamp;
use serde::Serialize;

use super::{Statement, code, happened, is_instant};
use crate::config::{Level, Mirror, Scenario};
use crate::event::{Certainty, ClosedReason, EvidenceKind, Incident, Phase};

/// 高空抛物, 停车侦测, 物品遗留, 区域入侵.
const OWN: &[(&str, u32)] = &[
    ("thrown_object", 930_335),
    ("fire_lane", 131_591),
    ("illegal_parking", 131_591),
    ("street_vending", 131_594),
    ("store_spill", 131_594),
    ("electronic_fence", 131_588),
];

/// What is wrong with a camera, by the last part of its zone's id: 监控点离线, 视频丢失, 视频遮挡, 场景变更, 虚焦.
const FAULTS: &[(&str, u32)] =
    &[("offline", 889_196_545), ("covered", 131_330), ("moved", 131_612), ("blurred", 131_613)];

/// 视频丢失: any other trouble of a camera.
const FAULT: u32 = 131_329;

/// 区域入侵: something is in a region where it should not be.
const OTHER: u32 = 131_588;

#[derive(Serialize)]
struct Notification<'a> {
    method: &'static str,
    params: Params<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    send_time: String,
    ability: &'static str,
    events: [Event<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    event_id: String,
    event_type: u32,
    event_lvl: u8,
    happen_time: String,
    src_index: &'a str,
    src_name: &'a str,
    src_parent_idex: &'static str,
    src_type: &'static str,
    status: u8,
    timeout: u32,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    kind: &'a str,
    seq: u32,
    certainty: Certainty,
    level: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    city_code: Option<&'a str>,
    title: &'a str,
    description: &'a str,
    camera: &'a str,
    zone: &'a str,
    zone_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    gb_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grid_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duty: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crs: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longitude: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latitude: Option<f64>,
    first_seen: String,
    last_seen: String,
    dwell_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_reason: Option<ClosedReason>,
    images: Vec<Image<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Image<'a> {
    sha256: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
}

pub(super) fn payload(mirror: &Mirror, statement: Statement<'_>) -> Option<Vec<u8>> {
    let incident = statement.incident;
    let status = status(incident, !statement.new_pictures.is_empty())?;
    let time = |at: Timestamp| {
        at.to_zoned(statement.timezone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
    };
    let place = &incident.camera.place;
    let pictures = incident.evidence.iter().filter(|piece| piece.kind != EvidenceKind::Clip);
    let event = Event {
        event_id: incident.incident.to_string(),
        event_type: event_type(mirror, incident),
        event_lvl: level(incident.level),
        happen_time: time(happened(incident)),
        // The platform's own key of the camera is not known here; these two are the keys that both sides can know.
        src_index: place.gb_code.as_deref().unwrap_or(incident.camera.id.as_str()),
        src_name: &incident.camera.name,
        src_parent_idex: "",
        src_type: "camera",
        status,
        timeout: 0,
        data: Data {
            kind: &incident.kind,
            seq: incident.seq,
            certainty: incident.certainty,
            level: incident.level,
            city_code: incident.city_code.as_deref(),
            title: &incident.title.zh,
            description: &incident.description.zh,
            camera: incident.camera.id.as_str(),
            zone: &incident.zone.id.0,
            zone_name: &incident.zone.name,
            gb_code: place.gb_code.as_deref(),
            grid_code: place.grid_code.as_deref(),
            address: place.address.as_deref(),
            duty: place.duty.as_deref(),
            crs: place.crs.as_deref(),
            longitude: place.lon,
            latitude: place.lat,
            first_seen: time(incident.first_seen),
            last_seen: time(incident.last_seen),
            dwell_s: incident.dwell_s,
            floor: incident.trajectory.as_ref().and_then(|path| path.floor).map(|(floor, _)| floor),
            closed_reason: incident.closed_reason,
            images: pictures
                .map(|piece| Image { sha256: &piece.sha256, topic: piece.topic.as_deref() })
                .collect(),
        },
    };
    let params = Params { send_time: time(statement.now), ability: "event_vss", events: [event] };
    serde_json::to_vec(&Notification { method: "OnEventNotify", params }).ok()
}

/// 0 instant, 1 start, 2 stop, 4 update, 5 a picture follows; what was instant has no stop.
fn status(incident: &Incident, new_pictures: bool) -> Option<u8> {
    match (incident.phase, is_instant(incident)) {
        (Phase::Opened, true) => Some(0),
        (Phase::Opened, false) => Some(1),
        (Phase::Closed, false) => Some(2),
        (Phase::Closed, true) => None,
        (Phase::Updated, true) if new_pictures => Some(5),
        (Phase::Updated, _) => Some(4),
    }
}

/// 1 low, 2 middle, 3 high: the two that send somebody at once are high.
fn level(level: Level) -> u8 {
    match level {
        Level::Blue => 1,
        Level::Yellow => 2,
        Level::Orange | Level::Red => 3,
    }
}

fn event_type(mirror: &Mirror, incident: &Incident) -> u32 {
    let own = match incident.zone.id.0.strip_prefix("video_quality.") {
        Some(check) if incident.kind == Scenario::CAMERA => (FAULTS, check, FAULT),
        _ => (OWN, &*incident.kind, OTHER),
    };
    let (codes, name, other) = own;
    let own = codes.iter().find(|(known, _)| *known == name).map_or(other, |(_, code)| *code);
    code(mirror, &incident.kind, &[], own)
}
