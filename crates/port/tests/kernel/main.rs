//! AF_PACKET ports against the kernel: hosts in namespaces of their own, with offloads as the kernel has them by
//! default, joined by a cable that is two ports.
#![allow(unsafe_code, missing_docs)]

mod cable;
mod rate;
mod sandbox;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use cable::Cable;
use port::capture::{Capture, Direction};
use port::{AfPacket, Link, Port, PortError, Protocol, Refusal, TxOutcome};
use sandbox::Host;
use wire::frame::FramePool;

const A4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const A6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
const B6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
const ON_A: &[(IpAddr, u8)] = &[(A4, 24), (A6, 64)];
const ON_B: &[(IpAddr, u8)] = &[(B4, 24), (B6, 64)];
const DEADLINE: Duration = Duration::from_secs(20);

fn hosts() -> (Host, Host) {
    let (a, b) = (Host::new(), Host::new());
    a.connect("p1", "h1", ON_A);
    b.connect("p2", "h2", ON_B);
    (a, b)
}

fn open(device: &str) -> AfPacket {
    AfPacket::options(device).open().unwrap()
}

/// Octets that repeat nowhere near.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn tcp_streams_cross_both_ways_intact() {
    sandbox::run("tcp_streams_cross_both_ways_intact", || {
        let (a, b) = hosts();
        let cable = Cable::new(open("p1"), open("p2"), 1514, 4096);
        for (from, to) in [(A4, B4), (A6, B6)] {
            let listener = b.run(move || TcpListener::bind(SocketAddr::new(to, 5000)).unwrap());
            let stream =
                a.run(move || TcpStream::connect_timeout(&SocketAddr::new(to, 5000), DEADLINE).unwrap());
            let (accepted, peer) = listener.accept().unwrap();
            assert_eq!(peer.ip(), from);
            let sent = pattern(8 << 20);
            let workers = [
                thread::spawn({
                    let (stream, data) = (stream.try_clone().unwrap(), sent.clone());
                    move || send(stream, &data)
                }),
                thread::spawn({
                    let (stream, data) = (accepted.try_clone().unwrap(), sent.clone());
                    move || send(stream, &data)
                }),
            ];
            let others = [thread::spawn(|| receive(stream)), thread::spawn(|| receive(accepted))];
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            for other in others {
                assert!(other.join().unwrap() == sent, "{from} to {to}: not what was sent");
            }
        }
        let [first, second] = cable.stop();
        for statistics in [first, second] {
            // Otherwise nothing was segmented, and this test shows less than it says.
            assert!(statistics.segments > 1000, "{statistics:?}");
            assert_eq!((statistics.bad_offload, statistics.rx_too_long), (0, 0), "{statistics:?}");
        }
    });
}

fn send(mut stream: TcpStream, data: &[u8]) {
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(data).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
}

fn receive(mut stream: TcpStream) -> Vec<u8> {
    let mut data = Vec::new();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.read_to_end(&mut data).unwrap();
    data
}

#[test]
fn datagrams_cross_alone_and_as_trains() {
    sandbox::run("datagrams_cross_alone_and_as_trains", || {
        const SIZE: usize = 1000;
        let (a, b) = hosts();
        // A pool and a burst that cut trains in the middle.
        let cable = Cable::new(open("p1"), open("p2"), 1514, 16);
        for (from, to) in [(A4, B4), (A6, B6)] {
            let receiver = b.run(move || UdpSocket::bind(SocketAddr::new(to, 6000)).unwrap());
            receiver.set_read_timeout(Some(DEADLINE)).unwrap();
            let sender = a.run(move || UdpSocket::bind(SocketAddr::new(from, 0)).unwrap());
            let mut buffer = [0; 2048];
            sender.send_to(b"odd", receiver.local_addr().unwrap()).unwrap();
            assert_eq!(receiver.recv(&mut buffer).unwrap(), 3);
            assert_eq!(&buffer[..3], b"odd");

            let size = SIZE as i32;
            // SAFETY: points to an initialised value of this length.
            let set = unsafe {
                libc::setsockopt(
                    sender.as_raw_fd(),
                    libc::SOL_UDP,
                    libc::UDP_SEGMENT,
                    (&raw const size).cast(),
                    4,
                )
            };
            assert_eq!(set, 0, "UDP_SEGMENT");
            let train = pattern(40 * SIZE + 77);
            sender.send_to(&train, receiver.local_addr().unwrap()).unwrap();
            for expected in train.chunks(SIZE) {
                let len = receiver.recv(&mut buffer).unwrap();
                assert!(&buffer[..len] == expected, "{from}: a datagram is not as it was sent");
            }
        }
        let [statistics, _] = cable.stop();
        assert_eq!((statistics.segments, statistics.bad_offload), (80, 0), "{statistics:?}");
        assert!(statistics.starved > 0, "{statistics:?}");
    });
}

/// An Ethernet frame with these octets between addresses and payload.
fn frame(between: &[u8], payload: &[u8]) -> Vec<u8> {
    [&[0xff_u8; 6][..], &[2, 0, 0, 0, 0, 9], between, payload].concat()
}

/// Sends frames, every one of which the port takes.
fn transmit(port: &mut AfPacket, frames: &[Vec<u8>]) -> Vec<TxOutcome> {
    let mut pool = FramePool::new(frames.len() as u32, 2000);
    let mut burst = frames.iter().map(|octets| pool.alloc_from(octets).unwrap()).collect();
    let mut outcomes = Vec::new();
    port.tx_burst(&mut pool, &mut burst, &mut outcomes);
    assert_eq!((pool.available(), burst.len()), (pool.capacity(), 0));
    outcomes
}

/// Receives so many frames from the test's own station, and no more.
fn expect(port: &mut AfPacket, count: usize) -> Vec<Vec<u8>> {
    let mut pool = FramePool::new(64, 2000);
    let (mut frames, mut got) = (Vec::new(), Vec::new());
    while got.len() < count {
        assert!(cable::wait(&[port], DEADLINE), "{} frames of {count} came: {got:02x?}", got.len());
        port.rx_burst(&mut pool, &mut frames, 64);
        for frame in frames.drain(..) {
            // The kernels have something to say, too.
            if pool.octets(&frame)[6..12] == [2, 0, 0, 0, 0, 9] {
                got.push(pool.octets(&frame).to_vec());
            }
            pool.free(frame);
        }
    }
    assert_eq!(pool.available(), pool.capacity());
    got
}

#[test]
fn tags_come_as_they_were_sent_and_a_port_does_not_hear_itself() {
    sandbox::run("tags_come_as_they_were_sent_and_a_port_does_not_hear_itself", || {
        let a = Host::new();
        a.connect("p1", "h1", &[]);
        let mut capture = Capture::open("p1", 30).unwrap();
        let (mut near, mut far) = (open("p1"), a.run(|| open("h1")));
        let payload = pattern(60);
        let frames = [
            frame(&[0x88, 0xb5], &payload),
            frame(&[0x81, 0x00, 0x20, 0x07, 0x88, 0xb5], &payload),
            frame(&[0x88, 0xa8, 0x00, 0x07, 0x81, 0x00, 0x00, 0x08, 0x88, 0xb5], &payload),
        ];
        assert_eq!(transmit(&mut near, &[frame(&[0x88, 0xb5], &[7; 46])]), [TxOutcome::Sent]);
        assert_eq!(transmit(&mut far, &frames), [TxOutcome::Sent; 3]);
        assert_eq!(expect(&mut near, 3), frames);
        assert_eq!(expect(&mut far, 1), [frame(&[0x88, 0xb5], &[7; 46])]);

        let mut seen = Vec::new();
        while let Some(captured) = capture.next_frame().unwrap() {
            if captured.octets[6..12] == [2, 0, 0, 0, 0, 9] {
                assert!(captured.time > Duration::from_secs(1_600_000_000));
                seen.push((captured.direction, captured.octets.to_vec(), captured.len as usize));
            }
        }
        let way = |direction, octets: &[u8]| (direction, octets[..30].to_vec(), octets.len());
        assert_eq!(seen[0], way(Direction::Out, &frame(&[0x88, 0xb5], &[7; 46])));
        assert_eq!(seen[1..], frames.each_ref().map(|octets| way(Direction::In, octets)));
    });
}

#[test]
fn a_port_for_mpls_takes_nothing_else_and_lengths_end_at_the_mtu() {
    sandbox::run("a_port_for_mpls_takes_nothing_else_and_lengths_end_at_the_mtu", || {
        let a = Host::new();
        a.connect("p1", "h1", &[]);
        let mut near = AfPacket::options("p1").protocol(Protocol::Mpls).all_multicast(true).open().unwrap();
        let mut far = a.run(|| open("h1"));
        let to_near = |mut octets: Vec<u8>| {
            octets[..6].copy_from_slice(&near.mac().0);
            octets
        };
        let labelled = to_near(frame(&[0x88, 0x47, 0x00, 0x01, 0x01, 0xff], &pattern(1496)));
        let too_long = frame(&[0x88, 0x47, 0x00, 0x01, 0x01, 0xff], &pattern(1497));
        let tagged = to_near(frame(&[0x81, 0x00, 0x00, 0x01, 0x88, 0x47], &pattern(1500)));
        let mut elsewhere = labelled.clone();
        elsewhere[5] ^= 1;
        let ip = to_near(frame(&[0x08, 0x00], &[0x45; 60]));
        let last = to_near(frame(&[0x88, 0x47, 0x00, 0x02, 0x01, 0xff], &[0x45; 60]));
        let sent = [ip, labelled.clone(), too_long, tagged, elsewhere, vec![1; 13], last.clone()];
        let mut outcomes = [TxOutcome::Sent; 7];
        outcomes[2] = TxOutcome::Refused(Refusal::TooLong);
        outcomes[5] = TxOutcome::Refused(Refusal::Malformed);
        assert_eq!(transmit(&mut far, &sent), outcomes);
        assert_eq!(far.statistics().tx_refused, 2);
        assert_eq!(expect(&mut near, 2), [labelled, last]);
        assert_eq!(near.statistics().not_for_us, 2);
    });
}

#[test]
fn a_port_follows_its_device_down_up_and_away() {
    sandbox::run("a_port_follows_its_device_down_up_and_away", || {
        let a = Host::new();
        a.connect("p1", "h1", &[]);
        let (mut near, mut far) = (open("p1"), a.run(|| open("h1")));
        assert_eq!((near.link(), near.mtu()), (Link::Up, 1500));
        let octets = frame(&[0x88, 0xb5], &[1; 46]);

        a.run(|| sandbox::down("h1"));
        assert_eq!(near.link(), Link::NoCarrier);
        a.run(|| sandbox::up("h1"));
        assert_eq!(near.link(), Link::Up);

        sandbox::down("p1");
        assert!(cable::wait_for_error(&near, DEADLINE), "the error is not reported");
        assert_eq!(near.link(), Link::Down);
        assert!(!cable::wait_for_error(&near, Duration::ZERO), "the error is reported again and again");
        assert_eq!(
            transmit(&mut near, &[octets.clone(), octets.clone()]),
            [TxOutcome::Refused(Refusal::LinkDown); 2]
        );
        assert_eq!(far.link(), Link::NoCarrier);
        let refused = [TxOutcome::Refused(Refusal::LinkDown)];
        assert_eq!(transmit(&mut far, std::slice::from_ref(&octets)), refused);
        sandbox::up("p1");
        assert_eq!(transmit(&mut far, std::slice::from_ref(&octets)), [TxOutcome::Sent]);
        assert_eq!(expect(&mut near, 1), std::slice::from_ref(&octets));
        assert_eq!(transmit(&mut near, std::slice::from_ref(&octets)), [TxOutcome::Sent]);

        sandbox::delete("p1");
        assert!(cable::wait_for_error(&near, DEADLINE), "the error is not reported");
        assert_eq!(near.link(), Link::Gone);
        assert_eq!(transmit(&mut near, &[octets]), [TxOutcome::Refused(Refusal::LinkDown)]);
        assert!(matches!(AfPacket::options("p1").open(), Err(PortError::NoSuchDevice(name)) if name == "p1"));
        assert!(matches!(AfPacket::options("lo").open(), Err(PortError::NotEthernet(_))));
    });
}
