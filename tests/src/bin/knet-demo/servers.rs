//! `--servers 2`: two clients of two hubs flood each other with pings, while the hub in use dies and is cut off.

use std::time::Duration;

use knet_tests::lab::{
    Cut, HostId, NetworkId, Result,
    capture::EchoCapture,
    daemon::Daemon,
    hubs::{CLIENTS, HUBS, Joint, hub_in_use, make_hubs, wait_until_all_use},
    mesh::{Mesh, NAMES, Plan, overlay_v4},
    ping::Ping,
    time::{UnixMicros, now, wait_until},
};

use crate::{
    args::Args,
    run::{JUST_BEFORE, flood_on_the_wire, print_how_to_enter},
};

const BEFORE: Duration = Duration::from_millis(1500);
const AFTER: Duration = Duration::from_secs(1);
/// A hub that has failed is used again when it has been up for 10 s, and for longer each time.
const PATIENCE: Duration = Duration::from_secs(120);
/// The promise: what is lost when a hub dies, in milliseconds.
const LONGEST_GAP_MS: f64 = 1000.0;

/// What is done to a hub.
#[derive(Clone, Copy, Debug)]
enum Blow {
    /// Its daemon is killed, and started again.
    Killed(HostId),
    /// None of its cables carries anything, in either direction.
    Silent(HostId),
}

impl Blow {
    const ALL: [Self; 4] = [
        Self::Killed(HUBS[0]),
        Self::Silent(HUBS[0]),
        Self::Killed(HUBS[1]),
        Self::Silent(HUBS[1]),
    ];

    const fn hub(self) -> HostId {
        match self {
            Self::Killed(hub) | Self::Silent(hub) => hub,
        }
    }

    fn title(self) -> String {
        let hub = NAMES[self.hub().0];
        match self {
            Self::Killed(_) => format!("{hub}: knetd killed (-9)"),
            Self::Silent(_) => format!("{hub}: every cable silent"),
        }
    }

    fn strike(self, mesh: &mut Mesh) -> Result<UnixMicros> {
        match self {
            Self::Killed(hub) => {
                let before = now();
                mesh.daemons[hub.0].kill();
                Ok(before)
            }
            Self::Silent(_) => mesh.lab.cut(&self.cuts(mesh)),
        }
    }

    fn mend(self, mesh: &mut Mesh) -> Result<()> {
        match self {
            Self::Killed(hub) => mesh.restart(hub),
            Self::Silent(_) => mesh.lab.restore(&self.cuts(mesh)).map(drop),
        }
    }

    fn cuts(self, mesh: &Mesh) -> Vec<Cut> {
        (0..mesh.plan.links)
            .map(|n| Cut::Silent(self.hub(), NetworkId(n)))
            .collect()
    }
}

/// Plays it. Returns whether the promise is kept.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let policy = args.policies().last().map_or("passive", |policy| policy.name());
    let mut mesh = Mesh::build(Plan {
        hosts: HUBS.len() + CLIENTS.len(),
        links: usize::from(args.links),
        policy,
        ..Plan::default()
    })?;
    make_hubs(&mut mesh, Joint::Tunnel);
    mesh.start_all()?;
    wait_until_all_use(&mesh, HUBS[0], PATIENCE)?;
    println!(
        "\nHubs {} and {}, joined by a tunnel; clients {} and {} of both, {} links each, {policy} policy:\n",
        NAMES[HUBS[0].0], NAMES[HUBS[1].0], NAMES[CLIENTS[0].0], NAMES[CLIENTS[1].0], args.links
    );
    println!(
        "{:<28} {:<13} {:>8} {:>6} {:>7} {:>12}",
        "", "", "pings", "lost", "copies", "longest gap"
    );
    let mut broken = Vec::new();
    for blow in Blow::ALL {
        play(blow, &mut mesh, args, &mut broken)?;
    }
    if args.keep {
        print_how_to_enter(&mesh);
        mesh.keep()?;
    }
    if broken.is_empty() {
        println!("\nThe promise is kept: no hub that dies costs a client more than a second.");
    } else {
        println!("\nThe promise is BROKEN:\n  {}", broken.join("\n  "));
    }
    Ok(broken.is_empty())
}

fn play(blow: Blow, mesh: &mut Mesh, args: &Args, broken: &mut Vec<String>) -> Result<()> {
    use_hub(mesh, blow.hub())?;
    let began = now();
    let pairs = [(CLIENTS[0], CLIENTS[1]), (CLIENTS[1], CLIENTS[0])];
    let captures = pairs
        .iter()
        .map(|(from, _)| EchoCapture::start(&mesh.lab, *from, "knet0"))
        .collect::<Result<Vec<_>>>()?;
    let floods = pairs
        .iter()
        .map(|(from, to)| Ping::flood(&mesh.lab, *from, overlay_v4(*to), &[]))
        .collect::<Result<Vec<_>>>()?;
    std::thread::sleep(BEFORE);
    let struck = blow.strike(mesh)?;
    std::thread::sleep(Duration::from_secs(args.seconds.into()));
    for client in CLIENTS {
        let (hub, _) = hub_in_use(mesh, client)?;
        if hub.as_deref() == Some(NAMES[blow.hub().0]) {
            broken.push(format!("{}: {} still uses it", blow.title(), NAMES[client.0]));
        }
    }
    blow.mend(mesh)?;
    std::thread::sleep(AFTER);
    let reports = floods.into_iter().map(Ping::stop).collect::<Result<Vec<_>>>()?;
    std::thread::sleep(Duration::from_millis(200));
    for (((from, to), capture), report) in pairs.iter().zip(captures).zip(reports) {
        let record = capture.stop()?;
        let wire = flood_on_the_wire(&record, overlay_v4(*to), began, now());
        let since = flood_on_the_wire(&record, overlay_v4(*to), struck - JUST_BEFORE, now());
        let (lost, gap) = (wire.sent - wire.answered, since.longest_gap.millis());
        let name = format!("{} → {}", NAMES[from.0], NAMES[to.0]);
        println!(
            "{:<28} {name:<13} {:>8} {lost:>6} {:>7} {gap:>9.1} ms",
            blow.title(),
            report.sent,
            wire.copies
        );
        if gap > LONGEST_GAP_MS || report.sent == 0 {
            broken.push(format!(
                "{} · {name}: {gap:.0} ms without an answer",
                blow.title()
            ));
        }
    }
    Ok(())
}

/// Waits until all hubs are up, and has the clients use this one.
fn use_hub(mesh: &mut Mesh, hub: HostId) -> Result<()> {
    for daemon in &mut mesh.daemons {
        daemon.wait_until_it_answers()?;
    }
    for client in CLIENTS {
        for other in HUBS {
            let preference = if other == hub { 200 } else { 100 };
            let lines = format!(
                "interface knet0 peer {} hub-group hubs preference {preference}",
                NAMES[other.0]
            );
            mesh.daemons[client.0].edit(&[&lines])?;
        }
    }
    wait_until_all_use(mesh, hub, PATIENCE)?;
    wait_until("all links up", PATIENCE, || {
        let links = mesh.daemons.iter().map(Daemon::links);
        let links = links.collect::<Result<Vec<_>>>().map_err(|e| e.to_string())?;
        let down: Vec<_> = links.iter().flatten().filter(|l| !l.may_be_used()).collect();
        if down.is_empty() {
            Ok(())
        } else {
            Err(format!("not up: {down:?}"))
        }
    })
}
