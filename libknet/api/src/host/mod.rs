//! One file for all hosts: lines for one host only (`host NAME`), and hosts that are all peers of each other (`mesh`).
//! [`Config::on_host`] makes of them the configuration of one host, in which there are neither.

pub mod lines;
mod mesh;

use std::collections::BTreeSet;

use crate::{
    edit::{Context, Leaf, Place},
    model::Config,
    problem::{Problem, Severity},
    value::Value,
};

/// Most hosts for which a configuration is checked as a whole; meshes are checked for all.
const CHECKED: usize = 64;

impl Config {
    /// Whether it is the same on every host.
    pub fn is_plain(&self) -> bool {
        self.hosts.is_empty()
            && self
                .interfaces
                .values()
                .all(|interface| interface.meshes.is_empty())
    }

    /// The hosts that it speaks of.
    pub fn named_hosts(&self) -> BTreeSet<&str> {
        let members = self
            .interfaces
            .values()
            .flat_map(|interface| interface.meshes.values())
            .flat_map(|mesh| mesh.members.keys());
        self.hosts.keys().chain(members).map(String::as_str).collect()
    }

    /// What is in force on `host`: meshes as its locals, addresses and peers, then its own lines. What is configured
    /// for a peer of a mesh by a `peer` section goes before the mesh. With it come the lines of the host that could not
    /// be applied, each placed where it stands in this configuration.
    pub fn on_host(&self, host: &str) -> (Self, Vec<Problem>) {
        let mut config = self.clone();
        config.hosts.clear();
        for interface in config.interfaces.values_mut() {
            for (_, mesh) in std::mem::take(&mut interface.meshes) {
                mesh::expand(&mesh, host, interface);
            }
        }
        let problems = match self.hosts.get(host) {
            Some(lines) => lines.apply(host, &mut config),
            None => Vec::new(),
        };
        (config, problems)
    }

    /// The problems of meshes, and of each host that is named and one of `those`: each once, placed where they stand in this
    /// configuration.
    pub(crate) fn validate_hosts(&self, those: impl Fn(&str) -> bool) -> Vec<Problem> {
        let mut all: Vec<Problem> = Vec::new();
        for (name, interface) in &self.interfaces {
            for (mesh_name, mesh) in &interface.meshes {
                mesh::check(name, mesh_name, mesh, &mut all);
            }
        }
        // What is wrong with a mesh shows on each host in another way.
        if all.iter().any(|problem| problem.severity == Severity::Error) {
            return all;
        }
        let mut seen: BTreeSet<(Option<Place>, String)> = BTreeSet::new();
        let checked = self.named_hosts().into_iter().take(CHECKED);
        for host in checked.filter(|host| those(host)) {
            let (config, problems) = self.on_host(host);
            let found = problems.into_iter().chain(config.validate_plain());
            for mut problem in found {
                // What is missing on one host is told on that host.
                if problem.severity != Severity::Error {
                    continue;
                }
                problem.place = problem.place.map(|place| self.written(host, place));
                if seen.insert((problem.place.clone(), problem.text.clone())) {
                    problem.text = format!("on host {host}: {}", problem.text);
                    all.push(problem);
                }
            }
        }
        all
    }

    /// Where `place` of the configuration of `host` is written.
    pub fn written(&self, host: &str, place: Place) -> Place {
        let part_of_host = Context::on_host(host, place.context.clone()).filter(|context| {
            self.hosts
                .get(host)
                .is_some_and(|lines| lines.has(context, place.leaf))
        });
        if let Some(context) = part_of_host {
            return Place { context, ..place };
        }
        let (interface, member, link) = match &place.context {
            Context::Interface { interface } if place.leaf == Some(Leaf::Local) => {
                let number = match place.key.first() {
                    Some(Value::Number(number)) => u8::try_from(*number).ok(),
                    _ => None,
                };
                let written = self.interfaces.get(interface).zip(number);
                if written.is_none_or(|(holder, number)| holder.locals.contains_key(&number)) {
                    return place;
                }
                (interface, host, number)
            }
            Context::Peer { interface, peer } if self.object(&place.context).is_none() => {
                (interface, peer.as_str(), None)
            }
            Context::Link {
                interface,
                peer,
                link,
            } if self.object(&place.context).is_none() => (interface, peer.as_str(), Some(*link)),
            _ => return place,
        };
        let mesh = self.interfaces.get(interface).and_then(|holder| {
            let mut meshes = holder.meshes.iter();
            meshes.find(|(_, mesh)| mesh.members.contains_key(member))
        });
        let Some((mesh, _)) = mesh else { return place };
        let context = Context::Member {
            interface: interface.clone(),
            mesh: mesh.clone(),
            member: member.to_owned(),
        };
        match link {
            Some(link) => Place {
                key: vec![Value::Number(u32::from(link))],
                argument: Some(1),
                ..Place::leaf(context, Leaf::MemberLink)
            },
            None => Place::object(context),
        }
    }
}
