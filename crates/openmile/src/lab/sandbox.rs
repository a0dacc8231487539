//! The namespaces that hold everything the lab makes.
#![allow(unsafe_code)] // unshare(2), see the SAFETY comment

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use miette::{IntoDiagnostic, WrapErr, miette};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Signal, WaitOptions, set_parent_process_death_signal, wait};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::outside::{StopSignals, exit_code};
use super::{LabArgs, Stage};

/// What to do where namespaces cannot be made.
const REMEDY: &str = "run it as root (`sudo openmile lab`), or let ordinary users make user namespaces: `sysctl -w \
                      user.max_user_namespaces=10000`, on Debian also `kernel.unprivileged_userns_clone=1`, on Ubuntu \
                      also `kernel.apparmor_restrict_unprivileged_userns=0`; in a container add `--privileged`";

/// Stage `sandbox`: makes the namespaces, starts process 1 in them and waits for it.
pub(super) fn enter(args: &LabArgs) -> miette::Result<ExitCode> {
    make_namespaces()
        .map_err(|error| miette!("the lab cannot make namespaces of its own here ({error}): {REMEDY}"))?;
    die_with_parent()?;
    let mut child = args.stage(Stage::Init).stdin(Stdio::inherit()).spawn().into_diagnostic()?;
    tell_parent(&format!("{}\n", child.id()))?;
    // Ctrl-C goes to the whole foreground group. It is for the stage inside: were this process to end by it, the rest
    // would be killed.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    let _caught = runtime.block_on(async { StopSignals::new() })?;
    child.wait().map(exit_code).into_diagnostic()
}

/// Stage `init`: process 1. Without handlers it ignores all signals but SIGKILL.
pub(super) fn init(args: &LabArgs) -> miette::Result<ExitCode> {
    die_with_parent()?;
    mount_own().wrap_err("the lab's own /proc and /run")?;
    let child = args.stage(Stage::Inside).stdin(Stdio::inherit()).spawn().into_diagnostic()?;
    let inside = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == inside => {
                let code = status.exit_status().or_else(|| Some(128 + status.terminating_signal()?));
                return Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).into_diagnostic(),
        }
    }
}

/// Has the kernel kill this process when its parent ends, however that comes about.
pub(super) fn die_with_parent() -> miette::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).into_diagnostic()
}

/// Says something to the outside, on the socket that is every stage's standard input.
fn tell_parent(line: &str) -> miette::Result<()> {
    rustix::io::write(io::stdin().as_fd(), line.as_bytes()).into_diagnostic()?;
    Ok(())
}

fn make_namespaces() -> io::Result<()> {
    let own = UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWNET | UnshareFlags::NEWIPC;
    match unshare(own) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
            unshare(UnshareFlags::NEWUSER)?;
            // Without this an ordinary user may not map a group (user_namespaces(7)).
            std::fs::write("/proc/self/setgroups", "deny")?;
            std::fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
            std::fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
            unshare(own)?;
        }
        done => done?,
    }
    // From here on no mount is seen outside.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(())
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: neither `FILES` nor another flag that takes something away from other threads is among the flags, and
    // this process has only one thread.
    unsafe { unshare_unsafe(flags) }.map_err(Into::into)
}

/// An empty `/run`, so that nodes have their usual directories there, and a `/proc` of these processes.
fn mount_own() -> miette::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", Path::new("/run"), "tmpfs", flags, Some(c"mode=0755")).into_diagnostic()?;
    // In some containers the kernel refuses a new /proc. The old one serves too: it shows these processes as well.
    _ = mount("proc", Path::new("/proc"), "proc", flags | MountFlags::NOEXEC, None::<&std::ffi::CStr>);
    Ok(())
}
