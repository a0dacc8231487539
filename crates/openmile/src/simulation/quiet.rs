//! The end of a run: all that was broken is mended, and after a while everything must work. A network that drops every
//! packet would be isolated too.

use std::time::Duration;

use super::plan::{Door, Plan, Provider};
use super::walk::End;
use super::world::{What, World};

/// How long recovery may take: reconnect and recovery times of LDP, and labels' rest.
const PATIENCE: u32 = 40;
const LOOK: Duration = Duration::from_secs(8);
/// After this long nothing inherited is left.
const SETTLED: Duration = Duration::from_secs(300);

impl World {
    /// Mends everything, waits, and sees that everything works.
    pub(super) fn end_quietly(&mut self) {
        self.mend();
        let mut missing = None;
        for _ in 0..PATIENCE {
            self.spell(LOOK);
            if self.checker.violation.is_some() {
                return;
            }
            missing = self.missing();
            if missing.is_none() && self.members.iter().all(|member| member.shell.is_some()) {
                break;
            }
        }
        if let Some(missing) = missing {
            return self.checker.wrong(format!("after the quiet, still: {missing}"));
        }
        self.everybody_sends();
        let disturbed = self.members.iter().map(|member| member.disturbed);
        let last = disturbed.chain(self.moves_end()).max().unwrap_or(self.now);
        if self.fault.is_some() || self.random.chance(25) {
            self.run(SETTLED.saturating_sub(self.now.since(last)));
            self.nothing_is_left_over();
        }
    }

    fn mend(&mut self) {
        self.note(|| "everything is mended".into());
        self.mute.clear();
        self.silent.clear();
        if let Some(stranger) = &mut self.stranger {
            stranger.routed.clear();
        }
        for (node, port) in std::mem::take(&mut self.dark) {
            self.carrier_changed(node, port);
        }
        for cable in 0..self.cables.len() {
            if !self.cables[cable] {
                self.set_cable(cable, true);
            }
        }
        self.topology_changed();
        // Whoever was to have another file by and by is to have this one too.
        self.forget_reloads();
        let file = self.random.below(self.files.len());
        for node in 0..self.members.len() {
            if self.members[node].file != file {
                if self.random.chance(50) {
                    self.later(Duration::ZERO, What::Reload { node, file, insist: true, announced: false });
                } else {
                    self.changes_file(node, file);
                }
            }
            self.later(Duration::from_secs(1), What::StartForwarder { node });
            self.later(Duration::from_secs(1), What::StartControl { node });
        }
    }

    /// The first LSP that should be and is not.
    fn missing(&self) -> Option<String> {
        let plan = &self.files[self.members[0].file].plan;
        for isp in &plan.isps {
            for &(headend, _) in &isp.headends {
                let remote = isp.doors.iter().any(|door| is_remote(isp, door, headend));
                if remote && self.way_to_isp(headend, isp.asn) != Ok(End::Arrives) {
                    return Some(format!("no way from n{headend} to {}", isp.asn));
                }
                for door in isp.doors.iter().filter(|door| door.line.node != headend) {
                    let address = std::net::IpAddr::from([100, 64, headend as u8, 9]);
                    let tailend = door.line.node;
                    if self.way_to_subscribers(tailend, isp.asn, address) != Ok(End::Arrives) {
                        return Some(format!(
                            "no way back from n{tailend} to {}'s subscribers at n{headend}",
                            isp.asn
                        ));
                    }
                }
            }
        }
        None
    }

    /// A packet of everybody, and a packet to everybody, arrives.
    pub(super) fn everybody_sends(&mut self) {
        let file = self.members[0].file;
        let plan = Plan { customers: self.customers(file), ..self.files[file].plan.clone() };
        let mut waiting: Vec<(usize, Option<usize>, std::net::IpAddr)> = Vec::new();
        for (number, customer) in plan.customers.iter().enumerate() {
            let remote: Vec<_> = plan.isps[customer.isp]
                .doors
                .iter()
                .enumerate()
                .filter(|(_, door)| door.line.node != customer.line.node)
                .collect();
            let isp = &plan.isps[customer.isp];
            let ways: Vec<_> = isp.doors.iter().filter(|d| is_remote(isp, d, customer.line.node)).collect();
            for address in customer.addresses() {
                let carries =
                    |door: &super::plan::Door| if address.is_ipv4() { door.ipv4 } else { door.ipv6 };
                if !ways.is_empty() && ways.iter().all(|door| carries(door)) {
                    waiting.push((number, None, address));
                }
                waiting.extend(remote.iter().map(|(door, _)| (number, Some(*door), address)));
            }
        }
        // The first packets may find Ethernet addresses unresolved.
        for _ in 0..6 {
            let mut numbers = Vec::new();
            for &(customer, door, address) in &waiting {
                let customer = &plan.customers[customer];
                let isp = &plan.isps[customer.isp];
                numbers.push(match door.map(|door| isp.doors[door]) {
                    None => self.customer_sends(customer, address),
                    Some(door) => self.isp_sends(isp.asn, door, address),
                });
            }
            self.run(Duration::from_millis(4_000));
            let arrived: Vec<bool> = numbers.iter().map(|&number| self.checker.arrived(number)).collect();
            let mut arrived = arrived.into_iter();
            waiting.retain(|_| !arrived.next().unwrap_or(false));
            if waiting.is_empty() || self.checker.violation.is_some() {
                return;
            }
        }
        let (customer, door, address) = waiting[0];
        let line = plan.customers[customer].line;
        self.checker.wrong(format!(
            "after the quiet, no packet of {address} on {line:?} arrives ({})",
            door.map_or("to the ISP".into(), |door| format!("from its handoff {door}"))
        ));
    }

    /// Nothing is installed that should not be.
    fn nothing_is_left_over(&mut self) {
        for node in 0..self.members.len() {
            if let Some(strange) = self.strange_labels(node).into_iter().next() {
                self.checker.wrong(format!("after the quiet, {strange}"));
            }
            let plan = &self.files[self.members[node].file].plan;
            let Some(tables) = self.checker.tables.get(&node) else { continue };
            let left = tables.bindings.iter().find(|(line, isp, prefix)| {
                !self.customers(self.members[node].file).iter().any(|customer| {
                    let addresses = customer.addresses();
                    customer.line == *line
                        && plan.isps[customer.isp].asn == *isp
                        && addresses.iter().any(|address| prefix.contains(address))
                })
            });
            if let Some(left) = left.copied() {
                self.checker.wrong(format!("after the quiet, n{node} still binds {left:?}"));
            }
        }
    }
}

/// Whether a headend sends to this handoff: it is at another node, and its FEC does not end at the headend itself too.
fn is_remote(isp: &Provider, door: &Door, headend: usize) -> bool {
    let local = isp.doors.iter().any(|other| other.line.node == headend && other.fec == door.fec);
    door.line.node != headend && !local
}
