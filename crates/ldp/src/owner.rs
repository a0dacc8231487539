//! Whose a FEC is, said with each Label Mapping, so that nodes with different network files do not mix ISPs.
//!
//! A vendor-private TLV (RFC 5036 §3.6.1.1) with the U bit, so that other makes pass it over, and the F bit, so that those
//! which pass unknown TLVs on do so. A mapping without it is taken as it is: other makes say none.

use contract::Asn;
use wire::ldp::UnknownTlv;

/// The first of the types for vendors (RFC 5036 §3.6.1).
const KIND: u16 = 0x3e00;
/// The vendor: an OUI of the range that is locally administered ("om"), in the low three octets.
const VENDOR: [u8; 4] = [0, 0x02, 0x6f, 0x6d];

/// Whose a FEC is and which way it leads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Owner {
    /// The ISP.
    pub isp: Asn,
    /// Whether its packets go to the ISP, else to its subscribers.
    pub to_isp: bool,
}

impl Owner {
    pub(crate) fn tlv(self) -> UnknownTlv {
        let mut value = VENDOR.to_vec();
        value.extend(self.isp.0.to_be_bytes());
        value.push(u8::from(self.to_isp));
        UnknownTlv { kind: KIND, forward: true, value }
    }

    /// Whether that is what this says.
    pub(crate) fn is_named_by(tlv: &UnknownTlv) -> bool {
        tlv.kind == KIND && tlv.value.starts_with(&VENDOR)
    }

    /// The owner that a message names, if it does.
    pub(crate) fn named(tlvs: &[UnknownTlv]) -> Option<Self> {
        let ours = tlvs.iter().filter(|tlv| tlv.kind == KIND);
        ours.filter_map(|tlv| tlv.value.strip_prefix(&VENDOR)).find_map(|value| match *value {
            [a, b, c, d, way] => Some(Self { isp: Asn(u32::from_be_bytes([a, b, c, d])), to_isp: way != 0 }),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_found_among_other_vendors_tlvs() {
        let owner = Owner { isp: Asn(64_501), to_isp: true };
        let other = |value: &[u8]| UnknownTlv { kind: KIND, forward: false, value: value.to_vec() };
        assert_eq!(Owner::named(&[other(&[]), other(&[0, 0, 0, 1, 9]), owner.tlv()]), Some(owner));
        assert_eq!(Owner::named(&[other(&[0, 0x02, 0x6f, 0x6d, 1])]), None);
    }
}
