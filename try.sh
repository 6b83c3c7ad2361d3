#!/bin/sh
# Shows the main job before your eyes: a jail, a push with real rsync over SSH, an inc, a second push
# that leaves the inc as it was, and what `rm` would do. Everything it makes is thrown away at the end.
#
#   sudo ./try.sh [--keep] [DIR]
#
# DIR: an empty directory to work in; without it a btrfs volume in a file is made and mounted.
# --keep: leave everything in place and say where it is.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
keep=
given=
for argument; do
    case $argument in
        --keep) keep=yes ;;
        -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) echo "try.sh: unknown option $argument (see --help)" >&2; exit 1 ;;
        *) given=$argument ;;
    esac
done

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }
die() { echo "try.sh: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "must be run as root: sudo ./try.sh"
. "$here/scripts/setup.sh"
need_packages ssh-keygen:openssh-client ssh:openssh-client sshd:openssh-server rsync:rsync \
    mkfs.btrfs:btrfs-progs mount:mount cc:gcc /usr/include/stdlib.h:libc6-dev
find_cargo

step "Building (only the first time takes long)"
(cd "$here" && cargo build --release --quiet --package bkctld)
bkctld=$here/target/release/bkctld

work=$(mktemp -d /tmp/bkctld-try.XXXXXX)
mounted=
clean_up() {
    status=$?
    trap - EXIT
    if [ -n "$keep" ]; then
        printf '\nKept: export BKCTLD_CONFIG=%s; %s status\n' "$work/bkctld.conf" "$bkctld"
        exit "$status"
    fi
    [ ! -f "$work/bkctld.conf" ] || "$bkctld" --force remove all >/dev/null 2>&1 || true
    [ -z "$mounted" ] || umount "$backup"
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

if [ -n "$given" ]; then
    [ -d "$given" ] || die "$given is no directory"
    backup=$(cd "$given" && pwd)/bkctld-try
    mkdir "$backup" || die "$backup is in the way"
    step "Working in $backup ($(stat -f -c %T "$backup"))"
else
    step "A throw-away backup volume: btrfs in a file"
    backup=$work/backup
    mkdir "$backup"
    truncate -s 4G "$work/volume.img"
    mkfs.btrfs -q "$work/volume.img"
    mount -o loop "$work/volume.img" "$backup" || die "cannot mount a volume here; give a directory: sudo ./try.sh DIR"
    mounted=yes
    df -h "$backup" | tail -n 1
fi
mkdir "$backup/jails" "$backup/incs"
cat >"$work/bkctld.conf" <<CONF
BACKUP_PARTITION=$backup
CONFDIR=$work/etc
DATADIR=$work/lib
LOCKDIR=$work/lock
SERVICE=background
CONF
export BKCTLD_CONFIG="$work/bkctld.conf"
PATH=$here/target/release:$PATH

step "A jail for the client 'web01', with the client's key"
ssh-keygen -q -t ed25519 -N '' -C root@web01 -f "$work/client_key"
show bkctld init web01
show bkctld key web01 "$work/client_key.pub"
show bkctld start web01
show bkctld status
port=$(bkctld port web01)
sed "s/^\([^ ]* [^ ]*\).*/[127.0.0.1]:$port \1/" "$backup/jails/web01/rootfs/etc/ssh/ssh_host_ed25519_key.pub" >"$work/known_hosts"
remote="ssh -p $port -i $work/client_key -o UserKnownHostsFile=$work/known_hosts -o StrictHostKeyChecking=yes -o BatchMode=yes"

step "The client pushes a real tree with stock rsync: all of /etc, and a file of its own"
mkdir "$work/client"
echo "written before the first inc" >"$work/client/diary"
show rsync -aHAX --numeric-ids --delete -e "$remote" /etc "$work/client" root@127.0.0.1:/var/backup/
show du -sh "$backup/jails/web01/data"

step "A dated copy, outside of the client's reach"
show bkctld inc
inc=$(ls "$backup/incs/web01")
show ls "$backup/incs/web01/$inc/data"

step "The client changes its files and pushes again; then it deletes what it pushed"
echo "an attacker was here" >"$work/client/diary"
show rsync -aHAX --numeric-ids --delete -e "$remote" "$work/client" root@127.0.0.1:/var/backup/
show $remote root@127.0.0.1 "rm -rf /data/etc; ls /data"

step "The inc is as it was"
show cat "$backup/incs/web01/$inc/data/client/diary"
[ "$(cat "$backup/incs/web01/$inc/data/client/diary")" = "written before the first inc" ] || die "the inc has changed"
diff -r --no-dereference /etc "$backup/incs/web01/$inc/data/etc" >/dev/null || die "the inc differs from what was pushed"
echo "/etc in the inc: no difference to the client's"

step "Who was here, and what expires when"
show bkctld status
show bkctld --json status web01
show bkctld rm --dry-run

step "That was the main job. README.md has the rest."
