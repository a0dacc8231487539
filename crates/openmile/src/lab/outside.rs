//! The user's process: holds the terminal and answers `lab exec` and `lab capture`.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus, Stdio};

use miette::{IntoDiagnostic, WrapErr, miette};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::signal::unix::{SignalKind, signal};

use super::{LabArgs, Stage};

/// Exit status after Ctrl-C, as a shell has it.
pub(super) const INTERRUPTED: u8 = 128 + libc::SIGINT as u8;
/// What this process tells the inside, on the socket that is its standard input.
pub(super) const STOP: u8 = b's';

/// Starts the lab and stays until it ends.
pub(super) fn run(args: &LabArgs) -> miette::Result<ExitCode> {
    let listener = claim(&args.name)?;
    let (ours, theirs) = UnixStream::pair().into_diagnostic().wrap_err("the lab's own socket")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    // In the main thread, since the child is killed when the *thread* that made it ends.
    let entered = runtime.enter();
    let child = tokio::process::Command::from(args.stage(Stage::Sandbox))
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .spawn()
        .into_diagnostic()
        .wrap_err("this program cannot be started once more")?;
    drop(entered);
    let status = runtime.block_on(serve(child, listener, ours))?;
    Ok(exit_code(status))
}

/// What a child's status means as ours.
pub(super) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Connects to a lab of this user and asks for the process that holds its namespaces.
pub(super) fn ask(name: &str) -> miette::Result<rustix::process::Pid> {
    let none = || miette!("no lab is up: start one with `openmile lab --keep` in another terminal");
    let address = address(name)?;
    let mut stream = UnixStream::connect_addr(&address).map_err(|_| none())?;
    let owner = rustix::net::sockopt::socket_peercred(&stream).into_diagnostic()?.uid;
    if owner != rustix::process::getuid() {
        return Err(miette!("the lab named `{name}` is of another user (number {})", owner.as_raw()));
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|_| none())?;
    let pid = answer.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
    pid.ok_or_else(|| miette!("the lab is not up yet"))
}

fn claim(name: &str) -> miette::Result<UnixListener> {
    UnixListener::bind_addr(&address(name)?).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => miette!(
            "a lab of yours is running already: end it with Ctrl-C where it was started, or give this one another \
             name with `--name`"
        ),
        _ => miette!("the lab's socket: {error}"),
    })
}

/// An abstract address: it belongs to the user's network namespace and leaves no file behind.
fn address(name: &str) -> miette::Result<SocketAddr> {
    let uid = rustix::process::getuid().as_raw();
    SocketAddr::from_abstract_name(format!("openmile-lab/{uid}/{name}"))
        .map_err(|_| miette!("`{name}` is too long for a lab's name"))
}

async fn serve(
    mut child: tokio::process::Child,
    listener: UnixListener,
    ours: UnixStream,
) -> miette::Result<ExitStatus> {
    ours.set_nonblocking(true).into_diagnostic()?;
    listener.set_nonblocking(true).into_diagnostic()?;
    let listener = tokio::net::UnixListener::from_std(listener).into_diagnostic()?;
    let (reader, mut writer) = tokio::net::UnixStream::from_std(ours).into_diagnostic()?.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut stops = StopSignals::new()?;
    let mut init = String::new();
    let mut talking = true;
    loop {
        tokio::select! {
            status = child.wait() => return status.into_diagnostic(),
            () = stops.next() => {
                _ = writer.write_all(&[STOP]).await;
            }
            line = lines.next_line(), if talking => match line {
                Ok(Some(line)) => init = line,
                _ => talking = false,
            },
            client = listener.accept() => if let Ok((client, _)) = client {
                answer(client, &init);
            },
        }
    }
}

/// Says which process holds the lab's namespaces, to the same user only (or root, who may anyway).
fn answer(client: tokio::net::UnixStream, init: &str) {
    let allowed = |uid: u32| uid == 0 || uid == rustix::process::getuid().as_raw();
    if client.peer_cred().is_ok_and(|peer| allowed(peer.uid()))
        && let Ok(mut client) = client.into_std()
    {
        // A few octets always fit into a new socket.
        _ = client.write_all(init.as_bytes());
    }
}

/// Ctrl-C and its like.
pub(super) struct StopSignals([tokio::signal::unix::Signal; 4]);

impl StopSignals {
    /// Catches them from now on. To be called within a runtime.
    pub(super) fn new() -> miette::Result<Self> {
        let catch = |kind| signal(kind).into_diagnostic().wrap_err("signals cannot be caught");
        Ok(Self([
            catch(SignalKind::interrupt())?,
            catch(SignalKind::terminate())?,
            catch(SignalKind::hangup())?,
            catch(SignalKind::quit())?,
        ]))
    }

    /// The next one.
    pub(super) async fn next(&mut self) {
        let [interrupt, terminate, hangup, quit] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
    }
}
