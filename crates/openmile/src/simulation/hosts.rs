//! Who is outside: ISPs' routers and subscribers. They answer ARP and Neighbor Discovery, send packets that are followed,
//! and some of them try what they must not.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::packet::{self, Inside, Parsed};
use super::plan::{Behind, Customer, Door, Line, port_mac, service_address};
use super::stranger;
use super::walk::Flow;
use super::world::{What, World};

/// How long after a replay began both an old and a new assignment may still be in force.
pub(super) const TAKES_EFFECT: Duration = Duration::from_secs(3);

fn router_mac(line: Line) -> [u8; 6] {
    [0x02, 0x03, 0, 0, line.node as u8, line.port as u8]
}

/// Somebody on the Internet.
fn server(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 9)),
    }
}

/// Whether the customer has this address.
pub(super) fn has(customer: &Customer, address: IpAddr) -> bool {
    customer.addresses().iter().any(|own| match (own, address) {
        (IpAddr::V6(own), IpAddr::V6(address)) => own.segments()[..4] == address.segments()[..4],
        _ => *own == address,
    })
}

impl World {
    /// A frame arrives behind an access or handoff port.
    pub(super) fn outside(&mut self, line: Line, octets: &[u8]) {
        let Some(parsed) = packet::parse(octets) else { return };
        let place = format!("{line:?}");
        let answers = match self.plan.nodes[line.node].ports[line.port].1 {
            Behind::Handoff => {
                let door = self.plan.door(line);
                let isp = door.map_or(0, |(isp, _)| self.plan.isps[isp].asn);
                self.checker.left_at(&place, &[isp], &parsed);
                let next_hops =
                    door.map_or(Vec::new(), |(isp, door)| self.plan.isps[isp].doors[door].next_hops());
                next_hops.into_iter().map(|address| (address, router_mac(line))).collect()
            }
            _ => self.at_access(line, &place, &parsed),
        };
        let dark = self.dark.contains(&(line.node, line.port));
        let Inside::Asks { target, .. } = parsed.inside else { return };
        let Some((_, mac)) = answers.iter().find(|(address, _)| *address == target) else { return };
        if let Some(octets) = packet::answer(&parsed, *mac).filter(|_| !dark && !self.silent.contains(&line))
        {
            let (node, port) = (line.node, line.port);
            self.later(Duration::from_micros(300), What::Frame { node, port, octets });
        }
    }

    fn at_access(&mut self, line: Line, place: &str, parsed: &Parsed) -> Vec<(IpAddr, [u8; 6])> {
        if let Inside::Ip { destination, .. } = parsed.inside {
            let isps: Vec<u32> = self.isps_of(line, destination, true).into_iter().collect();
            self.checker.left_at(place, &isps, parsed);
        }
        let here = self.plan.customers.iter().filter(|customer| customer.line == line);
        here.flat_map(|customer| customer.addresses().into_iter().map(|address| (address, customer.mac)))
            .collect()
    }

    /// Whose an address on a line is, or may be while a change takes effect; of what goes to the line or comes from it.
    pub(super) fn isps_of(&self, line: Line, address: IpAddr, to_line: bool) -> BTreeSet<u32> {
        if self.plan.stored {
            return self.isps_of_stored(line, address, to_line);
        }
        let member = &self.members[line.node];
        let settled = member.control.is_some() && self.now > member.replayed + TAKES_EFFECT;
        let files = self.files.iter().enumerate();
        let files = files.filter(|(number, _)| !settled || *number == member.file);
        let of_file = |plan: &super::plan::Plan| {
            let here = plan.customers.iter().filter(|c| c.line == line && has(c, address));
            here.map(|customer| plan.isps[customer.isp].asn).collect::<Vec<_>>()
        };
        files.flat_map(|(_, file)| of_file(&file.plan)).collect()
    }

    /// Whether a prefix was ever bound so in any file, or by a move.
    pub(super) fn may_be_bound(&self, line: Line, isp: u32, prefix: IpNet) -> bool {
        if self.plan.stored {
            let mut customers = self.plan.customers.iter().enumerate();
            return customers.any(|(number, customer)| {
                customer.line == line && has(customer, prefix.addr()) && self.was_ever(number, isp)
            });
        }
        self.files.iter().any(|file| {
            file.plan.customers.iter().any(|customer| {
                customer.line == line
                    && file.plan.isps[customer.isp].asn == isp
                    && has(customer, prefix.addr())
            })
        })
    }

    /// All FEC and return addresses of all files.
    pub(super) fn service_addresses(&self) -> Vec<Ipv4Addr> {
        let isps = self.files.iter().flat_map(|file| &file.plan.isps);
        let all: BTreeSet<_> = isps
            .flat_map(|isp| isp.doors.iter().map(|door| door.fec).chain(isp.headends.iter().map(|h| h.1)))
            .map(service_address)
            .collect();
        all.into_iter().collect()
    }

    /// Somebody sends something.
    pub(super) fn traffic(&mut self) {
        match self.random.below(20) {
            0 => self.spoofs(),
            1 => self.labelled_from_outside(),
            2 | 3 => self.stranger_sends(),
            4..=11 => {
                let Some(customer) = self.random.pick(&(0..self.plan.customers.len()).collect::<Vec<_>>())
                else {
                    return;
                };
                let customer = self.plan.customers[customer].clone();
                let addresses = customer.addresses();
                if let Some(address) = self.random.pick(&addresses) {
                    self.customer_sends(&customer, address);
                }
            }
            _ => {
                let doors = self.doors();
                let Some((isp, door)) = self.random.pick(&doors) else { return };
                let customer = self.random.below(self.plan.customers.len().max(1));
                let Some(customer) = self.plan.customers.get(customer) else { return };
                let addresses = customer.addresses();
                if let Some(address) = self.random.pick(&addresses) {
                    self.isp_sends(isp, door, address);
                }
            }
        }
    }

    /// All handoffs, with the AS numbers behind them.
    pub(super) fn doors(&self) -> Vec<(u32, Door)> {
        self.plan.isps.iter().flat_map(|isp| isp.doors.iter().map(|door| (isp.asn, *door))).collect()
    }

    /// A subscriber sends to the Internet; the packet's number.
    pub(super) fn customer_sends(&mut self, customer: &Customer, source: IpAddr) -> u64 {
        let line = customer.line;
        let may = self.isps_of(line, source, false).into_iter().collect();
        let number = self.checker.send(self.now, may, format!("{} on {line:?}", customer.name));
        self.enters(line, customer.mac, &packet::packet(source, server(source), number));
        number
    }

    /// An ISP sends to a subscriber's address; the packet's number.
    pub(super) fn isp_sends(&mut self, isp: u32, door: Door, destination: IpAddr) -> u64 {
        let number = self.checker.send(self.now, vec![isp], format!("AS{isp} at {:?}", door.line));
        let packet = packet::packet(server(destination), destination, number);
        self.enters(door.line, router_mac(door.line), &packet);
        number
    }

    fn enters(&mut self, line: Line, from: [u8; 6], packet: &[u8]) {
        let (node, port) = (line.node, line.port);
        let octets = packet::frame(port_mac(node, port), from, line.tags, &[], packet);
        self.later(Duration::from_micros(200), What::Frame { node, port, octets });
    }

    /// A subscriber sends with the source of another line: that must go nowhere.
    fn spoofs(&mut self) {
        let count = self.plan.customers.len();
        let (liar, other) = (self.random.below(count), self.random.below(count));
        let (Some(liar), Some(other)) = (self.plan.customers.get(liar), self.plan.customers.get(other))
        else {
            return;
        };
        let (line, mac) = (liar.line, liar.mac);
        let Some(&source) = other.addresses().first() else { return };
        if self.files.iter().all(|file| !file.plan.customers.iter().any(|c| c.line == line && has(c, source)))
        {
            let number = self.checker.send(self.now, vec![], format!("a liar on {line:?}"));
            self.enters(line, mac, &packet::packet(source, server(source), number));
        }
    }

    /// A labelled frame comes in where none may.
    fn labelled_from_outside(&mut self) {
        let mut lines: Vec<(Line, [u8; 6])> =
            self.doors().iter().map(|(_, d)| (d.line, router_mac(d.line))).collect();
        lines.extend(self.plan.customers.iter().map(|customer| (customer.line, customer.mac)));
        let Some((line, mac)) = self.random.pick(&lines) else { return };
        let (first, last) = self.plan.nodes[line.node].labels;
        let label = first + self.random.below((last - first) as usize) as u32;
        // Mostly one that leads somewhere.
        let known = self.checker.known_labels(line.node);
        let label = self.random.pick(&known).filter(|_| self.random.chance(80)).unwrap_or(label);
        let source = IpAddr::V4(Ipv4Addr::new(100, 64, line.node as u8, 20));
        let number = self.checker.send(self.now, vec![], format!("labelled, on {line:?}"));
        let packet = packet::packet(source, server(source), number);
        let (node, port) = (line.node, line.port);
        let octets = packet::frame(port_mac(node, port), mac, line.tags, &[label], &packet);
        self.later(Duration::from_micros(200), What::Frame { node, port, octets });
    }

    /// The stranger sends a packet of an ISP by a label that it has, or had a moment ago, or something that leads nowhere.
    fn stranger_sends(&mut self) {
        let Some(stranger) = &self.stranger else { return };
        let (node, usable) = (stranger.node, stranger.usable(self.now));
        let Some(&port) = self.plan.ports_behind(node, Behind::Stranger).first() else { return };
        // One that the node never gives out.
        let (first, last) = self.plan.nodes[node].labels;
        let never = Some(if self.random.chance(50) { last + 1 } else { first - 1 });
        let learned = self.random.pick(&usable).filter(|_| self.random.chance(80));
        let (label, may, what) = match (learned, never) {
            // Whose the address is differs between files: then nobody can say whose the packet is.
            (Some((address, _)), _) if self.owners(address).len() != 1 => return,
            (Some((address, label)), _) => {
                let may = self.owners(address).into_iter().map(|flow| flow.isp).collect();
                (label, may, format!("the stranger, for {address} by {label}"))
            }
            (None, Some(label)) => (label, vec![], format!("the stranger, by {label} of nobody")),
            (None, None) => return,
        };
        let customer = self.random.below(self.plan.customers.len().max(1));
        let Some(address) = self.plan.customers.get(customer).and_then(|c| c.addresses().first().copied())
        else {
            return;
        };
        let number = self.checker.send(self.now, may, what);
        let packet = packet::packet(server(address), address, number);
        let octets = packet::frame(
            port_mac(node, port),
            stranger::MAC,
            super::plan::Tags::Untagged,
            &[label],
            &packet,
        );
        let delay = self.frame_delay();
        self.later(delay, What::Frame { node, port, octets });
    }

    /// A frame arrives at the stranger: its label must say there whose it is.
    pub(super) fn stranger_frame(&mut self, octets: &[u8]) {
        let Some(parsed) = packet::parse(octets) else { return };
        let (Some(&label), Some(number)) = (parsed.labels.first(), parsed.followed()) else { return };
        self.checker.abroad += 1;
        let mut may = self.checker.may(number).into_iter();
        let either = |isp| {
            [true, false].into_iter().any(|to_isp| self.foreign_label(label, Flow { isp, to_isp }).is_ok())
        };
        if !may.any(either) {
            let may = self.checker.may(number);
            self.checker.wrong(format!(
                "packet {number} of {may:?} comes to the stranger by {label}, which says otherwise"
            ));
        }
    }
}
