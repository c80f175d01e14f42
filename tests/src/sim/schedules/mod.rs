//! What is done to a world at random: the schedules of faults S1 to S16 of the test plan, and a few more, each made from a seed.
//!
//! The tests play each with a few seeds, `scripts/soak-sim` for hours with ever new ones. Whoever finds a seed that
//! breaks a rule repeats it with the command that [`Outcome`] prints.

mod attacks;
pub mod churn;
mod hosts;
mod hubs;
mod links;
mod paths;
mod sessions;
mod storm;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use knet_proto::{
    config::PolicyKind,
    ids::Workers,
    rng::{Entropy, SeededEntropy},
    time::Span,
};

use super::{Setup, World};

/// All policies.
pub const POLICIES: [PolicyKind; 5] = [
    PolicyKind::Passive,
    PolicyKind::Active,
    PolicyKind::RoundRobin,
    PolicyKind::FlowHash,
    PolicyKind::Adaptive,
];

/// A way to treat a world.
#[derive(Debug)]
pub struct Schedule {
    /// Its number in the test plan, and a word.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    play: fn(&mut Play),
}

/// All of them.
pub const SCHEDULES: &[Schedule] = &[
    Schedule {
        name: "storm",
        about: "faults of every kind, to two to four hosts",
        play: storm::storm,
    },
    Schedule {
        name: "s1-cuts",
        about: "another set of links is cut every 200 ms",
        play: links::cuts,
    },
    Schedule {
        name: "s2-one-way",
        about: "one direction of the link in use dies",
        play: links::one_way,
    },
    Schedule {
        name: "s3-bursts",
        about: "30 % loss in bursts of 50 ms (Gilbert)",
        play: paths::bursts,
    },
    Schedule {
        name: "s4-bloat",
        about: "the delay jumps by 500 ms and back",
        play: paths::bloat,
    },
    Schedule {
        name: "s5-restarts",
        about: "processes die and are started again, together and in turn",
        play: hosts::restarts,
    },
    Schedule {
        name: "s6-roam",
        about: "both ends of a link get another address at once",
        play: hosts::roam,
    },
    Schedule {
        name: "s7-moved",
        about: "somebody moves or copies datagrams to other networks",
        play: attacks::moved,
    },
    Schedule {
        name: "s8-spoof",
        about: "copies from another address are faster than what they were made of",
        play: attacks::spoof,
    },
    Schedule {
        name: "s9-hub-pause",
        about: "a hub with 63 clients stands still for 2 s",
        play: hosts::hub_pause,
    },
    Schedule {
        name: "s10-rekey",
        about: "rekeys while links die",
        play: sessions::rekey,
    },
    Schedule {
        name: "s11-mtu",
        about: "the path takes shorter packets than before and does not tell",
        play: paths::mtu,
    },
    Schedule {
        name: "s13-clock",
        about: "wall clocks jump by up to ten years, and processes restart",
        play: sessions::clock,
    },
    Schedule {
        name: "s14-counter",
        about: "the data counter is five short of its end",
        play: sessions::counter,
    },
    Schedule {
        name: "s15-crossing",
        about: "both sides begin at the same moment",
        play: sessions::crossing,
    },
    Schedule {
        name: "s16-hubs",
        about: "clients of two hubs change from the one to the other",
        play: hubs::take_overs,
    },
    Schedule {
        name: "churn",
        about: "clients of a hub come, go, move and flood it, beside strangers",
        play: churn::churn,
    },
];

impl Schedule {
    /// The schedule of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SCHEDULES.iter().find(|s| s.name == name)
    }

    /// Plays it: `rounds` times what it does, to hosts with so many workers. The same of these give the same world.
    ///
    /// With `tell` every event of every host is printed, with the time and the host.
    pub fn play(&'static self, seed: u64, rounds: u32, workers: Workers, tell: bool) -> Outcome {
        let mut bytes = [0x5a; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut play = Play {
            seed,
            rounds,
            workers,
            pick: SeededEntropy::new(bytes),
            simulated: Span::ZERO,
            frames: 0,
            guarded: 0,
            tell,
            broken: Vec::new(),
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (self.play)(&mut play))) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            play.broken.push(format!("panic: {}", text.unwrap_or_default()));
        }
        Outcome {
            schedule: self.name,
            seed,
            rounds,
            workers,
            simulated: play.simulated,
            frames: play.frames,
            guarded: play.guarded,
            broken: play.broken,
        }
    }
}

/// What became of a world.
pub struct Outcome {
    /// What was done to it.
    pub schedule: &'static str,
    /// What it was made from.
    pub seed: u64,
    /// How often it was done.
    pub rounds: u32,
    /// Data workers of each host.
    pub workers: Workers,
    /// Virtual time that passed.
    pub simulated: Span,
    /// Frames sent.
    pub frames: u64,
    /// Those of them that had to arrive whichever link died (I4).
    pub guarded: u64,
    /// The rules that were broken.
    pub broken: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (schedule, seed, rounds, workers) = (self.schedule, self.seed, self.rounds, self.workers.get());
        writeln!(f, "{schedule} broke {} rules. To repeat it:", self.broken.len())?;
        writeln!(
            f,
            "    scripts/soak-sim repeat {schedule} {seed} {rounds} {workers}"
        )?;
        for text in self.broken.iter().take(8) {
            writeln!(f, "    {text}")?;
        }
        Ok(())
    }
}

/// A schedule being played.
struct Play {
    seed: u64,
    rounds: u32,
    workers: Workers,
    pick: SeededEntropy,
    simulated: Span,
    frames: u64,
    guarded: u64,
    tell: bool,
    broken: Vec<String>,
}

impl Play {
    fn below(&mut self, n: u64) -> u64 {
        self.pick.below(n)
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.pick.below(one_in) == 0
    }

    fn link(&mut self, links: u8) -> u8 {
        self.pick.below(u64::from(links)) as u8
    }

    fn ms(&mut self, from: u64, to: u64) -> Span {
        Span::from_millis(from + self.pick.below(to - from))
    }

    fn policy(&mut self) -> PolicyKind {
        POLICIES[self.pick.below(POLICIES.len() as u64) as usize]
    }

    /// A world with a network of random delay, after its first seconds. The first so many hosts are hubs.
    fn world(&mut self, nodes: usize, links: u8, policy: PolicyKind, hubs: usize) -> World {
        let mut world = World::new(Setup {
            seed: self.seed,
            nodes,
            links,
            policy,
            hubs,
            workers: self.workers,
            ..Setup::default()
        });
        world.network.default.delay = Span::from_micros(100 + self.pick.below(20_000));
        world.network.default.jitter = Span::from_micros(self.pick.below(1_000));
        world.run(Span::from_secs(12));
        world
    }

    /// The end of every world: all rules are checked.
    fn finish(&mut self, mut world: World) {
        world.wind_up();
        self.simulated = self.simulated + world.age();
        self.frames += world.ledger.sent();
        self.guarded += world.guarded();
        if self.tell {
            println!("policy {:?}", world.setup.policy);
            for (at, n, event) in &world.events {
                println!("{:.6} {n} {event:?}", at.as_nanos() as f64 / 1e9);
            }
        }
        self.broken.append(&mut world.ledger.broken);
    }
}
