use std::net::{IpAddr, Ipv4Addr};

use contract::{Asn, Binding, BindingKey, Circuit, Handoff, IspPrefix, LabelStack, MacAddr, PortConfig};
use contract::{SubscriberId, VlanTags};
use network::Network;

use super::*;

const FILE: &str = include_str!("../../../../../examples/lab.toml");
const ALPHA: Asn = Asn(64501);
const BETA: Asn = Asn(64502);

fn view(file: &str, node: &str) -> NodeView {
    Network::parse("lab.toml", file).unwrap().node(node).unwrap()
}

fn label(value: u32) -> Label {
    Label::new(value).unwrap()
}

fn fec(text: &str) -> Fec {
    Fec(format!("{text}/32").parse().unwrap())
}

fn way(port: PortId, push: u32) -> Nhlfe {
    let push = LabelStack::new(&[label(push)]).unwrap();
    let next_hop = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    Nhlfe { push, port, next_hop, mac: MacAddr([2, 0, 0, 0, 0, 1]) }
}

fn ports(view: &NodeView) -> impl Iterator<Item = Change> {
    view.ports().map(|(id, port)| {
        Change::Port(id, Some(PortConfig { device: port.name.as_str().to_owned(), kind: port.kind }))
    })
}

fn pop(number: u32, to: &str, isp: Asn, handoff: Circuit) -> Change {
    let action = IlmAction::PopToHandoff { isp, handoff };
    Change::Ilm(label(number), Some(Ilm { fec: fec(to), action }))
}

/// What a tailend's forwarder holds of its handoffs.
fn tailend(view: &NodeView) -> Vec<Change> {
    let mac = MacAddr([2, 0, 0, 0, 0, 9]);
    let handoffs = (4000..).zip(&view.handoffs).flat_map(|(number, handoff)| {
        let ipv4 = handoff.ipv4.map(|ipv4| (ipv4.next_hop, mac));
        let held = Handoff { isp: handoff.isp, ipv4, ipv6: None };
        let host = handoff.fec.0.addr().to_string();
        [Change::Handoff(handoff.circuit, Some(held)), pop(number, &host, handoff.isp, handoff.circuit)]
    });
    ports(view).chain(handoffs).collect()
}

/// What a headend's forwarder holds of alpha, by its two FECs.
fn headend(view: &NodeView, fecs: [&str; 2], port: PortId) -> Vec<Change> {
    let choices = fecs.map(|to| FtnChoice { fec: fec(to), nhlfes: vec![way(port, 2000)] }).into();
    ports(view).chain([Change::Ftn(ALPHA, Some(Ftn { choices }))]).collect()
}

#[test]
fn under_the_same_file_all_stays() {
    let view = view(FILE, "tail2");
    let held = tailend(&view);
    let sorted = Inheritance::new(held.clone(), &view);
    assert_eq!(sorted.kept, held);
    assert_eq!(sorted.corrections, []);
    assert_eq!(sorted.labels, [(fec("10.254.1.2"), label(4000)), (fec("10.254.1.3"), label(4001))]);
    assert_eq!(sorted.dead_labels, []);
}

#[test]
fn a_fec_that_is_another_isps_loses_its_label_at_once() {
    let before = tailend(&view(FILE, "tail2"));
    let swapped = FILE
        .replace("\"10.254.1.2\"", "\"x\"")
        .replace("\"10.254.1.3\"", "\"10.254.1.2\"")
        .replace("\"x\"", "\"10.254.1.3\"");
    let sorted = Inheritance::new(before, &view(&swapped, "tail2"));
    let nowhere = |number, to| lsp::leads_nowhere(label(number), fec(to));
    let gone = [nowhere(4000, "10.254.1.2"), nowhere(4001, "10.254.1.3")];
    assert_eq!(sorted.corrections, gone);
    assert_eq!(sorted.labels, []);
    assert_eq!(sorted.dead_labels, [(fec("10.254.1.2"), label(4000)), (fec("10.254.1.3"), label(4001))]);
    // Killed again before the labels have rested, whatever the file is by then.
    for file in [FILE, &swapped] {
        let again = Inheritance::new(sorted.kept.clone(), &view(file, "tail2"));
        assert_eq!((&again.dead_labels, again.labels), (&sorted.dead_labels, vec![]));
    }
    // At the headend, alpha's packets do not go by what is beta's now.
    let now = view(&swapped, "head1");
    let held = headend(&view(FILE, "head1"), ["10.254.1.1", "10.254.1.2"], PortId(0));
    let sorted = Inheritance::new(held, &now);
    let choices = vec![FtnChoice { fec: fec("10.254.1.1"), nhlfes: vec![way(PortId(0), 2000)] }];
    assert_eq!(sorted.corrections, [Change::Ftn(ALPHA, Some(Ftn { choices }))]);
    assert_eq!(sorted.kept.last(), sorted.corrections.last());
}

#[test]
fn a_transit_gives_up_the_label_of_a_fec_that_is_another_isps() {
    let swap = |isp| {
        let action = IlmAction::Swap { isp, nhlfes: vec![way(PortId(0), 2000)] };
        Change::Ilm(label(1000), Some(Ilm { fec: fec("10.254.1.3"), action }))
    };
    let now = view(FILE, "head1");
    assert_eq!(Inheritance::new(vec![swap(Some(BETA))], &now).kept, [swap(Some(BETA))]);
    for other in [Some(ALPHA), None] {
        let sorted = Inheritance::new(vec![swap(other)], &now);
        let nowhere = lsp::leads_nowhere(label(1000), fec("10.254.1.3"));
        assert_eq!((sorted.kept, sorted.labels), (vec![nowhere.clone()], vec![]), "{other:?}");
        assert_eq!(sorted.corrections, [nowhere]);
        assert_eq!(sorted.dead_labels, [(fec("10.254.1.3"), label(1000))]);
    }
}

#[test]
fn what_names_a_port_whose_number_is_another_device_now_goes() {
    let old = view(FILE, "tail2");
    let renumbered = FILE.replace(
        "  [[node.port]]\n  name = \"alpha0\"\n  kind = \"handoff\"\n  [[node.port]]\n  name = \"beta0\"",
        "  [[node.port]]\n  name = \"beta0\"\n  kind = \"handoff\"\n  [[node.port]]\n  name = \"alpha0\"",
    );
    let now = view(&renumbered, "tail2");
    assert_ne!(old.ports, now.ports, "the file is not what this test takes it for");
    let sorted = Inheritance::new(tailend(&old), &now);
    let circuits: Vec<_> = old.handoffs.iter().map(|handoff| handoff.circuit).collect();
    let [one, other] = circuits[..] else { panic!("{circuits:?}") };
    let gone = [
        Change::Handoff(one, None),
        lsp::leads_nowhere(label(4000), fec("10.254.1.2")),
        Change::Handoff(other, None),
        lsp::leads_nowhere(label(4001), fec("10.254.1.3")),
    ];
    assert_eq!(sorted.corrections, gone);
    // They stand for the same FECs of the same ISPs.
    assert_eq!(sorted.labels.len(), 2);
    assert_eq!(sorted.dead_labels, []);
}

#[test]
fn ways_and_subscribers_of_a_moved_port_go_and_others_stay() {
    let now = view(FILE, "head1");
    let line = Circuit { port: PortId(3), tags: VlanTags::None };
    let prefix = IspPrefix { isp: ALPHA, prefix: "100.64.0.20/32".parse().unwrap() };
    let key = BindingKey { circuit: line, prefix };
    let binding = Binding { subscriber: SubscriberId(1), mac: None, verify_mac: false, leaving: false };
    let swap = |nhlfes| {
        let ilm = Ilm { fec: fec("10.254.1.3"), action: IlmAction::Swap { isp: Some(BETA), nhlfes } };
        Change::Ilm(label(1000), Some(ilm))
    };
    let other = |id: u16| {
        Change::Port(
            PortId(id),
            Some(PortConfig { device: "old0".into(), kind: contract::PortKind::Backbone }),
        )
    };
    let held = vec![
        other(0),
        other(3),
        Change::Binding(key, Some(binding)),
        swap(vec![way(PortId(0), 2000), way(PortId(1), 2001)]),
    ];
    let sorted = Inheritance::new(held, &now);
    let left = swap(vec![way(PortId(1), 2001)]);
    assert_eq!(sorted.corrections, [Change::Binding(key, None), left.clone()]);
    assert_eq!(sorted.kept, [other(0), other(3), left]);
    assert_eq!(sorted.labels, [(fec("10.254.1.3"), label(1000))]);
}

#[test]
fn what_the_file_knows_no_more_goes() {
    let now = view(FILE, "tail1");
    let circuit = now.handoffs[0].circuit;
    let gone = IspPrefix { isp: BETA, prefix: "100.64.0.0/24".parse().unwrap() };
    let route = ReturnRoute { fec: fec("10.254.2.2"), nhlfes: vec![way(PortId(0), 2004)] };
    let held = vec![
        Change::ReturnRoute(gone, Some(route)),
        Change::Handoff(circuit, Some(Handoff { isp: BETA, ipv4: None, ipv6: None })),
        pop(3001, "10.254.9.9", ALPHA, circuit),
    ];
    let sorted = Inheritance::new(held.clone(), &now);
    let removals = held[..2].iter().filter_map(|change| Key::of(change).removal());
    let nowhere = lsp::leads_nowhere(label(3001), fec("10.254.9.9"));
    assert_eq!(sorted.corrections, removals.chain([nowhere.clone()]).collect::<Vec<_>>());
    assert_eq!(sorted.kept, [nowhere]);
    assert_eq!(sorted.dead_labels, [(fec("10.254.9.9"), label(3001))]);
}
