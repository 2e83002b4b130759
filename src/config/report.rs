//! Problems as they are found, and as they are shown.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::item::Item;
use super::problem::{Problem, Scope, Severity};

/// Problems so far, each said once.
#[derive(Default)]
pub(super) struct Report {
    problems: Vec<Problem>,
    said: HashSet<(PathBuf, usize, usize, String)>,
}

impl Report {
    pub fn add(&mut self, problem: Problem, scope: &Scope) {
        let key = (problem.file.clone(), problem.line, problem.column, problem.message.clone());
        if self.said.insert(key) {
            self.problems.push(Problem { scope: scope.clone(), ..problem });
        }
    }

    pub fn take(&mut self, item: &mut Item, scope: &Scope) {
        for problem in item.problems.drain(..) {
            self.add(problem, scope);
        }
    }

    pub fn fatal(&self) -> bool {
        self.problems.iter().any(|p| p.severity == Severity::Error && p.scope == Scope::File)
    }

    /// In the order of files and lines, with warnings that say the same folded into one per file.
    pub fn finish(self, main: &Path) -> Vec<Problem> {
        let mut problems = self.problems;
        problems.sort_by(|a, b| {
            (a.file != main, &a.file, a.line, a.column).cmp(&(b.file != main, &b.file, b.line, b.column))
        });
        let mut folded: Vec<Problem> = Vec::with_capacity(problems.len());
        let mut first_of: HashMap<(PathBuf, String), (usize, usize)> = HashMap::new();
        for problem in problems {
            if problem.severity == Severity::Warning {
                let key = (problem.file.clone(), problem.message.clone());
                if let Some((_, more)) = first_of.get_mut(&key) {
                    *more += 1;
                    continue;
                }
                first_of.insert(key, (folded.len(), 0));
            }
            folded.push(problem);
        }
        for (index, more) in first_of.into_values().filter(|(_, more)| *more > 0) {
            let message = &mut folded[index].message;
            *message = format!("{message} (and {more} more like this in the file)");
        }
        folded
    }
}
