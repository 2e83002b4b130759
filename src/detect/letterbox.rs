//! From an I420 picture to a model's input in one fused pass, and from the model's boxes back to the picture.
//!
//! Pictures are shrunk by a box filter of whole pixels and the remaining factor (1 to 2) bilinearly, so nothing that
//! matters aliases away; chroma is sampled once per two output pixels, which is finer than 4:2:0 carries anyway.

mod colours;
mod shrink;
#[cfg(test)]
mod tests;

use colours::{Colours, Shades};
use shrink::{Axis, Shrink};

use crate::frame::Picture;
use crate::geometry::BBox;

use super::card::{Colour, InputSpec, Resize};

/// Why a picture cannot be fed to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a picture of {width}x{height} has planes of {y}, {u} and {v} bytes")]
pub struct PlaneError {
    width: usize,
    height: usize,
    y: usize,
    u: usize,
    v: usize,
}

/// Where a picture lies in a model's input, in pixels of the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Left edge of the picture.
    pub left: usize,
    /// Top edge.
    pub top: usize,
    /// Width.
    pub width: usize,
    /// Height.
    pub height: usize,
}

impl Placement {
    /// Where a picture of `width` x `height` pixels lies in the input of `spec`.
    pub fn of(spec: &InputSpec, width: usize, height: usize) -> Self {
        if spec.resize == Resize::Stretch {
            return Self { left: 0, top: 0, width: spec.width, height: spec.height };
        }
        let across = spec.width as f64 / width as f64;
        let down = spec.height as f64 / height as f64;
        let scale = across.min(down);
        let fit = |n: usize, room: usize| ((n as f64 * scale).round() as usize).clamp(1, room);
        let (w, h) = (fit(width, spec.width), fit(height, spec.height));
        let (left, top) = match spec.resize {
            Resize::Letterbox => ((spec.width - w) / 2, (spec.height - h) / 2),
            _ => (0, 0),
        };
        Self { left, top, width: w, height: h }
    }

    /// A box in pixels of the model's input as a box in ratios of the picture, cut to the picture.
    pub fn picture_from_model(&self, [x0, y0, x1, y1]: [f32; 4]) -> BBox {
        let x = |v: f32| (v - self.left as f32) / self.width as f32;
        let y = |v: f32| (v - self.top as f32) / self.height as f32;
        BBox::clamped(x(x0), y(y0), x(x1), y(y1))
    }
}

/// Fits pictures into one model's input; keeps the tensor and the tables for the picture size it saw last.
#[derive(Debug)]
pub struct Letterbox {
    spec: InputSpec,
    tensor: Vec<f32>,
    tables: Option<Tables>,
}

/// What depends on the picture's size only.
#[derive(Debug)]
struct Tables {
    picture: (usize, usize),
    placement: Placement,
    luma: Shrink,
    chroma: Shrink,
}

impl Letterbox {
    /// A letterbox for inputs of `spec`.
    pub fn new(spec: &InputSpec) -> Self {
        Self { spec: spec.clone(), tensor: vec![0.0; 3 * spec.width * spec.height], tables: None }
    }

    /// Writes the picture into the tensor, `3 * height * width` values of planes in the model's channel order, and says
    /// where in it the picture lies.
    pub fn fill(&mut self, picture: &Picture) -> Result<(&[f32], Placement), PlaneError> {
        check(picture)?;
        let size = (picture.width, picture.height);
        if self.tables.as_ref().is_none_or(|t| t.picture != size) {
            self.prepare(size);
        }
        let Some(tables) = &mut self.tables else { unreachable!("prepared above") };
        let at = tables.placement;
        let maths = Colours::new(&self.spec, picture);
        let plane = self.spec.width * self.spec.height;
        let (first, rest) = self.tensor.split_at_mut(plane);
        let (second, third) = rest.split_at_mut(plane);
        let (red, green, blue) = match self.spec.colour {
            Colour::Rgb => (first, second, third),
            Colour::Bgr => (third, second, first),
        };
        let (chroma_width, _) = picture.chroma_size();
        // One scratch per plane: each keeps the last rows it reduced.
        let mut rows_y = tables.luma.scratch();
        let (mut rows_u, mut rows_v) = (tables.chroma.scratch(), tables.chroma.scratch());
        let mut shades = Shades::new(at.width);
        for row in 0..at.height {
            if row % 2 == 0 {
                let u = tables.chroma.row(&picture.u, chroma_width, row / 2, &mut rows_u);
                let v = tables.chroma.row(&picture.v, chroma_width, row / 2, &mut rows_v);
                maths.shade(u, v, &mut shades);
            }
            let y = tables.luma.row(&picture.y, picture.width, row, &mut rows_y);
            let start = (at.top + row) * self.spec.width + at.left;
            let span = start..start + at.width;
            maths.write(y, &shades, &mut red[span.clone()], &mut green[span.clone()], &mut blue[span]);
        }
        Ok((&self.tensor, at))
    }

    fn prepare(&mut self, (width, height): (usize, usize)) {
        let placement = Placement::of(&self.spec, width, height);
        let (w, h) = (placement.width, placement.height);
        let chroma = (width.div_ceil(2), height.div_ceil(2));
        self.tables = Some(Tables {
            picture: (width, height),
            placement,
            luma: Shrink { across: Axis::new(width, width, w), down: Axis::new(height, height, h) },
            chroma: Shrink { across: Axis::half(chroma.0, width, w), down: Axis::half(chroma.1, height, h) },
        });
        // The bars stay as they are until the size changes.
        let plane = self.spec.width * self.spec.height;
        for (channel, values) in self.tensor.chunks_exact_mut(plane).enumerate() {
            values.fill((self.spec.pad * self.spec.scale - self.spec.mean[channel]) / self.spec.std[channel]);
        }
    }
}

fn check(picture: &Picture) -> Result<(), PlaneError> {
    let (chroma_width, chroma_height) = picture.chroma_size();
    let chroma = chroma_width.checked_mul(chroma_height);
    let fits = picture.width > 0
        && picture.height > 0
        && picture.width.checked_mul(picture.height) == Some(picture.y.len())
        && chroma == Some(picture.u.len())
        && chroma == Some(picture.v.len());
    let (width, height) = (picture.width, picture.height);
    let (y, u, v) = (picture.y.len(), picture.u.len(), picture.v.len());
    if fits { Ok(()) } else { Err(PlaneError { width, height, y, u, v }) }
}
