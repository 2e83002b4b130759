//! What other platforms are told, word for word: three incidents in three shapes, and any text in any of them.
//!
//! After a deliberate change: `INSTA_UPDATE=always cargo test --test mirror`, then read the difference.

use std::collections::BTreeMap;

use gridwatch::config::{Mirror, MirrorShape, XmlEncoding};
use gridwatch::event::Incident;
use gridwatch::event::mirror::{Statement, mirrored};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::{Value, json};

const SHAPES: [MirrorShape; 3] =
    [MirrorShape::HikvisionIsc, MirrorShape::Gb28181Alarm, MirrorShape::Gat1400Image];

/// Stands for cameras without a code of their own.
const BOX: &str = "51010700001190000001";

/// A mirror with nothing said that need not be; in UTF-8, so that the golden files can be read.
fn mirror(shape: MirrorShape) -> Mirror {
    Mirror {
        topic: "district/{grid}/{camera}/{kind}".into(),
        shape,
        kinds: Vec::new(),
        codes: BTreeMap::new(),
        device_id: None,
        encoding: XmlEncoding::Utf8,
    }
}

/// A fire lane as it is opened; the others say what is different.
fn fire_lane() -> Value {
    json!({
        "incident": "01a201c1-3901-7062-9533-7d313057d968", "seq": 1, "phase": "opened", "certainty": "confirmed",
        "kind": "fire_lane", "level": "orange", "city_code": "0510",
        "title": { "zh": "消防通道占用", "en": "Fire lane blocked" },
        "description": {
            "zh": "幸福小区北门“北门消防通道”被占用 5 分，遮挡通道 38%，现场物体：小汽车。", "en": "…"
        },
        "camera": {
            "id": "gate-a", "name": "幸福小区北门",
            "place": {
                "gb_code": "51010700001320000011", "grid_code": "510107001001001", "address": "幸福路 1 号",
                "duty": "消防救援站", "crs": "cgcs2000", "lon": 104.043, "lat": 30.641
            }
        },
        "zone": { "id": "lane", "name": "北门消防通道", "revision": "8e20e26a77bf" },
        "first_seen": "2026-11-22T15:55:59.324013729Z", "confirmed_at": "2026-11-22T16:00:59.8Z",
        "last_seen": "2026-11-22T16:00:59.8Z", "clock": "rtcp", "dwell_s": 300.5, "coverage": 0.38, "objects": [],
        "config_revision": "56c51257f1dc",
        "evidence": [picture(1), { "kind": "clip", "sha256": "c1", "size_bytes": 9_000_000, "media_type": "video/mp4", "path": "c" }]
    })
}

fn picture(n: usize) -> Value {
    json!({
        "kind": "snapshot", "sha256": format!("{n}e14b7e0c9702380958ff0d2bc3e5ae2d07079c7a0783285ea725f0e74cad303"),
        "size_bytes": 58_775, "media_type": "image/jpeg", "size_px": [1280, 720], "path": "p",
        "topic": format!("gridwatch/v1/demo/box-01/cameras/gate-a/evidence/01a201c1/{n}.jpg")
    })
}

fn with(mut incident: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (table, key) = pointer.rsplit_once('/').expect("a pointer");
        incident.pointer_mut(table).expect("a table")[key] = value.clone();
    }
    incident
}

/// Name, and the incident's statements with the pictures that went out before each.
type Story = (&'static str, Vec<(Value, Vec<usize>)>);

fn stories() -> [Story; 4] {
    let lane = fire_lane();
    let still = with(
        lane.clone(),
        &[
            ("/seq", json!(2)),
            ("/phase", json!("updated")),
            ("/level", json!("red")),
            ("/last_seen", json!("2026-11-22T16:10:59.8Z")),
            ("/dwell_s", json!(900.5)),
            ("/evidence", json!([picture(1), picture(2)])),
        ],
    );
    let over = with(
        still.clone(),
        &[
            ("/seq", json!(3)),
            ("/phase", json!("closed")),
            ("/closed_at", json!("2026-11-22T16:14:00Z")),
            ("/closed_reason", json!("cleared")),
        ],
    );
    // Without a code, and in another system of coordinates.
    let thrown = with(
        lane.clone(),
        &[
            ("/kind", json!("thrown_object")),
            ("/level", json!("red")),
            ("/city_code", Value::Null),
            ("/title/zh", json!("高空抛物")),
            ("/description/zh", json!("3 号楼 <A&B> \"东\" '立面'“东立面”有物体坠落，约 12 层（±1）。")),
            (
                "/camera",
                json!({ "id": "tower", "name": "3 号楼 <A&B> \"东\" '立面'",
                "place": { "crs": "bd09", "lon": 104.05, "lat": 30.65 } }),
            ),
            ("/zone/name", json!("东立面")),
            ("/clock", json!("arrival")),
            ("/dwell_s", json!(0.0)),
            (
                "/trajectory",
                json!({ "points": [[0.0, 0.5, 0.1], [0.4, 0.5, 0.6]], "release": [0.5, 0.1],
                "release_height_m": [33.0, 1.5], "floor": [12, 1] }),
            ),
        ],
    );
    let thrown_more = with(
        thrown.clone(),
        &[("/seq", json!(2)), ("/phase", json!("updated")), ("/evidence", json!([picture(1), picture(2)]))],
    );
    let thrown_over = with(
        thrown_more.clone(),
        &[
            ("/seq", json!(3)),
            ("/phase", json!("closed")),
            ("/closed_at", json!("2026-11-22T16:14:00Z")),
            ("/closed_reason", json!("instant")),
        ],
    );
    let vending = with(
        lane.clone(),
        &[
            ("/kind", json!("street_vending")),
            ("/level", json!("blue")),
            ("/title/zh", json!("占道经营")),
            ("/description/zh", json!("学府路口“东侧人行道”有摊位经营 3 分，现场物体：摊车、人。")),
            ("/camera/name", json!("学府路口")),
            (
                "/camera/place",
                json!({ "gb_code": "34010400001320000012", "crs": "wgs84", "lon": 117.2301, "lat": 31.8412 }),
            ),
            ("/zone/name", json!("东侧人行道")),
            ("/evidence", json!([])),
        ],
    );
    let moved = with(
        lane.clone(),
        &[
            ("/kind", json!("video_quality")),
            ("/level", json!("yellow")),
            ("/title/zh", json!("视频质量异常")),
            ("/description/zh", json!("幸福小区北门：画面移位。")),
            ("/zone", json!({ "id": "video_quality.moved", "name": "画面移位", "revision": "" })),
            ("/evidence/0/topic", Value::Null),
            ("/evidence/0/size_px", Value::Null),
        ],
    );
    [
        ("fire_lane", vec![(lane, vec![0]), (still, vec![1]), (over, vec![])]),
        ("thrown_object", vec![(thrown, vec![0]), (thrown_more, vec![1]), (thrown_over, vec![])]),
        ("street_vending", vec![(vending, vec![])]),
        ("camera_moved", vec![(moved, vec![0])]),
    ]
}

fn say(mirror: &Mirror, incident: &Value, new_pictures: &[usize]) -> Option<(String, Vec<u8>)> {
    let incident: Incident = serde_json::from_value(incident.clone()).expect("an incident");
    let timezone = TimeZone::get("Asia/Shanghai").expect("a time zone");
    let now: Timestamp = "2026-11-22T16:01:00.0457Z".parse().expect("a time");
    let statement = Statement { incident: &incident, new_pictures, timezone: &timezone, now };
    mirrored(mirror, statement).map(|message| (message.topic, message.payload))
}

/// A payload as people read it.
fn shown(shape: MirrorShape, payload: &[u8]) -> String {
    if shape == MirrorShape::Gb28181Alarm {
        return String::from_utf8(payload.to_vec()).expect("UTF-8");
    }
    let json: Value = serde_json::from_slice(payload).expect("JSON");
    serde_json::to_string_pretty(&json).expect("JSON") + "\n"
}

fn told(mirror: &Mirror, statements: &[(Value, Vec<usize>)]) -> String {
    let told = statements.iter().map(|(incident, new_pictures)| {
        let message = match say(mirror, incident, new_pictures) {
            Some((topic, payload)) => format!("{topic}\n{}", shown(mirror.shape, &payload)),
            None => "(nothing)\n".to_owned(),
        };
        let phase = incident["phase"].as_str().unwrap_or_default();
        format!("## {phase}, new pictures: {new_pictures:?}\n{message}")
    });
    told.collect()
}

#[test]
fn three_incidents_in_three_shapes() {
    for (story, statements) in stories() {
        for shape in SHAPES {
            let name = format!("{story}.{}", shape.as_str());
            let mirror = Mirror { device_id: Some(BOX.into()), ..mirror(shape) };
            insta::assert_snapshot!(name, told(&mirror, &statements));
        }
    }
}

/// What the operator may say about it.
#[test]
fn a_mirror_says_what_its_table_says() {
    let [(_, lane), (_, thrown), ..] = stories();
    for (shape, alarm) in
        [(MirrorShape::Gb28181Alarm, "<AlarmType>12"), (MirrorShape::Gat1400Image, "EventSort\":5")]
    {
        assert_eq!(say(&mirror(shape), &thrown[0].0, &[0]), None, "no code, no message");
        let stands_in = Mirror { device_id: Some(BOX.into()), ..mirror(shape) };
        let (topic, payload) = say(&stands_in, &thrown[0].0, &[0]).expect("a message");
        let text = String::from_utf8(payload).expect("UTF-8");
        assert!(text.contains(BOX) && text.contains(alarm), "{text}");
        assert!(!text.contains("104.05") && !text.contains("ongitude"), "BD-09 is not WGS 84: {text}");
        assert_eq!(topic, "district/none/tower/thrown_object");
    }
    for shape in SHAPES {
        let only = Mirror { kinds: vec!["street_vending".into()], ..mirror(shape) };
        assert_eq!(say(&only, &lane[0].0, &[0]), None);
        let renumbered =
            Mirror { codes: [("fire_lane".into(), 3)].into(), topic: "x".into(), ..mirror(shape) };
        let (topic, payload) = say(&renumbered, &lane[0].0, &[0]).expect("a message");
        let text = String::from_utf8(payload).expect("UTF-8");
        let code = ["eventType\":3,", "<AlarmType>3<", "EventSort\":3,"];
        assert_eq!((topic.as_str(), code.iter().filter(|code| text.contains(**code)).count()), ("x", 1));
    }
    // Only an intrusion can be said to be over.
    let left_behind = Mirror { codes: [("fire_lane".into(), 3)].into(), ..mirror(MirrorShape::Gb28181Alarm) };
    let over: Vec<_> = lane.iter().map(|(said, new)| say(&left_behind, said, new).is_some()).collect();
    assert_eq!(over, [true, false, false]);
    // And only if it was seen to leave.
    for (reason, said) in [("cleared", true), ("camera_lost", false), ("false_alarm", false)] {
        let over = with(lane[2].0.clone(), &[("/closed_reason", json!(reason))]);
        assert_eq!(say(&mirror(MirrorShape::Gb28181Alarm), &over, &[]).is_some(), said, "{reason}");
    }
    // A kind that nobody has foreseen.
    let own = with(lane[0].0.clone(), &[("/kind", json!("city_garbage"))]);
    for (shape, code) in SHAPES.into_iter().zip(["eventType\":131588,", "<AlarmType>6<", "EventSort\":0,"]) {
        let text = String::from_utf8(say(&mirror(shape), &own, &[0]).expect("a message").1).expect("UTF-8");
        assert!(text.contains(code), "{text}");
    }
}

#[test]
fn ids_are_as_long_as_the_standards_want() {
    let [(_, lane), ..] = stories();
    let (_, images) = say(&mirror(MirrorShape::Gat1400Image), &lane[1].0, &[0, 1]).expect("a message");
    let images: Value = serde_json::from_slice(&images).expect("JSON");
    let ids: Vec<_> = images["ImageListObject"]["Image"]
        .as_array()
        .expect("images")
        .iter()
        .map(|image| image["ImageInfo"]["ImageID"].as_str().expect("an id"))
        .collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    for id in ids {
        assert!(id.len() == 41 && id.bytes().all(|b| b.is_ascii_digit()), "{id}");
        assert!(id.starts_with("510107000013200000110220261123001059"), "device, image, local time: {id}");
    }
    // The same statement has the same number, the next one another.
    let number = |statement: &Value| {
        let xml = say(&mirror(MirrorShape::Gb28181Alarm), statement, &[]).expect("a message").1;
        let xml = String::from_utf8(xml).expect("UTF-8");
        let text = xml.split("<SN>").nth(1).and_then(|rest| rest.split("</SN>").next()).expect("a number");
        text.parse::<u32>().expect("a number")
    };
    let (first, last) = (number(&lane[0].0), number(&lane[2].0));
    assert_eq!((first, last), (number(&lane[0].0), first + 2));
    assert!(first >= 1 && i32::try_from(last).is_ok());
}

/// Text as XML 1.0 can hold it.
fn in_xml(text: &str) -> String {
    let known = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if known(c) { c } else { '\u{fffd}' }).collect()
}

proptest! {
    #[test]
    fn any_text_is_well_formed_and_comes_back(name in "\\PC*|[\\x00-\\x7f]{0,40}|(.|[<&>\"'\\]]|\u{e5e5}|\u{ffff}){0,600}") {
        let texts = [("/camera/name", json!(name)), ("/description/zh", json!(name)),
            ("/camera/place/address", json!(name)), ("/zone/name", json!(name)), ("/kind", json!(name))];
        let [(_, lane), ..] = stories();
        let incident = with(lane[0].0.clone(), &texts);

        let (topic, json) = say(&mirror(MirrorShape::HikvisionIsc), &incident, &[0]).expect("a message");
        let json: Value = serde_json::from_slice(&json).expect("JSON");
        prop_assert_eq!(json["params"]["events"][0]["srcName"].as_str(), Some(name.as_str()));
        prop_assert_eq!(topic.split('/').count(), 4, "{}", topic);
        prop_assert!(!topic.contains(['+', '#', '\0']), "{}", topic);

        let (_, json) = say(&mirror(MirrorShape::Gat1400Image), &incident, &[0]).expect("a message");
        let json: Value = serde_json::from_slice(&json).expect("JSON");
        let info = &json["ImageListObject"]["Image"][0]["ImageInfo"];
        prop_assert_eq!(info["ContentDescription"].as_str(), Some(name.as_str()));

        for encoding in [XmlEncoding::Utf8, XmlEncoding::Gb18030] {
            let mirror = Mirror { encoding, ..mirror(MirrorShape::Gb28181Alarm) };
            let (_, bytes) = say(&mirror, &incident, &[0]).expect("a message");
            let xml = match encoding {
                XmlEncoding::Utf8 => String::from_utf8(bytes).expect("UTF-8"),
                XmlEncoding::Gb18030 => {
                    encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(&bytes)
                        .expect("GB 18030").into_owned()
                }
            };
            let document = roxmltree::Document::parse(&xml).map_err(|e| TestCaseError::fail(format!("{e}: {xml}")))?;
            let description = document.descendants().find(|node| node.has_tag_name("AlarmDescription"))
                .and_then(|node| node.text()).unwrap_or_default().to_owned();
            let (text, id) = description.rsplit_once(" [").expect("an id");
            prop_assert_eq!(id, "01a201c1-3901-7062-9533-7d313057d968]");
            prop_assert!(description.chars().count() <= 512);
            let whole = in_xml(&name);
            if let Some(start) = text.strip_suffix('…').filter(|_| text != whole) {
                prop_assert!(whole.starts_with(start));
            } else {
                prop_assert_eq!(text, whole);
            }
        }
    }
}
