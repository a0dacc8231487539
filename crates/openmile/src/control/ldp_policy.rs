//! From what the network file says of LDP neighbors, and the passwords beside it, to what the speaker is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ldp::{Advertisement, FecFilter, Gtsm, NeighborPolicy, Neighbors, Password, Protection, Targeted};
use network::NodeView;
use network::model::{
    GtsmMode, LabelAdvertisement, LdpNeighbor, Prefixes, SessionProtection, TargetedMode, WantedNeighbors,
};

use super::error::StartError;

/// How the neighbors of this node are treated; passwords are read from files that are named relative to this folder.
pub(crate) fn neighbors(view: &NodeView, folder: &Path) -> Result<Neighbors, StartError> {
    let any =
        NeighborPolicy { protection: protection(view.ldp.session_protection), ..NeighborPolicy::default() };
    let mut named = BTreeMap::new();
    if view.ldp.neighbors == WantedNeighbors::Named {
        named.extend(view.others.keys().map(|lsr_id| (*lsr_id, any.clone())));
    }
    for neighbor in &view.ldp_neighbors {
        named.insert(neighbor.lsr_id, policy(neighbor, view, folder)?);
    }
    let others = (view.ldp.neighbors == WantedNeighbors::Any).then_some(any);
    Ok(Neighbors { named, others })
}

fn policy(neighbor: &LdpNeighbor, view: &NodeView, folder: &Path) -> Result<NeighborPolicy, StartError> {
    let lsr_id = neighbor.lsr_id;
    let transport_address =
        neighbor.transport_address.or(view.others.get(&lsr_id).copied()).unwrap_or(lsr_id.into());
    let password = neighbor.password_file.as_deref().map(|file| password(neighbor, &folder.join(file)));
    Ok(NeighborPolicy {
        shut: neighbor.shut,
        password: password.transpose()?,
        gtsm: match neighbor.gtsm {
            GtsmMode::Auto => Gtsm::Negotiated,
            GtsmMode::On => Gtsm::Required,
            GtsmMode::Off => Gtsm::Off,
        },
        targeted: match neighbor.targeted {
            TargetedMode::Off => Targeted::Off,
            TargetedMode::Answer => Targeted::Answer(transport_address),
            TargetedMode::On => Targeted::On(transport_address),
        },
        protection: protection(neighbor.session_protection.unwrap_or(view.ldp.session_protection)),
        accept: filter(neighbor.accept.as_ref()),
        advertise: filter(neighbor.advertise.as_ref()),
        max_bindings: neighbor.max_bindings.map(|limit| limit.get() as usize),
        advertisement: match neighbor.advertisement {
            LabelAdvertisement::Unsolicited => Advertisement::DownstreamUnsolicited,
            LabelAdvertisement::OnDemand => Advertisement::DownstreamOnDemand,
        },
    })
}

fn protection(of: SessionProtection) -> Protection {
    match of {
        SessionProtection::Off => Protection::Off,
        SessionProtection::Forever => Protection::Forever,
        SessionProtection::Seconds(seconds) => Protection::For(Duration::from_secs(seconds.into())),
    }
}

fn filter(prefixes: Option<&Prefixes>) -> FecFilter {
    prefixes.map_or(FecFilter::All, |prefixes| FecFilter::Within(prefixes.0.clone()))
}

/// A file's first line.
fn password(neighbor: &LdpNeighbor, file: &Path) -> Result<Password, StartError> {
    let wrong = |why: String| StartError::Password {
        file: file.display().to_string(),
        neighbor: neighbor.lsr_id,
        why,
        longest: Password::MAX_LEN,
    };
    let octets = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let line = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Password::new(line).ok_or_else(|| wrong(format!("its first line has {} octets", line.len())))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use network::Network;

    use super::*;

    const NETWORK: &str = r#"
[network]
name = "test"
[ldp]
neighbors = "named"
[[node]]
name = "a"
lsr_id = "10.255.0.1"
  [[node.port]]
  name = "bb0"
  kind = "backbone"
  [[node.ldp_neighbor]]
  lsr_id = "10.255.0.9"
  password_file = "secret"
  gtsm = "off"
  accept = ["10.254.0.0/16"]
  max_bindings = 5
  advertisement = "on_demand"
[[node]]
name = "b"
lsr_id = "10.255.0.2"
  [[node.port]]
  name = "bb0"
  kind = "backbone"
"#;

    fn view() -> NodeView {
        Network::parse("test", NETWORK).unwrap().node("a").unwrap()
    }

    #[test]
    fn the_files_words_become_the_speakers() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "hush\nnot this\n").unwrap();
        let neighbors = neighbors(&view(), folder.path()).unwrap();
        let [node, other] = [2, 9].map(|n| neighbors.policy(Ipv4Addr::new(10, 255, 0, n)).unwrap());
        assert_eq!(*node, NeighborPolicy::default());
        assert_eq!(other.password, Password::new(b"hush"));
        assert_eq!((other.gtsm, other.max_bindings), (Gtsm::Off, Some(5)));
        assert_eq!(other.advertisement, Advertisement::DownstreamOnDemand);
        assert_eq!(other.accept, FecFilter::Within(vec!["10.254.0.0/16".parse().unwrap()]));
        assert!(neighbors.policy(Ipv4Addr::new(10, 255, 0, 3)).is_none());
    }

    /// Where targeted Hellos go is said here, or by the node that has the LSR-id, or is the LSR-id itself.
    #[test]
    fn targets_and_protection_are_whose_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let address = |n| Ipv4Addr::new(10, 255, 0, n);
        let ip = |n| IpAddr::V4(address(n));
        let text = NETWORK
            .replace("[ldp]\n", "[ldp]\nsession_protection = 600\n")
            .replace("  password_file = \"secret\"\n", "")
            .replace("10.255.0.2\"\n", "10.255.0.2\"\ntransport_address = \"10.255.0.22\"\n")
            .replace(
                "10.255.0.1\"\n",
                "10.255.0.1\"\ntransport_address = \"10.255.0.1\"\ntransport_address_v6 = \"fd00::1\"\n",
            );
        let policy = |keys: &str, n: u8| {
            let named = format!("10.255.0.{n}\"\n  {keys}\n  gtsm");
            let text = text.replace("10.255.0.9\"\n  gtsm", &named);
            let view = Network::parse("test", &text).unwrap().node("a").unwrap();
            neighbors(&view, folder.path()).unwrap().policy(address(n)).unwrap().clone()
        };
        let rows = [
            ("", 2, Targeted::Off, Protection::For(Duration::from_secs(600))),
            ("targeted = \"on\"", 2, Targeted::On(ip(22)), Protection::For(Duration::from_secs(600))),
            (
                "targeted = \"answer\"\n  session_protection = \"off\"",
                9,
                Targeted::Answer(ip(9)),
                Protection::Off,
            ),
            (
                "targeted = \"on\"\n  transport_address = \"10.255.0.33\"\n  session_protection = \"forever\"",
                2,
                Targeted::On(ip(33)),
                Protection::Forever,
            ),
            (
                "targeted = \"on\"\n  transport_address = \"2001:db8::33\"",
                2,
                Targeted::On("2001:db8::33".parse().unwrap()),
                Protection::For(Duration::from_secs(600)),
            ),
        ];
        for (keys, n, targeted, protection) in rows {
            let policy = policy(keys, n);
            assert_eq!((policy.targeted, policy.protection), (targeted, protection), "{keys}");
        }
    }

    #[test]
    fn a_password_that_cannot_be_read_or_used_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        let said = |folder: &Path| neighbors(&view(), folder).unwrap_err().to_string();
        assert!(said(folder.path()).contains("No such file"), "{}", said(folder.path()));
        for text in ["\nsecond", &"x".repeat(81)] {
            std::fs::write(&secret, text).unwrap();
            assert!(said(folder.path()).contains("octets"), "{}", said(folder.path()));
        }
        assert!(said(folder.path()).contains("10.255.0.9"));
    }
}
