//! Notification (RFC 5036 §3.5.1, RFC 5561 §8, RFC 5919 §4) and the Status TLV (§3.4.6).

use super::message::missing;
use super::tlv::{self, Tlvs, Value, keep_first};
use super::{AddressFamily, DecodeError, FecTlv, MessageId, MessageType, RawTlv, StatusCode};

const E_BIT: u32 = 0x8000_0000;
const F_BIT: u32 = 0x4000_0000;

/// Something happened.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Notification {
    /// What.
    pub status: Status,
    /// More about it, of the sender's own making.
    pub extended: Option<u32>,
    /// The Label Request that it is about, where one is aborted (RFC 5036 §3.5.9.1).
    pub request: Option<MessageId>,
    /// As much of the PDU that it is about as the sender cared to return.
    pub returned_pdu: Option<Vec<u8>>,
    /// As much of the message that it is about as the sender cared to return.
    pub returned_message: Option<Vec<u8>>,
    /// The TLVs that it is about, as they came.
    pub returned_tlvs: Vec<RawTlv>,
    /// The FECs that it is about. A FEC TLV that cannot be read for want of knowledge (of pseudowires, say) is passed
    /// over: a Notification tells something and asks nothing.
    pub fec: Option<FecTlv>,
}

/// What happened, and in what.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Status {
    /// The status data.
    pub code: StatusCode,
    /// The E bit: the session ends.
    pub fatal: bool,
    /// The F bit: to be passed on along the LSP.
    pub forward: bool,
    /// The message of the receiver that it is about.
    pub message: Option<(MessageId, MessageType)>,
}

impl Status {
    /// The code with the E bit that it must have, about no message.
    pub const fn new(code: StatusCode) -> Self {
        Self { code, fatal: code.is_fatal(), forward: false, message: None }
    }

    pub(super) fn decode(mut value: Value<'_>) -> Result<Self, DecodeError> {
        let (word, id, kind) = (value.u32()?, MessageId(value.u32()?), MessageType(value.u16()?));
        value.end()?;
        Ok(Self {
            code: StatusCode::new(word),
            fatal: word & E_BIT != 0,
            forward: word & F_BIT != 0,
            message: (id.0 != 0 || kind.0 != 0).then_some((id, kind)),
        })
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        // The F bits of the TLV and of the code are the same (RFC 5036 §3.4.6).
        tlv::write(out, tlv::with_forward(tlv::STATUS, self.forward), |out| {
            let flags = if self.fatal { E_BIT } else { 0 } | if self.forward { F_BIT } else { 0 };
            let (id, kind) = self.message.unwrap_or_default();
            out.extend_from_slice(&(flags | self.code.value()).to_be_bytes());
            out.extend_from_slice(&id.0.to_be_bytes());
            out.extend_from_slice(&kind.0.to_be_bytes());
        });
    }
}

impl Notification {
    /// This status and nothing else.
    pub const fn new(status: Status) -> Self {
        Self {
            status,
            extended: None,
            request: None,
            returned_pdu: None,
            returned_message: None,
            returned_tlvs: Vec::new(),
            fec: None,
        }
    }

    /// All label bindings of prefixes of this family have been told (RFC 5919 §4).
    pub fn end_of_lib(family: AddressFamily) -> Self {
        Self { fec: Some(FecTlv::TypedWildcard(family)), ..Self::new(Status::new(StatusCode::END_OF_LIB)) }
    }

    pub(super) fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut tlvs = Tlvs::new(octets);
        let (mut status, mut extended, mut request, mut pdu, mut message) = (None, None, None, None, None);
        let (mut returned_tlvs, mut fec) = (None, None);
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                tlv::STATUS => keep_first(&mut status, Status::decode(tlv.value)?),
                tlv::EXTENDED_STATUS => {
                    keep_first(&mut extended, u32::from_be_bytes(tlv.value.exactly()?));
                }
                tlv::LABEL_REQUEST_MESSAGE_ID => {
                    keep_first(&mut request, MessageId(u32::from_be_bytes(tlv.value.exactly()?)));
                }
                tlv::RETURNED_PDU => keep_first(&mut pdu, tlv.value.rest().to_vec()),
                tlv::RETURNED_TLVS => keep_first(&mut returned_tlvs, tlv.value.raw_tlvs()?),
                tlv::FEC => match FecTlv::decode(tlv.value) {
                    Ok(read) => keep_first(&mut fec, read),
                    Err(error) if error.is_fatal() => return Err(error),
                    Err(_) => {}
                },
                tlv::RETURNED_MESSAGE => keep_first(&mut message, tlv.value.rest().to_vec()),
                _ => {
                    tlv.unused()?;
                }
            }
        }
        let status = status.ok_or(missing("a Notification without a status"))?;
        Ok(Self {
            status,
            extended,
            request,
            returned_pdu: pdu,
            returned_message: message,
            returned_tlvs: returned_tlvs.unwrap_or_default(),
            fec,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.status.encode(out);
        if let Some(extended) = self.extended {
            tlv::write(out, tlv::EXTENDED_STATUS, |out| out.extend_from_slice(&extended.to_be_bytes()));
        }
        if let Some(request) = self.request {
            tlv::write(out, tlv::LABEL_REQUEST_MESSAGE_ID, |out| {
                out.extend_from_slice(&request.0.to_be_bytes());
            });
        }
        if let Some(pdu) = &self.returned_pdu {
            tlv::write(out, tlv::RETURNED_PDU, |out| out.extend_from_slice(pdu));
        }
        if let Some(message) = &self.returned_message {
            tlv::write(out, tlv::RETURNED_MESSAGE, |out| out.extend_from_slice(message));
        }
        if !self.returned_tlvs.is_empty() {
            tlv::write(out, tlv::optional(tlv::RETURNED_TLVS), |out| {
                self.returned_tlvs.iter().for_each(|tlv| tlv.encode(out));
            });
        }
        if let Some(fec) = &self.fec {
            fec.encode(out);
        }
    }
}
