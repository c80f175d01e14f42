//! Commands from `-c` and from standard input: output, exit status, JSON.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    fake_daemon::{FakeDaemon, Temper},
    run, shell, text,
};

/// Exit status, standard output and standard error of the shell with these arguments.
fn given(daemon: &FakeDaemon, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = shell(&daemon.socket, daemon.directory());
    command.args(arguments);
    let output = run(command, input);
    let status = output.status.code().expect("an exit status");
    (
        status,
        text(&output.stdout).to_owned(),
        text(&output.stderr).to_owned(),
    )
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[test]
fn commands_keep_their_place_between_each_other() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let lines = [
        "conf t",
        "int knet0",
        "peer ams1",
        "link 0 pri 10",
        "do sh run | sec link 0",
        "no shutdown",
    ];
    let arguments: Vec<&str> = lines.iter().flat_map(|line| ["-c", line]).collect();
    let (status, out, err) = given(&daemon, &arguments, "");
    assert_eq!((status, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "  link 0 local 0 remote 203.0.113.7 port 7700\n   priority 10\n"
    );
}

#[test]
fn words_are_a_command() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let (status, out, _) = given(&daemon, &["--json", "show", "peers"], "");
    assert_eq!(status, 0);
    assert_eq!(json(&out)["peers"][1]["peer"], "lab2");
}

#[test]
fn a_script_stops_at_its_first_mistake_and_names_the_line() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let script = "configure terminal\n! a comment\ninterface knet0\n mtu 99\nhostname never\n";
    let (status, out, err) = given(&daemon, &[], script);
    assert_eq!((status, out.as_str()), (1, ""));
    assert_eq!(
        err,
        "line 4:  mtu 99\n             ^\n% Invalid input detected at '^' marker.\n  99 is out of range\n  \
         expected: <576-9216> (bytes), auto\n"
    );
    let (_, out, _) = given(&daemon, &["-c", "show running-config | include hostname"], "");
    assert_eq!(out, "hostname fra1\n");
}

#[test]
fn the_daemon_s_reason_is_set_under_the_word_to_blame() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let script = "conf\nint knet0\npeer ams1\nlink 2 local 7 remote 203.0.113.8 port 7700\n";
    let (status, _, err) = given(&daemon, &[], script);
    assert_eq!(status, 1);
    assert_eq!(
        err,
        "line 4: link 2 local 7 remote 203.0.113.8 port 7700\n                     ^\n% link 2 of peer ams1 uses \
         local 7, which interface knet0 does not have\n  expected: one of local 0, 1\n"
    );
    // Nothing of the line is left.
    let (_, out, _) = given(&daemon, &["-c", "show running-config | include link 2"], "");
    assert_eq!(out, "");
}

#[test]
fn a_running_configuration_can_be_pasted_back() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let (_, before, _) = given(&daemon, &["-c", "show running-config"], "");
    let (status, _, err) = given(
        &daemon,
        &[],
        &format!("configure\nno interface knet0\n{before}end\n"),
    );
    assert_eq!((status, err.as_str()), (0, ""));
    let (_, after, _) = given(&daemon, &["-c", "show running-config"], "");
    assert_eq!(after, before);
}

#[test]
fn what_ends_with_a_question_mark_can_be_a_description() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let script =
        "conf\ninterface knet0\ndescription really?\n! why?\nend\nshow running-config | include really\n";
    let (status, out, err) = given(&daemon, &[], script);
    assert_eq!(
        (status, err.as_str(), out.as_str()),
        (0, "", " description really?\n")
    );
}

#[test]
fn an_incomplete_object_is_noted_when_it_is_left() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let script =
        "conf\ninterface knet1\npeer a\n description x\nexit\nprivate-key file k\nlocal 0 any port 7\nend\n";
    let (status, _, err) = given(&daemon, &[], script);
    assert_eq!(status, 0);
    assert_eq!(
        err,
        "% Note: peer a has no public key and stays down (expected: public-key KEY)\n"
    );
}

#[test]
fn json_is_all_that_is_printed() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    for (command, name) in [
        ("show version", "version"),
        ("show interfaces", "interfaces"),
        ("show peers", "peers"),
        ("show peer ams1", "peer"),
        ("show links", "links"),
        ("show mac address-table", "mac_address_table"),
        ("show arp", "arp"),
        ("show storm-control", "storm_control"),
        ("show vlan", "vlans"),
        ("show ip igmp snooping", "igmp_snooping"),
        ("show ipv6 mld snooping", "mld_snooping"),
        ("show running-config", "running_config"),
        ("show startup-config", "startup_config"),
        ("show logging", "logging"),
        ("show history", "history"),
        ("write memory", "written"),
        ("ping peer ams1 count 1", "ping"),
        ("show peers | count", "count"),
        ("show peers | include lab | no-more", "peers"),
        ("show peer ams1 | last 3", "lines"),
        ("show terminal", "terminal"),
        ("show drops", "drops"),
        ("show limits", "limits"),
        ("show topology", "topology"),
        ("show tech-support", "tech_support"),
        ("show debugging", "debugging"),
        ("crypto key show", "public_keys"),
        ("crypto key generate new.key", "key"),
        ("reload config", "reloaded"),
        ("test link ams1 0 count 2", "test_link"),
    ] {
        let (status, out, err) = given(&daemon, &["--json", "-c", command], "");
        assert_eq!((status, err.as_str()), (0, ""), "{command}");
        let document = json(&out);
        assert_eq!(document["schema"], 1, "{command}");
        assert!(!document[name].is_null(), "{command}: {out}");
    }
    let (_, out, _) = given(
        &daemon,
        &[
            "--json",
            "-c",
            "conf",
            "-c",
            "hostname a",
            "-c",
            "help",
            "-c",
            "show ?",
        ],
        "",
    );
    assert_eq!(out, "");
    let (_, out, _) = given(&daemon, &["-c", "show links | json"], "");
    assert_eq!(json(&out)["links"][0]["rtt_us"], 1234);
}

#[test]
fn a_format_can_be_chosen_for_one_answer() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let (_, table, _) = given(&daemon, &["-c", "show links"], "");
    let (_, out, _) = given(&daemon, &["--json", "-c", "show links | table"], "");
    assert_eq!(out, table);
    // Filters choose the same rows in both.
    let (_, out, _) = given(&daemon, &["-c", "show peers | exclude \"^x|up\" | json"], "");
    let peers = json(&out);
    assert_eq!(peers["peers"].as_array().map(Vec::len), Some(1));
    assert_eq!(peers["peers"][0]["peer"], "lab2");
    let (_, out, _) = given(&daemon, &["-c", "ping peer ams1 count 1 | json"], "");
    assert_eq!(json(&out)["ping"]["peer"], "ams1");
    // What is drawn is whole.
    let (_, out, _) = given(&daemon, &["-c", "show topology | dot"], "");
    assert!(out.starts_with("graph knet {\n") && out.ends_with("}\n"), "{out}");
    assert!(out.contains("[label=\"link 0 up, 1.23ms\""), "{out}");
    let (_, out, _) = given(&daemon, &["-c", "show topology | svg"], "");
    assert!(out.starts_with("<svg ") && out.ends_with("</svg>\n"), "{out}");
    assert_eq!(out.matches("<path ").count(), 2, "{out}");
}

#[test]
fn answers_go_into_new_files_only() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let file = daemon.directory().join("a file");
    let line = format!("show peers | include ams | redirect \"{}\"", file.display());
    let (status, out, _) = given(&daemon, &["-c", &line], "");
    assert_eq!(status, 0);
    let written = std::fs::read_to_string(&file).expect("the file");
    let told = format!("Written to {}, {} bytes\n", file.display(), written.len());
    assert_eq!(out, told);
    assert_eq!(written.lines().count(), 2, "{written}");
    assert_eq!(
        std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777,
        0o600
    );
    let (status, out, err) = given(&daemon, &["-c", &line], "");
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.contains("is there already; with `overwrite`"), "{err}");
    let (status, out, _) = given(&daemon, &["--json", "-c", &format!("{line} overwrite")], "");
    assert_eq!(status, 0);
    assert_eq!(json(&out)["written"]["path"], file.to_str().expect("UTF-8"));
    let written = std::fs::read_to_string(&file).expect("the file");
    assert_eq!(json(&written)["peers"][0]["peer"], "ams1");
    // The user's home.
    let (status, _, _) = given(&daemon, &["-c", "show version | redirect ~/v"], "");
    assert_eq!((status, daemon.directory().join("v").exists()), (0, true));
    let (status, _, err) = given(&daemon, &["-c", "show version | redirect /nowhere/v"], "");
    assert_eq!(status, 1);
    assert!(err.contains("/nowhere/v: No such file or directory"), "{err}");
}

#[test]
fn tech_support_has_everything_and_no_secret() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let file = daemon.directory().join("t.tar.gz");
    let line = format!("show tech-support archive {}", file.display());
    let (status, _, err) = given(&daemon, &["-c", &line], "");
    assert_eq!((status, err.as_str()), (0, ""));
    let unpacked = Command::new("tar")
        .args(["xzOf"])
        .arg(&file)
        .output()
        .expect("tar");
    let text = text(&unpacked.stdout);
    for part in [
        "show limits",
        "show peer lab2 history",
        "/proc/net/dev",
        "private-key <removed>",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("fra1.key"), "{text}");
    let (status, _, err) = given(&daemon, &["-c", &line], "");
    assert_eq!(status, 1);
    assert!(err.contains("is there already"), "{err}");
    let (status, _, _) = given(&daemon, &["-c", &format!("{line} overwrite")], "");
    assert_eq!(status, 0);
}

#[test]
fn what_disturbs_traffic_needs_a_word_where_nobody_can_be_asked() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let (status, out, err) = given(&daemon, &["-c", "reset peer ams1"], "y\n");
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.contains("with `force` at its end"), "{err}");
    let (status, _, err) = given(&daemon, &["-c", "reset peer ams1 link 1 force"], "");
    assert_eq!((status, err.as_str()), (0, ""));
    let (status, _, _) = given(&daemon, &["-c", "reset peer nobody force"], "");
    assert_eq!(status, 1);
    let strict = FakeDaemon::start(Temper::Strict);
    let (status, _, _) = given(&strict, &["-c", "reset peer ams1 force"], "");
    assert_eq!(status, 4);
}

#[test]
fn live_views_are_lines_elsewhere_than_on_a_terminal() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let begun = |arguments: &[&str]| {
        let mut child = shell(&daemon.socket, daemon.directory())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the shell");
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("its output")));
        let first: Vec<String> = (0..2)
            .filter_map(|_| lines.next())
            .map(|l| l.expect("a line"))
            .collect();
        let _ = child.kill();
        let _ = child.wait();
        first
    };
    for (view, name, column) in [
        ("links", "links", "RTT lately"),
        ("peers", "peers", "Traffic lately"),
        ("traffic peer ams1", "traffic", "Packets/s"),
    ] {
        let looks = begun(&["--json", "-c", &format!("monitor {view}")]);
        let (first, second) = (json(&looks[0]), json(&looks[1]));
        assert!(first[name][0]["interface"] == "knet0", "{first}");
        // The first look has nothing to compare with.
        let rate = if name == "traffic" {
            "bytes_per_second"
        } else {
            "tx_bytes_per_second"
        };
        assert!(first[name][0][rate].is_null(), "{first}");
        assert_eq!(second[name][0][rate], 0.0, "{second}");
        let lines = begun(&["-c", &format!("monitor {view}")]);
        assert!(lines[1].contains(column), "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')), "{lines:?}");
    }
}

#[test]
fn events_of_one_peer_are_told_from_others() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let (status, out, _) = given(&daemon, &["-c", "debug peer ams1 link 1"], "");
    assert_eq!((status, out.lines().count()), (0, 4), "{out}");
    let (status, out, _) = given(&daemon, &["-c", "debug peer lab2"], "");
    assert_eq!((status, out.as_str()), (0, ""));
    let (status, _, err) = given(&daemon, &["-c", "debug peer nobody"], "");
    assert_eq!(status, 1);
    assert!(err.contains("there is no peer nobody"), "{err}");
}

#[test]
fn errors_are_json_too() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let (status, out, err) = given(&daemon, &["--json"], "show version\nshow peer nobody\n");
    assert_eq!(status, 1);
    assert_eq!(json(&out)["version"]["pid"], 4242);
    let error = &json(&err)["error"];
    assert_eq!(error["code"], "not-found");
    assert_eq!(error["line"], 2);
    assert_eq!(error["command"], "show peer nobody");
    let (_, _, err) = given(&daemon, &["--json", "-c", "show peeer"], "");
    let error = &json(&err)["error"];
    assert_eq!(
        (&error["code"], &error["column"]),
        (&json("\"syntax\""), &json("6"))
    );
    assert!(
        error["expected"]
            .as_str()
            .expect("a text")
            .contains("did you mean `peer`?")
    );
}

/// A script in the daemon's directory.
fn script(daemon: &FakeDaemon, text: &str) -> String {
    let path = daemon.directory().join("change.txt");
    std::fs::write(&path, text).expect("the script");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn commands_are_read_from_a_file() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let path = script(
        &daemon,
        "configure\nhostname ber1\nend\nshow running-config | include hostname\n",
    );
    let (status, out, err) = given(&daemon, &["-f", &path], "hostname never\n");
    assert_eq!((status, out.as_str(), err.as_str()), (0, "hostname ber1\n", ""));
    let (status, out, _) = given(&daemon, &["-f", "-"], "show running-config | include hostname\n");
    assert_eq!((status, out.as_str()), (0, "hostname ber1\n"));

    let path = script(&daemon, "configure\n\ninterface knet0\n mtu 99\n");
    let (status, _, err) = given(&daemon, &["-f", &path], "");
    assert_eq!(status, 1);
    let place = format!("{path}, line 4: ");
    let caret = format!("\n{}^\n", " ".repeat(place.len() + 5));
    assert!(err.starts_with(&place) && err.contains(&caret), "{err}");
    let (_, _, err) = given(&daemon, &["--json", "-f", &path], "");
    assert_eq!(json(&err)["error"]["file"], path.as_str());
    assert_eq!(json(&err)["error"]["line"], 4);

    let missing = format!("{path}.not-there");
    let (status, _, err) = given(&daemon, &["-f", &missing], "");
    assert_eq!(status, 2);
    assert!(err.starts_with(&format!("% {missing}: cannot be read")), "{err}");
    assert_eq!(given(&daemon, &["-f", &path, "-c", "show version"], "").0, 2);
}

#[test]
fn what_is_checked_is_not_done() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let path = script(
        &daemon,
        "configure\n! a comment\ninterface knet0\npeer new\nlink 3 local 1 remote dynamic\nend\nshow peers | count\nwrite\n",
    );
    let (status, out, err) = given(&daemon, &["--check", "-f", &path], "");
    assert_eq!(
        (status, out.as_str(), err.as_str()),
        (0, "8 lines, no mistake\n", "")
    );
    let (_, out, _) = given(&daemon, &["-c", "show running-config | include new"], "");
    assert_eq!(out, "", "the change was made");
    let (_, out, _) = given(&daemon, &["--json", "--check", "-f", &path], "");
    assert_eq!(json(&out)["check"], json("{\"lines\": 8, \"validated\": true}"));
}

#[test]
fn a_check_finds_what_the_daemon_would_refuse() {
    for (script, part) in [
        ("conf\nint knet0\nmtu 99\n", "line 3: mtu 99\n            ^\n"),
        (
            "conf\nint knet0\npeer ams1\nlink 2 local 7 remote dynamic\n",
            "one of local 0, 1",
        ),
        // What was only tried counts.
        ("conf\nint knet0\nno local 1\n", "uses local 1"),
        (
            "conf\nint knet0\nlocal 7 any port 9\npeer ams1\nlink 2 local 7 remote dynamic\nlink 3 local 8 remote dynamic\n",
            "one of local 0, 1, 7",
        ),
        ("show version | grep x\n", "begin, count"),
        ("show version now\n", "the end of the line"),
        (
            "mtu 1400\n",
            "a line of an interface: give `configure terminal` and `interface <interface>` first",
        ),
    ] {
        let daemon = FakeDaemon::start(Temper::Friendly);
        let (status, out, err) = given(&daemon, &["--check"], script);
        assert_eq!((status, out.as_str()), (1, ""), "{script}");
        assert!(err.contains(part), "{script}: {err}");
    }
}

#[test]
fn words_can_be_checked_without_a_daemon() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let nobody = daemon.directory().join("nobody.sock");
    let check = |arguments: &[&str], input| {
        let mut command = shell(&nobody, daemon.directory());
        command.arg("--check").args(arguments);
        run(command, input)
    };
    let output = check(
        &[],
        "configure\ninterface knet0\n mtu 1400\n local 0 any port 1\nend\n",
    );
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "5 lines, no mistake\n");
    assert!(
        text(&output.stderr).contains("There is no knetd"),
        "{}",
        text(&output.stderr)
    );
    let output = check(&["--json"], "show version\n");
    assert_eq!(json(text(&output.stdout))["check"]["validated"], false);
    assert_eq!(text(&output.stderr), "");
    let output = check(&["--keep-going"], "configure\nhotsname a\nhostname b\nmtu x\n");
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("line 2: ") && told.contains("line 4: "), "{told}");
}

#[test]
fn a_name_that_is_not_there_is_marked() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let (status, _, err) = given(&daemon, &["-c", "show peer asm1 | count"], "");
    assert_eq!(status, 1);
    assert_eq!(
        err,
        "line 1: show peer asm1 | count\n                  ^\n% there is no peer asm1\n  there is ams1, lab2; did you mean `ams1`?\n"
    );
    let (_, _, err) = given(&daemon, &["--json", "-c", "ping peer nobody count 3"], "");
    assert_eq!(json(&err)["error"]["column"], 11);
    let (_, _, err) = given(
        &daemon,
        &["-c", "conf", "-c", "int knet0", "-c", "no peer lba2"],
        "",
    );
    assert!(
        err.contains("\n                ^\n")
            && err.contains("expected: one of ams1, lab2; did you mean `lab2`?"),
        "{err}"
    );
}

#[test]
fn everything_that_can_be_typed_can_be_found() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let (_, out, _) = given(&daemon, &["-c", "find heartbeat | include link"], "");
    assert!(out.contains("timers <interval> <timeout>"), "{out}");
    assert!(!out.contains("hostname"), "{out}");
    let (_, out, _) = given(&daemon, &["--json", "-c", "show commands"], "");
    let all = &json(&out)["commands"];
    let is = |syntax| {
        all.as_array()
            .expect("a list")
            .iter()
            .any(|row| row["syntax"] == syntax)
    };
    assert!(is("show commands") && is("cost <cost>"), "{out}");
    let (status, out, _) = given(&daemon, &["-c", "find no such thing"], "");
    assert_eq!(
        (status, out.as_str()),
        (0, "Nothing speaks of no such thing; `show commands` lists all\n")
    );
}

#[test]
fn other_shells_ask_what_may_follow() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let offered = |line| given(&daemon, &["--complete", line], "");
    assert_eq!(
        offered("show pee"),
        (0, "peer\npeer-group\npeers\n".into(), String::new())
    );
    assert_eq!(offered("show peer a").1, "ams1\namster2\n");
    assert_eq!(offered("nonsense ").1, "");
    let mut command = shell(&daemon.directory().join("nobody.sock"), daemon.directory());
    command.args(["--complete", "show peer "]);
    let output = run(command, "");
    assert_eq!(
        (output.status.code(), text(&output.stdout), text(&output.stderr)),
        (Some(0), "", "")
    );
}

#[test]
fn what_others_have_written_gives_no_orders_to_the_terminal() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    for json in [&[][..], &["--json"]] {
        for command in [
            "show interfaces",
            "show peer lab2",
            "show peers",
            "terminal monitor",
        ] {
            let (status, out, _) = given(&daemon, &[json, &["-c", command]].concat(), "");
            assert_eq!(status, 0, "{command}");
            let orders = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert_eq!(out.find(orders), None, "{command}: {out:?}");
            assert!(!out.contains("\\u001b"), "{command}: {out:?}");
        }
    }
}

#[test]
fn exit_statuses_tell_what_went_wrong() {
    let friendly = FakeDaemon::start(Temper::Friendly);
    let strict = FakeDaemon::start(Temper::Strict);
    let closed = FakeDaemon::start(Temper::Closed);
    let silent = FakeDaemon::start(Temper::Silent);
    let broken = FakeDaemon::start(Temper::Broken);
    for (daemon, arguments, status, part) in [
        (&friendly, &["-c", "show version"][..], 0, ""),
        (
            &friendly,
            &["-c", "show peer nobody"],
            1,
            "% there is no peer nobody",
        ),
        (&friendly, &["-c", "shwo"], 1, "did you mean `show`?"),
        (
            &friendly,
            &["-c", "ping peer lab2"],
            1,
            "no link to peer lab2 can be pinged now",
        ),
        (
            &friendly,
            &["-c", "ping peer ams1 link 1 count 1"],
            1,
            "no answer from peer ams1",
        ),
        (&friendly, &["--no-such-option"], 2, "--no-such-option"),
        (&friendly, &["--timeout", "0"], 2, "--timeout"),
        (
            &friendly,
            &["--socket", "/nonexistent/knetd.sock", "-c", "show version"],
            2,
            "--socket",
        ),
        (&strict, &["-c", "show version"], 0, ""),
        (&strict, &["-c", "configure"], 4, "may look and not change"),
        (&strict, &["-c", "enable"], 4, "may look and not change"),
        (&strict, &["-c", "write memory"], 4, "may look and not change"),
        (&strict, &["-c", "clear counters"], 4, "may look and not change"),
        (&closed, &["-c", "show version"], 1, "% too many clients"),
        (
            &silent,
            &["--timeout", "1", "-c", "show version"],
            5,
            "% knetd does not answer in time",
        ),
        (
            &broken,
            &["-c", "show version"],
            3,
            "% knetd sent a message that does not decode",
        ),
    ] {
        let (code, _, err) = given(daemon, arguments, "");
        assert_eq!(code, status, "{arguments:?}: {err}");
        assert!(err.contains(part), "{arguments:?}: {err}");
    }
}

#[test]
fn without_a_daemon_the_remedy_is_told() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let nobody = daemon.directory().join("nobody.sock");
    let output = run(shell(&nobody, daemon.directory()), "");
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text(&output.stderr).contains("no knetd at"),
        "{}",
        text(&output.stderr)
    );
    assert!(text(&output.stderr).contains("--socket"));
}

#[test]
fn who_may_not_open_the_socket_is_denied() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let mut closed = std::fs::metadata(&daemon.socket)
        .expect("the socket")
        .permissions();
    closed.set_mode(0o600);
    std::fs::set_permissions(&daemon.socket, closed).expect("permissions");
    // Root may open everything, so somebody else must try.
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(env!("CARGO_BIN_EXE_knet-cli"))
        .arg("--socket")
        .arg(&daemon.socket)
        .args(["-c", "show version"]);
    let probe = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "true"])
        .output();
    let started = probe.is_ok_and(|output| output.status.success());
    if !started {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let output = run(command, "");
    let told = text(&output.stderr);
    // Where nobody may not even start the program, the exit status is the starter's.
    if output.status.code() == Some(126) || told.contains("failed to execute") {
        eprintln!("skipped: the build directory is closed to others");
        return;
    }
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("no permission to open"), "{told}");
}

#[test]
fn nobody_waits_for_a_reader_that_left() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let mut command = shell(&daemon.socket, daemon.directory());
    command.args(["-c", "show version", "-c", "show interfaces"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the shell");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the shell ends");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_connection_that_was_ended_is_made_again() {
    let daemon = FakeDaemon::start(Temper::Fickle);
    let mut command = shell(&daemon.socket, daemon.directory());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the shell");
    let mut stdin = child.stdin.take().expect("its input");
    for line in [
        "show version\n",
        "configure\n",
        "hostname ber1\n",
        "show running-config | include hostname\n",
    ] {
        stdin
            .write_all(line.as_bytes())
            .and_then(|()| stdin.flush())
            .expect("the shell reads");
        // The daemon needs a moment to end the connection.
        thread::sleep(Duration::from_millis(200));
    }
    drop(stdin);
    let output = child.wait_with_output().expect("the shell ends");
    assert_eq!(text(&output.stderr), "");
    assert!(
        text(&output.stdout).ends_with("hostname ber1\n"),
        "{}",
        text(&output.stdout)
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn keep_going_runs_the_rest_and_tells_the_first_failure() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let (status, out, err) = given(
        &daemon,
        &["--keep-going"],
        "nonsense\nshow running-config | count\n",
    );
    assert_eq!(status, 1);
    assert_eq!(out, "16 lines\n");
    assert!(err.starts_with("line 1: nonsense\n        ^\n"), "{err}");
}

#[test]
fn events_are_printed_as_they_come() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let started = Instant::now();
    let (status, out, _) = given(&daemon, &["-c", "terminal monitor"], "");
    assert_eq!(status, 0);
    assert!(started.elapsed() >= Duration::from_millis(150));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "* 00:00:01.500 knet0: link 1 of ams1 is down (0[2J)");
    assert_eq!(lines[2], "* 4 events were not shown: too many for this terminal");
    assert_eq!(lines.len(), 4);
}

#[test]
fn a_file_is_refused_with_every_place_in_it() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let file = daemon.directory().join("wrong.conf");
    std::fs::write(&file, "hostname ber1\ninterface knet0\n\tmtu 99\n peer a/b\n").expect("a file");
    let line = format!("configure replace {} comment a try", file.display());
    let (status, out, err) = given(&daemon, &["-c", &line], "");
    assert_eq!((status, out.as_str()), (1, ""));
    let path = file.display();
    assert_eq!(
        err,
        format!(
            "line 1: {line}\n% {path}, line 3, column 6: invalid input `99`: 99 is out of range\n   mtu 99\n       ^\n  \
             expected: <576-9216> (bytes), auto\n% {path}, line 4, column 7: invalid input `a/b`: a name with '/'\n   \
             peer a/b\n        ^\n  expected: NAME (1-64 of A-Z a-z 0-9 . _ -)\n% Nothing was changed\n"
        )
    );
    let (status, _, err) = given(&daemon, &["--json", "-c", &line], "");
    let error = &json(&err)["error"];
    assert_eq!((status, error["code"].as_str()), (1, Some("invalid")));
    assert_eq!(
        (
            error["problems"][1]["line"].as_u64(),
            error["problems"][1]["column"].as_u64()
        ),
        (Some(4), Some(7))
    );
    std::fs::write(&file, "hostname ber1\n").expect("a file");
    let (status, out, err) = given(&daemon, &["-c", &line, "-c", "show running-config"], "");
    assert_eq!((status, err.as_str()), (0, ""));
    assert_eq!(out, "Revision 2 is in force\nhostname ber1\n");
}

#[test]
fn a_script_that_forgets_to_commit_fails_and_says_so() {
    let daemon = FakeDaemon::start(Temper::Friendly);
    let (status, out, err) = given(&daemon, &["-c", "configure candidate", "-c", "hostname ber1"], "");
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(
        err.contains("changes that are not committed") && err.contains("exit discard"),
        "{err}"
    );
    let lines = [
        "configure candidate",
        "hostname ber1",
        "commit",
        "show running-config | include hostname",
    ];
    let arguments: Vec<&str> = lines.iter().flat_map(|line| ["-c", line]).collect();
    let (status, out, _) = given(&daemon, &arguments, "");
    assert_eq!(
        (status, out.as_str()),
        (0, "Revision 2 is in force\nhostname ber1\n")
    );
    // A candidate that nobody has edited is nothing to lose.
    let (status, _, err) = given(&daemon, &["-c", "configure candidate"], "");
    assert_eq!(status, 0, "{err}");
}

#[test]
fn a_candidate_ends_with_its_connection_and_nothing_goes_into_force_instead() {
    let daemon = FakeDaemon::start(Temper::Fickle);
    let (status, _, err) = given(&daemon, &["-c", "configure candidate", "-c", "hostname ber1"], "");
    // The candidate is gone, or the connection breaks first.
    assert!([1, 3].contains(&status), "{status} {err}");
    let (_, out, _) = given(&daemon, &["-c", "show running-config | include hostname"], "");
    assert_eq!(out, "hostname fra1\n");
}
