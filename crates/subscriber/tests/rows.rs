//! Files of subscribers: what is read, and what is said of wrong ones.

use contract::{Asn, PortId, PortKind, VlanTags};
use subscriber::{Directory, Facts, HEADER, RowError, Summary, check, parse_csv};

fn facts() -> Facts {
    let mut facts = Facts::new();
    facts.add_isp(Asn(64501), "alpha");
    facts.add_isp(Asn(64502), "beta");
    facts.add_isp(Asn(64503), "gamma");
    for node in ["head1", "head2"] {
        facts.add_port(node, "bb0", PortId(0), PortKind::Backbone);
        facts.add_port(node, "dslam0", PortId(1), PortKind::Access);
        facts.add_port(node, "line1", PortId(2), PortKind::Access);
    }
    facts.add_port("tail1", "isp0", PortId(0), PortKind::Handoff);
    for isp in [64501, 64502] {
        let mut pool = |node, prefix: &str, gateway: &str| {
            facts.add_pool(node, Asn(isp), prefix.parse().unwrap(), gateway.parse().unwrap());
        };
        pool("head1", "100.64.0.0/24", "100.64.0.1");
        pool("head1", "2001:db8:a::/48", "2001:db8:a::1");
        pool("head2", "100.65.0.0/24", "100.65.0.1");
    }
    facts
}

/// A file of these rows.
fn file(rows: &[&str]) -> String {
    format!("{}\n{}\n", HEADER.join(","), rows.join("\n"))
}

/// The errors of a file of these rows, each with the text that it points at.
fn errors(rows: &[&str]) -> Vec<(RowError, String)> {
    let text = file(rows);
    let errors = check(&text, &facts()).err().unwrap_or_default();
    errors.into_iter().map(|error| (error.clone(), text[error.span.clone()].to_owned())).collect()
}

/// The one error of a row: what it says, what it points at, what it advises.
fn error(row: &str) -> (String, String, String) {
    match errors(&[row]).as_slice() {
        [(error, at)] => {
            assert_eq!(error.line, 2);
            assert_eq!(error.column, row.find(at.as_str()).unwrap() + 1, "{error} points elsewhere");
            (error.message.clone(), at.clone(), error.help.clone())
        }
        other => panic!("{row}: {other:?}"),
    }
}

#[test]
fn rows_are_read_in_any_order_of_columns_with_comments_quotes_and_carriage_returns() {
    let text = "isp,prefixes,subscriber,node,port,mac,inner_vlan,outer_vlan\r\n\
                # a comment, with a comma\r\n\
                AS64501,\"100.64.0.11 2001:db8:a:11::/64\",anna,head1,dslam0,02-00-5E-10-00-01,200,100\r\n\
                \r\n\
                64502, 100.64.0.12 , bert ,head1,dslam0,,,\r\n";
    let rows = parse_csv(text).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].subscriber.as_str(), rows[0].service.isp), ("anna", Asn(64501)));
    assert_eq!(rows[0].service.mac.unwrap().to_string(), "02:00:5e:10:00:01");
    assert_eq!(rows[0].service.tags.to_string(), "100.200");
    assert_eq!(
        rows[0].service.prefixes.iter().map(|p| p.to_string()).collect::<Vec<_>>(),
        ["100.64.0.11/32", "2001:db8:a:11::/64"]
    );
    assert_eq!(
        (rows[1].subscriber.as_str(), rows[1].service.tags, rows[1].service.mac),
        ("bert", VlanTags::None, None)
    );
    assert_eq!(check(text, &facts()), Ok(Summary { subscribers: 2, services: 2, prefixes: 3 }));
}

#[test]
fn the_examples_are_right() {
    for text in [
        include_str!("../../../examples/lab-subscribers.csv"),
        include_str!("../../../examples/three-machines-subscribers.csv"),
    ] {
        assert!(parse_csv(text).unwrap().len() >= 4);
    }
    let reference = include_str!("../../../docs/network-file.md");
    let example = reference.split("```csv\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(parse_csv(example).unwrap().len(), 3);
}

#[test]
fn a_wrong_header_is_said_once() {
    let text = "subscriber,node,port,outer_vlan,inner_vlan,mac,provider,prefixes\nx\ny\n";
    let [error] = parse_csv(text).unwrap_err().try_into().unwrap();
    assert_eq!(&text[error.span.clone()], "provider");
    assert_eq!(error.to_string(), "line 1, column 48: `provider` is no column of a file of subscribers");
    for (text, message) in [
        ("", "the file has no header"),
        ("# nothing\n", "the file has no header"),
        ("subscriber,node,port\n", "the header lacks outer_vlan, inner_vlan, mac, isp, prefixes"),
        (
            "subscriber,subscriber,node,port,outer_vlan,inner_vlan,mac,isp,prefixes\n",
            "the column `subscriber` is there twice",
        ),
    ] {
        assert_eq!(parse_csv(text).unwrap_err()[0].message, message);
    }
}

#[test]
fn each_mistake_in_a_row_has_its_message_and_its_place() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "anna,head1,dslam0,,,64501,100.64.0.11",
            "this row has 7 fields, the header 8",
            "anna,head1,dslam0,,,64501,100.64.0.11",
        ),
        (
            ",head1,dslam0,,,,64501,100.64.0.11",
            "a subscriber's name has 1 to 128 octets and no white space",
            "",
        ),
        (
            "anna b,head1,dslam0,,,,64501,100.64.0.11",
            "a subscriber's name has 1 to 128 octets and no white space",
            "anna b",
        ),
        ("anna,head9,dslam0,,,,64501,100.64.0.11", "there is no node `head9`", "head9"),
        ("anna,head1,dslam9,,,,64501,100.64.0.11", "head1 has no port `dslam9`", "dslam9"),
        ("anna,head1,bb0,,,,64501,100.64.0.11", "port bb0 of head1 is a backbone port", "bb0"),
        ("anna,tail1,isp0,,,,64501,100.64.0.11", "AS64501 (alpha) has no pools on tail1", "64501"),
        ("anna,head1,dslam0,4095,,,64501,100.64.0.11", "`4095` is no VLAN", "4095"),
        ("anna,head1,dslam0,,7,,64501,100.64.0.11", "there is an inner VLAN and no outer one", ""),
        ("anna,head1,dslam0,,,02:00,64501,100.64.0.11", "`02:00` is no Ethernet address", "02:00"),
        (
            "anna,head1,dslam0,,,01:00:5e:00:00:01,64501,100.64.0.11",
            "01:00:5e:00:00:01 is no station's address",
            "01:00:5e:00:00:01",
        ),
        ("anna,head1,dslam0,,,,alpha,100.64.0.11", "`alpha` is no AS number", "alpha"),
        ("anna,head1,dslam0,,,,64509,100.64.0.11", "there is no ISP AS64509", "64509"),
        ("anna,head1,dslam0,,,,64503,100.64.0.11", "AS64503 (gamma) has no pools on head1", "64503"),
        ("anna,head1,dslam0,,,,64501,", "a service without a prefix carries nothing", ""),
        (
            "anna,head1,dslam0,,,,64501,100.64.0.256",
            "`100.64.0.256` is neither an address nor a prefix",
            "100.64.0.256",
        ),
        ("anna,head1,dslam0,,,,64501,100.64.0.11/28", "100.64.0.11/28 has host bits", "100.64.0.11/28"),
        (
            "anna,head1,dslam0,,,,64501,100.65.0.11",
            "100.65.0.11/32 is in no pool of AS64501 on head1",
            "100.65.0.11",
        ),
        (
            "anna,head1,dslam0,,,,64501,100.64.0.0/28",
            "100.64.0.0/28 holds the gateway's address 100.64.0.1",
            "100.64.0.0/28",
        ),
        (
            "anna,head1,dslam0,,,,64501,100.64.0.255",
            "100.64.0.255 is the network or broadcast address of 100.64.0.0/24",
            "100.64.0.255",
        ),
        (
            "anna,head1,dslam0,,,,64501,100.64.0.16/28 100.64.0.17",
            "100.64.0.16/28 and 100.64.0.17/32 overlap",
            "100.64.0.16/28 100.64.0.17",
        ),
    ];
    for (row, message, at) in cases {
        let errors = errors(&[row]);
        let found = errors.iter().find(|(error, _)| error.message == *message);
        let (error, place) = found.unwrap_or_else(|| panic!("{row}: {errors:?}"));
        assert_eq!(place, at, "{row}");
        assert_eq!(error.line, 2);
        assert!(!error.help.is_empty());
    }
    let (_, _, help) = error("anna,head1,dslam0,,,,64501,100.65.0.11");
    assert_eq!(help, "its pools here are 100.64.0.0/24, 2001:db8:a::/48");
    let (_, _, help) = error("anna,head1,bb0,,,,64501,100.64.0.11");
    assert_eq!(help, "the access ports of head1 are dslam0, line1");
}

#[test]
fn rows_in_each_other_s_way_are_both_pointed_at() {
    let anna = "anna,head1,dslam0,,,02:00:00:00:00:01,64501,100.64.0.16/28";
    let cases: &[(&str, &str, &str)] = &[
        (
            "bert,head1,line1,,,,64501,100.64.0.20",
            "100.64.0.20/32 overlaps 100.64.0.16/28, which is anna's with the same ISP",
            "100.64.0.16/28",
        ),
        ("bert,head1,line1,,,,64501,100.64.0.16/27", "100.64.0.16/27 has host bits", ""),
        (
            "bert,head1,dslam0,,,,64502,100.64.0.20",
            "100.64.0.20/32 overlaps 100.64.0.16/28, which is anna's with AS64501 on the same circuit",
            "100.64.0.16/28",
        ),
        (
            "bert,head1,dslam0,,,02:00:00:00:00:01,64501,100.64.0.9",
            "02:00:00:00:00:01 is anna's on the same circuit",
            "02:00:00:00:00:01",
        ),
        ("anna,head1,dslam0,,,,64501,100.64.0.9", "anna has AS64501 on this circuit already", "anna"),
    ];
    for (row, message, other) in cases {
        let text = file(&[anna, row]);
        let [error] =
            check(&text, &facts()).unwrap_err().try_into().unwrap_or_else(|e| panic!("{row}: {e:?}"));
        assert_eq!((error.line, error.message.as_str()), (3, *message));
        let pointed = error.other.map_or("", |(span, _)| &text[span]);
        assert_eq!(pointed, *other);
    }
    // None of these is in anybody's way.
    for row in [
        "bert,head1,line1,,,,64502,100.64.0.20",
        "bert,head1,dslam0,100,,02:00:00:00:00:01,64502,100.64.0.20",
        "anna,head1,dslam0,,,02:00:00:00:00:01,64502,100.64.0.9",
        "bert,head2,dslam0,,,02:00:00:00:00:01,64501,100.65.0.20",
    ] {
        assert!(check(&file(&[anna, row]), &facts()).is_ok(), "{row}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_reported_in_the_order_of_lines() {
    let errors = errors(&[
        "anna,head1,dslam0,,,,64501,100.64.0.11",
        "bert,head9,dslam0,,,,64501,100.64.0.12",
        "carl,head1,dslam9,9999,,x,64501,100.64.0.13",
        "dora,head1,line1,,,,64501,100.64.0.11 100.64.0.1",
    ]);
    let lines: Vec<_> = errors.iter().map(|(error, _)| (error.line, error.field.unwrap())).collect();
    assert_eq!(lines, [(3, "node"), (4, "outer_vlan"), (4, "mac"), (5, "prefixes"), (5, "prefixes")]);
    // Comments, empty lines and carriage returns before a row are not part of it.
    let text = format!(
        "# one\r\n{}\r\n\r\n# two, with \"quotes\r\n#\r\ncarl,head1,dslam9,,,,64501,\"100.64.0.13\"\r\n\
         # three\r\n  dora,head1,dslam0,,,,64501,\"100.64.0.1\"\r\n",
        HEADER.join(",")
    );
    let errors = check(&text, &facts()).unwrap_err();
    let places: Vec<_> = errors.iter().map(|e| (e.line, e.column, &text[e.span.clone()])).collect();
    assert_eq!(places, [(6, 12, "dslam9"), (8, 30, "\"100.64.0.1\"")]);

    // A node takes nobody from a file that is wrong for another node.
    assert!(Directory::read("head2", &file(&["bert,head1,dslam9,,,,64501,100.64.0.12"]), &facts()).is_err());
}
