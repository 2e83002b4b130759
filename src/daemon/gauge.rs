//! What happens to a camera's pictures, counted, with the reason of each that was not looked at.

use serde::{Deserialize, Serialize};

/// What happened to a camera's access units.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Access units received.
    pub units: u64,
    /// Pictures decoded.
    pub decoded: u64,
    /// Pictures a detector or background model looked at.
    pub looked: u64,
    /// Access units that could not be decoded.
    pub undecodable: u64,
    /// Inferences that failed.
    pub inference_failed: u64,
    /// Key pictures that were due and stayed compressed because the sizes of access units told that nothing moved.
    pub quiet: u64,
    /// Of those looked at all the same in shadow mode, how many showed a change in a zone.
    pub quiet_missed: u64,
    /// Decoded pictures that were not inferred again because no zone had changed.
    pub unchanged: u64,
    /// Of those inferred all the same in shadow mode, how many showed something new in a zone.
    pub unchanged_missed: u64,
    /// Pictures that were not analysed because the camera was not well: black, covered, moved, frozen.
    pub blind: u64,
    /// Pictures that waited for a thread until a newer one made them superfluous.
    pub overtaken: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.units += more.units;
        self.decoded += more.decoded;
        self.looked += more.looked;
        self.undecodable += more.undecodable;
        self.inference_failed += more.inference_failed;
        self.quiet += more.quiet;
        self.quiet_missed += more.quiet_missed;
        self.unchanged += more.unchanged;
        self.unchanged_missed += more.unchanged_missed;
        self.blind += more.blind;
        self.overtaken += more.overtaken;
    }
}
