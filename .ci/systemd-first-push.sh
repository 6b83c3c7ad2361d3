# shellcheck shell=sh disable=SC2016,SC2154 # scripts for inside; what .ci/systemd has set
# Sourced by .ci/systemd: from a fresh partition to the first push and the first inc, by the README's own
# commands and nothing else. The file system is a real one on a loop device, made outside, where loop devices are.

# The blocks of the README's section "First jail", in their order.
awk '/^## / { inside = /^## First jail$/ } /^```/ { if (block) block = 0; else if (inside) { block = 1; number++ } next }
    inside && block { print > dir "/readme" number }' dir="$tree/root" "$checkout/README.md"

check "first push: the package installs on a server without jails, and init refuses while nothing is mounted" inside '
    rm -rf /backup /etc/evobackup /root/.ssh
    apt-get --yes install /root/bkctld.deb
    mkdir /backup
    ssh-keygen -q -t ed25519 -N "" -C web01 -f /root/web01
    refuses 10 "mount the backup partition" bkctld init web01
    [ -z "$(ls /backup)" ] || fail "something was made below the mount point"'
check "first push: on a fresh file system the commands of the README make a jail and start it" inside '
    mount --bind /mnt/volume /backup
    is "$(ls -A /backup)" lost+found
    . /root/readme1
    on web01
    is "$(stat -c "%a %U" /backup/jails /backup/incs /backup/jails/web01 | uniq)" "700 root"'
check "first push: the push of the README arrives whole" inside '
    # The client knows the server by name, and its key.
    echo "127.0.0.1 backup.example.org" >>/etc/hosts
    mkdir -m 700 /root/.ssh
    printf "IdentityFile /root/web01\nBatchMode yes\n" >/root/.ssh/config
    ssh-keyscan -p 2222 backup.example.org >/root/.ssh/known_hosts
    echo home >/home/file
    . /root/readme2
    # Only what the push itself has changed may differ.
    for pushed in etc home; do
        is "$(rsync -aHAXn --numeric-ids --delete --itemize-changes "/$pushed/" "/backup/jails/web01/data/$pushed/")" ""
    done'
check "first push: the inc of the README has it" inside '
    . /root/readme3
    is "$(ls /backup/incs/web01 | wc -l)" 1
    diff -r --no-dereference /etc "$(echo /backup/incs/web01/20*)/data/etc"
    bkctld check-incs last
    bkctld check-setup
    no_failed_unit'
check "first push: what was made is gone" inside '
    bkctld --force remove all
    dpkg --purge bkctld
    umount /backup
    rm -rf /root/.ssh'
