//! Ten thousand subscribers are moved to another ISP while packets flow both ways through real daemons, a headend and a
//! tailend: none is lost, none comes twice, and each is counted once.
#![allow(unsafe_code, missing_docs, reason = "a test of processes and namespaces")]

#[path = "../forwarder_process/frames.rs"]
#[allow(dead_code, reason = "the other test needs more of it")]
mod frames;
#[path = "../forwarder_process/sandbox.rs"]
#[allow(dead_code, reason = "the other test needs more of it")]
mod sandbox;

mod disk;
mod million;
mod place;
mod traffic;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use api::{
    Client, Counters, FecOperation, FecRow, FecState, ImportDone, ImportLine, ImportOptions, ShowWhat,
    SubscriberAction, SubscriberEdit, SubscriberRequest,
};
use place::{Place, within};
use traffic::{Traffic, line};

/// Subscribers.
pub(crate) const SUBSCRIBERS: u32 = 10_000;
/// Subscribers moved by one request.
const AT_ONCE: usize = 20;

#[test]
fn ten_thousand_subscribers_are_moved_and_no_packet_is_lost() {
    sandbox::run("ten_thousand_subscribers_are_moved_and_no_packet_is_lost", || {
        let place = Place::new();
        let (head, tail) = (place.start_head(), place.start_tail());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (head_client, tail_client) = runtime.block_on(async {
            let clients = (head.client().await, tail.client().await);
            import(&clients.0).await;
            clients
        });
        let mut traffic = Traffic::new(&place, runtime.block_on(place::mac(&head_client, "line1")));
        for client in [&head_client, &tail_client] {
            traffic.answer_until("the LSPs", || runtime.block_on(is_complete(client)));
        }
        traffic.warm_up();
        let before = runtime.block_on(counted(&head_client, &tail_client));
        let (moving, moved) = (AtomicBool::new(true), AtomicU32::new(0));
        std::thread::scope(|scope| {
            let socket = head.socket.clone();
            let (moving, moved) = (&moving, &moved);
            scope.spawn(move || {
                let _done = WhenDropped(moving);
                move_all(&Client::new(socket), moved);
            });
            // A first round begins before anything is moved; a last one ends after all is.
            traffic.run(|sent| moving.load(Ordering::Acquire) || sent < 3 * SUBSCRIBERS);
        });
        assert_eq!(moved.load(Ordering::Relaxed), SUBSCRIBERS);
        let (sent, at_alpha) = traffic.check();
        let last = traffic.round();
        assert_eq!(last, (0, SUBSCRIBERS), "(by alpha, by beta) once all are at beta");
        let (all, at_beta) = (sent + SUBSCRIBERS, sent + SUBSCRIBERS - at_alpha);
        println!(
            "{sent} packets to ISPs during the moves, {at_alpha} of them to the old one, and as many answers"
        );
        assert!(at_alpha > 0 && at_beta > SUBSCRIBERS, "packets went to both ISPs: {at_alpha} {at_beta}");
        runtime.block_on(within("the counters", async || {
            let after = counted(&head_client, &tail_client).await;
            let counted = std::array::from_fn(|n| after[n] - before[n]);
            (counted == [u64::from(all); 4]).then_some(()).or_else(|| {
                println!("counted {counted:?} of {all}");
                None
            })
        }));
        let drops: Vec<api::DropRow> = runtime.block_on(head_client.show(ShowWhat::Drops)).unwrap();
        println!("drops at the headend: {drops:?}");
        head.stop();
        tail.stop();
    });
}

struct WhenDropped<'a>(&'a AtomicBool);

impl Drop for WhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

async fn import(client: &Client) {
    let mut text = "subscriber,node,port,outer_vlan,inner_vlan,mac,isp,prefixes,plan\n".to_owned();
    for n in 0..SUBSCRIBERS {
        let line = line(n);
        let (outer, inner, mac, address) = (line.outer, line.inner, line.mac, line.address);
        text.push_str(&format!("line-{n},head1,line1,{outer},{inner},{mac},64501,{address},\n"));
    }
    assert_eq!(imported(client, text).await.subscribers, u64::from(SUBSCRIBERS));
}

/// Imports a file, which is right.
async fn imported(client: &Client, text: String) -> ImportDone {
    let mut lines = client.import(text.into_bytes(), ImportOptions::default()).await.unwrap();
    loop {
        match lines.next().await.unwrap().expect("the import ends") {
            ImportLine::Done(done) => break done,
            ImportLine::Refused(refused) => panic!("{refused:?}"),
            _ => {}
        }
    }
}

/// Whether all of a node's LSPs are up.
async fn is_complete(client: &Client) -> bool {
    let rows: Vec<FecRow> = client.show(ShowWhat::Fec).await.unwrap();
    let up =
        |operation| rows.iter().filter(|row| row.operation == operation && row.state == FecState::Up).count();
    up(FecOperation::Push) >= 2 && up(FecOperation::Pop) >= 2
}

fn move_all(client: &Client, moved: &AtomicU32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all: Vec<u32> = (0..SUBSCRIBERS).collect();
    for some in all.chunks(AT_ONCE) {
        let edits = some.iter().map(|n| SubscriberEdit {
            to: Some("64502".to_owned()),
            ..SubscriberEdit::new(SubscriberAction::Move, format!("line-{n}"))
        });
        let request = SubscriberRequest { edits: edits.collect(), dry_run: false };
        let done = runtime.block_on(client.edit(&request)).unwrap_or_else(|error| panic!("{error:?}"));
        moved.fetch_add(done.subscribers as u32, Ordering::Relaxed);
    }
}

/// Packets of both ISPs: at the headend and at the tailend, to the ISP and to the subscriber.
async fn counted(head: &Client, tail: &Client) -> [u64; 4] {
    let head: Counters = head.show(ShowWhat::Counters).await.unwrap();
    let tail: Counters = tail.show(ShowWhat::Counters).await.unwrap();
    let sum = |counters: &Counters, point: fn(&api::IspTraffic) -> u64| counters.isps.iter().map(point).sum();
    [
        sum(&head, |isp| isp.headend_to_isp.sent.packets),
        sum(&tail, |isp| isp.tailend_to_isp.sent.packets),
        sum(&tail, |isp| isp.tailend_to_subscriber.sent.packets),
        sum(&head, |isp| isp.headend_to_subscriber.sent.packets),
    ]
}
