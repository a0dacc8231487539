//! A node of ours and FRR's ldpd, each as a transit between the same two scripted peers in namespaces of this program's own:
//! how long all labels take from one peer to the other, and what that costs in processor time and memory.
//!
//! `cargo bench -p openmile --bench ldp_scale [-- FECS]`, as root, with FRR and iproute2 installed. Routes are loaded before
//! anything is measured, and both go by ordered control. FRR does not tell withdrawals on, whatever its control: with it the
//! time ends when all are taken in, as the answer to one more message shows that a neighbor sends behind them.
#![allow(missing_docs, clippy::disallowed_methods, reason = "a program that measures")]

mod dut;
mod peer;

use std::process::Command;
use std::time::{Duration, Instant};

use dut::{Dut, Frr, Ours};
use peer::{Heard, Peer};

const INSIDE: &str = "OPENMILE_BENCH_LDP_SCALE";
/// The longest that a step may take.
const PATIENCE: Duration = Duration::from_secs(240);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if std::env::var_os(INSIDE).is_none() {
        let namespaces =
            ["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"];
        let mut inside = Command::new("setpriv");
        inside.args(namespaces).arg("--mount-proc").arg(std::env::current_exe().unwrap()).args(arguments);
        assert!(inside.env(INSIDE, "1").status().unwrap().success());
        return;
    }
    let fecs = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    dut::place(fecs);
    println!("{fecs} FECs");
    let wanted = |name: &str| arguments.iter().all(|a| !["frr", "ours"].contains(&a.as_str()) || a == name);
    if wanted("frr") {
        run(&mut Frr::start(), fecs);
    }
    if wanted("ours") {
        run(&mut Ours::start(fecs), fecs);
    }
}

fn run(dut: &mut dyn Dut, fecs: u32) {
    let all = fecs as usize;
    let step = Step { name: dut.name() };
    step.measure(dut, "routes to all FECs are known", |dut| dut.routed(all));
    let (a, b) = (Peer::connect(1), Peer::connect(2));
    let mappings = a.mappings(fecs);
    step.measure(dut, "labels from one neighbor to the other", |_| {
        a.send(&mappings);
        a.barrier("all labels are taken in");
        b.wait("all labels", |heard| heard.mappings >= all);
    });
    step.memory(dut);
    let third = step.measure(dut, "a neighbor joins and is told all", |_| {
        let third = Peer::connect(3);
        third.wait("all labels", |heard| heard.mappings >= all);
        third
    });
    step.memory(dut);
    let withdraws = a.withdraws(fecs);
    step.measure(dut, "all labels withdrawn and released", |dut| {
        a.send(&withdraws);
        a.wait("releases", |heard| heard.releases > all);
        if dut.tells_withdrawals() {
            b.wait("withdrawals", |heard| heard.withdraws >= all);
        }
    });
    b.restart_count();
    a.send(&mappings);
    a.barrier("all labels are taken in again");
    if dut.tells_withdrawals() {
        b.wait("all labels again", |heard| heard.mappings >= all);
    }
    step.measure(dut, "the neighbor that held them all is lost", |dut| {
        a.leave();
        b.barrier("the loss is taken in");
        if dut.tells_withdrawals() {
            b.wait("withdrawals", |heard| heard.withdraws >= all);
        }
    });
    step.memory(dut);
    for peer in [&b, &third] {
        let (silence, hellos) = peer.longest();
        let name = peer.name();
        println!(
            "{:<9} longest silence to {name}: session {silence:.1?} of 9 s, Hellos {hellos:.1?} of 15 s",
            dut.name()
        );
        assert!(!peer.is_closed(), "the session with {name} was lost");
    }
}

struct Step {
    name: &'static str,
}

impl Step {
    fn measure<T>(&self, dut: &mut dyn Dut, what: &str, act: impl FnOnce(&mut dyn Dut) -> T) -> T {
        let (begin, before) = (Instant::now(), dut.processor_time());
        let done = act(dut);
        let (took, processor) = (begin.elapsed(), dut.processor_time().saturating_sub(before));
        println!("{:<9} {what:<42} {took:>9.2?} (processor {processor:>8.2?})", self.name);
        done
    }

    fn memory(&self, dut: &dyn Dut) {
        println!("{:<9} {:<42} {}", self.name, "resident memory", dut.memory());
    }
}

impl Heard {
    /// A line for who waited in vain.
    fn summary(&self) -> String {
        format!("{} mappings, {} withdraws, {} releases", self.mappings, self.withdraws, self.releases)
    }
}
