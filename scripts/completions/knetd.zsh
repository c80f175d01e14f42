#compdef knetd

autoload -U is-at-least

_knetd() {
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
'--config=[Configuration file]:FILE:_files' \
'--socket=[Control socket]:PATH:_files' \
'--host=[This host, where the configuration has lines for several. Default\: the name of the machine, whole or up to its first dot]:NAME:_default' \
'*--no-offload=[Do without these offloads, for a kernel or network card that does them wrong\: tso, uso (super-frames of TCP, of UDP at the TAP), gso, gro (datagrams sent, received as one packet), csum (checksums in super-frames)]:OFFLOAD,...:(tso uso gso gro csum)' \
'--log-level=[Log from this level up]:LEVEL:(off error warn info debug trace)' \
'--log-filter=[Log levels of single modules, such as \`knetd=debug,libknet\:\:worker=trace\`]:MODULE=LEVEL,...:_default' \
'--check[Only read the configuration, tell every error with line and column, and exit with 0 or 1]' \
'(-q --quiet --log-level)*-v[Log more\: debug, given twice trace]' \
'(-q --quiet --log-level)*--verbose[Log more\: debug, given twice trace]' \
'(--log-level)*-q[Log less\: warnings and errors, given twice errors only]' \
'(--log-level)*--quiet[Log less\: warnings and errors, given twice errors only]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_knetd_commands" \
"*::: :->knetd" \
&& ret=0
    case $state in
    (knetd)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:knetd-command-$line[1]:"
        case $line[1] in
            (genkey)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(pubkey)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(genpsk)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(ca)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_knetd__subcmd__ca_commands" \
"*::: :->ca" \
&& ret=0

    case $state in
    (ca)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:knetd-ca-command-$line[1]:"
        case $line[1] in
            (init)
_arguments "${_arguments_options[@]}" : \
'--directory=[Where it is to be. It is made where it is not there]:DIRECTORY:_files' \
'-h[Print help]' \
'--help[Print help]' \
':name -- What it is called:_default' \
&& ret=0
;;
(sign)
_arguments "${_arguments_options[@]}" : \
'*--group=[Groups of peers that it is in\: of those that a hub has the first]:GROUP:_default' \
'*--address=[Addresses of its TAP, each with the length of its prefix]:ADDRESS/LENGTH:_default' \
'(--until)--days=[For how many days it is valid]:DAYS:_default' \
'--from=[From when on it is valid, as in 2027-03-01 or 2027-03-01T12\:30\:00Z; default\: now]:DATE:_default' \
'--until=[Until when it is valid, written likewise]:DATE:_default' \
'--directory=[Where the authority is]:DIRECTORY:_files' \
'-h[Print help]' \
'--help[Print help]' \
':name -- What the host is called\: the name of the peer:_default' \
':key -- Its public key, as `knetd pubkey` prints it:_default' \
&& ret=0
;;
(revoke)
_arguments "${_arguments_options[@]}" : \
'--directory=[Where the authority is]:DIRECTORY:_files' \
'-h[Print help]' \
'--help[Print help]' \
'*::certificates -- Names of hosts, all of whose certificates are meant, or serial numbers:_default' \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
'--directory=[Where the authority is]:DIRECTORY:_files' \
'-h[Print help]' \
'--help[Print help]' \
'::file -- A file with a certificate:_files' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_knetd__subcmd__ca__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:knetd-ca-help-command-$line[1]:"
        case $line[1] in
            (init)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(sign)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(revoke)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_knetd__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:knetd-help-command-$line[1]:"
        case $line[1] in
            (genkey)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(pubkey)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(genpsk)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(ca)
_arguments "${_arguments_options[@]}" : \
":: :_knetd__subcmd__help__subcmd__ca_commands" \
"*::: :->ca" \
&& ret=0

    case $state in
    (ca)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:knetd-help-ca-command-$line[1]:"
        case $line[1] in
            (init)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(sign)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(revoke)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_knetd_commands] )) ||
_knetd_commands() {
    local commands; commands=(
'genkey:Write a new private key to standard output' \
'pubkey:Read a private key from standard input and write its public key to standard output' \
'genpsk:Write a new preshared key to standard output' \
'ca:Certify which keys are whose' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'knetd commands' commands "$@"
}
(( $+functions[_knetd__subcmd__ca_commands] )) ||
_knetd__subcmd__ca_commands() {
    local commands; commands=(
'init:Make a new authority\: \`ca.key\`, which is secret, \`ca.pub\` and \`ca.crl\`, which hubs need' \
'sign:Certify that a key is a host'\''s; the certificate goes to standard output, and into the directory' \
'revoke:Say that certificates do not count any more\: writes \`ca.crl\` anew' \
'show:Show what was signed and what was revoked, or what a certificate says' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'knetd ca commands' commands "$@"
}
(( $+functions[_knetd__subcmd__ca__subcmd__help_commands] )) ||
_knetd__subcmd__ca__subcmd__help_commands() {
    local commands; commands=(
'init:Make a new authority\: \`ca.key\`, which is secret, \`ca.pub\` and \`ca.crl\`, which hubs need' \
'sign:Certify that a key is a host'\''s; the certificate goes to standard output, and into the directory' \
'revoke:Say that certificates do not count any more\: writes \`ca.crl\` anew' \
'show:Show what was signed and what was revoked, or what a certificate says' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'knetd ca help commands' commands "$@"
}
(( $+functions[_knetd__subcmd__ca__subcmd__help__subcmd__help_commands] )) ||
_knetd__subcmd__ca__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'knetd ca help help commands' commands "$@"
}
(( $+functions[_knetd__subcmd__ca__subcmd__help__subcmd__init_commands] )) ||
_knetd__subcmd__ca__subcmd__help__subcmd__init_commands() {
    local commands; commands=()
    _describe -t commands 'knetd ca help init commands' commands "$@"
}
(( $+functions[_knetd__subcmd__ca__subcmd__help__subcmd__revoke_commands] )) ||
_knetd__subcmd__ca__subcmd__help__subcmd__revoke_commands() {
    local commands; commands=()
    _describe -t commands 'knetd ca help revoke commands' commands "$@"
}
(( $+functions[_knetd__subcmd__ca__subcmd__help__subcmd__show_commands] )) ||
_knetd__subcmd__ca__subcmd__help__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'knetd ca help show commands' commands "$@"
}
(( $+functions[_knetd__subcmd__ca__subcmd__help__subcmd__sign_commands] )) ||
_knetd__subcmd__ca__subcmd__help__subcmd__sign_commands() {
    local commands; commands=()
    _describe -t commands 'knetd ca help sign commands' commands "$@"
}
(( $+functions[_knetd__subcmd__ca__subcmd__init_commands] )) ||
_knetd__subcmd__ca__subcmd__init_commands() {
    local commands; commands=()
    _describe -t commands 'knetd ca init commands' commands "$@"
}
(( $+functions[_knetd__subcmd__ca__subcmd__revoke_commands] )) ||
_knetd__subcmd__ca__subcmd__revoke_commands() {
    local commands; commands=()
    _describe -t commands 'knetd ca revoke commands' commands "$@"
}
(( $+functions[_knetd__subcmd__ca__subcmd__show_commands] )) ||
_knetd__subcmd__ca__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'knetd ca show commands' commands "$@"
}
(( $+functions[_knetd__subcmd__ca__subcmd__sign_commands] )) ||
_knetd__subcmd__ca__subcmd__sign_commands() {
    local commands; commands=()
    _describe -t commands 'knetd ca sign commands' commands "$@"
}
(( $+functions[_knetd__subcmd__genkey_commands] )) ||
_knetd__subcmd__genkey_commands() {
    local commands; commands=()
    _describe -t commands 'knetd genkey commands' commands "$@"
}
(( $+functions[_knetd__subcmd__genpsk_commands] )) ||
_knetd__subcmd__genpsk_commands() {
    local commands; commands=()
    _describe -t commands 'knetd genpsk commands' commands "$@"
}
(( $+functions[_knetd__subcmd__help_commands] )) ||
_knetd__subcmd__help_commands() {
    local commands; commands=(
'genkey:Write a new private key to standard output' \
'pubkey:Read a private key from standard input and write its public key to standard output' \
'genpsk:Write a new preshared key to standard output' \
'ca:Certify which keys are whose' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'knetd help commands' commands "$@"
}
(( $+functions[_knetd__subcmd__help__subcmd__ca_commands] )) ||
_knetd__subcmd__help__subcmd__ca_commands() {
    local commands; commands=(
'init:Make a new authority\: \`ca.key\`, which is secret, \`ca.pub\` and \`ca.crl\`, which hubs need' \
'sign:Certify that a key is a host'\''s; the certificate goes to standard output, and into the directory' \
'revoke:Say that certificates do not count any more\: writes \`ca.crl\` anew' \
'show:Show what was signed and what was revoked, or what a certificate says' \
    )
    _describe -t commands 'knetd help ca commands' commands "$@"
}
(( $+functions[_knetd__subcmd__help__subcmd__ca__subcmd__init_commands] )) ||
_knetd__subcmd__help__subcmd__ca__subcmd__init_commands() {
    local commands; commands=()
    _describe -t commands 'knetd help ca init commands' commands "$@"
}
(( $+functions[_knetd__subcmd__help__subcmd__ca__subcmd__revoke_commands] )) ||
_knetd__subcmd__help__subcmd__ca__subcmd__revoke_commands() {
    local commands; commands=()
    _describe -t commands 'knetd help ca revoke commands' commands "$@"
}
(( $+functions[_knetd__subcmd__help__subcmd__ca__subcmd__show_commands] )) ||
_knetd__subcmd__help__subcmd__ca__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'knetd help ca show commands' commands "$@"
}
(( $+functions[_knetd__subcmd__help__subcmd__ca__subcmd__sign_commands] )) ||
_knetd__subcmd__help__subcmd__ca__subcmd__sign_commands() {
    local commands; commands=()
    _describe -t commands 'knetd help ca sign commands' commands "$@"
}
(( $+functions[_knetd__subcmd__help__subcmd__genkey_commands] )) ||
_knetd__subcmd__help__subcmd__genkey_commands() {
    local commands; commands=()
    _describe -t commands 'knetd help genkey commands' commands "$@"
}
(( $+functions[_knetd__subcmd__help__subcmd__genpsk_commands] )) ||
_knetd__subcmd__help__subcmd__genpsk_commands() {
    local commands; commands=()
    _describe -t commands 'knetd help genpsk commands' commands "$@"
}
(( $+functions[_knetd__subcmd__help__subcmd__help_commands] )) ||
_knetd__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'knetd help help commands' commands "$@"
}
(( $+functions[_knetd__subcmd__help__subcmd__pubkey_commands] )) ||
_knetd__subcmd__help__subcmd__pubkey_commands() {
    local commands; commands=()
    _describe -t commands 'knetd help pubkey commands' commands "$@"
}
(( $+functions[_knetd__subcmd__pubkey_commands] )) ||
_knetd__subcmd__pubkey_commands() {
    local commands; commands=()
    _describe -t commands 'knetd pubkey commands' commands "$@"
}

if [ "$funcstack[1]" = "_knetd" ]; then
    _knetd "$@"
else
    compdef _knetd knetd
fi
