//! [`Ring`]: the last seconds of a camera, still compressed, so that any of them can be decoded or put into a clip later.

use std::collections::VecDeque;
use std::time::Duration;

use crate::frame::AccessUnit;

/// What a unit costs beyond its bytes.
const UNIT_OVERHEAD: usize = size_of::<AccessUnit>();

/// The newest access units of one camera, bounded in bytes, evicted in whole groups of pictures.
///
/// A group begins with a key picture and can be decoded from there; nothing before the first key picture is kept.
#[derive(Debug)]
pub struct Ring {
    bytes_max: usize,
    bytes: usize,
    groups: VecDeque<Group>,
    /// Units of the newest group that were left out because the group alone fills the ring.
    left_out: u64,
    /// Whether the newest group is cut off: no unit joins it any more.
    closed: bool,
}

#[derive(Debug)]
struct Group {
    units: Vec<AccessUnit>,
    bytes: usize,
}

impl Ring {
    /// An empty ring that holds at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, groups: VecDeque::new(), left_out: 0, closed: true }
    }

    /// Adds the newest unit and lets the oldest groups go to make room.
    ///
    /// A group that alone is larger than the ring keeps its beginning, because nothing can be decoded without it; the
    /// rest of it is left out, see [`Ring::left_out`]. So is a unit after a loss, with what follows it in its group.
    pub fn push(&mut self, unit: AccessUnit) {
        let cost = unit.data.len() + UNIT_OVERHEAD;
        if unit.key {
            self.closed = false;
        } else if unit.after_loss {
            self.closed = true;
        }
        let newest = if unit.key { 0 } else { self.groups.back().map_or(0, |group| group.bytes) };
        if self.closed || newest + cost > self.bytes_max {
            self.closed = true;
            self.left_out += 1;
            return;
        }
        let keep = usize::from(!unit.key);
        while self.bytes + cost > self.bytes_max && self.groups.len() > keep {
            self.bytes -= self.groups.pop_front().map_or(0, |group| group.bytes);
        }
        if unit.key {
            self.groups.push_back(Group { units: Vec::new(), bytes: 0 });
        }
        if let Some(group) = self.groups.back_mut() {
            group.bytes += cost;
            group.units.push(unit);
            self.bytes += cost;
        }
    }

    /// Everything from the key picture at or before a media time (or from the oldest one, if all are later), in decoding order.
    pub fn since(&self, media: Duration) -> Vec<AccessUnit> {
        let at_or_before = |group: &Group| group.units.first().is_some_and(|key| key.captured.media <= media);
        let first = self.groups.iter().rposition(at_or_before).unwrap_or(0);
        self.groups.iter().skip(first).flat_map(|group| group.units.iter().cloned()).collect()
    }

    /// The newest key picture.
    pub fn newest_key(&self) -> Option<&AccessUnit> {
        self.groups.back()?.units.first()
    }

    /// The newest group of pictures, from its key picture on, in decoding order.
    pub fn newest_group(&self) -> &[AccessUnit] {
        self.groups.back().map_or(&[], |group| &group.units)
    }

    /// Bytes held, with what each unit costs beyond its data.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Units that were not kept since the ring was made: before the first key picture, after a loss, or beyond a group that fills the ring.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Captured, Clock, Codec};

    fn unit(at_ms: u64, key: bool, after_loss: bool, bytes: usize) -> AccessUnit {
        AccessUnit {
            captured: Captured {
                wall: Timestamp::UNIX_EPOCH,
                media: Duration::from_millis(at_ms),
                clock: Clock::File,
            },
            codec: Codec::H264,
            key,
            after_loss,
            data: vec![0; bytes].into(),
            pts_90k: at_ms as i64 * 90,
        }
    }

    fn times(units: &[AccessUnit]) -> Vec<u64> {
        units.iter().map(|unit| unit.captured.media.as_millis() as u64).collect()
    }

    #[test]
    fn since_starts_at_a_key_picture() {
        let mut ring = Ring::new(1 << 20);
        (0..12).for_each(|i| ring.push(unit(i * 100, i % 4 == 1, false, 1000)));
        assert_eq!(ring.left_out(), 1, "one unit came before the first key picture");
        let check = |from: u64, first: u64| {
            let got = times(&ring.since(Duration::from_millis(from)));
            let expected: Vec<_> = (first..12).map(|i| i * 100).collect();
            assert_eq!(got, expected, "since {from}");
        };
        check(0, 1);
        check(100, 1);
        check(499, 1);
        check(500, 5);
        check(9999, 9);
        assert_eq!(ring.newest_key().map(|key| key.captured.media.as_millis()), Some(900));
    }

    #[test]
    fn a_group_larger_than_the_ring_keeps_its_beginning() {
        let mut ring = Ring::new(5000);
        (0..20).for_each(|i| ring.push(unit(i, i == 0, false, 1000)));
        let kept = ring.since(Duration::ZERO);
        assert!((3..5).contains(&kept.len()), "{}", kept.len());
        assert!(kept[0].key && times(&kept) == (0..kept.len() as u64).collect::<Vec<_>>());
        assert_eq!(ring.left_out(), 20 - kept.len() as u64);
        ring.push(unit(20, true, false, 100));
        assert_eq!(times(&ring.since(Duration::from_millis(20))), [20]);
    }

    #[test]
    fn nothing_after_a_loss_is_kept_up_to_the_next_key_picture() {
        let mut ring = Ring::new(1 << 20);
        let stream =
            [(true, false), (false, false), (false, true), (false, false), (true, true), (false, false)];
        stream.iter().enumerate().for_each(|(i, &(key, lost))| ring.push(unit(i as u64, key, lost, 10)));
        assert_eq!(times(&ring.since(Duration::ZERO)), [0, 1, 4, 5]);
    }

    proptest! {
        #[test]
        fn bounds_hold(
            bytes_max in 0usize..20_000,
            stream in prop::collection::vec((any::<bool>(), 0u8..10, 0usize..9000), 0..200),
            from in 0u64..200,
        ) {
            let mut ring = Ring::new(bytes_max);
            for (i, (key, loss, bytes)) in stream.iter().enumerate() {
                ring.push(unit(i as u64, *key, *loss == 0, *bytes));
                prop_assert!(ring.bytes() <= bytes_max);
                let units = ring.since(Duration::ZERO);
                prop_assert!(units.first().is_none_or(|first| first.key));
                prop_assert!(units.iter().all(|unit| unit.key || !unit.after_loss));
                prop_assert_eq!(
                    ring.bytes(),
                    units.iter().map(|unit| unit.data.len() + UNIT_OVERHEAD).sum::<usize>()
                );
                let pushed_key = *key && bytes + UNIT_OVERHEAD <= bytes_max;
                prop_assert!(!pushed_key || ring.newest_key().unwrap().captured.media.as_millis() == i as u128);
            }
            let later = ring.since(Duration::from_millis(from));
            prop_assert!(later.len() <= ring.since(Duration::ZERO).len());
            prop_assert!(later.first().is_none_or(|first| first.key));
        }
    }
}
