//! Files that the shell writes: for their owner alone, whole or not at all, and over another one only where that is
//! wanted.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process,
};

use serde_json::json;

use crate::{document::Document, failure::Failure, output::clean};

/// What happens to a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays, and writing fails.
    Refuse,
    /// The new one takes its place.
    Replace,
}

/// Writes `bytes` into the file `name`; `~/` is the user's home. Returns its path.
pub(crate) fn write(name: &str, bytes: &[u8], existing: Existing) -> Result<PathBuf, Failure> {
    let path = expand(name);
    let failed = |error: io::Error| Failure::Unusable(format!("{}: {error}", path.display()));
    if fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
        return Err(Failure::Unusable(format!("{} is no file", path.display())));
    }
    match existing {
        Existing::Refuse => match create(&path) {
            Ok(file) => fill(file, &path, bytes).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Failure::Unusable(format!(
                    "{} is there already; with `overwrite` behind its name it is replaced",
                    path.display()
                )));
            }
            Err(error) => return Err(failed(error)),
        },
        Existing::Replace => {
            let beside = beside(&path).map_err(failed)?;
            let file = create(&beside).map_err(failed)?;
            fill(file, &beside, bytes).map_err(failed)?;
            if let Err(error) = fs::rename(&beside, &path) {
                let _ = fs::remove_file(&beside);
                return Err(failed(error));
            }
        }
    }
    Ok(path)
}

/// What is said of a file that was written.
pub(crate) fn written(path: &Path, bytes: usize) -> Document {
    let shown = clean(&path.display().to_string());
    let line = format!("Written to {shown}, {bytes} bytes");
    let value = json!({ "path": path.display().to_string(), "bytes": bytes });
    Document::object("written", value, vec![line])
}

fn expand(name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(name),
    }
}

/// A name in the same directory, which a rename does not leave.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no name of a file"))?;
    let hidden = format!(".{}.{}.new", name.to_string_lossy(), process::id());
    Ok(path.with_file_name(hidden))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Writes all of it to the disk, or removes the file.
fn fill(mut file: File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .inspect_err(|_| {
            let _ = fs::remove_file(path);
        })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn only_what_is_wanted_is_replaced() {
        let directory = env::temp_dir().join(format!("knet-cli-file-{}", process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("a b");
        let name = path.to_str().expect("UTF-8");
        write(name, b"one", Existing::Refuse).expect("a new file");
        assert_eq!(fs::metadata(&path).expect("the file").mode() & 0o777, 0o600);
        let refused = write(name, b"two", Existing::Refuse).expect_err("it is there");
        assert!(refused.report(0).contains("is there already"), "{refused:?}");
        assert_eq!(fs::read(&path).expect("the file"), b"one");
        write(name, b"two", Existing::Replace).expect("replaced");
        assert_eq!(fs::read(&path).expect("the file"), b"two");
        for (name, why) in [
            (directory.to_str().expect("UTF-8"), "is no file"),
            ("/dev/null", "is no file"),
            ("/nowhere/x", "No such file"),
        ] {
            let refused = write(name, b"x", Existing::Replace).expect_err(name).report(0);
            assert!(refused.contains(why), "{refused}");
        }
        // A full disk leaves nothing behind.
        let full = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("a full disk");
        let begun = directory.join("begun");
        drop(create(&begun).expect("a new file"));
        assert!(fill(full, &begun, b"x").is_err());
        assert_eq!(fs::read_dir(&directory).expect("the directory").count(), 1);
        fs::remove_dir_all(&directory).expect("removed");
    }
}
