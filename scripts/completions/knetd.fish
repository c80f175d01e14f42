# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_knetd_global_optspecs
    string join \n config= socket= host= check no-offload= v/verbose q/quiet log-level= log-filter= h/help V/version
end

function __fish_knetd_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_knetd_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_knetd_using_subcommand
    set -l cmd (__fish_knetd_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c knetd -n "__fish_knetd_needs_command" -l config -d 'Configuration file' -r -F
complete -c knetd -n "__fish_knetd_needs_command" -l socket -d 'Control socket' -r -F
complete -c knetd -n "__fish_knetd_needs_command" -l host -d 'This host, where the configuration has lines for several. Default: the name of the machine, whole or up to its first dot' -r
complete -c knetd -n "__fish_knetd_needs_command" -l no-offload -d 'Do without these offloads, for a kernel or network card that does them wrong: tso, uso (super-frames of TCP, of UDP at the TAP), gso, gro (datagrams sent, received as one packet), csum (checksums in super-frames)' -r -f -a "tso\t''
uso\t''
gso\t''
gro\t''
csum\t''"
complete -c knetd -n "__fish_knetd_needs_command" -l log-level -d 'Log from this level up' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c knetd -n "__fish_knetd_needs_command" -l log-filter -d 'Log levels of single modules, such as `knetd=debug,libknet::worker=trace`' -r
complete -c knetd -n "__fish_knetd_needs_command" -l check -d 'Only read the configuration, tell every error with line and column, and exit with 0 or 1'
complete -c knetd -n "__fish_knetd_needs_command" -s v -l verbose -d 'Log more: debug, given twice trace'
complete -c knetd -n "__fish_knetd_needs_command" -s q -l quiet -d 'Log less: warnings and errors, given twice errors only'
complete -c knetd -n "__fish_knetd_needs_command" -s h -l help -d 'Print help'
complete -c knetd -n "__fish_knetd_needs_command" -s V -l version -d 'Print version'
complete -c knetd -n "__fish_knetd_needs_command" -f -a "genkey" -d 'Write a new private key to standard output'
complete -c knetd -n "__fish_knetd_needs_command" -f -a "pubkey" -d 'Read a private key from standard input and write its public key to standard output'
complete -c knetd -n "__fish_knetd_needs_command" -f -a "genpsk" -d 'Write a new preshared key to standard output'
complete -c knetd -n "__fish_knetd_needs_command" -f -a "ca" -d 'Certify which keys are whose'
complete -c knetd -n "__fish_knetd_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c knetd -n "__fish_knetd_using_subcommand genkey" -s h -l help -d 'Print help'
complete -c knetd -n "__fish_knetd_using_subcommand pubkey" -s h -l help -d 'Print help'
complete -c knetd -n "__fish_knetd_using_subcommand genpsk" -s h -l help -d 'Print help'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and not __fish_seen_subcommand_from init sign revoke show help" -s h -l help -d 'Print help'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and not __fish_seen_subcommand_from init sign revoke show help" -f -a "init" -d 'Make a new authority: `ca.key`, which is secret, `ca.pub` and `ca.crl`, which hubs need'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and not __fish_seen_subcommand_from init sign revoke show help" -f -a "sign" -d 'Certify that a key is a host\'s; the certificate goes to standard output, and into the directory'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and not __fish_seen_subcommand_from init sign revoke show help" -f -a "revoke" -d 'Say that certificates do not count any more: writes `ca.crl` anew'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and not __fish_seen_subcommand_from init sign revoke show help" -f -a "show" -d 'Show what was signed and what was revoked, or what a certificate says'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and not __fish_seen_subcommand_from init sign revoke show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from init" -l directory -d 'Where it is to be. It is made where it is not there' -r -F
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from sign" -l group -d 'Groups of peers that it is in: of those that a hub has the first' -r
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from sign" -l address -d 'Addresses of its TAP, each with the length of its prefix' -r
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from sign" -l days -d 'For how many days it is valid' -r
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from sign" -l from -d 'From when on it is valid, as in 2027-03-01 or 2027-03-01T12:30:00Z; default: now' -r
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from sign" -l until -d 'Until when it is valid, written likewise' -r
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from sign" -l directory -d 'Where the authority is' -r -F
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from sign" -s h -l help -d 'Print help'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from revoke" -l directory -d 'Where the authority is' -r -F
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from show" -l directory -d 'Where the authority is' -r -F
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from help" -f -a "init" -d 'Make a new authority: `ca.key`, which is secret, `ca.pub` and `ca.crl`, which hubs need'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from help" -f -a "sign" -d 'Certify that a key is a host\'s; the certificate goes to standard output, and into the directory'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Say that certificates do not count any more: writes `ca.crl` anew'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show what was signed and what was revoked, or what a certificate says'
complete -c knetd -n "__fish_knetd_using_subcommand ca; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c knetd -n "__fish_knetd_using_subcommand help; and not __fish_seen_subcommand_from genkey pubkey genpsk ca help" -f -a "genkey" -d 'Write a new private key to standard output'
complete -c knetd -n "__fish_knetd_using_subcommand help; and not __fish_seen_subcommand_from genkey pubkey genpsk ca help" -f -a "pubkey" -d 'Read a private key from standard input and write its public key to standard output'
complete -c knetd -n "__fish_knetd_using_subcommand help; and not __fish_seen_subcommand_from genkey pubkey genpsk ca help" -f -a "genpsk" -d 'Write a new preshared key to standard output'
complete -c knetd -n "__fish_knetd_using_subcommand help; and not __fish_seen_subcommand_from genkey pubkey genpsk ca help" -f -a "ca" -d 'Certify which keys are whose'
complete -c knetd -n "__fish_knetd_using_subcommand help; and not __fish_seen_subcommand_from genkey pubkey genpsk ca help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c knetd -n "__fish_knetd_using_subcommand help; and __fish_seen_subcommand_from ca" -f -a "init" -d 'Make a new authority: `ca.key`, which is secret, `ca.pub` and `ca.crl`, which hubs need'
complete -c knetd -n "__fish_knetd_using_subcommand help; and __fish_seen_subcommand_from ca" -f -a "sign" -d 'Certify that a key is a host\'s; the certificate goes to standard output, and into the directory'
complete -c knetd -n "__fish_knetd_using_subcommand help; and __fish_seen_subcommand_from ca" -f -a "revoke" -d 'Say that certificates do not count any more: writes `ca.crl` anew'
complete -c knetd -n "__fish_knetd_using_subcommand help; and __fish_seen_subcommand_from ca" -f -a "show" -d 'Show what was signed and what was revoked, or what a certificate says'
