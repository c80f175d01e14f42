//! The control socket in the file system: one daemon per path, reachable by administrators only, unless there are
//! operators.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

use crate::{account, config::store};

/// Longest path that fits into a socket address, with room for the directory that the socket is made in.
const PATH_MAX: usize = 90;

/// Why there is no control socket. Each text names the path and the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// Too long for the system.
    #[error("{path}: longer than the {PATH_MAX} bytes that the path of a control socket can have")]
    PathTooLong {
        /// Which path.
        path: PathBuf,
    },
    /// Another daemon has it.
    #[error("{path}: another knetd is using this control socket; stop it, or give this one --socket PATH")]
    InUse {
        /// Which path.
        path: PathBuf,
    },
    /// Something else is at its place.
    #[error("{path}: is in the way and is no socket; remove it, or give --socket PATH")]
    NotASocket {
        /// Which path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{path}: cannot {step}: {error}")]
    Io {
        /// Which path.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// The system's words.
        error: io::Error,
    },
}

/// The listening socket; its file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    /// Where clients arrive.
    pub listener: UnixListener,
    path: PathBuf,
    inode: u64,
    /// Held as long as we live. Its file stays: removing it would let two daemons lock two files of one name.
    _lock: File,
}

impl ControlSocket {
    /// Listens at `path` with mode 0660 and group `knet` where it exists. A directory that is not there is made
    /// with mode 0750; a socket that a killed daemon left behind is replaced.
    ///
    /// Where there is a group `knetop` the modes are 0666 and 0755: a file has one group, so that everybody can
    /// connect, and whoever is in neither group is turned away by the daemon.
    pub(crate) fn bind(path: &Path) -> Result<Self, BindError> {
        if path.as_os_str().len() > PATH_MAX {
            return Err(BindError::PathTooLong { path: path.into() });
        }
        let group = account::admin_group();
        let everybody = account::has_operators();
        let directory = store::directory_of(path);
        make_directory(directory, group, everybody)?;
        let lock = lock(path)?;
        match fs::symlink_metadata(path) {
            Ok(m) if !std::os::unix::fs::FileTypeExt::is_socket(&m.file_type()) => {
                return Err(BindError::NotASocket { path: path.into() });
            }
            _ => {}
        }
        let listener = listen(path, directory, group, everybody)?;
        let inode = step(path, "look at the new socket", fs::symlink_metadata(path))?.ino();
        Ok(Self {
            listener,
            path: path.into(),
            inode,
            _lock: lock,
        })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|m| m.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn step<T>(path: &Path, name: &'static str, result: io::Result<T>) -> Result<T, BindError> {
    result.map_err(|error| BindError::Io {
        path: path.into(),
        step: name,
        error,
    })
}

fn make_directory(directory: &Path, group: Option<u32>, everybody: bool) -> Result<(), BindError> {
    let made = match DirBuilder::new().mode(0o750).create(directory) {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => {
            return Err(BindError::Io {
                path: directory.into(),
                step: "create the directory",
                error,
            });
        }
    };
    // One that systemd made for us (RuntimeDirectory=) has the right mode and the wrong group.
    let ours = made || std::env::var_os("RUNTIME_DIRECTORY").is_some_and(|d| d == directory);
    if !ours {
        return Ok(());
    }
    if let Some(group) = group {
        step(
            directory,
            "give the directory to group knet",
            chown(directory, None, Some(group)),
        )?;
    }
    if everybody {
        let mode = Permissions::from_mode(0o755);
        step(
            directory,
            "set the directory's mode",
            fs::set_permissions(directory, mode),
        )?;
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, BindError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&name);
    let file = step(&name, "open the lock file", file)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BindError::InUse { path: path.into() }),
        Err(TryLockError::Error(error)) => Err(BindError::Io {
            path: name,
            step: "lock the file",
            error,
        }),
    }
}

/// Makes the socket inside a private directory and moves it to its place when mode and group are right, so that
/// nobody can connect before; this replaces a stale one as well.
fn listen(
    path: &Path,
    directory: &Path,
    group: Option<u32>,
    everybody: bool,
) -> Result<UnixListener, BindError> {
    let private = directory.join(format!(".knetd-{}", std::process::id()));
    let socket = private.join("s");
    let _ = fs::remove_file(&socket);
    let _ = fs::remove_dir(&private);
    step(
        &private,
        "create the directory",
        DirBuilder::new().mode(0o700).create(&private),
    )?;
    let result = (|| {
        let listener = step(path, "bind the socket", UnixListener::bind(&socket))?;
        let mode = Permissions::from_mode(if everybody { 0o666 } else { 0o660 });
        step(path, "set the socket's mode", fs::set_permissions(&socket, mode))?;
        if let Some(group) = group {
            step(
                path,
                "give the socket to group knet",
                chown(&socket, None, Some(group)),
            )?;
        }
        step(path, "move the socket to its place", fs::rename(&socket, path))?;
        Ok(listener)
    })();
    if result.is_err() {
        let _ = fs::remove_file(&socket);
    }
    let _ = fs::remove_dir(&private);
    result
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::scratch::Scratch;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn one_daemon_per_path_and_the_file_goes_with_it() {
        let (scratch, runtime) = (Scratch::new(), runtime());
        let _guard = runtime.enter();
        let path = scratch.path().join("run/knetd.sock");
        let first = ControlSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o660);
        assert_eq!(
            fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777,
            0o750
        );
        UnixStream::connect(&path).unwrap();
        let error = ControlSocket::bind(&path).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
        assert!(
            path.exists(),
            "the second daemon took the first one's socket away"
        );
        drop(first);
        assert!(!path.exists());
        ControlSocket::bind(&path).unwrap();
    }

    #[test]
    fn a_stale_socket_is_taken_over_and_anything_else_is_not() {
        let (scratch, runtime) = (Scratch::new(), runtime());
        let _guard = runtime.enter();
        let path = scratch.path().join("knetd.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(UnixStream::connect(&path).is_err());
        let socket = ControlSocket::bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(socket);
        fs::write(&path, "precious").unwrap();
        assert!(matches!(
            ControlSocket::bind(&path).unwrap_err(),
            BindError::NotASocket { .. }
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_named() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(100)));
        assert!(matches!(
            ControlSocket::bind(&path).unwrap_err(),
            BindError::PathTooLong { .. }
        ));
    }
}
