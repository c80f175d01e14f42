//! Changes of two people to one configuration, brought together where they do not collide.

use crate::{
    diff::diff,
    edit::{Context, Leaf, Op},
    grammar::{
        line_of,
        schema::{self, Mode, Row},
    },
    model::Config,
    value::Value,
};

/// Two changes of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision {
    /// In which object.
    pub context: Context,
    /// What was to be changed, as a line.
    pub mine: String,
    /// What somebody else has changed, as a line.
    pub theirs: String,
}

/// What `theirs` is with the changes that led from `base` to `mine`. Fails where both have changed the same setting to
/// different values, or one has removed what the other has changed.
///
/// The result need not make sense: rules between settings are for who puts it in force.
pub fn rebase(base: &Config, mine: &Config, theirs: &Config) -> Result<Config, Vec<Collision>> {
    let (my_ops, their_ops) = (diff(base, mine), diff(base, theirs));
    let mut collisions = Vec::new();
    for my in &my_ops {
        let other = their_ops.iter().find(|their| collide(my, their));
        collisions.extend(other.map(|their| Collision {
            context: my.context().clone(),
            mine: line(my),
            theirs: line(their),
        }));
    }
    if !collisions.is_empty() {
        return Err(collisions);
    }
    let mut result = theirs.clone();
    for op in my_ops.iter().filter(|op| !their_ops.contains(op)) {
        if let Err(problem) = result.apply(op) {
            collisions.push(Collision {
                context: op.context().clone(),
                mine: line(op),
                theirs: problem.text,
            });
        }
    }
    if collisions.is_empty() {
        Ok(result)
    } else {
        Err(collisions)
    }
}

/// Whether the two cannot both be done, or not in any order.
fn collide(one: &Op, other: &Op) -> bool {
    if one == other {
        return false;
    }
    match (one, other) {
        (Op::Delete(gone), op) | (op, Op::Delete(gone)) => within(op.context(), gone),
        (Op::Set(context, leaf, a) | Op::Unset(context, leaf, a), Op::Set(c, l, b) | Op::Unset(c, l, b)) => {
            context == c && leaf == l && same_line(context, *leaf, a, b)
        }
        _ => false,
    }
}

fn within(context: &Context, outer: &Context) -> bool {
    std::iter::successors(Some(context.clone()), Context::parent).any(|c| c == *outer)
}

/// Whether these values name the same line of a setting. Without values all of its lines are meant.
fn same_line(context: &Context, leaf: Leaf, a: &[Value], b: &[Value]) -> bool {
    let Some(row) = schema::row_of(Mode::of(context), leaf).filter(|row| row.multi) else {
        return true;
    };
    let key = |values: &[Value]| values.iter().take(row.keys()).cloned().collect::<Vec<_>>();
    a.is_empty() || b.is_empty() || key(a) == key(b)
}

/// The operation as it would be typed in its object.
fn line(op: &Op) -> String {
    let setting = |context: &Context, leaf| schema::row_of(Mode::of(context), leaf);
    let words = |row: &Row| row.key.split('<').next().unwrap_or_default().trim().to_owned();
    match op {
        Op::Create(context) | Op::Require(context) => name(context),
        Op::Delete(context) => format!("no {}", name(context)),
        Op::Set(context, leaf, values) => setting(context, *leaf)
            .and_then(|row| line_of(row, values))
            .unwrap_or_else(|| name(context)),
        Op::Unset(context, leaf, values) => {
            let texts: Vec<String> = values.iter().map(crate::grammar::types::text_of).collect();
            let words = setting(context, *leaf).map_or_else(String::new, words);
            format!("no {words} {}", texts.join(" ")).trim_end().to_owned()
        }
    }
}

fn name(context: &Context) -> String {
    match context {
        Context::Global => "the configuration".to_owned(),
        Context::Interface { interface } => format!("interface {interface}"),
        Context::Peer { peer, .. } => format!("peer {peer}"),
        Context::Link { link, .. } => format!("link {link}"),
        Context::Mesh { mesh, .. } => format!("mesh {mesh}"),
        Context::Member { member, .. } => format!("member {member}"),
        Context::Group { group, .. } => format!("peer-group {group}"),
        Context::Host { host, .. } => match context.without_host().1 {
            Context::Global => format!("host {host}"),
            inner => name(&inner),
        },
    }
}
