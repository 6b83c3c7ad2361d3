# Sourced by try.sh and test.sh: what both need on a fresh machine.

# Installs the Debian packages whose programs are missing. Arguments: PROGRAM:PACKAGE.
need_packages() {
    missing=
    for pair; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null 2>&1 || {
        echo "missing programs, and no apt-get to install them: $missing" >&2
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
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $missing >/dev/null; } || status=$?
    [ -z "$guard" ] || rm -f /usr/sbin/policy-rc.d
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
