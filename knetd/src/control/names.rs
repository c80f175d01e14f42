//! Names for Tab, and objects by their names.

use std::ops::Bound;

use libknet::api::{
    edit::{Context, Place},
    grammar::spelling::names_instead,
    message::{ApiError, ErrorCode, Source},
    model::{Config, InterfaceConfig, PeerConfig},
};

/// Most names in one answer.
const NAMES: usize = 1000;

/// Whether they are names in the configuration as it is written, which is for all hosts, and not in what is in force.
pub(crate) const fn are_written(source: &Source) -> bool {
    matches!(
        source,
        Source::Meshes { .. } | Source::Members { .. } | Source::Hosts | Source::Groups { .. }
    )
}

/// Names that begin with `prefix`, sorted, each once.
pub(crate) fn complete(config: &Config, source: &Source, prefix: &str, limit: usize) -> Vec<String> {
    let interfaces = |only: &Option<String>| {
        let only = only.clone();
        config
            .interfaces
            .iter()
            .filter(move |(name, _)| only.as_ref().is_none_or(|o| o == *name))
    };
    let meshes = |interface: &String| config.interfaces.get(interface).map(|i| &i.meshes);
    let mut names: Vec<String> = match source {
        Source::Interfaces => config.interfaces.keys().cloned().collect(),
        Source::Peers { interface } => interfaces(interface)
            .flat_map(|(_, i)| {
                i.peers
                    .range_from(Bound::Included(prefix))
                    .map(|(name, _)| name)
                    .take_while(|name| name.starts_with(prefix))
            })
            .take(limit.min(NAMES))
            .cloned()
            .collect(),
        Source::Links { interface, peer } => interfaces(interface)
            .filter_map(|(_, i)| i.peers.get(peer))
            .flat_map(|p| p.links.keys())
            .map(u8::to_string)
            .collect(),
        Source::Locals { interface } => interfaces(&Some(interface.clone()))
            .flat_map(|(_, i)| i.locals.keys())
            .map(u8::to_string)
            .collect(),
        Source::Meshes { interface } => meshes(interface)
            .into_iter()
            .flat_map(|meshes| meshes.keys().cloned())
            .collect(),
        Source::Members { interface, mesh } => meshes(interface)
            .and_then(|meshes| meshes.get(mesh))
            .into_iter()
            .flat_map(|mesh| mesh.members.keys().cloned())
            .collect(),
        Source::Groups { interface } => interfaces(interface)
            .flat_map(|(_, i)| i.groups.keys().cloned())
            .collect(),
        Source::Hosts => config.named_hosts().into_iter().map(str::to_owned).collect(),
    };
    names.retain(|name| name.starts_with(prefix));
    // Numbers have at most two digits: by length first is by value.
    match source {
        Source::Links { .. } | Source::Locals { .. } => names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b))),
        _ => names.sort(),
    }
    names.dedup();
    names.truncate(limit.min(NAMES));
    names
}

/// The interfaces that are asked for: one by its name, or all.
pub(crate) fn interfaces<'a>(
    config: &'a Config,
    only: Option<&str>,
) -> Result<Vec<(&'a String, &'a InterfaceConfig)>, ApiError> {
    let Some(name) = only else {
        return Ok(config.interfaces.iter().collect());
    };
    if let Some(found) = config.interfaces.get_key_value(name) {
        return Ok(vec![found]);
    }
    let place = Context::Interface {
        interface: name.to_owned(),
    };
    let names = config.interfaces.keys().map(String::as_str);
    Err(not_found(
        format!("there is no interface {name}"),
        place,
        names_instead(name, names),
    ))
}

/// The only peer of this name.
pub(crate) fn peer<'a>(
    config: &'a Config,
    interface: Option<&str>,
    name: &str,
) -> Result<(&'a String, &'a InterfaceConfig, &'a String, &'a PeerConfig), ApiError> {
    let found: Vec<_> = interfaces(config, interface)?
        .into_iter()
        .filter_map(|(i, c)| c.peers.get_key_value(name).map(|(p, peer)| (i, c, p, peer)))
        .collect();
    match found[..] {
        [one] => Ok(one),
        [] => {
            let names = config.interfaces.values().flat_map(|i| i.peers.keys());
            let place = Context::Peer {
                interface: interface.unwrap_or_default().to_owned(),
                peer: name.to_owned(),
            };
            Err(not_found(
                format!("there is no peer {name}"),
                place,
                names_instead(name, names.map(String::as_str)),
            ))
        }
        _ => {
            let names: Vec<_> = found.iter().map(|(i, ..)| i.as_str()).collect();
            let text = format!(
                "there is a peer {name} on each of the interfaces {}",
                names.join(", ")
            );
            Err(ApiError::new(ErrorCode::Ambiguous, text).with_hint("name the interface"))
        }
    }
}

/// The answer where something that is no place of the configuration was asked for by a name that nothing has: `what` says what
/// it would be, `names` what there is.
pub(crate) fn none_called<'a>(
    what: &str,
    name: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> ApiError {
    let error = ApiError::new(ErrorCode::NotFound, format!("there is no {what} {name}"));
    match names_instead(name, names) {
        Some(names) => error.with_hint(format!("there is {names}")),
        None => error,
    }
}

/// The shell sets its caret under the name of `place`.
fn not_found(text: String, place: Context, instead: Option<String>) -> ApiError {
    ApiError {
        place: Some(Place::object(place)),
        hint: instead.map(|names| format!("there is {names}")),
        ..ApiError::new(ErrorCode::NotFound, text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use libknet::api::{
        model::{LinkConfig, Local},
        persistent_map::PersistentMap,
    };

    use super::*;

    fn config() -> Config {
        let peers = |names: &[&str]| -> PersistentMap<String, PeerConfig> {
            let links = (0..3)
                .map(|n| (n, LinkConfig::default()))
                .collect::<BTreeMap<_, _>>();
            names
                .iter()
                .map(|n| {
                    (
                        n.to_string(),
                        PeerConfig {
                            links: links.clone(),
                            ..Default::default()
                        },
                    )
                })
                .collect()
        };
        let interface = |names: &[&str]| InterfaceConfig {
            peers: peers(names),
            locals: (0..12).map(|n| (n, Local::default())).collect(),
            ..Default::default()
        };
        let interfaces = [
            ("a".into(), interface(&["ams1", "ams2", "fra1"])),
            ("b".into(), interface(&["ams1"])),
        ];
        Config {
            interfaces: interfaces.into(),
            ..Default::default()
        }
    }

    #[test]
    fn names_begin_with_what_was_typed() {
        let complete = |source: Source, prefix: &str, limit| complete(&config(), &source, prefix, limit);
        let peers = |interface: Option<&str>| Source::Peers {
            interface: interface.map(Into::into),
        };
        assert_eq!(complete(peers(None), "am", 10), ["ams1", "ams2"]);
        assert_eq!(complete(peers(Some("b")), "", 10), ["ams1"]);
        assert_eq!(complete(peers(None), "", 1), ["ams1"]);
        assert_eq!(complete(Source::Interfaces, "", 10), ["a", "b"]);
        let links = Source::Links {
            interface: None,
            peer: "ams1".into(),
        };
        assert_eq!(complete(links, "", 10), ["0", "1", "2"]);
        let locals = complete(
            Source::Locals {
                interface: "b".into(),
            },
            "",
            20,
        );
        assert_eq!((locals[2].as_str(), locals[10].as_str()), ("2", "10"));
    }

    #[test]
    fn names_for_all_hosts_are_those_that_are_written() {
        let config = libknet::api::load::load(
            b"\
interface k
 mesh rhine
  member ams1 public-key 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
  member bas1 public-key iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=
host fra1
 hostname f
",
        );
        assert_eq!(config.errors().next(), None);
        let config = config.config;
        let interface = || "k".to_owned();
        let mesh = |name: &str| Source::Members {
            interface: interface(),
            mesh: name.to_owned(),
        };
        let complete = |source: &Source, prefix| {
            assert!(are_written(source));
            complete(&config, source, prefix, 10)
        };
        assert_eq!(
            complete(
                &Source::Meshes {
                    interface: interface()
                },
                ""
            ),
            ["rhine"]
        );
        assert_eq!(complete(&mesh("rhine"), "b"), ["bas1"]);
        assert!(complete(&mesh("elbe"), "").is_empty());
        assert_eq!(complete(&Source::Hosts, ""), ["ams1", "bas1", "fra1"]);
    }

    #[test]
    fn names_that_fit_several_peers_are_refused() {
        let config = config();
        assert_eq!(peer(&config, None, "fra1").unwrap().0, "a");
        assert_eq!(peer(&config, Some("b"), "ams1").unwrap().0, "b");
        assert_eq!(
            peer(&config, None, "ams1").unwrap_err().code,
            ErrorCode::Ambiguous
        );
        let error = peer(&config, Some("b"), "fra1").unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert_eq!(
            peer(&config, Some("c"), "fra1").unwrap_err().hint.unwrap(),
            "there is a, b"
        );
    }
}
