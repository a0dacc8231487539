//! Whether LDP is ready on a link for the IGP to use it (RFC 5443).

use std::collections::BTreeMap;
use std::time::Duration;

use contract::Tick;

use super::Speaker;
use crate::peer::Peer;
use crate::{Event, IgpSync, InterfaceId, Via};

/// A neighbor that does not say End-of-LIB is taken to have told all labels so long after its session came up; RFC 5443
/// section 2 leaves the time to us.
const WITHOUT_END: Duration = Duration::from_secs(30);

/// The links and how far LDP is there.
#[derive(Debug, Default)]
pub(super) struct Links {
    states: BTreeMap<InterfaceId, IgpSync>,
    /// Something happened since they were looked at.
    changed: bool,
    /// When one may change by time alone.
    due: Option<Tick>,
}

impl Links {
    /// Something happened that may make a difference.
    pub(super) const fn changed(&mut self) {
        self.changed = true;
    }

    pub(super) const fn poll_timeout(&self) -> Option<Tick> {
        self.due
    }
}

impl Speaker {
    /// How far LDP is on each interface that is up, with its name.
    pub fn igp_sync(&self) -> impl Iterator<Item = (InterfaceId, &str, IgpSync)> {
        let rows = self.links.states.iter();
        rows.filter_map(|(&id, &state)| Some((id, self.discovery.interface(id)?.name.as_str(), state)))
    }

    /// Looks at all links again if there is a reason to.
    pub(super) fn check_links(&mut self, now: Tick) {
        if !self.links.changed && self.links.due.is_none_or(|due| due > now) {
            return;
        }
        let mut states: BTreeMap<_, _> =
            self.discovery.interfaces().map(|id| (id, IgpSync::NoNeighbor)).collect();
        let mut due: Option<Tick> = None;
        for (&id, peer) in &mut self.peers {
            let (state, at) = progress(now, peer);
            peer.told_all = state == IgpSync::Achieved;
            due = due.into_iter().chain(at).min();
            for (via, _) in self.discovery.adjacencies_of(id) {
                if let Via::Link(interface) = via
                    && let Some(all) = states.get_mut(&interface)
                {
                    *all = if *all == IgpSync::NoNeighbor { state } else { state.min(*all) };
                }
            }
        }
        let before = std::mem::replace(&mut self.links, Links { states, changed: false, due }).states;
        let achieved = |of: &BTreeMap<_, _>, id| of.get(&id) == Some(&IgpSync::Achieved);
        for &id in before.keys().chain(self.links.states.keys().filter(|id| !before.contains_key(id))) {
            let is = achieved(&self.links.states, id);
            if achieved(&before, id) != is {
                self.events.push_back(Event::IgpSync { interface: id, achieved: is });
            }
        }
    }
}

/// How far a peer is, and when that changes by time alone. One whose labels are kept over its restart is as far as it was.
fn progress(now: Tick, peer: &Peer) -> (IgpSync, Option<Tick>) {
    if peer.stale.is_some() && peer.told_all {
        return (IgpSync::Achieved, None);
    }
    let session = peer.session().filter(|session| session.is_operational());
    let Some((session, since)) = session.and_then(|session| Some((session, session.up_since?))) else {
        return (IgpSync::NoSession, None);
    };
    let capabilities = &session.capabilities;
    let ends = !capabilities.owes_end() && peer.families.is_subset(&capabilities.end_heard);
    let at = since + WITHOUT_END;
    if session.on_demand || ends || at <= now {
        (IgpSync::Achieved, None)
    } else {
        (IgpSync::Exchanging, Some(at))
    }
}
