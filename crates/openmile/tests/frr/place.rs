//! Where the test happens: namespaces of its own, a node of ours in one, FRR in another, a cable between them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Our node's LSR-id.
pub(crate) const US: &str = "10.255.0.1";
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
        self.start("head1", Command::new(env!("CARGO_BIN_EXE_openmile")))
    }

    /// Another node of our network file, in a namespace of its own.
    pub(crate) fn start_node_in(&self, namespace: &str, node: &'static str) -> Node {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, env!("CARGO_BIN_EXE_openmile")]);
        self.start(node, command)
    }

    fn start(&self, node: &'static str, mut command: Command) -> Node {
        command.args(["run", "--network", "/run/test/network.toml", "--node", node]);
        command.args(["--state-dir", &format!("/run/test/{node}")]);
        Node { process: Running(command.spawn().unwrap()), name: node }
    }

    /// FRR's zebra and ldpd.
    pub(crate) fn start_frr(&self) -> [Running; 2] {
        // ldpd waits for zebra by itself.
        [frr("zebra"), self.start_ldpd()]
    }

    /// FRR's ldpd, once more.
    pub(crate) fn start_ldpd(&self) -> Running {
        frr("ldpd")
    }

    /// Changes what ldpd does, below `mpls ldp`.
    pub(crate) fn configure_frr(&self, lines: &[&str]) {
        let mut command = Command::new("vtysh");
        command.args(["-N", "test", "-c", "configure terminal", "-c", "mpls ldp"]);
        for line in lines {
            command.args(["-c", line]);
        }
        let done = command.output().unwrap();
        assert!(done.status.success(), "{lines:?}: {}", String::from_utf8_lossy(&done.stdout));
    }

    /// What FRR says of us as a neighbour.
    pub(crate) fn frr_neighbor(&self) -> Option<Value> {
        self.frr_neighbor_of(US)
    }

    /// What FRR says of a neighbour.
    pub(crate) fn frr_neighbor_of(&self, lsr_id: &str) -> Option<Value> {
        let neighbors = vtysh("show mpls ldp neighbor json")?;
        neighbors["neighbors"].as_array()?.iter().find(|n| n["neighborId"] == lsr_id).cloned()
    }

    /// What FRR has of a FEC with us.
    pub(crate) fn frr_binding(&self, fec: &str) -> Option<Value> {
        self.frr_binding_with(US, fec)
    }

    /// What FRR has of a FEC with a neighbour.
    pub(crate) fn frr_binding_with(&self, lsr_id: &str, fec: &str) -> Option<Value> {
        let of_both = |b: &Value| b["neighborId"] == lsr_id && b["prefix"] == fec;
        self.frr_bindings().into_iter().find(of_both)
    }

    /// What FRR has of all FECs. One that no neighbour has told is with neighbour 0.0.0.0.
    pub(crate) fn frr_bindings(&self) -> Vec<Value> {
        let bindings = vtysh("show mpls ldp binding json");
        bindings.as_ref().and_then(|b| b["bindings"].as_array()).cloned().unwrap_or_default()
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

/// A node of ours, running.
pub(crate) struct Node {
    process: Running,
    name: &'static str,
}

impl Node {
    /// Its API, once it is there.
    pub(crate) async fn client(&mut self) -> api::Client {
        let client = api::Client::new(format!("/run/openmile/{}/api.sock", self.name));
        within("our API", async || {
            assert_eq!(self.process.0.try_wait().unwrap(), None, "the node has ended");
            client.node().await.ok()
        })
        .await;
        client
    }

    /// Stops it as an operator does.
    pub(crate) fn stop(mut self) {
        signal(self.process.0.id(), Signal::TERM);
        let status = self.process.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Kills its control process, which learns nothing of it.
    pub(crate) fn kill_control(&self) {
        let parent = format!("PPid:\t{}", self.process.0.id());
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let control = pids.find(|pid| {
            let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            read("status").lines().any(|line| line == parent)
                && read("cmdline").split('\0').nth(1) == Some("control")
        });
        signal(control.unwrap(), Signal::KILL);
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(process: u32, signal: Signal) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal).unwrap();
}

/// A process that ends with this.
pub(crate) struct Running(Child);

impl Running {
    /// A shell script in a namespace.
    pub(crate) fn script(namespace: &str, script: &str) -> Self {
        let mut command = Command::new("ip");
        Self(command.args(["netns", "exec", namespace, "bash", "-c", script]).spawn().unwrap())
    }
}

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

/// Runs a shell script, which must succeed.
pub(crate) fn sh(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}
