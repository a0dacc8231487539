//! A forwarder process, and a scripted control that speaks to it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use contract::{
    Change, DropReason, EndOfReplay, Generation, PortId, PortState, Scope, ToControl, ToForwarder,
};

/// Whatever is waited for comes much sooner, or never.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Processes of openmile whose stderr is followed.
pub(crate) struct Process {
    pub(crate) child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openmile"));
        command.args(arguments).stderr(Stdio::piped()).stdout(Stdio::null()).stdin(Stdio::null());
        command.env("OPENMILE_LOG", "info");
        super::sandbox::dies_with_us(&mut command);
        let mut child = command.spawn().unwrap();
        let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        let (say, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in std::io::BufRead::lines(stderr).map_while(Result::ok) {
                eprintln!("    {line}");
                let _ = say.send(line);
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line with this in it; lines are looked at once.
    pub(crate) fn says(&mut self, what: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|_| panic!("it did not say {what:?} but {:#?}", self.seen));
            self.seen.push(line.clone());
            if line.contains(what) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: takes no pointers; the process is our child and has not been waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Waits for its end. (All that it has said is then in the pipe.)
    pub(crate) fn ended(mut self) -> ExitStatus {
        let (say, ended) = mpsc::channel();
        let waiter = std::thread::spawn(move || {
            let status = self.child.wait().unwrap();
            let _ = say.send(status);
        });
        let status = ended.recv_timeout(DEADLINE).expect("it did not end");
        waiter.join().unwrap();
        status
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The runtime directory `head1` in a directory of the test's own.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        let dir = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(dir.path()).unwrap();
        dir
    }

    pub(crate) fn base(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("head1")
    }

    pub(crate) fn forwarder(&self) -> Process {
        let socket = self.path().join("forwarder.sock");
        let _ = std::fs::remove_file(&socket);
        let mut process =
            Process::start(&["forwarder", "--node", "head1", "--runtime-dir", self.base().to_str().unwrap()]);
        process.says("ready for control");
        process
    }

    /// Waits until a counter is this. A packet is counted when it was accepted, and may have arrived before that.
    pub(crate) fn counts<T: PartialEq + std::fmt::Debug>(
        &self,
        expected: T,
        look: impl Fn(contract::counters::Memory<'_>) -> T,
    ) {
        const TRIES: usize = 100_000;
        for _ in 0..TRIES {
            if self.counters(&look) == expected {
                return;
            }
            std::thread::yield_now();
        }
        assert_eq!(self.counters(&look), expected);
    }

    /// Drops of what came in by a port, by reason.
    pub(crate) fn drops(&self, port: PortId) -> Vec<(DropReason, u64)> {
        let count = |&reason| (reason, self.counters(|memory| memory.port_drops(port, reason)));
        DropReason::ALL.iter().map(count).filter(|(_, frames)| *frames > 0).collect()
    }

    pub(crate) fn counters<T>(&self, look: impl FnOnce(contract::counters::Memory<'_>) -> T) -> T {
        let file = std::fs::File::open(self.path().join("counters")).unwrap();
        // SAFETY: another process adds to the words, each at once; the file is not cut.
        let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
        // SAFETY: a mapping is aligned to pages and this long; all access is by atomics of this size.
        let words = unsafe {
            std::slice::from_raw_parts(map.as_ptr().cast::<std::sync::atomic::AtomicU64>(), map.len() / 8)
        };
        look(contract::counters::Memory::open(words).unwrap())
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // What a killed forwarder leaves mounted is in this test's own mount namespace, but keeps the directory.
        let path = self.path().join("ports.netns");
        let path = std::ffi::CString::new(path.into_os_string().into_encoded_bytes()).unwrap();
        // SAFETY: a string that ends with a zero. It is no matter if nothing is mounted there.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

/// Control, by script.
pub(crate) struct Control {
    stream: UnixStream,
    pub(crate) generation: Generation,
    /// What it was told and has not looked at yet.
    heard: Vec<ToControl>,
}

impl Control {
    /// Connects and begins the next generation.
    pub(crate) fn connect(dir: &Dir) -> Self {
        let stream = UnixStream::connect(dir.path().join("forwarder.sock")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        let mut control = Self { stream, generation: Generation(0), heard: Vec::new() };
        control.say(&ToForwarder::Hello { version: contract::VERSION });
        match control.hear().unwrap() {
            ToControl::Hello { version, generation } => {
                assert_eq!(version, contract::VERSION);
                control.generation = Generation(generation.0 + 1);
            }
            other => panic!("{other:?}"),
        }
        control
    }

    pub(crate) fn say(&mut self, message: &ToForwarder) {
        let octets = postcard::to_stdvec(message).unwrap();
        let framed = [&(octets.len() as u32).to_be_bytes()[..], &octets].concat();
        self.stream.write_all(&framed).unwrap();
    }

    /// The next message; `None`: the forwarder closed the connection.
    pub(crate) fn hear(&mut self) -> Option<ToControl> {
        let mut length = [0; 4];
        if let Err(error) = self.stream.read_exact(&mut length) {
            let closed = [std::io::ErrorKind::UnexpectedEof, std::io::ErrorKind::ConnectionReset];
            assert!(closed.contains(&error.kind()), "{error}");
            return None;
        }
        let mut octets = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut octets).unwrap();
        Some(postcard::from_bytes(&octets).unwrap())
    }

    /// The first message, of those not looked at yet, that this wants.
    pub(crate) fn find<T>(&mut self, mut want: impl FnMut(&ToControl) -> Option<T>) -> T {
        if let Some(at) = self.heard.iter().position(|message| want(message).is_some()) {
            return want(&self.heard.remove(at)).unwrap();
        }
        loop {
            let message = self.hear().expect("the forwarder closed the connection");
            match want(&message) {
                Some(wanted) => return wanted,
                None => self.heard.push(message),
            }
        }
    }

    /// Says changes and waits until all of them are installed.
    pub(crate) fn change(&mut self, changes: impl IntoIterator<Item = Change>) {
        let mut count = 0;
        for change in changes {
            self.say(&ToForwarder::Change { generation: self.generation, change });
            count += 1;
        }
        while count > 0 {
            count -= self.find(|message| match message {
                ToControl::Applied { changes } => Some(*changes),
                ToControl::Refused { change, error } => panic!("{change:?}: {error}"),
                _ => None,
            });
        }
    }

    /// Waits until a port is like this; what it was before is forgotten.
    pub(crate) fn port_is(&mut self, id: u16, want: impl Fn(&PortState) -> bool) -> PortState {
        loop {
            let state = self.find(|message| match message {
                ToControl::Port(port, state) if *port == PortId(id) => Some(state.clone()),
                _ => None,
            });
            if want(&state) {
                return state;
            }
        }
    }

    pub(crate) fn installed(&mut self) -> Vec<Change> {
        self.say(&ToForwarder::ShowInstalled);
        let mut installed = Vec::new();
        while let Some(change) = self.find(|message| match message {
            ToControl::Installed(change) => Some(Some(change.clone())),
            ToControl::InstalledEnd { .. } => Some(None),
            _ => None,
        }) {
            installed.push(change);
        }
        installed
    }

    pub(crate) fn end_of_replay(&mut self, scope: Scope) {
        self.say(&ToForwarder::EndOfReplay(EndOfReplay { generation: self.generation, scope }));
    }
}

pub(crate) fn is_ready(state: &PortState) -> bool {
    matches!(state, PortState::Open { carrier: true, .. })
}
