//! Manual pages of the programs.

use std::fmt::Write as _;

use clap::Command;
use clap_mangen::Man;
use libknet::api::reference::roff;

pub(crate) fn knet_cli(command: Command) -> String {
    let exit_status = status(&[
        "all is done",
        "a command failed; with several the status is that of the first that failed",
        "wrong use: arguments that make no sense, or a file that cannot be read",
        "there is no daemon, or the connection to it broke",
        "the user may not do that",
        "the daemon did not answer in time",
    ]);
    let rest = format!(
        "{}{exit_status}\
         .SH FILES\n\
         .TP\n.I /run/knet/knetd.sock\nThe control socket.\n\
         .TP\n.I ~/.local/state/knet/cli_history\nWhat was typed, without lines that may contain a key.\n\
         .SH EXAMPLES\n.nf\n\
         knet\\-cli show links\n\
         knet\\-cli \\-\\-json \\-c 'show peers' | jq '.peers[].state'\n\
         knet\\-cli \\-c 'configure terminal' \\-c 'interface knet0' \\-c 'mtu 1400'\n\
         knet\\-cli \\-\\-check \\-f change.txt && knet\\-cli \\-f change.txt\n\
         .fi\n\
         .SH SEE ALSO\n.BR knetd (8),\n.BR knetd.conf (5)\n",
        roff::commands()
    );
    page(command, "1", "", &rest)
}

pub(crate) fn knetd(command: Command) -> String {
    let mut keys = String::from(".SH KEYS\n");
    for key in command.get_subcommands() {
        let about = key.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(keys, ".TP\n.B knetd {}\n{about}.", key.get_name());
    }
    let rest = format!(
        ".SH SIGNALS\n\
         .TP\n.BR SIGTERM \", \" SIGINT\nSays goodbye to the peers, removes TAPs and socket, and ends within 2 seconds.\n\
         .TP\n.B SIGHUP\nReads configuration and keys again, and puts the difference into force or refuses the whole.\n\
         {}\
         .SH FILES\n\
         .TP\n.I /etc/knet/knetd.conf\nThe configuration, see\n.BR knetd.conf (5).\n\
         .TP\n.I /run/knet/knetd.sock\nThe control socket.\n\
         .SH USERS\n\
         Root and members of group\n.B knet\nmay do everything, members of group\n.B knetop\nmay look. Whoever is neither is refused.\n\
         .SH SEE ALSO\n.BR knet\\-cli (1),\n.BR knetd.conf (5)\n",
        status(&[
            "it was told to end, or --check found no error",
            "a refusal: the last lines of the log say what and how to remedy it"
        ])
    );
    page(command, "8", &keys, &rest)
}

/// What clap knows, and the sections behind it.
fn page(command: Command, section: &str, before: &str, rest: &str) -> String {
    let has_more = command.get_after_help().is_some();
    let version = command.get_version().unwrap_or_default().to_owned();
    let man = Man::new(command.disable_help_subcommand(true))
        .section(section)
        .manual("knet")
        .source(format!("knet {version}"));
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    assert!(!has_more || section == "1", "the rest says it");
    String::from_utf8(page).unwrap() + before + rest
}

fn status(meanings: &[&str]) -> String {
    let mut text = String::from(".SH EXIT STATUS\n");
    for (number, meaning) in meanings.iter().enumerate() {
        let _ = writeln!(text, ".TP\n.B {number}\n{}.", meaning.replace('-', "\\-"));
    }
    text
}
