//! A network that was read and holds together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use contract::{Asn, Fec};

use crate::model::{Isp, Model, Node};
use crate::view::{FecOwner, fec_owners};
use crate::{Name, NodeView, PortNumbers, Problem, Report};

/// The BLAKE3 hash of a text, in hexadecimal digits.
pub fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// A network that was read from its file and holds together.
#[derive(Clone, Debug)]
pub struct Network {
    model: Model,
    file: PathBuf,
    digest: String,
    warnings: Report,
}

impl Network {
    /// Reads and checks a file.
    pub fn load(file: impl AsRef<Path>) -> Result<Self, Report> {
        let file = file.as_ref();
        let name = file.display().to_string();
        match std::fs::read(file) {
            Ok(octets) => match String::from_utf8(octets) {
                Ok(text) => Self::parse(&name, &text),
                Err(error) => {
                    let at = error.utf8_error().valid_up_to();
                    let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                    let problem = Problem::error("this is not UTF-8, so it is no TOML")
                        .at(at..at, "the first octet that is not")
                        .help("save the file as UTF-8");
                    Err(Report::new(name, text, vec![problem]))
                }
            },
            Err(error) => {
                let problem = Problem::error(format!("cannot read {name}: {error}"))
                    .help("give the path of a network file; docs/network-file.md says what is in one");
                Err(Report::new(name, "", vec![problem]))
            }
        }
    }

    /// Reads and checks the text of a file of this name.
    pub fn parse(name: &str, text: &str) -> Result<Self, Report> {
        let (model, problems) = crate::read::read(text);
        let (warnings, errors): (Vec<_>, Vec<_>) = problems.into_iter().partition(Problem::is_warning);
        match model {
            Some(model) if errors.is_empty() => {
                let digest = digest(text);
                let warnings = Report::new(name, text, warnings);
                Ok(Self { model, file: PathBuf::from(name), digest, warnings })
            }
            _ => Err(Report::new(name, text, errors.into_iter().chain(warnings).collect())),
        }
    }

    /// The BLAKE3 hash of the file's text, in hexadecimal digits: nodes with the same file have the same.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What works and is probably not meant.
    pub fn warnings(&self) -> &Report {
        &self.warnings
    }

    /// The network's name.
    pub fn name(&self) -> &Name {
        &self.model.network.name
    }

    /// The file as plain values.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.model.nodes
    }

    /// The ISPs.
    pub fn isps(&self) -> &[Isp] {
        &self.model.isps
    }

    /// What the node of this name needs when it first begins; `None` if there is none.
    pub fn node(&self, name: &str) -> Option<NodeView> {
        self.node_with(name, &PortNumbers::default())
    }

    /// What the node of this name needs, whose ports have these numbers already; `None` if there is none.
    pub fn node_with(&self, name: &str, numbers: &PortNumbers) -> Option<NodeView> {
        let node = self.model.nodes.iter().find(|node| node.name.as_str() == name)?;
        Some(NodeView::of(&self.model, node, numbers))
    }

    /// The ISP of this AS number.
    pub fn isp(&self, asn: Asn) -> Option<&Isp> {
        self.model.isps.iter().find(|isp| isp.asn == asn)
    }

    /// The owners of all service FECs in the network.
    pub fn fecs(&self) -> BTreeMap<Fec, FecOwner> {
        fec_owners(&self.model)
    }

    /// The file of subscribers, if the network has one: relative to the network file's folder.
    pub fn subscribers_file(&self) -> Option<PathBuf> {
        let subscribers = self.model.network.subscribers.as_ref()?;
        Some(self.file.parent().unwrap_or(Path::new("")).join(subscribers))
    }
}
