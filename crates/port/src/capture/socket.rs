//! The socket that a capture reads.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use super::{Captured, Direction};
use crate::PortError;
use crate::af_packet::{PacketSocket, abi};
use crate::offload::{BesideTag, ETHERTYPE_CTAG};

/// Octets for control messages: a time stamp and `struct tpacket_auxdata`, with room to spare.
const CONTROL: usize = 256;

/// Sees all frames that pass a device, whatever their protocol and whoever sends or receives them.
#[derive(Debug)]
pub struct Capture {
    socket: PacketSocket,
    /// A tag's length before where frames are put.
    buffer: Vec<u8>,
}

/// What the kernel says beside a frame.
#[derive(Clone, Copy, Debug, Default)]
struct Beside {
    time: Duration,
    tag: Option<BesideTag>,
}

/// Room for control messages, aligned as they have to be.
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

impl Capture {
    /// Begins to capture on the device of this name in the network namespace that the calling thread is in, at most
    /// `snaplen` octets of each frame.
    pub fn open(device: &str, snaplen: u32) -> Result<Self, PortError> {
        let socket = PacketSocket::new().map_err(|error| error.of(device))?;
        let found = socket.device(device).map_err(|error| error.of(device))?;
        socket.set_up_capturing().map_err(|error| error.of(device))?;
        socket.bind(found.index, abi::ETH_P_ALL).map_err(|error| error.of(device))?;
        Ok(Self { socket, buffer: vec![0; BesideTag::LEN + snaplen as usize] })
    }

    /// The next frame; `None` where none waits (readable when one does). An error is about the device, as that it is
    /// down or gone.
    pub fn next_frame(&mut self) -> io::Result<Option<Captured<'_>>> {
        let received = match receive(&self.socket, &mut self.buffer[BesideTag::LEN..]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            // Said once when the device goes down; frames come again once it is up.
            Err(error) if error.kind() == io::ErrorKind::NetworkDown => return Ok(None),
            received => received?,
        };
        let (len, direction, beside) = received;
        let snaplen = self.buffer.len() - BesideTag::LEN;
        let end = BesideTag::LEN + len.min(snaplen);
        let tagged = beside.tag.is_some_and(|tag| tag.put_back(&mut self.buffer[..end]));
        let (start, end, tag_len) =
            if tagged { (0, end.min(snaplen), BesideTag::LEN) } else { (BesideTag::LEN, end, 0) };
        let octets = &self.buffer[start..end];
        let len = u32::try_from(len + tag_len).unwrap_or(u32::MAX);
        Ok(Some(Captured { octets, len, time: beside.time, direction }))
    }

    /// Frames that were not captured since the last call, for want of buffers.
    pub fn take_dropped(&self) -> u64 {
        self.socket.take_socket_drops()
    }
}

impl AsFd for Capture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Receives a frame into `room`: the length of all of it, its direction, and what is beside it.
fn receive(socket: &PacketSocket, room: &mut [u8]) -> io::Result<(usize, Direction, Beside)> {
    // SAFETY: all octets zero are a valid `sockaddr_ll` and a valid `msghdr`.
    let (mut address, mut message): (libc::sockaddr_ll, libc::msghdr) = unsafe { std::mem::zeroed() };
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let mut control = Control([0; CONTROL]);
    message.msg_name = std::ptr::from_mut(&mut address).cast();
    message.msg_namelen = size_of_val(&address) as libc::socklen_t;
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL;
    let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: everything that the message points to is writable, of the length it says, and outlives the call.
    let len = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &mut message, flags) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    let out = address.sll_pkttype == libc::PACKET_OUTGOING;
    let direction = if out { Direction::Out } else { Direction::In };
    Ok((len, direction, control_messages(&message)))
}

fn control_messages(message: &libc::msghdr) -> Beside {
    let mut beside = Beside::default();
    // SAFETY: the kernel has filled in the control messages and their length; these macros stay within it.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !next.is_null() {
        // SAFETY: points to a header within the control messages.
        let header = unsafe { &*next };
        // SAFETY: as above; the data follow the header.
        let data = unsafe { libc::CMSG_DATA(next) };
        match (header.cmsg_level, header.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                // SAFETY: a message of this type holds a `timespec`, perhaps not aligned.
                let time: libc::timespec = unsafe { data.cast::<libc::timespec>().read_unaligned() };
                beside.time = Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
            }
            (libc::SOL_PACKET, abi::PACKET_AUXDATA) => {
                // SAFETY: a message of this type holds a `struct tpacket_auxdata`, perhaps not aligned.
                let auxiliary = unsafe { data.cast::<abi::Auxiliary>().read_unaligned() };
                beside.tag = tag(&auxiliary);
            }
            _ => {}
        }
        // SAFETY: as for the first.
        next = unsafe { libc::CMSG_NXTHDR(message, next) };
    }
    beside
}

fn tag(auxiliary: &abi::Auxiliary) -> Option<BesideTag> {
    let known = auxiliary.status & abi::TP_STATUS_VLAN_TPID_VALID != 0;
    let ethertype = if known { auxiliary.vlan_tpid } else { ETHERTYPE_CTAG };
    (auxiliary.status & abi::TP_STATUS_VLAN_VALID != 0)
        .then_some(BesideTag { ethertype, control: auxiliary.vlan_tci })
}
