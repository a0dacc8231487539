//! Fragmentation of IPv4 packets (RFC 791 §3.2).

use crate::checksum;
use crate::ip::{self, IPV4_LEN, IpHeader};

/// How an IPv4 packet is cut into fragments that are no longer than an MTU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragments {
    header_len: usize,
    /// Octets of the header of every fragment but the first, which has all options.
    later_header_len: usize,
    payload_len: usize,
    /// Octets of payload in the first fragment and in each later one but the last: multiples of 8.
    first: usize,
    later: usize,
}

const MORE_FRAGMENTS: u16 = 0x2000;
const FLAGS: u16 = 0xe000;
/// An option that is in every fragment (RFC 791 §3.1).
const COPIED: u8 = 0x80;
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
/// The longest IPv4 header.
const MAX_HEADER: usize = 60;

impl Fragments {
    /// The cuts for a packet that [`IpHeader::parse`] took. `None` for IPv6, for a packet that fits, and where the MTU has
    /// no room for a header and 8 octets.
    pub fn new(octets: &[u8], header: &IpHeader, mtu: u32) -> Option<Self> {
        let (mtu, header_len) = (mtu as usize, usize::from(header.header_len));
        if header.source.is_ipv6() || header.total_len as usize <= mtu {
            return None;
        }
        let later_header_len = IPV4_LEN + copied_options(octets.get(IPV4_LEN..header_len)?).1;
        let room = |header: usize| Some(mtu.checked_sub(header)? & !7).filter(|&room| room > 0);
        Some(Self {
            header_len,
            later_header_len,
            payload_len: header.total_len as usize - header_len,
            first: room(header_len)?,
            later: room(later_header_len)?,
        })
    }

    /// How many fragments there are: two or more.
    pub fn count(&self) -> usize {
        1 + self.payload_len.saturating_sub(self.first).div_ceil(self.later)
    }

    /// Octets of a fragment, counted from zero.
    #[allow(clippy::len_without_is_empty, reason = "fragments are never empty")]
    pub fn len(&self, number: usize) -> usize {
        let header = if number == 0 { self.header_len } else { self.later_header_len };
        let (from, to) = self.range(number);
        header + to - from
    }

    /// Octets of all fragments.
    pub fn octets(&self) -> usize {
        self.header_len + self.later_header_len * (self.count() - 1) + self.payload_len
    }

    /// Writes a later fragment (`number` at least one) of the packet; `out` is as long as [`Self::len`] says. The packet
    /// is whole still: [`Self::cut`] comes last.
    pub fn write(&self, octets: &[u8], number: usize, out: &mut [u8]) {
        let (from, to) = self.range(number);
        let Some((head, body)) = out.split_at_mut_checked(self.later_header_len) else { return };
        let Some(original) = octets.get(..self.header_len) else { return };
        let (base, options) = original.split_at(IPV4_LEN.min(original.len()));
        let (copied, copied_len) = copied_options(options);
        for (place, octet) in head.iter_mut().zip(base.iter().chain(&copied[..copied_len])) {
            *place = *octet;
        }
        if let Some(payload) = octets.get(self.header_len + from..self.header_len + to)
            && payload.len() == body.len()
        {
            body.copy_from_slice(payload);
        }
        finish(head, out_len(head.len(), to - from), from, to < self.payload_len);
    }

    /// Makes the packet its own first fragment: of its octets, [`Self::len`] of zero are left to be sent.
    pub fn cut(&self, octets: &mut [u8]) {
        let (from, to) = self.range(0);
        if let Some(header) = octets.get_mut(..self.header_len) {
            finish(header, out_len(header.len(), to - from), from, to < self.payload_len);
        }
    }

    /// The payload of a fragment.
    fn range(&self, number: usize) -> (usize, usize) {
        let from = match number.checked_sub(1) {
            None => 0,
            Some(before) => self.first + before * self.later,
        };
        let most = if number == 0 { self.first } else { self.later };
        (from.min(self.payload_len), (from + most).min(self.payload_len))
    }
}

fn out_len(header: usize, payload: usize) -> u16 {
    // No more than the packet's own total length, which has 16 bits.
    (header + payload) as u16
}

/// Fills in what differs between fragments: lengths, offset, flags, checksum.
fn finish(header: &mut [u8], total_len: u16, from: usize, more: bool) {
    let words = (header.len() / 4) as u8;
    let before = ip::fragment_offset(header);
    let Some(fixed) = header.first_chunk_mut::<IPV4_LEN>() else { return };
    let flags = u16::from_be_bytes([fixed[6], fixed[7]]) & FLAGS;
    // A fragment of a fragment goes on from it; more follow the last where more followed that.
    let flags = if more { flags | MORE_FRAGMENTS } else { flags };
    fixed[0] = 0x40 | words;
    fixed[2..4].copy_from_slice(&total_len.to_be_bytes());
    fixed[6..8].copy_from_slice(&(flags | (before + (from / 8) as u16) & !FLAGS).to_be_bytes());
    fixed[10..12].copy_from_slice(&[0, 0]);
    let sum = checksum::checksum(header);
    if let Some(place) = header.get_mut(10..12) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

/// The options that every fragment has, padded to words, and their length. What is malformed ends them.
fn copied_options(options: &[u8]) -> ([u8; MAX_HEADER - IPV4_LEN], usize) {
    let mut copied = [END_OF_OPTIONS; MAX_HEADER - IPV4_LEN];
    let (mut at, mut len) = (0, 0);
    while let Some(&kind) = options.get(at) {
        let option = match kind {
            END_OF_OPTIONS => break,
            NO_OPERATION => 1,
            _ => match options.get(at + 1) {
                Some(&option) if option >= 2 => usize::from(option),
                _ => break,
            },
        };
        let Some(octets) = options.get(at..at + option) else { break };
        if kind & COPIED != 0
            && let Some(place) = copied.get_mut(len..len + option)
        {
            place.copy_from_slice(octets);
            len += option;
        }
        at += option;
    }
    (copied, len.next_multiple_of(4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{IpNumber, Ipv4Header};
    use proptest::prelude::*;

    fn packet(options: &[u8], payload: &[u8], change: impl Fn(&mut Ipv4Header)) -> Vec<u8> {
        let mut header = Ipv4Header::new(0, 64, IpNumber::UDP, [192, 0, 2, 1], [198, 51, 100, 2]).unwrap();
        header.options = options.try_into().unwrap();
        header.dont_fragment = false;
        header.identification = 77;
        header.set_payload_len(payload.len()).unwrap();
        change(&mut header);
        header.header_checksum = header.calc_header_checksum();
        [&header.to_bytes()[..], payload].concat()
    }

    /// All fragments of a packet, by what forwarding does.
    fn fragments(packet: &[u8], mtu: u32) -> Option<Vec<Vec<u8>>> {
        let plan = Fragments::new(packet, &IpHeader::parse(packet).unwrap(), mtu)?;
        let mut all = vec![packet.to_vec()];
        for number in 1..plan.count() {
            let mut out = vec![0xee; plan.len(number)];
            plan.write(packet, number, &mut out);
            all.push(out);
        }
        plan.cut(&mut all[0]);
        all[0].truncate(plan.len(0));
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), plan.octets());
        Some(all)
    }

    /// Puts fragments together as RFC 791 says, by another reader; their options.
    fn reassembled(fragments: &[Vec<u8>]) -> (Vec<u8>, Vec<Vec<u8>>, bool) {
        let (mut whole, mut options, mut more) = (Vec::new(), Vec::new(), true);
        let start = Ipv4Header::from_slice(&fragments[0]).unwrap().0.fragment_offset.byte_offset();
        for fragment in fragments {
            let (header, payload) = Ipv4Header::from_slice(fragment).unwrap();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert_eq!(usize::from(header.total_len), fragment.len());
            assert_eq!(header.identification, 77);
            assert_eq!(usize::from(header.fragment_offset.byte_offset() - start), whole.len());
            assert!(more, "a fragment after the last");
            more = header.more_fragments;
            whole.extend(payload);
            options.push(header.options.to_vec());
        }
        (whole, options, more)
    }

    #[test]
    fn the_example_of_rfc_791_a_3() {
        // 472 octets of data at an MTU of 280: 256 (offset 0) and 216 (offset 32).
        let all = fragments(&packet(&[], &[7; 452], |_| {}), 280).unwrap();
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [20 + 256, 20 + 196]);
        assert_eq!((all[0][6..8].to_vec(), all[1][6..8].to_vec()), (vec![0x20, 0], vec![0, 32]));
    }

    #[test]
    fn only_copied_options_are_in_later_fragments() {
        // No operation, record route (not copied), loose source route (copied), end.
        let options = [1, 7, 7, 4, 0, 0, 0, 0, 0x83, 7, 4, 192, 0, 2, 9, 0];
        let payload: Vec<u8> = (0..200).collect();
        let all = fragments(&packet(&options, &payload, |_| {}), 100).unwrap();
        let (whole, found, more) = reassembled(&all);
        assert_eq!((whole, more), (payload, false));
        assert_eq!(found[0], options);
        assert!(found[1..].iter().all(|found| found == &[0x83, 7, 4, 192, 0, 2, 9, 0]));
        for malformed in [[7, 0, 1, 1], [7, 1, 1, 1], [0x83, 9, 1, 1], [1, 1, 1, 7]] {
            let all = fragments(&packet(&malformed, &[0; 90], |_| {}), 60).unwrap();
            assert_eq!(all[1].len() - 20, 40, "{malformed:?}: no options");
        }
    }

    #[test]
    fn what_fits_ipv6_and_an_mtu_without_room_have_no_cuts() {
        assert_eq!(fragments(&packet(&[], &[0; 80], |_| {}), 100), None);
        assert_eq!(fragments(&packet(&[], &[0; 80], |_| {}), 27), None);
        assert_eq!(fragments(&packet(&[], &[0; 80], |_| {}), 28).unwrap().len(), 10);
        assert_eq!(fragments(&packet(&[0; 40], &[0; 80], |_| {}), 67), None);
        let mut ipv6 = vec![0; 140];
        (ipv6[0], ipv6[5]) = (0x60, 100);
        assert_eq!(fragments(&ipv6, 100), None);
    }

    proptest! {
        #[test]
        fn fragments_make_the_whole_again(
            payload in prop::collection::vec(any::<u8>(), 0..600), mtu in 0u32..700, words in 0usize..11,
            options in prop::collection::vec(any::<u8>(), 40), offset in 0u16..4000, last: bool,
        ) {
            let whole = packet(&options[..words * 4], &payload, |header| {
                header.fragment_offset = offset.try_into().unwrap();
                header.more_fragments = !last;
            });
            if let Some(all) = fragments(&whole, mtu) {
                prop_assert!(all.iter().all(|fragment| fragment.len() <= mtu as usize));
                let (found, _, more) = reassembled(&all);
                prop_assert_eq!((found, more), (payload, !last));
                let first = Ipv4Header::from_slice(&all[0]).unwrap().0;
                prop_assert_eq!(first.fragment_offset.value(), offset);
            } else {
                prop_assert!(whole.len() <= mtu as usize || mtu < 68);
            }
        }
    }
}
