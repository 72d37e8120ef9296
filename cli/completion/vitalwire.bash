# bash completion for vitalwire(1)

# Hosts, groups and guests come from the controller or agent that the command line names, or from the default one.
_vitalwire_known() {
    local chosen=() i
    for ((i = 1; i + 1 < ${#words[@]}; i++)); do
        case ${words[i]} in
            --controller | --agent) chosen+=("${words[i]}" "${words[i + 1]}") ;;
        esac
    done
    timeout 2 vitalwire "${chosen[@]}" "$1" --json 2>/dev/null |
        sed -nE "s/^ *\"$2\": \"([A-Za-z0-9._-]+)\",?\$/\\1/p" | sort -u
}

_vitalwire_offer() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_vitalwire() {
    # Not COMP_WORDS: bash splits URLs there.
    local line=${COMP_LINE:0:COMP_POINT} words current
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[-1]}
    COMPREPLY=()

    case ${words[-2]} in
        --controller) return ;;
        --agent)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
            ;;
        --state) _vitalwire_offer "crashed lost unhealthy held unregistered registered" && return ;;
        --host) _vitalwire_offer "$(_vitalwire_known agents host)" && return ;;
        --group) _vitalwire_offer "$(_vitalwire_known guests group)" && return ;;
        --guest) _vitalwire_offer "$(_vitalwire_known guests guest)" && return ;;
    esac

    local command="" i
    for ((i = 1; i + 1 < ${#words[@]}; i++)); do
        case ${words[i]} in
            --controller | --agent) ((i++)) ;;
            status | guests | faults | agents | groups | group | send | watch) command=${words[i]} && break ;;
        esac
    done

    local options="--controller --agent --json --help"
    case $command in
        guests) options+=" --host --group --state" ;;
        faults) options+=" --all --guest" ;;
        "") options+=" --version" ;;
    esac
    if [[ $current == -* ]]; then
        _vitalwire_offer "$options"
    elif [[ -z $command ]]; then
        _vitalwire_offer "status guests faults agents groups group send watch"
    elif [[ $command == @(group|send) && ${words[-2]} == "$command" ]]; then
        _vitalwire_offer "$(_vitalwire_known groups id)"
    fi
}

complete -F _vitalwire vitalwire
