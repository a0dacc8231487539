//! Watches the backbone's cables: which labels are on them, and that nothing of an ISP's is there without one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use api::{FecRow, ShowWhat};
use contract::PortKind;
use miette::IntoDiagnostic;
use port::capture::{Capture, Direction};

use super::checks::Checks;
use super::place::Places;
use super::plan::{Plan, ports_of};
use super::recorder::filter;
use super::watch::Nodes;

const SNAPLEN: u32 = 256;
const ETHERNET: usize = 14;
const ETHERTYPE_MPLS: u16 = 0x8847;

/// Recorders on all backbone ports.
#[derive(Debug)]
pub(super) struct Watch(Vec<Port>);

#[derive(Debug)]
struct Port {
    node: String,
    port: String,
    capture: Capture,
    labels: BTreeMap<(Direction, u32), u64>,
    bare: BTreeSet<String>,
}

impl Watch {
    /// Watches from now on. Labelled frames are only looked at where there are few of them.
    pub(super) fn start(plan: &Plan, places: &Places, with_labels: bool) -> miette::Result<Self> {
        let mut ports = Vec::new();
        for node in plan.network.nodes() {
            let name = node.name.as_str();
            let namespace = &places.at(name).into_diagnostic()?.namespace;
            for port in ports_of(node, PortKind::Backbone) {
                let port = port.name.as_str();
                let open = || -> io::Result<Capture> {
                    let capture = Capture::open(port, SNAPLEN).map_err(io::Error::other)?;
                    if !with_labels {
                        filter::attach(capture.as_fd(), &filter::not_of_ethertype(ETHERTYPE_MPLS))?;
                    }
                    Ok(capture)
                };
                let capture = namespace.run(open).into_diagnostic()?.into_diagnostic()?;
                let (node, port) = (name.to_owned(), port.to_owned());
                ports.push(Port { node, port, capture, labels: BTreeMap::new(), bare: BTreeSet::new() });
            }
        }
        Ok(Self(ports))
    }

    /// Reads what came since.
    pub(super) fn read(&mut self) -> miette::Result<()> {
        for port in &mut self.0 {
            while let Some(frame) = port.capture.next_frame().into_diagnostic()? {
                match judge(frame.octets) {
                    Found::Label(label) => *port.labels.entry((frame.direction, label)).or_default() += 1,
                    Found::Bare(what) => _ = port.bare.insert(what),
                    Found::Backbone => {}
                }
            }
        }
        Ok(())
    }

    /// Checks that the labels on the cables are those that the nodes' FEC tables show.
    pub(super) async fn check_labels(mut self, nodes: &Nodes, checks: &mut Checks) -> miette::Result<()> {
        self.read()?;
        let mut against = Vec::new();
        let mut seen = BTreeMap::<_, BTreeSet<u32>>::new();
        for (node, client) in nodes.iter() {
            let rows: Vec<FecRow> = client.show(ShowWhat::Fec).await.into_diagnostic()?;
            for port in self.0.iter().filter(|port| port.node == node) {
                for ((direction, label), frames) in &port.labels {
                    let shown = |row: &FecRow| match direction {
                        Direction::In => row.in_label.is_some_and(|l| l.value() == *label),
                        Direction::Out => {
                            row.port.as_deref() == Some(&port.port)
                                && row.out_label.is_some_and(|l| l.value() == *label)
                        }
                    };
                    seen.entry(node).or_default().insert(*label);
                    if !rows.iter().any(shown) {
                        let way = format!("{direction:?}").to_lowercase();
                        against
                            .push(format!("{frames} frames with label {label} {way} {node} {}", port.port));
                    }
                }
            }
            if !seen.contains_key(node) {
                against.push(format!("{node} has carried no labelled frame"));
            }
        }
        let words = |(node, labels): (&&str, &BTreeSet<u32>)| {
            let labels: Vec<_> = labels.iter().map(u32::to_string).collect();
            format!("{node} {}", labels.join(" "))
        };
        let seen: Vec<_> = seen.iter().map(words).collect();
        let claim = "the labels on the backbone are those of the nodes' FEC tables";
        checks.none_against(against, claim, seen.join(", "));
        Ok(())
    }

    /// Checks that only the nodes' own packets were on the cables without a label.
    pub(super) fn check_bare(mut self, checks: &mut Checks) -> miette::Result<()> {
        self.read()?;
        let words = |port: &Port| {
            let place = format!("{} {}", port.node, port.port);
            port.bare.iter().map(move |what| format!("{what} on {place}")).collect::<Vec<_>>()
        };
        let against: Vec<_> = self.0.iter().flat_map(words).collect();
        let claim = "no packet of an ISP or subscriber was on the backbone without a label";
        checks.none_against(against, claim, format!("{} backbone ports were watched", self.0.len()));
        Ok(())
    }
}

/// What a frame on the backbone is.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Labelled: the topmost label.
    Label(u32),
    /// The nodes' own, or the link's.
    Backbone,
    /// Neither.
    Bare(String),
}

fn judge(frame: &[u8]) -> Found {
    let Some((header, packet)) = frame.split_at_checked(ETHERNET) else {
        return Found::Bare("a frame without a header".to_owned());
    };
    match (u16::from_be_bytes([header[12], header[13]]), packet) {
        (ETHERTYPE_MPLS, [a, b, c, ..]) => Found::Label(u32::from_be_bytes([0, *a, *b, *c]) >> 4),
        (0x0806, _) => Found::Backbone,
        (0x0800, packet) => match (address_at::<4>(packet, 12), address_at::<4>(packet, 16)) {
            (Some(source), Some(destination)) => {
                let (source, destination) = (Ipv4Addr::from(source), Ipv4Addr::from(destination));
                let own = |address: Ipv4Addr| address.octets()[0] == 10 || address.is_multicast();
                match own(source) && own(destination) {
                    true => Found::Backbone,
                    false => Found::Bare(format!("{source} to {destination}")),
                }
            }
            _ => Found::Bare("an IPv4 packet without a header".to_owned()),
        },
        (0x86dd, packet) => match (address_at::<16>(packet, 8), address_at::<16>(packet, 24)) {
            (Some(source), Some(destination)) => {
                let (source, destination) = (Ipv6Addr::from(source), Ipv6Addr::from(destination));
                let own = |a: Ipv6Addr| a.is_unicast_link_local() || a.is_multicast() || a.is_unspecified();
                match own(source) && own(destination) {
                    true => Found::Backbone,
                    false => Found::Bare(format!("{source} to {destination}")),
                }
            }
            _ => Found::Bare("an IPv6 packet without a header".to_owned()),
        },
        (other, _) => Found::Bare(format!("EtherType 0x{other:04x}")),
    }
}

fn address_at<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_and_strangers_are_found() {
        let mut frame = vec![0; ETHERNET + 40];
        frame[12..14].copy_from_slice(&[0x88, 0x47]);
        frame[ETHERNET..ETHERNET + 4].copy_from_slice(&[0x00, 0x01, 0x21, 0xff]);
        assert_eq!(judge(&frame), Found::Label(18));
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        frame[ETHERNET + 12..ETHERNET + 16].copy_from_slice(&[10, 255, 0, 1]);
        frame[ETHERNET + 16..ETHERNET + 20].copy_from_slice(&[224, 0, 0, 2]);
        assert_eq!(judge(&frame), Found::Backbone);
        frame[ETHERNET + 12] = 100;
        assert_eq!(judge(&frame), Found::Bare("100.255.0.1 to 224.0.0.2".to_owned()));
    }
}
