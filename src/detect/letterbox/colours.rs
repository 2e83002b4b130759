//! From the Y'CbCr of a picture to the units of a model's channels.

use crate::detect::card::{Colour, InputSpec};
use crate::frame::Picture;

/// What chroma adds to each channel, for every pixel of a row.
pub(super) struct Shades {
    red: Vec<f32>,
    green: Vec<f32>,
    blue: Vec<f32>,
}

impl Shades {
    pub fn new(width: usize) -> Self {
        let even = vec![0.0; width.next_multiple_of(2)];
        Self { red: even.clone(), green: even.clone(), blue: even }
    }
}

/// Conversion of one picture's Y'CbCr to a model's channels.
pub(super) struct Colours {
    luma_offset: f32,
    luma_gain: f32,
    red_v: f32,
    green_u: f32,
    green_v: f32,
    blue_u: f32,
    /// Per red, green, blue: gain and offset from 0..255 to the model's units.
    units: [(f32, f32); 3],
}

/// Standard-definition video is BT.601, high-definition BT.709, as players assume when nobody says.
const HD_HEIGHT_MIN: usize = 720;

impl Colours {
    pub fn new(spec: &InputSpec, picture: &Picture) -> Self {
        // Full range comes from JPEG in the main, which is BT.601 at any size (JFIF 1.02).
        let hd = picture.height >= HD_HEIGHT_MIN && !picture.full_range;
        let (kr, kb) = if hd { (0.2126, 0.0722) } else { (0.299, 0.114) };
        let kg = 1.0 - kr - kb;
        let (luma_offset, luma_gain, chroma_gain) =
            if picture.full_range { (0.0, 1.0, 1.0) } else { (16.0, 255.0 / 219.0, 255.0 / 224.0) };
        let units = |channel: usize| {
            let std = spec.std[channel];
            (spec.scale / std, -spec.mean[channel] / std)
        };
        let [first, second, third] = [units(0), units(1), units(2)];
        Self {
            luma_offset,
            luma_gain,
            red_v: 2.0 * (1.0 - kr) * chroma_gain,
            green_u: -2.0 * (1.0 - kb) * kb / kg * chroma_gain,
            green_v: -2.0 * (1.0 - kr) * kr / kg * chroma_gain,
            blue_u: 2.0 * (1.0 - kb) * chroma_gain,
            units: match spec.colour {
                Colour::Rgb => [first, second, third],
                Colour::Bgr => [third, second, first],
            },
        }
    }

    pub fn shade(&self, u: &[f32], v: &[f32], shades: &mut Shades) {
        // Chroma is centred on 128, luma starts at its offset.
        let black = |chroma_gain: f32| -self.luma_offset * self.luma_gain - 128.0 * chroma_gain;
        let (red, green, blue) = (black(self.red_v), black(self.green_u + self.green_v), black(self.blue_u));
        double(&mut shades.red, v.iter().map(|v| red + self.red_v * v));
        double(&mut shades.blue, u.iter().map(|u| blue + self.blue_u * u));
        let green = u.iter().zip(v).map(|(u, v)| green + self.green_u * u + self.green_v * v);
        double(&mut shades.green, green);
    }

    pub fn write(&self, y: &[f32], shades: &Shades, red: &mut [f32], green: &mut [f32], blue: &mut [f32]) {
        let [r, g, b] = self.units;
        let level = |y: f32, shade: f32, (gain, offset): (f32, f32)| {
            (y * self.luma_gain + shade).clamp(0.0, 255.0) * gain + offset
        };
        let n = y.len();
        let (red, green, blue) = (&mut red[..n], &mut green[..n], &mut blue[..n]);
        let (sr, sg, sb) = (&shades.red[..n], &shades.green[..n], &shades.blue[..n]);
        for i in 0..n {
            red[i] = level(y[i], sr[i], r);
            green[i] = level(y[i], sg[i], g);
            blue[i] = level(y[i], sb[i], b);
        }
    }
}

/// Writes every value twice: one chroma sample spans two pixels.
fn double(out: &mut [f32], values: impl Iterator<Item = f32>) {
    let (pairs, _) = out.as_chunks_mut::<2>();
    for (pair, value) in pairs.iter_mut().zip(values) {
        *pair = [value; 2];
    }
}
