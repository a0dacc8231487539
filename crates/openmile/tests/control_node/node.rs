//! A node under test, and the kernel around it.

use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::route::RouteType;
use rtnetlink::{Handle, RouteMessageBuilder};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::sandbox;

/// The FEC of the other node's handoff.
pub(crate) const FEC: &str = "10.254.1.1/32";
/// Its address.
pub(crate) const FEC_HOST: Ipv4Addr = Ipv4Addr::new(10, 254, 1, 1);
/// The return FEC of the node under test.
pub(crate) const RETURN_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 254, 2, 1));
/// The neighbour on the backbone.
const NEIGHBOR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The longest that anything that happens at all may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that has no events.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) const NETWORK: &str = include_str!("network.toml");
const SUBSCRIBERS: &str = "subscriber,node,port,outer_vlan,inner_vlan,mac,isp,prefixes
anna,head1,line1,,,,64501,100.64.0.11
";

/// Looks again and again, until there is something to see.
pub(crate) async fn within<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let seen = async {
        let mut looks = tokio::time::interval(PAUSE);
        loop {
            looks.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// The files of a network.
pub(crate) struct Site {
    dir: tempfile::TempDir,
    node: &'static str,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::of("head1")
    }

    /// For another node than the headend.
    pub(crate) fn of(node: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("network.toml"), NETWORK).unwrap();
        fs::write(dir.path().join("subscribers.csv"), SUBSCRIBERS).unwrap();
        Self { dir, node }
    }

    /// Where the node keeps its sockets.
    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.dir.path().join("run").join(self.node)
    }

    /// Starts the node.
    pub(crate) fn start(&self) -> Node {
        self.start_with(|_| {})
    }

    /// Starts the node with other arguments, variables or files.
    pub(crate) fn start_with(&self, change: impl FnOnce(&mut Command)) -> Node {
        let mut command = self.command();
        change(&mut command);
        Node { child: command.spawn().unwrap(), socket: self.runtime_dir().join("api.sock") }
    }

    /// A file of the test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Changes a file of the network: each `from` must be there.
    pub(crate) fn edit(&self, file: &str, changes: &[(&str, &str)]) {
        let path = self.path(file);
        let mut text = fs::read_to_string(&path).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{from:?} is not in {text}");
            text = text.replacen(from, to, 1);
        }
        fs::write(path, text).unwrap();
    }

    /// The files are as they were at first.
    pub(crate) fn restore(&self) {
        fs::write(self.path("network.toml"), NETWORK).unwrap();
        fs::write(self.path("subscribers.csv"), SUBSCRIBERS).unwrap();
    }

    /// What a command of openmile prints, and whether it succeeds.
    pub(crate) fn say(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openmile"));
        let output = command.args(arguments).current_dir(self.dir.path()).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), said)
    }

    /// Starts the node, which cannot run: what it says.
    pub(crate) fn refused(&self) -> String {
        let mut child = self.command().stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        // Until it ends, which it does.
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(!child.wait().unwrap().success(), "{said}");
        // As a terminal would show it, lines are broken: a sentence is one again.
        said.replace(['│', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openmile"));
        command.arg("run").args(["--node", self.node, "--network"]).arg(self.dir.path().join("network.toml"));
        command.arg("--runtime-dir").arg(self.dir.path().join("run"));
        command.arg("--state-dir").arg(self.dir.path().join("state"));
        sandbox::dies_with_us(&mut command);
        command
    }
}

/// The node, running.
pub(crate) struct Node {
    pub(crate) child: Child,
    socket: PathBuf,
}

impl Node {
    pub(crate) fn runtime(&self) -> Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// Its API, once it is there.
    pub(crate) async fn client(&mut self) -> api::Client {
        let client = api::Client::new(&self.socket);
        within("the API", async || {
            assert_eq!(self.child.try_wait().unwrap(), None, "the node has ended");
            client.node().await.ok()
        })
        .await;
        client
    }

    /// One of its two processes.
    pub(crate) fn process(&self, name: &str) -> Option<Pid> {
        let parent = format!("PPid:\t{}", self.child.id());
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_it = |pid: &i32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            status.lines().any(|line| line == parent)
                && line.split(|octet| *octet == 0).nth(1) == Some(name.as_bytes())
        };
        pids.find(is_it).and_then(Pid::from_raw)
    }

    /// Sends a signal to the supervisor.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Stops it as an operator does.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

/// Kills a process, which learns nothing of it.
pub(crate) fn kill(process: Pid) {
    kill_process(process, Signal::KILL).unwrap();
}

/// What a route leads to.
#[derive(Clone, Copy)]
pub(crate) enum NextHop {
    Neighbor,
    Unreachable,
}

/// Adds a route to a host.
pub(crate) async fn route(host: Ipv4Addr, next_hop: NextHop) {
    let route = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(host, 32);
    let route = match next_hop {
        NextHop::Neighbor => route.gateway(NEIGHBOR),
        NextHop::Unreachable => route.kind(RouteType::Unreachable),
    };
    handle().route().add(route.build()).execute().await.unwrap();
}

/// Removes the route to a host.
pub(crate) async fn remove_route(host: Ipv4Addr) {
    let route = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(host, 32);
    handle().route().del(route.kind(RouteType::Unreachable).build()).execute().await.unwrap();
}

/// Sets a device up or down; from within a runtime, too.
pub(crate) fn set(device: &str, up: bool) {
    std::thread::scope(|scope| scope.spawn(|| sandbox::set(device, up)).join().unwrap());
}

/// Puts an address on a device of the calling thread's namespace.
pub(crate) fn assign(device: &str, address: &str) {
    let address: IpNet = address.parse().unwrap();
    on_a_runtime(async |handle| {
        let links: Vec<_> = handle.link().get().match_name(device).execute().try_collect().await.unwrap();
        let index = links.first().unwrap().header.index;
        handle.address().add(index, address.addr(), address.prefix_len()).execute().await.unwrap();
    });
}

/// Takes all IPv4 addresses off a device of the calling thread's namespace: nobody answers for them any more.
pub(crate) fn unassign(device: &str) {
    on_a_runtime(async |handle| {
        let links: Vec<_> = handle.link().get().match_name(device).execute().try_collect().await.unwrap();
        let index = links.first().unwrap().header.index;
        let request = handle.address().get().set_link_index_filter(index).execute();
        for address in request.try_collect::<Vec<_>>().await.unwrap() {
            handle.address().del(address).execute().await.unwrap();
        }
    });
}

/// The addresses of the loopback device.
pub(crate) fn loopback() -> Vec<IpAddr> {
    let mut found = Vec::new();
    on_a_runtime(async |handle| {
        let request = handle.address().get().set_link_index_filter(1).execute();
        let messages: Vec<_> = request.try_collect().await.unwrap();
        found.extend(messages.iter().flat_map(|message| &message.attributes).filter_map(|attribute| {
            match attribute {
                AddressAttribute::Local(address) => Some(*address),
                _ => None,
            }
        }));
    });
    found
}

fn on_a_runtime(talk: impl AsyncFnOnce(Handle)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { talk(handle()).await });
}

fn handle() -> Handle {
    let (connection, handle, _) = rtnetlink::new_connection().unwrap();
    tokio::spawn(connection);
    handle
}
