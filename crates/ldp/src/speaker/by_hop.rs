//! FECs by the next hops that they are routed to, and which of them are to be decided again since something about a next
//! hop is not as it was.
//!
//! Whatever happens to a neighbor or an interface happens to next hops, of which there are few, and to all FECs behind
//! them, of which there may be hundreds of thousands. So a next hop is marked at once, and its FECs are decided some at a
//! time: the call in which it happens is short, and other neighbors' timers are met meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use contract::Fec;

use crate::NextHop;

/// FECs by next hop.
#[derive(Debug, Default)]
pub(super) struct ByHop {
    fecs: BTreeMap<NextHop, BTreeSet<Fec>>,
    /// Next hops whose FECs are to be decided again, and how far that is.
    laps: BTreeMap<NextHop, Lap>,
    /// Whose turn it was last.
    turn: Option<NextHop>,
}

/// One way through a next hop's FECs. What happens again meanwhile makes it go round once more from where it is, so that
/// it gets on however often that is.
#[derive(Debug, Default)]
struct Lap {
    /// The last one that was taken.
    after: Option<Fec>,
    /// It goes on from the first one to this one once it has come to the end.
    again: Option<Fec>,
    /// It ends here.
    until: Option<Fec>,
}

impl ByHop {
    pub(super) fn insert(&mut self, hop: NextHop, fec: Fec) {
        self.fecs.entry(hop).or_default().insert(fec);
    }

    pub(super) fn remove(&mut self, hop: NextHop, fec: Fec) {
        let Some(fecs) = self.fecs.get_mut(&hop) else { return };
        fecs.remove(&fec);
        if fecs.is_empty() {
            self.fecs.remove(&hop);
            self.laps.remove(&hop);
        }
    }

    /// The FECs of these next hops are to be decided again.
    pub(super) fn touch(&mut self, which: impl Fn(NextHop) -> bool) {
        for &hop in self.fecs.keys().filter(|&&hop| which(hop)) {
            let lap = self.laps.entry(hop).or_default();
            *lap = Lap { after: lap.after, again: lap.after, until: None };
        }
    }

    /// Whether no FEC is to be decided again.
    pub(super) fn is_settled(&self) -> bool {
        self.laps.is_empty()
    }

    /// Takes at most so many FECs that are to be decided again; each next hop has its turn.
    pub(super) fn take(&mut self, most: usize) -> Vec<Fec> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let after = self.turn.map_or(Unbounded, Excluded);
            let next = self.laps.range((after, Unbounded)).next().or_else(|| self.laps.first_key_value());
            let Some((&hop, _)) = next else { break };
            self.turn = Some(hop);
            let (Some(fecs), Some(lap)) = (self.fecs.get(&hop), self.laps.get_mut(&hop)) else { break };
            if lap.take(fecs, most, &mut taken) {
                self.laps.remove(&hop);
            }
        }
        taken
    }
}

impl Lap {
    /// Takes FECs until there are so many; whether it is at its end.
    fn take(&mut self, fecs: &BTreeSet<Fec>, most: usize, taken: &mut Vec<Fec>) -> bool {
        loop {
            let ahead = (self.after.map_or(Unbounded, Excluded), self.until.map_or(Unbounded, Included));
            // A range that ends where it begins would be refused.
            let at_end = self.until.is_some() && self.until <= self.after;
            let some = fecs.range(if at_end { (Unbounded, Unbounded) } else { ahead });
            let before = taken.len();
            taken.extend(some.take(if at_end { 0 } else { most.saturating_sub(before) }));
            self.after = taken.get(before..).and_then(<[Fec]>::last).copied().or(self.after);
            if taken.len() >= most {
                return false;
            }
            match self.again.take() {
                Some(until) => *self = Self { after: None, again: None, until: Some(until) },
                None => return true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::InterfaceId;

    fn hop(n: u8) -> NextHop {
        NextHop { interface: InterfaceId(n.into()), address: Ipv4Addr::new(10, 1, 0, n).into() }
    }

    fn fec(n: u8) -> Fec {
        Fec(ipnet::IpNet::from(std::net::IpAddr::from([10, 0, 0, n])))
    }

    fn taken(by_hop: &mut ByHop, most: usize) -> Vec<u8> {
        let last = |fec: &Fec| match fec.0.addr() {
            std::net::IpAddr::V4(address) => address.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        };
        by_hop.take(most).iter().map(last).collect()
    }

    fn with(hops: &[(u8, std::ops::Range<u8>)]) -> ByHop {
        let mut by_hop = ByHop::default();
        for (n, fecs) in hops {
            fecs.clone().for_each(|f| by_hop.insert(hop(*n), fec(f)));
        }
        by_hop
    }

    #[test]
    fn each_next_hop_has_its_turn() {
        let mut by_hop = with(&[(1, 10..15), (2, 20..22)]);
        assert!(by_hop.is_settled() && by_hop.take(9).is_empty());
        by_hop.touch(|_| true);
        assert_eq!(taken(&mut by_hop, 3), [10, 11, 12]);
        assert_eq!(taken(&mut by_hop, 3), [20, 21, 13]);
        assert_eq!(taken(&mut by_hop, 3), [14]);
        assert!(by_hop.is_settled());
    }

    #[test]
    fn all_come_again_however_often_something_happens_meanwhile() {
        let mut by_hop = with(&[(1, 0..6)]);
        by_hop.touch(|_| true);
        assert_eq!(taken(&mut by_hop, 2), [0, 1]);
        by_hop.touch(|_| true);
        assert_eq!(taken(&mut by_hop, 3), [2, 3, 4], "it gets on");
        by_hop.touch(|_| true);
        assert_eq!(taken(&mut by_hop, 2), [5, 0]);
        assert_eq!(taken(&mut by_hop, 2), [1, 2]);
        by_hop.touch(|_| true);
        assert_eq!(taken(&mut by_hop, 9), [3, 4, 5, 0, 1, 2], "and each once since the last time");
        assert!(by_hop.is_settled());
    }

    #[test]
    fn what_goes_and_comes_meanwhile_is_no_trouble() {
        let mut by_hop = with(&[(1, 0..6)]);
        by_hop.touch(|hop| hop.interface == InterfaceId(1));
        assert_eq!(taken(&mut by_hop, 2), [0, 1]);
        by_hop.remove(hop(1), fec(1));
        by_hop.remove(hop(1), fec(3));
        by_hop.touch(|_| true);
        by_hop.remove(hop(1), fec(0));
        assert_eq!(taken(&mut by_hop, 9), [2, 4, 5]);
        by_hop.touch(|_| true);
        (0..6).for_each(|f| by_hop.remove(hop(1), fec(f)));
        assert!(by_hop.is_settled());
        by_hop.touch(|_| true);
        assert!(by_hop.is_settled());
    }
}
