//! Labels and the forwarder's entries for them.
//!
//! ```text
//!            Event::Fec            Held                       withdrawn from all who know it
//! allocated ───────────▶ awaited ───────▶ told to peers ──────────────────────────────────────▶ retired ──▶ freed
//!                          ▲ │ Refused     │ Awaited: nobody new is told    Event::Retired       released by all
//!                          └─┘ nothing     │ Refused: another label is      the entry stays      and rested,
//!                              is told     ▼ allocated, this one retired                         Event::Freed:
//!                                                                                                the entry goes
//! ```
//!
//! So no neighbor ever sends a packet by a label that the forwarder does not know yet, or knows no more.

use contract::{Fec, Label, Tick};
use wire::ldp::LdpId;

use super::Speaker;
use crate::{Event, Installation};

impl Speaker {
    pub(super) fn installed(&mut self, now: Tick, fec: Fec, label: Label, installation: Installation) {
        let Some(entry) = self.fecs.get_mut(&fec).filter(|entry| entry.label == Some(label)) else { return };
        let before = std::mem::replace(&mut entry.installed, installation == Installation::Held);
        if installation == Installation::Awaited {
            self.awaited.insert(fec);
        } else {
            self.awaited.remove(&fec);
        }
        match installation {
            Installation::Held if !before => self.tell_all(fec),
            // Who was told must stop, and is asked to release this label: it could not be told it again meanwhile. Another
            // is told as soon as the forwarder takes the entry for it.
            Installation::Refused if self.labels.holders(label).next().is_some() => {
                entry.label = None;
                self.tell_all(fec);
                self.retire(now, fec, label);
                self.touched.insert(fec);
            }
            Installation::Held | Installation::Awaited | Installation::Refused => {}
        }
    }

    /// A label is its FEC's no more.
    pub(super) fn retire(&mut self, now: Tick, fec: Fec, label: Label) {
        self.awaited.remove(&fec);
        self.events.push_back(Event::Retired { fec, label });
        self.unsay(fec, label, |_| true);
        self.labels.retire(now, label);
    }

    /// These peers are to stop to use a label that they were not told in the session that there is now, but may have kept
    /// from one before.
    pub(super) fn unsay(&mut self, fec: Fec, label: Label, which: impl Fn(LdpId) -> bool) {
        for id in self.labels.holders(label).filter(|&id| which(id)) {
            let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.is_operational()) else { continue };
            if !peer.sent.contains_key(&fec) && !peer.withdrawn.contains(&(fec, label)) {
                peer.unsaid.insert((fec, label));
            }
        }
    }

    /// Tells which labels are nobody's any more.
    pub(super) fn tell_freed(&mut self) {
        let freed = self.labels.take_freed().into_iter();
        self.events.extend(freed.map(|label| Event::Freed { label }));
    }
}
