//! The configuration as text: what `show running-config` prints and the configuration file holds.

use crate::{
    edit::Context,
    grammar::{
        access::Object,
        lexer::quote,
        line_of,
        schema::{self, Kind, Mode, Row, rows_in},
        types::text_of,
    },
    model::{Config, HostLines},
    value::Value,
};

/// The text of `config`. With `all`, settings that are at their default are there, too.
pub fn render(config: &Config, all: bool) -> String {
    let mut text = String::new();
    let mut emit = |depth: usize, line: &str| {
        text.extend(std::iter::repeat_n(' ', depth));
        text.push_str(line);
        text.push('\n');
    };
    Writer {
        config,
        all,
        emit: &mut emit,
    }
    .object(&Context::Global, 0);
    text
}

/// Hands the line that begins the object of `context` to `emit`, and all lines in it, each with its depth.
pub(crate) fn object_lines(
    config: &Config,
    context: &Context,
    depth: usize,
    emit: &mut dyn FnMut(usize, &str),
) {
    let line = schema::object_row(Mode::of(context))
        .zip(Contents::of(config, context))
        .and_then(|(row, contents)| contents.first_line(row, context));
    if let Some(line) = line {
        emit(depth, &line);
        let all = false;
        Writer { config, all, emit }.object(context, depth + 1);
    }
}

struct Writer<'a> {
    config: &'a Config,
    all: bool,
    emit: &'a mut dyn FnMut(usize, &str),
}

impl Writer<'_> {
    /// Whether what is not said in the object is not at its default, but as a group says.
    fn in_group(&self, context: &Context) -> bool {
        let (Context::Peer { interface, peer } | Context::Link { interface, peer, .. }) = context else {
            return false;
        };
        let peer = self
            .config
            .interfaces
            .get(interface)
            .and_then(|i| i.peers.get(peer));
        peer.is_some_and(|peer| peer.group.is_some())
    }

    fn object(&mut self, context: &Context, depth: usize) {
        let Some(contents) = Contents::of(self.config, context) else {
            return;
        };
        for row in rows_in(Mode::of(context).rows()) {
            let Kind::Object(opens, _) = row.kind else {
                for line in contents.lines(context, row, self.all && !self.in_group(context)) {
                    (self.emit)(depth, &line);
                }
                continue;
            };
            // A comment sets large objects apart.
            let apart = matches!(contents, Contents::Whole(_)) && opens.is_large();
            for child in contents.children(context, opens) {
                let line = Contents::of(self.config, &child).and_then(|c| c.first_line(row, &child));
                if let Some(line) = line {
                    if apart {
                        (self.emit)(depth, "!");
                    }
                    (self.emit)(depth, &line);
                    self.object(&child, depth + 1);
                }
            }
        }
    }
}

/// What stands in an object.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Contents<'a> {
    /// All that is configured of it, for all hosts.
    Whole(Object<'a>),
    /// What the lines of one host say about it.
    OnHost(&'a HostLines),
}

impl<'a> Contents<'a> {
    /// Of the object of `context`, if it is there.
    pub(crate) fn of(config: &'a Config, context: &Context) -> Option<Self> {
        let Context::Host { host, .. } = context else {
            return config.object(context).map(Self::Whole);
        };
        let lines = config.hosts.get(host)?;
        lines.settings(&context.without_host().1)?;
        Some(Self::OnHost(lines))
    }

    /// The lines of a setting in the object of `context`; without `all` only those that differ from the default.
    pub(crate) fn lines(self, context: &Context, row: &'static Row, all: bool) -> Vec<String> {
        match self {
            Self::Whole(object) => setting_lines(row, object, all),
            Self::OnHost(lines) => row
                .setting()
                .and_then(|(leaf, _)| lines.settings(&context.without_host().1)?.get(&leaf))
                .into_iter()
                .flatten()
                .filter_map(|values| line_of(row, values))
                .collect(),
        }
    }

    /// The objects of mode `opens` directly in the object of `context`.
    pub(crate) fn children(self, context: &Context, opens: Mode) -> Vec<Context> {
        match self {
            Self::Whole(Object::Global(config)) if opens == Mode::Host => config
                .hosts
                .keys()
                .filter_map(|host| Context::on_host(host, Context::Global))
                .collect(),
            Self::Whole(object) => {
                let mut all = children(context, object);
                all.retain(|child| Mode::of(child) == opens);
                all
            }
            Self::OnHost(lines) => {
                let (host, object) = context.without_host();
                lines
                    .children(&object)
                    .filter(|child| Mode::of(child) == opens)
                    .filter_map(|child| Context::on_host(host?, child.clone()))
                    .collect()
            }
        }
    }

    /// The line of `row` that begins the object of `context`.
    pub(crate) fn first_line(self, row: &'static Row, context: &Context) -> Option<String> {
        match self {
            Self::Whole(object) => object_line(row, context, object),
            Self::OnHost(lines) => {
                let (_, object) = context.without_host();
                let setting = row
                    .setting()
                    .and_then(|(leaf, _)| lines.settings(&object)?.get(&leaf)?.first());
                // Where the object is merely named, the rest of the line is that of all hosts.
                setting.and_then(|values| line_of(row, values)).or_else(|| {
                    let word = row.key.split(' ').next()?;
                    Some(format!("{word} {}", quote(&text_of(&name_of(context)))))
                })
            }
        }
    }
}

/// The lines of a setting; without `all` only those that differ from the default.
fn setting_lines(row: &'static Row, object: Object<'_>, all: bool) -> Vec<String> {
    let Some((_, access)) = row.setting() else {
        return Vec::new();
    };
    let lines = access.get(object);
    if !all && lines == access.unsaid() {
        return Vec::new();
    }
    // A flag has a line that says that it is off.
    if lines.is_empty() && row.tail.is_empty() && !row.multi {
        return vec![format!("no {}", row.key)];
    }
    let lines = if lines.is_empty() {
        access.defaults()
    } else {
        lines
    };
    lines.iter().filter_map(|values| line_of(row, values)).collect()
}

/// The line that begins an object.
fn object_line(row: &'static Row, context: &Context, object: Object<'_>) -> Option<String> {
    line_of(row, &object_values(row, context, object))
}

/// The arguments of the line that begins an object.
pub(crate) fn object_values(row: &'static Row, context: &Context, object: Object<'_>) -> Vec<Value> {
    let mut values = match row.setting() {
        Some((_, access)) => access.get(object).pop().unwrap_or_default(),
        None => vec![Value::Absent],
    };
    if let Some(first) = values.first_mut() {
        *first = name_of(context);
    }
    values
}

/// What tells the object from others of its kind.
fn name_of(context: &Context) -> Value {
    match context {
        Context::Global => Value::Absent,
        Context::Interface { interface } => Value::Word(interface.clone()),
        Context::Peer { peer, .. } => Value::Word(peer.clone()),
        Context::Link { link, .. } => Value::Number(u32::from(*link)),
        Context::Mesh { mesh, .. } => Value::Word(mesh.clone()),
        Context::Member { member, .. } => Value::Word(member.clone()),
        Context::Group { group, .. } => Value::Word(group.clone()),
        Context::Host { host, .. } => match context.without_host().1 {
            Context::Global => Value::Word(host.clone()),
            object => name_of(&object),
        },
    }
}

/// The objects directly in an object.
pub(crate) fn children(context: &Context, object: Object<'_>) -> Vec<Context> {
    match (object, context) {
        (Object::Global(config), _) => config
            .interfaces
            .keys()
            .map(|name| Context::Interface {
                interface: name.clone(),
            })
            .collect(),
        (Object::Interface(holder), Context::Interface { interface }) => {
            let peers = holder.peers.keys().map(|peer| Context::Peer {
                interface: interface.clone(),
                peer: peer.clone(),
            });
            let meshes = holder.meshes.keys().map(|mesh| Context::Mesh {
                interface: interface.clone(),
                mesh: mesh.clone(),
            });
            let groups = holder.groups.keys().map(|group| Context::Group {
                interface: interface.clone(),
                group: group.clone(),
            });
            // A group is there before its peers.
            groups.chain(peers).chain(meshes).collect()
        }
        (Object::Mesh(holder), Context::Mesh { interface, mesh }) => holder
            .members
            .keys()
            .map(|member| Context::Member {
                interface: interface.clone(),
                mesh: mesh.clone(),
                member: member.clone(),
            })
            .collect(),
        (Object::Peer(holder), Context::Peer { interface, peer }) => holder
            .links
            .keys()
            .map(|link| Context::Link {
                interface: interface.clone(),
                peer: peer.clone(),
                link: *link,
            })
            .collect(),
        _ => Vec::new(),
    }
}
