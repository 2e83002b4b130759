//! Clips from end to end: access units of real files become MP4s whose pictures are, bit by bit, those of the source.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use gridwatch::camera::Clip;
use gridwatch::decode::Decoder;
use gridwatch::evidence::remux;
use gridwatch::frame::{AccessUnit, Picture};

fn units_of(path: &Path) -> Vec<AccessUnit> {
    // A clip of at most some seconds is what the ring gives; this also bounds the test.
    Clip::open(path).into_iter().flatten().flatten().take(300).collect()
}

fn pictures_of(units: &[AccessUnit]) -> Vec<Picture> {
    let Some(mut decoder) = units.first().and_then(|unit| Decoder::new(unit.codec).ok()) else {
        return Vec::new();
    };
    let mut pictures: Vec<Picture> =
        units.iter().flat_map(|unit| decoder.decode(unit).unwrap_or_default()).collect();
    pictures.extend(decoder.finish().unwrap_or_default());
    pictures
}

/// The presentation step between pictures, in whole milliseconds.
fn steps_ms(pictures: &[Picture]) -> Vec<i64> {
    let ms = |p: &Picture| p.captured.media.as_secs_f64() * 1000.0;
    pictures.windows(2).map(|pair| (ms(&pair[1]) - ms(&pair[0])).round() as i64).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[test]
fn clips_of_the_demo_films_are_the_films() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/clips");
    let films: Vec<PathBuf> =
        files(&folder).into_iter().filter(|p| p.extension().is_some_and(|e| e == "mp4")).collect();
    assert!(!films.is_empty(), "the demo has films");
    for film in films {
        let mut units = units_of(&film);
        units.drain(..3); // an incident does not begin at a key picture
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        let made = remux(&units, &path).unwrap_or_else(|error| panic!("{}: {error}", film.display()));
        let (source, clip) = (pictures_of(&units), pictures_of(&units_of(&path)));
        assert_eq!(made.units, clip.len(), "{}", film.display());
        assert_eq!(source.len(), clip.len(), "{}", film.display());
        assert_eq!(steps_ms(&source), steps_ms(&clip), "{}", film.display());
        for (wanted, got) in source.iter().zip(&clip) {
            assert!(wanted.y == got.y && wanted.u == got.u && wanted.v == got.v, "{}", film.display());
        }
    }
}

#[test]
fn odd_bitstreams_make_a_playable_clip_or_a_clear_error() {
    let near = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let data = std::env::var_os("GRIDWATCH_DATA").map_or(near, PathBuf::from);
    if !data.join("clips").is_dir() {
        return println!("skipped: no ../shared/data and no GRIDWATCH_DATA");
    }
    let mut outcomes: HashMap<&str, usize> = HashMap::new();
    for file in files(&data.join("clips")).into_iter().chain(files(&data.join("clips/bitstreams"))) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let units = units_of(&file);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        match remux(&units, &path) {
            Ok(made) => {
                let (source, clip) = (pictures_of(&units), pictures_of(&units_of(&path)));
                println!(
                    "{name:52} {:3} units, {:3} left out, {:3} pictures of {:3}, {:.2} s",
                    made.units,
                    made.left_out,
                    clip.len(),
                    source.len(),
                    made.duration_s
                );
                assert!(!clip.is_empty(), "{name}: the clip shows nothing");
                *outcomes.entry("clip").or_default() += 1;
            }
            Err(error) => {
                println!("{name:52} {error}");
                *outcomes.entry("error").or_default() += 1;
            }
        }
    }
    println!("{outcomes:?}");
    assert!(outcomes["clip"] >= 25, "{outcomes:?}");
}
