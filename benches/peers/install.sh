#!/usr/bin/env bash
# Installs the peers that `cargo bench -- peers` measures beside the daemon, each by its name:
# benches/peers/install.sh [PEER...]. One that cannot be installed is named and left out.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

install_webhook() {
    if command -v webhook && command -v sqlite3 && command -v curl; then return; fi >/dev/null
    # Its package would start a service; only the program is wanted.
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends webhook sqlite3 curl >/dev/null
}

packages_of_npm() { # FOLDER
    # The SQLite of bolt-js may be compiled, which takes minutes.
    (cd "$1" && npm install --no-package-lock --no-audit --no-fund --loglevel=error)
}

install_bolt-js() { packages_of_npm bolt-js; }

install_node-red() { packages_of_npm node-red; }

install_bolt-py() {
    python3 -m venv bolt-py/venv &&
        bolt-py/venv/bin/pip install --quiet --requirement bolt-py/requirements.txt
}

peers=("$@")
((${#peers[@]} > 0)) || peers=(webhook bolt-js bolt-py node-red)
for peer in "${peers[@]}"; do
    printf -- '-- %s\n' "$peer"
    "install_$peer" </dev/null || printf '%s could not be installed and is left out\n' "$peer"
done
