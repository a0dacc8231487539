//! The lab's namespaces: one for each node, host and shared segment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::netlink::namespace::Namespace;
use crate::netlink::{Netlink, NetlinkError};

/// Where the namespaces are kept; `ip netns` finds them there as well.
const DIRECTORY: &str = "/run/netns";

/// A node, host or shared segment.
#[derive(Debug)]
pub(super) struct Place {
    /// Its namespace.
    pub(super) namespace: Namespace,
    /// A socket in it.
    pub(super) netlink: Netlink,
}

/// All of them by name.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<String, Place>);

impl Places {
    /// A new place, with `lo` up.
    pub(super) async fn add(&mut self, name: &str) -> Result<(), NetlinkError> {
        let namespace = Namespace::create()?;
        std::fs::create_dir_all(DIRECTORY).map_err(NetlinkError::Namespace)?;
        namespace.keep_at(&path(name))?;
        let netlink = Netlink::open_in(&namespace)?;
        netlink.set_up(netlink.link("lo").await?.index, true).await?;
        self.0.insert(name.to_owned(), Place { namespace, netlink });
        Ok(())
    }

    /// The place of this name.
    pub(super) fn at(&self, name: &str) -> Result<&Place, NetlinkError> {
        let none = || std::io::Error::other(format!("the lab has no place `{name}`"));
        self.0.get(name).ok_or_else(|| NetlinkError::Namespace(none()))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Where the namespace of a place is kept.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// The names of all places of the lab whose mount namespace this process is in.
pub(super) fn names() -> Vec<String> {
    let entries = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}
