//! Tables and one packet's way through a node; no I/O, no clock.
//!
//! On the straight line of a packet this crate is everything between `rx` and `tx`, one file a word:
//!
//! ```text
//! to the ISP         rx → classify → access_in → impose → tx                    (headend)
//!                    rx → classify → label_switch (swap) → tx                   (transit)
//!                    rx → classify → label_switch (pop) → handoff_out → tx      (tailend)
//! to the subscriber  rx → classify → handoff_in → impose → tx                   (tailend)
//!                    rx → classify → label_switch (pop) → access_out → tx       (headend)
//! ```
//!
//! On the straight line of a label binding it is the end: [`Forwarder::apply`] installs what control says.
//!
//! Two things hold by structure, not by a filter. An ISP's packet reaches a backbone port only through `impose`, which
//! cannot send without a label; and what comes out from under an ISP's label is looked up among that ISP's entries only.
//!
//! A packet's way is decided in full (`classify` to `impose` or `leave`) before its frame is touched (`depart`). Every
//! frame that [`Forwarder::process`] is given is sent, in one piece or in fragments, punted, consumed or dropped, and a
//! drop has one reason: that of the first check that failed, in this order: Ethernet header, port and station, label stack
//! or EtherType, IP header, scope, circuit, MAC address, this node's own addresses, way on, TTL, outgoing port, length.
//! Where there is something to tell, the sender is told (`answer`).

mod access_in;
mod access_out;
mod answer;
mod classify;
mod depart;
mod forwarder;
mod handoff_in;
mod handoff_out;
mod hash;
mod impose;
mod label_switch;
mod leave;
mod limit;
mod output;
mod packet;
mod tables;
mod turn_round;

pub use forwarder::{Forwarder, Options, PortFacts};
pub use output::{Charge, Departure, Output, Punt, Unresolved};
pub use tables::Capacities;
