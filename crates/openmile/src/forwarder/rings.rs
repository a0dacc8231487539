//! What passes between the forwarder's two threads: rings of fixed size, and an event to wake whoever sleeps.
//!
//! The worker never waits for the main thread: it takes commands only while there is room for its reports, and drops
//! (and counts) a punted frame when all buffers for such frames are with the main thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use contract::{Change, ChangeError, Circuit, EndOfReplay, Generation, PortId, PuntReason};
use forward::{PortFacts, Unresolved};
use port::Port;
use rtrb::{Consumer, Producer, RingBuffer};
use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::Notify;

/// Commands on their way to the worker. Some changes hold whole lists of NHLFEs, so this bounds memory, not time.
const COMMANDS: usize = 1024;
/// Reports on their way back.
const REPORTS: usize = 4096;
/// Punted frames that control has not taken yet.
const PUNTS: usize = 256;

/// A connection of control; 0: none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Connection(pub(super) u32);

/// To the worker.
pub(super) enum Command {
    /// From now on, reports and punts are for this connection.
    Connected(Connection),
    /// A change of the tables; reported as [`Report::Applied`] or [`Report::Refused`].
    Change(Generation, Change),
    /// Remove what was not named.
    EndOfReplay(EndOfReplay),
    /// Report all that is installed.
    ShowInstalled,
    /// Send a frame of control's.
    Transmit(Circuit, Vec<u8>),
    /// A port's device is open.
    Open(PortId, Box<dyn Port>),
    /// What is known of a port's device; `None`: it is not there.
    Facts(PortId, Option<PortFacts>),
    /// Let go of a port's device.
    Close(PortId),
}

/// From the worker.
pub(super) enum Report {
    /// This many more changes were dealt with.
    Applied(u32),
    /// A change was not installed (and is counted in `Applied` too).
    Refused(Change, ChangeError),
    /// An installed entry.
    Installed(Change),
    /// All that is installed has been reported.
    InstalledEnd,
    /// A subscriber's Ethernet address is wanted.
    Unresolved(Unresolved),
    /// A port was let go of; closing it takes time that the worker does not have.
    Closed(Box<dyn Port>),
}

/// A frame for control.
pub(super) struct Punted {
    pub(super) connection: Connection,
    pub(super) circuit: Circuit,
    pub(super) reason: PuntReason,
    pub(super) frame: Vec<u8>,
}

/// The main thread's ends.
pub(super) struct MainEnd {
    pub(super) commands: Producer<Command>,
    pub(super) reports: Consumer<(Connection, Report)>,
    pub(super) punts: Consumer<Punted>,
    /// Buffers of frames that were dealt with.
    pub(super) empties: Producer<Vec<u8>>,
    pub(super) wake_worker: Wake,
    pub(super) beat: Arc<Beat>,
}

/// The worker's ends.
pub(super) struct WorkerEnd {
    pub(super) commands: Consumer<Command>,
    pub(super) reports: Producer<(Connection, Report)>,
    pub(super) punts: Producer<Punted>,
    /// Buffers for frames to punt.
    pub(super) empties: Consumer<Vec<u8>>,
    /// Readable when there is something for the worker.
    pub(super) woken: Wake,
    pub(super) wake_main: Arc<Notify>,
    pub(super) beat: Arc<Beat>,
}

/// Whether the worker comes round. Not a command, since commands wait where reports have no room: the worker of a node
/// whose control hangs is not to be taken for one that hangs itself.
#[derive(Debug, Default)]
pub(super) struct Beat {
    asked: AtomicBool,
    answered: AtomicBool,
}

impl Beat {
    /// The main thread asks; wake the worker after that.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// The worker answers, once per round; whether it was asked, and the main thread is to be woken.
    pub(super) fn answer(&self) -> bool {
        // A look costs nothing while nobody asks; an exchange would.
        let asked = self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::AcqRel);
        if asked {
            self.answered.store(true, Ordering::Release);
        }
        asked
    }

    /// Whether the worker has answered since this was asked last.
    pub(super) fn take(&self) -> bool {
        self.answered.swap(false, Ordering::AcqRel)
    }
}

/// An eventfd, since the worker waits for it together with its ports.
#[derive(Clone)]
pub(super) struct Wake(Arc<OwnedFd>);

impl Wake {
    fn new() -> std::io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?)))
    }

    /// Makes it readable.
    pub(super) fn wake(&self) {
        // Fails only when the counter is full, and then it is readable.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Makes it unreadable until the next [`Self::wake`].
    pub(super) fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Rings for one worker, with buffers for punted frames of up to `frame_len` octets, and what wakes the main thread.
pub(super) fn rings(frame_len: usize) -> std::io::Result<(MainEnd, WorkerEnd, Arc<Notify>)> {
    let (commands, commands_out) = RingBuffer::new(COMMANDS);
    let (reports, reports_out) = RingBuffer::new(REPORTS);
    let (punts, punts_out) = RingBuffer::new(PUNTS);
    let (mut empties, empties_out) = RingBuffer::new(PUNTS);
    for _ in 0..PUNTS {
        // The ring is as long as there are buffers: it never overflows, here or later.
        let _ = empties.push(Vec::with_capacity(frame_len));
    }
    let (wake_worker, wake_main) = (Wake::new()?, Arc::new(Notify::new()));
    let beat = Arc::new(Beat::default());
    let main = MainEnd {
        commands,
        reports: reports_out,
        punts: punts_out,
        empties,
        wake_worker: wake_worker.clone(),
        beat: beat.clone(),
    };
    let worker = WorkerEnd {
        commands: commands_out,
        reports,
        punts,
        empties: empties_out,
        woken: wake_worker,
        wake_main: wake_main.clone(),
        beat,
    };
    Ok((main, worker, wake_main))
}
