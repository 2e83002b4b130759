//! `gridwatch eval`: the scoring as data, the format, and the verb on a small set.

mod scoring;
mod verb;
