//! Looks for secrets in the memory of another process, as a debugger or a thief would.

use std::{
    collections::HashMap,
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
};

/// As few bytes of a secret as count as a find. Random memory has none of them.
const WINDOW: usize = 16;
/// Memory is read in pieces of this size.
const PIECE: usize = 1 << 20;

/// Part of a secret, found.
#[derive(Clone, PartialEq, Eq)]
pub struct Find {
    /// Where.
    pub address: u64,
    /// In what: the line of `/proc/PID/maps`.
    pub mapping: String,
    /// Of which secret: its place in the list.
    pub secret: usize,
    /// The first byte of it that is there.
    pub from: usize,
    /// How many bytes are there.
    pub length: usize,
}

impl Find {
    /// Which window would make it longer.
    fn next(&self) -> (u64, usize, usize) {
        let windows = self.length - WINDOW + 1;
        (self.address + windows as u64, self.secret, self.from + windows)
    }
}

impl fmt::Debug for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.from, self.from + self.length - 1);
        write!(
            f,
            "secret {}, bytes {first} to {last}, at {:#x} in {}",
            self.secret, self.address, self.mapping
        )
    }
}

/// Every place in the memory of process `id` that has at least 16 consecutive bytes of one of `secrets`.
///
/// # Errors
/// The process is gone, or we are not root.
pub fn find(id: u32, secrets: &[&[u8]]) -> io::Result<Vec<Find>> {
    let windows: HashMap<&[u8], (usize, usize)> = secrets
        .iter()
        .zip(0..)
        .flat_map(|(bytes, secret)| bytes.windows(WINDOW).zip((0..).map(move |from| (secret, from))))
        .collect();
    // Nearly all of memory is passed over by this.
    let mut begins = vec![false; 1 << 16];
    for window in windows.keys() {
        begins[beginning(window)] = true;
    }
    let memory = File::open(format!("/proc/{id}/mem"))?;
    let mut piece = vec![0; PIECE];
    let mut finds = Vec::new();
    for mapping in fs::read_to_string(format!("/proc/{id}/maps"))?.lines() {
        let Some((start, end)) = readable(mapping) else {
            continue;
        };
        let mut at = start;
        while at < end {
            let wanted = PIECE.min((end - at) as usize);
            // Gone meanwhile, or the kernel's own.
            let Ok(length) = memory.read_at(&mut piece[..wanted], at) else {
                break;
            };
            for (offset, window) in piece[..length].windows(WINDOW).enumerate() {
                if begins[beginning(window)]
                    && let Some((secret, from)) = windows.get(window)
                {
                    add(&mut finds, at + offset as u64, mapping, *secret, *from);
                }
            }
            // What lies across the border is in the next piece.
            at += (length.saturating_sub(WINDOW - 1)).max(1) as u64;
            if length < WINDOW {
                break;
            }
        }
    }
    Ok(finds)
}

fn beginning(window: &[u8]) -> usize {
    usize::from(window[0]) << 8 | usize::from(window[1])
}

/// One window more: of the find before it, or of another.
fn add(finds: &mut Vec<Find>, address: u64, mapping: &str, secret: usize, from: usize) {
    match finds.last_mut() {
        Some(last) if last.next() == (address, secret, from) => last.length += 1,
        _ => finds.push(Find {
            address,
            mapping: mapping.into(),
            secret,
            from,
            length: WINDOW,
        }),
    }
}

/// Where a mapping begins and ends, if it can be read.
fn readable(mapping: &str) -> Option<(u64, u64)> {
    let mut words = mapping.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    words.next()?.starts_with('r').then_some(())?;
    Some((
        u64::from_str_radix(start, 16).ok()?,
        u64::from_str_radix(end, 16).ok()?,
    ))
}
