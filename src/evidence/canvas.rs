//! An RGB picture to draw on: smooth lines, translucent fills, mosaic, ASCII labels.

use std::convert::Infallible;
use std::ops::Range;

use embedded_graphics::Drawable;
use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point as Place, Size};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle, ascii};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::text::{Baseline, Text};

use super::EvidenceError;
use super::colour::{Colour, Conversion};
use super::shrink::shrink;
use super::spans::Grid;
use crate::frame::Picture;
use crate::geometry::{BBox, Point, Polygon};

pub(super) const BLACK: Colour = [0, 0, 0];
pub(super) const WHITE: Colour = [255, 255, 255];

/// Packed RGB, 8 bit, rows from the top, no padding.
pub(super) struct Canvas {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
    /// Thickness of a line in pixels; everything drawn is sized by it.
    line_px: f32,
    /// Where labels lie already, so that the next one goes elsewhere: x, y, width, height in pixels.
    labels: Vec<[f32; 4]>,
}

/// Where a label should go, if there is room.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    /// Above the box, else below it, else inside it.
    Box(BBox),
    /// Beside the point.
    Point(Point),
}

impl Canvas {
    /// The picture in RGB (BT.709 from 720 lines up, else BT.601, as cameras that do not say it mean it), scaled down so
    /// that its longest side is at most `side_max` pixels.
    pub(super) fn from_picture(picture: &Picture, side_max: usize) -> Result<Self, EvidenceError> {
        let (width, height) = (picture.width, picture.height);
        let (columns, rows) = picture.chroma_size();
        let fits = width > 0
            && height > 0
            && width.checked_mul(height) == Some(picture.y.len())
            && columns * rows == picture.u.len()
            && columns * rows == picture.v.len();
        if !fits {
            return Err(EvidenceError::Planes {
                width,
                height,
                y: picture.y.len(),
                u: picture.u.len(),
                v: picture.v.len(),
            });
        }
        let longest = width.max(height);
        let conversion = Conversion::of(picture);
        if longest <= side_max || side_max == 0 {
            let rgb = conversion.rgb([&picture.y, &picture.u, &picture.v], width, height);
            return Ok(Self::new(width, height, rgb));
        }
        let scaled = |side: usize| (side * side_max / longest).max(1);
        let (to_width, to_height) = (scaled(width), scaled(height));
        // Shrunk before colours are made of it: planes are half as many bytes as colours, and few pixels are left.
        let to_chroma = (to_width.div_ceil(2), to_height.div_ceil(2));
        let y = shrink(&picture.y, (width, height), (to_width, to_height));
        let [u, v] = [&picture.u, &picture.v].map(|plane| shrink(plane, (columns, rows), to_chroma));
        Ok(Self::new(to_width, to_height, conversion.rgb([&y, &u, &v], to_width, to_height)))
    }

    pub(super) fn new(width: usize, height: usize, rgb: Vec<u8>) -> Self {
        let line_px = (width.max(height) as f32 / 440.0).clamp(1.6, 8.0);
        Self { width, height, rgb, line_px, labels: Vec::new() }
    }

    fn place(&self, p: Point) -> (f32, f32) {
        (p.x * self.width as f32, p.y * self.height as f32)
    }

    /// Mixes a colour into pixels of a row; columns are cut to the canvas.
    fn blend(&mut self, row: usize, columns: Range<usize>, colour: Colour, alpha: f32) {
        let to = columns.end.min(self.width);
        let from = columns.start.min(to);
        let (pixels, _) =
            self.rgb[(row * self.width + from) * 3..(row * self.width + to) * 3].as_chunks_mut();
        let share = (alpha * 256.0 + 0.5) as u16;
        if share >= 256 {
            pixels.fill(colour);
            return;
        }
        let added = colour.map(|value| u16::from(value) * share + 128);
        for pixel in pixels {
            for (value, added) in pixel.iter_mut().zip(added) {
                *value = ((u16::from(*value) * (256 - share) + added) >> 8) as u8;
            }
        }
    }

    /// Fills a rectangle in pixels, cut to the canvas.
    pub(super) fn fill_rect(&mut self, [x, y, width, height]: [f32; 4], colour: Colour, alpha: f32) {
        let cut = |v: f32, max: usize| (v.round().max(0.0) as usize).min(max);
        let columns = cut(x, self.width)..cut(x + width, self.width);
        for row in cut(y, self.height)..cut(y + height, self.height) {
            self.blend(row, columns.clone(), colour, alpha);
        }
    }

    /// Fills a polygon.
    pub(super) fn fill(&mut self, polygon: &Polygon, colour: Colour, alpha: f32) {
        for (row, columns) in Grid::pixels(self.width, self.height).inside(polygon) {
            self.blend(row, columns, colour, alpha);
        }
    }

    /// A smooth line with round ends through the points (ratios), with a dark edge so that it shows on any ground.
    pub(super) fn path(&mut self, points: &[Point], closed: bool, colour: Colour, thickness: f32) {
        let Some(&first) = points.first() else { return };
        let mut corners = points.to_vec();
        if closed {
            corners.push(first);
        }
        let width = self.line_px * thickness;
        for (colour, width, alpha) in [(BLACK, width + self.line_px.max(1.5), 0.55), (colour, width, 1.0)] {
            for ends in corners.windows(2) {
                let (a, b) = (self.place(ends[0]), self.place(ends[1]));
                self.capsule(a, b, width / 2.0, colour, alpha);
            }
        }
    }

    /// A filled dot, or a ring if `hollow`, of `radius` line widths.
    pub(super) fn dot(&mut self, at: Point, radius: f32, colour: Colour, hollow: bool) {
        let (x, y) = self.place(at);
        let radius = radius * self.line_px;
        if hollow {
            const STEPS: usize = 32;
            let corner = |i: usize| {
                let angle = i as f32 / STEPS as f32 * std::f32::consts::TAU;
                Point {
                    x: (x + radius * angle.cos()) / self.width as f32,
                    y: (y + radius * angle.sin()) / self.height as f32,
                }
            };
            let ring: Vec<Point> = (0..STEPS).map(corner).collect();
            self.path(&ring, true, colour, 1.0);
        } else {
            self.capsule((x, y), (x, y), radius + self.line_px * 0.5, BLACK, 0.55);
            self.capsule((x, y), (x, y), radius, colour, 1.0);
        }
    }

    /// All pixels within `radius` of the segment, the outermost half pixel faded.
    fn capsule(&mut self, a: (f32, f32), b: (f32, f32), radius: f32, colour: Colour, alpha: f32) {
        let reach = radius + 1.0;
        let low = |p: f32, q: f32| (p.min(q) - reach).max(0.0) as usize;
        let high = |p: f32, q: f32, max: usize| ((p.max(q) + reach).max(0.0).ceil() as usize).min(max);
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let length2 = dx * dx + dy * dy;
        for row in low(a.1, b.1)..high(a.1, b.1, self.height) {
            let py = row as f32 + 0.5 - a.1;
            // Only the part of the segment that this row can see: a slanting line's box is mostly empty.
            let part =
                |y: f32, otherwise: f32| if dy.abs() > 1e-3 { (y / dy).clamp(0.0, 1.0) } else { otherwise };
            let (p, q) = (a.0 + dx * part(py - reach, 0.0), a.0 + dx * part(py + reach, 1.0));
            for column in low(p, q)..high(p, q, self.width) {
                let px = column as f32 + 0.5 - a.0;
                let t = if length2 > 0.0 { ((px * dx + py * dy) / length2).clamp(0.0, 1.0) } else { 0.0 };
                let (off_x, off_y) = (px - t * dx, py - t * dy);
                let cover = (radius + 0.5 - (off_x * off_x + off_y * off_y).sqrt()).clamp(0.0, 1.0);
                if cover > 0.0 {
                    self.blend(row, column..column + 1, colour, alpha * cover);
                }
            }
        }
    }

    /// The edges of a box.
    pub(super) fn outline(&mut self, bbox: &BBox, colour: Colour) {
        let corners = [[bbox.x0, bbox.y0], [bbox.x1, bbox.y0], [bbox.x1, bbox.y1], [bbox.x0, bbox.y1]];
        self.path(&corners.map(Point::from), true, colour, 1.0);
    }

    /// Replaces the box by few large squares of one colour each: nobody can be recognised in it.
    ///
    /// The box is first enlarged by an eighth on each side, for detectors cut off feet and hair. A square is a ninth of
    /// the box's height and at least a quarter of its width, so a head becomes one to four squares, whatever its size;
    /// what is averaged away cannot be brought back.
    pub(super) fn mosaic(&mut self, bbox: &BBox) {
        let (margin_x, margin_y) = (bbox.width() / 8.0, bbox.height() / 8.0);
        let cut = |ratio: f32, side: usize| ((ratio * side as f32).max(0.0) as usize).min(side);
        let (x0, x1) =
            (cut(bbox.x0 - margin_x, self.width), cut(bbox.x1 + margin_x, self.width.saturating_sub(1)) + 1);
        let (y0, y1) = (
            cut(bbox.y0 - margin_y, self.height),
            cut(bbox.y1 + margin_y, self.height.saturating_sub(1)) + 1,
        );
        let square = ((x1 - x0.min(x1)) / 4).max((y1 - y0.min(y1)) / 9).max(8);
        for top in (y0..y1).step_by(square) {
            for left in (x0..x1).step_by(square) {
                let (bottom, right) = ((top + square).min(y1), (left + square).min(x1));
                let mut sum = [0u64; 3];
                for row in top..bottom {
                    for pixel in self.rgb[(row * self.width + left) * 3..(row * self.width + right) * 3]
                        .chunks_exact(3)
                    {
                        sum.iter_mut().zip(pixel).for_each(|(s, &c)| *s += u64::from(c));
                    }
                }
                let count = ((bottom - top) * (right - left)) as u64;
                let mean = sum.map(|s| (s / count) as u8);
                for row in top..bottom {
                    for pixel in self.rgb[(row * self.width + left) * 3..(row * self.width + right) * 3]
                        .chunks_exact_mut(3)
                    {
                        pixel.copy_from_slice(&mean);
                    }
                }
            }
        }
    }

    /// Font and the factor by which its pixels are enlarged, for this size of picture.
    fn font(&self) -> (&'static MonoFont<'static>, usize) {
        match self.width.max(self.height) {
            0..500 => (&ascii::FONT_6X10, 1),
            500..800 => (&ascii::FONT_7X13_BOLD, 1),
            800..1100 => (&ascii::FONT_8X13_BOLD, 1),
            1100..1500 => (&ascii::FONT_9X18_BOLD, 1),
            1500..2200 => (&ascii::FONT_10X20, 1),
            longest => (&ascii::FONT_9X18_BOLD, longest.div_ceil(1300)),
        }
    }

    /// Size in pixels of a label with this text, its margin included.
    fn label_size(&self, text: &str) -> (f32, f32) {
        let (font, scale) = self.font();
        let glyph = font.character_size;
        let width = (text.chars().count() * glyph.width as usize + 6) * scale;
        (width as f32, ((glyph.height as usize + 4) * scale) as f32)
    }

    /// A line of text on a ground of its own; what is not ASCII becomes `?`. Returns its x, y, width, height in pixels.
    pub(super) fn label(&mut self, text: &str, anchor: Anchor, ground: Colour) -> [f32; 4] {
        let (width, height) = self.label_size(text);
        let edge = self.line_px;
        let places = match anchor {
            Anchor::Box(b) => {
                let ((x0, y0), (_, y1)) = (self.place(Point { x: b.x0, y: b.y0 }), self.place(b.foot()));
                vec![(x0 - edge, y0 - height - edge), (x0 - edge, y1 + edge), (x0 + edge, y0 + edge)]
            }
            Anchor::Point(p) => {
                let (x, y) = self.place(p);
                let away = edge * 7.0;
                vec![
                    (x + away, y - height / 2.0),
                    (x - away - width, y - height / 2.0),
                    (x - width / 2.0, y - height - away),
                    (x - width / 2.0, y + away),
                ]
            }
        };
        let (x_max, y_max) = ((self.width as f32 - width).max(0.0), (self.height as f32 - height).max(0.0));
        let free = |&&(x, y): &&(f32, f32)| {
            let inside = x > -edge * 2.0 && x <= x_max + edge * 2.0 && y >= 0.0 && y <= y_max;
            inside
                && !self
                    .labels
                    .iter()
                    .any(|l| x < l[0] + l[2] && l[0] < x + width && y < l[1] + l[3] && l[1] < y + height)
        };
        let &(x, y) = places.iter().find(free).unwrap_or(&places[0]);
        let (x, y) = (x.clamp(0.0, x_max).round(), y.clamp(0.0, y_max).round());
        self.labels.push([x, y, width, height]);
        self.fill_rect([x, y, width, height], ground, 0.88);
        let bright = u32::from(ground[0]) * 3 + u32::from(ground[1]) * 6 + u32::from(ground[2]) > 1300;
        let (_, scale) = self.font();
        self.text(text, (x + (3 * scale) as f32, y + (2 * scale) as f32), if bright { BLACK } else { WHITE });
        [x, y, width, height]
    }

    /// A dark strip along the bottom with a line of text: who, when, what.
    pub(super) fn caption(&mut self, text: &str) {
        let (_, height) = self.label_size(text);
        let top = (self.height as f32 - height).max(0.0);
        self.labels.push([0.0, top, self.width as f32, height]);
        self.fill_rect([0.0, top, self.width as f32, height], BLACK, 0.7);
        let (_, scale) = self.font();
        self.text(text, ((4 * scale) as f32, top + (2 * scale) as f32), WHITE);
    }

    fn text(&mut self, text: &str, (x, y): (f32, f32), colour: Colour) {
        let (font, scale) = self.font();
        let text: String = text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
        let mut glyphs = Glyphs { canvas: self, x: x as i32, y: y as i32, scale: scale as i32, colour };
        let style = MonoTextStyle::new(font, BinaryColor::On);
        let Ok(_) = Text::with_baseline(&text, Place::zero(), style, Baseline::Top).draw(&mut glyphs);
    }
}

/// A place on the canvas where a font's pixels go, each enlarged by a whole factor.
struct Glyphs<'a> {
    canvas: &'a mut Canvas,
    x: i32,
    y: i32,
    scale: i32,
    colour: Colour,
}

impl OriginDimensions for Glyphs<'_> {
    fn size(&self) -> Size {
        Size::new(self.canvas.width as u32, self.canvas.height as u32)
    }
}

impl DrawTarget for Glyphs<'_> {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, ink) in pixels {
            if ink.is_on() {
                let inked = |start: i32| start.max(0) as usize..(start + self.scale).max(0) as usize;
                let (columns, rows) = (inked(self.x + at.x * self.scale), inked(self.y + at.y * self.scale));
                for row in rows.start..rows.end.min(self.canvas.height) {
                    self.canvas.blend(row, columns.clone(), self.colour, 1.0);
                }
            }
        }
        Ok(())
    }
}
