//! The whole transition table: every state with everything that can come (RFC 5036 §2.5.4).

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use wire::ldp::{
    Addresses, CapabilityChange, FecTlv, Hello, HoldTime, KeepaliveTime, LabelAbortRequest, LabelMapping,
    LabelRelease, LabelRequest, LabelWithdraw, MessageType, Notification, PrefixFecs, Status,
};

use super::*;
use crate::SessionState::{Initialized, NonExistent, OpenRec, OpenSent, Operational};

const LOCAL: LdpId = LdpId::platform(Ipv4Addr::new(10, 255, 0, 1));
const PEER: LdpId = LdpId::platform(Ipv4Addr::new(10, 255, 0, 2));
const NOW: Tick = Tick(1_000_000_000);
const KEEPALIVE: Duration = Duration::from_secs(30);

fn initialization() -> Initialization {
    Initialization::new(KeepaliveTime(NonZeroU16::new(12).unwrap()), LOCAL)
}

fn in_state(state: SessionState) -> Session {
    let config = Config { keepalive: KEEPALIVE, ..Config::new(LOCAL.lsr_id) };
    let mut session = Session::new(NOW, ConnId(1), &config, Advertisement::DownstreamOnDemand);
    session.state = state;
    if state == Operational {
        session.negotiate(NOW, LOCAL, &initialization()).unwrap();
        session.hold_deadline = NOW + session.hold;
    }
    session
}

/// One message of each kind, an Initialization for another, and both kinds of Notification.
fn messages() -> Vec<(&'static str, Body)> {
    let fecs = || PrefixFecs::from("10.254.1.1/32".parse::<ipnet::IpNet>().unwrap());
    let fec = || FecTlv::Prefixes(fecs());
    let hello = Hello::link(HoldTime(15));
    let addresses = || Addresses::V4(vec![Ipv4Addr::new(10, 1, 0, 2)]);
    let (label, request) = (contract::Label::FIRST_UNRESERVED, MessageId(7));
    vec![
        ("init", Body::Initialization(initialization())),
        ("init for another", Body::Initialization(Initialization { receiver: PEER, ..initialization() })),
        ("keepalive", Body::KeepAlive),
        ("fatal", Body::Notification(Notification::new(Status::new(StatusCode::BAD_TLV_LENGTH)))),
        ("advisory", Body::Notification(Notification::new(Status::new(StatusCode::NO_ROUTE)))),
        ("hello", Body::Hello(hello)),
        ("capability", Body::Capability(CapabilityChange::default())),
        ("address", Body::Address(addresses())),
        ("address withdraw", Body::AddressWithdraw(addresses())),
        ("mapping", Body::LabelMapping(LabelMapping::new(fecs(), label))),
        ("request", Body::LabelRequest(LabelRequest::new(fecs().prefixes()[0].into()))),
        ("withdraw", Body::LabelWithdraw(LabelWithdraw { fec: fec(), label: None })),
        ("release", Body::LabelRelease(LabelRelease { fec: fec(), label: None, status: None })),
        ("abort", Body::LabelAbortRequest(LabelAbortRequest { fecs: fecs(), request })),
    ]
}

#[test]
fn every_state_with_every_message() {
    let reject = |code| Step::Reject(code);
    let shutdown = || reject(StatusCode::SHUTDOWN);
    for (name, body) in messages() {
        for state in [NonExistent, Initialized, OpenSent, OpenRec, Operational] {
            let mut session = in_state(state);
            let message = Message { id: MessageId(1), body: body.clone() };
            let step = session.step(NOW, LOCAL, message.clone());
            let (expected, next) = match (name, state) {
                ("fatal", state) => (Step::Ended(StatusCode::BAD_TLV_LENGTH), state),
                ("advisory", Operational) => (Step::Pass(message), Operational),
                ("advisory", state) => (Step::Done, state),
                ("init", Initialized) => (Step::Answer, OpenRec),
                ("init", OpenSent) => (Step::Acknowledge, OpenRec),
                ("init for another", Initialized | OpenSent) => (reject(StatusCode::NO_HELLO), state),
                ("keepalive", OpenRec) => (Step::Up, Operational),
                ("keepalive", Operational) => (Step::Done, Operational),
                ("init" | "init for another" | "hello", Operational) => (shutdown(), Operational),
                (_, Operational) => (Step::Pass(message), Operational),
                (_, state) => (shutdown(), state),
            };
            assert_eq!((step, session.state), (expected, next), "{name} in {state:?}");
        }
    }
    let kinds: std::collections::BTreeSet<MessageType> =
        messages().iter().map(|(_, body)| body.kind()).collect();
    assert_eq!(kinds.len(), 12, "no kind of message is left out");
}

#[test]
fn every_state_with_every_timer() {
    for state in [Initialized, OpenSent, OpenRec, Operational] {
        let mut session = in_state(state);
        assert_eq!(session.handle_timeout(NOW), None);
        let deadline = if state == Operational { NOW + Duration::from_secs(12) } else { NOW + SETUP };
        assert_eq!(session.handle_timeout(deadline), Some(Due::Silent), "{state:?}");
        session.send(Body::KeepAlive);
        assert!(session.take_output(NOW).is_some());
        session.hold_deadline = NOW + Duration::from_secs(1000);
        let stuck = NOW + session.hold;
        assert_eq!(session.handle_timeout(stuck), Some(Due::Stuck), "{state:?}");
        session.written(stuck, 1);
        let not = session.handle_timeout(stuck);
        assert_ne!(not, Some(Due::Stuck), "{state:?}: some progress is progress");
        session.written(stuck, usize::MAX);
        assert_eq!(session.stuck_since, None);
        let due = matches!(state, OpenRec | Operational).then_some(Due::KeepAlive);
        assert_eq!(session.handle_timeout(stuck), due, "{state:?}");
    }
}

#[test]
fn parameters_are_negotiated_down() {
    for (theirs, agreed) in [(12, 12), (30, 30), (180, 30)] {
        let mut session = in_state(Initialized);
        let keepalive = KeepaliveTime(NonZeroU16::new(theirs).unwrap());
        session.negotiate(NOW, LOCAL, &Initialization { keepalive, ..initialization() }).unwrap();
        assert_eq!(session.hold, Duration::from_secs(agreed));
        assert_eq!(session.keepalive_at, NOW + Duration::from_secs(agreed) / 3);
    }
}

#[test]
fn labels_go_on_demand_if_both_say_so() {
    use Advertisement::{DownstreamOnDemand, DownstreamUnsolicited};
    for (ours, theirs, agreed) in [
        (DownstreamUnsolicited, DownstreamUnsolicited, false),
        (DownstreamUnsolicited, DownstreamOnDemand, false),
        (DownstreamOnDemand, DownstreamUnsolicited, false),
        (DownstreamOnDemand, DownstreamOnDemand, true),
    ] {
        let mut session = in_state(Initialized);
        session.advertisement = ours;
        session.negotiate(NOW, LOCAL, &Initialization { advertisement: theirs, ..initialization() }).unwrap();
        assert_eq!(session.on_demand, agreed, "{ours:?} and {theirs:?}");
    }
}

#[test]
fn keepalives_go_when_nothing_else_does_and_any_pdu_is_heard() {
    let mut session = in_state(Operational);
    let third = Duration::from_secs(4);
    assert_eq!(session.poll_timeout(), NOW + third);
    session.send(Body::KeepAlive);
    let octets = session.take_output(NOW + third / 2).unwrap();
    session.written(NOW + third / 2, octets.len());
    assert_eq!(session.handle_timeout(NOW + third), None);
    assert_eq!(session.handle_timeout(NOW + third + third / 2), Some(Due::KeepAlive));
    session.hear(NOW + third, PEER, PEER).unwrap();
    assert_ne!(session.handle_timeout(NOW + Duration::from_secs(12)), Some(Due::Silent));
    assert_eq!(session.handle_timeout(NOW + Duration::from_secs(16)), Some(Due::Silent));
}

#[test]
fn pdus_of_another_sender_are_refused() {
    for (state, status) in [
        (Initialized, StatusCode::NO_HELLO),
        (OpenSent, StatusCode::NO_HELLO),
        (OpenRec, StatusCode::BAD_LDP_IDENTIFIER),
        (Operational, StatusCode::BAD_LDP_IDENTIFIER),
    ] {
        let mut session = in_state(state);
        assert_eq!(session.hear(NOW, LOCAL, PEER), Err(status), "{state:?}");
        let other_space = LdpId { label_space: 1, ..PEER };
        assert_eq!(session.hear(NOW, other_space, PEER), Err(status), "{state:?}");
        assert_eq!(session.hear(NOW, PEER, PEER), Ok(()), "{state:?}");
    }
}

#[test]
fn the_greater_address_opens() {
    for (low, high) in [("9.255.255.255", "10.0.0.1"), ("2001:db8::ff", "2001:db8:1::")] {
        let [low, high] = [low, high].map(|text| text.parse().unwrap());
        assert!(is_active(high, low) && !is_active(low, high));
    }
}
