//! The `gridwatch` binary.

fn main() {}
