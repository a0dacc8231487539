//! Segmentation of TCP streams and UDP trains, as a device with segmentation offload does it.

use super::checksum::Sum;
use super::headers::{Headers, IPV4_HEADER, IPV6_HEADER, IpVersion, TCP, UDP};
use super::{BadOffload, PartialChecksum, Segmentation, unless_zero};

/// A frame cut into segments. Stateless: segment `n` can be written at any time, so that one who runs out of buffers
/// goes on later with no more than a number to remember.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a> {
    frame: &'a [u8],
    headers: Headers,
    size: usize,
    checksum: bool,
}

const TCP_FIN: u8 = 0x01;
const TCP_PSH: u8 = 0x08;
const TCP_CWR: u8 = 0x80;

impl<'a> Segments<'a> {
    /// Plans the segmentation of `frame`; `checksum` is what the metadata say of its checksum.
    pub fn new(
        frame: &'a [u8],
        segmentation: Segmentation,
        checksum: Option<PartialChecksum>,
    ) -> Result<Self, BadOffload> {
        let headers = Headers::find(frame, segmentation.kind)?;
        if segmentation.size == 0 {
            return Err(BadOffload::NoSegmentSize);
        }
        if checksum.is_some_and(|checksum| usize::from(checksum.start) != headers.transport) {
            return Err(BadOffload::Tunnel);
        }
        let size = usize::from(segmentation.size);
        let payload = frame.len() - headers.payload;
        if headers.payload - headers.ip + payload.min(size) > usize::from(u16::MAX) {
            return Err(BadOffload::Unparsed);
        }
        // Only UDP over IPv4 may go without a checksum, and only if its sender wanted none (RFC 768).
        let none = !headers.tcp && frame[headers.transport + 6..headers.transport + 8] == [0, 0];
        let checksum = checksum.is_some() || !none;
        Ok(Self { frame, headers, size, checksum })
    }

    /// How many segments there are: at least one.
    pub fn count(&self) -> usize {
        (self.frame.len() - self.headers.payload).div_ceil(self.size).max(1)
    }

    /// Octets of the segment with this number, headers included.
    pub fn segment_len(&self, number: usize) -> usize {
        self.headers.payload + self.part(number).len()
    }

    /// Writes the segment with this number, complete with checksums. `room` is [`Self::segment_len`] octets long.
    pub fn write(&self, number: usize, room: &mut [u8]) {
        let part = self.part(number);
        debug_assert_eq!(room.len(), self.headers.payload + part.len());
        let (head, payload) = room.split_at_mut(self.headers.payload);
        head.copy_from_slice(&self.frame[..self.headers.payload]);
        payload.copy_from_slice(part);
        self.fix_ip(number, room);
        if self.headers.tcp {
            self.fix_tcp(number, room);
        } else {
            self.fix_udp(room);
        }
    }

    fn part(&self, number: usize) -> &'a [u8] {
        let payload = &self.frame[self.headers.payload..];
        let start = (number * self.size).min(payload.len());
        &payload[start..(start + self.size).min(payload.len())]
    }

    fn fix_ip(&self, number: usize, room: &mut [u8]) {
        let total = room.len() - self.headers.ip;
        let header = &mut room[self.headers.ip..self.headers.transport];
        match self.headers.version {
            IpVersion::V4 => {
                header[2..4].copy_from_slice(&(total as u16).to_be_bytes());
                let id = u16::from_be_bytes([header[4], header[5]]).wrapping_add(number as u16);
                header[4..6].copy_from_slice(&id.to_be_bytes());
                header[10..12].fill(0);
                let sum = Sum::default().add(header).finish();
                header[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            IpVersion::V6 => {
                header[4..6].copy_from_slice(&((total - IPV6_HEADER) as u16).to_be_bytes());
            }
        }
    }

    fn fix_tcp(&self, number: usize, room: &mut [u8]) {
        let header = &mut room[self.headers.transport..];
        let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]])
            .wrapping_add((number * self.size) as u32);
        header[4..8].copy_from_slice(&sequence.to_be_bytes());
        if number + 1 < self.count() {
            header[13] &= !(TCP_FIN | TCP_PSH);
        }
        if number > 0 {
            header[13] &= !TCP_CWR;
        }
        self.fix_transport_checksum(TCP, 16, room);
    }

    fn fix_udp(&self, room: &mut [u8]) {
        let len = (room.len() - self.headers.transport) as u16;
        room[self.headers.transport + 4..self.headers.transport + 6].copy_from_slice(&len.to_be_bytes());
        if self.checksum {
            self.fix_transport_checksum(UDP, 6, room);
        }
    }

    fn fix_transport_checksum(&self, protocol: u8, offset: usize, room: &mut [u8]) {
        let ip = self.headers.ip;
        let addresses = match self.headers.version {
            IpVersion::V4 => ip + 12..ip + IPV4_HEADER,
            IpVersion::V6 => ip + 8..ip + IPV6_HEADER,
        };
        let transport = self.headers.transport;
        room[transport + offset..transport + offset + 2].fill(0);
        let sum = Sum::default()
            .add(&room[addresses])
            .add_u32(u32::from(protocol))
            .add_u32((room.len() - transport) as u32)
            .add(&room[transport..])
            .finish();
        let sum = if protocol == UDP { unless_zero(sum) } else { sum };
        room[transport + offset..transport + offset + 2].copy_from_slice(&sum.to_be_bytes());
    }
}
