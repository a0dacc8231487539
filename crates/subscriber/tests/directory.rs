//! Look-ups, learned Ethernet addresses, and a directory of many.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use contract::{
    Asn, Binding, BindingKey, Change, Circuit, IspPrefix, MacAddr, PortId, PortKind, VlanId, VlanTags,
};
use ipnet::IpNet;
use proptest::prelude::*;
use subscriber::{Directory, Facts, HEADER};

const ALPHA: Asn = Asn(64501);
const BETA: Asn = Asn(64502);
const SHARED: Circuit = Circuit { port: PortId(2), tags: VlanTags::None };
const LINE1: Circuit = Circuit { port: PortId(3), tags: VlanTags::None };
const LINE2: Circuit = Circuit { port: PortId(4), tags: VlanTags::None };

fn facts() -> Facts {
    let mut facts = Facts::new();
    facts.add_port("head1", "dslam0", PortId(2), PortKind::Access);
    facts.add_port("head1", "line1", PortId(3), PortKind::Access);
    facts.add_port("head1", "line2", PortId(4), PortKind::Access);
    for (isp, name, v6) in [(ALPHA, "alpha", "2001:db8:a::"), (BETA, "beta", "2001:db8:b::")] {
        facts.add_isp(isp, name);
        facts.add_pool("head1", isp, "100.64.0.0/10".parse().unwrap(), address("100.64.0.1"));
        facts.add_pool("head1", isp, format!("{v6}/48").parse().unwrap(), address(&format!("{v6}1")));
    }
    facts
}

fn directory(rows: &[&str]) -> Directory {
    let text = format!("{}\n{}\n", HEADER.join(","), rows.join("\n"));
    Directory::read("head1", &text, &facts()).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// The subscribers of the lab.
fn lab() -> Directory {
    let text = include_str!("../../../examples/lab-subscribers.csv");
    Directory::read("head1", text, &facts()).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn prefix(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

/// The Ethernet address that each change sets, by prefix.
fn macs(changes: impl IntoIterator<Item = Change>) -> BTreeMap<String, Option<MacAddr>> {
    let mac = |change| match change {
        Change::Binding(key, Some(binding)) => (key.prefix.prefix.to_string(), binding.mac),
        other => panic!("{other:?}"),
    };
    changes.into_iter().map(mac).collect()
}

#[test]
fn subscribers_have_numbers_in_the_order_of_the_file() {
    let directory = lab();
    let names: Vec<_> = directory.subscribers().map(|(id, name)| (id.0, name)).collect();
    assert_eq!(names, [(0, "anna"), (1, "bert"), (2, "carl"), (3, "dora"), (4, "emil")]);
    let dora = directory.id("dora").unwrap();
    assert_eq!(directory.name(dora), Some("dora"));
    assert_eq!(directory.id("fred"), None);
    assert_eq!(directory.bindings().count(), 10);
    let first = Change::Binding(
        BindingKey { circuit: SHARED, prefix: IspPrefix { isp: ALPHA, prefix: prefix("100.64.0.11/32") } },
        Some(Binding {
            subscriber: directory.id("anna").unwrap(),
            mac: None,
            verify_mac: false,
            leaving: false,
        }),
    );
    assert_eq!(directory.bindings().next(), Some(first));
}

#[test]
fn a_circuit_and_a_source_tell_the_subscriber_and_the_isp() {
    let directory = lab();
    let who = |circuit, text| {
        let bound = directory.binding(circuit, address(text))?;
        Some((directory.name(bound.subscriber)?, bound.isp))
    };
    assert_eq!(who(SHARED, "100.64.0.11"), Some(("anna", ALPHA)));
    assert_eq!(who(SHARED, "100.64.0.12"), Some(("bert", BETA)));
    assert_eq!(who(SHARED, "2001:db8:a:13::7"), Some(("carl", ALPHA)));
    assert_eq!(who(LINE1, "100.64.0.20"), Some(("dora", ALPHA)));
    assert_eq!(who(LINE2, "100.64.0.20"), Some(("emil", BETA)));
    assert_eq!(who(LINE2, "2001:db8:a:20::1"), None, "dora's, on another line");
    assert_eq!(who(SHARED, "100.64.0.20"), None);
    assert_eq!(who(SHARED, "100.64.0.1"), None);
    let tagged = Circuit { port: PortId(2), tags: VlanTags::Single(VlanId::new(7).unwrap()) };
    assert_eq!(who(tagged, "100.64.0.11"), None);
}

#[test]
fn an_isp_and_a_destination_tell_the_circuit() {
    let directory = lab();
    let place = |isp, text| directory.locate(isp, address(text)).map(|bound| (bound.circuit, bound.prefix));
    assert_eq!(place(ALPHA, "100.64.0.20"), Some((LINE1, prefix("100.64.0.20/32"))));
    assert_eq!(place(BETA, "100.64.0.20"), Some((LINE2, prefix("100.64.0.20/32"))));
    assert_eq!(place(BETA, "2001:db8:b:12:ffff::"), Some((SHARED, prefix("2001:db8:b:12::/64"))));
    assert_eq!(place(BETA, "100.64.0.11"), None, "alpha's");
    assert_eq!(place(Asn(1), "100.64.0.11"), None);
}

#[test]
fn pools_and_gateways_are_those_of_the_node() {
    let directory = lab();
    assert_eq!(directory.pool(ALPHA, address("100.64.9.9")).unwrap().gateway, address("100.64.0.1"));
    assert_eq!(directory.pool(ALPHA, address("2001:db8:b::7")), None);
    assert!(
        directory.is_gateway(address("2001:db8:b::1")) && !directory.is_gateway(address("2001:db8:b::2"))
    );
    let elsewhere = Directory::new("tail1", &facts());
    assert!(
        elsewhere.pool(ALPHA, address("100.64.9.9")).is_none()
            && !elsewhere.is_gateway(address("100.64.0.1"))
    );
}

#[test]
fn a_station_is_known_by_its_circuit_or_by_a_configured_address_only() {
    let directory = directory(&[
        "anna,head1,dslam0,,,02:00:00:00:00:01,64501,100.64.0.11",
        "bert,head1,dslam0,,,,64502,100.64.0.12",
        "dora,head1,line1,,,,64501,100.64.0.20",
        "emil,head1,line2,,,02:00:00:00:00:05,64502,100.64.0.20",
    ]);
    let who =
        |circuit, mac| directory.station(circuit, mac).and_then(|service| directory.name(service.subscriber));
    assert_eq!(who(SHARED, mac(1)), Some("anna"));
    assert_eq!(who(SHARED, mac(2)), None, "bert's or anybody's");
    assert_eq!(who(LINE1, mac(9)), Some("dora"));
    assert_eq!(who(LINE2, mac(5)), Some("emil"));
    assert_eq!(who(LINE2, mac(9)), None, "not emil's");
}

#[test]
fn what_is_learned_for_one_prefix_is_lent_to_the_others_until_they_have_their_own() {
    let mut directory = directory(&[
        "anna,head1,dslam0,,,,64501,100.64.0.11 2001:db8:a:11::/64",
        "anna,head1,dslam0,,,,64502,100.64.0.12",
        "carl,head1,dslam0,,,,64501,100.64.0.13",
    ]);
    let (v4, v6, other) = (prefix("100.64.0.11/32"), prefix("2001:db8:a:11::/64"), prefix("100.64.0.12/32"));
    let all = [v4, v6, other].map(|prefix| (prefix.to_string(), Some(mac(1)))).into();
    assert_eq!(macs(directory.learned(SHARED, v4, mac(1))), all);
    assert!(directory.learned(SHARED, v4, mac(1)).is_empty(), "nothing new");
    assert_eq!(directory.binding(SHARED, address("2001:db8:a:11::9")).unwrap().mac, Some(mac(1)));
    assert_eq!(directory.binding(SHARED, address("100.64.0.13")).unwrap().mac, None, "carl is somebody else");

    // The IPv6 prefix has a station of its own, which is now lent to the prefix that has none.
    let own = [v6, other].map(|prefix| (prefix.to_string(), Some(mac(6)))).into();
    assert_eq!(macs(directory.learned(SHARED, v6, mac(6))), own);
    // It goes: what is still known takes its place.
    let back = [v6, other].map(|prefix| (prefix.to_string(), Some(mac(1)))).into();
    assert_eq!(macs(directory.lost(SHARED, v6, mac(6))), back);
    assert!(directory.lost(SHARED, v4, mac(9)).is_empty(), "not the one that is known");
    let none = [v4, v6, other].map(|prefix| (prefix.to_string(), None)).into();
    assert_eq!(macs(directory.lost(SHARED, v4, mac(1))), none);
}

#[test]
fn a_configured_address_never_gives_way_and_what_is_not_bound_is_not_learned() {
    let mut directory = directory(&[
        "anna,head1,dslam0,,,02:00:00:00:00:01,64501,100.64.0.11",
        "bert,head1,dslam0,,,,64502,100.64.0.12",
    ]);
    assert!(directory.learned(SHARED, prefix("100.64.0.11/32"), mac(9)).is_empty());
    assert!(directory.lost(SHARED, prefix("100.64.0.11/32"), mac(1)).is_empty());
    let bound = directory.binding(SHARED, address("100.64.0.11")).unwrap();
    assert_eq!((bound.configured, bound.mac), (Some(mac(1)), Some(mac(1))));
    assert!(matches!(
        directory.bindings().next(),
        Some(Change::Binding(_, Some(Binding { verify_mac: true, .. })))
    ));

    assert!(directory.learned(LINE1, prefix("100.64.0.12/32"), mac(2)).is_empty(), "not on that circuit");
    assert!(directory.learned(SHARED, prefix("100.64.0.0/24"), mac(2)).is_empty(), "not a bound prefix");
    assert_eq!(directory.learned(SHARED, prefix("100.64.0.12/32"), mac(2)).len(), 1);
}

#[test]
fn a_restarted_control_takes_over_what_the_forwarder_holds() {
    let mut before = lab();
    before.learned(SHARED, prefix("100.64.0.11/32"), mac(1));
    let mut after = lab();
    for change in before.bindings() {
        if let Change::Binding(key, Some(Binding { mac: Some(mac), .. })) = change {
            after.restore(&key, mac);
        }
    }
    assert_eq!(before.bindings().collect::<Vec<_>>(), after.bindings().collect::<Vec<_>>());
    // A key of an earlier file means nothing.
    let gone =
        BindingKey { circuit: LINE2, prefix: IspPrefix { isp: ALPHA, prefix: prefix("100.64.0.11/32") } };
    after.restore(&gone, mac(9));
    assert_eq!(before.bindings().collect::<Vec<_>>(), after.bindings().collect::<Vec<_>>());
}

/// A line per subscriber under two tags, and each has an IPv4 address and an IPv6 prefix.
fn many(count: u32) -> String {
    let mut text = HEADER.join(",") + "\n";
    for n in 0..count {
        let v4 = Ipv4Addr::from(u32::from(Ipv4Addr::new(100, 64, 1, 0)) + n);
        let (outer, inner) = (1 + n / 4000, 1 + n % 4000);
        let v6 = format!("2001:db8:a:{:x}:{:x}::/80", 1 + n / 65536, n % 65536);
        text.push_str(&format!("line-{n},head1,dslam0,{outer},{inner},,64501,{v4} {v6}\n"));
    }
    text
}

#[test]
fn a_hundred_thousand_subscribers_are_each_found() {
    let count = 100_000;
    let mut directory = Directory::read("head1", &many(count), &facts()).unwrap();
    assert_eq!(directory.service_count(), count as usize);
    for n in (0..count).step_by(997) {
        let v4 = IpAddr::from(Ipv4Addr::from(u32::from(Ipv4Addr::new(100, 64, 1, 0)) + n));
        let bound = directory.locate(ALPHA, v4).unwrap();
        assert_eq!(directory.name(bound.subscriber), Some(format!("line-{n}").as_str()));
        assert_eq!(directory.binding(bound.circuit, v4), Some(bound));
        assert_eq!(directory.learned(bound.circuit, bound.prefix, mac(1)).len(), 2);
    }
}

/// One circuit that has everybody on it must not make each look-up slower.
#[test]
fn a_shared_circuit_may_have_everybody_on_it() {
    let mut text = HEADER.join(",") + "\n";
    for n in 0..50_000_u32 {
        let v4 = Ipv4Addr::from(u32::from(Ipv4Addr::new(100, 64, 1, 0)) + n);
        let isp = if n % 2 == 0 { 64501 } else { 64502 };
        text.push_str(&format!("host-{n},head1,dslam0,,,,{isp},{v4}\n"));
    }
    let mut directory = Directory::read("head1", &text, &facts()).unwrap();
    for n in 0..50_000_u32 {
        let v4 = IpAddr::from(Ipv4Addr::from(u32::from(Ipv4Addr::new(100, 64, 1, 0)) + n));
        let bound = directory.binding(SHARED, v4).unwrap();
        assert_eq!(bound.isp, if n % 2 == 0 { ALPHA } else { BETA });
        assert_eq!(directory.learned(SHARED, bound.prefix, mac(1)).len(), 1);
        assert!(directory.station(SHARED, mac(1)).is_none());
    }
}

/// What a random file says, looked up by walking through all of it.
#[derive(Clone, Debug)]
struct Plain {
    circuit: Circuit,
    isp: Asn,
    prefix: IpNet,
}

proptest! {
    /// Random rows are taken or refused as by a directory that compares each with all others; look-ups agree too.
    #[test]
    fn the_directory_agrees_with_a_plain_list(
        rows in prop::collection::vec((0..3u8, any::<bool>(), 0..32u32, 27..=32u8), 1..24),
        probes in prop::collection::vec((0..3u8, any::<bool>(), 0..32u32), 32),
    ) {
        let base = u32::from(Ipv4Addr::new(100, 70, 0, 0));
        let circuit = |line: u8| [SHARED, LINE1, LINE2][usize::from(line)];
        let isp = |beta| if beta { BETA } else { ALPHA };
        let mut plain: Vec<Plain> = Vec::new();
        let mut text = HEADER.join(",") + "\n";
        let mut expected = Vec::new();
        for (n, (line, beta, host, length)) in rows.into_iter().enumerate() {
            let prefix = IpNet::new(Ipv4Addr::from(base + host).into(), length).unwrap().trunc();
            let overlaps = |other: &Plain| other.prefix.contains(&prefix) || prefix.contains(&other.prefix);
            let in_the_way = |other: &Plain| {
                overlaps(other) && (other.isp == isp(beta) || other.circuit == circuit(line))
            };
            let taken = plain.iter().any(in_the_way);
            expected.push(taken);
            if !taken {
                plain.push(Plain { circuit: circuit(line), isp: isp(beta), prefix });
            }
            let port = ["dslam0", "line1", "line2"][usize::from(line)];
            text.push_str(&format!("s{n},head1,{port},,,,{},{prefix}\n", isp(beta).0));
        }
        let refused = match subscriber::check(&text, &facts()) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(|error| error.line as usize - 2).collect(),
        };
        let wrong: Vec<_> = expected.iter().enumerate().filter(|(_, taken)| **taken).map(|(n, _)| n).collect();
        prop_assert_eq!(&refused, &wrong, "{}", text);

        let kept = text.lines().enumerate().filter(|(n, _)| *n == 0 || !expected[n - 1]);
        let kept: String = kept.map(|(_, line)| format!("{line}\n")).collect();
        let directory = Directory::read("head1", &kept, &facts()).unwrap();
        for (line, beta, host) in probes {
            let address = IpAddr::from(Ipv4Addr::from(base + host));
            let on_circuit = plain.iter().find(|p| p.circuit == circuit(line) && p.prefix.contains(&address));
            let found = directory.binding(circuit(line), address);
            prop_assert_eq!(found.map(|b| (b.isp, b.prefix)), on_circuit.map(|p| (p.isp, p.prefix)));
            let in_isp = plain.iter().find(|p| p.isp == isp(beta) && p.prefix.contains(&address));
            let found = directory.locate(isp(beta), address);
            prop_assert_eq!(found.map(|b| (b.circuit, b.prefix)), in_isp.map(|p| (p.circuit, p.prefix)));
        }
    }

    /// Whatever a file holds, there is an answer, and every place it points at is in the file.
    #[test]
    fn any_text_is_read_or_refused(text in "([a-z0-9:./,\" \r\n#é-]{0,200})", good_header in any::<bool>()) {
        let text = if good_header { format!("{}\n{text}", HEADER.join(",")) } else { text };
        if let Err(errors) = subscriber::check(&text, &facts()) {
            for error in errors {
                prop_assert!(text.get(error.span.clone()).is_some(), "{error:?}");
                prop_assert!(error.line >= 1 && error.column >= 1);
            }
        }
    }
}
