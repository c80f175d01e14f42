//! The mark on the disk that says that a change waits to be confirmed. It is there before the change is in force and
//! until it is confirmed or undone, so that a daemon which dies in between starts with what was in force before.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    history::make_directory,
    store::{self, StoreError},
};

/// What the mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The revision to go back to.
    pub back_to: u64,
    /// Who made the change.
    pub user: String,
    /// The configuration file when the change was made ([`digest`]): one that was changed since goes first.
    pub startup: u64,
}

/// Writes the mark; it lasts when this returns.
pub(crate) fn write(directory: &Path, mark: &Mark) -> Result<(), StoreError> {
    // If it cannot be made, writing tells why.
    let _ = make_directory(directory);
    let Mark {
        back_to,
        user,
        startup,
    } = mark;
    let text = format!("back-to {back_to}\nstartup {startup:016x}\nuser {user}\n");
    store::replace(&path(directory), &text)
}

/// The mark, if there is one. One that makes no sense is told.
pub(crate) fn read(directory: &Path) -> Option<Mark> {
    let path = path(directory);
    let text = fs::read_to_string(&path).ok()?;
    let field = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.filter(|(n, _)| *n == name).map(|(_, value)| value).next()
    };
    let mark = || {
        Some(Mark {
            back_to: field("back-to")?.parse().ok()?,
            startup: u64::from_str_radix(field("startup")?, 16).ok()?,
            user: field("user")?.into(),
        })
    };
    let mark = mark();
    if mark.is_none() {
        tracing::warn!(
            "{}: makes no sense; the configuration file counts",
            path.display()
        );
    }
    mark
}

/// Removes the mark; it is gone for good when this returns.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_file(path(directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => File::open(directory)?.sync_all(),
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("unconfirmed")
}

/// A number that tells one configuration file from another (FNV-1a); 0 where there is none.
pub(crate) fn digest(file: &Path) -> u64 {
    fs::read(file).map_or(0, |bytes| {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_mark_comes_back_as_it_was_and_goes() {
        let scratch = Scratch::new();
        let directory = scratch.path().join("k.revisions");
        assert_eq!(read(&directory), None);
        remove(&directory).unwrap();
        let mark = Mark {
            back_to: 17,
            user: "ann".into(),
            startup: 0xfe00_0000_0000_0001,
        };
        write(&directory, &mark).unwrap();
        assert_eq!(read(&directory), Some(mark));
        remove(&directory).unwrap();
        assert_eq!(read(&directory), None);
        fs::write(path(&directory), "back-to x\n").unwrap();
        assert_eq!(read(&directory), None);
    }

    #[test]
    fn another_file_has_another_digest() {
        let scratch = Scratch::new();
        let file = scratch.path().join("f");
        let none = digest(&file);
        fs::write(&file, "a").unwrap();
        let a = digest(&file);
        fs::write(&file, "b").unwrap();
        assert!(none != a && a != digest(&file));
    }
}
