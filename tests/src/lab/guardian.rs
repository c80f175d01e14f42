//! Removal that cannot be forgotten.
//!
//! The guardian is a small shell process that waits on a pipe whose other end only we hold. When we end, in
//! whatever way, the pipe closes, and the guardian ends every process in our namespaces, deletes the
//! namespaces and removes the directory.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use super::{LabError, Result, process};

const WAIT_FOR_THE_END: &str = r#"
trap '' INT TERM HUP
read -r word
[ "$word" = keep ] && exit 0
"#;

// `ip netns pids` lists processes of namespaces that only this laboratory has made.
const REMOVE: &str = r#"
list() { ip netns list | while read -r n _; do case $n in "$1"-*) echo "$n" ;; esac; done; }
for namespace in $(list "$1"); do
    for pid in $(ip netns pids "$namespace"); do kill -9 "$pid"; done
done
for namespace in $(list "$1"); do ip netns delete "$namespace"; done
[ -z "$2" ] || rm -rf -- "$2"
"#;

/// The process that clears away after us.
#[derive(Debug)]
pub struct Guardian {
    child: Child,
}

impl Guardian {
    /// Starts it for the namespaces `NAME-*` and `directory`.
    pub fn start(name: &str, directory: &Path) -> Result<Self> {
        let child = Command::new("sh")
            .args([
                "-c",
                &format!("{WAIT_FOR_THE_END}{REMOVE}"),
                "knet-lab-guardian",
                name,
            ])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| LabError::new(format!("cannot run sh: {e}")))?;
        Ok(Self { child })
    }

    /// Sends the guardian home: everything stays.
    pub fn keep(&mut self) -> Result<()> {
        if let Some(stdin) = self.child.stdin.as_mut() {
            stdin.write_all(b"keep\n")?;
        }
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Removes a laboratory that was kept.
pub fn remove(name: &str) -> Result<()> {
    let well_formed = name.strip_prefix("kn").is_some_and(|rest| {
        rest.split_once('x')
            .is_some_and(|(pid, n)| pid.parse::<u32>().is_ok() && n.parse::<u32>().is_ok())
    });
    if !well_formed {
        return Err(LabError::new(format!(
            "`{name}` is no name of a laboratory (kn<process>x<number>)"
        )));
    }
    let directory = std::env::temp_dir().join(format!("knet-lab-{name}"));
    process::run(
        "sh",
        &["-c", REMOVE, "remove", name, &directory.to_string_lossy()],
    )
    .map(drop)
}
