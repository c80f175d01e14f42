//! `knetd genkey`, `genpsk` and `pubkey`: the same text in and out as `wg` has.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{fd::AsFd, unix::fs::MetadataExt},
};

use libknet::{OsEntropy, api::value::base64_encode, proto::config::PrivateKey};
use zeroize::Zeroizing;

use crate::trust::parse_key;

/// Writes a new private key to standard output.
pub(crate) fn genkey() -> Result<(), String> {
    write_secret(&PrivateKey::generate(&mut OsEntropy).0)
}

/// Writes a new preshared key to standard output.
pub(crate) fn genpsk() -> Result<(), String> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *key).map_err(|e| format!("the operating system gives no random bytes: {e}"))?;
    write_secret(&key)
}

/// Reads a private key from standard input and writes its public key to standard output.
pub(crate) fn pubkey() -> Result<(), String> {
    let mut text = Zeroizing::new(Vec::with_capacity(256));
    io::stdin()
        .lock()
        .take(256)
        .read_to_end(&mut text)
        .map_err(|e| format!("standard input: {e}"))?;
    let key = parse_key(&text).ok_or(
        "standard input holds no private key; expected: 32 bytes in base64 (44 characters), as knetd genkey writes them",
    )?;
    write_line(&base64_encode(PrivateKey(key).public_key().as_bytes()))
}

fn write_secret(key: &[u8; 32]) -> Result<(), String> {
    if stdout_is_readable_by_others() {
        eprintln!(
            "Warning: writing to a file that others can read; knetd will refuse it. Set the umask to 077 and try again."
        );
    }
    write_line(&Zeroizing::new(base64_encode(key)))
}

fn write_line(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|e| format!("standard output: {e}"))
}

fn stdout_is_readable_by_others() -> bool {
    let metadata = io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .map(File::from)
        .and_then(|f| f.metadata());
    metadata.is_ok_and(|m| m.is_file() && m.mode() & 0o077 != 0)
}
