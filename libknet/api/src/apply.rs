//! Applies operations to a configuration, whole or not at all.

use std::collections::btree_map::Entry;

use crate::{
    edit::{Context, Leaf, Op, Place},
    grammar::{
        access::{Object, ObjectMut},
        line_of,
        schema::{self, Mode, Row},
        spelling::names_instead,
    },
    model::{Config, PeerConfig},
    problem::{Problem, Severity},
    value::Value,
};

/// A configuration after a change.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The configuration.
    pub config: Config,
    /// What is incomplete in the objects that were named.
    pub notes: Vec<Problem>,
}

impl Config {
    /// This configuration with `ops` applied, if all of them can be and the result makes sense. There must be nothing
    /// wrong with it now: only what is changed is looked at.
    pub fn edited(&self, ops: &[Op]) -> Result<Edited, Vec<Problem>> {
        let (config, problems) = self.with_all(ops, true).map_err(|problem| vec![*problem])?;
        let (errors, notes): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|p| p.severity == Severity::Error);
        if errors.is_empty() {
            let notes = of_objects(ops, notes);
            Ok(Edited { config, notes })
        } else {
            Err(errors)
        }
    }

    /// This configuration with `ops` applied, if all of them can be, whether the result makes sense or not: what makes
    /// none yet is told among the notes.
    pub fn drafted(&self, ops: &[Op]) -> Result<Edited, Box<Problem>> {
        let (config, problems) = self.with_all(ops, false)?;
        let notes = of_objects(ops, problems);
        Ok(Edited { config, notes })
    }

    fn with_all(&self, ops: &[Op], sound: bool) -> Result<(Self, Vec<Problem>), Box<Problem>> {
        let mut config = self.clone();
        for op in ops {
            config.apply(op)?;
        }
        let problems = config.validate_change(self, ops, sound);
        Ok((config, problems))
    }

    /// Applies one operation, without looking at rules between fields. After an error nothing was changed.
    pub fn apply(&mut self, op: &Op) -> Result<(), Box<Problem>> {
        if let (Some(host), inner) = op.context().without_host() {
            return self.apply_on_host(op, host, &inner);
        }
        match op {
            Op::Create(context) => self.create(context),
            Op::Require(context) => self
                .object(context)
                .map(|_| ())
                .ok_or_else(|| self.missing(context)),
            Op::Delete(context) => self.delete(context),
            Op::Set(context, leaf, values) => {
                let row = schema::row_of(Mode::of(context), *leaf).ok_or_else(|| misfit(op))?;
                // From the socket anything can come: only what could be typed is taken.
                line_of(row, values).ok_or_else(|| misfit(op))?;
                if self.object(context).is_none() {
                    return Err(self.missing(context));
                }
                let object = self.object_mut(context).ok_or_else(|| misfit(op))?;
                let (_, access) = row.setting().ok_or_else(|| misfit(op))?;
                if access.set(object, values) {
                    Ok(())
                } else {
                    Err(misfit(op))
                }
            }
            Op::Unset(context, leaf, values) => {
                let row = schema::row_of(Mode::of(context), *leaf).ok_or_else(|| misfit(op))?;
                if self.object(context).is_none() {
                    return Err(self.missing(context));
                }
                let object = self.object_mut(context).ok_or_else(|| misfit(op))?;
                let (_, access) = row.setting().ok_or_else(|| misfit(op))?;
                if access.clear(object, values) {
                    Ok(())
                } else {
                    Err(not_there(op, row, values))
                }
            }
        }
    }

    /// The object of `context`, if it is there.
    pub fn object(&self, context: &Context) -> Option<Object<'_>> {
        Some(match context {
            Context::Global => Object::Global(self),
            Context::Interface { interface } => Object::Interface(self.interfaces.get(interface)?),
            Context::Peer { interface, peer } => {
                Object::Peer(self.interfaces.get(interface)?.peers.get(peer)?)
            }
            Context::Link {
                interface,
                peer,
                link,
            } => Object::Link(self.interfaces.get(interface)?.peers.get(peer)?.links.get(link)?),
            Context::Mesh { interface, mesh } => {
                Object::Mesh(self.interfaces.get(interface)?.meshes.get(mesh)?)
            }
            Context::Member {
                interface,
                mesh,
                member,
            } => Object::Member(
                self.interfaces
                    .get(interface)?
                    .meshes
                    .get(mesh)?
                    .members
                    .get(member)?,
            ),
            Context::Group { interface, group } => {
                Object::Group(self.interfaces.get(interface)?.groups.get(group)?)
            }
            // Not an object of the model but lines about one.
            Context::Host { .. } => return None,
        })
    }

    fn object_mut(&mut self, context: &Context) -> Option<ObjectMut<'_>> {
        Some(match context {
            Context::Global => ObjectMut::Global(self),
            Context::Interface { interface } => ObjectMut::Interface(self.interfaces.get_mut(interface)?),
            Context::Peer { interface, peer } => {
                ObjectMut::Peer(self.interfaces.get_mut(interface)?.peers.get_mut(peer)?)
            }
            Context::Link {
                interface,
                peer,
                link,
            } => ObjectMut::Link(
                self.interfaces
                    .get_mut(interface)?
                    .peers
                    .get_mut(peer)?
                    .links
                    .get_mut(link)?,
            ),
            Context::Mesh { interface, mesh } => {
                ObjectMut::Mesh(self.interfaces.get_mut(interface)?.meshes.get_mut(mesh)?)
            }
            Context::Member {
                interface,
                mesh,
                member,
            } => ObjectMut::Member(
                self.interfaces
                    .get_mut(interface)?
                    .meshes
                    .get_mut(mesh)?
                    .members
                    .get_mut(member)?,
            ),
            Context::Group { interface, group } => {
                ObjectMut::Group(self.interfaces.get_mut(interface)?.groups.get_mut(group)?)
            }
            Context::Host { .. } => return None,
        })
    }

    fn create(&mut self, context: &Context) -> Result<(), Box<Problem>> {
        check_name(context)?;
        let Some(parent) = context.parent() else {
            return Ok(());
        };
        if self.object(&parent).is_none() {
            return Err(self.missing(&parent));
        }
        let object = self
            .object_mut(&parent)
            .ok_or_else(|| misfit(&Op::Create(context.clone())))?;
        match (object, context) {
            (ObjectMut::Global(config), Context::Interface { interface }) => {
                vacant(config.interfaces.entry(interface.clone()));
            }
            (ObjectMut::Interface(holder), Context::Peer { peer, .. }) => {
                holder.peers.get_or_insert_with(peer, PeerConfig::default);
            }
            (ObjectMut::Peer(holder), Context::Link { link, .. }) => {
                vacant(holder.links.entry(*link));
            }
            (ObjectMut::Interface(holder), Context::Mesh { mesh, .. }) => {
                vacant(holder.meshes.entry(mesh.clone()));
            }
            (ObjectMut::Interface(holder), Context::Group { group, .. }) => {
                vacant(holder.groups.entry(group.clone()));
            }
            (ObjectMut::Mesh(holder), Context::Member { member, .. }) => {
                vacant(holder.members.entry(member.clone()));
            }
            _ => {}
        }
        Ok(())
    }

    fn delete(&mut self, context: &Context) -> Result<(), Box<Problem>> {
        let removed = match (
            context.parent().and_then(|parent| self.object_mut(&parent)),
            context,
        ) {
            (Some(ObjectMut::Global(config)), Context::Interface { interface }) => {
                config.interfaces.remove(interface).is_some()
            }
            (Some(ObjectMut::Interface(holder)), Context::Peer { peer, .. }) => {
                holder.peers.remove(peer).is_some()
            }
            (Some(ObjectMut::Peer(holder)), Context::Link { link, .. }) => {
                holder.links.remove(link).is_some()
            }
            (Some(ObjectMut::Interface(holder)), Context::Mesh { mesh, .. }) => {
                holder.meshes.remove(mesh).is_some()
            }
            (Some(ObjectMut::Interface(holder)), Context::Group { group, .. }) => {
                holder.groups.remove(group).is_some()
            }
            (Some(ObjectMut::Mesh(holder)), Context::Member { member, .. }) => {
                holder.members.remove(member).is_some()
            }
            _ => false,
        };
        if removed {
            Ok(())
        } else {
            Err(self.missing(context))
        }
    }

    /// The same for an operation on the lines of `host`.
    fn apply_on_host(&mut self, op: &Op, host: &str, inner: &Context) -> Result<(), Box<Problem>> {
        let context = op.context();
        let row = |leaf: Leaf| schema::row_of(Mode::of(context), leaf).ok_or_else(|| misfit(op));
        match op {
            Op::Create(_) if *inner == Context::Global => {
                check_name(context)?;
                vacant(self.hosts.entry(host.to_owned()));
                return Ok(());
            }
            Op::Delete(_) if *inner == Context::Global => {
                return match self.hosts.remove(host) {
                    Some(_) => Ok(()),
                    None => Err(self.missing(context)),
                };
            }
            Op::Set(_, leaf, values) => drop(line_of(row(*leaf)?, values).ok_or_else(|| misfit(op))?),
            Op::Create(_) | Op::Require(_) => check_name(context)?,
            Op::Delete(_) | Op::Unset(..) => {}
        }
        let Some(lines) = self.hosts.get_mut(host) else {
            return Err(self.missing(context));
        };
        let done = match op {
            Op::Create(_) | Op::Require(_) => lines.create(inner),
            Op::Delete(_) => lines.delete(inner),
            // What one line refines need not be named by a line of its own.
            Op::Set(_, leaf, values) => lines.create(inner) && lines.set(inner, *leaf, values),
            Op::Unset(_, leaf, values) => {
                if lines.settings(inner).is_some() && !lines.unset(inner, *leaf, values) {
                    return Err(not_there(op, row(*leaf)?, values));
                }
                lines.settings(inner).is_some()
            }
        };
        if done { Ok(()) } else { Err(self.missing(context)) }
    }

    /// `context` is not there: the outermost object on the way to it that is not, and what there is instead.
    fn missing(&self, context: &Context) -> Box<Problem> {
        if let Some(parent) = context.parent()
            && !matches!(parent, Context::Host { .. })
            && self.object(&parent).is_none()
        {
            return self.missing(&parent);
        }
        let one_of = |names: Option<String>| names.map(|names| format!("one of {names}"));
        let (text, expected) = match context {
            Context::Global => ("there is no configuration".to_owned(), None),
            Context::Interface { interface } => (
                format!("there is no interface {interface}"),
                one_of(names_instead(
                    interface,
                    self.interfaces.keys().map(String::as_str),
                )),
            ),
            Context::Peer { interface, peer } => (
                format!("there is no peer {peer} of interface {interface}"),
                self.interfaces
                    .get(interface)
                    .and_then(|holder| one_of(names_instead(peer, holder.peers.keys().map(String::as_str)))),
            ),
            Context::Link {
                interface,
                peer,
                link,
            } => (
                format!("there is no link {link} to peer {peer} of interface {interface}"),
                Some("`link N [local N] remote ADDRESS port PORT` or `link N remote dynamic`".to_owned()),
            ),
            Context::Mesh { interface, mesh } => (
                format!("there is no mesh {mesh} of interface {interface}"),
                self.interfaces
                    .get(interface)
                    .and_then(|holder| one_of(names_instead(mesh, holder.meshes.keys().map(String::as_str)))),
            ),
            Context::Group { interface, group } => (
                format!("there is no group {group} of interface {interface}"),
                self.interfaces.get(interface).and_then(|holder| {
                    one_of(names_instead(group, holder.groups.keys().map(String::as_str)))
                }),
            ),
            Context::Member {
                interface,
                mesh,
                member,
            } => {
                let mesh_there = self
                    .interfaces
                    .get(interface)
                    .and_then(|holder| holder.meshes.get(mesh));
                let names = mesh_there.map(|mesh| mesh.members.keys().map(String::as_str));
                (
                    format!("there is no member {member} of mesh {mesh}"),
                    names
                        .and_then(|names| one_of(names_instead(member, names)))
                        .or_else(|| Some("`member NAME public-key KEY`".to_owned())),
                )
            }
            Context::Host { host, .. } if !self.hosts.contains_key(host) => (
                format!("there is no host {host}"),
                one_of(names_instead(host, self.hosts.keys().map(String::as_str))),
            ),
            Context::Host { .. } => (format!("there are no lines of {context}"), None),
        };
        problem(Place::object(context.clone()), text, expected)
    }
}

/// The problems of the objects that `ops` name.
fn of_objects(ops: &[Op], mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.retain(|problem| {
        problem
            .place
            .as_ref()
            .is_some_and(|p| ops.iter().any(|op| *op.context() == p.context))
    });
    problems
}

fn vacant<K: Ord, V: Default>(entry: Entry<'_, K, V>) {
    entry.or_default();
}

/// Whether the name of the object could have been typed.
fn check_name(context: &Context) -> Result<(), Box<Problem>> {
    let mut around = Some(context.clone());
    while let Some(object) = around {
        // Among the lines of one host the name of the host is part of each object.
        let named = key_of(&object).is_none_or(|(mode, key)| {
            schema::object_row(mode)
                .and_then(|row| crate::grammar::types::lookup(row.key.split_once('<')?.1.strip_suffix('>')?))
                .is_some_and(|name| name.admits(&key))
        });
        if !named {
            return Err(misfit(&Op::Create(context.clone())));
        }
        around = object.parent().filter(|_| matches!(object, Context::Host { .. }));
    }
    Ok(())
}

/// The mode of the object's own lines, and the value that names it.
fn key_of(context: &Context) -> Option<(Mode, Value)> {
    let (host, inner) = context.without_host();
    Some(match inner {
        Context::Global => (Mode::Host, Value::Word(host?.to_owned())),
        Context::Interface { interface } => (Mode::Interface, Value::Word(interface)),
        Context::Peer { peer, .. } => (Mode::Peer, Value::Word(peer)),
        Context::Link { link, .. } => (Mode::Link, Value::Number(u32::from(link))),
        Context::Mesh { mesh, .. } => (Mode::Mesh, Value::Word(mesh)),
        Context::Member { member, .. } => (Mode::Member, Value::Word(member)),
        Context::Group { group, .. } => (Mode::Group, Value::Word(group)),
        Context::Host { .. } => return None,
    })
}

impl Op {
    /// The object that it is about.
    pub const fn context(&self) -> &Context {
        match self {
            Self::Create(context)
            | Self::Require(context)
            | Self::Delete(context)
            | Self::Set(context, ..)
            | Self::Unset(context, ..) => context,
        }
    }
}

fn problem(place: Place, text: String, expected: Option<String>) -> Box<Problem> {
    let (severity, place) = (Severity::Error, Some(place));
    Box::new(Problem {
        severity,
        place,
        span: None,
        text,
        expected,
    })
}

fn not_there(op: &Op, row: &Row, values: &[Value]) -> Box<Problem> {
    let texts: Vec<String> = values.iter().map(crate::grammar::types::text_of).collect();
    let words = row.key.split('<').next().unwrap_or_default().trim();
    let context = op.context().clone();
    problem(
        Place::object(context),
        format!("`{words} {}` is not configured", texts.join(" ").trim_end()),
        None,
    )
}

/// The operation could not have come from a line of the grammar.
fn misfit(op: &Op) -> Box<Problem> {
    let kind = match Mode::of(op.context()) {
        Mode::Exec | Mode::Global | Mode::Host => "global setting",
        Mode::Interface => "interface setting",
        Mode::Peer => "peer setting",
        Mode::Link => "link setting",
        Mode::Mesh => "mesh setting",
        Mode::Member => "member setting",
        Mode::Group => "group setting",
    };
    let expected = Some("what the configuration's grammar allows".to_owned());
    problem(
        Place::object(op.context().clone()),
        format!("a {kind} that cannot be"),
        expected,
    )
}
