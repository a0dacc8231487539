//! Whole nodes in virtual time, and the proof that no ISP's packet ever comes to another.
//!
//! A node here is the real control node and the real forwarder; what is around them (kernels, cables, neighbours, ISPs'
//! routers, subscribers) is simulated. A seed is a run: a random network, random changes under traffic, then quiet.
//! [`check`] and [`walk`] judge it, and know nothing of how nodes decide.
//!
//! A run that fails prints its seed and its last events: `OPENMILE_SEEDS=7..8 cargo test -p openmile simulation` plays it
//! again.

mod chaos;
mod check;
mod control_side;
mod edit;
mod fault;
mod hosts;
mod links;
mod moves;
mod packet;
mod plan;
mod processes;
mod quiet;
mod random;
mod reload;
mod routing;
mod shell;
mod stranger;
mod text;
mod walk;
mod world;

use std::ops::Range;

use fault::{Broken, Fault};
use world::World;

/// Seeds of the short form, which runs with all tests.
const SHORT: Range<u64> = 0..200;

/// A run; what was wrong, with the last events.
fn run(seed: u64, broken: Option<Broken>) -> Result<World, Box<(String, World)>> {
    let mut world = World::new(seed, broken.map(Fault::new));
    world.chaos();
    if world.checker.violation.is_none() {
        world.end_quietly();
    }
    match world.checker.violation.clone() {
        Some(violation) => Err(Box::new((violation, world))),
        None => Ok(world),
    }
}

/// The seeds to run: these, if the operator says no others.
fn seeds(short: Range<u64>) -> Range<u64> {
    let given = std::env::var("OPENMILE_SEEDS").ok();
    let range = given.as_deref().and_then(|range| range.split_once(".."));
    range.and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?)).unwrap_or(short)
}

#[test]
fn no_packet_of_an_isp_comes_to_another_whatever_happens() {
    let (mut arrivals, mut walks, mut hops, mut abroad, mut moves, mut failed) = (0, 0, 0, 0, 0, Vec::new());
    let seeds = seeds(SHORT);
    for seed in seeds.clone() {
        match run(seed, None) {
            Ok(world) => {
                arrivals += world.checker.arrivals;
                walks += world.checker.walks;
                hops += world.checker.hops;
                abroad += world.checker.abroad;
                moves += world.checker.moves;
            }
            Err(found) => {
                let (violation, world) = *found;
                if failed.is_empty() {
                    world.trace.iter().for_each(|line| eprintln!("{line}"));
                }
                eprintln!("seed {seed} at {:.4}: {violation}", world.now.0 as f64 / 1e9);
                failed.push(seed);
            }
        }
    }
    println!(
        "seeds {seeds:?}: {arrivals} packets came out, {hops} went over a cable, {abroad} to a stranger, {walks} ways \
         were walked, {moves} subscribers moved"
    );
    assert!(failed.is_empty(), "seeds {failed:?} failed");
    assert!(arrivals > 50 * (seeds.end - seeds.start), "hardly a packet came out anywhere");
    assert!(moves > 0 || seeds.end - seeds.start < 50, "nobody moved");
}

/// A planted fault is found, by what is said of it, in one of so many runs, in which without the fault nothing is.
fn is_found(broken: Broken, said: &[&str]) {
    for seed in 0..300 {
        let Err(found) = run(seed, Some(broken)) else { continue };
        let (violation, world) = *found;
        let acted = world.fault.is_some_and(|fault| fault.acted > 0);
        if acted && said.iter().any(|said| violation.contains(said)) && run(seed, None).is_ok() {
            println!("{broken:?} is found with seed {seed}: {violation}");
            return;
        }
    }
    panic!("{broken:?} is not found");
}

const LEAVES: &[&str] = &["came out at", "and ends at"];

macro_rules! faults {
    ($($name:ident: $broken:ident, $said:expr;)+) => {
        $(#[test]
        fn $name() {
            is_found(Broken::$broken, $said);
        })+
    };
}

faults! {
    a_label_that_is_given_out_again_at_once_is_found: LabelReuse, LEAVES;
    an_isp_that_is_left_out_of_a_subscribers_key_is_found: IspLeftOut, &["whose it never was"];
    a_null_label_that_is_taken_for_a_label_is_found: NullLabel, &["unlabelled"];
    a_labelled_frame_from_an_access_port_is_found: LabelFromAccess, &["came out at"];
    an_ftn_that_outlives_its_label_is_found: StaleFtn, &["and ends at", "came out at", "no way from"];
    a_label_that_leads_to_anothers_handoff_is_found: WrongHandoff, &["and ends at"];
    what_an_earlier_network_file_said_and_stays_is_found: NotRemoved, &["and ends at", "after the quiet, n"];
    a_label_that_stands_for_two_isps_is_found: SharedLabel, &["and ends at"];
    a_return_route_of_another_isp_is_found: ReturnRoute, &["and ends at"];
    a_source_that_is_not_held_against_its_line_is_found: SourceUnchecked, &["came out at"];
    a_replay_that_sweeps_nothing_is_found: NoSweep, &["after the quiet, n", "whose it never was", "and ends at"];
}
