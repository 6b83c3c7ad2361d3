# shellcheck shell=sh
# Sourced by .ci/msrv and .ci/miri: they need a toolchain other than the one that builds the program.

# get_toolchain NAME [COMPONENT…]: installs with rustup what is missing. If that fails, says that the job is not
# run and why, and ends the script: whether another toolchain can be downloaded depends on the machine, not on
# the change under test.
get_toolchain() {
    toolchain=$1
    shift
    command -v rustup >/dev/null 2>&1 || skip_job "this machine has no rustup, which could install Rust $toolchain"
    # shellcheck disable=SC2046 # names of components, each one word
    set -- $(missing_components "$@")
    if ! rustup toolchain list | grep -q "^$toolchain-"; then
        rustup_within "$toolchain" toolchain install "$toolchain" --profile minimal
    fi
    [ $# = 0 ] || rustup_within "$toolchain" component add --toolchain "$toolchain" "$@"
}

missing_components() {
    for component; do
        rustup component list --toolchain "$toolchain" --installed 2>/dev/null | grep -q "^$component" \
            || echo "$component"
    done
}

# rustup_within NAME ARGUMENT…: behind some firewalls a download neither begins nor fails.
rustup_within() {
    name=$1
    shift
    timeout 300 rustup --quiet "$@" >/dev/null 2>&1 || skip_job "rustup cannot install Rust $name on this machine"
}

skip_job() {
    echo "not run: $0: $1"
    exit 0
}
