//! What happens, for whoever follows `GET /v1/events`.

use api::Event;
use tokio::sync::broadcast;

/// Events that a follower may be behind before it loses some.
const BACKLOG: usize = 1024;

/// Where events are told.
#[derive(Clone, Debug)]
pub(crate) struct EventBus(broadcast::Sender<Event>);

impl EventBus {
    /// A bus without followers.
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }

    /// Tells all followers; never waits for one.
    pub(crate) fn tell(&self, event: Event) {
        // Nobody need be there.
        let _ = self.0.send(event);
    }

    /// Tells of something that an operator should look at, here and in the log.
    pub(crate) fn alarm(&self, message: String) {
        tracing::warn!("{message}");
        self.tell(Event::Alarm { message });
    }

    /// Follows from now on.
    pub(crate) fn follow(&self) -> Follower {
        Follower { receiver: self.0.subscribe(), greeted: false }
    }
}

/// One follower's place.
pub(crate) struct Follower {
    receiver: broadcast::Receiver<Event>,
    greeted: bool,
}

impl Follower {
    /// The next event: first [`Event::Subscribed`]; [`Event::Lagged`] in place of those that were lost; `None` at the
    /// end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(Event::Subscribed);
        }
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Event::Lagged),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_slow_is_told_that_events_were_lost() {
        let bus = EventBus::new();
        bus.tell(Event::Recovered);
        let mut follower = bus.follow();
        for number in 0..BACKLOG as u32 + 1 {
            bus.tell(Event::Alarm { message: number.to_string() });
        }
        assert_eq!(follower.next().await, Some(Event::Subscribed));
        assert_eq!(follower.next().await, Some(Event::Lagged));
        assert_eq!(follower.next().await, Some(Event::Alarm { message: "1".into() }));
    }
}
