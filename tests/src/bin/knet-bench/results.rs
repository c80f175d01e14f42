//! All that was measured, and on what.

use std::collections::BTreeMap;

use knet_tests::lab::{Result, process, stream::median};

use crate::{args::Args, contender::Contender, metric::Metric};

/// What one contender showed in one round.
pub(crate) type Sample = BTreeMap<Metric, f64>;

/// A whole run.
pub(crate) struct Results {
    /// In the order of the table.
    pub(crate) contenders: Vec<&'static Contender>,
    samples: BTreeMap<&'static str, Vec<Sample>>,
    /// `2026-01-31`.
    pub(crate) date: String,
    /// Processor, cores and kernel.
    pub(crate) machine: String,
    /// What was typed.
    pub(crate) command: String,
    /// Rounds.
    pub(crate) repetitions: u32,
}

impl Results {
    /// Nothing measured yet.
    pub(crate) fn new(args: &Args, contenders: &[&'static Contender]) -> Result<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        Ok(Self {
            contenders: contenders.to_vec(),
            samples: BTreeMap::new(),
            date: process::run("date", &["-u", "+%F"])?.trim().into(),
            machine: machine()?,
            command: format!("scripts/bench {}", words.join(" ")).trim_end().into(),
            repetitions: args.repetitions,
        })
    }

    /// One more round.
    pub(crate) fn add(&mut self, contender: &'static Contender, sample: Sample) {
        self.samples.entry(contender.name).or_default().push(sample);
    }

    /// The rounds of a contender.
    pub(crate) fn rounds(&self, name: &str) -> &[Sample] {
        self.samples.get(name).map_or(&[], Vec::as_slice)
    }

    /// The median over the rounds.
    pub(crate) fn median(&self, name: &str, metric: Metric) -> Option<f64> {
        let values: Vec<f64> = self
            .rounds(name)
            .iter()
            .filter_map(|s| s.get(&metric).copied())
            .collect();
        (!values.is_empty()).then(|| median(values))
    }
}

fn machine() -> Result<String> {
    let processors = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = processors
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("{cores} cores of {model}, Linux {}", kernel.trim()))
}
