//! Ethernet addresses that are learned.

use contract::{BindingKey, Change, Circuit, MacAddr};
use ipnet::IpNet;

use super::Directory;

impl Directory {
    /// An Ethernet address was learned for a bound prefix, or in the place of another: what the forwarder should now
    /// hold. Nothing for a prefix that is not bound here or whose Ethernet address is configured.
    pub fn learned(&mut self, circuit: Circuit, prefix: IpNet, mac: MacAddr) -> Vec<Change> {
        self.relearn(circuit, prefix, |learned| *learned = Some(mac), |shared, _| *shared = Some(mac))
    }

    /// A learned Ethernet address answers no more: what the forwarder should now hold.
    pub fn lost(&mut self, circuit: Circuit, prefix: IpNet, mac: MacAddr) -> Vec<Change> {
        let forget = |learned: &mut Option<MacAddr>| *learned = learned.filter(|held| *held != mac);
        self.relearn(circuit, prefix, forget, |shared, others| {
            if *shared == Some(mac) {
                *shared = others;
            }
        })
    }

    /// Takes over an Ethernet address that the forwarder held when this process began, before any is learned: like
    /// [`Self::learned`], without telling the forwarder what it knows. Whether the prefix is still the ISP's there.
    pub fn restore(&mut self, key: &BindingKey, mac: MacAddr) -> bool {
        let same = self.bound(key).is_some();
        if same {
            self.learned(key.circuit, key.prefix.prefix, mac);
        }
        same
    }

    /// Changes what is learned for a prefix, at each ISP that has it on this circuit (there are two while a subscriber
    /// goes from one to the other), then for its station (which is given what its other prefixes have learned), and says
    /// what is different now.
    fn relearn(
        &mut self,
        circuit: Circuit,
        prefix: IpNet,
        own: impl Fn(&mut Option<MacAddr>),
        shared: impl Fn(&mut Option<MacAddr>, Option<MacAddr>),
    ) -> Vec<Change> {
        let here = self.isps_on(circuit).filter_map(|isp| {
            let entry = self.prefixes.get(&(isp, prefix))?;
            let held = self.held(entry.service)?;
            (held.circuit == circuit && held.mac.is_none()).then_some((isp, held.owner))
        });
        let here: Vec<_> = here.collect();
        let Some((_, owner)) = here.first().copied() else { return Vec::new() };
        let before = self.station_bindings(circuit, owner);
        for (isp, _) in here {
            if let Some(entry) = self.prefixes.get_mut(&(isp, prefix)) {
                own(&mut entry.learned);
            }
        }
        let station = self.station_services(circuit, owner);
        let others = station.iter().flat_map(|index| self.keys(*index));
        let others =
            others.filter_map(|key| self.prefixes.get(&(key.prefix.isp, key.prefix.prefix))?.learned).next();
        for index in station {
            if let Some(held) = self.services.get_mut(index as usize).and_then(Option::as_mut) {
                shared(&mut held.lent, others);
            }
        }
        let after = self.station_bindings(circuit, owner);
        after.into_iter().filter(|change| !before.contains(change)).collect()
    }

    /// A subscriber's services on a circuit.
    pub(super) fn station_services(&self, circuit: Circuit, owner: u32) -> Vec<u32> {
        let here = |index: &u32| self.held(*index).is_some_and(|held| held.circuit == circuit);
        self.chain(Some(owner)).filter(here).collect()
    }

    fn station_bindings(&self, circuit: Circuit, owner: u32) -> Vec<Change> {
        let services = self.station_services(circuit, owner);
        let keys = services.iter().flat_map(|index| self.keys(*index));
        keys.filter_map(|key| Some(Change::Binding(key, Some(self.bound(&key)?)))).collect()
    }
}
