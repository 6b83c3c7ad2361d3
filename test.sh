#!/bin/sh
# Runs every test: real file systems on loop devices, real sshd, real clients.
#
#   sudo ./test.sh [arguments for `cargo test --workspace`]
#
# A part of it:  sudo ./test.sh -p bkctld --test e2e -- transfer
#
# Everything that the tests mount or start lives in namespaces that end with them, and is deleted.
# BKCTLD_TEST_DIR: the directory for volumes (default /var/tmp; 10 GB of free space is plenty).
set -eu

case ${1-} in
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac

if [ "$(id -u)" != 0 ]; then
    echo "test.sh: must be run as root (it mounts volumes and makes sandboxes): sudo ./test.sh" >&2
    exit 1
fi

here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
. "$here/scripts/setup.sh"
need_packages cc:gcc /usr/include/stdlib.h:libc6-dev ssh:openssh-client sshd:openssh-server rsync:rsync mkfs.btrfs:btrfs-progs \
    mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs setfacl:acl setfattr:attr setcap:libcap2-bin ip:iproute2 \
    unshare:util-linux mount:mount perl:perl-base faketime:faketime \
    dash:dash busybox:busybox shellcheck:shellcheck fish:fish zsh:zsh mandoc:mandoc groff:groff-base \
    nft:nftables strace:strace
borrow_program promtool prometheus "${BKCTLD_TEST_DIR:-/var/tmp}/bkctld-test-tools"
find_cargo
export PATH

cd "$here"
# A mount and a pid namespace: however the run ends, the kernel unmounts and kills everything that a
# broken test left. Each test makes its own network. A shell is process 1 there, because it waits for orphans
# like an init, which cargo does not.
# shellcheck disable=SC2016 # the inner shell's words
exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    sh -c 'cargo test --workspace --no-fail-fast "$@"; exit $?' sh "$@"
