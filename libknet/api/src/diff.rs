//! What must be done to turn one configuration into another.

use std::collections::BTreeSet;

use crate::{
    edit::{Context, Leaf, Op},
    grammar::schema::{Kind, Mode, Row, object_row, row_of, rows_in},
    host::lines::Settings,
    model::{Config, HostLines, InterfaceConfig, PeerConfig},
    persistent_map::{Difference, PersistentMap},
    render::{children, object_values},
    value::Value,
};

/// The operations that turn `from` into `to`. What is the same in both is not named in them.
pub fn diff(from: &Config, to: &Config) -> Vec<Op> {
    let mut ops = Vec::new();
    compare(from, to, &Context::Global, &mut ops);
    compare_hosts(from, to, &mut ops);
    ops
}

/// The peers that are not the same in both, each with the name of its interface. Costs what differs.
pub fn peer_differences<'a>(
    from: &'a Config,
    to: &'a Config,
) -> impl Iterator<Item = (&'a str, Difference<'a, String, PeerConfig>)> {
    static NONE: PersistentMap<String, PeerConfig> = PersistentMap::new();
    let peers = |interface: Option<&'a InterfaceConfig>| interface.map_or(&NONE, |i| &i.peers);
    let names: BTreeSet<&String> = from.interfaces.keys().chain(to.interfaces.keys()).collect();
    names.into_iter().flat_map(move |name| {
        let (old, new) = (from.interfaces.get(name), to.interfaces.get(name));
        let differences = peers(old).differences(peers(new));
        differences.map(move |difference| (name.as_str(), difference))
    })
}

/// The same for the lines of single hosts.
fn compare_hosts(from: &Config, to: &Config, ops: &mut Vec<Op>) {
    let context = |host: &str, inner: &Context| Context::on_host(host, inner.clone()).unwrap_or_default();
    for host in from.hosts.keys().filter(|host| !to.hosts.contains_key(*host)) {
        ops.push(Op::Delete(context(host, &Context::Global)));
    }
    for (host, lines) in &to.hosts {
        if let Some(before) = from.hosts.get(host) {
            compare_host(before, lines, |inner| context(host, inner), ops);
        } else {
            ops.push(Op::Create(context(host, &Context::Global)));
            ops.extend(lines.ops(|inner| context(host, inner)));
        }
    }
}

fn compare_host(from: &HostLines, to: &HostLines, context: impl Fn(&Context) -> Context, ops: &mut Vec<Op>) {
    if from == to {
        return;
    }
    for (object, _) in from.objects().filter(|(object, _)| to.settings(object).is_none()) {
        let holder_stays = object
            .parent()
            .is_none_or(|parent| to.settings(&parent).is_some());
        if holder_stays {
            ops.push(Op::Delete(context(object)));
        }
    }
    for (object, settings) in to.objects() {
        let (before, nothing) = (from.settings(object), Settings::new());
        if before.is_none() {
            ops.push(Op::Create(context(object)));
        }
        let before = before.unwrap_or(&nothing);
        let leaves: BTreeSet<Leaf> = before.keys().chain(settings.keys()).copied().collect();
        for leaf in leaves {
            let Some(row) = row_of(Mode::of(object), leaf) else {
                continue;
            };
            let lines = |settings: &Settings| settings.get(&leaf).cloned().unwrap_or_default();
            compare_lines(row, &lines(before), lines(settings), |change| {
                ops.push(change.op(context(object), leaf));
            });
        }
    }
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
            compare_lines(row, &before, after, |change| {
                ops.push(change.op(context.clone(), *leaf));
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

impl Change {
    fn op(self, context: Context, leaf: Leaf) -> Op {
        match self {
            Self::Set(values) => Op::Set(context, leaf, values),
            Self::Unset(values) => Op::Unset(context, leaf, values),
        }
    }
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
    let key = |values: &[Value]| values[..row.keys().min(values.len())].to_vec();
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
