//! CSV text (RFC 4180) as spreadsheets really write it, with the place of every field.
//!
//! Not the `csv` crate: an unclosed quote there swallows the rest of the file without a word, and one bad row must
//! cost one camera only.

use std::borrow::Cow;
use std::ops::Range;

/// One field: its text without quotes, and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field<'a> {
    pub text: Cow<'a, str>,
    pub at: Range<usize>,
}

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<'a> {
    pub at: Range<usize>,
    pub fields: Vec<Field<'a>>,
    /// Whether a quote was never closed, or text followed a closed one; the row then ends at the end of its line.
    pub broken: bool,
}

impl Row<'_> {
    /// Whether nothing is written in it.
    pub fn is_blank(&self) -> bool {
        self.fields.iter().all(|field| field.text.trim().is_empty())
    }
}

/// A field may contain line breaks (an address in two lines), but not more than this: then a quote is missing.
const FIELD_LINES_MAX: usize = 8;

/// The separator, judged by the first line that has any.
pub(super) fn separator(text: &str) -> char {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if let Some(named) = first.strip_prefix("sep=") {
        return named.trim_end().chars().next().unwrap_or(',');
    }
    let count = |separator: char| first.matches(separator).count();
    // The first of the most frequent ones; a comma if there is none.
    [',', ';', '\t', '，'].into_iter().rev().max_by_key(|&separator| count(separator)).unwrap_or(',')
}

/// All records, blank ones included.
pub(super) fn rows(text: &str, separator: char) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let row = read_row(text, at, separator).unwrap_or_else(|| {
            let end = line_end(text, at);
            let fields = split_plain(text, at..end, separator);
            Row { at: at..end, fields, broken: true }
        });
        at = row.at.end + line_break(&text[row.at.end..]);
        rows.push(row);
    }
    rows
}

/// The record at this byte; `None` if its quotes are not balanced.
fn read_row(text: &str, start: usize, separator: char) -> Option<Row<'_>> {
    let mut fields = Vec::new();
    let mut at = start;
    loop {
        let field = if text[at..].starts_with('"') { quoted(text, at)? } else { plain(text, at, separator) };
        at = field.at.end;
        fields.push(field);
        let rest = &text[at..];
        if rest.is_empty() || line_break(rest) > 0 {
            return Some(Row { at: start..at, fields, broken: false });
        }
        // Behind a closed quote nothing but a separator may follow.
        at += rest.strip_prefix(separator).map(|_| separator.len_utf8())?;
    }
}

fn plain(text: &str, at: usize, separator: char) -> Field<'_> {
    let end = text[at..].find([separator, '\n', '\r']).map_or(text.len(), |length| at + length);
    Field { text: Cow::Borrowed(&text[at..end]), at: at..end }
}

fn quoted(text: &str, start: usize) -> Option<Field<'_>> {
    let mut at = start + 1;
    loop {
        at += text[at..].find('"')?;
        if !text[at + 1..].starts_with('"') {
            break;
        }
        at += 2;
    }
    let inner = &text[start + 1..at];
    (inner.lines().count() <= FIELD_LINES_MAX)
        .then(|| Field { text: Cow::Owned(inner.replace("\"\"", "\"")), at: start..at + 1 })
}

fn split_plain(text: &str, line: Range<usize>, separator: char) -> Vec<Field<'_>> {
    let mut at = line.start;
    let mut fields = Vec::new();
    loop {
        let field = plain(text, at, separator);
        at = field.at.end + separator.len_utf8();
        let last = field.at.end >= line.end;
        fields.push(field);
        if last {
            return fields;
        }
    }
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find(['\n', '\r']).map_or(text.len(), |length| at + length)
}

fn line_break(rest: &str) -> usize {
    if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with(['\n', '\r'])) }
}
