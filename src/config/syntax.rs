//! What is wrong with a file's TOML itself, in words for people who have never heard of TOML.

use super::problem::{Problem, Scope, Severity};
use super::source::Source;

/// The first error of each line: what follows on it is mostly a consequence.
pub(super) fn syntax_problems(source: &Source, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = errors.iter().map(|error| syntax_problem(source, error)).collect();
    problems.sort_by_key(|p| (p.line, p.column));
    problems.dedup_by_key(|p| p.line);
    problems
}

/// One error, without the line of the file that the parser would quote: it may hold a password.
fn syntax_problem(source: &Source, error: &toml::de::Error) -> Problem {
    let at = error.span().unwrap_or(0..0);
    // Chinese punctuation in a text or a comment is fine; here it stands where TOML wants its own.
    let odd = ['“', '”', '‘', '’', '，', '、', '＝', '＂', '［', '］', '：'];
    let (before, after) = source.text.split_at_checked(at.start).unwrap_or_default();
    let chinese = after.trim_start_matches(' ').starts_with(odd) || before.ends_with(odd);
    let said = error.message();
    let (message, hint) = if chinese {
        (
            "Chinese punctuation cannot stand here",
            Some("type \" , = [ ] on an English keyboard (英文半角标点)"),
        )
    } else if said.contains("duplicate key") {
        ("this name stands twice", Some("remove or rename one of the two"))
    } else if said.contains("invalid basic string") {
        ("this text is not closed", Some("close it with \" on the same line; write a backslash as \\\\"))
    } else if said.contains("string values must be quoted") {
        ("here stands neither a number nor a text in quotes", Some("put a text in quotes: \"…\""))
    } else if said.contains("leading zero") {
        ("a number cannot begin with 0", Some("put a code in quotes: \"0510\""))
    } else {
        (said, None)
    };
    let problem = source.problem(&at, Severity::Error, message, hint.map(str::to_owned));
    Problem { scope: Scope::File, ..problem }
}
