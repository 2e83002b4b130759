//! Cameras: compressed pictures in, from RTSP or from a file, with the time they were captured.

mod annexb;
mod clip;

pub use clip::{Clip, ClipError};
