//! Namespaces for tests: a process of its own without network, in which mounts are its own, and a place for the far
//! ends of its cables.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::{fs, io, thread};

use futures_util::TryStreamExt;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::{Handle, LinkUnspec, LinkVeth};

const INSIDE: &str = "OPENMILE_TEST_SANDBOX";

/// Runs the test of this name in a new process with user, network and mount namespaces of its own (as root without user
/// namespaces: the latter two). All of it is gone when that process ends, however it ends.
pub(crate) fn run(test: &str, body: fn()) {
    run_with(test, &[], body);
}

/// As [`run`], for a test that is ignored unless it is asked for.
#[allow(dead_code, reason = "not every test that uses this has such")]
pub(crate) fn run_ignored(test: &str, body: fn()) {
    run_with(test, &["--ignored"], body);
}

fn run_with(test: &str, more: &[&str], body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        for scope in ["all", "default"] {
            no_ipv6(scope);
        }
        return body();
    }
    let own = libc::CLONE_NEWNET | libc::CLONE_NEWNS;
    for flags in [libc::CLONE_NEWUSER | own, own] {
        match inside(test, more, flags).status() {
            Ok(status) => return assert!(status.success(), "{test} failed in its namespace"),
            Err(error) => eprintln!("{test}: no namespaces with flags {flags:#x}: {error}"),
        }
    }
    eprintln!(
        "{test}: NOT RUN: neither root nor unprivileged user namespaces (kernel.unprivileged_userns_clone)"
    );
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} must run in CI");
}

fn inside(test: &str, more: &[&str], flags: i32) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).args(more).env(INSIDE, "1");
    // SAFETY: takes no pointers.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let enter = move || {
        // SAFETY: takes no pointers.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) | libc::unshare(flags) } != 0 {
            return Err(io::Error::last_os_error());
        }
        if flags & libc::CLONE_NEWUSER != 0 {
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
            fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
        }
        let private = libc::MS_REC | libc::MS_PRIVATE;
        // SAFETY: the strings end with zeros, the other pointers may be null.
        let mounted = unsafe {
            libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null())
        };
        if mounted == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec this process has one thread; no lock that another thread of the parent may have
    // held is taken but the allocator's, which glibc makes usable after a fork.
    unsafe { command.pre_exec(enter) };
    command
}

/// Has the child killed when the test ends, however it ends.
pub(crate) fn dies_with_us(command: &mut Command) {
    let enter = || {
        // SAFETY: takes no pointers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        Ok(())
    };
    // SAFETY: one system call.
    unsafe { command.pre_exec(enter) };
}

/// The namespace of what is at the other end of the node's cables.
pub(crate) struct Outside(OwnedFd);

impl Outside {
    pub(crate) fn new() -> Self {
        let made = thread::spawn(|| {
            // SAFETY: takes no pointers.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
            for scope in ["all", "default"] {
                no_ipv6(scope);
            }
            OwnedFd::from(fs::File::open("/proc/thread-self/ns/net").unwrap())
        });
        Self(made.join().unwrap())
    }

    /// Runs this there. Sockets opened there may be used anywhere.
    pub(crate) fn run<T: Send>(&self, job: impl FnOnce() -> T + Send) -> T {
        in_namespace(&self.0, job)
    }

    /// A cable: `near` at the node, `far` here. Both are up, unless a forwarder takes `near` at once.
    pub(crate) fn cable(&self, near: &str, far: &str) {
        let namespace = self.0.as_raw_fd();
        netlink(async |handle| {
            handle.link().add(LinkVeth::new(near, far).build()).execute().await?;
            let index = index(&handle, far).await?;
            handle
                .link()
                .set(LinkUnspec::new_with_index(index).setns_by_fd(namespace).build())
                .execute()
                .await
        });
        self.run(|| set(far, true));
        netlink(async |handle| {
            let Some(link) = find(&handle, near).await? else { return Ok(()) };
            match handle
                .link()
                .set(LinkUnspec::new_with_index(link.header.index).up().build())
                .execute()
                .await
            {
                Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENODEV => Ok(()),
                done => done,
            }
        });
    }
}

/// Runs this in a namespace, in a thread of its own.
pub(crate) fn in_namespace<T: Send>(namespace: &impl AsRawFd, job: impl FnOnce() -> T + Send) -> T {
    let fd = namespace.as_raw_fd();
    let enter = move || {
        // SAFETY: takes no pointers.
        assert_eq!(unsafe { libc::setns(fd, libc::CLONE_NEWNET) }, 0, "{}", io::Error::last_os_error());
        job()
    };
    thread::scope(|scope| scope.spawn(enter).join().unwrap())
}

fn no_ipv6(scope: &str) {
    let path = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
    if Path::new(&path).exists() {
        fs::write(path, "1").unwrap();
    }
}

/// Sets a device up or down.
pub(crate) fn set(device: &str, up: bool) {
    netlink(async |handle| {
        let link = LinkUnspec::new_with_index(index(&handle, device).await?);
        let link = if up { link.up() } else { link.down() };
        handle.link().set(link.build()).execute().await
    });
}

pub(crate) fn set_mtu(device: &str, mtu: u32) {
    netlink(async |handle| {
        let link = LinkUnspec::new_with_index(index(&handle, device).await?).mtu(mtu);
        handle.link().set(link.build()).execute().await
    });
}

pub(crate) fn delete(device: &str) {
    netlink(async |handle| {
        let index = index(&handle, device).await?;
        handle.link().del(index).execute().await
    });
}

/// Whether a device is here, and up.
pub(crate) fn is_up(device: &str) -> Option<bool> {
    let mut found = None;
    netlink(async |handle| {
        found = find(&handle, device).await?.map(|link| link.header.flags.contains(LinkFlags::Up));
        Ok(())
    });
    found
}

async fn find(handle: &Handle, device: &str) -> Result<Option<LinkMessage>, rtnetlink::Error> {
    let links: Vec<_> = handle.link().get().execute().try_collect().await?;
    let named =
        |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(name) if name == device);
    Ok(links.into_iter().find(|link| link.attributes.iter().any(named)))
}

async fn index(handle: &Handle, device: &str) -> Result<u32, rtnetlink::Error> {
    Ok(find(handle, device).await?.expect("the device is there").header.index)
}

/// Talks to the kernel about the network namespace that the calling thread is in.
fn netlink(talk: impl AsyncFnOnce(Handle) -> Result<(), rtnetlink::Error>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        talk(handle).await.unwrap();
    });
}
