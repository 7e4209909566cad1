#!/bin/bash
# scan and the controls commands, end to end over small manifests. Prints 'ok NAME' or 'FAILED NAME'.
# shellcheck disable=SC2317 # the checks are called through ok
set -u
cd "$(dirname "$0")/scan" || exit 1
agent=${EUCS_AGENT:?path of the binary}
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

ok() {
    if "${@:2}"; then
        echo "ok $1"
    else
        echo "FAILED $1"
        bad=1
        sed 's/^/    out: /' "$work/out" | head -20
        sed 's/^/    err: /' "$work/err" | head -20
    fi
}
# run ARGS…: output in $work/out and $work/err, exit status in $rc
run() {
    "$agent" "$@" >"$work/out" 2>"$work/err"
    rc=$?
}
is() { [ "$rc" -eq "$1" ]; }
out() { grep -qF -- "$1" "$work/out"; }
no_out() { ! grep -qF -- "$1" "$work/out"; }
err() { grep -qF -- "$1" "$work/err"; }
# line CONTROL PYTHON-EXPRESSION over the line l of that control
line() {
    "$python" - "$work/out" "$1" "$2" <<'PY'
import json, sys
lines = [json.loads(x) for x in open(sys.argv[1])]
for l in lines:
    if l["control"] == sys.argv[2] and eval(sys.argv[3]):
        sys.exit(0)
sys.exit(1)
PY
}

run scan bad.yaml --format jsonl
ok exit-1-on-deny is 1
ok failing-paths line pod-privileged 'l["path"] == "spec.template.spec.containers[0].securityContext.privileged" and [f["element"] for f in l["failures"]] == ["web", "init-1"] or [f["element"] for f in l["failures"]] == ["init-1", "web"]'
ok contract-keys line pod-privileged 'list(l) == ["control","result","reason","action","severity","level","object","source","path","message","failures","remediation","requirements","references","exemption"]'
ok source line pod-privileged 'l["source"] == {"file": "bad.yaml", "document": 0, "item": None, "line": 1}'
ok object line pod-privileged 'l["object"] == {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "web"}'
ok only-known-words "$python" -c '
import json, sys
reasons = {None, "evaluation-error", "cost-limit", "deadline", "missing-context", "not-observable", "not-configured", "no-request", "compile-error"}
for x in open(sys.argv[1]):
    l = json.loads(x)
    assert l["result"] in ("pass", "fail", "skip", "unknown") and l["reason"] in reasons
    assert (l["result"] == "unknown") <= (l["reason"] is not None)
' "$work/out"
run scan bad.yaml --fail-on never
ok fail-on-never is 0
run scan bad.yaml
ok table-says-fix out 'fix: '
ok table-no-colour no_out $'\033'
run scan good.yaml
ok exit-0-clean is 0
run scan good.yaml --fail-on-unknown --control pod-privileged
ok fail-on-unknown-without-unknown is 0

run scan mixed.yaml --format jsonl --fail-on never
ok older-version line pod-host-network 'l["result"] == "fail" and l["object"]["apiVersion"] == "extensions/v1beta1" and l["object"]["namespace"] == "default"'
ok list-item line pod-host-pid 'l["result"] == "fail" and l["source"]["item"] == 0 and l["source"]["line"] == 10 and l["object"]["name"] is None'
ok null-is-absent line pod-host-ipc 'l["result"] == "pass" and l["source"]["item"] == 0'
ok cluster-scoped line ns-psa-enforce 'l["object"]["namespace"] is None and l["source"]["item"] == 1'
ok not-judged err 'not judged: example.com/v1, Widget (2 documents)'
run scan mixed.yaml --format json --fail-on never
ok not-judged-json "$python" -c 'import json,sys; d=json.load(open(sys.argv[1])); assert d["notJudged"]==[{"apiVersion":"example.com/v1","kind":"Widget","documents":2}]' "$work/out"

run scan folder --format jsonl
ok folder-json line pod-host-pid 'l["source"]["file"] == "folder/sub/b.json"'
ok folder-yaml line ns-psa-enforce 'l["source"]["file"] == "folder/a.yaml"'
ok folder-exit is 1
ok folder-values err 'not judged: 1 document without apiVersion and kind'
run scan broken.yaml good.yaml --format jsonl
ok broken-exit-2 is 2
ok broken-says-where err 'broken.yaml:'
ok broken-rest-is-printed line ns-psa-enforce 'l["source"]["file"] == "good.yaml"'
run scan no-such-file.yaml
ok missing-file is 2
"$agent" scan - --format jsonl <bad.yaml >"$work/out" 2>"$work/err"
rc=$?
ok stdin line pod-privileged 'l["source"]["file"] == "-"'

run scan bad.yaml --control pod-privileged --exemptions exemptions.yaml --at 2026-02-01T00:00:00Z --format jsonl
ok exempted-exit is 0
ok exempted line pod-privileged 'l["result"] == "fail" and l["action"] == "audit" and l["exemption"] == "legacy-web"'
run scan bad.yaml --control pod-privileged --exemptions exemptions.yaml --at 2026-04-01T00:00:00Z --format jsonl
ok expired-exit is 1
ok expired line pod-privileged 'l["action"] == "deny" and l["exemption"] is None'
run scan bad.yaml --exemptions endless.yaml
ok endless-refused is 2
ok endless-says-why err 'endless.yaml:4: spec.end is missing'

run scan bad.yaml --level basic --format jsonl --fail-on never
ok level-basic "$python" -c 'import json,sys; assert {json.loads(x)["level"] for x in open(sys.argv[1])} == {"basic"}' "$work/out"
run scan bad.yaml --level basic --reference pss:restricted --format jsonl --fail-on never
ok reference-ignores-level line pod-seccomp 'l["references"]["pss"] == "restricted"'
ok reference-takes-baseline line pod-privileged 'l["references"]["pss"] == "baseline"'
run scan bad.yaml --reference pss:none
ok reference-unknown is 2
run scan bad.yaml --control nothing
ok control-unknown is 2
run scan bad.yaml --format oscal
ok format-unknown is 2
run scan
ok no-path is 2

run scan bad.yaml mixed.yaml --format sarif --fail-on never
ok sarif "$python" -c '
import json, sys
d = json.load(open(sys.argv[1]))
run = d["runs"][0]
rules = run["tool"]["driver"]["rules"]
assert d["version"] == "2.1.0" and run["results"]
for r in run["results"]:
    assert rules[r["ruleIndex"]]["id"] == r["ruleId"] and r["message"]["text"]
    assert r["kind"] == "fail" or r["level"] == "none"
    loc = r["locations"][0]
    assert loc["physicalLocation"]["region"]["startLine"] > 0 and loc["logicalLocations"][0]["kind"] == "resource"
taxa = {t["id"] for t in run["taxonomies"][0]["taxa"]}
assert all(t["id"] in taxa for r in run["results"] for t in r["taxa"])
notes = [n["message"]["text"] for n in run["invocations"][0]["toolExecutionNotifications"]]
assert any("Widget" in n for n in notes)
' "$work/out"
run scan bad.yaml --format junit --fail-on never
ok junit "$python" -c '
import sys
import xml.etree.ElementTree as e
root = e.parse(sys.argv[1]).getroot()
assert root.tag == "testsuites" and len(root)
n = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
for s in root:
    cases = s.findall("testcase")
    assert int(s.get("tests")) == len(cases)
    assert int(s.get("failures")) == len(s.findall("testcase/failure")) and int(s.get("errors")) == len(s.findall("testcase/error"))
    for k in n:
        n[k] += int(s.get(k))
assert all(int(root.get(k)) == n[k] for k in n) and n["failures"] > 0
' "$work/out"

run controls list
ok controls-list out pod-privileged
run controls list -o json --reference pss:baseline
ok controls-list-json "$python" -c 'import json,sys; v=json.load(open(sys.argv[1])); assert v and all("pss" in c["references"] for c in v)' "$work/out"
run controls show pod-privileged
ok controls-show out 'judges         pods on CREATE, UPDATE'
ok controls-show-cel out 'validation 0'
run controls show nothing
ok controls-show-unknown is 2
run controls coverage -o json
ok controls-coverage "$python" -c 'import json,sys; d=json.load(open(sys.argv[1])); assert len(d["categories"])==20 and len(d["controls"])==120 and len(d["requirements"])==535' "$work/out"
run controls coverage -o markdown
ok controls-coverage-markdown out '| requirement | level |'
run controls lint
ok controls-lint is 0
run controls test --control pod-privileged
ok controls-test out ' passed, 0 failed'
mkdir -p "$work/c/pod"
cp ../../../controls/catalogue.yaml "$work/c/"
printf 'apiVersion: eucs-agent.io/v1alpha1\nkind: Control\nmetadata: {name: x}\nspec:\n  title: t\n' >"$work/c/pod/x.yaml"
run controls lint --controls "$work/c"
ok lint-of-a-bad-folder is 1
ok lint-says-line out 'pod/x.yaml:'
run scan good.yaml --controls "$work/c"
ok bad-control-does-not-stop is 0
ok bad-control-is-told err 'pod/x.yaml:'

run cel eval --expr '[1, 2, 3].map(x, x * 2)'
ok cel-eval out '[2,4,6]'
run cel eval --expr 'object.kind' --object bad.yaml -o tagged
ok cel-eval-tagged out '{"string":"Deployment"}'
run cel eval --expr '1 +'
ok cel-eval-parse-error is 2
run cel eval --expr '1 / 0'
ok cel-eval-error is 1
printf '%s\n' '{"id": 1, "expr": "x + 1", "bindings": {"x": {"int": "2"}}}' >"$work/in"
"$agent" cel eval --batch <"$work/in" >"$work/out" 2>"$work/err"
rc=$?
ok cel-batch out '"value":{"int":"3"}'

cat >"$work/review.json" <<'J'
{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1","kind":{"group":"","version":"v1","kind":"Pod"},
"resource":{"group":"","version":"v1","resource":"pods"},"name":"p","namespace":"shop","operation":"CREATE","userInfo":{"username":"alice"},
"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"shop"},"spec":{"containers":[{"name":"c","image":"x","securityContext":{"privileged":true}}]}}}}
J
run review "$work/review.json"
ok review-denies "$python" -c 'import json,sys; r=json.load(open(sys.argv[1]))["response"]; assert r["uid"]=="u-1" and r["allowed"] is False and "pod-privileged" in r["status"]["message"]' "$work/out"
ok review-exit is 0
run review "$work/review.json" --exit-code
ok review-exit-code is 1
echo '{' >"$work/review.json"
run review "$work/review.json"
ok review-unreadable is 2

exit $bad
