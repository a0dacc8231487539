//! The network file: its model, its errors, whole-network checks, and each node's view of it.
//!
//! On both straight lines this crate stands before the first step: it says which ports there are, whose a FEC is, which
//! handoff an ISP has and which pools. Nothing here runs while packets flow.
//!
//! [`Network::load`] gives a network that holds together, or a [`Report`] of everything that is wrong with the file,
//! each problem with its line and with what to write instead. [`Network::node`] gives what one node needs,
//! [`Difference`] what is different between two files.

mod check;
mod difference;
pub mod model;
mod names;
mod network;
mod numbers;
mod read;
mod report;
mod schema;
mod view;

pub use difference::{Difference, Edit, Field, Item, Obstacle, Subject};
pub use model::TransportPreference;
pub use names::{DeviceName, DeviceNameError, LabelRange, LspMtu, MoveGrace, Name, NameError, Preference};
pub use network::{Network, digest};
pub use numbers::PortNumbers;
pub use report::{Problem, Report};
pub use schema::{schema, schema_text};
pub use view::{FecKind, FecOwner, HandoffView, HeadendView, IspFec, IspView, NodeView, ReturnRouteView};
