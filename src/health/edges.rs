//! [`Edges`]: where luma changes in a picture, on 96 x 54 cells, and how two pictures compare by that, block by block.
//!
//! An edge is kept as the direction along which luma changes, with the angle doubled, so that dark-to-bright and
//! bright-to-dark are the same: what is brighter than what changes with the hour and under infrared light, where things
//! end does not. Weak edges count by how far they stand out of the noise.

use super::measure::CELLS;

const W: usize = CELLS.0;
const H: usize = CELLS.1;
/// Blocks across and down, of 8 x 6 cells.
const BLOCKS: (usize, usize) = (12, 9);
const BLOCK: (usize, usize) = (W / BLOCKS.0, H / BLOCKS.1);
/// A change of luma over two cells that counts as half an edge, as a share of the picture's contrast: fog takes contrast
/// away, but not edges, ...
const EDGE: f32 = 0.05;
/// ... within these grey levels: less is noise, more is an edge in any picture.
const EDGE_LEVELS: (f32, f32) = (2.0, 8.0);
/// Whole edge, as stored.
const FULL: f32 = 127.0;

/// Edges of one picture, or of many: for each cell two numbers in 1/127.
#[derive(Debug, Clone, PartialEq)]
pub struct Edges(pub Vec<i8>);

impl Edges {
    /// Edges between the cells of a picture with so many grey levels from dark to bright.
    pub fn of(cells: &[f32], contrast: f32) -> Self {
        let half = (EDGE * contrast).clamp(EDGE_LEVELS.0, EDGE_LEVELS.1);
        let mut edges = vec![0i8; 2 * W * H];
        for y in 1..H - 1 {
            for x in 1..W - 1 {
                let at = y * W + x;
                let (gx, gy) = (cells[at + 1] - cells[at - 1], cells[at + W] - cells[at - W]);
                let square = gx * gx + gy * gy;
                let scale = FULL / (square + half * half);
                edges[2 * at] = ((gx * gx - gy * gy) * scale) as i8;
                edges[2 * at + 1] = (2.0 * gx * gy * scale) as i8;
            }
        }
        Self(edges)
    }

    /// Edges as they were stored; `None` if there are not as many.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 2 * W * H).then(|| Self(bytes.iter().map(|&v| v.cast_signed().max(-127)).collect()))
    }

    /// Moves these a share of the way towards others that are shifted by so many cells.
    pub fn learn(&mut self, other: &Edges, (dx, dy): (i32, i32), share: f32) {
        for y in 0..H as i32 {
            for x in 0..W as i32 {
                let (from_x, from_y) = (x + dx, y + dy);
                if !(0..W as i32).contains(&from_x) || !(0..H as i32).contains(&from_y) {
                    continue;
                }
                let (to, from) =
                    (2 * (y as usize * W + x as usize), 2 * (from_y as usize * W + from_x as usize));
                for i in 0..2 {
                    let (own, new) = (f32::from(self.0[to + i]), f32::from(other.0[from + i]));
                    self.0[to + i] = (own + share * (new - own)).round() as i8;
                }
            }
        }
    }

    /// Sum of squares and of products of a block here with the other's block so many cells further; cells outside count as
    /// no edge.
    fn block(&self, other: &Edges, block: usize, (dx, dy): (i32, i32)) -> (f32, f32, f32) {
        let (left, top) = ((block % BLOCKS.0) * BLOCK.0, (block / BLOCKS.0) * BLOCK.1);
        let (mut own, mut theirs, mut both) = (0i32, 0i32, 0i32);
        // Columns that lie inside the other picture.
        let skip = (-(left as i32 + dx)).clamp(0, BLOCK.0 as i32) as usize;
        let end = (W as i32 - left as i32 - dx).clamp(0, BLOCK.0 as i32) as usize;
        for y in top..top + BLOCK.1 {
            let line = &self.0[2 * (y * W + left)..][..2 * BLOCK.0];
            own += line.iter().map(|&v| product(v, v)).sum::<i32>();
            let from_y = y as i32 + dy;
            if !(0..H as i32).contains(&from_y) || skip >= end {
                continue;
            }
            let from = 2 * (from_y as usize * W) + 2 * (left as i32 + dx + skip as i32) as usize;
            let there = &other.0[from..][..2 * (end - skip)];
            for (&a, &b) in line[2 * skip..2 * end].iter().zip(there) {
                theirs += product(b, b);
                both += product(a, b);
            }
        }
        (own as f32, theirs as f32, both as f32)
    }
}

/// Within 16 bits, which is what processors multiply eight or sixteen of at a time.
fn product(a: i8, b: i8) -> i32 {
    i32::from(i16::from(a) * i16::from(b))
}

/// Sum of squares of a block that has an edge: a tenth of its cells full.
const STRUCTURE: f32 = 0.04 * (BLOCK.0 * BLOCK.1) as f32 * FULL * FULL;
/// A block counts by its edges, up to so many times the least: what is faint may be a pattern that the codec makes of noise.
const WEIGHT_MAX: f32 = 6.0;
/// Share of the edges known below which a block is blank.
const BLANK: f32 = 0.15;
/// Correlation from which a block counts as the same.
const SAME: f32 = 0.5;
/// Farthest that a camera may shake, in cells: one is 1 % of the picture's width.
const SHAKE: i32 = 1;
/// How far a block is looked for elsewhere, in cells.
const REACH: i32 = 5;

/// How a picture compares with the edges known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Match {
    /// Blocks with edges that the comparison rests on.
    pub blocks: usize,
    /// Blocks with edges in the picture that is compared.
    pub blocks_now: usize,
    /// Share of them that are where they were, 0..1.
    pub here: f32,
    /// Share of them that are found somewhere else nearby, 0..1.
    pub elsewhere: f32,
    /// Share of them that have lost their edges without getting others, 0..1.
    pub blank: f32,
    /// Where they are found, in cells.
    pub shift: (i32, i32),
}

impl Edges {
    /// Compares these, known of old, with those of a picture.
    pub fn compare(&self, now: &Edges) -> Match {
        let all = 0..BLOCKS.0 * BLOCKS.1;
        let blocks_now = all.clone().filter(|&b| now.block(now, b, (0, 0)).0 >= STRUCTURE).count();
        let blocks: Vec<usize> = all.filter(|&b| self.block(self, b, (0, 0)).0 >= STRUCTURE).collect();
        if blocks.is_empty() {
            return Match::default();
        }
        let score = |(own, theirs, both): (f32, f32, f32)| both / (own * theirs.max(0.25 * own)).sqrt();
        let mut best = (f32::MIN, (0, 0), Vec::new());
        for dy in -SHAKE..=SHAKE {
            for dx in -SHAKE..=SHAKE {
                let found: Vec<_> = blocks.iter().map(|&b| self.block(now, b, (dx, dy))).collect();
                let sum: f32 = found.iter().map(|&f| score(f)).sum();
                let sum = if (dx, dy) == (0, 0) { 1.05 * sum } else { sum };
                if sum > best.0 {
                    best = (sum, (dx, dy), found);
                }
            }
        }
        let weight = |own: f32| own.min(WEIGHT_MAX * STRUCTURE);
        let all: f32 = best.2.iter().map(|f| weight(f.0)).sum();
        let share = |of: &dyn Fn(&(f32, f32, f32)) -> bool| {
            best.2.iter().filter(|f| of(f)).map(|f| weight(f.0)).sum::<f32>() / all
        };
        let same = |f: &(f32, f32, f32)| score(*f) >= SAME;
        let here = share(&same);
        let blank = share(&|f| !same(f) && f.1 < (BLANK * f.0).max(0.5 * STRUCTURE));
        let mut moved = 0.0;
        let (mut xs, mut ys) = (Vec::new(), Vec::new());
        if here < 0.7 {
            for (&b, at_home) in blocks.iter().zip(&best.2) {
                if score(*at_home) >= 0.4 {
                    continue;
                }
                let mut there = (0.0f32, (0, 0));
                for dy in -REACH..=REACH {
                    for dx in -REACH..=REACH {
                        let found = score(self.block(now, b, (dx, dy)));
                        if found > there.0 {
                            there = (found, (dx, dy));
                        }
                    }
                }
                let (dx, dy) = there.1;
                if there.0 >= 0.65 && dx.abs().max(dy.abs()) >= 2 {
                    moved += weight(at_home.0);
                    xs.push(dx);
                    ys.push(dy);
                }
            }
        }
        let middle = |v: &mut Vec<i32>| {
            v.sort_unstable();
            v.get(v.len() / 2).copied().unwrap_or(0)
        };
        let shift = if moved > 0.0 { (middle(&mut xs), middle(&mut ys)) } else { best.1 };
        Match { blocks: blocks.len(), blocks_now, here, elsewhere: moved / all, blank, shift }
    }
}
