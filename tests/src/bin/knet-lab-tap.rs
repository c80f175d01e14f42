//! A station for the laboratory: a TAP whose frames, with what is left to be done in them, are lines of text.

use std::{
    io::{BufRead, Write, stdin, stdout},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use knet_io::{
    epoll::{Epoll, Events, Interest},
    tap::{Tap, TapOffloads, TapWrite, VNET_HEADER},
};
use knet_tests::lab::station::Line;

/// Room for a super-frame with two VLAN tags.
const LONGEST: usize = 70_000;

/// Makes a TAP, says `ready`, hands each line of standard input to the kernel as a frame, and writes a line for each
/// frame that the kernel sends. A line is the virtio header and the frame, both in hexadecimal digits. Ends with
/// standard input.
#[derive(Debug, Parser)]
#[command(name = "knet-lab-tap")]
struct Args {
    /// Name of the interface.
    name: String,
    /// Let the kernel send super-frames, and frames without a checksum.
    #[arg(long)]
    offloads: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("knet-lab-tap: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let offloads = TapOffloads {
        tso: args.offloads,
        uso: args.offloads,
    };
    let tap = Tap::create(&args.name, offloads).map_err(|e| e.to_string())?;
    if tap.offloads() != offloads {
        return Err(format!("this kernel has only {:?}", tap.offloads()));
    }
    let tap = Arc::new(tap);
    let reader = Arc::clone(&tap);
    std::thread::spawn(move || {
        if let Err(message) = print_frames(&reader) {
            eprintln!("knet-lab-tap: {message}");
            std::process::exit(1);
        }
    });
    for line in stdin().lock().lines() {
        let line: Line = line.map_err(|e| e.to_string())?.parse()?;
        match tap.write(&line.header, &line.frame) {
            Ok(TapWrite::Done) => {}
            Ok(TapWrite::Refused) => return Err(format!("the kernel does not take {line}")),
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(())
}

fn print_frames(tap: &Tap) -> Result<(), String> {
    let failed = |e: std::io::Error| e.to_string();
    let epoll = Epoll::new().map_err(failed)?;
    epoll.add(tap, 0, Interest::READ).map_err(failed)?;
    let mut events = Events::with_capacity(1);
    let mut out = stdout().lock();
    out.write_all(b"ready\n")
        .and_then(|()| out.flush())
        .map_err(failed)?;
    let mut header = [0; VNET_HEADER];
    let mut buffer = vec![0; LONGEST];
    loop {
        while let Some(len) = tap.read(&mut header, &mut buffer).map_err(failed)? {
            let frame = buffer[..len].to_vec();
            writeln!(out, "{}", Line { header, frame }).map_err(failed)?;
        }
        out.flush().map_err(failed)?;
        epoll.wait(&mut events, None).map_err(failed)?;
    }
}
