//! The register of who looked at evidence and what was deleted (查看登记): each line seals the one before it.
//!
//! JSON lines in `<data_dir>/register/YYYY-MM.jsonl`. `before` is the SHA-256 of the whole line before, across files, so that
//! no line can be changed, left out or put in without breaking the chain from there on. Whoever may write the folder can
//! still write a whole new chain or cut off its end: note the head that `gridwatch evidence register` prints elsewhere, and
//! ask later with `--head` whether it is still in the chain.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::EvidenceError;
use super::archive::trouble;

/// What was done with a piece of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Given to a person on this box.
    Shown,
    /// Sent to the platform because it asked for it.
    Sent,
    /// Deleted.
    Deleted,
}

/// Something that is to be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deal {
    /// By whom: a user of this box, `platform`, or `gridwatch` itself.
    pub who: String,
    /// What was done.
    pub did: Deed,
    /// Path of the piece under the data directory; its name is its SHA-256.
    pub path: String,
    /// Why.
    pub why: String,
}

/// A line of the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 1 for the first of all, then counting up.
    pub number: u64,
    /// When it was entered.
    pub at: Timestamp,
    /// See [`Deal::who`].
    pub who: String,
    /// See [`Deal::did`].
    pub did: Deed,
    /// See [`Deal::path`].
    pub path: String,
    /// See [`Deal::why`].
    pub why: String,
    /// SHA-256 of the line before, lower-case hex; empty in the first.
    pub before: String,
}

/// Where a chain begins and ends, if it is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// Number of the oldest entry that is kept.
    pub first: u64,
    /// Number of the newest.
    pub last: u64,
    /// SHA-256 of the newest line, lower-case hex: what the next one will seal.
    pub head: String,
    /// Lines that a power cut tore, `file:line`; sealed like all others.
    pub torn: Vec<String>,
}

/// Why a register cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// A line does not follow from the one before it.
    #[error("the register is broken at {place}: {what}")]
    Broken {
        /// `file:line`.
        place: String,
        /// What does not fit.
        what: &'static str,
    },
    /// The register cannot be read.
    #[error(transparent)]
    File(#[from] EvidenceError),
}

const FOLDER: &str = "register";
/// Months that are kept. The Cybersecurity Law wants logs for six months (article 21); a case is argued for longer.
const MONTHS_MAX: usize = 36;
/// Longer than any line.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The register of a data directory; several processes may enter into it.
#[derive(Debug, Clone)]
pub struct Register {
    folder: PathBuf,
}

impl Register {
    /// Opens the register, and makes its folder.
    pub fn open(data_dir: &Path) -> Result<Self, EvidenceError> {
        let folder = data_dir.join(FOLDER);
        fs::create_dir_all(&folder).map_err(trouble("create", &folder))?;
        Ok(Self { folder })
    }

    /// Enters deals in this order; when this returns, they are on the disk.
    pub fn enter(&self, deals: &[Deal], at: Timestamp) -> Result<(), EvidenceError> {
        if deals.is_empty() {
            return Ok(());
        }
        let lock = self.folder.join(".lock");
        let locked = || {
            let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock)?;
            lock.lock()?;
            Ok::<File, io::Error>(lock)
        };
        let _lock = locked().map_err(trouble("lock", &lock))?;
        let months = self.months()?;
        let End { mut number, mut before, torn } = end_of(&months).map_err(trouble("read", &self.folder))?;
        let mut text = String::from(if torn { "\n" } else { "" });
        for Deal { who, did, path, why } in deals {
            number += 1;
            let (who, path, why) = (who.clone(), path.clone(), why.clone());
            let line = Entry { number, at, who, did: *did, path, why, before }.line();
            before = sha256(line.as_bytes());
            text += &line;
            text.push('\n');
        }
        // A clock that was set back does not open an older file.
        let month = self.folder.join(format!("{}.jsonl", at.to_zoned(TimeZone::UTC).strftime("%Y-%m")));
        let file = months.last().filter(|newest| torn || **newest > month).unwrap_or(&month);
        let write = || {
            let mut open = OpenOptions::new().create(true).append(true).open(file)?;
            open.write_all(text.as_bytes())?;
            open.sync_all()?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(trouble("write", file))?;
        for old in months.iter().rev().skip(MONTHS_MAX) {
            fs::remove_file(old).map_err(trouble("delete", old))?;
        }
        Ok(())
    }

    /// Goes through all lines, oldest first; an error at the first that does not follow from the one before it.
    pub fn read(&self, mut each: impl FnMut(Entry, &str)) -> Result<Chain, RegisterError> {
        let mut chain = Chain::default();
        for file in self.months()? {
            let lines = BufReader::new(File::open(&file).map_err(trouble("read", &file))?).split(b'\n');
            for (index, line) in lines.enumerate() {
                let line = line.map_err(trouble("read", &file))?;
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let place = format!("{name}:{}", index + 1);
                let head = sha256(&line);
                let Ok(entry) = serde_json::from_slice::<Entry>(&line) else {
                    chain.torn.push(place);
                    chain.head = head;
                    continue;
                };
                let broken = |what| Err(RegisterError::Broken { place: place.clone(), what });
                // What was before the oldest month that is kept is gone.
                if !chain.head.is_empty() && entry.before != chain.head {
                    return broken("the line before it is not the one that it seals");
                }
                if chain.last == 0 {
                    chain.first = entry.number;
                } else if entry.number != chain.last + 1 {
                    return broken("its number does not follow");
                }
                (chain.last, chain.head) = (entry.number, head);
                each(entry, &chain.head);
            }
        }
        Ok(chain)
    }

    /// The files, oldest first.
    fn months(&self) -> Result<Vec<PathBuf>, EvidenceError> {
        let entries = fs::read_dir(&self.folder).map_err(trouble("list", &self.folder))?;
        let files = entries.flatten().map(|entry| entry.path());
        let mut months: Vec<_> = files.filter(|f| f.extension().is_some_and(|e| e == "jsonl")).collect();
        months.sort();
        Ok(months)
    }
}

impl Entry {
    fn line(&self) -> String {
        // Plain texts and numbers: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What the next entry goes on from.
#[derive(Default)]
struct End {
    number: u64,
    before: String,
    /// Whether the last line was cut off in the middle.
    torn: bool,
}

/// How these files, oldest first, end: the newest number, and the SHA-256 of the last line, torn or not.
fn end_of(months: &[PathBuf]) -> io::Result<End> {
    let mut end = End::default();
    for file in months.iter().rev() {
        let mut open = File::open(file)?;
        let size = open.metadata()?.len();
        // Room for torn lines behind the last whole one.
        open.seek(SeekFrom::Start(size.saturating_sub(4 * LINE_BYTES_MAX as u64)))?;
        let mut bytes = Vec::new();
        open.read_to_end(&mut bytes)?;
        let lines = bytes.split(|byte| *byte == b'\n').rev().filter(|line| !line.is_empty());
        for line in lines {
            if end.before.is_empty() {
                end.before = sha256(line);
                end.torn = bytes.last() != Some(&b'\n');
            }
            if let Ok(entry) = serde_json::from_slice::<Entry>(line) {
                end.number = entry.number;
                return Ok(end);
            }
        }
    }
    Ok(end)
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal(path: &str) -> Deal {
        Deal { who: "zhang".into(), did: Deed::Shown, path: path.into(), why: "case 7 \"东门\"".into() }
    }

    fn at(time: &str) -> Timestamp {
        time.parse().expect("a time")
    }

    fn numbers(register: &Register) -> Result<(Vec<u64>, Chain), RegisterError> {
        let mut numbers = Vec::new();
        let chain = register.read(|entry, _| numbers.push(entry.number))?;
        Ok((numbers, chain))
    }

    #[test]
    fn entries_follow_each_other_over_months_and_clocks_set_back() {
        let folder = tempfile::tempdir().unwrap();
        let register = Register::open(folder.path()).unwrap();
        assert_eq!(numbers(&register).unwrap().1, Chain::default());
        register.enter(&[deal("a"), deal("b")], at("2026-11-30T23:00:00Z")).unwrap();
        register.enter(&[deal("c")], at("2026-12-01T00:00:00Z")).unwrap();
        register.enter(&[deal("d")], at("2020-01-01T00:00:00Z")).unwrap();
        let (numbers, chain) = numbers(&register).unwrap();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert_eq!((chain.first, chain.last), (1, 4));
        assert_eq!(register.months().unwrap().len(), 2);
    }

    #[test]
    fn what_is_changed_left_out_or_put_in_shows() {
        let folder = tempfile::tempdir().unwrap();
        let register = Register::open(folder.path()).unwrap();
        let deals: Vec<_> = (0..4).map(|n| deal(&n.to_string())).collect();
        register.enter(&deals, at("2026-11-22T00:00:00Z")).unwrap();
        let file = register.months().unwrap().remove(0);
        let sound = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = sound.lines().collect();
        let changed = sound.replacen("\"path\":\"1\"", "\"path\":\"9\"", 1);
        let without = [lines[0], lines[1], lines[3]].join("\n") + "\n";
        let twice = [lines[0], lines[1], lines[1], lines[2], lines[3]].join("\n") + "\n";
        let swapped = [lines[0], lines[2], lines[1], lines[3]].join("\n") + "\n";
        for (text, line) in [(changed, 3), (without, 3), (twice, 3), (swapped, 2)] {
            fs::write(&file, &text).unwrap();
            let error = register.read(|_, _| ()).expect_err("broken").to_string();
            assert!(error.contains(&format!("2026-11.jsonl:{line}:")), "{error}\n{text}");
        }
        // A new chain and a shorter one are whole in themselves: only a head that was noted elsewhere tells.
        fs::write(&file, lines[..2].join("\n") + "\n").unwrap();
        let mut heads = Vec::new();
        register.read(|_, head| heads.push(head.to_owned())).unwrap();
        assert!(!heads.contains(&sha256(lines[3].as_bytes())));
        assert!(heads.contains(&sha256(lines[1].as_bytes())));
    }

    #[test]
    fn a_line_that_a_power_cut_tore_is_sealed_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let register = Register::open(folder.path()).unwrap();
        register.enter(&[deal("a"), deal("b")], at("2026-11-22T00:00:00Z")).unwrap();
        let file = register.months().unwrap().remove(0);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 30]).unwrap();
        register.enter(&[deal("c")], at("2026-12-22T00:00:00Z")).unwrap();
        let (numbers, chain) = numbers(&register).unwrap();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(chain.torn, ["2026-11.jsonl:2"]);
    }

    #[test]
    fn processes_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let register = Register::open(folder.path()).unwrap();
                scope.spawn(move || {
                    for n in 0..10 {
                        let deal = deal(&format!("{thread}.{n}"));
                        register.enter(&[deal], at("2026-11-22T00:00:00Z")).unwrap();
                    }
                });
            }
        });
        let (numbers, _) = numbers(&Register::open(folder.path()).unwrap()).unwrap();
        assert_eq!(numbers, (1..=40).collect::<Vec<u64>>());
    }

    #[test]
    fn what_is_older_than_three_years_goes() {
        let folder = tempfile::tempdir().unwrap();
        let register = Register::open(folder.path()).unwrap();
        for month in 0..40 {
            let at = at(&format!("{}-{:02}-01T00:00:00Z", 2023 + month / 12, 1 + month % 12));
            register.enter(&[deal("a")], at).unwrap();
        }
        let (_, chain) = numbers(&register).unwrap();
        assert!(register.months().unwrap().len() <= MONTHS_MAX + 1);
        assert!(chain.first > 1 && chain.last == 40);
    }
}
