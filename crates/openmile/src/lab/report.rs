//! The tables at the end.

use api::DropRow;
use miette::IntoDiagnostic;

use super::accounts::{Account, Snapshot};
use super::checks::Checks;
use super::plan::{Cable, Plan};
use super::screen::heading;
use crate::table::{finish, table};

/// Prints each node's FEC table, by the command that an operator uses.
pub(super) async fn fec_tables(plan: &Plan) -> miette::Result<()> {
    for node in plan.network.nodes() {
        heading(&format!("{}: openmile show fec", node.name));
        let mut show = tokio::process::Command::new(super::THIS_PROGRAM);
        show.args(["show", "fec", "--node", node.name.as_str()]);
        let shown = show.output().await.into_diagnostic()?;
        print!("{}", String::from_utf8_lossy(&shown.stdout));
        if !shown.status.success() {
            print!("{}", String::from_utf8_lossy(&shown.stderr));
        }
    }
    Ok(())
}

/// Prints what was counted where.
pub(super) fn accounts(accounts: &[Account]) {
    heading("Traffic by ISP and direction: packets and octets by their IP headers");
    let header = ["ISP", "direction", "", "headend", "tailends", "between them", "hosts' kernels", "to them"];
    let mut table = table(header);
    for account in accounts {
        let [(packets, octets), (to_hosts, octets_to_hosts)] = account.differences();
        let row = |unit: &str, figures: [u64; 3], [between, to_hosts]: [i128; 2]| {
            let figures = figures.map(grouped);
            let [headend, tailend, hosts] = figures;
            [
                account.isp.clone(),
                account.way.to_string(),
                unit.to_owned(),
                headend,
                tailend,
                between.to_string(),
                hosts,
                to_hosts.to_string(),
            ]
        };
        let Account { headend, tailend, hosts, .. } = account;
        table.add_row(row("packets", [headend.packets, tailend.packets, hosts.packets], [packets, to_hosts]));
        table.add_row(row(
            "octets",
            [headend.octets, tailend.octets, hosts.octets],
            [octets, octets_to_hosts],
        ));
    }
    print!("{}", finish(table, &[3, 4, 5, 6, 7]));
    println!(
        "between them: headend and tailends differ by; to them: the last node and the hosts' kernels differ by"
    );
}

/// Prints drops by node, port and reason.
pub(super) fn drops(drops: &[(String, DropRow)], when: &str) {
    heading(&format!("Drops by reason, {when}"));
    if drops.is_empty() {
        println!("none");
        return;
    }
    let mut table = table(["node", "port", "reason", "frames", "meaning"]);
    for (node, row) in drops {
        table.add_row([node, &row.port, &row.reason, &grouped(row.frames), &row.meaning]);
    }
    print!("{}", finish(table, &[3]));
}

/// The accounting's checks.
pub(super) fn check_accounts(
    checks: &mut Checks,
    plan: &Plan,
    accounts: &[Account],
    drops: &[(String, DropRow)],
) {
    let all_count = accounts.iter().all(|a| [a.headend, a.tailend, a.hosts].iter().all(|t| t.packets > 0));
    let octets: u64 = accounts.iter().map(|account| account.hosts.octets).sum();
    let enough = all_count && octets >= LEAST_OCTETS;
    let claim = "every ISP's traffic was counted both ways at headend, tailends and hosts";
    checks.add(enough, claim, format!("{} octets arrived at hosts", grouped(octets)));
    let lost: i128 = accounts.iter().map(|account| account.differences()[0].0).sum();
    let on_backbone: u64 = super::accounts::on_backbone(plan, drops).map(|row| row.frames).sum();
    let no_drops = on_backbone == 0;
    let equal = accounts.iter().all(|account| account.differences()[0] == (0, 0));
    let holds = if no_drops { equal } else { lost == i128::from(on_backbone) };
    let claim =
        "headend and tailends counted the same packets and octets, but for what was dropped between them";
    checks.add(holds, claim, format!("{lost} packets of difference, {on_backbone} drops on backbone ports"));
    let against = accounts.iter().filter(|account| account.differences()[1] != (0, 0));
    let words = |account: &Account| {
        let (packets, octets) = account.differences()[1];
        format!("{} {:?}: {packets} packets, {octets} octets", account.isp, account.way)
    };
    let claim = "the hosts' own kernels received just what the last node sent them";
    checks.none_against(against.map(words).collect(), claim, "no packet and no octet of difference");
}

/// Checks that where a node has several equal-cost cables to the same neighbor, each of them carried packets.
pub(super) fn check_equal_cost(checks: &mut Checks, plan: &Plan, before: &Snapshot, after: &Snapshot) {
    let (mut seen, mut against) = (Vec::new(), Vec::new());
    for cable in &plan.cables {
        let parallel = |other: &&Cable| {
            other.ends.each_ref().map(|end| &end.node) == cable.ends.each_ref().map(|end| &end.node)
        };
        if plan.cables.iter().filter(parallel).count() < 2 {
            continue;
        }
        for end in &cable.ends {
            let frames = after.sent_since(before, &end.node, &end.port);
            seen.push(format!("{end} {}", grouped(frames)));
            if frames < LEAST_FRAMES {
                against.push(format!("{end} sent {frames} frames"));
            }
        }
    }
    checks.none_against(against, "all equal-cost cables carried packets", seen.join(", "));
}

/// More frames than hellos and their like account for.
const LEAST_FRAMES: u64 = 1000;

/// What the lab has to carry at least.
pub(super) const LEAST_OCTETS: u64 = 100_000_000;

/// A number with a space between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}
