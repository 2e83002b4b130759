//! Simulated cameras with real viewers: `ffprobe` and `ffmpeg`, a small RTSP client of our own, and gridwatch's.

mod camera;
mod clip;
mod faults;
mod ffmpeg;
mod load;
mod protocol;
mod viewer;
