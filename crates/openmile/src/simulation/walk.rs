//! The checker's other eye: it walks every way that the installed tables of all nodes offer, with its own plain reading of
//! them, and holds each end against the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use contract::{Change, Circuit, IlmAction, Nhlfe, PortId, VlanTags};
use ipnet::IpNet;

use super::plan::{Behind, Line, Tags, port_mac};
use super::world::World;

/// What a node has installed.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    /// Devices by port number.
    ports: BTreeMap<u16, usize>,
    /// What is done with a label, and the FEC that it stands for.
    labels: BTreeMap<u32, (Ipv4Addr, Action)>,
    /// Where an ISP's packets go: the FEC and the ways to it.
    to_isp: BTreeMap<u32, Vec<(Ipv4Addr, Vec<Way>)>>,
    /// Where packets to an ISP's prefix go.
    to_subscribers: BTreeMap<(u32, IpNet), Vec<Way>>,
    doors: Vec<(Option<Line>, u32)>,
    /// Who may send what from where.
    pub(super) bindings: BTreeSet<(Line, u32, IpNet)>,
}

#[derive(Clone, Debug)]
enum Action {
    Swap(Vec<Way>),
    Door(u32, Option<Line>),
    Subscribers(u32),
}

/// A label and a port to send by.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Way {
    labels: Vec<u32>,
    port: Option<usize>,
    mac: [u8; 6],
}

/// Whose a packet is and which way it goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Flow {
    pub(super) isp: u32,
    pub(super) to_isp: bool,
}

/// How a walk ended, over all branches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum End {
    /// Every branch arrives.
    Arrives,
    /// A branch ends nowhere or goes in circles.
    Nowhere,
}

impl Tables {
    /// All labels.
    pub(super) fn labels(&self) -> Vec<u32> {
        self.labels.keys().copied().collect()
    }

    fn read(
        node: usize,
        changes: Vec<Change>,
        device: impl Fn(PortId) -> Option<usize>,
    ) -> Result<Self, String> {
        let mut tables = Self::default();
        let line = |circuit: Circuit| {
            let tags = match circuit.tags {
                VlanTags::None => Tags::Untagged,
                VlanTags::Single(vlan) => Tags::Vlan(vlan.number()),
                VlanTags::Double { outer, inner } => Tags::Double(outer.number(), inner.number()),
            };
            device(circuit.port).map(|port| Line { node, port, tags })
        };
        let ways = |nhlfes: &[Nhlfe]| -> Vec<Way> {
            let way = |nhlfe: &Nhlfe| Way {
                labels: nhlfe.push.labels().iter().map(|label| label.value()).collect(),
                port: device(nhlfe.port),
                mac: nhlfe.mac.0,
            };
            nhlfes.iter().map(way).collect()
        };
        for change in changes {
            match change {
                Change::Ilm(label, Some(ilm)) => {
                    let action = match &ilm.action {
                        IlmAction::Swap { nhlfes, .. } => Action::Swap(ways(nhlfes)),
                        IlmAction::PopToHandoff { isp, handoff } => Action::Door(isp.0, line(*handoff)),
                        IlmAction::PopToSubscribers { isp } => Action::Subscribers(isp.0),
                    };
                    if tables.labels.insert(label.value(), (host(ilm.fec.0), action)).is_some() {
                        return Err(format!("n{node} has label {label} twice"));
                    }
                }
                Change::Ftn(isp, Some(ftn)) => {
                    let choices = ftn.choices.iter().map(|c| (host(c.fec.0), ways(&c.nhlfes))).collect();
                    tables.to_isp.insert(isp.0, choices);
                }
                Change::ReturnRoute(prefix, Some(route)) => {
                    tables.to_subscribers.insert((prefix.isp.0, prefix.prefix), ways(&route.nhlfes));
                }
                Change::Handoff(circuit, Some(handoff)) => {
                    tables.doors.push((line(circuit), handoff.isp.0));
                }
                Change::Binding(key, Some(_)) => {
                    if let Some(line) = line(key.circuit) {
                        tables.bindings.insert((line, key.prefix.isp.0, key.prefix.prefix));
                    }
                }
                Change::Port(id, Some(_)) => tables.ports.extend(device(id).map(|port| (id.0, port))),
                _ => {}
            }
        }
        Ok(tables)
    }
}

fn host(prefix: IpNet) -> Ipv4Addr {
    match prefix.addr() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

impl World {
    /// Reads tables that changed, and walks all ways again if any did.
    pub(super) fn look(&mut self) {
        for (node, member) in self.members.iter_mut().enumerate() {
            if member.shell.as_mut().is_some_and(|shell| std::mem::take(&mut shell.changed)) {
                self.checker.tables_changed(node);
            }
        }
        let dirty = self.checker.take_dirty();
        if dirty.is_empty() {
            return;
        }
        for node in dirty {
            let read = match &self.members[node].shell {
                Some(shell) => Tables::read(node, shell.installed(), |id| shell.device(id)),
                None => Ok(Tables::default()),
            };
            match read {
                Ok(tables) => {
                    if let Err(wrong) = self.judge_alone(node, &tables) {
                        self.checker.wrong(wrong);
                    }
                    self.checker.tables.insert(node, tables);
                }
                Err(wrong) => self.checker.wrong(wrong),
            }
        }
        if let Err(wrong) = self.walk_all() {
            self.checker.wrong(wrong);
        }
    }

    /// What must hold of a node's tables whatever the others have.
    fn judge_alone(&self, node: usize, tables: &Tables) -> Result<(), String> {
        for (line, isp) in &tables.doors {
            let truth = line.and_then(|line| self.plan.door(line)).map(|(isp, _)| self.plan.isps[isp].asn);
            if line.is_some() && truth != Some(*isp) {
                return Err(format!("n{node} takes {line:?} for {isp}'s handoff; it is {truth:?}'s"));
            }
        }
        for (line, isp, prefix) in &tables.bindings {
            if !self.may_be_bound(*line, *isp, *prefix) {
                return Err(format!("n{node} binds {prefix} on {line:?} to {isp}, whose it never was"));
            }
        }
        Ok(())
    }

    /// Every way of every node: nothing that enters as one ISP's may end as another's.
    pub(super) fn walk_all(&mut self) -> Result<(), String> {
        let mut walked = 0;
        for (&node, tables) in &self.checker.tables {
            for (&isp, choices) in &tables.to_isp {
                for (_, ways) in choices {
                    walked += 1;
                    self.walk(node, ways, Flow { isp, to_isp: true }, &mut BTreeSet::new())?;
                }
            }
            for (&(isp, _), ways) in &tables.to_subscribers {
                walked += 1;
                self.walk(node, ways, Flow { isp, to_isp: false }, &mut BTreeSet::new())?;
            }
        }
        self.checker.walks += walked;
        Ok(())
    }

    /// Where packets of an ISP end that a node sends these ways; `Nowhere` if there are none.
    fn walk(
        &self,
        node: usize,
        ways: &[Way],
        flow: Flow,
        been: &mut BTreeSet<(usize, u32)>,
    ) -> Result<End, String> {
        let mut end = if ways.is_empty() { End::Nowhere } else { End::Arrives };
        for way in ways {
            end = end.max(self.step(node, way, flow, been)?);
        }
        Ok(end)
    }

    fn step(
        &self,
        node: usize,
        way: &Way,
        flow: Flow,
        been: &mut BTreeSet<(usize, u32)>,
    ) -> Result<End, String> {
        let wrong = |what: &str| Err(format!("{flow:?} leaves n{node} by {way:?} {what}"));
        let Some(port) = way.port else { return Ok(End::Nowhere) };
        match self.plan.nodes[node].ports[port].1 {
            Behind::Access | Behind::Handoff => return wrong("with a label, which is no backbone port"),
            _ if way.labels.is_empty() => return wrong("without a label"),
            _ if way.labels.iter().any(|&label| label < 16) => return wrong("with a special-purpose label"),
            Behind::Stranger => {
                return match self.foreign_label(way.labels[0], flow) {
                    Ok(()) => Ok(End::Nowhere),
                    Err(what) => wrong(&what),
                };
            }
            Behind::Cable(cable, _) if !self.cables[cable] => return Ok(End::Nowhere),
            Behind::Cable(..) => {}
        }
        let Some((to, there)) = self.plan.other_end(node, port) else { return Ok(End::Nowhere) };
        if way.mac != port_mac(to, there) {
            return Ok(End::Nowhere);
        }
        let Some((address, action)) = self.checker.tables.get(&to).and_then(|t| t.labels.get(&way.labels[0]))
        else {
            return Ok(End::Nowhere);
        };
        match action {
            Action::Swap(ways) => {
                if !been.insert((to, way.labels[0])) {
                    return Ok(End::Nowhere);
                }
                let end = self.walk(to, ways, flow, been)?;
                been.remove(&(to, way.labels[0]));
                Ok(end)
            }
            Action::Door(isp, line) => {
                let door = line.and_then(|line| self.plan.door(line));
                let truth = door.map(|(isp, _)| self.plan.isps[isp].asn);
                match truth {
                    _ if !flow.to_isp || *isp != flow.isp => {
                        wrong(&format!("and ends at n{to}, for {address}, as {isp}'s, to the ISP"))
                    }
                    Some(truth) if truth != flow.isp => {
                        wrong(&format!("and ends at {truth}'s handoff of n{to}"))
                    }
                    Some(_) => Ok(End::Arrives),
                    None => Ok(End::Nowhere),
                }
            }
            Action::Subscribers(isp) if flow.to_isp || *isp != flow.isp => {
                wrong(&format!("and ends at n{to}, for {address}, as {isp}'s, to subscribers"))
            }
            Action::Subscribers(_) => Ok(End::Arrives),
        }
    }

    /// Whether the stranger can tell by a label whose the packet is: all that it bound the label to is the same owner's.
    pub(super) fn foreign_label(&self, label: u32, flow: Flow) -> Result<(), String> {
        let Some(stranger) = self.stranger.as_ref().filter(|stranger| stranger.is_settled(self.now)) else {
            return Ok(());
        };
        let fecs = stranger.bound.iter().filter(|(_, bound)| **bound == label).map(|(address, _)| *address);
        let fecs: Vec<_> = fecs.collect();
        if fecs.is_empty() {
            return Err("by a label that the stranger has not bound".into());
        }
        match fecs.iter().find(|&&address| !self.owners(address).contains(&flow)) {
            Some(other) => {
                Err(format!("by a label that the stranger bound to {fecs:?}; {other} is another's"))
            }
            None => Ok(()),
        }
    }

    /// Whose an address is, in any of the network files.
    pub(super) fn owners(&self, address: Ipv4Addr) -> BTreeSet<Flow> {
        let mut owners = BTreeSet::new();
        for file in &self.files {
            for isp in &file.plan.isps {
                let door = isp.doors.iter().any(|d| super::plan::service_address(d.fec) == address);
                let back = isp.headends.iter().any(|h| super::plan::service_address(h.1) == address);
                owners.extend(door.then_some(Flow { isp: isp.asn, to_isp: true }));
                owners.extend(back.then_some(Flow { isp: isp.asn, to_isp: false }));
            }
        }
        owners
    }

    /// How an ISP's packets end that enter at this node.
    pub(super) fn way_to_isp(&self, node: usize, isp: u32) -> Result<End, String> {
        let choices = self.checker.tables.get(&node).and_then(|tables| tables.to_isp.get(&isp));
        let Some(choices) = choices.filter(|choices| !choices.is_empty()) else { return Ok(End::Nowhere) };
        let mut end = End::Arrives;
        for (_, ways) in choices {
            end = end.max(self.walk(node, ways, Flow { isp, to_isp: true }, &mut BTreeSet::new())?);
        }
        Ok(end)
    }

    /// How packets to an ISP's prefix end that enter at this node.
    pub(super) fn way_to_subscribers(&self, node: usize, isp: u32, address: IpAddr) -> Result<End, String> {
        let routes = self.checker.tables.get(&node).into_iter().flat_map(|tables| &tables.to_subscribers);
        let mut routes = routes.filter(|((owner, prefix), _)| *owner == isp && prefix.contains(&address));
        match routes.next() {
            Some((_, ways)) => self.walk(node, ways, Flow { isp, to_isp: false }, &mut BTreeSet::new()),
            None => Ok(End::Nowhere),
        }
    }

    /// What a node has installed for labels whose FECs are not whose its file says, or are nobody's.
    pub(super) fn strange_labels(&self, node: usize) -> Vec<String> {
        let Some(tables) = self.checker.tables.get(&node) else { return Vec::new() };
        let file = &self.files[self.members[node].file].plan;
        let strange = tables.labels.iter().filter_map(|(label, (address, action))| {
            let doors = file.isps.iter().flat_map(|isp| isp.doors.iter().map(move |door| (isp.asn, door)));
            let door = doors.clone().find(|(_, d)| super::plan::service_address(d.fec) == *address);
            let back = file.isps.iter().find_map(|isp| {
                let headend = isp.headends.iter().find(|h| super::plan::service_address(h.1) == *address)?;
                Some((isp.asn, headend.0))
            });
            let right = match action {
                Action::Door(isp, line) => doors.clone().any(|(owner, d)| {
                    owner == *isp && Some(d.line) == *line && super::plan::service_address(d.fec) == *address
                }),
                Action::Subscribers(isp) => back == Some((*isp, node)),
                Action::Swap(_) => door.is_some() || back.is_some(),
            };
            (!right).then(|| format!("n{node}: label {label} of {address} does {action:?}"))
        });
        strange.collect()
    }
}
