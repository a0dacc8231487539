//! The network file and the file of subscribers that it names, read and checked together.

use std::path::Path;

use network::{Network, NodeView, Problem, Report};
use subscriber::{Directory, Facts, RowError, Summary};

/// A network and its subscribers, both of which hold together.
pub(crate) struct Site {
    network: Network,
    subscribers: String,
    summary: Summary,
}

impl Site {
    /// Reads and checks both files.
    pub(crate) fn load(file: &Path) -> Result<Self, Report> {
        let network = Network::load(file)?;
        match network.subscribers_file() {
            None => Self::new(network, "", String::new()),
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&name, &error))?;
                Self::new(network, &name, text)
            }
        }
    }

    /// A network and the text of its file of subscribers (empty: there is none), checked.
    pub(crate) fn new(network: Network, name: &str, subscribers: String) -> Result<Self, Report> {
        let facts = facts(&network, None);
        let summary = if subscribers.is_empty() {
            Summary::default()
        } else {
            subscriber::check(&subscribers, &facts).map_err(|errors| report(name, &subscribers, errors))?
        };
        Ok(Self { network, subscribers, summary })
    }

    /// The network.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// What the network allows subscribers; this node's ports may have other numbers than at first.
    pub(crate) fn facts(&self, view: &NodeView) -> Facts {
        facts(&self.network, Some(view))
    }

    /// What the file of subscribers is recognized by.
    pub(crate) fn subscribers_digest(&self) -> String {
        network::digest(&self.subscribers)
    }

    /// How many subscribers there are in all.
    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The directory of one node, whose ports may have other numbers than at first.
    pub(crate) fn directory(&self, view: &NodeView) -> Directory {
        let (node, facts) = (view.name.as_str(), self.facts(view));
        if self.subscribers.is_empty() {
            return Directory::new(node, &facts);
        }
        Directory::read(node, &self.subscribers, &facts).unwrap_or_else(|errors| {
            // The whole file was found right for all nodes when this was loaded.
            tracing::error!(rows = errors.len(), "the file of subscribers does not hold together for {node}");
            Directory::new(node, &facts)
        })
    }
}

/// What the network file allows subscribers; of one node it may be known what numbers its ports have.
pub(crate) fn facts(network: &Network, own: Option<&NodeView>) -> Facts {
    let mut facts = Facts::new();
    for isp in network.isps() {
        facts.add_isp(isp.asn, isp.name.as_str());
    }
    for name in network.nodes().iter().map(|node| node.name.as_str()) {
        let own = own.filter(|own| own.name.as_str() == name).cloned();
        let Some(view) = own.or_else(|| network.node(name)) else { continue };
        for (id, port) in view.ports() {
            facts.add_port(name, port.name.as_str(), id, port.kind);
        }
        for headend in &view.headends {
            for pool in &headend.pools {
                facts.add_pool(name, headend.isp, pool.prefix, pool.gateway);
            }
        }
    }
    facts
}

fn unreadable(name: &str, error: &std::io::Error) -> Report {
    let problem = Problem::error(format!("cannot read the file of subscribers {name}: {error}"))
        .help("`subscribers` in the network file is a path relative to the network file's folder");
    Report::new(name, "", vec![problem])
}

fn report(name: &str, text: &str, errors: Vec<RowError>) -> Report {
    let problem = |error: RowError| {
        let mut problem =
            Problem::error(error.message).at(error.span, error.field.unwrap_or("here")).help(error.help);
        if let Some((span, label)) = error.other {
            problem = problem.at(span, label);
        }
        problem
    };
    Report::new(name, text, errors.into_iter().map(problem).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(name: &str) -> std::path::PathBuf {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples")).join(name)
    }

    #[test]
    fn the_examples_hold_together_with_their_subscribers() {
        for (file, subscribers) in [("lab.toml", 5), ("three-machines.toml", 2)] {
            let site = Site::load(&example(file)).unwrap_or_else(|report| panic!("{}", report.render(false)));
            assert!(site.network().warnings().is_empty(), "{file}");
            assert!(site.summary().subscribers >= subscribers, "{file}: {:?}", site.summary());
            let view = |node: &str| site.network().node(node).unwrap();
            assert!(site.directory(&view("head1")).service_count() > 0, "{file}");
            assert_eq!(site.directory(&view("tail1")).service_count(), 0, "{file}");
        }
    }

    #[test]
    fn a_wrong_row_is_shown_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(example("lab.toml"), dir.path().join("lab.toml")).unwrap();
        let rows = std::fs::read_to_string(example("lab-subscribers.csv")).unwrap();
        let rows = rows.replacen("dslam0", "dslam9", 1);
        std::fs::write(dir.path().join("lab-subscribers.csv"), rows).unwrap();
        let report = Site::load(&dir.path().join("lab.toml")).err().unwrap();
        let text = report.render(false);
        assert!(text.contains("dslam9") && text.contains("lab-subscribers.csv:3:"), "{text}");
    }
}
