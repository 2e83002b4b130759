//! Low-order polynomials through points in time, by least squares.

/// A polynomial of degree 0 to 3 in `t - origin`, with the spread of its residuals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    origin: f64,
    /// Coefficients, constant first.
    coefficients: [f64; 4],
    /// Standard error of each coefficient.
    errors: [f64; 4],
    /// Root of the mean squared residual.
    pub rms: f64,
}

impl Curve {
    /// Fits `degree` (0 to 3) through `(time, value)`; `None` with too few points or times that do not spread.
    pub fn fit(points: &[(f64, f64)], degree: usize) -> Option<Self> {
        let n = degree.min(3) + 1;
        let (first, last) = (points.first()?, points.last()?);
        if points.len() < n || last.0 <= first.0 {
            return None;
        }
        let origin = first.0;
        // Scaled to 0..1, so that the normal equations stay well conditioned whatever the unit of time.
        let scale = last.0 - origin;
        let mut normal = [[0.0; 4]; 4];
        let mut right = [0.0; 4];
        for &(t, value) in points {
            let powers = powers((t - origin) / scale);
            for i in 0..n {
                for j in 0..n {
                    normal[i][j] += powers[i] * powers[j];
                }
                right[i] += powers[i] * value;
            }
        }
        let inverse = invert(normal, n)?;
        let mut coefficients = [0.0; 4];
        for i in 0..n {
            coefficients[i] = (0..n).map(|j| inverse[i][j] * right[j]).sum();
        }
        let residual = |&(t, value): &(f64, f64)| {
            let p = powers((t - origin) / scale);
            let error = value - (0..n).map(|i| coefficients[i] * p[i]).sum::<f64>();
            error * error
        };
        let squares: f64 = points.iter().map(residual).sum();
        let variance = squares / (points.len().saturating_sub(n)).max(1) as f64;
        let mut errors = [0.0; 4];
        let mut unit = 1.0;
        for i in 0..n {
            coefficients[i] /= unit;
            errors[i] = (inverse[i][i].max(0.0) * variance).sqrt() / unit;
            unit *= scale;
        }
        let rms = (squares / points.len() as f64).sqrt();
        coefficients.iter().all(|c| c.is_finite()).then_some(Self { origin, coefficients, errors, rms })
    }

    /// The value at a time.
    pub fn at(&self, t: f64) -> f64 {
        let p = powers(t - self.origin);
        (0..4).map(|i| self.coefficients[i] * p[i]).sum()
    }

    /// The first derivative at a time.
    pub fn speed_at(&self, t: f64) -> f64 {
        let [_, b, c, d] = self.coefficients;
        let t = t - self.origin;
        b + t * (2.0 * c + t * 3.0 * d)
    }

    /// Twice the quadratic coefficient (the acceleration of a parabola) and its standard error.
    pub fn acceleration(&self) -> (f64, f64) {
        (2.0 * self.coefficients[2], 2.0 * self.errors[2])
    }

    /// The same curve with its acceleration held within limits; an extrapolation that cannot run away.
    pub fn with_acceleration_within(mut self, least: f64, most: f64) -> Self {
        self.coefficients[2] = self.coefficients[2].clamp(least / 2.0, most / 2.0);
        self
    }
}

fn powers(t: f64) -> [f64; 4] {
    [1.0, t, t * t, t * t * t]
}

/// Inverse of the leading `n` rows and columns (Gauss-Jordan with pivoting); `None` if they are singular.
fn invert(mut a: [[f64; 4]; 4], n: usize) -> Option<[[f64; 4]; 4]> {
    let mut inverse = [[0.0; 4]; 4];
    for (i, row) in inverse.iter_mut().enumerate() {
        row[i] = 1.0;
    }
    for column in 0..n {
        let pivot = (column..n).max_by(|&i, &j| a[i][column].abs().total_cmp(&a[j][column].abs()))?;
        if a[pivot][column].abs() < 1e-12 {
            return None;
        }
        a.swap(column, pivot);
        inverse.swap(column, pivot);
        let by = a[column][column];
        for k in 0..n {
            a[column][k] /= by;
            inverse[column][k] /= by;
        }
        for row in (0..n).filter(|&row| row != column) {
            let factor = a[row][column];
            for k in 0..n {
                a[row][k] -= factor * a[column][k];
                inverse[row][k] -= factor * inverse[column][k];
            }
        }
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fall_is_found_again() {
        let points: Vec<_> = (0..20)
            .map(|i| 100.0 + f64::from(i) * 0.04)
            .map(|t| (t, 3.0 + 4.9 * (t - 100.0).powi(2)))
            .collect();
        let curve = Curve::fit(&points, 2).unwrap();
        assert!((curve.acceleration().0 - 9.8).abs() < 1e-6, "{curve:?}");
        assert!((curve.at(101.0) - 7.9).abs() < 1e-6 && (curve.speed_at(101.0) - 9.8).abs() < 1e-6);
        assert!(curve.rms < 1e-6);
        assert!(Curve::fit(&points, 3).unwrap().acceleration().0 - 9.8 < 1e-3);
    }

    #[test]
    fn no_curve_without_spread() {
        assert_eq!(Curve::fit(&[], 1), None);
        assert_eq!(Curve::fit(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)], 2), None);
        assert_eq!(Curve::fit(&[(1.0, 1.0), (2.0, 2.0)], 2), None);
        assert_eq!(Curve::fit(&[(0.0, f64::NAN), (1.0, 0.0)], 1), None);
    }
}
