//! Values of the network file that exist only if they are valid.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use contract::Label;
use serde::Serialize;

/// The name of a network, a node or an ISP: 1 to 32 of `a`–`z`, `0`–`9` and `-`, beginning and ending with a letter or
/// a digit. It is used in paths, sockets and tables.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct Name(String);

/// Why a text is no [`Name`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Nothing, or more than 32 characters.
    #[error("a name has 1 to {max} characters, this one has {0}", max = Name::MAX)]
    Length(usize),
    /// A character that a path or a table does not take.
    #[error("a name has only `a` to `z`, `0` to `9` and `-`, not `{0}`")]
    Character(char),
    /// A hyphen at an end.
    #[error("a name begins and ends with a letter or a digit")]
    Hyphen,
}

impl Name {
    /// The most characters.
    pub const MAX: usize = 32;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = |c: &char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-');
        match text.chars().count() {
            1..=Self::MAX => {}
            length => return Err(NameError::Length(length)),
        }
        if let Some(bad) = text.chars().find(bad) {
            return Err(NameError::Character(bad));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(NameError::Hyphen);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The name of a network device as Linux takes it: 1 to 15 octets, no `/`, no `:`, no white space, not `.` or `..`
/// (`dev_valid_name` in the kernel's net/core/dev.c).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct DeviceName(String);

/// Why a text is no [`DeviceName`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeviceNameError {
    /// Nothing, or more than 15 octets.
    #[error("a device name has 1 to {max} octets, this one has {0}", max = DeviceName::MAX)]
    Length(usize),
    /// A character that the kernel refuses.
    #[error("a device name has no {0:?} in it")]
    Character(char),
    /// `.` and `..` are directories.
    #[error("`{0}` is no device name")]
    Dots(String),
}

impl DeviceName {
    /// The most octets: `IFNAMSIZ` less the final zero.
    pub const MAX: usize = 15;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceName {
    type Err = DeviceNameError;
    fn from_str(text: &str) -> Result<Self, DeviceNameError> {
        if !(1..=Self::MAX).contains(&text.len()) {
            return Err(DeviceNameError::Length(text.len()));
        }
        if matches!(text, "." | "..") {
            return Err(DeviceNameError::Dots(text.to_owned()));
        }
        match text.chars().find(|c| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control()) {
            Some(bad) => Err(DeviceNameError::Character(bad)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for DeviceName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// How much an ISP wants its packets by one FEC rather than by another: 1 to 65535, higher is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct Preference(u16);

impl Preference {
    /// A preference; `None` for 0.
    pub const fn new(value: u16) -> Option<Self> {
        if value == 0 { None } else { Some(Self(value)) }
    }

    /// The number, 1 to 65535.
    pub const fn value(self) -> u16 {
        self.0
    }
}

impl Default for Preference {
    fn default() -> Self {
        Self(100)
    }
}

impl fmt::Display for Preference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The longest IP packet that every LSP of the network carries, in octets without labels: 1280 to 65535.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct LspMtu(u32);

impl LspMtu {
    /// The least: every link that carries IPv6 takes packets of this length (RFC 8200 §5).
    pub const MIN: u32 = 1280;
    /// The most: an IPv4 packet is never longer (RFC 791 §3.1).
    pub const MAX: u32 = 65_535;

    /// An MTU; `None` outside [`Self::MIN`] to [`Self::MAX`].
    pub const fn new(octets: u32) -> Option<Self> {
        if octets >= Self::MIN && octets <= Self::MAX { Some(Self(octets)) } else { None }
    }

    /// The octets.
    pub const fn octets(self) -> u32 {
        self.0
    }

    /// The MTU that a backbone device needs: room for one label, four octets (RFC 3032 §2.1).
    pub const fn device_mtu(self) -> u32 {
        self.0 + 4
    }
}

impl fmt::Display for LspMtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How long packets of the ISP that a subscriber left still arrive: 1 to 3600 seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct MoveGrace(u16);

impl MoveGrace {
    /// The most seconds.
    pub const MAX: u16 = 3600;

    /// A time; `None` for 0 and for more than [`Self::MAX`] seconds.
    pub const fn new(seconds: u16) -> Option<Self> {
        if seconds >= 1 && seconds <= Self::MAX { Some(Self(seconds)) } else { None }
    }

    /// The time.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl Default for MoveGrace {
    fn default() -> Self {
        Self(30)
    }
}

impl fmt::Display for MoveGrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

/// The labels that a node gives out: first and last, both included, all of them real (16 to 1048575). At least
/// [`LabelRange::MIN_SIZE`] of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(into = "[u32; 2]")]
pub struct LabelRange {
    first: Label,
    last: Label,
}

impl LabelRange {
    /// The fewest labels of a node: labels are held back for a while after use, so a few are always out of reach.
    pub const MIN_SIZE: u32 = 64;

    /// A range; `None` if a label in it is not real or there are fewer than [`Self::MIN_SIZE`].
    pub fn new(first: Label, last: Label) -> Option<Self> {
        let size = (u64::from(last.value()) + 1).checked_sub(u64::from(first.value()))?;
        (first.is_real() && last.is_real() && size >= u64::from(Self::MIN_SIZE))
            .then_some(Self { first, last })
    }

    /// The first.
    pub const fn first(self) -> Label {
        self.first
    }

    /// The last.
    pub const fn last(self) -> Label {
        self.last
    }
}

impl Default for LabelRange {
    fn default() -> Self {
        Self { first: Label::FIRST_UNRESERVED, last: Label::MAX }
    }
}

impl fmt::Display for LabelRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", self.first, self.last)
    }
}

impl From<LabelRange> for [u32; 2] {
    fn from(range: LabelRange) -> Self {
        [range.first.value(), range.last.value()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "head-1", "0", &"x".repeat(32)] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "Head1", "a_b", "a/b", "..", "é", &"x".repeat(33)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn device_names_are_what_the_kernel_takes() {
        for good in ["eth0", "enp1s0.100", "ge-0_0_1", &"x".repeat(15)] {
            assert_eq!(good.parse::<DeviceName>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "a:1", "a b", "a\tb", &"x".repeat(16)] {
            assert!(bad.parse::<DeviceName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn label_ranges_hold_real_labels_only() {
        let label = |value| Label::new(value).unwrap();
        assert!(LabelRange::new(label(16), label(79)).is_some());
        assert!(LabelRange::new(label(16), label(78)).is_none());
        assert!(LabelRange::new(label(15), label(2000)).is_none());
        assert!(LabelRange::new(label(2000), label(100)).is_none());
    }
}
