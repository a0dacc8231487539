//! Reload: another network file is read, compared, tried and taken over, while packets flow.
//!
//! All that takes time (files, a directory of a million) is done here, off the event loop; the loop is asked twice:
//! whether anything is against it, and to go on with it. Only one reload goes on at a time.

use std::path::PathBuf;

use contract::PortKind;
use miette::{Diagnostic, IntoDiagnostic, Result};
use network::{Difference, Network, NodeView, PortNumbers};
use subscriber::{Directory, Facts};
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot, watch};

use super::Input;
use super::addresses::OwnAddresses;
use super::error::StartError;
use super::events::EventBus;
use super::kernel::Interest;
use super::ldp_policy;
use super::start::{fits, folder};
use crate::clock;
use crate::netlink::{Netlink, NetlinkError};
use crate::site::Site;

/// A network file that was read and found right, and what follows for this node.
pub(crate) struct Loaded {
    /// The network.
    pub(crate) network: Network,
    /// This node in it.
    pub(crate) view: NodeView,
    /// What it allows subscribers.
    pub(crate) facts: Facts,
    /// Its subscribers, where they are in a file and that file is another one.
    pub(crate) directory: Option<Box<Directory>>,
    /// How LDP neighbors are treated.
    pub(crate) neighbors: ldp::Neighbors,
    /// When it was read, in seconds since the Unix epoch.
    pub(crate) at: u32,
}

/// A file for the event loop to go on with.
pub(crate) struct Proposal {
    /// The file.
    loaded: Box<Loaded>,
    /// Whether the node is only asked what it thinks of it.
    dry_run: bool,
    /// Where it says what is against it; otherwise the file comes back if nothing was done.
    answer: oneshot::Sender<Verdict>,
}

/// What is against a file, in sentences; or the file again, if it was only asked.
pub(crate) type Verdict = std::result::Result<Option<Box<Loaded>>, Vec<String>>;

/// What came of a request.
pub(crate) type Outcome = std::result::Result<api::Reload, String>;

/// Somebody wants a reload.
#[derive(Debug)]
pub(crate) struct Request {
    /// Whether only the difference is wanted.
    pub(crate) dry_run: bool,
    /// Where the outcome goes.
    pub(crate) answer: oneshot::Sender<Outcome>,
}

/// What reloads are made with.
pub(crate) struct Reloader {
    pub(crate) file: PathBuf,
    pub(crate) network: Network,
    pub(crate) view: NodeView,
    /// The digest of the file of subscribers.
    pub(crate) subscribers: String,
    pub(crate) netlink: Netlink,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) interest: watch::Sender<Interest>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) hangup: Signal,
    pub(crate) events: EventBus,
}

impl std::fmt::Debug for Proposal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proposal").field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}

impl Loaded {
    /// What follows from files that were found right, but for LDP neighbors, whose passwords are elsewhere; `None`: the node
    /// is not in them. Its ports keep their numbers.
    pub(crate) fn new(
        site: &Site,
        node: &str,
        numbers: &PortNumbers,
        subscribers: &str,
        at: u32,
    ) -> Option<Self> {
        let network = site.network().clone();
        let view = network.node_with(node, numbers)?;
        let other = network.subscribers_file().is_some() && site.subscribers_digest() != subscribers;
        let directory = other.then(|| Box::new(site.directory(&view)));
        let neighbors = ldp::Neighbors::default();
        Some(Self { facts: site.facts(&view), network, view, directory, neighbors, at })
    }
}

impl Proposal {
    /// This file for the loop, and where its verdict comes.
    pub(crate) fn new(loaded: Box<Loaded>, dry_run: bool) -> (Self, oneshot::Receiver<Verdict>) {
        let (answer, answered) = oneshot::channel();
        (Self { loaded, dry_run, answer }, answered)
    }

    /// The node answers, and goes on with the file if it may.
    pub(crate) fn settle(
        self,
        judge: impl FnOnce(&Loaded) -> std::result::Result<(), Vec<String>>,
        go_on: impl FnOnce(Loaded),
    ) {
        let verdict = match judge(&self.loaded) {
            Err(reasons) => Err(reasons),
            Ok(()) if self.dry_run => Ok(Some(self.loaded)),
            Ok(()) => {
                go_on(*self.loaded);
                Ok(None)
            }
        };
        // Who asked may be gone.
        let _ = self.answer.send(verdict);
    }
}

impl Reloader {
    /// Reloads whenever somebody asks for it by the API or by SIGHUP.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut numbers = PortNumbers::default().after(&self.view);
        loop {
            let request = tokio::select! {
                Some(request) = self.requests.recv() => Some(request),
                Some(()) = self.hangup.recv() => None,
                else => return Ok(()),
            };
            let dry_run = request.as_ref().is_some_and(|request| request.dry_run);
            let outcome = self.reload(dry_run, &mut numbers).await;
            if let (false, Err(why)) = (dry_run, &outcome) {
                why.lines().for_each(|line| tracing::error!("{line}"));
                self.events.alarm("the network file was not reloaded, nothing was changed".to_owned());
            }
            if let Some(request) = request {
                let _ = request.answer.send(outcome);
            }
        }
    }

    async fn reload(&mut self, dry_run: bool, numbers: &mut PortNumbers) -> Outcome {
        let (loaded, subscribers) = self.load(numbers).await?;
        let difference = Difference::new(&self.network, &loaded.network, self.view.name.as_str());
        let mut answer = api::Reload {
            applied: false,
            digest: loaded.network.digest().to_owned(),
            changes: difference
                .items
                .iter()
                .map(ToString::to_string)
                .chain(loaded.directory.is_some().then(|| "the file of subscribers".to_owned()))
                .collect(),
            warnings: warnings(&loaded.network),
        };
        self.devices(&loaded.view).await.map_err(|error| with_remedy(&error))?;
        let Some(loaded) = self.propose(loaded, true).await? else { return Ok(answer) };
        if dry_run {
            return Ok(answer);
        }
        let (network, view) = (loaded.network.clone(), loaded.view.clone());
        OwnAddresses::put(&self.netlink, &view).await.map_err(|error| with_remedy(&error))?;
        if let Err(why) = self.propose(loaded, false).await {
            OwnAddresses::remove_others(&self.netlink, &self.view).await;
            return Err(why);
        }
        // What is not of interest any more is already forgotten there.
        self.interest.send_replace(Interest::of(&view));
        OwnAddresses::remove_others(&self.netlink, &view).await;
        *numbers = std::mem::take(numbers).after(&view);
        (self.network, self.view, self.subscribers) = (network, view, subscribers);
        answer.applied = true;
        self.tell(&answer);
        Ok(answer)
    }

    /// Reads and checks the files.
    async fn load(&self, numbers: &PortNumbers) -> std::result::Result<(Box<Loaded>, String), String> {
        let (file, node, numbers) = (self.file.clone(), self.view.name.clone(), numbers.clone());
        let before = self.subscribers.clone();
        let read = move || {
            let site = Site::load(&file).map_err(|report| format!("{}{report}", report.render(false)))?;
            let loaded = Loaded::new(&site, node.as_str(), &numbers, &before, clock::epoch_seconds());
            let loaded = loaded.ok_or_else(|| {
                format!(
                    "the file has no node `{node}` any more: stop the node, or give back its name in the file"
                )
            })?;
            let neighbors =
                ldp_policy::neighbors(&loaded.view, &folder(&file)).map_err(|error| with_remedy(&error))?;
            Ok((Box::new(Loaded { neighbors, ..loaded }), site.subscribers_digest()))
        };
        tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?
    }

    /// Whether the devices are there that are new, and large enough.
    async fn devices(&self, view: &NodeView) -> std::result::Result<(), StartError> {
        let known = |name: &str| self.view.port(name).is_some();
        for (_, port) in view.ports() {
            let name = port.name.as_str();
            let backbone = port.kind == PortKind::Backbone;
            match self.netlink.link(name).await {
                Ok(link) if backbone => fits(&link, view.lsp_mtu)?,
                // Those that were ports before are somewhere, or are waited for.
                Err(NetlinkError::NoSuchLink(name)) if !known(&name) => {
                    return Err(StartError::NoSuchDevice(name));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Asks the event loop.
    async fn propose(
        &self,
        loaded: Box<Loaded>,
        dry_run: bool,
    ) -> std::result::Result<Option<Box<Loaded>>, String> {
        let (proposal, answered) = Proposal::new(loaded, dry_run);
        let sent = self.inputs.send(Input::Reload(proposal)).await.into_diagnostic();
        match (sent, answered.await) {
            (Ok(()), Ok(verdict)) => verdict.map_err(|reasons| reasons.join("\n")),
            _ => Err("the node is stopping".to_owned()),
        }
    }

    fn tell(&self, answer: &api::Reload) {
        let digest = answer.digest.get(..16).unwrap_or_default();
        match answer.changes.len() {
            0 => tracing::info!("network file {digest} loaded: nothing is different"),
            changes => tracing::info!("network file {digest} loaded, {changes} differences"),
        }
        answer.changes.iter().for_each(|change| tracing::info!("{change}"));
        let (digest, changes) = (answer.digest.clone(), answer.changes.clone());
        self.events.tell(api::Event::Reloaded { digest, changes });
    }
}

fn with_remedy(error: &StartError) -> String {
    let help = error.help().map(|help| format!("\n  help: {help}"));
    format!("{error}{}", help.unwrap_or_default())
}

fn warnings(network: &Network) -> String {
    if network.warnings().is_empty() { String::new() } else { network.warnings().render(false) }
}
