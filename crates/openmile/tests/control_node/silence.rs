//! Neighbours that fall silent while their links stay up: how long it takes to notice.

use std::time::Duration;

use api::{Event, FecOperation, FecState, NeighborKind, ShowWhat};
use tokio::time::Instant;

use crate::node::{self, FEC_HOST, NextHop, Site, within};
use crate::{row, sandbox};

/// What is promised, and what a machine that does other things at the same time may take in addition.
const SLACK: Duration = Duration::from_secs(4);

#[test]
fn a_silent_next_hop_of_a_handoff_is_noticed_and_one_that_flaps_is_held_down() {
    sandbox::run(
        "silence::a_silent_next_hop_of_a_handoff_is_noticed_and_one_that_flaps_is_held_down",
        || {
            let site = Site::of("tail1");
            sandbox::set("lo", true);
            let outside = sandbox::Outside::new();
            outside.cable("bb0", "far0");
            sandbox::set_mtu("bb0", 1504);
            outside.cable("isp0", "router");
            node::assign("lo", "10.255.0.2/32");
            node::assign("bb0", "10.0.0.2/30");
            let answer = || outside.run(|| node::assign("router", "192.0.2.2/30"));
            answer();
            let mut node = site.start();
            node.runtime().block_on(async {
                let client = node.client().await;
                let mut events = client.events().await.unwrap();
                let mut handoff = async |wanted: bool| {
                    loop {
                        match events.next().await.unwrap().expect("control goes on") {
                            Event::Handoff { up, held_for, .. } if up == wanted => return held_for,
                            _ => {}
                        }
                    }
                };
                let up = async || {
                    let row = row(&client, FecOperation::Pop).await?;
                    (row.state == FecState::Up && row.in_label.is_some()).then_some(())
                };
                within("the handoff", up).await;
                for failure in 1..=3 {
                    outside.run(|| node::unassign("router"));
                    let began = Instant::now();
                    let held_for = handoff(false).await;
                    println!("failure {failure}: silence was noticed after {:?}", began.elapsed());
                    assert!(began.elapsed() < Duration::from_millis(1300) + SLACK, "{:?}", began.elapsed());
                    answer();
                    if failure < 3 {
                        assert_eq!(held_for, None);
                        handoff(true).await;
                        within("the LSP again", up).await;
                    } else {
                        assert!(held_for.is_some_and(|seconds| (10..=60).contains(&seconds)), "{held_for:?}");
                    }
                }
                let held = async || {
                    row(&client, FecOperation::Pop).await.filter(|row| row.state == FecState::HeldDown)
                };
                within("the FEC to be shown as held down", held).await;
                let isps: Vec<api::Isp> = client.show(ShowWhat::Isps).await.unwrap();
                let health = isps[0].handoffs[0].health.expect("it is this node's");
                assert_eq!(health.failures, 3);
                assert!(health.held_for.is_some() && health.penalty > 1000, "{health:?}");
            });
            node.stop();
        },
    );
}

#[test]
fn a_silent_next_hop_of_the_backbone_is_noticed_and_so_is_its_return() {
    sandbox::run("silence::a_silent_next_hop_of_the_backbone_is_noticed_and_so_is_its_return", || {
        let site = Site::new();
        sandbox::set("lo", true);
        let outside = sandbox::Outside::new();
        outside.cable("bb0", "far0");
        sandbox::set_mtu("bb0", 1504);
        outside.cable("line1", "far1");
        node::assign("lo", "10.255.0.1/32");
        node::assign("bb0", "10.0.0.1/30");
        let answer = || outside.run(|| node::assign("far0", "10.0.0.2/30"));
        answer();
        let mut node = site.start();
        node.runtime().block_on(async {
            let client = node.client().await;
            node::route(FEC_HOST, NextHop::Neighbor).await;
            let resolved = async |wanted: bool| {
                let neighbors: Vec<api::Neighbor> = client.show(ShowWhat::Neighbors).await.ok()?;
                let backbone = neighbors.iter().find(|n| n.kind == NeighborKind::Backbone)?;
                (backbone.mac.is_some() == wanted).then_some(())
            };
            for _ in 0..2 {
                let began = Instant::now();
                within("the next hop", async || resolved(true).await).await;
                println!("it was there after {:?}", began.elapsed());
                assert!(began.elapsed() < Duration::from_secs(4) + SLACK, "{:?}", began.elapsed());
                // The entry would stay as it is for a minute and more, were it left to itself.
                outside.run(|| node::unassign("far0"));
                let began = Instant::now();
                within("its silence", async || resolved(false).await).await;
                println!("silence was noticed after {:?}", began.elapsed());
                assert!(began.elapsed() < Duration::from_secs(4) + SLACK, "{:?}", began.elapsed());
                answer();
            }
        });
        node.stop();
    });
}
