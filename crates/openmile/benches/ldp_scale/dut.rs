//! What is measured: FRR's ldpd, or a node of ours, in a namespace of its own with three links.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::peer::fec;

/// LSR-id and transport address: below those of the peers, which therefore connect (RFC 5036 §2.5.2).
pub(crate) const DUT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const LINKS: std::ops::RangeInclusive<u8> = 1..=3;

/// The device of a link, at both ends.
pub(crate) fn device(n: u8) -> String {
    format!("bb{n}")
}

/// What is measured.
pub(crate) trait Dut {
    fn name(&self) -> &'static str;
    /// Whether it withdraws labels of FECs whose next hop has withdrawn its own.
    fn tells_withdrawals(&self) -> bool;
    /// Waits until it knows all routes.
    fn routed(&mut self, fecs: usize);
    /// The processor time that LDP has taken.
    fn processor_time(&self) -> Duration;
    /// Its memory, for people.
    fn memory(&self) -> String;
}

/// Links and routes, for whoever is measured.
pub(crate) fn place(fecs: u32) {
    sh("mount -t tmpfs tmpfs /run && mkdir -p /run/frr/bench /run/bench && chown -R frr:frr /run/frr
        mount -t tmpfs tmpfs /etc/frr && mkdir /etc/frr/bench && touch /etc/frr/bench/vtysh.conf
        ip link set lo up && ip netns add dut && ip -n dut link set lo up
        ip -n dut addr add 10.0.0.100/32 dev lo");
    for n in LINKS {
        sh(&format!(
            "ip link add bb{n} type veth peer name bb{n} netns dut
             ip addr add 10.{n}.0.1/24 dev bb{n} && ip -n dut addr add 10.{n}.0.100/24 dev bb{n}
             ip link set bb{n} up && ip -n dut link set bb{n} up"
        ));
    }
    sh("ip route add 10.0.0.100/32 via 10.1.0.100");
    let mut routes = String::new();
    (0..fecs).for_each(|n| writeln!(routes, "route add {} via 10.1.0.1", fec(n)).unwrap());
    std::fs::write("/run/bench/routes", routes).unwrap();
    sh("ip -n dut -batch /run/bench/routes");
}

/// FRR's zebra and ldpd.
pub(crate) struct Frr {
    _zebra: Running,
    ldpd: Running,
}

impl Frr {
    pub(crate) fn start() -> Self {
        let mut ldpd = "mpls ldp\n router-id 10.0.0.100\n ordered-control\n address-family ipv4\n  discovery transport-address 10.0.0.100\n  \
                        label local allocate host-routes\n"
            .to_owned();
        LINKS.for_each(|n| writeln!(ldpd, "  interface bb{n}\n  exit").unwrap());
        std::fs::write("/run/bench/ldpd.conf", ldpd).unwrap();
        std::fs::write("/run/bench/zebra.conf", "").unwrap();
        let daemon = |name: &str| {
            let file = format!("/run/bench/{name}.conf");
            in_dut(&[&format!("/usr/lib/frr/{name}"), "-N", "bench", "-f", &file])
        };
        Self { _zebra: daemon("zebra"), ldpd: daemon("ldpd") }
    }
}

impl Dut for Frr {
    fn name(&self) -> &'static str {
        "FRR"
    }

    fn tells_withdrawals(&self) -> bool {
        false
    }

    fn routed(&mut self, fecs: usize) {
        until("FRR's labels", || {
            let said =
                Command::new("vtysh").args(["-N", "bench", "-c", "show mpls ldp binding"]).output().unwrap();
            said.stdout.split(|octet| *octet == b'\n').filter(|line| line.starts_with(b"ipv4 20.")).count()
                >= fecs
                || String::from_utf8_lossy(&said.stdout).matches("20.").count() >= fecs
        });
    }

    fn processor_time(&self) -> Duration {
        family(self.ldpd.0.id()).into_iter().map(processor_time).sum()
    }

    fn memory(&self) -> String {
        let each: Vec<u64> = family(self.ldpd.0.id()).into_iter().map(resident).collect();
        format!(
            "{} MiB (ldpd's processes: {each:?}; zebra {} beside that)",
            each.iter().sum::<u64>(),
            resident(self._zebra.0.id())
        )
    }
}

/// A node of ours: a supervisor with control and forwarder.
pub(crate) struct Ours(Running);

impl Ours {
    pub(crate) fn start(fecs: u32) -> Self {
        std::fs::write("/run/bench/network.toml", network(fecs)).unwrap();
        let openmile = env!("CARGO_BIN_EXE_openmile");
        let run = [
            "run",
            "--network",
            "/run/bench/network.toml",
            "--node",
            "dut",
            "--state-dir",
            "/run/bench/state",
        ];
        Self(in_dut(&[&[openmile], &run[..]].concat()))
    }

    fn control(&self) -> Option<u32> {
        family(self.0.0.id()).into_iter().find(|pid| arguments(*pid).split('\0').nth(1) == Some("control"))
    }
}

impl Dut for Ours {
    fn name(&self) -> &'static str {
        "openmile"
    }

    fn tells_withdrawals(&self) -> bool {
        true
    }

    fn routed(&mut self, fecs: usize) {
        until("our routes", || {
            let said = Command::new(env!("CARGO_BIN_EXE_openmile"))
                .args(["show", "fec", "--node", "dut", "--json"])
                .stderr(Stdio::null())
                .output()
                .unwrap();
            let rows: Option<Vec<serde_json::Value>> = serde_json::from_slice(&said.stdout).ok();
            rows.is_some_and(|rows| rows.iter().filter(|row| row["state"] == "no_label").count() >= fecs)
        });
    }

    fn processor_time(&self) -> Duration {
        self.control().map_or(Duration::ZERO, processor_time)
    }

    fn memory(&self) -> String {
        let (mut control, mut all) = (0, 0);
        for pid in family(self.0.0.id()) {
            all += resident(pid);
            control += if Some(pid) == self.control() { resident(pid) } else { 0 };
        }
        format!("{control} MiB (control; supervisor and forwarder {} beside that)", all - control)
    }
}

/// A network file by which the node is a transit for so many FECs: each is a handoff's of another node.
fn network(fecs: u32) -> String {
    let mut text =
        "[network]\nname = \"bench\"\n[[node]]\nname = \"dut\"\nlsr_id = \"10.0.0.100\"\n".to_owned();
    for n in LINKS {
        writeln!(text, "[[node.port]]\nname = \"bb{n}\"\nkind = \"backbone\"").unwrap();
    }
    text += "[[node]]\nname = \"far\"\nlsr_id = \"10.0.0.101\"\n[[node.port]]\nname = \"bb0\"\nkind = \"backbone\"\n";
    let (vlans, isps) = (4000, 1000);
    for port in 0..fecs.div_ceil(vlans) {
        writeln!(text, "[[node.port]]\nname = \"isp{port}\"\nkind = \"handoff\"").unwrap();
    }
    for isp in 0..isps.min(fecs) {
        writeln!(text, "[[isp]]\nasn = {}\nname = \"isp{isp}\"", 100_000 + isp).unwrap();
        for (link, n) in (isp..fecs).step_by(isps as usize).enumerate() {
            let link = Ipv4Addr::from(0xc612_0000 + 4 * link as u32);
            let [ours, theirs] = [1, 2].map(|host| Ipv4Addr::from(u32::from(link) + host));
            writeln!(
                text,
                "[[isp.handoff]]\nnode = \"far\"\nport = \"isp{}\"\nvlan = {}\nfec = \"{}\"\n\
                 ipv4 = {{ address = \"{ours}/30\", next_hop = \"{theirs}\" }}",
                n / vlans,
                n % vlans + 1,
                fec(n).addr()
            )
            .unwrap();
        }
    }
    text
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        for pid in family(self.0.id()) {
            let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
            let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
        let _ = self.0.wait();
    }
}

fn in_dut(command: &[&str]) -> Running {
    let log = std::fs::File::create("/run/bench/log").unwrap();
    let mut exec = Command::new("ip");
    exec.args(["netns", "exec", "dut"]).args(command).stdout(log.try_clone().unwrap()).stderr(log);
    Running(exec.spawn().unwrap())
}

/// A process and its children.
fn family(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{parent}"))
    };
    [parent].into_iter().chain(pids.filter(is_child)).collect()
}

fn arguments(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// In MiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may have blanks: user and system time are fields 14 and 15, in hundredths of a second.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    Duration::from_millis(10 * fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>())
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(
            Instant::now() < deadline,
            "not {what}: {}",
            std::fs::read_to_string("/run/bench/log").unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn sh(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}
