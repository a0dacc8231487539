//! The pulse of the node's processes: how the supervisor sees that they work, and not only that they exist.
//!
//! A child's standard input is a socket to its supervisor. The supervisor asks there every few seconds, and the child
//! answers from within its main loop (the forwarder after its worker thread has come round, too). One that does not answer
//! is killed and started again. So the only timer is the supervisor's, and a loop that hangs cannot answer by accident.
//!
//! What a child has to say of itself goes the same way: that the node is ready, a line of status, how a reload went.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::UnixDatagram;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::child::has_supervisor;

/// Between two questions.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a process may take to its first answer: a headend reads a million subscribers first.
const START: Duration = Duration::from_secs(120);
/// The longest word that is read, in octets.
const WORD: usize = 4096;
/// The longest text in a word, so that it fits.
const TEXT: usize = 1024;

/// What a child says to its supervisor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// It works: the answer to a question.
    Alive,
    /// The node serves: its API answers, and each port was heard of.
    Ready,
    /// The node in a line, for an operator.
    Status(String),
}

impl Word {
    /// The node in a line.
    pub(crate) fn status(text: &str) -> Self {
        Self::Status(cut(text))
    }
}

fn cut(text: &str) -> String {
    text.char_indices().take_while(|(at, _)| *at < TEXT).map(|(_, letter)| letter).collect()
}

/// A child's end.
#[derive(Debug)]
pub(crate) struct Pulse(Option<UnixDatagram>);

impl Pulse {
    /// This process's. Without a supervisor nobody asks. Within a runtime only.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        if !has_supervisor() {
            return Ok(Self(None));
        }
        let socket = std::os::unix::net::UnixDatagram::from(io::stdin().as_fd().try_clone_to_owned()?);
        socket.set_nonblocking(true)?;
        UnixDatagram::from_std(socket).map(|socket| Self(Some(socket)))
    }

    /// Waits for the next question. May be cancelled.
    pub(crate) async fn asked(&self) {
        if let Some(socket) = &self.0
            && socket.recv(&mut [0; 1]).await.is_ok()
        {
            return;
        }
        // Nobody asks. Where the supervisor is gone, so is this process in a moment.
        std::future::pending().await
    }

    /// Answers a question.
    pub(crate) fn alive(&self) {
        self.say(&Word::Alive);
    }

    /// Says something; whether it was taken. It is not when the supervisor is behind: say it again at the next question.
    pub(crate) fn say(&self, word: &Word) -> bool {
        let Some(socket) = &self.0 else { return true };
        postcard::to_stdvec(word).is_ok_and(|octets| socket.try_send(&octets).is_ok())
    }
}

/// After how long without an answer a process counts as hanging.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Patience {
    start: u32,
    limit: u32,
    every: Duration,
}

impl Patience {
    /// This long, but for the first answer after a start.
    ///
    /// What is counted are questions' times, not time: when the whole machine stands still, so does this.
    pub(crate) fn of(limit: Duration) -> Self {
        let every = INTERVAL.min(limit / 4).max(Duration::from_millis(10));
        let times =
            |time: Duration| u32::try_from(time.div_duration_f64(every).ceil() as u64).unwrap_or(u32::MAX);
        Self { start: times(START.max(limit)), limit: times(limit), every }
    }
}

/// The supervisor's end.
#[derive(Debug)]
pub(super) struct Asker {
    socket: UnixDatagram,
    /// Its turns and its limits; `None`: it is never asked.
    turns: Option<(Interval, Patience)>,
    /// Turns since a question that was not answered yet.
    waiting: Option<u32>,
    /// It has answered once.
    works: bool,
}

/// What the supervisor notices.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Noticed {
    /// A word.
    Word(Word),
    /// It hangs. Said once.
    Hangs,
}

impl Asker {
    /// For a process that is about to start: this end, and its standard input.
    pub(super) fn new(patience: Option<Patience>) -> io::Result<(Self, Stdio)> {
        let (ours, theirs) = std::os::unix::net::UnixDatagram::pair()?;
        ours.set_nonblocking(true)?;
        let turns = patience.map(|patience| {
            let mut turns = interval(patience.every);
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            (turns, patience)
        });
        let socket = UnixDatagram::from_std(ours)?;
        let asker = Self { socket, turns, waiting: None, works: false };
        Ok((asker, Stdio::from(OwnedFd::from(theirs))))
    }

    /// The next thing to be noticed. May be cancelled.
    pub(super) async fn next(&mut self) -> Noticed {
        let mut octets = [0; WORD];
        loop {
            tokio::select! {
                heard = self.socket.recv(&mut octets) => match heard {
                    Ok(length) => {
                        let word = octets.get(..length).and_then(|octets| postcard::from_bytes(octets).ok());
                        match word {
                            Some(Word::Alive) => (self.waiting, self.works) = (None, true),
                            Some(word) => return Noticed::Word(word),
                            None => tracing::error!("a process says what this supervisor does not understand"),
                        }
                    }
                    // Its end is gone, and the process with it, as its parent will hear.
                    Err(_) => std::future::pending().await,
                },
                patience = turn(&mut self.turns) => if self.turn(patience) {
                    return Noticed::Hangs;
                }
            }
        }
    }

    /// One interval is over: asks, or counts that there is no answer. Whether it hangs.
    fn turn(&mut self, patience: Patience) -> bool {
        match &mut self.waiting {
            Some(turns) => {
                *turns = turns.saturating_add(1);
                *turns == if self.works { patience.limit } else { patience.start }
            }
            None => {
                // Fails if it does not read, which is no answer either.
                let _ = self.socket.try_send(&[0]);
                self.waiting = Some(0);
                false
            }
        }
    }
}

async fn turn(turns: &mut Option<(Interval, Patience)>) -> Patience {
    match turns {
        Some((turns, patience)) => {
            turns.tick().await;
            *patience
        }
        None => std::future::pending().await,
    }
}
