# shellcheck shell=sh
# Sourced by try.sh, test.sh and package.sh: functions that prepare a fresh machine.

# sshd and the mkfs programs are not on an ordinary user's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Installs the Debian packages of missing programs. Arguments: PROGRAM:PACKAGE…, or FILE:PACKAGE… for a file
# that is not a program.
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
    # The server's own sshd must not start only because we need its program.
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

# Puts a program from a Debian package on the PATH without installing the package, which would leave a service
# on this machine. Arguments: PROGRAM, PACKAGE, a directory to keep it in. If the program is not available, the
# tests that need it are skipped.
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

# apt's output is shown only if it fails.
install_quietly() {
    log=$(mktemp)
    status=0
    {
        # The server may be running its nightly upgrade.
        apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 \
            install --yes --no-install-recommends "$@"
    } >"$log" 2>&1 </dev/null || status=$?
    [ "$status" = 0 ] || cat "$log" >&2
    rm -f "$log"
    return "$status"
}

# Puts cargo on the PATH: sudo may have removed it, or it may belong to another user.
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

# as_owner DIRECTORY COMMAND…: runs the command as the user who called sudo, if the directory belongs to that
# user, otherwise as root, so that root leaves no files in a user's clone.
as_owner() {
    owner=$(stat -c %U "$1")
    # If root has built here before, nobody else can continue.
    if [ "$owner" = "${SUDO_USER:-root}" ] && [ "$owner" != root ] \
        && [ -z "$(find "$1/target" -maxdepth 2 -user root -print -quit 2>/dev/null)" ]; then
        shift
        runuser -u "$owner" -- env HOME="$(getent passwd "$owner" | cut -d: -f6)" "$@"
    else
        shift
        "$@"
    fi
}
