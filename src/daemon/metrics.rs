//! What Prometheus can ask for at `[node] metrics`, taken every few seconds; `/healthz` says whether gridwatch moves.
//!
//! | metric | labels | meaning |
//! |---|---|---|
//! | `gridwatch_build_info` | `version`, `config_revision` | always 1 |
//! | `gridwatch_start_time_seconds` | | since when it runs, Unix time |
//! | `gridwatch_age_seconds` | | how old the numbers below are |
//! | `gridwatch_cores` | | cores that analysis could have |
//! | `gridwatch_cores_used` | | cores that the process used |
//! | `gridwatch_resident_bytes` | | physical memory of the process |
//! | `gridwatch_ring_bytes` | | of it, compressed video |
//! | `gridwatch_queue_cameras` | | cameras that wait for their turn to be analysed |
//! | `gridwatch_stretch_ratio` | `rank` | time between looks over what is wanted, where something is suspected (`urgent`) and elsewhere (`idle`) |
//! | `gridwatch_overloaded` | | 1: more to do than the machine carries, pictures are lost |
//! | `gridwatch_within_need_ratio` | | share of the cameras that are looked at as often as their rules want |
//! | `gridwatch_outbox_messages` | | messages that wait for the broker |
//! | `gridwatch_outbox_bytes` | | their payloads |
//! | `gridwatch_outbox_oldest_seconds` | | age of the oldest |
//! | `gridwatch_outbox_gave_way_total` | `kind` | messages (`picture`, `mirror`, `statement`) that gave way because the outbox was full |
//! | `gridwatch_broker_connected` | | 1: connected; these five are missing without a broker |
//! | `gridwatch_broker_connections_total` | | connections made |
//! | `gridwatch_broker_acknowledged_total` | | messages that the broker acknowledged |
//! | `gridwatch_broker_undeliverable_total` | | messages given up: picture gone, changed, too large, or it or a mirror's refused |
//! | `gridwatch_verdicts_total` | `outcome` | verdicts that came in: `stored`, `refused` |
//! | `gridwatch_incidents_open` | | incidents that are open |
//! | `gridwatch_incidents_opened_total` | `kind` | incidents opened, by scenario |
//! | `gridwatch_incidents_closed_total` | `kind` | incidents closed |
//! | `gridwatch_incidents_lost_total` | | statements that could not be written to the disk |
//! | `gridwatch_zone_judged` | `camera`, `zone`, `kind`, `verdict` | incidents of the last 30 days that were `right` or a `false_alarm` |
//! | `gridwatch_reloads_total` | `outcome` | changed configs that were `applied` or `refused` |
//! | `gridwatch_reload_time_seconds` | `outcome` | when the last of them was, Unix time |
//! | `gridwatch_camera_disabled` | `camera` | 1: something in the config is wrong, the camera does not run |
//! | `gridwatch_camera_state` | `camera`, `state` | 1 for the state that the camera is in, 0 for the others |
//! | `gridwatch_camera_fault` | `camera`, `check` | 1: this check of the camera's health is abnormal |
//! | `gridwatch_camera_blind_total` | `camera` | pictures that were not analysed because of that |
//! | `gridwatch_camera_stale_seconds` | `camera` | since it was last analysed; missing if never, or nothing is to be analysed |
//! | `gridwatch_camera_within_need` | `camera` | 1: looked at as often as its rules want |
//! | `gridwatch_camera_cores` | `camera` | cores that it takes |
//! | `gridwatch_camera_units_total` | `camera` | access units received |
//! | `gridwatch_camera_decoded_total` | `camera` | pictures decoded |
//! | `gridwatch_camera_looked_total` | `camera` | pictures that a detector or background model looked at |
//! | `gridwatch_camera_quiet_total` | `camera` | pictures spared because the packet sizes told that nothing moved |
//! | `gridwatch_camera_unchanged_total` | `camera` | decoded pictures spared because no zone had changed |
//! | `gridwatch_camera_undecodable_total` | `camera` | access units that could not be decoded |
//! | `gridwatch_camera_inference_failed_total` | `camera` | inferences that failed |
//! | `gridwatch_camera_overtaken_total` | `camera` | pictures that waited until a newer one made them superfluous |
//! | `gridwatch_camera_disconnects_total` | `camera` | connections that were lost or given up |
//! | `gridwatch_camera_packets_lost_total` | `camera` | RTP packets that did not arrive |
//!
//! Counters begin at 0 with the process; those of a camera also when a reload connects it anew.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::net::TcpListener;

use super::http::{self, Answer};
use super::status::{CameraLoad, Status};
use crate::config::Secret;
use crate::frame::CameraState;
use crate::metrics::{CONTENT_TYPE, Kind, Page};

/// Numbers older than this mean that gridwatch does not move: three times what lies between two.
const ALIVE_S: f64 = 15.0;

/// Everything that is told.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// How everything is.
    pub status: Status,
    /// Incidents opened and closed, by kind.
    pub incidents: BTreeMap<String, [u64; 2]>,
    /// Statements that could not be written.
    pub lost: u64,
    /// Changed configs.
    pub reloads: Reloads,
}

/// What became of changed configs: `[applied, refused]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reloads {
    /// How many.
    pub count: [u64; 2],
    /// When the last was.
    pub last: [Option<Timestamp>; 2],
}

impl Reloads {
    /// Counts one.
    pub fn count(&mut self, applied: bool) {
        let which = usize::from(!applied);
        self.count[which] += 1;
        self.last[which] = Some(Timestamp::now());
    }
}

/// Where the newest snapshot hangs.
pub type Board = Arc<Mutex<Option<Snapshot>>>;

/// Serves `/metrics` and `/healthz`. That it cannot is told, and is no reason to watch no cameras.
pub async fn serve(address: SocketAddr, token: Option<Secret>, board: Board) {
    match TcpListener::bind(address).await {
        Ok(listener) => {
            tracing::info!("metrics on http://{address}/metrics");
            http::serve(listener, token, move |path| answer(path, &board, Timestamp::now())).await;
        }
        Err(error) => tracing::error!("no metrics on {address}: {error}"),
    }
}

fn answer(path: &str, board: &Board, now: Timestamp) -> Option<Answer> {
    if !matches!(path, "/metrics" | "/healthz") {
        return None;
    }
    let Some(snapshot) = board.lock().unwrap_or_else(PoisonError::into_inner).clone() else {
        return Some(Answer::line("503 Service Unavailable", "starting"));
    };
    let age_s = now.duration_since(snapshot.status.written).as_secs_f64();
    Some(match path {
        "/metrics" => Answer { status: "200 OK", content_type: CONTENT_TYPE, body: page(&snapshot, age_s) },
        _ if age_s.abs() > ALIVE_S => Answer::line("503 Service Unavailable", "gridwatch does not move"),
        _ => Answer::line("200 OK", "ok"),
    })
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn unix_s(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1e3
}

/// The page of `/metrics`.
fn page(snapshot: &Snapshot, age_s: f64) -> String {
    use Kind::{Counter, Gauge};
    let Snapshot { status, incidents, lost, reloads } = snapshot;
    let figures = &status.figures;
    let mut page = Page::default();

    page.family("gridwatch_build_info", Gauge, "Always 1.")
        .sample(&[("version", &status.version), ("config_revision", &status.config_revision)], 1.0);
    for (name, help, value) in [
        ("gridwatch_start_time_seconds", "Since when it runs, Unix time.", unix_s(figures.started)),
        ("gridwatch_age_seconds", "How old these numbers are.", age_s),
        ("gridwatch_cores", "Cores that analysis could have.", figures.cores),
        ("gridwatch_cores_used", "Cores that the process used.", figures.cores_used),
        ("gridwatch_resident_bytes", "Physical memory of the process.", figures.resident_bytes as f64),
        ("gridwatch_ring_bytes", "Compressed video in memory.", figures.ring_bytes as f64),
        ("gridwatch_queue_cameras", "Cameras that wait for their turn.", status.queue as f64),
        ("gridwatch_overloaded", "1: pictures are lost.", flag(figures.overloaded)),
        (
            "gridwatch_within_need_ratio",
            "Share of cameras looked at as often as their rules want.",
            figures.within_need,
        ),
        ("gridwatch_outbox_messages", "Messages that wait for the broker.", status.outbox.rows as f64),
        ("gridwatch_outbox_bytes", "Their payloads.", status.outbox.bytes as f64),
        ("gridwatch_outbox_oldest_seconds", "Age of the oldest.", status.outbox.oldest_s),
        ("gridwatch_incidents_open", "Incidents that are open.", status.incidents_open as f64),
    ] {
        page.one(name, Gauge, help, value);
    }
    page.family("gridwatch_stretch_ratio", Gauge, "Time between looks over what is wanted.")
        .sample(&[("rank", "idle")], figures.stretch_idle)
        .sample(&[("rank", "urgent")], figures.stretch_urgent);
    page.family("gridwatch_outbox_gave_way_total", Counter, "Messages that gave way in a full outbox.")
        .sample(&[("kind", "picture")], status.outbox.pictures_gave_way as f64)
        .sample(&[("kind", "mirror")], status.outbox.mirrors_gave_way as f64)
        .sample(&[("kind", "statement")], status.outbox.statements_gave_way as f64);

    if let Some(broker) = &status.broker {
        page.one("gridwatch_broker_connected", Gauge, "1: connected.", flag(broker.connected));
        for (name, help, count) in [
            ("gridwatch_broker_connections_total", "Connections made.", broker.connections),
            ("gridwatch_broker_acknowledged_total", "Messages acknowledged.", broker.acknowledged),
            ("gridwatch_broker_undeliverable_total", "Messages given up.", broker.undeliverable),
        ] {
            page.one(name, Counter, help, count as f64);
        }
        page.family("gridwatch_verdicts_total", Counter, "Verdicts that came in.")
            .sample(&[("outcome", "stored")], broker.verdicts as f64)
            .sample(&[("outcome", "refused")], broker.verdicts_refused as f64);
    }

    for (index, name, help) in [
        (0, "gridwatch_incidents_opened_total", "Incidents opened."),
        (1, "gridwatch_incidents_closed_total", "Incidents closed."),
    ] {
        page.family(name, Counter, help);
        for (kind, counts) in incidents {
            page.sample(&[("kind", kind)], counts[index] as f64);
        }
    }
    page.one(
        "gridwatch_incidents_lost_total",
        Counter,
        "Statements that could not be written.",
        *lost as f64,
    );
    page.family(
        "gridwatch_zone_judged",
        Gauge,
        "Incidents of the last 30 days by what they were judged to be.",
    );
    for zone in &status.precision {
        let place = [("camera", zone.camera.as_str()), ("zone", &zone.zone.0), ("kind", &zone.kind)];
        for (verdict, count) in [("right", zone.right), ("false_alarm", zone.wrong)] {
            page.sample(&[place[0], place[1], place[2], ("verdict", verdict)], count as f64);
        }
    }
    page.family("gridwatch_reloads_total", Counter, "Changed configs.");
    for (outcome, count) in ["applied", "refused"].into_iter().zip(reloads.count) {
        page.sample(&[("outcome", outcome)], count as f64);
    }
    page.family("gridwatch_reload_time_seconds", Gauge, "When the last changed config was read, Unix time.");
    for (outcome, last) in ["applied", "refused"].into_iter().zip(reloads.last) {
        if let Some(last) = last {
            page.sample(&[("outcome", outcome)], unix_s(last));
        }
    }
    cameras(&mut page, status);
    page.finish()
}

const STATES: [(CameraState, &str); 5] = [
    (CameraState::Connecting, "connecting"),
    (CameraState::Online, "online"),
    (CameraState::Stalled, "stalled"),
    (CameraState::AuthFailed, "auth_failed"),
    (CameraState::Disabled, "disabled"),
];

/// What is told of every camera: a name, a kind, what it means, and where it is found; `None`: not told now.
type PerCamera = (&'static str, Kind, &'static str, fn(&CameraLoad) -> Option<f64>);

const PER_CAMERA: [PerCamera; 14] = {
    use Kind::{Counter, Gauge};
    [
        ("gridwatch_camera_stale_seconds", Gauge, "Since it was last analysed.", |c| c.stale_s),
        ("gridwatch_camera_within_need", Gauge, "1: looked at as often as its rules want.", |c| {
            Some(flag(c.within_need))
        }),
        ("gridwatch_camera_cores", Gauge, "Cores that it takes.", |c| Some(c.cores)),
        ("gridwatch_camera_units_total", Counter, "Access units received.", |c| Some(c.counts.units as f64)),
        ("gridwatch_camera_decoded_total", Counter, "Pictures decoded.", |c| Some(c.counts.decoded as f64)),
        ("gridwatch_camera_looked_total", Counter, "Pictures looked at.", |c| Some(c.counts.looked as f64)),
        ("gridwatch_camera_quiet_total", Counter, "Pictures spared by packet sizes.", |c| {
            Some(c.counts.quiet as f64)
        }),
        ("gridwatch_camera_unchanged_total", Counter, "Decoded pictures spared.", |c| {
            Some(c.counts.unchanged as f64)
        }),
        ("gridwatch_camera_undecodable_total", Counter, "Access units that could not be decoded.", |c| {
            Some(c.counts.undecodable as f64)
        }),
        ("gridwatch_camera_inference_failed_total", Counter, "Inferences that failed.", |c| {
            Some(c.counts.inference_failed as f64)
        }),
        ("gridwatch_camera_blind_total", Counter, "Pictures not analysed: the camera is not well.", |c| {
            Some(c.counts.blind as f64)
        }),
        ("gridwatch_camera_overtaken_total", Counter, "Pictures that a newer one made superfluous.", |c| {
            Some(c.counts.overtaken as f64)
        }),
        ("gridwatch_camera_disconnects_total", Counter, "Connections lost or given up.", |c| {
            Some(c.disconnects as f64)
        }),
        ("gridwatch_camera_packets_lost_total", Counter, "RTP packets that did not arrive.", |c| {
            Some(c.packets_lost as f64)
        }),
    ]
};

fn cameras(page: &mut Page, status: &Status) {
    page.family("gridwatch_camera_disabled", Kind::Gauge, "1: its config is wrong, it does not run.");
    for camera in &status.disabled {
        page.sample(&[("camera", camera.camera.as_str())], 1.0);
    }
    page.family("gridwatch_camera_state", Kind::Gauge, "1 for the state that it is in.");
    for camera in &status.figures.cameras {
        for (state, name) in STATES {
            let labels = [("camera", camera.camera.as_str()), ("state", name)];
            page.sample(&labels, flag(camera.state == state));
        }
    }
    page.family("gridwatch_camera_fault", Kind::Gauge, "1: this check of its health is abnormal.");
    for camera in &status.figures.cameras {
        for fault in &camera.faults {
            page.sample(&[("camera", camera.camera.as_str()), ("check", fault.name())], 1.0);
        }
    }
    for (name, kind, help, value) in PER_CAMERA {
        page.family(name, kind, help);
        for camera in &status.figures.cameras {
            if let Some(value) = value(camera) {
                page.sample(&[("camera", camera.camera.as_str())], value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::{Counts, DisabledCamera, Figures, Outbox};
    use crate::dispatch::DispatchStats;
    use crate::health::Check;
    use crate::sampler::activity::Standing;
    use crate::store::Precision;
    use std::collections::BTreeSet;

    fn snapshot() -> Snapshot {
        let now = Timestamp::now();
        let camera = CameraLoad {
            camera: "gate".into(),
            state: CameraState::Stalled,
            stale_s: Some(1.5),
            every_s: Some(2.0),
            urgent: false,
            within_need: true,
            cores: 0.25,
            ring_bytes: 100,
            packet_gate: Standing::New,
            counts: Counts { units: 7, decoded: 6, looked: 5, ..Counts::default() },
            faults: vec![Check::Moved],
            disconnects: 3,
            packets_lost: 11,
        };
        let figures = Figures {
            started: now,
            cores: 2.0,
            cores_used: 1.0,
            resident_bytes: 1 << 30,
            ring_bytes: 100,
            stretch_idle: 1.5,
            stretch_urgent: 1.0,
            overloaded: false,
            within_need: 1.0,
            cameras: vec![camera],
        };
        let judged = Precision {
            camera: "gate".into(),
            zone: "east".into(),
            kind: "fire_lane".into(),
            right: 8,
            wrong: 2,
        };
        let status = Status {
            version: "0.1.0".into(),
            written: now,
            config_revision: "abc".into(),
            figures,
            queue: 2,
            disabled: vec![DisabledCamera { camera: "market".into(), reason: "no zone".into() }],
            outbox: Outbox { rows: 4, ..Outbox::default() },
            broker: Some(DispatchStats { connected: true, acknowledged: 9, ..DispatchStats::default() }),
            precision: vec![judged],
            incidents_open: 1,
            latest: Vec::new(),
        };
        let mut reloads = Reloads::default();
        reloads.count(true);
        reloads.count(false);
        Snapshot { status, incidents: BTreeMap::from([("fire_lane".to_owned(), [3, 2])]), lost: 0, reloads }
    }

    /// Names with their labels, from the table above.
    fn documented() -> BTreeSet<(String, BTreeSet<String>)> {
        let words =
            |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        (include_str!("metrics.rs").lines())
            .filter_map(|line| line.strip_prefix("//! | `gridwatch_"))
            .map(|row| {
                let mut cells = row.split('|');
                let name = cells.next().expect("a name").trim().trim_end_matches('`');
                let labels = words(cells.next().expect("labels")).into_iter().collect();
                (format!("gridwatch_{name}"), labels)
            })
            .collect()
    }

    #[test]
    fn the_table_says_what_is_told_and_nothing_else() {
        let text = page(&snapshot(), 0.0);
        let mut told = BTreeSet::new();
        let mut typed = BTreeSet::new();
        for line in text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').expect("a kind");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{family}");
                assert!(typed.insert(name.to_owned()), "{name} begins twice");
            } else if !line.starts_with('#') {
                let (series, _) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
                let labels =
                    labels.map(|label| label.split('=').next().expect("a name").to_owned()).collect();
                told.insert((name.to_owned(), labels));
            }
        }
        assert_eq!(told, documented());
        assert_eq!(typed, told.into_iter().map(|(name, _)| name).collect());
        for line in [
            "gridwatch_build_info{version=\"0.1.0\",config_revision=\"abc\"} 1",
            "gridwatch_outbox_messages 4",
            "gridwatch_broker_acknowledged_total 9",
            "gridwatch_incidents_opened_total{kind=\"fire_lane\"} 3",
            "gridwatch_zone_judged{camera=\"gate\",zone=\"east\",kind=\"fire_lane\",verdict=\"false_alarm\"} 2",
            "gridwatch_reloads_total{outcome=\"refused\"} 1",
            "gridwatch_camera_fault{camera=\"gate\",check=\"moved\"} 1",
            "gridwatch_camera_disabled{camera=\"market\"} 1",
            "gridwatch_camera_state{camera=\"gate\",state=\"stalled\"} 1",
            "gridwatch_camera_state{camera=\"gate\",state=\"online\"} 0",
            "gridwatch_camera_stale_seconds{camera=\"gate\"} 1.5",
            "gridwatch_camera_disconnects_total{camera=\"gate\"} 3",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn health_is_that_the_numbers_are_new() {
        let board = Board::default();
        let status = |path: &str, later_s: i64| {
            let now = Timestamp::now() + jiff::SignedDuration::from_secs(later_s);
            answer(path, &board, now).map(|answer| &answer.status[..3])
        };
        assert_eq!(status("/healthz", 0), Some("503"));
        assert_eq!(status("/metrics", 0), Some("503"));
        *board.lock().expect("not poisoned") = Some(snapshot());
        assert_eq!(status("/healthz", 0), Some("200"));
        assert_eq!(status("/healthz", 60), Some("503"));
        assert_eq!(status("/metrics", 60), Some("200"));
        assert_eq!(status("/", 0), None);
    }
}
