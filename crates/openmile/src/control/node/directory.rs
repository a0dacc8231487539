//! What requests about the directory come to.

use std::time::Duration;

use subscriber::Clock;

use super::*;

impl Node {
    pub(super) fn directory_input(&mut self, now: Tick, input: DirectoryInput) {
        if let DirectoryInput::Page(query, answer) = input {
            // Who asked may be gone.
            let _ = answer.send(self.subscriber_page(now, &query));
            return;
        }
        let (clock, grace) = (self.clock(now), self.move_grace());
        self.desk.handle(input, self.subscribers.directory_mut(), clock, grace);
    }

    pub(super) fn desk_said(&mut self, now: Tick, follows: Follows) {
        match follows {
            Follows::Alarm(message) => self.events.alarm(message),
            Follows::Replace(directory) => self.subscribers.replace(directory),
            Follows::Apply(plan, answer) => {
                let (changes, unfit) = self.subscribers.apply(plan, self.clock(now));
                for change in changes {
                    self.link.ledger().set(change);
                }
                for (id, record) in unfit {
                    let name = record.map(|record| record.name).unwrap_or_default();
                    self.events.alarm(format!("subscriber {} ({name}) is stored and does not fit", id.0));
                }
                self.link.pump(self.subscribers.directory());
                answer.give();
                self.next_request(now);
            }
        }
    }

    /// Everything is told anew, for another directory is there.
    pub(super) fn directory_replaced(&mut self, now: Tick, old: Box<subscriber::Directory>) {
        self.link.ledger().replay_configuration(self.subscribers.directory());
        self.news.all = true;
        self.desk.replaced(old);
        self.next_request(now);
    }

    fn next_request(&mut self, now: Tick) {
        let (clock, grace) = (self.clock(now), self.move_grace());
        self.desk.next(self.subscribers.directory_mut(), clock, grace);
    }

    /// The time, and the time of day that goes with it.
    pub(super) fn clock(&self, now: Tick) -> Clock {
        let (tick, seconds) = self.started;
        let since = u64::try_from(now.since(tick).as_nanos()).unwrap_or(u64::MAX);
        Clock { tick: now, wall: (u64::from(seconds) * 1_000_000_000).saturating_add(since) }
    }

    fn move_grace(&self) -> Duration {
        self.view.move_grace
    }
}
