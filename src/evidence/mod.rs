//! What proves an incident: pictures with everything drawn, clips as the camera sent them, and the place that keeps them.
//!
//! Masks come first ([`mask::apply`], before anything else sees a picture), then the [`snapshot()`] or the
//! [`clip::remux`], then the [`Archive`], which gives back the reference that an event carries. Beside it lie the
//! [`References`]: how the place looks when it is empty, and the [`Register`] of who looked at what, and what was deleted.

pub mod annotate;
pub mod archive;
mod bitstream;
mod canvas;
pub mod clip;
mod colour;
pub mod mask;
pub mod reference;
pub mod register;
mod shrink;
pub mod snapshot;
mod spans;
pub mod still;
mod stretch;

pub use annotate::{Annotator, Seen, TrackView, ZoneView};
pub use archive::{Archive, Class, Swept};
pub use clip::{Remuxed, remux};
pub use reference::References;
pub use register::Register;
pub use snapshot::{caption, plain, snapshot};

use std::path::PathBuf;

/// Why a piece of evidence could not be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// Planes that do not fit the picture's size, or no pixels at all.
    #[error("the picture of {width}x{height} pixels has planes of {y}, {u} and {v} bytes")]
    Planes {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Bytes of luma.
        y: usize,
        /// Bytes of blue difference.
        u: usize,
        /// Bytes of red difference.
        v: usize,
    },
    /// The JPEG encoder refused.
    #[error("cannot write the snapshot as JPEG")]
    Jpeg(#[source] jpeg_encoder::EncodingError),
    /// No unit of the ring is one that decoding can start at.
    #[error("no clip: none of the {units} access units is a key picture with its parameter sets")]
    NoKeyPicture {
        /// How many units there were.
        units: usize,
    },
    /// FFmpeg refused.
    #[error("cannot {doing} {}: {reason}", path.display())]
    Video {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// FFmpeg's reason.
        reason: String,
    },
    /// This FFmpeg was built without an encoder for annotated videos.
    #[error("no video encoder: this FFmpeg has neither libx264 nor mpeg4")]
    NoEncoder,
    /// The disk is full; nothing was kept of this piece.
    #[error("the disk is full: cannot keep {}; lower `evidence.bytes_max` or `evidence.retention_days`", path.display())]
    DiskFull {
        /// The file that did not fit.
        path: PathBuf,
    },
    /// Any other trouble with a file.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}
