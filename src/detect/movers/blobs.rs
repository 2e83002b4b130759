//! Connected parts of what is above a threshold, by runs and union-find in one pass.

/// A connected part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Blob {
    /// Middle, in pixels.
    pub x: f32,
    /// Middle, in pixels.
    pub y: f32,
    /// Pixels above the threshold.
    pub area: u32,
    /// Largest value in it.
    pub contrast: f32,
    /// Width of its box.
    pub width: u32,
    /// Height of its box.
    pub height: u32,
}

/// Most runs of one picture; beyond that it is noise, and the answer `None`.
const RUNS_MAX: usize = 20_000;

/// No threshold is as low as this.
const LOW: u8 = 3;

/// How many values of a line are low before the next that may not be.
fn quiet(line: &[u8]) -> usize {
    let low = |block: &&[u8]| block.iter().fold(0, |top, &v| v.max(top)) < LOW;
    let blocks = 32 * line.chunks_exact(32).take_while(low).count();
    blocks + line[blocks..].iter().take_while(|&&v| v < LOW).count()
}

struct Run {
    from: usize,
    to: usize,
    root: usize,
}

#[derive(Clone, Copy)]
struct Sum {
    area: u32,
    x: f64,
    y: f64,
    top: u8,
    left: usize,
    right: usize,
    first: usize,
    last: usize,
}

/// The connected parts (eight neighbours) of the pixels that are `over`; `None` if those are more than `changed_max`.
pub fn connected(
    values: &[u8],
    width: usize,
    height: usize,
    over: impl Fn(usize, usize) -> bool,
    changed_max: usize,
) -> Option<Vec<Blob>> {
    let mut parents: Vec<usize> = Vec::new();
    let mut sums: Vec<Sum> = Vec::new();
    let (mut above, mut changed): (Vec<Run>, usize) = (Vec::new(), 0);
    for y in 0..height {
        let mut here: Vec<Run> = Vec::new();
        let mut x = 0;
        while x < width {
            // Nearly all pixels are 0 or close to it: skip them without asking for their threshold, many at a time.
            if values[y * width + x] < LOW {
                x += quiet(&values[y * width + x..(y + 1) * width]);
                continue;
            }
            if !over(x, y) {
                x += 1;
                continue;
            }
            let from = x;
            let (mut top, mut weighed) = (0u8, 0.0);
            while x < width && values[y * width + x] >= LOW && over(x, y) {
                top = top.max(values[y * width + x]);
                weighed += x as f64;
                x += 1;
            }
            let count = (x - from) as u32;
            changed += x - from;
            if changed > changed_max || parents.len() >= RUNS_MAX {
                return None;
            }
            let root = parents.len();
            parents.push(root);
            sums.push(Sum {
                area: count,
                x: weighed,
                y: y as f64 * count as f64,
                top,
                left: from,
                right: x,
                first: y,
                last: y,
            });
            for run in above.iter().filter(|r| r.from <= x && r.to >= from) {
                join(&mut parents, run.root, root);
            }
            here.push(Run { from, to: x, root });
        }
        above = here;
    }
    let mut whole: Vec<Option<Sum>> = vec![None; sums.len()];
    for (i, sum) in sums.iter().enumerate() {
        let root = root_of(&mut parents, i);
        let joined = whole[root].map_or(*sum, |w| Sum {
            area: w.area + sum.area,
            x: w.x + sum.x,
            y: w.y + sum.y,
            top: w.top.max(sum.top),
            left: w.left.min(sum.left),
            right: w.right.max(sum.right),
            first: w.first.min(sum.first),
            last: w.last.max(sum.last),
        });
        whole[root] = Some(joined);
    }
    let blob = |s: Sum| Blob {
        x: (s.x / s.area as f64) as f32 + 0.5,
        y: (s.y / s.area as f64) as f32 + 0.5,
        area: s.area,
        contrast: s.top as f32,
        width: (s.right - s.left) as u32,
        height: (s.last - s.first + 1) as u32,
    };
    Some(whole.into_iter().flatten().map(blob).collect())
}

fn root_of(parents: &mut [usize], mut i: usize) -> usize {
    while parents[i] != i {
        parents[i] = parents[parents[i]];
        i = parents[i];
    }
    i
}

fn join(parents: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root_of(parents, a), root_of(parents, b));
    parents[a.max(b)] = a.min(b);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[&str], changed_max: usize) -> Option<Vec<(f32, f32, u32)>> {
        let width = rows[0].len();
        let values: Vec<u8> =
            rows.iter().flat_map(|r| r.bytes().map(|b| if b == b'#' { 50 } else { 0 })).collect();
        let over = |x: usize, y: usize| values[y * width + x] > 10;
        let blobs = connected(&values, width, rows.len(), over, changed_max)?;
        Some(blobs.iter().map(|b| (b.x, b.y, b.area)).collect())
    }

    #[test]
    fn parts_are_joined_also_round_corners() {
        assert_eq!(of(&["....", "...."], 9), Some(vec![]));
        assert_eq!(of(&["##..", "##.."], 9), Some(vec![(1.0, 1.0, 4)]));
        assert_eq!(of(&["#..#", "#..#", "####"], 9).map(|b| b.len()), Some(1));
        assert_eq!(of(&["#...", ".#..", "...#"], 9).map(|b| b.len()), Some(2));
        assert_eq!(of(&["####", "####"], 7), None);
    }
}
