//! A file of subscribers: comma-separated values (RFC 4180), one service in each row.

use std::ops::Range;

use contract::{Asn, MacAddr, VlanId, VlanTags};
use ipnet::IpNet;

use crate::record::{Problem, ServiceRecord};

/// The columns that a file must have, in the order in which they are usually written. There may be one more, `plan`.
pub const HEADER: [&str; 8] =
    ["subscriber", "node", "port", "outer_vlan", "inner_vlan", "mac", "isp", "prefixes"];
/// All columns.
const COLUMNS: [&str; 9] =
    ["subscriber", "node", "port", "outer_vlan", "inner_vlan", "mac", "isp", "prefixes", "plan"];
const NODE: usize = 1;
/// Stands for a column that the file does not have.
const ABSENT: usize = usize::MAX;
/// The most octets of a subscriber's name, and of a plan's.
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
    /// The service.
    pub service: ServiceRecord,
    /// Where in the file the row is.
    pub place: RowPlace,
}

/// Where in the file a row and its fields are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RowPlace {
    line: u64,
    start: usize,
    fields: [Range<usize>; COLUMNS.len()],
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
        let index = COLUMNS.iter().position(|name| *name == field);
        index.and_then(|index| self.fields.get(index)).cloned().unwrap_or(self.start..self.start)
    }

    /// The line, and where it starts.
    pub(crate) fn line(&self) -> (u64, usize) {
        (self.line, self.start)
    }

    /// A problem, at its field.
    pub(crate) fn error(&self, problem: Problem) -> RowError {
        let Problem { field, message, help, .. } = problem;
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
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    read(text, &mut |row| match row {
        Ok(row) => rows.push(row),
        Err(found) => errors.extend(found),
    });
    (rows, errors)
}

/// Reads a file row by row; says which columns it has, unless its header is wrong.
pub(crate) fn read(text: &str, each: &mut dyn FnMut(Result<Row, Vec<RowError>>)) -> Option<Columns> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
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
                Err(found) => {
                    each(Err(found));
                    return None;
                }
            },
            Some(columns) => each(row(&record, &spans, line, columns)),
        }
    }
    if columns.is_none() {
        let help = format!("begin the file with the line `{}`", HEADER.join(","));
        each(Err(vec![bare_error(text, 0..0, "the file has no header".to_owned(), help)]));
    }
    columns
}

/// For each of [`COLUMNS`], the field of a record that holds it.
pub(crate) type Columns = [usize; COLUMNS.len()];

/// Where a field is of the record that starts here.
pub(crate) fn field_of(text: &str, start: usize, columns: &Columns, field: &str) -> Range<usize> {
    let column = COLUMNS.iter().position(|name| *name == field).and_then(|at| columns.get(at));
    let spans = field_spans(text, start);
    column.and_then(|at| spans.get(*at)).cloned().unwrap_or(start..start)
}

fn header(record: &csv::StringRecord, spans: &[Range<usize>], text: &str) -> Result<Columns, Vec<RowError>> {
    let mut columns = [ABSENT; COLUMNS.len()];
    let mut errors = Vec::new();
    let span = |index: usize| spans.get(index).cloned().unwrap_or(0..0);
    for (index, name) in record.iter().enumerate() {
        let name = name.trim().trim_start_matches('\u{feff}');
        match COLUMNS.iter().position(|known| *known == name) {
            Some(column) if columns[column] == ABSENT => columns[column] = index,
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
                format!("the columns are {}", COLUMNS.join(",")),
            )),
        }
    }
    let missing: Vec<_> =
        HEADER.iter().zip(columns).filter(|(_, at)| *at == ABSENT).map(|(n, _)| *n).collect();
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
    let expected = columns.iter().filter(|at| **at != ABSENT).count();
    if record.len() != expected {
        let whole = start..spans.last().map_or(start, |last| last.end);
        let message = format!("this row has {} fields, the header {expected}", record.len());
        let help = "an empty field keeps its comma, several prefixes are separated by spaces".to_owned();
        let error = RowError { line, column: 1, span: whole, field: None, message, help, other: None };
        return Err(vec![error]);
    }
    let fields = columns.map(|at| spans.get(at).cloned().unwrap_or(start..start));
    let place = RowPlace { line, start, fields };
    let [subscriber, node, port, outer_vlan, inner_vlan, mac, isp, prefixes, plan] =
        columns.map(|at| record.get(at).unwrap_or("").trim());
    let fields = Fields { subscriber, port, outer_vlan, inner_vlan, mac, isp, prefixes, plan };
    let mut problems = Vec::new();
    if node.is_empty() {
        problems.push(empty(COLUMNS[NODE]));
    }
    match fields.service() {
        Ok(service) if problems.is_empty() => {
            Ok(Row { subscriber: subscriber.to_owned(), node: node.to_owned(), service, place })
        }
        Ok(_) => Err(problems.into_iter().map(|problem| place.error(problem)).collect()),
        Err(found) => {
            let name = |problem: &Problem| problem.field == COLUMNS[0];
            let at = found.iter().take_while(|problem| name(problem)).count();
            let mut found = found;
            found.splice(at..at, problems);
            Err(found.into_iter().map(|problem| place.error(problem)).collect())
        }
    }
}

/// A service as it is written, whether in a file or in a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) subscriber: &'a str,
    pub(crate) port: &'a str,
    pub(crate) outer_vlan: &'a str,
    pub(crate) inner_vlan: &'a str,
    pub(crate) mac: &'a str,
    pub(crate) isp: &'a str,
    pub(crate) prefixes: &'a str,
    pub(crate) plan: &'a str,
}

impl Fields<'_> {
    /// The service, or all that is wrong with it by itself.
    pub(crate) fn service(&self) -> Result<ServiceRecord, Vec<Problem>> {
        let mut problems = Vec::new();
        let subscriber = self.subscriber;
        if subscriber.is_empty() || is_odd(subscriber) {
            let message = format!("a subscriber's name has 1 to {MAX_NAME} octets and no white space");
            problems.push(Problem::new("subscriber", message, "write a name or a line's number"));
        }
        if self.port.is_empty() {
            problems.push(empty("port"));
        }
        let tags = tags(self.outer_vlan, self.inner_vlan, &mut problems);
        let mac = mac(self.mac).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let isp = isp("isp", self.isp).unwrap_or_else(|problem| {
            problems.push(problem);
            Asn(0)
        });
        let prefixes = prefixes(self.prefixes, &mut problems);
        if is_odd(self.plan) {
            let message = format!("a plan's name has 1 to {MAX_NAME} octets and no white space");
            problems.push(Problem::new("plan", message, "write a plan's name, or leave it empty"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let plan = (!self.plan.is_empty()).then(|| self.plan.to_owned());
        Ok(ServiceRecord { isp, port: self.port.to_owned(), tags, mac, plan, prefixes, leaving_until: None })
    }
}

fn is_odd(name: &str) -> bool {
    name.len() > MAX_NAME || name.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn empty(field: &'static str) -> Problem {
    Problem::new(field, format!("`{field}` is empty"), "write its name as in the network file")
}

/// An AS number, from this field.
pub(crate) fn isp(field: &'static str, text: &str) -> Result<Asn, Problem> {
    text.parse().map_err(|_| {
        let help = "write the ISP's, as in 64501 or AS64501";
        Problem::new(field, format!("`{text}` is no AS number"), help)
    })
}

fn mac(text: &str) -> Result<Option<MacAddr>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<MacAddr>() {
        Ok(mac) if mac.is_unicast() => Ok(Some(mac)),
        Ok(mac) => {
            let help = "write the subscriber's own, or leave it empty to learn it";
            Err(Problem::new("mac", format!("{mac} is no station's address"), help))
        }
        Err(_) => {
            let help = "write six hexadecimal octets, as in 02:00:5e:10:00:01, or leave it empty";
            Err(Problem::new("mac", format!("`{text}` is no Ethernet address"), help))
        }
    }
}

fn tags(outer: &str, inner: &str, problems: &mut Vec<Problem>) -> VlanTags {
    let mut vlan = |field: &'static str, text: &str| match text {
        "" => None,
        text => match text.parse::<u16>().ok().and_then(|id| VlanId::new(id).ok()) {
            Some(id) => Some(id),
            None => {
                let help = "write a number from 1 to 4094, or leave it empty";
                problems.push(Problem::new(field, format!("`{text}` is no VLAN"), help));
                None
            }
        },
    };
    match (vlan("outer_vlan", outer), vlan("inner_vlan", inner)) {
        (None, None) => VlanTags::None,
        (Some(id), None) => VlanTags::Single(id),
        (Some(outer), Some(inner)) => VlanTags::Double { outer, inner },
        (None, Some(_)) => {
            if outer.is_empty() {
                let help = "a line with one tag has it in outer_vlan";
                problems.push(Problem::new("outer_vlan", "there is an inner VLAN and no outer one", help));
            }
            VlanTags::None
        }
    }
}

/// Prefixes with white space between.
pub(crate) fn prefixes(text: &str, problems: &mut Vec<Problem>) -> Vec<IpNet> {
    let mut prefixes = Vec::new();
    let mut wrong = |message: String, help: &str| problems.push(Problem::new("prefixes", message, help));
    for word in text.split_whitespace() {
        let prefix = word.parse::<IpNet>().or_else(|_| word.parse::<std::net::IpAddr>().map(IpNet::from));
        match prefix {
            Ok(prefix) if prefix == prefix.trunc() => prefixes.push(prefix),
            Ok(prefix) => {
                wrong(
                    format!("{prefix} has host bits"),
                    &format!("write {} or {}", prefix.trunc(), prefix.addr()),
                );
            }
            Err(_) => wrong(
                format!("`{word}` is neither an address nor a prefix"),
                "write them as in `100.64.0.11 2001:db8:a:11::/64`, with spaces between",
            ),
        }
    }
    if text.trim().is_empty() {
        let help = "write the subscriber's addresses, as in `100.64.0.11 2001:db8:a:11::/64`";
        wrong("a service without a prefix carries nothing".to_owned(), help);
    } else if prefixes.len() > MAX_PREFIXES {
        wrong(
            format!("{} prefixes are more than {MAX_PREFIXES}", prefixes.len()),
            "write fewer, larger ones",
        );
    }
    prefixes
}

/// The line of a service in a file; [`csv_header`] names its columns.
pub fn csv_line(node: &str, subscriber: &str, service: &ServiceRecord) -> String {
    let (outer, inner) = vlans(service.tags);
    let prefixes: Vec<_> = service.prefixes.iter().map(written).collect();
    let fields = [
        subscriber,
        node,
        &service.port,
        &outer,
        &inner,
        &service.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        &service.isp.0.to_string(),
        &prefixes.join(" "),
        service.plan.as_deref().unwrap_or(""),
    ];
    fields.map(quoted).join(",") + "\n"
}

/// The header line of [`csv_line`]s.
pub fn csv_header() -> String {
    COLUMNS.join(",") + "\n"
}

/// The tags as they are written.
pub(crate) fn vlans(tags: VlanTags) -> (String, String) {
    match tags {
        VlanTags::None => (String::new(), String::new()),
        VlanTags::Single(id) => (id.number().to_string(), String::new()),
        VlanTags::Double { outer, inner } => (outer.number().to_string(), inner.number().to_string()),
    }
}

/// A prefix as it is written: an address where it is one.
pub(crate) fn written(prefix: &IpNet) -> String {
    let host = prefix.prefix_len() == prefix.max_prefix_len();
    if host { prefix.addr().to_string() } else { prefix.to_string() }
}

fn quoted(field: &str) -> String {
    let special = field.starts_with('#') || field.contains([',', '"', '\r', '\n']);
    if special { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
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
