# shellcheck shell=sh disable=SC1091,SC2154
# Runs on a node by `sh -s`: what is there. The first line is for those who read it, because a login
# shell may have said something before.
echo '--- bkctld ---'
lib=/usr/lib/bkctld
if [ ! -r "$lib/includes" ]; then
    echo missing
    exit
fi
. "$lib/includes"
printf '%s\n' "$VERSION" "$JAILDIR" "$CONFDIR" "$FIREWALL$FIREWALL_RULES"
# What is wrong with one jail there is said when that jail's turn comes.
"$lib/bkctld-status" --json </dev/null 2>/dev/null
exit 0
