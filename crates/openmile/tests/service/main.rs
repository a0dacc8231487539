//! A node as a service: what the service manager is told, and what becomes of a process that hangs.
#![allow(unsafe_code, missing_docs, reason = "a test of processes and namespaces")]

#[path = "../control_node/node.rs"]
#[allow(dead_code, reason = "the other test needs more of it")]
mod node;
#[path = "../forwarder_process/sandbox.rs"]
#[allow(dead_code, reason = "the other test needs more of it")]
mod sandbox;

mod manager;

use std::fs::{self, File};

use manager::Manager;
use node::{Node, Site, within};
use rustix::process::{Pid, Signal, kill_process};

/// A machine that a node can run on.
struct Machine {
    site: Site,
    _outside: sandbox::Outside,
}

impl Machine {
    fn new() -> Self {
        sandbox::set("lo", true);
        let outside = sandbox::Outside::new();
        outside.cable("bb0", "far0");
        sandbox::set_mtu("bb0", 1504);
        outside.cable("line1", "far1");
        node::assign("lo", "10.255.0.1/32");
        node::assign("bb0", "10.0.0.1/30");
        Self { site: Site::new(), _outside: outside }
    }

    /// Starts the node; its log goes into a file.
    fn start(&self, change: impl FnOnce(&mut std::process::Command)) -> Node {
        let log = File::create(self.site.path("log")).unwrap();
        self.site.start_with(|command| {
            command.stderr(log);
            change(command);
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.site.path("log")).unwrap()
    }
}

#[test]
fn the_service_manager_is_told_how_the_node_is() {
    sandbox::run("the_service_manager_is_told_how_the_node_is", || {
        let machine = Machine::new();
        let manager = Manager::new(&machine.site.path("notify"));
        let mut node = machine.start(|command| manager.starts(command));
        let runtime = node.runtime();
        // Nothing is said before the node is ready but how it is, and that the supervisor lives.
        let before = manager.until("READY=1");
        assert!(before.iter().all(|line| line.starts_with("STATUS=") || line == "WATCHDOG=1"), "{before:?}");
        // Ready is ready: the API answers at once, and all ports are there.
        runtime.block_on(async {
            let client = api::Client::new(machine.site.runtime_dir().join("api.sock"));
            assert!(client.node().await.unwrap().forwarder);
            let ports: Vec<api::Port> = client.show(api::ShowWhat::Ports).await.unwrap();
            assert!(ports.len() == 2 && ports.iter().all(|port| port.up), "{ports:?}");
        });
        manager.until("STATUS=head1: 0 LDP sessions, 1 of 2 FECs up");
        for _ in 0..3 {
            manager.until("WATCHDOG=1");
        }
        // The children have nothing to tell it.
        for child in ["control", "forwarder"] {
            let pid = node.process(child).unwrap().as_raw_nonzero();
            let variables = fs::read(format!("/proc/{pid}/environ")).unwrap();
            let named =
                |name: &str| variables.split(|octet| *octet == 0).any(|v| v.starts_with(name.as_bytes()));
            assert!(named("OPENMILE_SUPERVISOR") && !named("NOTIFY_SOCKET") && !named("WATCHDOG"), "{child}");
        }
        // A process that was started again is not ready once more.
        node::kill(node.process("control").unwrap());
        manager.until("STATUS=control is started again");
        let after = manager.until("STATUS=head1: 0 LDP sessions, 1 of 2 FECs up");
        assert!(!after.contains(&"READY=1".to_owned()), "{after:?}");
        node.signal(Signal::TERM);
        manager.until("STOPPING=1");
        assert!(node.child.wait().unwrap().success(), "{}", machine.log());
    });
}

#[test]
fn each_process_has_the_rights_that_it_needs() {
    sandbox::run("each_process_has_the_rights_that_it_needs", || {
        let machine = Machine::new();
        let mut node = machine.start(|_| {});
        node.runtime().block_on(node.client());
        let pid = |name: &str| node.process(name).unwrap().as_raw_nonzero().get();
        // CAP_DAC_OVERRIDE (1): root may read what is others'. CAP_NET_BIND_SERVICE 10, CAP_NET_ADMIN 12, CAP_NET_RAW 13,
        // CAP_SYS_ADMIN 21.
        let rights = |numbers: &[u32]| format!("{:016x}", numbers.iter().map(|n| 1_u64 << n).sum::<u64>());
        for (name, pid, rights) in [
            ("supervisor", node.child.id() as i32, rights(&[1, 10, 12, 13, 21])),
            ("control", pid("control"), rights(&[1, 10, 12])),
            ("forwarder", pid("forwarder"), rights(&[1, 12, 13, 21])),
        ] {
            for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
                let status = fs::read_to_string(thread.path().join("status")).unwrap();
                let field = |name: &str| {
                    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
                    line.split_whitespace().nth(1).unwrap()
                };
                assert_eq!((field("CapEff:"), field("CapPrm:")), (&*rights, &*rights), "{name}");
                assert_eq!(field("NoNewPrivs:"), "1", "{name}");
            }
        }
        node.stop();
    });
}

#[test]
fn a_node_that_cannot_start_is_never_ready() {
    sandbox::run("a_node_that_cannot_start_is_never_ready", || {
        let machine = Machine::new();
        sandbox::delete("line1");
        let manager = Manager::new(&machine.site.path("notify"));
        let mut node = machine.start(|command| manager.starts(command));
        let before = manager.until("STOPPING=1");
        assert!(!before.contains(&"READY=1".to_owned()), "{before:?}");
        assert!(!node.child.wait().unwrap().success(), "{}", machine.log());
    });
}

#[test]
fn a_process_that_hangs_is_started_again_and_the_other_goes_on() {
    sandbox::run("a_process_that_hangs_is_started_again_and_the_other_goes_on", || {
        let machine = Machine::new();
        let mut node = machine.start(|command| _ = command.args(["--watchdog", "1"]));
        let runtime = node.runtime();
        let client = runtime.block_on(node.client());
        let recovered = async || client.node().await.ok().filter(|node| node.forwarder && !node.recovering);
        let (control, forwarder) = (node.process("control").unwrap(), node.process("forwarder").unwrap());

        kill_process(control, Signal::STOP).unwrap();
        runtime.block_on(async {
            within("another control", async || node.process("control").filter(|pid| *pid != control)).await;
            within("its recovery", recovered).await;
        });
        assert!(machine.log().contains("control hangs"), "{}", machine.log());
        assert_eq!(node.process("forwarder"), Some(forwarder), "the forwarder went on");

        let control = node.process("control").unwrap();
        kill_process(forwarder, Signal::STOP).unwrap();
        runtime.block_on(async {
            within("another forwarder", async || node.process("forwarder").filter(|p| *p != forwarder)).await;
            within("its connection", recovered).await;
        });
        let forwarder = node.process("forwarder").unwrap();

        // Its main thread goes on, its worker does not.
        stop_thread(forwarder, "worker");
        runtime.block_on(async {
            within("a third forwarder", async || node.process("forwarder").filter(|p| *p != forwarder)).await;
            within("its connection", recovered).await;
        });
        assert_eq!(machine.log().matches("forwarder hangs").count(), 2, "{}", machine.log());
        assert_eq!(node.process("control"), Some(control), "control went on");
        node.stop();
    });
}

/// Stops one thread of a process, as a debugger does.
fn stop_thread(process: Pid, name: &str) {
    let process = process.as_raw_nonzero();
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    let named = threads
        .map(|thread| thread.path())
        .find(|thread| fs::read_to_string(thread.join("comm")).unwrap().trim() == name);
    let thread: i32 = named.unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap();
    for request in [libc::PTRACE_SEIZE, libc::PTRACE_INTERRUPT] {
        // SAFETY: neither request takes an address or data.
        let done = unsafe { libc::ptrace(request, thread, 0, 0) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }
    // Whoever stops a thread is told of its end before the process's parent is.
    std::thread::spawn(move || {
        let mut status = 0;
        // SAFETY: the status is written to a variable of its own.
        while unsafe { libc::waitpid(thread, &mut status, libc::__WALL) } == thread
            && libc::WIFSTOPPED(status)
        {}
    });
}
