//! A scripted neighbor: says Hello and KeepAlive, sends what it is told to, counts what comes, releases what is withdrawn.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::num::NonZeroU16;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use contract::Label;
use ipnet::{IpNet, Ipv4Net};
use socket2::{Domain, Protocol, Socket, Type};
use wire::ldp::{
    Addresses, Body, DEFAULT_MAX_PDU_LENGTH, FecTlv, Hello, HoldTime, Incoming, Initialization,
    KeepaliveTime, LabelMapping, LabelRelease, LabelWithdraw, LdpId, Message, MessageId, Notification, PORT,
    PduReader, PduWriter, Status, StatusCode,
};

use crate::PATIENCE;
use crate::dut::{DUT, device};

/// Silence after which a session is dead.
const HOLD: NonZeroU16 = NonZeroU16::new(9).unwrap();
/// How often Hellos and KeepAlives go out.
const INTERVAL: Duration = Duration::from_secs(1);
const FIRST_LABEL: u32 = 1000;

/// The FEC of this number.
pub(crate) fn fec(n: u32) -> Ipv4Net {
    Ipv4Net::from(Ipv4Addr::from(0x1400_0000 + n))
}

/// What a peer was told.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) mappings: usize,
    pub(crate) withdraws: usize,
    pub(crate) releases: usize,
    operational: bool,
    closed: bool,
    last: Option<Instant>,
    silence: Duration,
    last_hello: Option<Instant>,
    hello_silence: Duration,
}

#[derive(Default)]
struct Shared {
    heard: Mutex<Heard>,
    news: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }
}

pub(crate) struct Peer {
    n: u8,
    shared: Arc<Shared>,
    stream: Arc<Mutex<TcpStream>>,
}

impl Peer {
    /// A session on the device of this number.
    pub(crate) fn connect(n: u8) -> Self {
        let hellos = Arc::new(hello_socket(n));
        let shared = Arc::new(Shared::default());
        let (socket, heard) = (Arc::clone(&hellos), Arc::clone(&shared));
        std::thread::spawn(move || hear_hellos(&socket, &heard));
        let say = octets(
            n,
            [Body::Hello(Hello { transport_address: Some(address(n)), ..Hello::link(HoldTime(15)) })],
        );
        let to_all = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 2), PORT).into();
        let deadline = Instant::now() + PATIENCE;
        // Nobody may be there yet, and who is not heard is refused.
        let stream = loop {
            assert!(Instant::now() < deadline, "no session");
            hellos.send_to(&say, &to_all).unwrap();
            shared.pause(INTERVAL / 4);
            if let Ok(stream) = attempt(n, &shared) {
                break stream;
            }
        };
        let writer = Arc::new(Mutex::new(stream.try_clone().unwrap()));
        let peer = Self { n, shared, stream: writer };
        let (shared, writer) = (Arc::clone(&peer.shared), Arc::clone(&peer.stream));
        std::thread::spawn(move || read(n, stream, &shared, &writer));
        let (shared, writer) = (Arc::clone(&peer.shared), Arc::clone(&peer.stream));
        std::thread::spawn(move || {
            let alive = octets(n, [Body::KeepAlive]);
            while !shared.lock().closed {
                let _ = hellos.send_to(&say, &to_all);
                let _ = writer.lock().unwrap().write_all(&alive);
                shared.pause(INTERVAL);
            }
        });
        peer.wait("a session", |heard| heard.operational);
        peer.send(&octets(n, [Body::Address(Addresses::V4(vec![address(n)]))]));
        peer
    }

    pub(crate) fn name(&self) -> String {
        format!("neighbor {}", self.n)
    }

    /// Waits until it has heard enough.
    pub(crate) fn wait(&self, what: &str, enough: impl Fn(&Heard) -> bool) {
        let waits = |heard: &mut Heard| !enough(heard) && !heard.closed;
        let (heard, _) = self.shared.news.wait_timeout_while(self.shared.lock(), PATIENCE, waits).unwrap();
        assert!(enough(&heard), "{}: not {what}: {}", self.name(), heard.summary());
    }

    pub(crate) fn send(&self, octets: &[u8]) {
        self.stream.lock().unwrap().write_all(octets).unwrap();
    }

    /// Waits until all that was sent is dealt with: a label is withdrawn, and its release awaited.
    pub(crate) fn barrier(&self, what: &str) {
        self.send(&self.withdraws_from(u32::from(u16::MAX) * 4, 1));
        self.wait(what, |heard| heard.releases >= 1);
        self.shared.lock().releases = 0;
    }

    pub(crate) fn mappings(&self, fecs: u32) -> Vec<u8> {
        let mapping = |n| LabelMapping::new(IpNet::V4(fec(n)).into(), label(n));
        // The last is for the barrier.
        let all = (0..fecs).chain([u32::from(u16::MAX) * 4]);
        octets(self.n, all.map(|n| Body::LabelMapping(mapping(n))))
    }

    pub(crate) fn withdraws(&self, fecs: u32) -> Vec<u8> {
        [self.withdraws_from(0, fecs), self.withdraws_from(fecs, 1)].concat()
    }

    fn withdraws_from(&self, first: u32, fecs: u32) -> Vec<u8> {
        let withdraw = |n| {
            Body::LabelWithdraw(LabelWithdraw {
                fec: FecTlv::Prefixes(IpNet::V4(fec(n)).into()),
                label: Some(label(n)),
            })
        };
        octets(self.n, (first..first + fecs).map(withdraw))
    }

    pub(crate) fn restart_count(&self) {
        let mut heard = self.shared.lock();
        (heard.mappings, heard.withdraws) = (0, 0);
    }

    /// Says Shutdown and waits until the session is ended.
    pub(crate) fn leave(&self) {
        let shutdown = Notification::new(Status::new(StatusCode::SHUTDOWN));
        self.send(&octets(self.n, [Body::Notification(shutdown)]));
        let _ = self.stream.lock().unwrap().shutdown(std::net::Shutdown::Write);
        let shared = self.shared.lock();
        drop(self.shared.news.wait_timeout_while(shared, PATIENCE, |heard| !heard.closed).unwrap());
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }

    /// The longest silences: of the session, of Hellos.
    pub(crate) fn longest(&self) -> (Duration, Duration) {
        let heard = self.shared.lock();
        let since = |last: Option<Instant>| last.map_or(Duration::ZERO, |last| last.elapsed());
        (heard.silence.max(since(heard.last)), heard.hello_silence.max(since(heard.last_hello)))
    }
}

impl Shared {
    /// Lets time pass.
    fn pause(&self, time: Duration) {
        let begin = Instant::now();
        let mut heard = self.lock();
        while let Some(rest) = time.checked_sub(begin.elapsed()).filter(|_| !heard.closed) {
            heard = self.news.wait_timeout(heard, rest).unwrap().0;
        }
    }
}

fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, n, 0, 1)
}

fn label(n: u32) -> Label {
    Label::new(FIRST_LABEL + n).unwrap()
}

fn octets(n: u8, bodies: impl IntoIterator<Item = Body>) -> Vec<u8> {
    let mut writer = PduWriter::new(LdpId::platform(address(n)), DEFAULT_MAX_PDU_LENGTH);
    for (id, body) in (1..).zip(bodies) {
        writer.push(&Message { id: MessageId(id), body }).unwrap();
    }
    writer.finish()
}

fn hello_socket(n: u8) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.bind_device(Some(device(n).as_bytes())).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT).into()).unwrap();
    socket.join_multicast_v4(&Ipv4Addr::new(224, 0, 0, 2), &address(n)).unwrap();
    socket.set_multicast_if_v4(&address(n)).unwrap();
    socket
}

/// A connection, with our Initialization sent, if we were heard.
fn attempt(n: u8, shared: &Shared) -> std::io::Result<TcpStream> {
    if shared.lock().last_hello.is_none() {
        return Err(std::io::ErrorKind::NotConnected.into());
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddrV4::new(address(n), 0).into())?;
    socket.connect(&SocketAddrV4::new(DUT, PORT).into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    let receiver = LdpId::platform(DUT);
    stream
        .write_all(&octets(n, [Body::Initialization(Initialization::new(KeepaliveTime(HOLD), receiver))]))?;
    let mut answered = [0];
    stream.peek(&mut answered)?;
    Ok(stream)
}

fn hear_hellos(socket: &Socket, shared: &Shared) {
    let mut datagram = [0; 2048];
    let mut socket = socket;
    while socket.read(&mut datagram).is_ok() {
        let mut heard = shared.lock();
        let silence = heard.last_hello.map_or(Duration::ZERO, |last| last.elapsed());
        heard.hello_silence = heard.hello_silence.max(silence);
        heard.last_hello = Some(Instant::now());
    }
}

fn read(n: u8, mut stream: TcpStream, shared: &Shared, writer: &Mutex<TcpStream>) {
    let (mut reader, mut chunk) = (PduReader::default(), vec![0; 256 * 1024]);
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        reader.push(chunk.get(..length).unwrap_or_default());
        let (mut owed, mut alive) = (Vec::new(), false);
        let mut heard = shared.lock();
        let silence = heard.last.map_or(Duration::ZERO, |last| last.elapsed());
        heard.silence = heard.silence.max(silence);
        heard.last = Some(Instant::now());
        while let Some(pdu) = reader.next().unwrap() {
            for message in pdu.messages() {
                let Ok(Incoming::Message(message)) = message else { continue };
                match message.body {
                    Body::KeepAlive => alive = true,
                    Body::LabelMapping(_) => heard.mappings += 1,
                    Body::LabelRelease(_) => heard.releases += 1,
                    Body::LabelWithdraw(LabelWithdraw { fec, label }) => {
                        heard.withdraws += 1;
                        owed.push(Body::LabelRelease(LabelRelease { fec, label, status: None }));
                    }
                    Body::Initialization(_) => {
                        owed.push(Body::KeepAlive);
                    }
                    Body::Notification(said) if said.status.code.is_fatal() => {
                        println!("neighbor {n} was told {:?}", said.status);
                    }
                    _ => {}
                }
            }
        }
        drop(heard);
        if !owed.is_empty() {
            let _ = writer.lock().unwrap().write_all(&octets(n, owed));
        }
        // Once our own KeepAlive is on its way.
        shared.lock().operational |= alive;
        shared.news.notify_all();
    }
    shared.lock().closed = true;
    shared.news.notify_all();
}
