//! One next hop, watched without end, as a state machine.
//!
//! ```text
//!              an answer from M                      another address M' turns up
//!   Down ───────────────────────────▶ Up(M) ────────────────────────────────────▶ Confirming(M, M')
//!    ▲  asks everyone each            ▲ │ asks M probe_interval after each answer,      │
//!    │  resolve_interval              │ │ and again answer_wait after each question     │
//!    └──── `misses` answers missing ──┼─┘ that was not answered                         │
//!    └──── port down                  └── confirm_interval later: M if it answered, ────┘
//!                                         else M' if that did, else M and one more miss
//! ```
//!
//! Only an answer to one of our questions counts, since only that shows both directions to work. Whatever else the next
//! hop says (its own questions, announcements) makes us ask, at most once between two probes.

use std::net::IpAddr;

use contract::{MacAddr, Tick};

use super::HandoffSettings;
use crate::NeighborState;

/// A next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Monitor {
    /// Our address on the link, in whose name is asked.
    pub(super) own: IpAddr,
    /// The next hop.
    pub(super) next_hop: IpAddr,
    /// Where it stands.
    pub(super) phase: Phase,
    /// When it answered last.
    pub(super) heard: Option<Tick>,
    /// When it is to be looked at next.
    pub(super) due: Tick,
    /// Whether it was asked out of turn since the last probe.
    nudged: bool,
    /// No other Ethernet address is looked at before.
    challenge_after: Tick,
}

/// Where a next hop stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// It does not answer.
    Down,
    /// It answers, but for the last `missed` probes; `awaiting`: nor for the probe under way yet.
    Up { mac: MacAddr, missed: u8, awaiting: bool },
    /// Another Ethernet address turned up; both are asked.
    Confirming { mac: MacAddr, missed: u8, old_answers: bool, other: MacAddr, other_answers: bool },
}

/// What happens to a next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Input {
    /// The monitor is due.
    Timeout,
    /// An answer to a question of ours. `said`: it names its Ethernet address (else it is the frame's source).
    Answer { mac: MacAddr, said: bool },
    /// Something else that the next hop says.
    Spoke { mac: MacAddr },
    /// The port cannot be used.
    PortDown,
    /// It is taken for up.
    Assume { mac: MacAddr },
}

/// Who is to be asked after a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Output {
    /// Nobody.
    Nothing,
    /// Everyone.
    AskAll,
    /// One station.
    Ask(MacAddr),
    /// Two stations.
    AskBoth(MacAddr, MacAddr),
}

impl Phase {
    /// The next hop's Ethernet address, where it answers.
    pub(super) const fn mac(self) -> Option<MacAddr> {
        match self {
            Self::Down => None,
            Self::Up { mac, .. } | Self::Confirming { mac, .. } => Some(mac),
        }
    }

    /// As others see it.
    pub(super) const fn state(self) -> NeighborState {
        match self {
            Self::Down => NeighborState::Resolving,
            Self::Up { missed: 0, .. } => NeighborState::Reachable,
            Self::Up { .. } | Self::Confirming { .. } => NeighborState::Probing,
        }
    }
}

impl Monitor {
    /// A next hop that nothing is known of and that is asked for at once.
    pub(super) fn new(now: Tick, own: IpAddr, next_hop: IpAddr) -> Self {
        let (phase, challenge_after) = (Phase::Down, Tick::default());
        Self { own, next_hop, phase, heard: None, due: now, nudged: false, challenge_after }
    }

    /// One step.
    pub(super) fn step(&mut self, now: Tick, input: Input, settings: &HandoffSettings) -> Output {
        match input {
            Input::Timeout => self.timeout(now, settings),
            Input::Answer { mac, said } => self.answered(now, mac, said, settings),
            Input::Spoke { mac } => self.spoke(now, mac, settings),
            Input::PortDown => {
                self.phase = Phase::Down;
                Output::Nothing
            }
            Input::Assume { mac } => {
                self.phase = Phase::Up { mac, missed: 0, awaiting: false };
                self.due = now;
                Output::Nothing
            }
        }
    }

    fn timeout(&mut self, now: Tick, settings: &HandoffSettings) -> Output {
        self.nudged = false;
        self.due = now + settings.answer_wait;
        match self.phase {
            Phase::Down => self.resolve(now, settings),
            Phase::Up { mac, missed, awaiting } => {
                self.probe(now, mac, missed + u8::from(awaiting), settings)
            }
            Phase::Confirming { mac, old_answers: true, .. } => {
                self.challenge_after = now + settings.challenge_hold;
                self.probe(now, mac, 0, settings)
            }
            Phase::Confirming { other, other_answers: true, .. } => self.probe(now, other, 0, settings),
            Phase::Confirming { mac, missed, .. } => self.probe(now, mac, missed + 1, settings),
        }
    }

    fn resolve(&mut self, now: Tick, settings: &HandoffSettings) -> Output {
        self.phase = Phase::Down;
        self.due = now + settings.resolve_interval;
        Output::AskAll
    }

    fn probe(&mut self, now: Tick, mac: MacAddr, missed: u8, settings: &HandoffSettings) -> Output {
        if missed >= settings.misses {
            return self.resolve(now, settings);
        }
        self.phase = Phase::Up { mac, missed, awaiting: true };
        Output::Ask(mac)
    }

    fn answered(&mut self, now: Tick, mac: MacAddr, said: bool, settings: &HandoffSettings) -> Output {
        match &mut self.phase {
            // RFC 4861 §7.2.5: an advertisement that names no address resolves nothing.
            Phase::Down if !said => Output::Nothing,
            Phase::Down => {
                self.phase = Phase::Up { mac, missed: 0, awaiting: false };
                self.heard = Some(now);
                self.due = now + settings.probe_interval;
                Output::Nothing
            }
            Phase::Up { mac: known, missed, awaiting } if *known == mac => {
                // What it says unasked does not put off the next question.
                if *awaiting {
                    self.due = now + settings.probe_interval;
                }
                (*missed, *awaiting, self.heard) = (0, false, Some(now));
                Output::Nothing
            }
            Phase::Confirming { mac: known, old_answers, .. } if *known == mac => {
                (*old_answers, self.heard) = (true, Some(now));
                Output::Nothing
            }
            Phase::Confirming { other, other_answers, .. } if *other == mac => {
                *other_answers = true;
                Output::Nothing
            }
            Phase::Up { .. } | Phase::Confirming { .. } => self.spoke(now, mac, settings),
        }
    }

    fn spoke(&mut self, now: Tick, mac: MacAddr, settings: &HandoffSettings) -> Output {
        match self.phase {
            Phase::Down if !self.nudged => {
                self.nudged = true;
                Output::Ask(mac)
            }
            Phase::Up { mac: known, missed, .. } if known != mac && now >= self.challenge_after => {
                self.phase = Phase::Confirming {
                    mac: known,
                    missed,
                    old_answers: false,
                    other: mac,
                    other_answers: false,
                };
                self.due = now + settings.confirm_interval;
                Output::AskBoth(known, mac)
            }
            Phase::Down | Phase::Up { .. } | Phase::Confirming { .. } => Output::Nothing,
        }
    }
}

#[cfg(test)]
mod tests;
