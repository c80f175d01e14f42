//! A wire for laboratories: it joins two Ethernet interfaces, and delays, loses, damages and limits what passes,
//! as told on standard input while it runs. `knet-wire --help` tells the rest.
//!
//! The interfaces are TAPs that are moved into the hosts' namespaces while this program keeps their other sides: no
//! packet socket, no bridge, one copy in and one out. Their frames are never longer than their MTU, for a TAP
//! without offloads is given segments, not super-frames.

mod args;
mod command;
mod damage;
mod end;
mod noise;
mod settings;
mod shaper;
mod wires;

use std::{
    io::{BufRead, Write},
    process::ExitCode,
    sync::mpsc::{Receiver, TryRecvError, channel},
    time::Duration,
};

use clap::Parser;
use knet_io::{
    clock::boottime_nanos,
    epoll::{Epoll, Events, Interest},
    eventfd::Waker,
    priority::set_nice,
};

use args::Args;
use wires::{Answer, Wires};

/// A wire must not wait for those whose frames it carries: before the daemons' data threads.
const NICE: i32 = -12;
const COMMANDS: u64 = u64::MAX;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("knet-wire: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let mut wires = Wires::create(args)?;
    for command in &args.set {
        match wires
            .execute(command)
            .map_err(|e| format!("--set '{command}': {e}"))?
        {
            Answer::Text(text) => print!("{text}"),
            Answer::Quit => return Ok(()),
        }
    }
    // Without the right to it, or on an older kernel, frames come a little later.
    let _ = set_nice(NICE);
    let _ = std::fs::write("/proc/self/timerslack_ns", "1000");
    let system = |e: std::io::Error| e.to_string();
    let epoll = Epoll::new().map_err(system)?;
    for (number, tap) in wires.descriptors().enumerate() {
        epoll.add(tap, number as u64, Interest::READ).map_err(system)?;
    }
    let waker = Waker::new().map_err(system)?;
    epoll.add(&waker, COMMANDS, Interest::READ).map_err(system)?;
    let commands = read_commands(waker.clone());
    say("ready\n")?;

    let grain = Duration::from_micros(args.grain);
    let mut events = Events::with_capacity(64);
    let mut rest_until = 0;
    loop {
        // Waking costs more than carrying a frame: where nothing passes at once anyway, let some gather.
        if events.iter().next().is_some() && wires.all_hold_for(grain) {
            std::thread::sleep(grain);
        }
        let now = boottime_nanos();
        let wait = wires
            .next_due()
            .map(|due| Duration::from_nanos(due.max(rest_until).saturating_sub(now)));
        epoll.wait(&mut events, wait).map_err(system)?;
        let now = boottime_nanos();
        for ready in events.iter() {
            if ready.token == COMMANDS {
                waker.reset();
                if !obey(&mut wires, &commands, args.stay)? {
                    return Ok(());
                }
            } else {
                wires.carry(ready.token as usize, now)?;
            }
        }
        if wires.next_due().is_some_and(|due| due <= now) {
            wires.deliver(now)?;
            rest_until = now + grain.as_nanos() as u64;
        }
    }
}

/// Lines of standard input, read by a thread of their own, for reading them may block.
fn read_commands(waker: Waker) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
            waker.wake();
        }
        drop(sender);
        waker.wake();
    });
    receiver
}

/// Carries out what waits; `false`: that was the end.
fn obey(wires: &mut Wires, commands: &Receiver<String>, stay: bool) -> Result<bool, String> {
    loop {
        match commands.try_recv() {
            Ok(line) => match wires.execute(&line) {
                Ok(Answer::Text(text)) => say(&format!("{text}ok\n"))?,
                Ok(Answer::Quit) => return Ok(false),
                Err(error) => say(&format!("error: {error}\n"))?,
            },
            Err(TryRecvError::Empty) => return Ok(true),
            Err(TryRecvError::Disconnected) => return Ok(stay),
        }
    }
}

fn say(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| format!("standard output: {e}"))
}
