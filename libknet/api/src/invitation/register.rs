//! The file of a group's invitations at the hub: those that are open, and who has come by one. A line for each, which the
//! hub writes, and a person can read and take out.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::{self, Write},
    str::FromStr,
};

use super::MAX_ADDRESSES;
use crate::{
    grammar::{lexer::is_comment, types::Form},
    group::authorized_keys::{AuthorizedKeys, Listed},
    model::{MAX_PEERS, PublicKey},
    moment::{Moment, utc_seconds},
    persistent_map::PersistentMap,
    value::IpPrefix,
};

/// Largest file, in bytes: 65,536 lines of each kind take 19 MB with names of 64 characters.
pub const MAX_FILE: usize = 32 * 1024 * 1024;
/// Most invitations that are open, or were used by somebody who is still a member.
pub const MAX_INVITATIONS: usize = 2 * MAX_PEERS;

/// What the hub keeps of a secret: a hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretHash(pub [u8; 16]);

impl SecretHash {
    /// What the invitation is called: the first 8 hexadecimal digits.
    pub fn id(&self) -> String {
        let mut id = self.to_string();
        id.truncate(8);
        id
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretHash({self})")
    }
}

impl FromStr for SecretHash {
    type Err = ();

    /// Thirty-two hexadecimal digits in lower case, as it is printed.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(digits) {
            return Err(());
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| ())?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// An invitation that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invited {
    /// Nobody has used it.
    Open {
        /// What is to be the name of whoever uses it; `None`: one is made.
        name: Option<String>,
        /// It is good before then, in seconds since 1970.
        expires: u64,
        /// The addresses that it gives, 0..=8.
        addresses: Vec<IpPrefix>,
    },
    /// This member has come by it.
    Used {
        /// The member's name.
        member: String,
    },
}

/// Somebody who has come by an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who that is.
    pub public_key: PublicKey,
    /// By which invitation.
    pub invitation: SecretHash,
    /// When, in seconds since 1970.
    pub since: u64,
    /// The addresses that the invitation gave.
    pub addresses: Vec<IpPrefix>,
}

impl Member {
    fn listed(&self) -> Listed {
        Listed::with_addresses(self.public_key, &self.addresses)
    }
}

/// What a file says. A copy costs next to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    invitations: PersistentMap<SecretHash, Invited>,
    members: PersistentMap<String, Member>,
    keys: AuthorizedKeys,
}

impl Register {
    /// All invitations.
    pub fn invitations(&self) -> &PersistentMap<SecretHash, Invited> {
        &self.invitations
    }

    /// All members by name.
    pub fn members(&self) -> &PersistentMap<String, Member> {
        &self.members
    }

    /// Their keys, as a file of keys would list them.
    pub fn keys(&self) -> &AuthorizedKeys {
        &self.keys
    }

    /// How many invitations are open, expired ones included.
    pub fn open(&self) -> usize {
        self.invitations.len() - self.members.len()
    }

    /// The addresses that somebody has, or can still get: those of members, and of invitations that are good at `now`, in
    /// seconds since 1970.
    pub fn addresses(&self, now: u64) -> impl Iterator<Item = &IpPrefix> {
        let open = self.invitations.values().flat_map(move |invited| match invited {
            Invited::Open {
                addresses, expires, ..
            } if *expires > now => &addresses[..],
            _ => &[],
        });
        open.chain(self.members.values().flat_map(|member| &member.addresses))
    }

    /// One more invitation. Its id has to be a new one.
    pub fn invite(&mut self, hash: SecretHash, name: Option<String>, expires: u64, addresses: Vec<IpPrefix>) {
        let open = Invited::Open {
            name,
            expires,
            addresses,
        };
        self.invitations.insert(hash, open);
    }

    /// Whoever has this key has used an open invitation, and is a member of this name from now on.
    pub fn redeem(&mut self, hash: SecretHash, name: &str, public_key: PublicKey, now: u64) {
        let used = Invited::Used {
            member: name.to_owned(),
        };
        let addresses = match self.invitations.insert(hash, used) {
            Some(Invited::Open { addresses, .. }) => addresses,
            _ => Vec::new(),
        };
        let member = Member {
            public_key,
            invitation: hash,
            since: now,
            addresses,
        };
        self.keys.insert(name.to_owned(), member.listed());
        self.members.insert(name.to_owned(), member);
    }

    /// Takes back an open invitation. Whether there is one.
    pub fn take_back(&mut self, hash: &SecretHash) -> bool {
        let is_open = matches!(self.invitations.get(hash), Some(Invited::Open { .. }));
        if is_open {
            self.invitations.remove(hash);
        }
        is_open
    }

    /// Expels a member, whose invitation is used up all the same.
    pub fn expel(&mut self, name: &str) -> Option<Member> {
        let member = self.members.remove(name)?;
        self.keys.remove(name);
        self.invitations.remove(&member.invitation);
        Some(member)
    }

    /// Forgets open invitations that ended before `then`, in seconds since 1970.
    pub fn forget_expired(&mut self, then: u64) {
        let ended = |invited: &Invited| matches!(invited, Invited::Open { expires, .. } if *expires < then);
        let ended = self.invitations.iter().filter(|(_, invited)| ended(invited));
        let ended: Vec<SecretHash> = ended.map(|(hash, _)| *hash).collect();
        for hash in ended {
            self.invitations.remove(&hash);
        }
    }

    /// The whole file.
    pub fn to_text(&self) -> String {
        let mut text = String::from(
            "# Invitations, and who has come by one. knetd writes this file, and reads it whenever somebody else has written \
             it.\n# A line that is taken out counts no more: an invitation is taken back, a member is expelled.\n",
        );
        // Writing into a string does not fail.
        for (hash, invited) in &self.invitations {
            if let Invited::Open {
                name,
                expires,
                addresses,
            } = invited
            {
                let (name, expires) = (name.as_deref().unwrap_or_default(), utc_seconds(*expires));
                let _ = writeln!(text, "invitation;{hash};{expires};{name};{}", list(addresses));
            }
        }
        for (name, member) in &self.members {
            let Member {
                public_key,
                invitation,
                since,
                addresses,
            } = member;
            let (since, addresses) = (utc_seconds(*since), list(addresses));
            let _ = writeln!(
                text,
                "member;{name};{public_key};{invitation};{since};{addresses}"
            );
        }
        text
    }
}

/// Reads a whole file.
///
/// # Errors
/// What is wrong with a line, and what would be right: then nothing of it counts.
pub fn parse(file: &[u8]) -> Result<Register, String> {
    if file.len() > MAX_FILE {
        return Err(format!(
            "the file is too large; expected: at most {MAX_FILE} bytes"
        ));
    }
    let (mut invitations, mut members) = (HashMap::new(), HashMap::new());
    let mut keys = HashMap::new();
    for (index, line) in file.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let text = std::str::from_utf8(line).map_err(|_| format!("line {number}: not UTF-8; {EXPECTED}"))?;
        if is_comment(text) {
            continue;
        }
        let wrong = |text: String| format!("line {number}: {text}");
        let twice = |what: &str| wrong(format!("{what} is there already; expected: each of them once"));
        match read_line(text)
            .ok_or_else(|| wrong(format!("neither an invitation nor a member; {EXPECTED}")))?
        {
            Line::Invitation(hash, invited) => {
                if invitations.insert(hash, invited).is_some() {
                    return Err(twice("the invitation"));
                }
            }
            Line::Member(name, member) => {
                let used = Invited::Used { member: name.clone() };
                if invitations.insert(member.invitation, used).is_some() {
                    return Err(twice("the invitation of the member"));
                }
                match keys.entry(member.public_key) {
                    Entry::Vacant(place) => drop(place.insert(name.clone())),
                    Entry::Occupied(other) => {
                        return Err(wrong(format!(
                            "{name} has the same public key as {}; expected: a key of its own for each member",
                            other.get()
                        )));
                    }
                }
                if members.insert(name, member).is_some() {
                    return Err(twice("a member of this name"));
                }
            }
        }
        if members.len() > MAX_PEERS || invitations.len() > MAX_INVITATIONS {
            return Err(wrong(format!(
                "one line too many; expected: at most {MAX_PEERS} members, and {MAX_INVITATIONS} lines"
            )));
        }
    }
    let key = |(name, member): (&String, &Member)| (name.clone(), member.listed());
    Ok(Register {
        invitations: invitations.into_iter().collect(),
        keys: members.iter().map(key).collect(),
        members: members.into_iter().collect(),
    })
}

const EXPECTED: &str =
    "expected: a line invitation;HASH;EXPIRES;NAME;ADDRESSES or member;NAME;KEY;HASH;SINCE;ADDRESSES";

fn list(addresses: &[IpPrefix]) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(",")
}

fn read_list(text: &str) -> Option<Vec<IpPrefix>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let addresses: Vec<IpPrefix> = text
        .split(',')
        .map(|prefix| prefix.trim().parse().ok())
        .collect::<Option<_>>()?;
    (addresses.len() <= MAX_ADDRESSES).then_some(addresses)
}

enum Line {
    Invitation(SecretHash, Invited),
    Member(String, Member),
}

fn read_line(text: &str) -> Option<Line> {
    let mut fields = text.split(';').map(str::trim);
    let kind = fields.next()?;
    let mut next = || fields.next();
    let time = |text: &str| text.parse::<Moment>().ok().map(|moment| moment.0);
    let is_name = |name: &str| Form::PeerName.parse(name).is_ok();
    let line = match kind {
        "invitation" => {
            let (hash, expires, name) = (next()?.parse().ok()?, time(next()?)?, next()?);
            let addresses = read_list(next()?)?;
            let name = Some(name.to_owned()).filter(|name| !name.is_empty());
            if name.as_deref().is_some_and(|name| !is_name(name)) {
                return None;
            }
            let open = Invited::Open {
                name,
                expires,
                addresses,
            };
            Line::Invitation(hash, open)
        }
        "member" => {
            let name = Some(next()?.to_owned()).filter(|name| is_name(name))?;
            let member = Member {
                public_key: next()?.parse().ok()?,
                invitation: next()?.parse().ok()?,
                since: time(next()?)?,
                addresses: read_list(next()?)?,
            };
            Line::Member(name, member)
        }
        _ => return None,
    };
    fields.next().is_none().then_some(line)
}
