//! Runs one of the cases, for `scripts/instructions` to count what it executes.

use std::process::ExitCode;

use knet_fast_path::cases::{self, CASES};
use knet_proto::time::Span;

/// Between two rounds: short enough for heartbeats to be rare, and long enough for reports not to be.
const PAUSE: Span = Span::from_micros(100);

const USAGE: &str = "\
knet-fast-path                  the cases
knet-fast-path CASE PACKETS     sends at least so many packets, and tells how many they were
knet-fast-path CASE             does what tests/allocations.rs counts allocations in";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => {
            for case in CASES {
                println!("{:<17} {}", case.name, case.about);
            }
            ExitCode::SUCCESS
        }
        [name] => run(name, None),
        [name, packets] => packets
            .parse()
            .map_or_else(|_| misused(), |packets| run(name, Some(packets))),
        _ => misused(),
    }
}

fn run(name: &str, packets: Option<usize>) -> ExitCode {
    let Some(case) = cases::find(name) else {
        return misused();
    };
    let mut run = case.begin();
    if let Some(packets) = packets {
        let rounds = packets.div_ceil(run.packets());
        run.rounds(rounds, PAUSE);
        println!("{}", rounds * run.packets());
    } else {
        run.warm_up();
        run.go_on();
    }
    ExitCode::SUCCESS
}

fn misused() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}
