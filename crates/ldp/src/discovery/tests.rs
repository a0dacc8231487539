//! Adjacencies, hold times and the rhythm of Hellos.

use std::net::Ipv4Addr;

use wire::ldp::HoldTime;

use super::*;

const HOLDS: Holds = Holds { link: HoldTime::LINK_DEFAULT, targeted: HoldTime::TARGETED_DEFAULT };
const LINK: Via = Via::Link(InterfaceId(1));

fn peer(n: u8) -> LdpId {
    LdpId::platform(Ipv4Addr::new(10, 255, 0, n))
}

fn after(seconds: u64) -> Tick {
    Tick(0) + Duration::from_secs(seconds)
}

fn with_interface() -> Discovery {
    let mut discovery = Discovery::new(HOLDS, 2);
    discovery.interface_up(Tick(0), InterfaceId(1), "bb0", &[Ipv4Addr::new(10, 1, 0, 1).into()]);
    discovery
}

fn hear(discovery: &mut Discovery, now: Tick, n: u8, hold: u16) -> Heard {
    discovery.hear(
        now,
        (peer(n), LINK),
        Ipv4Addr::new(10, 1, 0, n).into(),
        &Hello::link(HoldTime(hold)),
        false,
    )
}

/// Every state of an adjacency with everything that can happen to it: what is said of it, and whether the peer is heard
/// there afterwards.
#[test]
fn adjacency_transitions() {
    type Happen = fn(&mut Discovery) -> String;
    let (no_interface, none, adjacency, full) = (0, 1, 2, 3);
    let in_state = |state| {
        let mut discovery = with_interface();
        match state {
            0 => drop(discovery.interface_down(InterfaceId(1))),
            2 => assert_eq!(hear(&mut discovery, after(0), 2, 15), Heard::New),
            3 => (3..5).for_each(|n| assert_eq!(hear(&mut discovery, after(0), n, 0xffff), Heard::New)),
            _ => {}
        }
        discovery
    };
    let hello: Happen = |discovery| format!("{:?}", hear(discovery, after(10), 2, 15));
    let elsewhere: Happen = |discovery| {
        discovery.interface_up(after(10), InterfaceId(2), "bb1", &[]);
        let from = Ipv4Addr::new(10, 1, 1, 2);
        format!(
            "{:?}",
            discovery.hear(
                after(10),
                (peer(2), Via::Link(InterfaceId(2))),
                from.into(),
                &Hello::link(HoldTime(15)),
                false
            )
        )
    };
    let early: Happen = |discovery| format!("{:?}", discovery.expire(Tick(after(15).0 - 1)));
    let expired: Happen = |discovery| format!("{}", discovery.expire(after(15)).contains(&(peer(2), LINK)));
    let interface_down: Happen =
        |discovery| format!("{}", discovery.interface_down(InterfaceId(1)).contains(&(peer(2), LINK)));
    let interface_up: Happen = |discovery| {
        discovery.interface_up(after(10), InterfaceId(1), "bb0", &[]);
        String::new()
    };
    let forget: Happen = |discovery| format!("{}", discovery.forget(peer(2)).len());
    let rows: [(&str, usize, Happen, &str, bool); 28] = [
        ("Hello", no_interface, hello, "Refused", false),
        ("Hello", none, hello, "New", true),
        ("Hello", adjacency, hello, "Again", true),
        ("Hello", full, hello, "Refused", false),
        ("Hello elsewhere", no_interface, elsewhere, "New", false),
        ("Hello elsewhere", none, elsewhere, "New", false),
        ("Hello elsewhere", adjacency, elsewhere, "New", true),
        ("Hello elsewhere", full, elsewhere, "New", false),
        ("hold time not over", no_interface, early, "[]", false),
        ("hold time not over", none, early, "[]", false),
        ("hold time not over", adjacency, early, "[]", true),
        ("hold time not over", full, early, "[]", false),
        ("hold time over", no_interface, expired, "false", false),
        ("hold time over", none, expired, "false", false),
        ("hold time over", adjacency, expired, "true", false),
        ("hold time over", full, expired, "false", false),
        ("interface down", no_interface, interface_down, "false", false),
        ("interface down", none, interface_down, "false", false),
        ("interface down", adjacency, interface_down, "true", false),
        ("interface down", full, interface_down, "false", false),
        ("interface changed", no_interface, interface_up, "", false),
        ("interface changed", none, interface_up, "", false),
        ("interface changed", adjacency, interface_up, "", true),
        ("interface changed", full, interface_up, "", false),
        ("forgotten", no_interface, forget, "0", false),
        ("forgotten", none, forget, "0", false),
        ("forgotten", adjacency, forget, "1", false),
        ("forgotten", full, forget, "0", false),
    ];
    for (event, state, happen, said, heard) in rows {
        let mut discovery = in_state(state);
        let found = (happen(&mut discovery), discovery.is_heard_by(peer(2), LINK));
        assert_eq!(found, (said.to_owned(), heard), "{event} in state {state}");
    }
}

#[test]
fn the_smaller_hold_time_holds() {
    for (theirs, agreed) in [(0, 15), (9, 9), (30, 15), (0xffff, 15)] {
        let mut discovery = with_interface();
        hear(&mut discovery, after(0), 2, theirs);
        assert!(discovery.expire(Tick(after(agreed).0 - 1)).is_empty(), "{theirs}");
        assert_eq!(discovery.expire(after(agreed)).len(), 1, "{theirs}");
    }
}

#[test]
fn hellos_go_three_times_per_hold_time_and_at_once_to_a_new_neighbor() {
    let mut discovery = with_interface();
    assert_eq!(discovery.take_due(after(0)), [Due::Link(InterfaceId(1))]);
    assert!(discovery.take_due(after(4)).is_empty());
    assert_eq!(discovery.take_due(after(5)), [Due::Link(InterfaceId(1))]);
    hear(&mut discovery, after(6), 2, 9);
    assert_eq!(discovery.take_due(after(6)), [Due::Link(InterfaceId(1))]);
    hear(&mut discovery, after(6), 3, 9);
    assert!(discovery.take_due(after(6)).is_empty(), "not twice in a moment");
    assert_eq!(discovery.take_due(after(7)), [Due::Link(InterfaceId(1))]);
    assert!(discovery.take_due(after(9)).is_empty());
    assert_eq!(discovery.take_due(after(10)), [Due::Link(InterfaceId(1))]);
}

#[test]
fn adjacencies_are_bounded() {
    let mut discovery = with_interface();
    assert_eq!(hear(&mut discovery, after(0), 2, 15), Heard::New);
    assert_eq!(hear(&mut discovery, after(0), 3, 15), Heard::New);
    assert_eq!(hear(&mut discovery, after(0), 4, 15), Heard::Refused);
    assert_eq!(hear(&mut discovery, after(0), 3, 15), Heard::Again);
}
