use ldp::{InterfaceId, LdpId};
use network::Network;

use std::net::Ipv4Addr;

use super::*;
use crate::control::recovery::{Contradicted, Said, keep_working};

const ALPHA: Asn = Asn(64501);
const BETA: Asn = Asn(64502);
const TRANSIT: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 2);

/// A node of the example network, and what it has come to know.
struct World {
    view: NodeView,
    ldp: BTreeMap<Fec, ldp::FecState>,
    null_labels: BTreeSet<Fec>,
    retired: Retired,
    stale: BTreeSet<(Fec, LdpId)>,
    kernel: KernelView,
    handoffs: BTreeMap<Circuit, Handoff>,
    held: BTreeMap<Circuit, Tick>,
    waiting: BTreeSet<Circuit>,
}

impl World {
    /// Links with the numbers 10, 11, … at backbone ports; nothing else is known.
    fn new(node: &str) -> Self {
        let text = include_str!("../../../../../examples/lab.toml");
        let view = Network::parse("lab.toml", text).unwrap().node(node).unwrap();
        let mut kernel = KernelView::default();
        for (number, (port, _)) in (10..).zip(view.ports_of(contract::PortKind::Backbone)) {
            let addresses = vec![IpAddr::from([10, 0, number, 1])];
            kernel.interfaces.insert(port, Interface { link: LinkIndex(number.into()), addresses });
        }
        let (ldp, handoffs, held, waiting) = Default::default();
        let (null_labels, retired, stale) = Default::default();
        Self { view, ldp, null_labels, retired, stale, kernel, handoffs, held, waiting }
    }

    /// A route to a FEC by these links, each with a next hop whose Ethernet address is known.
    fn route(&mut self, fec: Fec, links: &[u8], metric: u32) {
        let hops = links.iter().map(|&link| {
            let hop = NextHop { address: IpAddr::from([10, 0, link, 2]), link: LinkIndex(link.into()) };
            self.kernel.macs.insert(hop, MacAddr([2, 0, 0, 0, 0, link]));
            hop
        });
        let next_hops = hops.collect();
        let IpAddr::V4(host) = fec.0.addr() else { panic!("{fec}") };
        self.kernel.routes.insert(host.into(), HostRoute { next_hops, metric });
    }

    /// LDP has these labels of the next hops behind these links.
    fn labels(&mut self, fec: Fec, in_label: Option<u32>, hops: &[(u8, u32)]) {
        let next_hops = hops.iter().map(|&(link, out)| LabeledNextHop {
            interface: InterfaceId(link.into()),
            address: IpAddr::from([10, 0, link, 2]),
            peer: LdpId::platform(TRANSIT),
            label: label(out),
        });
        let next_hops = next_hops.collect();
        let in_label = in_label.map(label);
        self.ldp.insert(fec, ldp::FecState { fec, in_label, role: Role::Transit, next_hops });
    }

    fn egress(&mut self, fec: Fec, in_label: u32) {
        let (in_label, next_hops) = (Some(label(in_label)), Vec::new());
        self.ldp.insert(fec, ldp::FecState { fec, in_label, role: Role::Egress, next_hops });
    }

    fn lsps(&self) -> Lsps {
        let Self { view, ldp, null_labels, retired, stale, kernel, handoffs, held, waiting } = self;
        let bindings = ldp.values().flat_map(|state| {
            state.next_hops.iter().map(|next_hop| (next_hop.peer, next_hop.label, state.fec))
        });
        let shared_labels = &shared_labels(bindings, view);
        let places = &Places::of(view);
        let dead = &BTreeMap::from([(label(9000), fec("10.254.9.9"))]);
        let lsps = lsps(Known {
            view,
            places,
            ldp,
            null_labels,
            shared_labels,
            retired,
            dead,
            stale,
            kernel,
            handoffs,
            held,
            waiting,
        });
        assert!(lsps.changes.contains(&leads_nowhere(label(9000), fec("10.254.9.9"))));
        lsps
    }

    fn state(&self, of: Fec, operation: FecOperation) -> FecState {
        let rows = self.lsps().rows;
        rows.iter().find(|row| row.fec == of && row.operation == operation).unwrap().state
    }

    fn ftn(&self, isp: Asn) -> Vec<Fec> {
        let changes = self.lsps().changes;
        let ftn = changes.iter().find_map(|change| match change {
            Change::Ftn(of, Some(ftn)) if *of == isp => Some(ftn),
            _ => None,
        });
        ftn.unwrap().choices.iter().map(|choice| choice.fec).collect()
    }
}

fn label(value: u32) -> Label {
    Label::new(value).unwrap()
}

fn fec(text: &str) -> Fec {
    Fec(format!("{text}/32").parse().unwrap())
}

fn nhlfe_by(kernel: &KernelView, link: u8, out: u32) -> Nhlfe {
    Nhlfe {
        push: LabelStack::new(&[label(out)]).unwrap(),
        port: kernel.port(LinkIndex(link.into())).unwrap(),
        next_hop: Ipv4Addr::new(10, 0, link, 2).into(),
        mac: MacAddr([2, 0, 0, 0, 0, link]),
    }
}

#[test]
fn a_headend_pushes_over_all_equal_links_to_the_live_fecs_of_an_isp() {
    let mut world = World::new("head1");
    let (first, second) = (fec("10.254.1.1"), fec("10.254.1.2"));
    assert_eq!(world.ftn(ALPHA), []);
    assert_eq!(world.state(first, FecOperation::Push), FecState::NoRoute);
    world.route(first, &[10, 11], 0);
    assert_eq!(world.state(first, FecOperation::Push), FecState::NoLabel);
    world.labels(first, None, &[(10, 100), (11, 100)]);
    assert_eq!(world.ftn(ALPHA), [first]);
    let nhlfes = vec![nhlfe_by(&world.kernel, 10, 100), nhlfe_by(&world.kernel, 11, 100)];
    let ftn = Ftn { choices: vec![FtnChoice { fec: first, nhlfes }] };
    let lsps = world.lsps();
    assert!(lsps.changes.contains(&Change::Ftn(ALPHA, Some(ftn))));
    let rows: Vec<_> = lsps.rows.iter().filter(|row| row.fec == first).collect();
    assert_eq!(rows.len(), 2, "a row for each link, and no swap without a label of ours");
    assert!(rows.iter().all(|r| r.state == FecState::Up && r.installed_as == Some(Key::Ftn(ALPHA))));
    world.route(second, &[10], 0);
    world.labels(second, Some(40), &[(10, 101)]);
    assert_eq!(world.ftn(ALPHA), [first, second]);
    assert_eq!(world.ftn(Asn(64502)), [], "no ISP uses another's FEC");
}

#[test]
fn preference_comes_before_metric_and_metric_decides_among_equals() {
    let mut world = World::new("head1");
    let (first, second) = (fec("10.254.1.1"), fec("10.254.1.2"));
    for (fec, metric) in [(first, 20), (second, 10)] {
        world.route(fec, &[10], metric);
        world.labels(fec, None, &[(10, 100)]);
    }
    assert_eq!(world.ftn(ALPHA), [second]);
    let alpha = world.view.headends.iter_mut().find(|headend| headend.isp == ALPHA).unwrap();
    let preferred = alpha.fecs.iter_mut().find(|isp_fec| isp_fec.fec == first).unwrap();
    preferred.preference = network::Preference::new(200).unwrap();
    assert_eq!(world.ftn(ALPHA), [first]);
    world.labels(first, None, &[]);
    assert_eq!(world.ftn(ALPHA), [second], "the other takes over when its label goes");
}

#[test]
fn a_label_that_a_neighbour_bound_to_two_isps_carries_nothing() {
    let mut world = World::new("head1");
    let (alphas, betas) = (fec("10.254.1.1"), fec("10.254.1.3"));
    for to in [alphas, fec("10.254.1.2"), betas] {
        world.route(to, &[10, 11], 0);
    }
    // Two of one ISP's FECs may share one.
    world.labels(alphas, Some(50), &[(10, 100)]);
    world.labels(fec("10.254.1.2"), Some(51), &[(10, 100)]);
    world.labels(betas, Some(52), &[(10, 101)]);
    assert_eq!(world.ftn(ALPHA), [alphas, fec("10.254.1.2")]);
    world.labels(betas, Some(52), &[(10, 100), (11, 102)]);
    assert_eq!(world.ftn(ALPHA), []);
    assert_eq!(world.state(alphas, FecOperation::Push), FecState::SharedLabel);
    let left = vec![nhlfe_by(&world.kernel, 11, 102)];
    let swap = Change::Ilm(
        label(52),
        Some(Ilm { fec: betas, action: IlmAction::Swap { isp: Some(BETA), nhlfes: left } }),
    );
    assert!(world.lsps().changes.contains(&swap));
}

#[test]
fn a_next_hop_without_ethernet_address_waits_and_carries_nothing() {
    let mut world = World::new("transit1");
    let there = fec("10.254.1.1");
    world.route(there, &[12], 0);
    world.labels(there, Some(50), &[(12, 300)]);
    let nhlfes = vec![nhlfe_by(&world.kernel, 12, 300)];
    let swap = |nhlfes| {
        Change::Ilm(label(50), Some(Ilm { fec: there, action: IlmAction::Swap { isp: Some(ALPHA), nhlfes } }))
    };
    assert!(world.lsps().changes.contains(&swap(nhlfes)));
    assert_eq!(world.state(there, FecOperation::Swap), FecState::Up);
    world.kernel.macs.clear();
    assert!(world.lsps().changes.contains(&swap(vec![])));
    assert_eq!(world.state(there, FecOperation::Swap), FecState::Pending);
}

#[test]
fn a_tailend_pops_into_a_live_handoff_and_knows_the_way_back() {
    let mut world = World::new("tail2");
    let (own, back) = (fec("10.254.1.2"), fec("10.254.2.1"));
    assert_eq!(world.state(own, FecOperation::Pop), FecState::HandoffDown);
    let circuit = world.view.handoffs.iter().find(|handoff| handoff.fec == own).unwrap().circuit;
    world.waiting.insert(circuit);
    assert_eq!(world.state(own, FecOperation::Pop), FecState::HandoffWaits);
    world.waiting.clear();
    let mac = MacAddr([2, 0, 0, 0, 1, 1]);
    let handoff = Handoff { isp: ALPHA, ipv4: Some((Ipv4Addr::new(192, 0, 2, 6), mac)), ipv6: None };
    world.handoffs.insert(circuit, handoff);
    assert_eq!(world.state(own, FecOperation::Pop), FecState::Pending);
    world.egress(own, 60);
    world.route(back, &[10], 0);
    world.labels(back, None, &[(10, 400)]);
    let Lsps { changes, .. } = world.lsps();
    let action = IlmAction::PopToHandoff { isp: ALPHA, handoff: circuit };
    assert!(changes.contains(&Change::Ilm(label(60), Some(Ilm { fec: own, action }))));
    assert!(changes.contains(&Change::Handoff(circuit, Some(handoff))));
    assert_eq!(world.state(own, FecOperation::Pop), FecState::Up);
    let routes: Vec<_> = changes
        .iter()
        .filter_map(|change| match change {
            Change::ReturnRoute(prefix, Some(route)) => Some((prefix.isp, route.nhlfes.len())),
            _ => None,
        })
        .collect();
    assert_eq!(routes.iter().filter(|route| **route == (ALPHA, 1)).count(), 2, "IPv4 and IPv6 pool");
    assert!(routes.iter().all(|(isp, nhlfes)| *isp == ALPHA || *nhlfes == 0), "{routes:?}");
}

#[test]
fn a_headend_pops_to_its_subscribers() {
    let mut world = World::new("head1");
    world.egress(fec("10.254.2.1"), 70);
    let action = IlmAction::PopToSubscribers { isp: ALPHA };
    let ilm = Ilm { fec: fec("10.254.2.1"), action };
    assert!(world.lsps().changes.contains(&Change::Ilm(label(70), Some(ilm))));
    assert_eq!(world.state(fec("10.254.2.1"), FecOperation::Pop), FecState::Up);
    assert_eq!(world.state(fec("10.254.2.2"), FecOperation::Pop), FecState::Pending);
}

#[test]
fn null_labels_and_stale_ones_are_shown_as_such() {
    let mut world = World::new("head1");
    let there = fec("10.254.1.1");
    world.route(there, &[10], 0);
    world.null_labels.insert(there);
    assert_eq!(world.state(there, FecOperation::Push), FecState::NullLabel);
    world.labels(there, None, &[(10, 100)]);
    world.stale.insert((there, LdpId::platform(TRANSIT)));
    assert_eq!(world.state(there, FecOperation::Push), FecState::Stale);
    assert_eq!(world.ftn(ALPHA), [there], "packets go on while the neighbour restarts");
}

#[test]
fn recovery_keeps_what_works_until_something_better_is_known() {
    let mut world = World::new("head1");
    let there = fec("10.254.1.1");
    world.route(there, &[10], 0);
    world.labels(there, Some(50), &[(10, 100)]);
    let inherited = world.lsps().changes;
    let mut restarted = World::new("head1");
    let mut changes = restarted.lsps().changes;
    assert!(!inherited.iter().all(|change| changes.contains(change)));
    keep_working(&mut changes, &inherited, &Contradicted::default());
    assert!(inherited.iter().all(|change| changes.contains(change)));
    let keys: BTreeSet<Key> = changes.iter().map(Key::of).collect();
    assert_eq!(keys.len(), changes.len(), "each name once");
    // The neighbour has bound the label to another ISP's FEC as well meanwhile.
    let peer = LdpId::platform(TRANSIT);
    let hop = (IpAddr::from([10, 0, 10, 2]), peer);
    let shared = BTreeSet::from([(peer, label(100))]);
    let (none, other, its) = (BTreeSet::new(), fec("10.254.2.1"), label(100));
    let view = restarted.view.clone();
    let said = |peer, label, fec| Said::new([(peer, label, fec, false)], [hop], &none, &view);
    let nothing = || Said::new([], [], &none, &view);
    let contradictions = [
        ("by a label of several ISPs", vec![Said::new([], [], &shared, &view)]),
        ("another label", vec![said(peer, label(7), there)]),
        ("another label, of which nothing is known later", vec![said(peer, label(7), there), nothing()]),
        ("another's FEC", vec![said(peer, its, other)]),
        ("nobody's FEC", vec![said(peer, its, fec("10.9.9.9"))]),
        ("the same, and taken back", vec![said(peer, its, there), nothing()]),
    ];
    let kept_after = |said: Vec<Said>| {
        let mut contradicted = Contradicted::default();
        said.iter().for_each(|said| contradicted.hear(&inherited, said));
        let mut changes = restarted.lsps().changes;
        keep_working(&mut changes, &inherited, &contradicted);
        changes
    };
    for (what, said) in contradictions {
        let changes = kept_after(said);
        let action = IlmAction::Swap { isp: Some(ALPHA), nhlfes: vec![] };
        let ilm = Change::Ilm(label(50), Some(Ilm { fec: there, action }));
        assert!(changes.contains(&ilm), "{what}: told to be less");
        let ftn = Change::Ftn(ALPHA, Some(Ftn { choices: vec![] }));
        assert!(changes.contains(&ftn), "{what}: {changes:?}");
    }
    let elsewhere = (IpAddr::from([10, 0, 11, 2]), peer);
    let stale = Said::new([(peer, its, there, true)], [hop], &none, &view);
    for (what, said) in [
        ("the same again", vec![said(peer, its, there)]),
        ("the same again, and kept over its restart", vec![said(peer, its, there), stale]),
        ("another of the same owner's", vec![said(peer, its, fec("10.254.1.2"))]),
        ("somebody else's", vec![Said::new([(peer, label(7), there, false)], [elsewhere], &none, &view)]),
    ] {
        let changes = kept_after(said);
        assert!(inherited.iter().all(|change| changes.contains(change)), "{what}");
    }
    restarted.route(there, &[11], 0);
    restarted.labels(there, Some(50), &[(11, 101)]);
    let mut changes = restarted.lsps().changes;
    keep_working(&mut changes, &inherited, &Contradicted::default());
    assert!(restarted.lsps().changes.iter().all(|change| changes.contains(change)));
}

#[test]
fn a_handoff_that_is_held_down_takes_what_is_under_way_and_is_not_up() {
    let mut world = World::new("tail2");
    let own = fec("10.254.1.2");
    let circuit = world.view.handoffs.iter().find(|handoff| handoff.fec == own).unwrap().circuit;
    let mac = MacAddr([2, 0, 0, 0, 1, 1]);
    let handoff = Handoff { isp: ALPHA, ipv4: Some((Ipv4Addr::new(192, 0, 2, 6), mac)), ipv6: None };
    world.handoffs.insert(circuit, handoff);
    world.held.insert(circuit, Tick(0));
    world.retired.insert(label(60), own);
    let changes = world.lsps().changes;
    assert!(changes.contains(&Change::Handoff(circuit, Some(handoff))), "what its ISP sends arrives");
    let action = IlmAction::PopToHandoff { isp: ALPHA, handoff: circuit };
    assert!(changes.contains(&Change::Ilm(label(60), Some(Ilm { fec: own, action }))));
    assert_eq!(world.state(own, FecOperation::Pop), FecState::HeldDown);
}

#[test]
fn a_withdrawn_label_stays_what_it_was_until_it_is_freed() {
    let swap = |world: &World, of: u32| {
        world.lsps().changes.into_iter().find_map(|change| match change {
            Change::Ilm(label, Some(ilm)) if label.value() == of => Some(ilm),
            _ => None,
        })
    };
    let mut world = World::new("transit1");
    let there = fec("10.254.1.1");
    world.route(there, &[12], 0);
    world.labels(there, Some(51), &[(12, 300)]);
    world.retired.insert(label(50), there);
    assert_eq!(swap(&world, 50), swap(&world, 51), "by the old label, too, packets get on");
    world.labels(there, None, &[]);
    let nowhere = Ilm { fec: there, action: IlmAction::Swap { isp: Some(ALPHA), nhlfes: vec![] } };
    assert_eq!(swap(&world, 50), Some(nowhere), "what cannot get on is dropped in its ISP's name");
    assert_eq!(swap(&world, 51), None);
    world.retired = Retired::default();
    assert_eq!(swap(&world, 50), None);
    // What is in the network file no more is nobody's.
    world.retired.insert(label(50), fec("10.99.0.1"));
    assert_eq!(swap(&world, 50), None);
}

#[test]
fn the_loss_of_one_fec_leaves_the_others_as_they_are() {
    let mut world = World::new("head1");
    let fecs = [fec("10.254.1.1"), fec("10.254.1.2")];
    for (number, there) in (100..).zip(fecs) {
        world.route(there, &[10, 11], 0);
        world.labels(there, None, &[(10, number), (11, number)]);
    }
    let choices = |world: &World| {
        let ftn = world.lsps().changes.into_iter().find_map(|change| match change {
            Change::Ftn(ALPHA, ftn) => ftn,
            _ => None,
        });
        ftn.unwrap().choices
    };
    let both = choices(&world);
    assert_eq!(both.iter().map(|choice| choice.fec).collect::<Vec<_>>(), fecs);
    // A subscriber's choice is a matter of the FEC and its hash alone: see the forwarder.
    world.labels(fecs[0], None, &[]);
    assert_eq!(choices(&world), both[1..]);
    world.kernel.routes.clear();
    world.ldp.clear();
    assert_eq!(choices(&world), [], "none is left: the ISP is unreachable");
}

#[test]
fn a_label_that_stands_for_more_than_one_isps_fec_is_shared() {
    let view = World::new("head1").view;
    let shared = |bindings: &[(u32, &str)]| {
        let peer = LdpId::platform(TRANSIT);
        let bindings = bindings.iter().map(|&(value, of)| (peer, label(value), fec(of)));
        shared_labels(bindings, &view).into_iter().map(|(_, label)| label.value()).collect::<Vec<_>>()
    };
    let (alphas, also, betas, nobodys) = ("10.254.1.1", "10.254.1.2", "10.254.1.3", "10.254.9.9");
    assert_eq!(shared(&[(100, alphas), (101, betas), (102, nobodys)]), [0_u32; 0]);
    assert_eq!(shared(&[(100, alphas), (100, also)]), [0_u32; 0], "both lead to alpha");
    assert_eq!(shared(&[(100, alphas), (100, betas), (101, also)]), [100]);
    assert_eq!(shared(&[(100, alphas), (100, nobodys)]), [100], "it may be an ISP's in another node's file");
    assert_eq!(shared(&[(3, alphas), (3, nobodys)]), [0_u32; 0], "null labels are not used anyway");
}
