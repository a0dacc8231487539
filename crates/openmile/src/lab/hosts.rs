//! The hosts at work: their sockets, what their kernels counted, what their recorders saw.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use contract::Asn;
use contract::counters::Traffic;
use miette::{IntoDiagnostic, miette};

use super::build::device;
use super::kernel::KernelCounters;
use super::place::Places;
use super::plan::{Host, HostKind, Plan};
use super::recorder::{Recorder, Seen};
use super::traffic::tag::{IspMark, Tag};
use super::traffic::{End, Pair, Patience, echo_once};
use crate::netlink::namespace::Namespace;

/// How long the first packets between a subscriber and its ISP may take, while addresses are resolved.
const FIRST: Duration = Duration::from_secs(20);
/// How long to wait for an answer before asking again.
const AGAIN: Duration = Duration::from_millis(500);

/// All hosts.
#[derive(Debug)]
pub(super) struct Hosts(BTreeMap<String, AtWork>);

#[derive(Debug)]
struct AtWork {
    host: Host,
    namespace: Arc<Namespace>,
    mark: IspMark,
    recorder: Recorder,
}

impl Hosts {
    /// The plan's hosts, recorded from now on.
    pub(super) fn start(plan: &Plan, places: &Places) -> miette::Result<Self> {
        let mut hosts = BTreeMap::new();
        for host in &plan.hosts {
            let namespace =
                Arc::new(places.at(&host.name).and_then(|p| p.namespace.again()).into_diagnostic()?);
            // Echo sockets for the one group that there is here.
            namespace.set_sysctl("ipv4/ping_group_range", "0 0").into_diagnostic()?;
            let devices: Vec<_> = (0..host.links.len()).map(device).collect();
            let mark = mark(plan, host.isp);
            let recorder = Recorder::start(&namespace, &devices, mark).into_diagnostic()?;
            hosts.insert(host.name.clone(), AtWork { host: host.clone(), namespace, mark, recorder });
        }
        Ok(Self(hosts))
    }

    /// IP packets that each host's kernel received, without those of its links themselves.
    pub(super) fn received(&mut self) -> miette::Result<BTreeMap<String, Traffic>> {
        let mut received = BTreeMap::new();
        for (name, at_work) in &mut self.0 {
            let kernel = KernelCounters::read(&at_work.namespace).into_diagnostic()?.received();
            let link = at_work.recorder.seen().into_diagnostic()?.link;
            let own = Traffic {
                packets: kernel.packets.saturating_sub(link.packets),
                octets: kernel.octets.saturating_sub(link.octets),
            };
            received.insert(name.clone(), own);
        }
        Ok(received)
    }

    /// What the recorders saw that was not plainly of the host's own ISP.
    pub(super) fn seen(&mut self) -> miette::Result<BTreeMap<String, Seen>> {
        let seen =
            self.0.iter_mut().map(|(name, at_work)| Ok((name.clone(), at_work.recorder.seen()?.clone())));
        seen.collect::<std::io::Result<_>>().into_diagnostic()
    }

    /// A host's end of a flow, at its own address of this version.
    pub(super) fn end(&self, name: &str, v6: bool) -> miette::Result<End> {
        let at_work = self.0.get(name);
        let end = at_work.and_then(|at_work| {
            Some(End {
                host: name.to_owned(),
                namespace: at_work.namespace.clone(),
                address: at_work.host.address(v6)?,
            })
        });
        end.ok_or_else(|| miette!("{name} has no address of this version"))
    }

    /// What marks the payloads of a host's ISP.
    pub(super) fn mark(&self, name: &str) -> IspMark {
        self.0.get(name).map_or(IspMark::NOBODY, |at_work| at_work.mark)
    }

    /// Every subscriber with its ISP's host, by both versions.
    pub(super) fn pairs(&self, plan: &Plan) -> miette::Result<Vec<Pair>> {
        let mut pairs = Vec::new();
        for host in plan.hosts_of(HostKind::Subscriber) {
            let isp = plan.isp_host(host.isp).ok_or_else(|| miette!("{} has no host", host.isp))?;
            for v6 in [false, true] {
                pairs.push(Pair {
                    subscriber: self.end(&host.name, v6)?,
                    isp: self.end(&isp.name, v6)?,
                    mark: self.mark(&host.name),
                });
            }
        }
        Ok(pairs)
    }

    /// [`Self::pairs`], each with the name of its ISP.
    pub(super) fn named_pairs(&self, plan: &Plan) -> miette::Result<Vec<(String, Pair)>> {
        let named = |pair: Pair| {
            let isp =
                self.0.get(&pair.subscriber.host).and_then(|at_work| plan.network.isp(at_work.host.isp));
            let isp = isp.ok_or_else(|| miette!("{} has no ISP", pair.subscriber.host))?;
            Ok((isp.name.as_str().to_owned(), pair))
        };
        self.pairs(plan)?.into_iter().map(named).collect()
    }

    /// Has every subscriber ask its ISP for an echo until the first answer: after that all addresses on the way are
    /// resolved.
    pub(super) async fn first_packets(&self, plan: &Plan) -> miette::Result<usize> {
        let pairs = self.pairs(plan)?;
        let count = pairs.len();
        let asked = tokio::task::spawn_blocking(move || {
            std::thread::scope(|scope| {
                let threads: Vec<_> = pairs.iter().map(|pair| scope.spawn(|| first_packet(pair))).collect();
                threads
                    .into_iter()
                    .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("panic".into())))
            })
        });
        asked.await.into_diagnostic()?.map_err(|error| miette!("{error}"))?;
        Ok(count)
    }

    /// Whether `from` gets an answer to an echo request to this address.
    pub(super) fn answers(&self, from: &str, to: IpAddr) -> miette::Result<()> {
        let end = self.end(from, to.is_ipv6())?;
        let patience = Patience::new(FIRST, AGAIN);
        echo_once(&end, to, Tag::new(self.mark(from), 0xfff), patience).map_err(|error| miette!("{error}"))
    }
}

fn first_packet(pair: &Pair) -> Result<(), String> {
    let (from, to) = (&pair.subscriber, &pair.isp);
    let asked = echo_once(from, to.address, Tag::new(pair.mark, 0xffe), Patience::new(FIRST, AGAIN));
    asked.map_err(|error| format!("{} gets no answer from {} ({}): {error}", from.host, to.host, to.address))
}

/// What marks an ISP's payloads.
pub(super) fn mark(plan: &Plan, isp: Asn) -> IspMark {
    plan.network.isps().iter().position(|i| i.asn == isp).map_or(IspMark::NOBODY, IspMark::of)
}
