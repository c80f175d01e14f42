//! Which files the daemon believes: those that nobody but their owner can change, and keys that nobody else
//! can read.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use libknet::{api::value::base64_decode_into, proto::crypto::Secret};
use zeroize::Zeroizing;

use crate::config::keys::KeyKind;

/// Longest key file: 44 characters of base64 and a line end, with room for stray white space.
const KEY_FILE_MAX: usize = 128;

/// Why a file is not believed. Each text names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// It cannot be opened or read.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// A key file that is not there.
    #[error("{path}: no such key file; make one with: {}", made_by(*.kind, .path))]
    NoKey {
        /// Which file.
        path: PathBuf,
        /// What it is for.
        kind: KeyKind,
    },
    /// A directory, a device, a pipe.
    #[error("{path}: not a regular file")]
    NotRegular {
        /// Which file.
        path: PathBuf,
    },
    /// Group or others may read the key.
    #[error("{path}: mode {mode:04o} lets others read the key; run: chmod 600 {path}")]
    Readable {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Group or others may change it.
    #[error("{path}: mode {mode:04o} lets others change it; run: chmod go-w {path}")]
    Writable {
        /// Which file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{path}: belongs to uid {owner}, and this process runs as uid {user}; run: chown {user} {path}")]
    Owner {
        /// Which file or directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// The text is no key.
    #[error("{path}: not a key; expected: 32 bytes in base64 (44 characters), as {} writes them", command(*.kind))]
    NotAKey {
        /// Which file.
        path: PathBuf,
        /// What it is for.
        kind: KeyKind,
    },
    /// A configuration, or a file of keys, beyond what is read.
    #[error("{path}: {size} bytes long; at most {most} are read")]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The bound.
        most: u64,
    },
}

/// What writes such files.
const fn command(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Private => "knetd genkey",
        KeyKind::Preshared => "knetd genpsk",
        KeyKind::Invitation => "`join`",
        KeyKind::Authority => "knetd ca init",
    }
}

fn made_by(kind: KeyKind, path: &Path) -> String {
    match kind {
        KeyKind::Private | KeyKind::Preshared => {
            format!("(umask 077; {} > {})", command(kind), path.display())
        }
        KeyKind::Invitation => "`join` and a new invitation".to_owned(),
        KeyKind::Authority => command(kind).to_owned(),
    }
}

/// The user that this process acts as.
pub(crate) fn effective_user() -> u32 {
    // /proc/self belongs to the effective user. Without /proc we can only be believed to be root.
    fs::metadata("/proc/self").map_or(0, |m| m.uid())
}

/// Reads a key of 32 bytes in base64.
pub(crate) fn read_key(path: &Path, kind: KeyKind) -> Result<Secret, TrustError> {
    let io_error = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => TrustError::NoKey {
            path: path.into(),
            kind,
        },
        _ => TrustError::Io {
            path: path.into(),
            error,
        },
    };
    let file = open_regular(path)
        .map_err(io_error)?
        .ok_or(TrustError::NotRegular { path: path.into() })?;
    let metadata = file.metadata().map_err(io_error)?;
    if metadata.mode() & 0o077 != 0 {
        return Err(TrustError::Readable {
            path: path.into(),
            mode: metadata.mode() & 0o7777,
        });
    }
    check_owner(path, &metadata)?;
    let mut text = Zeroizing::new(Vec::with_capacity(KEY_FILE_MAX + 1));
    file.take(KEY_FILE_MAX as u64 + 1)
        .read_to_end(&mut text)
        .map_err(io_error)?;
    parse_key(&text).ok_or(TrustError::NotAKey {
        path: path.into(),
        kind,
    })
}

/// The key that `text` holds, with white space around it.
pub(crate) fn parse_key(text: &[u8]) -> Option<Secret> {
    if text.len() > KEY_FILE_MAX {
        return None;
    }
    let mut key = Secret::default();
    base64_decode_into(text.trim_ascii(), &mut key)?;
    Some(key)
}

/// Reads a configuration file that nobody but its owner can have changed: neither the file nor a directory
/// on the way to it.
pub(crate) fn read_config(path: &Path, most: u64) -> Result<Vec<u8>, TrustError> {
    let io_error = |error| TrustError::Io {
        path: path.into(),
        error,
    };
    let real = fs::canonicalize(path).map_err(io_error)?;
    let file = open_regular(&real)
        .map_err(io_error)?
        .ok_or(TrustError::NotRegular { path: real.clone() })?;
    let metadata = file.metadata().map_err(io_error)?;
    check_unchangeable(&real, &metadata)?;
    for directory in real.ancestors().skip(1) {
        check_unchangeable(directory, &fs::metadata(directory).map_err(io_error)?)?;
    }
    let too_long = |size| TrustError::TooLong {
        path: path.into(),
        size,
        most,
    };
    if metadata.len() > most {
        return Err(too_long(metadata.len()));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(io_error)?;
    if bytes.len() as u64 > most {
        return Err(too_long(bytes.len() as u64));
    }
    Ok(bytes)
}

/// `None` for what is no regular file; looked at before it is opened, because opening a pipe would wait.
fn open_regular(path: &Path) -> io::Result<Option<File>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let file = File::open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

fn check_unchangeable(path: &Path, metadata: &Metadata) -> Result<(), TrustError> {
    const STICKY: u32 = 0o1000;
    let mode = metadata.mode() & 0o7777;
    // In a sticky directory such as /tmp nobody can replace what belongs to another.
    if mode & 0o022 != 0 && !(metadata.is_dir() && mode & STICKY != 0) {
        return Err(TrustError::Writable {
            path: path.into(),
            mode,
        });
    }
    check_owner(path, metadata)
}

fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), TrustError> {
    let user = effective_user();
    if metadata.uid() != 0 && metadata.uid() != user {
        return Err(TrustError::Owner {
            path: path.into(),
            owner: metadata.uid(),
            user,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::scratch::Scratch;

    const KEY: &str = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";

    fn write(scratch: &Scratch, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = scratch.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn keys_that_others_can_read_are_refused() {
        let scratch = Scratch::new();
        for mode in [0o600, 0o400] {
            let path = write(&scratch, &format!("{mode:o}"), &format!("{KEY}\n"), mode);
            assert_eq!(read_key(&path, KeyKind::Private).unwrap()[0], 0xde);
        }
        for mode in [0o640, 0o620, 0o604, 0o601, 0o666, 0o610] {
            let path = write(&scratch, &format!("{mode:o}"), KEY, mode);
            let error = read_key(&path, KeyKind::Private).unwrap_err();
            assert!(matches!(error, TrustError::Readable { .. }), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn what_is_no_key_file_is_refused() {
        let scratch = Scratch::new();
        let error =
            |text: &str| read_key(&write(&scratch, "k", text, 0o600), KeyKind::Preshared).unwrap_err();
        for text in [
            "",
            "\n",
            "hello",
            &KEY[1..],
            &format!("{KEY}{KEY}"),
            &format!("{KEY}{}", " ".repeat(200)),
        ] {
            assert!(error(text).to_string().contains("knetd genpsk"), "{text:?}");
        }
        assert!(matches!(
            read_key(&scratch.path().join("none"), KeyKind::Private).unwrap_err(),
            TrustError::NoKey { .. }
        ));
        assert!(matches!(
            read_key(scratch.path(), KeyKind::Private).unwrap_err(),
            TrustError::NotRegular { .. }
        ));
        assert!(matches!(
            read_key(Path::new("/dev/null"), KeyKind::Private).unwrap_err(),
            TrustError::NotRegular { .. }
        ));
    }

    #[test]
    fn keys_and_configurations_of_another_user_are_refused() {
        if effective_user() != 0 {
            return;
        }
        let scratch = Scratch::new();
        let path = write(&scratch, "k", KEY, 0o600);
        std::os::unix::fs::chown(&path, Some(1234), None).unwrap();
        assert!(matches!(
            read_key(&path, KeyKind::Private).unwrap_err(),
            TrustError::Owner { owner: 1234, .. }
        ));
        assert!(matches!(
            read_config(&path, 1000).unwrap_err(),
            TrustError::Owner { owner: 1234, .. }
        ));
    }

    #[test]
    fn configurations_that_others_can_change_are_refused() {
        let scratch = Scratch::new();
        assert_eq!(
            read_config(&write(&scratch, "c", "hostname a\n", 0o644), 100).unwrap(),
            b"hostname a\n"
        );
        for mode in [0o664, 0o646] {
            let error = read_config(&write(&scratch, "c", "", mode), 100).unwrap_err();
            assert!(matches!(error, TrustError::Writable { .. }), "{error}");
        }
        let path = write(&scratch, "c", "hostname a\n", 0o644);
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = read_config(&path, 100).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&scratch.path().display().to_string()),
            "{error}"
        );
    }

    #[test]
    fn configurations_beyond_the_bound_are_refused() {
        let scratch = Scratch::new();
        let error = read_config(&write(&scratch, "c", &"!".repeat(101), 0o600), 100).unwrap_err();
        assert!(
            matches!(
                error,
                TrustError::TooLong {
                    size: 101,
                    most: 100,
                    ..
                }
            ),
            "{error}"
        );
    }
}
