//! `openmile check`: is this network file right, as a whole?

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use crate::site::Site;

/// Says what is wrong with the file and with the file of subscribers that it names, or what is in them.
pub(crate) fn run(file: &Path) -> ExitCode {
    let color = std::io::stderr().is_terminal();
    match Site::load(file) {
        Err(report) => {
            eprint!("{}", report.render(color));
            eprintln!("{report}");
            ExitCode::FAILURE
        }
        Ok(site) => {
            let (network, summary) = (site.network(), site.summary());
            eprint!("{}", network.warnings().render(color));
            let handoffs: usize = network.isps().iter().map(|isp| isp.handoffs.len()).sum();
            println!(
                "{}: network `{}` holds together: {}, {}, {}, {} with {}",
                file.display(),
                network.name(),
                count(network.nodes().len(), "node", "nodes"),
                count(network.isps().len(), "ISP", "ISPs"),
                count(handoffs, "handoff", "handoffs"),
                count(summary.subscribers, "subscriber", "subscribers"),
                count(summary.prefixes, "prefix", "prefixes"),
            );
            ExitCode::SUCCESS
        }
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
