//! The lab as a user runs it: as root and as an ordinary user, to its end, interrupted and killed; and that nothing of
//! it is left in any of these cases.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Lines, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// `nobody` on Linux.
const NOBODY: u32 = 65534;
/// What every process of a test's lab has in its environment.
const TOKEN: &str = "OPENMILE_LAB_TEST";
/// Seconds that processes may take to be gone.
const GONE: i64 = 20;

/// What is measured there needs a machine to itself, and these tests run labs side by side.
const SKIP: &str = "--skip=failover";

/// Held while a program is written or started: a process that is forked while another thread writes one has that file open
/// for a moment, and nobody can start it then.
static FORKS: Mutex<()> = Mutex::new(());

fn spawned(command: &mut Command) -> Child {
    let _nobody_writes = FORKS.lock();
    command.spawn().unwrap()
}

/// A lab that a test runs.
struct Lab {
    name: String,
    user: Option<u32>,
    program: PathBuf,
    folder: tempfile::TempDir,
    before: Surroundings,
}

/// What is outside of the lab: mounts, network devices, files where a lab has its own.
#[derive(Debug, PartialEq, Eq)]
struct Surroundings(BTreeSet<String>);

impl Surroundings {
    fn now() -> Self {
        let links = std::fs::read_to_string("/proc/self/net/dev").unwrap();
        let links =
            links.lines().filter_map(|line| Some(format!("device {}", line.split_once(':')?.0.trim())));
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let mounts = mounts.lines().map(|line| format!("mount {line}"));
        let files = ["/run/openmile", "/run/netns", "/run/lab"].into_iter().flat_map(|folder| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path().display().to_string())
        });
        Self(links.chain(mounts).chain(files).collect())
    }
}

impl Lab {
    fn new(user: Option<u32>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir().unwrap();
        // Where any user may read it and write captures.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let program = folder.path().join("openmile");
        {
            let _nobody_forks = FORKS.lock();
            std::fs::copy(env!("CARGO_BIN_EXE_openmile"), &program).unwrap();
        }
        let name = format!("test-{}-{number}", std::process::id());
        Self { name, user, program, folder, before: Surroundings::now() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["lab", "--name", &self.name]).args(arguments);
        command.env(TOKEN, &self.name).current_dir(self.folder.path());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        spawned(command.stdout(Stdio::piped()).stderr(Stdio::piped())).wait_with_output().unwrap()
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        let mut child = spawned(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, lines, said: String::new() }
    }

    /// Processes of this lab.
    fn processes(&self) -> Vec<Pid> {
        let token = format!("{TOKEN}={}", self.name).into_bytes();
        let of_lab = |pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|octet| *octet == 0).any(|variable| variable == token)
        };
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(of_lab).filter_map(Pid::from_raw).collect()
    }

    /// Nothing of the lab is there any more, and everything else is as it was.
    fn assert_nothing_left(&self) {
        for pid in self.processes() {
            // It may be gone by now.
            let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            let time = Timespec { tv_sec: GONE, tv_nsec: 0 };
            let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&time)).unwrap();
            assert_eq!(ended, 1, "process {pid} of the lab is still there after {GONE} s");
        }
        let now = Surroundings::now();
        let left: Vec<_> = now.0.difference(&self.before.0).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A lab that runs.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: String,
}

impl Running {
    /// Reads until a line contains this; `false` if the lab ended before.
    fn until(&mut self, what: &str) -> bool {
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(what) {
                return true;
            }
        }
        false
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end: the exit code and everything that was said.
    fn end(mut self) -> (Option<i32>, String) {
        self.until("\0");
        let mut error = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.said) + &error)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whatever failed, the lab is not left running.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Whether labs can be run here at all; in CI they must.
fn possible(said: &str) -> bool {
    if !said.contains("cannot make namespaces") {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "in CI the lab must run: {said}");
    eprintln!("NOT RUN: {said}");
    false
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

#[test]
fn a_kept_lab_can_be_entered_captured_and_ended() {
    let lab = Lab::new(None);
    let mut running = lab.start(&["--keep", SKIP]);
    if !running.until("The lab stays up") {
        let (code, said) = running.end();
        assert!(!possible(&said), "exit code {code:?}: {said}");
        return;
    }
    let shown = lab.output(&["exec", "head1", "--", "openmile", "show", "fec"]);
    let table = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.success() && table.contains("10.254.1.1/32"), "{shown:?}");

    let nowhere = lab.output(&["exec", "nowhere", "--", "true"]);
    let words = String::from_utf8_lossy(&nowhere.stderr);
    assert!(!nowhere.status.success() && words.contains("anna"), "{words}");
    let failed = lab.output(&["exec", "anna", "--", "sh", "-c", "exit 7"]);
    assert_eq!(failed.status.code(), Some(7));

    let second = lab.output(&[]);
    let words = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && words.contains("running already"), "{words}");

    capture(&lab, "transit1", "head0");
    running.signal(Signal::INT);
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    lab.assert_nothing_left();
}

/// Captures a backbone port, which has hellos at any time.
fn capture(lab: &Lab, node: &str, port: &str) {
    let file = lab.folder.path().join("capture.pcapng");
    let name = file.to_str().unwrap();
    let captured = lab.output(&["capture", node, port, "-o", name, "--count", "2", "--seconds", "30"]);
    assert!(captured.status.success(), "{captured:?}");
    let mut reader = pcap_file::pcapng::PcapNgReader::new(std::fs::File::open(&file).unwrap()).unwrap();
    let mut frames = 0;
    while let Some(block) = reader.next_block() {
        frames += usize::from(block.unwrap().into_enhanced_packet().is_some());
    }
    assert_eq!(frames, 2, "{captured:?}");
}

#[test]
fn an_ordinary_user_can_run_it() {
    if !is_root() {
        // Then the other tests run as an ordinary user already.
        return;
    }
    let lab = Lab::new(Some(NOBODY));
    let (code, said) = lab.start(&[SKIP]).end();
    if possible(&said) {
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("checks hold"), "{said}");
    }
    lab.assert_nothing_left();
}

#[test]
fn a_killed_lab_leaves_nothing() {
    let lab = Lab::new(None);
    let mut running = lab.start(&[]);
    if !running.until("✓ daemons") {
        let (code, said) = running.end();
        assert!(!possible(&said), "exit code {code:?}: {said}");
        return;
    }
    assert!(lab.processes().len() > 10, "four nodes have three processes each: {:?}", lab.processes());
    running.signal(Signal::KILL);
    running.child.wait().unwrap();
    lab.assert_nothing_left();
}

#[test]
fn an_interrupted_lab_stops_its_nodes_and_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let lab = Lab::new(None);
        let mut running = lab.start(&[]);
        if !running.until("✓ daemons") {
            let (code, said) = running.end();
            assert!(!possible(&said), "exit code {code:?}: {said}");
            return;
        }
        running.signal(signal);
        let (code, said) = running.end();
        assert_eq!(code, Some(130), "{said}");
        assert!(said.contains("every daemon was told to stop"), "{said}");
        lab.assert_nothing_left();
    }
}

#[test]
fn without_a_lab_its_commands_say_so() {
    let lab = Lab::new(None);
    for arguments in [&["exec", "anna", "--", "true"][..], &["capture", "head1", "bb0", "-o", "x.pcapng"]] {
        let refused = lab.output(arguments);
        let words = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && words.contains("no lab is up"), "{words}");
    }
    assert!(!Path::new("x.pcapng").exists());
}
