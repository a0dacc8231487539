//! A filter for packet sockets: it passes what is *not* plainly a packet of one ISP.
//!
//! Classic BPF, since it needs no right beyond the socket's own and works in an unprivileged user namespace. A packet is
//! plainly the ISP's if the last octet of its payload carries the ISP's mark ([`IspMark`]) or that of anybody, or if it is a TCP segment
//! without payload. Frames that this host sends itself, and ARP, are not looked at.
#![allow(unsafe_code)] // setsockopt(2) with a pointer in its argument

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{
    BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IMM, BPF_IND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD,
    BPF_LDX, BPF_LSH, BPF_MEM, BPF_MISC, BPF_MSH, BPF_RET, BPF_RSH, BPF_ST, BPF_SUB, BPF_TAX, BPF_X,
    sock_filter, sock_fprog,
};

use super::super::traffic::tag::IspMark;

/// A place in the program that can be jumped to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Label {
    Next,
    V4,
    V4Icmp,
    V4Tcp,
    V4Payload,
    V6,
    V6Icmp,
    V6Tcp,
    V6Payload,
    Tcp,
    Payload,
    Ours,
    Theirs,
}

/// A program whose jumps are by name.
#[derive(Default)]
struct Program {
    code: Vec<(u32, u32, Label, Label)>,
    labels: Vec<(Label, usize)>,
}

impl Program {
    fn at(&mut self, label: Label) -> &mut Self {
        self.labels.push((label, self.code.len()));
        self
    }

    fn run(&mut self, code: u32, value: u32) -> &mut Self {
        self.code.push((code, value, Label::Next, Label::Next));
        self
    }

    fn equal(&mut self, value: u32, then: Label, otherwise: Label) -> &mut Self {
        self.code.push((BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise));
        self
    }

    /// The kernel's form; jumps only go forward and less than 256 instructions far.
    fn finish(&self) -> Vec<sock_filter> {
        let far = |from: usize, to: Label| -> u8 {
            let place = self.labels.iter().find(|(label, _)| *label == to).map_or(from + 1, |(_, at)| *at);
            u8::try_from(place - from - 1).unwrap_or(u8::MAX)
        };
        let instruction =
            |(at, (code, value, then, otherwise)): (usize, &(u32, u32, Label, Label))| sock_filter {
                code: u16::try_from(*code).unwrap_or(0),
                jt: far(at, *then),
                jf: far(at, *otherwise),
                k: *value,
            };
        self.code.iter().enumerate().map(instruction).collect()
    }
}

/// `SKF_AD_OFF + SKF_AD_PKTTYPE`: where a filter finds which way a frame goes.
const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
const OUTGOING: u32 = libc::PACKET_OUTGOING as u32;
const ETHERNET: u32 = 14;
/// Of the third half-word of an IPv4 header (RFC 791 §3.1).
const FRAGMENT_OFFSET: u32 = 0x1fff;
const IPV6_END: u32 = ETHERNET + 40;

/// Passes what is not plainly of this ISP.
pub(super) fn not_of(isp: IspMark) -> Vec<sock_filter> {
    use Label::*;
    let load_byte = BPF_LD | BPF_B | BPF_ABS;
    let load_half = BPF_LD | BPF_H | BPF_ABS;
    let v4_header_to_x = BPF_LDX | BPF_B | BPF_MSH;
    let add = BPF_ALU | BPF_ADD;
    let to_x = BPF_MISC | BPF_TAX;
    let mut program = Program::default();
    program
        .run(load_byte, PACKET_TYPE)
        .equal(OUTGOING, Ours, Next)
        .run(load_half, 12)
        .equal(0x0806, Ours, Next)
        .equal(0x0800, V4, Next)
        .equal(0x86dd, V6, Theirs);
    // Each branch leaves the offset of the packet's end in the first word of memory.
    program
        .at(V4)
        .run(load_half, ETHERNET + 2)
        .run(add | BPF_K, ETHERNET)
        .run(BPF_ST, 0)
        // A later fragment has payload where its protocol's header would be, and at its end.
        .run(load_half, ETHERNET + 6)
        .run(BPF_ALU | BPF_AND | BPF_K, FRAGMENT_OFFSET)
        .equal(0, Next, V4Payload)
        .run(load_byte, ETHERNET + 9)
        .equal(17, V4Payload, Next)
        .equal(6, V4Tcp, Next)
        .equal(1, V4Icmp, Theirs)
        .at(V4Icmp)
        .run(v4_header_to_x, ETHERNET)
        .run(BPF_LD | BPF_B | BPF_IND, ETHERNET)
        .equal(8, V4Payload, Next)
        .equal(0, V4Payload, Theirs)
        .at(V4Tcp)
        .run(v4_header_to_x, ETHERNET)
        .equal(u32::MAX, Tcp, Tcp);
    program
        .at(V6)
        .run(load_half, ETHERNET + 4)
        .run(add | BPF_K, IPV6_END)
        .run(BPF_ST, 0)
        .run(load_byte, ETHERNET + 6)
        .equal(17, V6Payload, Next)
        .equal(6, V6Tcp, Next)
        // A fragment ends with payload as well.
        .equal(44, V6Payload, Next)
        .equal(58, V6Icmp, Theirs)
        .at(V6Icmp)
        .run(load_byte, IPV6_END)
        .equal(128, V6Payload, Next)
        .equal(129, V6Payload, Theirs)
        .at(V6Tcp)
        .run(BPF_LDX | BPF_IMM, 40);
    // X: length of the IP header. A segment that ends where its TCP header does carries nothing.
    program
        .at(Tcp)
        .run(BPF_LD | BPF_B | BPF_IND, ETHERNET + 12)
        .run(BPF_ALU | BPF_RSH | BPF_K, 4)
        .run(BPF_ALU | BPF_LSH | BPF_K, 2)
        .run(add | BPF_X, 0)
        .run(add | BPF_K, ETHERNET)
        .run(to_x, 0)
        .run(BPF_LD | BPF_MEM, 0)
        .run(BPF_ALU | BPF_SUB | BPF_X, 0)
        .equal(0, Ours, Payload);
    program
        .at(V4Payload)
        .at(V6Payload)
        .at(Payload)
        .run(BPF_LD | BPF_MEM, 0)
        .run(BPF_ALU | BPF_SUB | BPF_K, 1)
        .run(to_x, 0)
        .run(BPF_LD | BPF_B | BPF_IND, 0)
        .run(BPF_ALU | BPF_AND | BPF_K, 0xf0)
        .equal(u32::from(isp.0), Ours, Next)
        .equal(u32::from(IspMark::ANYBODY.0), Ours, Theirs)
        .at(Ours)
        .run(BPF_RET | BPF_K, 0)
        .at(Theirs)
        .run(BPF_RET | BPF_K, u32::MAX);
    program.finish()
}

/// Passes all frames but those of this EtherType.
pub(in crate::lab) fn not_of_ethertype(ethertype: u16) -> Vec<sock_filter> {
    let mut program = Program::default();
    program
        .run(BPF_LD | BPF_H | BPF_ABS, 12)
        .equal(u32::from(ethertype), Label::Ours, Label::Theirs)
        .at(Label::Ours)
        .run(BPF_RET | BPF_K, 0)
        .at(Label::Theirs)
        .run(BPF_RET | BPF_K, u32::MAX);
    program.finish()
}

/// Attaches a filter to a packet socket.
pub(in crate::lab) fn attach(socket: BorrowedFd<'_>, filter: &[sock_filter]) -> io::Result<()> {
    let len = u16::try_from(filter.len()).map_err(io::Error::other)?;
    let program = sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    let size = size_of::<sock_fprog>() as libc::socklen_t;
    let at = std::ptr::from_ref(&program).cast();
    // SAFETY: `program` is a whole `sock_fprog` whose pointer and length are those of `filter`; the kernel copies both
    // during the call.
    let done =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, at, size) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
