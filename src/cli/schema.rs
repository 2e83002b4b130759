//! `gridwatch schema`: the contracts as documents.

use std::path::PathBuf;

use anyhow::Context;

use super::console::print;
use crate::config;
use crate::event::schema;

/// Print or write the JSON Schemas of config and messages, and the AsyncAPI document.
/// 输出配置与消息的 JSON Schema 及 AsyncAPI 文档。
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// Which document; without it, the list of them. 文档名称
    #[arg(value_parser = ["config", "eval-case", "incident", "node-status", "camera-status", "verdict", "asyncapi"])]
    document: Option<String>,
    /// Write all documents of the message contract into this directory. 将消息契约文档写入该目录
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// Prints or writes what was asked for.
pub fn run(args: SchemaArgs) -> anyhow::Result<()> {
    let SchemaArgs { document, write } = args;
    if let Some(dir) = &write {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
        for name in schema::DOCUMENTS {
            let path = dir.join(schema::file_name(name));
            let document = schema::document(name).context("a listed document")?;
            std::fs::write(&path, schema::text(&document))
                .with_context(|| format!("cannot write `{}`", path.display()))?;
            say!("{}", path.display())?;
        }
        return Ok(());
    }
    match document.as_deref() {
        None => {
            say!("config")?;
            say!("eval-case")?;
            for name in schema::DOCUMENTS {
                say!("{name}")?;
            }
        }
        Some("config") => put(&config::schema())?,
        Some("eval-case") => put(&schemars::schema_for!(crate::eval::Case).to_value())?,
        Some(name) => {
            put(&schema::document(name).with_context(|| format!("no document `{name}`"))?)?;
        }
    }
    Ok(())
}

fn put(document: &serde_json::Value) -> anyhow::Result<()> {
    print(format_args!("{}", schema::text(document)))
}
