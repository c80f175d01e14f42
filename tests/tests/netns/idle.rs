//! Links without traffic: what they cost, and how soon their death is noticed.

use std::{collections::BTreeMap, time::Duration};

use knet_tests::lab::{
    Cut, HostId, NetworkId, Result,
    mesh::{Mesh, Plan},
    monitor::{Event, Monitor},
    stall::StallMeter,
    switch::Datagrams,
    time::{UnixMicros, wait_until},
};

use super::{A, B, needs_root};

const NOTICED_WITHIN: UnixMicros = 1_300_000;
/// Where this machine itself stood still for so long meanwhile, it is void when a death was noticed: the judged time of the daemons
/// stands still as well.
const VOID: Duration = Duration::from_millis(40);

/// When a daemon knew that `link` does not work, in one direction or the other.
fn noticed(monitor: &Monitor, link: usize, cut: UnixMicros) -> Option<UnixMicros> {
    let tells = |e: &Event| match e.kind.as_str() {
        "link-state" => e.detail("to") == Some("down"),
        "link-receive" => e.detail("ok") == Some("false") || e.detail("receiving") == Some("false"),
        _ => false,
    };
    // Events carry whole milliseconds: one of the cut's own millisecond may seem to precede it.
    let events = monitor.events();
    events
        .iter()
        .find(|e| e.link == Some(link) && e.at + 999 >= cut && tells(e))
        .map(|e| (e.at - cut).max(0))
}

#[test]
fn n16_idle_link_death_is_noticed_20_of_20() -> Result<()> {
    needs_root!();
    let mesh = Mesh::start(Plan {
        links: 8,
        ..Plan::default()
    })?;
    let monitors = [Monitor::start(mesh.daemon(A))?, Monitor::start(mesh.daemon(B))?];
    // Neighbour discovery and multicast reports of the TAPs are over then.
    std::thread::sleep(Duration::from_secs(4));
    let stalls = StallMeter::start();
    let (mut runs, mut valid) = (0, 0);
    while valid < 20 {
        assert!(
            runs < 40,
            "this machine stands still too often: {valid} of {runs} are valid"
        );
        let (run, link) = (runs, runs % 8);
        runs += 1;
        wait_until("the link is up again", Duration::from_secs(60), || {
            let up = |from, to| mesh.links(from, to).is_ok_and(|links| links[link].is_up());
            if up(A, B) && up(B, A) {
                Ok(())
            } else {
                Err(format!("link {link}"))
            }
        })?;
        let cut_what = if run.is_multiple_of(2) {
            Cut::Silent(A, NetworkId(link))
        } else {
            Cut::Silent(B, NetworkId(link))
        };
        let cut = mesh.lab.cut(&[cut_what])?;
        let when = wait_until("notice", Duration::from_secs(10), || {
            let times = monitors.each_ref().map(|m| noticed(m, link, cut));
            match times {
                [Some(a), Some(b)] => Ok([a, b]),
                _ => Err(format!("link {link}: A, B: {times:?}")),
            }
        })?;
        mesh.lab.restore(&[cut_what])?;
        let latest = when.into_iter().max().unwrap_or_default();
        let stall = stalls.worst(cut, cut + latest);
        println!(
            "link {link}: noticed after {:?} ms; this machine stood still for {stall:.1?}",
            when.map(|us| us / 1000)
        );
        if latest > NOTICED_WITHIN && stall > VOID {
            continue;
        }
        assert!(latest <= NOTICED_WITHIN, "link {link}: {when:?} µs");
        valid += 1;
    }
    Ok(())
}

#[test]
fn n16_an_idle_link_costs_one_datagram_a_second_and_direction() -> Result<()> {
    needs_root!();
    const SECONDS: u64 = 30;
    let mesh = Mesh::start(Plan {
        links: 4,
        ..Plan::default()
    })?;
    std::thread::sleep(Duration::from_secs(4));
    let counters = || {
        let mut all: BTreeMap<(HostId, usize), Datagrams> = BTreeMap::new();
        for host in [A, B] {
            for network in 0..4 {
                all.insert((host, network), mesh.lab.datagrams(host, NetworkId(network))?);
            }
        }
        Ok::<_, knet_tests::lab::LabError>(all)
    };
    let before = counters()?;
    std::thread::sleep(Duration::from_secs(SECONDS));
    let after = counters()?;
    for (key, end) in after {
        let begin = before[&key];
        let (count, bytes) = (
            end.from_host - begin.from_host,
            end.from_host_bytes - begin.from_host_bytes,
        );
        println!("{key:?}: {count} datagrams, {bytes} bytes in {SECONDS} s");
        // One more may fall into the window at its edge; and an answer that is later than RT, because this machine was
        // busy, is asked for again.
        assert!(
            count <= SECONDS + SECONDS / 5,
            "{key:?} sent {count} datagrams in {SECONDS} s"
        );
        assert!(
            count >= SECONDS / 2,
            "{key:?} sent only {count} datagrams in {SECONDS} s: nothing watches the link"
        );
        assert!(
            bytes <= count * 160,
            "{key:?}: {} bytes each is not small",
            bytes / count.max(1)
        );
    }
    Ok(())
}
