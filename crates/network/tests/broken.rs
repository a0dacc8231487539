//! Broken files, and what an operator is told: each case is the example below with one change (or a few), and the
//! snapshot is the whole message.

use network::Network;

/// A small network that holds together.
const GOOD: &str = r#"[network]
name = "test"

[[node]]
name = "head1"
lsr_id = "10.255.0.1"
  [[node.port]]
  name = "bb0"
  kind = "backbone"
  [[node.port]]
  name = "dslam0"
  kind = "access"

[[node]]
name = "tail1"
lsr_id = "10.255.0.2"
  [[node.port]]
  name = "bb0"
  kind = "backbone"
  [[node.port]]
  name = "isps0"
  kind = "handoff"

[[isp]]
asn = 64501
name = "alpha"
  [[isp.handoff]]
  node = "tail1"
  port = "isps0"
  vlan = 100
  fec = "10.254.1.1"
  ipv4 = { address = "192.0.2.1/30", next_hop = "192.0.2.2" }
  [[isp.headend]]
  node = "head1"
  return_address = "10.254.2.1"
    [[isp.headend.pool]]
    prefix = "100.64.0.0/24"
    gateway = "100.64.0.1"

[[isp]]
asn = 64502
name = "beta"
  [[isp.handoff]]
  node = "tail1"
  port = "isps0"
  vlan = 200
  fec = "10.254.1.2"
  ipv6 = { address = "2001:db8:f::1/64", next_hop = "2001:db8:f::2" }
  [[isp.headend]]
  node = "head1"
  return_address = "10.254.2.2"
    [[isp.headend.pool]]
    prefix = "2001:db8:b::/48"
    gateway = "2001:db8:b::1"
"#;

/// The example with changes: each `from` must be there, and its first place is changed.
fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = GOOD.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from:?} is not in the example");
        text = text.replacen(from, to, 1);
    }
    text
}

/// What is said of a file.
fn said(text: &str) -> String {
    match Network::parse("net.toml", text) {
        Ok(network) if network.warnings().is_empty() => "nothing\n".to_owned(),
        Ok(network) => format!("{}\n{}", network.warnings(), network.warnings().render(false)),
        Err(report) => format!("{report}\n{}", report.render(false)),
    }
}

macro_rules! cases {
    ($($(#[$attribute:meta])* $name:ident: [$($from:expr => $to:expr),+ $(,)?];)+) => {
        $($(#[$attribute])* #[test]
        fn $name() {
            let said = said(&changed(&[$(($from, $to)),+]));
            assert_ne!(said, "nothing\n");
            insta::assert_snapshot!(said);
        })+
    };
}

#[test]
fn the_example_is_good() {
    assert_eq!(said(GOOD), "nothing\n");
}

#[test]
fn a_node_may_name_its_own_address_as_a_source() {
    for (node, address) in [("head1", "100.64.0.1"), ("tail1", "192.0.2.1"), ("tail1", "192.0.2.65")] {
        let source = format!("[[isp.icmp_source]]\nnode = \"{node}\"\nipv4 = \"{address}\"");
        let text = changed(&[("name = \"alpha\"", &format!("name = \"alpha\"\n{source}"))]);
        assert_eq!(said(&text), "nothing\n", "{node} {address}");
    }
}

cases! {
    // TOML
    syntax_unclosed_string: ["name = \"test\"" => "name = \"test"];
    syntax_bare_word: ["lsr_id = \"10.255.0.1\"" => "lsr_id = 10.255.0.1"];
    syntax_twice: ["name = \"alpha\"" => "name = \"alpha\"\nname = \"omega\""];
    // keys
    unknown_key_near: ["lsr_id" => "lsr-id"];
    unknown_key_plural: ["[[isp.headend.pool]]" => "[[isp.headend.pools]]"];
    unknown_key_elsewhere: ["kind = \"access\"" => "kind = \"access\"\n  vlan = 7"];
    unknown_key_far: ["vlan = 100" => "vlan = 100\n  bandwidth = 7"];
    missing_key: ["lsr_id = \"10.255.0.1\"\n" => ""];
    missing_network: ["[network]\nname = \"test\"" => ""];
    missing_ports: ["  [[node.port]]\n  name = \"bb0\"\n  kind = \"backbone\"\n  [[node.port]]\n  name = \"dslam0\"\n  kind = \"access\"\n" => ""];
    single_brackets: ["[[node]]" => "[node]", "[[node]]" => "[other]", "[[node.port]]" => "[[other.port]]", "[[node.port]]" => "[[other.port]]"];
    double_brackets: ["[network]" => "[[network]]"];
    // types and values
    wrong_type_vlan: ["vlan = 100" => "vlan = \"100\""];
    wrong_type_asn: ["asn = 64501" => "asn = \"AS64501\""];
    wrong_type_address: ["lsr_id = \"10.255.0.1\"" => "lsr_id = 1"];
    wrong_type_table: ["ipv4 = { address = \"192.0.2.1/30\", next_hop = \"192.0.2.2\" }" => "ipv4 = \"192.0.2.1/30\""];
    bad_name: ["name = \"head1\"" => "name = \"Head 1\""];
    bad_device: ["name = \"dslam0\"" => "name = \"a-very-long-device\""];
    bad_kind: ["kind = \"access\"" => "kind = \"customer\""];
    bad_address: ["fec = \"10.254.1.1\"" => "fec = \"10.254.1.256\""];
    bad_address_prefix: ["fec = \"10.254.1.1\"" => "fec = \"10.254.1.1/32\""];
    bad_address_ipv6: ["fec = \"10.254.1.1\"" => "fec = \"fe80::1\""];
    bad_prefix: ["prefix = \"100.64.0.0/24\"" => "prefix = \"100.64.0.0\""];
    bad_asn: ["asn = 64501" => "asn = 4294967296"];
    bad_asn_reserved: ["asn = 64501" => "asn = 23456"];
    bad_vlan: ["vlan = 100" => "vlan = 4095"];
    bad_preference: ["vlan = 100" => "vlan = 100\n  preference = 0"];
    bad_labels: ["lsr_id = \"10.255.0.1\"" => "lsr_id = \"10.255.0.1\"\nlabels = [3, 1000]"];
    bad_labels_few: ["lsr_id = \"10.255.0.1\"" => "lsr_id = \"10.255.0.1\"\nlabels = [1000, 100]"];
    bad_ttl: ["name = \"test\"" => "name = \"test\"\nttl = \"short\""];
    // nodes
    node_twice: ["name = \"tail1\"" => "name = \"head1\""];
    lsr_id_twice: ["10.255.0.2" => "10.255.0.1"];
    transport_taken: ["lsr_id = \"10.255.0.2\"" => "lsr_id = \"10.255.0.2\"\ntransport_address = \"10.255.0.1\""];
    lsr_id_loopback: ["10.255.0.1" => "127.0.0.1"];
    port_twice: ["name = \"dslam0\"" => "name = \"bb0\""];
    port_lo: ["name = \"dslam0\"" => "name = \"lo\""];
    no_backbone: ["kind = \"backbone\"" => "kind = \"access\""];
    // ISPs
    asn_twice: ["64502" => "64501"];
    isp_name_twice: ["\"beta\"" => "\"alpha\""];
    no_handoff: ["  [[isp.handoff]]\n  node = \"tail1\"\n  port = \"isps0\"\n  vlan = 100\n  fec = \"10.254.1.1\"\n  ipv4 = { address = \"192.0.2.1/30\", next_hop = \"192.0.2.2\" }\n" => ""];
    // handoffs and headends
    no_such_node: ["node = \"tail1\"" => "node = \"tail9\""];
    no_such_port: ["port = \"isps0\"" => "port = \"isps1\""];
    wrong_kind_of_port: ["port = \"isps0\"" => "port = \"bb0\""];
    attachment_twice: ["vlan = 200" => "vlan = 100"];
    attachment_twice_untagged: ["  vlan = 100\n" => "", "  vlan = 200\n" => ""];
    no_family: ["  ipv4 = { address = \"192.0.2.1/30\", next_hop = \"192.0.2.2\" }\n" => ""];
    next_hop_elsewhere: ["next_hop = \"192.0.2.2\"" => "next_hop = \"192.0.2.6\""];
    next_hop_ours: ["next_hop = \"192.0.2.2\"" => "next_hop = \"192.0.2.1\""];
    next_hop_broadcast: ["next_hop = \"192.0.2.2\"" => "next_hop = \"192.0.2.3\""];
    next_hop_link_local: ["next_hop = \"2001:db8:f::2\"" => "next_hop = \"fe80::2\""];
    link_in_pool: ["192.0.2.1/30" => "100.64.0.9/30", "192.0.2.2" => "100.64.0.10"];
    headend_without_access: ["kind = \"access\"" => "kind = \"backbone\""];
    headend_twice: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.headend]]\n  node = \"head1\"\n  return_address = \"10.254.2.9\"\n  pool = [{ prefix = \"10.1.0.0/24\", gateway = \"10.1.0.1\" }]"];
    both_on_one_node: ["kind = \"access\"" => "kind = \"access\"\n  [[node.port]]\n  name = \"isp0\"\n  kind = \"handoff\"", "name = \"alpha\"" => "name = \"alpha\"\n  [[isp.handoff]]\n  node = \"head1\"\n  port = \"isp0\"\n  fec = \"10.254.1.9\"\n  ipv4 = { address = \"192.0.2.9/31\", next_hop = \"192.0.2.8\" }"];
    // FECs
    fec_of_another_isp: ["10.254.1.2" => "10.254.1.1"];
    fec_twice_at_one_tailend: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.handoff]]\n  node = \"tail1\"\n  port = \"isps0\"\n  fec = \"10.254.1.1\"\n  ipv4 = { address = \"192.0.2.9/31\", next_hop = \"192.0.2.8\" }"];
    fec_is_return_address: ["10.254.2.2" => "10.254.1.1"];
    return_address_twice: ["10.254.2.2" => "10.254.2.1"];
    fec_is_lsr_id: ["10.254.1.1" => "10.255.0.1"];
    // pools
    pool_host_bits: ["100.64.0.0/24" => "100.64.0.7/24"];
    pool_multicast: ["100.64.0.0/24" => "224.0.0.0/3"];
    pool_small: ["100.64.0.0/24" => "100.64.0.0/31"];
    gateway_elsewhere: ["gateway = \"100.64.0.1\"" => "gateway = \"100.65.0.1\""];
    gateway_broadcast: ["gateway = \"100.64.0.1\"" => "gateway = \"100.64.0.255\""];
    gateway_of_another_family: ["gateway = \"100.64.0.1\"" => "gateway = \"2001:db8::1\""];
    pools_overlap: ["gateway = \"100.64.0.1\"" => "gateway = \"100.64.0.1\"\n    [[isp.headend.pool]]\n    prefix = \"100.64.0.128/25\"\n    gateway = \"100.64.0.129\""];
    // LDP
    ldp_bad_hello_hold: ["name = \"test\"" => "name = \"test\"\n[ldp]\nhello_hold = 2"];
    ldp_bad_keepalive: ["name = \"test\"" => "name = \"test\"\n[ldp]\nkeepalive = 65535"];
    ldp_wrong_type_keepalive: ["name = \"test\"" => "name = \"test\"\n[ldp]\nkeepalive = \"30s\""];
    ldp_bad_neighbors: ["name = \"test\"" => "name = \"test\"\n[ldp]\nneighbors = \"all\""];
    ldp_double_brackets: ["name = \"test\"" => "name = \"test\"\n[[ldp]]\nkeepalive = 30"];
    ldp_misplaced: ["name = \"test\"" => "name = \"test\"\nkeepalive = 30"];
    ldp_neighbor_itself: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.1\""];
    ldp_neighbor_twice: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\""];
    ldp_neighbor_missing_lsr_id: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  shut = true"];
    ldp_neighbor_multicast: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"224.0.0.2\""];
    ldp_neighbor_bad_gtsm: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  gtsm = \"yes\""];
    ldp_neighbor_no_prefix: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  accept = []"];
    ldp_neighbor_host_bits: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  accept = [\"10.254.1.1/24\"]"];
    ldp_neighbor_not_a_list: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  advertise = \"10.254.1.0/24\""];
    ldp_neighbor_no_bindings: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  max_bindings = 0"];
    ldp_neighbor_many_bindings: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  max_bindings = 300000"];
    ldp_neighbor_bad_targeted: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  targeted = \"yes\""];
    ldp_neighbor_targeted_unanswered: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  targeted = \"on\""];
    ldp_neighbor_targeted_true: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  targeted = true"];
    ldp_neighbor_targeted_by_a_family_not_spoken: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  targeted = \"on\"\n  transport_address = \"2001:db8::2\""];
    ldp_neighbor_targeted_at_a_group: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  targeted = \"on\"\n  transport_address = \"224.0.0.2\""];
    ldp_neighbor_targeted_with_gtsm: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  targeted = \"answer\"\n  gtsm = \"on\""];
    ldp_neighbor_protected_with_gtsm: ["name = \"test\"" => "name = \"test\"\n[ldp]\nsession_protection = \"forever\"", "kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  gtsm = \"on\""];
    ldp_bad_control: ["name = \"test\"" => "name = \"test\"\n[ldp]\ncontrol = \"loose\""];
    ldp_bad_retention: ["name = \"test\"" => "name = \"test\"\n[ldp]\nretention = true"];
    ldp_bad_retention_word: ["name = \"test\"" => "name = \"test\"\n[ldp]\nretention = \"all\""];
    ldp_bad_loop_detection: ["name = \"test\"" => "name = \"test\"\n[ldp]\nloop_detection = \"on\""];
    ldp_loop_detection_of_no_hops: ["name = \"test\"" => "name = \"test\"\n[ldp]\nloop_detection = 0"];
    ldp_bad_max_pdu_length: ["name = \"test\"" => "name = \"test\"\n[ldp]\nmax_pdu_length = 9000"];
    ldp_neighbor_bad_advertisement: ["kind = \"access\"" => "kind = \"access\"\n  [[node.ldp_neighbor]]\n  lsr_id = \"10.255.0.2\"\n  advertisement = \"on demand\""];
    ldp_bad_protection: ["name = \"test\"" => "name = \"test\"\n[ldp]\nsession_protection = \"on\""];
    ldp_protection_of_no_time: ["name = \"test\"" => "name = \"test\"\n[ldp]\nsession_protection = 0"];
    // the LSP MTU, moves, sources of ICMP errors
    bad_lsp_mtu_low: ["name = \"test\"" => "name = \"test\"\nlsp_mtu = 1279"];
    bad_lsp_mtu_high: ["name = \"test\"" => "name = \"test\"\nlsp_mtu = 65536"];
    wrong_type_lsp_mtu: ["name = \"test\"" => "name = \"test\"\nlsp_mtu = \"1500\""];
    bad_move_grace: ["name = \"test\"" => "name = \"test\"\nmove_grace = 0"];
    bad_move_grace_long: ["name = \"test\"" => "name = \"test\"\nmove_grace = 3601"];
    wrong_type_move_grace: ["name = \"test\"" => "name = \"test\"\nmove_grace = \"30s\""];
    wrong_type_clamp_mss: ["name = \"alpha\"" => "name = \"alpha\"\nclamp_mss = 1"];
    misplaced_clamp_mss: ["name = \"test\"" => "name = \"test\"\nclamp_mss = true"];
    icmp_source_single_brackets: ["name = \"alpha\"" => "name = \"alpha\"\n  [isp.icmp_source]\n  node = \"head1\"\n  ipv4 = \"192.0.2.65\""];
    icmp_source_missing_node: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  ipv4 = \"192.0.2.65\"\n"];
    icmp_source_no_such_node: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"core1\"\n  ipv4 = \"192.0.2.65\"\n"];
    icmp_source_no_address: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"head1\"\n"];
    icmp_source_with_length: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"head1\"\n  ipv4 = \"192.0.2.65/32\"\n"];
    icmp_source_of_other_version: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"head1\"\n  ipv4 = \"2001:db8:f:9::1\"\n"];
    icmp_source_bad_ipv6: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"head1\"\n  ipv6 = \"2001:db8:f:9:1\"\n"];
    icmp_source_multicast: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"head1\"\n  ipv4 = \"224.0.0.5\"\n"];
    icmp_source_link_local: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"head1\"\n  ipv6 = \"fe80::1\"\n"];
    icmp_source_of_subscriber: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"tail1\"\n  ipv4 = \"100.64.0.9\"\n"];
    icmp_source_gateway_elsewhere: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"tail1\"\n  ipv4 = \"100.64.0.1\"\n"];
    icmp_source_is_handoff_elsewhere: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"head1\"\n  ipv4 = \"192.0.2.1\"\n"];
    icmp_source_is_next_hop: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"tail1\"\n  ipv4 = \"192.0.2.2\"\n"];
    icmp_source_twice: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"tail1\"\n  ipv4 = \"192.0.2.65\"\n  [[isp.icmp_source]]\n  node = \"head1\"\n  ipv4 = \"192.0.2.65\"\n"];
    icmp_source_node_twice: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"tail1\"\n  ipv4 = \"192.0.2.65\"\n  [[isp.icmp_source]]\n  node = \"tail1\"\n  ipv6 = \"2001:db8:f:9::1\"\n"];
    icmp_source_unknown_key: ["name = \"alpha\"" => "name = \"alpha\"\n  [[isp.icmp_source]]\n  node = \"tail1\"\n  ipv4 = \"192.0.2.65\"\n  port = \"bb0\"\n"];
    handoff_address_twice: ["  vlan = 200\n" => "  vlan = 200\n", "name = \"alpha\"" => "name = \"alpha\"\n  [[isp.handoff]]\n  node = \"tail1\"\n  port = \"isps0\"\n  fec = \"10.254.1.9\"\n  ipv4 = { address = \"192.0.2.1/30\", next_hop = \"192.0.2.2\" }"];
    // all at once
    many_problems: [
        "lsr_id = \"10.255.0.1\"" => "lsr_id = \"10.255.0\"",
        "kind = \"access\"" => "kind = \"acess\"",
        "vlan = 100" => "vlan = 0",
        "port = \"isps0\"" => "port = \"isps7\"",
        "gateway = \"100.64.0.1\"" => "gatway = \"100.64.0.1\"",
        "vlan = 200" => "vlan = 200\n  weight = 3",
    ];
}
