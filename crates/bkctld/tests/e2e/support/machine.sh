# shellcheck shell=sh
# The inside of a machine, in network and mount namespaces of its own: sh machine.sh DIRECTORY BKCTLD ENTRY_POINTS
# Says `ready` when it is one, and waits to be killed. Tests and bench run it.
set -eu
# The volumes of other tests that run now: they must be able to unmount them.
# shellcheck disable=SC2013 # no blanks in those that count
for at in $(cut -d ' ' -f 5 /proc/self/mountinfo); do
    case $at in
        "$1"/*) ;;
        */bkctld-test-*) umount -l "$at" ;;
    esac
done
# An overlay hides what is mounted below the directory: a checkout, or its target, below /root.
: >"$1/bkctld"
mount --bind "$2" "$1/bkctld"
cp -r "${3%/*}" "$1/scripts"
mount -t tmpfs tmpfs "$1/over"
for at in etc root usr/lib usr/sbin; do
    mkdir -p "$1/over/up/$at" "$1/over/work/$at"
    mount -t overlay -o "lowerdir=/$at,upperdir=$1/over/up/$at,workdir=$1/over/work/$at" overlay "/$at"
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd /etc/default
rm -rf /etc/default/bkctld /usr/lib/bkctld /usr/sbin/bkctld /root/.ssh
mkdir -m 700 /root/.ssh
# A locked account is refused by an sshd without PAM.
sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow
ln -s "$1/bkctld" /usr/sbin/bkctld
"$1/scripts/entry-points" /usr/sbin/bkctld
ip link set lo up
echo ready
exec sleep infinity
