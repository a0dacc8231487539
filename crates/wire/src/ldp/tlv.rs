//! Type-length-value encoding (RFC 5036 §3.3).

use super::{DecodeError, StatusCode};

pub(super) const FEC: u16 = 0x0100;
pub(super) const ADDRESS_LIST: u16 = 0x0101;
pub(super) const HOP_COUNT: u16 = 0x0103;
pub(super) const PATH_VECTOR: u16 = 0x0104;
pub(super) const GENERIC_LABEL: u16 = 0x0200;
pub(super) const STATUS: u16 = 0x0300;
pub(super) const EXTENDED_STATUS: u16 = 0x0301;
pub(super) const RETURNED_PDU: u16 = 0x0302;
pub(super) const RETURNED_MESSAGE: u16 = 0x0303;
/// RFC 5561 §8; its U bit is set when it is sent, as are those of the capabilities below.
pub(super) const RETURNED_TLVS: u16 = 0x0304;
pub(super) const COMMON_HELLO: u16 = 0x0400;
pub(super) const IPV4_TRANSPORT_ADDRESS: u16 = 0x0401;
pub(super) const CONFIGURATION_SEQUENCE: u16 = 0x0402;
pub(super) const IPV6_TRANSPORT_ADDRESS: u16 = 0x0403;
pub(super) const COMMON_SESSION: u16 = 0x0500;
pub(super) const ATM_SESSION: u16 = 0x0501;
pub(super) const FRAME_RELAY_SESSION: u16 = 0x0502;
/// RFC 3479 §8.5; its U bit is set when it is sent.
pub(super) const FT_SESSION: u16 = 0x0503;
/// RFC 5561 §9.
pub(super) const DYNAMIC_ANNOUNCEMENT: u16 = 0x0506;
/// RFC 5918 §5.
pub(super) const TYPED_WILDCARD_FEC: u16 = 0x050b;
pub(super) const LABEL_REQUEST_MESSAGE_ID: u16 = 0x0600;
/// RFC 5919 §5.
pub(super) const UNRECOGNIZED_NOTIFICATION: u16 = 0x0603;
/// RFC 7552 §6.1.1; its U bit is set when it is sent.
pub(super) const DUAL_STACK: u16 = 0x0701;

/// The types that are known: one of them where it does not belong is passed over. ATM and Frame Relay labels are not
/// among them: a binding of such a label must not be taken for one without a label.
const KNOWN: [u16; 23] = [
    FEC,
    ADDRESS_LIST,
    HOP_COUNT,
    PATH_VECTOR,
    GENERIC_LABEL,
    STATUS,
    EXTENDED_STATUS,
    RETURNED_PDU,
    RETURNED_MESSAGE,
    RETURNED_TLVS,
    COMMON_HELLO,
    IPV4_TRANSPORT_ADDRESS,
    CONFIGURATION_SEQUENCE,
    IPV6_TRANSPORT_ADDRESS,
    COMMON_SESSION,
    ATM_SESSION,
    FRAME_RELAY_SESSION,
    FT_SESSION,
    DYNAMIC_ANNOUNCEMENT,
    TYPED_WILDCARD_FEC,
    LABEL_REQUEST_MESSAGE_ID,
    UNRECOGNIZED_NOTIFICATION,
    DUAL_STACK,
];

const U_BIT: u16 = 0x8000;
const F_BIT: u16 = 0x4000;
const TYPE_MASK: u16 = 0x3fff;

/// A TLV of a type that is not known here, and whose U bit says that this is no error.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UnknownTlv {
    /// The type, 14 bits; higher bits are not sent.
    pub kind: u16,
    /// The F bit: pass it on with the message that it came in, where that is propagated.
    pub forward: bool,
    /// The value.
    pub value: Vec<u8>,
}

impl UnknownTlv {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let flags = if self.forward { U_BIT | F_BIT } else { U_BIT };
        write(out, flags | self.kind & TYPE_MASK, |out| out.extend_from_slice(&self.value));
    }
}

/// A TLV as it is on the wire, whatever its type.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RawTlv {
    /// The U bit, the F bit and the type.
    pub word: u16,
    /// The value.
    pub value: Vec<u8>,
}

impl RawTlv {
    /// The type, 14 bits.
    pub const fn kind(&self) -> u16 {
        self.word & TYPE_MASK
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        write(out, self.word, |out| out.extend_from_slice(&self.value));
    }
}

/// A TLV as it came.
#[derive(Clone, Copy)]
pub(super) struct Tlv<'a> {
    unknown_bit: bool,
    forward_bit: bool,
    pub(super) kind: u16,
    pub(super) value: Value<'a>,
}

impl Tlv<'_> {
    /// The TLV itself.
    pub(super) fn raw(&self) -> RawTlv {
        let flags = if self.unknown_bit { U_BIT } else { 0 } | if self.forward_bit { F_BIT } else { 0 };
        RawTlv { word: flags | self.kind, value: self.value.0.to_vec() }
    }

    /// The TLV if it is of an unknown type and its U bit says that this is an error.
    pub(super) fn must_be_understood(&self) -> Option<RawTlv> {
        (!self.unknown_bit && !KNOWN.contains(&self.kind)).then(|| self.raw())
    }

    /// What to do with a TLV that the message has no use for: known types are passed over, unknown ones are kept if the
    /// U bit is set and else refused (RFC 5036 §3.3).
    pub(super) fn unused(&self) -> Result<Option<UnknownTlv>, DecodeError> {
        if KNOWN.contains(&self.kind) {
            Ok(None)
        } else if self.unknown_bit {
            Ok(Some(UnknownTlv { kind: self.kind, forward: self.forward_bit, value: self.value.0.to_vec() }))
        } else {
            Err(DecodeError::new(StatusCode::UNKNOWN_TLV, "a TLV of unknown type that must be understood"))
        }
    }
}

/// A message's TLVs in their order.
pub(super) struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(super) fn next(&mut self) -> Result<Option<Tlv<'a>>, DecodeError> {
        const CUT: DecodeError =
            DecodeError::new(StatusCode::BAD_TLV_LENGTH, "a TLV runs beyond its message");
        if self.0.is_empty() {
            return Ok(None);
        }
        let (&[a, b, c, d], rest) = self.0.split_first_chunk().ok_or(CUT)?;
        let (kind, length) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let (value, rest) = rest.split_at_checked(length.into()).ok_or(CUT)?;
        self.0 = rest;
        Ok(Some(Tlv {
            unknown_bit: kind & U_BIT != 0,
            forward_bit: kind & F_BIT != 0,
            kind: kind & TYPE_MASK,
            value: Value(value),
        }))
    }
}

/// The value of a TLV, read from the front.
#[derive(Clone, Copy)]
pub(super) struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    pub(super) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next `N` octets.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (octets, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*octets)
    }

    /// The next `len` octets.
    pub(super) fn take_slice(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (octets, rest) = self.0.split_at_checked(len).ok_or(SHORT)?;
        self.0 = rest;
        Ok(octets)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.take().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.take().map(u32::from_be_bytes)
    }

    /// All that is left.
    pub(super) const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// The TLVs that the value is made of.
    pub(super) fn raw_tlvs(self) -> Result<Vec<RawTlv>, DecodeError> {
        let mut tlvs = Tlvs::new(self.0);
        let mut raw = Vec::new();
        while let Some(tlv) = tlvs.next()? {
            raw.push(tlv.raw());
        }
        Ok(raw)
    }

    /// The whole value, which must have exactly this length.
    pub(super) fn exactly<const N: usize>(self) -> Result<[u8; N], DecodeError> {
        self.0.try_into().map_err(|_| WRONG)
    }

    /// Refuses what is left over.
    pub(super) const fn end(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(WRONG) }
    }
}

const SHORT: DecodeError =
    DecodeError::new(StatusCode::BAD_TLV_LENGTH, "a TLV is shorter than what is in it");
const WRONG: DecodeError =
    DecodeError::new(StatusCode::BAD_TLV_LENGTH, "a TLV has not the length of its type");

/// Keeps the first TLV of a kind: of a second one the RFC says nothing, and the first is what others keep (RFC 7552 §6.1
/// asks for it in Hellos).
pub(super) fn keep_first<T>(place: &mut Option<T>, value: T) {
    place.get_or_insert(value);
}

/// Writes a TLV; `kind` includes the U and F bits. The value is shorter than 65536 octets by the limits of its types,
/// and a message that is too long for its PDU is refused later.
pub(super) fn write(out: &mut Vec<u8>, kind: u16, value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&kind.to_be_bytes());
    write_counted(out, value);
}

/// Writes a 16-bit count of octets and then the octets.
pub(super) fn write_counted(out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    value(out);
    let length = u16::try_from(out.len() - at - 2).unwrap_or(u16::MAX);
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// The type of a TLV that is sent with the U bit, so that who does not know it passes it over.
pub(super) const fn optional(kind: u16) -> u16 {
    kind | U_BIT
}

/// The type with the F bit if `forward`.
pub(super) const fn with_forward(kind: u16, forward: bool) -> u16 {
    if forward { kind | F_BIT } else { kind }
}
