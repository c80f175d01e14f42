//! The lines of one host: settings and objects that are added to the configuration of all.

use std::collections::BTreeMap;

use crate::{
    edit::{Context, Leaf, Op, Place},
    grammar::schema::{Mode, row_of},
    model::Config,
    problem::{Problem, Severity},
    value::Value,
};

/// What is set in one object: by setting, its lines in the order in which they were given.
pub type Settings = BTreeMap<Leaf, Vec<Vec<Value>>>;

/// The lines of one host, by the object that they stand in (without the host). The top is always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLines {
    objects: BTreeMap<Context, Settings>,
}

impl Default for HostLines {
    fn default() -> Self {
        Self {
            objects: BTreeMap::from([(Context::Global, Settings::new())]),
        }
    }
}

impl HostLines {
    /// What is set in `object`, if it is named.
    pub fn settings(&self, object: &Context) -> Option<&Settings> {
        self.objects.get(object)
    }

    /// The objects that are named and what is set in them; one that is in another comes after it.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&Context, &Settings)> {
        self.objects.iter()
    }

    /// The objects that are named directly in `object`, in order.
    pub fn children<'a>(&'a self, object: &'a Context) -> impl Iterator<Item = &'a Context> {
        self.objects
            .keys()
            .filter(move |context| context.parent().as_ref() == Some(object))
    }

    /// Whether `context`, an object among the lines of a host, is named here and has a line of `leaf`.
    pub(super) fn has(&self, context: &Context, leaf: Option<Leaf>) -> bool {
        let settings = self.objects.get(&context.without_host().1);
        settings.is_some_and(|settings| leaf.is_none_or(|leaf| settings.contains_key(&leaf)))
    }

    /// Names an object. Its holder must be named.
    pub(crate) fn create(&mut self, object: &Context) -> bool {
        let held = object
            .parent()
            .is_some_and(|parent| self.objects.contains_key(&parent));
        if held {
            self.objects.entry(object.clone()).or_default();
        }
        held || *object == Context::Global
    }

    /// Forgets an object and all in it; `false` where it is not named.
    pub(crate) fn delete(&mut self, object: &Context) -> bool {
        let inside = |context: &Context| {
            std::iter::successors(Some(context.clone()), Context::parent).any(|around| around == *object)
        };
        let there = *object != Context::Global && self.objects.contains_key(object);
        if there {
            self.objects.retain(|context, _| !inside(context));
        }
        there
    }

    /// Sets a setting, or adds a line where there can be several; `false` where the object is not named.
    pub(crate) fn set(&mut self, object: &Context, leaf: Leaf, values: &[Value]) -> bool {
        let Some(settings) = self.objects.get_mut(object) else {
            return false;
        };
        let lines = settings.entry(leaf).or_default();
        let row = row_of(Mode::of(object), leaf).filter(|row| row.multi);
        match row {
            // The line that begins an object is one of several, but in the object there is one.
            Some(row) if leaf != Leaf::Endpoint => {
                let key = |line: &[Value]| line[..row.keys().min(line.len())].to_vec();
                match lines.iter_mut().find(|line| key(line) == key(values)) {
                    Some(line) => *line = values.to_vec(),
                    None => lines.push(values.to_vec()),
                }
            }
            _ => *lines = vec![values.to_vec()],
        }
        true
    }

    /// Removes the lines of a setting that begin with `values`; `false` where there are none.
    pub(crate) fn unset(&mut self, object: &Context, leaf: Leaf, values: &[Value]) -> bool {
        let Some(settings) = self.objects.get_mut(object) else {
            return false;
        };
        let Some(lines) = settings.get_mut(&leaf) else {
            return false;
        };
        let before = lines.len();
        // A setting that stands once needs only its name; of several, the key names the line.
        let keys = row_of(Mode::of(object), leaf)
            .filter(|row| row.multi)
            .map_or(0, |row| row.keys().min(values.len()));
        lines.retain(|line| !line.starts_with(&values[..keys]));
        let removed = lines.len() < before;
        if lines.is_empty() {
            settings.remove(&leaf);
        }
        removed
    }

    /// All as operations on the configuration without hosts; `context` makes the object of each.
    pub(crate) fn ops(&self, context: impl Fn(&Context) -> Context) -> Vec<Op> {
        let mut ops = Vec::new();
        for (object, settings) in &self.objects {
            let endpoint = settings.contains_key(&Leaf::Endpoint);
            if *object != Context::Global {
                // A link is made by the line that says where it goes; without one it must be there.
                let makes = !matches!(object, Context::Link { .. }) || endpoint;
                let object = context(object);
                ops.push(if makes {
                    Op::Create(object)
                } else {
                    Op::Require(object)
                });
            }
            for (leaf, lines) in settings {
                let set = |line: &Vec<Value>| Op::Set(context(object), *leaf, line.clone());
                ops.extend(lines.iter().map(set));
            }
        }
        ops
    }

    /// Adds them to `config`. What cannot be is told, placed among the lines of `host`.
    pub(super) fn apply(&self, host: &str, config: &mut Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        for op in self.ops(Context::clone) {
            if let Err(problem) = config.apply(&op) {
                let place = problem.place.and_then(|place| {
                    Some(Place {
                        context: Context::on_host(host, place.context)?,
                        leaf: place.leaf,
                        key: place.key,
                        argument: place.argument,
                    })
                });
                problems.push(Problem {
                    severity: Severity::Error,
                    place,
                    ..*problem
                });
            }
        }
        problems
    }
}
