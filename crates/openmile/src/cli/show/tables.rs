//! The tables that people read.

use super::sessions;
use crate::table::{finish, table};
use api::{
    Account, Adjacency, AdjacencyKind, Counters, DropRow, FecOperation, FecRow, FecState, Isp, LibRow,
    Neighbor, NodeInfo, Port, ServiceRole, ShowWhat,
};

/// The answer of the API as a table.
pub(crate) fn render(what: ShowWhat, answer: serde_json::Value) -> Result<String, serde_json::Error> {
    let read = serde_json::from_value;
    Ok(match what {
        ShowWhat::Node => node(&serde_json::from_value(answer)?),
        ShowWhat::Isps => isps(&read(answer)?),
        ShowWhat::Fec => fec(&serde_json::from_value::<Vec<_>>(answer)?),
        ShowWhat::Lib => lib(&serde_json::from_value::<Vec<_>>(answer)?),
        ShowWhat::Neighbors => neighbors(&serde_json::from_value::<Vec<_>>(answer)?),
        ShowWhat::Adjacencies => adjacencies(&serde_json::from_value::<Vec<_>>(answer)?),
        ShowWhat::Ldp => sessions::ldp(&serde_json::from_value(answer)?),
        ShowWhat::Subscribers => subscribers(&serde_json::from_value::<Vec<_>>(answer)?),
        ShowWhat::Counters => counters(&serde_json::from_value(answer)?),
        ShowWhat::Drops => drops(&serde_json::from_value::<Vec<_>>(answer)?),
        ShowWhat::Ports => ports(&serde_json::from_value::<Vec<_>>(answer)?),
    })
}

/// The FEC table of a node; the lab prints it too.
pub(crate) fn fec(rows: &[FecRow]) -> String {
    let mut table =
        table(["ISP", "FEC", "for", "in label", "operation", "out label", "next hop", "port", "state"]);
    for row in rows {
        table.add_row([
            row.fec.isp_name.clone().or_else(|| row.fec.isp.map(|asn| asn.to_string())).unwrap_or_else(none),
            row.fec.prefix.to_string(),
            role(row.fec.role).to_owned(),
            opt(row.in_label),
            operation(row.operation).to_owned(),
            opt(row.out_label),
            row.next_hop.clone().unwrap_or_else(none),
            row.port.clone().unwrap_or_else(none),
            format!("{}{}", state(row.state), if row.unverified { ", unverified" } else { "" }),
        ]);
    }
    finish(table, &[3, 5])
}

fn node(node: &NodeInfo) -> String {
    let mut table = table(["node", "network", "LSR-id", "version", "forwarder", "network file", "loaded"]);
    table.add_row([
        node.node.clone(),
        node.network.clone(),
        node.lsr_id.to_string(),
        node.version.clone(),
        match node {
            NodeInfo { forwarder: false, .. } => "NOT CONNECTED",
            NodeInfo { recovering: true, .. } => "recovering",
            NodeInfo { up_to_date: false, .. } => "being told",
            _ => "connected",
        }
        .to_owned(),
        node.digest.get(..16).unwrap_or(&node.digest).to_owned(),
        utc(node.loaded_at),
    ]);
    finish(table, &[])
}

/// Seconds since the Unix epoch as a date and a time of day, in UTC (days to a civil date as H. Hinnant has it).
fn utc(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

fn isps(isps: &Vec<Isp>) -> String {
    let mut table = table([
        "AS",
        "ISP",
        "reachable",
        "subscribers",
        "pools",
        "handoff",
        "FEC",
        "preference",
        "state",
        "for",
        "failures",
    ]);
    for isp in isps {
        let pools: Vec<_> = isp.pools.iter().map(ToString::to_string).collect();
        let mut first = [
            isp.asn.0.to_string(),
            isp.name.clone(),
            isp.reachable.map_or_else(none, |yes| if yes { "yes" } else { "NO" }.to_owned()),
            isp.subscribers.to_string(),
            pools.join("\n"),
        ];
        for handoff in &isp.handoffs {
            let vlan = handoff.vlan.map(|vlan| format!(".{vlan}")).unwrap_or_default();
            let row = first.clone().into_iter().chain([
                format!("{} {}{vlan}", handoff.node, handoff.port),
                handoff.fec.to_string(),
                handoff.preference.to_string(),
                match (handoff.up, handoff.health.and_then(|health| health.held_for)) {
                    (true, _) => "up".to_owned(),
                    (false, None) if handoff.waits => "waits for LSPs".to_owned(),
                    (false, None) => "DOWN".to_owned(),
                    (false, Some(held_for)) => format!("HELD DOWN for {held_for} s"),
                },
                handoff.health.map_or_else(none, |health| duration(health.seconds)),
                opt(handoff.health.map(|health| health.failures)),
            ]);
            table.add_row(row);
            first = Default::default();
        }
        if isp.handoffs.is_empty() {
            table.add_row(first.into_iter().chain(std::array::from_fn::<_, 6, _>(|_| none())));
        }
    }
    finish(table, &[0, 3, 7, 9, 10])
}

fn lib(rows: &[LibRow]) -> String {
    let mut table = table(["ISP", "FEC", "peer", "binding", "label", "in use", "state"]);
    for row in rows {
        let received = row.side == api::BindingSide::Received;
        table.add_row([
            row.fec.isp_name.clone().unwrap_or_else(none),
            row.fec.prefix.to_string(),
            row.peer.to_string(),
            if received { "received" } else { "sent" }.to_owned(),
            row.label.to_string(),
            if !received { none() } else { if row.in_use { "yes" } else { "no" }.to_owned() },
            if row.stale { "stale" } else { "" }.to_owned(),
        ]);
    }
    finish(table, &[4])
}

fn neighbors(rows: &[Neighbor]) -> String {
    let mut table = table(["kind", "address", "via", "MAC address", "state", "for", ""]);
    for row in rows {
        let kind = match row.kind {
            api::NeighborKind::Ldp => "ldp",
            api::NeighborKind::Handoff => "handoff",
            api::NeighborKind::Backbone => "backbone",
            api::NeighborKind::Subscriber => "subscriber",
        };
        table.add_row([
            kind.to_owned(),
            row.address.to_string(),
            row.via.join(", "),
            opt(row.mac),
            row.state.clone(),
            row.seconds.map_or_else(none, duration),
            row.detail.clone(),
        ]);
    }
    finish(table, &[5])
}

pub(super) fn adjacencies(rows: &[Adjacency]) -> String {
    let mut table = table(["LDP peer", "Hellos", "port", "from", "left", "hold time"]);
    for row in rows {
        table.add_row([
            row.peer.to_string(),
            match row.kind {
                AdjacencyKind::Link => "link",
                AdjacencyKind::Targeted => "targeted",
            }
            .to_owned(),
            row.port.clone().unwrap_or_else(none),
            row.source.to_string(),
            row.left.map_or_else(|| "for ever".to_owned(), duration),
            row.hold.map_or_else(|| "for ever".to_owned(), duration),
        ]);
    }
    finish(table, &[4, 5])
}

fn subscribers(rows: &[api::Subscriber]) -> String {
    let mut table = table(["subscriber", "ISP", "port", "VLAN", "prefixes", "plan", "MAC address", ""]);
    for row in rows {
        let prefixes: Vec<_> = row.prefixes.iter().map(ToString::to_string).collect();
        table.add_row([
            row.subscriber.clone(),
            row.isp_name.clone(),
            row.port.clone(),
            row.tags.to_string(),
            prefixes.join(" "),
            opt(row.plan.as_deref()),
            opt(row.mac),
            match (row.leaving_for, row.mac, row.mac_configured) {
                (Some(seconds), ..) => format!("leaving, {seconds} s more"),
                (_, None, _) => String::new(),
                (_, _, true) => "configured".to_owned(),
                (_, _, false) => "learned".to_owned(),
            },
        ]);
    }
    finish(table, &[])
}

fn counters(counters: &Counters) -> String {
    let header =
        ["ISP", "where", "packets", "octets", "received", "originated", "fragments", "consumed", "dropped"];
    let mut isps = table(header);
    for row in &counters.isps {
        let points = [
            ("headend, to ISP", row.headend_to_isp),
            ("headend, to subscriber", row.headend_to_subscriber),
            ("tailend, to ISP", row.tailend_to_isp),
            ("tailend, to subscriber", row.tailend_to_subscriber),
        ];
        let mut used: Vec<_> = points.into_iter().filter(|(_, at)| *at != Account::default()).collect();
        if used.is_empty() {
            used.push(("", Account::default()));
        }
        for (place, at) in used {
            let Account { received, sent, originated, extra_fragments, dropped, consumed } = at;
            let numbers = [
                sent.packets,
                sent.octets,
                received.packets,
                originated.packets,
                extra_fragments.packets,
                consumed.packets,
                dropped.packets,
            ];
            let words = [row.isp_name.clone(), place.to_owned()];
            isps.add_row(words.into_iter().chain(numbers.map(|number| number.to_string())));
        }
    }
    let header = [
        "port",
        "rx frames",
        "rx octets",
        "tx frames",
        "tx octets",
        "switched",
        "punted",
        "originated",
        "consumed",
        "drops",
    ];
    let mut ports = table(header);
    for row in &counters.ports {
        let numbers = [
            row.rx_frames,
            row.rx_octets,
            row.tx_frames,
            row.tx_octets,
            row.switched_packets,
            row.punted,
            row.originated,
            row.consumed,
            row.drops,
        ];
        ports.add_row(std::iter::once(row.port.clone()).chain(numbers.map(|number| number.to_string())));
    }
    format!("{}\n{}", finish(isps, &[2, 3, 4, 5, 6, 7, 8]), finish(ports, &[1, 2, 3, 4, 5, 6, 7, 8, 9]))
}

/// Drops by port and reason; the lab prints them too.
pub(crate) fn drops(rows: &[DropRow]) -> String {
    if rows.is_empty() {
        return "nothing was dropped\n".to_owned();
    }
    let mut table = table(["port", "reason", "frames", "meaning"]);
    for row in rows {
        table.add_row([row.port.clone(), row.reason.clone(), row.frames.to_string(), row.meaning.clone()]);
    }
    finish(table, &[2])
}

fn ports(rows: &[Port]) -> String {
    let mut table = table(["port", "kind", "state", "by", "MAC address", "MTU"]);
    for row in rows {
        let kind = match row.kind {
            contract::PortKind::Access => "access",
            contract::PortKind::Backbone => "backbone",
            contract::PortKind::Handoff => "handoff",
        };
        table.add_row([
            row.port.clone(),
            kind.to_owned(),
            row.state.clone(),
            row.backend.clone().unwrap_or_else(none),
            opt(row.mac),
            opt(row.mtu),
        ]);
    }
    finish(table, &[5])
}

const fn role(role: ServiceRole) -> &'static str {
    match role {
        ServiceRole::ToIsp => "to ISP",
        ServiceRole::ToSubscriber => "to subscriber",
        ServiceRole::Other => "other",
    }
}

const fn operation(operation: FecOperation) -> &'static str {
    match operation {
        FecOperation::Push => "push",
        FecOperation::Swap => "swap",
        FecOperation::Pop => "pop",
    }
}

const fn state(state: FecState) -> &'static str {
    match state {
        FecState::Up => "up",
        FecState::Pending => "pending",
        FecState::HandoffDown => "HANDOFF DOWN",
        FecState::HandoffWaits => "handoff waits",
        FecState::NoRoute => "NO ROUTE",
        FecState::NoLabel => "NO LABEL",
        FecState::NullLabel => "NULL LABEL",
        FecState::Stale => "stale",
        FecState::HeldDown => "held down",
        FecState::SharedLabel => "label of several ISPs",
        FecState::Refused => "refused by forwarder",
    }
}

pub(super) fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}")
}

pub(super) fn none() -> String {
    "-".to_owned()
}

fn opt(value: Option<impl ToString>) -> String {
    value.map_or_else(none, |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_a_date() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_795_452_123, "2026-11-23 16:42:03 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(seconds), expected);
        }
    }

    #[test]
    fn a_fec_row_reads_as_an_operator_expects() {
        let row = FecRow {
            fec: api::Fec {
                prefix: "10.254.1.1/32".parse().unwrap(),
                isp: Some(contract::Asn(64501)),
                isp_name: Some("alpha".to_owned()),
                role: ServiceRole::ToIsp,
            },
            in_label: None,
            operation: FecOperation::Push,
            out_label: Some(contract::Label::new(1016).unwrap()),
            next_hop: Some("10.0.1.2".to_owned()),
            port: Some("bb0".to_owned()),
            state: FecState::Up,
            unverified: false,
        };
        let other = FecRow { unverified: true, ..row.clone() };
        assert_eq!(
            fec(&[row, other]),
            "ISP    FEC            for     in label  operation  out label  next hop  port  state\n\
             alpha  10.254.1.1/32  to ISP         -  push            1016  10.0.1.2  bb0   up\n\
             alpha  10.254.1.1/32  to ISP         -  push            1016  10.0.1.2  bb0   up, unverified\n"
        );
    }

    #[test]
    fn what_a_node_of_another_version_says_is_an_error() {
        assert!(render(ShowWhat::Ports, serde_json::json!([{"port": "bb0"}])).is_err());
    }
}
