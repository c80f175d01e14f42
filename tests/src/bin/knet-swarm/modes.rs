//! What the swarm does in each mode, and what is made of it.

use std::time::{Duration, Instant};

use knet_proto::{
    rng::{Entropy, SeededEntropy},
    time::{Span, Time},
};
use knet_tests::lab::{LabError, Result};
use serde_json::{Map, Value, json};

use crate::{
    args::{Args, Flood, Mode},
    course::{Course, Phase},
    flood::Flooder,
    spread::Spread,
    swarm::{Swarm, now},
    talk::{Kind, Talk},
};

/// Peers that introduce themselves to the hub per second.
const HELLOS: u64 = 10_000;
/// While frames are on their way, nobody waits longer than this.
const BUSY_TICK: Span = Span::from_micros(200);
/// Frames per second between peers while something else is looked at.
const BACKGROUND: u32 = 2_000;
/// Datagrams that can be sent again.
const OVERHEARD: usize = 16_384;

/// What came of it: for people line by line, for programs as fields.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) lines: Vec<String>,
    pub(crate) fields: Map<String, Value>,
    /// Not everything was as it should be.
    pub(crate) failed: bool,
}

impl Findings {
    pub(crate) fn add(&mut self, name: &str, value: Value, line: String) {
        self.fields.insert(name.to_owned(), value);
        self.lines.push(line);
    }

    fn demand(&mut self, holds: bool, line: &str) {
        if !holds {
            self.failed = true;
            self.lines.push(format!("NOT AS IT SHOULD BE: {line}"));
        }
    }
}

/// Does what `args` say, and writes down what it finds, as far as it comes, and what was lost.
pub(crate) fn play(course: &mut Course, args: &Args, findings: &mut Findings) -> Result<()> {
    let played = play_mode(course, args, findings);
    let (unsent, overflowed) = course.swarm.lost_here();
    findings.fields.insert(
        "lost_in_the_swarm".into(),
        json!({ "unsent": unsent, "receive_buffer": overflowed }),
    );
    findings
        .fields
        .insert("hub_drops".into(), json!(course.hub.drops()?));
    played
}

fn play_mode(course: &mut Course, args: &Args, findings: &mut Findings) -> Result<()> {
    let rate = match args.mode {
        Mode::Join { rate } => rate,
        _ => None,
    };
    let began = now();
    let phase = join(course, args, rate)?;
    tell_join(course, findings, "join", &phase, began);
    if args.pool {
        wait_for_leases(course, args, findings)?;
    }
    match args.mode {
        Mode::Join { .. } => tell_commands(course, findings)?,
        Mode::Storm { times, down } => storm(course, args, findings, times, down)?,
        Mode::Idle { settle, seconds } => idle(course, findings, settle, seconds)?,
        Mode::Talk {
            rate,
            size,
            seconds,
            talkers,
            settle,
        } => {
            wait(course, "settle", settle)?;
            let talkers = talkers.unwrap_or(args.peers()).min(args.peers());
            let mut talk = Talk::new(talkers.max(2), size, rate);
            introduce(course, &mut talk, talkers)?;
            let phase = converse(course, &mut talk, "talk", seconds, |_, _| {})?;
            tell_talk(findings, "talk", &talk, &phase);
        }
        Mode::Broadcast { rate, seconds } => broadcast(course, args, findings, rate, seconds)?,
        Mode::Churn { rate, seconds } => churn(course, args, findings, rate, seconds)?,
        Mode::Misbehave { flood, rate, seconds } => {
            misbehave(course, args, findings, (flood, rate, seconds))?;
        }
        // Without a swarm: see `configure`.
        Mode::Configure { .. } => {}
    }
    Ok(())
}

/// Until each has been given an address. Whether it has taken it is not looked at.
fn wait_for_leases(course: &mut Course, args: &Args, findings: &mut Findings) -> Result<()> {
    let (wanted, began) = (args.peers() - u32::from(comes_later(args)), Instant::now());
    let before = course.hub.usage().unwrap_or_default();
    loop {
        let leased = course.hub.leased()?;
        let passed = began.elapsed().as_secs_f64();
        if leased >= u64::from(wanted) {
            let used = course.hub.usage().unwrap_or_default();
            let cpu = (used.cpu.saturating_sub(before.cpu)).as_secs_f64();
            findings.add(
                "leases",
                json!({ "seconds_after_join": passed, "hub_cpu_seconds": cpu, "hub_mib": used.mib() }),
                format!(
                    "pool: all {leased} have been given an address {passed:.2} s after the last has joined, {cpu:.2} s of the hub's processor time, {:.0} MiB",
                    used.mib()
                ),
            );
            return Ok(());
        }
        if passed > f64::from(args.patience) {
            return Err(LabError::new(format!(
                "{leased} of {wanted} peers have been given an address after {passed:.0} s"
            )));
        }
        wait(course, "leases", 1)?;
    }
}

fn patience(args: &Args) -> Duration {
    Duration::from_secs(args.patience.into())
}

/// All join; the last one in the mode `misbehave` later.
fn join(course: &mut Course, args: &Args, rate: Option<u32>) -> Result<Phase> {
    let all = args.peers() - u32::from(comes_later(args));
    if rate.is_none() {
        course.swarm.prepare();
    }
    let (began, mut joined) = (now(), 0);
    course.run("join", patience(args), move |swarm, at| {
        let due = rate.map_or(u64::from(all), |rate| {
            at.since(began).as_millis() * u64::from(rate) / 1000
        });
        while joined < all && u64::from(joined) < due {
            swarm.join(joined as u16);
            joined += 1;
        }
        swarm.has_been_complete(began) == all
    })
}

fn comes_later(args: &Args) -> bool {
    matches!(args.mode, Mode::Misbehave { .. })
}

fn tell_join(course: &Course, findings: &mut Findings, name: &str, phase: &Phase, since: Time) {
    let spread = Spread::of(course.swarm.complete_after(since));
    let attempts = course.swarm.attempts();
    findings.add(
        name,
        json!({
            "seconds": phase.seconds(),
            "hub_cpu_seconds": phase.hub.cpu.as_secs_f64(),
            "hub_handshake_cpu_seconds": phase.hub.handshakes.as_secs_f64(),
            "hub_data_cpu_seconds": phase.hub.data.as_secs_f64(),
            "hub_mib": phase.hub.mib(),
            "swarm_mib": phase.swarm.mib(),
            "attempts": attempts,
            "peer": spread.json(),
        }),
        format!(
            "{name}: all up within {:.2} s; a peer: {spread}; the hub took {:.2} s of processor time ({:.2} for \
             handshakes, {:.2} for data), {:.0} MiB; {attempts} handshakes were begun",
            phase.seconds(),
            phase.hub.cpu.as_secs_f64(),
            phase.hub.handshakes.as_secs_f64(),
            phase.hub.data.as_secs_f64(),
            phase.hub.mib(),
        ),
    );
}

/// How long the shell waits for its answers.
fn tell_commands(course: &mut Course, findings: &mut Findings) -> Result<()> {
    let up = course.hub.peers_up()?;
    findings.demand(
        up == u64::from(course.swarm.len()),
        &format!("the hub says that {up} peers are up"),
    );
    let mut fields = Map::new();
    for command in [
        "show interfaces",
        "show peers",
        "show links",
        "show running-config",
    ] {
        let (took, bytes) = course.hub.time_command(command)?;
        fields.insert(
            command.into(),
            json!({ "seconds": took.as_secs_f64(), "bytes": bytes }),
        );
        findings.lines.push(format!(
            "`{command}` --json took {:.2} s, {:.1} MB",
            took.as_secs_f64(),
            bytes as f64 / 1e6
        ));
    }
    findings.fields.insert("commands".into(), Value::Object(fields));
    Ok(())
}

fn storm(course: &mut Course, args: &Args, findings: &mut Findings, times: u32, down: u32) -> Result<()> {
    for number in 1..=times {
        course.kill_hub();
        let until = now() + Span::from_secs(down.into());
        let patience_down = Duration::from_secs(u64::from(down) + 60);
        course.run("hub is dead", patience_down, move |_, at| at >= until)?;
        let (began, all) = (now(), args.peers());
        course.swarm.has_been_complete(began);
        course.restart_hub()?;
        let mut phase = course.run("storm", patience(args), move |swarm, _| {
            swarm.has_been_complete(began) == all
        })?;
        // All that it took the hub, its start included.
        if let Some(usage) = course.hub.usage() {
            phase.hub = usage;
        }
        phase.from = phase.to - now().since(began).as_nanos() as f64 / 1e9;
        tell_join(course, findings, &format!("storm {number}"), &phase, began);
    }
    Ok(())
}

/// Nothing but what peers and hub do by themselves.
fn wait(course: &mut Course, name: &str, seconds: u32) -> Result<Phase> {
    let until = now() + Span::from_secs(seconds.into());
    course.run(
        name,
        Duration::from_secs(u64::from(seconds) + 60),
        move |_, at| at >= until,
    )
}

fn idle(course: &mut Course, findings: &mut Findings, settle: u32, seconds: u32) -> Result<()> {
    wait(course, "settle", settle)?;
    let phase = wait(course, "idle", seconds)?;
    demand_all_up(course, findings);
    let per_second = |n: u64| n as f64 / phase.seconds();
    findings.add(
        "idle",
        json!({
            "seconds": phase.seconds(),
            "hub_cores": phase.cores(&phase.hub),
            "swarm_cores": phase.cores(&phase.swarm),
            "hub_mib": phase.hub.mib(),
            "swarm_mib": phase.swarm.mib(),
            "datagrams_per_second_to_the_hub": per_second(phase.sent),
            "datagrams_per_second_from_the_hub": per_second(phase.received),
        }),
        format!(
            "idle: the hub uses {:.3} of a core and {:.1} MiB ({:.2} KiB for a peer), the swarm {:.3} and {:.1} MiB; \
             {:.0} datagrams a second to the hub, {:.0} from it",
            phase.cores(&phase.hub),
            phase.hub.mib(),
            phase.hub.resident as f64 / 1024.0 / f64::from(course.swarm.len()),
            phase.cores(&phase.swarm),
            phase.swarm.mib(),
            per_second(phase.sent),
            per_second(phase.received),
        ),
    );
    Ok(())
}

/// A link in a thousand may be in doubt at any moment, where the processor is shared.
fn demand_all_up(course: &Course, findings: &mut Findings) {
    let (counts, all) = (course.swarm.counts(), course.swarm.len());
    findings.demand(
        counts.sessions == all && counts.complete >= all - all / 1000 - 1,
        &format!("not everybody is up: {counts:?}"),
    );
}

/// The hub learns where everybody is, and nothing is flooded: each sends a frame to the first one, whom the hub knows since
/// that one has sent a frame to itself.
fn introduce(course: &mut Course, talk: &mut Talk, peers: u32) -> Result<()> {
    let (began, mut next) = (now(), 0);
    course.run("hello", Duration::from_secs(60), |swarm, at| {
        let due = at.since(began).as_millis() * HELLOS / 1000;
        while next < peers && u64::from(next) < due {
            talk.send(swarm, next as u16, Some(0), Kind::Hello);
            next += 1;
        }
        next == peers && at.since(began) > Span::from_secs(1)
    })?;
    Ok(())
}

/// Peers talk for some seconds, while `meanwhile` is done after each turn.
fn converse(
    course: &mut Course,
    talk: &mut Talk,
    name: &str,
    seconds: u32,
    mut meanwhile: impl FnMut(&mut Swarm, Time),
) -> Result<Phase> {
    talk.begin();
    if let Some(witnesses) = &course.witnesses {
        witnesses.begin();
    }
    let until = now() + Span::from_secs(seconds.into());
    // What is on its way then may still arrive.
    let end = until + Span::from_millis(200);
    let talk = std::cell::RefCell::new(talk);
    course.run_with(
        name,
        Duration::from_secs(u64::from(seconds) + 60),
        BUSY_TICK,
        &mut |at, frame| talk.borrow_mut().arrived(at, frame),
        &mut |swarm, at| {
            if at < until {
                talk.borrow_mut().send_due(swarm, at);
                meanwhile(swarm, at);
            }
            at >= end
        },
    )
}

fn tell_talk(findings: &mut Findings, name: &str, talk: &Talk, phase: &Phase) {
    let ((sent, arrived), took) = (talk.frames(), talk.took());
    let lost = sent.saturating_sub(arrived) as f64 / sent.max(1) as f64;
    findings.add(
        name,
        json!({
            "sent": sent,
            "arrived": arrived,
            "lost_share": lost,
            "frames_per_second": arrived as f64 / phase.seconds(),
            "hub_cores": phase.cores(&phase.hub),
            "swarm_cores": phase.cores(&phase.swarm),
            "hub_cpu_per_frame_us": phase.hub.cpu.as_secs_f64() * 1e6 / arrived.max(1) as f64,
            "hub_mib": phase.hub.mib(),
            "one_way": took.json(),
        }),
        format!(
            "{name}: {:.0} frames a second, {:.3} % lost, from peer to peer {took}; the hub uses {:.2} of a core, \
             {:.2} µs for a frame, and {:.0} MiB, the swarm {:.2} of a core",
            arrived as f64 / phase.seconds(),
            lost * 100.0,
            phase.cores(&phase.hub),
            phase.hub.cpu.as_secs_f64() * 1e6 / arrived.max(1) as f64,
            phase.hub.mib(),
            phase.cores(&phase.swarm),
        ),
    );
}

fn tell_witnesses(course: &mut Course, findings: &mut Findings, beside: &str) -> Result<()> {
    if let Some(witnesses) = &mut course.witnesses {
        witnesses.end()?.tell(findings, beside);
    }
    Ok(())
}

fn broadcast(
    course: &mut Course,
    args: &Args,
    findings: &mut Findings,
    rate: u32,
    seconds: u32,
) -> Result<()> {
    let mut talk = Talk::new(args.peers().max(2), 64, Some(BACKGROUND));
    introduce(course, &mut talk, args.peers())?;
    let phase = converse(course, &mut talk, "before", seconds, |_, _| {})?;
    tell_talk(findings, "before", &talk, &phase);
    tell_witnesses(course, findings, "before")?;
    let mut crier = Talk::new(args.peers().max(2), 64, None);
    let (began, mut cried) = (now(), 0);
    let phase = converse(course, &mut talk, "broadcast", seconds, |swarm, at| {
        let due = at.since(began).as_millis() * u64::from(rate) / 1000;
        while cried < due {
            let from = crier.anybody();
            crier.send(swarm, from, None, Kind::Broadcast);
            cried += 1;
        }
    })?;
    tell_talk(findings, "beside broadcasts", &talk, &phase);
    tell_witnesses(course, findings, "beside broadcasts")?;
    let (copies, spread) = (talk.copy_count(), talk.copies());
    let wanted = cried * u64::from(args.peers() - 1);
    findings.add(
        "broadcasts",
        json!({ "sent": cried, "copies": copies, "copies_of_all": copies as f64 / wanted.max(1) as f64,
                "copy": spread.json() }),
        format!(
            "{cried} broadcasts: {copies} copies arrived, {:.1} % of all that there could be; a copy: {spread}",
            copies as f64 * 100.0 / wanted.max(1) as f64
        ),
    );
    Ok(())
}

fn churn(course: &mut Course, args: &Args, findings: &mut Findings, rate: u32, seconds: u32) -> Result<()> {
    let mut rng = SeededEntropy::new([5; 32]);
    let (began, peers) = (now(), u64::from(args.peers()));
    let until = began + Span::from_secs(seconds.into());
    let (mut changes, mut took) = (0_u64, Vec::new());
    let phase = course.run(
        "churn",
        Duration::from_secs(u64::from(seconds) + 60),
        |swarm, at| {
            let due = at.since(began).as_millis() * u64::from(rate) / 1000;
            while changes < due {
                let who = rng.below(peers) as u16;
                if swarm.has_joined(who) {
                    swarm.leave(who);
                } else {
                    swarm.join(who);
                }
                changes += 1;
            }
            at >= until
        },
    )?;
    took.extend(course.swarm.complete_after(began));
    let cores = phase.cores(&phase.hub);
    let joined = course.swarm.counts().joined;
    let after = course.run("calm", patience(args), move |swarm, _| {
        swarm.counts().complete == joined
    })?;
    let spread = Spread::of(took);
    let up = course.hub.peers_up()?;
    findings.demand(
        up == u64::from(joined),
        &format!("{joined} peers are there, and the hub says that {up} are up"),
    );
    findings.add(
        "churn",
        json!({ "changes": changes, "hub_cores": cores, "hub_mib": after.hub.mib(), "peer": spread.json(),
                "calm_after_seconds": after.seconds() }),
        format!(
            "churn: {changes} goings and comings; a peer is up again: {spread}; the hub uses {cores:.3} of a core and \
             {:.0} MiB; all are up {:.1} s after the last one",
            after.hub.mib(),
            after.seconds()
        ),
    );
    Ok(())
}

fn misbehave(
    course: &mut Course,
    args: &Args,
    findings: &mut Findings,
    (flood, rate, seconds): (Flood, Option<u32>, u32),
) -> Result<()> {
    // The last one comes later, and the one before it is the insider, if there is one: others talk.
    let newcomer = (args.peers() - 1) as u16;
    let talkers = args.peers() - 1 - u32::from(flood == Flood::Insider);
    let mut talk = Talk::new(talkers.max(2), 64, Some(BACKGROUND));
    course.swarm.overhear(OVERHEARD);
    introduce(course, &mut talk, talkers)?;
    let phase = converse(course, &mut talk, "calm", seconds, |_, _| {})?;
    tell_talk(findings, "calm", &talk, &phase);
    tell_witnesses(course, findings, "calm")?;
    let (began, key) = (now(), course.hub.public_key());
    let insider = newcomer.saturating_sub(1);
    let mut flooder = Flooder::new((flood, rate), &key, args.links, insider, began);
    let mut came = false;
    let phase = converse(course, &mut talk, "flood", seconds, |swarm, at| {
        flooder.send_due(swarm, at);
        if !came && at.since(began) > Span::from_millis(1500) {
            came = true;
            swarm.join(newcomer);
        }
    })?;
    tell_talk(findings, "beside the flood", &talk, &phase);
    tell_witnesses(course, findings, "beside the flood")?;
    let newcomer_took = course.swarm.complete_after(began);
    demand_all_up(course, findings);
    let spread = Spread::of(newcomer_took);
    findings.add(
        "flood",
        json!({ "sent": flooder.sent(), "per_second": flooder.sent() as f64 / phase.seconds(), "hub_mib": phase.hub.mib(),
                "newcomer_and_those_who_came_back": spread.json() }),
        format!(
            "flood: {:.0} a second; the hub has {:.0} MiB; who joined meanwhile, or had to again, was up: {spread}",
            flooder.sent() as f64 / phase.seconds(),
            phase.hub.mib()
        ),
    );
    Ok(())
}
