//! `OpenVPN` with a TAP and TLS; its kernel module carries no Ethernet frames.

use knet_tests::lab::{Result, process};

use crate::bed::{Bed, HOSTS};

/// Two daemons that know each other by their certificates' fingerprints.
pub(super) fn start() -> Result<Bed> {
    let mut bed = Bed::new()?;
    let mut fingerprints = Vec::new();
    for host in HOSTS {
        let [key, certificate] =
            ["key.pem", "cert.pem"].map(|f| bed.file(host, f).to_string_lossy().into_owned());
        let request =
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=knet-bench";
        let mut words: Vec<&str> = request.split(' ').collect();
        words.extend(["-keyout", &key, "-out", &certificate]);
        process::run("openssl", &words)?;
        let printed = process::run(
            "openssl",
            &["x509", "-noout", "-fingerprint", "-sha256", "-in", &certificate],
        )?;
        fingerprints.push(
            printed
                .split('=')
                .next_back()
                .unwrap_or_default()
                .trim()
                .to_owned(),
        );
    }
    for host in HOSTS {
        let (own, remote) = (
            bed.outer(host).to_string(),
            bed.outer(HOSTS[1 - host.0]).to_string(),
        );
        let role = ["--tls-server", "--tls-client"][host.0];
        let mut words = vec![role];
        if host == HOSTS[0] {
            words.extend(["--dh", "none"]);
        }
        words.extend([
            "--dev",
            "tap7",
            "--dev-type",
            "tap",
            "--proto",
            "udp",
            "--local",
            &own,
            "--remote",
            &remote,
            "--port",
            "1194",
            "--cert",
            "cert.pem",
            "--key",
            "key.pem",
            "--peer-fingerprint",
            &fingerprints[1 - host.0],
            "--data-ciphers",
            "AES-256-GCM",
            "--cipher",
            "AES-256-GCM",
        ]);
        bed.spawn(host, "openvpn", &words)?;
    }
    bed.raise(["tap7", "tap7"])?;
    Ok(bed)
}
