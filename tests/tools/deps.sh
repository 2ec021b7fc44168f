#!/usr/bin/env bash
# Installs what a fresh Debian 12 machine with only Rust lacks: system packages, then the Python and
# Node packages that the demonstration and the journeys use, in the cache outside the clone.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# A Python that can make the environment: `venv` alone is not enough, it needs `ensurepip`.
python_works() {
    command -v python3 >/dev/null &&
        python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

missing_packages() {
    command -v cc >/dev/null && command -v c++ >/dev/null && command -v ld >/dev/null ||
        echo build-essential
    # Vectorscan, the C++ library that masking finds literals with, is built from its source.
    command -v cmake >/dev/null || echo cmake
    [[ -e /usr/include/boost/version.hpp ]] || echo libboost-dev
    command -v curl >/dev/null || echo curl
    [[ -e /etc/ssl/certs/ca-certificates.crt ]] || echo ca-certificates
    python_works || echo python3 python3-venv
    [[ -x $PENSTOCK_NODE ]] || command -v npm >/dev/null || echo npm
    # What stands around the gateway in the journeys, and what the benchmark compares with.
    PATH=$PATH:/usr/sbin command -v nginx >/dev/null || echo nginx
    PATH=$PATH:/usr/sbin command -v haproxy >/dev/null || echo haproxy
    command -v openssl >/dev/null || echo openssl
}

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "these packages are missing, and only root can install them: ${missing[*]}"
    fi
}

install_packages() {
    command -v apt-get >/dev/null ||
        fail "this machine has no apt-get; install by hand: ${missing[*]}"
    # RUNLEVEL=1: a package that brings a service does not start it.
    local install=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q
        --no-install-recommends "${missing[@]}")
    # The package lists may be absent or old; they are fetched only when the install fails.
    as_root "${install[@]}" || { as_root apt-get update -q && as_root "${install[@]}"; }
}

# Each of the two is built beside its place and moved there when it is whole, so that a run that was
# interrupted leaves nothing that looks finished. The environment's scripts name its place, which is
# why only its interpreter is used (python -m …).
make_python() {
    local work=$python_home.$$
    rm -rf "$work" "$python_home"
    python3 -m venv "$work"
    # --no-deps: the list is the whole closure, and its head says why.
    "$work/bin/python" -m pip install -q --disable-pip-version-check --no-deps \
        --only-binary :all: -r "$repository/tests/python/requirements.txt"
    "$work/bin/python" -c 'import anthropic, ollama, openai, xllamacpp'
    mv -T "$work" "$python_home" 2>/dev/null || rm -rf "$work"
}

make_node() {
    local work=$node_home.$$
    rm -rf "$work" "$node_home"
    mkdir -p "$work"
    cp "$repository"/tests/node/package{,-lock}.json "$work"
    (cd "$work" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error)
    mv -T "$work" "$node_home" 2>/dev/null || rm -rf "$work"
    "$PENSTOCK_NODE" --version >/dev/null
}

command -v cargo >/dev/null || fail "cargo is not on the PATH: install Rust by rustup first"
mapfile -t missing < <(missing_packages | tr ' ' '\n')
if [[ ${#missing[@]} -gt 0 ]]; then
    step "installing ${missing[*]}" install_packages
fi
mkdir -p "$PENSTOCK_CACHE"
[[ -x $PENSTOCK_PYTHON ]] || step "Python packages" make_python
[[ -x $PENSTOCK_NODE ]] || step "Node packages" make_node
[[ -x $PENSTOCK_PYTHON && -x $PENSTOCK_NODE ]] || fail "$PENSTOCK_CACHE cannot be filled"
echo "deps: everything is there"
