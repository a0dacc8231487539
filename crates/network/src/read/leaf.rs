//! Reading single values.

mod ldp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use contract::{Asn, Label, PortKind, TtlModel, VlanId};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use toml::de::DeValue;

use crate::names::{DeviceName, LabelRange, LspMtu, MoveGrace, Name, Preference};

/// A single value of the file.
pub(crate) trait Leaf: Sized {
    /// What it is, with an article.
    const WANTED: &'static str;
    /// One, as it is written.
    const EXAMPLE: &'static str;

    /// Reads it.
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong>;
}

/// Why a value cannot be read.
pub(crate) enum Wrong {
    /// Another TOML type.
    Type,
    /// The right type and no such value.
    Value {
        /// What is wrong, in a sentence.
        message: String,
        /// What to write.
        help: String,
    },
}

/// A value in the place of one that could not be read; poisoned, so nobody looks at it.
pub(crate) fn placeholder<T: Leaf>() -> T {
    let example = DeValue::parse(T::EXAMPLE).ok().and_then(|value| T::read(value.get_ref()).ok());
    // No operator's text comes here: the examples are constants, and the test below reads every one.
    example.expect("the example can be read")
}

/// What to write in place of a value of another type.
pub(crate) fn retyped<T: Leaf>(key: &str, value: &DeValue<'_>) -> String {
    let quoted = match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(format!("\"{number}\"")),
        DeValue::Float(number) => Some(format!("\"{number}\"")),
        DeValue::Array(items) => match items.as_ref() {
            [one] if one.get_ref().is_str() => one.get_ref().as_str().map(|text| format!("\"{text}\"")),
            _ => None,
        },
        _ => None,
    };
    let fits = quoted.filter(|text| {
        !text.is_empty() && DeValue::parse(text).is_ok_and(|value| T::read(value.get_ref()).is_ok())
    });
    match fits {
        Some(fits) => format!("write `{key} = {fits}`"),
        None => format!("write `{key} = {}`, say", T::EXAMPLE),
    }
}

fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Wrong> {
    value.as_str().ok_or(Wrong::Type)
}

fn wrong<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Value { message: message.into(), help: help.into() })
}

fn integer(value: &DeValue<'_>) -> Result<i128, Wrong> {
    let number = value.as_integer().ok_or(Wrong::Type)?;
    // Only a number of more than 38 digits does not fit, and no key takes one near it.
    Ok(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
}

impl Leaf for String {
    const WANTED: &'static str = "a string";
    const EXAMPLE: &'static str = "\"subscribers.csv\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match text(value)? {
            "" => wrong("an empty string names nothing", "write a value, or leave the key out"),
            text => Ok(text.to_owned()),
        }
    }
}

impl Leaf for Name {
    const WANTED: &'static str = "a name";
    const EXAMPLE: &'static str = "\"head1\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value)?;
        text.parse().or_else(|error| {
            let mut plain: String = text
                .to_lowercase()
                .chars()
                .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
                .collect();
            plain.truncate(Self::MAX);
            let plain = plain.trim_matches('-');
            let plain = if plain.is_empty() { "head1" } else { plain };
            wrong(format!("`{text}` is no name: {error}"), format!("write \"{plain}\", say"))
        })
    }
}

impl Leaf for DeviceName {
    const WANTED: &'static str = "a device name";
    const EXAMPLE: &'static str = "\"eth0\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value)?;
        text.parse().or_else(|error| {
            wrong(format!("`{text}` is no device name: {error}"), "write the name as `ip link` shows it")
        })
    }
}

impl Leaf for Ipv4Addr {
    const WANTED: &'static str = "an IPv4 address";
    const EXAMPLE: &'static str = "\"10.255.0.1\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value)?;
        text.parse().or_else(|_| {
            let message = format!("`{text}` is no IPv4 address");
            match (text.parse::<Ipv4Net>(), text.parse::<Ipv6Addr>()) {
                (Ok(net), _) => {
                    wrong(message, format!("write it without a prefix length: \"{}\"", net.addr()))
                }
                (_, Ok(_)) => wrong(message, "only an IPv4 address goes here"),
                _ => wrong(message, format!("write four numbers from 0 to 255, as in {}", Self::EXAMPLE)),
            }
        })
    }
}

impl Leaf for Ipv6Addr {
    const WANTED: &'static str = "an IPv6 address";
    const EXAMPLE: &'static str = "\"2001:db8:f::2\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value)?;
        text.parse().or_else(|_| {
            let message = format!("`{text}` is no IPv6 address");
            match text.parse::<Ipv6Net>() {
                Ok(net) => wrong(message, format!("write it without a prefix length: \"{}\"", net.addr())),
                Err(_) => wrong(message, format!("write one as in {}", Self::EXAMPLE)),
            }
        })
    }
}

impl Leaf for IpAddr {
    const WANTED: &'static str = "an IP address";
    const EXAMPLE: &'static str = "\"100.64.0.1\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value)?;
        text.parse().or_else(|_| {
            let message = format!("`{text}` is no IP address");
            match text.parse::<IpNet>() {
                Ok(net) => wrong(message, format!("write it without a prefix length: \"{}\"", net.addr())),
                Err(_) => wrong(message, format!("write one as in {} or \"2001:db8:a::1\"", Self::EXAMPLE)),
            }
        })
    }
}

impl Leaf for Ipv4Net {
    const WANTED: &'static str = "an IPv4 address with a prefix length";
    const EXAMPLE: &'static str = "\"192.0.2.1/30\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value)?;
        text.parse().or_else(|_| prefix(text, Self::WANTED, Self::EXAMPLE, text.parse::<Ipv4Addr>().is_ok()))
    }
}

impl Leaf for Ipv6Net {
    const WANTED: &'static str = "an IPv6 address with a prefix length";
    const EXAMPLE: &'static str = "\"2001:db8:f::1/64\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value)?;
        text.parse().or_else(|_| prefix(text, Self::WANTED, Self::EXAMPLE, text.parse::<Ipv6Addr>().is_ok()))
    }
}

impl Leaf for IpNet {
    const WANTED: &'static str = "a prefix";
    const EXAMPLE: &'static str = "\"100.64.0.0/24\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = text(value)?;
        text.parse().or_else(|_| prefix(text, Self::WANTED, Self::EXAMPLE, text.parse::<IpAddr>().is_ok()))
    }
}

fn prefix<T>(text: &str, wanted: &str, example: &str, bare: bool) -> Result<T, Wrong> {
    let message = format!("`{text}` is not {wanted}");
    if bare {
        wrong(message, format!("write the length too, as in {example}"))
    } else {
        wrong(message, format!("write one as in {example}"))
    }
}

impl Leaf for Asn {
    const WANTED: &'static str = "an AS number";
    const EXAMPLE: &'static str = "64501";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let number = match value.as_str().and_then(|text| text.parse::<Self>().ok()) {
            Some(asn) => {
                return wrong(format!("\"{asn}\" is text"), format!("write the number alone: {}", asn.0));
            }
            None => integer(value)?,
        };
        let help = "private ones are 64512 to 65534 and 4200000000 to 4294967294 (RFC 6996), those for examples 64496 \
                    to 64511 (RFC 5398)";
        match u32::try_from(number) {
            Err(_) => wrong(format!("{number} is no AS number: they have 32 bits"), help),
            Ok(0) => wrong("AS 0 names nobody (RFC 7607)", help),
            Ok(23456) => wrong("AS 23456 stands for numbers that do not fit (RFC 6793)", help),
            Ok(65535 | u32::MAX) => wrong(format!("AS {number} is reserved (RFC 7300)"), help),
            Ok(number) => Ok(Self(number)),
        }
    }
}

impl Leaf for VlanId {
    const WANTED: &'static str = "a VLAN";
    const EXAMPLE: &'static str = "100";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let number = integer(value)?;
        match u16::try_from(number).map(Self::new) {
            Ok(Ok(vlan)) => Ok(vlan),
            _ => wrong(
                format!("{number} is no VLAN: they go from 1 to 4094"),
                "write a number from 1 to 4094, or leave `vlan` out for untagged frames",
            ),
        }
    }
}

impl Leaf for Preference {
    const WANTED: &'static str = "a preference";
    const EXAMPLE: &'static str = "100";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let number = integer(value)?;
        u16::try_from(number).ok().and_then(Self::new).map_or_else(
            || {
                wrong(
                    format!("{number} is no preference: they go from 1 to 65535"),
                    "higher is better; 100 is what a handoff has without one",
                )
            },
            Ok,
        )
    }
}

impl Leaf for LspMtu {
    const WANTED: &'static str = "an MTU in octets";
    const EXAMPLE: &'static str = "1500";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let number = integer(value)?;
        u32::try_from(number).ok().and_then(Self::new).map_or_else(
            || {
                wrong(
                    format!("{number} is no LSP MTU: they go from {} to {}", Self::MIN, Self::MAX),
                    "write the longest IP packet without labels, as in 1500; backbone devices then need an MTU of 4 more",
                )
            },
            Ok,
        )
    }
}

impl Leaf for MoveGrace {
    const WANTED: &'static str = "a time in seconds";
    const EXAMPLE: &'static str = "30";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let number = integer(value)?;
        u16::try_from(number).ok().and_then(Self::new).map_or_else(
            || {
                wrong(
                    format!("{number} s is no time for a move: it takes from 1 to {} s", Self::MAX),
                    "write seconds, as in 30, or leave `move_grace` out",
                )
            },
            Ok,
        )
    }
}

impl Leaf for NonZeroU32 {
    const WANTED: &'static str = "a number from 1 to 262144";
    const EXAMPLE: &'static str = "10000";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        const MAX: u32 = 1 << 18;
        let number = integer(value)?;
        let some = u32::try_from(number).ok().filter(|number| *number <= MAX).and_then(Self::new);
        let message = || format!("{number} is out of range: it goes from 1 to {MAX}");
        some.map_or_else(|| wrong(message(), format!("write {}, say", Self::EXAMPLE)), Ok)
    }
}

impl Leaf for bool {
    const WANTED: &'static str = "true or false";
    const EXAMPLE: &'static str = "true";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        value.as_bool().ok_or(Wrong::Type)
    }
}

impl Leaf for LabelRange {
    const WANTED: &'static str = "the first and the last label";
    const EXAMPLE: &'static str = "[16, 1048575]";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let [first, last] = value.as_array().ok_or(Wrong::Type)?.as_ref() else {
            return wrong("a label range has two numbers", format!("write {}", Self::EXAMPLE));
        };
        let label = |value: &DeValue<'_>| {
            let number = integer(value)?;
            match u32::try_from(number).map(Label::new) {
                Ok(Ok(label)) if label.is_real() => Ok(label),
                _ => wrong(
                    format!("{number} is no label that a node can give out"),
                    "labels go from 16 to 1048575; those below are special (RFC 7274)",
                ),
            }
        };
        let (first, last) = (label(first.get_ref())?, label(last.get_ref())?);
        Self::new(first, last).map_or_else(
            || {
                let message =
                    format!("from {first} to {last} there are fewer than {} labels", Self::MIN_SIZE);
                wrong(message, format!("write the lower first, as in {}", Self::EXAMPLE))
            },
            Ok,
        )
    }
}

impl Leaf for TtlModel {
    const WANTED: &'static str = "a TTL model";
    const EXAMPLE: &'static str = "\"pipe\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match text(value)? {
            "pipe" => Ok(Self::Pipe),
            "uniform" => Ok(Self::Uniform),
            other => wrong(format!("`{other}` is no TTL model"), "write \"pipe\" or \"uniform\" (RFC 3443)"),
        }
    }
}

impl Leaf for PortKind {
    const WANTED: &'static str = "a kind of port";
    const EXAMPLE: &'static str = "\"backbone\"";
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match text(value)? {
            "access" => Ok(Self::Access),
            "backbone" => Ok(Self::Backbone),
            "handoff" => Ok(Self::Handoff),
            other => wrong(
                format!("`{other}` is no kind of port"),
                "write \"access\" (subscribers), \"backbone\" (other nodes) or \"handoff\" (ISPs)",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        GtsmMode, LabelAdvertisement, LabelControl, LabelRetention, LdpTime, LoopDetection, PduLength,
        Prefixes, SessionProtection, TargetedMode, TransportPreference, WantedNeighbors,
    };

    #[test]
    fn every_example_can_be_read() {
        placeholder::<String>();
        placeholder::<Name>();
        placeholder::<DeviceName>();
        placeholder::<Ipv4Addr>();
        placeholder::<Ipv6Addr>();
        placeholder::<IpAddr>();
        placeholder::<Ipv4Net>();
        placeholder::<Ipv6Net>();
        placeholder::<IpNet>();
        placeholder::<Asn>();
        placeholder::<VlanId>();
        placeholder::<Preference>();
        placeholder::<LabelRange>();
        placeholder::<LspMtu>();
        placeholder::<MoveGrace>();
        placeholder::<LdpTime>();
        placeholder::<NonZeroU32>();
        placeholder::<Prefixes>();
        placeholder::<WantedNeighbors>();
        placeholder::<TransportPreference>();
        placeholder::<GtsmMode>();
        placeholder::<TargetedMode>();
        placeholder::<SessionProtection>();
        placeholder::<LabelControl>();
        placeholder::<LabelRetention>();
        placeholder::<LabelAdvertisement>();
        placeholder::<LoopDetection>();
        placeholder::<PduLength>();
        placeholder::<bool>();
        placeholder::<TtlModel>();
        placeholder::<PortKind>();
    }
}
