//! fastd, with the fastest of its methods that both encrypt and authenticate.

use knet_tests::lab::{LabError, Result, process};

use crate::bed::{Bed, HOSTS};

/// The largest that fits into a path of 1500 bytes, by its manual.
const MTU: &str = "1406";

/// Two daemons.
pub(super) fn start() -> Result<Bed> {
    let mut bed = Bed::new()?;
    let keys = [key_pair()?, key_pair()?];
    for host in HOSTS {
        let other = HOSTS[1 - host.0];
        let config = format!(
            "mode tap;\ninterface \"fastd0\";\nmtu {MTU};\nmethod \"salsa2012+umac\";\nbind {}:10000;\n\
             secret \"{}\";\npeer \"other\" {{ key \"{}\"; remote {}:10000; }}\n",
            bed.outer(host),
            keys[host.0].0,
            keys[other.0].1,
            bed.outer(other),
        );
        bed.write(host, "fastd.conf", &config)?;
        bed.spawn(host, "fastd", &["--config", "fastd.conf", "--log-level", "warn"])?;
    }
    bed.raise(["fastd0", "fastd0"])?;
    Ok(bed)
}

/// Secret and public key.
fn key_pair() -> Result<(String, String)> {
    let text = process::run("fastd", &["--generate-key"])?;
    let field = |name: &str| {
        let line = text.lines().find(|l| l.to_lowercase().starts_with(name));
        line.and_then(|l| l.split_whitespace().last()).map(str::to_owned)
    };
    match (field("secret"), field("public")) {
        (Some(secret), Some(public)) => Ok((secret, public)),
        _ => Err(LabError::new(format!("fastd --generate-key printed `{text}`"))),
    }
}
