//! tshark as an independent reader of what a running lab sends on its backbone: labels, S bit, TTLs, traffic class and
//! checksums of packets both ways, and every LDP PDU of a session that comes up again; and of LDP messages of each kind.

mod lab;
mod messages;

use std::path::Path;
use std::process::Command;

use lab::{Lab, tshark};

/// Fields of a labelled packet: what `labelled` looks at.
const LABELLED: [&str; 8] = [
    "mpls.label",
    "mpls.exp",
    "mpls.bottom",
    "mpls.ttl",
    "ip.ttl",
    "ip.checksum.status",
    "udp.checksum.status",
    "eth.type",
];

#[test]
fn tshark_reads_what_the_backbone_carries() {
    if !installed() {
        return;
    }
    let lab = Lab::up();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("tail1.pcapng");
    let capture = lab.capture("transit1", "tail1", &file);
    let before = lab.show("tail2", "fec");

    // emil is beta's, whose one handoff is at tail2. Nobody listens on port 9, so that every packet has its answer.
    lab.script(
        "emil",
        "for i in {1..20}; do echo discard >/dev/udp/203.0.113.1/9; done; ! echo </dev/tcp/203.0.113.1/9",
    );
    lab.script("tail2", KILL_CONTROL);
    lab.until("tail2", "neighbors", |rows| rows[0]["kind"] == "ldp" && rows[0]["state"] == "operational");
    lab.until("tail2", "fec", |rows| *rows == before);
    let said = capture.interrupt();
    assert!(said.contains("frames of transit1 tail1 written"), "{said}");

    labelled(&lab, &file);
    ldp(&file);
    lab.down();
}

/// Whether tshark is there, as it must be in CI.
fn installed() -> bool {
    if Command::new("tshark").arg("--version").output().is_ok() {
        return true;
    }
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!ci, "tshark is not installed");
    eprintln!("NOT RUN: tshark is not installed (on Debian: apt-get install tshark)");
    false
}

/// Ends the control process of the node that this is run at.
const KILL_CONTROL: &str = r#"
    for process in /proc/[0-9]*; do
        case "$(tr '\0' ' ' <"$process/cmdline")" in
            *openmile\ control*--node\ tail2*) kill -9 "${process#/proc/}"; exit ;;
        esac
    done 2>/dev/null
    exit 1"#;

/// Packets both ways, as the transit's port to the tailend has them.
fn labelled(lab: &Lab, file: &Path) {
    let rows = lab.show("tail2", "fec");
    let label = |role: &str, operation: &str, side: &str| {
        let mut rows = rows.as_array().expect("rows").iter();
        let row = rows
            .find(|row| {
                row["fec"]["isp"] == 64502 && row["fec"]["role"] == role && row["operation"] == operation
            })
            .unwrap_or_else(|| panic!("no {operation} of beta {role}"));
        row[side].to_string()
    };
    // Sent with TTL 64; one hop at the LER (RFC 3443, pipe). The label starts at 255 and lost one at the transit.
    let to_isp = label("to_isp", "pop", "in_label");
    let seen = tshark(file, "mpls && ip.src == 100.64.0.20 && udp.dstport == 9 && !icmp", &LABELLED);
    assert_eq!(seen.len(), 20);
    for row in seen {
        assert_eq!(row, [to_isp.as_str(), "0", "1", "254", "63", "1", "1", "0x8847"]);
    }
    // The ISP's answers: ICMP with TTL 64, the label as the tailend pushed it.
    let to_subscriber = label("to_subscriber", "push", "out_label");
    let seen = tshark(file, "mpls && ip.src == 203.0.113.1 && tcp.srcport == 9", &LABELLED[..6]);
    assert!(!seen.is_empty(), "the refused TCP connection was answered");
    for row in seen {
        assert_eq!(row, [to_subscriber.as_str(), "0", "1", "255", "63", "1"]);
    }
    let wrong = "mpls && (_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 || tcp.checksum.status == 0)";
    assert_eq!(tshark(file, wrong, &["frame.number"]), Vec::<Vec<String>>::new());
    let unlabelled = "(ip.addr == 100.64.0.0/24 || ip.addr == 203.0.113.0/24) && !mpls";
    assert_eq!(tshark(file, unlabelled, &["frame.number"]), Vec::<Vec<String>>::new());
}

/// The PDUs of a session that ends and comes up again.
fn ldp(file: &Path) {
    // RFC 5036 §3.5: Hello, Initialization, KeepAlive, Address, Label Mapping, and the Notification that is End-of-LIB.
    for (name, message) in [
        ("Hello", "0x0100"),
        ("Init", "0x0200"),
        ("KeepAlive", "0x0201"),
        ("Address", "0x0300"),
        ("Mapping", "0x0400"),
        ("Notification", "0x0001"),
    ] {
        let from_both = ["10.0.3.1", "10.0.3.2", "10.255.0.2", "10.255.0.4"].map(|source| {
            let filter = format!("ldp.msg.type == {message} && ip.src == {source}");
            usize::from(!tshark(file, &filter, &["frame.number"]).is_empty())
        });
        assert_eq!(from_both.iter().sum::<usize>(), 2, "{name} from both sides: {from_both:?}");
    }
    // 0x600000 is Wireshark's severity "warning".
    // Of End-of-LIB see `messages`.
    let marked =
        "ldp && (_ws.malformed || _ws.expert.severity >= 0x600000) && !(ldp.msg.tlv.status.data == 0x2f)";
    assert_eq!(tshark(file, marked, &["frame.number", "_ws.expert.message"]), Vec::<Vec<String>>::new());
}
