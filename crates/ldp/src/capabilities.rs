//! What the two ends of a session can do beyond RFC 5036 (RFC 5561).

use std::collections::BTreeSet;

use wire::ldp::{AddressFamily, Capability, CapabilityChange, Initialization, RawTlv};

/// Most octets of TLVs that are sent back as not supported: enough for any capability that there is, and a message with
/// them fits the smallest PDU (256 octets, RFC 5036 §3.5.3).
const RETURNED: usize = 128;

/// The capabilities of one session.
#[derive(Debug, Default)]
pub(crate) struct Capabilities {
    /// Announced to the peer.
    pub(crate) local: BTreeSet<Capability>,
    /// Announced by the peer.
    pub(crate) peer: BTreeSet<Capability>,
    /// Of those announced to the peer, the ones that it says it does not know.
    pub(crate) unsupported: BTreeSet<Capability>,
    /// What the peer announced and must be told that we do not know.
    refused: Vec<RawTlv>,
    /// Whether the peer was told that it knows all (RFC 5919).
    pub(crate) end_told: bool,
    /// Of which prefixes the peer said so.
    pub(crate) end_heard: BTreeSet<AddressFamily>,
}

impl Capabilities {
    pub(crate) fn new(local: BTreeSet<Capability>) -> Self {
        Self { local, ..Self::default() }
    }

    /// What the peer's Initialization announces.
    pub(crate) fn begin(&mut self, initialization: &Initialization) {
        self.peer.clone_from(&initialization.capabilities);
        self.refused.clone_from(&initialization.unsupported);
    }

    /// What the peer announces and withdraws later. The announcement of dynamic announcement itself is passed over
    /// (RFC 5561 §9).
    pub(crate) fn change(&mut self, change: CapabilityChange) {
        for (capability, on) in change.changes {
            match (capability, on) {
                (Capability::DynamicAnnouncement, _) => {}
                (_, true) => drop(self.peer.insert(capability)),
                (_, false) => drop(self.peer.remove(&capability)),
            }
        }
        self.refused = change.unsupported;
    }

    /// What is to be announced and withdrawn so that the peer knows of these; nothing unless it takes that (RFC 5561 §9).
    /// What it cannot be told holds from the next session on.
    pub(crate) fn retell(&mut self, wanted: &BTreeSet<Capability>) -> Option<CapabilityChange> {
        if !self.peer.contains(&Capability::DynamicAnnouncement) {
            return None;
        }
        let differ = self.local.symmetric_difference(wanted).copied();
        let differ = differ.filter(|&capability| capability != Capability::DynamicAnnouncement);
        let changes: std::collections::BTreeMap<_, _> =
            differ.map(|capability| (capability, wanted.contains(&capability))).collect();
        for (&capability, &on) in &changes {
            self.unsupported.remove(&capability);
            if on {
                self.local.insert(capability)
            } else {
                self.local.remove(&capability)
            };
        }
        (!changes.is_empty()).then(|| CapabilityChange { changes, ..CapabilityChange::default() })
    }

    /// Takes what the peer must be told that we do not know: whether there is anything, and as much of it as is sent back
    /// (RFC 5561 §8).
    pub(crate) fn take_refused(&mut self) -> Option<Vec<RawTlv>> {
        let refused = std::mem::take(&mut self.refused);
        let mut octets = 0;
        let fits = |tlv: &RawTlv| {
            octets += 4 + tlv.value.len();
            octets <= RETURNED
        };
        (!refused.is_empty()).then(|| refused.into_iter().take_while(fits).collect())
    }

    /// The peer does not know these.
    pub(crate) fn returned(&mut self, tlvs: &[RawTlv]) {
        let known = tlvs.iter().filter_map(|tlv| Capability::of_kind(tlv.kind()));
        self.unsupported.extend(known.filter(|capability| self.local.contains(capability)));
    }

    /// Whether the peer is still to be told when it knows all, which only who takes notifications that it does not know is
    /// (RFC 5919 §3).
    pub(crate) fn owes_end(&self) -> bool {
        !self.end_told && self.peer.contains(&Capability::UnrecognizedNotification)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(capabilities: &[Capability]) -> BTreeSet<Capability> {
        capabilities.iter().copied().collect()
    }

    #[test]
    fn changes_are_told_to_who_takes_them() {
        use Capability::{DynamicAnnouncement, TypedWildcardFec, UnrecognizedNotification};
        let wanted = set(&[UnrecognizedNotification]);
        let mut session = Capabilities::new(set(&[DynamicAnnouncement, TypedWildcardFec]));
        assert_eq!(session.retell(&wanted), None, "it did not say that it takes them");
        session.peer = set(&[DynamicAnnouncement]);
        session.unsupported = set(&[TypedWildcardFec]);
        let change = session.retell(&wanted).unwrap();
        let expected = [(TypedWildcardFec, false), (UnrecognizedNotification, true)];
        assert_eq!(change.changes, expected.into_iter().collect());
        assert_eq!(session.local, set(&[DynamicAnnouncement, UnrecognizedNotification]));
        assert!(session.unsupported.is_empty());
        assert_eq!(session.retell(&wanted), None, "it knows");
    }

    #[test]
    fn what_is_sent_back_fits_any_pdu() {
        let tlv = |word, len| RawTlv { word, value: vec![0; len] };
        let mut session = Capabilities::default();
        assert_eq!(session.take_refused(), None);
        for (lens, returned) in [(vec![1, 1], 2), (vec![120, 1], 1), (vec![500, 1], 0)] {
            session.refused = lens.into_iter().map(|len| tlv(0x3e00, len)).collect();
            assert_eq!(session.take_refused().map(|tlvs| tlvs.len()), Some(returned));
            assert_eq!(session.take_refused(), None, "once");
        }
    }
}
