//! The history file: one per user, without keys.

use std::{env, fs, path::PathBuf};

use knet_api::{
    edit::Context,
    grammar::{Line, parse},
    value::may_be_key,
};

/// Lines kept.
pub(crate) const LINES: usize = 1000;

/// Where the history is kept, with the directory made; `None` where the user has no home.
pub(crate) fn file() -> Option<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let directory = state.join("knet");
    fs::create_dir_all(&directory).ok()?;
    Some(directory.join("cli_history"))
}

/// Whether `line` may be kept: not with a word that could be a secret. Only the public key of a peer looks
/// like one and is none.
pub(crate) fn may_keep(context: Option<&Context>, line: &str) -> bool {
    let suspect = line
        .split(|c: char| c.is_whitespace() || c == '"')
        .any(may_be_key);
    // A line that is in order has a key only where a public key belongs.
    !suspect || matches!(parse(context, line), Ok(Line::Edit(_))) && !line.contains("file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        let key = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
        let peer = Context::Peer {
            interface: "knet0".into(),
            peer: "a".into(),
        };
        assert!(may_keep(Some(&peer), &format!("public-key {key}")));
        assert!(may_keep(Some(&peer), "preshared-key file a.psk"));
        for line in [
            "preshared-key {}",
            "preshared-key file {}",
            "private-key {}",
            "{}",
            "public-key {} x",
        ] {
            assert!(!may_keep(Some(&peer), &line.replace("{}", key)), "{line}");
        }
        assert!(!may_keep(None, &format!("psk {}", "0f".repeat(32))));
        let invitation = "knet1iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJghQUVJTVFVWV1hZWltcXV5fgOw2awAAAAAEZnJhMQEEywBxBxQeAQQKyAQBEJrQi5E";
        assert!(!may_keep(None, &format!("join {invitation} interface knet0")));
        assert!(
            !may_keep(None, &format!("join {}", &invitation[..40])),
            "nor a part of it"
        );
    }
}
