//! LDP: what the speaker goes by, who is heard how, and each neighbor's session.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use api::{
    IgpSync, LdpAgreed, LdpCapabilities, LdpCounters, LdpInterface, LdpLoopDetection, LdpMessages,
    LdpNeighbor, LdpSaid, LdpSettings, NeighborKind,
};
use contract::Tick;
use ldp::{
    AddressFamily, Agreed, Capabilities, Capability, Config, Control, Counters, MessageCounters, Retention,
    SessionState, TransportPreference, Via,
};

use crate::control::node::Node;

impl Node {
    pub(super) fn ldp(&self, now: Tick) -> api::Ldp {
        api::Ldp {
            lsr_id: self.view.lsr_id,
            settings: settings(self.speaker.config()),
            counters: counters(self.speaker.counters()),
            interfaces: self
                .speaker
                .igp_sync()
                .map(|(_, port, state)| LdpInterface { port: port.to_owned(), igp_sync: igp_sync(state) })
                .collect(),
            neighbors: self.speaker.neighbors(now).into_iter().map(neighbor).collect(),
        }
    }

    pub(super) fn adjacencies(&self, now: Tick) -> Vec<api::Adjacency> {
        self.speaker.neighbors(now).iter().flat_map(adjacencies).collect()
    }

    pub(super) fn ldp_neighbors(&self, now: Tick) -> Vec<api::Neighbor> {
        self.speaker.neighbors(now).iter().map(row).collect()
    }
}

/// A neighbor in the table of all kinds of neighbors.
fn row(neighbor: &ldp::Neighbor) -> api::Neighbor {
    let mut detail =
        vec![format!("{} bindings received", neighbor.received), format!("{} sent", neighbor.sent)];
    detail.extend(neighbor.agreed.map(|agreed| format!("keepalive {} s", agreed.keepalive.as_secs())));
    detail.extend(neighbor.at_limit.then(|| "AT ITS LIMIT of bindings".to_owned()));
    detail.extend(neighbor.stale.then(|| "bindings of an earlier session are kept".to_owned()));
    detail.extend(neighbor.last_down.map(|(reason, _)| format!("last down: {reason}")));
    let via = neighbor.adjacencies.iter().map(|adjacency| match adjacency.via {
        Via::Link(_) => adjacency.name.clone(),
        Via::Targeted => "targeted".to_owned(),
    });
    api::Neighbor {
        kind: NeighborKind::Ldp,
        address: neighbor.peer.lsr_id.into(),
        via: via.collect(),
        mac: None,
        state: state(neighbor.session).to_owned(),
        seconds: neighbor.up_for.map(|up| up.as_secs()),
        detail: detail.join(", "),
    }
}

fn adjacencies(neighbor: &ldp::Neighbor) -> impl Iterator<Item = api::Adjacency> {
    neighbor.adjacencies.iter().map(|adjacency| {
        let (kind, port) = match adjacency.via {
            Via::Link(_) => (api::AdjacencyKind::Link, Some(adjacency.name.clone())),
            Via::Targeted => (api::AdjacencyKind::Targeted, None),
        };
        api::Adjacency {
            peer: neighbor.peer.lsr_id,
            kind,
            port,
            source: adjacency.source,
            left: adjacency.left.map(|left| left.as_secs()),
            hold: adjacency.hold.map(|hold| hold.as_secs()),
        }
    })
}

fn neighbor(of: ldp::Neighbor) -> LdpNeighbor {
    LdpNeighbor {
        lsr_id: of.peer.lsr_id,
        transport_address: of.transport_address,
        state: state(of.session).to_owned(),
        active: of.active,
        up_for: of.up_for.map(|up| up.as_secs()),
        adjacencies: adjacencies(&of).collect(),
        agreed: of.agreed.map(agreed),
        capabilities: of.capabilities.as_ref().map(capabilities),
        last_down: of.last_down.map(said),
        last_notified: of.last_notified.map(said),
        last_refused: of.last_refused.map(said),
        stale: of.stale,
        at_limit: of.at_limit,
        addresses: of.addresses,
        bindings_received: of.received as u64,
        bindings_sent: of.sent as u64,
        sessions: of.counters.sessions,
        messages_received: messages(of.counters.received),
        messages_sent: messages(of.counters.sent),
        malformed: of.counters.malformed,
        ignored: of.counters.ignored,
    }
}

fn said((what, ago): (impl Display, Duration)) -> LdpSaid {
    LdpSaid { what: what.to_string(), seconds: ago.as_secs() }
}

fn agreed(of: Agreed) -> LdpAgreed {
    LdpAgreed {
        keepalive: of.keepalive.as_secs(),
        max_pdu_length: of.max_pdu_length,
        on_demand: of.on_demand,
        gtsm: of.gtsm,
        reconnect: of.reconnect.map(|time| time.as_secs()),
    }
}

fn capabilities(of: &Capabilities) -> LdpCapabilities {
    LdpCapabilities {
        local: names(&of.local),
        neighbor: names(&of.peer),
        unsupported: names(&of.unsupported),
        end_of_lib_sent: of.end_of_lib_sent,
        end_of_lib_received: of.end_of_lib_received.iter().map(|of| family(*of).to_owned()).collect(),
    }
}

fn names(of: &BTreeSet<Capability>) -> Vec<String> {
    of.iter().map(Capability::to_string).collect()
}

fn settings(config: &Config) -> LdpSettings {
    let transport = config.transport;
    LdpSettings {
        transport_addresses: [AddressFamily::Ipv4, AddressFamily::Ipv6]
            .into_iter()
            .filter_map(|family| transport.of(family))
            .collect(),
        transport_preference: match config.transport_preference {
            TransportPreference::Ipv4 => "ipv4",
            TransportPreference::Ipv6 => "ipv6",
        }
        .to_owned(),
        first_label: *config.label_range.start(),
        last_label: *config.label_range.end(),
        hello_hold: config.hello_hold.as_secs(),
        targeted_hello_hold: config.targeted_hello_hold.as_secs(),
        keepalive: config.keepalive.as_secs(),
        max_pdu_length: config.max_pdu_length,
        reconnect: config.reconnect.as_secs(),
        recovery: config.recovery.as_secs(),
        control: match config.distribution.control {
            Control::Ordered => "ordered",
            Control::Independent => "independent",
        }
        .to_owned(),
        retention: match config.distribution.retention {
            Retention::Liberal => "liberal",
            Retention::Conservative => "conservative",
        }
        .to_owned(),
        loop_detection: config
            .distribution
            .loop_detection
            .map(|of| LdpLoopDetection { max_hops: of.max_hops, path_vector_limit: of.path_vector_limit }),
        capabilities: names(&config.capabilities),
    }
}

fn counters(of: Counters) -> LdpCounters {
    LdpCounters {
        hellos_received: of.hellos_received,
        hellos_sent: of.hellos_sent,
        hellos_malformed: of.hellos_malformed,
        hellos_ignored: of.hellos_ignored,
        hellos_unwanted: of.hellos_unwanted,
        connections_refused: of.connections_refused,
    }
}

fn messages(of: MessageCounters) -> LdpMessages {
    LdpMessages {
        initialization: of.initialization,
        keepalive: of.keepalive,
        capability: of.capability,
        address: of.address,
        mapping: of.mapping,
        request: of.request,
        withdraw: of.withdraw,
        release: of.release,
        notification: of.notification,
    }
}

const fn state(of: SessionState) -> &'static str {
    match of {
        SessionState::NonExistent => "non_existent",
        SessionState::Initialized => "initialized",
        SessionState::OpenRec => "open_rec",
        SessionState::OpenSent => "open_sent",
        SessionState::Operational => "operational",
    }
}

const fn igp_sync(of: ldp::IgpSync) -> IgpSync {
    match of {
        ldp::IgpSync::NoNeighbor => IgpSync::NoNeighbor,
        ldp::IgpSync::NoSession => IgpSync::NoSession,
        ldp::IgpSync::Exchanging => IgpSync::Exchanging,
        ldp::IgpSync::Achieved => IgpSync::Achieved,
    }
}

const fn family(of: AddressFamily) -> &'static str {
    match of {
        AddressFamily::Ipv4 => "ipv4",
        AddressFamily::Ipv6 => "ipv6",
    }
}
