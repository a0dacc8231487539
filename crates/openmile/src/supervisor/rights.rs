//! What a node must be allowed to do, and what each of its processes keeps of that.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

/// What the daemon cannot do without, and what for.
const NEEDED: [(CapabilitySet, &str, &str); 4] = [
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN", "devices and addresses"),
    (CapabilitySet::NET_RAW, "CAP_NET_RAW", "frames"),
    (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN", "the namespace of its ports"),
    (CapabilitySet::NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE", "LDP's port 646"),
];

/// What control needs: addresses and neighbor entries, LDP's port.
pub(crate) const CONTROL: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_BIND_SERVICE);
/// What the forwarder needs: devices, frames, the namespace of its ports.
pub(crate) const FORWARDER: CapabilitySet =
    CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW).union(CapabilitySet::SYS_ADMIN);
/// What the supervisor needs: all that its children do, also to give devices back in the forwarder's stead.
const SUPERVISOR: CapabilitySet = CONTROL.union(FORWARDER);

/// Gives up all rights but these, and for good: no program that is started from here gets more. To be called before there
/// are threads, since each has its own rights.
///
/// Root goes on reading files of other users (CAP_DAC_OVERRIDE): one who runs a node by hand from somebody's home expects it.
pub(crate) fn keep_only(rights: CapabilitySet) -> io::Result<()> {
    let held = capabilities(None)?;
    let rights = rights | CapabilitySet::DAC_OVERRIDE;
    let (permitted, inheritable) = (held.permitted & rights, held.inheritable & rights);
    set_no_new_privs(true)?;
    set_capabilities(None, CapabilitySets { effective: permitted, permitted, inheritable })?;
    Ok(())
}

/// Gives up what the supervisor does not need.
pub(super) fn keep_supervisors() -> io::Result<()> {
    keep_only(SUPERVISOR)
}

/// Rights that this process lacks.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("not allowed to run a node: {missing}")]
#[diagnostic(help("run it as root, or give it these rights (AmbientCapabilities= in a systemd unit)"))]
pub(crate) struct MissingRights {
    missing: String,
}

/// Whether this process may do what a node does.
pub(crate) fn check() -> Result<(), MissingRights> {
    // The call fails for no process that asks about itself; if it ever does, what needs the rights will say so.
    let held = capabilities(None).map_or(CapabilitySet::all(), |sets| sets.effective);
    missing(held).map_or(Ok(()), |missing| Err(MissingRights { missing }))
}

fn missing(held: CapabilitySet) -> Option<String> {
    let missing: Vec<_> = NEEDED
        .iter()
        .filter(|(right, ..)| !held.contains(*right))
        .map(|(_, name, purpose)| format!("{name} (for {purpose})"))
        .collect();
    (!missing.is_empty()).then(|| format!("it lacks {}", missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_right_is_named() {
        assert_eq!(missing(CapabilitySet::all()), None);
        let text = missing(CapabilitySet::all() - CapabilitySet::NET_RAW).unwrap();
        assert_eq!(text, "it lacks CAP_NET_RAW (for frames)");
        assert_eq!(missing(CapabilitySet::empty()).unwrap().matches("CAP_").count(), 4);
    }
}
