//! What is installed, and how changes become of it what packets look up.
//!
//! All capacities are fixed: a table that grew would stall packets while it is rehashed. A capacity holds what is and,
//! during a replay, what was and is about to be swept.

mod bindings;
mod check;
mod isps;
mod learned;
mod prefix;
mod role;
mod slab;

use std::net::IpAddr;

use contract::counters::{ISP_SLOTS, Memory, PORT_SLOTS};
use contract::{
    Change, ChangeError, Circuit, EndOfReplay, Generation, Ilm, IlmAction, IspPrefix, Nhlfe, PortConfig,
    PortId, Scope, Settings, TtlModel,
};
use wire::Label;

use crate::PortFacts;
use prefix::Key;

pub(crate) use bindings::BindingRow;
pub(crate) use isps::{Isp, IspIndex};
pub(crate) use learned::{HandoffRow, LabelAction};

/// How many entries each table holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacities {
    /// Prefixes of subscribers.
    pub bindings: usize,
    /// Incoming labels.
    pub incoming_labels: usize,
    /// Handoffs.
    pub handoffs: usize,
    /// Prefixes in ISPs' own tables.
    pub return_routes: usize,
    /// ISPs that were ever named since the forwarder started, up to 65535.
    pub isps: usize,
}

impl Default for Capacities {
    /// A headend of a million prefixes, a tailend of as many ISPs as have counters, or a transit of as many FECs as are kept of
    /// an LDP neighbor.
    fn default() -> Self {
        Self {
            bindings: 1 << 20,
            incoming_labels: 1 << 18,
            handoffs: 1 << 13,
            return_routes: 1 << 16,
            isps: 4 * ISP_SLOTS,
        }
    }
}

/// All tables of a worker.
pub(crate) struct Tables {
    settings: (Settings, Generation),
    ports: Vec<Option<PortFacts>>,
    configs: Vec<Option<(PortConfig, Generation)>>,
    isps: isps::Isps,
    bindings: bindings::Bindings,
    labels: learned::IncomingLabels,
    handoffs: learned::Handoffs,
    returns: learned::ReturnRoutes,
    generation: Generation,
}

fn full(table: &str, capacity: usize) -> ChangeError {
    ChangeError::Full { table: table.to_owned(), capacity: capacity as u64 }
}

/// Look-ups, for packets.
impl Tables {
    #[inline]
    pub(crate) fn ttl_model(&self) -> TtlModel {
        self.settings.0.ttl
    }

    /// The longest IP packet that LSPs take, whatever their ports' MTU.
    #[inline]
    pub(crate) fn lsp_mtu(&self) -> u32 {
        self.settings.0.lsp_mtu.unwrap_or(u32::MAX)
    }

    /// A port that is open.
    #[inline]
    pub(crate) fn port(&self, port: PortId) -> Option<&PortFacts> {
        self.ports.get(usize::from(port.0))?.as_ref()
    }

    #[inline]
    pub(crate) fn isp(&self, index: IspIndex) -> Option<&Isp> {
        self.isps.row(index)
    }

    #[inline]
    pub(crate) fn by_source(&self, circuit: Circuit, source: IpAddr) -> Option<&BindingRow> {
        self.bindings.by_source(circuit, source)
    }

    #[inline]
    pub(crate) fn by_destination(&self, isp: IspIndex, destination: IpAddr) -> Option<(u32, &BindingRow)> {
        self.bindings.by_destination(isp, destination)
    }

    pub(crate) fn has_circuit(&self, circuit: Circuit) -> bool {
        self.bindings.has_circuit(circuit)
    }

    #[inline]
    pub(crate) fn action(&self, label: Label) -> Option<&LabelAction> {
        self.labels.action(label)
    }

    #[inline]
    pub(crate) fn handoff(&self, circuit: Circuit) -> Option<&HandoffRow> {
        self.handoffs.row(circuit)
    }

    #[inline]
    pub(crate) fn return_nhlfes(&self, isp: IspIndex, destination: IpAddr) -> Option<&[Nhlfe]> {
        self.returns.nhlfes(isp, destination)
    }
}

/// Changes, for control.
impl Tables {
    pub(crate) fn new(capacities: &Capacities) -> Self {
        Self {
            settings: Default::default(),
            ports: vec![None; PORT_SLOTS],
            configs: vec![None; PORT_SLOTS],
            isps: isps::Isps::new(capacities.isps),
            bindings: bindings::Bindings::new(capacities.bindings),
            labels: learned::IncomingLabels::new(capacities.incoming_labels),
            handoffs: learned::Handoffs::new(capacities.handoffs),
            returns: learned::ReturnRoutes::new(capacities.return_routes),
            generation: Generation::default(),
        }
    }

    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    pub(crate) fn set_port(&mut self, port: PortId, facts: Option<PortFacts>) {
        if let Some(place) = self.ports.get_mut(usize::from(port.0)) {
            *place = facts;
        }
    }

    pub(crate) fn apply(
        &mut self,
        generation: Generation,
        change: Change,
        memory: &Memory<'_>,
    ) -> Result<(), ChangeError> {
        if generation < self.generation {
            let why = format!("generation {} is over: {} has begun", generation.0, self.generation.0);
            return Err(ChangeError::Conflict(why));
        }
        self.generation = generation;
        check::check(&change)?;
        match change {
            Change::Settings(settings) => self.settings = (settings, generation),
            Change::Port(port, config) => {
                if let Some(place) = self.configs.get_mut(usize::from(port.0)) {
                    *place = config.map(|config| (config, generation));
                }
            }
            Change::Isp(asn, Some(config)) => {
                let isp = self.isps.enter(asn, memory)?;
                self.isps.set_config(isp, config, generation);
            }
            Change::Binding(key, Some(binding)) => {
                let isp = self.isps.enter(key.prefix.isp, memory)?;
                self.bindings.upsert(&key, isp, binding, generation)?;
            }
            Change::Handoff(circuit, Some(handoff)) => {
                let isp = self.isps.enter(handoff.isp, memory)?;
                self.handoffs.upsert(circuit, isp, handoff, generation)?;
            }
            Change::ReturnRoute(IspPrefix { isp, prefix }, Some(route)) => {
                let scope = self.isps.enter(isp, memory)?.into();
                self.returns.upsert(Key { scope, prefix: prefix.into() }, route, generation)?;
            }
            Change::Ftn(asn, Some(ftn)) => {
                let isp = self.isps.enter(asn, memory)?;
                self.isps.set_ftn(isp, ftn, generation);
            }
            Change::Ilm(label, Some(ilm)) => {
                let fec = ilm.fec;
                let action = self.label_action(ilm, memory)?;
                self.labels.upsert(label, fec, action, generation)?;
            }
            Change::Isp(..)
            | Change::Binding(..)
            | Change::Handoff(..)
            | Change::ReturnRoute(..)
            | Change::Ftn(..)
            | Change::Ilm(..) => {
                self.remove(&change);
            }
        }
        Ok(())
    }

    /// Removes what was not named in this generation; how many entries that was.
    pub(crate) fn end_of_replay(&mut self, end: EndOfReplay) -> usize {
        if end.generation < self.generation {
            return 0;
        }
        self.generation = end.generation;
        match end.scope {
            Scope::Configuration => {
                let stale = |config: &mut (PortConfig, Generation)| config.1 < end.generation;
                if self.settings.1 < end.generation {
                    self.settings = (Settings::default(), end.generation);
                }
                let ports = self.configs.iter_mut().filter_map(|config| config.take_if(stale)).count();
                ports + self.isps.sweep_configs(end.generation) + self.bindings.sweep(end.generation)
            }
            Scope::Learned => {
                self.isps.sweep(end.generation)
                    + self.labels.sweep(end.generation)
                    + self.handoffs.sweep(end.generation)
                    + self.returns.sweep(end.generation)
            }
        }
    }

    /// Everything, as the changes that would install it.
    pub(crate) fn installed(&self) -> impl Iterator<Item = Change> {
        let mut row = 0;
        let bindings = std::iter::from_fn(move || {
            let (after, change) = self.binding_from(row)?;
            row = after;
            Some(change)
        });
        self.installed_but_bindings().chain(bindings)
    }

    /// The first binding from this row on, as the change that would install it, and the row after it.
    pub(crate) fn binding_from(&self, row: u32) -> Option<(u32, Change)> {
        let asn = |isp| self.isps.row(isp).map(|row| row.asn);
        let (row, key, binding) = self.bindings.from(row, asn)?;
        Some((row + 1, Change::Binding(key, Some(binding))))
    }

    /// Everything but bindings, of which there may be too many for one go.
    pub(crate) fn installed_but_bindings(&self) -> impl Iterator<Item = Change> {
        let asn = |isp| self.isps.row(isp).map(|row| row.asn);
        let ports = self.configs.iter().enumerate().filter_map(|(port, config)| {
            Some(Change::Port(PortId(port as u16), Some(config.as_ref()?.0.clone())))
        });
        std::iter::once(Change::Settings(self.settings.0))
            .chain(ports)
            .chain(self.isps.configs().map(|(asn, config)| Change::Isp(asn, Some(config))))
            .chain(self.handoffs.iter(asn).map(|(circuit, handoff)| Change::Handoff(circuit, Some(handoff))))
            .chain(self.returns.iter(asn).map(|(key, route)| Change::ReturnRoute(key, Some(route))))
            .chain(self.isps.ftns().map(|(asn, ftn)| Change::Ftn(asn, Some(ftn))))
            .chain(self.labels.iter(asn).map(|(label, ilm)| Change::Ilm(label, Some(ilm))))
    }

    fn label_action(&mut self, ilm: Ilm, memory: &Memory<'_>) -> Result<LabelAction, ChangeError> {
        Ok(match ilm.action {
            IlmAction::Swap { isp, nhlfes } => {
                let isp = isp.map(|isp| self.isps.enter(isp, memory)).transpose()?;
                LabelAction::Swap { isp, nhlfes: nhlfes.into() }
            }
            IlmAction::PopToHandoff { isp, handoff } => {
                LabelAction::PopToHandoff { isp: self.isps.enter(isp, memory)?, handoff }
            }
            IlmAction::PopToSubscribers { isp } => {
                LabelAction::PopToSubscribers { isp: self.isps.enter(isp, memory)? }
            }
        })
    }

    /// Removes the entry that a change without content names; one that is not there is as good as removed.
    fn remove(&mut self, change: &Change) {
        match change {
            Change::Binding(key, _) => {
                if let Some(isp) = self.isps.number(key.prefix.isp) {
                    self.bindings.remove(key.circuit, isp, key.prefix.prefix.into());
                }
            }
            Change::ReturnRoute(IspPrefix { isp, prefix }, _) => {
                if let Some(isp) = self.isps.number(*isp) {
                    self.returns.remove(&Key { scope: isp.into(), prefix: (*prefix).into() });
                }
            }
            Change::Handoff(circuit, _) => self.handoffs.remove(*circuit),
            Change::Isp(asn, _) => self.isps.remove_config(*asn),
            Change::Ftn(asn, _) => self.isps.remove_ftn(*asn),
            Change::Ilm(label, _) => self.labels.remove(*label),
            Change::Settings(_) | Change::Port(..) => {}
        }
    }
}
