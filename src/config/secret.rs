//! Passwords: where they come from, and a type that cannot be printed by accident.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Credentials;
use super::item::Item;

/// A password or token: `Debug` shows `***`, there is no `Display`, and serde never writes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps the text secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that must send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A user name and one of four ways to its password.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
pub(super) struct PasswordKeys {
    /// User name.
    pub username: Option<String>,
    /// The password itself; works, but whoever may read the config knows it: prefer one of the three below.
    pub password: Option<String>,
    /// File that holds nothing but the password, relative to this file.
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds the password.
    pub password_env: Option<String>,
    /// Name of a systemd credential (`LoadCredential=NAME:…`), read from `$CREDENTIALS_DIRECTORY/NAME`.
    pub password_credential: Option<String>,
}

impl fmt::Debug for PasswordKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordKeys({:?})", self.username)
    }
}

/// The keys of [`PasswordKeys`] that give a password: one layer's replace those of the layers below together.
pub(super) const PASSWORD_KEYS: [&str; 4] =
    ["password", "password_file", "password_env", "password_credential"];

/// Longest password that is read from a file; more is the wrong file.
const PASSWORD_BYTES_MAX: usize = 4096;

impl PasswordKeys {
    /// What an address contained.
    pub fn inline(username: Option<String>, password: String) -> Self {
        Self { username, password: Some(password), ..Self::default() }
    }

    /// User name with password; problems are noted in the layer that holds the key, the first layer being the topmost.
    pub fn resolve(&self, layers: &mut [&mut Item], dir: &Path) -> Option<Credentials> {
        let given: Vec<&str> = PASSWORD_KEYS.into_iter().filter(|key| self.gives(key)).collect();
        let Some(&key) = given.first() else {
            if self.username.is_some() {
                let hint = "add `password_file`, `password_env` or `password_credential`".to_owned();
                layer_of(layers, "username").error("/username", "`username` without a password", hint);
            }
            return None;
        };
        let item = layer_of(layers, key);
        let pointer = format!("/{key}");
        if let [_, second, ..] = given[..] {
            let message = format!("`{key}` and `{second}` both give the password");
            item.error(&pointer, message, "keep one of them".to_owned());
            return None;
        }
        let Some(username) = self.username.clone() else {
            item.error(&pointer, "a password without `username`", None);
            return None;
        };
        match self.read(dir) {
            Ok(password) => {
                // One that came with the address has been remarked on there.
                if item.json.contains_key("password") {
                    let hint = "put it into a file of its own and write `password_file = \"…\"`".to_owned();
                    item.warn(
                        &pointer,
                        "the password stands in the config for everyone who may read it",
                        hint,
                    );
                }
                Some(Credentials { username, password: Secret::new(password) })
            }
            Err(why) => {
                item.error(&pointer, why, None);
                None
            }
        }
    }

    fn gives(&self, key: &str) -> bool {
        match key {
            "password" => self.password.is_some(),
            "password_file" => self.password_file.is_some(),
            "password_env" => self.password_env.is_some(),
            _ => self.password_credential.is_some(),
        }
    }

    fn read(&self, dir: &Path) -> Result<String, String> {
        if let Some(file) = &self.password_file {
            return read_file(&dir.join(file), "password");
        }
        if let Some(variable) = &self.password_env {
            let unset = |_| format!("the environment variable `{variable}` is not set");
            return std::env::var(variable).map_err(unset).and_then(not_empty);
        }
        if let Some(name) = &self.password_credential {
            if name.contains('/') || name.starts_with('.') {
                return Err(format!("`{name}` is not the name of a credential"));
            }
            let Some(credentials) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
                return Err("there is no `$CREDENTIALS_DIRECTORY`: systemd gives it to services with `LoadCredential=`".to_owned());
            };
            return read_file(&Path::new(&credentials).join(name), "password");
        }
        not_empty(self.password.clone().unwrap_or_default())
    }
}

fn layer_of<'a>(layers: &'a mut [&mut Item], key: &str) -> &'a mut Item {
    let index = layers.iter().position(|item| item.json.contains_key(key)).unwrap_or(0);
    layers[index]
}

/// The text of a file that holds nothing but a secret, `what`; without the end of its line.
pub(super) fn read_file(path: &Path, what: &str) -> Result<String, String> {
    let shown = path.display();
    let bytes = super::source::read_bytes(path)
        .map_err(|e| format!("cannot read the {what} in `{shown}`: {}", super::source::why(&e)))?;
    if bytes.len() > PASSWORD_BYTES_MAX {
        return Err(format!("`{shown}` is too large to be a {what}"));
    }
    let text =
        super::source::utf8(&bytes).map_err(|_| format!("the {what} in `{shown}` is not UTF-8 text"))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() { Err(format!("the {what} in `{shown}` is empty")) } else { Ok(text.to_owned()) }
}

fn not_empty(password: String) -> Result<String, String> {
    if password.is_empty() { Err("the password is empty".to_owned()) } else { Ok(password) }
}
