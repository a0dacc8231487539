//! What this LSR asks of one peer: Label Requests that are to be sent, that are under way, and that wait for the peer's
//! labels (RFC 5036 A.1.8, A.1.9, A.2.2).

use std::collections::{BTreeMap, BTreeSet};

use contract::Fec;
use wire::ldp::MessageId;

/// The requests to one peer; one at most for each FEC.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// To be sent as soon as the peer reads.
    pub(crate) unsent: BTreeSet<Fec>,
    outstanding: BTreeMap<Fec, Asked>,
    by_name: BTreeMap<MessageId, Fec>,
    /// Labels needed of a peer that has none.
    postponed: BTreeSet<Fec>,
    /// The peer has no labels: nothing is asked.
    paused: bool,
}

/// A request that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    pub(crate) name: MessageId,
    /// Whether it was taken back, which the peer has not confirmed yet.
    pub(crate) aborted: bool,
}

impl Requests {
    /// Send_Label_Request (A.2.2) as far as it is decided here: whether the request goes out now.
    pub(crate) fn may_send(&mut self, fec: Fec) -> bool {
        // SLRq.1.
        if self.outstanding.contains_key(&fec) {
            return false;
        }
        // SLRq.2, SLRq.6, SLRq.7.
        if self.paused {
            self.postponed.insert(fec);
        }
        !self.paused
    }

    /// SLRq.4: it was sent under this name.
    pub(crate) fn sent(&mut self, fec: Fec, name: MessageId) {
        self.outstanding.insert(fec, Asked { name, aborted: false });
        self.by_name.insert(name, fec);
    }

    pub(crate) fn of(&self, fec: Fec) -> Option<Asked> {
        self.outstanding.get(&fec).copied()
    }

    /// The FEC that was asked for under this name.
    pub(crate) fn fec_of(&self, name: MessageId) -> Option<Fec> {
        self.by_name.get(&name).copied()
    }

    /// The request for a FEC is answered, one way or another.
    pub(crate) fn complete(&mut self, fec: Fec) {
        if let Some(asked) = self.outstanding.remove(&fec) {
            self.by_name.remove(&asked.name);
        }
    }

    /// No label of the FEC is needed any more: the name of the request that is to be taken back, if one is under way.
    pub(crate) fn abort(&mut self, fec: Fec) -> Option<MessageId> {
        self.unsent.remove(&fec);
        self.postponed.remove(&fec);
        let asked = self.outstanding.get_mut(&fec).filter(|asked| !asked.aborted)?;
        asked.aborted = true;
        Some(asked.name)
    }

    /// NoRes.2, NoRes.3: the peer has no label for the FEC, nor for others.
    pub(crate) fn pause(&mut self, fec: Fec) {
        self.postponed.insert(fec);
        self.paused = true;
    }

    /// Res.1 to 6: it has labels again, and is asked for what is needed.
    pub(crate) fn resume(&mut self) {
        self.paused = false;
        self.unsent.append(&mut self.postponed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fec(n: u8) -> Fec {
        Fec(ipnet::IpNet::from(std::net::IpAddr::from([10, 0, 0, n])))
    }

    #[test]
    fn slrq_1_to_7_a_request_is_sent_once_and_not_while_the_peer_has_no_labels() {
        let mut requests = Requests::default();
        assert!(requests.may_send(fec(1)));
        requests.sent(fec(1), MessageId(7));
        assert!(!requests.may_send(fec(1)), "SLRq.1");
        assert_eq!(requests.fec_of(MessageId(7)), Some(fec(1)));
        requests.complete(fec(1));
        requests.pause(fec(1));
        assert!(!requests.may_send(fec(2)), "SLRq.6");
        assert_eq!((requests.fec_of(MessageId(7)), requests.of(fec(1))), (None, None));
        requests.resume();
        assert_eq!(requests.unsent, BTreeSet::from([fec(1), fec(2)]));
        assert!(requests.may_send(fec(2)));
    }

    #[test]
    fn a_request_is_taken_back_once() {
        let mut requests = Requests::default();
        requests.unsent.insert(fec(2));
        requests.sent(fec(1), MessageId(7));
        assert_eq!(
            (requests.abort(fec(1)), requests.abort(fec(1)), requests.abort(fec(2))),
            (Some(MessageId(7)), None, None)
        );
        assert!(requests.unsent.is_empty());
        assert_eq!(requests.of(fec(1)), Some(Asked { name: MessageId(7), aborted: true }));
        assert!(!requests.may_send(fec(1)), "not before the peer has confirmed it");
    }
}
