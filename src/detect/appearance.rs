//! What a found object looks like: nine means of the middle of its box, and the pattern of its light and dark parts.

use crate::detection::{Appearance, Pattern};
use crate::frame::Picture;
use crate::geometry::BBox;

/// How much of the box, each way, is looked at: what lies round the object is not it.
const CORE: f32 = 0.7;
/// Fields across and down.
const FIELDS: usize = 3;
/// Points taken of each field, each way: more would cost time and change no mean.
const POINTS: usize = 5;
/// Boxes with fewer pixels across or down could look like anything.
const SIDE_PX_MIN: f32 = 12.0;

/// Points taken of each field of the pattern, each way.
const PATTERN_POINTS: usize = 3;

/// The looks of what fills this box of a picture.
pub fn appearance(picture: &Picture, bbox: &BBox) -> Option<Appearance> {
    let (w, h) = (picture.width, picture.height);
    let (across, down) = (bbox.width() * w as f32, bbox.height() * h as f32);
    let whole = picture.y.len() >= w * h && picture.u.len().min(picture.v.len()) >= chroma_len(picture);
    if !(whole && across >= SIDE_PX_MIN && down >= SIDE_PX_MIN) {
        return None;
    }
    let mut fields = [[0; 3]; FIELDS * FIELDS];
    for (number, field) in fields.iter_mut().enumerate() {
        let (row, column) = (number / FIELDS, number % FIELDS);
        let mut sums = [0u32; 3];
        for point in 0..POINTS * POINTS {
            let place = |field: usize, point: usize, from: f32, length: f32, end: usize| {
                let share = (field as f32 + (point as f32 + 0.5) / POINTS as f32) / FIELDS as f32;
                let at = from + length * (0.5 * (1.0 - CORE) + CORE * share);
                ((at * end as f32).max(0.0) as usize).min(end - 1)
            };
            let x = place(column, point % POINTS, bbox.x0, bbox.width(), w);
            let y = place(row, point / POINTS, bbox.y0, bbox.height(), h);
            let chroma = y / 2 * picture.chroma_size().0 + x / 2;
            for (sum, value) in
                sums.iter_mut().zip([picture.y[y * w + x], picture.u[chroma], picture.v[chroma]])
            {
                *sum += u32::from(value);
            }
        }
        *field = sums.map(|sum| (sum / (POINTS * POINTS) as u32) as u8);
    }
    Some(Appearance { fields, pattern: Some(pattern(picture, bbox)) })
}

/// The light and dark parts of what fills this box.
fn pattern(picture: &Picture, bbox: &BBox) -> Pattern {
    let (w, h) = (picture.width, picture.height);
    let side = Pattern::SIDE;
    // A grid of points over the whole box, some for each field.
    let points = |from: f32, length: f32, end: usize| -> Vec<usize> {
        let place = |n: usize| from + length * (n as f32 + 0.5) / (side * PATTERN_POINTS) as f32;
        (0..side * PATTERN_POINTS).map(|n| ((place(n) * end as f32).max(0.0) as usize).min(end - 1)).collect()
    };
    let (columns, rows) = (points(bbox.x0, bbox.width(), w), points(bbox.y0, bbox.height(), h));
    let of = |points: &'_ [usize], n: usize| -> [usize; PATTERN_POINTS] {
        std::array::from_fn(|point| points[n * PATTERN_POINTS + point])
    };
    let mean = |field: usize| {
        let (xs, ys) = (of(&columns, field % side), of(&rows, field / side));
        let line = |y: usize| xs.iter().map(|x| u32::from(picture.y[y * w + x])).sum::<u32>();
        (ys.iter().map(|&y| line(y)).sum::<u32>() / (PATTERN_POINTS * PATTERN_POINTS) as u32) as u8
    };
    Pattern(std::array::from_fn(mean))
}

fn chroma_len(picture: &Picture) -> usize {
    let (w, h) = picture.chroma_size();
    w * h
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Captured, Clock};

    #[test]
    fn fields_are_means_of_the_middle() {
        let (w, h) = (64, 48);
        // Dark above, bright below, blue throughout.
        let y: Vec<u8> = (0..w * h).map(|i| if i / w < h / 2 { 40 } else { 200 }).collect();
        let captured = Captured {
            wall: jiff::Timestamp::UNIX_EPOCH,
            media: std::time::Duration::ZERO,
            clock: Clock::File,
        };
        let plane = |value: u8| vec![value; w / 2 * h / 2].into();
        let (u, v) = (plane(160), plane(100));
        let picture = Picture { captured, width: w, height: h, y: y.into(), u, v, full_range: false };
        let looks = |b: [f32; 4]| appearance(&picture, &b.into());
        let whole = looks([0.0, 0.0, 1.0, 1.0]).expect("large enough");
        assert_eq!((whole.fields[0], whole.fields[8]), ([40, 160, 100], [200, 160, 100]));
        let below = looks([0.0, 0.6, 1.0, 1.0]).expect("large enough");
        assert_eq!(below.distance(&below), 0);
        assert!(looks([0.5, 0.5, 0.6, 0.6]).is_none(), "too small");
        assert!(looks([f32::NAN; 4]).is_none());
        assert!(looks([-5.0, -5.0, 9.0, 9.0]).is_some(), "reaches out of the picture");
    }
}
