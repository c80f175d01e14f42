//! Notices that files are written, at once: inotify on their directories, so that a new file that takes the place of one
//! is noticed as well.
//!
//! What it misses (a file behind a symbolic link, on a network, in a directory that cannot be watched) is for whoever looks
//! at the files now and then.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};
use tokio::io::unix::AsyncFd;

/// A file is written and closed, comes or goes under a name, or can be read by others than before. That it grows is not
/// waited for: half a file is none.
const EVENTS: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// Room for a dozen events with the longest names.
const BUFFER: usize = 4096;

/// Files that are watched.
#[derive(Debug)]
pub(crate) struct FileWatch {
    inotify: AsyncFd<OwnedFd>,
    watched: RefCell<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    files: BTreeSet<PathBuf>,
    /// By the number of their watch.
    directories: BTreeMap<i32, PathBuf>,
}

impl FileWatch {
    /// Nothing yet. To be called on the runtime.
    pub(crate) fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // Its successor is the same with a promise that an `OwnedFd`, which is never replaced here, keeps by itself.
        #[allow(deprecated)]
        let inotify = AsyncFd::new(inotify)?;
        Ok(Self {
            inotify,
            watched: RefCell::default(),
        })
    }

    /// Watches these files and no others. A directory that cannot be watched is tried again by the next call.
    pub(crate) fn follow(&self, files: impl Iterator<Item = PathBuf>) {
        let watched = &mut *self.watched.borrow_mut();
        watched.files = files.collect();
        let wanted: BTreeSet<&Path> = watched.files.iter().filter_map(|file| file.parent()).collect();
        watched.directories.retain(|number, directory| {
            let stays = wanted.contains(directory.as_path());
            if !stays {
                // One that is gone takes its watch along.
                let _ = inotify::remove_watch(&self.inotify, *number);
            }
            stays
        });
        let known: BTreeSet<&PathBuf> = watched.directories.values().collect();
        let mut new = Vec::new();
        for directory in wanted
            .into_iter()
            .filter(|directory| !known.iter().any(|known| known == directory))
        {
            if let Ok(number) = inotify::add_watch(&self.inotify, directory, EVENTS) {
                new.push((number, directory.to_owned()));
            }
        }
        watched.directories.extend(new);
    }

    /// Waits until one of the files may have been changed.
    pub(crate) async fn changed(&self) {
        loop {
            let Ok(mut ready) = self.inotify.readable().await else {
                // The runtime ends.
                return std::future::pending().await;
            };
            let found = self.drain();
            ready.clear_ready();
            if found {
                return;
            }
        }
    }

    /// Takes all that has happened; whether it was about one of the files.
    fn drain(&self) -> bool {
        let watched = &mut *self.watched.borrow_mut();
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut found = false;
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                // There is no more, or nothing can be read: the files are looked at now and then anyway.
                Err(_) => return found,
            };
            let events = event.events();
            found |= events.contains(ReadFlags::QUEUE_OVERFLOW);
            if events.contains(ReadFlags::MOVE_SELF) {
                // What has its name now is another directory.
                let _ = inotify::remove_watch(&self.inotify, event.wd());
            }
            if events.contains(ReadFlags::IGNORED) {
                watched.directories.remove(&event.wd());
                continue;
            }
            if let (Some(directory), Some(name)) = (watched.directories.get(&event.wd()), event.file_name()) {
                let file = directory.join(OsStr::from_bytes(name.to_bytes()));
                found |= watched.files.contains(&file);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use tokio::time::timeout;

    use super::*;
    use crate::scratch::Scratch;

    async fn notices(watch: &FileWatch) -> bool {
        timeout(Duration::from_millis(300), watch.changed()).await.is_ok()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_written_renamed_and_removed_is_noticed_and_nothing_else() {
        let scratch = Scratch::new();
        let (file, other) = (scratch.path().join("keys"), scratch.path().join("other"));
        let watch = FileWatch::new().unwrap();
        watch.follow([file.clone()].into_iter());
        fs::write(&other, "x").unwrap();
        assert!(!notices(&watch).await);
        fs::write(&file, "x").unwrap();
        assert!(notices(&watch).await);
        fs::rename(&other, &file).unwrap();
        assert!(notices(&watch).await);
        fs::remove_file(&file).unwrap();
        assert!(notices(&watch).await);
        watch.follow(std::iter::empty());
        fs::write(&file, "x").unwrap();
        assert!(!notices(&watch).await);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_directory_that_comes_later_is_watched_by_the_next_call() {
        let scratch = Scratch::new();
        let directory = scratch.path().join("d");
        let file = directory.join("keys");
        let watch = FileWatch::new().unwrap();
        let follow = || watch.follow([file.clone()].into_iter());
        follow();
        for _ in 0..2 {
            fs::create_dir(&directory).unwrap();
            follow();
            fs::write(&file, "x").unwrap();
            assert!(notices(&watch).await);
            fs::rename(&directory, scratch.path().join("elsewhere")).unwrap();
            while notices(&watch).await {}
            fs::remove_dir_all(scratch.path().join("elsewhere")).unwrap();
        }
    }
}
