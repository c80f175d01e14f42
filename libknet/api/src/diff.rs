//! What must be done to turn one configuration into another.

use crate::{
    edit::{Context, Op},
    grammar::schema::{Kind, Mode, Row, object_row, rows_in},
    model::Config,
    render::{children, object_values},
    value::Value,
};

/// The operations that turn `from` into `to`. What is the same in both is not named in them.
pub fn diff(from: &Config, to: &Config) -> Vec<Op> {
    let mut ops = Vec::new();
    compare(from, to, &Context::Global, &mut ops);
    ops
}

fn compare(from: &Config, to: &Config, context: &Context, ops: &mut Vec<Op>) {
    let (Some(old), Some(new)) = (from.object(context), to.object(context)) else {
        return;
    };
    if old == new {
        return;
    }
    for row in rows_in(Mode::of(context)) {
        if let Kind::Leaf(leaf, access) = &row.kind {
            let (before, after) = (access.get(old), access.get(new));
            compare_lines(row, &before, after, |op| {
                ops.push(match op {
                    Change::Set(values) => Op::Set(context.clone(), *leaf, values),
                    Change::Unset(values) => Op::Unset(context.clone(), *leaf, values),
                });
            });
        }
    }
    let (before, after) = (children(context, old), children(context, new));
    ops.extend(
        before
            .into_iter()
            .filter(|child| to.object(child).is_none())
            .map(Op::Delete),
    );
    for child in after {
        let known = from.object(&child).is_some();
        if !known {
            ops.push(Op::Create(child.clone()));
        }
        // Settings in the line that begins the object.
        if let Some(row) = object_row(Mode::of(&child))
            && let Some((leaf, _)) = row.setting()
        {
            let values = |config: &Config| config.object(&child).map(|o| object_values(row, &child, o));
            let wanted = values(to).unwrap_or_default();
            if values(from).as_ref() != Some(&wanted) {
                ops.push(Op::Set(child.clone(), leaf, wanted));
            }
        }
        if known {
            compare(from, to, &child, ops);
        } else {
            fill(to, &child, ops);
        }
    }
}

/// All that is configured in a new object.
fn fill(to: &Config, context: &Context, ops: &mut Vec<Op>) {
    let mut blank = Config::default();
    let mut ancestors: Vec<Context> = std::iter::successors(Some(context.clone()), Context::parent).collect();
    ancestors.reverse();
    let made = ancestors
        .into_iter()
        .all(|ancestor| blank.apply(&Op::Create(ancestor)).is_ok());
    if made {
        compare(&blank, to, context, ops);
    }
}

enum Change {
    Set(Vec<Value>),
    Unset(Vec<Value>),
}

fn compare_lines(row: &Row, before: &[Vec<Value>], after: Vec<Vec<Value>>, mut emit: impl FnMut(Change)) {
    if before == after.as_slice() {
        return;
    }
    if !row.multi {
        match after.into_iter().next() {
            Some(values) => emit(Change::Set(values)),
            None => emit(Change::Unset(Vec::new())),
        }
        return;
    }
    let key = |values: &[Value]| values[..keys(row).min(values.len())].to_vec();
    let kept: Vec<&Vec<Value>> = before
        .iter()
        .filter(|v| after.iter().any(|a| key(a) == key(v)))
        .collect();
    // What is added comes last; where that is not the wanted order, all lines are made anew.
    let in_order = kept.iter().zip(&after).all(|(k, a)| key(k) == key(a));
    if !in_order {
        emit(Change::Unset(Vec::new()));
        for values in after {
            emit(Change::Set(values));
        }
        return;
    }
    for gone in before.iter().filter(|v| after.iter().all(|a| key(a) != key(v))) {
        emit(Change::Unset(key(gone)));
    }
    for values in after {
        if !before.contains(&values) {
            emit(Change::Set(values));
        }
    }
}

/// How many arguments tell one line of a setting from another: those of the key, or all.
pub(crate) fn keys(row: &Row) -> usize {
    match row.key.matches('<').count() {
        0 => usize::MAX,
        count => count,
    }
}
