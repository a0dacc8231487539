//! What the lab can show, and what of it is asked for.

use super::daemons::Daemons;
use super::place::Places;
use super::plan::Plan;
use super::uplinks::Uplinks;
use super::watch::Nodes;

/// A part of the lab that can be run by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// TCP, UDP and ICMP between everybody, and the accounts of it
    Traffic,
    /// The same addresses at several ISPs, neighbors of one ISP
    Services,
    /// Everybody tries what must not work
    Isolation,
    /// Ping and traceroute
    Trace,
    /// Packets that are too long for the LSPs
    Mtu,
    /// A subscriber moves to another ISP, another one has two
    Move,
    /// The network file changes while packets flow
    Reload,
    /// Links, next hops, nodes and processes fail under traffic, and come back
    Failover,
}

/// Which scenarios are run.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Selection {
    /// Run only these scenarios (several: separated by commas)
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',', conflicts_with = "skip")]
    only: Vec<Scenario>,
    /// Leave these scenarios out
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',')]
    skip: Vec<Scenario>,
}

impl Selection {
    /// Whether a scenario is asked for.
    pub(super) fn has(&self, scenario: Scenario) -> bool {
        match self.only.as_slice() {
            [] => !self.skip.contains(&scenario),
            only => only.contains(&scenario),
        }
    }

    /// As arguments of the lab's next stage.
    pub(super) fn arguments(&self) -> Vec<String> {
        let name = |scenario: &Scenario| {
            clap::ValueEnum::to_possible_value(scenario).map(|value| value.get_name().to_owned())
        };
        let option = |option: &str, scenarios: &[Scenario]| {
            let names: Vec<_> = scenarios.iter().filter_map(name).collect();
            (!names.is_empty()).then(|| format!("--{option}={}", names.join(",")))
        };
        option("only", &self.only).into_iter().chain(option("skip", &self.skip)).collect()
    }
}

/// The lab at work.
#[derive(Clone, Copy)]
pub(super) struct Lab<'a> {
    /// What it is built from.
    pub(super) plan: &'a Plan,
    /// Its namespaces.
    pub(super) places: &'a Places,
    /// The nodes' daemons.
    pub(super) daemons: &'a Daemons<'a>,
    /// The nodes' APIs.
    pub(super) nodes: &'a Nodes,
    /// What the ISPs' routers send by.
    pub(super) uplinks: &'a Uplinks,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        selection: Selection,
    }

    #[test]
    fn what_is_asked_for_reaches_the_next_stage() {
        let of = |arguments: &[&str]| {
            let line = std::iter::once("lab").chain(arguments.iter().copied());
            let asked = Line::try_parse_from(line).unwrap().selection;
            let again = std::iter::once("lab".to_owned()).chain(asked.arguments());
            let passed_on = Line::try_parse_from(again).unwrap().selection;
            [Scenario::Traffic, Scenario::Services, Scenario::Failover].map(|s| passed_on.has(s))
        };
        assert_eq!(of(&[]), [true; 3]);
        assert_eq!(of(&["--only", "failover"]), [false, false, true]);
        assert_eq!(of(&["--only", "failover,services"]), [false, true, true]);
        assert_eq!(of(&["--skip", "traffic,failover"]), [false, true, false]);
        assert!(Line::try_parse_from(["lab", "--only", "failover", "--skip", "traffic"]).is_err());
    }
}
