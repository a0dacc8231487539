//! How values are written in the file, for the JSON schema only: the values themselves belong to crates that know no
//! schemas.

#![allow(dead_code, reason = "only the types are looked at")]

use schemars::JsonSchema;

use crate::names::{MoveGrace, Preference};

/// A name.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "Name", extend("pattern" = "^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"))]
pub(super) struct NameText(String);

/// A device name.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "DeviceName", extend("pattern" = "^[^/:\\s]{1,15}$"))]
pub(super) struct DeviceText(String);

/// An IPv4 address and a prefix length.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "Ipv4AddressOnLink", extend("pattern" = "^[0-9.]+/[0-9]{1,2}$"))]
pub(super) struct Ipv4PrefixText(String);

/// An IPv6 address and a prefix length.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "Ipv6AddressOnLink", extend("pattern" = "^[0-9a-fA-F:.]+/[0-9]{1,3}$"))]
pub(super) struct Ipv6PrefixText(String);

/// An IPv4 or IPv6 prefix.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "Prefix", extend("pattern" = "^[0-9a-fA-F:.]+/[0-9]{1,3}$"))]
pub(super) struct PrefixText(String);

/// An AS number.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "AsNumber")]
pub(super) struct AsnNumber(#[schemars(range(min = 1, max = 4_294_967_294_u32))] u32);

/// A VLAN identifier.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "Vlan")]
pub(super) struct VlanNumber(#[schemars(range(min = 1, max = 4094))] u16);

/// A preference.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "Preference")]
pub(super) struct PreferenceNumber(#[schemars(range(min = 1, max = 65535))] u16);

impl Default for PreferenceNumber {
    fn default() -> Self {
        Self(Preference::default().value())
    }
}

/// The MTU of LSPs.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "LspMtu")]
pub(super) struct LspMtuNumber(#[schemars(range(min = 1280, max = 65535))] u32);

/// Seconds.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "MoveGrace")]
pub(super) struct MoveGraceNumber(#[schemars(range(min = 1, max = 3600))] u16);

impl Default for MoveGraceNumber {
    fn default() -> Self {
        Self(MoveGrace::default().duration().as_secs() as u16)
    }
}

/// First and last label.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "LabelRange")]
pub(super) struct LabelRangeNumbers(#[schemars(inner(range(min = 16, max = 1_048_575)))] [u32; 2]);

/// Which TTL model.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase", rename = "TtlModel")]
pub(super) enum TtlText {
    /// The backbone is one hop.
    Pipe,
    /// Every node is a hop.
    Uniform,
}

/// What is behind a port.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase", rename = "PortKind")]
pub(super) enum PortKindText {
    /// Subscribers.
    Access,
    /// Other nodes.
    Backbone,
    /// ISPs.
    Handoff,
}

/// Seconds.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "LdpTime")]
pub(super) struct LdpTimeNumber(#[schemars(range(min = 3, max = 65534))] u16);

/// Whether session and labels of a neighbor outlive the last link to it.
#[derive(JsonSchema)]
#[schemars(untagged, rename = "SessionProtection")]
pub(super) enum ProtectionText {
    /// Not, or as long as it is reached over other links.
    Word(ProtectionWord),
    /// For so many seconds at most.
    Seconds(#[schemars(range(min = 1, max = 604_800))] u32),
}

/// Not, or as long as the neighbor is reached over other links.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(super) enum ProtectionWord {
    /// No.
    Off,
    /// As long as it is reached over other links.
    Forever,
}

/// Octets.
#[derive(JsonSchema)]
#[schemars(transparent, rename = "PduLength")]
pub(super) struct PduLengthNumber(#[schemars(range(min = 256, max = 4096))] u16);

/// Whether loops are looked for.
#[derive(JsonSchema)]
#[schemars(untagged, rename = "LoopDetection")]
pub(super) enum LoopDetectionText {
    /// No.
    Word(OffWord),
    /// The most LSRs that an LSP may lead through.
    Hops(#[schemars(range(min = 1, max = 255))] u8),
}

/// No.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(super) enum OffWord {
    /// No.
    Off,
}
