//! Gets into a lab that is up: `lab exec` and `lab capture`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use miette::{IntoDiagnostic, WrapErr, miette};
use port::PortError;
use port::capture::{Capture, Writer};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::outside::{self, StopSignals, exit_code};
use super::place;
use crate::netlink::namespace::Namespace;
use crate::runtime_dir::RuntimeDir;

/// What to run, and where.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ExecArgs {
    /// A node, subscriber or ISP of the lab
    place: String,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// What to capture, and where to.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CaptureArgs {
    /// The node
    node: String,
    /// The port
    port: String,
    /// The file to write
    #[arg(short, long)]
    output: PathBuf,
    /// End after this many frames
    #[arg(long)]
    count: Option<u64>,
    /// End after this many seconds
    #[arg(long)]
    seconds: Option<u64>,
}

/// Octets of a frame that are captured: all of them, also before segmentation.
const SNAPLEN: u32 = 65_600;

/// Runs a command at a place of the lab.
pub(super) fn exec(lab: &str, args: &ExecArgs) -> miette::Result<ExitCode> {
    let (here, path) = (std::env::current_dir(), search_path());
    enter_lab(lab, true)?;
    enter_place(&args.place)?;
    if let Ok(here) = here {
        // The lab has its own /run, else the same files: stay where the user is, if that is there.
        _ = std::env::set_current_dir(here);
    }
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(miette!("no command is given"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    if RuntimeDir::new(RuntimeDir::DEFAULT.as_ref(), &args.place).path().exists() {
        command.env("OPENMILE_NODE", &args.place);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    runtime.block_on(async {
        // Ctrl-C is for the command, which is in the same foreground group.
        let _caught = StopSignals::new()?;
        let spawned = tokio::process::Command::from(command).spawn();
        let mut child = spawned.map_err(|error| miette!("{}: {error}", program.display()))?;
        Ok(exit_code(child.wait().await.into_diagnostic()?))
    })
}

/// Captures a port's frames.
pub(super) fn capture(lab: &str, args: &CaptureArgs) -> miette::Result<ExitCode> {
    // Before entering the lab, with the rights and the files of the user.
    let file = File::create(&args.output).into_diagnostic();
    let file = file.wrap_err_with(|| format!("{} cannot be written", args.output.display()))?;
    enter_lab(lab, false)?;
    enter_place(&args.node)?;
    let capture = open(&args.node, &args.port)?;
    let writer = Writer::new(BufWriter::new(file), &format!("{} {}", args.node, args.port), SNAPLEN);
    let mut writer = writer.into_diagnostic()?;
    let frames = write(capture, &mut writer, args)?;
    writer.get_mut().flush().into_diagnostic()?;
    println!("{frames} frames of {} {} written to {}", args.node, args.port, args.output.display());
    Ok(ExitCode::SUCCESS)
}

/// The port's device is in the node's namespace (backbone) or in that of its access and handoff ports.
fn open(node: &str, port: &str) -> miette::Result<Capture> {
    match Capture::open(port, SNAPLEN) {
        Err(PortError::NoSuchDevice(_)) => {}
        opened => return opened.into_diagnostic(),
    }
    let ports = RuntimeDir::new(RuntimeDir::DEFAULT.as_ref(), node).ports_namespace();
    Namespace::open(&ports).and_then(|namespace| namespace.enter()).into_diagnostic()?;
    match Capture::open(port, SNAPLEN) {
        Err(PortError::NoSuchDevice(_)) => Err(miette!("{node} has no port `{port}`")),
        opened => opened.into_diagnostic(),
    }
}

fn write<W: Write>(mut capture: Capture, writer: &mut Writer<W>, args: &CaptureArgs) -> miette::Result<u64> {
    let end = end_of_capture(args.seconds.map(Duration::from_secs))?;
    let limit = args.count.unwrap_or(u64::MAX);
    let mut frames = 0;
    println!("capturing {} {}; end with Ctrl-C", args.node, args.port);
    while frames < limit {
        let ended = {
            let mut ready =
                [PollFd::new(&end, PollFlags::IN), PollFd::from_borrowed_fd(capture.as_fd(), PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).into_diagnostic(),
            }
            !ready[0].revents().is_empty()
        };
        while frames < limit
            && let Some(captured) = capture.next_frame().into_diagnostic()?
        {
            writer.write(&captured).into_diagnostic()?;
            frames += 1;
        }
        if ended {
            break;
        }
    }
    match capture.take_dropped() {
        0 => {}
        dropped => println!("{dropped} frames more came too fast to be captured"),
    }
    Ok(frames)
}

/// A descriptor that becomes readable on Ctrl-C or when the time is over.
fn end_of_capture(after: Option<Duration>) -> miette::Result<UnixStream> {
    let (end, ending) = UnixStream::pair().into_diagnostic()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    let entered = runtime.enter();
    let mut stops = StopSignals::new()?;
    drop(entered);
    std::thread::spawn(move || {
        runtime.block_on(async {
            match after {
                Some(after) => _ = tokio::time::timeout(after, stops.next()).await,
                None => stops.next().await,
            }
        });
        drop(ending);
    });
    Ok(end)
}

/// Moves this process into the lab's user and mount namespaces and, if asked to, its children into its PID namespace. It
/// must have only one thread still, and after the latter may never have another.
fn enter_lab(lab: &str, processes: bool) -> miette::Result<()> {
    let init = outside::ask(lab)?;
    let open = |kind: &str| -> miette::Result<OwnedFd> {
        let opened = File::open(format!("/proc/{}/ns/{kind}", init.as_raw_nonzero()));
        opened.map(OwnedFd::from).into_diagnostic().wrap_err("the lab cannot be entered")
    };
    let (user, mount, pid) = (open("user")?, open("mnt")?, open("pid")?);
    let own = rustix::fs::stat("/proc/self/ns/user").into_diagnostic()?;
    let theirs = rustix::fs::fstat(&user).into_diagnostic()?;
    if own.st_ino != theirs.st_ino {
        // First, since it gives the rights for the others.
        move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User)).into_diagnostic()?;
    }
    move_into_link_name_space(mount.as_fd(), Some(LinkNameSpaceType::Mount)).into_diagnostic()?;
    if processes {
        move_into_link_name_space(pid.as_fd(), Some(LinkNameSpaceType::ProcessID)).into_diagnostic()?;
    }
    Ok(())
}

fn enter_place(name: &str) -> miette::Result<()> {
    let path = place::path(name);
    if !path.exists() {
        return Err(miette!("the lab has no `{name}`; it has {}", place::names().join(", ")));
    }
    Namespace::open(&path).and_then(|namespace| namespace.enter()).into_diagnostic()
}

/// The user's search path with this program's directory first, so that `openmile` is this very program.
pub(super) fn search_path() -> Option<OsString> {
    let own = super::program_dir()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path))).ok()
}
