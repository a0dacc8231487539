//! The times and losses, as an operator wants them.

use super::Trial;
use crate::lab::report::grouped;
use crate::lab::screen::heading;
use crate::table::{finish, table};

/// Prints them.
pub(super) fn print(trials: &[Trial]) {
    heading("Failover under traffic: 100 packets a second for each subscriber, IP version and direction");
    let header =
        ["what fails", "ISP", "direction", "recovered", "lost", "of", "twice", "lost on return", "of"];
    let mut table = table(header);
    for trial in trials {
        let fates = trial.failed.iter().zip(&trial.returned);
        for (number, (fate, returned)) in fates.enumerate() {
            let recovered = match fate.recovered {
                _ if fate.lost == 0 => "-".to_owned(),
                Some(took) => format!("{:.2} s", took.as_secs_f64()),
                None => "never".to_owned(),
            };
            table.add_row([
                if number == 0 { trial.misfortune.what.to_owned() } else { String::new() },
                fate.isp.clone(),
                fate.way.to_string(),
                recovered,
                grouped(fate.lost),
                grouped(fate.sent),
                (fate.duplicated + returned.duplicated).to_string(),
                grouped(returned.lost),
                grouped(returned.sent),
            ]);
        }
    }
    print!("{}", finish(table, &[3, 4, 5, 6, 7, 8]));
    println!(
        "recovered: from the failure to the first packet after which nothing is lost; -: nothing was lost"
    );
}
