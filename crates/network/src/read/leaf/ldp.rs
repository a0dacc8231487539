//! Reading single values of LDP's.

use std::fmt::Display;
use std::num::NonZeroU8;

use ipnet::IpNet;
use toml::de::DeValue;

use super::{Leaf, Wrong, integer, text, wrong};
use crate::model::{
    GtsmMode, LabelAdvertisement, LabelControl, LabelRetention, LdpTime, LoopDetection, PduLength, Prefixes,
    SessionProtection, TargetedMode, TransportPreference, WantedNeighbors,
};

/// The one of these that is written as the value is; else what that is not, and what to write.
fn one_of<T: Copy + Display>(value: &DeValue<'_>, all: &[T], not: &str, help: &str) -> Result<T, Wrong> {
    let word = text(value)?;
    let one = all.iter().copied().find(|one| one.to_string() == word);
    one.map_or_else(|| wrong(format!("`{word}` {not}"), help), Ok)
}

impl Leaf for LdpTime {
    const WANTED: &'static str = "a time in seconds";
    const EXAMPLE: &'static str = "15";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let number = integer(value)?;
        u16::try_from(number).ok().and_then(Self::new).map_or_else(
            || {
                let message =
                    format!("{number} s is no time of LDP's: they go from {} to {} s", Self::MIN, Self::MAX);
                wrong(message, "write seconds, as in 15")
            },
            Ok,
        )
    }
}

impl Leaf for Prefixes {
    const WANTED: &'static str = "a list of prefixes";
    const EXAMPLE: &'static str = "[\"10.254.0.0/16\"]";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let items = value.as_array().ok_or(Wrong::Type)?;
        if items.is_empty() {
            return wrong(
                "an empty list has no prefix",
                format!("write {}, say; leave the key out for all FECs", Self::EXAMPLE),
            );
        }
        let prefixes = items.iter().map(|item| {
            let net = IpNet::read(item.get_ref())?;
            if net == net.trunc() {
                return Ok(net);
            }
            wrong(format!("{net} has bits beyond its length"), format!("write \"{}\"", net.trunc()))
        });
        prefixes.collect::<Result<_, _>>().map(Self)
    }
}

impl Leaf for WantedNeighbors {
    const WANTED: &'static str = "who may be a neighbor";
    const EXAMPLE: &'static str = "\"any\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(
            value,
            &[Self::Any, Self::Named],
            "does not say who may be a neighbor",
            "write \"any\", or \"named\" for the file's nodes and LDP neighbors alone",
        )
    }
}

impl Leaf for TransportPreference {
    const WANTED: &'static str = "an IP version";
    const EXAMPLE: &'static str = "\"ipv6\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(value, &[Self::Ipv4, Self::Ipv6], "is no IP version", "write \"ipv6\" or \"ipv4\"")
    }
}

impl Leaf for GtsmMode {
    const WANTED: &'static str = "a use of GTSM";
    const EXAMPLE: &'static str = "\"auto\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(
            value,
            &[Self::Auto, Self::On, Self::Off],
            "is no use of GTSM",
            "write \"auto\", \"on\" or \"off\" (RFC 6720)",
        )
    }
}

impl Leaf for TargetedMode {
    const WANTED: &'static str = "a use of targeted Hellos";
    const EXAMPLE: &'static str = "\"on\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(
            value,
            &[Self::Off, Self::Answer, Self::On],
            "is no use of targeted Hellos",
            "write \"on\", \"answer\" to send them only when the neighbor asks for it, or \"off\"",
        )
    }
}

impl Leaf for SessionProtection {
    const WANTED: &'static str = "how long sessions are protected";
    const EXAMPLE: &'static str = "\"forever\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        const HELP: &str = "write \"off\", \"forever\", or seconds, as in 86400";
        if let Ok(word) = text(value) {
            return match word {
                "off" => Ok(Self::Off),
                "forever" => Ok(Self::Forever),
                other => wrong(format!("`{other}` does not say how long sessions are protected"), HELP),
            };
        }
        let number = integer(value)?;
        match u32::try_from(number) {
            Ok(seconds @ 1..=Self::MAX) => Ok(Self::Seconds(seconds)),
            _ => wrong(format!("sessions are protected for 1 to {} s, not {number}", Self::MAX), HELP),
        }
    }
}

impl Leaf for LabelControl {
    const WANTED: &'static str = "a label distribution control mode";
    const EXAMPLE: &'static str = "\"ordered\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(
            value,
            &[Self::Ordered, Self::Independent],
            "is no label distribution control mode",
            "write \"ordered\" or \"independent\" (RFC 5036 section 2.6.1)",
        )
    }
}

impl Leaf for LabelRetention {
    const WANTED: &'static str = "a label retention mode";
    const EXAMPLE: &'static str = "\"liberal\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(
            value,
            &[Self::Liberal, Self::Conservative],
            "is no label retention mode",
            "write \"liberal\" or \"conservative\" (RFC 5036 section 2.6.2)",
        )
    }
}

impl Leaf for LabelAdvertisement {
    const WANTED: &'static str = "a label advertisement mode";
    const EXAMPLE: &'static str = "\"unsolicited\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        one_of(
            value,
            &[Self::Unsolicited, Self::OnDemand],
            "is no label advertisement mode",
            "write \"unsolicited\" or \"on_demand\" (RFC 5036 section 2.6.3)",
        )
    }
}

impl Leaf for LoopDetection {
    const WANTED: &'static str = "a limit of loop detection";
    const EXAMPLE: &'static str = "\"off\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        const HELP: &str = "write \"off\", or the most LSRs that an LSP may lead through, as in 64";
        if let Ok(word) = text(value) {
            return match word {
                "off" => Ok(Self::Off),
                other => wrong(format!("`{other}` does not say whether loops are looked for"), HELP),
            };
        }
        let number = integer(value)?;
        match u8::try_from(number).ok().and_then(NonZeroU8::new) {
            Some(hops) => Ok(Self::Hops(hops)),
            None => wrong(format!("an LSP leads through 1 to 255 LSRs, not {number}"), HELP),
        }
    }
}

impl Leaf for PduLength {
    const WANTED: &'static str = "a PDU length";
    const EXAMPLE: &'static str = "4096";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let number = integer(value)?;
        u16::try_from(number).ok().and_then(Self::new).map_or_else(
            || {
                wrong(
                    format!("a PDU of at most {number} octets cannot be proposed"),
                    format!("write {} to {}", Self::MIN, Self::MAX),
                )
            },
            Ok,
        )
    }
}
