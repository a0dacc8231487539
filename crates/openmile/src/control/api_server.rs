//! The node's API: HTTP over a Unix socket, for root, the user that the node runs as and the members of its group. The
//! kernel sees to that when they connect: the socket is writable for user and group, and nobody else gets into its directory.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path as FilePath;

use api::{ImportLine, ImportOptions, PREFIX, Refused, ShowWhat, SubscriberPage, SubscriberRequest};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use super::Input;
use super::directory::{DirectoryInput, PageQuery};
use super::events::EventBus;
use super::reload;

/// Octets of a request about some subscribers.
const REQUEST_LIMIT: usize = 4 << 20;
/// Octets of a file of subscribers: a few million rows.
const IMPORT_LIMIT: usize = 512 << 20;
/// Lines of an import's answer that wait for whoever asked.
const IMPORT_LINES: usize = 64;

/// A question to the event loop.
#[derive(Debug)]
pub(crate) struct Query {
    /// What is asked.
    pub(crate) what: Question,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<serde_json::Value>,
}

/// What is to be done with an LDP neighbor.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Its LSR-id.
    pub(crate) neighbor: Ipv4Addr,
    /// What.
    pub(crate) operation: api::LdpOperation,
    /// Whether there is anything to do it with.
    pub(crate) answer: oneshot::Sender<bool>,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Question {
    /// Which node this is.
    Node,
    /// A table.
    Show(ShowWhat),
}

#[derive(Clone)]
struct Shared {
    inputs: mpsc::Sender<Input>,
    reloads: mpsc::Sender<reload::Request>,
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
    reloads: mpsc::Sender<reload::Request>,
    events: EventBus,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/node", get(node))
        .route("/show/{what}", get(show))
        .route("/events", get(follow))
        .route("/subscribers", get(page).post(edit).layer(DefaultBodyLimit::max(REQUEST_LIMIT)))
        .route("/subscribers/import", post(import).layer(DefaultBodyLimit::max(IMPORT_LIMIT)))
        .route("/reload", post(reload_file))
        .route("/ldp/neighbors/{lsr_id}/{operation}", post(operate))
        .with_state(Shared { inputs, reloads, events });
    let service = Router::new().nest(PREFIX, routes).into_make_service();
    axum::serve(listener, service).await
}

async fn node(State(shared): State<Shared>) -> Response {
    ask(&shared, Question::Node).await
}

async fn show(State(shared): State<Shared>, Path(what): Path<String>) -> Response {
    match ShowWhat::ALL.into_iter().find(|known| known.name() == what) {
        Some(ShowWhat::Subscribers) => all_subscribers(shared),
        Some(what) => ask(&shared, Question::Show(what)).await,
        None => {
            let known: Vec<_> = ShowWhat::ALL.iter().map(|what| what.name()).collect();
            let message = format!("there is no table `{what}`; there are {}", known.join(", "));
            (StatusCode::NOT_FOUND, message).into_response()
        }
    }
}

async fn reload_file(
    State(shared): State<Shared>,
    UrlQuery(api::ReloadOptions { dry_run }): UrlQuery<api::ReloadOptions>,
) -> Response {
    let (answer, answered) = oneshot::channel();
    let asked = shared.reloads.send(reload::Request { dry_run, answer }).await.is_ok();
    match (asked, answered.await) {
        (true, Ok(Ok(reload))) => axum::Json(reload).into_response(),
        (true, Ok(Err(why))) => (StatusCode::UNPROCESSABLE_ENTITY, why).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the node is stopping").into_response(),
    }
}

async fn operate(
    State(shared): State<Shared>,
    Path((lsr_id, operation)): Path<(String, String)>,
) -> Response {
    let known = api::LdpOperation::ALL;
    let Some(operation) = known.into_iter().find(|known| known.name() == operation) else {
        let known: Vec<_> = known.iter().map(|operation| operation.name()).collect();
        let message = format!("there is no operation `{operation}`; there are {}", known.join(", "));
        return (StatusCode::NOT_FOUND, message).into_response();
    };
    let Ok(neighbor) = lsr_id.parse() else {
        let message =
            format!("`{lsr_id}` is no LSR-id: write an IPv4 address, as `openmile show neighbors` does");
        return (StatusCode::BAD_REQUEST, message).into_response();
    };
    let (answer, answered) = oneshot::channel();
    let asked = shared.inputs.send(Input::Operate(Operation { neighbor, operation, answer })).await.is_ok();
    match (asked, answered.await) {
        (true, Ok(true)) => StatusCode::NO_CONTENT.into_response(),
        (true, Ok(false)) => {
            let message = format!("{neighbor} is no LDP neighbor; `openmile show neighbors` lists them");
            (StatusCode::NOT_FOUND, message).into_response()
        }
        _ => stopping(),
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

/// The query of `GET /v1/subscribers`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PageAsked {
    after: Option<String>,
    limit: Option<usize>,
    isp: Option<String>,
    subscriber: Option<String>,
}

async fn page(State(shared): State<Shared>, UrlQuery(asked): UrlQuery<PageAsked>) -> Response {
    let wrong = |field: &str, text: &str, help: &str| {
        let message = format!("`{field}` cannot be `{text}`");
        refused(
            StatusCode::BAD_REQUEST,
            Refused { message, help: Some(help.into()), errors: Vec::new(), count: 1 },
        )
    };
    let from = match asked.after.as_deref().map(str::parse) {
        None => Default::default(),
        Some(Ok(place)) => place,
        Some(Err(_)) => return wrong("after", &asked.after.unwrap_or_default(), "take the `next` of a page"),
    };
    let isp = match asked.isp.as_deref().map(str::parse) {
        None => None,
        Some(Ok(isp)) => Some(isp),
        Some(Err(_)) => {
            return wrong("isp", &asked.isp.unwrap_or_default(), "write an AS number, as in 64501");
        }
    };
    let (limit, subscriber) = (asked.limit.unwrap_or(api::MAX_PAGE), asked.subscriber);
    match one_page(&shared, PageQuery { from, limit, isp, subscriber }).await {
        Some(page) => axum::Json(page).into_response(),
        None => stopping(),
    }
}

async fn one_page(shared: &Shared, query: PageQuery) -> Option<SubscriberPage> {
    let (answer, answered) = oneshot::channel();
    shared.inputs.send(Input::Directory(DirectoryInput::Page(query, answer))).await.ok()?;
    answered.await.ok()
}

/// All rows as one list, made of pages while it is sent, so that the loop never stops for a million of them.
fn all_subscribers(shared: Shared) -> Response {
    let first = Some((Some(String::new()), true));
    let parts = futures_util::stream::unfold((shared, first), |(shared, state)| async {
        let (next, first) = state?;
        let Some(after) = next else {
            return Some((Ok::<_, Infallible>(Bytes::from_static(b"]")), (shared, None)));
        };
        let query = PageQuery {
            from: after.parse().unwrap_or_default(),
            limit: api::MAX_PAGE,
            ..PageQuery::default()
        };
        let page = one_page(&shared, query).await?;
        let mut text = if first { b"[".to_vec() } else { Vec::new() };
        let rows = serde_json::to_vec(&page.rows).unwrap_or_default();
        let rows = rows.get(1..rows.len().saturating_sub(1)).unwrap_or_default();
        let empty = rows.is_empty();
        if !first && !empty {
            text.push(b',');
        }
        text.extend_from_slice(rows);
        Some((Ok(Bytes::from(text)), (shared, Some((page.next, first && empty)))))
    });
    let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (kind, Body::from_stream(parts)).into_response()
}

async fn edit(State(shared): State<Shared>, body: Bytes) -> Response {
    let request: SubscriberRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let message = format!("the request cannot be read: {error}");
            let help = Some("see `SubscriberRequest` of the API".to_owned());
            return refused(StatusCode::BAD_REQUEST, Refused { message, help, errors: Vec::new(), count: 1 });
        }
    };
    if request.edits.len() > api::MAX_EDITS {
        let message =
            format!("{} edits are more than {} in one request", request.edits.len(), api::MAX_EDITS);
        let help = Some("ask for fewer at once, or import a file".to_owned());
        return refused(StatusCode::BAD_REQUEST, Refused { message, help, errors: Vec::new(), count: 1 });
    }
    let (answer, answered) = oneshot::channel();
    let asked = shared.inputs.send(Input::Directory(DirectoryInput::Edit(request, answer))).await.is_ok();
    match (asked, answered.await) {
        (true, Ok(Ok(done))) => axum::Json(done).into_response(),
        (true, Ok(Err(why))) => refused(StatusCode::UNPROCESSABLE_ENTITY, why),
        _ => stopping(),
    }
}

async fn import(
    State(shared): State<Shared>,
    UrlQuery(options): UrlQuery<ImportOptions>,
    body: Bytes,
) -> Response {
    let text = match String::from_utf8(body.into()) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let line = error.as_bytes().iter().take(at).filter(|octet| **octet == b'\n').count() + 1;
            let message = format!("line {line}: the file is not UTF-8");
            let help = Some("save it as UTF-8".to_owned());
            return refused(StatusCode::BAD_REQUEST, Refused { message, help, errors: Vec::new(), count: 1 });
        }
    };
    let (lines, told) = mpsc::channel(IMPORT_LINES);
    if shared.inputs.send(Input::Directory(DirectoryInput::Import(text, options, lines))).await.is_err() {
        return stopping();
    }
    let lines = futures_util::stream::unfold(told, |mut told: mpsc::Receiver<ImportLine>| async {
        let mut line = serde_json::to_vec(&told.recv().await?).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(line)), told))
    });
    let kind = [(axum::http::header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}

fn refused(status: StatusCode, why: Refused) -> Response {
    (status, axum::Json(why)).into_response()
}

fn stopping() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the node is stopping").into_response()
}

async fn ask(shared: &Shared, what: Question) -> Response {
    let (answer, answered) = oneshot::channel();
    let asked = shared.inputs.send(Input::Api(Query { what, answer })).await.is_ok();
    match (asked, answered.await) {
        (true, Ok(value)) => axum::Json(value).into_response(),
        _ => stopping(),
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
        let (reloads, _requests) = mpsc::channel(1);
        tokio::spawn(serve(listener, inputs, reloads, events.clone()));
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
