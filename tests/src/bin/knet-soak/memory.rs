//! Whether a hub gives everything back that it has taken: `scripts/soak-sim memory`.

use std::{process::ExitCode, time::Instant};

use allocation_counter::measure;
use clap::Args;
use knet_proto::ids::Workers;
use knet_tests::sim::schedules::churn::Churn;

/// What the hub holds at the end, above this share of what it held after the first hour, is a leak,
const TOLERATED: f64 = 0.01;
/// but for buffers of its worker, which there is one of, in bytes.
const BUFFERS: f64 = 32_768.0;

#[derive(Debug, Args)]
pub(crate) struct Memory {
    /// Simulated hours, the last quarter of each of which is peace.
    #[arg(default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    hours: u32,
    /// Clients of the hub.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u8).range(1..=250))]
    clients: u8,
    /// Makes everything.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Plays it, and tells after each hour what all hosts together hold (those that have just been started hold less), and at
/// the end what the hub does.
pub(crate) fn run(args: &Memory) -> ExitCode {
    let (clients, began) = (usize::from(args.clients), Instant::now());
    println!(
        "a hub, {clients} clients, {} hours, --seed {}",
        args.hours, args.seed
    );
    let start = || {
        let mut churn = Churn::new(args.seed, clients, Workers::ONE);
        churn.rest();
        churn.world.forget_history();
        churn
    };
    let at_first = hub_gives_back(&mut start());
    let after_an_hour = {
        let mut churn = start();
        churn.hour();
        hub_gives_back(&mut churn)
    };
    let mut churn = None;
    let fresh = measure(|| churn = Some(start())).bytes_current;
    let mut churn = churn.expect("it has been made");
    let mut now = fresh;
    println!("hour   all hosts hold  against the start  frames sent  sessions followed another");
    for hour in 1..=args.hours {
        let (before, mut rekeys) = (churn.world.ledger.sent(), 0);
        let change = measure(|| {
            churn.hour();
            rekeys = churn.world.rekeys();
            churn.world.forget_history();
        });
        now += change.bytes_current;
        let (held, sent) = (now >> 10, churn.world.ledger.sent() - before);
        let grown = growth(fresh, now) * 100.0;
        println!("{hour:>4} {held:>12} KiB {grown:>+16.2} % {sent:>12} {rekeys:>26}");
    }
    let hub = hub_gives_back(&mut churn);
    churn.world.wind_up();
    let broken = churn.world.breaches();
    broken.iter().take(8).for_each(|text| println!("{text}"));
    println!(
        "the hub held {at_first} bytes at first, {after_an_hour} after an hour, {hub} at the end ({:+.2} %); {} rules broken; {} s",
        growth(after_an_hour, hub) * 100.0,
        broken.len(),
        began.elapsed().as_secs()
    );
    let leaks = (hub - after_an_hour) as f64 > after_an_hour as f64 * TOLERATED + BUFFERS;
    ExitCode::from(u8::from(leaks || !broken.is_empty()))
}

/// What becomes free when the hub dies, in bytes.
fn hub_gives_back(churn: &mut Churn) -> i64 {
    -measure(|| churn.world.kill(0)).bytes_current
}

fn growth(from: i64, to: i64) -> f64 {
    (to - from) as f64 / from as f64
}
