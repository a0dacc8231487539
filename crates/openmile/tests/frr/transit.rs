//! FRR between a headend and a tailend of ours. Its kernel need not know MPLS: what counts is which labels the headend's
//! frames carry.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use api::{BindingSide, Client, FecOperation, FecRow, FecState, LibRow, ShowWhat};
use serde_json::Value;

use crate::place::{self, Extra, Node, Place, Running, US, sh, within};
use crate::{OURS, fec, received, rows};

const NETWORK: &str = include_str!("transit.toml");
const SUBSCRIBERS: &str = "subscriber,node,port,outer_vlan,inner_vlan,mac,isp,prefixes
line1,head1,line1,,,,64501,100.64.0.2
";
/// The ISP's FEC at the tailend.
const ISP: &str = "10.254.3.1/32";
/// The tailend's LSR-id.
const TAIL: &str = "10.255.0.3";

/// Headend, FRR, tailend, an ISP and a subscriber who sends all the time.
pub(crate) struct Transit {
    pub(crate) place: Place,
    pub(crate) headend: Node,
    pub(crate) tailend: Node,
    pub(crate) head: Client,
    pub(crate) tail: Client,
    zebra: Running,
    ldpd: Option<Running>,
    _subscriber: Running,
}

impl Transit {
    async fn new() -> Self {
        let place = Place::new(Extra::default());
        sh("for space in tail isp line; do ip netns add $space; ip -n $space link set lo up; done
            ip -n frr link set line1 netns line
            ip link add bb1 netns frr type veth peer name bb0 netns tail
            ip link add isp0 netns tail type veth peer name isp0 netns isp
            ip -n frr link set bb1 up; ip -n tail link set bb0 up; ip -n tail link set isp0 up
            ip -n isp link set isp0 up; ip -n line link set line1 up
            ip -n frr addr add 10.0.1.1/30 dev bb1; ip -n tail addr add 10.0.1.2/30 dev bb0
            ip -n tail addr add 10.255.0.3/32 dev lo; ip -n isp addr add 192.0.2.2/30 dev isp0
            ip -n line addr add 100.64.0.2/24 dev line1; ip -n line route add default via 100.64.0.1
            ip route add 10.254.3.1/32 via 10.0.0.2
            for host in 10.255.0.3 10.254.3.1; do ip -n frr route add $host/32 via 10.0.1.2; done
            for host in 10.255.0.2 10.254.2.1; do ip -n tail route add $host/32 via 10.0.1.1; done");
        place.beside("network.toml", NETWORK);
        place.beside("subscribers.csv", SUBSCRIBERS);
        let (mut headend, mut tailend) = (place.start_node(), place.start_node_in("tail", "tail1"));
        let (head, tail) = (headend.client().await, tailend.client().await);
        let [zebra, ldpd] = place.start_frr();
        let sender = "while :; do echo x >/dev/udp/192.0.2.2/9; sleep 0.05; done 2>/dev/null";
        let _subscriber = Running::script("line", sender);
        Self { place, headend, tailend, head, tail, zebra, ldpd: Some(ldpd), _subscriber }
    }

    /// The label by which the headend pushes, once it is the one that FRR has bound.
    async fn pushed(&self) -> u32 {
        within("FRR's label at the headend", async || {
            let row = push(&self.head).await;
            let label = row.out_label.filter(|_| row.state == FecState::Up)?.value();
            (self.bound()?["localLabel"].as_str()? == label.to_string()).then_some(label)
        })
        .await
    }

    /// What FRR has of the ISP's FEC with the tailend.
    fn bound(&self) -> Option<Value> {
        self.place.frr_binding_with(TAIL, ISP)
    }

    /// The LSP as far as each sees it: whole.
    async fn whole(&self) -> u32 {
        let popped = within("the tailend's label", async || {
            pop(&self.tail).await.filter(|row| row.state == FecState::Up)?.in_label
        })
        .await;
        within("the tailend's label at FRR", async || {
            let bound = self.bound()?;
            (bound["remoteLabel"] == popped.to_string() && bound["inUse"] == 1).then_some(())
        })
        .await;
        self.pushed().await
    }
}

async fn push(client: &Client) -> FecRow {
    fec(&rows(client, ShowWhat::Fec).await, ISP, FecOperation::Push)
}

async fn pop(client: &Client) -> Option<FecRow> {
    let rows: Vec<FecRow> = client.show(ShowWhat::Fec).await.ok()?;
    rows.into_iter().find(|row| row.fec.prefix.to_string() == ISP && row.operation == FecOperation::Pop)
}

/// The labels of frames that arrive on FRR's port from the headend.
struct Labels {
    tshark: Child,
    labels: Receiver<u32>,
}

impl Labels {
    fn on_the_wire() -> Self {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", "frr", "tshark", "-lni", "bb0", "-f", "mpls"]);
        command.args(["-T", "fields", "-e", "mpls.label"]);
        let mut tshark = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(tshark.stdout.take().unwrap()).lines().map_while(Result::ok);
        let (sender, labels) = channel();
        std::thread::spawn(move || {
            // Several labels would be a mistake, and are none here.
            lines.map(|line| line.parse().unwrap_or(u32::MAX)).try_for_each(|label| sender.send(label))
        });
        Self { tshark, labels }
    }

    /// Waits for frames with this label, after which there are no others.
    async fn are(&self, label: u32) {
        within("a frame with the label", async || (self.next()? == label).then_some(())).await;
        for _ in 0..10 {
            let next = within("the next frame", async || self.next()).await;
            assert_eq!(next, label, "a frame with another label than FRR's");
        }
    }

    fn next(&self) -> Option<u32> {
        match self.labels.try_recv() {
            Ok(label) => Some(label),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => panic!("tshark has ended"),
        }
    }
}

impl Drop for Labels {
    fn drop(&mut self) {
        let _ = self.tshark.kill();
        let _ = self.tshark.wait();
    }
}

#[test]
fn frames_carry_the_label_of_frr_between_our_nodes() {
    place::run("transit::frames_carry_the_label_of_frr_between_our_nodes", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(labels_of_frr());
    });
}

async fn labels_of_frr() {
    let mut net = Transit::new().await;
    let wire = Labels::on_the_wire();
    let first = net.whole().await;
    wire.are(first).await;

    // FRR restarts, with other labels: it has more routes by now. It knows no graceful restart, so that its label is
    // gone with the session and nothing is sent until there is another.
    sh("for host in 1 2 3; do ip -n frr route add 10.99.0.$host/32 via 10.9.0.2; done");
    net.ldpd = None;
    within("no label", async || (push(&net.head).await.state == FecState::NoLabel).then_some(())).await;
    net.ldpd = Some(net.place.start_ldpd());
    let second = net.whole().await;
    assert_ne!(first, second, "the test shows nothing if FRR binds the same label again");
    wire.are(second).await;

    // Both ways: the headend's label at FRR.
    let popped = fec(&rows(&net.head, ShowWhat::Fec).await, OURS, FecOperation::Pop).in_label.unwrap();
    within("our label at FRR", async || {
        net.place.frr_binding(OURS).filter(|b| b["remoteLabel"] == popped.to_string() && b["inUse"] == 1)
    })
    .await;
    net.stop();
}

#[test]
fn what_frr_hides_and_what_restarts_and_flaps_do() {
    place::run("transit::what_frr_hides_and_what_restarts_and_flaps_do", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let net = Transit::new().await;
            let wire = Labels::on_the_wire();
            let label = net.whole().await;
            wire.are(label).await;
            hidden_withdrawal(&net, &wire).await;
            our_restart(&net, &wire).await;
            flap_storm(&net, &wire).await;
            net.stop();
        });
    });
}

/// The handoff goes down and the tailend withdraws. FRR goes on advertising as long as it has the route.
async fn hidden_withdrawal(net: &Transit, wire: &Labels) {
    let label = push(&net.head).await.out_label.unwrap().value();
    sh("ip -n isp link set isp0 down");
    within("the tailend's handoff down", async || {
        (pop(&net.tail).await?.state == FecState::HandoffDown).then_some(())
    })
    .await;
    within("no label of the tailend at FRR", async || {
        net.bound().is_none_or(|bound| bound["inUse"] == 0).then_some(())
    })
    .await;
    // What FRR says after it heard of that comes after what it would have said about it.
    sh("ip -n frr route add 10.99.1.1/32 via 10.9.0.2");
    within("FRR's next mapping", async || received(&rows(&net.head, ShowWhat::Lib).await, "10.99.1.1/32"))
        .await;
    // TODO-correctness(RFC 8029): the headend sends on into an LSP that ends at FRR. It says that nobody verifies it.
    let row = push(&net.head).await;
    assert!(row.state == FecState::Up && row.unverified, "{row:?}");
    let (done, said) = net.place.openmile(&["show", "fec", "--node", "head1"]);
    assert!(done && said.contains("up, unverified"), "{said}");
    wire.are(label).await;

    // Without the route FRR withdraws at last, and all comes back with both.
    sh("ip -n frr route del 10.254.3.1/32");
    within("FRR's withdrawal", async || (push(&net.head).await.state == FecState::NoLabel).then_some(()))
        .await;
    sh("ip -n isp link set isp0 up; ip -n frr route add 10.254.3.1/32 via 10.0.1.2");
    wire.are(net.whole().await).await;
}

/// The headend's control is killed. FRR knows no graceful restart: it forgets the headend's labels, and the headend, which
/// was told so, does not go on by what FRR told before. What the forwarder holds, it uses until then.
async fn our_restart(net: &Transit, wire: &Labels) {
    let label = push(&net.head).await.out_label.unwrap();
    let popped = net.place.frr_binding(OURS).unwrap()["remoteLabel"].clone();
    // The time between two sessions may be too short to be seen; a second one is younger than the first.
    let age =
        || net.place.frr_neighbor().filter(|n| n["state"] == "OPERATIONAL").map(|n| n["upTime"].to_string());
    let before =
        within("a session of some age", async || age().filter(|age| age.as_str() > "\"00:00:03\"")).await;
    net.headend.kill_control();
    within("FRR without us", async || age().is_none_or(|age| age < before).then_some(())).await;
    wire.are(label.value()).await;
    within("FRR's session", async || net.place.frr_neighbor().filter(|n| n["state"] == "OPERATIONAL")).await;
    within("our label at FRR, as before", async || {
        net.place.frr_binding(OURS).filter(|b| b["remoteLabel"] == popped && b["inUse"] == 1)
    })
    .await;
    assert_eq!(net.whole().await, label.value(), "FRR had no reason for another label");
    wire.are(label.value()).await;
}

/// Routes and links flap faster than anybody settles. At the end both sides know the same, and nothing more than before.
async fn flap_storm(net: &Transit, wire: &Labels) {
    let before = ours_with_frr(&net.head).await;
    sh("for flap in $(seq 50); do
            ip -n frr route del 10.254.3.1/32; ip -n frr route add 10.254.3.1/32 via 10.0.1.2
            ip -n frr link set bb0 down; ip -n frr link set bb0 up
            for host in 10.255.0.1 10.254.2.1; do ip -n frr route add $host/32 via 10.0.0.1; done
        done");
    let label = net.whole().await;
    wire.are(label).await;
    let (mut ours, mut theirs) = Default::default();
    let same = async || {
        (ours, theirs) = (ours_with_frr(&net.head).await, frrs_with_us(&net.place));
        (ours == theirs).then_some(())
    };
    let same = tokio::time::timeout(Duration::from_secs(20), within("the same bindings", same)).await;
    assert!(same.is_ok(), "ours: {ours:#?}, FRR's: {theirs:#?}");
    // A FEC that was withdrawn has another label by design; one that never was keeps its own.
    assert!(before.keys().eq(ours.keys()), "{before:#?} {ours:#?}");
    assert_eq!(before.get(OURS).map(|sides| &sides[0]), ours.get(OURS).map(|sides| &sides[0]));
}

/// FECs with the label that we told FRR, and the one that FRR told us.
type Bindings = BTreeMap<String, [Option<String>; 2]>;

async fn ours_with_frr(client: &Client) -> Bindings {
    let mut bindings = Bindings::new();
    for row in rows::<LibRow>(client, ShowWhat::Lib).await {
        let sides = bindings.entry(row.fec.prefix.to_string()).or_default();
        sides[usize::from(row.side == BindingSide::Received)] = Some(row.label.to_string());
    }
    bindings
}

fn frrs_with_us(place: &Place) -> Bindings {
    let mut bindings = Bindings::new();
    for row in place.frr_bindings() {
        let label = |side: &str| row[side].as_str().map(null).filter(|label| label != "-");
        let sides = bindings.entry(row["prefix"].as_str().unwrap().to_owned()).or_default();
        if row["neighborId"] == US {
            sides[0] = label("remoteLabel");
        }
        sides[1] = label("localLabel");
    }
    bindings.retain(|_, sides| sides.iter().any(Option::is_some));
    bindings
}

/// FRR's names of labels.
fn null(label: &str) -> String {
    match label {
        "imp-null" => "3".to_owned(),
        "exp-null" => "0".to_owned(),
        label => label.to_owned(),
    }
}

impl Transit {
    fn stop(self) {
        drop((self.ldpd, self.zebra));
        self.headend.stop();
        self.tailend.stop();
    }
}
