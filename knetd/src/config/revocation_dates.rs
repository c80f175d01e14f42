//! How new the revocation lists were that have been in force, on the disk: an older one is not believed after a restart
//! either.

use std::{collections::BTreeMap, fs, io, path::Path};

use libknet::api::{
    certificate::authority::Authority,
    value::{base64_decode, base64_encode},
};

use super::{
    history::make_directory,
    key_files::GroupName,
    store::{self, StoreError},
};

/// Its name in the directory of the revisions.
const FILE: &str = "revocation-lists";
/// Its first line.
const HEAD: &str =
    "# The newest revocation list of each group and authority: when it was made, in seconds since 1970.\n";
/// Beyond so many, those of groups that are not there any more are forgotten.
const KEPT: usize = 1024;

/// When the newest list was made, in seconds since 1970, of each group and authority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RevocationDates(BTreeMap<(GroupName, [u8; 32]), u64>);

impl RevocationDates {
    /// What is on the disk; nothing where there is none, and what cannot be read is told.
    pub(crate) fn read(directory: &Path) -> Self {
        let path = directory.join(FILE);
        let read = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => Err(error.to_string()),
            Ok(text) => Self::parse(&text),
        };
        read.unwrap_or_else(|error| {
            tracing::error!(
                "{}: {error}; revocation lists are believed however old they are, until one is read",
                path.display()
            );
            Self::default()
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let line = |line: &str| {
            let mut words = line.split(' ');
            let (interface, group) = (words.next()?.to_owned(), words.next()?.to_owned());
            let key = base64_decode(words.next()?)?;
            let issued = words.next()?.parse().ok()?;
            words
                .next()
                .is_none()
                .then_some((((interface, group), key), issued))
        };
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, text)| !text.starts_with('#'));
        lines
            .map(|(number, text)| {
                let wrong = || format!("line {}: expected: INTERFACE GROUP KEY SECONDS", number + 1);
                line(text).ok_or_else(wrong)
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Makes it what is on the disk. It lasts when this returns.
    pub(crate) fn write(&self, directory: &Path) -> Result<(), StoreError> {
        // If it cannot be made, writing tells why.
        let _ = make_directory(directory);
        let line = |(((interface, group), key), issued): (&(GroupName, [u8; 32]), &u64)| {
            format!("{interface} {group} {} {issued}\n", base64_encode(key))
        };
        let lines: Vec<String> = self.0.iter().map(line).collect();
        let text = format!("{HEAD}{}", lines.concat());
        store::replace(&directory.join(FILE), &text)
    }

    /// When the newest list of an authority was made that was in force in this group.
    pub(crate) fn get(&self, group: &GroupName, authority: &Authority) -> Option<u64> {
        self.0.get(&(group.clone(), authority.public_key)).copied()
    }

    /// A list is in force that was made then.
    pub(crate) fn note(&mut self, group: &GroupName, authority: &Authority, issued: u64) {
        let known = self.0.entry((group.clone(), authority.public_key)).or_default();
        *known = issued.max(*known);
    }

    /// Forgets groups that are not there any more, if there are too many.
    pub(crate) fn forget_groups(&mut self, is_there: impl Fn(&GroupName) -> bool) {
        if self.0.len() > KEPT {
            self.0.retain(|(group, _), _| is_there(group));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn authority(key: u8) -> Authority {
        Authority {
            name: "example".into(),
            public_key: [key; 32],
        }
    }

    fn group(name: &str) -> GroupName {
        ("knet0".into(), name.into())
    }

    #[test]
    fn dates_survive_and_never_go_back() {
        let scratch = Scratch::new();
        let directory = scratch.path().join("k.conf.revisions");
        assert_eq!(RevocationDates::read(&directory), RevocationDates::default());
        let mut dates = RevocationDates::default();
        dates.note(&group("a"), &authority(1), 1000);
        dates.note(&group("a"), &authority(1), 900);
        dates.note(&group("b"), &authority(1), 7);
        dates.write(&directory).unwrap();
        let again = RevocationDates::read(&directory);
        assert_eq!(again, dates);
        assert_eq!(again.get(&group("a"), &authority(1)), Some(1000));
        assert_eq!(again.get(&group("b"), &authority(1)), Some(7));
        assert_eq!(again.get(&group("a"), &authority(2)), None);
    }

    #[test]
    fn what_makes_no_sense_is_nothing_and_what_cannot_be_written_is_told() {
        let scratch = Scratch::new();
        for wrong in ["knet0 a x 7\n", "knet0 a\n", "\n", "# fine\nknet0\n"] {
            fs::write(scratch.path().join(FILE), wrong).unwrap();
            assert_eq!(RevocationDates::read(scratch.path()), RevocationDates::default());
        }
        let blocked = scratch.path().join("file");
        fs::write(&blocked, "").unwrap();
        let error = RevocationDates::default().write(&blocked).unwrap_err();
        assert!(error.to_string().contains("revocation-lists"), "{error}");
    }

    #[test]
    fn there_are_not_more_and_more() {
        let mut dates = RevocationDates::default();
        for n in 0..KEPT {
            dates.note(&group(&format!("g{n}")), &authority(1), 1);
        }
        dates.forget_groups(|_| false);
        assert_eq!(dates.0.len(), KEPT);
        dates.note(&group("new"), &authority(1), 1);
        dates.forget_groups(|name| name.1 == "new");
        assert_eq!(dates.0.len(), 1);
    }
}
