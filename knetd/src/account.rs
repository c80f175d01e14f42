//! Users and groups of this host, from /etc/passwd and /etc/group.
//!
//! Members that only a directory service knows of are not seen; such a user is recognised when `knet` or `knetop` is
//! the group that the program runs with (`sg knet`, `newgrp knet`). The groups in /proc/PID/status are no help: by
//! the time they are read the process may be another one.

use std::fs;

use libknet::api::message::Privilege;

/// The group whose members administer knet.
pub(crate) const ADMIN_GROUP: &str = "knet";
/// The group whose members may look.
pub(crate) const OPERATOR_GROUP: &str = "knetop";

/// Whose program a client is.
#[derive(Clone, Debug)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
    /// For messages and the log.
    pub(crate) name: String,
}

impl User {
    /// The user with this number, whose program runs with this group.
    pub(crate) fn new(uid: u32, gid: u32) -> Self {
        let name = user_name(uid);
        Self { uid, gid, name }
    }

    /// What this user may do now, by the groups as they are; `None`: nothing.
    pub(crate) fn privilege(&self) -> Option<Privilege> {
        privilege(self.uid, self.gid)
    }

    /// Whether this is root, who may read all files anyway.
    pub(crate) const fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// The number of the administrators' group, if this host has it.
pub(crate) fn admin_group() -> Option<u32> {
    number_of(ADMIN_GROUP)
}

/// Whether there is a group whose members may look.
pub(crate) fn has_operators() -> bool {
    number_of(OPERATOR_GROUP).is_some()
}

fn privilege(uid: u32, gid: u32) -> Option<Privilege> {
    if uid == 0 {
        return Some(Privilege::Admin);
    }
    let groups = fs::read_to_string("/etc/group").ok()?;
    // A user who is not listed can still run with one of the groups.
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = user(&users, uid);
    [
        (ADMIN_GROUP, Privilege::Admin),
        (OPERATOR_GROUP, Privilege::Operator),
    ]
    .into_iter()
    .find(|(group, _)| is_member(&groups, group, user, gid))
    .map(|(_, privilege)| privilege)
}

fn is_member(groups: &str, group: &str, user: Option<(&str, u32)>, gid: u32) -> bool {
    let Some(number) = group_number(groups, group) else {
        return false;
    };
    gid == number
        || user.is_some_and(|(name, primary)| {
            primary == number || group_members(groups, group).any(|member| member == name)
        })
}

fn number_of(group: &str) -> Option<u32> {
    fs::read_to_string("/etc/group")
        .ok()
        .and_then(|groups| group_number(&groups, group))
}

/// The name of a user, or the number where it has none.
pub(crate) fn user_name(uid: u32) -> String {
    fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|users| user(&users, uid).map(|(name, _)| name.to_owned()))
        .unwrap_or_else(|| uid.to_string())
}

/// Name and primary group.
fn user(users: &str, uid: u32) -> Option<(&str, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        (number == uid).then_some((name, group))
    })
}

fn group<'a>(groups: &'a str, name: &str) -> Option<(u32, &'a str)> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        Some((fields.nth(1)?.parse().ok()?, fields.next().unwrap_or("")))
    })
}

fn group_number(groups: &str, name: &str) -> Option<u32> {
    group(groups, name).map(|(number, _)| number)
}

fn group_members<'a>(groups: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    group(groups, name)
        .map_or("", |(_, members)| members)
        .split(',')
        .map(str::trim)
        .filter(|m| !m.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str =
        "root:x:0:\nbroken\nknetx:x:998:eve\nknet:x:997:ann,bob\nempty:x:996:\nknetop:x:995: cid , ann\n";
    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nshort:x\n";

    #[test]
    fn groups_and_users_are_found_by_whole_names() {
        assert_eq!(group_number(GROUPS, "knet"), Some(997));
        assert_eq!(group_number(GROUPS, "kne"), None);
        assert_eq!(group_number(GROUPS, "broken"), None);
        assert_eq!(group_members(GROUPS, "knet").collect::<Vec<_>>(), ["ann", "bob"]);
        assert_eq!(group_members(GROUPS, "empty").count(), 0);
        assert_eq!(user(USERS, 1000), Some(("ann", 1000)));
        assert_eq!(user(USERS, 1001), None);
    }

    #[test]
    fn members_are_found_by_name_by_primary_group_and_by_the_group_at_hand() {
        let member = |group, user, gid| is_member(GROUPS, group, user, gid);
        assert!(member("knet", Some(("ann", 1000)), 1000));
        assert!(member("knet", Some(("zoe", 997)), 1000));
        assert!(member("knet", None, 997));
        assert!(!member("knet", Some(("cid", 1000)), 995));
        assert!(member("knetop", Some(("cid", 1000)), 1000));
        assert!(!member("knetop", Some(("eve", 998)), 998));
        assert!(!member("absent", Some(("ann", 1000)), 997));
    }

    #[test]
    fn root_is_always_an_administrator() {
        assert_eq!(privilege(0, 1234), Some(Privilege::Admin));
        assert_eq!(privilege(4_000_000_000, 4_000_000_000), None);
    }
}
