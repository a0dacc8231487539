//! FRR over IPv6 (RFC 7552): a session over IPv6 alone, and over either family where both ends speak both.

use api::{FecOperation, FecState, ShowWhat};

use crate::place::{self, Extra, Place, sh, within};
use crate::{FRR_ROUTED, fec, operational, rows};

/// Our return FEC.
const OURS_V6: &str = "2001:db8:fec:2::1/128";
/// As `FRR_ROUTED`.
const FRR_ROUTED_V6: &str = "2001:db8:fec::2/128";

/// The two ends, with IPv6: our next hop is a link-local address; FRR knows by our Address message that its own is ours.
fn place(ours: &str, frr: &str) -> Place {
    let place = Place::new(Extra::default());
    sh("for at in '-n frr' ''; do ip $at link set bb0 addrgenmode none; ip $at -6 addr flush dev bb0 scope link; done
        ip addr add fe80::1/64 dev bb0 && ip addr add 2001:db8:1::1/64 dev bb0 && ip addr add 2001:db8::1/128 dev lo
        ip -n frr addr add fe80::2/64 dev bb0 && ip -n frr addr add 2001:db8:1::2/64 dev bb0 && ip -n frr addr add 2001:db8::2/128 dev lo
        ip -n frr addr add 2001:db8:9::1/64 dev isp1 nodad
        for host in 2001:db8::2 2001:db8:fec::2; do ip route add $host/128 via fe80::2 dev bb0; done
        for host in 2001:db8::1 2001:db8:fec:2::1; do ip -n frr route add $host/128 via 2001:db8:1::1; done
        ip -n frr route add 2001:db8:fec::2/128 via 2001:db8:9::2");
    let network = std::fs::read_to_string("/run/test/network.toml").unwrap();
    let network = network
        .replace("\"10.254.1.1\"", "\"2001:db8:fec::2\"")
        .replace("\"10.254.2.1\"", "\"2001:db8:fec:2::1\"")
        .replace("lsr_id = \"10.255.0.1\"\n  [[", &format!("lsr_id = \"10.255.0.1\"\n{ours}  [["));
    place.beside("network.toml", &network);
    place.beside("ldpd.conf", frr);
    place
}

const FRR_V6: &str = " address-family ipv6
  discovery transport-address 2001:db8::2
  label local allocate host-routes
  session holdtime 15
  interface bb0
  exit
  interface isp1
  exit
 exit-address-family
";

const FRR_V4: &str = " address-family ipv4
  discovery transport-address 10.255.0.2
  label local allocate host-routes
  session holdtime 15
  interface bb0
  exit
  interface isp1
  exit
 exit-address-family
";

/// The session is up, at FRR over this address; the IPv6 FECs' labels are with both.
async fn meets(place: &Place, client: &api::Client, transport: &str) {
    within("our session", async || operational(&rows(client, ShowWhat::Neighbors).await)).await;
    let up = async || place.frr_neighbor().filter(|n| n["state"] == "OPERATIONAL");
    let neighbor = within("FRR's session", up).await;
    assert_eq!(neighbor["transportAddress"], transport, "{neighbor}");

    let popped = fec(&rows(client, ShowWhat::Fec).await, OURS_V6, FecOperation::Pop).in_label.unwrap();
    let held = async || place.frr_binding(OURS_V6).filter(|b| b["inUse"] == 1);
    let held = within("our label at FRR", held).await;
    assert_eq!(held["remoteLabel"], popped.to_string(), "{held}");

    pushes(place, client, FRR_ROUTED_V6).await;
}

async fn pushes(place: &Place, client: &api::Client, prefix: &str) {
    let pushed = within("FRR's label", async || {
        let row = fec(&rows(client, ShowWhat::Fec).await, prefix, FecOperation::Push);
        row.out_label.filter(|_| !matches!(row.state, FecState::NoRoute | FecState::NoLabel))
    })
    .await;
    let bound = place.frr_binding(prefix).unwrap();
    assert_eq!(bound["localLabel"], pushed.to_string(), "{bound}");
}

fn run(test: &str, body: impl AsyncFnOnce()) {
    place::run(test, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(body());
    });
}

/// With a password: segments over IPv6 are signed, too.
#[test]
fn a_session_over_ipv6_alone() {
    run("ipv6::a_session_over_ipv6_alone", async || {
        let ours = "transport_address_v6 = \"2001:db8::1\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  password_file = \"secret\"\n";
        let frr = format!(
            "mpls ldp\n router-id 10.255.0.2\n neighbor 10.255.0.1 password open-sesame\n{FRR_V6}exit\n"
        );
        let place = place(ours, &frr);
        place.beside("secret", "open-sesame\n");
        let mut node = place.start_node();
        let client = node.client().await;
        let _frr = place.start_frr();
        meets(&place, &client, "2001:db8::1").await;
        let addresses = place.loopback();
        assert!(addresses.contains("2001:db8:fec:2::1/128"), "{addresses}");
        node.stop();
        let addresses = place.loopback();
        assert!(
            !addresses.contains("2001:db8:fec:2::1/128") && addresses.contains("2001:db8::1"),
            "{addresses}"
        );
    });
}

async fn both(preference: &str, frr_preference: &str, transport: &str) {
    let ours = "transport_address = \"10.255.0.1\"\ntransport_address_v6 = \"2001:db8::1\"\n";
    let frr = format!("mpls ldp\n router-id 10.255.0.2\n{frr_preference}{FRR_V4}{FRR_V6}exit\n");
    let place = place(ours, &frr);
    let network = std::fs::read_to_string("/run/test/network.toml").unwrap();
    place.beside("network.toml", &format!("{network}\n[ldp]\ntransport_preference = \"{preference}\"\n"));
    let mut node = place.start_node();
    let client = node.client().await;
    let _frr = place.start_frr();
    meets(&place, &client, transport).await;
    // One session carries the labels of both families.
    pushes(&place, &client, FRR_ROUTED).await;
    node.stop();
}

#[test]
fn both_families_and_ipv6_preferred() {
    run("ipv6::both_families_and_ipv6_preferred", async || both("ipv6", "", "2001:db8::1").await);
}

#[test]
fn both_families_and_ipv4_preferred() {
    let frr = " dual-stack transport-connection prefer ipv4\n";
    run("ipv6::both_families_and_ipv4_preferred", async || both("ipv4", frr, "10.255.0.1").await);
}
