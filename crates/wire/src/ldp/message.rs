//! Messages: what PDUs carry (RFC 5036 §3.4, §3.5).

use std::fmt;

use super::{
    Addresses, CapabilityChange, DecodeError, Hello, Initialization, LabelAbortRequest, LabelMapping,
    LabelRelease, LabelRequest, LabelWithdraw, Notification, StatusCode, tlv,
};

/// A number that names a message among its sender's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct MessageId(pub u32);

/// A message's type, 15 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct MessageType(pub u16);

const U_BIT: u16 = 0x8000;

impl MessageType {
    /// Notification.
    pub const NOTIFICATION: Self = Self(0x0001);
    /// Hello.
    pub const HELLO: Self = Self(0x0100);
    /// Initialization.
    pub const INITIALIZATION: Self = Self(0x0200);
    /// KeepAlive.
    pub const KEEPALIVE: Self = Self(0x0201);
    /// Capability (RFC 5561 §7).
    pub const CAPABILITY: Self = Self(0x0202);
    /// Address.
    pub const ADDRESS: Self = Self(0x0300);
    /// Address Withdraw.
    pub const ADDRESS_WITHDRAW: Self = Self(0x0301);
    /// Label Mapping.
    pub const LABEL_MAPPING: Self = Self(0x0400);
    /// Label Request.
    pub const LABEL_REQUEST: Self = Self(0x0401);
    /// Label Withdraw.
    pub const LABEL_WITHDRAW: Self = Self(0x0402);
    /// Label Release.
    pub const LABEL_RELEASE: Self = Self(0x0403);
    /// Label Abort Request.
    pub const LABEL_ABORT_REQUEST: Self = Self(0x0404);
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::NOTIFICATION => "Notification",
            Self::HELLO => "Hello",
            Self::INITIALIZATION => "Initialization",
            Self::KEEPALIVE => "KeepAlive",
            Self::CAPABILITY => "Capability",
            Self::ADDRESS => "Address",
            Self::ADDRESS_WITHDRAW => "Address Withdraw",
            Self::LABEL_MAPPING => "Label Mapping",
            Self::LABEL_REQUEST => "Label Request",
            Self::LABEL_WITHDRAW => "Label Withdraw",
            Self::LABEL_RELEASE => "Label Release",
            Self::LABEL_ABORT_REQUEST => "Label Abort Request",
            Self(kind) => return write!(f, "message {kind:#06x}"),
        })
    }
}

/// A message.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Message {
    /// Its name among its sender's.
    pub id: MessageId,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Body {
    /// Something happened.
    Notification(Notification),
    /// "I am here."
    Hello(Hello),
    /// What a session is to be like.
    Initialization(Initialization),
    /// "I am still here."
    KeepAlive,
    /// What a session is to be like from now on.
    Capability(CapabilityChange),
    /// "These are my addresses."
    Address(Addresses),
    /// "These are mine no more."
    AddressWithdraw(Addresses),
    /// "Send packets of these FECs with this label."
    LabelMapping(LabelMapping),
    /// "Give me a label for these FECs."
    LabelRequest(LabelRequest),
    /// "Stop using this label."
    LabelWithdraw(LabelWithdraw),
    /// "I do not use this label."
    LabelRelease(LabelRelease),
    /// "I do not want an answer to that request any more."
    LabelAbortRequest(LabelAbortRequest),
}

/// What a PDU had in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Incoming {
    /// A message.
    Message(Message),
    /// A message of a type that is not known here and whose U bit says to ignore it.
    Ignored(MessageId, MessageType),
}

impl Body {
    /// The type that it is sent as.
    pub const fn kind(&self) -> MessageType {
        match self {
            Self::Notification(_) => MessageType::NOTIFICATION,
            Self::Hello(_) => MessageType::HELLO,
            Self::Initialization(_) => MessageType::INITIALIZATION,
            Self::KeepAlive => MessageType::KEEPALIVE,
            Self::Capability(_) => MessageType::CAPABILITY,
            Self::Address(_) => MessageType::ADDRESS,
            Self::AddressWithdraw(_) => MessageType::ADDRESS_WITHDRAW,
            Self::LabelMapping(_) => MessageType::LABEL_MAPPING,
            Self::LabelRequest(_) => MessageType::LABEL_REQUEST,
            Self::LabelWithdraw(_) => MessageType::LABEL_WITHDRAW,
            Self::LabelRelease(_) => MessageType::LABEL_RELEASE,
            Self::LabelAbortRequest(_) => MessageType::LABEL_ABORT_REQUEST,
        }
    }

    fn decode(kind: MessageType, octets: &[u8]) -> Result<Option<Self>, DecodeError> {
        Ok(Some(match kind {
            MessageType::NOTIFICATION => Self::Notification(Notification::decode(octets)?),
            MessageType::HELLO => Self::Hello(Hello::decode(octets)?),
            MessageType::INITIALIZATION => Self::Initialization(Initialization::decode(octets)?),
            MessageType::KEEPALIVE => {
                let mut tlvs = tlv::Tlvs::new(octets);
                while let Some(tlv) = tlvs.next()? {
                    tlv.unused()?;
                }
                Self::KeepAlive
            }
            MessageType::CAPABILITY => Self::Capability(CapabilityChange::decode(octets)?),
            MessageType::ADDRESS => Self::Address(Addresses::decode(octets)?),
            MessageType::ADDRESS_WITHDRAW => Self::AddressWithdraw(Addresses::decode(octets)?),
            MessageType::LABEL_MAPPING => Self::LabelMapping(LabelMapping::decode(octets)?),
            MessageType::LABEL_REQUEST => Self::LabelRequest(LabelRequest::decode(octets)?),
            MessageType::LABEL_WITHDRAW => Self::LabelWithdraw(LabelWithdraw::decode(octets)?),
            MessageType::LABEL_RELEASE => Self::LabelRelease(LabelRelease::decode(octets)?),
            MessageType::LABEL_ABORT_REQUEST => Self::LabelAbortRequest(LabelAbortRequest::decode(octets)?),
            _ => return Ok(None),
        }))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Notification(notification) => notification.encode(out),
            Self::Hello(hello) => hello.encode(out),
            Self::Initialization(initialization) => initialization.encode(out),
            Self::KeepAlive => {}
            Self::Capability(change) => change.encode(out),
            Self::Address(addresses) | Self::AddressWithdraw(addresses) => addresses.encode(out),
            Self::LabelMapping(mapping) => mapping.encode(out),
            Self::LabelRequest(request) => request.encode(out),
            Self::LabelWithdraw(withdraw) => withdraw.encode(out),
            Self::LabelRelease(release) => release.encode(out),
            Self::LabelAbortRequest(abort) => abort.encode(out),
        }
    }
}

impl Message {
    /// Octets before the parameters: type, length and message ID.
    pub const HEADER_LEN: usize = 8;

    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.body.kind().0.to_be_bytes());
        tlv::write_counted(out, |out| {
            out.extend_from_slice(&self.id.0.to_be_bytes());
            self.body.encode(out);
        });
    }

    /// Takes a message off the front. An error that is not fatal leaves `octets` behind the message.
    pub(super) fn decode(octets: &mut &[u8]) -> Result<Incoming, DecodeError> {
        const CUT: DecodeError =
            DecodeError::new(StatusCode::BAD_PDU_LENGTH, "a PDU ends within a message's header");
        const BAD: DecodeError =
            DecodeError::new(StatusCode::BAD_MESSAGE_LENGTH, "a message that is too short or beyond its PDU");
        let (&[a, b, c, d, e, f, g, h], _) = octets.split_first_chunk::<8>().ok_or(CUT)?;
        let word = u16::from_be_bytes([a, b]);
        let (id, kind) = (MessageId(u32::from_be_bytes([e, f, g, h])), MessageType(word & !U_BIT));
        let length = usize::from(u16::from_be_bytes([c, d]));
        let (message, rest) = octets.split_at_checked(4 + length).ok_or(BAD.in_message(id, kind))?;
        let parameters = message.get(Self::HEADER_LEN..).ok_or(BAD.in_message(id, kind))?;
        *octets = rest;
        match Body::decode(kind, parameters) {
            Ok(Some(body)) => Ok(Incoming::Message(Self { id, body })),
            Ok(None) if word & U_BIT != 0 => Ok(Incoming::Ignored(id, kind)),
            Ok(None) => {
                let what = "a message of unknown type that must be understood";
                Err(DecodeError::new(StatusCode::UNKNOWN_MESSAGE_TYPE, what).in_message(id, kind))
            }
            Err(error) => Err(error.in_message(id, kind)),
        }
    }
}

pub(super) const fn missing(what: &'static str) -> DecodeError {
    DecodeError::new(StatusCode::MISSING_MESSAGE_PARAMETERS, what)
}
