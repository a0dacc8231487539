//! What an operator says of FRR as a neighbor: passwords, filters, clear, shut and open.

use std::time::Duration;

use api::{Client, FecOperation, FecState, ShowWhat};

use crate::place::{self, Extra, Place, within};
use crate::{FRR_ROUTED, OURS, fec, operational, rows};

/// Our node's neighbor, with these keys.
fn neighbor(keys: &str) -> String {
    format!("  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n{keys}")
}

const SIGNED: &str = "  password_file = \"secret\"\n";

async fn session(client: &Client, place: &Place) {
    within("our session", async || operational(&rows(client, ShowWhat::Neighbors).await)).await;
    within("FRR's session", async || place.frr_neighbor().filter(|n| n["state"] == "OPERATIONAL")).await;
}

async fn no_session(client: &Client, place: &Place) {
    within("no session", async || {
        operational(&rows(client, ShowWhat::Neighbors).await).is_none().then_some(())
    })
    .await;
    let gone = async || place.frr_neighbor().is_none_or(|n| n["state"] != "OPERATIONAL").then_some(());
    within("no session of FRR", gone).await;
}

async fn state_is(client: &Client, wanted: FecState) {
    let look = async || {
        let row = fec(&rows(client, ShowWhat::Fec).await, FRR_ROUTED, FecOperation::Push);
        (row.state == wanted).then_some(())
    };
    within(&format!("the LSP through FRR {wanted:?}"), look).await;
}

#[test]
fn sessions_with_frr_are_signed() {
    place::run("policy::sessions_with_frr_are_signed", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(signed());
    });
}

async fn signed() {
    let ours = neighbor(SIGNED);
    let extra = Extra { ours: &ours, frr: " neighbor 10.255.0.1 password open-sesame\n" };
    let place = Place::new(extra);
    place.beside("secret", "another\n");
    let mut node = place.start_node();
    let client = node.client().await;
    let _frr = place.start_frr();
    // Heard, and not spoken with: FRR's segments and ours are signed with other passwords.
    within("FRR's Hellos", async || {
        let all: Vec<api::Neighbor> = rows(&client, ShowWhat::Neighbors).await;
        all.into_iter().find(|n| n.kind == api::NeighborKind::Ldp)
    })
    .await;
    let long_enough = tokio::time::timeout(Duration::from_secs(4), session(&client, &place)).await;
    assert!(long_enough.is_err(), "a session with another password");
    // The right one comes by a reload.
    place.beside("secret", "open-sesame\n");
    let (done, said) = place.openmile(&["reload"]);
    assert!(done, "{said}");
    session(&client, &place).await;
    state_is(&client, FecState::Up).await;
    // Without a password there is none.
    place.network("");
    let (done, said) = place.openmile(&["reload"]);
    assert!(done && said.contains("LDP neighbor 10.255.0.2 removed"), "{said}");
    no_session(&client, &place).await;
    // One that cannot be read is refused, and changes nothing.
    place.network(&neighbor("  password_file = \"nowhere\"\n"));
    let (done, said) = place.openmile(&["reload"]);
    assert!(!done && said.contains("nowhere") && said.contains("nothing was changed"), "{said}");
    place.network(&ours);
    place.openmile(&["reload"]);
    session(&client, &place).await;
    node.stop();
}

#[test]
fn frr_is_cleared_shut_opened_and_filtered() {
    place::run("policy::frr_is_cleared_shut_opened_and_filtered", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(operated());
    });
}

async fn operated() {
    let place = Place::new(Extra::default());
    let mut node = place.start_node();
    let client = node.client().await;
    let _frr = place.start_frr();
    session(&client, &place).await;
    state_is(&client, FecState::Up).await;

    let (done, said) = place.openmile(&["ldp", "shut", "10.255.0.2"]);
    assert!(done, "{said}");
    no_session(&client, &place).await;
    state_is(&client, FecState::NoLabel).await;
    let (done, said) = place.openmile(&["ldp", "clear", "10.255.0.2"]);
    assert!(!done && said.contains("no LDP neighbor"), "{said}");
    let (done, said) = place.openmile(&["ldp", "open", "10.255.0.2"]);
    assert!(done, "{said}");
    session(&client, &place).await;
    state_is(&client, FecState::Up).await;

    let (done, said) = place.openmile(&["ldp", "clear", "10.255.0.2"]);
    assert!(done, "{said}");
    session(&client, &place).await;
    state_is(&client, FecState::Up).await;

    // Filters change what is used and told, not the session.
    within("our label at FRR", async || place.frr_binding(OURS).filter(|b| b["inUse"] == 1)).await;
    let filters = "  accept = [\"10.9.0.0/16\"]\n  advertise = [\"10.9.0.0/16\"]\n";
    place.network(&neighbor(filters));
    let (done, said) = place.openmile(&["reload"]);
    assert!(done, "{said}");
    state_is(&client, FecState::NoLabel).await;
    within("no label of ours at FRR", async || {
        place.frr_binding(OURS).is_none_or(|b| b["remoteLabel"] == "-" || b["inUse"] == 0).then_some(())
    })
    .await;
    place.network("");
    place.openmile(&["reload"]);
    state_is(&client, FecState::Up).await;
    within("our label at FRR", async || place.frr_binding(OURS).filter(|b| b["inUse"] == 1)).await;
    let up = operational(&rows(&client, ShowWhat::Neighbors).await).unwrap();
    assert!(up.seconds.unwrap() > 0 || place.frr_neighbor().is_some(), "{up:?}");
    node.stop();
}

#[test]
fn frr_checks_ttls_and_is_checked() {
    place::run("policy::frr_checks_ttls_and_is_checked", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ttls());
    });
}

/// FRR's GTSM is on by default (RFC 6720); a FRR without it sends with a TTL that GTSM refuses.
async fn ttls() {
    let place = Place::new(Extra::default());
    let gtsm = |mode: &str| neighbor(&format!("  gtsm = \"{mode}\"\n"));
    place.network(&gtsm("on"));
    let mut node = place.start_node();
    let client = node.client().await;
    let _frr = place.start_frr();
    let with = async |mode: &str, has_session: bool| {
        place.network(&gtsm(mode));
        place.openmile(&["reload"]);
        // A session that is up keeps what it agreed on.
        place.openmile(&["ldp", "clear", "10.255.0.2"]);
        if has_session {
            session(&client, &place).await;
        } else {
            no_session(&client, &place).await;
        }
    };
    session(&client, &place).await;
    with("auto", true).await;
    with("off", true).await;
    place.configure_frr(&["address-family ipv4", "ttl-security disable"]);
    with("auto", true).await;
    with("on", false).await;
    let long_enough = tokio::time::timeout(Duration::from_secs(4), session(&client, &place)).await;
    assert!(long_enough.is_err(), "a session with packets of any TTL");
    with("off", true).await;
    state_is(&client, FecState::Up).await;
    node.stop();
}
