//! Packet sockets: the calls, and what the kernel says of the device.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use wire::MacAddr;

use super::RingSize;
use super::abi::{self, Membership, RingRequest, RingStatistics, SocketStatistics};
use crate::{Link, PortError};

/// A packet socket (`SOCK_RAW`, non-blocking), deaf until it is bound.
#[derive(Debug)]
pub(crate) struct PacketSocket(OwnedFd);

/// A device as the kernel describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device {
    pub(crate) index: i32,
    pub(crate) mac: MacAddr,
    pub(crate) mtu: u32,
    pub(crate) link: Link,
}

/// A [`PortError`] that does not know its device yet.
#[derive(Debug)]
pub(crate) enum DeviceError {
    NoSuchDevice,
    NotPermitted,
    NotEthernet,
    System(&'static str, io::Error),
}

impl DeviceError {
    /// The error, of this device.
    pub(crate) fn of(self, device: &str) -> PortError {
        let device = device.to_owned();
        match self {
            Self::NoSuchDevice => PortError::NoSuchDevice(device),
            Self::NotPermitted => PortError::NotPermitted,
            Self::NotEthernet => PortError::NotEthernet(device),
            Self::System(doing, source) => PortError::System { device, doing, source },
        }
    }
}

fn check(result: i32, doing: &'static str) -> Result<i32, DeviceError> {
    if result < 0 { Err(DeviceError::System(doing, io::Error::last_os_error())) } else { Ok(result) }
}

impl PacketSocket {
    pub(crate) fn new() -> Result<Self, DeviceError> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: takes no pointers.
        match check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) }, "opening a packet socket") {
            // SAFETY: just opened, and owned by nobody else.
            Ok(fd) => Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) })),
            Err(DeviceError::System(_, error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(DeviceError::NotPermitted)
            }
            Err(error) => Err(error),
        }
    }

    /// What the kernel says of the device of this name in the socket's network namespace.
    pub(crate) fn device(&self, name: &str) -> Result<Device, DeviceError> {
        // SAFETY: all octets zero are a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        if name.is_empty() || name.len() >= request.ifr_name.len() || name.contains('\0') {
            return Err(DeviceError::NoSuchDevice);
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        self.describe(request)
    }

    /// What the kernel says of the device of this index in the socket's network namespace, whatever its name is now.
    pub(super) fn device_at(&self, index: i32) -> Result<Device, DeviceError> {
        // SAFETY: all octets zero are a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        request.ifr_ifru.ifru_ifindex = index;
        self.ask(libc::SIOCGIFNAME, &mut request)?;
        self.describe(request)
    }

    /// What the kernel says of the device that the request names.
    fn describe(&self, mut request: libc::ifreq) -> Result<Device, DeviceError> {
        self.ask(libc::SIOCGIFINDEX, &mut request)?;
        // SAFETY: the kernel has just filled in this member; any bits are a number.
        let index = unsafe { request.ifr_ifru.ifru_ifindex };
        self.ask(libc::SIOCGIFMTU, &mut request)?;
        // SAFETY: as above.
        let mtu = unsafe { request.ifr_ifru.ifru_mtu };
        self.ask(libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: as above.
        let flags = i32::from(unsafe { request.ifr_ifru.ifru_flags });
        self.ask(libc::SIOCGIFHWADDR, &mut request)?;
        // SAFETY: as above.
        let address = unsafe { request.ifr_ifru.ifru_hwaddr };
        if address.sa_family != libc::ARPHRD_ETHER {
            return Err(DeviceError::NotEthernet);
        }
        let mut mac = [0; 6];
        for (to, from) in mac.iter_mut().zip(address.sa_data) {
            *to = from as u8;
        }
        let link = match flags & libc::IFF_UP != 0 {
            false => Link::Down,
            true if self.carrier(request).unwrap_or(flags & libc::IFF_RUNNING != 0) => Link::Up,
            true => Link::NoCarrier,
        };
        Ok(Device { index, mac: MacAddr(mac), mtu: u32::try_from(mtu).unwrap_or(0), link })
    }

    /// Whether the device has a carrier. `IFF_RUNNING` says the same up to a second later.
    fn carrier(&self, mut request: libc::ifreq) -> Option<bool> {
        let mut question = abi::EthtoolValue { command: abi::ETHTOOL_GLINK, data: 0 };
        request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut question).cast();
        // SAFETY: `ETHTOOL_GLINK` writes an `ethtool_value` where the pointer points, which outlives the call.
        let result =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SIOCETHTOOL as libc::Ioctl, &mut request) };
        (result == 0).then_some(question.data != 0)
    }

    fn ask(&self, what: libc::Ioctl, request: &mut libc::ifreq) -> Result<(), DeviceError> {
        // SAFETY: these requests read a name or an index from an `ifreq` and write one of its members or its name.
        match check(unsafe { libc::ioctl(self.0.as_raw_fd(), what, request) }, "asking about the device") {
            Ok(_) => Ok(()),
            Err(DeviceError::System(_, error)) if error.raw_os_error() == Some(libc::ENODEV) => {
                Err(DeviceError::NoSuchDevice)
            }
            Err(error) => Err(error),
        }
    }

    fn set<T: Copy>(
        &self,
        level: i32,
        option: i32,
        value: T,
        doing: &'static str,
    ) -> Result<(), DeviceError> {
        let value = std::ptr::from_ref(&value);
        // SAFETY: points to an initialised value of this length, of which the kernel reads no more than that.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                value.cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        check(result, doing).map(drop)
    }

    /// Everything about receiving that must precede the ring.
    pub(super) fn set_up_receiving(&self) -> Result<(), DeviceError> {
        let set = |option, value: i32, doing| self.set(libc::SOL_PACKET, option, value, doing);
        set(abi::PACKET_VERSION, abi::TPACKET_V3, "asking for TPACKET_V3")?;
        set(abi::PACKET_VNET_HDR, 1, "asking for offload metadata")?;
        set(abi::PACKET_IGNORE_OUTGOING, 1, "asking not to see what is sent (Linux 4.20 can)")
    }

    /// A send buffer as large as we may have.
    pub(super) fn set_up_sending(&self) {
        const OCTETS: i32 = 4 << 20;
        // Beyond the usual limit only with CAP_NET_ADMIN; otherwise up to it.
        if self.set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, OCTETS, "").is_err() {
            let _ = self.set(libc::SOL_SOCKET, libc::SO_SNDBUF, OCTETS, "");
        }
    }

    /// Time stamps, tags beside the frame, and a receive buffer as large as we may have.
    pub(crate) fn set_up_capturing(&self) -> Result<(), DeviceError> {
        const OCTETS: i32 = 16 << 20;
        if self.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, OCTETS, "").is_err() {
            let _ = self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, OCTETS, "");
        }
        self.set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1_i32, "asking for time stamps")?;
        self.set(libc::SOL_PACKET, abi::PACKET_AUXDATA, 1_i32, "asking for VLAN tags")
    }

    pub(super) fn join_all_multicast(&self, ifindex: i32) -> Result<(), DeviceError> {
        let membership = Membership { ifindex, kind: abi::PACKET_MR_ALLMULTI, ..Membership::default() };
        self.set(libc::SOL_PACKET, abi::PACKET_ADD_MEMBERSHIP, membership, "asking for all multicast frames")
    }

    pub(super) fn set_up_ring(&self, size: RingSize) -> Result<(), DeviceError> {
        // The frame size has no meaning in TPACKET_V3, but the kernel checks that frames fill the blocks.
        let frame_size = size.block_len;
        let request = RingRequest {
            block_size: size.block_len,
            block_nr: size.blocks,
            frame_size,
            frame_nr: size.blocks,
            retire_blk_tov: size.retire_millis,
            sizeof_priv: 0,
            feature_req_word: 0,
        };
        self.set(libc::SOL_PACKET, abi::PACKET_RX_RING, request, "setting up a receive ring")
    }

    pub(super) fn map(&self, len: usize) -> Result<NonNull<u8>, DeviceError> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice changes none of our memory.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, self.0.as_raw_fd(), 0) };
        let error = || DeviceError::System("mapping the receive ring", io::Error::last_os_error());
        if start == libc::MAP_FAILED { Err(error()) } else { NonNull::new(start.cast()).ok_or_else(error) }
    }

    /// Binds to the device; frames of this protocol (an EtherType, `ETH_P_ALL`; 0: none) arrive from now on.
    pub(crate) fn bind(&self, ifindex: i32, protocol: u16) -> Result<(), DeviceError> {
        // SAFETY: all octets zero are a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = ifindex;
        let len = size_of_val(&address) as libc::socklen_t;
        // SAFETY: points to an initialised address of this length.
        let result = unsafe { libc::bind(self.0.as_raw_fd(), std::ptr::from_ref(&address).cast(), len) };
        check(result, "binding to the device").map(drop)
    }

    /// Takes a pending error off the socket, so that `poll` no longer reports it.
    pub(crate) fn take_error(&self) -> i32 {
        self.read_option(libc::SOL_SOCKET, libc::SO_ERROR).unwrap_or(0)
    }

    /// Frames dropped for want of room in the ring since the last call.
    pub(super) fn take_ring_drops(&self) -> u64 {
        self.read_option::<RingStatistics>(libc::SOL_PACKET, abi::PACKET_STATISTICS)
            .map_or(0, |statistics| u64::from(statistics.drops))
    }

    /// Frames dropped for want of room in the receive buffer since the last call; for a socket without a ring.
    pub(crate) fn take_socket_drops(&self) -> u64 {
        self.read_option::<SocketStatistics>(libc::SOL_PACKET, abi::PACKET_STATISTICS)
            .map_or(0, |statistics| u64::from(statistics.drops))
    }

    /// `T` is made of numbers only, all of whose bits may be anything.
    fn read_option<T: Copy + Default>(&self, level: i32, option: i32) -> Option<T> {
        let mut value = T::default();
        let mut len = size_of::<T>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `len` octets into `value`.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                std::ptr::from_mut(&mut value).cast(),
                &mut len,
            )
        };
        (result == 0).then_some(value)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
