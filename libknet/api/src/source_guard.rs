//! Which addresses a peer may use: `mac allowed` and `mac sticky` of a peer and of a group.

use std::collections::BTreeSet;

use crate::{
    edit::{Context, Leaf, Place},
    model::{GroupConfig, InterfaceConfig, PeerConfig},
    problem::{Problem, Severity},
    value::{MacAddr, Value},
};

/// Lines of each kind that a peer or a group can have.
pub const MAX_LINES: usize = 64;

/// What a peer may use, as one that has no lines of this kind says it.
static UNGUARDED: SourceGuard = SourceGuard {
    allowed_macs: Vec::new(),
    sticky: None,
};

/// What a peer may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceGuard {
    /// The only MAC addresses that it may send from, besides those that are configured to be behind it. Empty: any.
    pub allowed_macs: Vec<MacAddr>,
    /// So many MAC addresses, 1..=1024, stick to it.
    pub sticky: Option<u16>,
}

/// The same, of which nothing takes memory where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard(Option<Box<SourceGuard>>);

impl Guard {
    /// What it says.
    pub fn get(&self) -> &SourceGuard {
        self.0.as_deref().unwrap_or(&UNGUARDED)
    }

    /// Whether it says anything.
    pub const fn is_said(&self) -> bool {
        self.0.is_some()
    }

    /// Changes what it says.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut SourceGuard) -> T) -> T {
        let said = self.0.get_or_insert_default();
        let changed = change(said);
        if **said == UNGUARDED {
            self.0 = None;
        }
        changed
    }

    /// What it and its group say together: what either of them allows is allowed.
    #[must_use]
    pub(crate) fn in_group(&self, group: &Self) -> Self {
        let mut all = self.clone();
        if let Some(group) = &group.0 {
            all.change(|said| {
                add(&mut said.allowed_macs, &group.allowed_macs);
                said.sticky = said.sticky.or(group.sticky);
            });
        }
        all
    }
}

impl From<SourceGuard> for Guard {
    fn from(said: SourceGuard) -> Self {
        let mut guard = Self::default();
        guard.change(|guard| *guard = said);
        guard
    }
}

/// What has lines of this kind.
pub(crate) trait Guarded {
    fn guard(&self) -> &Guard;
    fn guard_mut(&mut self) -> &mut Guard;
}

impl Guarded for PeerConfig {
    fn guard(&self) -> &Guard {
        &self.guard
    }

    fn guard_mut(&mut self) -> &mut Guard {
        &mut self.guard
    }
}

impl Guarded for GroupConfig {
    fn guard(&self) -> &Guard {
        &self.guard
    }

    fn guard_mut(&mut self) -> &mut Guard {
        &mut self.guard
    }
}

fn add<T: Copy + Ord>(list: &mut Vec<T>, more: &[T]) {
    let known: BTreeSet<T> = list.iter().copied().collect();
    list.extend(more.iter().filter(|value| !known.contains(value)));
}

/// What is wrong with the lines of a peer or a group by itself. `whose`: which of them.
pub(crate) fn check(
    interface: &InterfaceConfig,
    context: &Context,
    whose: impl Fn() -> String,
    guard: &Guard,
    problems: &mut Vec<Problem>,
) {
    let Some(guard) = &guard.0 else { return };
    let mut report = |leaf, key: Value, text: String, expected: &str| {
        problems.push(Problem {
            severity: Severity::Error,
            place: Some(Place {
                key: vec![key],
                argument: Some(0),
                ..Place::leaf(context.clone(), leaf)
            }),
            span: None,
            text,
            expected: Some(expected.to_owned()),
        });
    };
    let allowed = &guard.allowed_macs;
    if let Some(mac) = allowed.get(MAX_LINES) {
        let text = format!("{} has {} allowed MAC addresses", whose(), allowed.len());
        report(
            Leaf::MacAllowed,
            Value::Mac(*mac),
            text,
            "at most 64 of them; `mac limit` counts more",
        );
    }
    if let Some(own) = interface.mac_address.filter(|own| allowed.contains(own)) {
        let text = format!("{own} is this interface's own address");
        let expected = "the address of a host behind the peer";
        report(Leaf::MacAllowed, Value::Mac(own), text, expected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(n: u8) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, n])
    }

    #[test]
    fn what_says_nothing_takes_no_memory() {
        let mut guard = Guard::default();
        guard.change(|said| said.sticky = Some(3));
        assert!(guard.is_said());
        guard.change(|said| said.sticky = None);
        assert_eq!(
            (guard.is_said(), guard),
            (false, Guard::from(SourceGuard::default()))
        );
        assert_eq!(size_of::<Guard>(), size_of::<usize>());
    }

    #[test]
    fn a_group_allows_besides() {
        let said = |allowed: &[u8], sticky| {
            Guard::from(SourceGuard {
                allowed_macs: allowed.iter().map(|n| mac(*n)).collect(),
                sticky,
            })
        };
        let (peer, group) = (said(&[3, 1], None), said(&[1, 2], Some(4)));
        assert_eq!(peer.in_group(&group), said(&[3, 1, 2], Some(4)));
        assert_eq!(said(&[], Some(2)).in_group(&group), said(&[1, 2], Some(2)));
        assert_eq!(peer.in_group(&Guard::default()), peer);
        assert!(!Guard::default().in_group(&Guard::default()).is_said());
    }
}
