//! The walk over a TPACKET_V3 ring: blocks, the packets in them, the segments of those.
//!
//! A block changes hands by its `block_status`: the kernel sets `TP_STATUS_USER` when it has closed the block, we set
//! `TP_STATUS_KERNEL` when the last of its packets is copied. The walk may stop anywhere (burst full, pool empty), even
//! between two segments of one packet, and goes on there.

use wire::frame::{Frame, FramePool};

use super::abi::{
    BlockHeader, PacketHeader, TP_STATUS_USER, TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID,
};
use crate::offload::{BadOffload, BesideTag, ETHERTYPE_CTAG, Offload, Segments};
use crate::{RxResult, Statistics};

/// The memory of a ring.
pub(super) trait Blocks {
    /// How many blocks there are; not zero.
    fn count(&self) -> usize;

    /// A block's octets while it is ours; `None` while it is the kernel's.
    fn ours(&self, block: usize) -> Option<&[u8]>;

    /// Gives a block back.
    fn give_back(&mut self, block: usize);
}

/// A ring and how far it is read.
#[derive(Debug)]
pub(super) struct Ring<B> {
    blocks: B,
    block: usize,
    /// Within the block; `None`: its first packet.
    place: Option<Place>,
    accept: Accept,
    statistics: Statistics,
}

/// Which frames are delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Accept {
    /// All.
    All,
    /// Those for this station in no VLAN, as far as the kernel knows.
    Own,
}

/// The next thing to be copied out of a block.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The packet.
    offset: usize,
    /// Packets that are left, this one included.
    packets: u32,
    /// The segment of the packet.
    segment: usize,
}

/// How the walk over a block or a packet ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Walk {
    /// All is copied.
    Complete,
    /// The burst is full.
    Full,
    /// The pool is empty.
    Starved,
}

/// Where the frames go.
struct Sink<'a> {
    pool: &'a mut FramePool,
    out: &'a mut Vec<Frame>,
    room: usize,
    accept: Accept,
}

impl<B: Blocks> Ring<B> {
    pub(super) fn new(blocks: B, accept: Accept) -> Self {
        Self { blocks, block: 0, place: None, accept, statistics: Statistics::default() }
    }

    /// What was counted here: all but `ring_drops` and `tx_refused`.
    pub(super) fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Copies up to `max` frames out.
    pub(super) fn burst(&mut self, pool: &mut FramePool, out: &mut Vec<Frame>, max: usize) -> RxResult {
        let before = out.len();
        let mut sink = Sink { pool, out, room: max, accept: self.accept };
        let mut end = Walk::Complete;
        while let Some(octets) = self.blocks.ours(self.block) {
            end = walk_block(octets, &mut self.place, &mut self.statistics, &mut sink);
            if end != Walk::Complete {
                break;
            }
            self.blocks.give_back(self.block);
            self.block = (self.block + 1) % self.blocks.count();
            self.place = None;
        }
        let starved = end == Walk::Starved;
        self.statistics.starved += u64::from(starved);
        RxResult { frames: out.len() - before, more: end != Walk::Complete, starved }
    }
}

fn walk_block(
    block: &[u8],
    place: &mut Option<Place>,
    statistics: &mut Statistics,
    sink: &mut Sink<'_>,
) -> Walk {
    let first = || {
        let header = BlockHeader::read(block)?;
        Some(Place { offset: header.first as usize, packets: header.packets, segment: 0 })
    };
    let Some(mut at) = place.or_else(first) else { return Walk::Complete };
    while at.packets > 0 {
        // The kernel's word is taken for nothing that could make us read outside the block.
        let packet = block.get(at.offset..).and_then(|octets| Some((PacketHeader::read(octets)?, octets)));
        let Some((header, octets)) = packet else { break };
        match walk_packet(&header, octets, &mut at.segment, statistics, sink) {
            Walk::Complete => {}
            end => {
                *place = Some(at);
                return end;
            }
        }
        at = Place { offset: at.offset + header.next as usize, packets: at.packets - 1, segment: 0 };
        if header.next == 0 {
            break;
        }
    }
    Walk::Complete
}

fn walk_packet(
    header: &PacketHeader,
    octets: &[u8],
    segment: &mut usize,
    statistics: &mut Statistics,
    sink: &mut Sink<'_>,
) -> Walk {
    // The kernel leaves a place without this bit behind where it could not describe a packet's offloads.
    if header.status & TP_STATUS_USER == 0 {
        statistics.bad_offload += 1;
        return Walk::Complete;
    }
    if header.other_host && sink.accept == Accept::Own {
        statistics.not_for_us += 1;
        return Walk::Complete;
    }
    if header.captured < header.len {
        statistics.rx_too_long += 1;
        return Walk::Complete;
    }
    let Some((offload, frame)) = locate(header, octets) else {
        statistics.bad_offload += 1;
        return Walk::Complete;
    };
    let copied = offload.and_then(|offload| match offload.segmentation {
        None => sink.copy(frame, offload, header.tag(), statistics),
        Some(segmentation) => {
            let segments = Segments::new(frame, segmentation, offload.checksum)?;
            Ok(sink.segments(&segments, segment, header.tag(), statistics))
        }
    });
    copied.unwrap_or_else(|_| {
        statistics.bad_offload += 1;
        Walk::Complete
    })
}

/// The offload metadata, which lie just before the frame, and the frame.
fn locate<'a>(header: &PacketHeader, octets: &'a [u8]) -> Option<(Result<Offload, BadOffload>, &'a [u8])> {
    let mac = usize::from(header.mac);
    let metadata = octets.get(mac.checked_sub(Offload::HEADER_LEN)?..mac)?;
    let frame = octets.get(mac..)?.get(..header.captured as usize)?;
    Some((Offload::parse(*metadata.first_chunk()?), frame))
}

impl PacketHeader {
    fn tag(&self) -> Option<BesideTag> {
        let ethertype =
            if self.status & TP_STATUS_VLAN_TPID_VALID != 0 { self.vlan_tpid } else { ETHERTYPE_CTAG };
        (self.status & TP_STATUS_VLAN_VALID != 0)
            .then_some(BesideTag { ethertype, control: self.vlan_tci as u16 })
    }
}

impl Sink<'_> {
    /// Copies a whole frame.
    fn copy(
        &mut self,
        frame: &[u8],
        offload: Offload,
        tag: Option<BesideTag>,
        statistics: &mut Statistics,
    ) -> Result<Walk, BadOffload> {
        let mut result = Ok(());
        let end = self.place(frame.len(), tag, statistics, |room| {
            room.copy_from_slice(frame);
            result = offload.checksum.map_or(Ok(()), |checksum| checksum.complete(room));
            result.is_ok()
        });
        result.map(|()| end)
    }

    /// Writes the segments from number `next` on.
    fn segments(
        &mut self,
        segments: &Segments<'_>,
        next: &mut usize,
        tag: Option<BesideTag>,
        statistics: &mut Statistics,
    ) -> Walk {
        while *next < segments.count() {
            let number = *next;
            let end = self.place(segments.segment_len(number), tag, statistics, |room| {
                segments.write(number, room);
                true
            });
            if end != Walk::Complete {
                return end;
            }
            statistics.segments += u64::from(number > 0);
            *next += 1;
        }
        Walk::Complete
    }

    /// Has `write` fill a frame of `len` octets and puts the tag into it. What `write` says `false` of, and what is
    /// longer than any buffer, goes nowhere.
    fn place(
        &mut self,
        len: usize,
        tag: Option<BesideTag>,
        statistics: &mut Statistics,
        write: impl FnOnce(&mut [u8]) -> bool,
    ) -> Walk {
        let tag_len = if tag.is_some() { BesideTag::LEN } else { 0 };
        if self.room == 0 {
            return Walk::Full;
        }
        if tag_len + len > self.pool.frame_len() {
            statistics.rx_too_long += 1;
            return Walk::Complete;
        }
        let Some(mut frame) = self.pool.alloc(tag_len + len) else { return Walk::Starved };
        let room = self.pool.octets_mut(&mut frame);
        if write(&mut room[tag_len..]) && tag.is_none_or(|tag| tag.put_back(room)) {
            self.out.push(frame);
            self.room -= 1;
        } else {
            self.pool.free(frame);
        }
        Walk::Complete
    }
}

#[cfg(test)]
mod tests;
