# shellcheck shell=sh disable=SC2154
# Sourced by .ci/bare-debian and .ci/systemd, which have set `cache` (a directory that lasts)
# and `output` (a file that does not): bare Debian trees, and checks that are printed and counted.

failed=0
number=0

# check WHAT COMMAND…: a line for each check; the output of a command that fails is shown below it.
check() {
    what=$1
    shift
    number=$((number + 1))
    if "$@" >"$output" 2>&1; then
        echo "ok $number - $what"
    else
        echo "not ok $number - $what"
        sed 's/^/#   /' "$output"
        failed=$((failed + 1))
    fi
}

# The last line of a script: 0 when there were checks and none failed.
verdict() {
    echo "1..$number"
    [ "$failed" = 0 ] || echo "# $failed of $number failed"
    [ "$failed" = 0 ] && [ "$number" -gt 0 ]
}

need_root_and() {
    [ "$(id -u)" = 0 ] || { echo "$0: must be run as root" >&2; exit 1; }
    for program; do
        command -v "$program" >/dev/null || { echo "$0: needs $program" >&2; exit 1; }
    done
}

# Where this machine gets Debian from. No mirror stands in this repository: behind a company's wall
# another one is the right one.
mirror() {
    apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' | grep -v -- -security | head -n 1
}

# bare_tree SUITE: makes $cache/SUITE if it is not there.
bare_tree() {
    [ ! -d "$cache/$1" ] || return 0
    echo "# making a bare Debian ($1)"
    mkdir -p "$cache"
    rm -rf --one-file-system "$cache/$1.new"
    site=$(mirror)
    [ -n "$site" ] || { echo "apt of this machine knows no Debian mirror" >&2; return 1; }
    # apt of a minimal system trusts no certificate.
    case $site in https:*) include=--include=ca-certificates ;; *) include= ;; esac
    # shellcheck disable=SC2086 # one word or none
    debootstrap --variant=minbase $include "$1" "$cache/$1.new" "$site" >"$cache/$1.log" 2>&1 || {
        tail -n 20 "$cache/$1.log" >&2
        return 1
    }
    echo "deb $site $1 main" >"$cache/$1.new/etc/apt/sources.list"
    apt-config dump | grep -i '^Acquire::.*Proxy' >"$cache/$1.new/etc/apt/apt.conf.d/90host" || true
    mv "$cache/$1.new" "$cache/$1"
}

# own_tree FROM TO: a copy to break, with this machine's way to the network.
own_tree() {
    cp -a --reflink=auto "$1" "$2"
    cp -L /etc/resolv.conf "$2/etc/resolv.conf"
    printf '127.0.0.1 localhost bare\n::1 localhost\n' >"$2/etc/hosts"
    [ ! -f "${SSL_CERT_FILE-}" ] || cp -L "$SSL_CERT_FILE" "$2/root/certificates.pem"
    mkdir -p "$cache/packages/partial"
}

# enter_tree TREE SCRIPT [ARGUMENT…]: runs the shell script in it, in mount, pid, ipc and uts
# namespaces of its own, as root; when the first process ends, the kernel ends and unmounts the rest.
# $binds: lines of OPTIONS DIRECTORY PLACE. $settings: lines of NAME=VALUE for the environment.
# Takes the place of the shell that calls it, so that its process is the one to kill (by SIGKILL: it
# passes on nothing else).
enter_tree() {
    entered=$1 script=$2
    shift 2
    # pivot_root and not chroot, in which no user namespaces can be made.
    # shellcheck disable=SC2016 # for the shell inside
    exec unshare --mount --propagation private --pid --fork --kill-child --ipc --uts \
        sh -euc '
            tree=$1 binds=$2 settings=$3
            shift 3
            mount --bind "$tree" "$tree"
            mkdir -p "$tree/.outside"
            printf "%s\n" "$binds" | while read -r options from to; do
                [ -n "$to" ] || continue
                mkdir -p "$tree$to"
                mount --bind "$from" "$tree$to"
                mount -o "remount,bind,$options" "$tree$to"
            done
            mount --rbind /dev "$tree/dev"
            mount -t sysfs sysfs "$tree/sys"
            mount -t tmpfs tmpfs "$tree/run"
            mount -t proc proc "$tree/proc"
            cd "$tree"
            pivot_root . .outside
            umount -l /.outside
            rmdir /.outside
            hostname bare
            set -f
            IFS="
"
            exec env -i $settings sh -euc "$@"
        ' sh "$entered" "${binds-}" "${settings-}" "$script" sh "$@"
}
