//! gridwatch: from compressed video of many cameras to incidents that a dispatch platform can trust.
//!
//! (The map follows; see the end of this file's history for how it grew.)

pub mod camera;
pub mod cli;
pub mod config;
pub mod decode;
pub mod detect;
pub mod detection;
pub mod dispatch;
pub mod event;
pub mod evidence;
pub mod frame;
pub mod geometry;
pub mod incident;
pub mod observation;
pub mod rule;
pub mod scene;
pub mod simulate;
pub mod store;
pub mod track;
