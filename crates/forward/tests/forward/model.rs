//! Random changes, applied to the tables and to lists that are searched from end to end.

use std::collections::BTreeMap;

use contract::{
    Binding, BindingKey, Change, ChangeError, Circuit, EndOfReplay, Generation, IspPrefix, Nhlfe, Scope,
};
use ipnet::{IpNet, Ipv4Net};
use proptest::prelude::*;

use crate::frames::*;
use crate::network::*;
use crate::node::{Node, words};

const ISPS: [u32; 2] = [ALPHA, BETA];

#[derive(Clone, Debug)]
enum Operation {
    Change(Change),
    NextGeneration,
    EndOfReplay(Scope),
}

fn circuits() -> [Circuit; 3] {
    [circuit(ACCESS, &[]), circuit(ACCESS, &[1]), circuit(LINE, &[])]
}

/// Few prefixes, so that most of them overlap: those within 100.64.0.0/30.
fn prefix() -> impl Strategy<Value = IpNet> + Clone {
    (0u32..4, 30u8..=32)
        .prop_map(|(low, len)| Ipv4Net::new((0x6440_0000 + low).into(), len).unwrap().trunc().into())
}

fn isp_prefixes() -> impl Strategy<Value = IspPrefix> + Clone {
    (0usize..2, prefix()).prop_map(|(isp, prefix)| IspPrefix { isp: contract::Asn(ISPS[isp]), prefix })
}

fn operation() -> impl Strategy<Value = Operation> {
    let key =
        (0usize..3, isp_prefixes()).prop_map(|(at, prefix)| BindingKey { circuit: circuits()[at], prefix });
    let binding = (1u64..4, any::<bool>(), any::<bool>()).prop_map(|(subscriber, known, leaving)| Binding {
        subscriber: contract::SubscriberId(subscriber),
        mac: known.then_some(wire::MacAddr([2, 0, 0, 0, 9, subscriber as u8])),
        verify_mac: false,
        leaving,
    });
    let route = prop::option::weighted(0.7, 3001u32..3004);
    prop_oneof![
        20 => (key.clone(), binding).prop_map(|(key, b)| Operation::Change(Change::Binding(key, Some(b)))),
        5 => key.prop_map(|key| Operation::Change(Change::Binding(key, None))),
        10 => (isp_prefixes(), route).prop_map(|(key, label)| Operation::Change(match label {
            Some(label) => return_route(key.isp.0, &key.prefix.to_string(), &[nhlfe(BB0, &[label])]),
            None => Change::ReturnRoute(key, None),
        })),
        2 => Just(Operation::NextGeneration),
        1 => Just(Operation::EndOfReplay(Scope::Configuration)),
        1 => Just(Operation::EndOfReplay(Scope::Learned)),
    ]
}

#[derive(Default)]
struct Model {
    generation: u64,
    bindings: BTreeMap<BindingKey, (Binding, u64)>,
    routes: BTreeMap<IspPrefix, (Nhlfe, u64)>,
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

impl Model {
    fn apply(&mut self, change: &Change) -> Result<(), ()> {
        match change {
            Change::Binding(key, Some(new)) => {
                let contradicts = |k: &BindingKey, held: &Binding| {
                    let other = held.subscriber != new.subscriber;
                    let both_stay = !held.leaving && !new.leaving;
                    let for_two = k.prefix.prefix == key.prefix.prefix && k.prefix.isp != key.prefix.isp;
                    let on_circuit = k.circuit == key.circuit && (other || (for_two && both_stay));
                    let of_isp = k.prefix.isp == key.prefix.isp && (other || k.circuit != key.circuit);
                    k != key && overlap(k.prefix.prefix, key.prefix.prefix) && (on_circuit || of_isp)
                };
                let now = self.generation;
                if self.bindings.iter().any(|(k, (held, at))| *at >= now && contradicts(k, held)) {
                    return Err(());
                }
                self.bindings.retain(|k, (held, _)| !contradicts(k, held));
                self.bindings.insert(*key, (*new, now));
            }
            Change::Binding(key, None) => drop(self.bindings.remove(key)),
            Change::ReturnRoute(key, Some(route)) => {
                self.routes.insert(*key, (route.nhlfes[0], self.generation));
            }
            Change::ReturnRoute(key, None) => drop(self.routes.remove(key)),
            other => panic!("{other:?} is not modelled"),
        }
        Ok(())
    }

    fn end(&mut self, scope: Scope) {
        let now = self.generation;
        match scope {
            Scope::Configuration => self.bindings.retain(|_, (_, at)| *at >= now),
            Scope::Learned => self.routes.retain(|_, (_, at)| *at >= now),
        }
    }
}

fn longest<T>(of: impl Iterator<Item = (IpNet, T)>, address: std::net::IpAddr) -> Option<T> {
    of.filter(|(net, _)| net.contains(&address))
        .max_by_key(|(net, _)| net.prefix_len())
        .map(|(_, found)| found)
}

/// Sends packets by every circuit and to every destination, and compares where they go.
fn probe(node: &mut Node<'_>, model: &Model) {
    for low in 0..4 {
        let address = format!("100.64.0.{low}");
        let bits = address.parse().unwrap();
        for circuit in circuits() {
            let held = model.bindings.iter().filter(|(key, _)| key.circuit == circuit);
            let held = held.map(|(key, (b, _))| (key.prefix.prefix, (b.leaving, key.prefix.isp.0)));
            // Of the same length, one that is not leaving; the lower number stands for the ISP that was named first.
            let held: Vec<_> = held.filter(|(net, _)| net.contains(&bits)).collect();
            let best = held.iter().min_by_key(|(net, rank)| (std::cmp::Reverse(net.prefix_len()), *rank));
            let isp = best.map(|(_, (_, isp))| *isp);
            let tags: &[_] = if circuit.tags.count() == 1 { &[(VLAN, 1)] } else { &[] };
            let packet = udp(&address, "198.51.100.1", 9, b"");
            let frame = ethernet(ours(circuit.port.0), ANNA, tags, IPV4, &packet);
            let sent = node.take(circuit.port.0, &[frame]).sent;
            assert_eq!(
                sent.first().map(|(port, _)| *port),
                isp.map(|isp| if isp == ALPHA { BB0 } else { BB1 })
            );
        }
        for (at, isp) in ISPS.into_iter().enumerate() {
            let held = model.bindings.iter().filter(|(key, _)| key.prefix.isp.0 == isp);
            let to =
                longest(held.map(|(key, (b, _))| (key.prefix.prefix, (key.circuit.port.0, b.mac))), bits);
            let packet = udp("198.51.100.1", &address, 9, b"");
            let stack = label(30 + at as u32, 0, true, 9);
            let sent =
                node.take(BB0, &[ethernet(ours(BB0), peer(BB0), &[], MPLS, &cat(&[&stack, &packet]))]).sent;
            let to = to.and_then(|(port, mac)| Some((port, mac?.0.to_vec())));
            assert_eq!(sent.first().map(|(port, frame)| (*port, frame[..6].to_vec())), to);

            let held = model.routes.iter().filter(|(key, _)| key.isp.0 == isp);
            let way =
                longest(held.map(|(key, (nhlfe, _))| (key.prefix, nhlfe.push.labels()[0].value())), bits);
            let tags: &[_] = if isp == ALPHA { &[(VLAN, 10)] } else { &[] };
            let sent = node.take(HANDOFF, &[ethernet(ours(HANDOFF), BETA_V4, tags, IPV4, &packet)]).sent;
            let pushed = |frame: &[u8]| u32::from_be_bytes(frame[14..18].try_into().unwrap()) >> 12;
            assert_eq!(sent.first().map(|(_, frame)| pushed(frame)), way);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..Default::default() })]

    #[test]
    fn tables_agree_with_lists(operations in prop::collection::vec(operation(), 1..60)) {
        let words = words();
        let mut node = node(&words);
        // Of the usual network stay the ports, ISPs and labels; what the model knows starts empty.
        let mut start: Vec<_> = node.forwarder.installed().collect();
        start.retain(|change| !matches!(change, Change::Binding(..) | Change::ReturnRoute(..)));
        for change in node.forwarder.installed().collect::<Vec<_>>() {
            match change {
                Change::Binding(key, _) => node.install([Change::Binding(key, None)]),
                Change::ReturnRoute(key, _) => node.install([Change::ReturnRoute(key, None)]),
                _ => {}
            }
        }
        let mut model = Model { generation: 1, ..Default::default() };
        for operation in operations {
            match operation {
                Operation::NextGeneration => model.generation += 1,
                Operation::EndOfReplay(scope) => {
                    let generation = Generation(model.generation);
                    node.forwarder.end_of_replay(EndOfReplay { generation, scope });
                    model.end(scope);
                    for change in start.iter().filter(|change| change.scope() == scope) {
                        node.forwarder.apply(generation, change.clone()).unwrap();
                    }
                }
                Operation::Change(change) => {
                    let expected = model.apply(&change);
                    let applied = node.forwarder.apply(Generation(model.generation), change);
                    let refused = matches!(applied, Err(ChangeError::Conflict(_)));
                    prop_assert_eq!((applied.is_ok(), refused), (expected.is_ok(), expected.is_err()));
                }
            }
        }
        let installed: Vec<_> = node.forwarder.installed().collect();
        let bindings: BTreeMap<_, _> = installed
            .iter()
            .filter_map(|change| if let Change::Binding(k, Some(b)) = change { Some((*k, *b)) } else { None })
            .collect();
        let expected: BTreeMap<_, _> = model.bindings.iter().map(|(key, (binding, _))| (*key, *binding)).collect();
        prop_assert_eq!(bindings, expected);
        probe(&mut node, &model);
    }
}
