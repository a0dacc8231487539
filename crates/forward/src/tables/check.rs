//! What no entry may be, whatever else is installed.

use contract::counters::PORT_SLOTS;
use contract::{Change, ChangeError, Handoff, IlmAction, Nhlfe, PortId};
use ipnet::IpNet;
use wire::MacAddr;

/// The most equal-cost entries, and the most FECs of an ISP, that one entry may have.
pub(super) const MAX_CHOICES: usize = 64;

/// Refuses a change that could not be right in any order of changes. That a port, a handoff or an ISP which it names is
/// there is not asked, since it may come later; a packet finds out.
pub(super) fn check(change: &Change) -> Result<(), ChangeError> {
    match change {
        Change::Settings(_) | Change::Isp(..) => Ok(()),
        Change::Port(id, _) => port(*id),
        Change::Binding(key, binding) => {
            port(key.circuit.port)?;
            prefix(key.prefix.prefix)?;
            match binding {
                Some(binding) => match binding.mac {
                    Some(mac) => station(mac),
                    None if binding.verify_mac => {
                        invalid("a MAC address is to be verified, but none is given")
                    }
                    None => Ok(()),
                },
                None => Ok(()),
            }
        }
        Change::Handoff(circuit, handoff) => {
            port(circuit.port)?;
            handoff.as_ref().map_or(Ok(()), self::handoff)
        }
        Change::ReturnRoute(key, route) => {
            prefix(key.prefix)?;
            route.as_ref().map_or(Ok(()), |route| nhlfes(&route.nhlfes))
        }
        Change::Ftn(_, None) | Change::Ilm(_, None) => Ok(()),
        Change::Ftn(_, Some(ftn)) => {
            choices(ftn.choices.len())?;
            ftn.choices.iter().try_for_each(|choice| match choice.nhlfes.as_slice() {
                [] => invalid("a FEC to choose has no way to it"),
                some => nhlfes(some),
            })
        }
        Change::Ilm(label, _) if !label.is_real() => {
            invalid("the incoming label is a special-purpose label, which names no LSP (RFC 7274)")
        }
        Change::Ilm(_, Some(ilm)) => match &ilm.action {
            IlmAction::Swap { nhlfes: ways, .. } => nhlfes(ways),
            IlmAction::PopToHandoff { handoff, .. } => port(handoff.port),
            IlmAction::PopToSubscribers { .. } => Ok(()),
        },
    }
}

fn invalid(why: &str) -> Result<(), ChangeError> {
    Err(ChangeError::Invalid(why.to_owned()))
}

fn port(id: PortId) -> Result<(), ChangeError> {
    if usize::from(id.0) < PORT_SLOTS { Ok(()) } else { Err(ChangeError::NoSuchPort(id)) }
}

fn prefix(net: IpNet) -> Result<(), ChangeError> {
    if net.trunc() == net { Ok(()) } else { invalid("the prefix has host bits that are not zero") }
}

fn station(mac: MacAddr) -> Result<(), ChangeError> {
    if mac.is_unicast() { Ok(()) } else { invalid("the Ethernet address is not one station's") }
}

fn choices(count: usize) -> Result<(), ChangeError> {
    if count <= MAX_CHOICES { Ok(()) } else { invalid("more than 64 ways to choose from") }
}

fn handoff(handoff: &Handoff) -> Result<(), ChangeError> {
    handoff.ipv4.map_or(Ok(()), |(_, mac)| station(mac))?;
    handoff.ipv6.map_or(Ok(()), |(_, mac)| station(mac))
}

fn nhlfes(ways: &[Nhlfe]) -> Result<(), ChangeError> {
    choices(ways.len())?;
    ways.iter().try_for_each(|nhlfe| {
        port(nhlfe.port)?;
        station(nhlfe.mac)?;
        // An ISP's packet would cross the backbone without its ISP's label.
        if nhlfe.push.labels().is_empty() {
            invalid("a way over the backbone pushes no label")
        } else {
            Ok(())
        }
    })
}
