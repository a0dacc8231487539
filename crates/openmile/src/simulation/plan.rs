//! A random network as it is in truth: nodes, cables, who is behind which port. The nodes know of it only what its text
//! says ([`super::text`]).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::random::Random;

/// What is at the end of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Behind {
    /// An end (0 or 1) of a cable between nodes.
    Cable(usize, usize),
    /// A neighbour that is none of ours.
    Stranger,
    /// Subscribers.
    Access,
    /// ISPs.
    Handoff,
}

/// VLAN tags, outermost first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Tags {
    /// None.
    Untagged,
    /// One.
    Vlan(u16),
    /// Two.
    Double(u16, u16),
}

/// A port of a node, and tags on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Line {
    pub(super) node: usize,
    pub(super) port: usize,
    pub(super) tags: Tags,
}

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) labels: (u32, u32),
    pub(super) ports: Vec<(String, Behind)>,
}

/// A handoff of an ISP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Door {
    pub(super) line: Line,
    /// The last two octets of the FEC's address.
    pub(super) fec: (u8, u8),
    pub(super) preference: u16,
    /// Number of the link's subnet.
    pub(super) link: u8,
    pub(super) ipv4: bool,
    pub(super) ipv6: bool,
}

/// An ISP.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    pub(super) asn: u32,
    pub(super) doors: Vec<Door>,
    /// Headends, and the last two octets of the return address there.
    pub(super) headends: Vec<(usize, (u8, u8))>,
}

/// A service of a subscriber: an ISP on a line, with these addresses.
#[derive(Clone, Debug)]
pub(super) struct Customer {
    pub(super) name: String,
    pub(super) line: Line,
    /// The ISP's place among [`Plan::isps`].
    pub(super) isp: usize,
    /// The host's number in the pools.
    pub(super) host: u8,
    pub(super) mac: [u8; 6],
    /// Whether the directory has the Ethernet address.
    pub(super) mac_configured: bool,
    pub(super) ipv6: bool,
}

/// A network.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Site>,
    /// Cables, by the nodes at their ends.
    pub(super) cables: Vec<[usize; 2]>,
    pub(super) isps: Vec<Provider>,
    pub(super) customers: Vec<Customer>,
    /// The node that a foreign neighbour is attached to.
    pub(super) stranger: Option<usize>,
    /// Whether nodes keep their subscribers in a store, and not in a file.
    pub(super) stored: bool,
    /// What a network file says besides.
    pub(super) terms: Terms,
    /// How labels are distributed.
    pub(super) modes: Modes,
}

/// How labels are distributed (RFC 5036 sections 2.6 and 2.8).
#[derive(Clone, Debug, Default)]
pub(super) struct Modes {
    pub(super) independent: bool,
    pub(super) conservative: bool,
    /// The most hops, where loops are looked for.
    pub(super) hops: Option<u8>,
    /// Nodes, and the neighbors that they want to ask and be asked by.
    pub(super) on_demand: Vec<(usize, usize)>,
    pub(super) max_pdu_length: Option<u16>,
}

/// What a network file says and no packet's way depends on.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    pub(super) uniform: bool,
    pub(super) lsp_mtu: Option<u16>,
    /// For how many seconds what the former ISP of a subscriber sends still arrives, if it is said.
    pub(super) move_grace: Option<u16>,
    /// ISPs with `clamp_mss`.
    pub(super) clamped: BTreeSet<usize>,
    /// Whether the gateways are the last addresses of their pools.
    pub(super) last_gateway: bool,
    /// Whether ports are written in the other order.
    pub(super) turned: bool,
    /// Ports that are not in the file: node and port.
    pub(super) absent: BTreeSet<(usize, usize)>,
}

impl Modes {
    /// The defaults in every other network of so many nodes.
    fn random(random: &mut Random, count: usize) -> Self {
        if random.chance(50) {
            return Self::default();
        }
        let pairs = (0..count).flat_map(|node| (0..count).map(move |other| (node, other)));
        let share = random.below(101);
        Self {
            independent: random.chance(50),
            conservative: random.chance(50),
            hops: random.pick(&[None, Some(16), Some(255)]).flatten(),
            on_demand: pairs.filter(|(node, other)| node != other && random.chance(share)).collect(),
            max_pdu_length: random.pick(&[None, Some(256), Some(1500)]).flatten(),
        }
    }
}

/// A FEC's or return address.
pub(super) fn service_address((third, fourth): (u8, u8)) -> Ipv4Addr {
    Ipv4Addr::new(10, 254, third, fourth)
}

/// A node's LSR-id; the stranger's is that of the node after the last.
pub(super) fn lsr_id(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 255, 0, node as u8 + 1)
}

/// The address of a cable's end.
pub(super) fn cable_address(cable: usize, end: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, cable as u8, end as u8 + 1)
}

/// The cable's number of the link between a node and the stranger; the node has end 0.
pub(super) const STRANGER_CABLE: usize = 200;

/// The Ethernet address of a node's port.
pub(super) fn port_mac(node: usize, port: usize) -> [u8; 6] {
    [0x02, 0x01, 0, 0, node as u8, port as u8]
}

impl Customer {
    /// IPv4 address, and IPv6 address in the prefix that is routed to it.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let site = self.line.node as u8;
        let ipv4 = IpAddr::V4(Ipv4Addr::new(100, 64, site, self.host));
        let ipv6 = Ipv6Addr::new(0x2001, 0xdb8, 0x100 + u16::from(site), self.host.into(), 0, 0, 0, 7);
        std::iter::once(ipv4).chain(self.ipv6.then_some(IpAddr::V6(ipv6))).collect()
    }
}

impl Door {
    /// The ISP's router's addresses on the link.
    pub(super) fn next_hops(&self) -> Vec<IpAddr> {
        let ipv4 = IpAddr::V4(Ipv4Addr::new(192, 0, 2, self.link * 4 + 2));
        let ipv6 = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xf, self.link.into(), 0, 0, 0, 2));
        self.ipv4.then_some(ipv4).into_iter().chain(self.ipv6.then_some(ipv6)).collect()
    }
}

impl Plan {
    /// A network of two to seven nodes and one to four ISPs.
    pub(super) fn random(random: &mut Random) -> Self {
        let count = random.within(2, 7);
        let ranges = random.below(4);
        let labels = |node: usize| match ranges {
            // The same few labels everywhere: a packet that strays finds one, and labels are given out again.
            0 => (16, 79),
            1 => (100, 163 + node as u32),
            2 => (16, 16_399),
            _ => (20_000 * (node as u32 + 1), 20_000 * (node as u32 + 1) + 16_383),
        };
        let nodes = (0..count).map(|node| Site { labels: labels(node), ports: Vec::new() }).collect();
        let mut plan = Self {
            nodes,
            cables: Vec::new(),
            isps: Vec::new(),
            customers: Vec::new(),
            stranger: None,
            stored: random.chance(50),
            modes: Modes::random(&mut random.clone(), count),
            terms: Terms { move_grace: random.pick(&[Some(1), Some(5), None]).flatten(), ..Terms::default() },
        };
        plan.lay_cables(random);
        if random.chance(40) {
            let node = random.below(count);
            plan.stranger = Some(node);
            plan.nodes[node].ports.push(("bbx".into(), Behind::Stranger));
        }
        let (headends, tailends) = plan.roles(random);
        for number in 0..random.within(1, 4) {
            plan.add_isp(random, number, &headends, &tailends);
        }
        for node in headends {
            plan.add_customers(random, node);
        }
        plan
    }

    fn lay_cables(&mut self, random: &mut Random) {
        let count = self.nodes.len();
        for node in 1..count {
            let other = random.below(node);
            self.lay_cable(other, node);
        }
        // Rings, and parallel cables: equal-cost ways.
        for _ in 0..random.below(count + 1) {
            let (a, b) = (random.below(count), random.below(count));
            if a != b {
                self.lay_cable(a, b);
            }
        }
    }

    fn lay_cable(&mut self, a: usize, b: usize) {
        let cable = self.cables.len();
        self.cables.push([a, b]);
        for (end, node) in [a, b].into_iter().enumerate() {
            let name = format!("bb{}", self.nodes[node].ports.len());
            self.nodes[node].ports.push((name, Behind::Cable(cable, end)));
        }
    }

    /// Gives nodes access and handoff ports; many have both.
    fn roles(&mut self, random: &mut Random) -> (Vec<usize>, Vec<usize>) {
        let count = self.nodes.len();
        let (first, second) = (random.below(count), random.within(1, count - 1));
        let mut roles = (Vec::new(), Vec::new());
        for node in 0..count {
            let ports = &mut self.nodes[node].ports;
            if node == first || random.chance(45) {
                roles.0.push(node);
                ports.extend((0..2).map(|n| (format!("acc{n}"), Behind::Access)));
            }
            if node == (first + second) % count || random.chance(45) {
                roles.1.push(node);
                let doors = random.within(1, 2);
                ports.extend((0..doors).map(|n| (format!("ho{n}"), Behind::Handoff)));
            }
        }
        roles
    }

    fn add_isp(&mut self, random: &mut Random, number: usize, headends: &[usize], tailends: &[usize]) {
        let id = number as u8 + 1;
        let mut doors = Vec::<Door>::new();
        for link in 0..random.within(1, 3) as u8 {
            let Some(node) = random.pick(tailends) else { continue };
            let ports: Vec<_> = self.ports_behind(node, Behind::Handoff);
            let Some(port) = random.pick(&ports) else { continue };
            let taken = |tags| self.door_at(&doors, Line { node, port, tags });
            let untagged = random.chance(30) && !taken(Tags::Untagged);
            let vlan = 10 + u16::from(id) * 10 + u16::from(link);
            let tags = if untagged { Tags::Untagged } else { Tags::Vlan(vlan) };
            // Several tailends may have one FEC on purpose; then they have one preference.
            let here = |fec| doors.iter().any(|door| door.line.node == node && door.fec == fec);
            let shared = random.pick(&doors).filter(|door| random.chance(15) && !here(door.fec));
            let fec = shared.map_or((id, link + 1), |door| door.fec);
            let preference =
                shared.map_or_else(|| random.pick(&[50, 100, 100]).unwrap_or(100), |door| door.preference);
            let ipv4 = random.chance(90);
            let ipv6 = !ipv4 || random.chance(70);
            let line = Line { node, port, tags };
            doors.push(Door { line, fec, preference, link, ipv4, ipv6 });
        }
        let present = headends.iter().filter(|_| random.chance(75)).copied().collect::<Vec<_>>();
        let headends = present.into_iter().map(|node| (node, (100 + id, node as u8 + 1))).collect();
        self.isps.push(Provider { asn: 64500 + u32::from(id), doors, headends });
    }

    fn door_at(&self, more: &[Door], line: Line) -> bool {
        self.isps.iter().flat_map(|isp| &isp.doors).chain(more).any(|door| door.line == line)
    }

    fn add_customers(&mut self, random: &mut Random, node: usize) {
        let ports = self.ports_behind(node, Behind::Access);
        let isps: Vec<usize> =
            (0..self.isps.len()).filter(|&isp| self.isps[isp].headends.iter().any(|h| h.0 == node)).collect();
        let (Some(isp), &[shared, lines]) = (random.pick(&isps), &ports[..]) else { return };
        let mut add = |random: &mut Random, line, isp, host, also: bool| {
            let number = self.customers.len();
            let name = format!("s{number}");
            let mac = [0x02, 0x02, 0, 0, 0, number as u8];
            let (mac_configured, ipv6) = (random.chance(40), random.chance(70));
            let mut customer = Customer { name, line, isp, host, mac, mac_configured, ipv6 };
            // Another service of the subscriber before.
            if let Some(before) = self.customers.last().filter(|_| also) {
                (customer.name, customer.mac) = (before.name.clone(), before.mac);
                customer.mac_configured = before.mac_configured;
            }
            self.customers.push(customer);
        };
        // A shared segment: addresses tell people apart.
        for host in 0..random.within(1, 3) {
            let isp = random.pick(&isps).unwrap_or(isp);
            add(random, Line { node, port: shared, tags: Tags::Untagged }, isp, 10 + host as u8, false);
        }
        // Lines of their own: the same addresses at different ISPs.
        let mut taken = BTreeSet::new();
        for number in 0..random.within(1, 4) as u16 {
            let isp = random.pick(&isps).unwrap_or(isp);
            let tags = match random.below(3) {
                0 => Tags::Double(500, 100 + number),
                _ => Tags::Vlan(200 + number),
            };
            let host = (20..).find(|&host| taken.insert((isp, host))).unwrap_or(20);
            add(random, Line { node, port: lines, tags }, isp, host, false);
            // And a second ISP on the same line, told apart by source: the same subscriber's or another's.
            let other = random.pick(&isps).filter(|&other| other != isp && random.chance(40));
            if let Some(other) = other {
                let host = 60 + number as u8;
                let also = random.chance(60);
                add(random, Line { node, port: lines, tags }, other, host, also);
            }
        }
    }

    /// A node's ports that lead there.
    pub(super) fn ports_behind(&self, node: usize, behind: Behind) -> Vec<usize> {
        let ports = self.nodes[node].ports.iter().enumerate();
        ports.filter(|(_, port)| port.1 == behind).map(|(number, _)| number).collect()
    }

    /// The node and port at the other end of a backbone port's cable.
    pub(super) fn other_end(&self, node: usize, port: usize) -> Option<(usize, usize)> {
        let Behind::Cable(cable, end) = self.nodes[node].ports.get(port)?.1 else { return None };
        self.end_of_cable(cable, 1 - end)
    }

    /// The node and port at an end of a cable.
    pub(super) fn end_of_cable(&self, cable: usize, end: usize) -> Option<(usize, usize)> {
        let node = self.cables.get(cable)?[end];
        let port = self.nodes[node].ports.iter().position(|port| port.1 == Behind::Cable(cable, end))?;
        Some((node, port))
    }

    /// The ISP behind a line of a handoff port, and which of its handoffs that is.
    pub(super) fn door(&self, line: Line) -> Option<(usize, usize)> {
        self.isps.iter().enumerate().find_map(|(number, isp)| {
            isp.doors.iter().position(|door| door.line == line).map(|door| (number, door))
        })
    }
}
