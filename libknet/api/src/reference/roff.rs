//! The reference as parts of manual pages (`man 7 man`).

use std::fmt::Write as _;

use super::{Entry, entries, forms};
use crate::grammar::{schema::Mode, types::Form};

/// `knetd.conf(5)`: the whole page. `date` is not in it, so that it is the same each time.
pub fn configuration_page(version: &str) -> String {
    let mut page = format!(".TH KNETD.CONF 5 \"\" \"knet {}\" \"knet\"\n", text(version));
    page.push_str(
        ".SH NAME\n\
         knetd.conf \\- configuration of the knet daemon\n\
         .SH DESCRIPTION\n\
         The file holds the lines that the shell\n.BR knet\\-cli (1)\n\
         takes in its configuration mode, and that its command\n.B show running\\-config\nprints. Lines of an object are indented\n\
         below the line that begins it. Lines that begin with\n.B !\nor\n.B #\nare comments; a file that\n.B write memory\nwrites has none of yours.\n\
         A word with spaces stands between quotation marks. Every word may be abbreviated.\n\
         .PP\n\
         .B knetd \\-\\-check\n\
         tells all that is wrong with a file, each with line and column. At SIGHUP the file is read again, and the\n\
         difference is put into force, or the file is refused as a whole.\n\
         .PP\n\
         Below, a word between < and > stands for a value, [...] can be left out, {...} as well, and be there up to eight \
         times, and (a | b) is one or the other.\n",
    );
    page.push_str(".SH EXAMPLE\n.nf\n");
    page.push_str(&text(EXAMPLE));
    page.push_str(".fi\n");
    let entries = entries();
    for (mode, title) in [
        (Mode::Global, "AT THE TOP"),
        (Mode::Interface, "IN AN INTERFACE"),
        (Mode::Peer, "IN A PEER"),
        (Mode::Link, "IN A LINK"),
        (Mode::Mesh, "IN A MESH"),
        (Mode::Member, "IN A MEMBER OF A MESH"),
        (Mode::Group, "IN A GROUP OF PEERS"),
    ] {
        let _ = writeln!(page, ".SH {title}");
        let lines = entries
            .iter()
            .filter(|entry| entry.is_setting() && entry.place == mode);
        lines.for_each(|entry| one(&mut page, entry));
    }
    page.push_str(
        ".SH FILES\n\
         .TP\n.I /etc/knet/knetd.conf\nThe configuration; another with\n.BR \"knetd \\-\\-config\" .\n\
         Paths in it are relative to its directory.\n\
         .SH SEE ALSO\n.BR knetd (8),\n.BR knet\\-cli (1)\n",
    );
    page
}

/// The commands of the shell, as a section of `knet-cli(1)`.
pub fn commands() -> String {
    let mut part = String::from(
        ".SH COMMANDS\n\
         Every word may be abbreviated as long as it is clear. A word between < and > stands for a value, [...] can be\n\
         left out. In the configuration the lines of\n.BR knetd.conf (5)\n\
         can be typed, each of which takes effect at once;\n.B no\nin front of one undoes it,\n.B default\n\
         puts a setting back to its default.\n",
    );
    let entries = entries();
    entries
        .iter()
        .filter(|entry| !entry.is_setting())
        .for_each(|entry| one(&mut part, entry));
    part
}

/// A page's example; a test reads it.
pub(super) const EXAMPLE: &str = "\
hostname fra1
interface knet0
 private-key file fra1.key
 ip address 10.200.0.1/24
 local 0 192.0.2.1 port 7700
 local 1 198.51.100.1 port 7700
 peer ams1
  public-key 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
  link 0 local 0 remote 203.0.113.7 port 7700
   priority 200
  link 1 local 1 remote 203.0.113.135 port 7700
";

fn one(page: &mut String, entry: &Entry) {
    let _ = writeln!(
        page,
        ".TP\n.B \"{}\"\n{}{}.",
        text(&entry.syntax),
        text(entry.meaning),
        text(&entry.notes())
    );
    if entry.config_only {
        page.push_str("In the configuration only.\n");
    } else if !entry.is_setting() {
        let _ = writeln!(page, "For {}.", entry.who());
    }
    for argument in &entry.arguments {
        let _ = writeln!(
            page,
            ".br\n<{}>: {}. {}.",
            text(argument.name),
            text(&forms(argument, str::to_owned)),
            text(argument.help)
        );
        let choices = argument.forms.iter().flat_map(|form| match form {
            Form::Choice(words) => *words,
            _ => &[],
        });
        for (word, help) in choices {
            let _ = writeln!(page, ".br\n.B {}\n\\(em {}.", text(word), text(help));
        }
    }
    if let Some(default) = &entry.default {
        let _ = writeln!(page, ".br\nDefault: {}.", text(default));
    }
    if entry.is_setting() {
        let _ = writeln!(page, ".br\nEffect of a change: {}.", text(entry.effect()));
    }
    if entry.example != entry.syntax {
        let _ = writeln!(page, ".br\nExample:\n.B \"{}\"", text(&entry.example));
    }
}

/// Text in which nothing is taken for an order of roff.
fn text(plain: &str) -> String {
    let escaped = plain
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('"', "\\(dq");
    let lines: Vec<String> = escaped
        .lines()
        .map(|line| {
            if line.starts_with(['.', '\'']) {
                format!("\\&{line}")
            } else {
                line.to_owned()
            }
        })
        .collect();
    let end = if plain.ends_with('\n') { "\n" } else { "" };
    lines.join("\n") + end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;

    #[test]
    fn nothing_is_taken_for_an_order() {
        assert_eq!(text(".TH a-b \"c\" \\d"), "\\&.TH a\\-b \\(dqc\\(dq \\ed");
        assert_eq!(text("a\n'b\n"), "a\n\\&'b\n");
    }

    #[test]
    fn the_example_is_a_configuration() {
        assert_eq!(load(EXAMPLE.as_bytes()).problems, []);
    }
}
