//! Which of the hosts in a configuration this one is.

use std::{collections::HashSet, sync::Arc};

use libknet::api::{
    edit::{Context, Place},
    model::Config,
    problem::{Problem, Severity},
};

/// The names that this host goes by, the best first.
#[derive(Clone, Debug)]
pub(crate) struct ThisHost {
    names: Vec<String>,
    /// Whether somebody has said so.
    given: bool,
}

/// What is in force of a configuration.
pub(crate) struct InForce {
    /// Without meshes and lines for single hosts.
    pub(crate) config: Arc<Config>,
    /// The name of this host in the configuration.
    pub(crate) host: String,
    /// What is wrong, and what is incomplete on this host, placed where it stands in the whole.
    pub(crate) problems: Vec<Problem>,
}

impl InForce {
    /// What is wrong or incomplete on this host, without what `known` has, which is about all hosts alike.
    pub(crate) fn problems_besides(&self, known: &[Problem]) -> Vec<Problem> {
        let places: HashSet<_> = known.iter().map(|problem| &problem.place).collect();
        let mut found = self.problems.clone();
        found.retain(|problem| !places.contains(&problem.place));
        found
    }
}

impl ThisHost {
    /// With `--host`, that name; otherwise that of the machine, whole or up to its first dot.
    pub(crate) fn new(argument: Option<&str>, machine: &str) -> Self {
        let first_label = machine.split('.').next().unwrap_or_default();
        let names = match argument {
            Some(name) => vec![name.to_owned()],
            None if first_label == machine => vec![machine.to_owned()],
            None => vec![machine.to_owned(), first_label.to_owned()],
        };
        Self {
            names,
            given: argument.is_some(),
        }
    }

    /// For the prompt and the log, where nothing else is configured.
    pub(crate) fn name(&self) -> &str {
        self.names.first().map_or("knetd", String::as_str)
    }

    /// What of `config` is in force on this host.
    pub(crate) fn part_of(&self, config: &Arc<Config>) -> InForce {
        if config.is_plain() {
            return InForce {
                config: Arc::clone(config),
                host: self.name().to_owned(),
                problems: Vec::new(),
            };
        }
        let named = config.named_hosts();
        let host = self.names.iter().find(|name| named.contains(name.as_str()));
        let mut problems = Vec::new();
        problems.extend(self.unknown(config, Severity::Incomplete));
        let host = host.cloned().unwrap_or_else(|| self.name().to_owned());
        let (own, found) = config.on_host(&host);
        problems.extend(found);
        problems.extend(own.validate().into_iter().map(|problem| Problem {
            place: problem.place.map(|place| config.written(&host, place)),
            ..problem
        }));
        InForce {
            config: Arc::new(own),
            host,
            problems,
        }
    }

    /// What is wrong with `--host`, or with a file that is for other hosts: whoever says a name means one that is there.
    /// Of lines that are typed, or pasted, those for this host may yet come.
    pub(crate) fn mistaken(&self, config: &Config) -> Option<Problem> {
        self.unknown(config, Severity::Error).filter(|_| self.given)
    }

    /// A configuration for other hosts only.
    fn unknown(&self, config: &Config, severity: Severity) -> Option<Problem> {
        let named = config.named_hosts();
        if named.is_empty() || self.names.iter().any(|name| named.contains(name.as_str())) {
            return None;
        }
        let names: Vec<&str> = named.into_iter().take(8).collect();
        Some(Problem {
            severity,
            place: Some(Place::object(Context::Global)),
            span: None,
            text: format!("there are no lines for this host, {}", self.names.join(" or ")),
            expected: Some(format!("one of {}, or knetd --host NAME", names.join(", "))),
        })
    }
}

#[cfg(test)]
mod tests {
    use libknet::api::load::load;

    use super::*;

    const FILE: &str = "interface knet0\n mesh m\n  member fra1 public-key \
                        3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\n   link 0 192.0.2.1\nhost b.example\n interface knet0\n  mtu 1300\n";

    #[test]
    fn a_host_is_known_by_its_name_whole_or_short_or_by_the_argument() {
        let config = Arc::new(load(FILE.as_bytes()).config);
        let host = |argument, machine| {
            let host = ThisHost::new(argument, machine);
            let part = host.part_of(&config);
            assert!(part.problems.iter().all(|p| p.severity != Severity::Error));
            host.mistaken(&config).is_none().then_some(part.host)
        };
        assert_eq!(host(None, "fra1").as_deref(), Some("fra1"));
        assert_eq!(host(None, "fra1.example.net").as_deref(), Some("fra1"));
        assert_eq!(host(None, "b.example").as_deref(), Some("b.example"));
        assert_eq!(host(Some("fra1"), "other").as_deref(), Some("fra1"));
        assert_eq!(host(None, "other").as_deref(), Some("other"));
        assert_eq!(host(Some("other"), "fra1"), None);
    }

    #[test]
    fn what_names_no_host_is_for_all() {
        let host = ThisHost::new(Some("fra1"), "x");
        for text in ["hostname a\n", "interface knet0\n mesh m\n"] {
            let config = Arc::new(load(text.as_bytes()).config);
            assert_eq!(host.mistaken(&config), None);
            let told = host.part_of(&config).problems;
            assert!(!told.iter().any(|p| p.text.contains("this host")), "{told:?}");
        }
    }

    #[test]
    fn a_plain_configuration_is_not_copied() {
        let config = Arc::new(load(b"hostname a\n").config);
        assert!(Arc::ptr_eq(
            &ThisHost::new(None, "x").part_of(&config).config,
            &config
        ));
    }
}
