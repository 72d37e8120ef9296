# fish completion for vitalwire(1)

# Guests choose names themselves: no character is offered that means something to a shell.
# A column of a list of the controller or agent that the command line names, or of the default one.
function __vitalwire_known # COMMAND COLUMN
    set -l tokens (commandline -opc)
    set -l chosen
    for i in (seq 2 (count $tokens))
        switch $tokens[$i]
            case --controller --agent --token-file --ca-file
                set -a chosen $tokens[$i] $tokens[(math $i + 1)]
            case '--controller=*' '--agent=*' '--token-file=*' '--ca-file=*'
                set -a chosen $tokens[$i]
        end
    end
    timeout 2 vitalwire $chosen $argv[1] -o csv 2>/dev/null | awk -F, -v column=$argv[2] 'NR == 1 {
        for (i = 1; i <= NF; i++) if ($i == column) at = i; next } at && $at ~ /^[A-Za-z0-9][A-Za-z0-9._:@+-]*$/ { print $at }' | sort -u
end

set -l lists guests faults agents groups coverage events maintenance
set -l commands status guest fault host group send close ack forget reload top watch doctor $lists
set -l none "not __fish_seen_subcommand_from $commands"

complete -c vitalwire -f
complete -c vitalwire -n $none -a status -d 'The condition of Vitalwire itself'
complete -c vitalwire -n $none -a guests -d 'Every guest, the worst first'
complete -c vitalwire -n $none -a guest -d 'One guest and its faults'
complete -c vitalwire -n $none -a faults -d 'Open faults, host alarms and their delivery'
complete -c vitalwire -n $none -a fault -d 'One fault and its journal'
complete -c vitalwire -n $none -a agents -d 'Every agent that the controller knows'
complete -c vitalwire -n $none -a host -d 'One compute node, its agent, guests and faults'
complete -c vitalwire -n $none -a groups -d 'Every server group and what it has sent'
complete -c vitalwire -n $none -a group -d 'The members of a server group'
complete -c vitalwire -n $none -a send -d 'A test message to all members of a server group'
complete -c vitalwire -n $none -a ack -d 'Records that an operator has seen a fault'
complete -c vitalwire -n $none -a reload -d 'Reads the configuration of a daemon again'
complete -c vitalwire -n $none -a forget -d 'Removes a compute node that is no more'
complete -c vitalwire -n $none -a maintenance -d 'Faults that are recorded and not sent'
complete -c vitalwire -n $none -a close -d 'Ends a fault by the operators decision'
complete -c vitalwire -n $none -a coverage -d 'Guests that should be watched and are not'
complete -c vitalwire -n $none -a events -d 'What happened'
complete -c vitalwire -n $none -a top -d 'What is wrong now, live'
complete -c vitalwire -n $none -a doctor -d 'Examines Vitalwire on this machine'
complete -c vitalwire -n $none -a watch -d 'top on a terminal, events --follow elsewhere'

complete -c vitalwire -l controller -x -d 'Controller to ask'
complete -c vitalwire -l agent -r -F -d 'Ask the agent behind this UNIX socket'
complete -c vitalwire -l token-file -r -F -d 'Token for controllers over TCP'
complete -c vitalwire -l ca-file -r -F -d 'Authority of https controllers'
complete -c vitalwire -s o -l output -x -a 'table wide json yaml csv' -d Format
complete -c vitalwire -l json -d 'The same as -o json'
complete -c vitalwire -l time -x -a 'relative absolute' -d 'Form of times'
complete -c vitalwire -s h -l help -d 'Print a summary'
complete -c vitalwire -n $none -l version -d 'Print the version'
for columns in 'guests state guest name host group registered interval round-trip longest missed late refused note own-name cloud-state' 'faults severity id fault guest name host opened cleared detail delivery clear-reason revision' \
        'agents state host version peer since last-seen primary guests faults' \
        'groups group name project members broadcasts deliveries notifications queries' \
        'coverage coverage guest host why' \
        'events time event severity fault guest name host detail id' \
        'maintenance state scope name since until guests by reason id'
    set -l words (string split ' ' $columns)
    complete -c vitalwire -n "__fish_seen_subcommand_from $words[1]" -l sort -x -a "$words[2..-1]" -d 'Sort by this column'
end
complete -c vitalwire -n "__fish_seen_subcommand_from $lists" -l reverse -d 'In reverse order'
complete -c vitalwire -n "__fish_seen_subcommand_from $lists" -l no-headers -d 'Without a heading'

complete -c vitalwire -n '__fish_seen_subcommand_from guests faults' -l host -x -a '(__vitalwire_known agents host)' -d 'Only of this compute node'
complete -c vitalwire -n '__fish_seen_subcommand_from guests' -l group -x -a '(__vitalwire_known groups group)' -d 'Only members of this server group'
complete -c vitalwire -n '__fish_seen_subcommand_from guests' -l state -x -a 'crashed lost unhealthy held unregistered registered' -d 'Only guests in this state'
complete -c vitalwire -n '__fish_seen_subcommand_from faults' -l all -d 'Cleared faults too'
complete -c vitalwire -n '__fish_seen_subcommand_from faults' -l guest -x -a '(__vitalwire_known guests guest)' -d 'Only faults of this guest'
complete -c vitalwire -n '__fish_seen_subcommand_from events' -l since -x -a '15min 1h 6h 1d 7d' -d 'From this time on'
complete -c vitalwire -n '__fish_seen_subcommand_from events' -l until -x -a '15min 1h 6h 1d 7d' -d 'Up to this time'
complete -c vitalwire -n '__fish_seen_subcommand_from events' -s f -l follow -d 'Go on with what happens from now on'
complete -c vitalwire -n '__fish_seen_subcommand_from guest' -a '(__vitalwire_known guests guest; __vitalwire_known guests name)'
complete -c vitalwire -n '__fish_seen_subcommand_from close maintenance' -l reason -x -d Why
complete -c vitalwire -n '__fish_seen_subcommand_from maintenance' -l for -x -a '30min 1h 2h 1d' -d 'How long'
complete -c vitalwire -n '__fish_seen_subcommand_from maintenance' -l notify -d 'Its guests are notified'
complete -c vitalwire -n '__fish_seen_subcommand_from maintenance' -l force -d 'Its guests can reject nothing'
complete -c vitalwire -n '__fish_seen_subcommand_from maintenance; and not __fish_seen_subcommand_from guest host group all end list' -a 'guest host group all end list'
complete -c vitalwire -n '__fish_seen_subcommand_from maintenance; and __fish_seen_subcommand_from end' -a '(__vitalwire_known maintenance id; __vitalwire_known maintenance name)'
complete -c vitalwire -n '__fish_seen_subcommand_from doctor' -l controller-config -r -F -d 'Of the controller'
complete -c vitalwire -n '__fish_seen_subcommand_from doctor' -l agent-config -r -F -d 'Of the agent'
complete -c vitalwire -n '__fish_seen_subcommand_from doctor' -l test-event -d 'Through each sink'
complete -c vitalwire -n '__fish_seen_subcommand_from ack' -l note -x -d Text
complete -c vitalwire -n '__fish_seen_subcommand_from coverage' -l all -d 'Every guest'
complete -c vitalwire -n '__fish_seen_subcommand_from fault close ack' -a '(__vitalwire_known faults id)'
complete -c vitalwire -n '__fish_seen_subcommand_from host forget' -a '(__vitalwire_known agents host)'
complete -c vitalwire -n '__fish_seen_subcommand_from group send' -a '(__vitalwire_known groups group; __vitalwire_known groups name)'
