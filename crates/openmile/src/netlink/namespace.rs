//! Network namespaces: made, entered and kept.
//!
//! A thread is in one namespace at a time and sockets stay where they were opened, so what is to happen in another
//! namespace runs in a thread of its own, which ends with it.
#![allow(unsafe_code)] // unshare(2), see the SAFETY comment

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::NetlinkError;

/// A network namespace, held open.
#[derive(Debug)]
pub(crate) struct Namespace(OwnedFd);

impl Namespace {
    /// The calling thread's.
    pub(crate) fn current() -> Result<Self, NetlinkError> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// The one that is kept at a path ([`Self::keep_at`]), or a process's.
    pub(crate) fn open(path: &Path) -> Result<Self, NetlinkError> {
        File::open(path).map(|file| Self(file.into())).map_err(NetlinkError::Namespace)
    }

    /// A new one, empty but for `lo`, which is down. It lasts as long as this, a thread, a socket or a mount holds it.
    pub(crate) fn create() -> Result<Self, NetlinkError> {
        in_thread(|| {
            // SAFETY: a new network namespace changes neither the file descriptors nor the memory of this thread, which
            // is what makes `unshare` unsafe with other flags.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.map_err(|e| NetlinkError::Namespace(e.into()))?;
            Self::current()
        })?
    }

    /// The same one, held open once more.
    pub(crate) fn again(&self) -> Result<Self, NetlinkError> {
        self.0.try_clone().map(Self).map_err(NetlinkError::Namespace)
    }

    /// Keeps it at a path by a bind mount, beyond the life of this process. The file is made where there is none.
    pub(crate) fn keep_at(&self, path: &Path) -> Result<(), NetlinkError> {
        let keep = || -> io::Result<()> {
            File::options().create(true).append(true).open(path)?;
            let this = format!("/proc/thread-self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.0));
            mount_bind(this.as_str(), path)?;
            Ok(())
        };
        keep().map_err(NetlinkError::Namespace)
    }

    /// Undoes [`Self::keep_at`]; the file is removed.
    pub(crate) fn release(path: &Path) -> Result<(), NetlinkError> {
        let release = || -> io::Result<()> {
            unmount(path, UnmountFlags::DETACH)?;
            std::fs::remove_file(path)
        };
        release().map_err(NetlinkError::Namespace)
    }

    /// Moves the calling thread here for good.
    pub(crate) fn enter(&self) -> Result<(), NetlinkError> {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|e| NetlinkError::Namespace(e.into()))
    }

    /// Runs something here, in a thread of its own, and waits for it.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetlinkError> {
        in_thread(|| self.enter().map(|()| work()))?
    }

    /// Sets a `/proc/sys/net` value here, for example `ipv6/conf/all/disable_ipv6`.
    pub(crate) fn set_sysctl(&self, name: &str, value: &str) -> Result<(), NetlinkError> {
        let path = Path::new("/proc/sys/net").join(name);
        self.run(|| std::fs::write(&path, value))?
            .map_err(|error| NetlinkError::Kernel { what: format!("{} = {value}", path.display()), error })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NetlinkError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespace".into()).spawn_scoped(scope, work);
        let thread = thread.map_err(NetlinkError::Namespace)?;
        thread.join().map_err(|_| NetlinkError::Namespace(io::Error::other("the thread in it panicked")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A namespace, or `None` where this user may not make one.
    fn namespace() -> Option<Namespace> {
        match Namespace::create() {
            Ok(namespace) => Some(namespace),
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "in CI this must run: {error}");
                eprintln!("NOT RUN: {error} (run the tests as root)");
                None
            }
        }
    }

    #[test]
    fn what_runs_in_a_namespace_sees_only_its_devices() {
        let Some(namespace) = namespace() else { return };
        let devices = || std::fs::read_to_string("/proc/thread-self/net/dev").unwrap().lines().count();
        // Two lines of heading and `lo`.
        assert_eq!(namespace.run(devices).unwrap(), 3);
        namespace.set_sysctl("ipv6/conf/all/disable_ipv6", "1").unwrap();
        let read = || std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/disable_ipv6").unwrap();
        assert_eq!(namespace.run(read).unwrap().trim(), "1");
    }

    #[test]
    fn a_panic_inside_is_an_error_outside() {
        let Some(namespace) = namespace() else { return };
        assert!(namespace.run(|| panic!("on purpose")).is_err());
    }

    #[test]
    fn devices_are_made_moved_renamed_and_watched() {
        use super::super::Netlink;
        use super::super::link::LinkEvent;
        use futures_util::StreamExt;
        let (Some(one), Some(other)) = (namespace(), namespace()) else { return };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (near, mut events) = Netlink::watching_links_in(&one).unwrap();
            let far = Netlink::open_in(&other).unwrap();
            near.add_veth("a", "b").await.unwrap();
            let b = near.link("b").await.unwrap();
            near.move_to_as(b.index, &other, "c").await.unwrap();
            assert!(matches!(near.link("b").await, Err(NetlinkError::NoSuchLink(name)) if name == "b"));
            let c = far.link("c").await.unwrap();
            assert_eq!(c.mac, b.mac);
            far.set_mtu(c.index, 1600).await.unwrap();
            far.set_up(c.index, true).await.unwrap();
            near.set_up(near.link("a").await.unwrap().index, true).await.unwrap();
            let is_up =
                |event: &LinkEvent| matches!(event, LinkEvent::Present(l) if l.name == "a" && l.carrier);
            while !is_up(&events.next().await.unwrap()) {}
            let c = far.link("c").await.unwrap();
            assert!(c.up && c.carrier && c.mtu == 1600, "{c:?}");
            far.handle().link().del(c.index).execute().await.unwrap();
            let is_gone = |event: &LinkEvent| matches!(event, LinkEvent::Gone { name, .. } if name == "a");
            while !is_gone(&events.next().await.unwrap()) {}
        });
    }
}
