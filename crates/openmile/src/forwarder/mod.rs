//! The forwarder process: the packets' straight line over real ports.
//!
//! Two threads. The [`worker`] owns the tables, the frames and the open ports, and does nothing that can wait but for
//! frames. The main thread (the [`hub`]) speaks to control, follows the devices and opens them. They meet in [`rings`].
//! Control may come and go: what it said stays installed, and packets flow on.

pub(crate) mod absence;
mod custody;
mod devices;
mod hub;
mod rings;
mod worker;

use std::sync::Arc;

use contract::counters::Memory;
use miette::{IntoDiagnostic, WrapErr};
use tokio::sync::Notify;

pub(crate) use custody::give_back;

use crate::channel::Listener;
use crate::counters::CountersFile;
use crate::runtime_dir::RuntimeDir;
use crate::supervisor::{self, NotCuredByRestart, Pulse};
use custody::Custody;
use devices::Devices;
use hub::Hub;
use rings::WorkerEnd;
use worker::Worker;

type WorkerThread = std::thread::JoinHandle<std::io::Result<()>>;

/// Workers: one for now.
const WORKERS: usize = 1;

/// Runs the forwarder process of a node until it is told to stop (SIGTERM, SIGINT); then all devices are given back.
pub(crate) fn run(dir: &RuntimeDir) -> miette::Result<()> {
    supervisor::rights::keep_only(supervisor::rights::FORWARDER).into_diagnostic()?;
    supervisor::end_with_supervisor().into_diagnostic()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    runtime.block_on(serve(dir))
}

async fn serve(dir: &RuntimeDir) -> miette::Result<()> {
    let pulse = Pulse::of_this_process().into_diagnostic()?;
    let (hub, worker) =
        prepare(dir, pulse).await.wrap_err(NotCuredByRestart("the forwarder cannot start"))?;
    tracing::info!("ready for control");
    let devices = hub.run().await?;
    // The worker has the ports open: they are closed before their devices go.
    match worker.join() {
        Ok(done) => done.into_diagnostic()?,
        Err(_) => tracing::error!("the worker thread panicked"),
    }
    devices.end().await?;
    let _ = std::fs::remove_file(dir.forwarder_socket());
    Ok(())
}

async fn prepare(dir: &RuntimeDir, pulse: Pulse) -> miette::Result<(Hub, WorkerThread)> {
    let counters = CountersFile::create(&dir.counters(), WORKERS).into_diagnostic()?;
    let counters = counters.leak().into_diagnostic()?;
    let custody = Custody::take(dir).wrap_err("no namespace for access and handoff ports")?;
    let devices = Devices::new(custody).await?;
    let (main, worker, woken) = rings::rings(worker::FRAME_LEN).into_diagnostic()?;
    let worker = start(worker, counters, seed(dir)).into_diagnostic()?;
    // Last: who can connect finds everything ready.
    let listener = Listener::bind(&dir.forwarder_socket()).into_diagnostic()?;
    Ok((Hub::new(listener, devices, main, woken, pulse), worker))
}

fn start(rings: WorkerEnd, counters: Memory<'static>, seed: u64) -> std::io::Result<WorkerThread> {
    let wake = WakeAtEnd(rings.wake_main.clone());
    std::thread::Builder::new().name("worker".into()).spawn(move || {
        // However this thread ends, the main thread notices.
        let _wake = wake;
        Worker::new(rings, counters, seed)?.run()
    })
}

/// A number of this node's own that stays the same: its name, hashed (FNV-1a).
fn seed(dir: &RuntimeDir) -> u64 {
    let name = dir.path().file_name().unwrap_or_default();
    name.as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, &octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

struct WakeAtEnd(Arc<Notify>);

impl Drop for WakeAtEnd {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
