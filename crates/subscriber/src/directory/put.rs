//! Changing what the directory holds: whole subscribers, each of which can be put back as it was.

use std::hash::BuildHasher;

use contract::{Binding, BindingKey, Change, MacAddr, SubscriberId, Tick};
use ipnet::IpNet;

use super::{Directory, Entry, Held, NO_PLAN, NONE, Plan, Subscriber};
use crate::record::{Clock, Problem, Record, ServiceRecord, Write};

/// A subscriber as it was before it was changed.
#[derive(Debug)]
pub struct Previous {
    id: SubscriberId,
    name: Box<str>,
    /// Its services; `None`: there was no such subscriber.
    services: Option<Vec<Taken>>,
    unfit: Option<Record>,
    next: SubscriberId,
}

/// A service that was taken out, with what had been learned for its prefixes.
#[derive(Debug)]
struct Taken {
    held: Held,
    learned: Box<[Option<MacAddr>]>,
    end: Option<Tick>,
}

impl Directory {
    /// The subscriber of this number is this from now on (`None`: nobody any more), or all that is against it; then
    /// nothing has changed. Says how it was, and what the forwarder should now hold.
    pub fn put(
        &mut self,
        id: SubscriberId,
        record: Option<&Record>,
        clock: Clock,
    ) -> Result<(Previous, Vec<Change>), Vec<Problem>> {
        let index = self.index_of(id);
        let name = match (index.and_then(|index| self.subscriber(index)), record) {
            (Some(subscriber), _) => subscriber.name.clone(),
            (None, Some(record)) => record.name.as_str().into(),
            (None, None) => return Ok((self.forget_unfit(id), Vec::new())),
        };
        let before = self.bindings_of(index);
        let previous = Previous {
            id,
            unfit: self.unfit.remove(&*name).map(|(_, record)| record),
            name,
            services: index.map(|index| self.take_out(index)),
            next: self.next,
        };
        let index = index.unwrap_or_else(|| self.enter(id, &previous.name));
        let mut problems = Vec::new();
        // A chain grows at its head.
        for service in record.iter().flat_map(|record| normal(record, clock).into_iter().rev()) {
            match self.add_service(index, &service, clock) {
                Ok(added) => self.learn_again(added, previous.services.as_deref().unwrap_or_default()),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            self.put_back(previous);
            return Err(problems);
        }
        if record.is_none() {
            self.forget(index);
        }
        self.next = self.next.max(SubscriberId(id.0 + 1));
        let after = self.bindings_of(self.index_of(id));
        let changes = difference(&before, &after);
        Ok((previous, changes))
    }

    /// Does what was planned and is stored by now: what the forwarder should now hold, in the order in which it may be
    /// told. Nothing may have changed since it was planned but what was learned and what ended; records that do not fit
    /// all the same are returned.
    pub fn apply(&mut self, plan: Plan, clock: Clock) -> (Vec<Change>, Vec<Write>) {
        // All that goes first, so that the order of subscribers does not matter.
        let out = plan.writes.into_iter().map(|(id, record)| {
            let index = self.index_of(id);
            let before = self.bindings_of(index);
            let taken = index.map(|index| self.take_out(index)).unwrap_or_default();
            (id, record, before, taken)
        });
        let out: Vec<_> = out.collect();
        let (mut gone, mut new, mut unfit) = (Vec::new(), Vec::new(), Vec::new());
        for (id, record, before, taken) in out {
            let fits = self.fill(id, record.as_ref(), &taken, clock);
            let after = self.bindings_of(self.index_of(id));
            for change in difference(&before, &after) {
                if matches!(change, Change::Binding(_, None)) { &mut gone } else { &mut new }.push(change);
            }
            if !fits {
                unfit.push((id, record));
            }
        }
        self.reserve_ids(plan.next);
        gone.extend(new);
        (gone, unfit)
    }

    /// Gives a subscriber that has no services those of its record; whether all of them fit.
    fn fill(&mut self, id: SubscriberId, record: Option<&Record>, taken: &[Taken], clock: Clock) -> bool {
        let Some(record) = record else {
            self.drop_id(id);
            drop(self.forget_unfit(id));
            return true;
        };
        self.unfit.remove(&record.name);
        let index = self.index_of(id).unwrap_or_else(|| self.enter(id, &record.name));
        self.reserve_ids(SubscriberId(id.0 + 1));
        let mut fits = true;
        for service in normal(record, clock).into_iter().rev() {
            match self.add_service(index, &service, clock) {
                Ok(added) => self.learn_again(added, taken),
                Err(_) => fits = false,
            }
        }
        fits
    }

    /// A subscriber that is stored. One that does not fit the network file any more is remembered as such.
    pub fn load(&mut self, id: SubscriberId, record: Record, clock: Clock) -> Result<(), Vec<Problem>> {
        self.reserve_ids(SubscriberId(id.0 + 1));
        match self.put_what_fits(id, &record, clock) {
            Ok(_) => Ok(()),
            Err(problems) => {
                self.unfit.insert(record.name.clone(), (id, record));
                Err(problems)
            }
        }
    }

    /// A subscriber that is stored, as far as it fits the network file: what is leaving ends anyway, and where it does not fit
    /// any more it ends now and takes nothing else with it. What the forwarder should now hold.
    pub(super) fn put_what_fits(
        &mut self,
        id: SubscriberId,
        record: &Record,
        clock: Clock,
    ) -> Result<Vec<Change>, Vec<Problem>> {
        let problems = match self.put(id, Some(record), clock) {
            Ok((_, changes)) => return Ok(changes),
            Err(problems) => problems,
        };
        let services: Vec<_> =
            record.services.iter().filter(|service| service.leaving_until.is_none()).cloned().collect();
        if services.is_empty() || services.len() == record.services.len() {
            return Err(problems);
        }
        let stays = Record { name: record.name.clone(), services };
        self.put(id, Some(&stays), clock).map(|(_, changes)| changes).map_err(|_| problems)
    }

    /// Everything about a subscriber is as it was.
    pub fn put_back(&mut self, previous: Previous) {
        let Previous { id, name, services, unfit, next } = previous;
        if let Some(index) = self.index_of(id) {
            self.take_out(index);
            if services.is_none() {
                self.forget(index);
            }
        }
        if let Some(services) = services {
            let index = self.index_of(id).unwrap_or_else(|| self.enter(id, &name));
            // A chain grows at its head.
            for Taken { held, learned, end } in services.into_iter().rev() {
                self.insert(Held { owner: index, ..held }, &learned, end);
            }
        }
        if let Some(record) = unfit {
            self.unfit.insert(name.into(), (id, record));
        }
        self.next = next;
    }

    /// What is leaving ends, if its time has come, up to this many services. What the forwarder should now hold.
    pub fn expire(&mut self, now: Tick, most: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        for _ in 0..most {
            let Some(&(_, index)) = self.ends.first().filter(|(end, _)| *end <= now) else { break };
            changes.extend(self.keys(index).map(|key| Change::Binding(key, None)));
            let Some(owner) = self.held(index).map(|held| held.owner) else { break };
            self.unlink(owner, index);
            self.remove_service(index);
        }
        changes
    }

    /// When [`Self::expire`] has something to do.
    pub fn next_end(&self) -> Option<Tick> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// A subscriber without services, entered if it is not there.
    pub(crate) fn enter_name(&mut self, name: &str) -> u32 {
        self.index_of_name(name).unwrap_or_else(|| {
            let id = self.next;
            self.next = SubscriberId(id.0 + 1);
            self.enter(id, name)
        })
    }

    /// A subscriber of this name has no services any more but those that it is leaving; its number, if there is one.
    pub(crate) fn begin_again(&mut self, name: &str) -> Option<SubscriberId> {
        if let Some((id, _)) = self.unfit.remove(name) {
            self.enter(id, name);
            return Some(id);
        }
        let index = self.index_of_name(name)?;
        self.clear(index);
        self.subscriber(index).map(|subscriber| subscriber.id)
    }

    /// Nobody is left that does not fit the network file; who that was.
    pub(crate) fn forget_all_unfit(&mut self) -> Vec<SubscriberId> {
        std::mem::take(&mut self.unfit).into_values().map(|(id, _)| id).collect()
    }

    /// Removes a subscriber.
    pub(crate) fn drop_id(&mut self, id: SubscriberId) {
        if let Some(index) = self.index_of(id) {
            self.take_out(index);
            self.forget(index);
        }
    }

    /// Removes a subscriber that has no services.
    pub(crate) fn drop_if_empty(&mut self, index: u32) {
        if self.subscriber(index).is_some_and(|subscriber| subscriber.first == NONE) {
            self.forget(index);
        }
    }

    /// Adds a service as [`Self::add_service`] does, in the place of what its subscriber is leaving at the same ISP.
    pub(crate) fn add_returning(
        &mut self,
        owner: u32,
        service: &ServiceRecord,
        clock: Clock,
    ) -> Result<u32, Vec<Problem>> {
        let overlap = |held: &Held| {
            let mut pairs =
                held.prefixes.iter().flat_map(|one| service.prefixes.iter().map(move |two| (one, two)));
            pairs.any(|(one, two)| one.contains(two) || two.contains(one))
        };
        let back = |index: &u32| {
            self.held(*index).is_some_and(|held| held.leaving && held.isp == service.isp && overlap(held))
        };
        let back: Vec<_> = self.chain(Some(owner)).filter(back).collect();
        for index in back {
            self.unlink(owner, index);
            self.remove_service(index);
        }
        self.add_service(owner, service, clock)
    }

    /// Takes all services out that a subscriber is not leaving.
    fn clear(&mut self, index: u32) {
        let services: Vec<_> = self.chain(Some(index)).collect();
        for service in services {
            if self.held(service).is_some_and(|held| !held.leaving) {
                self.unlink(index, service);
                self.remove_service(service);
            }
        }
    }

    /// Adds a service if nothing is against it; its number.
    pub(crate) fn add_service(
        &mut self,
        owner: u32,
        service: &ServiceRecord,
        clock: Clock,
    ) -> Result<u32, Vec<Problem>> {
        let circuit = self.check(owner, service, clock)?;
        let plan = self.plan_number(service.plan.as_deref())?;
        let end = service.leaving_until.map(|wall| clock.until(wall).unwrap_or(clock.tick));
        let held = Held {
            prefixes: service.prefixes.clone().into(),
            circuit,
            isp: service.isp,
            owner,
            next: NONE,
            plan,
            mac: service.mac,
            lent: None,
            leaving: end.is_some(),
        };
        Ok(self.insert(held, &[], end))
    }

    /// Adds what the forwarder held, without knowing more of it; whether that was possible.
    pub(crate) fn adopt(&mut self, key: &BindingKey, binding: &Binding, end: Option<Tick>) -> bool {
        let prefix = key.prefix.prefix;
        let isp = key.prefix.isp;
        if self.covering(isp, prefix).is_some() || self.within(isp, prefix).next().is_some() {
            return false;
        }
        let index = self.index_of(binding.subscriber).unwrap_or_else(|| {
            self.reserve_ids(SubscriberId(binding.subscriber.0 + 1));
            self.enter(binding.subscriber, &format!("#{}", binding.subscriber.0))
        });
        let held = Held {
            prefixes: [prefix].into(),
            circuit: key.circuit,
            isp,
            owner: index,
            next: NONE,
            plan: NO_PLAN,
            mac: binding.mac.filter(|_| binding.verify_mac),
            lent: None,
            leaving: binding.leaving,
        };
        let learned = binding.mac.filter(|_| !binding.verify_mac);
        self.insert(held, &[learned], end.filter(|_| binding.leaving));
        true
    }

    fn plan_number(&mut self, plan: Option<&str>) -> Result<u16, Vec<Problem>> {
        let Some(plan) = plan else { return Ok(NO_PLAN) };
        if let Some(known) = self.plans.iter().position(|known| &**known == plan) {
            return Ok(known as u16);
        }
        if self.plans.len() >= usize::from(NO_PLAN) {
            let message = format!("there are {} plans already", self.plans.len());
            return Err(vec![Problem::new("plan", message, "use one of them")]);
        }
        self.plans.push(plan.into());
        Ok((self.plans.len() - 1) as u16)
    }

    fn forget_unfit(&mut self, id: SubscriberId) -> Previous {
        let name = self.unfit.iter().find(|(_, (there, _))| *there == id).map(|(name, _)| name.clone());
        let name = name.unwrap_or_default();
        let unfit = self.unfit.remove(&name).map(|(_, record)| record);
        Previous { id, name: name.into(), services: None, unfit, next: self.next }
    }

    fn bindings_of(&self, index: Option<u32>) -> Vec<(BindingKey, Binding)> {
        let keys = self.chain(index).flat_map(|service| self.keys(service));
        keys.filter_map(|key| Some((key, self.bound(&key)?))).collect()
    }

    /// What was known of the subscriber's prefixes on the same circuit holds for this service too, whichever the ISP: a
    /// station does not change with the ISP.
    fn learn_again(&mut self, index: u32, before: &[Taken]) {
        let Some(held) = self.services.get_mut(index as usize).and_then(Option::as_mut) else { return };
        if held.mac.is_some() {
            return;
        }
        let circuit = held.circuit;
        let here = || before.iter().filter(|taken| taken.held.circuit == circuit && taken.held.mac.is_none());
        held.lent = here().find_map(|taken| taken.held.lent);
        for prefix in &held.prefixes {
            let same = |taken: &Taken| {
                let at = taken.held.prefixes.iter().position(|other| other == prefix)?;
                taken.learned.get(at).copied().flatten()
            };
            if let Some(entry) = self.prefixes.get_mut(&(held.isp, *prefix)) {
                entry.learned = here().find_map(same);
            }
        }
    }

    fn enter(&mut self, id: SubscriberId, name: &str) -> u32 {
        let subscriber = Subscriber { id, name: name.into(), first: NONE };
        let index = match self.free_subscribers.pop() {
            Some(index) => index,
            None => {
                self.subscribers.push(None);
                (self.subscribers.len() - 1) as u32
            }
        };
        if let Some(place) = self.subscribers.get_mut(index as usize) {
            *place = Some(subscriber);
        }
        let Self { by_name, by_id, subscribers, hasher, .. } = self;
        let of = |index: &u32| subscribers.get(*index as usize).and_then(Option::as_ref);
        by_name.insert_unique(hasher.hash_one(name), index, |at| {
            of(at).map_or(0, |s| hasher.hash_one(&*s.name))
        });
        by_id.insert_unique(hasher.hash_one(id), index, |at| of(at).map_or(0, |s| hasher.hash_one(s.id)));
        index
    }

    /// Removes a subscriber that has no services any more.
    fn forget(&mut self, index: u32) {
        let Some(subscriber) = self.subscribers.get_mut(index as usize).and_then(Option::take) else {
            return;
        };
        let same = |at: &u32| *at == index;
        if let Ok(entry) = self.by_name.find_entry(self.hasher.hash_one(&*subscriber.name), same) {
            entry.remove();
        }
        if let Ok(entry) = self.by_id.find_entry(self.hasher.hash_one(subscriber.id), same) {
            entry.remove();
        }
        self.free_subscribers.push(index);
    }

    /// Takes all services of a subscriber out.
    fn take_out(&mut self, index: u32) -> Vec<Taken> {
        let services: Vec<_> = self.chain(Some(index)).collect();
        if let Some(subscriber) = self.subscribers.get_mut(index as usize).and_then(Option::as_mut) {
            subscriber.first = NONE;
        }
        services.into_iter().filter_map(|service| self.remove_service(service)).collect()
    }

    fn insert(&mut self, held: Held, learned: &[Option<MacAddr>], end: Option<Tick>) -> u32 {
        let index = match self.free_services.pop() {
            Some(index) => index,
            None => {
                self.services.push(None);
                (self.services.len() - 1) as u32
            }
        };
        for (at, prefix) in held.prefixes.iter().enumerate() {
            let learned = learned.get(at).copied().flatten();
            self.prefixes.insert((held.isp, *prefix), Entry { service: index, learned });
        }
        self.on_circuit.insert((held.circuit, held.isp, index));
        if let Some(mac) = held.mac {
            self.configured.insert((held.circuit, mac, index));
        }
        if let Some(end) = end {
            self.leaving.insert(index, end);
            self.ends.insert((end, index));
        }
        if !held.leaving {
            *self.counts.entry(held.isp).or_default() += 1;
        }
        let mut held = held;
        if let Some(owner) = self.subscribers.get_mut(held.owner as usize).and_then(Option::as_mut) {
            held.next = std::mem::replace(&mut owner.first, index);
        }
        if let Some(place) = self.services.get_mut(index as usize) {
            *place = Some(held);
        }
        index
    }

    /// Takes a service out of its subscriber's chain.
    fn unlink(&mut self, owner: u32, index: u32) {
        let next = self.held(index).map_or(NONE, |held| held.next);
        let chain: Vec<_> = self.chain(Some(owner)).collect();
        let before = chain.iter().take_while(|at| **at != index).last().copied();
        match before {
            Some(before) => {
                if let Some(held) = self.services.get_mut(before as usize).and_then(Option::as_mut) {
                    held.next = next;
                }
            }
            None => {
                if let Some(owner) = self.subscribers.get_mut(owner as usize).and_then(Option::as_mut) {
                    owner.first = next;
                }
            }
        }
    }

    /// Removes a service that no chain leads to any more.
    fn remove_service(&mut self, index: u32) -> Option<Taken> {
        let held = self.services.get_mut(index as usize)?.take()?;
        self.free_services.push(index);
        let of_isp = |prefix: &IpNet| self.prefixes.remove(&(held.isp, *prefix))?.learned;
        let learned = held.prefixes.iter().map(of_isp).collect();
        self.on_circuit.remove(&(held.circuit, held.isp, index));
        if let Some(mac) = held.mac {
            self.configured.remove(&(held.circuit, mac, index));
        }
        let end = self.leaving.remove(&index);
        if let Some(end) = end {
            self.ends.remove(&(end, index));
        }
        if let Some(count) = self.counts.get_mut(&held.isp).filter(|_| !held.leaving) {
            *count -= 1;
        }
        Some(Taken { held, learned, end })
    }
}

/// A record's services without what is over, and without what is leaving and has come back.
fn normal(record: &Record, clock: Clock) -> Vec<ServiceRecord> {
    let stays = |service: &&ServiceRecord| service.leaving_until.is_none();
    let back = |isp, prefix: &IpNet| {
        let same_isp = record.services.iter().filter(stays).filter(|service| service.isp == isp);
        same_isp
            .flat_map(|service| &service.prefixes)
            .any(|other| other.contains(prefix) || prefix.contains(other))
    };
    let services = record.services.iter().filter_map(|service| {
        let Some(until) = service.leaving_until else { return Some(service.clone()) };
        clock.until(until)?;
        let mut service = service.clone();
        service.prefixes.retain(|prefix| !back(service.isp, prefix));
        (!service.prefixes.is_empty()).then_some(service)
    });
    services.collect()
}

/// What the forwarder is to be told.
fn difference(before: &[(BindingKey, Binding)], after: &[(BindingKey, Binding)]) -> Vec<Change> {
    let gone = before.iter().filter(|(key, _)| !after.iter().any(|(other, _)| other == key));
    let gone = gone.map(|(key, _)| Change::Binding(*key, None));
    let new = after.iter().filter(|binding| !before.contains(binding));
    gone.chain(new.map(|(key, binding)| Change::Binding(*key, Some(*binding)))).collect()
}
