//! Scan conversion: which cells of a grid a polygon covers, row by row.

use std::ops::Range;

use crate::geometry::{Point, Polygon};

/// A row and its columns from..to.
pub(super) type Span = (usize, Range<usize>);

/// A grid of square cells over a picture: a plane of its pixels, perhaps subsampled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    /// Cells in a row.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
    /// The picture's width in cells: `columns`, or half a cell less in a chroma plane of an odd width.
    pub width: f32,
    /// The picture's height in cells.
    pub height: f32,
}

impl Grid {
    /// The grid of the picture's own pixels.
    pub(super) fn pixels(columns: usize, rows: usize) -> Self {
        Self { columns, rows, width: columns as f32, height: rows as f32 }
    }

    fn in_cells(&self, polygon: &Polygon) -> Vec<Point> {
        polygon.points().iter().map(|p| Point { x: p.x * self.width, y: p.y * self.height }).collect()
    }

    /// From..to, cut to the grid's columns; empty if nothing is left.
    fn cut(&self, from: f32, to: f32) -> Range<usize> {
        let to = (to.max(0.0) as usize).min(self.columns);
        (from.max(0.0) as usize).min(to)..to
    }

    /// Cells whose middle lies inside the polygon (even-odd rule).
    pub(super) fn inside(&self, polygon: &Polygon) -> Vec<Span> {
        let corners = self.in_cells(polygon);
        let bounds = polygon.bounds();
        let first = (bounds.y0 * self.height) as usize;
        let last = ((bounds.y1 * self.height).ceil() as usize).min(self.rows);
        let mut spans = Vec::new();
        let mut crossings = Vec::new();
        for row in first..last {
            let y = row as f32 + 0.5;
            crossings.clear();
            for (a, b) in edges(&corners) {
                if (a.y > y) != (b.y > y) {
                    crossings.push((b.x - a.x) * (y - a.y) / (b.y - a.y) + a.x);
                }
            }
            crossings.sort_by(f32::total_cmp);
            for pair in crossings.chunks_exact(2) {
                let columns = self.cut((pair[0] + 0.5).floor(), (pair[1] + 0.5).floor());
                if !columns.is_empty() {
                    spans.push((row, columns));
                }
            }
        }
        spans
    }

    /// Cells of which any part lies inside the polygon: for hiding, where a half-covered cell is not covered.
    pub(super) fn touched(&self, polygon: &Polygon) -> Vec<Span> {
        let mut spans = self.inside(polygon);
        let corners = self.in_cells(polygon);
        for (a, b) in edges(&corners) {
            let (top, bottom) = if a.y <= b.y { (a, b) } else { (b, a) };
            let first = (top.y.floor() as usize).min(self.rows.saturating_sub(1));
            let last = (bottom.y.floor() as usize + 1).min(self.rows);
            for row in first..last {
                // The part of the edge within this row's strip; a level edge is there as a whole.
                let x_at = |y: f32| {
                    let t = (y - top.y) / (bottom.y - top.y);
                    if t.is_finite() { top.x + (bottom.x - top.x) * t.clamp(0.0, 1.0) } else { top.x }
                };
                let level = bottom.y - top.y < 1e-3;
                let (from, to) =
                    if level { (top.x, bottom.x) } else { (x_at(row as f32), x_at(row as f32 + 1.0)) };
                let columns = self.cut(from.min(to).floor(), from.max(to).floor() + 1.0);
                if !columns.is_empty() {
                    spans.push((row, columns));
                }
            }
        }
        spans
    }
}

fn edges(corners: &[Point]) -> impl Iterator<Item = (Point, Point)> {
    let n = corners.len();
    (0..n).map(move |i| (corners[i], corners[(i + 1) % n]))
}
