//! Which branches were taken, and how often, as the compiler counts it when it is told to: LLVM's SanitizerCoverage with inline
//! 8-bit counters. Without, nothing is counted.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Where the counters of each part of the program lie: address and length.
static COUNTERS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Called once for each part of the program before `main`.
// SAFETY: the name is the compiler's; nobody else defines it in this test.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, end: *mut u8) {
    let part = (start as usize, end as usize - start as usize);
    let mut counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    if part.1 > 0 && !counters.contains(&part) {
        counters.push(part);
    }
}

/// What has been reached so far: a bit for each magnitude of each counter.
pub struct Coverage(Vec<u8>);

impl Coverage {
    /// Begins anew.
    pub fn new() -> Self {
        let mut coverage = Self(Vec::new());
        coverage.grew();
        coverage.0.fill(0);
        coverage
    }

    /// Whether the last execution went where none went before, or more often; the counters are set back.
    pub fn grew(&mut self) -> bool {
        let counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut grew, mut at) = (false, 0);
        for &(start, length) in counters.iter() {
            self.0.resize(self.0.len().max(at + length), 0);
            // SAFETY: the compiler gave this part of memory for these counters and for nothing else, for as long as the
            // program runs. Other threads count there too while this reads: a count may be missed, which does no harm.
            let counts = unsafe { std::slice::from_raw_parts_mut(start as *mut u8, length) };
            for (count, reached) in counts.iter_mut().zip(&mut self.0[at..]).filter(|(count, _)| **count > 0)
            {
                let magnitude = 1 << count.ilog2();
                grew |= *reached & magnitude == 0;
                *reached |= magnitude;
                *count = 0;
            }
            at += length;
        }
        grew
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("coverage not counted");
        }
        let reached = self.0.iter().filter(|reached| **reached > 0).count();
        write!(f, "{reached} of {} branches reached", self.0.len())
    }
}
