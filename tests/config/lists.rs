//! Lists of cameras as spreadsheets and video platforms export them.

use gridwatch::config::Transport;

use crate::{NODE, Site};

const LIST: &str = "[[camera_list]]\nfile = \"cameras.csv\"\n";

fn site(table: &str, csv: &[u8]) -> Site {
    Site::new(&[("gridwatch.toml", format!("{NODE}{table}").as_bytes()), ("cameras.csv", csv)])
}

fn gb18030(text: &str) -> Vec<u8> {
    encoding_rs::GB18030.encode(text).0.into_owned()
}

#[test]
fn every_export_gives_the_same_cameras() {
    let rows = |separator: &str, end: &str| {
        let row = |fields: [&str; 5]| fields.join(separator) + end;
        row(["编号", "点位名称", "取流地址", "国标编码", "安装地址"])
            + end
            + &row([
                "c-1",
                "东门",
                "rtsp://10.0.0.1/a",
                "34010400001320000011",
                "\"学府路, 18 号; \"\"东\"\"\"",
            ])
            + &row([
                "ｃ－２　",
                " 西门",
                "rtsp://10.0.0.2/a",
                "３４０１０４００００１３２０００００１２",
                "\"两行\n地址\"",
            ])
            + &separator.repeat(4)
            + end
            + &row(["c-3", "", "rtsp://10.0.0.3/a", "", ""])
    };
    let plain = rows(",", "\n");
    let utf16: Vec<u8> = "\u{feff}"
        .chars()
        .chain(rows("\t", "\r\n").chars())
        .collect::<String>()
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let cases: [(&str, &str, Vec<u8>); 9] = [
        ("UTF-8", LIST, plain.clone().into_bytes()),
        ("UTF-8 with BOM", LIST, format!("\u{feff}{plain}").into_bytes()),
        ("Windows line ends", LIST, rows(",", "\r\n").into_bytes()),
        ("semicolons", LIST, rows(";", "\n").into_bytes()),
        ("tabs", LIST, rows("\t", "\n").into_bytes()),
        ("sep= of Excel", LIST, format!("sep=;\r\n{}", rows(";", "\r\n")).into_bytes()),
        ("GBK, detected", LIST, gb18030(&plain)),
        ("GBK, said", "[[camera_list]]\nfile = \"cameras.csv\"\nencoding = \"gbk\"\n", gb18030(&plain)),
        ("UTF-16 with tabs", LIST, utf16),
    ];
    for (title, table, csv) in cases {
        let loaded = site(table, &csv).load().unwrap();
        let seen: Vec<_> = loaded
            .config
            .cameras
            .iter()
            .map(|c| (c.id.as_str(), c.name.as_str(), c.place.gb_code.as_deref(), c.place.address.as_deref()))
            .collect();
        let wanted = [
            ("c-1", "东门", Some("34010400001320000011"), Some("学府路, 18 号; \"东\"")),
            ("c-2", "西门", Some("34010400001320000012"), Some("两行\n地址")),
            ("c-3", "c-3", None, None),
        ];
        let wanted = wanted.map(|(id, name, code, address)| {
            (id, name, code, address.map(|a| if a.contains('\n') { "两行\n地址" } else { a }))
        });
        let flat = |list: &[(&str, &str, Option<&str>, Option<&str>)]| format!("{list:?}").replace("\\r", "");
        assert_eq!(flat(&seen), flat(&wanted), "{title}");
        assert!(
            loaded.problems.iter().all(|p| p.message.starts_with("no zone")),
            "{title}: {:?}",
            loaded.problems
        );
    }
}

#[test]
fn every_column_is_taken() {
    let csv = "Camera_ID,名称(必填),RTSP URL,分组,GB28181编码,网格编码,安装位置,责任单位,坐标系,经度,纬度,模型,传输方式,用户名,密码\n\
               c-1,东门,rtsp://10.0.0.1/a,school,34010400001320000011,340104001002003,学府路,城管中队,WGS84,117.2,31.8,street,UDP,viewer,hunter2\n";
    let loaded = site(LIST, csv.as_bytes()).load().unwrap();
    let camera = &loaded.config.cameras[0];
    assert_eq!(
        (camera.id.as_str(), camera.name.as_str(), camera.url.as_str()),
        ("c-1", "东门", "rtsp://10.0.0.1/a")
    );
    assert_eq!(
        (camera.group.as_deref(), camera.transport, camera.model.as_str()),
        (Some("school"), Transport::Udp, "street")
    );
    let place = &camera.place;
    assert_eq!((place.crs.as_deref(), place.lon, place.lat), (Some("wgs84"), Some(117.2), Some(31.8)));
    assert_eq!(
        (place.grid_code.as_deref(), place.duty.as_deref()),
        (Some("340104001002003"), Some("城管中队"))
    );
    assert_eq!(camera.credentials.as_ref().unwrap().password.reveal(), "hunter2");
}

#[test]
fn columns_may_be_named_and_the_code_may_be_the_id() {
    let table = "[[camera_list]]\nfile = \"cameras.csv\"\ngroup = \"g\"\ncolumns = { url = \"主码流\", name = \"别名\" }\n[groups.g]\nstall_s = 30\n";
    let csv = "国标编码,名称,别名,主码流,子码流\n34010400001320000011,甲,乙,rtsp://10.0.0.1/main,rtsp://10.0.0.1/sub\n";
    let loaded = site(table, csv.as_bytes()).load().unwrap();
    let camera = &loaded.config.cameras[0];
    assert_eq!((camera.id.as_str(), camera.name.as_str()), ("34010400001320000011", "乙"));
    assert_eq!((camera.url.path(), camera.stall_s), ("/main", 30.0));
}

#[test]
fn mistakes() {
    let table = |more: &str| format!("{LIST}{more}");
    let cases: [(&str, String, Vec<u8>); 15] = [
        ("an empty list", table(""), b" \n\n".to_vec()),
        ("a column that is not there", table("columns = { url = \"主码流地址\" }\n"), "编号,取流\nc-1,rtsp://10.0.0.1/a\n".into()),
        ("no addresses", table(""), "编号,名称\nc-1,东门\n".into()),
        ("two columns of addresses", table(""), "编号,url,取流地址\nc-1,rtsp://10.0.0.1/a,rtsp://10.0.0.1/b\n".into()),
        ("two columns of names", table(""), "编号,url,名称,点位名称\nc-1,rtsp://10.0.0.1/a,甲,乙\n".into()),
        (
            "one bad row among good ones",
            table(""),
            "编号,取流地址,经度,纬度,坐标系\nc-1,rtsp://10.0.0.1/a,,,\nc-2,http://10.0.0.2/a,,,\nc-3,rtsp://10.0.0.3/a,东经117,31.8,wgs84\nc 4,rtsp://10.0.0.4/a,,,\n,rtsp://10.0.0.5/a,,,\nc-6,,,,\nc-7,rtsp://10.0.0.7/a,117.2,31.8,wgs84\n".into(),
        ),
        ("the same id twice", table(""), "编号,取流地址\nc-1,rtsp://10.0.0.1/a\nc-1,rtsp://10.0.0.2/a\n".into()),
        ("a comma in an address", table(""), "编号,取流地址,地址\nc-1,rtsp://10.0.0.1/a,学府路,18 号\nc-2,rtsp://10.0.0.2/a,学府路\n".into()),
        ("a quote that is not closed", table(""), "编号,取流地址,地址\nc-1,rtsp://10.0.0.1/a,\"学府路\nc-2,rtsp://10.0.0.2/a,学府路\nc-3,rtsp://10.0.0.3/a,学府路\n".into()),
        ("text behind a quote", table(""), "编号,取流地址,地址\nc-1,rtsp://10.0.0.1/a,\"学府\"路\nc-2,rtsp://10.0.0.2/a,\"学府路\"\n".into()),
        ("a wrong encoding", table("encoding = \"utf-8\"\n"), gb18030("编号,取流地址,名称\nc-1,rtsp://10.0.0.1/a,东门\n")),
        ("bytes that are no text", table(""), [&b"id,url,name\nc-1,rtsp://10.0.0.1/a,\xff\xff\nc-2,rtsp://10.0.0.2/a,\xb6\xab\xc3\xc5\n"[..]].concat()),
        ("codes rounded by a spreadsheet", table(""), "编号,取流地址,国标编码\nc-1,rtsp://10.0.0.1/a,3.40104E+19\n".into()),
        ("passwords in all addresses", table(""), "编号,取流地址\nc-1,rtsp://u:hunter2@10.0.0.1/a\nc-2,rtsp://u:hunter2@10.0.0.2/a\nc-3,rtsp://u:hunter2@10.0.0.3/a\n".into()),
        ("passwords in a column", table(""), "编号,取流地址,用户名,密码\nc-1,rtsp://10.0.0.1/a,u,hunter2\nc-2,rtsp://10.0.0.2/a,u,hunter2\n".into()),
    ];
    let reports: Vec<String> = cases
        .iter()
        .map(|(title, table, csv)| format!("## {title}\n{}\n", site(table, csv).report()))
        .collect();
    insta::assert_snapshot!("lists", reports.join("\n"));
}
