//! Waiting for what sends no event of its own.

use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// A change that came between looking and watching is noticed after this time.
const AT_LATEST: Duration = Duration::from_millis(200);

/// Resolves when something in this folder changes, or in the nearest one above it that exists; in any case soon, so it is
/// for loops that look again.
pub(super) async fn changed(folder: PathBuf) {
    // Failing to watch only means to look again later.
    _ = tokio::task::spawn_blocking(move || watch(folder)).await;
}

fn watch(mut folder: PathBuf) -> rustix::io::Result<()> {
    while !folder.exists() && folder.pop() {}
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let what = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE;
    inotify::add_watch(&watch, &folder, what)?;
    let time = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(AT_LATEST.subsec_nanos()) };
    poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&time))?;
    Ok(())
}
