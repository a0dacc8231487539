//! What can happen, and how it is put right.

use std::time::Duration;

use api::{Counters, ShowWhat};
use miette::{IntoDiagnostic, miette};

use super::process::Process;
use crate::lab::accounts::Way;
use crate::lab::build::segment_place;
use crate::lab::igp::Igp;
use crate::lab::plan::PortName;
use crate::lab::scenario::Lab;

/// Something that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Misfortune {
    /// In words.
    pub(super) what: &'static str,
    kind: Kind,
    /// The ISPs whose packets may be lost.
    pub(super) concerns: &'static [&'static str],
    /// How many seconds recovery may take, to the ISP and to the subscriber …
    bounds: [u64; 2],
    /// … and why.
    pub(super) why: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The cable of an ISP's n-th link is cut: both ends lose their carrier.
    HandoffLink { isp: &'static str, device: &'static str, tailend: &'static str },
    /// The ISP falls silent behind a switch: the tailend keeps its carrier.
    Silence { isp: &'static str, tailend: &'static str, port: &'static str },
    /// A cable of the backbone is cut.
    Cable { node: &'static str, port: &'static str },
    /// A node's daemon is killed with all its processes, and started again later.
    NodeKilled { node: &'static str },
    /// A node's daemon is stopped, and started again later.
    NodeStopped { node: &'static str },
    /// One of a node's processes is killed; its supervisor starts it again.
    ProcessKilled { node: &'static str, process: Process },
}

/// How long an ISP's router may take to use a link again: a tailend asks for its next hop every second.
const UPLINKS: Duration = Duration::from_secs(15);

const ALL: &[&str] = &["alpha", "beta"];
const ALPHA: &[&str] = &["alpha"];
const EVENTS: &str = "events only";

/// Everything that happens in the lab.
pub(super) const MISFORTUNES: &[Misfortune] = &[
    Misfortune {
        what: "handoff link cut: alpha at tail2",
        kind: Kind::HandoffLink { isp: "alpha", device: "eth1", tailend: "tail2" },
        concerns: ALPHA,
        bounds: [2, 2],
        why: EVENTS,
    },
    Misfortune {
        what: "next hop silent: alpha at tail1",
        kind: Kind::Silence { isp: "alpha", tailend: "tail1", port: "alpha0" },
        concerns: ALPHA,
        bounds: [4, 2],
        why: "its probes go unanswered for 1.3 s",
    },
    Misfortune {
        what: "one of two cables cut: head1 to transit1",
        kind: Kind::Cable { node: "head1", port: "bb0" },
        concerns: ALL,
        bounds: [2, 2],
        why: EVENTS,
    },
    Misfortune {
        what: "cable cut, long way left: transit1 to tail1",
        kind: Kind::Cable { node: "transit1", port: "tail0" },
        concerns: ALPHA,
        bounds: [2, 2],
        why: EVENTS,
    },
    Misfortune {
        what: "tailend stopped: tail1",
        kind: Kind::NodeStopped { node: "tail1" },
        concerns: ALPHA,
        bounds: [2, 6],
        why: "the sessions are closed; alpha's router finds out for itself",
    },
    Misfortune {
        what: "tailend killed: tail1",
        kind: Kind::NodeKilled { node: "tail1" },
        concerns: ALPHA,
        bounds: [18, 6],
        why: "its Hellos are missing for 15 s",
    },
    Misfortune {
        what: "forwarder killed: tail1",
        kind: Kind::ProcessKilled { node: "tail1", process: Process::Forwarder },
        concerns: ALPHA,
        bounds: [6, 6],
        why: "it is started again after 0.1 s and told everything",
    },
    Misfortune {
        what: "control killed: tail1",
        kind: Kind::ProcessKilled { node: "tail1", process: Process::Control },
        concerns: &[],
        bounds: [0, 0],
        why: EVENTS,
    },
    Misfortune {
        what: "control killed: head1",
        kind: Kind::ProcessKilled { node: "head1", process: Process::Control },
        concerns: &[],
        bounds: [0, 0],
        why: EVENTS,
    },
];

impl Misfortune {
    /// How long recovery may take.
    pub(super) fn bound(&self, way: Way) -> Duration {
        let [to_isp, to_subscriber] = self.bounds.map(Duration::from_secs);
        match way {
            Way::ToIsp => to_isp,
            Way::ToSubscriber => to_subscriber,
        }
    }

    /// Lets it happen. Returns as soon as it has.
    pub(super) async fn happen(&self, lab: Lab<'_>, igp: &mut Igp) -> miette::Result<()> {
        match self.kind {
            Kind::HandoffLink { isp, device, .. } => set_up(lab, isp, device, false).await,
            Kind::Silence { isp, tailend, port } => {
                set_up(lab, &segment_place(&PortName::new(tailend, port)), isp, false).await
            }
            Kind::Cable { node, port } => {
                igp.cut(lab.plan, lab.places, &PortName::new(node, port)).await.into_diagnostic()
            }
            Kind::NodeKilled { node } => lab.daemons.kill_one(node).await,
            Kind::NodeStopped { node } => lab.daemons.stop_one(node).await,
            Kind::ProcessKilled { node, process } => {
                let before = process.kill(node)?;
                process.succeeded(before, lab.plan, lab.nodes, node).await
            }
        }
    }

    /// Puts it right, and waits until every LSP is complete again.
    pub(super) async fn mend(&self, lab: Lab<'_>, igp: &mut Igp) -> miette::Result<()> {
        match self.kind {
            Kind::HandoffLink { isp, device, .. } => set_up(lab, isp, device, true).await?,
            Kind::Silence { isp, tailend, port } => {
                set_up(lab, &segment_place(&PortName::new(tailend, port)), isp, true).await?;
            }
            Kind::Cable { node, port } => {
                igp.mend(lab.plan, lab.places, &PortName::new(node, port)).await.into_diagnostic()?;
            }
            Kind::NodeKilled { node } | Kind::NodeStopped { node } => lab.daemons.start_one(node)?,
            Kind::ProcessKilled { .. } => {}
        }
        lab.nodes.lsps(lab.plan, None).await?;
        let used = tokio::time::timeout(UPLINKS, lab.uplinks.all_used()).await;
        used.map_err(|_| {
            miette!("an ISP's router had no answer from a tailend within {} s", UPLINKS.as_secs())
        })
    }

    /// Packets to the ISP that went by what fails, as counted behind it; `None` where it takes no share of its own.
    pub(super) async fn share(&self, lab: Lab<'_>) -> miette::Result<Option<u64>> {
        let (Kind::HandoffLink { tailend, .. } | Kind::Silence { tailend, .. }) = self.kind else {
            return Ok(None);
        };
        let counters: Counters =
            lab.nodes.client(tailend)?.show(ShowWhat::Counters).await.into_diagnostic()?;
        let of_isp = counters.isps.iter().filter(|row| self.concerns.contains(&row.isp_name.as_str()));
        Ok(of_isp.map(|row| row.tailend_to_isp.sent.packets).next())
    }
}

async fn set_up(lab: Lab<'_>, place: &str, device: &str, up: bool) -> miette::Result<()> {
    let netlink = &lab.places.at(place).into_diagnostic()?.netlink;
    let index = netlink.link(device).await.into_diagnostic()?.index;
    netlink.set_up(index, up).await.into_diagnostic()
}
