//! Custody of devices: the namespace that access and handoff ports are kept in, and how the devices in it were found.
//!
//! The namespace is bind-mounted in the runtime directory, so that it and the devices in it outlive a killed forwarder;
//! the next one goes on with what it finds. A device is written down before it is moved: whatever happens after, it can
//! be given back as it was.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::netlink::link::Link;
use crate::netlink::namespace::Namespace;
use crate::netlink::{Netlink, NetlinkError};
use crate::runtime_dir::RuntimeDir;

/// The file type of namespaces (`NSFS_MAGIC` in linux/magic.h).
const NSFS: u64 = 0x6e73_6673;
/// Every namespace has one of its own.
pub(super) const LOOPBACK: &str = "lo";
/// The longest device name (`IFNAMSIZ` less the zero).
const NAME_MAX: usize = 15;

/// Why devices cannot be taken or given back.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub(crate) enum CustodyError {
    /// The kernel refused.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The record of how devices were found cannot be written or read.
    #[error("{path}: {source}")]
    Record {
        /// The file.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// Some devices are still in the namespace.
    #[error("not given back: {0}")]
    Left(String),
}

/// The namespace for ports, and the one that the devices belong to.
pub(super) struct Custody {
    /// Where the forwarder was started.
    pub(super) home: Namespace,
    /// Where ports are kept.
    pub(super) ports: Namespace,
    dir: RuntimeDir,
    found: BTreeMap<String, Found>,
}

/// How a device was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
struct Found {
    up: bool,
}

impl Custody {
    /// Adopts the namespace that an earlier forwarder left, or makes one.
    pub(super) fn take(dir: &RuntimeDir) -> Result<Self, CustodyError> {
        let home = Namespace::current()?;
        let path = dir.ports_namespace();
        let ports = if is_namespace(&path) {
            tracing::info!("adopting {} of an earlier run", path.display());
            Namespace::open(&path)?
        } else {
            let made = Namespace::create()?;
            made.keep_at(&path)?;
            made
        };
        // Before any device is in it: the kernel must not so much as solicit on a subscriber's line. A kernel without
        // IPv6 has nothing to disable.
        for scope in ["all", "default"] {
            match ports.set_sysctl(&format!("ipv6/conf/{scope}/disable_ipv6"), "1") {
                Err(NetlinkError::Kernel { error, .. }) if error.kind() == ErrorKind::NotFound => {}
                done => done?,
            }
        }
        Ok(Self { home, ports, dir: dir.clone(), found: read(&dir.devices())? })
    }

    /// Moves a device of the home namespace into the one for ports, and sets it up there.
    pub(super) async fn take_in(
        &mut self,
        home: &Netlink,
        ports: &Netlink,
        link: &Link,
    ) -> Result<(), CustodyError> {
        self.found.insert(link.name.clone(), Found { up: link.up });
        self.write()?;
        home.move_to(link.index, &self.ports).await?;
        let moved = ports.link(&link.name).await?;
        Ok(ports.set_up(moved.index, true).await?)
    }

    /// Moves a device back home, up or down as it was found.
    pub(super) async fn give_back(
        &mut self,
        home: &Netlink,
        ports: &Netlink,
        link: &Link,
    ) -> Result<(), CustodyError> {
        let name = match home.link(&link.name).await {
            Err(NetlinkError::NoSuchLink(_)) => link.name.clone(),
            _ => {
                let other = format!("om-{}", link.name).chars().take(NAME_MAX).collect();
                tracing::error!(
                    "there is another device `{}` now: ours is given back as `{other}`",
                    link.name
                );
                other
            }
        };
        ports.move_to_as(link.index, &self.home, &name).await?;
        // One that is not in the record was put in by somebody else: down is how it comes out.
        if self.found.get(&link.name).is_some_and(|found| found.up) {
            home.set_up(home.link(&name).await?.index, true).await?;
        }
        tracing::info!("device `{name}` is given back");
        self.found.remove(&link.name);
        self.write()
    }

    /// Gives everything back and removes the namespace.
    pub(super) async fn end(mut self, home: &Netlink, ports: &Netlink) -> Result<(), CustodyError> {
        let mut left = Vec::new();
        for link in ports.links().await? {
            if link.name == LOOPBACK {
                continue;
            }
            if let Err(error) = self.give_back(home, ports, &link).await {
                left.push(format!("`{}` ({error})", link.name));
            }
        }
        if !left.is_empty() {
            // Removed with the namespace, a virtual device would be destroyed.
            return Err(CustodyError::Left(left.join(", ")));
        }
        Namespace::release(&self.dir.ports_namespace())?;
        match std::fs::remove_file(self.dir.devices()) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(record(&self.dir.devices(), source)),
            _ => Ok(()),
        }
    }

    fn write(&self) -> Result<(), CustodyError> {
        let path = self.dir.devices();
        let new = path.with_extension("new");
        let write = || {
            std::fs::write(&new, serde_json::to_vec(&self.found)?)?;
            std::fs::rename(&new, &path)
        };
        write().map_err(|source| record(&path, source))
    }
}

/// Gives back what a forwarder that was killed left, and removes the namespace; nothing to do after a clean stop.
pub(crate) fn give_back(dir: &RuntimeDir) -> Result<(), CustodyError> {
    let path = dir.ports_namespace();
    if !is_namespace(&path) {
        // The mount is gone (another boot, another mount namespace) but the file it was on is not.
        return match std::fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(record(&path, source)),
            _ => Ok(()),
        };
    }
    let custody = Custody::take(dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| record(&path, source))?.block_on(async {
        let (home, ports) = (Netlink::open()?, Netlink::open_in(&custody.ports)?);
        custody.end(&home, &ports).await
    })
}

fn is_namespace(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(NSFS))
}

fn read(path: &Path) -> Result<BTreeMap<String, Found>, CustodyError> {
    match std::fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!("{}: {error}: devices will be given back down", path.display());
            BTreeMap::new()
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(source) => Err(record(path, source)),
    }
}

fn record(path: &Path, source: io::Error) -> CustodyError {
    CustodyError::Record { path: path.display().to_string(), source }
}
