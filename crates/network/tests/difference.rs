//! What an operator is told of the difference between two files, and what a running node does not take over.

use network::{Difference, Network};

const LAB: &str = include_str!("../../../examples/lab.toml");

fn network(text: &str) -> Network {
    Network::parse("lab.toml", text).unwrap_or_else(|report| panic!("{}", report.render(false)))
}

/// The lab's file with changes: each `from` must be there, and its first place is changed.
fn changed(changes: &[(&str, &str)]) -> Network {
    let mut text = LAB.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from:?} is not in the example");
        text = text.replacen(from, to, 1);
    }
    network(&text)
}

fn lines(difference: &Difference) -> Vec<String> {
    assert!(difference.obstacles.is_empty(), "{:?}", difference.obstacles);
    difference.items.iter().map(ToString::to_string).collect()
}

/// The lines of a change as `node` sees them.
fn said(node: &str, changes: &[(&str, &str)]) -> Vec<String> {
    lines(&Difference::new(&network(LAB), &changed(changes), node))
}

/// A node, changes, and the lines that it sees.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

const BETA_HANDOFF: &str = "  port = \"beta0\"\n  fec = \"10.254.1.3\"\n";
const GAMMA: &str = r#"
[[isp]]
asn = 64503
name = "gamma"
  [[isp.handoff]]
  node = "tail1"
  port = "alpha0"
  vlan = 7
  fec = "10.254.1.7"
  ipv4 = { address = "192.0.2.1/30", next_hop = "192.0.2.2" }
  [[isp.headend]]
  node = "head1"
  return_address = "10.254.2.7"
    [[isp.headend.pool]]
    prefix = "100.64.0.0/24"
    gateway = "100.64.0.1"
"#;

#[test]
fn nothing_is_different_in_the_same_file_or_in_another_order() {
    assert!(Difference::new(&network(LAB), &network(LAB), "head1").is_empty());
    let swapped = LAB
        .replace("\"tail0\"        # to tail1", "\"x\"")
        .replace("\"tail1\"        # to tail2", "\"tail0\"");
    let swapped = swapped.replace("\"x\"", "\"tail1\"");
    assert_ne!(LAB, swapped);
    assert!(Difference::new(&network(LAB), &network(&swapped), "transit1").is_empty());
}

#[test]
fn each_change_is_a_line() {
    let rows: &[Row<'_>] = &[
        (
            "head1",
            &[("lsp_mtu = 1500", "lsp_mtu = 1400\nmove_grace = 60"), ("ttl = \"pipe\"", "ttl = \"uniform\"")],
            &["network: ttl pipe → uniform, lsp_mtu 1500 → 1400, move_grace 30 s → 60 s"],
        ),
        (
            "head1",
            &[("[network]\n", "[ldp]\nkeepalive = 60\nneighbors = \"named\"\n[network]\n")],
            &["ldp: keepalive none → 60 s, neighbors any → named"],
        ),
        (
            "head1",
            &[(
                "name = \"line2\"\n  kind = \"access\"",
                "name = \"line2\"\n  kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.9.9.9\"\n  \
                 accept = [\"10.0.0.0/8\"]\n  shut = true",
            )],
            &["LDP neighbor 10.9.9.9 added (accept 10.0.0.0/8, shut true)"],
        ),
        (
            "head1",
            &[
                (
                    "[network]\n",
                    "[ldp]\ntargeted_hello_hold = 90\nsession_protection = 600\nmax_pdu_length = 1400\n[network]\n",
                ),
                (
                    "name = \"line2\"\n  kind = \"access\"",
                    "name = \"line2\"\n  kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.9.9.9\"\n  \
                     targeted = \"answer\"\n  transport_address = \"10.9.9.8\"\n  session_protection = \"off\"",
                ),
            ],
            &[
                "ldp: targeted_hello_hold none → 90 s, session_protection off → 600 s, max_pdu_length none → 1400",
                "LDP neighbor 10.9.9.9 added (targeted answer, transport_address 10.9.9.8, session_protection off)",
            ],
        ),
        (
            "head1",
            &[("subscribers = \"lab-subscribers.csv\"\n", "")],
            &["network: subscribers lab-subscribers.csv → none"],
        ),
        (
            "head1",
            &[("name = \"line2\"\n  kind = \"access\"", "name = \"line3\"\n  kind = \"handoff\"")],
            &["port line3 added (handoff)", "port line2 removed"],
        ),
        // Another node's ports are its own.
        (
            "tail1",
            &[("name = \"line2\"\n  kind = \"access\"", "name = \"line3\"\n  kind = \"handoff\"")],
            &[],
        ),
        (
            "head1",
            &[("name = \"line2\"\n  kind = \"access\"", "name = \"line2\"\n  kind = \"handoff\"")],
            &["port line2 kind access → handoff"],
        ),
        (
            "tail2",
            &[(BETA_HANDOFF, &format!("{BETA_HANDOFF}  preference = 50\n"))],
            &["isp beta: handoff tail2/beta0 preference 100 → 50"],
        ),
        (
            "head1",
            &[
                ("192.0.2.10\"", "192.0.2.11\""),
                ("192.0.2.9/30", "192.0.2.9/29"),
                ("10.254.1.3", "10.254.1.4"),
            ],
            &[
                "isp beta: handoff tail2/beta0 fec 10.254.1.3 → 10.254.1.4, ipv4 192.0.2.9/30 via 192.0.2.10 → 192.0.2.9/29 \
               via 192.0.2.11",
            ],
        ),
        (
            "tail2",
            &[(BETA_HANDOFF, &BETA_HANDOFF.replace("\"beta0\"\n", "\"beta0\"\n  vlan = 9\n"))],
            &[
                "isp beta: handoff tail2/beta0.9 added (FEC 10.254.1.3, preference 100)",
                "isp beta: handoff tail2/beta0 removed",
            ],
        ),
        (
            "head1",
            &[("10.254.2.2", "10.254.2.9")],
            &["isp beta: headend head1 return_address 10.254.2.2 → 10.254.2.9"],
        ),
        (
            "head1",
            &[
                (
                    "prefix = \"100.64.0.0/24\"      # the same addresses as alpha's\n    gateway = \"100.64.0.1\"",
                    "prefix = \"100.64.0.0/23\"\n    gateway = \"100.64.0.1\"",
                ),
                ("gateway = \"2001:db8:b::1\"", "gateway = \"2001:db8:b::2\""),
            ],
            &[
                "isp beta: ICMP source of head1 ipv6 2001:db8:b::1 → 2001:db8:b::2",
                "isp beta: pool 100.64.0.0/23 at head1 added (gateway 100.64.0.1)",
                "isp beta: pool 2001:db8:b::/48 at head1 gateway 2001:db8:b::1 → 2001:db8:b::2",
                "isp beta: pool 100.64.0.0/24 at head1 removed",
            ],
        ),
        (
            "tail1",
            &[("ipv4 = \"192.0.2.65\"\n", ""), ("name = \"beta\"", "name = \"betamax\"\nclamp_mss = true")],
            &[
                "isp alpha: ICMP source of transit1 ipv4 192.0.2.65 → none",
                "isp betamax (AS64502) name beta → betamax, clamp_mss false → true",
            ],
        ),
    ];
    for (node, changes, expected) in rows {
        assert_eq!(said(node, changes), *expected, "{changes:?}");
    }
}

#[test]
fn an_isp_comes_and_goes_with_all_that_it_has() {
    let with = format!("{LAB}{GAMMA}");
    let expected = [
        "isp gamma (AS64503) added",
        "isp gamma: handoff tail1/alpha0.7 added (FEC 10.254.1.7, preference 100)",
        "isp gamma: headend head1 added (return address 10.254.2.7)",
        "isp gamma: pool 100.64.0.0/24 at head1 added (gateway 100.64.0.1)",
    ];
    assert_eq!(lines(&Difference::new(&network(LAB), &network(&with), "head1")), expected);
    let expected = [
        "isp gamma (AS64503) removed",
        "isp gamma: handoff tail1/alpha0.7 removed",
        "isp gamma: headend head1 removed",
        "isp gamma: pool 100.64.0.0/24 at head1 removed",
    ];
    assert_eq!(lines(&Difference::new(&network(&with), &network(LAB), "head1")), expected);
}

#[test]
fn what_a_running_node_does_not_take_over_is_an_obstacle() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (
            &[
                ("name = \"head1\"\nlsr", "name = \"head9\"\nlsr"),
                ("node = \"head1\"", "node = \"head9\""),
                ("node = \"head1\"", "node = \"head9\""),
            ],
            "no node `head1`",
        ),
        (
            &[("lsr_id = \"10.255.0.1\"", "lsr_id = \"10.255.0.9\"\ntransport_address = \"10.255.0.1\"")],
            "lsr_id would change from 10.255.0.1 to 10.255.0.9",
        ),
        (
            &[("lsr_id = \"10.255.0.1\"", "lsr_id = \"10.255.0.1\"\ntransport_address = \"10.255.0.9\"")],
            "transport_address would change from 10.255.0.1 to 10.255.0.9",
        ),
        (
            &[("labels = [100000, 199999]", "labels = [100000, 299999]")],
            "labels would change from 100000–199999 to 100000–299999",
        ),
        (
            &[("[network]\n", "[ldp]\nretention = \"conservative\"\n[network]\n")],
            "ldp: retention would change from liberal to conservative",
        ),
        (
            &[("[network]\n", "[ldp]\nloop_detection = 64\n[network]\n")],
            "ldp: loop_detection would change from off to 64",
        ),
        (
            &[("10.254.1.3\"", "10.254.1.9\""), ("10.254.1.2\"", "10.254.1.3\"")],
            "10.254.1.3 is beta's FEC and would be alpha's FEC",
        ),
        (
            &[("10.254.1.3\"", "10.254.1.9\""), ("10.254.2.2\"", "10.254.1.3\"")],
            "10.254.1.3 is beta's FEC and would be beta's return address",
        ),
    ];
    for (changes, expected) in rows {
        let difference = Difference::new(&network(LAB), &changed(changes), "head1");
        let [obstacle] = difference.obstacles.as_slice() else { panic!("{changes:?}: {difference:?}") };
        assert!(obstacle.to_string().contains(expected), "{obstacle}");
        assert!(!obstacle.remedy().is_empty());
    }
    // Another node's are its own.
    let other = changed(&[("labels = [100000, 199999]", "labels = [100000, 299999]")]);
    assert!(Difference::new(&network(LAB), &other, "tail1").is_empty());
}
