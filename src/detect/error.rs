//! Why a detector does not load or a picture is not analysed.

use std::path::PathBuf;

use super::card::CardError;
use super::family::LayoutError;
use super::letterbox::PlaneError;
use super::recognise::RecogniseError;
use super::session::SessionError;

/// Why a detector does not load or a picture is not analysed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DetectError {
    /// The model file cannot be read.
    #[error("cannot read the model `{file}`: {reason}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The card is wrong or belongs to another file.
    #[error(transparent)]
    Card(#[from] CardError),
    /// ONNX Runtime cannot load or run the model.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The model's input is none that a picture fits into.
    #[error("`{file}` is no detector: {reason}")]
    Input {
        /// The model.
        file: PathBuf,
        /// What its inputs are.
        reason: String,
    },
    /// It is no network that marks falling things.
    #[error("`{file}` does not mark falling things: {reason}")]
    Falls {
        /// The model.
        file: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Without a card, its outputs say nothing.
    #[error("`{file}`: {source}")]
    Unrecognised {
        /// The model.
        file: PathBuf,
        /// What was found.
        source: RecogniseError,
    },
    /// Its outputs are not what its card says.
    #[error("`{file}`: {source}")]
    Layout {
        /// The model.
        file: PathBuf,
        /// What was found.
        source: LayoutError,
    },
    /// The picture's planes and size disagree.
    #[error(transparent)]
    Picture(#[from] PlaneError),
    /// The detector's thread has ended.
    #[error("the thread of model `{0}` has stopped")]
    Stopped(String),
}
