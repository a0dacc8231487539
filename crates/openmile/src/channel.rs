//! The local channel between control and forwarder: contract messages over a Unix stream socket.
//!
//! A message is a length (32 bits, network order) and as many octets of postcard. Both ends are processes of one node
//! and of one user; what arrives is checked all the same, so that a mismatched or broken peer costs a connection and
//! not a process.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

/// Octets of the longest message, its length field not counted. The longest that is sent is a punted frame.
pub(crate) const MAX_MESSAGE: usize = 1 << 20;
/// Octets of the length field.
const LENGTH: usize = 4;
/// How much is read at once.
const READ_CHUNK: usize = 64 * 1024;

/// Why a connection is of no use (any more).
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    /// The socket failed, or could not be made.
    #[error("{path}: {source}")]
    Io {
        /// The socket.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// The connection ended in the middle of a message.
    #[error("the connection ended in the middle of a message")]
    CutShort,
    /// A length field beyond [`MAX_MESSAGE`], or a message that would need one.
    #[error("a message of {0} octets is longer than the {MAX_MESSAGE} that are allowed")]
    TooLong(usize),
    /// Octets that are no message.
    #[error("no message of this version of openmile: {0}")]
    Malformed(postcard::Error),
    /// The peer speaks another version.
    #[error("the peer speaks version {theirs} of the channel, not {ours}: restart the node", ours = contract::VERSION)]
    Version {
        /// What it speaks.
        theirs: u32,
    },
    /// The peer runs as another user.
    #[error("a process of user {0} may not connect here")]
    NotAllowed(u32),
}

/// Appends a message, with its length before it.
pub(crate) fn encode(message: &impl Serialize, out: &mut Vec<u8>) -> Result<(), ChannelError> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    let written = postcard::to_extend(message, std::mem::take(out)).map_err(ChannelError::Malformed)?;
    *out = written;
    let len = out.len() - start - LENGTH;
    if len > MAX_MESSAGE {
        out.truncate(start);
        return Err(ChannelError::TooLong(len));
    }
    out[start..start + LENGTH].copy_from_slice(&(len as u32).to_be_bytes());
    Ok(())
}

/// Takes messages out of a stream of octets, however it is cut.
#[derive(Default)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
    read: usize,
}

impl Decoder {
    /// The next whole message; `None`: more octets are needed first.
    pub(crate) fn next<M: DeserializeOwned>(&mut self) -> Result<Option<M>, ChannelError> {
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH>() else { return Ok(None) };
        let len = u32::from_be_bytes(*length) as usize;
        if len > MAX_MESSAGE {
            return Err(ChannelError::TooLong(len));
        }
        let Some(octets) = rest.get(..len) else { return Ok(None) };
        let message = postcard::from_bytes(octets).map_err(ChannelError::Malformed)?;
        self.read += LENGTH + len;
        Ok(Some(message))
    }

    /// Where more octets are appended; what was read is forgotten first.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.read);
        self.read = 0;
        &mut self.buffer
    }

    /// Whether nothing is left over.
    pub(crate) fn is_empty(&self) -> bool {
        self.read == self.buffer.len()
    }
}

/// Checks the version in a peer's `Hello`.
pub(crate) fn check_version(theirs: u32) -> Result<(), ChannelError> {
    if theirs == contract::VERSION { Ok(()) } else { Err(ChannelError::Version { theirs }) }
}

/// The receiving half of a connection.
pub(crate) struct Receiver {
    half: OwnedReadHalf,
    decoder: Decoder,
    path: PathBuf,
}

impl Receiver {
    /// The next message; `None`: the peer closed the connection. May be cancelled (in `select!`) without loss.
    pub(crate) async fn next<M: DeserializeOwned>(&mut self) -> Result<Option<M>, ChannelError> {
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(Some(message));
            }
            let buffer = self.decoder.buffer();
            buffer.reserve(READ_CHUNK);
            let read = self.half.read_buf(buffer).await.map_err(|e| io_error(&self.path, e))?;
            if read == 0 {
                return if self.decoder.is_empty() { Ok(None) } else { Err(ChannelError::CutShort) };
            }
        }
    }

    /// The next message of those that were read already.
    pub(crate) fn read_already<M: DeserializeOwned>(&mut self) -> Result<Option<M>, ChannelError> {
        self.decoder.next()
    }
}

/// The sending half of a connection: messages are queued, then flushed.
pub(crate) struct Sender {
    half: OwnedWriteHalf,
    buffer: Vec<u8>,
    sent: usize,
    path: PathBuf,
}

impl Sender {
    /// Puts a message at the end of the queue.
    pub(crate) fn queue(&mut self, message: &impl Serialize) -> Result<(), ChannelError> {
        encode(message, &mut self.buffer)
    }

    /// Octets in the queue. Who sends bounds it: what may grow at a peer's will is held back while this is large.
    pub(crate) fn queued(&self) -> usize {
        self.buffer.len() - self.sent
    }

    /// Sends all that is queued. May be cancelled (in `select!`); the rest is sent by the next call.
    pub(crate) async fn flush(&mut self) -> Result<(), ChannelError> {
        while let Some(rest) = self.buffer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let written = self.half.write(rest).await.map_err(|e| io_error(&self.path, e))?;
            self.sent += written;
            if written == 0 {
                return Err(io_error(&self.path, io::ErrorKind::WriteZero.into()));
            }
        }
        self.buffer.clear();
        self.sent = 0;
        Ok(())
    }

    /// Queues a message and sends all that is queued.
    pub(crate) async fn send(&mut self, message: &impl Serialize) -> Result<(), ChannelError> {
        self.queue(message)?;
        self.flush().await
    }
}

/// Connects to a forwarder.
pub(crate) async fn connect(path: &Path) -> Result<(Sender, Receiver), ChannelError> {
    let stream = UnixStream::connect(path).await.map_err(|e| io_error(path, e))?;
    Ok(halves(stream, path))
}

/// The forwarder's end, where control connects.
pub(crate) struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens at `path`, for this user only. A socket that a killed process left there is replaced; that no living one
    /// has it is what the supervisor's lock is for.
    pub(crate) fn bind(path: &Path) -> Result<Self, ChannelError> {
        let failed = |e| io_error(path, e);
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// The next connection, if its peer may connect: a process of this user or of root. May be cancelled.
    pub(crate) async fn accept(&self) -> Result<(Sender, Receiver), ChannelError> {
        let failed = |e| io_error(&self.path, e);
        let (stream, _) = self.listener.accept().await.map_err(failed)?;
        let uid = stream.peer_cred().map_err(failed)?.uid();
        if uid != 0 && uid != rustix::process::geteuid().as_raw() {
            return Err(ChannelError::NotAllowed(uid));
        }
        Ok(halves(stream, &self.path))
    }
}

fn halves(stream: UnixStream, path: &Path) -> (Sender, Receiver) {
    let (read, write) = stream.into_split();
    let path = path.to_owned();
    (
        Sender { half: write, buffer: Vec::new(), sent: 0, path: path.clone() },
        Receiver { half: read, decoder: Decoder::default(), path },
    )
}

fn io_error(path: &Path, source: io::Error) -> ChannelError {
    ChannelError::Io { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use contract::{Generation, ToControl, ToForwarder};

    use super::*;

    #[test]
    fn messages_survive_any_cut() {
        let messages = [
            ToControl::Hello { version: 1, generation: Generation(7) },
            ToControl::InstalledEnd { whole: true },
            ToControl::Applied { changes: 300 },
        ];
        let mut octets = Vec::new();
        for message in &messages {
            encode(message, &mut octets).unwrap();
        }
        for cut in 0..octets.len() {
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for part in [&octets[..cut], &octets[cut..]] {
                decoder.buffer().extend_from_slice(part);
                while let Some(message) = decoder.next::<ToControl>().unwrap() {
                    got.push(message);
                }
            }
            assert_eq!(got, messages, "cut at {cut}");
            assert!(decoder.is_empty());
        }
    }

    #[test]
    fn what_is_no_message_is_an_error_and_no_panic() {
        let mut decoder = Decoder::default();
        decoder.buffer().extend_from_slice(&[0xff; 4]);
        assert!(matches!(decoder.next::<ToForwarder>(), Err(ChannelError::TooLong(_))));
        let mut decoder = Decoder::default();
        decoder.buffer().extend_from_slice(&[0, 0, 0, 1, 0x77]);
        assert!(matches!(decoder.next::<ToForwarder>(), Err(ChannelError::Malformed(_))));
        let mut out = vec![9];
        assert!(matches!(encode(&vec![0u8; MAX_MESSAGE], &mut out), Err(ChannelError::TooLong(_))));
        assert_eq!(out, [9], "what was queued before stays");
        assert!(check_version(contract::VERSION).is_ok() && check_version(0).is_err());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn both_ends_over_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        std::fs::write(&path, "left over").unwrap();
        let listener = Listener::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (here, there) = tokio::join!(connect(&path), listener.accept());
        let ((mut sender, _), (_, mut receiver)) = (here.unwrap(), there.unwrap());
        sender.send(&ToForwarder::ShowInstalled).await.unwrap();
        assert_eq!(receiver.next().await.unwrap(), Some(ToForwarder::ShowInstalled));
        sender.queue(&ToForwarder::ShowInstalled).unwrap();
        sender.queue(&ToForwarder::Hello { version: 7 }).unwrap();
        assert!(sender.queued() > 0);
        assert!(receiver.read_already::<ToForwarder>().unwrap().is_none());
        sender.flush().await.unwrap();
        assert_eq!(sender.queued(), 0);
        drop(sender);
        assert_eq!(receiver.next().await.unwrap(), Some(ToForwarder::ShowInstalled));
        assert_eq!(receiver.read_already().unwrap(), Some(ToForwarder::Hello { version: 7 }));
        // The other half of the pair was dropped with its Receiver, so that this end sees the close.
        assert_eq!(receiver.next::<ToForwarder>().await.unwrap(), None);
    }
}
