//! The project's own checks, run as `cargo xtask NAME`.

fn main() {}
