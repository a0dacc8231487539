//! `openmile subscriber`: the subscribers of a headend.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use api::{
    Client, ClientError, ImportDone, ImportLine, ImportOptions, Refused, SubscriberAction, SubscriberDone,
    SubscriberEdit, SubscriberRequest,
};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use subscriber::ServiceRecord;

use super::show;
use crate::runtime_dir::RuntimeDir;

/// Errors of a request or a file that are shown; more are counted.
const SHOWN: usize = 20;

/// What to do with subscribers, of which node.
#[derive(Clone, Debug, Args)]
pub(crate) struct SubscriberArgs {
    #[command(subcommand)]
    what: What,
    /// The node; may be left out where only one runs
    #[arg(long, global = true, env = "OPENMILE_NODE")]
    node: Option<String>,
    /// Where running nodes keep their sockets and counters
    #[arg(long, global = true, default_value = RuntimeDir::DEFAULT)]
    runtime_dir: PathBuf,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Add a subscriber, or one more service for one that is there
    Add {
        /// The subscriber's name
        subscriber: String,
        /// The ISP's AS number
        #[arg(long)]
        isp: String,
        #[command(flatten)]
        fields: Fields,
        /// Only try it
        #[arg(long)]
        dry_run: bool,
    },
    /// Change a service; what is not given stays, an empty text clears
    Set {
        /// The subscriber's name
        subscriber: String,
        /// The ISP of the service that is meant, where there are several
        #[arg(long)]
        isp: Option<String>,
        #[command(flatten)]
        fields: Fields,
        /// Only try it
        #[arg(long)]
        dry_run: bool,
    },
    /// Move subscribers to another ISP: at once, and without losing what is under way at the old one
    Move {
        /// The subscribers' names
        #[arg(required = true)]
        subscribers: Vec<String>,
        /// The ISP to go to
        #[arg(long)]
        to: String,
        /// The ISP to leave, where there are several
        #[arg(long)]
        from: Option<String>,
        /// The addresses at the new ISP; left out: the same ones
        #[arg(long, num_args = 1.., value_delimiter = ',')]
        prefixes: Option<Vec<String>>,
        /// The plan at the new ISP; left out: the same one
        #[arg(long)]
        plan: Option<String>,
        /// Only try it
        #[arg(long)]
        dry_run: bool,
    },
    /// Remove subscribers, or their services with one ISP
    Remove {
        /// The subscribers' names
        #[arg(required = true)]
        subscribers: Vec<String>,
        /// Only the service with this ISP
        #[arg(long)]
        isp: Option<String>,
        /// Only try it
        #[arg(long)]
        dry_run: bool,
    },
    /// Show subscribers
    Show {
        /// Only this one
        subscriber: Option<String>,
        /// Only this ISP's
        #[arg(long)]
        isp: Option<String>,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Import a file of subscribers: all of it, or nothing. Each subscriber in it becomes what the file says
    Import {
        /// The file; `-` is standard input
        file: PathBuf,
        /// Remove subscribers that the file does not name
        #[arg(long)]
        replace: bool,
        /// Only check it
        #[arg(long)]
        dry_run: bool,
    },
    /// Write all subscribers as such a file, sorted
    Export {
        /// The file; left out: standard output
        file: Option<PathBuf>,
    },
}

/// Fields of a service, as in a file of subscribers.
#[derive(Clone, Debug, Args)]
struct Fields {
    /// The access port
    #[arg(long)]
    port: Option<String>,
    /// The outer VLAN, or the only one
    #[arg(long)]
    outer_vlan: Option<String>,
    /// The inner VLAN
    #[arg(long)]
    inner_vlan: Option<String>,
    /// The only Ethernet address that may speak
    #[arg(long)]
    mac: Option<String>,
    /// The plan
    #[arg(long)]
    plan: Option<String>,
    /// Addresses and prefixes
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    prefixes: Option<Vec<String>>,
}

impl Fields {
    fn edit(self, action: SubscriberAction, subscriber: String, isp: Option<String>) -> SubscriberEdit {
        let Self { port, outer_vlan, inner_vlan, mac, plan, prefixes } = self;
        let prefixes = prefixes.map(|prefixes| prefixes.join(" "));
        SubscriberEdit {
            action,
            subscriber,
            isp,
            to: None,
            port,
            outer_vlan,
            inner_vlan,
            mac,
            plan,
            prefixes,
        }
    }
}

/// Does it.
pub(crate) fn run(args: &SubscriberArgs) -> miette::Result<ExitCode> {
    let dir = show::node_dir(&args.runtime_dir, args.node.as_deref())?;
    let client = Client::new(dir.api_socket());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    runtime.block_on(perform(&client, args.what.clone()))
}

async fn perform(client: &Client, what: What) -> miette::Result<ExitCode> {
    let (edits, dry_run) = match what {
        What::Add { subscriber, isp, fields, dry_run } => {
            (vec![fields.edit(SubscriberAction::Add, subscriber, Some(isp))], dry_run)
        }
        What::Set { subscriber, isp, fields, dry_run } => {
            (vec![fields.edit(SubscriberAction::Set, subscriber, isp)], dry_run)
        }
        What::Move { subscribers, to, from, prefixes, plan, dry_run } => {
            if prefixes.is_some() && subscribers.len() > 1 {
                return Err(miette!("--prefixes is for one subscriber, and there are {}", subscribers.len()));
            }
            let prefixes = prefixes.map(|prefixes| prefixes.join(" "));
            let edit = |subscriber| SubscriberEdit {
                to: Some(to.clone()),
                isp: from.clone(),
                prefixes: prefixes.clone(),
                plan: plan.clone(),
                ..SubscriberEdit::new(SubscriberAction::Move, subscriber)
            };
            (subscribers.into_iter().map(edit).collect(), dry_run)
        }
        What::Remove { subscribers, isp, dry_run } => {
            let edit = |subscriber| SubscriberEdit {
                isp: isp.clone(),
                ..SubscriberEdit::new(SubscriberAction::Remove, subscriber)
            };
            (subscribers.into_iter().map(edit).collect(), dry_run)
        }
        What::Show { subscriber, isp, json } => return show_rows(client, subscriber, isp, json).await,
        What::Import { file, replace, dry_run } => {
            return import(client, &file, ImportOptions { replace, dry_run }).await;
        }
        What::Export { file } => return export(client, file).await,
    };
    let moves = edits.iter().any(|edit| edit.action == SubscriberAction::Move);
    match client.edit(&SubscriberRequest { edits, dry_run }).await {
        Ok(done) => {
            say_done(&done, moves);
            Ok(ExitCode::SUCCESS)
        }
        Err(ClientError::Rejected(refused)) => Ok(say_refused(&refused)),
        Err(error) => Err(error).into_diagnostic(),
    }
}

fn say_done(done: &SubscriberDone, moves: bool) {
    let what = if done.subscribers == 1 { "subscriber" } else { "subscribers" };
    let how = if done.dry_run { "would be changed" } else { "changed" };
    let grace = format!("; packets of the ISP that was left still arrive for {} s", done.move_grace);
    let grace = if moves && !done.dry_run { grace.as_str() } else { "" };
    println!("{} {what} {how}{grace}", done.subscribers);
}

/// Says why nothing was changed.
fn say_refused(refused: &Refused) -> ExitCode {
    eprintln!("openmile: {}", refused.message);
    for error in refused.errors.iter().take(SHOWN) {
        let line = error.line.map(|line| format!("line {line}: "));
        let who = error.subscriber.as_ref().map(|subscriber| format!("{subscriber}: "));
        let field = error.field.as_ref().map(|field| format!("{field}: "));
        let place: String = [line, who, field].into_iter().flatten().collect();
        eprintln!("  {place}{}\n    help: {}", error.message, error.help);
    }
    let shown = refused.errors.len().min(SHOWN) as u64;
    if refused.count > shown && shown > 0 {
        eprintln!("  and {} more", refused.count - shown);
    }
    if let Some(help) = &refused.help {
        eprintln!("  help: {help}");
    }
    ExitCode::FAILURE
}

async fn rows(client: &Client, filter: &str) -> miette::Result<Vec<api::Subscriber>> {
    let (mut rows, mut after) = (Vec::new(), None::<String>);
    loop {
        let from = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let page = client.subscribers(&format!("{filter}{from}")).await.into_diagnostic()?;
        rows.extend(page.rows);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    rows.sort_by(|a, b| {
        (&a.subscriber, a.isp, &a.port, a.tags).cmp(&(&b.subscriber, b.isp, &b.port, b.tags))
    });
    Ok(rows)
}

async fn show_rows(
    client: &Client,
    subscriber: Option<String>,
    isp: Option<String>,
    json: bool,
) -> miette::Result<ExitCode> {
    let filter = [("subscriber", &subscriber), ("isp", &isp)];
    let filter = filter.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
    let filter: Vec<_> = filter.map(|(key, value)| format!("{key}={}", escaped(value))).collect();
    let rows = rows(client, &filter.join("&")).await?;
    if let Some(subscriber) = subscriber.filter(|_| rows.is_empty()) {
        eprintln!("openmile: there is no subscriber `{subscriber}`");
        return Ok(ExitCode::FAILURE);
    }
    let answer = serde_json::to_value(rows).into_diagnostic()?;
    show::print(api::ShowWhat::Subscribers, answer, json)?;
    Ok(ExitCode::SUCCESS)
}

/// Octets of a query that stand for themselves, the others in hexadecimal (RFC 3986 §2.1).
fn escaped(text: &str) -> String {
    let octet = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(octet).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(octet).collect()
}

async fn import(client: &Client, file: &std::path::Path, options: ImportOptions) -> miette::Result<ExitCode> {
    let text = if file == std::path::Path::new("-") {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut text).into_diagnostic()?;
        text
    } else {
        std::fs::read(file).into_diagnostic().wrap_err_with(|| format!("cannot read {}", file.display()))?
    };
    // Each row is looked at twice.
    let rows = 2 * text.iter().filter(|octet| **octet == b'\n').count() as u64;
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(rows) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{msg:8} {wide_bar} {percent} %").into_diagnostic()?);
    bar.set_message("checking");
    let mut lines = match client.import(text, options).await {
        Err(ClientError::Rejected(refused)) => return Ok(say_refused(&refused)),
        lines => lines.into_diagnostic()?,
    };
    loop {
        match lines.next().await.into_diagnostic()? {
            Some(ImportLine::Progress { rows }) => bar.set_position(rows),
            Some(ImportLine::Storing) => bar.set_message("storing"),
            Some(ImportLine::Done(done)) => {
                bar.finish_and_clear();
                say_imported(&done);
                return Ok(ExitCode::SUCCESS);
            }
            Some(ImportLine::Refused(refused)) => {
                bar.finish_and_clear();
                return Ok(say_refused(&refused));
            }
            None => {
                return Err(miette!("the node stopped during the import: see what it has when it is back"));
            }
        }
    }
}

fn say_imported(done: &ImportDone) {
    let ImportDone { rows, skipped, subscribers, removed, dry_run } = done;
    let skipped = if *skipped > 0 { format!(", {skipped} rows are other nodes'") } else { String::new() };
    let removed = if *removed > 0 { format!(", {removed} subscribers removed") } else { String::new() };
    let tried = if *dry_run { " would be imported" } else { " imported" };
    println!("{rows} rows with {subscribers} subscribers{tried}{skipped}{removed}");
}

async fn export(client: &Client, file: Option<PathBuf>) -> miette::Result<ExitCode> {
    let node = client.node().await.into_diagnostic()?.node;
    let rows = rows(client, "").await?;
    let mut text = subscriber::csv_header();
    // What is leaving belongs to no file: it is over soon.
    for row in rows.iter().filter(|row| row.leaving_for.is_none()) {
        let service = ServiceRecord {
            isp: row.isp,
            port: row.port.clone(),
            tags: row.tags,
            mac: row.mac.filter(|_| row.mac_configured),
            plan: row.plan.clone(),
            prefixes: row.prefixes.clone(),
            leaving_until: None,
        };
        text.push_str(&subscriber::csv_line(&node, &row.subscriber, &service));
    }
    match file {
        None => show::write(&text)?,
        Some(file) => std::fs::write(&file, text)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", file.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}
