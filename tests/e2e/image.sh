#!/bin/bash
# make image-test: builds the image and lets it answer a review, with a read-only root, no capability and not as root.
# Needs a Docker engine; says so and exits 77 when there is none. The base image is pulled, or made with debootstrap as root.
set -euo pipefail
cd "$(dirname "$0")/../.."
passed=0 failed=0
ok() {
    echo "ok     $1"
    passed=$((passed + 1))
}
bad() {
    echo "FAILED $1"
    failed=$((failed + 1))
}
check() {
    local name=$1
    shift
    if "$@"; then ok "$name"; else bad "$name"; fi
}

quietly() {
    "$@" >/dev/null
}

docker info >/dev/null 2>&1 || {
    echo "no Docker engine answers: the image was not tested"
    exit 77
}
base=debian:trixie-slim
if ! docker image inspect "$base" >/dev/null 2>&1 && ! docker pull -q "$base" >/dev/null 2>&1; then
    echo "the base image cannot be pulled; making it with debootstrap"
    command -v debootstrap >/dev/null || apt-get install -y -qq debootstrap >/dev/null
    root=$(mktemp -d)
    debootstrap --variant=minbase trixie "$root" >/dev/null
    tar -C "$root" -c . | docker import - "$base" >/dev/null
    rm -rf "$root"
fi

tag=eucs-agent:image-test
docker build -q --network host --build-arg BASE="$base" -t "$tag" . >/dev/null
ok "image builds ($(docker image inspect -f '{{.Size}}' "$tag" | awk '{printf "%.0f MiB with the base", $1/1048576}'))"
hardened=(--rm -i --read-only --cap-drop ALL --security-opt no-new-privileges --network none)
user=$(docker image inspect -f '{{.Config.User}}' "$tag")
check "user is not root ($user)" [ "$user" = 65532:65532 ]
check "version answers" grep -q '^eucs-agent ' <(docker run "${hardened[@]}" "$tag" version)

review() {
    cat <<'J'
{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"11111111-2222-3333-4444-555555555555",
"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},
"requestKind":{"group":"","version":"v1","kind":"Pod"},"requestResource":{"group":"","version":"v1","resource":"pods"},
"name":"bad","namespace":"default","operation":"CREATE","userInfo":{"username":"dev","groups":["system:authenticated"]},
"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"bad","namespace":"default"},
"spec":{"containers":[{"name":"c","image":"r.example/c:1","securityContext":{"privileged":true}}]}},"dryRun":false,"options":null}}
J
}
answer=$(review | docker run "${hardened[@]}" "$tag" review)
check "review of a privileged Pod is denied" quietly jq -e '.response.allowed == false and .response.uid == "11111111-2222-3333-4444-555555555555" and
    (.response.status.message | contains("pod-privileged"))' <<<"$answer"
if [ -x "${EUCS_AGENT:-build/eucs-agent}" ]; then
    check "the binary built here gives the same answer" [ "$(jq -S . <<<"$answer")" = "$(review | "${EUCS_AGENT:-build/eucs-agent}" review | jq -S .)" ]
fi

# the agent itself, over TLS
name=eucs-agent-image-test-$$
docker run -d --name "$name" --read-only --cap-drop ALL --security-opt no-new-privileges --network host \
    --tmpfs /var/lib/eucs-agent:uid=65532,mode=0700 --tmpfs /tmp:mode=1777 "$tag" \
    run --state-dir /var/lib/eucs-agent --watch-dir /tmp --webhook-port 18443 --web-port 18444 --health-port 18081 >/dev/null
trap 'docker rm -f "$name" >/dev/null 2>&1' EXIT
for _ in $(seq 100); do
    curl -sf http://127.0.0.1:18081/readyz >/dev/null && break
    sleep 0.1
done
check "ready" curl -sf -o /dev/null http://127.0.0.1:18081/readyz
answer=$(review | curl -sk -H 'Content-Type: application/json' --data-binary @- 'https://127.0.0.1:18443/validate?timeout=3s')
check "the running image denies over TLS" quietly jq -e '.response.allowed == false and
    (.response.auditAnnotations.evidence | length > 20)' <<<"$answer"
check "stops in time" quietly timeout 20 docker stop "$name"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
