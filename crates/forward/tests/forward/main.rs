//! Frames in, frames and counters out: each row is what is installed, one frame, and all that becomes of it.

mod bindings;
mod chain;
mod choice;
mod frames;
mod handoff;
mod icmp;
mod labelled;
mod limits;
mod malformed;
mod model;
mod mtu;
mod network;
mod node;
mod own;
mod random;
mod to_isp;
mod transit;
