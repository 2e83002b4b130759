//! Gain and offset between the model and the picture: auto exposure, clouds, the lamp of the whole street.

/// Grey levels near black and white are cut off and follow no gain.
const CLIPPED: (f32, f32) = (4.0, 250.0);
/// Gains beyond this are another picture.
const GAIN: (f32, f32) = (0.4, 2.5);
/// Below these the picture counts as unchanged, so that rounding does not add up over hours.
const NEUTRAL: (f32, f32) = (0.03, 2.0);

/// About so many pairs are enough for two numbers.
const PAIRS: usize = 500;

/// `picture = gain * model + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    gain: f32,
    offset: f32,
}

impl Exposure {
    const NONE: Self = Self { gain: 1.0, offset: 0.0 };

    /// One in how many of so many pairs is enough: an odd number of cells apart, so that no column of the grid is favoured.
    pub fn stride(pairs: usize) -> usize {
        if pairs < 4 * PAIRS { 1 } else { (pairs / PAIRS) | 1 }
    }

    /// Fits `(model, picture)` pairs, one in every [`Self::stride`]; as many as half of them may be wrong.
    pub fn fit(pairs: impl Iterator<Item = (f32, f32)>) -> Self {
        let within = |v: f32| v > CLIPPED.0 && v < CLIPPED.1;
        let usable: Vec<(f32, f32)> = pairs.filter(|(m, p)| within(*m) && within(*p)).collect();
        if usable.len() < 16 {
            return Self::NONE;
        }
        let ratio = median(usable.iter().map(|(m, p)| p / m));
        let shift = median(usable.iter().map(|(m, p)| p - m));
        let starts = [Self::NONE, Self { gain: ratio, offset: 0.0 }, Self { gain: 1.0, offset: shift }];
        let spread = |e: &Self| median(usable.iter().map(|(m, p)| (e.apply(*m) - p).abs()));
        let mut best = Self::NONE;
        let mut best_spread = f32::INFINITY;
        for start in starts {
            let mut exposure = start;
            for _ in 0..3 {
                let limit = 2.5 * spread(&exposure) + 0.5;
                let kept = usable.iter().filter(|(m, p)| (exposure.apply(*m) - p).abs() <= limit);
                exposure = Self::least_squares(kept).unwrap_or(exposure);
            }
            // Without a clear gain the simpler answer is the better one.
            let result = spread(&exposure);
            if result < 0.9 * best_spread {
                (best, best_spread) = (exposure, result);
            }
        }
        best
    }

    fn least_squares<'a>(pairs: impl Iterator<Item = &'a (f32, f32)>) -> Option<Self> {
        let (mut n, mut sm, mut sp, mut smm, mut smp) = (0.0f64, 0.0f64, 0.0f64, 0.0f64, 0.0f64);
        for &(m, p) in pairs {
            let (m, p) = (m as f64, p as f64);
            (n, sm, sp, smm, smp) = (n + 1.0, sm + m, sp + p, smm + m * m, smp + m * p);
        }
        let spread = n * smm - sm * sm;
        // A scene of one grey has an offset but no gain.
        let gain = if spread > 4.0 * n * n { (n * smp - sm * sp) / spread } else { 1.0 };
        let offset = (sp - gain * sm) / n;
        let known = n >= 16.0 && (GAIN.0 as f64..=GAIN.1 as f64).contains(&gain);
        known.then_some(Self { gain: gain as f32, offset: offset as f32 })
    }

    /// What the model's grey level looks like in the picture.
    pub fn apply(&self, model: f32) -> f32 {
        (self.gain * model + self.offset).clamp(0.0, 255.0)
    }

    /// Whether it changes nothing that matters.
    pub fn is_neutral(&self) -> bool {
        let middle = (self.apply(128.0) - 128.0).abs();
        (self.gain - 1.0).abs() < NEUTRAL.0 && middle < NEUTRAL.1
    }
}

fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_and_offsets_are_found_beside_an_object() {
        for (gain, offset) in [(1.0, 0.0), (1.3, -8.0), (0.6, 12.0), (1.0, 25.0)] {
            let pairs: Vec<(f32, f32)> = (0..1000)
                .map(|i| {
                    let model = 40.0 + (i * 37 % 120) as f32;
                    // A third of the picture is a lorry.
                    (model, if i % 3 == 0 { 200.0 } else { gain * model + offset })
                })
                .collect();
            let found = Exposure::fit(pairs.into_iter());
            let at = |m: f32| (found.apply(m) - (gain * m + offset)).abs();
            assert!(at(60.0) < 1.0 && at(140.0) < 1.0, "{gain} {offset}: {found:?}");
            assert_eq!(found.is_neutral(), (gain, offset) == (1.0, 0.0));
        }
        assert!(Exposure::fit(std::iter::empty()).is_neutral());
    }
}
