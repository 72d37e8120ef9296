# bash completion for vitalwire(1)

# Hosts, groups, guests and faults come from the controller or agent that the command line names, or from the default one.
_vitalwire_known() { # COMMAND COLUMN
    local chosen=() i
    for ((i = 1; i + 1 < ${#words[@]}; i++)); do
        case ${words[i]} in
            --controller | --agent | --token-file | --ca-file) chosen+=("${words[i]}" "${words[i + 1]}") ;;
            --controller=* | --agent=* | --token-file=* | --ca-file=*) chosen+=("${words[i]}") ;;
        esac
    done
    # Guests choose names themselves: no character is offered that means something to a shell.
    timeout 2 vitalwire "${chosen[@]}" "$1" -o csv 2>/dev/null |
        awk -F, -v column="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i; next }
            at && $at ~ /^[A-Za-z0-9][A-Za-z0-9._:@+-]*$/ { print $at }' | sort -u
}

# Not compgen -W: it expands its words, and some are of guests.
_vitalwire_offer() { # WORDS: those that begin as the word at hand
    local word known
    read -r -d '' -a known <<<"$1" || true
    COMPREPLY=()
    for word in "${known[@]}"; do
        [[ $word != "$current"* ]] || COMPREPLY+=("$word")
    done
}

# The values of an option; status 1 when it takes none that are known.
_vitalwire_values() { # OPTION
    case $1 in
        --state) _vitalwire_offer "crashed lost unhealthy held unregistered registered" ;;
        --host) _vitalwire_offer "$(_vitalwire_known agents host)" ;;
        --group) _vitalwire_offer "$(_vitalwire_known groups group)" ;;
        --guest) _vitalwire_offer "$(_vitalwire_known guests guest)" ;;
        --output | -o) _vitalwire_offer "table wide json yaml csv" ;;
        --time) _vitalwire_offer "relative absolute" ;;
        --sort) [[ -z $command ]] || _vitalwire_offer "$(_vitalwire_columns "$command")" ;;
        --for) _vitalwire_offer "30min 1h 2h 1d" ;;
        --since | --until) _vitalwire_offer "15min 1h 6h 1d 7d" ;;
        --agent | --token-file | --ca-file | --controller-config | --agent-config)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            ;;
        --controller) ;;
        *) return 1 ;;
    esac
}

_vitalwire_columns() { # COMMAND
    case $1 in
        guests) echo "state guest name host group registered interval round-trip longest missed late refused note own-name cloud-state" ;;
        faults) echo "severity id fault guest name host opened cleared detail delivery clear-reason revision" ;;
        agents) echo "state host version peer since last-seen primary guests faults" ;;
        groups) echo "group name project members broadcasts deliveries notifications queries" ;;
        coverage) echo "coverage guest host why" ;;
        events) echo "time event severity fault guest name host detail id" ;;
        maintenance) echo "state scope name since until guests by reason id" ;;
    esac
}

# What may stand after a command that is about one thing.
_vitalwire_targets() { # COMMAND
    case $1 in
        guest) _vitalwire_known guests guest && _vitalwire_known guests name ;;
        fault | close | ack) _vitalwire_known faults id ;;
        host | forget) _vitalwire_known agents host ;;
        group | send) _vitalwire_known groups group && _vitalwire_known groups name ;;
        maintenance) echo "guest host group all end list" ;;
        end) _vitalwire_known maintenance id && _vitalwire_known maintenance name ;;
    esac
}

_vitalwire() {
    # Not COMP_WORDS: bash splits URLs and --option=value there.
    local line=${COMP_LINE:0:COMP_POINT} words current command="" i
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[-1]}
    COMPREPLY=()
    for ((i = 1; i + 1 < ${#words[@]}; i++)); do
        case ${words[i]} in
            --controller | --agent | --token-file | --ca-file | -o | --output | --time | --sort) ((i++)) ;;
            -*) ;;
            *) command=${words[i]} && break ;;
        esac
    done

    _vitalwire_values "${words[-2]}" && return
    if [[ $current == --*=* ]]; then
        # Bash replaces what follows the '=' only.
        local option=${current%%=*}
        current=${current#*=}
        _vitalwire_values "$option"
        return
    fi
    local options="--controller --agent --token-file --ca-file --output --json --time --help"
    case $command in
        guests) options+=" --host --group --state" ;;
        faults) options+=" --all --guest --host" ;;
        coverage) options+=" --all" ;;
        close) options+=" --reason" ;;
        ack) options+=" --note" ;;
        maintenance) options+=" --for --reason --notify --force" ;;
        events) options+=" --since --until --follow" ;;
        doctor) options="--controller-config --agent-config --test-event --json --help" ;;
        "") options+=" --version" ;;
    esac
    [[ -z $(_vitalwire_columns "$command") ]] || options+=" --sort --reverse --no-headers"
    if [[ $current == -* ]]; then
        _vitalwire_offer "$options"
    elif [[ -z $command ]]; then
        _vitalwire_offer "status guests guest faults fault agents host groups group send close ack forget maintenance reload coverage events top watch doctor"
    elif [[ ${words[-2]} == "$command" ]]; then
        _vitalwire_offer "$(_vitalwire_targets "$command")"
    elif [[ $command == maintenance && ${words[-3]} == "$command" ]]; then
        _vitalwire_offer "$(_vitalwire_targets "${words[-2]}")"
    fi
}

complete -F _vitalwire vitalwire
