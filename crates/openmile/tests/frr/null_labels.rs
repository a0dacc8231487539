//! Null labels of FRR's, and what is said when they change: capabilities, typed wildcards, End-of-LIB. tshark reads what
//! both sides sent.

use std::process::{Child, Command, Stdio};

use api::{BindingSide, Event, FecOperation, FecState, LibRow, ShowWhat};

use crate::place::{self, Extra, Place, within};
use crate::{FRR_OWN, FRR_ROUTED, fec, operational, received, rows};

const FILE: &str = "/run/test/session.pcapng";
/// Ours and FRR's, where sessions are.
const OURS: &str = "ip.src == 10.255.0.1";
const FRRS: &str = "ip.src == 10.255.0.2";
/// Typed wildcards (RFC 5918 §4, by their octets) and answers to wildcards.
const EXCEPT: &str = "tcp contains 05:02:02:00:01 || ldp.msg.type == 0x0403 && ldp.msg.tlv.fec.type == 1";

#[test]
fn null_labels_of_frr_carry_nothing() {
    place::run("null_labels::null_labels_of_frr_carry_nothing", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(null_labels());
    });
}

async fn null_labels() {
    let place = Place::new(Extra::default());
    let capture = Capture::start().await;
    let mut node = place.start_node();
    let client = node.client().await;
    let mut events = client.events().await.unwrap();
    let _frr = place.start_frr();
    let bound = async |label: u32| {
        within(&format!("label {label}"), async || {
            let lib: Vec<LibRow> = rows(&client, ShowWhat::Lib).await;
            (received(&lib, FRR_OWN) == Some(label) && received(&lib, FRR_ROUTED)? >= 16).then_some(())
        })
        .await;
        let all = rows(&client, ShowWhat::Fec).await;
        assert_eq!(fec(&all, FRR_OWN, FecOperation::Push).state, FecState::NullLabel);
        assert_eq!(fec(&all, FRR_OWN, FecOperation::Push).out_label, None);
        within("the real label", async || {
            let real = fec(&rows(&client, ShowWhat::Fec).await, FRR_ROUTED, FecOperation::Push);
            (real.state == FecState::Up).then_some(())
        })
        .await;
    };
    bound(3).await;
    place.configure_frr(&["address-family ipv4", "label local advertise explicit-null"]);
    bound(0).await;
    let (done, said) = place.openmile(&["show", "fec"]);
    assert!(done && said.contains("NULL LABEL"), "{said}");
    let mut alarm = async |label: &str| loop {
        match events.next().await.unwrap() {
            Some(Event::Alarm { message }) if message.contains(label) && message.contains("10.254.1.1") => {
                return;
            }
            Some(_) => {}
            None => panic!("the node's API ended"),
        }
    };
    let seen = tokio::time::timeout(std::time::Duration::from_secs(5), alarm("special-purpose label 0"));
    seen.await.expect("an alarm");
    place.configure_frr(&["address-family ipv4", "no label local advertise explicit-null"]);
    bound(3).await;
    assert!(operational(&rows(&client, ShowWhat::Neighbors).await).is_some());
    assert!(rows::<LibRow>(&client, ShowWhat::Lib).await.iter().any(|row| row.side == BindingSide::Sent));
    node.stop();
    capture.stop().await;
    what_was_sent();
}

fn what_was_sent() {
    // RFC 5561 §6, RFC 5918 §4, RFC 5919 §3: all three of both.
    for side in [OURS, FRRS] {
        let kinds = read(&format!("ldp.msg.type == 0x0200 && {side}"), &["ldp.msg.tlv.type"]);
        for kind in ["0x0506", "0x050b", "0x0603"] {
            let has = kinds.iter().any(|row| row[0].to_lowercase().contains(kind));
            assert!(has, "{side}: capability {kind} is not in {kinds:?}");
        }
    }
    // FRR takes its null labels back by wildcards with a label (RFC 5036 §3.4.1), twice here: each is answered by its
    // release. All were obeyed, or the old labels would have stayed.
    let withdrawn = |kind, side| {
        let rows = read(&format!("ldp.msg.type == {kind} && {side}"), &["tcp.payload"]);
        let all = rows.concat().concat();
        // The FEC TLV with a wildcard, and the label's TLV.
        ["00000000", "00000003"].map(|label| all.matches(&format!("010000010102000004{label}")).count())
    };
    assert_eq!((withdrawn("0x0402", FRRS), withdrawn("0x0403", OURS)), ([2, 2], [2, 2]));
    // Our End-of-LIB, a notification with status 0x2f; FRR says none of itself, only when asked for all labels.
    let ends = |side| read(&format!("ldp.msg.tlv.status.data == 0x2f && {side}"), &["frame.number"]).len();
    assert_eq!((ends(OURS), ends(FRRS)), (1, 0));
    // 0x600000 is Wireshark's severity "warning". End-of-LIB has a typed wildcard. Of several wildcards in a frame it says
    // that they are malformed, of FRR's as of ours.
    let wildcards = "ldp.msg.type == 0x0402 && _ws.malformed";
    assert_eq!(read(&format!("{wildcards} && {FRRS}"), &["frame.number"]).len(), 2);
    let marked =
        format!("ldp && {OURS} && (_ws.malformed || _ws.expert.severity >= 0x600000) && !({EXCEPT})");
    assert_eq!(read(&marked, &["frame.number", "_ws.expert.message"]), Vec::<Vec<String>>::new());
}

/// What the capture has that matches: a row of fields for each frame.
fn read(filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    tshark(filter, fields).unwrap_or_else(|said| panic!("{filter}: {said}"))
}

/// The same; an error as long as the file's end is half a frame.
fn tshark(filter: &str, fields: &[&str]) -> Result<Vec<Vec<String>>, String> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r", FILE, "-Y", filter, "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// What passes between us and FRR, into [`FILE`].
struct Capture(Child);

impl Capture {
    async fn start() -> Self {
        let mut command = Command::new("dumpcap");
        command.args(["-q", "-i", "bb0", "-w", FILE]).stdout(Stdio::null()).stderr(Stdio::null());
        let capture = Self(command.spawn().unwrap());
        within("the capture", async || std::fs::metadata(FILE).ok().filter(|file| file.len() > 0)).await;
        capture
    }

    /// Ends it, once it has our last word (Shutdown). What the kernel still holds then is not in the file.
    async fn stop(mut self) {
        let last = format!("ldp.msg.tlv.status.data == 0xa && {OURS}");
        within("our Shutdown", async || {
            tshark(&last, &["frame.number"]).ok().filter(|rows| !rows.is_empty())
        })
        .await;
        place::signal(self.0.id(), rustix::process::Signal::INT);
        assert!(self.0.wait().unwrap().success());
    }
}
