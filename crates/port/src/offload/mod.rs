//! What virtual devices leave undone, done in software: partial checksums, segmentation, tags kept beside the frame.
//!
//! A kernel that sends over a virtual device hands over TCP and UDP data in frames of up to 64 KiB and with checksums
//! over the pseudo-header only, since the "wire" is memory. `struct virtio_net_hdr` (Virtual I/O Device 1.2 §5.1.6)
//! says what is missing.
//!
//! TODO-correctness(VIRTIO 1.2 §5.1.6.2): segmentation of tunnelled packets (VXLAN, GRE, IP in IP) is
//! [`BadOffload::Unparsed`] or [`BadOffload::Tunnel`]; so is SCTP's, which the kernel does not describe at all.

mod checksum;
mod headers;
mod segment;

use crate::Refusal;

pub use segment::Segments;

use checksum::{Sum, crc32c};

/// Octets of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;
/// Octets of a VLAN tag.
pub(crate) const TAG: usize = 4;
/// 802.1Q tag.
pub(crate) const ETHERTYPE_CTAG: u16 = 0x8100;
/// 802.1ad service tag.
pub(crate) const ETHERTYPE_STAG: u16 = 0x88a8;

/// What is still to be done to a frame: `struct virtio_net_hdr`, without the hints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offload {
    /// The checksum to complete.
    pub checksum: Option<PartialChecksum>,
    /// The segmentation to do.
    pub segmentation: Option<Segmentation>,
}

/// A checksum that covers the pseudo-header only: the sum from `start` to the frame's end is to be put at
/// `start + offset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartialChecksum {
    /// Octets from the frame's start.
    pub start: u16,
    /// Octets from `start`: 16 for TCP, 6 for UDP, 8 for SCTP, whose checksum is a CRC32c.
    pub offset: u16,
}

/// A segmentation to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segmentation {
    /// What is above IP.
    pub kind: SegmentKind,
    /// Octets of payload in each segment but the last; not zero.
    pub size: u16,
}

/// What is above IP in a frame to be segmented.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentKind {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP datagrams of one size, over either (`UDP_SEGMENT`).
    Udp,
}

/// Offload metadata that make no sense, or ask for what is not done here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadOffload {
    /// A kind of segmentation that is not known.
    #[error("segmentation of kind {0}")]
    UnknownKind(u8),
    /// Segments of no octets.
    #[error("segments of no octets")]
    NoSegmentSize,
    /// A checksum outside the frame.
    #[error("a checksum outside the frame")]
    ChecksumOutside,
    /// The frame's headers are not those that the kind of segmentation says, or are cut short.
    #[error("the headers are not those of the kind of segmentation")]
    Unparsed,
    /// The headers to be changed are inside a tunnel.
    #[error("segmentation inside a tunnel")]
    Tunnel,
}

impl Offload {
    /// Octets of `struct virtio_net_hdr`.
    pub const HEADER_LEN: usize = 10;

    const NEEDS_CHECKSUM: u8 = 1;
    const KIND_ECN: u8 = 0x80;

    /// Reads a `struct virtio_net_hdr` in the machine's own byte order.
    pub fn parse(header: [u8; Self::HEADER_LEN]) -> Result<Self, BadOffload> {
        let [flags, kind, _, _, size0, size1, start0, start1, offset0, offset1] = header;
        let checksum = (flags & Self::NEEDS_CHECKSUM != 0).then(|| PartialChecksum {
            start: u16::from_ne_bytes([start0, start1]),
            offset: u16::from_ne_bytes([offset0, offset1]),
        });
        // The ECN bit says that CWR may be set; the flags in the TCP header say that better.
        let kind = match kind & !Self::KIND_ECN {
            0 => return Ok(Self { checksum, segmentation: None }),
            1 => SegmentKind::TcpV4,
            4 => SegmentKind::TcpV6,
            5 => SegmentKind::Udp,
            _ => return Err(BadOffload::UnknownKind(kind)),
        };
        match u16::from_ne_bytes([size0, size1]) {
            0 => Err(BadOffload::NoSegmentSize),
            size => Ok(Self { checksum, segmentation: Some(Segmentation { kind, size }) }),
        }
    }
}

impl PartialChecksum {
    /// Completes the checksum of `frame`.
    pub fn complete(self, frame: &mut [u8]) -> Result<(), BadOffload> {
        const SCTP_OFFSET: u16 = 8;
        const UDP_OFFSET: u16 = 6;
        let covered = frame.get_mut(usize::from(self.start)..).ok_or(BadOffload::ChecksumOutside)?;
        let offset = usize::from(self.offset);
        if self.offset == SCTP_OFFSET {
            let field = covered.get_mut(offset..offset + 4).ok_or(BadOffload::ChecksumOutside)?;
            field.fill(0);
            let crc = !crc32c(!0, covered);
            covered[offset..offset + 4].copy_from_slice(&crc.to_le_bytes());
            return Ok(());
        }
        if covered.len() < offset + 2 {
            return Err(BadOffload::ChecksumOutside);
        }
        // The field holds the pseudo-header's sum, so it is summed along with the rest.
        let sum = Sum::default().add(covered).finish();
        let sum = if self.offset == UDP_OFFSET { unless_zero(sum) } else { sum };
        covered[offset..offset + 2].copy_from_slice(&sum.to_be_bytes());
        Ok(())
    }
}

/// UDP sends a checksum of zero as all ones, since zero means that there is none (RFC 768).
fn unless_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

/// A VLAN tag that was kept beside a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BesideTag {
    /// The tag's EtherType.
    pub ethertype: u16,
    /// Priority, drop eligibility, VLAN identifier.
    pub control: u16,
}

impl BesideTag {
    /// Puts the tag into a frame that begins [`Self::LEN`] octets into `room`. `false`, and nothing changed, where the
    /// frame is too short to have Ethernet addresses.
    #[must_use]
    pub fn put_back(self, room: &mut [u8]) -> bool {
        const ADDRESSES: usize = 12;
        if room.len() < TAG + ADDRESSES {
            return false;
        }
        room.copy_within(TAG..TAG + ADDRESSES, 0);
        room[ADDRESSES..ADDRESSES + 2].copy_from_slice(&self.ethertype.to_be_bytes());
        room[ADDRESSES + 2..ADDRESSES + 4].copy_from_slice(&self.control.to_be_bytes());
        true
    }

    /// Octets of a tag.
    pub const LEN: usize = TAG;
}

/// Whether a device of this MTU takes the frame: the kernel's rule for packet sockets, which allows for one 802.1Q tag
/// (EtherType 0x8100) and for nothing else. So two tags (0x88a8 outside) need an MTU 8 octets larger.
pub(crate) fn check_length(frame: &[u8], mtu: u32) -> Result<(), Refusal> {
    if frame.len() < ETHERNET {
        return Err(Refusal::Malformed);
    }
    let tag = if frame[12..14] == ETHERTYPE_CTAG.to_be_bytes() { TAG } else { 0 };
    if frame.len() > ETHERNET + tag + mtu as usize { Err(Refusal::TooLong) } else { Ok(()) }
}

#[cfg(test)]
pub(crate) mod tests;
