//! Reading the keys of a table.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::leaf::{self, Leaf, Wrong};
use super::place::{Place, Places};
use crate::Problem;

/// What has been found out so far.
pub(crate) struct Reader {
    places: Places,
    problems: Vec<Problem>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { places: Places::default(), problems: Vec::new() }
    }

    pub(crate) fn into_parts(self) -> (Places, Vec<Problem>) {
        (self.places, self.problems)
    }

    fn wrong(&mut self, place: Place, problem: Problem) {
        self.places.poison(place);
        self.problems.push(problem);
    }
}

/// One table, whose keys are taken one by one; what is left at the end is unknown.
pub(crate) struct Fields<'t, 'i> {
    table: &'t DeTable<'i>,
    place: Place,
    span: Range<usize>,
    /// How the table is headed, as in `[[node]]`.
    header: &'static str,
    asked: Vec<&'static str>,
    missing: Vec<(&'static str, Problem)>,
}

impl<'t, 'i> Fields<'t, 'i> {
    pub(crate) fn root(table: &'t DeTable<'i>) -> Self {
        Self::new(table, Place::root(), 0..0, "the file")
    }

    fn new(table: &'t DeTable<'i>, place: Place, span: Range<usize>, header: &'static str) -> Self {
        Self { table, place, span, header, asked: Vec::new(), missing: Vec::new() }
    }

    /// A value that must be there.
    pub(crate) fn required<T: Leaf>(&mut self, reader: &mut Reader, key: &'static str) -> T {
        if !self.table.contains_key(key) {
            self.asked.push(key);
            let problem = Problem::error(format!("{} has no `{key}`", self.header))
                .at(self.span.clone(), format!("`{key}` is missing here"))
                .help(format!("add `{key} = {}`", T::EXAMPLE));
            self.absent(reader, key, problem);
            return leaf::placeholder();
        }
        self.optional(reader, key).unwrap_or_else(leaf::placeholder)
    }

    /// A value that may be there.
    pub(crate) fn optional<T: Leaf>(&mut self, reader: &mut Reader, key: &'static str) -> Option<T> {
        let (place, value) = self.take(reader, key)?;
        match T::read(value.get_ref()) {
            Ok(read) => Some(read),
            Err(wrong) => {
                let problem = match wrong {
                    Wrong::Type => {
                        wrong_type(key, value, T::WANTED).help(leaf::retyped::<T>(key, value.get_ref()))
                    }
                    Wrong::Value { message, help } => {
                        Problem::error(message).at(value.span(), format!("not {}", T::WANTED)).help(help)
                    }
                };
                reader.wrong(place, problem);
                None
            }
        }
    }

    /// A table.
    pub(crate) fn table(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        header: &'static str,
        required: bool,
    ) -> Option<Fields<'t, 'i>> {
        if required && !self.table.contains_key(key) {
            self.asked.push(key);
            let problem = Problem::error(format!("{} has no `{header}`", self.header))
                .at(self.span.clone(), "one is wanted")
                .help(format!("add a `{header}` section; docs/network-file.md says what is in it"));
            self.absent(reader, key, problem);
            return None;
        }
        let (place, value) = self.take(reader, key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Fields::new(table, place, value.span(), header)),
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                let problem = wrong_type(key, value, "one table")
                    .help(format!("there is one: write `{header}` with single brackets, once"));
                reader.wrong(place, problem);
                None
            }
            _ => {
                let help = match key {
                    "ipv4" => {
                        "write `ipv4 = { address = \"192.0.2.1/30\", next_hop = \"192.0.2.2\" }`".into()
                    }
                    "ipv6" => {
                        "write `ipv6 = { address = \"2001:db8:f::1/64\", next_hop = \"2001:db8:f::2\" }`"
                            .into()
                    }
                    _ => format!("write a `{header}` section"),
                };
                reader.wrong(place, wrong_type(key, value, "a table").help(help));
                None
            }
        }
    }

    /// A list of tables, each read by `read`.
    pub(crate) fn each<T>(
        &mut self,
        reader: &mut Reader,
        key: &'static str,
        header: &'static str,
        required: bool,
        read: fn(&mut Reader, Fields<'_, '_>) -> T,
    ) -> Vec<T> {
        if required && !self.table.contains_key(key) {
            self.asked.push(key);
            let problem = Problem::error(format!("{} has no `{header}`", self.header))
                .at(self.span.clone(), "at least one is wanted")
                .help(format!("add a `{header}` section; docs/network-file.md says what is in it"));
            self.absent(reader, key, problem);
            return Vec::new();
        }
        let Some((place, value)) = self.take(reader, key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            let problem = wrong_type(key, value, "a list of tables")
                .help(format!("write `{header}` with two brackets"));
            reader.wrong(place, problem);
            return Vec::new();
        };
        if required && items.is_empty() {
            let problem = Problem::error(format!("{} has no `{header}`", self.header))
                .at(value.span(), "at least one is wanted")
                .help(format!("add a `{header}` section"));
            reader.wrong(place.clone(), problem);
        }
        let mut all = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = self.place.item(key, index);
            reader.places.note(place.clone(), item.span());
            match item.get_ref() {
                DeValue::Table(table) => {
                    all.push(read(reader, Fields::new(table, place, item.span(), header)))
                }
                _ => {
                    // Its siblings keep their places only if nothing is left out: stop here.
                    let problem = wrong_type(key, item, "a table").help(format!("write `{header}` sections"));
                    reader.wrong(self.place.key(key), problem);
                    return all;
                }
            }
        }
        all
    }

    /// Reports what was not asked for, and what is missing.
    pub(crate) fn finish(mut self, reader: &mut Reader) {
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let near = nearest(name, &self.asked, self.table);
            let help = match near {
                Some(near) => {
                    // One mistake, one message.
                    self.missing.retain(|(missing, _)| *missing != near);
                    format!("did you mean `{near}`?")
                }
                None => match elsewhere(name, self.header) {
                    Some(section) => format!("`{name}` belongs in {section}"),
                    None => format!("the keys here are {}", list(&self.asked)),
                },
            };
            let problem = Problem::error(format!("unknown key `{name}` in {}", self.header))
                .at(key.span(), "not a key of this section")
                .help(help);
            reader.problems.push(problem);
        }
        reader.problems.extend(self.missing.into_iter().map(|(_, problem)| problem));
    }

    fn take(&mut self, reader: &mut Reader, key: &'static str) -> Option<(Place, &'t Spanned<DeValue<'i>>)> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let value = self.table.get(key)?;
        let place = self.place.key(key);
        reader.places.note(place.clone(), value.span());
        Some((place, value))
    }

    fn absent(&mut self, reader: &mut Reader, key: &'static str, problem: Problem) {
        reader.places.poison(self.place.key(key));
        self.missing.push((key, problem));
    }
}

fn wrong_type(key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) -> Problem {
    Problem::error(format!("`{key}` is {wanted}, not {}", a_type(value.get_ref())))
        .at(value.span(), a_type(value.get_ref()))
}

fn a_type(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a floating-point number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn list(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

/// The known key that was probably meant: the nearest of those not written, if it is near.
fn nearest<'k>(written: &str, known: &[&'k str], table: &DeTable<'_>) -> Option<&'k str> {
    let fold = |key: &str| key.to_ascii_lowercase().replace('-', "_");
    let free = known.iter().filter(|key| !table.contains_key(**key));
    let (distance, key) = free.map(|key| (distance(&fold(written), key), *key)).min()?;
    let limit = written.len().max(key.len()).div_ceil(3);
    let plural = fold(written).trim_end_matches('s') == key;
    (distance <= limit || plural).then_some(key)
}

/// Levenshtein's distance: insertions, deletions and replacements that make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The other sections that have this key, as text.
fn elsewhere(key: &str, header: &str) -> Option<String> {
    let sections: Vec<_> = SECTIONS
        .iter()
        .filter(|(section, keys)| *section != header && keys.contains(&key))
        .map(|(section, _)| format!("`{section}`"))
        .collect();
    (!sections.is_empty()).then(|| sections.join(" or "))
}

/// The keys of each section, to say where a misplaced key belongs; a test holds it to the schema.
const SECTIONS: &[(&str, &[&str])] = &[
    ("[network]", &["name", "ttl", "lsp_mtu", "move_grace", "subscribers"]),
    (
        "[ldp]",
        &[
            "hello_hold",
            "targeted_hello_hold",
            "keepalive",
            "neighbors",
            "session_protection",
            "transport_preference",
            "control",
            "retention",
            "loop_detection",
            "max_pdu_length",
        ],
    ),
    (
        "[[node]]",
        &["name", "lsr_id", "transport_address", "transport_address_v6", "labels", "port", "ldp_neighbor"],
    ),
    ("[[node.port]]", &["name", "kind"]),
    (
        "[[node.ldp_neighbor]]",
        &[
            "lsr_id",
            "password_file",
            "gtsm",
            "targeted",
            "transport_address",
            "session_protection",
            "advertisement",
            "accept",
            "advertise",
            "max_bindings",
            "shut",
        ],
    ),
    ("[[isp]]", &["asn", "name", "clamp_mss", "icmp_source", "handoff", "headend"]),
    ("[[isp.icmp_source]]", &["node", "ipv4", "ipv6"]),
    ("[[isp.handoff]]", &["node", "port", "vlan", "fec", "preference", "ipv4", "ipv6"]),
    ("ipv4", &["address", "next_hop"]),
    ("ipv6", &["address", "next_hop"]),
    ("[[isp.headend]]", &["node", "return_address", "pool"]),
    ("[[isp.headend.pool]]", &["prefix", "gateway"]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn sections_have_the_keys_of_the_schema() {
        let schema = crate::schema();
        let parts = [
            ("[network]", "General"),
            ("[ldp]", "Ldp"),
            ("[[node]]", "Node"),
            ("[[node.port]]", "Port"),
            ("[[node.ldp_neighbor]]", "LdpNeighbor"),
            ("[[isp]]", "Isp"),
            ("[[isp.icmp_source]]", "IcmpSource"),
            ("[[isp.handoff]]", "Handoff"),
            ("ipv4", "Ipv4Attachment"),
            ("ipv6", "Ipv6Attachment"),
            ("[[isp.headend]]", "Headend"),
            ("[[isp.headend.pool]]", "Pool"),
        ];
        assert_eq!(SECTIONS.len(), parts.len());
        for ((section, keys), (name, part)) in SECTIONS.iter().zip(parts) {
            assert_eq!(*section, name);
            let properties = schema["$defs"][part]["properties"].as_object().unwrap();
            let known: BTreeSet<_> = properties.keys().map(String::as_str).collect();
            assert_eq!(known, keys.iter().copied().collect(), "{section}");
        }
    }

    #[test]
    fn distances_are_levenshtein_s() {
        for (a, b, expected) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("gatway", "gateway", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
