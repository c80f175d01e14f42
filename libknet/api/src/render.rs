//! The configuration as text: what `show running-config` prints and the configuration file holds.

use crate::{
    edit::{Context, Leaf},
    grammar::{
        access::Object,
        line_of,
        schema::{self, Kind, Mode, Row, rows_in},
    },
    model::Config,
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
        .zip(config.object(context))
        .and_then(|(row, object)| object_line(row, context, object));
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
    fn object(&mut self, context: &Context, depth: usize) {
        let Some(object) = self.config.object(context) else {
            return;
        };
        for row in rows_in(Mode::of(context)) {
            match row.kind {
                Kind::Leaf(..) => {
                    for line in setting_lines(row, object, self.all) {
                        (self.emit)(depth, &line);
                    }
                }
                Kind::Object(..) => {
                    for child in children(context, object) {
                        // A comment sets large objects apart.
                        if matches!(child, Context::Interface { .. } | Context::Peer { .. }) {
                            (self.emit)(depth, "!");
                        }
                        if let Some(line) = self
                            .config
                            .object(&child)
                            .and_then(|o| object_line(row, &child, o))
                        {
                            (self.emit)(depth, &line);
                            self.object(&child, depth + 1);
                        }
                    }
                }
            }
        }
    }
}

/// The lines of a setting; without `all` only those that differ from the default.
pub(crate) fn setting_lines(row: &'static Row, object: Object<'_>, all: bool) -> Vec<String> {
    let Some((_, access)) = row.setting() else {
        return Vec::new();
    };
    let lines = access.get(object);
    if lines.is_empty() {
        // Only a flag has a line that says that it is off.
        return if all && row.tail.is_empty() && !row.multi {
            vec![format!("no {}", row.key)]
        } else {
            Vec::new()
        };
    }
    if !all && lines == access.defaults() {
        return Vec::new();
    }
    lines.iter().filter_map(|values| line_of(row, values)).collect()
}

/// The line that begins an object.
pub(crate) fn object_line(row: &'static Row, context: &Context, object: Object<'_>) -> Option<String> {
    line_of(row, &object_values(row, context, object))
}

/// The arguments of the line that begins an object.
pub(crate) fn object_values(row: &'static Row, context: &Context, object: Object<'_>) -> Vec<Value> {
    let name = match context {
        Context::Global => Value::Absent,
        Context::Interface { interface } => Value::Word(interface.clone()),
        Context::Peer { peer, .. } => Value::Word(peer.clone()),
        Context::Link { link, .. } => Value::Number(u32::from(*link)),
    };
    let mut values = match row.setting() {
        Some((Leaf::Endpoint, access)) => access.get(object).pop().unwrap_or_default(),
        _ => vec![Value::Absent],
    };
    if let Some(first) = values.first_mut() {
        *first = name;
    }
    values
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
        (Object::Interface(holder), Context::Interface { interface }) => holder
            .peers
            .keys()
            .map(|peer| Context::Peer {
                interface: interface.clone(),
                peer: peer.clone(),
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
