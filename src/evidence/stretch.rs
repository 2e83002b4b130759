//! What of the compressed units in a ring can be one clip, and when each picture of it is shown and decoded.

use super::bitstream::{self, Parts};
use crate::frame::{AccessUnit, Captured, Codec};

/// Most bytes of a clip: eight times the default ring, so that only a mistaken ring reaches it.
const CLIP_BYTES_MAX: usize = 64 << 20;
/// Longest clip, in 1/90000 s: ten minutes, far beyond any pre- and post-roll.
const CLIP_90K_MAX: i64 = 600 * 90_000;
/// A step back in presentation times that B-frames cannot explain: the sender's clock began anew.
const STEP_BACK_90K_MAX: i64 = 90_000;
/// A step forward that must be matched by time gone by here.
const STEP_FORWARD_90K_MAX: i64 = 5 * 90_000;

/// Units in a row that share codec and parameter sets.
pub(super) struct Stretch {
    pub codec: Codec,
    pub parameters: Vec<Vec<u8>>,
    pub samples: Vec<Sample>,
    /// When its first picture was captured.
    pub begins: Captured,
    bytes: usize,
}

/// One picture of a clip.
pub(super) struct Sample {
    pub data: Vec<u8>,
    pub key: bool,
    /// In 1/90000 s, the first sample's is 0.
    pub pts: i64,
}

impl Stretch {
    pub fn duration_90k(&self) -> i64 {
        self.samples.iter().map(|s| s.pts).max().unwrap_or(0)
    }
}

/// What of the units can be a clip: from key pictures on, without what follows a loss, divided where parameters change.
pub(super) fn stretches(units: &[AccessUnit]) -> Vec<Stretch> {
    let mut done: Vec<Stretch> = Vec::new();
    let mut now: Option<Stretch> = None;
    let mut timeline = Timeline::default();
    let mut awaits_key = true;
    // Presentation time of the key picture decoding last began at: what is shown before it cannot be decoded.
    let mut began_at = 0;
    for unit in units {
        let time = timeline.at(unit);
        awaits_key |= unit.after_loss;
        if awaits_key && !unit.key {
            continue;
        }
        let Parts { parameters, sample } = bitstream::parts(unit.codec, &unit.data);
        let same = now.as_ref().is_some_and(|s| {
            s.codec == unit.codec && parameters.iter().all(|p| s.parameters.iter().any(|known| known == p))
        });
        if !same {
            done.extend(now.take());
            awaits_key = true;
            let mut parameters: Vec<Vec<u8>> = parameters.iter().map(|p| p.to_vec()).collect();
            parameters.dedup();
            if !unit.key || !bitstream::complete(unit.codec, &parameters) {
                continue;
            }
            let (codec, begins) = (unit.codec, unit.captured);
            now = Some(Stretch { codec, parameters, samples: Vec::new(), begins, bytes: 0 });
            timeline.begin();
        }
        let Some(stretch) = now.as_mut().filter(|_| !sample.is_empty()) else { continue };
        let pts = if stretch.samples.is_empty() { 0 } else { time };
        if awaits_key {
            began_at = pts;
        }
        if pts < began_at || pts > CLIP_90K_MAX || stretch.bytes + sample.len() > CLIP_BYTES_MAX {
            continue;
        }
        awaits_key = false;
        stretch.bytes += sample.len();
        stretch.samples.push(Sample { data: sample, key: unit.key, pts });
    }
    done.extend(now);
    done.retain(|s| !s.samples.is_empty());
    done
}

/// Presentation times without the steps of a sender that began anew.
#[derive(Default)]
struct Timeline {
    last: Option<(i64, Captured)>,
    /// Time of the last unit since [`Timeline::begin`].
    now: i64,
}

impl Timeline {
    fn begin(&mut self) {
        self.now = 0;
    }

    fn at(&mut self, unit: &AccessUnit) -> i64 {
        if let Some((pts, captured)) = self.last {
            let told = unit.pts_90k.saturating_sub(pts);
            let lived = unit.captured.media.saturating_sub(captured.media).as_secs_f64() * 90_000.0;
            let anew = told < -STEP_BACK_90K_MAX
                || told > STEP_FORWARD_90K_MAX && (told as f64 - lived).abs() > STEP_FORWARD_90K_MAX as f64;
            self.now = self.now.saturating_add(if anew { (lived as i64).max(1) } else { told });
        }
        self.last = Some((unit.pts_90k, unit.captured));
        self.now
    }
}

/// Decoding times for samples in decoding order: the presentation times sorted, moved back until none comes after its
/// sample's presentation. Without B-frames they are the presentation times themselves.
pub(super) fn decoding_times(pts: &[i64]) -> Vec<i64> {
    let mut dts = pts.to_vec();
    dts.sort_unstable();
    for i in 1..dts.len() {
        dts[i] = dts[i].max(dts[i - 1] + 1);
    }
    let delay = dts.iter().zip(pts).map(|(d, p)| d - p).max().unwrap_or(0);
    for time in &mut dts {
        *time -= delay;
    }
    dts
}
