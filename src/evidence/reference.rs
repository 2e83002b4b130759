//! Pictures of the empty place, one per camera and light: what gridwatch compares with, for the operator to see and delete.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::archive::trouble;
use super::canvas::Canvas;
use super::colour::Weights;
use super::{EvidenceError, snapshot};
use crate::config;
use crate::frame::{CameraId, Captured, Picture};
use crate::geometry::BBox;

/// Older ones show another season, or a place that was dug up since.
const AGE_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Fine enough for the means of cells to stay what they were.
const QUALITY: u8 = 90;
const FOLDER: &str = "reference";

/// Keeps references as `<data_dir>/reference/<camera>.<light>.jpg`.
#[derive(Debug, Clone)]
pub struct References {
    folder: PathBuf,
}

impl References {
    /// Opens the folder, and makes it.
    pub fn open(data_dir: &Path) -> Result<Self, EvidenceError> {
        let folder = data_dir.join(FOLDER);
        fs::create_dir_all(&folder).map_err(trouble("create", &folder))?;
        Ok(Self { folder })
    }

    /// Keeps a picture (masked already; `persons` are redacted) in place of the one of the same camera and light.
    pub fn keep(
        &self,
        camera: &CameraId,
        light: &str,
        picture: &Picture,
        persons: &[BBox],
        settings: &config::Evidence,
    ) -> Result<(), EvidenceError> {
        let mut canvas = Canvas::from_picture(picture, 0)?;
        if settings.redact_persons {
            persons.iter().for_each(|person| canvas.mosaic(person));
        }
        let jpeg = snapshot::jpeg(&canvas, QUALITY)?;
        let target = self.folder.join(format!("{camera}.{light}.jpg"));
        let unfinished = target.with_extension("unfinished");
        let write = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(&jpeg)?;
            file.sync_all()?;
            fs::rename(&unfinished, &target)
        };
        write().map_err(trouble("keep", &target))
    }

    /// The JPEGs of a camera that are at most a week old, newest first, each with the time at which it was kept.
    pub fn of(&self, camera: &CameraId, lights: &[&str], now: SystemTime) -> Vec<(SystemTime, Vec<u8>)> {
        let read = |light: &&str| {
            let path = self.folder.join(format!("{camera}.{light}.jpg"));
            let kept = fs::metadata(&path).and_then(|meta| meta.modified()).ok()?;
            // A clock that was set back makes files of the future: those are not old.
            let old = now.duration_since(kept).is_ok_and(|age| age > AGE_MAX);
            if old { None } else { Some((kept, fs::read(&path).ok()?)) }
        };
        let mut found: Vec<_> = lights.iter().filter_map(read).collect();
        found.sort_by_key(|(kept, _)| std::cmp::Reverse(*kept));
        found
    }
}

/// A reference as the picture that it was made from; `None` if it is no JPEG (any more).
pub fn picture_of(jpeg: &[u8], captured: Captured) -> Option<Picture> {
    let rgb = image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg).ok()?.into_rgb8();
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    let weights = Weights::of_height(height);
    let (mut y, mut u, mut v) = (Vec::with_capacity(width * height), Vec::new(), Vec::new());
    for (column, row, pixel) in rgb.enumerate_pixels() {
        let [luma, blue, red] = weights.limited_range(pixel.0);
        y.push(luma);
        if column % 2 == 0 && row % 2 == 0 {
            u.push(blue);
            v.push(red);
        }
    }
    Some(Picture { captured, width, height, y: y.into(), u: u.into(), v: v.into(), full_range: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::snapshot::tests::{captured, picture_of as painted};

    #[test]
    fn a_reference_comes_back_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let references = References::open(folder.path()).expect("made");
        for (width, height) in [(321, 181), (1280, 720)] {
            let camera = CameraId::from("gate");
            let colours = [[40, 120, 200], [180, 60, 50], [90, 90, 90], [230, 240, 200]];
            let picture = painted(width, height, |x, y| colours[(x * 2 / width) + 2 * (y * 2 / height)]);
            let settings = config::Evidence::default();
            references.keep(&camera, "day", &picture, &[], &settings).expect("kept");
            let now = SystemTime::now();
            let found = references.of(&camera, &["day", "infrared"], now);
            assert_eq!(found.len(), 1);
            assert!(references.of(&"other".into(), &["day"], now).is_empty());
            assert!(references.of(&camera, &["day"], now + AGE_MAX + Duration::from_secs(60)).is_empty());
            let again = picture_of(&found[0].1, captured(0.0)).expect("a picture");
            assert_eq!((again.width, again.height), (width, height));
            let mean = |a: &[u8], b: &[u8]| {
                let sum: u32 = a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
                f64::from(sum) / a.len() as f64
            };
            for (plane, before, after) in
                [("y", &picture.y, &again.y), ("u", &picture.u, &again.u), ("v", &picture.v, &again.v)]
            {
                assert_eq!(before.len(), after.len());
                assert!(mean(before, after) < 1.5, "{plane} of {width}x{height}: {}", mean(before, after));
            }
        }
        assert!(picture_of(b"no JPEG", captured(0.0)).is_none());
    }

    #[test]
    fn persons_do_not_stay_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let references = References::open(folder.path()).expect("made");
        // Stripes of two pixels: a mosaic makes one grey of them.
        let picture = painted(320, 180, |x, _| if x / 2 % 2 == 0 { [0; 3] } else { [255; 3] });
        let person = BBox { x0: 0.25, y0: 0.2, x1: 0.5, y1: 0.9 };
        let camera = CameraId::from("gate");
        references.keep(&camera, "day", &picture, &[person], &config::Evidence::default()).expect("kept");
        let found = references.of(&camera, &["day"], SystemTime::now());
        let again = picture_of(&found[0].1, captured(0.0)).expect("a picture");
        let contrast = |x: usize| again.y[90 * 320 + x].abs_diff(again.y[90 * 320 + x + 2]);
        assert!(contrast(120) < 60 && contrast(240) > 150, "{} {}", contrast(120), contrast(240));
    }
}
