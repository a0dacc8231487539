//! pcapng files with times in nanoseconds.

use std::borrow::Cow;
use std::io::{self, Write};

use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, PcapError};

use super::{Captured, Direction};

/// A pcapng file of one interface.
pub struct Writer<W: Write>(PcapNgWriter<W>);

impl<W: Write> Writer<W> {
    /// Begins a file; `interface` is the name that Wireshark shows, `snaplen` what frames were cut to.
    pub fn new(to: W, interface: &str, snaplen: u32) -> io::Result<Self> {
        const NANOSECONDS: u8 = 9;
        let mut writer = PcapNgWriter::new(to).map_err(io_error)?;
        let description = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(interface)),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        };
        writer.write_block(&description.into_block()).map_err(io_error)?;
        Ok(Self(writer))
    }

    /// Adds a frame.
    pub fn write(&mut self, captured: &Captured<'_>) -> io::Result<()> {
        let direction = match captured.direction {
            Direction::In => 1,
            Direction::Out => 2,
        };
        let packet = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: captured.time,
            original_len: captured.len,
            data: Cow::Borrowed(captured.octets),
            options: vec![EnhancedPacketOption::Flags(direction)],
        };
        self.0.write_block(&packet.into_block()).map(drop).map_err(io_error)
    }

    /// What is written to, to be flushed.
    pub fn get_mut(&mut self) -> &mut W {
        self.0.get_mut()
    }
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;

    #[test]
    fn a_reader_finds_name_time_direction_and_octets() {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, "bb0", 64).unwrap();
        let time = Duration::new(1_700_000_000, 123_456_789);
        let frames = [(Direction::In, [1_u8; 61], 1), (Direction::Out, [2; 61], 2)];
        for (direction, octets, _) in &frames {
            let captured = Captured { octets, len: 1500, time, direction: *direction };
            writer.write(&captured).unwrap();
        }

        let mut reader = PcapNgReader::new(file.as_slice()).unwrap();
        let Block::InterfaceDescription(interface) = reader.next_block().unwrap().unwrap() else { panic!() };
        assert_eq!(interface.linktype, DataLink::ETHERNET);
        assert!(interface.options.contains(&InterfaceDescriptionOption::IfName("bb0".into())));
        assert!(interface.options.contains(&InterfaceDescriptionOption::IfTsResol(9)));
        for (_, octets, flags) in &frames {
            let Block::EnhancedPacket(packet) = reader.next_block().unwrap().unwrap() else { panic!() };
            assert_eq!((packet.timestamp, packet.original_len), (time, 1500));
            assert_eq!(packet.data[..], octets[..]);
            assert_eq!(packet.options, [EnhancedPacketOption::Flags(*flags)]);
        }
        assert!(reader.next_block().is_none());
    }
}
