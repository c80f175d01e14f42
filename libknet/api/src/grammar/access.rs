//! How a row of the schema reads and writes its field of the model.

use crate::{
    model::{Config, GroupConfig, InterfaceConfig, LinkConfig, MemberConfig, MeshConfig, PeerConfig},
    value::Value,
};

/// Reads and writes one setting of an object of type `T`. Values are the arguments of the setting's line.
#[derive(Debug)]
pub struct Accessor<T: 'static> {
    /// One list of values for each line there is.
    pub get: fn(&T) -> Vec<Vec<Value>>,
    /// Sets the line, or adds one where there can be several. `false`: the values do not fit.
    pub set: fn(&mut T, &[Value]) -> bool,
    /// Puts back the default, or removes the line with these first values, or without values all.
    /// `false`: there is no such line.
    pub clear: fn(&mut T, &[Value]) -> bool,
}

/// An accessor for one kind of object.
#[derive(Debug)]
pub enum Access {
    /// Of the daemon.
    Global(Accessor<Config>),
    /// Of an interface.
    Interface(Accessor<InterfaceConfig>),
    /// Of a peer.
    Peer(Accessor<PeerConfig>),
    /// Of a link.
    Link(Accessor<LinkConfig>),
    /// Of a mesh.
    Mesh(Accessor<MeshConfig>),
    /// Of a host of a mesh.
    Member(Accessor<MemberConfig>),
    /// Of a group of peers.
    Group(Accessor<GroupConfig>),
}

/// An object of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object<'a> {
    /// The daemon.
    Global(&'a Config),
    /// An interface.
    Interface(&'a InterfaceConfig),
    /// A peer.
    Peer(&'a PeerConfig),
    /// A link.
    Link(&'a LinkConfig),
    /// A mesh.
    Mesh(&'a MeshConfig),
    /// A host of a mesh.
    Member(&'a MemberConfig),
    /// A group of peers.
    Group(&'a GroupConfig),
}

/// An object of the model that can be changed.
#[derive(Debug)]
pub enum ObjectMut<'a> {
    /// The daemon.
    Global(&'a mut Config),
    /// An interface.
    Interface(&'a mut InterfaceConfig),
    /// A peer.
    Peer(&'a mut PeerConfig),
    /// A link.
    Link(&'a mut LinkConfig),
    /// A mesh.
    Mesh(&'a mut MeshConfig),
    /// A host of a mesh.
    Member(&'a mut MemberConfig),
    /// A group of peers.
    Group(&'a mut GroupConfig),
}

impl Access {
    /// The lines that `object` has.
    pub fn get(&self, object: Object<'_>) -> Vec<Vec<Value>> {
        match (self, object) {
            (Self::Global(a), Object::Global(o)) => (a.get)(o),
            (Self::Interface(a), Object::Interface(o)) => (a.get)(o),
            (Self::Peer(a), Object::Peer(o)) => (a.get)(o),
            (Self::Link(a), Object::Link(o)) => (a.get)(o),
            (Self::Mesh(a), Object::Mesh(o)) => (a.get)(o),
            (Self::Member(a), Object::Member(o)) => (a.get)(o),
            (Self::Group(a), Object::Group(o)) => (a.get)(o),
            _ => Vec::new(),
        }
    }

    /// The lines of an object in which nothing is configured.
    pub fn unsaid(&self) -> Vec<Vec<Value>> {
        match self {
            Self::Global(a) => (a.get)(&Config::default()),
            Self::Interface(a) => (a.get)(&InterfaceConfig::default()),
            Self::Peer(a) => (a.get)(&PeerConfig::default()),
            Self::Link(a) => (a.get)(&LinkConfig::default()),
            Self::Mesh(a) => (a.get)(&MeshConfig::default()),
            Self::Member(a) => (a.get)(&MemberConfig::default()),
            Self::Group(a) => (a.get)(&GroupConfig::default()),
        }
    }

    /// The lines that would say what counts where nothing is configured.
    pub fn defaults(&self) -> Vec<Vec<Value>> {
        match self {
            Self::Peer(a) => (a.get)(&PeerConfig::default().spelled_out()),
            Self::Link(a) => (a.get)(&LinkConfig::default().spelled_out()),
            _ => self.unsaid(),
        }
    }

    /// See [`Accessor::set`].
    pub fn set(&self, object: ObjectMut<'_>, values: &[Value]) -> bool {
        match (self, object) {
            (Self::Global(a), ObjectMut::Global(o)) => (a.set)(o, values),
            (Self::Interface(a), ObjectMut::Interface(o)) => (a.set)(o, values),
            (Self::Peer(a), ObjectMut::Peer(o)) => (a.set)(o, values),
            (Self::Link(a), ObjectMut::Link(o)) => (a.set)(o, values),
            (Self::Mesh(a), ObjectMut::Mesh(o)) => (a.set)(o, values),
            (Self::Member(a), ObjectMut::Member(o)) => (a.set)(o, values),
            (Self::Group(a), ObjectMut::Group(o)) => (a.set)(o, values),
            _ => false,
        }
    }

    /// See [`Accessor::clear`].
    pub fn clear(&self, object: ObjectMut<'_>, values: &[Value]) -> bool {
        match (self, object) {
            (Self::Global(a), ObjectMut::Global(o)) => (a.clear)(o, values),
            (Self::Interface(a), ObjectMut::Interface(o)) => (a.clear)(o, values),
            (Self::Peer(a), ObjectMut::Peer(o)) => (a.clear)(o, values),
            (Self::Link(a), ObjectMut::Link(o)) => (a.clear)(o, values),
            (Self::Mesh(a), ObjectMut::Mesh(o)) => (a.clear)(o, values),
            (Self::Member(a), ObjectMut::Member(o)) => (a.clear)(o, values),
            (Self::Group(a), ObjectMut::Group(o)) => (a.clear)(o, values),
            _ => false,
        }
    }
}

/// A flag: there or not.
macro_rules! flag {
    ($kind:ident . $field:ident) => {
        Access::$kind(Accessor {
            get: |object| {
                if object.$field {
                    vec![Vec::new()]
                } else {
                    Vec::new()
                }
            },
            set: |object, values| {
                object.$field = values.is_empty();
                values.is_empty()
            },
            clear: |object, _| {
                object.$field = false;
                true
            },
        })
    };
}

/// A value that may be missing.
macro_rules! optional {
    ($kind:ident . $field:ident : $variant:ident) => {
        Access::$kind(Accessor {
            get: |object| {
                object
                    .$field
                    .iter()
                    .map(|v| vec![Value::$variant(v.clone())])
                    .collect()
            },
            set: |object, values| {
                let [Value::$variant(value)] = values else {
                    return false;
                };
                object.$field = Some(value.clone());
                true
            },
            clear: |object, _| {
                object.$field = None;
                true
            },
        })
    };
}

/// A number with a default.
macro_rules! number {
    ($kind:ident($object:ident) . $field:ident) => {
        Access::$kind(Accessor {
            get: |object| vec![vec![Value::Number(u32::from(object.$field))]],
            set: |object, values| {
                let [Value::Number(n)] = values else { return false };
                (*n).try_into().map(|n| object.$field = n).is_ok()
            },
            clear: |object, _| {
                object.$field = $object::default().$field;
                true
            },
        })
    };
}

/// A number that may be missing.
macro_rules! optional_number {
    ($kind:ident . $field:ident) => {
        Access::$kind(Accessor {
            get: |object| {
                object
                    .$field
                    .iter()
                    .map(|n| vec![Value::Number(u32::from(*n))])
                    .collect()
            },
            set: |object, values| {
                let [Value::Number(n)] = values else { return false };
                (*n).try_into().map(|n| object.$field = Some(n)).is_ok()
            },
            clear: |object, _| {
                object.$field = None;
                true
            },
        })
    };
}

/// Values of which there can be several, in the order in which they were added.
macro_rules! list {
    ($kind:ident . $field:ident : $variant:ident) => {
        Access::$kind(Accessor {
            get: |object| object.$field.iter().map(|v| vec![Value::$variant(*v)]).collect(),
            set: |object, values| {
                let [Value::$variant(value)] = values else {
                    return false;
                };
                if !object.$field.contains(value) {
                    object.$field.push(*value);
                }
                true
            },
            clear: |object, values| {
                let before = object.$field.len();
                match values {
                    [] => object.$field.clear(),
                    [Value::$variant(value)] => object.$field.retain(|v| v != value),
                    _ => return false,
                }
                values.is_empty() || object.$field.len() < before
            },
        })
    };
}

pub(super) use {flag, list, number, optional, optional_number};
