//! Every state of the way to a session with everything that can happen in it (RFC 5036 §2.5.4), seen from outside: what is
//! said, what is closed, and where it leads; and how attempts that were refused are spaced (§2.5.3).

mod bench;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bench::{Bench, LOCAL, address, fec, hello, initialization, label, mapping, peer};
use ldp::{Action, ConnId, DownReason, InterfaceId, SessionState, Speaker, StatusCode};
use wire::ldp::{
    Addresses, Body, CapabilityChange, FtSession, Hello, Incoming, Milliseconds, Notification, PduReader,
    Status,
};

/// Who is met.
const PEER: u8 = 200;
/// A connection that does not exist.
const NOBODY: ConnId = ConnId(4_000_000_000);

/// Where the table begins: in the first five states the peer is to connect, in the others we are.
const STATES: [&str; 10] = [
    "unheard",
    "passive",
    "initialized",
    "passive open_rec",
    "passive operational",
    "idle",
    "connecting",
    "open_sent",
    "active open_rec",
    "active operational",
];

fn connect(bench: &Bench) -> Option<ConnId> {
    bench.actions.iter().find_map(|action| match action {
        Action::Connect { conn, .. } => Some(*conn),
        _ => None,
    })
}

/// A speaker above its peer, which therefore connects.
fn active() -> Bench {
    Bench::new(|config| config.transport.ipv4 = Some(Ipv4Addr::new(10, 255, 0, 250)))
}

fn in_state(state: &str) -> (Bench, ConnId) {
    let is_active = STATES.iter().position(|&name| name == state).unwrap() >= 5;
    let mut bench = if is_active { active() } else { Bench::new(|_| {}) };
    let mut conn = NOBODY;
    if state != "unheard" {
        bench.hello(1, PEER);
    }
    if is_active {
        conn = connect(&bench).expect("it connects at once");
    } else if !["unheard", "passive"].contains(&state) {
        conn = bench.accept(PEER);
    }
    if state == "idle" {
        bench.call(|speaker, now| speaker.handle_connect_failed(now, conn));
    } else if is_active && state != "connecting" {
        bench.call(|speaker, now| speaker.handle_connected(now, conn));
    }
    if state.ends_with("open_rec") || state.ends_with("operational") {
        bench.say(conn, PEER, &[initialization(None)]);
    }
    if state.ends_with("operational") {
        bench.say(conn, PEER, &[Body::KeepAlive]);
    }
    bench.clear();
    (bench, conn)
}

/// A message of this type without parameters, in a PDU of the peer.
fn raw(kind: u16, parameters: &[u8]) -> Vec<u8> {
    let mut message = kind.to_be_bytes().to_vec();
    message.extend((parameters.len() as u16 + 4).to_be_bytes());
    message.extend([0, 0, 0, 9]);
    message.extend(parameters);
    raw_pdu(&message)
}

fn raw_pdu(messages: &[u8]) -> Vec<u8> {
    let mut octets = vec![0, 1];
    octets.extend((messages.len() as u16 + 6).to_be_bytes());
    octets.extend([10, 255, 0, PEER, 0, 0]);
    octets.extend(messages);
    octets
}

fn notification(code: StatusCode) -> Body {
    Body::Notification(Notification::new(Status::new(code)))
}

type Happen = Box<dyn Fn(&mut Bench, ConnId)>;

fn say(body: Body) -> Happen {
    Box::new(move |bench, conn| bench.say(conn, PEER, std::slice::from_ref(&body)))
}

fn send(octets: Vec<u8>) -> Happen {
    Box::new(move |bench, conn| bench.call(|speaker, now| speaker.handle_stream(now, conn, &octets)))
}

/// A common session TLV with this version and keepalive time.
fn common(version: u8, keepalive: u8) -> Vec<u8> {
    let [a, b, c, d] = LOCAL.lsr_id.octets();
    raw(0x0200, &[5, 0, 0, 14, 0, version, 0, keepalive, 0, 0, 0, 0, a, b, c, d, 0, 0])
}

/// What can come by a connection.
fn said() -> Vec<(&'static str, Happen)> {
    let wrong = |message: Body| {
        let octets = bench::octets(peer(7), &[message]);
        send(octets)
    };
    let mut for_another = initialization(None);
    if let Body::Initialization(initialization) = &mut for_another {
        initialization.receiver = peer(7);
    }
    vec![
        ("Initialization", say(initialization(None))),
        ("Initialization for another", say(for_another)),
        ("Initialization of another", wrong(initialization(None))),
        ("Initialization of version 2", send(common(2, 30))),
        ("Initialization with KeepAlive time 0", send(common(1, 0))),
        ("Initialization of an ATM session", send(raw(0x0200, &[5, 1, 0, 0]))),
        ("Initialization without parameters", send(raw(0x0200, &[]))),
        ("KeepAlive", say(Body::KeepAlive)),
        ("KeepAlive of another", wrong(Body::KeepAlive)),
        ("Hello", say(Body::Hello(hello(None)))),
        ("Capability", say(Body::Capability(CapabilityChange::default()))),
        ("Address", say(Body::Address(Addresses::V4(vec![address(1, PEER)])))),
        ("Label Mapping", say(mapping(fec(1), label(500)))),
        ("Shutdown", say(notification(StatusCode::SHUTDOWN))),
        ("fatal Notification", say(notification(StatusCode::BAD_TLV_LENGTH))),
        ("advisory Notification", say(notification(StatusCode::NO_ROUTE))),
        ("unknown message", send(raw(0x3f00, &[]))),
        ("unknown message to be ignored", send(raw(0xbf00, &[]))),
        ("unknown TLV", send(raw(0x0201, &[0x3e, 0, 0, 0]))),
        ("TLV beyond its message", send(raw(0x0201, &[1, 0, 0, 9]))),
        ("message beyond its PDU", send(raw_pdu(&[2, 1, 0, 9, 0, 0, 0, 1]))),
        ("PDU of version 2", send(vec![0, 2])),
        ("PDU too long", send(vec![0, 1, 0x10, 1])),
        ("PDU too short", send(vec![0, 1, 0, 13])),
        ("half a PDU", send(vec![0, 1, 0, 14, 10, 255])),
    ]
}

/// What else can happen.
fn happens() -> Vec<(&'static str, Happen)> {
    let call = |what: fn(&mut Speaker, contract::Tick, ConnId)| -> Happen {
        Box::new(move |bench, conn| bench.call(|speaker, now| what(speaker, now, conn)))
    };
    let renewed = || Hello { configuration_sequence: Some(9), ..hello(Some(peer(PEER).lsr_id)) };
    vec![
        ("Hello on the link", Box::new(|bench, _| bench.hello(1, PEER))),
        ("Hello of a new configuration", Box::new(move |bench, _| bench.hello_with(1, PEER, renewed()))),
        (
            "a connection comes",
            Box::new(|bench, _| {
                bench.now = bench.now + Duration::from_nanos(1);
                bench.accept(PEER);
            }),
        ),
        ("connected", call(|speaker, now, conn| speaker.handle_connected(now, conn))),
        ("not connected", call(|speaker, now, conn| speaker.handle_connect_failed(now, conn))),
        ("closed", call(|speaker, now, conn| speaker.handle_closed(now, conn))),
        ("10 s", Box::new(|bench, _| bench.pass(Duration::from_secs(10), &[PEER]))),
        ("15 s", Box::new(|bench, _| bench.pass(Duration::from_secs(15), &[PEER]))),
        ("30 s", Box::new(|bench, _| bench.pass(Duration::from_secs(30), &[PEER]))),
        ("15 s without a Hello", Box::new(|bench, _| bench.pass(Duration::from_secs(15), &[]))),
        ("interface down", call(|speaker, now, _| speaker.handle_interface_down(now, InterfaceId(1)))),
        (
            "clear",
            call(|speaker, now, _| {
                speaker.handle_clear(now, peer(PEER).lsr_id);
            }),
        ),
        ("shut", call(|speaker, now, _| speaker.handle_shut(now, peer(PEER).lsr_id, true))),
        ("shutdown of all", call(|speaker, now, _| speaker.shutdown(now))),
    ]
}

/// What was done and where it led.
fn outcome(bench: &mut Bench, conn: ConnId) -> String {
    let mut done: Vec<String> = Vec::new();
    for action in std::mem::take(&mut bench.actions) {
        match action {
            Action::Write { conn: on, octets } => {
                let mut reader = PduReader::default();
                reader.push(&octets);
                while let Some(pdu) = reader.next().unwrap() {
                    done.extend(pdu.messages().map(|message| match message {
                        Ok(Incoming::Message(message)) => name(&message.body),
                        other => panic!("{other:?} on {on:?}"),
                    }));
                }
            }
            Action::Connect { .. } => done.push("connect".to_owned()),
            Action::Close { conn: closed } if closed == conn => done.push("close".to_owned()),
            Action::Close { .. } => done.push("refuse".to_owned()),
            Action::SendHello { .. }
            | Action::SendTargetedHello { .. }
            | Action::RequireGtsm { .. }
            | Action::WaiveGtsm { .. }
            | Action::Sign { .. } => {}
        }
    }
    done.dedup();
    let neighbors = bench.speaker.neighbors(bench.now);
    let state = neighbors.first().map_or("unheard", |neighbor| match neighbor.session {
        SessionState::NonExistent => "none",
        SessionState::Initialized => "initialized",
        SessionState::OpenRec => "open_rec",
        SessionState::OpenSent => "open_sent",
        SessionState::Operational => "operational",
    });
    format!("{state}{}{}", if done.is_empty() { "" } else { ": " }, done.join(", "))
}

fn name(body: &Body) -> String {
    match body {
        Body::Notification(Notification { status, .. }) => {
            format!("{}{}", status.code, if status.fatal { "!" } else { "" })
        }
        other => other.kind().to_string(),
    }
}

/// For each event what it does in the states, those with the same outcome together.
fn table() -> String {
    let mut text = String::new();
    for (event, happen) in said().into_iter().chain(happens()) {
        text.push_str(event);
        text.push('\n');
        let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
        for state in STATES {
            let (mut bench, conn) = in_state(state);
            let before = outcome(&mut bench, conn);
            happen(&mut bench, conn);
            let after = outcome(&mut bench, conn);
            let after = if after == before { "–".to_owned() } else { after };
            match rows.iter_mut().find(|(outcome, _)| *outcome == after) {
                Some((_, states)) => states.push(state),
                None => rows.push((after, vec![state])),
            }
        }
        for (outcome, states) in rows {
            text.push_str(&format!("    {} → {outcome}\n", states.join(", ")));
        }
    }
    text
}

#[test]
fn every_state_with_everything_that_can_happen() {
    let expected = include_str!("transitions.txt");
    let found = table();
    let mut event = "";
    for (expected, found) in expected.lines().zip(found.lines()) {
        event = if found.starts_with(' ') { event } else { found };
        assert_eq!(found, expected, "{event}; all of it:\n{}", table());
    }
    assert_eq!(found, expected);
}

/// What is refused, by either side, and with what.
fn refusals() -> Vec<(&'static str, Happen, DownReason)> {
    let ours = |event: &'static str, code| {
        let (_, happen) = said().into_iter().find(|(name, _)| *name == event).unwrap();
        (event, happen, DownReason::Local(code))
    };
    let mut refusals = vec![
        ours("Initialization for another", StatusCode::NO_HELLO),
        ours("Initialization of another", StatusCode::NO_HELLO),
        ours("Initialization of version 2", StatusCode::BAD_PROTOCOL_VERSION),
        ours("Initialization with KeepAlive time 0", StatusCode::BAD_KEEPALIVE_TIME),
        ours("Initialization of an ATM session", StatusCode::BAD_LABEL_RANGE),
        ours("Initialization without parameters", StatusCode::SHUTDOWN),
        ours("Label Mapping", StatusCode::SHUTDOWN),
        ours("PDU too long", StatusCode::BAD_PDU_LENGTH),
    ];
    for code in [
        StatusCode::NO_HELLO,
        StatusCode::BAD_ADVERTISEMENT_MODE,
        StatusCode::BAD_MAX_PDU_LENGTH,
        StatusCode::BAD_LABEL_RANGE,
        StatusCode::BAD_KEEPALIVE_TIME,
        StatusCode::SHUTDOWN,
        StatusCode::INTERNAL_ERROR,
    ] {
        refusals.push((code.name().unwrap(), say(notification(code)), DownReason::Peer(code)));
    }
    refusals
}

/// Seconds until the next attempt.
fn next_attempt(bench: &mut Bench) -> u64 {
    bench.clear();
    (1..=300)
        .find(|_| {
            bench.pass(Duration::from_secs(1), &[PEER]);
            connect(bench).is_some()
        })
        .expect("another attempt")
}

fn opened(bench: &mut Bench) -> ConnId {
    let conn = connect(bench).expect("an attempt");
    bench.call(|speaker, now| speaker.handle_connected(now, conn));
    conn
}

/// RFC 5036 §2.5.3: each refusal doubles the time to the next attempt, from 15 s to 2 min.
#[test]
fn refused_attempts_are_spaced_ever_wider() {
    for (event, refuse, reason) in refusals() {
        let mut bench = active();
        bench.hello(1, PEER);
        for wait in [15, 30, 60, 120, 120] {
            let conn = opened(&mut bench);
            refuse(&mut bench, conn);
            let said = bench.bodies(conn);
            let answer = said.last().map(name).unwrap_or_default();
            match reason {
                DownReason::Local(code) => assert_eq!(answer, format!("{code}!"), "{event}"),
                DownReason::Peer(StatusCode::SHUTDOWN) => assert_eq!(answer, "Shutdown!", "{event}"),
                _ => assert_eq!(answer, "Initialization", "{event}: nothing more is said"),
            }
            assert!(bench.closed(conn), "{event}");
            assert_eq!(
                bench.speaker.neighbors(bench.now)[0].last_down.map(|(last, _)| last),
                Some(reason),
                "{event}"
            );
            assert_eq!(next_attempt(&mut bench), wait, "{event}");
        }
        // A changed configuration is a reason to try at once, and anew.
        let conn = opened(&mut bench);
        refuse(&mut bench, conn);
        bench.clear();
        let renewed = Hello { configuration_sequence: Some(9), ..hello(Some(peer(PEER).lsr_id)) };
        bench.hello_with(1, PEER, renewed.clone());
        let conn = opened(&mut bench);
        refuse(&mut bench, conn);
        bench.clear();
        let tried = (1..=300).find(|_| {
            bench.now = bench.now + Duration::from_secs(1);
            bench.hello_with(1, PEER, renewed.clone());
            bench.call(Speaker::handle_timeout);
            connect(&bench).is_some()
        });
        assert_eq!(tried, Some(15), "{event}");
    }
}

/// Who was not there, or went, refused nothing; and a session that lasted takes back what was refused before it.
#[test]
fn other_ends_are_no_refusals() {
    let mut bench = active();
    bench.hello(1, PEER);
    for _ in 0..3 {
        let conn = connect(&bench).unwrap();
        bench.call(|speaker, now| speaker.handle_connect_failed(now, conn));
        assert_eq!(next_attempt(&mut bench), 1);
        let conn = opened(&mut bench);
        bench.call(|speaker, now| speaker.handle_closed(now, conn));
        assert_eq!(next_attempt(&mut bench), 1);
    }
    let ft = FtSession { flags: 1, reconnect: Milliseconds(0), recovery: Milliseconds(0) };
    for (lasts, wait) in [(1, 15), (1, 30), (121, 15)] {
        let conn = opened(&mut bench);
        bench.say(conn, PEER, &[initialization(Some(ft)), Body::KeepAlive]);
        for _ in 0..lasts {
            bench.pass(Duration::from_secs(1), &[PEER]);
            bench.say(conn, PEER, &[Body::KeepAlive]);
        }
        bench.say(conn, PEER, &[notification(StatusCode::BAD_TLV_LENGTH)]);
        assert_eq!(next_attempt(&mut bench), wait, "after {lasts} s");
    }
    // An orderly end is none, either.
    let conn = opened(&mut bench);
    bench.say(conn, PEER, &[initialization(Some(ft)), Body::KeepAlive, notification(StatusCode::SHUTDOWN)]);
    assert_eq!(next_attempt(&mut bench), 1);
}

/// RFC 5036 §2.5.3 (1): a connection of nobody that is heard gets "No Hello", once it was given the time for one.
#[test]
fn connections_of_strangers_are_refused() {
    let mut bench = Bench::new(|_| {});
    let conn = ConnId(5);
    let remote = SocketAddr::from((peer(9).lsr_id, 50_000));
    bench.call(|speaker, now| speaker.handle_accepted(now, conn, remote));
    bench.say(conn, 9, &[initialization(None)]);
    bench.pass(Duration::from_secs(4), &[]);
    assert!(!bench.closed(conn) && bench.bodies(conn).is_empty());
    bench.pass(Duration::from_secs(1), &[]);
    let said: Vec<String> = bench.bodies(conn).iter().map(name).collect();
    assert_eq!((said, bench.closed(conn)), (vec!["Session Rejected / No Hello!".to_owned()], true));
}
