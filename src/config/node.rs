//! `[node]`: who this box is and where it keeps its files.

use std::path::PathBuf;

/// Who this box is and where it keeps its files.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The street office or district, as in the topic tree: ASCII letters, digits, `-`, `_`.
    pub site: String,
    /// This box, unique in its site.
    pub id: String,
    /// Where the store and the evidence live.
    pub data_dir: PathBuf,
    /// IANA time zone for hours and descriptions, such as `Asia/Shanghai`.
    pub timezone: jiff::tz::TimeZone,
    /// Threads that decode and run rules; 0 = one per core.
    pub workers: usize,
}
