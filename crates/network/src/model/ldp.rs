//! LDP as it is written in the file: what holds for all nodes, and neighbors that are treated otherwise.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use super::text::{LdpTimeNumber, LoopDetectionText, PduLengthNumber, PrefixText, ProtectionText};

/// LDP on all nodes (RFC 5036).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Ldp {
    /// How long a neighbor keeps an adjacency without a Hello, 3 to 65534 seconds; default 15. The smaller of both ends'
    /// holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<LdpTimeNumber>", default)]
    pub hello_hold: Option<LdpTime>,
    /// How long a neighbor keeps an adjacency without a targeted Hello, 3 to 65534 seconds; default 45. The smaller of both
    /// ends' holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<LdpTimeNumber>", default)]
    pub targeted_hello_hold: Option<LdpTime>,
    /// After how long a silent session is dead, 3 to 65534 seconds; default 30. The smaller of both ends' holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<LdpTimeNumber>", default)]
    pub keepalive: Option<LdpTime>,
    /// Who may be a neighbor: `any` LSR on a backbone port (default), or those alone that are `named`, as nodes or as LDP
    /// neighbors.
    #[schemars(default)]
    pub neighbors: WantedNeighbors,
    /// Whether neighbors on links are exchanged targeted Hellos with, too, so that session and labels outlive the link:
    /// `off` (default), `forever` or for so many seconds.
    #[schemars(with = "ProtectionText", default)]
    pub session_protection: SessionProtection,
    /// Over which of `ipv6` (default) and `ipv4` nodes that have both kinds of transport addresses hold their sessions with
    /// each other (RFC 7552 §6.1.1); both ends must have the same.
    #[schemars(default)]
    pub transport_preference: TransportPreference,
    /// When the labels of FECs that are no ISP's are told (RFC 5036 §2.6.1): `ordered` (default) or `independent`. Labels of
    /// ISPs are always told in order.
    #[schemars(default)]
    pub control: LabelControl,
    /// Which labels are kept (RFC 5036 §2.6.2): `liberal` (default) or `conservative`.
    #[schemars(default)]
    pub retention: LabelRetention,
    /// Whether loops are looked for (RFC 5036 §2.8): `off` (default), or the most LSRs that an LSP may lead through, 1 to 255.
    #[schemars(with = "LoopDetectionText", default)]
    pub loop_detection: LoopDetection,
    /// The longest PDU that is proposed, 256 to 4096 octets; default 4096. The smaller of both ends' holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PduLengthNumber>", default)]
    pub max_pdu_length: Option<PduLength>,
}

/// An LDP neighbor of a node that is treated otherwise than all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct LdpNeighbor {
    /// Its LSR-id.
    pub lsr_id: Ipv4Addr,
    /// A file with the password that sessions with it are signed with (TCP MD5, RFC 2385), on this node; a path relative to
    /// the network file. Its first line counts, 1 to 80 octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub password_file: Option<String>,
    /// Whether packets of its sessions that came through a router are refused (RFC 6720): `auto` (if both ask for it;
    /// default), `on` or `off`.
    #[schemars(default)]
    pub gtsm: GtsmMode,
    /// Whether targeted Hellos are exchanged with it, so that it need not be on a link: `off` (default), `answer` (if its
    /// own ask for it) or `on`.
    #[schemars(default)]
    pub targeted: TargetedMode,
    /// Where its targeted Hellos come from and ours go to; default: the transport address of the node with this LSR-id, or
    /// the LSR-id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub transport_address: Option<IpAddr>,
    /// As in `[ldp]`, for this neighbor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ProtectionText>", default)]
    pub session_protection: Option<SessionProtection>,
    /// When labels are told (RFC 5036 §2.6.3): `unsolicited` (default), or `on_demand` if both ends say so.
    #[schemars(default)]
    pub advertisement: LabelAdvertisement,
    /// Labels from it are used for FECs within these prefixes only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<PrefixText>>", default)]
    pub accept: Option<Prefixes>,
    /// It is told labels of FECs within these prefixes only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<PrefixText>>", default)]
    pub advertise: Option<Prefixes>,
    /// Bindings kept of it, at most 262144, which is the default; what is beyond is given back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 262_144), default)]
    pub max_bindings: Option<NonZeroU32>,
    /// Whether it is not listened to; default false.
    #[schemars(default)]
    pub shut: bool,
}

/// A time of LDP's: 3 to 65534 seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct LdpTime(u16);

impl LdpTime {
    /// The fewest seconds: three messages fit.
    pub const MIN: u16 = 3;
    /// The most: 65535 is "for ever" (RFC 5036 §3.5.2).
    pub const MAX: u16 = 65_534;

    /// A time; `None` outside [`Self::MIN`] to [`Self::MAX`].
    pub const fn new(seconds: u16) -> Option<Self> {
        if seconds >= Self::MIN && seconds <= Self::MAX { Some(Self(seconds)) } else { None }
    }

    /// The time.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl fmt::Display for LdpTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

/// The length of a PDU, 256 to 4096 octets (RFC 5036 §3.5.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct PduLength(u16);

impl PduLength {
    /// The fewest octets that may be proposed: less means the default.
    pub const MIN: u16 = 256;
    /// The most, which is the default.
    pub const MAX: u16 = 4096;

    /// A length; `None` outside [`Self::MIN`] to [`Self::MAX`].
    pub const fn new(octets: u16) -> Option<Self> {
        if octets >= Self::MIN && octets <= Self::MAX { Some(Self(octets)) } else { None }
    }

    /// Octets.
    pub const fn octets(self) -> u16 {
        self.0
    }
}

impl fmt::Display for PduLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// When the label of a FEC that goes on from a node is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LabelControl {
    /// When its next hop has told one.
    #[default]
    Ordered,
    /// When it is routed.
    Independent,
}

/// Which labels are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LabelRetention {
    /// All.
    #[default]
    Liberal,
    /// Those of next hops.
    Conservative,
}

/// When a neighbor is told labels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelAdvertisement {
    /// As soon as there are any.
    #[default]
    Unsolicited,
    /// When it asks.
    OnDemand,
}

/// Whether loops are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LoopDetection {
    /// No.
    #[default]
    Off,
    /// The most LSRs that an LSP may lead through.
    Hops(NonZeroU8),
}

impl Serialize for LoopDetection {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Hops(hops) => serializer.serialize_u8(hops.get()),
        }
    }
}

impl fmt::Display for LoopDetection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Hops(hops) => write!(f, "{hops}"),
        }
    }
}

impl fmt::Display for LabelControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ordered => "ordered",
            Self::Independent => "independent",
        })
    }
}

impl fmt::Display for LabelRetention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Liberal => "liberal",
            Self::Conservative => "conservative",
        })
    }
}

impl fmt::Display for LabelAdvertisement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsolicited => "unsolicited",
            Self::OnDemand => "on_demand",
        })
    }
}

/// Who may be an LDP neighbor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WantedNeighbors {
    /// Whoever says Hello on a backbone port.
    #[default]
    Any,
    /// Those alone that the file names.
    Named,
}

/// Over which IP version a session is held where there is a choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportPreference {
    /// IPv4.
    Ipv4,
    /// IPv6.
    #[default]
    Ipv6,
}

/// Whether packets that came through a router are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Gtsm")]
pub enum GtsmMode {
    /// If both ends ask for it.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Whether targeted Hellos are exchanged with a neighbor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Targeted")]
pub enum TargetedMode {
    /// No.
    #[default]
    Off,
    /// If its own ask for it.
    Answer,
    /// Always.
    On,
}

/// Whether session and labels of a neighbor outlive the last link to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SessionProtection {
    /// No.
    #[default]
    Off,
    /// As long as it is reached over other links.
    Forever,
    /// For so many seconds at most, 1 to [`Self::MAX`].
    Seconds(u32),
}

impl SessionProtection {
    /// A week: who wants more wants `forever`.
    pub const MAX: u32 = 7 * 24 * 3600;
}

impl Serialize for SessionProtection {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Forever => serializer.serialize_str("forever"),
            Self::Seconds(seconds) => serializer.serialize_u32(*seconds),
        }
    }
}

impl fmt::Display for SessionProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Forever => f.write_str("forever"),
            Self::Seconds(seconds) => write!(f, "{seconds} s"),
        }
    }
}

impl fmt::Display for TargetedMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Answer => "answer",
            Self::On => "on",
        })
    }
}

/// Prefixes, at least one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Prefixes(pub Vec<IpNet>);

impl fmt::Display for Prefixes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(" "))
    }
}

impl fmt::Display for WantedNeighbors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Named => "named",
        })
    }
}

impl fmt::Display for TransportPreference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}

impl fmt::Display for GtsmMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}
