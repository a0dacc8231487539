//! Neighbor Solicitation and Advertisement (RFC 4861 §4.3, §4.4), whole IPv6 packets.

use std::net::Ipv6Addr;

use crate::MacAddr;
use crate::checksum::Sum;
use crate::ip::protocol;

/// A Neighbor Solicitation or Advertisement with the IPv6 addresses that it travels under. One that was parsed is valid
/// by RFC 4861 §7.1.1 or §7.1.2.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NdPacket {
    /// The IPv6 source; unspecified in a solicitation for duplicate address detection (RFC 4862 §5.4.2).
    pub source: Ipv6Addr,
    /// The IPv6 destination.
    pub destination: Ipv6Addr,
    /// What is said.
    pub message: NdMessage,
}

/// What a Neighbor Solicitation or Advertisement says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NdMessage {
    /// Who has the target address? (RFC 4861 §4.3)
    Solicitation {
        /// The address asked for.
        target: Ipv6Addr,
        /// The source link-layer address option.
        source_mac: Option<MacAddr>,
    },
    /// The sender has the target address (RFC 4861 §4.4).
    Advertisement {
        /// The address.
        target: Ipv6Addr,
        /// The target link-layer address option.
        target_mac: Option<MacAddr>,
        /// R, S and O.
        flags: NaFlags,
    },
}

/// The flags of a Neighbor Advertisement (RFC 4861 §4.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct NaFlags {
    /// R: the sender is a router.
    pub router: bool,
    /// S: this answers a solicitation.
    pub solicited: bool,
    /// O: this overrides what is cached.
    pub override_cached: bool,
}

/// Why octets are no valid [`NdPacket`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NdError {
    /// The IPv6 packet ends before its headers do.
    #[error("{0} octets are too few")]
    Truncated(usize),
    /// The version is not 6.
    #[error("not IPv6")]
    NotIpv6,
    /// The IPv6 payload length exceeds the octets that there are.
    #[error("the payload length {0} exceeds the packet")]
    PayloadLength(u16),
    /// Another next header than ICMPv6. Extension headers are not taken: none is needed, and fragments are forbidden
    /// (RFC 6980 §5).
    #[error("next header {0} is not ICMPv6")]
    NextHeader(u8),
    /// It was forwarded: the hop limit is not 255.
    #[error("hop limit {0} is not 255: not from this link")]
    HopLimit(u8),
    /// Another ICMPv6 type than solicitation and advertisement.
    #[error("ICMPv6 type {0} is neither Neighbor Solicitation nor Neighbor Advertisement")]
    Type(u8),
    /// The checksum is wrong.
    #[error("wrong checksum")]
    Checksum,
    /// The code is not 0.
    #[error("ICMPv6 code {0} is not 0")]
    Code(u8),
    /// The target is a multicast address.
    #[error("the target {0} is a multicast address")]
    MulticastTarget(Ipv6Addr),
    /// The source is a multicast address (RFC 4291 §2.7).
    #[error("the source {0} is a multicast address")]
    MulticastSource(Ipv6Addr),
    /// An option of length zero, or one that ends beyond the packet.
    #[error("an option with a length that cannot be")]
    OptionLength,
    /// A link-layer address option that holds no station's Ethernet address.
    #[error("a link-layer address option without the address of a station")]
    LinkLayerAddress,
    /// A solicitation from the unspecified address to another than a solicited-node multicast address.
    #[error("duplicate address detection sent to {0}, which is no solicited-node address")]
    ProbeDestination(Ipv6Addr),
    /// A solicitation from the unspecified address with a source link-layer address.
    #[error("duplicate address detection with a source link-layer address")]
    ProbeLinkLayerAddress,
    /// An advertisement to a multicast address that claims to be solicited.
    #[error("a solicited advertisement to a multicast address")]
    SolicitedMulticast,
}

const IPV6_HEADER: usize = 40;
const HOP_LIMIT: u8 = 255;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// ICMPv6 header, flags and target (RFC 4861 §4.3, §4.4).
const FIXED: usize = 24;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
/// Type, length in units of 8 octets, Ethernet address (RFC 2464 §6).
const LINK_LAYER_OPTION: usize = 8;
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

impl NdPacket {
    /// Reads and validates an IPv6 packet; what follows it (Ethernet padding) is not looked at.
    pub fn parse(octets: &[u8]) -> Result<Self, NdError> {
        let header: &[u8; IPV6_HEADER] = octets.first_chunk().ok_or(NdError::Truncated(octets.len()))?;
        if header[0] >> 4 != 6 {
            return Err(NdError::NotIpv6);
        }
        let length = u16::from_be_bytes([header[4], header[5]]);
        let payload = octets
            .get(IPV6_HEADER..IPV6_HEADER + usize::from(length))
            .ok_or(NdError::PayloadLength(length))?;
        if header[6] != protocol::ICMPV6 {
            return Err(NdError::NextHeader(header[6]));
        }
        let (source, destination) = (address(header, 8), address(header, 24));
        let message = Self::message(source, destination, header[7], payload)?;
        if source.is_multicast() {
            return Err(NdError::MulticastSource(source));
        }
        Ok(Self { source, destination, message })
    }

    /// RFC 4861 §7.1.1 and §7.1.2, in the order that names the most telling reason.
    fn message(from: Ipv6Addr, to: Ipv6Addr, hop_limit: u8, payload: &[u8]) -> Result<NdMessage, NdError> {
        let short = NdError::Truncated(IPV6_HEADER + payload.len());
        let &kind = payload.first().ok_or(short)?;
        if kind != SOLICITATION && kind != ADVERTISEMENT {
            return Err(NdError::Type(kind));
        }
        let fixed: &[u8; FIXED] = payload.first_chunk().ok_or(short)?;
        if hop_limit != HOP_LIMIT {
            return Err(NdError::HopLimit(hop_limit));
        }
        if checksum(from, to, payload) != 0 {
            return Err(NdError::Checksum);
        }
        if fixed[1] != 0 {
            return Err(NdError::Code(fixed[1]));
        }
        let target = address(fixed, 8);
        if target.is_multicast() {
            return Err(NdError::MulticastTarget(target));
        }
        let wanted = if kind == SOLICITATION { SOURCE_LINK_LAYER } else { TARGET_LINK_LAYER };
        let mac = link_layer_option(&payload[FIXED..], wanted)?;
        if kind == SOLICITATION {
            if from.is_unspecified() && !is_solicited_node(to) {
                return Err(NdError::ProbeDestination(to));
            }
            if from.is_unspecified() && mac.is_some() {
                return Err(NdError::ProbeLinkLayerAddress);
            }
            return Ok(NdMessage::Solicitation { target, source_mac: mac });
        }
        let flags = NaFlags {
            router: fixed[4] & ROUTER != 0,
            solicited: fixed[4] & SOLICITED != 0,
            override_cached: fixed[4] & OVERRIDE != 0,
        };
        if to.is_multicast() && flags.solicited {
            return Err(NdError::SolicitedMulticast);
        }
        Ok(NdMessage::Advertisement { target, target_mac: mac, flags })
    }

    /// The IPv6 packet in network order: hop limit 255, checksum filled in.
    pub fn to_bytes(self) -> Vec<u8> {
        let (kind, option, flags, target, mac) = match self.message {
            NdMessage::Solicitation { target, source_mac } => {
                (SOLICITATION, SOURCE_LINK_LAYER, NaFlags::default(), target, source_mac)
            }
            NdMessage::Advertisement { target, target_mac, flags } => {
                (ADVERTISEMENT, TARGET_LINK_LAYER, flags, target, target_mac)
            }
        };
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = bit(flags.router, ROUTER)
            | bit(flags.solicited, SOLICITED)
            | bit(flags.override_cached, OVERRIDE);
        let mut payload = vec![kind, 0, 0, 0, flags, 0, 0, 0];
        payload.extend(target.octets());
        if let Some(mac) = mac {
            payload.extend([option, 1]);
            payload.extend(mac.0);
        }
        let sum = checksum(self.source, self.destination, &payload);
        payload[2..4].copy_from_slice(&sum.to_be_bytes());

        let mut packet = vec![0x60, 0, 0, 0, 0, payload.len() as u8, protocol::ICMPV6, HOP_LIMIT];
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(payload);
        packet
    }
}

/// The solicited-node multicast address of an address (RFC 4291 §2.7.1).
pub fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    Ipv6Addr::from([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// Whether an address is a solicited-node multicast address, ff02::1:ff00:0/104 (RFC 4291 §2.7.1).
pub fn is_solicited_node(address: Ipv6Addr) -> bool {
    solicited_node(address) == address
}

/// The Ethernet address of an IPv6 multicast group (RFC 2464 §7).
pub fn multicast_mac(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}

fn address(octets: &[u8], at: usize) -> Ipv6Addr {
    let mut address = [0; 16];
    address.copy_from_slice(&octets[at..at + 16]);
    address.into()
}

/// The first link-layer address option of this kind. All options must be sound, whichever they are.
fn link_layer_option(mut options: &[u8], wanted: u8) -> Result<Option<MacAddr>, NdError> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let length = usize::from(units) * 8;
        if length == 0 {
            return Err(NdError::OptionLength);
        }
        let (option, rest) = options.split_at_checked(length).ok_or(NdError::OptionLength)?;
        if kind == wanted && found.is_none() {
            let [_, _, a, b, c, d, e, f] = *option else { return Err(NdError::LinkLayerAddress) };
            let mac = MacAddr([a, b, c, d, e, f]);
            if !mac.is_unicast() {
                return Err(NdError::LinkLayerAddress);
            }
            found = Some(mac);
        }
        options = rest;
    }
    if options.is_empty() { Ok(found) } else { Err(NdError::OptionLength) }
}

/// The ICMPv6 checksum with its pseudo-header (RFC 4443 §2.3): zero over a message whose checksum is right.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, payload: &[u8]) -> u16 {
    Sum::new()
        .ipv6_pseudo_header(source, destination, protocol::ICMPV6, payload.len() as u32)
        .octets(payload)
        .checksum()
}

const _: () = assert!(FIXED + LINK_LAYER_OPTION < 256, "the payload length of what we write fits an octet");

#[cfg(test)]
mod tests;
