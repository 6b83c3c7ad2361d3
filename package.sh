#!/bin/sh
# Builds the Debian package for the Debian release of this machine.
#
#   sudo ./package.sh [--debug] [DIR]
#
# DIR: the directory for the .deb (default target/package); older ones there are deleted.
# --debug: builds fast and runs slowly, for tests of the package.
#
# If debhelper and a C compiler are installed, sudo is not needed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
profile=release
packages=$here/target/package
for argument; do
    case $argument in
        --debug) profile=debug ;;
        -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) echo "package.sh: unknown option $argument (see --help)" >&2; exit 1 ;;
        *) mkdir -p "$argument" && packages=$(cd "$argument" && pwd) ;;
    esac
done

# shellcheck source=scripts/setup.sh
. "$here/scripts/setup.sh"
need_packages cc:gcc /usr/include/stdlib.h:libc6-dev dh:debhelper
find_cargo

# debhelper sets an empty home for the programs that it calls.
# shellcheck disable=SC2016 # for the shell that builds
build='
    export CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}"
    export BKCTLD_PROFILE="$1" BKCTLD_PACKAGES="$2"
    mkdir -p "$2"
    rm -f "$2"/bkctld_*.deb
    log=$2/build.log
    debian/rules binary >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    debian/rules clean >>"$log" 2>&1'
cd "$here"
as_owner "$here" sh -euc "$build" sh "$profile" "$packages"
ls "$packages"/bkctld_*.deb
