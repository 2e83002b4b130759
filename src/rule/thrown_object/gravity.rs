//! Gravity and drag: how far a real thing has fallen after so many seconds, fitted to heights on a calibrated wall.
//!
//! `dv/dt = g (1 - v²/u²)`, u the terminal speed, has a closed form; what is left to search is the speed at the first
//! sighting, the terminal speed and the scale. The scale is not 1: a thing thrown two metres out of a wall forty metres
//! away looks five per cent faster than on it, and corners are drawn by hand.

/// Standard gravity, m/s².
const G: f64 = 9.80665;
/// Terminal speeds tried, m/s: a cardboard box, a shoe, a bottle, a stone, a stone without air.
const TERMINAL: [f64; 6] = [8.0, 11.0, 15.0, 21.0, 32.0, 1000.0];
/// Scales tried.
const SCALES: [f64; 5] = [0.8, 0.92, 1.05, 1.2, 1.36];
/// Speeds at the first sighting: so fast upwards, m/s ...
const UP_MAX: f64 = 5.0;
/// ... and so fast downwards.
const DOWN_MAX: f64 = 34.0;
/// Steps of the search for the speed; the golden section shrinks 39 m/s to 0.1.
const STEPS: usize = 13;

/// The fall that explains some heights best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gravity {
    /// Speed downwards at the first sighting, m/s.
    pub speed: f64,
    /// Terminal speed, m/s.
    pub terminal: f64,
    /// Metres on the wall per metre fallen.
    pub scale: f64,
    /// Root of the mean squared residual, metres.
    pub rms: f64,
}

impl Gravity {
    /// Fits `(seconds, metres downwards)`; `None` without points.
    pub fn fit(down: &[(f64, f64)]) -> Option<Self> {
        let &(origin, start) = down.first()?;
        let mut best: Option<Self> = None;
        for terminal in TERMINAL {
            for scale in SCALES {
                let tried = |speed: f64| {
                    let residual =
                        |&(t, d): &(f64, f64)| d - start - scale * fallen(speed, terminal, t - origin);
                    let mean = down.iter().map(residual).sum::<f64>() / down.len() as f64;
                    let squares = down.iter().map(|p| (residual(p) - mean).powi(2)).sum::<f64>();
                    Self { speed, terminal, scale, rms: (squares / down.len() as f64).sqrt() }
                };
                let found = golden(-UP_MAX, DOWN_MAX.min(0.98 * terminal), tried);
                if best.is_none_or(|b| found.rms < b.rms) {
                    best = Some(found);
                }
            }
        }
        best
    }

    /// Metres on the wall from the release at rest to the first sighting.
    pub fn unseen(&self) -> f64 {
        let u = (self.speed.max(0.0) / self.terminal).min(0.98);
        -self.scale * self.terminal.powi(2) / (2.0 * G) * (1.0 - u * u).ln()
    }
}

/// The speed of least scatter between two, by golden section: the scatter has one valley.
fn golden(mut low: f64, mut high: f64, tried: impl Fn(f64) -> Gravity) -> Gravity {
    const RATIO: f64 = 0.618_033_988_75;
    let at = |low: f64, high: f64| (high - RATIO * (high - low), low + RATIO * (high - low));
    let (a, b) = at(low, high);
    let (mut a, mut b) = (tried(a), tried(b));
    for _ in 0..STEPS {
        if a.rms < b.rms {
            (high, b) = (b.speed, a);
            a = tried(at(low, high).0);
        } else {
            (low, a) = (a.speed, b);
            b = tried(at(low, high).1);
        }
    }
    if a.rms < b.rms { a } else { b }
}

/// Metres fallen after `t` seconds by something that has `speed` downwards now.
fn fallen(speed: f64, terminal: f64, t: f64) -> f64 {
    if speed < 0.0 {
        // Thrown upwards it is slow, and air does nothing to it.
        let rise_s = (-speed / G).min(t);
        return speed * rise_s + 0.5 * G * rise_s * rise_s + fallen(0.0, terminal, t - rise_s);
    }
    let u = (speed / terminal).min(0.98);
    let turned = G * t / terminal;
    // ln(cosh(x + atanh u) / cosh(atanh u)) without the overflow of cosh.
    terminal * terminal / G * (turned + ((1.0 + u + (1.0 - u) * (-2.0 * turned).exp()) / 2.0).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Metres fallen by small steps, as a check on the closed form.
    fn stepped(mut speed: f64, terminal: f64, seconds: f64) -> f64 {
        let (mut fallen, step) = (0.0, 1e-4);
        for _ in 0..(seconds / step) as usize {
            speed += G * (1.0 - speed * speed.abs() / (terminal * terminal)) * step;
            fallen += speed * step;
        }
        fallen
    }

    #[test]
    fn the_closed_form_is_the_fall() {
        for (speed, terminal, seconds) in
            [(0.0, 1000.0, 2.0), (0.0, 11.0, 3.0), (5.0, 15.0, 1.5), (-2.0, 40.0, 2.0)]
        {
            let (ours, small) = (fallen(speed, terminal, seconds), stepped(speed, terminal, seconds));
            assert!((ours - small).abs() < 0.1, "{speed} {terminal} {seconds}: {ours}, stepped {small}");
        }
    }

    #[test]
    fn a_fall_is_found_again_and_a_glide_is_not() {
        let at = |value: &dyn Fn(f64) -> f64| -> Vec<(f64, f64)> {
            (0..30).map(|i| f64::from(i) * 0.04).map(|t| (t + 7.0, value(t))).collect()
        };
        let found = Gravity::fit(&at(&|t| 3.0 + fallen(4.0, 21.0, t))).unwrap();
        assert!(found.rms < 0.05 && (found.speed - 4.0).abs() < 1.0, "{found:?}");
        assert!((found.unseen() - 0.83).abs() < 0.4, "{}", found.unseen());
        // A bird: three metres a second down, then up.
        let glide = Gravity::fit(&at(&|t| 3.0 * t - 2.0 * t * t)).unwrap();
        assert!(glide.rms > 0.3, "{glide:?}");
        assert_eq!(Gravity::fit(&[]), None);
    }
}
