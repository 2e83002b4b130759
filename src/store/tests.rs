//! The store over restarts, beyond its limits, and on bad ground.

use std::path::Path;

use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::config::{Level, Place, Text};
use crate::event::{CameraRef, Certainty, VerdictKind, ZoneRef};
use crate::frame::Clock;

fn incident(zone: &str, phase: Phase) -> Incident {
    let text = Text { zh: "占用".into(), en: "blocked".into() };
    let now = Timestamp::UNIX_EPOCH;
    Incident {
        incident: Uuid::now_v7(),
        seq: 1,
        phase,
        certainty: Certainty::Confirmed,
        kind: "fire_lane".into(),
        level: Level::Orange,
        city_code: None,
        title: text.clone(),
        description: text,
        camera: CameraRef { id: "gate".into(), name: "东门".into(), place: Place::default() },
        zone: ZoneRef { id: zone.into(), name: "A".into(), revision: "r".into() },
        first_seen: now,
        confirmed_at: None,
        last_seen: now,
        closed_at: None,
        closed_reason: None,
        clock: Clock::Arrival,
        dwell_s: 1.0,
        unseen_s: 0.0,
        coverage: 0.5,
        objects: Vec::new(),
        trajectory: None,
        model: None,
        config_revision: "c".into(),
        evidence: Vec::new(),
        verdict: None,
        recurrence: None,
    }
}

fn message(kind: MessageKind, text: &str) -> Message {
    Message { topic: text.into(), kind, payload: Payload::Bytes(text.into()) }
}

fn write(store: &Store, incident: &Incident, messages: Vec<Message>) -> Result<(), StoreError> {
    store.write(vec![Entry { incident: incident.clone(), messages }], Vec::new())
}

fn topics(store: &Store) -> Vec<String> {
    store.outbox_head(1_000, u64::MAX).expect("read").into_iter().map(|row| row.message.topic).collect()
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let (open, closed) = (incident("a", Phase::Opened), incident("b", Phase::Closed));
    let file = Payload::File { path: "evidence/x.jpg".into(), sha256: "00".into(), size_bytes: 7 };
    let picture = Message { topic: "x".into(), kind: MessageKind::Evidence, payload: file };
    let store = Store::open(dir.path()).expect("a store");
    write(&store, &open, vec![picture.clone(), message(MessageKind::Incident, "opened")]).expect("written");
    write(&store, &closed, Vec::new()).expect("written");
    store.write(Vec::new(), vec![("gate".into(), Some("{}".into()))]).expect("written");
    drop(store);

    let store = Store::open(dir.path()).expect("a store");
    assert_eq!(store.open_incidents().expect("read"), std::slice::from_ref(&open));
    assert_eq!(store.latest_incidents(10).expect("read"), [closed.clone(), open.clone()]);
    assert_eq!(store.checkpoint(&"gate".into()).expect("read"), Some("{}".to_owned()));
    store.write(Vec::new(), vec![("gate".into(), None)]).expect("written");
    assert_eq!(store.checkpoint(&"gate".into()).expect("read"), None);
    let rows = store.outbox_head(10, u64::MAX).expect("read");
    assert_eq!(rows[0].message, picture);
    assert_eq!((rows[1].incident, rows[1].message.topic.as_str()), (open.incident, "opened"));
    assert_eq!(store.outbox_size().expect("read"), OutboxSize { rows: 2, bytes: 7 + 6 });
    // By bytes: at least one, however large.
    assert_eq!(store.outbox_head(10, 1).expect("read").len(), 1);
    store.outbox_remove(vec![rows[0].id, 999]).expect("removed");
    assert_eq!(topics(&store), ["opened"]);
}

#[test]
fn state_and_messages_are_written_together_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    write(&store, &incident("a", Phase::Opened), Vec::new()).expect("written");
    // A second open one in the same zone: the database refuses, and with it everything beside.
    let both = vec![
        Entry { incident: incident("b", Phase::Opened), messages: vec![message(MessageKind::Incident, "b")] },
        Entry { incident: incident("a", Phase::Opened), messages: vec![message(MessageKind::Incident, "a")] },
    ];
    let refused = store.write(both, Vec::new()).expect_err("refused").to_string();
    assert!(refused.contains("UNIQUE"), "{refused}");
    assert_eq!(store.open_incidents().expect("read").len(), 1);
    assert!(topics(&store).is_empty());
}

#[test]
fn pictures_give_way_before_statements() {
    use MessageKind::{Evidence, Incident};
    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { outbox_rows_max: 4, outbox_bytes_max: 20, ..Limits::default() };
    let store = Store::open_with(dir.path(), limits).expect("a store");
    let (mut one, mut n) = (incident("a", Phase::Opened), 0);
    let mut put = |kind, text: &str| {
        (one.seq, n) = (n + 1, n + 1);
        write(&store, &one, vec![message(kind, text)]).expect("written");
        (topics(&store).join(" "), store.gave_way())
    };
    for (kind, text, want, pictures, statements) in [
        (Evidence, "p1", "p1", 0, 0),
        (Incident, "s1", "p1 s1", 0, 0),
        (Evidence, "p2", "p1 s1 p2", 0, 0),
        (Incident, "s2", "p1 s1 p2 s2", 0, 0),
        (Incident, "s3", "s1 p2 s2 s3", 1, 0),
        (Evidence, "p3", "s1 s2 s3 p3", 2, 0),
        (Incident, "s4", "s1 s2 s3 s4", 3, 0),
        (Evidence, "p4", "s1 s2 s3 s4", 4, 0),
        (Incident, "s5", "s2 s3 s4 s5", 4, 1),
        (Incident, "s6-with-15-byte", "s4 s5 s6-with-15-byte", 4, 3),
        (Incident, "s7-longer-than-everything-allowed", "s7-longer-than-everything-allowed", 4, 6),
    ] {
        let (got, gave_way) = put(kind, text);
        assert_eq!(got, want, "after {text}");
        let want = GaveWay { evidence: pictures, mirror: 0, incident: statements };
        assert_eq!(gave_way, want, "after {text}");
    }
}

#[test]
fn low_levels_give_way_first() {
    use Level::{Blue, Orange, Red, Yellow};
    use MessageKind::{Evidence, Incident, Mirror};
    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { outbox_rows_max: 4, ..Limits::default() };
    let store = Store::open_with(dir.path(), limits).expect("a store");
    let (mut one, mut n) = (incident("a", Phase::Opened), 0);
    let mut put = |level, kind, text: &str| {
        (one.seq, one.level, n) = (n + 1, level, n + 1);
        write(&store, &one, vec![message(kind, text)]).expect("written");
        let GaveWay { evidence, mirror, incident } = store.gave_way();
        (topics(&store).join(" "), (evidence, mirror, incident))
    };
    for (level, kind, text, want, gave_way) in [
        (Red, Evidence, "p-red", "p-red", (0, 0, 0)),
        (Blue, Evidence, "p-blue", "p-red p-blue", (0, 0, 0)),
        (Yellow, Mirror, "m-yellow", "p-red p-blue m-yellow", (0, 0, 0)),
        (Yellow, Incident, "s-yellow", "p-red p-blue m-yellow s-yellow", (0, 0, 0)),
        // The lowest picture first, not the oldest; then no picture can stay.
        (Red, Incident, "s-red", "p-red m-yellow s-yellow s-red", (1, 0, 0)),
        (Orange, Evidence, "p-orange", "p-red m-yellow s-yellow s-red", (2, 0, 0)),
        (Blue, Mirror, "m-blue", "m-yellow s-yellow s-red m-blue", (3, 0, 0)),
        // Copies before statements, the lowest first.
        (Blue, Incident, "s-blue", "m-yellow s-yellow s-red s-blue", (3, 1, 0)),
        (Red, Mirror, "m-red", "s-yellow s-red s-blue m-red", (3, 2, 0)),
        (Orange, Mirror, "m-orange", "s-yellow s-red s-blue m-red", (3, 3, 0)),
        (Orange, Incident, "s-orange", "s-yellow s-red s-blue s-orange", (3, 4, 0)),
        // Statements alone: the lowest, then the oldest; the new one is one of them.
        (Red, Mirror, "m-late", "s-yellow s-red s-blue s-orange", (3, 5, 0)),
        (Blue, Incident, "s-blue2", "s-yellow s-red s-orange s-blue2", (3, 5, 1)),
        (Red, Incident, "s-red2", "s-yellow s-red s-orange s-red2", (3, 5, 2)),
        (Blue, Incident, "s-blue3", "s-yellow s-red s-orange s-red2", (3, 5, 3)),
        (Yellow, Incident, "s-yellow2", "s-red s-orange s-red2 s-yellow2", (3, 5, 4)),
    ] {
        assert_eq!(put(level, kind, text), (want.to_owned(), gave_way), "after {text}");
    }
    let kinds: Vec<_> =
        store.outbox_head(9, u64::MAX).expect("read").iter().map(|row| row.message.kind).collect();
    assert_eq!(kinds, [Incident; 4]);
}

#[test]
fn an_outbox_of_an_older_layout_is_taken_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = Connection::open(dir.path().join(FILE)).expect("a file");
    for step in &layout::MIGRATIONS[..4] {
        old.execute_batch(step).expect("an older layout");
    }
    old.pragma_update(None, "user_version", 4).expect("set");
    for (kind, topic) in [("evidence", "p"), ("incident", "s")] {
        old.execute(
            "INSERT INTO outbox (topic, kind, incident, created, payload, bytes) VALUES (?, ?, '', '', x'00', 1)",
            [topic, kind],
        )
        .expect("written");
    }
    drop(old);
    let limits = Limits { outbox_rows_max: 3, ..Limits::default() };
    let store = Store::open_with(dir.path(), limits).expect("a store");
    let kinds = || -> Vec<_> {
        let head = store.outbox_head(9, u64::MAX).expect("read");
        head.into_iter().map(|row| (row.id, row.message.kind, row.message.topic)).collect()
    };
    let (picture, statement) = (MessageKind::Evidence, MessageKind::Incident);
    assert_eq!(kinds(), [(1, picture, "p".to_owned()), (2, statement, "s".to_owned())]);
    let texts = ["a", "b", "c"].map(|text| message(statement, text));
    write(&store, &incident("a", Phase::Opened), texts.to_vec()).expect("written");
    // What has no level gives way as late as red.
    assert_eq!(topics(&store), ["s", "b", "c"]);
    assert_eq!(store.outbox_size().expect("read").rows, 3);
}

#[test]
fn only_removals_are_not_forced_to_the_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("opened");
    let forced = || {
        let pragma = |db: &mut Connection| {
            db.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0)).map_err(StoreError::Sql)
        };
        store.call(pragma).expect("read")
    };
    assert_eq!(forced(), 2, "FULL");
    let texts = ["a", "b", "c"].map(|text| message(MessageKind::Incident, text));
    write(&store, &incident("lane", Phase::Opened), texts.to_vec()).expect("written");
    let head = store.outbox_head(2, u64::MAX).expect("read");
    store.outbox_remove(head.iter().map(|row| row.id).collect()).expect("removed");
    assert_eq!((topics(&store), forced()), (vec!["c".to_owned()], 2));
}

#[test]
fn closed_incidents_and_verdicts_are_bounded() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits { closed_incidents_max: 3, verdicts_per_incident_max: 2, ..Limits::default() };
    let store = Store::open_with(dir.path(), limits).expect("a store");
    let open = incident("open", Phase::Opened);
    write(&store, &open, Vec::new()).expect("written");
    let closed: Vec<_> = (0..6).map(|_| incident("a", Phase::Closed)).collect();
    let verdict =
        |note: &str| Verdict { verdict: VerdictKind::Accepted, case_id: None, note: Some(note.into()) };
    for incident in &closed {
        write(&store, incident, Vec::new()).expect("written");
        let taken = store.add_verdict(incident.incident, verdict("x"), false).expect("stored");
        assert_eq!(taken.outcome, VerdictOutcome::Stored);
    }
    assert_eq!(store.latest_incidents(100).expect("read").len(), 3 + 1);
    assert_eq!(store.incident(open.incident).expect("read"), Some(open.clone()));
    assert!(store.verdicts(closed[0].incident).expect("read").is_empty());
    for (note, retained, want) in [
        ("a", false, VerdictOutcome::Stored),
        ("a", false, VerdictOutcome::Repeated),
        ("b", false, VerdictOutcome::Stored),
        ("a", true, VerdictOutcome::Repeated),
        ("a", false, VerdictOutcome::Stored),
    ] {
        assert_eq!(
            store.add_verdict(open.incident, verdict(note), retained).expect("stored").outcome,
            want,
            "{note}"
        );
    }
    let notes: Vec<_> =
        store.verdicts(open.incident).expect("read").into_iter().map(|v| v.verdict.note).collect();
    assert_eq!(notes, [Some("b".to_owned()), Some("a".to_owned())]);
    assert_eq!(
        store.add_verdict(Uuid::nil(), verdict("a"), false).expect("no error").outcome,
        VerdictOutcome::UnknownIncident
    );
}

#[test]
fn precision_counts_the_last_verdict_of_each_incident() {
    use VerdictKind::{Accepted, FalseAlarm, Ignored, Resolved};
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    for (zone, verdicts) in [
        ("a", vec![Accepted, Resolved]),
        ("a", vec![Accepted, FalseAlarm]),
        ("a", vec![FalseAlarm, Ignored]),
        ("b", vec![FalseAlarm]),
        ("c", vec![]),
    ] {
        let one = incident(zone, Phase::Closed);
        write(&store, &one, Vec::new()).expect("written");
        for verdict in verdicts {
            let verdict = Verdict { verdict, case_id: None, note: None };
            store.add_verdict(one.incident, verdict, false).expect("stored");
        }
    }
    let precision = store.precision(Timestamp::now()).expect("read");
    let told: Vec<_> = precision.iter().map(|p| (&*p.zone.0, &*p.kind, p.right, p.wrong)).collect();
    assert_eq!(told, [("a", "fire_lane", 2, 1), ("b", "fire_lane", 0, 1)]);
    assert!((precision[0].ratio() - 2.0 / 3.0).abs() < 1e-9);
    assert!(
        store.precision(Timestamp::now() + SignedDuration::from_hours(31 * 24)).expect("read").is_empty()
    );
}

#[test]
fn rechecks_are_bounded_and_go_with_their_statement() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    let asker =
        |n: usize| RecheckAsker::Command(Answered::new(CommandName::Recheck, &n.to_string(), &"accepted"));
    let many: Vec<_> = (0..257).map(|_| incident("a", Phase::Closed)).collect();
    let entries = many.iter().map(|incident| Entry { incident: incident.clone(), messages: Vec::new() });
    store.write(entries.collect(), Vec::new()).expect("written");
    for (n, incident) in many.iter().enumerate() {
        let asked = store.ask_recheck(incident.incident, asker(n)).expect("no error");
        assert_eq!(asked, if n < 256 { RecheckAsked::Waits } else { RecheckAsked::Full }, "{n}");
    }
    // Full: who waits already may ask again, and a verdict is kept all the same.
    assert_eq!(store.ask_recheck(many[3].incident, asker(3)).expect("no error"), RecheckAsked::Waits);
    let resolved = Verdict { verdict: VerdictKind::Resolved, case_id: None, note: None };
    let taken = store.add_verdict(many[256].incident, resolved, false).expect("stored");
    assert_eq!((taken.outcome, taken.recheck), (VerdictOutcome::Stored, Some(RecheckAsked::Full)));
    assert_eq!(store.ask_recheck(Uuid::nil(), asker(0)).expect("no error"), RecheckAsked::UnknownIncident);
    drop(store);

    let store = Store::open(dir.path()).expect("a store");
    let pending = store.pending_rechecks().expect("read");
    assert_eq!((pending.len(), pending[3].incident.incident), (256, many[3].incident));
    let said = vec![message(MessageKind::Incident, "said")];
    assert!(store.finish_recheck(pending[3].number, said.clone()).expect("written"));
    assert!(!store.finish_recheck(pending[3].number, said).expect("no error"), "said once");
    assert_eq!(topics(&store), ["said"]);
    assert_eq!(store.pending_rechecks().expect("read").len(), 255);
}

#[test]
fn commands_are_remembered_over_a_restart_the_newest_longest() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    let said = |name, id: &str, what: &str| Answered::new(name, id, &what);
    let (camera, zones): (CameraId, Vec<ZoneId>) = ("gate".into(), vec!["lane".into()]);
    let disarmed = vec![Disarmed { camera: camera.clone(), zone: zones[0].clone(), until: None }];
    store.disarm(disarmed, said(CommandName::Disarm, "1", "shut")).expect("written");
    let answer = |armed: usize| Answered::new(CommandName::Arm, "1", &armed);
    assert_eq!(store.arm(&camera, zones, answer).expect("written").reply, "1");
    for what in ["tried", "done"] {
        store.remember_command(said(CommandName::Reload, "1", what)).expect("written");
    }
    drop(store);

    let store = Store::open(dir.path()).expect("a store");
    let reply = |name, id: &str| store.reply_to(name, id).expect("read");
    assert_eq!(reply(CommandName::Disarm, "1").as_deref(), Some("\"shut\""));
    assert_eq!(reply(CommandName::Arm, "1").as_deref(), Some("1"));
    assert_eq!(reply(CommandName::Reload, "1").as_deref(), Some("\"done\""));
    assert_eq!(reply(CommandName::Snapshot, "1"), None, "ids are a name's own");
    let polls: Vec<_> = (0..3_998).map(|n| said(CommandName::Poll, &n.to_string(), "done")).collect();
    store
        .change(move |change| Ok(polls.iter().try_for_each(|poll| command::put(change, poll))?))
        .expect("written");
    assert_eq!((reply(CommandName::Disarm, "1"), reply(CommandName::Arm, "1")), (None, None));
    assert!(reply(CommandName::Reload, "1").is_some() && reply(CommandName::Poll, "0").is_some());
}

#[test]
fn a_store_of_an_older_layout_is_taken_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = Connection::open(dir.path().join(FILE)).expect("a file");
    old.execute_batch(layout::MIGRATIONS[0]).expect("the first layout");
    old.pragma_update(None, "user_version", 1).expect("set");
    let one = incident("a", Phase::Closed);
    let row = (one.incident.to_string(), serde_json::to_string(&one).expect("JSON"));
    old.execute("INSERT INTO incident VALUES (?, 'gate', 'a', 0, 1, ?)", row).expect("written");
    drop(old);
    let store = Store::open(dir.path()).expect("a store");
    let count = |kind: &str, since: i64| {
        let since = Timestamp::from_second(since).expect("a time");
        store.incidents_since(&"gate".into(), &"a".into(), kind, since).expect("read")
    };
    assert_eq!((count("fire_lane", -1), count("fire_lane", 1), count("street_vending", -1)), (1, 0, 0));
    let wrong = Verdict { verdict: VerdictKind::FalseAlarm, case_id: None, note: None };
    store.add_verdict(one.incident, wrong.clone(), false).expect("stored");
    assert_eq!(count("fire_lane", -1), 0, "a false alarm does not count");
    let (newest, standing) = store.standing_verdicts(Timestamp::UNIX_EPOCH).expect("read");
    assert_eq!((standing.len(), standing[0].number, &standing[0].incident), (1, newest, &one));
    store
        .add_verdict(one.incident, Verdict { verdict: VerdictKind::Accepted, ..wrong }, false)
        .expect("stored");
    assert_eq!(count("fire_lane", -1), 1, "the last verdict counts");
    assert_eq!(store.verdicts_after(newest).expect("read").len(), 1);
    assert!(store.standing_verdicts(Timestamp::UNIX_EPOCH).expect("read").1.is_empty());
}

#[test]
fn a_follower_sees_each_statement_once() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(Follower::open(dir.path()).is_err(), "there is no store yet");
    let store = Store::open(dir.path()).expect("a store");
    let mut one = incident("a", Phase::Opened);
    write(&store, &one, Vec::new()).expect("written");
    let mut follower = Follower::open(dir.path()).expect("readable while the daemon has it");
    assert_eq!(follower.changes().expect("read"), [one.clone()]);
    assert!(follower.changes().expect("read").is_empty());
    one.coverage = 0.7; // state without a statement
    write(&store, &one, Vec::new()).expect("written");
    assert!(follower.changes().expect("read").is_empty());
    (one.seq, one.phase) = (2, Phase::Closed);
    write(&store, &one, Vec::new()).expect("written");
    assert_eq!(follower.changes().expect("read"), [one]);
}

#[test]
fn bad_ground_is_said_clearly() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    let second = Store::open(dir.path()).expect_err("in use");
    assert!(matches!(second, StoreError::InUse { .. }), "{second}");
    drop(store);

    let file = dir.path().join(FILE);
    Connection::open(&file).expect("opened").pragma_update(None, "user_version", 99).expect("set");
    let newer = Store::open(dir.path()).expect_err("newer").to_string();
    assert!(newer.contains("layout 99"), "{newer}");

    for bytes in [b"no database at all, but long enough to be read as one".repeat(100), sound_then_damaged()]
    {
        std::fs::write(&file, bytes).expect("written");
        let damaged = Store::open(dir.path()).expect_err("damaged");
        assert!(matches!(damaged, StoreError::Corrupt { .. }), "{damaged}");
    }

    let elsewhere = Store::open(Path::new("/proc/no/such/place")).expect_err("cannot be made");
    assert!(matches!(elsewhere, StoreError::Open { .. }), "{elsewhere}");
}

/// A database whose pages behind the first are noise.
fn sound_then_damaged() -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    for _ in 0..50 {
        write(&store, &incident("a", Phase::Closed), Vec::new()).expect("written");
    }
    drop(store);
    let mut bytes = std::fs::read(dir.path().join(FILE)).expect("read");
    for (i, byte) in bytes.iter_mut().enumerate().skip(4_096) {
        *byte = (i * 31 % 251) as u8;
    }
    bytes
}

#[test]
fn a_full_disk_is_an_error_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    write(&store, &incident("a", Phase::Opened), vec![message(MessageKind::Incident, "first")])
        .expect("written");
    // SQLite reports SQLITE_FULL for its own page limit as it does for the disk's.
    store.limit_pages(1);
    let large =
        Message { payload: Payload::Bytes(vec![0; 1 << 20]), ..message(MessageKind::Incident, "second") };
    let full = write(&store, &incident("b", Phase::Opened), vec![large.clone()]).expect_err("full");
    assert!(matches!(full, StoreError::DiskFull { .. }), "{full}");
    assert_eq!(topics(&store), ["first"]);
    assert_eq!(store.open_incidents().expect("read").len(), 1);
    store.limit_pages(1_000_000);
    write(&store, &incident("b", Phase::Opened), vec![large]).expect("room again");
    assert_eq!(topics(&store), ["first", "second"]);
}
