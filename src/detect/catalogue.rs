//! The catalogue of public models: `models/catalogue.toml`, compiled in.

use serde::Deserialize;

use super::card::{Card, InputSpec};
use super::classes::COCO;
use super::family::Family;

/// A public model: where it is, what its bytes must be, and the facts for its card.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name; the files are `NAME.onnx` and `NAME.toml`.
    pub name: String,
    /// One line that helps to choose.
    pub about: String,
    /// Addresses of the same bytes, best first.
    pub urls: Vec<String>,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// Licence of the weights as an SPDX expression.
    pub licence: String,
    /// Layout of its outputs.
    pub family: Family,
    /// Its classes; COCO's 80 if left out.
    pub classes: Option<Vec<String>>,
    /// What it wants as input.
    pub input: InputSpec,
}

impl Entry {
    /// The file's name.
    pub fn file(&self) -> String {
        format!("{}.onnx", self.name)
    }

    /// The card that goes beside the file.
    pub fn card(&self) -> Card {
        let mut about = toml::Table::new();
        about.insert("note".into(), self.about.clone().into());
        if let Some(url) = self.urls.first() {
            about.insert("from".into(), url.clone().into());
        }
        Card {
            name: self.name.clone(),
            file: self.file(),
            sha256: self.sha256.clone(),
            family: self.family,
            classes: self.classes.clone().unwrap_or_else(|| COCO.map(str::to_owned).to_vec()),
            licence: self.licence.clone(),
            input: self.input.clone(),
            about,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    model: Vec<Entry>,
}

/// The catalogue that this gridwatch was built with.
pub fn catalogue() -> Vec<Entry> {
    parse(include_str!("../../models/catalogue.toml")).expect("a test reads the same text")
}

fn parse(text: &str) -> Result<Vec<Entry>, toml::de::Error> {
    toml::from_str::<Catalogue>(text).map(|catalogue| catalogue.model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_makes_a_card_that_reads() {
        let entries = catalogue();
        assert!(entries.len() >= 8);
        for entry in &entries {
            let card = Card::parse(&toml::to_string(&entry.card()).unwrap()).unwrap();
            assert_eq!(card, entry.card());
            assert!(entry.urls.iter().all(|url| url.starts_with("https://")) && !entry.urls.is_empty());
            assert!(entry.bytes > 100_000, "{}", entry.name);
            let same_name = entries.iter().filter(|e| e.name == entry.name || e.sha256 == entry.sha256);
            assert_eq!(same_name.count(), 1, "{}", entry.name);
        }
    }
}
