//! From the words of a line to what it does.

use std::ops::Range;

use super::{
    arena::{ARENA, Prefix, Sentence, Token},
    climb::{Fit, climb},
    commands::{Arguments, Command},
    elsewhere,
    error::{ErrorKind, SyntaxError},
    explain::Unread,
    lexer::{self, Word},
    matcher::{Reading, Step, Walk, prefix_of},
    schema::{Kind, Mode, Row},
};
use crate::{
    edit::{Context, Leaf, Op, Place},
    value::Value,
};

/// What a line means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Nothing: it is empty or a comment.
    Nothing,
    /// A change of the configuration.
    Edit(Edit),
    /// A command.
    Command(Command),
}

/// A change of the configuration, as one line says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What to do.
    pub ops: Vec<Op>,
    /// Where the shell stands afterwards, where that is not where it stood.
    pub enter: Option<Context>,
    /// Where the words of the line stand in it, in bytes.
    pub words: Words,
}

/// Where the words of a configuration line stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    leaf: Option<Leaf>,
    first: Range<usize>,
    arguments: Vec<(u8, Range<usize>)>,
}

impl Edit {
    /// The object that the line begins, where it is one that begins an object.
    pub fn begins(&self) -> Option<&Context> {
        match self.ops.first() {
            Some(Op::Create(object) | Op::Require(object)) => Some(object),
            _ => None,
        }
    }
}

impl Words {
    /// The part of the line that `place` is about, in bytes.
    pub fn span(&self, place: Option<&Place>) -> Range<usize> {
        // Of an object as a whole, its name.
        let argument = place.and_then(|place| match place.leaf {
            None => Some(place.argument.unwrap_or(0)),
            leaf if leaf == self.leaf => place.argument,
            Some(_) => None,
        });
        self.arguments
            .iter()
            .find(|(index, _)| Some(*index) == argument)
            .map_or(self.first.clone(), |(_, span)| span.clone())
    }
}

/// Reads a line that is typed in `context`, or outside the configuration (`None`).
///
/// What cannot be read in the object at hand is tried in the objects around it, and at last as a command; and so is what
/// could only be an abbreviation there.
pub fn parse(context: Option<&Context>, line: &str) -> Result<Line, SyntaxError> {
    read(context, line, |unread, words| {
        elsewhere::explain(unread.error(), words)
    })
}

/// The same for who tells nobody what is wrong with a line.
pub(crate) fn parse_untold(context: Option<&Context>, line: &str) -> Result<Line, ErrorKind> {
    read(context, line, |unread, _| unread.kind())
}

fn read<E>(
    context: Option<&Context>,
    line: &str,
    refuse: impl Fn(Unread<'_, '_>, &[Word]) -> E,
) -> Result<Line, E> {
    if lexer::is_comment(line) {
        return Ok(Line::Nothing);
    }
    let (words, broken) =
        lexer::words(line).map_err(|error| refuse(SyntaxError::lexical(&error).into(), &[]))?;
    let fit = |walk: &Walk<'_>| Fit::of_words(walk, &words);
    let read = climb(context, line, &words, broken.as_ref(), fit)
        .and_then(|(here, walk)| Ok((here, walk.finish(&words)?)));
    let (here, reading) = read.map_err(|unread| refuse(unread, &words))?;
    let mut line = bind(here.as_ref(), &reading);
    // A line of an outer object takes the shell there.
    if let Line::Edit(edit) = &mut line
        && edit.enter.is_none()
        && here.as_ref() != context
    {
        edit.enter = here;
    }
    Ok(line)
}

/// The arguments of a command with where they stand in the line; none where the line is no command.
pub fn arguments(context: Option<&Context>, line: &str) -> Vec<(Value, Range<usize>)> {
    let Ok((words, None)) = lexer::words(line) else {
        return Vec::new();
    };
    let fit = |walk: &Walk<'_>| Fit::of_words(walk, &words);
    let reading = climb(context, line, &words, None, fit)
        .ok()
        .and_then(|(_, walk)| walk.finish(&words).ok());
    reading
        .unwrap_or_default()
        .into_iter()
        .filter_map(|step| Some((step.value?, step.span)))
        .collect()
}

fn bind(context: Option<&Context>, reading: &Reading) -> Line {
    let prefix = prefix_of(reading);
    let steps = if prefix.is_some() {
        &reading[1..]
    } else {
        &reading[..]
    };
    let Some(last) = steps.last() else {
        return Line::Nothing;
    };
    match ARENA.nodes[last.node].sentence {
        Sentence::Command(def) => {
            let mut arguments = Arguments {
                keywords: Vec::new(),
                values: vec![Value::Absent; ARENA.argument_count(def)],
            };
            for step in steps {
                match (ARENA.nodes[step.node].token, &step.value) {
                    (
                        Token::Keyword {
                            argument: Some(index),
                            ..
                        }
                        | Token::Argument { index, .. },
                        Some(value),
                    ) => {
                        if let Some(slot) = arguments.values.get_mut(index) {
                            slot.clone_from(value);
                        }
                    }
                    (Token::Keyword { word, .. }, _) => arguments.keywords.push(word),
                    (Token::Argument { .. }, None) => {}
                }
            }
            Line::Command((def.bind)(&arguments))
        }
        Sentence::Row(row) => Line::Edit(bind_edit(context, row, steps, prefix)),
        Sentence::Prefix(_) => Line::Nothing,
    }
}

fn bind_edit(context: Option<&Context>, row: &'static Row, steps: &[Step], prefix: Option<Prefix>) -> Edit {
    let mut holder = context.cloned().unwrap_or_default();
    let mut values: Vec<Value> = Vec::new();
    let mut words = Words {
        leaf: row.setting().map(|(leaf, _)| leaf),
        ..Words::default()
    };
    let mut object = None;
    let mut current: Option<&Row> = None;
    for step in steps {
        let node = &ARENA.nodes[step.node];
        let Sentence::Row(of) = node.sentence else {
            continue;
        };
        // A new sentence begins where the one before has named its object.
        if current.is_none_or(|current| !std::ptr::eq(current, of)) {
            holder = object.take().unwrap_or(holder);
            values = vec![Value::Absent; ARENA.pattern(of).map_or(0, |p| p.arguments().len())];
            words.first = step.span.clone();
            words.arguments.clear();
            current = Some(of);
        }
        if let (
            Token::Keyword {
                argument: Some(index),
                ..
            }
            | Token::Argument { index, .. },
            Some(value),
        ) = (node.token, &step.value)
        {
            if let Some(slot) = values.get_mut(index) {
                slot.clone_from(value);
            }
            words.arguments.push((index as u8, step.span.clone()));
        }
        if let Some(mode) = node.opens {
            object = child(&holder, mode, values.first());
        }
    }
    let removes = matches!(prefix, Some(Prefix::No | Prefix::Default));
    let only_named = steps
        .last()
        .is_some_and(|step| ARENA.nodes[step.node].opens.is_some());
    let (ops, enter) = match (&row.kind, object) {
        (Kind::Leaf(leaf, _), _) if removes => {
            while values.last() == Some(&Value::Absent) {
                values.pop();
            }
            (vec![Op::Unset(holder, *leaf, values)], None)
        }
        (Kind::Leaf(leaf, _), _) => (vec![Op::Set(holder, *leaf, values)], None),
        (Kind::Object(..), Some(object)) if removes => (vec![Op::Delete(object)], None),
        // A new object of this kind needs more than a name, so this one must be there.
        (Kind::Object(_, Some(_)), Some(object)) if only_named => {
            (vec![Op::Require(object.clone())], Some(object))
        }
        (Kind::Object(_, Some((leaf, _))), Some(object)) => (
            vec![Op::Create(object.clone()), Op::Set(object.clone(), *leaf, values)],
            Some(object),
        ),
        (Kind::Object(_, None), Some(object)) => (vec![Op::Create(object.clone())], Some(object)),
        (Kind::Object(..), None) => (Vec::new(), None),
    };
    Edit { ops, enter, words }
}

/// The object in `holder` that lines of `mode` belong to.
fn child(holder: &Context, mode: Mode, name: Option<&Value>) -> Option<Context> {
    match (holder, mode, name?) {
        (Context::Host { host, .. }, mode, name) => {
            let inner = child(&holder.without_host().1, mode, Some(name))?;
            Context::on_host(host, inner)
        }
        (Context::Global, Mode::Host, Value::Word(host)) => Context::on_host(host, Context::Global),
        (Context::Interface { interface }, Mode::Mesh, Value::Word(name)) => Some(Context::Mesh {
            interface: interface.clone(),
            mesh: name.clone(),
        }),
        (Context::Interface { interface }, Mode::Group, Value::Word(name)) => Some(Context::Group {
            interface: interface.clone(),
            group: name.clone(),
        }),
        (Context::Mesh { interface, mesh }, Mode::Member, Value::Word(name)) => Some(Context::Member {
            interface: interface.clone(),
            mesh: mesh.clone(),
            member: name.clone(),
        }),
        (Context::Global, Mode::Interface, Value::Word(name)) => Some(Context::Interface {
            interface: name.clone(),
        }),
        (Context::Interface { interface }, Mode::Peer, Value::Word(name)) => Some(Context::Peer {
            interface: interface.clone(),
            peer: name.clone(),
        }),
        (Context::Peer { interface, peer }, Mode::Link, Value::Number(link)) => {
            let (interface, peer) = (interface.clone(), peer.clone());
            Some(Context::Link {
                interface,
                peer,
                link: u8::try_from(*link).ok()?,
            })
        }
        _ => None,
    }
}
