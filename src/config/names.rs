//! Names that become parts of MQTT topics and file names.

use super::item::Item;

/// Longest id: it must fit a file name with a date and an ending.
const ID_CHARS_MAX: usize = 64;

/// Why a text cannot be an id, if so.
pub(super) fn id_error(id: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if let Some(odd) = id.chars().find(|&c| !allowed(c)) {
        let shown = if odd == ' ' { "a space".to_owned() } else { format!("`{}`", odd.escape_debug()) };
        return Some(format!("contains {shown}"));
    }
    if !id.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Some("does not begin with a letter or a digit".to_owned());
    }
    (id.len() > ID_CHARS_MAX).then(|| format!("is longer than {ID_CHARS_MAX} characters"))
}

/// Notes an error unless the text may be an id.
pub(super) fn check_id(item: &mut Item, pointer: &str, id: &str) {
    if let Some(error) = id_error(id) {
        let key = pointer.trim_start_matches('/');
        let hint = "ids are part of topics and file names: only A-Z a-z 0-9 - _ . ; put Chinese into `name`";
        item.error(pointer, format!("`{key}` {error}"), hint.to_owned());
    }
}

/// Full-width letters, digits, punctuation and spaces as ASCII, without surrounding spaces: what Chinese input methods and Excel leave in codes.
pub(super) fn half_width(text: &str) -> String {
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{3000}' | '\u{a0}' => ' ',
        _ => c,
    };
    let invisible = |c: &char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{feff}');
    text.chars().filter(|c| !invisible(c)).map(narrow).collect::<String>().trim().to_owned()
}
