#!/bin/sh
# Backs this machine up into the jail @JAIL@ of a backup server. Made there by `bkctld client`.
#
# To set it up, as root on this machine:
#   1. save this file as /usr/local/sbin/bkctld-client, mode 700;
#   2. have a key without passphrase (ssh-keygen -t ed25519), and give its public half to the
#      server's administrator, for `bkctld key`;
#   3. run it once by hand, then every night: 17 1 * * * root /usr/local/sbin/bkctld-client
#
# Exit codes: 0 everything was sent (files that vanished meanwhile do not count), 1 something was not
# sent, 2 this machine is not set up for it, or ROOT is not what it should be, 3 no server took the
# backup, 4 a server has another host key than it should have, 5 a hook failed (the rest was sent), 75
# another run is still going on.
# What went wrong last decides; the log has it all.
#
# shellcheck disable=SC2317 # what traps call is no dead code

# ---- Configuration ------------------------------------------------------------------------------
# A file /etc/bkctld-client/JAIL.conf may set the same variables, and survives a new script.

JAIL=@JAIL@
# HOST:PORT, or [ADDRESS]:PORT for IPv6, separated by blanks: tried in this order until one takes the
# backup. With ROTATE=yes each day begins with the next one, so that all of them have copies.
SERVERS=@SERVERS@
ROTATE=no
# The tree: everything below ROOT, or only what SOURCES names below it, one path a line. A ROOT other than
# / may be mounted by a hook; nothing is sent where a hook fails then, or nothing is in it.
ROOT=/
SOURCES=/
# What stays here, one pattern of rsync a line; a leading slash is ROOT's. What is excluded later on
# also goes from the live copy on the server (not from its dated ones).
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
# Whether to send what other servers have mounted here, and what lies in memory only (Linux).
FOREIGN=no
# Device nodes: yes only where the jail has ISOLATION=compat.
DEVICES=@DEVICES@
# More options for rsync, separated by blanks: --bwlimit=5m, say.
RSYNC_OPTIONS=''
# root's private key; empty for ssh's default.
KEY=''
# Seconds to wait for a server that does not answer.
TIMEOUT=60
# Programs that are run before: see the examples at the end. They find a directory for what they write
# in the variable DUMPS; it must be among what is sent.
HOOKS=/etc/bkctld-client/hooks.d
DUMPS=/var/backups/bkctld-client
# Who gets a mail when something went wrong; empty for nobody.
MAILTO=root
LOG=/var/log/bkctld-client-$JAIL.log
LOCK=/var/run/bkctld-client-$JAIL.lock
# Below ROOT: gets a line each day, which the server looks for (bkctld check-canary).
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
    # In braces, or the shell would tell of the redirection that fails before it is silenced.
    { cat "$work/log" >>"$LOG"; } 2>/dev/null || printf '%s\n' "bkctld-client: cannot write $LOG" >&2
}

send_mail() {
    [ -n "$MAILTO" ] || return 0
    subject="backup of $(uname -n) into jail $JAIL: exit code $status"
    # The end is where it went wrong; a million lines would not be delivered.
    tail -n 200 "$work/log" >"$work/body"
    # shellcheck disable=SC2086 # several addresses
    if command -v mail >/dev/null 2>&1; then
        mail -s "$subject" $MAILTO <"$work/body" && return 0
    elif command -v sendmail >/dev/null 2>&1; then
        { printf 'To: %s\nSubject: %s\n\n' "$(echo $MAILTO | sed 's/ /, /g')" "$subject" && cat "$work/body"; } \
            | sendmail -oi $MAILTO && return 0
    fi
    # cron mails what is said here.
    [ -t 2 ] || cat "$work/body" >&2
}

# One run at a time. Where there is flock the kernel lets go of a dead run's lock; elsewhere a link
# names the process, made in one step with what it says.
lock() {
    { : >>"$LOCK"; } 2>/dev/null || give_up 2 "cannot write $LOCK"
    if command -v flock >/dev/null 2>&1; then
        exec 9>>"$LOCK"
        # Said again, as Korn's shells keep such a descriptor from programs.
        flock -n 9 9>&9 && locked=by-flock
        return
    fi
    if ln -s "$$" "$LOCK.pid" 2>/dev/null; then
        locked=by-link
        return
    fi
    holder=$(readlink "$LOCK.pid")
    ! is_running "$holder" || return 1
    # Two runs may find the same dead one: only one may take its place.
    # One of an hour ago is of a run that was killed here.
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

# Whether the process is a run of this script: its number may be another's by now.
is_running() {
    kill -0 "$1" 2>/dev/null || return 1
    words=$(tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null || ps -o args= -p "$1" 2>/dev/null) || return 0
    case $words in *"${0##*/}"*) return 0 ;; esac
    return 1
}

# Gives up where the backup would be taken for that of a machine that has deleted everything.
check_root() {
    [ -d "$ROOT" ] || give_up 2 "the directory ROOT=$ROOT does not exist"
    [ -n "${ROOT%/}" ] || return 0
    [ "$status" != 5 ] || give_up 2 "a hook failed, and ROOT=$ROOT may be what it did not mount: nothing is sent"
    [ -n "$(ls -A "$ROOT/")" ] || give_up 2 "ROOT=$ROOT is empty: is it not mounted?"
}

write_canary() {
    file=${ROOT%/}$CANARY
    # The slash: of a file in / nothing else is left.
    mkdir -p "${file%/*}/" && {
        [ ! -f "$file" ] || tail -n 99 "$file"
        printf '%s %s into jail %s\n' "$(date '+%Y-%m-%dT%H:%M:%S%z')" "$(uname -n)" "$JAIL"
    } >"$file.new" && mv -f "$file.new" "$file"
}

run_hooks() {
    for hook in "$HOOKS"/*; do
        # Copies that editors and packages leave beside a file are no hooks.
        case $hook in
            *~ | *.bak | *.old | *.orig | *.rej | *.swp | *.disabled | *.example | *.dpkg-* | *.rpm* | *.ucf-*) continue ;;
        esac
        if [ ! -f "$hook" ] || [ ! -x "$hook" ]; then continue; fi
        mkdir -p "$DUMPS" || give_up 2 "cannot make the directory $DUMPS"
        export DUMPS
        say "hook ${hook##*/}"
        # Without the lock: what a hook leaves in the background must not hold it.
        attend "$hook" >"$work/hook" 2>&1 </dev/null 9>&-
        code=$?
        cat "$work/hook" >>"$work/log"
        [ "$code" = 0 ] || fail 5 "hook ${hook##*/} failed with exit code $code"
    done
}

# understood OPTION…: whether this machine's rsync takes these: there are old ones, some without ACLs, and
# openrsync.
understood() {
    rsync -n "$@" "$work/known_hosts" "$work/probe" >/dev/null 2>&1
}

# Puts the options of rsync that this machine's understands into $work/options, one a line.
rsync_options() {
    for option in -a --delete --numeric-ids --delete-excluded -H -A -X --partial-dir=.rsync-partial --stats; do
        if understood -a --delete "$option"; then
            echo "$option"
        else
            say "warning: this rsync has no $option"
        fi
    done
    if [ "$DEVICES" != yes ] && understood -a --no-devices; then echo --no-devices; fi
    # Attributes that only the server's own root could store: xfs shows each ACL a second time, as a trusted one,
    # and SELinux labels every file. Without rules rsync leaves system.* out by itself.
    if [ "$DEVICES" != yes ] && understood -a -X '--filter=-x system.*'; then
        for rule in '-x system.*' '-x trusted.*' '+x security.capability' '-x security.*'; do
            echo "--filter=$rule"
        done
    fi
    printf '%s\n' "$EXCLUDES" "$MORE_EXCLUDES" | sed -n 's/^[^#]/--exclude=&/p'
    [ "$FOREIGN" = yes ] || foreign_mounts
}

# Excludes the content of the mounts below ROOT that hold nothing of this machine.
foreign_mounts() {
    [ -r /proc/mounts ] || return 0
    # Never decoded: users may mount, too, and what follows a newline would be an option of rsync. A ?
    # stands for any character; which ones are written as \040 depends on the kernel.
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

# push HOST PORT: exit code of rsync.
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
        # What stands behind the dot is the path on the server.
        set -- "$@" -R "${ROOT%/}/.$CANARY"
        while IFS= read -r source; do
            [ -z "$source" ] || set -- "$@" "${ROOT%/}/./${source#/}"
        done <"$work/sources"
    fi
    attend rsync "$@" "root@$host:/var/backup/" >"$work/rsync" 2>&1 </dev/null
}

# The servers in the order in which they are tried.
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
            # The connection, or the server's disk: another one may do better.
            10 | 11 | 12 | 30 | 35 | 255) ;;
            *) fail 1 "not everything was sent to $server: rsync ended with exit code $code" && return ;;
        esac
        if grep -q 'Host key verification failed' "$work/rsync"; then
            fail 4 "$server has another host key than it should have: is it the right machine?"
        else
            say "warning: $server did not take the backup: rsync ended with exit code $code"
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
    # Each night's would be silent for ever where one hangs: cron mails what is said here.
    if [ -n "$(find "$LOCK" -prune -mmin +1440 2>/dev/null)" ]; then
        say "another run has been going on for more than a day: does it hang?"
    elif [ -t 2 ]; then
        say "another run is still going on"
    fi
    exit 75
fi
# When this run began.
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
# One file each in /etc/bkctld-client/hooks.d, made executable, without the "#: ". A dump takes the place of
# the one before when it is complete. Where one is made, MORE_EXCLUDES can name the database's own files,
# which change while they are read: /var/lib/mysql/*, /var/lib/postgresql/*, …
#
# mysql: MySQL and MariaDB, by the socket as root, or as /root/.my.cnf says
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
