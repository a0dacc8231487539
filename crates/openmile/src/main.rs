//! openmile: many ISPs on one access network and one MPLS backbone.
//!
//! The binary is where the parts meet: [`control`] runs the sans-I/O crates over real sockets, [`forwarder`] runs the
//! packet path over real ports, [`supervisor`] keeps both, [`cli`] speaks to control's API, [`lab`] builds a network of
//! namespaces and runs the daemon in each.

mod channel;
mod cli;
mod clock;
mod control;
mod counters;
mod forwarder;
mod lab;
mod label_memory;
mod logs;
mod netlink;
mod runtime_dir;
#[cfg(test)]
mod simulation;
mod site;
mod state_dir;
mod supervisor;
mod table;

fn main() -> std::process::ExitCode {
    cli::main()
}
