//! Things fail while packets flow, and come back: how long it takes, what is lost, and that whoever has nothing to do with
//! it notices nothing.
//!
//! Each time to recover has a bound that follows from the timers involved, with room for a busy machine. Where only
//! events are involved (a carrier that goes, a session that is closed), that room is all there is to the bound.

mod misfortune;
mod process;
mod table;

use std::time::Duration;

use api::DropRow;
use miette::IntoDiagnostic;

use super::accounts::Way;
use super::checks::Checks;
use super::drops::Drops;
use super::hosts::Hosts;
use super::igp::Igp;
use super::report;
use super::scenario::Lab;
use super::screen::Step;
use super::traffic::steady::{Fate, Log, Steady};
use misfortune::{MISFORTUNES, Misfortune};

/// How long the traffic may take until nothing of it is missing, where nothing is wrong.
const WHOLE: Duration = Duration::from_secs(10);
/// How long recovery is waited for, however long it should take, so that a slow one is measured.
const LONGEST: Duration = Duration::from_secs(30);

/// What was measured.
#[derive(Clone, Debug)]
struct Trial {
    misfortune: &'static Misfortune,
    failed: Vec<Fate>,
    returned: Vec<Fate>,
    /// Packets of the share that went by what failed: before, after it failed, after it came back.
    share: Option<[u64; 3]>,
    /// What the nodes dropped after it came back.
    drops: Vec<(String, DropRow)>,
}

/// Lets everything fail, one after the other.
pub(super) async fn check(lab: Lab<'_>, hosts: &Hosts, checks: &mut Checks) -> miette::Result<()> {
    let mut igp = Igp::default();
    let mut trials = Vec::new();
    for misfortune in MISFORTUNES {
        let step = Step::begin("failover");
        let trial = run(lab, hosts, &mut igp, misfortune).await?;
        step.done(misfortune.what);
        trials.push(trial);
    }
    table::print(&trials);
    for trial in &trials {
        if trial.returned.iter().any(|fate| fate.lost > 0) {
            report::drops(&trial.drops, &format!("on return from: {}", trial.misfortune.what));
        }
        trial.check(checks);
    }
    Ok(())
}

async fn run(
    lab: Lab<'_>,
    hosts: &Hosts,
    igp: &mut Igp,
    misfortune: &'static Misfortune,
) -> miette::Result<Trial> {
    let steady = Steady::start(&hosts.named_pairs(lab.plan)?).into_diagnostic()?;
    let before = misfortune.share_of(lab, &steady).await?;
    let failing = steady.mark();
    misfortune.happen(lab, igp).await?;
    let recovered = steady.whole_again(steady.mark(), LONGEST).await;
    let after = misfortune.share_of(lab, &steady).await?;
    let dropped = Drops::of_running(lab.nodes).await;
    let returning = steady.mark();
    misfortune.mend(lab, igp).await?;
    let back = if recovered { misfortune.share_of(lab, &steady).await? } else { None };
    let log = steady.stop().await.into_diagnostic()?;
    let share = before.zip(after).zip(back).map(|((before, after), back)| [before, after, back]);
    let (failed, returned) = (log.fates(failing, returning), log.fates(returning, Log::END));
    let drops = Drops::of_running(lab.nodes).await.since(&dropped);
    Ok(Trial { misfortune, failed, returned, share, drops })
}

impl Misfortune {
    /// Packets by what fails in a stretch of time in which nothing is lost.
    async fn share_of(&self, lab: Lab<'_>, steady: &Steady) -> miette::Result<Option<u64>> {
        let before = self.share(lab).await?;
        if !steady.whole_again(steady.mark(), WHOLE).await {
            println!("  {:<12} {}: packets go on being lost", "failover", self.what);
        }
        let after = self.share(lab).await?;
        Ok(before.zip(after).map(|(before, after)| after.saturating_sub(before)))
    }
}

impl Trial {
    fn check(&self, checks: &mut Checks) {
        let Misfortune { what, why, concerns, .. } = self.misfortune;
        let concerned = |fate: &&Fate| concerns.contains(&fate.isp.as_str());
        let mut against = Vec::new();
        for fate in &self.failed {
            let whose = format!("{} {}", fate.isp, fate.way);
            match fate.recovered {
                _ if !concerned(&fate) && fate.lost > 0 => {
                    against.push(format!("{whose}, which is not concerned, lost {}", fate.lost));
                }
                None => against.push(format!("{whose} did not recover")),
                Some(took) if took > self.misfortune.bound(fate.way) => {
                    against.push(format!("{whose} recovered only after {:.2} s", took.as_secs_f64()));
                }
                _ => {}
            }
        }
        let all = || self.failed.iter().chain(&self.returned);
        against.extend(
            all()
                .filter(|fate| fate.duplicated > 0)
                .map(|fate| format!("{} {}: {} came twice", fate.isp, fate.way, fate.duplicated)),
        );
        against.extend(
            self.returned
                .iter()
                .filter(|fate| fate.lost > 0)
                .map(|fate| format!("{} {} lost {} on return", fate.isp, fate.way, fate.lost)),
        );
        if let Some(share) = self.share
            && (share[0] == 0 || share[1] > 0 || share[2] == 0)
        {
            against.push(format!(
                "{} packets went there before, {} after it had failed, {} after its return",
                share[0], share[1], share[2]
            ));
        }
        let slowest = self.failed.iter().filter_map(|fate| fate.recovered).max().unwrap_or_default();
        let lost: u64 = self.failed.iter().map(|fate| fate.lost).sum();
        let claim = match concerns {
            [] => format!("{what}: nothing is lost"),
            _ => {
                let [to_isp, to_subscriber] =
                    [Way::ToIsp, Way::ToSubscriber].map(|way| self.misfortune.bound(way).as_secs());
                let bounds = if to_isp == to_subscriber {
                    format!("{to_isp} s")
                } else {
                    format!("{to_isp} s to the ISP, {to_subscriber} s to the subscriber")
                };
                format!("{what}: recovered within {bounds} ({why}), nothing lost on return")
            }
        };
        let others: u64 = self.failed.iter().filter(|fate| !concerned(fate)).map(|fate| fate.sent).sum();
        let mut seen = format!("{:.2} s, {lost} packets lost", slowest.as_secs_f64());
        if others > 0 {
            seen.push_str(&format!("; 0 of {others} packets of ISPs not concerned"));
        }
        checks.none_against(against, claim, seen);
    }
}
