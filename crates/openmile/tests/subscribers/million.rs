//! How long a million subscribers take, and how much memory.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use api::Client;
use rustix::process::Pid;
use rustix::time::{ClockId, clock_gettime};

use crate::place::{Node, Place, kill, within};
use crate::{imported, sandbox};

const SUBSCRIBERS: u32 = 1_000_000;

/// Run it with `cargo test --release -p openmile --test subscribers -- --ignored --nocapture million`.
#[test]
#[ignore = "a measurement"]
fn a_million_subscribers() {
    sandbox::run_ignored("million::a_million_subscribers", || {
        let place = Place::new();
        let head = place.start_head();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = head.client().await;
            let mut text = "subscriber,node,port,outer_vlan,inner_vlan,mac,isp,prefixes\n".to_owned();
            for n in 0..SUBSCRIBERS {
                let (outer, inner) = (1 + n / 4000, 1 + n % 4000);
                let [one, two] =
                    [0x6440_0100, 0x6460_0100].map(|base| std::net::Ipv4Addr::from_bits(base + n));
                writeln!(text, "line-{n},head1,line1,{outer},{inner},,64501,{one} {two}").unwrap();
            }
            say("before", &head);
            let begin = seconds();
            let done = imported(&client, text).await;
            assert_eq!(done.subscribers, u64::from(SUBSCRIBERS));
            let took = seconds() - begin;
            say(&format!("imported in {took:.1} s"), &head);
            assert!(took < 60.0, "an import takes less than a minute");
            up_to_date(&client).await;
            say(&format!("the forwarder has them {:.1} s after the import began", seconds() - begin), &head);
            let control = head.process("control").unwrap();
            kill(control);
            let begin = seconds();
            within("another control", async || client.node().await.ok().filter(|node| node.forwarder)).await;
            let took = seconds() - begin;
            say(&format!("control is back, with all of them, in {took:.1} s after it was killed"), &head);
            assert!(took < 10.0, "a start takes less than ten seconds");
            up_to_date(&client).await;
            say(
                &format!("the forwarder has confirmed them {:.1} s after it was killed", seconds() - begin),
                &head,
            );
            let file = fs::metadata(place.state().join("head1/subscribers.redb")).unwrap().len();
            println!("the file has {} MB", file >> 20);
            let page = client.subscribers("subscriber=line-999999").await.unwrap();
            assert_eq!(page.rows.len(), 1);
        });
        head.stop();
    });
}

async fn up_to_date(client: &Client) {
    within("the forwarder", async || client.node().await.ok().filter(|node| node.up_to_date)).await;
}

fn seconds() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32).as_secs_f64()
}

fn say(what: &str, head: &Node) {
    let resident = |process: Option<Pid>| {
        let pid = process.map_or(0, |pid| pid.as_raw_nonzero().get());
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
            line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) >> 10
        };
        (line("VmRSS:"), line("VmHWM:"))
    };
    let (control, most) = resident(head.process("control"));
    let (forwarder, _) = resident(head.process("forwarder"));
    println!("{what}: control has {control} MB (at most {most}), the forwarder {forwarder} MB");
}
