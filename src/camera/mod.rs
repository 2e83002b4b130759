//! Cameras: compressed pictures in, from RTSP or from a file, with the time they were captured.
//!
//! [`run`] keeps one RTSP camera connected and hands on what it sends, hundreds of them on one of the [`Receivers`];
//! [`Clip`] does the same for a file; [`Ring`] keeps the last seconds of either, still compressed.

mod annexb;
mod beat;
mod clip;
mod flood;
mod gop;
mod receivers;
mod rtsp;
mod supervise;
mod timekeeper;

pub use clip::{Clip, ClipError};
pub use gop::Ring;
pub use receivers::Receivers;
pub use rtsp::RtspError;
pub use supervise::{Counters, Message, Refused, Sink, run, run_while};
