# shellcheck shell=sh disable=SC2164 # whoever sources this runs with -e
# Jails as the shell program 25.x leaves them, made from what is known of its files. Sourced by the tests.

# original_programs DIRECTORY: what its `update` makes anew in a root file system: programs with their
# libraries, and accounts. Modes are those of its umask.
original_programs() (
    umask 077
    cd "$1"
    rm -rf usr bin lib lib64
    mkdir -p dev proc run tmp usr/bin usr/sbin usr/lib/openssh usr/lib64 etc/ssh root/.ssh
    ln -s ./usr/bin bin
    ln -s ./usr/lib lib
    ln -s ./usr/lib64 lib64
    for program in sh ls mkdir cat rm sed rsync touch sshd /usr/lib/openssh/sftp-server /usr/lib/openssh/sshd-*; do
        case $program in
            sshd) to=usr/sbin ;;
            /usr/lib/openssh/*) to=usr/lib/openssh ;;
            *) to=usr/bin ;;
        esac
        program=$(command -v "$program") || continue
        cp -L "$program" "$to/"
        for library in $(ldd "$program" | grep -Eo '/[^ ]*\.so[.0-9]*'); do
            mkdir -p ".${library%/*}"
            cp -L "$library" ".$library"
        done
    done
    printf '%s\n' root:x:0:0:root:/root:/bin/sh sshd:x:100:65534::/run/sshd:/usr/sbin/nologin >etc/passwd
    printf '%s\n' 'root:x:17000:0:99999:7:::' 'sshd:*:17000:0:99999:7:::' >etc/shadow
    printf '%s\n' root:x:0: tty:x:5: nogroup:x:65534: >etc/group
    touch root/.ssh/authorized_keys etc/localtime etc/resolv.conf
)

# original_root DIRECTORY PORT: a whole root file system, with host keys and sshd_config.
original_root() (
    umask 077
    mkdir -p "$1"
    original_programs "$1"
    cd "$1"
    for kind in rsa ecdsa ed25519; do
        # Of a size that takes no time to find.
        case $kind in rsa) size='-b 2048' ;; *) size= ;; esac
        # shellcheck disable=SC2086 # words
        ssh-keygen -q -N '' -t "$kind" $size -f "etc/ssh/ssh_host_${kind}_key"
    done
    # With directives that were right when it was written.
    cat >etc/ssh/sshd_config <<CONFIG
Port $2
Protocol 2

HostKey /etc/ssh/ssh_host_rsa_key
HostKey /etc/ssh/ssh_host_ecdsa_key
HostKey /etc/ssh/ssh_host_ed25519_key

LogLevel INFO
PermitRootLogin without-password
StrictModes yes
AuthorizedKeysFile %h/.ssh/authorized_keys
ChallengeResponseAuthentication no
PasswordAuthentication no
PrintMotd no
UseDNS no

Subsystem sftp /usr/lib/openssh/sftp-server

AllowUsers root@0.0.0.0/0
CONFIG
)

# original_v1 DIRECTORY PORT: a jail of the first format, whose directory is its root.
original_v1() {
    original_root "$1" "$2"
    (
        umask 077
        cd "$1"
        mkdir -p run/sshd var/log var/tmp var/backup
        ln -s ../run var/run
        touch -d 2021-02-03 var/log/lastlog
    )
}

# original_v1_start DIRECTORY: its sshd in a chroot, with what is mounted for that.
original_v1_start() (
    cd "$1"
    mount -t proc proc proc
    mount -t tmpfs dev dev
    mkdir dev/pts
    mount -t devpts pts dev/pts
    for node in 'null c 1 3' 'zero c 1 5' 'random c 1 8' 'urandom c 1 9' 'tty c 5 0'; do
        # shellcheck disable=SC2086 # words
        mknod -m 666 dev/$node
    done
    chroot . /usr/sbin/sshd -E /var/log/authlog
)

# original_v2 DIRECTORY PORT: a jail of the second format.
original_v2() {
    original_root "$1/rootfs" "$2"
    (
        umask 077
        cd "$1"
        echo 2 >version
        mkdir -p rootfs/data var/log var/backup data/etc data/home
        touch var/log/lastlog var/log/wtmp
        echo host >data/etc/hostname
        echo notes >data/home/notes
        ln data/home/notes data/home/linked
    )
}

# original_container NAME DIRECTORY: what systemd-nspawn@NAME needs to run a jail of the second format.
original_container() {
    mkdir -p /etc/systemd/nspawn /var/lib/machines
    printf '%s\n' '#!/bin/sh' '' 'mkdir /run/sshd' 'exec /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config' >"$2/rootfs/start.sh"
    rm -f "/var/lib/machines/$1"
    cat >"/etc/systemd/nspawn/$1.nspawn" <<SETTINGS
[Exec]
ProcessTwo=True
Parameters=/bin/sh start.sh
DropCapability=CAP_SYS_ADMIN
NoNewPrivileges=True
SystemCallFilter=~@system-service
PrivateUsers=False
LinkJournal=no

[Files]
ReadOnly=True
Bind=$2/var:/var
Bind=$2/data:/data
Bind=$2/data:/var/backup

[Network]
Private=False
SETTINGS
    ln -s "$2/rootfs" "/var/lib/machines/$1"
}

# original_update NAME DIRECTORY: its `update` of a jail that is off.
original_update() {
    original_programs "$2/rootfs"
    mkdir -p "$2/rootfs/data" "$2/var/backup"
    original_container "$1" "$2"
}
