//! Gravity and drag: how far a real thing has fallen after so many seconds, fitted to heights on a calibrated wall.
//!
//! `dv/dt = g (1 - v²/u²)`, u the terminal speed, has a closed form; what is left to search is the speed at the first
//! sighting, the terminal speed, how fast it leaves the wall, and the scale. The scale is not 1: a thing thrown two metres
//! out of a wall forty metres away looks five per cent faster than on it, and corners are drawn by hand.

/// Standard gravity, m/s².
const G: f64 = 9.80665;
/// Terminal speeds tried, m/s: paper and foam, a cardboard box, a shoe, a bottle, a stone, a stone without air.
const TERMINAL: [f64; 7] = [8.0, 10.0, 12.5, 16.0, 22.0, 34.0, 1000.0];
/// Speeds away from the wall tried, in distances of the camera per second: thrown at 3 m/s before a camera 30 m away, 0.1.
const AWAY: [f64; 4] = [0.0, 0.04, 0.09, 0.15];
/// Scales that are possible.
const SCALE: (f64, f64) = (0.8, 1.36);
/// Height of a camera that looks up a wall, in metres.
const EYE_M: f64 = 4.0;
/// Speeds at the first sighting: so fast upwards, m/s ...
const UP_MAX: f64 = 6.0;
/// ... and so fast downwards.
const DOWN_MAX: f64 = 34.0;
/// Steps of the search for the speed; the golden section shrinks 40 m/s to 0.1.
const STEPS: usize = 13;
/// Sightings that the search looks at, evenly; more tell nothing new.
const SAMPLED_MAX: usize = 28;

/// The fall that explains some heights best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gravity {
    /// Speed downwards at the first sighting, m/s.
    pub speed: f64,
    /// Terminal speed, m/s.
    pub terminal: f64,
    /// Speed away from the wall at the first sighting, in distances of the camera per second.
    pub away: f64,
    /// Metres on the wall per metre fallen.
    pub scale: f64,
    /// Root of the mean squared residual, metres.
    pub rms: f64,
}

impl Gravity {
    /// Fits `(seconds, metres downwards)` of a thing first seen at `height_m` on the wall; `None` without points.
    pub fn fit(down: &[(f64, f64)], height_m: f64) -> Option<Self> {
        Self::best(down, height_m, &AWAY)
    }

    /// The same along the wall only: not so close, but a speed that cannot be had for one away from the wall.
    pub fn along(down: &[(f64, f64)], height_m: f64) -> Option<Self> {
        Self::best(down, height_m, &AWAY[..1])
    }

    fn best(down: &[(f64, f64)], height_m: f64, aways: &[f64]) -> Option<Self> {
        let (origin, first) = *down.first()?;
        let step = down.len().div_ceil(SAMPLED_MAX);
        let sampled: Vec<(f64, f64)> =
            down.iter().step_by(step).map(|&(t, d)| (t - origin, d - first)).collect();
        let mut best: Option<Self> = None;
        for terminal in TERMINAL {
            for &away in aways {
                let tried = |speed: f64| Self::tried(&sampled, height_m - EYE_M, speed, terminal, away);
                let found = golden(-UP_MAX, DOWN_MAX.min(0.98 * terminal), tried);
                if best.is_none_or(|b| found.rms < b.rms) {
                    best = Some(found);
                }
            }
        }
        best
    }

    /// The best offset and scale for given speeds, by linear regression.
    fn tried(down: &[(f64, f64)], above_m: f64, speed: f64, terminal: f64, away: f64) -> Self {
        let n = down.len() as f64;
        let (mut sx, mut sy, mut sxx, mut sxy, mut syy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(t, d) in down {
            let x = seen(above_m, speed, terminal, away, t);
            (sx, sy, sxx, sxy, syy) = (sx + x, sy + d, sxx + x * x, sxy + x * d, syy + d * d);
        }
        let (vx, vxy, vy) = (sxx - sx * sx / n, sxy - sx * sy / n, syy - sy * sy / n);
        let scale = if vx > 1e-9 { (vxy / vx).clamp(SCALE.0, SCALE.1) } else { 1.0 };
        let squares = (vy - 2.0 * scale * vxy + scale * scale * vx).max(0.0);
        Self { speed, terminal, away, scale, rms: (squares / n).sqrt() }
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

/// Metres downwards on the wall that a thing seems to have gone after `t` seconds, first seen so far above the camera.
///
/// What comes nearer to the camera is seen higher up the wall behind it: heights above the eye grow by 1 / (1 - z), z the way
/// towards the camera. Air takes the speed away from the wall as it takes the rest.
fn seen(above_m: f64, speed: f64, terminal: f64, away: f64, t: f64) -> f64 {
    let down = fallen(speed, terminal, t);
    if away == 0.0 {
        return down;
    }
    let slowed = 0.6 * G / terminal * t;
    let z = away * t * (1.0 - 0.5 * slowed + slowed * slowed / 6.0).max(0.25);
    above_m - (above_m - down) / (1.0 - z.min(0.6))
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
        let found = Gravity::along(&at(&|t| 3.0 + fallen(4.0, 21.0, t)), 30.0).unwrap();
        assert!(found.rms < 0.05 && (found.speed - 4.0).abs() < 1.0, "{found:?}");
        assert!((found.unseen() - 0.83).abs() < 0.4, "{}", found.unseen());
        // Thrown at the camera it seems to rise, and still is a fall.
        let thrown = Gravity::fit(&at(&|t| seen(26.0, 1.0, 34.0, 0.09, t)), 30.0).unwrap();
        assert!(thrown.rms < 0.02, "{thrown:?}");
        // A bird: three metres a second down, then up.
        let glide = Gravity::fit(&at(&|t| 3.0 * t - 2.0 * t * t), 30.0).unwrap();
        assert!(glide.rms > 0.3, "{glide:?}");
        assert_eq!(Gravity::fit(&[], 0.0), None);
    }
}
