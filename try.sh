#!/bin/sh
# Demonstrates the main job: a jail, a push with real rsync over SSH, an inc, a second push that leaves the
# inc unchanged, and the plan of `rm`. Everything that it makes is deleted at the end.
#
#   sudo ./try.sh [--keep] [DIR]
#
# DIR: a directory to work in, on any file system. By default a btrfs volume in a file is mounted.
# --keep: leave everything in place, and print where it is and how to delete it.
#
# The server's sshd, its systemd units and its bkctld configuration are not touched.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
keep=
given=
for argument; do
    case $argument in
        --keep) keep=yes ;;
        -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) echo "try.sh: unknown option $argument (see --help)" >&2; exit 1 ;;
        *) [ -z "$given" ] || { echo "try.sh: more than one directory (see --help)" >&2; exit 1; }
            given=$argument ;;
    esac
done

bold=
plain=
if [ -t 1 ]; then
    bold=$(printf '\033[1m')
    plain=$(printf '\033[0m')
fi
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
die() { echo "try.sh: $*" >&2; exit 1; }

# Runs a command and shows it as one would type it.
show() {
    printf '%s$' "$bold"
    for word; do
        case $word in
            *[!A-Za-z0-9_./:=,@%+-]*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '%s\n' "$plain"
    "$@" || die "this command failed (exit $?)"
}

# The first directory for temporary files that has space for several copies of the pushed data.
roomy_directory() {
    for dir in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
        free=$(df --output=avail --block-size=1M "$dir" 2>/dev/null | tail -n 1)
        [ "${free:-0}" -lt 512 ] || { echo "$dir"; return; }
    done
    die "neither ${TMPDIR:-/tmp} nor /var/tmp has 512 MB free: set TMPDIR"
}

[ "$(id -u)" = 0 ] || die "must be run as root: sudo ./try.sh"
if [ -n "$given" ]; then
    backup=$(cd "$given" && pwd)/bkctld-try
    [ ! -e "$backup" ] || die "$backup is in the way: remove it, or give another directory"
fi
# shellcheck source=scripts/setup.sh
. "$here/scripts/setup.sh"
need_packages cc:gcc /usr/include/stdlib.h:libc6-dev ssh:openssh-client sshd:openssh-server rsync:rsync \
    mkfs.btrfs:btrfs-progs mount:mount
find_cargo

step "Building (slow only the first time)"
(cd "$here" && as_owner "$here" cargo build --release --locked --quiet --package bkctld)
PATH=$here/target/release:$PATH

temporary=$(roomy_directory)
work=$(mktemp -d "$temporary/bkctld-try.XXXXXX")
mounted=
made=
clean_up() {
    status=$?
    trap - EXIT
    trap '' INT TERM HUP
    cd /
    if [ -n "$keep" ] && [ -f "$work/bkctld.conf" ]; then
        step "Kept"
        echo "continue:  export BKCTLD_CONFIG=$work/bkctld.conf PATH=$here/target/release:\$PATH; cd $work"
        echo "clean up:  BKCTLD_CONFIG=$work/bkctld.conf $here/target/release/bkctld --force remove all &&"
        echo "           ${mounted:+umount $backup && }rm -rf $work${made:+ $made}"
        exit "$status"
    fi
    [ ! -f "$work/bkctld.conf" ] || BKCTLD_CONFIG=$work/bkctld.conf bkctld --quiet --force remove all || true
    [ -z "$mounted" ] || umount "$backup" || umount --lazy "$backup"
    rm -rf --one-file-system "$work" ${made:+"$made"}
    exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -n "$given" ]; then
    mkdir "$backup"
    made=$backup
    step "Working in $backup, on $(stat -f -c %T "$backup")"
else
    backup=$work/backup
    mkdir "$backup"
    step "A throw-away backup volume: btrfs in a file"
    truncate -s 2G "$work/volume.img"
    mkfs.btrfs "$work/volume.img" >"$work/mkfs.log" 2>&1 || { cat "$work/mkfs.log" >&2; exit 1; }
    # Set before the mount, so that a signal between the two leaves no mount behind.
    mounted=yes
    mount -o loop "$work/volume.img" "$backup" || {
        mounted=
        die "cannot mount a volume here; give a directory: sudo ./try.sh DIR"
    }
fi
df --human-readable --output=fstype,size,avail,target "$backup"
mkdir "$backup/jails" "$backup/incs" "$work/client"
cat >"$work/bkctld.conf" <<CONF
BACKUP_PARTITION=$backup
CONFDIR=$work/etc
DATADIR=$work/lib
LOCKDIR=$work/lock
SERVICE=background
CONF
export BKCTLD_CONFIG="$work/bkctld.conf"
# The client's side.
cd "$work/client"

step "A jail for the client 'web01', with the client's key"
ssh-keygen -q -t ed25519 -N '' -C root@web01 -f id
show bkctld init web01
show bkctld key web01 id.pub
# 2222, unless another program of this server listens there.
port=$(bkctld port web01)
while grep -Eqis "^ *[0-9]+: [0-9A-F]+:$(printf %04X "$port") [0-9A-F:]+ 0A " /proc/net/tcp /proc/net/tcp6; do
    port=$((port + 1))
done
[ "$port" = "$(bkctld port web01)" ] || show bkctld port web01 "$port"
show bkctld start web01
show bkctld status

sed 's/^\([^ ]* [^ ]*\).*/backup \1/' "$backup/jails/web01/rootfs/etc/ssh/ssh_host_ed25519_key.pub" >known_hosts
cat >ssh_config <<CONF
Host backup
    HostName 127.0.0.1
    Port $port
    User root
    HostKeyAlias backup
    IdentityFile $work/client/id
    IdentitiesOnly yes
    UserKnownHostsFile $work/client/known_hosts
    StrictHostKeyChecking yes
    BatchMode yes
CONF

step "The client pushes with stock rsync: all of /etc, and a file of its own"
echo "written before the first inc" >diary
show rsync -aHAX --numeric-ids --delete -e 'ssh -F ssh_config' /etc diary backup:/var/backup/
show du -sh "$backup/jails/web01/data"

step "An inc: a dated copy that the client cannot reach"
show bkctld inc
inc=$backup/incs/web01/$(ls "$backup/incs/web01")
show ls "$inc/data"

# A checksum of all contents, modes, owners, times and links.
fingerprint() {
    (cd "$inc/data" && {
        find . -printf '%P %y %m %U %G %T@ %l\0' | sort -z
        find . -type f -print0 | sort -z | xargs -0 sha256sum --binary
    }) | sha256sum | cut -c 1-32
}
before=$(fingerprint)

step "The client changes its file and pushes again; then somebody with its key deletes everything"
echo "an attacker was here" >diary
show rsync -aHAX --numeric-ids --delete -e 'ssh -F ssh_config' diary backup:/var/backup/
show ssh -F ssh_config backup 'cat /data/diary; rm -rf /data/*; ls -A /data'

step "The inc is unchanged"
show cat "$inc/data/diary"
after=$(fingerprint)
echo "fingerprint of its $(find "$inc/data" | wc -l) files before: $before"
echo "and now:                         $after"
[ "$before" = "$after" ] || die "the inc has changed"

step "Who connected, and which incs expire"
show bkctld status
show bkctld --json status web01
show bkctld rm --dry-run

step "That was the main job. README.md has the rest."
