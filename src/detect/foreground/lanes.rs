//! Numbers of cells side by side.

use super::grid::Sample;

/// So many cells side by side: fewer than some dozens would be unrolled, and then gone through one by one.
pub const LANES: usize = 64;
/// One number of each.
pub type Lanes = [f32; LANES];
/// Luma, blue and red of each.
pub type Values = [Lanes; 3];

/// The same where they lie.
pub type ValuesRef<'a> = [&'a Lanes; 3];

/// One cell of several.
pub mod lane {
    use super::{Sample, Values};

    /// Its values.
    pub fn get(values: &Values, i: usize) -> Sample {
        Sample { luma: values[0][i], blue: values[1][i], red: values[2][i] }
    }

    /// Sets them.
    pub fn put(values: &mut Values, i: usize, sample: &Sample) {
        (values[0][i], values[1][i], values[2][i]) = (sample.luma, sample.blue, sample.red);
    }
}
