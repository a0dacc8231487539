//! What the lab's payloads consist of, so that each octet says whose it is.

/// The payload of one flow: eight octets, again and again. The high half of each names the ISP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::lab) struct Tag([u8; 8]);

/// The high half of every octet of an ISP's payloads: never 4 or 6, as an IP header would begin with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(in crate::lab) struct IspMark(pub(in crate::lab) u8);

impl IspMark {
    /// Payloads that are to reach nobody.
    pub(in crate::lab) const NOBODY: Self = Self(0xf0);

    /// Payloads that may reach anybody: of subscribers that change their ISP, or have several.
    pub(in crate::lab) const ANYBODY: Self = Self(0x70);

    /// The mark of the n-th ISP of the network.
    pub(in crate::lab) fn of(number: usize) -> Self {
        Self(0x80 | ((number as u8 % 7) << 4))
    }

    /// Whether an octet can be of this ISP's payloads.
    #[cfg(test)]
    fn is_on(self, octet: u8) -> bool {
        octet & 0xf0 == self.0
    }
}

impl Tag {
    /// The tag of the n-th flow of an ISP.
    pub(in crate::lab) fn new(isp: IspMark, flow: usize) -> Self {
        let digit = |shift: usize| isp.0 | (flow >> shift & 0xf) as u8;
        Self([isp.0 | 0xf, digit(8), digit(4), digit(0), isp.0, isp.0 | 1, isp.0 | 2, isp.0 | 3])
    }

    /// Fills in what stands at this offset of the flow's payload.
    pub(in crate::lab) fn fill(self, offset: u64, payload: &mut [u8]) {
        for (octet, at) in payload.iter_mut().zip(offset..) {
            *octet = self.0[(at % 8) as usize];
        }
    }

    /// Where, counted from the payload's beginning, something else stands than what should.
    pub(in crate::lab) fn mismatch(self, offset: u64, payload: &[u8]) -> Option<u64> {
        let wrong = |(octet, at): &(&u8, u64)| **octet != self.0[(at % 8) as usize];
        payload.iter().zip(offset..).find(wrong).map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_names_the_isp_and_a_wrong_one_is_found() {
        let (alpha, beta) = (IspMark::of(0), IspMark::of(1));
        let mut payload = [0; 100];
        Tag::new(alpha, 0x123).fill(5, &mut payload);
        assert!(payload.iter().all(|octet| alpha.is_on(*octet) && !beta.is_on(*octet)));
        assert_eq!(Tag::new(alpha, 0x123).mismatch(5, &payload), None);
        assert!(Tag::new(alpha, 0x124).mismatch(5, &payload).is_some());
        payload[60] ^= 1;
        assert_eq!(Tag::new(alpha, 0x123).mismatch(5, &payload), Some(65));
    }
}
