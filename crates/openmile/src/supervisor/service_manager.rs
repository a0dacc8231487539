//! What systemd is told (sd_notify(3)); without systemd, nobody.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

/// Variables by which systemd speaks to the supervisor, and to it alone.
pub(super) const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The service manager that started this node, if one did.
#[derive(Debug, Default)]
pub(super) struct ServiceManager {
    ready: Cell<bool>,
    status: RefCell<String>,
}

impl ServiceManager {
    /// The node serves. Only the first time is news.
    pub(super) fn ready(&self) {
        if !self.ready.replace(true) {
            tracing::info!("the node is ready");
            tell(&[NotifyState::Ready]);
        }
    }

    /// The node in a line.
    pub(super) fn status(&self, text: &str) {
        if *self.status.borrow() != text {
            tell(&[NotifyState::Status(text)]);
            text.clone_into(&mut self.status.borrow_mut());
        }
    }

    /// The node is about to end.
    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// Says again and again that the supervisor works, as often as systemd wants; never ends.
    pub(super) async fn keep_alive(&self) -> std::convert::Infallible {
        let Some(limit) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
        // Half of it, as sd_watchdog_enabled(3) recommends.
        let mut turns = interval((limit / 2).max(Duration::from_millis(1)));
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(what: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(what) {
        complain(&error);
    }
}

fn complain(error: &io::Error) {
    tracing::warn!("systemd cannot be told: {error}");
}
