//! Every file a person may hand us ends by itself, without a panic: real clips, odd bitstreams, broken bytes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gridwatch::camera::Clip;
use gridwatch::decode::{Decoder, KeyDecoder};

/// The folder of real test material, if this machine has it.
fn data() -> Option<PathBuf> {
    let near = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("GRIDWATCH_DATA").map_or(near, PathBuf::from);
    folder.join("clips").is_dir().then_some(folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[test]
fn every_real_clip_and_bitstream_ends_by_itself() {
    let Some(data) = data() else { return println!("skipped: no ../shared/data and no GRIDWATCH_DATA") };
    println!(
        "{:52} {:>9} {:>6} {:>6} {:>8} {:>6} {:>9} {:>6}",
        "file", "codec", "units", "keys", "pictures", "errors", "media s", "key ok"
    );
    for path in files(&data.join("clips")).into_iter().chain(files(&data.join("clips/bitstreams"))) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut clip = match Clip::open(&path) {
            Ok(clip) => clip,
            Err(error) => {
                println!("{name:52} {error}");
                continue;
            }
        };
        let mut decoder = Decoder::new(clip.codec()).unwrap();
        let mut keys = KeyDecoder::new();
        let (mut units, mut key_units, mut key_pictures, mut errors) = (0, 0, 0, 0);
        let mut times = Vec::new();
        for unit in &mut clip {
            let Ok(unit) = unit else {
                errors += 1;
                continue;
            };
            units += 1;
            if unit.key {
                key_units += 1;
                key_pictures += usize::from(keys.decode(&unit).is_ok());
            }
            match decoder.decode(&unit) {
                Ok(pictures) => times.extend(pictures.iter().map(|picture| picture.captured.media)),
                Err(error) => {
                    if errors == 0 {
                        println!("  first error at unit {units}: {error}");
                    }
                    errors += 1;
                }
            }
        }
        times.extend(decoder.finish().into_iter().flatten().map(|picture| picture.captured.media));
        let backwards = times.windows(2).filter(|pair| pair[1] <= pair[0]).count();
        println!(
            "{name:52} {:>9} {units:>6} {key_units:>6} {:>8} {errors:>6} {:>9.2} {key_pictures:>6}{}",
            clip.codec().name(),
            times.len(),
            times.last().copied().unwrap_or(Duration::ZERO).as_secs_f64(),
            if backwards > 0 { format!("  {backwards} times not ascending") } else { String::new() },
        );
    }
}
