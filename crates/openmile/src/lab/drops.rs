//! What the nodes dropped: where, why and how much of it.

use std::collections::BTreeMap;

use api::{Client, DropRow, ShowWhat};
use miette::IntoDiagnostic;

use super::watch::Nodes;

/// Each node's drops since it was started.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Drops(BTreeMap<String, Vec<DropRow>>);

impl Drops {
    /// As they are now, of the nodes that answer: one that is down has dropped nothing yet when it comes back.
    pub(super) async fn of_running(nodes: &Nodes) -> Self {
        let mut drops = Self::default();
        for (node, client) in nodes.iter() {
            _ = drops.add(node, client).await;
        }
        drops
    }

    /// Adds a node's.
    pub(super) async fn add(&mut self, node: &str, client: &Client) -> miette::Result<()> {
        let mut rows: Vec<DropRow> = client.show(ShowWhat::Drops).await.into_diagnostic()?;
        rows.sort_by(|a, b| (&a.port, &a.reason).cmp(&(&b.port, &b.reason)));
        self.0.insert(node.to_owned(), rows);
        Ok(())
    }

    /// A node's, by port and reason.
    pub(super) fn of(&self, node: &str) -> &[DropRow] {
        self.0.get(node).map_or(&[], Vec::as_slice)
    }

    /// What came since an earlier look: node, port, reason, meaning, how many.
    pub(super) fn since(&self, earlier: &Self) -> Vec<(String, DropRow)> {
        let before = |node: &str, row: &DropRow| {
            let rows = earlier.of(node).iter();
            rows.filter(|r| (&r.port, &r.reason) == (&row.port, &row.reason)).map(|r| r.frames).sum::<u64>()
        };
        let all = self.0.iter().flat_map(|(node, rows)| rows.iter().map(move |row| (node, row)));
        let since = all.map(|(node, row)| {
            // A node that was started again counts from nothing.
            let frames = row.frames.checked_sub(before(node, row)).unwrap_or(row.frames);
            (node.clone(), DropRow { frames, ..row.clone() })
        });
        since.filter(|(_, row)| row.frames > 0).collect()
    }
}
