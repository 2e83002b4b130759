//! A camera's stream address, and the passwords that people put into it.

use super::item::Item;
use super::secret::PasswordKeys;

/// The stream's address without user and password, which move to `login`. Messages never repeat the address.
pub(super) fn take_address(item: &mut Item, text: &str, login: &mut PasswordKeys) -> Option<url::Url> {
    let like = || "as in `url = \"rtsp://10.1.2.3/Streaming/Channels/102\"`".to_owned();
    let mut url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            item.error("/url", "`url` does not begin with `rtsp://`", like());
            return None;
        }
        Err(error) => {
            let hint = if text.contains('@') {
                "special characters of a password confuse the address: move it to `username` and `password_file`"
                    .to_owned()
            } else {
                like()
            };
            item.error("/url", format!("`url` is not an address: {error}"), hint);
            return None;
        }
    };
    if url.scheme() != "rtsp" {
        let scheme = url.scheme().to_owned();
        // An unknown scheme may be the beginning of anything, a user name included.
        let known =
            ["rtsps", "rtmp", "http", "https", "file", "udp", "rtp", "srt", "ws"].contains(&scheme.as_str());
        let message = if known {
            format!("`{scheme}://` is not supported")
        } else {
            "`url` does not begin with `rtsp://`".to_owned()
        };
        item.error("/url", message, like());
        return None;
    }
    if url.host_str().is_none_or(str::is_empty) {
        item.error("/url", "`url` names no host", like());
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        let hint =
            "move them to `username` and `password_file`; until then they are taken out of the address"
                .to_owned();
        item.warn("/url", "`url` contains a user name and password", hint);
        if !url.username().is_empty() {
            login.username = Some(percent_decoded(url.username()));
        }
        if let Some(password) = url.password() {
            *login = PasswordKeys::inline(login.username.take(), percent_decoded(password));
        }
        // Both succeed for an address with a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    } else if url.as_str().contains('@') {
        let hint = "move a password with `/`, `?` or `#` to `username` and `password_file`; an `@` of the path itself is written `%40`";
        item.error("/url", "`url` has an `@` after the host", hint.to_owned());
        return None;
    }
    if redacted(&url) != url.as_str() {
        let hint =
            "gridwatch hides it in its own messages; the camera's maker decides whether it can be moved"
                .to_owned();
        item.warn("/url", "`url` contains a password in its path", hint);
    }
    Some(url)
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let byte = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        out.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// How makers who know no other place for a password name it there (`/user=admin_password=…`).
const PASSWORD_NAMES: [&str; 4] = ["password=", "passwd=", "pwd=", "pass="];

/// The address with passwords in path or query replaced.
pub(super) fn redacted(url: &url::Url) -> String {
    let mut text = url.as_str().to_owned();
    each_password(url.as_str(), |range| text.replace_range(range, "***"));
    text
}

/// The passwords in path or query, as they stand there and decoded.
pub(super) fn passwords(url: &url::Url) -> Vec<String> {
    let mut found = Vec::new();
    each_password(url.as_str(), |range| {
        let written = &url.as_str()[range];
        found.extend([written.to_owned(), percent_decoded(written)]);
    });
    found
}

/// Where passwords stand in an address; the last first.
fn each_password(address: &str, mut take: impl FnMut(std::ops::Range<usize>)) {
    let lower = address.to_ascii_lowercase();
    let mut ranges: Vec<_> = PASSWORD_NAMES
        .iter()
        .flat_map(|name| lower.match_indices(name).map(|(at, _)| at + name.len()))
        .map(|start| start..start + lower[start..].find(['&', '/', '?', '#']).unwrap_or(lower.len() - start))
        .collect();
    ranges.sort_by_key(|range| std::cmp::Reverse(range.start));
    // Of one within another, the outer goes.
    let outer = |range: &std::ops::Range<usize>| {
        !ranges.iter().any(|other| other.start < range.start && range.start < other.end)
    };
    ranges.iter().filter(|range| outer(range)).cloned().for_each(&mut take);
}

/// The text with every one of the secrets replaced, however its letters are written.
pub(super) fn without(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.chars().count() >= SECRET_CHARS_MIN) {
        let secret = secret.to_ascii_lowercase();
        let lower = text.to_ascii_lowercase();
        let found: Vec<usize> = lower.match_indices(&secret).map(|(at, _)| at).collect();
        for at in found.into_iter().rev() {
            text.replace_range(at..at + secret.len(), "***");
        }
    }
    text
}

/// Shorter passwords are parts of other words, and to hide them there would tell what they are.
const SECRET_CHARS_MIN: usize = 4;
