//! How far the camera has swung from where its usual look was learnt: least squares on the look's own gradients.
//!
//! Lucas and Kanade, "An iterative image registration technique" (1981), for one shift of the whole picture. Measured against
//! the look and not against the last picture, errors do not add up.

/// Every so many pixels across and down take part, staggered from line to line: windows stand in regular rows, too.
const STEP: (usize, usize) = (3, 4);
/// Farther than this, in pixels, is not shake but a turn.
const SHIFT_MAX: f32 = 14.0;
/// Pixels that differ by more than this many grey levels are something that moved.
const OUTLIER: f32 = 30.0;
/// Rounds; each halves the error at least while the start is within a few pixels.
const ROUNDS: usize = 5;
/// A round that changes less than this, in pixels, is the last.
const CLOSE: f32 = 0.03;
/// A start at zero is tried, too, if so much more than usual differs.
const POOR: f32 = 1.15;

/// Right and down, in pixels, by which `now` is shifted against `usual`, both `width` wide; `start` is the last shift.
pub fn from(usual: &[u8], now: &[u8], width: usize, start: (f32, f32)) -> (f32, f32) {
    if usual.len() != now.len() || width < 48 || now.len() / width < 48 {
        return (0.0, 0.0);
    }
    let (from_start, cost) = refined(usual, now, width, start);
    if start.0.hypot(start.1) < 0.5 {
        return from_start;
    }
    let (from_rest, cost_at_rest) = refined(usual, now, width, (0.0, 0.0));
    if cost > POOR * cost_at_rest || from_start.0.hypot(from_start.1) >= SHIFT_MAX {
        from_rest
    } else {
        from_start
    }
}

/// The shift near `start`, and the mean difference that it leaves.
fn refined(usual: &[u8], now: &[u8], width: usize, start: (f32, f32)) -> ((f32, f32), f32) {
    let (mut shift, mut cost) = (start, f32::INFINITY);
    for _ in 0..ROUNDS {
        let Some(round) = round(usual, now, width, shift) else { return ((0.0, 0.0), cost) };
        cost = round.cost;
        shift = (shift.0 + round.by.0, shift.1 + round.by.1);
        if shift.0.hypot(shift.1) > SHIFT_MAX {
            return ((0.0, 0.0), f32::INFINITY);
        }
        if round.by.0.hypot(round.by.1) < CLOSE {
            break;
        }
    }
    (shift, cost)
}

struct Round {
    by: (f32, f32),
    cost: f32,
}

/// One Gauss-Newton step; `None` where the look has no structure to hold on to.
fn round(usual: &[u8], now: &[u8], width: usize, shift: (f32, f32)) -> Option<Round> {
    let height = usual.len() / width;
    let margin = SHIFT_MAX as usize + 2;
    let (whole_x, whole_y) = (shift.0.floor(), shift.1.floor());
    let (part_x, part_y) = (shift.0 - whole_x, shift.1 - whole_y);
    let weights =
        [(1.0 - part_x) * (1.0 - part_y), part_x * (1.0 - part_y), (1.0 - part_x) * part_y, part_x * part_y];
    let (mut xx, mut xy, mut yy, mut xe, mut ye, mut off, mut count) =
        (0f32, 0f32, 0f32, 0f32, 0f32, 0f32, 0f32);
    for (row, y) in (margin..height - margin).step_by(STEP.1).enumerate() {
        let line = |y: usize| &usual[y * width..(y + 1) * width];
        let (above, here, below) = (line(y - 1), line(y), line(y + 1));
        let seen_y = y.saturating_add_signed(whole_y as isize);
        let seen = &now[seen_y * width..(seen_y + 2) * width];
        for x in (margin + row % STEP.0..width - margin).step_by(STEP.0) {
            let at = x.saturating_add_signed(whole_x as isize);
            let value = weights[0] * f32::from(seen[at])
                + weights[1] * f32::from(seen[at + 1])
                + weights[2] * f32::from(seen[width + at])
                + weights[3] * f32::from(seen[width + at + 1]);
            let error = value - f32::from(here[x]);
            let inlier = if error.abs() < OUTLIER { 1.0 } else { 0.0 };
            let gx = inlier * 0.5 * (f32::from(here[x + 1]) - f32::from(here[x - 1]));
            let gy = inlier * 0.5 * (f32::from(below[x]) - f32::from(above[x]));
            xx += gx * gx;
            xy += gx * gy;
            yy += gy * gy;
            xe += gx * error;
            ye += gy * error;
            off += error.abs().min(OUTLIER);
            count += 1.0;
        }
    }
    // Gradients of a grey level in every pixel are noise, not structure.
    let (xx, yy) = (xx + count, yy + count);
    let determinant = xx * yy - xy * xy;
    if count < 100.0 || determinant <= 1e-3 * xx * yy {
        return None;
    }
    let by = ((xy * ye - yy * xe) / determinant, (xy * xe - xx * ye) / determinant);
    let held = |v: f32| v.clamp(-4.0, 4.0);
    Some(Round { by: (held(by.0), held(by.1)), cost: off / count })
}

/// The picture as it would be without the shift, between pixels by interpolation; edges repeat.
pub fn moved_back(now: &[u8], (width, height): (usize, usize), shift: (f32, f32)) -> Vec<u8> {
    let (whole_x, whole_y) = (shift.0.floor(), shift.1.floor());
    let (part_x, part_y) = (((shift.0 - whole_x) * 16.0) as u16, ((shift.1 - whole_y) * 16.0) as u16);
    let weights =
        [(16 - part_x) * (16 - part_y), part_x * (16 - part_y), (16 - part_x) * part_y, part_x * part_y];
    let mut out = vec![0u8; width * height];
    let held =
        |v: usize, by: f32, most: usize| (v as isize + by as isize).clamp(0, most as isize - 1) as usize;
    // The inner part of a line, whose pixels and right neighbours all exist.
    let (from, to) =
        (((-whole_x).max(0.0) as usize).min(width), width - ((whole_x + 1.0).max(0.0) as usize).min(width));
    for (y, out) in out.chunks_exact_mut(width).enumerate() {
        let upper = &now[held(y, whole_y, height) * width..][..width];
        let lower = &now[held(y, whole_y + 1.0, height) * width..][..width];
        if from < to {
            let first = (from as isize + whole_x as isize) as usize;
            let n = to - from;
            let (a, b) = (&upper[first..first + n], &upper[first + 1..first + 1 + n]);
            let (c, d) = (&lower[first..first + n], &lower[first + 1..first + 1 + n]);
            for ((((out, &a), &b), &c), &d) in out[from..to].iter_mut().zip(a).zip(b).zip(c).zip(d) {
                let sum = weights[0] * u16::from(a)
                    + weights[1] * u16::from(b)
                    + weights[2] * u16::from(c)
                    + weights[3] * u16::from(d);
                *out = ((sum + 128) >> 8) as u8;
            }
        }
        for x in (0..from.min(width)).chain(to.max(from)..width) {
            out[x] = upper[held(x, whole_x, width)];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of soft random texture, moved by so many pixels.
    fn texture(width: usize, height: usize, dx: f32, dy: f32) -> Vec<u8> {
        let wave = |x: f32, y: f32| {
            let a = (x * 0.31).sin()
                + (y * 0.23).cos()
                + (x * 0.11 + y * 0.17).sin()
                + (x * 0.05 - y * 0.37).cos();
            (128.0 + 25.0 * a) as u8
        };
        (0..width * height).map(|i| wave((i % width) as f32 - dx, (i / width) as f32 - dy)).collect()
    }

    #[test]
    fn shifts_are_measured_and_taken_back() {
        let (width, height) = (320, 180);
        let still = texture(width, height, 0.0, 0.0);
        for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (-2.0, 3.0), (4.0, -5.0), (2.5, 0.0), (0.3, -0.7)] {
            let seen = texture(width, height, dx, dy);
            let (x, y) = from(&still, &seen, width, (0.0, 0.0));
            assert!(
                (x - dx).abs() < 0.15 && (y - dy).abs() < 0.15,
                "shifted ({dx}, {dy}), measured ({x}, {y})"
            );
            let back = moved_back(&seen, (width, height), (x, y));
            let inner = (20..160).flat_map(|y| (20..300).map(move |x| y * width + x));
            let worst = inner.map(|i| back[i].abs_diff(still[i])).max();
            assert!(worst <= Some(6), "shifted ({dx}, {dy}): {worst:?}");
        }
        assert_eq!(from(&[90; 320 * 180], &[91; 320 * 180], width, (0.0, 0.0)), (0.0, 0.0));
    }
}
