//! Any octets as a stream of LDP PDUs: refused or read, and what is read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::ldp::{DEFAULT_MAX_PDU_LENGTH, Incoming, Message, Pdu, PduReader, PduWriter};

fuzz_target!(|octets: &[u8]| {
    let (cut, octets) =
        octets.split_first().map_or((1, octets), |(&first, rest)| (usize::from(first).max(1), rest));
    let mut reader = PduReader::default();
    'stream: for some in octets.chunks(cut) {
        reader.push(some);
        loop {
            match reader.next() {
                Ok(None) => break,
                Ok(Some(pdu)) => pdu.messages().flatten().for_each(|incoming| again(&pdu, &incoming)),
                Err(error) => {
                    assert!(error.is_fatal());
                    break 'stream;
                }
            }
        }
        assert!(reader.pending() < usize::from(DEFAULT_MAX_PDU_LENGTH) + 4);
    }
    let _ = Pdu::from_datagram(octets);
});

fn again(pdu: &Pdu<'_>, incoming: &Incoming) {
    let Incoming::Message(message) = incoming else { return };
    let mut writer = PduWriter::new(pdu.sender, u16::MAX);
    // IPv6 prefixes of a shorter encoding than ours do not exist, so that what came fits again.
    writer.push(message).expect("it came in a PDU");
    let mut octets = Vec::new();
    message.encode(&mut octets);
    let written = writer.finish();
    let pdu = Pdu::from_datagram(&written).expect("a PDU");
    let read: Vec<_> = pdu.messages().collect();
    let same: &Message = message;
    assert_eq!(read, [Ok(Incoming::Message(same.clone()))]);
}
