//! Network namespaces for tests: a process of its own with no network, and hosts that are threads of it.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc;
use std::{fs, io, thread};

use futures_util::TryStreamExt;
use rtnetlink::{Handle, LinkUnspec, LinkVeth};

const INSIDE: &str = "OPENMILE_PORT_SANDBOX";
/// What the process inside ends with when the test has run to its end; no test at all would be 0.
const PASSED: i32 = 42;

/// Runs the test of this name in a new process in network and user namespaces of its own (as root without user
/// namespaces: in a network namespace). All of it is gone when that process ends, however it ends.
pub(crate) fn run(test: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        body();
        std::process::exit(PASSED);
    }
    for flags in [libc::CLONE_NEWUSER | libc::CLONE_NEWNET, libc::CLONE_NEWNET] {
        match inside(test, flags).status() {
            Ok(status) => return assert_eq!(status.code(), Some(PASSED), "{test} failed in its namespace"),
            Err(error) => eprintln!("{test}: no namespaces with flags {flags:#x}: {error}"),
        }
    }
    eprintln!(
        "{test}: NOT RUN: neither root nor unprivileged user namespaces (kernel.unprivileged_userns_clone)"
    );
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} must run in CI");
}

fn inside(test: &str, flags: i32) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
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
        Ok(())
    };
    // SAFETY: between fork and exec this process has one thread; no lock that another thread of the parent may have
    // held is taken but the allocator's, which glibc makes usable after a fork.
    unsafe { command.pre_exec(enter) };
    command
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own.
pub(crate) struct Host {
    jobs: mpsc::Sender<Job>,
    namespace: OwnedFd,
}

impl Host {
    pub(crate) fn new() -> Self {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || {
            // SAFETY: takes no pointers.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
            ready.send(OwnedFd::from(fs::File::open("/proc/thread-self/ns/net").unwrap())).unwrap();
            inbox.iter().for_each(|job| job());
        });
        let namespace = is_ready.recv().unwrap();
        let host = Self { jobs, namespace };
        host.run(|| up("lo"));
        host
    }

    /// Runs this in the host's namespace. Sockets opened there may be used anywhere.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, result) = mpsc::channel();
        self.jobs.send(Box::new(move || drop(answer.send(job())))).unwrap();
        result.recv().expect("the job on the host failed")
    }

    /// Joins the host to the caller's namespace by a pair of devices, `far` being the host's; both are up.
    pub(crate) fn connect(&self, near: &str, far: &str, addresses: &'static [(IpAddr, u8)]) {
        let namespace = self.namespace.as_raw_fd();
        netlink(async |handle| {
            handle.link().add(LinkVeth::new(near, far).build()).execute().await?;
            let index = index(&handle, far).await?;
            handle
                .link()
                .set(LinkUnspec::new_with_index(index).setns_by_fd(namespace).build())
                .execute()
                .await
        });
        quiet(near);
        let far = far.to_owned();
        self.run(move || {
            quiet(&far);
            up(&far);
            for &(address, prefix_len) in addresses {
                netlink(async |handle| {
                    let index = index(&handle, &far).await?;
                    handle.address().add(index, address, prefix_len).execute().await
                });
            }
        });
        up(near);
    }
}

/// No duplicate address detection, so that addresses are usable at once.
fn quiet(device: &str) {
    fs::write(format!("/proc/sys/net/ipv6/conf/{device}/accept_dad"), "0").unwrap();
}

pub(crate) fn up(device: &str) {
    set(device, true);
}

pub(crate) fn down(device: &str) {
    set(device, false);
}

pub(crate) fn delete(device: &str) {
    netlink(async |handle| {
        let index = index(&handle, device).await?;
        handle.link().del(index).execute().await
    });
}

fn set(device: &str, up: bool) {
    netlink(async |handle| {
        let link = LinkUnspec::new_with_index(index(&handle, device).await?);
        let link = if up { link.up() } else { link.down() };
        handle.link().set(link.build()).execute().await
    });
}

async fn index(handle: &Handle, device: &str) -> Result<u32, rtnetlink::Error> {
    let mut links = handle.link().get().match_name(device.to_owned()).execute();
    Ok(links.try_next().await?.expect("the device is there").header.index)
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
