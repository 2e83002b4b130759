//! Where a camera stands: codes and coordinates of the city.

use serde_json::Value;

use super::camera::layer_with;
use super::item::Item;
use super::names::half_width;
use super::problem::nearest;

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

const CRS: [&str; 5] = ["cgcs2000", "wgs84", "gcj02", "bd09", "local"];

/// Checks and tidies the codes of one layer's `place`; wrong ones are noted and taken out, so that no other layer inherits them.
pub(super) fn check_codes(item: &mut Item, grid_code_length: Option<usize>) {
    for (key, check) in [("gb_code", check_gb_code as fn(&mut Item, &str)), ("crs", check_crs)] {
        check_code(item, key, check);
    }
    check_code(item, "grid_code", |item, code| check_grid_code(item, code, grid_code_length));
}

fn check_code(item: &mut Item, key: &str, check: impl Fn(&mut Item, &str)) {
    let place =
        |item: &mut Item| item.json.get_mut("place").and_then(Value::as_object_mut).map(std::mem::take);
    let Some(mut table) = place(item) else { return };
    if let Some(Value::String(written)) = table.remove(key) {
        let code = if key == "crs" { half_width(&written).to_lowercase() } else { half_width(&written) };
        let noted = item.errors();
        check(item, &code);
        if item.errors() == noted {
            table.insert(key.to_owned(), code.into());
        }
    }
    item.json.insert("place".to_owned(), table.into());
}

fn check_gb_code(item: &mut Item, code: &str) {
    if code.len() != 20 || !is_digits(code) {
        let message = format!("`gb_code` must be 20 digits (GB/T 28181), not {}", counted(code));
        let rounded = "a spreadsheet has rounded it: format the column as text and enter the code again";
        let hint = code.contains(['E', 'e', '+']).then(|| rounded.to_owned());
        item.error("/place/gb_code", message, hint);
    } else if !matches!(&code[10..13], "131" | "132") {
        let hint = "digits 11 to 13 say what a device is: 131 and 132 are cameras (GB/T 28181)".to_owned();
        item.warn("/place/gb_code", "`gb_code` is not that of a camera", hint);
    }
}

fn check_grid_code(item: &mut Item, code: &str, length: Option<usize>) {
    if code.is_empty() || !is_digits(code) {
        item.error("/place/grid_code", format!("`grid_code` must be digits, not {}", counted(code)), None);
    } else if let Some(length) = length.filter(|length| *length != code.len()) {
        let message =
            format!("`grid_code` must be {length} digits (`grid_code_length`), not {}", counted(code));
        item.error("/place/grid_code", message, None);
    }
}

fn check_crs(item: &mut Item, crs: &str) {
    if !CRS.contains(&crs) {
        let message = format!("`crs` must be one of {}", CRS.join(", "));
        let hint = nearest(crs, CRS).map(|near| format!("did you mean `{near}`?"));
        item.error("/place/crs", message, hint);
    }
}

/// Checks the coordinates that camera, group and defaults give together.
pub(super) fn check_coordinates(place: &Place, layers: &mut [&mut Item]) {
    let mut error = |pointer: &str, message: &str, hint: Option<String>| {
        layer_with(layers, pointer).error(pointer, message, hint);
    };
    match (place.lon, place.lat) {
        (None, None) => {}
        (Some(_), None) => error("/place/lon", "`lon` without `lat`", None),
        (None, Some(_)) => error("/place/lat", "`lat` without `lon`", None),
        (Some(_), Some(_)) if place.crs.is_none() => {
            let hint = format!("one of {}: maps disagree by hundreds of metres", CRS.join(", "));
            error("/place/lon", "`lon` and `lat` without `crs`", Some(hint));
        }
        // A local system has ranges of its own.
        (Some(_), Some(_)) if place.crs.as_deref() == Some("local") => {}
        (Some(lon), Some(lat)) => {
            if lat.abs() > 90.0 {
                let hint = (lon.abs() <= 90.0).then(|| "are `lon` and `lat` swapped?".to_owned());
                error("/place/lat", &format!("`lat` is {lat}; it must be from -90 to 90 degrees"), hint);
            }
            if lon.abs() > 180.0 {
                error("/place/lon", &format!("`lon` is {lon}; it must be from -180 to 180 degrees"), None);
            }
        }
    }
}

pub(super) fn is_digits(code: &str) -> bool {
    code.bytes().all(|b| b.is_ascii_digit())
}

fn counted(code: &str) -> String {
    match code.chars().filter(|c| !c.is_ascii_digit()).count() {
        0 => format!("{} digits", code.len()),
        odd => format!("{} characters with {odd} that are no digits", code.chars().count()),
    }
}
