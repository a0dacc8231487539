//! LDP's sockets: one UDP socket per backbone device and address family for link Hellos, one for targeted Hellos, TCP
//! listeners, and the sessions' connections.
//!
//! Each socket is a task that feeds the event loop's bounded queue, so a peer that sends faster than the loop reads is
//! slowed down by TCP. What is to be written is bounded by the speaker, which is told what was.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ldp::{Action, AddressFamily, ConnId, InterfaceId, Password};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::Input;
use super::ldp_socket::{self, GROUP, GROUP_V6, Listeners, PORT};

/// How long a connection attempt may take.
const CONNECT_TIME: Duration = Duration::from_secs(30);
/// How long what is still to be written to a closed connection is tried.
const LINGER: Duration = Duration::from_secs(1);
/// Octets read at once from a connection.
const READ_CHUNK: usize = 16 * 1024;
/// Octets of the longest datagram; a Hello has less than 100.
const DATAGRAM: usize = 4096;

/// What came by a socket.
#[derive(Debug)]
pub(crate) enum LdpInput {
    /// A datagram on a device, to all routers there.
    Datagram(InterfaceId, SocketAddr, Vec<u8>),
    /// A datagram to the transport address.
    Targeted(SocketAddr, Vec<u8>),
    /// Somebody connected; the connection has this name.
    Accepted(ConnId, SocketAddr),
    /// A connection that was asked for is there.
    Connected(ConnId),
    /// A connection that was asked for could not be made.
    ConnectFailed(ConnId),
    /// Octets came.
    Stream(ConnId, Vec<u8>),
    /// The kernel took this many octets.
    Written(ConnId, usize),
    /// The connection is no more.
    Closed(ConnId),
}

/// How a node sends and receives LDP: by sockets ([`LdpIo`]), or by a simulated network.
pub(crate) trait LdpTransport {
    /// Sends and receives Hellos on this device, if it does not yet.
    fn open_interface(&mut self, interface: InterfaceId, device: &str) -> io::Result<()>;

    /// No more Hellos on this device.
    fn close_interface(&mut self, interface: InterfaceId);

    /// Whether the speaker is to hear of this; takes note of what happened to a connection.
    fn concerns(&mut self, input: &LdpInput) -> bool;

    /// Does what the speaker asks for.
    fn act(&mut self, action: Action);

    /// Ends when what was written is on its way, or after a short time.
    fn finish(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()>>>;
}

/// LDP's sockets.
pub(crate) struct LdpIo {
    listeners: BTreeMap<AddressFamily, Arc<TcpListener>>,
    inputs: mpsc::Sender<Input>,
    hellos: BTreeMap<(InterfaceId, AddressFamily), HelloSocket>,
    targeted: BTreeMap<AddressFamily, Arc<UdpSocket>>,
    /// Whose connections should be signed and cannot be.
    unsigned: BTreeSet<IpAddr>,
    connections: HashMap<ConnId, Connection>,
    /// Accepted connections, each followed by its [`LdpInput::Accepted`].
    accepted: mpsc::Receiver<(ConnId, TcpStream)>,
    /// Connections' tasks, those of closed ones too for as long as they linger.
    conversations: JoinSet<()>,
    /// The listener's and the Hello sockets' tasks.
    listening: JoinSet<()>,
}

struct HelloSocket {
    socket: Arc<UdpSocket>,
    reader: AbortHandle,
}

struct Connection {
    commands: UnboundedSender<Command>,
    task: AbortHandle,
    established: bool,
}

enum Command {
    Write(Vec<u8>),
    Gtsm { required: bool },
}

impl LdpIo {
    /// Accepts connections and takes targeted Hellos from now on; see [`ldp_socket::listen`] for the sockets.
    pub(crate) fn new(listening_at: Listeners, inputs: mpsc::Sender<Input>) -> Self {
        let mut listening = JoinSet::new();
        let targeted: BTreeMap<_, _> =
            listening_at.targeted.into_iter().map(|(family, socket)| (family, Arc::new(socket))).collect();
        for targeted in targeted.values() {
            listening.spawn(receive(Arc::clone(targeted), LdpInput::Targeted, inputs.clone()));
        }
        let sessions = listening_at.sessions.into_iter();
        let listeners: BTreeMap<_, _> =
            sessions.map(|(family, listener)| (family, Arc::new(listener))).collect();
        // One: who accepts waits for the event loop.
        let (streams, accepted) = mpsc::channel(1);
        for (first, listener) in (0..).zip(listeners.values()) {
            // Names that no other listener gives.
            let names = (first..ConnId::OUTGOING).step_by(listeners.len()).map(ConnId);
            listening.spawn(accept(Arc::clone(listener), names, streams.clone(), inputs.clone()));
        }
        Self {
            listeners,
            inputs,
            hellos: BTreeMap::new(),
            targeted,
            unsigned: BTreeSet::new(),
            connections: HashMap::new(),
            accepted,
            conversations: JoinSet::new(),
            listening,
        }
    }

    /// Reads from a connection that was accepted, from now on.
    fn adopt(&mut self, conn: ConnId, remote: IpAddr) -> bool {
        let Some((_, stream)) = self.accepted.try_recv().ok().filter(|(name, _)| *name == conn) else {
            return false;
        };
        if self.unsigned.contains(&remote) {
            return false;
        }
        let (commands, receiver) = mpsc::unbounded_channel();
        let task = self.conversations.spawn(converse(stream, conn, receiver, self.inputs.clone()));
        self.connections.insert(conn, Connection { commands, task, established: true });
        true
    }

    fn send_hello(&self, interface: InterfaceId, family: AddressFamily, octets: &[u8]) {
        let to = match family {
            AddressFamily::Ipv4 => SocketAddr::from((GROUP, PORT)),
            AddressFamily::Ipv6 => SocketAddrV6::new(GROUP_V6, PORT, 0, interface.0).into(),
        };
        if let Some(hello) = self.hellos.get(&(interface, family)) {
            Self::send_datagram(&hello.socket, to, octets);
        }
    }

    fn send_datagram(socket: &UdpSocket, to: SocketAddr, octets: &[u8]) {
        // Not by `try_send_to`: a socket that was just opened is not ready in the runtime's eyes, and the first Hello, which
        // a session waits for, would be lost. One that cannot be sent is like one that is lost: the next follows soon.
        let socket = socket2::SockRef::from(socket);
        if let Err(error) = socket.send_to(octets, &to.into()) {
            tracing::debug!("a Hello to {to} could not be sent: {error}");
        }
    }

    fn command(&self, conn: ConnId, command: Command) {
        if let Some(connection) = self.connections.get(&conn) {
            // A task that is gone has said so; the loop has not heard it yet.
            let _ = connection.commands.send(command);
        }
    }
}

impl LdpTransport for LdpIo {
    fn open_interface(&mut self, interface: InterfaceId, device: &str) -> io::Result<()> {
        for &family in self.listeners.keys() {
            if self.hellos.contains_key(&(interface, family)) {
                continue;
            }
            let socket = Arc::new(ldp_socket::hellos(interface, device, family)?);
            let link = move |source, octets| LdpInput::Datagram(interface, source, octets);
            let reader = self.listening.spawn(receive(Arc::clone(&socket), link, self.inputs.clone()));
            self.hellos.insert((interface, family), HelloSocket { socket, reader });
        }
        Ok(())
    }

    fn close_interface(&mut self, interface: InterfaceId) {
        for family in self.listeners.keys() {
            if let Some(hello) = self.hellos.remove(&(interface, *family)) {
                hello.reader.abort();
            }
        }
    }

    fn concerns(&mut self, input: &LdpInput) -> bool {
        match input {
            LdpInput::Datagram(interface, source, _) => {
                self.hellos.contains_key(&(*interface, AddressFamily::of_address(source.ip())))
            }
            LdpInput::Targeted(..) => true,
            LdpInput::Accepted(conn, remote) => self.adopt(*conn, remote.ip()),
            LdpInput::Connected(conn) => {
                let connection = self.connections.get_mut(conn);
                connection.map(|connection| connection.established = true).is_some()
            }
            LdpInput::Stream(conn, _) | LdpInput::Written(conn, _) => self.connections.contains_key(conn),
            LdpInput::ConnectFailed(conn) | LdpInput::Closed(conn) => self.connections.remove(conn).is_some(),
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::SendHello { interface, family, octets } => self.send_hello(interface, family, &octets),
            Action::SendTargetedHello { to, octets } => {
                if let Some(socket) = self.targeted.get(&AddressFamily::of_address(to)) {
                    Self::send_datagram(socket, SocketAddr::from((to, PORT)), &octets);
                }
            }
            Action::Connect { conn, local, remote, password } => {
                let (commands, receiver) = mpsc::unbounded_channel();
                let ends = (local, remote, password);
                let task = self.conversations.spawn(connect(ends, conn, receiver, self.inputs.clone()));
                self.connections.insert(conn, Connection { commands, task, established: false });
            }
            Action::Sign { remote, password } => {
                self.unsigned.remove(&remote);
                let Some(listener) = self.listeners.get(&AddressFamily::of_address(remote)) else { return };
                if let Err(error) = ldp_socket::sign(&**listener, remote, password.as_ref()) {
                    tracing::error!(
                        "LDP connections with {remote} cannot be signed, and none is accepted: {error}"
                    );
                    self.unsigned.insert(remote);
                }
            }
            Action::RequireGtsm { conn } => self.command(conn, Command::Gtsm { required: true }),
            Action::WaiveGtsm { conn } => self.command(conn, Command::Gtsm { required: false }),
            Action::Write { conn, octets } => self.command(conn, Command::Write(octets)),
            Action::Close { conn } => {
                if let Some(connection) = self.connections.remove(&conn)
                    && !connection.established
                {
                    connection.task.abort();
                }
                // Else the task sees that its commands ended, and lingers.
            }
        }
        while self.conversations.try_join_next().is_some() || self.listening.try_join_next().is_some() {}
    }

    fn finish(mut self: Box<Self>) -> Pin<Box<dyn Future<Output = ()>>> {
        self.listening.abort_all();
        self.connections.clear();
        Box::pin(async move {
            let _ = timeout(LINGER, async { while self.conversations.join_next().await.is_some() {} }).await;
        })
    }
}

async fn accept(
    listener: Arc<TcpListener>,
    mut names: impl Iterator<Item = ConnId>,
    streams: mpsc::Sender<(ConnId, TcpStream)>,
    inputs: mpsc::Sender<Input>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let Some(conn) = names.next() else { return };
                if streams.send((conn, stream)).await.is_err() {
                    return;
                }
                if inputs.send(Input::Ldp(LdpInput::Accepted(conn, remote))).await.is_err() {
                    return;
                }
            }
            // Out of descriptors, or the peer gave up meanwhile: neither ends the listener.
            Err(error) => {
                tracing::warn!("an LDP connection could not be accepted: {error}");
                let _ = timeout(Duration::from_millis(100), inputs.closed()).await;
            }
        }
    }
}

async fn receive(
    socket: Arc<UdpSocket>,
    came: impl Fn(SocketAddr, Vec<u8>) -> LdpInput,
    inputs: mpsc::Sender<Input>,
) {
    let mut buffer = [0; DATAGRAM];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((len, source)) => {
                let octets = buffer.get(..len).unwrap_or_default().to_vec();
                if inputs.send(Input::Ldp(came(source, octets))).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!("no Hello could be received: {error}");
                let _ = timeout(Duration::from_millis(100), inputs.closed()).await;
            }
        }
    }
}

async fn connect(
    (local, remote, password): (IpAddr, SocketAddr, Option<Password>),
    conn: ConnId,
    commands: UnboundedReceiver<Command>,
    inputs: mpsc::Sender<Input>,
) {
    let attempt = async {
        let socket = ldp_socket::stream(AddressFamily::of_address(local))?;
        socket.bind(SocketAddr::from((local, 0)))?;
        if password.is_some() {
            ldp_socket::sign(&socket, remote.ip(), password.as_ref())?;
        }
        socket.connect(remote).await
    };
    match timeout(CONNECT_TIME, attempt).await {
        Ok(Ok(stream)) => {
            let _ = inputs.send(Input::Ldp(LdpInput::Connected(conn))).await;
            converse(stream, conn, commands, inputs).await;
        }
        failed => {
            match failed {
                Ok(Err(error)) => tracing::debug!("LDP connection to {remote}: {error}"),
                _ => tracing::debug!("LDP connection to {remote}: no answer in {CONNECT_TIME:?}"),
            }
            let _ = inputs.send(Input::Ldp(LdpInput::ConnectFailed(conn))).await;
        }
    }
}

/// Reads and writes until either end closes; the loop does so by dropping the sender of commands.
async fn converse(
    stream: TcpStream,
    conn: ConnId,
    mut commands: UnboundedReceiver<Command>,
    inputs: mpsc::Sender<Input>,
) {
    let _ = stream.set_nodelay(true);
    let asked_to_close = tokio::select! {
        () = read(&stream, conn, &inputs) => false,
        closed = write(&stream, conn, &mut commands, &inputs) => closed,
    };
    if asked_to_close {
        let _ = timeout(LINGER, say_goodbye(&stream)).await;
    } else {
        let _ = inputs.send(Input::Ldp(LdpInput::Closed(conn))).await;
    }
}

/// Closes our direction and waits for the peer to close its own: closing with octets unread would make the kernel send
/// a reset, which may overtake the notification that says why.
async fn say_goodbye(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write);
    let mut unwanted = [0; 4096];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut unwanted) {
            Ok(0) => return,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}

async fn read(stream: &TcpStream, conn: ConnId, inputs: &mpsc::Sender<Input>) {
    let mut buffer = vec![0; READ_CHUNK];
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => {
                let octets = buffer.get(..len).unwrap_or_default().to_vec();
                if inputs.send(Input::Ldp(LdpInput::Stream(conn, octets))).await.is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// `true` if the loop closed the connection, `false` if it failed.
async fn write(
    stream: &TcpStream,
    conn: ConnId,
    commands: &mut UnboundedReceiver<Command>,
    inputs: &mpsc::Sender<Input>,
) -> bool {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Gtsm { required } => {
                if let Err(error) = ldp_socket::set_gtsm(stream, required) {
                    tracing::warn!("GTSM cannot be required of an LDP session, or waived: {error}");
                }
            }
            Command::Write(octets) => {
                let mut rest = &octets[..];
                while !rest.is_empty() {
                    // Lingering is bounded once the loop has dropped its end.
                    let patience = if commands.is_closed() { LINGER } else { Duration::MAX };
                    match timeout(patience, stream.writable()).await {
                        Ok(Ok(())) => {}
                        _ => return commands.is_closed(),
                    }
                    match stream.try_write(rest) {
                        Ok(len) => {
                            rest = rest.get(len..).unwrap_or_default();
                            let _ = inputs.send(Input::Ldp(LdpInput::Written(conn, len))).await;
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => return false,
                    }
                }
            }
        }
    }
    true
}
