//! Points, boxes and polygons in ratios of the picture: x to the right, y down, both 0..1.

use serde::{Deserialize, Serialize};

/// A point in the picture, in ratios 0..1 of its width and height.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "[f32; 2]", into = "[f32; 2]")]
#[schemars(with = "[f32; 2]")]
pub struct Point {
    /// Ratio of the picture's width, 0 at the left edge.
    pub x: f32,
    /// Ratio of the picture's height, 0 at the top edge.
    pub y: f32,
}

impl From<[f32; 2]> for Point {
    fn from([x, y]: [f32; 2]) -> Self {
        Self { x, y }
    }
}

impl From<Point> for [f32; 2] {
    fn from(p: Point) -> Self {
        [p.x, p.y]
    }
}

/// An axis-aligned bounding box in ratios of the picture; `x0 <= x1`, `y0 <= y1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "[f32; 4]", into = "[f32; 4]")]
#[schemars(with = "[f32; 4]")]
pub struct BBox {
    /// Left edge.
    pub x0: f32,
    /// Top edge.
    pub y0: f32,
    /// Right edge.
    pub x1: f32,
    /// Bottom edge.
    pub y1: f32,
}

impl From<[f32; 4]> for BBox {
    fn from([x0, y0, x1, y1]: [f32; 4]) -> Self {
        Self { x0, y0, x1, y1 }
    }
}

impl From<BBox> for [f32; 4] {
    fn from(b: BBox) -> Self {
        [b.x0, b.y0, b.x1, b.y1]
    }
}

impl BBox {
    /// The box with these edges, cut to the picture.
    pub fn clamped(x0: f32, y0: f32, x1: f32, y1: f32) -> Self {
        let (x0, y0) = (x0.clamp(0.0, 1.0), y0.clamp(0.0, 1.0));
        Self { x0, y0, x1: x1.clamp(x0, 1.0), y1: y1.clamp(y0, 1.0) }
    }

    /// Width as a ratio of the picture's width.
    pub fn width(&self) -> f32 {
        self.x1 - self.x0
    }

    /// Height as a ratio of the picture's height.
    pub fn height(&self) -> f32 {
        self.y1 - self.y0
    }

    /// Area as a ratio of the picture's area.
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// The middle of the box.
    pub fn centre(&self) -> Point {
        Point { x: (self.x0 + self.x1) / 2.0, y: (self.y0 + self.y1) / 2.0 }
    }

    /// Where the object touches the ground: the middle of the bottom edge.
    pub fn foot(&self) -> Point {
        Point { x: (self.x0 + self.x1) / 2.0, y: self.y1 }
    }

    /// This share of it, 0..1, from the bottom: what of a thing stands on the ground. Cameras look down at a slant, and the rest
    /// leans over the ground behind it.
    pub fn lowest(&self, share: f32) -> BBox {
        BBox { y0: self.y1 - share * self.height(), ..*self }
    }

    /// The lowest quarter: where a thing stands.
    pub fn base(&self) -> BBox {
        self.lowest(0.25)
    }

    /// The area both boxes share.
    pub fn intersection(&self, other: &BBox) -> f32 {
        let w = self.x1.min(other.x1) - self.x0.max(other.x0);
        let h = self.y1.min(other.y1) - self.y0.max(other.y0);
        w.max(0.0) * h.max(0.0)
    }

    /// Intersection over union, 0..1; 0 for two empty boxes.
    pub fn iou(&self, other: &BBox) -> f32 {
        let shared = self.intersection(other);
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }

    /// The box this share of the way to another, 0..1.
    pub fn towards(&self, other: &BBox, share: f32) -> BBox {
        let between = |a: f32, b: f32| a + share * (b - a);
        BBox {
            x0: between(self.x0, other.x0),
            y0: between(self.y0, other.y0),
            x1: between(self.x1, other.x1),
            y1: between(self.y1, other.y1),
        }
    }

    /// The smallest box around both.
    pub fn union(&self, other: &BBox) -> BBox {
        BBox {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }
}

/// Why a list of points is not a zone.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolygonError {
    /// Fewer than three points enclose nothing.
    #[error("a zone needs at least 3 points, this one has {0}")]
    TooFewPoints(usize),
    /// A coordinate outside 0..1, or not a number.
    #[error("point {index} ({x}, {y}) lies outside the picture; coordinates are ratios from 0 to 1")]
    Outside {
        /// Which point, counted from 1.
        index: usize,
        /// Its x.
        x: f32,
        /// Its y.
        y: f32,
    },
    /// Two edges cross or touch.
    #[error("edges {0} and {1} cross; list the corners in order around the zone")]
    Crossing(usize, usize),
    /// Less than one ten-thousandth of the picture.
    #[error("the zone's area is {0:.6} of the picture, too small to hold anything")]
    TooSmall(f32),
}

/// A simple polygon in ratios of the picture; built only through [`Polygon::new`], so always valid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "Vec<Point>", into = "Vec<Point>")]
#[schemars(with = "Vec<[f32; 2]>")]
pub struct Polygon {
    points: Vec<Point>,
}

impl TryFrom<Vec<Point>> for Polygon {
    type Error = PolygonError;
    fn try_from(points: Vec<Point>) -> Result<Self, PolygonError> {
        Self::new(points)
    }
}

impl From<Polygon> for Vec<Point> {
    fn from(p: Polygon) -> Self {
        p.points
    }
}

/// The smallest zone worth watching, as a ratio of the picture: 92 pixels of a 640x360 picture is 0.0004.
const POLYGON_AREA_MIN: f32 = 1e-4;

impl Polygon {
    /// Checks that the points enclose a simple area inside the picture.
    pub fn new(points: Vec<Point>) -> Result<Self, PolygonError> {
        if points.len() < 3 {
            return Err(PolygonError::TooFewPoints(points.len()));
        }
        for (i, p) in points.iter().enumerate() {
            let inside = (0.0..=1.0).contains(&p.x) && (0.0..=1.0).contains(&p.y);
            if !inside {
                return Err(PolygonError::Outside { index: i + 1, x: p.x, y: p.y });
            }
        }
        let n = points.len();
        for i in 0..n {
            for j in i + 1..n {
                let neighbours = j == i + 1 || (i == 0 && j == n - 1);
                let edge = |k: usize| (points[k], points[(k + 1) % n]);
                if !neighbours && segments_touch(edge(i), edge(j)) {
                    return Err(PolygonError::Crossing(i + 1, j + 1));
                }
            }
        }
        let polygon = Self { points };
        let area = polygon.area();
        if area < POLYGON_AREA_MIN {
            return Err(PolygonError::TooSmall(area));
        }
        Ok(polygon)
    }

    /// The whole picture.
    pub fn whole_picture() -> Self {
        let points = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
        Self { points: points.map(Point::from).to_vec() }
    }

    /// The corners, in the operator's order.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Area as a ratio of the picture's area (shoelace formula).
    pub fn area(&self) -> f32 {
        let n = self.points.len();
        let twice: f32 = (0..n)
            .map(|i| {
                let (a, b) = (self.points[i], self.points[(i + 1) % n]);
                a.x * b.y - b.x * a.y
            })
            .sum();
        twice.abs() / 2.0
    }

    /// Whether the point lies inside (even-odd rule; points on an edge may go either way).
    pub fn contains(&self, p: Point) -> bool {
        self.crossings(p.y).filter(|&crossing| p.x < crossing).count() % 2 == 1
    }

    /// The smallest box around the polygon.
    pub fn bounds(&self) -> BBox {
        let first = self.points[0];
        let start = BBox { x0: first.x, y0: first.y, x1: first.x, y1: first.y };
        self.points.iter().fold(start, |b, p| b.union(&BBox { x0: p.x, y0: p.y, x1: p.x, y1: p.y }))
    }

    /// The part of the box inside the polygon, as an area of the picture (Sutherland-Hodgman on the box's edges).
    pub fn overlap(&self, bbox: &BBox) -> f32 {
        let mut ring = self.points.clone();
        // The polygon is cut by the four half planes of the box, which is convex.
        let sides: [fn(&BBox, Point) -> f32; 4] =
            [|b, p| p.x - b.x0, |b, p| b.x1 - p.x, |b, p| p.y - b.y0, |b, p| b.y1 - p.y];
        for side in sides {
            let n = ring.len();
            let mut cut = Vec::with_capacity(n + 4);
            for i in 0..n {
                let (a, b) = (ring[i], ring[(i + 1) % n]);
                let (da, db) = (side(bbox, a), side(bbox, b));
                if da >= 0.0 {
                    cut.push(a);
                }
                if (da >= 0.0) != (db >= 0.0) {
                    let t = da / (da - db);
                    cut.push(Point { x: a.x + (b.x - a.x) * t, y: a.y + (b.y - a.y) * t });
                }
            }
            ring = cut;
            if ring.len() < 3 {
                return 0.0;
            }
        }
        Polygon { points: ring }.area()
    }

    /// How much of the box lies inside the polygon, 0..1.
    pub fn share_of_box(&self, bbox: &BBox) -> f32 {
        let area = bbox.area();
        if area > 0.0 { (self.overlap(bbox) / area).min(1.0) } else { 0.0 }
    }

    /// How much of the polygon the boxes cover together, 0..1, counted on a grid of 64 x 64 points of its bounds.
    pub fn covered_by(&self, boxes: &[BBox]) -> f32 {
        const GRID: usize = 64;
        if boxes.is_empty() {
            return 0.0;
        }
        let bounds = self.bounds();
        let place = |from: f32, length: f32, i: usize| from + length * (i as f32 + 0.5) / GRID as f32;
        let columns: [f32; GRID] = std::array::from_fn(|i| place(bounds.x0, bounds.width(), i));
        // The points of a row are the bits of a word; these are the ones left of a place.
        let left_of = |x: f32| ((1u128 << columns.partition_point(|&column| column < x)) - 1) as u64;
        let spans: Vec<_> = boxes.iter().map(|b| (b.y0..b.y1, left_of(b.x1) & !left_of(b.x0))).collect();
        let (mut inside, mut covered) = (0u32, 0u32);
        for y in (0..GRID).map(|row| place(bounds.y0, bounds.height(), row)) {
            let row = self.crossings(y).fold(0, |row, crossing| row ^ left_of(crossing));
            let met = spans.iter().filter(|(rows, _)| rows.contains(&y)).fold(0, |met, (_, span)| met | span);
            inside += row.count_ones();
            covered += (row & met).count_ones();
        }
        if inside == 0 { 0.0 } else { covered as f32 / inside as f32 }
    }

    /// Where the edges cross a line across the picture.
    fn crossings(&self, y: f32) -> impl Iterator<Item = f32> {
        let n = self.points.len();
        let edges = (0..n).map(move |i| (self.points[i], self.points[(i + 1) % n]));
        let crossing = edges.filter(move |(a, b)| (a.y > y) != (b.y > y));
        crossing.map(move |(a, b)| (b.x - a.x) * (y - a.y) / (b.y - a.y) + a.x)
    }
}

fn segments_touch((a, b): (Point, Point), (c, d): (Point, Point)) -> bool {
    let side = |p: Point, q: Point, r: Point| {
        let v = (q.x - p.x) * (r.y - p.y) - (q.y - p.y) * (r.x - p.x);
        if v.abs() < 1e-9 {
            0
        } else if v > 0.0 {
            1
        } else {
            -1
        }
    };
    let within = |p: Point, q: Point, r: Point| {
        r.x >= p.x.min(q.x) && r.x <= p.x.max(q.x) && r.y >= p.y.min(q.y) && r.y <= p.y.max(q.y)
    };
    let (s1, s2, s3, s4) = (side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b));
    (s1 * s2 < 0 && s3 * s4 < 0)
        || (s1 == 0 && within(a, b, c))
        || (s2 == 0 && within(a, b, d))
        || (s3 == 0 && within(c, d, a))
        || (s4 == 0 && within(c, d, b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn polygon(points: &[[f32; 2]]) -> Result<Polygon, PolygonError> {
        Polygon::new(points.iter().copied().map(Point::from).collect())
    }

    #[test]
    fn bad_polygons_are_named() {
        assert_eq!(polygon(&[[0.0, 0.0], [1.0, 1.0]]), Err(PolygonError::TooFewPoints(2)));
        let outside = polygon(&[[0.0, 0.0], [1.2, 0.0], [1.0, 1.0]]);
        assert_eq!(outside, Err(PolygonError::Outside { index: 2, x: 1.2, y: 0.0 }));
        let bow_tie = polygon(&[[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]);
        assert_eq!(bow_tie, Err(PolygonError::Crossing(1, 3)));
        assert!(matches!(
            polygon(&[[0.5, 0.5], [0.505, 0.5], [0.505, 0.505]]),
            Err(PolygonError::TooSmall(_))
        ));
        assert!(polygon(&[[0.0, f32::NAN], [1.0, 0.0], [1.0, 1.0]]).is_err());
    }

    #[test]
    fn overlap_of_a_triangle_and_a_box() {
        let triangle = polygon(&[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).unwrap();
        let square = BBox { x0: 0.0, y0: 0.0, x1: 0.5, y1: 0.5 };
        assert!((triangle.overlap(&square) - 0.25).abs() < 1e-6);
        let far = BBox { x0: 0.6, y0: 0.6, x1: 0.9, y1: 0.9 };
        assert_eq!(triangle.overlap(&far), 0.0);
        assert!((triangle.covered_by(&[square]) - 0.5).abs() < 0.02);
    }

    fn any_box() -> impl Strategy<Value = BBox> {
        (0.0f32..1.0, 0.0f32..1.0, 0.0f32..1.0, 0.0f32..1.0).prop_map(|(a, b, c, d)| BBox {
            x0: a.min(c),
            y0: b.min(d),
            x1: a.max(c),
            y1: b.max(d),
        })
    }

    proptest! {
        #[test]
        fn iou_is_symmetric_and_bounded(a in any_box(), b in any_box()) {
            let (ab, ba) = (a.iou(&b), b.iou(&a));
            prop_assert!((ab - ba).abs() < 1e-6);
            prop_assert!((0.0..=1.0 + 1e-6).contains(&ab));
        }

        #[test]
        fn overlap_never_exceeds_either_area(b in any_box()) {
            let l = polygon(&[[0.1, 0.1], [0.9, 0.1], [0.9, 0.4], [0.5, 0.4], [0.5, 0.9], [0.1, 0.9]]).unwrap();
            let shared = l.overlap(&b);
            prop_assert!(shared <= b.area() + 1e-5);
            prop_assert!(shared <= l.area() + 1e-5);
        }

        #[test]
        fn whole_picture_contains_every_box(b in any_box()) {
            prop_assert!((Polygon::whole_picture().overlap(&b) - b.area()).abs() < 1e-5);
        }
    }
}
