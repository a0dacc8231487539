//! What the kernel of a namespace counted (RFC 4293: `ip_statistics`), as the hosts' own view of their traffic.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use contract::counters::Traffic;

use super::traffic::in_namespace;
use crate::netlink::namespace::Namespace;

/// Every counter of the kernel's IP, by its name in `/proc/net/snmp`, `netstat` and `snmp6`; the first two with their
/// group before them (`Ip.InReceives`, `IpExt.InOctets`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct KernelCounters(BTreeMap<String, u64>);

impl KernelCounters {
    /// Those of a namespace, now.
    pub(super) fn read(namespace: &Namespace) -> io::Result<Self> {
        let texts = namespace.run(|| {
            let read = |name: &str| std::fs::read_to_string(Path::new("/proc/thread-self/net").join(name));
            Ok::<_, io::Error>((read("snmp")?, read("netstat")?, read("snmp6")?))
        });
        let (snmp, netstat, snmp6) = texts.map_err(in_namespace)??;
        let mut counters = BTreeMap::new();
        two_lines(&snmp, &mut counters);
        two_lines(&netstat, &mut counters);
        for line in snmp6.lines() {
            if let Some((name, value)) = line.split_once(char::is_whitespace)
                && let Ok(value) = value.trim().parse()
            {
                counters.insert(name.to_owned(), value);
            }
        }
        Ok(Self(counters))
    }

    /// A counter; zero if this kernel has none of this name.
    pub(super) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// By how much a counter grew since.
    pub(super) fn since(&self, earlier: &Self, name: &str) -> u64 {
        self.of(name).saturating_sub(earlier.of(name))
    }

    /// All IP packets, of both versions, that were received; with everything that is no ISP's business, such as Neighbor
    /// Discovery.
    pub(super) fn received(&self) -> Traffic {
        Traffic {
            packets: self.of("Ip.InReceives") + self.of("Ip6InReceives"),
            octets: self.of("IpExt.InOctets") + self.of("Ip6InOctets"),
        }
    }
}

/// A line of names, then a line of values, both beginning with the group's name.
fn two_lines(text: &str, counters: &mut BTreeMap<String, u64>) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((group, names)), Some((_, values))) = (names.split_once(':'), values.split_once(':'))
        else {
            continue;
        };
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            // A few are negative (`Tcp.MaxConn`), and none that is asked for.
            counters.insert(format!("{group}.{name}"), value.parse().unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_paired() {
        let mut counters = BTreeMap::new();
        two_lines("Ip: InReceives Other\nIp: 17 -1\nUdp: NoPorts\nUdp: 3\n", &mut counters);
        let counters = KernelCounters(counters);
        assert_eq!((counters.of("Ip.InReceives"), counters.of("Udp.NoPorts")), (17, 3));
        assert_eq!((counters.of("Ip.Other"), counters.of("Ip.Missing")), (0, 0));
    }
}
