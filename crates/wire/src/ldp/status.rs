//! What a Notification says: status codes (RFC 5036 §3.4.6, §3.9).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Status data: what happened (30 bits).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct StatusCode(u32);

macro_rules! status_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $fatal:literal, $text:literal;)*) => {
        impl StatusCode {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// All codes that have names here.
            pub const NAMED: &'static [Self] = &[$(Self::$name),*];

            /// The name that the RFC has for it.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }

            /// Whether whoever sends it must set the E bit: the session ends (RFC 5036 §3.9).
            pub const fn is_fatal(self) -> bool {
                match self.0 {
                    $($value => $fatal,)*
                    _ => false,
                }
            }
        }
    };
}

status_codes! {
    /// Nothing is wrong.
    SUCCESS = 0x00, false, "Success";
    /// The PDU's LDP identifier is unknown or not the session's.
    BAD_LDP_IDENTIFIER = 0x01, true, "Bad LDP Identifier";
    /// The version is not 1.
    BAD_PROTOCOL_VERSION = 0x02, true, "Bad Protocol Version";
    /// The PDU is too short or longer than agreed on.
    BAD_PDU_LENGTH = 0x03, true, "Bad PDU Length";
    /// A message type is unknown and its U bit clear.
    UNKNOWN_MESSAGE_TYPE = 0x04, false, "Unknown Message Type";
    /// A message is too short or runs beyond its PDU.
    BAD_MESSAGE_LENGTH = 0x05, true, "Bad Message Length";
    /// A TLV type is unknown and its U bit clear.
    UNKNOWN_TLV = 0x06, false, "Unknown TLV";
    /// A TLV runs beyond its message, or has not the length that its type has.
    BAD_TLV_LENGTH = 0x07, true, "Bad TLV Length";
    /// A TLV's value cannot be.
    MALFORMED_TLV_VALUE = 0x08, true, "Malformed TLV Value";
    /// No Hello came in time.
    HOLD_TIMER_EXPIRED = 0x09, true, "Hold Timer Expired";
    /// The session ends by intent.
    SHUTDOWN = 0x0a, true, "Shutdown";
    /// An LSP loops.
    LOOP_DETECTED = 0x0b, false, "Loop Detected";
    /// A FEC element's type is unknown.
    UNKNOWN_FEC = 0x0c, false, "Unknown FEC";
    /// A request for a FEC that there is no route for.
    NO_ROUTE = 0x0d, false, "No Route";
    /// No label is free.
    NO_LABEL_RESOURCES = 0x0e, false, "No Label Resources";
    /// Labels are free again.
    LABEL_RESOURCES_AVAILABLE = 0x0f, false, "Label Resources / Available";
    /// No Hello of that LSR was heard.
    NO_HELLO = 0x10, true, "Session Rejected / No Hello";
    /// The advertisement mode is not acceptable.
    BAD_ADVERTISEMENT_MODE = 0x11, true, "Session Rejected / Parameters Advertisement Mode";
    /// The largest PDU length is not acceptable.
    BAD_MAX_PDU_LENGTH = 0x12, true, "Session Rejected / Parameters Max PDU Length";
    /// The label range is not acceptable.
    BAD_LABEL_RANGE = 0x13, true, "Session Rejected / Parameters Label Range";
    /// Nothing came in time.
    KEEPALIVE_TIMER_EXPIRED = 0x14, true, "KeepAlive Timer Expired";
    /// A request was given up as asked.
    LABEL_REQUEST_ABORTED = 0x15, false, "Label Request Aborted";
    /// A message lacks a parameter that it must have.
    MISSING_MESSAGE_PARAMETERS = 0x16, false, "Missing Message Parameters";
    /// An address family that is not supported.
    UNSUPPORTED_ADDRESS_FAMILY = 0x17, false, "Unsupported Address Family";
    /// The keepalive time is not acceptable.
    BAD_KEEPALIVE_TIME = 0x18, true, "Session Rejected / Bad KeepAlive Time";
    /// Something went wrong inside.
    INTERNAL_ERROR = 0x19, true, "Internal Error";
    /// RFC 5561 §8: a capability that is not supported.
    UNSUPPORTED_CAPABILITY = 0x2e, false, "Unsupported Capability";
    /// RFC 5919 §4: all of a kind of binding has been told.
    END_OF_LIB = 0x2f, false, "End-of-LIB";
    /// RFC 7552 §6.1.1: the two prefer different address families for their session.
    TRANSPORT_CONNECTION_MISMATCH = 0x32, true, "Transport Connection Mismatch";
    /// RFC 7552 §6.1.1: Hellos of both address families without the capability.
    DUAL_STACK_NONCOMPLIANCE = 0x33, true, "Dual-Stack Noncompliance";
}

impl StatusCode {
    const MASK: u32 = 0x3fff_ffff;

    /// The code of this number; bits beyond the lowest 30 are cut off.
    pub const fn new(value: u32) -> Self {
        Self(value & Self::MASK)
    }

    /// The number, 30 bits.
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "status {:#010x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_have_names() {
        let mut values: Vec<u32> = StatusCode::NAMED.iter().map(|code| code.value()).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), StatusCode::NAMED.len());
        assert_eq!(StatusCode::SHUTDOWN.to_string(), "Shutdown");
        assert_eq!(StatusCode::new(0x123).to_string(), "status 0x00000123");
        assert!(StatusCode::BAD_TLV_LENGTH.is_fatal() && !StatusCode::UNKNOWN_TLV.is_fatal());
    }
}
