//! The detect stage: pictures in, objects with boxes out, with ONNX models of nine families.
//!
//! [`Detector::load`] takes a file and, if there is one, its [`Card`]; without a card the model is recognised from its
//! outputs. A picture then goes through letterbox, session, the family's decoding and non-maximum suppression, all on
//! the one thread that owns the session.

mod appearance;
mod batch;
mod card;
mod catalogue;
pub mod change;
mod classes;
mod detector;
mod error;
pub mod family;
pub mod foreground;
mod identify;
pub mod letterbox;
pub mod movers;
pub mod nms;
mod pull;
mod recognise;
mod runtime;
mod session;
mod worker;

pub use card::{Card, CardError, Colour, InputSpec, Resize};
pub use catalogue::{Entry, catalogue};
pub use classes::COCO;
pub use detector::Detector;
pub use error::DetectError;
pub use family::Family;
pub use identify::hash;
pub use pull::{PullError, pull};
pub use recognise::RecogniseError;
pub use runtime::RuntimeError;
pub use session::{Runtime, SessionError, runtime};
