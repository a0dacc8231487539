//! PDUs: one or more messages of one label space (RFC 5036 §3.1).

use super::{DEFAULT_MAX_PDU_LENGTH, DecodeError, Incoming, LdpId, Message, StatusCode, VERSION};

/// Octets that the length field does not count: version and the field itself.
const UNCOUNTED: usize = 4;
/// Version, length and LDP identifier.
const HEADER_LEN: usize = UNCOUNTED + LdpId::LEN;
/// What the length field is at least: identifier and one message (RFC 5036 §3.5.1.2.1).
const MIN_LENGTH: usize = LdpId::LEN + Message::HEADER_LEN;

/// A whole PDU whose header is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pdu<'a> {
    /// The sender's label space.
    pub sender: LdpId,
    messages: &'a [u8],
}

/// The messages of a PDU in their order. After a fatal error there are no more.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Pdu<'a> {
    /// The PDU in a datagram; octets behind it are ignored.
    pub fn from_datagram(octets: &'a [u8]) -> Result<Self, DecodeError> {
        match Self::split(octets, DEFAULT_MAX_PDU_LENGTH)? {
            Some((pdu, _)) => Ok(pdu),
            None => {
                Err(DecodeError::new(StatusCode::BAD_PDU_LENGTH, "a datagram that is shorter than its PDU"))
            }
        }
    }

    /// The PDU at the front and its octets; `None` if it is not whole yet. A header that is wrong is refused at once.
    fn split(octets: &'a [u8], max_length: u16) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((&[a, b], _)) = octets.split_first_chunk() else { return Ok(None) };
        if u16::from_be_bytes([a, b]) != VERSION {
            return Err(DecodeError::new(StatusCode::BAD_PROTOCOL_VERSION, "a PDU of another version"));
        }
        let Some((&[_, _, c, d], counted)) = octets.split_first_chunk() else { return Ok(None) };
        let length = u16::from_be_bytes([c, d]);
        if usize::from(length) < MIN_LENGTH || length > max_length {
            return Err(DecodeError::new(
                StatusCode::BAD_PDU_LENGTH,
                "a PDU that is too short for a message or longer than agreed on",
            ));
        }
        let Some(counted) = counted.get(..length.into()) else { return Ok(None) };
        let Some((&sender, messages)) = counted.split_first_chunk() else { return Ok(None) };
        let pdu = Self { sender: LdpId::from_bytes(sender), messages };
        Ok(Some((pdu, UNCOUNTED + usize::from(length))))
    }

    /// The messages in it.
    pub const fn messages(&self) -> Messages<'a> {
        Messages(self.messages)
    }
}

impl Iterator for Messages<'_> {
    type Item = Result<Incoming, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let item = Message::decode(&mut self.0);
        if matches!(&item, Err(error) if error.is_fatal()) {
            self.0 = &[];
        }
        Some(item)
    }
}

/// Cuts a stream into PDUs, however it arrives. Holds less than one PDU between calls of [`Self::next`].
#[derive(Clone, Debug)]
pub struct PduReader {
    buffer: Vec<u8>,
    read: usize,
    max_length: u16,
}

impl Default for PduReader {
    fn default() -> Self {
        Self { buffer: Vec::new(), read: 0, max_length: DEFAULT_MAX_PDU_LENGTH }
    }
}

impl PduReader {
    /// The longest PDU from now on.
    pub const fn set_max_length(&mut self, max_length: u16) {
        self.max_length = max_length;
    }

    /// Octets that came. Call [`Self::next`] until it has no more before pushing again.
    pub fn push(&mut self, octets: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(octets);
    }

    /// The next whole PDU.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Result<Option<Pdu<'_>>, DecodeError> {
        let unread = self.buffer.get(self.read..).unwrap_or_default();
        let Some((pdu, len)) = Pdu::split(unread, self.max_length)? else { return Ok(None) };
        self.read += len;
        Ok(Some(pdu))
    }

    /// Octets held that are no whole PDU yet.
    pub const fn pending(&self) -> usize {
        self.buffer.len() - self.read
    }
}

/// Puts messages into as few PDUs as hold them.
#[derive(Clone, Debug)]
pub struct PduWriter {
    sender: LdpId,
    max_length: usize,
    octets: Vec<u8>,
    open: Option<usize>,
}

/// A message that no PDU of the length agreed on holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a message of {0} octets does not fit a PDU")]
pub struct MessageTooLong(pub usize);

impl PduWriter {
    /// A writer of PDUs of this sender, each of at most `max_length` octets in all.
    pub fn new(sender: LdpId, max_length: u16) -> Self {
        Self { sender, max_length: max_length.into(), octets: Vec::new(), open: None }
    }

    /// Adds a message; one that fits no PDU is left out.
    pub fn push(&mut self, message: &Message) -> Result<(), MessageTooLong> {
        let mut encoded = Vec::new();
        message.encode(&mut encoded);
        if HEADER_LEN + encoded.len() > self.max_length {
            return Err(MessageTooLong(encoded.len()));
        }
        let start = match self.open {
            Some(start) if self.octets.len() - start + encoded.len() <= self.max_length => start,
            _ => {
                let start = self.octets.len();
                self.octets.extend_from_slice(&VERSION.to_be_bytes());
                self.octets.extend_from_slice(&[0, 0]);
                self.octets.extend_from_slice(&self.sender.to_bytes());
                start
            }
        };
        self.open = Some(start);
        self.octets.extend_from_slice(&encoded);
        let length = u16::try_from(self.octets.len() - start - UNCOUNTED).unwrap_or(u16::MAX);
        if let Some(place) = self.octets.get_mut(start + 2..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    /// The PDUs, end to end.
    pub fn finish(self) -> Vec<u8> {
        self.octets
    }

    /// Takes the PDUs written so far.
    pub fn take(&mut self) -> Vec<u8> {
        self.open = None;
        std::mem::take(&mut self.octets)
    }

    /// Octets written and not taken.
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// The longest PDU from now on.
    pub fn set_max_length(&mut self, max_length: u16) {
        self.max_length = max_length.into();
    }
}
