//! A login as verbs take it: the password never stands on a command line, where everyone on the box may read it.

use anyhow::Context;

use crate::config::{Credentials, Secret};

/// The user with the password that the environment variable holds, if both are named.
pub(super) fn login(user: Option<&str>, variable: Option<&str>) -> anyhow::Result<Option<Credentials>> {
    let (Some(user), Some(variable)) = (user, variable) else { return Ok(None) };
    let password = std::env::var(variable)
        .with_context(|| format!("no password in the environment variable `{variable}`"))?;
    Ok(Some(Credentials { username: user.to_owned(), password: Secret::new(password) }))
}
