//! From text to the model, collecting every problem on the way.
//!
//! Serde would stop at the first problem, so the tables are walked here: what cannot be read is reported, replaced by a
//! placeholder and marked as *poisoned*, and the whole-network checks stay silent about poisoned places.

mod fields;
mod leaf;
mod place;

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::Problem;
use crate::check;
use crate::model::{
    General, Handoff, Headend, IcmpSource, Ipv4Attachment, Ipv6Attachment, Isp, Ldp, LdpNeighbor, Model,
    Node, Pool, Port,
};
use fields::{Fields, Reader};
pub(crate) use place::{Place, Places};

/// The model, as far as the text has one, and all problems; without an error among them, the model holds together.
pub(crate) fn read(text: &str) -> (Option<Model>, Vec<Problem>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return (None, errors.iter().map(|error| syntax(text, error)).collect());
    }
    let mut reader = Reader::new();
    let mut root = Fields::root(table.get_ref());
    let model = Model {
        network: match root.table(&mut reader, "network", "[network]", true) {
            Some(fields) => general(&mut reader, fields),
            None => General {
                name: leaf::placeholder(),
                ttl: Default::default(),
                lsp_mtu: None,
                move_grace: Default::default(),
                subscribers: None,
            },
        },
        ldp: match root.table(&mut reader, "ldp", "[ldp]", false) {
            Some(fields) => ldp(&mut reader, fields),
            None => Ldp::default(),
        },
        nodes: root.each(&mut reader, "node", "[[node]]", true, node),
        isps: root.each(&mut reader, "isp", "[[isp]]", false, isp),
    };
    root.finish(&mut reader);
    let (places, mut problems) = reader.into_parts();
    problems.extend(check::whole_network(&model, &places));
    (Some(model), problems)
}

/// The TOML itself is broken.
fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(text.len()..text.len());
    if let Some((key, value, span)) = unquoted(text, span.start) {
        return Problem::error(format!("`{value}` stands without quotes"))
            .at(span, "text without quotes")
            .help(format!("write `{key} = \"{value}\"`"));
    }
    let message = error.message().lines().next().unwrap_or("this is not TOML").to_owned();
    let help = if message.contains("duplicate key") {
        "remove one of the two; a list of nodes, ports, ISPs … has one `[[…]]` header for each"
    } else {
        "text and addresses stand in quotes, numbers do not: `name = \"head1\"`, `vlan = 100`"
    };
    Problem::error(message).at(span, "here").help(help)
}

/// The commonest mistake: key and value of the line that has this octet, if the value is a word or an address without
/// quotes.
fn unquoted(text: &str, at: usize) -> Option<(&str, &str, Range<usize>)> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(start..)?.lines().next()?;
    let (key, rest) = line.split_once('=')?;
    let value = rest.trim_start();
    let from = start + line.len() - value.len();
    let value = value.split(['#', ' ', '\t']).next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '/' | '-' | '_');
    let text_like = |c: char| c.is_ascii_alphabetic() || matches!(c, '.' | ':' | '/');
    let word = !value.is_empty() && value.chars().all(plain) && value.chars().any(text_like);
    (word && DeValue::parse(value).is_err()).then(|| (key.trim(), value, from..from + value.len()))
}

fn general(reader: &mut Reader, mut fields: Fields<'_, '_>) -> General {
    let general = General {
        name: fields.required(reader, "name"),
        ttl: fields.optional(reader, "ttl").unwrap_or_default(),
        lsp_mtu: fields.optional(reader, "lsp_mtu"),
        move_grace: fields.optional(reader, "move_grace").unwrap_or_default(),
        subscribers: fields.optional(reader, "subscribers"),
    };
    fields.finish(reader);
    general
}

fn ldp(reader: &mut Reader, mut fields: Fields<'_, '_>) -> Ldp {
    let ldp = Ldp {
        hello_hold: fields.optional(reader, "hello_hold"),
        targeted_hello_hold: fields.optional(reader, "targeted_hello_hold"),
        keepalive: fields.optional(reader, "keepalive"),
        neighbors: fields.optional(reader, "neighbors").unwrap_or_default(),
        session_protection: fields.optional(reader, "session_protection").unwrap_or_default(),
        transport_preference: fields.optional(reader, "transport_preference").unwrap_or_default(),
        control: fields.optional(reader, "control").unwrap_or_default(),
        retention: fields.optional(reader, "retention").unwrap_or_default(),
        loop_detection: fields.optional(reader, "loop_detection").unwrap_or_default(),
        max_pdu_length: fields.optional(reader, "max_pdu_length"),
    };
    fields.finish(reader);
    ldp
}

fn ldp_neighbor(reader: &mut Reader, mut fields: Fields<'_, '_>) -> LdpNeighbor {
    let neighbor = LdpNeighbor {
        lsr_id: fields.required(reader, "lsr_id"),
        password_file: fields.optional(reader, "password_file"),
        gtsm: fields.optional(reader, "gtsm").unwrap_or_default(),
        targeted: fields.optional(reader, "targeted").unwrap_or_default(),
        transport_address: fields.optional(reader, "transport_address"),
        session_protection: fields.optional(reader, "session_protection"),
        advertisement: fields.optional(reader, "advertisement").unwrap_or_default(),
        accept: fields.optional(reader, "accept"),
        advertise: fields.optional(reader, "advertise"),
        max_bindings: fields.optional(reader, "max_bindings"),
        shut: fields.optional(reader, "shut").unwrap_or_default(),
    };
    fields.finish(reader);
    neighbor
}

fn node(reader: &mut Reader, mut fields: Fields<'_, '_>) -> Node {
    let node = Node {
        name: fields.required(reader, "name"),
        lsr_id: fields.required(reader, "lsr_id"),
        transport_address: fields.optional(reader, "transport_address"),
        transport_address_v6: fields.optional(reader, "transport_address_v6"),
        labels: fields.optional(reader, "labels").unwrap_or_default(),
        ports: fields.each(reader, "port", "[[node.port]]", true, port),
        ldp_neighbors: fields.each(reader, "ldp_neighbor", "[[node.ldp_neighbor]]", false, ldp_neighbor),
    };
    fields.finish(reader);
    node
}

fn port(reader: &mut Reader, mut fields: Fields<'_, '_>) -> Port {
    let port = Port { name: fields.required(reader, "name"), kind: fields.required(reader, "kind") };
    fields.finish(reader);
    port
}

fn isp(reader: &mut Reader, mut fields: Fields<'_, '_>) -> Isp {
    let isp = Isp {
        asn: fields.required(reader, "asn"),
        name: fields.required(reader, "name"),
        clamp_mss: fields.optional(reader, "clamp_mss").unwrap_or_default(),
        icmp_sources: fields.each(reader, "icmp_source", "[[isp.icmp_source]]", false, icmp_source),
        handoffs: fields.each(reader, "handoff", "[[isp.handoff]]", false, handoff),
        headends: fields.each(reader, "headend", "[[isp.headend]]", false, headend),
    };
    fields.finish(reader);
    isp
}

fn icmp_source(reader: &mut Reader, mut fields: Fields<'_, '_>) -> IcmpSource {
    let source = IcmpSource {
        node: fields.required(reader, "node"),
        ipv4: fields.optional(reader, "ipv4"),
        ipv6: fields.optional(reader, "ipv6"),
    };
    fields.finish(reader);
    source
}

fn handoff(reader: &mut Reader, mut fields: Fields<'_, '_>) -> Handoff {
    let handoff = Handoff {
        node: fields.required(reader, "node"),
        port: fields.required(reader, "port"),
        vlan: fields.optional(reader, "vlan"),
        fec: fields.required(reader, "fec"),
        preference: fields.optional(reader, "preference").unwrap_or_default(),
        ipv4: fields.table(reader, "ipv4", "ipv4", false).map(|mut fields| {
            let attachment = Ipv4Attachment {
                address: fields.required(reader, "address"),
                next_hop: fields.required(reader, "next_hop"),
            };
            fields.finish(reader);
            attachment
        }),
        ipv6: fields.table(reader, "ipv6", "ipv6", false).map(|mut fields| {
            let attachment = Ipv6Attachment {
                address: fields.required(reader, "address"),
                next_hop: fields.required(reader, "next_hop"),
            };
            fields.finish(reader);
            attachment
        }),
    };
    fields.finish(reader);
    handoff
}

fn headend(reader: &mut Reader, mut fields: Fields<'_, '_>) -> Headend {
    let headend = Headend {
        node: fields.required(reader, "node"),
        return_address: fields.required(reader, "return_address"),
        pools: fields.each(reader, "pool", "[[isp.headend.pool]]", true, pool),
    };
    fields.finish(reader);
    headend
}

fn pool(reader: &mut Reader, mut fields: Fields<'_, '_>) -> Pool {
    let pool =
        Pool { prefix: fields.required(reader, "prefix"), gateway: fields.required(reader, "gateway") };
    fields.finish(reader);
    pool
}
