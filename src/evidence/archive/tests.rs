//! Kept whole or not at all, also on a full disk; deleted in order.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn archive() -> (tempfile::TempDir, Archive) {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = Archive::open(folder.path()).expect("an archive");
    (folder, archive)
}

fn captured_at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

/// Every file under the archive's folder, by relative path.
fn listing(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(root).expect("below").display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_picture_says_how_large_it_is() {
    let (_dir, archive) = archive();
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
    encoder.encode(&[0; 40 * 30], 40, 30, image::ExtendedColorType::L8).unwrap();
    let at = captured_at("2026-11-22T00:00:00Z");
    let size =
        |bytes: &[u8]| archive.keep(Class::Incident, EvidenceKind::Snapshot, at, bytes).unwrap().size_px;
    assert_eq!(size(&bytes), Some([40, 30]));
    assert_eq!(size(b"abc"), None);
    assert_eq!(size(&bytes[..20]), None);
}

#[test]
fn what_is_kept_is_what_the_reference_says() {
    let (folder, archive) = archive();
    let kept = archive
        .keep(Class::Incident, EvidenceKind::Snapshot, captured_at("2026-11-21T23:59:59Z"), b"abc")
        .unwrap();
    // SHA-256 of "abc", FIPS 180-2 appendix B.1.
    let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(kept.sha256, sha);
    assert_eq!(kept.path, format!("evidence/2026-11-21/{sha}.jpg"));
    assert_eq!((kept.size_bytes, kept.media_type.as_str()), (3, "image/jpeg"));
    assert_eq!(fs::read(folder.path().join(&kept.path)).unwrap(), b"abc");
    let (clip, seconds) = archive
        .keep_written(Class::Incident, EvidenceKind::Clip, captured_at("2026-11-22T00:00:00Z"), |path| {
            fs::write(path, b"video").unwrap();
            Ok(7.5)
        })
        .unwrap();
    assert_eq!(clip.path, format!("evidence/2026-11-22/{}.mp4", clip.sha256));
    assert_eq!((clip.media_type.as_str(), seconds), ("video/mp4", 7.5));
    // The same bytes again are the same file.
    let again = archive
        .keep(Class::Incident, EvidenceKind::Snapshot, captured_at("2026-11-21T12:00:00Z"), b"abc")
        .unwrap();
    assert_eq!(again, kept);
    assert_eq!(listing(folder.path()), [kept.path, clip.path]);
}

#[test]
fn nothing_half_written_stays() {
    let (folder, archive) = archive();
    let refused = archive.keep_written(
        Class::Incident,
        EvidenceKind::Clip,
        captured_at("2026-11-22T00:00:00Z"),
        |path| {
            fs::write(path, b"half").unwrap();
            Err::<(), _>(EvidenceError::NoEncoder)
        },
    );
    assert!(matches!(refused, Err(EvidenceError::NoEncoder)));
    assert!(listing(folder.path()).is_empty());
    // A process that was killed while it wrote.
    fs::write(archive.unfinished().join("left.mp4"), b"half").unwrap();
    Archive::open(folder.path()).unwrap();
    assert!(listing(folder.path()).is_empty());
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    // The device that is always full stands for a full disk: a link to it where the file would be written.
    let (folder, archive) = archive();
    let kept = archive.keep_written(
        Class::Incident,
        EvidenceKind::Snapshot,
        captured_at("2026-11-22T00:00:00Z"),
        |path| {
            std::os::unix::fs::symlink("/dev/full", path).map_err(trouble("link", path))?;
            File::options()
                .write(true)
                .open(path)
                .and_then(|mut f| f.write_all(b"abc"))
                .map_err(trouble("write", path))
        },
    );
    let error = kept.expect_err("no room");
    assert!(matches!(error, EvidenceError::DiskFull { .. }), "{error:?}");
    assert!(error.to_string().contains("evidence.bytes_max"), "{error}");
    assert!(listing(folder.path()).is_empty());
}

#[test]
fn clips_on_a_full_disk_fail_as_well() {
    let (folder, archive) = archive();
    let mut data = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut data)
        .encode(&[90; 64 * 48 * 3], 64, 48, image::ExtendedColorType::Rgb8)
        .unwrap();
    let unit = crate::frame::AccessUnit {
        captured: crate::evidence::snapshot::tests::captured(0.0),
        codec: crate::frame::Codec::Mjpeg,
        key: true,
        after_loss: false,
        data: data.into(),
        pts_90k: 0,
    };
    let kept = archive.keep_written(
        Class::Incident,
        EvidenceKind::Clip,
        captured_at("2026-11-22T00:00:00Z"),
        |path| {
            std::os::unix::fs::symlink("/dev/full", path).map_err(trouble("link", path))?;
            crate::evidence::remux(&[unit], path)
        },
    );
    assert!(kept.is_err());
    assert!(listing(folder.path()).is_empty());
}

/// A real small disk, where this process may mount one.
#[test]
fn a_small_disk_fills_up_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mount = |tool: &str, args: &[&str]| std::process::Command::new(tool).args(args).output();
    let place = folder.path().to_str().expect("UTF-8");
    if !mount("mount", &["-t", "tmpfs", "-o", "size=256k", "tmpfs", place]).is_ok_and(|o| o.status.success())
    {
        println!("skipped: this process may not mount a tmpfs");
        return;
    }
    let archive = Archive::open(folder.path()).expect("an archive");
    let at = captured_at("2026-11-22T00:00:00Z");
    let (small, large) = (vec![1; 100_000], vec![2; 200_000]);
    let fits = archive.keep(Class::Incident, EvidenceKind::Snapshot, at, &small);
    let does_not = archive.keep(Class::Incident, EvidenceKind::Snapshot, at, &large);
    let left = listing(folder.path());
    let after = archive.sweep(SystemTime::now(), 50_000, &HashSet::new(), |files| vec![false; files.len()]);
    let fits_now = archive.keep(Class::Incident, EvidenceKind::Snapshot, at, &large);
    mount("umount", &[place]).expect("unmounted");
    assert_eq!(left, [fits.expect("room").path]);
    assert!(matches!(does_not, Err(EvidenceError::DiskFull { .. })), "{does_not:?}");
    assert_eq!(after.expect("swept").displaced.len(), 1);
    assert!(fits_now.is_ok());
}

#[test]
fn what_was_asked_for_is_told_from_what_an_incident_cites() {
    let (folder, archive) = archive();
    let at = captured_at("2026-11-22T00:00:00Z");
    let asked = archive.keep(Class::Asked, EvidenceKind::Snapshot, at, b"asked").unwrap();
    let cited = archive.keep(Class::Incident, EvidenceKind::Snapshot, at, b"cited").unwrap();
    assert!(asked.path.starts_with("evidence/asked-2026-11-22/"), "{}", asked.path);
    let find = |sha: &str| Archive::find(folder.path(), sha).unwrap();
    assert_eq!(find(&asked.sha256), Some(asked.path.clone()));
    assert_eq!(find(&cited.sha256[..12]), Some(cited.path));
    assert_eq!((find("0123"), find("")), (None, None));
    let only_asked = |files: &[(&str, Class, Duration)]| {
        files.iter().map(|(_, class, _)| *class == Class::Asked).collect()
    };
    let swept = archive.sweep(SystemTime::now(), u64::MAX, &HashSet::new(), only_asked).unwrap();
    assert_eq!((swept.expired, swept.displaced), (vec![asked.path], vec![]));
    assert_eq!(swept.kept_bytes, 5);
}

#[test]
fn old_files_go_then_the_oldest_and_never_those_of_open_incidents() {
    // (age in days, bytes, protected), retention, most bytes, and which stay.
    type File_ = (u64, usize, bool);
    let cases: &[(&[File_], u64, u64, &[usize])] = &[
        (&[(40, 10, false), (29, 10, false), (0, 10, false)], 30, 1000, &[1, 2]),
        (&[(40, 10, true), (29, 10, false)], 30, 1000, &[0, 1]),
        (&[(3, 10, false), (2, 10, false), (1, 10, false)], 30, 20, &[1, 2]),
        (&[(3, 10, true), (2, 10, false), (1, 10, false)], 30, 20, &[0, 2]),
        (&[(3, 10, true), (2, 10, true)], 30, 5, &[0, 1]),
        (&[], 30, 0, &[]),
    ];
    for (files, days, bytes_max, stay) in cases {
        let (folder, archive) = archive();
        let now = SystemTime::now();
        let mut paths = Vec::new();
        let mut protected = HashSet::new();
        for (i, &(age, bytes, open)) in files.iter().enumerate() {
            let content = vec![i as u8; bytes];
            let kept = archive
                .keep(Class::Incident, EvidenceKind::Snapshot, captured_at("2026-11-22T00:00:00Z"), &content)
                .unwrap();
            let file = File::options().write(true).open(folder.path().join(&kept.path)).unwrap();
            file.set_modified(now - DAY * age as u32).unwrap();
            if open {
                protected.insert(kept.path.clone());
            }
            paths.push(kept.path);
        }
        let too_old = |files: &[(&str, Class, Duration)]| {
            files.iter().map(|(_, _, age)| *age > DAY * *days as u32).collect()
        };
        let swept = archive.sweep(now, *bytes_max, &protected, too_old).unwrap();
        let mut wanted: Vec<String> = stay.iter().map(|&i| paths[i].clone()).collect();
        wanted.sort();
        assert_eq!(listing(folder.path()), wanted, "{files:?}");
        assert_eq!(swept.expired.len() + swept.displaced.len(), files.len() - stay.len());
        assert_eq!(swept.kept_bytes, stay.iter().map(|&i| files[i].1 as u64).sum::<u64>());
    }
}
