use etherparse::{
    IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv4Options, Ipv6Extensions, Ipv6Header,
    Ipv6RawExtHeader, PacketBuilder, TcpHeader, TcpOptions,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A packet as `etherparse` is asked to build it, with checksums.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) v6: bool,
    pub(crate) tcp: bool,
    /// IPv4 options, or an IPv6 hop-by-hop options header.
    pub(crate) ip_options: bool,
    pub(crate) tcp_options: bool,
    /// What is between the Ethernet addresses and IP instead of the EtherType; may hold tags and labels.
    pub(crate) shim: Shim,
    pub(crate) id: u16,
    pub(crate) sequence: u32,
    /// FIN, PSH, CWR.
    pub(crate) flags: [bool; 3],
    pub(crate) payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Shim {
    None,
    Tag,
    Tags,
    Labels,
}

impl Spec {
    fn shim(&self) -> Vec<u8> {
        let ethertype: &[u8] = if self.v6 { &[0x86, 0xdd] } else { &[0x08, 0x00] };
        match self.shim {
            Shim::None => ethertype.to_vec(),
            Shim::Tag => [&[0x81, 0x00, 0x00, 0x07], ethertype].concat(),
            Shim::Tags => [&[0x88, 0xa8, 0x00, 0x07, 0x81, 0x00, 0x00, 0x08], ethertype].concat(),
            Shim::Labels => vec![0x88, 0x47, 0, 1, 0, 255, 0, 1, 0x11, 255],
        }
    }

    fn ip(&self) -> IpHeaders {
        if self.v6 {
            let header =
                Ipv6Header { source: [1; 16], destination: [2; 16], hop_limit: 64, ..Default::default() };
            let padding = Ipv6RawExtHeader::new_raw(IpNumber::TCP, &[1, 4, 0, 0, 0, 0]).unwrap();
            let hop_by_hop_options = self.ip_options.then_some(padding);
            return IpHeaders::Ipv6(header, Ipv6Extensions { hop_by_hop_options, ..Default::default() });
        }
        let mut header = Ipv4Header::new(0, 64, IpNumber::TCP, [192, 0, 2, 1], [198, 51, 100, 1]).unwrap();
        header.identification = self.id;
        if self.ip_options {
            header.options = Ipv4Options::from([1, 1, 1, 0]);
        }
        IpHeaders::Ipv4(header, Ipv4Extensions::default())
    }

    /// The packet with all checksums.
    pub(crate) fn build(&self) -> Vec<u8> {
        let step = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ip(self.ip());
        let mut built = Vec::new();
        if self.tcp {
            let mut header = TcpHeader::new(1000, 2000, self.sequence, 8192);
            [header.fin, header.psh, header.cwr] = self.flags;
            (header.ack, header.acknowledgment_number) = (true, 77);
            if self.tcp_options {
                header.options = TcpOptions::try_from_slice(&[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
            }
            step.tcp_header(header).write(&mut built, &self.payload).unwrap();
        } else {
            step.udp(1000, 2000).write(&mut built, &self.payload).unwrap();
        }
        [&built[..12], &self.shim(), &built[14..]].concat()
    }

    /// Where TCP or UDP begins.
    pub(crate) fn transport(&self) -> usize {
        let ip = match (self.v6, self.ip_options) {
            (true, options) => 40 + 8 * usize::from(options),
            (false, options) => 20 + 4 * usize::from(options),
        };
        12 + self.shim().len() + ip
    }

    /// What is left undone when the checksum is.
    pub(crate) fn partial(&self) -> PartialChecksum {
        PartialChecksum { start: self.transport() as u16, offset: if self.tcp { 16 } else { 6 } }
    }

    pub(crate) fn segmentation(&self, size: u16) -> Segmentation {
        let kind = match (self.tcp, self.v6) {
            (true, false) => SegmentKind::TcpV4,
            (true, true) => SegmentKind::TcpV6,
            (false, _) => SegmentKind::Udp,
        };
        Segmentation { kind, size }
    }

    /// What the packet would be as segments of this size.
    pub(crate) fn segments(&self, size: u16) -> Vec<Vec<u8>> {
        let chunks: Vec<_> = self.payload.chunks(usize::from(size)).collect();
        let last = chunks.len() - 1;
        let segment = |(number, chunk): (usize, &&[u8])| {
            let [fin, psh, cwr] = self.flags;
            let part = Self {
                id: self.id.wrapping_add(number as u16),
                sequence: self.sequence.wrapping_add(number as u32 * u32::from(size)),
                flags: [fin && number == last, psh && number == last, cwr && number == 0],
                payload: chunk.to_vec(),
                ..self.clone()
            };
            part.build()
        };
        chunks.iter().enumerate().map(segment).collect()
    }
}

pub(crate) fn spec(payload: std::ops::Range<usize>) -> impl Strategy<Value = Spec> {
    let shim = prop_oneof![Just(Shim::None), Just(Shim::Tag), Just(Shim::Tags), Just(Shim::Labels)];
    let fields = (any::<[bool; 4]>(), shim, any::<u16>(), any::<u32>(), any::<[bool; 3]>());
    (fields, vec(any::<u8>(), payload)).prop_map(|((switches, shim, id, sequence, flags), payload)| {
        let [v6, tcp, ip_options, tcp_options] = switches;
        Spec { v6, tcp, ip_options, tcp_options, shim, id, sequence, flags, payload }
    })
}

/// The frame with the pseudo-header's sum in place of its checksum, as a kernel hands it to a device.
fn with_pseudo_header_only(spec: &Spec) -> Vec<u8> {
    let mut frame = spec.build();
    let transport = spec.transport();
    let (addresses, protocol) = (if spec.v6 { 32 } else { 8 }, if spec.tcp { 6 } else { 17 });
    let ip = 12 + spec.shim().len();
    let from = ip + if spec.v6 { 8 } else { 12 };
    let mut words: Vec<u32> =
        frame[from..from + addresses].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).collect();
    words.extend([protocol, (frame.len() - transport) as u32]);
    let sum = words.into_iter().fold(0, |sum, word| ((sum + word) & 0xffff) + ((sum + word) >> 16));
    let field = transport + usize::from(spec.partial().offset);
    frame[field..field + 2].copy_from_slice(&(sum as u16).to_be_bytes());
    frame
}

fn cut(frame: &[u8], segmentation: Segmentation, checksum: Option<PartialChecksum>) -> Vec<Vec<u8>> {
    let segments = Segments::new(frame, segmentation, checksum).unwrap();
    // Backwards, since each stands alone.
    let mut all: Vec<_> = (0..segments.count())
        .rev()
        .map(|number| {
            let mut room = vec![0xee; segments.segment_len(number)];
            segments.write(number, &mut room);
            room
        })
        .collect();
    all.reverse();
    all
}

proptest! {
    #[test]
    fn segments_are_what_another_implementation_builds(
        spec in spec(1..9000), size in 1_u16..3000, partial in any::<bool>(),
    ) {
        let size = size.max(spec.payload.len() as u16 / 64);
        let checksum = partial.then(|| spec.partial());
        let got = cut(&with_pseudo_header_only(&spec), spec.segmentation(size), checksum);
        prop_assert_eq!(got, spec.segments(size));
    }

    #[test]
    fn a_partial_checksum_is_completed_to_what_another_implementation_computes(spec in spec(0..1500)) {
        let mut frame = with_pseudo_header_only(&spec);
        spec.partial().complete(&mut frame).unwrap();
        prop_assert_eq!(frame, spec.build());
    }

    #[test]
    fn nothing_that_a_frame_or_its_metadata_say_ends_the_process(
        spec in spec(0..200),
        header in any::<[u8; Offload::HEADER_LEN]>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut_at in any::<prop::sample::Index>(),
    ) {
        let mut frame = spec.build();
        for (at, value) in damage {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        frame.truncate(cut_at.index(frame.len() + 1));
        if let Ok(offload) = Offload::parse(header)
            && let Some(checksum) = offload.checksum {
            let _ = checksum.complete(&mut frame.clone());
        }
        for kind in [SegmentKind::TcpV4, SegmentKind::TcpV6, SegmentKind::Udp] {
            let segmentation = Segmentation { kind, size: u16::from_ne_bytes([header[0], header[1]]).max(1) };
            if Segments::new(&frame, segmentation, None).is_ok() {
                cut(&frame, segmentation, None);
            }
        }
    }

    #[test]
    fn a_tag_put_back_stands_between_the_addresses_and_the_rest(frame in vec(any::<u8>(), 0..40), control: u16) {
        let mut room = [&[0; TAG], frame.as_slice()].concat();
        let put = BesideTag { ethertype: ETHERTYPE_STAG, control }.put_back(&mut room);
        prop_assert_eq!(put, frame.len() >= 12);
        if put {
            let tag = [&[0x88, 0xa8][..], &control.to_be_bytes()].concat();
            prop_assert_eq!(room, [&frame[..12], &tag, &frame[12..]].concat());
        }
    }
}

fn plain(tcp: bool) -> Spec {
    Spec {
        v6: false,
        tcp,
        ip_options: false,
        tcp_options: false,
        shim: Shim::None,
        id: 0xffff,
        sequence: u32::MAX - 10,
        flags: [true; 3],
        payload: vec![5; 100],
    }
}

#[test]
fn the_header_is_read_as_virtio_has_it() {
    let [s0, s1] = 1448_u16.to_ne_bytes();
    let [c0, c1] = 34_u16.to_ne_bytes();
    let [o0, o1] = 16_u16.to_ne_bytes();
    let header = |kind| [1, kind, 0, 0, s0, s1, c0, c1, o0, o1];
    let checksum = Some(PartialChecksum { start: 34, offset: 16 });
    let of = |kind| Some(Segmentation { kind, size: 1448 });
    let parsed = |kind| Offload::parse(header(kind));
    assert_eq!(parsed(0), Ok(Offload { checksum, segmentation: None }));
    assert_eq!(parsed(1), Ok(Offload { checksum, segmentation: of(SegmentKind::TcpV4) }));
    assert_eq!(parsed(0x81), Ok(Offload { checksum, segmentation: of(SegmentKind::TcpV4) }));
    assert_eq!(parsed(4), Ok(Offload { checksum, segmentation: of(SegmentKind::TcpV6) }));
    assert_eq!(parsed(5), Ok(Offload { checksum, segmentation: of(SegmentKind::Udp) }));
    assert_eq!(parsed(3), Err(BadOffload::UnknownKind(3)));
    assert_eq!(Offload::parse([2, 0, 9, 9, 9, 9, 9, 9, 9, 9]), Ok(Offload::default()));
    assert_eq!(Offload::parse([0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(BadOffload::NoSegmentSize));
}

#[test]
fn what_cannot_be_segmented_rightly_is_not() {
    let tcp = plain(true);
    let frame = tcp.build();
    let error =
        |frame: &[u8], kind, checksum| Segments::new(frame, Segmentation { kind, size: 10 }, checksum).err();
    assert_eq!(error(&frame, SegmentKind::TcpV4, Some(tcp.partial())), None);
    assert_eq!(error(&frame, SegmentKind::TcpV6, None), Some(BadOffload::Unparsed));
    assert_eq!(error(&frame, SegmentKind::Udp, None), Some(BadOffload::Unparsed));
    assert_eq!(error(&frame[..53], SegmentKind::TcpV4, None), Some(BadOffload::Unparsed));
    let inner = Some(PartialChecksum { start: 84, offset: 16 });
    assert_eq!(error(&frame, SegmentKind::TcpV4, inner), Some(BadOffload::Tunnel));
}

#[test]
fn a_datagram_without_checksum_stays_without() {
    let udp = plain(false);
    let mut frame = udp.build();
    frame[40..42].fill(0);
    for segment in cut(&frame, udp.segmentation(40), None) {
        assert_eq!(segment[40..42], [0, 0]);
    }
    assert_eq!(cut(&frame, udp.segmentation(40), Some(udp.partial())), udp.segments(40));
}

#[test]
fn udp_never_sends_a_checksum_of_zero() {
    // Source and destination port make the sum come out as all ones, so its complement as zero.
    let mut frame = with_pseudo_header_only(&plain(false));
    let at = plain(false).transport();
    frame[at..at + 2].fill(0);
    plain(false).partial().complete(&mut frame).unwrap();
    let port = [frame[at + 6], frame[at + 7]];
    let mut frame = with_pseudo_header_only(&plain(false));
    frame[at..at + 2].copy_from_slice(&port);
    plain(false).partial().complete(&mut frame).unwrap();
    assert_eq!(frame[at + 6..at + 8], [0xff, 0xff]);
}

#[test]
fn sctp_gets_its_crc() {
    let mut frame = [&[0; 34][..], b"123456789"].concat();
    frame[42..].fill(0);
    frame.resize(46, 9);
    PartialChecksum { start: 34, offset: 8 }.complete(&mut frame).unwrap();
    let mut zeroed = frame.clone();
    zeroed[42..46].fill(0);
    assert_eq!(frame[42..46], (!crc32c(!0, &zeroed[34..])).to_le_bytes());
    let outside = PartialChecksum { start: 40, offset: 8 }.complete(&mut frame);
    assert_eq!(outside, Err(BadOffload::ChecksumOutside));
}

#[test]
fn one_customer_tag_is_beyond_the_mtu_and_nothing_else() {
    let frame = |len, ethertype: [u8; 2]| {
        let mut frame = vec![0; len];
        frame[12..14].copy_from_slice(&ethertype);
        frame
    };
    assert_eq!(check_length(&frame(1514, [8, 0]), 1500), Ok(()));
    assert_eq!(check_length(&frame(1515, [8, 0]), 1500), Err(Refusal::TooLong));
    assert_eq!(check_length(&frame(1518, [0x81, 0]), 1500), Ok(()));
    assert_eq!(check_length(&frame(1519, [0x81, 0]), 1500), Err(Refusal::TooLong));
    assert_eq!(check_length(&frame(1515, [0x88, 0xa8]), 1500), Err(Refusal::TooLong));
    assert_eq!(check_length(&[0; 13], 1500), Err(Refusal::Malformed));
}
