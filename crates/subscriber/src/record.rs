//! What is kept of a subscriber, and by whom.

use contract::{Asn, MacAddr, SubscriberId, Tick, VlanTags, WallTime};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A subscriber as it is stored: names only, so that it outlives a network file that numbers ports otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// The name, unique in a directory.
    pub name: String,
    /// What it has.
    pub services: Vec<ServiceRecord>,
}

/// A service with one ISP on one circuit, as it is stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// The ISP.
    pub isp: Asn,
    /// The access port's device name.
    pub port: String,
    /// The tags of the line.
    pub tags: VlanTags,
    /// The one Ethernet address that may speak, if it is known beforehand.
    pub mac: Option<MacAddr>,
    /// The plan's name.
    pub plan: Option<String>,
    /// The subscriber's prefixes in the ISP's address space, host bits zero.
    pub prefixes: Vec<IpNet>,
    /// The subscriber went to another ISP: until then what is under way still arrives.
    pub leaving_until: Option<WallTime>,
}

/// What is to be stored under a number; `None`: nothing any more.
pub type Write = (SubscriberId, Option<Record>);

/// Where a directory is kept: on the node, or one day in an engine that several nodes share.
pub trait Store {
    /// Why it could not be read or written.
    type Error: std::fmt::Display;

    /// Says every record, and in the end the number that the next new subscriber gets. A record that cannot be read is
    /// an error: what is whole is not known then.
    fn load(&mut self, each: &mut dyn FnMut(SubscriberId, Record)) -> Result<SubscriberId, Self::Error>;

    /// Stores all of these and the next number, durably, or nothing.
    fn commit(
        &mut self,
        next: SubscriberId,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), Self::Error>;
}

/// What time it is: for what is due, and for what is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Clock {
    /// Monotonic.
    pub tick: Tick,
    /// Of day, in nanoseconds since the Unix epoch.
    pub wall: u64,
}

/// The longest that a stored end of a service may lie in the future, whatever the time of day was when it was written.
const LONGEST: std::time::Duration = std::time::Duration::from_hours(1);

impl Clock {
    /// When that is; `None`: it is over.
    pub(crate) fn until(&self, wall: WallTime) -> Option<Tick> {
        let left = std::time::Duration::from_nanos(wall.0.checked_sub(self.wall).filter(|left| *left > 0)?);
        Some(self.tick + left.min(LONGEST))
    }

    /// The time of day that it will be then.
    pub(crate) fn wall_at(&self, tick: Tick) -> WallTime {
        let left = u64::try_from(tick.since(self.tick).as_nanos()).unwrap_or(u64::MAX);
        WallTime(self.wall.saturating_add(left))
    }
}

/// What is wrong with a request or a row: which field, why, and what to write instead.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The field, as in [`crate::HEADER`].
    pub field: &'static str,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// The service that is in the way, in which field, and what it is.
    pub(crate) holder: Option<(u32, &'static str, String)>,
}

impl Problem {
    /// A problem of this field alone.
    pub(crate) fn new(field: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { field, message: message.into(), help: help.into(), holder: None }
    }
}
