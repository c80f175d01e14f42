//! What Tab offers.

use std::ops::Range;

use super::{
    arena::{ARENA, Token},
    help::{Begun, read_begun},
    lexer,
    matcher::{Walk, begins_with},
    types::Live,
};
use crate::{edit::Context, message::Source, value::Value};

/// The words that can take the place of the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// What they replace, in bytes of the line.
    pub replace: Range<usize>,
    /// The words, sorted.
    pub candidates: Vec<String>,
}

/// The words that `line`, typed in `context`, can go on with. `live` is asked for the names that begin with a
/// prefix.
pub fn complete(
    context: Option<&Context>,
    line: &str,
    live: &mut dyn FnMut(Source, &str) -> Vec<String>,
) -> Completion {
    let (Ok(begun), Ok((words, _))) = (read_begun(context, line), lexer::words(line)) else {
        return Completion {
            replace: line.len()..line.len(),
            candidates: Vec::new(),
        };
    };
    let Begun { here, walk, partial } = begun;
    let start = match words.last() {
        Some(word) if !line.ends_with(char::is_whitespace) => word.span.start,
        _ => line.len(),
    };
    let mut candidates = Vec::new();
    let mut asked = Vec::new();
    for id in walk.next_nodes() {
        match ARENA.nodes[id].token {
            Token::Keyword { word, .. } if begins_with(word, &partial) => candidates.push(word.to_owned()),
            Token::Keyword { .. } => {}
            Token::Argument { of, .. } => {
                if let Some(source) = of.live.and_then(|live| source(here.as_ref(), &walk, live))
                    && !asked.contains(&source)
                {
                    candidates.extend(live(source.clone(), &partial));
                    asked.push(source);
                }
            }
        }
    }
    candidates.sort();
    candidates.dedup();
    Completion {
        replace: start..line.len(),
        candidates,
    }
}

/// What names fit: those of the object that the line has named so far, or else of the one that it is meant in.
fn source(here: Option<&Context>, walk: &Walk<'_>, live: Live) -> Option<Source> {
    let named = |wanted: Live| {
        walk.readings.iter().flatten().rev().find_map(|step| {
            match (ARENA.nodes[step.node].token, &step.value) {
                (Token::Argument { of, .. }, Some(Value::Word(name))) if of.live == Some(wanted) => {
                    Some(name.clone())
                }
                _ => None,
            }
        })
    };
    let inner = here.map(|here| here.without_host().1);
    let interface = named(Live::Interfaces).or_else(|| match inner.as_ref()? {
        Context::Global | Context::Host { .. } => None,
        Context::Interface { interface }
        | Context::Peer { interface, .. }
        | Context::Link { interface, .. }
        | Context::Mesh { interface, .. }
        | Context::Member { interface, .. }
        | Context::Group { interface, .. } => Some(interface.clone()),
    });
    Some(match live {
        Live::Interfaces => Source::Interfaces,
        Live::Peers => Source::Peers { interface },
        Live::Locals => Source::Locals {
            interface: interface?,
        },
        Live::Links => {
            let peer = named(Live::Peers).or_else(|| match inner.as_ref()? {
                Context::Peer { peer, .. } | Context::Link { peer, .. } => Some(peer.clone()),
                _ => None,
            })?;
            Source::Links { interface, peer }
        }
        Live::Meshes => Source::Meshes {
            interface: interface?,
        },
        Live::Members => {
            let mesh = named(Live::Meshes).or_else(|| match inner.as_ref()? {
                Context::Mesh { mesh, .. } | Context::Member { mesh, .. } => Some(mesh.clone()),
                _ => None,
            })?;
            Source::Members {
                interface: interface?,
                mesh,
            }
        }
        Live::Hosts => Source::Hosts,
        Live::Groups => Source::Groups { interface },
    })
}
