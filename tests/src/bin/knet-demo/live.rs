//! One line per second while it runs.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use knet_tests::lab::{
    HostId, LabError, Result,
    capture::EchoCapture,
    daemon::Link,
    echo::{Conversation, Echo},
    mesh::{Mesh, NAMES},
    time::UnixMicros,
};

use crate::{
    run::target,
    scene::{PAIRS, VICTIM},
};

const SECOND: Duration = Duration::from_secs(1);
/// A request this old without an answer is called lost in the live line.
const LOST_AFTER: UnixMicros = 1_500_000;

/// The live view.
pub(crate) struct Live {
    began: UnixMicros,
    title: String,
    scene_began: UnixMicros,
    next: Instant,
    sent_before: u64,
    /// In the order of [`PAIRS`].
    pairs: [Settled; PAIRS.len()],
}

/// What is known of a flood's requests that are old enough to be judged; each is looked at once.
#[derive(Clone, Copy, Default)]
struct Settled {
    requests: usize,
    lost: u64,
    copies: u64,
    last_answer: Option<UnixMicros>,
    longest_gap: UnixMicros,
}

impl Settled {
    fn advance(&mut self, echoes: &[Echo], until: UnixMicros) {
        for echo in echoes
            .get(self.requests..)
            .unwrap_or_default()
            .iter()
            .take_while(|e| e.sent < until)
        {
            self.requests += 1;
            self.copies += u64::from(echo.copies);
            let Some(answered) = echo.answered else {
                self.lost += 1;
                continue;
            };
            let gap = answered - self.last_answer.unwrap_or(answered);
            self.longest_gap = self.longest_gap.max(gap);
            self.last_answer = Some(answered.max(self.last_answer.unwrap_or(answered)));
        }
    }
}

impl Live {
    /// Begins.
    pub(crate) fn new(began: UnixMicros) -> Self {
        Self {
            began,
            title: String::new(),
            scene_began: began,
            next: Instant::now() + SECOND,
            sent_before: 0,
            pairs: [Settled::default(); PAIRS.len()],
        }
    }

    /// What happens from now on.
    pub(crate) fn scene(&mut self, title: &str, scene_began: UnixMicros) {
        title.clone_into(&mut self.title);
        if scene_began != self.scene_began {
            self.pairs = [Settled::default(); PAIRS.len()];
        }
        self.scene_began = scene_began;
    }

    /// Watches for this long.
    pub(crate) fn watch(&mut self, mesh: &Mesh, captures: &BTreeMap<HostId, EchoCapture>, length: Duration) {
        let end = Instant::now() + length;
        while self.next <= end {
            std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
            self.line(mesh, captures);
        }
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
    }

    /// Watches until `done` says so, or `patience` is over, which is an error.
    pub(crate) fn watch_until(
        &mut self,
        mesh: &Mesh,
        captures: &BTreeMap<HostId, EchoCapture>,
        patience: Duration,
        done: impl Fn(&Mesh) -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let answer = done(mesh);
            if matches!(answer, Ok(true)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let why = answer
                    .err()
                    .map_or_else(|| "the best link is not used again".into(), |e| e.to_string());
                return Err(LabError::new(format!("no recovery within {patience:?}: {why}")));
            }
            self.watch(mesh, captures, Duration::from_millis(300));
        }
    }

    fn line(&mut self, mesh: &Mesh, captures: &BTreeMap<HostId, EchoCapture>) {
        self.next += SECOND;
        let mut sent = 0;
        for (pair, (source, _)) in PAIRS.iter().enumerate() {
            let record = captures[source].so_far();
            sent += record
                .with(target(pair))
                .map(|c| c.echoes.len() as u64)
                .sum::<u64>();
            let ours = |c: &&Conversation| c.echoes.first().is_some_and(|e| e.sent >= self.scene_began);
            if let Some(conversation) = record.with(target(pair)).find(ours) {
                self.pairs[pair].advance(&conversation.echoes, record.latest - LOST_AFTER);
            }
        }
        let lost: u64 = self.pairs.iter().map(|p| p.lost).sum();
        let copies: u64 = self.pairs.iter().map(|p| p.copies).sum();
        let gap = self.pairs.iter().map(|p| p.longest_gap).max().unwrap_or(0) as f64 / 1000.0;
        let rate = sent.saturating_sub(self.sent_before);
        self.sent_before = sent;
        let seconds = (knet_tests::lab::time::now() - self.began) / 1_000_000;
        let links = mesh
            .links(VICTIM, PAIRS[0].1)
            .map_or_else(|_| "?".into(), |links| symbols(&links));
        let text = format!(
            "{seconds:>4} s  {:<44} {rate:>6} pings/s  lost {lost:<4} dup {copies:<3} gap {gap:>7.1} ms  {} links {links}",
            self.title, NAMES[VICTIM.0],
        );
        println!("{text}");
        if !std::io::stdout().is_terminal() {
            // In a log the lines should be there when they are due.
            let _ = std::io::stdout().flush();
        }
    }
}

/// ● in use, ○ ready, ◐ in doubt, ✗ not usable.
fn symbols(links: &[Link]) -> String {
    let symbol = |link: &Link| match link.state.as_str() {
        "up" if link.in_use => '●',
        "up" => '○',
        "suspect" | "probing" => '◐',
        _ => '✗',
    };
    links.iter().map(symbol).collect()
}
