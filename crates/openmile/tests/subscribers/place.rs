//! Two nodes, each in a network namespace, a cable between them, and cables to where the test is.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use api::{Client, ShowWhat};
use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::{Handle, RouteMessageBuilder};
use rustix::process::{Pid, Signal, kill_process};
use wire::MacAddr;

use crate::sandbox::{self, Outside};

/// The longest that anything that happens at all may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at something that has no events.
const PAUSE: Duration = Duration::from_millis(50);

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

/// Namespaces, cables, addresses, routes, files.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    tail: Outside,
    tail_fd: OwnedFd,
    pub(crate) outside: Outside,
}

impl Place {
    /// The headend is in the namespace that the test was started in.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("network.toml"), include_str!("network.toml")).unwrap();
        let (tail, outside) = (Outside::new(), Outside::new());
        let tail_fd = tail.run(|| OwnedFd::from(fs::File::open("/proc/thread-self/ns/net").unwrap()));
        sandbox::set("lo", true);
        tail.cable("bb0", "bb1");
        outside.cable("line1", "line1far");
        assign("lo", "10.255.0.1/32");
        assign("bb0", "10.0.0.1/30");
        routes(&["10.255.0.2", "10.254.1.1", "10.254.1.2"], "10.0.0.2");
        tail.run(|| {
            sandbox::set("lo", true);
            outside.cable("isp0", "isp0far");
            outside.cable("isp1", "isp1far");
            assign("lo", "10.255.0.2/32");
            assign("bb1", "10.0.0.2/30");
            routes(&["10.255.0.1", "10.254.2.1", "10.254.2.2"], "10.0.0.1");
        });
        Self { dir, tail, tail_fd, outside }
    }

    /// Where nodes keep what outlives them.
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn start_head(&self) -> Node {
        self.start("head1", None)
    }

    pub(crate) fn start_tail(&self) -> Node {
        self.start("tail1", Some(self.tail_fd.as_raw_fd()))
    }

    fn start(&self, node: &str, namespace: Option<i32>) -> Node {
        let base = self.dir.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_openmile"));
        command.arg("run").args(["--node", node, "--network"]).arg(base.join("network.toml"));
        command.arg("--runtime-dir").arg(base.join("run")).arg("--state-dir").arg(base.join("state"));
        sandbox::dies_with_us(&mut command);
        let enter = move || match namespace {
            // SAFETY: takes no pointers.
            Some(fd) if unsafe { libc::setns(fd, libc::CLONE_NEWNET) } != 0 => {
                Err(std::io::Error::last_os_error())
            }
            _ => Ok(()),
        };
        // SAFETY: one system call.
        unsafe { command.pre_exec(enter) };
        let _ = &self.tail;
        Node { child: command.spawn().unwrap(), socket: base.join("run").join(node).join("api.sock") }
    }
}

/// A node, running.
pub(crate) struct Node {
    child: Child,
    pub(crate) socket: PathBuf,
}

impl Node {
    /// Its API, once it is there.
    pub(crate) async fn client(&self) -> Client {
        let client = Client::new(&self.socket);
        within("the API", async || client.node().await.ok()).await;
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

    /// Stops it as an operator does.
    pub(crate) fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

/// Kills a process, which learns nothing of it.
pub(crate) fn kill(process: Pid) {
    kill_process(process, Signal::KILL).unwrap();
}

/// The Ethernet address of a node's port.
pub(crate) async fn mac(client: &Client, port: &str) -> MacAddr {
    within("the port", async || {
        let ports: Vec<api::Port> = client.show(ShowWhat::Ports).await.ok()?;
        ports.iter().find(|row| row.port == port).and_then(|row| row.mac)
    })
    .await
}

fn assign(device: &str, address: &str) {
    let address: IpNet = address.parse().unwrap();
    netlink(async |handle| {
        let links: Vec<_> =
            handle.link().get().match_name(device.to_owned()).execute().try_collect().await.unwrap();
        let index = links.first().unwrap().header.index;
        handle.address().add(index, address.addr(), address.prefix_len()).execute().await.unwrap();
    });
}

fn routes(hosts: &[&str], gateway: &str) {
    let gateway: IpAddr = gateway.parse().unwrap();
    let IpAddr::V4(gateway) = gateway else { panic!("{gateway}") };
    netlink(async |handle| {
        for host in hosts {
            let route = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(host.parse().unwrap(), 32);
            handle.route().add(route.gateway(gateway).build()).execute().await.unwrap();
        }
    });
}

/// Talks to the kernel about the network namespace that the calling thread is in.
fn netlink(talk: impl AsyncFnOnce(Handle)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        talk(handle).await;
    });
}
