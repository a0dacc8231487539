//! A service manager, as far as sd_notify(3) goes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The longest that anything that happens at all may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Listens to a service.
pub(crate) struct Manager {
    path: PathBuf,
    socket: UnixDatagram,
    /// Heard and not looked at yet.
    lines: RefCell<VecDeque<String>>,
}

impl Manager {
    pub(crate) fn new(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { path: path.to_owned(), socket, lines: RefCell::default() }
    }

    /// Makes the command a service of this manager, which wants to hear of it five times a second.
    pub(crate) fn starts(&self, command: &mut Command) {
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", "400000");
    }

    /// Listens until something begins like this; what was heard before it.
    pub(crate) fn until(&self, wanted: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let line = self.next(wanted, &before);
            if line.starts_with(wanted) {
                return before;
            }
            before.push(line);
        }
    }

    fn next(&self, wanted: &str, before: &[String]) -> String {
        let mut lines = self.lines.borrow_mut();
        while lines.is_empty() {
            let mut octets = [0; 4096];
            let length = self.socket.recv(&mut octets);
            let length = length.unwrap_or_else(|error| panic!("no {wanted}: {error}, but {before:#?}"));
            lines.extend(str::from_utf8(&octets[..length]).unwrap().lines().map(str::to_owned));
        }
        lines.pop_front().unwrap()
    }
}
