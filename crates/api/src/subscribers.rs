//! Requests that change a node's subscribers, and what they are answered with.

use serde::{Deserialize, Deserializer, Serialize};

use crate::Subscriber;

/// The most edits in one request.
pub const MAX_EDITS: usize = 1000;
/// The most rows of one page.
pub const MAX_PAGE: usize = 1000;

/// What is to become of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriberAction {
    /// A service more; a new subscriber, if there is none of this name.
    Add,
    /// A service has other fields.
    Set,
    /// A service goes to another ISP, make before break.
    Move,
    /// A service, or the whole subscriber, goes.
    Remove,
}

/// One edit. Fields are text as in a file of subscribers; one that is not given stays as it is, an empty one clears.
/// Numbers, and lists of prefixes, are taken too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriberEdit {
    /// What is to be done.
    pub action: SubscriberAction,
    /// The subscriber's name.
    pub subscriber: String,
    /// The service's ISP: with `add` of the new one, with `move` of the one that is left.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub isp: Option<String>,
    /// The ISP that it goes to, with `move`.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The access port.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The outer VLAN.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub outer_vlan: Option<String>,
    /// The inner VLAN.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub inner_vlan: Option<String>,
    /// The only Ethernet address that may speak.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The plan.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Addresses and prefixes, with spaces between.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "Option::is_none")]
    pub prefixes: Option<String>,
}

impl SubscriberEdit {
    /// An edit without fields.
    pub fn new(action: SubscriberAction, subscriber: impl Into<String>) -> Self {
        Self {
            action,
            subscriber: subscriber.into(),
            isp: None,
            to: None,
            port: None,
            outer_vlan: None,
            inner_vlan: None,
            mac: None,
            plan: None,
            prefixes: None,
        }
    }
}

/// `POST /v1/subscribers`: all of these, or nothing. Answered by [`SubscriberDone`] or [`Refused`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriberRequest {
    /// What is to be done, in this order; at most [`MAX_EDITS`].
    pub edits: Vec<SubscriberEdit>,
    /// Whether it is only to be tried.
    #[serde(default)]
    pub dry_run: bool,
}

/// All of a request is done, durably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriberDone {
    /// How many subscribers are not what they were.
    pub subscribers: u64,
    /// For how many seconds packets of an ISP that was left still arrive.
    pub move_grace: u64,
    /// Whether it was only tried.
    pub dry_run: bool,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// In a sentence.
    pub message: String,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What is wrong with what was asked, the first of it.
    #[serde(default)]
    pub errors: Vec<FieldError>,
    /// How much is wrong in all.
    #[serde(default)]
    pub count: u64,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Of which edit, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<usize>,
    /// In which line of a file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber: Option<String>,
    /// The field, as in a file of subscribers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// `GET /v1/subscribers?after=…&limit=…&isp=…&subscriber=…`: a page of services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriberPage {
    /// The services, all of each subscriber on the same page, in no particular order.
    pub rows: Vec<Subscriber>,
    /// What to ask for as `after` to get the next page; `None`: this was the last.
    pub next: Option<String>,
}

/// One line of what `POST /v1/subscribers/import` answers (JSON, one object a line).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportLine {
    /// This many rows were looked at; each is looked at twice.
    Progress {
        /// How many.
        rows: u64,
    },
    /// All rows are right and are being stored.
    Storing,
    /// It is done: the last line.
    Done(ImportDone),
    /// Nothing was changed: the last line.
    Refused(Refused),
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportDone {
    /// Rows of this node.
    pub rows: u64,
    /// Rows of other nodes, left to them.
    pub skipped: u64,
    /// Subscribers whose services are now those of the file.
    pub subscribers: u64,
    /// Subscribers that are no more.
    pub removed: u64,
    /// Whether it was only tried.
    pub dry_run: bool,
}

/// How an import is to be done: the query of `POST /v1/subscribers/import`, whose body is the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImportOptions {
    /// Whether subscribers that the file does not name are removed.
    pub replace: bool,
    /// Whether it is only to be tried.
    pub dry_run: bool,
}

/// Text, or what reads as text.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "text, a number, or a list of texts")]
    enum Like {
        Text(String),
        Number(u64),
        List(Vec<String>),
        Nothing,
    }
    Ok(match Like::deserialize(deserializer)? {
        Like::Text(text) => Some(text),
        Like::Number(number) => Some(number.to_string()),
        Like::List(list) => Some(list.join(" ")),
        Like::Nothing => None,
    })
}
