#!/bin/sh
# Builds the control plane and the tools that the end-to-end tests use, from the Go modules pinned
# in go.mod, etcd/go.mod and helm/go.mod, and prints the folder that holds them.
#
#   tests/cluster/build.sh [LINK]      LINK (default build/cluster/bin) becomes a link to them
#
# Finished builds are kept in $EUCS_CLUSTER_CACHE (default ~/.cache/eucs-agent/cluster) under a hash
# of everything that they are made from, so another clone does not build them again.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
link=${1:-$root/build/cluster/bin}
cache=${EUCS_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/eucs-agent/cluster}
need_major=1
need_minor=26

die() {
    echo "build.sh: $*" >&2
    exit 2
}

say() {
    echo "build.sh: $*" >&2
}

check_go() {
    command -v go >/dev/null 2>&1 ||
        die "needs Go $need_major.$need_minor or newer on PATH: 'go' was not found." \
            "Debian's package golang-go is too old; take Go from its own site."
    have=$(cd / && go env GOVERSION)
    numbers=${have#go}
    major=${numbers%%.*}
    minor=${numbers#*.}
    minor=${minor%%[!0-9]*}
    [ "$major" -gt "$need_major" ] 2>/dev/null && return
    [ "$major" -eq "$need_major" ] 2>/dev/null && [ "${minor:-0}" -ge "$need_minor" ] && return
    die "needs Go $need_major.$need_minor or newer on PATH, but $(command -v go) is $have."
}

# Everything that can change a binary: the pins, our own sources, this script, the compiler.
stamp_of() {
    {
        cat "$here/build.sh" "$here"/go.mod "$here"/go.sum "$here"/*/go.mod "$here"/*/go.sum \
            "$here"/*/*.go
        (cd / && go env GOVERSION GOOS GOARCH)
    } | sha256sum | cut -c1-16
}

# Release of a module as go.mod pins it: version_of FOLDER MODULE
version_of() {
    (cd "$here/$1" && go list -mod=readonly -m -f '{{.Version}}' "$2")
}

# build FOLDER NAME PACKAGE LDFLAGS
build() {
    started=$(date +%s)
    say "building $2 ..."
    (cd "$here/$1" && CGO_ENABLED=0 GOFLAGS='' go build -p 2 -mod=readonly -buildvcs=false \
        -trimpath -ldflags "-s -w $4" -o "$work/$2" "$3") || die "$2 did not build"
    say "built $2 in $(($(date +%s) - started)) s"
}

build_all() {
    kube=$(version_of . k8s.io/kubernetes)
    minor=${kube#v*.}
    minor=${minor%%.*}
    v=k8s.io/component-base/version
    flags="-X $v.gitVersion=$kube -X $v.gitMajor=1 -X $v.gitMinor=$minor -X $v.gitTreeState=clean"
    helm=$(version_of helm helm.sh/helm/v4)
    build . yamlref ./yamlref ""
    build etcd etcd go.etcd.io/etcd/server/v3 ""
    build . kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver "$flags"
    build . kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager "$flags"
    build . kubectl k8s.io/kubernetes/cmd/kubectl "$flags"
    build helm helm helm.sh/helm/v4/cmd/helm \
        "-X helm.sh/helm/v4/internal/version.version=$helm"
}

check_go
stamp=$(stamp_of)
bin=$cache/$stamp
if [ ! -d "$bin" ]; then
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/.build-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    say "the control plane is not built yet; this takes some minutes, once"
    build_all
    chmod 755 "$work"
    # Another build may have finished first; its folder is as good as ours.
    mv -T "$work" "$bin" 2>/dev/null || [ -d "$bin" ]
fi
touch "$bin"
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} + # not used for a month
mkdir -p "$(dirname "$link")"
ln -sfn "$bin" "$link"
echo "$bin"
