//! What must be right before anything is begun.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::{Change, Fec, Label, PortKind};
use ldp::Config;
use miette::{IntoDiagnostic, Result, WrapErr};
use network::model::{LabelControl, LabelRetention, LdpTime, LoopDetection, PduLength};
use network::{LabelRange, LspMtu, Network, NodeView, PortNumbers};
use subscriber::{Clock, Directory, Facts};
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::Input;
use super::directory::keeper::{self, Keeper};
use super::directory::store::{DirectoryFile, StoreError};
use super::directory::{Desk, Source};
use super::error::StartError;
use super::events::EventBus;
use super::forwarder_link::Inherited;
use super::kernel::{self, Interest};
use super::ldp_io::{LdpIo, LdpTransport};
use super::ldp_policy;
use super::ldp_socket::{self, Listeners};
use super::reload::{self, Reloader};
use super::{api_server, forwarder_link};
use crate::clock;
use crate::label_memory::LabelMemory;
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
    file: PathBuf,
    site: Site,
    /// The node, with the numbers that its ports have if there was no node before.
    pub(crate) view: NodeView,
    state: StateDir,
    pub(crate) netlink: Netlink,
    listeners: Listeners,
    neighbors: ldp::Neighbors,
    labels: Labels,
    api: UnixListener,
    forwarder: PathBuf,
    counters: PathBuf,
}

/// What is known of the labels that control processes before this one gave out.
struct Labels {
    dir: RuntimeDir,
    memory: LabelMemory,
    /// Whether neighbors may use labels of which nobody knows.
    in_doubt: bool,
}

impl Labels {
    fn begin(dir: &RuntimeDir, view: &NodeView) -> std::io::Result<Self> {
        let before = dir.label_memory()?;
        let memory = LabelMemory::begin(before, clock::epoch_seconds());
        dir.remember_labels(&memory)?;
        let booted = clock::since_boot() < ldp_config(view, 0).forgetting();
        Ok(Self { dir: dir.clone(), memory, in_doubt: before.is_some() || booted })
    }

    /// How long no label is to be given out.
    fn wait(mut self, forwarder_knows: bool, longest: Duration) -> std::io::Result<Duration> {
        if !self.in_doubt {
            return Ok(Duration::ZERO);
        }
        let wait = self.memory.wait(clock::since_boot(), forwarder_knows, longest);
        self.dir.remember_labels(&self.memory)?;
        Ok(wait)
    }
}

/// What has begun, before it is known what the forwarder held.
pub(crate) struct Begun {
    file: PathBuf,
    site: Site,
    node: String,
    state: StateDir,
    netlink: Netlink,
    neighbors: ldp::Neighbors,
    labels: Labels,
    io: LdpIo,
    events: EventBus,
    counters: PathBuf,
    inputs: mpsc::Sender<Input>,
    interest: watch::Sender<Interest>,
    requests: mpsc::Receiver<reload::Request>,
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

const NOT_WRITABLE: &str = "the runtime directory cannot be written to";

/// Reads what there is to read and opens what there is to open.
pub(crate) async fn prepare(file: &Path, node: &str, dir: &RuntimeDir, state: &StateDir) -> Result<Prepared> {
    let site = Site::load(file)?;
    let view = site.network().node(node).ok_or_else(|| StartError::NoSuchNode(node.to_owned()))?;
    let netlink = Netlink::open().into_diagnostic()?;
    for (_, port) in view.ports_of(PortKind::Backbone) {
        match netlink.link(port.name.as_str()).await {
            Err(NetlinkError::NoSuchLink(name)) => Err(StartError::NoSuchDevice(name))?,
            other => fits(&other.into_diagnostic()?, view.lsp_mtu)?,
        }
    }
    let listeners = ldp_socket::listen(transport(&view))?;
    let api = dir.api_socket();
    let api = api_server::bind(&api)
        .into_diagnostic()
        .wrap_err_with(|| format!("the API's socket {} cannot be made", api.display()))?;
    let (forwarder, counters) = (dir.forwarder_socket(), dir.counters());
    let (file, state) = (file.to_owned(), StateDir::new(state.base(), node));
    let neighbors = ldp_policy::neighbors(&view, &folder(&file))?;
    let labels = Labels::begin(dir, &view).into_diagnostic().wrap_err(NOT_WRITABLE)?;
    Ok(Prepared { file, site, view, state, netlink, listeners, neighbors, labels, api, forwarder, counters })
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
    fn open(site: &Site, view: &NodeView, facts: &Facts, state: StateDir) -> Self {
        let node = view.name.as_str();
        if let Some(file) = site.network().subscribers_file() {
            return Self::File(site.directory(view), file.display().to_string());
        }
        if view.ports_of(PortKind::Access).next().is_none() {
            return Self::Nobody(site.directory(view));
        }
        let clock = Clock { tick: clock::now(), wall: u64::from(clock::epoch_seconds()) * 1_000_000_000 };
        match keeper::open(state, node, facts, clock) {
            (file, Ok(directory)) => {
                tracing::info!("{} subscribers are in the directory", directory.subscriber_count());
                Self::Store(file.into(), directory)
            }
            (file, Err(error)) => Self::Broken(file.into(), site.directory(view), error),
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
pub(crate) fn fits(link: &Link, lsp_mtu: Option<LspMtu>) -> Result<(), StartError> {
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
    pub(crate) fn begin(self, inputs: mpsc::Sender<Input>, tasks: &mut JoinSet<Result<()>>) -> Begun {
        let events = EventBus::new();
        // Nothing is of interest before the ports have their numbers.
        let (interest, interested) = watch::channel(Interest::default());
        let sender = inputs.clone();
        tasks.spawn(async move { kernel::follow(interested, sender).await.into_diagnostic() });
        let (socket, sender) = (self.forwarder, inputs.clone());
        tasks.spawn(async move {
            forwarder_link::keep(socket, sender).await;
            Ok(())
        });
        let (reloads, requests) = mpsc::channel(1);
        let serve = api_server::serve(self.api, inputs.clone(), reloads, events.clone());
        tasks.spawn(async move { serve.await.into_diagnostic() });
        let io = LdpIo::new(self.listeners, inputs.clone());
        let Self { file, site, view, state, netlink, neighbors, labels, counters, .. } = self;
        let node = view.name.as_str().to_owned();
        Begun {
            file,
            site,
            node,
            state,
            netlink,
            neighbors,
            labels,
            io,
            events,
            counters,
            inputs,
            interest,
            requests,
        }
    }
}

impl Begun {
    /// The ports keep the numbers that they have at the forwarder.
    pub(crate) async fn with(self, inherited: &Inherited, hangup: Signal) -> Result<(Parts, Reloader)> {
        let held = inherited.changes.iter().filter_map(|change| match change {
            Change::Port(id, config) => config.clone().map(|config| (*id, config)),
            _ => None,
        });
        let network = self.site.network().clone();
        let view = network.node_with(&self.node, &PortNumbers::new(held));
        let view = view.ok_or_else(|| StartError::NoSuchNode(self.node.clone()))?;
        // Circuits are named by ports' numbers, so that subscribers come after these.
        let facts = self.site.facts(&view);
        let subscribers = self.site.subscribers_digest();
        let (site, state) = (self.site, self.state);
        // A million subscribers take seconds, in which the supervisor is to be answered.
        let reading = move || {
            let stored = Stored::open(&site, &view, &facts, state);
            (stored, view, facts)
        };
        let (stored, view, facts) = tokio::task::spawn_blocking(reading).await.into_diagnostic()?;
        let (directory, desk) = stored.begin(&self.node, facts, &self.inputs).into_diagnostic()?;
        self.interest.send_replace(Interest::of(&view));
        let reloader = Reloader {
            file: self.file,
            network: network.clone(),
            view: view.clone(),
            subscribers,
            netlink: self.netlink,
            inputs: self.inputs,
            interest: self.interest,
            requests: self.requests,
            hangup,
            events: self.events.clone(),
        };
        let (io, started) = (Box::new(self.io), clock::epoch_seconds());
        let Self { events, counters, .. } = self;
        let mut ldp = Config { neighbors: self.neighbors, ..ldp_config(&view, self.labels.memory.number) };
        let wait = self.labels.wait(inherited.whole, ldp.quarantine).into_diagnostic();
        ldp.quarantine = wait.wrap_err(NOT_WRITABLE)?;
        Ok((Parts { network, view, directory, desk, io, events, counters, started, ldp }, reloader))
    }
}

/// Where files lie that the network file names by relative paths.
pub(crate) fn folder(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

/// A range with fewer labels is too small to begin where the speaker before did not give any out.
const MANY_LABELS: u32 = 256 * 64;

/// Where in the range the speaker of the start of this number begins. Neighbours may send by the labels of the one before
/// until they know that it is gone, which takes them less than 256 s: each second of its absence, and each
/// start, puts 1/256 of the range, 64 labels at least, between its first label and ours.
fn first_label(range: LabelRange, number: u32) -> Label {
    let first = range.first().value();
    let size = range.last().value() - first + 1;
    let offset = u64::from(number) * u64::from((size / 256).max(64)) % u64::from(size);
    Label::new(first + offset as u32).unwrap_or(range.first())
}

/// How the speaker of the start of this number is to be, if the forwarder remembers nothing. Starts are numbered by seconds
/// since the Unix epoch, and no two have the same number. With few labels it waits as if neighbors may use any of them.
pub(crate) fn ldp_config(view: &NodeView, number: u32) -> Config {
    let defaults = Config::new(view.lsr_id);
    let has_few_labels = view.labels.last().value() - view.labels.first().value() + 1 < MANY_LABELS;
    let config = Config {
        hello_hold: view.ldp.hello_hold.map_or(defaults.hello_hold, LdpTime::duration),
        targeted_hello_hold: view
            .ldp
            .targeted_hello_hold
            .map_or(defaults.targeted_hello_hold, LdpTime::duration),
        keepalive: view.ldp.keepalive.map_or(defaults.keepalive, LdpTime::duration),
        max_pdu_length: view.ldp.max_pdu_length.map_or(defaults.max_pdu_length, PduLength::octets),
        distribution: distribution(&view.ldp),
        owners: owners(view),
        transport_preference: match view.ldp.transport_preference {
            network::TransportPreference::Ipv4 => ldp::TransportPreference::Ipv4,
            network::TransportPreference::Ipv6 => ldp::TransportPreference::Ipv6,
        },
        transport: transport(view),
        label_range: view.labels.first()..=view.labels.last(),
        first_label: first_label(view.labels, number),
        configuration_sequence: number,
        ..defaults
    };
    let quarantine = if has_few_labels { config.forgetting() } else { Duration::ZERO };
    Config { quarantine, ..config }
}

/// How labels are distributed.
fn distribution(of: &network::model::Ldp) -> ldp::Distribution {
    ldp::Distribution {
        control: match of.control {
            LabelControl::Ordered => ldp::Control::Ordered,
            LabelControl::Independent => ldp::Control::Independent,
        },
        retention: match of.retention {
            LabelRetention::Liberal => ldp::Retention::Liberal,
            LabelRetention::Conservative => ldp::Retention::Conservative,
        },
        loop_detection: match of.loop_detection {
            LoopDetection::Off => None,
            LoopDetection::Hops(hops) => {
                Some(ldp::LoopDetection { max_hops: hops.get(), path_vector_limit: hops.get() })
            }
        },
    }
}

/// Where the node's LDP sessions begin and end.
fn transport(view: &NodeView) -> ldp::Transport {
    ldp::Transport { ipv4: view.transport_address, ipv6: view.transport_address_v6 }
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
    fn labels_are_distributed_as_the_file_says() {
        let text = "[network]\nname = \"test\"\n[ldp]\ncontrol = \"independent\"\nretention = \"conservative\"\n\
                    loop_detection = 30\nmax_pdu_length = 512\n[[node]]\nname = \"a\"\nlsr_id = \"10.255.0.1\"\n\
                    [[node.port]]\nname = \"bb0\"\nkind = \"backbone\"\n";
        let config = ldp_config(&Network::parse("test", text).unwrap().node("a").unwrap(), 1);
        let ldp::Distribution { control, retention, loop_detection } = config.distribution;
        assert_eq!((control, retention), (ldp::Control::Independent, ldp::Retention::Conservative));
        let limits = ldp::LoopDetection { max_hops: 30, path_vector_limit: 30 };
        assert_eq!((loop_detection, config.max_pdu_length), (Some(limits), 512));
    }

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
