//! `[[camera_list]]`: cameras as rows of a CSV file, exported from a spreadsheet or a video platform.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use encoding_rs::{Encoding as Charset, GB18030, GBK, UTF_8};
use serde_json::{Value, json};

use super::csv::{self, Row};
use super::item::Item;
use super::names::half_width;
use super::problem::{Severity, nearest};
use super::source::{Source, read_bytes, why};

/// How a CSV file is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    /// UTF-8 if it is that, else GB 18030.
    #[default]
    Auto,
    /// UTF-8.
    #[serde(rename = "utf-8")]
    Utf8,
    /// GBK, as Chinese Excel saves CSV.
    Gbk,
    /// GB 18030, which contains GBK.
    Gb18030,
}

/// `[[camera_list]]` as the operator writes it.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct CameraListTable {
    /// The CSV file, relative to this file; separated by commas, semicolons or tabs, the first row names the columns.
    pub file: PathBuf,
    /// Its encoding: `auto`, `utf-8`, `gbk` or `gb18030`.
    #[serde(default)]
    pub encoding: Encoding,
    /// The group of every row that names none itself.
    pub group: Option<String>,
    /// The file's names of columns, where they are not recognised by themselves.
    #[serde(default)]
    #[schemars(schema_with = "columns_schema")]
    pub columns: BTreeMap<Column, String>,
}

/// What a column may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Column {
    /// The camera's id; without it the GB/T 28181 code is the id.
    Id,
    /// Its name for people.
    Name,
    /// Its stream.
    Url,
    /// Its group.
    Group,
    /// Its GB/T 28181 code.
    GbCode,
    /// Its grid cell.
    GridCode,
    /// Its address in words.
    Address,
    /// The department on duty.
    Duty,
    /// The coordinates' reference system.
    Crs,
    /// Longitude.
    Lon,
    /// Latitude.
    Lat,
    /// Its model.
    Model,
    /// `tcp` or `udp`.
    Transport,
    /// Its priority in a patrol.
    Priority,
    /// User name.
    Username,
    /// Password.
    Password,
}

/// Each column: where its value belongs in a camera's table, and the headers by which it is known.
const COLUMNS: [(Column, &str, &[&str]); 16] = [
    (
        Column::Id,
        "/id",
        &[
            "id",
            "cameraid",
            "编号",
            "摄像机编号",
            "摄像头编号",
            "点位编号",
            "设备编号",
            "相机编号",
            "监控编号",
        ],
    ),
    (
        Column::Name,
        "/name",
        &[
            "name",
            "cameraname",
            "名称",
            "点位名称",
            "摄像机名称",
            "摄像头名称",
            "设备名称",
            "监控名称",
            "通道名称",
            "点位",
        ],
    ),
    (
        Column::Url,
        "/url",
        &[
            "url",
            "rtsp",
            "rtspurl",
            "rtsp地址",
            "取流地址",
            "视频地址",
            "流地址",
            "视频流地址",
            "码流地址",
            "拉流地址",
            "取流url",
        ],
    ),
    (Column::Group, "/group", &["group", "分组", "组", "组别", "所属分组"]),
    (
        Column::GbCode,
        "/place/gb_code",
        &[
            "gbcode",
            "gbid",
            "gb28181",
            "国标编码",
            "国标id",
            "国标编号",
            "设备国标编码",
            "通道国标编码",
            "gb28181编码",
        ],
    ),
    (
        Column::GridCode,
        "/place/grid_code",
        &["gridcode", "grid", "网格编码", "网格编号", "网格代码", "所属网格编码"],
    ),
    (
        Column::Address,
        "/place/address",
        &["address", "地址", "安装地址", "安装位置", "位置", "详细地址", "地点"],
    ),
    (
        Column::Duty,
        "/place/duty",
        &["duty", "department", "责任单位", "责任部门", "管辖单位", "所属单位", "所属部门"],
    ),
    (Column::Crs, "/place/crs", &["crs", "坐标系", "坐标系统"]),
    (Column::Lon, "/place/lon", &["lon", "lng", "longitude", "经度"]),
    (Column::Lat, "/place/lat", &["lat", "latitude", "纬度"]),
    (Column::Model, "/model", &["model", "模型"]),
    (Column::Transport, "/transport", &["transport", "传输方式", "传输协议"]),
    (Column::Priority, "/priority", &["priority", "优先级", "巡检优先级"]),
    (Column::Username, "/username", &["username", "user", "用户名", "账号", "登录名"]),
    (Column::Password, "/password", &["password", "密码", "口令"]),
];

fn columns_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let described = COLUMNS.map(|(_, pointer, known)| {
        let also = known.join("`, `");
        (
            key_of(pointer).to_owned(),
            json!({"type": "string", "description": format!("Its header, if it is none of `{also}`.")}),
        )
    });
    let properties: serde_json::Map<String, Value> = described.into_iter().collect();
    schemars::json_schema!({"type": "object", "properties": properties})
}

/// The last part of a pointer, which is the key in `columns` too.
fn key_of(pointer: &'static str) -> &'static str {
    pointer.rsplit('/').next().unwrap_or_default()
}

impl CameraListTable {
    /// Reads the list: one item per row, the file itself, and what is wrong with the list as a whole (noted in `item`).
    pub fn read(
        &self,
        item: &mut Item,
        dir: &std::path::Path,
        camera_schema: &Value,
    ) -> (Vec<Item>, Option<Arc<Source>>) {
        let path = dir.join(&self.file);
        let bytes = match read_bytes(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message =
                    format!("cannot read the list of cameras `{}`: {}", self.file.display(), why(&error));
                item.error("/file", message, "the path is relative to the config file".to_owned());
                return (Vec::new(), None);
            }
        };
        let source = Arc::new(Source::new(path, decode(&bytes, self.encoding)));
        let mut rows: std::collections::VecDeque<Row> = csv::rows(&source.text, csv::separator(&source.text))
            .into_iter()
            .filter(|row| !row.is_blank())
            .collect();
        if rows.front().is_some_and(|row| source.text[row.at.clone()].starts_with("sep=")) {
            rows.pop_front();
        }
        let Some(header) = rows.pop_front() else {
            item.problems.push(source.problem(
                &(0..0),
                Severity::Error,
                "the list of cameras is empty",
                None,
            ));
            return (Vec::new(), Some(source));
        };
        let noted = item.problems.len();
        let columns = self.recognise(item, &source, &header);
        if !columns.iter().any(|(_, pointer)| *pointer == "/url") && item.problems.len() == noted {
            let message = "no column holds the stream addresses";
            let hint =
                "name it `取流地址` or `url`, or say which it is: `columns = { url = \"…\" }`".to_owned();
            item.problems.push(source.problem(&header.at, Severity::Error, message, Some(hint)));
        }
        if item.failed() {
            return (Vec::new(), Some(source));
        }
        let read = |row: &Row| self.row(&source, row, header.fields.len(), &columns, camera_schema);
        let items = rows.iter().map(read).collect();
        (items, Some(source))
    }

    /// Which column of the file goes where.
    fn recognise(&self, item: &mut Item, source: &Source, header: &Row) -> Vec<(usize, &'static str)> {
        if let Some(odd) = header.fields.iter().find(|field| field.text.contains('\u{fffd}')) {
            let hint = "leave `encoding` out, or save the file as UTF-8".to_owned();
            let message = "this header has characters that cannot be read";
            item.problems.push(source.problem(&odd.at, Severity::Error, message, Some(hint)));
            return Vec::new();
        }
        let headers: Vec<String> = header.fields.iter().map(|field| plain_header(&field.text)).collect();
        let mut columns: Vec<(usize, &'static str)> = Vec::new();
        for (column, pointer, known) in COLUMNS {
            let named = self.columns.get(&column);
            let found: Vec<usize> = match named {
                Some(name) => positions(&headers, &[plain_header(name).as_str()]),
                None => positions(&headers, known),
            };
            match (&found[..], named) {
                ([only], _) => columns.push((*only, pointer)),
                ([], Some(name)) => {
                    let hint = nearest(&plain_header(name), headers.iter().map(String::as_str))
                        .map(|near| format!("did you mean `{near}`?"));
                    let key = key_of(pointer);
                    item.error(&format!("/columns/{key}"), format!("the list has no column `{name}`"), hint);
                }
                ([], None) => {}
                ([first, second, ..], _) => {
                    let (a, b) = (&header.fields[*first].text, &header.fields[*second]);
                    let key = key_of(pointer);
                    let hint = format!("say which one: `columns = {{ {key} = \"{a}\" }}`");
                    let (severity, message) = if matches!(column, Column::Id | Column::Url) {
                        (Severity::Error, format!("columns `{a}` and `{}` could both be meant", b.text))
                    } else {
                        columns.push((*first, pointer));
                        (Severity::Warning, format!("column `{a}` is taken, `{}` is not", b.text))
                    };
                    item.problems.push(source.problem(&b.at, severity, message, Some(hint)));
                }
            }
        }
        columns
    }

    fn row(
        &self,
        source: &Arc<Source>,
        row: &Row,
        width: usize,
        columns: &[(usize, &'static str)],
        camera_schema: &Value,
    ) -> Item {
        let mut item = Item::new(source, "this row", row.at.clone());
        for &(index, pointer) in columns {
            let Some(field) = row.fields.get(index) else { continue };
            let text = match pointer {
                "/password" => field.text.trim().to_owned(),
                _ => half_width(&field.text),
            };
            if text.contains('\u{fffd}') {
                let hint = "save the file as UTF-8, or say its `encoding`".to_owned();
                item.insert(pointer, Value::Null, field.at.clone());
                item.error(pointer, "this field has characters that cannot be read", hint);
            } else if !text.is_empty() {
                item.insert_text(pointer, &text, field.at.clone(), camera_schema);
            }
        }
        // A spreadsheet's code column is a better id than none.
        if !item.has("/id")
            && let Some(code) = item.json.get("place").and_then(|place| place.get("gb_code")).cloned()
        {
            let at = item.place("/place/gb_code");
            item.insert("/id", code, at);
        }
        if let Some(group) = &self.group
            && !item.has("/group")
        {
            item.json.insert("group".to_owned(), group.clone().into());
        }
        for (pointer, what) in [("/id", "id"), ("/url", "stream address")] {
            if !item.has(pointer) {
                item.error("", format!("this row has no {what}"), None);
            }
        }
        if row.broken {
            item.error("", "the quotation marks in this row do not match", None);
        } else if let Some(extra) =
            row.fields.get(width..).and_then(|more| more.iter().find(|f| !f.text.trim().is_empty()))
        {
            let message = format!("this row has {} fields, the header has {width}", row.fields.len());
            let hint = "a separator inside a text? put the text in double quotes".to_owned();
            let problem = source.problem(&extra.at, Severity::Error, message, Some(hint));
            item.problems.push(problem);
        }
        item
    }
}

fn positions(headers: &[String], known: &[&str]) -> Vec<usize> {
    (0..headers.len()).filter(|&index| known.contains(&headers[index].as_str())).collect()
}

/// A header without what differs between exports: case, width, spaces, `_`, `-`, and a remark in brackets.
fn plain_header(text: &str) -> String {
    let text = half_width(text).to_lowercase();
    let text = text.split('(').next().unwrap_or_default();
    text.chars().filter(|c| !c.is_whitespace() && !"_-*:".contains(*c)).collect()
}

/// The text; bytes that cannot be read become U+FFFD, which the rows then report.
fn decode(bytes: &[u8], encoding: Encoding) -> String {
    let charset: &'static Charset = match encoding {
        Encoding::Utf8 => UTF_8,
        Encoding::Gbk => GBK,
        Encoding::Gb18030 => GB18030,
        Encoding::Auto => match Charset::for_bom(bytes) {
            Some((charset, _)) => charset,
            None if std::str::from_utf8(bytes).is_ok() => UTF_8,
            None => GB18030,
        },
    };
    charset.decode(bytes).0.into_owned()
}
