//! The daemon's log: lines on standard error, the last thousand of them kept for `show logging`.
//!
//! Every line goes through [`layer::LineLayer`], which makes it harmless for terminals and bounds its length.
//! Lines that others can cause (events of the tunnel, control clients) go through [`limit::LogLimiter`] first.

mod history;
mod layer;
mod limit;
mod stderr;

pub(crate) use libknet::api::moment::{utc, utc_seconds};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Registry, filter::Targets, layer::SubscriberExt};

pub(crate) use history::{LINES, LogHistory};
pub(crate) use layer::{clean, unix_ms};
pub(crate) use limit::{LogLimiter, PER_SECOND};

/// What of the log can be asked for later.
#[derive(Clone)]
pub(crate) struct Log {
    /// The latest lines.
    pub history: LogHistory,
    stderr: stderr::Stderr,
}

impl Log {
    /// Waits a moment for lines that are still on their way to standard error.
    pub(crate) fn flush(&self) {
        self.stderr.flush();
    }
}

/// Starts the log. `filter` is a list such as `knetd=debug,libknet::worker=trace`, more specific targets first
/// or last alike; what it does not name is logged from `level` up.
pub(crate) fn install(level: LevelFilter, filter: Option<&str>) -> Result<Log, String> {
    let targets = targets(level, filter)?;
    let log = Log {
        history: LogHistory::default(),
        stderr: stderr::Stderr::start(),
    };
    let layer = layer::LineLayer::new(log.history.clone(), log.stderr.clone());
    tracing::subscriber::set_global_default(Registry::default().with(targets).with(layer))
        .map_err(|_| "the log was started twice".to_owned())?;
    Ok(log)
}

fn targets(level: LevelFilter, filter: Option<&str>) -> Result<Targets, String> {
    let mut targets = Targets::new().with_default(level);
    for directive in filter
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|d| !d.is_empty())
    {
        let wrong = || {
            format!(
                "log filter: `{directive}` is not MODULE=LEVEL or LEVEL; expected for example \
                 knetd=debug,libknet::worker=trace with off, error, warn, info, debug or trace"
            )
        };
        let module = |m: &str| {
            m.chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
        };
        targets = match directive.split_once('=') {
            None => targets.with_default(directive.parse::<LevelFilter>().map_err(|_| wrong())?),
            Some((name, level)) if !name.is_empty() && module(name) => {
                targets.with_target(name, level.parse::<LevelFilter>().map_err(|_| wrong())?)
            }
            Some(_) => return Err(wrong()),
        };
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn filters_name_modules_and_levels() {
        let targets = targets(LevelFilter::WARN, Some("knetd=debug, libknet::worker=trace,")).unwrap();
        assert!(targets.would_enable("knetd::control", &Level::DEBUG));
        assert!(!targets.would_enable("knetd::control", &Level::TRACE));
        assert!(targets.would_enable("libknet::worker", &Level::TRACE));
        assert!(!targets.would_enable("libknet::other", &Level::INFO));
        assert!(targets.would_enable("libknet::other", &Level::WARN));
        let all_off = super::targets(LevelFilter::INFO, Some("off")).unwrap();
        assert!(!all_off.would_enable("knetd", &Level::ERROR));
    }

    #[test]
    fn nonsense_in_filters_is_refused_with_an_example() {
        for text in [
            "knetd=loud",
            "loud",
            "=debug",
            "knetd=debug=info",
            "a b=info",
            "knetd[",
        ] {
            let error = targets(LevelFilter::INFO, Some(text)).unwrap_err();
            assert!(
                error.contains("knetd=debug,libknet::worker=trace"),
                "{text}: {error}"
            );
        }
    }
}
