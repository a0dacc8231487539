//! ICMP errors of transit nodes, which came out of the wrong end of an LSP (RFC 3032 §2.3).
//!
//! A transit node knows no way back to the sender of a packet, so it sends its error on, down the same LSP. Where that ends,
//! the error is sent back by the other: at a tailend by the ISP's own table, at a headend by the ISP's FTN.
//!
//! No packet is turned round twice, and nobody but a node of the network can have one turned round: the error leaves the
//! transit node with a TTL of 255, which no LSR beneath changes, whereas whatever enters an LSP by a headend or tailend
//! is one less at most, what is turned round included (the idea of RFC 5082).

use wire::icmp;
use wire::ip::protocol;

use crate::label_switch::Popped;
use crate::packet::Packet;

/// The TTL, or hop limit, with which errors of transit nodes start, and nothing else under a label has.
pub(crate) const TRANSIT_TTL: u8 = 255;

/// Whether what came out of an LSP is an ICMP error of a node in its middle.
pub(crate) fn is_transits(packet: &Packet<'_>, popped: &Popped<'_>) -> bool {
    popped.ip.ttl == TRANSIT_TTL
        && matches!(popped.ip.protocol, protocol::ICMP | protocol::ICMPV6)
        && popped.isp.role.icmp_sources.contains(popped.ip.source)
        && !icmp::may_be_answered(&popped.ip, packet.octets(popped.at))
}
