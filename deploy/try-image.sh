#!/usr/bin/env bash
# Drives one signed webhook through the running container to a connect call, at a stand-in for Serval in a second container.
#
#   deploy/try-image.sh            builds the image first
#   deploy/try-image.sh IMAGE      takes one that is there
#
# Takes docker or podman, else buildah (without isolation of the network). Where none of them works it says so and ends
# with 77. BUILD_IMAGE and RUNTIME_IMAGE replace the images that the build starts from. The containers end with the script.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=serval-connect-try-$$
binary=/usr/local/bin/serval-connect
sys_id=5d2f6c1bdb7e2410a9c3f4a2ce961977
environment=(
    SERVAL_CLIENT_ID=mock-client
    SERVAL_CLIENT_SECRET=mock-secret
    SERVAL_CONNECT__ADMIN__TOKENS=a-token-of-this-one-rehearsal
    SERVAL_CONNECT__SOURCES__SERVICENOW__SECRETS=whsec_cmVoZWFyc2FsLWtleS10aGF0LWV2ZXJ5Ym9keS1rbm93cyE=
    'SERVAL_CONNECT__SOURCES__SERVICENOW__CHANNEL_TARGET={"ticketSource":{"integrationId":"8f0c3a1d-2b7e-4c55-8d19-7e3b5a6c9d02"}}'
    SERVAL_CONNECT_SEND_SECRET=whsec_cmVoZWFyc2FsLWtleS10aGF0LWV2ZXJ5Ym9keS1rbm93cyE=
)

say() { printf '== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

tool=
for candidate in docker podman; do
    if command -v "$candidate" >/dev/null && "$candidate" info >/dev/null 2>&1; then tool=$candidate; break; fi
done
if [[ -z $tool ]] && command -v buildah >/dev/null; then tool=buildah; fi
if [[ -z $tool ]]; then
    echo "not tried: neither docker nor podman nor buildah works here"
    exit 77
fi
say "$tool"

image=${1:-}
if [[ -z $image ]]; then
    image=serval-connect:try
    arguments=(-t "$image")
    for base in BUILD_IMAGE RUNTIME_IMAGE; do
        if [[ -n ${!base:-} ]]; then arguments+=(--build-arg "$base=${!base}"); fi
    done
    if [[ $tool == buildah ]]; then
        buildah bud --isolation chroot --network host "${arguments[@]}" .
    else
        "$tool" build "${arguments[@]}" .
    fi
fi

# Starts a part, runs a command beside a part, stops a part: with an engine, and with buildah alone.
if [[ $tool == buildah ]]; then
    container=$(buildah from --pull-never "$image")
    logs=$(mktemp -d)
    declare -A pids=()
    serval=127.0.0.1:18090 webhooks=127.0.0.1:18080 admin=127.0.0.1:18081
    clean_up() {
        for pid in "${pids[@]}"; do kill -9 -- "-$pid" 2>/dev/null || true; done
        buildah rm "$container" >/dev/null
        rm -rf "$logs"
    }
    in_container() { buildah run --isolation chroot --network host "${variables[@]}" "$container" -- "$binary" "$@"; }
    start() {
        set -m
        in_container "${@:2}" >"$logs/$1" 2>&1 &
        pids[$1]=$!
        set +m
    }
    beside() { in_container "${@:2}"; }
    log_of() { cat "$logs/$1"; }
    stop() {
        kill -TERM -- "-${pids[$1]}"
        for _ in {1..60}; do kill -0 "${pids[$1]}" 2>/dev/null || return 0; sleep 0.5; done
        return 1
    }
    environment+=("SERVAL_CONNECT__SERVER__LISTEN=$webhooks" "SERVAL_CONNECT__ADMIN__LISTEN=$admin")
else
    serval=$name-serval:8090
    clean_up() {
        "$tool" rm -f "$name-daemon" "$name-serval" >/dev/null 2>&1 || true
        "$tool" volume rm "$name" >/dev/null 2>&1 || true
        "$tool" network rm "$name" >/dev/null 2>&1 || true
    }
    start() {
        "$tool" run -d --name "$name-$1" --network "$name" --read-only --cap-drop ALL --security-opt no-new-privileges \
            -v "$name:/data" "${variables[@]}" "$image" "${@:2}" >/dev/null
    }
    beside() { "$tool" exec -i "$name-$1" "$binary" "${@:2}"; }
    log_of() { "$tool" logs "$name-$1" 2>&1; }
    stop() {
        "$tool" stop -t 30 "$name-$1" >/dev/null
        [[ $("$tool" inspect -f '{{.State.ExitCode}}' "$name-$1") == 0 ]]
    }
    "$tool" network create "$name" >/dev/null
    "$tool" volume create "$name" >/dev/null
fi
trap clean_up EXIT

variables=()
environment+=("SERVAL_BASE_URL=http://$serval")
for variable in "${environment[@]}"; do variables+=(-e "$variable"); done

say "start"
if [[ $tool == buildah ]]; then start serval mock-serval --listen "$serval"; else start serval mock-serval --listen 0.0.0.0:8090; fi
start daemon serve
for _ in {1..60}; do
    if beside daemon healthcheck >/dev/null 2>&1; then break; fi
    sleep 0.5
done
beside daemon healthcheck || { log_of daemon; fail "the daemon does not answer"; }

say "map a ticket, send a signed webhook"
beside daemon map set servicenow "$sys_id" 9d385017-c611-4b52-9c37-3f9b2d6a1e55
printf '{"table":"incident","operation":"insert","record":{"sys_id":"%s","sys_class_name":"incident","number":"INC0010001","short_description":"The printer smokes"}}' "$sys_id" |
    beside daemon send servicenow -

say "wait for the connect call"
for _ in {1..60}; do
    if beside daemon events list --external-id "$sys_id" | grep -q connected; then break; fi
    sleep 0.5
done
beside daemon events list --external-id "$sys_id"
beside daemon events list --external-id "$sys_id" | grep -q connected || { log_of daemon; fail "no connect call"; }
log_of serval

say "stop"
stop daemon || { log_of daemon; fail "SIGTERM did not end the daemon well"; }
log_of daemon | tail -n 3
say "passed"
