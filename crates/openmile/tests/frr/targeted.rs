//! FRR as a neighbor by targeted Hellos, and one whose session outlives the link.

use std::process::Command;
use std::time::Duration;

use api::{Adjacency, AdjacencyKind, Client, FecOperation, FecState, LibRow, ShowWhat};

use crate::place::{self, Extra, Place, within};
use crate::{FRR_ROUTED, HOLD, fec, operational, received, rows};

/// Our node's neighbor, with these keys.
fn neighbor(keys: &str) -> String {
    format!("  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n{keys}")
}

/// Changes FRR's configuration, before it starts.
fn frr_says(change: impl FnOnce(String) -> String) {
    let file = "/run/test/ldpd.conf";
    std::fs::write(file, change(std::fs::read_to_string(file).unwrap())).unwrap();
}

/// FRR without LDP on the link: only targeted Hellos are left.
fn no_link(config: String) -> String {
    let (before, rest) = config.split_once("  interface bb0\n").unwrap();
    let (_, after) = rest.split_once("  exit\n").unwrap();
    format!("{before}{after}")
}

fn for_ipv4(line: &str) -> impl Fn(String) -> String {
    move |config| config.replace("  session holdtime", &format!("  {line}\n  session holdtime"))
}

fn sh(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}

fn reload(place: &Place, keys: &str) -> String {
    place.network(&neighbor(keys));
    let (done, said) = place.openmile(&["reload"]);
    assert!(done, "{said}");
    said
}

async fn kinds(client: &Client) -> Vec<AdjacencyKind> {
    rows::<Adjacency>(client, ShowWhat::Adjacencies).await.iter().map(|row| row.kind).collect()
}

async fn heard(client: &Client, wanted: &[AdjacencyKind]) {
    let look = async || (kinds(client).await == wanted).then_some(());
    within(&format!("adjacencies {wanted:?}"), look).await;
}

async fn session(client: &Client, place: &Place) {
    within("our session", async || operational(&rows(client, ShowWhat::Neighbors).await)).await;
    within("FRR's session", async || place.frr_neighbor().filter(|n| n["state"] == "OPERATIONAL")).await;
}

fn run(test: &str, body: impl AsyncFnOnce()) {
    place::run(test, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(body());
    });
}

#[test]
fn frr_asks_for_targeted_hellos_and_is_answered_if_it_is_to_be() {
    run("targeted::frr_asks_for_targeted_hellos_and_is_answered_if_it_is_to_be", asked);
}

async fn asked() {
    let place = Place::new(Extra::default());
    frr_says(no_link);
    frr_says(for_ipv4("neighbor 10.255.0.1 targeted"));
    let mut node = place.start_node();
    let client = node.client().await;
    let mut events = client.events().await.unwrap();
    let _frr = place.start_frr();
    // Nobody named it: it is not answered, and that is said.
    let alarm = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            match events.next().await.unwrap() {
                Some(api::Event::Alarm { message }) if message.contains("targeted LDP Hellos") => {
                    return message;
                }
                Some(_) => {}
                None => panic!("the node's API ended"),
            }
        }
    });
    let alarm = alarm.await.expect("an alarm");
    assert!(alarm.contains("10.255.0.2"), "{alarm}");
    assert!(kinds(&client).await.is_empty() && place.frr_neighbor().is_none());

    let said = reload(&place, "  targeted = \"answer\"\n");
    assert!(said.contains("targeted answer"), "{said}");
    heard(&client, &[AdjacencyKind::Targeted]).await;
    session(&client, &place).await;
    let adjacency = rows::<Adjacency>(&client, ShowWhat::Adjacencies).await.remove(0);
    assert_eq!((adjacency.source.to_string(), adjacency.port), ("10.255.0.2".to_owned(), None));
    assert!(adjacency.hold == Some(45) && adjacency.left.unwrap() <= 45, "{:?}", adjacency.left);

    // Its labels are kept and carry nothing, though routes lead to its addresses: it is heard on no link.
    let label =
        within("FRR's label", async || received(&rows::<LibRow>(&client, ShowWhat::Lib).await, FRR_ROUTED))
            .await;
    assert!(label >= 16);
    let row = fec(&rows(&client, ShowWhat::Fec).await, FRR_ROUTED, FecOperation::Push);
    assert_eq!(row.state, FecState::NoLabel);

    reload(&place, "");
    within("no adjacency", async || kinds(&client).await.is_empty().then_some(())).await;
    within("no session of FRR", async || {
        place.frr_neighbor().is_none_or(|n| n["state"] != "OPERATIONAL").then_some(())
    })
    .await;
    node.stop();
}

#[test]
fn frr_answers_our_targeted_hellos() {
    run("targeted::frr_answers_our_targeted_hellos", async || {
        let ours = neighbor("  targeted = \"on\"\n");
        let place = Place::new(Extra { ours: &ours, ..Extra::default() });
        frr_says(no_link);
        frr_says(for_ipv4("discovery targeted-hello accept"));
        let mut node = place.start_node();
        let client = node.client().await;
        let _frr = place.start_frr();
        heard(&client, &[AdjacencyKind::Targeted]).await;
        session(&client, &place).await;
        node.stop();
    });
}

/// A second cable without LDP, by which the two transport addresses reach each other when the first is cut.
const DETOUR: &str = "ip link add detour type veth peer name detour netns frr
    ip link set detour up && ip -n frr link set detour up
    ip addr add 10.0.1.1/30 dev detour && ip -n frr addr add 10.0.1.2/30 dev detour
    ip route add 10.255.0.2/32 via 10.0.1.2 metric 100
    ip -n frr route add 10.255.0.1/32 via 10.0.1.1 metric 100";
const CUT: &str = "ip link set bb0 down && ip -n frr link set bb0 down";
/// With the routes that went with it.
const MEND: &str = "ip link set bb0 up && ip -n frr link set bb0 up
    for host in 10.255.0.2 10.254.1.1 10.254.1.2; do ip route add $host/32 via 10.0.0.2; done
    for host in 10.255.0.1 10.254.2.1; do ip -n frr route add $host/32 via 10.0.0.1; done";

/// Waits so long for a session that comes or goes.
async fn ended(events: &mut api::Events, time: Duration) -> Option<(bool, Option<String>)> {
    let next = async {
        loop {
            match events.next().await.unwrap() {
                Some(api::Event::Session { up, reason, .. }) => return (up, reason),
                Some(_) => {}
                None => panic!("the node's API ended"),
            }
        }
    };
    tokio::time::timeout(time, next).await.ok()
}

#[test]
fn a_protected_session_with_frr_outlives_the_link() {
    run("targeted::a_protected_session_with_frr_outlives_the_link", outlives);
}

async fn outlives() {
    let ours = neighbor("  session_protection = \"forever\"\n");
    let place = Place::new(Extra { ours: &ours, ..Extra::default() });
    sh(DETOUR);
    frr_says(for_ipv4("discovery targeted-hello accept"));
    let mut node = place.start_node();
    let client = node.client().await;
    let _frr = place.start_frr();
    session(&client, &place).await;
    heard(&client, &[AdjacencyKind::Link, AdjacencyKind::Targeted]).await;
    let state = async |wanted: FecState| {
        within(&format!("the LSP through FRR {wanted:?}"), async || {
            let row = fec(&rows(&client, ShowWhat::Fec).await, FRR_ROUTED, FecOperation::Push);
            (row.state == wanted).then_some(row)
        })
        .await
    };
    let before = state(FecState::Up).await;
    let mut events = client.events().await.unwrap();

    sh(CUT);
    heard(&client, &[AdjacencyKind::Targeted]).await;
    // Longer than FRR's hold time of the link and of the session: both ends keep the session by the detour.
    assert_eq!(ended(&mut events, HOLD + Duration::from_secs(2)).await, None);
    session(&client, &place).await;
    let lib: Vec<LibRow> = rows(&client, ShowWhat::Lib).await;
    assert_eq!(received(&lib, FRR_ROUTED), before.out_label.map(|label| label.value()));

    sh(MEND);
    let after = state(FecState::Up).await;
    assert_eq!(after.out_label, before.out_label);
    let up = operational(&rows(&client, ShowWhat::Neighbors).await).unwrap();
    assert!(up.seconds.unwrap() >= 17, "it is the same session: {up:?}");
    assert_eq!(ended(&mut events, Duration::from_millis(100)).await, None, "no session came or went");
    node.stop();
}
