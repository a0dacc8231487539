//! AF_PACKET: a TPACKET_V3 ring in, `sendmmsg` out.
//!
//! Two sockets: one receives, with `PACKET_VNET_HDR` so that the kernel says what is unfinished about a frame; the
//! other, bound to no protocol, sends complete frames. A TPACKET transmit ring was not taken: it makes the same system
//! call per burst, and the kernel walks and copies the same way. `PACKET_QDISC_BYPASS` was not taken: captures (ours,
//! tcpdump) would not see what is sent.

pub(crate) mod abi;
mod mapping;
mod ring;
mod socket;
mod transmit;

use std::os::fd::{AsFd, BorrowedFd};

use wire::MacAddr;
use wire::frame::{Frame, FramePool};

use crate::{Backend, Link, Port, PortError, Refusal, RxResult, Statistics, TxOutcome};
use mapping::Mapping;
use ring::{Accept, Ring};
use socket::DeviceError;
pub(crate) use socket::PacketSocket;

/// An Ethernet device through packet sockets. Works in a user namespace with CAP_NET_RAW over its network namespace.
#[derive(Debug)]
pub struct AfPacket {
    index: i32,
    mac: MacAddr,
    mtu: u32,
    link: Link,
    ring: Ring<Mapping>,
    receiver: PacketSocket,
    sender: PacketSocket,
    ring_drops: u64,
    tx_refused: u64,
}

/// How to open an [`AfPacket`]; see [`AfPacket::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    device: String,
    protocol: Protocol,
    all_multicast: bool,
    ring: RingSize,
}

/// Which frames are ours; the kernel sees all of them regardless.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// All: access and handoff ports.
    #[default]
    All,
    /// MPLS unicast (EtherType 0x8847) in no VLAN and for this station: backbone ports.
    Mpls,
}

/// The size of the ring that the kernel puts frames into: `block_len * blocks` octets of its memory.
///
/// The kernel hands over a block when it is full or [`Self::retire_millis`] old, so with little traffic each block
/// holds a single frame and `blocks` is the number of milliseconds that a stalled reader is forgiven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingSize {
    /// Octets of a block: a multiple of the page size. A frame that does not fit a block (less about 150 octets for
    /// headers) is cut short by the kernel and dropped by us, so more than 64 KiB is needed for segmentation offload.
    pub block_len: u32,
    /// Blocks.
    pub blocks: u32,
    /// Milliseconds after which a block that is not full is handed over: what this port adds to the delay at worst.
    pub retire_millis: u32,
}

impl Default for RingSize {
    /// 8 MiB, a millisecond.
    fn default() -> Self {
        Self { block_len: 128 * 1024, blocks: 64, retire_millis: 1 }
    }
}

impl Options {
    /// Which frames are ours; by default all.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Whether the device receives every multicast group, as Neighbor Discovery for a whole pool needs; by default
    /// not. The device is never made promiscuous.
    pub fn all_multicast(mut self, on: bool) -> Self {
        self.all_multicast = on;
        self
    }

    /// The size of the ring.
    pub fn ring(mut self, ring: RingSize) -> Self {
        self.ring = ring;
        self
    }

    /// Opens the device. It may be down.
    pub fn open(self) -> Result<AfPacket, PortError> {
        AfPacket::open(self)
    }
}

impl AfPacket {
    /// Options for opening the device of this name in the network namespace that the calling thread is in (which
    /// afterwards does not matter).
    pub fn options(device: impl Into<String>) -> Options {
        Options {
            device: device.into(),
            protocol: Protocol::All,
            all_multicast: false,
            ring: RingSize::default(),
        }
    }

    fn open(options: Options) -> Result<Self, PortError> {
        let named = |error: DeviceError| error.of(&options.device);
        let receiver = PacketSocket::new().map_err(named)?;
        let device = receiver.device(&options.device).map_err(named)?;
        receiver.set_up_receiving().map_err(named)?;
        if options.all_multicast {
            receiver.join_all_multicast(device.index).map_err(named)?;
        }
        let mapping = Mapping::new(&receiver, options.ring).map_err(named)?;
        // Last, since frames flow from here on.
        receiver.bind(device.index, options.protocol.number()).map_err(named)?;
        let sender = PacketSocket::new().map_err(named)?;
        sender.set_up_sending();
        sender.bind(device.index, 0).map_err(named)?;
        Ok(Self {
            index: device.index,
            mac: device.mac,
            mtu: device.mtu,
            link: device.link,
            ring: Ring::new(mapping, options.protocol.accept()),
            receiver,
            sender,
            ring_drops: 0,
            tx_refused: 0,
        })
    }
}

impl Protocol {
    fn number(self) -> u16 {
        match self {
            Self::All => abi::ETH_P_ALL,
            Self::Mpls => abi::ETH_P_MPLS_UC,
        }
    }

    /// A socket for one protocol sees frames after the kernel has taken the tags of VLANs that it has no device for off
    /// them and thrown them away; all it leaves is that the frame is marked as another station's. So that a label that
    /// arrives in a foreign VLAN does not count as one of ours, such frames are dropped.
    fn accept(self) -> Accept {
        match self {
            Self::All => Accept::All,
            Self::Mpls => Accept::Own,
        }
    }
}

impl Port for AfPacket {
    fn rx_burst(&mut self, pool: &mut FramePool, out: &mut Vec<Frame>, max: usize) -> RxResult {
        self.ring.burst(pool, out, max)
    }

    fn tx_burst(&mut self, pool: &mut FramePool, frames: &mut Vec<Frame>, outcomes: &mut Vec<TxOutcome>) {
        let first = outcomes.len();
        if self.link == Link::Up || self.link() == Link::Up {
            transmit::burst(&self.sender, self.mtu, pool, frames, outcomes);
        } else {
            let refused = TxOutcome::Refused(Refusal::LinkDown);
            outcomes.extend(std::iter::repeat_n(refused, frames.len()));
        }
        frames.drain(..).for_each(|frame| pool.free(frame));
        for outcome in &outcomes[first..] {
            if let TxOutcome::Refused(refusal) = outcome {
                self.tx_refused += 1;
                if *refusal == Refusal::LinkDown && self.link == Link::Up {
                    self.link = Link::Down;
                }
            }
        }
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.receiver.as_fd())
    }

    fn backend(&self) -> Backend {
        Backend::AfPacket
    }

    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn mtu(&self) -> u32 {
        self.mtu
    }

    fn link(&mut self) -> Link {
        self.receiver.take_error();
        self.sender.take_error();
        self.link = match self.receiver.device_at(self.index) {
            // It may have been renamed in between, and another got its name.
            Ok(device) if device.index == self.index => {
                (self.mac, self.mtu) = (device.mac, device.mtu);
                device.link
            }
            _ => Link::Gone,
        };
        self.link
    }

    fn statistics(&mut self) -> Statistics {
        self.ring_drops += self.receiver.take_ring_drops();
        Statistics { ring_drops: self.ring_drops, tx_refused: self.tx_refused, ..self.ring.statistics() }
    }
}
