//! Processor time and memory that this process has used, as the kernel counts them.

use std::time::Duration;

/// Processor time of the calling thread so far.
pub fn thread_time() -> Duration {
    time(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Processor time of the whole process so far.
pub fn process_time() -> Duration {
    time(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn time(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec of our own; both clocks exist on every Linux that Rust supports.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Bytes of this process in physical memory; 0 where the kernel does not tell.
pub fn resident_bytes() -> u64 {
    // proc(5): size and resident set in pages.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    // SAFETY: sysconf reads a constant.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages * u64::try_from(page_bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_while_something_is_done() {
        let (thread, process) = (thread_time(), process_time());
        let sum: u64 = (0..3_000_000u64).map(std::hint::black_box).sum();
        assert!(std::hint::black_box(sum) > 0 && thread_time() > thread && process_time() > process);
        assert!(resident_bytes() > 1 << 20);
    }
}
