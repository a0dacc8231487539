//! Where the test happens: namespaces of its own, a node of ours in one, FRR in another, a cable between them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

const INSIDE: &str = "OPENMILE_TEST_FRR";
/// The longest that anything that happens at all may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that has no events.
const PAUSE: Duration = Duration::from_millis(50);

const NETWORK: &str = include_str!("network.toml");
const LDPD: &str = include_str!("ldpd.conf");

/// Runs the test of this name in network, mount and process namespaces of its own. All that is started there ends when
/// the test does, however it ends.
pub(crate) fn run(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let missing: Vec<_> = ["/usr/lib/frr/zebra", "/usr/lib/frr/ldpd", "/usr/bin/vtysh", "/usr/bin/unshare"]
        .into_iter()
        .filter(|file| !Path::new(file).exists())
        .collect();
    let why = if !missing.is_empty() {
        format!("{} not installed (Debian: apt-get install frr)", missing.join(", "))
    } else if !rustix::process::geteuid().is_root() {
        "FRR changes its user, which takes root".to_owned()
    } else {
        let inside =
            ["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"];
        let status = Command::new("setpriv")
            .args(inside)
            .arg("--mount-proc")
            .arg(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(INSIDE, "1")
            .status()
            .unwrap();
        return assert!(status.success(), "{test} failed in its namespaces");
    };
    eprintln!("{test}: NOT RUN: {why}");
    assert!(std::env::var_os("CI").is_none(), "{test} must run in CI: {why}");
}

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
    let seen = tokio::time::timeout(PATIENCE, seen).await;
    seen.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// The two ends of the cable.
pub(crate) struct Place;

/// What one end says of the other, beside what is always said.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extra<'a> {
    /// Lines of our network file, after our node's ports.
    pub(crate) ours: &'a str,
    /// Lines of FRR's configuration, under `mpls ldp`.
    pub(crate) frr: &'a str,
}

impl Place {
    pub(crate) fn new(extra: Extra<'_>) -> Self {
        sh("mount -t tmpfs tmpfs /run && mkdir -p /run/frr/test /run/test && chown -R frr:frr /run/frr
            mount -t tmpfs tmpfs /etc/frr && mkdir /etc/frr/test && touch /etc/frr/test/vtysh.conf
            ip netns add frr && ip link set lo up && ip -n frr link set lo up
            ip link add bb0 type veth peer name bb0 netns frr
            ip link add line1 type veth peer name line1 netns frr
            ip -n frr link add isp1 type veth peer name there
            ip link set bb0 up && ip link set line1 up
            for device in bb0 line1 isp1 there; do ip -n frr link set $device up; done
            ip addr add 10.0.0.1/30 dev bb0 && ip addr add 10.255.0.1/32 dev lo
            ip -n frr addr add 10.0.0.2/30 dev bb0 && ip -n frr addr add 10.9.0.1/30 dev isp1
            ip -n frr addr add 10.255.0.2/32 dev lo && ip -n frr addr add 10.254.1.1/32 dev lo
            for host in 10.255.0.2 10.254.1.1 10.254.1.2; do ip route add $host/32 via 10.0.0.2; done
            for host in 10.255.0.1 10.254.2.1; do ip -n frr route add $host/32 via 10.0.0.1; done");
        let place = Self;
        place.frr_route(true);
        place.network(extra.ours);
        let ldpd = LDPD.replace(" router-id", &format!("{} router-id", extra.frr));
        std::fs::write("/run/test/ldpd.conf", ldpd).unwrap();
        std::fs::write("/run/test/zebra.conf", "hostname frr\n").unwrap();
        place
    }

    /// Writes our network file, with these lines after our node's ports.
    pub(crate) fn network(&self, ours: &str) {
        let ports = "  name = \"line1\"\n  kind = \"access\"\n";
        let text = NETWORK.replace(ports, &format!("{ports}{ours}"));
        std::fs::write("/run/test/network.toml", text).unwrap();
    }

    /// Writes a file beside our network file.
    pub(crate) fn beside(&self, name: &str, text: &str) {
        std::fs::write(Path::new("/run/test").join(name), text).unwrap();
    }

    /// Runs our command, as an operator does: whether it succeeded, and what it said.
    pub(crate) fn openmile(&self, arguments: &[&str]) -> (bool, String) {
        let done = Command::new(env!("CARGO_BIN_EXE_openmile")).args(arguments).output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8(said).unwrap())
    }

    /// Adds or removes FRR's route to a FEC of its own.
    pub(crate) fn frr_route(&self, present: bool) {
        let verb = if present { "add" } else { "del" };
        sh(&format!("ip -n frr route {verb} 10.254.1.2/32 via 10.9.0.2"));
    }

    /// Our node.
    pub(crate) fn start_node(&self) -> Node {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openmile"));
        command.args([
            "run",
            "--network",
            "/run/test/network.toml",
            "--node",
            "head1",
            "--state-dir",
            "/run/test",
        ]);
        Node(Running(command.spawn().unwrap()))
    }

    /// FRR's zebra and ldpd.
    pub(crate) fn start_frr(&self) -> [Running; 2] {
        let zebra = frr("zebra");
        // ldpd waits for zebra by itself.
        [zebra, frr("ldpd")]
    }

    /// What FRR says of us as a neighbour.
    pub(crate) fn frr_neighbor(&self) -> Option<Value> {
        let neighbors = vtysh("show mpls ldp neighbor json")?;
        neighbors["neighbors"].as_array()?.iter().find(|n| n["neighborId"] == "10.255.0.1").cloned()
    }

    /// What FRR has of a FEC with us.
    pub(crate) fn frr_binding(&self, fec: &str) -> Option<Value> {
        let bindings = vtysh("show mpls ldp binding json")?;
        let mut with_us = bindings["bindings"].as_array()?.iter().filter(|b| b["neighborId"] == "10.255.0.1");
        with_us.find(|binding| binding["prefix"] == fec).cloned()
    }

    /// What ldpd logged.
    pub(crate) fn frr_log(&self) -> String {
        std::fs::read_to_string("/run/test/ldpd.log").unwrap()
    }

    /// The addresses of our loopback device.
    pub(crate) fn loopback(&self) -> String {
        let shown = Command::new("ip").args(["-brief", "addr", "show", "lo"]).output().unwrap();
        String::from_utf8(shown.stdout).unwrap()
    }
}

/// Our node, running.
pub(crate) struct Node(Running);

impl Node {
    /// Its API, once it is there.
    pub(crate) async fn client(&mut self) -> api::Client {
        let client = api::Client::new("/run/openmile/head1/api.sock");
        within("our API", async || {
            assert_eq!(self.0.0.try_wait().unwrap(), None, "the node has ended");
            client.node().await.ok()
        })
        .await;
        client
    }

    /// Stops it as an operator does.
    pub(crate) fn stop(mut self) {
        let pid = i32::try_from(self.0.0.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.0.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

/// A process that ends with this.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn frr(daemon: &str) -> Running {
    let log = std::fs::File::create(format!("/run/test/{daemon}.log")).unwrap();
    let mut command = Command::new("ip");
    command
        .args([
            "netns",
            "exec",
            "frr",
            &format!("/usr/lib/frr/{daemon}"),
            "-N",
            "test",
            "--log",
            "stdout",
            "-f",
        ])
        .arg(format!("/run/test/{daemon}.conf"))
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    Running(command.spawn().unwrap())
}

fn vtysh(command: &str) -> Option<Value> {
    let shown =
        Command::new("vtysh").args(["-N", "test", "-c", command]).stderr(Stdio::null()).output().unwrap();
    // Nothing yet, while the daemons start.
    serde_json::from_slice(&shown.stdout).ok()
}

fn sh(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}
