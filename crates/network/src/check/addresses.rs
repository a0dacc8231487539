//! Which addresses can be whose.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Why an address cannot be one host's; `None` if it can.
pub(super) fn not_a_host(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_a_host_v4(address),
        IpAddr::V6(address) => not_a_host_v6(address),
    }
}

fn not_a_host_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("means \"this network\" (RFC 1122)"),
        [127, ..] => Some("is a loopback address"),
        [169, 254, ..] => Some("is a link-local address"),
        [224..=239, ..] => Some("is a multicast address"),
        [240..=255, ..] => Some("is reserved (RFC 1112)"),
        _ => None,
    }
}

fn not_a_host_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("is the unspecified address")
    } else if address.is_loopback() {
        Some("is the loopback address")
    } else if address.is_multicast() {
        Some("is a multicast address")
    } else if address.is_unicast_link_local() {
        Some("is a link-local address")
    } else if address.to_ipv4_mapped().is_some() {
        Some("is an IPv4 address in disguise")
    } else {
        None
    }
}

/// Why a prefix cannot be hosts' addresses, not even in part.
pub(super) fn not_for_hosts(prefix: IpNet) -> Option<&'static str> {
    const V4: [(Ipv4Addr, u8); 5] = [
        (Ipv4Addr::UNSPECIFIED, 8),
        (Ipv4Addr::new(127, 0, 0, 0), 8),
        (Ipv4Addr::new(169, 254, 0, 0), 16),
        (Ipv4Addr::new(224, 0, 0, 0), 4),
        (Ipv4Addr::new(240, 0, 0, 0), 4),
    ];
    const V6: [(Ipv6Addr, u8); 4] = [
        (Ipv6Addr::UNSPECIFIED, 127),
        (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
        (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
        (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
    ];
    let v4 = V4.iter().map(|(address, length)| (IpAddr::V4(*address), *length));
    let v6 = V6.iter().map(|(address, length)| (IpAddr::V6(*address), *length));
    v4.chain(v6).find_map(|(address, length)| {
        let special = IpNet::new(address, length).ok()?;
        overlap(special, prefix).then(|| not_a_host(address)).flatten()
    })
}

/// Whether two prefixes have addresses in common.
pub(super) fn overlap(one: IpNet, other: IpNet) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// Why an address of a link cannot be a station's on it, by its place in the link's prefix: IPv4's network and broadcast
/// address (not where there are only two addresses, RFC 3021), IPv6's subnet-router anycast address (RFC 4291 §2.6.1; not
/// where there are only two, RFC 6164).
pub(super) fn not_a_station(address: IpAddr, link: IpNet) -> Option<&'static str> {
    if link.max_prefix_len() - link.prefix_len() < 2 {
        return None;
    }
    match link {
        IpNet::V4(_) if address == link.network() => Some("is the prefix's network address"),
        IpNet::V4(_) if address == link.broadcast() => Some("is the prefix's broadcast address"),
        IpNet::V6(_) if address == link.network() => Some("is the prefix's subnet-router anycast address"),
        _ => None,
    }
}

/// The first address of a prefix that can be a station's and is not this one.
pub(super) fn another(link: IpNet, not: IpAddr) -> Option<IpAddr> {
    link.hosts().take(4).find(|host| *host != not && not_a_station(*host, link).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_unicast_and_of_global_or_private_scope() {
        for good in ["10.0.0.1", "192.0.2.1", "100.64.0.1", "2001:db8::1", "fd00::1"] {
            assert_eq!(not_a_host(good.parse().unwrap()), None, "{good}");
        }
        for bad in
            ["0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.2", "255.255.255.255", "::", "::1", "fe80::1"]
        {
            assert!(not_a_host(bad.parse().unwrap()).is_some(), "{bad}");
        }
    }

    #[test]
    fn prefixes_that_reach_into_special_ones_are_not_for_hosts() {
        for good in ["10.0.0.0/8", "100.64.0.0/24", "2001:db8::/32", "fd00::/8"] {
            assert_eq!(not_for_hosts(good.parse().unwrap()), None, "{good}");
        }
        for bad in ["0.0.0.0/0", "126.0.0.0/7", "224.1.0.0/16", "::/0", "fe80::/64", "ff05::/16", "::/64"] {
            assert!(not_for_hosts(bad.parse().unwrap()).is_some(), "{bad}");
        }
    }

    #[test]
    fn the_ends_of_a_link_are_no_stations() {
        let link = |text: &str| text.parse::<IpNet>().unwrap();
        let host = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(not_a_station(host("192.0.2.0"), link("192.0.2.1/30")).is_some());
        assert!(not_a_station(host("192.0.2.3"), link("192.0.2.1/30")).is_some());
        assert!(not_a_station(host("192.0.2.0"), link("192.0.2.0/31")).is_none());
        assert!(not_a_station(host("2001:db8::"), link("2001:db8::/64")).is_some());
        assert!(not_a_station(host("2001:db8::"), link("2001:db8::/127")).is_none());
        assert_eq!(another(link("192.0.2.1/30"), host("192.0.2.1")), Some(host("192.0.2.2")));
    }
}
