//! A lab that is up, as a user has it: from the command line.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_openmile");
/// How long the lab may take to come up and check itself.
const UP: Duration = Duration::from_secs(240);
/// How long anything else may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A lab with a name of its own; ends with this value.
pub(crate) struct Lab {
    name: String,
    child: Running,
}

/// A process whose lines are read, ended with this value.
pub(crate) struct Running {
    child: Child,
    _stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Running {
    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("it starts");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { _stdin: child.stdin.take(), child, lines }
    }

    /// Waits for a line with this text.
    fn wait_for(&self, text: &str, patience: Duration) {
        let deadline = now() + patience;
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(now())) {
                Ok(line) if line.contains(text) => return,
                Ok(line) => seen.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no `{text}` in {patience:?} in\n{}", seen.join("\n"))
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended without `{text}`:\n{}", seen.join("\n"))
                }
            }
        }
    }

    /// Ctrl-C, and what it says then.
    pub(crate) fn interrupt(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
        let said: Vec<String> = self.lines.iter().collect();
        assert!(self.child.wait().expect("it ends").success(), "{said:?}");
        said.join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lab {
    /// Starts a lab and waits until its own checks are over.
    pub(crate) fn up() -> Self {
        let name = format!("tshark-{}", std::process::id());
        let child = Running::spawn(
            Command::new(BINARY).args(["lab", "--keep", "--skip", "failover", "--name", &name]),
        );
        child.wait_for("The lab stays up", UP);
        Self { name, child }
    }

    /// Ends it, as a user would.
    pub(crate) fn down(self) {
        self.child.interrupt();
    }

    /// Runs a command at a place.
    pub(crate) fn exec(&self, place: &str, command: &[&str]) -> Output {
        let mut exec = Command::new(BINARY);
        exec.args(["lab", "--name", &self.name, "exec", place, "--"]).args(command);
        exec.stdin(Stdio::null()).output().expect("it runs")
    }

    /// Runs a shell script at a place, which must succeed.
    pub(crate) fn script(&self, place: &str, script: &str) {
        let output = self.exec(place, &["bash", "-ec", script]);
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A node's table.
    pub(crate) fn show(&self, node: &str, what: &str) -> serde_json::Value {
        self.try_show(node, what).unwrap_or_else(|said| panic!("show {what} of {node}: {said}"))
    }

    /// A node's table, unless its control does not answer.
    pub(crate) fn try_show(&self, node: &str, what: &str) -> Result<serde_json::Value, String> {
        let output = self.exec(node, &[BINARY, "show", what, "--json"]);
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    /// Asks a node for a table until it is as it should be.
    pub(crate) fn until(&self, node: &str, what: &str, is: impl Fn(&serde_json::Value) -> bool) {
        let deadline = now() + PATIENCE;
        loop {
            let table = self.try_show(node, what);
            if table.as_ref().is_ok_and(&is) {
                return;
            }
            assert!(now() < deadline, "{what} of {node} after {PATIENCE:?}: {table:?}");
        }
    }

    /// Captures a port from now on.
    pub(crate) fn capture(&self, node: &str, port: &str, file: &Path) -> Running {
        let mut command = Command::new(BINARY);
        command.args(["lab", "--name", &self.name, "capture", node, port, "-o"]).arg(file);
        let capture = Running::spawn(&mut command);
        capture.wait_for("capturing", PATIENCE);
        capture
    }
}

/// The fields of each frame that a filter picks, as tshark reads them. The checksums of what a node's own kernel sends
/// (LDP) are left to devices, of which there are none: tshark is told so. Packets of subscribers and ISPs are
/// complete by the time they have a label.
pub(crate) fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-Y", filter, "-T", "fields", "-E", "separator=;"]);
    let transport = if filter.starts_with("mpls") { "TRUE" } else { "FALSE" };
    for (layer, check) in [("ip", "TRUE"), ("udp", transport), ("tcp", transport)] {
        command.args(["-o", &format!("{layer}.check_checksum:{check}")]);
    }
    for field in fields {
        command.args(["-e", field]);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tshark runs");
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().expect("piped").read_to_string(&mut out).expect("tshark writes text");
    child.stderr.take().expect("piped").read_to_string(&mut err).expect("tshark writes text");
    assert!(child.wait().expect("tshark ends").success(), "{filter}: {err}");
    out.lines().map(|line| line.split(';').map(str::to_owned).collect()).collect()
}

#[allow(clippy::disallowed_methods, reason = "deadlines of a test against real processes")]
fn now() -> Instant {
    Instant::now()
}
