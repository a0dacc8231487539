//! The Internet checksum (RFC 1071) and CRC32c (RFC 9260 appendix A).

/// A sum in the making: ones' complement, in network order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds octets; only the last piece added may have an odd number of them.
    pub(crate) fn add(mut self, octets: &[u8]) -> Self {
        let mut words = octets.chunks_exact(4);
        for word in &mut words {
            self.0 += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
        }
        self.0 += match *words.remainder() {
            [a] => u64::from(a) << 8,
            [a, b] => u64::from(u16::from_be_bytes([a, b])),
            [a, b, c] => (u64::from(u16::from_be_bytes([a, b])) << 16) + (u64::from(c) << 8),
            _ => 0,
        };
        self
    }

    /// Adds a number of 32 bits, as if it were four octets.
    pub(crate) fn add_u32(mut self, value: u32) -> Self {
        self.0 += u64::from(value);
        self
    }

    /// The sum folded to 16 bits and complemented: what goes into a header.
    pub(crate) fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        !(sum as u16)
    }
}

const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut crc, mut bit) = (index as u32, 0);
        while bit < 8 {
            // The Castagnoli polynomial, reflected.
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// Adds octets to a CRC32c; starts with `!0`, ends with the complement.
pub(crate) fn crc32c(crc: u32, octets: &[u8]) -> u32 {
    octets.iter().fold(crc, |crc, &octet| CRC32C[usize::from(crc as u8 ^ octet)] ^ crc >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_1071_and_the_check_value_of_crc32c() {
        let sum = Sum::default().add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(!sum.finish(), 0xddf2);
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_sum_as_sixteen_bit_words_do(
            head in proptest::collection::vec(any::<u16>(), 0..20),
            tail in proptest::collection::vec(any::<u8>(), 0..41),
        ) {
            let head: Vec<u8> = head.into_iter().flat_map(u16::to_be_bytes).collect();
            let mut whole = [head.as_slice(), tail.as_slice()].concat();
            if whole.len() % 2 == 1 {
                whole.push(0);
            }
            let mut slow = 0_u32;
            for pair in whole.chunks(2) {
                slow += u32::from(pair[0]) << 8 | u32::from(pair[1]);
                slow = (slow & 0xffff) + (slow >> 16);
            }
            prop_assert_eq!(Sum::default().add(&head).add(&tail).finish(), !(slow as u16));
        }
    }
}
