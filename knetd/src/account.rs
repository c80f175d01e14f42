//! Users and groups of this host, from /etc/passwd and /etc/group.
//!
//! Members that only a directory service knows of are not seen; such a user is recognised when `knet` is the
//! group that the program runs with (`sg knet`, `newgrp knet`). The groups in /proc/PID/status are no help: by
//! the time they are read the process may be another one.

use std::fs;

/// The group whose members administer knet.
pub(crate) const ADMIN_GROUP: &str = "knet";

/// The number of the administrators' group, if this host has it.
pub(crate) fn admin_group() -> Option<u32> {
    fs::read_to_string("/etc/group")
        .ok()
        .and_then(|groups| group_number(&groups, ADMIN_GROUP))
}

/// Whether a user who runs a program with this primary group administers knet.
pub(crate) fn is_admin(uid: u32, gid: u32) -> bool {
    if uid == 0 {
        return true;
    }
    let Ok(groups) = fs::read_to_string("/etc/group") else {
        return false;
    };
    let Some(admins) = group_number(&groups, ADMIN_GROUP) else {
        return false;
    };
    if gid == admins {
        return true;
    }
    let Ok(users) = fs::read_to_string("/etc/passwd") else {
        return false;
    };
    user(&users, uid).is_some_and(|(name, primary)| {
        primary == admins || group_members(&groups, ADMIN_GROUP).any(|member| member == name)
    })
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

    const GROUPS: &str = "root:x:0:\nbroken\nknetx:x:998:eve\nknet:x:997:ann,bob\nempty:x:996:\n";
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
    fn root_is_always_an_administrator() {
        assert!(is_admin(0, 1234));
        assert!(!is_admin(4_000_000_000, 4_000_000_000));
    }
}
