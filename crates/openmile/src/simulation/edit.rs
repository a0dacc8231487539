//! What an operator may do to a network file. Cables stay where they are, and nothing is behind another port than in truth.

use super::plan::{Behind, Customer, Door, Plan, Terms};
use super::random::Random;

/// Edits a plan of a file; `truth` is the network as it is.
pub(super) fn edit(random: &mut Random, truth: &Plan, plan: &mut Plan) {
    for _ in 0..random.within(1, 3) {
        let count = plan.isps.len();
        let (a, b) = (random.below(count), random.below(count));
        match random.below(14) {
            0 | 1 if a != b => swap_fecs(plan, a, b),
            2 if a != b => swap_return_addresses(plan, a, b),
            3 | 4 => doors(random, truth, plan, a),
            5 => renumber(random, plan, a),
            6 | 7 => presence(random, truth, plan, a),
            8 => {
                let (doors, headends) = (plan.isps[a].doors.len(), plan.isps[a].headends.len());
                for _ in 0..doors.max(headends) {
                    plan.isps[a].doors.pop();
                    plan.isps[a].headends.pop();
                }
            }
            9 | 10 => terms(random, &mut plan.terms, count),
            11 => ports(random, plan),
            _ if plan.stored => terms(random, &mut plan.terms, count),
            _ => customers(random, truth, plan),
        }
        let Plan { isps, customers, terms, .. } = plan;
        let mut used: Vec<_> = isps.iter().flat_map(|isp| &isp.doors).map(|door| door.line).collect();
        // Of those who are stored the file says nothing, so that they may come not to fit it.
        if !plan.stored {
            // Whose pool went went with it.
            customers
                .retain(|customer| isps[customer.isp].headends.iter().any(|h| h.0 == customer.line.node));
            used.extend(customers.iter().map(|customer| customer.line));
        }
        for line in used {
            terms.absent.remove(&(line.node, line.port));
        }
    }
}

/// The same FEC, another ISP's.
fn swap_fecs(plan: &mut Plan, a: usize, b: usize) {
    let first = |isp: usize, plan: &Plan| plan.isps[isp].doors.first().map(|d| (d.fec, d.preference));
    let (Some(one), Some(other)) = (first(a, plan), first(b, plan)) else { return };
    for (isp, from, to) in [(a, one, other), (b, other, one)] {
        for door in plan.isps[isp].doors.iter_mut().filter(|door| door.fec == from.0) {
            (door.fec, door.preference) = to;
        }
    }
}

fn swap_return_addresses(plan: &mut Plan, a: usize, b: usize) {
    for (node, address) in plan.isps[a].headends.clone() {
        if let Some(at) = plan.isps[b].headends.iter().position(|headend| headend.0 == node) {
            let other = std::mem::replace(&mut plan.isps[b].headends[at].1, address);
            plan.isps[a].headends.iter_mut().filter(|h| h.0 == node).for_each(|h| h.1 = other);
        }
    }
}

/// A handoff goes, comes back, or is another.
fn doors(random: &mut Random, truth: &Plan, plan: &mut Plan, isp: usize) {
    let gone = |door: &&Door| !plan.isps[isp].doors.iter().any(|other| other.line == door.line);
    let gone: Vec<Door> = truth.isps[isp].doors.iter().filter(gone).copied().collect();
    let doors = &mut plan.isps[isp].doors;
    let chosen = random.below(doors.len());
    match (random.below(3), random.pick(&gone)) {
        (0 | 1, Some(back)) => {
            // Tailends that share a FEC give it one preference.
            let same = doors.iter().find(|door| door.fec == back.fec).map(|door| door.preference);
            doors.push(Door { preference: same.unwrap_or(back.preference), ..back });
        }
        (0, None) if doors.len() > 1 => drop(doors.remove(chosen)),
        (1, None) if !doors.is_empty() => {
            let (fec, preference) = (doors[chosen].fec, random.pick(&[50, 100, 200]).unwrap_or(100));
            doors.iter_mut().filter(|door| door.fec == fec).for_each(|door| door.preference = preference);
        }
        _ => {
            // No more than the ISP's router has.
            let has = |door: &&mut Door| {
                truth.isps[isp].doors.iter().any(|real| real.line == door.line && real.ipv4 && real.ipv6)
            };
            if let Some(door) = doors.get_mut(chosen).filter(has) {
                door.ipv6 = !door.ipv6;
            }
        }
    }
}

/// A FEC or return address is one that nobody had.
fn renumber(random: &mut Random, plan: &mut Plan, isp: usize) {
    let fresh = (200, random.within(1, 250) as u8);
    let Plan { isps, .. } = plan;
    let doors = isps.iter().flat_map(|isp| isp.doors.iter().map(|door| door.fec));
    if doors.chain(isps.iter().flat_map(|isp| isp.headends.iter().map(|h| h.1))).any(|fec| fec == fresh) {
        return;
    }
    let isp = &mut isps[isp];
    let (door, headend) = (random.below(isp.doors.len()), random.below(isp.headends.len()));
    match random.chance(50) {
        true => isp.doors.iter_mut().skip(door).take(1).for_each(|door| door.fec = fresh),
        false => isp.headends.iter_mut().skip(headend).take(1).for_each(|headend| headend.1 = fresh),
    }
}

/// An ISP leaves a headend, or comes back.
fn presence(random: &mut Random, truth: &Plan, plan: &mut Plan, isp: usize) {
    let headends = &mut plan.isps[isp].headends;
    let gone = truth.isps[isp].headends.iter().filter(|h| !headends.iter().any(|other| other.0 == h.0));
    let gone: Vec<_> = gone.copied().collect();
    match random.pick(&gone) {
        Some(back) => headends.push(back),
        None if !headends.is_empty() => drop(headends.remove(random.below(headends.len()))),
        None => {}
    }
}

fn terms(random: &mut Random, terms: &mut Terms, isps: usize) {
    match random.below(6) {
        0 => terms.uniform = !terms.uniform,
        1 => terms.lsp_mtu = random.pick(&[None, Some(1300), Some(1400)]).flatten(),
        2 => terms.move_grace = random.pick(&[None, Some(5)]).flatten(),
        3 => {
            let isp = random.below(isps);
            if !terms.clamped.remove(&isp) {
                terms.clamped.insert(isp);
            }
        }
        4 => terms.last_gateway = !terms.last_gateway,
        _ => terms.turned = !terms.turned,
    }
}

/// A port goes that nothing is behind any more, or one comes back.
fn ports(random: &mut Random, plan: &mut Plan) {
    let node = random.below(plan.nodes.len());
    let ports = plan.nodes[node].ports.iter().enumerate();
    let ports = ports.filter(|(_, port)| matches!(port.1, Behind::Access | Behind::Handoff));
    let ports: Vec<_> = ports.map(|(port, _)| port).collect();
    let Some(port) = random.pick(&ports) else { return };
    if !plan.terms.absent.remove(&(node, port)) {
        plan.terms.absent.insert((node, port));
    }
}

/// A subscriber goes, comes back, or is another ISP's.
fn customers(random: &mut Random, truth: &Plan, plan: &mut Plan) {
    let same = |a: &Customer, b: &Customer| (a.line, a.host) == (b.line, b.host);
    let gone = |customer: &&Customer| !plan.customers.iter().any(|other| same(other, customer));
    let gone: Vec<_> = truth.customers.iter().filter(gone).collect();
    let places: Vec<usize> = (0..gone.len()).collect();
    if let Some(back) = random.pick(&places).filter(|_| random.chance(40)) {
        // Somebody else may have the address by now.
        if may_have(plan, gone[back], gone[back].isp) {
            return plan.customers.push(gone[back].clone());
        }
    }
    if plan.customers.is_empty() {
        return;
    }
    let number = random.below(plan.customers.len());
    let customer = &plan.customers[number];
    let isps: Vec<usize> = (0..plan.isps.len()).filter(|isp| may_have(plan, customer, *isp)).collect();
    match random.pick(&isps) {
        Some(isp) if random.chance(60) => plan.customers[number].isp = isp,
        _ if random.chance(30) => {
            let (name, configured) = (customer.name.clone(), !customer.mac_configured);
            let services = plan.customers.iter_mut().filter(|service| service.name == name);
            services.for_each(|service| service.mac_configured = configured);
        }
        _ => drop(plan.customers.remove(number)),
    }
}

/// Whether a subscriber may be this ISP's. Nobody has one ISP twice on a line.
fn may_have(plan: &Plan, customer: &Customer, isp: usize) -> bool {
    let node = customer.line.node;
    let free = |other: &Customer| {
        let here = other.line.node == node && other.isp == isp;
        !here
            || if other.line == customer.line {
                other.name != customer.name
            } else {
                other.host != customer.host
            }
    };
    plan.isps[isp].headends.iter().any(|h| h.0 == node) && plan.customers.iter().all(free)
}
