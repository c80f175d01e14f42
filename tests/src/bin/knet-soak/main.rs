//! The simulator for hours, on all cores, with ever new seeds: `scripts/soak-sim`.

mod memory;

use std::{
    fmt::Write,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use clap::{Parser, Subcommand, error::ErrorKind};
use knet_proto::{
    ids::{MAX_WORKERS, Workers},
    rng::{Entropy, SeededEntropy},
    time::Span,
};
use knet_tests::sim::schedules::{Outcome, SCHEDULES, Schedule};

/// Pause between two lines that tell how far it has come.
const PROGRESS: Duration = Duration::from_secs(10);
/// Rounds of a schedule in one world, at most.
const MOST_ROUNDS: u64 = 12;
/// Data workers of the hosts of one world, at most.
const MOST_WORKERS: u64 = 4;

/// Plays the schedules of faults of the simulator with random seeds, policies and lengths, until HOURS of virtual
/// time have passed in all, and checks every rule. A broken one is printed with the command that repeats it.
///
/// Exit status: 0 no rule was broken, 1 one was, 2 the command line makes no sense.
#[derive(Debug, Parser)]
#[command(
    name = "soak-sim",
    bin_name = "scripts/soak-sim",
    args_conflicts_with_subcommands = true
)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Simulated hours, over all schedules and cores: more than 0, at most 1000000.
    #[arg(value_parser = hours, required = true)]
    hours: Option<f64>,
    /// Worlds at a time [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// What the seeds are made from: the same one gives the same worlds [default: the time].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Only this schedule; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = schedule)]
    schedule: Vec<&'static Schedule>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays one world again.
    Repeat {
        /// The schedule.
        #[arg(value_parser = schedule)]
        schedule: &'static Schedule,
        /// The world's seed.
        seed: u64,
        /// How often the schedule does what it does.
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rounds: u32,
        /// Data workers of each host.
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_WORKERS)))]
        workers: u8,
        /// Prints every event of every host.
        #[arg(long)]
        events: bool,
    },
    /// Plays a hub whose clients come and go, for simulated hours, and tells what memory it holds. If it is more than one
    /// percent above what it was after the first hour (and 32 KiB for buffers), or a rule is broken, the exit status is 1.
    Memory(memory::Memory),
    /// The schedules, and what each does.
    List,
}

fn hours(text: &str) -> Result<f64, String> {
    let hours: f64 = text
        .parse()
        .map_err(|_| format!("'{text}' is no number of hours"))?;
    if hours > 0.0 && hours <= 1e6 {
        Ok(hours)
    } else {
        Err("want more than 0 and at most 1000000 hours".to_owned())
    }
}

fn schedule(name: &str) -> Result<&'static Schedule, String> {
    Schedule::named(name).ok_or_else(|| format!("there is no schedule '{name}': see scripts/soak-sim list"))
}

/// What has become of one schedule so far.
#[derive(Clone, Copy, Default)]
struct Row {
    seeds: u64,
    simulated: Span,
    frames: u64,
    guarded: u64,
    broken: u64,
}

fn main() -> ExitCode {
    let args = Args::try_parse().unwrap_or_else(|e| {
        let asked = matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        let _ = e.print();
        std::process::exit(if asked { 0 } else { 2 })
    });
    // A panic is told as a broken rule, with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    match args.command {
        Some(Command::Memory(args)) => memory::run(&args),
        Some(Command::List) => {
            for s in SCHEDULES {
                println!("{:<14} {}", s.name, s.about);
            }
            ExitCode::SUCCESS
        }
        Some(Command::Repeat {
            schedule,
            seed,
            rounds,
            workers,
            events,
        }) => {
            let workers = Workers::new(workers).expect("clap has looked");
            let outcome = schedule.play(seed, rounds, workers, events);
            for text in &outcome.broken {
                println!("{text}");
            }
            println!(
                "{} with seed {seed}, {rounds} rounds: {:.1} simulated minutes, {} frames, {} rules broken",
                schedule.name,
                outcome.simulated.as_millis() as f64 / 60_000.0,
                outcome.frames,
                outcome.broken.len()
            );
            ExitCode::from(u8::from(!outcome.broken.is_empty()))
        }
        None => soak(&args),
    }
}

fn soak(args: &Args) -> ExitCode {
    let hours = args.hours.unwrap_or_default();
    let target = (hours * 3_600e3) as u64;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let base = args
        .seed
        .unwrap_or_else(|| now.map_or(0, |d| d.as_nanos() as u64));
    let jobs = args.jobs.map_or_else(
        || thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    );
    let chosen: Vec<&'static Schedule> = match &args.schedule[..] {
        [] => SCHEDULES.iter().collect(),
        some => some.to_vec(),
    };
    println!("{hours} simulated hours, {jobs} worlds at a time, --seed {base}");
    let rows = Mutex::new(vec![Row::default(); chosen.len()]);
    let (next, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|_| scope.spawn(|| work(base, target, &chosen, &next, &rows)))
            .collect();
        let reporter = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                thread::park_timeout(PROGRESS);
                if !done.load(Ordering::Acquire) {
                    println!(
                        "{}",
                        progress(&rows.lock().expect("no panic"), hours, began.elapsed())
                    );
                }
            }
        });
        for worker in workers {
            worker.join().expect("worlds catch their panics");
        }
        done.store(true, Ordering::Release);
        reporter.thread().unpark();
    });
    let rows = rows.into_inner().expect("no panic");
    print!("{}", table(&chosen, &rows));
    println!("{}", progress(&rows, hours, began.elapsed()));
    ExitCode::from(u8::from(rows.iter().any(|r| r.broken > 0)))
}

/// Plays one world after the other. Each schedule gets the same virtual time: what is shortest goes next.
fn work(base: u64, target: u64, chosen: &[&'static Schedule], next: &AtomicU64, rows: &Mutex<Vec<Row>>) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if rows
            .lock()
            .expect("no panic")
            .iter()
            .map(|r| r.simulated.as_millis())
            .sum::<u64>()
            >= target
        {
            return;
        }
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&base.to_le_bytes());
        seed[8..16].copy_from_slice(&number.to_le_bytes());
        let mut rng = SeededEntropy::new(seed);
        // Turn by turn, so that the same base gives the same worlds, whichever core is faster.
        let which = (number % chosen.len() as u64) as usize;
        let (seed, rounds) = (rng.next_u64() >> 16, 1 + rng.below(MOST_ROUNDS) as u32);
        let workers = Workers::new(1 + rng.below(MOST_WORKERS) as u8).expect("a few");
        let outcome = chosen[which].play(seed, rounds, workers, false);
        let mut rows = rows.lock().expect("no panic");
        note(&mut rows[which], &outcome);
    }
}

fn note(row: &mut Row, outcome: &Outcome) {
    row.seeds += 1;
    row.simulated = row.simulated + outcome.simulated;
    row.frames += outcome.frames;
    row.guarded += outcome.guarded;
    row.broken += outcome.broken.len() as u64;
    if !outcome.broken.is_empty() {
        print!("{outcome}");
    }
}

fn progress(rows: &[Row], of: f64, took: Duration) -> String {
    let ms: u64 = rows.iter().map(|r| r.simulated.as_millis()).sum();
    let (seeds, broken): (u64, u64) = rows.iter().fold((0, 0), |(s, b), r| (s + r.seeds, b + r.broken));
    format!(
        "{:.2} of {of} simulated hours, {seeds} worlds, {broken} violations, {} s, {:.0} times real time",
        ms as f64 / 3_600e3,
        took.as_secs(),
        ms as f64 / 1e3 / took.as_secs_f64().max(1e-3)
    )
}

fn table(chosen: &[&'static Schedule], rows: &[Row]) -> String {
    let mut text = format!(
        "{:<14} {:>7} {:>15} {:>12} {:>12} {:>10}\n",
        "schedule", "seeds", "simulated hours", "frames", "must arrive", "violations"
    );
    for (schedule, row) in chosen.iter().zip(rows) {
        let hours = row.simulated.as_millis() as f64 / 3_600e3;
        let _ = writeln!(
            text,
            "{:<14} {:>7} {hours:>15.2} {:>12} {:>12} {:>10}",
            schedule.name, row.seeds, row.frames, row.guarded, row.broken
        );
    }
    text
}
