#compdef knet-cli

autoload -U is-at-least

# Words of commands and names: what Tab offers in the shell itself.
_knet-cli_words() {
    local -a candidates
    candidates=("${(@f)$(knet-cli ${opt_args[--socket]:+--socket} ${opt_args[--socket]} --complete "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    compadd -- "${candidates[@]:#}"
}

_knet-cli() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'*-c+[Give this command (can be repeated; the shell keeps its place between them)]:COMMAND:_default' \
'*--command=[Give this command (can be repeated; the shell keeps its place between them)]:COMMAND:_default' \
'(-c --command)-f+[Read commands from this file, one on each line; \`-\` is standard input]:FILE:_files' \
'(-c --command)--file=[Read commands from this file, one on each line; \`-\` is standard input]:FILE:_files' \
'--socket=[The daemon'\''s control socket]:PATH:_files' \
'--timeout=[How long to wait for an answer, in seconds]:SECONDS:_default' \
'--check[Change and show nothing\: only look for mistakes. The daemon checks what would be configured; without a daemon the words are checked alone]' \
'--json[Print JSON, and errors as JSON on standard error]' \
'-E[Print each command with its prompt before its answer]' \
'--echo[Print each command with its prompt before its answer]' \
'--keep-going[Go on after a command that failed; the exit status is that of the first]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
'*::words -- One command, as with -c\: `knet-cli show links`:_knet-cli_words' \
&& ret=0
}

(( $+functions[_knet-cli_commands] )) ||
_knet-cli_commands() {
    local commands; commands=()
    _describe -t commands 'knet-cli commands' commands "$@"
}

if [ "$funcstack[1]" = "_knet-cli" ]; then
    _knet-cli "$@"
else
    compdef _knet-cli knet-cli
fi
