//! The maximum segment size in TCP SYNs (RFC 9293 §3.7.1).

use crate::checksum;
use crate::ip::{IpHeader, protocol};

/// The TCP header's octets without options (RFC 9293 §3.1).
pub const TCP_LEN: usize = 20;

const FLAGS: usize = 13;
const CHECKSUM: usize = 16;
const SYN: u8 = 0x02;
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const MSS_LEN: u8 = 4;

/// The largest segment that fits an IP packet of this many octets without options: what a SYN may announce.
pub const fn mss_for(mtu: u32, ipv6: bool) -> u16 {
    let headers = TCP_LEN + if ipv6 { crate::ip::IPV6_LEN } else { crate::ip::IPV4_LEN };
    let mss = mtu.saturating_sub(headers as u32);
    if mss > u16::MAX as u32 { u16::MAX } else { mss as u16 }
}

/// Lowers the maximum segment size that a SYN or SYN-ACK announces to `most`; the TCP checksum follows (RFC 1624), so one
/// that was wrong stays wrong. Only for octets that [`IpHeader::parse`] took. Whether anything changed: not where there
/// is no such option, where it is as low already, or where options before it are malformed.
///
/// Fragments are left alone, and so is TCP behind IPv6 extension headers, which SYNs in practice do not have.
pub fn clamp_mss(octets: &mut [u8], ip: &IpHeader, most: u16) -> bool {
    if ip.protocol != protocol::TCP || ip.fragment {
        return false;
    }
    let Some(tcp) = octets.get_mut(usize::from(ip.header_len)..ip.total_len as usize) else { return false };
    let Some(at) = mss_at(tcp) else { return false };
    let Some(&[high, low]) = tcp.get(at..).and_then(<[u8]>::first_chunk) else { return false };
    let old = u16::from_be_bytes([high, low]);
    if old <= most {
        return false;
    }
    let [new_high, new_low] = most.to_be_bytes();
    // An option at an odd place straddles two of the words that are summed: the octets swap places (RFC 1071 §2 B).
    let (old, new) = if at % 2 == 0 { (old, most) } else { (old.swap_bytes(), most.swap_bytes()) };
    let Some([sum_high, sum_low]) = tcp.get_mut(CHECKSUM..).and_then(<[u8]>::first_chunk_mut) else {
        return false;
    };
    [*sum_high, *sum_low] =
        checksum::updated(u16::from_be_bytes([*sum_high, *sum_low]), old, new).to_be_bytes();
    if let Some(place) = tcp.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = [new_high, new_low];
    }
    true
}

/// Where the value of the MSS option of a SYN is.
fn mss_at(tcp: &[u8]) -> Option<usize> {
    let header = tcp.first_chunk::<TCP_LEN>()?;
    if header[FLAGS] & SYN == 0 {
        return None;
    }
    let options = tcp.get(..usize::from(header[12] >> 4) * 4)?;
    let mut at = TCP_LEN;
    loop {
        match *options.get(at)? {
            END_OF_OPTIONS => return None,
            NO_OPERATION => at += 1,
            kind => {
                let len = *options.get(at + 1)?;
                let ends = at + usize::from(len);
                if len < 2 || ends > options.len() {
                    return None;
                }
                if kind == MSS {
                    return (len == MSS_LEN).then_some(at + 2);
                }
                at = ends;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{PacketBuilder, TcpOptionElement as Element, TransportHeader};
    use proptest::prelude::*;

    fn syn(v6: bool, options: &[u8], flags: u8, payload: &[u8]) -> Vec<u8> {
        let ip = if v6 {
            PacketBuilder::ipv6([1; 16], [2; 16], 9)
        } else {
            PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 9)
        };
        let mut tcp = ip.tcp(1000, 80, 7, 512);
        if flags & 2 != 0 {
            tcp = tcp.syn();
        }
        if flags & 16 != 0 {
            tcp = tcp.ack(3);
        }
        let mut packet = Vec::new();
        tcp.options_raw(options).unwrap().write(&mut packet, payload).unwrap();
        packet
    }

    /// The MSS and whether the checksum holds, by another reader.
    fn read(packet: &[u8]) -> (Option<u16>, bool) {
        let headers = etherparse::PacketHeaders::from_ip_slice(packet).unwrap();
        let Some(TransportHeader::Tcp(tcp)) = headers.transport else { panic!("not TCP") };
        let payload = headers.payload.slice();
        let sum = match headers.net.unwrap() {
            etherparse::NetHeaders::Ipv4(ip, _) => tcp.calc_checksum_ipv4(&ip, payload),
            etherparse::NetHeaders::Ipv6(ip, _) => tcp.calc_checksum_ipv6(&ip, payload),
            _ => panic!("not IP"),
        };
        let mss = tcp.options_iterator().find_map(|option| match option {
            Ok(Element::MaximumSegmentSize(mss)) => Some(mss),
            _ => None,
        });
        (mss, sum.unwrap() == tcp.checksum)
    }

    fn clamp(packet: &mut [u8], most: u16) -> bool {
        let ip = IpHeader::parse(packet).unwrap();
        clamp_mss(packet, &ip, most)
    }

    #[test]
    fn a_syn_and_a_syn_ack_announce_what_fits() {
        for (v6, flags) in [(false, 2), (false, 18), (true, 2), (true, 18)] {
            for options in [
                &[2, 4, 5, 180][..],
                &[1, 2, 4, 5, 180, 1, 1, 0],
                &[8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 5, 180],
            ] {
                let mut packet = syn(v6, options, flags, b"odd");
                assert!(clamp(&mut packet, 1400));
                assert_eq!(read(&packet), (Some(1400), true), "{options:?}");
                assert!(!clamp(&mut packet, 1400) && !clamp(&mut packet, 1401));
            }
        }
        assert_eq!((mss_for(1500, false), mss_for(1500, true), mss_for(30, true)), (1460, 1440, 0));
        assert_eq!(mss_for(1 << 20, false), u16::MAX);
    }

    #[test]
    fn everything_else_is_left_alone() {
        for (options, flags) in [
            (&[2, 4, 5, 180][..], 16),
            (&[1, 1, 1, 1], 2),
            (&[0, 0, 0, 0, 2, 4, 5, 180], 2),
            (&[8, 0, 2, 4, 5, 180, 0, 0], 2),
            (&[8, 1, 2, 4, 5, 180, 0, 0], 2),
            (&[2, 3, 255, 0], 2),
            (&[1, 1, 2, 4], 2),
            (&[1, 1, 1, 2], 2),
            (&[8, 9, 2, 4], 2),
        ] {
            let packet = syn(false, options, flags, b"");
            let mut clamped = packet.clone();
            assert!(!clamp(&mut clamped, 536), "{options:?} {flags}");
            assert_eq!(clamped, packet);
        }
        let packet = syn(false, &[2, 4, 5, 180], 2, b"");
        for (at, value) in [(6, 0x20), (7, 1), (9, 17), (32, 0xf0), (32, 0x10)] {
            let mut other = packet.clone();
            other[at] = value;
            let before = other.clone();
            assert!(!clamp(&mut other, 536) && other == before, "{at} {value}");
        }
    }

    proptest! {
        #[test]
        fn a_right_checksum_stays_right(
            mss: u16, most: u16, v6: bool, front in 0usize..9, payload in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let [high, low] = mss.to_be_bytes();
            let options = [&vec![1; front][..], &[2, 4, high, low]].concat();
            let mut packet = syn(v6, &options, 2, &payload);
            prop_assert_eq!(clamp(&mut packet, most), mss > most);
            prop_assert_eq!(read(&packet), (Some(mss.min(most)), true));
        }

        #[test]
        fn no_octets_are_too_strange(mut tcp in prop::collection::vec(any::<u8>(), 0..64), most: u16) {
            let mut packet = vec![0x45, 0, 0, 20 + tcp.len() as u8, 0, 0, 0, 0, 9, 6, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
            packet.append(&mut tcp);
            clamp(&mut packet, most);
        }
    }
}
