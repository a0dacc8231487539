//! A plan as an operator writes it: network file and file of subscribers.

use std::fmt::Write;

use super::plan::{Behind, Modes, Plan, Tags, lsr_id, service_address};

/// The name of the file of subscribers.
pub(super) const SUBSCRIBERS: &str = "subscribers.csv";

/// The network file.
pub(super) fn network(plan: &Plan) -> String {
    let mut text = String::from("[network]\nname = \"simulated\"\n");
    if !plan.stored {
        let _ = writeln!(text, "subscribers = \"{SUBSCRIBERS}\"");
    }
    let terms = &plan.terms;
    text.push_str(if terms.uniform { "ttl = \"uniform\"\n" } else { "" });
    for (key, value) in [("lsp_mtu", terms.lsp_mtu), ("move_grace", terms.move_grace)] {
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    ldp(&mut text, &plan.modes);
    for (number, node) in plan.nodes.iter().enumerate() {
        let (first, last) = node.labels;
        let _ = writeln!(text, "[[node]]\nname = \"n{number}\"\nlsr_id = \"{}\"", lsr_id(number));
        let _ = writeln!(text, "labels = [{first}, {last}]");
        let here = node.ports.iter().enumerate().filter(|(port, _)| !terms.absent.contains(&(number, *port)));
        let mut ports: Vec<_> = here.map(|(_, port)| port).collect();
        if terms.turned {
            ports.reverse();
        }
        for (name, behind) in ports {
            let kind = match behind {
                Behind::Cable(..) | Behind::Stranger => "backbone",
                Behind::Access => "access",
                Behind::Handoff => "handoff",
            };
            let _ = writeln!(text, "[[node.port]]\nname = \"{name}\"\nkind = \"{kind}\"");
        }
        for (_, other) in plan.modes.on_demand.iter().filter(|(node, _)| *node == number) {
            let other = lsr_id(*other);
            let _ =
                writeln!(text, "[[node.ldp_neighbor]]\nlsr_id = \"{other}\"\nadvertisement = \"on_demand\"");
        }
    }
    let gateway = if terms.last_gateway { 254 } else { 1 };
    for (number, isp) in plan.isps.iter().enumerate() {
        if isp.doors.is_empty() && isp.headends.is_empty() {
            continue;
        }
        let _ = writeln!(text, "[[isp]]\nasn = {0}\nname = \"as{0}\"", isp.asn);
        text.push_str(if terms.clamped.contains(&number) { "clamp_mss = true\n" } else { "" });
        for door in &isp.doors {
            let (node, link) = (door.line.node, door.link);
            let port = &plan.nodes[node].ports[door.line.port].0;
            let _ = writeln!(text, "[[isp.handoff]]\nnode = \"n{node}\"\nport = \"{port}\"");
            if let Tags::Vlan(vlan) = door.line.tags {
                let _ = writeln!(text, "vlan = {vlan}");
            }
            let _ =
                writeln!(text, "fec = \"{}\"\npreference = {}", service_address(door.fec), door.preference);
            if door.ipv4 {
                let (ours, next_hop) = (link * 4 + 1, link * 4 + 2);
                let _ = writeln!(
                    text,
                    "ipv4 = {{ address = \"192.0.2.{ours}/30\", next_hop = \"192.0.2.{next_hop}\" }}"
                );
            }
            if door.ipv6 {
                let _ = writeln!(
                    text,
                    "ipv6 = {{ address = \"2001:db8:f:{link}::1/64\", next_hop = \"2001:db8:f:{link}::2\" }}"
                );
            }
        }
        for &(node, address) in &isp.headends {
            let address = service_address(address);
            let _ = writeln!(text, "[[isp.headend]]\nnode = \"n{node}\"\nreturn_address = \"{address}\"");
            let _ = writeln!(
                text,
                "[[isp.headend.pool]]\nprefix = \"100.64.{node}.0/24\"\ngateway = \"100.64.{node}.{gateway}\""
            );
            let site = 0x100 + node;
            let _ = writeln!(
                text,
                "[[isp.headend.pool]]\nprefix = \"2001:db8:{site:x}::/48\"\ngateway = \"2001:db8:{site:x}::{gateway}\""
            );
        }
    }
    text
}

fn ldp(text: &mut String, modes: &Modes) {
    text.push_str("[ldp]\n");
    text.push_str(if modes.independent { "control = \"independent\"\n" } else { "" });
    text.push_str(if modes.conservative { "retention = \"conservative\"\n" } else { "" });
    let hops = modes.hops.map(u16::from);
    for (key, value) in [("loop_detection", hops), ("max_pdu_length", modes.max_pdu_length)] {
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
}

/// The file of subscribers.
pub(super) fn subscribers(plan: &Plan) -> String {
    let mut text = String::from("subscriber,node,port,outer_vlan,inner_vlan,mac,isp,prefixes\n");
    for customer in &plan.customers {
        let node = customer.line.node;
        let port = &plan.nodes[node].ports[customer.line.port].0;
        let (outer, inner) = match customer.line.tags {
            Tags::Untagged => (String::new(), String::new()),
            Tags::Vlan(vlan) => (vlan.to_string(), String::new()),
            Tags::Double(outer, inner) => (outer.to_string(), inner.to_string()),
        };
        let mac: Vec<_> = customer.mac.iter().map(|octet| format!("{octet:02x}")).collect();
        let mac = if customer.mac_configured { mac.join(":") } else { String::new() };
        let asn = plan.isps[customer.isp].asn;
        let mut prefixes = format!("100.64.{node}.{}", customer.host);
        if customer.ipv6 {
            let _ = write!(prefixes, " 2001:db8:{:x}:{:x}::/64", 0x100 + node, customer.host);
        }
        let _ = writeln!(text, "{},n{node},{port},{outer},{inner},{mac},{asn},{prefixes}", customer.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::random::Random;

    #[test]
    fn every_random_network_is_one_that_the_parser_takes() {
        for seed in 0..300 {
            let plan = Plan::random(&mut Random::new(seed));
            let text = network(&plan);
            let network = network::Network::parse("simulated.toml", &text)
                .unwrap_or_else(|report| panic!("seed {seed}: {}\n{text}", report.render(false)));
            let facts = crate::site::facts(&network, None);
            let rows = subscribers(&plan);
            if let Err(errors) = subscriber::check(&rows, &facts) {
                panic!("seed {seed}: {errors:?}\n{rows}");
            }
        }
    }
}
