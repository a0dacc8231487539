//! Each step of the common procedures on attributes.

use super::*;

const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const DETECTION: LoopDetection = LoopDetection { max_hops: 5, path_vector_limit: 3 };

fn path(lsrs: &[u8]) -> Option<Box<[Ipv4Addr]>> {
    Some(lsrs.iter().map(|&n| Ipv4Addr::new(10, 0, 0, n)).collect())
}

fn attributes(hop_count: Option<u8>, lsrs: Option<&[u8]>) -> Attributes {
    Attributes { hop_count, path: lsrs.and_then(path), ..Attributes::default() }
}

#[test]
fn cra_1_to_5_the_received_attributes_are_checked() {
    let rows = [
        (None, None::<&[u8]>, false),
        (Some(0), None, false),
        (Some(5), None, false),
        (Some(6), None, true),
        (Some(2), Some(&[1, 2][..]), false),
        (Some(2), Some(&[1, 9][..]), true),
        (None, Some(&[9][..]), true),
        (Some(5), Some(&[1, 2, 3, 4][..]), true),
    ];
    for (hop_count, lsrs, is_loop) in rows {
        let received = attributes(hop_count, lsrs);
        assert_eq!(received.show_loop(LOCAL, Some(DETECTION)), is_loop, "{received:?}");
        assert!(!received.show_loop(LOCAL, None), "with loop detection off they are not looked at");
    }
}

#[test]
fn prqa_1_to_14_what_a_request_says() {
    let prepare = |received: Option<&Attributes>, detects| Attributes::for_request(received, LOCAL, detects);
    // PRqA.1.
    assert_eq!(prepare(None, false), attributes(None, None));
    assert_eq!(prepare(Some(&attributes(None, Some(&[1]))), false), attributes(None, None));
    // PRqA.2 to 5.
    assert_eq!(prepare(None, true), attributes(Some(1), None));
    // PRqA.6 to 9.
    assert_eq!(prepare(Some(&attributes(Some(3), Some(&[1]))), false), attributes(Some(4), None));
    assert_eq!(prepare(Some(&attributes(Some(0), None)), true), attributes(Some(0), None));
    assert_eq!(prepare(Some(&attributes(None, None)), true), attributes(Some(0), None));
    // PRqA.10, PRqA.12.
    assert_eq!(prepare(Some(&attributes(Some(2), Some(&[1]))), true), attributes(Some(3), Some(&[9, 1])));
}

#[test]
fn pmpa_4_to_24_what_a_mapping_says() {
    let prepare =
        |received: &Attributes, detects, way, before| received.for_mapping(LOCAL, detects, way, before);
    let nothing = attributes(None, None);
    // PMpA.4.
    assert_eq!(prepare(&nothing, false, Way::Ends, None), nothing);
    assert_eq!(prepare(&nothing, false, Way::GoesOn, None), nothing);
    // PMpA.5, PMpA.6.
    assert_eq!(prepare(&nothing, true, Way::Ends, None), attributes(Some(1), None));
    // PMpA.7, PMpA.10 to 12.
    let counted = attributes(Some(2), Some(&[1, 2]));
    assert_eq!(prepare(&counted, false, Way::GoesOn, None), attributes(Some(3), None));
    assert_eq!(prepare(&attributes(Some(0), None), false, Way::GoesOn, None), attributes(Some(0), None));
    // PMpA.13, PMpA.22.
    assert_eq!(prepare(&counted, true, Way::GoesOn, None), attributes(Some(3), Some(&[9, 1, 2])));
    // PMpA.14, PMpA.23.
    assert_eq!(prepare(&nothing, true, Way::Open, Some(Some(0))), attributes(Some(0), Some(&[9])));
    // PMpA.15, PMpA.16, PMpA.23.
    let rows = [
        (Some(2), None, true),
        // PMpA.17.
        (None, Some(Some(0)), false),
        // PMpA.18.
        (Some(0), Some(Some(3)), true),
        // PMpA.19 to 21: as before, shorter, longer, known at last.
        (Some(2), Some(Some(3)), false),
        (Some(2), Some(Some(4)), false),
        (Some(2), Some(Some(2)), true),
        (Some(2), Some(Some(0)), true),
        (Some(2), Some(None), true),
    ];
    for (received, before, has_path) in rows {
        let prepared = prepare(&attributes(received, None), true, Way::GoesOn, before);
        assert_eq!(prepared.path, path(&[9]).filter(|_| has_path), "{received:?} after {before:?}");
    }
}

#[test]
fn of_several_ways_the_longest_counts_and_all_lsrs_are_named() {
    let joined = |ways: &[Attributes]| Attributes::joined(ways);
    assert_eq!(joined(&[]), attributes(None, None));
    let (short, long) = (attributes(Some(2), Some(&[2, 1])), attributes(Some(4), Some(&[3, 1])));
    assert_eq!(joined(std::slice::from_ref(&short)), short, "the order is kept");
    assert_eq!(joined(&[short.clone(), long]), attributes(Some(4), Some(&[1, 2, 3])));
    assert_eq!(joined(&[short, attributes(None, None)]), attributes(Some(0), Some(&[1, 2])));
    assert_eq!(joined(&[attributes(None, None), attributes(None, None)]), attributes(None, None));
}

#[test]
fn a_path_vector_that_is_too_long_is_not_sent() {
    assert!(!attributes(None, Some(&[1, 2, 3])).are_too_long(Some(DETECTION)));
    assert!(attributes(None, Some(&[1, 2, 3, 4])).are_too_long(Some(DETECTION)));
    assert!(!attributes(None, Some(&[1, 2, 3, 4])).are_too_long(None));
}
