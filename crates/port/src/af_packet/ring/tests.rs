//! The ring against a model of the kernel's side: `tpacket_rcv` and the `prb_*` functions of `af_packet.c`.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::af_packet::abi::{BLOCK_HEADER, OTHER_HOST, PACKET_HEADER, PACKET_TYPE};
use crate::offload::{PartialChecksum, tests::Spec, tests::spec};

/// The longest frame of the pools here.
const FRAME_LEN: usize = 1536;
const BLOCK_LEN: usize = 8192;

/// Blocks and the kernel's place in them.
#[derive(Debug)]
struct Kernel {
    blocks: Vec<Vec<u8>>,
    ours: Vec<bool>,
    active: usize,
    end: usize,
    packets: u32,
    last: usize,
    given_back: usize,
}

impl Blocks for Kernel {
    fn count(&self) -> usize {
        self.blocks.len()
    }

    fn ours(&self, block: usize) -> Option<&[u8]> {
        self.ours[block].then_some(&self.blocks[block])
    }

    fn give_back(&mut self, block: usize) {
        assert!(self.ours[block], "block {block} was given back twice");
        self.ours[block] = false;
        self.given_back += 1;
    }
}

/// A packet as the kernel has it.
#[derive(Clone, Debug)]
struct Packet {
    frame: Vec<u8>,
    /// `struct virtio_net_hdr`; `None`: the kernel could not fill it in.
    metadata: Option<[u8; Offload::HEADER_LEN]>,
    tag: Option<(u16, u16)>,
    other_host: bool,
}

impl Kernel {
    fn new(blocks: usize) -> Self {
        // Not zero, as memory that was in use before.
        let memory = vec![vec![0xa5; BLOCK_LEN]; blocks];
        let ours = vec![false; blocks];
        Self { blocks: memory, ours, active: 0, end: BLOCK_HEADER, packets: 0, last: 0, given_back: 0 }
    }

    fn put(&mut self, at: usize, octets: &[u8]) {
        self.blocks[self.active][at..at + octets.len()].copy_from_slice(octets);
    }

    /// Closes the active block, if there is anything in it.
    fn retire(&mut self) {
        if self.packets == 0 {
            return;
        }
        self.put(self.last, &0_u32.to_ne_bytes());
        self.put(12, &self.packets.to_ne_bytes());
        self.put(16, &(BLOCK_HEADER as u32).to_ne_bytes());
        self.ours[self.active] = true;
        self.active = (self.active + 1) % self.blocks.len();
        (self.end, self.packets) = (BLOCK_HEADER, 0);
    }

    /// `false`: dropped, since there is no room.
    fn deliver(&mut self, packet: &Packet) -> bool {
        if self.ours[self.active] {
            return false;
        }
        let net = (PACKET_HEADER + 20 + 16_usize).next_multiple_of(16) + Offload::HEADER_LEN;
        let mac = net - 14;
        let captured = packet.frame.len().min(BLOCK_LEN - BLOCK_HEADER - mac);
        let len = (mac + captured).next_multiple_of(8);
        if self.end + len >= BLOCK_LEN && self.packets > 0 {
            self.retire();
            if self.ours[self.active] {
                return false;
            }
        }
        let at = self.end;
        (self.last, self.end, self.packets) = (at, at + len, self.packets + 1);
        self.put(at, &(len as u32).to_ne_bytes());
        let mut status = 0;
        if let Some((ethertype, control)) = packet.tag {
            status |= TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
            self.put(at + 32, &u32::from(control).to_ne_bytes());
            self.put(at + 36, &ethertype.to_ne_bytes());
        }
        self.put(at + 20, &u32::to_ne_bytes(status));
        let Some(metadata) = packet.metadata else { return true };
        self.put(at + 12, &(captured as u32).to_ne_bytes());
        self.put(at + 16, &(packet.frame.len() as u32).to_ne_bytes());
        self.put(at + 20, &(status | TP_STATUS_USER).to_ne_bytes());
        self.put(at + 24, &(mac as u16).to_ne_bytes());
        self.put(at + PACKET_TYPE, &[if packet.other_host { OTHER_HOST } else { 0 }]);
        self.put(at + mac - Offload::HEADER_LEN, &metadata);
        self.put(at + mac, &packet.frame[..captured]);
        true
    }
}

fn metadata(checksum: Option<PartialChecksum>, kind: u8, size: u16) -> [u8; Offload::HEADER_LEN] {
    let (start, offset) = checksum.map_or((0, 0), |checksum| (checksum.start, checksum.offset));
    let words = [0xdead_u16, size, start, offset].map(u16::to_ne_bytes).concat();
    [&[u8::from(checksum.is_some()), kind], words.as_slice()].concat().try_into().unwrap()
}

/// A packet and what becomes of it.
#[derive(Clone, Debug)]
struct Case {
    packet: Packet,
    frames: Vec<Vec<u8>>,
    counted: Statistics,
}

fn case(spec: &Spec, size: u16, what: u8, tag: Option<(u16, u16)>) -> Case {
    let none = Statistics::default();
    let frame = spec.build();
    let kind = match (spec.tcp, spec.v6) {
        (true, false) => 1,
        (true, true) => 4,
        (false, _) => 5,
    };
    let (metadata, frames, counted) = match what {
        // The kernel could not describe it.
        0 => (None, vec![], Statistics { bad_offload: 1, ..none }),
        // Nonsense.
        1 => (Some(metadata(None, 3, size)), vec![], Statistics { bad_offload: 1, ..none }),
        2..=5 if !spec.payload.is_empty() => {
            let frames = spec.segments(size);
            let counted = Statistics { segments: frames.len() as u64 - 1, ..none };
            (Some(metadata(Some(spec.partial()), kind, size)), frames, counted)
        }
        _ if frame.len() + 4 > FRAME_LEN => {
            (Some(metadata(None, 0, 0)), vec![], Statistics { rx_too_long: 1, ..none })
        }
        _ => (Some(metadata(None, 0, 0)), vec![frame.clone()], none),
    };
    let tagged = |frame: Vec<u8>| match tag {
        None => frame,
        Some((ethertype, control)) => {
            [&frame[..12], &ethertype.to_be_bytes(), &control.to_be_bytes(), &frame[12..]].concat()
        }
    };
    let frames = frames.into_iter().map(tagged).collect();
    Case { packet: Packet { frame, metadata, tag, other_host: false }, frames, counted }
}

fn cases() -> impl Strategy<Value = Case> {
    let tag = prop_oneof![
        Just(None),
        any::<u16>().prop_map(|control| Some((0x8100, control))),
        any::<u16>().prop_map(|control| Some((0x88a8, control))),
    ];
    (prop_oneof![3 => spec(0..200).boxed(), 2 => spec(1600..7000).boxed()], 300_u16..1300, 0_u8..10, tag)
        .prop_map(|(spec, size, what, tag)| case(&spec, size, what, tag))
}

#[derive(Clone, Debug)]
enum Step {
    Deliver(Case),
    Retire,
    Burst { max: usize, buffers: u32 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => cases().prop_map(Step::Deliver),
        1 => Just(Step::Retire),
        3 => (0..9_usize, 0..9_u32).prop_map(|(max, buffers)| Step::Burst { max, buffers }),
    ];
    vec(step, 0..60)
}

/// What came of a burst from a pool in which so many buffers are left.
fn burst(ring: &mut Ring<Kernel>, max: usize, buffers: u32) -> (RxResult, Vec<Vec<u8>>) {
    let mut pool = FramePool::new(buffers, FRAME_LEN);
    let mut frames = Vec::new();
    let result = ring.burst(&mut pool, &mut frames, max);
    let octets = frames.iter().map(|frame| pool.octets(frame).to_vec()).collect();
    assert_eq!(result.frames, frames.len());
    frames.into_iter().for_each(|frame| pool.free(frame));
    assert_eq!(pool.available(), pool.capacity());
    (result, octets)
}

fn add(total: &mut Statistics, part: &Statistics) {
    total.bad_offload += part.bad_offload;
    total.rx_too_long += part.rx_too_long;
    total.segments += part.segments;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_kernel_puts_in_comes_out_once_and_in_order(steps in steps(), blocks in 1_usize..5) {
        let mut ring = Ring::new(Kernel::new(blocks), Accept::All);
        let (mut expected, mut got, mut counted) = (Vec::new(), Vec::new(), Statistics::default());
        let mut starved = 0;
        for step in steps {
            match step {
                Step::Deliver(case) => {
                    if ring.blocks.deliver(&case.packet) {
                        expected.extend(case.frames);
                        add(&mut counted, &case.counted);
                    }
                }
                Step::Retire => ring.blocks.retire(),
                Step::Burst { max, buffers } => {
                    let (result, octets) = burst(&mut ring, max, buffers);
                    prop_assert!(octets.len() <= max.min(buffers as usize));
                    prop_assert!(!result.starved || result.more);
                    starved += u64::from(result.starved);
                    got.extend(octets);
                }
            }
        }
        ring.blocks.retire();
        loop {
            let (result, octets) = burst(&mut ring, 7, 7);
            got.extend(octets);
            if !result.more {
                break;
            }
        }
        prop_assert_eq!(got, expected);
        prop_assert!(ring.blocks.ours.iter().all(|ours| !ours), "a block was kept");
        prop_assert_eq!(ring.statistics(), Statistics { starved, ..counted });
    }

    #[test]
    fn no_content_of_a_block_makes_us_read_outside_it(
        block in vec(any::<u8>(), BLOCK_HEADER..600),
        packets in 0_u32..4,
        offset in 0_u32..64,
        mac in 0_u16..300,
    ) {
        let mut kernel = Kernel::new(1);
        let mut block = block;
        block[12..16].copy_from_slice(&packets.to_ne_bytes());
        block[16..20].copy_from_slice(&offset.to_ne_bytes());
        let at = offset as usize;
        if block.len() > at + PACKET_HEADER {
            block[at + 24..at + 26].copy_from_slice(&mac.to_ne_bytes());
            block[at + 20] |= 1;
            block[at + 14..at + 16].fill(0);
            block[at + 16..at + 20].fill(0);
        }
        kernel.blocks[0] = block;
        kernel.ours[0] = true;
        let mut ring = Ring::new(kernel, Accept::All);
        while burst(&mut ring, 7, 7).0.more {}
        prop_assert_eq!(ring.blocks.given_back, 1);
    }
}

fn some_spec(payload: usize) -> Spec {
    Spec {
        v6: false,
        tcp: true,
        ip_options: false,
        tcp_options: false,
        shim: crate::offload::tests::Shim::None,
        id: 7,
        sequence: 7,
        flags: [true; 3],
        payload: vec![7; payload],
    }
}

#[test]
fn a_packet_is_left_between_two_segments_and_taken_up_there() {
    let mut ring = Ring::new(Kernel::new(2), Accept::All);
    let case = case(&some_spec(5000), 1000, 2, None);
    assert!(ring.blocks.deliver(&case.packet));
    assert_eq!(burst(&mut ring, 9, 9).1.len(), 0, "the block was read before it was closed");
    ring.blocks.retire();
    let (result, first) = burst(&mut ring, 2, 9);
    assert_eq!(result, RxResult { frames: 2, more: true, starved: false });
    let (result, second) = burst(&mut ring, 9, 1);
    assert_eq!(result, RxResult { frames: 1, more: true, starved: true });
    assert_eq!(ring.blocks.given_back, 0);
    let (result, third) = burst(&mut ring, 9, 9);
    assert_eq!(result, RxResult { frames: 2, more: false, starved: false });
    assert_eq!(ring.blocks.given_back, 1);
    assert_eq!([first, second, third].concat(), case.frames);
}

#[test]
fn what_the_kernel_cut_short_is_dropped() {
    let mut ring = Ring::new(Kernel::new(1), Accept::All);
    assert!(ring.blocks.deliver(&case(&some_spec(9000), 1000, 2, None).packet));
    ring.blocks.retire();
    assert_eq!(burst(&mut ring, 9, 9).1.len(), 0);
    assert_eq!(ring.statistics(), Statistics { rx_too_long: 1, ..Statistics::default() });
}

#[test]
fn frames_for_others_are_dropped_where_only_our_own_count() {
    for (accept, frames) in [(Accept::All, 1), (Accept::Own, 0)] {
        let mut ring = Ring::new(Kernel::new(1), accept);
        let packet = case(&some_spec(100), 1000, 9, None).packet;
        assert!(ring.blocks.deliver(&Packet { other_host: true, ..packet }));
        ring.blocks.retire();
        assert_eq!(burst(&mut ring, 9, 9).1.len(), frames);
        assert_eq!(ring.statistics().not_for_us, 1 - frames as u64);
    }
}
