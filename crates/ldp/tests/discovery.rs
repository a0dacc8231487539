//! Every way to be heard, under every policy, with everything that can happen to it (RFC 5036 §2.4, §2.5.5): by what Hellos
//! the neighbor is heard then, whether its session is there, and what targeted Hellos it gets.

mod bench;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bench::{Bench, hello, initialization, octets, peer};
use ldp::{Action, InterfaceId, NeighborPolicy, Neighbors, Protection, Speaker, Targeted, Via};
use wire::ldp::{Body, Hello, HoldTime, Incoming, Message, Pdu};

/// Who is met.
const PEER: u8 = 2;

fn lsr() -> Ipv4Addr {
    peer(PEER).lsr_id
}

fn policies() -> [(&'static str, NeighborPolicy); 4] {
    let targeted = |targeted| NeighborPolicy { targeted, ..NeighborPolicy::default() };
    let protection = Protection::For(Duration::from_secs(100));
    [
        ("off", targeted(Targeted::Off)),
        ("answer", targeted(Targeted::Answer(lsr().into()))),
        ("on", targeted(Targeted::On(lsr().into()))),
        ("protected", NeighborPolicy { protection, ..NeighborPolicy::default() }),
    ]
}

fn neighbors(policy: NeighborPolicy) -> Neighbors {
    Neighbors { named: BTreeMap::from([(lsr(), policy)]), others: None }
}

fn targeted(asks: bool) -> Hello {
    Hello { targeted: true, request_targeted: asks, hold: HoldTime(45), ..hello(Some(lsr())) }
}

fn hear(bench: &mut Bench, source: Ipv4Addr, hello: Hello) {
    let octets = octets(peer(PEER), &[Body::Hello(hello)]);
    let source = SocketAddr::from((source, 646));
    bench.call(|speaker, now| speaker.handle_targeted_datagram(now, source, &octets));
}

/// How it is heard to begin with: on link 1 and by targeted Hellos, or was on the link until now.
const STATES: [(&str, bool, bool); 5] = [
    ("unheard", false, false),
    ("link", true, false),
    ("targeted", false, true),
    ("both", true, true),
    ("link lost", true, true),
];

/// `None` if the policy does not lead there.
fn in_state(policy: &NeighborPolicy, state: &str, on_link: bool, by_target: bool) -> Option<Bench> {
    let mut bench = Bench::new(|config| {
        config.neighbors = neighbors(policy.clone());
        config.targeted_hello_hold = Duration::from_secs(30);
    });
    if on_link {
        bench.hello(1, PEER);
    }
    if by_target {
        hear(&mut bench, lsr(), targeted(true));
    }
    let heard = bench.speaker.neighbors(bench.now).first().map_or(0, |known| known.adjacencies.len());
    if heard != usize::from(on_link) + usize::from(by_target) {
        return None;
    }
    if heard > 0 {
        let conn = bench.accept(PEER);
        bench.say(conn, PEER, &[initialization(None), Body::KeepAlive]);
    }
    if state == "link lost" {
        bench.call(|speaker, now| speaker.handle_interface_down(now, InterfaceId(1)));
    }
    bench.call(Speaker::handle_timeout);
    bench.clear();
    Some(bench)
}

type Happen = fn(&mut Bench);

/// Lets time pass, with these Hellos every five seconds.
fn pass(bench: &mut Bench, seconds: u64, on_link: bool, by_target: bool) {
    for second in 1..=seconds {
        bench.now = bench.now + Duration::from_secs(1);
        if on_link && second % 5 == 0 {
            bench.hello(1, PEER);
        }
        if by_target && second % 5 == 0 {
            hear(bench, lsr(), targeted(true));
        }
        bench.call(Speaker::handle_timeout);
    }
}

fn happens() -> [(&'static str, Happen); 16] {
    [
        ("link Hello", |bench| bench.hello(1, PEER)),
        ("link Hello on another link", |bench| bench.hello(2, PEER)),
        ("link Hello with the T bit", |bench| bench.hello_with(1, PEER, targeted(true))),
        ("targeted Hello that asks", |bench| hear(bench, lsr(), targeted(true))),
        ("targeted Hello that does not ask", |bench| hear(bench, lsr(), targeted(false))),
        ("targeted Hello without the T bit", |bench| hear(bench, lsr(), hello(Some(lsr())))),
        ("targeted Hello from elsewhere", |bench| hear(bench, Ipv4Addr::new(10, 9, 9, 9), targeted(true))),
        ("targeted Hello with another transport address", |bench| {
            let elsewhere = Some(Ipv4Addr::new(10, 9, 9, 9));
            hear(bench, lsr(), Hello { transport_address: elsewhere, ..targeted(true) });
        }),
        ("15 s without link Hellos", |bench| pass(bench, 15, false, true)),
        ("30 s without targeted Hellos", |bench| pass(bench, 30, true, false)),
        ("30 s without any", |bench| pass(bench, 30, false, false)),
        ("interface down", |bench| {
            bench.call(|speaker, now| speaker.handle_interface_down(now, InterfaceId(1)));
        }),
        ("100 s with targeted Hellos alone", |bench| pass(bench, 115, false, true)),
        ("shut", |bench| bench.call(|speaker, now| speaker.handle_shut(now, lsr(), true))),
        ("policy: off", |bench| {
            let off = neighbors(NeighborPolicy::default());
            bench.call(|speaker, now| speaker.handle_neighbors(now, off));
        }),
        ("policy: on", |bench| {
            let on = NeighborPolicy { targeted: Targeted::On(lsr().into()), ..NeighborPolicy::default() };
            bench.call(|speaker, now| speaker.handle_neighbors(now, neighbors(on)));
        }),
    ]
}

/// By what it is heard, what is its session's state, and what targeted Hellos it gets (every 10 s).
fn outcome(bench: &mut Bench) -> String {
    let known = bench.speaker.neighbors(bench.now);
    let known = known.first();
    let vias: Vec<String> = known
        .into_iter()
        .flat_map(|known| &known.adjacencies)
        .map(|adjacency| match adjacency.via {
            Via::Link(InterfaceId(n)) => format!("link {n}"),
            Via::Targeted => "targeted".to_owned(),
        })
        .collect();
    let heard = if vias.is_empty() { "unheard".to_owned() } else { vias.join(" + ") };
    let session = known.is_some_and(|known| known.up_for.is_some());
    bench.clear();
    pass(bench, 14, false, false);
    let hellos = bench.actions.iter().filter_map(|action| match action {
        Action::SendTargetedHello { to, octets } => Some((*to, octets)),
        _ => None,
    });
    let mut sent: Vec<&str> = hellos
        .map(|(to, octets)| {
            assert_eq!(to, lsr());
            let pdu = Pdu::from_datagram(octets).unwrap();
            match pdu.messages().next() {
                Some(Ok(Incoming::Message(Message { body: Body::Hello(hello), .. })))
                    if hello.request_targeted =>
                {
                    "ask"
                }
                _ => "answer",
            }
        })
        .collect();
    sent.dedup();
    let sent = if sent.is_empty() { String::new() } else { format!(", we {}", sent.join(" and ")) };
    format!("{heard}{}{sent}", if session { ", session" } else { "" })
}

fn table() -> String {
    let mut text = String::new();
    for (event, happen) in happens() {
        text.push_str(event);
        text.push('\n');
        for (name, policy) in policies() {
            let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
            for (state, on_link, by_target) in STATES {
                let Some(mut bench) = in_state(&policy, state, on_link, by_target) else { continue };
                happen(&mut bench);
                let after = outcome(&mut bench);
                match rows.iter_mut().find(|(outcome, _)| *outcome == after) {
                    Some((_, states)) => states.push(state),
                    None => rows.push((after, vec![state])),
                }
            }
            for (outcome, states) in rows {
                text.push_str(&format!("    {name}: {} → {outcome}\n", states.join(", ")));
            }
        }
    }
    text
}

#[test]
fn every_way_to_be_heard_with_everything_that_can_happen() {
    let expected = include_str!("discovery.txt");
    let found = table();
    let mut event = "";
    for (expected, found) in expected.lines().zip(found.lines()) {
        event = if found.starts_with(' ') { event } else { found };
        assert_eq!(found, expected, "{event}; all of it:\n{}", table());
    }
    assert_eq!(found, expected);
}
