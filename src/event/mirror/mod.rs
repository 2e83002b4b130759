//! Statements about incidents in the shapes that other makers' platforms take, one file each; pure, no clock, no IO.
//!
//! The statement itself ([`IncidentEvent`](super::IncidentEvent)) goes out all the same, and first. A shape that has no word
//! for a phase says nothing, and no shape makes up what it is not told: where a shape names its device by a GB/T 28181 code
//! and neither camera nor mirror has one, there is no message.

mod gat1400;
mod gb28181;
mod hikvision;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::topic::segment;
use super::{Incident, Phase};
use crate::config::{Mirror, MirrorShape, Place};

/// What a mirror's topic says for `{grid}` where a camera has no grid code.
const NO_GRID: &str = "none";

/// A statement, with what its shapes need to know beside it.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// The incident as it stands after the statement.
    pub incident: &'a Incident,
    /// Which of its pieces of evidence are pictures that were published just before, for the first time.
    pub new_pictures: &'a [usize],
    /// Time zone of the node: the shapes speak local time.
    pub timezone: &'a TimeZone,
    /// When the statement is made.
    pub now: Timestamp,
}

/// A message for another platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    /// Full topic.
    pub topic: String,
    /// JSON or XML.
    pub payload: Vec<u8>,
}

/// What a mirror says with a statement; `None` if it is not for this mirror, or the shape has no word for it.
pub fn mirrored(mirror: &Mirror, statement: Statement<'_>) -> Option<Mirrored> {
    let incident = statement.incident;
    if !mirror.kinds.is_empty() && !mirror.kinds.contains(&incident.kind) {
        return None;
    }
    let payload = match mirror.shape {
        MirrorShape::HikvisionIsc => hikvision::payload(mirror, statement),
        MirrorShape::Gb28181Alarm => gb28181::payload(mirror, statement),
        MirrorShape::Gat1400Image => gat1400::payload(mirror, statement),
    }?;
    Some(Mirrored { topic: topic(&mirror.topic, incident), payload })
}

fn topic(template: &str, incident: &Incident) -> String {
    let levels: Vec<String> = template
        .split('/')
        .map(|level| match level {
            "{camera}" => segment(incident.camera.id.as_str()),
            "{kind}" => segment(&incident.kind),
            "{grid}" => segment(incident.camera.place.grid_code.as_deref().unwrap_or(NO_GRID)),
            level => level.to_owned(),
        })
        .collect();
    levels.join("/")
}

/// The event code of a kind: the operator's, else the shape's own, else the one for whatever the shape has no code for.
fn code(mirror: &Mirror, kind: &str, own: &[(&str, u32)], other: u32) -> u32 {
    let configured = mirror.codes.get(kind).copied();
    configured.or_else(|| own.iter().find(|(name, _)| *name == kind).map(|(_, code)| *code)).unwrap_or(other)
}

/// Whether it is over when it is known, so that nothing ends later.
fn is_instant(incident: &Incident) -> bool {
    incident.trajectory.is_some()
}

/// When that happened which a statement tells: it began, was last seen, was over.
fn happened(incident: &Incident) -> Timestamp {
    match incident.phase {
        Phase::Opened => incident.first_seen,
        Phase::Updated => incident.last_seen,
        Phase::Closed => incident.closed_at.unwrap_or(incident.last_seen),
    }
}

/// The GB/T 28181 code of the camera, or the one that stands for it.
fn device_id<'a>(mirror: &'a Mirror, incident: &'a Incident) -> Option<&'a str> {
    incident.camera.place.gb_code.as_deref().or(mirror.device_id.as_deref())
}

/// Longitude and latitude for shapes that mean WGS 84 or CGCS2000 (centimetres apart) and cannot say otherwise; what is in
/// another system is not converted, and left out.
fn earth(place: &Place) -> Option<(f64, f64)> {
    let known = matches!(place.crs.as_deref(), Some("wgs84" | "cgcs2000"));
    Some((place.lon.filter(|_| known)?, place.lat?))
}
