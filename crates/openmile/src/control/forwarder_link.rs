//! The connection to the forwarder: found, kept, found again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::{Change, Circuit, Generation, ToControl, ToForwarder, VERSION};
use tokio::sync::mpsc;

use super::Input;
use super::ledger::{Bindings, Key, Ledger, WINDOW};
use crate::channel::{self, ChannelError, Receiver, Sender};

/// Time between two attempts to find the forwarder.
const RETRY: Duration = Duration::from_millis(100);
/// Frames to transmit that may wait for the socket; more are lost, as on a wire.
const FRAMES: usize = 1024;
/// Octets in the socket's queue beyond which no more is put there.
const QUEUED: usize = 1 << 20;

/// What happens on the connection.
#[derive(Debug)]
pub(crate) enum ForwarderInput {
    /// It is there: what the forwarder holds is of this generation at most, and messages go this way.
    Connected(Generation, mpsc::Sender<ToForwarder>),
    /// A message.
    Message(ToControl),
    /// It is lost.
    Lost(String),
}

/// The event loop's end.
#[derive(Debug, Default)]
pub(crate) struct ForwarderLink {
    ledger: Ledger,
    outgoing: Option<mpsc::Sender<ToForwarder>>,
}

impl ForwarderLink {
    /// A connection is there.
    pub(crate) fn connected(
        &mut self,
        held: Generation,
        outgoing: mpsc::Sender<ToForwarder>,
        bindings: &dyn Bindings,
    ) {
        self.ledger.connected(held, bindings);
        self.outgoing = Some(outgoing);
    }

    /// The connection is lost.
    pub(crate) fn lost(&mut self) {
        self.ledger.disconnected();
        self.outgoing = None;
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.ledger.is_connected()
    }

    /// See [`Ledger::is_up_to_date`].
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.ledger.is_up_to_date()
    }

    /// Whether the forwarder holds all that the network file and the directory say.
    pub(crate) fn holds_configuration(&self) -> bool {
        self.ledger.holds_configuration()
    }

    /// What the forwarder should hold.
    pub(crate) fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Whether the forwarder holds what it should under this name, as far as it has said.
    pub(crate) fn holds(&self, key: &Key) -> bool {
        self.ledger.holds(key)
    }

    /// Sends a frame, if there is room and a forwarder.
    pub(crate) fn transmit(&self, circuit: Circuit, frame: Vec<u8>) {
        if let Some(outgoing) = self.outgoing.as_ref().filter(|outgoing| outgoing.capacity() > WINDOW + 2) {
            let _ = outgoing.try_send(ToForwarder::Transmit { circuit, frame });
        }
    }

    /// Sends what may be sent of the ledger.
    pub(crate) fn pump(&mut self, bindings: &dyn Bindings) {
        let Some(outgoing) = &self.outgoing else { return };
        // Room is asked for first: a message that was taken out of the ledger must go.
        while let Ok(place) = outgoing.try_reserve() {
            let Some(message) = self.ledger.next_message(bindings) else { return };
            place.send(message);
        }
    }
}

/// Finds the forwarder, again and again, and passes messages on, until nobody listens any more.
pub(crate) async fn keep(socket: PathBuf, inputs: mpsc::Sender<Input>) {
    let mut ticks = tokio::time::interval(RETRY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !inputs.is_closed() {
        ticks.tick().await;
        let why = match open(&socket).await {
            Ok((generation, sender, receiver)) => {
                let (outgoing, taken) = mpsc::channel(WINDOW + 2 + FRAMES);
                let connected = ForwarderInput::Connected(generation, outgoing);
                if inputs.send(Input::Forwarder(connected)).await.is_err() {
                    return;
                }
                match converse(sender, receiver, taken, &inputs).await {
                    Ok(()) => "it closed the connection".to_owned(),
                    Err(error) => error.to_string(),
                }
            }
            Err(error) => {
                tracing::debug!("no forwarder yet: {error}");
                continue;
            }
        };
        let _ = inputs.send(Input::Forwarder(ForwarderInput::Lost(why))).await;
    }
}

async fn open(socket: &Path) -> Result<(Generation, Sender, Receiver), ChannelError> {
    let (mut sender, mut receiver) = channel::connect(socket).await?;
    sender.send(&ToForwarder::Hello { version: VERSION }).await?;
    match receiver.next().await? {
        Some(ToControl::Hello { version, generation }) => {
            channel::check_version(version)?;
            Ok((generation, sender, receiver))
        }
        _ => Err(ChannelError::CutShort),
    }
}

async fn converse(
    mut sender: Sender,
    mut receiver: Receiver,
    mut outgoing: mpsc::Receiver<ToForwarder>,
    inputs: &mpsc::Sender<Input>,
) -> Result<(), ChannelError> {
    loop {
        let queued = sender.queued();
        // Reading and writing at once: neither side ever waits for the other to read first.
        tokio::select! {
            message = receiver.next() => match message? {
                Some(message) => {
                    if inputs.send(Input::Forwarder(ForwarderInput::Message(message))).await.is_err() {
                        return Ok(());
                    }
                }
                None => return Ok(()),
            },
            flushed = sender.flush(), if queued > 0 => flushed?,
            message = outgoing.recv(), if queued < QUEUED => match message {
                Some(message) => sender.queue(&message)?,
                None => return Ok(()),
            },
        }
    }
}

/// What a forwarder held before this control process began.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// All of it.
    pub(crate) changes: Vec<Change>,
    /// Whether all labels are among it that neighbors may know.
    pub(crate) whole: bool,
}

impl Inherited {
    /// Asks the first forwarder that is found. Other inputs that come meanwhile are kept for later.
    pub(crate) async fn ask(
        inputs: &mut mpsc::Receiver<Input>,
        later: &mut Vec<Input>,
    ) -> Option<(Self, Generation, mpsc::Sender<ToForwarder>)> {
        let mut found = None;
        let mut inherited = Self::default();
        loop {
            match inputs.recv().await? {
                Input::Forwarder(ForwarderInput::Connected(generation, outgoing)) => {
                    // The queue is empty, so that there is room.
                    let _ = outgoing.try_send(ToForwarder::ShowInstalled);
                    inherited.changes.clear();
                    found = Some((generation, outgoing));
                }
                Input::Forwarder(ForwarderInput::Message(ToControl::Installed(change))) => {
                    inherited.changes.push(change);
                }
                Input::Forwarder(ForwarderInput::Message(ToControl::InstalledEnd { whole })) => {
                    inherited.whole = whole;
                    if let Some((generation, outgoing)) = found.take() {
                        return Some((inherited, generation, outgoing));
                    }
                }
                Input::Forwarder(ForwarderInput::Lost(_)) => found = None,
                other => later.push(other),
            }
        }
    }
}
