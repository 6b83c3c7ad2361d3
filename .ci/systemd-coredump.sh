# shellcheck shell=sh disable=SC2016,SC2154
# Sourced by .ci/systemd: a crash in a session has nothing started on a server whose core files go to
# systemd-coredump.

# The pattern is the kernel's, not the container's, and what it names is started beside this machine's first
# process. So a program of ours stands there, notes that it was started, and goes on into the container.
core=$(mktemp -d)
core_pattern=/proc/sys/kernel/core_pattern
core_pattern_before=$(cat "$core_pattern")
restore_core_pattern() {
    code=$?
    echo "$core_pattern_before" >"$core_pattern"
    rm -rf "$core"
    return "$code"
}
trap 'restore_core_pattern; clean_up' EXIT
cat >"$core/handler" <<HANDLER
#!/bin/sh
echo "\$1" >>$core/started
# As the container numbers the process.
number=\$(awk '/^NSpid:/ { print \$3 }' "/proc/\$1/status")
shift
exec nsenter --target $init --mount --uts --ipc --net --pid --root /lib/systemd/systemd-coredump "\$number" "\$@"
HANDLER
chmod 755 "$core" "$core/handler"
: >"$core/started"
# The arguments that this version of it takes, after its own name and the process.
arguments=$(sed -n 's/^kernel.core_pattern=|[^ ]* %P //p' "$tree/usr/lib/sysctl.d/50-coredump.conf")
started() { wc -l <"$core/started"; }
stored() { find "$tree/var/lib/systemd/coredump" -type f | wc -l; }
one_is_started() {
    echo "|$core/handler %P $arguments" >"$core_pattern"
    inside 'ulimit -c unlimited; sh -c "kill -SEGV \$\$" || true'
    tries=0
    while [ "$(started)" = 0 ] || [ "$(stored)" = 0 ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || { echo "started: $(started), stored: $(stored)"; return 1; }
        sleep 0.1
    done
}
# crashes COMMAND: the session's shell ends by a signal, and nothing is started.
crashes() {
    before=$(started)
    # 255 is what ssh says of a signal.
    inside "code=0
        client 2291 root@localhost '$1; kill -SEGV \$\$' || code=\$?
        [ \$code = 255 ] || fail \"the shell has not crashed, but ended with \$code\""
    # Its core would have gone through the handler before the session ended; and then some.
    sleep 1
    [ "$(started)" = "$before" ] || { echo "a handler was started for process $(tail -n 1 "$core/started")"; return 1; }
}

check "coredump: a crash in the container is taken by its systemd-coredump" one_is_started
check "coredump: a jail serves" inside '
    bkctld init core01
    bkctld key core01 /root/client_key.pub
    bkctld port core01 2291
    bkctld start core01
    answers 2291'
check "coredump: a crash in a session has nothing started" crashes :
check "coredump: nor one whose shell asks for core files" crashes "ulimit -c unlimited"
check "coredump: nor one whose shell asks for none" crashes "ulimit -c 0"
check "coredump: the jail goes" inside '
    bkctld --force remove core01
    no_process'

restore_core_pattern
trap clean_up EXIT
