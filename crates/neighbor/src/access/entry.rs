//! What is known of one bound prefix, as a state machine.
//!
//! ```text
//!                 heard M                          silent for probe_interval,
//!  Resolving ───────────────▶ Reachable(M) ───────── or heard M' ≠ M ──────────▶ Probing(M, M'?)
//!      │                       ▲   ▲   ▲                                           │  │  │
//!      │ attempts in vain      │   │   └────────────────── heard M ────────────────┘  │  │
//!      ▼          heard M      │   └────── attempts in vain, M' known: now M' ────────┘  │
//!   Failed ────────────────────┘                                                         │
//!      │ failed_hold                                attempts in vain: lost               │
//!      ▼                                                                                 │
//!   (gone) ◀─────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! An Ethernet address once learned is given up only after it failed to answer: who merely speaks in the name of a
//! bound address gets its owner probed, no more, and that at most once per `challenge_hold`.

use std::net::IpAddr;
use std::time::Duration;

use contract::{MacAddr, Tick};

use super::{AccessSettings, Owner};
use crate::NeighborState;
use crate::limit::Bucket;

/// What is known of one bound prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// Whose prefix it was when last looked at.
    pub(super) owner: Owner,
    /// The address in it that was heard or asked for last.
    pub(super) address: IpAddr,
    /// Where the entry stands.
    pub(super) phase: Phase,
    /// When its Ethernet address was heard last.
    pub(super) heard: Option<Tick>,
    /// When it is to be looked at next.
    pub(super) due: Option<Tick>,
    /// Answers to its owner.
    pub(super) answers: Bucket,
    /// No other Ethernet address is looked at before.
    challenge_after: Tick,
}

/// Where an entry stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Everyone was asked this many times.
    Resolving { asked: u8 },
    /// It speaks, or did within the probing interval.
    Reachable { mac: MacAddr },
    /// It was asked this many times; another Ethernet address may have claimed its place.
    Probing { mac: MacAddr, asked: u8, challenger: Option<MacAddr> },
    /// Nobody answered.
    Failed,
    /// Its Ethernet address is in the directory.
    Configured { mac: MacAddr },
}

/// What happens to an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Input {
    /// A frame from this Ethernet address speaks for this address.
    Heard { address: IpAddr, mac: MacAddr },
    /// The entry is due.
    Timeout,
}

/// What is to be done after a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Output {
    /// Nothing.
    Nothing,
    /// Ask everyone.
    AskAll,
    /// Ask the station that has been known.
    Ask(MacAddr),
    /// This Ethernet address is new.
    Learned(MacAddr),
    /// This Ethernet address answers no more; remove the entry.
    Lost(MacAddr),
    /// Remove the entry, of which nothing was known.
    Gone,
}

impl Phase {
    /// Its Ethernet address, where known.
    pub(super) const fn mac(self) -> Option<MacAddr> {
        match self {
            Self::Reachable { mac } | Self::Probing { mac, .. } | Self::Configured { mac } => Some(mac),
            Self::Resolving { .. } | Self::Failed => None,
        }
    }

    /// Whether an answer is waited for.
    pub(super) const fn is_outstanding(self) -> bool {
        matches!(self, Self::Resolving { .. } | Self::Probing { .. })
    }

    /// As others see it.
    pub(super) const fn state(self) -> NeighborState {
        match self {
            Self::Resolving { .. } => NeighborState::Resolving,
            Self::Reachable { .. } => NeighborState::Reachable,
            Self::Probing { .. } => NeighborState::Probing,
            Self::Failed => NeighborState::Failed,
            Self::Configured { .. } => NeighborState::Configured,
        }
    }
}

impl Entry {
    /// An entry that nothing was asked for nor heard of yet.
    pub(super) fn new(owner: Owner, address: IpAddr, phase: Phase) -> Self {
        let start = Tick::default();
        Self {
            owner,
            address,
            phase,
            heard: None,
            due: None,
            answers: Bucket::default(),
            challenge_after: start,
        }
    }

    /// One step. `may_ask`: whether one more answer may be waited for.
    pub(super) fn step(
        &mut self,
        now: Tick,
        input: Input,
        settings: &AccessSettings,
        may_ask: bool,
    ) -> Output {
        match input {
            Input::Heard { address, mac } => self.hear(now, address, mac, settings, may_ask),
            Input::Timeout => self.timeout(now, settings, may_ask),
        }
    }

    fn hear(
        &mut self,
        now: Tick,
        address: IpAddr,
        mac: MacAddr,
        settings: &AccessSettings,
        may_ask: bool,
    ) -> Output {
        match self.phase {
            Phase::Resolving { .. } | Phase::Failed => {
                self.reached(now, address, mac, settings);
                return Output::Learned(mac);
            }
            Phase::Configured { mac: known } if known == mac => {
                (self.address, self.heard) = (address, Some(now));
            }
            Phase::Reachable { mac: known } if known == mac => {
                // Its timer is left as it is: when it goes off, it sees that something was heard since.
                (self.address, self.heard) = (address, Some(now));
            }
            Phase::Probing { mac: known, challenger, .. } if known == mac => {
                if challenger.is_some() {
                    self.challenge_after = now + settings.challenge_hold;
                }
                self.reached(now, address, mac, settings);
            }
            Phase::Reachable { mac: known } if may_ask && now >= self.challenge_after => {
                self.phase = Phase::Probing { mac: known, asked: 1, challenger: Some(mac) };
                self.due = Some(now + settings.retry_interval);
                return Output::Ask(known);
            }
            Phase::Probing { mac: known, asked, challenger: None } if now >= self.challenge_after => {
                self.phase = Phase::Probing { mac: known, asked, challenger: Some(mac) };
            }
            Phase::Configured { .. } | Phase::Reachable { .. } | Phase::Probing { .. } => {}
        }
        Output::Nothing
    }

    fn timeout(&mut self, now: Tick, settings: &AccessSettings, may_ask: bool) -> Output {
        let again = Some(now + settings.retry_interval);
        match self.phase {
            Phase::Configured { .. } => self.due = None,
            Phase::Failed => return Output::Gone,
            Phase::Resolving { asked } if asked < settings.attempts => {
                self.phase = Phase::Resolving { asked: asked + 1 };
                self.due = again;
                return Output::AskAll;
            }
            Phase::Resolving { .. } => {
                self.phase = Phase::Failed;
                self.due = Some(now + settings.failed_hold);
            }
            Phase::Reachable { mac } => {
                let quiet = self.next_probe(settings).is_none_or(|at| at <= now);
                if !quiet {
                    self.due = self.next_probe(settings);
                } else if may_ask {
                    self.phase = Phase::Probing { mac, asked: 1, challenger: None };
                    self.due = again;
                    return Output::Ask(mac);
                } else {
                    self.due = again;
                }
            }
            Phase::Probing { mac, asked, challenger } if asked < settings.attempts => {
                self.phase = Phase::Probing { mac, asked: asked + 1, challenger };
                self.due = again;
                return Output::Ask(mac);
            }
            Phase::Probing { challenger: Some(mac), .. } => {
                self.reached(now, self.address, mac, settings);
                return Output::Learned(mac);
            }
            Phase::Probing { mac, challenger: None, .. } => return Output::Lost(mac),
        }
        Output::Nothing
    }

    fn reached(&mut self, now: Tick, address: IpAddr, mac: MacAddr, settings: &AccessSettings) {
        self.phase = Phase::Reachable { mac };
        (self.address, self.heard) = (address, Some(now));
        self.due = self.next_probe(settings);
    }

    /// Probes of subscribers that were learned at the same time are spread over a quarter of the interval.
    fn next_probe(&self, settings: &AccessSettings) -> Option<Tick> {
        let interval = settings.probe_interval;
        self.heard.map(|heard| heard + interval + spread(self.address, interval / 4))
    }
}

/// A part of `over`, always the same for one address, evenly distributed over addresses.
pub(super) fn spread(address: IpAddr, over: Duration) -> Duration {
    let bits = match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() ^ address.to_bits() >> 64) as u64,
    };
    // Fibonacci hashing: the upper bits of the product are the well mixed ones.
    let mixed = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    over.mul_f64(mixed as f64 / 65536.0)
}

#[cfg(test)]
mod tests;
