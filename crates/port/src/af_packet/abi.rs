//! `linux/if_packet.h` and its kin: the numbers that `libc` does not have, and the headers in a ring as values.
//!
//! Headers are read by offset from octets instead of through structs, so that reading them is safe and a test can
//! write them.

pub(crate) const ETH_P_ALL: u16 = 0x0003;
pub(super) const ETH_P_MPLS_UC: u16 = 0x8847;

pub(super) const PACKET_ADD_MEMBERSHIP: i32 = 1;
pub(super) const PACKET_RX_RING: i32 = 5;
pub(super) const PACKET_STATISTICS: i32 = 6;
pub(crate) const PACKET_AUXDATA: i32 = 8;
pub(super) const PACKET_VERSION: i32 = 10;
pub(super) const PACKET_VNET_HDR: i32 = 15;
pub(super) const PACKET_IGNORE_OUTGOING: i32 = 23;
pub(super) const TPACKET_V3: i32 = 2;
pub(super) const PACKET_MR_ALLMULTI: u16 = 2;

pub(super) const TP_STATUS_KERNEL: u32 = 0;
pub(super) const TP_STATUS_USER: u32 = 1;
pub(crate) const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
pub(crate) const TP_STATUS_VLAN_TPID_VALID: u32 = 1 << 6;

/// `ETHTOOL_GLINK` of `linux/ethtool.h`.
pub(super) const ETHTOOL_GLINK: u32 = 0xa;

/// Where `block_status` is in a block.
pub(super) const BLOCK_STATUS: usize = 8;
/// Octets of `struct tpacket_block_desc`.
pub(super) const BLOCK_HEADER: usize = 48;
/// Octets of `struct tpacket3_hdr`; a `struct sockaddr_ll` follows.
pub(super) const PACKET_HEADER: usize = 48;
/// Where `sll_pkttype` is in a packet.
pub(super) const PACKET_TYPE: usize = PACKET_HEADER + 10;
/// `PACKET_OTHERHOST`.
pub(super) const OTHER_HOST: u8 = 3;

/// `struct tpacket_req3`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct RingRequest {
    pub(super) block_size: u32,
    pub(super) block_nr: u32,
    pub(super) frame_size: u32,
    pub(super) frame_nr: u32,
    pub(super) retire_blk_tov: u32,
    pub(super) sizeof_priv: u32,
    pub(super) feature_req_word: u32,
}

/// `struct ethtool_value`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct EthtoolValue {
    pub(super) command: u32,
    pub(super) data: u32,
}

/// `struct packet_mreq`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Membership {
    pub(super) ifindex: i32,
    pub(super) kind: u16,
    pub(super) address_len: u16,
    pub(super) address: [u8; 8],
}

/// `struct tpacket_stats_v3`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RingStatistics {
    pub(super) packets: u32,
    pub(super) drops: u32,
    pub(super) freezes: u32,
}

/// `struct tpacket_stats`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SocketStatistics {
    pub(super) packets: u32,
    pub(super) drops: u32,
}

/// `struct tpacket_auxdata`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Auxiliary {
    pub(crate) status: u32,
    pub(crate) len: u32,
    pub(crate) snaplen: u32,
    pub(crate) mac: u16,
    pub(crate) net: u16,
    pub(crate) vlan_tci: u16,
    pub(crate) vlan_tpid: u16,
}

/// `struct tpacket_block_desc`, as far as it is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BlockHeader {
    pub(super) packets: u32,
    pub(super) first: u32,
}

/// `struct tpacket3_hdr`, as far as it is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PacketHeader {
    pub(super) next: u32,
    pub(super) captured: u32,
    pub(super) len: u32,
    pub(super) status: u32,
    pub(super) mac: u16,
    pub(super) vlan_tci: u32,
    pub(super) vlan_tpid: u16,
    /// Whether it is for another station, or in a VLAN of which the tag has been taken off and lost.
    pub(super) other_host: bool,
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*octets.get(at..)?.first_chunk()?))
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*octets.get(at..)?.first_chunk()?))
}

impl BlockHeader {
    pub(super) fn read(block: &[u8]) -> Option<Self> {
        Some(Self { packets: u32_at(block, 12)?, first: u32_at(block, 16)? })
    }
}

impl PacketHeader {
    /// Reads the header at the start of `octets`.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let header = octets.get(..=PACKET_TYPE)?;
        Some(Self {
            next: u32_at(header, 0)?,
            captured: u32_at(header, 12)?,
            len: u32_at(header, 16)?,
            status: u32_at(header, 20)?,
            mac: u16_at(header, 24)?,
            vlan_tci: u32_at(header, 32)?,
            vlan_tpid: u16_at(header, 36)?,
            other_host: header[PACKET_TYPE] == OTHER_HOST,
        })
    }
}
