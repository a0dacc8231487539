//! Two ports, each sending what the other receives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use port::{AfPacket, Port, Statistics};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wire::frame::FramePool;

/// Waits until one of the ports has something, or the time is over (`false`).
pub(crate) fn wait(ports: &[&AfPacket], time: Duration) -> bool {
    wait_for(ports, PollFlags::IN, time)
}

/// Waits until the port has an error, or the time is over (`false`).
pub(crate) fn wait_for_error(port: &AfPacket, time: Duration) -> bool {
    wait_for(&[port], PollFlags::empty(), time)
}

fn wait_for(ports: &[&AfPacket], flags: PollFlags, time: Duration) -> bool {
    let fds = ports.iter().map(|port| port.poll_fd().unwrap());
    let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, flags)).collect();
    poll(&mut fds, Some(&Timespec::try_from(time).unwrap())).unwrap() > 0
}

/// A thread that moves frames between two ports.
pub(crate) struct Cable {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<[Statistics; 2]>,
}

impl Cable {
    pub(crate) fn new(a: AfPacket, b: AfPacket, frame_len: usize, buffers: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || carry([a, b], FramePool::new(buffers, frame_len), &stop)
        });
        Self { stop, thread }
    }

    /// Ends it: what the ports counted.
    pub(crate) fn stop(self) -> [Statistics; 2] {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn carry(mut ports: [AfPacket; 2], mut pool: FramePool, stop: &AtomicBool) -> [Statistics; 2] {
    let (mut frames, mut outcomes) = (Vec::new(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let mut more = false;
        for from in [0, 1] {
            let result = ports[from].rx_burst(&mut pool, &mut frames, 256);
            assert_eq!(result.frames, frames.len());
            more |= result.more;
            ports[1 - from].tx_burst(&mut pool, &mut frames, &mut outcomes);
            assert_eq!(outcomes.len(), result.frames);
            assert_eq!(pool.available(), pool.capacity());
            outcomes.clear();
        }
        if !more {
            wait(&ports.each_ref(), Duration::from_millis(20));
        }
    }
    ports.map(|mut port| port.statistics())
}
