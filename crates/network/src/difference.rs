//! What is different between two network files, as one node sees it.
//!
//! Values first, words last: an [`Item`] says what is another, its `Display` says it to people. An [`Obstacle`] is a
//! difference that a running node does not take over, since its peers know it by what would change, or since packets under
//! way would come to another ISP.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr};

use contract::{Asn, Fec, IcmpSource, VlanId};
use ipnet::IpNet;

use crate::Network;
use crate::model::{Handoff, Headend, Isp, LdpNeighbor, Model, Node, TransportPreference};
use crate::names::{DeviceName, LabelRange, Name};
use crate::view::{FecKind, FecOwner, fec_owners, icmp_source};

/// What is different between two network files, as one node sees it: everything of the network and its ISPs, and its own
/// ports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Difference {
    /// What is another, in the order of the file.
    pub items: Vec<Item>,
    /// What a running node cannot take over.
    pub obstacles: Vec<Obstacle>,
}

/// One thing that is another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// What.
    pub subject: Subject,
    /// How.
    pub edit: Edit,
}

/// What can be another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// A key of `[network]`.
    Network,
    /// A key of `[ldp]`.
    Ldp,
    /// An LDP neighbor of this node that is treated otherwise than all.
    LdpNeighbor(Ipv4Addr),
    /// Another node.
    Node(Name),
    /// A port of this node.
    Port(DeviceName),
    /// An ISP.
    Isp(Asn, Name),
    /// Where a node's ICMP errors to an ISP's packets come from.
    IcmpSource(Name, Name),
    /// A handoff: ISP, node, port, VLAN.
    Handoff(Name, Name, DeviceName, Option<VlanId>),
    /// An ISP's presence on a headend: ISP, node.
    Headend(Name, Name),
    /// A pool: ISP, node, prefix.
    Pool(Name, Name, IpNet),
}

/// How something is another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    /// It was not there; its most important values.
    Added(String),
    /// It is not there any more.
    Removed,
    /// Some of its keys are others.
    Changed(Vec<Field>),
}

/// A key with another value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// The key.
    pub key: &'static str,
    /// What it was.
    pub was: String,
    /// What it is now.
    pub now: String,
}

/// A difference that a running node does not take over, with [what to do](Self::remedy) instead.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Obstacle {
    /// The file does not have this node.
    #[error("the file has no node `{0}`: it was renamed or removed")]
    NodeGone(Name),
    /// Another LSR-id.
    #[error("the node's lsr_id would change from {0} to {1}: its LDP peers know it by that")]
    LsrId(Ipv4Addr, Ipv4Addr),
    /// Another address for LDP sessions.
    #[error(
        "the node's transport_address would change from {0} to {1}: its LDP sessions are between such addresses"
    )]
    TransportAddress(String, String),
    /// Another IP version for LDP sessions.
    #[error(
        "the network's transport_preference would change from {0} to {1}: neighbors that differ in it do not speak"
    )]
    TransportPreference(TransportPreference, TransportPreference),
    /// Labels distributed in another way.
    #[error("ldp: {key} would change from {was} to {now}: labels have been told by the old mode",
        key = .0.key, was = .0.was, now = .0.now)]
    Distribution(Field),
    /// Other labels.
    #[error("the node's labels would change from {0} to {1}: labels of the old range are in use")]
    Labels(LabelRange, LabelRange),
    /// A FEC of another ISP, or in the other direction.
    #[error(
        "{fec} is {was} and would be {now}: packets under way, and nodes with the old file, would go to the wrong place"
    )]
    FecMoves {
        /// The address.
        fec: IpAddr,
        /// Whose it is.
        was: String,
        /// Whose it would be.
        now: String,
    },
}

impl Obstacle {
    /// What to do instead.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NodeGone(_) => {
                "stop the node and start it with `--node` and its new name, or give back its old name in the file"
            }
            Self::LsrId(..)
            | Self::TransportAddress(..)
            | Self::TransportPreference(..)
            | Self::Distribution(_)
            | Self::Labels(..) => {
                "restart the node (its packets stop until its LDP sessions are back), or write the old value"
            }
            Self::FecMoves { .. } => {
                "take an address that nobody has had; or remove it first, reload every node, and add it again after that"
            }
        }
    }
}

impl Difference {
    /// What is different in `new`, for the node of this name, which runs by `old`.
    pub fn new(old: &Network, new: &Network, node: &str) -> Self {
        let (old, new) = (old.model(), new.model());
        let mut all = Self::default();
        all.network(old, new);
        all.nodes(old, new, node);
        all.isps(old, new);
        all.fecs(old, new);
        all
    }

    /// Whether nothing is another.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.obstacles.is_empty()
    }

    fn add(&mut self, subject: Subject, edit: Edit) {
        self.items.push(Item { subject, edit });
    }

    /// Fields that are others; none: nothing is said.
    fn changed<const N: usize>(&mut self, subject: Subject, fields: [Option<Field>; N]) {
        let fields: Vec<_> = fields.into_iter().flatten().collect();
        if !fields.is_empty() {
            self.add(subject, Edit::Changed(fields));
        }
    }

    fn network(&mut self, old: &Model, new: &Model) {
        let (was, now) = (&old.ldp, &new.ldp);
        self.changed(
            Subject::Ldp,
            [
                field("hello_hold", or_none(was.hello_hold), or_none(now.hello_hold)),
                field(
                    "targeted_hello_hold",
                    or_none(was.targeted_hello_hold),
                    or_none(now.targeted_hello_hold),
                ),
                field("keepalive", or_none(was.keepalive), or_none(now.keepalive)),
                field("neighbors", was.neighbors, now.neighbors),
                field("session_protection", was.session_protection, now.session_protection),
                field("max_pdu_length", or_none(was.max_pdu_length), or_none(now.max_pdu_length)),
            ],
        );
        let modes = [
            field("control", was.control, now.control),
            field("retention", was.retention, now.retention),
            field("loop_detection", was.loop_detection, now.loop_detection),
        ];
        self.obstacles.extend(modes.into_iter().flatten().map(Obstacle::Distribution));
        if was.transport_preference != now.transport_preference {
            let (was, now) = (was.transport_preference, now.transport_preference);
            self.obstacles.push(Obstacle::TransportPreference(was, now));
        }
        let (old, new) = (&old.network, &new.network);
        let ttl = |ttl: contract::TtlModel| format!("{ttl:?}").to_lowercase();
        self.changed(
            Subject::Network,
            [
                field("name", &old.name, &new.name),
                field("ttl", ttl(old.ttl), ttl(new.ttl)),
                field("lsp_mtu", or_none(old.lsp_mtu), or_none(new.lsp_mtu)),
                field("move_grace", old.move_grace, new.move_grace),
                field("subscribers", or_none(old.subscribers.as_ref()), or_none(new.subscribers.as_ref())),
            ],
        );
    }

    fn nodes(&mut self, old: &Model, new: &Model, name: &str) {
        let (here, there): (Vec<_>, Vec<_>) =
            matched(&old.nodes, &new.nodes, |node| node.name.clone()).partition(|(n, _)| n.as_str() == name);
        for (_, (was, now)) in here {
            match (was, now) {
                (Some(was), Some(now)) => self.node(was, now),
                (Some(was), None) => self.obstacles.push(Obstacle::NodeGone(was.name.clone())),
                (None, _) => {}
            }
        }
        for (name, nodes) in there {
            match nodes {
                (None, Some(now)) => {
                    self.add(Subject::Node(name), Edit::Added(format!("lsr_id {}", now.lsr_id)));
                }
                (Some(_), None) => self.add(Subject::Node(name), Edit::Removed),
                // What else another node has is its own.
                _ => {}
            }
        }
    }

    /// This node.
    fn node(&mut self, was: &Node, now: &Node) {
        if was.lsr_id != now.lsr_id {
            self.obstacles.push(Obstacle::LsrId(was.lsr_id, now.lsr_id));
        }
        let (before, after) = (transport(was), transport(now));
        if before != after {
            self.obstacles.push(Obstacle::TransportAddress(before, after));
        }
        if was.labels != now.labels {
            self.obstacles.push(Obstacle::Labels(was.labels, now.labels));
        }
        let kind = |port: &crate::model::Port| format!("{:?}", port.kind).to_lowercase();
        for (name, ports) in matched(&was.ports, &now.ports, |port| port.name.clone()) {
            let subject = Subject::Port(name);
            match ports {
                (None, Some(now)) => self.add(subject, Edit::Added(kind(now))),
                (Some(_), None) => self.add(subject, Edit::Removed),
                (Some(was), Some(now)) => self.changed(subject, [field("kind", kind(was), kind(now))]),
                (None, None) => {}
            }
        }
        self.ldp_neighbors(was, now);
    }

    fn ldp_neighbors(&mut self, was: &Node, now: &Node) {
        let nothing = |lsr_id| LdpNeighbor {
            lsr_id,
            password_file: None,
            gtsm: Default::default(),
            targeted: Default::default(),
            transport_address: None,
            session_protection: None,
            advertisement: Default::default(),
            accept: None,
            advertise: None,
            max_bindings: None,
            shut: false,
        };
        for (lsr_id, (was, now)) in matched(&was.ldp_neighbors, &now.ldp_neighbors, |n| n.lsr_id) {
            let subject = Subject::LdpNeighbor(lsr_id);
            let fields = |was: &LdpNeighbor, now: &LdpNeighbor| {
                [
                    field(
                        "password_file",
                        or_none(was.password_file.as_ref()),
                        or_none(now.password_file.as_ref()),
                    ),
                    field("gtsm", was.gtsm, now.gtsm),
                    field("targeted", was.targeted, now.targeted),
                    field(
                        "transport_address",
                        or_none(was.transport_address),
                        or_none(now.transport_address),
                    ),
                    field(
                        "session_protection",
                        or_none(was.session_protection),
                        or_none(now.session_protection),
                    ),
                    field("advertisement", was.advertisement, now.advertisement),
                    field("accept", or_none(was.accept.as_ref()), or_none(now.accept.as_ref())),
                    field("advertise", or_none(was.advertise.as_ref()), or_none(now.advertise.as_ref())),
                    field("max_bindings", or_none(was.max_bindings), or_none(now.max_bindings)),
                    field("shut", was.shut, now.shut),
                ]
            };
            match (was, now) {
                (None, Some(now)) => {
                    let given = fields(&nothing(lsr_id), now).into_iter().flatten();
                    let given: Vec<_> = given.map(|field| format!("{} {}", field.key, field.now)).collect();
                    self.add(subject, Edit::Added(given.join(", ")));
                }
                (Some(_), None) => self.add(subject, Edit::Removed),
                (Some(was), Some(now)) => self.changed(subject, fields(was, now)),
                (None, None) => {}
            }
        }
    }

    fn isps(&mut self, old: &Model, new: &Model) {
        let nothing = |isp: &Isp| Isp {
            asn: isp.asn,
            name: isp.name.clone(),
            clamp_mss: isp.clamp_mss,
            icmp_sources: Vec::new(),
            handoffs: Vec::new(),
            headends: Vec::new(),
        };
        for (asn, isps) in matched(&old.isps, &new.isps, |isp| isp.asn) {
            match isps {
                (None, Some(now)) => {
                    self.add(Subject::Isp(asn, now.name.clone()), Edit::Added(String::new()));
                    self.parts(&nothing(now), now);
                }
                (Some(was), None) => {
                    self.add(Subject::Isp(asn, was.name.clone()), Edit::Removed);
                    self.parts(was, &nothing(was));
                }
                (Some(was), Some(now)) => {
                    let subject = Subject::Isp(asn, now.name.clone());
                    let clamp = field("clamp_mss", was.clamp_mss, now.clamp_mss);
                    self.changed(subject, [field("name", &was.name, &now.name), clamp]);
                    self.icmp_sources(old, new, was, now);
                    self.parts(was, now);
                }
                (None, None) => {}
            }
        }
    }

    /// Where errors come from by whatever rule, for nodes that stay. What a node has by default with a handoff or pool
    /// goes without saying when these come and go.
    fn icmp_sources(&mut self, old: &Model, new: &Model, was: &Isp, now: &Isp) {
        let stays = |node: &&Node| old.nodes.iter().any(|other| other.name == node.name);
        for node in new.nodes.iter().filter(stays).map(|node| &node.name) {
            let written = |isp: &Isp| isp.icmp_sources.iter().any(|source| source.node == *node);
            let (before, after) = (icmp_source(was, node), icmp_source(now, node));
            let neither = IcmpSource::default();
            if written(was) || written(now) || (before != neither && after != neither) {
                let ipv4 = field("ipv4", or_none(before.ipv4), or_none(after.ipv4));
                let ipv6 = field("ipv6", or_none(before.ipv6), or_none(after.ipv6));
                self.changed(Subject::IcmpSource(now.name.clone(), node.clone()), [ipv4, ipv6]);
            }
        }
    }

    fn parts(&mut self, was: &Isp, now: &Isp) {
        let isp = &now.name;
        let key = |handoff: &Handoff| (handoff.node.clone(), handoff.port.clone(), handoff.vlan);
        for ((node, port, vlan), handoffs) in matched(&was.handoffs, &now.handoffs, key) {
            let subject = Subject::Handoff(isp.clone(), node, port, vlan);
            match handoffs {
                (None, Some(now)) => {
                    let detail = format!("FEC {}, preference {}", now.fec, now.preference);
                    self.add(subject, Edit::Added(detail));
                }
                (Some(_), None) => self.add(subject, Edit::Removed),
                (Some(was), Some(now)) => self.changed(subject, handoff_fields(was, now)),
                (None, None) => {}
            }
        }
        for (node, headends) in matched(&was.headends, &now.headends, |headend| headend.node.clone()) {
            let subject = Subject::Headend(isp.clone(), node.clone());
            match headends {
                (None, Some(now)) => {
                    self.add(subject, Edit::Added(format!("return address {}", now.return_address)));
                }
                (Some(_), None) => self.add(subject, Edit::Removed),
                (Some(was), Some(now)) => {
                    self.changed(subject, [field("return_address", was.return_address, now.return_address)])
                }
                (None, None) => {}
            }
            self.pools(isp, &node, headends);
        }
    }

    fn pools(&mut self, isp: &Name, node: &Name, (was, now): (Option<&Headend>, Option<&Headend>)) {
        let pools =
            |headend: Option<&Headend>| headend.map_or_else(Vec::new, |headend| headend.pools.clone());
        for (prefix, pools) in matched(&pools(was), &pools(now), |pool| pool.prefix) {
            let subject = Subject::Pool(isp.clone(), node.clone(), prefix);
            match pools {
                (None, Some(now)) => self.add(subject, Edit::Added(format!("gateway {}", now.gateway))),
                (Some(_), None) => self.add(subject, Edit::Removed),
                (Some(was), Some(now)) => {
                    self.changed(subject, [field("gateway", was.gateway, now.gateway)]);
                }
                (None, None) => {}
            }
        }
    }

    fn fecs(&mut self, old: &Model, new: &Model) {
        let (before, after) = (fec_owners(old), fec_owners(new));
        for (Fec(prefix), was) in &before {
            let now = after.get(&Fec(*prefix));
            let moved = now.filter(|now| (now.isp, now.kind) != (was.isp, was.kind));
            if let Some(now) = moved {
                let (was, now) = (whose(was, old), whose(now, new));
                self.obstacles.push(Obstacle::FecMoves { fec: prefix.addr(), was, now });
            }
        }
    }
}

/// Pairs what has the same key, in the order of the new list; what is gone comes last.
fn matched<'a, T, K: Ord>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&T) -> K,
) -> impl Iterator<Item = (K, (Option<&'a T>, Option<&'a T>))> {
    let mut before: BTreeMap<K, &T> = old.iter().map(|item| (key(item), item)).collect();
    let mut pairs: Vec<_> = new.iter().map(|now| (key(now), (before.remove(&key(now)), Some(now)))).collect();
    pairs.extend(before.into_iter().map(|(key, was)| (key, (Some(was), None))));
    pairs.into_iter()
}

fn field(key: &'static str, was: impl Display, now: impl Display) -> Option<Field> {
    let (was, now) = (was.to_string(), now.to_string());
    (was != now).then_some(Field { key, was, now })
}

/// The addresses of a node's LDP sessions.
fn transport(node: &Node) -> String {
    let ipv4 = node.transport_address().map(|address| address.to_string());
    let ipv6 = node.transport_address_v6.map(|address| address.to_string());
    ipv4.into_iter().chain(ipv6).collect::<Vec<_>>().join(" and ")
}

fn or_none(value: Option<impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn handoff_fields(was: &Handoff, now: &Handoff) -> [Option<Field>; 4] {
    let ipv4 =
        |handoff: &Handoff| or_none(handoff.ipv4.map(|v4| format!("{} via {}", v4.address, v4.next_hop)));
    let ipv6 =
        |handoff: &Handoff| or_none(handoff.ipv6.map(|v6| format!("{} via {}", v6.address, v6.next_hop)));
    [
        field("fec", was.fec, now.fec),
        field("preference", was.preference, now.preference),
        field("ipv4", ipv4(was), ipv4(now)),
        field("ipv6", ipv6(was), ipv6(now)),
    ]
}

fn whose(owner: &FecOwner, model: &Model) -> String {
    let isp = model.isps.iter().find(|isp| isp.asn == owner.isp);
    let name = isp.map_or_else(|| owner.isp.to_string(), |isp| isp.name.to_string());
    match owner.kind {
        FecKind::ToIsp => format!("{name}'s FEC"),
        FecKind::ToSubscriber => format!("{name}'s return address"),
    }
}

impl Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network => write!(f, "network:"),
            Self::Ldp => write!(f, "ldp:"),
            Self::LdpNeighbor(lsr_id) => write!(f, "LDP neighbor {lsr_id}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Port(name) => write!(f, "port {name}"),
            Self::Isp(asn, name) => write!(f, "isp {name} ({asn})"),
            Self::IcmpSource(isp, node) => write!(f, "isp {isp}: ICMP source of {node}"),
            Self::Handoff(isp, node, port, None) => write!(f, "isp {isp}: handoff {node}/{port}"),
            Self::Handoff(isp, node, port, Some(vlan)) => {
                write!(f, "isp {isp}: handoff {node}/{port}.{vlan}")
            }
            Self::Headend(isp, node) => write!(f, "isp {isp}: headend {node}"),
            Self::Pool(isp, node, prefix) => write!(f, "isp {isp}: pool {prefix} at {node}"),
        }
    }
}

impl Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, edit } = self;
        match edit {
            Edit::Added(detail) if detail.is_empty() => write!(f, "{subject} added"),
            Edit::Added(detail) => write!(f, "{subject} added ({detail})"),
            Edit::Removed => write!(f, "{subject} removed"),
            Edit::Changed(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|field| format!("{} {} → {}", field.key, field.was, field.now))
                    .collect();
                write!(f, "{subject} {}", fields.join(", "))
            }
        }
    }
}
