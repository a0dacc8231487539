//! The node's API: HTTP over a Unix socket, for root and for the user that the node runs as.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path as FilePath;

use api::{PREFIX, ShowWhat};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use super::Input;
use super::events::EventBus;

/// A question to the event loop.
#[derive(Debug)]
pub(crate) struct Query {
    /// What is asked.
    pub(crate) what: Question,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<serde_json::Value>,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Question {
    /// Which node this is.
    Node,
    /// A table.
    Show(ShowWhat),
}

/// The peer's user, as the kernel says.
#[derive(Clone, Copy, Debug)]
struct PeerUser(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for PeerUser {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|peer| peer.uid()))
    }
}

#[derive(Clone)]
struct Shared {
    inputs: mpsc::Sender<Input>,
    events: EventBus,
}

/// Listens at `path`; what a killed process left there is replaced (the supervisor's lock says that no other lives).
pub(crate) fn bind(path: &FilePath) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Serves until it is dropped.
pub(crate) async fn serve(
    listener: UnixListener,
    inputs: mpsc::Sender<Input>,
    events: EventBus,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/node", get(node))
        .route("/show/{what}", get(show))
        .route("/events", get(follow))
        .layer(axum::middleware::from_fn(only_allowed))
        .with_state(Shared { inputs, events });
    let service = Router::new().nest(PREFIX, routes).into_make_service_with_connect_info::<PeerUser>();
    axum::serve(listener, service).await
}

async fn only_allowed(
    ConnectInfo(PeerUser(user)): ConnectInfo<PeerUser>,
    request: Request,
    next: Next,
) -> Response {
    let own = rustix::process::geteuid().as_raw();
    match user {
        Some(user) if user == 0 || user == own => next.run(request).await,
        _ => (StatusCode::FORBIDDEN, "only root and the user that the node runs as may ask").into_response(),
    }
}

async fn node(State(shared): State<Shared>) -> Response {
    ask(&shared, Question::Node).await
}

async fn show(State(shared): State<Shared>, Path(what): Path<String>) -> Response {
    match ShowWhat::ALL.into_iter().find(|known| known.name() == what) {
        Some(what) => ask(&shared, Question::Show(what)).await,
        None => {
            let known: Vec<_> = ShowWhat::ALL.iter().map(|what| what.name()).collect();
            let message = format!("there is no table `{what}`; there are {}", known.join(", "));
            (StatusCode::NOT_FOUND, message).into_response()
        }
    }
}

async fn follow(State(shared): State<Shared>) -> Response {
    let lines = futures_util::stream::unfold(shared.events.follow(), |mut follower| async {
        let mut line = serde_json::to_vec(&follower.next().await?).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(line)), follower))
    });
    let kind = [(axum::http::header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}

async fn ask(shared: &Shared, what: Question) -> Response {
    let (answer, answered) = oneshot::channel();
    let asked = shared.inputs.send(Input::Api(Query { what, answer })).await.is_ok();
    match (asked, answered.await) {
        (true, Ok(value)) => axum::Json(value).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the node is stopping").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_client_is_served() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        std::fs::write(&path, "left over").unwrap();
        let listener = bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let (inputs, mut asked) = mpsc::channel(4);
        let events = EventBus::new();
        tokio::spawn(serve(listener, inputs, events.clone()));
        tokio::spawn(async move {
            while let Some(Input::Api(query)) = asked.recv().await {
                let _ = query.answer.send(match query.what {
                    Question::Show(ShowWhat::Fec) => serde_json::json!(["row"]),
                    _ => serde_json::json!(null),
                });
            }
        });
        let client = api::Client::new(&path);
        assert_eq!(client.show::<Vec<String>>(ShowWhat::Fec).await.unwrap(), ["row"]);
        let mut stream = client.events().await.unwrap();
        assert_eq!(stream.next().await.unwrap(), Some(api::Event::Subscribed));
        events.tell(api::Event::Recovered);
        assert_eq!(stream.next().await.unwrap(), Some(api::Event::Recovered));
    }
}
