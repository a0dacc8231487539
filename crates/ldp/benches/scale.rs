//! One speaker with 100,000 FECs between scripted peers in memory: how much processor time it takes, how much the longest single call takes
//! (what other neighbors' timers wait for at most), and what a binding costs in memory.
//!
//! `cargo bench -p openmile-ldp --bench scale [-- FECS]`. Without `--bench` (as `cargo test --benches` runs it) it is a
//! quick run with few FECs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use contract::{Label, Tick};
use ipnet::IpNet;
use ldp::{Action, Config, ConnId, Event, Installation, InterfaceId, LdpId, NextHop, Speaker};
use wire::ldp::{
    Addresses, Body, DEFAULT_MAX_PDU_LENGTH, FtSession, Hello, HoldTime, Incoming, Initialization,
    KeepaliveTime, LabelMapping, LabelRelease, Message, MessageId, Milliseconds, PduReader, PduWriter,
    Status, StatusCode,
};

/// Below all of its peers, which therefore connect to it.
const LOCAL: LdpId = LdpId::platform(Ipv4Addr::new(10, 254, 255, 100));
/// What control reads at once from a connection.
const CHUNK: usize = 16 * 1024;

fn peer(n: u8) -> LdpId {
    LdpId::platform(Ipv4Addr::new(10, 255, 0, n))
}

fn hop(n: u8) -> NextHop {
    NextHop { interface: InterfaceId(u32::from(n)), address: IpAddr::from([10, 1, n, n]) }
}

fn fec(n: u32) -> IpNet {
    IpNet::from(IpAddr::V4(Ipv4Addr::from(0x1400_0000 + n)))
}

fn label(n: u32) -> Label {
    Label::new(n).unwrap_or(Label::MAX)
}

fn octets(sender: LdpId, bodies: impl IntoIterator<Item = Body>) -> Vec<u8> {
    let mut writer = PduWriter::new(sender, DEFAULT_MAX_PDU_LENGTH);
    for (id, body) in bodies.into_iter().enumerate() {
        let _ = writer.push(&Message { id: MessageId(id as u32 + 1), body });
    }
    writer.finish()
}

/// A scripted peer's end of its connection.
#[derive(Default)]
struct Heard {
    reader: PduReader,
    mappings: usize,
    withdraws: usize,
    /// Releases that it owes for withdraws.
    owed: Vec<LabelRelease>,
}

struct Bench {
    speaker: Speaker,
    now: Tick,
    heard: BTreeMap<ConnId, Heard>,
    longest: Duration,
}

impl Bench {
    fn new() -> Self {
        let speaker = Speaker::new(Config::new(LOCAL.lsr_id), Tick(0));
        let mut bench = Self { speaker, now: Tick(0), heard: BTreeMap::new(), longest: Duration::ZERO };
        for n in 1..=4 {
            let interface = hop(n).interface;
            let own = [IpAddr::from([10, 1, n, 100])];
            bench.call(|speaker, now| speaker.handle_interface_up(now, interface, "bb", &own));
            bench.call(|speaker, now| speaker.handle_next_hop(now, hop(n), true));
        }
        bench
    }

    fn timed(&mut self, call: impl FnOnce(&mut Speaker, Tick)) {
        let begin = processor_time();
        call(&mut self.speaker, self.now);
        self.longest = self.longest.max(processor_time() - begin);
    }

    /// Calls the speaker and does what follows, to the end: the forwarder takes each entry at once, as the kernel does
    /// octets, and what is due is done.
    fn call(&mut self, call: impl FnOnce(&mut Speaker, Tick)) {
        self.timed(call);
        loop {
            self.actions();
            let mut installed = Vec::new();
            while let Some(event) = self.speaker.poll_event() {
                if let Event::Fec(ldp::FecState { fec, in_label: Some(label), .. }) = event {
                    installed.push((fec, label, Installation::Held));
                }
            }
            if !installed.is_empty() {
                self.timed(|speaker, now| speaker.handle_all_installed(now, installed));
                self.actions();
            }
            let now = self.now;
            if self.speaker.poll_timeout().is_none_or(|at| at > now) {
                return;
            }
            self.timed(Speaker::handle_timeout);
        }
    }

    fn actions(&mut self) {
        while let Some(action) = self.speaker.poll_action() {
            let Action::Write { conn, octets } = action else { continue };
            if let Some(heard) = self.heard.get_mut(&conn) {
                hear(heard, &octets);
            }
            self.timed(|speaker, now| speaker.handle_written(now, conn, octets.len()));
        }
    }

    fn stream(&mut self, conn: ConnId, octets: &[u8]) {
        for chunk in octets.chunks(CHUNK) {
            self.call(|speaker, now| speaker.handle_stream(now, conn, chunk));
        }
    }

    fn session(&mut self, n: u8, preserves: bool) -> ConnId {
        let conn = ConnId(self.heard.len() as u64 + 1);
        self.heard.insert(conn, Heard::default());
        self.hello(n);
        let remote = SocketAddr::from((peer(n).lsr_id, 50_000));
        self.call(|speaker, now| speaker.handle_accepted(now, conn, remote));
        let initialization = Body::Initialization(Initialization {
            fault_tolerance: preserves.then_some(FtSession {
                flags: FtSession::LEARN_FROM_NETWORK,
                reconnect: Milliseconds(60_000),
                recovery: Milliseconds(60_000),
            }),
            ..Initialization::new(KeepaliveTime(NonZeroU16::MAX), LOCAL)
        });
        let addresses = Body::Address(Addresses::V4(vec![Ipv4Addr::new(10, 1, n, n)]));
        self.stream(conn, &octets(peer(n), [initialization, Body::KeepAlive, addresses]));
        conn
    }

    fn hello(&mut self, n: u8) {
        let hello = Hello { transport_address: Some(peer(n).lsr_id), ..Hello::link(HoldTime(15)) };
        let (octets, source) =
            (octets(peer(n), [Body::Hello(hello)]), SocketAddr::from((hop(n).address, 646)));
        self.call(|speaker, now| speaker.handle_datagram(now, hop(n).interface, source, &octets));
    }

    /// Answers what was withdrawn.
    fn release(&mut self, conn: ConnId, n: u8) {
        let owed = self.heard.get_mut(&conn).map(|heard| std::mem::take(&mut heard.owed));
        let octets = octets(peer(n), owed.into_iter().flatten().map(Body::LabelRelease));
        self.stream(conn, &octets);
    }

    fn told(&mut self, conn: ConnId) -> (usize, usize) {
        let heard = self.heard.entry(conn).or_default();
        (std::mem::take(&mut heard.mappings), std::mem::take(&mut heard.withdraws))
    }

    /// Takes the time of what is done, and says whether what was to follow did.
    fn measure(&mut self, what: &str, act: impl FnOnce(&mut Self)) {
        self.longest = Duration::ZERO;
        let (begin, memory) = (processor_time(), resident());
        act(self);
        let (took, grew) = (processor_time() - begin, resident() as i64 - memory as i64);
        println!(
            "{what:<52} {:>10.3} ms   longest call {:>9.3} ms   {:>+8} KiB",
            took.as_secs_f64() * 1e3,
            self.longest.as_secs_f64() * 1e3,
            grew
        );
    }
}

fn hear(heard: &mut Heard, octets: &[u8]) {
    heard.reader.push(octets);
    while let Ok(Some(pdu)) = heard.reader.next() {
        for message in pdu.messages() {
            let Ok(Incoming::Message(message)) = message else { continue };
            match message.body {
                Body::LabelMapping(_) => heard.mappings += 1,
                Body::LabelWithdraw(withdraw) => {
                    heard.withdraws += 1;
                    let (fec, label) = (withdraw.fec, withdraw.label);
                    heard.owed.push(LabelRelease { fec, label, status: None });
                }
                _ => {}
            }
        }
    }
}

/// Processor time of this process: others that work on the same machine do not show in it, for the most part.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

fn mappings(fecs: u32, first: u32) -> Vec<u8> {
    let mapping = |n| Body::LabelMapping(LabelMapping::new(fec(n).into(), label(first + n)));
    octets(peer(1), (0..fecs).map(mapping))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = arguments.iter().find_map(|argument| argument.parse().ok());
    let in_earnest = arguments.iter().any(|argument| argument == "--bench");
    let fecs: u32 = asked.unwrap_or(if in_earnest { 100_000 } else { 500 });
    let all = fecs as usize;
    println!("{fecs} FECs");
    let mut bench = Bench::new();

    let (down, up) = (bench.session(1, false), bench.session(2, false));
    bench.measure("routes", |bench| {
        for n in 0..fecs {
            bench.call(|speaker, now| speaker.handle_route(now, fec(n), &[hop(1)]));
        }
    });
    let from_down = mappings(fecs, 1000);
    bench.measure("mappings from one peer to another", |bench| bench.stream(down, &from_down));
    assert_eq!((bench.told(up), bench.told(down)), ((all, 0), (all, 0)));

    let mut third = None;
    bench.measure("a third peer joins", |bench| third = Some(bench.session(3, true)));
    let third = third.unwrap_or(up);
    assert_eq!(bench.told(third), (all, 0));

    bench.measure("1,000 Hellos", |bench| (0..1000).for_each(|_| bench.hello(2)));
    bench.measure("1,000 route changes of one FEC each", |bench| {
        for n in 0..500.min(fecs) {
            bench.call(|speaker, now| speaker.handle_route(now, fec(n), &[hop(2)]));
            bench.call(|speaker, now| speaker.handle_route(now, fec(n), &[hop(1)]));
        }
    });
    bench.measure("200 addresses of a peer come and go", |bench| {
        let other = || Addresses::V4(vec![Ipv4Addr::new(10, 9, 9, 9)]);
        let both = (0..100).flat_map(|_| [Body::Address(other()), Body::AddressWithdraw(other())]);
        bench.stream(up, &octets(peer(2), both));
    });
    bench.told(up);
    bench.told(third);

    bench.measure("a peer that restarts is lost", |bench| {
        bench.call(|speaker, now| speaker.handle_closed(now, third));
    });
    let mut third = third;
    bench.measure("and is back", |bench| third = bench.session(3, true));
    assert_eq!(bench.told(third), (all, 0));

    bench.measure("the next hop is lost", |bench| {
        bench.call(|speaker, now| speaker.handle_next_hop(now, hop(1), false));
    });
    assert_eq!((bench.told(up), bench.told(third)), ((0, all), (0, all)));
    bench.measure("its withdraws are answered", |bench| {
        [(down, 1), (up, 2), (third, 3)].into_iter().for_each(|(conn, n)| bench.release(conn, n));
    });
    bench.measure("the next hop is back", |bench| {
        bench.call(|speaker, now| speaker.handle_next_hop(now, hop(1), true));
    });
    assert_eq!((bench.told(up), bench.told(third)), ((all, 0), (all, 0)));

    bench.measure("the neighbor with all labels is lost", |bench| {
        let shutdown = wire::ldp::Notification::new(Status::new(StatusCode::SHUTDOWN));
        bench.stream(down, &octets(peer(1), [Body::Notification(shutdown)]));
    });
    assert_eq!((bench.told(up), bench.told(third)), ((0, all), (0, all)));
    bench.measure("its withdraws are answered", |bench| {
        [(up, 2), (third, 3)].into_iter().for_each(|(conn, n)| bench.release(conn, n));
    });
}
