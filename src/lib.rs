//! gridwatch: from the compressed video of many cameras to incidents that a dispatch platform can trust.
//!
//! ```text
//!  camera ──► gop ──► sampler ──► decode ──► detect ──► scene ──► incident ──► store ──► dispatch ──► platform
//!  (RTSP,     (last    (which      (FFmpeg)   (ONNX      (tracks,   (open,       (SQLite,   (MQTT,        │
//!   retina)   seconds, picture,               Runtime,   zones,     update,      incident   QoS 1)        │
//!             still    and how)               back-      rules;     close;       + outbox                 │
//!             compressed)                     ground)    pure)      evidence)    in one                   │
//!                                                                                commit)  ◄── verdicts ───┘
//!  lossy, every loss counted with its reason ◄──────────┤├──────────► lossless, survives kill -9
//! ```
//!
//! Receiving a camera costs almost nothing, decoding is what costs. So cameras stay connected and cheap, the last
//! seconds of each are kept compressed in memory (that is also the pre-roll of an incident's clip), and the sampler
//! decodes only the pictures that some rule needs.
//!
//! Read in this order; each line is a module, in the order of the flow:
//!
//! | module | what it is |
//! |---|---|
//! | [`geometry`], [`frame`], [`detection`], [`observation`], [`event`] | the words that everything speaks |
//! | [`config`] | what the operator decided, read, checked and resolved |
//! | [`camera`] | an RTSP camera or a file as a stream of access units; the one retry loop; the ring |
//! | [`sampler`] | which access units are worth decoding; whom a patrol visits; who waits when there is more than the machine carries |
//! | [`decode`] | access unit in, picture out; the home of FFmpeg |
//! | `detect` | what is in a picture: ONNX models, static foreground, small moving things |
//! | [`scene`] with [`track`] and [`rule`] | what it means over time; pure, no clock, no IO |
//! | [`incident`] | opened once, updated, always closed with a reason |
//! | [`health`] | what is wrong with a camera, and how far its pictures may be believed; pure, no clock, no IO |
//! | [`evidence`] | snapshots and clips, masked and redacted, on disk; the register of who looked at them |
//! | [`store`] | the one SQLite file: incidents, outbox, verdicts, answered commands |
//! | [`dispatch`] | from the outbox to the broker, and verdicts back |
//! | [`simulate`] | RTSP cameras made from clips, with faults to order |
//! | [`eval`] | labelled sets: what should have been said, and what was |
//! | `daemon` | wires the stages; `daemon/analysis` is one camera's way through all of them |
//! | [`processor`] | processor time and memory of this process, for budgets and figures |
//! | [`metrics`] | the text that Prometheus reads |
//! | `cli` | one file per verb |
//!
//! # Invariants
//!
//! 1. Imports run one way: cli → daemon → stages → config → words → geometry; a stage never imports another stage, they
//!    meet in [`daemon`]. Tested in `tests/layers.rs`.
//! 2. Foreign crates are fenced, each in the file that its name stands for. Tested there too.
//! 3. What decides is pure: geometry, track, rule, scene and health do no IO and read no clock. Time is data
//!    ([`frame::Captured`]); dwell is seconds of capture time, never a count of pictures.
//! 4. Lossy before detection, lossless after it. Every queue has a limit with its reason beside it, every drop is
//!    counted. A dropped inter picture means skipping to the next key picture, never decoding garbage.
//! 5. The dwell clock belongs to the zone, not to a track.
//! 6. An incident is opened once and always closed with a reason, across restarts.
//! 7. The outbox is the only memory of what must be delivered; a row goes when the broker has acknowledged it.
//! 8. One camera's trouble stays its own.
//! 9. Native code is guarded: shapes and sizes are checked before it runs; a wedged worker stops the watchdog.
//! 10. No identity: no face recognition, no plate reading, no person search; persons in evidence are redacted.
//!
//! # Where a new thing goes
//!
//! A *scenario* is a TOML file in `config/scenarios/`, no code. A *rule kind* is a file in `rule/` and an arm of
//! [`config::RuleKind`]. A *model family* is a file in `detect/family/` and an arm of its enum. A *verb* is a file in `cli/`.
//! The *shape* of another platform's messages is a file in `event/mirror/` and an arm of [`config::MirrorShape`].

pub mod camera;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod decode;
pub mod detect;
pub mod detection;
pub mod dispatch;
pub mod eval;
pub mod event;
pub mod evidence;
pub mod frame;
pub mod geometry;
pub mod health;
pub mod incident;
pub mod metrics;
pub mod observation;
pub mod processor;
pub mod rule;
pub mod sampler;
pub mod scene;
pub mod simulate;
pub mod store;
pub mod track;
