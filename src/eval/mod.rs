//! Labelled sets: what should have been said, what was said, and the figures that follow. Pure but for reading a set.
//!
//! A set is a folder with one JSON file per [`Case`], beside its clip or trace. `gridwatch eval` plays every case through
//! the pipeline and hands what was [`Said`] to [`score()`]; [`figures()`] counts per kind and stratum; [`table`] and [`html`]
//! show it. What was wrong and what was missed stays with its case, so that it can be looked at and compared.
//!
//! Two ways of scoring: **incidents** (one per situation, with its delays) and, where a case has boxes, **stops** (one per
//! vehicle that stands, picture by picture; see [`stops`]).

pub mod figures;
pub mod html;
pub mod roadtrack;
pub mod score;
pub mod set;
pub mod stops;
pub mod table;

pub use figures::{Figures, Row, figures};
pub use score::{Outcome, Said, Verdict, score};
pub use set::{Case, SetError, Truth};
