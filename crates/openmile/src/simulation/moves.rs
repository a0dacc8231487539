//! Subscribers that go to another ISP while everything runs: the requests, the disk that they are stored on, and what is
//! true from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use api::{Refused, SubscriberAction, SubscriberDone, SubscriberEdit, SubscriberRequest};
use contract::{SubscriberId, Tick};
use subscriber::{Clock, Directory, Facts, Plan, Record};
use tokio::sync::oneshot;

use super::hosts::{TAKES_EFFECT, has};
use super::plan::{Customer, Line};
use super::text;
use super::world::{What, World};
use crate::control::Input;
use crate::control::directory::DirectoryInput;
use crate::control::directory::keeper::{Done, Job};
use crate::control::directory::store::StoreError;

/// How many seconds a move takes where the network file does not say it.
const GRACE: u16 = 30;

/// A node's disk.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    node: String,
    records: BTreeMap<SubscriberId, Record>,
    next: SubscriberId,
}

impl Disk {
    /// A disk with what is in a directory.
    fn of(directory: &Directory, clock: Clock) -> Self {
        let records = directory.subscribers().filter_map(|(id, _)| Some((id, directory.record(id, clock)?)));
        let (node, records) = (directory.node().to_owned(), records.collect());
        Self { node, records, next: directory.next_id() }
    }

    /// The directory on it. Who does not fit the network file is remembered there.
    pub(super) fn load(&self, facts: &Facts, clock: Clock) -> Directory {
        let mut directory = Directory::new(&self.node, facts);
        for (id, record) in &self.records {
            let _ = directory.load(*id, record.clone(), clock);
        }
        directory.reserve_ids(self.next);
        directory
    }

    fn commit(&mut self, plan: Plan) {
        for (id, record) in plan.writes {
            match record {
                Some(record) => drop(self.records.insert(id, record)),
                None => drop(self.records.remove(&id)),
            }
        }
        self.next = plan.next;
    }
}

/// What a node was asked for and has not answered.
pub(super) struct Asked {
    wish: Wish,
    answer: oneshot::Receiver<Result<SubscriberDone, Refused>>,
}

/// That a customer (by its place in the plan) goes to an ISP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    customer: usize,
    to: usize,
    /// Whether somebody else has the address there, or has not left it yet.
    conflict: bool,
    /// For how long what its former ISP sends still arrives.
    grace: Duration,
}

/// What was true of a customer before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    customer: usize,
    isp: usize,
    at: Tick,
    /// Until when what the former ISP sends still arrives.
    ends: Tick,
}

impl World {
    /// Gives every node a disk with its subscribers, if they are stored.
    pub(super) fn fill_disks(&mut self) {
        if !self.plan.stored {
            return;
        }
        let (facts, rows) =
            (crate::site::facts(self.files[0].site.network(), None), text::subscribers(&self.plan));
        for node in 0..self.members.len() {
            let directory = Directory::read(&format!("n{node}"), &rows, &facts).expect("rows that fit");
            self.members[node].disk = Some(Disk::of(&directory, self.clock()));
        }
    }

    /// The subscribers that are in force where a node has this file.
    pub(super) fn customers(&self, file: usize) -> Vec<Customer> {
        let plan = &self.files[file].plan;
        if !self.plan.stored {
            return plan.customers.clone();
        }
        let in_force = |customer: &&Customer| self.is_in_force(customer, plan);
        self.plan.customers.iter().filter(in_force).cloned().collect()
    }

    /// Whether all services of a stored subscriber fit a file: they are there together, or none of them is.
    fn is_in_force(&self, customer: &Customer, plan: &super::plan::Plan) -> bool {
        let services = self.plan.customers.iter().filter(|service| service.name == customer.name);
        services.into_iter().all(|service| {
            let (node, port) = (service.line.node, service.line.port);
            plan.isps[service.isp].headends.iter().any(|h| h.0 == node)
                && !plan.terms.absent.contains(&(node, port))
        })
    }

    /// Somebody goes to another ISP.
    pub(super) fn somebody_moves(&mut self) {
        let customers: Vec<usize> = (0..self.plan.customers.len()).collect();
        let Some(customer) = self.random.pick(&customers) else { return };
        let Customer { line, isp, host, ref name, .. } = self.plan.customers[customer];
        let name = name.clone();
        let node = line.node;
        let here = |&to: &usize| to != isp && self.plan.isps[to].headends.iter().any(|h| h.0 == node);
        let isps: Vec<usize> = (0..self.plan.isps.len()).filter(here).collect();
        let Some(to) = self.random.pick(&isps) else { return };
        let member = &mut self.members[node];
        let busy = member
            .asked
            .as_mut()
            .is_some_and(|asked| matches!(asked.answer.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        if busy || member.control.is_none() {
            return;
        }
        let soon = self.now + Duration::from_secs(1);
        let others = self.plan.customers.iter().enumerate();
        let others = others.filter(|(n, c)| *n != customer && c.line.node == node && c.host == host);
        let others: Vec<_> = others.collect();
        let file = &self.files[self.members[node].file].plan;
        if others.iter().any(|(_, other)| !self.is_in_force(other, file)) {
            // The node would not know that the address is somebody's.
            return;
        }
        let conflict = others.into_iter().any(|(number, other)| {
            let leaving = |left: &Left| left.customer == number && left.isp == to && left.ends > soon;
            other.isp == to || self.left.iter().any(leaving)
        });
        let grace = Duration::from_secs(file.terms.move_grace.unwrap_or(GRACE).into());
        let wish = Wish { customer, to, conflict, grace };
        self.note(|| format!("{name} on {line:?} is to go from ISP {isp} to {to} ({wish:?})"));
        let (answered, answer) = oneshot::channel();
        let edit = SubscriberEdit {
            isp: Some(self.plan.isps[isp].asn.to_string()),
            to: Some(self.plan.isps[to].asn.to_string()),
            ..SubscriberEdit::new(SubscriberAction::Move, name)
        };
        let request = SubscriberRequest { edits: vec![edit], dry_run: false };
        self.members[node].asked = Some(Asked { wish, answer });
        let control = self.members[node].controls;
        self.control_hears(node, Some(control), Input::Directory(DirectoryInput::Edit(request, answered)));
    }

    /// What a node's control gives its keeper is stored in a moment, unless it is killed before, or the disk refuses.
    pub(super) fn keep(&mut self, node: usize, jobs: Vec<Job>) {
        for job in jobs {
            let Job::Commit(plan) = job else { continue };
            let Some(wish) = self.members[node].asked.as_ref().map(|asked| asked.wish) else { continue };
            let control = self.members[node].controls;
            let after = Duration::from_millis(self.random.within(1, 200) as u64);
            self.later(after, What::Stored { node, control, plan, wish });
        }
    }

    /// The disk has, or has not, what it was given.
    pub(super) fn stored(&mut self, node: usize, control: u64, plan: Plan, wish: Wish) {
        let member = &self.members[node];
        let alive = member.control.is_some() && member.controls == control;
        // Whoever was killed may have been so before or after that; whoever is there since has read the disk already.
        let stored =
            if alive { self.random.chance(90) } else { member.controls == control && self.random.chance(50) };
        if stored {
            if let Some(disk) = &mut self.members[node].disk {
                disk.commit(plan);
            }
            self.moved(wish);
        }
        if alive {
            let full = || StoreError::Io { path: "disk".into(), error: io::ErrorKind::StorageFull.into() };
            let done = Done::Committed(if stored { Ok(()) } else { Err(full()) });
            self.control_hears(node, Some(control), Input::Directory(DirectoryInput::Done(done)));
        }
    }

    fn moved(&mut self, wish: Wish) {
        let Wish { customer, to, conflict, grace } = wish;
        self.note(|| format!("customer {customer} goes to ISP {to}"));
        if conflict {
            self.checker
                .wrong(format!("customer {customer} goes to ISP {to}, where its address is another's"));
        }
        self.checker.moves += 1;
        let isp = std::mem::replace(&mut self.plan.customers[customer].isp, to);
        let (at, ends) = (self.now, self.now + grace);
        self.left.push(Left { customer, isp, at, ends });
    }

    /// Whose an address on a line is where subscribers are in the store: what comes from the line is the new ISP's at once,
    /// what goes to it may be the old one's for a while.
    pub(super) fn isps_of_stored(&self, line: Line, address: IpAddr, to_line: bool) -> BTreeSet<u32> {
        let member = &self.members[line.node];
        let settled = member.control.is_some() && self.now > member.replayed + TAKES_EFFECT;
        let mut isps = BTreeSet::new();
        let here = self.plan.customers.iter().enumerate().filter(|(_, c)| c.line == line && has(c, address));
        for (number, customer) in here {
            isps.insert(customer.isp);
            let holds = |left: &&Left| {
                let until = if to_line { left.ends } else { left.at };
                left.customer == number && (!settled || self.now < until + TAKES_EFFECT)
            };
            isps.extend(self.left.iter().filter(holds).map(|left| left.isp));
        }
        isps.into_iter().map(|isp| self.plan.isps[isp].asn).collect()
    }

    /// Whether a customer (by its place in the plan) ever was this ISP's.
    pub(super) fn was_ever(&self, number: usize, asn: u32) -> bool {
        let left = self.left.iter().filter(|left| left.customer == number).map(|left| left.isp);
        left.chain([self.plan.customers[number].isp]).any(|isp| self.plan.isps[isp].asn == asn)
    }

    /// When the last move is over.
    pub(super) fn moves_end(&self) -> Option<Tick> {
        self.left.iter().map(|left| left.ends).max()
    }
}
