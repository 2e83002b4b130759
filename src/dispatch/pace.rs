//! How many commands of a name are taken in a minute.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::event::command::CommandName;

/// A token bucket for each name, full at first.
#[derive(Debug, Default)]
pub(super) struct Pace {
    buckets: BTreeMap<CommandName, (f64, Instant)>,
}

/// Commands of this name in a minute, and at once: what an operator may click, or a platform send for a whole street, not what a
/// loop of its own can.
pub(super) fn per_minute(name: CommandName) -> u32 {
    match name {
        CommandName::Poll => 30,
        CommandName::Snapshot | CommandName::Recheck | CommandName::ConfirmView => 60,
        // One for each zone of a street before a parade.
        CommandName::Arm | CommandName::Disarm => 120,
        // Reads and checks all files.
        CommandName::Reload => 6,
    }
}

impl Pace {
    /// Whether one more may be taken now.
    pub fn allows(&mut self, name: CommandName, now: Instant) -> bool {
        let most = f64::from(per_minute(name));
        let (tokens, at) = self.buckets.entry(name).or_insert((most, now));
        let grown = now.saturating_duration_since(*at).as_secs_f64() * most / 60.0;
        (*tokens, *at) = ((*tokens + grown).min(most), now);
        let allowed = *tokens >= 1.0;
        if allowed {
            *tokens -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_name_has_so_many_a_minute() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for name in CommandName::ALL {
            let most = per_minute(name);
            let burst = (0..most * 2).filter(|_| pace.allows(name, start)).count();
            assert_eq!(burst, most as usize, "{name:?}");
            let later = start + Duration::from_secs(30);
            let half = (0..most * 2).filter(|_| pace.allows(name, later)).count();
            assert_eq!(half, most as usize / 2, "{name:?}");
            let much_later = later + Duration::from_secs(3_600);
            let full = (0..most * 2).filter(|_| pace.allows(name, much_later)).count();
            assert_eq!(full, most as usize, "{name:?}: never more than a minute's");
        }
    }
}
