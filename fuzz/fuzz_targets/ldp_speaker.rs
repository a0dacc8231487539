//! Sequences of operations on an LDP speaker.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/ldp/tests/operations/mod.rs"]
mod operations;

fuzz_target!(|octets: &[u8]| {
    operations::drive(octets);
});
