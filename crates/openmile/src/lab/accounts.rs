//! The same traffic as counted at three places: at the headend, at the tailends, and by the hosts' own kernels.

use std::collections::BTreeMap;
use std::time::Duration;

use api::{Counters, DropRow, ShowWhat};
use contract::counters::Traffic;
use contract::{Asn, PortKind};
use miette::{IntoDiagnostic, miette};

use super::drops::Drops;
use super::hosts::Hosts;
use super::plan::{HostKind, Plan, ports_of};
use super::watch::Nodes;

/// How often counters are compared until they stand still.
const LOOK: Duration = Duration::from_millis(150);
/// How often at most.
const LOOKS: usize = 60;

/// What everybody had counted at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Snapshot {
    nodes: BTreeMap<String, Counters>,
    drops: Drops,
    hosts: BTreeMap<String, Traffic>,
}

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Way {
    /// From subscribers.
    ToIsp,
    /// To subscribers.
    ToSubscriber,
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ToIsp => "to ISP",
            Self::ToSubscriber => "to subscriber",
        })
    }
}

/// One ISP's traffic one way between two snapshots.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) isp: String,
    pub(super) way: Way,
    /// What passed the headend: was sent into the LSP, or came out of it and was not dropped.
    pub(super) headend: Traffic,
    /// What passed the tailends.
    pub(super) tailend: Traffic,
    /// What the last node sent to hosts, its own ICMP messages included.
    pub(super) delivered: Traffic,
    pub(super) hosts: Traffic,
}

impl Snapshot {
    /// The counters once they stand still.
    pub(super) async fn quiet(nodes: &Nodes, hosts: &mut Hosts) -> miette::Result<Self> {
        let mut last = Self::take(nodes, hosts).await?;
        let mut looks = tokio::time::interval(LOOK);
        looks.tick().await;
        for _ in 0..LOOKS {
            looks.tick().await;
            let now = Self::take(nodes, hosts).await?;
            if now.of_isps() == last.of_isps() {
                return Ok(now);
            }
            last = now;
        }
        Err(miette!("the counters do not stand still although nothing is sent"))
    }

    /// The counters as they are now, of what is an ISP's.
    pub(super) async fn take(nodes: &Nodes, hosts: &mut Hosts) -> miette::Result<Self> {
        let mut counted = BTreeMap::new();
        let mut drops = Drops::default();
        for (node, client) in nodes.iter() {
            let counters: Counters = client.show(ShowWhat::Counters).await.into_diagnostic()?;
            drops.add(node, client).await?;
            counted.insert(node.to_owned(), counters);
        }
        Ok(Self { nodes: counted, drops, hosts: hosts.received()? })
    }

    /// What of it can stand still: ports count ARP, probes, hellos and their like, which never end.
    fn of_isps(&self) -> impl PartialEq {
        let isps = self.nodes.values().map(|counters| counters.isps.clone());
        (isps.collect::<Vec<_>>(), self.drops.clone(), self.hosts.clone())
    }

    /// How many frames a node dropped for a reason, and on which ports.
    pub(super) fn drops(&self, node: &str, reason: &str) -> u64 {
        self.drops.of(node).iter().filter(|row| row.reason == reason).map(|row| row.frames).sum()
    }

    /// Drops since an earlier snapshot: node, port, reason, meaning, how many.
    pub(super) fn drops_since(&self, earlier: &Self) -> Vec<(String, DropRow)> {
        self.drops.since(&earlier.drops)
    }

    /// Frames that a port sent since an earlier snapshot.
    pub(super) fn sent_since(&self, earlier: &Self, node: &str, port: &str) -> u64 {
        let sent = |snapshot: &Self| {
            let ports = snapshot.nodes.get(node).map_or(&[][..], |counters| &counters.ports);
            ports.iter().find(|counted| counted.port == port).map_or(0, |counted| counted.tx_frames)
        };
        sent(self).saturating_sub(sent(earlier))
    }

    /// Every ISP's traffic each way since an earlier snapshot.
    pub(super) fn accounts_since(&self, earlier: &Self, plan: &Plan) -> Vec<Account> {
        let isps = plan.network.isps().iter();
        let ways = [Way::ToIsp, Way::ToSubscriber];
        isps.flat_map(|isp| ways.map(|way| (isp, way)))
            .map(|(isp, way)| {
                let kind = match way {
                    Way::ToIsp => HostKind::Isp,
                    Way::ToSubscriber => HostKind::Subscriber,
                };
                let sum = |snapshot: &Self| {
                    let at = |headend| snapshot.at_nodes(isp.asn, way, headend);
                    let last = snapshot.delivered(isp.asn, way);
                    (at(true), at(false), last, snapshot.at_hosts(plan, isp.asn, kind))
                };
                let (now, then) = (sum(self), sum(earlier));
                Account {
                    isp: isp.name.as_str().to_owned(),
                    way,
                    headend: less(now.0, then.0),
                    tailend: less(now.1, then.1),
                    delivered: less(now.2, then.2),
                    hosts: less(now.3, then.3),
                }
            })
            .collect()
    }

    /// Where the books do not add up since an earlier snapshot, in words: received + originated + extra fragments must be
    /// sent + dropped + consumed at each end of each LSP, the second end must have received what the first one sent, and the
    /// hosts what the last one sent, to the octet.
    pub(super) fn against_books(&self, earlier: &Self, plan: &Plan) -> Vec<String> {
        let mut against = Vec::new();
        for (node, counters) in &self.nodes {
            let before = earlier.nodes.get(node).map_or(&[][..], |counters| &counters.isps);
            for row in &counters.isps {
                let before = before.iter().find(|r| r.isp == row.isp).map(points);
                for (number, (now, point)) in points(row).into_iter().enumerate() {
                    let then = before.map_or_else(Default::default, |before| sides(before[number].0));
                    let (came, went) = (less(sides(now).0, then.0), less(sides(now).1, then.1));
                    if came != went {
                        against.push(format!(
                            "{node}, {} {point}: {came:?} came and were made, {went:?} left and ended",
                            row.isp_name
                        ));
                    }
                }
            }
        }
        let mut to_hosts = BTreeMap::<Way, [Traffic; 2]>::new();
        for account in self.accounts_since(earlier, plan) {
            let Some(isp) = plan.network.isps().iter().find(|isp| isp.name.as_str() == account.isp) else {
                continue;
            };
            let between = |snapshot: &Self| match account.way {
                Way::ToIsp => snapshot.sum(isp.asn, |row| row.tailend_to_isp.received),
                Way::ToSubscriber => snapshot.sum(isp.asn, |row| row.headend_to_subscriber.received),
            };
            let sent = match account.way {
                Way::ToIsp => account.headend,
                Way::ToSubscriber => account.tailend,
            };
            let received = less(between(self), between(earlier));
            let (packets, octets) = (
                i128::from(sent.packets) - i128::from(received.packets),
                i128::from(sent.octets) - i128::from(received.octets),
            );
            if (packets, octets) != (0, 0) {
                against.push(format!(
                    "{} {}: {packets} packets, {octets} octets between the ends",
                    account.isp, account.way
                ));
            }
            let sum = to_hosts.entry(account.way).or_default();
            *sum = [more(sum[0], account.delivered), more(sum[1], account.hosts)];
        }
        for (way, [sent, received]) in to_hosts {
            if sent != received {
                against.push(format!("{way}: {sent:?} sent to hosts, {received:?} received"));
            }
        }
        against
    }

    /// Fragments beyond the first of their packets that were made at the beginning of LSPs since an earlier snapshot.
    pub(super) fn extra_fragments_since(&self, earlier: &Self) -> [(Way, u64); 2] {
        let made = |snapshot: &Self, way| {
            let all = snapshot.nodes.values().flat_map(|counters| &counters.isps);
            let at = |row: &api::IspTraffic| match way {
                Way::ToIsp => row.headend_to_isp.extra_fragments.packets,
                Way::ToSubscriber => row.tailend_to_subscriber.extra_fragments.packets,
            };
            all.map(at).sum::<u64>()
        };
        [Way::ToIsp, Way::ToSubscriber].map(|way| (way, made(self, way).saturating_sub(made(earlier, way))))
    }

    fn at_nodes(&self, isp: Asn, way: Way, headend: bool) -> Traffic {
        let through = |at: api::Account| less(at.received, at.dropped);
        self.sum(isp, |row| match (way, headend) {
            (Way::ToIsp, true) => row.headend_to_isp.sent,
            (Way::ToIsp, false) => through(row.tailend_to_isp),
            (Way::ToSubscriber, true) => through(row.headend_to_subscriber),
            (Way::ToSubscriber, false) => row.tailend_to_subscriber.sent,
        })
    }

    fn delivered(&self, isp: Asn, way: Way) -> Traffic {
        self.sum(isp, |row| match way {
            Way::ToIsp => row.tailend_to_isp.sent,
            Way::ToSubscriber => row.headend_to_subscriber.sent,
        })
    }

    fn sum(&self, isp: Asn, what: impl Fn(&api::IspTraffic) -> Traffic) -> Traffic {
        let all = self.nodes.values().flat_map(|counters| &counters.isps).filter(|row| row.isp == isp);
        all.map(what).fold(Traffic::default(), more)
    }

    fn at_hosts(&self, plan: &Plan, isp: Asn, kind: HostKind) -> Traffic {
        let hosts = plan.hosts_of(kind).filter(|host| host.isp == isp);
        hosts.filter_map(|host| self.hosts.get(&host.name)).copied().fold(Traffic::default(), more)
    }
}

impl Account {
    /// What was counted first on the way and not second (packets, octets), and second and not by the hosts.
    pub(super) fn differences(&self) -> [(i128, i128); 2] {
        let (first, second) = match self.way {
            Way::ToIsp => (self.headend, self.tailend),
            Way::ToSubscriber => (self.tailend, self.headend),
        };
        let less = |a: Traffic, b: Traffic| {
            (i128::from(a.packets) - i128::from(b.packets), i128::from(a.octets) - i128::from(b.octets))
        };
        [less(first, second), less(self.delivered, self.hosts)]
    }
}

/// Drops on ports of the backbone: of packets that one end of the backbone had counted and the other had not yet.
pub(super) fn on_backbone<'a>(
    plan: &'a Plan,
    drops: &'a [(String, DropRow)],
) -> impl Iterator<Item = &'a DropRow> {
    let is_backbone = |node: &str, port: &str| {
        let mut nodes = plan.network.nodes().iter().filter(|n| n.name.as_str() == node);
        nodes.any(|node| ports_of(node, PortKind::Backbone).any(|p| p.name.as_str() == port))
    };
    drops.iter().filter(move |(node, row)| is_backbone(node, &row.port)).map(|(_, row)| row)
}

fn points(row: &api::IspTraffic) -> [(api::Account, &'static str); 4] {
    [
        (row.headend_to_isp, "as headend to ISP"),
        (row.headend_to_subscriber, "as headend to subscriber"),
        (row.tailend_to_isp, "as tailend to ISP"),
        (row.tailend_to_subscriber, "as tailend to subscriber"),
    ]
}

/// What came or was made, and what left or ended.
fn sides(at: api::Account) -> (Traffic, Traffic) {
    (more(at.received, more(at.originated, at.extra_fragments)), more(at.sent, more(at.dropped, at.consumed)))
}

fn more(a: Traffic, b: Traffic) -> Traffic {
    Traffic { packets: a.packets + b.packets, octets: a.octets + b.octets }
}

fn less(a: Traffic, b: Traffic) -> Traffic {
    Traffic { packets: a.packets.saturating_sub(b.packets), octets: a.octets.saturating_sub(b.octets) }
}
