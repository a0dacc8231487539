//! The forwarder as a process: real ports, real socket, a scripted control.
#![allow(unsafe_code, missing_docs, reason = "a test of processes and namespaces")]

mod frames;
mod network;
mod node;
mod sandbox;
mod supervised;

use contract::counters::{Point, PortCounter, Traffic};
use contract::{
    Change, Circuit, DropReason, Ilm, IlmAction, PortConfig, PortId, PortKind, PortState, PuntReason, Scope,
    ToControl, ToForwarder, VlanTags,
};
use frames::{ethernet, ipv4, labelled};
use network::{
    BB, HANDOFF, HANDOFF_TAGS, HOST, ISP, LINE, LINE_TAGS, Network, SERVICE, SUBSCRIBER_MAC, handoff_tags,
    label,
};
use node::{Control, is_ready};
use sandbox::{in_namespace, is_up};

#[test]
fn packets_take_all_ways_through_real_ports() {
    sandbox::run("packets_take_all_ways_through_real_ports", || {
        let mut network = Network::new();
        let _process = network.start();
        let mut control = network.connect_and_set_up();
        network.all_ways();
        let backbone = PortId(BB);
        // What control sees through the shared memory: every packet once, at each of its ends.
        for point in Point::ALL {
            network.dir.counts(Traffic { packets: 1, octets: 32 }, |memory| {
                let (_, slot) = memory.isps().find(|(isp, _)| *isp == ISP).unwrap();
                memory.traffic(slot, point)
            });
        }
        for (counter, expected) in [
            (PortCounter::SwitchedPackets, 1),
            (PortCounter::SwitchedOctets, 32),
            (PortCounter::TxFrames, 3),
            (PortCounter::RxFrames, 3),
        ] {
            network.dir.counts(expected, |memory| memory.port(backbone, counter));
        }
        // A spoofed source goes nowhere and is counted; the frame after it shows that it is not just late.
        network.line.send(&network.line_frame(&ipv4([100, 64, 0, 99].into(), SERVICE, 64, b"spoo")));
        network.push();
        let drops =
            network.dir.counters(|memory| memory.port_drops(PortId(LINE), DropReason::SourceNotBound));
        assert_eq!(drops, 1);
        // A change that makes no sense is refused and counted as dealt with.
        let bad = Change::Ilm(contract::Label::GAL, None);
        let nonsense = Ilm { fec: network.fec(), action: IlmAction::Swap { isp: None, nhlfes: vec![] } };
        let change = Change::Ilm(contract::Label::IPV4_EXPLICIT_NULL, Some(nonsense));
        control.change([bad]);
        control.say(&ToForwarder::Change { generation: control.generation, change: change.clone() });
        control.find(|m| matches!(m, ToControl::Refused { change: c, .. } if *c == change).then_some(()));
        control.find(|m| matches!(m, ToControl::Applied { changes: 1 }).then_some(()));
    });
}

#[test]
fn control_gets_what_it_is_for_and_sends_with_tags() {
    sandbox::run("control_gets_what_it_is_for_and_sends_with_tags", || {
        let mut network = Network::new();
        let _process = network.start();
        let mut control = network.connect_and_set_up();
        let arp =
            [&[0, 1, 8, 0, 6, 4, 0, 1][..], &SUBSCRIBER_MAC.0, &HOST.octets(), &[0; 6], &[100, 64, 0, 1]]
                .concat();
        let broadcast = wire::MacAddr::BROADCAST;
        network.line.send(&ethernet(broadcast, SUBSCRIBER_MAC, &LINE_TAGS, 0x0806, &arp));
        let punt = |control: &mut Control, wanted: PuntReason| {
            control.find(|message| match message {
                ToControl::Punt { circuit, reason, frame } if *reason == wanted => {
                    Some((*circuit, frame.clone()))
                }
                _ => None,
            })
        };
        let (circuit, frame) = punt(&mut control, PuntReason::Arp);
        assert_eq!(circuit, network.line_circuit());
        assert_eq!(frame, ethernet(broadcast, SUBSCRIBER_MAC, &[], 0x0806, &arp), "without its tags");
        // A router alert label: for control, label and all.
        let alert = labelled(1, 255, &ipv4(HOST, SERVICE, 64, b"oam!"));
        network.backbone.send(&ethernet(network.macs[0], network.backbone.mac(), &[], 0x8847, &alert));
        let (circuit, frame) = punt(&mut control, PuntReason::RouterAlert);
        assert_eq!(circuit, Circuit { port: PortId(BB), tags: VlanTags::None });
        assert_eq!(&frame[14..], &alert);
        // And back: untagged from control, tagged on the wire.
        for (circuit, tags, far) in [
            (network.line_circuit(), &LINE_TAGS[..], &mut network.line),
            (Circuit { port: PortId(HANDOFF), tags: handoff_tags() }, &HANDOFF_TAGS, &mut network.handoff),
        ] {
            let reply = ethernet(far.mac(), network.macs[usize::from(circuit.port.0)], &[], 0x0806, &arp);
            control.say(&ToForwarder::Transmit { circuit, frame: reply });
            far.receives(&ethernet(far.mac(), network.macs[usize::from(circuit.port.0)], tags, 0x0806, &arp));
            assert_eq!(network.dir.counters(|m| m.port(circuit.port, PortCounter::Originated)), 1);
        }
        // An unresolved subscriber is control's to resolve.
        control.change([network.binding(None)]);
        let down = labelled(2000, 60, &ipv4(SERVICE, HOST, 64, b"down"));
        network.backbone.send(&ethernet(network.macs[0], network.backbone.mac(), &[], 0x8847, &down));
        control.find(|m| match m {
            ToControl::SubscriberUnresolved { isp, address } => {
                ((*isp, *address) == (ISP, HOST.into())).then_some(())
            }
            _ => None,
        });
        // Without control, what is for it is dropped and counted, and nothing else stops.
        drop(control);
        network.push();
        network.line.send(&ethernet(broadcast, SUBSCRIBER_MAC, &LINE_TAGS, 0x0806, &arp));
        network.push();
        assert_eq!(network.dir.counters(|m| m.port_drops(PortId(LINE), DropReason::PuntLimited)), 1);
    });
}

#[test]
fn a_control_that_does_not_listen_loses_punts_and_nothing_else() {
    sandbox::run("a_control_that_does_not_listen_loses_punts_and_nothing_else", || {
        // As many as pass the limits per line and per port at once; together more than may wait for control.
        const FRAMES: u64 = 2000;
        const LINES: u16 = 20;
        let mut network = Network::new();
        let _process = network.start();
        let mut control = network.connect_and_set_up();
        let limited =
            |network: &Network| network.dir.counters(|m| m.port_drops(PortId(LINE), DropReason::PuntLimited));
        control.change((0..LINES).map(|line| network.other_line(1000 + line)));
        for number in 0..FRAMES {
            let tags = [LINE_TAGS[0], (0x8100, 1000 + number as u16 % LINES)];
            network.line.send(&ethernet(wire::MacAddr::BROADCAST, SUBSCRIBER_MAC, &tags, 0x0806, &[1; 1480]));
        }
        network.push();
        let dropped = limited(&network);
        let drops = network.dir.drops(PortId(LINE));
        assert!(dropped > 0, "too little to fill what may wait; dropped: {drops:?}");
        // Control awakes and gets what waited, then what is new.
        for _ in dropped..FRAMES {
            control.find(|m| matches!(m, ToControl::Punt { reason: PuntReason::Arp, .. }).then_some(()));
        }
        assert_eq!(limited(&network), dropped);
        let alert = labelled(1, 255, &ipv4(HOST, SERVICE, 64, b"oam!"));
        network.backbone.send(&ethernet(network.macs[0], network.backbone.mac(), &[], 0x8847, &alert));
        control.find(|m| matches!(m, ToControl::Punt { reason: PuntReason::RouterAlert, .. }).then_some(()));
    });
}

#[test]
fn control_dies_and_the_next_completes_what_is_there() {
    sandbox::run("control_dies_and_the_next_completes_what_is_there", || {
        let mut network = Network::new();
        let _process = network.start();
        let control = network.connect_and_set_up();
        let first = control.generation;
        drop(control);
        network.all_ways();

        let mut next = Control::connect(&network.dir);
        assert_eq!(next.generation.0, first.0 + 1);
        let mut installed = next.installed();
        for change in network.changes() {
            let at = installed.iter().position(|c| *c == change).unwrap_or_else(|| panic!("{change:?}"));
            installed.swap_remove(at);
        }
        assert_eq!(installed, [], "nothing that was not said");

        // Replayed but for the swap; a port that it does not name is given back.
        let swap = label(2002);
        let kept = |change: &Change| !matches!(change, Change::Ilm(label, _) if *label == swap);
        let (configuration, learned): (Vec<_>, Vec<_>) =
            network.changes().into_iter().filter(kept).partition(|c| c.scope() == Scope::Configuration);
        let handoff = PortId(HANDOFF);
        next.change(
            configuration.into_iter().filter(|c| !matches!(c, Change::Port(id, _) if *id == handoff)),
        );
        // Said again for a port that stays as it was, since this control does not know.
        next.port_is(LINE, is_ready);
        next.change(learned);
        network.swap();
        next.end_of_replay(Scope::Configuration);
        next.end_of_replay(Scope::Learned);
        assert!(
            !next.installed().iter().any(|change| matches!(change, Change::Ilm(label, _) if *label == swap))
        );
        let through = labelled(2002, 60, &ipv4(SERVICE, HOST, 64, b"swap"));
        network.backbone.send(&ethernet(network.macs[0], network.backbone.mac(), &[], 0x8847, &through));
        // By the same port, so that the frame before it has been dealt with when this one arrives.
        network.home();
        let unknown = network.dir.counters(|m| m.port_drops(PortId(BB), DropReason::UnknownLabel));
        assert_eq!(unknown, 1, "swept");
        assert_eq!(is_up("isp0"), Some(true), "given back");

        // A newer connection ends an older one as soon as it says Hello.
        let _newest = Control::connect(&network.dir);
        while next.hear().is_some() {}
        network.push();
    });
}

#[test]
fn a_device_goes_and_returns() {
    sandbox::run("a_device_goes_and_returns", || {
        let mut network = Network::new();
        let _process = network.start();
        let mut control = network.connect_and_set_up();
        let is_unusable = |state: &PortState| matches!(state, PortState::Unusable(_));
        let no_carrier = |state: &PortState| matches!(state, PortState::Open { carrier: false, .. });

        // An access port's cable is pulled and put back.
        network.outside.run(|| sandbox::set("line0far", false));
        control.port_is(LINE, no_carrier);
        network.outside.run(|| sandbox::set("line0far", true));
        control.port_is(LINE, is_ready);
        // The backbone's MTU changes.
        sandbox::set_mtu("bb0", 1600);
        control.port_is(BB, |state| matches!(state, PortState::Open { mtu: 1600, .. }));
        sandbox::set_mtu("bb0", 1500);
        control.port_is(BB, |state| matches!(state, PortState::Open { mtu: 1500, .. }));

        // Devices are destroyed, one in each namespace, and made again.
        network.outside.run(|| sandbox::delete("line0far"));
        let state = control.port_is(LINE, is_unusable);
        assert!(format!("{state:?}").contains("there is no device `line0`"), "{state:?}");
        sandbox::delete("bb0");
        control.port_is(BB, is_unusable);
        network.cable(LINE);
        network.cable(BB);
        for port in [LINE, BB] {
            let state = control.port_is(port, is_ready);
            network.learn(port, &state);
        }
        control.change(network.changes());
        network.all_ways();

        // A device that is not there yet.
        let late = PortConfig { device: "late0".to_owned(), kind: PortKind::Access };
        control.change([Change::Port(PortId(9), Some(late))]);
        control.port_is(9, is_unusable);
        network.outside.cable("late0", "late0far");
        control.port_is(9, is_ready);
        assert_eq!(is_up("late0"), None, "taken into the namespace for ports");
        control.change([Change::Port(PortId(9), None)]);
        assert!(is_up("late0").is_some(), "given back before the change is acknowledged");
    });
}

#[test]
fn devices_are_given_back_as_they_were_found() {
    sandbox::run("devices_are_given_back_as_they_were_found", || {
        let mut network = Network::new();
        sandbox::set("isp0", false);
        let process = network.start();
        let mut control = network.connect_and_set_up();
        let namespace = std::fs::File::open(network.dir.path().join("ports.netns")).unwrap();
        assert_eq!((is_up("line0"), is_up("isp0"), is_up("bb0")), (None, None, Some(true)));
        assert_eq!(in_namespace(&namespace, || (is_up("line0"), is_up("isp0"))), (Some(true), Some(true)));
        let sysctl = in_namespace(&namespace, || {
            std::fs::read_to_string("/proc/sys/net/ipv6/conf/line0/disable_ipv6").unwrap_or("1".into())
        });
        assert_eq!(sysctl.trim(), "1");

        // Killed: the devices stay in custody, and the next forwarder goes on with them.
        process.kill();
        assert!(control.hear().is_none());
        assert_eq!(is_up("line0"), None);
        let process = network.start();
        let mut control = network.connect_and_set_up();
        network.all_ways();
        network.dir.counters(|memory| {
            let (_, slot) = memory.isps().find(|(isp, _)| *isp == ISP).unwrap();
            assert_eq!(memory.traffic(slot, Point::HeadendToIsp).packets, 1, "counted on in the same memory");
        });
        control.change([]);

        process.signal(libc::SIGTERM);
        assert!(process.ended().success());
        assert_eq!((is_up("line0"), is_up("isp0"), is_up("bb0")), (Some(true), Some(false), Some(true)));
        let left: Vec<_> =
            std::fs::read_dir(network.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["counters"]);
    });
}
