complete -c knet-cli -s c -l command -d 'Give this command (can be repeated; the shell keeps its place between them)' -r
complete -c knet-cli -s f -l file -d 'Read commands from this file, one on each line; `-` is standard input' -r -F
complete -c knet-cli -l socket -d 'The daemon\'s control socket' -r -F
complete -c knet-cli -l timeout -d 'How long to wait for an answer, in seconds' -r
complete -c knet-cli -l check -d 'Change and show nothing: only look for mistakes. The daemon checks what would be configured; without a daemon the words are checked alone'
complete -c knet-cli -l json -d 'Print JSON, and errors as JSON on standard error'
complete -c knet-cli -s E -l echo -d 'Print each command with its prompt before its answer'
complete -c knet-cli -l keep-going -d 'Go on after a command that failed; the exit status is that of the first'
complete -c knet-cli -s h -l help -d 'Print help (see more with \'--help\')'
complete -c knet-cli -s V -l version -d 'Print version'

# Words of commands and names: what Tab offers in the shell itself.
function __knet_cli_words
    set -l line
    set -l socket
    set -l option
    for word in (commandline -opc)[2..]
        if test -n "$option"
            test "$option" = --socket; and set socket --socket $word
            set option
        else if contains -- $word -c --command -f --file --socket --timeout
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
