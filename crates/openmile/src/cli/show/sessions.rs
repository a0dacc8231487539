//! LDP in full, for people: facts line by line, one block for the node and one for each neighbor.

use std::fmt::Write as _;

use api::{IgpSync, Ldp, LdpCapabilities, LdpInterface, LdpMessages, LdpNeighbor, LdpSaid, LdpSettings};

use super::tables::{adjacencies, duration, none};
use crate::table::{finish, table};

/// All of it.
pub(super) fn ldp(ldp: &Ldp) -> String {
    let mut text = format!("LDP at {}\n", ldp.lsr_id);
    text += &facts(&own(ldp));
    if !ldp.interfaces.is_empty() {
        text += &indented(&interfaces(&ldp.interfaces));
    }
    for neighbor in &ldp.neighbors {
        _ = write!(text, "\nLDP neighbor {}\n", neighbor.lsr_id);
        text += &facts(&of_neighbor(neighbor));
        text += &indented(&messages(&neighbor.messages_received, &neighbor.messages_sent));
        if !neighbor.adjacencies.is_empty() {
            text += &indented(&adjacencies(&neighbor.adjacencies));
        }
    }
    text
}

fn own(ldp: &Ldp) -> Vec<(&'static str, String)> {
    let LdpSettings { hello_hold, targeted_hello_hold, keepalive, reconnect, recovery, .. } = ldp.settings;
    let settings = &ldp.settings;
    let counters = &ldp.counters;
    vec![
        (
            "transport addresses",
            format!(
                "{}; {} is preferred",
                list(&settings.transport_addresses),
                settings.transport_preference
            ),
        ),
        ("labels", format!("{} to {}", settings.first_label, settings.last_label)),
        ("hold times", format!("link Hellos {hello_hold} s, targeted ones {targeted_hello_hold} s")),
        ("keepalive", format!("{keepalive} s")),
        ("longest PDU", format!("{} octets", settings.max_pdu_length)),
        ("graceful restart", format!("reconnect within {reconnect} s, recovery {recovery} s")),
        ("control", settings.control.clone()),
        ("retention", settings.retention.clone()),
        (
            "loop detection",
            settings.loop_detection.map_or("off".to_owned(), |limits| {
                format!("hops {}, path vector {}", limits.max_hops, limits.path_vector_limit)
            }),
        ),
        ("capabilities", list(&settings.capabilities)),
        (
            "Hellos",
            format!(
                "{} received, {} sent, {} malformed, {} ignored ({} of them unwanted targeted ones)",
                counters.hellos_received,
                counters.hellos_sent,
                counters.hellos_malformed,
                counters.hellos_ignored,
                counters.hellos_unwanted
            ),
        ),
        ("connections refused", counters.connections_refused.to_string()),
    ]
}

fn of_neighbor(of: &LdpNeighbor) -> Vec<(&'static str, String)> {
    let up = of.up_for.map(|seconds| format!(" for {}", duration(seconds))).unwrap_or_default();
    let side = if of.active { "active: this node connects" } else { "passive: the neighbor connects" };
    let mut facts = vec![
        ("state", format!("{}{up}", of.state)),
        ("sessions", of.sessions.to_string()),
        ("transport address", of.transport_address.to_string()),
        ("role", side.to_owned()),
    ];
    if let Some(agreed) = &of.agreed {
        let gtsm = if agreed.gtsm { "TTL 255 required" } else { "off" };
        facts.extend([
            ("keepalive", format!("{} s", agreed.keepalive)),
            ("longest PDU", format!("{} octets", agreed.max_pdu_length)),
            ("labels are told", if agreed.on_demand { "on demand" } else { "unsolicited" }.to_owned()),
            ("GTSM", gtsm.to_owned()),
            (
                "graceful restart",
                agreed.reconnect.map_or("not by the neighbor".to_owned(), |seconds| {
                    format!("its labels are kept for {seconds} s")
                }),
            ),
        ]);
    }
    facts.extend(of.capabilities.iter().flat_map(capabilities));
    let limit = if of.at_limit { "; AT ITS LIMIT" } else { "" };
    let stale = if of.stale { "; of an earlier session, kept" } else { "" };
    facts.extend([
        ("bindings", format!("{} received{limit}{stale}, {} sent", of.bindings_received, of.bindings_sent)),
        ("addresses", list(&of.addresses)),
        ("last down", said(of.last_down.as_ref())),
        ("last notified", said(of.last_notified.as_ref())),
        ("last refused", said(of.last_refused.as_ref())),
        ("not taken", format!("{} malformed, {} of unknown types", of.malformed, of.ignored)),
    ]);
    facts
}

fn capabilities(of: &LdpCapabilities) -> [(&'static str, String); 4] {
    let sent = if of.end_of_lib_sent { "sent" } else { "not sent" };
    [
        ("own capabilities", list(&of.local)),
        ("its capabilities", list(&of.neighbor)),
        ("unknown to it", list(&of.unsupported)),
        ("End-of-LIB", format!("{sent}; received: {}", list(&of.end_of_lib_received))),
    ]
}

fn interfaces(of: &[LdpInterface]) -> String {
    let mut table = table(["port", "LDP-IGP synchronization"]);
    for interface in of {
        let state = match interface.igp_sync {
            IgpSync::NoNeighbor => "no neighbor",
            IgpSync::NoSession => "NO SESSION",
            IgpSync::Exchanging => "labels are being exchanged",
            IgpSync::Achieved => "achieved",
        };
        table.add_row([interface.port.as_str(), state]);
    }
    finish(table, &[])
}

fn messages(received: &LdpMessages, sent: &LdpMessages) -> String {
    let mut table = table(["messages", "received", "sent"]);
    for ((kind, received), (_, sent)) in received.by_kind().into_iter().zip(sent.by_kind()) {
        table.add_row([kind.to_owned(), received.to_string(), sent.to_string()]);
    }
    finish(table, &[1, 2])
}

fn said(of: Option<&LdpSaid>) -> String {
    of.map_or_else(none, |said| format!("{}, {} ago", said.what, duration(said.seconds)))
}

fn list(of: &[impl ToString]) -> String {
    if of.is_empty() {
        return none();
    }
    of.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A fact a line.
fn facts(facts: &[(&str, String)]) -> String {
    facts.iter().map(|(name, value)| format!("  {name:<20}{value}\n")).collect()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use api::{LdpAgreed, LdpCounters, LdpLoopDetection};
    use contract::Label;

    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);
    const PEER: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 9);

    fn settings() -> LdpSettings {
        LdpSettings {
            transport_addresses: vec![OWN.into(), "2001:db8:ffff::1".parse().unwrap()],
            transport_preference: "ipv6".to_owned(),
            first_label: Label::FIRST_UNRESERVED,
            last_label: Label::MAX,
            hello_hold: 15,
            targeted_hello_hold: 45,
            keepalive: 30,
            max_pdu_length: 4096,
            reconnect: 120,
            recovery: 60,
            control: "ordered".to_owned(),
            retention: "liberal".to_owned(),
            loop_detection: Some(LdpLoopDetection { max_hops: 64, path_vector_limit: 32 }),
            capabilities: vec!["Dynamic Announcement".to_owned(), "Typed Wildcard FEC".to_owned()],
        }
    }

    /// A neighbor whose session is up.
    fn up() -> LdpNeighbor {
        let adjacency = api::Adjacency {
            peer: PEER,
            kind: api::AdjacencyKind::Link,
            port: Some("bb0".to_owned()),
            source: Ipv4Addr::new(192, 0, 2, 9).into(),
            left: Some(12),
            hold: Some(15),
        };
        LdpNeighbor {
            lsr_id: PEER,
            transport_address: PEER.into(),
            state: "operational".to_owned(),
            active: false,
            up_for: Some(3725),
            adjacencies: vec![adjacency],
            agreed: Some(LdpAgreed {
                keepalive: 30,
                max_pdu_length: 1500,
                on_demand: false,
                gtsm: true,
                reconnect: None,
            }),
            capabilities: Some(LdpCapabilities {
                local: settings().capabilities,
                neighbor: vec!["Typed Wildcard FEC".to_owned()],
                unsupported: Vec::new(),
                end_of_lib_sent: true,
                end_of_lib_received: vec!["ipv4".to_owned()],
            }),
            last_down: Some(LdpSaid { what: "peer: Shutdown".to_owned(), seconds: 3740 }),
            last_notified: None,
            last_refused: Some(LdpSaid { what: "No Route".to_owned(), seconds: 61 }),
            stale: false,
            at_limit: true,
            addresses: vec![IpAddr::from(Ipv4Addr::new(192, 0, 2, 9)), PEER.into()],
            bindings_received: 5,
            bindings_sent: 7,
            sessions: 2,
            messages_received: LdpMessages { mapping: 12, ..LdpMessages::default() },
            messages_sent: LdpMessages { keepalive: 420, ..LdpMessages::default() },
            malformed: 1,
            ignored: 3,
        }
    }

    #[test]
    fn a_session_is_told_in_full() {
        let down = LdpNeighbor {
            lsr_id: Ipv4Addr::new(10, 255, 0, 10),
            state: "non_existent".to_owned(),
            active: true,
            up_for: None,
            adjacencies: Vec::new(),
            agreed: None,
            capabilities: None,
            addresses: Vec::new(),
            stale: true,
            at_limit: false,
            ..up()
        };
        let all = Ldp {
            lsr_id: OWN,
            settings: settings(),
            counters: LdpCounters { hellos_received: 99, hellos_unwanted: 1, ..LdpCounters::default() },
            interfaces: vec![
                LdpInterface { port: "bb0".to_owned(), igp_sync: IgpSync::Achieved },
                LdpInterface { port: "bb1".to_owned(), igp_sync: IgpSync::NoNeighbor },
            ],
            neighbors: vec![up(), down],
        };
        insta::assert_snapshot!(ldp(&all));
    }
}
