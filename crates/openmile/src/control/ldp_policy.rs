//! From what the network file says of LDP neighbors, and the passwords beside it, to what the speaker is told.

use std::collections::BTreeMap;
use std::path::Path;

use ldp::{FecFilter, Gtsm, NeighborPolicy, Neighbors, Password};
use network::NodeView;
use network::model::{GtsmMode, LdpNeighbor, Prefixes, WantedNeighbors};

use super::error::StartError;

/// How the neighbors of this node are treated; passwords are read from files that are named relative to this folder.
pub(crate) fn neighbors(view: &NodeView, folder: &Path) -> Result<Neighbors, StartError> {
    let mut named = BTreeMap::new();
    if view.ldp.neighbors == WantedNeighbors::Named {
        named.extend(view.others.iter().map(|lsr_id| (*lsr_id, NeighborPolicy::default())));
    }
    for neighbor in &view.ldp_neighbors {
        named.insert(neighbor.lsr_id, policy(neighbor, folder)?);
    }
    let others = (view.ldp.neighbors == WantedNeighbors::Any).then(NeighborPolicy::default);
    Ok(Neighbors { named, others })
}

fn policy(neighbor: &LdpNeighbor, folder: &Path) -> Result<NeighborPolicy, StartError> {
    let password = neighbor.password_file.as_deref().map(|file| password(neighbor, &folder.join(file)));
    Ok(NeighborPolicy {
        shut: neighbor.shut,
        password: password.transpose()?,
        gtsm: match neighbor.gtsm {
            GtsmMode::Auto => Gtsm::Negotiated,
            GtsmMode::On => Gtsm::Required,
            GtsmMode::Off => Gtsm::Off,
        },
        accept: filter(neighbor.accept.as_ref()),
        advertise: filter(neighbor.advertise.as_ref()),
        max_bindings: neighbor.max_bindings.map(|limit| limit.get() as usize),
        // The network file has no key for how labels are distributed.
        ..NeighborPolicy::default()
    })
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
    use std::net::Ipv4Addr;

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
        assert_eq!(other.accept, FecFilter::Within(vec!["10.254.0.0/16".parse().unwrap()]));
        assert!(neighbors.policy(Ipv4Addr::new(10, 255, 0, 3)).is_none());
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
