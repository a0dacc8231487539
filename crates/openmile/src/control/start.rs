//! What must be right before anything is begun.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use contract::{Fec, Label, PortKind};
use ipnet::IpNet;
use ldp::Config;
use miette::{IntoDiagnostic, Result, WrapErr};
use network::{LabelRange, LspMtu, Network, NodeView};
use subscriber::{Clock, Directory, Facts};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Input;
use super::directory::keeper::{self, Keeper};
use super::directory::store::{DirectoryFile, StoreError};
use super::directory::{Desk, Source};
use super::error::StartError;
use super::events::EventBus;
use super::kernel::{self, Interest};
use super::ldp_io::{LdpIo, LdpTransport};
use super::{api_server, forwarder_link, ldp_socket};
use crate::clock;
use crate::netlink::link::Link;
use crate::netlink::{Netlink, NetlinkError};
use crate::runtime_dir::RuntimeDir;
use crate::site::Site;
use crate::state_dir::StateDir;

/// Signals that end control.
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on the signals do not end the process by themselves.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// All that is needed, and nothing begun.
pub(crate) struct Prepared {
    pub(crate) network: Network,
    pub(crate) view: NodeView,
    directory: Stored,
    facts: Facts,
    pub(crate) netlink: Netlink,
    listener: TcpListener,
    api: UnixListener,
    forwarder: PathBuf,
    counters: PathBuf,
}

/// What the event loop's state is made of.
pub(crate) struct Parts {
    pub(crate) network: Network,
    pub(crate) view: NodeView,
    pub(crate) directory: Directory,
    pub(crate) desk: Desk,
    pub(crate) io: Box<dyn LdpTransport>,
    pub(crate) events: EventBus,
    pub(crate) counters: PathBuf,
    /// The time of day at which control was started, in seconds since the Unix epoch.
    pub(crate) started: u32,
    /// How the LDP speaker is to be, but for what the forwarder held.
    pub(crate) ldp: Config,
}

/// Reads what there is to read and opens what there is to open.
pub(crate) async fn prepare(file: &Path, node: &str, dir: &RuntimeDir, state: &StateDir) -> Result<Prepared> {
    let site = Site::load(file)?;
    let view = site.network().node(node).ok_or_else(|| StartError::NoSuchNode(node.to_owned()))?;
    let (network, facts) = (site.network().clone(), site.facts().clone());
    let directory = Stored::open(&site, &view, state);
    let netlink = Netlink::open().into_diagnostic()?;
    for (_, port) in view.ports_of(PortKind::Backbone) {
        match netlink.link(port.name.as_str()).await {
            Err(NetlinkError::NoSuchLink(name)) => Err(StartError::NoSuchDevice(name))?,
            other => fits(&other.into_diagnostic()?, view.lsp_mtu)?,
        }
    }
    let listener = ldp_socket::listen(view.transport_address)?;
    let api = dir.api_socket();
    let api = api_server::bind(&api)
        .into_diagnostic()
        .wrap_err_with(|| format!("the API's socket {} cannot be made", api.display()))?;
    let (forwarder, counters) = (dir.forwarder_socket(), dir.counters());
    Ok(Prepared { network, view, directory, facts, netlink, listener, api, forwarder, counters })
}

/// Where the directory comes from.
enum Stored {
    /// A file that is imported at each start.
    File(Directory, String),
    /// No file, and nobody to be in one.
    Nobody(Directory),
    /// The store.
    Store(Box<DirectoryFile>, Directory),
    /// The store, which cannot be read.
    Broken(Box<DirectoryFile>, Directory, StoreError),
}

impl Stored {
    fn open(site: &Site, view: &NodeView, state: &StateDir) -> Self {
        let node = view.name.as_str();
        if let Some(file) = site.network().subscribers_file() {
            return Self::File(site.directory(node), file.display().to_string());
        }
        if view.ports_of(PortKind::Access).next().is_none() {
            return Self::Nobody(site.directory(node));
        }
        let clock = Clock { tick: clock::now(), wall: u64::from(clock::epoch_seconds()) * 1_000_000_000 };
        let state = StateDir::new(state.base(), node);
        match keeper::open(state, node, site.facts(), clock) {
            (file, Ok(directory)) => {
                tracing::info!("{} subscribers are in the directory", directory.subscriber_count());
                Self::Store(file.into(), directory)
            }
            (file, Err(error)) => Self::Broken(file.into(), site.directory(node), error),
        }
    }

    /// The directory, and the desk for requests about it.
    fn begin(
        self,
        node: &str,
        facts: Facts,
        inputs: &mpsc::Sender<Input>,
    ) -> std::io::Result<(Directory, Desk)> {
        let (directory, source) = match self {
            Self::File(directory, file) => (directory, Source::File(file)),
            Self::Nobody(directory) => (directory, Source::None),
            Self::Store(file, directory) => {
                (directory, Source::Store(Keeper::start(*file, node, inputs.clone())?))
            }
            Self::Broken(file, directory, error) => {
                let keeper = Keeper::start(*file, node, inputs.clone())?;
                (directory, Source::Broken(keeper, error.to_string()))
            }
        };
        Ok((directory, Desk::new(source, facts)))
    }
}

/// Whether a backbone device takes the longest packet of an LSP with its label.
fn fits(link: &Link, lsp_mtu: Option<LspMtu>) -> Result<(), StartError> {
    match lsp_mtu {
        Some(lsp_mtu) if link.mtu < lsp_mtu.device_mtu() => Err(StartError::DeviceMtu {
            device: link.name.clone(),
            mtu: link.mtu,
            lsp_mtu,
            needed: lsp_mtu.device_mtu(),
        }),
        _ => Ok(()),
    }
}

impl Prepared {
    /// Starts the tasks that feed the loop.
    pub(crate) fn begin(
        self,
        inputs: &mpsc::Sender<Input>,
        tasks: &mut JoinSet<Result<()>>,
    ) -> Result<Parts> {
        let events = EventBus::new();
        let interest = interest(&self.view);
        let sender = inputs.clone();
        tasks.spawn(async move { kernel::follow(interest, sender).await.into_diagnostic() });
        let (socket, sender) = (self.forwarder, inputs.clone());
        tasks.spawn(async move {
            forwarder_link::keep(socket, sender).await;
            Ok(())
        });
        let serve = api_server::serve(self.api, inputs.clone(), events.clone());
        tasks.spawn(async move { serve.await.into_diagnostic() });
        let io = LdpIo::new(self.view.transport_address, self.listener, inputs.clone());
        let Self { network, view, directory, facts, counters, .. } = self;
        let (directory, desk) = directory.begin(view.name.as_str(), facts, inputs).into_diagnostic()?;
        let started = clock::epoch_seconds();
        let ldp = ldp_config(&view, started);
        Ok(Parts { network, view, directory, desk, io: Box::new(io), events, counters, started, ldp })
    }
}

fn interest(view: &NodeView) -> Interest {
    let own = view.own_fecs();
    let hosts = view.fecs.keys().filter(|fec| !own.contains(fec)).filter_map(|fec| match fec.0 {
        IpNet::V4(prefix) => Some(prefix.addr()),
        IpNet::V6(_) => None,
    });
    let ports = view.ports_of(PortKind::Backbone).map(|(id, port)| (port.name.as_str().to_owned(), id));
    Interest { ports: ports.collect(), hosts: hosts.collect() }
}

/// Where in the range a speaker begins that was started at this time. Neighbours may send by the labels of the one before
/// until they know that it is gone: each second of its absence puts 1/128 of the range, 64 labels at least, between its
/// first label and ours.
fn first_label(range: LabelRange, seconds: u32) -> Label {
    let first = range.first().value();
    let size = range.last().value() - first + 1;
    let offset = u64::from(seconds) * u64::from((size / 128).max(64)) % u64::from(size);
    Label::new(first + offset as u32).unwrap_or(range.first())
}

/// How the speaker is to be that is started at this time.
pub(crate) fn ldp_config(view: &NodeView, seconds: u32) -> Config {
    Config {
        owners: owners(view),
        transport_address: view.transport_address,
        label_range: view.labels.first()..=view.labels.last(),
        first_label: first_label(view.labels, seconds),
        configuration_sequence: seconds,
        ..Config::new(view.lsr_id)
    }
}

/// Whose FECs are, for LDP.
pub(crate) fn owners(view: &NodeView) -> BTreeMap<Fec, ldp::Owner> {
    let owner = |owner: &network::FecOwner| ldp::Owner {
        isp: owner.isp,
        to_isp: owner.kind == network::FecKind::ToIsp,
    };
    view.fecs.iter().map(|(fec, owned)| (*fec, owner(owned))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_begins_at_other_labels_than_the_one_before() {
        let range =
            |first, last| LabelRange::new(Label::new(first).unwrap(), Label::new(last).unwrap()).unwrap();
        for range in [range(16, 1_048_575), range(1000, 1999), range(16, 79)] {
            for seconds in [0, 1, 1_000_000_000, u32::MAX - 1] {
                let (before, now) = (first_label(range, seconds), first_label(range, seconds + 1));
                assert!(range.first() <= now && now <= range.last());
                let size = range.last().value() - range.first().value() + 1;
                assert!(size == 64 || before.value().abs_diff(now.value()) >= 64, "{before} {now}");
            }
        }
    }
}
