//! The empty place: the median of pictures over time, without what was seen to move in them.

use std::time::Duration;

use image::{Rgb, RgbImage};

use crate::detection::Detection;
use crate::geometry::BBox;

/// Most pictures that are held; at 640 × 360 these are 66 MB, and a median gains nothing from more.
const LOOKS_MAX: usize = 96;
/// Pictures of one median: enough that what passes is never half of them, and few enough for several over a day.
const MEDIAN_OF: usize = 32;
/// Fewer pictures of a light than this make no median that could be trusted to be empty.
const LOOKS_MIN: usize = 8;
/// Grey levels by which a pixel differs from the background when something is before it.
const CHANGE: u8 = 25;
/// Share of a box that must differ from the pictures in which nothing is found there.
const CHANGED_MIN: f64 = 0.25;
/// By this share of its size a box is enlarged before its pixels are left out, for shadows and sloppy edges.
const MARGIN: f32 = 0.1;
/// A pixel keeps the plain median if it was free of boxes in fewer than this share of the pictures.
const FREE_MIN: f64 = 0.2;
/// Differences below this many grey levels are noise.
const NOISE_MAX: u8 = 12;
/// Columns and rows of the map of movement.
pub const CELLS: (usize, usize) = (32, 18);
/// Share of a cell that must have changed to count as movement.
const CELL_MIN: f64 = 0.2;

/// The lights of reference pictures, by name.
pub const LIGHTS: [&str; 3] = ["day", "dusk", "infrared"];

/// One picture, small and masked, and what the camera's model found in it.
pub struct Look {
    /// The picture.
    pub image: RgbImage,
    /// What was found.
    pub objects: Vec<Detection>,
}

/// Pictures spread evenly over a time whose length is not known beforehand.
pub struct Looks {
    every: Duration,
    next: Duration,
    kept: Vec<Look>,
}

impl Looks {
    /// Begins with a picture each `every`; whenever it holds enough, it drops every second one and takes half as many.
    pub fn new(every: Duration) -> Self {
        Self { every, next: Duration::ZERO, kept: Vec::new() }
    }

    /// Whether a picture of this time is due.
    pub fn wants(&self, at: Duration) -> bool {
        at >= self.next
    }

    /// Keeps a picture, unless its size is not the first one's (a camera that was set up anew meanwhile).
    pub fn keep(&mut self, at: Duration, look: Look) {
        self.next = at + self.every;
        if self.kept.first().is_some_and(|first| first.image.dimensions() != look.image.dimensions()) {
            return;
        }
        self.kept.push(look);
        if self.kept.len() >= LOOKS_MAX {
            let mut nth = 0;
            self.kept.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.every *= 2;
            self.next = at + self.every;
        }
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// The empty place in each light, at most three times of each: the sun wanders. Lights seen too seldom are left out.
    pub fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for light in LIGHTS {
            let looks: Vec<&Look> = self.kept.iter().filter(|look| light_of(&look.image) == light).collect();
            if looks.len() < LOOKS_MIN {
                continue;
            }
            let parts = (looks.len() / MEDIAN_OF).clamp(1, 3);
            places.extend(looks.chunks(looks.len().div_ceil(parts)).map(|part| Place::of(part, light)));
        }
        places
    }
}

/// The place without what moves.
pub struct Place {
    /// The median picture.
    pub image: RgbImage,
    /// `day`, `dusk` or `infrared`, as for reference pictures.
    pub light: &'static str,
    /// How many pictures it is made of.
    pub pictures: usize,
    /// Standard deviation of a single picture's noise in grey levels.
    pub noise: f64,
    /// What the model found where something had changed.
    pub seen: Vec<Detection>,
    /// Share of the pictures in which each cell had changed; [`CELLS`], rows from the top.
    pub moving: Vec<Vec<f64>>,
    /// Share of the pixels that were hardly ever free.
    pub never_free: f64,
}

impl Place {
    fn of(looks: &[&Look], light: &'static str) -> Self {
        let (width, height) = looks[0].image.dimensions();
        let all: Vec<Vec<&Detection>> = looks.iter().map(|look| look.objects.iter().collect()).collect();
        let (without, _) = median(looks, &outlines(&all, width, height));
        // What looks the same when the model finds nothing there is the model's mistake, or stands there always.
        let seen: Vec<Vec<&Detection>> = looks
            .iter()
            .map(|look| {
                let came = |d: &&Detection| changed_share(&look.image, &without, &d.bbox) >= CHANGED_MIN;
                look.objects.iter().filter(came).collect()
            })
            .collect();
        let (image, never_free) = median(looks, &outlines(&seen, width, height));
        let seen = seen.into_iter().flatten().cloned().collect();
        Self {
            noise: noise(looks, &image),
            moving: movement(looks, &image),
            image,
            light,
            pictures: looks.len(),
            seen,
            never_free,
        }
    }
}

/// The objects of each picture as pixels to leave out.
fn outlines(objects: &[Vec<&Detection>], width: u32, height: u32) -> Vec<Vec<[u32; 4]>> {
    let outline = |d: &&Detection| pixels(&d.bbox, MARGIN, width, height);
    objects.iter().map(|objects| objects.iter().map(outline).collect()).collect()
}

/// The median of each channel over the pictures where no box lies, and the share of the pixels that have too few of
/// those and got the median of all.
fn median(looks: &[&Look], boxes: &[Vec<[u32; 4]>]) -> (RgbImage, f64) {
    let hidden = |look: usize, x: u32, y: u32| {
        boxes[look].iter().any(|&[x0, y0, x1, y1]| (x0..x1).contains(&x) && (y0..y1).contains(&y))
    };
    let (width, height) = looks[0].image.dimensions();
    let least = ((looks.len() as f64 * FREE_MIN) as usize).max(2);
    let mut result = RgbImage::new(width, height);
    let mut never_free = 0u64;
    let mut free: Vec<usize> = Vec::with_capacity(looks.len());
    let mut values: Vec<u8> = Vec::with_capacity(looks.len());
    for (x, y, pixel) in result.enumerate_pixels_mut() {
        free.clear();
        free.extend((0..looks.len()).filter(|&look| !hidden(look, x, y)));
        if free.len() < least {
            never_free += 1;
            free.clear();
            free.extend(0..looks.len());
        }
        for channel in 0..3 {
            values.clear();
            values.extend(free.iter().map(|&look| looks[look].image.get_pixel(x, y).0[channel]));
            let middle = values.len() / 2;
            pixel.0[channel] = *values.select_nth_unstable(middle).1;
        }
    }
    (result, never_free as f64 / (f64::from(width) * f64::from(height)).max(1.0))
}

/// Left, top, right and bottom (both excluded) of a box enlarged by `margin`, in pixels.
fn pixels(bbox: &BBox, margin: f32, width: u32, height: u32) -> [u32; 4] {
    let (dx, dy) = (bbox.width() * margin, bbox.height() * margin);
    let cut = |ratio: f32, side: u32| ((ratio * side as f32).max(0.0) as u32).min(side);
    let (x0, y0) = (cut(bbox.x0 - dx, width), cut(bbox.y0 - dy, height));
    let (x1, y1) = (cut(bbox.x1 + dx, width) + 1, cut(bbox.y1 + dy, height) + 1);
    [x0, y0, x1.min(width), y1.min(height)]
}

fn changed(a: Rgb<u8>, b: Rgb<u8>) -> bool {
    a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > CHANGE)
}

fn changed_share(image: &RgbImage, background: &RgbImage, bbox: &BBox) -> f64 {
    let [x0, y0, x1, y1] = pixels(bbox, 0.0, image.width(), image.height());
    let places = (y0..y1).flat_map(|y| (x0..x1).map(move |x| (x, y)));
    let count = places.clone().count();
    let differing =
        places.filter(|&(x, y)| changed(*image.get_pixel(x, y), *background.get_pixel(x, y))).count();
    differing as f64 / count.max(1) as f64
}

fn grey(pixel: Rgb<u8>) -> u8 {
    (pixel.0.iter().map(|&c| u16::from(c)).sum::<u16>() / 3) as u8
}

fn noise(looks: &[&Look], background: &RgbImage) -> f64 {
    let (mut sum, mut count) = (0u64, 0u64);
    for look in looks {
        for (now, still) in look.image.pixels().zip(background.pixels()) {
            let off = grey(*now).abs_diff(grey(*still));
            if off < NOISE_MAX {
                sum += u64::from(off);
                count += 1;
            }
        }
    }
    // The standard deviation of a normal distribution is 1.25 times its mean deviation.
    1.25 * sum as f64 / count.max(1) as f64
}

fn movement(looks: &[&Look], background: &RgbImage) -> Vec<Vec<f64>> {
    let (width, height) = background.dimensions();
    let mut share = vec![vec![0.0; CELLS.0]; CELLS.1];
    for look in looks {
        let mut cells = vec![vec![(0u32, 0u32); CELLS.0]; CELLS.1];
        for (x, y, pixel) in look.image.enumerate_pixels() {
            let (column, row) =
                (x as usize * CELLS.0 / width as usize, y as usize * CELLS.1 / height as usize);
            let cell = &mut cells[row][column];
            cell.0 += u32::from(changed(*pixel, *background.get_pixel(x, y)));
            cell.1 += 1;
        }
        for (share, (changed, all)) in share.iter_mut().flatten().zip(cells.into_iter().flatten()) {
            if f64::from(changed) > CELL_MIN * f64::from(all) {
                *share += 1.0 / looks.len() as f64;
            }
        }
    }
    share
}

/// Which light a picture was taken in: no colours is the infrared lamp.
fn light_of(image: &RgbImage) -> &'static str {
    /// Mean distance between the strongest and the weakest channel below which there are no colours.
    const COLOURLESS: f64 = 2.0;
    /// Mean grey level below which a picture with colours is a dark one.
    const DARK: f64 = 70.0;
    let count = f64::from(image.width() * image.height()).max(1.0);
    let spread = |p: &Rgb<u8>| f64::from(p.0.iter().max().unwrap_or(&0) - p.0.iter().min().unwrap_or(&0));
    let colour = image.pixels().map(spread).sum::<f64>() / count;
    let mean = image.pixels().map(|p| f64::from(grey(*p))).sum::<f64>() / count;
    match (colour < COLOURLESS, mean < DARK) {
        (true, _) => "infrared",
        (false, true) => "dusk",
        (false, false) => "day",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: Rgb<u8> = Rgb([120, 100, 90]);
    const THING: Rgb<u8> = Rgb([10, 20, 200]);

    /// A picture of 64 × 36 with a thing of 16 × 12 pixels whose left edge is at `x`.
    fn look(x: Option<u32>, found: bool) -> Look {
        let inside = |at: u32| x.is_some_and(|x| (x..x + 16).contains(&at));
        let image =
            RgbImage::from_fn(
                64,
                36,
                |column, row| {
                    if inside(column) && (12..24).contains(&row) { THING } else { BARE }
                },
            );
        let bbox = |x: u32| BBox {
            x0: x as f32 / 64.0,
            y0: 12.0 / 36.0,
            x1: (x + 16) as f32 / 64.0,
            y1: 24.0 / 36.0,
        };
        let objects = x.filter(|_| found).map(|x| Detection {
            class: "car".into(),
            score: 0.9,
            bbox: bbox(x),
            looks: None,
        });
        Look { image, objects: objects.into_iter().collect() }
    }

    fn place(looks: &[Look]) -> Place {
        Place::of(&looks.iter().collect::<Vec<_>>(), "day")
    }

    fn bare_share(place: &Place) -> f64 {
        let bare = place.image.pixels().filter(|&&p| p == BARE).count();
        bare as f64 / (64.0 * 36.0)
    }

    #[test]
    fn what_passes_is_not_in_the_median() {
        let looks: Vec<Look> = (0..12).map(|i| look(Some(i * 4), false)).collect();
        let place = place(&looks);
        assert_eq!(bare_share(&place), 1.0);
        assert!(place.seen.is_empty() && place.never_free == 0.0 && place.noise == 0.0);
        assert!(place.moving[9][10] > 0.0 && place.moving[0][0] == 0.0 && place.moving[17][31] == 0.0);
    }

    #[test]
    fn what_stands_most_of_the_time_goes_if_a_model_sees_it() {
        let looks = |stands: usize, found: bool| -> Vec<Look> {
            (0..12).map(|i| look((i < stands).then_some(20), found)).collect()
        };
        assert_eq!(bare_share(&place(&looks(5, false))), 1.0);
        assert!(bare_share(&place(&looks(8, false))) < 1.0);
        let seen = place(&looks(8, true));
        assert_eq!((bare_share(&seen), seen.seen.len(), seen.never_free), (1.0, 8, 0.0));
    }

    #[test]
    fn what_never_changes_is_no_object() {
        // Found in every picture, and in two of three: it looks the same either way.
        for found in [1, 3] {
            let looks: Vec<Look> = (0..12).map(|i| look(Some(20), i % found == 0)).collect();
            let place = place(&looks);
            assert!(place.seen.is_empty() && place.never_free == 0.0);
            assert_eq!(*place.image.get_pixel(25, 15), THING);
        }
    }

    #[test]
    fn pictures_are_spread_over_any_time() {
        for hours in [1u64, 5, 24] {
            let mut looks = Looks::new(Duration::from_secs(2));
            let mut kept_at = Vec::new();
            for second in 0..hours * 3600 {
                let at = Duration::from_secs(second);
                if looks.wants(at) {
                    looks.keep(at, Look { image: RgbImage::new(8, 8), objects: Vec::new() });
                    kept_at.push(second);
                }
            }
            assert!((LOOKS_MAX / 2 - 1..LOOKS_MAX).contains(&looks.len()), "{hours} h: {}", looks.len());
            assert!(kept_at.len() < 800, "decoding is what costs: {}", kept_at.len());
        }
    }

    #[test]
    fn lights_make_places_of_their_own() {
        let mut looks = Looks::new(Duration::from_secs(1));
        let lights = [([150, 160, 120], 40), ([40, 60, 20], 9), ([90, 90, 90], 20), ([30, 60, 20], 3)];
        let mut at = 0;
        for (colour, count) in lights {
            for _ in 0..count {
                at += 1;
                let image = RgbImage::from_pixel(8, 8, Rgb(colour));
                looks.keep(Duration::from_secs(at), Look { image, objects: Vec::new() });
            }
        }
        // Another size is another setting of the camera.
        looks.keep(Duration::from_secs(at + 1), Look { image: RgbImage::new(9, 8), objects: Vec::new() });
        let found: Vec<_> =
            looks.places().iter().map(|p| (p.light, p.pictures, p.image.get_pixel(0, 0).0)).collect();
        assert_eq!(
            found,
            [("day", 40, [150, 160, 120]), ("dusk", 12, [40, 60, 20]), ("infrared", 20, [90, 90, 90])]
        );
    }
}
