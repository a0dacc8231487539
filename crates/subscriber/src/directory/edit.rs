//! Requests to change the directory: what a subscriber becomes by each, tried as a whole before anything is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::{Asn, SubscriberId};
use ipnet::IpNet;

use super::Directory;
use super::put::Previous;
use crate::record::{Clock, Problem, Record, ServiceRecord, Write};
use crate::row::{self, Fields};

/// What is to become of a subscriber.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A service more.
    Add,
    /// A service has other fields.
    Set,
    /// A service goes to another ISP: the new one is effective at once, and what is under way at the old one still arrives
    /// for a while.
    Move,
    /// A service, or the subscriber, goes.
    Remove,
}

/// A request about one subscriber. Fields are text, as in a file of subscribers; an empty one clears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// What is to be done.
    pub action: Action,
    /// The subscriber's name.
    pub subscriber: String,
    /// The service's ISP: of the new one ([`Action::Add`]), of the one that goes to another ([`Action::Move`]), else of
    /// the one that is meant. It may be left out where there is only one.
    pub isp: Option<String>,
    /// The ISP that it goes to ([`Action::Move`]).
    pub to: Option<String>,
    /// The access port's device name.
    pub port: Option<String>,
    /// The outer VLAN.
    pub outer_vlan: Option<String>,
    /// The inner VLAN.
    pub inner_vlan: Option<String>,
    /// The Ethernet address.
    pub mac: Option<String>,
    /// The plan.
    pub plan: Option<String>,
    /// Prefixes, with spaces between.
    pub prefixes: Option<String>,
}

/// What is wrong with one of several requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EditError {
    /// Which, from 0.
    pub index: usize,
    /// Whose.
    pub subscriber: String,
    /// What.
    pub problem: Problem,
}

/// What is to be stored for some requests, all of which are right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The records that become others.
    pub writes: Vec<Write>,
    /// The number that the next new subscriber then gets.
    pub next: SubscriberId,
}

impl Edit {
    /// A request without any field.
    pub fn new(action: Action, subscriber: impl Into<String>) -> Self {
        let subscriber = subscriber.into();
        let (isp, to, port, outer_vlan, inner_vlan) = (None, None, None, None, None);
        Self {
            action,
            subscriber,
            isp,
            to,
            port,
            outer_vlan,
            inner_vlan,
            mac: None,
            plan: None,
            prefixes: None,
        }
    }
}

impl Directory {
    /// Tries requests one after the other, and says what is to be stored for them, or what is wrong with which. Nothing
    /// has changed after that: [`Self::apply`] does it, once it is stored.
    pub fn plan(&mut self, edits: &[Edit], clock: Clock, grace: Duration) -> Result<Plan, Vec<EditError>> {
        let mut writes = BTreeMap::new();
        let mut errors = Vec::new();
        let mut done: Vec<Previous> = Vec::new();
        for (index, edit) in edits.iter().enumerate() {
            let tried = self.become_by(edit, clock, grace).and_then(|(id, record)| {
                let (previous, _) = self.put(id, record.as_ref(), clock)?;
                Ok((id, self.record(id, clock), previous))
            });
            match tried {
                Ok((id, record, previous)) => {
                    writes.insert(id, record);
                    done.push(previous);
                }
                Err(problems) => errors.extend(problems.into_iter().map(|problem| EditError {
                    index,
                    subscriber: edit.subscriber.clone(),
                    problem,
                })),
            }
        }
        let next = self.next_id();
        while let Some(previous) = done.pop() {
            self.put_back(previous);
        }
        if errors.is_empty() { Ok(Plan { writes: writes.into_iter().collect(), next }) } else { Err(errors) }
    }

    /// Which subscriber a request is about, and what becomes of it.
    fn become_by(
        &self,
        edit: &Edit,
        clock: Clock,
        grace: Duration,
    ) -> Result<(SubscriberId, Option<Record>), Vec<Problem>> {
        foreign_fields(edit)?;
        let name = edit.subscriber.as_str();
        let known = match self.id(name) {
            Some(id) => self.record(id, clock).map(|record| (id, record)),
            None => self.unfit.get(name).cloned(),
        };
        let nobody = || {
            let help = "`openmile subscriber show` lists those that there are; `add` makes a new one";
            vec![Problem::new("subscriber", format!("there is no subscriber `{name}`"), help)]
        };
        if edit.action == Action::Add {
            let fields = Fields::new(name).with(edit);
            let service = fields.service()?;
            let fresh = || (self.next_id(), Record { name: name.to_owned(), services: Vec::new() });
            let (id, mut record) = known.unwrap_or_else(fresh);
            record.services.push(service);
            return Ok((id, Some(record)));
        }
        let (id, record) = known.ok_or_else(nobody)?;
        let record = match edit.action {
            Action::Add | Action::Set => Some(set(record, edit)?),
            Action::Move => Some(self.moved(record, edit, clock, grace)?),
            Action::Remove => without(record, edit)?,
        };
        Ok((id, record))
    }

    fn moved(
        &self,
        mut record: Record,
        edit: &Edit,
        clock: Clock,
        grace: Duration,
    ) -> Result<Record, Vec<Problem>> {
        let to = edit.to.as_deref().unwrap_or_default();
        let to = row::isp("to", to).map_err(|problem| vec![problem])?;
        let at = the_service(&record, edit, Some(to))?;
        let Some(old) = record.services.get_mut(at) else { return Ok(record) };
        let mut new = ServiceRecord { isp: to, ..old.clone() };
        if let Some(prefixes) = &edit.prefixes {
            let mut problems = Vec::new();
            new.prefixes = row::prefixes(prefixes, &mut problems);
            if !problems.is_empty() {
                return Err(problems);
            }
        } else {
            self.same_prefixes_fit(old, to)?;
        }
        if let Some(plan) = &edit.plan {
            new.plan = Some(plan.clone()).filter(|plan| !plan.is_empty());
        }
        old.leaving_until = Some(clock.wall_at(clock.tick + grace));
        record.services.push(new);
        Ok(record)
    }

    /// Whether the prefixes are in pools of the new ISP too, so that they may be taken along.
    fn same_prefixes_fit(&self, old: &ServiceRecord, to: Asn) -> Result<(), Vec<Problem>> {
        // An ISP that is not here is another problem, which is found later.
        let Some(pools) = self.node.pools.get(&to) else { return Ok(()) };
        let fits = |prefix: &IpNet| pools.iter().any(|pool| pool.prefix.contains(prefix));
        match old.prefixes.iter().find(|prefix| !fits(prefix)) {
            None => Ok(()),
            Some(prefix) => {
                let known: Vec<_> = pools.iter().map(|pool| pool.prefix.to_string()).collect();
                let message =
                    format!("{prefix} cannot be taken along: it is in no pool of {to} on {}", self.name);
                let help = format!("give `prefixes` of the new ISP: its pools here are {}", known.join(", "));
                Err(vec![Problem::new("prefixes", message, help)])
            }
        }
    }
}

/// Fields that mean nothing with this action.
fn foreign_fields(edit: &Edit) -> Result<(), Vec<Problem>> {
    let on_line = ["port", "outer_vlan", "inner_vlan", "mac"];
    let given = [
        ("to", &edit.to),
        ("port", &edit.port),
        ("outer_vlan", &edit.outer_vlan),
        ("inner_vlan", &edit.inner_vlan),
        ("mac", &edit.mac),
        ("plan", &edit.plan),
        ("prefixes", &edit.prefixes),
    ];
    let foreign = |field: &str| match edit.action {
        Action::Add | Action::Set => field == "to",
        Action::Move => on_line.contains(&field),
        Action::Remove => true,
    };
    let action = match edit.action {
        Action::Add => "add",
        Action::Set => "set",
        Action::Move => "move",
        Action::Remove => "remove",
    };
    let given = given.iter().filter(|(field, value)| value.is_some() && foreign(field));
    let problems: Vec<_> = given
        .map(|(field, _)| {
            let message = format!("`{field}` means nothing with {action}");
            let help = match *field {
                "to" => "a service goes to another ISP with `move`",
                _ => "a service's fields are changed with `set`",
            };
            Problem::new(field, message, help)
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The place of the service that is meant, which the subscriber is not leaving. For a move, one that is at the new ISP
/// already is not it.
fn the_service(record: &Record, edit: &Edit, to: Option<Asn>) -> Result<usize, Vec<Problem>> {
    let isp =
        edit.isp.as_deref().map(|isp| row::isp("isp", isp)).transpose().map_err(|problem| vec![problem])?;
    let meant = |service: &&ServiceRecord| {
        service.leaving_until.is_none() && isp.map_or(Some(service.isp) != to, |isp| service.isp == isp)
    };
    let places = record.services.iter().enumerate().filter(|(_, service)| meant(service)).map(|(at, _)| at);
    let places: Vec<_> = places.collect();
    let name = &record.name;
    let current = record.services.iter().filter(|service| service.leaving_until.is_none());
    let current: Vec<_> = current.map(|service| service.isp.to_string()).collect();
    let problem = |message: String, help: &str| Err(vec![Problem::new("isp", message, help)]);
    match (places.as_slice(), isp, to) {
        ([_], Some(isp), Some(to)) if isp == to => {
            problem(format!("{name} is at {to} already"), "give another ISP to go to")
        }
        ([only], ..) => Ok(*only),
        ([], Some(isp), _) => {
            problem(format!("{name} has no service with {isp}"), &format!("it has {}", current.join(", ")))
        }
        ([], None, Some(to)) => problem(format!("{name} is at {to} already"), "give another ISP to go to"),
        ([], None, None) => problem(format!("{name} has no service"), "add one"),
        (_, None, _) => problem(
            format!("{name} has {} services: {}", places.len(), current.join(", ")),
            "say which one is meant, by its ISP",
        ),
        (_, Some(isp), _) => problem(
            format!("{name} has {} services with {isp}, on several circuits", places.len()),
            "remove the one and add it as it should be",
        ),
    }
}

fn set(mut record: Record, edit: &Edit) -> Result<Record, Vec<Problem>> {
    let at = the_service(&record, edit, None)?;
    let Some(service) = record.services.get_mut(at) else { return Ok(record) };
    let (outer, inner) = row::vlans(service.tags);
    let mac = service.mac.map(|mac| mac.to_string()).unwrap_or_default();
    let prefixes: Vec<_> = service.prefixes.iter().map(row::written).collect();
    let (prefixes, isp) = (prefixes.join(" "), service.isp.0.to_string());
    let fields = Fields {
        subscriber: &record.name,
        port: &service.port,
        outer_vlan: &outer,
        inner_vlan: &inner,
        mac: &mac,
        isp: &isp,
        prefixes: &prefixes,
        plan: service.plan.as_deref().unwrap_or(""),
    };
    *service = fields.with(&Edit { isp: None, ..edit.clone() }).service()?;
    Ok(record)
}

fn without(mut record: Record, edit: &Edit) -> Result<Option<Record>, Vec<Problem>> {
    if edit.isp.is_none() {
        return Ok(None);
    }
    record.services.remove(the_service(&record, edit, None)?);
    let left = record.services.iter().any(|service| service.leaving_until.is_none());
    Ok(left.then_some(record))
}

impl<'a> Fields<'a> {
    fn new(subscriber: &'a str) -> Self {
        Self { subscriber, ..Self::default() }
    }

    /// These fields, with those that are given in the place of what they were.
    fn with(self, edit: &Edit) -> FieldsWith<'a> {
        let or = |given: &Option<String>, before: &str| given.as_deref().unwrap_or(before).trim().to_owned();
        FieldsWith {
            subscriber: self.subscriber,
            texts: [
                or(&edit.port, self.port),
                or(&edit.outer_vlan, self.outer_vlan),
                or(&edit.inner_vlan, self.inner_vlan),
                or(&edit.mac, self.mac),
                or(&edit.isp, self.isp),
                or(&edit.prefixes, self.prefixes),
                or(&edit.plan, self.plan),
            ],
        }
    }
}

/// Fields of a service, some of them new.
struct FieldsWith<'a> {
    subscriber: &'a str,
    texts: [String; 7],
}

impl FieldsWith<'_> {
    fn service(&self) -> Result<ServiceRecord, Vec<Problem>> {
        let [port, outer_vlan, inner_vlan, mac, isp, prefixes, plan] = &self.texts;
        let subscriber = self.subscriber;
        Fields { subscriber, port, outer_vlan, inner_vlan, mac, isp, prefixes, plan }.service()
    }
}
