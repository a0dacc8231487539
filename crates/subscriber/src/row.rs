//! A file of subscribers: comma-separated values (RFC 4180), one service in each row.

use std::ops::Range;

use contract::{Asn, MacAddr, VlanId, VlanTags};
use ipnet::IpNet;

/// The columns, in the order in which they are usually written.
pub const HEADER: [&str; 8] =
    ["subscriber", "node", "port", "outer_vlan", "inner_vlan", "mac", "isp", "prefixes"];
const SUBSCRIBER: usize = 0;
const NODE: usize = 1;
const PORT: usize = 2;
const OUTER: usize = 3;
const INNER: usize = 4;
const MAC: usize = 5;
const ISP: usize = 6;
const PREFIXES: usize = 7;
/// The most octets of a subscriber's name.
const MAX_NAME: usize = 128;
/// The most prefixes in a row: enough for any line, and a bound on what one row makes the forwarder hold.
const MAX_PREFIXES: usize = 64;

/// A row: a subscriber's service with one ISP on one circuit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The subscriber's name; rows of the same name are the same subscriber.
    pub subscriber: String,
    /// The headend's name.
    pub node: String,
    /// The access port's device name.
    pub port: String,
    /// The tags of the line.
    pub tags: VlanTags,
    /// The one Ethernet address that may speak, if it is known beforehand.
    pub mac: Option<MacAddr>,
    /// The ISP.
    pub isp: Asn,
    /// The subscriber's prefixes, host bits zero.
    pub prefixes: Vec<IpNet>,
    /// Where in the file the row is.
    pub place: RowPlace,
}

/// Where in the file a row and its fields are; nowhere for one that did not come from a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RowPlace {
    line: u64,
    start: usize,
    fields: [Range<usize>; HEADER.len()],
}

/// What is wrong with a row.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct RowError {
    /// The line, from 1.
    pub line: u64,
    /// The column in octets, from 1.
    pub column: usize,
    /// Octets of the file.
    pub span: Range<usize>,
    /// The field of [`HEADER`], if it is one field's fault.
    pub field: Option<&'static str>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// The other place, if two are in each other's way, and what it is.
    pub other: Option<(Range<usize>, String)>,
}

impl RowPlace {
    /// Where a field is.
    pub(crate) fn field(&self, field: &str) -> Range<usize> {
        let index = HEADER.iter().position(|name| *name == field);
        index.and_then(|index| self.fields.get(index)).cloned().unwrap_or(self.start..self.start)
    }

    /// An error at a field.
    pub(crate) fn error(&self, field: &'static str, message: String, help: String) -> RowError {
        let span = self.field(field);
        let column = span.start.saturating_sub(self.start) + 1;
        RowError { line: self.line, column, span, field: Some(field), message, help, other: None }
    }
}

/// Reads a file: all of its rows, or all that is wrong with it. Lines that begin with `#` are comments.
pub fn parse_csv(text: &str) -> Result<Vec<Row>, Vec<RowError>> {
    let (rows, errors) = parse_lossy(text);
    if errors.is_empty() { Ok(rows) } else { Err(errors) }
}

/// The rows that can be read, and what is wrong with the others.
pub(crate) fn parse_lossy(text: &str) -> (Vec<Row>, Vec<RowError>) {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    let mut columns = None;
    let (mut line, mut counted) = (1, 0);
    let mut record = csv::StringRecord::new();
    // The text is UTF-8 and rows may differ in length, so reading memory has no error left to give.
    while reader.read_record(&mut record).unwrap_or(false) {
        let from = record.position().map_or(0, |at| usize::try_from(at.byte()).unwrap_or(0));
        let start = record_start(text, from);
        line += text.get(counted..start).unwrap_or("").matches('\n').count() as u64;
        counted = start;
        let spans = field_spans(text, start);
        match &columns {
            None => match header(&record, &spans, text) {
                Ok(order) => columns = Some(order),
                Err(found) => return (rows, found),
            },
            Some(columns) => match row(&record, &spans, line, columns) {
                Ok(row) => rows.push(row),
                Err(found) => errors.extend(found),
            },
        }
    }
    if columns.is_none() {
        let help = format!("begin the file with the line `{}`", HEADER.join(","));
        errors.push(bare_error(text, 0..0, "the file has no header".to_owned(), help));
    }
    (rows, errors)
}

/// For each column of [`HEADER`], the field of a record that holds it.
type Columns = [usize; HEADER.len()];

fn header(record: &csv::StringRecord, spans: &[Range<usize>], text: &str) -> Result<Columns, Vec<RowError>> {
    let mut columns = [usize::MAX; HEADER.len()];
    let mut errors = Vec::new();
    let span = |index: usize| spans.get(index).cloned().unwrap_or(0..0);
    for (index, name) in record.iter().enumerate() {
        let name = name.trim().trim_start_matches('\u{feff}');
        match HEADER.iter().position(|known| *known == name) {
            Some(column) if columns[column] == usize::MAX => columns[column] = index,
            Some(_) => errors.push(bare_error(
                text,
                span(index),
                format!("the column `{name}` is there twice"),
                "remove one of them".to_owned(),
            )),
            None => errors.push(bare_error(
                text,
                span(index),
                format!("`{name}` is no column of a file of subscribers"),
                format!("the columns are {}", HEADER.join(",")),
            )),
        }
    }
    let missing: Vec<_> =
        HEADER.iter().zip(columns).filter(|(_, at)| *at == usize::MAX).map(|(n, _)| *n).collect();
    if !missing.is_empty() && errors.is_empty() {
        let whole = span(0).start..spans.last().map_or(0, |last| last.end);
        let message = format!("the header lacks {}", missing.join(", "));
        errors.push(bare_error(text, whole, message, format!("write `{}`", HEADER.join(","))));
    }
    if errors.is_empty() { Ok(columns) } else { Err(errors) }
}

fn row(
    record: &csv::StringRecord,
    spans: &[Range<usize>],
    line: u64,
    columns: &Columns,
) -> Result<Row, Vec<RowError>> {
    let start = spans.first().map_or(0, |span| span.start);
    if record.len() != HEADER.len() {
        let whole = start..spans.last().map_or(start, |last| last.end);
        let message = format!("this row has {} fields, the header {}", record.len(), HEADER.len());
        let help = "an empty field keeps its comma, several prefixes are separated by spaces".to_owned();
        let error = RowError { line, column: 1, span: whole, field: None, message, help, other: None };
        return Err(vec![error]);
    }
    let fields = columns.map(|at| spans.get(at).cloned().unwrap_or(start..start));
    let place = RowPlace { line, start, fields };
    let field = |column: usize| record.get(columns[column]).unwrap_or("").trim();
    let mut errors = Vec::new();
    let mut wrong = |column: usize, message: String, help: &str| {
        errors.push(place.error(HEADER[column], message, help.to_owned()));
    };

    let subscriber = field(SUBSCRIBER);
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if subscriber.is_empty() || subscriber.len() > MAX_NAME || subscriber.contains(odd) {
        let message = format!("a subscriber's name has 1 to {MAX_NAME} octets and no white space");
        wrong(SUBSCRIBER, message, "write a name or a line's number");
    }
    for column in [NODE, PORT] {
        if field(column).is_empty() {
            wrong(column, format!("`{}` is empty", HEADER[column]), "write its name as in the network file");
        }
    }
    let tags = tags(field(OUTER), field(INNER), &mut wrong);
    let mac = match field(MAC) {
        "" => None,
        mac => match mac.parse::<MacAddr>() {
            Ok(mac) if mac.is_unicast() => Some(mac),
            Ok(mac) => {
                let message = format!("{mac} is no station's address");
                wrong(MAC, message, "write the subscriber's own, or leave it empty to learn it");
                None
            }
            Err(_) => {
                let message = format!("`{mac}` is no Ethernet address");
                wrong(
                    MAC,
                    message,
                    "write six hexadecimal octets, as in 02:00:5e:10:00:01, or leave it empty",
                );
                None
            }
        },
    };
    let isp = field(ISP).parse().unwrap_or_else(|_| {
        wrong(ISP, format!("`{}` is no AS number", field(ISP)), "write the ISP's, as in 64501 or AS64501");
        Asn(0)
    });
    let prefixes = prefixes(field(PREFIXES), &mut wrong);
    if !errors.is_empty() {
        return Err(errors);
    }
    let [subscriber, node, port] = [SUBSCRIBER, NODE, PORT].map(|column| field(column).to_owned());
    Ok(Row { subscriber, node, port, tags, mac, isp, prefixes, place })
}

fn tags(outer: &str, inner: &str, wrong: &mut impl FnMut(usize, String, &str)) -> VlanTags {
    let mut vlan = |column: usize, text: &str| match text {
        "" => None,
        text => match text.parse::<u16>().ok().and_then(|id| VlanId::new(id).ok()) {
            Some(id) => Some(id),
            None => {
                let message = format!("`{text}` is no VLAN");
                wrong(column, message, "write a number from 1 to 4094, or leave it empty");
                None
            }
        },
    };
    match (vlan(OUTER, outer), vlan(INNER, inner)) {
        (None, None) => VlanTags::None,
        (Some(id), None) => VlanTags::Single(id),
        (Some(outer), Some(inner)) => VlanTags::Double { outer, inner },
        (None, Some(_)) => {
            if outer.is_empty() {
                let message = "there is an inner VLAN and no outer one".to_owned();
                wrong(OUTER, message, "a line with one tag has it in outer_vlan");
            }
            VlanTags::None
        }
    }
}

fn prefixes(text: &str, wrong: &mut impl FnMut(usize, String, &str)) -> Vec<IpNet> {
    let mut prefixes = Vec::new();
    for word in text.split_whitespace() {
        let prefix = word.parse::<IpNet>().or_else(|_| word.parse::<std::net::IpAddr>().map(IpNet::from));
        match prefix {
            Ok(prefix) if prefix == prefix.trunc() => prefixes.push(prefix),
            Ok(prefix) => {
                let message = format!("{prefix} has host bits");
                wrong(PREFIXES, message, &format!("write {} or {}", prefix.trunc(), prefix.addr()));
            }
            Err(_) => {
                let message = format!("`{word}` is neither an address nor a prefix");
                wrong(
                    PREFIXES,
                    message,
                    "write them as in `100.64.0.11 2001:db8:a:11::/64`, with spaces between",
                );
            }
        }
    }
    if text.is_empty() {
        let message = "a service without a prefix carries nothing".to_owned();
        wrong(PREFIXES, message, "write the subscriber's addresses, as in `100.64.0.11 2001:db8:a:11::/64`");
    } else if prefixes.len() > MAX_PREFIXES {
        let message = format!("{} prefixes are more than {MAX_PREFIXES}", prefixes.len());
        wrong(PREFIXES, message, "write fewer, larger ones");
    }
    prefixes
}

/// Where the record begins that is read from this octet on: after empty lines and comments, which the reader counts to
/// the record that follows them.
fn record_start(text: &str, from: usize) -> usize {
    let mut rest = text.get(from..).unwrap_or("");
    loop {
        let line = rest.trim_start_matches(['\r', '\n']);
        match line.strip_prefix('#') {
            Some(comment) => rest = comment.find(['\r', '\n']).map_or("", |end| &comment[end..]),
            None => return text.len() - line.len(),
        }
    }
}

/// Where the fields of the record are that begins at this octet, quotes included.
fn field_spans(text: &str, mut start: usize) -> Vec<Range<usize>> {
    let (mut spans, mut quoted) = (Vec::new(), false);
    let octets = text.as_bytes();
    let mut at = start;
    loop {
        match octets.get(at) {
            Some(b'"') => quoted = !quoted,
            Some(b',') if !quoted => {
                spans.push(start..at);
                start = at + 1;
            }
            Some(b'\r' | b'\n') if !quoted => break,
            None => break,
            Some(_) => {}
        }
        at += 1;
    }
    spans.push(start..at);
    spans
}

fn bare_error(text: &str, span: Range<usize>, message: String, help: String) -> RowError {
    let before = text.get(..span.start).unwrap_or("");
    let line = before.bytes().filter(|octet| *octet == b'\n').count() as u64 + 1;
    let column = span.start - before.rfind('\n').map_or(0, |newline| newline + 1) + 1;
    RowError { line, column, span, field: None, message, help, other: None }
}
