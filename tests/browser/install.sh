#!/usr/bin/env bash
# Brings what the browser tests need: the packages of package-lock.json beside this file, and Debian's
# Chromium where there is no browser yet. Run it again after a change of package.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if ! command -v npm >/dev/null; then
    echo "the browser tests need Node 20 or later, with npm" >&2
    exit 1
fi
if [[ -z ${CHROMIUM:-} ]] && ! command -v chromium >/dev/null; then
    if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
        echo "the browser tests need Chromium: install it, or name it in CHROMIUM" >&2
        exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
fi
# What is installed already is left alone: without a network this does nothing then.
if [[ ! -d node_modules || package-lock.json -nt node_modules/.package-lock.json ]]; then
    npm ci --loglevel=error
fi
