//! Completions for bash, zsh and fish. Options are in the scripts; the words of commands, and names, are asked of
//! `knet-cli --complete`, which knows what `?` and Tab know.

use clap::Command;
use clap_complete::{Shell, generate};

use super::programs;

pub(crate) fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for (shell, ending) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        for mut command in programs() {
            let name = command.get_name().to_owned();
            let mut script = Vec::new();
            generate(shell, &mut command, &name, &mut script);
            let mut script = String::from_utf8(script).unwrap();
            if name == "knet-cli" {
                script = without_hidden(&script);
                script = match shell {
                    Shell::Bash => bash(&script, &command),
                    Shell::Zsh => zsh(&script),
                    _ => script + FISH_BEGIN + &with_values(&command).join(" ") + FISH_END,
                };
            }
            files.push((format!("scripts/completions/{name}.{ending}"), script));
        }
    }
    files
}

/// `--complete` is for these scripts, not for people.
fn without_hidden(script: &str) -> String {
    let lines = script
        .lines()
        .filter(|line| !line.contains("--complete=") && !line.contains("-l complete "));
    lines.collect::<Vec<_>>().join("\n").replace(" --complete ", " ") + "\n"
}

/// The options that take a value.
fn with_values(command: &Command) -> Vec<String> {
    let options = command.get_arguments().filter(|argument| {
        !argument.is_positional() && !argument.is_hide_set() && argument.get_action().takes_values()
    });
    options
        .flat_map(|option| {
            let short = option.get_short().map(|short| format!("-{short}"));
            let long = option.get_long().map(|long| format!("--{long}"));
            short.into_iter().chain(long)
        })
        .collect()
}

/// The function of clap completes options; this one asks for the rest.
fn bash(script: &str, command: &Command) -> String {
    let (options_function, _) = script.split_once("() {").expect("the function of clap");
    let options = with_values(command);
    let behind: Vec<String> = options.iter().map(|option| format!("*:{option}")).collect();
    format!(
        r#"{script}
# Words of commands and names: what Tab offers in the shell itself.
_knet-cli_words() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" line="" i word
    local -a socket=()
    case "$current:${{COMP_WORDS[COMP_CWORD-1]}}" in
        -*:* | {}) {options_function} "$@"; return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${{COMP_WORDS[i]}}"
        case "$word" in
            --socket) socket=(--socket "${{COMP_WORDS[++i]}}") ;;
            {}) i=$((i + 1)) ;;
            -*) ;;
            *) line+="$word " ;;
        esac
    done
    mapfile -t COMPREPLY < <("${{COMP_WORDS[0]}}" "${{socket[@]}}" --complete "$line$current" 2>/dev/null)
}}

complete -F _knet-cli_words knet-cli
"#,
        behind.join(" | "),
        options.join(" | ")
    )
}

/// The last argument takes the words of a command.
fn zsh(script: &str) -> String {
    let function = r#"
# Words of commands and names: what Tab offers in the shell itself.
_knet-cli_words() {
    local -a candidates
    candidates=("${(@f)$(knet-cli ${opt_args[--socket]:+--socket} ${opt_args[--socket]} --complete "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    compadd -- "${candidates[@]:#}"
}
"#;
    let words = script
        .lines()
        .find(|line| line.starts_with("'*::words"))
        .expect("the words of a command");
    let asked = words.replace(":_default'", ":_knet-cli_words'");
    assert_ne!(words, asked, "the action of the last argument has another name");
    let (head, body) = script.split_once("_knet-cli() {").expect("the function of clap");
    format!(
        "{head}{}\n_knet-cli() {{{}",
        function.trim_start(),
        body.replace(words, &asked)
    )
}

const FISH_BEGIN: &str = r#"
# Words of commands and names: what Tab offers in the shell itself.
function __knet_cli_words
    set -l line
    set -l socket
    set -l option
    for word in (commandline -opc)[2..]
        if test -n "$option"
            test "$option" = --socket; and set socket --socket $word
            set option
        else if contains -- $word "#;
const FISH_END: &str = r#"
            set option $word
        else if not string match -q -- '-*' $word
            set -a line $word
        end
    end
    test -n "$option"; and return
    set -a line (commandline -ct)
    knet-cli $socket --complete "$line" 2>/dev/null
end
complete -c knet-cli -f -n 'not string match -q -- "-*" (commandline -ct)' -a '(__knet_cli_words)'
"#;
