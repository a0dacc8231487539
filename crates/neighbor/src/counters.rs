//! What was ignored, and why.

contract::reasons! {
    /// Why a frame was not answered or not believed. Every frame that goes in is counted once: as heard, or as ignored for
    /// one of these reasons.
    pub enum Ignored;

    /// The frame is no sound ARP packet.
    MalformedArp = "malformed_arp",
    /// The frame is no Neighbor Solicitation or Advertisement that RFC 4861 §7.1 lets pass.
    MalformedNd = "malformed_nd",
    /// Another ICMPv6 message than Neighbor Solicitation and Advertisement.
    OtherIcmpv6 = "other_icmpv6",
    /// The frame is neither ARP nor IPv6.
    OtherEtherType = "other_ethertype",
    /// The frame is addressed to another station.
    NotForUs = "not_for_us",
    /// The frame's source is no station, or is ourselves: it came back by a loop.
    BadSource = "bad_source",
    /// Sender and frame disagree on the sender's Ethernet address.
    MacMismatch = "mac_mismatch",
    /// The circuit or the port's Ethernet address is not known.
    UnknownCircuit = "unknown_circuit",
    /// The sender's IP address is not bound to this circuit, or not in the handoff's subnet.
    SenderNotBound = "sender_not_bound",
    /// The sender's Ethernet address is not the one in the directory.
    WrongMac = "wrong_mac",
    /// The target is the sender's own: a gratuitous ARP, or duplicate address detection that must not be disturbed.
    OwnTarget = "own_target",
    /// A probe for an address that is not ours (duplicate address detection).
    Probe = "probe",
    /// The target is no address that is answered for.
    TargetNotOurs = "target_not_ours",
    /// An answer that nothing was asked for.
    Unsolicited = "unsolicited",
    /// The sender claims an address of ours.
    Conflict = "conflict",
    /// Answers to this sender are limited.
    RateLimited = "rate_limited",
}

/// What was done with the frames that went in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Frames that were taken into account.
    pub heard: u64,
    /// Those of them that were requests and solicitations, and were answered.
    pub answered: u64,
    /// Requests and solicitations sent.
    pub asked: u64,
    /// Frames not sent since too many were waiting to be.
    pub not_sent: u64,
    /// Neighbors not tracked, or not resolved, since there were too many already.
    pub table_full: u64,
    ignored: [u64; Ignored::COUNT],
}

impl Counters {
    /// Frames ignored for this reason.
    pub const fn ignored(&self, reason: Ignored) -> u64 {
        self.ignored[reason as usize]
    }

    pub(crate) const fn ignore(&mut self, reason: Ignored) {
        self.ignored[reason as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_numbers_are_places() {
        let names: std::collections::BTreeSet<_> = Ignored::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), Ignored::COUNT);
        for (number, reason) in Ignored::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
            assert!(reason.meaning().ends_with('.'), "{}", reason.name());
        }
    }
}
