//! A picture as plain RGB, without anything drawn in it.

use image::RgbImage;

use super::EvidenceError;
use super::canvas::Canvas;
use crate::frame::Picture;
use crate::geometry::BBox;

/// The picture in RGB, scaled down so that its longest side is at most `side_max` pixels.
pub fn still(picture: &Picture, side_max: usize) -> Result<RgbImage, EvidenceError> {
    image_of(Canvas::from_picture(picture, side_max)?)
}

/// Makes what is in the boxes unrecognisable, as in evidence.
pub fn redact(image: RgbImage, boxes: &[BBox]) -> Result<RgbImage, EvidenceError> {
    let mut canvas = Canvas::new(image.width() as usize, image.height() as usize, image.into_raw());
    boxes.iter().for_each(|bbox| canvas.mosaic(bbox));
    image_of(canvas)
}

fn image_of(canvas: Canvas) -> Result<RgbImage, EvidenceError> {
    let Canvas { width, height, rgb, .. } = canvas;
    let planes = EvidenceError::Planes { width, height, y: rgb.len(), u: 0, v: 0 };
    RgbImage::from_raw(width as u32, height as u32, rgb).ok_or(planes)
}
