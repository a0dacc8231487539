//! Any octets as a stream of LDP PDUs: refused or read, and what is read can be written and read again. With the first
//! octet below 16 the rest is the parameters of one message, so that TLVs and FEC elements are reached without luck with
//! lengths.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::ldp::{DEFAULT_MAX_PDU_LENGTH, Incoming, Message, Pdu, PduReader, PduWriter};

/// The types of all messages that there are.
const KINDS: [u16; 12] = [
    0x0001, 0x0100, 0x0200, 0x0201, 0x0202, 0x0300, 0x0301, 0x0400, 0x0401, 0x0402, 0x0403, 0x0404,
];

fuzz_target!(|octets: &[u8]| {
    let (&first, octets) = octets.split_first().unwrap_or((&0, &[]));
    match KINDS.get(usize::from(first)) {
        Some(&kind) => message(kind, octets),
        None => stream(usize::from(first), octets),
    }
});

fn message(kind: u16, parameters: &[u8]) {
    let Some(parameters) = parameters.get(..parameters.len().min(4000)) else { return };
    let length = parameters.len() as u16;
    let mut octets = vec![0, 1];
    octets.extend((length + 14).to_be_bytes());
    octets.extend([10, 255, 0, 1, 0, 0]);
    octets.extend(kind.to_be_bytes());
    octets.extend((length + 4).to_be_bytes());
    octets.extend([0, 0, 0, 9]);
    octets.extend(parameters);
    let pdu = Pdu::from_datagram(&octets).expect("a PDU");
    for message in pdu.messages() {
        match message {
            Ok(incoming) => again(&pdu, &incoming),
            Err(error) => assert_eq!(error.message.map(|(_, kind)| kind.0), Some(kind)),
        }
    }
}

fn stream(cut: usize, octets: &[u8]) {
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
}

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
