//! Where in its endless round a camera is.

use super::Source;

/// A position in a source that is played round and round on one continuous clock.
pub(super) struct Playhead {
    source: Source,
    picture: usize,
    /// When the current round began, in 1/90000 s since playing began.
    round_start_90k: i64,
}

impl Playhead {
    /// At the first picture of a round that begins at `start_90k`.
    pub fn new(source: Source, start_90k: i64) -> Self {
        Self { source, picture: 0, round_start_90k: start_90k }
    }

    /// What is played.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The picture that is sent next.
    pub fn picture(&self) -> usize {
        self.picture
    }

    /// When the next picture leaves, in 1/90000 s since playing began.
    pub fn due_90k(&self) -> i64 {
        self.round_start_90k + self.source.due_90k(self.picture)
    }

    /// When the next picture is shown, in 1/90000 s since playing began.
    pub fn pts_90k(&self) -> i64 {
        self.round_start_90k + self.source.pts_90k(self.picture)
    }

    /// Goes on by one picture, over the seam if it was the last.
    pub fn advance(&mut self) {
        self.picture += 1;
        if self.picture == self.source.picture_count() {
            self.picture = 0;
            self.round_start_90k += self.source.period_90k();
        }
    }

    /// Skips to the first picture due at `now_90k` or later, to a key picture if asked.
    pub fn skip(&mut self, now_90k: i64, to_key: bool) {
        let rounds = (now_90k - self.round_start_90k) / self.source.period_90k();
        if rounds > 1 {
            // The last picture of a round may leave after the next began: never skip the round that may still hold it.
            self.round_start_90k += (rounds - 1) * self.source.period_90k();
        }
        while self.due_90k() < now_90k || (to_key && !self.source.key(self.picture)) {
            self.advance();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Codec;
    use crate::simulate::testing::unit;

    fn playhead() -> Playhead {
        let units: Vec<_> = (0..10).map(|n| unit(Codec::H264, n % 5 == 0, n * 3600, 10)).collect();
        Playhead::new(Source::new(units).unwrap(), 0)
    }

    #[test]
    fn time_goes_on_over_the_seam() {
        let mut playhead = playhead();
        for n in 0..35 {
            assert_eq!((playhead.due_90k(), playhead.pts_90k()), (n * 3600, n * 3600));
            playhead.advance();
        }
    }

    #[test]
    fn a_skip_lands_on_the_next_picture_or_key_picture() {
        let check = |now: i64, to_key: bool, due: i64, picture: usize| {
            let mut playhead = playhead();
            playhead.skip(now, to_key);
            assert_eq!((playhead.due_90k(), playhead.picture()), (due, picture), "{now} {to_key}");
        };
        check(0, true, 0, 0);
        check(1, false, 3600, 1);
        check(1, true, 5 * 3600, 5);
        check(8 * 3600, true, 10 * 3600, 0);
        check(1_000_000 * 36_000 + 3 * 3600, false, 1_000_000 * 36_000 + 3 * 3600, 3);
    }
}
