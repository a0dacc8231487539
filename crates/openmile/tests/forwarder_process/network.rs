//! A node with one port of each kind, cables to an outside, and what control says to it.

use std::net::{IpAddr, Ipv4Addr};

use contract::{
    Asn, Binding, BindingKey, Change, Circuit, Fec, Ftn, FtnChoice, Handoff, Ilm, IlmAction, IspPrefix,
    Label, LabelStack, MacAddr, Nhlfe, PortConfig, PortId, PortKind, PortState, ReturnRoute, Settings,
    SubscriberId, VlanId, VlanTags,
};

use crate::frames::{FarEnd, ethernet, ipv4, labelled};
use crate::node::{Control, Dir, Process, is_ready};
use crate::sandbox::Outside;

pub(crate) const BB: u16 = 0;
pub(crate) const LINE: u16 = 1;
pub(crate) const HANDOFF: u16 = 2;
const DEVICES: [(&str, &str, PortKind); 3] = [
    ("bb0", "bb0far", PortKind::Backbone),
    ("line0", "line0far", PortKind::Access),
    ("isp0", "isp0far", PortKind::Handoff),
];

pub(crate) const ISP: Asn = Asn(64501);
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 11);
pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub(crate) const SUBSCRIBER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x11]);
const ISP_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x22]);
const LSR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x33]);
/// Of the line's frames, as on the wire: a service tag over a customer tag.
pub(crate) const LINE_TAGS: [(u16, u16); 2] = [(0x88a8, 100), (0x8100, 7)];
/// Of the handoff's.
pub(crate) const HANDOFF_TAGS: [(u16, u16); 1] = [(0x8100, 50)];

pub(crate) fn label(value: u32) -> Label {
    Label::new(value).unwrap()
}

pub(crate) fn handoff_tags() -> VlanTags {
    VlanTags::Single(VlanId::new(50).unwrap())
}

pub(crate) struct Network {
    pub(crate) dir: Dir,
    pub(crate) outside: Outside,
    pub(crate) backbone: FarEnd,
    pub(crate) line: FarEnd,
    pub(crate) handoff: FarEnd,
    /// The node's Ethernet addresses, by port.
    pub(crate) macs: [MacAddr; 3],
}

impl Network {
    pub(crate) fn new() -> Self {
        let outside = Outside::new();
        for (near, far, _) in DEVICES {
            outside.cable(near, far);
        }
        let [backbone, line, handoff] = DEVICES.map(|(_, far, _)| FarEnd::open(&outside, far));
        Self { dir: Dir::new(), outside, backbone, line, handoff, macs: [MacAddr([0; 6]); 3] }
    }

    pub(crate) fn start(&self) -> Process {
        self.dir.forwarder()
    }

    /// Makes a cable anew.
    pub(crate) fn cable(&mut self, port: u16) {
        let (near, far, _) = DEVICES[usize::from(port)];
        self.outside.cable(near, far);
        let end = FarEnd::open(&self.outside, far);
        match port {
            BB => self.backbone = end,
            LINE => self.line = end,
            _ => self.handoff = end,
        }
    }

    pub(crate) fn learn(&mut self, port: u16, state: &PortState) {
        let PortState::Open { mac, .. } = state else { panic!("{state:?}") };
        self.macs[usize::from(port)] = *mac;
    }

    pub(crate) fn connect_and_set_up(&mut self) -> Control {
        let mut control = Control::connect(&self.dir);
        control.change(self.changes());
        for port in [BB, LINE, HANDOFF] {
            let state = control.port_is(port, is_ready);
            self.learn(port, &state);
        }
        control
    }

    pub(crate) fn fec(&self) -> Fec {
        Fec("10.254.1.1/32".parse().unwrap())
    }

    pub(crate) fn line_circuit(&self) -> Circuit {
        let (outer, inner) = (VlanId::new(100).unwrap(), VlanId::new(7).unwrap());
        Circuit { port: PortId(LINE), tags: VlanTags::Double { outer, inner } }
    }

    pub(crate) fn binding(&self, mac: Option<MacAddr>) -> Change {
        let prefix = IspPrefix { isp: ISP, prefix: format!("{HOST}/32").parse().unwrap() };
        let key = BindingKey { circuit: self.line_circuit(), prefix };
        Change::Binding(
            key,
            Some(Binding { subscriber: SubscriberId(1), mac, verify_mac: false, leaving: false }),
        )
    }

    /// A binding on another line of the same port.
    pub(crate) fn other_line(&self, inner: u16) -> Change {
        let (outer, inner) = (VlanId::new(100).unwrap(), VlanId::new(inner).unwrap());
        let circuit = Circuit { port: PortId(LINE), tags: VlanTags::Double { outer, inner } };
        let address = Ipv4Addr::from_bits(u32::from(inner.number()) | 0x6440_0000);
        let prefix = IspPrefix { isp: ISP, prefix: IpAddr::from(address).into() };
        let binding = Binding { subscriber: SubscriberId(2), mac: None, verify_mac: false, leaving: false };
        Change::Binding(BindingKey { circuit, prefix }, Some(binding))
    }

    /// All that this node should hold.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let handoff = Circuit { port: PortId(HANDOFF), tags: handoff_tags() };
        let ilm = |value, action| Change::Ilm(label(value), Some(Ilm { fec: self.fec(), action }));
        let mut changes = vec![Change::Settings(Settings::default())];
        changes.extend(DEVICES.iter().zip(0..).map(|((device, _, kind), id)| {
            Change::Port(PortId(id), Some(PortConfig { device: (*device).to_owned(), kind: *kind }))
        }));
        changes.extend([
            self.binding(Some(SUBSCRIBER_MAC)),
            Change::Handoff(
                handoff,
                Some(Handoff { isp: ISP, ipv4: Some((Ipv4Addr::new(192, 0, 2, 2), ISP_MAC)), ipv6: None }),
            ),
            Change::ReturnRoute(
                IspPrefix { isp: ISP, prefix: "100.64.0.0/24".parse().unwrap() },
                Some(ReturnRoute { fec: self.fec(), nhlfes: vec![nhlfe(3000)] }),
            ),
            Change::Ftn(
                ISP,
                Some(Ftn { choices: vec![FtnChoice { fec: self.fec(), nhlfes: vec![nhlfe(1000)] }] }),
            ),
            ilm(2000, IlmAction::PopToSubscribers { isp: ISP }),
            ilm(2001, IlmAction::PopToHandoff { isp: ISP, handoff }),
            ilm(2002, IlmAction::Swap { isp: None, nhlfes: vec![nhlfe(4000)] }),
        ]);
        changes
    }

    pub(crate) fn line_frame(&self, packet: &[u8]) -> Vec<u8> {
        ethernet(self.macs[1], SUBSCRIBER_MAC, &LINE_TAGS, 0x0800, packet)
    }

    /// Headend, to the ISP.
    pub(crate) fn push(&mut self) {
        let frame = self.line_frame(&ipv4(HOST, SERVICE, 64, b"push"));
        self.line.send(&frame);
        let under = labelled(1000, 255, &ipv4(HOST, SERVICE, 63, b"push"));
        self.backbone.receives(&ethernet(LSR_MAC, self.macs[0], &[], 0x8847, &under));
    }

    /// Transit.
    pub(crate) fn swap(&mut self) {
        let packet = ipv4(SERVICE, HOST, 64, b"swap");
        self.labelled_arrives(&labelled(2002, 60, &packet));
        self.backbone.receives(&ethernet(LSR_MAC, self.macs[0], &[], 0x8847, &labelled(4000, 59, &packet)));
    }

    /// One packet each way at each of the three roles.
    pub(crate) fn all_ways(&mut self) {
        self.push();
        self.swap();
        // Tailend, to the ISP.
        self.labelled_arrives(&labelled(2001, 60, &ipv4(HOST, SERVICE, 63, b"pop!")));
        let out = ipv4(HOST, SERVICE, 62, b"pop!");
        self.handoff.receives(&ethernet(ISP_MAC, self.macs[2], &HANDOFF_TAGS, 0x0800, &out));
        // Tailend, to the subscriber.
        let back = ipv4(SERVICE, HOST, 64, b"back");
        self.handoff.send(&ethernet(self.macs[2], ISP_MAC, &HANDOFF_TAGS, 0x0800, &back));
        let under = labelled(3000, 255, &ipv4(SERVICE, HOST, 63, b"back"));
        self.backbone.receives(&ethernet(LSR_MAC, self.macs[0], &[], 0x8847, &under));
        self.home();
    }

    /// Headend, to the subscriber.
    pub(crate) fn home(&mut self) {
        self.labelled_arrives(&labelled(2000, 60, &ipv4(SERVICE, HOST, 63, b"home")));
        let home = ipv4(SERVICE, HOST, 62, b"home");
        self.line.receives(&ethernet(SUBSCRIBER_MAC, self.macs[1], &LINE_TAGS, 0x0800, &home));
    }

    fn labelled_arrives(&mut self, under: &[u8]) {
        let frame = ethernet(self.macs[0], LSR_MAC, &[], 0x8847, under);
        self.backbone.send(&frame);
    }
}

fn nhlfe(out: u32) -> Nhlfe {
    let push = LabelStack::new(&[label(out)]).unwrap();
    Nhlfe { push, port: PortId(BB), next_hop: Ipv4Addr::new(10, 0, 0, 2).into(), mac: LSR_MAC }
}
