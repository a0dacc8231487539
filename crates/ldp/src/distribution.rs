//! How labels are distributed (RFC 5036 §2.6) and loops found (§2.8): modes, and what travels with labels and requests.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use wire::ldp::{LabelMapping, LabelRequest, PathVector, UnknownTlv};

use crate::transitive::Transitive;

/// How this LSR distributes labels. The advertisement mode is the neighbors' own, see
/// [`crate::NeighborPolicy::advertisement`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Distribution {
    /// When labels are told.
    pub control: Control,
    /// Which labels are kept.
    pub retention: Retention,
    /// Whether loops are looked for.
    pub loop_detection: Option<LoopDetection>,
}

/// When the label of a FEC that goes on from here is told (RFC 5036 §2.6.1). A FEC that has an owner
/// ([`crate::Config::owners`]) is always under ordered control: a label that leads nowhere yet would draw an ISP's packets
/// to where they are lost, while a headend without a label takes another of the ISP's FECs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Control {
    /// When its next hop has told one.
    #[default]
    Ordered,
    /// When it is routed; packets are lost until there is a next hop with a label.
    Independent,
}

/// Which labels are kept (RFC 5036 §2.6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Retention {
    /// All: a change of routes finds them there.
    #[default]
    Liberal,
    /// Those of next hops; others are released, and asked for when they are needed.
    Conservative,
}

/// What counts as a loop (RFC 5036 §2.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoopDetection {
    /// The most LSRs along an LSP.
    pub max_hops: u8,
    /// The most LSRs in a path vector; neighbors should have the same (§3.5.3).
    pub path_vector_limit: u8,
}

impl Default for LoopDetection {
    fn default() -> Self {
        Self { max_hops: 64, path_vector_limit: 64 }
    }
}

/// What a message says of the way of an LSP or a request: the attributes of RFC 5036 Appendix A.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Attributes {
    /// 0: not known.
    pub(crate) hop_count: Option<u8>,
    pub(crate) path: Option<Box<[Ipv4Addr]>>,
    /// What is passed on unread.
    pub(crate) transitive: Transitive,
}

impl Attributes {
    pub(crate) fn of_mapping(mapping: &LabelMapping) -> Self {
        Self::new(mapping.hop_count, mapping.path_vector.as_ref(), &mapping.unknown)
    }

    pub(crate) fn of_request(request: &LabelRequest) -> Self {
        Self::new(request.hop_count, request.path_vector.as_ref(), &request.unknown)
    }

    fn new(hop_count: Option<u8>, path: Option<&PathVector>, unknown: &[UnknownTlv]) -> Self {
        let path = path.map(|path| path.lsr_ids().into());
        Self { hop_count, path, transitive: Transitive::of(unknown) }
    }

    pub(crate) fn path_vector(&self) -> Option<PathVector> {
        PathVector::new(self.path.as_ref()?.to_vec())
    }

    /// The attributes of an LSP that goes on in several ways: the longest, all LSRs on any of them, and what the first has to
    /// be passed on.
    pub(crate) fn joined(ways: &[Self]) -> Self {
        let counts = || ways.iter().map(|way| way.hop_count);
        let all_known = counts().all(|count| count.is_some_and(|count| count > 0));
        let most = if all_known { counts().flatten().max() } else { Some(0) };
        let paths = || ways.iter().filter_map(|way| way.path.as_ref());
        let all = || paths().flatten().copied().collect::<BTreeSet<Ipv4Addr>>();
        let path = match ways {
            [one] => one.path.clone(),
            _ => paths().next().map(|_| all().into_iter().collect()),
        };
        let transitive = ways.iter().map(|way| &way.transitive).find(|transitive| !transitive.is_none());
        Self {
            hop_count: counts().any(|count| count.is_some()).then_some(most).flatten(),
            path,
            transitive: transitive.cloned().unwrap_or_default(),
        }
    }

    /// Whether they show a loop: Check_Received_Attributes (RFC 5036 A.2.6). Without loop detection they are not looked
    /// at.
    pub(crate) fn show_loop(&self, local: Ipv4Addr, detection: Option<LoopDetection>) -> bool {
        let Some(limits) = detection else { return false };
        // CRa.1, CRa.2.
        if self.hop_count.is_some_and(|count| count > limits.max_hops) {
            return true;
        }
        // CRa.3, CRa.4. (CRa.1 passes over the path vector where there is no hop count: §2.8.2 does not.) CRa.6 to 9 are
        // the caller's.
        self.path.as_ref().is_some_and(|path| path.contains(&local) || too_long(path, limits))
    }

    /// Whether they cannot be sent: then it is as if there was a loop (RFC 5036 §3.5.3, PVLim).
    pub(crate) fn are_too_long(&self, detection: Option<LoopDetection>) -> bool {
        detection.is_some_and(|limits| self.path.as_ref().is_some_and(|path| too_long(path, limits)))
    }

    /// What a request says that is sent since these attributes came with one from upstream (`None`: since packets enter
    /// here): Prepare_Label_Request_Attributes (RFC 5036 A.2.7). This LSR merges.
    pub(crate) fn for_request(received: Option<&Self>, local: Ipv4Addr, detects: bool) -> Self {
        let transitive = received.map(|received| received.transitive.clone()).unwrap_or_default();
        // PRqA.1: no link here asks for a hop count.
        let has_count = received.is_some_and(|received| received.hop_count.is_some());
        if !has_count && !detects {
            return Self { transitive, ..Self::default() };
        }
        // PRqA.2, PRqA.3; PRqA.4, PRqA.5: no path vector, since this LSR merges.
        let Some(received) = received else { return Self { hop_count: Some(1), ..Self::default() } };
        // PRqA.6 to 8.
        let hop_count = Some(received.hop_count.map_or(0, one_more));
        // PRqA.9 to 12; PRqA.11, PRqA.13: this LSR merges.
        let path = received.path.as_ref().filter(|_| detects).map(|path| with(local, path));
        Self { hop_count, path, transitive }
    }

    /// What a mapping says: Prepare_Label_Mapping_Attributes (RFC 5036 A.2.8). `self` came from the next hops; `before`
    /// is the hop count that the peer was told before, if it was told the label.
    pub(crate) fn for_mapping(
        &self,
        local: Ipv4Addr,
        detects: bool,
        way: Way,
        before: Option<Option<u8>>,
    ) -> Self {
        // PMpA.1 to 3, and see `Owner`.
        let transitive = if way == Way::Ends { Transitive::default() } else { self.transitive.clone() };
        // PMpA.4: no link here asks for a hop count.
        if self.hop_count.is_none() && !detects {
            return Self { transitive, ..Self::default() };
        }
        // PMpA.5, PMpA.6.
        if way == Way::Ends {
            return Self { hop_count: Some(1), path: None, transitive };
        }
        // PMpA.7, PMpA.10, PMpA.11; PMpA.8, PMpA.9: every LSR here decrements the TTL.
        let hop_count = Some(self.hop_count.map_or(0, one_more));
        // PMpA.12.
        let path = detects.then(|| self.path_for_mapping(local, way, before)).flatten();
        Self { hop_count, path, transitive }
    }

    fn path_for_mapping(
        &self,
        local: Ipv4Addr,
        way: Way,
        before: Option<Option<u8>>,
    ) -> Option<Box<[Ipv4Addr]>> {
        let alone = || Some(Box::from([local]));
        // PMpA.13, PMpA.22.
        if let Some(path) = &self.path {
            return Some(with(local, path));
        }
        // PMpA.14; PMpA.15: it merges; PMpA.16.
        let Some(before) = before.filter(|_| way == Way::GoesOn) else { return alone() };
        match self.hop_count {
            // PMpA.17.
            None => None,
            // PMpA.18.
            Some(0) => alone(),
            // PMpA.19 to 21; what was told is one more than what had been received. PMpA.22 with no path vector received.
            Some(count) if before.is_none_or(|before| before == 0 || one_more(count) > before) => alone(),
            Some(_) => None,
        }
    }
}

/// How an LSP goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// It ends here.
    Ends,
    /// By a label from a next hop, which is passed on.
    GoesOn,
    /// There is no label from a next hop (yet).
    Open,
}

/// One LSR more; what is not known stays so.
fn one_more(count: u8) -> u8 {
    if count == 0 { 0 } else { count.saturating_add(1) }
}

fn with(local: Ipv4Addr, path: &[Ipv4Addr]) -> Box<[Ipv4Addr]> {
    std::iter::once(local).chain(path.iter().copied()).collect()
}

fn too_long(path: &[Ipv4Addr], limits: LoopDetection) -> bool {
    path.len() > usize::from(limits.path_vector_limit)
}

#[cfg(test)]
#[path = "distribution/tests.rs"]
mod tests;
