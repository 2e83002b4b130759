//! Troubles made to order: a sound picture in, one of a sick camera out. Strengths are what the figures are stated for.

use std::sync::Arc;

use gridwatch::frame::Picture;

/// A trouble with its strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trouble {
    /// Luma 16 with a sensor's noise, and a bright clock in a corner.
    Black,
    /// Luma times this.
    Dark(f32),
    /// Luma times this.
    Bright(f32),
    /// Contrast around the mean times this.
    Flat(f32),
    /// So many levels towards blue and away from red, or the other way.
    Tint(f32),
    /// Gaussian blur of this deviation, as a share of the picture's width.
    Blur(f32),
    /// Gaussian noise of this deviation on luma.
    Snow(f32),
    /// Blue with a few white letters.
    SignalLost,
    /// A dim smooth thing over this share of the picture from one side on, seen out of focus.
    Cover(f32),
    /// Bars with this amplitude, every so many pixels of a picture 640 wide.
    Stripes(f32, f32),
    /// Turned right and down by these shares of the width, about the axis by these degrees, and zoomed.
    Move(f32, f32, f32, f32),
}

fn mapped(picture: &Picture, luma: impl FnMut((usize, u8)) -> u8) -> Picture {
    let y: Vec<u8> = picture.y.iter().copied().enumerate().map(luma).collect();
    Picture { y: y.into(), ..picture.clone() }
}

fn level(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// Nearly normal: deviation 1.
fn gauss(random: &mut fastrand::Rng) -> f32 {
    (0..4).map(|_| random.f32() - 0.5).sum::<f32>() * 3f32.sqrt()
}

/// White marks as of letters, at the top left.
fn letters(luma: &mut [u8], w: usize, h: usize, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (size, top, left) = ((h / 24).max(2), h / 30, w / 40);
    for letter in 0..8 {
        for y in top..(top + size).min(h) {
            for x in (left + letter * size)..(left + letter * size + size * 2 / 3).min(w) {
                luma[y * w + x] = if random.bool() { 230 } else { 20 };
            }
        }
    }
}

impl Trouble {
    /// The picture as this trouble would show it; `seed` is another one for every picture.
    pub fn on(self, picture: &Picture, seed: u64) -> Picture {
        let (w, h) = (picture.width, picture.height);
        let mut random = fastrand::Rng::with_seed(seed);
        match self {
            Self::Black => {
                let mut out: Vec<u8> = picture.y.iter().map(|_| level(17.0 + gauss(&mut random))).collect();
                letters(&mut out, w, h, seed);
                let grey: Arc<[u8]> = vec![128; picture.u.len()].into();
                Picture { y: out.into(), u: grey.clone(), v: grey, ..picture.clone() }
            }
            Self::Dark(share) => {
                let mut dark = mapped(picture, |(_, v)| level(16.0 + (f32::from(v) - 16.0) * share));
                for plane in [&mut dark.u, &mut dark.v] {
                    *plane = plane.iter().map(|&v| level(128.0 + (f32::from(v) - 128.0) * share)).collect();
                }
                dark
            }
            Self::Bright(times) => {
                mapped(picture, |(_, v)| level((16.0 + (f32::from(v) - 16.0) * times).min(235.0)))
            }
            Self::Flat(share) => {
                let mean = picture.y.iter().map(|&v| f32::from(v)).sum::<f32>() / picture.y.len() as f32;
                mapped(picture, |(_, v)| {
                    level(mean + (f32::from(v) - mean) * share + 0.5 * gauss(&mut random))
                })
            }
            Self::Tint(levels) => Picture {
                u: picture.u.iter().map(|&v| level(f32::from(v) + levels)).collect(),
                v: picture.v.iter().map(|&v| level(f32::from(v) - levels)).collect(),
                ..picture.clone()
            },
            Self::Blur(share) => {
                let y = blurred(&picture.y, w, h, share * w as f32);
                let y = y.into_iter().map(|v| level(v + 0.7 * gauss(&mut random))).collect();
                Picture { y, ..picture.clone() }
            }
            Self::Snow(deviation) => {
                mapped(picture, |(_, v)| level(f32::from(v) + deviation * gauss(&mut random)))
            }
            Self::SignalLost => {
                let mut out = vec![41; w * h];
                letters(&mut out, w, h, 1);
                let (u, v) = (vec![240; picture.u.len()], vec![110; picture.v.len()]);
                Picture { y: out.into(), u: u.into(), v: v.into(), ..picture.clone() }
            }
            Self::Cover(share) => {
                let edge = share * w as f32;
                let soft = 0.03 * w as f32;
                let mut covered = mapped(picture, |(i, v)| {
                    let (x, y) = ((i % w) as f32, (i / w) as f32);
                    let part = ((edge - x) / soft + 0.5).clamp(0.0, 1.0);
                    let cover = 70.0 + 12.0 * y / h as f32 + gauss(&mut random);
                    level(f32::from(v) + part * (cover - f32::from(v)))
                });
                let (cw, _) = picture.chroma_size();
                for plane in [&mut covered.u, &mut covered.v] {
                    *plane = plane
                        .iter()
                        .enumerate()
                        .map(|(i, &v)| if ((i % cw) as f32) < edge / 2.0 { 128 } else { v })
                        .collect();
                }
                covered
            }
            Self::Stripes(amplitude, period) => {
                let period = period * w as f32 / 640.0;
                let phase = random.f32() * period;
                mapped(picture, |(i, v)| {
                    let wave = ((i / w) as f32 + phase) / period * std::f32::consts::TAU;
                    level(f32::from(v) + amplitude * wave.sin())
                })
            }
            Self::Move(right, down, turn, zoom) => {
                let (cw, ch) = picture.chroma_size();
                let place = (right, down, turn, zoom);
                Picture {
                    y: moved(&picture.y, w, h, place).into(),
                    u: moved(&picture.u, cw, ch, place).into(),
                    v: moved(&picture.v, cw, ch, place).into(),
                    ..picture.clone()
                }
            }
        }
    }
}

/// Three box blurs, which are nearly a Gaussian one.
fn blurred(luma: &[u8], w: usize, h: usize, deviation: f32) -> Vec<f32> {
    let reach = (((4.0 * deviation * deviation + 1.0).sqrt() - 1.0) / 2.0).round().max(1.0) as isize;
    let mut values: Vec<f32> = luma.iter().map(|&v| f32::from(v)).collect();
    let mut line = Vec::new();
    for _ in 0..3 {
        for (count, length, step, stride) in [(h, w, w, 1), (w, h, 1, w)] {
            for start in (0..count).map(|i| i * step) {
                line.clear();
                line.extend((0..length).map(|i| values[start + i * stride]));
                let at = |i: isize| line[i.clamp(0, length as isize - 1) as usize];
                let mut sum: f32 = (-reach..=reach).map(at).sum();
                for i in 0..length {
                    values[start + i * stride] = sum / (2 * reach + 1) as f32;
                    sum += at(i as isize + reach + 1) - at(i as isize - reach);
                }
            }
        }
    }
    values
}

/// A plane seen by a camera that has been turned; what comes in from outside is the picture mirrored at its border.
fn moved(plane: &[u8], w: usize, h: usize, (right, down, turn, zoom): (f32, f32, f32, f32)) -> Vec<u8> {
    let (sin, cos) = turn.to_radians().sin_cos();
    let mirrored = |v: f32, size: usize| {
        let last = (size - 1) as f32;
        let v = v.rem_euclid(2.0 * last);
        if v > last { 2.0 * last - v } else { v }
    };
    let (half_w, half_h, width) = (w as f32 / 2.0, h as f32 / 2.0, w as f32);
    let mut out = Vec::with_capacity(w * h);
    for y in 0..h {
        for x in 0..w {
            let (u, v) = ((x as f32 - half_w) / zoom, (y as f32 - half_h) / zoom);
            let from_x = mirrored(cos * u - sin * v + half_w + right * width, w);
            let from_y = mirrored(sin * u + cos * v + half_h + down * width, h);
            let (x0, y0) = ((from_x as usize).min(w - 2), (from_y as usize).min(h - 2));
            let (fx, fy) = (from_x - x0 as f32, from_y - y0 as f32);
            let at = |x: usize, y: usize| f32::from(plane[y * w + x]);
            let upper = at(x0, y0) * (1.0 - fx) + at(x0 + 1, y0) * fx;
            let lower = at(x0, y0 + 1) * (1.0 - fx) + at(x0 + 1, y0 + 1) * fx;
            out.push(level(upper * (1.0 - fy) + lower * fy));
        }
    }
    out
}
