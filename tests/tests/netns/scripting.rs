//! `knet-cli` in scripts, with a real daemon: exit statuses, `--check`, JSON.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use knet_tests::lab::{
    Result,
    mesh::{Mesh, Plan},
    process::Feeding,
    program,
};
use serde_json::Value;

use super::{A, needs_root};

/// Exit status, standard output and standard error.
fn given(mesh: &Mesh, user: &[&str], arguments: &[&str]) -> Result<(i32, String, String)> {
    let mut command = match user {
        [] => Command::new(program("knet-cli")?),
        user => {
            let mut command = Command::new("setpriv");
            command.args(user).arg(program("knet-cli")?);
            command
        }
    };
    let socket = mesh.daemon(A).socket();
    let output = command.arg("--socket").arg(socket).args(arguments).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let status = output.status.code().unwrap_or(-1);
    Ok((status, text(output.stdout), text(output.stderr)))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[test]
fn exit_statuses_with_a_real_daemon() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(Plan::default())?;
    let none = given(&mesh, &[], &["-c", "show version"])?;
    assert_eq!(none.0, 3, "{none:?}");
    mesh.start_all()?;
    for (arguments, status) in [
        (&["-c", "show version"][..], 0),
        (&["show", "links"], 0),
        (&["-c", "show peer nobody"], 1),
        (&["-c", "shwo"], 1),
        (&["-c", "configure", "-c", "interface knet0", "-c", "mtu 99"], 1),
        (&["--no-such-argument"], 2),
        (&["-f", "/nonexistent/script"], 2),
    ] {
        let (code, out, err) = given(&mesh, &[], arguments)?;
        assert_eq!(code, status, "{arguments:?}: {out}{err}");
        // The same for programs.
        let (code, out, err) = given(&mesh, &[], &[&["--json"], arguments].concat())?;
        assert_eq!(code, status, "{arguments:?}: {out}{err}");
        out.lines().for_each(|line| drop(json(line)));
        if status == 1 {
            assert!(json(&err)["error"]["code"].is_string(), "{err}");
        }
    }

    // Nobody in particular: the socket is closed, and if it were open the daemon would refuse.
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let reachable = Command::new("setpriv")
        .args(nobody)
        .arg(program("knet-cli")?)
        .arg("--version")
        .output()?;
    if reachable.status.success() {
        let denied = given(&mesh, &nobody, &["-c", "show version"])?;
        assert_eq!(denied.0, 4, "{denied:?}");
        fs::set_permissions(mesh.daemon(A).socket(), fs::Permissions::from_mode(0o666))?;
        let denied = given(&mesh, &nobody, &["-c", "show version"])?;
        assert_eq!(denied.0, 4, "{denied:?}");
    } else {
        println!("the programs are out of reach for other users: denial is not looked at");
    }

    // A daemon that is stopped takes connections and answers nothing.
    let id = mesh.daemon(A).id().unwrap_or_default().to_string();
    knet_tests::lab::process::run("kill", &["-STOP", &id])?;
    let late = given(&mesh, &[], &["--timeout", "1", "-c", "show version"])?;
    knet_tests::lab::process::run("kill", &["-CONT", &id])?;
    assert_eq!(late.0, 5, "{late:?}");
    assert_eq!(given(&mesh, &[], &["-c", "show version"])?.0, 0);
    Ok(())
}

#[test]
fn a_check_asks_the_daemon_and_changes_nothing() -> Result<()> {
    needs_root!();
    let mut mesh = Mesh::build(Plan::default())?;
    mesh.start_all()?;
    let before = mesh.daemon(A).show("show running-config")?;
    let check = |script: &str| -> Result<(bool, String)> {
        let path = mesh.lab.host_directory(A).join("script");
        fs::write(&path, script)?;
        let path = path.to_string_lossy().into_owned();
        let (status, out, err) = given(&mesh, &[], &["--check", "-f", &path])?;
        Ok((status == 0, out + &err))
    };
    let enter = "configure terminal\ninterface knet0\n";
    for (script, part) in [
        (
            format!("{enter} peer new\n  link 5 remote dynamic\nend\nwrite memory\n"),
            "6 lines, no mistake",
        ),
        (format!("{enter}mtu 1300\nmtu 99\n"), "line 4: "),
        (
            format!("{enter}local 3 any port 7703\npeer ams1\nlink 4 local 4 remote dynamic\n"),
            "one of local 0, 3",
        ),
        // Key files are looked at, too.
        (
            format!("{enter}peer ams1\npreshared-key file none.psk\n"),
            "no such key file",
        ),
    ] {
        let (sound, told) = check(&script)?;
        assert_eq!(sound, part.contains("no mistake"), "{script}: {told}");
        assert!(told.contains(part), "{script}: {told}");
    }
    assert_eq!(mesh.daemon(A).show("show running-config")?, before);

    // What is checked can be done, from standard input as well, and is not asked about.
    let script = format!("{enter}mtu 1300\nend\n");
    assert!(check(&script)?.0);
    Feeding::prepare(&mut mesh.daemon(A).shell()?)?.finish(&script)?;
    let after = mesh.daemon(A).show("show running-config")?;
    assert!(
        after["running_config"]
            .as_str()
            .is_some_and(|text| text.contains("mtu 1300")),
        "{after}"
    );
    Ok(())
}
