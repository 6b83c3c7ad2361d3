# shellcheck shell=sh
# Sourced by try.sh and test.sh: what both need on a fresh machine.

# sshd and the makers of file systems are where an ordinary user's PATH does not lead.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Installs the Debian packages of which something is missing. Arguments: PROGRAM:PACKAGE…, or
# FILE:PACKAGE… where what is needed is no program.
need_packages() {
    missing=
    for pair; do
        case $pair in
            /*) [ -e "${pair%%:*}" ] && continue ;;
            *) command -v "${pair%%:*}" >/dev/null 2>&1 && continue ;;
        esac
        missing="$missing ${pair#*:}"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null 2>&1 || {
        echo "these packages are missing, and there is no apt-get to install them:$missing" >&2
        exit 1
    }
    echo "installing:$missing"
    # The server's own sshd is none of our business: it must not start because we need its program.
    guard=
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
        guard=yes
    fi
    status=0
    # shellcheck disable=SC2086 # a list of words
    install_quietly $missing || status=$?
    [ -z "$guard" ] || rm -f /usr/sbin/policy-rc.d
    [ "$status" = 0 ] || { echo "could not install:$missing" >&2; exit 1; }
}

# Puts a program on the PATH out of a Debian package that is not installed, because that would leave a
# service on this machine. Arguments: PROGRAM, PACKAGE, a directory to keep it in. Where it cannot be
# had, what needs it is skipped.
borrow_program() {
    command -v "$1" >/dev/null 2>&1 && return 0
    if [ ! -x "$3/usr/bin/$1" ]; then
        command -v apt-get >/dev/null 2>&1 || return 0
        echo "borrowing $1 from the package $2"
        mkdir -p "$3"
        (
            cd "$3" || exit
            { apt-get -qq download "$2" || { apt-get -qq update && apt-get -qq download "$2"; }; } >/dev/null 2>&1
            dpkg-deb --fsys-tarfile "$2"_*.deb | tar -x "./usr/bin/$1"
            rm -f "$2"_*.deb
        ) || return 0
    fi
    PATH=$PATH:$3/usr/bin
}

# What apt has to say is of interest only when it fails.
install_quietly() {
    log=$(mktemp)
    status=0
    {
        # A server may be at its nightly upgrade just now.
        apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 \
            install --yes --no-install-recommends "$@"
    } >"$log" 2>&1 </dev/null || status=$?
    [ "$status" = 0 ] || cat "$log" >&2
    rm -f "$log"
    return "$status"
}

# Puts cargo on the PATH: sudo has taken it away, or it is another user's.
find_cargo() {
    home=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
    for dir in "$home/.cargo/bin" /root/.cargo/bin /usr/local/cargo/bin; do
        command -v cargo >/dev/null 2>&1 && break
        [ -x "$dir/cargo" ] || continue
        PATH=$dir:$PATH
        [ ! -d "${dir%/.cargo/bin}/.rustup" ] || export RUSTUP_HOME="${RUSTUP_HOME:-${dir%/.cargo/bin}/.rustup}"
    done
    command -v cargo >/dev/null 2>&1 || {
        echo "no Rust toolchain found: install one (https://rustup.rs) or put cargo on root's PATH" >&2
        exit 1
    }
    export PATH
}

# as_owner DIRECTORY COMMAND…: as the user who called sudo, if the directory is that user's; else as
# root. Who builds in its own clone would rather not find files of root's there.
as_owner() {
    owner=$(stat -c %U "$1")
    # Where root has built before, nobody else can go on.
    if [ "$owner" = "${SUDO_USER:-root}" ] && [ "$owner" != root ] \
        && [ -z "$(find "$1/target" -maxdepth 2 -user root -print -quit 2>/dev/null)" ]; then
        shift
        runuser -u "$owner" -- env HOME="$(getent passwd "$owner" | cut -d: -f6)" "$@"
    else
        shift
        "$@"
    fi
}
