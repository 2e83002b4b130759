//! From luma and colour differences to red, green and blue, and back.

use crate::frame::Picture;

/// Red, green, blue, 0..255.
pub(super) type Colour = [u8; 3];

/// Shares of red and blue in luma: they define everything else.
#[derive(Clone, Copy)]
pub(super) struct Weights {
    red: f64,
    blue: f64,
}

impl Weights {
    /// ITU-R BT.709 from 720 lines up, else BT.601: as cameras that do not say it mean it.
    pub(super) fn of_height(height: usize) -> Self {
        let (red, blue) = if height >= 720 { (0.2126, 0.0722) } else { (0.299, 0.114) };
        Self { red, blue }
    }

    /// Luma 16..235, blue and red difference 16..240 of a colour.
    pub(super) fn limited_range(self, colour: Colour) -> [u8; 3] {
        let [r, g, b] = colour.map(f64::from);
        let luma = self.red * r + (1.0 - self.red - self.blue) * g + self.blue * b;
        let chroma =
            |value: f64, weight: f64| 128.0 + 224.0 / 255.0 * (value - luma) / (2.0 * (1.0 - weight));
        [16.0 + 219.0 / 255.0 * luma, chroma(b, self.blue), chroma(r, self.red)].map(|v| v.round() as u8)
    }
}

/// Bits after the point of everything that is added up; 16-bit numbers, because processors work on eight of them at a time.
const FRACTION: u32 = 5;
const HALF: i16 = 1 << (FRACTION - 1);

/// YCbCr to RGB in fixed point.
pub(super) struct Conversion {
    black: i16,
    luma: i16,
    red_v: i16,
    green_u: i16,
    green_v: i16,
    blue_u: i16,
}

/// What chroma adds to each channel of a row's pixels: the same for two neighbours.
struct Shades {
    red: Vec<[i16; 2]>,
    green: Vec<[i16; 2]>,
    blue: Vec<[i16; 2]>,
}

impl Conversion {
    /// As this picture means its values.
    pub(super) fn of(picture: &Picture) -> Self {
        let Weights { red: kr, blue: kb } = Weights::of_height(picture.height);
        let kg = 1.0 - kr - kb;
        let (black, luma, chroma) =
            if picture.full_range { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
        // Luma comes with 7 bits after its point, differences with 8; a product loses 16.
        let of_luma = |factor: f64| (factor * f64::from(1 << (16 + FRACTION - 7))).round() as i16;
        let of_difference = |factor: f64| (factor * f64::from(1 << (16 + FRACTION - 8))).round() as i16;
        Self {
            black,
            luma: of_luma(luma),
            red_v: of_difference(2.0 * (1.0 - kr) * chroma),
            green_u: of_difference(2.0 * (1.0 - kb) * kb / kg * chroma),
            green_v: of_difference(2.0 * (1.0 - kr) * kr / kg * chroma),
            blue_u: of_difference(2.0 * (1.0 - kb) * chroma),
        }
    }

    /// Packed RGB of I420 planes of `width` x `height` pixels (chroma half as many, rounded up).
    pub(super) fn rgb(&self, [y, u, v]: [&[u8]; 3], width: usize, height: usize) -> Vec<u8> {
        let columns = width.div_ceil(2);
        let mut rgb = vec![0; width * height * 3];
        let mut shades =
            Shades { red: vec![[0; 2]; columns], green: vec![[0; 2]; columns], blue: vec![[0; 2]; columns] };
        let mut channels = [vec![0; width], vec![0; width], vec![0; width]];
        for (row, (pixels, luma)) in rgb.chunks_exact_mut(width * 3).zip(y.chunks_exact(width)).enumerate() {
            if row % 2 == 0 {
                let from = row / 2 * columns;
                self.shade(&u[from..][..columns], &v[from..][..columns], &mut shades);
            }
            // Each channel for itself, then all three together: only so are they done many at a time.
            let [red, green, blue] = &mut channels;
            for (channel, shades) in
                [(&mut *red, &shades.red), (&mut *green, &shades.green), (&mut *blue, &shades.blue)]
            {
                for ((value, &y), shade) in channel.iter_mut().zip(luma).zip(shades.as_flattened()) {
                    let y = high((i16::from(y) - self.black) << 7, self.luma);
                    *value = ((y + shade) >> FRACTION).clamp(0, 255) as u8;
                }
            }
            let (pixels, _) = pixels.as_chunks_mut::<3>();
            for (((pixel, &r), &g), &b) in pixels.iter_mut().zip(&*red).zip(&*green).zip(&*blue) {
                *pixel = [r, g, b];
            }
        }
        rgb
    }

    fn shade(&self, u: &[u8], v: &[u8], shades: &mut Shades) {
        let difference = |value: u8| (i16::from(value) - 128) << 8;
        let channels = shades.red.iter_mut().zip(&mut shades.green).zip(&mut shades.blue);
        for (((red, green), blue), (&u, &v)) in channels.zip(u.iter().zip(v)) {
            let (u, v) = (difference(u), difference(v));
            *red = [HALF + high(v, self.red_v); 2];
            *green = [HALF - high(u, self.green_u) - high(v, self.green_v); 2];
            *blue = [HALF + high(u, self.blue_u); 2];
        }
    }
}

/// The upper half of a product.
fn high(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::snapshot::tests::picture_of;

    #[test]
    fn every_colour_is_within_a_level_of_its_definition() {
        for (height, full_range) in [(2, false), (2, true), (720, false), (720, true)] {
            let mut picture = picture_of(2, height, |_, _| [0; 3]);
            picture.full_range = full_range;
            let (black, luma, chroma) =
                if full_range { (0.0, 1.0, 1.0) } else { (16.0, 255.0 / 219.0, 255.0 / 224.0) };
            let Weights { red, blue } = Weights::of_height(height);
            let conversion = Conversion::of(&picture);
            for (y, u, v) in (0..=255).step_by(5).flat_map(|y| {
                (0..=255).step_by(15).flat_map(move |u| (0..=255).step_by(15).map(move |v| (y, u, v)))
            }) {
                let got = conversion.rgb([&[y; 2], &[u], &[v]], 2, 1);
                let light = luma * (f64::from(y) - black);
                let (u, v) = (chroma * (f64::from(u) - 128.0), chroma * (f64::from(v) - 128.0));
                let r = light + 2.0 * (1.0 - red) * v;
                let b = light + 2.0 * (1.0 - blue) * u;
                let g = (light - red * r - blue * b) / (1.0 - red - blue);
                for (got, wanted) in got.iter().zip([r, g, b, r, g, b]) {
                    let off = f64::from(*got) - wanted.clamp(0.0, 255.0);
                    assert!(off.abs() < 1.0, "{got} instead of {wanted} for luma {y} in {height} lines");
                }
            }
        }
    }
}
