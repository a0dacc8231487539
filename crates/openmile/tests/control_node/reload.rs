//! A running node goes on with another network file.

use api::{ClientError, Event, Isp, Port, ReloadOptions, ShowWhat, Subscriber};

use crate::node::{self, FEC_HOST, NextHop, Node, Site, within};
use crate::{row, sandbox};

const BETA: &str = r#"
[[isp]]
asn = 64502
name = "beta"
  [[isp.handoff]]
  node = "tail1"
  port = "isp0"
  vlan = 7
  fec = "10.254.1.2"
  ipv4 = { address = "192.0.2.5/30", next_hop = "192.0.2.6" }
  [[isp.headend]]
  node = "head1"
  return_address = "10.254.2.2"
    [[isp.headend.pool]]
    prefix = "100.64.0.0/24"
    gateway = "100.64.0.1"
"#;
const LINE2: &str = "  [[node.port]]\n  name = \"line2\"\n  kind = \"access\"\n";
const LINE1: &str = "  name = \"line1\"\n  kind = \"access\"\n";
const BETAS_RETURN: &str = "10.254.2.2";

#[test]
fn another_file_is_taken_over_and_only_what_is_different_is_touched() {
    sandbox::run("reload::another_file_is_taken_over_and_only_what_is_different_is_touched", || {
        let site = Site::new();
        let outside = prepare();
        let mut node = site.start();
        let processes = |node: &Node| (node.process("control"), node.process("forwarder"));
        let runtime = node.runtime();
        let client = runtime.block_on(node.client());
        runtime.block_on(settled(&client));
        let before = processes(&node);
        runtime.block_on(ports_come_and_go(&site, &client, &outside));
        runtime.block_on(isps_come_and_go(&site, &client));
        runtime.block_on(subscribers_come_and_go(&site, &client));
        runtime.block_on(what_is_refused_changes_nothing(&site, &client));
        runtime.block_on(a_signal_reloads(&site, &client, &node));
        assert_eq!(processes(&node), before, "no process was started again");
        node.stop();
        assert_eq!(sandbox::is_up("line1"), Some(true));
    });
}

#[test]
fn a_port_in_another_place_of_the_file_is_not_touched_when_control_is_started_again() {
    let name = "reload::a_port_in_another_place_of_the_file_is_not_touched_when_control_is_started_again";
    sandbox::run(name, || {
        let site = Site::new();
        let outside = prepare();
        outside.cable("line2", "far2");
        let mut node = site.start();
        let runtime = node.runtime();
        runtime.block_on(async {
            let client = node.client().await;
            settled(&client).await;
            let forwarder = node.process("forwarder").unwrap();
            let line1 = format!("  [[node.port]]\n{LINE1}");
            let before = sockets(forwarder);
            // Its place is another's by now.
            site.edit(
                "network.toml",
                &[(&line1, ""), ("  [[node.port]]\n  name = \"bb0\"", BB0_AFTER_LINE1)],
            );
            let control = node.process("control").unwrap();
            node::kill(control);
            within("another control", async || node.process("control").filter(|pid| *pid != control)).await;
            within("its recovery", async || client.node().await.ok().filter(|node| !node.recovering)).await;
            within("the ports", async || {
                let ports: Vec<Port> = client.show(ShowWhat::Ports).await.ok()?;
                (ports.len() == 2 && ports.iter().all(|port| port.up)).then_some(())
            })
            .await;
            assert_eq!(node.process("forwarder"), Some(forwarder));
            let after = sockets(forwarder);
            let gone: Vec<_> = before.difference(&after).collect();
            assert!(gone.len() <= 1, "only the connection to control is another: {gone:?}");
        });
        node.stop();
    });
}

const BB0_AFTER_LINE1: &str =
    "  [[node.port]]\n  name = \"line1\"\n  kind = \"access\"\n  [[node.port]]\n  name = \"bb0\"";

/// The sockets that a process has open.
fn sockets(process: rustix::process::Pid) -> std::collections::BTreeSet<String> {
    let open = std::fs::read_dir(format!("/proc/{}/fd", process.as_raw_nonzero())).unwrap().flatten();
    let links = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.map(|link| link.display().to_string()).filter(|link| link.starts_with("socket:")).collect()
}

fn prepare() -> sandbox::Outside {
    sandbox::set("lo", true);
    let outside = sandbox::Outside::new();
    outside.cable("bb0", "far0");
    sandbox::set_mtu("bb0", 1504);
    outside.cable("line1", "far1");
    node::assign("lo", "10.255.0.1/32");
    node::assign("bb0", "10.0.0.1/30");
    outside.run(|| node::assign("far0", "10.0.0.2/30"));
    outside
}

/// The ISP's route is known, and its return LSP is up.
async fn settled(client: &api::Client) {
    node::route(FEC_HOST, NextHop::Neighbor).await;
    within("the route", async || {
        let push = row(client, api::FecOperation::Push).await?;
        let pop = row(client, api::FecOperation::Pop).await?;
        (push.state == api::FecState::NoLabel && pop.state == api::FecState::Up).then_some(())
    })
    .await;
}

async fn reload(client: &api::Client) -> Vec<String> {
    let done = client.reload(ReloadOptions::default()).await.unwrap();
    assert!(done.applied);
    assert_eq!(client.node().await.unwrap().digest, done.digest);
    done.changes
}

async fn ports(client: &api::Client) -> Vec<(String, bool)> {
    let ports: Vec<Port> = client.show(ShowWhat::Ports).await.unwrap();
    ports.into_iter().map(|port| (port.port, port.up)).collect()
}

async fn label(client: &api::Client) -> Option<contract::Label> {
    row(client, api::FecOperation::Pop).await?.in_label
}

async fn ports_come_and_go(site: &Site, client: &api::Client, outside: &sandbox::Outside) {
    let before = label(client).await;
    // A device that is not there is said, and nothing is changed.
    site.edit("network.toml", &[(LINE1, &format!("{LINE1}{LINE2}"))]);
    let refused = client.reload(ReloadOptions::default()).await.unwrap_err().to_string();
    assert!(refused.contains("there is no network device `line2`"), "{refused}");
    std::thread::scope(|scope| scope.spawn(|| outside.cable("line2", "far2")).join().unwrap());
    // Only said.
    let said = client.reload(ReloadOptions { dry_run: true }).await.unwrap();
    assert_eq!((said.applied, said.changes), (false, vec!["port line2 added (access)".to_owned()]));
    assert_eq!(ports(client).await.len(), 2);
    assert_eq!(reload(client).await, ["port line2 added (access)"]);
    within("the port", async || (ports(client).await.get(2)? == &("line2".to_owned(), true)).then_some(()))
        .await;
    assert_eq!(is_up("line2"), None, "it is in custody");
    // In another place of the file it is the same port; and it goes as it came.
    site.restore();
    site.edit(
        "network.toml",
        &[("  [[node.port]]\n  name = \"bb0\"", &format!("{LINE2}  [[node.port]]\n  name = \"bb0\""))],
    );
    assert_eq!(reload(client).await, Vec::<String>::new());
    assert_eq!(ports(client).await[2].0, "line2");
    site.restore();
    assert_eq!(reload(client).await, ["port line2 removed"]);
    within("the device", async || is_up("line2").filter(|up| *up)).await;
    assert_eq!(ports(client).await, [("bb0".to_owned(), true), ("line1".to_owned(), true)]);
    // An access port becomes a handoff port, and an access port again.
    site.edit("network.toml", &[(LINE1, &format!("{LINE1}{}", LINE2.replace("access", "handoff")))]);
    reload(client).await;
    within("the handoff port", async || {
        ports(client).await.contains(&("line2".to_owned(), true)).then_some(())
    })
    .await;
    site.restore();
    site.edit("network.toml", &[(LINE1, &format!("{LINE1}{LINE2}"))]);
    assert_eq!(reload(client).await, ["port line2 kind handoff → access"]);
    within("the access port", async || {
        ports(client).await.contains(&("line2".to_owned(), true)).then_some(())
    })
    .await;
    site.restore();
    reload(client).await;
    within("the device", async || is_up("line2").filter(|up| *up)).await;
    assert_eq!(label(client).await, before, "the ISP's label is the same");
}

async fn isps_come_and_go(site: &Site, client: &api::Client) {
    let before = label(client).await;
    let isps = async || client.show::<Vec<Isp>>(ShowWhat::Isps).await.unwrap();
    let loopback = || {
        let addresses = std::thread::spawn(node::loopback).join().unwrap();
        addresses.contains(&BETAS_RETURN.parse().unwrap())
    };
    std::fs::write(site.path("network.toml"), format!("{}{BETA}", node::NETWORK)).unwrap();
    assert_eq!(reload(client).await[0], "isp beta (AS64502) added");
    assert!(loopback());
    assert_eq!(isps().await.iter().map(|isp| isp.name.clone()).collect::<Vec<_>>(), ["alpha", "beta"]);
    let state = async |host: &str, operation| {
        let rows: Vec<api::FecRow> = client.show(ShowWhat::Fec).await.ok()?;
        let mut rows = rows.into_iter().filter(|row| row.operation == operation);
        rows.find(|row| row.fec.prefix.addr().to_string() == host)
    };
    within("beta's return LSP", async || {
        let row = state(BETAS_RETURN, api::FecOperation::Pop).await?;
        (row.state == api::FecState::Up).then_some(())
    })
    .await;
    // What is new is followed in the kernel too.
    let fec = std::net::Ipv4Addr::new(10, 254, 1, 2);
    node::route(fec, NextHop::Neighbor).await;
    within("beta's route", async || {
        let row = state("10.254.1.2", api::FecOperation::Push).await?;
        (row.state == api::FecState::NoLabel).then_some(())
    })
    .await;
    // An address that goes from one ISP to the other is not taken over at once.
    let swapped = format!("{}{BETA}", node::NETWORK)
        .replace("10.254.2.2", "10.254.2.9")
        .replace("10.254.2.1", "10.254.2.2");
    std::fs::write(site.path("network.toml"), swapped).unwrap();
    let refused = client.reload(ReloadOptions::default()).await.unwrap_err().to_string();
    assert!(
        refused.contains("10.254.2.2 is beta's return address and would be alpha's return address"),
        "{refused}"
    );
    assert!(refused.contains("reload every node"), "{refused}");
    site.edit(
        "network.toml",
        &[
            ("10.254.2.2", "10.254.2.1"),
            ("10.254.2.9", "10.254.2.2"),
            ("name = \"beta\"\n", "name = \"beta\"\nclamp_mss = true\n"),
        ],
    );
    assert_eq!(reload(client).await, ["isp beta (AS64502) clamp_mss false → true"]);
    site.restore();
    assert_eq!(reload(client).await[0], "isp beta (AS64502) removed");
    assert!(!loopback());
    assert_eq!(isps().await.len(), 1);
    assert_eq!(state("10.254.1.2", api::FecOperation::Push).await, None);
    assert_eq!(label(client).await, before, "the other ISP's label is the same");
}

async fn subscribers_come_and_go(site: &Site, client: &api::Client) {
    let names = async || {
        let rows: Vec<Subscriber> = client.show(ShowWhat::Subscribers).await.unwrap();
        rows.into_iter().map(|row| row.subscriber).collect::<Vec<_>>()
    };
    site.edit("subscribers.csv", &[("anna,", "bert,head1,line1,,,,64501,100.64.0.12\nanna,")]);
    assert_eq!(reload(client).await, ["the file of subscribers"]);
    within("bert", async || (names().await.len() == 2).then_some(())).await;
    // They are changed there, and nowhere else.
    let carl = api::SubscriberEdit {
        isp: Some("64501".to_owned()),
        port: Some("line1".to_owned()),
        prefixes: Some("100.64.0.13".to_owned()),
        ..api::SubscriberEdit::new(api::SubscriberAction::Add, "carl".to_owned())
    };
    match client.edit(&api::SubscriberRequest { edits: vec![carl], dry_run: false }).await {
        Err(ClientError::Rejected(refused)) => {
            assert!(refused.message.contains("those of the file"), "{refused:?}");
            assert!(refused.message.contains("subscribers.csv"), "{refused:?}");
            assert!(refused.help.unwrap().contains("change that file and reload"));
        }
        other => panic!("{other:?}"),
    }
    let (done, said) = site.say(&["subscriber", "import", "subscribers.csv", "--runtime-dir", "run"]);
    assert!(!done && said.contains("those of the file"), "{said}");
    // Where they come from does not change under way.
    let listed = "subscribers = \"subscribers.csv\"\n";
    site.edit("network.toml", &[(listed, "")]);
    let refused = client.reload(ReloadOptions::default()).await.unwrap_err().to_string();
    assert!(refused.contains("(it is a file): restart the node"), "{refused}");
    site.edit("network.toml", &[("name = \"two\"\n", &format!("name = \"two\"\n{listed}"))]);
    assert_eq!(names().await.len(), 2);
    // A pool does not go while somebody has an address of it.
    site.edit("network.toml", &[("100.64.0.0/24", "100.64.1.0/24"), ("100.64.0.1", "100.64.1.1")]);
    let refused = client.reload(ReloadOptions::default()).await.unwrap_err().to_string();
    assert!(refused.contains("100.64.0.12") && refused.contains("subscribers.csv"), "{refused}");
    assert_eq!(names().await.len(), 2);
    site.restore();
    reload(client).await;
    within("anna alone", async || (names().await == ["anna"]).then_some(())).await;
}

async fn what_is_refused_changes_nothing(site: &Site, client: &api::Client) {
    let before = client.node().await.unwrap();
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("asn = 64501", "asn = 0")], "AS 0 names nobody"),
        (&[("kind = \"access\"", "kind = \"acess\"")], "is no kind of port"),
        (
            &[("lsr_id = \"10.255.0.1\"", "lsr_id = \"10.255.0.9\"")],
            "lsr_id would change from 10.255.0.1 to 10.255.0.9",
        ),
        (&[("name = \"head1\"", "name = \"head9\""), ("node = \"head1\"", "node = \"head9\"")], "head1"),
        (&[("lsp_mtu = 1500", "lsp_mtu = 1501")], "ip link set bb0 mtu 1505"),
    ];
    for (changes, expected) in rows {
        site.edit("network.toml", changes);
        match client.reload(ReloadOptions::default()).await {
            Err(ClientError::Refused { status: 422, message }) => {
                assert!(message.contains(expected), "{message}")
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(client.node().await.unwrap(), before);
        site.restore();
    }
    // What the command says of a file is what `check` says of it.
    site.edit("network.toml", &[("asn = 64501", "asn = 0")]);
    let (good, checked) = site.say(&["check", "network.toml"]);
    let (done, said) = site.say(&["reload", "--runtime-dir", "run"]);
    assert!(!good && !done);
    let nameless = |text: &str| {
        let lines = text.lines().filter(|line| line.contains('×') || line.contains("help:"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(nameless(&said), nameless(&checked), "{said}");
    assert!(said.contains("nothing was changed"), "{said}");
    site.restore();
    let (done, said) = site.say(&["reload", "--dry-run", "--runtime-dir", "run"]);
    assert!(done && said.contains("nothing is different"), "{said}");
    let (done, said) = site.say(&["show", "node", "--runtime-dir", "run"]);
    assert!(done && said.contains(&before.digest[..16]), "{said}");
}

async fn a_signal_reloads(site: &Site, client: &api::Client, node: &Node) {
    let mut events = client.events().await.unwrap();
    site.edit("network.toml", &[("name = \"two\"", "name = \"three\"")]);
    node.signal(rustix::process::Signal::HUP);
    let changes = loop {
        if let Event::Reloaded { changes, .. } =
            within("the event", async || events.next().await.unwrap()).await
        {
            break changes;
        }
    };
    assert_eq!(changes, ["network: name two → three"]);
    // One that is wrong is an alarm.
    site.edit("network.toml", &[("asn = 64501", "asn = 0")]);
    node.signal(rustix::process::Signal::HUP);
    let alarm = loop {
        if let Event::Alarm { message } = within("the alarm", async || events.next().await.unwrap()).await {
            break message;
        }
    };
    assert!(alarm.contains("nothing was changed"), "{alarm}");
    assert_eq!(client.node().await.unwrap().network, "three");
    site.restore();
    reload(client).await;
}

fn is_up(device: &str) -> Option<bool> {
    std::thread::scope(|scope| scope.spawn(|| sandbox::is_up(device)).join().unwrap())
}
