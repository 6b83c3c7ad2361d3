#!/bin/sh
# Backs this machine up into the jail @JAIL@ of a backup server, where `bkctld client` has made this script.
#
# To set it up, as root on this machine:
#   1. save this file as /usr/local/sbin/bkctld-client, mode 700;
#   2. create a key without passphrase (ssh-keygen -t ed25519), and give its public half to the
#      server's administrator, for `bkctld key`;
#   3. run it once by hand, then every night: 17 1 * * * root /usr/local/sbin/bkctld-client
#
# Exit codes: 0 everything was sent (apart from files that vanished during the backup), 1 something was not
# sent, 2 this machine is not set up for backups, or ROOT is wrong, 3 no server accepted the backup, 4 a server
# has a wrong host key, 5 a hook failed (the rest was sent), 75 another run is still in progress.
# The last error determines the exit code; the log has all of them.
#
# shellcheck disable=SC2317 # functions called by traps are not dead code

# ---- Configuration ------------------------------------------------------------------------------
# The file /etc/bkctld-client/JAIL.conf can set the same variables, and is kept when this script is replaced.

JAIL=@JAIL@
# HOST:PORT, or [ADDRESS]:PORT for IPv6, separated by blanks. They are tried in this order until one accepts the
# backup. With ROTATE=yes, each day begins with the next server, so that all of them have copies.
SERVERS=@SERVERS@
ROTATE=no
# The tree to send: everything below ROOT, or only the paths below it that SOURCES names, one per line. A hook
# may mount a ROOT other than /; nothing is sent if a hook then fails, or if ROOT is empty.
ROOT=/
SOURCES=/
# Patterns of rsync for files that are not sent, one per line; a leading slash means ROOT. Files that you exclude
# later are also deleted from the live copy on the server (but not from its incs).
EXCLUDES='
/dev/*
/proc/*
/run/*
/sys/*
/tmp/*
/var/tmp/*
/var/run/*
/var/lock/*
/lost+found
/swapfile
/swap.img
/swap/*
/var/cache/apt/archives/*.deb
/var/cache/dnf/*
/var/cache/pacman/pkg/*
/var/lib/docker/overlay2/*
/var/lib/docker/btrfs/*
/var/lib/containers/storage/overlay/*
/var/lib/containerd/io.containerd.snapshotter.*/*
/var/lib/kubelet/pods/*
/var/lib/lxcfs/*
/var/lib/nfs/rpc_pipefs/*
/var/lib/systemd/coredump/*
/usr/obj/*
/usr/ports/distfiles/*
/compat/linux/proc/*
/kern/*
/System/Volumes/*
/Volumes/*
/cores/*
/private/tmp/*
/private/var/tmp/*
/private/var/vm/*
/private/var/run/*
/.Spotlight-V100
/.fseventsd
.nfs*
'
MORE_EXCLUDES=''
# Whether to send network file systems, and those that are only in memory (Linux).
FOREIGN=no
# Device nodes: yes only if the jail has ISOLATION=compat.
DEVICES=@DEVICES@
# Additional options for rsync, separated by blanks, for example --bwlimit=5m.
RSYNC_OPTIONS=''
# root's private key; empty for ssh's default.
KEY=''
# The time in seconds to wait for a server that does not answer.
TIMEOUT=60
# Programs that run before the backup: see the examples at the end. They write into the directory DUMPS, which
# must be part of the backup.
HOOKS=/etc/bkctld-client/hooks.d
DUMPS=/var/backups/bkctld-client
# The recipient of a mail if something went wrong; empty for none.
MAILTO=root
LOG=/var/log/bkctld-client-$JAIL.log
LOCK=/var/run/bkctld-client-$JAIL.lock
# A file below ROOT that gets a line each day, which the server looks for (bkctld check-canary).
CANARY=@CANARY@

# The servers' host keys. No other is accepted.
known_hosts() {
    cat <<'END_OF_KEYS'
@KNOWN_HOSTS@
END_OF_KEYS
}

CONFIG=${BKCTLD_CLIENT_CONFIG:-/etc/bkctld-client/$JAIL.conf}
# shellcheck source=/dev/null
[ ! -r "$CONFIG" ] || . "$CONFIG"

# ---- The script ---------------------------------------------------------------------------------

set -u
umask 077
LC_ALL=C
PATH=${PATH:-}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

status=0
work=
child=
locked=
stale=

say() {
    line="$(date '+%Y-%m-%dT%H:%M:%S%z') $*"
    if [ -n "$work" ]; then printf '%s\n' "$line" >>"$work/log"; fi
    if [ -z "$work" ] || [ -t 2 ]; then printf '%s\n' "bkctld-client: $*" >&2; fi
}

# fail CODE WORDS…
fail() {
    status=$1
    shift
    say "error: $*"
}

give_up() {
    fail "$@"
    exit "$status"
}

# Runs a command in the background and waits, so that a signal ends it at once.
attend() {
    "$@" &
    child=$!
    wait "$child"
    code=$?
    child=
    return "$code"
}

interrupted() {
    trap '' HUP INT TERM
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null
        wait "$child"
    fi
    give_up "$1" "interrupted by a signal"
}

# finish CODE: also after an error of the shell itself.
finish() {
    trap - EXIT
    trap '' HUP INT TERM
    [ "$1" = 0 ] || status=$1
    if [ -n "$work" ]; then
        say "ended with exit code $status"
        keep_log
        [ "$status" = 0 ] || send_mail
        rm -rf "$work"
    fi
    [ "$locked" != by-link ] || rm -f "$LOCK.pid"
    [ -z "$stale" ] || rmdir "$LOCK.stale" 2>/dev/null
    exit "$status"
}

keep_log() {
    if [ -f "$LOG" ] && [ "$(wc -c <"$LOG")" -gt 5000000 ]; then mv -f "$LOG" "$LOG.old"; fi
    # In braces, or the shell would report the failed redirection before it is silenced.
    { cat "$work/log" >>"$LOG"; } 2>/dev/null || printf '%s\n' "bkctld-client: cannot write $LOG" >&2
}

send_mail() {
    [ -n "$MAILTO" ] || return 0
    subject="backup of $(uname -n) into jail $JAIL: exit code $status"
    # The error is at the end; a million lines would not be delivered.
    tail -n 200 "$work/log" >"$work/body"
    # shellcheck disable=SC2086 # several addresses
    if command -v mail >/dev/null 2>&1; then
        mail -s "$subject" $MAILTO <"$work/body" && return 0
    elif command -v sendmail >/dev/null 2>&1; then
        { printf 'To: %s\nSubject: %s\n\n' "$(echo $MAILTO | sed 's/ /, /g')" "$subject" && cat "$work/body"; } \
            | sendmail -oi $MAILTO && return 0
    fi
    # cron mails this output.
    [ -t 2 ] || cat "$work/body" >&2
}

# Only one run at a time. With flock, the kernel releases the lock of a dead run. Without it, a link names the
# process; it is created together with its contents in one step.
lock() {
    { : >>"$LOCK"; } 2>/dev/null || give_up 2 "cannot write $LOCK"
    if command -v flock >/dev/null 2>&1; then
        exec 9>>"$LOCK"
        # Repeated, because Korn shells do not pass such a descriptor on to programs.
        flock -n 9 9>&9 && locked=by-flock
        return
    fi
    if ln -s "$$" "$LOCK.pid" 2>/dev/null; then
        locked=by-link
        return
    fi
    holder=$(readlink "$LOCK.pid")
    ! is_running "$holder" || return 1
    # Two runs may find the same dead one, but only one may take its place.
    # A directory from an hour ago belongs to a run that was killed here.
    find "$LOCK.stale" -prune -mmin +60 -exec rmdir {} \; 2>/dev/null
    mkdir "$LOCK.stale" 2>/dev/null || return 1
    stale=yes
    if [ "$(readlink "$LOCK.pid")" = "$holder" ]; then
        rm -f "$LOCK.pid"
        if ln -s "$$" "$LOCK.pid"; then locked=by-link; fi
    fi
    rmdir "$LOCK.stale"
    stale=
    [ -n "$locked" ]
}

# Whether the process is a run of this script: another process may have its number by now.
is_running() {
    kill -0 "$1" 2>/dev/null || return 1
    words=$(tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null || ps -o args= -p "$1" 2>/dev/null) || return 0
    case $words in *"${0##*/}"*) return 0 ;; esac
    return 1
}

# Gives up if the backup would look like that of a machine that has deleted everything.
check_root() {
    [ -d "$ROOT" ] || give_up 2 "the directory ROOT=$ROOT does not exist"
    [ -n "${ROOT%/}" ] || return 0
    [ "$status" != 5 ] || give_up 2 "a hook failed, and ROOT=$ROOT may be what it did not mount: nothing is sent"
    [ -n "$(ls -A "$ROOT/")" ] || give_up 2 "ROOT=$ROOT is empty: is it not mounted?"
}

write_canary() {
    file=${ROOT%/}$CANARY
    # The slash, because nothing else remains of a file in /.
    mkdir -p "${file%/*}/" && {
        [ ! -f "$file" ] || tail -n 99 "$file"
        printf '%s %s into jail %s\n' "$(date '+%Y-%m-%dT%H:%M:%S%z')" "$(uname -n)" "$JAIL"
    } >"$file.new" && mv -f "$file.new" "$file"
}

run_hooks() {
    for hook in "$HOOKS"/*; do
        # Copies that editors and packages leave beside a file are not hooks.
        case $hook in
            *~ | *.bak | *.old | *.orig | *.rej | *.swp | *.disabled | *.example | *.dpkg-* | *.rpm* | *.ucf-*) continue ;;
        esac
        if [ ! -f "$hook" ] || [ ! -x "$hook" ]; then continue; fi
        mkdir -p "$DUMPS" || give_up 2 "cannot make the directory $DUMPS"
        export DUMPS
        say "hook ${hook##*/}"
        # Without the lock, which a background process of a hook must not hold.
        attend "$hook" >"$work/hook" 2>&1 </dev/null 9>&-
        code=$?
        cat "$work/hook" >>"$work/log"
        [ "$code" = 0 ] || fail 5 "hook ${hook##*/} failed with exit code $code"
    done
}

# understood OPTION…: whether this machine's rsync accepts these options: it may be old, built without ACLs, or
# openrsync.
understood() {
    rsync -n "$@" "$work/known_hosts" "$work/probe" >/dev/null 2>&1
}

# Prints the options that this machine's rsync understands, one per line.
rsync_options() {
    for option in -a --delete --numeric-ids --delete-excluded -H -A -X --partial-dir=.rsync-partial --stats; do
        if understood -a --delete "$option"; then
            echo "$option"
        else
            say "warning: this rsync has no $option"
        fi
    done
    if [ "$DEVICES" != yes ] && understood -a --no-devices; then echo --no-devices; fi
    # Skips attributes that only root on the server could store: XFS shows each ACL a second time, as a trusted
    # attribute, and SELinux labels every file. Without rules, rsync itself skips system.*.
    if [ "$DEVICES" != yes ] && understood -a -X '--filter=-x system.*'; then
        for rule in '-x system.*' '-x trusted.*' '+x security.capability' '-x security.*'; do
            echo "--filter=$rule"
        done
    fi
    printf '%s\n' "$EXCLUDES" "$MORE_EXCLUDES" | sed -n 's/^[^#]/--exclude=&/p'
    [ "$FOREIGN" = yes ] || foreign_mounts
}

# Excludes the contents of mounts below ROOT that do not belong to this machine.
foreign_mounts() {
    [ -r /proc/mounts ] || return 0
    # Escapes are not decoded: users may mount too, and text after a newline would become an option of rsync. A ?
    # matches any character; the kernel decides which ones it writes as \040.
    top=$(printf '%s\n' "${ROOT%/}" | sed 's/[][*#[:blank:]\]/?/g')
    while read -r _ dir kind _; do
        case $kind in
            nfs | nfs4 | cifs | smb3 | ceph | glusterfs | lustre | afs | 9p | virtiofs | fuse.sshfs | fuse.rclone | fuse.s3fs) ;;
            fuse.glusterfs | davfs | autofs | tmpfs | ramfs | devtmpfs | devpts | proc | sysfs | cgroup | cgroup2) ;;
            overlay | squashfs | iso9660 | udf | fuse.lxcfs | fuse.gvfsd-fuse | fuse.portal | rpc_pipefs | tracefs) ;;
            *) continue ;;
        esac
        dir=$(printf '%s\n' "$dir" | sed 's/\\[0-7][0-7][0-7]/?/g; s/[][*#]/?/g')
        case $dir in
            "$top"/?*) printf '%s\n' "--exclude=${dir#"$top"}/*" ;;
        esac
    done </proc/mounts
}

# push HOST PORT: returns the exit code of rsync.
push() {
    ssh="ssh -p $2 -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=$work/known_hosts"
    ssh="$ssh -o GlobalKnownHostsFile=/dev/null -o CheckHostIP=no -o ClearAllForwardings=yes"
    ssh="$ssh -o ConnectTimeout=$TIMEOUT -o ServerAliveInterval=60 -o ServerAliveCountMax=5"
    [ -z "$KEY" ] || ssh="$ssh -o IdentitiesOnly=yes -i $KEY"
    set -- "$1"
    while IFS= read -r option; do
        set -- "$@" "$option"
    done <"$work/options"
    host=$1
    shift
    # shellcheck disable=SC2086 # several options
    set -- "$@" $RSYNC_OPTIONS -e "$ssh"
    if [ "$SOURCES" = / ]; then
        set -- "$@" "${ROOT%/}/"
    else
        # The part after the dot is the path on the server.
        set -- "$@" -R "${ROOT%/}/.$CANARY"
        while IFS= read -r source; do
            [ -z "$source" ] || set -- "$@" "${ROOT%/}/./${source#/}"
        done <"$work/sources"
    fi
    attend rsync "$@" "root@$host:/var/backup/" >"$work/rsync" 2>&1 </dev/null
}

# Prints the servers in the order in which they are tried.
in_order() {
    # shellcheck disable=SC2086 # several servers
    set -- $SERVERS
    if [ "$ROTATE" = yes ] && [ $# -gt 1 ]; then
        turns=$(($(date +%s) / 86400 % $#))
        while [ "$turns" -gt 0 ]; do
            first=$1
            shift
            set -- "$@" "$first"
            turns=$((turns - 1))
        done
    fi
    echo "$@"
}

back_up() {
    for server in $(in_order); do
        say "sending to $server"
        push "${server%:*}" "${server##*:}"
        code=$?
        cat "$work/rsync" >>"$work/log"
        case $code in
            0) return ;;
            24) say "warning: some files vanished before they could be sent" && return ;;
            # The connection or the server's disk failed: another server may work.
            10 | 11 | 12 | 30 | 35 | 255) ;;
            *) fail 1 "not everything was sent to $server: rsync ended with exit code $code" && return ;;
        esac
        if grep -q 'Host key verification failed' "$work/rsync"; then
            fail 4 "$server has a wrong host key: is it the right machine?"
        else
            say "warning: $server did not accept the backup: rsync ended with exit code $code"
        fi
    done
    [ "$status" = 4 ] || fail 3 "no server took the backup"
}

[ "$(id -u)" = 0 ] || give_up 2 "must be run as root"
for program in rsync ssh mktemp; do
    command -v "$program" >/dev/null 2>&1 || give_up 2 "$program is not installed"
done
case $KEY$TIMEOUT in *[[:space:]]*) give_up 2 "KEY and TIMEOUT must be without blanks" ;; esac
trap 'finish $?' EXIT
trap 'interrupted 129' HUP
trap 'interrupted 130' INT
trap 'interrupted 143' TERM
if ! lock; then
    { printf '%s another run is still going on\n' "$(date '+%Y-%m-%dT%H:%M:%S%z')" >>"$LOG"; } 2>/dev/null
    # If one run hangs, those of later nights would be silent forever; cron mails this output.
    if [ -n "$(find "$LOCK" -prune -mmin +1440 2>/dev/null)" ]; then
        say "another run has been in progress for more than a day: does it hang?"
    elif [ -t 2 ]; then
        say "another run is still going on"
    fi
    exit 75
fi
# The time at which this run began.
touch "$LOCK"
work=$(mktemp -d "${TMPDIR:-/tmp}/bkctld-client.XXXXXX") || give_up 2 "cannot make a temporary directory"
case $work in *[[:space:]]*) give_up 2 "the name of the directory for temporary files has blanks: $work" ;; esac
say "backup of $(uname -n) into jail $JAIL"
known_hosts >"$work/known_hosts"
printf '%s\n' "$SOURCES" >"$work/sources"
run_hooks
check_root
rsync_options >"$work/options"
write_canary || fail 1 "cannot write the canary ${ROOT%/}$CANARY"
back_up
exit "$status"

# ---- Examples of hooks ------------------------------------------------------------------------------
# Put each into an executable file in /etc/bkctld-client/hooks.d, without the "#: ". A dump replaces the previous
# one once it is complete. MORE_EXCLUDES can then exclude the database's own files, which change while they are
# read: /var/lib/mysql/*, /var/lib/postgresql/*, …
#
# mysql: MySQL and MariaDB, over the socket as root, or according to /root/.my.cnf
#: #!/bin/sh
#: set -eu
#: dump=$(command -v mariadb-dump || command -v mysqldump)
#: "$dump" --all-databases --single-transaction --quick --routines --events --triggers >"$DUMPS/mysql.sql.new"
#: mv "$DUMPS/mysql.sql.new" "$DUMPS/mysql.sql"
#
# postgresql
#: #!/bin/sh
#: set -eu
#: cd /
#: su postgres -c pg_dumpall >"$DUMPS/postgresql.sql.new"
#: mv "$DUMPS/postgresql.sql.new" "$DUMPS/postgresql.sql"
#
# ldap: OpenLDAP, its configuration and its first database
#: #!/bin/sh
#: set -eu
#: slapcat -n 0 >"$DUMPS/ldap-config.ldif.new"
#: mv "$DUMPS/ldap-config.ldif.new" "$DUMPS/ldap-config.ldif"
#: slapcat -n 1 >"$DUMPS/ldap-data.ldif.new"
#: mv "$DUMPS/ldap-data.ldif.new" "$DUMPS/ldap-data.ldif"
#
# redis
#: #!/bin/sh
#: set -eu
#: redis-cli --rdb "$DUMPS/redis.rdb.new"
#: mv "$DUMPS/redis.rdb.new" "$DUMPS/redis.rdb"
#
# mongodb
#: #!/bin/sh
#: set -eu
#: mongodump --quiet --archive="$DUMPS/mongodb.archive.new"
#: mv "$DUMPS/mongodb.archive.new" "$DUMPS/mongodb.archive"
