#!/bin/bash
# Installs the Debian packages that a target needs and says what it does: deps.sh GROUP...
# Groups: build (compile), test (make test), check (gates), bench, e2e. Nothing happens when everything is there.
set -euo pipefail

# The sanitizer and fuzzer runtime of clang is a package per clang release.
clang_rt() {
    local codename
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    case $codename in
    bookworm) echo libclang-rt-14-dev ;;
    *) echo libclang-rt-19-dev ;;
    esac
}

packages() {
    case $1 in
    build) echo gcc make pkg-config libc6-dev libcurl4-openssl-dev libcjson-dev libyaml-dev libwebsockets-dev libssl-dev libpcre2-dev python3 ;;
    test) echo libcmocka-dev openssl curl jq nginx-light ;;
    check) echo clang clang-format clang-tidy "$(clang_rt)" cppcheck shellcheck pmccabe ;;
    bench) echo nginx-light wrk openssl ;;
    e2e) echo openssl curl jq ca-certificates ;;
    *)
        echo "deps.sh: unknown group $1" >&2
        exit 2
        ;;
    esac
}

[ -r /etc/debian_version ] || {
    echo "deps.sh: this is not Debian; install the equivalents of:" >&2
    for g in "$@"; do packages "$g" >&2; done
    exit 1
}
missing=()
for group in "$@"; do
    for p in $(packages "$group"); do
        # exact status: a package that was removed but left its configuration is not there
        dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
    done
done
[ ${#missing[@]} -gt 0 ] || exit 0
echo "installing Debian packages: ${missing[*]}"
root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "deps.sh: root is needed; run: apt-get install ${missing[*]}" >&2
        exit 1
    }
    echo "(asking for root through sudo)"
    root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
