//! Known colours, sizes of all kinds, and boxes that come back.

use super::*;
use crate::frame::{Captured, Clock};
use proptest::prelude::*;
use std::time::Duration;

fn spec(width: usize, height: usize, resize: Resize) -> InputSpec {
    let (pad, mean, std) = (114.0, [0.0; 3], [1.0; 3]);
    InputSpec { width, height, colour: Colour::Rgb, resize, pad, scale: 1.0, mean, std }
}

fn picture(width: usize, height: usize, yuv: impl Fn(f32, f32) -> [u8; 3]) -> Picture {
    let plane = |w: usize, h: usize, channel: usize| -> std::sync::Arc<[u8]> {
        let at = |i: usize| yuv(((i % w) as f32 + 0.5) / w as f32, ((i / w) as f32 + 0.5) / h as f32);
        (0..w * h).map(|i| at(i)[channel]).collect()
    };
    let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
    let captured = Captured { wall: jiff::Timestamp::UNIX_EPOCH, media: Duration::ZERO, clock: Clock::File };
    Picture {
        captured,
        width,
        height,
        y: plane(width, height, 0),
        u: plane(cw, ch, 1),
        v: plane(cw, ch, 2),
        full_range: false,
    }
}

fn pixel(tensor: &[f32], spec: &InputSpec, x: usize, y: usize) -> [f32; 3] {
    [0, 1, 2].map(|c| tensor[(c * spec.height + y) * spec.width + x])
}

#[test]
fn known_colours_come_out() {
    // ITU-R BT.601 and BT.709 colour bars, 8 bit.
    let cases = [
        (180, false, [81, 90, 240], [255.0, 0.0, 0.0]),
        (180, false, [145, 54, 34], [0.0, 255.0, 0.0]),
        (180, true, [76, 85, 255], [254.0, 0.0, 0.0]),
        (1080, false, [63, 102, 240], [255.0, 0.0, 0.0]),
        (1080, false, [173, 42, 26], [0.0, 255.0, 0.0]),
        (1080, true, [29, 255, 107], [0.0, 0.0, 255.0]),
        (180, false, [235, 128, 128], [255.0, 255.0, 255.0]),
        (180, false, [0, 128, 128], [0.0, 0.0, 0.0]),
    ];
    for (height, full_range, yuv, rgb) in cases {
        let picture = Picture { full_range, ..picture(320, height, |_, _| yuv) };
        for colour in [Colour::Rgb, Colour::Bgr] {
            let spec = InputSpec { colour, ..spec(64, 64, Resize::Stretch) };
            let mut letterbox = Letterbox::new(&spec);
            let mut found = pixel(letterbox.fill(&picture).unwrap().0, &spec, 10, 10);
            if colour == Colour::Bgr {
                found.reverse();
            }
            let near = found.iter().zip(rgb).all(|(a, b)| (a - b).abs() < 3.0);
            assert!(near, "{yuv:?} at {height} full range {full_range}: {found:?}");
        }
    }
}

#[test]
fn scale_mean_and_std_follow_the_channels() {
    let grey = picture(64, 64, |_, _| [126, 128, 128]); // 128 in full range
    let (mean, std) = ([0.1, 0.2, 0.3], [0.5, 0.25, 0.125]);
    let spec = InputSpec { scale: 1.0 / 255.0, mean, std, ..spec(32, 64, Resize::Letterbox) };
    let mut letterbox = Letterbox::new(&spec);
    let (tensor, at) = letterbox.fill(&grey).unwrap();
    assert_eq!(at, Placement { left: 0, top: 16, width: 32, height: 32 });
    for (y, value) in [(8, 114.0), (32, 128.1)] {
        for (channel, found) in pixel(tensor, &spec, 5, y).into_iter().enumerate() {
            let expected = (value / 255.0 - mean[channel]) / std[channel];
            assert!((found - expected).abs() < 0.01, "row {y}, channel {channel}: {found}");
        }
    }
}

#[test]
fn a_ramp_stays_where_it_is_at_any_size() {
    let ramp = |x: f32, y: f32| [(16.0 + 100.0 * x + 119.0 * y) as u8, 128, 128];
    let sizes = [(1920, 1080), (1280, 720), (704, 576), (351, 287), (64, 48), (33, 1), (5, 300)];
    for (width, height) in sizes {
        for resize in [Resize::Letterbox, Resize::LetterboxTopLeft, Resize::Stretch] {
            let spec = spec(320, 192, resize);
            let mut letterbox = Letterbox::new(&spec);
            let picture = picture(width, height, ramp);
            let (tensor, at) = letterbox.fill(&picture).unwrap();
            for (i, j) in [(0.25, 0.25), (0.5, 0.5), (0.8, 0.3), (0.1, 0.9)] {
                let x = at.left + (at.width as f32 * i) as usize;
                let y = at.top + (at.height as f32 * j) as usize;
                let [u, v] = [
                    ((x - at.left) as f32 + 0.5) / at.width as f32,
                    ((y - at.top) as f32 + 0.5) / at.height as f32,
                ];
                let expected = (100.0 * u + 119.0 * v) * 255.0 / 219.0;
                // One sample of the source is a step of the ramp; small sources have big steps.
                let slack = 4.0 + 60.0 / width as f32 + 70.0 / height as f32;
                let found = pixel(tensor, &spec, x, y)[1];
                assert!((found - expected).abs() < slack, "{width}x{height} {resize:?}: {found} {expected}");
            }
        }
    }
}

#[test]
fn a_new_size_clears_the_old_picture() {
    let spec = spec(64, 64, Resize::Letterbox);
    let mut letterbox = Letterbox::new(&spec);
    letterbox.fill(&picture(64, 64, |_, _| [235, 128, 128])).unwrap();
    let wide = picture(64, 16, |_, _| [235, 128, 128]);
    let (tensor, at) = letterbox.fill(&wide).unwrap();
    assert_eq!((at.top, at.height), (24, 16));
    assert_eq!(pixel(tensor, &spec, 32, 4), [114.0; 3]);
    assert_eq!(pixel(tensor, &spec, 32, 60), [114.0; 3]);
}

#[test]
fn planes_of_another_size_are_refused() {
    let mut letterbox = Letterbox::new(&spec(64, 64, Resize::Letterbox));
    let good = picture(32, 32, |_, _| [0; 3]);
    for bad in [
        Picture { width: 33, ..good.clone() },
        Picture { width: 0, height: 0, y: [].into(), u: [].into(), v: [].into(), ..good.clone() },
        Picture { v: [0; 255].into(), ..good.clone() },
        Picture { width: usize::MAX, ..good.clone() },
    ] {
        assert!(letterbox.fill(&bad).is_err(), "{bad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn boxes_come_back_from_the_model(
        width in 1usize..4000, height in 1usize..4000,
        x in 0.0f32..0.9, y in 0.0f32..0.9, w in 0.0f32..0.1, h in 0.0f32..0.1,
        resize in prop::sample::select(vec![Resize::Letterbox, Resize::LetterboxTopLeft, Resize::Stretch]),
    ) {
        let at = Placement::of(&spec(640, 352, resize), width, height);
        prop_assert!(at.left + at.width <= 640 && at.top + at.height <= 352);
        let model = |u: f32, v: f32| (at.left as f32 + u * at.width as f32, at.top as f32 + v * at.height as f32);
        let ((x0, y0), (x1, y1)) = (model(x, y), model(x + w, y + h));
        let found = at.picture_from_model([x0, y0, x1, y1]);
        for (a, b) in [(found.x0, x), (found.y0, y), (found.x1, x + w), (found.y1, y + h)] {
            prop_assert!((a - b).abs() < 1e-2, "{found:?}");
        }
    }

    #[test]
    fn any_size_stays_inside_the_tensor(width in 1usize..200, height in 1usize..200, side in 8usize..100) {
        let mut letterbox = Letterbox::new(&spec(side, 64, Resize::LetterboxTopLeft));
        let picture = picture(width, height, |_, _| [255, 255, 0]);
        let (tensor, _) = letterbox.fill(&picture).unwrap();
        prop_assert!(tensor.iter().all(|v| (0.0..=255.0).contains(v)));
    }
}
