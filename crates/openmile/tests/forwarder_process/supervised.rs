//! `openmile run`: one daemon per node, restarts, clean and unclean ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::node::{Dir, Process};
use crate::sandbox::{self, Outside, is_up};

const NETWORK: &str = r#"
[network]
name = "test"

[[node]]
name = "head1"
lsr_id = "10.255.0.1"
  [[node.port]]
  name = "bb0"
  kind = "backbone"
  [[node.port]]
  name = "line0"
  kind = "access"
"#;

/// A network file, a node's devices and a runtime directory.
struct Site {
    dir: Dir,
    file: String,
    _outside: Outside,
}

impl Site {
    fn new() -> Self {
        let outside = Outside::new();
        outside.cable("bb0", "bb0far");
        outside.cable("line0", "line0far");
        let dir = Dir::new();
        // `run` makes its directory itself.
        fs::remove_dir(dir.path()).unwrap();
        let file = dir.base().join("network.toml");
        fs::write(&file, NETWORK).unwrap();
        Self { dir, file: file.to_str().unwrap().to_owned(), _outside: outside }
    }

    fn run(&self) -> Process {
        self.run_node("head1")
    }

    fn run_node(&self, node: &str) -> Process {
        let base = self.dir.base().to_str().unwrap();
        // What is durable is the test's own, too.
        let dirs = ["--runtime-dir", base, "--state-dir", base];
        Process::start(&[&["run", "--network", &self.file, "--node", node], &dirs[..]].concat())
    }
}

/// The process id in a line like `forwarder started (pid 17)`.
fn pid(line: &str) -> i32 {
    let (_, pid) = line.rsplit_once("(pid ").unwrap();
    pid.trim_end_matches(')').parse().unwrap()
}

#[test]
fn a_second_daemon_of_a_node_is_refused() {
    sandbox::run("supervised::a_second_daemon_of_a_node_is_refused", || {
        let site = Site::new();
        let mut first = site.run();
        first.says("ready for control");
        for (file, mode) in [(".", 0o750), ("forwarder.sock", 0o600), ("counters", 0o600)] {
            let permissions = fs::metadata(site.dir.path().join(file)).unwrap().permissions();
            assert_eq!(permissions.mode() & 0o777, mode, "{file}");
        }
        let mut second = site.run();
        second.says(&format!("node head1 is already running (pid {})", first.child.id()));
        assert_eq!(second.ended().code(), Some(1));
        first.signal(libc::SIGTERM);
        assert!(first.ended().success());
        assert!(!site.dir.path().exists(), "nothing is left");
        assert_eq!(is_up("line0"), Some(true));
    });
}

#[test]
fn what_dies_is_started_again() {
    sandbox::run("supervised::what_dies_is_started_again", || {
        let site = Site::new();
        let mut daemon = site.run();
        let forwarder = pid(&daemon.says("forwarder started (pid"));
        daemon.says("ready for control");
        // SAFETY: takes no pointers; the process is there until its parent, whom we ask next, says that it ended.
        assert_eq!(unsafe { libc::kill(forwarder, libc::SIGKILL) }, 0);
        daemon.says("forwarder was killed by signal 9; it is started again in 100ms");
        assert_ne!(pid(&daemon.says("forwarder started (pid")), forwarder);
        daemon.says("ready for control");
        daemon.signal(libc::SIGINT);
        assert!(daemon.ended().success());
        assert!(!site.dir.path().exists(), "nothing is left");
    });
}

#[test]
fn a_killed_daemon_takes_its_processes_along_and_the_next_goes_on() {
    sandbox::run("supervised::a_killed_daemon_takes_its_processes_along_and_the_next_goes_on", || {
        let site = Site::new();
        let mut daemon = site.run();
        daemon.says("ready for control");
        daemon.kill();
        let mut next = site.run();
        next.says("adopting");
        next.says("ready for control");
        next.signal(libc::SIGTERM);
        assert!(next.ended().success());
        assert!(!site.dir.path().exists(), "nothing is left");
        assert_eq!(is_up("line0"), Some(true));
    });
}

#[test]
fn what_cannot_work_ends_with_a_reason_and_nothing_made() {
    sandbox::run("supervised::what_cannot_work_ends_with_a_reason_and_nothing_made", || {
        let site = Site::new();
        let mut wrong = site.run_node("head9");
        wrong.says("there is no node `head9`");
        wrong.says("head1");
        assert_eq!(wrong.ended().code(), Some(1));
        fs::write(&site.file, NETWORK.replace("backbone", "trunk")).unwrap();
        let mut wrong = site.run();
        wrong.says("network.toml");
        assert_eq!(wrong.ended().code(), Some(1));
        assert!(!site.dir.path().exists());

        // A forwarder that no restart would help: its socket cannot be made.
        fs::write(&site.file, NETWORK).unwrap();
        let obstacle = site.dir.path().join("forwarder.sock/obstacle");
        fs::create_dir_all(&obstacle).unwrap();
        let mut wrong = site.run();
        wrong.says("the forwarder cannot start");
        wrong.says("its forwarder process cannot run");
        assert_eq!(wrong.ended().code(), Some(1));
        assert!(!site.dir.path().join("ports.netns").exists(), "the namespace is not left");
    });
}
