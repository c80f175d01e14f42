//! Writing the configuration file and what is kept beside it: the old text or the new one, never anything between.

use std::{
    borrow::Cow,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

/// Why the file could not be written; the old one is untouched.
#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot {step}: {error}; the file is as it was")]
pub(crate) struct StoreError {
    path: PathBuf,
    step: &'static str,
    error: io::Error,
}

/// Makes `text` the contents of `path`, lasting: written beside it, synchronised to the disk, renamed over it.
/// Mode and owner of an existing file are kept; a new one is readable by its owner only.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), StoreError> {
    let target = target_of(path);
    let (directory, name) = place_of(&target);
    let temporary = directory.join(format!(".{name}.{}.new", std::process::id()));

    let outcome = write_beside(&target, &temporary, text)
        .and_then(|()| step("rename the new file over it", fs::rename(&temporary, &target)));
    if outcome.is_err() {
        // Best effort: the error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    outcome
        .and_then(|()| step("synchronise its directory", sync_directory_of(&target)))
        .map_err(|(step, error)| StoreError {
            path: target,
            step,
            error,
        })
}

/// Makes the file `path` with this text, lasting and readable by its owner only, and never in the place of another: it is
/// there whole or not at all.
pub(crate) fn create(path: &Path, text: &str) -> Result<(), StoreError> {
    let (directory, name) = place_of(path);
    let temporary = directory.join(format!(".{name}.{}.new", std::process::id()));
    let outcome = write_beside(path, &temporary, text)
        .and_then(|()| step("give the new file its name", fs::hard_link(&temporary, path)));
    // Best effort: the error that matters is the first one.
    let _ = fs::remove_file(&temporary);
    outcome
        .and_then(|()| step("synchronise its directory", sync_directory_of(path)))
        .map_err(|(step, error)| StoreError {
            path: path.into(),
            step,
            error,
        })
}

/// Through a symbolic link it is the file that is replaced, not the link.
fn target_of(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.into())
}

fn place_of(target: &Path) -> (&Path, Cow<'_, str>) {
    (
        directory_of(target),
        target.file_name().unwrap_or_default().to_string_lossy(),
    )
}

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Where the revisions of a configuration file are, and whatever else has to outlast the daemon.
pub(crate) fn directory_beside(config_file: &Path) -> PathBuf {
    let mut name = config_file.as_os_str().to_owned();
    name.push(".revisions");
    PathBuf::from(name)
}

/// Makes the name `path` lasting.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// Removes what was left by a process that was killed while it replaced `path`.
pub(crate) fn sweep_beside(path: &Path) {
    let target = target_of(path);
    let (directory, name) = place_of(&target);
    sweep(directory, &name);
}

/// Removes what was left in `directory` by a process that was killed while it replaced `name`, or any file where that is
/// empty.
pub(crate) fn sweep(directory: &Path, name: &str) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let file = file.to_string_lossy();
        let left = file
            .strip_prefix('.')
            .and_then(|rest| rest.strip_suffix(".new")?.rsplit_once('.'))
            .is_some_and(|(of, process)| {
                (name.is_empty() || of == name) && process.bytes().all(|b| b.is_ascii_digit())
            });
        if left {
            // One that cannot be removed does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

type Step<T> = Result<T, (&'static str, io::Error)>;

fn step<T>(name: &'static str, result: io::Result<T>) -> Step<T> {
    result.map_err(|error| (name, error))
}

fn write_beside(target: &Path, temporary: &Path, text: &str) -> Step<()> {
    // Left by a process of our number that was killed in the middle.
    let _ = fs::remove_file(temporary);
    let mut file = step(
        "create a new file beside it",
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(temporary),
    )?;
    if let Ok(old) = fs::metadata(target) {
        let new = step("look at the new file", file.metadata())?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            step(
                "give the new file its owner",
                chown(temporary, Some(old.uid()), Some(old.gid())),
            )?;
        }
        step(
            "give the new file its mode",
            file.set_permissions(Permissions::from_mode(old.mode() & 0o7777)),
        )?;
    }
    step("write the new file", file.write_all(text.as_bytes()))?;
    step("synchronise the new file", file.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::scratch::Scratch;

    fn names(scratch: &Scratch) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(scratch.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_file_is_private_and_an_old_one_keeps_its_mode() {
        let scratch = Scratch::new();
        let path = scratch.path().join("knetd.conf");
        replace(&path, "one\n").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        replace(&path, "two\n").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(names(&scratch), ["knetd.conf"]);
    }

    #[test]
    fn what_a_killed_process_left_is_swept_away_and_nothing_else() {
        let scratch = Scratch::new();
        let files = [".a.12.new", ".a.x.new", ".b.12.new", "a", "a.12.new"];
        for file in files {
            fs::write(scratch.path().join(file), "").unwrap();
        }
        sweep(scratch.path(), "a");
        assert_eq!(names(&scratch), files[1..].to_vec());
        sweep(scratch.path(), "");
        assert_eq!(names(&scratch), [".a.x.new", "a", "a.12.new"]);
        sweep(&scratch.path().join("none"), "");
    }

    #[test]
    fn the_file_behind_a_link_is_replaced() {
        let scratch = Scratch::new();
        fs::write(scratch.path().join("real"), "old").unwrap();
        let link = scratch.path().join("link");
        symlink("real", &link).unwrap();
        replace(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(scratch.path().join("real")).unwrap(), "new");
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_beside_it() {
        let scratch = Scratch::new();
        // The rename fails: the target is a directory that is not empty.
        let target = scratch.path().join("t");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("inside"), "").unwrap();
        let error = replace(&target, "x").unwrap_err().to_string();
        assert!(error.contains("rename") && error.contains("as it was"), "{error}");
        assert_eq!(names(&scratch), ["t"]);
        assert!(replace(&scratch.path().join("none/knetd.conf"), "x").is_err());
    }
}
