//! What this host must offer before anything is started.

use std::{fs, io, path::Path};

use libknet::{io::secrecy::keep_memory_private, proto::ids::Workers};

/// Descriptors that the daemon itself needs: log, runtime, 32 control clients, a margin.
const OWN_DESCRIPTORS: u64 = 128;
/// Descriptors of one interface besides its sockets: TAP, wake-ups, polls, netlink; and of each worker after the first.
const INTERFACE_DESCRIPTORS: u64 = 16;
const WORKER_DESCRIPTORS: u64 = 4;

/// Refuses to run where TAPs cannot be made. The text names the thing and the remedy.
pub(crate) fn can_make_interfaces() -> Result<(), String> {
    const CAP_NET_ADMIN: u32 = 12;
    let tun = Path::new("/dev/net/tun");
    match fs::OpenOptions::new().read(true).write(true).open(tun) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(
                "/dev/net/tun is not there; run: modprobe tun (in a container: pass the device in, as \
                        with --device /dev/net/tun)"
                    .into(),
            );
        }
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            return Err("/dev/net/tun: permission denied; run knetd as root".into());
        }
        Err(e) => return Err(format!("/dev/net/tun: {e}; is the kernel built with CONFIG_TUN?")),
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    match effective_capabilities(&status) {
        Some(capabilities) if capabilities & 1 << CAP_NET_ADMIN == 0 => {
            Err("the capability CAP_NET_ADMIN is missing; run knetd as root".into())
        }
        _ => Ok(()),
    }
}

/// Refuses to run where the limit on open files does not suffice for these interfaces, given by their number of
/// workers, and of local addresses, each: every worker has a socket at each address.
pub(crate) fn enough_descriptors(interfaces: impl Iterator<Item = (Workers, usize)>) -> Result<(), String> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    // Without /proc there is nothing to compare with; an attempt will show.
    let Some(limit) = open_files_limit(&limits) else {
        return Ok(());
    };
    let of_interface = |(workers, sockets): (Workers, usize)| {
        let workers = u64::from(workers.get());
        INTERFACE_DESCRIPTORS + WORKER_DESCRIPTORS * (workers - 1) + workers * 2 * sockets as u64
    };
    let needed = OWN_DESCRIPTORS + interfaces.map(of_interface).sum::<u64>();
    if limit < needed {
        return Err(format!(
            "at most {limit} files may be open, and this configuration needs {needed}; run: ulimit -n {needed} \
             (under systemd: LimitNOFILE={needed})"
        ));
    }
    Ok(())
}

/// Files that are open, and how many may be; `None` without /proc.
pub(crate) fn descriptors() -> Option<(u64, u64)> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    Some((open, open_files_limit(&limits)?))
}

/// Bytes of memory that this process uses, and the most that it ever did; `None` without /proc.
pub(crate) fn resident_memory() -> Option<(u64, u64)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some((kibibytes(&status, "VmRSS:")?, kibibytes(&status, "VmHWM:")?))
}

/// Keeps the keys out of core dumps, and from other programs of our user. Best effort: it runs without.
pub(crate) fn keep_keys_private() {
    if let Err(error) = keep_memory_private() {
        tracing::warn!("a core dump may be written, with the keys in it: {error}");
    }
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// A number of the kernel's in KiB, in bytes.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix(name))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    number.checked_mul(1024)
}

fn open_files_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|l| l.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024     524288     files\n";
        assert_eq!(open_files_limit(limits), Some(1024));
        assert_eq!(
            open_files_limit("Max open files unlimited unlimited files"),
            Some(u64::MAX)
        );
        assert_eq!(open_files_limit(""), None);
        assert_eq!(
            effective_capabilities("CapPrm:\t0\nCapEff:\t0000000000001000\n"),
            Some(1 << 12)
        );
        assert_eq!(
            kibibytes("VmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n", "VmRSS:"),
            Some(1 << 20)
        );
        let (now, most) = resident_memory().unwrap();
        assert!(0 < now && now <= most, "{now} {most}");
    }

    #[test]
    fn too_few_descriptors_are_told_with_the_number_needed() {
        enough_descriptors(std::iter::empty()).unwrap();
        for (workers, needed) in [(1, "ulimit -n 8000000192"), (3, "ulimit -n 24000000224")] {
            let size = (Workers::new(workers).unwrap(), 1_000_000_000);
            let error = enough_descriptors(std::iter::repeat_n(size, 4)).unwrap_err();
            assert!(error.contains(needed), "{error}");
        }
    }
}
