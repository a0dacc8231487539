//! Steady traffic: numbered datagrams of every subscriber and its ISP, both ways and at a fixed rate whatever happens, so
//! that afterwards each one's fate is known.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::tag::Tag;
use super::{End, Pair, socket, udp};
use crate::lab::accounts::Way;

/// Between two datagrams of a stream.
const INTERVAL: Duration = Duration::from_millis(10);
/// How far a sender that was held up may fall behind before it goes on from where it is.
const CATCH_UP: Duration = Duration::from_millis(100);
/// Octets of payload.
const PAYLOAD: usize = 256;
/// How long the receivers wait for what is still under way after the last datagram was sent.
const UNDER_WAY: Duration = Duration::from_secs(1);
/// How long a datagram may be under way before it is looked for while the traffic runs.
const ARRIVES: Duration = Duration::from_millis(250);
/// The stretch of time in which nothing may be missing for the traffic to be whole.
const WHOLE: Duration = Duration::from_millis(250);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(50);

/// A way of datagrams. The sender is not connected: then its kernel looks up the route for each of them, as a router does,
/// and not once for all.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Route {
    /// Under whose name it is counted.
    pub(in crate::lab) isp: String,
    /// Which way.
    pub(in crate::lab) way: Way,
    /// Who sends.
    pub(in crate::lab) from: End,
    /// Where it may arrive: hosts that all have the same address.
    pub(in crate::lab) to: Vec<End>,
    /// The payload.
    pub(in crate::lab) tag: Tag,
}

/// Traffic that runs.
#[derive(Debug)]
pub(in crate::lab) struct Steady {
    log: Arc<Mutex<Log>>,
    stop: Arc<AtomicBool>,
    done: tokio::sync::oneshot::Receiver<io::Result<()>>,
}

/// What became of every datagram.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Log {
    begun: Instant,
    streams: Vec<Stream>,
}

/// Datagrams of one subscriber and its ISP, one way, by one IP version.
#[derive(Clone, Debug)]
struct Stream {
    isp: String,
    way: Way,
    tag: Tag,
    packets: Vec<Packet>,
}

/// A datagram; its number is its place.
#[derive(Clone, Copy, Debug)]
struct Packet {
    sent: Duration,
    arrived: Option<Duration>,
    copies: u32,
}

/// What became of an ISP's datagrams one way in a stretch of time.
#[derive(Clone, Debug)]
pub(in crate::lab) struct Fate {
    /// The ISP's name.
    pub(in crate::lab) isp: String,
    /// Which way.
    pub(in crate::lab) way: Way,
    /// How many were sent.
    pub(in crate::lab) sent: u64,
    /// How many never arrived.
    pub(in crate::lab) lost: u64,
    /// How many arrived more often than once.
    pub(in crate::lab) duplicated: u64,
    /// From the beginning of the stretch to the first datagram after which none was lost; `None`: to the end of the stretch
    /// they were.
    pub(in crate::lab) recovered: Option<Duration>,
    /// The longest time that one was under way.
    pub(in crate::lab) slowest: Duration,
}

/// A time in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::lab) struct Mark(Duration);

impl Mark {
    /// How long it is after another.
    pub(in crate::lab) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Steady {
    /// Starts the traffic of these pairs, both ways, each with the name of its ISP.
    pub(in crate::lab) fn start(pairs: &[(String, Pair)]) -> io::Result<Self> {
        let routes = pairs.iter().enumerate().flat_map(|(number, (isp, pair))| {
            let ways =
                [(Way::ToIsp, &pair.subscriber, &pair.isp), (Way::ToSubscriber, &pair.isp, &pair.subscriber)];
            ways.map(|(way, from, to)| Route {
                isp: isp.clone(),
                way,
                from: from.clone(),
                to: vec![to.clone()],
                tag: Tag::new(pair.mark, 0x800 + number * 2 + usize::from(way == Way::ToIsp)),
            })
        });
        Self::start_routes(&routes.collect::<Vec<_>>())
    }

    /// Starts traffic on these ways.
    pub(in crate::lab) fn start_routes(routes: &[Route]) -> io::Result<Self> {
        let (mut streams, mut senders, mut receivers) = (Vec::new(), Vec::new(), Vec::new());
        for (number, Route { isp, way, from, to, tag }) in routes.iter().enumerate() {
            let sender = socket::datagrams(from, 0)?;
            let mut address = None;
            for end in to {
                let receiver =
                    socket::datagrams(end, address.map_or(0, |address: SocketAddr| address.port()))?;
                receiver.connect(sender.local_addr()?)?;
                receiver.set_nonblocking(true)?;
                address = Some(receiver.local_addr()?);
                receivers.push((number, receiver));
            }
            sender.set_nonblocking(true)?;
            senders.extend(address.map(|address| (sender, address)));
            streams.push(Stream { isp: isp.clone(), way: *way, tag: *tag, packets: Vec::new() });
        }
        let log = Arc::new(Mutex::new(Log { begun: Instant::now(), streams }));
        let stop = Arc::new(AtomicBool::new(false));
        let (done_sender, done) = tokio::sync::oneshot::channel();
        let (shared, stopping) = (log.clone(), stop.clone());
        std::thread::spawn(move || {
            let received = std::thread::scope(|scope| {
                let sending = scope.spawn(|| send(&senders, &shared, &stopping));
                receive(&receivers, &shared, || sending.is_finished())
            });
            // Nobody waits any longer if the lab was interrupted.
            _ = done_sender.send(received);
        });
        Ok(Self { log, stop, done })
    }

    /// This moment.
    pub(in crate::lab) fn mark(&self) -> Mark {
        Mark(self.log().begun.elapsed())
    }

    /// Resolves once for a while nothing that was sent after `since` was lost; `false` if it takes longer than this.
    pub(in crate::lab) async fn whole_again(&self, since: Mark, within: Duration) -> bool {
        let mut looks = tokio::time::interval(LOOK);
        let whole = async {
            loop {
                looks.tick().await;
                let now = self.mark().0;
                let end = now.saturating_sub(ARRIVES);
                let begin = end.saturating_sub(WHOLE).max(since.0);
                if end >= begin + WHOLE - LOOK && self.log().is_whole(begin, end) {
                    return;
                }
            }
        };
        tokio::time::timeout(within, whole).await.is_ok()
    }

    /// Ends the traffic: what became of it.
    pub(in crate::lab) async fn stop(mut self) -> io::Result<Log> {
        self.stop.store(true, Relaxed);
        (&mut self.done).await.map_err(|_| io::Error::other("the traffic's thread panicked"))??;
        Ok(lock(&self.log).clone())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

impl Log {
    /// What became of what was sent from one mark to the other, by ISP and way.
    pub(in crate::lab) fn fates(&self, from: Mark, to: Mark) -> Vec<Fate> {
        let mut fates: Vec<Fate> = Vec::new();
        for stream in &self.streams {
            let fate = stream.fate(from.0, to.0);
            match fates.iter_mut().find(|known| known.isp == fate.isp && known.way == fate.way) {
                None => fates.push(fate),
                Some(known) => {
                    known.sent += fate.sent;
                    known.lost += fate.lost;
                    known.duplicated += fate.duplicated;
                    known.recovered = known.recovered.zip(fate.recovered).map(|(a, b)| a.max(b));
                    known.slowest = known.slowest.max(fate.slowest);
                }
            }
        }
        fates.sort_by(|a, b| (&a.isp, a.way).cmp(&(&b.isp, b.way)));
        fates
    }

    /// Before the first datagram.
    pub(in crate::lab) const BEGINNING: Mark = Mark(Duration::ZERO);
    /// The end of all time.
    pub(in crate::lab) const END: Mark = Mark(Duration::MAX);

    fn is_whole(&self, begin: Duration, end: Duration) -> bool {
        self.streams.iter().all(|stream| {
            let mut of_stretch = stream.between(begin, end).peekable();
            of_stretch.peek().is_some() && of_stretch.all(|packet| packet.arrived.is_some())
        })
    }
}

impl Stream {
    fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Packet> {
        let first = self.packets.partition_point(|packet| packet.sent < from);
        let packets = self.packets.get(first..).unwrap_or_default();
        packets.iter().take_while(move |packet| packet.sent < to)
    }

    fn fate(&self, from: Duration, to: Duration) -> Fate {
        let mut fate = Fate {
            isp: self.isp.clone(),
            way: self.way,
            sent: 0,
            lost: 0,
            duplicated: 0,
            recovered: Some(Duration::ZERO),
            slowest: Duration::ZERO,
        };
        for packet in self.between(from, to) {
            fate.sent += 1;
            fate.duplicated += u64::from(packet.copies > 1);
            match packet.arrived {
                None => (fate.lost, fate.recovered) = (fate.lost + 1, None),
                Some(arrived) => {
                    fate.recovered = fate.recovered.or(Some(packet.sent.saturating_sub(from)));
                    fate.slowest = fate.slowest.max(arrived.saturating_sub(packet.sent));
                }
            }
        }
        fate
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(senders: &[(UdpSocket, SocketAddr)], log: &Mutex<Log>, stop: &AtomicBool) {
    let begun = lock(log).begun;
    let mut due = begun.elapsed();
    while !stop.load(Relaxed) {
        for (number, (sender, to)) in senders.iter().enumerate() {
            let mut payload = [0; PAYLOAD];
            {
                let mut log = lock(log);
                let Some(stream) = log.streams.get_mut(number) else { continue };
                stream.tag.fill(0, &mut payload);
                payload[udp::NUMBER].copy_from_slice(&(stream.packets.len() as u64).to_be_bytes());
                stream.packets.push(Packet { sent: begun.elapsed(), arrived: None, copies: 0 });
            }
            // One that the sender's own kernel does not send is lost to its user as well.
            _ = sender.send_to(&payload, to);
        }
        let now = begun.elapsed();
        due = (due + INTERVAL).max(now.saturating_sub(CATCH_UP));
        std::thread::sleep(due.saturating_sub(now));
    }
}

/// Receives until the sender has ended and nothing is under way any more.
fn receive(receivers: &[(usize, UdpSocket)], log: &Mutex<Log>, ended: impl Fn() -> bool) -> io::Result<()> {
    let begun = lock(log).begun;
    let fds: Vec<BorrowedFd<'_>> = receivers.iter().map(|(_, receiver)| receiver.as_fd()).collect();
    let time = Timespec::try_from(LOOK).map_err(io::Error::other)?;
    let mut give_up = None;
    loop {
        let mut ready: Vec<_> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        match poll(&mut ready, Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let readable = ready.iter().zip(receivers).filter(|(fd, _)| !fd.revents().is_empty());
        for (_, (number, receiver)) in readable {
            take(*number, receiver, log, begun);
        }
        if ended() {
            let now = begun.elapsed();
            let log = lock(log);
            let last_came =
                log.streams.iter().all(|stream| stream.packets.last().is_none_or(|p| p.arrived.is_some()));
            if last_came || now > *give_up.get_or_insert(now + UNDER_WAY) {
                return Ok(());
            }
        }
    }
}

fn take(number: usize, receiver: &UdpSocket, log: &Mutex<Log>, begun: Instant) {
    let mut payload = [0; PAYLOAD + 1];
    loop {
        let len = match receiver.recv(&mut payload) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // An ICMP error that came for the other way.
            Err(_) => continue,
        };
        let arrived = begun.elapsed();
        let mut log = lock(log);
        let Some(stream) = log.streams.get_mut(number) else { return };
        // What is not of this stream is judged by the host's recorder.
        if let Ok(place) = udp::number(&payload[..len], stream.tag)
            && let Some(packet) = stream.packets.get_mut(place as usize)
        {
            packet.arrived.get_or_insert(arrived);
            packet.copies += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(way: Way, arrived: &[Option<u64>]) -> Stream {
        let packets = arrived.iter().enumerate().map(|(number, delay)| {
            let sent = Duration::from_millis(10 * number as u64);
            let arrived = delay.map(|delay| sent + Duration::from_millis(delay));
            Packet { sent, arrived, copies: u32::from(arrived.is_some()) }
        });
        let tag = Tag::new(super::super::tag::IspMark::of(0), 1);
        Stream { isp: "alpha".to_owned(), way, tag, packets: packets.collect() }
    }

    #[test]
    fn the_time_to_recover_ends_with_the_first_packet_after_which_nothing_is_lost() {
        let some = Some(1);
        let mut twice = stream(Way::ToIsp, &[some, some, None, some, None, None, Some(7), some]);
        twice.packets[7].copies = 2;
        let streams = vec![twice, stream(Way::ToIsp, &[some; 8]), stream(Way::ToSubscriber, &[some, None])];
        let log = Log { begun: Instant::now(), streams };
        let millis = |n| Mark(Duration::from_millis(n));
        let [to_isp, to_subscriber] = &log.fates(millis(10), Log::END)[..] else { panic!() };
        assert_eq!((to_isp.sent, to_isp.lost, to_isp.duplicated), (14, 3, 1));
        assert_eq!(to_isp.recovered, Some(Duration::from_millis(50)));
        assert_eq!(to_isp.slowest, Duration::from_millis(7));
        assert_eq!((to_subscriber.lost, to_subscriber.recovered), (1, None));
        assert_eq!(log.fates(millis(0), millis(20))[0].recovered, Some(Duration::ZERO));
        assert!(!log.is_whole(Duration::ZERO, Duration::from_millis(20)));
        assert!(log.is_whole(Duration::ZERO, Duration::from_millis(10)));
        assert!(!log.is_whole(Duration::from_millis(70), Duration::from_millis(90)), "one sent nothing");
    }
}
