//! A client for the node's API over its Unix socket.

use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::{
    Event, ImportLine, ImportOptions, PREFIX, Refused, ShowWhat, SubscriberDone, SubscriberPage,
    SubscriberRequest,
};

/// The largest answer that is read.
const ANSWER_LIMIT: usize = 1 << 30;
/// The longest line of a stream.
const EVENT_LIMIT: usize = 1 << 20;

/// Speaks to one node.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why a node did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No socket there.
    #[error("no openmile node runs here: nothing listens at {}", socket.display())]
    NotRunning {
        /// The socket's path.
        socket: PathBuf,
    },
    /// The socket is another user's.
    #[error("no permission to ask the node at {}: run as root, as the node's user, or as a member of its group (openmile)", socket.display())]
    Permission {
        /// The socket's path.
        socket: PathBuf,
    },
    /// The connection failed.
    #[error("the connection to {} failed: {error}", socket.display())]
    Connection {
        /// The socket's path.
        socket: PathBuf,
        /// What happened.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The node refused.
    #[error("the node answered {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The node's words.
        message: String,
    },
    /// The node did nothing, and says why in detail.
    #[error("{0}")]
    Rejected(Refused),
    /// The answer is none of this version's.
    #[error("the node's answer cannot be read (another version of openmile?): {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl Client {
    /// A client of the node whose API socket this is.
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Self { socket: socket.as_ref().to_owned() }
    }

    /// Asks for a table, as the JSON that the node sent.
    pub async fn show_json(&self, what: ShowWhat) -> Result<serde_json::Value, ClientError> {
        self.get(&format!("/show/{}", what.name())).await
    }

    /// Asks for a table; `T` is what [`ShowWhat`] names.
    pub async fn show<T: DeserializeOwned>(&self, what: ShowWhat) -> Result<T, ClientError> {
        self.get(&format!("/show/{}", what.name())).await
    }

    /// Asks which node this is.
    pub async fn node(&self) -> Result<crate::NodeInfo, ClientError> {
        self.get("/node").await
    }

    /// Has the node read its network file again and go on with it. One that is refused changed nothing, and is
    /// [`ClientError::Refused`] with what is wrong.
    pub async fn reload(&self, options: crate::ReloadOptions) -> Result<crate::Reload, ClientError> {
        let path = format!("/reload?dry_run={}", options.dry_run);
        self.read(self.send(Method::POST, &path, Vec::new()).await?).await
    }

    /// Has something done with an LDP neighbor, named by its LSR-id.
    pub async fn operate(
        &self,
        neighbor: std::net::Ipv4Addr,
        operation: crate::LdpOperation,
    ) -> Result<(), ClientError> {
        let path = format!("/ldp/neighbors/{neighbor}/{}", operation.name());
        self.send(Method::POST, &path, Vec::new()).await.map(drop)
    }

    /// Follows what happens from now on.
    pub async fn events(&self) -> Result<Events, ClientError> {
        let response = self.request("/events").await?;
        Ok(Events(Lines { body: response.into_body(), buffer: Vec::new(), socket: self.socket.clone() }))
    }

    /// Changes subscribers: all that is asked, or nothing ([`ClientError::Rejected`]).
    pub async fn edit(&self, request: &SubscriberRequest) -> Result<SubscriberDone, ClientError> {
        let body = serde_json::to_vec(request)?;
        self.read(self.send(Method::POST, "/subscribers", body).await?).await
    }

    /// A page of subscribers; the query is that of [`SubscriberPage`].
    pub async fn subscribers(&self, query: &str) -> Result<SubscriberPage, ClientError> {
        self.get(&format!("/subscribers?{query}")).await
    }

    /// Imports a file of subscribers.
    pub async fn import(&self, file: Vec<u8>, options: ImportOptions) -> Result<ImportLines, ClientError> {
        let ImportOptions { replace, dry_run } = options;
        let path = format!("/subscribers/import?replace={replace}&dry_run={dry_run}");
        let response = self.send(Method::POST, &path, file).await?;
        Ok(ImportLines(Lines { body: response.into_body(), buffer: Vec::new(), socket: self.socket.clone() }))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(self.request(path).await?).await
    }

    async fn read<T: DeserializeOwned>(&self, response: Response<Incoming>) -> Result<T, ClientError> {
        let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
        let body = body.map_err(|error| self.broken(error))?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    }

    async fn request(&self, path: &str) -> Result<Response<Incoming>, ClientError> {
        self.send(Method::GET, path, Vec::new()).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unconnected(error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.broken(e))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("{PREFIX}{path}"))
            .header(hyper::header::HOST, "localhost")
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| self.broken(e))?;
        let response = sender.send_request(request).await.map_err(|e| self.broken(e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = Limited::new(response.into_body(), 1 << 20).collect().await.map_err(|e| self.broken(e))?;
        let body = body.to_bytes();
        if let Ok(refused) = serde_json::from_slice(&body) {
            return Err(ClientError::Rejected(refused));
        }
        let message = String::from_utf8_lossy(&body).into_owned();
        Err(ClientError::Refused { status: status.as_u16(), message })
    }

    fn unconnected(&self, error: std::io::Error) -> ClientError {
        let socket = self.socket.clone();
        match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning { socket }
            }
            std::io::ErrorKind::PermissionDenied => ClientError::Permission { socket },
            _ => ClientError::Connection { socket, error: error.into() },
        }
    }

    fn broken(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::Connection { socket: self.socket.clone(), error: error.into() }
    }
}

/// A node's events, as they happen.
#[derive(Debug)]
pub struct Events(Lines);

impl Events {
    /// The next event; `None` when the node ended the stream. Safe to cancel: nothing read is lost.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        self.0.next().await
    }
}

/// How an import goes; the last line says how it ended.
#[derive(Debug)]
pub struct ImportLines(Lines);

impl ImportLines {
    /// The next line; `None` when the node ended the stream.
    pub async fn next(&mut self) -> Result<Option<ImportLine>, ClientError> {
        self.0.next().await
    }
}

/// A stream of JSON, one object a line.
#[derive(Debug)]
struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
    socket: PathBuf,
}

impl Lines {
    async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            let broken = |error: Box<dyn std::error::Error + Send + Sync>| ClientError::Connection {
                socket: self.socket.clone(),
                error,
            };
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(error.into())),
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |d| d)),
            }
            if self.buffer.len() > EVENT_LIMIT {
                return Err(broken("a line longer than a megabyte".into()));
            }
        }
    }
}
