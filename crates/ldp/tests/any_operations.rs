//! Anything at all, in any order.

mod operations;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_sequence_of_operations_breaks_a_promise(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        operations::drive(&octets);
    }
}

/// The above would be worth little if nothing ever came of the operations.
#[test]
fn operations_go_as_far_as_switching() {
    let mut state = 1u64;
    let mut total = operations::Reached::default();
    for run in 0..200 {
        let octets: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        // How labels are distributed follows from the length.
        .take(584 + run % 32)
        .collect();
        let reached = operations::drive(&octets);
        total.sessions += reached.sessions;
        total.switched += reached.switched;
    }
    println!("{total:?}");
    assert!(total.sessions > 100 && total.switched > 20, "{total:?}");
}
