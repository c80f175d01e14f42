//! `knetd`, the daemon: the control plane of knet.
//!
//! One thread runs everything here on a tokio runtime; the data plane has threads of its own in [`libknet`].
//!
//! | question | module |
//! |---|---|
//! | what runs, and because of which configuration | [`daemon`], [`overlay`] |
//! | how a configuration gets into force | [`config`] |
//! | which address a name has | [`resolver`] |
//! | who may connect, and what is answered | [`control`] |
//! | what happened | [`events`], [`logging`] |
//! | what Prometheus is told | [`metrics`] |
//! | what a certification authority does | [`ca`] |
//! | which files and hosts are good enough | [`trust`], [`host_check`], [`account`] |
#![forbid(unsafe_code)]
// Errors are answers here: made once per request, and moved once.
#![allow(clippy::result_large_err)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod account;
mod args;
mod ca;
mod config;
mod control;
mod daemon;
mod events;
mod file_watch;
mod flight_recorder;
mod host_check;
mod key_commands;
mod logging;
mod metrics;
mod notify;
mod overlay;
mod resolver;
mod rows;
#[cfg(test)]
mod scratch;
mod trust;
mod workers;

use std::{cell::RefCell, io::Write, path::Path, process::ExitCode, rc::Rc, time::Duration};

use args::{Args, KeyCommand};
use clap::Parser;
use config::{history::Origin, load, this_host::ThisHost};
use control::listener::ControlSocket;
use daemon::Daemon;
use file_watch::FileWatch;
use logging::Log;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

/// Events that may wait for the control thread.
const EVENT_QUEUE: usize = 8192;
/// How long peers get to hear our goodbye and interfaces to go, at most.
const STOP_TIMEOUT: Duration = Duration::from_millis(1700);

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.command {
        Some(KeyCommand::Genkey) => key_commands::genkey(),
        Some(KeyCommand::Genpsk) => key_commands::genpsk(),
        Some(KeyCommand::Pubkey) => key_commands::pubkey(),
        Some(KeyCommand::Ca(command)) => ca::run(command),
        None if args.check => return check(&args.config, &this_host(&args)),
        None => return run_logged(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("knetd: {text}");
            ExitCode::FAILURE
        }
    }
}

fn this_host(args: &Args) -> ThisHost {
    ThisHost::new(args.host.as_deref(), &daemon::host_name())
}

/// `--check`: every error on standard error, what is incomplete as well; 0 if the daemon would take the file.
fn check(path: &Path, host: &ThisHost) -> ExitCode {
    let mut out = std::io::stderr().lock();
    // If standard error is gone the exit status still tells.
    match load::check(path, host) {
        Ok(loaded) => {
            for note in &loaded.problems {
                let _ = writeln!(out, "{}: {note} (incomplete)", path.display());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            for line in error.lines(path) {
                let _ = writeln!(out, "{line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run_logged(args: &Args) -> ExitCode {
    let log = match logging::install(args.level(), args.log_filter.as_deref()) {
        Ok(log) => log,
        Err(text) => {
            eprintln!("knetd: {text}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = run(args, &log);
    if let Err(lines) = &outcome {
        for line in lines {
            tracing::error!("{line}");
        }
    }
    log.flush();
    if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs the daemon until it is told to stop. An error is one or several lines.
fn run(args: &Args, log: &Log) -> Result<(), Vec<String>> {
    let one = |text: String| vec![text];
    host_check::can_make_interfaces().map_err(one)?;
    host_check::keep_keys_private();
    libknet::io::heap::give_back_freed_memory();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| one(format!("the runtime cannot be started: {e}")))?;
    let result = LocalSet::new().block_on(&runtime, serve(args, log));
    // Threads that still block are not waited for.
    runtime.shutdown_background();
    result
}

async fn serve(args: &Args, log: &Log) -> Result<(), Vec<String>> {
    // Before anything is touched: another daemon may be at work.
    let socket = ControlSocket::bind(&args.socket).map_err(|e| vec![e.to_string()])?;
    let handler = |kind| signal(kind).map_err(|e| vec![format!("signals cannot be handled: {e}")]);
    let mut hangup = handler(SignalKind::hangup())?;
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;

    let (sender, mut overlay_events) = overlay::events(EVENT_QUEUE);
    let mut burst = Vec::new();
    let daemon = Rc::new(RefCell::new(Daemon::new(
        &args.config,
        this_host(args),
        args.offloads(),
        log.history.clone(),
        sender,
    )));
    start(&mut daemon.borrow_mut(), &args.config)?;
    let file_watch = FileWatch::new().map(Rc::new);
    if let Err(error) = &file_watch {
        tracing::warn!("files of keys are looked at once a second, because they cannot be watched: {error}");
    }
    let file_watch = file_watch.ok();
    if let Some(watch) = &file_watch {
        daemon.borrow_mut().watch_key_files(Rc::clone(watch));
    }
    tracing::info!(
        "knetd {} is ready, process {}, control socket {}",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        args.socket.display()
    );
    notify::notify("READY=1");

    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    {
        let mut scrapes = std::pin::pin!(metrics::serve(Rc::clone(&daemon)));
        let mut clients = std::pin::pin!(control::server::serve(&socket.listener, Rc::clone(&daemon)));
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => reload(&mut daemon.borrow_mut()),
                _ = tick.tick() => {
                    daemon.borrow_mut().tick();
                    daemon::look_up_names(&daemon);
                    daemon::watch_peer(&daemon);
                    daemon::leasing::look_at_all(&daemon);
                }
                () = overlay_events.next(&mut burst) => {
                    for event in burst.drain(..) {
                        daemon.borrow_mut().handle_event(&event);
                    }
                    let mut daemon = daemon.borrow_mut();
                    daemon.look_at_credentials();
                    daemon.give_addresses();
                    daemon.take_offers();
                }
                () = written(file_watch.as_deref()) => daemon.borrow_mut().read_key_files(),
                () = &mut clients => {}
                () = &mut scrapes => {}
            }
        }
    }
    tracing::info!("stopping");
    notify::notify("STOPPING=1");
    let stopping = daemon.borrow_mut().stop();
    let stopped = tokio::time::timeout(STOP_TIMEOUT, stopping).await;
    drop(socket);
    // Taking a large configuration apart takes longer than ending the process.
    std::mem::forget(daemon);
    stopped.map_err(|_| vec![format!("the interfaces did not stop within {STOP_TIMEOUT:?}")])
}

/// Waits until a file that is watched may have been changed.
async fn written(watch: Option<&FileWatch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// The first configuration: what cannot be started now is an error, so that whoever starts us learns of it. A file
/// that is not there is an empty configuration, to be typed into the shell.
fn start(daemon: &mut Daemon, path: &Path) -> Result<(), Vec<String>> {
    let directory_there = path
        .parent()
        .is_some_and(|d| d.as_os_str().is_empty() || d.is_dir());
    let missing = !path.exists() && !path.is_symlink() && directory_there;
    if missing {
        tracing::warn!(
            "{}: not there; starting with an empty configuration",
            path.display()
        );
    }
    daemon.start(!missing).map_err(|error| error.lines(path))
}

fn reload(daemon: &mut Daemon) {
    let path = daemon.config_file().to_owned();
    match daemon.load(Origin::Reload) {
        Ok(()) => {
            let text = format!("{} read again: revision {}", path.display(), daemon.revision());
            daemon.tell_configured(&text);
        }
        Err(error) => {
            for line in error.lines(&path) {
                tracing::error!("{line}");
            }
            tracing::error!(
                "{}: refused; the running configuration stays as it is",
                path.display()
            );
        }
    }
}
