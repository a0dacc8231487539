//! Label switched paths as they are installed: FEC, NHLFE, ILM, FTN (RFC 3031 §3).

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use wire::{Label, MacAddr};

use crate::{Asn, Circuit, PortId};

/// A forwarding equivalence class: an LDP Prefix FEC (RFC 5036 §3.4.1). For an ISP it is the host address of one of its
/// handoffs, for the way back the ISP's return address on a headend.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Fec(pub IpNet);

impl fmt::Display for Fec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Labels to push, outermost first: none to four, all of them real.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Label>", into = "Vec<Label>")]
pub struct LabelStack {
    labels: [Label; Self::MAX],
    len: u8,
}

/// Why labels are no [`LabelStack`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelStackError {
    /// Too many.
    #[error("{0} labels are more than the four that can be pushed")]
    TooDeep(usize),
    /// A null or other special-purpose label.
    #[error("label {0} is a special-purpose label, which names no LSP (RFC 7274)")]
    NotReal(Label),
}

impl LabelStack {
    /// The most labels that are pushed at once.
    pub const MAX: usize = 4;

    /// A stack of these labels, outermost first.
    pub fn new(labels: &[Label]) -> Result<Self, LabelStackError> {
        if labels.len() > Self::MAX {
            return Err(LabelStackError::TooDeep(labels.len()));
        }
        let mut stack = Self { labels: [Label::FIRST_UNRESERVED; Self::MAX], len: labels.len() as u8 };
        for (place, &label) in stack.labels.iter_mut().zip(labels) {
            if !label.is_real() {
                return Err(LabelStackError::NotReal(label));
            }
            *place = label;
        }
        Ok(stack)
    }

    /// The labels, outermost first.
    pub fn labels(&self) -> &[Label] {
        &self.labels[..usize::from(self.len)]
    }
}

impl TryFrom<Vec<Label>> for LabelStack {
    type Error = LabelStackError;
    fn try_from(labels: Vec<Label>) -> Result<Self, LabelStackError> {
        Self::new(&labels)
    }
}

impl From<LabelStack> for Vec<Label> {
    fn from(stack: LabelStack) -> Self {
        stack.labels().to_vec()
    }
}

impl fmt::Debug for LabelStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.labels()).finish()
    }
}

/// A next hop label forwarding entry (RFC 3031 §3.10), resolved down to the neighbour's Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Nhlfe {
    /// What is pushed (after the pop, where an ILM entry swaps): at least one label on a backbone port.
    pub push: LabelStack,
    /// The backbone port that the packet leaves by.
    pub port: PortId,
    /// The next hop's address, for people.
    pub next_hop: IpAddr,
    /// The next hop's Ethernet address.
    pub mac: MacAddr,
}

/// What is done with a packet that arrives with a label (RFC 3031 §3.11).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ilm {
    /// The FEC that the label was bound to.
    pub fec: Fec,
    /// What is done.
    pub action: IlmAction,
}

/// What is done with a packet that arrives with a label.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum IlmAction {
    /// Replace the label and send on by one of these, chosen by flow; none: drop with [`crate::DropReason::NoNhlfe`].
    Swap {
        /// The ISP whose FEC it is: in its name this node speaks where it must answer a packet (RFC 3032 §2.3).
        isp: Option<Asn>,
        /// The entries.
        nhlfes: Vec<Nhlfe>,
    },
    /// Tailend: pop, and out of this ISP's handoff with no look-up in the packet.
    PopToHandoff {
        /// The ISP.
        isp: Asn,
        /// The handoff.
        handoff: Circuit,
    },
    /// Headend: pop, and look the destination up among this ISP's subscribers only.
    PopToSubscribers {
        /// The ISP.
        isp: Asn,
    },
}

/// The headend's FEC-to-NHLFE map for one ISP (RFC 3031 §3.12): its live FECs of the best preference.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Ftn {
    /// A subscriber takes one of these by its hash; none: the ISP is unreachable.
    pub choices: Vec<FtnChoice>,
}

/// One live FEC of an ISP.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FtnChoice {
    /// The FEC: the host address of one of the ISP's handoffs.
    pub fec: Fec,
    /// Equal-cost entries, one of which is taken by flow; never empty.
    pub nhlfes: Vec<Nhlfe>,
}

/// The tailend's way to a headend for one prefix of one ISP.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReturnRoute {
    /// The ISP's return FEC on the headend.
    pub fec: Fec,
    /// Equal-cost entries, one of which is taken by flow; none: drop with [`crate::DropReason::NoNhlfe`].
    pub nhlfes: Vec<Nhlfe>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_holds_up_to_four_real_labels() {
        let label = |value| Label::new(value).unwrap();
        assert_eq!(LabelStack::new(&[label(16), label(17)]).unwrap().labels(), [label(16), label(17)]);
        assert_eq!(LabelStack::new(&[label(16); 5]), Err(LabelStackError::TooDeep(5)));
        assert_eq!(LabelStack::new(&[label(3)]), Err(LabelStackError::NotReal(label(3))));
    }
}
