//! openmile.
fn main() {}
