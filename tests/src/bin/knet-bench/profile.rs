//! Where the processor's time goes.

use std::time::Duration;

use knet_tests::lab::{LabError, Result, process, stream::Server};

use crate::{
    args::Args,
    bed::HOSTS,
    contender::{Contender, Group},
    measure::Course,
    write,
};

/// As [`Contender::requires`].
pub(crate) const REQUIRES: [&str; 3] = [
    "perf:linux-perf",
    "inferno-collapse-perf:cargo:inferno",
    "inferno-flamegraph:cargo:inferno",
];
/// Samples per second and processor: no divisor of anything periodic.
const FREQUENCY: &str = "997";

/// Records the daemons of the first contender that has any under one TCP stream, and draws a flame graph.
pub(crate) fn profile(chosen: &[&'static Contender], args: &Args) -> Result<()> {
    let contender = chosen
        .iter()
        .find(|c| c.group != Group::Kernel)
        .ok_or_else(|| LabError::new("a profile needs daemons: choose one with --only"))?;
    let course = Course::start(contender)?;
    let bed = course.bed();
    let server = Server::start(&bed.lab, HOSTS[0], bed.addresses[0])?;
    let client = server.send_from(&bed.lab, HOSTS[1], args.seconds.max(4) + 2, &["-O", "0"])?;
    std::thread::sleep(Duration::from_secs(1));
    let ids: Vec<String> = bed.daemons().iter().map(u32::to_string).collect();
    let data = bed.lab.directory().join("perf.data");
    let data = data.to_string_lossy();
    let seconds = args.seconds.max(4).to_string();
    let words = [
        "record",
        "-q",
        "-F",
        FREQUENCY,
        "-g",
        "--call-graph",
        "fp",
        "-o",
        &data,
        "-p",
        &ids.join(","),
    ];
    process::run("perf", &[&words[..], &["--", "sleep", &seconds]].concat())?;
    client.finish()?;
    let script = process::run("perf", &["script", "-i", &data])?;
    let folded = process::feed("inferno-collapse-perf", &[], &script)?;
    let title = format!("{} under one TCP stream", contender.name);
    let picture = process::feed("inferno-flamegraph", &["--title", &title], &folded)?;
    let file = args.output.join("profile.svg");
    write(&file, &picture)?;
    println!("{}", file.display());
    Ok(())
}
