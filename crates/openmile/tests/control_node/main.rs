//! A node's control as an operator meets it: what it says when it cannot start, what it follows in the kernel, and what
//! becomes of it when a process is killed.
#![allow(unsafe_code, missing_docs, reason = "a test of processes and namespaces")]

#[path = "../forwarder_process/sandbox.rs"]
#[allow(dead_code, reason = "the other test needs more of it")]
mod sandbox;

#[allow(dead_code, reason = "the test of the service needs more of it")]
mod node;
mod reload;
mod silence;

use api::{FecOperation, FecRow, FecState, NeighborKind, ShowWhat};
use node::{FEC, FEC_HOST, NextHop, Node, Site, within};

#[test]
fn what_is_wrong_at_start_is_said_in_a_sentence_and_nothing_is_left() {
    sandbox::run("what_is_wrong_at_start_is_said_in_a_sentence_and_nothing_is_left", || {
        let site = Site::new();
        sandbox::set("lo", true);
        let outside = sandbox::Outside::new();
        let refused = |expected: &str| {
            let said = site.refused();
            assert!(said.contains(expected), "{expected} in: {said}");
            assert!(!node::loopback().contains(&node::RETURN_ADDRESS), "half-configured: {said}");
        };
        refused("there is no network device `bb0`");
        outside.cable("bb0", "far0");
        refused("the MTU of `bb0` is 1500, but `lsp_mtu` = 1500 in the network file needs 1504");
        refused("ip link set bb0 mtu 1504");
        sandbox::set_mtu("bb0", 1504);
        refused("ip addr add 10.255.0.1/32 dev lo");
        node::assign("lo", "10.255.0.1/32");
        refused("line1");
        outside.cable("line1", "far1");
        let other = std::net::UdpSocket::bind("0.0.0.0:646").unwrap();
        refused("another LDP speaker runs on this machine");
        drop(other);
        let mut node = site.start();
        node.runtime().block_on(async {
            node.client().await;
        });
        let second = site.refused();
        assert!(second.contains("node head1 is already running"), "{second}");
        node.stop();
    });
}

#[test]
fn routes_and_next_hops_are_followed_and_processes_may_die() {
    sandbox::run("routes_and_next_hops_are_followed_and_processes_may_die", || {
        let site = Site::new();
        sandbox::set("lo", true);
        let outside = sandbox::Outside::new();
        outside.cable("bb0", "far0");
        sandbox::set_mtu("bb0", 1504);
        outside.cable("line1", "far1");
        node::assign("lo", "10.255.0.1/32");
        node::assign("bb0", "10.0.0.1/30");
        outside.run(|| node::assign("far0", "10.0.0.2/30"));
        let mut node = site.start();
        let runtime = node.runtime();
        runtime.block_on(follow(&mut node));
        runtime.block_on(survive(&mut node));
        node.stop();
        assert!(!node::loopback().contains(&node::RETURN_ADDRESS), "{:?}", node::loopback());
        assert!(!site.runtime_dir().exists(), "the runtime directory goes");
    });
}

/// What the kernel knows, control knows: also what the kernel does not announce.
async fn follow(node: &mut Node) {
    let client = node.client().await;
    let state = async || row(&client, FecOperation::Push).await.map(|row| row.state);
    assert_eq!(state().await, Some(FecState::NoRoute));
    node::route(FEC_HOST, NextHop::Neighbor).await;
    within("the route", async || (state().await == Some(FecState::NoLabel)).then_some(())).await;
    within("the next hop's Ethernet address, without a packet sent to it", async || {
        let neighbors: Vec<api::Neighbor> = client.show(ShowWhat::Neighbors).await.ok()?;
        neighbors.iter().find(|n| n.kind == NeighborKind::Backbone && n.mac.is_some()).map(drop)
    })
    .await;
    // The kernel says nothing of the routes that go with a device.
    node::set("bb0", false);
    within("the route's end", async || (state().await == Some(FecState::NoRoute)).then_some(())).await;
    node::set("bb0", true);
    node::route(FEC_HOST, NextHop::Unreachable).await;
    node::remove_route(FEC_HOST).await;
    node::route(FEC_HOST, NextHop::Neighbor).await;
    within("the route again", async || (state().await == Some(FecState::NoLabel)).then_some(())).await;
}

/// Either process is killed: labels stay, and what the forwarder should hold it comes to hold.
async fn survive(node: &mut Node) {
    let client = node.client().await;
    let popped = async || row(&client, FecOperation::Pop).await.filter(|row| row.state == FecState::Up);
    let before = within("our LSP", popped).await;
    let (control, forwarder) = (node.process("control").unwrap(), node.process("forwarder").unwrap());
    node::kill(control);
    within("another control", async || node.process("control").filter(|pid| *pid != control)).await;
    within("its recovery", async || client.node().await.ok().filter(|node| !node.recovering)).await;
    assert_eq!(within("our LSP after a restart", popped).await, before, "the label is the same");
    assert_eq!(node.process("forwarder"), Some(forwarder), "the forwarder is the same");
    let mut events = client.events().await.unwrap();
    node::kill(forwarder);
    let mut connected = async || {
        loop {
            let event = events.next().await.unwrap().expect("control goes on");
            if event == (api::Event::Forwarder { connected: true }) {
                return Some(());
            }
        }
    };
    within("another forwarder", &mut connected).await;
    assert_eq!(within("our LSP in another forwarder", popped).await, before);
    let subscribers: Vec<api::Subscriber> = client.show(ShowWhat::Subscribers).await.unwrap();
    assert_eq!(subscribers.len(), 1);
}

pub(crate) async fn row(client: &api::Client, operation: FecOperation) -> Option<FecRow> {
    let rows: Vec<FecRow> = client.show(ShowWhat::Fec).await.ok()?;
    let wanted = |row: &FecRow| match operation {
        FecOperation::Push => row.fec.prefix.to_string() == FEC && row.operation == operation,
        _ => row.operation == operation,
    };
    rows.into_iter().find(wanted)
}
