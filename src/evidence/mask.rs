//! Privacy masks: parts of a picture that nothing and nobody may see.

use std::sync::Arc;

use super::spans::Grid;
use crate::frame::Picture;
use crate::geometry::Polygon;

/// Paints the masks black, every pixel that they touch; without masks the picture comes back as it was, not copied.
///
/// To be applied right after decoding, before any stage looks at the picture. A picture whose planes do not fit its
/// size is painted as far as they go.
pub fn apply(mut picture: Picture, masks: &[Polygon]) -> Picture {
    if masks.is_empty() {
        return picture;
    }
    let (width, height) = (picture.width, picture.height);
    let luma = Grid::pixels(width, height);
    let (columns, rows) = picture.chroma_size();
    let chroma = Grid { columns, rows, width: width as f32 / 2.0, height: height as f32 / 2.0 };
    let black = if picture.full_range { 0 } else { 16 };
    paint(&mut picture.y, luma, masks, black);
    paint(&mut picture.u, chroma, masks, 128);
    paint(&mut picture.v, chroma, masks, 128);
    picture
}

fn paint(plane: &mut Arc<[u8]>, grid: Grid, masks: &[Polygon], value: u8) {
    // The decoder's copy is changed in place unless somebody else holds it too.
    let plane = Arc::make_mut(plane);
    for (row, columns) in masks.iter().flat_map(|mask| grid.touched(mask)) {
        let from = row * grid.columns;
        if let Some(cells) = plane.get_mut(from + columns.start..from + columns.end) {
            cells.fill(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evidence::snapshot::tests::picture_of;
    use crate::geometry::Point;

    #[test]
    fn nothing_is_copied_without_masks() {
        let before = picture_of(32, 18, |_, _| [90, 100, 110]);
        let after = apply(before.clone(), &[]);
        assert!(Arc::ptr_eq(&before.y, &after.y) && Arc::ptr_eq(&before.u, &after.u));
    }

    #[test]
    fn the_pictures_other_holders_keep_theirs() {
        let before = picture_of(32, 18, |_, _| [90, 100, 110]);
        let after = apply(before.clone(), &[Polygon::whole_picture()]);
        assert!(before.y.iter().all(|&y| y == before.y[0]) && before.y[0] > 16);
        assert!(after.y.iter().all(|&y| y == 16));
        assert!(after.u.iter().chain(after.v.iter()).all(|&c| c == 128));
    }

    fn triangle() -> impl Strategy<Value = Polygon> {
        proptest::collection::vec((0.0..=1.0f32, 0.0..=1.0f32), 3).prop_filter_map("flat", |corners| {
            Polygon::new(corners.into_iter().map(|(x, y)| Point { x, y }).collect()).ok()
        })
    }

    proptest! {
        /// Whatever the polygon and the (odd) size: inside is black in all planes, far outside is untouched.
        #[test]
        fn inside_is_black_and_outside_stays(
            mask in triangle(),
            width in 1usize..70,
            height in 1usize..70,
            full_range: bool,
        ) {
            let mut before = picture_of(width, height, |x, y| [40 + (x % 90) as u8, 60 + (y % 90) as u8, 200]);
            before.full_range = full_range;
            let after = apply(before.clone(), std::slice::from_ref(&mask));
            let (columns, _) = after.chroma_size();
            let black = if full_range { 0 } else { 16 };
            for y in 0..height {
                for x in 0..width {
                    let at = |dx: f32, dy: f32| Point {
                        x: (x as f32 + dx) / width as f32,
                        y: (y as f32 + dy) / height as f32,
                    };
                    if mask.contains(at(0.5, 0.5)) || mask.contains(at(0.1, 0.1)) || mask.contains(at(0.9, 0.9)) {
                        prop_assert_eq!(after.y[y * width + x], black, "luma {},{}", x, y);
                        let chroma = y / 2 * columns + x / 2;
                        prop_assert_eq!((after.u[chroma], after.v[chroma]), (128, 128), "chroma {},{}", x, y);
                    }
                    let bounds = mask.bounds();
                    let (px, py) = (2.0 / width as f32, 2.0 / height as f32);
                    let p = at(0.5, 0.5);
                    let outside = p.x < bounds.x0 - px || p.x > bounds.x1 + px
                        || p.y < bounds.y0 - py || p.y > bounds.y1 + py;
                    if outside {
                        prop_assert_eq!(after.y[y * width + x], before.y[y * width + x], "kept {},{}", x, y);
                    }
                }
            }
        }
    }
}
