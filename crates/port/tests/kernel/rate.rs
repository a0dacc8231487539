//! How many frames a second cross, and what they cost; run by hand:
//! `cargo test --release -p openmile-port --test kernel -- --ignored --nocapture`.
#![allow(clippy::disallowed_methods)] // This is a stopwatch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use port::{AfPacket, Port, TxOutcome};
use wire::frame::FramePool;

use crate::cable::{Cable, wait};
use crate::sandbox::{self, Host};
use crate::{frame, open};

const BURST: u32 = 64;
const TIME: Duration = Duration::from_secs(3);

/// Sends short frames until it is told to stop: how many.
fn flood(mut port: AfPacket, stop: &AtomicBool) -> u64 {
    let mut pool = FramePool::new(BURST, 1514);
    let (mut frames, mut outcomes, mut sent) = (Vec::new(), Vec::new(), 0);
    let octets = frame(&[0x88, 0xb5], &[1; 46]);
    while !stop.load(Ordering::Relaxed) {
        frames.extend((0..BURST).map(|_| pool.alloc_from(&octets).unwrap()));
        port.tx_burst(&mut pool, &mut frames, &mut outcomes);
        sent += outcomes.drain(..).filter(|outcome| *outcome == TxOutcome::Sent).count() as u64;
    }
    sent
}

/// Counts what comes.
fn sink(mut port: AfPacket, stop: &AtomicBool, count: &AtomicU64) -> u64 {
    let mut pool = FramePool::new(1024, 1514);
    let mut frames = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if !port.rx_burst(&mut pool, &mut frames, 256).more {
            wait(&[&port], Duration::from_millis(20));
        }
        count.fetch_add(frames.len() as u64, Ordering::Relaxed);
        frames.drain(..).for_each(|frame| pool.free(frame));
    }
    port.statistics().ring_drops
}

fn per_second(count: u64, time: Duration) -> u64 {
    (count as f64 / time.as_secs_f64()) as u64
}

#[test]
#[ignore = "a measurement, not a check"]
fn rate() {
    sandbox::run("rate::rate", || {
        let (a, b) = (Host::new(), Host::new());
        a.connect("p1", "h1", &[]);
        b.connect("p2", "h2", &[]);

        // Nobody listens: what sending over a veth pair costs alone.
        let stop = Arc::new(AtomicBool::new(false));
        let start = Instant::now();
        let port = a.run(|| open("h1"));
        let flooding = thread::spawn({
            let stop = Arc::clone(&stop);
            move || flood(port, &stop)
        });
        thread::sleep(TIME);
        stop.store(true, Ordering::Relaxed);
        println!("sent, nobody listening: {}/s", per_second(flooding.join().unwrap(), start.elapsed()));

        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let cable = Cable::new(open("p1"), open("p2"), 1514, 1024);
        let (source, drain) = (a.run(|| open("h1")), b.run(|| open("h2")));
        let draining = thread::spawn({
            let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
            move || sink(drain, &stop, &count)
        });
        let start = Instant::now();
        let flooding = thread::spawn({
            let stop = Arc::clone(&stop);
            move || flood(source, &stop)
        });
        thread::sleep(TIME);
        stop.store(true, Ordering::Relaxed);
        let crossed = count.load(Ordering::Relaxed);
        let time = start.elapsed();
        let sent = flooding.join().unwrap();
        println!("sent {}/s, crossed {}/s", per_second(sent, time), per_second(crossed, time));
        println!("sink's ring drops {}, cable {:?}", draining.join().unwrap(), cable.stop());
    });
}
