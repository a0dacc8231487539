//! Control is killed while packets flow.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use miette::{IntoDiagnostic, WrapErr, miette};
use rustix::process::{Pid, Signal, kill_process};

use super::checks::Checks;
use super::hosts::Hosts;
use super::plan::{HostKind, Plan};
use super::screen::Step;
use super::traffic::tag::Tag;
use super::traffic::{Pair, Patience, pulse};
use super::watch::{Nodes, runtime_dir};

/// How long the whole may take, and an answer.
const TIME: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(3));

/// Kills the control process of a headend and waits until its successor has completed what it found.
pub(super) async fn check(
    plan: &Plan,
    nodes: &Nodes,
    hosts: &Hosts,
    checks: &mut Checks,
) -> miette::Result<()> {
    let headend = plan.hosts_of(HostKind::Subscriber).next().map(|host| host.links[0].at.node.clone());
    let headend = headend.ok_or_else(|| miette!("the network has no headend"))?;
    let step = Step::begin("restart");
    let stop = Arc::new(AtomicBool::new(false));
    let pulses = beat(hosts.pairs(plan)?, &stop);
    let before = control(&headend)?;
    kill_process(before, Signal::KILL).into_diagnostic()?;
    let completed = gone_and_back(plan, nodes, &headend, before).await;
    stop.store(true, Relaxed);
    let pulses = pulses.await.into_diagnostic()?;
    let after = completed?;
    step.done(&format!(
        "control of {headend} was killed (process {before}), its successor ({after}) is complete"
    ));
    let mut against = Vec::new();
    let mut asked = 0;
    for (name, pulse) in pulses {
        match pulse {
            Ok((sent, answered)) => {
                asked += sent;
                if sent != answered || sent == 0 {
                    against.push(format!("{name}: {answered} of {sent} answered"));
                }
            }
            Err(error) => against.push(format!("{name}: {error}")),
        }
    }
    let claim =
        format!("killing the control process of {headend} loses no packet, and its successor completes");
    checks.none_against(against, claim, format!("{asked} echo requests meanwhile, every one answered"));
    Ok(())
}

type Pulses = Vec<(String, std::io::Result<(u64, u64)>)>;

/// Every pair exchanges one echo after the other until told to stop.
fn beat(pairs: Vec<Pair>, stop: &Arc<AtomicBool>) -> tokio::sync::oneshot::Receiver<Pulses> {
    let (done, pulses) = tokio::sync::oneshot::channel();
    let stop = stop.clone();
    std::thread::spawn(move || {
        let one = |pair: &Pair| {
            let (from, to) = (&pair.subscriber, &pair.isp);
            let pulsed =
                pulse(from, to.address, Tag::new(pair.mark, 0xe00), &stop, Patience::new(TIME.0, TIME.1));
            (format!("{} to {}", from.host, to.address), pulsed)
        };
        let all = std::thread::scope(|scope| {
            let threads: Vec<_> = pairs.iter().map(|pair| scope.spawn(move || one(pair))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        // Nobody waits any longer if the lab was interrupted.
        _ = done.send(all);
    });
    pulses
}

async fn gone_and_back(plan: &Plan, nodes: &Nodes, node: &str, before: Pid) -> miette::Result<Pid> {
    let back = async {
        loop {
            match control(node) {
                Ok(now) if now != before => return now,
                _ => super::patient::changed(runtime_dir(node).path().to_owned()).await,
            }
        }
    };
    let after = tokio::time::timeout(TIME.0 / 4, back).await;
    let after = after.map_err(|_| {
        super::daemons::print_tail(node);
        miette!("control of {node} does not come back; the end of its log is above")
    })?;
    nodes.node_complete(plan, node).await?;
    Ok(after)
}

/// The process that listens on the node's API socket.
fn control(node: &str) -> miette::Result<Pid> {
    let socket = UnixStream::connect(runtime_dir(node).api_socket()).into_diagnostic();
    let socket = socket.wrap_err_with(|| format!("control of {node} does not listen"))?;
    Ok(rustix::net::sockopt::socket_peercred(&socket).into_diagnostic()?.pid)
}
