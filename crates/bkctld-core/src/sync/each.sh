# shellcheck shell=sh disable=SC1091,SC2154
# Runs on a node by `sh -s`, with lists of jails and commands after it: what came of each. Before it
# stands rules=yes where the firewall has to learn of them first.
lib=/usr/lib/bkctld

# All jails in one step. Only where that fails each is told by itself, to learn which of them it is; it
# may well be one of the node's own.
first=
if [ "$rules" = yes ] && ! "$lib/bkctld-firewall" all >/dev/null 2>&1 </dev/null; then
    first=firewall
fi

# A line is JAIL COMMAND…; the first command that fails is the jail's last.
each() {
    while read -r jail commands; do
        code=0
        said=
        for command in $first $commands; do
            said=$("$lib/bkctld-$command" "$jail" 2>&1 </dev/null) || { code=$?; break; }
        done
        [ "$code" = 0 ] && said=
        [ -z "$said" ] || said=$(printf '%s' "$said" | tr '\n' ' ' | cut -c 1-1000)
        # One write for each jail, so that those of several lists do not mix.
        printf '%s %s %s\n' "$jail" "$code" "$said"
    done
}

echo '--- bkctld ---'
