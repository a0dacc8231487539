//! A disk that is full and a file that is damaged: requests are refused, packets and what is known go on.

use std::fs;

use api::{
    Client, ClientError, Event, Refused, ShowWhat, SubscriberAction, SubscriberEdit, SubscriberRequest,
};
use rustix::mount::{MountFlags, mount};

use crate::place::{Node, Place, within};
use crate::sandbox;

#[test]
fn a_full_disk_refuses_requests_until_there_is_room() {
    sandbox::run("disk::a_full_disk_refuses_requests_until_there_is_room", || {
        let place = Place::new();
        let state = place.state();
        fs::create_dir(&state).unwrap();
        mount("none", &state, "tmpfs", MountFlags::empty(), Some(c"size=4m")).unwrap();
        let head = place.start_head();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = head.client().await;
            add(&client, "anna", 1).await.unwrap();
            let mut events = client.events().await.unwrap();
            let filler = state.join("filler");
            while fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(&filler)
                .is_ok_and(|mut file| std::io::Write::write_all(&mut file, &[0; 4096]).is_ok())
            {}
            // What the file still has room for inside is taken; then nothing more.
            let mut taken = 1;
            let refused = loop {
                match add_many(&client, taken).await {
                    Ok(()) => taken += MANY,
                    Err(refused) => break refused,
                }
                assert!(taken < 100_000, "the disk never fills");
            };
            assert!(refused.message.contains("cannot be stored"), "{refused:?}");
            alarmed(&mut events, "the directory cannot be written").await;
            assert_eq!(rows(&client).await.len(), taken as usize, "all of a request, or nothing");
            // A restart with a full disk loses nobody.
            let control = head.process("control").unwrap();
            crate::place::kill(control);
            within("another control", async || head.process("control").filter(|pid| *pid != control)).await;
            within("the same subscribers", async || {
                let rows: Vec<api::Subscriber> = client.show(ShowWhat::Subscribers).await.ok()?;
                (rows.len() == taken as usize).then_some(())
            })
            .await;
            assert!(add_many(&client, taken).await.is_err());
            fs::remove_file(&filler).unwrap();
            add_many(&client, taken).await.unwrap();
            assert_eq!(rows(&client).await.len(), (taken + MANY) as usize);
        });
        head.stop();
    });
}

#[test]
fn a_disk_that_is_read_only_refuses_requests_and_nothing_else() {
    sandbox::run("disk::a_disk_that_is_read_only_refuses_requests_and_nothing_else", || {
        let place = Place::new();
        let state = place.state();
        fs::create_dir(&state).unwrap();
        let read_only = |yes: bool| {
            let flags = if yes { MountFlags::RDONLY } else { MountFlags::empty() };
            rustix::mount::mount_remount(&state, flags, "").unwrap();
        };
        mount("none", &state, "tmpfs", MountFlags::RDONLY, None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // There is no file, and none can be made.
        let head = place.start_head();
        runtime.block_on(async {
            let client = head.client().await;
            let refused = add(&client, "anna", 1).await.unwrap_err();
            assert!(refused.message.contains("Read-only file system"), "{refused:?}");
            read_only(false);
            add(&client, "anna", 1).await.unwrap();
        });
        head.stop();
        // There is one, and it cannot be written.
        read_only(true);
        let head = place.start_head();
        runtime.block_on(async {
            let client = head.client().await;
            within("anna", async || (rows(&client).await.len() == 1).then_some(())).await;
            let refused = add(&client, "bert", 2).await.unwrap_err();
            assert!(refused.message.contains("cannot be stored"), "{refused:?}");
            assert!(refused.help.unwrap().contains("packets go on"));
            assert_eq!(rows(&client).await.len(), 1);
            read_only(false);
            add(&client, "bert", 2).await.unwrap();
            assert_eq!(rows(&client).await.len(), 2);
        });
        head.stop();
    });
}

#[test]
fn a_damaged_file_leaves_subscribers_as_the_forwarder_has_them() {
    sandbox::run("disk::a_damaged_file_leaves_subscribers_as_the_forwarder_has_them", || {
        let place = Place::new();
        let head = place.start_head();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = head.client().await;
            add(&client, "anna", 1).await.unwrap();
            add(&client, "bert", 2).await.unwrap();
            held_by_forwarder(&client, &head).await;
            let before = rows(&client).await;
            let file = place.state().join("head1/subscribers.redb");
            let whole = fs::read(&file).unwrap();
            let damaged: Vec<u8> = whole.iter().map(|octet| octet ^ 0xaa).collect();
            fs::write(&file, &damaged).unwrap();
            restart_control(&head).await;
            let after = within("the API", async || client.show(ShowWhat::Subscribers).await.ok()).await;
            let after: Vec<api::Subscriber> = after;
            let what = |rows: &[api::Subscriber]| {
                rows.iter().map(|row| (row.isp, row.tags, row.prefixes.clone())).collect::<Vec<_>>()
            };
            assert_eq!(what(&after), what(&before), "{after:?}");
            let refused = add(&client, "carl", 3).await.unwrap_err();
            assert!(refused.message.contains("subscribers.redb"), "{refused:?}");
            assert!(fs::read(&file).unwrap() == damaged, "the file is left as it is");
            // It is brought back: the next request goes on with it.
            fs::write(&file, &whole).unwrap();
            add(&client, "carl", 3).await.unwrap();
            let names: Vec<_> = rows(&client).await.into_iter().map(|row| row.subscriber).collect();
            assert_eq!(names, ["anna", "bert", "carl"]);
        });
        head.stop();
    });
}

/// Subscribers that are added at once.
const MANY: u32 = 500;

async fn add(client: &Client, name: &str, n: u32) -> Result<(), Refused> {
    ask(client, vec![edit(name.to_owned(), n)]).await
}

async fn add_many(client: &Client, from: u32) -> Result<(), Refused> {
    ask(client, (from..from + MANY).map(|n| edit(format!("subscriber-{n}"), n + 10)).collect()).await
}

fn edit(name: String, n: u32) -> SubscriberEdit {
    SubscriberEdit {
        isp: Some("64501".to_owned()),
        port: Some("line1".to_owned()),
        outer_vlan: Some((1 + n / 4000).to_string()),
        inner_vlan: Some((1 + n % 4000).to_string()),
        prefixes: Some(std::net::Ipv4Addr::from_bits(0x6440_0100 + n).to_string()),
        ..SubscriberEdit::new(SubscriberAction::Add, name)
    }
}

async fn ask(client: &Client, edits: Vec<SubscriberEdit>) -> Result<(), Refused> {
    match client.edit(&SubscriberRequest { edits, dry_run: false }).await {
        Ok(_) => Ok(()),
        Err(ClientError::Rejected(refused)) => Err(refused),
        Err(error) => panic!("{error}"),
    }
}

async fn rows(client: &Client) -> Vec<api::Subscriber> {
    client.show(ShowWhat::Subscribers).await.unwrap()
}

async fn alarmed(events: &mut api::Events, what: &str) {
    loop {
        if let Some(Event::Alarm { message }) = events.next().await.unwrap()
            && message.contains(what)
        {
            return;
        }
    }
}

async fn restart_control(head: &Node) {
    let control = head.process("control").unwrap();
    crate::place::kill(control);
    within("another control", async || head.process("control").filter(|pid| *pid != control)).await;
}

/// Restarts control once more, which asks the forwarder what it holds: what was told before is there by then.
async fn held_by_forwarder(client: &Client, head: &Node) {
    restart_control(head).await;
    within("the API", async || client.node().await.ok().filter(|node| node.forwarder)).await;
    // Each answer comes after what was to be written before it.
    for _ in 0..5 {
        client.node().await.unwrap();
    }
}
