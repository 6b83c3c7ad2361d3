# Runs on a node by `sh -s`, with lists of jails and commands after it: what came of each.
lib=/usr/lib/bkctld

# A line is JAIL COMMAND…; the first command that fails is the jail's last.
each() {
    while read -r jail commands; do
        code=0
        said=
        for command in $commands; do
            said=$("$lib/bkctld-$command" "$jail" 2>&1 </dev/null) || { code=$?; break; }
        done
        [ "$code" = 0 ] || said=$(printf '%s' "$said" | tr '\n' ' ' | cut -c 1-1000)
        [ "$code" = 0 ] && said=
        # One write for each jail, so that those of several lists do not mix.
        printf '%s %s %s\n' "$jail" "$code" "$said"
    done
}

echo '--- bkctld ---'
