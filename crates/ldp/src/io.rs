//! What a speaker asks of the world and tells it.

use std::net::{IpAddr, SocketAddr};

use contract::{Fec, Label};
use serde::{Deserialize, Serialize};
use wire::ldp::{AddressFamily, LdpId};

use crate::{Owner, Password};

/// An interface that link Hellos are sent from: the kernel's index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct InterfaceId(pub u32);

/// How a peer is heard: a Hello adjacency's kind (RFC 5036 §2.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Via {
    /// By link Hellos on this interface.
    Link(InterfaceId),
    /// By targeted Hellos, from anywhere.
    Targeted,
}

impl Via {
    /// The first in order.
    pub(crate) const FIRST: Self = Self::Link(InterfaceId(0));
    /// The last.
    pub(crate) const LAST: Self = Self::Targeted;
}

/// A TCP connection. The speaker names those it opens with numbers that have [`ConnId::OUTGOING`] set; whoever does the
/// I/O names accepted ones with numbers that have not. A number is not used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

impl ConnId {
    /// The bit that tells connections opened by the speaker from accepted ones.
    pub const OUTGOING: u64 = 1 << 63;
}

/// What the speaker asks to be done, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send a UDP datagram from port 646 to all routers at port 646 out of this interface, without loopback: over IPv4 to
    /// 224.0.0.2 with TTL 1 (RFC 5036 §2.4.1), over IPv6 to ff02::2 from the link-local address with hop limit 255
    /// (RFC 7552 §5.1).
    SendHello {
        /// Where.
        interface: InterfaceId,
        /// By which address family.
        family: AddressFamily,
        /// The PDU.
        octets: Vec<u8>,
    },
    /// Send a UDP datagram from port 646 of the transport address of its family to port 646 of this address (RFC 5036
    /// §2.4.2, RFC 7552 §5.2).
    SendTargetedHello {
        /// The other end.
        to: IpAddr,
        /// The PDU.
        octets: Vec<u8>,
    },
    /// Open a TCP connection with TTL 255 from the transport address (any port). Answered by `handle_connected` or
    /// `handle_connect_failed`.
    Connect {
        /// Its name from now on.
        conn: ConnId,
        /// What to sign it with.
        password: Option<Password>,
        /// Our transport address.
        local: IpAddr,
        /// The peer's transport address, port 646.
        remote: SocketAddr,
    },
    /// From now on accept connections from this address only if they are signed with this password (RFC 5036 §2.9), or,
    /// without one, if they are not signed.
    Sign {
        /// A neighbor's transport address.
        remote: IpAddr,
        /// Its password.
        password: Option<Password>,
    },
    /// Receive nothing with a TTL below 255 on this connection (`IP_MINTTL`): both ends agreed on it (RFC 6720 §2.2).
    RequireGtsm {
        /// The connection.
        conn: ConnId,
    },
    /// Receive whatever has any TTL on this connection again, after [`Action::RequireGtsm`].
    WaiveGtsm {
        /// The connection.
        conn: ConnId,
    },
    /// Send these octets, in order; report them with `handle_written` as the kernel takes them.
    Write {
        /// The connection.
        conn: ConnId,
        /// Whole PDUs.
        octets: Vec<u8>,
    },
    /// Try to send what is still to be written for a short time, then close. The connection is no longer spoken of, in
    /// either direction; a connection attempt under way is given up.
    Close {
        /// The connection.
        conn: ConnId,
    },
}

/// What the speaker tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A peer is heard.
    AdjacencyUp {
        /// How.
        via: Via,
        /// Who.
        peer: LdpId,
    },
    /// A peer is heard no more in this way.
    AdjacencyDown {
        /// How it was.
        via: Via,
        /// Who.
        peer: LdpId,
    },
    /// LDP is ready on a link for the IGP to use it, or is so no more (RFC 5443).
    IgpSync {
        /// The link.
        interface: InterfaceId,
        /// Whether all neighbors there and we have told each other all labels.
        achieved: bool,
    },
    /// A peer is heard on no link any more; its session and labels are kept, since it answers targeted Hellos
    /// ([`crate::Protection`]).
    Protected {
        /// Who.
        peer: LdpId,
    },
    /// An LSR that is not to do so sends targeted Hellos to us; they are ignored. Told once a minute.
    UnwantedTargeted {
        /// Who it says it is.
        peer: LdpId,
        /// The address that its Hellos come from.
        source: IpAddr,
    },
    /// Another LSR says Hello with this one's LSR-id or transport address; it is not listened to. Told once a minute.
    Impostor {
        /// How it is heard.
        via: Via,
        /// The address that its Hellos come from.
        source: IpAddr,
    },
    /// A datagram that came where Hellos are taken is none. Told once a minute.
    NoHello {
        /// How it came.
        via: Via,
        /// From where.
        source: IpAddr,
        /// How many there were since it was told of last.
        times: u64,
    },
    /// A connection was not taken. Told once a minute.
    ConnectionRefused {
        /// From where it came.
        remote: IpAddr,
        /// Why.
        reason: Refusal,
        /// How many there were since it was told of last.
        times: u64,
    },
    /// Something that a peer said was not taken, and it was told so; its session goes on, if it was up. Told once a minute for each
    /// peer.
    Refused {
        /// Who.
        peer: LdpId,
        /// What it was told last.
        status: wire::ldp::StatusCode,
        /// How often that was so since it was told of last.
        times: u64,
    },
    /// A peer says that it did not take something, or another advisory notification than the end of its labels. Told once a
    /// minute for each peer.
    Notified {
        /// Who.
        peer: LdpId,
        /// What it says.
        status: wire::ldp::StatusCode,
        /// How many there were since it was told of last.
        times: u64,
    },
    /// No session is held with a peer whose Hellos say that it prefers the other address family for it, or that come by
    /// both families and do not say which (RFC 7552 §6.1.1). Told once a minute.
    Incompatible {
        /// Who.
        peer: LdpId,
        /// What it is told if there is a session.
        status: wire::ldp::StatusCode,
    },
    /// A session is operational.
    SessionUp {
        /// With whom.
        peer: LdpId,
    },
    /// A session, or an attempt at one, has ended.
    SessionDown {
        /// With whom.
        peer: LdpId,
        /// Why.
        reason: DownReason,
        /// Whether what the peer told is kept for now, since it said that it preserves its forwarding (RFC 3478 §3.3).
        kept: bool,
    },
    /// A FEC's state differs from the last one told (at first: no label, no next hops).
    Fec(FecState),
    /// The peer that a FEC is routed to bound a special-purpose label to it, which is never used: ISP packets do not
    /// cross a backbone port without their label.
    NullLabel {
        /// Who.
        peer: LdpId,
        /// The FEC.
        fec: Fec,
        /// The label, 0 to 15.
        label: Label,
    },
    /// A FEC has this label no more, but peers that were told of it may still send packets by it: what it stands for stays
    /// as it is, or is nothing, until [`Event::Freed`].
    Retired {
        /// The FEC that it stands for.
        fec: Fec,
        /// The label.
        label: Label,
    },
    /// Nobody sends packets by a label any more that stood for a FEC, and it has rested: its entry may go, and it may be
    /// given out again. Until then the entry is what a restart knows of it.
    Freed {
        /// The label.
        label: Label,
    },
    /// The peer that a FEC is routed to says that the FEC is another's than we think: its label is not used.
    OtherOwner {
        /// Who.
        peer: LdpId,
        /// The FEC.
        fec: Fec,
        /// Whose it is there.
        owner: Owner,
    },
    /// A neighbor has bound as many FECs as are kept of it; more are given back. Told once for each session.
    TooManyBindings {
        /// Who.
        peer: LdpId,
    },
    /// A FEC has no label since none is free; it gets one when one is.
    NoFreeLabel {
        /// The FEC.
        fec: Fec,
    },
    /// A restart's recovery is over (`Config::restarting`): what has not been told by now is not so any more.
    RecoveryOver {
        /// Whether every label allocated before the restart is in use again; else the time was up.
        complete: bool,
    },
}

/// What the forwarder says of the entry for a label of ours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Installation {
    /// It holds the entry, and packets by it get on: peers may be told the label.
    Held,
    /// It has not said so (yet, or it is not connected): nobody is told anew, and who knows the label keeps it.
    Awaited,
    /// It does not take the entry, or packets by it would get nowhere: who knows the label is told to stop.
    Refused,
}

/// Why a connection was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// As many as may have come from nobody who is heard.
    #[error("too many connections from addresses that no Hello names")]
    TooMany,
    /// RFC 5036 §2.5.3.
    #[error("no Hello names its address")]
    NoHello,
    /// What came by it.
    #[error("what it says is not LDP")]
    NoLdp,
    /// It came before it could be asked to be signed.
    #[error("it is not signed with the neighbor's password")]
    Unsigned,
    /// RFC 5036 §2.5.2.
    #[error("the lower transport address does not open connections")]
    NotItsTurn,
    /// RFC 5036 §2.5.2.
    #[error("the neighbor has a connection already")]
    Second,
}

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum DownReason {
    /// The connection could not be opened.
    #[error("no connection")]
    NoConnection,
    /// The peer, or the network, closed the connection.
    #[error("connection closed")]
    Closed,
    /// The peer said so.
    #[error("peer: {0}")]
    Peer(wire::ldp::StatusCode),
    /// We said so.
    #[error("local: {0}")]
    Local(wire::ldp::StatusCode),
    /// The peer did not take what was written to it.
    #[error("peer does not read")]
    NotReading,
}

/// What is to be done with a FEC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FecState {
    /// The FEC.
    pub fec: Fec,
    /// The label that packets arrive with: an ILM entry; `None`: no such entry.
    pub in_label: Option<Label>,
    /// Whether the LSP ends here.
    pub role: Role,
    /// Where packets go, with real labels, sorted: for a swap at [`Role::Transit`], and for packets that enter the LSP
    /// here. None for [`Role::Egress`].
    pub next_hops: Vec<LabeledNextHop>,
}

/// Where an LSP goes on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Role {
    /// It ends here: pop.
    Egress,
    /// It goes on: swap (or push, where packets enter).
    Transit,
}

/// A next hop as the routing table has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct NextHop {
    /// The interface.
    pub interface: InterfaceId,
    /// The neighbor's address on it.
    pub address: IpAddr,
}

/// A next hop and the label that its LSR bound to the FEC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LabeledNextHop {
    /// The interface.
    pub interface: InterfaceId,
    /// The neighbor's address on it.
    pub address: IpAddr,
    /// Whose label it is.
    pub peer: LdpId,
    /// The label, a real one.
    pub label: Label,
}
