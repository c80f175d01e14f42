//! tinc as a switch, with today's ciphers instead of its defaults, which OpenSSL no longer has.

use knet_tests::lab::{Result, process};

use crate::bed::{Bed, HOSTS};

const NAMES: [&str; 2] = ["a", "b"];

/// Two daemons.
pub(super) fn start() -> Result<Bed> {
    let mut bed = Bed::new()?;
    for host in HOSTS {
        let own = NAMES[host.0];
        let config = format!(
            "Name = {own}\nMode = switch\nDeviceType = tap\nInterface = tinc0\nAddressFamily = ipv4\nConnectTo = {}\n",
            NAMES[1 - host.0]
        );
        bed.write(host, "tinc/tinc.conf", &config)?;
        let address = format!(
            "Address = {}\nCipher = aes-256-cbc\nDigest = sha256\n",
            bed.outer(host)
        );
        bed.write(host, &format!("tinc/hosts/{own}"), &address)?;
        let directory = bed.file(host, "tinc");
        // Adds the public key to the host's file.
        process::run("tincd", &["-c", &directory.to_string_lossy(), "-K2048"])?;
    }
    for host in HOSTS {
        let own = NAMES[host.0];
        let public = std::fs::read_to_string(bed.file(host, &format!("tinc/hosts/{own}")))?;
        bed.write(HOSTS[1 - host.0], &format!("tinc/hosts/{own}"), &public)?;
    }
    for host in HOSTS {
        bed.spawn(host, "tincd", &["-c", "tinc", "-D", "--pidfile=tinc.pid"])?;
    }
    bed.raise(["tinc0", "tinc0"])?;
    Ok(bed)
}
