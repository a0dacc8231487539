//! Who may be a neighbor, and what is said to and taken from it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use contract::Fec;
use ipnet::IpNet;
use wire::ldp::Advertisement;

/// Who may be a neighbor, by LSR-id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbors {
    /// Those that are named.
    pub named: BTreeMap<Ipv4Addr, NeighborPolicy>,
    /// All others; `None`: they are not listened to.
    pub others: Option<NeighborPolicy>,
}

/// How a neighbor is treated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeighborPolicy {
    /// Not listened to.
    pub shut: bool,
    /// Connections are signed with it (RFC 5036 §2.9).
    pub password: Option<Password>,
    /// Whether segments that came through a router are refused (RFC 6720).
    pub gtsm: Gtsm,
    /// Whether targeted Hellos are exchanged with it, over whatever is between (RFC 5036 §2.4.2).
    pub targeted: Targeted,
    /// Whether its session and labels survive the loss of the last link to it.
    pub protection: Protection,
    /// Whether labels are told of their own accord or when asked for (RFC 5036 §2.6.3): on demand if both ends say so,
    /// else unsolicited (§3.5.3).
    pub advertisement: Advertisement,
    /// FECs whose labels from it are used.
    pub accept: FecFilter,
    /// FECs that it is told labels of.
    pub advertise: FecFilter,
    /// Bindings kept of it, if fewer than [`crate::Limits::bindings_per_peer`].
    pub max_bindings: Option<usize>,
}

/// Whether segments of a session that came through a router are refused (RFC 6720).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Gtsm {
    /// If both ends' Hellos ask for it.
    #[default]
    Negotiated,
    /// Whatever the neighbor's Hellos say.
    Required,
    /// Never.
    Off,
}

/// Whether targeted Hellos are exchanged with a neighbor (RFC 5036 §2.4.2). They are accepted only from the address that
/// ours go to, and only with that as transport address of its family (RFC 7552 §5.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Targeted {
    /// No, unless it is protected ([`Protection`]).
    #[default]
    Off,
    /// When its Hellos ask for it (the R bit).
    Answer(IpAddr),
    /// Always.
    On(IpAddr),
}

/// Whether a neighbor that was met on a link is exchanged targeted Hellos with, too, so that its session and its labels are
/// still there when the link comes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Protection {
    /// No.
    #[default]
    Off,
    /// So long after the last link to it is lost.
    For(Duration),
    /// As long as it answers.
    Forever,
}

/// Some FECs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum FecFilter {
    /// All of them.
    #[default]
    All,
    /// Those within one of these prefixes.
    Within(Vec<IpNet>),
}

/// What connections with a neighbor are signed with (RFC 2385): 1 to 80 octets.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<[u8]>);

impl Password {
    /// The kernel's longest.
    pub const MAX_LEN: usize = 80;

    /// `None` if it is empty or too long.
    pub fn new(octets: &[u8]) -> Option<Self> {
        (1..=Self::MAX_LEN).contains(&octets.len()).then(|| Self(octets.into()))
    }

    /// To be given to the kernel, and to nobody else.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Default for Neighbors {
    fn default() -> Self {
        Self { named: BTreeMap::new(), others: Some(NeighborPolicy::default()) }
    }
}

impl Default for NeighborPolicy {
    fn default() -> Self {
        Self {
            shut: false,
            password: None,
            gtsm: Gtsm::Negotiated,
            targeted: Targeted::Off,
            protection: Protection::Off,
            advertisement: Advertisement::DownstreamUnsolicited,
            accept: FecFilter::All,
            advertise: FecFilter::All,
            max_bindings: None,
        }
    }
}

impl NeighborPolicy {
    /// Whether its packets may rightly come through a router: then GTSM is not negotiated (RFC 6720 §2.1).
    pub fn may_be_remote(&self) -> bool {
        self.targeted != Targeted::Off || self.protection != Protection::Off
    }
}

impl Neighbors {
    /// Whether any neighbor may be several hops away.
    pub fn any_may_be_remote(&self) -> bool {
        self.named.values().chain(&self.others).any(NeighborPolicy::may_be_remote)
    }

    /// How this LSR is treated; `None`: it is not listened to.
    pub fn policy(&self, lsr_id: Ipv4Addr) -> Option<&NeighborPolicy> {
        self.named.get(&lsr_id).or(self.others.as_ref()).filter(|policy| !policy.shut)
    }
}

impl FecFilter {
    /// Whether the FEC is among them.
    pub fn has(&self, fec: Fec) -> bool {
        match self {
            Self::All => true,
            Self::Within(prefixes) => prefixes.iter().any(|prefix| prefix.contains(&fec.0)),
        }
    }
}
