//! FRR's ldpd as a neighbour of a real node: a session that lasts, and labels both ways.
#![allow(missing_docs, reason = "a test")]

mod ipv6;
mod null_labels;
mod place;
mod policy;
mod targeted;
mod transit;

use std::time::Duration;

use api::{BindingSide, FecOperation, FecRow, FecState, LibRow, Neighbor, NeighborKind, ShowWhat};
use place::{Extra, Place, within};

/// Our return FEC, always live.
const OURS: &str = "10.254.2.1/32";
/// FRR has it on a device of its own: it binds implicit null.
const FRR_OWN: &str = "10.254.1.1/32";
/// FRR has a route to it by an interface with LDP: it binds a real label, though nobody there gave it one.
const FRR_ROUTED: &str = "10.254.1.2/32";
/// FRR's transport address: implicit null.
const FRR_LOOPBACK: &str = "10.255.0.2/32";
/// The session's hold time in FRR's configuration: three keepalives fit.
const HOLD: Duration = Duration::from_secs(15);

#[test]
fn frr_keeps_a_session_and_exchanges_labels() {
    place::run("frr_keeps_a_session_and_exchanges_labels", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(talk(Place::new(Extra::default())));
    });
}

async fn talk(place: Place) {
    let mut node = place.start_node();
    let client = node.client().await;
    let mut events = client.events().await.unwrap();
    let _frr = place.start_frr();

    // The session, as both see it.
    within("our session", || async { operational(&rows(&client, ShowWhat::Neighbors).await) }).await;
    within("FRR's session", || async { place.frr_neighbor().filter(|n| n["state"] == "OPERATIONAL") }).await;

    // Our label at FRR: the one by which we pop.
    let popped = fec(&rows(&client, ShowWhat::Fec).await, OURS, FecOperation::Pop).in_label.unwrap();
    let held = within("our label at FRR", || async { place.frr_binding(OURS) }).await;
    assert_eq!(held["remoteLabel"], popped.to_string(), "{held}");
    assert_eq!(held["inUse"], 1, "{held}");

    // FRR's labels here: the real one is used, the null ones are not.
    let pushed = within("FRR's label", || async {
        Some(fec(&rows(&client, ShowWhat::Fec).await, FRR_ROUTED, FecOperation::Push))
            .filter(|row| row.state == FecState::Up)
    })
    .await;
    let bound = place.frr_binding(FRR_ROUTED).unwrap();
    assert_eq!(bound["localLabel"], pushed.out_label.unwrap().to_string(), "{bound}");
    let lib: Vec<LibRow> = rows(&client, ShowWhat::Lib).await;
    assert!(received(&lib, FRR_ROUTED).unwrap() >= 16);
    assert_eq!(received(&lib, FRR_LOOPBACK), Some(3));
    assert_eq!(received(&lib, FRR_OWN), Some(3));
    let null = fec(&rows(&client, ShowWhat::Fec).await, FRR_OWN, FecOperation::Push);
    assert_eq!(null.state, FecState::NullLabel, "ISP packets never cross the backbone without their label");

    // A withdrawal, and the label's return.
    place.frr_route(false);
    let state_of_routed = |wanted| {
        let client = client.clone();
        move || {
            let client = client.clone();
            async move {
                let row = fec(&rows(&client, ShowWhat::Fec).await, FRR_ROUTED, FecOperation::Push);
                (row.state == wanted).then_some(())
            }
        }
    };
    within("FRR's withdrawal", state_of_routed(FecState::NoLabel)).await;
    place.frr_route(true);
    within("FRR's label again", state_of_routed(FecState::Up)).await;

    // Keepalives: nothing ends the session for longer than its hold time.
    let ended = tokio::time::timeout(HOLD + Duration::from_secs(2), async {
        loop {
            match events.next().await.unwrap() {
                Some(api::Event::Session { up: false, reason, .. }) => return reason,
                Some(_) => {}
                None => return Some("the node's API ended".to_owned()),
            }
        }
    });
    assert!(ended.await.is_err(), "the session went down");
    let ldp = operational(&rows(&client, ShowWhat::Neighbors).await).unwrap();
    assert!(ldp.seconds.unwrap() >= HOLD.as_secs(), "{ldp:?}");
    assert_eq!(place.frr_neighbor().unwrap()["state"], "OPERATIONAL");
    shown_in_full(&client).await;

    // A clean stop: FRR forgets us at once, and nothing of ours is left.
    node.stop();
    within("FRR without us", || async { place.frr_neighbor().is_none().then_some(()) }).await;
    assert!(place.frr_log().contains("Shutdown"), "FRR was told: {}", place.frr_log());
    assert!(!place.loopback().contains("10.254.2.1"), "{}", place.loopback());
    assert!(place.loopback().contains("10.255.0.1"), "the operator's own address stays");
}

/// What both agreed on, and what FRR can do: it says the same of us.
async fn shown_in_full(client: &api::Client) {
    let ldp: api::Ldp = client.show(ShowWhat::Ldp).await.unwrap();
    let [frr] = &ldp.neighbors[..] else { panic!("{:?}", ldp.neighbors) };
    let agreed = frr.agreed.unwrap();
    assert_eq!((agreed.keepalive, agreed.max_pdu_length, agreed.on_demand), (HOLD.as_secs(), 4096, false));
    let capabilities = frr.capabilities.as_ref().unwrap();
    assert_eq!(capabilities.neighbor, capabilities.local, "FRR can do what we can");
    assert_eq!(capabilities.unsupported, [""; 0]);
    assert!(capabilities.end_of_lib_sent);
    // FRR 8.4 announces that it takes unknown notifications, and never says End-of-LIB itself.
    assert_eq!(capabilities.end_of_lib_received, [""; 0]);
    assert!(frr.messages_received.keepalive >= 3 && frr.messages_sent.keepalive >= 3, "{frr:?}");
    assert_eq!((frr.sessions, frr.malformed, frr.ignored), (1, 0, 0));
    within("LDP-IGP synchronization by time", async || {
        let ldp: api::Ldp = client.show(ShowWhat::Ldp).await.ok()?;
        (ldp.interfaces.first()?.igp_sync == api::IgpSync::Achieved).then_some(())
    })
    .await;
    assert!(ldp.counters.hellos_received > 0 && ldp.counters.hellos_malformed == 0, "{:?}", ldp.counters);
}

async fn rows<T: serde::de::DeserializeOwned>(client: &api::Client, what: ShowWhat) -> Vec<T> {
    client.show(what).await.unwrap()
}

fn operational(neighbors: &[Neighbor]) -> Option<Neighbor> {
    let ldp = neighbors.iter().find(|n| n.kind == NeighborKind::Ldp && n.state == "operational");
    ldp.cloned()
}

fn fec(rows: &[FecRow], prefix: &str, operation: FecOperation) -> FecRow {
    let row = rows.iter().find(|row| row.fec.prefix.to_string() == prefix && row.operation == operation);
    row.unwrap_or_else(|| panic!("no row of {prefix}: {rows:?}")).clone()
}

fn received(lib: &[LibRow], prefix: &str) -> Option<u32> {
    let row = lib.iter().find(|r| r.side == BindingSide::Received && r.fec.prefix.to_string() == prefix);
    row.map(|row| row.label.value())
}
