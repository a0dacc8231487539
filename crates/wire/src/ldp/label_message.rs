//! The messages that labels travel in (RFC 5036 §3.5.7 to §3.5.11).

use std::net::Ipv4Addr;

use super::message::missing;
use super::tlv::{self, Tlv, Tlvs, Value, keep_first};
use super::{DecodeError, FecTlv, MessageId, PrefixFecs, RequestFec, Status, StatusCode, UnknownTlv};
use crate::Label;

/// "Send packets of these FECs with this label."
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LabelMapping {
    /// The FECs.
    pub fecs: PrefixFecs,
    /// The label; may be a null label.
    pub label: Label,
    /// The request that this answers.
    pub request: Option<MessageId>,
    /// LSRs along the LSP; 0: not known.
    pub hop_count: Option<u8>,
    /// The LSRs along the LSP.
    pub path_vector: Option<PathVector>,
    /// TLVs that are not known here.
    pub unknown: Vec<UnknownTlv>,
}

/// "Give me a label for these FECs."
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LabelRequest {
    /// The FECs.
    pub fec: RequestFec,
    /// LSRs along the LSP; 0: not known.
    pub hop_count: Option<u8>,
    /// The LSRs along the LSP.
    pub path_vector: Option<PathVector>,
    /// TLVs that are not known here.
    pub unknown: Vec<UnknownTlv>,
}

/// "Stop using this label."
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LabelWithdraw {
    /// The FECs.
    pub fec: FecTlv,
    /// The label; `None`: whichever they have.
    pub label: Option<Label>,
}

/// "I do not use this label."
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LabelRelease {
    /// The FECs.
    pub fec: FecTlv,
    /// The label; `None`: whichever they have.
    pub label: Option<Label>,
    /// Why, where a loop was detected.
    pub status: Option<Status>,
}

/// "I do not want an answer to that request any more."
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LabelAbortRequest {
    /// The FECs of the request.
    pub fecs: PrefixFecs,
    /// The request.
    pub request: MessageId,
}

/// LSRs along an LSP, the nearest last (RFC 5036 §3.4.5); at most 255, as limits are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PathVector(Vec<Ipv4Addr>);

impl PathVector {
    /// These LSRs; `None` if there are more than 255.
    pub fn new(lsr_ids: Vec<Ipv4Addr>) -> Option<Self> {
        (lsr_ids.len() <= usize::from(u8::MAX)).then_some(Self(lsr_ids))
    }

    /// The LSRs.
    pub fn lsr_ids(&self) -> &[Ipv4Addr] {
        &self.0
    }

    fn decode(mut value: Value<'_>) -> Result<Self, DecodeError> {
        let mut lsr_ids = Vec::new();
        while !value.is_empty() {
            lsr_ids.push(Ipv4Addr::from(value.take::<4>()?));
        }
        Self::new(lsr_ids)
            .ok_or(DecodeError::new(StatusCode::MALFORMED_TLV_VALUE, "a path vector of more than 255 LSRs"))
    }
}

/// What label messages are made of; each takes what it has use for.
#[derive(Default)]
struct Parts {
    fec: Option<FecTlv>,
    label: Option<Label>,
    request: Option<MessageId>,
    hop_count: Option<u8>,
    path_vector: Option<PathVector>,
    status: Option<Status>,
    unknown: Vec<UnknownTlv>,
}

impl Parts {
    fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut tlvs = Tlvs::new(octets);
        let mut parts = Self::default();
        while let Some(tlv) = tlvs.next()? {
            parts.add(&tlv)?;
        }
        Ok(parts)
    }

    fn add(&mut self, tlv: &Tlv<'_>) -> Result<(), DecodeError> {
        match tlv.kind {
            tlv::FEC => keep_first(&mut self.fec, FecTlv::decode(tlv.value)?),
            tlv::GENERIC_LABEL => {
                let label = Label::new(u32::from_be_bytes(tlv.value.exactly()?)).map_err(|_| {
                    DecodeError::new(StatusCode::MALFORMED_TLV_VALUE, "a label of more than 20 bits")
                })?;
                keep_first(&mut self.label, label);
            }
            tlv::LABEL_REQUEST_MESSAGE_ID => {
                keep_first(&mut self.request, MessageId(u32::from_be_bytes(tlv.value.exactly()?)));
            }
            tlv::HOP_COUNT => {
                let [count] = tlv.value.exactly()?;
                keep_first(&mut self.hop_count, count);
            }
            tlv::PATH_VECTOR => keep_first(&mut self.path_vector, PathVector::decode(tlv.value)?),
            tlv::STATUS => keep_first(&mut self.status, Status::decode(tlv.value)?),
            _ => self.unknown.extend(tlv.unused()?),
        }
        Ok(())
    }

    fn fec(&mut self) -> Result<FecTlv, DecodeError> {
        self.fec.take().ok_or(missing("a label message without a FEC"))
    }

    fn prefixes(&mut self) -> Result<PrefixFecs, DecodeError> {
        self.fec()?.prefixes_only()
    }
}

impl LabelMapping {
    /// This binding and nothing else.
    pub const fn new(fecs: PrefixFecs, label: Label) -> Self {
        Self { fecs, label, request: None, hop_count: None, path_vector: None, unknown: Vec::new() }
    }

    pub(super) fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut parts = Parts::decode(octets)?;
        Ok(Self {
            fecs: parts.prefixes()?,
            label: parts.label.ok_or(missing("a Label Mapping without a label"))?,
            request: parts.request,
            hop_count: parts.hop_count,
            path_vector: parts.path_vector,
            unknown: parts.unknown,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.fecs.encode(out);
        write_label(out, Some(self.label));
        if let Some(request) = self.request {
            write_request(out, request);
        }
        write_attributes(out, self.hop_count, self.path_vector.as_ref());
        for tlv in &self.unknown {
            tlv.encode(out);
        }
    }
}

impl LabelRequest {
    /// A request of these FECs and nothing else.
    pub const fn new(fec: RequestFec) -> Self {
        Self { fec, hop_count: None, path_vector: None, unknown: Vec::new() }
    }

    pub(super) fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut parts = Parts::decode(octets)?;
        Ok(Self {
            fec: parts.fec()?.requestable()?,
            hop_count: parts.hop_count,
            path_vector: parts.path_vector,
            unknown: parts.unknown,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.fec.encode(out);
        write_attributes(out, self.hop_count, self.path_vector.as_ref());
        for tlv in &self.unknown {
            tlv.encode(out);
        }
    }
}

impl LabelWithdraw {
    pub(super) fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut parts = Parts::decode(octets)?;
        Ok(Self { fec: parts.fec()?, label: parts.label })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.fec.encode(out);
        write_label(out, self.label);
    }
}

impl LabelRelease {
    pub(super) fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut parts = Parts::decode(octets)?;
        Ok(Self { fec: parts.fec()?, label: parts.label, status: parts.status })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.fec.encode(out);
        write_label(out, self.label);
        if let Some(status) = self.status {
            status.encode(out);
        }
    }
}

impl LabelAbortRequest {
    pub(super) fn decode(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut parts = Parts::decode(octets)?;
        let request =
            parts.request.ok_or(missing("a Label Abort Request without the request's message ID"))?;
        Ok(Self { fecs: parts.prefixes()?, request })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.fecs.encode(out);
        write_request(out, self.request);
    }
}

fn write_label(out: &mut Vec<u8>, label: Option<Label>) {
    if let Some(label) = label {
        tlv::write(out, tlv::GENERIC_LABEL, |out| out.extend_from_slice(&label.value().to_be_bytes()));
    }
}

fn write_request(out: &mut Vec<u8>, request: MessageId) {
    tlv::write(out, tlv::LABEL_REQUEST_MESSAGE_ID, |out| out.extend_from_slice(&request.0.to_be_bytes()));
}

fn write_attributes(out: &mut Vec<u8>, hop_count: Option<u8>, path_vector: Option<&PathVector>) {
    if let Some(count) = hop_count {
        tlv::write(out, tlv::HOP_COUNT, |out| out.push(count));
    }
    if let Some(vector) = path_vector {
        tlv::write(out, tlv::PATH_VECTOR, |out| {
            vector.0.iter().for_each(|lsr_id| out.extend_from_slice(&lsr_id.octets()));
        });
    }
}
