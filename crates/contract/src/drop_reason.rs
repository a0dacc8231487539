//! Why a packet went no further.

crate::reasons! {
    /// Why a frame or packet went no further. Every drop has exactly one reason; the number of a reason is its place in a
    /// counter block and may change between versions, its name ([`Self::name`]) does not.
    pub enum DropReason;

    /// The frame ends before its headers do.
    Truncated = "truncated",
    /// The frame is addressed to another station.
    NotForUs = "not_for_us",
    /// An EtherType that this kind of port does not carry.
    UnknownEtherType = "unknown_ethertype",
    /// More than two VLAN tags.
    TooManyTags = "too_many_tags",
    /// A labelled frame from an access or handoff port.
    LabelledOnEdge = "labelled_on_edge",
    /// A frame without a label on a backbone port.
    UnlabelledOnBackbone = "unlabelled_on_backbone",
    /// Neither IPv4 nor IPv6 by its version nibble, or not the version that the EtherType says.
    NotIp = "not_ip",
    /// An IP header whose lengths lie.
    BadIpHeader = "bad_ip_header",
    /// An IPv4 header with a wrong checksum.
    BadChecksum = "bad_checksum",
    /// The TTL or hop limit ran out.
    TtlExpired = "ttl_expired",
    /// A link-local or multicast packet, which stays on its link.
    LinkScope = "link_scope",
    /// No subscriber is bound to this circuit.
    NoSuchCircuit = "no_such_circuit",
    /// The source address is not bound to this circuit (BCP 38).
    SourceNotBound = "source_not_bound",
    /// The source's Ethernet address is not the one bound to it.
    WrongMac = "wrong_mac",
    /// No LSP to any handoff of the ISP.
    IspUnreachable = "isp_unreachable",
    /// No handoff is attached to this port and VLAN.
    NoSuchHandoff = "no_such_handoff",
    /// The handoff carries no packets of this IP version, or its next hop is not resolved.
    HandoffUnresolved = "handoff_unresolved",
    /// The ISP has no such prefix.
    NoRoute = "no_route",
    /// The FEC has no next hop with a usable label and a known Ethernet address.
    NoNhlfe = "no_nhlfe",
    /// The incoming label is not one that this node gave out.
    UnknownLabel = "unknown_label",
    /// A special-purpose label that this node does not use (RFC 7274).
    ReservedLabel = "reserved_label",
    /// A label beneath one that should have been the last.
    NotBottomOfStack = "not_bottom_of_stack",
    /// The destination is no subscriber of the ISP whose label the packet had.
    NoSubscriber = "no_subscriber",
    /// The subscriber's Ethernet address is not known yet.
    SubscriberUnresolved = "subscriber_unresolved",
    /// Longer than the port may send.
    TooLong = "too_long",
    /// The outgoing port is not there or has no carrier.
    PortDown = "port_down",
    /// The port's device or its queue did not accept the frame.
    TxRefused = "tx_refused",
    /// The kernel's receive ring was full; counted per port, never seen by us.
    RxRingFull = "rx_ring_full",
    /// No free buffer.
    NoBuffer = "no_buffer",
    /// Offload metadata of a virtual device that make no sense.
    BadOffload = "bad_offload",
    /// Control is told of no more of these for now.
    PuntLimited = "punt_limited",
    /// To an address of this node's own, and nothing that it answers.
    OwnAddress = "own_address",
    /// To an address of this node's own, and not answered: too many for now, or no way back.
    AnswerLimited = "answer_limited",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_numbers_are_places() {
        let names: std::collections::BTreeSet<_> = DropReason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), DropReason::COUNT);
        for (number, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
            assert!(reason.meaning().ends_with('.'), "{}", reason.name());
        }
    }
}
