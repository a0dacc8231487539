//! Networks that hold together: the examples as their nodes see them, and random ones.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU8, NonZeroU32};

use contract::{Asn, Circuit, Fec, IspPrefix, Label, PortId, PortKind, TtlModel, VlanId, VlanTags};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use network::model::{
    General, GtsmMode, Handoff, Headend, IcmpSource, Ipv4Attachment, Ipv6Attachment, Isp, LabelAdvertisement,
    LabelControl, LabelRetention, Ldp, LdpNeighbor, LdpTime, LoopDetection, Model, Node, PduLength, Pool,
    Port, Prefixes, SessionProtection, TargetedMode, TransportPreference, WantedNeighbors,
};
use network::{FecKind, LabelRange, LspMtu, MoveGrace, Network, Preference};
use proptest::prelude::*;

fn example(name: &str) -> Network {
    let file = format!("{}/../../examples/{name}", env!("CARGO_MANIFEST_DIR"));
    Network::load(file).unwrap_or_else(|report| panic!("{report}\n{}", report.render(false)))
}

fn fec(text: &str) -> Fec {
    Fec(text.parse().unwrap())
}

#[test]
fn the_examples_hold_together_without_a_warning() {
    for name in ["lab.toml", "three-machines.toml"] {
        let network = example(name);
        assert!(network.warnings().is_empty(), "{}", network.warnings().render(false));
        assert!(network.subscribers_file().unwrap().exists());
    }
}

#[test]
fn a_headend_sees_its_isps_and_their_fecs() {
    let view = example("lab.toml").node("head1").unwrap();
    assert_eq!(view.lsr_id, Ipv4Addr::new(10, 255, 0, 1));
    assert_eq!((view.transport_address, view.transport_address_v6), (Some(view.lsr_id), None));
    assert_eq!((view.labels.first().value(), view.labels.last().value()), (100000, 199999));
    let labels = example("three-machines.toml").node("head1").unwrap().labels;
    assert_eq!((labels.first().value(), labels.last().value()), (16, 1_048_575), "unless told otherwise");
    assert_eq!(view.ports_of(PortKind::Access).map(|(id, _)| id.0).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(view.port("line1").unwrap().0, PortId(3));
    assert!(view.handoffs.is_empty() && view.return_routes.is_empty());

    let [alpha, beta] = view.headends.as_slice() else { panic!("{:?}", view.headends) };
    assert_eq!((alpha.isp, alpha.return_fec), (Asn(64501), fec("10.254.2.1/32")));
    let fecs: Vec<_> =
        alpha.fecs.iter().map(|f| (f.fec, f.preference.value(), f.tailends[0].as_str())).collect();
    assert_eq!(fecs, [(fec("10.254.1.1/32"), 100, "tail1"), (fec("10.254.1.2/32"), 100, "tail2")]);
    assert_eq!(
        alpha.pools[0],
        Pool { prefix: "100.64.0.0/24".parse().unwrap(), gateway: "100.64.0.1".parse().unwrap() }
    );
    assert_eq!(beta.pools[0], alpha.pools[0]);
    assert_eq!(view.own_fecs(), [fec("10.254.2.1/32"), fec("10.254.2.2/32")]);
}

#[test]
fn a_tailend_sees_its_handoffs_and_the_ways_back() {
    let view = example("lab.toml").node("tail2").unwrap();
    let handoffs: Vec<_> = view.handoffs.iter().map(|h| (h.circuit.port.0, h.isp.0, h.fec)).collect();
    assert_eq!(handoffs, [(1, 64501, fec("10.254.1.2/32")), (2, 64502, fec("10.254.1.3/32"))]);
    assert!(view.headends.is_empty());
    let routes: Vec<_> =
        view.return_routes.iter().map(|r| (r.prefix.isp.0, r.prefix.prefix.to_string(), r.fec)).collect();
    let (alpha, beta) = (fec("10.254.2.1/32"), fec("10.254.2.2/32"));
    assert_eq!(
        routes,
        [
            (64501, "100.64.0.0/24".to_owned(), alpha),
            (64501, "2001:db8:a::/48".to_owned(), alpha),
            (64502, "100.64.0.0/24".to_owned(), beta),
            (64502, "2001:db8:b::/48".to_owned(), beta),
        ]
    );
    let tail1 = example("lab.toml").node("tail1").unwrap();
    assert!(tail1.return_routes.iter().all(|route| route.prefix.isp == Asn(64501)));
    assert_eq!(tail1.isp_names[&Asn(64502)].as_str(), "beta");
}

#[test]
fn a_handoff_in_a_vlan_is_a_circuit_of_its_own() {
    let view = example("three-machines.toml").node("tail1").unwrap();
    let circuit = |vlan| Circuit { port: PortId(1), tags: VlanTags::Single(VlanId::new(vlan).unwrap()) };
    assert_eq!(view.handoffs.iter().map(|h| h.circuit).collect::<Vec<_>>(), [circuit(100), circuit(200)]);
    assert!(view.handoffs[1].ipv6.is_none());
}

#[test]
fn a_node_knows_what_it_is_to_each_isp_as_a_router() {
    let network = example("lab.toml");
    let addresses = |all: &[&str]| all.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    let of = |node: &str| network.node(node).unwrap().isps;
    for node in ["head1", "transit1", "tail1", "tail2"] {
        let [alpha, beta] = of(node).try_into().unwrap();
        assert_eq!((alpha.isp, beta.isp), (Asn(64501), Asn(64502)));
        assert_eq!(
            beta.config.icmp_sources,
            addresses(&[
                "100.64.0.1",
                "192.0.2.9",
                "192.0.2.66",
                "2001:db8:b::1",
                "2001:db8:f:3::1",
                "2001:db8:f:9::2"
            ])
        );
    }
    // By default a headend's gateway, a tailend's address at the handoff, and nothing where a node is neither.
    assert_eq!(of("head1")[0].config.own, addresses(&["100.64.0.1", "2001:db8:a::1"]));
    assert_eq!(of("head1")[0].config.icmp_source.ipv4, Some(Ipv4Addr::new(100, 64, 0, 1)));
    assert_eq!(of("tail2")[1].config.icmp_source.ipv6, Some("2001:db8:f:3::1".parse().unwrap()));
    assert_eq!(of("tail1")[1].config.own, addresses(&[]));
    assert_eq!(of("tail1")[1].config.icmp_source, contract::IcmpSource::default());
    // What is written comes first, and is the node's own too.
    assert_eq!(of("transit1")[0].config.own, addresses(&["192.0.2.65", "2001:db8:f:9::1"]));
    let text = include_str!("full.toml");
    let full = Network::parse("full.toml", text).unwrap().node("head1").unwrap();
    let config = &full.isps[0].config;
    assert_eq!(config.icmp_source.ipv4, Some(Ipv4Addr::new(198, 51, 100, 65)));
    assert_eq!(config.own, addresses(&["100.64.0.1", "198.51.100.65", "2001:db8:f:9::1"]));
    assert!(config.clamp_mss);
    assert_eq!(full.lsp_mtu.map(LspMtu::device_mtu), Some(1504));
    assert_eq!(full.move_grace.as_secs(), 60);
    let plain = example("three-machines.toml").node("core1").unwrap();
    assert_eq!((plain.move_grace.as_secs(), plain.isps[0].config.clamp_mss), (30, false));
}

#[test]
fn every_node_knows_whose_each_fec_is() {
    let network = example("lab.toml");
    for node in ["head1", "transit1", "tail1", "tail2"] {
        let view = network.node(node).unwrap();
        assert_eq!(view.fecs, network.fecs());
        let owner = view.fec_owner(&fec("10.254.1.2/32")).unwrap();
        assert_eq!((owner.isp, owner.kind, owner.nodes[0].as_str()), (Asn(64501), FecKind::ToIsp, "tail2"));
        let owner = view.fec_owner(&fec("10.254.2.2/32")).unwrap();
        assert_eq!(
            (owner.isp, owner.kind, owner.nodes[0].as_str()),
            (Asn(64502), FecKind::ToSubscriber, "head1")
        );
        assert_eq!(view.fec_owner(&fec("10.255.0.1/32")), None);
    }
    assert!(network.node("nobody").is_none());
}

#[test]
fn one_fec_at_two_tailends_is_one_choice() {
    let text =
        std::fs::read_to_string(format!("{}/../../examples/lab.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let text = text.replace("10.254.1.2\"", "10.254.1.1\"");
    let network =
        Network::parse("lab.toml", &text).unwrap_or_else(|report| panic!("{}", report.render(false)));
    let alpha = &network.node("head1").unwrap().headends[0];
    let [only] = alpha.fecs.as_slice() else { panic!("{:?}", alpha.fecs) };
    assert_eq!(only.tailends.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["tail1", "tail2"]);
    assert_eq!(network.fecs()[&only.fec].nodes.len(), 2);
    // Two preferences for one FEC would make the choice depend on which is looked at.
    let text = text.replacen("fec = \"10.254.1.1\"", "fec = \"10.254.1.1\"\n  preference = 7", 1);
    let report = Network::parse("lab.toml", &text).unwrap_err();
    assert!(report.render(false).contains("one FEC has preference 7 at tail1 and 100 at tail2"));
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_one_problem() {
    let report = Network::load("no/such/file.toml").unwrap_err();
    assert!(report.render(false).contains("cannot read no/such/file.toml"), "{}", report.render(false));
    let file = std::env::temp_dir().join(format!("openmile-not-utf8-{}.toml", std::process::id()));
    std::fs::write(&file, b"[network]\nname = \"\xff\"\n").unwrap();
    let report = Network::load(&file).unwrap_err();
    std::fs::remove_file(&file).unwrap();
    assert!(report.render(false).contains("not UTF-8"), "{}", report.render(false));
}

/// What random networks are made from: sizes and choices, all of which give a network that holds together.
#[derive(Clone, Debug)]
struct Seed {
    headends: u8,
    tailends: u8,
    transits: u8,
    uniform: bool,
    subscribers: bool,
    isps: Vec<IspSeed>,
}

/// For one ISP.
#[derive(Clone, Debug)]
struct IspSeed {
    private: bool,
    preference: u16,
    shared_fec: bool,
    tagged: bool,
    families: u8,
    pools: u8,
    pool_length: u8,
}

fn seeds() -> impl Strategy<Value = Seed> {
    let isp = (any::<bool>(), 1..=u16::MAX, any::<bool>(), any::<bool>(), 1..4u8, 1..4u8, 20..=30u8)
        .prop_map(|(private, preference, shared_fec, tagged, families, pools, pool_length)| IspSeed {
            private,
            preference,
            shared_fec,
            tagged,
            families,
            pools,
            pool_length,
        });
    let isps = proptest::collection::vec(isp, 1..6);
    (1..4u8, 1..4u8, 0..3u8, any::<bool>(), any::<bool>(), isps).prop_map(
        |(headends, tailends, transits, uniform, subscribers, isps)| Seed {
            headends,
            tailends,
            transits,
            uniform,
            subscribers,
            isps,
        },
    )
}

fn node(role: &str, number: u8, kinds: &[PortKind]) -> Node {
    let subnet = match role {
        "head" => 1,
        "tail" => 2,
        _ => 3,
    };
    let port =
        |(index, kind): (usize, &PortKind)| Port { name: format!("p{index}").parse().unwrap(), kind: *kind };
    let label = |value| Label::new(value).unwrap();
    Node {
        name: format!("{role}{number}").parse().unwrap(),
        lsr_id: Ipv4Addr::new(10, 255, subnet, number),
        transport_address: number.is_multiple_of(2).then(|| Ipv4Addr::new(10, 255, 100 + subnet, number)),
        transport_address_v6: number
            .is_multiple_of(3)
            .then(|| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, u16::from(subnet), u16::from(number))),
        labels: if number == 1 {
            LabelRange::new(label(1000), label(5000)).unwrap()
        } else {
            LabelRange::default()
        },
        ports: kinds.iter().enumerate().map(port).collect(),
        ldp_neighbors: (1..number).map(|n| ldp_neighbor(subnet, n, number.is_multiple_of(3))).collect(),
    }
}

fn ldp_neighbor(subnet: u8, number: u8, by_ipv6: bool) -> LdpNeighbor {
    let prefixes = || Prefixes(vec!["10.254.0.0/16".parse().unwrap()]);
    let odd = !number.is_multiple_of(2);
    LdpNeighbor {
        lsr_id: Ipv4Addr::new(10, 255, subnet, number),
        password_file: odd.then(|| "secret".to_owned()),
        gtsm: if odd { GtsmMode::Off } else { GtsmMode::On },
        targeted: if odd { TargetedMode::Answer } else { TargetedMode::Off },
        transport_address: odd.then(|| match by_ipv6 {
            true => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 99, u16::from(number)).into(),
            false => Ipv4Addr::new(10, 255, 99, number).into(),
        }),
        session_protection: Some(if odd { SessionProtection::Seconds(60) } else { SessionProtection::Off }),
        advertisement: if odd { LabelAdvertisement::OnDemand } else { LabelAdvertisement::Unsolicited },
        accept: odd.then(prefixes),
        advertise: (!odd).then(prefixes),
        max_bindings: NonZeroU32::new(u32::from(number)),
        shut: odd,
    }
}

/// IPv4 for every other ISP, and IPv6.
fn fec_address(kind: u8, index: u8, number: u8) -> IpAddr {
    if index.is_multiple_of(2) {
        return IpAddr::from([10, kind, index, number]);
    }
    IpAddr::from([0x2001, 0xdb8, u16::from(kind), u16::from(index), 0, 0, 0, u16::from(number) + 1])
}

fn handoff(index: u8, seed: &IspSeed, tailend: u8) -> Handoff {
    let v4 = Ipv4Addr::new(192, 0, index, tailend * 4 + 1);
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0xf, u16::from(index), u16::from(tailend), 0, 0, 1);
    Handoff {
        node: format!("tail{tailend}").parse().unwrap(),
        port: format!("p{}", if seed.tagged { 1 } else { index + 2 }).parse().unwrap(),
        vlan: seed.tagged.then(|| VlanId::new(100 + u16::from(index)).unwrap()),
        fec: fec_address(254, index, if seed.shared_fec { 0 } else { tailend }),
        preference: Preference::new(seed.preference).unwrap(),
        ipv4: (seed.families & 1 != 0).then(|| Ipv4Attachment {
            address: Ipv4Net::new(v4, 30).unwrap(),
            next_hop: Ipv4Addr::from(u32::from(v4) + 1),
        }),
        ipv6: (seed.families & 2 != 0).then(|| Ipv6Attachment {
            address: Ipv6Net::new(v6, 80).unwrap(),
            next_hop: Ipv6Addr::from(u128::from(v6) + 1),
        }),
    }
}

fn icmp_source(index: u8, seed: &IspSeed, transit: u8) -> IcmpSource {
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0xf, u16::from(index), 0xffff, 0, 0, u16::from(transit));
    IcmpSource {
        node: format!("transit{transit}").parse().unwrap(),
        ipv4: (seed.families & 1 != 0).then(|| Ipv4Addr::new(198, 18, index, transit)),
        ipv6: (seed.families & 2 != 0).then_some(v6),
    }
}

fn headend(index: u8, seed: &IspSeed, number: u8) -> Headend {
    let pool = |pool: u8| {
        if pool == 2 {
            let prefix = Ipv6Addr::new(0x2001, 0xdb8, 0xa, u16::from(number) << 8, 0, 0, 0, 0);
            let gateway = IpAddr::V6(Ipv6Addr::from(u128::from(prefix) + 1));
            return Pool { prefix: IpNet::new(prefix.into(), 56).unwrap(), gateway };
        }
        // The same for all ISPs on purpose.
        let prefix = Ipv4Addr::new(100, 64 + number, pool * 16, 0);
        let gateway = IpAddr::V4(Ipv4Addr::from(u32::from(prefix) + 1));
        Pool { prefix: IpNet::new(prefix.into(), seed.pool_length).unwrap(), gateway }
    };
    Headend {
        node: format!("head{number}").parse().unwrap(),
        return_address: fec_address(253, index, number),
        pools: (0..seed.pools).map(pool).collect(),
    }
}

fn model(seed: &Seed) -> Model {
    let mut at_tail = vec![PortKind::Backbone, PortKind::Handoff];
    at_tail.extend(seed.isps.iter().map(|_| PortKind::Handoff));
    let heads = (1..=seed.headends).map(|n| node("head", n, &[PortKind::Backbone, PortKind::Access]));
    let tails = (1..=seed.tailends).map(|n| node("tail", n, &at_tail));
    let transits = (1..=seed.transits).map(|n| node("transit", n, &[PortKind::Backbone, PortKind::Backbone]));
    let isps = (0u8..).zip(&seed.isps).map(|(index, isp)| Isp {
        asn: Asn(if isp.private { 4_200_000_000 } else { 64_496 } + u32::from(index)),
        name: format!("isp-{index}").parse().unwrap(),
        clamp_mss: isp.tagged,
        icmp_sources: (1..=seed.transits).map(|number| icmp_source(index, isp, number)).collect(),
        handoffs: (1..=seed.tailends).map(|tailend| handoff(index, isp, tailend)).collect(),
        headends: (1..=seed.headends).map(|number| headend(index, isp, number)).collect(),
    });
    Model {
        network: General {
            name: "random".parse().unwrap(),
            ttl: if seed.uniform { TtlModel::Uniform } else { TtlModel::Pipe },
            lsp_mtu: seed.uniform.then(|| LspMtu::new(1280 + u32::from(seed.headends)).unwrap()),
            move_grace: MoveGrace::new(u16::from(seed.tailends)).unwrap(),
            subscribers: seed.subscribers.then(|| "lines.csv".to_owned()),
        },
        ldp: Ldp {
            hello_hold: LdpTime::new(u16::from(seed.headends) + 2),
            targeted_hello_hold: LdpTime::new(u16::from(seed.headends) + 3),
            keepalive: LdpTime::new(u16::from(seed.headends) + 1),
            neighbors: if seed.uniform { WantedNeighbors::Named } else { WantedNeighbors::Any },
            session_protection: if seed.uniform {
                SessionProtection::Forever
            } else {
                SessionProtection::Off
            },
            transport_preference: if seed.uniform {
                TransportPreference::Ipv4
            } else {
                TransportPreference::Ipv6
            },
            control: if seed.uniform { LabelControl::Independent } else { LabelControl::Ordered },
            retention: if seed.uniform { LabelRetention::Conservative } else { LabelRetention::Liberal },
            loop_detection: NonZeroU8::new(seed.headends).map_or(LoopDetection::Off, LoopDetection::Hops),
            max_pdu_length: PduLength::new(u16::from(seed.headends) + 254),
        },
        nodes: heads.chain(tails).chain(transits).collect(),
        isps: isps.collect(),
    }
}

proptest! {
    #[test]
    fn what_holds_together_is_accepted_and_comes_back(seed in seeds()) {
        let model = model(&seed);
        let text = toml::to_string(&model).unwrap();
        let network = Network::parse("random.toml", &text)
            .unwrap_or_else(|report| panic!("{}\n{text}", report.render(false)));
        prop_assert!(network.warnings().is_empty(), "{}", network.warnings().render(false));
        prop_assert_eq!(network.model(), &model);

        // What the headends send by, the tailends announce, and the other way around.
        let views: Vec<_> = model.nodes.iter().map(|node| network.node(node.name.as_str()).unwrap()).collect();
        let announced: BTreeSet<_> = views.iter().flat_map(|view| view.own_fecs()).collect();
        let used = views.iter().flat_map(|view| {
            let to_isp = view.headends.iter().flat_map(|headend| headend.fecs.iter().map(|fec| fec.fec));
            to_isp.chain(view.return_routes.iter().map(|route| route.fec)).collect::<Vec<_>>()
        });
        prop_assert_eq!(used.collect::<BTreeSet<_>>(), announced.clone());
        prop_assert_eq!(network.fecs().into_keys().collect::<BTreeSet<_>>(), announced);
        for view in &views {
            let prefixes: Vec<IspPrefix> = view.return_routes.iter().map(|route| route.prefix).collect();
            prop_assert_eq!(prefixes.iter().collect::<BTreeSet<_>>().len(), prefixes.len());
        }
    }

    /// Whatever is broken in the text, there is an answer and no panic.
    #[test]
    fn a_damaged_file_is_refused_or_read(from in any::<prop::sample::Index>(), length in 0..40usize, with in ".{0,12}") {
        let mut text = include_str!("full.toml").to_owned();
        let from = from.index(text.len());
        let to = (from + length).min(text.len());
        prop_assume!(text.is_char_boundary(from) && text.is_char_boundary(to));
        text.replace_range(from..to, &with);
        if let Err(report) = Network::parse("damaged.toml", &text) {
            prop_assert!(!report.is_empty());
            prop_assert!(report.render(false).contains("damaged.toml"), "{}", report.render(false));
        }
    }

    /// The same with whole lines taken out, doubled or swapped, which more often is still TOML.
    #[test]
    fn a_file_with_lines_in_disorder_is_refused_or_read(swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3u8), 1..6)) {
        let mut lines: Vec<_> = include_str!("full.toml").lines().collect();
        for (one, two, how) in swaps {
            let (one, two) = (one.index(lines.len()), two.index(lines.len()));
            match how {
                0 => drop(lines.remove(one)),
                1 => lines.insert(one, lines[two]),
                _ => lines.swap(one, two),
            }
        }
        if let Err(report) = Network::parse("disorder.toml", &lines.join("\n")) {
            prop_assert!(!report.is_empty() && !report.render(false).is_empty());
        }
    }
}
