//! One table of a file, checked against its schema: known keys, types, ranges, choices; with the place of each value.
//!
//! The schema comes from the same Rust types that the table is then turned into, so each key is described once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Problem, Severity, did_you_mean};
use super::source::Source;

/// A table as JSON, without what was wrong in it, and with the place of each value.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub source: Arc<Source>,
    /// How the table is headed, for messages: `[node]`, `[[camera]]`.
    header: String,
    /// The whole table.
    pub at: Range<usize>,
    /// Its sound values.
    pub json: Map<String, Value>,
    /// What is wrong, not yet reported.
    pub problems: Vec<Problem>,
    /// Byte ranges of values by JSON pointer (`/place/lon`).
    spans: BTreeMap<String, Range<usize>>,
}

impl Item {
    /// An empty table at this place.
    pub fn new(source: &Arc<Source>, header: &str, at: Range<usize>) -> Self {
        let (source, header) = (Arc::clone(source), header.to_owned());
        Self { source, header, at, json: Map::new(), problems: Vec::new(), spans: BTreeMap::new() }
    }

    /// Checks a TOML table against the schema of an object.
    pub fn read(source: &Arc<Source>, header: &str, value: &Spanned<DeValue>, schema: &Value) -> Self {
        let mut item = Self::new(source, header, value.span());
        if let Some(Value::Object(json)) = item.check("", "", value, schema) {
            item.json = json;
        }
        item
    }

    /// Puts a value at a key, as read from the given place.
    pub fn insert(&mut self, pointer: &str, value: Value, at: Range<usize>) {
        self.spans.insert(pointer.to_owned(), at);
        let mut keys = pointer.split('/').skip(1).peekable();
        let mut table = &mut self.json;
        while let Some(key) = keys.next() {
            if keys.peek().is_none() {
                table.insert(key.to_owned(), value);
                return;
            }
            let inner = table.entry(key).or_insert_with(|| Value::Object(Map::new()));
            match inner {
                Value::Object(inner) => table = inner,
                _ => return,
            }
        }
    }

    /// Puts the text of a CSV field at a key, as the type that the schema asks for there.
    pub fn insert_text(&mut self, pointer: &str, text: &str, at: Range<usize>, schema: &Value) {
        let schema = pointer.split('/').skip(1).fold(schema, |schema, key| &schema["properties"][key]);
        let name = pointer.rsplit('/').next().unwrap_or_default();
        self.spans.insert(pointer.to_owned(), at.clone());
        let value = match (choices(schema), schema["type"].as_str()) {
            (Some(choices), _) => self.one_of(name, &text.to_lowercase(), &at, &choices),
            (None, Some("number")) => {
                let number = text.parse().ok().filter(|n: &f64| n.is_finite());
                let inside = number.filter(|n| in_range(*n, schema));
                if number.is_none() {
                    self.note(&at, Severity::Error, format!("`{name}` must be a number"), None);
                } else if inside.is_none() {
                    self.note(&at, Severity::Error, out_of_range(name, text, schema), None);
                }
                inside.map(Value::from)
            }
            _ => Some(Value::String(text.to_owned())),
        };
        if let Some(value) = value {
            self.insert(pointer, value, at);
        }
    }

    /// Whether the table holds a (sound or unsound) value at this pointer.
    pub fn has(&self, pointer: &str) -> bool {
        self.spans.contains_key(pointer)
    }

    /// The place of the value at this pointer, or of the nearest table around it.
    pub fn place(&self, pointer: &str) -> Range<usize> {
        let mut pointer = pointer;
        loop {
            if let Some(span) = self.spans.get(pointer) {
                return span.clone();
            }
            match pointer.rfind('/') {
                Some(slash) if slash > 0 => pointer = &pointer[..slash],
                _ => return self.at.clone(),
            }
        }
    }

    /// Notes an error at this pointer.
    pub fn error(&mut self, pointer: &str, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.note(&self.place(pointer), Severity::Error, message, hint.into());
    }

    /// Notes a warning at this pointer.
    pub fn warn(&mut self, pointer: &str, message: impl Into<String>, hint: impl Into<Option<String>>) {
        self.note(&self.place(pointer), Severity::Warning, message, hint.into());
    }

    fn note(
        &mut self,
        at: &Range<usize>,
        severity: Severity,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.problems.push(self.source.problem(at, severity, message, hint));
    }

    /// How many errors are noted.
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|p| p.severity == Severity::Error).count()
    }

    /// Whether anything noted is an error.
    pub fn failed(&self) -> bool {
        self.errors() > 0
    }

    /// The sound values as the type that the schema describes; `None`, with a note, if a needed one is missing.
    pub fn typed<T: DeserializeOwned>(&mut self) -> Option<T> {
        match serde_json::from_value(Value::Object(self.json.clone())) {
            Ok(typed) => Some(typed),
            Err(_) if self.failed() => None,
            Err(error) => {
                self.error("", format!("this table is not understood: {error}"), None);
                None
            }
        }
    }

    fn check(
        &mut self,
        pointer: &str,
        name: &str,
        value: &Spanned<DeValue>,
        schema: &Value,
    ) -> Option<Value> {
        let at = value.span();
        self.spans.insert(pointer.to_owned(), at.clone());
        if let Some(choices) = choices(schema) {
            return self.check_choice(pointer, name, value, &choices);
        }
        let wanted = schema["type"].as_str().unwrap_or("object");
        match (wanted, value.get_ref()) {
            ("object", DeValue::Table(table)) => {
                let mut json = Map::new();
                let known = schema["properties"].as_object();
                for (key, inner) in table {
                    let key_name = key.get_ref().as_ref();
                    let inner_schema = known.and_then(|k| k.get(key_name)).or_else(|| {
                        let others = &schema["additionalProperties"];
                        others.is_object().then_some(others)
                    });
                    let Some(inner_schema) = inner_schema else {
                        let names: Vec<&str> = known.into_iter().flatten().map(|(k, _)| k.as_str()).collect();
                        let hint = did_you_mean(key_name, &names);
                        self.note(&key.span(), Severity::Error, unknown_key(key_name, name), Some(hint));
                        continue;
                    };
                    let inner_pointer = format!("{pointer}/{key_name}");
                    if let Some(sound) = self.check(&inner_pointer, key_name, inner, inner_schema) {
                        json.insert(key_name.to_owned(), sound);
                    }
                }
                for missing in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if !table.contains_key(missing) {
                        let around = if name.is_empty() { self.header.clone() } else { format!("`{name}`") };
                        let meant = schema["properties"][missing]["description"].as_str();
                        let hint = meant.map(|text| format!("`{missing}`: {}", first_sentence(text)));
                        self.note(&at, Severity::Error, format!("{around} has no `{missing}`"), hint);
                    }
                }
                Some(Value::Object(json))
            }
            ("array", DeValue::Array(array)) => {
                let count = |key: &str| schema[key].as_u64().map(|n| n as usize);
                let (min, max) = (count("minItems").unwrap_or(0), count("maxItems").unwrap_or(usize::MAX));
                if !(min..=max).contains(&array.len()) {
                    let message =
                        format!("{} needs {min} values, here are {}", label(pointer, name), array.len());
                    let hint = schema["description"].as_str().map(first_sentence);
                    self.note(&at, Severity::Error, message, hint);
                    return None;
                }
                let noted = self.problems.len();
                let list: Vec<Option<Value>> = array
                    .iter()
                    .enumerate()
                    .map(|(index, inner)| {
                        self.check(&format!("{pointer}/{index}"), name, inner, &schema["items"])
                    })
                    .collect();
                if list.len() > 1 && list.iter().all(Option::is_none) {
                    // All of them have the same trouble; once is enough.
                    self.problems.truncate(noted + 1);
                }
                list.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
            }
            ("string", DeValue::String(text)) => {
                if text.trim().is_empty() && schema["minLength"].as_u64().unwrap_or(0) > 0 {
                    self.note(&at, Severity::Error, format!("`{name}` is empty"), None);
                    return None;
                }
                Some(Value::String(text.as_ref().to_owned()))
            }
            ("boolean", DeValue::Boolean(yes)) => Some(Value::Bool(*yes)),
            ("integer", DeValue::Integer(number)) => {
                let digits = number.as_str().replace('_', "");
                let number = i64::from_str_radix(&digits, number.radix()).ok();
                let inside = number.filter(|n| in_range(*n as f64, schema));
                if inside.is_none() {
                    self.note(&at, Severity::Error, out_of_range(name, &digits, schema), None);
                }
                inside.map(Value::from)
            }
            ("number", DeValue::Integer(_) | DeValue::Float(_)) => {
                let text = match value.get_ref() {
                    DeValue::Integer(n) if n.radix() != 10 => {
                        return self.refuse_type(pointer, name, wanted, value);
                    }
                    DeValue::Integer(n) => n.as_str(),
                    DeValue::Float(n) => n.as_str(),
                    _ => "",
                };
                let number: Option<f64> = text.replace('_', "").parse().ok();
                let inside = number.filter(|n| n.is_finite() && in_range(*n, schema));
                if inside.is_none() {
                    self.note(&at, Severity::Error, out_of_range(name, text, schema), None);
                }
                inside.map(Value::from)
            }
            _ => self.refuse_type(pointer, name, wanted, value),
        }
    }

    fn check_choice(
        &mut self,
        pointer: &str,
        name: &str,
        value: &Spanned<DeValue>,
        choices: &[&str],
    ) -> Option<Value> {
        match value.get_ref().as_str() {
            Some(given) => self.one_of(name, given, &value.span(), choices),
            None => self.refuse_type(pointer, name, "string", value),
        }
    }

    fn one_of(&mut self, name: &str, given: &str, at: &Range<usize>, choices: &[&str]) -> Option<Value> {
        if choices.contains(&given) {
            return Some(Value::String(given.to_owned()));
        }
        let message = format!("`{name}` must be one of {}", choices.join(", "));
        let hint = super::problem::nearest(given, choices.iter().copied())
            .map(|near| format!("did you mean `{near}`?"));
        self.note(at, Severity::Error, message, hint);
        None
    }

    fn refuse_type(
        &mut self,
        pointer: &str,
        name: &str,
        wanted: &str,
        value: &Spanned<DeValue>,
    ) -> Option<Value> {
        let at = value.span();
        let written = self.source.text.get(at.clone()).unwrap_or_default().to_owned();
        // Elements of a list have no key of their own to show.
        let assigned = |value: &str| {
            if is_element(pointer) { format!("`{value}`") } else { format!("`{name} = {value}`") }
        };
        let (found, hint) = match value.get_ref() {
            DeValue::String(text) => {
                let text = text.trim();
                let number = matches!(wanted, "integer" | "number");
                let bare = number && text.parse::<f64>().is_ok()
                    || wanted == "boolean" && matches!(text, "true" | "false");
                let hint = if bare {
                    Some(format!("without quotes: {}", assigned(text)))
                } else if number && text.starts_with(|c: char| c.is_ascii_digit()) {
                    let unit = unit(name);
                    let of = if unit.is_empty() { String::new() } else { format!(" of{unit}") };
                    Some(format!("write the bare number{of}, without quotes"))
                } else if wanted == "array" {
                    Some(format!("in brackets: {}", assigned("[\"…\"]")))
                } else {
                    None
                };
                ("a text", hint)
            }
            // A password of digits only is the one number that must not be repeated.
            DeValue::Integer(_) | DeValue::Float(_) if wanted == "string" => {
                let shown = if name.contains("password") { "…" } else { written.as_str() };
                ("a number", Some(format!("in quotes: {}", assigned(&format!("\"{shown}\"")))))
            }
            DeValue::Float(_) if wanted == "integer" => ("a number with a fraction", None),
            DeValue::Integer(_) | DeValue::Float(_) => ("a number", None),
            DeValue::Boolean(_) => ("true or false", None),
            DeValue::Datetime(_) if wanted == "string" => {
                ("a date or time", Some("put it in quotes".to_owned()))
            }
            DeValue::Datetime(_) => ("a date or time", None),
            DeValue::Array(_) => ("a list", None),
            // `[mqtt.mirror]` where each one is headed `[[mqtt.mirror]]`.
            DeValue::Table(_) if wanted == "array" && written.starts_with('[') => {
                let header = written.lines().next().unwrap_or_default().trim();
                ("a table", Some(format!("begin each one with a line `[{header}]`")))
            }
            DeValue::Table(_) => ("a table", None),
        };
        let wanted = match wanted {
            "string" => "a text in quotes",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list in brackets",
            _ => "a table",
        };
        let message = format!("{} must be {wanted}, not {found}", label(pointer, name));
        self.note(&at, Severity::Error, message, hint);
        None
    }
}

fn is_element(pointer: &str) -> bool {
    pointer
        .rsplit('/')
        .next()
        .is_some_and(|last| !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
}

fn label(pointer: &str, name: &str) -> String {
    if is_element(pointer) { format!("a value in `{name}`") } else { format!("`{name}`") }
}

fn unknown_key(key: &str, table: &str) -> String {
    if table.is_empty() {
        format!("unknown key `{key}`")
    } else {
        format!("unknown key `{key}` in `{table}`")
    }
}

/// The values that an enum's schema allows, if it is one.
fn choices(schema: &Value) -> Option<Vec<&str>> {
    if let Some(list) = schema["enum"].as_array() {
        return Some(list.iter().filter_map(Value::as_str).collect());
    }
    let list = schema["oneOf"].as_array()?;
    Some(
        list.iter()
            .flat_map(|one| choices(one).unwrap_or_else(|| one["const"].as_str().into_iter().collect()))
            .collect(),
    )
}

fn in_range(number: f64, schema: &Value) -> bool {
    schema["minimum"].as_f64().is_none_or(|min| number >= min)
        && schema["maximum"].as_f64().is_none_or(|max| number <= max)
}

fn out_of_range(name: &str, given: &str, schema: &Value) -> String {
    let unit = unit(name);
    let range = match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(min), Some(max)) => format!("from {min} to {max}{unit}"),
        (Some(min), None) => format!("at least {min}{unit}"),
        (None, Some(max)) => format!("at most {max}{unit}"),
        (None, None) => "an ordinary number".to_owned(),
    };
    format!("`{name}` is {given}; it must be {range}")
}

/// The unit that a key's name ends in.
fn unit(name: &str) -> &'static str {
    let name = name.trim_end_matches("_max").trim_end_matches("_min");
    match name.rsplit('_').next() {
        Some("s") => " seconds",
        Some("m") => " metres",
        Some("px") => " pixels",
        Some("bytes") => " bytes",
        Some("days") => " days",
        _ => "",
    }
}

fn first_sentence(text: &str) -> String {
    let text = text.replace('\n', " ");
    text.split_once(". ").map_or(text.as_str(), |(first, _)| first).trim_end_matches('.').to_owned()
}

/// Puts one table over another, key by key; inner tables are merged, lists replaced.
pub(super) fn overlay(below: &mut Map<String, Value>, above: &Map<String, Value>) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => overlay(below, above),
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}
