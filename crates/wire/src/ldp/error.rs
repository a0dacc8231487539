//! Why octets are refused, in the RFC's own terms.

use super::{MessageId, MessageType, Status, StatusCode};

/// Octets that are no LDP, and what RFC 5036 §3.5.1.2 has one answer to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{status}: {what}")]
pub struct DecodeError {
    /// What to notify the peer of.
    pub status: StatusCode,
    /// The message it happened in.
    pub message: Option<(MessageId, MessageType)>,
    /// What exactly was wrong, for people.
    pub what: &'static str,
}

impl DecodeError {
    pub(super) const fn new(status: StatusCode, what: &'static str) -> Self {
        Self { status, message: None, what }
    }

    pub(super) const fn in_message(self, id: MessageId, kind: MessageType) -> Self {
        Self { message: Some((id, kind)), ..self }
    }

    /// Whether the session must end; otherwise the message alone is ignored.
    pub const fn is_fatal(&self) -> bool {
        self.status.is_fatal()
    }

    /// The Status TLV of the answer.
    pub const fn to_status(self) -> Status {
        Status { code: self.status, fatal: self.is_fatal(), forward: false, message: self.message }
    }
}
