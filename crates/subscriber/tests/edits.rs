//! Requests to change the directory, against a plain model; moves; what is stored is what comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::{
    Asn, Binding, BindingKey, Change, Circuit, MacAddr, PortId, PortKind, SubscriberId, Tick, WallTime,
};
use ipnet::IpNet;
use proptest::prelude::*;
use subscriber::{
    Action, Clock, Directory, Edit, Facts, HEADER, Others, Record, ServiceRecord, csv_header, csv_line,
};

const GRACE: Duration = Duration::from_secs(30);
const ALPHA: Asn = Asn(64501);
const BETA: Asn = Asn(64502);

fn facts() -> Facts {
    let mut facts = Facts::new();
    for (id, name) in [(2, "dslam0"), (3, "line1"), (4, "line2")] {
        facts.add_port("head1", name, PortId(id), PortKind::Access);
    }
    facts.add_port("head2", "dslam0", PortId(0), PortKind::Access);
    for (isp, name) in [(ALPHA, "alpha"), (BETA, "beta"), (Asn(64503), "gamma")] {
        facts.add_isp(isp, name);
        for node in ["head1", "head2"] {
            facts.add_pool(node, isp, "100.64.0.0/10".parse().unwrap(), "100.64.0.1".parse().unwrap());
        }
    }
    facts.add_pool("head1", BETA, "10.0.0.0/8".parse().unwrap(), "10.0.0.1".parse().unwrap());
    facts
}

fn at(seconds: u64) -> Clock {
    Clock { tick: Tick(seconds * 1_000_000_000), wall: (1_000_000 + seconds) * 1_000_000_000 }
}

fn edit(action: Action, subscriber: &str, fields: &[(&str, &str)]) -> Edit {
    let mut edit = Edit::new(action, subscriber);
    for (field, value) in fields {
        let place = match *field {
            "isp" => &mut edit.isp,
            "to" => &mut edit.to,
            "port" => &mut edit.port,
            "outer_vlan" => &mut edit.outer_vlan,
            "inner_vlan" => &mut edit.inner_vlan,
            "mac" => &mut edit.mac,
            "plan" => &mut edit.plan,
            "prefixes" => &mut edit.prefixes,
            other => panic!("{other}"),
        };
        *place = Some((*value).to_owned());
    }
    edit
}

fn add(subscriber: &str, port: &str, isp: &str, prefixes: &str) -> Edit {
    edit(Action::Add, subscriber, &[("port", port), ("isp", isp), ("prefixes", prefixes)])
}

/// Does it, and takes the changes over to what a forwarder would hold.
fn perform(
    directory: &mut Directory,
    held: &mut BTreeMap<BindingKey, Binding>,
    edits: &[Edit],
    clock: Clock,
) -> Result<(), Vec<String>> {
    let plan = directory.plan(edits, clock, GRACE);
    let plan = plan.map_err(|errors| {
        errors
            .iter()
            .map(|e| format!("{} {}: {}", e.index, e.problem.field, e.problem.message))
            .collect::<Vec<_>>()
    })?;
    let (changes, unfit) = directory.apply(plan, clock);
    assert!(unfit.is_empty(), "{unfit:?}");
    take(held, changes);
    Ok(())
}

fn take(held: &mut BTreeMap<BindingKey, Binding>, changes: Vec<Change>) {
    for change in changes {
        match change {
            Change::Binding(key, Some(binding)) => drop(held.insert(key, binding)),
            Change::Binding(key, None) => drop(held.remove(&key)),
            other => panic!("{other:?}"),
        }
    }
}

fn bindings(directory: &Directory) -> BTreeMap<BindingKey, Binding> {
    let mut all = BTreeMap::new();
    take(&mut all, directory.bindings().collect());
    all
}

fn records(directory: &Directory, clock: Clock) -> BTreeMap<SubscriberId, Record> {
    let sorted = |mut record: Record| {
        record.services.sort_by_key(|service| (service.isp, service.port.clone(), service.leaving_until));
        record
    };
    let ids: Vec<_> = directory.subscribers().map(|(id, _)| id).collect();
    ids.into_iter().map(|id| (id, sorted(directory.record(id, clock).unwrap()))).collect()
}

#[test]
fn each_way_of_asking_wrongly_has_its_field_its_remedy_and_no_effect() {
    let mut directory = Directory::new("head1", &facts());
    let mut held = BTreeMap::new();
    perform(&mut directory, &mut held, &[add("anna", "line1", "64501", "100.64.0.11")], at(0)).unwrap();
    perform(&mut directory, &mut held, &[add("bert", "line2", "64501", "100.64.0.12")], at(0)).unwrap();
    perform(&mut directory, &mut held, &[add("bert", "line2", "64502", "100.64.0.13")], at(0)).unwrap();
    let before = (records(&directory, at(0)), directory.next_id());
    let cases: &[(Edit, &str)] = &[
        (add("", "line1", "64501", "100.64.0.20"), "subscriber: a subscriber's name has 1 to 128 octets"),
        (add("x y", "line1", "64501", "100.64.0.20"), "subscriber: a subscriber's name has 1 to 128 octets"),
        (add("carl", "", "64501", "100.64.0.20"), "port: `port` is empty"),
        (add("carl", "line9", "64501", "100.64.0.20"), "port: head1 has no port `line9`"),
        (add("carl", "line1", "alpha", "100.64.0.20"), "isp: `alpha` is no AS number"),
        (add("carl", "line1", "64509", "100.64.0.20"), "isp: there is no ISP AS64509"),
        (add("carl", "line1", "64501", "no"), "prefixes: `no` is neither an address nor a prefix"),
        (add("carl", "line1", "64501", ""), "prefixes: a service without a prefix carries nothing"),
        (
            add("carl", "line1", "64501", "100.64.0.11"),
            "prefixes: 100.64.0.11/32 overlaps 100.64.0.11/32, which is anna's",
        ),
        (
            add("carl", "line1", "64502", "100.64.0.11"),
            "prefixes: 100.64.0.11/32 overlaps 100.64.0.11/32, which is anna's with AS64501",
        ),
        (
            add("anna", "line1", "64501", "100.64.0.21"),
            "subscriber: anna has AS64501 on this circuit already",
        ),
        (edit(Action::Add, "carl", &[("to", "1"), ("isp", "1")]), "to: `to` means nothing with add"),
        (edit(Action::Set, "carl", &[("port", "line1")]), "subscriber: there is no subscriber `carl`"),
        (edit(Action::Set, "bert", &[("port", "line1")]), "isp: bert has 2 services: "),
        (
            edit(Action::Set, "bert", &[("isp", "64503"), ("port", "line1")]),
            "isp: bert has no service with AS64503",
        ),
        (edit(Action::Set, "anna", &[("outer_vlan", "4095")]), "outer_vlan: `4095` is no VLAN"),
        (
            edit(Action::Set, "anna", &[("inner_vlan", "7")]),
            "outer_vlan: there is an inner VLAN and no outer one",
        ),
        (
            edit(Action::Set, "anna", &[("mac", "01:00:5e:00:00:01")]),
            "mac: 01:00:5e:00:00:01 is no station's address",
        ),
        (edit(Action::Set, "anna", &[("plan", "a b")]), "plan: a plan's name has 1 to 128 octets"),
        (edit(Action::Move, "anna", &[]), "to: `` is no AS number"),
        (edit(Action::Move, "anna", &[("to", "64501")]), "isp: anna is at AS64501 already"),
        (edit(Action::Move, "anna", &[("to", "64509")]), "isp: there is no ISP AS64509"),
        (
            edit(Action::Move, "anna", &[("to", "64502"), ("port", "line2")]),
            "port: `port` means nothing with move",
        ),
        (edit(Action::Move, "bert", &[("to", "64503")]), "isp: bert has 2 services: "),
        (
            edit(Action::Move, "bert", &[("to", "64502")]),
            "subscriber: bert has AS64502 on this circuit already",
        ),
        (edit(Action::Move, "bert", &[("isp", "64502"), ("to", "64502")]), "isp: bert is at AS64502 already"),
        (edit(Action::Remove, "anna", &[("isp", "64502")]), "isp: anna has no service with AS64502"),
        (edit(Action::Remove, "nobody", &[]), "subscriber: there is no subscriber `nobody`"),
    ];
    for (wrong, message) in cases {
        // Around it, what is right must not happen either.
        let right = add("zoe", "line2", "64503", "100.64.0.99");
        let errors = directory.plan(&[right.clone(), wrong.clone(), right], at(1), GRACE).unwrap_err();
        let found = errors
            .iter()
            .find(|e| format!("{}: {}", e.problem.field, e.problem.message).starts_with(message));
        let found = found.unwrap_or_else(|| panic!("{message}: {errors:#?}"));
        assert_eq!(found.index, 1, "{message}");
        assert!(!found.problem.help.is_empty(), "{message}");
        assert_eq!((records(&directory, at(0)), directory.next_id()), before, "{message}");
        assert_eq!(bindings(&directory), held, "{message}");
    }
}

#[test]
fn two_isps_on_one_line_are_told_apart_by_source() {
    let mut directory = Directory::new("head1", &facts());
    let mut held = BTreeMap::new();
    perform(
        &mut directory,
        &mut held,
        &[add("anna", "line1", "64501", "100.64.0.11"), add("anna", "line1", "64502", "10.0.0.7")],
        at(0),
    )
    .unwrap();
    let line1 = Circuit { port: PortId(3), tags: contract::VlanTags::None };
    let isp = |source: &str| directory.binding(line1, source.parse().unwrap()).map(|bound| bound.isp);
    assert_eq!((isp("100.64.0.11"), isp("10.0.0.7"), isp("10.0.0.8")), (Some(ALPHA), Some(BETA), None));
}

#[test]
fn a_move_is_effective_at_once_and_ends_after_its_grace() {
    let mut directory = Directory::new("head1", &facts());
    let mut held = BTreeMap::new();
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    perform(&mut directory, &mut held, &[add("anna", "line1", "64501", "100.64.0.11")], at(0)).unwrap();
    let anna = directory.id("anna").unwrap();
    let line1 = Circuit { port: PortId(3), tags: contract::VlanTags::None };
    let prefix: IpNet = "100.64.0.11/32".parse().unwrap();
    take(&mut held, directory.learned(line1, prefix, mac));
    let there = |to| edit(Action::Move, "anna", &[("to", to)]);
    perform(&mut directory, &mut held, &[there("64502")], at(10)).unwrap();
    assert_eq!(bindings(&directory), held);
    let binding = |held: &BTreeMap<BindingKey, Binding>, isp| {
        held.iter().find(|(key, _)| key.prefix.isp == isp).map(|(_, binding)| *binding)
    };
    let kept = Binding { subscriber: anna, mac: Some(mac), verify_mac: false, leaving: true };
    assert_eq!(binding(&held, ALPHA), Some(kept), "what comes from alpha still arrives");
    assert_eq!(
        binding(&held, BETA),
        Some(Binding { leaving: false, ..kept }),
        "its station is known at once"
    );
    let bound = directory.binding(line1, prefix.addr()).unwrap();
    assert_eq!((bound.isp, bound.mac), (BETA, Some(mac)));
    assert_eq!(directory.station(line1, mac).map(|service| service.isp), Some(BETA));

    // Nobody else gets the address at alpha meanwhile, and it is said for how long.
    let taken = add("bert", "line2", "64501", "100.64.0.11");
    let refused = perform(&mut directory, &mut held, std::slice::from_ref(&taken), at(15)).unwrap_err();
    assert_eq!(
        refused,
        [
            "0 prefixes: 100.64.0.11/32 overlaps 100.64.0.11/32, which anna is leaving at AS64501 for 26 s more"
        ]
    );

    // What is learned meanwhile holds at both; there and back again works.
    let other = MacAddr([2, 0, 0, 0, 0, 2]);
    take(&mut held, directory.learned(line1, prefix, other));
    assert_eq!(bindings(&directory), held);
    perform(&mut directory, &mut held, &[there("64501")], at(20)).unwrap();
    perform(&mut directory, &mut held, &[there("64503")], at(21)).unwrap();
    perform(&mut directory, &mut held, &[there("64502")], at(22)).unwrap();
    assert_eq!(bindings(&directory), held);
    assert_eq!(held.values().filter(|binding| binding.leaving).count(), 2, "{held:?}");
    assert!(held.values().all(|binding| binding.mac == Some(other)));

    // A restart in the middle: what is leaving goes on leaving, until it would have ended.
    let stored = directory.record(anna, at(22)).unwrap();
    let mut again = Directory::new("head1", &facts());
    let restarted = Clock { tick: Tick(5_000_000_000), wall: at(30).wall };
    again.load(anna, stored.clone(), restarted).unwrap();
    assert_eq!(bindings(&again).keys().collect::<Vec<_>>(), held.keys().collect::<Vec<_>>());
    assert_eq!(again.next_end(), Some(Tick(5_000_000_000 + 21_000_000_000)));
    let mut later = Directory::new("head1", &facts());
    later.load(anna, stored, Clock { wall: at(60).wall, ..restarted }).unwrap();
    assert_eq!(later.bindings().count(), 1, "its time is over");

    assert_eq!(directory.next_end(), Some(at(51).tick));
    assert!(directory.expire(at(50).tick, 100).is_empty());
    take(&mut held, directory.expire(at(60).tick, 100));
    assert_eq!(held.keys().map(|key| key.prefix.isp).collect::<Vec<_>>(), [BETA]);
    assert_eq!(bindings(&directory), held);
    perform(&mut directory, &mut held, &[taken], at(61)).unwrap();
}

#[test]
fn a_move_takes_the_addresses_along_only_where_they_fit() {
    let mut directory = Directory::new("head1", &facts());
    let mut held = BTreeMap::new();
    perform(&mut directory, &mut held, &[add("anna", "line1", "64502", "10.0.0.7")], at(0)).unwrap();
    let refused =
        directory.plan(&[edit(Action::Move, "anna", &[("to", "64501")])], at(1), GRACE).unwrap_err();
    assert_eq!(
        (refused[0].problem.message.as_str(), refused[0].problem.help.as_str()),
        (
            "10.0.0.7/32 cannot be taken along: it is in no pool of AS64501 on head1",
            "give `prefixes` of the new ISP: its pools here are 100.64.0.0/10"
        )
    );
    let with = edit(Action::Move, "anna", &[("to", "64501"), ("prefixes", "100.64.0.7"), ("plan", "gold")]);
    perform(&mut directory, &mut held, &[with], at(1)).unwrap();
    let plans: Vec<_> =
        directory.services().map(|service| (service.isp, service.plan, service.leaving.is_some())).collect();
    assert!(
        plans.contains(&(ALPHA, Some("gold"), false)) && plans.contains(&(BETA, None, true)),
        "{plans:?}"
    );
}

#[test]
fn subscribers_swap_addresses_in_one_request() {
    let mut directory = Directory::new("head1", &facts());
    let mut held = BTreeMap::new();
    let both = [add("anna", "line1", "64501", "100.64.0.11"), add("bert", "line2", "64501", "100.64.0.12")];
    perform(&mut directory, &mut held, &both, at(0)).unwrap();
    let set = |who, prefixes| edit(Action::Set, who, &[("prefixes", prefixes)]);
    let swap = [set("anna", "100.64.0.13"), set("bert", "100.64.0.11"), set("anna", "100.64.0.12")];
    perform(&mut directory, &mut held, &swap, at(1)).unwrap();
    assert_eq!(bindings(&directory), held);
    assert_eq!(
        directory.locate(ALPHA, "100.64.0.12".parse().unwrap()).unwrap().subscriber,
        directory.id("anna").unwrap()
    );
}

#[test]
fn a_record_that_does_not_fit_the_network_file_is_kept_and_can_be_mended() {
    let mut directory = Directory::new("head1", &facts());
    let mut held = BTreeMap::new();
    perform(&mut directory, &mut held, &[add("anna", "line1", "64501", "100.64.0.11")], at(0)).unwrap();
    let record = directory.record(SubscriberId(0), at(0)).unwrap();
    let mut fewer = Facts::new();
    fewer.add_port("head1", "line2", PortId(0), PortKind::Access);
    fewer.add_isp(ALPHA, "alpha");
    fewer.add_pool("head1", ALPHA, "100.64.0.0/10".parse().unwrap(), "100.64.0.1".parse().unwrap());
    let mut directory = Directory::new("head1", &fewer);
    directory.load(SubscriberId(0), record, at(0)).unwrap_err();
    assert_eq!((directory.unfit().collect::<Vec<_>>(), directory.bindings().count()), (vec!["anna"], 0));
    let mut held = BTreeMap::new();
    let set = edit(Action::Set, "anna", &[("port", "line2")]);
    let plan = directory.plan(std::slice::from_ref(&set), at(1), GRACE).unwrap();
    assert_eq!(plan.writes[0].0, SubscriberId(0));
    assert_eq!(directory.unfit().len(), 1, "only tried");
    perform(&mut directory, &mut held, &[set], at(1)).unwrap();
    assert_eq!((directory.unfit().len(), held.len(), directory.name(SubscriberId(0))), (0, 1, Some("anna")));
}

/// The node's two lines, and alpha with this pool.
fn alphas(pool: &str, gateway: &str) -> Facts {
    let mut facts = Facts::new();
    for (number, line) in ["line1", "line2"].into_iter().enumerate() {
        facts.add_port("head1", line, PortId(number as u16), PortKind::Access);
    }
    facts.add_isp(ALPHA, "alpha");
    facts.add_pool("head1", ALPHA, pool.parse().unwrap(), gateway.parse().unwrap());
    facts
}

#[test]
fn another_network_suits_the_directory_if_and_only_if_each_record_fits_it() {
    let mut directory = Directory::new("head1", &alphas("100.64.0.0/24", "100.64.0.1"));
    let mut held = BTreeMap::new();
    perform(&mut directory, &mut held, &[add("anna", "line1", "64501", "100.64.0.127")], at(0)).unwrap();
    let mut moved = Facts::new();
    moved.add_port("head1", "line2", PortId(1), PortKind::Access);
    moved.add_port("head1", "line1", PortId(0), PortKind::Handoff);
    moved.add_isp(ALPHA, "alpha");
    moved.add_pool("head1", ALPHA, "100.64.0.0/24".parse().unwrap(), "100.64.0.1".parse().unwrap());
    let mut others = alphas("100.64.0.0/24", "100.64.0.1");
    others.add_pool("head1", BETA, "100.64.0.0/24".parse().unwrap(), "100.64.0.1".parse().unwrap());
    let mut no_isp = Facts::new();
    no_isp.add_port("head1", "line1", PortId(0), PortKind::Access);
    let rows: &[(&str, Facts)] = &[
        ("", alphas("100.64.0.0/24", "100.64.0.1")),
        ("", alphas("100.64.0.0/24", "100.64.0.254")),
        ("", alphas("100.64.0.0/10", "100.64.0.1")),
        ("", others),
        ("the access port line1", moved),
        ("the ISP alpha", no_isp),
        ("addresses outside", alphas("100.64.1.0/24", "100.64.1.1")),
        ("a gateway's", alphas("100.64.0.0/24", "100.64.0.127")),
        ("the first or last", alphas("100.64.0.0/25", "100.64.0.1")),
    ];
    let record = directory.record(SubscriberId(0), at(0)).unwrap();
    for (expected, facts) in rows {
        let misfits = directory.misfits(facts).join("\n");
        let loaded = Directory::new("head1", facts).load(SubscriberId(0), record.clone(), at(0));
        assert_eq!(misfits.is_empty(), loaded.is_ok(), "{expected}: {misfits} {loaded:?}");
        assert_eq!(misfits.is_empty(), expected.is_empty(), "{misfits}");
        assert!(misfits.contains(expected), "{expected}: {misfits}");
    }
}

#[test]
fn who_did_not_fit_is_there_again_once_the_network_has_room() {
    let full = alphas("100.64.0.0/24", "100.64.0.1");
    let mut directory = Directory::new("head1", &full);
    let mut held = BTreeMap::new();
    let both = [add("anna", "line1", "64501", "100.64.0.200"), add("bert", "line2", "64501", "100.64.0.12")];
    perform(&mut directory, &mut held, &both, at(0)).unwrap();
    let stored = records(&directory, at(0));
    let less = alphas("100.64.0.0/25", "100.64.0.1");
    let mut directory = Directory::new("head1", &less);
    let fit = stored.into_iter().map(|(id, record)| directory.load(id, record, at(0)).is_ok());
    assert_eq!(fit.collect::<Vec<_>>(), [false, true]);
    let mut held = bindings(&directory);
    take(&mut held, directory.refit(&less, at(1)));
    assert_eq!((held.len(), directory.unfit().collect::<Vec<_>>()), (1, vec!["anna"]));
    take(&mut held, directory.refit(&full, at(2)));
    assert_eq!((held.len(), directory.unfit().len()), (2, 0));
    assert_eq!(bindings(&directory), held);
    assert_eq!(directory.id("anna"), Some(SubscriberId(0)));
}

#[test]
fn what_is_leaving_and_fits_no_more_takes_nothing_with_it() {
    let mut directory = Directory::new("head1", &facts());
    let mut held = BTreeMap::new();
    perform(&mut directory, &mut held, &[add("anna", "line1", "64501", "100.64.0.11")], at(0)).unwrap();
    let record = directory.record(SubscriberId(0), at(0)).unwrap();
    let leaving = ServiceRecord { leaving_until: Some(WallTime(u64::MAX)), ..record.services[0].clone() };
    let gone = ServiceRecord { port: "line9".into(), ..leaving.clone() };
    let with = |services| Record { services, ..record.clone() };
    let mut directory = Directory::new("head1", &facts());
    directory.load(SubscriberId(0), with(vec![record.services[0].clone(), gone.clone()]), at(0)).unwrap();
    assert_eq!((directory.unfit().len(), bindings(&directory)), (0, held));
    // Where nothing stays, nothing fits.
    let mut directory = Directory::new("head1", &facts());
    directory.load(SubscriberId(0), with(vec![gone]), at(0)).unwrap_err();
    assert_eq!(directory.unfit().len(), 1);
}

fn import(directory: &mut Directory, text: &str, others: Others) -> Result<(u64, u64, usize, usize), u64> {
    let done = directory.import(text, others, &facts(), at(5), &mut |_| {});
    done.map(|d| (d.rows, d.skipped, d.touched.len(), d.removed.len())).map_err(|errors| errors.count)
}

fn export(directory: &Directory) -> String {
    let mut lines = Vec::new();
    for (_, record) in records(directory, at(5)) {
        let current = record.services.iter().filter(|service| service.leaving_until.is_none());
        lines.extend(current.map(|service| csv_line("head1", &record.name, service)));
    }
    lines.sort();
    csv_header() + &lines.concat()
}

#[test]
fn an_import_is_whole_and_what_is_exported_comes_back() {
    let mut directory = Directory::new("head1", &facts());
    let header = HEADER.join(",");
    let text = format!(
        "{header},plan\nanna,head1,line1,,,,64501,100.64.0.11,gold\n\"#b,\"\"e\",head1,line2,7,,02:00:00:00:00:01,64501,100.64.0.12 100.64.1.0/24,\n\
         else,head2,dslam0,,,,64501,100.64.0.11,\n"
    );
    assert_eq!(import(&mut directory, &text, Others::Stay), Ok((2, 1, 2, 0)));
    let exported = export(&directory);
    assert!(
        exported.contains("\"#b,\"\"e\",head1,line2,7,,02:00:00:00:00:01,64501,100.64.0.12 100.64.1.0/24,\n"),
        "{exported}"
    );
    let mut again = Directory::new("head1", &facts());
    import(&mut again, &exported, Others::Go).unwrap();
    assert_eq!(export(&again), exported);

    // Two swap addresses, whatever the order of rows; numbers stay; who is not named stays or goes.
    let ids: Vec<_> = directory.subscribers().map(|(id, name)| (id, name.to_owned())).collect();
    let swap = format!(
        "{header}\n\"#b,\"\"e\",head1,line2,,,,64501,100.64.0.11\nanna,head1,line1,,,,64501,100.64.0.12\n"
    );
    assert_eq!(import(&mut directory, &swap, Others::Stay), Ok((2, 0, 2, 0)));
    assert_eq!(directory.subscribers().map(|(id, name)| (id, name.to_owned())).collect::<Vec<_>>(), ids);
    let carl = format!("{header}\ncarl,head1,dslam0,,,,64503,100.64.0.9\n");
    assert_eq!(import(&mut directory, &carl, Others::Stay), Ok((1, 0, 1, 0)));
    assert_eq!(directory.subscriber_count(), 3);
    assert_eq!(import(&mut directory, &carl, Others::Go), Ok((1, 0, 1, 2)));
    assert_eq!(directory.subscribers().map(|(_, name)| name).collect::<Vec<_>>(), ["carl"]);

    // Every wrong row is counted, the first are told with their lines.
    let wrong: String =
        (0..300).map(|n| format!("s{n},head1,line9,,,,64501,100.64.3.{}\n", n % 256)).collect();
    let mut other = Directory::new("head1", &facts());
    let errors =
        other.import(&format!("{header}\n{wrong}"), Others::Stay, &facts(), at(0), &mut |_| {}).unwrap_err();
    assert_eq!(
        (errors.count, errors.errors.len(), errors.errors[0].line),
        (300, subscriber::IMPORT_ERRORS, 2)
    );
}

/// Random requests on few names, lines and addresses, so that most are in each other's way.
fn any_edit() -> impl Strategy<Value = Edit> {
    let names = prop::sample::select(vec!["anna", "bert", "carl", "x y"]);
    let ports = prop::option::weighted(0.8, prop::sample::select(vec!["line1", "line2", "line9"]));
    let isps = prop::option::weighted(0.8, prop::sample::select(vec!["64501", "64502", "AS64503", "9"]));
    let prefixes = prop::sample::select(vec![
        "100.64.0.8",
        "100.64.0.9",
        "100.64.0.8/31",
        "100.64.0.8 100.64.0.9",
        "10.0.0.9",
        "x",
    ]);
    let vlans = prop::option::weighted(0.3, prop::sample::select(vec!["5", "", "0"]));
    let macs = prop::option::weighted(0.3, prop::sample::select(vec!["02:00:00:00:00:01", ""]));
    let to = prop::sample::select(vec!["64501", "64502", "64503"]);
    let action = 0..10u8;
    (action, names, ports, isps, prop::option::weighted(0.7, prefixes), vlans, macs, to).prop_map(
        |(action, name, port, isp, prefixes, vlan, mac, to)| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            match action {
                0..4 => Edit {
                    isp: owned(isp),
                    port: owned(port),
                    outer_vlan: owned(vlan),
                    mac: owned(mac),
                    prefixes: owned(prefixes),
                    ..Edit::new(Action::Add, name)
                },
                4..6 => Edit {
                    port: owned(port),
                    mac: owned(mac),
                    prefixes: owned(prefixes),
                    ..Edit::new(Action::Set, name)
                },
                6..9 => Edit { to: Some(to.to_owned()), ..Edit::new(Action::Move, name) },
                _ => Edit::new(Action::Remove, name),
            }
        },
    )
}

/// Whether two bindings may stand beside each other, by the rule of the forwarder.
fn agree(one: (&BindingKey, &Binding), two: (&BindingKey, &Binding)) -> bool {
    let (a, b) = (one.0.prefix.prefix, two.0.prefix.prefix);
    let overlap = a.contains(&b) || b.contains(&a);
    let same_subscriber = one.1.subscriber == two.1.subscriber;
    let same_circuit = one.0.circuit == two.0.circuit;
    let same_isp = one.0.prefix.isp == two.0.prefix.isp;
    let leaving = one.1.leaving || two.1.leaving;
    match (overlap, same_circuit, same_isp) {
        (false, ..) | (_, false, false) => true,
        (_, true, false) => same_subscriber && leaving,
        (_, _, true) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..Default::default() })]

    /// Whatever is asked: a request is done whole or not at all; what the forwarder is told adds up to what the directory
    /// says, and never contradicts itself; what is stored comes back as the same directory; indices stay right.
    #[test]
    fn the_directory_is_what_was_stored(
        requests in prop::collection::vec((prop::collection::vec(any_edit(), 1..4), 0u64..20, any::<bool>()), 1..25),
    ) {
        let mut directory = Directory::new("head1", &facts());
        let mut held = BTreeMap::new();
        let mut stored = BTreeMap::<SubscriberId, Record>::new();
        let mut now = 0;
        for (edits, pause, learns) in requests {
            now += pause;
            take(&mut held, directory.expire(at(now).tick, usize::MAX));
            if learns {
                let line1 = Circuit { port: PortId(3), tags: contract::VlanTags::None };
                let mac = MacAddr([2, 0, 0, 0, 1, now as u8]);
                take(&mut held, directory.learned(line1, "100.64.0.8/32".parse().unwrap(), mac));
            }
            let before = (records(&directory, at(now)), bindings(&directory), directory.next_id());
            prop_assert_eq!(&before.1, &held);
            match directory.plan(&edits, at(now), GRACE) {
                Err(errors) => prop_assert!(errors.iter().all(|e| !e.problem.help.is_empty())),
                Ok(plan) => {
                    let after = (records(&directory, at(now)), bindings(&directory), directory.next_id());
                    prop_assert_eq!(&before, &after, "planning changes nothing");
                    for (id, record) in plan.writes.clone() {
                        match record {
                            Some(record) => drop(stored.insert(id, record)),
                            None => drop(stored.remove(&id)),
                        }
                    }
                    let (changes, unfit) = directory.apply(plan, at(now));
                    prop_assert!(unfit.is_empty(), "{unfit:?}");
                    take(&mut held, changes);
                }
            }
            let after = (records(&directory, at(now)), bindings(&directory), directory.next_id());
            prop_assert_eq!(&after.1, &held);
            for one in &held {
                for two in held.range(one.0..).skip(1) {
                    prop_assert!(agree(one, two), "{one:?} {two:?}");
                }
            }
            // Each name is unique, and each is found.
            for (id, name) in directory.subscribers() {
                prop_assert_eq!(directory.id(name), Some(id));
            }
            let mut again = Directory::new("head1", &facts());
            for (id, record) in &stored {
                again.load(*id, record.clone(), at(now)).unwrap();
            }
            prop_assert_eq!(bindings(&again).into_keys().collect::<Vec<_>>(), held.keys().copied().collect::<Vec<_>>());
            prop_assert_eq!(records(&again, at(now)), after.0);
        }
    }
}
