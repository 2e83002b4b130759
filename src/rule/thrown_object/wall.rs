//! From the picture to metres on a calibrated facade, and back.

use crate::config::Facade;
use crate::geometry::Point;

/// A projective map between the picture and the facade's plane: metres to the right of its left edge, metres above ground.
#[derive(Debug, Clone, PartialEq)]
pub struct Wall {
    metres_from_picture: [f64; 9],
    picture_from_metres: [f64; 9],
    /// Height of one floor in metres.
    pub floor_m: Option<f32>,
}

impl Wall {
    /// The map that takes the facade's corners to its rectangle; `None` if three of them lie on a line.
    pub fn new(facade: &Facade) -> Option<Self> {
        let (w, bottom, top) = (facade.width_m as f64, facade.bottom_m as f64, facade.top_m as f64);
        let metres = [(0.0, bottom), (w, bottom), (w, top), (0.0, top)];
        let picture = facade.corners.map(|p| (p.x as f64, p.y as f64));
        Some(Self {
            metres_from_picture: homography(&picture, &metres)?,
            picture_from_metres: homography(&metres, &picture)?,
            floor_m: facade.floor_m.filter(|m| *m > 0.0),
        })
    }

    /// Metres to the right and above ground of a point in the picture.
    pub fn metres(&self, p: Point) -> (f64, f64) {
        apply(&self.metres_from_picture, (p.x as f64, p.y as f64))
    }

    /// How steeply the camera looks up at a point in a picture of this aspect: metres up the wall that a thing one metre
    /// before it seems higher; 0..3. From how much shorter a metre upwards looks than a metre sideways.
    pub fn steepness(&self, p: Point, aspect: f64) -> f64 {
        let here = self.metres(p);
        let length = |to: (f64, f64)| {
            let (a, b) = (apply(&self.picture_from_metres, here), apply(&self.picture_from_metres, to));
            (aspect * (a.0 - b.0)).hypot(a.1 - b.1)
        };
        let shorter = length((here.0, here.1 + 1.0)) / length((here.0 + 1.0, here.1)).max(1e-9);
        (1.0 / (shorter * shorter).clamp(0.1, 1.0) - 1.0).sqrt()
    }

    /// The point in the picture, held within it.
    pub fn picture(&self, metres: (f64, f64)) -> Point {
        let (x, y) = apply(&self.picture_from_metres, metres);
        Point { x: (x as f32).clamp(0.0, 1.0), y: (y as f32).clamp(0.0, 1.0) }
    }
}

fn apply(h: &[f64; 9], (x, y): (f64, f64)) -> (f64, f64) {
    let w = h[6] * x + h[7] * y + h[8];
    ((h[0] * x + h[1] * y + h[2]) / w, (h[3] * x + h[4] * y + h[5]) / w)
}

/// The homography that takes four points to four others (direct linear transform, h33 = 1).
fn homography(from: &[(f64, f64); 4], to: &[(f64, f64); 4]) -> Option<[f64; 9]> {
    let mut rows = [[0.0; 9]; 8];
    for (i, (&(x, y), &(u, v))) in from.iter().zip(to).enumerate() {
        rows[2 * i] = [x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u];
        rows[2 * i + 1] = [0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v];
    }
    for column in 0..8 {
        let pivot = (column..8).max_by(|&i, &j| rows[i][column].abs().total_cmp(&rows[j][column].abs()))?;
        if rows[pivot][column].abs() < 1e-9 {
            return None;
        }
        rows.swap(column, pivot);
        let pivot_row = rows[column].map(|v| v / rows[column][column]);
        rows[column] = pivot_row;
        for row in (0..8).filter(|&row| row != column) {
            let factor = rows[row][column];
            for k in column..9 {
                rows[row][k] -= factor * pivot_row[k];
            }
        }
    }
    let mut h = [1.0; 9];
    for (value, row) in h.iter_mut().zip(&rows) {
        *value = row[8];
    }
    h.iter().all(|v| v.is_finite()).then_some(h)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_and_middle_of_a_leaning_facade() {
        let corners = [[0.2, 0.9], [0.8, 0.9], [0.65, 0.1], [0.35, 0.1]].map(Point::from);
        let facade = Facade { corners, bottom_m: 3.0, top_m: 33.0, width_m: 20.0, floor_m: Some(3.0) };
        let wall = Wall::new(&facade).unwrap();
        for (corner, (x, y)) in corners.iter().zip([(0.0, 3.0), (20.0, 3.0), (20.0, 33.0), (0.0, 33.0)]) {
            let (mx, my) = wall.metres(*corner);
            assert!((mx - x).abs() < 1e-3 && (my - y).abs() < 1e-3);
        }
        let middle = wall.metres(Point { x: 0.5, y: 0.5 });
        // Far floors are small: half of the picture's height is less than half of the way up.
        assert!((middle.0 - 10.0).abs() < 1e-3 && (8.0..17.9).contains(&middle.1), "{middle:?}");
        let back = wall.picture(middle);
        assert!((back.x - 0.5).abs() < 1e-4 && (back.y - 0.5).abs() < 1e-4);
        let flat =
            Facade { corners: [[0.2, 0.9], [0.4, 0.9], [0.6, 0.9], [0.8, 0.9]].map(Point::from), ..facade };
        assert_eq!(Wall::new(&flat), None);
    }
}
