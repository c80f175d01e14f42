//! What knet is to reach, and whether it did.

use knet_tests::lab::stream::median;

use crate::{
    contender::{CONTENDERS, Group},
    metric::Metric,
    results::{Results, Sample},
};

/// A number to reach.
pub(crate) struct Target {
    /// What is compared with what.
    pub(crate) title: &'static str,
    bound: Bound,
    value: fn(&Round<'_>) -> Option<f64>,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// What was seen of a target.
pub(crate) struct Verdict {
    /// The median over the rounds of the comparison made in each.
    pub(crate) seen: f64,
    /// Whether that is enough.
    pub(crate) reached: bool,
}

/// One round of all contenders.
struct Round<'a> {
    results: &'a Results,
    number: usize,
}

impl Round<'_> {
    fn sample(&self, name: &str) -> Option<&Sample> {
        self.results.rounds(name).get(self.number)
    }

    fn get(&self, name: &str, metric: Metric) -> Option<f64> {
        self.sample(name)?.get(&metric).copied()
    }

    fn ratio(&self, metric: Metric, name: &str, to: &str) -> Option<f64> {
        Some(self.get(name, metric)? / self.get(to, metric)?)
    }

    fn fastest_peer(&self) -> Option<f64> {
        CONTENDERS
            .iter()
            .filter(|c| c.group == Group::Peers)
            .filter_map(|c| self.get(c.name, Metric::Tcp))
            .max_by(f64::total_cmp)
    }
}

/// The numbers that this project has set itself.
pub(crate) const TARGETS: &[Target] = &[
    Target {
        title: "TCP, one stream: knet to the bare wire without offloads",
        bound: Bound::AtLeast(1.0),
        value: |r| r.ratio(Metric::Tcp, "knet-aes", "veth-bare"),
    },
    Target {
        title: "TCP, one stream: knet to the kernel's VXLAN without encryption",
        bound: Bound::AtLeast(0.45),
        value: |r| r.ratio(Metric::Tcp, "knet-aes", "vxlan"),
    },
    Target {
        title: "TCP, one stream: knet to the fastest encrypting layer-2 peer",
        bound: Bound::AtLeast(10.0),
        value: |r| Some(r.get("knet-aes", Metric::Tcp)? / r.fastest_peer()?),
    },
    Target {
        title: "TCP, one stream: ChaCha20-Poly1305 to AES-256-GCM",
        bound: Bound::AtLeast(0.65),
        value: |r| r.ratio(Metric::Tcp, "knet-chacha", "knet-aes"),
    },
    Target {
        title: "Datagrams of 64 bytes: knet to the bare wire",
        bound: Bound::AtLeast(0.55),
        value: |r| r.ratio(Metric::Datagrams, "knet-aes", "veth"),
    },
    Target {
        title: "Idle round trip, median: what knet adds to the bare wire, in µs",
        bound: Bound::AtMost(60.0),
        value: |r| Some(r.get("knet-aes", Metric::Idle)? - r.get("veth", Metric::Idle)?),
    },
    Target {
        title: "Round trip beside a TCP stream, 99th percentile, in µs",
        bound: Bound::AtMost(1000.0),
        value: |r| r.get("knet-aes", Metric::LoadedWorst),
    },
    Target {
        title: "Processor seconds per gigabyte, both daemons",
        bound: Bound::AtMost(1.2),
        value: |r| r.get("knet-aes", Metric::Cost),
    },
    Target {
        title: "System calls of a daemon for a thousand datagrams of one TCP stream",
        bound: Bound::AtMost(60.0),
        value: |r| r.get("knet-aes", Metric::Calls),
    },
    Target {
        title: "TCP, one stream: active over two links to one link",
        bound: Bound::AtLeast(0.6),
        value: |r| r.ratio(Metric::Tcp, "active-2", "passive-1"),
    },
    Target {
        title: "Resident memory of a daemon under load, in MiB",
        bound: Bound::AtMost(40.0),
        value: |r| r.get("knet-aes", Metric::Memory),
    },
];

impl Target {
    /// What was seen of it; `None` if what it compares was not measured.
    pub(crate) fn judge(&self, results: &Results) -> Option<Verdict> {
        let values: Vec<f64> = (0..results.repetitions as usize)
            .filter_map(|number| (self.value)(&Round { results, number }))
            .collect();
        if values.is_empty() {
            return None;
        }
        let seen = median(values);
        let reached = match self.bound {
            Bound::AtLeast(least) => seen >= least,
            Bound::AtMost(most) => seen <= most,
        };
        Some(Verdict { seen, reached })
    }

    /// The bound in words.
    pub(crate) fn bound(&self) -> String {
        match self.bound {
            Bound::AtLeast(least) => format!("≥ {least}"),
            Bound::AtMost(most) => format!("≤ {most}"),
        }
    }
}
