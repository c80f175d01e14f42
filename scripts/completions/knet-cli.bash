_knet__cli() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="knet__cli"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        knet__cli)
            opts="-c -f -E -h -V --command --file --check --json --socket --timeout --echo --keep-going --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --command)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -c)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -f)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --socket)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --timeout)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --complete)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _knet__cli -o nosort -o bashdefault -o default knet-cli
else
    complete -F _knet__cli -o bashdefault -o default knet-cli
fi

# Words of commands and names: what Tab offers in the shell itself.
_knet-cli_words() {
    local current="${COMP_WORDS[COMP_CWORD]}" line="" i word
    local -a socket=()
    case "$current:${COMP_WORDS[COMP_CWORD-1]}" in
        -*:* | *:-c | *:--command | *:-f | *:--file | *:--socket | *:--timeout) _knet__cli "$@"; return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        case "$word" in
            --socket) socket=(--socket "${COMP_WORDS[++i]}") ;;
            -c | --command | -f | --file | --socket | --timeout) i=$((i + 1)) ;;
            -*) ;;
            *) line+="$word " ;;
        esac
    done
    mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" "${socket[@]}" --complete "$line$current" 2>/dev/null)
}

complete -F _knet-cli_words knet-cli
