//! Who may look: Basic and Digest (RFC 2617), as cameras ask for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use crate::config::Credentials;

/// How a camera asks for the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// The password in base64 (RFC 2617 section 2).
    Basic,
    /// A hash of it, MD5, without `qop` as cameras do it (RFC 2617 section 3, RFC 2069 compatible).
    #[default]
    Digest,
}

const REALM: &str = "gridwatch";

/// What a 401 reply asks for in `WWW-Authenticate`.
pub(super) fn challenge(scheme: Scheme, nonce: &str) -> String {
    match scheme {
        Scheme::Basic => format!("Basic realm=\"{REALM}\""),
        Scheme::Digest => format!("Digest realm=\"{REALM}\", nonce=\"{nonce}\""),
    }
}

/// Whether an `Authorization` header proves the password for this request.
pub(super) fn admits(
    scheme: Scheme,
    credentials: &Credentials,
    nonce: &str,
    method: &str,
    uri: &str,
    authorization: &str,
) -> bool {
    let Some((kind, rest)) = authorization.trim().split_once(' ') else { return false };
    match scheme {
        Scheme::Basic => {
            let expected =
                STANDARD.encode(format!("{}:{}", credentials.username, credentials.password.reveal()));
            kind.eq_ignore_ascii_case("basic") && rest.trim() == expected
        }
        Scheme::Digest => {
            let field = |name: &str| parameter(rest, name).unwrap_or_default();
            kind.eq_ignore_ascii_case("digest")
                && field("username") == credentials.username
                && field("realm") == REALM
                && field("nonce") == nonce
                && field("uri") == uri
                && field("response") == digest_response(credentials, REALM, method, field)
        }
    }
}

/// The `response` that the other fields of a digest must have (RFC 2617 section 3.2.2.1).
fn digest_response<'a>(
    credentials: &Credentials,
    realm: &str,
    method: &str,
    field: impl Fn(&str) -> &'a str,
) -> String {
    let md5 = |text: String| hex::encode(Md5::digest(text));
    let secret = md5(format!("{}:{realm}:{}", credentials.username, credentials.password.reveal()));
    let request = md5(format!("{method}:{}", field("uri")));
    let (nonce, qop) = (field("nonce"), field("qop"));
    if qop.is_empty() {
        return md5(format!("{secret}:{nonce}:{request}"));
    }
    md5(format!("{secret}:{nonce}:{}:{}:{qop}:{request}", field("nc"), field("cnonce")))
}

/// A parameter of an authorization header: `name="value"` or `name=value`, separated by commas.
fn parameter<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim_matches([' ', ',', '\t']);
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.trim());
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn credentials(username: &str, password: &str) -> Credentials {
        Credentials { username: username.into(), password: Secret::new(password) }
    }

    #[test]
    fn the_digest_is_that_of_the_rfc_s_example() {
        // RFC 2617 section 3.5.
        let header = "username=\"Mufasa\", realm=\"testrealm@host.com\", \
            nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, nc=00000001, \
            cnonce=\"0a4f113b\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let field = |name: &str| parameter(header, name).unwrap_or_default();
        let response =
            |password| digest_response(&credentials("Mufasa", password), "testrealm@host.com", "GET", field);
        assert_eq!(response("Circle Of Life"), "6629fae49393a05397450978507c4ef1");
        // The same fields without `qop`: RFC 2069's form, as cameras use it.
        let plain = |name: &str| if name == "qop" { "" } else { field(name) };
        let credentials = credentials("Mufasa", "Circle Of Life");
        assert_eq!(
            digest_response(&credentials, "testrealm@host.com", "GET", plain),
            "670fd8c2df070c60b045671b8b24ff02"
        );
    }

    #[test]
    fn only_the_right_password_for_this_very_request_is_admitted() {
        let right = credentials("admin", "pass:word");
        let uri = "rtsp://127.0.0.1/cam1";
        let digest = |user: &str, password: &str, nonce: &str, method: &str, uri: &str| {
            let head = format!("username=\"{user}\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{uri}\"");
            let field = |name: &str| parameter(&head, name).unwrap_or_default();
            let response = digest_response(&credentials(user, password), REALM, method, field);
            format!("Digest {head}, response=\"{response}\"")
        };
        let check = |scheme, header: &str, expected| {
            assert_eq!(admits(scheme, &right, "n1", "DESCRIBE", uri, header), expected, "{header}");
        };
        // "admin:pass:word" and "admin:" in base64.
        check(Scheme::Basic, "Basic YWRtaW46cGFzczp3b3Jk", true);
        check(Scheme::Basic, "basic  YWRtaW46cGFzczp3b3Jk ", true);
        check(Scheme::Basic, "Basic YWRtaW46", false);
        check(Scheme::Digest, "Basic YWRtaW46cGFzczp3b3Jk", false);
        check(Scheme::Digest, &digest("admin", "pass:word", "n1", "DESCRIBE", uri), true);
        check(Scheme::Digest, &digest("admin", "password", "n1", "DESCRIBE", uri), false);
        check(Scheme::Digest, &digest("root", "pass:word", "n1", "DESCRIBE", uri), false);
        check(Scheme::Digest, &digest("admin", "pass:word", "n2", "DESCRIBE", uri), false);
        check(Scheme::Digest, &digest("admin", "pass:word", "n1", "PLAY", uri), false);
        check(
            Scheme::Digest,
            &digest("admin", "pass:word", "n1", "DESCRIBE", "rtsp://127.0.0.1/cam2"),
            false,
        );
        for garbage in ["", "Digest", "Digest ", "Digest username", "Digest username=\"", "Digest ===,,,"] {
            check(Scheme::Digest, garbage, false);
        }
    }
}
