//! The picture as a grid of cells, and zones as cells with the share that lies inside.

use crate::frame::Picture;
use crate::geometry::{BBox, Point, Polygon};

/// Most cells across and down; at 1080p a cell is 12 x 12 pixels.
const CELLS_MAX: (usize, usize) = (160, 90);
/// Least pixels per cell, each way: smaller cells would be noise.
const CELL_PX_MIN: usize = 4;
/// Lines taken of each cell: more would cost time and tell nothing new.
const LINES_MAX: usize = 4;
/// Pictures with less mean distance from grey than this come from an infrared lamp, or might as well.
const COLOUR_MIN: f32 = 1.2;

/// Mean of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// Luma, 0..255.
    pub luma: f32,
    /// Chroma, blue and red difference from grey.
    pub blue: f32,
    /// See `blue`.
    pub red: f32,
}

impl Sample {
    /// How far the colours are apart.
    pub fn chroma_distance(&self, other: &Sample) -> f32 {
        (self.blue - other.blue).abs() + (self.red - other.red).abs()
    }

    /// This, moved towards the other by a share of the way.
    pub fn mixed(&self, other: &Sample, share: f32) -> Sample {
        let mix = |a: f32, b: f32| a + share * (b - a);
        Sample {
            luma: mix(self.luma, other.luma),
            blue: mix(self.blue, other.blue),
            red: mix(self.red, other.red),
        }
    }
}

/// Mean distance from grey of all cells.
pub fn colour(samples: &[Sample]) -> f32 {
    let sum: f32 = samples.iter().map(|s| s.blue.abs() + s.red.abs()).sum();
    sum / samples.len().max(1) as f32
}

/// Whether colours mean anything.
pub fn is_coloured(colour: f32) -> bool {
    colour >= COLOUR_MIN
}

/// Whether the infrared filter swung in or out between two pictures.
pub fn infrared_switched(before: f32, after: f32) -> bool {
    let (less, more) = (before.min(after), before.max(after));
    less < 0.5 * COLOUR_MIN && more > 2.0 * COLOUR_MIN
}

/// How a picture is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Picture size in pixels.
    px: (usize, usize),
    /// Cells across.
    pub columns: usize,
    /// Cells down.
    pub rows: usize,
}

/// The cells of a zone: index, and area that lies inside in cells, 0..1.
pub type ZoneCells = Vec<(usize, f32)>;

impl Grid {
    /// The grid for pictures of this size; `None` for pictures too small to be divided, or with planes too short.
    pub fn of(picture: &Picture) -> Option<Self> {
        Self::coarser(picture, CELLS_MAX)
    }

    /// A grid of at most so many cells across and down.
    pub fn coarser(picture: &Picture, cells_max: (usize, usize)) -> Option<Self> {
        let (w, h) = (picture.width, picture.height);
        let (cw, ch) = picture.chroma_size();
        let whole = picture.y.len() >= w * h && picture.u.len() >= cw * ch && picture.v.len() >= cw * ch;
        let (columns, rows) = ((w / CELL_PX_MIN).min(cells_max.0), (h / CELL_PX_MIN).min(cells_max.1));
        (whole && columns >= 8 && rows >= 8).then_some(Self { px: (w, h), columns, rows })
    }

    /// The cells' means, row by row, of a picture that is moved by `shift` (right and down, in pixels).
    pub fn samples(&self, picture: &Picture, shift: (isize, isize)) -> Vec<Sample> {
        let (w, h) = self.px;
        let (cw, ch) = picture.chroma_size();
        let half = (shift.0.div_euclid(2), shift.1.div_euclid(2));
        let luma = self.means(&picture.y, (w, h), shift);
        let (blue, red) = (self.means(&picture.u, (cw, ch), half), self.means(&picture.v, (cw, ch), half));
        let samples = luma.into_iter().zip(blue).zip(red);
        samples.map(|((luma, blue), red)| Sample { luma, blue: blue - 128.0, red: red - 128.0 }).collect()
    }

    /// The cells' mean luma, row by row.
    pub fn luma(&self, picture: &Picture) -> Vec<f32> {
        self.means(&picture.y, self.px, (0, 0))
    }

    /// The cells' means in one plane. Whole lines are added up before they are divided into cells: that is what processors
    /// are fast at.
    fn means(&self, plane: &[u8], (w, h): (usize, usize), (dx, dy): (isize, isize)) -> Vec<f32> {
        let mut means = Vec::with_capacity(self.columns * self.rows);
        let mut sums = vec![0u16; w];
        let edges: Vec<usize> = (0..=self.columns).map(|column| column * w / self.columns).collect();
        for row in 0..self.rows {
            let (top, bottom) =
                (row * h / self.rows, ((row + 1) * h / self.rows).max(row * h / self.rows + 1));
            let step = (bottom - top).div_ceil(LINES_MAX);
            sums.fill(0);
            let mut lines = 0;
            for y in (top..bottom).step_by(step) {
                lines += 1;
                let line = &plane[y.saturating_add_signed(dy).min(h - 1) * w..][..w];
                // What the shake has moved out of the picture keeps the value of its border.
                let (to, from) = if dx >= 0 { (0, dx as usize) } else { (dx.unsigned_abs(), 0) };
                for (sum, &value) in sums[to.min(w)..].iter_mut().zip(&line[from.min(w)..]) {
                    *sum += u16::from(value);
                }
                for sum in &mut sums[..to.min(w)] {
                    *sum += u16::from(line[0]);
                }
                for sum in &mut sums[w - from.min(w)..] {
                    *sum += u16::from(line[w - 1]);
                }
            }
            means.extend(edges.windows(2).map(|edge| {
                let cell = &sums[edge[0]..edge[1].max(edge[0] + 1)];
                cell.iter().map(|&sum| u32::from(sum)).sum::<u32>() as f32 / (cell.len() * lines) as f32
            }));
        }
        means
    }

    /// The cells that a zone touches, with the area of each that lies inside.
    pub fn cells_of(&self, zone: &Polygon) -> ZoneCells {
        const POINTS: usize = 4;
        let inside = |cell: usize| {
            let (row, column) = (cell / self.columns, cell % self.columns);
            let hits = (0..POINTS * POINTS).filter(|p| {
                zone.contains(Point {
                    x: (column as f32 + ((p % POINTS) as f32 + 0.5) / POINTS as f32) / self.columns as f32,
                    y: (row as f32 + ((p / POINTS) as f32 + 0.5) / POINTS as f32) / self.rows as f32,
                })
            });
            hits.count() as f32 / (POINTS * POINTS) as f32
        };
        (0..self.columns * self.rows)
            .map(|cell| (cell, inside(cell)))
            .filter(|(_, share)| *share > 0.0)
            .collect()
    }

    /// The cells that a box touches.
    pub fn cells_in(&self, bbox: &BBox) -> impl Iterator<Item = usize> + use<> {
        let span = |from: f32, to: f32, count: usize| {
            let end = (to * count as f32).ceil().clamp(0.0, count as f32) as usize;
            (from * count as f32).floor().clamp(0.0, count as f32) as usize..end
        };
        let (rows, columns) = (span(bbox.y0, bbox.y1, self.rows), span(bbox.x0, bbox.x1, self.columns));
        let across = self.columns;
        rows.flat_map(move |row| columns.clone().map(move |column| row * across + column))
    }

    /// Neighbours of a cell: left, right, above, below.
    pub fn neighbours(&self, cell: usize) -> impl Iterator<Item = usize> {
        let (row, column) = (cell / self.columns, cell % self.columns);
        let all = [
            (column > 0).then(|| cell - 1),
            (column + 1 < self.columns).then_some(cell + 1),
            (row > 0).then(|| cell - self.columns),
            (row + 1 < self.rows).then_some(cell + self.columns),
        ];
        all.into_iter().flatten()
    }

    /// The connected parts of the marked cells.
    pub fn connected(&self, marked: &[bool]) -> Vec<Vec<usize>> {
        let mut left = marked.to_vec();
        let mut parts = Vec::new();
        for start in 0..left.len() {
            if !std::mem::take(&mut left[start]) {
                continue;
            }
            let mut part = vec![start];
            let mut next = 0;
            while next < part.len() {
                for neighbour in self.neighbours(part[next]) {
                    if std::mem::take(&mut left[neighbour]) {
                        part.push(neighbour);
                    }
                }
                next += 1;
            }
            parts.push(part);
        }
        parts
    }

    /// How much of a zone the marked cells cover, and boxes around their connected parts in it, largest first.
    pub fn covered(&self, zone: &ZoneCells, marked: &[bool]) -> (f32, Vec<BBox>) {
        let mut in_zone = vec![false; marked.len()];
        let (mut all, mut covered) = (0.0, 0.0);
        for &(cell, share) in zone {
            all += share;
            // A hole between covered cells is the object's own grey, not free ground.
            let around = self.neighbours(cell).filter(|&n| marked[n]).count();
            if marked[cell] || around >= 3 {
                covered += share;
                in_zone[cell] = true;
            }
        }
        let mut parts = self.connected(&in_zone);
        parts.sort_by_key(|p| std::cmp::Reverse(p.len()));
        let boxes = parts.iter().map(|part| self.box_of(part)).collect();
        (if all > 0.0 { covered / all } else { 0.0 }, boxes)
    }

    fn box_of(&self, part: &[usize]) -> BBox {
        let (columns, rows) = (self.columns as f32, self.rows as f32);
        let each = part.iter().map(|cell| {
            let (row, column) = ((cell / self.columns) as f32, (cell % self.columns) as f32);
            BBox {
                x0: column / columns,
                y0: row / rows,
                x1: (column + 1.0) / columns,
                y1: (row + 1.0) / rows,
            }
        });
        each.reduce(|a, b| a.union(&b)).unwrap_or(BBox { x0: 0.0, y0: 0.0, x1: 0.0, y1: 0.0 })
    }
}
