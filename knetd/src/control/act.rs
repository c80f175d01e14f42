//! What is done at once and changes no configuration: sessions begun anew, keys made, the file read again.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Component, Path, PathBuf},
};

use libknet::{
    OsEntropy,
    api::{
        message::{ApiError, ErrorCode, Reply},
        model,
        value::base64_encode,
    },
    proto::config::PrivateKey,
};
use zeroize::Zeroizing;

use super::names;
use crate::{
    config::{history::Origin, load::LoadError},
    daemon::Daemon,
    events,
    events::Loudness,
};

/// `reset peer`: the session with the peer ends and is made anew, or one link begins afresh.
pub(crate) fn reset(
    daemon: &mut Daemon,
    interface: Option<&str>,
    peer: &str,
    link: Option<u8>,
    user: &str,
) -> Result<Reply, ApiError> {
    let config = daemon.in_force().clone();
    let (interface, _, peer, _) = names::peer(&config, interface, peer)?;
    let overlay = daemon.overlay(interface).ok_or_else(|| {
        ApiError::new(ErrorCode::System, format!("interface {interface} does not run"))
            .with_hint(format!("see `show interfaces {interface}`"))
    })?;
    overlay.reset(peer, link)?;
    let what = link.map_or(String::new(), |link| format!(" link {link}"));
    let text = format!("{interface} peer {peer}{what}: reset by {user}");
    let row = libknet::api::message::EventRow {
        interface: Some(interface.into()),
        peer: Some(peer.into()),
        link,
        what: format!("reset by {user}"),
        ..events::own("reset", &text)
    };
    daemon
        .events
        .publish(&format!("reset {interface} {peer}{what}"), Loudness::Info, row);
    Ok(Reply::Done)
}

/// `crypto key generate`: a new private key in a new file beside the configuration.
pub(crate) fn generate_key(daemon: &Daemon, file: &str) -> Result<Reply, ApiError> {
    let path = beside(daemon.config_file(), file)?;
    let key = PrivateKey::generate(&mut OsEntropy);
    let mut text = Zeroizing::new(base64_encode(&key.0[..]));
    text.push('\n');
    write_new(&path, text.as_bytes()).map_err(|error| {
        let shown = path.display();
        match error.kind() {
            io::ErrorKind::AlreadyExists => ApiError::new(
                ErrorCode::Invalid,
                format!("{shown} is there already, and stays as it is"),
            )
            .with_hint("another name"),
            _ => ApiError::new(ErrorCode::System, format!("{shown}: {error}")),
        }
    })?;
    let public_key = model::PublicKey(*key.public_key().as_bytes()).to_string();
    let path = path.display().to_string();
    tracing::info!("{path}: a new private key was made, its public key is {public_key}");
    Ok(Reply::KeyMade { path, public_key })
}

/// The path of `file` in the directory of the configuration: only a name, so that nobody who may configure the tunnel
/// can have files made elsewhere.
fn beside(config_file: &Path, file: &str) -> Result<PathBuf, ApiError> {
    let mut parts = Path::new(file).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) if name == file => Ok(config_file.with_file_name(name)),
        _ => {
            let text = format!("{file} is more than the name of a file");
            let hint = "a name; the file is made in the directory of the configuration";
            Err(ApiError::new(ErrorCode::Invalid, text).with_hint(hint))
        }
    }
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .inspect_err(|_| {
            let _ = std::fs::remove_file(path);
        })
}

/// `reload config`: as SIGHUP does.
pub(crate) fn reload(daemon: &mut Daemon, user: &str) -> Result<Reply, ApiError> {
    let path = daemon.config_file().to_owned();
    daemon.load(Origin::Reload).map_err(|error| {
        let code = match &error {
            LoadError::Problems(_) => ErrorCode::Invalid,
            LoadError::File(_) | LoadError::System(_) => ErrorCode::System,
        };
        let lines = error.lines(&path);
        let others = match lines.len() {
            0 | 1 => String::new(),
            n => format!(" (and {} more, see `knetd --check`)", n - 1),
        };
        let first = lines.first().map_or("", String::as_str);
        ApiError::new(code, format!("{first}{others}"))
    })?;
    let text = format!(
        "{} read again by {user}: revision {}",
        path.display(),
        daemon.revision()
    );
    daemon.tell_configured(&text);
    Ok(Reply::Edited {
        revision: daemon.revision(),
        hostname: daemon.hostname(),
        notes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_beside_the_configuration_only() {
        let config = Path::new("/etc/knet/knetd.conf");
        assert_eq!(beside(config, "a.key").unwrap(), Path::new("/etc/knet/a.key"));
        for name in ["", ".", "..", "/tmp/a", "../a", "a/b", "./a", "a/"] {
            assert_eq!(
                beside(config, name).unwrap_err().code,
                ErrorCode::Invalid,
                "{name}"
            );
        }
    }
}
