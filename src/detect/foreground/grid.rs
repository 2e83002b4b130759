//! The picture as a grid of cells, and zones as cells with the share that lies inside.

use crate::frame::Picture;
use crate::geometry::{BBox, Point, Polygon};

use super::lanes::{LANES, ValuesRef};

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
}

/// All cells' means, plane by plane, filled up with zeros to whole [`LANES`].
#[derive(Debug, Clone)]
pub struct Samples {
    planes: [Vec<f32>; 3],
    count: usize,
}

impl Samples {
    fn new(mut planes: [Vec<f32>; 3]) -> Self {
        let count = planes[0].len();
        planes.iter_mut().for_each(|plane| plane.resize(count.next_multiple_of(LANES), 0.0));
        Self { planes, count }
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// [`LANES`] cells after the other; what is filled up is zero.
    pub fn lanes(&self) -> impl Iterator<Item = ValuesRef<'_>> {
        let [luma, blue, red] = self.planes.each_ref().map(|plane| plane.as_chunks::<LANES>().0);
        luma.iter().zip(blue).zip(red).map(|((luma, blue), red)| [luma, blue, red])
    }

    /// Cell after cell.
    pub fn iter(&self) -> impl Iterator<Item = Sample> {
        let [luma, blue, red] = &self.planes;
        let cells = luma.iter().zip(blue).zip(red).take(self.count);
        cells.map(|((&luma, &blue), &red)| Sample { luma, blue, red })
    }

    /// Mean luma of all cells.
    pub fn luma(&self) -> f32 {
        let mut sums = [0.0f32; LANES];
        for [luma, ..] in self.lanes() {
            (0..LANES).for_each(|i| sums[i] += luma[i]);
        }
        sums.iter().sum::<f32>() / self.count.max(1) as f32
    }

    /// Mean distance from grey of all cells.
    pub fn colour(&self) -> f32 {
        let mut sums = [0.0f32; LANES];
        for [_, blue, red] in self.lanes() {
            (0..LANES).for_each(|i| sums[i] += blue[i].abs() + red[i].abs());
        }
        sums.iter().sum::<f32>() / self.count.max(1) as f32
    }
}

impl FromIterator<Sample> for Samples {
    fn from_iter<I: IntoIterator<Item = Sample>>(samples: I) -> Self {
        let mut planes = [const { Vec::new() }; 3];
        for sample in samples {
            planes[0].push(sample.luma);
            planes[1].push(sample.blue);
            planes[2].push(sample.red);
        }
        Self::new(planes)
    }
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

/// The cells of a zone: index, and the sixteenths of the cell that lie inside.
pub type ZoneCells = Vec<(u16, u16)>;

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

    /// How many cells there are.
    pub fn cells(&self) -> usize {
        self.columns * self.rows
    }

    /// The cells' means of a picture that is moved by `shift` (right and down, in pixels).
    pub fn samples(&self, picture: &Picture, shift: (isize, isize)) -> Samples {
        let (w, h) = self.px;
        let (cw, ch) = picture.chroma_size();
        let half = (shift.0.div_euclid(2), shift.1.div_euclid(2));
        let luma = self.means(&picture.y, (w, h), shift);
        let chroma = [&picture.u, &picture.v].map(|plane| {
            let mut means = self.means(plane, (cw, ch), half);
            means.iter_mut().for_each(|mean| *mean -= 128.0);
            means
        });
        let [blue, red] = chroma;
        Samples::new([luma, blue, red])
    }

    /// The cells' mean luma, row by row.
    pub fn luma(&self, picture: &Picture) -> Vec<f32> {
        self.means(&picture.y, self.px, (0, 0))
    }

    /// The cells' means in one plane. Whole lines are added up before they are divided into cells: that is what processors
    /// are fast at.
    fn means(&self, plane: &[u8], (w, h): (usize, usize), (dx, dy): (isize, isize)) -> Vec<f32> {
        // What the shake has moved out of the picture keeps the value of its border.
        let (to, from) = if dx >= 0 { (0, (dx as usize).min(w)) } else { (dx.unsigned_abs().min(w), 0) };
        let mut means = Vec::with_capacity((self.columns * self.rows).next_multiple_of(LANES));
        let mut sums = vec![0u16; w];
        for row in 0..self.rows {
            let top = row * h / self.rows;
            let bottom = ((row + 1) * h / self.rows).max(top + 1);
            let step = (bottom - top).div_ceil(LINES_MAX);
            let mut lines = [&plane[..0]; LINES_MAX];
            let mut count = 0;
            for y in (top..bottom).step_by(step) {
                lines[count] = &plane[y.saturating_add_signed(dy).min(h - 1) * w..][..w];
                count += 1;
            }
            let lines = &lines[..count];
            add(&mut sums[to..w - from], lines, from);
            let border = |x: usize| lines.iter().map(|line| u16::from(line[x])).sum::<u16>();
            sums[..to].fill(border(0));
            sums[w - from..].fill(border(w - 1));
            self.divide(&sums, count, &mut means);
        }
        means
    }

    /// Means of a row of cells from the sums of so many lines.
    fn divide(&self, sums: &[u16], lines: usize, means: &mut Vec<f32>) {
        let w = sums.len();
        // The usual widths at lengths that the compiler knows: that is several times as fast.
        match (w % self.columns, w / self.columns) {
            (0, 2) => means.extend(means_of::<2>(sums, lines)),
            (0, 4) => means.extend(means_of::<4>(sums, lines)),
            (0, 6) => means.extend(means_of::<6>(sums, lines)),
            (0, 8) => means.extend(means_of::<8>(sums, lines)),
            (0, 12) => means.extend(means_of::<12>(sums, lines)),
            (0, 24) => means.extend(means_of::<24>(sums, lines)),
            _ => means.extend((0..self.columns).map(|column| {
                let left = column * w / self.columns;
                let right = ((column + 1) * w / self.columns).max(left + 1);
                let sum: u32 = sums[left..right].iter().map(|&sum| u32::from(sum)).sum();
                sum as f32 / ((right - left) * lines) as f32
            })),
        }
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
            hits.count() as u16
        };
        let cells = (0..self.columns * self.rows).map(|cell| (cell as u16, inside(cell)));
        cells.filter(|(_, share)| *share > 0).collect()
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
        if !marked.contains(&true) {
            return (0.0, Vec::new());
        }
        // A hole between covered cells is the object's own grey, not free ground.
        let mut neighbours = vec![0u8; marked.len()];
        let marks = (0..marked.len()).filter(|&cell| marked[cell]);
        marks.for_each(|cell| self.neighbours(cell).for_each(|n| neighbours[n] += 1));
        let mut in_zone = vec![false; marked.len()];
        let (mut all, mut covered) = (0u32, 0u32);
        for &(cell, share) in zone {
            let (cell, share) = (usize::from(cell), u32::from(share));
            all += share;
            if marked[cell] || neighbours[cell] >= 3 {
                covered += share;
                in_zone[cell] = true;
            }
        }
        let mut parts = self.connected(&in_zone);
        parts.sort_by_key(|p| std::cmp::Reverse(p.len()));
        let boxes = parts.iter().map(|part| self.box_of(part)).collect();
        (if all > 0 { covered as f32 / all as f32 } else { 0.0 }, boxes)
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

/// Sums of lines, pixel by pixel, from so many pixels on.
fn add(sums: &mut [u16], lines: &[&[u8]], from: usize) {
    let n = sums.len();
    let line = |i: usize| &lines[i][from..][..n];
    let wide = u16::from;
    match lines.len() {
        2 => sums.iter_mut().zip(line(0)).zip(line(1)).for_each(|((sum, &a), &b)| *sum = wide(a) + wide(b)),
        3 => {
            let lines = line(0).iter().zip(line(1)).zip(line(2));
            sums.iter_mut().zip(lines).for_each(|(sum, ((&a, &b), &c))| *sum = wide(a) + wide(b) + wide(c));
        }
        4 => {
            let lines = line(0).iter().zip(line(1)).zip(line(2).iter().zip(line(3)));
            let add = |(sum, ((&a, &b), (&c, &d))): (&mut u16, ((&u8, &u8), (&u8, &u8)))| {
                *sum = (wide(a) + wide(b)) + (wide(c) + wide(d));
            };
            sums.iter_mut().zip(lines).for_each(add);
        }
        _ => {
            sums.fill(0);
            for i in 0..lines.len() {
                sums.iter_mut().zip(line(i)).for_each(|(sum, &value)| *sum += wide(value));
            }
        }
    }
}

/// Means of cells of so many columns and lines.
fn means_of<const PX: usize>(sums: &[u16], lines: usize) -> impl Iterator<Item = f32> {
    let pixels = (PX * lines) as f32;
    let sums = sums.as_chunks::<PX>().0.iter();
    sums.map(move |cell| cell.iter().map(|&sum| u32::from(sum)).sum::<u32>() as f32 / pixels)
}
