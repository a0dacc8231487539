//! The same traffic as counted at three places: at the headend, at the tailends, and by the hosts' own kernels.

use std::collections::BTreeMap;
use std::time::Duration;

use api::{Counters, DropRow, ShowWhat};
use contract::counters::Traffic;
use contract::{Asn, PortKind};
use miette::{IntoDiagnostic, miette};

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
    nodes: BTreeMap<String, (Counters, Vec<DropRow>)>,
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
        for (node, client) in nodes.iter() {
            let counters: Counters = client.show(ShowWhat::Counters).await.into_diagnostic()?;
            let mut drops: Vec<DropRow> = client.show(ShowWhat::Drops).await.into_diagnostic()?;
            drops.sort_by(|a, b| (&a.port, &a.reason).cmp(&(&b.port, &b.reason)));
            counted.insert(node.to_owned(), (counters, drops));
        }
        Ok(Self { nodes: counted, hosts: hosts.received()? })
    }

    /// What of it can stand still: ports count ARP, probes, hellos and their like, which never end.
    fn of_isps(&self) -> impl PartialEq {
        let nodes = self.nodes.values().map(|(counters, drops)| (counters.isps.clone(), drops.clone()));
        (nodes.collect::<Vec<_>>(), self.hosts.clone())
    }

    /// How many frames a node dropped for a reason, and on which ports.
    pub(super) fn drops(&self, node: &str, reason: &str) -> u64 {
        let rows = self.nodes.get(node).map_or(&[][..], |(_, rows)| rows);
        rows.iter().filter(|row| row.reason == reason).map(|row| row.frames).sum()
    }

    /// Drops since an earlier snapshot: node, port, reason, meaning, how many.
    pub(super) fn drops_since(&self, earlier: &Self) -> Vec<(String, DropRow)> {
        let before = |node: &str, row: &DropRow| {
            let rows = earlier.nodes.get(node).map_or(&[][..], |(_, rows)| rows);
            rows.iter().find(|r| (&r.port, &r.reason) == (&row.port, &row.reason)).map_or(0, |r| r.frames)
        };
        let all = self.nodes.iter().flat_map(|(node, (_, rows))| rows.iter().map(move |row| (node, row)));
        let since = all.map(|(node, row)| {
            let frames = row.frames.saturating_sub(before(node, row));
            (node.clone(), DropRow { frames, ..row.clone() })
        });
        since.filter(|(_, row)| row.frames > 0).collect()
    }

    /// Frames that a port sent since an earlier snapshot.
    pub(super) fn sent_since(&self, earlier: &Self, node: &str, port: &str) -> u64 {
        let sent = |snapshot: &Self| {
            let ports = snapshot.nodes.get(node).map_or(&[][..], |(counters, _)| &counters.ports);
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
        let all = self.nodes.values().flat_map(|(counters, _)| &counters.isps).filter(|row| row.isp == isp);
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

fn more(a: Traffic, b: Traffic) -> Traffic {
    Traffic { packets: a.packets + b.packets, octets: a.octets + b.octets }
}

fn less(a: Traffic, b: Traffic) -> Traffic {
    Traffic { packets: a.packets.saturating_sub(b.packets), octets: a.octets.saturating_sub(b.octets) }
}
