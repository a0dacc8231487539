//! Waits, through the nodes' APIs, until the network is as it should be: on events, each wait with a deadline.
#![allow(clippy::disallowed_methods)] // the lab is a composition root: deadlines are its own

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use api::{Client, ClientError, Event, FecOperation, FecRow, FecState, Neighbor, NeighborKind, ShowWhat};
use futures_util::future::join_all;
use ipnet::IpNet;
use miette::miette;
use network::FecKind;

use super::plan::Plan;
use super::screen::Step;
use super::{daemons, patient};
use crate::runtime_dir::RuntimeDir;

/// How long a node's API may take to be there.
const API: Duration = Duration::from_secs(20);
/// How long sessions may take: several hellos (RFC 5036 §2.4.1 has one every five seconds) and their exchange.
const SESSIONS: Duration = Duration::from_secs(45);
/// How long LSPs may take after the sessions are there.
const LSPS: Duration = Duration::from_secs(45);

/// The nodes' APIs.
#[derive(Debug)]
pub(super) struct Nodes(BTreeMap<String, Client>);

impl Nodes {
    /// The APIs of the plan's nodes.
    pub(super) fn new(plan: &Plan) -> Self {
        let nodes = plan.network.nodes().iter().map(|node| node.name.as_str());
        let client = |node: &str| Client::new(runtime_dir(node).api_socket());
        Self(nodes.map(|node| (node.to_owned(), client(node))).collect())
    }

    /// Their names and clients.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Client)> {
        self.0.iter().map(|(node, client)| (node.as_str(), client))
    }

    /// A node's client.
    pub(super) fn client(&self, node: &str) -> miette::Result<&Client> {
        self.0.get(node).ok_or_else(|| miette!("there is no node `{node}`"))
    }

    /// Waits until every node's control answers and has its forwarder.
    pub(super) async fn running(&self) -> miette::Result<()> {
        self.wait_all(API, "runs", None, &async |_, client: &Client| {
            let node = client.node().await?;
            Ok(if node.forwarder { Vec::new() } else { vec!["its forwarder".to_owned()] })
        })
        .await
    }

    /// Waits until every node has a session with each of its neighbours.
    pub(super) async fn sessions(&self, plan: &Plan, step: &Step) -> miette::Result<usize> {
        let expected = expected_peers(plan);
        let none = BTreeSet::new();
        self.wait_all(SESSIONS, "LDP sessions", Some(step), &async |node: &str, client: &Client| {
            let neighbors: Vec<Neighbor> = client.show(ShowWhat::Neighbors).await?;
            let up = |peer: &&Ipv4Addr| {
                neighbors.iter().any(|neighbor| {
                    neighbor.kind == NeighborKind::Ldp
                        && neighbor.address == **peer
                        && neighbor.state == "operational"
                })
            };
            let missing = expected.get(node).unwrap_or(&none).iter().filter(|peer| !up(peer));
            Ok(missing.map(|peer| format!("a session with {peer}")).collect())
        })
        .await?;
        Ok(expected.values().map(BTreeSet::len).sum::<usize>() / 2)
    }

    /// Waits until every LSP is complete at every node on its way.
    pub(super) async fn lsps(&self, plan: &Plan, step: Option<&Step>) -> miette::Result<usize> {
        let expected = expected_rows(plan);
        self.wait_all(LSPS, "LSPs", step, &async |node: &str, client: &Client| {
            missing_rows(client, node, &expected).await
        })
        .await?;
        Ok(plan.network.fecs().len())
    }

    /// Waits until one node's part of every LSP is complete.
    pub(super) async fn node_complete(&self, plan: &Plan, node: &str) -> miette::Result<()> {
        let expected = expected_rows(plan);
        let complete = async |client: &Client| {
            let info = client.node().await?;
            let mut missing = missing_rows(client, node, &expected).await?;
            if info.recovering || !info.forwarder {
                missing.push("the end of its recovery".to_owned());
            }
            Ok(missing)
        };
        wait(node, self.client(node)?, Instant::now() + API + LSPS, "recovery", None, &complete).await
    }

    async fn wait_all(
        &self,
        within: Duration,
        what: &str,
        step: Option<&Step>,
        missing: &impl AsyncFn(&str, &Client) -> Result<Vec<String>, ClientError>,
    ) -> miette::Result<()> {
        let deadline = Instant::now() + within;
        let waits = self.0.iter().map(async |(node, client)| {
            wait(node, client, deadline, what, step, &async |client: &Client| missing(node, client).await)
                .await
        });
        join_all(waits).await.into_iter().collect()
    }
}

/// Where a node of the lab has its sockets.
pub(super) fn runtime_dir(node: &str) -> RuntimeDir {
    RuntimeDir::new(Path::new(RuntimeDir::DEFAULT), node)
}

/// Asks after each event, until nothing is missing.
async fn wait(
    node: &str,
    client: &Client,
    deadline: Instant,
    what: &str,
    step: Option<&Step>,
    missing: &impl AsyncFn(&Client) -> Result<Vec<String>, ClientError>,
) -> miette::Result<()> {
    let mut last = vec!["its API".to_owned()];
    let until = tokio::time::Instant::from_std(deadline);
    let reached = tokio::time::timeout_at(until, async {
        loop {
            // A control process that is not there (yet) says nothing, but its socket's folder changes when it comes.
            let Ok(mut events) = client.events().await else {
                patient::changed(runtime_dir(node).path().to_owned()).await;
                continue;
            };
            while let Ok(now) = missing(client).await {
                last = now;
                if last.is_empty() {
                    return;
                }
                let Ok(Some(event)) = events.next().await else { break };
                if let (Some(step), Some(words)) = (step, words(&event)) {
                    step.progress(&format!("{node}: {words}"));
                }
            }
        }
    });
    reached.await.map_err(|_| {
        daemons::print_tail(node);
        miette!("{what}: {node} still lacks {}; the end of its log is above", last.join(", "))
    })
}

/// What is worth a line while one waits.
fn words(event: &Event) -> Option<String> {
    match event {
        Event::Session { peer, up: true, .. } => Some(format!("LDP session with {peer} is up")),
        Event::Session { peer, up: false, reason } => {
            let why = reason.as_deref().unwrap_or("no reason given");
            Some(format!("LDP session with {peer} is down: {why}"))
        }
        Event::Fec { fec, state: FecState::Up } => Some(format!("{fec} is complete")),
        Event::Handoff { isp, port, up: true, .. } => Some(format!("{isp} answers on {port}")),
        Event::Alarm { message } => Some(format!("alarm: {message}")),
        _ => None,
    }
}

fn expected_peers(plan: &Plan) -> BTreeMap<&str, BTreeSet<Ipv4Addr>> {
    let mut peers = BTreeMap::<_, BTreeSet<_>>::new();
    let lsr_id = |name: &str| plan.network.node(name).map(|node| node.lsr_id);
    for cable in &plan.cables {
        let [one, other] = &cable.ends;
        for (near, far) in [(one, other), (other, one)] {
            peers.entry(near.node.as_str()).or_default().extend(lsr_id(&far.node));
        }
    }
    peers
}

/// A row of a node's FEC table that is needed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Needed {
    pub(super) node: String,
    pub(super) fec: IpNet,
    pub(super) operation: FecOperation,
    /// Equal-cost next hops, each with a row of its own.
    pub(super) rows: usize,
}

/// What every node on the way of every LSP has to have: a push where packets enter, a pop where they leave, swaps between.
pub(super) fn expected_rows(plan: &Plan) -> Vec<Needed> {
    let mut rows = Vec::new();
    for (fec, owner) in plan.network.fecs() {
        let owners: BTreeSet<_> = owner.nodes.iter().map(|name| name.as_str()).collect();
        let Some(isp) = plan.network.isp(owner.isp) else { continue };
        let entries: BTreeSet<&str> = match owner.kind {
            FecKind::ToIsp => isp.headends.iter().map(|headend| headend.node.as_str()).collect(),
            FecKind::ToSubscriber => isp.handoffs.iter().map(|handoff| handoff.node.as_str()).collect(),
        };
        let mut push = |node: &str, operation, hops| {
            rows.push(Needed { node: node.to_owned(), fec: fec.0, operation, rows: hops });
        };
        owners.iter().for_each(|node| push(node, FecOperation::Pop, 1));
        let (mut edge, mut passed) = (entries.clone(), BTreeSet::new());
        while let Some(node) = edge.pop_first() {
            if owners.contains(node) || !passed.insert(node) {
                continue;
            }
            let Some(route) = plan
                .routes
                .iter()
                .find(|r| r.node == node && IpNet::from(std::net::IpAddr::V4(r.to)) == fec.0)
            else {
                continue;
            };
            let operation = if entries.contains(node) { FecOperation::Push } else { FecOperation::Swap };
            push(node, operation, route.via.len());
            edge.extend(route.via.iter().filter_map(|(port, _)| plan.far_node(node, port)));
        }
    }
    rows
}

async fn missing_rows(client: &Client, node: &str, expected: &[Needed]) -> Result<Vec<String>, ClientError> {
    let rows: Vec<FecRow> = client.show(ShowWhat::Fec).await?;
    let lacks = |needed: &&Needed| {
        let up = rows.iter().filter(|row| {
            row.fec.prefix == needed.fec && row.operation == needed.operation && row.state == FecState::Up
        });
        needed.node == node && up.count() < needed.rows
    };
    let words =
        |needed: &Needed| format!("{:?} {} ({})", needed.operation, needed.fec, needed.rows).to_lowercase();
    Ok(expected.iter().filter(lacks).map(words).collect())
}
