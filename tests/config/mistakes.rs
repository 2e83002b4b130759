//! Every mistake with the exact words that the operator reads.
//!
//! After a deliberate change of words: `INSTA_UPDATE=always cargo test --test config`, then read the difference.

use crate::{CAMERA, NODE, Site, ZONE};

/// Runs each case and writes all reports into one snapshot, which can be read as a list of messages.
fn check(name: &str, cases: &[(&str, String)]) {
    let reports: Vec<String> = cases
        .iter()
        .map(|(title, text)| {
            let site = Site::new(&[("gridwatch.toml", text.as_bytes())]);
            format!("## {title}\n{}\n", site.report())
        })
        .collect();
    insta::assert_snapshot!(name, reports.join("\n"));
}

/// The small config with one more line in its camera.
fn camera(line: &str) -> String {
    format!("{NODE}{CAMERA}{line}\n{ZONE}")
}

/// The small config with one more line in its zone.
fn zone(line: &str) -> String {
    format!("{NODE}{CAMERA}{ZONE}{line}\n")
}

/// The small config with another stream address.
fn url(url: &str) -> String {
    format!("{NODE}{CAMERA}{ZONE}").replace("rtsp://10.1.2.3/live", url)
}

/// The small config with another polygon.
fn polygon(points: &str) -> String {
    format!("{NODE}{CAMERA}\n[[zone]]\ncamera = \"gate\"\nscenario = \"fire_lane\"\npolygon = {points}\n")
}

#[test]
fn of_the_whole_file() {
    let rest = format!("{CAMERA}{ZONE}");
    check(
        "whole_file",
        &[
            ("empty file", String::new()),
            ("no node", rest.clone()),
            ("node without id", format!("[node]\nsite = \"hefei\"\n{rest}")),
            ("id with Chinese", format!("[node]\nsite = \"蜀山\"\nid = \"box 1\"\n{rest}")),
            ("id is a number", format!("[node]\nsite = \"hefei\"\nid = 17\n{rest}")),
            ("unknown key in node", format!("{NODE}time_zone = \"Asia/Shanghai\"\n{rest}")),
            ("unknown time zone", format!("{NODE}timezone = \"Asia/Hefei\"\n{rest}")),
            ("node is not a table", format!("node = 3\n{rest}")),
            ("misspelt mqtt", format!("{NODE}[mqt]\nhost = \"10.0.0.5\"\n{rest}")),
            ("misspelt zone", format!("{NODE}{rest}").replace("[[zone]]", "[[zones]]")),
            ("single brackets", format!("{NODE}{rest}").replace("[[camera]]", "[camera]")),
            ("key outside of tables", format!("site = \"hefei\"\n{NODE}{rest}")),
            ("mqtt without host", format!("{NODE}[mqtt]\nport = 1883\n{rest}")),
            ("mqtt host with scheme", format!("{NODE}[mqtt]\nhost = \"mqtt://10.0.0.5:1883\"\n{rest}")),
            ("mqtt port", format!("{NODE}[mqtt]\nhost = \"10.0.0.5\"\nport = 70000\n{rest}")),
            ("mqtt port in quotes", format!("{NODE}[mqtt]\nhost = \"10.0.0.5\"\nport = \"1883\"\n{rest}")),
            ("mqtt root", format!("{NODE}[mqtt]\nhost = \"10.0.0.5\"\nroot = \"city/#\"\n{rest}")),
            (
                "mqtt user without password",
                format!("{NODE}[mqtt]\nhost = \"10.0.0.5\"\nusername = \"u\"\n{rest}"),
            ),
            (
                "mqtt password missing",
                format!(
                    "{NODE}[mqtt]\nhost = \"10.0.0.5\"\nusername = \"u\"\npassword_file = \"none\"\n{rest}"
                ),
            ),
            ("syntax: no closing quote", format!("{NODE}timezone = \"Asia/Shanghai\n{rest}")),
            ("syntax: Chinese quotes", format!("{NODE}timezone = “Asia/Shanghai”\n{rest}")),
            ("syntax: a Chinese text that is not closed", camera("name = \"东门，“北”侧")),
            ("syntax: Chinese comma", polygon("[[0.1, 0.1]，[0.9, 0.1], [0.9, 0.9]]")),
            ("syntax: the same key twice", format!("{NODE}id = \"box-2\"\n{rest}")),
            ("syntax: the same table twice", format!("{NODE}{rest}{NODE}")),
            ("syntax: no value", format!("{NODE}workers =\n{rest}")),
            ("syntax: two mistakes", format!("{NODE}workers = \ntimezone Asia\n{rest}")),
        ],
    );
}

/// The small config with one mirror.
fn mirror(lines: &str) -> String {
    format!("{NODE}[mqtt]\nhost = \"10.0.0.5\"\n[[mqtt.mirror]]\n{lines}\n{CAMERA}{ZONE}")
}

#[test]
fn of_mirrors() {
    let isc = |topic: &str| mirror(&format!("shape = \"hikvision_isc\"\ntopic = \"{topic}\""));
    check(
        "mirrors",
        &[
            ("as it should be", isc("isc/{camera}")),
            ("no shape", mirror("topic = \"isc\"")),
            ("a shape that nobody has", mirror("topic = \"isc\"\nshape = \"hikvision\"")),
            ("an unknown key", mirror("topic = \"isc\"\nshape = \"hikvision_isc\"\nkind = [\"fire_lane\"]")),
            ("a wildcard", isc("isc/+/events")),
            ("an empty level", isc("isc//events")),
            ("a placeholder within a level", isc("isc/events-{camera}")),
            ("an unknown placeholder", isc("isc/{site}")),
            ("in our own tree", isc("gridwatch/v1/hefei/box-1/cameras/gate/incidents/fire_lane")),
            ("in our own tree, perhaps", isc("{kind}/v1/x")),
            ("beside our own tree", isc("gridwatch/isc")),
            (
                "unknown scenarios",
                mirror(
                    "topic = \"isc\"\nshape = \"hikvision_isc\"\nkinds = [\"fire_lane\", \"fire_line\"]\ncodes = { vending = \"131594\" }",
                ),
            ),
            (
                "no code",
                mirror("topic = \"isc\"\nshape = \"hikvision_isc\"\ncodes = { fire_lane = \"event/1\" }"),
            ),
            (
                "a code without quotes",
                mirror("topic = \"isc\"\nshape = \"hikvision_isc\"\ncodes = { fire_lane = 131594 }"),
            ),
            ("a camera without gb_code", mirror("topic = \"gb/{grid}\"\nshape = \"gb28181_alarm\"")),
            (
                "something that stands for it",
                mirror(
                    "topic = \"gb\"\nshape = \"gb28181_alarm\"\nencoding = \"utf-8\"\ndevice_id = \"５１０１０７００００１１９００００００１\"",
                ),
            ),
            (
                "a device_id that is none",
                mirror("topic = \"gb\"\nshape = \"gb28181_alarm\"\ndevice_id = \"5101070000\""),
            ),
            (
                "keys of another shape",
                mirror(
                    "topic = \"isc\"\nshape = \"hikvision_isc\"\nencoding = \"utf-8\"\ndevice_id = \"51010700001190000001\"",
                ),
            ),
            (
                "images without pictures",
                mirror("topic = \"viid\"\nshape = \"gat1400_image\"\ndevice_id = \"51010700001190000001\"")
                    .replace("[[mqtt.mirror]]", "publish_evidence = false\n[[mqtt.mirror]]"),
            ),
            ("single brackets", isc("isc").replace("[[mqtt.mirror]]", "[mqtt.mirror]")),
            ("the same twice", {
                let one = "[[mqtt.mirror]]\ntopic = \"isc\"\nshape = \"hikvision_isc\"\n";
                mirror("topic = \"isc\"\nshape = \"hikvision_isc\"")
                    .replace("[[mqtt.mirror]]", &format!("{one}[[mqtt.mirror]]"))
            }),
            (
                "too many",
                mirror("topic = \"a\"\nshape = \"hikvision_isc\"").replace("\n[[camera]]", &{
                    (0..8)
                        .map(|n| format!("\n[[mqtt.mirror]]\ntopic = \"b{n}\"\nshape = \"hikvision_isc\"\n"))
                        .collect::<String>()
                        + "\n[[camera]]"
                }),
            ),
        ],
    );
}

#[test]
fn of_settings() {
    let rest = format!("{CAMERA}{ZONE}");
    check(
        "settings",
        &[
            (
                "evidence out of range",
                format!("{NODE}[evidence]\njpeg_quality = 300\npre_roll_s = -5\nredact_persons = 1\n{rest}"),
            ),
            (
                "evidence in words",
                format!("{NODE}[evidence]\nbytes_max = \"20 GB\"\nretention_days = 30.5\n{rest}"),
            ),
            ("evidence unknown key", format!("{NODE}[evidence]\nquality = 90\nredact = false\n{rest}")),
            (
                "model that nobody uses",
                format!("{NODE}[models.big]\nfile = \"big.onnx\"\nprovider = \"gpu\"\n{rest}"),
            ),
            ("model without file", format!("{NODE}[models.big]\nthreads = 2\n{rest}")),
            (
                "model file is not there",
                format!("{NODE}[models.big]\nfile = \"big.onnx\"\n{CAMERA}model = \"big\"\n{ZONE}"),
            ),
            ("model provider nearly right", format!("{NODE}[models.street]\nprovider = \"CUDA\"\n{rest}")),
            ("defaults", format!("{NODE}[defaults]\ntransport = \"tpc\"\nstall_s = 1\n{rest}")),
            ("defaults with masks", format!("{NODE}[defaults]\nmasks = []\n{rest}")),
            (
                "city code of an unknown scenario",
                format!("{NODE}[city_codes]\nfire_lanes = \"0510\"\n{rest}"),
            ),
            ("city code is a number", format!("{NODE}[city_codes]\nfire_lane = 0510\n{rest}")),
            ("scenarios_dir is not there", format!("{NODE}scenarios_dir = \"none\"\n{rest}")),
            ("list is not there", format!("{NODE}{rest}[[camera_list]]\nfile = \"none.csv\"\n")),
            (
                "list with unknown keys",
                format!(
                    "{NODE}{rest}[[camera_list]]\nfile = \"none.csv\"\nencoding = \"ansi\"\ncolumns = {{ ulr = \"地址\" }}\n"
                ),
            ),
        ],
    );
}

#[test]
fn of_cameras() {
    let second = "[[camera]]\nid = \"gate\"\nurl = \"rtsp://10.1.2.4/live\"\n";
    let place = |place: &str| {
        format!(
            "[node]\nsite = \"hefei\"\nid = \"box-1\"\ngrid_code_length = 15\n{CAMERA}place = {{ {place} }}\n{ZONE}"
        )
    };
    check(
        "cameras",
        &[
            ("unknown key", camera("transprot = \"udp\"")),
            ("no id", format!("{NODE}[[camera]]\nurl = \"rtsp://10.1.2.3/live\"\n")),
            ("no url", format!("{NODE}[[camera]]\nid = \"gate\"\n{ZONE}")),
            ("empty id", format!("{NODE}[[camera]]\nid = \"\"\nurl = \"rtsp://10.1.2.3/live\"\n")),
            (
                "id with a slash",
                format!("{NODE}[[camera]]\nid = \"../gate\"\nurl = \"rtsp://10.1.2.3/live\"\n"),
            ),
            ("the same id twice", format!("{NODE}{CAMERA}{second}{second}{ZONE}")),
            ("no zone", format!("{NODE}{CAMERA}")),
            ("no model of that name", camera("model = \"streets\"")),
            ("transport", camera("transport = \"UDP\"")),
            ("ring in megabytes", camera("ring_bytes_max = 8")),
            ("not a camera's group", format!("{NODE}[groups.school]\n{CAMERA}group = \"scool\"\n{ZONE}")),
            (
                "its group is wrong",
                format!("{NODE}[groups.school]\nstall = 5\n{CAMERA}group = \"school\"\n{ZONE}"),
            ),
            ("mask", camera("masks = [[[0.0, 0.0], [0.2, 0.2]]]")),
            ("address without scheme", url("10.1.2.3/live")),
            ("address of a web page", url("http://10.1.2.3/live")),
            ("address with TLS", url("rtsps://10.1.2.3/live")),
            ("address without host", url("rtsp:///live")),
            ("address with a bad port", url("rtsp://10.1.2.3:99999/live")),
            ("address with password", url("rtsp://admin:Hik%4012345@10.1.2.3/live")),
            ("address with a slash in the password", url("rtsp://admin:12/34@10.1.2.3/live")),
            ("address with a hash in the password", url("rtsp://admin:ab#34@10.1.2.3/live")),
            (
                "address with the password in its path",
                url("rtsp://10.1.2.3:554/user=admin&password=hunter2&channel=1"),
            ),
            ("password in clear", camera("username = \"admin\"\npassword = \"hunter2\"")),
            ("password without user", camera("password = \"hunter2\"")),
            ("password is a number", camera("username = \"admin\"\npassword = 12345678")),
            (
                "two passwords",
                camera("username = \"admin\"\npassword = \"hunter2\"\npassword_env = \"CAMERA\""),
            ),
            (
                "password variable not set",
                camera("username = \"admin\"\npassword_env = \"GRIDWATCH_TEST_UNSET\""),
            ),
            (
                "password credential elsewhere",
                camera("username = \"admin\"\npassword_credential = \"../../etc/shadow\""),
            ),
            ("misspelt password key", camera("username = \"admin\"\npasword = \"hunter2\"")),
            ("GB code too short", place("gb_code = \"3401040000132\"")),
            ("GB code rounded by a spreadsheet", place("gb_code = \"3.4E+19\"")),
            ("GB code of a monitor", place("gb_code = \"34010400001330000011\"")),
            ("GB code is a number", place("gb_code = 3401040000132")),
            ("grid code", place("grid_code = \"3401040010020\"")),
            ("grid code with letters", place("grid_code = \"34010400100200A\"")),
            ("coordinates without system", place("lon = 117.2, lat = 31.8")),
            ("coordinates swapped", place("lon = 31.8, lat = 117.2, crs = \"wgs84\"")),
            (
                "code of no use in the defaults",
                format!("{NODE}[defaults]\nplace = {{ crs = \"mars\" }}\n{CAMERA}{ZONE}"),
            ),
            ("half a coordinate", place("lon = 117.2, crs = \"wgs84\"")),
            ("unknown system", place("lon = 117.2, lat = 31.8, crs = \"cgs2000\"")),
        ],
    );
}

#[test]
fn of_patrols() {
    // Cameras c-0, c-1, … of group `g`, each with a zone of this scenario.
    let fleet = |patrol: &str, count: usize, scenario: &str| {
        let one = |n: usize| {
            format!("{CAMERA}group = \"g\"\n{ZONE}")
                .replace("gate", &format!("c-{n}"))
                .replace("fire_lane", scenario)
        };
        format!("{NODE}[groups.g.patrol]\n{patrol}\n{}", (0..count).map(one).collect::<String>())
    };
    let lane = |patrol: &str| fleet(patrol, 3, "fire_lane");
    check(
        "patrols",
        &[
            ("right", lane("slots = 2")),
            (
                "everything said",
                lane("slots = 1\ndwell_s = 20\nconnected = \"visits\"\nconnect_ahead_s = 30"),
            ),
            ("no slots", lane("dwell_s = 10")),
            ("out of range", lane("slots = 0\ndwell_s = 0.5\nconnect_ahead_s = 0")),
            ("connected in other words", lane("slots = 2\nconnected = \"visit\"")),
            ("unknown key", lane("slots = 2\ndwel_s = 10")),
            ("not a table", format!("{NODE}[groups.g]\npatrol = 4\n{CAMERA}group = \"g\"\n{ZONE}")),
            ("for all cameras", format!("{NODE}[defaults.patrol]\nslots = 4\n{CAMERA}{ZONE}")),
            ("more slots than cameras", lane("slots = 3")),
            ("thrown objects", fleet("slots = 1", 3, "thrown_object")),
            ("rounds too long to confirm", fleet("slots = 1\ndwell_s = 200", 30, "fire_lane")),
            ("priority out of range", camera("priority = 20")),
        ],
    );
}

#[test]
fn of_zones() {
    let facade =
        |facade: &str| zone(&format!("facade = {{ {facade} }}\n")).replace("fire_lane", "thrown_object");
    check(
        "zones",
        &[
            ("no camera", format!("{NODE}{CAMERA}{ZONE}").replace("camera = \"gate\"\n", "")),
            (
                "unknown camera",
                format!("{NODE}{CAMERA}{ZONE}").replace("camera = \"gate\"", "camera = \"gaet\""),
            ),
            ("both camera and cameras", zone("cameras = [\"gate\"]")),
            ("unknown scenario", format!("{NODE}{CAMERA}{ZONE}").replace("fire_lane", "firelane")),
            ("experimental scenario", format!("{NODE}{CAMERA}{ZONE}").replace("fire_lane", "store_spill")),
            ("unknown key", zone("dwel_s = 300")),
            ("kind is not a zone's matter", zone("kind = \"presence\"")),
            ("number in quotes", zone("dwell_s = \"300\"")),
            ("out of range", zone("dwell_s = -1\nscore_min = 50")),
            ("not a number", zone("dwell_s = nan\ncoverage_min = inf")),
            ("a time", zone("dwell_s = 00:05:00")),
            ("dwell shorter than suspicion", zone("dwell_s = 10")),
            ("key of another rule", zone("points_min = 5\nbeside = [\"person\"]")),
            ("classes in one text", zone("classes = \"car\"")),
            ("nothing to obstruct", zone("classes = []\nany_object = false")),
            (
                "polygon missing",
                format!("{NODE}{CAMERA}[[zone]]\ncamera = \"gate\"\nscenario = \"fire_lane\"\n"),
            ),
            ("polygon of two points", polygon("[[0.1, 0.1], [0.9, 0.9]]")),
            ("polygon in pixels", polygon("[[100, 100], [1800, 100], [1800, 900], [100, 900]]")),
            ("polygon a little outside", polygon("[[0.1, 0.1], [1.05, 0.1], [0.9, 0.9]]")),
            ("polygon crosses itself", polygon("[[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]")),
            ("polygon too small", polygon("[[0.5, 0.5], [0.501, 0.5], [0.501, 0.501]]")),
            ("point of three numbers", polygon("[[0.1, 0.1, 0], [0.9, 0.1], [0.9, 0.9]]")),
            ("point without brackets", polygon("[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]")),
            ("point in quotes", polygon("[[\"0.1\", \"0.1\"], [0.9, 0.1], [0.9, 0.9]]")),
            ("the same id twice", format!("{NODE}{CAMERA}{ZONE}{ZONE}")),
            ("id with Chinese", zone("id = \"东门\"")),
            ("hours: not a list", zone("hours = \"07:00-09:00\"")),
            ("hours: not a time", zone("hours = [\"7-9\", \"07:00-25:00\", \"07:60-08:00\"]")),
            ("hours: not a day", zone("hours = [\"mon-fry 07:00-09:00\", \"周八 07:00-09:00\"]")),
            ("hours: no time", zone("hours = [\"08:00-08:00\", \"\"]")),
            ("hours: empty", zone("hours = []")),
            ("hours: nothing left", zone("hours = [\"07:00-09:00\"]\nnot_hours = [\"06:00-10:00\"]")),
            ("facade without heights", facade("corners = [[0.1, 0.9], [0.9, 0.9], [0.9, 0.1], [0.1, 0.1]]")),
            (
                "facade upside down",
                facade(
                    "corners = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]], top_m = 30, width_m = 20",
                ),
            ),
            (
                "facade of three corners",
                facade("corners = [[0.1, 0.9], [0.9, 0.9], [0.9, 0.1]], top_m = 30, width_m = 20"),
            ),
            (
                "facade below itself",
                facade(
                    "corners = [[0.1, 0.9], [0.9, 0.9], [0.9, 0.1], [0.1, 0.1]], bottom_m = 40, top_m = 30, width_m = 20, floor_m = 0.3",
                ),
            ),
            (
                "facade on a fire lane",
                zone(
                    "facade = { corners = [[0.1, 0.9], [0.9, 0.9], [0.9, 0.1], [0.1, 0.1]], top_m = 30, width_m = 20 }",
                ),
            ),
        ],
    );
}
