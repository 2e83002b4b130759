//! The empty place as it was learnt, for the next start: a picture that shows it empty may not come for days.

use super::grid::Samples;
use super::reference::Known;
use super::rest::RestingSample;
use super::shake::Profiles;

/// More cells, columns or rows than any picture has: foreign bytes claim anything.
const COUNT_MAX: usize = 1 << 16;

/// The cells' means and where the camera stood, as bytes: counts (three times u32), then samples of six bytes, columns and
/// rows (f32), all little-endian.
pub fn to_bytes(samples: &[RestingSample], profiles: &Profiles) -> Vec<u8> {
    let [columns, rows] = profiles.sides();
    let counts = [samples.len(), columns.len(), rows.len()];
    let mut bytes = Vec::with_capacity(12 + 6 * samples.len() + 4 * (columns.len() + rows.len()));
    bytes.extend(counts.iter().flat_map(|&count| (count as u32).to_le_bytes()));
    bytes.extend(samples.iter().flat_map(|sample| sample.to_bytes()));
    bytes.extend(columns.iter().chain(rows).flat_map(|side| side.to_le_bytes()));
    bytes
}

/// Back from such bytes; `None` if they are none.
pub fn from_bytes(bytes: &[u8]) -> Option<Known> {
    let (counts, rest) = bytes.split_at_checked(12)?;
    let counts: Vec<usize> = counts
        .chunks_exact(4)
        .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize)
        .collect();
    let [cells, columns, rows] = counts[..] else { return None };
    if counts.iter().any(|&count| count > COUNT_MAX) || rest.len() != 6 * cells + 4 * (columns + rows) {
        return None;
    }
    let (samples, sides) = rest.split_at(6 * cells);
    let samples: Samples = samples
        .chunks_exact(6)
        .map(|six| (&RestingSample::from_bytes([six[0], six[1], six[2], six[3], six[4], six[5]])).into())
        .collect();
    let mut sides =
        sides.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let columns: Vec<f32> = sides.by_ref().take(columns).collect();
    let rows: Vec<f32> = sides.collect();
    let finite = columns.iter().chain(&rows).all(|side| side.is_finite());
    finite.then(|| Known { samples, profiles: Profiles::from_sides([columns, rows]) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::grid::Sample;
    use super::*;

    #[test]
    fn what_was_learnt_comes_back() {
        let samples: Vec<Sample> =
            (0..96).map(|i| Sample { luma: i as f32, blue: -3.5, red: i as f32 / 2.0 }).collect();
        let resting: Vec<RestingSample> = samples.iter().map(RestingSample::from).collect();
        let profiles = Profiles::from_sides([vec![1.5; 12], vec![0.25; 8]]);
        let bytes = to_bytes(&resting, &profiles);
        let known = from_bytes(&bytes).expect("as written");
        assert_eq!(known.profiles, profiles);
        let again: Vec<RestingSample> =
            known.samples.iter().map(|sample| RestingSample::from(&sample)).collect();
        assert_eq!(again, resting);
        assert!(from_bytes(&bytes[1..]).is_none() && from_bytes(&bytes[..bytes.len() - 1]).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_bytes(&bytes);
        }
    }
}
