//! TLVs that are passed on along an LSP although nobody here knows them: those with the F bit (RFC 5036 §3.3).

use wire::ldp::UnknownTlv;

/// Most octets of them that are kept of a message; beyond that none is passed on, since a neighbor could fill the memory.
const MOST: usize = 128;

/// The unknown TLVs of a message that go with it where it is propagated.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Transitive(Option<Box<[UnknownTlv]>>);

impl Transitive {
    /// Those of these that are passed on.
    pub(crate) fn of(tlvs: &[UnknownTlv]) -> Self {
        let passed: Box<[UnknownTlv]> = tlvs.iter().filter(|tlv| tlv.forward).cloned().collect();
        let octets: usize = passed.iter().map(|tlv| 4 + tlv.value.len()).sum();
        Self(Some(passed).filter(|_| (1..=MOST).contains(&octets)))
    }

    pub(crate) fn tlvs(&self) -> &[UnknownTlv] {
        self.0.as_deref().unwrap_or_default()
    }

    pub(crate) const fn is_none(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_passed_on_is_and_no_more_than_there_is_room_for() {
        let tlv = |forward, octets| UnknownTlv { kind: 0x3f00, forward, value: vec![7; octets] };
        assert_eq!(Transitive::of(&[tlv(false, 1)]), Transitive::default());
        assert_eq!(Transitive::of(&[tlv(false, 1), tlv(true, 2)]).tlvs(), [tlv(true, 2)]);
        assert_eq!(Transitive::of(&[tlv(true, 60), tlv(true, 60)]).tlvs().len(), 2);
        assert!(Transitive::of(&[tlv(true, 60), tlv(true, 61)]).is_none());
    }
}
